/* Floating point. What rounds to nearest is the host's own instruction. What rounds otherwise
 * starts from the nearest, finds on which side of it the exact result lies, with a wider type that
 * holds the error exactly, and steps to the neighbour where that is asked for. The approximate
 * functions are computed in double precision and rounded: more exact than the hardware's.
 *
 * f32 results that are no number are 0x7fffffff, as on the hardware. */
#include "tests/vgpu/alu.h"

__extension__ typedef __float128 Wide;

/* ---- neighbours ---- */

INLINE float flush(float x) {
    return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x;
}

INLINE float canonical(float x) {
    return float_of_bits(x != x ? UINT32_C(0x7fffffff) : bits_of_float(x));
}

INLINE float saturated(float x) {
    return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f;
}

INLINE float next_up_f32(float x) {
    uint32_t bits = bits_of_float(x);
    return x == 0 ? 0x1p-149f : float_of_bits(x > 0 ? bits + 1 : bits - 1);
}

INLINE double next_up_f64(double x) {
    uint64_t bits = bits_of_double(x);
    return x == 0 ? 0x1p-1074 : double_of_bits(x > 0 ? bits + 1 : bits - 1);
}

/* `error` has the sign of the exact result minus `nearest`. */
#define DIRECTED(KIND, FLOAT, WIDE)                                                                \
    INLINE FLOAT directed_##KIND(FLOAT nearest, WIDE error, uint32_t mode) {                       \
        bool down = error < 0 && (mode == ROUND_DOWN || (mode == ROUND_ZERO && nearest > 0));      \
        bool up = error > 0 && (mode == ROUND_UP || (mode == ROUND_ZERO && nearest < 0));          \
        return down ? -next_up_##KIND(-nearest) : up ? next_up_##KIND(nearest) : nearest;          \
    }                                                                                              \
    /* product + c, where the product is exact and `nearest` is that, rounded to nearest */        \
    INLINE FLOAT directed_sum_##KIND(FLOAT nearest, WIDE product, WIDE c, uint32_t mode) {         \
        WIDE sum = product + c, back = sum - product;                                              \
        WIDE rest = (product - (sum - back)) + (c - back); /* Knuth's two-sum */                   \
        WIDE error = (sum - (WIDE)nearest) + rest;                                                 \
        bool minus_zero = mode == ROUND_DOWN && nearest == 0 && sum == 0 &&                        \
                          (bool)signbit((FLOAT)product) != (bool)signbit((FLOAT)c);                \
        return minus_zero ? -(FLOAT)0 : directed_##KIND(nearest, error, mode);                     \
    }                                                                                              \
    INLINE FLOAT divided_##KIND(FLOAT a, FLOAT b, uint32_t mode) {                                 \
        FLOAT nearest = a / b;                                                                     \
        WIDE error = (WIDE)a - (WIDE)nearest * b;                                                  \
        return directed_##KIND(nearest, b < 0 ? -error : error, mode);                             \
    }                                                                                              \
    INLINE FLOAT rooted_##KIND(FLOAT a, FLOAT nearest, uint32_t mode) {                            \
        return directed_##KIND(nearest, (WIDE)a - (WIDE)nearest * nearest, mode);                  \
    }
DIRECTED(f32, float, double)
DIRECTED(f64, double, Wide)

INLINE float finished(float x, bool flushes, bool saturates) {
    x = canonical(x);
    x = flushes ? flush(x) : x;
    return saturates ? saturated(x) : x;
}

/* ---- f32: add, sub, mul, fma, div, rcp, sqrt ---- */

BINARY(run_add_f32, F32, F32, F32, canonical(a + b))
BINARY(run_sub_f32, F32, F32, F32, canonical(a - b))
BINARY(run_mul_f32, F32, F32, F32, canonical(a *b))
TERNARY(run_fma_f32, F32, F32, F32, F32, canonical(__builtin_fmaf(a, b, c)))
BINARY(run_div_f32, F32, F32, F32, canonical(a / b))
UNARY(run_rcp_f32, F32, F32, canonical(1.0f / a))
UNARY(run_sqrt_f32, F32, F32, canonical(__builtin_sqrtf(a)))

#define MODE (instr->rounding & ROUND_MODE)
#define IN(x) (instr->rounding & ROUND_FLUSH ? flush(x) : (x))
#define OUT(x) finished(x, instr->rounding &ROUND_FLUSH, instr->saturate)
#define SUM_OF(a, b) directed_sum_f32((a) + (b), a, b, MODE)
BINARY(run_add_f32_general, F32, F32, F32, OUT(SUM_OF(IN(a), IN(b))))
BINARY(run_sub_f32_general, F32, F32, F32, OUT(SUM_OF(IN(a), -IN(b))))

INLINE float product_f32(float a, float b, uint32_t mode) {
    float nearest = a * b;
    return directed_f32(nearest, (double)a * b - (double)nearest, mode);
}

INLINE float fused_f32(float a, float b, float c, uint32_t mode) {
    return directed_sum_f32(__builtin_fmaf(a, b, c), (double)a * b, c, mode);
}

BINARY(run_mul_f32_general, F32, F32, F32, OUT(product_f32(IN(a), IN(b), MODE)))
TERNARY(run_fma_f32_general, F32, F32, F32, F32, OUT(fused_f32(IN(a), IN(b), IN(c), MODE)))
BINARY(run_div_f32_general, F32, F32, F32, OUT(divided_f32(IN(a), IN(b), MODE)))
UNARY(run_rcp_f32_general, F32, F32, OUT(divided_f32(1.0f, IN(a), MODE)))
UNARY(run_sqrt_f32_general, F32, F32, OUT(rooted_f32(IN(a), __builtin_sqrtf(IN(a)), MODE)))

/* ---- f64 ---- */

BINARY(run_add_f64, F64, F64, F64, a + b)
BINARY(run_sub_f64, F64, F64, F64, a - b)
BINARY(run_mul_f64, F64, F64, F64, a *b)
TERNARY(run_fma_f64, F64, F64, F64, F64, __builtin_fma(a, b, c))
BINARY(run_div_f64, F64, F64, F64, a / b)
UNARY(run_rcp_f64, F64, F64, 1.0 / a)
UNARY(run_sqrt_f64, F64, F64, __builtin_sqrt(a))

SLOW_BINARY(run_add_f64_general, F64, F64, F64, directed_sum_f64(a + b, a, b, MODE))
SLOW_BINARY(run_sub_f64_general, F64, F64, F64, directed_sum_f64(a - b, a, -b, MODE))
SLOW_BINARY(run_mul_f64_general, F64, F64, F64,
            directed_f64(a *b, (Wide)a *b - (Wide)(a * b), MODE))
SLOW_TERNARY(run_fma_f64_general, F64, F64, F64, F64,
             directed_sum_f64(__builtin_fma(a, b, c), (Wide)a *b, c, MODE))
SLOW_BINARY(run_div_f64_general, F64, F64, F64, divided_f64(a, b, MODE))
SLOW_UNARY(run_rcp_f64_general, F64, F64, divided_f64(1.0, a, MODE))
SLOW_UNARY(run_sqrt_f64_general, F64, F64, rooted_f64(a, sqrt(a), MODE))

/* ---- min, max: the number wins over what is none, +0 is more than -0 ---- */

INLINE float smaller_f32(float a, float b) {
    float equal = float_of_bits(bits_of_float(a) | bits_of_float(b));
    return canonical(a < b || b != b ? a : b < a || a != a ? b : equal);
}

INLINE float larger_f32(float a, float b) {
    float equal = float_of_bits(bits_of_float(a) & bits_of_float(b));
    return canonical(a > b || b != b ? a : b > a || a != a ? b : equal);
}

INLINE double smaller_f64(double a, double b) {
    double equal = double_of_bits(bits_of_double(a) | bits_of_double(b));
    return a < b || b != b ? a : b < a || a != a ? b : equal;
}

INLINE double larger_f64(double a, double b) {
    double equal = double_of_bits(bits_of_double(a) & bits_of_double(b));
    return a > b || b != b ? a : b > a || a != a ? b : equal;
}

#define NAN_F32 float_of_bits(0x7fffffff)
BINARY(run_min_f32, F32, F32, F32, smaller_f32(a, b))
BINARY(run_max_f32, F32, F32, F32, larger_f32(a, b))
BINARY(run_min_f32_general, F32, F32, F32, OUT(smaller_f32(IN(a), IN(b))))
BINARY(run_max_f32_general, F32, F32, F32, OUT(larger_f32(IN(a), IN(b))))
BINARY(run_min_nan_f32, F32, F32, F32, a != a || b != b ? NAN_F32 : smaller_f32(a, b))
BINARY(run_max_nan_f32, F32, F32, F32, a != a || b != b ? NAN_F32 : larger_f32(a, b))
BINARY(run_min_f64, F64, F64, F64, smaller_f64(a, b))
BINARY(run_max_f64, F64, F64, F64, larger_f64(a, b))

/* ---- signs ---- */

UNARY(run_neg_f32, U32, U32, a ^ UINT32_C(0x80000000))
UNARY(run_abs_f32, U32, U32, a &UINT32_C(0x7fffffff))
UNARY(run_neg_f32_general, F32, F32, flush(-a))
UNARY(run_abs_f32_general, F32, F32, flush(fabsf(a)))
UNARY(run_neg_f64, U64, U64, a ^ (UINT64_C(1) << 63))
UNARY(run_abs_f64, U64, U64, a &(UINT64_MAX >> 1))
BINARY(run_copysign_f32, U32, U32, U32, (b & UINT32_C(0x7fffffff)) | (a & UINT32_C(0x80000000)))
BINARY(run_copysign_f64, U64, U64, U64, (b & (UINT64_MAX >> 1)) | (a & (UINT64_C(1) << 63)))

/* ---- approximations ---- */

#define APPROXIMATE(NAME, ...) SLOW_UNARY(run_##NAME##_approx, F32, F32, OUT((float)(__VA_ARGS__)))
#define X ((double)IN(a))
APPROXIMATE(ex2, exp2(X))
APPROXIMATE(lg2, log2(X))
APPROXIMATE(rcp, 1.0 / X)
APPROXIMATE(rsqrt, 1.0 / sqrt(X))
APPROXIMATE(sqrt, sqrt(X))
APPROXIMATE(sin, sin(X))
APPROXIMATE(cos, cos(X))
APPROXIMATE(tanh, tanh(X))
SLOW_BINARY(run_div_approx, F32, F32, F32, OUT(IN(a) / IN(b)))

/* The upper half of the result; the lower is zero. */
INLINE double upper_half(double x) {
    return double_of_bits(bits_of_double(x) & UINT64_C(0xffffffff00000000));
}

INLINE double flush_f64(double x) {
    return fabs(x) < 0x1p-1022 ? copysign(0, x) : x;
}

SLOW_UNARY(run_rcp_approx_f64, F64, F64, upper_half(flush_f64(1.0 / flush_f64(a))))
SLOW_UNARY(run_rsqrt_approx_ftz_f64, F64, F64, upper_half(1.0 / sqrt(flush_f64(a))))
SLOW_UNARY(run_rsqrt_approx_f64, F64, F64, 1.0 / sqrt(a))

/* ---- halves, alone and in pairs ---- */

/* a * b + c rounded to odd: rounding that once more to a half is rounding once. */
INLINE double fused_odd(double a, double b, double c) {
    double product = a * b, sum = product + c, back = sum - product;
    double rest = (product - (sum - back)) + (c - back);
    uint64_t bits = bits_of_double(sum);
    if (!(rest < 0 || rest > 0) || bits & 1) return sum;
    return double_of_bits((rest > 0) == (sum > 0) ? bits + 1 : bits - 1);
}

#define HALF(KIND, NAME)                                                                           \
    SLOW_BINARY(run_add_##NAME, KIND, KIND, KIND, fused_odd(a, 1, b))                              \
    SLOW_BINARY(run_sub_##NAME, KIND, KIND, KIND, fused_odd(b, -1, a))                             \
    SLOW_BINARY(run_mul_##NAME, KIND, KIND, KIND, a *b)                                            \
    SLOW_TERNARY(run_fma_##NAME, KIND, KIND, KIND, KIND, fused_odd(a, b, c))                       \
    SLOW_BINARY(run_min_##NAME, KIND, KIND, KIND, smaller_f64(a, b))                               \
    SLOW_BINARY(run_max_##NAME, KIND, KIND, KIND, larger_f64(a, b))                                \
    SLOW_BINARY(run_min_nan_##NAME, KIND, KIND, KIND, a != a ? a : b != b ? b : smaller_f64(a, b)) \
    SLOW_BINARY(run_max_nan_##NAME, KIND, KIND, KIND, a != a ? a : b != b ? b : larger_f64(a, b))
HALF(F16, f16)
HALF(BF16, bf16)
UNARY(run_neg_half, U32, U32, a ^ 0x8000)
UNARY(run_abs_half, U32, U32, a & 0x7fff)
UNARY(run_neg_halves, U32, U32, a ^ UINT32_C(0x80008000))
UNARY(run_abs_halves, U32, U32, a &UINT32_C(0x7fff7fff))

/* A pair: the instruction for one half, run for the lower and the upper halves. */
static void run_pairs(const Instr *instr, unsigned char *registers, uint32_t mask, Run *half) {
    uint32_t in[3][2][LANES] = {0}, result[2][LANES];
    for (uint32_t i = 0; i < 3 && instr->s[i].given; i++) {
        ALU_SOURCE(i, U32, from);
        for (uint32_t lane = 0; lane < LANES; lane++) {
            in[i][0][lane] = from[lane] & 0xffff;
            in[i][1][lane] = from[lane] >> 16;
        }
    }
    for (uint32_t part = 0; part < 2; part++) {
        Instr one = *instr;
        for (uint32_t i = 0; i < 3; i++) one.s[i].constant = in[i][part];
        one.d[0].at = 0;
        half(&one, (unsigned char *)result[part], mask);
    }
    row_U32 *to = (row_U32 *)(registers + instr->d[0].at);
    SLOW_LOOP to[lane] = result[0][lane] | result[1][lane] << 16;
}

#define PAIR(NAME)                                                                                 \
    static void run_##NAME##x2(const Instr *instr, unsigned char *registers, uint32_t mask) {      \
        run_pairs(instr, registers, mask, run_##NAME);                                             \
    }
#define PAIRS(TYPE)                                                                                \
    PAIR(add_##TYPE)                                                                               \
    PAIR(sub_##TYPE)                                                                               \
    PAIR(mul_##TYPE)                                                                               \
    PAIR(fma_##TYPE)                                                                               \
    PAIR(min_##TYPE)                                                                               \
    PAIR(max_##TYPE)                                                                               \
    PAIR(min_nan_##TYPE)                                                                           \
    PAIR(max_nan_##TYPE)
PAIRS(f16)
PAIRS(bf16)

/* ---- the table ---- */

#define ROW(KEY, RUN, SHAPE)                                                                       \
    { KEY, RUN, NULL, SHAPE }
#define BOTH(KEY, NAME, SHAPE)                                                                     \
    { KEY, run_##NAME, run_##NAME##_general, SHAPE }
#define ARITHMETIC(TYPE)                                                                           \
    BOTH("add." #TYPE, add_##TYPE, "t=tt"), BOTH("sub." #TYPE, sub_##TYPE, "t=tt"),                \
        BOTH("mul." #TYPE, mul_##TYPE, "t=tt"), BOTH("fma." #TYPE, fma_##TYPE, "t=ttt"),           \
        BOTH("mad." #TYPE, fma_##TYPE, "t=ttt"), BOTH("div." #TYPE, div_##TYPE, "t=tt"),           \
        BOTH("rcp." #TYPE, rcp_##TYPE, "t=t"), BOTH("sqrt." #TYPE, sqrt_##TYPE, "t=t")
#define HALF_ROWS(TYPE)                                                                            \
    ROW("add." #TYPE, run_add_##TYPE, "t=tt"), ROW("sub." #TYPE, run_sub_##TYPE, "t=tt"),          \
        ROW("mul." #TYPE, run_mul_##TYPE, "t=tt"), ROW("fma." #TYPE, run_fma_##TYPE, "t=ttt"),     \
        ROW("min." #TYPE, run_min_##TYPE, "t=tt"), ROW("max." #TYPE, run_max_##TYPE, "t=tt"),      \
        ROW("min.NaN." #TYPE, run_min_nan_##TYPE, "t=tt"),                                         \
        ROW("max.NaN." #TYPE, run_max_nan_##TYPE, "t=tt")
#define APPROXIMATE_ROW(NAME)                                                                      \
    { #NAME ".approx.f32", run_##NAME##_approx, run_##NAME##_approx, "t=t" }

const AluRow alu_float_rows[] = {
    ARITHMETIC(f32),
    ARITHMETIC(f64),
    HALF_ROWS(f16),
    HALF_ROWS(bf16),
    HALF_ROWS(f16x2),
    HALF_ROWS(bf16x2),
    BOTH("min.f32", min_f32, "t=tt"),
    BOTH("max.f32", max_f32, "t=tt"),
    ROW("min.NaN.f32", run_min_nan_f32, "t=tt"),
    ROW("max.NaN.f32", run_max_nan_f32, "t=tt"),
    ROW("min.f64", run_min_f64, "t=tt"),
    ROW("max.f64", run_max_f64, "t=tt"),
    BOTH("neg.f32", neg_f32, "t=t"),
    BOTH("abs.f32", abs_f32, "t=t"),
    ROW("neg.f64", run_neg_f64, "t=t"),
    ROW("abs.f64", run_abs_f64, "t=t"),
    ROW("neg.f16", run_neg_half, "t=t"),
    ROW("abs.f16", run_abs_half, "t=t"),
    ROW("neg.bf16", run_neg_half, "t=t"),
    ROW("abs.bf16", run_abs_half, "t=t"),
    ROW("neg.f16x2", run_neg_halves, "t=t"),
    ROW("abs.f16x2", run_abs_halves, "t=t"),
    ROW("neg.bf16x2", run_neg_halves, "t=t"),
    ROW("abs.bf16x2", run_abs_halves, "t=t"),
    ROW("copysign.f32", run_copysign_f32, "t=tt"),
    ROW("copysign.f64", run_copysign_f64, "t=tt"),
    APPROXIMATE_ROW(ex2),
    APPROXIMATE_ROW(lg2),
    APPROXIMATE_ROW(rcp),
    APPROXIMATE_ROW(rsqrt),
    APPROXIMATE_ROW(sqrt),
    APPROXIMATE_ROW(sin),
    APPROXIMATE_ROW(cos),
    APPROXIMATE_ROW(tanh),
    {"div.approx.f32", run_div_approx, run_div_approx, "t=tt"},
    {"div.full.f32", run_div_approx, run_div_approx, "t=tt"},
    {"rcp.approx.f64", run_rcp_approx_f64, run_rcp_approx_f64, "t=t"},
    {"rsqrt.approx.f64", run_rsqrt_approx_f64, run_rsqrt_approx_ftz_f64, "t=t"},
};
const uint32_t alu_float_count = sizeof alu_float_rows / sizeof *alu_float_rows;
