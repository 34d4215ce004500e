/* Races in shared memory, thread by thread. Each granule remembers who wrote it and two different
 * threads that read it since, each with the clock of their warp at that time. Two accesses are
 * ordered when a barrier lies between that both threads took part in: warps carry vector clocks,
 * which barriers join; lanes of a warp meet at bar.warp.sync and at collectives.
 *
 * A granule is the smallest access to shared memory in the whole function: with alignment checked,
 * every access covers whole ones. */
#include "tests/vgpu/engine.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST_GRANULE_SHIFT = 2, THREAD_BITS = 10, TOUCH_SHIFT = 30 };
static const uint32_t clock_limit = UINT32_C(3) << 30;

static uint32_t shared_access_bytes(const Instr *instr) {
    switch (instr->kind) {
    case I_LOAD:
    case I_STORE:
    case I_ATOMIC: {
        const uint32_t vector = instr->vector > 0 ? instr->vector : 1;
        const bool shared = instr->space == S_SHARED || instr->space == S_GENERIC;
        return shared ? type_bytes(instr->type) * vector : UINT32_MAX;
    }
    case I_CP_ASYNC: return instr->bytes;
    default: return UINT32_MAX;
    }
}

bool races_start(Machine *machine) {
    if (machine->check < 2 || machine->shared_bytes == 0) return true;
    uint32_t smallest = 1u << LARGEST_GRANULE_SHIFT;
    for (uint32_t i = 0; i < machine->function->count; i++) {
        const uint32_t bytes = shared_access_bytes(&machine->code[i]);
        if (bytes > 0 && bytes < smallest) smallest = bytes;
    }
    machine->granule_shift = (uint32_t)__builtin_ctz(smallest);
    const size_t count = (machine->shared_bytes >> machine->granule_shift) + 1;
    machine->cells = calloc(count, sizeof *machine->cells);
    return machine->cells != NULL;
}

void races_start_block(Machine *machine) {
    if (!machine->cells) return;
    if (machine->clock > clock_limit) { /* as good as new, long before the clock turns over */
        machine->clock = 0;
        memset(machine->cells, 0,
               ((machine->shared_bytes >> machine->granule_shift) + 1) * sizeof *machine->cells);
        for (uint32_t w = 0; w < WARPS; w++) {
            free(machine->warps[w].pair_seen);
            machine->warps[w].pair_seen = NULL;
        }
    }
    const uint32_t before = machine->clock; /* all of it is of earlier blocks */
    for (uint32_t w = 0; w < machine->warp_count; w++) {
        machine->warps[w].all_seen = machine->warps[w].lanes_seen = before;
        machine->warps[w].clock = ++machine->clock;
        for (uint32_t v = 0; v < machine->warp_count; v++) machine->seen[w][v] = before;
    }
}

/* ---- records ---- */

static inline uint64_t record(const Machine *machine, const Access *access, uint32_t thread) {
    return (uint64_t)access->warp->clock << 32 | (uint64_t)access->touch << TOUCH_SHIFT |
           (uint64_t)(access->instr - machine->code) << THREAD_BITS | thread;
}

static inline uint32_t clock_of(uint64_t entry) {
    return (uint32_t)(entry >> 32);
}

static inline uint32_t thread_of(uint64_t entry) {
    return entry & ((1 << THREAD_BITS) - 1);
}

static inline Touch touch_of(uint64_t entry) {
    return (Touch)(entry >> TOUCH_SHIFT & 3);
}

static inline uint32_t instr_of(uint64_t entry) {
    return (uint32_t)entry << (32 - TOUCH_SHIFT) >> (32 - TOUCH_SHIFT + THREAD_BITS);
}

/* What is recorded comes before what `thread` of `warp` does now. */
static inline bool is_ordered(const Machine *machine, const Warp *warp, uint32_t thread,
                              uint64_t entry) {
    const uint32_t clock = clock_of(entry), other = thread_of(entry);
    if (clock <= warp->all_seen || other == thread) return true;
    const uint32_t other_warp = other / LANES;
    if (other_warp != warp->number) return machine->seen[warp->number][other_warp] >= clock;
    return clock <= warp->lanes_seen ||
           (warp->pair_seen && warp->pair_seen[thread % LANES][other % LANES] >= clock);
}

static bool found_race(Machine *machine, const Access *access, uint32_t lane, uint64_t entry,
                       const char *did) {
    static const char *const verb[] = {"", "reads", "writes", "updates"};
    const uint32_t other = thread_of(entry);
    char who[100];
    thread_text(machine, other, who, sizeof who);
    const char *barrier = other / LANES == access->warp->number
                              ? "no barrier, not of the warp either, lies between"
                              : "no barrier lies between";
    found(machine, FOUND_RACE, access->warp, access->instr, (int)lane,
          "%s %u bytes of shared memory at %" PRIu64 " that %s %s: %s", verb[access->direction],
          access->bytes, access->at[lane], who, did, barrier);
    found_more(machine, "other", "%s %s here:", who, did);
    found_place(machine, &machine->code[instr_of(entry)]);
    return false;
}

/* A read of one granule; what the warp's clock says already is passed over quickly: the same reader
 * again, or two readers of this warp, who stand for all of it. */
static inline bool read_cell(Machine *machine, const Access *access, Cell *cell, uint64_t mine) {
    const uint64_t reader = cell->reader[0];
    if (clock_of(reader) == clock_of(mine) &&
        (thread_of(reader) == thread_of(mine) || clock_of(cell->reader[1]) == clock_of(mine)))
        return true;
    const Warp *warp = access->warp;
    if (clock_of(cell->writer) > warp->all_seen &&
        !is_ordered(machine, warp, thread_of(mine), cell->writer))
        return found_race(machine, access, thread_of(mine) % LANES, cell->writer, "wrote");
    if (thread_of(reader) != thread_of(mine)) cell->reader[1] = reader;
    cell->reader[0] = mine;
    return true;
}

/* A read of one granule by two lanes, who may stand for others at the same address. */
static inline bool read_cell_twice(Machine *machine, const Access *access, Cell *cell, uint64_t a,
                                   uint64_t b) {
    if (clock_of(cell->reader[0]) == clock_of(a) && clock_of(cell->reader[1]) == clock_of(a))
        return true;
    if (clock_of(cell->writer) > access->warp->all_seen)
        return read_cell(machine, access, cell, a) && read_cell(machine, access, cell, b);
    cell->reader[1] = a;
    cell->reader[0] = b;
    return true;
}

static inline bool write_cell(Machine *machine, const Access *access, Cell *cell, uint64_t mine) {
    const Warp *warp = access->warp;
    const uint32_t thread = thread_of(mine);
    const bool both_atomic =
        touch_of(cell->writer) == TOUCH_ATOMIC && access->touch == TOUCH_ATOMIC;
    if (!both_atomic && !is_ordered(machine, warp, thread, cell->writer))
        return found_race(machine, access, thread % LANES, cell->writer, "wrote");
    for (uint32_t i = 0; i < 2; i++)
        if (!is_ordered(machine, warp, thread, cell->reader[i]))
            return found_race(machine, access, thread % LANES, cell->reader[i], "read");
    *cell = (Cell){.writer = mine};
    return true;
}

static bool check_reads(Machine *machine, const Access *access, const Pattern *pattern) {
    const uint32_t shift = machine->granule_shift, cells = access->bytes >> shift;
    const uint64_t first = record(machine, access, access->warp->number * LANES);
    const bool twins = pattern && pattern->leaders;
    for (uint32_t rest = twins ? pattern->leaders : access->mask; rest; rest &= rest - 1) {
        const uint32_t lane = first_lane(rest);
        const uint32_t twin = twins ? pattern->twin[lane] : LANES;
        Cell *cell = &machine->cells[access->at[lane] >> shift];
        for (const Cell *end = cell + cells; cell < end; cell++)
            if (!(twin < LANES ? read_cell_twice(machine, access, cell, first + lane, first + twin)
                               : read_cell(machine, access, cell, first + lane)))
                return false;
    }
    return true;
}

static bool check_writes(Machine *machine, const Access *access) {
    const uint32_t shift = machine->granule_shift, cells = access->bytes >> shift;
    const uint64_t first = record(machine, access, access->warp->number * LANES);
    for (uint32_t rest = access->mask; rest; rest &= rest - 1) {
        const uint32_t lane = first_lane(rest);
        Cell *cell = &machine->cells[access->at[lane] >> shift];
        for (const Cell *end = cell + cells; cell < end; cell++)
            if (!write_cell(machine, access, cell, first + lane)) return false;
    }
    return true;
}

bool race_check(Machine *machine, const Access *access, const Pattern *pattern) {
    return access->direction == TO_READ ? check_reads(machine, access, pattern)
                                        : check_writes(machine, access);
}

/* A cp.async counts as a write from its issue to here. */
void race_landed(Machine *machine, const Warp *warp, const Copy *copy) {
    const uint32_t thread = warp->number * LANES + copy->lane;
    Cell *cell = &machine->cells[copy->to >> machine->granule_shift];
    for (uint32_t i = 0; i < (uint32_t)copy->bytes >> machine->granule_shift; i++, cell++) {
        if (touch_of(cell->writer) != TOUCH_ASYNC || thread_of(cell->writer) != thread) continue;
        cell->writer = (uint64_t)warp->clock << 32 | (uint64_t)copy->at << THREAD_BITS | thread;
    }
}

/* ---- meetings ---- */

/* Each lane of `mask` learns what the others know. */
static void pairs_meet(Warp *warp, uint32_t mask) {
    uint32_t best[LANES] = {0};
    for (uint32_t a = 0; a < LANES; a++)
        for (uint32_t b = 0; (mask >> a & 1) && b < LANES; b++)
            if (warp->pair_seen[a][b] > best[b]) best[b] = warp->pair_seen[a][b];
    for (uint32_t b = 0; b < LANES; b++)
        if (mask >> b & 1) best[b] = warp->clock;
    for (uint32_t a = 0; a < LANES; a++)
        if (mask >> a & 1) memcpy(warp->pair_seen[a], best, sizeof best);
}

void race_lanes_met(Machine *machine, Warp *warp, uint32_t mask) {
    if (!machine->cells || mask == 0) return;
    if (mask == warp->live) {
        warp->lanes_seen = warp->clock;
    } else {
        if (!warp->pair_seen) warp->pair_seen = calloc(LANES, sizeof *warp->pair_seen);
        if (warp->pair_seen)
            pairs_meet(warp, mask);
        else
            warp->lanes_seen = warp->clock; /* no memory to be exact: rather miss a race */
    }
    warp->clock = ++machine->clock;
}

void race_arrive(Machine *machine, Warp *warp, Barrier *barrier) {
    if (!machine->cells) return;
    const uint32_t *seen = machine->seen[warp->number];
    for (uint32_t v = 0; v < machine->warp_count; v++)
        if (seen[v] > barrier->joined[v]) barrier->joined[v] = seen[v];
    barrier->joined[warp->number] = warp->clock;
    barrier->arrival_clock[warp->number] = warp->clock;
    warp->clock = ++machine->clock;
}

void race_release(Machine *machine, Warp *warp, const Barrier *barrier, uint32_t everything) {
    if (!machine->cells) return;
    uint32_t *seen = machine->seen[warp->number];
    if (everything > warp->all_seen) warp->all_seen = everything;
    for (uint32_t v = 0; everything == 0 && v < machine->warp_count; v++)
        if (barrier->joined[v] > seen[v]) seen[v] = barrier->joined[v];
    warp->lanes_seen = barrier->arrival_clock[warp->number];
    warp->clock = ++machine->clock;
}
