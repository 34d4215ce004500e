/* cvt: integers among themselves, to and from floating point, between formats. */
#include "tests/vgpu/alu.h"

__extension__ typedef __int128 Integer; /* holds every u64 and s64 */
__extension__ typedef __float128 Wide;  /* and so does this */

#define MODE (instr->rounding & ROUND_MODE)
#define FLUSHES (instr->rounding & ROUND_FLUSH)

/* ---- integer to integer: cut or extended; .sat clamps ---- */

#define LEAST_U8 0
#define LEAST_U16 0
#define LEAST_U32 0
#define LEAST_U64 0
#define LEAST_S8 INT8_MIN
#define LEAST_S16 INT16_MIN
#define LEAST_S32 INT32_MIN
#define LEAST_S64 INT64_MIN
#define MOST_U8 UINT8_MAX
#define MOST_U16 UINT16_MAX
#define MOST_U32 UINT32_MAX
#define MOST_U64 UINT64_MAX
#define MOST_S8 INT8_MAX
#define MOST_S16 INT16_MAX
#define MOST_S32 INT32_MAX
#define MOST_S64 INT64_MAX

INLINE Integer clamped(Integer value, Integer least, Integer most) {
    return value < least ? least : value > most ? most : value;
}

/* What is cut to its low bits does not ask for its sign. */
#define INTEGERS(D, A) UNARY(run_##D##_##A, D, A, a)
#define SATURATED(D, A) SLOW_UNARY(run_sat_##D##_##A, D, A, clamped(a, LEAST_##D, MOST_##D))
#define FROM_EACH_INTEGER(MACRO, D)                                                                \
    MACRO(D, U8)                                                                                   \
    MACRO(D, S8) MACRO(D, U16) MACRO(D, S16) MACRO(D, U32) MACRO(D, S32) MACRO(D, U64) MACRO(D, S64)
#define TO_EACH_INTEGER(MACRO, A)                                                                  \
    MACRO(U8, A)                                                                                   \
    MACRO(S8, A) MACRO(U16, A) MACRO(S16, A) MACRO(U32, A) MACRO(S32, A) MACRO(U64, A) MACRO(S64, A)
#define EACH_INTEGER(MACRO)                                                                        \
    FROM_EACH_INTEGER(MACRO, U8)                                                                   \
    FROM_EACH_INTEGER(MACRO, U16)                                                                  \
    FROM_EACH_INTEGER(MACRO, U32)                                                                  \
    FROM_EACH_INTEGER(MACRO, U64)
EACH_INTEGER(INTEGERS)
EACH_INTEGER(SATURATED)
FROM_EACH_INTEGER(SATURATED, S8)
FROM_EACH_INTEGER(SATURATED, S16)
FROM_EACH_INTEGER(SATURATED, S32)
FROM_EACH_INTEGER(SATURATED, S64)

/* ---- floating point to integer: rounded, then clamped ---- */

INLINE double flush_f32(double x) {
    return fabs(x) < 0x1p-126 ? copysign(0, x) : x;
}

INLINE double integral(double x, uint32_t mode) {
    return mode == ROUND_ZERO   ? trunc(x)
           : mode == ROUND_DOWN ? floor(x)
           : mode == ROUND_UP   ? ceil(x)
                                : rint(x);
}

/* No number gives 0, or 2^(bits - 1) where 64 bits are on either side. */
#define NAN_TO_F16(D) (sizeof(lane_##D) == 8 ? UINT64_C(1) << 63 : 0)
#define NAN_TO_BF16(D) NAN_TO_F16(D)
#define NAN_TO_F32(D) NAN_TO_F16(D)
#define NAN_TO_F64(D) (UINT64_C(1) << (8 * sizeof(lane_##D) - 1))
#define TO_INTEGER(D, A)                                                                           \
    INLINE lane_##D integer_##D##_##A(double x, uint32_t mode) {                                   \
        const double least = (double)LEAST_##D, most = (double)MOST_##D;                           \
        double rounded = integral(x, mode);                                                        \
        lane_##D clamped = rounded >= most      ? (lane_##D)MOST_##D                               \
                           : rounded <= least   ? (lane_##D)LEAST_##D                              \
                           : rounded == rounded ? (lane_##D)rounded                                \
                                                : (lane_##D)NAN_TO_##A(D);                         \
        return clamped;                                                                            \
    }                                                                                              \
    SLOW_UNARY(run_##D##_##A, D, A, integer_##D##_##A(FLUSHES ? flush_f32(a) : a, MODE))
TO_EACH_INTEGER(TO_INTEGER, F16)
TO_EACH_INTEGER(TO_INTEGER, BF16)
TO_EACH_INTEGER(TO_INTEGER, F32)
TO_EACH_INTEGER(TO_INTEGER, F64)

/* The usual one, as fast as can be. */
INLINE int32_t s32_of_integral(float x) {
    return x >= 0x1p31f ? INT32_MAX : x < -0x1p31f ? INT32_MIN : x == x ? (int32_t)x : 0;
}

UNARY(run_nearest_S32_F32, S32, F32, s32_of_integral(__builtin_rintf(a)))
UNARY(run_zero_S32_F32, S32, F32, s32_of_integral(__builtin_truncf(a)))
UNARY(run_down_S32_F32, S32, F32, s32_of_integral(__builtin_floorf(a)))
UNARY(run_up_S32_F32, S32, F32, s32_of_integral(__builtin_ceilf(a)))

#define BY_MODE(NAME, KINDS, GENERAL)                                                              \
    static void NAME(const Instr *instr, unsigned char *registers, uint32_t mask) {                \
        static Run *const runs[] = {[ROUND_NEAREST] = run_nearest_##KINDS,                         \
                                    [ROUND_ZERO] = run_zero_##KINDS,                               \
                                    [ROUND_DOWN] = run_down_##KINDS,                               \
                                    [ROUND_UP] = run_up_##KINDS};                                  \
        bool plain = !FLUSHES && !instr->saturate && instr->rounding & ROUND_INTEGER;              \
        (plain ? runs[MODE] : GENERAL)(instr, registers, mask);                                    \
    }
BY_MODE(run_fast_S32_F32, S32_F32, run_S32_F32)

/* ---- integer to floating point ---- */

INLINE float stepped_f32(float nearest, bool less, bool more, uint32_t mode) {
    bool down = less && (mode == ROUND_DOWN || (mode == ROUND_ZERO && nearest > 0));
    bool up = more && (mode == ROUND_UP || (mode == ROUND_ZERO && nearest < 0));
    return down ? nextafterf(nearest, -INFINITY) : up ? nextafterf(nearest, INFINITY) : nearest;
}

INLINE double stepped_f64(double nearest, bool less, bool more, uint32_t mode) {
    bool down = less && (mode == ROUND_DOWN || (mode == ROUND_ZERO && nearest > 0));
    bool up = more && (mode == ROUND_UP || (mode == ROUND_ZERO && nearest < 0));
    return down ? nextafter(nearest, -INFINITY) : up ? nextafter(nearest, INFINITY) : nearest;
}

INLINE float saturated(float x) {
    return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f;
}

INLINE float f32_of_integer(Integer a, uint32_t mode, bool saturates) {
    float nearest = (float)a;
    Wide exact = (Wide)a, found = nearest;
    float x = stepped_f32(nearest, exact<found, exact> found, mode);
    return saturates ? saturated(x) : x;
}

INLINE double f64_of_integer(Integer a, uint32_t mode) {
    double nearest = (double)a;
    Wide exact = (Wide)a, found = nearest;
    return stepped_f64(nearest, exact<found, exact> found, mode);
}

/* A 64-bit integer as a double that is rounded to odd: rounding it again is rounding once. */
INLINE double odd_double(Integer a) {
    Wide exact = (Wide)a, found = (double)a;
    double zero = stepped_f64((double)a, exact<found, exact> found, ROUND_ZERO);
    uint64_t bits = bits_of_double(zero);
    return double_of_bits((Wide)zero == (Wide)a ? bits : bits | 1);
}

#define FROM_INTEGER(UNUSED, A)                                                                    \
    UNARY(run_F32_##A, F32, A, (float)a)                                                           \
    SLOW_UNARY(run_general_F32_##A, F32, A, f32_of_integer(a, MODE, instr->saturate))              \
    UNARY(run_F64_##A, F64, A, (double)a)                                                          \
    SLOW_UNARY(run_general_F64_##A, F64, A, f64_of_integer(a, MODE))                               \
    SLOW_UNARY(run_F16_##A, F16, A, odd_double(a))                                                 \
    SLOW_UNARY(run_BF16_##A, BF16, A, odd_double(a))
FROM_EACH_INTEGER(FROM_INTEGER, NONE)

/* ---- between formats of floating point ---- */

INLINE float canonical(float x) {
    return float_of_bits(x != x ? UINT32_C(0x7fffffff) : bits_of_float(x));
}

INLINE float finished(double exact, const Instr *instr) {
    float x = canonical((float)exact);
    x = stepped_f32(x, exact<(double)x, exact>(double) x, MODE);
    if (FLUSHES) x = (float)flush_f32(x);
    return instr->saturate ? saturated(x) : x;
}

INLINE double prepared(double x, const Instr *instr) {
    if (FLUSHES) x = flush_f32(x);
    return instr->rounding & ROUND_INTEGER ? integral(x, MODE) : x;
}

/* .rni.f32.f32 rounds to an integer first; then there is nothing left to round. */
INLINE float one_f32(float x, const Instr *instr) {
    x = canonical((float)prepared(x, instr));
    return instr->saturate ? saturated(x) : x;
}

UNARY(run_F32_F32, F32, F32, one_f32(a, instr))
UNARY(run_nearest_F32_F32, F32, F32, canonical(__builtin_rintf(a)))
UNARY(run_zero_F32_F32, F32, F32, canonical(__builtin_truncf(a)))
UNARY(run_down_F32_F32, F32, F32, canonical(__builtin_floorf(a)))
UNARY(run_up_F32_F32, F32, F32, canonical(__builtin_ceilf(a)))
BY_MODE(run_fast_F32_F32, F32_F32, run_F32_F32)
UNARY(run_F64_F64, F64, F64, prepared(a, instr))
UNARY(run_F32_F64, F32, F64, canonical((float)a))
SLOW_UNARY(run_general_F32_F64, F32, F64, finished(a, instr))
UNARY(run_F64_F32, F64, F32, prepared(a, instr))
UNARY(run_F32_F16, F32, F16, canonical((float)a))
SLOW_UNARY(run_general_F32_F16, F32, F16, finished(a, instr))
UNARY(run_F32_BF16, F32, BF16, canonical((float)a))
SLOW_UNARY(run_general_F32_BF16, F32, BF16, finished(a, instr))
UNARY(run_F64_F16, F64, F16, a)
UNARY(run_F64_BF16, F64, BF16, a)
SLOW_UNARY(run_F16_F16, F16, F16, prepared(a, instr))

/* A half is stepped toward zero where rounding to nearest went away from it (.rz); infinity becomes
 * the largest number. */
INLINE uint32_t toward_zero(uint32_t half, bool went_away) {
    return went_away ? half - 1 : half;
}

INLINE uint32_t f16_of(double x, uint32_t mode) {
    uint32_t half = f16_of_double(x);
    return toward_zero(half, mode == ROUND_ZERO && fabs(x) < fabs((double)float_of_f16(half)));
}

INLINE uint32_t bf16_of(double x, uint32_t mode) {
    uint32_t half = bf16_of_double(x);
    return toward_zero(half, mode == ROUND_ZERO && fabs(x) < fabs((double)float_of_bf16(half)));
}

UNARY(run_F16_F32, U32, F32, f16_of_double(a))
SLOW_UNARY(run_general_F16_F32, U32, F32, f16_of(prepared(a, instr), MODE))
UNARY(run_F16_F64, U32, F64, f16_of_double(a))
SLOW_UNARY(run_general_F16_F64, U32, F64, f16_of(a, MODE))
UNARY(run_BF16_F32, U32, F32, bf16_of_float(a))
SLOW_UNARY(run_general_BF16_F32, U32, F32, bf16_of(prepared(a, instr), MODE))
SLOW_UNARY(run_BF16_F64, U32, F64, bf16_of(a, MODE))
BINARY(run_F16X2_F32, U32, F32, F32, f16_of_double(a) << 16 | f16_of_double(b))
SLOW_BINARY(run_general_F16X2_F32, U32, F32, F32, f16_of(a, MODE) << 16 | f16_of(b, MODE))
BINARY(run_BF16X2_F32, U32, F32, F32, bf16_of_float(a) << 16 | bf16_of_float(b))
SLOW_BINARY(run_general_BF16X2_F32, U32, F32, F32, bf16_of(a, MODE) << 16 | bf16_of(b, MODE))

/* tf32: ten bits behind the point. */
INLINE uint32_t tf32_of(float x, uint32_t mode) {
    uint32_t bits = bits_of_float(x), half = mode == ROUND_AWAY ? 0x1000 : 0xfff + (bits >> 13 & 1);
    if (x != x) return 0x7fffffff;
    return isinf(x) ? bits : (bits + (mode == ROUND_ZERO ? 0 : half)) & ~UINT32_C(0x1fff);
}

SLOW_UNARY(run_TF32_F32, U32, F32, tf32_of(a, MODE))

/* ---- the table ---- */

/* D: the unsigned kind as wide; E: the kind itself. */
#define INTEGER_ROW(D, E, A, d, a)                                                                 \
    { "cvt." d "." a, run_##D##_##A, run_sat_##E##_##A, "t=x" }
#define FLOAT_TO_ROW(D, E, A, d, a)                                                                \
    { "cvt." d "." a, run_##E##_##A, run_##E##_##A, "t=x" }
#define TO_INTEGER_ROWS(MACRO, A, a)                                                               \
    MACRO(U8, U8, A, "u8", a), MACRO(U8, S8, A, "s8", a), MACRO(U16, U16, A, "u16", a),            \
        MACRO(U16, S16, A, "s16", a), MACRO(U32, U32, A, "u32", a), MACRO(U32, S32, A, "s32", a),  \
        MACRO(U64, U64, A, "u64", a), MACRO(U64, S64, A, "s64", a)
#define FROM_INTEGER_ROWS(A, a)                                                                    \
    {"cvt.f32." a, run_F32_##A, run_general_F32_##A, "t=x"},                                       \
        {"cvt.f64." a, run_F64_##A, run_general_F64_##A, "t=x"},                                   \
        {"cvt.f16." a, run_F16_##A, NULL, "t=x"}, {                                                \
        "cvt.bf16." a, run_BF16_##A, NULL, "t=x"                                                   \
    }
#define FORMAT_ROW(D, A, d, a)                                                                     \
    { "cvt." d "." a, run_##D##_##A, run_general_##D##_##A, "t=x" }
#define PAIR_ROW(D, d)                                                                             \
    { "cvt." d ".f32", run_##D##_F32, run_general_##D##_F32, "t=xx" }

const AluRow alu_convert_rows[] = {
    TO_INTEGER_ROWS(INTEGER_ROW, U8, "u8"),
    TO_INTEGER_ROWS(INTEGER_ROW, S8, "s8"),
    TO_INTEGER_ROWS(INTEGER_ROW, U16, "u16"),
    TO_INTEGER_ROWS(INTEGER_ROW, S16, "s16"),
    TO_INTEGER_ROWS(INTEGER_ROW, U32, "u32"),
    TO_INTEGER_ROWS(INTEGER_ROW, S32, "s32"),
    TO_INTEGER_ROWS(INTEGER_ROW, U64, "u64"),
    TO_INTEGER_ROWS(INTEGER_ROW, S64, "s64"),
    {"cvt.s32.f32", run_fast_S32_F32, run_fast_S32_F32, "t=x"}, /* before the slower one */
    TO_INTEGER_ROWS(FLOAT_TO_ROW, F16, "f16"),
    TO_INTEGER_ROWS(FLOAT_TO_ROW, BF16, "bf16"),
    TO_INTEGER_ROWS(FLOAT_TO_ROW, F32, "f32"),
    TO_INTEGER_ROWS(FLOAT_TO_ROW, F64, "f64"),
    FROM_INTEGER_ROWS(U8, "u8"),
    FROM_INTEGER_ROWS(S8, "s8"),
    FROM_INTEGER_ROWS(U16, "u16"),
    FROM_INTEGER_ROWS(S16, "s16"),
    FROM_INTEGER_ROWS(U32, "u32"),
    FROM_INTEGER_ROWS(S32, "s32"),
    FROM_INTEGER_ROWS(U64, "u64"),
    FROM_INTEGER_ROWS(S64, "s64"),
    {"cvt.f32.f32", run_fast_F32_F32, run_fast_F32_F32, "t=x"},
    {"cvt.f64.f64", run_F64_F64, run_F64_F64, "t=x"},
    {"cvt.f16.f16", run_F16_F16, run_F16_F16, "t=x"},
    {"cvt.f64.f32", run_F64_F32, run_F64_F32, "t=x"},
    {"cvt.f64.f16", run_F64_F16, NULL, "t=x"},
    {"cvt.f64.bf16", run_F64_BF16, NULL, "t=x"},
    FORMAT_ROW(F32, F64, "f32", "f64"),
    FORMAT_ROW(F32, F16, "f32", "f16"),
    FORMAT_ROW(F32, BF16, "f32", "bf16"),
    FORMAT_ROW(F16, F32, "f16", "f32"),
    FORMAT_ROW(F16, F64, "f16", "f64"),
    FORMAT_ROW(BF16, F32, "bf16", "f32"),
    {"cvt.bf16.f64", run_BF16_F64, run_BF16_F64, "t=x"},
    PAIR_ROW(F16X2, "f16x2"),
    PAIR_ROW(BF16X2, "bf16x2"),
    {"cvt.tf32.f32", run_TF32_F32, run_TF32_F32, "t=x"},
};
const uint32_t alu_convert_count = sizeof alu_convert_rows / sizeof *alu_convert_rows;
