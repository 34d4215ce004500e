/* Builtins over several axes at once: windows over an axis, and contraction by labels. What they
 * are for is convolution, pooling and attention: a layer says which axes it looks at, and in which
 * order they are summed; that a window is never copied is fusion's work. */
#include <inttypes.h>

#include "compiler/graph/interp.h"

/* ---- window ---- */

static bool number_argument(Interp *in, const Argument *argument, const char *name, int64_t least,
                            int64_t *value) {
    if (!argument) return true;
    const char *what = arena_printf(in->arena, "'%s' of 'window'", name);
    if (!value_int(in, argument->value, what, argument->span, value)) return false;
    if (*value >= least && *value <= INT32_MAX) return true;
    interp_fail(in, argument->span, "%s must be at least %" PRId64 ", not %" PRId64, what, least,
                *value);
    return false;
}

/* The axis is the second argument; counted as everywhere. */
static bool window_axis(Interp *in, BuiltinCall *call, const GNode *node, uint32_t *axis) {
    Argument second = {.value = call->at[1], .span = call->spans[1]};
    call->axis = &second;
    return builtin_axis(in, call, node, -1, 0, axis);
}

static Value too_large(Interp *in, const BuiltinCall *call, const Dim *dim, int64_t reach,
                       int64_t have) {
    Diag *diag = interp_error(in, call->span,
                              "a window that reaches over %" PRId64 " elements does not fit into "
                              "%" PRId64,
                              reach, have);
    note_dim(diag, dim);
    interp_chain(in, diag);
    diag_help(diag, "'before' and 'after' put zeros around the axis");
    return value_error();
}

static bool read_window(Interp *in, const BuiltinCall *call, Window *window, int64_t *padding) {
    int64_t before = 0, after = 0;
    if (!number_argument(in, call->size, "size", 1, &window->size) ||
        !number_argument(in, call->stride, "stride", 1, &window->stride) ||
        !number_argument(in, call->dilation, "dilation", 1, &window->dilation) ||
        !number_argument(in, call->divide, "divide", 1, &window->divide) ||
        !number_argument(in, call->before, "before", 0, &before) ||
        !number_argument(in, call->after, "after", 0, &after))
        return false;
    window->start = -before;
    *padding = before + after;
    return true;
}

/* As many windows as fit into the axis, the zeros between its elements and around it included. */
static Value window(Interp *in, BuiltinCall *call) {
    const char *doing = arena_printf(in->arena, "take '%s' of", builtin_info[call->builtin].text);
    Window window = {.stride = 1, .dilation = 1, .divide = 1};
    int64_t padding;
    Elem elem;
    if (!common_elem(in, &call->at[0], 1, doing, call->spans[0], &elem)) return value_error();
    if (elem == E_BOOL)
        return interp_fail(in, call->spans[0], "cannot %s %s", doing, value_show(in, call->at[0]));
    GNode *node = value_node(in, call->at[0], elem, call->spans[0]);
    if (!node || !window_axis(in, call, node, &window.axis)) return value_error();
    if (!call->size) return interp_fail(in, call->span, "'window' needs 'size', how long it is");
    if (!read_window(in, call, &window, &padding)) return value_error();
    if (node->type.rank == MAX_RANK)
        return interp_fail(in, call->span, "a tensor has at most %d axes, the batch included",
                           MAX_RANK);
    const Dim *dim = &node->type.dims[window.axis];
    int64_t have = (dim->size - 1) * window.divide + 1 + padding;
    int64_t reach = window.dilation * (window.size - 1) + 1;
    if (reach > have) return too_large(in, call, dim, reach, have);
    window.count = (have - reach) / window.stride + 1;
    Graph *graph = graph_of(in, node);
    Span place = interp_place(in, call->span);
    GNode *seen = graph_window_pieces(graph, node, &window, place);
    if (!seen) seen = graph_window(graph, node, &window, place);
    return value_weak(value_tensor(seen), &call->at[0], 1);
}

/* ---- contract ---- */

/* "hwkli,klio->hwo": labels of the axes after the batch. */
static bool split_labels(const char *text, Einsum *labels) {
    char *const parts[] = {labels->a, labels->b, labels->out};
    static const char *const ends[] = {",", "->", ""};
    for (uint32_t i = 0; i < 3; i++) {
        size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz");
        if (length > MAX_RANK || strncmp(text + length, ends[i], strlen(ends[i])) != 0)
            return false;
        memcpy(parts[i], text, length);
        text += length + strlen(ends[i]);
    }
    return !*text;
}

static bool once_each(Interp *in, const char *labels, Span span) {
    for (const char *at = labels; *at; at++)
        if (strchr(at + 1, *at)) {
            interp_fail(in, span, "label '%c' stands twice in '%s'", *at, labels);
            return false;
        }
    return true;
}

static bool labels_fit(Interp *in, const GNode *node, const char *labels, Span span) {
    uint32_t rank = example_rank(node), count = (uint32_t)strlen(labels);
    if (rank == count) return once_each(in, labels, span);
    Diag *diag = interp_error(in, span, "'%s' names %u ax%s of %s, which has %u", labels, count,
                              count == 1 ? "is" : "es", type_show(in, &node->type), rank);
    interp_chain(in, diag);
    if (node->batched) diag_help(diag, "the batch axis has no label");
    return false;
}

static bool sizes_agree(Interp *in, GNode *const *nodes, const Einsum *labels, Span span) {
    for (uint32_t i = 0; labels->a[i]; i++) {
        const char *other = strchr(labels->b, labels->a[i]);
        if (!other) continue;
        const Dim *x = &example_dims(nodes[0])[i];
        const Dim *y = &example_dims(nodes[1])[other - labels->b];
        if (x->size == y->size) continue;
        Diag *diag = interp_error(
            in, span, "label '%c' is %" PRId64 " long in %s and %" PRId64 " in %s", labels->a[i],
            x->size, type_show(in, &nodes[0]->type), y->size, type_show(in, &nodes[1]->type));
        note_dim(diag, x);
        note_dim(diag, y);
        interp_chain(in, diag);
        return false;
    }
    return true;
}

static bool result_known(Interp *in, const Einsum *labels, Span span) {
    for (const char *at = labels->out; *at; at++)
        if (!strchr(labels->a, *at) && !strchr(labels->b, *at)) {
            interp_fail(in, span, "label '%c' of the result is in neither operand", *at);
            return false;
        }
    return once_each(in, labels->out, span);
}

/* Labels of one operand alone that the result has not are summed before. */
static GNode *sum_own(Interp *in, Graph *graph, GNode *node, char *labels, const char *other,
                      const char *out, Span span) {
    uint32_t axes = 0, kept = 0;
    for (uint32_t i = 0; labels[i]; i++) {
        if (!strchr(other, labels[i]) && !strchr(out, labels[i]))
            axes |= 1u << (i + node->batched);
        else
            labels[kept++] = labels[i];
    }
    labels[kept] = 0;
    return graph_reduce(graph, OP_SUM, node, axes, interp_place(in, span));
}

static void put_first(char *labels, char label) {
    memmove(labels + 1, labels, strlen(labels) + 1);
    labels[0] = label;
}

static char unused_label(const Einsum *labels) {
    char label = 'a';
    while (strchr(labels->a, label) || strchr(labels->b, label)) label++;
    return label;
}

static GNode *contracted(Interp *in, Graph *graph, GNode **nodes, Einsum *labels, Span span) {
    nodes[0] = sum_own(in, graph, nodes[0], labels->a, labels->b, labels->out, span);
    nodes[1] = sum_own(in, graph, nodes[1], labels->b, labels->a, labels->out, span);
    char batch = unused_label(labels);
    if (nodes[0]->batched) put_first(labels->a, batch);
    if (nodes[1]->batched) put_first(labels->b, batch);
    if (nodes[0]->batched || nodes[1]->batched) put_first(labels->out, batch);
    return graph_contract(graph, nodes[0], nodes[1], labels, interp_place(in, span));
}

static Value contract(Interp *in, const BuiltinCall *call) {
    Einsum labels = {{0}, {0}, {0}};
    Elem elem;
    Span span = call->spans[2];
    if (!common_elem(in, call->at, 2, "contract", call->span, &elem)) return value_error();
    if (elem == E_BOOL)
        return interp_fail(in, call->span, "cannot contract %s", value_show(in, call->at[0]));
    if (call->at[2].kind != V_STRING || !split_labels(call->at[2].text, &labels))
        return interp_fail(in, span,
                           "the third argument of 'contract' names every axis by a "
                           "letter, as in \"ij,jk->ik\"");
    GNode *nodes[] = {value_node(in, call->at[0], in->real, call->spans[0]),
                      value_node(in, call->at[1], in->real, call->spans[1])};
    if (!nodes[0] || !nodes[1]) return value_error();
    Graph *graph = meet(in, nodes, 2, call->span);
    if (!graph || !labels_fit(in, nodes[0], labels.a, span) ||
        !labels_fit(in, nodes[1], labels.b, span) || !sizes_agree(in, nodes, &labels, span) ||
        !result_known(in, &labels, span))
        return value_error();
    if (strlen(labels.out) + (nodes[0]->batched || nodes[1]->batched) > MAX_RANK)
        return interp_fail(in, span, "a tensor has at most %d axes, the batch included", MAX_RANK);
    return value_tensor(contracted(in, graph, nodes, &labels, call->span));
}

Value builtin_window(Interp *in, BuiltinCall *call) {
    return call->builtin == BUILTIN_WINDOW ? window(in, call) : contract(in, call);
}
