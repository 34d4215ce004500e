/* Unique strings in an open hash table (FNV-1a, linear probing). */
#include "grammar/intern.h"

#include <stdint.h>
#include <string.h>

struct Interner {
    Arena *arena;
    const char **slots;
    uint32_t capacity, count;
};

static uint32_t hash(const char *text, size_t bytes) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < bytes; i++) h = (h ^ (unsigned char)text[i]) * 16777619u;
    return h;
}

Interner *interner_new(Arena *program) {
    Interner *names = arena_alloc(program, sizeof *names);
    names->arena = program;
    names->capacity = 1024;
    names->slots = arena_alloc(program, names->capacity * sizeof *names->slots);
    return names;
}

static const char **find(Interner *names, const char *text, size_t bytes) {
    uint32_t at = hash(text, bytes) & (names->capacity - 1);
    for (;; at = (at + 1) & (names->capacity - 1)) {
        const char *slot = names->slots[at];
        if (!slot || (strncmp(slot, text, bytes) == 0 && slot[bytes] == 0))
            return &names->slots[at];
    }
}

static void grow(Interner *names) {
    const char **old = names->slots;
    uint32_t old_capacity = names->capacity;
    names->capacity *= 2;
    names->slots = arena_alloc(names->arena, names->capacity * sizeof *names->slots);
    for (uint32_t i = 0; i < old_capacity; i++)
        if (old[i]) *find(names, old[i], strlen(old[i])) = old[i];
}

const char *intern_bytes(Interner *names, const char *text, size_t bytes) {
    if (2 * names->count >= names->capacity) grow(names);
    const char **slot = find(names, text, bytes);
    if (!*slot) {
        *slot = arena_copy(names->arena, text, bytes);
        names->count++;
    }
    return *slot;
}

const char *intern(Interner *names, const char *text) {
    return intern_bytes(names, text, strlen(text));
}
