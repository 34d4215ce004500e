/* Images: which one of a module suits the device, loading it when a kernel of it is first used, and
 * finding kernels by name. */
#include "runtime/gpu_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- which image ---- */

/* Code for 8.0 runs on 8.6, not on 9.0; code for 9.0a runs on 9.0 alone. */
static bool suits(const TuneCubin *cubin, uint32_t arch) {
    if (cubin->exact) return cubin->arch == arch;
    return cubin->arch / 10 == arch / 10 && cubin->arch <= arch;
}

static bool is_better(const TuneCubin *cubin, const TuneCubin *best) {
    if (!best) return true;
    if (cubin->arch != best->arch) return cubin->arch > best->arch;
    return cubin->exact && !best->exact;
}

static const TuneCubin *choose_cubin(const TuneGpuModule *info, uint32_t arch) {
    const TuneCubin *best = NULL;
    for (uint32_t c = 0; c < info->cubin_count; c++) {
        const TuneCubin *cubin = &info->cubins[c];
        if (suits(cubin, arch) && is_better(cubin, best)) best = cubin;
    }
    return best;
}

/* ---- loading ---- */

static void explain_ptx(const Gpu *gpu, CudaResult result, Fail *fail) {
    int version = gpu->driver->version;
    if (result == CUDA_UNSUPPORTED_PTX_VERSION)
        fail_help(fail,
                  "the driver knows CUDA %d.%d and the program was built by a newer one: update "
                  "the driver, or build the program with that CUDA's NVRTC",
                  version / 1000, version % 1000 / 10);
    else if (gpu->arch < 80)
        fail_help(fail,
                  "GPUs of compute capability 8.0 and later are supported, this is %u.%u; "
                  "run on the CPU with --device cpu",
                  gpu->arch / 10, gpu->arch % 10);
    else if (result == CUDA_JIT_COMPILER_NOT_FOUND)
        fail_help(fail,
                  "libnvidia-ptxjitcompiler.so belongs to the driver: install it, or build "
                  "the program for sm_%u",
                  gpu->arch);
}

static bool no_image(const Gpu *gpu, const TuneGpuModule *info, Fail *fail) {
    fail_set(fail, "module %s has no code for %s (compute capability %u.%u)", info->name, gpu->name,
             gpu->arch / 10, gpu->arch % 10);
    return fail_help(fail, "build the program with: tunec build --target cuda --gpu sm_%u",
                     gpu->arch);
}

static bool load_ptx(Gpu *gpu, const TuneGpuModule *info, CudaModule *module, Fail *fail) {
    if (!info->ptx || !info->ptx[0]) return no_image(gpu, info, fail);
    char log[512] = "", subject[320];
    int options[] = {CUDA_JIT_ERROR_LOG, CUDA_JIT_ERROR_LOG_BYTES};
    void *values[] = {log, (void *)(uintptr_t)sizeof log};
    CudaResult result = gpu->driver->cuda.module_load(module, info->ptx, 2, options, values);
    if (result == CUDA_OK) return true;
    snprintf(subject, sizeof subject, "PTX of module %s on %s (compute capability %u.%u)",
             info->name, gpu->name, gpu->arch / 10, gpu->arch % 10);
    gpu_check(gpu, result, "cuModuleLoadDataEx", subject, fail);
    explain_ptx(gpu, result, fail);
    size_t used = strlen(fail->text);
    log[sizeof log - 1] = 0;
    if (log[0]) snprintf(fail->text + used, sizeof fail->text - used, ": %s", log);
    return false;
}

/* A driver may refuse a cubin that should suit: the virtual one has no hardware for it, an old one
 * does not know the format. It may still take the PTX. */
static bool is_refused(CudaResult result) {
    return result == CUDA_NO_BINARY_FOR_GPU || result == CUDA_INVALID_IMAGE;
}

static bool load_image(Gpu *gpu, const TuneGpuModule *info, CudaModule *module, Fail *fail) {
    const TuneCubin *cubin = choose_cubin(info, gpu->arch);
    if (!cubin) return load_ptx(gpu, info, module, fail);
    CudaResult result = gpu->driver->cuda.module_load(module, cubin->bytes, 0, NULL, NULL);
    if (is_refused(result)) return load_ptx(gpu, info, module, fail);
    if (result == CUDA_OK) return true;
    char subject[320];
    snprintf(subject, sizeof subject, "module %s for sm_%u%s on %s", info->name, cubin->arch,
             cubin->exact ? "a" : "", gpu->name);
    return gpu_check(gpu, result, "cuModuleLoadDataEx", subject, fail);
}

static bool load_module(Gpu *gpu, uint32_t number, Fail *fail) {
    GpuModule *module = &gpu->modules[number];
    const TuneGpuModule *info = &gpu->program->gpu_modules[number];
    if (module->handle) return true;
    if (!load_image(gpu, info, &module->handle, fail)) {
        module->handle = NULL;
        return false;
    }
    if (gpu->driver->module_source && info->cuda)
        gpu->driver->module_source(module->handle, info->cuda);
    return true;
}

static bool find_entry(Gpu *gpu, uint32_t number, const char *entry, CudaFunction *function,
                       Fail *fail) {
    if (!load_module(gpu, number, fail)) return false;
    GpuModule *module = &gpu->modules[number];
    CudaResult result = gpu->driver->cuda.module_function(function, module->handle, entry);
    if (result != CUDA_OK) {
        char subject[320];
        snprintf(subject, sizeof subject, "kernel %s of module %s", entry,
                 gpu->program->gpu_modules[number].name);
        return gpu_check(gpu, result, "cuModuleGetFunction", subject, fail);
    }
    GpuEntry *entries =
        realloc(module->entries, (module->entry_count + 1) * sizeof *module->entries);
    if (!entries) return fail_set(fail, "out of memory");
    entries[module->entry_count++] = (GpuEntry){entry, *function};
    module->entries = entries;
    return true;
}

/* While a stream is captured, a thread may not do what could wait for the device, as loading does;
 * but the stream that is captured is not touched by it. */
static void exchange_capture_mode(const Gpu *gpu, int *mode) {
    if (gpu->capturing && gpu->driver->cuda.capture_mode) gpu->driver->cuda.capture_mode(mode);
}

bool gpu_function(Gpu *gpu, uint32_t number, const char *entry, CudaFunction *function,
                  Fail *fail) {
    const GpuModule *module = &gpu->modules[number];
    for (uint32_t e = 0; e < module->entry_count; e++)
        if (module->entries[e].name == entry || !strcmp(module->entries[e].name, entry)) {
            *function = module->entries[e].function;
            return true;
        }
    int mode = CUDA_CAPTURE_RELAXED;
    exchange_capture_mode(gpu, &mode);
    bool ok = find_entry(gpu, number, entry, function, fail);
    exchange_capture_mode(gpu, &mode);
    return ok;
}

void gpu_modules_unload(Gpu *gpu) {
    for (uint32_t m = 0; m < gpu->program->gpu_module_count; m++) {
        GpuModule *module = &gpu->modules[m];
        if (module->handle) gpu->driver->cuda.module_unload(module->handle);
        free(module->entries);
        *module = (GpuModule){0};
    }
}
