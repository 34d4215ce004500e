/* Operators on values: compile-time arithmetic, the choice of a common element type, and
 * broadcasting as in NumPy on the axes after the batch. */
#include "compiler/graph/interp.h"

#include <math.h>

/* ---- which graph ---- */

static bool is_in(const Graph *graph, const GNode *node) {
    return node->id < graph->nodes.count && graph->nodes.at[node->id] == node;
}

Graph *graph_of(const Interp *in, const GNode *node) {
    return in->finish && is_in(in->finish, node) ? in->finish : in->graph;
}

GNode *copy_to_finish(Interp *in, GNode *node) {
    while (in->copied.count <= node->id) vec_push(in->arena, &in->copied, NULL);
    if (in->copied.at[node->id]) return in->copied.at[node->id];
    if (node->batched) return NULL;
    GNode **operands = arena_alloc(in->arena, (node->in_count + 1) * sizeof *operands);
    for (uint32_t i = 0; i < node->in_count; i++) {
        operands[i] = copy_to_finish(in, node->in[i]);
        if (!operands[i]) return NULL;
    }
    GNode *copy = graph_copy(in->finish, node, operands);
    in->copied.at[node->id] = copy;
    return copy;
}

static Graph *not_together(Interp *in, Span span) {
    Diag *diag =
        interp_error(in, span, "a number per batch and a value per example cannot be combined");
    interp_chain(in, diag);
    diag_help(diag, "at evaluation a reduction over the batch is known only when the whole split "
                    "has been read; reduce last, or over a named axis, or in a layer read a moving "
                    "value there: name: state[…]");
    return NULL;
}

Graph *meet(Interp *in, GNode **nodes, uint32_t count, Span span) {
    Graph *graph = in->graph;
    for (uint32_t i = 0; i < count; i++)
        if (in->finish && is_in(in->finish, nodes[i])) graph = in->finish;
    for (uint32_t i = 0; i < count; i++) {
        if (is_in(graph, nodes[i])) continue;
        if (in->init) {
            interp_fail(in, span, "an initial value cannot depend on values of the model");
            return NULL;
        }
        GNode *copy = copy_to_finish(in, nodes[i]);
        if (!copy) return not_together(in, span);
        nodes[i] = copy;
    }
    return graph;
}

/* ---- shapes ---- */

Dim batch_dim(const Interp *in) {
    return (Dim){.size = in->batch, .name = "batch"};
}

GNode *broadcast_to(Interp *in, Graph *graph, GNode *node, uint32_t rank, const Dim *dims,
                    bool batched, Span span) {
    Span place = interp_place(in, span);
    Dim full[MAX_RANK] = {0}, ones[MAX_RANK] = {0};
    uint32_t extra = rank - example_rank(node);
    if (batched) full[0] = batch_dim(in);
    if (batched) ones[0] = node->batched ? node->type.dims[0] : (Dim){.size = 1};
    for (uint32_t i = 0; i < rank; i++) {
        full[batched + i] = dims[i];
        ones[batched + i] = i < extra ? (Dim){.size = 1} : example_dims(node)[i - extra];
    }
    node = graph_reshape(graph, node, rank + batched, ones, node->batched, place);
    return graph_broadcast(graph, node, rank + batched, full, batched, place);
}

static bool join_dim(Dim *joined, const Dim *dim) {
    if (joined->size == dim->size) {
        if (!joined->name) *joined = *dim;
        return true;
    }
    if (joined->size == 1) *joined = *dim;
    return joined->size == dim->size || dim->size == 1;
}

static Graph *shapes_differ(Interp *in, GNode **nodes, uint32_t at, const char *doing, Span span) {
    const GNode *a = nodes[at - 1], *b = nodes[at];
    for (uint32_t i = 0; i < at && example_rank(a) == 0; i++) a = nodes[i];
    Diag *diag = interp_error(in, span, "cannot %s %s and %s", doing, type_show(in, &a->type),
                              type_show(in, &b->type));
    note_dims(diag, &a->type, a->batched);
    note_dims(diag, &b->type, b->batched);
    interp_chain(in, diag);
    return NULL;
}

Graph *unify(Interp *in, GNode **nodes, uint32_t count, const char *doing, Span span) {
    Graph *graph = meet(in, nodes, count, span);
    if (!graph) return NULL;
    Dim dims[MAX_RANK] = {0};
    uint32_t rank = 0;
    bool batched = false;
    for (uint32_t i = 0; i < count; i++) {
        rank = example_rank(nodes[i]) > rank ? example_rank(nodes[i]) : rank;
        batched |= nodes[i]->batched;
    }
    for (uint32_t d = 0; d < rank; d++) dims[d].size = 1;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t extra = rank - example_rank(nodes[i]);
        for (uint32_t d = extra; d < rank; d++)
            if (!join_dim(&dims[d], &example_dims(nodes[i])[d - extra]))
                return shapes_differ(in, nodes, i, doing, span);
    }
    if (rank + batched > MAX_RANK) {
        interp_fail(in, span, "a tensor has at most %d axes, the batch included", MAX_RANK);
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++)
        nodes[i] = broadcast_to(in, graph, nodes[i], rank, dims, batched, span);
    return graph;
}

/* ---- element types ---- */

GNode *cast_to(Interp *in, GNode *node, Elem elem, Span span) {
    return graph_cast(graph_of(in, node), node, elem, interp_place(in, span));
}

GNode *const_like(Interp *in, GNode *like, double number, Span span) {
    return graph_fill(graph_of(in, like), number, like->type.elem, &like->type, like->batched,
                      interp_place(in, span));
}

static bool number_fits(Interp *in, double number, Elem elem, Span span) {
    bool good = isfinite(number) && (elem != E_F32 || isfinite((float)number));
    if (elem == E_I32 || elem == E_U8) good &= number >= -2147483648.0 && number <= 2147483647.0;
    if (good) return true;
    interp_fail(in, span, "the constant %g is not a finite %s", number, elem_name(elem));
    return false;
}

GNode *value_node(Interp *in, Value value, Elem elem, Span span) {
    Span place = interp_place(in, span);
    if (value.kind == V_ERROR) return NULL;
    if (value.kind == V_TENSOR) return cast_to(in, value.node, elem, span);
    if (value.kind == V_NUMBER && elem != E_BOOL)
        return number_fits(in, value.number, elem, span)
                   ? graph_const(in->graph, value.number, elem, place)
                   : NULL;
    if (value.kind == V_BOOL) return graph_const(in->graph, value.truth, elem, place);
    interp_fail(in, span, "a tensor is wanted here, not %s", value_show(in, value));
    return NULL;
}

static Value mixed(Interp *in, Value a, Value b, const char *doing, Span span) {
    Diag *diag =
        interp_error(in, span, "cannot %s %s and %s", doing, value_show(in, a), value_show(in, b));
    interp_chain(in, diag);
    bool a_bool = a.kind == V_BOOL || (a.kind == V_TENSOR && a.node->type.elem == E_BOOL);
    bool b_bool = b.kind == V_BOOL || (b.kind == V_TENSOR && b.node->type.elem == E_BOOL);
    if (a_bool || b_bool) diag_help(diag, "make a number of it with where(condition, 1, 0)");
    return value_error();
}

static bool all_weak(const Value *values, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (!values[i].weak && (values[i].kind != V_NUMBER || values[i].real)) return false;
    return true;
}

Value value_weak(Value result, const Value *values, uint32_t count) {
    result.weak =
        result.kind == V_TENSOR && result.node->type.elem == E_I32 && all_weak(values, count);
    return result;
}

/* How a value takes part in the choice of a common element type. */
typedef enum { AS_REAL, AS_INTEGER, AS_BYTE, AS_NUMBER, AS_BOOL, AS_NOTHING, PART_COUNT } Part;

static Part part_of(const Value *value) {
    if (value->kind == V_NUMBER || value->weak) return AS_NUMBER;
    if (value->kind == V_BOOL) return AS_BOOL;
    if (value->kind != V_TENSOR) return AS_NOTHING;
    switch (value->node->type.elem) {
    case E_BOOL: return AS_BOOL;
    case E_U8: return AS_BYTE;
    case E_I32: return AS_INTEGER;
    default: return AS_REAL;
    }
}

/* Two values that do not go together, in the order written. */
static bool do_not_mix(Interp *in, const Value *a, const Value *b, const char *doing, Span span) {
    mixed(in, a < b ? *a : *b, a < b ? *b : *a, doing, span);
    return false;
}

/* bool goes with bool only. Of tensors: integers and bytes become real beside a real one, i32 with
 * i32 or bytes stays i32, bytes alone become real. A number, or a tensor of integer literals,
 * adapts to the tensors; one that is meant as real (0.5) makes integers real. Of numbers alone: i32
 * unless one is meant as real. */
bool common_elem(Interp *in, const Value *values, uint32_t count, const char *doing, Span span,
                 Elem *elem) {
    const Value *last[PART_COUNT] = {0}, *other = NULL;
    bool real = false;
    for (uint32_t i = 0; i < count; i++) {
        if (values[i].kind == V_ERROR) return false;
        last[part_of(&values[i])] = &values[i];
        real |= values[i].kind == V_NUMBER && values[i].real;
    }
    for (uint32_t part = 0; part < AS_BOOL && !other; part++) other = last[part];
    if (last[AS_NOTHING] && count == 2) return do_not_mix(in, &values[0], &values[1], doing, span);
    if (last[AS_NOTHING]) {
        interp_fail(in, span, "cannot %s %s", doing, value_show(in, *last[AS_NOTHING]));
        return false;
    }
    if (last[AS_BOOL] && other) return do_not_mix(in, last[AS_BOOL], other, doing, span);
    real |= last[AS_REAL] || (last[AS_BYTE] && !last[AS_INTEGER]);
    *elem = last[AS_BOOL] ? E_BOOL : real ? in->real : E_I32;
    return true;
}

/* ---- compile-time arithmetic ---- */

static double fold_arithmetic(TreeOp op, double a, double b) {
    switch (op) {
    case TOP_ADD: return a + b;
    case TOP_SUB: return a - b;
    case TOP_MUL: return a * b;
    case TOP_DIV: return a / b;
    case TOP_MOD: return a - b * floor(a / b);
    default: return pow(a, b);
    }
}

static bool fold_comparison(TreeOp op, double a, double b) {
    switch (op) {
    case TOP_EQ: return a == b;
    case TOP_NE: return a != b;
    case TOP_LT: return a < b;
    case TOP_LE: return a <= b;
    case TOP_GT: return a > b;
    default: return a >= b;
    }
}

static bool is_comparison(TreeOp op) {
    return op >= TOP_EQ && op <= TOP_GE;
}

/* n / 2 of integers is a real number, but usable as a size when it is integral. */
static Value number_binary(Interp *in, TreeOp op, Value a, Value b, Span span) {
    if (is_comparison(op)) return value_bool(fold_comparison(op, a.number, b.number));
    double number = fold_arithmetic(op, a.number, b.number);
    if (!isfinite(number))
        return interp_fail(in, span, "%g %s %g is not a finite number", a.number, tree_op_text(op),
                           b.number);
    return value_number(number, a.real || b.real || op == TOP_DIV || floor(number) != number, span);
}

/* ---- operators ---- */

static const char *verb(TreeOp op) {
    switch (op) {
    case TOP_ADD: return "add";
    case TOP_SUB: return "subtract";
    case TOP_MUL: return "multiply";
    case TOP_DIV: return "divide";
    case TOP_MOD: return "take the remainder of";
    case TOP_POW: return "take the power of";
    case TOP_AND: return "'and'";
    case TOP_OR: return "'or'";
    default: return "compare";
    }
}

static Value elementwise(Interp *in, Op op, Elem elem, Value a, Value b, const char *doing,
                         Span span) {
    GNode *nodes[] = {value_node(in, a, elem, span), value_node(in, b, elem, span)};
    if (!nodes[0] || !nodes[1]) return value_error();
    Graph *graph = unify(in, nodes, 2, doing, span);
    if (!graph) return value_error();
    return value_tensor(graph_binary(graph, op, nodes[0], nodes[1], interp_place(in, span)));
}

static Value arithmetic(Interp *in, TreeOp op, Value a, Value b, Span span) {
    static const Op ops[] = {[TOP_ADD] = OP_ADD, [TOP_SUB] = OP_SUB, [TOP_MUL] = OP_MUL,
                             [TOP_DIV] = OP_DIV, [TOP_MOD] = OP_MOD, [TOP_POW] = OP_POW};
    Value both[] = {a, b};
    Elem elem;
    if (!common_elem(in, both, 2, verb(op), span, &elem)) return value_error();
    if (elem == E_BOOL) return mixed(in, a, b, verb(op), span);
    if (op == TOP_DIV || op == TOP_POW) elem = in->real;
    if (op == TOP_MOD && elem == E_I32 && (b.kind != V_NUMBER || b.number == 0))
        return interp_fail(in, span,
                           "the remainder of integers needs a divisor known when compiled, "
                           "not %s",
                           value_show(in, b));
    return value_weak(elementwise(in, ops[op], elem, a, b, verb(op), span), both, 2);
}

static Value comparison(Interp *in, TreeOp op, Value a, Value b, Span span) {
    static const Op ops[] = {[TOP_EQ] = OP_EQ, [TOP_NE] = OP_EQ, [TOP_LT] = OP_LT,
                             [TOP_LE] = OP_LE, [TOP_GT] = OP_LT, [TOP_GE] = OP_LE};
    Value both[] = {a, b};
    Elem elem;
    if (!common_elem(in, both, 2, verb(op), span, &elem)) return value_error();
    if (elem == E_BOOL && op != TOP_EQ && op != TOP_NE) return mixed(in, a, b, verb(op), span);
    bool swap = op == TOP_GT || op == TOP_GE;
    Value value = elementwise(in, ops[op], elem, swap ? b : a, swap ? a : b, verb(op), span);
    if (op != TOP_NE || value.kind == V_ERROR) return value;
    return value_tensor(
        graph_unary(graph_of(in, value.node), OP_NOT, value.node, interp_place(in, span)));
}

static Value logic(Interp *in, TreeOp op, Value a, Value b, Span span) {
    if (a.kind == V_BOOL && b.kind == V_BOOL)
        return value_bool(op == TOP_AND ? a.truth && b.truth : a.truth || b.truth);
    Value both[] = {a, b};
    for (uint32_t i = 0; i < 2; i++)
        if (both[i].kind != V_BOOL &&
            (both[i].kind != V_TENSOR || both[i].node->type.elem != E_BOOL))
            return interp_fail(in, span, "%s needs true or false on both sides, not %s", verb(op),
                               value_show(in, both[i]));
    return elementwise(in, op == TOP_AND ? OP_AND : OP_OR, E_BOOL, a, b, verb(op), span);
}

/* ---- matrix product ---- */

/* One operand: labels of its axes, batch first. Leading axes of size 1 that the other one has in
 * another size are dropped from the operand and come from the other. */
typedef struct {
    GNode *node;
    uint32_t leading; /* axes before the matrix, the batch not counted */
    bool vector;
} Factor;

static Factor factor_of(GNode *node) {
    uint32_t rank = example_rank(node);
    return (Factor){node, rank < 2 ? 0 : rank - 2, rank == 1};
}

static Value product_mismatch(Interp *in, const GNode *a, const GNode *b, const Dim *x,
                              const Dim *y, Span span) {
    Diag *diag = interp_error(in, span, "cannot multiply %s @ %s: %lld and %lld must be equal",
                              type_show(in, &a->type), type_show(in, &b->type), (long long)x->size,
                              (long long)y->size);
    note_dim(diag, x);
    note_dim(diag, y);
    interp_chain(in, diag);
    return value_error();
}

static void add_label(char *text, char label) {
    size_t length = strlen(text);
    text[length] = label;
    text[length + 1] = 0;
}

/* Removes the leading axes of `factor` that are 1 where the other has more; labels the rest. */
static void label_factor(Interp *in, Graph *graph, Factor *factor, const Factor *other,
                         uint32_t leading, char row, char column, char *labels, Span span) {
    GNode *node = factor->node;
    Dim dims[MAX_RANK];
    uint32_t rank = 0;
    if (node->batched) {
        add_label(labels, 'b');
        dims[rank++] = node->type.dims[0];
    }
    for (uint32_t i = 0; i < factor->leading; i++) {
        uint32_t at = leading - factor->leading + i, skip = leading - other->leading;
        const Dim *dim = &example_dims(node)[i];
        bool both = at >= skip;
        if (both && dim->size == 1 && example_dims(other->node)[at - skip].size > 1) continue;
        add_label(labels, (char)('p' + at));
        dims[rank++] = *dim;
    }
    const Dim *matrix = &example_dims(node)[factor->leading];
    if (row) dims[rank++] = *matrix++;
    if (row) add_label(labels, row);
    if (column) dims[rank++] = *matrix;
    if (column) add_label(labels, column);
    factor->node = graph_reshape(graph, node, rank, dims, node->batched, interp_place(in, span));
}

/* Sizes of the leading axes must be equal or 1. */
static bool leading_agree(Interp *in, const Factor *a, const Factor *b, Span span) {
    uint32_t common = a->leading < b->leading ? a->leading : b->leading;
    for (uint32_t i = 1; i <= common; i++) {
        const Dim *x = &example_dims(a->node)[a->leading - i];
        const Dim *y = &example_dims(b->node)[b->leading - i];
        if (x->size == y->size || x->size == 1 || y->size == 1) continue;
        product_mismatch(in, a->node, b->node, x, y, span);
        return false;
    }
    return true;
}

static Value contract(Interp *in, Graph *graph, Factor a, Factor b, Span span) {
    Factor a_before = a, b_before = b;
    uint32_t leading = a.leading > b.leading ? a.leading : b.leading;
    bool batched = a.node->batched || b.node->batched;
    if (batched + leading + !a.vector + !b.vector > MAX_RANK)
        return interp_fail(in, span, "a tensor has at most %d axes, the batch included", MAX_RANK);
    Einsum einsum = {0};
    label_factor(in, graph, &a, &b_before, leading, a.vector ? 0 : 'i', 'k', einsum.a, span);
    label_factor(in, graph, &b, &a_before, leading, 'k', b.vector ? 0 : 'o', einsum.b, span);
    if (batched) add_label(einsum.out, 'b');
    for (uint32_t i = 0; i < leading; i++) add_label(einsum.out, (char)('p' + i));
    if (!a.vector) add_label(einsum.out, 'i');
    if (!b.vector) add_label(einsum.out, 'o');
    return value_tensor(graph_contract(graph, a.node, b.node, &einsum, interp_place(in, span)));
}

/* As NumPy's matmul, on the axes after the batch. */
static Value matrix_product(Interp *in, Value a, Value b, Span span) {
    Value both[] = {a, b};
    Elem elem;
    if (!common_elem(in, both, 2, "multiply", span, &elem)) return value_error();
    if (elem == E_BOOL) return mixed(in, a, b, "multiply", span);
    GNode *nodes[] = {value_node(in, a, in->real, span), value_node(in, b, in->real, span)};
    if (!nodes[0] || !nodes[1]) return value_error();
    Graph *graph = meet(in, nodes, 2, span);
    if (!graph) return value_error();
    for (uint32_t i = 0; i < 2; i++)
        if (!example_rank(nodes[i]))
            return interp_fail(in, span, "'@' needs at least one axis on both sides, not %s",
                               value_show(in, both[i]));
    Factor x = factor_of(nodes[0]), y = factor_of(nodes[1]);
    const Dim *inner = &example_dims(x.node)[x.leading + !x.vector];
    const Dim *outer = &example_dims(y.node)[y.leading];
    if (inner->size != outer->size) return product_mismatch(in, x.node, y.node, inner, outer, span);
    if (!leading_agree(in, &x, &y, span)) return value_error();
    return contract(in, graph, x, y, span);
}

/* A string equals nothing but the same string. */
static bool same_text(Value a, Value b) {
    return a.kind == V_STRING && b.kind == V_STRING && !strcmp(a.text, b.text);
}

Value value_binary(Interp *in, TreeOp op, Value a, Value b, Span span) {
    if (a.kind == V_ERROR || b.kind == V_ERROR) return value_error();
    if (op == TOP_AND || op == TOP_OR) return logic(in, op, a, b, span);
    if (op == TOP_MATMUL) return matrix_product(in, a, b, span);
    if (a.kind == V_NUMBER && b.kind == V_NUMBER) return number_binary(in, op, a, b, span);
    if (a.kind == V_BOOL && b.kind == V_BOOL && (op == TOP_EQ || op == TOP_NE))
        return value_bool((a.truth == b.truth) == (op == TOP_EQ));
    if ((a.kind == V_STRING || b.kind == V_STRING) && (op == TOP_EQ || op == TOP_NE))
        return value_bool(same_text(a, b) == (op == TOP_EQ));
    return is_comparison(op) ? comparison(in, op, a, b, span) : arithmetic(in, op, a, b, span);
}

Value value_unary(Interp *in, TreeOp op, Value a, Span span) {
    if (a.kind == V_ERROR) return a;
    if (op == TOP_NOT) {
        if (a.kind == V_BOOL) return value_bool(!a.truth);
        if (a.kind != V_TENSOR || a.node->type.elem != E_BOOL)
            return interp_fail(in, span, "'not' needs true or false, not %s", value_show(in, a));
        return value_tensor(
            graph_unary(graph_of(in, a.node), OP_NOT, a.node, interp_place(in, span)));
    }
    if (a.kind == V_NUMBER) return value_number(-a.number, a.real, span);
    Elem elem;
    if (!common_elem(in, &a, 1, "negate", span, &elem)) return value_error();
    if (elem == E_BOOL)
        return interp_fail(in, span, "cannot negate %s; 'not' inverts it", value_show(in, a));
    GNode *node = value_node(in, a, elem, span);
    return value_tensor(graph_unary(graph_of(in, node), OP_NEG, node, interp_place(in, span)));
}

/* ---- elementwise choices ---- */

Value value_larger(Interp *in, bool smaller, Value a, Value b, Span span) {
    const char *doing = smaller ? "take the smaller of" : "take the larger of";
    if (a.kind == V_NUMBER && b.kind == V_NUMBER) return (a.number < b.number) == smaller ? a : b;
    Value both[] = {a, b};
    Elem elem;
    if (!common_elem(in, both, 2, doing, span, &elem)) return value_error();
    if (elem == E_BOOL) return mixed(in, a, b, doing, span);
    return elementwise(in, smaller ? OP_MIN : OP_MAX, elem, a, b, doing, span);
}

Value value_where(Interp *in, Value condition, Value a, Value b, Span span) {
    if (condition.kind == V_ERROR || a.kind == V_ERROR || b.kind == V_ERROR) return value_error();
    if (condition.kind == V_BOOL) return condition.truth ? a : b;
    if (condition.kind != V_TENSOR || condition.node->type.elem != E_BOOL)
        return interp_fail(in, span, "the first argument of 'where' must be a condition, not %s",
                           value_show(in, condition));
    Value both[] = {a, b};
    Elem elem;
    if (!common_elem(in, both, 2, "choose between", span, &elem)) return value_error();
    GNode *nodes[] = {condition.node, value_node(in, a, elem, span), value_node(in, b, elem, span)};
    if (!nodes[1] || !nodes[2]) return value_error();
    Graph *graph = unify(in, nodes, 3, "choose between", span);
    if (!graph) return value_error();
    Span place = interp_place(in, span);
    GNode *chosen = graph_select(graph, nodes[0], nodes[1], nodes[2], place);
    return value_weak(value_tensor(chosen), both, 2);
}
