/* What a Gpu is made of, for the gpu*.c files.
 *
 *     gpu.c          context, stream, waiting
 *     gpu_trace.c    what was put into the stream, for messages
 *     gpu_memory.c   allocations and copies
 *     gpu_module.c   images and the functions in them, loaded when first used
 *     gpu_launch.c   descriptor and place -> parameters -> launch
 *     gpu_graph.c    captured streams
 *     gpu_data.c     a data set, resident or streamed: made of the calls of gpu.h alone
 *
 * A call that the program makes goes: gpu_enter (the context), the driver's function, gpu_check or
 * gpu_check_work (the message), gpu_given (the trace). */
#ifndef TUNE_RUNTIME_GPU_DEVICE_H
#define TUNE_RUNTIME_GPU_DEVICE_H

#include "runtime/cuda_driver.h"

/* ---- what is in the stream ---- */

typedef enum { GPU_KERNEL, GPU_UPLOAD, GPU_DOWNLOAD, GPU_COPY, GPU_CLEAR } GpuWorkKind;

typedef struct {
    GpuWorkKind kind;
    uint64_t bytes;     /* of a copy */
    const char *places; /* of a kernel, constant; or NULL */
    char name[80];      /* of the kernel; else of the memory */
    char who[64];       /* "trials 8 to 15", or "" */
} GpuWork;

enum { GPU_TRACE_FIRST = 2, GPU_TRACE_LAST = 3 };

/* The first and the last things put into a stream, and how many there were. */
typedef struct {
    uint64_t count;
    GpuWork first[GPU_TRACE_FIRST];
    GpuWork last[GPU_TRACE_LAST]; /* a ring; number i is at (i - GPU_TRACE_FIRST) modulo its size */
} GpuTrace;

GpuWork gpu_work(GpuWorkKind kind, const char *name, const char *places, const char *who,
                 uint64_t bytes);
void gpu_trace_add(GpuTrace *trace, const GpuWork *work);
/* All that `more` stands for, behind what is there. */
void gpu_trace_append(GpuTrace *trace, const GpuTrace *more);

/* "1.5 MB" */
enum { GPU_BYTES_TEXT = 32 };
const char *gpu_bytes_text(uint64_t bytes, char text[GPU_BYTES_TEXT]);

/* ---- the device ---- */

typedef struct {
    const char *name; /* of the descriptor */
    CudaFunction function;
} GpuEntry;

typedef struct {
    CudaModule handle; /* NULL: not loaded yet */
    GpuEntry *entries; /* found so far */
    uint32_t entry_count;
} GpuModule;

enum { GPU_FENCES = 4, GPU_MARKS = 2 };

struct Gpu {
    const GpuDriver *driver;
    const TuneProgram *program;
    uint32_t number, arch; /* arch: compute capability times 10 */
    char name[128];
    CudaDevice device;
    CudaContext context;
    CudaStream stream;
    CudaEvent waiting, fences[GPU_FENCES], marks[GPU_MARKS];
    GpuModule *modules; /* [program->gpu_module_count] */
    GpuTrace given;     /* since the last wait */
    bool capturing;
    GpuTrace captured; /* since gpu_capture */
};

/* Makes the device's context this thread's. */
bool gpu_enter(Gpu *gpu, Fail *fail);

/* cuda_check; when the result is a fault that happened in the stream, tells what was in it. */
bool gpu_check(const Gpu *gpu, CudaResult result, const char *call, const char *subject,
               Fail *fail);
/* The same for a call that puts `work` into the stream; keeps it for messages when it went well. */
bool gpu_check_work(Gpu *gpu, CudaResult result, const char *call, const GpuWork *work, Fail *fail);
/* The stream was waited for: nothing in it can fail any more. */
void gpu_settled(Gpu *gpu);
/* Waits without ticks. */
bool gpu_synchronize(Gpu *gpu, const char *subject, Fail *fail);

/* Loads the module when it is used first. */
bool gpu_function(Gpu *gpu, uint32_t module, const char *entry, CudaFunction *function, Fail *fail);
void gpu_modules_unload(Gpu *gpu);

/* Ends an open capture and drops what it holds. */
void gpu_capture_drop(Gpu *gpu);

#endif
