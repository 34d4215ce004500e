/* Streams, and their capture. */
#include "tests/vgpu/driver.h"

#include <string.h>

/* ---- streams ---- */

static CUresult create(Call *call, CUstream *stream, unsigned flags, int priority) {
    if (!stream) return CUDA_ERROR_INVALID_VALUE;
    if (flags & ~(unsigned)CU_STREAM_NON_BLOCKING)
        return misuse(call, CUDA_ERROR_INVALID_VALUE, "flags 0x%x", flags);
    *stream = stream_new(call->context, flags, priority)->object.handle;
    call_detail(call, "%p", (void *)*stream);
    return CUDA_SUCCESS;
}

CUresult cuStreamCreate(CUstream *stream, unsigned int flags) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) call.result = create(&call, stream, flags, 0);
    return call_leave(&call);
}

CUresult cuStreamCreateWithPriority(CUstream *stream, unsigned int flags, int priority) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = create(&call, stream, flags, priority);
    return call_leave(&call);
}

/* What is queued still runs, as on a GPU; at once, so that nothing is queued in no stream. */
static CUresult destroy(Call *call, CUstream handle) {
    CUresult result;
    Stream *stream = object_find(call, handle, KIND_STREAM, &result);
    if (result) return result;
    if (stream->capture) {
        Capture *capture = stream->capture;
        result = capture_spoil(call, stream);
        if (capture->origin == stream) capture_abandon(call->context, capture);
    }
    CUresult failed = stream_force(stream);
    stream_free(stream);
    return result ? result : failed;
}

CUresult cuStreamDestroy_v2(CUstream stream) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) call.result = destroy(&call, stream);
    return call_leave(&call);
}

CUresult cuStreamDestroy(CUstream stream) {
    return cuStreamDestroy_v2(stream);
}

static CUresult synchronize(Call *call, CUstream handle) {
    CUresult result;
    Stream *stream = stream_find(call, handle, &result);
    if (!result && stream->capture) result = capture_spoil(call, stream);
    if (!result) result = capture_allows_work(call, stream);
    return result ? result : stream_force(stream);
}

CUresult cuStreamSynchronize(CUstream stream) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) call.result = synchronize(&call, stream);
    return call_leave(&call);
}

static CUresult query(Call *call, CUstream handle) {
    CUresult result;
    Stream *stream = stream_find(call, handle, &result);
    if (!result && stream->capture) result = capture_spoil(call, stream);
    if (!result) result = capture_allows_work(call, stream);
    if (result) return result;
    bool done = !stream->first;
    stream_nudge(stream);
    if (call->context->sticky) return call->context->sticky;
    return done ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

CUresult cuStreamQuery(CUstream stream) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) call.result = query(&call, stream);
    return call_leave(&call);
}

static CUresult wait_event(Call *call, CUstream handle, CUevent event_handle, unsigned flags) {
    CUresult result;
    Stream *stream = stream_find(call, handle, &result);
    if (result) return result;
    Event *event = (Event *)object_live(event_handle, KIND_EVENT); /* of any context */
    if (!event) return object_find(call, event_handle, KIND_EVENT, &result), result;
    if (flags) return misuse(call, CUDA_ERROR_INVALID_VALUE, "flags 0x%x", flags);
    if (stream->capture || event->capture) return capture_wait(call, stream, event);
    if (event->mark) stream_wait(stream, event->mark);
    return CUDA_SUCCESS;
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = wait_event(&call, stream, event, flags);
    return call_leave(&call);
}

CUresult cuStreamGetCtx(CUstream stream, CUcontext *context) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) {
        const Stream *found = stream_find(&call, stream, &call.result);
        if (!context) call.result = CUDA_ERROR_INVALID_VALUE;
        if (!call.result) *context = found->object.context->object.handle;
    }
    return call_leave(&call);
}

CUresult cuStreamGetFlags(CUstream stream, unsigned int *flags) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) {
        const Stream *found = stream_find(&call, stream, &call.result);
        if (!flags) call.result = CUDA_ERROR_INVALID_VALUE;
        if (!call.result) *flags = found->flags;
    }
    return call_leave(&call);
}

CUresult cuStreamGetPriority(CUstream stream, int *priority) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) {
        const Stream *found = stream_find(&call, stream, &call.result);
        if (!priority) call.result = CUDA_ERROR_INVALID_VALUE;
        if (!call.result) *priority = found->priority;
    }
    return call_leave(&call);
}

/* ---- capture ---- */

CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) {
        Stream *found = stream_find(&call, stream, &call.result);
        if (found) call.result = capture_begin(&call, found, mode);
    }
    return call_leave(&call);
}

static CUresult end_capture(Call *call, CUstream handle, CUgraph *graph) {
    CUresult result;
    Graph *made = NULL;
    Stream *stream = stream_find(call, handle, &result);
    if (result) return result;
    if (!graph) return CUDA_ERROR_INVALID_VALUE;
    result = capture_end(call, stream, &made);
    *graph = made ? made->object.handle : NULL;
    if (made) call_detail(call, "%u nodes", made->nodes.count);
    return result;
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) call.result = end_capture(&call, stream, graph);
    return call_leave(&call);
}

static CUresult capture_info(Call *call, CUstream handle, CUstreamCaptureStatus *status,
                             cuuint64_t *id) {
    CUresult result;
    const Stream *stream = stream_find(call, handle, &result);
    if (!status) return CUDA_ERROR_INVALID_VALUE;
    if (!result) result = capture_allows_work(call, stream);
    if (result) return result;
    *status = !stream->capture           ? CU_STREAM_CAPTURE_STATUS_NONE
              : stream->capture->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                                         : CU_STREAM_CAPTURE_STATUS_ACTIVE;
    if (id && stream->capture) *id = stream->capture->id;
    return CUDA_SUCCESS;
}

CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus *status) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = capture_info(&call, stream, status, NULL);
    return call_leave(&call);
}

CUresult cuStreamGetCaptureInfo(CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *id) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = capture_info(&call, stream, status, id);
    return call_leave(&call);
}

CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_INIT)) {
        bool known = mode && *mode <= CU_STREAM_CAPTURE_MODE_RELAXED;
        call.result = known ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
        if (known) {
            CUstreamCaptureMode old = call.thread->mode;
            call.thread->mode = *mode;
            *mode = old;
        }
    }
    return call_leave(&call);
}
