/* Constant expressions: numbers, pi, arithmetic and elementary functions, computed in double. */
#include "compiler/check/checker.h"

#include <math.h>

static bool constant_binary(const Node *node, double *value) {
    double a, b;
    if (!constant_value(node->kids.at[0], &a) || !constant_value(node->kids.at[1], &b))
        return false;
    switch (node->op) {
    case TOP_ADD: *value = a + b; return true;
    case TOP_SUB: *value = a - b; return true;
    case TOP_MUL: *value = a * b; return true;
    case TOP_DIV: *value = a / b; return true;
    case TOP_MOD: *value = a - b * floor(a / b); return true;
    case TOP_POW: *value = pow(a, b); return true;
    default: return false;
    }
}

static bool constant_call(const Node *node, double *value) {
    double a;
    if (node->kids.count != 2 || node->kids.at[0]->kind != N_NAME) return false;
    if (node->kids.at[1]->kind == N_ARG || !constant_value(node->kids.at[1], &a)) return false;
    switch (builtin_find(node->kids.at[0]->name)) {
    case BUILTIN_EXP: *value = exp(a); return true;
    case BUILTIN_LOG: *value = log(a); return true;
    case BUILTIN_SQRT: *value = sqrt(a); return true;
    case BUILTIN_ABS: *value = fabs(a); return true;
    case BUILTIN_SIN: *value = sin(a); return true;
    case BUILTIN_COS: *value = cos(a); return true;
    case BUILTIN_TANH: *value = tanh(a); return true;
    case BUILTIN_ERF: *value = erf(a); return true;
    case BUILTIN_FLOOR: *value = floor(a); return true;
    default: return false;
    }
}

bool constant_value(const Node *expression, double *value) {
    switch (expression->kind) {
    case N_NUMBER: *value = expression->number; return true;
    case N_NAME:
        if (strcmp(expression->name, "pi")) return false;
        *value = 3.14159265358979323846;
        return true;
    case N_UNARY:
        if (expression->op != TOP_NEG || !constant_value(expression->kids.at[0], value))
            return false;
        *value = -*value;
        return true;
    case N_BINARY: return constant_binary(expression, value);
    case N_CALL: return constant_call(expression, value);
    default: return false;
    }
}

bool constant_count(Checker *checker, const Node *expression, const char *what, uint64_t least,
                    uint64_t *value) {
    const double limit = 9007199254740992.0; /* 2^53: whole numbers up to here are exact */
    double number;
    if (!constant_value(expression, &number)) {
        diag_error(checker->diags, expression->span, "'%s' must be a constant", what);
        return false;
    }
    if (number != floor(number) || !(fabs(number) <= limit)) {
        diag_error(checker->diags, expression->span, "'%s' must be a whole number, not %g", what,
                   number);
        return false;
    }
    if (number < (double)least) {
        diag_error(checker->diags, expression->span, "'%s' must be at least %llu, not %g", what,
                   (unsigned long long)least, number);
        return false;
    }
    *value = (uint64_t)number;
    return true;
}
