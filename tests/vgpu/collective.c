/* Instructions for which the lanes of a warp work together: shuffles, votes, matches, reductions,
 * after the PTX manual. Who has to take part is in a register, lane by lane: lanes with different
 * members execute the same instruction side by side without meeting. */
#include "tests/vgpu/engine.h"

static const Operand *members_operand(const Instr *instr) {
    switch (instr->kind) {
    case I_SHUFFLE: return &instr->s[3];
    case I_WARP_SYNC:
    case I_ELECT: return &instr->s[0];
    default: return &instr->s[1];
    }
}

static const uint32_t *members_row(const Instr *instr, const unsigned char *registers) {
    const Operand *operand = members_operand(instr);
    return operand->given ? operand_row(operand, registers) : NULL;
}

uint32_t collective_members(const Instr *instr, const unsigned char *registers, uint32_t mask) {
    const uint32_t *row = members_row(instr, registers);
    if (!row) return mask;
    uint32_t members = 0;
    for (uint32_t rest = mask; rest; rest &= rest - 1) members |= row[first_lane(rest)];
    return members;
}

uint32_t collective_complete(const Instr *instr, const unsigned char *registers, uint32_t mask,
                             uint32_t lanes) {
    const uint32_t *row = members_row(instr, registers);
    uint32_t complete = 0;
    for (uint32_t rest = mask; rest; rest &= rest - 1) {
        const uint32_t lane = first_lane(rest);
        if (!row || (row[lane] & lanes & ~mask) == 0) complete |= 1u << lane;
    }
    return complete;
}

/* ---- one set of members ---- */

static bool shuffle(Machine *machine, Warp *warp, const Instr *instr, uint32_t mask) {
    unsigned char *registers = warp->registers;
    const uint32_t *value = operand_row(&instr->s[0], registers);
    const uint32_t *lane_row = operand_row(&instr->s[1], registers);
    const uint32_t *clamp_row = operand_row(&instr->s[2], registers);
    uint32_t *to = (uint32_t *)(void *)(registers + instr->d[0].at);
    uint32_t result[LANES] = {0}, inside = 0;
    for (uint32_t rest = mask; rest; rest &= rest - 1) {
        const int32_t lane = (int32_t)first_lane(rest);
        const int32_t by = (int32_t)(lane_row[lane] & 31), clamp = (int32_t)(clamp_row[lane] & 31);
        const int32_t segment = (int32_t)(clamp_row[lane] >> 8 & 31);
        const int32_t last = (lane & segment) | (clamp & ~segment);
        int32_t from = lane;
        bool in = false;
        if (instr->op == OP_SHFL_UP) {
            from = lane - by;
            in = from >= last;
        } else {
            from = instr->op == OP_SHFL_DOWN   ? lane + by
                   : instr->op == OP_SHFL_BFLY ? lane ^ by
                                               : (lane & segment) | (by & ~segment);
            in = from <= last;
        }
        if (!in) from = lane;
        if (!(mask >> from & 1))
            return found(machine, FOUND_COLLECTIVE, warp, instr, lane,
                         "reads the register of lane %d, which does not take part", from);
        result[lane] = value[from];
        inside |= (uint32_t)in << lane;
    }
    for (uint32_t rest = mask; rest; rest &= rest - 1)
        to[first_lane(rest)] = result[first_lane(rest)];
    if (instr->d[1].given) write_predicate(&instr->d[1], registers, mask, inside);
    return true;
}

static void write_row(const Instr *instr, unsigned char *registers, uint32_t mask, uint32_t value) {
    uint32_t *to = (uint32_t *)(void *)(registers + instr->d[0].at);
    for (uint32_t rest = mask; rest; rest &= rest - 1) to[first_lane(rest)] = value;
}

static void vote(Warp *warp, const Instr *instr, uint32_t mask) {
    uint32_t set = operand_mask(&instr->s[0], warp->registers);
    if (instr->negate_source) set = ~set;
    set &= mask;
    if (instr->op == OP_VOTE_BALLOT) {
        write_row(instr, warp->registers, mask, set);
        return;
    }
    const bool all = set == mask, none = set == 0;
    const bool result = instr->op == OP_VOTE_ALL   ? all
                        : instr->op == OP_VOTE_ANY ? !none
                                                   : all || none;
    write_predicate(&instr->d[0], warp->registers, mask, result ? mask : 0);
}

static void match(Warp *warp, const Instr *instr, uint32_t mask) {
    const void *row = operand_row(&instr->s[0], warp->registers);
    const bool wide = type_bytes(instr->type) == 8;
    uint32_t *to = (uint32_t *)(void *)(warp->registers + instr->d[0].at);
    uint32_t equal[LANES], all = mask;
    for (uint32_t a = mask; a; a &= a - 1) {
        equal[first_lane(a)] = 0;
        for (uint32_t b = mask; b; b &= b - 1) {
            const uint32_t x = first_lane(a), y = first_lane(b);
            const bool same = wide ? ((const uint64_t *)row)[x] == ((const uint64_t *)row)[y]
                                   : ((const uint32_t *)row)[x] == ((const uint32_t *)row)[y];
            equal[x] |= (uint32_t)same << y;
        }
        if (equal[first_lane(a)] != mask) all = 0;
    }
    for (uint32_t rest = mask; rest; rest &= rest - 1)
        to[first_lane(rest)] = instr->op == OP_MATCH_ANY ? equal[first_lane(rest)] : all;
    if (instr->d[1].given) write_predicate(&instr->d[1], warp->registers, mask, all);
}

static uint32_t reduced(const Instr *instr, uint32_t a, uint32_t b) {
    const bool is_signed = instr->type == T_S32;
    const bool less = is_signed ? (int32_t)a < (int32_t)b : a < b;
    switch (instr->op) {
    case OP_ADD_: return a + b;
    case OP_MIN_: return less ? a : b;
    case OP_MAX_: return less ? b : a;
    case OP_AND_: return a & b;
    case OP_OR_: return a | b;
    case OP_XOR_: return a ^ b;
    default: return a;
    }
}

static void reduce(Warp *warp, const Instr *instr, uint32_t mask) {
    const uint32_t *row = operand_row(&instr->s[0], warp->registers);
    uint32_t result = row[first_lane(mask)];
    for (uint32_t rest = mask & (mask - 1); rest; rest &= rest - 1)
        result = reduced(instr, result, row[first_lane(rest)]);
    write_row(instr, warp->registers, mask, result);
}

static void elect(Warp *warp, const Instr *instr, uint32_t mask) {
    const uint32_t leader = first_lane(mask);
    if (instr->d[0].given) write_row(instr, warp->registers, mask, leader);
    if (instr->d[1].given) write_predicate(&instr->d[1], warp->registers, mask, 1u << leader);
}

static bool run_set(Machine *machine, Warp *warp, const Instr *instr, uint32_t mask) {
    switch (instr->kind) {
    case I_SHUFFLE:
        if (!shuffle(machine, warp, instr, mask)) return false;
        break;
    case I_VOTE: vote(warp, instr, mask); break;
    case I_MATCH: match(warp, instr, mask); break;
    case I_REDUX: reduce(warp, instr, mask); break;
    case I_ELECT: elect(warp, instr, mask); break;
    default: break; /* bar.warp.sync: to have met is all */
    }
    race_lanes_met(machine, warp, mask);
    return true;
}

bool collective_run(Machine *machine, Warp *warp, const Instr *instr, uint32_t mask) {
    const uint32_t *row = members_row(instr, warp->registers);
    uint32_t named[LANES]; /* results may overwrite the register that holds the members */
    for (uint32_t l = 0; l < LANES; l++) named[l] = row ? row[l] : mask;
    for (uint32_t rest = mask; rest;) {
        const uint32_t lane = first_lane(rest), members = named[lane];
        uint32_t set = 0;
        for (uint32_t others = rest; others; others &= others - 1)
            if (named[first_lane(others)] == members) set |= 1u << first_lane(others);
        if (set & ~members)
            return found(machine, FOUND_COLLECTIVE, warp, instr, (int)first_lane(set & ~members),
                         "is executed by a lane that its members 0x%08x do not name", members);
        if (!run_set(machine, warp, instr, set)) return false;
        rest &= ~set;
    }
    return true;
}
