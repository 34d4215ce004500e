/* Exact rules for views, reductions and contractions: views of views are one view, views that
 * change nothing vanish, reductions over single elements are reshapes, permuted operands are
 * relabelled. */
#include "compiler/graph/rewrite.h"

static GNode *shaped(Graph *graph, const GNode *like, GNode *a) {
    return graph_reshape(graph, a, like->type.rank, like->type.dims, like->batched, like->span);
}

static GNode *repeated(Graph *graph, const GNode *like, GNode *a) {
    return graph_broadcast(graph, a, like->type.rank, like->type.dims, like->batched, like->span);
}

static GNode *fill_like(Graph *graph, const GNode *like, double number) {
    return graph_fill(graph, number, like->type.elem, &like->type, like->batched, like->span);
}

/* A number in every element, and not yet in its normal form, a BROADCAST of a RESHAPE of a CONST.
 */
static GNode *fill_rule(Graph *graph, const GNode *like, const GNode *a) {
    double number;
    if (!graph_is_fill(a, &number)) return NULL;
    GNode *node = fill_like(graph, like, number);
    bool is_this = node->op == like->op && node->in_count && node->in[0] == a;
    return is_this ? NULL : node;
}

static bool may_reshape(const GNode *from, const GNode *to) {
    return !to->batched || (from->batched && from->type.dims[0].size == to->type.dims[0].size);
}

/* ---- reshape ---- */

static GNode *reshape_rule(Graph *graph, const GNode *like, GNode *a) {
    if (like->batched == a->batched && type_same_shape(&like->type, &a->type)) return a;
    if (a->op == OP_RESHAPE && may_reshape(a->in[0], like)) return shaped(graph, like, a->in[0]);
    return NULL;
}

/* ---- permute ---- */

/* Axes longer than 1 keep their order: nothing moves in memory. */
static bool moves_nothing(const GNode *like, const GNode *a) {
    int last = -1;
    for (uint32_t i = 0; i < like->type.rank; i++) {
        if (a->type.dims[like->perm[i]].size == 1) continue;
        if (like->perm[i] < last) return false;
        last = like->perm[i];
    }
    return true;
}

static GNode *permute_rule(Graph *graph, const GNode *like, GNode *a) {
    uint8_t perm[MAX_RANK];
    if (moves_nothing(like, a)) return shaped(graph, like, a);
    if (a->op == OP_PERMUTE) {
        for (uint32_t i = 0; i < like->type.rank; i++) perm[i] = a->perm[like->perm[i]];
        if (a->in[0]->batched && perm[0] != 0) return NULL;
        return graph_permute(graph, a->in[0], perm, like->span);
    }
    if (a->op == OP_BROADCAST && (!a->in[0]->batched || like->perm[0] == 0))
        return repeated(graph, like, graph_permute(graph, a->in[0], like->perm, like->span));
    return NULL;
}

/* ---- broadcast ---- */

static GNode *broadcast_rule(Graph *graph, const GNode *like, GNode *a) {
    if (like->batched == a->batched && type_same_shape(&like->type, &a->type)) return a;
    if (a->op == OP_BROADCAST) return repeated(graph, like, a->in[0]);
    return NULL;
}

/* ---- slice and pad ---- */

static GNode *slice_of_slice(Graph *graph, const GNode *like, const GNode *a) {
    int64_t start[MAX_RANK];
    for (uint32_t i = 0; i < like->type.rank; i++) start[i] = like->start[i] + a->start[i];
    return graph_slice(graph, a->in[0], start, like->type.dims, like->span);
}

/* A slice that lies inside what was padded. */
static GNode *slice_of_pad(Graph *graph, const GNode *like, const GNode *a) {
    int64_t start[MAX_RANK];
    for (uint32_t i = 0; i < like->type.rank; i++) {
        start[i] = like->start[i] - a->start[i];
        if (start[i] < 0 || start[i] + like->type.dims[i].size > a->in[0]->type.dims[i].size)
            return NULL;
    }
    return graph_slice(graph, a->in[0], start, like->type.dims, like->span);
}

/* Slices only the axes that the operand really has. */
static GNode *slice_of_broadcast(Graph *graph, const GNode *like, const GNode *a) {
    Dim dims[MAX_RANK];
    int64_t start[MAX_RANK] = {0};
    GNode *source = a->in[0];
    for (uint32_t i = 0; i < like->type.rank; i++) {
        bool copied = source->type.dims[i].size == 1;
        dims[i] = copied ? source->type.dims[i] : like->type.dims[i];
        start[i] = copied ? 0 : like->start[i];
    }
    return repeated(graph, like, graph_slice(graph, source, start, dims, like->span));
}

static GNode *slice_rule(Graph *graph, const GNode *like, GNode *a) {
    if (type_same_shape(&like->type, &a->type)) return a;
    switch (a->op) {
    case OP_SLICE: return slice_of_slice(graph, like, a);
    case OP_PAD: return slice_of_pad(graph, like, a);
    case OP_BROADCAST: return slice_of_broadcast(graph, like, a);
    default: return NULL;
    }
}

static GNode *pad_rule(Graph *graph, const GNode *like, GNode *a) {
    if (type_same_shape(&like->type, &a->type)) return a;
    if (a->op != OP_PAD) return NULL;
    int64_t start[MAX_RANK];
    for (uint32_t i = 0; i < like->type.rank; i++) start[i] = like->start[i] + a->start[i];
    return graph_pad(graph, a->in[0], start, like->type.dims, like->span);
}

/* ---- windows ---- */

/* The zeros that an axis was padded with, windows see without them. */
static GNode *window_of_pad(Graph *graph, const GNode *like, const GNode *a) {
    Window window = like->window;
    for (uint32_t i = 0; i < a->type.rank; i++)
        if (i != window.axis && a->type.dims[i].size != a->in[0]->type.dims[i].size) return NULL;
    window.start -= a->start[window.axis] * window.divide;
    return graph_window(graph, a->in[0], &window, like->span);
}

static GNode *window_rule(Graph *graph, const GNode *like, GNode *a) {
    GNode *pieces = graph_window_pieces(graph, a, &like->window, like->span);
    return !pieces && a->op == OP_PAD ? window_of_pad(graph, like, a) : pieces;
}

/* ---- reductions ---- */

/* Every reduced axis of `a` has one size: 1 in `source`. */
static bool reduces_single(const GNode *like, const GNode *source) {
    for (uint32_t i = 0; i < source->type.rank; i++)
        if (like->axes >> i & 1 && source->type.dims[i].size != 1) return false;
    return true;
}

/* The maximum of equal elements is that element: of what was repeated only the original is needed.
 */
static GNode *max_of_broadcast(Graph *graph, const GNode *like, const GNode *a) {
    const Type *type = &a->type;
    Dim dims[MAX_RANK];
    for (uint32_t i = 0; i < type->rank; i++)
        dims[i] = like->axes >> i & 1 ? a->in[0]->type.dims[i] : type->dims[i];
    bool batched = like->batched || a->in[0]->batched;
    GNode *once = graph_broadcast(graph, a->in[0], type->rank, dims, batched, like->span);
    return graph_reshape(graph, once, like->type.rank, like->type.dims, like->batched, like->span);
}

static GNode *reduce_rule(Graph *graph, const GNode *like, GNode *a) {
    if (reduces_single(like, a)) return shaped(graph, like, a);
    if (like->op == OP_REDUCE_MAX && a->op == OP_BROADCAST && reduces_single(like, a->in[0]))
        return max_of_broadcast(graph, like, a);
    return NULL;
}

/* ---- contractions ---- */

static uint32_t summed_labels(const Einsum *einsum) {
    uint32_t count = 0;
    for (const char *at = einsum->a; *at; at++) count += !strchr(einsum->out, *at);
    return count;
}

/* With several summed labels the first operand's order is the order of the sum: it must stay. */
static GNode *contract_rule(Graph *graph, const GNode *like, GNode **in) {
    Einsum einsum = like->einsum;
    bool first = in[0]->op == OP_PERMUTE && summed_labels(&einsum) <= 1,
         second = in[1]->op == OP_PERMUTE;
    if (!first && !second) return NULL;
    for (uint32_t i = 0; first && i < in[0]->type.rank; i++)
        einsum.a[in[0]->perm[i]] = like->einsum.a[i];
    for (uint32_t i = 0; second && i < in[1]->type.rank; i++)
        einsum.b[in[1]->perm[i]] = like->einsum.b[i];
    GNode *a = first ? in[0]->in[0] : in[0], *b = second ? in[1]->in[0] : in[1];
    return graph_contract(graph, a, b, &einsum, like->span);
}

GNode *rewrite_view(Graph *graph, const GNode *like, GNode **in) {
    GNode *a = in[0];
    GNode *node = NULL;
    if (like->op == OP_CONTRACT) return contract_rule(graph, like, in);
    if (op_info[like->op].class == CLASS_REDUCE) return reduce_rule(graph, like, a);
    if (like->op == OP_WINDOW) return window_rule(graph, like, a);
    if (like->op != OP_PAD) node = fill_rule(graph, like, a);
    if (node) return node;
    switch (like->op) {
    case OP_RESHAPE: return reshape_rule(graph, like, a);
    case OP_PERMUTE: return permute_rule(graph, like, a);
    case OP_BROADCAST: return broadcast_rule(graph, like, a);
    case OP_SLICE: return slice_rule(graph, like, a);
    default: return pad_rule(graph, like, a);
    }
}
