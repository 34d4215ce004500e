/* Random graphs: a pool of nodes that grows by one random op at a time. */
#include "tests/numeric/random_graph.h"

static const Span nowhere = {0, 0};

uint32_t rng_below(Rng *rng, uint32_t bound) { /* Steele and others 2014: splitmix64 */
    uint64_t z = rng->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ z >> 31) >> 32) % bound;
}

double rng_real(Rng *rng, double lo, double hi) {
    return lo + (hi - lo) * (rng_below(rng, 1u << 30) + 0.5) / (1u << 30);
}

Type random_type(Rng *rng, Elem elem, uint32_t least_rank, uint32_t most_rank) {
    Type type = {.elem = elem};
    do {
        type.rank = least_rank + rng_below(rng, most_rank - least_rank + 1);
        for (uint32_t i = 0; i < type.rank; i++) type.dims[i].size = 1 + rng_below(rng, 7);
    } while (type_count(&type) > 400);
    return type;
}

void random_perm(Rng *rng, uint32_t rank, uint32_t fixed, uint8_t perm[MAX_RANK]) {
    for (uint8_t i = 0; i < rank; i++) perm[i] = i;
    for (uint32_t i = rank; i > fixed + 1; i--) {
        uint32_t at = fixed + rng_below(rng, i - fixed);
        uint8_t held = perm[i - 1];
        perm[i - 1] = perm[at];
        perm[at] = held;
    }
}

/* ---- the pool ---- */

typedef struct {
    Rng *rng;
    Graph *graph;
    Arena *arena;
    int64_t batch;
    GNodeList pool;
} Maker;

/* Often one of the last few, so that ops stand on each other. */
static GNode *pick(Maker *m) {
    if (rng_below(m->rng, 2)) return m->pool.at[m->pool.count - 1 - rng_below(m->rng, 3)];
    return m->pool.at[rng_below(m->rng, m->pool.count)];
}

/* A pooled node for which `elem` holds (any real one for f32 and f64), or NULL. */
static GNode *pick_elem(Maker *m, Elem elem) {
    for (int attempt = 0; attempt < 20; attempt++) {
        GNode *node = pick(m);
        if (node->type.elem == elem) return node;
    }
    return NULL;
}

static double special(Maker *m) {
    static const double numbers[] = {0, -0.0, 1, -1, 2, 0.5, 4, -8, 3, 0.1, 1.5, -0.7};
    return numbers[rng_below(m->rng, sizeof numbers / sizeof *numbers)];
}

static GNode *number_like(Maker *m, const GNode *like) {
    double number = special(m);
    if (!elem_is_real(like->type.elem))
        number = like->type.elem == E_BOOL ? number > 0 : (double)(int)(number * number);
    return graph_fill(m->graph, number, like->type.elem, &like->type, like->batched, nowhere);
}

/* Another operand for an op with `like`: same shape and element type. */
static GNode *partner(Maker *m, GNode *like) {
    if (rng_below(m->rng, 3) == 0) return number_like(m, like);
    for (int attempt = 0; attempt < 40; attempt++) {
        GNode *node = pick(m);
        if (node->type.elem != like->type.elem) continue;
        if (type_same_shape(&node->type, &like->type)) return node;
        if (node->type.rank || like->type.rank == 0) continue;
        Dim ones[MAX_RANK] = {{.size = 1}, {.size = 1}, {.size = 1},
                              {.size = 1}, {.size = 1}, {.size = 1}};
        node = graph_reshape(m->graph, node, like->type.rank, ones, false, nowhere);
        return graph_broadcast(m->graph, node, like->type.rank, like->type.dims, like->batched,
                               nowhere);
    }
    return number_like(m, like);
}

/* Values stay moderate, so that no comparison of results drowns in infinities. */
static GNode *tame(Maker *m, GNode *a) {
    return rng_below(m->rng, 2) ? graph_unary(m->graph, OP_TANH, a, nowhere)
                                : graph_unary(m->graph, OP_SIN, a, nowhere);
}

static GNode *make_unary(Maker *m, GNode *a) {
    Graph *g = m->graph;
    Elem elem = a->type.elem;
    if (elem == E_F32 && rng_below(m->rng, 10) == 0)
        return graph_round(g, a, rng_below(m->rng, 2) ? 8 : 11, nowhere);
    if (elem == E_BOOL)
        return rng_below(m->rng, 2) ? graph_unary(g, OP_NOT, a, nowhere)
                                    : graph_cast(g, a, g->real, nowhere);
    if (elem == E_U32)
        return rng_below(m->rng, 2) ? graph_shr(g, a, 8 + rng_below(m->rng, 4), nowhere)
                                    : graph_cast(g, graph_shr(g, a, 12, nowhere), g->real, nowhere);
    if (elem == E_I32)
        return rng_below(m->rng, 3) ? graph_cast(g, a, g->real, nowhere)
                                    : graph_unary(g, OP_NEG, a, nowhere);
    if (elem == E_U8) return graph_cast(g, a, rng_below(m->rng, 2) ? E_I32 : g->real, nowhere);
    static const Op ops[] = {OP_NEG, OP_NEG,  OP_ABS, OP_EXP,   OP_SIN,
                             OP_COS, OP_TANH, OP_ERF, OP_FLOOR, OP_STOP};
    switch (rng_below(m->rng, 8)) {
    case 0: return graph_unary(g, OP_SQRT, graph_unary(g, OP_ABS, a, nowhere), nowhere);
    case 1: return graph_unary(g, OP_LOG, graph_unary(g, OP_EXP, tame(m, a), nowhere), nowhere);
    case 2: return graph_cast(g, tame(m, a), rng_below(m->rng, 2) ? E_BOOL : E_I32, nowhere);
    default: {
        Op op = ops[rng_below(m->rng, sizeof ops / sizeof *ops)];
        return graph_unary(g, op, op == OP_EXP ? tame(m, a) : a, nowhere);
    }
    }
}

static GNode *make_binary(Maker *m, GNode *a) {
    static const Op real_ops[] = {OP_ADD, OP_ADD, OP_SUB, OP_SUB, OP_MUL, OP_MUL, OP_MUL, OP_DIV,
                                  OP_MAX, OP_MIN, OP_LT,  OP_LE,  OP_EQ,  OP_MOD, OP_POW};
    static const Op integer_ops[] = {OP_ADD, OP_SUB, OP_MAX, OP_MIN, OP_LT, OP_LE, OP_EQ};
    static const Op bool_ops[] = {OP_AND, OP_OR, OP_EQ};
    Graph *g = m->graph;
    GNode *b = partner(m, a);
    if (rng_below(m->rng, 8) == 0) b = a;
    Op op = real_ops[rng_below(m->rng, sizeof real_ops / sizeof *real_ops)];
    if (!elem_is_real(a->type.elem)) op = integer_ops[rng_below(m->rng, 7)];
    if (a->type.elem == E_BOOL) op = bool_ops[rng_below(m->rng, 3)];
    bool swap = rng_below(m->rng, 4) == 0;
    if (op == OP_POW)
        a = graph_binary(g, OP_ADD, graph_unary(g, OP_ABS, a, nowhere),
                         graph_fill(g, 0.5, g->real, &a->type, a->batched, nowhere), nowhere);
    if (op == OP_POW) b = tame(m, b);
    if ((op == OP_DIV || op == OP_MOD) && !graph_is_fill(b, NULL))
        b = graph_unary(g, OP_EXP, tame(m, b), nowhere);
    return swap && op != OP_POW && op != OP_DIV && op != OP_MOD
               ? graph_binary(g, op, b, a, nowhere)
               : graph_binary(g, op, a, b, nowhere);
}

static GNode *make_select(Maker *m, GNode *a) {
    GNode *like = pick_elem(m, m->graph->real);
    if (a->type.elem != m->graph->real) a = like;
    if (!a) return NULL;
    GNode *condition = graph_binary(m->graph, OP_LT, a, partner(m, a), nowhere);
    if (rng_below(m->rng, 4) == 0) condition = graph_unary(m->graph, OP_NOT, condition, nowhere);
    if (rng_below(m->rng, 6) == 0) condition = number_like(m, condition);
    return graph_select(m->graph, condition, a, partner(m, a), nowhere);
}

static GNode *make_reduce(Maker *m, GNode *a) {
    if (a->type.elem == E_BOOL || a->type.elem == E_U8 || a->type.elem == E_U32 ||
        a->type.rank == 0)
        return NULL;
    uint32_t axes = 1 + rng_below(m->rng, (1u << a->type.rank) - 1);
    if (a->batched && rng_below(m->rng, 2)) axes &= ~1u;
    return graph_reduce(m->graph, rng_below(m->rng, 2) ? OP_SUM : OP_REDUCE_MAX, a, axes, nowhere);
}

/* ---- views ---- */

static GNode *make_reshape(Maker *m, GNode *a) {
    Dim dims[MAX_RANK];
    uint32_t rank = 0, first = a->batched;
    for (uint32_t i = 0; i < a->type.rank; i++) { /* joins neighbours, inserts ones */
        bool joins = i > first && rank > 0 && rng_below(m->rng, 2);
        if (joins)
            dims[rank - 1].size *= a->type.dims[i].size;
        else
            dims[rank++] = a->type.dims[i];
    }
    if (rank < 5 && rng_below(m->rng, 2)) dims[rank++] = (Dim){.size = 1};
    return graph_reshape(m->graph, a, rank, dims, a->batched, nowhere);
}

static GNode *make_broadcast(Maker *m, GNode *a) {
    Dim dims[MAX_RANK];
    bool batched = a->batched;
    for (uint32_t i = 0; i < a->type.rank; i++) {
        dims[i] = a->type.dims[i];
        if (dims[i].size != 1 || (i == 0 && batched)) continue;
        dims[i].size = i == 0 ? m->batch : 1 + rng_below(m->rng, 5);
        if (i == 0) batched = true;
    }
    return graph_broadcast(m->graph, a, a->type.rank, dims, batched, nowhere);
}

static GNode *make_slice(Maker *m, GNode *a) {
    int64_t start[MAX_RANK] = {0};
    Dim dims[MAX_RANK];
    for (uint32_t i = 0; i < a->type.rank; i++) {
        dims[i] = a->type.dims[i];
        if (i == 0 && a->batched) continue;
        dims[i].size = 1 + rng_below(m->rng, (uint32_t)dims[i].size);
        start[i] = rng_below(m->rng, (uint32_t)(a->type.dims[i].size - dims[i].size) + 1);
    }
    return graph_slice(m->graph, a, start, dims, nowhere);
}

static GNode *make_pad(Maker *m, GNode *a) {
    int64_t start[MAX_RANK] = {0};
    Dim dims[MAX_RANK];
    if (a->type.elem == E_BOOL || a->type.elem == E_U8) return NULL;
    for (uint32_t i = 0; i < a->type.rank; i++) {
        dims[i] = a->type.dims[i];
        if (i == 0 && a->batched) continue;
        start[i] = rng_below(m->rng, 3);
        dims[i].size += start[i] + rng_below(m->rng, 3);
    }
    return graph_pad(m->graph, a, start, dims, nowhere);
}

/* Any that is legal, beside the axis too. */
static GNode *make_window(Maker *m, GNode *a) {
    if (a->type.elem == E_BOOL || a->type.elem == E_U8 || a->type.rank <= a->batched ||
        a->type.rank > 4)
        return NULL;
    Window window = {.axis = a->batched + rng_below(m->rng, a->type.rank - a->batched),
                     .count = 1 + rng_below(m->rng, 5),
                     .size = 1 + rng_below(m->rng, 4),
                     .stride = 1 + rng_below(m->rng, 3),
                     .dilation =
                         (rng_below(m->rng, 4) ? 1 : -1) * (1 + (int64_t)rng_below(m->rng, 2)),
                     .start = (int64_t)rng_below(m->rng, 7) - 4,
                     .divide = rng_below(m->rng, 2) ? 1 : 1 + rng_below(m->rng, 3)};
    return graph_window(m->graph, a, &window, nowhere);
}

static GNode *make_view(Maker *m, GNode *a) {
    uint8_t perm[MAX_RANK];
    switch (rng_below(m->rng, 6)) {
    case 5: return make_window(m, a);
    case 0: return make_reshape(m, a);
    case 1:
        random_perm(m->rng, a->type.rank, a->batched, perm);
        return graph_permute(m->graph, a, perm, nowhere);
    case 2: return make_broadcast(m, a);
    case 3: return make_slice(m, a);
    default: return make_pad(m, a);
    }
}

/* A product with a new parameter over the last axis, as dense layers do, or with itself over the
 * batch. */
static GNode *make_contract(Maker *m, GNode *a) {
    static const char letters[] = "abcdef";
    if (a->type.elem != m->graph->real || a->type.rank == 0 || a->type.rank > 4) return NULL;
    Einsum einsum = {{0}, {0}, {0}};
    uint32_t last = a->type.rank - 1;
    memcpy(einsum.a, letters, a->type.rank);
    if (a->type.rank == 2 && rng_below(m->rng, 3) == 0) {
        einsum = (Einsum){"ab", "ac", "bc"};
        return graph_contract(m->graph, a, a, &einsum, nowhere);
    }
    if (a->batched && last == 0) return NULL;
    Type type = {.elem = a->type.elem,
                 .rank = 2,
                 .dims = {a->type.dims[last], {.size = 1 + rng_below(m->rng, 9)}}};
    GNode *b =
        graph_leaf(m->graph, OP_PARAM, &type, false, true, m->graph->nodes.count, NULL, nowhere);
    if (rng_below(m->rng, 2)) b = graph_permute(m->graph, b, (uint8_t[MAX_RANK]){1, 0}, nowhere);
    einsum.b[b->op == OP_PARAM ? 0 : 1] = letters[last];
    einsum.b[b->op == OP_PARAM ? 1 : 0] = 'z';
    memcpy(einsum.out, letters, last);
    einsum.out[last] = 'z';
    return graph_contract(m->graph, a, b, &einsum, nowhere);
}

/* A product with a new parameter over two axes, in any order. */
static GNode *make_contract_two(Maker *m, GNode *a) {
    static const char letters[] = "abcdef";
    if (a->type.elem != m->graph->real || a->type.rank < 3 || a->type.rank > 4) return NULL;
    Einsum einsum = {{0}, {0}, {0}};
    uint32_t first = a->batched + rng_below(m->rng, a->type.rank - a->batched - 1);
    uint32_t second = first + 1 + rng_below(m->rng, a->type.rank - first - 1);
    memcpy(einsum.a, letters, a->type.rank);
    uint8_t perm[MAX_RANK];
    random_perm(m->rng, 3, 0, perm);
    const Dim sizes[] = {
        a->type.dims[first], a->type.dims[second], {.size = 1 + rng_below(m->rng, 9)}};
    const char labels[] = {letters[first], letters[second], 'z'};
    Type type = {.elem = a->type.elem, .rank = 3};
    for (uint32_t i = 0; i < 3; i++) {
        type.dims[i] = sizes[perm[i]];
        einsum.b[i] = labels[perm[i]];
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < a->type.rank; i++)
        if (i != first && i != second) einsum.out[count++] = letters[i];
    einsum.out[count] = 'z';
    GNode *b =
        graph_leaf(m->graph, OP_PARAM, &type, false, true, m->graph->nodes.count, NULL, nowhere);
    return graph_contract(m->graph, a, b, &einsum, nowhere);
}

/* Some i32 value as an index: as it is, most of it outside, or brought inside. */
static GNode *make_index(Maker *m, int64_t rows) {
    GNode *a = pick(m);
    Graph *g = m->graph;
    if (a->type.elem == E_U32) a = graph_cast(g, graph_shr(g, a, 12, nowhere), g->real, nowhere);
    if (elem_is_real(a->type.elem)) {
        GNode *three = graph_fill(g, 3, g->real, &a->type, a->batched, nowhere);
        a = graph_binary(g, OP_MUL, tame(m, a), three, nowhere);
    }
    a = graph_cast(g, a, E_I32, nowhere);
    if (rng_below(m->rng, 8) == 0) return a;
    GNode *count = graph_fill(g, (double)rows, E_I32, &a->type, a->batched, nowhere);
    return graph_binary(g, OP_MOD, a, count, nowhere);
}

static GNode *make_gather(Maker *m, GNode *table) {
    Elem elem = table->type.elem;
    if (table->batched && rng_below(m->rng, 2)) /* what a batch made is a table like others */
        table = graph_reshape(m->graph, table, table->type.rank, table->type.dims, false, nowhere);
    if (table->batched || !table->type.rank || table->type.rank > 4) return NULL;
    if (!elem_is_real(elem) && elem != E_I32) return NULL;
    GNode *index = make_index(m, table->type.dims[0].size);
    if (index->type.rank > 3) return NULL;
    return graph_gather(m->graph, table, index, nowhere);
}

/* A product through windows, over what they show and perhaps the last axis: a convolution, with its
 * labels and operands in any order. */
static GNode *make_convolution(Maker *m, GNode *a) {
    static const char letters[] = "abcdefgh";
    Einsum einsum = {{0}, {0}, {0}};
    GNode *seen = a->type.elem == m->graph->real ? make_window(m, a) : NULL;
    if (seen && rng_below(m->rng, 2)) {
        GNode *again = make_window(m, seen);
        if (again && type_count(&again->type) <= 8000) seen = again;
    }
    if (!seen) return NULL;
    uint32_t outs = 0, last = seen->type.rank - 1;
    memcpy(einsum.a, letters, seen->type.rank);
    Type type = {.elem = seen->type.elem};
    for (uint32_t i = seen->batched; i <= last && type.rank < 3; i++) {
        bool shown = seen->op == OP_WINDOW && i == seen->window.axis + 1;
        if (!shown && rng_below(m->rng, 3)) continue;
        einsum.b[type.rank] = letters[i];
        type.dims[type.rank++] = seen->type.dims[i];
    }
    einsum.b[type.rank] = 'z';
    type.dims[type.rank++] = (Dim){.size = 1 + rng_below(m->rng, 9)};
    for (uint32_t i = 0; i <= last; i++)
        if (!strchr(einsum.b, letters[i]) || rng_below(m->rng, 6) == 0)
            einsum.out[outs++] = letters[i];
    if (outs == MAX_RANK) return NULL;
    einsum.out[outs] = 'z';
    if (outs > seen->batched && rng_below(m->rng, 3) == 0) {
        einsum.out[outs] = einsum.out[outs - 1];
        einsum.out[outs - 1] = 'z';
    }
    GNode *b =
        graph_leaf(m->graph, OP_PARAM, &type, false, true, m->graph->nodes.count, NULL, nowhere);
    if (rng_below(m->rng, 4)) return graph_contract(m->graph, seen, b, &einsum, nowhere);
    Einsum turned = einsum;
    memcpy(turned.a, einsum.b, sizeof turned.a);
    memcpy(turned.b, einsum.a, sizeof turned.b);
    return graph_contract(m->graph, b, seen, &turned, nowhere);
}

/* Anything but a contraction: those have parameters of their own. */
static GNode *make_plain(Maker *m) {
    GNode *a = pick(m);
    switch (rng_below(m->rng, 10)) {
    case 0:
    case 1: return make_unary(m, a);
    case 2:
    case 3:
    case 4: return make_binary(m, a);
    case 5: return make_select(m, a);
    case 6: return make_reduce(m, a);
    case 7: return make_gather(m, a);
    default: return make_view(m, a);
    }
}

static GNode *make(Maker *m) {
    if (rng_below(m->rng, 10)) return make_plain(m);
    GNode *a = pick(m);
    switch (rng_below(m->rng, 6)) {
    case 0:
    case 1: return make_contract_two(m, a);
    case 2: return make_convolution(m, a);
    default: return make_contract(m, a);
    }
}

static void add(Maker *m, GNode *node) {
    if (node && type_count(&node->type) <= 4000) vec_push(m->arena, &m->pool, node);
}

static void make_leaves(Maker *m) {
    Graph *g = m->graph;
    Type scalar = {.elem = g->real}, bits;
    for (uint32_t i = 0; i < 2; i++) {
        Type field = random_type(m->rng, g->real, 1, 3);
        field.dims[0].size = m->batch;
        add(m, graph_leaf(g, OP_FIELD, &field, true, false, i, NULL, nowhere));
        Type param = random_type(m->rng, g->real, 1, 3);
        add(m, graph_leaf(g, OP_PARAM, &param, false, true, i, NULL, nowhere));
        add(m, graph_leaf(g, OP_HYPER, &scalar, false, true, i, NULL, nowhere));
        add(m, graph_const(g, special(m), g->real, nowhere));
    }
    bits = random_type(m->rng, E_U32, 2, 2);
    bits.dims[0].size = m->batch;
    add(m, graph_random(g, &bits, true, 1000, rng_below(m->rng, 4), nowhere));
    Type iota = random_type(m->rng, E_I32, 1, 1);
    add(m, graph_leaf(g, OP_IOTA, &iota, false, false, 0, NULL, nowhere));
}

/* Whatever it is, as a batched output. */
static void output(Maker *m, GNode *node, uint32_t index) {
    if (!node->batched) {
        Dim dims[2] = {{.size = 1}, {.size = type_count(&node->type)}};
        node = graph_reshape(m->graph, node, 2, dims, false, nowhere);
        dims[0].size = m->batch;
        node = graph_broadcast(m->graph, node, 2, dims, true, nowhere);
    }
    graph_output(m->graph, OUT_FIELD, index, node);
}

static Maker make_pool(Rng *rng, Elem real, uint32_t count, int64_t batch, Arena *arena) {
    Maker maker = {
        .rng = rng, .graph = graph_new(arena, "random", real), .arena = arena, .batch = batch};
    make_leaves(&maker);
    for (uint32_t i = 0; i < count; i++) add(&maker, make(&maker));
    return maker;
}

Graph *random_graph(Rng *rng, Elem real, uint32_t count, Arena *arena) {
    int64_t batch = 1 + rng_below(rng, 7);
    Maker maker = make_pool(rng, real, count, batch, arena);
    for (uint32_t i = 0; i < OUTPUTS; i++)
        output(&maker, maker.pool.at[maker.pool.count - 1 - i], FIRST_OUTPUT + i);
    return maker.graph;
}

/* ---- training steps ---- */

/* Any value as `count` numbers in a row: cut off, filled up with zeros, or its sum over and over.
 */
static GNode *in_a_row(Maker *m, GNode *node, int64_t count) {
    Graph *g = m->graph;
    if (node->type.elem != g->real) node = graph_cast(g, node, g->real, nowhere);
    int64_t have = type_count(&node->type);
    Dim all = {.size = have}, wanted = {.size = count}, one = {.size = 1};
    if (have != count && rng_below(m->rng, 3) == 0) {
        if (node->type.rank)
            node = graph_reduce(g, OP_SUM, node, (1u << node->type.rank) - 1, nowhere);
        node = graph_reshape(g, node, 1, &one, false, nowhere);
        return graph_broadcast(g, node, 1, &wanted, false, nowhere);
    }
    node = graph_reshape(g, node, 1, &all, false, nowhere);
    int64_t start = have > count && rng_below(m->rng, 2) ? have - count : 0;
    if (have > count) return graph_slice(g, node, &start, &wanted, nowhere);
    return have < count ? graph_pad(g, node, &start, &wanted, nowhere) : node;
}

/* The value that stands for a parameter's gradient. */
static GNode *make_piece(Maker *m, GNode *param) {
    GNode *value = NULL;
    for (int attempt = 0; attempt < 20 && !value; attempt++) { /* one that fits as it is */
        GNode *node = pick(m);
        if (type_count(&node->type) == type_count(&param->type) &&
            node->type.elem == m->graph->real && !node->batched)
            value = node;
    }
    if (rng_below(m->rng, 12) == 0) value = param;
    if (rng_below(m->rng, 12) == 0) return number_like(m, param);
    if (!value) value = in_a_row(m, pick(m), type_count(&param->type));
    value = graph_reshape(m->graph, value, param->type.rank, param->type.dims, false, nowhere);
    if (rng_below(m->rng, 3)) return value;
    add(m, value); /* others use it, or what is made of it, too */
    return rng_below(m->rng, 2) ? value : graph_unary(m->graph, OP_TANH, value, nowhere);
}

static GNode *make_flat(Maker *m, const GNodeList *params) {
    GNode **pieces = arena_alloc(m->arena, params->count * sizeof *pieces);
    for (uint32_t i = 0; i < params->count; i++) {
        pieces[i] = make_piece(m, params->at[i]);
        for (uint32_t k = 0; k < i && rng_below(m->rng, 4) == 0; k++) /* the same one twice */
            if (type_same_shape(&params->at[k]->type, &params->at[i]->type)) pieces[i] = pieces[k];
    }
    return graph_flat(m->graph, pieces, params->count, 0, nowhere);
}

/* a scaled by 1 / (1 + |a|²), as a clipped gradient is. */
static GNode *clipped(Maker *m, GNode *a) {
    Graph *g = m->graph;
    Dim one = {.size = 1};
    GNode *norm = graph_reduce(g, OP_SUM, graph_binary(g, OP_MUL, a, a, nowhere), 1, nowhere);
    norm = graph_binary(g, OP_ADD, norm, graph_const(g, 1, g->real, nowhere), nowhere);
    norm = graph_reshape(g, norm, 1, &one, false, nowhere);
    norm = graph_broadcast(g, norm, 1, a->type.dims, false, nowhere);
    return graph_binary(g, OP_DIV, a, norm, nowhere);
}

/* A flat vector made of those in `pool`, one or two steps further. */
static GNode *flat_value(Maker *m, const GNodeList *pool) {
    Graph *g = m->graph;
    GNode *a = pool->at[rng_below(m->rng, pool->count)];
    GNode *b = pool->at[rng_below(m->rng, pool->count)];
    switch (rng_below(m->rng, 7)) {
    case 0: return a;
    case 1: return clipped(m, a);
    case 2: return graph_binary(g, OP_MUL, a, number_like(m, a), nowhere);
    case 3:
        return graph_binary(g, OP_SUB, a, graph_binary(g, OP_MUL, b, number_like(m, b), nowhere),
                            nowhere);
    case 4: return graph_unary(g, OP_TANH, graph_binary(g, OP_ADD, a, b, nowhere), nowhere);
    case 5: return in_a_row(m, pick(m), type_count(&a->type));
    default: return graph_binary(g, OP_ADD, a, b, nowhere);
    }
}

static GNode *total(Maker *m, GNode *node) {
    if (node->type.elem != m->graph->real)
        node = graph_cast(m->graph, node, m->graph->real, nowhere);
    if (node->type.rank == 0) return node;
    return graph_reduce(m->graph, OP_SUM, node, (1u << node->type.rank) - 1, nowhere);
}

static void flat_outputs(Maker *m, GNode *flat) {
    Graph *g = m->graph;
    GNodeList pool = {0};
    Type type = flat->type;
    vec_push(m->arena, &pool, flat);
    vec_push(m->arena, &pool, graph_leaf(g, OP_FLAT_PARAM, &type, false, true, 0, NULL, nowhere));
    for (uint32_t i = 0; i < STATES; i++)
        vec_push(m->arena, &pool, graph_leaf(g, OP_STATE, &type, false, true, i, NULL, nowhere));
    for (uint32_t i = rng_below(m->rng, 8); i > 0; i--) {
        GNode *value = flat_value(m, &pool);
        vec_push(m->arena, &pool, value);
    }
    graph_output(g, OUT_PARAM, 0, flat_value(m, &pool));
    for (uint32_t i = 0; i < STATES; i++) graph_output(g, OUT_STATE, i, flat_value(m, &pool));
    add(m, pool.at[rng_below(m->rng, pool.count)]);
    graph_output(g, OUT_LOSS, 0, total(m, pick(m)));
    graph_output(g, OUT_GRAD_NORM, 0, total(m, graph_binary(g, OP_MUL, flat, flat, nowhere)));
}

Graph *random_step(Rng *rng, Elem real, uint32_t count, Arena *arena) {
    int64_t batch = rng_below(rng, 2) ? 1 : 1 + rng_below(rng, 7);
    Maker maker = make_pool(rng, real, count, batch, arena);
    GNodeList params = {0};
    for (uint32_t i = 0; i < maker.graph->nodes.count; i++)
        if (maker.graph->nodes.at[i]->op == OP_PARAM)
            vec_push(arena, &params, maker.graph->nodes.at[i]);
    GNode *flat = make_flat(&maker, &params);
    for (uint32_t i = rng_below(rng, 6); i > 0; i--) add(&maker, make_plain(&maker));
    flat_outputs(&maker, flat);
    for (uint32_t i = rng_below(rng, 3); i > 0; i--)
        output(&maker, maker.pool.at[maker.pool.count - i], FIRST_OUTPUT + i);
    return maker.graph;
}
