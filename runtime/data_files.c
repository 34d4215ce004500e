/* Text and token files as one sequence of bytes: patterns to names, names to contents. */
#include "runtime/data_reader.h"

#include <glob.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/file.h"

/* ---- names ---- */

static bool fail_memory(Fail *fail) {
    return fail_set(fail, "not enough memory for the names of the files");
}

static bool has_path(const FileBytes *files, const char *path) {
    for (uint32_t i = 0; i < files->path_count; i++)
        if (strcmp(files->paths[i], path) == 0) return true;
    return false;
}

static bool add_path(FileBytes *files, const char *path, Fail *fail) {
    if (has_path(files, path)) return true;
    char **paths = realloc(files->paths, (files->path_count + 1) * sizeof *paths);
    if (!paths) return fail_memory(fail);
    files->paths = paths;
    paths[files->path_count] = strdup(path);
    return paths[files->path_count] ? (files->path_count++, true) : fail_memory(fail);
}

/* A directory may have characters that mean something in patterns. */
static char *escaped(const char *directory) {
    char *text = malloc(2 * strlen(directory) + 1), *to = text;
    if (!text) return NULL;
    for (; *directory; directory++) {
        if (strchr("*?[]\\", *directory)) *to++ = '\\';
        *to++ = *directory;
    }
    *to = '\0';
    return text;
}

static int by_bytes(const void *left, const void *right) {
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static bool fail_no_match(const char *pattern, const char *directory, Fail *fail) {
    fail_set(fail, "no file below '%s' has a name like '%s'", directory, pattern);
    return fail_help(fail, "--data DIRECTORY says where the data files are");
}

static bool add_matches(FileBytes *files, const glob_t *found, Fail *fail) {
    qsort(found->gl_pathv, found->gl_pathc, sizeof *found->gl_pathv, by_bytes);
    for (size_t i = 0; i < found->gl_pathc; i++)
        if (!add_path(files, found->gl_pathv[i], fail)) return false;
    return true;
}

static bool add_pattern(FileBytes *files, const char *directory, const char *pattern, Fail *fail) {
    char *safe = escaped(directory), *path = safe ? data_path(safe, pattern) : NULL;
    glob_t found = {0};
    int status = path ? glob(path, GLOB_NOSORT, NULL, &found) : GLOB_NOSPACE;
    bool added = false;
    if (status == GLOB_NOMATCH)
        fail_no_match(pattern, directory, fail);
    else if (status != 0)
        fail_set(fail, "cannot look for files like '%s' below '%s'", pattern, directory);
    else
        added = add_matches(files, &found, fail);
    globfree(&found);
    free(path);
    free(safe);
    return added;
}

static bool add_name(FileBytes *files, const char *directory, const char *name, Fail *fail) {
    if (strpbrk(name, "*?[")) return add_pattern(files, directory, name, fail);
    char *path = data_path(directory, name);
    bool added = path ? add_path(files, path, fail) : fail_memory(fail);
    free(path);
    return added;
}

/* ---- contents ---- */

/* Room behind what is there for `more` bytes. */
static bool make_room(FileBytes *files, uint64_t *room, uint64_t more, Fail *fail) {
    if (*room - files->count >= more) return true;
    uint64_t wanted = files->count + more + *room / 2;
    unsigned char *bytes = realloc(files->bytes, wanted);
    if (!bytes) return fail_set(fail, "not enough memory for %s", files->name);
    files->bytes = bytes;
    *room = wanted;
    return true;
}

static bool append_stream(FileBytes *files, uint64_t *room, Stream *stream, Fail *fail) {
    enum { CHUNK = 1 << 20 };
    uint64_t got = CHUNK, most = stream_most_bytes(stream), wanted = most < CHUNK ? most : CHUNK;
    while (got > 0) {
        if (!make_room(files, room, wanted + 1, fail) ||
            !stream_read(stream, files->bytes + files->count, wanted + 1, &got, fail))
            return false;
        files->count += got;
    }
    return true;
}

/* Bytes and tokens may begin with anything, with what gzip's files begin with, too. */
static bool append_file(const TuneData *info, FileBytes *files, uint64_t *room, uint32_t at,
                        Fail *fail) {
    bool any = info->kind == TUNE_DATA_BYTES || info->kind == TUNE_DATA_TOKENS;
    Stream *stream =
        any ? stream_open_by_name(files->paths[at], fail) : stream_open(files->paths[at], fail);
    if (!stream) return false;
    files->start[at] = files->count;
    bool read = append_stream(files, room, stream, fail);
    stream_close(stream);
    return read;
}

bool data_read_files(const TuneData *info, const char *directory, FileBytes *files, Fail *fail) {
    uint64_t room = 0;
    bool good = true;
    *files = (FileBytes){0};
    for (uint32_t i = 0; good && i < info->file_count; i++)
        good = add_name(files, directory, info->files[i], fail);
    if (good) {
        uint32_t more = files->path_count - 1;
        files->name = more ? file_text("'%s' and %u more %s", files->paths[0], more,
                                       more > 1 ? "files" : "file")
                           : file_text("'%s'", files->paths[0]);
        files->start = calloc(files->path_count, sizeof *files->start);
        good = files->start || fail_memory(fail);
    }
    for (uint32_t i = 0; good && i < files->path_count; i++)
        good = append_file(info, files, &room, i, fail);
    if (good && files->count == 0) good = fail_set(fail, "%s: there is nothing in it", files->name);
    if (!good) data_release_files(files);
    return good;
}

void data_release_files(FileBytes *files) {
    for (uint32_t i = 0; i < files->path_count; i++) free(files->paths[i]);
    free(files->paths);
    free(files->start);
    free(files->name);
    free(files->bytes);
    *files = (FileBytes){0};
}

/* ---- characters ---- */

static bool fail_characters(const TuneField *field, const FileBytes *files, uint32_t needed,
                            Fail *fail) {
    char shape[DATA_SHAPE_TEXT];
    fail_set(fail,
             "%s: %u classes are needed, one for each character%s, but the program declares "
             "'%s: %s'",
             files->name, needed, field->row == TUNE_ROW_LINE ? " and 0 for the end" : "",
             field->name, data_shape_text(field, shape));
    return fail_help(fail, "declare class[%u], or more", needed);
}

bool data_number_characters(DataSet *set, const FileBytes *files, const bool used[256],
                            uint32_t first, uint8_t classes[256], Fail *fail) {
    const TuneField *field = &set->info->fields[0];
    uint32_t count = first;
    for (uint32_t byte = 0; byte < 256; byte++) count += used[byte];
    if (count > field->classes) return fail_characters(field, files, count, fail);
    set->characters = calloc(count, 1);
    if (!set->characters) return fail_set(fail, "not enough memory");
    set->character_count = count;
    for (uint32_t byte = 0, class = first; byte < 256; byte++) {
        if (!used[byte]) continue;
        classes[byte] = (uint8_t) class;
        set->characters[class ++] = (unsigned char)byte;
    }
    return true;
}
