/* The adjoint of windows: x[j] gets the sum over w of g[i, w], where i is the window that shows it
 * x[j] at its place w:  i * stride = j * divide - w * dilation - start.  That is a window again,
 * over the axis i of g, of which the diagonal is wanted: g's own w and the window's are one.
 *
 * The diagonal is moved into what g is made of. Of what does not change with w it is the window; of
 * what was seen through the same windows it is x itself; and of a contraction whose operands bring
 * i and w apart it is the contraction of the one seen through windows, with w as one more axis that
 * is summed: the gradient of a convolution is a convolution, and reads the result's gradient
 * through windows as the convolution reads x. Where g is not made of such, i and w are laid in one
 * axis, along which the diagonal is a window, too. */
#include "compiler/graph/grad_window.h"

enum { MOST_STEPS = 200 }; /* of one walk; behind these g counts as made of something else */

typedef struct {
    Graph *graph;
    Span span;
    const GNode *node; /* the WINDOW */
    Window back;       /* over the axis i; `axis` as it comes */
    uint32_t steps;
} Adjoint;

/* A value [… n, …, size …] where g is [… count, …, size …]. Where no window shows x[j] at w it is 0
 * if `zero`, else anything. */
typedef struct {
    GNode *node; /* NULL: not made of anything known */
    bool zero;
} Diagonal;

static const Diagonal unknown = {NULL, false};

static Diagonal diagonal(Adjoint *a, GNode *g, uint32_t i, uint32_t w);

/* ---- small words ---- */

static Type with_dim(const Type *type, uint32_t axis, int64_t size) {
    Type result = *type;
    result.dims[axis] = (Dim){.size = size};
    return result;
}

static GNode *fill_like(Adjoint *a, const GNode *like, double number) {
    return graph_fill(a->graph, number, like->type.elem, &like->type, like->batched, a->span);
}

/* The axis `from` taken out and put where `to` is then. */
static GNode *move_axis(Adjoint *a, GNode *node, uint32_t from, uint32_t to) {
    uint8_t perm[MAX_RANK];
    uint32_t count = 0;
    for (uint32_t i = 0; i < node->type.rank; i++)
        if (i != from) perm[count++] = (uint8_t)i;
    for (uint32_t i = count; i > to; i--) perm[i] = perm[i - 1];
    perm[to] = (uint8_t)from;
    return graph_permute(a->graph, node, perm, a->span);
}

static GNode *without_axis(Adjoint *a, GNode *node, uint32_t axis) {
    Dim dims[MAX_RANK];
    uint32_t count = 0;
    for (uint32_t i = 0; i < node->type.rank; i++)
        if (i != axis) dims[count++] = node->type.dims[i];
    return graph_reshape(a->graph, node, count, dims, node->batched, a->span);
}

/* Axis i of `node` seen through the windows back: [… n, size …]. NULL: too many axes. */
static GNode *seen_back(Adjoint *a, GNode *node, uint32_t i) {
    Window window = a->back;
    window.axis = i;
    return node->type.rank < MAX_RANK ? graph_window(a->graph, node, &window, a->span) : NULL;
}

/* The axis of the operand that is axis `at` of the reshape, or -1. */
static int axis_below(const GNode *reshape, uint32_t at) {
    const Type *own = &reshape->type, *below = &reshape->in[0]->type;
    int64_t before = 1, reached = 1;
    for (uint32_t i = 0; i < at; i++) before *= own->dims[i].size;
    for (uint32_t i = 0; i < below->rank; i++) {
        if (reached == before && below->dims[i].size == own->dims[at].size) return (int)i;
        reached *= below->dims[i].size;
    }
    return -1;
}

/* ---- the diagonal of each kind of node ---- */

/* What does not change with w: the windows back over i; w is where it was. */
static Diagonal of_constant(Adjoint *a, GNode *source, uint32_t i, uint32_t w) {
    GNode *line = without_axis(a, source, w);
    uint32_t at = i - (w < i);
    GNode *seen = seen_back(a, line, at);
    if (!seen) return unknown;
    /* now [… n at `at`, size at `at` + 1 …] without w */
    return (Diagonal){move_axis(a, seen, at + 1, w), true};
}

static GNode *repeated(Adjoint *a, GNode *node, const GNode *like, uint32_t i) {
    Type type = with_dim(&like->type, i, a->back.count);
    return graph_broadcast(a->graph, node, type.rank, type.dims, like->batched, a->span);
}

static Diagonal of_broadcast(Adjoint *a, GNode *g, uint32_t i, uint32_t w) {
    GNode *source = g->in[0];
    bool along_i = source->type.dims[i].size == g->type.dims[i].size;
    bool along_w = source->type.dims[w].size == g->type.dims[w].size;
    Diagonal inner = {source, false};
    double number;
    if (along_i && along_w)
        inner = diagonal(a, source, i, w);
    else if (along_i)
        inner = of_constant(a, source, i, w);
    if (!inner.node) return unknown;
    if (graph_is_fill(g, &number) && number == 0) inner.zero = true;
    return (Diagonal){repeated(a, inner.node, g, i), inner.zero};
}

static bool same_windows(const Adjoint *a, const GNode *g) {
    Window own = g->window, wanted = a->node->window;
    own.axis = wanted.axis;
    return !memcmp(&own, &wanted, sizeof own) &&
           g->in[0]->type.dims[g->window.axis].size == a->back.count;
}

/* Of the windows themselves: what they show. Of other windows: those of the diagonal. */
static Diagonal of_window(Adjoint *a, GNode *g, uint32_t i, uint32_t w) {
    uint32_t axis = g->window.axis;
    if (i == axis && w == axis + 1 && same_windows(a, g)) {
        Type type = with_dim(&g->type, i, a->back.count);
        type.dims[w].size = 1;
        GNode *x = graph_reshape(a->graph, g->in[0], type.rank, type.dims, g->batched, a->span);
        return (Diagonal){repeated(a, x, g, i), false};
    }
    if (i == axis || i == axis + 1 || w == axis || w == axis + 1) return unknown;
    Diagonal inner = diagonal(a, g->in[0], i - (i > axis), w - (w > axis));
    if (inner.node) inner.node = graph_window(a->graph, inner.node, &g->window, a->span);
    return inner;
}

static Diagonal of_reshape(Adjoint *a, GNode *g, uint32_t i, uint32_t w) {
    int below_i = axis_below(g, i), below_w = axis_below(g, w);
    if (below_i < 0 || below_w < 0 || below_i == below_w) return unknown;
    if (g->in[0]->batched && (below_i == 0 || below_w == 0)) return unknown;
    Diagonal inner = diagonal(a, g->in[0], (uint32_t)below_i, (uint32_t)below_w);
    Type type = with_dim(&g->type, i, a->back.count);
    if (inner.node)
        inner.node = graph_reshape(a->graph, inner.node, type.rank, type.dims, g->batched, a->span);
    return inner;
}

static Diagonal of_sum(Adjoint *a, GNode *g, uint32_t i, uint32_t w) {
    uint32_t below[MAX_RANK], count = 0;
    for (uint32_t k = 0; k < g->in[0]->type.rank; k++)
        if (!(g->axes >> k & 1)) below[count++] = k;
    if (g->op != OP_SUM) return unknown;
    Diagonal inner = diagonal(a, g->in[0], below[i], below[w]);
    if (inner.node) inner.node = graph_reduce(a->graph, OP_SUM, inner.node, g->axes, a->span);
    return inner;
}

static Diagonal of_view(Adjoint *a, GNode *g, uint32_t i, uint32_t w) {
    Diagonal inner;
    switch (g->op) {
    case OP_BROADCAST: return of_broadcast(a, g, i, w);
    case OP_WINDOW: return of_window(a, g, i, w);
    case OP_RESHAPE: return of_reshape(a, g, i, w);
    case OP_PERMUTE:
        inner = diagonal(a, g->in[0], g->perm[i], g->perm[w]);
        if (inner.node) inner.node = graph_permute(a->graph, inner.node, g->perm, a->span);
        return inner;
    default: return unknown;
    }
}

static Diagonal of_elementwise(Adjoint *a, GNode *g, uint32_t i, uint32_t w) {
    GNode *in[3];
    bool zero[3];
    for (uint32_t k = 0; k < g->in_count; k++) {
        Diagonal inner = diagonal(a, g->in[k], i, w);
        if (!inner.node) return unknown;
        in[k] = inner.node;
        zero[k] = inner.zero;
    }
    GNode draft = *g;
    draft.type = with_dim(&g->type, i, a->back.count);
    GNode *node = graph_copy(a->graph, &draft, in);
    switch (g->op) {
    case OP_NEG:
    case OP_ROUND:
    case OP_CAST: return (Diagonal){node, zero[0]};
    case OP_ADD:
    case OP_SUB:
    case OP_MUL: return (Diagonal){node, zero[0] && zero[1]};
    case OP_SELECT: return (Diagonal){node, zero[1] && zero[2]};
    default: return (Diagonal){node, false};
    }
}

/* An operand of a contraction with labels `labels`, to which w may be added. */
static Diagonal of_operand(Adjoint *a, GNode *operand, char *labels, char label_i, char label_w) {
    char *at_i = strchr(labels, label_i), *at_w = strchr(labels, label_w);
    if (!at_i) return (Diagonal){operand, false};
    uint32_t i = (uint32_t)(at_i - labels);
    if (at_w) return diagonal(a, operand, i, (uint32_t)(at_w - labels));
    GNode *seen = seen_back(a, operand, i);
    if (!seen) return unknown;
    memmove(at_i + 2, at_i + 1, strlen(at_i + 1) + 1);
    at_i[1] = label_w;
    return (Diagonal){seen, true};
}

static Diagonal of_contraction(Adjoint *a, GNode *g, uint32_t i, uint32_t w) {
    Einsum einsum = g->einsum;
    char label_i = einsum.out[i], label_w = einsum.out[w];
    Diagonal left = of_operand(a, g->in[0], einsum.a, label_i, label_w);
    Diagonal right = of_operand(a, g->in[1], einsum.b, label_i, label_w);
    if (!left.node || !right.node) return unknown;
    GNode *node = graph_contract(a->graph, left.node, right.node, &einsum, a->span);
    return (Diagonal){node, left.zero || right.zero};
}

static Diagonal diagonal(Adjoint *a, GNode *g, uint32_t i, uint32_t w) {
    if (a->steps++ > MOST_STEPS) return unknown;
    switch (op_info[g->op].class) {
    case CLASS_UNARY:
    case CLASS_BINARY:
    case CLASS_TERNARY: return of_elementwise(a, g, i, w);
    case CLASS_REDUCE: return of_sum(a, g, i, w);
    case CLASS_VIEW: return of_view(a, g, i, w);
    case CLASS_CONTRACT: return of_contraction(a, g, i, w);
    default: return unknown;
    }
}

/* ---- the sum over w, as far inside as it goes ---- */

static GNode *sum_axis(Adjoint *a, GNode *g, uint32_t axis);

static GNode *sum_contraction(Adjoint *a, GNode *g, uint32_t axis) {
    Einsum einsum = g->einsum;
    char label = einsum.out[axis];
    if (!strchr(einsum.a, label) || !strchr(einsum.b, label)) return NULL;
    memmove(einsum.out + axis, einsum.out + axis + 1, strlen(einsum.out + axis));
    return graph_contract(a->graph, g->in[0], g->in[1], &einsum, a->span);
}

static GNode *sum_permuted(Adjoint *a, GNode *g, uint32_t axis) {
    uint8_t perm[MAX_RANK], gone = g->perm[axis];
    uint32_t count = 0;
    for (uint32_t i = 0; i < g->type.rank; i++)
        if (i != axis) perm[count++] = (uint8_t)(g->perm[i] - (g->perm[i] > gone));
    return graph_permute(a->graph, sum_axis(a, g->in[0], gone), perm, a->span);
}

static GNode *sum_reshaped(Adjoint *a, GNode *g, uint32_t axis) {
    int below = axis_below(g, axis);
    if (below < 0 || g->type.dims[axis].size == 1) return NULL;
    Dim dims[MAX_RANK];
    uint32_t count = 0;
    for (uint32_t i = 0; i < g->type.rank; i++)
        if (i != axis) dims[count++] = g->type.dims[i];
    GNode *sum = sum_axis(a, g->in[0], (uint32_t)below);
    return graph_reshape(a->graph, sum, count, dims, g->batched, a->span);
}

static GNode *sum_summed(Adjoint *a, GNode *g, uint32_t axis) {
    uint32_t below = 0;
    for (uint32_t kept = 0; g->axes >> below & 1 || kept++ < axis;) below++;
    return graph_reduce(a->graph, OP_SUM, g->in[0], g->axes | 1u << below, a->span);
}

static GNode *sum_window(Adjoint *a, GNode *g, uint32_t axis) {
    Window window = g->window;
    if (axis == window.axis || axis == window.axis + 1) return NULL;
    GNode *sum = sum_axis(a, g->in[0], axis - (axis > window.axis));
    window.axis -= axis < window.axis;
    return graph_window(a->graph, sum, &window, a->span);
}

/* What a contraction gives is rounded when all of it is summed. */
static GNode *sum_rounded(Adjoint *a, GNode *g, uint32_t axis) {
    return graph_round(a->graph, sum_axis(a, g->in[0], axis), g->index, a->span);
}

static GNode *sum_axis(Adjoint *a, GNode *g, uint32_t axis) {
    GNode *sum = NULL;
    if (g->batched && axis == 0) return graph_reduce(a->graph, OP_SUM, g, 1, a->span);
    if (g->op == OP_ROUND) sum = sum_rounded(a, g, axis);
    if (g->op == OP_CONTRACT) sum = sum_contraction(a, g, axis);
    if (g->op == OP_PERMUTE) sum = sum_permuted(a, g, axis);
    if (g->op == OP_RESHAPE) sum = sum_reshaped(a, g, axis);
    if (g->op == OP_WINDOW) sum = sum_window(a, g, axis);
    if (g->op == OP_SUM) sum = sum_summed(a, g, axis);
    return sum ? sum : graph_reduce(a->graph, OP_SUM, g, 1u << axis, a->span);
}

/* ---- the whole ---- */

/* 0 where no window shows x[j] at w. */
static GNode *masked(Adjoint *a, GNode *value, uint32_t i) {
    Type line = {.elem = value->type.elem, .rank = 1, .dims = {{.size = a->node->window.count}}};
    GNode *ones = graph_fill(a->graph, 1, line.elem, &line, false, a->span);
    GNode *shown = seen_back(a, ones, 0);
    Dim dims[MAX_RANK];
    for (uint32_t k = 0; k < value->type.rank; k++)
        dims[k] = k == i || k == i + 1 ? value->type.dims[k] : (Dim){.size = 1};
    shown = graph_reshape(a->graph, shown, value->type.rank, dims, false, a->span);
    shown = graph_broadcast(a->graph, shown, value->type.rank, value->type.dims, value->batched,
                            a->span);
    GNode *zero = fill_like(a, value, 0);
    GNode *is_shown = graph_binary(a->graph, OP_LT, zero, shown, a->span);
    return graph_select(a->graph, is_shown, value, zero, a->span);
}

static int64_t greatest_divisor(int64_t a, int64_t b) {
    return b ? greatest_divisor(b, a % b) : a;
}

/* Element (i, w) at i * pitch + w of one axis. It is a whole place exactly where i is whole if the
 * pitch, which is `size` or a little more, has no divisor in common with the stride. */
static GNode *along_one_axis(Adjoint *a, GNode *g) {
    const Window *window = &a->node->window;
    uint32_t axis = window->axis, rank = g->type.rank;
    int64_t pitch = window->size, start[MAX_RANK] = {0};
    while (greatest_divisor(pitch, window->stride) != 1) pitch++;
    Type wide = with_dim(&g->type, axis + 1, pitch);
    g = graph_pad(a->graph, g, start, wide.dims, a->span);
    wide.dims[axis] = (Dim){.size = window->count * pitch};
    for (uint32_t i = axis + 1; i + 1 < rank; i++) wide.dims[i] = wide.dims[i + 1];
    g = graph_reshape(a->graph, g, rank - 1, wide.dims, g->batched, a->span);
    Window back = {.axis = axis,
                   .count = a->back.count,
                   .size = window->size,
                   .stride = a->back.stride * pitch,
                   .dilation = window->stride + a->back.dilation * pitch,
                   .start = a->back.start * pitch,
                   .divide = window->stride};
    g = graph_window(a->graph, g, &back, a->span);
    return graph_reduce(a->graph, OP_SUM, g, 1u << (axis + 1), a->span);
}

static GNode *adjoint(Adjoint *a, GNode *g) {
    uint32_t axis = a->node->window.axis;
    if (g->op == OP_ADD || g->op == OP_SUB) {
        GNode *left = adjoint(a, g->in[0]);
        GNode *right = adjoint(a, g->in[1]);
        return graph_binary(a->graph, g->op, left, right, a->span);
    }
    if (g->op == OP_NEG) return graph_unary(a->graph, OP_NEG, adjoint(a, g->in[0]), a->span);
    a->steps = 0;
    Diagonal result =
        a->back.size == 1 ? of_constant(a, g, axis, axis + 1) : diagonal(a, g, axis, axis + 1);
    if (!result.node) return along_one_axis(a, g);
    if (!result.zero) result.node = masked(a, result.node, axis);
    return sum_axis(a, result.node, axis + 1);
}

GNode *window_gradient(Graph *graph, const GNode *node, GNode *g, Span span) {
    const Window *window = &node->window;
    Adjoint a = {.graph = graph, .span = span, .node = node};
    a.back = (Window){.count = node->in[0]->type.dims[window->axis].size,
                      .size = window->size,
                      .stride = window->divide,
                      .dilation = -window->dilation,
                      .start = -window->start,
                      .divide = window->stride};
    return adjoint(&a, g);
}
