/* Kernels of the compiler on the virtual GPU: printed, compiled by NVRTC for compute_80, launched
 * for a wave of trials with all of the machine's checks.
 *
 *     RunKernel *kernels = …;                                    // .kernel of each is scheduled
 *     Device *device = device_new();
 *     run_compile(nvrtc, device, kernels, count);
 *     RunMemory memory = run_memory(device, &sizes);
 *     run_write(&memory, SPACE_TRIAL, trial, block);
 *     run_launch(&kernels[0], &memory, true, seed);
 *     run_memory_release(&memory); run_release(kernels, count); device_free(device);
 *
 * Everything that can fail says why and returns false. */
#ifndef TUNE_TESTS_VGPU_NUMERIC_KERNEL_RUN_H
#define TUNE_TESTS_VGPU_NUMERIC_KERNEL_RUN_H

#include "compiler/emit/emit_cuda.h"
#include "compiler/emit/nvrtc.h"
#include "tests/vgpu/numeric/device.h"

enum { SKIPPED = 77, RUN_FIELDS = 16 };

typedef struct {
    const Kernel *kernel;
    Arena *arena; /* of the rest */
    const char *cuda, *ptx;
    DeviceCode *code;
    CudaParameterList parameters;
} RunKernel;

/* NVRTC runs in parallel. */
bool run_compile(Nvrtc *nvrtc, Device *device, RunKernel *kernels, uint32_t count);
void run_release(RunKernel *kernels, uint32_t count);

/* Bytes of one trial (INDEX: of all) by space, of whole fields, and from one vector of EXAMPLE to
 * the next; 0: there is none. */
typedef struct {
    uint32_t trials;
    uint64_t bytes[SPACE_LOCAL], fields[RUN_FIELDS], example;
} RunSizes;

/* Unwritten at first. */
typedef struct {
    Device *device;
    RunSizes sizes;
    uint64_t at[SPACE_LOCAL], stride[SPACE_LOCAL], fields[RUN_FIELDS];
} RunMemory;

RunMemory run_memory(Device *device, const RunSizes *sizes);
void run_memory_release(RunMemory *memory);
/* All bytes of a trial. */
bool run_write(const RunMemory *memory, Space space, uint32_t trial, const void *from);
bool run_read(const RunMemory *memory, Space space, uint32_t trial, void *to);

/* `first` of a step program: scratch memory is dead before it. */
bool run_launch(const RunKernel *kernel, const RunMemory *memory, bool first, uint64_t seed);

#endif
