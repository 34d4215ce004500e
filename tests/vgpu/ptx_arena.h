/* Memory that is given back all at once: what a module's text and its code are made of. */
#ifndef TUNE_VGPU_PTX_ARENA_H
#define TUNE_VGPU_PTX_ARENA_H

#include <stddef.h>

typedef struct PtxBlock PtxBlock;
typedef struct {
    PtxBlock *blocks; /* the newest first */
    size_t used;      /* of the newest */
} PtxArena;

/* Zeros, aligned to 64 bytes. A machine without memory ends the process. */
void *ptx_new(PtxArena *arena, size_t bytes);
char *ptx_copy(PtxArena *arena, const char *text, size_t length);
char *ptx_format(PtxArena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* `list` with room for `count + 1` elements, the new ones with any bytes; it grows at powers of
 * two. */
void *ptx_grow(PtxArena *arena, void *list, size_t count, size_t element_bytes);
void ptx_release(PtxArena *arena);

#define PTX_PUSH(arena, list, count)                                                               \
    ((list) = ptx_grow(arena, list, count, sizeof *(list)), &(list)[(count)++])

#endif
