/* Constant folding of elementwise ops, in the precision of the run time. */
#include "compiler/graph/fold.h"

#include <math.h>
#include <string.h>

double fold_round(double number, Elem elem) {
    switch (elem) {
    case E_BOOL: return number != 0;
    case E_U8: return (double)((uint64_t)(int64_t)number & 0xff);
    case E_I32: return (double)(int32_t)(uint32_t)(uint64_t)(int64_t)number;
    case E_U32: return (double)(uint32_t)(uint64_t)(int64_t)number;
    case E_F32: return (double)(float)number;
    case E_F64: return number;
    }
    return number;
}

static double fold_significant(double number, uint32_t bits) {
    float narrow = (float)number;
    uint32_t word, drop = 24 - bits;
    if (isnan(narrow)) return number;
    memcpy(&word, &narrow, sizeof word);
    word += (1u << (drop - 1)) - 1 + (word >> drop & 1);
    word = word >> drop << drop;
    memcpy(&narrow, &word, sizeof word);
    return (double)narrow;
}

static bool fits(double number, Elem elem) {
    double least = elem == E_I32 ? -2147483648.0 : 0;
    double most = elem == E_U8 ? 255.0 : elem == E_I32 ? 2147483647.0 : 4294967295.0;
    double whole = trunc(number);
    return whole >= least && whole <= most; /* false for NaN */
}

static bool fold_cast(Elem from, Elem to, double a, double *number) {
    if (to == E_BOOL || to == E_F64) {
        *number = to == E_BOOL ? (double)(a != 0) : a;
        return true;
    }
    if (to == E_F32) {
        *number = (double)(float)a;
        return from != E_U32 || a <= 16777216.0;
    }
    if (!fits(a, to)) return false;
    *number = trunc(a);
    return true;
}

static bool fold_unary(Op op, Elem elem, double a, uint32_t bits, double *number) {
    switch (op) {
    case OP_NEG: *number = elem_is_real(elem) ? -a : fold_round(0 - a, elem); return true;
    case OP_ABS:
        *number = elem_is_real(elem) ? fabs(a) : fold_round(a < 0 ? 0 - a : a, elem);
        return true;
    case OP_SQRT: *number = elem == E_F32 ? (double)sqrtf((float)a) : sqrt(a); return true;
    case OP_FLOOR: *number = floor(a); return true;
    case OP_NOT: *number = a == 0; return true;
    case OP_ROUND: *number = fold_significant(a, bits); return true;
    case OP_SHR: *number = (double)((uint32_t)a >> bits); return true;
    default: return false;
    }
}

static bool fold_float(Op op, float a, float b, double *number) {
    switch (op) {
    case OP_ADD: *number = (double)(a + b); return true;
    case OP_SUB: *number = (double)(a - b); return true;
    case OP_MUL: *number = (double)(a * b); return true;
    case OP_DIV: *number = (double)(a / b); return true;
    default: return false;
    }
}

static bool fold_double(Op op, double a, double b, double *number) {
    switch (op) {
    case OP_ADD: *number = a + b; return true;
    case OP_SUB: *number = a - b; return true;
    case OP_MUL: *number = a * b; return true;
    case OP_DIV: *number = a / b; return true;
    default: return false;
    }
}

static bool fold_integer(Op op, Elem elem, double da, double db, double *number) {
    int64_t a = (int64_t)da, b = (int64_t)db, value;
    switch (op) {
    case OP_ADD: value = a + b; break;
    case OP_SUB: value = a - b; break;
    case OP_MUL: value = (int64_t)((uint64_t)a * (uint64_t)b); break;
    case OP_DIV:
    case OP_MOD:
        if (b == 0 || (b == -1 && a == INT32_MIN)) return false;
        value = op == OP_DIV ? a / b : a % b;
        if (op == OP_MOD && value != 0 && (value < 0) != (b < 0)) value += b;
        break;
    default: return false;
    }
    if (elem == E_U8)
        value &= 0xff;
    else
        value = elem == E_I32 ? (int64_t)(int32_t)(uint32_t)(uint64_t)value
                              : (int64_t)(uint32_t)(uint64_t)value;
    *number = (double)value;
    return true;
}

static bool fold_binary(Op op, Elem elem, double a, double b, double *number) {
    switch (op) {
    case OP_LT: *number = a < b; return true;
    case OP_LE: *number = a <= b; return true;
    case OP_EQ: *number = a == b; return true;
    case OP_AND: *number = a != 0 && b != 0; return true;
    case OP_OR: *number = a != 0 || b != 0; return true;
    case OP_MAX:
    case OP_MIN: /* of equal ones (0 and -0) back ends may take either */
        if (isnan(a) || isnan(b) || (a == b && signbit(a) != signbit(b))) return false;
        *number = (op == OP_MAX) == (a > b) ? a : b;
        return true;
    default: break;
    }
    if (elem == E_F32) return fold_float(op, (float)a, (float)b, number);
    if (elem == E_F64) return fold_double(op, a, b, number);
    return elem != E_BOOL && fold_integer(op, elem, a, b, number);
}

bool fold(Op op, Elem operand, Elem result, const double *in, uint32_t bits, double *number) {
    if (op == OP_CAST) return fold_cast(operand, result, in[0], number);
    if (op == OP_SELECT) {
        *number = in[0] != 0 ? in[1] : in[2];
        return true;
    }
    if (op_info[op].class == CLASS_UNARY) return fold_unary(op, operand, in[0], bits, number);
    return op_info[op].class == CLASS_BINARY && fold_binary(op, operand, in[0], in[1], number);
}
