/* NVIDIA's architectures: their names, and what one multiprocessor holds. */
#ifndef TUNE_COMPILER_EMIT_CUDA_ARCH_H
#define TUNE_COMPILER_EMIT_CUDA_ARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "grammar/arena.h"

typedef struct {
    uint32_t capability;                    /* 80, 90: times 10 */
    uint32_t threads, blocks, shared_bytes; /* of one multiprocessor (CUDA C++ Programming Guide,
                                               table "Technical Specifications") */
    bool specific, family;                  /* whether sm_NNa and sm_NNf exist */
} CudaArch;

/* "sm_90a" or "compute_90a"; NULL: there is none of this name. */
const CudaArch *cuda_arch_find(const char *name);
/* Whether code of this name runs on its own compute capability only ("sm_90a"). */
bool cuda_arch_is_exact(const char *name);
/* NULL when `name` is one of sm_NN, or with `ptx` compute_NN; else what is wrong with it. */
const char *cuda_arch_problem(const char *name, bool ptx, Arena *arena);

/* Threads that are resident at once on a multiprocessor when it runs one kernel alone. */
uint32_t cuda_arch_occupancy(const CudaArch *arch, uint32_t threads, uint32_t registers,
                             uint32_t shared_bytes);

#endif
