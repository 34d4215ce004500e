/* Control flow, barriers, and what the lanes of a warp do together. */
#include "tests/vgpu/decode.h"

typedef struct {
    const char *name;
    MachineOp op;
} Named;

static MachineOp find_op(const Named *names, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (!strcmp(names[i].name, name)) return names[i].op;
    return OP_NONE;
}

#define FIND_OP(NAMES, NAME) find_op(NAMES, sizeof(NAMES) / sizeof *(NAMES), NAME)

/* Part `at` of the opcode, "" behind its end. */
static const char *part(const Decoder *d, uint32_t at) {
    return at < d->opcode->count ? d->opcode->part[at] : "";
}

static bool is_text(const Decoder *d, const char *text) {
    return !strcmp(d->opcode->text, text);
}

/* ---- branches ---- */

void decode_branch(Decoder *d) {
    if (!is_text(d, "bra") && !is_text(d, "bra.uni")) {
        decode_unknown(d);
        return;
    }
    if (!decode_count(d, 1, 1)) return;
    const PtxOperand *label = &d->statement->operands[0];
    if (label->kind == PTX_NAME)
        decode_push_jump(d, decode_instr(d, I_BRANCH), label->name);
    else
        decode_fail(d, "'bra' wants a label");
}

/* One comparison and branch for each label: brx.idx index, table */
void decode_branch_indexed(Decoder *d) {
    if (!is_text(d, "brx.idx") && !is_text(d, "brx.idx.uni")) {
        decode_unknown(d);
        return;
    }
    if (!decode_count(d, 2, 2)) return;
    const PtxOperand *operands = d->statement->operands;
    const char *name = operands[1].kind == PTX_NAME ? operands[1].name : "";
    const Symbol *table = decode_find(d, name);
    if (!table || table->kind != SYMBOL_TARGETS) {
        decode_fail(d, "'%s' is no list of labels", name);
        return;
    }
    Operand index = decode_source(d, &operands[0], T_U32);
    for (uint32_t i = 0; i < table->targets->operand_count; i++) {
        const char *label = table->targets->operands[i].name;
        Instr branch = decode_instr(d, I_BRANCH), compare = decode_instr(d, I_ALU);
        compare.run = decode_find_row("setp.eq.u32")->run;
        compare.d[0] = decode_scratch(d, T_PRED);
        compare.s[0] = index;
        compare.s[1] = decode_constant(d, T_U32, i);
        if (d->guard >= 0) { /* lanes without the guard must not go by what is in the row */
            Operand guard = {.at = (uint32_t)d->guard, .given = true};
            if (branch.guard_not) {
                Operand inverse = decode_scratch(d, T_PRED);
                decode_push_alu(d, "not.pred", inverse, guard, (Operand){0});
                guard = inverse;
            }
            compare.compare = COMBINE_AND;
            compare.s[2] = guard;
            compare.guard = -1;
        }
        decode_push(d, compare);
        branch.guard = (int32_t)compare.d[0].at;
        branch.guard_not = false;
        decode_push_jump(d, branch, label ? label : "");
    }
}

static bool is_in_call(const Decoder *d) {
    for (const Scope *scope = d->scope; scope; scope = scope->around)
        if (scope->is_call) return true;
    return false;
}

/* ret of a called function goes to its end. */
void decode_return(Decoder *d) {
    bool returns = is_text(d, "ret") || is_text(d, "ret.uni");
    if (!returns && !is_text(d, "exit"))
        decode_unknown(d);
    else if (returns && is_in_call(d))
        decode_push_jump(d, decode_instr(d, I_BRANCH), "");
    else
        decode_push(d, decode_instr(d, I_EXIT));
}

/* ---- fences, and what changes nothing ---- */

static bool is_fence(const Decoder *d) {
    static const char *const names[] = {"cta",     "gl",      "sys",     "gpu",    "sc",
                                        "acq_rel", "cluster", "acquire", "release"};
    bool known = d->opcode->count > 1;
    for (uint32_t i = 1; i < d->opcode->count; i++) {
        bool found = false;
        for (size_t n = 0; n < sizeof names / sizeof *names; n++)
            found |= !strcmp(names[n], d->opcode->part[i]);
        known &= found;
    }
    return known;
}

void decode_simple(Decoder *d) {
    const char *base = d->opcode->part[0];
    if (is_text(d, "trap") || is_text(d, "brkpt")) {
        decode_push(d, decode_instr(d, I_TRAP));
    } else if (!strcmp(base, "membar") || !strcmp(base, "fence")) {
        if (is_fence(d))
            decode_push(d, decode_instr(d, I_FENCE));
        else
            decode_unknown(d);
    } else if (is_text(d, "nanosleep.u32")) {
        decode_push(d, decode_instr(d, I_YIELD));
    } else if (!strncmp(base, "prefetch", 8) || !strcmp(base, "discard") ||
               !strcmp(base, "applypriority")) {
        return;
    } else {
        decode_unknown(d);
    }
}

/* ---- barriers ---- */

static void decode_warp_barrier(Decoder *d) {
    if (!decode_count(d, 1, 1)) return;
    Instr instr = decode_instr(d, I_WARP_SYNC);
    instr.s[0] = decode_source(d, &d->statement->operands[0], T_B32);
    decode_push(d, instr);
}

/* bar[.cta].red.popc.u32 d, a {, b}, p; .and.pred and .or.pred */
static void decode_barrier_reduction(Decoder *d, Instr instr) {
    bool counts = opcode_has(d->opcode, "popc") && opcode_has(d->opcode, "u32");
    bool tests = (opcode_has(d->opcode, "and") || opcode_has(d->opcode, "or")) &&
                 opcode_has(d->opcode, "pred");
    if (!counts && !tests) {
        decode_unknown(d);
        return;
    }
    if (!decode_count(d, 3, 4)) return;
    const PtxOperand *operands = d->statement->operands;
    uint32_t count = d->statement->operand_count;
    instr.d[0] = decode_target(d, &operands[0], counts ? T_U32 : T_PRED);
    instr.s[0] = decode_source(d, &operands[1], T_U32);
    if (count == 4) instr.s[1] = decode_source(d, &operands[2], T_U32);
    instr.s[2] = decode_source(d, &operands[count - 1], T_PRED);
    decode_push(d, instr);
}

/* bar.sync a {, b}; bar.arrive a, b */
void decode_barrier(Decoder *d) {
    static const Named names[] = {
        {"sync", OP_BAR_SYNC}, {"arrive", OP_BAR_ARRIVE}, {"red", OP_BAR_RED}};
    if (is_text(d, "bar.warp.sync")) {
        decode_warp_barrier(d);
        return;
    }
    Instr instr = decode_instr(d, I_BARRIER);
    instr.op = FIND_OP(names, part(d, strcmp(part(d, 1), "cta") ? 1 : 2));
    if (instr.op == OP_BAR_RED) {
        decode_barrier_reduction(d, instr);
        return;
    }
    uint32_t parts = 2 + !strcmp(part(d, 1), "cta") + opcode_has(d->opcode, "aligned");
    if (instr.op == OP_NONE || d->opcode->count != parts) {
        decode_unknown(d);
        return;
    }
    if (!decode_count(d, instr.op == OP_BAR_ARRIVE ? 2 : 1, 2)) return;
    const PtxOperand *operands = d->statement->operands;
    instr.s[0] = decode_source(d, &operands[0], T_U32);
    if (d->statement->operand_count == 2) instr.s[1] = decode_source(d, &operands[1], T_U32);
    decode_push(d, instr);
}

/* ---- lanes together ---- */

/* d|p, and the sources behind. */
static void take_result(Decoder *d, Instr *instr, Type type) {
    const PtxOperand *operand = &d->statement->operands[0];
    instr->d[0] = decode_target(d, operand, type);
    if (operand->second) instr->d[1] = decode_target_or_none(d, operand->second, T_PRED);
}

/* shfl.sync.MODE.b32 d|p, a, lane, clamp, members */
void decode_shuffle(Decoder *d) {
    static const Named names[] = {
        {"up", OP_SHFL_UP}, {"down", OP_SHFL_DOWN}, {"bfly", OP_SHFL_BFLY}, {"idx", OP_SHFL_IDX}};
    Instr instr = decode_instr(d, I_SHUFFLE);
    instr.op = FIND_OP(names, part(d, 2));
    if (instr.op == OP_NONE || strcmp(part(d, 1), "sync") || instr.type != T_B32 ||
        d->opcode->count != 4) {
        decode_unknown(d);
        return;
    }
    if (!decode_count(d, 5, 5)) return;
    take_result(d, &instr, T_B32);
    for (uint32_t i = 0; i < 4; i++)
        instr.s[i] = decode_source(d, &d->statement->operands[1 + i], T_B32);
    decode_push(d, instr);
}

/* vote.sync.all.pred p, {!}q, members; vote.sync.ballot.b32 d, {!}q, members */
void decode_vote(Decoder *d) {
    static const Named names[] = {{"all", OP_VOTE_ALL},
                                  {"any", OP_VOTE_ANY},
                                  {"uni", OP_VOTE_UNI},
                                  {"ballot", OP_VOTE_BALLOT}};
    Instr instr = decode_instr(d, I_VOTE);
    instr.op = FIND_OP(names, part(d, 2));
    Type wanted = instr.op == OP_VOTE_BALLOT ? T_B32 : T_PRED;
    if (instr.op == OP_NONE || strcmp(part(d, 1), "sync") || instr.type != wanted ||
        d->opcode->count != 4) {
        decode_unknown(d);
        return;
    }
    if (!decode_count(d, 3, 3)) return;
    take_result(d, &instr, wanted);
    instr.s[0] = decode_source(d, &d->statement->operands[1], T_PRED);
    instr.s[1] = decode_source(d, &d->statement->operands[2], T_B32);
    decode_push(d, instr);
}

/* match.any.sync.b32 d, a, members; match.all.sync.b32 d|p, a, members */
void decode_match(Decoder *d) {
    static const Named names[] = {{"any", OP_MATCH_ANY}, {"all", OP_MATCH_ALL}};
    Instr instr = decode_instr(d, I_MATCH);
    instr.op = FIND_OP(names, part(d, 1));
    if (instr.op == OP_NONE || strcmp(part(d, 2), "sync") || d->opcode->count != 4 ||
        (instr.type != T_B32 && instr.type != T_B64)) {
        decode_unknown(d);
        return;
    }
    if (!decode_count(d, 3, 3)) return;
    take_result(d, &instr, T_B32);
    instr.s[0] = decode_source(d, &d->statement->operands[1], instr.type);
    instr.s[1] = decode_source(d, &d->statement->operands[2], T_B32);
    decode_push(d, instr);
}

/* redux.sync.OP.type d, a, members */
void decode_redux(Decoder *d) {
    static const Named names[] = {{"add", OP_ADD_}, {"min", OP_MIN_}, {"max", OP_MAX_},
                                  {"and", OP_AND_}, {"or", OP_OR_},   {"xor", OP_XOR_}};
    Instr instr = decode_instr(d, I_REDUX);
    instr.op = FIND_OP(names, part(d, 2));
    bool is_bits = instr.op == OP_AND_ || instr.op == OP_OR_ || instr.op == OP_XOR_;
    bool fits = is_bits ? instr.type == T_B32 : instr.type == T_U32 || instr.type == T_S32;
    if (instr.op == OP_NONE || !fits || strcmp(part(d, 1), "sync") || d->opcode->count != 4) {
        decode_unknown(d);
        return;
    }
    if (!decode_count(d, 3, 3)) return;
    take_result(d, &instr, T_B32);
    instr.s[0] = decode_source(d, &d->statement->operands[1], T_B32);
    instr.s[1] = decode_source(d, &d->statement->operands[2], T_B32);
    decode_push(d, instr);
}

void decode_activemask(Decoder *d) {
    if (!is_text(d, "activemask.b32")) {
        decode_unknown(d);
        return;
    }
    if (!decode_count(d, 1, 1)) return;
    Instr instr = decode_instr(d, I_ACTIVEMASK);
    take_result(d, &instr, T_B32);
    decode_push(d, instr);
}

/* elect.sync d|p, members */
void decode_elect(Decoder *d) {
    if (!is_text(d, "elect.sync")) {
        decode_unknown(d);
        return;
    }
    if (!decode_count(d, 2, 2)) return;
    Instr instr = decode_instr(d, I_ELECT);
    take_result(d, &instr, T_B32);
    instr.s[0] = decode_source(d, &d->statement->operands[1], T_B32);
    decode_push(d, instr);
}
