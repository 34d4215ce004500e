/* Accuracy of the vectorised functions against libm in double, their limits, and Philox against the
 * published vectors. Vectors and scalars must give the same bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/unit/emit_support.h"

enum { COUNT = 1 << 16 };

typedef void (*Function)(const float *x, float *y);

static Function unary(Op kind, uint32_t lanes, const char *cpu) {
    Bench bench = bench_new("unary", lanes);
    bench.cpu = cpu;
    uint32_t i = add_axis(&bench, "i", COUNT);
    Buffer *x = add_buffer(&bench, "x", E_F32, COUNT), *y = add_buffer(&bench, "y", E_F32, COUNT);
    Affine at = affine(0, i, 1, -1);
    Stage *stage = add_stage(&bench, 1u << i, lanes > 1 ? (int)i : -1, 1);
    add_store(&bench, stage, y, at, op(&bench, kind, E_F32, load(&bench, x, at), -1, -1));
    Function run = (Function)compile_kernel(&bench);
    arena_free(bench.arena);
    return run;
}

typedef struct {
    const char *name;
    Op op;
    double (*exact)(double);
    double low, high, bound; /* arguments; largest error in ulp */
} Case;

static const Case cases[] = {
    {"exp", OP_EXP, exp, -104, 89, 2},   {"exp near 0", OP_EXP, exp, -1, 1, 2},
    {"log", OP_LOG, log, 1e-45, 1e4, 2}, {"log near 1", OP_LOG, log, 0.5, 2, 2},
    {"sin", OP_SIN, sin, -100, 100, 2},  {"sin far", OP_SIN, sin, -1e15, 1e15, 5},
    {"cos", OP_COS, cos, -100, 100, 2},  {"cos far", OP_COS, cos, -1e6, 1e6, 2},
    {"tanh", OP_TANH, tanh, -10, 10, 3}, {"tanh near 0", OP_TANH, tanh, -0.7, 0.7, 3},
    {"erf", OP_ERF, erf, -5, 5, 3},      {"erf near 0", OP_ERF, erf, -1, 1, 3},
};
enum { CASES = sizeof cases / sizeof *cases };

static void functions_are_accurate(void **unused) {
    (void)unused;
    static float x[COUNT], y[COUNT], z[COUNT];
    for (int at = 0; at < CASES; at++) {
        const Case *test = &cases[at];
        for (int i = 0; i < COUNT; i++)
            x[i] = (float)(test->low + (test->high - test->low) * i / (COUNT - 1));
        unary(test->op, 16, "native")(x, y);
        unary(test->op, 1, "native")(x, z);
        assert_memory_equal(y, z, sizeof y);
        double worst = 0;
        float where = 0;
        for (int i = 0; i < COUNT; i++) {
            double ulps = f32_ulps(y[i], test->exact(x[i]));
            if (ulps > worst) worst = ulps, where = x[i];
        }
        printf("%-12s at most %.2f ulp (at %g)\n", test->name, worst, (double)where);
        assert_true(worst <= test->bound);
    }
}

/* Without fused multiply-add a little is lost. */
static void functions_are_accurate_without_fma(void **unused) {
    (void)unused;
    static float x[COUNT], y[COUNT];
    for (int at = 0; at < CASES; at++) {
        const Case *test = &cases[at];
        for (int i = 0; i < COUNT; i++)
            x[i] = (float)(test->low + (test->high - test->low) * i / (COUNT - 1));
        unary(test->op, 4, "x86-64")(x, y);
        double worst = 0;
        for (int i = 0; i < COUNT; i++) worst = fmax(worst, f32_ulps(y[i], test->exact(x[i])));
        printf("%-12s at most %.2f ulp without fma\n", test->name, worst);
        assert_true(worst <= test->bound + 2);
    }
}

static void limits_are_kept(void **unused) {
    (void)unused;
    static float x[COUNT], y[COUNT];
    const float arguments[] = {-INFINITY, INFINITY, NAN, 0, -0.0f, -1, 100, -200, 1e-40f, 3e38f};
    enum { ARGUMENTS = sizeof arguments / sizeof *arguments };
    const struct {
        Op op;
        float want[ARGUMENTS];
    } limits[] = {
        {OP_EXP, {0, INFINITY, NAN, 1, 1, (float)0.36787944117144233, INFINITY, 0, 1, INFINITY}},
        {OP_LOG,
         {NAN, INFINITY, NAN, -INFINITY, -INFINITY, NAN, (float)4.605170185988092, NAN,
          (float)-92.10340371976183, (float)88.59684}},
        {OP_TANH, {-1, 1, NAN, 0, -0.0f, (float)-0.7615941559557649, 1, -1, 1e-40f, 1}},
        {OP_ERF, {-1, 1, NAN, 0, -0.0f, (float)-0.8427007929497149, 1, -1, 1.12838e-40f, 1}},
    };
    for (int at = 0; at < ARGUMENTS; at++) x[at] = arguments[at];
    for (int i = 0; i < 4; i++) {
        unary(limits[i].op, 16, "native")(x, y);
        for (int at = 0; at < ARGUMENTS; at++) {
            float want = limits[i].want[at], got = y[at];
            bool same = isnan(want)
                            ? isnan(got)
                            : got == want || fabsf(got - want) <= 3e-7f * fabsf(want) + 1e-44f;
            if (!same) print_error("op %d of %g is %g\n", i, (double)x[at], (double)got);
            assert_true(same);
        }
    }
    unary(OP_SIN, 16, "native")(x, y);
    assert_true(isnan(y[0]) && isnan(y[1]) && isnan(y[2]) && y[3] == 0 && isnan(y[9]));
}

static void doubles_are_libm(void **unused) {
    (void)unused;
    Bench bench = bench_new("double", 8);
    uint32_t i = add_axis(&bench, "i", 21);
    Buffer *x = add_buffer(&bench, "x", E_F64, 21), *y = add_buffer(&bench, "y", E_F64, 21);
    Affine at = affine(0, i, 1, -1);
    int value = load(&bench, x, at);
    value = op(&bench, OP_EXP, E_F64, op(&bench, OP_SIN, E_F64, value, -1, -1), -1, -1);
    value = op(&bench, OP_POW, E_F64, value, load(&bench, x, at), -1);
    add_store(&bench, add_stage(&bench, 1u << i, (int)i, 1), y, at, value);
    void (*run)(const double *, double *) =
        (void (*)(const double *, double *))compile_kernel(&bench);
    double xs[21], ys[21];
    for (int j = 0; j < 21; j++) xs[j] = j / 4.0;
    run(xs, ys);
    for (int j = 0; j < 21; j++) assert_true(ys[j] == pow(exp(sin(xs[j])), xs[j]));
    arena_free(bench.arena);
}

/* Random bits of element numbers `first`.. through a header with this key and step. */
static void random_bits(uint32_t lanes, const uint32_t key[2], uint64_t step, uint32_t site,
                        int64_t first, int64_t row, uint64_t first_example, int64_t count,
                        uint32_t *words) {
    Bench bench = bench_new("random", lanes);
    uint32_t i = add_axis(&bench, "i", count);
    Buffer *header = add_buffer(&bench, "header", E_U8, 40);
    bench.kernel->header = header;
    Buffer *y = add_buffer(&bench, "y", E_U32, 4 * count);
    Stage *stage = add_stage(&bench, 1u << i, lanes > 1 ? (int)i : -1, 1);
    for (int word = 0; word < 4; word++) {
        int bits = add_expr(&bench, (Expr){.kind = X_RANDOM,
                                           .elem = E_U32,
                                           .site = site,
                                           .word = (uint32_t)word,
                                           .row = row,
                                           .at = affine(first, i, 1, -1),
                                           .in = {-1, -1, -1},
                                           .gather = -1,
                                           .guard = -1,
                                           .lookup = -1});
        stage = &bench.kernel->stages.at[0];
        add_store(&bench, stage, y, affine(word, i, 4, -1), bits);
    }
    void (*run)(const void *, uint32_t *) =
        (void (*)(const void *, uint32_t *))compile_kernel(&bench);
    uint64_t block[5] = {step, key[0] | (uint64_t)key[1] << 32, first_example};
    run(block, words);
    arena_free(bench.arena);
}

/* Known answers of Random123's kat_vectors: counter {e low, e high, step, site}. */
static void philox_is_philox(void **unused) {
    (void)unused;
    uint32_t words[4 * 37];
    const uint32_t zero[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    random_bits(16, (uint32_t[]){0, 0}, 0, 0, 0, 0, 0, 37, words);
    assert_memory_equal(words, zero, sizeof zero);
    const uint32_t ones[4] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
    random_bits(16, (uint32_t[]){~0u, ~0u}, ~0u, ~0u, -1, 0, 0, 3, words);
    assert_memory_equal(words, ones, sizeof ones);
    const uint32_t digits[4] = {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1};
    random_bits(1, (uint32_t[]){0xa4093822, 0x299f31d0}, 0x13198a2e, 0x03707344,
                (int64_t)0x85a308d3243f6a88, 0, 0, 2, words);
    assert_memory_equal(words, digits, sizeof digits);
}

/* Row r of a later call is the same row of one long call. */
static void generated_rows_do_not_depend_on_the_call(void **unused) {
    (void)unused;
    uint32_t all[4 * 37], part[4 * 5];
    const uint32_t key[2] = {1, 2};
    random_bits(16, key, 0, 9, 0, 5, 0, 37, all);
    random_bits(16, key, 0, 9, 0, 5, 3, 5, part);
    assert_memory_equal(all + 4 * 15, part, sizeof part);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_are_accurate),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(functions_are_accurate_without_fma),
        cmocka_unit_test(doubles_are_libm),
        cmocka_unit_test(philox_is_philox),
        cmocka_unit_test(generated_rows_do_not_depend_on_the_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
