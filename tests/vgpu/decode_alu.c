/* Opcodes taken apart, and the instructions that the tables of alu_*.c describe; mov, set, slct and
 * conversions of addresses are put together from those. */
#include "tests/vgpu/decode.h"

#include <stdio.h>

/* ---- opcodes ---- */

static const struct {
    const char *name;
    uint8_t rounding;
} roundings[] = {
    {"rn", ROUND_GIVEN | ROUND_NEAREST},
    {"rz", ROUND_GIVEN | ROUND_ZERO},
    {"rm", ROUND_GIVEN | ROUND_DOWN},
    {"rp", ROUND_GIVEN | ROUND_UP},
    {"rna", ROUND_GIVEN | ROUND_AWAY},
    {"rni", ROUND_GIVEN | ROUND_INTEGER | ROUND_NEAREST},
    {"rzi", ROUND_GIVEN | ROUND_INTEGER | ROUND_ZERO},
    {"rmi", ROUND_GIVEN | ROUND_INTEGER | ROUND_DOWN},
    {"rpi", ROUND_GIVEN | ROUND_INTEGER | ROUND_UP},
    {"ftz", ROUND_FLUSH},
};

static bool take_rounding(Opcode *opcode, const char *part) {
    for (size_t i = 0; i < sizeof roundings / sizeof *roundings; i++)
        if (!strcmp(roundings[i].name, part)) {
            if (opcode->rounding & roundings[i].rounding & ROUND_GIVEN) return false;
            opcode->rounding |= roundings[i].rounding;
            return true;
        }
    return false;
}

/* setp.lt.and.f32 */
static bool take_combination(Opcode *opcode, const char *part) {
    static const char *const names[] = {
        [COMBINE_AND] = "and", [COMBINE_OR] = "or", [COMBINE_XOR] = "xor"};
    if (strcmp(opcode->part[0], "setp") && strcmp(opcode->part[0], "set")) return false;
    for (uint8_t i = COMBINE_AND; i <= COMBINE_XOR; i++)
        if (!strcmp(names[i], part)) return opcode->compare = i, true;
    return false;
}

static void split(Decoder *d, Opcode *opcode) {
    const char *at = opcode->text;
    while (*at && opcode->count < OPCODE_PARTS) {
        size_t length = strcspn(at, ".");
        opcode->part[opcode->count++] = ptx_copy(d->arena, at, length);
        at += length + (at[length] == '.');
    }
}

static void take_parts(Decoder *d, Opcode *opcode) {
    char *key = ptx_new(d->arena, strlen(opcode->text) + 1);
    strcpy(key, opcode->part[0]);
    for (uint32_t i = 1; i < opcode->count; i++) {
        const char *part = opcode->part[i];
        Type type = ptx_type(part);
        if (type != T_NONE) {
            if (opcode->type == T_NONE) opcode->type = type;
            opcode->from = type;
        }
        if (take_rounding(opcode, part) || take_combination(opcode, part)) continue;
        if (!strcmp(part, "sat") && strcmp(opcode->part[0], "mad")) {
            opcode->saturate = true;
            continue;
        }
        strcat(strcat(key, "."), part);
    }
    opcode->key = key;
}

static const struct {
    const AluRow *rows;
    const uint32_t *count;
} tables[] = {{alu_float_rows, &alu_float_count},
              {alu_int_rows, &alu_int_count},
              {alu_compare_rows, &alu_compare_count},
              {alu_convert_rows, &alu_convert_count},
              {alu_tensor_rows, &alu_tensor_count}};

const AluRow *decode_find_row(const char *key) {
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (uint32_t i = 0; i < *tables[t].count; i++)
            if (!strcmp(tables[t].rows[i].key, key)) return &tables[t].rows[i];
    return NULL;
}

const Opcode *decode_opcode(Decoder *d, const char *text) {
    uint32_t hash = 2166136261;
    for (const char *c = text; *c; c++) hash = (hash ^ (unsigned char)*c) * 16777619;
    uint32_t at = hash % OPCODE_CHAINS;
    for (uint32_t tries = 0; tries < OPCODE_CHAINS / 2 && d->opcodes[at]; tries++) {
        if (!strcmp(d->opcodes[at]->text, text)) return d->opcodes[at];
        at = (at + 1) % OPCODE_CHAINS;
    }
    Opcode *opcode = ptx_new(d->arena, sizeof *opcode);
    opcode->text = text;
    split(d, opcode);
    take_parts(d, opcode);
    opcode->row = decode_find_row(opcode->key);
    d->opcodes[at] = opcode;
    return opcode;
}

bool opcode_has(const Opcode *opcode, const char *part) {
    for (uint32_t i = 1; i < opcode->count; i++)
        if (!strcmp(opcode->part[i], part)) return true;
    return false;
}

/* ---- rows of the tables ---- */

static bool is_float(Type type) {
    switch (type) {
    case T_F16:
    case T_BF16:
    case T_F16X2:
    case T_BF16X2:
    case T_TF32:
    case T_F32:
    case T_F64: return true;
    default: return false;
    }
}

/* What PTX asks for: a rounding between number formats, none elsewhere. */
static bool rounding_fits(const Opcode *opcode) {
    bool given = opcode->rounding & ROUND_GIVEN, integral = opcode->rounding & ROUND_INTEGER;
    bool to_float = is_float(opcode->type), from_float = is_float(opcode->from);
    if (strcmp(opcode->part[0], "cvt")) return !integral && (!given || to_float);
    if (from_float && !to_float) return integral;
    if (!from_float && to_float) return given && !integral;
    if (!from_float) return !given;
    if (ptx_type_bytes(opcode->type) > ptx_type_bytes(opcode->from)) return !given;
    return opcode->type == opcode->from || given;
}

static Run *chosen_run(Decoder *d) {
    const Opcode *opcode = d->opcode;
    if (!opcode->row || !rounding_fits(opcode)) return NULL;
    bool plain = !opcode->saturate && !(opcode->rounding & ~ROUND_GIVEN);
    return plain ? opcode->row->run : opcode->row->general;
}

static Type shape_type(Decoder *d, char letter) {
    Type type = d->opcode->type;
    switch (letter) {
    case 't': return type;
    case 'x': return d->opcode->from;
    case 'u': return T_B32;
    case 'w': return ptx_type_bytes(type) == 2 ? T_B32 : T_B64;
    default: return T_PRED;
    }
}

static Operand carry(Decoder *d) {
    if (!d->carry.given) d->carry = decode_scratch(d, T_PRED);
    return d->carry;
}

/* The statement's operands with lists opened: mma has its fragments in braces. */
typedef struct {
    const PtxOperand *at[24];
    uint32_t count, next;
} Flat;

static void flatten(Flat *flat, const PtxOperand *operands, uint32_t count) {
    for (uint32_t i = 0; i < count && flat->count < 24; i++) {
        if (operands[i].kind == PTX_LIST)
            flatten(flat, operands[i].list, operands[i].count);
        else
            flat->at[flat->count++] = &operands[i];
    }
}

static const PtxOperand *next_operand(Decoder *d, Flat *flat) {
    if (flat->next < flat->count) return flat->at[flat->next++];
    decode_fail(d, "'%s' has too few operands", d->opcode->text);
    return NULL;
}

static void take_target(Decoder *d, Flat *flat, char letter, Operand *to, bool is_second) {
    static const PtxOperand none = {.kind = PTX_SINK};
    if (letter == 'c') {
        *to = carry(d);
        return;
    }
    const PtxOperand *operand;
    if (is_second) { /* q of p|q */
        operand = flat->at[flat->next - 1]->second;
        if (!operand) operand = &none;
    } else {
        operand = next_operand(d, flat);
    }
    if (!operand) return;
    if (operand->second && letter != 'p') decode_unknown(d);
    *to = letter == 'p' ? decode_target_or_none(d, operand, T_PRED)
                        : decode_target(d, operand, shape_type(d, letter));
}

static void take_source(Decoder *d, Flat *flat, char letter, Operand *to) {
    if (letter == 'c') {
        *to = carry(d);
        return;
    }
    const PtxOperand *operand = next_operand(d, flat);
    if (!operand) return;
    *to = letter == 'x' ? decode_source_low(d, operand, shape_type(d, letter))
                        : decode_source(d, operand, shape_type(d, letter));
}

static void take_operands(Decoder *d, Instr *instr, const char *shape) {
    Flat flat = {0};
    flatten(&flat, d->statement->operands, d->statement->operand_count);
    uint32_t targets = 0, sources = 0;
    for (; *shape != '='; shape++, targets++)
        take_target(d, &flat, *shape, &instr->d[targets], *shape == 'p' && targets == 1);
    for (shape++; *shape; shape++) take_source(d, &flat, *shape, &instr->s[sources++]);
    if (instr->compare != COMBINE_NONE) take_source(d, &flat, 'p', &instr->s[sources]);
    if (flat.next < flat.count) decode_fail(d, "'%s' has too many operands", d->opcode->text);
}

/* cvt.s16.s8 %r1: into a register that is wider than the result's type. The first conversion went
 * into a row of its own; the second one extends it. */
static void extend_result(Decoder *d, Instr *instr, Type has) {
    Type type = d->opcode->type;
    bool is_signed = type == T_S8 || type == T_S16 || type == T_S32;
    static const char *const keys[2][3] = {{"cvt.u16.u8", "cvt.u32.u8", "cvt.u64.u8"},
                                           {"cvt.s16.s8", "cvt.s32.s8", "cvt.s64.s8"}};
    static const char *const wider[2][3] = {{"cvt.u32.u16", "cvt.u64.u16", "cvt.u64.u32"},
                                            {"cvt.s32.s16", "cvt.s64.s16", "cvt.s64.s32"}};
    uint32_t bytes = ptx_type_bytes(has), own = ptx_type_bytes(type);
    const char *key = own == 1   ? keys[is_signed][bytes == 2   ? 0
                                                   : bytes == 4 ? 1
                                                                : 2]
                      : own == 2 ? wider[is_signed][bytes == 4 ? 0 : 1]
                                 : wider[is_signed][2];
    Operand to = decode_target(d, &d->statement->operands[0], has);
    instr->d[0] = decode_scratch(d, T_B32);
    decode_push(d, *instr);
    decode_push_alu(d, key, to, instr->d[0], (Operand){0});
}

static bool is_narrow_cvt(Decoder *d, Type *has) {
    if (strcmp(d->opcode->part[0], "cvt") || !d->statement->operand_count) return false;
    *has = decode_register_type(d, &d->statement->operands[0]);
    return *has != T_PRED && !is_float(d->opcode->type) &&
           ptx_type_bytes(*has) > ptx_type_bytes(d->opcode->type);
}

static uint64_t tensor_flops(const char *shape) {
    unsigned m = 0, n = 0, k = 0;
    return sscanf(shape, "m%un%uk%u", &m, &n, &k) == 3 ? UINT64_C(2) * m * n * k : 0;
}

void decode_alu(Decoder *d) {
    Run *run = chosen_run(d);
    if (!run) {
        decode_unknown(d);
        return;
    }
    Type has = T_NONE;
    Instr instr = decode_instr(d, I_ALU);
    instr.run = run;
    instr.rounding = d->opcode->rounding;
    instr.compare = d->opcode->compare;
    instr.saturate = d->opcode->saturate;
    if (!strcmp(d->opcode->part[0], "mma")) instr.tensor_flops = tensor_flops(d->opcode->part[3]);
    if (is_narrow_cvt(d, &has)) {
        if (!decode_count(d, 2, 2)) return;
        instr.s[0] = decode_source_low(d, &d->statement->operands[1], d->opcode->from);
        extend_result(d, &instr, has);
        return;
    }
    take_operands(d, &instr, d->opcode->row->shape);
    decode_push(d, instr);
}

/* ---- mov ---- */

static const char *move_key(Type type) {
    return type == T_PRED ? "mov.pred" : row_bytes(type) == 8 ? "mov 8" : "mov 4";
}

/* mov.b64 %rd1, {%r1, %r2} */
static void decode_join(Decoder *d, const PtxOperand *list) {
    Type type = d->opcode->type;
    Operand to = decode_target(d, &d->statement->operands[0], type), part[4];
    Type half = type == T_B64 && list->count == 2 ? T_B32 : T_B16;
    for (uint32_t i = 0; i < list->count; i++) part[i] = decode_source(d, &list->list[i], half);
    const char *key = half == T_B32 ? "join 32" : "join 16";
    if (list->count == 2) {
        decode_push_alu(d, key, to, part[0], part[1]);
        return;
    }
    Operand low = decode_scratch(d, T_B32), high = decode_scratch(d, T_B32);
    decode_push_alu(d, "join 16", low, part[0], part[1]);
    decode_push_alu(d, "join 16", high, part[2], part[3]);
    decode_push_alu(d, "join 32", to, low, high);
}

static void split_into(Decoder *d, const PtxOperand *low, const PtxOperand *high, Operand from,
                       Type half) {
    const char *const keys[] = {half == T_B32 ? "low 32" : "low 16",
                                half == T_B32 ? "high 32" : "high 16"};
    const PtxOperand *const to[] = {low, high};
    for (uint32_t i = 0; i < 2; i++) {
        Operand part = decode_target_or_none(d, to[i], half);
        if (part.given) decode_push_alu(d, keys[i], part, from, (Operand){0});
    }
}

/* mov.b64 {%r1, %r2}, %rd1. A part may be written where a later one is still to be read: of 32
 * bits, parts and whole are both narrow, so the whole is copied first. */
static void decode_split(Decoder *d, const PtxOperand *list) {
    Type type = d->opcode->type;
    Operand from = decode_source(d, &d->statement->operands[1], type);
    if (list->count == 2) {
        split_into(d, &list->list[0], &list->list[1], from, type == T_B64 ? T_B32 : T_B16);
        return;
    }
    Operand low = decode_scratch(d, T_B32), high = decode_scratch(d, T_B32);
    decode_push_alu(d, "low 32", low, from, (Operand){0});
    decode_push_alu(d, "high 32", high, from, (Operand){0});
    split_into(d, &list->list[0], &list->list[1], low, T_B16);
    split_into(d, &list->list[2], &list->list[3], high, T_B16);
}

static bool list_fits(const Opcode *opcode, uint32_t count) {
    return (count == 2 && (opcode->type == T_B32 || opcode->type == T_B64)) ||
           (count == 4 && opcode->type == T_B64);
}

void decode_mov(Decoder *d) {
    const PtxStatement *s = d->statement;
    Type type = d->opcode->type;
    if (d->opcode->count != 2 || type == T_NONE || !ptx_type_bytes(type) != (type == T_PRED) ||
        ptx_type_bytes(type) == 1 || type == T_B128) {
        decode_unknown(d);
        return;
    }
    if (!decode_count(d, 2, 2)) return;
    bool joins = s->operands[1].kind == PTX_LIST, splits = s->operands[0].kind == PTX_LIST;
    if (!joins && !splits) {
        Operand to = decode_target(d, &s->operands[0], type);
        decode_push_alu(d, move_key(type), to, decode_source(d, &s->operands[1], type),
                        (Operand){0});
        return;
    }
    const PtxOperand *list = &s->operands[joins ? 1 : 0];
    if ((joins && splits) || !list_fits(d->opcode, list->count))
        decode_unknown(d);
    else if (joins)
        decode_join(d, list);
    else
        decode_split(d, list);
}

/* ---- set, slct: a comparison and a selection ---- */

static void push_select(Decoder *d, Type type, Operand to, Operand yes, Operand no, Operand which) {
    Instr select = decode_instr(d, I_ALU);
    select.run = decode_find_row(row_bytes(type) == 8 ? "selp.b64" : "selp.b32")->run;
    select.d[0] = to;
    select.s[0] = yes;
    select.s[1] = no;
    select.s[2] = which;
    decode_push(d, select);
}

/* set.lt.u32.f32 d, a, b: all ones, or 1.0 */
void decode_set(Decoder *d) {
    const Opcode *opcode = d->opcode;
    const PtxOperand *operands = d->statement->operands;
    Type type = opcode->type, from = opcode->from;
    bool known = type == T_U32 || type == T_S32 || type == T_F32;
    const char *key = ptx_format(d->arena, "setp.%s.%s", opcode->count > 1 ? opcode->part[1] : "",
                                 opcode->part[opcode->count - 1]);
    const AluRow *row = decode_find_row(key);
    bool general = opcode->rounding & ROUND_FLUSH;
    if (!known || !row || (general && !row->general)) {
        decode_unknown(d);
        return;
    }
    uint32_t count = opcode->compare == COMBINE_NONE ? 3 : 4;
    if (!decode_count(d, count, count)) return;
    Instr compare = decode_instr(d, I_ALU);
    compare.run = general ? row->general : row->run;
    compare.compare = opcode->compare;
    compare.d[0] = decode_scratch(d, T_PRED);
    compare.s[0] = decode_source(d, &operands[1], from);
    compare.s[1] = decode_source(d, &operands[2], from);
    if (count == 4) compare.s[2] = decode_source(d, &operands[3], T_PRED);
    decode_push(d, compare);
    uint64_t yes = type == T_F32 ? bits_of_float(1.0f) : UINT32_MAX;
    push_select(d, type, decode_target(d, &operands[0], type), decode_constant(d, T_B32, yes),
                decode_constant(d, T_B32, 0), compare.d[0]);
}

/* slct.b32.f32 d, a, b, c: c >= 0 ? a : b */
void decode_slct(Decoder *d) {
    const PtxOperand *operands = d->statement->operands;
    Type type = d->opcode->type, by = d->opcode->from;
    bool known = (by == T_S32 || by == T_F32) && ptx_type_bytes(type) >= 2;
    if (!known || d->opcode->count < 3) {
        decode_unknown(d);
        return;
    }
    if (!decode_count(d, 4, 4)) return;
    Operand which = decode_scratch(d, T_PRED);
    decode_push_alu(d, by == T_F32 ? "setp.ge.f32" : "setp.ge.s32", which,
                    decode_source(d, &operands[3], by), decode_constant(d, T_B32, 0));
    Operand yes = decode_source(d, &operands[1], type), no = decode_source(d, &operands[2], type);
    push_select(d, type, decode_target(d, &operands[0], type), yes, no, which);
}

/* ---- generic addresses ---- */

static bool window_of(const Opcode *opcode, uint64_t *window) {
    for (uint32_t i = 1; i < opcode->count; i++) {
        const char *part = opcode->part[i];
        *window = !strncmp(part, "shared", 6) ? SHARED_WINDOW
                  : !strcmp(part, "local")    ? LOCAL_WINDOW
                                              : 0;
        if (*window || !strcmp(part, "global") || !strcmp(part, "const")) return true;
    }
    return false;
}

/* cvta[.to].SPACE.u64: between offsets in shared and local memory and generic addresses */
void decode_cvta(Decoder *d) {
    uint64_t window;
    if (!window_of(d->opcode, &window) || d->opcode->type != T_U64) {
        decode_unknown(d);
        return;
    }
    if (!decode_count(d, 2, 2)) return;
    const PtxOperand *operands = d->statement->operands;
    Operand to = decode_target(d, &operands[0], T_U64);
    Operand from = decode_source(d, &operands[1], T_U64);
    if (opcode_has(d->opcode, "to")) window = 0 - window;
    decode_push_alu(d, window ? "add.u64" : "mov 8", to, from, decode_constant(d, T_U64, window));
}

void decode_isspacep(Decoder *d) {
    uint64_t window;
    if (!window_of(d->opcode, &window) || d->opcode->count != 2) {
        decode_unknown(d);
        return;
    }
    if (!decode_count(d, 2, 2)) return;
    const PtxOperand *operands = d->statement->operands;
    Operand to = decode_target(d, &operands[0], T_PRED), offset = decode_scratch(d, T_U64);
    decode_push_alu(d, "sub.u64", offset, decode_source(d, &operands[1], T_U64),
                    decode_constant(d, T_U64, window));
    decode_push_alu(d, "setp.lt.u64", to, offset,
                    decode_constant(d, T_U64, window ? WINDOW_BYTES : SHARED_WINDOW));
}
