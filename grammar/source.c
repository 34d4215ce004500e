/* Source files in one offset space; lines and columns on demand. */
#include "grammar/source.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "grammar/text.h"
#include "grammar/vec.h"

enum { LARGEST_FILE = 16 * 1024 * 1024 };

typedef struct {
    Source source;
    Vec(uint32_t) lines; /* where each line starts, from the file's start */
} File;

struct Sources {
    Arena *arena;
    Vec(File *) files;
    uint32_t next_base;
};

Sources *sources_new(Arena *program) {
    Sources *sources = arena_alloc(program, sizeof *sources);
    sources->arena = program;
    sources->next_base = 1; /* offset 0 is "no place" */
    return sources;
}

/* `text` is NUL-terminated and lives in the arena. */
static const Source *append(Sources *sources, const char *name, const char *text, uint32_t bytes) {
    File *file = arena_alloc(sources->arena, sizeof *file);
    Source *source = &file->source;
    source->name = arena_copy(sources->arena, name, strlen(name));
    source->text = text;
    source->base = sources->next_base;
    source->bytes = bytes;
    sources->next_base += bytes + 1; /* the end of the file is a place, too */
    vec_push(sources->arena, &file->lines, 0);
    for (uint32_t i = 0; i < bytes; i++)
        if (text[i] == '\n') vec_push(sources->arena, &file->lines, i + 1);
    vec_push(sources->arena, &sources->files, file);
    return source;
}

const Source *sources_add(Sources *sources, const char *name, const char *text, uint32_t bytes) {
    return append(sources, name, arena_copy(sources->arena, text, bytes), bytes);
}

static char *read_open_file(Sources *sources, FILE *file, uint32_t *bytes, const char **reason) {
    struct stat status;
    *reason = NULL;
    if (fstat(fileno(file), &status) == 0 && S_ISDIR(status.st_mode)) *reason = "it is a directory";
    Text text = {0};
    char buffer[65536];
    while (!*reason) {
        size_t count = fread(buffer, 1, sizeof buffer, file);
        if (ferror(file)) *reason = arena_printf(sources->arena, "%s", strerror(errno));
        if (count == 0) break;
        text_add_bytes(&text, buffer, count);
        if (text.bytes > LARGEST_FILE) *reason = "it is larger than 16 MiB";
    }
    char *copy = *reason ? NULL : arena_copy(sources->arena, text.at ? text.at : "", text.bytes);
    *bytes = (uint32_t)text.bytes;
    text_release(&text);
    return copy;
}

const Source *sources_read(Sources *sources, const char *path, const char *shown_name,
                           const char **reason) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        *reason = arena_printf(sources->arena, "%s", strerror(errno));
        return NULL;
    }
    uint32_t bytes = 0;
    char *text = read_open_file(sources, file, &bytes, reason);
    fclose(file);
    return text ? append(sources, shown_name, text, bytes) : NULL;
}

static const File *find_file(const Sources *sources, uint32_t offset) {
    for (uint32_t i = 0; offset != 0 && i < sources->files.count; i++) {
        const File *file = sources->files.at[i];
        if (offset >= file->source.base && offset - file->source.base <= file->source.bytes)
            return file;
    }
    return NULL;
}

/* The index of the last line that starts at `at` or before. */
static uint32_t find_line(const File *file, uint32_t at) {
    uint32_t low = 0, high = file->lines.count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (file->lines.at[middle] <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static uint32_t count_characters(const char *text, uint32_t bytes) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < bytes; i++) count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

Location sources_locate(const Sources *sources, uint32_t offset) {
    const File *file = find_file(sources, offset);
    if (!file) return (Location){0};
    const char *text = file->source.text;
    uint32_t at = offset - file->source.base, line = find_line(file, at);
    uint32_t start = file->lines.at[line];
    bool last = line + 1 == file->lines.count;
    uint32_t stop = last ? file->source.bytes : file->lines.at[line + 1] - 1;
    if (stop > start && text[stop - 1] == '\r') stop--;
    return (Location){.source = &file->source,
                      .line = line + 1,
                      .column = 1 + count_characters(text + start, at - start),
                      .line_text = text + start,
                      .line_bytes = stop - start};
}

const char *sources_short_place(const Sources *sources, Span span, Arena *arena) {
    Location place = sources_locate(sources, span.start);
    if (!place.source) return "";
    const char *slash = strrchr(place.source->name, '/');
    return arena_printf(arena, "%s:%u", slash ? slash + 1 : place.source->name, place.line);
}
