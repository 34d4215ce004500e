/* Unique strings: two interned names are equal exactly when their pointers are. The front end
 * interns every identifier; later passes compare pointers. One thread at a time. */
#ifndef TUNE_GRAMMAR_INTERN_H
#define TUNE_GRAMMAR_INTERN_H

#include "grammar/arena.h"

typedef struct Interner Interner;

Interner *interner_new(Arena *program);
const char *intern(Interner *names, const char *text); /* NUL-terminated */
const char *intern_bytes(Interner *names, const char *text, size_t bytes);

#endif
