/* The graph's text: one node per line, numbered in topological order, the outputs at the end. */
#include "compiler/graph/graph.h"

#include <inttypes.h>
#include <stdlib.h>

static const char *const output_names[] = {
    [OUT_LOSS] = "loss",   [OUT_GRAD_NORM] = "grad_norm", [OUT_PARAM] = "param",
    [OUT_STATE] = "state", [OUT_EXAMPLE] = "example",     [OUT_METRIC] = "metric",
    [OUT_FIELD] = "field"};

static void print_type(const GNode *node, Text *out) {
    text_printf(out, "%s[", elem_name(node->type.elem));
    if (node->per_trial) text_add(out, node->type.rank ? "trial, " : "trial");
    for (uint32_t i = 0; i < node->type.rank; i++) {
        if (i) text_add(out, ", ");
        if (i == 0 && node->batched)
            text_add(out, "batch");
        else
            text_printf(out, "%" PRId64, node->type.dims[i].size);
    }
    text_add(out, "]");
}

/* The shortest decimal that reads back as the same number. */
static void print_number(double number, Elem elem, Text *out) {
    char digits[40];
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, number);
        double read = strtod(digits, NULL);
        if (read == number || (elem == E_F32 && (double)(float)read == number)) break;
    }
    text_printf(out, " %s", digits);
}

static void print_axes(uint32_t axes, Text *out) {
    const char *before = " over ";
    for (uint32_t i = 0; i < MAX_RANK; i++) {
        if (!(axes >> i & 1)) continue;
        text_printf(out, "%s%" PRIu32, before, i);
        before = ", ";
    }
}

static void print_perm(const GNode *node, Text *out) {
    for (uint32_t i = 0; i < node->type.rank; i++)
        text_printf(out, "%s%d", i ? ", " : " to ", node->perm[i]);
}

static void print_start(const GNode *node, Text *out) {
    text_add(out, node->op == OP_SLICE ? " from [" : " at [");
    for (uint32_t i = 0; i < node->type.rank; i++)
        text_printf(out, "%s%" PRId64, i ? ", " : "", node->start[i]);
    text_add(out, "]");
}

/* What differs from windows side by side at every place. */
static void print_window(const Window *window, Text *out) {
    text_printf(out, " of %" PRId64 " on %" PRIu32, window->size, window->axis);
    if (window->stride != 1) text_printf(out, ", stride %" PRId64, window->stride);
    if (window->dilation != 1) text_printf(out, ", dilation %" PRId64, window->dilation);
    if (window->start) text_printf(out, ", from %" PRId64, window->start);
    if (window->divide != 1) text_printf(out, ", divide %" PRId64, window->divide);
}

static void print_attributes(const GNode *node, Text *out) {
    switch (node->op) {
    case OP_CONST: print_number(node->number, node->type.elem, out); break;
    case OP_PARAM:
    case OP_STATE:
    case OP_HYPER:
    case OP_FIELD:
    case OP_TOTAL:
        if (node->name)
            text_printf(out, " %s", node->name);
        else
            text_printf(out, " %" PRIu32, node->index);
        break;
    case OP_RANDOM:
        text_printf(out, " site %" PRIu32 " word %" PRIu32, node->site, node->word);
        break;
    case OP_SHR: text_printf(out, ", %" PRIu32, node->index); break;
    case OP_ROUND: text_printf(out, " to %" PRIu32 " bits", node->index); break;
    case OP_SUM:
    case OP_REDUCE_MAX: print_axes(node->axes, out); break;
    case OP_PERMUTE: print_perm(node, out); break;
    case OP_SLICE:
    case OP_PAD: print_start(node, out); break;
    case OP_WINDOW: print_window(&node->window, out); break;
    case OP_CONTRACT:
        text_printf(out, " \"%s,%s->%s\"", node->einsum.a, node->einsum.b, node->einsum.out);
        break;
    default: break;
    }
}

/* "  # h, spirals.tune:13": the user's name where the attributes do not show it already, and the
 * place. */
static void print_origin(const GNode *node, const Sources *sources, Arena *scratch, Text *out) {
    const char *name = op_info[node->op].class == CLASS_LEAF ? NULL : node->name;
    const char *place = sources ? sources_short_place(sources, node->span, scratch) : "";
    if (!name && !*place) return;
    text_printf(out, "   # %s%s%s", name ? name : "", name && *place ? ", " : "", place);
}

static int64_t batch_size(const Graph *graph) {
    for (uint32_t i = 0; i < graph->nodes.count; i++)
        if (graph->nodes.at[i]->batched) return graph->nodes.at[i]->type.dims[0].size;
    return 0;
}

static void print_output(const Output *output, Text *out) {
    text_printf(out, "output %s", output_names[output->kind]);
    if (output->kind >= OUT_STATE) text_printf(out, " %" PRIu32, output->index);
    text_printf(out, " = %%%" PRIu32 "\n", output->value->id);
}

void graph_print(const Graph *graph, const Sources *sources, Text *out) {
    Arena *scratch = arena_new();
    int64_t batch = batch_size(graph);
    text_printf(out, "graph %s", graph->name);
    if (batch) text_printf(out, "   # batch = %" PRId64, batch);
    text_add(out, "\n");
    for (uint32_t i = 0; i < graph->nodes.count; i++) {
        const GNode *node = graph->nodes.at[i];
        text_printf(out, "%%%" PRIu32 " ", node->id);
        print_type(node, out);
        text_printf(out, " = %s", op_info[node->op].text);
        for (uint32_t k = 0; k < node->in_count; k++)
            text_printf(out, "%s%%%" PRIu32, k ? ", " : " ", node->in[k]->id);
        print_attributes(node, out);
        print_origin(node, sources, scratch, out);
        text_add(out, "\n");
    }
    for (uint32_t i = 0; i < graph->outputs.count; i++) print_output(&graph->outputs.at[i], out);
    arena_free(scratch);
}
