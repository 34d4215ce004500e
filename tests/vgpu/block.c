/* The warps of a block, each run from barrier to barrier, in an order that the seed shuffles anew
 * every time around. */
#include "tests/vgpu/engine.h"

#include <string.h>

/* ---- barriers ---- */

bool barrier_is_aligned(const Instr *instr) {
    return strncmp(instr->opcode, "bar.", 4) == 0 || strstr(instr->opcode, ".aligned");
}

static bool everybody_waits(const Machine *machine, const Barrier *barrier) {
    for (uint32_t w = 0; w < machine->warp_count; w++)
        if (barrier->waiting[w] != machine->warps[w].live) return false;
    return true;
}

static bool is_complete(const Machine *machine, const Barrier *barrier) {
    if (barrier->expected > 0) return barrier->arrived >= barrier->expected;
    return barrier->arrived > 0 && everybody_waits(machine, barrier);
}

/* What bar.red gives to every lane that waited. */
static void write_reduction(const Barrier *barrier, const Instr *instr, Warp *warp, uint32_t mask) {
    if (!instr->d[0].given) return;
    if (strstr(instr->opcode, ".popc")) {
        uint32_t *to = (uint32_t *)(void *)(warp->registers + instr->d[0].at);
        for (uint32_t rest = mask; rest; rest &= rest - 1) to[first_lane(rest)] = barrier->count;
    } else {
        const bool all = strstr(instr->opcode, ".and");
        write_predicate(&instr->d[0], warp->registers, mask,
                        (all ? barrier->all : barrier->any) ? mask : 0);
    }
}

static void release(Machine *machine, uint32_t number) {
    Barrier *barrier = &machine->barriers[number];
    const uint32_t everything = everybody_waits(machine, barrier) ? machine->clock : 0;
    for (uint32_t w = 0; w < machine->warp_count; w++) {
        Warp *warp = &machine->warps[w];
        if (!barrier->waiting[w]) continue;
        for (uint32_t i = 0; i < warp->group_count; i++) {
            Group *group = &warp->groups[i];
            if (group->wait != WAIT_BARRIER || group->barrier != number) continue;
            write_reduction(barrier, &machine->code[group->pc], warp, group->mask);
            group->wait = WAIT_NONE;
            group->pc++;
        }
        race_release(machine, warp, barrier, everything);
        warp->blocked = false;
    }
    memset(barrier, 0, sizeof *barrier);
    machine->counters.barriers++;
    machine->since_barrier = 0;
}

void barriers_after_exit(Machine *machine) {
    for (uint32_t i = 0; i < BARRIERS; i++)
        if (machine->barriers[i].arrived > 0 && is_complete(machine, &machine->barriers[i]))
            release(machine, i);
}

static uint32_t first_value(const Operand *operand, const Warp *warp, uint32_t mask) {
    if (!operand->given) return 0;
    return ((const uint32_t *)operand_row(operand, warp->registers))[first_lane(mask)];
}

/* Counts that no card would accept. */
static bool check_arrival(Machine *machine, const Warp *warp, const Group *group, uint32_t number,
                          uint32_t threads) {
    const Instr *instr = &machine->code[group->pc];
    const int lane = (int)first_lane(group->mask);
    if (number >= BARRIERS)
        return found(machine, FOUND_DIVERGENT_BARRIER, warp, instr, lane,
                     "waits at barrier %u; there are %d", number, BARRIERS);
    if (threads % LANES != 0)
        return found(machine, FOUND_DIVERGENT_BARRIER, warp, instr, lane,
                     "waits for %u threads, which is no multiple of %d", threads, LANES);
    const Barrier *barrier = &machine->barriers[number];
    if (barrier->arrived == 0 || barrier->expected == threads) return true;
    return found(machine, FOUND_DIVERGENT_BARRIER, warp, instr, lane,
                 "waits for %u threads at barrier %u, where others wait for %u (0: all)", threads,
                 number, barrier->expected);
}

bool barrier_arrive(Machine *machine, Warp *warp, Group *group) {
    const Instr *instr = &machine->code[group->pc];
    const uint32_t number = first_value(&instr->s[0], warp, group->mask);
    const uint32_t threads = first_value(&instr->s[1], warp, group->mask);
    if (!check_arrival(machine, warp, group, number, threads)) return false;
    Barrier *barrier = &machine->barriers[number];
    if (barrier->arrived == 0) barrier->all = true;
    barrier->expected = threads;
    barrier->arrived += barrier_is_aligned(instr) ? LANES : lane_count(group->mask);
    race_arrive(machine, warp, barrier);
    if (instr->d[0].given) {
        uint32_t set = operand_mask(&instr->s[2], warp->registers);
        set = (instr->negate_source ? ~set : set) & group->mask;
        barrier->count += lane_count(set);
        barrier->all &= set == group->mask;
        barrier->any |= set != 0;
    }
    if (instr->op == OP_BAR_ARRIVE) {
        group->pc++;
    } else {
        group->wait = WAIT_BARRIER;
        group->barrier = number;
        barrier->waiting[warp->number] |= group->mask;
    }
    if (is_complete(machine, barrier)) release(machine, number);
    return true;
}

/* ---- what waits where ---- */

static void found_waiting_at(Machine *machine, uint32_t pc, Wait wait, uint32_t warps) {
    static const char *const what[] = {"run", "wait for other lanes", "wait at a barrier"};
    char which[120], lanes[120];
    uint32_t mask = 0;
    lanes_text(warps, which, sizeof which);
    for (uint32_t w = 0; w < machine->warp_count; w++)
        for (uint32_t i = 0; (warps >> w & 1) && i < machine->warps[w].group_count; i++) {
            const Group *group = &machine->warps[w].groups[i];
            if (group->pc == pc && group->wait == wait) mask |= group->mask;
        }
    lanes_text(mask, lanes, sizeof lanes);
    found_more(machine, "waiting",
               "%s %s, lanes %s, %s here:", warps & (warps - 1) ? "warps" : "warp", which, lanes,
               what[wait]);
    found_place(machine, &machine->code[pc]);
}

void found_waiting(Machine *machine, uint32_t warps) {
    uint32_t exited = 0;
    for (uint32_t w = 0; w < machine->warp_count; w++) {
        const Warp *warp = &machine->warps[w];
        if (!(warps >> w & 1)) continue;
        if (warp->live != warp->lanes) exited |= 1u << w;
        for (uint32_t i = 0; i < warp->group_count; i++) {
            const Group *group = &warp->groups[i];
            uint32_t same = 0, first = WARPS;
            for (uint32_t v = machine->warp_count; v-- > 0;)
                for (uint32_t j = 0; (warps >> v & 1) && j < machine->warps[v].group_count; j++)
                    if (machine->warps[v].groups[j].pc == group->pc &&
                        machine->warps[v].groups[j].wait == group->wait) {
                        same |= 1u << v;
                        first = v;
                    }
            if (first == w) found_waiting_at(machine, group->pc, group->wait, same);
        }
    }
    for (uint32_t w = 0; w < machine->warp_count; w++) {
        char lanes[120];
        if (!(exited >> w & 1)) continue;
        lanes_text(machine->warps[w].lanes & ~machine->warps[w].live, lanes, sizeof lanes);
        found_more(machine, "ended", "lanes %s of warp %u", lanes, w);
    }
}

static bool found_deadlock(Machine *machine) {
    for (uint32_t w = 0; w < machine->warp_count; w++) {
        const Warp *warp = &machine->warps[w];
        if (warp->group_count == 0) continue;
        const Group *group = &warp->groups[0];
        found(machine, FOUND_DEADLOCK, warp, &machine->code[group->pc],
              (int)first_lane(group->mask), "waits for ever: no warp of the block can go on");
        found_waiting(machine, UINT32_MAX);
        break;
    }
    return false;
}

/* ---- a block ---- */

static uint32_t special_value(const Machine *machine, const Warp *warp, Special which,
                              uint32_t lane) {
    const uint32_t *size = machine->launch->block, *grid = machine->launch->grid;
    const uint32_t thread = warp->number * LANES + lane;
    switch (which) {
    case X_TID_X: return thread % size[0];
    case X_TID_Y: return thread / size[0] % size[1];
    case X_TID_Z: return thread / size[0] / size[1];
    case X_NTID_X: return size[0];
    case X_NTID_Y: return size[1];
    case X_NTID_Z: return size[2];
    case X_CTAID_X: return machine->block[0];
    case X_CTAID_Y: return machine->block[1];
    case X_CTAID_Z: return machine->block[2];
    case X_NCTAID_X: return grid[0];
    case X_NCTAID_Y: return grid[1];
    case X_NCTAID_Z: return grid[2];
    case X_LANEID: return lane;
    case X_WARPID: return warp->number;
    case X_NWARPID: return machine->warp_count;
    case X_SMID: return 0;
    case X_CLOCK: return (uint32_t)machine->counters.warp_instructions;
    case X_LANEMASK_EQ: return 1u << lane;
    case X_LANEMASK_LT: return (1u << lane) - 1;
    case X_LANEMASK_LE: return (2u << lane) - 1;
    case X_LANEMASK_GT: return ~((2u << lane) - 1);
    case X_LANEMASK_GE: return ~((1u << lane) - 1);
    case X_DYNAMIC_SMEM: return machine->launch->dynamic_shared;
    case X_SPECIALS: break;
    }
    return 0;
}

static bool is_same_in_all_blocks(Special which) {
    return which != X_CTAID_X && which != X_CTAID_Y && which != X_CTAID_Z && which != X_CLOCK;
}

/* The code may use a special's row for other registers later, so each block begins with a copy. */
static void fill_specials(Machine *machine, Warp *warp) {
    const uint32_t count = machine->function->special_count;
    for (uint32_t i = 0; i < count; i++) {
        const SpecialRow *special = &machine->function->specials[i];
        uint32_t *values = machine->specials[warp->number * count + i];
        void *row = warp->registers + special->at;
        if (!machine->started || !is_same_in_all_blocks(special->which))
            for (uint32_t lane = 0; lane < LANES; lane++)
                values[lane] = special_value(machine, warp, special->which, lane);
        if (!special->wide)
            memcpy(row, values, sizeof(uint32_t[LANES]));
        else
            for (uint32_t lane = 0; lane < LANES; lane++) ((uint64_t *)row)[lane] = values[lane];
    }
}

static void start_warp(Machine *machine, Warp *warp) {
    fill_specials(machine, warp);
    warp->live = warp->lanes;
    warp->groups[0] = (Group){.pc = 0, .mask = warp->lanes};
    warp->group_count = 1;
    warp->blocked = false;
    warp->copy_count = 0;
    memset(warp->commits, 0, sizeof warp->commits);
}

static void start_block(Machine *machine) {
    const size_t local_bytes = (size_t)machine->warp_count * LANES * machine->function->local_bytes;
    memset(machine->barriers, 0, sizeof machine->barriers);
    machine->since_barrier = 0;
    machine->pending = 0;
    /* Not-a-numbers: what is read before it is written spoils what comes of it. */
    if (machine->shared_bytes > 0) memset(machine->shared, 0xFF, machine->shared_bytes);
    if (local_bytes > 0) memset(machine->local, 0xFF, local_bytes);
    if (machine->shared_state) memset(machine->shared_state, BYTE_UNWRITTEN, machine->shared_bytes);
    if (machine->local_written) memset(machine->local_written, BYTE_UNWRITTEN, local_bytes);
    for (uint32_t w = 0; w < machine->warp_count; w++) start_warp(machine, &machine->warps[w]);
    machine->started = true;
    races_start_block(machine);
}

static void shuffle_warps(Machine *machine, uint32_t order[WARPS]) {
    for (uint32_t i = machine->warp_count; machine->seed != 0 && i-- > 1;) {
        const uint32_t other = (uint32_t)(random_next(&machine->random) % (i + 1));
        const uint32_t moved = order[i];
        order[i] = order[other];
        order[other] = moved;
    }
}

bool block_run(Machine *machine) {
    uint32_t order[WARPS], done = 0;
    start_block(machine);
    for (uint32_t w = 0; w < WARPS; w++) order[w] = w;
    while (done < machine->warp_count) {
        bool progress = false;
        shuffle_warps(machine, order);
        for (uint32_t i = 0; i < machine->warp_count; i++) {
            Warp *warp = &machine->warps[order[i]];
            if (warp->blocked || warp->group_count == 0) continue;
            progress = true;
            const WarpState state = warp_run(machine, warp);
            if (state == WARP_FOUND) return false;
            if (state == WARP_DONE) done++;
            if (state == WARP_BLOCKED) warp->blocked = true;
        }
        if (!progress) return found_deadlock(machine);
    }
    return true;
}
