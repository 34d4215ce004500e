/* Atomics: lanes in ascending order, each with its own read and write. */
#include "tests/vgpu/engine.h"

#include <string.h>

/* Adds halves of a packed pair; a sum of two fits a float exactly enough to be rounded once more.
 */
static float half_value(uint16_t bits) {
    const uint32_t sign = (uint32_t)(bits & 0x8000) << 16, exponent = bits >> 10 & 31;
    const uint32_t fraction = bits & 0x3FF;
    uint32_t word = sign;
    float value;
    if (exponent == 31)
        word |= 0x7F800000 | fraction << 13;
    else if (exponent > 0)
        word |= (exponent + 112) << 23 | fraction << 13;
    memcpy(&value, &word, sizeof value);
    if (exponent == 0) value = (float)fraction * 0x1p-24f * (sign ? -1.0f : 1.0f);
    return value;
}

static uint16_t half_bits(float value) {
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    const uint16_t sign = (uint16_t)(word >> 16 & 0x8000);
    const uint32_t size = word & 0x7FFFFFFF;
    if (size > 0x7F800000) return 0x7FFF;
    if (size >= 0x477FF000) return (uint16_t)(sign | 0x7C00); /* rounds beyond 65504 */
    if (size < 0x38800000) {                                  /* subnormal: in units of 2^-24 */
        float tiny;
        memcpy(&tiny, &size, sizeof tiny);
        return (uint16_t)(sign | (uint16_t)__builtin_rintf(tiny * 0x1p24f));
    }
    const uint32_t even = size + 0xFFF + (size >> 13 & 1);
    return (uint16_t)(sign | ((even >> 13) - (112u << 10)));
}

static float brain_value(uint16_t bits) {
    const uint32_t word = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &word, sizeof value);
    return value;
}

static uint16_t brain_bits(float value) {
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    if (value != value) return 0x7FFF;
    return (uint16_t)((word + 0x7FFF + (word >> 16 & 1)) >> 16);
}

static uint32_t add_halves(Type type, uint32_t a, uint32_t b) {
    uint32_t sum = 0;
    for (uint32_t shift = 0; shift < 32; shift += 16) {
        const uint16_t x = (uint16_t)(a >> shift), y = (uint16_t)(b >> shift);
        const bool brain = type == T_BF16X2 || type == T_BF16;
        sum |= (uint32_t)(brain ? brain_bits(brain_value(x) + brain_value(y))
                                : half_bits(half_value(x) + half_value(y)))
               << shift;
    }
    return sum;
}

/* Subnormals are flushed in global memory and kept in shared memory, as on the cards. */
static uint32_t add_floats(uint32_t a, uint32_t b, bool flush) {
    float x, y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    if (flush && __builtin_fabsf(x) < 0x1p-126f) x = __builtin_copysignf(0, x);
    if (flush && __builtin_fabsf(y) < 0x1p-126f) y = __builtin_copysignf(0, y);
    x += y;
    if (flush && __builtin_fabsf(x) < 0x1p-126f) x = __builtin_copysignf(0, x);
    if (x != x) return 0x7FFFFFFF;
    memcpy(&a, &x, sizeof a);
    return a;
}

static uint64_t add_doubles(uint64_t a, uint64_t b) {
    double x, y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    x += y;
    memcpy(&a, &x, sizeof a);
    return a;
}

static uint64_t add(Type type, uint64_t a, uint64_t b, bool flush) {
    switch (type) {
    case T_F32: return add_floats((uint32_t)a, (uint32_t)b, flush);
    case T_F64: return add_doubles(a, b);
    case T_F16:
    case T_BF16:
    case T_F16X2:
    case T_BF16X2: return add_halves(type, (uint32_t)a, (uint32_t)b);
    default: return a + b;
    }
}

static bool is_less(Type type, uint64_t a, uint64_t b) {
    if (type == T_S32) return (int32_t)a < (int32_t)b;
    if (type == T_S64) return (int64_t)a < (int64_t)b;
    return a < b;
}

/* What comes to stand in memory where `old` was. */
static uint64_t updated(const Instr *instr, uint64_t old, uint64_t a, uint64_t b, bool flush) {
    switch (instr->op) {
    case OP_ADD_: return add(instr->type, old, a, flush);
    case OP_MIN_: return is_less(instr->type, a, old) ? a : old;
    case OP_MAX_: return is_less(instr->type, old, a) ? a : old;
    case OP_INC_: return old >= a ? 0 : old + 1;
    case OP_DEC_: return old == 0 || old > a ? a : old - 1;
    case OP_AND_: return old & a;
    case OP_OR_: return old | a;
    case OP_XOR_: return old ^ a;
    case OP_EXCH_: return a;
    case OP_CAS_: return old == a ? b : old;
    default: return old;
    }
}

static uint64_t row_value(const Operand *operand, const unsigned char *registers, uint32_t lane,
                          bool wide) {
    if (!operand->given) return 0;
    const void *row = operand_row(operand, registers);
    return wide ? ((const uint64_t *)row)[lane] : ((const uint32_t *)row)[lane];
}

static void update_lanes(const Access *access) {
    const Instr *instr = access->instr;
    unsigned char *registers = access->warp->registers;
    const uint32_t bytes = access->bytes;
    const bool wide = bytes == 8, flush = access->space == S_GLOBAL;
    for (uint32_t rest = access->mask; rest; rest &= rest - 1) {
        const uint32_t lane = first_lane(rest);
        unsigned char *host =
            access->contiguous ? access->data[0] + (size_t)lane * bytes : access->data[lane];
        uint64_t old = 0;
        memcpy(&old, host, bytes);
        const uint64_t a = row_value(&instr->s[0], registers, lane, wide);
        const uint64_t b = row_value(&instr->s[1], registers, lane, wide);
        const uint64_t new = updated(instr, old, a, b, flush);
        memcpy(host, &new, bytes);
        if (!instr->d[0].given) continue;
        void *to = registers + instr->d[0].at;
        if (wide)
            ((uint64_t *)to)[lane] = old;
        else
            ((uint32_t *)to)[lane] = (uint32_t)old;
    }
}

bool access_atomic(Machine *machine, Warp *warp, const Instr *instr, uint32_t mask) {
    Access access;
    access.warp = warp;
    access.instr = instr;
    access.direction = TO_READ | TO_WRITE;
    access.touch = TOUCH_ATOMIC;
    access.bytes = access.align = type_bytes(instr->type);
    access.space = instr->space;
    access_addresses(&access, &instr->address, instr->address_wide, instr->displacement);
    Pattern *pattern = &machine->patterns[machine->pattern_of[instr - machine->code]];
    machine->counters.atomics += lane_count(mask);
    for (uint32_t rest = mask; rest; rest &= ~access.mask) {
        access.mask = instr->space == S_GENERIC ? access_resolve(&access, rest) : rest;
        if (!access_check(machine, &access, pattern)) return false;
        update_lanes(&access);
        access_mark_written(&access);
    }
    return true;
}
