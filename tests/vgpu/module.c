/* Modules: PTX text to code, its variables to device memory. Images of machine code are refused as
 * by a GPU that they were not made for, so that a client's way to its PTX is gone, too. */
#include "tests/vgpu/driver.h"

#include <stdlib.h>
#include <string.h>

enum { NEWEST_PTX = 90 }; /* .version 9.0, of CUDA 13.0 */

/* ---- may it run here? ---- */

/* Behind the directive's name, or NULL. Directives begin lines. */
static const char *directive(const char *ptx, const char *name) {
    size_t length = strlen(name);
    for (const char *at = ptx; at && *at; at = strchr(at, '\n')) {
        at += strspn(at, " \t\r\n");
        if (!strncmp(at, name, length)) return at + length;
    }
    return NULL;
}

static CUresult refuse(const Call *call, CUresult result, char *log, size_t log_bytes,
                       const char *message) {
    if (log && log_bytes) snprintf(log, log_bytes, "ptxas : %s", message);
    return misuse(call, result, "%s", message);
}

static CUresult check_version(const Call *call, const char *ptx, char *log, size_t log_bytes) {
    char message[200];
    const char *version = directive(ptx, ".version"), *target = directive(ptx, ".target");
    int major = 0, minor = 0, sm = 0;
    char suffix = 0;
    if (!version || sscanf(version, "%d.%d", &major, &minor) != 2 || !target ||
        sscanf(target, " sm_%d%c", &sm, &suffix) < 1)
        return refuse(call, CUDA_ERROR_INVALID_IMAGE, log, log_bytes,
                      "the image is no PTX: no .version and .target");
    if (major * 10 + minor > NEWEST_PTX) {
        snprintf(message, sizeof message, ".version %d.%d is newer than the driver's, %d.%d", major,
                 minor, NEWEST_PTX / 10, NEWEST_PTX % 10);
        return refuse(call, CUDA_ERROR_UNSUPPORTED_PTX_VERSION, log, log_bytes, message);
    }
    bool exact = suffix == 'a';
    int own = driver.options.sm;
    if (exact ? sm == own : sm <= own) return CUDA_SUCCESS;
    snprintf(message, sizeof message, ".target sm_%d%s cannot run on this device, which is sm_%d",
             sm, exact ? "a" : "", own);
    return refuse(call, CUDA_ERROR_NO_BINARY_FOR_GPU, log, log_bytes, message);
}

static CUresult check_image(const Call *call, const char *image, char *log, size_t log_bytes) {
    if (!image) return misuse(call, CUDA_ERROR_INVALID_VALUE, "the image is NULL");
    bool elf = !memcmp(image, "\177ELF", 4), fat_binary = !memcmp(image, "\x50\xed\x55\xba", 4);
    if (elf || fat_binary) return CUDA_ERROR_NO_BINARY_FOR_GPU; /* not a mistake */
    return check_version(call, image, log, log_bytes);
}

/* ---- loading ---- */

static CUresult place_variables(Call *call, Module *module) {
    Memory *memory = call->context->device->memory;
    for (uint32_t at = 0; at < module->code.variable_count; at++) {
        Variable *variable = &module->code.variables[at];
        CUresult result = allocation_new(call, variable->bytes, variable->name, &variable->address);
        if (result) return result;
        memory_variable(memory, variable->address);
        if (variable->initial)
            memory_write(memory, variable->address, variable->initial, variable->bytes);
        else
            memory_fill(memory, variable->address, 0, 1, variable->bytes);
    }
    return CUDA_SUCCESS;
}

static CUresult make_code(Call *call, Module *module, char *log, size_t log_bytes) {
    const char *wrong = code_parse(module->ptx, &module->code);
    if (wrong) return refuse(call, CUDA_ERROR_INVALID_PTX, log, log_bytes, wrong);
    CUresult result = place_variables(call, module);
    if (result) return result;
    wrong = code_decode(&module->code);
    return wrong ? refuse(call, CUDA_ERROR_INVALID_PTX, log, log_bytes, wrong) : CUDA_SUCCESS;
}

CUresult module_load(Call *call, const char *image, char *log, size_t log_bytes, Module **module) {
    CUresult result = check_image(call, image, log, log_bytes);
    if (result) return result;
    Module *made = driver_zeroed(1, sizeof *made);
    object_register(&made->object, KIND_MODULE, call->context);
    made->references = 1;
    made->ptx = driver_text(image);
    result = make_code(call, made, log, log_bytes);
    if (result)
        module_unload(made);
    else
        *module = made;
    return result;
}

/* ---- the end of a module ---- */

void module_release(Module *module) {
    if (--module->references) return;
    code_release(&module->code);
    free(module->ptx);
    free(module->cuda);
    free(module);
}

void module_unload(Module *module) {
    Device *device = module->object.context->device;
    while (module->functions) {
        FunctionObject *function = module->functions;
        module->functions = function->next;
        object_forget(&function->object);
        free(function);
    }
    for (uint32_t at = 0; at < module->code.variable_count; at++) {
        Allocation *allocation = allocation_find(device, module->code.variables[at].address);
        if (allocation && allocation->live) allocation_release(device, allocation);
    }
    object_forget(&module->object);
    module->unloaded = true;
    module_release(module);
}

/* ---- functions ---- */

FunctionObject *module_function(Module *module, const char *name) {
    const Function *found = code_function(&module->code, name);
    if (!found) return NULL;
    for (FunctionObject *function = module->functions; function; function = function->next)
        if (function->function == found) return function;
    FunctionObject *function = driver_zeroed(1, sizeof *function);
    object_register(&function->object, KIND_FUNCTION, module->object.context);
    function->module = module;
    function->function = found;
    function->next = module->functions;
    module->functions = function;
    return function;
}

/* The library's module in the current context, loaded when it is first needed. */
static Module *library_module(Call *call, Library *library, CUresult *result) {
    for (uint32_t at = 0; at < library->loaded_count; at++) {
        Module *module = library->loaded[at];
        if (!module->unloaded && module->object.context == call->context) return module;
    }
    Module *module = NULL;
    *result = module_load(call, library->ptx, NULL, 0, &module);
    if (*result) return NULL;
    library->loaded = driver_grow(library->loaded, sizeof(Module *), library->loaded_count,
                                  &library->loaded_capacity);
    library->loaded[library->loaded_count++] = module;
    module->references++;
    return module;
}

FunctionObject *function_find(Call *call, const void *function, CUresult *result) {
    KernelObject *kernel = (KernelObject *)object_live(function, KIND_KERNEL);
    if (!kernel) return object_find(call, function, KIND_FUNCTION, result);
    *result = CUDA_SUCCESS;
    Module *module = library_module(call, kernel->library, result);
    return module ? module_function(module, kernel->name) : NULL;
}

/* ---- libraries ---- */

CUresult library_load(Call *call, const char *image, char *log, size_t log_bytes,
                      Library **library) {
    CUresult result = check_image(call, image, log, log_bytes);
    if (result) return result;
    Library *made = driver_zeroed(1, sizeof *made);
    object_register(&made->object, KIND_LIBRARY, NULL);
    made->ptx = driver_text(image);
    const char *wrong = code_parse(made->ptx, &made->code);
    if (wrong) result = refuse(call, CUDA_ERROR_INVALID_PTX, log, log_bytes, wrong);
    if (result)
        library_unload(made);
    else
        *library = made;
    return result;
}

void library_unload(Library *library) {
    for (uint32_t at = 0; at < library->loaded_count; at++) {
        if (!library->loaded[at]->unloaded) module_unload(library->loaded[at]);
        module_release(library->loaded[at]);
    }
    while (library->kernels) {
        KernelObject *kernel = library->kernels;
        library->kernels = kernel->next;
        object_forget(&kernel->object);
        free(kernel);
    }
    code_release(&library->code);
    free(library->loaded);
    free(library->ptx);
    object_forget(&library->object);
    free(library);
}

KernelObject *library_kernel(Library *library, const char *name) {
    const Function *found = code_function(&library->code, name);
    if (!found) return NULL;
    for (KernelObject *kernel = library->kernels; kernel; kernel = kernel->next)
        if (!strcmp(kernel->name, name)) return kernel;
    KernelObject *kernel = driver_zeroed(1, sizeof *kernel);
    object_register(&kernel->object, KIND_KERNEL, NULL);
    kernel->library = library;
    kernel->name = found->name;
    kernel->next = library->kernels;
    library->kernels = kernel;
    return kernel;
}
