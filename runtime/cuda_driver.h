/* The part of NVIDIA's driver API that the runtime uses, declared here: no CUDA header is needed to
 * build, and the library is opened at run time (gpu_driver_open in gpu.h). Private to cuda_driver.c
 * and gpu*.c.
 *
 *     driver->cuda.launch_kernel(function, …)    = cuLaunchKernel of the library
 *
 * Adding a function = adding a row. Its symbol carries the version whose parameters stand here
 * (cuMemAlloc without _v2 would take 32 bits); `older` is a name that the same parameters had
 * before, or NULL. Of what is optional the pointer may be NULL. */
#ifndef TUNE_RUNTIME_CUDA_DRIVER_H
#define TUNE_RUNTIME_CUDA_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/gpu.h"
#include "runtime/vgpu_hooks.h"

typedef int CudaResult;
typedef int CudaDevice;
typedef uint64_t CudaAddress;
typedef struct CudaContextStruct *CudaContext;
typedef struct CudaModuleStruct *CudaModule;
typedef struct CudaFunctionStruct *CudaFunction;
typedef struct CudaStreamStruct *CudaStream;
typedef struct CudaEventStruct *CudaEvent;
typedef struct CudaGraphStruct *CudaGraph;
typedef struct CudaGraphExecStruct *CudaGraphExec;

/* Values of cuda.h (CUresult, CUdevice_attribute, …). */
enum {
    CUDA_OK = 0,
    CUDA_OUT_OF_MEMORY = 2,
    CUDA_STUB_LIBRARY = 34,
    CUDA_DEVICE_UNAVAILABLE = 46,
    CUDA_NO_DEVICE = 100,
    CUDA_INVALID_IMAGE = 200,
    CUDA_NO_BINARY_FOR_GPU = 209,
    CUDA_ECC_UNCORRECTABLE = 214,
    CUDA_INVALID_PTX = 218,
    CUDA_JIT_COMPILER_NOT_FOUND = 221,
    CUDA_UNSUPPORTED_PTX_VERSION = 222,
    CUDA_NOT_READY = 600,
    CUDA_ILLEGAL_ADDRESS = 700,
    CUDA_LAUNCH_OUT_OF_RESOURCES = 701,
    CUDA_LAUNCH_TIMEOUT = 702,
    CUDA_PRIMARY_CONTEXT_ACTIVE = 708,
    CUDA_ASSERT = 710,
    CUDA_HARDWARE_STACK_ERROR = 714, /* from here to LAUNCH_FAILED: faults of a kernel */
    CUDA_LAUNCH_FAILED = 719,
    CUDA_SYSTEM_NOT_READY = 802,
    CUDA_SYSTEM_DRIVER_MISMATCH = 803
};
enum { CUDA_ATTRIBUTE_CAPABILITY_MAJOR = 75, CUDA_ATTRIBUTE_CAPABILITY_MINOR = 76 };
enum { CUDA_CONTEXT_BLOCKING_SYNC = 4 };
enum { CUDA_STREAM_NON_BLOCKING = 1 };
enum { CUDA_EVENT_DEFAULT = 0, CUDA_EVENT_DISABLE_TIMING = 2 };
enum { CUDA_CAPTURE_THREAD_LOCAL = 1, CUDA_CAPTURE_RELAXED = 2 };
enum { CUDA_JIT_ERROR_LOG = 5, CUDA_JIT_ERROR_LOG_BYTES = 6 };

/* F(field, symbol, older name, optional, parameters) */
#define CUDA_FUNCTIONS(F)                                                                          \
    F(init, "cuInit", NULL, false, (unsigned flags))                                               \
    F(driver_version, "cuDriverGetVersion", NULL, false, (int *version))                           \
    F(error_name, "cuGetErrorName", NULL, false, (CudaResult result, const char **name))           \
    F(error_string, "cuGetErrorString", NULL, false, (CudaResult result, const char **text))       \
    F(device_count, "cuDeviceGetCount", NULL, false, (int *count))                                 \
    F(device_get, "cuDeviceGet", NULL, false, (CudaDevice * device, int number))                   \
    F(device_name, "cuDeviceGetName", NULL, false, (char *name, int size, CudaDevice device))      \
    F(device_attribute, "cuDeviceGetAttribute", NULL, false,                                       \
      (int *value, int attribute, CudaDevice device))                                              \
    F(context_flags, "cuDevicePrimaryCtxSetFlags_v2", "cuDevicePrimaryCtxSetFlags", false,         \
      (CudaDevice device, unsigned flags))                                                         \
    F(context_retain, "cuDevicePrimaryCtxRetain", NULL, false,                                     \
      (CudaContext * context, CudaDevice device))                                                  \
    F(context_release, "cuDevicePrimaryCtxRelease_v2", "cuDevicePrimaryCtxRelease", false,         \
      (CudaDevice device))                                                                         \
    F(context_current, "cuCtxGetCurrent", NULL, false, (CudaContext * context))                    \
    F(context_set, "cuCtxSetCurrent", NULL, false, (CudaContext context))                          \
    F(module_load, "cuModuleLoadDataEx", NULL, false,                                              \
      (CudaModule * module, const void *image, unsigned options, int *option, void **values))      \
    F(module_unload, "cuModuleUnload", NULL, false, (CudaModule module))                           \
    F(module_function, "cuModuleGetFunction", NULL, false,                                         \
      (CudaFunction * function, CudaModule module, const char *name))                              \
    F(memory_info, "cuMemGetInfo_v2", NULL, false, (size_t * free_bytes, size_t * total_bytes))    \
    F(memory_allocate, "cuMemAlloc_v2", NULL, false, (CudaAddress * address, size_t bytes))        \
    F(memory_free, "cuMemFree_v2", NULL, false, (CudaAddress address))                             \
    F(host_allocate, "cuMemHostAlloc", NULL, false, (void **memory, size_t bytes, unsigned flags)) \
    F(host_free, "cuMemFreeHost", NULL, false, (void *memory))                                     \
    F(upload, "cuMemcpyHtoDAsync_v2", NULL, false,                                                 \
      (CudaAddress to, const void *from, size_t bytes, CudaStream stream))                         \
    F(download, "cuMemcpyDtoHAsync_v2", NULL, false,                                               \
      (void *to, CudaAddress from, size_t bytes, CudaStream stream))                               \
    F(copy, "cuMemcpyDtoDAsync_v2", NULL, false,                                                   \
      (CudaAddress to, CudaAddress from, size_t bytes, CudaStream stream))                         \
    F(fill, "cuMemsetD8Async", NULL, false,                                                        \
      (CudaAddress to, unsigned char value, size_t bytes, CudaStream stream))                      \
    F(stream_create, "cuStreamCreate", NULL, false, (CudaStream * stream, unsigned flags))         \
    F(stream_destroy, "cuStreamDestroy_v2", "cuStreamDestroy", false, (CudaStream stream))         \
    F(stream_synchronize, "cuStreamSynchronize", NULL, false, (CudaStream stream))                 \
    F(capture_begin, "cuStreamBeginCapture_v2", NULL, false, (CudaStream stream, int mode))        \
    F(capture_end, "cuStreamEndCapture", NULL, false, (CudaStream stream, CudaGraph * graph))      \
    F(capture_mode, "cuThreadExchangeStreamCaptureMode", NULL, true, (int *mode))                  \
    F(event_create, "cuEventCreate", NULL, false, (CudaEvent * event, unsigned flags))             \
    F(event_destroy, "cuEventDestroy_v2", "cuEventDestroy", false, (CudaEvent event))              \
    F(event_record, "cuEventRecord", NULL, false, (CudaEvent event, CudaStream stream))            \
    F(event_query, "cuEventQuery", NULL, false, (CudaEvent event))                                 \
    F(event_elapsed, "cuEventElapsedTime", NULL, false,                                            \
      (float *milliseconds, CudaEvent from, CudaEvent to))                                         \
    F(launch_kernel, "cuLaunchKernel", NULL, false,                                                \
      (CudaFunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, \
       unsigned block_y, unsigned block_z, unsigned shared_bytes, CudaStream stream,               \
       void **parameters, void **extra))                                                           \
    F(graph_instantiate, "cuGraphInstantiateWithFlags", NULL, false,                               \
      (CudaGraphExec * executable, CudaGraph graph, unsigned long long flags))                     \
    F(graph_upload, "cuGraphUpload", NULL, true, (CudaGraphExec executable, CudaStream stream))    \
    F(graph_launch, "cuGraphLaunch", NULL, false, (CudaGraphExec executable, CudaStream stream))   \
    F(graph_destroy, "cuGraphDestroy", NULL, false, (CudaGraph graph))                             \
    F(graph_exec_destroy, "cuGraphExecDestroy", NULL, false, (CudaGraphExec executable))

typedef struct {
#define CUDA_FIELD(field, symbol, older, optional, parameters) CudaResult(*field) parameters;
    CUDA_FUNCTIONS(CUDA_FIELD)
#undef CUDA_FIELD
} CudaFunctions;

struct GpuDriver {
    void *library;
    CudaFunctions cuda;
    uint32_t devices;
    int version; /* 13020: the newest CUDA that the driver knows is 13.2 */
    /* of a virtual GPU; NULL otherwise */
    VgpuDescribeLaunch *describe_launch;
    VgpuModuleSource *module_source;
    VgpuNameMemory *name_memory;
};

/* True when `result` is CUDA_OK. Else fails with "SUBJECT: CALL failed: NAME (text)" and, where one
 * is known, with what to do. `subject` may be NULL. Every call of the driver ends here. */
bool cuda_check(const GpuDriver *driver, CudaResult result, const char *call, const char *subject,
                Fail *fail);

#endif
