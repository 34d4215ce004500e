/* kernels -> CUDA C, made for reading. The same kernels as emit_llvm prints, scheduled by
 * schedule_cuda.
 *
 *     // dense2_relu_fwd   mnist.tune:14
 *     //     contract add max shr cast mul lt div select add le
 *     //     axes m=128 n=128 k=128; 4358146 flops, 131584 bytes read, 163840 written, per trial
 *     //     tile 64 x 64 x 16, 4 x 4 per thread, 256 threads, 4 blocks per trial, 8704 bytes
 * shared extern "C" __global__ void __launch_bounds__(256) dense2_relu_fwd(const float *t40, const
 * float *dense2_weight, …, float *h_2, long long trial_stride, long long scratch_stride)
 *     {
 *         const int trial = blockIdx.y;
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
