/* Elementwise kernels, tails, reductions, guards, gathers, integers: against plain C. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/unit/emit_support.h"

static const int64_t extents[] = {1, 2, 7, 15, 16, 17, 31, 33, 64, 100, 133};
enum { EXTENTS = sizeof extents / sizeof *extents };

/* y[i] = max(a[i] * x[i] + 3, 0) with x strided: every tail, vectors and scalars give the same
 * bits. */
static void map_one(int64_t extent, uint32_t lanes, uint32_t unroll, int stride, float *out) {
    Bench bench = bench_new("map", lanes);
    uint32_t i = add_axis(&bench, "i", extent);
    Buffer *a = add_buffer(&bench, "a", E_F32, extent), *y = add_buffer(&bench, "y", E_F32, extent);
    Buffer *x = add_buffer(&bench, "x", E_F32, extent * stride);
    int scaled = product(&bench, E_F32, load(&bench, a, affine(0, i, 1, -1)),
                         load(&bench, x, affine(0, i, stride, -1)));
    int sum = op(&bench, OP_ADD, E_F32, scaled, constant(&bench, E_F32, 3), -1);
    int value = op(&bench, OP_MAX, E_F32, sum, constant(&bench, E_F32, 0), -1);
    Stage *stage = add_stage(&bench, 1u << i, lanes > 1 ? (int)i : -1, unroll);
    add_store(&bench, stage, y, affine(0, i, 1, -1), value);
    void (*run)(const float *, float *, const float *) =
        (void (*)(const float *, float *, const float *))compile_kernel(&bench);
    float as[256], xs[1024];
    uint32_t state = 3;
    for (int j = 0; j < 256; j++) as[j] = 8 * test_real(&state);
    for (int j = 0; j < 1024; j++) xs[j] = test_real(&state);
    as[0] = NAN;
    for (int j = 0; j < 256; j++) out[j] = -1;
    run(as, out, xs);
    for (int64_t j = 0; j < extent; j++) {
        float exact = fmaf(as[j], xs[j * stride], 3);
        if (isnan(exact))
            assert_true(isnan(out[j]));
        else
            assert_true(fabsf(out[j] - (exact > 0 ? exact : 0)) < 1e-6f);
    }
    for (int64_t j = extent; j < 256; j++) assert_true(out[j] == -1);
    arena_free(bench.arena);
}

static void maps_with_every_tail(void **unused) {
    (void)unused;
    float vector[256], scalar[256];
    for (int i = 0; i < EXTENTS; i++) {
        map_one(extents[i], 16, 1 + i % 4, 1 + i % 3, vector);
        map_one(extents[i], 1, 1, 1 + i % 3, scalar);
        assert_memory_equal(vector, scalar, sizeof vector);
    }
}

/* softmax of rows: two reductions along the vector axis and a map that reads them. */
static void softmax_rows(int64_t rows, int64_t columns, Elem elem, uint32_t lanes, bool across) {
    Bench bench = bench_new("softmax", lanes);
    uint32_t i = add_axis(&bench, "i", rows), j = add_axis(&bench, "j", columns);
    bench.kernel->outer_count = 1;
    Buffer *x = add_buffer(&bench, "x", elem, rows * columns);
    Buffer *y = add_buffer(&bench, "y", elem, rows * columns);
    Affine at = affine(0, i, (int)columns, j, 1, -1);
    int axis = across ? (int)i : (int)j;
    int logit = load(&bench, x, at);
    add_reduction(&bench, add_stage(&bench, 1u << j, axis, 2), OP_REDUCE_MAX, logit);
    int most = result(&bench, elem, 0, 0);
    int power = op(&bench, OP_EXP, elem, op(&bench, OP_SUB, elem, logit, most, -1), -1, -1);
    add_reduction(&bench, add_stage(&bench, 1u << j, axis, 3), OP_SUM, power);
    int sum = result(&bench, elem, 1, 0);
    Stage *stage = add_stage(&bench, 1u << j, axis, 1);
    add_store(&bench, stage, y, at, op(&bench, OP_DIV, elem, power, sum, -1));
    void (*run)(const void *, void *) = (void (*)(const void *, void *))compile_kernel(&bench);
    uint32_t state = 5;
    int64_t count = rows * columns;
    float *xs = calloc((size_t)count, sizeof *xs), *ys = calloc((size_t)count, sizeof *ys);
    double *xd = calloc((size_t)count, sizeof *xd), *yd = calloc((size_t)count, sizeof *yd);
    for (int64_t at_i = 0; at_i < count; at_i++) {
        xs[at_i] = 10 * test_real(&state);
        xd[at_i] = xs[at_i];
    }
    if (elem == E_F32)
        run(xs, ys);
    else
        run(xd, yd);
    for (int64_t row = 0; row < rows; row++) {
        double total = 0, top = -INFINITY;
        for (int64_t c = 0; c < columns; c++) top = fmax(top, xd[row * columns + c]);
        for (int64_t c = 0; c < columns; c++) total += exp(xd[row * columns + c] - top);
        for (int64_t c = 0; c < columns; c++) {
            double want = exp(xd[row * columns + c] - top) / total;
            double got = elem == E_F32 ? (double)ys[row * columns + c] : yd[row * columns + c];
            assert_true(fabs(got - want) < (elem == E_F32 ? 2e-6 : 1e-14));
        }
    }
    free(xs), free(ys), free(xd), free(yd);
    arena_free(bench.arena);
}

static void reduces_rows(void **unused) {
    (void)unused;
    for (int i = 0; i < EXTENTS; i += 2) softmax_rows(5, extents[i], E_F32, 16, false);
    softmax_rows(3, 10, E_F64, 8, false);
    softmax_rows(3, 37, E_F64, 8, false);
    softmax_rows(3, 10, E_F32, 1, false);
}

/* The vector axis is the outer one: each lane has a row of its own. */
static void reduces_across_lanes(void **unused) {
    (void)unused;
    softmax_rows(16, 10, E_F32, 16, true);
    softmax_rows(37, 3, E_F32, 16, true);
    softmax_rows(13, 5, E_F64, 8, true);
}

static void maximum_keeps_nan(void **unused) {
    (void)unused;
    for (int place = 0; place < 37; place += 6) {
        Bench bench = bench_new("max", 16);
        uint32_t i = add_axis(&bench, "i", 37);
        Buffer *x = add_buffer(&bench, "x", E_F32, 37), *y = add_buffer(&bench, "y", E_F32, 1);
        add_reduction(&bench, add_stage(&bench, 1u << i, (int)i, 2), OP_REDUCE_MAX,
                      load(&bench, x, affine(0, i, 1, -1)));
        Stage *stage = add_stage(&bench, 0, -1, 1);
        add_store(&bench, stage, y, affine(0, -1), result(&bench, E_F32, 0, 0));
        void (*run)(const float *, float *) =
            (void (*)(const float *, float *))compile_kernel(&bench);
        float xs[37] = {0}, out;
        for (int j = 0; j < 37; j++) xs[j] = (float)-j - 1;
        run(xs, &out);
        assert_true(out == -1);
        xs[place] = NAN;
        run(xs, &out);
        assert_true(isnan(out));
        arena_free(bench.arena);
    }
}

/* y[b, j] = x[index[b], j] / 255 where 2 <= j, of bytes; and a bool: is it above one half. */
static void gather_rows(int64_t rows, int64_t columns, uint32_t lanes, bool across) {
    Bench bench = bench_new("gather", lanes);
    uint32_t b = add_axis(&bench, "b", rows), j = add_axis(&bench, "j", columns);
    bench.kernel->outer_count = across ? 1 : 0;
    Buffer *x = add_buffer(&bench, "x", E_U8, 50 * columns);
    Buffer *index = add_buffer(&bench, "index", E_I32, rows);
    Buffer *y = add_buffer(&bench, "y", E_F32, rows * columns);
    Buffer *flag = add_buffer(&bench, "flag", E_BOOL, rows * columns);
    bench.kernel->index = index;
    int place = add_expr(&bench, (Expr){.kind = X_AXIS,
                                        .elem = E_I32,
                                        .at = affine(0, j, 1, -1),
                                        .in = {-1, -1, -1},
                                        .gather = -1,
                                        .guard = -1,
                                        .lookup = -1});
    int inside = op(&bench, OP_LE, E_BOOL, constant(&bench, E_I32, 2), place, -1);
    int byte = load(&bench, x, affine(0, b, (int)columns, j, 1, -1));
    bench.kernel->exprs.at[byte].gather = (int)b;
    bench.kernel->exprs.at[byte].guard = inside;
    int real = op(&bench, OP_CAST, E_F32, byte, -1, -1);
    int value = op(&bench, OP_DIV, E_F32, real, constant(&bench, E_F32, 255), -1);
    int above = op(&bench, OP_LT, E_BOOL, constant(&bench, E_F32, 0.5), value, -1);
    Stage *stage = add_stage(&bench, across ? 1u << j : 1u << b | 1u << j,
                             lanes == 1 ? -1
                             : across   ? (int)b
                                        : (int)j,
                             2);
    Affine at = affine(0, b, (int)columns, j, 1, -1);
    add_store(&bench, stage, y, at, value);
    add_store(&bench, stage, flag, at, above);
    void (*run)(const uint8_t *, const int32_t *, float *, uint8_t *) =
        (void (*)(const uint8_t *, const int32_t *, float *, uint8_t *))compile_kernel(&bench);
    uint8_t *xs = malloc((size_t)(50 * columns)), *flags = malloc((size_t)(rows * columns));
    float *ys = malloc((size_t)(rows * columns) * sizeof *ys);
    int32_t *rows_of = malloc((size_t)rows * sizeof *rows_of);
    uint32_t state = 11;
    for (int64_t i = 0; i < 50 * columns; i++) xs[i] = (uint8_t)test_random(&state);
    for (int64_t i = 0; i < rows; i++) rows_of[i] = (int32_t)(test_random(&state) % 50);
    run(xs, rows_of, ys, flags);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) {
            float want = c < 2 ? 0 : (float)xs[rows_of[r] * columns + c] / 255.0f;
            assert_true(ys[r * columns + c] == want);
            assert_int_equal(flags[r * columns + c], want > 0.5f);
        }
    free(xs), free(flags), free(ys), free(rows_of);
    arena_free(bench.arena);
}

static void gathers_with_guards(void **unused) {
    (void)unused;
    gather_rows(3, 100, 16, false);
    gather_rows(5, 9, 16, false);
    gather_rows(5, 9, 1, false);
    gather_rows(37, 5, 16, true);
}

/* Division and remainder of integers never trap. */
static void divides_integers(void **unused) {
    (void)unused;
    for (uint32_t lanes = 1; lanes <= 16; lanes *= 16) {
        Bench bench = bench_new("divide", lanes);
        uint32_t i = add_axis(&bench, "i", 6);
        Buffer *x = add_buffer(&bench, "x", E_I32, 6), *y = add_buffer(&bench, "y", E_I32, 6);
        Buffer *q = add_buffer(&bench, "q", E_I32, 6), *r = add_buffer(&bench, "r", E_I32, 6);
        Affine at = affine(0, i, 1, -1);
        int a = load(&bench, x, at), b = load(&bench, y, at);
        Stage *stage = add_stage(&bench, 1u << i, lanes > 1 ? (int)i : -1, 1);
        add_store(&bench, stage, q, at, op(&bench, OP_DIV, E_I32, a, b, -1));
        add_store(&bench, stage, r, at, op(&bench, OP_MOD, E_I32, a, b, -1));
        void (*run)(const int32_t *, const int32_t *, int32_t *, int32_t *) = (void (*)(
            const int32_t *, const int32_t *, int32_t *, int32_t *))compile_kernel(&bench);
        const int32_t xs[] = {7, -7, 7, -7, INT32_MIN, 5}, ys[] = {2, 2, -2, -2, -1, 0};
        const int32_t quotients[] = {3, -3, -3, 3, INT32_MIN, 0}, rests[] = {1, 1, -1, -1, 0, 0};
        int32_t qs[6], rs[6];
        run(xs, ys, qs, rs);
        assert_memory_equal(qs, quotients, sizeof qs);
        assert_memory_equal(rs, rests, sizeof rs);
        arena_free(bench.arena);
    }
}

/* state = decay * state + g; param = param - rate * state: both read what they replace. */
static void updates_in_place(void **unused) {
    (void)unused;
    Bench bench = bench_new("update", 16);
    uint32_t i = add_axis(&bench, "i", 45);
    Buffer *param = add_buffer(&bench, "param", E_F32, 45);
    Buffer *state = add_buffer(&bench, "state", E_F32, 45), *g = add_buffer(&bench, "g", E_F32, 45);
    Buffer *hyper = add_buffer(&bench, "hyper", E_F64, 2);
    Affine at = affine(0, i, 1, -1);
    int decay = op(&bench, OP_CAST, E_F32, load(&bench, hyper, affine(0, -1)), -1, -1);
    int rate = op(&bench, OP_CAST, E_F32, load(&bench, hyper, affine(1, -1)), -1, -1);
    int old = load(&bench, state, at);
    int decayed = product(&bench, E_F32, decay, old);
    int fresh = op(&bench, OP_ADD, E_F32, decayed, load(&bench, g, at), -1);
    int move = product(&bench, E_F32, rate, op(&bench, OP_ADD, E_F32, fresh, old, -1));
    int moved = op(&bench, OP_SUB, E_F32, load(&bench, param, at), move, -1);
    Stage *stage = add_stage(&bench, 1u << i, (int)i, 2);
    add_store(&bench, stage, state, at, fresh);
    add_store(&bench, stage, param, at, moved);
    void (*run)(float *, float *, const float *, const double *) =
        (void (*)(float *, float *, const float *, const double *))compile_kernel(&bench);
    float ps[45], ss[45], gs[45];
    const double hypers[] = {0.9, 0.125};
    for (int j = 0; j < 45; j++) {
        ps[j] = (float)j;
        ss[j] = 2;
        gs[j] = (float)j / 8;
    }
    run(ps, ss, gs, hypers);
    for (int j = 0; j < 45; j++) {
        float want = fmaf(0.9f, 2, (float)j / 8);
        assert_true(ss[j] == want);
        assert_true(ps[j] == fmaf(-0.125f, want + 2, (float)j));
    }
    arena_free(bench.arena);
}

/* A step program: locates buffers of every space, advances the step. */
static void runs_a_step_program(void **unused) {
    (void)unused;
    Bench bench = bench_new("add", 1);
    Buffer *header = add_buffer(&bench, "header", E_U8, 40);
    Buffer *total = add_buffer(&bench, "total", E_F64, 1);
    Buffer *metric = add_buffer(&bench, "metric", E_F64, 1);
    header->space = SPACE_TRIAL;
    total->space = SPACE_TOTAL;
    metric->space = SPACE_METRIC;
    total->slot = 1;
    metric->slot = 2;
    bench.kernel->header = header;
    int step = add_expr(&bench, (Expr){.kind = X_STEP,
                                       .elem = E_F64,
                                       .in = {-1, -1, -1},
                                       .gather = -1,
                                       .guard = -1,
                                       .lookup = -1});
    int value = op(&bench, OP_ADD, E_F64, step, load(&bench, total, affine(0, -1)), -1);
    add_store(&bench, add_stage(&bench, 0, -1, 1), metric, affine(0, -1), value);
    StepProgram program = {.name = "train", .advance = true};
    vec_push(bench.arena, &program.kernels, bench.kernel);
    LlvmItem items[] = {
        {.program = &program, .symbol = "train", .kernel_symbols = (const char *[]){"add"}},
        {.kernel = bench.kernel, .symbol = "add"}};
    void (*run)(void *) = (void (*)(void *))compile_items(items, 2, bench.cpu, bench.arena);
    uint64_t trial[5] = {41};
    double totals[] = {0, 0.5}, metrics[3] = {0};
    void *context[] = {trial, NULL, NULL, NULL, NULL, totals, metrics};
    run(context);
    assert_true(metrics[2] == 41.5);
    assert_int_equal(trial[0], 42);
    arena_free(bench.arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_with_every_tail), cmocka_unit_test(reduces_rows),
        cmocka_unit_test(reduces_across_lanes), cmocka_unit_test(maximum_keeps_nan),
        cmocka_unit_test(gathers_with_guards),  cmocka_unit_test(divides_integers),
        cmocka_unit_test(updates_in_place),     cmocka_unit_test(runs_a_step_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
