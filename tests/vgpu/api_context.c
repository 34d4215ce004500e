/* Contexts: the device's primary one, others, and the stack of a thread. */
#include "tests/vgpu/driver.h"

/* ---- the primary context ---- */

static CUresult retain(Call *call, CUcontext *context, CUdevice number) {
    CUresult result;
    Device *device = device_find(call, number, &result);
    if (!device) return result;
    if (!context) return CUDA_ERROR_INVALID_VALUE;
    if (!device->primary) device->primary = context_new(device, true, device->primary_flags);
    device->primary_retained++;
    *context = device->primary->object.handle;
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_INIT)) call.result = retain(&call, context, device);
    return call_leave(&call);
}

static void end_primary(Call *call, Device *device) {
    if (device->primary) context_destroy(call, device->primary);
    device->primary = NULL;
    device->primary_retained = 0;
}

static CUresult release(Call *call, CUdevice number) {
    CUresult result;
    Device *device = device_find(call, number, &result);
    if (!device) return result;
    if (!device->primary_retained)
        return misuse(call, CUDA_ERROR_INVALID_CONTEXT, "the primary context is not retained");
    if (--device->primary_retained == 0) end_primary(call, device);
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_INIT)) call.result = release(&call, device);
    return call_leave(&call);
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device) {
    return cuDevicePrimaryCtxRelease_v2(device);
}

CUresult cuDevicePrimaryCtxReset_v2(CUdevice device) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_INIT)) {
        Device *found = device_find(&call, device, &call.result);
        if (found) end_primary(&call, found);
    }
    return call_leave(&call);
}

CUresult cuDevicePrimaryCtxReset(CUdevice device) {
    return cuDevicePrimaryCtxReset_v2(device);
}

static CUresult set_flags(Call *call, CUdevice number, unsigned flags) {
    CUresult result;
    Device *device = device_find(call, number, &result);
    if (!device) return result;
    if (flags & ~(unsigned)CU_CTX_FLAGS_MASK)
        return misuse(call, CUDA_ERROR_INVALID_VALUE, "flags 0x%x", flags);
    device->primary_flags = flags;
    if (device->primary) device->primary->flags = flags;
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned int flags) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_INIT)) call.result = set_flags(&call, device, flags);
    return call_leave(&call);
}

CUresult cuDevicePrimaryCtxSetFlags(CUdevice device, unsigned int flags) {
    return cuDevicePrimaryCtxSetFlags_v2(device, flags);
}

CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned int *flags, int *active) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_INIT)) {
        const Device *found = device_find(&call, device, &call.result);
        if (found && flags) *flags = found->primary_flags;
        if (found && active) *active = found->primary != NULL;
    }
    return call_leave(&call);
}

/* ---- the stack of a thread ---- */

static void push(Thread *thread, void *handle) {
    thread->contexts = driver_grow(thread->contexts, sizeof *thread->contexts,
                                   thread->context_count, &thread->context_capacity);
    thread->contexts[thread->context_count++] = handle;
}

static CUresult push_current(Call *call, CUcontext context) {
    CUresult result;
    if (object_find(call, context, KIND_CONTEXT, &result)) push(call->thread, context);
    return result;
}

CUresult cuCtxPushCurrent_v2(CUcontext context) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_INIT)) call.result = push_current(&call, context);
    return call_leave(&call);
}

CUresult cuCtxPushCurrent(CUcontext context) {
    return cuCtxPushCurrent_v2(context);
}

static CUresult pop_current(Call *call, CUcontext *context) {
    Thread *thread = call->thread;
    if (!thread->context_count)
        return misuse(call, CUDA_ERROR_INVALID_CONTEXT, "this thread has no current context");
    thread->context_count--;
    if (context) *context = thread->contexts[thread->context_count];
    return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent_v2(CUcontext *context) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_INIT)) call.result = pop_current(&call, context);
    return call_leave(&call);
}

CUresult cuCtxPopCurrent(CUcontext *context) {
    return cuCtxPopCurrent_v2(context);
}

static CUresult set_current(Call *call, CUcontext context) {
    CUresult result = CUDA_SUCCESS;
    if (context && !object_find(call, context, KIND_CONTEXT, &result)) return result;
    if (call->thread->context_count) call->thread->context_count--;
    if (context) push(call->thread, context);
    return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext context) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_INIT)) call.result = set_current(&call, context);
    return call_leave(&call);
}

CUresult cuCtxGetCurrent(CUcontext *context) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_INIT)) {
        const Thread *thread = call.thread;
        call.result = context ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
        if (context)
            *context = thread->context_count ? thread->contexts[thread->context_count - 1] : NULL;
    }
    return call_leave(&call);
}

static CUresult create(Call *call, CUcontext *context, unsigned flags, CUdevice number) {
    CUresult result;
    Device *device = device_find(call, number, &result);
    if (!device) return result;
    if (!context) return CUDA_ERROR_INVALID_VALUE;
    *context = context_new(device, false, flags)->object.handle;
    push(call->thread, *context);
    return CUDA_SUCCESS;
}

CUresult cuCtxCreate_v2(CUcontext *context, unsigned int flags, CUdevice device) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_INIT))
        call.result = create(&call, context, flags, device);
    return call_leave(&call);
}

CUresult cuCtxCreate_v4(CUcontext *context, CUctxCreateParams *parameters, unsigned int flags,
                        CUdevice device) {
    if (parameters) return CUDA_ERROR_NOT_SUPPORTED;
    return cuCtxCreate_v2(context, flags, device);
}

static CUresult destroy(Call *call, CUcontext handle) {
    CUresult result;
    Context *context = object_find(call, handle, KIND_CONTEXT, &result);
    if (result) return result;
    if (context->primary)
        return misuse(call, CUDA_ERROR_INVALID_CONTEXT,
                      "a primary context is released, not destroyed");
    context_destroy(call, context);
    Thread *thread = call->thread;
    bool current = thread->context_count && thread->contexts[thread->context_count - 1] == handle;
    if (current) thread->context_count--;
    return CUDA_SUCCESS;
}

CUresult cuCtxDestroy_v2(CUcontext context) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_INIT)) call.result = destroy(&call, context);
    return call_leave(&call);
}

CUresult cuCtxDestroy(CUcontext context) {
    return cuCtxDestroy_v2(context);
}

/* ---- the current context ---- */

CUresult cuCtxGetDevice(CUdevice *device) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) {
        call.result = device ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
        if (device) *device = call.context->device->ordinal;
    }
    return call_leave(&call);
}

CUresult cuCtxGetFlags(unsigned int *flags) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) {
        call.result = flags ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
        if (flags) *flags = call.context->flags;
    }
    return call_leave(&call);
}

CUresult cuCtxGetApiVersion(CUcontext context, unsigned int *version) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_INIT)) {
        if (context) object_find(&call, context, KIND_CONTEXT, &call.result);
        if (!version) call.result = CUDA_ERROR_INVALID_VALUE;
        if (!call.result) *version = 3020; /* of cuCtxCreate_v2 */
    }
    return call_leave(&call);
}

CUresult cuCtxSynchronize(void) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) {
        call.result = capture_allows_wait(&call);
        if (!call.result) call.result = context_force(call.context);
    }
    return call_leave(&call);
}

/* NULL: reported, and call->result set. */
static size_t *limit(Call *call, CUlimit which) {
    if (which < LIMIT_COUNT) return &call->context->limits[which];
    call->result =
        misuse(call, CUDA_ERROR_UNSUPPORTED_LIMIT, "limit %u is unknown here", (unsigned)which);
    return NULL;
}

CUresult cuCtxGetLimit(size_t *value, CUlimit which) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) {
        const size_t *found = limit(&call, which);
        if (!value) call.result = CUDA_ERROR_INVALID_VALUE;
        if (found && value) *value = *found;
    }
    return call_leave(&call);
}

CUresult cuCtxSetLimit(CUlimit which, size_t value) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) {
        size_t *found = limit(&call, which);
        if (found) *found = value;
    }
    return call_leave(&call);
}

CUresult cuCtxGetStreamPriorityRange(int *least, int *greatest) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) {
        if (least) *least = 0;
        if (greatest) *greatest = -5; /* as on GPUs since Volta */
    }
    return call_leave(&call);
}
