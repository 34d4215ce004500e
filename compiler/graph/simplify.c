/* Simplification to a fixed point. Each round rebuilds the graph from its outputs, operands first,
 * and asks the rules of algebra.c and views.c for something simpler. What no output reaches is not
 * rebuilt (dead code), what is equal is built once (common subexpressions, by hash-consing). */
#include "compiler/graph/graph.h"

#include "compiler/graph/rewrite.h"

/* Enough for every chain met so far; each round leaves a correct graph. */
enum { MAX_ROUNDS = 16 };

static bool *reached(const Graph *graph, Arena *scratch) {
    bool *live = arena_alloc(scratch, graph->nodes.count * sizeof(bool) + 1);
    for (uint32_t i = 0; i < graph->outputs.count; i++) live[graph->outputs.at[i].value->id] = true;
    for (uint32_t i = graph->nodes.count; i-- > 0;) {
        const GNode *node = graph->nodes.at[i];
        if (!live[i]) continue;
        for (uint32_t k = 0; k < node->in_count; k++) live[node->in[k]->id] = true;
    }
    return live;
}

static GNode *rewrite(Graph *graph, const GNode *like, GNode **in) {
    switch (op_info[like->op].class) {
    case CLASS_UNARY:
    case CLASS_BINARY:
    case CLASS_TERNARY: return rewrite_algebra(graph, like, in);
    case CLASS_REDUCE:
    case CLASS_VIEW:
    case CLASS_CONTRACT: return rewrite_view(graph, like, in);
    default: return NULL;
    }
}

/* The user's name of a value goes to what it was rewritten to, unless that has a name. */
static void keep_name(GNode *node, const GNode *like) {
    if (!node->name && like->name && op_info[node->op].class != CLASS_LEAF) node->name = like->name;
}

/* One round; *changed when some rule applied. */
static Graph *rebuild(const Graph *graph, Arena *arena, bool *changed) {
    Arena *scratch = arena_new();
    Graph *result = graph_new(arena, graph->name, graph->real);
    const bool *live = reached(graph, scratch);
    GNode **map = arena_alloc(scratch, (graph->nodes.count + 1) * sizeof(GNode *));
    for (uint32_t i = 0; i < graph->nodes.count; i++) {
        const GNode *node = graph->nodes.at[i];
        if (!live[i]) continue;
        GNode **in = arena_alloc(scratch, (node->in_count + 1) * sizeof(GNode *));
        for (uint32_t k = 0; k < node->in_count; k++) in[k] = map[node->in[k]->id];
        map[i] = rewrite(result, node, in);
        if (map[i]) keep_name(map[i], node);
        *changed = *changed || map[i];
        if (!map[i]) map[i] = graph_copy(result, node, in);
    }
    for (uint32_t i = 0; i < graph->outputs.count; i++) {
        const Output *output = &graph->outputs.at[i];
        graph_output_at(result, output->kind, output->index, output->offset,
                        map[output->value->id]);
    }
    arena_free(scratch);
    return result;
}

Graph *simplify(const Graph *graph, Arena *arena) {
    bool changed = true;
    Arena *before = NULL;
    for (int round = 0; changed; round++) {
        /* only the last round's graph goes to the caller's arena */
        changed = false;
        Arena *here = arena_new();
        const Graph *next = rebuild(graph, here, &changed);
        if (before) arena_free(before);
        before = here;
        graph = next;
        if (round == MAX_ROUNDS) break;
    }
    Graph *result = rebuild(graph, arena, &changed);
    arena_free(before);
    return result;
}
