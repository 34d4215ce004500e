/* The arithmetic of the virtual GPU, instruction by instruction, against references that are
 * written another way: the host's rounding modes, wider types, bit by bit. Special and random
 * values; the lanes that do not take part must keep what they had. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fenv.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/vgpu/code.h"

__extension__ typedef unsigned __int128 Wide;
__extension__ typedef __int128 SignedWide;
__extension__ typedef __float128 Quad;

/* ---- a kernel of one instruction, and what runs it ---- */

enum { BATCHES = 60 };

typedef struct {
    Code code;
    const Function *function;
    unsigned char *registers;
} Program;

/* Operands by their letters: h 16 bits, u 32, l 64, p predicate. */
static const char *register_of(char letter) {
    return letter == 'l' ? ".b64" : letter == 'h' ? ".b16" : letter == 'p' ? ".pred" : ".b32";
}

static void make_program(Program *program, const char *shape, const char *body) {
    char text[3000];
    int at = snprintf(text, sizeof text,
                      ".version 8.0\n.target sm_80\n.address_size 64\n"
                      ".visible .entry k() {\n");
    static const char *const names[] = {"%d", "%a", "%b", "%c", "%e"};
    for (uint32_t i = 0, name = 0; shape[i]; i++)
        if (shape[i] != '=')
            at += snprintf(text + at, sizeof text - (size_t)at, ".reg %s %s;\n",
                           register_of(shape[i]), names[name++]);
    for (uint32_t i = 0, name = 0; shape[i]; i++) { /* so that the test finds the rows */
        if (shape[i] == '=') continue;
        at += snprintf(text + at, sizeof text - (size_t)at, "mov%s %s, %s;\n",
                       register_of(shape[i]), names[name], names[name]);
        name++;
    }
    snprintf(text + at, sizeof text - (size_t)at, "%s ret; }\n", body);
    const char *message = code_parse(text, &program->code);
    if (!message) message = code_decode(&program->code);
    if (message) fail_msg("%s\n%s", message, text);
    program->function = code_function(&program->code, "k");
    program->registers = aligned_alloc(64, (program->function->register_bytes + 63u) / 64 * 64);
    memset(program->registers, 0xa5, program->function->register_bytes);
}

static void release_program(Program *program) {
    free(program->registers);
    code_release(&program->code);
}

static void write_row(const Program *program, uint32_t operand, char letter,
                      const uint64_t value[LANES]) {
    unsigned char *row = program->registers + program->function->code[operand].d[0].at;
    uint32_t bits = 0;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        uint32_t narrow = (uint32_t)value[lane];
        bits |= (narrow & 1) << lane;
        if (letter == 'l') memcpy(row + 8 * lane, &value[lane], 8);
        if (letter == 'u' || letter == 'h') memcpy(row + 4 * lane, &narrow, 4);
    }
    if (letter == 'p') memcpy(row, &bits, 4);
}

static void read_row(const Program *program, uint32_t operand, char letter, uint64_t value[LANES]) {
    const unsigned char *row = program->registers + program->function->code[operand].d[0].at;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        uint32_t narrow;
        memcpy(&narrow, letter == 'p' ? row : row + 4 * lane, 4);
        value[lane] = letter == 'p' ? narrow >> lane & 1 : narrow;
        if (letter == 'l') memcpy(&value[lane], row + 8 * lane, 8);
    }
}

/* Straight on; a guard narrows the mask. */
static void run_program(const Program *program, uint32_t mask) {
    for (uint32_t i = 0; i < program->function->count; i++) {
        const Instr *instr = &program->function->code[i];
        if (instr->kind == I_EXIT) return;
        assert_int_equal(instr->kind, I_ALU);
        uint32_t active = mask;
        if (instr->guard >= 0) {
            uint32_t guard;
            memcpy(&guard, program->registers + instr->guard, 4);
            active &= instr->guard_not ? ~guard : guard;
        }
        instr->run(instr, program->registers, active);
    }
}

/* ---- values ---- */

static uint64_t random_bits(uint64_t *state) {
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t x = *state;
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static uint32_t bits_f32(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

static float as_f32(uint64_t bits) {
    uint32_t narrow = (uint32_t)bits;
    float x;
    memcpy(&x, &narrow, 4);
    return x;
}

static uint64_t bits_f64(double x) {
    uint64_t bits;
    memcpy(&bits, &x, 8);
    return bits;
}

static double as_f64(uint64_t bits) {
    double x;
    memcpy(&x, &bits, 8);
    return x;
}

static uint64_t special_bits(uint64_t random, char letter) {
    static const uint32_t narrow[] = {
        0,          1,          2,          0x7fffffff, 0x80000000, 0x80000001, 0xffffffff,
        0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0x00800000,
        0x007fffff, 0x80800000, 0x7f7fffff, 0xff7fffff, 0x3f000000, 0x3fc00000, 0x40200000,
        0x4f000000, 0x4effffff, 0xcf000000, 0x5f000000, 0x4b000001, 31,         32,
        33,         0x0000ffff, 0x00008000, 0x00007fff, 0x477fe000, 0x477ff000, 0x38800000,
        0x33800000, 0x33000000, 0x3f808000, 0x3f818000};
    static const uint64_t wide[] = {0,
                                    1,
                                    UINT64_MAX,
                                    UINT64_C(1) << 63,
                                    UINT64_MAX >> 1,
                                    UINT64_C(0x3ff0000000000000),
                                    UINT64_C(0xbff0000000000000),
                                    UINT64_C(0x7ff0000000000000),
                                    UINT64_C(0xfff0000000000000),
                                    UINT64_C(0x7ff8000000000000),
                                    UINT64_C(0x0010000000000000),
                                    UINT64_C(0x000fffffffffffff),
                                    UINT64_C(0x7fefffffffffffff),
                                    UINT64_C(0x43e0000000000000),
                                    UINT64_C(0x41dfffffffc00000),
                                    UINT64_C(0x3fe0000000000000),
                                    UINT64_C(0x47efffffe0000000),
                                    UINT64_C(0x47effffff0000000),
                                    UINT64_C(0x36a0000000000000),
                                    63,
                                    64,
                                    UINT32_MAX,
                                    UINT64_C(1) << 32};
    if (letter == 'l') return wide[random % (sizeof wide / sizeof *wide)];
    return narrow[random % (sizeof narrow / sizeof *narrow)];
}

/* A third special, a third of any bits, a third of numbers near each other. */
static uint64_t value_for(uint64_t *state, char letter) {
    uint64_t choice = random_bits(state) % 6, random = random_bits(state), value = random;
    if (choice < 2) value = special_bits(random, letter);
    double near = (double)(int64_t)random * 0x1p-61;
    if (choice == 2) value = letter == 'l' ? bits_f64(near) : bits_f32((float)near);
    if (choice == 3)
        value = letter == 'l' ? bits_f64(near * 0x1p31) : bits_f32((float)near * 0x1p20f);
    if (choice == 4) value = random % 77;
    if (letter == 'h') return value & 0xffff;
    return letter == 'l' ? value : value & UINT32_MAX;
}

/* ---- references ---- */

typedef struct {
    uint64_t a, b, c, e;
} In;
typedef uint64_t Reference(In in);

#define A in.a
#define B in.b
#define C in.c
#define FA as_f32(in.a)
#define FB as_f32(in.b)
#define FC as_f32(in.c)
#define DA as_f64(in.a)
#define DB as_f64(in.b)
#define DC as_f64(in.c)
#define S(BITS, X) ((int64_t)((uint64_t)(X) << (64 - BITS)) >> (64 - BITS))
#define SA(BITS) S(BITS, in.a)
#define SB(BITS) S(BITS, in.b)

static uint64_t f32(float x) {
    return x != x ? 0x7fffffff : bits_f32(x);
}

static float flushed(float x) {
    return fpclassify(x) == FP_SUBNORMAL ? copysignf(0, x) : x;
}

static float unit(float x) {
    return x != x || x < 0 ? 0 : x > 1 ? 1 : x == 0 ? 0 : x;
}

static uint64_t f64(double x) {
    return bits_f64(x);
}

/* With the host's rounding mode. */
#define WITH_MODE(NAME, TYPE)                                                                      \
    static TYPE NAME(int mode, char op, TYPE a, TYPE b, TYPE c) {                                  \
        volatile TYPE x = a, y = b, z = c, result = 0;                                             \
        fesetround(mode);                                                                          \
        switch (op) {                                                                              \
        case '+': result = x + y; break;                                                           \
        case '-': result = x - y; break;                                                           \
        case '*': result = x * y; break;                                                           \
        case '/': result = x / y; break;                                                           \
        case 'f':                                                                                  \
            result =                                                                               \
                sizeof(TYPE) == 4 ? (TYPE)fmaf((float)x, (float)y, (float)z) : (TYPE)fma(x, y, z); \
            break;                                                                                 \
        case 'q': result = sizeof(TYPE) == 4 ? (TYPE)sqrtf((float)x) : (TYPE)sqrt(x); break;       \
        }                                                                                          \
        fesetround(FE_TONEAREST);                                                                  \
        return result;                                                                             \
    }
WITH_MODE(mode_f32, float)
WITH_MODE(mode_f64, double)

#define CONVERSION(NAME, TO, FROM)                                                                 \
    static TO NAME(int mode, FROM a) {                                                             \
        volatile FROM x = a;                                                                       \
        fesetround(mode);                                                                          \
        volatile TO result = (TO)x;                                                                \
        fesetround(FE_TONEAREST);                                                                  \
        return result;                                                                             \
    }
CONVERSION(f32_of_s64, float, int64_t)
CONVERSION(f32_of_u64, float, uint64_t)
CONVERSION(f64_of_s64, double, int64_t)
CONVERSION(f64_of_u64, double, uint64_t)
CONVERSION(f32_of_f64, float, double)

static uint64_t to_integer(double x, int mode, uint32_t bits, bool is_signed, uint64_t no_number) {
    if (x != x) return no_number;
    long double whole = mode == FE_TONEAREST    ? rintl((long double)x)
                        : mode == FE_TOWARDZERO ? truncl((long double)x)
                        : mode == FE_DOWNWARD   ? floorl((long double)x)
                                                : ceill((long double)x);
    long double most = ldexpl(1, (int)(is_signed ? bits - 1 : bits));
    long double least = is_signed ? -most : 0;
    uint64_t all = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
    if (whole >= most) return is_signed ? all >> 1 : all;
    if (whole <= least) return is_signed ? all ^ all >> 1 : 0;
    return (is_signed ? (uint64_t)(int64_t)whole : (uint64_t)whole) & all;
}

static float smaller(float a, float b) {
    if (a != a) return b;
    if (b != b) return a;
    if (a == b) return signbit(a) ? a : b;
    return a < b ? a : b;
}

static float larger(float a, float b) {
    if (a != a) return b;
    if (b != b) return a;
    if (a == b) return signbit(a) ? b : a;
    return a > b ? a : b;
}

/* The half nearest to an exact value, found among all of a format's. */
static double half_value(uint32_t bits, bool brain) {
    uint32_t fraction_bits = brain ? 7 : 10, bias = brain ? 127 : 15;
    uint32_t fraction = bits & ((1u << fraction_bits) - 1);
    uint32_t exponent = (bits & 0x7fff) >> fraction_bits;
    double sign = bits & 0x8000 ? -1 : 1;
    if (exponent == 2 * bias + 1) return fraction ? NAN : sign * INFINITY;
    double magnitude = exponent ? 1 + ldexp(fraction, -(int)fraction_bits)
                                : ldexp(fraction, 1 - (int)fraction_bits);
    return sign * ldexp(magnitude, (int)exponent - (int)bias);
}

static uint32_t nearest_half(Quad x, bool brain) {
    uint32_t infinity = brain ? 0x7f80 : 0x7c00, low = 0, high = infinity;
    if (x != x) return 0x7fff;
    uint32_t sign = x < 0 || (x == 0 && signbit((double)x)) ? 0x8000 : 0;
    if (x < 0) x = -x;
    while (low + 1 < high) {
        uint32_t middle = (low + high) / 2;
        if ((Quad)half_value(middle, brain) <= x)
            low = middle;
        else
            high = middle;
    }
    Quad below = half_value(low, brain);
    Quad above =
        high == infinity ? (Quad)ldexp(1, brain ? 128 : 16) : (Quad)half_value(high, brain);
    if (x >= above) return sign | high;
    if (x - below == above - x) return sign | (low & 1 ? high : low);
    return sign | (x - below < above - x ? low : high);
}

static uint64_t zero_half(Quad x, bool brain) {
    uint32_t half = nearest_half(x, brain);
    double value = half_value(half, brain);
    if (x == x && fabs(value) > (double)(x < 0 ? -x : x)) half--;
    return half;
}

static uint64_t highest(uint64_t x) {
    for (uint32_t i = 64; i-- > 0;)
        if (x >> i & 1) return i;
    return UINT32_MAX;
}

static uint64_t field(uint64_t a, uint64_t b, uint64_t c, uint32_t bits, bool is_signed) {
    uint64_t result = 0, position = b & 255, length = c & 255, last = position + length - 1;
    uint64_t sign_at = last < bits - 1 ? last : bits - 1;
    uint64_t sign = is_signed && length ? a >> sign_at & 1 : 0;
    for (uint64_t i = 0; i < bits; i++) {
        uint64_t bit = i < length && position + i < bits ? a >> (position + i) & 1 : sign;
        result |= bit << i;
    }
    return result;
}

static uint64_t inserted(uint64_t a, uint64_t b, uint64_t c, uint64_t e, uint32_t bits) {
    uint64_t position = c & 255, length = e & 255;
    for (uint64_t i = 0; i < length && position + i < bits; i++) {
        uint64_t bit = UINT64_C(1) << (position + i);
        b = a >> i & 1 ? b | bit : b & ~bit;
    }
    return b;
}

static uint64_t bytes_picked(uint64_t a, uint64_t b, uint64_t c) {
    uint8_t bytes[8];
    uint64_t result = 0;
    for (uint32_t i = 0; i < 4; i++) bytes[i] = (uint8_t)(a >> 8 * i);
    for (uint32_t i = 0; i < 4; i++) bytes[4 + i] = (uint8_t)(b >> 8 * i);
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t nibble = c >> 4 * i & 15;
        uint8_t byte = bytes[nibble & 7];
        if (nibble & 8) byte = byte & 128 ? 255 : 0;
        result |= (uint64_t)byte << 8 * i;
    }
    return result;
}

static uint64_t lut(uint64_t a, uint64_t b, uint64_t c, uint32_t table) {
    uint64_t result = 0;
    for (uint32_t i = 0; i < 32; i++) {
        uint64_t index = (a >> i & 1) << 2 | (b >> i & 1) << 1 | (c >> i & 1);
        result |= (uint64_t)(table >> index & 1) << i;
    }
    return result;
}

static uint64_t dot(uint64_t a, uint64_t b, uint64_t c, bool a_signed, bool b_signed) {
    int64_t sum = (int64_t)c;
    for (uint32_t i = 0; i < 4; i++) {
        int64_t x = a >> 8 * i & 255, y = b >> 8 * i & 255;
        sum += (a_signed ? S(8, x) : x) * (b_signed ? S(8, y) : y);
    }
    return (uint64_t)sum;
}

static uint64_t mirrored(uint64_t x, uint32_t bits) {
    uint64_t result = 0;
    for (uint32_t i = 0; i < bits; i++)
        if (x >> i & 1) result |= UINT64_C(1) << (bits - 1 - i);
    return result;
}

static bool unordered(double a, double b) {
    return a != a || b != b;
}

/* ---- cases: name, shape, instructions, reference; results are cut to the result's width ---- */

#define INTEGER_CASES(X)                                                                           \
    X("u=uu", "add.s32 %d, %a, %b;", A + B)                                                        \
    X("l=ll", "add.u64 %d, %a, %b;", A + B)                                                        \
    X("h=hh", "add.s16 %d, %a, %b;", A + B)                                                        \
    X("u=uu", "sub.u32 %d, %a, %b;", A - B)                                                        \
    X("l=ll", "sub.s64 %d, %a, %b;", A - B)                                                        \
    X("h=hh", "sub.u16 %d, %a, %b;", A - B)                                                        \
    X("u=uu", "add.sat.s32 %d, %a, %b;",                                                           \
      SA(32) + SB(32) > INT32_MAX   ? INT32_MAX                                                    \
      : SA(32) + SB(32) < INT32_MIN ? (uint64_t)INT32_MIN                                          \
                                    : A + B)                                                       \
    X("u=uu", "mul.lo.s32 %d, %a, %b;", A *B)                                                      \
    X("l=ll", "mul.lo.u64 %d, %a, %b;", A *B)                                                      \
    X("h=hh", "mul.lo.u16 %d, %a, %b;", A *B)                                                      \
    X("u=uu", "mul.hi.u32 %d, %a, %b;", A *B >> 32)                                                \
    X("u=uu", "mul.hi.s32 %d, %a, %b;", (SA(32) * SB(32)) >> 32)                                   \
    X("l=ll", "mul.hi.u64 %d, %a, %b;", ((Wide)A * B) >> 64)                                       \
    X("l=ll", "mul.hi.s64 %d, %a, %b;", ((SignedWide)SA(64) * SB(64)) >> 64)                       \
    X("h=hh", "mul.hi.s16 %d, %a, %b;", (SA(16) * SB(16)) >> 16)                                   \
    X("l=uu", "mul.wide.u32 %d, %a, %b;", A *B)                                                    \
    X("l=uu", "mul.wide.s32 %d, %a, %b;", SA(32) * SB(32))                                         \
    X("u=hh", "mul.wide.u16 %d, %a, %b;", A *B)                                                    \
    X("u=hh", "mul.wide.s16 %d, %a, %b;", SA(16) * SB(16))                                         \
    X("u=uuu", "mad.lo.s32 %d, %a, %b, %c;", A *B + C)                                             \
    X("l=lll", "mad.lo.u64 %d, %a, %b, %c;", A *B + C)                                             \
    X("u=uuu", "mad.hi.u32 %d, %a, %b, %c;", (A * B >> 32) + C)                                    \
    X("l=uul", "mad.wide.u32 %d, %a, %b, %c;", A *B + C)                                           \
    X("l=uul", "mad.wide.s32 %d, %a, %b, %c;", (uint64_t)(SA(32) * SB(32)) + C)                    \
    X("u=uu", "mul24.lo.u32 %d, %a, %b;", (A & 0xffffff) * (B & 0xffffff))                         \
    X("u=uu", "div.u32 %d, %a, %b;", B ? A / B : UINT64_MAX)                                       \
    X("u=uu", "div.s32 %d, %a, %b;", SB(32) ? SA(32) / SB(32) : -1)                                \
    X("h=hh", "div.u16 %d, %a, %b;", B ? A / B : UINT64_MAX)                                       \
    X("h=hh", "div.s16 %d, %a, %b;", SB(16) ? SA(16) / SB(16) : -1)                                \
    X("l=ll", "div.u64 %d, %a, %b;", B ? A / B : UINT64_MAX)                                       \
    X("l=ll", "div.s64 %d, %a, %b;", SB(64) ? (SignedWide)SA(64) / SB(64) : -1)                    \
    X("u=uu", "rem.u32 %d, %a, %b;", B ? A % B : A)                                                \
    X("u=uu", "rem.s32 %d, %a, %b;", SB(32) ? SA(32) % SB(32) : SA(32))                            \
    X("l=ll", "rem.s64 %d, %a, %b;", SB(64) ? (SignedWide)SA(64) % SB(64) : SA(64))                \
    X("l=ll", "rem.u64 %d, %a, %b;", B ? A % B : A)                                                \
    X("u=uu", "min.s32 %d, %a, %b;", SA(32) < SB(32) ? A : B)                                      \
    X("u=uu", "max.s32 %d, %a, %b;", SA(32) > SB(32) ? A : B)                                      \
    X("u=uu", "min.u32 %d, %a, %b;", A < B ? A : B)                                                \
    X("h=hh", "max.s16 %d, %a, %b;", SA(16) > SB(16) ? A : B)                                      \
    X("l=ll", "min.s64 %d, %a, %b;", SA(64) < SB(64) ? A : B)                                      \
    X("l=ll", "max.u64 %d, %a, %b;", A > B ? A : B)                                                \
    X("u=u", "abs.s32 %d, %a;", SA(32) < 0 ? 0 - A : A)                                            \
    X("l=l", "abs.s64 %d, %a;", SA(64) < 0 ? 0 - A : A)                                            \
    X("u=u", "neg.s32 %d, %a;", 0 - A)                                                             \
    X("h=h", "neg.s16 %d, %a;", 0 - A)                                                             \
    X("u=uuu", "sad.s32 %d, %a, %b, %c;", C + (uint64_t)llabs(SA(32) - SB(32)))                    \
    X("u=uuu", "sad.u32 %d, %a, %b, %c;", C + (uint64_t)llabs((int64_t)A - (int64_t)B))            \
    X("u=uu", "and.b32 %d, %a, %b;", A &B)                                                         \
    X("l=ll", "or.b64 %d, %a, %b;", A | B)                                                         \
    X("h=hh", "xor.b16 %d, %a, %b;", A ^ B)                                                        \
    X("h=h", "not.b16 %d, %a;", ~A)                                                                \
    X("u=u", "cnot.b32 %d, %a;", A == 0)                                                           \
    X("u=uu", "shl.b32 %d, %a, %b;", B < 32 ? A << B : 0)                                          \
    X("l=lu", "shl.b64 %d, %a, %b;", B < 64 ? A << B : 0)                                          \
    X("h=hu", "shl.b16 %d, %a, %b;", B < 16 ? A << B : 0)                                          \
    X("u=uu", "shr.u32 %d, %a, %b;", B < 32 ? A >> B : 0)                                          \
    X("u=uu", "shr.s32 %d, %a, %b;", SA(32) >> (B < 32 ? B : 31))                                  \
    X("l=lu", "shr.s64 %d, %a, %b;", SA(64) >> (B < 64 ? B : 63))                                  \
    X("h=hu", "shr.s16 %d, %a, %b;", SA(16) >> (B < 16 ? B : 15))                                  \
    X("u=uuu", "shf.l.wrap.b32 %d, %a, %b, %c;", (B << 32 | A) << (C & 31) >> 32)                  \
    X("u=uuu", "shf.r.wrap.b32 %d, %a, %b, %c;", (B << 32 | A) >> (C & 31))                        \
    X("u=uuu", "shf.l.clamp.b32 %d, %a, %b, %c;", C < 32 ? (B << 32 | A) << C >> 32 : A)           \
    X("u=uuu", "shf.r.clamp.b32 %d, %a, %b, %c;", C < 32 ? (B << 32 | A) >> C : B)                 \
    X("u=u", "clz.b32 %d, %a;", A ? 31 - highest(A) : 32)                                          \
    X("u=l", "clz.b64 %d, %a;", A ? 63 - highest(A) : 64)                                          \
    X("u=u", "popc.b32 %d, %a;", __builtin_popcountll(A))                                          \
    X("u=l", "popc.b64 %d, %a;", __builtin_popcountll(A))                                          \
    X("u=u", "brev.b32 %d, %a;", mirrored(A, 32))                                                  \
    X("l=l", "brev.b64 %d, %a;", mirrored(A, 64))                                                  \
    X("u=u", "bfind.u32 %d, %a;", highest(A))                                                      \
    X("u=u", "bfind.s32 %d, %a;", highest(SA(32) < 0 ? ~A & UINT32_MAX : A))                       \
    X("u=l", "bfind.s64 %d, %a;", highest(SA(64) < 0 ? ~A : A))                                    \
    X("u=u", "bfind.shiftamt.u32 %d, %a;", A ? 31 - highest(A) : UINT32_MAX)                       \
    X("u=uuu", "bfe.u32 %d, %a, %b, %c;", field(A, B, C, 32, false))                               \
    X("u=uuu", "bfe.s32 %d, %a, %b, %c;", field(A, B, C, 32, true))                                \
    X("l=luu", "bfe.u64 %d, %a, %b, %c;", field(A, B, C, 64, false))                               \
    X("l=luu", "bfe.s64 %d, %a, %b, %c;", field(A, B, C, 64, true))                                \
    X("u=uuuu", "bfi.b32 %d, %a, %b, %c, %e;", inserted(A, B, C, in.e, 32))                        \
    X("l=lluu", "bfi.b64 %d, %a, %b, %c, %e;", inserted(A, B, C, in.e, 64))                        \
    X("u=uuu", "prmt.b32 %d, %a, %b, %c;", bytes_picked(A, B, C))                                  \
    X("u=uuu", "prmt.b32.f4e %d, %a, %b, %c;", (B << 32 | A) >> 8 * (C & 3))                       \
    X("u=uuu", "lop3.b32 %d, %a, %b, %c, 0xE8;", lut(A, B, C, 0xe8))                               \
    X("u=uuu", "lop3.b32 %d, %a, %b, %c, 0x96;", A ^ B ^ C)                                        \
    X("u=uuu", "lop3.b32 %d, %a, %b, %c, 0x1b;", lut(A, B, C, 0x1b))                               \
    X("u=uuu", "dp4a.s32.s32 %d, %a, %b, %c;", dot(A, B, C, true, true))                           \
    X("u=uuu", "dp4a.u32.s32 %d, %a, %b, %c;", dot(A, B, C, false, true))                          \
    X("l=ll",                                                                                      \
      "{ .reg .b32 l<2>, h<2>, x, y; mov.b64 {l0, h0}, %a; mov.b64 {l1, h1}, %b;"                  \
      " add.cc.u32 x, l0, l1; addc.u32 y, h0, h1; mov.b64 %d, {x, y}; }",                          \
      A + B)                                                                                       \
    X("l=ll",                                                                                      \
      "{ .reg .b32 l<2>, h<2>, x, y; mov.b64 {l0, h0}, %a; mov.b64 {l1, h1}, %b;"                  \
      " sub.cc.u32 x, l0, l1; subc.u32 y, h0, h1; mov.b64 %d, {x, y}; }",                          \
      A - B)                                                                                       \
    X("l=ll",                                                                                      \
      "{ .reg .b64 x, y; add.cc.u64 x, %a, %b; addc.cc.u64 x, %a, %b; addc.u64 %d, 0, 0; }",       \
      (((Wide)A + B) + (((Wide)A + B) >> 64)) >> 64 & 1)                                           \
    X("l=ll",                                                                                      \
      "{ .reg .b32 l<2>, h<2>, x, y; mov.b64 {l0, h0}, %a; mov.b64 {l1, h1}, %b; mul.lo.u32 x, "   \
      "l0, l1; mul.hi.u32 y, l0, l1; mad.lo.cc.u32 y, l0, h1, y; madc.hi.u32 h0, l0, h1, 0;"       \
      " mov.b64 %d, {y, h0}; }",                                                                   \
      ((Wide)(A & UINT32_MAX) * B >> 32))

#define LOGIC_CASES(X)                                                                             \
    X("p=uu", "setp.eq.s32 %d, %a, %b;", A == B)                                                   \
    X("p=uu", "setp.ne.u32 %d, %a, %b;", A != B)                                                   \
    X("p=uu", "setp.lt.s32 %d, %a, %b;", SA(32) < SB(32))                                          \
    X("p=uu", "setp.ge.u32 %d, %a, %b;", A >= B)                                                   \
    X("p=hh", "setp.gt.s16 %d, %a, %b;", SA(16) > SB(16))                                          \
    X("p=hh", "setp.lo.u16 %d, %a, %b;", A < B)                                                    \
    X("p=ll", "setp.le.s64 %d, %a, %b;", SA(64) <= SB(64))                                         \
    X("p=ll", "setp.hi.u64 %d, %a, %b;", A > B)                                                    \
    X("p=uu", "setp.eq.f32 %d, %a, %b;", FA == FB)                                                 \
    X("p=uu", "setp.ne.f32 %d, %a, %b;", !unordered(FA, FB) && FA != FB)                           \
    X("p=uu", "setp.lt.f32 %d, %a, %b;", FA < FB)                                                  \
    X("p=uu", "setp.le.f32 %d, %a, %b;", FA <= FB)                                                 \
    X("p=uu", "setp.gt.f32 %d, %a, %b;", FA > FB)                                                  \
    X("p=uu", "setp.ge.f32 %d, %a, %b;", FA >= FB)                                                 \
    X("p=uu", "setp.equ.f32 %d, %a, %b;", unordered(FA, FB) || FA == FB)                           \
    X("p=uu", "setp.neu.f32 %d, %a, %b;", unordered(FA, FB) || FA != FB)                           \
    X("p=uu", "setp.ltu.f32 %d, %a, %b;", unordered(FA, FB) || FA < FB)                            \
    X("p=uu", "setp.leu.f32 %d, %a, %b;", unordered(FA, FB) || FA <= FB)                           \
    X("p=uu", "setp.gtu.f32 %d, %a, %b;", unordered(FA, FB) || FA > FB)                            \
    X("p=uu", "setp.geu.f32 %d, %a, %b;", unordered(FA, FB) || FA >= FB)                           \
    X("p=uu", "setp.num.f32 %d, %a, %b;", !unordered(FA, FB))                                      \
    X("p=uu", "setp.nan.f32 %d, %a, %b;", unordered(FA, FB))                                       \
    X("p=uu", "setp.eq.ftz.f32 %d, %a, %b;", flushed(FA) == flushed(FB))                           \
    X("p=ll", "setp.gtu.f64 %d, %a, %b;", unordered(DA, DB) || DA > DB)                            \
    X("p=ll", "setp.lt.f64 %d, %a, %b;", DA < DB)                                                  \
    X("p=uup", "setp.lt.and.f32 %d, %a, %b, %c;", FA < FB && (C & 1))                              \
    X("p=uup", "setp.lt.or.s32 %d, %a, %b, !%c;", SA(32) < SB(32) || !(C & 1))                     \
    X("p=uup", "{ .reg .pred q; setp.lt.xor.u32 q|%d, %a, %b, %c; }", !(A < B) ^ (C & 1))          \
    X("u=uuu", "set.lt.u32.f32 %d, %a, %b;", FA < FB ? UINT32_MAX : 0)                             \
    X("u=uuu", "set.ge.f32.s32 %d, %a, %b;", SA(32) >= SB(32) ? 0x3f800000 : 0)                    \
    X("u=uup", "selp.b32 %d, %a, %b, %c;", C & 1 ? A : B)                                          \
    X("l=llp", "selp.f64 %d, %a, %b, !%c;", C & 1 ? B : A)                                         \
    X("u=uuu", "slct.b32.s32 %d, %a, %b, %c;", S(32, C) >= 0 ? A : B)                              \
    X("l=llu", "slct.f64.f32 %d, %a, %b, %c;", FC >= 0 ? A : B)                                    \
    X("p=pp", "and.pred %d, %a, %b;", A &B & 1)                                                    \
    X("p=pp", "or.pred %d, %a, !%b;", (A | ~B) & 1)                                                \
    X("p=pp", "xor.pred %d, %a, %b;", (A ^ B) & 1)                                                 \
    X("p=p", "not.pred %d, %a;", ~A & 1)                                                           \
    X("p=p", "mov.pred %d, !%a;", ~A & 1)                                                          \
    X("u=hh", "mov.b32 %d, {%a, %b};", B << 16 | A)                                                \
    X("l=hhhh", "mov.b64 %d, {%a, %b, %c, %e};", in.e << 48 | C << 32 | B << 16 | A)               \
    X("h=u", "mov.b32 {_, %d}, %a;", A >> 16)                                                      \
    X("h=l", "{ .reg .b16 x; mov.b64 {x, _, %d, _}, %a; }", A >> 32)                               \
    X("u=l", "mov.b64 {_, %d}, %a;", A >> 32)                                                      \
    X("u=uup", "@%c mov.b32 %d, %a; @!%c mov.b32 %d, %b;", C & 1 ? A : B)                          \
    X("p=u", "testp.subnormal.f32 %d, %a;", fpclassify(FA) == FP_SUBNORMAL)                        \
    X("p=l", "testp.notanumber.f64 %d, %a;", DA != DA)                                             \
    X("l=l", "cvta.to.shared.u64 %d, %a;", A - SHARED_WINDOW)                                      \
    X("l=l", "cvta.local.u64 %d, %a;", A + LOCAL_WINDOW)                                           \
    X("p=l", "isspacep.shared %d, %a;", A >= SHARED_WINDOW && A < SHARED_WINDOW + WINDOW_BYTES)    \
    X("p=u", "{ .reg .b64 x; cvt.u64.u32 x, %a; cvta.shared.u64 x, x; isspacep.shared %d, x; }",   \
      A < WINDOW_BYTES)

#define MODE_CASES(X, ROUND, MODE)                                                                 \
    X("u=uu", "add." ROUND ".f32 %d, %a, %b;", f32(mode_f32(MODE, '+', FA, FB, 0)))                \
    X("u=uu", "sub." ROUND ".f32 %d, %a, %b;", f32(mode_f32(MODE, '-', FA, FB, 0)))                \
    X("u=uu", "mul." ROUND ".f32 %d, %a, %b;", f32(mode_f32(MODE, '*', FA, FB, 0)))                \
    X("u=uu", "div." ROUND ".f32 %d, %a, %b;", f32(mode_f32(MODE, '/', FA, FB, 0)))                \
    X("u=u", "rcp." ROUND ".f32 %d, %a;", f32(mode_f32(MODE, '/', 1, FA, 0)))                      \
    X("u=u", "sqrt." ROUND ".f32 %d, %a;", f32(mode_f32(MODE, 'q', FA, 0, 0)))                     \
    X("u=uuu", "fma." ROUND ".f32 %d, %a, %b, %c;", f32(mode_f32(MODE, 'f', FA, FB, FC)))          \
    X("l=ll", "add." ROUND ".f64 %d, %a, %b;", f64(mode_f64(MODE, '+', DA, DB, 0)))                \
    X("l=ll", "sub." ROUND ".f64 %d, %a, %b;", f64(mode_f64(MODE, '-', DA, DB, 0)))                \
    X("l=ll", "mul." ROUND ".f64 %d, %a, %b;", f64(mode_f64(MODE, '*', DA, DB, 0)))                \
    X("l=ll", "div." ROUND ".f64 %d, %a, %b;", f64(mode_f64(MODE, '/', DA, DB, 0)))                \
    X("l=l", "sqrt." ROUND ".f64 %d, %a;", f64(mode_f64(MODE, 'q', DA, 0, 0)))                     \
    X("l=lll", "fma." ROUND ".f64 %d, %a, %b, %c;", f64(mode_f64(MODE, 'f', DA, DB, DC)))          \
    X("u=u", "cvt." ROUND ".f32.s32 %d, %a;", f32(f32_of_s64(MODE, SA(32))))                       \
    X("u=l", "cvt." ROUND ".f32.u64 %d, %a;", f32(f32_of_u64(MODE, A)))                            \
    X("u=l", "cvt." ROUND ".f32.s64 %d, %a;", f32(f32_of_s64(MODE, SA(64))))                       \
    X("l=l", "cvt." ROUND ".f64.s64 %d, %a;", f64(f64_of_s64(MODE, SA(64))))                       \
    X("l=l", "cvt." ROUND ".f64.u64 %d, %a;", f64(f64_of_u64(MODE, A)))                            \
    X("u=l", "cvt." ROUND ".f32.f64 %d, %a;", f32(f32_of_f64(MODE, DA)))                           \
    X("u=u", "cvt." ROUND "i.s32.f32 %d, %a;", to_integer(FA, MODE, 32, true, 0))                  \
    X("u=u", "cvt." ROUND "i.u32.f32 %d, %a;", to_integer(FA, MODE, 32, false, 0))                 \
    X("l=u", "cvt." ROUND "i.s64.f32 %d, %a;", to_integer(FA, MODE, 64, true, 1ull << 63))         \
    X("l=u", "cvt." ROUND "i.u64.f32 %d, %a;", to_integer(FA, MODE, 64, false, 1ull << 63))        \
    X("u=l", "cvt." ROUND "i.s32.f64 %d, %a;", to_integer(DA, MODE, 32, true, 1u << 31))           \
    X("l=l", "cvt." ROUND "i.s64.f64 %d, %a;", to_integer(DA, MODE, 64, true, 1ull << 63))         \
    X("l=l", "cvt." ROUND "i.u64.f64 %d, %a;", to_integer(DA, MODE, 64, false, 1ull << 63))        \
    X("h=u", "cvt." ROUND "i.u8.f32 %d, %a;", to_integer(FA, MODE, 8, false, 0))                   \
    X("h=u", "cvt." ROUND "i.s16.f32 %d, %a;", to_integer(FA, MODE, 16, true, 0))

#define FLOAT_CASES(X)                                                                             \
    MODE_CASES(X, "rn", FE_TONEAREST)                                                              \
    MODE_CASES(X, "rz", FE_TOWARDZERO)                                                             \
    MODE_CASES(X, "rm", FE_DOWNWARD)                                                               \
    MODE_CASES(X, "rp", FE_UPWARD)                                                                 \
    X("u=uu", "add.f32 %d, %a, %b;", f32(FA + FB))                                                 \
    X("u=uu", "mul.f32 %d, %a, %b;", f32(FA *FB))                                                  \
    X("u=uuu", "{ .reg .f32 x; mul.f32 x, %a, %b; add.f32 %d, x, %c; }",                           \
      f32(as_f32(f32(FA *FB)) + FC))                                                               \
    X("u=uu", "add.ftz.f32 %d, %a, %b;", f32(flushed(flushed(FA) + flushed(FB))))                  \
    X("u=uu", "mul.sat.f32 %d, %a, %b;", f32(unit(FA *FB)))                                        \
    X("u=uuu", "fma.rn.ftz.sat.f32 %d, %a, %b, %c;",                                               \
      f32(unit(flushed(fmaf(flushed(FA), flushed(FB), flushed(FC))))))                             \
    X("u=u", "cvt.sat.f32.f32 %d, %a;", f32(unit(FA)))                                             \
    X("u=u", "cvt.rni.f32.f32 %d, %a;", f32(rintf(FA)))                                            \
    X("u=u", "cvt.rzi.f32.f32 %d, %a;", f32(truncf(FA)))                                           \
    X("u=u", "cvt.rmi.ftz.f32.f32 %d, %a;", f32(floorf(flushed(FA))))                              \
    X("l=l", "cvt.rpi.f64.f64 %d, %a;", f64(ceil(DA)))                                             \
    X("l=u", "cvt.f64.f32 %d, %a;", f64(FA))                                                       \
    X("u=uu", "min.f32 %d, %a, %b;", f32(smaller(FA, FB)))                                         \
    X("u=uu", "max.f32 %d, %a, %b;", f32(larger(FA, FB)))                                          \
    X("u=uu", "min.NaN.f32 %d, %a, %b;", unordered(FA, FB) ? 0x7fffffff : f32(smaller(FA, FB)))    \
    X("u=uu", "max.NaN.f32 %d, %a, %b;", unordered(FA, FB) ? 0x7fffffff : f32(larger(FA, FB)))     \
    X("l=ll", "min.f64 %d, %a, %b;",                                                               \
      DA != DA   ? B                                                                               \
      : DB != DB ? A                                                                               \
      : DA == DB ? A | B                                                                           \
      : DA < DB  ? A                                                                               \
                 : B)                                                                               \
    X("l=ll", "max.f64 %d, %a, %b;",                                                               \
      DA != DA   ? B                                                                               \
      : DB != DB ? A                                                                               \
      : DA == DB ? A & B                                                                           \
      : DA > DB  ? A                                                                               \
                 : B)                                                                               \
    X("u=u", "neg.f32 %d, %a;", A ^ 0x80000000)                                                    \
    X("u=u", "abs.f32 %d, %a;", A & 0x7fffffff)                                                    \
    X("l=l", "neg.f64 %d, %a;", A ^ 1ull << 63)                                                    \
    X("l=l", "abs.f64 %d, %a;", A & ~(1ull << 63))                                                 \
    X("u=uu", "copysign.f32 %d, %a, %b;", (A & 0x80000000) | (B & 0x7fffffff))                     \
    X("l=ll", "copysign.f64 %d, %a, %b;", (A & 1ull << 63) | (B & ~(1ull << 63)))                  \
    X("u=u", "ex2.approx.f32 %d, %a;", f32((float)exp2l(FA)))                                      \
    X("u=u", "ex2.approx.ftz.f32 %d, %a;", f32(flushed((float)exp2l(flushed(FA)))))                \
    X("u=u", "lg2.approx.f32 %d, %a;", f32((float)log2l(FA)))                                      \
    X("u=u", "rcp.approx.ftz.f32 %d, %a;", f32(flushed(1 / flushed(FA))))                          \
    X("u=u", "sqrt.approx.f32 %d, %a;", f32(sqrtf(FA)))                                            \
    X("u=u", "rsqrt.approx.f32 %d, %a;", f32((float)(1 / sqrtl(FA))))                              \
    X("u=u", "tanh.approx.f32 %d, %a;", f32((float)tanhl(FA)))                                     \
    X("u=uu", "div.approx.f32 %d, %a, %b;", f32(FA / FB))                                          \
    X("u=uu", "div.full.f32 %d, %a, %b;", f32(FA / FB))

#define CONVERT_CASES(X)                                                                           \
    X("l=u", "cvt.u64.u32 %d, %a;", A)                                                             \
    X("l=u", "cvt.s64.s32 %d, %a;", SA(32))                                                        \
    X("u=l", "cvt.u32.u64 %d, %a;", A)                                                             \
    X("h=u", "cvt.u16.u32 %d, %a;", A)                                                             \
    X("u=h", "cvt.u32.u16 %d, %a;", A)                                                             \
    X("u=h", "cvt.s32.s16 %d, %a;", SA(16))                                                        \
    X("u=h", "cvt.s32.s8 %d, %a;", SA(8))                                                          \
    X("h=h", "cvt.s16.s8 %d, %a;", SA(8))                                                          \
    X("h=u", "cvt.s8.s32 %d, %a;", SA(8))                                                          \
    X("u=u", "cvt.s8.s32 %d, %a;", SA(8))                                                          \
    X("l=u", "cvt.s16.s32 %d, %a;", SA(16))                                                        \
    X("u=l", "cvt.u8.u32 %d, %a;", A & 255)                                                        \
    X("h=u", "cvt.sat.u8.s32 %d, %a;", SA(32) < 0 ? 0 : SA(32) > 255 ? 255 : A)                    \
    X("h=u", "cvt.sat.s16.s32 %d, %a;", SA(32) < -32768 ? 0x8000 : SA(32) > 32767 ? 32767 : A)     \
    X("u=l", "cvt.sat.u32.s64 %d, %a;", SA(64) < 0 ? 0 : A > UINT32_MAX ? UINT32_MAX : A)          \
    X("u=h", "cvt.rn.f32.u16 %d, %a;", f32((float)A))                                              \
    X("u=h", "cvt.rn.f32.s8 %d, %a;", f32((float)SA(8)))                                           \
    X("l=u", "cvt.rn.f64.u32 %d, %a;", f64((double)A))                                             \
    X("h=u", "cvt.rn.f16.f32 %d, %a;", nearest_half(FA, false))                                    \
    X("h=u", "cvt.rn.bf16.f32 %d, %a;", nearest_half(FA, true))                                    \
    X("h=u", "cvt.rz.f16.f32 %d, %a;", zero_half(FA, false))                                       \
    X("h=u", "cvt.rz.bf16.f32 %d, %a;", zero_half(FA, true))                                       \
    X("h=l", "cvt.rn.f16.f64 %d, %a;", nearest_half(DA, false))                                    \
    X("h=l", "cvt.rn.f16.s64 %d, %a;", nearest_half(SA(64), false))                                \
    X("h=l", "cvt.rn.bf16.u64 %d, %a;", nearest_half(A, true))                                     \
    X("u=uu", "cvt.rn.bf16x2.f32 %d, %a, %b;",                                                     \
      (uint64_t)nearest_half(FA, true) << 16 | nearest_half(FB, true))                             \
    X("u=uu", "cvt.rn.f16x2.f32 %d, %a, %b;",                                                      \
      (uint64_t)nearest_half(FA, false) << 16 | nearest_half(FB, false))                           \
    X("u=h", "cvt.f32.f16 %d, %a;", f32((float)half_value((uint32_t)A, false)))                    \
    X("u=h", "cvt.f32.bf16 %d, %a;", f32((float)half_value((uint32_t)A, true)))                    \
    X("u=h", "cvt.rzi.s32.f16 %d, %a;",                                                            \
      to_integer(half_value((uint32_t)A, false), FE_TOWARDZERO, 32, true, 0))                      \
    X("u=u", "cvt.rna.tf32.f32 %d, %a;",                                                           \
      FA != FA    ? 0x7fffffff                                                                     \
      : isinf(FA) ? A                                                                              \
                  : (A + 0x1000) & ~0x1fffull)

#define HV(X) (Quad) half_value((uint32_t)(X)&0xffff, false)
#define BV(X) (Quad) half_value((uint32_t)(X)&0xffff, true)
#define HALF_CASES(X)                                                                              \
    X("h=hh", "add.f16 %d, %a, %b;", nearest_half(HV(A) + HV(B), false))                           \
    X("h=hh", "sub.rn.f16 %d, %a, %b;", nearest_half(HV(A) - HV(B), false))                        \
    X("h=hh", "mul.bf16 %d, %a, %b;", nearest_half(BV(A) * BV(B), true))                           \
    X("h=hhh", "fma.rn.f16 %d, %a, %b, %c;", nearest_half(HV(A) * HV(B) + HV(C), false))           \
    X("h=hhh", "fma.rn.bf16 %d, %a, %b, %c;", nearest_half(BV(A) * BV(B) + BV(C), true))           \
    X("u=uuu", "fma.rn.f16x2 %d, %a, %b, %c;",                                                     \
      nearest_half(HV(A) * HV(B) + HV(C), false) |                                                 \
          (uint64_t)nearest_half(HV(A >> 16) * HV(B >> 16) + HV(C >> 16), false) << 16)            \
    X("u=uu", "add.rn.bf16x2 %d, %a, %b;",                                                         \
      nearest_half(BV(A) + BV(B), true) | (uint64_t)nearest_half(BV(A >> 16) + BV(B >> 16), true)  \
                                              << 16)                                               \
    X("p=hh", "setp.ltu.f16 %d, %a, %b;", !(HV(A) >= HV(B)))                                       \
    X("u=u", "neg.bf16x2 %d, %a;", A ^ 0x80008000)

#define ALL_CASES(X) INTEGER_CASES(X) LOGIC_CASES(X) FLOAT_CASES(X) CONVERT_CASES(X) HALF_CASES(X)

typedef struct {
    const char *shape, *body;
} Case;

#define AS_ROW(SHAPE, BODY, ...) {SHAPE, BODY},
static const Case cases[] = {ALL_CASES(AS_ROW)};

/* Case `which` of the table: counted, for all stand in the same lines. */
enum { FIRST_CASE = __COUNTER__ + 1 };
#define AS_REFERENCE(SHAPE, BODY, ...)                                                             \
    case __COUNTER__ - FIRST_CASE: return (uint64_t)(__VA_ARGS__);
static uint64_t expected(uint32_t which, In in) {
    switch (which) { ALL_CASES(AS_REFERENCE) }
    return 0;
}

/* ---- running them ---- */

static uint64_t cut(uint64_t value, char letter) {
    return letter == 'p'   ? value & 1
           : letter == 'h' ? value & 0xffff
           : letter == 'u' ? value & UINT32_MAX
                           : value;
}

/* A 64-bit result that is no number may have any payload. */
static bool is_same(const Case *which, uint64_t got, uint64_t wanted) {
    bool is_f64 = strstr(which->body, ".f64 %d") || strstr(which->body, ".f64.");
    return got == wanted || (which->shape[0] == 'l' && is_f64 && as_f64(got) != as_f64(got) &&
                             as_f64(wanted) != as_f64(wanted));
}

static void check_batch(const Program *program, uint32_t which, uint64_t *random) {
    const Case *c = &cases[which];
    uint64_t in[4][LANES] = {{0}}, before[LANES], after[LANES];
    uint32_t operands = (uint32_t)strlen(c->shape) - 2;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        before[lane] = cut(random_bits(random), c->shape[0]);
        for (uint32_t i = 0; i < operands; i++)
            in[i][lane] = cut(value_for(random, c->shape[2 + i]), c->shape[2 + i]);
    }
    write_row(program, 0, c->shape[0], before);
    for (uint32_t i = 0; i < operands; i++) write_row(program, 1 + i, c->shape[2 + i], in[i]);
    uint32_t mask = random_bits(random) % 3 ? (uint32_t)random_bits(random) : UINT32_MAX;
    run_program(program, mask);
    read_row(program, 0, c->shape[0], after);
    for (uint32_t lane = 0; lane < LANES; lane++) {
        In values = {in[0][lane], in[1][lane], in[2][lane], in[3][lane]};
        uint64_t wanted =
            mask >> lane & 1 ? cut(expected(which, values), c->shape[0]) : before[lane];
        if (!is_same(c, after[lane], wanted))
            fail_msg("%s a %llx b %llx c %llx e %llx: %llx, and %llx is right%s", c->body,
                     (unsigned long long)values.a, (unsigned long long)values.b,
                     (unsigned long long)values.c, (unsigned long long)values.e,
                     (unsigned long long)after[lane], (unsigned long long)wanted,
                     mask >> lane & 1 ? "" : " (not in the mask)");
    }
}

static void check_cases(uint32_t first, uint32_t end) {
    for (uint32_t which = first; which < end; which++) {
        Program program;
        uint64_t random = which;
        make_program(&program, cases[which].shape, cases[which].body);
        for (uint32_t batch = 0; batch < BATCHES; batch++) check_batch(&program, which, &random);
        release_program(&program);
    }
}

#define AS_COUNT(...) +1
enum {
    INTEGERS = INTEGER_CASES(AS_COUNT),
    LOGIC = INTEGERS LOGIC_CASES(AS_COUNT),
    FLOATS = LOGIC FLOAT_CASES(AS_COUNT),
    CONVERSIONS = FLOATS CONVERT_CASES(AS_COUNT),
    HALVES = CONVERSIONS HALF_CASES(AS_COUNT)
};

static void integers_compute(void **state) {
    (void)state;
    check_cases(0, INTEGERS);
}

static void comparisons_and_moves_compute(void **state) {
    (void)state;
    check_cases(INTEGERS, LOGIC);
}

static void floats_round_exactly(void **state) {
    (void)state;
    check_cases(LOGIC, FLOATS);
}

static void conversions_round_exactly(void **state) {
    (void)state;
    check_cases(FLOATS, CONVERSIONS);
}

static void halves_round_once(void **state) {
    (void)state;
    check_cases(CONVERSIONS, HALVES);
}

/* sin and cos are not correctly rounded in any library: within an ulp of the long double's. */
static void sine_is_close(void **state) {
    (void)state;
    Program sine, cosine;
    make_program(&sine, "u=u", "sin.approx.f32 %d, %a;");
    make_program(&cosine, "u=u", "cos.approx.f32 %d, %a;");
    uint64_t in[LANES], s[LANES], c[LANES];
    for (uint32_t lane = 0; lane < LANES; lane++) in[lane] = bits_f32((float)lane * 0.37f - 5.0f);
    write_row(&sine, 1, 'u', in);
    write_row(&cosine, 1, 'u', in);
    run_program(&sine, UINT32_MAX);
    run_program(&cosine, UINT32_MAX);
    read_row(&sine, 0, 'u', s);
    read_row(&cosine, 0, 'u', c);
    for (uint32_t lane = 0; lane < LANES; lane++) {
        assert_true(fabsl(as_f32(s[lane]) - sinl(as_f32(in[lane]))) < 0x1p-24L);
        assert_true(fabsl(as_f32(c[lane]) - cosl(as_f32(in[lane]))) < 0x1p-24L);
    }
    release_program(&sine);
    release_program(&cosine);
}

/* p|q, and a predicate that one of them replaces. */
static void setp_gives_both_sides(void **state) {
    (void)state;
    Program program;
    make_program(&program, "p=puu", "setp.lt.and.s32 %d|%a, %b, %c, %a;");
    uint64_t a[LANES], b[LANES], c[LANES], p[LANES], q[LANES];
    uint64_t random = 9;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        a[lane] = random_bits(&random) & 1;
        b[lane] = random_bits(&random) % 3;
        c[lane] = random_bits(&random) % 3;
    }
    write_row(&program, 1, 'p', a);
    write_row(&program, 2, 'u', b);
    write_row(&program, 3, 'u', c);
    run_program(&program, UINT32_MAX);
    read_row(&program, 0, 'p', p);
    read_row(&program, 1, 'p', q);
    for (uint32_t lane = 0; lane < LANES; lane++) {
        assert_int_equal(p[lane], b[lane] < c[lane] && a[lane]);
        assert_int_equal(q[lane], !(b[lane] < c[lane]) && a[lane]);
    }
    release_program(&program);
}

/* ---- mma: matrices of small integers, which every order of summing gets right ---- */

typedef struct {
    const char *types;
    uint32_t k, a_registers, per; /* elements in a register */
    bool bytes, tf32, half_result;
} Tensor;

static uint32_t element_bits(const Tensor *t, int value) {
    if (t->bytes) return (uint8_t)value;
    if (t->tf32) return bits_f32((float)value);
    return nearest_half(value, strstr(t->types, "bf16") != NULL);
}

/* The manual's figures: the row and column that element i of a lane's fragment of A holds. */
static void place_in_a(const Tensor *t, uint32_t lane, uint32_t i, uint32_t *row,
                       uint32_t *column) {
    uint32_t group = lane >> 2, thread = lane % 4, reg = i / t->per, in_reg = i % t->per;
    *row = reg % 2 == 0 ? group : group + 8;
    *column = thread * t->per + in_reg + (reg >= 2 ? t->k / 2 : 0);
    if (t->a_registers == 2) *column = thread * t->per + in_reg;
}

static void place_in_b(const Tensor *t, uint32_t lane, uint32_t i, uint32_t *row,
                       uint32_t *column) {
    uint32_t reg = i / t->per;
    *row = lane % 4 * t->per + i % t->per + (reg ? t->k / 2 : 0);
    *column = lane >> 2;
}

static int append_list(char *text, size_t bytes, uint32_t from, uint32_t count, const char *end) {
    int at = 0;
    for (uint32_t i = 0; i < count; i++)
        at += snprintf(text + at, bytes - (size_t)at, "%sr%u", i ? ", " : "{", from + i);
    return at + snprintf(text + at, bytes - (size_t)at, "}%s", end);
}

/* Registers r0, r1, …: A, B, C, which is the result too. */
static void make_tensor(Program *program, const Tensor *t) {
    char body[1500];
    uint32_t a = t->a_registers, b = a / 2, c = t->half_result ? 2 : 4;
    int at = snprintf(body, sizeof body, "{ .reg .b32 r<16>;\n");
    for (uint32_t i = 0; i < a + b + c; i++)
        at += snprintf(body + at, sizeof body - (size_t)at, "mov.b32 r%u, r%u;\n", i, i);
    at += snprintf(body + at, sizeof body - (size_t)at, "mma.sync.aligned.m16n8k%u.row.col.%s ",
                   t->k, t->types);
    at += append_list(body + at, sizeof body - (size_t)at, a + b, c, ", ");
    at += append_list(body + at, sizeof body - (size_t)at, 0, a, ", ");
    at += append_list(body + at, sizeof body - (size_t)at, a, b, ", ");
    append_list(body + at, sizeof body - (size_t)at, a + b, c, "; }");
    make_program(program, "u=", body);
}

enum { FIRST_REGISTER = 1 }; /* make_program's own moves %d */

static void write_fragments(const Program *program, const Tensor *t, int a[16][32], int b[32][8]) {
    uint32_t bits = 32 / t->per, row, column;
    for (uint32_t reg = 0; reg < t->a_registers + t->a_registers / 2; reg++) {
        bool in_a = reg < t->a_registers;
        uint64_t words[LANES] = {0};
        for (uint32_t lane = 0; lane < LANES; lane++)
            for (uint32_t e = 0; e < t->per; e++) {
                uint32_t i = (in_a ? reg : reg - t->a_registers) * t->per + e;
                (in_a ? place_in_a : place_in_b)(t, lane, i, &row, &column);
                int value = in_a ? a[row][column] : b[row][column];
                words[lane] |= (uint64_t)element_bits(t, value) << (t->tf32 ? 0 : bits * e);
            }
        write_row(program, FIRST_REGISTER + reg, 'u', words);
    }
}

/* c0, c1: row g, columns 2 t and the next; c2, c3: row g + 8. */
static void check_results(const Program *program, const Tensor *t, int c[16][8]) {
    uint32_t first = FIRST_REGISTER + t->a_registers * 3 / 2;
    for (uint32_t i = 0; i < 4; i++) {
        uint64_t words[LANES];
        read_row(program, first + (t->half_result ? i / 2 : i), 'u', words);
        for (uint32_t lane = 0; lane < LANES; lane++) {
            int wanted = c[lane / 4 + (i >= 2 ? 8 : 0)][lane % 4 * 2 + i % 2];
            double got = t->bytes ? (double)(int32_t)words[lane]
                         : t->half_result
                             ? half_value((uint32_t)(words[lane] >> (i % 2 * 16)) & 0xffff, false)
                             : (double)as_f32(words[lane]);
            if (got != wanted)
                fail_msg("%s k %u lane %u c%u: %g, and %d is right", t->types, t->k, lane, i, got,
                         wanted);
        }
    }
}

static void check_tensor(const Tensor *t) {
    Program program;
    make_tensor(&program, t);
    uint64_t random = t->k;
    int a[16][32] = {{0}}, b[32][8] = {{0}}, c[16][8];
    int least = strstr(t->types, ".u8") ? 0 : -4;
    for (uint32_t k = 0; k < t->k; k++) {
        for (uint32_t m = 0; m < 16; m++) a[m][k] = least + (int)(random_bits(&random) % 9);
        for (uint32_t n = 0; n < 8; n++) b[k][n] = least + (int)(random_bits(&random) % 9);
    }
    uint32_t one = t->half_result ? 0x3c003c00 : t->bytes ? 1 : 0x3f800000;
    uint64_t ones[LANES];
    for (uint32_t lane = 0; lane < LANES; lane++) ones[lane] = one;
    for (uint32_t i = 0; i < (t->half_result ? 2u : 4u); i++)
        write_row(&program, FIRST_REGISTER + t->a_registers * 3 / 2 + i, 'u', ones);
    for (uint32_t m = 0; m < 16; m++)
        for (uint32_t n = 0; n < 8; n++) {
            c[m][n] = 1;
            for (uint32_t k = 0; k < t->k; k++) c[m][n] += a[m][k] * b[k][n];
        }
    write_fragments(&program, t, a, b);
    run_program(&program, UINT32_MAX);
    check_results(&program, t, c);
    const Instr *mma = &program.function->code[program.function->count - 3];
    assert_int_equal(mma->tensor_flops, 2 * 16 * 8 * t->k);
    release_program(&program);
}

static void tensors_multiply(void **state) {
    (void)state;
    static const Tensor tensors[] = {
        {"f32.bf16.bf16.f32", 16, 4, 2, false, false, false},
        {"f32.f16.f16.f32", 16, 4, 2, false, false, false},
        {"f16.f16.f16.f16", 16, 4, 2, false, false, true},
        {"f32.bf16.bf16.f32", 8, 2, 2, false, false, false},
        {"f32.f16.f16.f32", 8, 2, 2, false, false, false},
        {"f32.tf32.tf32.f32", 8, 4, 1, false, true, false},
        {"f32.tf32.tf32.f32", 4, 2, 1, false, true, false},
        {"s32.s8.s8.s32", 32, 4, 4, true, false, false},
        {"s32.u8.u8.s32", 32, 4, 4, true, false, false},
        {"s32.s8.s8.s32", 16, 2, 4, true, false, false},
    };
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) check_tensor(&tensors[i]);
}

/* Lane l of the result holds elements 2 (l % 4) and the next of row l / 4 of the transpose. */
static void matrices_are_transposed(void **state) {
    (void)state;
    Program program;
    make_program(&program, "u=u", "movmatrix.sync.aligned.m8n8.trans.b16 %d, %a;");
    uint64_t in[LANES], out[LANES];
    for (uint32_t lane = 0; lane < LANES; lane++) {
        uint32_t first = lane / 4 * 8 + lane % 4 * 2;
        in[lane] = first | (first + 1) << 16;
    }
    write_row(&program, 1, 'u', in);
    run_program(&program, UINT32_MAX);
    read_row(&program, 0, 'u', out);
    for (uint32_t lane = 0; lane < LANES; lane++) {
        uint32_t row = lane / 4, column = lane % 4 * 2;
        assert_int_equal(out[lane], (column * 8 + row) | ((column + 1) * 8 + row) << 16);
    }
    release_program(&program);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_compute),        cmocka_unit_test(comparisons_and_moves_compute),
        cmocka_unit_test(floats_round_exactly),    cmocka_unit_test(conversions_round_exactly),
        cmocka_unit_test(halves_round_once),       cmocka_unit_test(sine_is_close),
        cmocka_unit_test(setp_gives_both_sides),   cmocka_unit_test(tensors_multiply),
        cmocka_unit_test(matrices_are_transposed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
