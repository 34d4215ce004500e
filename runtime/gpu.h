/* One GPU: context, memory, kernels, graphs, by way of the driver API, which is opened at run time.
 * No CUDA header is needed (cuda_driver.h declares what is used), no other library either.
 *
 *     GpuDriver *driver = gpu_driver_open(NULL, &fail);           // libcuda.so.1
 *     Gpu *gpu = gpu_open(driver, 0, &tune_program, &fail);
 *     gpu_allocate(gpu, bytes, "trials of 'width=32'", &trials, &fail);
 *     gpu_run(gpu, &variant->gpu->train, &place, &fail);          // launches, or captures
 *     gpu_wait(gpu, tick, context, &fail);
 *
 * Work goes to one stream per Gpu, in order. Every call is checked; a message says which call
 * failed, with the driver's name and text of the error, and which kernel or copy it was for
 * ("kernel dense2_relu_fwd (mnist.tune:14) of trials 8 to 15"). What the driver reports late is
 * reported by the call that it reaches, with all launches since the last wait that may have caused
 * it. A Gpu belongs to one thread at a time. */
#ifndef TUNE_RUNTIME_GPU_H
#define TUNE_RUNTIME_GPU_H

#include <stdint.h>

#include "runtime/fail.h"
#include "runtime/pool.h" /* PoolTick */
#include "runtime/program.h"

typedef struct GpuDriver GpuDriver;
typedef struct Gpu Gpu;
typedef struct GpuGraph GpuGraph;

/* `library` NULL: the driver's libcuda.so.1 by the loader's path; else that file (the virtual
 * GPU's). Fails when there is none, or no device. */
GpuDriver *gpu_driver_open(const char *library, Fail *fail);
void gpu_driver_close(GpuDriver *driver);
uint32_t gpu_driver_devices(const GpuDriver *driver);
/* Whether the library is the virtual GPU: it takes names of buffers (vgpu_hooks.h). */
bool gpu_driver_is_virtual(const GpuDriver *driver);

/* Context and modules of a device: a cubin for its compute capability (exact, then the newest that
 * runs there), else PTX that the driver compiles; also where a cubin is refused
 * (CUDA_ERROR_NO_BINARY_FOR_GPU). */
Gpu *gpu_open(GpuDriver *driver, uint32_t device, const TuneProgram *program, Fail *fail);
void gpu_close(Gpu *gpu);
const char *gpu_name(const Gpu *gpu); /* "NVIDIA H200" */
uint32_t gpu_number(const Gpu *gpu);
bool gpu_memory(Gpu *gpu, uint64_t *free_bytes, uint64_t *total_bytes, Fail *fail);

/* ---- memory: addresses are the device's and 256-byte aligned ---- */

/* Not cleared. `what` stands in messages and is the name that a virtual GPU reports; it is copied.
 */
bool gpu_allocate(Gpu *gpu, uint64_t bytes, const char *what, uint64_t *address, Fail *fail);
void gpu_free(Gpu *gpu, uint64_t address); /* 0 is nothing */
/* Pinned host memory, for the asynchronous copies. */
bool gpu_host_allocate(Gpu *gpu, uint64_t bytes, const char *what, void **memory, Fail *fail);
void gpu_host_free(Gpu *gpu, void *memory);

/* `what` is a literal or outlives the next wait: "hyperparameters of trial 7" is not kept. */
bool gpu_upload(Gpu *gpu, uint64_t to, const void *from, uint64_t bytes, const char *what,
                Fail *fail); /* returns when it is done */
bool gpu_download(Gpu *gpu, void *to, uint64_t from, uint64_t bytes, const char *what, Fail *fail);
/* In the stream; `from`, `to` are pinned host memory, untouched until a wait. Capturable. */
bool gpu_upload_later(Gpu *gpu, uint64_t to, const void *from, uint64_t bytes, const char *what,
                      Fail *fail);
bool gpu_download_later(Gpu *gpu, void *to, uint64_t from, uint64_t bytes, const char *what,
                        Fail *fail);
bool gpu_copy(Gpu *gpu, uint64_t to, uint64_t from, uint64_t bytes, const char *what, Fail *fail);
bool gpu_clear(Gpu *gpu, uint64_t address, uint64_t bytes, const char *what,
               Fail *fail); /* zeros */

/* ---- launches ---- */

/* Where the memory of a wave is: what the arguments of launches are made of. Trial t's part of a
 * space begins t strides behind the first one's. */
typedef struct {
    uint32_t trials; /* y axis of the grid */
    uint64_t trial, trial_stride;
    uint64_t scratch, scratch_stride;
    const uint64_t *fields;      /* [field_count] */
    const uint64_t *field_bytes; /* [field_count] as they are on the device */
    uint64_t index;
    const uint64_t *examples; /* [total_count]: vector of each total */
    uint64_t example_stride;
    uint64_t totals, total_stride, metrics, metric_stride;
    uint64_t index_bytes, example_bytes; /* of one vector */
    const char *who;                     /* for messages: "trials 8 to 15" */
} GpuPlace;

/* All launches of a step program, in order; captured when a capture is open. */
bool gpu_run(Gpu *gpu, const TuneGpuSteps *steps, const GpuPlace *place, Fail *fail);

/* An entry of steps.cu. `parameters`: an address of each, in order; `sizes` in bytes. `reads`: for
 * the checks of a virtual GPU, the memory that it may touch. */
typedef struct {
    const char *name;
    uint64_t address, bytes; /* one block of memory, of all trials */
} GpuRange;
typedef struct {
    const char *entry;
    uint32_t blocks_x, blocks_y, threads;
    void **parameters;
    const GpuRange *ranges;
    uint32_t range_count;
} GpuFixedLaunch;
bool gpu_run_fixed(Gpu *gpu, const GpuFixedLaunch *launch, Fail *fail);

/* ---- graphs ---- */

bool gpu_capture(Gpu *gpu, Fail *fail);
GpuGraph *gpu_capture_end(Gpu *gpu, Fail *fail); /* NULL: failed, and the capture is over */
bool gpu_graph_launch(Gpu *gpu, GpuGraph *graph, Fail *fail);
void gpu_graph_free(Gpu *gpu, GpuGraph *graph); /* NULL is nothing */

/* ---- time ---- */

/* Waits for all that was put into the stream; calls `tick` (may be NULL) about five times a second.
 * Reports what went wrong on the device. */
bool gpu_wait(Gpu *gpu, PoolTick tick, void *context, Fail *fail);
/* Marks 0 and 1 in the stream, and the milliseconds between them after a wait. */
bool gpu_mark(Gpu *gpu, uint32_t mark, Fail *fail);
bool gpu_marked_time(Gpu *gpu, double *milliseconds, Fail *fail);
/* Four fences in the stream, for double buffers: set one behind some work, wait for that work. */
bool gpu_fence_set(Gpu *gpu, uint32_t fence, Fail *fail);
bool gpu_fence_wait(Gpu *gpu, uint32_t fence, PoolTick tick, void *context, Fail *fail);

#endif
