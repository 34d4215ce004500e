/* Loads and stores. A warp's 32 addresses are looked at together: shape, alignment, the window that
 * holds them all; lane by lane only where that fails. */
#include "tests/vgpu/engine.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

/* ---- addresses ---- */

void access_addresses(Access *access, const Operand *base, bool wide, int64_t displacement) {
    const unsigned char *registers = access->warp->registers;
    if (!base->given) {
        for (uint32_t l = 0; l < LANES; l++) access->at[l] = (uint64_t)displacement;
    } else if (wide) {
        const uint64_t *row = operand_row(base, registers);
        for (uint32_t l = 0; l < LANES; l++) access->at[l] = row[l] + (uint64_t)displacement;
    } else { /* a 32-bit address wraps around in 32 bits */
        const uint32_t *row = operand_row(base, registers);
        for (uint32_t l = 0; l < LANES; l++) access->at[l] = row[l] + (uint32_t)displacement;
    }
}

static StateSpace space_of(uint64_t address) {
    if (address - SHARED_WINDOW < WINDOW_BYTES) return S_SHARED;
    if (address - LOCAL_WINDOW < WINDOW_BYTES) return S_LOCAL;
    return S_GLOBAL;
}

uint32_t access_resolve(Access *access, uint32_t mask) {
    const StateSpace space = space_of(access->at[first_lane(mask)]);
    const uint64_t window = space == S_SHARED ? SHARED_WINDOW : space == S_LOCAL ? LOCAL_WINDOW : 0;
    uint32_t same = 0;
    for (uint32_t rest = mask; rest; rest &= rest - 1) {
        const uint32_t lane = first_lane(rest);
        if (space_of(access->at[lane]) != space) continue;
        access->at[lane] -= window;
        same |= 1u << lane;
    }
    access->space = space;
    return same;
}

/* ---- windows ---- */

static bool holds(const Window *window, uint64_t address, uint64_t bytes) {
    return address >= window->lo && address < window->hi && bytes <= window->hi - address;
}

/* The instance of an extent, for some trial, that holds the range. */
static bool extent_window(const Launch *launch, uint64_t address, uint64_t bytes, Window *window) {
    for (uint32_t i = 0; i < launch->extent_count; i++) {
        const Extent *extent = &launch->extents[i];
        if (address < extent->address) continue;
        uint64_t trial = 0;
        if (extent->stride > 0 && launch->trials > 1) {
            trial = (address - extent->address) / extent->stride;
            if (trial >= launch->trials) trial = launch->trials - 1;
        }
        window->lo = extent->address + trial * extent->stride;
        window->hi = window->lo + extent->bytes;
        if (holds(window, address, bytes)) return true;
    }
    return false;
}

static bool find_window(Machine *machine, StateSpace space, uint64_t address, uint64_t bytes,
                        Window *window) {
    if (space == S_SHARED) {
        *window = (Window){0, machine->shared_bytes, machine->shared, machine->shared_state};
        return holds(window, address, bytes);
    }
    const Block *block = memory_find(machine->memory, address);
    if (!block || block->freed) return false;
    Window whole = {block->address, block->address + block->bytes, block->data, block->written};
    if (!holds(&whole, address, bytes)) return false;
    *window = whole;
    if (machine->check < 1 || machine->launch->extent_count == 0 || block->variable ||
        space == S_CONST)
        return true;
    if (!extent_window(machine->launch, address, bytes, window)) return false;
    if (window->lo < whole.lo) window->lo = whole.lo;
    if (window->hi > whole.hi) window->hi = whole.hi;
    window->data = whole.data + (window->lo - whole.lo);
    window->written = whole.written ? whole.written + (window->lo - whole.lo) : NULL;
    return true;
}

/* ---- checks ---- */

static bool found_misaligned(Machine *machine, const Access *access) {
    uint32_t lane = first_lane(access->mask);
    for (uint32_t rest = access->mask; rest; rest &= rest - 1) {
        lane = first_lane(rest);
        if (access->at[lane] % access->align != 0) break;
    }
    found(machine, FOUND_MISALIGNED, access->warp, access->instr, (int)lane,
          "%s %u bytes at 0x%" PRIx64 ", which is no multiple of %u",
          access->direction & TO_WRITE ? "writes" : "reads", access->bytes, access->at[lane],
          access->align);
    if (access->space == S_GLOBAL) found_buffer(machine, access->at[lane]);
    return false;
}

/* Lane by lane, each with its own window. */
static bool place_lanes(Machine *machine, Access *access) {
    Window window = {0};
    access->contiguous = false;
    access->tracked = true;
    for (uint32_t rest = access->mask; rest; rest &= rest - 1) {
        const uint32_t lane = first_lane(rest);
        const uint64_t at = access->at[lane];
        if (!holds(&window, at, access->bytes) &&
            !find_window(machine, access->space, at, access->bytes, &window))
            return found_bad_address(machine, access, lane);
        access->data[lane] = window.data + (at - window.lo);
        access->written[lane] = window.written ? window.written + (at - window.lo) : NULL;
    }
    return true;
}

/* All lanes in one window. */
static void place_together(Access *access, const Pattern *pattern, uint64_t first) {
    const Window *window = &pattern->window;
    unsigned char *data = window->data + (first - window->lo);
    unsigned char *written = window->written ? window->written + (first - window->lo) : NULL;
    access->contiguous = pattern->contiguous;
    access->tracked = written != NULL;
    if (access->contiguous) {
        access->data[0] = data;
        access->written[0] = written;
        return;
    }
    for (uint32_t l = 0; l < LANES; l++) access->data[l] = data + pattern->offset[l];
    for (uint32_t l = 0; written && l < LANES; l++)
        access->written[l] = written + pattern->offset[l];
}

static bool place_local(Machine *machine, Access *access) {
    const uint64_t room = machine->function->local_bytes;
    const Warp *warp = access->warp;
    access->contiguous = false;
    access->tracked = warp->local_written != NULL;
    for (uint32_t rest = access->mask; rest; rest &= rest - 1) {
        const uint32_t lane = first_lane(rest);
        const uint64_t at = access->at[lane];
        if (machine->check >= 1 && at % access->align != 0)
            return found_misaligned(machine, access);
        if (at >= room || access->bytes > room - at)
            return found_bad_address(machine, access, lane);
        access->data[lane] = warp->local + lane * room + at;
        access->written[lane] = warp->local_written ? warp->local_written + lane * room + at : NULL;
    }
    return true;
}

static bool all_written(const unsigned char *written, size_t bytes) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t eight, wrong = 0;
    uint32_t four;
    size_t at = 0;
    for (; at + 8 <= bytes; at += 8) {
        memcpy(&eight, written + at, 8);
        wrong |= eight ^ ones;
    }
    if (bytes - at >= 4) {
        memcpy(&four, written + at, 4);
        wrong |= four ^ (uint32_t)ones;
        at += 4;
    }
    for (; at < bytes; at++) wrong |= written[at] ^ BYTE_WRITTEN;
    return wrong == 0;
}

static bool found_unwritten(Machine *machine, const Access *access, uint32_t lane,
                            const unsigned char *written) {
    static const char *const space[] = {"global", "global",    "shared",
                                        "local",  "parameter", "constant"};
    uint32_t bad = 0;
    while (bad < access->bytes - 1 && written[bad] == BYTE_WRITTEN) bad++;
    if (written[bad] == BYTE_PENDING) {
        found(machine, FOUND_RACE, access->warp, access->instr, (int)lane,
              "reads %u bytes of shared memory at %" PRIu64
              " that a cp.async has not delivered: no wait_group lies between",
              access->bytes, access->at[lane]);
        found_pending(machine, access->at[lane], access->bytes);
        return false;
    }
    found(machine, FOUND_UNINITIALISED, access->warp, access->instr, (int)lane,
          "reads %u bytes of %s memory that nobody has written", access->bytes,
          space[access->space]);
    if (access->space == S_SHARED || access->space == S_LOCAL)
        found_more(machine, "address", "%" PRIu64 " in %s memory", access->at[lane] + bad,
                   space[access->space]);
    else
        found_buffer(machine, access->at[lane] + bad);
    if (access->at[lane] + bad - machine->launch->dead < machine->launch->dead_bytes)
        found_more(machine, "note", "what earlier launches wrote there does not count any more");
    return false;
}

static inline uint64_t wrong_in(const unsigned char *written, uint32_t bytes) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t x = ones, y = ones;
    if (bytes == 4) {
        memcpy(&x, written, 4);
    } else if (bytes == 16) {
        memcpy(&x, written, 8);
        memcpy(&y, written + 8, 8);
    } else {
        return !all_written(written, bytes);
    }
    return (x ^ ones) | (y ^ ones);
}

static bool check_written(Machine *machine, const Access *access, const Pattern *pattern) {
    if (!access->tracked) return true;
    const uint32_t first = first_lane(access->mask);
    const unsigned char *written = access->written[access->contiguous ? 0 : first];
    if (access->contiguous && all_written(written, (size_t)LANES * access->bytes)) return true;
    if (!access->contiguous && pattern && pattern->dense &&
        all_written(written + pattern->low, (size_t)(pattern->high - pattern->low) + access->bytes))
        return true;
    for (uint32_t rest = access->mask; rest; rest &= rest - 1) {
        const uint32_t lane = first_lane(rest);
        const unsigned char *own =
            access->contiguous ? written + (size_t)lane * access->bytes : access->written[lane];
        if (own && wrong_in(own, access->bytes)) return found_unwritten(machine, access, lane, own);
    }
    return true;
}

/* Writes into bytes that a cp.async is going to write. */
static bool check_pending(Machine *machine, const Access *access) {
    for (uint32_t rest = access->mask; rest; rest &= rest - 1) {
        const uint32_t lane = first_lane(rest);
        if (!memchr(machine->shared_state + access->at[lane], BYTE_PENDING, access->bytes))
            continue;
        found(machine, FOUND_RACE, access->warp, access->instr, (int)lane,
              "writes %u bytes of shared memory at %" PRIu64
              " that a cp.async is about to write: no wait_group lies between",
              access->bytes, access->at[lane]);
        found_pending(machine, access->at[lane], access->bytes);
        return false;
    }
    return true;
}

static void count(Machine *machine, const Access *access, Pattern *pattern, uint64_t first) {
    Counters *counters = &machine->counters;
    if (access->space == S_GLOBAL) {
        if (pattern->phase != first % 32) {
            pattern->phase = first % 32;
            pattern->cost = count_sectors(pattern, first);
        }
        counters->global_bytes += (uint64_t)lane_count(access->mask) * access->bytes;
        counters->global_sectors += pattern->cost;
    } else if (access->space == S_SHARED) {
        if (pattern->phase != first % 4) {
            pattern->phase = first % 4;
            pattern->cost = count_conflicts(pattern, first);
        }
        counters->shared_accesses++;
        counters->bank_conflicts += pattern->cost;
    }
}

/* `pattern` where all lanes lie in its window, or NULL. */
static bool check_contents(Machine *machine, const Access *access, const Pattern *pattern) {
    if ((access->direction & TO_READ) && !check_written(machine, access, pattern)) return false;
    if (access->space != S_SHARED || !machine->shared_state) return true;
    if ((access->direction & TO_WRITE) && machine->pending > 0 && !check_pending(machine, access))
        return false;
    return !machine->cells || race_check(machine, access, pattern);
}

/* The lanes' distances from the first, 0 where a lane is out; whether they are what they were. */
static inline bool is_known(const Access *access, const Pattern *pattern, int64_t offset[LANES]) {
    const uint64_t first = access->at[first_lane(access->mask)];
    uint64_t different = (pattern->mask ^ access->mask) | (pattern->bytes ^ access->bytes);
    if (access->mask == UINT32_MAX) {
        for (uint32_t l = 0; l < LANES; l++) offset[l] = (int64_t)(access->at[l] - first);
    } else {
        for (uint32_t l = 0; l < LANES; l++)
            offset[l] = (int64_t)((access->at[l] - first) & -(uint64_t)(access->mask >> l & 1));
    }
    for (uint32_t l = 0; l < LANES; l++) different |= (uint64_t)(offset[l] ^ pattern->offset[l]);
    return different == 0;
}

LANE_CLONES bool access_check(Machine *machine, Access *access, Pattern *pattern) {
    if (access->space == S_LOCAL)
        return place_local(machine, access) &&
               (machine->check < 2 || check_contents(machine, access, NULL));
    const uint64_t first = access->at[first_lane(access->mask)];
    int64_t offset[LANES];
    if (!is_known(access, pattern, offset))
        pattern_learn(pattern, offset, access->mask, access->bytes);
    else if (machine->cells && access->space == S_SHARED && pattern->leaders == 0)
        pattern_learn_twins(pattern);
    if (machine->check >= 1 && ((first | pattern->bits) & (access->align - 1)))
        return found_misaligned(machine, access);
    const uint64_t low = first + (uint64_t)pattern->low;
    const uint64_t bytes = (uint64_t)(pattern->high - pattern->low) + access->bytes;
    const Pattern *together = pattern;
    Window window;
    if (holds(&pattern->window, low, bytes)) {
        place_together(access, pattern, first);
    } else if (find_window(machine, access->space, low, bytes, &window)) {
        pattern->window = window;
        place_together(access, pattern, first);
    } else {
        together = NULL;
        if (!place_lanes(machine, access)) return false;
    }
    count(machine, access, pattern, first);
    return machine->check < 2 || check_contents(machine, access, together);
}

void access_mark_written(const Access *access) {
    if (!access->tracked) return;
    if (access->contiguous) {
        memset(access->written[0], BYTE_WRITTEN, (size_t)LANES * access->bytes);
        return;
    }
    for (uint32_t rest = access->mask; rest; rest &= rest - 1) {
        const uint32_t lane = first_lane(rest);
        if (access->written[lane]) memset(access->written[lane], BYTE_WRITTEN, access->bytes);
    }
}

/* ---- registers <-> memory ---- */

/* Element `index` of every lane's vector; STEP is one lane's work. */
#define EACH_LANE(access, index, element, STEP)                                                    \
    do {                                                                                           \
        if ((access)->contiguous) {                                                                \
            unsigned char *host = (access)->data[0] + (index) * sizeof(element);                   \
            for (uint32_t l = 0; l < LANES; l++, host += (access)->bytes) {                        \
                STEP;                                                                              \
            }                                                                                      \
        } else if ((access)->mask == UINT32_MAX) {                                                 \
            for (uint32_t l = 0; l < LANES; l++) {                                                 \
                unsigned char *host = (access)->data[l] + (index) * sizeof(element);               \
                STEP;                                                                              \
            }                                                                                      \
        } else {                                                                                   \
            for (uint32_t rest = (access)->mask; rest; rest &= rest - 1) {                         \
                const uint32_t l = first_lane(rest);                                               \
                unsigned char *host = (access)->data[l] + (index) * sizeof(element);               \
                STEP;                                                                              \
            }                                                                                      \
        }                                                                                          \
    } while (0)

#define LOAD(access, index, row_type, element, converted)                                          \
    do {                                                                                           \
        row_type *to = (row_type *)row;                                                            \
        EACH_LANE(access, index, element, {                                                        \
            element x;                                                                             \
            memcpy(&x, host, sizeof x);                                                            \
            to[l] = (row_type)(converted);                                                         \
        });                                                                                        \
    } while (0)

/* A value narrower than its register is extended by its own sign; rows hold narrow registers
 * zero-extended. */
static __attribute__((noinline)) void load_extended(const Access *access, uint32_t index,
                                                    void *row) {
    const Instr *instr = access->instr;
    const uint32_t bytes = type_bytes(instr->type);
    const uint32_t wide = type_bytes(instr->from);
    if (type_signed(instr->type)) {
        if (wide == 8) {
            if (bytes == 1) LOAD(access, index, uint64_t, int8_t, (int64_t)x);
            if (bytes == 2) LOAD(access, index, uint64_t, int16_t, (int64_t)x);
            if (bytes == 4) LOAD(access, index, uint64_t, int32_t, (int64_t)x);
        } else if (wide == 4) {
            if (bytes == 1) LOAD(access, index, uint32_t, int8_t, (int32_t)x);
            if (bytes == 2) LOAD(access, index, uint32_t, int16_t, (int32_t)x);
        } else {
            if (bytes == 1) LOAD(access, index, uint32_t, int8_t, (uint16_t)(int16_t)x);
        }
        return;
    }
    assert(wide == 8);
    if (bytes == 1) LOAD(access, index, uint64_t, uint8_t, x);
    if (bytes == 2) LOAD(access, index, uint64_t, uint16_t, x);
    if (bytes == 4) LOAD(access, index, uint64_t, uint32_t, x);
}

static inline __attribute__((always_inline)) void load_element(const Access *access, uint32_t index,
                                                               void *row) {
    const Instr *instr = access->instr;
    const uint32_t bytes = type_bytes(instr->type);
    const uint32_t wide = instr->from == T_NONE ? bytes : type_bytes(instr->from);
    if (wide > bytes && (wide == 8 || type_signed(instr->type)))
        load_extended(access, index, row);
    else if (bytes == 8)
        LOAD(access, index, uint64_t, uint64_t, x);
    else if (bytes == 4)
        LOAD(access, index, uint32_t, uint32_t, x);
    else if (bytes == 2)
        LOAD(access, index, uint32_t, uint16_t, x);
    else
        LOAD(access, index, uint32_t, uint8_t, x);
}

#define STORE(access, index, row_type, element)                                                    \
    do {                                                                                           \
        const row_type *from = (const row_type *)row;                                              \
        EACH_LANE(access, index, element, {                                                        \
            const element x = (element)from[l];                                                    \
            memcpy(host, &x, sizeof x);                                                            \
        });                                                                                        \
    } while (0)

static inline __attribute__((always_inline)) void store_element(const Access *access,
                                                                uint32_t index, const void *row) {
    const Instr *instr = access->instr;
    const uint32_t bytes = type_bytes(instr->type);
    if (bytes == 8) {
        STORE(access, index, uint64_t, uint64_t);
    } else if (type_bytes(instr->from) == 8) {
        if (bytes == 4) STORE(access, index, uint64_t, uint32_t);
        if (bytes == 2) STORE(access, index, uint64_t, uint16_t);
        if (bytes == 1) STORE(access, index, uint64_t, uint8_t);
    } else {
        if (bytes == 4) STORE(access, index, uint32_t, uint32_t);
        if (bytes == 2) STORE(access, index, uint32_t, uint16_t);
        if (bytes == 1) STORE(access, index, uint32_t, uint8_t);
    }
}

/* Four words of every lane at once: what tiled kernels do most. */
static void load_four(const Access *access, unsigned char *registers) {
    uint32_t *row[4];
    for (uint32_t i = 0; i < 4; i++)
        row[i] = (uint32_t *)(void *)(registers + access->instr->d[i].at);
    for (uint32_t l = 0; l < LANES; l++) {
        uint32_t word[4];
        memcpy(word, access->data[l], sizeof word);
        for (uint32_t i = 0; i < 4; i++) row[i][l] = word[i];
    }
}

/* ---- instructions ---- */

static Pattern *pattern_for(const Machine *machine, const Instr *instr) {
    return &machine->patterns[machine->pattern_of[instr - machine->code]];
}

/* Parameters: the launch's own bytes, the same for all lanes mostly. */
static bool load_param(Machine *machine, Access *access) {
    const uint64_t room = machine->function->param_bytes;
    const uint32_t first = first_lane(access->mask);
    const bool same = !access->instr->address.given;
    /* Only read: a load has no use for the right to write. */
    unsigned char *params = (unsigned char *)machine->launch->params;
    for (uint32_t rest = same ? 1u << first : access->mask; rest; rest &= rest - 1) {
        const uint32_t lane = first_lane(rest);
        const uint64_t at = access->at[lane];
        if (at >= room || access->bytes > room - at)
            return found_bad_address(machine, access, lane);
        access->data[lane] = params + at;
    }
    for (uint32_t l = 0; same && l < LANES; l++) access->data[l] = params + access->at[first];
    return true;
}

LANE_CLONES bool access_load(Machine *machine, Warp *warp, const Instr *instr, uint32_t mask) {
    Access access;
    access.warp = warp;
    access.instr = instr;
    access.direction = TO_READ;
    access.touch = TOUCH_PLAIN;
    access.bytes = access.align = type_bytes(instr->type) * instr->vector;
    access.space = instr->space;
    access.contiguous = false;
    access_addresses(&access, &instr->address, instr->address_wide, instr->displacement);
    for (uint32_t rest = mask; rest; rest &= ~access.mask) {
        access.mask = instr->space == S_GENERIC ? access_resolve(&access, rest) : rest;
        if (!(access.space == S_PARAM
                  ? load_param(machine, &access)
                  : access_check(machine, &access, pattern_for(machine, instr))))
            return false;
        if (access.mask == UINT32_MAX && !access.contiguous && access.bytes == 16 &&
            instr->vector == 4) {
            load_four(&access, warp->registers);
            continue;
        }
        for (uint32_t i = 0; i < instr->vector; i++)
            load_element(&access, i, warp->registers + instr->d[i].at);
    }
    return true;
}

LANE_CLONES bool access_store(Machine *machine, Warp *warp, const Instr *instr, uint32_t mask) {
    Access access;
    access.warp = warp;
    access.instr = instr;
    access.direction = TO_WRITE;
    access.touch = TOUCH_PLAIN;
    access.bytes = access.align = type_bytes(instr->type) * instr->vector;
    access.space = instr->space;
    access_addresses(&access, &instr->address, instr->address_wide, instr->displacement);
    for (uint32_t rest = mask; rest; rest &= ~access.mask) {
        access.mask = instr->space == S_GENERIC ? access_resolve(&access, rest) : rest;
        if (!access_check(machine, &access, pattern_for(machine, instr))) return false;
        for (uint32_t i = 0; i < instr->vector; i++)
            store_element(&access, i, operand_row(&instr->s[i], warp->registers));
        access_mark_written(&access);
    }
    return true;
}
