/* mma: small products of matrices, spread over the 32 lanes of a warp as the PTX manual draws it.
 *
 * With g = lane / 4 and t = lane % 4, in elements of the fragments:
 *     A [16, k]  row g (and g + 8), columns of pairs or fours at t
 *     B [k, 8]   column g, rows as the columns of A
 *     C [16, 8]  rows g, g + 8; columns 2 t, 2 t + 1
 *
 * Each element of the result is c + the sum over k in ascending order, in f32; the hardware sums in
 * another order and cuts, so results agree within tolerances only. */
#include "tests/vgpu/decode.h"

enum { ROWS = 16, COLUMNS = 8, MOST_K = 32 };

typedef struct {
    float a[ROWS][MOST_K], b[COLUMNS][MOST_K], c[ROWS][COLUMNS];
} Product;

/* Where lane's element e of a fragment of A lies: `per` elements of k in a register; registers go
 * rows g, g + 8 first, then the next k. */
static uint32_t row_of(uint32_t lane, uint32_t reg) {
    return lane / 4 + 8 * (reg & 1);
}

static uint32_t k_of(uint32_t lane, uint32_t reg_of_k, uint32_t per, uint32_t element) {
    return reg_of_k * 4 * per + lane % 4 * per + element;
}

typedef float Element(uint32_t word, uint32_t element);

static float element_bf16(uint32_t word, uint32_t element) {
    return float_of_bf16(word >> (16 * element) & 0xffff);
}

static float element_f16(uint32_t word, uint32_t element) {
    return float_of_f16(word >> (16 * element) & 0xffff);
}

static float element_tf32(uint32_t word, uint32_t element) {
    (void)element;
    return float_of_bits(word & ~UINT32_C(0x1fff));
}

static void gather(const Instr *instr, const unsigned char *registers, uint32_t a_count,
                   uint32_t per, Element *element, Product *p) {
    for (uint32_t reg = 0; reg < a_count; reg++) {
        const LaneU32 *row = source_row(&instr->s[reg], registers);
        for (uint32_t lane = 0; lane < LANES; lane++)
            for (uint32_t e = 0; e < per; e++)
                p->a[row_of(lane, reg)][k_of(lane, reg / 2, per, e)] = element(row[lane], e);
    }
    for (uint32_t reg = 0; reg < a_count / 2; reg++) {
        const LaneU32 *row = source_row(&instr->s[a_count + reg], registers);
        for (uint32_t lane = 0; lane < LANES; lane++)
            for (uint32_t e = 0; e < per; e++)
                p->b[lane / 4][k_of(lane, reg, per, e)] = element(row[lane], e);
    }
}

CLONES static void multiply(Product *p, uint32_t k_count) {
    for (uint32_t m = 0; m < ROWS; m++)
        for (uint32_t n = 0; n < COLUMNS; n++) {
            float sum = p->c[m][n];
            for (uint32_t k = 0; k < k_count; k++) sum += p->a[m][k] * p->b[n][k];
            p->c[m][n] = sum;
        }
}

static void run_product(const Instr *instr, unsigned char *registers, uint32_t mask,
                        uint32_t a_count, uint32_t per, Element *element, bool half_c) {
    Product p;
    uint32_t c_at = a_count + a_count / 2, k_count = a_count / 2 * 4 * per;
    gather(instr, registers, a_count, per, element, &p);
    for (uint32_t i = 0; i < 4; i++) {
        const LaneU32 *row = source_row(&instr->s[c_at + (half_c ? i / 2 : i)], registers);
        for (uint32_t lane = 0; lane < LANES; lane++)
            p.c[lane / 4 + 8 * (i / 2)][lane % 4 * 2 + i % 2] =
                half_c ? element_f16(row[lane], i % 2) : float_of_bits(row[lane]);
    }
    multiply(&p, k_count);
    for (uint32_t i = 0; i < (half_c ? 2u : 4u); i++) {
        LaneU32 *row = (LaneU32 *)(registers + instr->d[i].at);
        SLOW_LOOP {
            const float *c = &p.c[lane / 4 + 8 * (half_c ? i : i / 2)][lane % 4 * 2];
            row[lane] =
                half_c ? f16_of_double(c[0]) | f16_of_double(c[1]) << 16 : bits_of_float(c[i % 2]);
        }
    }
}

#define PRODUCT(NAME, A_COUNT, PER, ELEMENT, HALF)                                                 \
    static void NAME(const Instr *instr, unsigned char *registers, uint32_t mask) {                \
        run_product(instr, registers, mask, A_COUNT, PER, ELEMENT, HALF);                          \
    }
PRODUCT(run_m16n8k16_bf16, 4, 2, element_bf16, false)
PRODUCT(run_m16n8k16_f16, 4, 2, element_f16, false)
PRODUCT(run_m16n8k16_f16_f16, 4, 2, element_f16, true)
PRODUCT(run_m16n8k8_bf16, 2, 2, element_bf16, false)
PRODUCT(run_m16n8k8_f16, 2, 2, element_f16, false)
PRODUCT(run_m16n8k8_f16_f16, 2, 2, element_f16, true)
PRODUCT(run_m16n8k8_tf32, 4, 1, element_tf32, false)
PRODUCT(run_m16n8k4_tf32, 2, 1, element_tf32, false)

/* ---- bytes, summed in s32 that wraps ---- */

typedef struct {
    int32_t a[ROWS][MOST_K], b[COLUMNS][MOST_K];
} Bytes;

static int32_t byte_of(uint32_t word, uint32_t element, bool is_signed) {
    uint8_t byte = (uint8_t)(word >> (8 * element));
    return is_signed ? (int8_t)byte : byte;
}

static void gather_bytes(const Instr *instr, const unsigned char *registers, uint32_t a_count,
                         bool a_signed, bool b_signed, Bytes *p) {
    for (uint32_t reg = 0; reg < a_count; reg++) {
        const LaneU32 *row = source_row(&instr->s[reg], registers);
        for (uint32_t lane = 0; lane < LANES; lane++)
            for (uint32_t e = 0; e < 4; e++)
                p->a[row_of(lane, reg)][k_of(lane, reg / 2, 4, e)] =
                    byte_of(row[lane], e, a_signed);
    }
    for (uint32_t reg = 0; reg < a_count / 2; reg++) {
        const LaneU32 *row = source_row(&instr->s[a_count + reg], registers);
        for (uint32_t lane = 0; lane < LANES; lane++)
            for (uint32_t e = 0; e < 4; e++)
                p->b[lane / 4][k_of(lane, reg, 4, e)] = byte_of(row[lane], e, b_signed);
    }
}

static void run_bytes(const Instr *instr, unsigned char *registers, uint32_t mask, uint32_t a_count,
                      bool a_signed, bool b_signed) {
    Bytes p;
    uint32_t result[4][LANES], c_at = a_count + a_count / 2;
    gather_bytes(instr, registers, a_count, a_signed, b_signed, &p);
    for (uint32_t i = 0; i < 4; i++) {
        const LaneU32 *row = source_row(&instr->s[c_at + i], registers);
        for (uint32_t lane = 0; lane < LANES; lane++) {
            uint32_t sum = row[lane];
            for (uint32_t k = 0; k < a_count * 8; k++)
                sum += (uint32_t)(p.a[lane / 4 + 8 * (i / 2)][k] * p.b[lane % 4 * 2 + i % 2][k]);
            result[i][lane] = sum;
        }
    }
    for (uint32_t i = 0; i < 4; i++) blend_4(registers + instr->d[i].at, result[i], mask);
}

#define BYTES(NAME, A_COUNT, A_SIGNED, B_SIGNED)                                                   \
    static void NAME(const Instr *instr, unsigned char *registers, uint32_t mask) {                \
        run_bytes(instr, registers, mask, A_COUNT, A_SIGNED, B_SIGNED);                            \
    }
BYTES(run_m16n8k32_ss, 4, true, true)
BYTES(run_m16n8k32_su, 4, true, false)
BYTES(run_m16n8k32_us, 4, false, true)
BYTES(run_m16n8k32_uu, 4, false, false)
BYTES(run_m16n8k16_ss, 2, true, true)
BYTES(run_m16n8k16_uu, 2, false, false)

/* ---- movmatrix: an 8 x 8 matrix of halves, transposed among the lanes ---- */

static void run_transpose(const Instr *instr, unsigned char *registers, uint32_t mask) {
    const LaneU32 *from = source_row(&instr->s[0], registers);
    uint32_t result[LANES];
    for (uint32_t lane = 0; lane < LANES; lane++) {
        uint32_t row = lane / 4, shift = 16 * (row & 1), column = lane % 4 * 2;
        uint32_t low = from[column * 4 + row / 2] >> shift & 0xffff;
        uint32_t high = from[(column + 1) * 4 + row / 2] >> shift & 0xffff;
        result[lane] = low | high << 16;
    }
    blend_4(registers + instr->d[0].at, result, mask);
}

#define MMA(SHAPE, TYPES, RUN, OPERANDS)                                                           \
    { "mma.sync.aligned." SHAPE ".row.col." TYPES, RUN, NULL, OPERANDS }
const AluRow alu_tensor_rows[] = {
    MMA("m16n8k16", "f32.bf16.bf16.f32", run_m16n8k16_bf16, "uuuu=uuuuuuuuuu"),
    MMA("m16n8k16", "f32.f16.f16.f32", run_m16n8k16_f16, "uuuu=uuuuuuuuuu"),
    MMA("m16n8k16", "f16.f16.f16.f16", run_m16n8k16_f16_f16, "uu=uuuuuuuu"),
    MMA("m16n8k8", "f32.bf16.bf16.f32", run_m16n8k8_bf16, "uuuu=uuuuuuu"),
    MMA("m16n8k8", "f32.f16.f16.f32", run_m16n8k8_f16, "uuuu=uuuuuuu"),
    MMA("m16n8k8", "f16.f16.f16.f16", run_m16n8k8_f16_f16, "uu=uuuuu"),
    MMA("m16n8k8", "f32.tf32.tf32.f32", run_m16n8k8_tf32, "uuuu=uuuuuuuuuu"),
    MMA("m16n8k4", "f32.tf32.tf32.f32", run_m16n8k4_tf32, "uuuu=uuuuuuu"),
    MMA("m16n8k32", "s32.s8.s8.s32", run_m16n8k32_ss, "uuuu=uuuuuuuuuu"),
    MMA("m16n8k32", "s32.s8.u8.s32", run_m16n8k32_su, "uuuu=uuuuuuuuuu"),
    MMA("m16n8k32", "s32.u8.s8.s32", run_m16n8k32_us, "uuuu=uuuuuuuuuu"),
    MMA("m16n8k32", "s32.u8.u8.s32", run_m16n8k32_uu, "uuuu=uuuuuuuuuu"),
    MMA("m16n8k16", "s32.s8.s8.s32", run_m16n8k16_ss, "uuuu=uuuuuuu"),
    MMA("m16n8k16", "s32.u8.u8.s32", run_m16n8k16_uu, "uuuu=uuuuuuu"),
    {"movmatrix.sync.aligned.m8n8.trans.b16", run_transpose, NULL, "u=u"},
};
const uint32_t alu_tensor_count = sizeof alu_tensor_rows / sizeof *alu_tensor_rows;
