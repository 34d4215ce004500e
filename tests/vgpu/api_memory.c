/* Allocations of device memory and of pinned host memory. */
#include "tests/vgpu/driver.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE = 4096, FRESH = 0xcb };

static const char *name_of(const Allocation *allocation) {
    return allocation->name ? allocation->name : "unnamed";
}

/* ---- device memory ---- */

CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) {
        uint64_t used = memory_used(call.context->device->memory);
        uint64_t total = driver.options.memory;
        if (free_bytes) *free_bytes = used < total ? total - used : 0;
        if (total_bytes) *total_bytes = total;
    }
    return call_leave(&call);
}

static CUresult allocate(Call *call, CUdeviceptr *address, size_t bytes) {
    uint64_t made = 0;
    if (!address) return CUDA_ERROR_INVALID_VALUE;
    if (!bytes) return misuse(call, CUDA_ERROR_INVALID_VALUE, "0 bytes");
    CUresult result = allocation_new(call, bytes, NULL, &made);
    if (!result) *address = made;
    call_detail(call, "%zu bytes at 0x%llx", bytes, (unsigned long long)made);
    return result;
}

static CUresult allocate_now(Call *call, CUdeviceptr *address, size_t bytes) {
    CUresult result = capture_allows_unsafe(call);
    return result ? result : allocate(call, address, bytes);
}

CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = allocate_now(&call, address, bytes);
    return call_leave(&call);
}

static CUresult find_start(const Call *call, CUdeviceptr address, Allocation **found) {
    unsigned long long at = address;
    Allocation *allocation = allocation_find(call->context->device, address);
    if (!allocation)
        return misuse(call, CUDA_ERROR_INVALID_VALUE, "0x%llx was never allocated", at);
    if (!allocation->live)
        return misuse(call, CUDA_ERROR_INVALID_VALUE, "0x%llx, '%s', was freed already", at,
                      name_of(allocation));
    if (allocation->address != address)
        return misuse(call, CUDA_ERROR_INVALID_VALUE, "0x%llx is inside of '%s', not its beginning",
                      at, name_of(allocation));
    if (allocation->context != call->context)
        return misuse(call, CUDA_ERROR_INVALID_VALUE, "'%s' belongs to another context",
                      name_of(allocation));
    *found = allocation;
    return CUDA_SUCCESS;
}

/* A driver waits here for all work; a program that counts on that is not written to rules. */
static CUresult release(Call *call, CUdeviceptr address) {
    Allocation *allocation = NULL;
    if (!address) return CUDA_SUCCESS;
    CUresult result = capture_allows_unsafe(call);
    if (!result) result = find_start(call, address, &allocation);
    if (result) return result;
    if (work_uses_device(call->context, allocation)) {
        misuse(call, CUDA_SUCCESS, "queued work still uses '%s'", name_of(allocation));
        result = context_force(call->context);
    }
    allocation_release(call->context->device, allocation);
    return result;
}

CUresult cuMemFree_v2(CUdeviceptr address) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) call.result = release(&call, address);
    return call_leave(&call);
}

static CUresult allocate_async(Call *call, CUdeviceptr *address, size_t bytes, CUstream handle) {
    CUresult result;
    Stream *stream = stream_find(call, handle, &result);
    if (result) return result;
    return stream->capture ? capture_spoil(call, stream) : allocate(call, address, bytes);
}

CUresult cuMemAllocAsync(CUdeviceptr *address, size_t bytes, CUstream stream) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = allocate_async(&call, address, bytes, stream);
    return call_leave(&call);
}

static CUresult release_async(Call *call, CUdeviceptr address, CUstream handle) {
    CUresult result;
    Allocation *allocation;
    Stream *stream = stream_find(call, handle, &result);
    if (result) return result;
    if (stream->capture) return capture_spoil(call, stream);
    result = find_start(call, address, &allocation);
    if (result) return result;
    return stream_issue(call, stream, &(Task){.kind = TASK_FREE, .to.address = address});
}

CUresult cuMemFreeAsync(CUdeviceptr address, CUstream stream) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = release_async(&call, address, stream);
    return call_leave(&call);
}

static CUresult address_range(Call *call, CUdeviceptr *base, size_t *bytes, CUdeviceptr address) {
    CUresult result = allocation_check(call, address, 0, "the address");
    if (result) return CUDA_ERROR_NOT_FOUND;
    const Allocation *allocation = allocation_find(call->context->device, address);
    if (base) *base = allocation->address;
    if (bytes) *bytes = allocation->bytes;
    return CUDA_SUCCESS;
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *bytes, CUdeviceptr address) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = address_range(&call, base, bytes, address);
    return call_leave(&call);
}

/* ---- pinned host memory ---- */

static void add_pinned(const Call *call, void *start, size_t bytes, bool registered) {
    driver.pinned = driver_grow(driver.pinned, sizeof *driver.pinned, driver.pinned_count,
                                &driver.pinned_capacity);
    driver.pinned[driver.pinned_count++] = (Pinned){
        .start = start, .bytes = bytes, .registered = registered, .context = call->context};
}

static CUresult host_allocate(Call *call, void **memory, size_t bytes) {
    if (!memory || !bytes) return CUDA_ERROR_INVALID_VALUE;
    CUresult result = capture_allows_unsafe(call);
    if (result) return result;
    void *made = NULL;
    if (posix_memalign(&made, PAGE, bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
    memset(made, FRESH, bytes);
    add_pinned(call, made, bytes, false);
    *memory = made;
    return CUDA_SUCCESS;
}

CUresult cuMemHostAlloc(void **memory, size_t bytes, unsigned int flags) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) {
        call.result = flags & ~7u ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
        if (!call.result) call.result = host_allocate(&call, memory, bytes);
    }
    return call_leave(&call);
}

CUresult cuMemAllocHost_v2(void **memory, size_t bytes) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = host_allocate(&call, memory, bytes);
    return call_leave(&call);
}

static CUresult end_pinned(Call *call, const void *memory, bool registered, CUresult unknown) {
    Pinned *pinned = pinned_find(memory, 0);
    if (!pinned || pinned->start != memory || pinned->registered != registered)
        return misuse(call, unknown, "%p is no %s host memory", memory,
                      registered ? "registered" : "pinned");
    CUresult result = capture_allows_unsafe(call);
    if (result) return result;
    if (work_uses_host(pinned->start, pinned->bytes)) {
        misuse(call, CUDA_SUCCESS, "a queued copy still uses the memory");
        result = context_force(call->context);
    }
    pinned_remove(pinned);
    return result;
}

CUresult cuMemFreeHost(void *memory) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT) && memory)
        call.result = end_pinned(&call, memory, false, CUDA_ERROR_INVALID_VALUE);
    return call_leave(&call);
}

static CUresult host_register(Call *call, void *memory, size_t bytes) {
    if (!memory || !bytes) return CUDA_ERROR_INVALID_VALUE;
    for (uint32_t at = 0; at < driver.pinned_count; at++) {
        const Pinned *pinned = &driver.pinned[at];
        bool apart = (uintptr_t)memory + bytes <= (uintptr_t)pinned->start ||
                     (uintptr_t)pinned->start + pinned->bytes <= (uintptr_t)memory;
        if (!apart)
            return misuse(call, CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED,
                          "%zu bytes at %p overlap pinned memory", bytes, memory);
    }
    add_pinned(call, memory, bytes, true);
    return CUDA_SUCCESS;
}

CUresult cuMemHostRegister_v2(void *memory, size_t bytes, unsigned int flags) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) {
        call.result = flags & ~15u ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
        if (!call.result) call.result = host_register(&call, memory, bytes);
    }
    return call_leave(&call);
}

CUresult cuMemHostUnregister(void *memory) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = end_pinned(&call, memory, true, CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
    return call_leave(&call);
}

/* ---- what an address is ---- */

static CUresult device_attribute(void *value, CUpointer_attribute attribute,
                                 const Allocation *allocation, CUdeviceptr address) {
    const Context *context = allocation->context;
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT: *(void **)value = context->object.handle; break;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE: *(unsigned *)value = CU_MEMORYTYPE_DEVICE; break;
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER: *(CUdeviceptr *)value = address; break;
    case CU_POINTER_ATTRIBUTE_IS_MANAGED: *(unsigned *)value = 0; break;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: *(int *)value = context->device->ordinal; break;
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR: *(CUdeviceptr *)value = allocation->address; break;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE: *(size_t *)value = allocation->bytes; break;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

static CUresult host_attribute(void *value, CUpointer_attribute attribute, const Pinned *pinned,
                               CUdeviceptr address) {
    const Context *context = pinned->context;
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT: *(void **)value = context->object.handle; break;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE: *(unsigned *)value = CU_MEMORYTYPE_HOST; break;
    case CU_POINTER_ATTRIBUTE_HOST_POINTER: *(CUdeviceptr *)value = address; break;
    case CU_POINTER_ATTRIBUTE_IS_MANAGED: *(unsigned *)value = 0; break;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: *(int *)value = context->device->ordinal; break;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE: *(size_t *)value = pinned->bytes; break;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

static CUresult pointer_attribute(const Call *call, void *value, CUpointer_attribute attribute,
                                  CUdeviceptr address) {
    if (!value) return CUDA_ERROR_INVALID_VALUE;
    const Allocation *allocation = allocation_find(call->context->device, address);
    if (allocation && allocation->live)
        return device_attribute(value, attribute, allocation, address);
    const Pinned *pinned = pinned_find((void *)(uintptr_t)address, 0);
    if (pinned) return host_attribute(value, attribute, pinned, address);
    return CUDA_ERROR_INVALID_VALUE; /* pageable memory, as with a driver: clients ask for that */
}

CUresult cuPointerGetAttribute(void *value, CUpointer_attribute attribute, CUdeviceptr address) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = pointer_attribute(&call, value, attribute, address);
    return call_leave(&call);
}
