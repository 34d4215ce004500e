/* Every gradient of grad.c against central finite differences of the reference evaluator, in f64.
 *
 * For each row of ops.def random small graphs: parameters of random shapes, brought to the
 * operands' shapes through random views, the op, and a weighted sum as the loss. Where two step
 * sizes disagree the loss has a kink nearby and the element is left out; few may be. */
#include <math.h>
#include <stdio.h>

#include "tests/numeric/evaluate.h"
#include "tests/numeric/random_graph.h"

static const Span nowhere = {0, 0};

typedef enum {
    SMOOTH,      /* compared with finite differences */
    ZERO,        /* the gradient is zero by definition */
    THROUGH,     /* passes as if the op were not there: a case of its own */
    SINGLE,      /* goes through f32: wide steps, wide tolerance */
    NO_GRADIENT, /* a leaf or an op that gives no real number */
    MISSING
} CaseKind;

/* A row of ops.def without a line here fails the test. */
static CaseKind case_kind(Op op) {
    switch (op) {
    case OP_CONST:
    case OP_STATE:
    case OP_FLAT_PARAM:
    case OP_HYPER:
    case OP_STEP:
    case OP_FIELD:
    case OP_TOTAL:
    case OP_IOTA:
    case OP_RANDOM:
    case OP_NOT:
    case OP_SHR:
    case OP_LT:
    case OP_LE:
    case OP_EQ:
    case OP_AND:
    case OP_OR: return NO_GRADIENT;
    case OP_FLOOR:
    case OP_STOP: return ZERO;
    case OP_ROUND: return THROUGH;
    case OP_CAST: return SINGLE;
    case OP_PARAM:
    case OP_NEG:
    case OP_ABS:
    case OP_SQRT:
    case OP_EXP:
    case OP_LOG:
    case OP_SIN:
    case OP_COS:
    case OP_TANH:
    case OP_ERF:
    case OP_ADD:
    case OP_SUB:
    case OP_MUL:
    case OP_DIV:
    case OP_MOD:
    case OP_POW:
    case OP_MAX:
    case OP_MIN:
    case OP_SELECT:
    case OP_SUM:
    case OP_REDUCE_MAX:
    case OP_RESHAPE:
    case OP_PERMUTE:
    case OP_BROADCAST:
    case OP_SLICE:
    case OP_PAD:
    case OP_WINDOW:
    case OP_CONTRACT:
    case OP_GATHER:
    case OP_FLAT: return SMOOTH;
    case OP_COUNT: break;
    }
    return MISSING;
}

/* ---- building ---- */

typedef struct {
    Rng *rng;
    Program *program;
    Graph *graph;
    Arena *arena;
    int64_t batch; /* 0: nothing is batched */
    Vec(double *) values;
} Case;

static GNode *new_param(Case *c, const Type *type) {
    uint32_t index = c->program->params.count;
    GNode *node = graph_leaf(c->graph, OP_PARAM, type, false, true, index, NULL, nowhere);
    vec_push(c->arena, &c->program->params, (Parameter){.type = *type, .node = node});
    double *values = arena_alloc(c->arena, (size_t)type_count(type) * sizeof(double));
    for (int64_t i = 0; i < type_count(type); i++)
        values[i] = rng_real(c->rng, 0.2, 1.9) * (rng_below(c->rng, 2) ? 1 : -1);
    vec_push(c->arena, &c->values, values);
    return node;
}

/* A weight for each element, that is no parameter. */
static GNode *weights(Case *c, const GNode *like) {
    return graph_leaf(c->graph, OP_FIELD, &like->type, like->batched, false, 0, NULL, nowhere);
}

static bool is_full_batch(const Case *c, const Type *type) {
    return c->batch && type->rank && type->dims[0].size == c->batch;
}

/* A value of this shape that depends on a new parameter, through a permutation and a broadcast or
 * so. */
static GNode *operand(Case *c, const Type *type) {
    Type small = *type;
    bool batched = is_full_batch(c, type);
    for (uint32_t i = 0; i < type->rank; i++)
        if (rng_below(c->rng, 4) == 0) small.dims[i] = (Dim){.size = 1};
    uint8_t perm[MAX_RANK];
    random_perm(c->rng, type->rank, 0, perm);
    Type stored = small;
    for (uint32_t i = 0; i < type->rank; i++) stored.dims[perm[i]] = small.dims[i];
    GNode *node = graph_permute(c->graph, new_param(c, &stored), perm, nowhere);
    node = graph_broadcast(c->graph, node, type->rank, type->dims, batched, nowhere);
    return batched && rng_below(c->rng, 2)
               ? graph_binary(c->graph, OP_MUL, node, weights(c, node), nowhere)
               : node;
}

static Type case_type(Case *c, uint32_t least_rank, uint32_t most_rank) {
    Type type = random_type(c->rng, E_F64, least_rank, most_rank);
    if (c->batch && type.rank) type.dims[0].size = c->batch;
    return type;
}

static GNode *positive(Case *c, GNode *a) {
    GNode *third = graph_fill(c->graph, 0.3, E_F64, &a->type, a->batched, nowhere);
    return graph_binary(c->graph, OP_ADD, graph_unary(c->graph, OP_ABS, a, nowhere), third,
                        nowhere);
}

static GNode *elementwise(Case *c, Op op) {
    Type type = case_type(c, 0, 4);
    GNode *a = operand(c, &type);
    if (op == OP_CAST)
        return graph_cast(c->graph, graph_cast(c->graph, a, E_F32, nowhere), E_F64, nowhere);
    if (op == OP_SQRT || op == OP_LOG || op == OP_POW) a = positive(c, a);
    if (op_info[op].arity == 1) return graph_unary(c->graph, op, a, nowhere);
    GNode *b = rng_below(c->rng, 6) ? operand(c, &type) : a;
    if (op == OP_POW && rng_below(c->rng, 3) == 0)
        b = graph_fill(c->graph, rng_below(c->rng, 12) * 0.5 - 2, E_F64, &type,
                       is_full_batch(c, &type), nowhere);
    if (op == OP_SELECT) {
        GNode *condition =
            graph_binary(c->graph, OP_LT, operand(c, &type), operand(c, &type), nowhere);
        return graph_select(c->graph, condition, a, b, nowhere);
    }
    return graph_binary(c->graph, op, a, b, nowhere);
}

static GNode *reduction(Case *c, Op op) {
    Type type = case_type(c, 1, 4);
    GNode *a = operand(c, &type);
    return graph_reduce(c->graph, op, a, 1 + rng_below(c->rng, (1u << type.rank) - 1), nowhere);
}

static GNode *window(Case *c, Op op) {
    Type inner = case_type(c, 0, 4), outer = inner;
    int64_t start[MAX_RANK] = {0};
    for (uint32_t i = c->batch ? 1 : 0; i < inner.rank; i++) {
        start[i] = rng_below(c->rng, 3);
        outer.dims[i].size += start[i] + rng_below(c->rng, 3);
    }
    if (op == OP_PAD) return graph_pad(c->graph, operand(c, &inner), start, outer.dims, nowhere);
    return graph_slice(c->graph, operand(c, &outer), start, inner.dims, nowhere);
}

/* One of an axis, that fits. */
static Window random_window(Case *c, const Type *type, uint32_t axis) {
    Window w = {.axis = axis, .size = 1 + rng_below(c->rng, 4), .stride = 1 + rng_below(c->rng, 3)};
    int64_t before = rng_below(c->rng, 3), after = rng_below(c->rng, 3);
    w.divide = rng_below(c->rng, 2) ? 1 : 1 + rng_below(c->rng, 3);
    w.dilation = rng_below(c->rng, 2) ? 1 : 1 + rng_below(c->rng, 3);
    w.start = -before;
    int64_t rest = (type->dims[axis].size - 1) * w.divide + 1 + before + after;
    rest -= w.dilation * (w.size - 1) + 1;
    w.count = rest < 0 ? 1 : rest / w.stride + 1;
    return w;
}

/* A product with a parameter over the windows' places and the last axis, as convolutions are; or
 * over the windows themselves, as the gradient of a convolution's gradient is. */
static GNode *convolved(Case *c, GNode *a, uint32_t axis) {
    static const char letters[] = "abcdefg";
    Einsum einsum = {{0}, {0}, {0}};
    uint32_t last = a->type.rank - 1, summed = axis + (rng_below(c->rng, 4) != 0);
    Type type = {.elem = E_F64, .rank = 1, .dims = {a->type.dims[summed]}};
    memcpy(einsum.a, letters, a->type.rank);
    einsum.b[0] = letters[summed];
    if (last != axis + 1) {
        einsum.b[type.rank] = letters[last];
        type.dims[type.rank++] = a->type.dims[last];
    }
    einsum.b[type.rank] = 'z';
    type.dims[type.rank++] = (Dim){.size = 1 + rng_below(c->rng, 3)};
    uint32_t count = 0;
    for (uint32_t i = 0; i < a->type.rank; i++)
        if (!strchr(einsum.b, letters[i])) einsum.out[count++] = letters[i];
    einsum.out[count] = 'z';
    return graph_contract(c->graph, a, new_param(c, &type), &einsum, nowhere);
}

/* What gradients of windows are made of: products that come apart, maxima, sums, other windows,
 * other views, and, with nothing behind the window, values of every element of its own. */
static GNode *windows(Case *c) {
    Type type = case_type(c, 1 + (c->batch != 0), 4);
    uint32_t axis = (c->batch != 0) + rng_below(c->rng, type.rank - (c->batch != 0));
    GNode *a = operand(c, &type);
    Window w = random_window(c, &type, axis);
    uint8_t perm[MAX_RANK];
    a = graph_window(c->graph, a, &w, nowhere);
    if (rng_below(c->rng, 3) == 0) { /* once more, over the same axis or another */
        axis = (c->batch != 0) + rng_below(c->rng, a->type.rank - (c->batch != 0));
        w = random_window(c, &a->type, axis);
        a = graph_window(c->graph, a, &w, nowhere);
    }
    switch (rng_below(c->rng, 7)) {
    case 0:
    case 1: return convolved(c, a, axis);
    case 2: return graph_reduce(c->graph, OP_SUM, a, 1u << (axis + 1), nowhere);
    case 3: return graph_reduce(c->graph, OP_REDUCE_MAX, a, 1u << (axis + 1), nowhere);
    case 4:
        random_perm(c->rng, a->type.rank, a->batched, perm);
        a = graph_permute(c->graph, a, perm, nowhere);
        for (axis = 0; perm[axis] != w.axis + 1;) axis++;
        return graph_reduce(c->graph, OP_SUM, graph_unary(c->graph, OP_TANH, a, nowhere),
                            1u << axis, nowhere);
    case 5: return graph_binary(c->graph, OP_MUL, a, operand(c, &a->type), nowhere);
    default: return a;
    }
}

static GNode *view(Case *c, Op op) {
    Type type = case_type(c, 0, 4), other = type;
    uint8_t perm[MAX_RANK];
    GNode *a = operand(c, &type);
    if (op == OP_PERMUTE) {
        random_perm(c->rng, type.rank, a->batched, perm);
        return graph_permute(c->graph, a, perm, nowhere);
    }
    if (op == OP_BROADCAST) { /* operand() does; and once more over what was reduced */
        if (type.rank < 2) return a;
        a = graph_reduce(c->graph, OP_SUM, a, 2, nowhere);
        other.dims[1].size = 1;
        a = graph_reshape(c->graph, a, type.rank, other.dims, a->batched, nowhere);
        return graph_broadcast(c->graph, a, type.rank, type.dims, a->batched, nowhere);
    }
    if (rng_below(c->rng, 3) == 0) { /* one vector; the batch flag falls */
        Dim all = {.size = type_count(&type)};
        return graph_reshape(c->graph, a, 1, &all, false, nowhere);
    }
    other.dims[other.rank++] = (Dim){.size = 1};
    return graph_reshape(c->graph, a, other.rank, other.dims, a->batched, nowhere);
}

/* Every label is in two or three of a, b and out, in any order; the batch in front where there is
 * one. */
static GNode *contraction(Case *c) {
    Einsum einsum = {{0}, {0}, {0}};
    Type a = {.elem = E_F64}, b = a;
    uint32_t count = 1 + rng_below(c->rng, 5), outs = 0;
    bool batch_b = c->batch && rng_below(c->rng, 2), batch_out = !batch_b || rng_below(c->rng, 2);
    for (uint32_t i = 0; i < count; i++) {
        Dim dim = {.size = 1 + rng_below(c->rng, 4)};
        uint32_t in = 1 + rng_below(c->rng, 3); /* bit 0: a, bit 1: b */
        bool out = in != 3 || rng_below(c->rng, 2);
        if (c->batch && i == 0) {
            dim.size = c->batch;
            in = batch_b ? 3 : 1;
            out = batch_out;
        } else if (dim.size == c->batch) {
            dim.size++; /* only the batch has this size: operand() goes by it */
        }
        if (in & 1) einsum.a[a.rank] = (char)('a' + i), a.dims[a.rank++] = dim;
        if (in & 2) einsum.b[b.rank] = (char)('a' + i), b.dims[b.rank++] = dim;
        if (out) einsum.out[outs++] = (char)('a' + i);
    }
    uint8_t perm[MAX_RANK];
    Einsum drawn = einsum;
    random_perm(c->rng, outs, c->batch && batch_out, perm);
    for (uint32_t i = 0; i < outs; i++) einsum.out[i] = drawn.out[perm[i]];
    random_perm(c->rng, b.rank, batch_b, perm);
    Type straight = b;
    for (uint32_t i = 0; i < b.rank; i++) {
        einsum.b[i] = drawn.b[perm[i]];
        b.dims[i] = straight.dims[perm[i]];
    }
    return graph_contract(c->graph, operand(c, &a), operand(c, &b), &einsum, nowhere);
}

/* By the numbers 0, 1, … over and over, here and there one that is outside; the rows are then made
 * numbers again, and have no gradient. */
static GNode *gathering(Case *c) {
    Type table = case_type(c, 1, 3), at = random_type(c->rng, E_I32, 0, 3);
    Graph *g = c->graph;
    if (c->batch) table = random_type(c->rng, E_F64, 1, 3);
    if (c->batch && at.rank) at.dims[0].size = c->batch;
    Dim places = {.size = type_count(&at)};
    Type line = {.elem = E_I32, .rank = 1, .dims = {places}};
    int64_t rows = table.dims[0].size - (rng_below(c->rng, 3) == 0);
    GNode *index = graph_leaf(g, OP_IOTA, &line, false, false, 0, NULL, nowhere);
    if (rows > 0)
        index = graph_binary(g, OP_MOD, index,
                             graph_fill(g, (double)rows, E_I32, &line, false, nowhere), nowhere);
    if (rng_below(c->rng, 4) == 0) index = graph_unary(g, OP_NEG, index, nowhere);
    index = graph_reshape(g, index, at.rank, at.dims, false, nowhere);
    if (is_full_batch(c, &at)) index = graph_broadcast(g, index, at.rank, at.dims, true, nowhere);
    Type flat = table; /* operand() would take axis 0 for the batch */
    int64_t batch = c->batch;
    c->batch = 0;
    GNode *a = operand(c, &flat);
    c->batch = batch;
    GNode *picked = graph_gather(g, a, index, nowhere);
    GNode *number = graph_binary(g, OP_EQ, picked, picked, nowhere);
    GNode *zero = graph_fill(g, 0, E_F64, &picked->type, picked->batched, nowhere);
    return graph_select(g, number, picked, zero, nowhere);
}

static GNode *concatenation(Case *c) {
    GNode *in[3];
    c->batch = 0;
    for (int i = 0; i < 3; i++) {
        Type type = case_type(c, 0, 3);
        in[i] = operand(c, &type);
    }
    return graph_flat(c->graph, in, 3, 0, nowhere);
}

static GNode *build(Case *c, Op op) {
    switch (op_info[op].class) {
    case CLASS_UNARY:
    case CLASS_BINARY:
    case CLASS_TERNARY: return elementwise(c, op);
    case CLASS_REDUCE: return reduction(c, op);
    case CLASS_VIEW:
        if (op == OP_WINDOW) return windows(c);
        return op == OP_SLICE || op == OP_PAD ? window(c, op) : view(c, op);
    case CLASS_CONTRACT: return contraction(c);
    case CLASS_GATHER: return gathering(c);
    case CLASS_FLAT: return concatenation(c);
    default: break;
    }
    Type type = case_type(c, 0, 4); /* PARAM */
    return operand(c, &type);
}

/* ---- comparing ---- */

typedef struct {
    int64_t compared, skipped;
} Count;

static void leaf_values(void *user, const GNode *node, double *values) {
    const Case *c = user;
    Rng rng = {.state = node->index + 99};
    for (int64_t i = 0; i < type_count(&node->type); i++)
        values[i] = node->op == OP_PARAM ? c->values.at[node->index][i] : rng_real(&rng, 0.5, 1.5);
}

static double loss_at(Case *c, const Graph *forward, double *value, double moved) {
    Inputs inputs = {.leaf = leaf_values, .user = c};
    Arena *scratch = arena_new();
    double held = *value;
    *value = moved;
    double loss = evaluate(forward, &inputs, scratch)[c->program->loss->id][0];
    *value = held;
    arena_free(scratch);
    return loss;
}

static double slope(Case *c, const Graph *forward, double *value, double step) {
    return (loss_at(c, forward, value, *value + step) - loss_at(c, forward, value, *value - step)) /
           (2 * step);
}

static bool compare(Case *c, CaseKind kind, const Graph *forward, double *value, double analytic,
                    Count *count) {
    double step = kind == SINGLE ? 0.05 : 2e-5, tolerance = kind == SINGLE ? 1e-4 : 1e-6;
    if (kind == ZERO) return analytic == 0;
    double numeric = slope(c, forward, value, step), finer = slope(c, forward, value, step / 2);
    double scale = 1 + fabs(numeric) + fabs(analytic);
    if (!(fabs(numeric - finer) <= tolerance * scale)) {
        count->skipped++;
        return true;
    }
    count->compared++;
    if (fabs(numeric - analytic) <= tolerance * scale) return true;
    printf("finite differences %.12g, gradient %.12g\n", numeric, analytic);
    return false;
}

/* A prefix of the graph, so that finite differences do not evaluate the gradient. */
static Graph *prefix(const Graph *graph, uint32_t count) {
    Graph *part = graph_new(graph->arena, "forward", graph->real);
    part->nodes = graph->nodes;
    part->nodes.count = count;
    return part;
}

static bool compare_all(Case *c, CaseKind kind, Count *count) {
    Inputs inputs = {.leaf = leaf_values, .user = c};
    GNode **grads = arena_alloc(c->arena, c->program->params.count * sizeof *grads);
    Graph *forward = prefix(c->graph, c->program->loss->id + 1);
    grad(c->program, grads);
    const char *rule = graph_verify(c->graph, c->arena);
    if (rule) printf("%s\n", rule);
    if (rule) return false;
    double **values = evaluate(c->graph, &inputs, c->arena);
    for (uint32_t p = 0; p < c->program->params.count; p++) {
        if (!type_same_shape(&grads[p]->type, &c->program->params.at[p].type) || grads[p]->batched)
            return false;
        for (int64_t i = 0; i < type_count(&grads[p]->type); i += 1 + rng_below(c->rng, 5))
            if (!compare(c, kind, forward, &c->values.at[p][i], values[grads[p]->id][i], count))
                return false;
    }
    return true;
}

static bool check(Op op, uint64_t seed, Count *count) {
    Arena *arena = arena_new();
    Rng rng = {.state = seed * 1000 + op};
    Program program = {.arena = arena, .real = E_F64, .train = graph_new(arena, "train", E_F64)};
    Case c = {.rng = &rng,
              .program = &program,
              .graph = program.train,
              .arena = arena,
              .batch = seed % 2 ? 2 + rng_below(&rng, 5) : 0};
    GNode *node = build(&c, op);
    GNode *product = graph_binary(c.graph, OP_MUL, node, weights(&c, node), nowhere);
    program.loss = graph_reduce(c.graph, OP_SUM, product, (1u << product->type.rank) - 1, nowhere);
    bool passed = compare_all(&c, case_kind(op), count);
    if (!passed) {
        Text text = {0};
        graph_print(c.graph, NULL, &text);
        printf("FAILED: gradient of %s, case %llu\n%s", op_info[op].text, (unsigned long long)seed,
               text.at);
        text_release(&text);
    }
    arena_free(arena);
    return passed;
}

/* The loss does not reach the second parameter. */
static bool check_unreached(void) {
    Arena *arena = arena_new();
    Program program = {.arena = arena, .real = E_F64, .train = graph_new(arena, "train", E_F64)};
    Rng rng = {.state = 5};
    Case c = {.rng = &rng, .program = &program, .graph = program.train, .arena = arena};
    Type scalar = {.elem = E_F64},
         matrix = {.elem = E_F64, .rank = 2, .dims = {{.size = 2}, {.size = 3}}};
    program.loss = graph_unary(c.graph, OP_EXP, new_param(&c, &scalar), nowhere);
    new_param(&c, &matrix);
    GNode *grads[2];
    grad(&program, grads);
    double number = 1;
    bool passed = graph_is_fill(grads[1], &number) && number == 0 &&
                  type_same_shape(&grads[1]->type, &matrix);
    if (!passed) printf("FAILED: a parameter that the loss does not reach has gradient zero\n");
    arena_free(arena);
    return passed;
}

/* Kinks, where finite differences say nothing: f and its gradient at the given point. */
static bool check_kink(Op op, const double *at, uint32_t count, const double *expected) {
    Arena *arena = arena_new();
    Program program = {.arena = arena, .real = E_F64, .train = graph_new(arena, "train", E_F64)};
    Rng rng = {.state = 5};
    Case c = {.rng = &rng, .program = &program, .graph = program.train, .arena = arena};
    Type vector = {.elem = E_F64, .rank = op == OP_REDUCE_MAX, .dims = {{.size = count}}};
    GNode *a = new_param(&c, &vector),
          *b = op == OP_REDUCE_MAX || op == OP_ABS ? a : new_param(&c, &vector);
    if (op == OP_REDUCE_MAX)
        program.loss = graph_reduce(c.graph, op, a, 1, nowhere);
    else if (op == OP_ABS)
        program.loss = graph_unary(c.graph, op, a, nowhere);
    else
        program.loss = graph_binary(c.graph, op, a, b, nowhere);
    for (uint32_t i = 0; i < count; i++) {
        if (op == OP_REDUCE_MAX)
            c.values.at[0][i] = at[i];
        else
            c.values.at[i][0] = at[i];
    }
    GNode *grads[2];
    grad(&program, grads);
    double **values = evaluate(c.graph, &(Inputs){.leaf = leaf_values, .user = &c}, arena);
    bool passed = true;
    for (uint32_t i = 0; i < count; i++) {
        double found = op == OP_REDUCE_MAX ? values[grads[0]->id][i] : values[grads[i]->id][0];
        passed = passed && found == expected[i];
        if (found != expected[i])
            printf("FAILED: %s, operand %u: %g, not %g\n", op_info[op].text, i, found, expected[i]);
    }
    arena_free(arena);
    return passed;
}

static bool check_kinks(void) {
    return check_kink(OP_ABS, (double[]){0}, 1, (double[]){1}) &&
           check_kink(OP_MAX, (double[]){2, 2}, 2, (double[]){1, 0}) &&
           check_kink(OP_MIN, (double[]){2, 2}, 2, (double[]){1, 0}) &&
           check_kink(OP_POW, (double[]){0, 2}, 2, (double[]){0, 0}) &&
           check_kink(OP_POW, (double[]){0, 0}, 2, (double[]){0, 0}) &&
           check_kink(OP_REDUCE_MAX, (double[]){3, 1, 3}, 3, (double[]){0.5, 0, 0.5});
}

/* The gradient of a rounded product's factors is that of the rounded factors, as they were
 * multiplied: 1.00390625 is rounded to 1 first. */
static bool check_rounded(void) {
    Arena *arena = arena_new();
    Program program = {.arena = arena, .real = E_F32, .train = graph_new(arena, "train", E_F32)};
    Rng rng = {.state = 5};
    Case c = {.rng = &rng, .program = &program, .graph = program.train, .arena = arena};
    Type vector = {.elem = E_F32, .rank = 1, .dims = {{.size = 2}}};
    program.train->significant = 8;
    GNode *a = new_param(&c, &vector), *b = new_param(&c, &vector), *grads[2];
    program.loss = graph_contract(c.graph, a, b, &(Einsum){"k", "k", ""}, nowhere);
    double at[2][2] = {{1.00390625, 3}, {257, 259}}, rounded[2][2] = {{1, 3}, {256, 260}};
    for (uint32_t p = 0; p < 2; p++) memcpy(c.values.at[p], at[p], sizeof at[p]);
    grad(&program, grads);
    double **values = evaluate(c.graph, &(Inputs){.leaf = leaf_values, .user = &c}, arena);
    bool passed = values[program.loss->id][0] == 256 + 3 * 260;
    for (uint32_t p = 0; p < 2; p++)
        passed &= !memcmp(values[grads[p]->id], rounded[1 - p], sizeof rounded[0]);
    if (!passed) printf("FAILED: the gradient of a product that is rounded to 8 bits\n");
    arena_free(arena);
    return passed;
}

int main(void) {
    Count count = {0, 0};
    int cases = 0;
    if (!check_unreached() || !check_kinks() || !check_rounded()) return 1;
    for (Op op = 0; op < OP_COUNT; op++) {
        CaseKind kind = case_kind(op);
        if (kind == MISSING) {
            printf("FAILED: no case for the gradient of %s\n", op_info[op].text);
            return 1;
        }
        for (uint64_t seed = 0; seed < 60 && kind != NO_GRADIENT && kind != THROUGH;
             seed++, cases++)
            if (!check(op, seed, &count)) return 1;
    }
    printf("%d graphs, %lld partial derivatives compared, %lld near kinks left out\n", cases,
           (long long)count.compared, (long long)count.skipped);
    return count.skipped * 50 > count.compared;
}
