/* The device functions that kernels call, as CUDA C. Of f32 the operations of emit_math.c, one by
 * one, so that every GPU gives the bits of the CPU; the source of each method stands there and
 * above each function. */
#include "compiler/emit/cuda_printer.h"

typedef struct {
    uint32_t needs; /* bit set of CudaFunction */
    const char *text;
} FunctionText;

static const FunctionText functions[CUDA_FUNCTIONS] = {
    [CUDA_OF_TRIAL] = {0,
                       "// The same element in another trial's memory.\n"
                       "template <typename T> __device__ T *of_trial(T *first, long long bytes)\n"
                       "{\n"
                       "    return (T *)((char *)first + bytes);\n"
                       "}\n"},
    [CUDA_LARGER] = {0, "// The larger; NaN if either is.\n"
                        "template <typename T> __device__ T larger(T a, T b)\n"
                        "{\n"
                        "    const T most = a > b ? a : b;\n"
                        "    return a != a ? a : most;\n"
                        "}\n"},
    [CUDA_SMALLER] = {0, "// The smaller; NaN if either is.\n"
                         "template <typename T> __device__ T smaller(T a, T b)\n"
                         "{\n"
                         "    const T least = a < b ? a : b;\n"
                         "    return a != a ? a : least;\n"
                         "}\n"},
    [CUDA_DIVIDE_I32] = {0, "// Never traps: a / 0 is 0, and the least number / -1 wraps.\n"
                            "static __device__ int divide_i32(int a, int b)\n"
                            "{\n"
                            "    if (b == 0) return 0;\n"
                            "    return b == -1 ? (int)(0u - (unsigned)a) : a / b;\n"
                            "}\n"},
    [CUDA_DIVIDE_U32] = {0, "// Never traps: a / 0 is 0.\n"
                            "static __device__ unsigned divide_u32(unsigned a, unsigned b)\n"
                            "{\n"
                            "    return b == 0 ? 0 : a / b;\n"
                            "}\n"},
    [CUDA_MODULO_I32] = {0, "// The rest of floor division, with b's sign; of 0 it is 0.\n"
                            "static __device__ int modulo_i32(int a, int b)\n"
                            "{\n"
                            "    if (b == 0 || b == -1) return 0;\n"
                            "    const int rest = a % b;\n"
                            "    return rest != 0 && (rest ^ b) < 0 ? rest + b : rest;\n"
                            "}\n"},
    [CUDA_MODULO_U32] = {0, "// The rest of a division; of 0 it is 0.\n"
                            "static __device__ unsigned modulo_u32(unsigned a, unsigned b)\n"
                            "{\n"
                            "    return b == 0 ? 0 : a % b;\n"
                            "}\n"},
    [CUDA_TO_I32] = {0, "// Towards zero; what does not fit is the nearest that does, NaN is 0.\n"
                        "template <typename Real> __device__ int to_i32(Real a)\n"
                        "{\n"
                        "    if (a >= (Real)2147483648.0) return 2147483647;\n"
                        "    if (a <= (Real)-2147483648.0) return -2147483647 - 1;\n"
                        "    return a == a ? (int)a : 0;\n"
                        "}\n"},
    [CUDA_TO_U32] = {0, "// Towards zero; what does not fit is the nearest that does, NaN is 0.\n"
                        "template <typename Real> __device__ unsigned to_u32(Real a)\n"
                        "{\n"
                        "    if (a >= (Real)4294967296.0) return 4294967295u;\n"
                        "    return a > (Real)0 ? (unsigned)a : 0;\n"
                        "}\n"},
    [CUDA_TO_U8] = {0, "// Towards zero; what does not fit is the nearest that does, NaN is 0.\n"
                       "template <typename Real> __device__ unsigned char to_u8(Real a)\n"
                       "{\n"
                       "    if (a >= (Real)255) return 255;\n"
                       "    return a > (Real)0 ? (unsigned char)(unsigned)a : 0;\n"
                       "}\n"},
    [CUDA_ROUND] = {0, "// To 24 - drop significant bits, ties to even; NaN stays.\n"
                       "static __device__ float round_f32(float a, int drop)\n"
                       "{\n"
                       "    const unsigned word = __float_as_uint(a);\n"
                       "    const unsigned half = (1u << (drop - 1)) - 1u + (word >> drop & 1u);\n"
                       "    return a != a ? a : __uint_as_float((word + half) >> drop << drop);\n"
                       "}\n"},
    [CUDA_EXP] = {0,
                  "// e^a: Cephes' expf (Moshier, netlib.org/cephes/single).\n"
                  "static __device__ float exp_f32(float a)\n"
                  "{\n"
                  "    a = a > 89.0f ? 89.0f : a;  // infinity\n"
                  "    a = a < -104.0f ? -104.0f : a;  // 0\n"
                  "    // adding 1.5 * 2^23 rounds to an integer in the low bits\n"
                  "    const float rounded = fmaf(a, 1.44269504088896341f, 12582912.0f);\n"
                  "    const float n = rounded - 12582912.0f;\n"
                  "    float r = fmaf(n, -0.693359375f, a);\n"
                  "    r = fmaf(n, 2.12194440e-4f, r);\n"
                  "    float p = 1.9875691500e-4f;\n"
                  "    p = fmaf(p, r, 1.3981999507e-3f);\n"
                  "    p = fmaf(p, r, 8.3334519073e-3f);\n"
                  "    p = fmaf(p, r, 4.1665795894e-2f);\n"
                  "    p = fmaf(p, r, 1.6666665459e-1f);\n"
                  "    p = fmaf(p, r, 5.0000001201e-1f);\n"
                  "    p = fmaf(r * r, p, r) + 1.0f;\n"
                  "    // twice half the exponent, for results below the smallest normal number\n"
                  "    const int whole = __float_as_int(rounded) - 0x4b400000, half = whole >> 1;\n"
                  "    p = p * __int_as_float((int)((unsigned)(half + 127) << 23));\n"
                  "    return p * __int_as_float((int)((unsigned)(whole - half + 127) << 23));\n"
                  "}\n"},
    [CUDA_LOG] =
        {0, "// Natural logarithm: Cephes' logf (Moshier, netlib.org/cephes/single).\n"
            "static __device__ float log_f32(float a)\n"
            "{\n"
            "    // a = m 2^e with m in [sqrt(1/2), sqrt(2))\n"
            "    const bool tiny = a < 1.17549435e-38f;\n"
            "    const int bits = __float_as_int(tiny ? a * 8388608.0f : a);\n"
            "    const int power = (int)((unsigned)bits - 0x3f3504f3u) >> 23;\n"
            "    const float e = tiny ? (float)power - 23.0f : (float)power;\n"
            "    const float m = __int_as_float((int)((unsigned)bits - ((unsigned)power << 23)));\n"
            "    const float f = m - 1.0f, square = f * f;\n"
            "    float y = 7.0376836292e-2f;\n"
            "    y = fmaf(y, f, -1.1514610310e-1f);\n"
            "    y = fmaf(y, f, 1.1676998740e-1f);\n"
            "    y = fmaf(y, f, -1.2420140846e-1f);\n"
            "    y = fmaf(y, f, 1.4249322787e-1f);\n"
            "    y = fmaf(y, f, -1.6668057665e-1f);\n"
            "    y = fmaf(y, f, 2.0000714765e-1f);\n"
            "    y = fmaf(y, f, -2.4999993993e-1f);\n"
            "    y = fmaf(y, f, 3.3333331174e-1f);\n"
            "    y = y * (f * square);\n"
            "    y = fmaf(e, -2.12194440e-4f, y);\n"
            "    y = fmaf(square, -0.5f, y);\n"
            "    y = fmaf(e, 0.693359375f, f + y);\n"
            "    const float infinity = __int_as_float(0x7f800000);\n"
            "    y = a == infinity ? infinity : y;\n"
            "    y = a == 0.0f ? -infinity : y;\n"
            "    return a >= 0.0f ? y : __int_as_float(0x7fc00000);\n"
            "}\n"},
    [CUDA_TANH] = {1u << CUDA_EXP,
                   "// Hyperbolic tangent: Cephes' tanhf (Moshier, netlib.org/cephes/single).\n"
                   "static __device__ float tanh_f32(float a)\n"
                   "{\n"
                   "    const float magnitude = fabsf(a), square = a * a;\n"
                   "    float small = -5.70498872745e-3f;\n"
                   "    small = fmaf(small, square, 2.06390887954e-2f);\n"
                   "    small = fmaf(small, square, -5.37397155531e-2f);\n"
                   "    small = fmaf(small, square, 1.33314422036e-1f);\n"
                   "    small = fmaf(small, square, -3.33332819422e-1f);\n"
                   "    small = fmaf(small * square, a, a);\n"
                   "    const float power = exp_f32(magnitude + magnitude);\n"
                   "    const float large = copysignf(1.0f - 2.0f / (power + 1.0f), a);\n"
                   "    return magnitude < 0.625f ? small : large;\n"
                   "}\n"},
    [CUDA_ERF] = {1u << CUDA_EXP,
                  "// Error function: N. Juffa's two-interval form.\n"
                  "static __device__ float erf_f32(float a)\n"
                  "{\n"
                  "    const float magnitude = fabsf(a), square = a * a;\n"
                  "    float small = -5.96761703e-4f;\n"
                  "    small = fmaf(small, square, 4.99119423e-3f);\n"
                  "    small = fmaf(small, square, -2.67681349e-2f);\n"
                  "    small = fmaf(small, square, 1.12819925e-1f);\n"
                  "    small = fmaf(small, square, -3.76125336e-1f);\n"
                  "    small = fmaf(small, square, 1.28379166e-1f);\n"
                  "    small = fmaf(small, a, a);\n"
                  "    const float t = magnitude > 10.0f ? 10.0f : magnitude, s = t * t;\n"
                  "    float r = fmaf(-1.72853470e-5f, t, 3.83197126e-4f);\n"
                  "    r = fmaf(r, s, fmaf(-3.88396438e-3f, t, 2.42546219e-2f));\n"
                  "    r = fmaf(r, t, -1.06777877e-1f);\n"
                  "    r = fmaf(r, t, -6.34846687e-1f);\n"
                  "    r = fmaf(r, t, -1.28717512e-1f);\n"
                  "    r = fmaf(r, t, -t);\n"
                  "    const float large = copysignf(1.0f - exp_f32(r), a);\n"
                  "    return magnitude <= 0.921875f ? small : large;\n"
                  "}\n"},
    [CUDA_SINE] =
        {0,
         "// sin(a + turn pi/2): Cephes' sinf, the angle reduced in f64. Beyond 2^50 neighbouring\n"
         "// f32 are further apart than a period, and the result is NaN.\n"
         "static __device__ float sine_f32(float a, int turn)\n"
         "{\n"
         "    const double angle = fabsf(a) > 1125899906842624.0f\n"
         "                             ? (double)__int_as_float(0x7fc00000) : (double)a;\n"
         "    // adding 1.5 * 2^52 rounds to an integer in the low bits\n"
         "    const double rounded = angle * 0.63661977236758134308 + 6755399441055744.0;\n"
         "    const double n = rounded - 6755399441055744.0;\n"
         "    const int quadrant = (int)__double_as_longlong(rounded) + turn;\n"
         "    double rest = fma(n, -1.5707963267948966, angle);\n"
         "    rest = fma(n, -6.123233995736766e-17, rest);\n"
         "    const float r = (float)rest, z = r * r;\n"
         "    float s = -1.9515295891e-4f;\n"
         "    s = fmaf(s, z, 8.3321608736e-3f);\n"
         "    s = fmaf(s, z, -1.6666654611e-1f);\n"
         "    s = fmaf(s * z, r, r);\n"
         "    float c = 2.443315711809948e-5f;\n"
         "    c = fmaf(c, z, -1.388731625493765e-3f);\n"
         "    c = fmaf(c, z, 4.166664568298827e-2f);\n"
         "    c = fmaf(z, -0.5f, c * (z * z)) + 1.0f;\n"
         "    const float value = quadrant & 1 ? c : s;\n"
         "    return quadrant & 2 ? -value : value;\n"
         "}\n"},
    [CUDA_POW] = {0, "// a^b, rounded once more from f64.\n"
                     "static __device__ float pow_f32(float a, float b)\n"
                     "{\n"
                     "    return (float)pow((double)a, (double)b);\n"
                     "}\n"},
    [CUDA_PHILOX] =
        {0, "// Philox4x32-10: Salmon, Moraes, Dror and Shaw, SC 2011.\n"
            "static __device__ uint4 philox(unsigned long long element, unsigned step,\n"
            "                               unsigned site, uint2 key)\n"
            "{\n"
            "    uint4 c = make_uint4((unsigned)element, (unsigned)(element >> 32), step, site);\n"
            "    for (int round = 0; round < 10; round++) {\n"
            "        const unsigned long long x = 0xd2511f53ull * c.x, z = 0xcd9e8d57ull * c.z;\n"
            "        c = make_uint4((unsigned)(z >> 32) ^ c.y ^ key.x, (unsigned)z,\n"
            "                       (unsigned)(x >> 32) ^ c.w ^ key.y, (unsigned)x);\n"
            "        key.x += 0x9e3779b9u;\n"
            "        key.y += 0xbb67ae85u;\n"
            "    }\n"
            "    return c;\n"
            "}\n"},
    [CUDA_WARP_SUM] =
        {0,
         "// The sum over `threads` neighbours in a warp, folded in halves; all of them get it.\n"
         "template <int threads, typename T> __device__ T warp_sum(T value)\n"
         "{\n"
         "    for (int apart = threads / 2; apart > 0; apart /= 2)\n"
         "        value = value + __shfl_xor_sync(0xffffffffu, value, apart);\n"
         "    return value;\n"
         "}\n"},
    [CUDA_WARP_MAX] =
        {1u << CUDA_LARGER,
         "// The maximum over `threads` neighbours in a warp, folded in halves; all get it.\n"
         "template <int threads, typename T> __device__ T warp_max(T value)\n"
         "{\n"
         "    for (int apart = threads / 2; apart > 0; apart /= 2) {\n"
         "        const T other = __shfl_xor_sync(0xffffffffu, value, apart);\n"
         "        value = threadIdx.x & apart ? larger(other, value) : larger(value, other);\n"
         "    }\n"
         "    return value;\n"
         "}\n"},
    [CUDA_BLOCK_SUM] =
        {1u << CUDA_WARP_SUM,
         "// The sum over `threads` neighbours: of each warp, then of the warps; all get it.\n"
         "template <int threads, typename T> __device__ T block_sum(T value)\n"
         "{\n"
         "    __shared__ T of_warp[32];\n"
         "    const int warps = threads / 32;\n"
         "    value = warp_sum<32>(value);\n"
         "    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;\n"
         "    __syncthreads();\n"
         "    value = of_warp[threadIdx.x / threads * warps + threadIdx.x % warps];\n"
         "    __syncthreads();  // the next sum writes there\n"
         "    return warp_sum<warps>(value);\n"
         "}\n"},
    [CUDA_BLOCK_MAX] =
        {1u << CUDA_WARP_MAX,
         "// The maximum over `threads` neighbours: of each warp, then of the warps; all get it.\n"
         "template <int threads, typename T> __device__ T block_max(T value)\n"
         "{\n"
         "    __shared__ T of_warp[32];\n"
         "    const int warps = threads / 32;\n"
         "    value = warp_max<32>(value);\n"
         "    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;\n"
         "    __syncthreads();\n"
         "    value = of_warp[threadIdx.x / threads * warps + threadIdx.x % warps];\n"
         "    __syncthreads();  // the next maximum writes there\n"
         "    return warp_max<warps>(value);\n"
         "}\n"},
    [CUDA_COLUMN_SUM] =
        {0,
         "// The sum over the groups of threads that share a column, folded in halves; all get it.\n"
         "template <int columns, int groups, typename T> __device__ T column_sum(T value)\n"
         "{\n"
         "    __shared__ T space[columns * groups];\n"
         "    const int thread = threadIdx.x;\n"
         "    space[thread] = value;\n"
         "    for (int apart = columns * groups / 2; apart >= columns; apart /= 2) {\n"
         "        __syncthreads();\n"
         "        if (thread < apart) space[thread] = space[thread] + space[thread + apart];\n"
         "    }\n"
         "    __syncthreads();\n"
         "    value = space[thread % columns];\n"
         "    __syncthreads();  // the next sum writes there\n"
         "    return value;\n"
         "}\n"},
    [CUDA_COLUMN_MAX] =
        {1u << CUDA_LARGER,
         "// The maximum over the groups of threads that share a column, likewise.\n"
         "template <int columns, int groups, typename T> __device__ T column_max(T value)\n"
         "{\n"
         "    __shared__ T space[columns * groups];\n"
         "    const int thread = threadIdx.x;\n"
         "    space[thread] = value;\n"
         "    for (int apart = columns * groups / 2; apart >= columns; apart /= 2) {\n"
         "        __syncthreads();\n"
         "        if (thread < apart) space[thread] = larger(space[thread], space[thread + apart]);\n"
         "    }\n"
         "    __syncthreads();\n"
         "    value = space[thread % columns];\n"
         "    __syncthreads();  // the next maximum writes there\n"
         "    return value;\n"
         "}\n"},
};

void cuda_functions(uint32_t used, Text *out) {
    for (uint32_t function = CUDA_FUNCTIONS; function-- > 0;)
        if (used >> function & 1) used |= functions[function].needs;
    for (uint32_t function = 0; function < CUDA_FUNCTIONS; function++)
        if (used >> function & 1) text_printf(out, "%s\n", functions[function].text);
}
