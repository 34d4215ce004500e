/* Launches: from the arguments of the descriptor and the place of a wave to the parameters of a
 * kernel. Nothing is allocated and nobody waits here, except where a module is loaded first. */
#include "runtime/gpu_device.h"

#include <assert.h>

/* More parameters than fit into the 4096 bytes that a kernel may have. */
enum { MAX_ARGUMENTS = 512 };

/* ---- descriptor and place -> parameters ---- */

static uint64_t address_of(const GpuPlace *place, const TuneGpuArgument *argument) {
    switch (argument->space) {
    case TUNE_GPU_TRIAL: return place->trial + argument->offset;
    case TUNE_GPU_SCRATCH: return place->scratch + argument->offset;
    case TUNE_GPU_FIELD: return place->fields[argument->slot];
    case TUNE_GPU_INDEX: return place->index;
    case TUNE_GPU_EXAMPLE: return place->examples[argument->slot];
    case TUNE_GPU_TOTAL: return place->totals + argument->slot * sizeof(double);
    case TUNE_GPU_METRIC: return place->metrics + argument->slot * sizeof(double);
    }
    return 0;
}

/* Bytes from one trial's to the next's; 0 of what all trials share. */
static uint64_t stride_of(const GpuPlace *place, TuneGpuSpace space) {
    switch (space) {
    case TUNE_GPU_TRIAL: return place->trial_stride;
    case TUNE_GPU_SCRATCH: return place->scratch_stride;
    case TUNE_GPU_EXAMPLE: return place->example_stride;
    case TUNE_GPU_TOTAL: return place->total_stride;
    case TUNE_GPU_METRIC: return place->metric_stride;
    case TUNE_GPU_FIELD:
    case TUNE_GPU_INDEX: break;
    }
    return 0;
}

static uint64_t bytes_of(const GpuPlace *place, const TuneGpuArgument *argument) {
    switch (argument->space) {
    case TUNE_GPU_FIELD: return place->field_bytes[argument->slot];
    case TUNE_GPU_INDEX: return argument->bytes ? argument->bytes : place->index_bytes;
    case TUNE_GPU_EXAMPLE: return argument->bytes ? argument->bytes : place->example_bytes;
    case TUNE_GPU_TRIAL:
    case TUNE_GPU_SCRATCH:
    case TUNE_GPU_TOTAL:
    case TUNE_GPU_METRIC: break;
    }
    return argument->bytes;
}

/* ---- for the checks of a virtual GPU ---- */

static void describe(const Gpu *gpu, const TuneGpuLaunch *launch, const GpuPlace *place,
                     bool first) {
    VgpuBuffer buffers[MAX_ARGUMENTS];
    uint32_t count = 0;
    for (uint32_t a = 0; a < launch->argument_count; a++) {
        const TuneGpuArgument *argument = &launch->arguments[a];
        if (argument->stride) continue;
        buffers[count++] =
            (VgpuBuffer){argument->name, address_of(place, argument), bytes_of(place, argument),
                         argument->uniform ? 0 : stride_of(place, argument->space)};
    }
    VgpuLaunch description = {.name = launch->name,
                              .places = launch->places,
                              .buffers = buffers,
                              .buffer_count = count,
                              .trials = place->trials};
    if (first) {
        description.dead = place->scratch;
        description.dead_bytes = place->trials * place->scratch_stride;
    }
    gpu->driver->describe_launch(&description);
}

static void describe_fixed(const Gpu *gpu, const GpuFixedLaunch *launch) {
    VgpuBuffer buffers[MAX_ARGUMENTS];
    for (uint32_t r = 0; r < launch->range_count; r++)
        buffers[r] = (VgpuBuffer){launch->ranges[r].name, launch->ranges[r].address,
                                  launch->ranges[r].bytes, 0};
    gpu->driver->describe_launch(&(VgpuLaunch){.name = launch->entry,
                                               .buffers = buffers,
                                               .buffer_count = launch->range_count,
                                               .trials = 1});
}

/* ---- launches ---- */

static bool launch_kernel(Gpu *gpu, CudaFunction function, uint32_t blocks_x, uint32_t blocks_y,
                          uint32_t threads, void **parameters, const GpuWork *work, Fail *fail) {
    CudaResult result = gpu->driver->cuda.launch_kernel(function, blocks_x, blocks_y, 1, threads, 1,
                                                        1, 0, gpu->stream, parameters, NULL);
    return gpu_check_work(gpu, result, "cuLaunchKernel", work, fail);
}

static bool run_one(Gpu *gpu, const TuneGpuLaunch *launch, const GpuPlace *place, bool first,
                    Fail *fail) {
    uint64_t values[MAX_ARGUMENTS];
    void *parameters[MAX_ARGUMENTS];
    if (launch->argument_count > MAX_ARGUMENTS) {
        fail_set(fail, "kernel %s (%s) has %u parameters, a GPU takes %d", launch->name,
                 launch->places, launch->argument_count, MAX_ARGUMENTS);
        return fail_help(fail, "use fewer parameters there, or run on the CPU with --device cpu");
    }
    CudaFunction function;
    if (!gpu_function(gpu, launch->module, launch->entry, &function, fail)) return false;
    for (uint32_t a = 0; a < launch->argument_count; a++) {
        const TuneGpuArgument *argument = &launch->arguments[a];
        values[a] =
            argument->stride ? stride_of(place, argument->space) : address_of(place, argument);
        parameters[a] = &values[a];
    }
    if (gpu->driver->describe_launch) describe(gpu, launch, place, first);
    GpuWork work = gpu_work(GPU_KERNEL, launch->name, launch->places, place->who, 0);
    uint32_t trials = launch->once ? 1 : place->trials;
    return launch_kernel(gpu, function, launch->blocks, trials, launch->threads, parameters, &work,
                         fail);
}

bool gpu_run(Gpu *gpu, const TuneGpuSteps *steps, const GpuPlace *place, Fail *fail) {
    if (!gpu_enter(gpu, fail)) return false;
    for (uint32_t l = 0; l < steps->count; l++)
        if (!run_one(gpu, &steps->launches[l], place, l == 0, fail)) return false;
    return true;
}

bool gpu_run_fixed(Gpu *gpu, const GpuFixedLaunch *launch, Fail *fail) {
    assert(launch->range_count <= MAX_ARGUMENTS);
    CudaFunction function;
    if (!gpu_enter(gpu, fail) ||
        !gpu_function(gpu, gpu->program->gpu_steps, launch->entry, &function, fail))
        return false;
    if (gpu->driver->describe_launch) describe_fixed(gpu, launch);
    GpuWork work = gpu_work(GPU_KERNEL, launch->entry, NULL, NULL, 0);
    return launch_kernel(gpu, function, launch->blocks_x, launch->blocks_y, launch->threads,
                         launch->parameters, &work, fail);
}
