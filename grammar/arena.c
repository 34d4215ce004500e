/* Bump allocation in blocks of 64 KiB, doubling for big requests. */
#include "grammar/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Block {
    struct Block *next;
    size_t used, bytes;
    _Alignas(16) unsigned char at[];
} Block;

struct Arena {
    Block *block;
    size_t bytes;
};

enum { BLOCK_BYTES = 64 * 1024 };

static void *allocate(size_t bytes) {
    void *memory = calloc(1, bytes);
    if (!memory) {
        fputs("tunec: out of memory\n", stderr);
        exit(1);
    }
    return memory;
}

Arena *arena_new(void) {
    return allocate(sizeof(Arena));
}

void arena_free(Arena *arena) {
    if (!arena) return;
    for (Block *block = arena->block; block;) {
        Block *next = block->next;
        free(block);
        block = next;
    }
    free(arena);
}

void *arena_alloc(Arena *arena, size_t bytes) {
    bytes = (bytes + 15) & ~(size_t)15;
    Block *block = arena->block;
    if (!block || block->bytes - block->used < bytes) {
        size_t capacity = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        Block *fresh = allocate(sizeof(Block) + capacity);
        fresh->bytes = capacity;
        fresh->next = block;
        arena->block = block = fresh;
    }
    void *memory = block->at + block->used;
    block->used += bytes;
    arena->bytes += bytes;
    return memory;
}

char *arena_copy(Arena *arena, const char *text, size_t bytes) {
    char *copy = arena_alloc(arena, bytes + 1);
    memcpy(copy, text, bytes);
    return copy;
}

char *arena_printf(Arena *arena, const char *format, ...) {
    va_list list, again;
    va_start(list, format);
    va_copy(again, list);
    int bytes = vsnprintf(NULL, 0, format, list);
    va_end(list);
    char *text = arena_alloc(arena, (size_t)bytes + 1);
    vsnprintf(text, (size_t)bytes + 1, format, again);
    va_end(again);
    return text;
}

size_t arena_bytes(const Arena *arena) {
    return arena->bytes;
}
