/* Diagnostics: collected, sorted by place, duplicates dropped, at most 20 errors printed.
 *
 *     spirals.tune:14:14: error: cannot add f32[batch, 128] and f32[batch, 64]
 *        14 |     h = h + skip
 *           |           ^
 *     spirals.tune:12:9: note: 128 comes from 'width' here
 *        12 |     h = nn.dense(h, width)
 *           |                     ^~~~~
 *     help: slice or project one of them so that the last axes agree
 *
 * Texts are lower case, without a full stop, what is wrong first, names in single quotes. A pass
 * runs to its end; the pipeline stops after the first pass that left errors. */
#ifndef TUNE_GRAMMAR_DIAG_H
#define TUNE_GRAMMAR_DIAG_H

#include <stdbool.h>
#include <stdio.h>

#include "grammar/source.h"

typedef struct Diags Diags;
typedef struct Diag Diag;

Diags *diags_new(Arena *program, const Sources *sources);

Diag *diag_error(Diags *diags, Span place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
Diag *diag_warning(Diags *diags, Span place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Further places that explain the message above, in the order given. */
void diag_note(Diag *diag, Span place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* What to type. One per diagnostic. */
void diag_help(Diag *diag, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool diags_failed(const Diags *diags); /* any error so far */
uint32_t diags_error_count(const Diags *diags);

/* Sorted, deduplicated, capped. `json`: one JSON array instead of text. */
void diags_print(Diags *diags, FILE *out, bool json);

/* The candidate nearest to `name` by edit distance, or NULL when none is near enough. */
const char *diag_nearest(const char *name, const char *const *candidates, uint32_t count);

#endif
