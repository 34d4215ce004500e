/* Modules, libraries, their functions and variables. */
#include "tests/vgpu/driver.h"

#include <string.h>

/* ---- options of the loader ---- */

typedef struct {
    char *error, *info;
    size_t error_bytes, info_bytes;
} Logs;

static Logs logs_of(unsigned count, const CUjit_option *options, void *const *values) {
    Logs logs = {0};
    for (unsigned at = 0; at < count; at++) {
        switch (options[at]) {
        case CU_JIT_ERROR_LOG_BUFFER: logs.error = values[at]; break;
        case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
            logs.error_bytes = (uint32_t)(uintptr_t)values[at];
            break;
        case CU_JIT_INFO_LOG_BUFFER: logs.info = values[at]; break;
        case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
            logs.info_bytes = (uint32_t)(uintptr_t)values[at];
            break;
        default: break; /* tuning of real machine code */
        }
    }
    if (logs.error && logs.error_bytes) *logs.error = 0;
    if (logs.info && logs.info_bytes) *logs.info = 0;
    return logs;
}

/* The driver gives the bytes that it has written in place of the sizes. */
static void tell_sizes(const Logs *logs, unsigned count, const CUjit_option *options,
                       void **values) {
    for (unsigned at = 0; at < count; at++) {
        if (options[at] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
            values[at] = (void *)(logs->error ? strnlen(logs->error, logs->error_bytes) : 0);
        if (options[at] == CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES) values[at] = NULL;
    }
}

/* ---- modules ---- */

static CUresult load(Call *call, CUmodule *module, const void *image, unsigned count,
                     CUjit_option *options, void **values) {
    if (!module || (count && (!options || !values))) return CUDA_ERROR_INVALID_VALUE;
    CUresult result = capture_allows_unsafe(call);
    if (result) return result;
    Logs logs = logs_of(count, options, values);
    Module *made = NULL;
    result = module_load(call, image, logs.error, logs.error_bytes, &made);
    tell_sizes(&logs, count, options, values);
    if (!result) *module = made->object.handle;
    return result;
}

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int option_count,
                            CUjit_option *options, void **values) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = load(&call, module, image, option_count, options, values);
    return call_leave(&call);
}

CUresult cuModuleLoadData(CUmodule *module, const void *image) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = load(&call, module, image, 0, NULL, NULL);
    return call_leave(&call);
}

static CUresult unload(Call *call, CUmodule handle) {
    CUresult result;
    Module *module = object_find(call, handle, KIND_MODULE, &result);
    if (result) return result;
    if (work_uses_module(call->context, module)) {
        misuse(call, CUDA_SUCCESS, "queued work still uses the module");
        result = context_force(call->context);
    }
    module_unload(module);
    return result;
}

CUresult cuModuleUnload(CUmodule module) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) call.result = unload(&call, module);
    return call_leave(&call);
}

static CUresult get_function(Call *call, CUfunction *function, CUmodule handle, const char *name) {
    CUresult result;
    Module *module = object_find(call, handle, KIND_MODULE, &result);
    if (result) return result;
    if (!function || !name) return CUDA_ERROR_INVALID_VALUE;
    FunctionObject *found = module_function(module, name);
    if (!found) return misuse(call, CUDA_ERROR_NOT_FOUND, "the module has no kernel '%s'", name);
    *function = found->object.handle;
    return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = get_function(&call, function, module, name);
    return call_leave(&call);
}

static CUresult get_global(Call *call, CUdeviceptr *address, size_t *bytes, CUmodule handle,
                           const char *name) {
    CUresult result;
    Module *module = object_find(call, handle, KIND_MODULE, &result);
    if (result) return result;
    if (!name) return CUDA_ERROR_INVALID_VALUE;
    for (uint32_t at = 0; at < module->code.variable_count; at++) {
        const Variable *variable = &module->code.variables[at];
        if (strcmp(variable->name, name) != 0) continue;
        if (address) *address = variable->address;
        if (bytes) *bytes = variable->bytes;
        return CUDA_SUCCESS;
    }
    return misuse(call, CUDA_ERROR_NOT_FOUND, "the module has no variable '%s'", name);
}

CUresult cuModuleGetGlobal_v2(CUdeviceptr *address, size_t *bytes, CUmodule module,
                              const char *name) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = get_global(&call, address, bytes, module, name);
    return call_leave(&call);
}

/* ---- libraries ---- */

static CUresult load_library(Call *call, CUlibrary *library, const void *code,
                             CUjit_option *options, void **values, unsigned count) {
    if (!library || (count && (!options || !values))) return CUDA_ERROR_INVALID_VALUE;
    Logs logs = logs_of(count, options, values);
    Library *made = NULL;
    CUresult result = library_load(call, code, logs.error, logs.error_bytes, &made);
    tell_sizes(&logs, count, options, values);
    if (!result) *library = made->object.handle;
    return result;
}

CUresult cuLibraryLoadData(CUlibrary *library, const void *code, CUjit_option *options,
                           void **values, unsigned int option_count,
                           CUlibraryOption *library_options, void **library_values,
                           unsigned int library_option_count) {
    (void)library_options, (void)library_values, (void)library_option_count;
    Call call;
    if (call_enter(&call, __func__, NEEDS_INIT))
        call.result = load_library(&call, library, code, options, values, option_count);
    return call_leave(&call);
}

CUresult cuLibraryUnload(CUlibrary library) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_INIT)) {
        Library *found = object_find(&call, library, KIND_LIBRARY, &call.result);
        if (found) library_unload(found);
    }
    return call_leave(&call);
}

static CUresult get_kernel(Call *call, CUkernel *kernel, CUlibrary handle, const char *name) {
    CUresult result;
    Library *library = object_find(call, handle, KIND_LIBRARY, &result);
    if (result) return result;
    if (!kernel || !name) return CUDA_ERROR_INVALID_VALUE;
    KernelObject *found = library_kernel(library, name);
    if (!found) return misuse(call, CUDA_ERROR_NOT_FOUND, "the library has no kernel '%s'", name);
    *kernel = found->object.handle;
    return CUDA_SUCCESS;
}

CUresult cuLibraryGetKernel(CUkernel *kernel, CUlibrary library, const char *name) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_INIT))
        call.result = get_kernel(&call, kernel, library, name);
    return call_leave(&call);
}

static CUresult kernel_function(Call *call, CUfunction *function, CUkernel kernel) {
    CUresult result;
    if (!object_find(call, kernel, KIND_KERNEL, &result)) return result;
    if (!function) return CUDA_ERROR_INVALID_VALUE;
    FunctionObject *found = function_find(call, kernel, &result);
    if (found) *function = found->object.handle;
    return result;
}

CUresult cuKernelGetFunction(CUfunction *function, CUkernel kernel) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = kernel_function(&call, function, kernel);
    return call_leave(&call);
}
