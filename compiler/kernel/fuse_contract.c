/* Contractions over several axes that do not lie together in both operands: such operands are
 * copied in an order in which they do, the summed axes last. */
#include "compiler/kernel/fuse.h"

static bool is_summed(const Einsum *einsum, char label) {
    return !strchr(einsum->out, label);
}

/* The operand with its summed axes last, in the order of `summed`; `labels` follows. A batch that
 * is summed becomes an axis like others. */
static GNode *summed_last(Graph *graph, GNode *operand, const Einsum *einsum, const char *summed,
                          char *labels) {
    char order[MAX_RANK + 1] = {0};
    uint8_t perm[MAX_RANK] = {0};
    uint32_t count = 0;
    if (operand->batched && is_summed(einsum, labels[0]))
        operand = graph_reshape(graph, operand, operand->type.rank, operand->type.dims, false,
                                operand->span);
    for (const char *label = labels; *label; label++)
        if (!is_summed(einsum, *label)) order[count++] = *label;
    strcpy(order + count, summed);
    for (uint32_t i = 0; i < operand->type.rank; i++)
        perm[i] = (uint8_t)(strchr(labels, order[i]) - labels);
    strcpy(labels, order);
    return graph_permute(graph, operand, perm, operand->span);
}

/* Computed values are stored in row-major order anyway; a sum over axes of size 1 is a view. */
static void copy_operand(Fuser *fuser, const GNode *operand) {
    OpClass class = op_info[operand->op].class;
    if (class == CLASS_VIEW || class == CLASS_LEAF || class == CLASS_REDUCE ||
        operand->op == OP_STOP)
        vec_push(fuser->arena, &fuser->copies, (GNode *)operand);
}

static GNode *join_summed(Fuser *fuser, Graph *graph, const GNode *node, GNode **in) {
    Einsum einsum = node->einsum;
    char summed[MAX_RANK + 1] = {0};
    uint32_t count = 0;
    for (const char *label = einsum.a; *label; label++)
        if (is_summed(&node->einsum, *label)) summed[count++] = *label;
    GNode *a = summed_last(graph, in[0], &node->einsum, summed, einsum.a);
    GNode *b = summed_last(graph, in[1], &node->einsum, summed, einsum.b);
    copy_operand(fuser, a);
    copy_operand(fuser, b);
    return graph_contract(graph, a, b, &einsum, node->span);
}

void join_summed_axes(Fuser *fuser) {
    const Graph *old = fuser->graph;
    Graph *graph = graph_new(fuser->arena, old->name, old->real);
    GNode **map = arena_alloc(fuser->arena, (old->nodes.count + 1) * sizeof *map);
    GNodeList copies = fuser->copies;
    fuser->copies = (GNodeList){0};
    for (uint32_t i = 0; i < old->nodes.count; i++) {
        const GNode *node = old->nodes.at[i];
        GNode **in = arena_alloc(fuser->arena, (node->in_count + 1) * sizeof *in);
        for (uint32_t k = 0; k < node->in_count; k++) in[k] = map[node->in[k]->id];
        map[i] =
            fuser->apart[i] ? join_summed(fuser, graph, node, in) : graph_copy(graph, node, in);
        if (!map[i]->name) map[i]->name = node->name;
    }
    for (uint32_t i = 0; i < copies.count; i++)
        vec_push(fuser->arena, &fuser->copies, map[copies.at[i]->id]);
    for (uint32_t i = 0; i < old->outputs.count; i++) {
        const Output *output = &old->outputs.at[i];
        graph_output_at(graph, output->kind, output->index, output->offset, map[output->value->id]);
    }
    fuser->graph = graph;
}
