/* Builtin functions: elementwise ones and reductions. A reduction without an axis takes the batch
 * too (interp_batch.c). */
#include "compiler/graph/interp.h"

#include <math.h>

/* ---- arguments ---- */

static void sort_argument(BuiltinCall *call, const Argument *argument) {
    static const struct {
        const char *name;
        size_t at;
    } slots[] = {
        {"axis", offsetof(BuiltinCall, axis)},     {"keep", offsetof(BuiltinCall, keep)},
        {"like", offsetof(BuiltinCall, like)},     {"limit", offsetof(BuiltinCall, limit)},
        {"virtual", offsetof(BuiltinCall, group)}, {"size", offsetof(BuiltinCall, size)},
        {"stride", offsetof(BuiltinCall, stride)}, {"dilation", offsetof(BuiltinCall, dilation)},
        {"before", offsetof(BuiltinCall, before)}, {"after", offsetof(BuiltinCall, after)},
        {"divide", offsetof(BuiltinCall, divide)}};
    if (!argument->name) {
        call->at[call->count] = argument->value;
        call->spans[call->count++] = argument->span;
        return;
    }
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++)
        if (!strcmp(argument->name, slots[i].name))
            *(const Argument **)((char *)call + slots[i].at) = argument;
}

static bool sort_arguments(Interp *in, BuiltinCall *call, const ArgumentList *arguments) {
    const BuiltinInfo *info = &builtin_info[call->builtin];
    call->at = arena_alloc(in->arena, (arguments->count + 1) * sizeof *call->at);
    call->spans = arena_alloc(in->arena, (arguments->count + 1) * sizeof *call->spans);
    for (uint32_t i = 0; i < arguments->count; i++) {
        const Argument *argument = &arguments->at[i];
        if (argument->name && !builtin_takes(call->builtin, argument->name)) {
            interp_fail(in, argument->span, "'%s' has no argument '%s'", info->text,
                        argument->name);
            return false;
        }
        sort_argument(call, argument);
    }
    if ((int)call->count >= info->least && (int)call->count <= info->most) return true;
    interp_fail(in, call->span, "'%s' takes %d argument%s, not %u", info->text,
                (int)call->count < info->least ? info->least : info->most,
                info->least == 1 ? "" : "s", call->count);
    return false;
}

bool builtin_axis(Interp *in, const BuiltinCall *call, const GNode *node, int otherwise,
                  uint32_t extra, uint32_t *axis) {
    int64_t number = otherwise;
    Span span = call->axis ? call->axis->span : call->span;
    if (call->axis && !value_int(in, call->axis->value, "an axis", span, &number)) return false;
    int64_t rank = example_rank(node) + extra;
    if (number < -rank || number >= rank) {
        Diag *diag = interp_error(in, span, "%s has no axis %lld", type_show(in, &node->type),
                                  (long long)number);
        interp_chain(in, diag);
        if (node->batched) diag_help(diag, "axes are counted after the batch axis, from 0");
        return false;
    }
    *axis = (uint32_t)(number < 0 ? number + rank : number) + node->batched;
    return true;
}

/* The tensor that a builtin works on; numbers become tensors of rank 0, bytes reals if `widen`. */
static GNode *operand(Interp *in, const BuiltinCall *call, bool widen) {
    const char *doing = arena_printf(in->arena, "take '%s' of", builtin_info[call->builtin].text);
    Elem elem;
    if (!common_elem(in, &call->at[0], 1, doing, call->spans[0], &elem)) return NULL;
    if (widen && elem == E_BOOL) elem = in->real;
    return value_node(in, call->at[0], elem, call->spans[0]);
}

/* ---- elementwise ---- */

static const struct {
    Builtin builtin;
    Op op;
    double (*fold)(double);
} unary_table[] = {
    {BUILTIN_EXP, OP_EXP, exp},    {BUILTIN_LOG, OP_LOG, log}, {BUILTIN_SQRT, OP_SQRT, sqrt},
    {BUILTIN_ABS, OP_ABS, fabs},   {BUILTIN_SIN, OP_SIN, sin}, {BUILTIN_COS, OP_COS, cos},
    {BUILTIN_TANH, OP_TANH, tanh}, {BUILTIN_ERF, OP_ERF, erf}, {BUILTIN_FLOOR, OP_FLOOR, floor},
};
enum { UNARY_COUNT = sizeof unary_table / sizeof *unary_table };

static Value fold_unary(Interp *in, const BuiltinCall *call, double (*function)(double)) {
    double number = function(call->at[0].number);
    if (!isfinite(number))
        return interp_fail(in, call->span, "%s(%g) is not a finite number",
                           builtin_info[call->builtin].text, call->at[0].number);
    bool exact = call->builtin == BUILTIN_ABS || call->builtin == BUILTIN_FLOOR;
    return value_number(number, !exact || call->at[0].real, call->span);
}

static Value unary(Interp *in, const BuiltinCall *call, uint32_t row) {
    if (call->at[0].kind == V_NUMBER) return fold_unary(in, call, unary_table[row].fold);
    GNode *node = operand(in, call, false);
    if (!node) return value_error();
    Elem elem = node->type.elem;
    if (elem == E_BOOL)
        return interp_fail(in, call->span, "cannot take '%s' of %s",
                           builtin_info[call->builtin].text, value_show(in, call->at[0]));
    if (elem == E_I32 && call->builtin == BUILTIN_FLOOR) return value_tensor(node);
    if (elem == E_I32 && call->builtin != BUILTIN_ABS)
        node = cast_to(in, node, in->real, call->span);
    return value_tensor(
        graph_unary(graph_of(in, node), unary_table[row].op, node, interp_place(in, call->span)));
}

static Value convert(Interp *in, const BuiltinCall *call) {
    bool real = call->builtin != BUILTIN_I32;
    Value value = call->at[0];
    if (value.kind == V_NUMBER)
        return value_number(real ? value.number : trunc(value.number), real, call->span);
    if (value.kind == V_BOOL) return value_number(value.truth, real, call->span);
    if (value.kind != V_TENSOR)
        return interp_fail(in, call->span, "cannot convert %s", value_show(in, value));
    return value_tensor(cast_to(in, value.node, real ? in->real : E_I32, call->span));
}

static Value stop_gradient(Interp *in, const BuiltinCall *call) {
    if (call->at[0].kind != V_TENSOR) return call->at[0];
    GNode *node = call->at[0].node;
    return value_tensor(
        graph_unary(graph_of(in, node), OP_STOP, node, interp_place(in, call->span)));
}

/* ---- reductions ---- */

GNode *reduce_axes(Interp *in, Builtin builtin, GNode *node, uint32_t axes, Span span) {
    Graph *graph = graph_of(in, node);
    Span place = interp_place(in, span);
    if (builtin == BUILTIN_MIN) node = graph_unary(graph, OP_NEG, node, place);
    double count = 1;
    for (uint32_t i = 0; i < node->type.rank; i++)
        if (axes >> i & 1) count *= (double)node->type.dims[i].size;
    bool sums = builtin == BUILTIN_SUM || builtin == BUILTIN_MEAN;
    node = graph_reduce(graph, sums ? OP_SUM : OP_REDUCE_MAX, node, axes, place);
    if (builtin == BUILTIN_MIN) node = graph_unary(graph, OP_NEG, node, place);
    if (builtin != BUILTIN_MEAN || count == 1) return node;
    return graph_binary(graph, OP_DIV, node, const_like(in, node, count, span), place);
}

static Value reduce_all(Interp *in, Builtin builtin, GNode *node, Span span) {
    uint32_t all = (1u << node->type.rank) - 1;
    if (node->batched && in->mode == MODE_GENERATE)
        return interp_fail(in, span,
                           "examples are made one by one: reduce over an axis, not over all");
    if (node->batched) node = cast_to(in, node, in->real, span);
    if (!node->batched || in->mode != MODE_EVALUATE)
        return value_tensor(reduce_axes(in, builtin, node, all, span));
    node = reduce_axes(in, builtin, node, all & ~1u, span);
    return value_tensor(batch_total(in, builtin, node, span));
}

static bool keep_axis(Interp *in, const BuiltinCall *call, bool *keep) {
    *keep = true;
    if (!call->keep) return true;
    if (call->keep->value.kind == V_BOOL) {
        *keep = call->keep->value.truth;
        return true;
    }
    interp_fail(in, call->keep->span, "'keep' must be true or false, not %s",
                value_show(in, call->keep->value));
    return false;
}

static Value reduction(Interp *in, const BuiltinCall *call) {
    GNode *node = operand(in, call, true);
    bool keep;
    uint32_t axis;
    if (!node) return value_error();
    if (call->axis && call->axis->value.kind == V_BATCH) return reduce_batch(in, call, node);
    if (call->group)
        return interp_fail(in, call->group->span, "'virtual' goes with 'axis: batch' only");
    if (!keep_axis(in, call, &keep)) return value_error();
    if (call->builtin == BUILTIN_MEAN) node = cast_to(in, node, in->real, call->span);
    if (!call->axis) return reduce_all(in, call->builtin, node, call->span);
    if (!builtin_axis(in, call, node, -1, 0, &axis)) return value_error();
    GNode *reduced = reduce_axes(in, call->builtin, node, 1u << axis, call->span);
    if (!keep) return value_tensor(reduced);
    Dim dims[MAX_RANK];
    memcpy(dims, node->type.dims, sizeof dims);
    dims[axis] = (Dim){.size = 1};
    return value_tensor(graph_reshape(graph_of(in, node), reduced, node->type.rank, dims,
                                      node->batched, interp_place(in, call->span)));
}

/* 0, 1, … along `axis`, in the shape of `like`. */
static GNode *positions(Graph *graph, const GNode *like, uint32_t axis, Span place) {
    Type line = {.elem = E_I32, .rank = 1, .dims = {like->type.dims[axis]}};
    GNode *node = graph_leaf(graph, OP_IOTA, &line, false, false, 0, NULL, place);
    Dim ones[MAX_RANK];
    for (uint32_t i = 0; i < like->type.rank; i++) ones[i] = (Dim){.size = 1};
    ones[axis] = like->type.dims[axis];
    node = graph_reshape(graph, node, like->type.rank, ones, false, place);
    return graph_broadcast(graph, node, like->type.rank, like->type.dims, like->batched, place);
}

/* The smallest position of a largest element: -max(x == max(x) ? -position : -n). */
static Value argmax(Interp *in, const BuiltinCall *call) {
    GNode *node = operand(in, call, true);
    uint32_t axis;
    if (!node || !builtin_axis(in, call, node, -1, 0, &axis)) return value_error();
    Graph *graph = graph_of(in, node);
    Span place = interp_place(in, call->span);
    Dim dims[MAX_RANK];
    memcpy(dims, node->type.dims, sizeof dims);
    dims[axis] = (Dim){.size = 1};
    GNode *largest = graph_reduce(graph, OP_REDUCE_MAX, node, 1u << axis, place);
    largest = graph_reshape(graph, largest, node->type.rank, dims, node->batched, place);
    largest =
        graph_broadcast(graph, largest, node->type.rank, node->type.dims, node->batched, place);
    GNode *is_largest = graph_binary(graph, OP_EQ, node, largest, place);
    GNode *backwards = graph_unary(graph, OP_NEG, positions(graph, node, axis, place), place);
    GNode *none = const_like(in, backwards, -(double)node->type.dims[axis].size, call->span);
    GNode *first = graph_select(graph, is_largest, backwards, none, place);
    first = graph_reduce(graph, OP_REDUCE_MAX, first, 1u << axis, place);
    return value_tensor(graph_unary(graph, OP_NEG, first, place));
}

/* ---- dispatch ---- */

static Value larger_or_reduction(Interp *in, const BuiltinCall *call) {
    if (call->count == 1) return reduction(in, call);
    if (call->axis || call->keep)
        return interp_fail(in, call->span, "'%s' of two values takes no axis",
                           builtin_info[call->builtin].text);
    return value_larger(in, call->builtin == BUILTIN_MIN, call->at[0], call->at[1], call->span);
}

Value builtin_call(Interp *in, Builtin builtin, const ArgumentList *arguments, Span span) {
    BuiltinCall call = {.builtin = builtin, .span = span};
    if (!sort_arguments(in, &call, arguments)) return value_error();
    for (uint32_t i = 0; i < UNARY_COUNT; i++)
        if (unary_table[i].builtin == builtin) return unary(in, &call, i);
    switch (builtin) {
    case BUILTIN_WHERE: return value_where(in, call.at[0], call.at[1], call.at[2], span);
    case BUILTIN_F32:
    case BUILTIN_REAL:
    case BUILTIN_I32: return convert(in, &call);
    case BUILTIN_STOP_GRADIENT: return stop_gradient(in, &call);
    case BUILTIN_MAX:
    case BUILTIN_MIN: return larger_or_reduction(in, &call);
    case BUILTIN_SUM:
    case BUILTIN_MEAN: return reduction(in, &call);
    case BUILTIN_ARGMAX: return argmax(in, &call);
    case BUILTIN_GATHER: return builtin_gather(in, &call);
    case BUILTIN_WINDOW:
    case BUILTIN_CONTRACT: return builtin_window(in, &call);
    case BUILTIN_UNIFORM:
    case BUILTIN_NORMAL:
    case BUILTIN_RANDINT: return builtin_random(in, &call);
    default: return builtin_view(in, &call);
    }
}
