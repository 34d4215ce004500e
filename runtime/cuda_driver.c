/* Opens libcuda, finds its functions by name, turns its results into messages. */
#include "runtime/cuda_driver.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY "libcuda.so.1"

/* ---- results ---- */

static const char *help_of(CudaResult result) {
    switch (result) {
    case CUDA_OUT_OF_MEMORY:
        return "run fewer trials at once with --wave N, or end what else uses the GPU";
    case CUDA_STUB_LIBRARY:
        return "this libcuda.so.1 is the CUDA toolkit's stub: take its folder out of "
               "LD_LIBRARY_PATH";
    case CUDA_DEVICE_UNAVAILABLE:
        return "another process has the GPU for itself (nvidia-smi shows it): wait for it, or "
               "choose another with --device cuda:N";
    case CUDA_NO_DEVICE:
        return "see what nvidia-smi and CUDA_VISIBLE_DEVICES say, or run on the CPU with --device "
               "cpu";
    case CUDA_ECC_UNCORRECTABLE:
        return "the GPU's memory is damaged: reset the GPU, and replace it when this comes again";
    case CUDA_SYSTEM_NOT_READY: return "start NVIDIA's services (nvidia-fabricmanager) first";
    case CUDA_SYSTEM_DRIVER_MISMATCH:
        return "the driver was updated: restart the machine, so that its kernel module is the same "
               "version";
    default: return NULL;
    }
}

bool cuda_check(const GpuDriver *driver, CudaResult result, const char *call, const char *subject,
                Fail *fail) {
    if (result == CUDA_OK) return true;
    const char *name = NULL, *text = NULL;
    driver->cuda.error_name(result, &name);
    driver->cuda.error_string(result, &text);
    fail_set(fail, "%s%s%s failed: %s (%s, error %d)", subject ? subject : "", subject ? ": " : "",
             call, name ? name : "unknown error", text ? text : "the driver has no text for it",
             result);
    const char *help = help_of(result);
    return help ? fail_help(fail, "%s", help) : false;
}

/* ---- the library ---- */

typedef struct {
    const char *symbol, *older;
    size_t offset; /* in CudaFunctions */
    bool optional;
} Row;

static const Row rows[] = {
#define CUDA_ROW(field, symbol, older, optional, parameters)                                       \
    {symbol, older, offsetof(CudaFunctions, field), optional},
    CUDA_FUNCTIONS(CUDA_ROW)
#undef CUDA_ROW
};

/* Where dlsym's object pointers become function pointers, which C has no conversion for. */
static void set_pointer(void *field, void *symbol) {
    memcpy(field, &symbol, sizeof symbol);
}

static bool find_functions(GpuDriver *driver, const char *path, Fail *fail) {
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        void *symbol = dlsym(driver->library, rows[r].symbol);
        if (!symbol && rows[r].older) symbol = dlsym(driver->library, rows[r].older);
        set_pointer((char *)&driver->cuda + rows[r].offset, symbol);
        if (symbol || rows[r].optional) continue;
        fail_set(fail, "the NVIDIA driver is too old: %s has no function '%s'", path,
                 rows[r].symbol);
        return fail_help(fail, "update the driver, or run on the CPU with --device cpu");
    }
    set_pointer(&driver->describe_launch, dlsym(driver->library, VGPU_DESCRIBE_LAUNCH));
    set_pointer(&driver->module_source, dlsym(driver->library, VGPU_MODULE_SOURCE));
    set_pointer(&driver->name_memory, dlsym(driver->library, VGPU_NAME_MEMORY));
    return true;
}

static bool open_library(GpuDriver *driver, const char *path, Fail *fail) {
    driver->library = dlopen(path ? path : LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (driver->library) return find_functions(driver, path ? path : LIBRARY, fail);
    const char *reason = dlerror();
    if (path) {
        fail_set(fail, "no virtual GPU: %s", reason);
        return fail_help(fail, "build the program again with this machine's tunec, which has it "
                               "beside itself");
    }
    fail_set(fail, "no NVIDIA driver: %s cannot be opened (%s)", LIBRARY, reason);
    return fail_help(fail, "install the NVIDIA driver, or run on the CPU with --device cpu");
}

static bool count_devices(GpuDriver *driver, Fail *fail) {
    const CudaFunctions *cuda = &driver->cuda;
    const char *subject = "no NVIDIA GPU can be used";
    int count = 0;
    if (!cuda_check(driver, cuda->init(0), "cuInit", subject, fail)) return false;
    if (!cuda_check(driver, cuda->driver_version(&driver->version), "cuDriverGetVersion", subject,
                    fail) ||
        !cuda_check(driver, cuda->device_count(&count), "cuDeviceGetCount", subject, fail))
        return false;
    if (count < 1) return cuda_check(driver, CUDA_NO_DEVICE, "cuDeviceGetCount", subject, fail);
    driver->devices = (uint32_t)count;
    return true;
}

GpuDriver *gpu_driver_open(const char *library, Fail *fail) {
    GpuDriver *driver = calloc(1, sizeof *driver);
    if (!driver) {
        fail_set(fail, "out of memory");
        return NULL;
    }
    if (open_library(driver, library, fail) && count_devices(driver, fail)) return driver;
    gpu_driver_close(driver);
    return NULL;
}

/* The library itself stays: the driver has threads of its own, which may still run in it. */
void gpu_driver_close(GpuDriver *driver) {
    free(driver);
}

uint32_t gpu_driver_devices(const GpuDriver *driver) {
    return driver->devices;
}

bool gpu_driver_is_virtual(const GpuDriver *driver) {
    return driver->describe_launch != NULL;
}
