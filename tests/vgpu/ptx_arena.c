/* A bump allocator over blocks that double in size. */
#include "tests/vgpu/ptx_arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64, FIRST_BLOCK = 1 << 16 };

struct PtxBlock {
    PtxBlock *before;
    size_t bytes;
    char padding[ALIGNMENT - sizeof(PtxBlock *) - sizeof(size_t)];
    unsigned char data[];
};

static PtxBlock *new_block(PtxArena *arena, size_t bytes) {
    size_t size = arena->blocks ? 2 * arena->blocks->bytes : FIRST_BLOCK;
    if (size < bytes) size = bytes;
    PtxBlock *block = aligned_alloc(ALIGNMENT, sizeof(PtxBlock) + size);
    if (!block) {
        fputs("vgpu: out of memory\n", stderr);
        abort();
    }
    block->before = arena->blocks;
    block->bytes = size;
    return block;
}

static void *take(PtxArena *arena, size_t bytes) {
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (!arena->blocks || arena->used + bytes > arena->blocks->bytes) {
        arena->blocks = new_block(arena, bytes);
        arena->used = 0;
    }
    void *memory = arena->blocks->data + arena->used;
    arena->used += bytes;
    return memory;
}

void *ptx_new(PtxArena *arena, size_t bytes) {
    return memset(take(arena, bytes), 0, bytes);
}

char *ptx_copy(PtxArena *arena, const char *text, size_t length) {
    char *copy = memcpy(take(arena, length + 1), text, length);
    copy[length] = 0;
    return copy;
}

char *ptx_format(PtxArena *arena, const char *format, ...) {
    char text[1000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return ptx_copy(arena, text, strlen(text));
}

void *ptx_grow(PtxArena *arena, void *list, size_t count, size_t element_bytes) {
    if (count && (count & (count - 1))) return list;
    void *larger = take(arena, (count ? 2 * count : 1) * element_bytes);
    if (count) memcpy(larger, list, count * element_bytes);
    return larger;
}

void ptx_release(PtxArena *arena) {
    while (arena->blocks) {
        PtxBlock *block = arena->blocks;
        arena->blocks = block->before;
        free(block);
    }
    arena->used = 0;
}
