/* Copies and fills. A copy that does not say Async is work in the legacy default stream, waited
 * for. An asynchronous copy between pageable host memory and the device is staged as the driver
 * does: to the device, its bytes are taken at once; to the host, the call waits. */
#include "tests/vgpu/driver.h"

#include <string.h>

/* Whether a copy in a capture, or to the host, may touch its host memory when it runs. */
static void stage(const Stream *stream, Task *task) {
    const unsigned char *host = task->to.host ? task->to.host : task->from.host;
    task->pinned = host && pinned_find(host, task->bytes);
    if (task->pinned || stream->capture || !task->from.host || task->to.host) return;
    task->staged = memcpy(driver_zeroed(task->bytes, 1), task->from.host, task->bytes);
}

static CUresult check_copy(const Call *call, const Task *task) {
    CUresult result = CUDA_SUCCESS;
    if (!task->to.host)
        result = allocation_check(call, task->to.address, task->bytes, "the destination");
    if (!result && !task->from.host)
        result = allocation_check(call, task->from.address, task->bytes, "the source");
    return result;
}

static CUresult copy(Call *call, CUstream handle, Task *task, bool wait) {
    CUresult result;
    Stream *stream = stream_find(call, handle, &result);
    call_detail(call, "%llu bytes", (unsigned long long)task->bytes);
    if (!result && wait && stream->capture) result = capture_spoil(call, stream);
    if (!result && wait && stream->legacy) result = capture_allows_work(call, stream);
    if (!result && wait) result = capture_allows_unsafe(call);
    if (!result && task->bytes) result = check_copy(call, task);
    if (result || !task->bytes) return result;
    stage(stream, task);
    bool pageable_to_host = task->to.host && !task->pinned && !stream->capture;
    result = stream_issue(call, stream, task);
    return !result && (wait || pageable_to_host) ? stream_force(stream) : result;
}

static Place on_device(CUdeviceptr address) {
    return (Place){.address = address};
}

static Place on_host(const void *memory) {
    return (Place){.host = (unsigned char *)memory};
}

/* Unified addressing: an address that no allocation has is the host's. */
static Place anywhere(const Call *call, CUdeviceptr address) {
    bool device = allocation_find(call->context->device, address) != NULL;
    return device ? on_device(address) : on_host((void *)(uintptr_t)address);
}

static CUresult copy_parts(Call *call, CUstream stream, Place to, Place from, size_t bytes,
                           bool wait) {
    Task task = {.kind = TASK_COPY, .to = to, .from = from, .bytes = bytes};
    bool null = (!to.host && !to.address) || (!from.host && !from.address);
    if (null && bytes) return misuse(call, CUDA_ERROR_INVALID_VALUE, "an address is NULL");
    return copy(call, stream, &task, wait);
}

static CUresult copy_anywhere(Call *call, CUstream stream, CUdeviceptr to, CUdeviceptr from,
                              size_t bytes, bool wait) {
    return copy_parts(call, stream, anywhere(call, to), anywhere(call, from), bytes, wait);
}

CUresult cuMemcpy(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = copy_anywhere(&call, CU_STREAM_LEGACY, to, from, bytes, true);
    return call_leave(&call);
}

CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = copy_anywhere(&call, stream, to, from, bytes, false);
    return call_leave(&call);
}

static CUresult upload(Call *call, CUstream stream, CUdeviceptr to, const void *from, size_t bytes,
                       bool wait) {
    if (!from && bytes) return misuse(call, CUDA_ERROR_INVALID_VALUE, "the source is NULL");
    return copy_parts(call, stream, on_device(to), on_host(from), bytes, wait);
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = upload(&call, CU_STREAM_LEGACY, to, from, bytes, true);
    return call_leave(&call);
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = upload(&call, stream, to, from, bytes, false);
    return call_leave(&call);
}

static CUresult download(Call *call, CUstream stream, void *to, CUdeviceptr from, size_t bytes,
                         bool wait) {
    if (!to && bytes) return misuse(call, CUDA_ERROR_INVALID_VALUE, "the destination is NULL");
    return copy_parts(call, stream, on_host(to), on_device(from), bytes, wait);
}

CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = download(&call, CU_STREAM_LEGACY, to, from, bytes, true);
    return call_leave(&call);
}

CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = download(&call, stream, to, from, bytes, false);
    return call_leave(&call);
}

/* As with a driver, a copy within the device is ordered, not waited for. */
static CUresult copy_within(Call *call, CUstream stream, CUdeviceptr to, CUdeviceptr from,
                            size_t bytes) {
    return copy_parts(call, stream, on_device(to), on_device(from), bytes, false);
}

CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = copy_within(&call, CU_STREAM_LEGACY, to, from, bytes);
    return call_leave(&call);
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = copy_within(&call, stream, to, from, bytes);
    return call_leave(&call);
}

/* ---- fills ---- */

static CUresult fill(Call *call, CUstream handle, CUdeviceptr to, uint32_t value,
                     uint32_t value_bytes, size_t count) {
    CUresult result;
    Stream *stream = stream_find(call, handle, &result);
    if (result || !count) return result;
    if (to % value_bytes)
        return misuse(call, CUDA_ERROR_INVALID_VALUE, "0x%llx is not a multiple of %u",
                      (unsigned long long)to, value_bytes);
    result = allocation_check(call, to, count * value_bytes, "the destination");
    if (result) return result;
    Task task = {.kind = TASK_FILL,
                 .to.address = to,
                 .value = value,
                 .value_bytes = value_bytes,
                 .count = count};
    return stream_issue(call, stream, &task);
}

CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t count) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = fill(&call, CU_STREAM_LEGACY, to, value, 1, count);
    return call_leave(&call);
}

CUresult cuMemsetD16_v2(CUdeviceptr to, unsigned short value, size_t count) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = fill(&call, CU_STREAM_LEGACY, to, value, 2, count);
    return call_leave(&call);
}

CUresult cuMemsetD32_v2(CUdeviceptr to, unsigned int value, size_t count) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = fill(&call, CU_STREAM_LEGACY, to, value, 4, count);
    return call_leave(&call);
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, CUstream stream) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = fill(&call, stream, to, value, 1, count);
    return call_leave(&call);
}

CUresult cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t count, CUstream stream) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = fill(&call, stream, to, value, 2, count);
    return call_leave(&call);
}

CUresult cuMemsetD32Async(CUdeviceptr to, unsigned int value, size_t count, CUstream stream) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = fill(&call, stream, to, value, 4, count);
    return call_leave(&call);
}
