/* What stands between a kernel and the machine: compiling, memory, arguments. */
#include "tests/vgpu/numeric/kernel_run.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "compiler/parallel.h"

/* ---- compiling ---- */

typedef struct {
    Nvrtc *nvrtc;
    RunKernel *kernels;
    const char **problems;
} Compilation;

static const char *compile(Nvrtc *nvrtc, RunKernel *to) {
    Text cuda = {0};
    cuda_print_kernel(to->kernel, NULL, &cuda);
    to->cuda = arena_copy(to->arena, cuda.at, cuda.bytes);
    text_release(&cuda);
    CudaImage image;
    const char *name = to->kernel->name;
    const char *problem = nvrtc_compile(nvrtc, name, to->cuda, "compute_80", &image, to->arena);
    if (problem) return problem;
    to->ptx = (const char *)image.bytes;
    return NULL;
}

static const char *load(Device *device, RunKernel *to) {
    const char *problem;
    to->parameters = cuda_parameters(to->kernel, to->arena);
    to->code = device_code(device, to->ptx, to->kernel->name, &problem);
    if (!problem && device_code_arguments(to->code) != to->parameters.count)
        return "the PTX has another number of parameters than cuda_parameters";
    return problem;
}

static void compile_one(void *context, uint32_t at) {
    Compilation *all = context;
    all->kernels[at].arena = arena_new();
    all->problems[at] = compile(all->nvrtc, &all->kernels[at]);
}

bool run_compile(Nvrtc *nvrtc, Device *device, RunKernel *kernels, uint32_t count) {
    Compilation all = {nvrtc, kernels, calloc(count + 1, sizeof *all.problems)};
    parallel_for(count, parallel_threads(), compile_one, &all);
    bool passed = true;
    for (uint32_t i = 0; i < count; i++) {
        const char *problem = all.problems[i];
        if (!problem) problem = load(device, &kernels[i]);
        if (!problem) continue;
        printf("FAILED: %s: %s\n%s", kernels[i].kernel->name, problem, kernels[i].cuda);
        passed = false;
    }
    free(all.problems);
    return passed;
}

void run_release(RunKernel *kernels, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        device_code_free(kernels[i].code);
        arena_free(kernels[i].arena);
    }
}

/* ---- memory ---- */

static bool is_shared(Space space) {
    return space == SPACE_FIELD || space == SPACE_INDEX;
}

RunMemory run_memory(Device *device, const RunSizes *sizes) {
    static const char *const names[SPACE_LOCAL] = {"trials",   "scratch", "fields", "index",
                                                   "examples", "totals",  "metrics"};
    RunMemory to = {.device = device, .sizes = *sizes};
    for (Space space = SPACE_TRIAL; space < SPACE_LOCAL; space++) {
        if (!sizes->bytes[space]) continue;
        uint64_t aligned = (sizes->bytes[space] + 255) / 256 * 256;
        to.stride[space] = is_shared(space) ? 0 : aligned;
        uint64_t all = is_shared(space) ? aligned : aligned * sizes->trials;
        to.at[space] = device_allocate(to.device, all, names[space]);
    }
    for (uint32_t i = 0; i < RUN_FIELDS; i++)
        if (sizes->fields[i]) to.fields[i] = device_allocate(to.device, sizes->fields[i], "field");
    return to;
}

void run_memory_release(RunMemory *memory) {
    for (Space space = SPACE_TRIAL; space < SPACE_LOCAL; space++)
        if (memory->at[space]) device_release(memory->device, memory->at[space]);
    for (uint32_t i = 0; i < RUN_FIELDS; i++)
        if (memory->fields[i]) device_release(memory->device, memory->fields[i]);
}

bool run_write(const RunMemory *memory, Space space, uint32_t trial, const void *from) {
    uint64_t to = memory->at[space] + trial * memory->stride[space];
    return device_write(memory->device, to, from, memory->sizes.bytes[space]);
}

bool run_read(const RunMemory *memory, Space space, uint32_t trial, void *to) {
    uint64_t from = memory->at[space] + trial * memory->stride[space];
    return device_read(memory->device, from, to, memory->sizes.bytes[space]);
}

/* ---- launching ---- */

static uint64_t address_of(const RunMemory *memory, const Buffer *buffer) {
    switch (buffer->space) {
    case SPACE_FIELD: return memory->fields[buffer->slot];
    case SPACE_EXAMPLE: return memory->at[SPACE_EXAMPLE] + buffer->slot * memory->sizes.example;
    case SPACE_TOTAL:
    case SPACE_METRIC: return memory->at[buffer->space] + buffer->slot * sizeof(double);
    default: return memory->at[buffer->space] + (uint64_t)buffer->offset;
    }
}

static DeviceArgument argument_of(const RunMemory *memory, const CudaParameter *parameter) {
    const Buffer *buffer = parameter->buffer;
    if (parameter->stride) return (DeviceArgument){.value = memory->stride[parameter->space]};
    bool field = buffer->space == SPACE_FIELD;
    return (DeviceArgument){.name = buffer->name,
                            .value = address_of(memory, buffer),
                            .bytes = field ? memory->sizes.fields[buffer->slot]
                                           : (uint64_t)buffer->count * elem_bytes(buffer->elem),
                            .stride = buffer->uniform ? 0 : memory->stride[buffer->space]};
}

bool run_launch(const RunKernel *kernel, const RunMemory *memory, bool first, uint64_t seed) {
    const GpuSchedule *gpu = &kernel->kernel->gpu;
    DeviceLaunch launch = {.code = kernel->code,
                           .cuda = kernel->cuda,
                           .blocks = (uint32_t)gpu->blocks,
                           .trials = gpu->uniform ? 1 : memory->sizes.trials,
                           .threads = gpu->threads,
                           .argument_count = kernel->parameters.count,
                           .seed = seed};
    assert(launch.argument_count <= MOST_ARGUMENTS);
    if (first) {
        launch.dead = memory->at[SPACE_SCRATCH];
        launch.dead_bytes = memory->stride[SPACE_SCRATCH] * memory->sizes.trials;
    }
    for (uint32_t i = 0; i < launch.argument_count; i++)
        launch.arguments[i] = argument_of(memory, &kernel->parameters.at[i]);
    return device_launch(memory->device, &launch);
}
