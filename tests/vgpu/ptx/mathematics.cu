extern "C" __global__ void __launch_bounds__(256) math_f32(const float *x, float *y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float a = x[i];
    y[i] = expf(a) + logf(a) + powf(a, 1.7f) + sinf(a) + cosf(a) + tanhf(a) + erff(a) + sqrtf(a) + rsqrtf(a)
         + roundf(a) + floorf(a) + ceilf(a) + truncf(a) + rintf(a) + fmodf(a, 3.0f) + log1pf(a) + expm1f(a)
         + fminf(a, 2) + fmaxf(a, 3) + fabsf(a) + copysignf(a, y[i]) + a / 3.0f + 1.0f / a + __expf(a) + __sinf(a) + __cosf(a)
         + __logf(a) + __fdividef(a, 3.3f) + __fmaf_rd(a, a, a) + __fadd_rz(a, 2.f) + __fmul_ru(a, a) + __frcp_rn(a) + __saturatef(a)
         + atanf(a) + asinf(a) + acosf(a) + exp2f(a) + log2f(a) + log10f(a) + cbrtf(a) + hypotf(a, 2.f) + tanf(a) + sinhf(a) + coshf(a);
    y[i] += isnan(a) ? 1 : isinf(a) ? 2 : 3;
}
extern "C" __global__ void math_f64(const double *x, double *y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    double a = x[i];
    y[i] = exp(a) + log(a) + pow(a, 1.7) + sin(a) + tanh(a) + erf(a) + sqrt(a) + rsqrt(a) + round(a) + floor(a) + (double)(int)a + (double)(long long)a
        + (float)a + fma(a, a, a) + a / 3.0 + fmin(a, 2.0) + fmax(a, 3.0) + (a > 3 && a < 5 ? 1 : 2) + __double2hiint(a) + __dadd_rz(a, 3.0) + cos(a) + rint(a);
}
