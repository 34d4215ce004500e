/* Reductions on the virtual GPU over extents that random graphs do not have: rows longer than
 * shared memory, columns, everything at once, long flat vectors cut into chunks. */
#include "tests/vgpu/numeric/graph_run.h"

enum { REDUCED = FIRST_OUTPUT };

typedef struct {
    Elem real;
    uint32_t rank;
    int64_t dims[3];
} Shape;

static const Shape shapes[] = {
    {E_F32, 2, {7, 1000}},   {E_F32, 2, {1000, 7}},   {E_F32, 2, {130, 130}},
    {E_F32, 2, {3, 14001}},  {E_F32, 2, {2, 5000}},   {E_F32, 2, {4099, 2}},
    {E_F32, 3, {5, 33, 70}}, {E_F32, 3, {66, 4, 31}}, {E_F32, 3, {2, 300, 3}},
    {E_F64, 2, {5, 700}},    {E_F64, 2, {600, 5}},    {E_F64, 2, {2, 1300}},
    {E_F64, 3, {9, 17, 40}},
};

enum { SHAPES = sizeof shapes / sizeof *shapes };

static const Span nowhere = {0};

static Type type_of(const Shape *shape) {
    Type type = {.elem = shape->real, .rank = shape->rank};
    for (uint32_t i = 0; i < shape->rank; i++) type.dims[i].size = shape->dims[i];
    return type;
}

/* What was reduced over `axes`, in every element of the shape it had. */
static GNode *spread(Graph *g, GNode *reduced, uint32_t axes, const Type *type) {
    Dim dims[MAX_RANK];
    for (uint32_t i = 0; i < type->rank; i++)
        dims[i] = axes >> i & 1 ? (Dim){.size = 1} : type->dims[i];
    GNode *node = graph_reshape(g, reduced, type->rank, dims, !(axes & 1), nowhere);
    return graph_broadcast(g, node, type->rank, type->dims, true, nowhere);
}

/* The softmax of `a` over the axes, scaled by the sum of its products with x: three reductions in a
 * row. */
static GNode *softmax(Graph *g, GNode *a, GNode *x, uint32_t axes) {
    const Type *type = &a->type;
    GNode *most = spread(g, graph_reduce(g, OP_REDUCE_MAX, a, axes, nowhere), axes, type);
    GNode *e = graph_unary(g, OP_EXP, graph_binary(g, OP_SUB, a, most, nowhere), nowhere);
    GNode *sum = spread(g, graph_reduce(g, OP_SUM, e, axes, nowhere), axes, type);
    GNode *y = graph_binary(g, OP_DIV, e, sum, nowhere);
    GNode *product = graph_binary(g, OP_MUL, y, x, nowhere);
    GNode *scale = spread(g, graph_reduce(g, OP_SUM, product, axes, nowhere), axes, type);
    return graph_binary(g, OP_MUL, y, scale, nowhere);
}

/* Parameters scaled down by their norm, which is an output, too. */
static void update(Graph *g, int64_t count) {
    Type type = {.elem = g->real, .rank = 1, .dims = {{.size = count}}};
    Dim one = {.size = 1};
    GNode *flat = graph_leaf(g, OP_FLAT_PARAM, &type, false, true, 0, NULL, nowhere);
    GNode *norm = graph_reduce(g, OP_SUM, graph_binary(g, OP_MUL, flat, flat, nowhere), 1, nowhere);
    GNode *scale = graph_binary(g, OP_ADD, norm, graph_const(g, 1, g->real, nowhere), nowhere);
    scale = graph_reshape(g, scale, 1, &one, false, nowhere);
    scale = graph_broadcast(g, scale, 1, type.dims, false, nowhere);
    graph_output(g, OUT_PARAM, 0, graph_binary(g, OP_DIV, flat, scale, nowhere));
    graph_output(g, OUT_GRAD_NORM, 0, norm);
}

/* x, and x times a parameter that is the same for all examples. */
static GNode *operands(Graph *g, const Type *type, GNode **x) {
    Type row = *type;
    row.rank--;
    for (uint32_t i = 0; i < row.rank; i++) row.dims[i] = type->dims[i + 1];
    *x = graph_leaf(g, OP_FIELD, type, true, false, 0, NULL, nowhere);
    GNode *w = graph_leaf(g, OP_PARAM, &row, false, true, 0, NULL, nowhere);
    return graph_binary(g, OP_MUL, *x, spread(g, w, 1, type), nowhere);
}

/* Over every set of axes but all. */
static Graph *rows_and_columns(const Shape *shape, Arena *arena) {
    Graph *g = graph_new(arena, "train", shape->real);
    Type type = type_of(shape);
    GNode *x, *all = operands(g, &type, &x);
    for (uint32_t axes = 1; axes + 1 < 1u << shape->rank; axes++)
        graph_output(g, OUT_FIELD, REDUCED + axes, softmax(g, all, x, axes));
    return g;
}

static Graph *totals(const Shape *shape, Arena *arena) {
    Graph *g = graph_new(arena, "train", shape->real);
    Type type = type_of(shape);
    GNode *x, *all = operands(g, &type, &x);
    uint32_t axes = (1u << shape->rank) - 1;
    graph_output(g, OUT_FIELD, REDUCED, softmax(g, all, x, axes));
    graph_output(g, OUT_LOSS, 0, graph_reduce(g, OP_SUM, all, axes, nowhere));
    update(g, type_count(&type) / shape->dims[0]);
    return g;
}

int main(void) {
    Arena *arena = arena_new();
    GraphCase cases[2 * SHAPES];
    for (uint32_t i = 0; i < SHAPES; i++) {
        cases[2 * i] = graph_case_of(rows_and_columns(&shapes[i], arena), 2 * i);
        cases[2 * i + 1] = graph_case_of(totals(&shapes[i], arena), 2 * i + 1);
        /* axes along which examples are picked are not cut into chunks, copies of them are */
        cases[2 * i + 1].any_order = true;
    }
    int status = graph_run(cases, 2 * SHAPES, arena);
    arena_free(arena);
    return status;
}
