/* One warp: groups of lanes that stand at the same place. The group that is furthest back runs, up
 * to the place of the next one, where they become one again; with a seed another one now and then.
 * Collectives and barriers that want lanes which are elsewhere let these come first. */
#include "tests/vgpu/engine.h"

#include <assert.h>

enum {
    BACKWARD_BRANCHES = 4096, /* before other groups, and warps, have their turn */
    YIELD_INSTRUCTIONS = 1 << 14,
    ODD_INSTRUCTIONS = 64, /* at most, of a group that runs out of order */
    ODD_CHANCE = 4
};
#define UNLIMITED UINT64_MAX

typedef enum { STOP_MEET, STOP_SPLIT, STOP_WAIT, STOP_EXIT, STOP_YIELD, STOP_FOUND } Stop;

/* ---- groups ---- */

static void add_group(Warp *warp, uint32_t pc, uint32_t mask) {
    assert(warp->group_count < LANES);
    warp->groups[warp->group_count++] = (Group){.pc = pc, .mask = mask};
}

/* Lanes at the same place become one group and look at their instruction together. */
static void merge_groups(Warp *warp) {
    for (uint32_t i = 0; i < warp->group_count; i++) {
        Group *into = &warp->groups[i];
        for (uint32_t j = warp->group_count; j-- > i + 1;) {
            const Group *other = &warp->groups[j];
            if (other->pc != into->pc || other->wait == WAIT_BARRIER || into->wait == WAIT_BARRIER)
                continue;
            into->mask |= other->mask;
            into->wait = WAIT_NONE;
            warp->groups[j] = warp->groups[--warp->group_count];
        }
    }
}

static void remove_group(Warp *warp, const Group *group) {
    warp->groups[group - warp->groups] = warp->groups[--warp->group_count];
}

/* ---- running one group ---- */

/* The lanes that an instruction wants together. */
static uint32_t wanted_lanes(const Warp *warp, const Instr *instr, uint32_t mask) {
    switch (instr->kind) {
    case I_BARRIER: return barrier_is_aligned(instr) ? warp->lanes : mask;
    case I_LDMATRIX:
    case I_STMATRIX:
    case I_ALU: return UINT32_MAX; /* mma */
    default: return collective_members(instr, warp->registers, mask) & warp->lanes;
    }
}

/* An instruction whose lanes work together, when all are there. */
static bool run_together(Machine *machine, Warp *warp, Group *group, const Instr *instr) {
    switch (instr->kind) {
    case I_BARRIER: return barrier_arrive(machine, warp, group);
    case I_LDMATRIX:
        if (!matrix_load(machine, warp, instr)) return false;
        break;
    case I_STMATRIX:
        if (!matrix_store(machine, warp, instr)) return false;
        break;
    case I_ALU:
        instr->run(instr, warp->registers, group->mask);
        machine->counters.tensor_flops += instr->tensor_flops;
        break;
    default:
        if (!collective_run(machine, warp, instr, group->mask)) return false;
    }
    group->pc++;
    return true;
}

/* STOP_MEET: done, go on at group->pc. */
static Stop step_together(Machine *machine, Warp *warp, Group *group, const Instr *instr,
                          uint32_t mask) {
    if (mask != group->mask) { /* the guard keeps lanes out: they go on alone */
        add_group(warp, group->pc + 1, group->mask & ~mask);
        group->mask = mask;
        return STOP_SPLIT;
    }
    if (wanted_lanes(warp, instr, mask) & ~mask) {
        group->wait = WAIT_LANES;
        return STOP_WAIT;
    }
    if (!run_together(machine, warp, group, instr)) return STOP_FOUND;
    return group->wait == WAIT_NONE ? STOP_MEET : STOP_WAIT;
}

static Stop exit_lanes(Machine *machine, Warp *warp, Group *group, uint32_t mask) {
    warp->live &= ~mask;
    group->mask &= ~mask;
    group->pc++;
    if (group->mask == 0) remove_group(warp, group);
    barriers_after_exit(machine);
    return STOP_EXIT;
}

static void write_active(const Warp *warp, const Instr *instr, uint32_t mask) {
    uint32_t *to = (uint32_t *)(void *)(warp->registers + instr->d[0].at);
    for (uint32_t rest = mask; rest; rest &= rest - 1) to[first_lane(rest)] = mask;
}

/* Everything but arithmetic and branches. STOP_MEET: done, go on at group->pc. */
static Stop step(Machine *machine, Warp *warp, Group *group, const Instr *instr, uint32_t mask) {
    bool good = true;
    switch (instr->kind) {
    case I_LOAD: good = access_load(machine, warp, instr, mask); break;
    case I_STORE: good = access_store(machine, warp, instr, mask); break;
    case I_ATOMIC: good = access_atomic(machine, warp, instr, mask); break;
    case I_CP_ASYNC: good = copy_issue(machine, warp, instr, mask); break;
    case I_CP_COMMIT: copy_commit(warp, mask); break;
    case I_CP_WAIT: copy_wait(machine, warp, instr, mask); break;
    case I_EXIT: return exit_lanes(machine, warp, group, mask);
    case I_TRAP:
        good = found(machine, FOUND_TRAP, warp, instr, (int)first_lane(mask), "stops the kernel");
        break;
    case I_ACTIVEMASK: write_active(warp, instr, mask); break;
    case I_FENCE: break;
    case I_YIELD: group->pc++; return STOP_YIELD;
    default: return step_together(machine, warp, group, instr, mask);
    }
    group->pc++;
    return good ? STOP_MEET : STOP_FOUND;
}

/* Runs the group until it comes to stop_pc, splits, waits, ends, or has had its turn. */
LANE_CLONES static Stop run_group(Machine *machine, Warp *warp, Group *group, uint32_t stop_pc,
                                  uint64_t limit) {
    const Instr *code = machine->code;
    unsigned char *registers = warp->registers;
    const uint32_t active = group->mask;
    const bool alone = warp->group_count == 1;
    uint32_t pc = group->pc;
    uint64_t left = limit, lanes = 0;
    Stop stop = STOP_MEET;
    while (stop == STOP_MEET && left > 0 && pc != stop_pc) {
        const Instr *instr = &code[pc];
        uint32_t mask = active;
        if (instr->guard >= 0) {
            const uint32_t guard = *(const uint32_t *)(const void *)(registers + instr->guard);
            mask &= instr->guard_not ? ~guard : guard;
        }
        left--;
        lanes += lane_count(mask);
        if (mask == 0) {
            pc++;
        } else if (instr->kind == I_ALU && instr->tensor_flops == 0) {
            instr->run(instr, registers, mask);
            pc++;
        } else if (instr->kind != I_BRANCH) {
            group->pc = pc;
            stop = step(machine, warp, group, instr, mask);
            if (stop == STOP_EXIT) break; /* the group may be gone */
            pc = group->pc;
        } else if (mask != active) {
            add_group(warp, instr->target, mask);
            group->mask &= ~mask;
            pc++;
            stop = STOP_SPLIT;
        } else {
            if (instr->target <= pc && ++warp->backward == BACKWARD_BRANCHES) stop = STOP_YIELD;
            if (!alone && stop == STOP_MEET) stop = STOP_SPLIT; /* perhaps past another group */
            pc = instr->target;
        }
    }
    if (stop != STOP_EXIT) group->pc = pc;
    machine->counters.warp_instructions += limit - left;
    machine->counters.lane_instructions += lanes;
    machine->since_barrier += limit - left;
    return stop;
}

/* ---- nobody can go on ---- */

static bool has_members(const Instr *instr) {
    switch (instr->kind) {
    case I_WARP_SYNC:
    case I_SHUFFLE:
    case I_VOTE:
    case I_MATCH:
    case I_REDUX:
    case I_ELECT: return true;
    default: return false;
    }
}

/* Lanes whose own members are all there go on without the others of their group. */
static WarpState split_complete(Machine *machine, Warp *warp) {
    for (uint32_t i = 0; i < warp->group_count; i++) {
        Group *group = &warp->groups[i];
        const Instr *instr = &machine->code[group->pc];
        if (!has_members(instr)) continue;
        const uint32_t complete =
            collective_complete(instr, warp->registers, group->mask, warp->lanes);
        if (complete == 0 || complete == group->mask) continue;
        if (!collective_run(machine, warp, instr, complete)) return WARP_FOUND;
        group->mask &= ~complete;
        add_group(warp, group->pc + 1, complete);
        return WARP_YIELDED;
    }
    return WARP_BLOCKED;
}

/* bar.warp.sync may be met at different places. */
static bool meet_apart(Machine *machine, Warp *warp) {
    uint32_t there = 0, met = 0;
    for (uint32_t i = 0; i < warp->group_count; i++)
        if (machine->code[warp->groups[i].pc].kind == I_WARP_SYNC) there |= warp->groups[i].mask;
    for (uint32_t i = 0; i < warp->group_count; i++) {
        Group *group = &warp->groups[i];
        const Instr *instr = &machine->code[group->pc];
        if (instr->kind != I_WARP_SYNC || (wanted_lanes(warp, instr, group->mask) & ~there))
            continue;
        met |= group->mask;
        group->pc++;
        group->wait = WAIT_NONE;
    }
    race_lanes_met(machine, warp, met);
    return met != 0;
}

/* The earliest of the groups that wait for lanes which never come is the one to blame. */
static WarpState found_apart(Machine *machine, Warp *warp) {
    const Group *first = NULL;
    for (uint32_t i = 0; i < warp->group_count; i++) {
        const Group *group = &warp->groups[i];
        if (group->wait == WAIT_LANES && (!first || group->pc < first->pc)) first = group;
    }
    const Instr *instr = &machine->code[first->pc];
    char here[120], missing[120];
    const uint32_t wanted = wanted_lanes(warp, instr, first->mask);
    lanes_text(first->mask, here, sizeof here);
    lanes_text(wanted & ~first->mask, missing, sizeof missing);
    if (instr->kind == I_BARRIER)
        found(machine, FOUND_DIVERGENT_BARRIER, warp, instr, (int)first_lane(first->mask),
              "is reached by lanes %s of warp %u, not by lanes %s", here, warp->number, missing);
    else
        found(machine, FOUND_COLLECTIVE, warp, instr, (int)first_lane(first->mask),
              "is reached by lanes %s of warp %u, and needs lanes %s, which do not come", here,
              warp->number, missing);
    found_waiting(machine, 1u << warp->number);
    return WARP_FOUND;
}

/* WARP_YIELDED: some group can go on after all. */
static WarpState resolve(Machine *machine, Warp *warp) {
    if (warp->group_count == 0) return WARP_DONE;
    for (uint32_t i = 0; i < warp->group_count; i++)
        if (warp->groups[i].wait == WAIT_BARRIER) return WARP_BLOCKED;
    const WarpState state = split_complete(machine, warp);
    if (state != WARP_BLOCKED) return state;
    return meet_apart(machine, warp) ? WARP_YIELDED : found_apart(machine, warp);
}

/* ---- choosing ---- */

/* The runnable group that is furthest back; another one when the seed says so, for `limit`
 * instructions, or when the last turn ended with `yielded`. NULL: all wait. */
static Group *choose(Machine *machine, Warp *warp, bool yielded, uint64_t *limit) {
    Group *runnable[LANES], *lowest = NULL;
    uint32_t count = 0;
    for (uint32_t i = 0; i < warp->group_count; i++) {
        Group *group = &warp->groups[i];
        if (group->wait != WAIT_NONE) continue;
        runnable[count++] = group;
        if (!lowest || group->pc < lowest->pc) lowest = group;
    }
    *limit = UNLIMITED;
    if (count < 2) return lowest;
    if (yielded) {
        *limit = YIELD_INSTRUCTIONS;
        return runnable[random_next(&machine->random) % count];
    }
    if (machine->seed == 0) return lowest;
    const uint64_t draw = random_next(&machine->random);
    if (draw % ODD_CHANCE != 0) return lowest;
    *limit = 1 + (draw >> 8) % ODD_INSTRUCTIONS;
    return runnable[(draw >> 32) % count];
}

/* The next place where another group stands. */
static uint32_t meeting_place(const Warp *warp, const Group *group) {
    uint32_t place = UINT32_MAX;
    for (uint32_t i = 0; i < warp->group_count; i++) {
        const Group *other = &warp->groups[i];
        if (other->wait != WAIT_BARRIER && other->pc > group->pc && other->pc < place)
            place = other->pc;
    }
    return place;
}

static WarpState found_hang(Machine *machine, Warp *warp, const Group *group) {
    found(machine, FOUND_DEADLOCK, warp, &machine->code[group->pc], (int)first_lane(group->mask),
          "is where the block is after %llu warp instructions without a barrier or its end",
          (unsigned long long)machine->since_barrier);
    found_waiting(machine, UINT32_MAX);
    return WARP_FOUND;
}

WarpState warp_run(Machine *machine, Warp *warp) {
    uint32_t turns = 0; /* that ended because they had lasted long enough */
    bool yielded = false;
    warp->backward = 0;
    for (;;) {
        uint64_t limit;
        if (warp->group_count > 1) merge_groups(warp);
        Group *group = choose(machine, warp, yielded, &limit);
        if (!group) {
            const WarpState state = resolve(machine, warp);
            if (state != WARP_YIELDED) return state;
            continue;
        }
        if (machine->since_barrier > machine->watchdog) return found_hang(machine, warp, group);
        const Stop stop = run_group(machine, warp, group, meeting_place(warp, group), limit);
        if (stop == STOP_FOUND) return WARP_FOUND;
        yielded = stop == STOP_YIELD;
        if (yielded) warp->backward = 0;
        if (yielded && ++turns > warp->group_count) return WARP_YIELDED;
    }
}
