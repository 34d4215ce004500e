/* Growable arrays in an arena.
 *
 *     typedef Vec(Node *) NodeList;
 *     NodeList list = {0};
 *     vec_push(arena, &list, node);
 *     for (uint32_t i = 0; i < list.count; i++) use(list.at[i]);
 *
 * Growing copies into fresh arena memory, so a pointer into `at` dies with the next push. */
#ifndef TUNE_GRAMMAR_VEC_H
#define TUNE_GRAMMAR_VEC_H

#include <stdint.h>
#include <string.h>

#include "grammar/arena.h"

#define Vec(T)                                                                                     \
    struct {                                                                                       \
        T *at;                                                                                     \
        uint32_t count, capacity;                                                                  \
    }

#define vec_push(arena, vec, ...)                                                                  \
    (vec_room((arena), (void **)&(vec)->at, &(vec)->capacity, (vec)->count, sizeof *(vec)->at),    \
     (void)((vec)->at[(vec)->count++] = (__VA_ARGS__)))

static inline void vec_room(Arena *arena, void **at, uint32_t *capacity, uint32_t count,
                            size_t item_bytes) {
    if (count < *capacity) return;
    uint32_t bigger = *capacity ? 2 * *capacity : 8;
    void *fresh = arena_alloc(arena, bigger * item_bytes);
    if (count) memcpy(fresh, *at, count * item_bytes);
    *at = fresh;
    *capacity = bigger;
}

#endif
