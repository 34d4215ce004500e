/* One device: its primary context, one stream, and waiting for it without using a core. */
#include "runtime/gpu_device.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* ---- open and close ---- */

bool gpu_enter(Gpu *gpu, Fail *fail) {
    const CudaFunctions *cuda = &gpu->driver->cuda;
    CudaContext current = NULL;
    if (cuda->context_current(&current) == CUDA_OK && current == gpu->context) return true;
    return gpu_check(gpu, cuda->context_set(gpu->context), "cuCtxSetCurrent", NULL, fail);
}

static bool read_attributes(Gpu *gpu, const char *subject, Fail *fail) {
    const CudaFunctions *cuda = &gpu->driver->cuda;
    int major = 0, minor = 0;
    CudaResult result = cuda->device_get(&gpu->device, (int)gpu->number);
    if (!gpu_check(gpu, result, "cuDeviceGet", subject, fail)) return false;
    result = cuda->device_name(gpu->name, sizeof gpu->name, gpu->device);
    if (!gpu_check(gpu, result, "cuDeviceGetName", subject, fail)) return false;
    result = cuda->device_attribute(&major, CUDA_ATTRIBUTE_CAPABILITY_MAJOR, gpu->device);
    if (result == CUDA_OK)
        result = cuda->device_attribute(&minor, CUDA_ATTRIBUTE_CAPABILITY_MINOR, gpu->device);
    gpu->arch = (uint32_t)(major * 10 + minor);
    return gpu_check(gpu, result, "cuDeviceGetAttribute", subject, fail);
}

static bool open_context(Gpu *gpu, const char *subject, Fail *fail) {
    const CudaFunctions *cuda = &gpu->driver->cuda;
    CudaResult result = cuda->context_flags(gpu->device, CUDA_CONTEXT_BLOCKING_SYNC);
    if (result != CUDA_PRIMARY_CONTEXT_ACTIVE && /* then it keeps the flags of its first user */
        !gpu_check(gpu, result, "cuDevicePrimaryCtxSetFlags", subject, fail))
        return false;
    result = cuda->context_retain(&gpu->context, gpu->device);
    return gpu_check(gpu, result, "cuDevicePrimaryCtxRetain", subject, fail) &&
           gpu_enter(gpu, fail);
}

static bool create_events(Gpu *gpu, CudaEvent *events, uint32_t count, unsigned flags,
                          const char *subject, Fail *fail) {
    for (uint32_t e = 0; e < count; e++) {
        CudaResult result = gpu->driver->cuda.event_create(&events[e], flags);
        if (!gpu_check(gpu, result, "cuEventCreate", subject, fail)) return false;
    }
    return true;
}

static bool open_device(Gpu *gpu, Fail *fail) {
    char subject[sizeof "opening GPU 4294967295"];
    snprintf(subject, sizeof subject, "opening GPU %u", gpu->number);
    const CudaFunctions *cuda = &gpu->driver->cuda;
    if (!read_attributes(gpu, subject, fail) || !open_context(gpu, subject, fail)) return false;
    CudaResult result = cuda->stream_create(&gpu->stream, CUDA_STREAM_NON_BLOCKING);
    return gpu_check(gpu, result, "cuStreamCreate", subject, fail) &&
           create_events(gpu, &gpu->waiting, 1, CUDA_EVENT_DISABLE_TIMING, subject, fail) &&
           create_events(gpu, gpu->fences, GPU_FENCES, CUDA_EVENT_DISABLE_TIMING, subject, fail) &&
           create_events(gpu, gpu->marks, GPU_MARKS, CUDA_EVENT_DEFAULT, subject, fail);
}

static bool can_open(const GpuDriver *driver, uint32_t device, const TuneProgram *program,
                     Fail *fail) {
    if (!program->gpu_module_count) {
        fail_set(fail, "%s was built for the CPU alone", program->name);
        return fail_help(fail, "build it with: tunec build --target cuda");
    }
    if (device < driver->devices) return true;
    fail_set(fail, "there is no GPU %u: the driver shows %u, numbered from 0", device,
             driver->devices);
    return fail_help(fail, "see nvidia-smi and CUDA_VISIBLE_DEVICES");
}

Gpu *gpu_open(GpuDriver *driver, uint32_t device, const TuneProgram *program, Fail *fail) {
    if (!can_open(driver, device, program, fail)) return NULL;
    Gpu *gpu = calloc(1, sizeof *gpu);
    if (gpu) gpu->modules = calloc(program->gpu_module_count, sizeof *gpu->modules);
    if (!gpu || !gpu->modules) {
        free(gpu);
        fail_set(fail, "out of memory");
        return NULL;
    }
    gpu->driver = driver;
    gpu->program = program;
    gpu->number = device;
    if (open_device(gpu, fail)) return gpu;
    gpu_close(gpu);
    return NULL;
}

static void destroy_events(const CudaFunctions *cuda, const CudaEvent *events, uint32_t count) {
    for (uint32_t e = 0; e < count; e++)
        if (events[e]) cuda->event_destroy(events[e]);
}

/* Results do not matter here: after a fault every call reports it again. */
void gpu_close(Gpu *gpu) {
    if (!gpu) return;
    const CudaFunctions *cuda = &gpu->driver->cuda;
    Fail ignored = {0};
    if (gpu->context && gpu_enter(gpu, &ignored)) {
        gpu_capture_drop(gpu);
        if (gpu->stream) cuda->stream_synchronize(gpu->stream);
        gpu_modules_unload(gpu);
        destroy_events(cuda, &gpu->waiting, 1);
        destroy_events(cuda, gpu->fences, GPU_FENCES);
        destroy_events(cuda, gpu->marks, GPU_MARKS);
        if (gpu->stream) cuda->stream_destroy(gpu->stream);
    }
    if (gpu->context) cuda->context_release(gpu->device);
    free(gpu->modules);
    free(gpu);
}

const char *gpu_name(const Gpu *gpu) {
    return gpu->name;
}

uint32_t gpu_number(const Gpu *gpu) {
    return gpu->number;
}

/* ---- waiting ---- */

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* An eighth of the time waited so far: so a wait lasts at most that much too long, and a long one
 * looks 200 times a second. */
static void sleep_after(double waited) {
    double seconds = waited / 8;
    if (seconds < 20e-6) seconds = 20e-6;
    if (seconds > 5e-3) seconds = 5e-3;
    struct timespec time = {.tv_nsec = (long)(seconds * 1e9)};
    nanosleep(&time, NULL);
}

static bool wait_event(Gpu *gpu, CudaEvent event, PoolTick tick, void *context, Fail *fail) {
    double begin = now(), ticked = begin;
    for (;;) {
        if (!gpu_enter(gpu, fail)) return false; /* the tick may have used another device */
        CudaResult result = gpu->driver->cuda.event_query(event);
        if (result != CUDA_NOT_READY) return gpu_check(gpu, result, "cuEventQuery", NULL, fail);
        double time = now();
        if (tick && time - ticked >= 0.2) {
            tick(context);
            ticked = now();
        }
        /* a virtual GPU works within the query */
        if (!gpu_driver_is_virtual(gpu->driver)) sleep_after(time - begin);
    }
}

static bool record(Gpu *gpu, CudaEvent event, Fail *fail) {
    if (!gpu_enter(gpu, fail)) return false;
    CudaResult result = gpu->driver->cuda.event_record(event, gpu->stream);
    return gpu_check(gpu, result, "cuEventRecord", NULL, fail);
}

void gpu_settled(Gpu *gpu) {
    gpu->given.count = 0;
}

bool gpu_wait(Gpu *gpu, PoolTick tick, void *context, Fail *fail) {
    if (!record(gpu, gpu->waiting, fail) || !wait_event(gpu, gpu->waiting, tick, context, fail))
        return false;
    gpu_settled(gpu);
    return true;
}

bool gpu_synchronize(Gpu *gpu, const char *subject, Fail *fail) {
    CudaResult result = gpu->driver->cuda.stream_synchronize(gpu->stream);
    if (!gpu_check(gpu, result, "cuStreamSynchronize", subject, fail)) return false;
    gpu_settled(gpu);
    return true;
}

bool gpu_mark(Gpu *gpu, uint32_t mark, Fail *fail) {
    assert(mark < GPU_MARKS);
    return record(gpu, gpu->marks[mark], fail);
}

bool gpu_marked_time(Gpu *gpu, double *milliseconds, Fail *fail) {
    if (!gpu_enter(gpu, fail)) return false;
    float time = 0;
    CudaResult result = gpu->driver->cuda.event_elapsed(&time, gpu->marks[0], gpu->marks[1]);
    *milliseconds = (double)time;
    return gpu_check(gpu, result, "cuEventElapsedTime", NULL, fail);
}

bool gpu_fence_set(Gpu *gpu, uint32_t fence, Fail *fail) {
    assert(fence < GPU_FENCES);
    return record(gpu, gpu->fences[fence], fail);
}

bool gpu_fence_wait(Gpu *gpu, uint32_t fence, PoolTick tick, void *context, Fail *fail) {
    assert(fence < GPU_FENCES);
    return wait_event(gpu, gpu->fences[fence], tick, context, fail);
}
