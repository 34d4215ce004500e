/* Attention, written as stdlib/nn.tune writes it, over axes [batch, heads, groups, queries, keys];
 * heads share keys and values within a group. */
#include "tests/numeric/attention_graph.h"

#include <math.h>

#include "tests/numeric/random_graph.h"

static const Span nowhere = {0, 0};

typedef enum { NO_MASK, CAUSAL, PER_EXAMPLE, ADDED, LEARNED } Mask;

/* What is done with the scores. */
typedef enum {
    SOFTMAX,
    TWO,       /* one softmax less another, of half of the features each */
    OVER_ROWS, /* over the queries, then divided by the row's sum (slot attention) */
    LOGARITHM  /* exp(x - log sum exp x) */
} Kind;

typedef struct {
    Elem real;
    Kind kind;
    Mask mask;
    bool dropout;
    int64_t batch, heads, groups, queries, keys, features, width;
    uint32_t planes;
} Shape;

static const Shape shapes[] = {
    {E_F32, SOFTMAX, NO_MASK, false, 2, 2, 1, 64, 64, 16, 16, 3},
    {E_F64, SOFTMAX, NO_MASK, false, 2, 1, 1, 37, 53, 9, 5, 3},
    {E_F32, SOFTMAX, CAUSAL, false, 2, 2, 1, 70, 70, 24, 40, 3},
    {E_F64, SOFTMAX, CAUSAL, true, 1, 2, 2, 40, 40, 8, 8, 3},
    {E_F32, SOFTMAX, CAUSAL, true, 2, 1, 3, 33, 65, 16, 33, 3},
    {E_F32, SOFTMAX, PER_EXAMPLE, false, 3, 2, 1, 9, 130, 12, 16, 3},
    {E_F64, SOFTMAX, PER_EXAMPLE, true, 3, 1, 2, 130, 9, 12, 16, 3},
    {E_F32, SOFTMAX, ADDED, false, 2, 2, 1, 35, 40, 64, 64, 3},
    {E_F64, SOFTMAX, LEARNED, false, 2, 2, 1, 35, 40, 8, 8, 0},
    {E_F64, TWO, CAUSAL, false, 1, 2, 1, 33, 33, 8, 8, 3},
    {E_F64, OVER_ROWS, NO_MASK, false, 2, 1, 1, 32, 40, 8, 8, 5},
    {E_F64, LOGARITHM, CAUSAL, false, 2, 1, 1, 32, 40, 8, 8, 4},
    {E_F64, SOFTMAX, CAUSAL, false, 2, 2, 1, 8, 8, 8, 8, 0}, /* too small to pay */
};

uint32_t attention_graph_count(void) {
    return sizeof shapes / sizeof *shapes;
}

uint32_t attention_graph_planes(uint32_t number) {
    return shapes[number].planes;
}

int64_t attention_graph_scores(uint32_t number) {
    const Shape *s = &shapes[number];
    return s->batch * s->heads * s->groups * s->queries * s->keys;
}

typedef struct {
    const Shape *shape;
    Graph *graph;
    Program *program;
    uint32_t fields;
} Maker;

/* ---- pieces ---- */

static Type type_of(Elem elem, uint32_t rank, const int64_t *sizes) {
    Type type = {.elem = elem, .rank = rank};
    for (uint32_t i = 0; i < rank; i++) type.dims[i].size = sizes[i];
    return type;
}

static GNode *field(Maker *m, uint32_t rank, const int64_t *sizes) {
    Type type = type_of(m->graph->real, rank, sizes);
    return graph_leaf(m->graph, OP_FIELD, &type, true, false, m->fields++, NULL, nowhere);
}

static GNode *param(Maker *m, uint32_t rank, const int64_t *sizes) {
    Type type = type_of(m->graph->real, rank, sizes);
    GNode *node =
        graph_leaf(m->graph, OP_PARAM, &type, false, true, m->program->params.count, NULL, nowhere);
    vec_push(m->graph->arena, &m->program->params, (Parameter){.type = type, .node = node});
    return node;
}

static GNode *binary(Maker *m, Op op, GNode *a, GNode *b) {
    return graph_binary(m->graph, op, a, b, nowhere);
}

static GNode *unary(Maker *m, Op op, GNode *a) {
    return graph_unary(m->graph, op, a, nowhere);
}

static GNode *number_like(Maker *m, double number, const GNode *like) {
    return graph_fill(m->graph, number, like->type.elem, &like->type, like->batched, nowhere);
}

/* a with its axes where `dims` of `like` has them (0: an axis of size 1), repeated along the rest.
 */
static GNode *spread(Maker *m, GNode *a, const GNode *like, uint32_t kept) {
    Dim ones[MAX_RANK];
    for (uint32_t i = 0; i < like->type.rank; i++)
        ones[i] = (Dim){.size = kept >> i & 1 ? like->type.dims[i].size : 1};
    a = graph_reshape(m->graph, a, like->type.rank, ones, a->batched, nowhere);
    return graph_broadcast(m->graph, a, like->type.rank, like->type.dims, like->batched, nowhere);
}

/* A reduction over one axis, spread over it again. */
static GNode *along(Maker *m, Op op, GNode *a, uint32_t axis) {
    return spread(m, graph_reduce(m->graph, op, a, 1u << axis, nowhere), a, ~(1u << axis));
}

static GNode *contract(Maker *m, GNode *a, GNode *b, const char *of_a, const char *of_b,
                       const char *out) {
    Einsum einsum;
    strcpy(einsum.a, of_a);
    strcpy(einsum.b, of_b);
    strcpy(einsum.out, out);
    return graph_contract(m->graph, a, b, &einsum, nowhere);
}

/* A value per example that parameters reach: a field times a parameter. */
static GNode *input(Maker *m, uint32_t rank, const int64_t *sizes) {
    GNode *x = field(m, rank, sizes);
    return binary(m, OP_MUL, x, spread(m, param(m, rank - 1, sizes + 1), x, ~1u));
}

/* ---- attention ---- */

enum { QUERIES = 3, KEYS = 4 };

static GNode *positions(Maker *m, const GNode *like, uint32_t axis) {
    Type type = type_of(E_I32, 1, (int64_t[]){like->type.dims[axis].size});
    GNode *iota = graph_leaf(m->graph, OP_IOTA, &type, false, false, 0, NULL, nowhere);
    return spread(m, iota, like, 1u << axis);
}

static GNode *masked(Maker *m, GNode *scores) {
    const Shape *s = m->shape;
    GNode *keep = NULL;
    switch (s->mask) {
    case NO_MASK: return scores;
    case CAUSAL:
        keep = binary(m, OP_LE, positions(m, scores, KEYS), positions(m, scores, QUERIES));
        break;
    case PER_EXAMPLE: {
        GNode *noise = field(m, 2, (int64_t[]){s->batch, s->keys});
        keep = binary(m, OP_LT, noise, number_like(m, 0.5, noise));
        keep = spread(m, keep, scores, 1u | 1u << KEYS);
        break;
    }
    case ADDED: {
        GNode *bias = field(m, 3, (int64_t[]){s->batch, s->queries, s->keys});
        return binary(m, OP_ADD, scores, spread(m, bias, scores, 1u | 3u << QUERIES));
    }
    case LEARNED: {
        GNode *bias = param(m, 3, (int64_t[]){s->heads, s->queries, s->keys});
        return binary(m, OP_ADD, scores, spread(m, bias, scores, 2u | 3u << QUERIES));
    }
    }
    return graph_select(m->graph, keep, scores, number_like(m, -1e30, scores), nowhere);
}

static GNode *scores_of(Maker *m) {
    const Shape *s = m->shape;
    GNode *q = input(m, 5, (int64_t[]){s->batch, s->heads, s->groups, s->queries, s->features});
    GNode *k = input(m, 4, (int64_t[]){s->batch, s->heads, s->keys, s->features});
    GNode *scores = contract(m, q, k, "bhgmk", "bhnk", "bhgmn");
    GNode *scale = number_like(m, 1 / sqrt((double)s->features), scores);
    return masked(m, binary(m, OP_MUL, scores, scale));
}

static GNode *softmax(Maker *m, GNode *x, uint32_t axis) {
    GNode *most = unary(m, OP_STOP, along(m, OP_REDUCE_MAX, x, axis));
    GNode *power = unary(m, OP_EXP, binary(m, OP_SUB, x, most));
    GNode *sum = along(m, OP_SUM, power, axis);
    if (m->shape->kind != LOGARITHM) return binary(m, OP_DIV, power, sum);
    return unary(m, OP_EXP, binary(m, OP_SUB, x, binary(m, OP_ADD, most, unary(m, OP_LOG, sum))));
}

static GNode *weights_of(Maker *m) {
    GNode *x = scores_of(m);
    switch (m->shape->kind) {
    case TWO: return binary(m, OP_SUB, softmax(m, x, KEYS), softmax(m, scores_of(m), KEYS));
    case OVER_ROWS: {
        GNode *share = softmax(m, x, QUERIES);
        return binary(m, OP_DIV, share, along(m, OP_SUM, share, KEYS));
    }
    default: return softmax(m, x, KEYS);
    }
}

static GNode *dropped(Maker *m, GNode *p) {
    Type type = p->type;
    type.elem = E_U32;
    GNode *bits = graph_random(m->graph, &type, true, 5, 1, nowhere);
    GNode *share =
        graph_cast(m->graph, graph_shr(m->graph, bits, 8, nowhere), p->type.elem, nowhere);
    share = binary(m, OP_MUL, share, number_like(m, 0x1p-24, share));
    GNode *out = binary(m, OP_LT, share, number_like(m, 0.25, share));
    GNode *scaled = binary(m, OP_DIV, p, number_like(m, 0.75, p));
    return graph_select(m->graph, out, number_like(m, 0, p), scaled, nowhere);
}

static void leave_gradients(Maker *m, Arena *arena) {
    uint32_t count = m->program->params.count;
    GNode **grads = arena_alloc(arena, count * sizeof *grads);
    grad(m->program, grads);
    for (uint32_t i = 0; i < count; i++) {
        Dim line = {.size = type_count(&grads[i]->type)};
        grads[i] = graph_reshape(m->graph, grads[i], 1, &line, false, nowhere);
    }
    graph_output(m->graph, OUT_PARAM, 0, graph_flat(m->graph, grads, count, 0, nowhere));
}

static Graph *graph_of(const Shape *s, Arena *arena) {
    Graph *graph = graph_new(arena, "train", s->real);
    Program program = {.arena = arena, .train = graph, .real = s->real};
    Maker m = {.shape = s, .graph = graph, .program = &program};
    GNode *p = weights_of(&m);
    if (s->dropout) p = dropped(&m, p);
    GNode *v = input(&m, 4, (int64_t[]){s->batch, s->heads, s->keys, s->width});
    GNode *out = contract(&m, p, v, "bhgmn", "bhne", "bhgme");
    graph_output(graph, OUT_FIELD, FIRST_OUTPUT, out);
    GNode *error = binary(&m, OP_MUL, out, unary(&m, OP_SIN, out));
    program.loss = graph_reduce(graph, OP_SUM, error, 31, nowhere);
    graph_output(graph, OUT_LOSS, 0, program.loss);
    leave_gradients(&m, arena);
    return graph;
}

Graph *attention_graph(uint32_t number, Arena *arena) {
    return graph_of(&shapes[number], arena);
}

Graph *long_attention_graph(int64_t length, Arena *arena) {
    Shape shape = {E_F32, SOFTMAX, CAUSAL, true, 1, 2, 1, length, length, 32, 32, 3};
    return graph_of(&shape, arena);
}
