/* Exact rules for elementwise ops. IEEE arithmetic is not a field: x + 0 is not x for x = -0, x * 0
 * is not 0 for x = inf, and nothing is associative; only what holds bit for bit is here. */
#include <math.h>

#include "compiler/graph/fold.h"
#include "compiler/graph/rewrite.h"

static GNode *fill_like(Graph *graph, const GNode *like, Elem elem, double number) {
    return graph_fill(graph, number, elem, &like->type, like->batched, like->span);
}

static bool is_number(const GNode *node, double number) {
    double value;
    return graph_is_fill(node, &value) && value == number && signbit(value) == signbit(number);
}

static GNode *operand_of(const GNode *node, Op op) {
    return node->op == op ? node->in[0] : NULL;
}

/* Elementwise on anything, with attributes of `like`. */
static GNode *apply(Graph *graph, const GNode *like, GNode **in) {
    switch (like->op) {
    case OP_CAST: return graph_cast(graph, in[0], like->type.elem, like->span);
    case OP_SHR: return graph_shr(graph, in[0], like->index, like->span);
    case OP_ROUND: return graph_round(graph, in[0], like->index, like->span);
    case OP_SELECT: return graph_select(graph, in[0], in[1], in[2], like->span);
    default: break;
    }
    if (like->in_count == 1) return graph_unary(graph, like->op, in[0], like->span);
    return graph_binary(graph, like->op, in[0], in[1], like->span);
}

/* ---- numbers known when compiling ---- */

static GNode *fold_fills(Graph *graph, const GNode *like, GNode **in) {
    double numbers[3] = {0}, number;
    for (uint32_t i = 0; i < like->in_count; i++)
        if (!graph_is_fill(in[i], &numbers[i])) return NULL;
    if (!fold(like->op, in[like->in_count - 1]->type.elem, like->type.elem, numbers, like->index,
              &number))
        return NULL;
    return fill_like(graph, like, like->type.elem, number);
}

/* Never -0, so that adding 0 changes nothing. */
static bool never_negative_zero(const GNode *node) {
    double number;
    if (!elem_is_real(node->type.elem)) return true;
    if (graph_is_fill(node, &number)) return number != 0 || !signbit(number);
    switch (node->op) {
    case OP_ABS:
    case OP_EXP:
    case OP_CAST: return node->op != OP_CAST || !elem_is_real(node->in[0]->type.elem);
    case OP_MUL: return node->in[0] == node->in[1];
    case OP_SELECT: return never_negative_zero(node->in[1]) && never_negative_zero(node->in[2]);
    case OP_ADD: return never_negative_zero(node->in[0]) || never_negative_zero(node->in[1]);
    case OP_RESHAPE:
    case OP_PERMUTE:
    case OP_BROADCAST:
    case OP_SLICE:
    case OP_SUB: /* -0 is only -0 - 0 */
    case OP_SQRT: return never_negative_zero(node->in[0]);
    default: return false;
    }
}

/* What only the run time can compute (exp, log, …) of numbers is computed once, then repeated. */
static GNode *once(Graph *graph, const GNode *like, GNode **in) {
    GNode *inner[3];
    double number;
    if (like->type.rank == 0) return NULL;
    for (uint32_t i = 0; i < like->in_count; i++) {
        if (!graph_is_fill(in[i], &number)) return NULL;
        inner[i] = graph_const(graph, number, in[i]->type.elem, like->span);
    }
    Dim ones[MAX_RANK] = {0};
    for (uint32_t i = 0; i < like->type.rank; i++) ones[i].size = 1;
    GNode *node = apply(graph, like, inner);
    node = graph_reshape(graph, node, like->type.rank, ones, false, like->span);
    return graph_broadcast(graph, node, like->type.rank, like->type.dims, like->batched,
                           like->span);
}

/* ---- unary ---- */

/* Does `to` have every value of `from`? */
static bool holds_all(Elem from, Elem to) {
    switch (from) {
    case E_BOOL: return true;
    case E_U8: return to != E_BOOL;
    case E_I32: return to == E_F64;
    case E_F32: return to == E_F64;
    default: return false;
    }
}

static GNode *cast_rule(Graph *graph, const GNode *like, GNode *a) {
    if (a->op != OP_CAST) return NULL;
    GNode *inner = a->in[0];
    if (!holds_all(inner->type.elem, a->type.elem)) return NULL;
    return graph_cast(graph, inner, like->type.elem, like->span);
}

static GNode *unary_rule(Graph *graph, const GNode *like, GNode *a) {
    switch (like->op) {
    case OP_STOP: return a;
    case OP_NEG:
    case OP_NOT: return operand_of(a, like->op);
    case OP_ABS: return a->op == OP_ABS || a->op == OP_EXP ? a : NULL;
    case OP_FLOOR: return a->op == OP_FLOOR ? a : NULL;
    case OP_ROUND: {
        GNode *rounded = graph_round(graph, a, like->index, like->span);
        return rounded->op == OP_ROUND && rounded->in[0] == a ? NULL : rounded;
    }
    case OP_CAST: return cast_rule(graph, like, a);
    default: return NULL;
    }
}

/* ---- binary ---- */

static GNode *add_rule(Graph *graph, const GNode *like, GNode *a, GNode *b) {
    GNode *negated;
    if (is_number(b, -0.0) || (is_number(b, 0) && never_negative_zero(a))) return a;
    if (is_number(a, -0.0) || (is_number(a, 0) && never_negative_zero(b))) return b;
    if ((negated = operand_of(b, OP_NEG)))
        return graph_binary(graph, OP_SUB, a, negated, like->span);
    if ((negated = operand_of(a, OP_NEG)))
        return graph_binary(graph, OP_SUB, b, negated, like->span);
    return NULL;
}

static GNode *sub_rule(Graph *graph, const GNode *like, GNode *a, GNode *b) {
    GNode *negated = operand_of(b, OP_NEG);
    if (is_number(b, 0)) return a;
    if (is_number(b, -0.0) && never_negative_zero(a)) return a;
    if (is_number(a, -0.0)) return graph_unary(graph, OP_NEG, b, like->span);
    return negated ? graph_binary(graph, OP_ADD, a, negated, like->span) : NULL;
}

/* a * number, a not a number */
static GNode *scale_rule(Graph *graph, const GNode *like, GNode *a, double number, GNode *b) {
    GNode *negated = operand_of(a, OP_NEG);
    if (number == 1) return a;
    if (number == -1 && elem_is_real(a->type.elem))
        return graph_unary(graph, OP_NEG, a, like->span);
    if (!negated || !elem_is_real(a->type.elem)) return NULL;
    GNode *opposite = fill_like(graph, b, b->type.elem, -number);
    return graph_binary(graph, like->op, negated, opposite, like->span);
}

static GNode *mul_rule(Graph *graph, const GNode *like, GNode *a, GNode *b) {
    double number;
    GNode *na = operand_of(a, OP_NEG), *nb = operand_of(b, OP_NEG);
    if (na && nb) return graph_binary(graph, OP_MUL, na, nb, like->span);
    if (graph_is_fill(b, &number)) return scale_rule(graph, like, a, number, b);
    if (graph_is_fill(a, &number)) return scale_rule(graph, like, b, number, a);
    return NULL;
}

/* 1 / number is exact: a power of two, and neither it nor its inverse is subnormal. */
static bool has_exact_inverse(double number, Elem elem) {
    int exponent;
    if (fabs(frexp(number, &exponent)) != 0.5) return false;
    int most = elem == E_F32 ? 120 : 1000;
    return exponent > -most && exponent < most;
}

static GNode *div_rule(Graph *graph, const GNode *like, GNode *a, GNode *b) {
    double number;
    GNode *na = operand_of(a, OP_NEG), *nb = operand_of(b, OP_NEG);
    bool real = elem_is_real(a->type.elem);
    if (real && na && nb) return graph_binary(graph, OP_DIV, na, nb, like->span);
    if (!graph_is_fill(b, &number)) return NULL;
    if (number == 1) return a;
    if (!real || !has_exact_inverse(number, b->type.elem)) return NULL;
    GNode *inverse = fill_like(graph, b, b->type.elem, 1 / number);
    return graph_binary(graph, OP_MUL, a, inverse, like->span);
}

static GNode *logic_rule(const GNode *like, GNode *a, GNode *b) {
    double keeps = like->op == OP_AND; /* true and x is x; false or x is x */
    double number;
    if (a == b) return a;
    if (graph_is_fill(a, &number)) return number == keeps ? b : a;
    if (graph_is_fill(b, &number)) return number == keeps ? a : b;
    return NULL;
}

static GNode *binary_rule(Graph *graph, const GNode *like, GNode *a, GNode *b) {
    switch (like->op) {
    case OP_ADD: return add_rule(graph, like, a, b);
    case OP_SUB: return sub_rule(graph, like, a, b);
    case OP_MUL: return mul_rule(graph, like, a, b);
    case OP_DIV: return div_rule(graph, like, a, b);
    case OP_MAX:
    case OP_MIN: return a == b ? a : NULL;
    case OP_LT:
        return a == b ? fill_like(graph, a, E_BOOL, 0) : NULL; /* NaN too is not below NaN */
    case OP_AND:
    case OP_OR: return logic_rule(like, a, b);
    default: return NULL;
    }
}

static GNode *select_rule(Graph *graph, const GNode *like, GNode **in) {
    double number;
    GNode *inverted = operand_of(in[0], OP_NOT);
    if (in[1] == in[2]) return in[1];
    if (graph_is_fill(in[0], &number)) return number != 0 ? in[1] : in[2];
    return inverted ? graph_select(graph, inverted, in[2], in[1], like->span) : NULL;
}

/* ---- elementwise before the copying: op(broadcast a, broadcast b) = broadcast(op(a, b)) ---- */

static bool same_source(const GNode *a, const GNode *b) {
    return type_same_shape(&a->type, &b->type) && a->batched == b->batched;
}

/* The shape that every operand which is no number was made from by `view`, or NULL. */
static const GNode *common_source(Op view, const GNode *like, GNode **in) {
    const GNode *source = NULL;
    for (uint32_t i = 0; i < like->in_count; i++) {
        if (graph_is_fill(in[i], NULL)) continue;
        if (in[i]->op != view || in[i]->batched != like->batched) return NULL;
        if (source && !same_source(source, in[i]->in[0])) return NULL;
        source = in[i]->in[0];
    }
    return source;
}

static GNode *hoist(Graph *graph, Op view, const GNode *like, GNode **in) {
    const GNode *source = common_source(view, like, in);
    if (!source) return NULL;
    bool smaller = type_count(&source->type) < type_count(&like->type);
    if (view == OP_BROADCAST ? !smaller : source->type.rank != 0) return NULL;
    GNode *inner[3];
    for (uint32_t i = 0; i < like->in_count; i++) {
        double number;
        if (graph_is_fill(in[i], &number))
            inner[i] = fill_like(graph, source, in[i]->type.elem, number);
        else
            inner[i] = in[i]->in[0];
    }
    GNode *small = apply(graph, like, inner);
    uint32_t rank = like->type.rank;
    if (view == OP_RESHAPE)
        return graph_reshape(graph, small, rank, like->type.dims, like->batched, like->span);
    return graph_broadcast(graph, small, rank, like->type.dims, like->batched, like->span);
}

/* Equal whichever way round: numbers second, else the older node first, so that they are made once.
 */
static GNode *ordered(Graph *graph, const GNode *like, GNode **in) {
    bool commutes = like->op == OP_ADD || like->op == OP_MUL || like->op == OP_EQ ||
                    like->op == OP_AND || like->op == OP_OR;
    if (!commutes) return NULL;
    bool first = graph_is_fill(in[0], NULL), second = graph_is_fill(in[1], NULL);
    if (first == second ? in[0]->id <= in[1]->id : second) return NULL;
    return graph_binary(graph, like->op, in[1], in[0], like->span);
}

static bool flags_kept(const GNode *node, const GNode *like) {
    return node->batched == like->batched && type_same_shape(&node->type, &like->type);
}

GNode *rewrite_algebra(Graph *graph, const GNode *like, GNode **in) {
    GNode *node = fold_fills(graph, like, in);
    if (!node && like->op != OP_STOP) node = once(graph, like, in);
    if (!node && like->in_count == 1) node = unary_rule(graph, like, in[0]);
    if (!node && like->in_count == 2) node = binary_rule(graph, like, in[0], in[1]);
    if (!node && like->in_count == 3) node = select_rule(graph, like, in);
    if (!node) node = hoist(graph, OP_BROADCAST, like, in);
    if (!node) node = hoist(graph, OP_RESHAPE, like, in);
    if (!node && like->in_count == 2) node = ordered(graph, like, in);
    if (!node || flags_kept(node, like)) return node;
    /* the batched operand fell away: the other one has the same shape but not the flag */
    return graph_broadcast(graph, node, like->type.rank, like->type.dims, like->batched,
                           like->span);
}
