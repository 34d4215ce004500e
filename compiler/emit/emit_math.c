/* Mathematics: vectorised f32 functions, Philox, and calls of libm for f64.
 *
 * exp, log and tanh are Cephes' (Moshier, netlib.org/cephes/single), erf is N. Juffa's two-interval
 * form, sin and cos reduce in f64. All are straight-line code, so that they can stand anywhere; NaN
 * goes through; results are within 4 ulp (tests/unit/emit_math.c measures). */
#include "compiler/emit/emit_nest.h"

#include <assert.h>

LLVMValueRef emit_intrinsic(Emitter *e, const char *name, LLVMTypeRef *types, uint32_t type_count,
                            LLVMValueRef *arguments, uint32_t count) {
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    assert(id);
    LLVMValueRef function = LLVMGetIntrinsicDeclaration(e->module, id, types, type_count);
    LLVMTypeRef type = LLVMIntrinsicGetType(e->context, id, types, type_count);
    return LLVMBuildCall2(e->builder, type, function, arguments, count, "");
}

static bool type_is_vector(LLVMTypeRef type) {
    return LLVMGetTypeKind(type) == LLVMVectorTypeKind;
}

static LLVMTypeRef scalar_type(LLVMTypeRef type) {
    return type_is_vector(type) ? LLVMGetElementType(type) : type;
}

/* The type with the shape of `shape` and the elements `scalar`. */
static LLVMTypeRef shaped(LLVMTypeRef shape, LLVMTypeRef scalar) {
    return type_is_vector(shape) ? LLVMVectorType(scalar, LLVMGetVectorSize(shape)) : scalar;
}

static LLVMValueRef spread(LLVMTypeRef type, LLVMValueRef constant) {
    if (!type_is_vector(type)) return constant;
    LLVMValueRef lanes[64];
    uint32_t count = LLVMGetVectorSize(type);
    assert(count <= 64);
    for (uint32_t i = 0; i < count; i++) lanes[i] = constant;
    return LLVMConstVector(lanes, count);
}

LLVMValueRef real_like(LLVMValueRef like, double number) {
    LLVMTypeRef type = LLVMTypeOf(like);
    return spread(type, LLVMConstReal(scalar_type(type), number));
}

LLVMValueRef integer_like(LLVMTypeRef type, int64_t number) {
    return spread(type, LLVMConstInt(scalar_type(type), (unsigned long long)number, true));
}

static LLVMValueRef true_fma(Emitter *e, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c) {
    LLVMTypeRef type = LLVMTypeOf(a);
    return emit_intrinsic(e, "llvm.fma", &type, 1, (LLVMValueRef[]){a, b, c}, 3);
}

LLVMValueRef math_fma(Emitter *e, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c) {
    if (e->target->fma) return true_fma(e, a, b, c);
    return LLVMBuildFAdd(e->builder, LLVMBuildFMul(e->builder, a, b, ""), c, "");
}

/* coefficient[0] x^(count-1) + … + coefficient[count-1], by Horner. */
static LLVMValueRef polynomial(Emitter *e, LLVMValueRef x, const double *coefficients,
                               uint32_t count) {
    LLVMValueRef sum = real_like(x, coefficients[0]);
    for (uint32_t i = 1; i < count; i++) sum = math_fma(e, sum, x, real_like(x, coefficients[i]));
    return sum;
}

static LLVMValueRef fabs_of(Emitter *e, LLVMValueRef x) {
    LLVMTypeRef type = LLVMTypeOf(x);
    return emit_intrinsic(e, "llvm.fabs", &type, 1, &x, 1);
}

static LLVMValueRef with_sign(Emitter *e, LLVMValueRef magnitude, LLVMValueRef sign) {
    LLVMTypeRef type = LLVMTypeOf(magnitude);
    return emit_intrinsic(e, "llvm.copysign", &type, 1, (LLVMValueRef[]){magnitude, sign}, 2);
}

/* ---- f64, and pow: libm, lane by lane ---- */

static LLVMValueRef libm_function(Emitter *e, const char *name, uint32_t arity, LLVMTypeRef *type) {
    LLVMTypeRef f64 = LLVMDoubleTypeInContext(e->context);
    *type = LLVMFunctionType(f64, (LLVMTypeRef[]){f64, f64}, arity, false);
    LLVMValueRef function = LLVMGetNamedFunction(e->module, name);
    if (function) return function;
    function = LLVMAddFunction(e->module, name, *type);
    const char *attributes[] = {"nounwind", "willreturn"};
    for (uint32_t i = 0; i < 2; i++) {
        unsigned kind = LLVMGetEnumAttributeKindForName(attributes[i], strlen(attributes[i]));
        LLVMAddAttributeAtIndex(function, LLVMAttributeFunctionIndex,
                                LLVMCreateEnumAttribute(e->context, kind, 0));
    }
    return function;
}

static LLVMValueRef libm_lane(Emitter *e, const char *name, LLVMValueRef *in, uint32_t arity) {
    LLVMTypeRef f64 = LLVMDoubleTypeInContext(e->context), call_type;
    LLVMTypeRef own = LLVMTypeOf(in[0]);
    LLVMValueRef function = libm_function(e, name, arity, &call_type), wide[2];
    for (uint32_t i = 0; i < arity; i++)
        wide[i] = own == f64 ? in[i] : LLVMBuildFPExt(e->builder, in[i], f64, "");
    LLVMValueRef result = LLVMBuildCall2(e->builder, call_type, function, wide, arity, "");
    return own == f64 ? result : LLVMBuildFPTrunc(e->builder, result, own, "");
}

static LLVMValueRef libm(Emitter *e, const char *name, LLVMValueRef *in, uint32_t arity) {
    LLVMTypeRef type = LLVMTypeOf(in[0]);
    if (!type_is_vector(type)) return libm_lane(e, name, in, arity);
    LLVMValueRef result = LLVMGetPoison(type);
    for (uint32_t lane = 0; lane < LLVMGetVectorSize(type); lane++) {
        LLVMValueRef at = LLVMConstInt(LLVMInt32TypeInContext(e->context), lane, false), one[2];
        for (uint32_t i = 0; i < arity; i++)
            one[i] = LLVMBuildExtractElement(e->builder, in[i], at, "");
        LLVMValueRef value = libm_lane(e, name, one, arity);
        result = LLVMBuildInsertElement(e->builder, result, value, at, "");
    }
    return result;
}

static bool is_f64(LLVMValueRef x) {
    return LLVMGetTypeKind(scalar_type(LLVMTypeOf(x))) == LLVMDoubleTypeKind;
}

LLVMValueRef math_pow(Emitter *e, LLVMValueRef x, LLVMValueRef y) {
    return libm(e, "pow", (LLVMValueRef[]){x, y}, 2);
}

/* ---- f32 ---- */

static LLVMTypeRef i32_like(Emitter *e, LLVMValueRef x) {
    return shaped(LLVMTypeOf(x), LLVMInt32TypeInContext(e->context));
}

/* In integers: conversions to bf16 of some processors flush subnormal numbers, others do not. */
LLVMValueRef math_round(Emitter *e, LLVMValueRef a, uint32_t bits) {
    LLVMBuilderRef b = e->builder;
    LLVMTypeRef type = i32_like(e, a);
    LLVMValueRef drop = integer_like(type, 24 - bits);
    LLVMValueRef word = LLVMBuildBitCast(b, a, type, "");
    LLVMValueRef odd = LLVMBuildAnd(b, LLVMBuildLShr(b, word, drop, ""), integer_like(type, 1), "");
    LLVMValueRef sum = LLVMBuildAdd(b, word, integer_like(type, (1 << (23 - bits)) - 1), "");
    sum = LLVMBuildAdd(b, sum, odd, "");
    sum = LLVMBuildAnd(b, sum, integer_like(type, -(1 << (24 - bits))), "");
    LLVMValueRef nan = LLVMBuildFCmp(b, LLVMRealUNO, a, a, "");
    return LLVMBuildSelect(b, nan, a, LLVMBuildBitCast(b, sum, LLVMTypeOf(a), ""), "");
}

/* 2^n for -126 <= n <= 127. */
static LLVMValueRef power_of_two(Emitter *e, LLVMValueRef n, LLVMTypeRef real) {
    LLVMTypeRef type = LLVMTypeOf(n);
    LLVMValueRef biased = LLVMBuildAdd(e->builder, n, integer_like(type, 127), "");
    LLVMValueRef bits = LLVMBuildShl(e->builder, biased, integer_like(type, 23), "");
    return LLVMBuildBitCast(e->builder, bits, real, "");
}

static LLVMValueRef clamp(Emitter *e, LLVMValueRef x, double low, double high) {
    LLVMValueRef least = real_like(x, low), most = real_like(x, high);
    LLVMValueRef over = LLVMBuildFCmp(e->builder, LLVMRealOGT, x, most, "");
    x = LLVMBuildSelect(e->builder, over, most, x, "");
    LLVMValueRef under = LLVMBuildFCmp(e->builder, LLVMRealOLT, x, least, "");
    return LLVMBuildSelect(e->builder, under, least, x, "");
}

static const double LN2_HIGH = 0.693359375, LN2_LOW = -2.12194440e-4;

LLVMValueRef math_exp(Emitter *e, LLVMValueRef x) {
    if (is_f64(x)) return libm(e, "exp", &x, 1);
    static const double coefficients[] = {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3,
                                          4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1};
    LLVMBuilderRef b = e->builder;
    LLVMTypeRef integer = i32_like(e, x);
    const double magic = 12582912; /* 1.5 * 2^23: adding it rounds to an integer in the low bits */
    x = clamp(e, x, -104, 89);     /* results 0 and infinity */
    LLVMValueRef rounded = math_fma(e, x, real_like(x, 1.44269504088896341), real_like(x, magic));
    LLVMValueRef n = LLVMBuildFSub(b, rounded, real_like(x, magic), "");
    LLVMValueRef r = math_fma(e, n, real_like(x, -LN2_HIGH), x);
    r = math_fma(e, n, real_like(x, -LN2_LOW), r);
    LLVMValueRef p = polynomial(e, r, coefficients, 6);
    p = LLVMBuildFAdd(b, math_fma(e, LLVMBuildFMul(b, r, r, ""), p, r), real_like(x, 1), "");
    /* twice half the exponent, so that results below the smallest normal number come out */
    LLVMValueRef whole = LLVMBuildSub(b, LLVMBuildBitCast(b, rounded, integer, ""),
                                      integer_like(integer, 0x4B400000), "");
    LLVMValueRef half = LLVMBuildAShr(b, whole, integer_like(integer, 1), "");
    p = LLVMBuildFMul(b, p, power_of_two(e, half, LLVMTypeOf(x)), "");
    LLVMValueRef rest = LLVMBuildSub(b, whole, half, "");
    return LLVMBuildFMul(b, p, power_of_two(e, rest, LLVMTypeOf(x)), "");
}

/* m in [sqrt(1/2), sqrt(2)) and *exponent (as a real) with x = m 2^exponent, for finite x > 0. */
static LLVMValueRef split_exponent(Emitter *e, LLVMValueRef x, LLVMValueRef *exponent) {
    LLVMBuilderRef b = e->builder;
    LLVMTypeRef integer = i32_like(e, x), real = LLVMTypeOf(x);
    LLVMValueRef tiny = LLVMBuildFCmp(b, LLVMRealOLT, x, real_like(x, 0x1p-126), "");
    LLVMValueRef scaled = LLVMBuildFMul(b, x, real_like(x, 0x1p23), "");
    LLVMValueRef bits = LLVMBuildBitCast(b, LLVMBuildSelect(b, tiny, scaled, x, ""), integer, "");
    /* counted from sqrt(1/2), so that the fraction lands in the wanted interval */
    LLVMValueRef moved = LLVMBuildSub(b, bits, integer_like(integer, 0x3F3504F3), "");
    LLVMValueRef power = LLVMBuildAShr(b, moved, integer_like(integer, 23), "");
    LLVMValueRef high = LLVMBuildShl(b, power, integer_like(integer, 23), "");
    *exponent = LLVMBuildSIToFP(b, power, real, "");
    LLVMValueRef less = LLVMBuildFSub(b, *exponent, real_like(x, 23), "");
    *exponent = LLVMBuildSelect(b, tiny, less, *exponent, "");
    return LLVMBuildBitCast(b, LLVMBuildSub(b, bits, high, ""), real, "");
}

/* log of 0, of negative numbers, of infinity and NaN in place of `result`. */
static LLVMValueRef log_limits(Emitter *e, LLVMValueRef x, LLVMValueRef result) {
    LLVMBuilderRef b = e->builder;
    LLVMValueRef zero = real_like(x, 0), infinity = real_like(x, __builtin_inf());
    LLVMValueRef huge = LLVMBuildFCmp(b, LLVMRealOEQ, x, infinity, "");
    result = LLVMBuildSelect(b, huge, infinity, result, "");
    LLVMValueRef none = LLVMBuildFCmp(b, LLVMRealOEQ, x, zero, "");
    result = LLVMBuildSelect(b, none, real_like(x, -__builtin_inf()), result, "");
    LLVMValueRef wrong = LLVMBuildFCmp(b, LLVMRealULT, x, zero, "");
    return LLVMBuildSelect(b, wrong, real_like(x, __builtin_nan("")), result, "");
}

LLVMValueRef math_log(Emitter *e, LLVMValueRef x) {
    if (is_f64(x)) return libm(e, "log", &x, 1);
    static const double coefficients[] = {7.0376836292e-2,  -1.1514610310e-1, 1.1676998740e-1,
                                          -1.2420140846e-1, 1.4249322787e-1,  -1.6668057665e-1,
                                          2.0000714765e-1,  -2.4999993993e-1, 3.3333331174e-1};
    LLVMBuilderRef b = e->builder;
    LLVMValueRef exponent, m = split_exponent(e, x, &exponent);
    LLVMValueRef f = LLVMBuildFSub(b, m, real_like(x, 1), "");
    LLVMValueRef square = LLVMBuildFMul(b, f, f, "");
    LLVMValueRef y = polynomial(e, f, coefficients, 9);
    y = LLVMBuildFMul(b, y, LLVMBuildFMul(b, f, square, ""), "");
    y = math_fma(e, exponent, real_like(x, LN2_LOW), y);
    y = math_fma(e, square, real_like(x, -0.5), y);
    y = math_fma(e, exponent, real_like(x, LN2_HIGH), LLVMBuildFAdd(b, f, y, ""));
    return log_limits(e, x, y);
}

LLVMValueRef math_tanh(Emitter *e, LLVMValueRef x) {
    if (is_f64(x)) return libm(e, "tanh", &x, 1);
    static const double coefficients[] = {-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2,
                                          1.33314422036e-1, -3.33332819422e-1};
    LLVMBuilderRef b = e->builder;
    LLVMValueRef magnitude = fabs_of(e, x), square = LLVMBuildFMul(b, x, x, "");
    LLVMValueRef small = polynomial(e, square, coefficients, 5);
    small = math_fma(e, LLVMBuildFMul(b, small, square, ""), x, x);
    LLVMValueRef power = math_exp(e, LLVMBuildFAdd(b, magnitude, magnitude, ""));
    LLVMValueRef below =
        LLVMBuildFDiv(b, real_like(x, 2), LLVMBuildFAdd(b, power, real_like(x, 1), ""), "");
    LLVMValueRef large = with_sign(e, LLVMBuildFSub(b, real_like(x, 1), below, ""), x);
    LLVMValueRef near = LLVMBuildFCmp(b, LLVMRealOLT, magnitude, real_like(x, 0.625), "");
    return LLVMBuildSelect(b, near, small, large, "");
}

LLVMValueRef math_erf(Emitter *e, LLVMValueRef x) {
    if (is_f64(x)) return libm(e, "erf", &x, 1);
    static const double near_zero[] = {-5.96761703e-4, 4.99119423e-3,  -2.67681349e-2,
                                       1.12819925e-1,  -3.76125336e-1, 1.28379166e-1};
    LLVMBuilderRef b = e->builder;
    LLVMValueRef t = fabs_of(e, x), s = LLVMBuildFMul(b, x, x, "");
    LLVMValueRef small = math_fma(e, polynomial(e, s, near_zero, 6), x, x);
    /* far from zero: 1 - exp(p(t)); beyond 10 the result is 1 */
    LLVMValueRef far = LLVMBuildFCmp(b, LLVMRealOGT, t, real_like(x, 10), "");
    t = LLVMBuildSelect(b, far, real_like(x, 10), t, "");
    s = LLVMBuildFMul(b, t, t, "");
    LLVMValueRef r = polynomial(e, t, (double[]){-1.72853470e-5, 3.83197126e-4}, 2);
    LLVMValueRef u = polynomial(e, t, (double[]){-3.88396438e-3, 2.42546219e-2}, 2);
    r = math_fma(e, r, s, u);
    r = math_fma(e, r, t, real_like(x, -1.06777877e-1));
    r = math_fma(e, r, t, real_like(x, -6.34846687e-1));
    r = math_fma(e, r, t, real_like(x, -1.28717512e-1));
    r = math_fma(e, r, t, LLVMBuildFNeg(b, t, ""));
    LLVMValueRef large = LLVMBuildFSub(b, real_like(x, 1), math_exp(e, r), "");
    large = with_sign(e, large, x);
    LLVMValueRef near = LLVMBuildFCmp(b, LLVMRealOLE, fabs_of(e, x), real_like(x, 0.921875), "");
    return LLVMBuildSelect(b, near, small, large, "");
}

/* r in [-pi/4, pi/4] and *quadrant with x = r + quadrant pi/2, reduced in f64 with fused
 * multiply-add: exact enough up to 2^50; beyond, neighbouring f32 are further apart than a period
 * and the result is NaN. */
static LLVMValueRef reduce_angle(Emitter *e, LLVMValueRef x, LLVMValueRef *quadrant) {
    LLVMBuilderRef b = e->builder;
    LLVMTypeRef wide = shaped(LLVMTypeOf(x), LLVMDoubleTypeInContext(e->context));
    LLVMTypeRef bits = shaped(LLVMTypeOf(x), LLVMInt64TypeInContext(e->context));
    LLVMValueRef far = LLVMBuildFCmp(b, LLVMRealOGT, fabs_of(e, x), real_like(x, 0x1p50), "");
    x = LLVMBuildSelect(b, far, real_like(x, __builtin_nan("")), x, "");
    LLVMValueRef v = LLVMBuildFPExt(b, x, wide, "");
    LLVMValueRef magic = real_like(v, 0x1.8p52);
    LLVMValueRef turns = LLVMBuildFMul(b, v, real_like(v, 0.63661977236758134308), "");
    LLVMValueRef rounded = LLVMBuildFAdd(b, turns, magic, "");
    LLVMValueRef n = LLVMBuildFSub(b, rounded, magic, "");
    *quadrant = LLVMBuildTrunc(b, LLVMBuildBitCast(b, rounded, bits, ""), i32_like(e, x), "");
    LLVMValueRef r = true_fma(e, n, real_like(v, -0x1.921fb54442d18p0), v);
    r = true_fma(e, n, real_like(v, -0x1.1a62633145c07p-54), r);
    return LLVMBuildFPTrunc(b, r, LLVMTypeOf(x), "");
}

/* sin(x + turn pi/2) */
static LLVMValueRef sine(Emitter *e, LLVMValueRef x, int turn) {
    static const double sines[] = {-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1};
    static const double cosines[] = {2.443315711809948e-5, -1.388731625493765e-3,
                                     4.166664568298827e-2};
    LLVMBuilderRef b = e->builder;
    LLVMTypeRef integer = i32_like(e, x);
    LLVMValueRef quadrant, r = reduce_angle(e, x, &quadrant);
    quadrant = LLVMBuildAdd(b, quadrant, integer_like(integer, turn), "");
    LLVMValueRef z = LLVMBuildFMul(b, r, r, "");
    LLVMValueRef s = LLVMBuildFMul(b, polynomial(e, z, sines, 3), z, "");
    s = math_fma(e, s, r, r);
    LLVMValueRef c = LLVMBuildFMul(b, polynomial(e, z, cosines, 3), LLVMBuildFMul(b, z, z, ""), "");
    c = LLVMBuildFAdd(b, math_fma(e, z, real_like(x, -0.5), c), real_like(x, 1), "");
    LLVMValueRef odd = LLVMBuildAnd(b, quadrant, integer_like(integer, 1), "");
    LLVMValueRef is_odd = LLVMBuildICmp(b, LLVMIntNE, odd, integer_like(integer, 0), "");
    LLVMValueRef value = LLVMBuildSelect(b, is_odd, c, s, "");
    LLVMValueRef two = LLVMBuildAnd(b, quadrant, integer_like(integer, 2), "");
    LLVMValueRef negative = LLVMBuildICmp(b, LLVMIntNE, two, integer_like(integer, 0), "");
    return LLVMBuildSelect(b, negative, LLVMBuildFNeg(b, value, ""), value, "");
}

LLVMValueRef math_sin(Emitter *e, LLVMValueRef x) {
    return is_f64(x) ? libm(e, "sin", &x, 1) : sine(e, x, 0);
}

LLVMValueRef math_cos(Emitter *e, LLVMValueRef x) {
    return is_f64(x) ? libm(e, "cos", &x, 1) : sine(e, x, 1);
}

/* ---- Philox4x32-10: Salmon, Moraes, Dror and Shaw, SC 2011 ---- */

/* High and low words of factor * x. */
static void multiply_wide(Emitter *e, int64_t factor, LLVMValueRef x, LLVMValueRef *high,
                          LLVMValueRef *low) {
    LLVMTypeRef type = LLVMTypeOf(x);
    LLVMTypeRef wide = shaped(type, LLVMInt64TypeInContext(e->context));
    LLVMValueRef product = LLVMBuildMul(e->builder, LLVMBuildZExt(e->builder, x, wide, ""),
                                        integer_like(wide, factor), "");
    LLVMValueRef shifted = LLVMBuildLShr(e->builder, product, integer_like(wide, 32), "");
    *high = LLVMBuildTrunc(e->builder, shifted, type, "");
    *low = LLVMBuildTrunc(e->builder, product, type, "");
}

void math_philox(Emitter *e, const LLVMValueRef counter[4], const LLVMValueRef key[2],
                 LLVMValueRef out[4]) {
    LLVMBuilderRef b = e->builder;
    LLVMTypeRef type = LLVMTypeOf(counter[0]);
    LLVMValueRef c[4] = {counter[0], counter[1], counter[2], counter[3]}, k[2] = {key[0], key[1]};
    for (int round = 0; round < 10; round++) {
        LLVMValueRef high0, low0, high1, low1;
        multiply_wide(e, 0xD2511F53, c[0], &high0, &low0);
        multiply_wide(e, 0xCD9E8D57, c[2], &high1, &low1);
        c[0] = LLVMBuildXor(b, LLVMBuildXor(b, high1, c[1], ""), k[0], "");
        c[2] = LLVMBuildXor(b, LLVMBuildXor(b, high0, c[3], ""), k[1], "");
        c[1] = low1;
        c[3] = low0;
        k[0] = LLVMBuildAdd(b, k[0], integer_like(type, (int32_t)0x9E3779B9), "");
        k[1] = LLVMBuildAdd(b, k[1], integer_like(type, (int32_t)0xBB67AE85), "");
    }
    for (int i = 0; i < 4; i++) out[i] = c[i];
}
