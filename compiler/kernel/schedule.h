/* Schedules: how a kernel's loops run on a target. The choice is a function of static shapes and of
 * the target only, never of the number of trials (promise P1).
 *
 * Loop order that the fields mean:
 *
 *     vector_axis inner    for outer: for inner axes in order, the vector axis last, in steps of
 *                          lanes * unroll
 *     vector_axis outer    the last outer loop goes in steps of lanes; all stages see vectors
 *     vector_axis -1       scalar
 *     contraction          for outer: for m in blocks of block_m: for k in blocks of block_k:
 *                              pack_a, if given, gets this block of a, in runs along pack_a_along
 *                              for n in tiles of tile_n_vectors * lanes:
 *                                  pack_b, if given, gets this panel of b as [k][tile]; with
 *                                  pack_b_whole it got all panels before the blocks
 *                                  for m in tiles of tile_m: the block's k, from zero or from
 *                                  `sums`; then the epilogue, or back into `sums`
 *                          with rows_outer the loops over n and m within a block change places
 *
 *     contraction, lanes   vector_axis outer: for outer, the last one in steps of lanes: for m: for
 *                          n: all of k, then the epilogue. Nothing is packed
 *
 * b is packed unless it runs along n, a unless it is a plain load that no parts of axes are in.
 * Blocks are as large as the second-level cache holds, and all of m and k where that is enough. */
#ifndef TUNE_COMPILER_KERNEL_SCHEDULE_H
#define TUNE_COMPILER_KERNEL_SCHEDULE_H

#include "compiler/kernel/kernel.h"

typedef struct {
    uint32_t vector_bytes;     /* 64 AVX-512, 32 AVX2, 16 SSE2 or NEON */
    uint32_t vector_registers; /* 32 or 16 */
    bool fma;
    int64_t l1_bytes, l2_bytes; /* data caches of one core */
} CpuTarget;

/* Sets lanes, vector axes, unrolling, tiles and packing workspaces of every kernel (new buffers are
 * appended to program->buffers).  needs: fuse.  keeps: meaning. */
void schedule_cpu(StepProgram *program, const CpuTarget *target, Arena *arena);

/* Of a kernel whose stage 0 is a contraction, for schedule_cpu (schedule_cpu_contract.c). */
void cpu_contract_schedule(StepProgram *program, Kernel *kernel, const CpuTarget *target,
                           Arena *arena);
/* The same of a kernel with a plane (schedule_cpu_plane.c). */
void cpu_plane_schedule(StepProgram *program, Kernel *kernel, const CpuTarget *target,
                        Arena *arena);
/* A new SPACE_SCRATCH buffer, KERNEL.NAME, as an argument of the kernel. */
Buffer *cpu_workspace(StepProgram *program, Kernel *kernel, const char *name, Elem elem,
                      int64_t count, Arena *arena);

/* Sets kernel->gpu of every kernel. The same for every architecture. A reduction over all of a
 * long vector is cut in two kernels: NAME_partial, one block per chunk into new SPACE_SCRATCH
 * buffers, and NAME, in which every block folds the chunks' results. What does not depend on the
 * trial (the batch as numbers) is computed and kept once for all. needs: fuse; a program of its
 * own, since both schedules change it.  keeps: meaning. */
void schedule_cuda(StepProgram *program, Arena *arena);

/* What schedule_cuda does first: reductions of everything over more than SPLIT_LEAST points are cut
 * into chunks, SPLIT_MOST_CHUNKS at most; a kernel per reducing stage for the chunks, and one that
 * folds them and does the rest (schedule_cuda_split.c). */
enum { SPLIT_LEAST = 4096, SPLIT_MOST_CHUNKS = 1024 };
void schedule_cuda_split(StepProgram *program, Arena *arena);

/* What schedule_cuda does last: buffer->uniform and gpu.uniform (schedule_cuda_uniform.c). */
void schedule_cuda_uniform(StepProgram *program);

/* Of a kernel whose stage 0 is a contraction, for schedule_cuda: form, threads, blocks, tile_*,
 * thread_*, shared_bytes of kernel->gpu (schedule_cuda_contract.c). */
void cuda_contract_schedule(Kernel *kernel);

/* The same of a kernel with a plane (schedule_cuda_plane.c). */
void cuda_plane_schedule(Kernel *kernel);

#endif
