/* Lines of text as examples: the characters of a line, numbered from 1, then zeros to the end of
 * the row. Every row ends with one 0 at least, so that a model can learn where lines end. */
#include "runtime/data_reader.h"

#include <inttypes.h>
#include <string.h>

typedef struct {
    const unsigned char *at;
    uint64_t length; /* without what ends it */
    uint64_t number; /* in its file, from 1 */
    uint32_t file;
} Line;

typedef struct {
    const FileBytes *files;
    uint64_t next, number;
    uint32_t file;
} Lines;

static uint64_t file_end(const FileBytes *files, uint32_t file) {
    return file + 1 < files->path_count ? files->start[file + 1] : files->count;
}

/* The next line that is not empty; a file's end ends its last line. */
static bool next_line(Lines *lines, Line *line) {
    const FileBytes *files = lines->files;
    while (lines->next < files->count) {
        while (lines->next >= file_end(files, lines->file)) {
            lines->file++;
            lines->number = 0;
        }
        const unsigned char *at = files->bytes + lines->next;
        uint64_t left = file_end(files, lines->file) - lines->next;
        const unsigned char *end = memchr(at, '\n', left);
        uint64_t length = end ? (uint64_t)(end - at) : left;
        lines->next += length + (end != NULL);
        lines->number++;
        if (end && length > 0 && at[length - 1] == '\r') length--;
        *line = (Line){at, length, lines->number, lines->file};
        if (length > 0) return true;
    }
    return false;
}

static bool fail_long(const DataSet *set, const FileBytes *files, const Line *line, Fail *fail) {
    char shape[DATA_SHAPE_TEXT];
    const TuneField *field = &set->info->fields[0];
    fail_set(fail,
             "'%s', line %" PRIu64 ": %" PRIu64 " characters, but '%s: %s' has room for "
             "%" PRId64 " and the end",
             files->paths[line->file], line->number, line->length, field->name,
             data_shape_text(field, shape), field->dims[0] - 1);
    return fail_help(fail, "declare line[%" PRIu64 "], or let long lines be cut with 'cut: true'",
                     line->length + 1);
}

/* How many lines there are, of how long ones, and of which characters. */
static bool look(DataSet *set, const FileBytes *files, bool used[256], Fail *fail) {
    uint64_t most = (uint64_t)set->info->fields[0].dims[0] - 1;
    Lines lines = {.files = files};
    Line line;
    while (next_line(&lines, &line)) {
        if (line.length > most && !set->info->cut) return fail_long(set, files, &line, fail);
        for (uint64_t i = 0; i < line.length && i < most; i++) used[line.at[i]] = true;
        set->examples++;
    }
    return set->examples > 0 || fail_set(fail, "%s: there are only empty lines", files->name);
}

static bool read_lines(DataSet *set, const FileBytes *files, Fail *fail) {
    bool used[256] = {false};
    uint8_t classes[256] = {0};
    uint64_t length = (uint64_t)set->info->fields[0].dims[0];
    if (!look(set, files, used, fail) ||
        !data_number_characters(set, files, used, 1, classes, fail) ||
        !data_allocate(set, 0, set->examples, fail))
        return false;
    uint8_t *to = set->fields[0];
    Lines lines = {.files = files};
    for (Line line; next_line(&lines, &line); to += length)
        for (uint64_t i = 0; i < line.length && i < length - 1; i++) to[i] = classes[line.at[i]];
    return true;
}

bool data_read_lines(DataSet *set, const char *directory, Fail *fail) {
    FileBytes files;
    if (!data_read_files(set->info, directory, &files, fail)) return false;
    bool read = read_lines(set, &files, fail);
    data_release_files(&files);
    return read;
}
