/* Source files and places in them.
 *
 * All files of one compilation share one 32-bit offset space: file i owns [base, base + bytes]. A
 * place is a half-open range of global offsets, so a Span alone says which file, line and column.
 * Lines and columns are computed only when something is printed. */
#ifndef TUNE_GRAMMAR_SOURCE_H
#define TUNE_GRAMMAR_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "grammar/arena.h"

typedef struct {
    uint32_t start, end; /* global offsets; {0, 0} is "no place" */
} Span;

typedef struct {
    const char *name; /* as shown to the user: "examples/spirals.tune", "nn.tune" */
    const char *text; /* NUL-terminated */
    uint32_t base, bytes;
} Source;

typedef struct Sources Sources;

typedef struct {
    const Source *source;  /* NULL for "no place" */
    uint32_t line, column; /* from 1; the column counts characters (UTF-8), not bytes */
    const char *line_text; /* start of the line in source->text */
    uint32_t line_bytes;
} Location;

Sources *sources_new(Arena *program);

/* Reads a file. NULL when it cannot be read; then *reason says why (static or arena memory). */
const Source *sources_read(Sources *sources, const char *path, const char *shown_name,
                           const char **reason);
/* Adds text that is already in memory (tests, fuzzers). */
const Source *sources_add(Sources *sources, const char *name, const char *text, uint32_t bytes);

Location sources_locate(const Sources *sources, uint32_t offset);

/* "spirals.tune:13" for printed forms: base name and line; "" for no place. */
const char *sources_short_place(const Sources *sources, Span span, Arena *arena);

#endif
