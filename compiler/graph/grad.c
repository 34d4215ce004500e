/* Reverse mode (Griewank and Walther 2008, section 3.2) on the graph: from the loss backwards, each
 * node passes its adjoint to its operands by the rule of its op. The rules only append nodes, so
 * the gradient is optimised and fused like anything else. Nodes that no parameter reaches get no
 * adjoint.
 *
 * Arguments of a C call are evaluated in any order: a call has at most one argument that makes
 * nodes, so that their order is the same whatever compiled the compiler.
 *
 * At kinks: abs has slope 1 at 0; max goes to a where a >= b, min to a where a <= b; the maximum
 * over an axis is shared evenly among the elements equal to it. */
#include "compiler/graph/graph.h"

#include <assert.h>

#include "compiler/graph/grad_window.h"

typedef struct {
    const Program *program;
    Graph *graph;
    bool *active;     /* by id: real, and depends on a parameter */
    GNode **adjoints; /* by id of the forward node; NULL: nothing arrived */
    Span span;        /* of the forward node whose rule runs */
} Reverse;

/* ---- small words for the rules ---- */

static GNode *unary(Reverse *r, Op op, GNode *a) {
    return graph_unary(r->graph, op, a, r->span);
}

static GNode *binary(Reverse *r, Op op, GNode *a, GNode *b) {
    return graph_binary(r->graph, op, a, b, r->span);
}

static GNode *fill(Reverse *r, double number, const GNode *like) {
    return graph_fill(r->graph, number, like->type.elem, &like->type, like->batched, r->span);
}

static GNode *choose(Reverse *r, GNode *condition, GNode *yes, GNode *no) {
    return graph_select(r->graph, condition, yes, no, r->span);
}

/* The same values with the batch flag of `like`: a rule may lose it or bring it in. */
static GNode *flagged(Reverse *r, GNode *g, const GNode *like) {
    assert(type_same_shape(&g->type, &like->type));
    if (g->batched == like->batched) return g;
    uint32_t rank = like->type.rank;
    if (like->batched) return graph_broadcast(r->graph, g, rank, like->type.dims, true, r->span);
    return graph_reshape(r->graph, g, rank, like->type.dims, false, r->span);
}

static bool wanted(const Reverse *r, const GNode *node) {
    return r->active[node->id];
}

static void pass(Reverse *r, const GNode *to, GNode *g) {
    if (!wanted(r, to)) return;
    g = flagged(r, g, to);
    GNode **adjoint = &r->adjoints[to->id];
    *adjoint = *adjoint ? binary(r, OP_ADD, *adjoint, g) : g;
}

/* ---- elementwise ---- */

static GNode *unary_gradient(Reverse *r, GNode *node, GNode *g) {
    GNode *a = node->in[0];
    switch (node->op) {
    case OP_NEG: return unary(r, OP_NEG, g);
    case OP_ABS: {
        GNode *negative = binary(r, OP_LT, a, fill(r, 0, a));
        return choose(r, negative, unary(r, OP_NEG, g), g);
    }
    case OP_SQRT: return binary(r, OP_DIV, binary(r, OP_MUL, g, fill(r, 0.5, g)), node);
    case OP_EXP: return binary(r, OP_MUL, g, node);
    case OP_LOG: return binary(r, OP_DIV, g, a);
    case OP_SIN: return binary(r, OP_MUL, g, unary(r, OP_COS, a));
    case OP_COS: return unary(r, OP_NEG, binary(r, OP_MUL, g, unary(r, OP_SIN, a)));
    case OP_TANH: {
        GNode *square = binary(r, OP_MUL, node, node);
        return binary(r, OP_MUL, g, binary(r, OP_SUB, fill(r, 1, square), square));
    }
    case OP_ERF: { /* 2 / sqrt(pi) e^(-a^2) */
        GNode *bell = unary(r, OP_EXP, unary(r, OP_NEG, binary(r, OP_MUL, a, a)));
        return binary(r, OP_MUL, g, binary(r, OP_MUL, bell, fill(r, 1.1283791670955126, bell)));
    }
    case OP_ROUND: return g;
    case OP_CAST: return graph_cast(r->graph, g, a->type.elem, r->span);
    default: assert(!"an active unary op without a gradient"); return g;
    }
}

/* b a^(b-1); 0 where b is 0, for every a */
static GNode *pow_slope(Reverse *r, GNode *a, GNode *b) {
    double exponent;
    if (graph_is_fill(b, &exponent)) /* not 0: that power is the constant 1 */
        return binary(r, OP_MUL, b, binary(r, OP_POW, a, fill(r, exponent - 1, b)));
    GNode *slope = binary(r, OP_MUL, b, binary(r, OP_POW, a, binary(r, OP_SUB, b, fill(r, 1, b))));
    GNode *constant = binary(r, OP_EQ, b, fill(r, 0, b));
    return choose(r, constant, fill(r, 0, slope), slope);
}

static void pow_gradient(Reverse *r, GNode *node, GNode *g) {
    GNode *a = node->in[0], *b = node->in[1];
    if (wanted(r, a)) pass(r, a, binary(r, OP_MUL, g, pow_slope(r, a, b)));
    if (wanted(r, b)) { /* a^b log a, and 0 at a = 0 */
        GNode *zero = binary(r, OP_EQ, a, fill(r, 0, a));
        GNode *logarithm = unary(r, OP_LOG, choose(r, zero, fill(r, 1, a), a));
        pass(r, b, binary(r, OP_MUL, g, binary(r, OP_MUL, node, logarithm)));
    }
}

/* max and min: all of g to the operand that was taken. */
static void extreme_gradient(Reverse *r, GNode *node, GNode *g) {
    GNode *a = node->in[0], *b = node->in[1];
    GNode *first = node->op == OP_MAX ? binary(r, OP_LE, b, a) : binary(r, OP_LE, a, b);
    if (wanted(r, a)) pass(r, a, choose(r, first, g, fill(r, 0, g)));
    if (wanted(r, b)) pass(r, b, choose(r, first, fill(r, 0, g), g));
}

static void div_gradient(Reverse *r, GNode *node, GNode *g) {
    GNode *da = binary(r, OP_DIV, g, node->in[1]);
    pass(r, node->in[0], da);
    if (wanted(r, node->in[1])) pass(r, node->in[1], unary(r, OP_NEG, binary(r, OP_MUL, da, node)));
}

static void mod_gradient(Reverse *r, GNode *node, GNode *g) {
    GNode *a = node->in[0], *b = node->in[1];
    pass(r, a, g);
    if (!wanted(r, b)) return;
    GNode *times = unary(r, OP_FLOOR, binary(r, OP_DIV, a, b));
    pass(r, b, unary(r, OP_NEG, binary(r, OP_MUL, g, times)));
}

static void binary_gradient(Reverse *r, GNode *node, GNode *g) {
    GNode *a = node->in[0], *b = node->in[1];
    switch (node->op) {
    case OP_ADD:
        pass(r, a, g);
        pass(r, b, g);
        break;
    case OP_SUB:
        pass(r, a, g);
        if (wanted(r, b)) pass(r, b, unary(r, OP_NEG, g));
        break;
    case OP_MUL:
        if (wanted(r, a)) pass(r, a, binary(r, OP_MUL, g, b));
        if (wanted(r, b)) pass(r, b, binary(r, OP_MUL, g, a));
        break;
    case OP_DIV: div_gradient(r, node, g); break;
    case OP_MOD: mod_gradient(r, node, g); break;
    case OP_POW: pow_gradient(r, node, g); break;
    case OP_MAX:
    case OP_MIN: extreme_gradient(r, node, g); break;
    default: assert(!"an active binary op without a gradient");
    }
}

static void select_gradient(Reverse *r, GNode *node, GNode *g) {
    GNode *condition = node->in[0];
    if (wanted(r, node->in[1])) pass(r, node->in[1], choose(r, condition, g, fill(r, 0, g)));
    if (wanted(r, node->in[2])) pass(r, node->in[2], choose(r, condition, fill(r, 0, g), g));
}

/* ---- reductions ---- */

/* g, which lacks `axes` of `like`, repeated along them. */
static GNode *spread(Reverse *r, GNode *g, const GNode *like, uint32_t axes) {
    Type type = like->type;
    for (uint32_t i = 0; i < type.rank; i++)
        if (axes >> i & 1) type.dims[i] = (Dim){.size = 1};
    bool batched = g->batched && like->batched && !(axes & 1);
    g = graph_reshape(r->graph, g, type.rank, type.dims, batched, r->span);
    return graph_broadcast(r->graph, g, type.rank, like->type.dims, like->batched, r->span);
}

static GNode *reduce_max_gradient(Reverse *r, GNode *node, GNode *g) {
    GNode *a = node->in[0];
    GNode *largest = binary(r, OP_EQ, a, spread(r, node, a, node->axes));
    GNode *one_each = graph_cast(r->graph, largest, a->type.elem, r->span);
    GNode *ties = graph_reduce(r->graph, OP_SUM, one_each, node->axes, r->span);
    GNode *share = spread(r, binary(r, OP_DIV, g, ties), a, node->axes);
    return choose(r, largest, share, fill(r, 0, share));
}

/* ---- views ---- */

static GNode *broadcast_gradient(Reverse *r, GNode *node, GNode *g) {
    const GNode *a = node->in[0];
    uint32_t axes = 0;
    for (uint32_t i = 0; i < a->type.rank; i++)
        if (a->type.dims[i].size != node->type.dims[i].size) axes |= 1u << i;
    g = graph_reduce(r->graph, OP_SUM, g, axes, r->span);
    return graph_reshape(r->graph, g, a->type.rank, a->type.dims, a->batched && g->batched,
                         r->span);
}

static GNode *view_gradient(Reverse *r, GNode *node, GNode *g) {
    const GNode *a = node->in[0];
    uint8_t inverse[MAX_RANK];
    switch (node->op) {
    case OP_RESHAPE:
        return graph_reshape(r->graph, g, a->type.rank, a->type.dims, a->batched && g->batched,
                             r->span);
    case OP_PERMUTE:
        for (uint8_t i = 0; i < a->type.rank; i++) inverse[node->perm[i]] = i;
        return graph_permute(r->graph, g, inverse, r->span);
    case OP_BROADCAST: return broadcast_gradient(r, node, g);
    case OP_SLICE: return graph_pad(r->graph, g, node->start, a->type.dims, r->span);
    case OP_WINDOW: return window_gradient(r->graph, node, g, r->span);
    default: return graph_slice(r->graph, g, node->start, a->type.dims, r->span);
    }
}

/* ---- contraction: the einsum with the labels of the result and of the operand exchanged ---- */

static void contract_gradient(Reverse *r, GNode *node, GNode *g) {
    GNode *a = node->in[0], *b = node->in[1];
    Einsum to_a, to_b;
    memcpy(to_a.a, node->einsum.out, sizeof to_a.a);
    memcpy(to_a.b, node->einsum.b, sizeof to_a.b);
    memcpy(to_a.out, node->einsum.a, sizeof to_a.out);
    memcpy(to_b.a, node->einsum.a, sizeof to_b.a);
    memcpy(to_b.b, node->einsum.out, sizeof to_b.b);
    memcpy(to_b.out, node->einsum.b, sizeof to_b.out);
    if (wanted(r, a)) pass(r, a, graph_contract(r->graph, g, b, &to_a, r->span));
    if (wanted(r, b)) pass(r, b, graph_contract(r->graph, a, g, &to_b, r->span));
}

/* ---- gather: a row of the table gets the sum over all places where the index names it, in order
 * of the places: a contraction with (index == row ? 1 : 0), which is never in memory ---- */

static GNode *one_hot(Reverse *r, GNode *index, Dim rows, Elem elem) {
    Type type = {.elem = E_I32, .rank = 2, .dims = {index->type.dims[0], rows}};
    Type line = {.elem = E_I32, .rank = 1, .dims = {rows}};
    Dim column[2] = {index->type.dims[0], {.size = 1}}, row[2] = {{.size = 1}, rows};
    index = graph_reshape(r->graph, index, 2, column, false, r->span);
    index = graph_broadcast(r->graph, index, 2, type.dims, false, r->span);
    GNode *number = graph_leaf(r->graph, OP_IOTA, &line, false, false, 0, NULL, r->span);
    number = graph_reshape(r->graph, number, 2, row, false, r->span);
    number = graph_broadcast(r->graph, number, 2, type.dims, false, r->span);
    GNode *here = binary(r, OP_EQ, index, number);
    GNode *one = graph_fill(r->graph, 1, elem, &type, false, r->span);
    return choose(r, here, one, fill(r, 0, one));
}

static void gather_gradient(Reverse *r, GNode *node, GNode *g) {
    GNode *table = node->in[0], *index = node->in[1];
    if (!wanted(r, table)) return;
    Dim places = {.size = type_count(&index->type)};
    Dim flat[2] = {places, {.size = type_count(&table->type) / table->type.dims[0].size}};
    index = graph_reshape(r->graph, index, 1, &places, false, r->span);
    g = graph_reshape(r->graph, g, 2, flat, false, r->span);
    GNode *hot = one_hot(r, index, table->type.dims[0], table->type.elem);
    Einsum einsum = {"av", "ar", "vr"};
    GNode *sum = graph_contract(r->graph, hot, g, &einsum, r->span);
    pass(r, table,
         graph_reshape(r->graph, sum, table->type.rank, table->type.dims, false, r->span));
}

static void flat_gradient(Reverse *r, GNode *node, GNode *g) {
    int64_t start = 0;
    for (uint32_t i = 0; i < node->in_count; i++) {
        const GNode *in = node->in[i];
        Dim part = {.size = type_count(&in->type)};
        if (wanted(r, in)) {
            GNode *slice = graph_slice(r->graph, g, &start, &part, r->span);
            pass(r, in,
                 graph_reshape(r->graph, slice, in->type.rank, in->type.dims, false, r->span));
        }
        start += part.size;
    }
}

/* ---- the pass ---- */

static void node_gradient(Reverse *r, GNode *node, GNode *g) {
    switch (op_info[node->op].class) {
    case CLASS_LEAF: break;
    case CLASS_UNARY: pass(r, node->in[0], unary_gradient(r, node, g)); break;
    case CLASS_BINARY: binary_gradient(r, node, g); break;
    case CLASS_TERNARY: select_gradient(r, node, g); break;
    case CLASS_REDUCE:
        pass(r, node->in[0],
             node->op == OP_SUM ? spread(r, g, node->in[0], node->axes)
                                : reduce_max_gradient(r, node, g));
        break;
    case CLASS_VIEW: pass(r, node->in[0], view_gradient(r, node, g)); break;
    case CLASS_CONTRACT: contract_gradient(r, node, g); break;
    case CLASS_GATHER: gather_gradient(r, node, g); break;
    case CLASS_FLAT: flat_gradient(r, node, g); break;
    }
}

static bool is_active(const Reverse *r, const GNode *node) {
    if (node->op == OP_PARAM) return r->program->params.at[node->index].kind == PARAM_TRAINED;
    if (!elem_is_real(node->type.elem) || node->op == OP_FLOOR || node->op == OP_STOP) return false;
    for (uint32_t i = 0; i < node->in_count; i++)
        if (r->active[node->in[i]->id]) return true;
    return false;
}

void grad(Program *program, GNode **grads) {
    Graph *graph = program->train;
    GNode *loss = program->loss;
    assert(loss->type.rank == 0 && elem_is_real(loss->type.elem));
    Arena *scratch = arena_new();
    uint32_t count = graph->nodes.count;
    Reverse reverse = {.program = program,
                       .graph = graph,
                       .active = arena_alloc(scratch, count * sizeof(bool)),
                       .adjoints = arena_alloc(scratch, count * sizeof(GNode *)),
                       .span = loss->span};
    for (uint32_t i = 0; i < count; i++)
        reverse.active[i] = is_active(&reverse, graph->nodes.at[i]);
    if (wanted(&reverse, loss)) pass(&reverse, loss, fill(&reverse, 1, loss));
    for (uint32_t i = loss->id + 1; i-- > 0;) {
        GNode *node = graph->nodes.at[i];
        if (!reverse.adjoints[i]) continue;
        reverse.span = node->span;
        node_gradient(&reverse, node, reverse.adjoints[i]);
    }
    for (uint32_t i = 0; i < program->params.count; i++) {
        const GNode *param = program->params.at[i].node;
        reverse.span = param->span;
        GNode *g = reverse.adjoints[param->id];
        bool trained = program->params.at[i].kind == PARAM_TRAINED;
        grads[i] = g || !trained ? g : fill(&reverse, 0, param);
    }
    arena_free(scratch);
}
