// The kernels of gpu_test.c, with the parameters that the compiler gives to kernels.
//     nvcc -arch=compute_80 -ptx -fmad=false -lineinfo kernels.cu -o kernels.ptx

#define COUNT 100 // values of each vector of a trial

// scratch h = rate * x
extern "C" __global__ void __launch_bounds__(64)
    scale(const float *x, const double *rate, float *h, long long trial_stride, long long scratch_stride)
{
    const int trial = blockIdx.y;
    const int i = blockIdx.x * 64 + threadIdx.x;
    x = (const float *)((const char *)x + trial * trial_stride);
    rate = (const double *)((const char *)rate + trial * trial_stride);
    h = (float *)((char *)h + trial * scratch_stride);
    if (i < COUNT) h[i] = (float)*rate * x[i];
}

// x = h + the example that the index names; the trial's sum of h in order goes to total 1
extern "C" __global__ void __launch_bounds__(64)
    gather(const float *h, float *x, const float *field, double *total, const int *index, long long trial_stride,
           long long scratch_stride, long long total_stride)
{
    const int trial = blockIdx.y;
    const int i = blockIdx.x * 64 + threadIdx.x;
    x = (float *)((char *)x + trial * trial_stride);
    h = (const float *)((const char *)h + trial * scratch_stride);
    total = (double *)((char *)total + trial * total_stride);
    if (i < COUNT) x[i] = h[i] + field[index[i]];
    if (i == 0) {
        double sum = 0;
        for (int k = 0; k < COUNT; k++) sum += (double)h[k];
        *total = sum;
    }
}

// writes one value too many: it belongs to another buffer of the same allocation
extern "C" __global__ void __launch_bounds__(64)
    overrun(float *h, long long scratch_stride)
{
    const int i = blockIdx.x * 64 + threadIdx.x;
    h = (float *)((char *)h + blockIdx.y * scratch_stride);
    if (i <= COUNT) h[i] = 1.0f;
}

// steps.cu's kind: one for all trials
extern "C" __global__ void advance(unsigned long long *counter, unsigned long long by)
{
    if (threadIdx.x == 0) *counter += by;
}
