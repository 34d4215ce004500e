/* What the runtime tells a virtual GPU and no real one: functions that tests/vgpu exports beside
 * the driver API. They carry names and extents, so that a report can say which buffer of which
 * trial, and which line of CUDA C and of the .tune file; they change no result. */
#ifndef TUNE_RUNTIME_VGPU_HOOKS_H
#define TUNE_RUNTIME_VGPU_HOOKS_H

#include <stdint.h>

/* A buffer that the next launch of this thread may touch: `bytes` at address + t * stride for each
 * trial t. Everything else is out of bounds for it, in the same allocation too. */
typedef struct {
    const char *name; /* copied */
    uint64_t address, bytes, stride;
} VgpuBuffer;

typedef struct {
    const char *name, *places; /* "dense2_relu_fwd", "mnist.tune:14"; copied */
    const VgpuBuffer *buffers;
    uint32_t buffer_count;
    uint32_t trials;
    uint64_t dead, dead_bytes; /* memory whose contents no longer count: reading it before a write
                                  is an error; 0 bytes: none */
} VgpuLaunch;

/* The next cuLaunchKernel of this thread, captured or not, is this one. */
typedef void VgpuDescribeLaunch(const VgpuLaunch *launch);
/* The CUDA C text that a module was compiled from (copied): reports quote it. */
typedef void VgpuModuleSource(void *module, const char *cuda);
/* Names an allocation. */
typedef void VgpuNameMemory(uint64_t address, const char *name);

#define VGPU_DESCRIBE_LAUNCH "vgpuDescribeLaunch"
#define VGPU_MODULE_SOURCE "vgpuModuleSource"
#define VGPU_NAME_MEMORY "vgpuNameMemory"

#endif
