/* Planes on the virtual GPU, with all of its checks: kernels made by hand, as attention and its
 * gradients are, agree with plain loops in double within a few roundings, for every trial of a
 * wave; rows whose first tiles are masked, too. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "compiler/kernel/schedule.h"
#include "tests/numeric/random_graph.h"
#include "tests/vgpu/numeric/kernel_run.h"

enum { TRIALS = 2, ROUNDINGS = 24 };

typedef enum {
    FORWARD, /* out[q, e] = sum over keys of softmax(x) v, and each row's maximum and sum; online */
    BACK_Q,  /* two leaves, a pass for the row's mean of the errors, one for the sums */
    BACK_KV  /* rows are keys; two leaves, two sums, around the groups of queries of a key */
} Kind;

typedef enum {
    ALL,
    CAUSAL,      /* keys up to the query; others have -infinity */
    CAUSAL_TINY, /* others have -1e30 */
    LATE,        /* keys from the query on: the first tiles of a row have none */
    UNKNOWN      /* likewise, where fuse did not see that tiles are empty */
} Mask;

typedef struct {
    Kind kind;
    Elem elem;
    Mask mask;
    int64_t outer, groups, queries, keys, k, e;
} Shape;

static const Shape shapes[] = {
    {FORWARD, E_F32, ALL, 2, 1, 64, 64, 32, 32},
    {FORWARD, E_F32, CAUSAL, 1, 1, 70, 70, 24, 40},
    {FORWARD, E_F32, CAUSAL_TINY, 1, 1, 65, 65, 16, 16},
    {FORWARD, E_F32, LATE, 1, 1, 100, 130, 8, 12},
    {FORWARD, E_F32, UNKNOWN, 1, 1, 100, 130, 8, 12},

    {FORWARD, E_F32, ALL, 1, 1, 33, 190, 128, 128},
    {FORWARD, E_F32, ALL, 2, 1, 5, 9, 3, 5},
    {FORWARD, E_F32, ALL, 1, 1, 9, 40, 256, 256},
    {FORWARD, E_F64, CAUSAL, 1, 1, 37, 37, 20, 24},
    {FORWARD, E_F64, ALL, 1, 1, 20, 35, 128, 128},
    {BACK_Q, E_F32, CAUSAL, 2, 1, 64, 64, 32, 32},
    {BACK_Q, E_F32, ALL, 1, 1, 37, 75, 20, 28},
    {BACK_Q, E_F32, LATE, 1, 1, 60, 70, 64, 64},
    {BACK_KV, E_F32, LATE, 1, 2, 60, 90, 8, 8},

    {BACK_Q, E_F64, CAUSAL, 1, 1, 29, 29, 16, 16},
    {BACK_KV, E_F32, CAUSAL, 2, 2, 64, 64, 32, 32},
    {BACK_KV, E_F32, ALL, 1, 3, 41, 53, 20, 28},
    {BACK_KV, E_F32, CAUSAL, 1, 1, 90, 90, 128, 128},
    {BACK_KV, E_F64, CAUSAL, 1, 2, 23, 23, 16, 12},
    {BACK_KV, E_F32, ALL, 1, 1, 17, 20, 256, 256},
};

enum { SHAPES = sizeof shapes / sizeof *shapes };

typedef enum { QUERY, KEY, VALUE, ERROR, MOST, TOTAL, DELTA, INPUTS } Input;
typedef enum { FIRST, SECOND, THIRD, RESULTS } Result;

typedef struct {
    const Shape *shape;
    Arena *arena;
    Kernel kernel;
    Plane plane;
    Buffer in[INPUTS], out[RESULTS];
    uint32_t out_count;
    int64_t trial_bytes, scratch_bytes;
} Case;

/* ---- axes ---- */

/* Then the k of each leaf and the e of each sink, as they come. */
enum { OUTER, GROUP, M, N, LOOPS };

static uint32_t query_axis(const Case *c) {
    return c->shape->kind == BACK_KV ? N : M;
}

static uint32_t key_axis(const Case *c) {
    return c->shape->kind == BACK_KV ? M : N;
}

/* x[outer, group, query, …] or x[outer, key, …], of rows of `width`. */
static Affine place(const Case *c, bool query, uint32_t along, int64_t width) {
    const Shape *s = c->shape;
    Affine at = {0};
    at.coeff[OUTER] = (query ? s->groups * s->queries : s->keys) * width;
    at.coeff[GROUP] = query ? s->queries * width : 0;
    at.coeff[query ? query_axis(c) : key_axis(c)] = width;
    if (along) at.coeff[along] = 1;
    return at;
}

/* ---- expressions ---- */

static Expr leaf(ExprKind kind, Elem elem) {
    return (Expr){
        .kind = kind, .elem = elem, .in = {-1, -1, -1}, .gather = -1, .guard = -1, .lookup = -1};
}

static int add(Case *c, Expr expr) {
    vec_push(c->arena, &c->kernel.exprs, expr);
    return (int)c->kernel.exprs.count - 1;
}

static int add_load(Case *c, Input input, uint32_t along) {
    const Shape *s = c->shape;
    bool wide = input == VALUE || input == ERROR, query = input != KEY && input != VALUE;
    Expr expr = leaf(X_LOAD, s->elem);
    expr.buffer = &c->in[input];
    expr.at = place(c, query, along, !along ? 1 : wide ? s->e : s->k);
    return add(c, expr);
}

static int add_number(Case *c, double number) {
    Expr expr = leaf(X_CONST, c->shape->elem);
    expr.number = number;
    return add(c, expr);
}

static int add_op(Case *c, Op op, Elem elem, int first, int second, int third) {
    Expr expr = leaf(X_OP, elem);
    expr.op = op;
    expr.in[0] = first;
    expr.in[1] = second;
    expr.in[2] = third;
    return add(c, expr);
}

static int binary(Case *c, Op op, int a, int b) {
    return add_op(c, op, c->shape->elem, a, b, -1);
}

static int add_axis(Case *c, uint32_t axis) {
    Expr expr = leaf(X_AXIS, E_I32);
    expr.at.coeff[axis] = 1;
    return add(c, expr);
}

static int add_result(Case *c, ExprKind kind, uint32_t index, uint32_t word) {
    Expr expr = leaf(kind, c->shape->elem);
    expr.index = index;
    expr.word = word;
    return add(c, expr);
}

static double scale_of(const Shape *s) {
    double scale = 3 / sqrt((double)s->k);
    return s->elem == E_F32 ? (double)(float)scale : scale;
}

/* leaf 0 * scale, masked */
static int add_logit(Case *c) {
    Mask mask = c->shape->mask;
    int x = binary(c, OP_MUL, add_result(c, X_LEAF, 0, 0), add_number(c, scale_of(c->shape)));
    if (mask == ALL) return x;
    int query = add_axis(c, query_axis(c)), key = add_axis(c, key_axis(c));
    bool late = mask == LATE || mask == UNKNOWN;
    int seen =
        late ? add_op(c, OP_LE, E_BOOL, query, key, -1) : add_op(c, OP_LE, E_BOOL, key, query, -1);
    int other = add_number(c, mask == CAUSAL_TINY ? -1e30 : -INFINITY);
    return add_op(c, OP_SELECT, c->shape->elem, seen, x, other);
}

/* ---- kernels ---- */

static uint32_t new_axis(Case *c, const char *name, int64_t extent) {
    c->kernel.axes[c->kernel.axis_count] = (Axis){.name = name, .extent = extent};
    return c->kernel.axis_count++;
}

static void add_leaf(Case *c, Input a, Input b, int64_t extent) {
    PlaneLeaf made = {.k = new_axis(c, "k", extent)};
    made.a = add_load(c, a, made.k);
    made.b = add_load(c, b, made.k);
    vec_push(c->arena, &c->plane.leaves, made);
}

static void add_sink(Case *c, PlanePass *pass, int value, Input b, int64_t extent) {
    PlaneSink sink = {.e = new_axis(c, "e", extent), .value = value};
    sink.b = add_load(c, b, sink.e);
    vec_push(c->arena, &pass->sinks, sink);
}

/* Rows of m alone where `along` is 0. */
static void add_store(Case *c, Result output, uint32_t along, int value) {
    int64_t width = along ? c->kernel.axes[along].extent : 1;
    Affine at = {0};
    at.coeff[OUTER] = c->kernel.axes[M].extent * width;
    at.coeff[M] = width;
    if (along) at.coeff[along] = 1;
    vec_push(c->arena, &c->plane.stores, (Store){&c->out[output], at, value});
}

static void make_forward(Case *c) {
    PlanePass pass = {.online = true};
    add_leaf(c, QUERY, KEY, c->shape->k);
    int x = add_logit(c);
    int power =
        add_op(c, OP_EXP, c->shape->elem, binary(c, OP_SUB, x, add_result(c, X_ROW, 0, 0)), -1, -1);
    vec_push(c->arena, &pass.reductions, (Reduction){OP_REDUCE_MAX, x});
    vec_push(c->arena, &pass.reductions, (Reduction){OP_SUM, power});
    add_sink(c, &pass, power, VALUE, c->shape->e);
    vec_push(c->arena, &c->plane.passes, pass);
    int whole = binary(c, OP_DIV, add_number(c, 1), add_result(c, X_ROW, 0, 1));
    add_store(c, FIRST, pass.sinks.at[0].e, binary(c, OP_MUL, add_result(c, X_SUM, 0, 0), whole));
    add_store(c, SECOND, 0, add_result(c, X_ROW, 0, 0));
    add_store(c, THIRD, 0, add_result(c, X_ROW, 0, 1));
}

/* exp(x - most) / total, of loaded statistics of the query */
static int add_share(Case *c) {
    int less = binary(c, OP_SUB, add_logit(c), add_load(c, MOST, 0));
    return binary(c, OP_DIV, add_op(c, OP_EXP, c->shape->elem, less, -1, -1),
                  add_load(c, TOTAL, 0));
}

static void make_back_q(Case *c) {
    PlanePass first = {0}, second = {0};
    add_leaf(c, QUERY, KEY, c->shape->k);
    add_leaf(c, ERROR, VALUE, c->shape->e);
    int share = add_share(c), error = add_result(c, X_LEAF, 1, 0);
    vec_push(c->arena, &first.reductions, (Reduction){OP_SUM, binary(c, OP_MUL, share, error)});
    int rest = binary(c, OP_SUB, error, add_result(c, X_ROW, 0, 0));
    add_sink(c, &second, binary(c, OP_MUL, share, rest), KEY, c->shape->k);
    vec_push(c->arena, &c->plane.passes, first);
    vec_push(c->arena, &c->plane.passes, second);
    int sum = add_result(c, X_SUM, 1, 0);
    add_store(c, FIRST, second.sinks.at[0].e,
              binary(c, OP_MUL, sum, add_number(c, scale_of(c->shape))));
}

static void make_back_kv(Case *c) {
    PlanePass pass = {0};
    add_leaf(c, KEY, QUERY, c->shape->k);
    add_leaf(c, VALUE, ERROR, c->shape->e);
    int share = add_share(c), error = add_result(c, X_LEAF, 1, 0);
    int rest = binary(c, OP_SUB, error, add_load(c, DELTA, 0));
    add_sink(c, &pass, share, ERROR, c->shape->e);
    add_sink(c, &pass, binary(c, OP_MUL, share, rest), QUERY, c->shape->k);
    vec_push(c->arena, &c->plane.passes, pass);
    int sum = add_result(c, X_SUM, 0, 1);
    add_store(c, FIRST, pass.sinks.at[1].e,
              binary(c, OP_MUL, sum, add_number(c, scale_of(c->shape))));
    add_store(c, SECOND, pass.sinks.at[0].e, add_result(c, X_SUM, 0, 0));
}

static Buffer buffer(const char *name, Elem elem, int64_t count, Space space, int64_t *bytes) {
    Buffer made = {.name = name, .elem = elem, .count = count, .space = space, .offset = *bytes};
    *bytes += (count * elem_bytes(elem) + 63) / 64 * 64;
    return made;
}

static void add_buffers(Case *c) {
    static const char *const in[INPUTS] = {"q", "k", "v", "error", "most", "total", "delta"};
    static const char *const out[RESULTS] = {"out", "out2", "out3"};
    const Shape *s = c->shape;
    int64_t queries = s->outer * s->groups * s->queries, keys = s->outer * s->keys;
    const int64_t counts[INPUTS] = {queries * s->k, keys * s->k, keys * s->e, queries * s->e,
                                    queries,        queries,     queries};
    c->trial_bytes = 64;
    for (int i = 0; i < INPUTS; i++)
        c->in[i] = buffer(in[i], s->elem, counts[i], SPACE_TRIAL, &c->trial_bytes);
    int64_t rows = s->outer * c->kernel.axes[M].extent;
    c->out_count = s->kind == FORWARD ? 3 : s->kind == BACK_Q ? 1 : 2;
    const int64_t widths[RESULTS] = {s->kind == FORWARD ? s->e : s->k,
                                     s->kind == FORWARD ? 1 : s->e, 1};
    for (uint32_t i = 0; i < c->out_count; i++)
        c->out[i] = buffer(out[i], s->elem, rows * widths[i], SPACE_SCRATCH, &c->scratch_bytes);
    int last = s->kind == FORWARD ? ERROR : s->kind == BACK_Q ? DELTA : INPUTS;
    for (int i = 0; i < last; i++) vec_push(c->arena, &c->kernel.buffers, &c->in[i]);
    for (uint32_t i = 0; i < c->out_count; i++) vec_push(c->arena, &c->kernel.buffers, &c->out[i]);
}

static void make_kernel(Case *c, const Shape *s, Arena *arena) {
    static void (*const make[])(Case *) = {make_forward, make_back_q, make_back_kv};
    static const char *const names[LOOPS] = {"i", "g", "m", "n"};
    const int64_t extents[LOOPS] = {s->outer, s->groups, s->queries, s->keys};
    Kernel *kernel = &c->kernel;
    c->shape = s;
    c->arena = arena;
    kernel->name = "plane";
    kernel->axis_count = LOOPS;
    kernel->outer_count = 1;
    kernel->lanes = 1;
    kernel->plane = &c->plane;
    for (int i = 0; i < LOOPS; i++)
        kernel->axes[i] = (Axis){.name = names[i], .extent = extents[i]};
    kernel->axes[query_axis(c)].extent = s->queries;
    kernel->axes[key_axis(c)].extent = s->keys;
    c->plane.m = M;
    c->plane.n = N;
    c->plane.around = 1u << GROUP;
    add_buffers(c);
    make[s->kind](c);
    bool late = s->mask == LATE;
    c->plane.masked = s->mask != ALL && s->mask != UNKNOWN;
    c->plane.beyond.coeff[query_axis(c)] = late ? 1 : -1;
    c->plane.beyond.coeff[key_axis(c)] = late ? -1 : 1;
    cuda_plane_schedule(kernel);
}

/* ---- inputs, and the plain loops in double ---- */

static double real(const char *block, const Buffer *from, int64_t at) {
    const char *base = block + from->offset;
    return from->elem == E_F32 ? (double)((const float *)base)[at] : ((const double *)base)[at];
}

static void set_real(char *block, const Buffer *to, int64_t at, double value) {
    char *base = block + to->offset;
    if (to->elem == E_F32)
        ((float *)base)[at] = (float)value;
    else
        ((double *)base)[at] = value;
}

/* Row `query` counts groups, too, as all rows of queries here. */
static double logit(const Case *c, const char *block, int64_t outer, int64_t query, int64_t key) {
    const Shape *s = c->shape;
    int64_t row = outer * s->groups * s->queries + query, position = query % s->queries;
    bool late = s->mask == LATE || s->mask == UNKNOWN;
    bool seen = s->mask == ALL || (late ? key >= position : key <= position);
    if (!seen) return s->mask == CAUSAL_TINY ? -1e30 : -INFINITY;
    double sum = 0;
    for (int64_t k = 0; k < s->k; k++)
        sum += real(block, &c->in[QUERY], row * s->k + k) *
               real(block, &c->in[KEY], (outer * s->keys + key) * s->k + k);
    return sum * scale_of(s);
}

static double error_of(const Case *c, const char *block, int64_t outer, int64_t query,
                       int64_t key) {
    const Shape *s = c->shape;
    int64_t row = outer * s->groups * s->queries + query;
    double sum = 0;
    for (int64_t e = 0; e < s->e; e++)
        sum += real(block, &c->in[ERROR], row * s->e + e) *
               real(block, &c->in[VALUE], (outer * s->keys + key) * s->e + e);
    return sum;
}

static double share(const Case *c, const char *block, int64_t outer, int64_t query, int64_t key) {
    int64_t row = outer * c->shape->groups * c->shape->queries + query;
    return exp(logit(c, block, outer, query, key) - real(block, &c->in[MOST], row)) /
           real(block, &c->in[TOTAL], row);
}

/* The statistics of each row are what the forward kernel leaves. */
static void fill_block(const Case *c, uint32_t trial, char *block) {
    const Shape *s = c->shape;
    Rng rng = {.state = trial};
    for (int input = QUERY; input <= ERROR; input++)
        for (int64_t i = 0; i < c->in[input].count; i++)
            set_real(block, &c->in[input], i, rng_real(&rng, -1, 1));
    for (int64_t row = 0; row < c->in[MOST].count; row++) {
        int64_t outer = row / (s->groups * s->queries), query = row % (s->groups * s->queries);
        double most = -INFINITY, total = 0, delta = 0;
        for (int64_t n = 0; n < s->keys; n++) most = fmax(most, logit(c, block, outer, query, n));
        set_real(block, &c->in[MOST], row, most);
        most = real(block, &c->in[MOST], row);
        for (int64_t n = 0; n < s->keys; n++) total += exp(logit(c, block, outer, query, n) - most);
        set_real(block, &c->in[TOTAL], row, total);
        for (int64_t n = 0; n < s->keys; n++)
            delta += share(c, block, outer, query, n) * error_of(c, block, outer, query, n);
        set_real(block, &c->in[DELTA], row, delta);
    }
}

/* What the plain loops give, and the sum of the sizes of what they add up. */
typedef struct {
    double value, size;
} Wanted;

static void add_term(Wanted *sum, double term, double size) {
    sum->value += term;
    sum->size += fabs(size);
}

static Wanted forward(const Case *c, const char *block, Result output, int64_t outer, int64_t row,
                      int64_t e) {
    const Shape *s = c->shape;
    int64_t at = outer * s->queries + row;
    Wanted sum = {0};
    if (output == SECOND)
        return (Wanted){real(block, &c->in[MOST], at), fabs(real(block, &c->in[MOST], at)) + 1};
    if (output == THIRD)
        return (Wanted){real(block, &c->in[TOTAL], at), real(block, &c->in[TOTAL], at)};
    for (int64_t n = 0; n < s->keys; n++) {
        double term = share(c, block, outer, row, n) *
                      real(block, &c->in[VALUE], (outer * s->keys + n) * s->e + e);
        add_term(&sum, term, term);
    }
    return sum;
}

static Wanted back_q(const Case *c, const char *block, int64_t outer, int64_t row, int64_t k) {
    const Shape *s = c->shape;
    double delta = real(block, &c->in[DELTA], outer * s->queries + row);
    Wanted sum = {0};
    for (int64_t n = 0; n < s->keys; n++) {
        double error = error_of(c, block, outer, row, n);
        double factor = share(c, block, outer, row, n) * scale_of(s) *
                        real(block, &c->in[KEY], (outer * s->keys + n) * s->k + k);
        add_term(&sum, factor * (error - delta), factor * (fabs(error) + fabs(delta) + 1));
    }
    return sum;
}

static Wanted back_kv(const Case *c, const char *block, Result output, int64_t outer, int64_t row,
                      int64_t e) {
    const Shape *s = c->shape;
    Wanted sum = {0};
    for (int64_t query = 0; query < s->groups * s->queries; query++) {
        int64_t at = outer * s->groups * s->queries + query;
        double weight = share(c, block, outer, query, row);
        if (output == SECOND) {
            double term = weight * real(block, &c->in[ERROR], at * s->e + e);
            add_term(&sum, term, term);
            continue;
        }
        double error = error_of(c, block, outer, query, row);
        double delta = real(block, &c->in[DELTA], at);
        double factor = weight * scale_of(s) * real(block, &c->in[QUERY], at * s->k + e);
        add_term(&sum, factor * (error - delta), factor * (fabs(error) + fabs(delta) + 1));
    }
    return sum;
}

static Wanted wanted(const Case *c, const char *block, Result output, int64_t at) {
    int64_t m = c->kernel.axes[M].extent, width = c->out[output].count / (c->shape->outer * m);
    int64_t outer = at / (m * width), row = at / width % m;
    switch (c->shape->kind) {
    case FORWARD: return forward(c, block, output, outer, row, at % width);
    case BACK_Q: return back_q(c, block, outer, row, at % width);
    case BACK_KV: return back_kv(c, block, output, outer, row, at % width);
    }
    return (Wanted){0};
}

/* ---- running ---- */

static bool check_output(const Case *c, const char *block, const char *scratch, Result output,
                         double *worst) {
    double epsilon = c->shape->elem == E_F32 ? 0x1p-24 : 0x1p-53;
    for (int64_t at = 0; at < c->out[output].count; at++) {
        Wanted want = wanted(c, block, output, at);
        double found = real(scratch, &c->out[output], at);
        double roundings = fabs(found - want.value) / (epsilon * (want.size + 1e-30));
        if (roundings > *worst) *worst = roundings;
        if (roundings <= ROUNDINGS) continue;
        printf("FAILED: shape %d, output %d at %lld: %.17g, expected %.17g, %.3g roundings\n",
               (int)(c->shape - shapes), (int)output, (long long)at, found, want.value, roundings);
        return false;
    }
    return true;
}

static bool check(const Case *c, const RunKernel *kernel, Device *device, uint64_t seed) {
    RunSizes sizes = {.trials = TRIALS};
    sizes.bytes[SPACE_TRIAL] = (uint64_t)c->trial_bytes;
    sizes.bytes[SPACE_SCRATCH] = (uint64_t)c->scratch_bytes;
    RunMemory memory = run_memory(device, &sizes);
    char *block = calloc(TRIALS, (size_t)c->trial_bytes),
         *scratch = calloc(1, (size_t)c->scratch_bytes);
    bool passed = true;
    double worst = 0;
    for (uint32_t t = 0; t < TRIALS && passed; t++) {
        fill_block(c, t, block + t * c->trial_bytes);
        passed = run_write(&memory, SPACE_TRIAL, t, block + t * c->trial_bytes);
    }
    passed = passed && run_launch(kernel, &memory, true, seed);
    for (uint32_t t = 0; t < TRIALS && passed; t++) {
        passed = run_read(&memory, SPACE_SCRATCH, t, scratch);
        for (uint32_t i = 0; i < c->out_count && passed; i++)
            passed = check_output(c, block + t * c->trial_bytes, scratch, (Result)i, &worst);
    }
    printf("shape %d: %.1f roundings at most\n", (int)(c->shape - shapes), worst);
    run_memory_release(&memory);
    free(block);
    free(scratch);
    return passed;
}

/* Sums are in registers, where they belong. */
static bool check_registers(Nvrtc *nvrtc, const RunKernel *kernel, Arena *arena) {
    CudaImage image;
    const char *problem = nvrtc_compile(nvrtc, "plane", kernel->cuda, "sm_90", &image, arena);
    if (problem) printf("FAILED: %s\n", problem);
    if (problem) return false;
    const CudaResources *use = &image.resources;
    printf("%u registers, %u bytes shared\n", use->registers, use->shared_bytes);
    bool spills = use->spill_stores || use->spill_loads || use->stack_bytes;
    if (spills) printf("FAILED: %u bytes of the stack\n%s", use->stack_bytes, kernel->cuda);
    if (use->shared_bytes != kernel->kernel->gpu.shared_bytes)
        printf("FAILED: %u bytes shared are scheduled\n", kernel->kernel->gpu.shared_bytes);
    return !spills && use->shared_bytes == kernel->kernel->gpu.shared_bytes;
}

int main(void) {
    Arena *arena = arena_new();
    const char *problem;
    Nvrtc *nvrtc = nvrtc_open(arena, &problem);
    if (!nvrtc) printf("skipped: %s\n", problem);
    if (!nvrtc) return SKIPPED;
    Device *device = device_new();
    Case *cases = arena_alloc(arena, SHAPES * sizeof *cases);
    RunKernel *kernels = arena_alloc(arena, SHAPES * sizeof *kernels);
    bool passed = true;
    for (uint32_t i = 0; i < SHAPES; i++) {
        make_kernel(&cases[i], &shapes[i], arena);
        problem = kernel_verify(&cases[i].kernel, arena);
        if (problem) printf("FAILED: shape %u: %s\n", i, problem);
        passed = passed && !problem;
        kernels[i].kernel = &cases[i].kernel;
    }
    bool compiled = passed = passed && run_compile(nvrtc, device, kernels, SHAPES);
    for (uint32_t i = 0; i < SHAPES && compiled; i++)
        passed = check(&cases[i], &kernels[i], device, i) &&
                 check_registers(nvrtc, &kernels[i], arena) && passed;
    printf("%d planes, %d trials each\n", SHAPES, TRIALS);
    run_release(kernels, SHAPES);
    device_free(device);
    nvrtc_close(nvrtc);
    arena_free(arena);
    return !passed;
}
