/* Reductions over the batch axis. While training they are a sum of the batch; while evaluating a
 * value per example, which the runtime accumulates over the split, and a TOTAL: of one axis alone,
 * a total for each element that is left.
 *
 * Virtual batches (ghost batches: Hoffer, Hubara and Soudry 2017) are groups of `size` consecutive
 * examples. Every value is of exactly `size` examples, as the Playbook wants it: where the batch is
 * no multiple, the examples left over get the value of the last whole group, and where the batch is
 * smaller, it is the only group. */
#include "compiler/graph/interp.h"

#include <inttypes.h>

enum { MOST_TOTALS = 100 };

/* ---- evaluation: totals ---- */

static TotalKind total_kind(Builtin builtin) {
    switch (builtin) {
    case BUILTIN_MEAN: return TOTAL_MEAN;
    case BUILTIN_SUM: return TOTAL_SUM;
    case BUILTIN_MAX: return TOTAL_MAX;
    default: return TOTAL_MIN;
    }
}

static bool same_totals(const Interp *in, uint32_t first, TotalKind kind, GNode *const *values,
                        uint32_t count) {
    const OutputList *outputs = &in->graph->outputs;
    for (uint32_t i = 0; i < count; i++)
        if (outputs->at[first + i].value != values[i] || in->program->totals.at[first + i] != kind)
            return false;
    return true;
}

/* The first of `count` totals of values per example; equal ones are accumulated once. */
static uint32_t add_totals(Interp *in, TotalKind kind, GNode *const *values, uint32_t count) {
    uint32_t known = in->graph->outputs.count;
    for (uint32_t first = 0; first + count <= known; first++)
        if (same_totals(in, first, kind, values, count)) return first;
    for (uint32_t i = 0; i < count; i++) {
        graph_output(in->graph, OUT_EXAMPLE, known + i, values[i]);
        vec_push(in->program->arena, &in->program->totals, kind);
    }
    return known;
}

GNode *batch_total(Interp *in, Builtin builtin, GNode *value, Span span) {
    uint32_t index = add_totals(in, total_kind(builtin), &value, 1);
    Type scalar = {.elem = in->real};
    return graph_leaf(in->finish, OP_TOTAL, &scalar, false, true, index, NULL,
                      interp_place(in, span));
}

/* Element `at` of every example of [batch, count], as [batch]. */
static GNode *element(Interp *in, GNode *lines, uint32_t at, Span place) {
    Dim dims[] = {lines->type.dims[0], {.size = 1}};
    const int64_t start[MAX_RANK] = {0, at};
    GNode *column = graph_slice(in->graph, lines, start, dims, place);
    return graph_reshape(in->graph, column, 1, dims, true, place);
}

static Value too_many_totals(Interp *in, const GNode *node, int64_t count, Span span) {
    Diag *diag = interp_error(in, span,
                              "at evaluation a reduction over the batch is accumulated over the "
                              "split, of at most %d numbers: %s has %" PRId64 " per example",
                              MOST_TOTALS, type_show(in, &node->type), count);
    interp_chain(in, diag);
    diag_help(diag, "reduce within a layer only while training: if training { … }");
    return value_error();
}

static Value evaluate_batch(Interp *in, const BuiltinCall *call, GNode *node) {
    Span place = interp_place(in, call->span);
    int64_t count = type_count(&node->type) / in->batch;
    if (example_rank(node) == 0)
        return value_tensor(batch_total(in, call->builtin, node, call->span));
    if (count > MOST_TOTALS) return too_many_totals(in, node, count, call->span);
    Dim lines[] = {node->type.dims[0], {.size = count}};
    GNode *values[MOST_TOTALS], *flat = graph_reshape(in->graph, node, 2, lines, true, place);
    for (uint32_t i = 0; i < count; i++) values[i] = element(in, flat, i, place);
    uint32_t first = add_totals(in, total_kind(call->builtin), values, (uint32_t)count);
    Type vector = {.elem = in->real, .rank = 1, .dims = {{.size = count}}};
    GNode *total = graph_leaf(in->finish, OP_TOTAL, &vector, false, true, first, NULL, place);
    return value_tensor(
        graph_reshape(in->finish, total, example_rank(node), example_dims(node), false, place));
}

/* ---- virtual batches ---- */

/* The first axis from `start`, `count` long, of a value that has no batch. */
static GNode *rows(Interp *in, GNode *node, int64_t start, int64_t count, Span place) {
    Dim dims[MAX_RANK];
    const int64_t from[MAX_RANK] = {start};
    memcpy(dims, node->type.dims, sizeof dims);
    dims[0] = (Dim){.size = count};
    return graph_slice(in->graph, node, from, dims, place);
}

/* [groups, …] and once more the last group. */
static GNode *with_last_twice(Interp *in, GNode *groups, Span place) {
    int64_t count = groups->type.dims[0].size;
    Dim dims[MAX_RANK];
    const int64_t front[MAX_RANK] = {0}, end[MAX_RANK] = {count};
    memcpy(dims, groups->type.dims, sizeof dims);
    dims[0] = (Dim){.size = count + 1};
    GNode *last = rows(in, groups, count - 1, 1, place);
    last = graph_pad(in->graph, last, end, dims, place);
    groups = graph_pad(in->graph, groups, front, dims, place);
    return graph_binary(in->graph, OP_ADD, groups, last, place);
}

/* [groups, …] as [batch, …]: each example has the value of its group. */
static GNode *handed_out(Interp *in, GNode *groups, int64_t size, const GNode *like, Span place) {
    int64_t count = groups->type.dims[0].size;
    GNode *node = groups;
    Dim dims[MAX_RANK] = {{.size = count}, {.size = 1}};
    uint32_t rank = example_rank(like) + 2;
    for (uint32_t i = 2; i < rank; i++) dims[i] = example_dims(like)[i - 2];
    node = graph_reshape(in->graph, node, rank, dims, false, place);
    dims[1].size = size;
    node = graph_broadcast(in->graph, node, rank, dims, false, place);
    dims[1].size = count * size;
    node = graph_reshape(in->graph, node, rank - 1, dims + 1, false, place);
    node = rows(in, node, 0, in->batch, place);
    return graph_broadcast(in->graph, node, rank - 1, like->type.dims, true, place);
}

static Value reduce_virtual(Interp *in, const BuiltinCall *call, GNode *node, int64_t size) {
    Span place = interp_place(in, call->span);
    if (in->mode != MODE_TRAIN) {
        Diag *diag = interp_error(in, call->span, "virtual batches are there only while training");
        interp_chain(in, diag);
        diag_help(diag, "at evaluation use moving values: if training { … } else { … }");
        return value_error();
    }
    if (example_rank(node) + 2 > MAX_RANK)
        return interp_fail(in, call->span, "%s has too many axes for virtual batches",
                           type_show(in, &node->type));
    if (size > in->batch) size = in->batch;
    int64_t count = in->batch / size;
    Dim whole[MAX_RANK];
    memcpy(whole, node->type.dims, sizeof whole);
    GNode *plain = graph_reshape(in->graph, node, node->type.rank, whole, false, place);
    plain = rows(in, plain, 0, count * size, place);
    Dim dims[MAX_RANK] = {{.size = count}, {.size = size}};
    for (uint32_t i = 0; i < example_rank(node); i++) dims[2 + i] = example_dims(node)[i];
    plain = graph_reshape(in->graph, plain, example_rank(node) + 2, dims, false, place);
    GNode *groups = reduce_axes(in, call->builtin, plain, 1u << 1, call->span);
    if (in->batch % size) groups = with_last_twice(in, groups, place);
    return value_tensor(handed_out(in, groups, size, node, place));
}

/* ---- the reduction ---- */

Value reduce_batch(Interp *in, const BuiltinCall *call, GNode *node) {
    int64_t size = 0;
    if (in->mode == MODE_GENERATE)
        return interp_fail(in, call->span, "examples are made one by one: there is no batch");
    if (!node->batched) {
        Diag *diag =
            interp_error(in, call->axis->span, "%s has no batch axis", type_show(in, &node->type));
        interp_chain(in, diag);
        diag_help(diag, "fields of the data have one, and what is computed from them");
        return value_error();
    }
    if (call->keep)
        return interp_fail(in, call->keep->span,
                           "'keep' does not go with the batch axis, which is "
                           "not counted");
    if (call->group && !value_int(in, call->group->value, "'virtual'", call->group->span, &size))
        return value_error();
    if (call->group && size < 1)
        return interp_fail(in, call->group->span,
                           "a virtual batch has at least 1 example, not %" PRId64, size);
    node = cast_to(in, node, in->real, call->span);
    if (call->group) return reduce_virtual(in, call, node, size);
    if (in->mode == MODE_EVALUATE) return evaluate_batch(in, call, node);
    return value_tensor(reduce_axes(in, call->builtin, node, 1, call->span));
}
