/* kernels -> CUDA C, made for reading. The same kernels as emit_llvm prints, scheduled by
 * schedule_cuda.
 *
 *     // layer_norm1_fwd   mnist.tune:14
 *     //     sum mul sub mul sum mul add sqrt div mul add
 *     //     axes i=128 j=128; 131072 flops, 66560 bytes read, 66560 written, per trial
 *     //     32 threads per row, 128 threads, 32 blocks per trial
 *     extern "C" __global__ void __launch_bounds__(128, 1)
 *     layer_norm1_fwd(const float *__restrict__ h_3, …, long long trial_stride,
 *                     long long scratch_stride)
 *     {
 *         const long long trial = blockIdx.y;
 *         h_3 = of_trial(h_3, trial * scratch_stride);
 *         …
 *         const int lane = threadIdx.x % 32;
 *         const int i = blockIdx.x * 4 + threadIdx.x / 32;
 *         float s0_r0 = 0.0f;
 *         for (int j = lane; j < 128; j += 32) {
 *             s0_r0 += h_3[128 * i + j];  // mnist.tune:14
 *         }
 *         s0_r0 = warp_sum<32>(s0_r0);
 *         …
 *
 * Parameters: a pointer per buffer, to the first trial's, in order of kernel->buffers; then the
 * bytes from one trial to the next for each space used, in the order of Space. Every trial's
 * pointers are moved by trial * stride first; FIELD and INDEX are shared by all trials. The grid is
 * gpu.blocks x trials, the block gpu.threads x 1.
 *
 * Arithmetic is what the graph says, operation by operation: products go into sums unrounded only
 * where the kernel marks them (fmaf), NVRTC gets -fmad=false, and exp, log, … are printed out from
 * IEEE operations (f32) or are CUDA's (f64). So every GPU, and the virtual one, gives the same
 * bits. No headers are included, nothing is called that NVRTC does not know by itself. */
#ifndef TUNE_COMPILER_EMIT_EMIT_CUDA_H
#define TUNE_COMPILER_EMIT_EMIT_CUDA_H

#include "compiler/kernel/kernel.h"
#include "compiler/kernel/schedule.h"

/* A file that compiles on its own: comment, the device functions that the kernel uses, the kernel
 * under its own name. `sources` may be NULL (no places). Thread-safe. */
void cuda_print_kernel(const Kernel *kernel, const Sources *sources, Text *out);

/* What to print between the parentheses of a launch, in the order of parameters. */
typedef struct {
    bool stride; /* bytes from one trial to the next in `space`; else a pointer */
    Space space;
    const Buffer *buffer; /* of a pointer */
} CudaParameter;
typedef Vec(CudaParameter) CudaParameterList;
CudaParameterList cuda_parameters(const Kernel *kernel, Arena *arena);

#endif
