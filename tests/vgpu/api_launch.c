/* Launches: shapes and limits, parameters, what a function says about itself. Registers are not
 * known here: only ptxas counts them. */
#include "tests/vgpu/driver.h"

#include <stdlib.h>
#include <string.h>

/* ---- checks ---- */

static const uint32_t most_blocks[3] = {INT32_MAX, 65535, 65535};
static const uint32_t most_threads[3] = {MOST_THREADS, MOST_THREADS, 64};

static CUresult check_sides(const Call *call, const char *kernel, const char *what,
                            const uint32_t *sides, const uint32_t *most) {
    for (int axis = 0; axis < 3; axis++) {
        if (sides[axis] && sides[axis] <= most[axis]) continue;
        return misuse(call, CUDA_ERROR_INVALID_VALUE,
                      "kernel '%s': %s %u x %u x %u, but %c must be from 1 to %u", kernel, what,
                      sides[0], sides[1], sides[2], 'x' + axis, most[axis]);
    }
    return CUDA_SUCCESS;
}

static CUresult check_threads(const Call *call, const Function *function, const uint32_t *block) {
    uint64_t threads = (uint64_t)block[0] * block[1] * block[2];
    if (threads > MOST_THREADS)
        return misuse(call, CUDA_ERROR_INVALID_VALUE,
                      "kernel '%s': %llu threads in a block, at most %d are possible",
                      function->name, (unsigned long long)threads, MOST_THREADS);
    if (!function->max_threads || threads <= function->max_threads) return CUDA_SUCCESS;
    return misuse(call, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES,
                  "kernel '%s': %llu threads in a block, but it was compiled for at most %u "
                  "(.maxntid)",
                  function->name, (unsigned long long)threads, function->max_threads);
}

static CUresult check_shared(const Call *call, const FunctionObject *object, uint32_t dynamic) {
    const Function *function = object->function;
    uint64_t all = (uint64_t)function->shared_bytes + dynamic;
    if (all > driver.profile->shared_per_block)
        return misuse(call, CUDA_ERROR_INVALID_VALUE,
                      "kernel '%s': %u static + %u dynamic bytes of shared memory, a block of "
                      "sm_%d has at most %u",
                      function->name, function->shared_bytes, dynamic, driver.options.sm,
                      driver.profile->shared_per_block);
    if (all <= SHARED_WITHOUT_OPT_IN || dynamic <= object->dynamic_shared) return CUDA_SUCCESS;
    return misuse(call, CUDA_ERROR_INVALID_VALUE,
                  "kernel '%s': %u static + %u dynamic bytes of shared memory are more than %d: "
                  "set CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES first (it is %u)",
                  function->name, function->shared_bytes, dynamic, SHARED_WITHOUT_OPT_IN,
                  object->dynamic_shared);
}

/* ---- parameters ---- */

static CUresult packed_parameters(const Call *call, const Function *function, void **extra,
                                  unsigned char *params) {
    const void *buffer = NULL;
    size_t bytes = 0;
    for (; (uintptr_t)extra[0] != CU_LAUNCH_PARAM_END_AS_INT; extra += 2) {
        uintptr_t what = (uintptr_t)extra[0];
        if (what == CU_LAUNCH_PARAM_BUFFER_POINTER_AS_INT)
            buffer = extra[1];
        else if (what == CU_LAUNCH_PARAM_BUFFER_SIZE_AS_INT)
            bytes = *(const size_t *)extra[1];
        else
            return misuse(call, CUDA_ERROR_INVALID_VALUE, "'extra' has an unknown entry");
    }
    if (!buffer || bytes < function->param_bytes)
        return misuse(call, CUDA_ERROR_INVALID_VALUE,
                      "kernel '%s' takes %u bytes of parameters, 'extra' has %zu", function->name,
                      function->param_bytes, buffer ? bytes : 0);
    memcpy(params, buffer, function->param_bytes);
    return CUDA_SUCCESS;
}

static CUresult set_parameters(const Call *call, const Function *function, const LaunchShape *shape,
                               unsigned char *params) {
    if (shape->parameters && shape->extra)
        return misuse(call, CUDA_ERROR_INVALID_VALUE, "both 'parameters' and 'extra' are given");
    if (shape->extra) return packed_parameters(call, function, shape->extra, params);
    if (function->param_count && !shape->parameters)
        return misuse(call, CUDA_ERROR_INVALID_VALUE,
                      "kernel '%s' takes %u parameters, none are given", function->name,
                      function->param_count);
    for (uint32_t at = 0; at < function->param_count; at++) {
        const Param *param = &function->params[at];
        if (!shape->parameters[at])
            return misuse(call, CUDA_ERROR_INVALID_VALUE,
                          "kernel '%s': the address of parameter %u is NULL", function->name, at);
        memcpy(params + param->offset, shape->parameters[at], param->bytes);
    }
    return CUDA_SUCCESS;
}

CUresult launch_set(const Call *call, const FunctionObject *object, const LaunchShape *shape,
                    Launch *launch) {
    const Function *function = object->function;
    CUresult result = check_sides(call, function->name, "a grid of", shape->grid, most_blocks);
    if (!result)
        result = check_sides(call, function->name, "blocks of", shape->block, most_threads);
    if (!result) result = check_threads(call, function, shape->block);
    if (!result) result = check_shared(call, object, shape->dynamic_shared);
    if (!result) result = set_parameters(call, function, shape, launch->params);
    memcpy(launch->grid, shape->grid, sizeof launch->grid);
    memcpy(launch->block, shape->block, sizeof launch->block);
    launch->dynamic_shared = shape->dynamic_shared;
    return result;
}

/* ---- launches ---- */

static CUresult launch(Call *call, CUfunction handle, CUstream stream_handle,
                       const LaunchShape *shape) {
    CUresult result;
    Launch *described = call->thread->described;
    call->thread->described = NULL;
    FunctionObject *function = function_find(call, handle, &result);
    Stream *stream = function ? stream_find(call, stream_handle, &result) : NULL;
    if (!stream) {
        if (described) launch_release(described);
        return result;
    }
    Task task = {.kind = TASK_LAUNCH, .launch = kernel_launch_new(function, described)};
    call_detail(call, "%s", function->function->name);
    result = launch_set(call, function, shape, &task.launch->launch);
    if (!result) return stream_issue(call, stream, &task);
    task_release(&task);
    return result;
}

CUresult cuLaunchKernel(CUfunction function, unsigned int grid_x, unsigned int grid_y,
                        unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                        unsigned int block_z, unsigned int dynamic_shared, CUstream stream,
                        void **parameters, void **extra) {
    Call call;
    LaunchShape shape = {
        {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, dynamic_shared, parameters, extra};
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = launch(&call, function, stream, &shape);
    return call_leave(&call);
}

static CUresult launch_config(Call *call, const CUlaunchConfig *config, CUfunction function,
                              void **parameters, void **extra) {
    if (!config) return CUDA_ERROR_INVALID_VALUE;
    if (config->numAttrs)
        return misuse(call, CUDA_ERROR_NOT_SUPPORTED, "launch attributes are not supported");
    LaunchShape shape = {{config->gridDimX, config->gridDimY, config->gridDimZ},
                         {config->blockDimX, config->blockDimY, config->blockDimZ},
                         config->sharedMemBytes,
                         parameters,
                         extra};
    return launch(call, function, config->hStream, &shape);
}

CUresult cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction function, void **parameters,
                          void **extra) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = launch_config(&call, config, function, parameters, extra);
    return call_leave(&call);
}

/* ---- functions ---- */

static CUresult attribute(const Call *call, int *value, CUfunction_attribute which,
                          const FunctionObject *object) {
    const Function *function = object->function;
    switch (which) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
        *value = function->max_threads ? (int)function->max_threads : MOST_THREADS;
        break;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES: *value = (int)function->shared_bytes; break;
    case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES: *value = (int)function->local_bytes; break;
    case CU_FUNC_ATTRIBUTE_PTX_VERSION: *value = (int)object->module->code.target; break;
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION: *value = driver.options.sm; break;
    case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
    case CU_FUNC_ATTRIBUTE_NUM_REGS: /* unknown without ptxas */
    case CU_FUNC_ATTRIBUTE_CACHE_MODE_CA: *value = 0; break;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
        *value = object->dynamic_shared ? (int)object->dynamic_shared
                                        : SHARED_WITHOUT_OPT_IN - (int)function->shared_bytes;
        break;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT: *value = -1; break;
    default:
        return misuse(call, CUDA_ERROR_INVALID_VALUE, "function attribute %u is unknown here",
                      (unsigned)which);
    }
    return CUDA_SUCCESS;
}

CUresult cuFuncGetAttribute(int *value, CUfunction_attribute which, CUfunction function) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) {
        const FunctionObject *found = function_find(&call, function, &call.result);
        if (found)
            call.result = value ? attribute(&call, value, which, found) : CUDA_ERROR_INVALID_VALUE;
    }
    return call_leave(&call);
}

static CUresult set_attribute(const Call *call, FunctionObject *object, CUfunction_attribute which,
                              int value) {
    if (which == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT) return CUDA_SUCCESS;
    if (which != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES)
        return misuse(call, CUDA_ERROR_INVALID_VALUE, "function attribute %u cannot be set",
                      (unsigned)which);
    uint32_t most = driver.profile->shared_per_block - object->function->shared_bytes;
    if (value < 0 || (uint32_t)value > most)
        return misuse(call, CUDA_ERROR_INVALID_VALUE,
                      "kernel '%s': %d dynamic bytes of shared memory, at most %u fit sm_%d",
                      object->function->name, value, most, driver.options.sm);
    object->dynamic_shared = (uint32_t)value;
    return CUDA_SUCCESS;
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute which, int value) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) {
        FunctionObject *found = function_find(&call, function, &call.result);
        if (found) call.result = set_attribute(&call, found, which, value);
    }
    return call_leave(&call);
}

CUresult cuFuncSetCacheConfig(CUfunction function, CUfunc_cache config) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) {
        function_find(&call, function, &call.result);
        if (config > 3) call.result = CUDA_ERROR_INVALID_VALUE;
    }
    return call_leave(&call);
}

CUresult cuFuncGetModule(CUmodule *module, CUfunction function) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) {
        const FunctionObject *found = function_find(&call, function, &call.result);
        if (found && module) *module = found->module->object.handle;
        if (!module) call.result = CUDA_ERROR_INVALID_VALUE;
    }
    return call_leave(&call);
}

CUresult cuFuncGetParamInfo(CUfunction function, size_t index, size_t *offset, size_t *bytes) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) {
        const FunctionObject *found = function_find(&call, function, &call.result);
        bool known = found && index < found->function->param_count;
        if (found && !known) call.result = CUDA_ERROR_INVALID_VALUE; /* how clients count them */
        if (known && offset) *offset = found->function->params[index].offset;
        if (known && bytes) *bytes = found->function->params[index].bytes;
    }
    return call_leave(&call);
}

/* By threads, blocks and shared memory; registers are unknown. */
static int occupancy(const FunctionObject *object, uint32_t threads, size_t dynamic_shared) {
    const Profile *profile = driver.profile;
    uint32_t warps = (threads + LANES - 1) / LANES;
    uint64_t shared = object->function->shared_bytes + dynamic_shared + SHARED_RESERVED;
    uint64_t blocks = profile->threads_per_multiprocessor / (warps * LANES);
    uint64_t by_shared = profile->shared_per_multiprocessor / shared;
    if (blocks > by_shared) blocks = by_shared;
    if (blocks > profile->blocks_per_multiprocessor) blocks = profile->blocks_per_multiprocessor;
    return (int)blocks;
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction function, int threads,
                                                     size_t dynamic_shared) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) {
        const FunctionObject *found = function_find(&call, function, &call.result);
        if (!blocks || threads < 1) call.result = CUDA_ERROR_INVALID_VALUE;
        if (!call.result) *blocks = occupancy(found, (uint32_t)threads, dynamic_shared);
    }
    return call_leave(&call);
}
