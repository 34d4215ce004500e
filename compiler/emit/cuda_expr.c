/* Expressions -> C: short ones are written where they are used, shared and long ones get a name.
 * The operations and their order are those of emit_expr.c, so that the bits are, too. */
#include "compiler/emit/cuda_printer.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_INLINE = 56, SHORT = 14 };

/* How a value is written; `compound`: as an operand it needs parentheses. */
typedef struct {
    const char *text;
    bool compound;
} Shown;

static Shown show(CudaPrinter *p, int expr);

static const char *closed(const CudaPrinter *p, Shown shown) {
    return shown.compound ? arena_printf(p->arena, "(%s)", shown.text) : shown.text;
}

const char *cuda_function(CudaPrinter *p, CudaFunction function) {
    static const char *const names[CUDA_FUNCTIONS] = {
        [CUDA_OF_TRIAL] = "of_trial",     [CUDA_LARGER] = "larger",
        [CUDA_SMALLER] = "smaller",       [CUDA_DIVIDE_I32] = "divide_i32",
        [CUDA_DIVIDE_U32] = "divide_u32", [CUDA_MODULO_I32] = "modulo_i32",
        [CUDA_MODULO_U32] = "modulo_u32", [CUDA_TO_I32] = "to_i32",
        [CUDA_TO_U32] = "to_u32",         [CUDA_TO_U8] = "to_u8",
        [CUDA_EXP] = "exp_f32",           [CUDA_LOG] = "log_f32",
        [CUDA_TANH] = "tanh_f32",         [CUDA_ERF] = "erf_f32",
        [CUDA_SINE] = "sine_f32",         [CUDA_POW] = "pow_f32",
        [CUDA_ROUND] = "round_f32",       [CUDA_PHILOX] = "philox",
        [CUDA_WARP_SUM] = "warp_sum",     [CUDA_WARP_MAX] = "warp_max",
        [CUDA_BLOCK_SUM] = "block_sum",   [CUDA_BLOCK_MAX] = "block_max",
        [CUDA_COLUMN_SUM] = "column_sum", [CUDA_COLUMN_MAX] = "column_max"};
    p->used |= 1u << function;
    return names[function];
}

/* ---- types and literals ---- */

const char *cuda_type(Elem elem, bool memory) {
    switch (elem) {
    case E_BOOL: return memory ? "unsigned char" : "bool";
    case E_U8: return "unsigned char";
    case E_I32: return "int";
    case E_U32: return "unsigned";
    case E_F32: return "float";
    case E_F64: return "double";
    }
    return NULL;
}

/* The shortest decimal that gives the same number back. */
static const char *real_literal(const CudaPrinter *p, double number, bool wide) {
    const char *sign = signbit(number) ? "-" : "";
    if (isnan(number))
        return wide ? "__longlong_as_double(0x7ff8000000000000)" : "__int_as_float(0x7fc00000)";
    if (isinf(number))
        return arena_printf(p->arena, "%s%s", sign,
                            wide ? "__longlong_as_double(0x7ff0000000000000)"
                                 : "__int_as_float(0x7f800000)");
    char text[40];
    int digits = 1,
        whole = fabs(number) >= 1 && fabs(number) < 1e7 ? 1 + (int)log10(fabs(number)) : 0;
    do {
        snprintf(text, sizeof text, "%.*g", digits > whole ? digits : whole, number);
    } while ((wide ? strtod(text, NULL) : (double)strtof(text, NULL)) != number && digits++ < 17);
    const char *point = strpbrk(text, ".e") ? "" : ".0";
    return arena_printf(p->arena, "%s%s%s", text, point, wide ? "" : "f");
}

static const char *literal(const CudaPrinter *p, Elem elem, double number) {
    switch (elem) {
    case E_F32: return real_literal(p, (double)(float)number, false);
    case E_F64: return real_literal(p, number, true);
    case E_BOOL: return (int64_t)number & 1 ? "true" : "false";
    case E_U8: return arena_printf(p->arena, "(unsigned char)%d", (int)(uint8_t)(int64_t)number);
    case E_U32: return arena_printf(p->arena, "%" PRIu32 "u", (uint32_t)(int64_t)number);
    case E_I32: break;
    }
    int32_t whole = (int32_t)(int64_t)number;
    if (whole == INT32_MIN) return "(-2147483647 - 1)";
    return arena_printf(p->arena, "%" PRId32, whole);
}

const char *cuda_identity(Op op, Elem elem) {
    switch (elem) {
    case E_F32: return op == OP_SUM ? "0.0f" : "-__int_as_float(0x7f800000)";
    case E_F64: return op == OP_SUM ? "0.0" : "-__longlong_as_double(0x7ff0000000000000)";
    case E_I32: return op == OP_SUM ? "0" : "-2147483647 - 1";
    default: return "0";
    }
}

/* ---- places in memory ---- */

const char *cuda_buffer(const CudaPrinter *p, const Buffer *buffer) {
    const Kernel *kernel = p->kernel;
    for (uint32_t i = 0; i < kernel->buffers.count; i++)
        if (kernel->buffers.at[i] == buffer) return p->buffer_names[i];
    for (uint32_t i = 0; i < kernel->locals.count; i++)
        if (kernel->locals.at[i] == buffer) return p->buffer_names[kernel->buffers.count + i];
    assert(!"buffer is not among the kernel's");
    return NULL;
}

/* May a sum of some of the terms leave the range of int? */
static bool is_wide(const Kernel *kernel, const Affine *at) {
    int64_t low = at->offset < 0 ? at->offset : 0, high = at->offset > 0 ? at->offset : 0;
    for (uint32_t i = 0; i < kernel->axis_count + kernel->part_count; i++) {
        int64_t reach = at->coeff[i] * (kernel->axes[i].extent - 1);
        *(reach < 0 ? &low : &high) += reach;
    }
    return low < INT32_MIN || high > INT32_MAX;
}

static const char *add_term(const CudaPrinter *p, const char *sum, int64_t coeff, const char *axis,
                            bool wide) {
    const char *join = !*sum ? coeff < 0 ? "-" : "" : coeff < 0 ? " - " : " + ";
    int64_t size = coeff < 0 ? -coeff : coeff;
    if (size == 1)
        return arena_printf(p->arena, "%s%s%s%s", sum, join, wide ? "(long long)" : "", axis);
    return arena_printf(p->arena, "%s%s%" PRId64 "%s * %s", sum, join, size, wide ? "ll" : "",
                        axis);
}

const char *cuda_index(CudaPrinter *p, const Affine *at, int gather) {
    const Kernel *kernel = p->kernel;
    const char *sum = "";
    int64_t offset = at->offset;
    bool wide = is_wide(kernel, at);
    for (uint32_t i = 0; i < kernel->axis_count + kernel->part_count; i++) {
        if (!at->coeff[i]) continue;
        const char *axis = p->axis[i];
        if ((int)i == gather) {
            axis = arena_printf(p->arena, "%s[%s]", cuda_buffer(p, kernel->index), axis);
            sum = add_term(p, sum, at->coeff[i], axis, true);
            continue;
        }
        char *end;
        int64_t fixed = strtoll(axis, &end, 10);
        if (!*end)
            offset += at->coeff[i] * fixed;
        else
            sum = add_term(p, sum, at->coeff[i], axis, wide);
    }
    if (!*sum) return arena_printf(p->arena, "%" PRId64, offset);
    if (!offset) return sum;
    return arena_printf(p->arena, "%s %c %" PRId64, sum, offset < 0 ? '-' : '+',
                        offset < 0 ? -offset : offset);
}

/* ---- what is used, and how often ---- */

/* The expressions that an expression's text is made of: a product that goes unrounded into a sum
 * is part of it. */
typedef struct {
    int in[3];
    int count;
    int product; /* in[0] * in[1], to which in[2] is added; or -1 */
} Operands;

static bool fuses(const Kernel *kernel, int product) {
    const Expr *x = &kernel->exprs.at[product];
    return x->kind == X_OP && x->op == OP_MUL && x->index == 1 && elem_is_real(x->elem);
}

static Operands fused(const Kernel *kernel, int product, int other) {
    const Expr *times = &kernel->exprs.at[product];
    return (Operands){{times->in[0], times->in[1], other}, 3, product};
}

static Operands operands_of_load(const Expr *x) {
    Operands operands = {{-1, -1, -1}, 0, -1};
    if (x->guard >= 0) operands.in[operands.count++] = x->guard;
    if (x->lookup >= 0) operands.in[operands.count++] = x->lookup;
    return operands;
}

static Operands operands_of(const Kernel *kernel, int expr) {
    const Expr *x = &kernel->exprs.at[expr];
    Operands none = {{-1, -1, -1}, 0, -1};
    if (x->kind == X_LOAD) return operands_of_load(x);
    if (x->kind != X_OP) return none;
    bool sum = (x->op == OP_ADD || x->op == OP_SUB) && elem_is_real(x->elem);
    if (sum && x->in[0] != x->in[1]) {
        if (fuses(kernel, x->in[0])) return fused(kernel, x->in[0], x->in[1]);
        if (fuses(kernel, x->in[1])) return fused(kernel, x->in[1], x->in[0]);
    }
    return (Operands){{x->in[0], x->in[1], x->in[2]}, op_info[x->op].arity, -1};
}

/* Of what a reduction adds up. */
static Operands accumulated(const Kernel *kernel, const Reduction *reduction) {
    if (reduction->op == OP_SUM && fuses(kernel, reduction->value)) {
        Operands product = fused(kernel, reduction->value, -1);
        product.count = 2;
        return product;
    }
    return (Operands){{reduction->value, -1, -1}, 1, -1};
}

static void count_use(CudaPrinter *p, int expr) {
    if (p->uses[expr]++) return;
    Operands operands = operands_of(p->kernel, expr);
    for (int i = 0; i < operands.count; i++) count_use(p, operands.in[i]);
}

void cuda_begin_stage(CudaPrinter *p, const Stage *stage) {
    p->stage = stage;
    memset(p->uses, 0, p->kernel->exprs.count * sizeof *p->uses);
    for (uint32_t i = 0; i < stage->reductions.count; i++) {
        Operands operands = accumulated(p->kernel, &stage->reductions.at[i]);
        for (int k = 0; k < operands.count; k++) count_use(p, operands.in[k]);
    }
    for (uint32_t i = 0; i < stage->stores.count; i++) count_use(p, stage->stores.at[i].value);
    if (!stage->contraction) return;
    count_use(p, stage->contraction->a);
    count_use(p, stage->contraction->b);
}

void cuda_begin_values(CudaPrinter *p, const int *values, uint32_t count) {
    p->stage = NULL;
    memset(p->uses, 0, p->kernel->exprs.count * sizeof *p->uses);
    for (uint32_t i = 0; i < count; i++) count_use(p, values[i]);
}

static uint32_t affine_axes(const Kernel *kernel, const Affine *at) {
    uint32_t axes = 0;
    for (uint32_t i = 0; i < kernel->axis_count; i++)
        if (at->coeff[i]) axes |= 1u << i;
    return axes;
}

uint32_t cuda_stage_axes(const CudaPrinter *p, const Stage *stage) {
    uint32_t axes = 0;
    for (uint32_t i = 0; i < stage->reductions.count; i++) {
        Operands operands = accumulated(p->kernel, &stage->reductions.at[i]);
        for (int k = 0; k < operands.count; k++) axes |= p->axes_of[operands.in[k]];
    }
    for (uint32_t i = 0; i < stage->stores.count; i++)
        axes |=
            p->axes_of[stage->stores.at[i].value] | affine_axes(p->kernel, &stage->stores.at[i].at);
    return axes;
}

/* ---- names ---- */

static Shown give_name(CudaPrinter *p, int expr, const char *text) {
    const Expr *x = &p->kernel->exprs.at[expr];
    const char *name = arena_printf(p->arena, "v%d", expr);
    cuda_statement(p, x->span, "const %s %s = %s;", cuda_type(x->elem, false), name, text);
    p->names[expr] = name;
    p->depth_of[expr] = p->depth;
    return (Shown){name, false};
}

/* Is it as short as a name, or one already? */
static bool is_leaf(const CudaPrinter *p, int expr) {
    ExprKind kind = p->kernel->exprs.at[expr].kind;
    return p->names[expr] || kind == X_CONST || kind == X_RESULT || kind == X_AXIS ||
           kind == X_STEP || kind == X_RANDOM;
}

static Shown force_name(CudaPrinter *p, int expr) {
    Shown shown = show(p, expr);
    return is_leaf(p, expr) ? shown : give_name(p, expr, shown.text);
}

void cuda_hoist(CudaPrinter *p, int expr, uint32_t axes) {
    if (!(p->axes_of[expr] & axes)) {
        force_name(p, expr);
        return;
    }
    Operands operands = operands_of(p->kernel, expr);
    for (int i = 0; i < operands.count; i++) cuda_hoist(p, operands.in[i], axes);
}

/* ---- leaves ---- */

const char *cuda_place(CudaPrinter *p, const Expr *load) {
    const char *place = cuda_index(p, &load->at, load->gather);
    if (load->divide > 1)
        place = arena_printf(p->arena, strchr(place, ' ') ? "(%s) / %" PRId64 : "%s / %" PRId64,
                             place, load->divide);
    if (load->lookup < 0) return place;
    const char *value = closed(p, show(p, load->lookup));
    bool wide = load->buffer->count > INT32_MAX / 2 || is_wide(p->kernel, &load->at);
    const char *row = add_term(p, "", load->pitch, value, wide);
    return strcmp(place, "0") ? arena_printf(p->arena, "%s + %s", row, place) : row;
}

static Shown show_load(CudaPrinter *p, int expr) {
    const Expr *x = &p->kernel->exprs.at[expr];
    const char *element =
        arena_printf(p->arena, "%s[%s]", cuda_buffer(p, x->buffer), cuda_place(p, x));
    bool test = x->elem == E_BOOL;
    if (test) element = arena_printf(p->arena, "%s != 0", element);
    if (x->guard < 0) return (Shown){element, test};
    Shown shown = show(p, x->guard);
    bool name = strlen(shown.text) + strlen(element) > MOST_INLINE && !is_leaf(p, x->guard);
    const char *guard = closed(p, name ? give_name(p, x->guard, shown.text) : shown);
    if (test) return (Shown){arena_printf(p->arena, "%s && %s", guard, element), true};
    return (Shown){arena_printf(p->arena, "%s ? %s : %s", guard, element, literal(p, x->elem, 0)),
                   true};
}

static Shown show_axis(CudaPrinter *p, const Expr *x) {
    const char *text = cuda_index(p, &x->at, -1);
    if (is_wide(p->kernel, &x->at))
        return (Shown){arena_printf(p->arena, "(int)(%s)", text), false};
    return (Shown){text, strpbrk(text, " -") != NULL};
}

static Shown show_step(CudaPrinter *p, const Expr *x) {
    return (Shown){arena_printf(p->arena, "(%s)step", cuda_type(x->elem, false)), false};
}

/* The first expression that reads the same Philox block: it has the block's name. */
static int block_owner(const Kernel *kernel, int expr) {
    const Expr *x = &kernel->exprs.at[expr];
    for (int i = 0; i < expr; i++) {
        const Expr *y = &kernel->exprs.at[i];
        if (y->kind == X_RANDOM && y->site == x->site && y->row == x->row &&
            !memcmp(&x->at, &y->at, sizeof x->at))
            return i;
    }
    return expr;
}

static void name_block(CudaPrinter *p, int owner) {
    const Expr *x = &p->kernel->exprs.at[owner];
    const char *number = cuda_index(p, &x->at, -1);
    if (x->row == 1) number = arena_printf(p->arena, "first_example + %s", number);
    if (x->row > 1)
        number = arena_printf(p->arena, "%" PRId64 " * first_example + %s", x->row, number);
    const char *name = arena_printf(p->arena, "bits%d", owner);
    cuda_statement(p, x->span, "const uint4 %s = %s(%s, (unsigned)step, %" PRIu32 "u, key);", name,
                   cuda_function(p, CUDA_PHILOX), number, x->site);
    p->names[owner] = name;
    p->depth_of[owner] = p->depth;
}

static Shown show_random(CudaPrinter *p, int expr) {
    int owner = block_owner(p->kernel, expr);
    if (!p->names[owner]) name_block(p, owner);
    return (Shown){
        arena_printf(p->arena, "%s.%c", p->names[owner], "xyzw"[p->kernel->exprs.at[expr].word]),
        false};
}

/* ---- operations ---- */

/* As `a SIGN b`; of integers what the type holds of it, as the CPU's registers do. */
static Shown binary(const CudaPrinter *p, Elem elem, const char *sign, Shown a, Shown b) {
    const char *left = closed(p, a), *right = closed(p, b);
    Arena *arena = p->arena;
    switch (elem) {
    case E_U8:
        return (Shown){arena_printf(arena, "(unsigned char)(%s %s %s)", left, sign, right), false};
    case E_I32:
        return (Shown){
            arena_printf(arena, "(int)((unsigned)%s %s (unsigned)%s)", left, sign, right), false};
    case E_BOOL:
        return (Shown){arena_printf(arena, "%s %s %s", left, *sign == '*' ? "&&" : "!=", right),
                       true};
    default: return (Shown){arena_printf(arena, "%s %s %s", left, sign, right), true};
    }
}

static Shown infix(const CudaPrinter *p, const char *sign, Shown a, Shown b) {
    return (Shown){arena_printf(p->arena, "%s %s %s", closed(p, a), sign, closed(p, b)), true};
}

static Shown call(const CudaPrinter *p, const char *function, const char *a, const char *b) {
    return (Shown){b ? arena_printf(p->arena, "%s(%s, %s)", function, a, b)
                     : arena_printf(p->arena, "%s(%s)", function, a),
                   false};
}

static const char *negated(const CudaPrinter *p, Shown a) {
    bool plain = !a.compound && *a.text != '-';
    return arena_printf(p->arena, plain ? "-%s" : "-(%s)", a.text);
}

static Shown negative(const CudaPrinter *p, Elem elem, Shown a) {
    switch (elem) {
    case E_BOOL: return a;
    case E_U8: return (Shown){arena_printf(p->arena, "(unsigned char)-%s", closed(p, a)), false};
    case E_U32: return (Shown){arena_printf(p->arena, "0u - %s", closed(p, a)), true};
    case E_I32:
        return (Shown){arena_printf(p->arena, "(int)(0u - (unsigned)%s)", closed(p, a)), false};
    default: return (Shown){negated(p, a), true};
    }
}

static Shown absolute(CudaPrinter *p, const Expr *x, Shown a) {
    if (x->elem == E_F32) return call(p, "fabsf", a.text, NULL);
    if (x->elem == E_F64) return call(p, "fabs", a.text, NULL);
    if (x->elem != E_I32) return a;
    const char *name = force_name(p, x->in[0]).text;
    return (Shown){
        arena_printf(p->arena, "%s < 0 ? (int)(0u - (unsigned)%s) : %s", name, name, name), true};
}

static Shown divided(CudaPrinter *p, Elem elem, Shown a, Shown b, bool remainder) {
    if (elem == E_I32)
        return call(p, cuda_function(p, remainder ? CUDA_MODULO_I32 : CUDA_DIVIDE_I32), a.text,
                    b.text);
    Shown result =
        call(p, cuda_function(p, remainder ? CUDA_MODULO_U32 : CUDA_DIVIDE_U32), a.text, b.text);
    if (elem == E_U32) return result;
    return (Shown){arena_printf(p->arena, "(%s)%s", cuda_type(elem, false), result.text), false};
}

static Shown modulo(CudaPrinter *p, const Expr *x, Shown a, Shown b) {
    if (!elem_is_real(x->elem)) return divided(p, x->elem, a, b, true);
    bool wide = x->elem == E_F64;
    a = force_name(p, x->in[0]); /* written twice */
    b = force_name(p, x->in[1]);
    return (Shown){arena_printf(p->arena, "%s(%s, %s(%s / %s), %s)", wide ? "fma" : "fmaf",
                                negated(p, b), wide ? "floor" : "floorf", a.text, b.text, a.text),
                   false};
}

static Shown extreme(CudaPrinter *p, const Expr *x, Shown a, Shown b) {
    bool swap = elem_is_real(x->elem) && p->kernel->exprs.at[x->in[1]].kind == X_CONST &&
                p->kernel->exprs.at[x->in[0]].kind != X_CONST;
    const char *function = cuda_function(p, x->op == OP_MAX ? CUDA_LARGER : CUDA_SMALLER);
    return swap ? call(p, function, b.text, a.text) : call(p, function, a.text, b.text);
}

static Shown converted(CudaPrinter *p, Shown a, Elem from, Elem to) {
    if (from == to) return a;
    if (to == E_BOOL)
        return (Shown){arena_printf(p->arena, "%s != %s", closed(p, a), literal(p, from, 0)), true};
    if (elem_is_real(from) && !elem_is_real(to)) {
        CudaFunction function = to == E_I32 ? CUDA_TO_I32 : to == E_U32 ? CUDA_TO_U32 : CUDA_TO_U8;
        return call(p, cuda_function(p, function), a.text, NULL);
    }
    return (Shown){arena_printf(p->arena, "(%s)%s", cuda_type(to, false), closed(p, a)), false};
}

/* exp, log, …: made of operations that every machine rounds alike (f32), or CUDA's (f64). */
static Shown mathematics(CudaPrinter *p, const Expr *x, Shown a) {
    static const struct {
        Op op;
        CudaFunction narrow;
        const char *wide, *turn; /* of the sine: pi / 2 that are added */
    } functions[] = {{OP_EXP, CUDA_EXP, "exp", NULL},    {OP_LOG, CUDA_LOG, "log", NULL},
                     {OP_TANH, CUDA_TANH, "tanh", NULL}, {OP_ERF, CUDA_ERF, "erf", NULL},
                     {OP_SIN, CUDA_SINE, "sin", "0"},    {OP_COS, CUDA_SINE, "cos", "1"}};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (functions[i].op == x->op && x->elem == E_F64)
            return call(p, functions[i].wide, a.text, NULL);
        else if (functions[i].op == x->op)
            return call(p, cuda_function(p, functions[i].narrow), a.text, functions[i].turn);
    assert(!"not a function of one real number");
    return a;
}

static Shown show_unary(CudaPrinter *p, const Expr *x, Shown a) {
    bool real = elem_is_real(x->elem), wide = x->elem == E_F64;
    switch (x->op) {
    case OP_STOP: return a;
    case OP_NEG: return negative(p, x->elem, a);
    case OP_ABS: return absolute(p, x, a);
    case OP_SQRT: return call(p, wide ? "sqrt" : "sqrtf", a.text, NULL);
    case OP_FLOOR: return real ? call(p, wide ? "floor" : "floorf", a.text, NULL) : a;
    case OP_NOT: return (Shown){arena_printf(p->arena, "!%s", closed(p, a)), false};
    case OP_CAST: return converted(p, a, p->kernel->exprs.at[x->in[0]].elem, x->elem);
    case OP_ROUND:
        return call(p, cuda_function(p, CUDA_ROUND), a.text,
                    arena_printf(p->arena, "%u", 24 - x->index));
    case OP_SHR: return (Shown){arena_printf(p->arena, "%s >> %u", closed(p, a), x->index), true};
    default: return mathematics(p, x, a);
    }
}

static Shown show_binary(CudaPrinter *p, const Expr *x, Shown a, Shown b) {
    bool real = elem_is_real(x->elem);
    switch (x->op) {
    case OP_ADD: return binary(p, x->elem, "+", a, b);
    case OP_SUB: return binary(p, x->elem, "-", a, b);
    case OP_MUL: return binary(p, x->elem, "*", a, b);
    case OP_DIV: return real ? infix(p, "/", a, b) : divided(p, x->elem, a, b, false);
    case OP_MOD: return modulo(p, x, a, b);
    case OP_POW:
        return call(p, x->elem == E_F64 ? "pow" : cuda_function(p, CUDA_POW), a.text, b.text);
    case OP_MAX:
    case OP_MIN: return extreme(p, x, a, b);
    case OP_LT: return infix(p, "<", a, b);
    case OP_LE: return infix(p, "<=", a, b);
    case OP_EQ: return infix(p, "==", a, b);
    case OP_AND: return infix(p, "&&", a, b);
    case OP_OR: return infix(p, "||", a, b);
    default: assert(!"not an operation of two operands"); return a;
    }
}

/* a * b + c, a * b - c, c - a * b, with one rounding. */
static Shown show_fused(const CudaPrinter *p, const Expr *x, int product, Shown in[3]) {
    const char *a = in[0].text, *b = in[1].text, *c = in[2].text;
    if (x->op == OP_SUB && product == x->in[0]) c = negated(p, in[2]);
    if (x->op == OP_SUB && product == x->in[1]) a = negated(p, in[0]);
    return (Shown){
        arena_printf(p->arena, "%s(%s, %s, %s)", x->elem == E_F64 ? "fma" : "fmaf", a, b, c),
        false};
}

/* Names for the longest operands until a line is not too long. */
static void shorten(CudaPrinter *p, const Operands *operands, Shown shown[3]) {
    for (;;) {
        size_t sum = 0, most = SHORT;
        int longest = -1;
        for (int i = 0; i < operands->count; i++) {
            size_t length = strlen(shown[i].text);
            sum += length;
            if (length <= most || is_leaf(p, operands->in[i])) continue;
            most = length;
            longest = i;
        }
        if (sum <= MOST_INLINE || longest < 0) return;
        shown[longest] = give_name(p, operands->in[longest], shown[longest].text);
    }
}

static Shown show_op(CudaPrinter *p, int expr) {
    const Expr *x = &p->kernel->exprs.at[expr];
    Operands operands = operands_of(p->kernel, expr);
    Shown in[3] = {0};
    for (int i = 0; i < operands.count; i++) in[i] = show(p, operands.in[i]);
    shorten(p, &operands, in);
    if (operands.product >= 0) return show_fused(p, x, operands.product, in);
    if (operands.count == 1) return show_unary(p, x, in[0]);
    if (operands.count == 2) return show_binary(p, x, in[0], in[1]);
    return (Shown){arena_printf(p->arena, "%s ? %s : %s", closed(p, in[0]), closed(p, in[1]),
                                closed(p, in[2])),
                   true};
}

static Shown show(CudaPrinter *p, int expr) {
    const Expr *x = &p->kernel->exprs.at[expr];
    Shown shown = {0};
    if (x->kind == X_RANDOM) return show_random(p, expr);
    if (p->names[expr]) return (Shown){p->names[expr], false};
    switch (x->kind) {
    case X_OP: shown = show_op(p, expr); break;
    case X_CONST: return (Shown){literal(p, x->elem, x->number), false};
    case X_LOAD: shown = show_load(p, expr); break;
    case X_AXIS: shown = show_axis(p, x); break;
    case X_RESULT: return (Shown){p->results[x->index][x->word], false};
    case X_STEP: return show_step(p, x);
    case X_LEAF:
    case X_ROW:
    case X_SUM: /* the plane's printer names them */
    case X_RANDOM: break;
    }
    if (p->names[expr]) return (Shown){p->names[expr], false};
    bool keep = p->uses[expr] > 1 || strlen(shown.text) > MOST_INLINE;
    if (x->kind == X_AXIS && !shown.compound) keep = false;
    return keep ? give_name(p, expr, shown.text) : shown;
}

const char *cuda_value(CudaPrinter *p, int expr) {
    return closed(p, show(p, expr));
}

/* ---- sums and stores ---- */

void cuda_accumulate(CudaPrinter *p, const char *acc, const Reduction *reduction) {
    const Expr *x = &p->kernel->exprs.at[reduction->value];
    Operands operands = accumulated(p->kernel, reduction);
    Shown in[3] = {0};
    for (int i = 0; i < operands.count; i++) in[i] = show(p, operands.in[i]);
    shorten(p, &operands, in);
    if (operands.product >= 0) {
        cuda_statement(p, x->span, "%s = %s(%s, %s, %s);", acc, x->elem == E_F64 ? "fma" : "fmaf",
                       in[0].text, in[1].text, acc);
    } else if (reduction->op == OP_REDUCE_MAX) {
        cuda_statement(p, x->span, "%s = %s(%s, %s);", acc, cuda_function(p, CUDA_LARGER),
                       in[0].text, acc);
    } else if (x->elem == E_BOOL || x->elem == E_I32) {
        Shown sum = binary(p, x->elem, "+", (Shown){acc, false}, in[0]);
        cuda_statement(p, x->span, "%s = %s;", acc, sum.text);
    } else {
        cuda_statement(p, x->span, "%s += %s;", acc, in[0].text);
    }
}

static void store(CudaPrinter *p, const Store *store, const char *value) {
    cuda_statement(p, p->kernel->exprs.at[store->value].span, "%s[%s] = %s;",
                   cuda_buffer(p, store->buffer), cuda_index(p, &store->at, -1), value);
}

void cuda_store(CudaPrinter *p, const Store *to) {
    store(p, to, show(p, to->value).text);
}

void cuda_stores(CudaPrinter *p, const Stage *stage) {
    if (p->stage != stage) cuda_begin_stage(p, stage);
    uint32_t count = stage->stores.count;
    const char **values = arena_alloc(p->arena, (count + 1) * sizeof *values);
    for (uint32_t i = 0; i < count; i++) {
        int value = stage->stores.at[i].value;
        values[i] = count == 1 ? show(p, value).text : force_name(p, value).text;
    }
    for (uint32_t i = 0; i < count; i++) store(p, &stage->stores.at[i], values[i]);
}
