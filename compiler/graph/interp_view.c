/* Builtins that only rearrange: reshape and its like, indexing, stacking. Axes are counted after
 * the batch axis, which never moves. */
#include "compiler/graph/interp.h"

#include <inttypes.h>

static GNode *reshape_example(Interp *in, GNode *node, uint32_t rank, const Dim *dims, Span span) {
    Dim full[MAX_RANK];
    if (node->batched) full[0] = node->type.dims[0];
    for (uint32_t i = 0; i < rank; i++) full[node->batched + i] = dims[i];
    return graph_reshape(graph_of(in, node), node, rank + node->batched, full, node->batched,
                         interp_place(in, span));
}

static int64_t example_count(const GNode *node) {
    int64_t count = 1;
    for (uint32_t i = 0; i < example_rank(node); i++) count *= example_dims(node)[i].size;
    return count;
}

/* The first argument as a tensor of whatever type it has. */
static GNode *subject(Interp *in, const BuiltinCall *call) {
    const char *doing = arena_printf(in->arena, "take '%s' of", builtin_info[call->builtin].text);
    Elem elem;
    if (call->at[0].kind == V_TENSOR) return call->at[0].node;
    if (!common_elem(in, &call->at[0], 1, doing, call->spans[0], &elem)) return NULL;
    return value_node(in, call->at[0], elem, call->spans[0]);
}

static bool rank_fits(Interp *in, const GNode *node, uint32_t rank, Span span) {
    if (rank + node->batched <= MAX_RANK) return true;
    interp_fail(in, span, "a tensor has at most %d axes, the batch included", MAX_RANK);
    return false;
}

/* ---- reshape, broadcast ---- */

/* Sizes from arguments 1 on: `...` stands for the leading axes of the node that are not listed, -1
 * for what is left over (returned in *open). */
static bool read_sizes(Interp *in, const BuiltinCall *call, const GNode *node, uint32_t *rank,
                       Dim *dims, int *open) {
    *rank = 0;
    *open = -1;
    uint32_t listed = call->count - 1, own = example_rank(node);
    for (uint32_t i = 1; i < call->count; i++) {
        if (call->at[i].kind == V_ELLIPSIS) {
            uint32_t keep = own + 1 > listed ? own + 1 - listed : 0;
            if (!rank_fits(in, node, *rank + keep, call->span)) return false;
            for (uint32_t k = 0; i == 1 && k < keep; k++) dims[(*rank)++] = example_dims(node)[k];
            continue;
        }
        int64_t size;
        if (!value_int(in, call->at[i], "a size", call->spans[i], &size)) return false;
        bool wild = size == -1 && *open < 0 && call->builtin == BUILTIN_RESHAPE;
        if (size < 1 && !wild) {
            interp_fail(in, call->spans[i], "a size must be at least 1, not %" PRId64, size);
            return false;
        }
        if (!rank_fits(in, node, *rank + 1, call->span)) return false;
        if (wild) *open = (int)*rank;
        dims[(*rank)++] = wild ? (Dim){.size = 1, .origin = call->spans[i]} : dim_of(call->at[i]);
    }
    return true;
}

/* The result that was asked for, as a message shows it. */
static Type wanted_type(Interp *in, const GNode *node, uint32_t rank, const Dim *dims) {
    Type type = {.elem = node->type.elem, .rank = rank + node->batched};
    if (node->batched) type.dims[0] = batch_dim(in);
    memcpy(type.dims + node->batched, dims, rank * sizeof *dims);
    return type;
}

static Value cannot_reshape(Interp *in, const GNode *node, uint32_t rank, const Dim *dims, int open,
                            Span span) {
    Type wanted = wanted_type(in, node, rank, dims);
    int64_t have = example_count(node);
    if (open >= 0)
        return interp_fail(
            in, span, "cannot reshape %s: %" PRId64 " elements do not divide by the given sizes",
            type_show(in, &node->type), have);
    Diag *diag = interp_error(in, span, "cannot reshape %s to %s: there are %" PRId64 " elements%s",
                              type_show(in, &node->type), type_show(in, &wanted), have,
                              node->batched ? " per example" : "");
    note_dims(diag, &node->type, node->batched);
    interp_chain(in, diag);
    return value_error();
}

static Value reshape(Interp *in, const BuiltinCall *call) {
    GNode *node = subject(in, call);
    Dim dims[MAX_RANK];
    uint32_t rank;
    int open;
    if (!node || !read_sizes(in, call, node, &rank, dims, &open)) return value_error();
    int64_t count = 1, have = example_count(node);
    for (uint32_t i = 0; i < rank && count <= have; i++) /* stops before it could overflow */
        count = dims[i].size > have ? have + 1 : count * dims[i].size;
    if (open >= 0 && count <= have && have % count == 0) {
        dims[open].size = have / count;
        count = have;
    }
    if (count != have) return cannot_reshape(in, node, rank, dims, open, call->span);
    return value_tensor(reshape_example(in, node, rank, dims, call->span));
}

static Value broadcast(Interp *in, const BuiltinCall *call) {
    GNode *node = subject(in, call);
    Dim dims[MAX_RANK];
    uint32_t rank;
    int open;
    if (!node || !read_sizes(in, call, node, &rank, dims, &open)) return value_error();
    uint32_t own = example_rank(node);
    bool good = own <= rank;
    for (uint32_t i = 0; good && i < own; i++) {
        int64_t size = example_dims(node)[i].size;
        good = size == 1 || size == dims[rank - own + i].size;
    }
    if (good)
        return value_tensor(
            broadcast_to(in, graph_of(in, node), node, rank, dims, node->batched, call->span));
    Type wanted = wanted_type(in, node, rank, dims);
    Diag *diag = interp_error(in, call->span, "cannot broadcast %s to %s",
                              type_show(in, &node->type), type_show(in, &wanted));
    note_dims(diag, &node->type, node->batched);
    interp_chain(in, diag);
    return value_error();
}

static Value flatten(Interp *in, const BuiltinCall *call) {
    GNode *node = subject(in, call);
    if (!node) return value_error();
    if (example_rank(node) == 1) return value_tensor(node);
    Dim dim = {.size = example_count(node), .origin = call->span};
    return value_tensor(reshape_example(in, node, 1, &dim, call->span));
}

static Value expand_dims(Interp *in, const BuiltinCall *call) {
    GNode *node = subject(in, call);
    uint32_t axis;
    if (!node || !builtin_axis(in, call, node, -1, 1, &axis)) return value_error();
    if (!rank_fits(in, node, example_rank(node) + 1, call->span)) return value_error();
    Dim dims[MAX_RANK];
    uint32_t at = axis - node->batched, rank = example_rank(node);
    for (uint32_t i = 0; i < rank; i++) dims[i + (i >= at)] = example_dims(node)[i];
    dims[at] = (Dim){.size = 1};
    return value_tensor(reshape_example(in, node, rank + 1, dims, call->span));
}

/* ---- order of axes ---- */

static Value permuted(Interp *in, GNode *node, const uint8_t *perm, Span span) {
    return value_tensor(graph_permute(graph_of(in, node), node, perm, interp_place(in, span)));
}

/* Exchanges the last two axes. */
static Value transpose(Interp *in, const BuiltinCall *call) {
    GNode *node = subject(in, call);
    if (!node) return value_error();
    uint32_t rank = node->type.rank;
    if (example_rank(node) < 2)
        return interp_fail(in, call->span, "cannot transpose %s: it has fewer than two axes",
                           type_show(in, &node->type));
    uint8_t perm[MAX_RANK];
    for (uint32_t i = 0; i < rank; i++) perm[i] = (uint8_t)i;
    perm[rank - 1] = (uint8_t)(rank - 2);
    perm[rank - 2] = (uint8_t)(rank - 1);
    return permuted(in, node, perm, call->span);
}

static Value permute(Interp *in, const BuiltinCall *call) {
    GNode *node = subject(in, call);
    if (!node) return value_error();
    int64_t rank = example_rank(node), axis;
    uint32_t seen = 0;
    uint8_t perm[MAX_RANK] = {0};
    if (call->count - 1 != (uint32_t)rank)
        return interp_fail(in, call->span, "'permute' of %s needs %" PRId64 " axes, not %u",
                           type_show(in, &node->type), rank, call->count - 1);
    for (uint32_t i = 1; i < call->count; i++) {
        if (!value_int(in, call->at[i], "an axis", call->spans[i], &axis)) return value_error();
        int64_t at = axis < 0 ? axis + rank : axis;
        if (at < 0 || at >= rank || seen >> at & 1)
            return interp_fail(in, call->spans[i], "axis %" PRId64 " of %s %s", axis,
                               type_show(in, &node->type),
                               at < 0 || at >= rank ? "does not exist" : "is named twice");
        seen |= 1u << at;
        perm[i - 1 + node->batched] = (uint8_t)(at + node->batched);
    }
    return permuted(in, node, perm, call->span);
}

/* ---- joining ---- */

/* The pieces side by side along `axis`: each is padded with zeros to the whole, and the sum is
 * taken. */
static GNode *join(Interp *in, Graph *graph, GNode **nodes, uint32_t count, uint32_t axis,
                   Dim whole, Span span) {
    Span place = interp_place(in, span);
    int64_t start[MAX_RANK] = {0};
    Elem elem = nodes[0]->type.elem;
    GNode *joined = NULL;
    for (uint32_t i = 0; i < count; i++) {
        Dim dims[MAX_RANK];
        GNode *piece = graph_cast(graph, nodes[i], elem == E_BOOL ? E_I32 : elem, place);
        memcpy(dims, piece->type.dims, sizeof dims);
        dims[axis] = whole;
        int64_t length = piece->type.dims[axis].size;
        piece = graph_pad(graph, piece, start, dims, place);
        start[axis] += length;
        joined = joined ? graph_binary(graph, OP_ADD, joined, piece, place) : piece;
    }
    if (elem != E_BOOL) return joined;
    GNode *zero = graph_fill(graph, 0, E_I32, &joined->type, joined->batched, place);
    return graph_unary(graph, OP_NOT, graph_binary(graph, OP_EQ, joined, zero, place), place);
}

Value view_stack(Interp *in, const Value *values, uint32_t count, Span span) {
    Elem elem;
    if (!common_elem(in, values, count, "stack", span, &elem)) return value_error();
    GNode **nodes = arena_alloc(in->arena, count * sizeof *nodes);
    for (uint32_t i = 0; i < count; i++)
        if (!(nodes[i] = value_node(in, values[i], elem, span))) return value_error();
    Graph *graph = unify(in, nodes, count, "stack", span);
    if (!graph) return value_error();
    uint32_t rank = example_rank(nodes[0]);
    if (!rank_fits(in, nodes[0], rank + 1, span)) return value_error();
    for (uint32_t i = 0; i < count; i++) {
        Dim dims[MAX_RANK];
        memcpy(dims, example_dims(nodes[i]), rank * sizeof *dims);
        dims[rank] = (Dim){.size = 1};
        nodes[i] = reshape_example(in, nodes[i], rank + 1, dims, span);
    }
    Dim whole = {.size = count, .origin = span};
    GNode *joined = join(in, graph, nodes, count, nodes[0]->type.rank - 1, whole, span);
    return value_weak(value_tensor(joined), values, count);
}

/* All sizes but that of `axis` must agree. */
static bool joinable(Interp *in, const GNode *a, const GNode *b, uint32_t axis, Span span) {
    bool good = example_rank(a) == example_rank(b);
    for (uint32_t i = 0; good && i < example_rank(a); i++)
        good = i == axis || example_dims(a)[i].size == example_dims(b)[i].size;
    if (good) return true;
    Diag *diag = interp_error(in, span, "cannot concatenate %s and %s along axis %u",
                              type_show(in, &a->type), type_show(in, &b->type), axis);
    note_dims(diag, &a->type, a->batched);
    note_dims(diag, &b->type, b->batched);
    interp_chain(in, diag);
    return false;
}

static Value concat(Interp *in, const BuiltinCall *call) {
    Elem elem;
    uint32_t axis;
    bool batched = false;
    if (!common_elem(in, call->at, call->count, "concatenate", call->span, &elem))
        return value_error();
    GNode **nodes = arena_alloc(in->arena, call->count * sizeof *nodes);
    for (uint32_t i = 0; i < call->count; i++) {
        if (!(nodes[i] = value_node(in, call->at[i], elem, call->spans[i]))) return value_error();
        batched |= nodes[i]->batched;
    }
    Graph *graph = meet(in, nodes, call->count, call->span);
    if (!graph || !builtin_axis(in, call, nodes[0], -1, 0, &axis)) return value_error();
    axis -= nodes[0]->batched;
    Dim whole = {.origin = call->span};
    for (uint32_t i = 0; i < call->count; i++) {
        if (!joinable(in, nodes[0], nodes[i], axis, call->span)) return value_error();
        whole.size += example_dims(nodes[i])[axis].size;
    }
    for (uint32_t i = 0; i < call->count; i++)
        nodes[i] = broadcast_to(in, graph, nodes[i], example_rank(nodes[i]), example_dims(nodes[i]),
                                batched, call->span);
    return value_tensor(join(in, graph, nodes, call->count, axis + batched, whole, call->span));
}

/* ---- indexing ---- */

typedef struct {
    int64_t start[MAX_RANK];
    Dim sliced[MAX_RANK], kept[MAX_RANK]; /* before and after axes with one index are dropped */
    uint32_t axis, kept_count;
} Selection;

static bool bound(Interp *in, const Node *node, int64_t size, int64_t otherwise, int64_t *out) {
    *out = otherwise;
    if (!node) return true;
    if (!value_int(in, interp_expression(in, node), "an index", node->span, out)) return false;
    if (*out < 0) *out += size;
    return true;
}

static void select_all(Selection *selection, const GNode *node, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        const Dim *dim = &node->type.dims[selection->axis];
        selection->sliced[selection->axis++] = *dim;
        selection->kept[selection->kept_count++] = *dim;
    }
}

static bool select_axis(Interp *in, Selection *selection, const GNode *node, const Node *index) {
    const Dim *dim = &node->type.dims[selection->axis];
    bool slice = index->kind == N_SLICE;
    int64_t lo, hi;
    if (!bound(in, slice ? tree_kid(index, 0) : index, dim->size, 0, &lo)) return false;
    if (!bound(in, slice ? tree_kid(index, 1) : NULL, dim->size, slice ? dim->size : lo + 1, &hi))
        return false;
    if (lo < 0 || hi > dim->size || lo >= hi) {
        Diag *diag =
            interp_error(in, index->span, "index outside of an axis of size %" PRId64, dim->size);
        note_dim(diag, dim);
        interp_chain(in, diag);
        return false;
    }
    selection->start[selection->axis] = lo;
    Dim part = {.size = hi - lo, .origin = index->span};
    if (hi - lo == dim->size) part = *dim;
    selection->sliced[selection->axis++] = part;
    if (slice) selection->kept[selection->kept_count++] = part;
    return true;
}

static bool select_axes(Interp *in, Selection *selection, const GNode *node, const Node *tree) {
    uint32_t listed = tree->kids.count - 1, own = example_rank(node), open = 0;
    for (uint32_t i = 1; i <= listed; i++) open += tree->kids.at[i]->kind == N_ELLIPSIS;
    if (open > 1 || listed - open > own) {
        interp_fail(in, tree->span, "%s has %u ax%s to index, not %u", type_show(in, &node->type),
                    own, own == 1 ? "is" : "es", listed - open);
        return false;
    }
    select_all(selection, node, node->batched);
    for (uint32_t i = 1; i <= listed; i++) {
        const Node *index = tree->kids.at[i];
        if (index->kind == N_ELLIPSIS)
            select_all(selection, node, own - (listed - open));
        else if (!select_axis(in, selection, node, index))
            return false;
    }
    select_all(selection, node, node->type.rank - selection->axis);
    return true;
}

Value view_index(Interp *in, const Node *tree) {
    Value base = interp_expression(in, tree->kids.at[0]);
    if (base.kind == V_ERROR) return base;
    if (base.kind != V_TENSOR)
        return interp_fail(in, tree->span, "cannot index %s", value_show(in, base));
    GNode *node = base.node;
    Selection selection = {0};
    if (!select_axes(in, &selection, node, tree)) return value_error();
    Graph *graph = graph_of(in, node);
    Span place = interp_place(in, tree->span);
    bool batched = node->batched;
    node = graph_slice(graph, node, selection.start, selection.sliced, place);
    return value_tensor(
        graph_reshape(graph, node, selection.kept_count, selection.kept, batched, place));
}

/* ---- sizes ---- */

static Value shape(Interp *in, const BuiltinCall *call) {
    GNode *node = subject(in, call);
    int64_t axis;
    if (!node || !value_int(in, call->at[1], "an axis", call->spans[1], &axis))
        return value_error();
    int64_t rank = example_rank(node), at = axis < 0 ? axis + rank : axis;
    if (at < 0 || at >= rank)
        return interp_fail(in, call->span, "%s has no axis %" PRId64, type_show(in, &node->type),
                           axis);
    const Dim *dim = &example_dims(node)[at];
    Value size = value_number((double)dim->size, false, dim->origin);
    size.text = dim->name;
    return size;
}

static Value iota(Interp *in, const BuiltinCall *call) {
    int64_t size;
    if (!value_int(in, call->at[0], "the length of 'iota'", call->spans[0], &size))
        return value_error();
    if (size < 1 || size > INT32_MAX)
        return interp_fail(in, call->spans[0],
                           "the length of 'iota' must be at least 1, not %" PRId64, size);
    Type type = {.elem = E_I32, .rank = 1, .dims = {dim_of(call->at[0])}};
    return value_tensor(
        graph_leaf(in->graph, OP_IOTA, &type, false, false, 0, NULL, interp_place(in, call->span)));
}

static Value rank_of(Interp *in, const BuiltinCall *call) {
    GNode *node = subject(in, call);
    return node ? value_number(example_rank(node), false, call->span) : value_error();
}

Value builtin_view(Interp *in, const BuiltinCall *call) {
    switch (call->builtin) {
    case BUILTIN_RESHAPE: return reshape(in, call);
    case BUILTIN_BROADCAST: return broadcast(in, call);
    case BUILTIN_FLATTEN: return flatten(in, call);
    case BUILTIN_EXPAND_DIMS: return expand_dims(in, call);
    case BUILTIN_TRANSPOSE: return transpose(in, call);
    case BUILTIN_PERMUTE: return permute(in, call);
    case BUILTIN_CONCAT: return concat(in, call);
    case BUILTIN_SHAPE: return shape(in, call);
    case BUILTIN_RANK: return rank_of(in, call);
    case BUILTIN_IOTA: return iota(in, call);
    default: break;
    }
    return interp_fail(in, call->span, "'%s' is not a function", builtin_info[call->builtin].text);
}
