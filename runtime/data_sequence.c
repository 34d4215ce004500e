/* One sequence of tokens from text, bytes or token files: read once, windows are looked at where
 * they lie. A token file is what nanoGPT's prepare.py writes: numbers, little-endian, no header. */
#include "runtime/data_reader.h"

#include <inttypes.h>
#include <string.h>

/* ---- text ---- */

static bool read_text(DataSet *set, const FileBytes *files, Fail *fail) {
    bool used[256] = {false};
    uint8_t classes[256] = {0};
    for (uint64_t i = 0; i < files->count; i++) used[files->bytes[i]] = true;
    if (!data_number_characters(set, files, used, 0, classes, fail)) return false;
    uint8_t *to = set->fields[0];
    for (uint64_t i = 0; i < files->count; i++) to[i] = classes[files->bytes[i]];
    return true;
}

/* ---- tokens ---- */

static bool fail_token(const TuneField *field, const FileBytes *files, uint64_t at, uint64_t token,
                       uint64_t width, Fail *fail) {
    uint32_t file = 0;
    while (file + 1 < files->path_count && files->start[file + 1] <= at * width) file++;
    fail_set(fail,
             "'%s': token %" PRIu64 " at position %" PRIu64 " (from 0) is not one of 0..%" PRId64,
             files->paths[file], token, at - files->start[file] / width, field->classes - 1);
    return fail_help(fail, "declare 'class[%" PRIu64 "]' or more; or is the type of the tokens %s?",
                     token + 1, width == 2 ? "u32" : "u16");
}

/* A file of u16 that ends in the middle would shift all that comes behind it. */
static bool check_whole(const FileBytes *files, uint64_t width, Fail *fail) {
    for (uint32_t f = 0; f < files->path_count; f++) {
        uint64_t end = f + 1 < files->path_count ? files->start[f + 1] : files->count;
        uint64_t bytes = end - files->start[f];
        if (bytes % width == 0) continue;
        fail_set(fail,
                 "'%s' has %" PRIu64 " bytes: not a whole number of tokens of %" PRIu64 " bytes",
                 files->paths[f], bytes, width);
        return fail_help(fail, "is the file complete, and does 'type' say what its tokens are?");
    }
    return true;
}

static uint64_t token_at(const unsigned char *bytes, uint64_t width) {
    uint64_t token = 0;
    memcpy(&token, bytes, width); /* this machine is little-endian */
    return token;
}

static bool read_tokens(DataSet *set, const FileBytes *files, Fail *fail) {
    const TuneField *field = &set->info->fields[0];
    uint64_t width = set->info->token_bytes;
    uint8_t *narrow = set->fields[0];
    int32_t *wide = set->fields[0];
    for (uint64_t i = 0; i < set->examples; i++) {
        uint64_t token = token_at(files->bytes + i * width, width);
        if (token >= (uint64_t)field->classes)
            return fail_token(field, files, i, token, width, fail);
        if (field->elem == TUNE_U8)
            narrow[i] = (uint8_t)token;
        else
            wide[i] = (int32_t)token;
    }
    return true;
}

/* ---- any of them ---- */

static bool read_sequence(DataSet *set, const FileBytes *files, Fail *fail) {
    bool tokens = set->info->kind == TUNE_DATA_TOKENS;
    uint64_t width = tokens ? set->info->token_bytes : 1;
    if (tokens && !check_whole(files, width, fail)) return false;
    set->examples = files->count / width;
    if (!data_allocate(set, 0, set->examples, fail)) return false;
    if (tokens) return read_tokens(set, files, fail);
    if (set->info->kind == TUNE_DATA_TEXT) return read_text(set, files, fail);
    memcpy(set->fields[0], files->bytes, files->count);
    return true;
}

bool data_read_sequence(DataSet *set, const char *directory, Fail *fail) {
    FileBytes files;
    if (!data_read_files(set->info, directory, &files, fail)) return false;
    bool read = read_sequence(set, &files, fail);
    data_release_files(&files);
    return read;
}
