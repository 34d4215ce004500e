/* Loads, stores, atomics, asynchronous copies, matrices. */
#include "tests/vgpu/decode.h"

static const char *const spaces[] = {
    [S_GENERIC] = "",    [S_GLOBAL] = "global", [S_SHARED] = "shared",
    [S_LOCAL] = "local", [S_PARAM] = "param",   [S_CONST] = "const"};

/* "shared::cta" too. */
static bool take_space(const char *part, StateSpace *space) {
    size_t length = strcspn(part, ":");
    for (uint32_t i = S_GLOBAL; i <= S_CONST; i++)
        if (strlen(spaces[i]) == length && !strncmp(spaces[i], part, length))
            return *space = (StateSpace)i, strcmp(part, "shared::cluster") != 0;
    return false;
}

static bool is_among(const char *part, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!strcmp(names[i], part)) return true;
    return false;
}

/* Orders, scopes and hints of caches change nothing here. */
static bool is_hint(const char *part) {
    static const char *const names[] = {"weak",    "volatile", "relaxed", "acquire", "release",
                                        "acq_rel", "cta",      "cluster", "gpu",     "sys",
                                        "mmio",    "ca",       "cg",      "cs",      "lu",
                                        "cv",      "wb",       "wt",      "nc",      "noftz"};
    return is_among(part, names, sizeof names / sizeof *names) || !strncmp(part, "L1::", 4) ||
           !strncmp(part, "L2::", 4);
}

static bool take_vector(const char *part, uint8_t *vector) {
    if (strcmp(part, "v2") && strcmp(part, "v4")) return false;
    *vector = (uint8_t)(part[1] - '0');
    return true;
}

/* Space, vector and type of ld and st. */
static bool take_access(Decoder *d, Instr *instr) {
    const Opcode *opcode = d->opcode;
    instr->vector = 1;
    for (uint32_t i = 1; i < opcode->count; i++) {
        const char *part = opcode->part[i];
        bool is_type = i == opcode->count - 1 && ptx_type(part) != T_NONE;
        if (!is_type && !is_hint(part) && !take_space(part, &instr->space) &&
            !take_vector(part, &instr->vector))
            return false;
    }
    uint32_t bytes = ptx_type_bytes(opcode->type);
    return bytes >= 1 && bytes <= 8 && bytes * instr->vector <= 16;
}

/* The register's type may be wider than the element's. */
static Type register_type(Decoder *d, const PtxOperand *operand, Type type) {
    Type has = decode_register_type(d, operand);
    return ptx_type_bytes(has) > ptx_type_bytes(type) ? has : type;
}

/* One operand, or {a, b, c, d}. */
static const PtxOperand *elements(Decoder *d, const PtxOperand *operand, uint32_t count) {
    if (count == 1 && operand->kind != PTX_LIST) return operand;
    if (operand->kind == PTX_LIST && operand->count == count) return operand->list;
    decode_fail(d, "'%s' wants %u registers in braces", d->opcode->text, count);
    return NULL;
}

/* Wide or not, all registers of a vector are alike. */
static Type vector_type(Decoder *d, const PtxOperand *list, uint32_t count, Type type) {
    Type widest = type;
    for (uint32_t i = 0; i < count; i++) {
        Type has = register_type(d, &list[i], type);
        if (ptx_type_bytes(has) > ptx_type_bytes(widest)) widest = has;
    }
    return widest;
}

void decode_load(Decoder *d) {
    Instr instr = decode_instr(d, I_LOAD);
    if (!take_access(d, &instr)) {
        decode_unknown(d);
        return;
    }
    if (!decode_count(d, 2, 3)) return; /* the third is a cache policy */
    const PtxOperand *operands = d->statement->operands;
    const PtxOperand *to = elements(d, &operands[0], instr.vector);
    if (!to) return;
    instr.from = vector_type(d, to, instr.vector, instr.type);
    for (uint32_t i = 0; i < instr.vector; i++) instr.d[i] = decode_target(d, &to[i], instr.from);
    decode_address(d, &operands[1], &instr);
    decode_push(d, instr);
}

void decode_store(Decoder *d) {
    Instr instr = decode_instr(d, I_STORE);
    if (!take_access(d, &instr) || instr.space == S_CONST) {
        decode_unknown(d);
        return;
    }
    if (!decode_count(d, 2, 3)) return;
    const PtxOperand *operands = d->statement->operands;
    decode_address(d, &operands[0], &instr);
    const PtxOperand *from = elements(d, &operands[1], instr.vector);
    if (!from) return;
    instr.from = vector_type(d, from, instr.vector, instr.type);
    for (uint32_t i = 0; i < instr.vector; i++) instr.s[i] = decode_source(d, &from[i], instr.from);
    decode_push(d, instr);
}

/* ---- atomics ---- */

static const struct {
    const char *name;
    MachineOp op;
    const char *types;
} atomics[] = {
    {"add", OP_ADD_, " u32 s32 u64 s64 f32 f64 f16 bf16 f16x2 bf16x2 "},
    {"min", OP_MIN_, " u32 s32 u64 s64 "},
    {"max", OP_MAX_, " u32 s32 u64 s64 "},
    {"inc", OP_INC_, " u32 "},
    {"dec", OP_DEC_, " u32 "},
    {"and", OP_AND_, " b32 b64 u32 s32 u64 "},
    {"or", OP_OR_, " b32 b64 u32 s32 u64 "},
    {"xor", OP_XOR_, " b32 b64 u32 s32 u64 "},
    {"exch", OP_EXCH_, " b32 b64 u32 s32 u64 "},
    {"cas", OP_CAS_, " b16 b32 b64 u32 s32 u64 "},
};

static bool take_atomic(Decoder *d, Instr *instr) {
    const Opcode *opcode = d->opcode;
    const char *types = NULL;
    for (uint32_t i = 1; i + 1 < opcode->count; i++) {
        const char *part = opcode->part[i];
        bool known = is_hint(part) || take_space(part, &instr->space);
        for (size_t a = 0; a < sizeof atomics / sizeof *atomics && !known; a++) {
            known = !types && !strcmp(atomics[a].name, part);
            if (known) types = atomics[a].types, instr->op = atomics[a].op;
        }
        if (!known) return false;
    }
    const char *type = ptx_format(d->arena, " %s ", opcode->part[opcode->count - 1]);
    return types && strstr(types, type) &&
           (instr->space == S_GENERIC || instr->space == S_GLOBAL || instr->space == S_SHARED);
}

/* atom.SPACE.OP.TYPE d, [a], b {, c} and red.… [a], b */
void decode_atomic(Decoder *d) {
    Instr instr = decode_instr(d, I_ATOMIC);
    bool returns = !strcmp(d->opcode->part[0], "atom");
    if (!take_atomic(d, &instr) || (!returns && (instr.op == OP_EXCH_ || instr.op == OP_CAS_))) {
        decode_unknown(d);
        return;
    }
    uint32_t values = instr.op == OP_CAS_ ? 2 : 1, at = returns ? 1 : 0;
    if (!decode_count(d, at + 1 + values, at + 2 + values)) return;
    const PtxOperand *operands = d->statement->operands;
    if (returns) instr.d[0] = decode_target_or_none(d, &operands[0], instr.type);
    decode_address(d, &operands[at], &instr);
    for (uint32_t i = 0; i < values; i++)
        instr.s[i] = decode_source(d, &operands[at + 1 + i], instr.type);
    decode_push(d, instr);
}

/* ---- cp.async ---- */

static uint32_t small_number(Decoder *d, const PtxOperand *operand) {
    if (operand->kind != PTX_INTEGER || operand->value > UINT32_MAX)
        decode_fail(d, "'%s' wants a number", d->opcode->text);
    return (uint32_t)operand->value;
}

static bool copies_from_global(const Opcode *opcode) {
    if (opcode->count < 5 || (strcmp(opcode->part[2], "ca") && strcmp(opcode->part[2], "cg")))
        return false;
    StateSpace to = S_GENERIC, from = S_GENERIC;
    for (uint32_t i = 5; i < opcode->count; i++)
        if (strncmp(opcode->part[i], "L2::", 4)) return false;
    return take_space(opcode->part[3], &to) && take_space(opcode->part[4], &from) &&
           to == S_SHARED && from == S_GLOBAL;
}

/* The global address goes into s[0], whether it is a register or a variable's. */
static void take_global(Decoder *d, const PtxOperand *operand, Instr *instr) {
    Instr from = {.space = S_GLOBAL};
    decode_address(d, operand, &from);
    instr->displacement2 = from.displacement;
    instr->s[0] = from.address.given ? from.address : decode_constant(d, T_B64, 0);
    if (from.address.given && !from.address_wide)
        decode_fail(d, "the global address of '%s' has not 64 bits", d->opcode->text);
}

/* cp.async.cg.shared.global [to], [from], bytes {, bytes that are read} {, policy} */
static void decode_copy(Decoder *d) {
    const PtxOperand *operands = d->statement->operands;
    if (!copies_from_global(d->opcode)) {
        decode_unknown(d);
        return;
    }
    if (!decode_count(d, 3, 5)) return;
    Instr instr = decode_instr(d, I_CP_ASYNC);
    instr.space = S_SHARED;
    decode_address(d, &operands[0], &instr);
    take_global(d, &operands[1], &instr);
    instr.bytes = small_number(d, &operands[2]);
    bool fits = instr.bytes == 16 ||
                (!strcmp(d->opcode->part[2], "ca") && (instr.bytes == 4 || instr.bytes == 8));
    if (!fits) decode_fail(d, "'%s' cannot copy %u bytes", d->opcode->text, instr.bytes);
    uint32_t count = d->statement->operand_count;
    if (opcode_has(d->opcode, "L2::cache_hint")) count--;
    if (count > 3) instr.s[1] = decode_source(d, &operands[3], T_B32);
    decode_push(d, instr);
}

void decode_cp(Decoder *d) {
    const Opcode *opcode = d->opcode;
    const char *what =
        opcode->count > 2 && !strcmp(opcode->part[1], "async") ? opcode->part[2] : "";
    bool waits = !strcmp(what, "wait_group");
    if (opcode->count == 3 && !strcmp(what, "commit_group")) {
        decode_push(d, decode_instr(d, I_CP_COMMIT));
    } else if (opcode->count == 3 && (waits || !strcmp(what, "wait_all"))) {
        Instr instr = decode_instr(d, I_CP_WAIT);
        if (!decode_count(d, waits, waits)) return;
        if (waits) instr.number = small_number(d, &d->statement->operands[0]);
        decode_push(d, instr);
    } else {
        decode_copy(d);
    }
}

/* ---- ldmatrix, stmatrix ---- */

static bool take_matrix(const Opcode *opcode, Instr *instr) {
    static const char *const fixed[] = {"sync", "aligned", "m8n8", "b16"};
    bool known = true;
    for (uint32_t i = 1; i < opcode->count; i++) {
        const char *part = opcode->part[i];
        if (!strcmp(part, "trans"))
            instr->transpose = true;
        else if (part[0] == 'x' && strchr("124", part[1]) && part[1] && !part[2])
            instr->vector = (uint8_t)(part[1] - '0');
        else
            known &= is_among(part, fixed, sizeof fixed / sizeof *fixed) ||
                     take_space(part, &instr->space);
    }
    return known && instr->vector && instr->type == T_B16 && opcode_has(opcode, "m8n8");
}

void decode_matrix(Decoder *d) {
    bool loads = !strcmp(d->opcode->part[0], "ldmatrix");
    Instr instr = decode_instr(d, loads ? I_LDMATRIX : I_STMATRIX);
    if (!take_matrix(d->opcode, &instr)) {
        decode_unknown(d);
        return;
    }
    if (!decode_count(d, 2, 2)) return;
    const PtxOperand *operands = d->statement->operands;
    decode_address(d, &operands[loads ? 1 : 0], &instr);
    const PtxOperand *list = elements(d, &operands[loads ? 0 : 1], instr.vector);
    for (uint32_t i = 0; list && i < instr.vector; i++) {
        if (loads)
            instr.d[i] = decode_target(d, &list[i], T_B32);
        else
            instr.s[i] = decode_source(d, &list[i], T_B32);
    }
    decode_push(d, instr);
}
