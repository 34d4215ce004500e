/* Events: points in a stream, and the virtual time between them. */
#include "tests/vgpu/driver.h"

static CUresult create(Call *call, CUevent *event, unsigned flags) {
    if (!event) return CUDA_ERROR_INVALID_VALUE;
    if (flags & ~3u) return misuse(call, CUDA_ERROR_INVALID_VALUE, "flags 0x%x", flags);
    Event *made = driver_zeroed(1, sizeof *made);
    object_register(&made->object, KIND_EVENT, call->context);
    made->flags = flags;
    *event = made->object.handle;
    return CUDA_SUCCESS;
}

CUresult cuEventCreate(CUevent *event, unsigned int flags) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) call.result = create(&call, event, flags);
    return call_leave(&call);
}

CUresult cuEventDestroy_v2(CUevent event) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) {
        Event *found = object_find(&call, event, KIND_EVENT, &call.result);
        if (found) event_free(found);
    }
    return call_leave(&call);
}

CUresult cuEventDestroy(CUevent event) {
    return cuEventDestroy_v2(event);
}

static CUresult record(Call *call, CUevent event_handle, CUstream handle) {
    CUresult result;
    Event *event = object_find(call, event_handle, KIND_EVENT, &result);
    Stream *stream = result ? NULL : stream_find(call, handle, &result);
    if (!result && !stream->capture) result = capture_allows_work(call, stream);
    if (result) return result;
    if (stream->capture) {
        capture_record(stream, event);
        return CUDA_SUCCESS;
    }
    if (event->mark) mark_release(event->mark);
    event->mark = stream_mark(stream);
    event->capture = 0;
    return CUDA_SUCCESS;
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) call.result = record(&call, event, stream);
    return call_leave(&call);
}

/* An event whose last record was not in a capture. */
static Event *find(Call *call, CUevent handle, CUresult *result) {
    Event *event = object_find(call, handle, KIND_EVENT, result);
    if (!event || !event->capture) return event;
    *result = misuse(call, CUDA_ERROR_CAPTURED_EVENT, "the event was recorded in a capture");
    return NULL;
}

static void spoil_captured(const Call *call, CUevent handle) {
    const Event *event = (Event *)object_live(handle, KIND_EVENT);
    for (Capture *capture = call->context->captures; event && capture; capture = capture->next)
        if (capture->id == event->capture) capture->invalid = true;
}

static CUresult synchronize(Call *call, CUevent handle) {
    CUresult result;
    Event *event = find(call, handle, &result);
    if (result == CUDA_ERROR_CAPTURED_EVENT) spoil_captured(call, handle);
    if (result) return result;
    return event->mark ? mark_force(call->context, event->mark) : CUDA_SUCCESS;
}

CUresult cuEventSynchronize(CUevent event) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) call.result = synchronize(&call, event);
    return call_leave(&call);
}

static CUresult query(Call *call, CUevent handle) {
    CUresult result;
    Event *event = find(call, handle, &result);
    if (result == CUDA_ERROR_CAPTURED_EVENT) spoil_captured(call, handle);
    if (!result) result = capture_allows_unsafe(call);
    if (result || !event->mark) return result;
    bool done = event->mark->done;
    mark_nudge(event->mark);
    if (call->context->sticky) return call->context->sticky;
    return done ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

CUresult cuEventQuery(CUevent event) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) call.result = query(&call, event);
    return call_leave(&call);
}

static CUresult elapsed(Call *call, float *milliseconds, CUevent start_handle, CUevent end_handle) {
    CUresult result;
    const Event *start = find(call, start_handle, &result);
    const Event *end = result ? NULL : find(call, end_handle, &result);
    if (result) return result;
    if (!milliseconds) return CUDA_ERROR_INVALID_VALUE;
    if ((start->flags | end->flags) & CU_EVENT_DISABLE_TIMING)
        return misuse(call, CUDA_ERROR_INVALID_HANDLE, "an event was created without timing");
    if (!start->mark || !end->mark)
        return misuse(call, CUDA_ERROR_INVALID_HANDLE, "an event was never recorded");
    if (!start->mark->done || !end->mark->done) return CUDA_ERROR_NOT_READY;
    double nanoseconds = (double)end->mark->time - (double)start->mark->time;
    *milliseconds = (float)(nanoseconds / 1e6);
    return CUDA_SUCCESS;
}

CUresult cuEventElapsedTime(float *milliseconds, CUevent start, CUevent end) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = elapsed(&call, milliseconds, start, end);
    return call_leave(&call);
}

CUresult cuEventElapsedTime_v2(float *milliseconds, CUevent start, CUevent end) {
    return cuEventElapsedTime(milliseconds, start, end);
}
