/* Comparisons, selections, logic of predicates, and moves: what joins and splits registers. */
#include "tests/vgpu/alu.h"

/* ---- setp: p|q = a OP b, or that combined with a predicate ---- */

static void finish_setp(const Instr *instr, unsigned char *registers, uint32_t mask,
                        uint32_t bits) {
    uint32_t other = ~bits;
    if (instr->compare != COMBINE_NONE) {
        uint32_t with = predicate(&instr->s[2], registers);
        bits = instr->compare == COMBINE_AND  ? bits & with
               : instr->compare == COMBINE_OR ? bits | with
                                              : bits ^ with;
        other = instr->compare == COMBINE_AND  ? other & with
                : instr->compare == COMBINE_OR ? other | with
                                               : other ^ with;
    }
    if (instr->d[0].given) set_predicate(&instr->d[0], registers, mask, bits);
    if (instr->d[1].given) set_predicate(&instr->d[1], registers, mask, other);
}

#define COMPARE(NAME, KIND, CONDITION)                                                             \
    ALU_HANDLER(NAME) {                                                                            \
        ALU_SOURCE(0, KIND, as);                                                                   \
        ALU_SOURCE(1, KIND, bs);                                                                   \
        uint32_t bits = 0;                                                                         \
        for (uint32_t lane = 0; lane < LANES; lane++) {                                            \
            const lane_##KIND a = get_##KIND(as[lane]), b = get_##KIND(bs[lane]);                  \
            bits |= (uint32_t)(CONDITION) << lane;                                                 \
        }                                                                                          \
        finish_setp(instr, registers, mask, bits);                                                 \
    }

#define COMPARE_EQUAL(KIND)                                                                        \
    COMPARE(run_eq_##KIND, KIND, a == b)                                                           \
    COMPARE(run_ne_##KIND, KIND, a != b)
#define COMPARE_ORDER(KIND)                                                                        \
    COMPARE(run_lt_##KIND, KIND, a < b)                                                            \
    COMPARE(run_le_##KIND, KIND, a <= b)                                                           \
    COMPARE(run_gt_##KIND, KIND, a > b)                                                            \
    COMPARE(run_ge_##KIND, KIND, a >= b)
COMPARE_EQUAL(U16)
COMPARE_EQUAL(U32)
COMPARE_EQUAL(U64)
COMPARE_ORDER(U16)
COMPARE_ORDER(S16)
COMPARE_ORDER(U32)
COMPARE_ORDER(S32)
COMPARE_ORDER(U64)
COMPARE_ORDER(S64)

#define ANY_NAN (a != a || b != b)
#define COMPARE_FLOAT(KIND)                                                                        \
    COMPARE(run_eq_##KIND, KIND, a == b)                                                           \
    COMPARE(run_ne_##KIND, KIND, a<b || a> b)                                                      \
    COMPARE_ORDER(KIND)                                                                            \
    COMPARE(run_equ_##KIND, KIND, !(a < b || a > b))                                               \
    COMPARE(run_neu_##KIND, KIND, a != b)                                                          \
    COMPARE(run_ltu_##KIND, KIND, !(a >= b))                                                       \
    COMPARE(run_leu_##KIND, KIND, !(a > b))                                                        \
    COMPARE(run_gtu_##KIND, KIND, !(a <= b))                                                       \
    COMPARE(run_geu_##KIND, KIND, !(a < b))                                                        \
    COMPARE(run_num_##KIND, KIND, !ANY_NAN)                                                        \
    COMPARE(run_nan_##KIND, KIND, ANY_NAN)
COMPARE_FLOAT(F32)
COMPARE_FLOAT(F64)
COMPARE_FLOAT(F16)
COMPARE_FLOAT(BF16)

/* setp.OP.ftz.f32: denormals compare as zeros. */
#define FLUSHED(NAME)                                                                              \
    static void run_##NAME##_flushed(const Instr *instr, unsigned char *registers,                 \
                                     uint32_t mask) {                                              \
        float flushed[2][LANES];                                                                   \
        for (uint32_t i = 0; i < 2; i++) {                                                         \
            const row_F32 *from = source_row(&instr->s[i], registers);                             \
            for (uint32_t lane = 0; lane < LANES; lane++)                                          \
                flushed[i][lane] = fabsf(from[lane]) < 0x1p-126f ? 0 : from[lane];                 \
        }                                                                                          \
        Instr plain = *instr;                                                                      \
        plain.s[0].constant = flushed[0], plain.s[1].constant = flushed[1];                        \
        run_##NAME##_F32(&plain, registers, mask);                                                 \
    }
FLUSHED(eq)
FLUSHED(ne)
FLUSHED(lt)
FLUSHED(le)
FLUSHED(gt)
FLUSHED(ge)
FLUSHED(equ)
FLUSHED(neu)
FLUSHED(ltu)
FLUSHED(leu)
FLUSHED(gtu)
FLUSHED(geu)
FLUSHED(num)
FLUSHED(nan)

/* ---- selp ---- */

#define SELECT(NAME, KIND)                                                                         \
    ALU_HANDLER(NAME) {                                                                            \
        ALU_TARGET(KIND);                                                                          \
        ALU_SOURCE(0, KIND, as);                                                                   \
        ALU_SOURCE(1, KIND, bs);                                                                   \
        uint32_t chosen = predicate(&instr->s[2], registers);                                      \
        ALU_LOOP out[lane] = chosen >> lane & 1 ? as[lane] : bs[lane];                             \
        ALU_BLEND(KIND);                                                                           \
    }
SELECT(run_select_4, U32)
SELECT(run_select_8, U64)

/* ---- predicates ---- */

#define PREDICATES(NAME, EXPRESSION)                                                               \
    static void NAME(const Instr *instr, unsigned char *registers, uint32_t mask) {                \
        uint32_t a = predicate(&instr->s[0], registers);                                           \
        uint32_t b = instr->s[1].given ? predicate(&instr->s[1], registers) : 0;                   \
        (void)b;                                                                                   \
        set_predicate(&instr->d[0], registers, mask, EXPRESSION);                                  \
    }
PREDICATES(run_mov_pred, a)
PREDICATES(run_not_pred, ~a)
PREDICATES(run_and_pred, a &b)
PREDICATES(run_or_pred, a | b)
PREDICATES(run_xor_pred, a ^ b)

/* ---- moves; joining and splitting ---- */

UNARY(run_mov_4, U32, U32, a)
UNARY(run_mov_8, U64, U64, a)
BINARY(run_join_16, U32, U32, U32, (a & 0xffff) | b << 16)
BINARY(run_join_32, U64, U32, U32, (uint64_t)b << 32 | a)
UNARY(run_low_16, U32, U32, a & 0xffff)
UNARY(run_high_16, U32, U32, a >> 16)
UNARY(run_low_32, U32, U64, (uint32_t)a)
UNARY(run_high_32, U32, U64, (uint32_t)(a >> 32))

/* ---- testp ---- */

#define TEST(NAME, KIND, CONDITION)                                                                \
    static void NAME(const Instr *instr, unsigned char *registers, uint32_t mask) {                \
        ALU_SOURCE(0, KIND, as);                                                                   \
        uint32_t bits = 0;                                                                         \
        SLOW_LOOP {                                                                                \
            const lane_##KIND a = get_##KIND(as[lane]);                                            \
            bits |= (uint32_t)(CONDITION) << lane;                                                 \
        }                                                                                          \
        set_predicate(&instr->d[0], registers, mask, bits);                                        \
    }
#define TESTS(KIND)                                                                                \
    TEST(run_test_finite_##KIND, KIND, isfinite(a) != 0)                                           \
    TEST(run_test_infinite_##KIND, KIND, isinf(a) != 0)                                            \
    TEST(run_test_number_##KIND, KIND, !isnan(a))                                                  \
    TEST(run_test_nan_##KIND, KIND, isnan(a) != 0)                                                 \
    TEST(run_test_normal_##KIND, KIND, isnormal(a) != 0)                                           \
    TEST(run_test_subnormal_##KIND, KIND, fpclassify(a) == FP_SUBNORMAL)
TESTS(F32)
TESTS(F64)

/* ---- the table ---- */

#define ROW(KEY, RUN, SHAPE)                                                                       \
    { KEY, RUN, NULL, SHAPE }
#define EQUAL_ROWS(TYPE, KIND)                                                                     \
    ROW("setp.eq." TYPE, run_eq_##KIND, "pp=tt"), ROW("setp.ne." TYPE, run_ne_##KIND, "pp=tt")
#define ORDER_ROWS(TYPE, KIND)                                                                     \
    EQUAL_ROWS(TYPE, KIND), ROW("setp.lt." TYPE, run_lt_##KIND, "pp=tt"),                          \
        ROW("setp.le." TYPE, run_le_##KIND, "pp=tt"),                                              \
        ROW("setp.gt." TYPE, run_gt_##KIND, "pp=tt"), ROW("setp.ge." TYPE, run_ge_##KIND, "pp=tt")
#define run_eq_S16 run_eq_U16
#define run_ne_S16 run_ne_U16
#define run_eq_S32 run_eq_U32
#define run_ne_S32 run_ne_U32
#define run_eq_S64 run_eq_U64
#define run_ne_S64 run_ne_U64
#define UNSIGNED_ROWS(TYPE, KIND)                                                                  \
    ORDER_ROWS(TYPE, KIND), ROW("setp.lo." TYPE, run_lt_##KIND, "pp=tt"),                          \
        ROW("setp.ls." TYPE, run_le_##KIND, "pp=tt"),                                              \
        ROW("setp.hi." TYPE, run_gt_##KIND, "pp=tt"), ROW("setp.hs." TYPE, run_ge_##KIND, "pp=tt")
#define FLOAT_ROW(NAME, TYPE, KIND) ROW("setp." #NAME "." TYPE, run_##NAME##_##KIND, "pp=tt")
#define FLOAT_ROWS(TYPE, KIND)                                                                     \
    ORDER_ROWS(TYPE, KIND), FLOAT_ROW(equ, TYPE, KIND), FLOAT_ROW(neu, TYPE, KIND),                \
        FLOAT_ROW(ltu, TYPE, KIND), FLOAT_ROW(leu, TYPE, KIND), FLOAT_ROW(gtu, TYPE, KIND),        \
        FLOAT_ROW(geu, TYPE, KIND), FLOAT_ROW(num, TYPE, KIND), FLOAT_ROW(nan, TYPE, KIND)
#define F32_ROW(NAME)                                                                              \
    { "setp." #NAME ".f32", run_##NAME##_F32, run_##NAME##_flushed, "pp=tt" }
#define SELECT_ROWS(BITS, BYTES)                                                                   \
    ROW("selp.b" #BITS, run_select_##BYTES, "t=ttp"),                                              \
        ROW("selp.u" #BITS, run_select_##BYTES, "t=ttp"),                                          \
        ROW("selp.s" #BITS, run_select_##BYTES, "t=ttp")
#define TEST_ROW(NAME)                                                                             \
    ROW("testp." #NAME ".f32", run_test_##NAME##_F32, "p=t"),                                      \
        ROW("testp." #NAME ".f64", run_test_##NAME##_F64, "p=t")

const AluRow alu_compare_rows[] = {
    EQUAL_ROWS("b16", U16),
    EQUAL_ROWS("b32", U32),
    EQUAL_ROWS("b64", U64),
    UNSIGNED_ROWS("u16", U16),
    UNSIGNED_ROWS("u32", U32),
    UNSIGNED_ROWS("u64", U64),
    ORDER_ROWS("s16", S16),
    ORDER_ROWS("s32", S32),
    ORDER_ROWS("s64", S64),
    F32_ROW(eq),
    F32_ROW(ne),
    F32_ROW(lt),
    F32_ROW(le),
    F32_ROW(gt),
    F32_ROW(ge),
    F32_ROW(equ),
    F32_ROW(neu),
    F32_ROW(ltu),
    F32_ROW(leu),
    F32_ROW(gtu),
    F32_ROW(geu),
    F32_ROW(num),
    F32_ROW(nan),
    FLOAT_ROWS("f64", F64),
    FLOAT_ROWS("f16", F16),
    FLOAT_ROWS("bf16", BF16),
    SELECT_ROWS(16, 4),
    SELECT_ROWS(32, 4),
    SELECT_ROWS(64, 8),
    ROW("selp.f16", run_select_4, "t=ttp"),
    ROW("selp.f32", run_select_4, "t=ttp"),
    ROW("selp.f64", run_select_8, "t=ttp"),
    ROW("mov.pred", run_mov_pred, "p=p"),
    ROW("not.pred", run_not_pred, "p=p"),
    ROW("and.pred", run_and_pred, "p=pp"),
    ROW("or.pred", run_or_pred, "p=pp"),
    ROW("xor.pred", run_xor_pred, "p=pp"),
    /* the front end's own: moves, and the parts of mov with lists */
    ROW("mov 4", run_mov_4, "u=u"),
    ROW("mov 8", run_mov_8, "w=w"),
    ROW("join 16", run_join_16, "u=uu"),
    ROW("join 32", run_join_32, "w=uu"),
    ROW("low 16", run_low_16, "u=u"),
    ROW("high 16", run_high_16, "u=u"),
    ROW("low 32", run_low_32, "u=w"),
    ROW("high 32", run_high_32, "u=w"),
    TEST_ROW(finite),
    TEST_ROW(infinite),
    TEST_ROW(number),
    {"testp.notanumber.f32", run_test_nan_F32, NULL, "p=t"},
    {"testp.notanumber.f64", run_test_nan_F64, NULL, "p=t"},
    TEST_ROW(normal),
    TEST_ROW(subnormal),
};
const uint32_t alu_compare_count = sizeof alu_compare_rows / sizeof *alu_compare_rows;
