/* Rounding to fewer significant bits (bf16, tf32), as machine code and when compiling, against the
 * nearest of the two neighbours, found in double: of every pattern of the leading 16 bits, every
 * sign, exponent, subnormal number, infinity and NaN, those at, just below and just above the
 * points where a rounding turns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "compiler/graph/fold.h"
#include "tests/unit/emit_support.h"

static const uint16_t tails[] = {0,      1,      0x0fff, 0x1000, 0x1001, 0x2000, 0x2fff, 0x3000,
                                 0x3001, 0x4000, 0x7fff, 0x8000, 0x8001, 0xefff, 0xf000, 0xffff};
enum { TAILS = sizeof tails / sizeof *tails, COUNT = 65536 * TAILS + 5 }; /* + a vector's tail */

static float pattern(int64_t at) {
    uint32_t word = (uint32_t)(at / TAILS % 65536) << 16 | tails[at % TAILS];
    float number;
    memcpy(&number, &word, sizeof number);
    return number;
}

/* Of the multiples of the last place that `bits` leave, the nearer one, or the even one. */
static double nearest(double a, uint32_t bits) {
    int exponent;
    if (a == 0 || !isfinite(a)) return a;
    frexp(a, &exponent);
    if (exponent < -125)
        exponent = -125; /* subnormal numbers are as far apart as the least others */
    double unit = ldexp(1, exponent - (int)bits), whole = a / unit, low = floor(whole);
    double rest = whole - low;
    bool up = rest > 0.5 || (rest == 0.5 && fmod(low, 2) != 0);
    double value = (up ? low + 1 : low) * unit;
    return fabs(value) >= 0x1p128 ? copysign(INFINITY, a) : value;
}

static void check(float a, float found, uint32_t bits) {
    double want = nearest((double)a, bits), number = (double)a, folded;
    assert_true(fold(OP_ROUND, E_F32, E_F32, &number, bits, &folded));
    if (isnan(a)) assert_true(isnan(found) && isnan(folded));
    if (isnan(a)) return;
    if ((double)found != want || signbit(found) != signbit(a) || folded != want)
        fail_msg("%a to %u bits is %a, folded %a, not %a", (double)a, bits, (double)found, folded,
                 want);
}

static void round_all(uint32_t bits, uint32_t lanes, const char *cpu) {
    Bench bench = bench_new("rounded", lanes);
    bench.cpu = cpu;
    if (!cpu_runs(cpu, bench.arena)) skip();
    uint32_t i = add_axis(&bench, "i", COUNT);
    Buffer *x = add_buffer(&bench, "x", E_F32, COUNT), *y = add_buffer(&bench, "y", E_F32, COUNT);
    int value = op(&bench, OP_ROUND, E_F32, load(&bench, x, affine(0, i, 1, -1)), -1, -1);
    bench.kernel->exprs.at[value].index = bits;
    Stage *stage = add_stage(&bench, 1u << i, lanes > 1 ? (int)i : -1, 1);
    add_store(&bench, stage, y, affine(0, i, 1, -1), value);
    void (*rounded)(const float *, float *) =
        (void (*)(const float *, float *))compile_kernel(&bench);
    float *in = malloc(COUNT * sizeof *in), *out = malloc(COUNT * sizeof *out);
    for (int64_t k = 0; k < COUNT; k++) in[k] = pattern(k);
    rounded(in, out);
    for (int64_t k = 0; k < COUNT; k++) check(in[k], out[k], bits);
    free(in);
    free(out);
    arena_free(bench.arena);
}

static void bf16(void **state) {
    (void)state;
    round_all(8, 1, "x86-64");
    round_all(8, 16, "native");
}

static void tf32(void **state) {
    (void)state;
    round_all(11, 8, "native");
}

/* A number that has no more bits stays what it is, to the bit: every bf16 number among them. */
static void short_numbers_stay(void **state) {
    (void)state;
    for (uint32_t high = 0; high < 65536; high++) {
        double number = (double)pattern((int64_t)high * TAILS), rounded;
        assert_true(fold(OP_ROUND, E_F32, E_F32, &number, 8, &rounded));
        assert_true(isnan(number) ? isnan(rounded) : !memcmp(&number, &rounded, sizeof number));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(bf16), cmocka_unit_test(tf32),
                                       cmocka_unit_test(short_numbers_stay)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
