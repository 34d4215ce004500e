/* Long rows, columns, totals, vectors, updates and convolutions, by hand. */
#include "tests/numeric/long_graph.h"

#include "tests/numeric/random_graph.h"

static const Span nowhere = {0, 0};

typedef struct {
    Graph *graph;
    uint32_t params, outputs;
} Long;

/* ---- pieces ---- */

static GNode *param(Long *l, uint32_t rank, const int64_t *sizes) {
    Type type = {.elem = l->graph->real, .rank = rank};
    for (uint32_t i = 0; i < rank; i++) type.dims[i].size = sizes[i];
    return graph_leaf(l->graph, OP_PARAM, &type, false, true, l->params++, NULL, nowhere);
}

static GNode *unary(Long *l, Op op, GNode *a) {
    return graph_unary(l->graph, op, a, nowhere);
}

static GNode *binary(Long *l, Op op, GNode *a, GNode *b) {
    return graph_binary(l->graph, op, a, b, nowhere);
}

static GNode *number_like(Long *l, double number, const GNode *like) {
    return graph_fill(l->graph, number, like->type.elem, &like->type, like->batched, nowhere);
}

static GNode *reduce(Long *l, Op op, GNode *a, uint32_t axes) {
    return graph_reduce(l->graph, op, a, axes, nowhere);
}

/* A reduction over `axes` of what looks like `like`, spread over it again. */
static GNode *spread(Long *l, GNode *a, const GNode *like, uint32_t axes) {
    Dim ones[MAX_RANK];
    for (uint32_t i = 0; i < like->type.rank; i++)
        ones[i] = (Dim){.size = axes >> i & 1 ? 1 : like->type.dims[i].size};
    a = graph_reshape(l->graph, a, like->type.rank, ones, false, nowhere);
    return graph_broadcast(l->graph, a, like->type.rank, like->type.dims, false, nowhere);
}

static GNode *mean(Long *l, GNode *a, uint32_t axes) {
    GNode *sum = reduce(l, OP_SUM, a, axes);
    double count = (double)type_count(&a->type) / (double)type_count(&sum->type);
    return spread(l, binary(l, OP_DIV, sum, number_like(l, count, sum)), a, axes);
}

/* As the only row of a batch. */
static void leave(Long *l, GNode *a) {
    Dim dims[2] = {{.size = 1}, {.size = type_count(&a->type)}};
    a = graph_reshape(l->graph, a, 2, dims, false, nowhere);
    a = graph_broadcast(l->graph, a, 2, dims, true, nowhere);
    graph_output(l->graph, OUT_FIELD, FIRST_OUTPUT + l->outputs++, a);
}

/* ---- reductions ---- */

static GNode *softmax(Long *l, GNode *a, uint32_t axes) {
    GNode *most = spread(l, reduce(l, OP_REDUCE_MAX, a, axes), a, axes);
    GNode *power = unary(l, OP_EXP, binary(l, OP_SUB, a, most));
    return binary(l, OP_DIV, power, spread(l, reduce(l, OP_SUM, power, axes), a, axes));
}

static GNode *normalised(Long *l, GNode *a, uint32_t axes) {
    GNode *centred = binary(l, OP_SUB, a, mean(l, a, axes));
    GNode *variance = mean(l, binary(l, OP_MUL, centred, centred), axes);
    GNode *root = unary(l, OP_SQRT, binary(l, OP_ADD, variance, number_like(l, 1e-3, variance)));
    return binary(l, OP_DIV, centred, root);
}

/* The centre of gravity of the positions, and which are above the mean: integers and bools. */
static void positions(Long *l, GNode *a, uint32_t axes) {
    GNode *above = binary(l, OP_LT, mean(l, a, axes), a);
    GNode *count = reduce(l, OP_SUM, graph_cast(l->graph, above, E_I32, nowhere), axes);
    leave(l, graph_cast(l->graph, count, l->graph->real, nowhere));
    leave(l, graph_cast(l->graph, above, l->graph->real, nowhere));
}

static void reductions(Long *l, uint32_t rank, const int64_t *sizes, uint32_t axes) {
    GNode *a = param(l, rank, sizes);
    leave(l, softmax(l, a, axes));
    leave(l, normalised(l, a, axes));
    leave(l, reduce(l, OP_REDUCE_MAX, a, axes));
    positions(l, a, axes);
}

/* More rows to keep than shared memory holds: each is wanted by two stages. */
static void many_kept_rows(Long *l) {
    GNode *a = param(l, 2, (int64_t[]){3, 8000});
    GNode *sum = NULL;
    static const Op ops[] = {OP_TANH, OP_ERF, OP_SIN};
    for (uint32_t i = 0; i < 3; i++) {
        GNode *value = unary(l, ops[i], a);
        GNode *centred = binary(l, OP_SUB, value, mean(l, value, 2));
        sum = sum ? binary(l, OP_ADD, sum, centred) : centred;
    }
    leave(l, sum);
}

/* ---- vectors ---- */

static void vector(Long *l, int64_t count) {
    GNode *a = param(l, 1, &count);
    GNode *b = binary(l, OP_ADD, binary(l, OP_MUL, a, a), number_like(l, 0.5, a));
    leave(l, binary(l, OP_MAX, b, a));
}

static GNode *flat_leaf(Long *l, Op op, const GNode *flat, uint32_t index) {
    return graph_leaf(l->graph, op, &flat->type, false, true, index, NULL, nowhere);
}

/* Momentum with the gradient clipped to norm 1, in place, as an optimizer does. */
static void update(Long *l, int64_t rows, int64_t columns) {
    Graph *g = l->graph;
    GNode *weight = param(l, 2, (int64_t[]){rows, columns}), *bias = param(l, 1, &columns);
    GNode *slopes = unary(l, OP_SIN, weight);
    GNode *sums = reduce(l, OP_SUM, binary(l, OP_MUL, weight, slopes), 1);
    Dim line = {.size = rows * columns};
    GNode *pieces[] = {graph_reshape(g, slopes, 1, &line, false, nowhere),
                       binary(l, OP_MUL, sums, unary(l, OP_TANH, bias))};
    GNode *flat = graph_flat(g, pieces, 2, 0, nowhere);
    GNode *square = reduce(l, OP_SUM, binary(l, OP_MUL, flat, flat), 1);
    GNode *norm = unary(l, OP_SQRT, square);
    GNode *clipped = binary(l, OP_DIV, flat, spread(l, norm, flat, 1));
    GNode *old = flat_leaf(l, OP_FLAT_PARAM, flat, 0), *state = flat_leaf(l, OP_STATE, flat, 0);
    GNode *v = binary(l, OP_ADD, binary(l, OP_MUL, state, number_like(l, 0.9, state)), clipped);
    graph_output(g, OUT_PARAM, 0,
                 binary(l, OP_SUB, old, binary(l, OP_MUL, v, number_like(l, 0.1, v))));
    graph_output(g, OUT_STATE, 0, v);
    graph_output(g, OUT_STATE, 1, flat_leaf(l, OP_STATE, flat, 1));
    graph_output(g, OUT_LOSS, 0, square);
    graph_output(g, OUT_GRAD_NORM, 0, norm);
}

/* ---- windows ---- */

typedef struct {
    int64_t size, stride, dilation, padding, divide;
} Look;

static GNode *windows(Long *l, GNode *a, uint32_t axis, Look look) {
    int64_t have = (a->type.dims[axis].size - 1) * look.divide + 1 + 2 * look.padding;
    Window window = {.axis = axis,
                     .count = (have - look.dilation * (look.size - 1) - 1) / look.stride + 1,
                     .size = look.size,
                     .stride = look.stride,
                     .dilation = look.dilation,
                     .start = -look.padding,
                     .divide = look.divide};
    return graph_window(l->graph, a, &window, nowhere);
}

/* x [n, h, w, c], weight [size, size, c, width] */
static GNode *convolution(Long *l, GNode *x, GNode *weight, Look look) {
    look.size = weight->type.dims[0].size;
    Einsum einsum = {"nhiwjc", "ijco", "nhwo"};
    GNode *seen = windows(l, windows(l, x, 1, look), 3, look);
    return graph_contract(l->graph, seen, weight, &einsum, nowhere);
}

static GNode *max_pool(Long *l, GNode *x, Look look) {
    return reduce(l, OP_REDUCE_MAX, windows(l, windows(l, x, 1, look), 3, look), 1u << 2 | 1u << 4);
}

static GNode *image(Long *l, int64_t h, int64_t w, int64_t channels) {
    return param(l, 4, (int64_t[]){2, h, w, channels});
}

static GNode *filter(Long *l, int64_t size, int64_t from, int64_t to) {
    return param(l, 4, (int64_t[]){size, size, from, to});
}

/* The values, and the gradients of a sum of sines of them with respect to all parameters. */
static void leave_with_gradients(Long *l, GNode *y, Arena *arena) {
    Program program = {.arena = arena, .train = l->graph, .real = l->graph->real};
    for (uint32_t i = 0; i < l->graph->nodes.count; i++) {
        GNode *node = l->graph->nodes.at[i];
        if (node->op == OP_PARAM)
            vec_push(arena, &program.params, (Parameter){.type = node->type, .node = node});
    }
    GNode **grads = arena_alloc(arena, program.params.count * sizeof *grads);
    program.loss = reduce(l, OP_SUM, unary(l, OP_SIN, y), (1u << y->type.rank) - 1);
    grad(&program, grads);
    leave(l, y);
    for (uint32_t i = 0; i < program.params.count; i++) leave(l, grads[i]);
}

/* A block of convolution, rectifier and pool; strides and a transposed convolution; groups with
 * dilated windows, the weights first; channels that are not the last axis. */
static GNode *convolutions(Long *l, uint32_t number) {
    static const Look same = {3, 1, 1, 1, 1}, half = {3, 2, 1, 1, 1}, twice = {3, 1, 1, 1, 2};
    static const Look sparse = {3, 1, 2, 0, 1};
    Einsum grouped = {"gijo", "nhigj", "ngho"}, planes = {"ocj", "nchj", "noh"};
    GNode *x, *weight, *seen;
    switch (number) {
    case 0:
        x = convolution(l, image(l, 13, 11, 5), filter(l, 3, 5, 18), same);
        return max_pool(l, binary(l, OP_MAX, x, number_like(l, 0, x)), half);
    case 1:
        x = convolution(l, image(l, 12, 9, 3), filter(l, 3, 3, 20), half);
        return convolution(l, unary(l, OP_TANH, x), filter(l, 3, 20, 4), twice);
    case 2:
        seen = windows(l, param(l, 4, (int64_t[]){2, 23, 4, 6}), 1, sparse);
        weight = param(l, 4, (int64_t[]){4, 3, 6, 17});
        return graph_contract(l->graph, weight, seen, &grouped, nowhere);
    default:
        seen = windows(l, param(l, 3, (int64_t[]){3, 7, 41}), 2, half);
        weight = param(l, 3, (int64_t[]){19, 7, 3});
        return graph_contract(l->graph, weight, seen, &planes, nowhere);
    }
}

/* ---- which ---- */

static const struct {
    Elem real;
    uint32_t rank;
    int64_t sizes[3];
    uint32_t axes;                      /* reduced */
} shapes[] = {{E_F32, 2, {37, 10}, 2},  /* several rows per warp, and a rest */
              {E_F32, 2, {101, 32}, 2}, /* a row per warp, and a rest */
              {E_F32, 2, {5, 200}, 2},  /* rows of several points per thread */
              {E_F64, 2, {3, 300}, 2},  /* a row per block */
              {E_F32, 2, {3, 784}, 2},     {E_F32, 2, {2, 5000}, 2}, /* a row per largest block */
              {E_F32, 3, {7, 20, 30}, 6},                            /* rows of two axes */
              {E_F32, 3, {50, 9, 12}, 5}, /* of two that do not lie together */
              {E_F32, 2, {128, 45}, 1},   /* columns, and a rest */
              {E_F32, 2, {700, 3}, 1},    /* few */
              {E_F64, 2, {40, 70}, 1},     {E_F32, 2, {3, 33}, 1}, /* a thread per column */
              {E_F32, 3, {30, 20, 11}, 3},                         /* columns of two axes */
              {E_F32, 1, {128}, 1},                                /* everything: by one block */
              {E_F32, 1, {4096}, 1},       {E_F32, 1, {4097}, 1},  /* in chunks */
              {E_F32, 1, {50000}, 1},      {E_F64, 2, {90, 70}, 3},  {E_F32, 3, {3, 3000, 2}, 7}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

Graph *long_graph(uint32_t number, Arena *arena) {
    Elem real = number < SHAPES ? shapes[number].real : E_F32;
    Long l = {.graph = graph_new(arena, "random", real)};
    if (number < SHAPES)
        reductions(&l, shapes[number].rank, shapes[number].sizes, shapes[number].axes);
    else if (number == SHAPES)
        many_kept_rows(&l);
    else if (number < SHAPES + 3)
        vector(&l, number == SHAPES + 1 ? 70001 : 262145);
    else if (number >= SHAPES + 5)
        leave_with_gradients(&l, convolutions(&l, number - SHAPES - 5), arena);
    else
        update(&l, number == SHAPES + 3 ? 100 : 30, number == SHAPES + 3 ? 200 : 40);
    return l.graph;
}
