/* Operands: rows of registers, constant rows, addresses. */
#include "tests/vgpu/decode.h"

#include <stdlib.h>

struct Constant {
    Constant *next;
    uint32_t bytes;
    uint64_t bits;
    const void *row;
};

static const struct {
    const char *name;
    Special which;
    Type type;
} specials[] = {
    {"%tid.x", X_TID_X, T_U32},
    {"%tid.y", X_TID_Y, T_U32},
    {"%tid.z", X_TID_Z, T_U32},
    {"%ntid.x", X_NTID_X, T_U32},
    {"%ntid.y", X_NTID_Y, T_U32},
    {"%ntid.z", X_NTID_Z, T_U32},
    {"%ctaid.x", X_CTAID_X, T_U32},
    {"%ctaid.y", X_CTAID_Y, T_U32},
    {"%ctaid.z", X_CTAID_Z, T_U32},
    {"%nctaid.x", X_NCTAID_X, T_U32},
    {"%nctaid.y", X_NCTAID_Y, T_U32},
    {"%nctaid.z", X_NCTAID_Z, T_U32},
    {"%laneid", X_LANEID, T_U32},
    {"%warpid", X_WARPID, T_U32},
    {"%nwarpid", X_NWARPID, T_U32},
    {"%smid", X_SMID, T_U32},
    {"%clock", X_CLOCK, T_U32},
    {"%clock64", X_CLOCK, T_U64},
    {"%lanemask_eq", X_LANEMASK_EQ, T_U32},
    {"%lanemask_lt", X_LANEMASK_LT, T_U32},
    {"%lanemask_le", X_LANEMASK_LE, T_U32},
    {"%lanemask_gt", X_LANEMASK_GT, T_U32},
    {"%lanemask_ge", X_LANEMASK_GE, T_U32},
    {"%dynamic_smem_size", X_DYNAMIC_SMEM, T_U32},
};

uint32_t row_bytes(Type type) {
    return type == T_PRED ? 0 : ptx_type_bytes(type) == 8 ? 8 : 4;
}

static Operand row_at(uint64_t at) {
    return (Operand){.at = (uint32_t)at, .given = true};
}

static uint32_t new_row_at(Decoder *d, uint32_t at, uint32_t bytes) {
    *PTX_PUSH(d->arena, d->rows, d->row_count) = (Row){at, bytes};
    return at;
}

/* Predicates are packed into rows of their own, so that the other rows stay aligned. */
uint32_t decode_row(Decoder *d, Type type) {
    uint32_t at = d->function->register_bytes, bytes = LANES * row_bytes(type);
    if (type != T_PRED) {
        d->function->register_bytes += bytes;
        return new_row_at(d, at, bytes);
    }
    if (!d->predicates_left) {
        d->predicate_at = at;
        d->function->register_bytes += LANES * 4;
        d->predicates_left = LANES;
    }
    return new_row_at(d, d->predicate_at + 4 * (LANES - d->predicates_left--), 4);
}

Operand decode_scratch(Decoder *d, Type type) {
    return row_at(decode_row(d, type));
}

/* ---- constants ---- */

static const void *new_row(Decoder *d, uint32_t bytes, uint64_t bits) {
    void *row = ptx_new(d->arena, LANES * (bytes ? bytes : 4));
    for (uint32_t lane = 0; lane < LANES; lane++) {
        uint32_t low = (uint32_t)bits;
        if (bytes == 8)
            memcpy((char *)row + 8 * lane, &bits, 8);
        else
            memcpy((char *)row + 4 * lane, &low, 4);
    }
    return row;
}

Operand decode_constant(Decoder *d, Type type, uint64_t bits) {
    uint32_t bytes = row_bytes(type), width = ptx_type_bytes(type);
    if (width && width < 8) bits &= (UINT64_C(1) << (8 * width)) - 1;
    if (type == T_PRED) bits = bits ? UINT32_MAX : 0;
    Constant **chain = &d->constants[(bits ^ bits >> 23 ^ bits >> 52 ^ bytes) % CONSTANT_CHAINS];
    for (Constant *c = *chain; c; c = c->next)
        if (c->bits == bits && c->bytes == bytes)
            return (Operand){.constant = c->row, .given = true};
    Constant *fresh = ptx_new(d->arena, sizeof *fresh);
    *fresh = (Constant){*chain, bytes, bits, new_row(d, bytes, bits)};
    *chain = fresh;
    return (Operand){.constant = fresh->row, .given = true};
}

static uint64_t number_bits(Decoder *d, const PtxOperand *operand, Type type) {
    bool is_f32 = operand->kind == PTX_F32, is_f64 = operand->kind == PTX_F64;
    if (is_f32 && row_bytes(type) == 8)
        return bits_of_double(float_of_bits((uint32_t)operand->value));
    if (is_f64 && row_bytes(type) == 4) return bits_of_float((float)double_of_bits(operand->value));
    if (operand->kind == PTX_INTEGER && (type == T_F32 || type == T_F64) && operand->value)
        decode_fail(d, "a floating point number is wanted in '%s'", d->opcode->text);
    return operand->value;
}

/* ---- names ---- */

static bool find_register(const Decoder *d, const char *name, Type *type, uint64_t *at) {
    const Symbol *symbol = decode_find(d, name);
    if (!symbol || symbol->kind != SYMBOL_REGISTERS) return false;
    *type = symbol->type;
    *at = symbol->at;
    if (!symbol->number) return true;
    uint64_t number = strtoul(name + strlen(symbol->name), NULL, 10);
    *at += symbol->type == T_PRED ? 4 * number : number * LANES * row_bytes(symbol->type);
    return true;
}

Type decode_register_type(const Decoder *d, const PtxOperand *operand) {
    Type type = T_NONE;
    uint64_t at;
    if (operand->kind == PTX_NAME) find_register(d, operand->name, &type, &at);
    return type;
}

static bool special_row(Decoder *d, const char *name, Type *type, uint64_t *at) {
    Function *function = d->function;
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++) {
        if (strcmp(specials[i].name, name)) continue;
        *type = specials[i].type;
        bool wide = *type == T_U64;
        for (uint32_t s = 0; s < function->special_count; s++)
            if (function->specials[s].which == specials[i].which &&
                function->specials[s].wide == wide)
                return *at = function->specials[s].at, true;
        *at = decode_row(d, *type);
        *PTX_PUSH(d->arena, function->specials, function->special_count) =
            (SpecialRow){specials[i].which, (uint32_t)*at, wide};
        return true;
    }
    return false;
}

static Operand wrong_width(Decoder *d, const char *name, Type has, Type wanted) {
    if (has == T_PRED || wanted == T_PRED)
        decode_fail(d, "'%s' is %s predicate, and '%s' wants %s", name, has == T_PRED ? "a" : "no",
                    d->opcode->text, has == T_PRED ? "a number" : "one");
    else
        decode_fail(d, "'%s' has %u bits, and '%s' wants %u", name, 8 * ptx_type_bytes(has),
                    d->opcode->text, 8 * ptx_type_bytes(wanted));
    return (Operand){.given = true};
}

static Operand address_of(Decoder *d, const Symbol *symbol, Type type) {
    uint64_t address = symbol->at;
    if (symbol->kind == SYMBOL_GLOBAL) address = d->code->variables[symbol->variable].address;
    if (type == T_PRED) return wrong_width(d, symbol->name, T_B64, type);
    return decode_constant(d, type, address);
}

static Operand source_name(Decoder *d, const PtxOperand *operand, Type type, bool low) {
    const char *name = operand->name;
    Type has = T_NONE;
    uint64_t at = 0;
    if (!find_register(d, name, &has, &at) && !special_row(d, name, &has, &at)) {
        const Symbol *symbol = decode_find(d, name);
        if (!strcmp(name, "WARP_SZ")) return decode_constant(d, type, LANES);
        if (symbol && symbol->kind != SYMBOL_TARGETS) return address_of(d, symbol, type);
        decode_fail(d, name[0] == '%' ? "unknown register '%s'" : "unknown name '%s'", name);
        return (Operand){.given = true};
    }
    if (row_bytes(has) == row_bytes(type)) return row_at(at);
    if (row_bytes(has) != 8 || row_bytes(type) != 4 || !low) return wrong_width(d, name, has, type);
    Operand half = decode_scratch(d, T_B32);
    decode_push_alu(d, "low 32", half, row_at(at), (Operand){0});
    return half;
}

static Operand source(Decoder *d, const PtxOperand *operand, Type type, bool low) {
    switch (operand->kind) {
    case PTX_NAME: break;
    case PTX_INTEGER:
    case PTX_F32:
    case PTX_F64: return decode_constant(d, type, number_bits(d, operand, type));
    default:
        decode_fail(d, "a register or number is wanted in '%s'", d->opcode->text);
        return (Operand){.given = true};
    }
    Operand found = source_name(d, operand, type, low);
    if (!operand->negated) return found;
    if (type != T_PRED) return wrong_width(d, operand->name, T_B32, T_PRED);
    Operand inverse = decode_scratch(d, T_PRED);
    decode_push_alu(d, "not.pred", inverse, found, (Operand){0});
    return inverse;
}

Operand decode_source(Decoder *d, const PtxOperand *operand, Type type) {
    return source(d, operand, type, false);
}

Operand decode_source_low(Decoder *d, const PtxOperand *operand, Type type) {
    return source(d, operand, type, true);
}

Operand decode_target_or_none(Decoder *d, const PtxOperand *operand, Type type) {
    Type has = T_NONE;
    uint64_t at = 0;
    if (operand->kind == PTX_SINK) return (Operand){0};
    if (operand->kind != PTX_NAME || operand->negated) {
        decode_fail(d, "a register is wanted for the result of '%s'", d->opcode->text);
        return (Operand){.given = true};
    }
    if (!find_register(d, operand->name, &has, &at)) {
        decode_fail(d, "unknown register '%s'", operand->name);
        return (Operand){.given = true};
    }
    if (row_bytes(has) != row_bytes(type)) return wrong_width(d, operand->name, has, type);
    return row_at(at);
}

Operand decode_target(Decoder *d, const PtxOperand *operand, Type type) {
    Operand target = decode_target_or_none(d, operand, type);
    return target.given ? target : decode_scratch(d, type);
}

/* ---- addresses ---- */

static void address_of_variable(Decoder *d, const PtxOperand *operand, Instr *instr) {
    static const StateSpace spaces[] = {
        [SYMBOL_SHARED] = S_SHARED, [SYMBOL_LOCAL] = S_LOCAL, [SYMBOL_PARAM] = S_PARAM};
    const Symbol *symbol = decode_find(d, operand->name);
    if (!symbol || symbol->kind == SYMBOL_TARGETS) {
        decode_fail(d, operand->name[0] == '%' ? "unknown register '%s'" : "unknown name '%s'",
                    operand->name);
    } else if (symbol->kind == SYMBOL_GLOBAL) {
        const Variable *variable = &d->code->variables[symbol->variable];
        instr->displacement += (int64_t)variable->address;
        instr->space = variable->space;
    } else {
        instr->displacement += (int64_t)symbol->at;
        instr->space = spaces[symbol->kind];
    }
}

void decode_address(Decoder *d, const PtxOperand *operand, Instr *instr) {
    Type has = T_NONE;
    uint64_t at = 0;
    if (operand->kind != PTX_ADDRESS) {
        decode_fail(d, "an address in brackets is wanted in '%s'", d->opcode->text);
        return;
    }
    instr->displacement = (int64_t)operand->value;
    if (!operand->name) return;
    if (!find_register(d, operand->name, &has, &at)) {
        address_of_variable(d, operand, instr);
        return;
    }
    if (ptx_type_bytes(has) < 4) wrong_width(d, operand->name, has, T_B64);
    instr->address = row_at(at);
    instr->address_wide = row_bytes(has) == 8;
}

bool decode_count(Decoder *d, uint32_t least, uint32_t most) {
    uint32_t count = d->statement->operand_count;
    if (count >= least && count <= most) return true;
    if (least == most)
        decode_fail(d, "'%s' has %u operands, and %u are wanted", d->opcode->text, count, least);
    else
        decode_fail(d, "'%s' has %u operands, and %u to %u are wanted", d->opcode->text, count,
                    least, most);
    return false;
}
