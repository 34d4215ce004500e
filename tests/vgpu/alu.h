/* How the handlers of I_ALU instructions are written: a loop over 32 lanes that the compiler turns
 * into vectors, for several generations of processors.
 *
 *     BINARY(run_add_u32, U32, U32, U32, a + b)
 *
 * is a Run function that adds the rows s[0] and s[1] into d[0]. A lane kind (U8 … F64, F16, BF16)
 * says how a lane lies in its row and which C type the expression sees: `row_S16` is uint32_t,
 * `lane_S16` is int16_t, get_S16 and put_S16 go between them. All lanes are computed, those of the
 * mask are written; the expression must not trap.
 *
 * These files want -O3 -fno-math-errno -fno-trapping-math, or the loops are slow, and
 * -ffp-contract=off, or the results are wrong: gcc contracts by default. The pragma below asks for
 * them; the build gives -ffp-contract=off to the whole library besides. */
#ifndef TUNE_VGPU_ALU_H
#define TUNE_VGPU_ALU_H

#include <math.h>
#include <string.h>

#include "tests/vgpu/code.h"

#pragma GCC optimize("O3", "no-math-errno", "no-trapping-math", "fp-contract=off")

/* What an opcode means. `key` is the opcode without rounding, .ftz and .sat: "fma.f32". `shape`
 * has a letter for each operand behind "results=": t the opcode's last type, x its last but one
 * (or the only one), w twice as wide as t, u 32 bits, p a predicate, c the carry. */
typedef struct {
    const char *key;
    Run *run;     /* round to nearest, nothing flushed nor saturated */
    Run *general; /* as Instr.rounding and .saturate say; NULL: that does not exist */
    const char *shape;
} AluRow;

extern const AluRow alu_int_rows[], alu_compare_rows[], alu_float_rows[], alu_convert_rows[];
extern const uint32_t alu_int_count, alu_compare_count, alu_float_count, alu_convert_count;

/* Instr.rounding */
enum {
    ROUND_NEAREST,
    ROUND_ZERO,
    ROUND_DOWN,
    ROUND_UP,
    ROUND_AWAY, /* to nearest, ties away from zero */
    ROUND_MODE = 7,
    ROUND_FLUSH = 8,    /* .ftz */
    ROUND_INTEGER = 16, /* .rni .rzi .rmi .rpi */
    ROUND_GIVEN = 32    /* a rounding stood there */
};

/* Instr.compare: how setp goes on. */
enum { COMBINE_NONE, COMBINE_AND, COMBINE_OR, COMBINE_XOR };

#define ALL_LANES UINT32_MAX
#define INLINE static inline __attribute__((always_inline, unused))
#if defined(__x86_64__)
#define CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define CLONES
#endif

typedef float __attribute__((may_alias)) LaneF32;
typedef double __attribute__((may_alias)) LaneF64;
typedef uint32_t __attribute__((may_alias)) LaneU32;
typedef uint64_t __attribute__((may_alias)) LaneU64;

INLINE uint32_t bits_of_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

INLINE float float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

INLINE uint64_t bits_of_double(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

INLINE double double_of_bits(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ---- half precision ---- */

INLINE float float_of_f16(uint32_t half) {
    uint32_t sign = (half & 0x8000) << 16, magnitude = half & 0x7fff;
    float scaled = float_of_bits(magnitude << 13) * 0x1p112f; /* denormals come right too */
    uint32_t bits = magnitude >= 0x7c00 ? magnitude << 13 | 0x7f800000 : bits_of_float(scaled);
    return float_of_bits(sign | bits);
}

/* The nearest; NaN becomes 0x7fff, as the hardware has it. A double is taken so that one that was
 * rounded to odd is rounded only once. */
INLINE uint32_t f16_of_double(double value) {
    uint64_t bits = bits_of_double(value), magnitude = bits & (UINT64_MAX >> 1);
    uint32_t sign = (uint32_t)(bits >> 48) & 0x8000;
    if (magnitude > UINT64_C(0x7ff0000000000000)) return 0x7fff;
    if (magnitude >= UINT64_C(0x40effe0000000000)) return sign | 0x7c00; /* 65520 and more */
    if (magnitude < UINT64_C(0x3f10000000000000)) /* denormal: 2^-24 is one unit */
        return sign | (uint32_t)(double_of_bits(magnitude) * 0x1p24 + 0x1p52 - 0x1p52);
    magnitude -= UINT64_C(1008) << 52;
    magnitude += (UINT64_C(1) << 41) - 1 + (magnitude >> 42 & 1);
    return sign | (uint32_t)(magnitude >> 42);
}

INLINE float float_of_bf16(uint32_t half) {
    return float_of_bits(half << 16);
}

INLINE uint32_t bf16_of_float(float value) {
    uint32_t bits = bits_of_float(value);
    uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    return value != value ? 0x7fff : rounded;
}

/* The nearest, from a double: see f16_of_double. */
INLINE uint32_t bf16_of_double(double value) {
    uint64_t bits = bits_of_double(value);
    int exponent = (int)(bits >> 52 & 2047) - 1023;
    if (exponent == 1024) return bf16_of_float((float)value);
    if (exponent < -126) exponent = -126;
    double unit = double_of_bits((uint64_t)(exponent - 7 + 1023) << 52);
    return bits_of_float((float)(rint(value / unit) * unit)) >> 16;
}

/* ---- lane kinds ---- */

#define LANE_KIND(KIND, ROW, LANE, GET, PUT)                                                       \
    typedef ROW row_##KIND;                                                                        \
    typedef LANE lane_##KIND;                                                                      \
    INLINE LANE get_##KIND(ROW x) {                                                                \
        return GET;                                                                                \
    }                                                                                              \
    INLINE ROW put_##KIND(LANE x) {                                                                \
        return PUT;                                                                                \
    }
LANE_KIND(U8, LaneU32, uint8_t, (uint8_t)x, x)
LANE_KIND(S8, LaneU32, int8_t, (int8_t)x, (uint8_t)x)
LANE_KIND(U16, LaneU32, uint16_t, (uint16_t)x, x)
LANE_KIND(S16, LaneU32, int16_t, (int16_t)x, (uint16_t)x)
LANE_KIND(U32, LaneU32, uint32_t, x, x)
LANE_KIND(S32, LaneU32, int32_t, (int32_t)x, (uint32_t)x)
LANE_KIND(U64, LaneU64, uint64_t, x, x)
LANE_KIND(S64, LaneU64, int64_t, (int64_t)x, (uint64_t)x)
LANE_KIND(F32, LaneF32, float, x, x)
LANE_KIND(F64, LaneF64, double, x, x)
LANE_KIND(F16, LaneU32, double, float_of_f16(x & 0xffff), f16_of_double(x))
LANE_KIND(BF16, LaneU32, double, float_of_bf16(x & 0xffff), bf16_of_double(x))

/* ---- operands ---- */

INLINE const void *source_row(const Operand *operand, const unsigned char *registers) {
    return operand->constant ? operand->constant : registers + operand->at;
}

INLINE uint32_t predicate(const Operand *operand, const unsigned char *registers) {
    return *(const LaneU32 *)source_row(operand, registers);
}

INLINE void set_predicate(const Operand *operand, unsigned char *registers, uint32_t mask,
                          uint32_t bits) {
    LaneU32 *to = (LaneU32 *)(registers + operand->at);
    *to = (*to & ~mask) | (bits & mask);
}

INLINE void blend_4(void *to, const void *from, uint32_t mask) {
    LaneU32 *t = to;
    const LaneU32 *f = from;
    for (uint32_t lane = 0; lane < LANES; lane++) t[lane] = mask >> lane & 1 ? f[lane] : t[lane];
}

INLINE void blend_8(void *to, const void *from, uint32_t mask) {
    LaneU64 *t = to;
    const LaneU64 *f = from;
    for (uint32_t lane = 0; lane < LANES; lane++) t[lane] = mask >> lane & 1 ? f[lane] : t[lane];
}

/* ---- loops ---- */

#define ALU_TARGET(D)                                                                              \
    row_##D spare[LANES], *const to = (row_##D *)(registers + instr->d[0].at);                     \
    row_##D *const out = mask == ALL_LANES ? to : spare
#define ALU_SOURCE(AT, KIND, NAME)                                                                 \
    const row_##KIND *const NAME = source_row(&instr->s[AT], registers)
#define ALU_LOOP _Pragma("GCC ivdep") for (uint32_t lane = 0; lane < LANES; lane++)
#define ALU_BLEND(D)                                                                               \
    if (mask == ALL_LANES) return;                                                                 \
    if (sizeof(row_##D) == 4)                                                                      \
        blend_4(to, spare, mask);                                                                  \
    else                                                                                           \
        blend_8(to, spare, mask)
#define ALU_HANDLER(NAME)                                                                          \
    CLONES static void NAME(const Instr *instr, unsigned char *registers, uint32_t mask)

#define UNARY(NAME, D, A, ...)                                                                     \
    ALU_HANDLER(NAME) {                                                                            \
        ALU_TARGET(D);                                                                             \
        ALU_SOURCE(0, A, as);                                                                      \
        ALU_LOOP {                                                                                 \
            const lane_##A a = get_##A(as[lane]);                                                  \
            out[lane] = put_##D((lane_##D)(__VA_ARGS__));                                          \
        }                                                                                          \
        ALU_BLEND(D);                                                                              \
    }

#define BINARY(NAME, D, A, B, ...)                                                                 \
    ALU_HANDLER(NAME) {                                                                            \
        ALU_TARGET(D);                                                                             \
        ALU_SOURCE(0, A, as);                                                                      \
        ALU_SOURCE(1, B, bs);                                                                      \
        ALU_LOOP {                                                                                 \
            const lane_##A a = get_##A(as[lane]);                                                  \
            const lane_##B b = get_##B(bs[lane]);                                                  \
            out[lane] = put_##D((lane_##D)(__VA_ARGS__));                                          \
        }                                                                                          \
        ALU_BLEND(D);                                                                              \
    }

#define TERNARY(NAME, D, A, B, C, ...)                                                             \
    ALU_HANDLER(NAME) {                                                                            \
        ALU_TARGET(D);                                                                             \
        ALU_SOURCE(0, A, as);                                                                      \
        ALU_SOURCE(1, B, bs);                                                                      \
        ALU_SOURCE(2, C, cs);                                                                      \
        ALU_LOOP {                                                                                 \
            const lane_##A a = get_##A(as[lane]);                                                  \
            const lane_##B b = get_##B(bs[lane]);                                                  \
            const lane_##C c = get_##C(cs[lane]);                                                  \
            out[lane] = put_##D((lane_##D)(__VA_ARGS__));                                          \
        }                                                                                          \
        ALU_BLEND(D);                                                                              \
    }

/* The same where a lane is dear and cannot be made a vector: only those of the mask. */
#define SLOW_LOOP                                                                                  \
    for (uint32_t rest = mask, lane; rest && (lane = (uint32_t)__builtin_ctz(rest), true);         \
         rest &= rest - 1)

#define SLOW_UNARY(NAME, D, A, ...)                                                                \
    static void NAME(const Instr *instr, unsigned char *registers, uint32_t mask) {                \
        row_##D *const to = (row_##D *)(registers + instr->d[0].at);                               \
        ALU_SOURCE(0, A, as);                                                                      \
        SLOW_LOOP {                                                                                \
            const lane_##A a = get_##A(as[lane]);                                                  \
            to[lane] = put_##D((lane_##D)(__VA_ARGS__));                                           \
        }                                                                                          \
    }

#define SLOW_BINARY(NAME, D, A, B, ...)                                                            \
    static void NAME(const Instr *instr, unsigned char *registers, uint32_t mask) {                \
        row_##D *const to = (row_##D *)(registers + instr->d[0].at);                               \
        ALU_SOURCE(0, A, as);                                                                      \
        ALU_SOURCE(1, B, bs);                                                                      \
        SLOW_LOOP {                                                                                \
            const lane_##A a = get_##A(as[lane]);                                                  \
            const lane_##B b = get_##B(bs[lane]);                                                  \
            to[lane] = put_##D((lane_##D)(__VA_ARGS__));                                           \
        }                                                                                          \
    }

#define SLOW_TERNARY(NAME, D, A, B, C, ...)                                                        \
    static void NAME(const Instr *instr, unsigned char *registers, uint32_t mask) {                \
        row_##D *const to = (row_##D *)(registers + instr->d[0].at);                               \
        ALU_SOURCE(0, A, as);                                                                      \
        ALU_SOURCE(1, B, bs);                                                                      \
        ALU_SOURCE(2, C, cs);                                                                      \
        SLOW_LOOP {                                                                                \
            const lane_##A a = get_##A(as[lane]);                                                  \
            const lane_##B b = get_##B(bs[lane]);                                                  \
            const lane_##C c = get_##C(cs[lane]);                                                  \
            to[lane] = put_##D((lane_##D)(__VA_ARGS__));                                           \
        }                                                                                          \
    }

#endif
