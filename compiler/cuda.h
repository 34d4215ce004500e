/* The GPU's code of a program: distinct kernels as CUDA C, each a module of its own, compiled by
 * NVRTC for every architecture asked for.
 *
 *     step programs for the GPU --cuda_add--> modules (CUDA C) --cuda_compile--> images
 *
 * The modules are in order of first use, steps.cu of the runtime is the last of a whole program. */
#ifndef TUNE_COMPILER_CUDA_H
#define TUNE_COMPILER_CUDA_H

#include "compiler/emit/nvrtc.h"
#include "compiler/pipeline.h"

typedef struct {
    const Kernel *kernel; /* NULL: steps.cu */
    const char *name;     /* "dense2_relu_fwd-5c0ffee5": of its files */
    const char *entry;    /* of the kernel: "dense2_relu_fwd" */
    const char *signature, *cuda;
    CudaImage *images; /* [arch_count], after cuda_compile */
} CudaModule;

typedef struct {
    const char *const *archs; /* "sm_80", …, "compute_80" */
    uint32_t arch_count;
    Vec(CudaModule) modules;
    uint64_t fingerprint; /* of the arithmetic: CUDA C without places */
    Vec(Arena *) arenas;  /* of the images */
    uint32_t cached;      /* images that were on disk */
} CudaCode;

/* What a list of architectures is for. */
typedef enum {
    CUDA_PROGRAM,  /* cubins, and last the PTX that serves all other GPUs */
    CUDA_CUBINS,   /* cubins alone */
    CUDA_PTX_TEXTS /* PTX, for reading */
} CudaPurpose;

/* "sm_80,sm_90a" or NULL (the default) -> names for NVRTC. `count` of them. NULL: *problem says
 * which name is wrong. */
const char *const *cuda_archs(const char *list, CudaPurpose purpose, uint32_t *count,
                              const char **problem, Arena *arena);

void cuda_init(CudaCode *code, const char *const *archs, uint32_t arch_count);
void cuda_release(CudaCode *code);
/* The number of the kernel's module, made on first sight of its signature. */
uint32_t cuda_add(CudaCode *code, Compilation *compilation, const Kernel *kernel);
/* The runtime's own kernels; their number. */
uint32_t cuda_add_steps(CudaCode *code, Compilation *compilation);

/* Compiles everything, on all cores. Kernels that break a limit of GPUs become
 * errors in compilation->diags, those that spill become warnings. NULL, or what went wrong; "": the
 * errors are in diags. */
const char *cuda_compile(CudaCode *code, Nvrtc *nvrtc, Compilation *compilation);

/* What is wrong with a kernel for every GPU (threads, shared memory, registers), and what is slow
 * about its image for `arch`; into diags, with all its places. False: it cannot run. */
bool cuda_check_limits(const Kernel *kernel, Diags *diags);
bool cuda_check_resources(const Kernel *kernel, const char *arch, const CudaResources *resources,
                          Diags *diags);

/* A line per kernel and architecture, or a JSON array. */
void cuda_print_resources(const CudaCode *code, bool json, Text *out);

#endif
