/* What is legal in a graph: every rule of graph.h, written independently of the builders. */
#include "compiler/graph/graph.h"

#include <inttypes.h>

/* Each rule returns NULL or the sentence that is broken. */

static const char *leaf_rule(const GNode *node) {
    if (node->in_count) return "a leaf has no operands";
    bool scalar = node->op == OP_CONST || node->op == OP_HYPER || node->op == OP_STEP;
    if (node->op == OP_TOTAL && node->type.rank > 1) return "totals are a number or a vector";
    if (scalar && node->type.rank) return "this leaf has rank 0";
    bool vector = node->op == OP_STATE || node->op == OP_FLAT_PARAM || node->op == OP_IOTA;
    if (vector && node->type.rank != 1) return "this leaf has rank 1";
    if (node->op == OP_CONST && (node->per_trial || node->batched))
        return "a constant is the same everywhere";
    if (node->op == OP_IOTA && (node->type.elem != E_I32 || node->per_trial))
        return "iota is i32, for all trials";
    if (node->op == OP_RANDOM && (node->type.elem != E_U32 || node->word > 3))
        return "random gives words 0 to 3 of u32";
    bool real = node->op == OP_PARAM || node->op == OP_STATE || node->op == OP_FLAT_PARAM ||
                node->op == OP_HYPER || node->op == OP_STEP || node->op == OP_TOTAL;
    if (real && !elem_is_real(node->type.elem)) return "this leaf is real";
    return NULL;
}

static const char *flags_rule(const GNode *node, bool batched) {
    bool per_trial = false;
    for (uint32_t i = 0; i < node->in_count; i++) per_trial = per_trial || node->in[i]->per_trial;
    if (node->per_trial != per_trial) return "a value is per trial exactly if an operand is";
    if (node->batched != batched) return "the batch flag is wrong for these operands";
    return NULL;
}

static const char *unary_rule(const GNode *node) {
    Elem from = node->in[0]->type.elem, to = node->type.elem;
    if (node->op == OP_CAST) return from == to ? "cast changes the element type" : NULL;
    if (from != to) return "the result has the operand's element type";
    if (node->op == OP_NOT) return to == E_BOOL ? NULL : "not takes bool";
    if (node->op == OP_ROUND)
        return to == E_F32 && node->index > 1 && node->index < 24
                   ? NULL
                   : "round takes f32 and 2 to 23 bits";
    if (node->op == OP_SHR)
        return to == E_U32 && node->index < 32 ? NULL : "shr takes u32 and 0 to 31 bits";
    if (node->op == OP_NEG || node->op == OP_ABS)
        return elem_is_real(to) || to == E_I32 ? NULL : "neg and abs take signed numbers";
    return node->op == OP_STOP || elem_is_real(to) ? NULL : "this op takes real numbers";
}

static const char *binary_rule(const GNode *node) {
    Elem elem = node->in[0]->type.elem;
    if (elem != node->in[1]->type.elem) return "both operands have the same element type";
    bool comparison = node->op == OP_LT || node->op == OP_LE || node->op == OP_EQ;
    if (node->type.elem != (comparison ? E_BOOL : elem))
        return "comparisons give bool, others the operands' type";
    bool logic = node->op == OP_AND || node->op == OP_OR;
    if (logic != (elem == E_BOOL) && node->op != OP_EQ) return "and, or take bool, others numbers";
    if (node->op == OP_POW && !elem_is_real(elem)) return "pow takes real numbers";
    return NULL;
}

static const char *elementwise_rule(const GNode *node) {
    bool batched = false;
    for (uint32_t i = 0; i < node->in_count; i++) {
        if (!type_same_shape(&node->in[i]->type, &node->type))
            return "operands have the result's shape";
        batched = batched || node->in[i]->batched;
    }
    const char *rule = flags_rule(node, batched);
    if (rule) return rule;
    if (node->in_count == 1) return unary_rule(node);
    if (node->in_count == 2) return binary_rule(node);
    if (node->in[0]->type.elem != E_BOOL) return "the condition is bool";
    if (node->in[1]->type.elem != node->type.elem || node->in[2]->type.elem != node->type.elem)
        return "both arms have the result's element type";
    return NULL;
}

static const char *reduce_rule(const GNode *node) {
    const Type *from = &node->in[0]->type;
    if (!node->axes || node->axes >> from->rank)
        return "axes are a non-empty set of the operand's axes";
    if (from->elem != node->type.elem || from->elem == E_BOOL)
        return "numbers are reduced to the same element type";
    uint32_t at = 0;
    for (uint32_t i = 0; i < from->rank; i++) {
        if (node->axes >> i & 1) continue;
        if (at == node->type.rank || node->type.dims[at++].size != from->dims[i].size)
            return "the other axes stay in order";
    }
    if (at != node->type.rank) return "the other axes stay in order";
    return flags_rule(node, node->in[0]->batched && !(node->axes & 1));
}

static const char *permute_rule(const GNode *node) {
    uint32_t seen = 0;
    if (node->type.rank != node->in[0]->type.rank) return "the rank stays";
    for (uint32_t i = 0; i < node->type.rank; i++) {
        if (node->perm[i] >= node->type.rank || seen >> node->perm[i] & 1)
            return "perm is a permutation";
        seen |= 1u << node->perm[i];
        if (node->type.dims[i].size != node->in[0]->type.dims[node->perm[i]].size)
            return "axis i is axis perm[i] of the operand";
    }
    if (node->batched && node->perm[0] != 0) return "the batch axis stays in front";
    return flags_rule(node, node->in[0]->batched);
}

static const char *broadcast_rule(const GNode *node) {
    const GNode *a = node->in[0];
    if (node->type.rank != a->type.rank) return "the rank stays";
    for (uint32_t i = 0; i < node->type.rank; i++) {
        int64_t size = a->type.dims[i].size;
        if (size != node->type.dims[i].size && size != 1) return "only axes of size 1 grow";
    }
    if (a->batched && !node->batched) return "a batched value stays batched";
    if (a->batched && a->type.dims[0].size != node->type.dims[0].size)
        return "the batch axis does not grow";
    return flags_rule(node, node->batched);
}

/* `inner` lies in `outer`, beginning at node->start. */
static const char *part_rule(const GNode *node, const Type *inner, const Type *outer) {
    if (inner->rank != outer->rank) return "the rank stays";
    for (uint32_t i = 0; i < inner->rank; i++) {
        if (node->start[i] < 0 || node->start[i] + inner->dims[i].size > outer->dims[i].size)
            return "the part lies inside";
    }
    if (node->batched && inner->dims[0].size != outer->dims[0].size)
        return "the batch axis stays whole";
    return flags_rule(node, node->in[0]->batched);
}

static const char *window_rule(const GNode *node) {
    const GNode *a = node->in[0];
    const Window *window = &node->window;
    uint32_t axis = window->axis;
    if (axis >= a->type.rank || node->type.rank != a->type.rank + 1) return "one axis becomes two";
    if (window->stride < 1 || window->divide < 1 || window->dilation == 0)
        return "windows move on by at least 1";
    if (a->type.elem == E_BOOL) return "windows are of numbers";
    if (a->batched && axis == 0) return "the batch axis stays whole";
    for (uint32_t i = 0; i < a->type.rank; i++)
        if (i != axis && node->type.dims[i + (i > axis)].size != a->type.dims[i].size)
            return "the other axes stay";
    if (node->type.dims[axis].size != window->count ||
        node->type.dims[axis + 1].size != window->size)
        return "the two axes are as long as the window says";
    return flags_rule(node, a->batched);
}

static const char *reshape_rule(const GNode *node) {
    const GNode *a = node->in[0];
    if (type_count(&a->type) != type_count(&node->type)) return "the number of elements stays";
    if (node->batched && (!a->batched || a->type.dims[0].size != node->type.dims[0].size))
        return "the batch axis stays in front";
    return flags_rule(node, node->batched);
}

static const char *view_rule(const GNode *node) {
    const Type *from = &node->in[0]->type;
    if (from->elem != node->type.elem) return "a view keeps the element type";
    switch (node->op) {
    case OP_RESHAPE: return reshape_rule(node);
    case OP_PERMUTE: return permute_rule(node);
    case OP_BROADCAST: return broadcast_rule(node);
    case OP_SLICE: return part_rule(node, &node->type, from);
    case OP_WINDOW: return window_rule(node);
    default: return part_rule(node, from, &node->type);
    }
}

static bool labels_legal(const char *labels, const Type *type) {
    if (strlen(labels) != type->rank) return false;
    for (const char *at = labels; *at; at++)
        if (*at < 'a' || *at > 'z' || strchr(at + 1, *at)) return false;
    return true;
}

/* Every label of `of` occurs in `one` or `other`, and where it does sizes agree. */
static const char *label_rule(const char *of, const Type *type, const char *one,
                              const Type *one_type, const char *other, const Type *other_type) {
    for (uint32_t i = 0; of[i]; i++) {
        const char *in_one = strchr(one, of[i]), *in_other = strchr(other, of[i]);
        if (!in_one && !in_other) return "every label occurs in two of the three";
        if (in_one && one_type->dims[in_one - one].size != type->dims[i].size)
            return "axes of one label have one size";
        if (in_other && other_type->dims[in_other - other].size != type->dims[i].size)
            return "axes of one label have one size";
    }
    return NULL;
}

static const char *contract_rule(const GNode *node) {
    const GNode *a = node->in[0], *b = node->in[1];
    const char *la = node->einsum.a, *lb = node->einsum.b, *lo = node->einsum.out;
    if (a->type.elem != b->type.elem || a->type.elem != node->type.elem ||
        !elem_is_real(node->type.elem))
        return "operands and result have the same real element type";
    if (!labels_legal(la, &a->type) || !labels_legal(lb, &b->type) ||
        !labels_legal(lo, &node->type))
        return "one label from a to z per axis, none twice in one operand";
    const char *rule = label_rule(la, &a->type, lb, &b->type, lo, &node->type);
    if (!rule) rule = label_rule(lb, &b->type, la, &a->type, lo, &node->type);
    if (!rule) rule = label_rule(lo, &node->type, la, &a->type, lb, &b->type);
    if (rule) return rule;
    char batch = a->batched ? la[0] : b->batched ? lb[0] : 0;
    if (a->batched && b->batched && la[0] != lb[0])
        return "two batched operands share the batch label";
    if (batch && strchr(la, batch) && !a->batched) return "the batch label means a batched operand";
    if (batch && strchr(lb, batch) && !b->batched) return "the batch label means a batched operand";
    bool batched = batch && strchr(lo, batch);
    if (batched && lo[0] != batch) return "the batch axis stays in front";
    return flags_rule(node, batched);
}

static const char *gather_rule(const GNode *node) {
    const Type *table = &node->in[0]->type, *index = &node->in[1]->type;
    if (index->elem != E_I32) return "the index is i32";
    if (!table->rank || node->in[0]->batched) return "the table has rows, and not the batch";
    if (table->elem != node->type.elem || (table->elem != E_I32 && !elem_is_real(table->elem)))
        return "the table is real or i32, and so is the result";
    if (node->type.rank != index->rank + table->rank - 1)
        return "a row stands in place of each index";
    for (uint32_t i = 0; i < node->type.rank; i++) {
        const Dim *dim = i < index->rank ? &index->dims[i] : &table->dims[i - index->rank + 1];
        if (node->type.dims[i].size != dim->size) return "a row stands in place of each index";
    }
    return flags_rule(node, node->in[1]->batched);
}

static const char *flat_rule(const GNode *node) {
    int64_t count = 0;
    for (uint32_t i = 0; i < node->in_count; i++) {
        if (node->in[i]->type.elem != node->type.elem)
            return "operands have the result's element type";
        if (node->in[i]->batched) return "flat takes no batched operands";
        count += type_count(&node->in[i]->type);
    }
    if (node->type.rank != 1 || node->type.dims[0].size != count)
        return "the vector is as long as its parts together";
    return flags_rule(node, false);
}

static const char *type_rule(const GNode *node) {
    if (node->type.rank > MAX_RANK) return "a tensor has at most MAX_RANK axes";
    for (uint32_t i = 0; i < node->type.rank; i++)
        if (node->type.dims[i].size < 1) return "axes have at least one element";
    if (node->batched && node->type.rank == 0) return "a batched value has a batch axis";
    return NULL;
}

static const char *operands_rule(const Graph *graph, const GNode *node) {
    int arity = op_info[node->op].arity;
    if (arity >= 0 ? node->in_count != (uint32_t)arity : node->in_count == 0)
        return "the op has another number of operands";
    for (uint32_t i = 0; i < node->in_count; i++) {
        const GNode *in = node->in[i];
        if (in->id >= node->id || graph->nodes.at[in->id] != in)
            return "operands come before their users";
    }
    return NULL;
}

static const char *class_rule(const GNode *node) {
    switch (op_info[node->op].class) {
    case CLASS_LEAF: return leaf_rule(node);
    case CLASS_UNARY:
    case CLASS_BINARY:
    case CLASS_TERNARY: return elementwise_rule(node);
    case CLASS_REDUCE: return reduce_rule(node);
    case CLASS_VIEW: return view_rule(node);
    case CLASS_CONTRACT: return contract_rule(node);
    case CLASS_GATHER: return gather_rule(node);
    case CLASS_FLAT: return flat_rule(node);
    }
    return "the op has no class";
}

static const char *node_rule(const Graph *graph, const GNode *node, uint32_t at) {
    if ((unsigned)node->op >= OP_COUNT) return "the op is in ops.def";
    if (node->id != at) return "the id is the position";
    const char *rule = type_rule(node);
    if (!rule) rule = operands_rule(graph, node);
    return rule ? rule : class_rule(node);
}

static const char *output_rule(const Graph *graph, const Output *output) {
    const GNode *value = output->value;
    if (!value || value->id >= graph->nodes.count || graph->nodes.at[value->id] != value)
        return "an output is a node of the graph";
    bool scalar =
        output->kind == OUT_LOSS || output->kind == OUT_GRAD_NORM || output->kind == OUT_METRIC;
    if (scalar && value->type.rank) return "this output is one number";
    bool scores = output->kind == OUT_EXAMPLE && !strcmp(graph->name, "predict");
    bool vector =
        output->kind == OUT_PARAM || output->kind == OUT_STATE || output->kind == OUT_EXAMPLE;
    if (scores && value->type.rank != 3) return "scores are of rows and classes";
    if (vector && !scores && value->type.rank != 1) return "this output is a vector";
    if (output->kind != OUT_FIELD && !elem_is_real(value->type.elem)) return "this output is real";
    if ((output->kind == OUT_EXAMPLE || output->kind == OUT_FIELD) && !value->batched)
        return "this output has a value per example";
    return NULL;
}

static const char *batch_rule(const GNode *node, int64_t *batch) {
    if (!node->batched) return NULL;
    if (*batch == 0) *batch = node->type.dims[0].size;
    return *batch == node->type.dims[0].size ? NULL : "a graph has one batch size";
}

const char *graph_verify(const Graph *graph, Arena *arena) {
    int64_t batch = 0;
    for (uint32_t i = 0; i < graph->nodes.count; i++) {
        const GNode *node = graph->nodes.at[i];
        const char *rule = node_rule(graph, node, i);
        if (!rule) rule = batch_rule(node, &batch);
        if (rule)
            return arena_printf(arena, "%s: %%%" PRIu32 " = %s: %s", graph->name, i,
                                (unsigned)node->op < OP_COUNT ? op_info[node->op].text : "?", rule);
    }
    for (uint32_t i = 0; i < graph->outputs.count; i++) {
        const char *rule = output_rule(graph, &graph->outputs.at[i]);
        if (rule) return arena_printf(arena, "%s: output %" PRIu32 ": %s", graph->name, i, rule);
    }
    return NULL;
}
