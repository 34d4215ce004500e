/* The row sums in the gradient of a softmax without a pass over the scores (Dao et al. 2022,
 * "FlashAttention", appendix B):
 *
 *     leaf[m, n] = sum over e of error[m, e] * v[n, e]        out[m, e] = sum over n of p[m, n] *
 * v[n, e] sum over n of p[m, n] * leaf[m, n]  =  sum over e of error[m, e] * out[m, e]
 *
 * The sum on the left may have further factors of the row, and numbers; p may itself be a product,
 * with masks. Both sides are taken apart into factors, and these compared. */
#include "compiler/kernel/fuse.h"

typedef enum { TIMES, OVER, WHERE, WHERE_NOT } Way;

typedef struct {
    const GNode *node; /* of WHERE: the condition */
    Way way;
    bool matched;
} Factor;
typedef Vec(Factor) FactorList;

/* A sum and what it is equal to. */
typedef struct {
    const GNode *sum, *leaf, *out;
    uint32_t error;     /* which operand of the leaf */
    FactorList factors; /* of the sum; what is not matched stays */
    bool negative;
} Exchange;

typedef struct {
    Fuser *fuser;
    const PlaneValues *plane;
    Exchange *exchanges; /* by id of the sum */
    bool any;
} Exchanger;

/* ---- factors ---- */

static bool is_zero(const GNode *node) {
    double number;
    return graph_is_fill(node, &number) && number == 0;
}

static const GNode *below_stops(const GNode *node) {
    while (node->op == OP_STOP) node = node->in[0];
    return node;
}

static void take_apart(Exchanger *x, const GNode *node, bool over, FactorList *list,
                       bool *negative) {
    node = below_stops(node);
    bool inside = info_of(x->fuser, node)->role == ROLE_PLANE;
    if (inside && (node->op == OP_MUL || node->op == OP_DIV)) {
        take_apart(x, node->in[0], over, list, negative);
        take_apart(x, node->in[1], over != (node->op == OP_DIV), list, negative);
    } else if (inside && node->op == OP_NEG) {
        *negative = !*negative;
        take_apart(x, node->in[0], over, list, negative);
    } else if (inside && node->op == OP_SELECT && !over &&
               (is_zero(node->in[1]) || is_zero(node->in[2]))) {
        uint32_t kept = is_zero(node->in[1]) ? 2 : 1;
        vec_push(x->fuser->arena, list,
                 ((Factor){node->in[0], kept == 1 ? WHERE : WHERE_NOT, false}));
        take_apart(x, node->in[kept], over, list, negative);
    } else {
        vec_push(x->fuser->arena, list, ((Factor){node, over ? OVER : TIMES, false}));
    }
}

/* Marks the factor of the list that is equal to this one, if there is one. */
static bool match(FactorList *list, const Factor *factor) {
    for (uint32_t i = 0; i < list->count; i++) {
        Factor *other = &list->at[i];
        if (other->matched || other->node != factor->node || other->way != factor->way) continue;
        return other->matched = true;
    }
    return false;
}

/* The value of each row that the factor repeats along n, or NULL. */
static const GNode *row_of(const Exchanger *x, const GNode *node) {
    const PlaneValues *plane = x->plane;
    if (node->op != OP_BROADCAST) return NULL;
    const Type *type = &node->in[0]->type;
    uint32_t axis = 0;
    for (uint32_t i = 0; i < type->rank; i++) {
        if (type->dims[i].size == 1) continue;
        if (axis == plane->n) axis++;
        if (axis >= plane->axis_count || type->dims[i].size != plane->extents[axis]) return NULL;
        axis++;
    }
    return axis + (axis == plane->n) == plane->axis_count ? node->in[0] : NULL;
}

static bool rest_is_of_rows(const Exchanger *x, const FactorList *list) {
    for (uint32_t i = 0; i < list->count; i++) {
        const Factor *factor = &list->at[i];
        if (factor->matched) continue;
        if (factor->way != TIMES && factor->way != OVER) return false;
        if (!graph_is_fill(factor->node, NULL) && !row_of(x, factor->node)) return false;
    }
    return true;
}

/* ---- which sums ---- */

static uint32_t long_axes(const Type *type) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < type->rank; i++) count += type->dims[i].size != 1;
    return count;
}

/* The product of the same v that sums n: out is as the leaf wants it. */
static bool is_forward(const Exchanger *x, const GNode *node, const GNode *v, uint32_t *side) {
    PlaneUse use;
    if (node->op != OP_CONTRACT || info_of(x->fuser, node)->plane != x->plane) return false;
    if (node->in[0] != v && node->in[1] != v) return false;
    *side = node->in[0] == v;
    bool used = plane_use_of(x->plane, node, *side, &use);
    return used && use.columns == x->plane->n && !use.around &&
           long_axes(&node->type) == x->plane->axis_count;
}

/* Does the sum of the exchange's leaf times its other factors become a product with `node`? */
static bool fits(Exchanger *x, Exchange *exchange, const GNode *node) {
    uint32_t side;
    const GNode *v = exchange->leaf->in[1 - exchange->error];
    if (node->id >= exchange->sum->id || !is_forward(x, node, v, &side)) return false;
    FactorList weights = {0};
    bool negative = false, all = true;
    take_apart(x, node->in[side], false, &weights, &negative);
    for (uint32_t i = 0; i < exchange->factors.count; i++)
        exchange->factors.at[i].matched = exchange->factors.at[i].node == exchange->leaf;
    for (uint32_t i = 0; i < weights.count; i++)
        all = all && match(&exchange->factors, &weights.at[i]);
    if (!all || !rest_is_of_rows(x, &exchange->factors)) return false;
    exchange->negative = exchange->negative != negative;
    exchange->out = node;
    return true;
}

/* One leaf among the factors; `error` is the operand with the axis m. */
static bool find_leaf(const Exchanger *x, Exchange *exchange) {
    for (uint32_t i = 0; i < exchange->factors.count; i++) {
        const GNode *node = exchange->factors.at[i].node;
        if (node->op != OP_CONTRACT || info_of(x->fuser, node)->role != ROLE_PLANE) continue;
        if (exchange->leaf || exchange->factors.at[i].way != TIMES) return false;
        exchange->leaf = node;
    }
    if (!exchange->leaf) return false;
    const GNode *leaf = exchange->leaf;
    uint32_t axis = 0;
    for (uint32_t i = 0; i < leaf->type.rank; i++) {
        if (leaf->type.dims[i].size == 1) continue;
        if (axis++ == x->plane->m)
            exchange->error = strchr(leaf->einsum.a, leaf->einsum.out[i]) ? 0 : 1;
    }
    return true;
}

static void consider(Exchanger *x, const GNode *sum) {
    Fuser *fuser = x->fuser;
    Exchange *exchange = &x->exchanges[sum->id];
    PlaneUse use;
    x->plane = info_of(fuser, sum)->plane;
    if (sum->op != OP_SUM || !x->plane || info_of(fuser, sum)->role == ROLE_PLANE) return;
    if (!plane_use_of(x->plane, sum, 0, &use) || use.columns != x->plane->n || use.around) return;
    *exchange = (Exchange){.sum = sum};
    take_apart(x, sum->in[0], false, &exchange->factors, &exchange->negative);
    for (uint32_t i = 0; find_leaf(x, exchange) && i < fuser->nodes.count; i++) {
        if (fits(x, exchange, fuser->nodes.at[i])) break;
        exchange->leaf = NULL;
    }
    x->any |= exchange->out != NULL;
}

/* ---- the new graph ---- */

/* The node without its axes of size 1, and their labels. */
static GNode *without_ones(Graph *graph, GNode *node, const char *labels, char *left, Span span) {
    Dim dims[MAX_RANK];
    uint32_t count = 0;
    for (uint32_t i = 0; i < node->type.rank; i++) {
        if (node->type.dims[i].size == 1) continue;
        dims[count] = node->type.dims[i];
        left[count++] = labels[i];
    }
    left[count] = 0;
    bool batched = node->batched && node->type.dims[0].size != 1;
    return graph_reshape(graph, node, count, dims, batched, span);
}

/* The operand with its axes in the order of `order`, repeated along those that it does not have. */
static GNode *arrange(Graph *graph, GNode *node, const char *labels, const char *order,
                      const Dim *dims, Span span) {
    char left[MAX_RANK + 1];
    uint8_t perm[MAX_RANK];
    Dim own[MAX_RANK];
    uint32_t count = 0, rank = (uint32_t)strlen(order);
    node = without_ones(graph, node, labels, left, span);
    for (uint32_t i = 0; i < rank; i++) {
        const char *at = strchr(left, order[i]);
        own[i] = at ? dims[i] : (Dim){.size = 1};
        if (at) perm[count++] = (uint8_t)(at - left);
    }
    node = graph_permute(graph, node, perm, span);
    node = graph_reshape(graph, node, rank, own, node->batched, span);
    return graph_broadcast(graph, node, rank, dims, node->batched, span);
}

static GNode *times_rest(Graph *graph, GNode *const *map, const Exchanger *x,
                         const Exchange *exchange, GNode *value) {
    Span span = exchange->sum->span;
    for (uint32_t i = 0; i < exchange->factors.count; i++) {
        const Factor *factor = &exchange->factors.at[i];
        double number;
        GNode *other;
        if (factor->matched) continue;
        const GNode *row = row_of(x, factor->node);
        if (graph_is_fill(factor->node, &number))
            other = graph_fill(graph, number, value->type.elem, &value->type, value->batched, span);
        else
            other = graph_reshape(graph, map[row->id], value->type.rank, value->type.dims,
                                  value->batched && row->batched, span);
        value = graph_binary(graph, factor->way == TIMES ? OP_MUL : OP_DIV, value, other, span);
    }
    return exchange->negative ? graph_unary(graph, OP_NEG, value, span) : value;
}

/* Labels of the leaf's long axes but n, then its summed label; `dims` has their sizes. */
static void order_axes(const Exchanger *x, const Exchange *exchange, char *order, Dim *dims) {
    const GNode *leaf = exchange->leaf, *error = leaf->in[exchange->error];
    const char *of_error = exchange->error ? leaf->einsum.b : leaf->einsum.a;
    uint32_t axis = 0, count = 0;
    for (uint32_t i = 0; i < leaf->type.rank; i++) {
        if (leaf->type.dims[i].size == 1 || axis++ == x->plane->n) continue;
        dims[count] = leaf->type.dims[i];
        order[count++] = leaf->einsum.out[i];
    }
    for (uint32_t i = 0; i < error->type.rank; i++) {
        if (error->type.dims[i].size == 1 || strchr(leaf->einsum.out, of_error[i])) continue;
        dims[count] = error->type.dims[i];
        order[count++] = of_error[i];
    }
    order[count] = 0;
}

/* The labels of `out` in the leaf's words: axes of the plane by their place, e by its place in v.
 */
static void translate(const Exchange *exchange, char *labels) {
    const GNode *leaf = exchange->leaf, *out = exchange->out;
    const GNode *v = leaf->in[1 - exchange->error];
    uint32_t side = out->in[0] == v;
    const GNode *p = out->in[side];
    const char *of_p = side ? out->einsum.b : out->einsum.a;
    const char *of_v = side ? out->einsum.a : out->einsum.b;
    const char *leaf_v = exchange->error ? leaf->einsum.a : leaf->einsum.b;
    char plane_labels[MAX_RANK + 1];
    uint32_t axis = 0;
    for (uint32_t i = 0; i < leaf->type.rank; i++)
        if (leaf->type.dims[i].size != 1) plane_labels[axis++] = leaf->einsum.out[i];
    for (uint32_t i = 0; i < out->type.rank; i++) {
        labels[i] = '-';
        axis = 0;
        for (uint32_t k = 0; k < p->type.rank; k++) {
            if (p->type.dims[k].size == 1) continue;
            if (of_p[k] == out->einsum.out[i]) labels[i] = plane_labels[axis];
            axis++;
        }
        for (uint32_t k = 0; k < v->type.rank && labels[i] == '-'; k++)
            if (of_v[k] == out->einsum.out[i] && v->type.dims[k].size != 1) labels[i] = leaf_v[k];
    }
    labels[out->type.rank] = 0;
}

static GNode *build(Graph *graph, GNode *const *map, Exchanger *x, const Exchange *exchange) {
    const GNode *sum = exchange->sum, *leaf = exchange->leaf;
    char order[MAX_RANK + 1], of_out[MAX_RANK + 1];
    Dim dims[MAX_RANK];
    x->plane = info_of(x->fuser, sum)->plane;
    order_axes(x, exchange, order, dims);
    translate(exchange, of_out);
    GNode *error = map[leaf->in[exchange->error]->id];
    error = arrange(graph, error, exchange->error ? leaf->einsum.b : leaf->einsum.a, order, dims,
                    sum->span);
    GNode *out = arrange(graph, map[exchange->out->id], of_out, order, dims, sum->span);
    GNode *product = graph_binary(graph, OP_MUL, error, out, sum->span);
    uint32_t last = (uint32_t)strlen(order) - 1;
    GNode *value = graph_reduce(graph, OP_SUM, product, 1u << last, sum->span);
    value = times_rest(graph, map, x, exchange, value);
    const Dim *shape = sum->type.dims;
    value = graph_reshape(graph, value, sum->type.rank, shape, value->batched, sum->span);
    return graph_broadcast(graph, value, sum->type.rank, shape, sum->batched, sum->span);
}

void exchange_sums(Fuser *fuser) {
    const Graph *old = fuser->graph;
    Exchanger x = {.fuser = fuser};
    x.exchanges = arena_alloc(fuser->arena, (fuser->id_limit + 1) * sizeof *x.exchanges);
    for (uint32_t i = 0; i < fuser->nodes.count; i++) consider(&x, fuser->nodes.at[i]);
    if (!x.any) return;
    Graph *graph = graph_new(fuser->arena, old->name, old->real);
    GNode **map = arena_alloc(fuser->arena, (old->nodes.count + 1) * sizeof *map);
    for (uint32_t i = 0; i < old->nodes.count; i++) {
        const GNode *node = old->nodes.at[i];
        GNode **in = arena_alloc(fuser->arena, (node->in_count + 1) * sizeof *in);
        for (uint32_t k = 0; k < node->in_count; k++) in[k] = map[node->in[k]->id];
        map[i] = x.exchanges[i].out ? build(graph, map, &x, &x.exchanges[i])
                                    : graph_copy(graph, node, in);
        if (!map[i]->name) map[i]->name = node->name;
    }
    for (uint32_t i = 0; i < old->outputs.count; i++) {
        const Output *output = &old->outputs.at[i];
        graph_output(graph, output->kind, output->index, map[output->value->id]);
    }
    fuser->graph = graph;
}
