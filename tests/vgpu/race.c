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

enum { LARGEST_GRANULE_SHIFT = 2 };
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
    machine->block_clock = machine->clock;
    for (uint32_t w = 0; w < machine->warp_count; w++) {
        machine->warps[w].lanes_seen = machine->block_clock;
        machine->warps[w].clock = ++machine->clock;
        for (uint32_t v = 0; v < machine->warp_count; v++)
            machine->seen[w][v] = machine->block_clock;
    }
}

/* An access of thread `other` at `clock` comes before what `thread` of `warp` does now. */
static bool is_ordered(const Machine *machine, const Warp *warp, uint32_t thread, uint32_t other,
                       uint32_t clock) {
    if (clock <= machine->block_clock || other == thread) return true;
    const uint32_t other_warp = other / LANES;
    if (other_warp != warp->number) return machine->seen[warp->number][other_warp] >= clock;
    return clock <= warp->lanes_seen ||
           (warp->pair_seen && warp->pair_seen[thread % LANES][other % LANES] >= clock);
}

static bool found_race(Machine *machine, const Access *access, uint32_t lane, uint32_t other,
                       uint32_t other_at, const char *did) {
    static const char *const verb[] = {"", "reads", "writes", "updates"};
    char who[100];
    thread_text(machine, other, who, sizeof who);
    const char *barrier = other / LANES == access->warp->number
                              ? "no barrier, not of the warp either, lies between"
                              : "no barrier lies between";
    found(machine, FOUND_RACE, access->warp, access->instr, (int)lane,
          "%s %u bytes of shared memory at %" PRIu64 " that %s %s: %s", verb[access->direction],
          access->bytes, access->at[lane], who, did, barrier);
    found_more(machine, "other", "%s %s here:", who, did);
    found_place(machine, &machine->code[other_at]);
    return false;
}

/* A read of one granule by `thread`; what the warp's clock says already is passed over quickly: the
 * same reader again, or two readers of this warp, who stand for all of it. */
static inline bool read_cell(Machine *machine, const Access *access, Cell *cell, uint32_t lane) {
    const Warp *warp = access->warp;
    const uint32_t thread = warp->number * LANES + lane, clock = warp->clock;
    if (cell->reader_clock[0] == clock &&
        (cell->reader[0] == thread || cell->reader_clock[1] == clock))
        return true;
    if (!is_ordered(machine, warp, thread, cell->writer, cell->writer_clock))
        return found_race(machine, access, lane, cell->writer, cell->writer_at, "wrote");
    if (cell->reader[0] != thread) {
        cell->reader[1] = cell->reader[0];
        cell->reader_clock[1] = cell->reader_clock[0];
        cell->reader_at[1] = cell->reader_at[0];
    }
    cell->reader[0] = (uint16_t)thread;
    cell->reader_clock[0] = clock;
    cell->reader_at[0] = (uint32_t)(access->instr - machine->code);
    return true;
}

static inline bool write_cell(Machine *machine, const Access *access, Cell *cell, uint32_t lane) {
    const Warp *warp = access->warp;
    const uint32_t thread = warp->number * LANES + lane;
    const bool both_atomic = cell->touch == TOUCH_ATOMIC && access->touch == TOUCH_ATOMIC;
    if (!both_atomic && !is_ordered(machine, warp, thread, cell->writer, cell->writer_clock))
        return found_race(machine, access, lane, cell->writer, cell->writer_at, "wrote");
    for (uint32_t i = 0; i < 2; i++)
        if (!is_ordered(machine, warp, thread, cell->reader[i], cell->reader_clock[i]))
            return found_race(machine, access, lane, cell->reader[i], cell->reader_at[i], "read");
    cell->reader_clock[0] = cell->reader_clock[1] = 0;
    cell->writer = (uint16_t)thread;
    cell->writer_clock = warp->clock;
    cell->writer_at = (uint32_t)(access->instr - machine->code);
    cell->touch = (uint8_t)access->touch;
    return true;
}

bool race_check(Machine *machine, const Access *access) {
    const uint32_t shift = machine->granule_shift, cells = access->bytes >> shift;
    for (uint32_t rest = access->mask; rest; rest &= rest - 1) {
        const uint32_t lane = first_lane(rest);
        Cell *cell = &machine->cells[access->at[lane] >> shift];
        for (uint32_t i = 0; i < cells; i++, cell++)
            if (!(access->direction == TO_READ ? read_cell(machine, access, cell, lane)
                                               : write_cell(machine, access, cell, lane)))
                return false;
    }
    return true;
}

/* A cp.async counts as a write from its issue to here. */
void race_landed(Machine *machine, const Warp *warp, const Copy *copy) {
    const uint32_t thread = warp->number * LANES + copy->lane;
    Cell *cell = &machine->cells[copy->to >> machine->granule_shift];
    for (uint32_t i = 0; i < (uint32_t)copy->bytes >> machine->granule_shift; i++, cell++) {
        if (cell->touch != TOUCH_ASYNC || cell->writer != thread) continue;
        cell->writer_clock = warp->clock;
        cell->touch = TOUCH_PLAIN;
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

void race_release(Machine *machine, Warp *warp, const Barrier *barrier) {
    if (!machine->cells) return;
    uint32_t *seen = machine->seen[warp->number];
    for (uint32_t v = 0; v < machine->warp_count; v++)
        if (barrier->joined[v] > seen[v]) seen[v] = barrier->joined[v];
    warp->lanes_seen = barrier->arrival_clock[warp->number];
    warp->clock = ++machine->clock;
}
