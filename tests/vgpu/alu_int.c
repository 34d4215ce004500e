/* Integer and bit instructions. Arithmetic goes through unsigned types, so that it wraps. */
#include "tests/vgpu/alu.h"

__extension__ typedef unsigned __int128 Wide;
__extension__ typedef __int128 SignedWide;

/* ---- add, sub, mul, mad ---- */

#define WRAPPING(KIND)                                                                             \
    BINARY(run_add_##KIND, KIND, KIND, KIND, a + b)                                                \
    BINARY(run_sub_##KIND, KIND, KIND, KIND, a - b)                                                \
    UNARY(run_not_##KIND, KIND, KIND, ~a)                                                          \
    UNARY(run_cnot_##KIND, KIND, KIND, a == 0)                                                     \
    BINARY(run_and_##KIND, KIND, KIND, KIND, a &b)                                                 \
    BINARY(run_or_##KIND, KIND, KIND, KIND, a | b)                                                 \
    BINARY(run_xor_##KIND, KIND, KIND, KIND, a ^ b)
WRAPPING(U16)
WRAPPING(U32)
WRAPPING(U64)

/* 16-bit operands promote to int: their product must not overflow. */
#define MULTIPLY(KIND)                                                                             \
    BINARY(run_mul_lo_##KIND, KIND, KIND, KIND, (uint64_t)a *b)                                    \
    TERNARY(run_mad_lo_##KIND, KIND, KIND, KIND, KIND, (uint64_t)a *b + c)
MULTIPLY(U16)
MULTIPLY(U32)
MULTIPLY(U64)

#define HIGH(KIND, DOUBLE, BITS)                                                                   \
    BINARY(run_mul_hi_##KIND, KIND, KIND, KIND, ((DOUBLE)a * (DOUBLE)b) >> BITS)                   \
    TERNARY(run_mad_hi_##KIND, U##BITS, KIND, KIND, U##BITS,                                       \
            (uint64_t)(((DOUBLE)a * (DOUBLE)b) >> BITS) + c)
HIGH(U16, uint32_t, 16)
HIGH(S16, int32_t, 16)
HIGH(U32, uint64_t, 32)
HIGH(S32, int64_t, 32)
HIGH(U64, Wide, 64)
HIGH(S64, SignedWide, 64)

BINARY(run_mul_wide_U16, U32, U16, U16, (uint32_t)a *b)
BINARY(run_mul_wide_S16, S32, S16, S16, (int32_t)a *b)
BINARY(run_mul_wide_U32, U64, U32, U32, (uint64_t)a *b)
BINARY(run_mul_wide_S32, S64, S32, S32, (int64_t)a *b)
TERNARY(run_mad_wide_U16, U32, U16, U16, U32, (uint32_t)a *b + c)
TERNARY(run_mad_wide_S16, U32, S16, S16, U32, (uint32_t)((int32_t)a *b) + c)
TERNARY(run_mad_wide_U32, U64, U32, U32, U64, (uint64_t)a *b + c)
TERNARY(run_mad_wide_S32, U64, S32, S32, U64, (uint64_t)((int64_t)a *b) + c)
BINARY(run_mul24_lo_U32, U32, U32, U32, (a & 0xffffff) * (b & 0xffffff))
BINARY(run_mul24_lo_S32, U32, U32, U32,
       ((int32_t)(a << 8) >> 8) * (int64_t)((int32_t)(b << 8) >> 8))

INLINE int32_t clamp_s32(int64_t value) {
    return (int32_t)(value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : value);
}

BINARY(run_add_sat_S32, S32, S32, S32, clamp_s32((int64_t)a + b))
BINARY(run_sub_sat_S32, S32, S32, S32, clamp_s32((int64_t)a - b))
TERNARY(run_mad_hi_sat_S32, S32, S32, S32, S32, clamp_s32(((int64_t)a * b >> 32) + c))

/* ---- with a carry: d[1] goes out, the last source comes in ---- */

typedef struct {
    uint64_t low;
    bool carry;
} Sum;

INLINE Sum sum_32(uint32_t a, uint32_t b, bool carry) {
    uint64_t sum = (uint64_t)a + b + carry;
    return (Sum){(uint32_t)sum, sum >> 32 != 0};
}

INLINE Sum difference_32(uint32_t a, uint32_t b, bool borrow) {
    uint64_t difference = (uint64_t)a - b - borrow;
    return (Sum){(uint32_t)difference, difference >> 32 != 0};
}

INLINE Sum sum_64(uint64_t a, uint64_t b, bool carry) {
    uint64_t sum = a + b, all = sum + carry;
    return (Sum){all, sum < a || all < sum};
}

INLINE Sum difference_64(uint64_t a, uint64_t b, bool borrow) {
    return (Sum){a - b - borrow, a < b || (borrow && a == b)};
}

INLINE uint32_t carry_in(const Instr *instr, uint32_t at, const unsigned char *registers) {
    return instr->s[at].given ? predicate(&instr->s[at], registers) : 0;
}

#define CARRY_2(NAME, KIND, ...)                                                                   \
    static void NAME(const Instr *instr, unsigned char *registers, uint32_t mask) {                \
        row_##KIND *const to = (row_##KIND *)(registers + instr->d[0].at);                         \
        ALU_SOURCE(0, KIND, as);                                                                   \
        ALU_SOURCE(1, KIND, bs);                                                                   \
        uint32_t in = carry_in(instr, 2, registers), carries = 0;                                  \
        SLOW_LOOP {                                                                                \
            const row_##KIND a = as[lane], b = bs[lane];                                           \
            const bool carry = in >> lane & 1;                                                     \
            Sum sum = __VA_ARGS__;                                                                 \
            to[lane] = (row_##KIND)sum.low;                                                        \
            carries |= (uint32_t)sum.carry << lane;                                                \
        }                                                                                          \
        if (instr->d[1].given) set_predicate(&instr->d[1], registers, mask, carries);              \
    }
CARRY_2(run_addc_U32, U32, sum_32(a, b, carry))
CARRY_2(run_addc_U64, U64, sum_64(a, b, carry))
CARRY_2(run_subc_U32, U32, difference_32(a, b, carry))
CARRY_2(run_subc_U64, U64, difference_64(a, b, carry))

#define CARRY_3(NAME, KIND, SUM, ...)                                                              \
    static void NAME(const Instr *instr, unsigned char *registers, uint32_t mask) {                \
        row_##KIND *const to = (row_##KIND *)(registers + instr->d[0].at);                         \
        ALU_SOURCE(0, KIND, as);                                                                   \
        ALU_SOURCE(1, KIND, bs);                                                                   \
        ALU_SOURCE(2, KIND, cs);                                                                   \
        uint32_t in = carry_in(instr, 3, registers), carries = 0;                                  \
        SLOW_LOOP {                                                                                \
            const lane_##KIND a = get_##KIND(as[lane]), b = get_##KIND(bs[lane]);                  \
            Sum sum = SUM((row_##KIND)(__VA_ARGS__), cs[lane], in >> lane & 1);                    \
            to[lane] = (row_##KIND)sum.low;                                                        \
            carries |= (uint32_t)sum.carry << lane;                                                \
        }                                                                                          \
        if (instr->d[1].given) set_predicate(&instr->d[1], registers, mask, carries);              \
    }
CARRY_3(run_madc_lo_U32, U32, sum_32, a *b)
CARRY_3(run_madc_lo_U64, U64, sum_64, a *b)
CARRY_3(run_madc_hi_U32, U32, sum_32, (uint64_t)a *b >> 32)
CARRY_3(run_madc_hi_S32, S32, sum_32, (int64_t)a *b >> 32)
CARRY_3(run_madc_hi_U64, U64, sum_64, (Wide)a *b >> 64)
CARRY_3(run_madc_hi_S64, S64, sum_64, (SignedWide)a *b >> 64)

/* ---- division: x / 0 is all ones, x % 0 is x ---- */

#define DIVIDE_UNSIGNED(KIND)                                                                      \
    SLOW_BINARY(run_div_##KIND, KIND, KIND, KIND, b ? a / b : ~(lane_##KIND)0)                     \
    SLOW_BINARY(run_rem_##KIND, KIND, KIND, KIND, b ? a % b : a)
DIVIDE_UNSIGNED(U16)
DIVIDE_UNSIGNED(U64)
#define DIVIDE_SIGNED(KIND, UNSIGNED)                                                              \
    SLOW_BINARY(run_div_##KIND, KIND, KIND, KIND,                                                  \
                b == 0    ? -1                                                                     \
                : b == -1 ? (lane_##KIND)(0 - (lane_##UNSIGNED)a)                                  \
                          : a / b)                                                                 \
    SLOW_BINARY(run_rem_##KIND, KIND, KIND, KIND, b == 0 ? a : b == -1 ? 0 : a % b)
DIVIDE_SIGNED(S16, U16)

/* A quotient of 32-bit integers that is rounded to a double, and then cut, is right: it is further
 * from the next integer than the rounding can move it. Doubles make vectors, integers do not. */
INLINE uint32_t quotient_u32(uint32_t a, uint32_t b) {
    return b ? (uint32_t)((double)a / (double)b) : UINT32_MAX;
}

INLINE int32_t quotient_s32(int32_t a, int32_t b) {
    return b ? (int32_t)(int64_t)((double)a / (double)b) : -1;
}

INLINE uint32_t remainder_u32(uint32_t a, uint32_t b) {
    return b ? a - quotient_u32(a, b) * b : a;
}

INLINE uint32_t remainder_s32(int32_t a, int32_t b) {
    return (uint32_t)a - (b ? (uint32_t)quotient_s32(a, b) * (uint32_t)b : 0);
}

BINARY(run_div_U32, U32, U32, U32, quotient_u32(a, b))
BINARY(run_div_S32, S32, S32, S32, quotient_s32(a, b))
BINARY(run_rem_U32, U32, U32, U32, remainder_u32(a, b))
BINARY(run_rem_S32, U32, S32, S32, remainder_s32(a, b))
DIVIDE_SIGNED(S64, U64)

/* ---- min, max, abs, neg, sad ---- */

#define ORDERED(KIND)                                                                              \
    BINARY(run_min_##KIND, KIND, KIND, KIND, a < b ? a : b)                                        \
    BINARY(run_max_##KIND, KIND, KIND, KIND, a > b ? a : b)
ORDERED(U16)
ORDERED(S16)
ORDERED(U32)
ORDERED(S32)
ORDERED(U64)
ORDERED(S64)

#define SIGNED(KIND, UNSIGNED)                                                                     \
    UNARY(run_abs_##KIND, UNSIGNED, KIND,                                                          \
          a < 0 ? (lane_##UNSIGNED)0 - (lane_##UNSIGNED)a : (lane_##UNSIGNED)a)                    \
    UNARY(run_neg_##KIND, UNSIGNED, UNSIGNED, 0 - a)                                               \
    TERNARY(run_sad_##KIND, UNSIGNED, KIND, KIND, UNSIGNED,                                        \
            c + (a < b ? (lane_##UNSIGNED)b - (lane_##UNSIGNED)a                                   \
                       : (lane_##UNSIGNED)a - (lane_##UNSIGNED)b))                                 \
    TERNARY(run_sad_##UNSIGNED, UNSIGNED, UNSIGNED, UNSIGNED, UNSIGNED, c + (a < b ? b - a : a - b))
SIGNED(S16, U16)
SIGNED(S32, U32)
SIGNED(S64, U64)

/* ---- shifts: counts beyond the width give 0, or the sign ---- */

#define SHIFT(UNSIGNED, SIGNED_KIND, BITS)                                                         \
    BINARY(run_shl_##UNSIGNED, UNSIGNED, UNSIGNED, U32,                                            \
           b < BITS ? (uint64_t)a << (b & (BITS - 1)) : 0)                                         \
    BINARY(run_shr_##UNSIGNED, UNSIGNED, UNSIGNED, U32, b < BITS ? a >> (b & (BITS - 1)) : 0)      \
    BINARY(run_shr_##SIGNED_KIND, SIGNED_KIND, SIGNED_KIND, U32, a >> (b < BITS ? b : BITS - 1))
SHIFT(U16, S16, 16)
SHIFT(U32, S32, 32)
SHIFT(U64, S64, 64)

INLINE uint32_t funnel_left(uint32_t low, uint32_t high, uint32_t count) {
    return (uint32_t)(((uint64_t)high << 32 | low) << count >> 32);
}

INLINE uint32_t funnel_right(uint32_t low, uint32_t high, uint32_t count) {
    return (uint32_t)(((uint64_t)high << 32 | low) >> count);
}

INLINE uint32_t clamp_32(uint32_t count) {
    return count < 32 ? count : 32;
}

TERNARY(run_shf_l_wrap, U32, U32, U32, U32, funnel_left(a, b, c & 31))
TERNARY(run_shf_l_clamp, U32, U32, U32, U32, funnel_left(a, b, clamp_32(c)))
TERNARY(run_shf_r_wrap, U32, U32, U32, U32, funnel_right(a, b, c & 31))
TERNARY(run_shf_r_clamp, U32, U32, U32, U32, funnel_right(a, b, clamp_32(c)))

/* ---- bits ---- */

INLINE uint32_t leading_zeros(uint64_t value, uint32_t bits) {
    return value ? (uint32_t)__builtin_clzll(value) - (64 - bits) : bits;
}

INLINE uint64_t reversed(uint64_t value, uint32_t bits) {
    uint64_t result = 0;
    for (uint32_t i = 0; i < bits; i++) result |= (value >> i & 1) << (bits - 1 - i);
    return result;
}

/* The place of the highest bit that is not the sign; all ones where there is none. */
INLINE uint32_t highest_bit(uint64_t value, bool minus, uint64_t all) {
    if (minus) value = ~value & all;
    return value ? 63 - (uint32_t)__builtin_clzll(value) : UINT32_MAX;
}

INLINE uint32_t shift_to_top(uint32_t place, uint32_t bits) {
    return place == UINT32_MAX ? place : bits - 1 - place;
}

INLINE uint64_t low_bits(uint32_t count) {
    return count < 64 ? (UINT64_C(1) << count) - 1 : UINT64_MAX;
}

/* bfe: `length` bits of `value` from `from` on; signed ones go on with the field's highest bit,
 * which is the value's where the field reaches beyond it. */
INLINE uint64_t bit_field(uint64_t value, uint32_t from, uint32_t length, uint32_t bits,
                          bool is_signed) {
    from &= 255, length &= 255;
    if (!length) return 0;
    uint64_t field = from < bits ? value >> from : 0;
    uint32_t last = from + length - 1 < bits - 1 ? from + length - 1 : bits - 1;
    bool sign = is_signed && (value >> last & 1);
    uint32_t kept = from < bits ? (last - from + 1) : 0;
    return (field & low_bits(kept)) | (sign ? ~low_bits(kept) : 0);
}

INLINE uint64_t with_field(uint64_t field, uint64_t into, uint32_t at, uint32_t length,
                           uint32_t bits) {
    at &= 255, length &= 255;
    if (at >= bits) return into;
    uint64_t mask = low_bits(length) << at;
    return (into & ~mask) | (field << at & mask);
}

SLOW_UNARY(run_clz_32, U32, U32, leading_zeros(a, 32))
SLOW_UNARY(run_clz_64, U32, U64, leading_zeros(a, 64))
UNARY(run_popc_32, U32, U32, __builtin_popcount(a))
UNARY(run_popc_64, U32, U64, __builtin_popcountll(a))
SLOW_UNARY(run_brev_32, U32, U32, reversed(a, 32))
SLOW_UNARY(run_brev_64, U64, U64, reversed(a, 64))
SLOW_UNARY(run_bfind_U32, U32, U32, highest_bit(a, false, UINT32_MAX))
SLOW_UNARY(run_bfind_S32, U32, U32, highest_bit(a, a >> 31, UINT32_MAX))
SLOW_UNARY(run_bfind_U64, U32, U64, highest_bit(a, false, UINT64_MAX))
SLOW_UNARY(run_bfind_S64, U32, U64, highest_bit(a, a >> 63, UINT64_MAX))
SLOW_UNARY(run_bfind_shift_U32, U32, U32, shift_to_top(highest_bit(a, false, UINT32_MAX), 32))
SLOW_UNARY(run_bfind_shift_S32, U32, U32, shift_to_top(highest_bit(a, a >> 31, UINT32_MAX), 32))
SLOW_UNARY(run_bfind_shift_U64, U32, U64, shift_to_top(highest_bit(a, false, UINT64_MAX), 64))
SLOW_UNARY(run_bfind_shift_S64, U32, U64, shift_to_top(highest_bit(a, a >> 63, UINT64_MAX), 64))
TERNARY(run_bfe_U32, U32, U32, U32, U32, bit_field(a, b, c, 32, false))
TERNARY(run_bfe_S32, U32, U32, U32, U32, bit_field(a, b, c, 32, true))
TERNARY(run_bfe_U64, U64, U64, U32, U32, bit_field(a, b, c, 64, false))
TERNARY(run_bfe_S64, U64, U64, U32, U32, bit_field(a, b, c, 64, true))

#define INSERT(KIND, BITS)                                                                         \
    static void run_bfi_##BITS(const Instr *instr, unsigned char *registers, uint32_t mask) {      \
        row_##KIND *const to = (row_##KIND *)(registers + instr->d[0].at);                         \
        ALU_SOURCE(0, KIND, as);                                                                   \
        ALU_SOURCE(1, KIND, bs);                                                                   \
        ALU_SOURCE(2, U32, cs);                                                                    \
        ALU_SOURCE(3, U32, ds);                                                                    \
        SLOW_LOOP to[lane] = (row_##KIND)with_field(as[lane], bs[lane], cs[lane], ds[lane], BITS); \
    }
INSERT(U32, 32)
INSERT(U64, 64)

/* ---- prmt: bytes picked by the four nibbles of c; the modes make the nibbles ---- */

INLINE uint32_t permuted(uint32_t a, uint32_t b, uint32_t selector) {
    uint64_t bytes = (uint64_t)b << 32 | a;
    uint32_t result = 0;
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t nibble = selector >> (4 * i) & 15;
        uint32_t byte = (uint32_t)(bytes >> (8 * (nibble & 7))) & 255;
        if (nibble & 8) byte = byte & 128 ? 255 : 0;
        result |= byte << (8 * i);
    }
    return result;
}

INLINE uint32_t selector_of(const uint16_t table[4], uint32_t c) {
    return table[c & 3];
}

static const uint16_t forward_4[] = {0x3210, 0x4321, 0x5432, 0x6543};
static const uint16_t backward_4[] = {0x5670, 0x6701, 0x7012, 0x0123};
static const uint16_t replicate_8[] = {0x0000, 0x1111, 0x2222, 0x3333};
static const uint16_t edge_left[] = {0x3210, 0x3211, 0x3222, 0x3333};
static const uint16_t edge_right[] = {0x0000, 0x1110, 0x2210, 0x3210};
static const uint16_t replicate_16[] = {0x1010, 0x3232, 0x1010, 0x3232};

TERNARY(run_prmt, U32, U32, U32, U32, permuted(a, b, c))
SLOW_TERNARY(run_prmt_f4e, U32, U32, U32, U32, permuted(a, b, selector_of(forward_4, c)))
SLOW_TERNARY(run_prmt_b4e, U32, U32, U32, U32, permuted(a, b, selector_of(backward_4, c)))
SLOW_TERNARY(run_prmt_rc8, U32, U32, U32, U32, permuted(a, b, selector_of(replicate_8, c)))
SLOW_TERNARY(run_prmt_ecl, U32, U32, U32, U32, permuted(a, b, selector_of(edge_left, c)))
SLOW_TERNARY(run_prmt_ecr, U32, U32, U32, U32, permuted(a, b, selector_of(edge_right, c)))
SLOW_TERNARY(run_prmt_rc16, U32, U32, U32, U32, permuted(a, b, selector_of(replicate_16, c)))

/* Any function of three bits: the table is the fourth operand. */
ALU_HANDLER(run_lop3) {
    ALU_TARGET(U32);
    ALU_SOURCE(0, U32, as);
    ALU_SOURCE(1, U32, bs);
    ALU_SOURCE(2, U32, cs);
    const LaneU32 *table = source_row(&instr->s[3], registers);
    uint32_t terms[8];
    for (uint32_t i = 0; i < 8; i++) terms[i] = table[0] >> i & 1 ? UINT32_MAX : 0;
    ALU_LOOP {
        uint32_t a = as[lane], b = bs[lane], c = cs[lane];
        uint32_t low = (~a & ((~b & ((~c & terms[0]) | (c & terms[1]))) |
                              (b & ((~c & terms[2]) | (c & terms[3])))));
        uint32_t high = (a & ((~b & ((~c & terms[4]) | (c & terms[5]))) |
                              (b & ((~c & terms[6]) | (c & terms[7])))));
        out[lane] = low | high;
    }
    ALU_BLEND(U32);
}

/* ---- dot products of bytes ---- */

#define BYTE_OF(x, i, TYPE) ((int32_t)(TYPE)((x) >> (8 * (i))))
#define HALF_OF(x, i, TYPE) ((int32_t)(TYPE)((x) >> (16 * (i))))
#define DOT4(NAME, A, B)                                                                           \
    TERNARY(                                                                                       \
        NAME, U32, U32, U32, U32,                                                                  \
        c + (uint32_t)(BYTE_OF(a, 0, A) * BYTE_OF(b, 0, B) + BYTE_OF(a, 1, A) * BYTE_OF(b, 1, B) + \
                       BYTE_OF(a, 2, A) * BYTE_OF(b, 2, B) + BYTE_OF(a, 3, A) * BYTE_OF(b, 3, B)))
DOT4(run_dp4a_uu, uint8_t, uint8_t)
DOT4(run_dp4a_us, uint8_t, int8_t)
DOT4(run_dp4a_su, int8_t, uint8_t)
DOT4(run_dp4a_ss, int8_t, int8_t)
#define DOT2(NAME, FROM, A, B)                                                                     \
    TERNARY(NAME, U32, U32, U32, U32,                                                              \
            c + (uint32_t)(HALF_OF(a, 0, A) * BYTE_OF(b, FROM, B) +                                \
                           HALF_OF(a, 1, A) * BYTE_OF(b, FROM + 1, B)))
DOT2(run_dp2a_lo_uu, 0, uint16_t, uint8_t)
DOT2(run_dp2a_lo_ss, 0, int16_t, int8_t)
DOT2(run_dp2a_hi_uu, 2, uint16_t, uint8_t)
DOT2(run_dp2a_hi_ss, 2, int16_t, int8_t)

/* ---- the table ---- */

#define ROW(KEY, RUN, SHAPE)                                                                       \
    { KEY, RUN, NULL, SHAPE }
#define ROWS_OF_WIDTH(BITS)                                                                        \
    ROW("add.u" #BITS, run_add_U##BITS, "t=tt"), ROW("sub.u" #BITS, run_sub_U##BITS, "t=tt"),      \
        ROW("and.b" #BITS, run_and_U##BITS, "t=tt"), ROW("or.b" #BITS, run_or_U##BITS, "t=tt"),    \
        ROW("xor.b" #BITS, run_xor_U##BITS, "t=tt"), ROW("not.b" #BITS, run_not_U##BITS, "t=t"),   \
        ROW("cnot.b" #BITS, run_cnot_U##BITS, "t=t"),                                              \
        ROW("mul.lo.u" #BITS, run_mul_lo_U##BITS, "t=tt"),                                         \
        ROW("mul.lo.s" #BITS, run_mul_lo_U##BITS, "t=tt"),                                         \
        ROW("mul.hi.u" #BITS, run_mul_hi_U##BITS, "t=tt"),                                         \
        ROW("mul.hi.s" #BITS, run_mul_hi_S##BITS, "t=tt"),                                         \
        ROW("mad.lo.u" #BITS, run_mad_lo_U##BITS, "t=ttt"),                                        \
        ROW("mad.lo.s" #BITS, run_mad_lo_U##BITS, "t=ttt"),                                        \
        ROW("mad.hi.u" #BITS, run_mad_hi_U##BITS, "t=ttt"),                                        \
        ROW("div.u" #BITS, run_div_U##BITS, "t=tt"), ROW("div.s" #BITS, run_div_S##BITS, "t=tt"),  \
        ROW("rem.u" #BITS, run_rem_U##BITS, "t=tt"), ROW("rem.s" #BITS, run_rem_S##BITS, "t=tt"),  \
        ROW("min.u" #BITS, run_min_U##BITS, "t=tt"), ROW("min.s" #BITS, run_min_S##BITS, "t=tt"),  \
        ROW("max.u" #BITS, run_max_U##BITS, "t=tt"), ROW("max.s" #BITS, run_max_S##BITS, "t=tt"),  \
        ROW("abs.s" #BITS, run_abs_S##BITS, "t=t"), ROW("neg.s" #BITS, run_neg_S##BITS, "t=t"),    \
        ROW("sad.u" #BITS, run_sad_U##BITS, "t=ttt"),                                              \
        ROW("sad.s" #BITS, run_sad_S##BITS, "t=ttt"), ROW("shl.b" #BITS, run_shl_U##BITS, "t=tu"), \
        ROW("shr.b" #BITS, run_shr_U##BITS, "t=tu"), ROW("shr.u" #BITS, run_shr_U##BITS, "t=tu"),  \
        ROW("shr.s" #BITS, run_shr_S##BITS, "t=tu")

/* Both signs share what wraps. */
#define CARRY_ROWS(SIGN, BITS)                                                                     \
    ROW("add.cc." #SIGN #BITS, run_addc_U##BITS, "tc=tt"),                                         \
        ROW("addc." #SIGN #BITS, run_addc_U##BITS, "t=ttc"),                                       \
        ROW("addc.cc." #SIGN #BITS, run_addc_U##BITS, "tc=ttc"),                                   \
        ROW("sub.cc." #SIGN #BITS, run_subc_U##BITS, "tc=tt"),                                     \
        ROW("subc." #SIGN #BITS, run_subc_U##BITS, "t=ttc"),                                       \
        ROW("subc.cc." #SIGN #BITS, run_subc_U##BITS, "tc=ttc"),                                   \
        ROW("mad.lo.cc." #SIGN #BITS, run_madc_lo_U##BITS, "tc=ttt"),                              \
        ROW("madc.lo." #SIGN #BITS, run_madc_lo_U##BITS, "t=tttc"),                                \
        ROW("madc.lo.cc." #SIGN #BITS, run_madc_lo_U##BITS, "tc=tttc")
#define CARRY_HIGH_ROWS(TYPE, KIND)                                                                \
    ROW("mad.hi.cc." #TYPE, run_madc_hi_##KIND, "tc=ttt"),                                         \
        ROW("madc.hi." #TYPE, run_madc_hi_##KIND, "t=tttc"),                                       \
        ROW("madc.hi.cc." #TYPE, run_madc_hi_##KIND, "tc=tttc")

const AluRow alu_int_rows[] = {
    ROWS_OF_WIDTH(16),
    ROWS_OF_WIDTH(32),
    ROWS_OF_WIDTH(64),
    CARRY_ROWS(u, 32),
    CARRY_ROWS(s, 32),
    CARRY_ROWS(u, 64),
    CARRY_ROWS(s, 64),
    CARRY_HIGH_ROWS(u32, U32),
    CARRY_HIGH_ROWS(s32, S32),
    CARRY_HIGH_ROWS(u64, U64),
    CARRY_HIGH_ROWS(s64, S64),
    ROW("add.s16", run_add_U16, "t=tt"),
    ROW("sub.s16", run_sub_U16, "t=tt"),
    {"add.s32", run_add_U32, run_add_sat_S32, "t=tt"},
    {"sub.s32", run_sub_U32, run_sub_sat_S32, "t=tt"},
    ROW("add.s64", run_add_U64, "t=tt"),
    ROW("sub.s64", run_sub_U64, "t=tt"),
    ROW("mad.hi.s16", run_mad_hi_S16, "t=ttt"),
    {"mad.hi.s32", run_mad_hi_S32, run_mad_hi_sat_S32, "t=ttt"},
    ROW("mad.hi.s64", run_mad_hi_S64, "t=ttt"),
    ROW("mul.wide.u16", run_mul_wide_U16, "w=tt"),
    ROW("mul.wide.s16", run_mul_wide_S16, "w=tt"),
    ROW("mul.wide.u32", run_mul_wide_U32, "w=tt"),
    ROW("mul.wide.s32", run_mul_wide_S32, "w=tt"),
    ROW("mad.wide.u16", run_mad_wide_U16, "w=ttw"),
    ROW("mad.wide.s16", run_mad_wide_S16, "w=ttw"),
    ROW("mad.wide.u32", run_mad_wide_U32, "w=ttw"),
    ROW("mad.wide.s32", run_mad_wide_S32, "w=ttw"),
    ROW("mul24.lo.u32", run_mul24_lo_U32, "t=tt"),
    ROW("mul24.lo.s32", run_mul24_lo_S32, "t=tt"),
    ROW("shf.l.wrap.b32", run_shf_l_wrap, "t=ttu"),
    ROW("shf.l.clamp.b32", run_shf_l_clamp, "t=ttu"),
    ROW("shf.r.wrap.b32", run_shf_r_wrap, "t=ttu"),
    ROW("shf.r.clamp.b32", run_shf_r_clamp, "t=ttu"),
    ROW("clz.b32", run_clz_32, "u=t"),
    ROW("clz.b64", run_clz_64, "u=t"),
    ROW("popc.b32", run_popc_32, "u=t"),
    ROW("popc.b64", run_popc_64, "u=t"),
    ROW("brev.b32", run_brev_32, "t=t"),
    ROW("brev.b64", run_brev_64, "t=t"),
    ROW("bfind.u32", run_bfind_U32, "u=t"),
    ROW("bfind.s32", run_bfind_S32, "u=t"),
    ROW("bfind.u64", run_bfind_U64, "u=t"),
    ROW("bfind.s64", run_bfind_S64, "u=t"),
    ROW("bfind.shiftamt.u32", run_bfind_shift_U32, "u=t"),
    ROW("bfind.shiftamt.s32", run_bfind_shift_S32, "u=t"),
    ROW("bfind.shiftamt.u64", run_bfind_shift_U64, "u=t"),
    ROW("bfind.shiftamt.s64", run_bfind_shift_S64, "u=t"),
    ROW("bfe.u32", run_bfe_U32, "t=tuu"),
    ROW("bfe.s32", run_bfe_S32, "t=tuu"),
    ROW("bfe.u64", run_bfe_U64, "t=tuu"),
    ROW("bfe.s64", run_bfe_S64, "t=tuu"),
    ROW("bfi.b32", run_bfi_32, "t=ttuu"),
    ROW("bfi.b64", run_bfi_64, "t=ttuu"),
    ROW("prmt.b32", run_prmt, "u=uuu"),
    ROW("prmt.b32.f4e", run_prmt_f4e, "u=uuu"),
    ROW("prmt.b32.b4e", run_prmt_b4e, "u=uuu"),
    ROW("prmt.b32.rc8", run_prmt_rc8, "u=uuu"),
    ROW("prmt.b32.ecl", run_prmt_ecl, "u=uuu"),
    ROW("prmt.b32.ecr", run_prmt_ecr, "u=uuu"),
    ROW("prmt.b32.rc16", run_prmt_rc16, "u=uuu"),
    ROW("lop3.b32", run_lop3, "u=uuuu"),
    ROW("dp4a.u32.u32", run_dp4a_uu, "u=uuu"),
    ROW("dp4a.u32.s32", run_dp4a_us, "u=uuu"),
    ROW("dp4a.s32.u32", run_dp4a_su, "u=uuu"),
    ROW("dp4a.s32.s32", run_dp4a_ss, "u=uuu"),
    ROW("dp2a.lo.u32.u32", run_dp2a_lo_uu, "u=uuu"),
    ROW("dp2a.lo.s32.s32", run_dp2a_lo_ss, "u=uuu"),
    ROW("dp2a.hi.u32.u32", run_dp2a_hi_uu, "u=uuu"),
    ROW("dp2a.hi.s32.s32", run_dp2a_hi_ss, "u=uuu"),
};
const uint32_t alu_int_count = sizeof alu_int_rows / sizeof *alu_int_rows;
