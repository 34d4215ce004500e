/* Bump allocation by lifetime.
 *
 * Everything the compiler makes lives in an arena and is released with it; nobody frees single
 * things. Three lifetimes exist, by convention the name of the argument: `program` (source, tree,
 * checked program), `variant` (graph, kernels, plan of one variant), `scratch` (inside one pass).
 * What a pass makes lives in the arena it was given; what it was given it does not keep.
 *
 *     Arena *arena = arena_new();
 *     Node *node = arena_alloc(arena, sizeof *node);      // zeroed
 *     const char *name = arena_printf(arena, "dense%d", 1);
 *     arena_free(arena);
 *
 * An arena belongs to one thread. Out of memory ends the process with one message. */
#ifndef TUNE_GRAMMAR_ARENA_H
#define TUNE_GRAMMAR_ARENA_H

#include <stddef.h>

typedef struct Arena Arena;

Arena *arena_new(void);
void arena_free(Arena *arena); /* NULL is fine */

/* Zeroed memory, aligned to 16 bytes; never NULL. */
void *arena_alloc(Arena *arena, size_t bytes);

/* A copy of `bytes` bytes of `text`, with a terminating NUL. */
char *arena_copy(Arena *arena, const char *text, size_t bytes);

/* A formatted, NUL-terminated string. */
char *arena_printf(Arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Bytes handed out so far, for --trace. */
size_t arena_bytes(const Arena *arena);

#endif
