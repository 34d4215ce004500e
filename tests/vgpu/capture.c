/* Capture: streams that write their work down as a graph instead of queueing it.
 *
 *     origin   ── a ── b ──────────── d ── end       `ends` of a stream: what its next node
 *                       \            /               depends on. An event recorded in a capturing
 *     joined             └─── c ────┘                stream carries a copy of them to the stream
 *                      wait    record, wait          that waits for it, which so joins.
 *
 * A call that a capture cannot survive makes it invalid: everything in it fails until its end. */
#include "tests/vgpu/driver.h"

#include <stdlib.h>

static void leave(Stream *stream) {
    stream->capture = NULL;
    node_list_release(&stream->ends);
}

/* All its streams go back to ordinary work. Its graph is the caller's. */
static void finish(Context *context, Capture *capture) {
    for (Stream *stream = context->streams; stream; stream = stream->next)
        if (stream->capture == capture) leave(stream);
    Capture **link = &context->captures;
    while (*link != capture) link = &(*link)->next;
    *link = capture->next;
    free(capture);
}

void capture_abandon(Context *context, Capture *capture) {
    Graph *graph = capture->graph;
    finish(context, capture);
    graph_destroy(graph);
}

CUresult capture_begin(Call *call, Stream *stream, CUstreamCaptureMode mode) {
    if (mode > CU_STREAM_CAPTURE_MODE_RELAXED)
        return misuse(call, CUDA_ERROR_INVALID_VALUE, "%u is no capture mode", (unsigned)mode);
    if (stream->legacy)
        return misuse(call, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
                      "the legacy default stream cannot be captured");
    if (stream->capture)
        return misuse(call, CUDA_ERROR_ILLEGAL_STATE, "the stream is capturing already");
    Context *context = call->context;
    Capture *capture = driver_zeroed(1, sizeof *capture);
    capture->id = ++driver.captures;
    capture->graph = graph_new(context);
    capture->origin = stream;
    capture->mode = mode;
    capture->thread = pthread_self();
    capture->next = context->captures;
    context->captures = capture;
    stream->capture = capture;
    return CUDA_SUCCESS;
}

/* ---- the end ---- */

/* A node that the origin's end does not depend on; or NULL. */
static const Node *unjoined(const Capture *capture) {
    const NodeList *nodes = &capture->graph->nodes;
    bool *seen = driver_zeroed(nodes->count, sizeof *seen);
    for (uint32_t at = 0; at < capture->origin->ends.count; at++)
        seen[capture->origin->ends.nodes[at]->number] = true;
    const Node *found = NULL;
    for (uint32_t at = nodes->count; at-- > 0;) { /* a node stands behind what it depends on */
        const Node *node = nodes->nodes[at];
        if (!seen[at]) found = node;
        for (uint32_t before = 0; seen[at] && before < node->dependencies.count; before++)
            seen[node->dependencies.nodes[before]->number] = true;
    }
    free(seen);
    return found;
}

static CUresult check_end(const Call *call, const Capture *capture) {
    if (capture->invalid)
        return misuse(call, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED,
                      "an earlier call made the capture invalid");
    const Node *open = unjoined(capture);
    if (!open) return CUDA_SUCCESS;
    const Task *task = &open->task;
    return misuse(call, CUDA_ERROR_STREAM_CAPTURE_UNJOINED,
                  "a stream that joined the capture was not joined back: %s%s",
                  task->kind == TASK_LAUNCH ? "kernel " : "a copy or fill",
                  task->kind == TASK_LAUNCH ? task->launch->launch.function->name : "");
}

CUresult capture_end(Call *call, Stream *stream, Graph **graph) {
    Capture *capture = stream->capture;
    if (!capture) return misuse(call, CUDA_ERROR_ILLEGAL_STATE, "the stream is not capturing");
    if (capture->origin != stream)
        return misuse(call, CUDA_ERROR_STREAM_CAPTURE_UNMATCHED,
                      "the capture began in another stream");
    if (capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED &&
        !pthread_equal(capture->thread, pthread_self()))
        return misuse(call, CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD,
                      "the capture began in another thread");
    CUresult result = check_end(call, capture);
    *graph = result ? NULL : capture->graph;
    if (result)
        capture_abandon(call->context, capture);
    else
        finish(call->context, capture);
    return result;
}

/* ---- work ---- */

static CUresult refuse_invalid(const Call *call) {
    return misuse(call, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED,
                  "the stream's capture is invalid since an earlier call");
}

CUresult capture_task(Call *call, Stream *stream, Task *task) {
    Capture *capture = stream->capture;
    if (capture->invalid) {
        task_release(task);
        return refuse_invalid(call);
    }
    Node *node = graph_add(capture->graph, task, &stream->ends);
    stream->ends.count = 0;
    node_list_add(&stream->ends, node);
    return CUDA_SUCCESS;
}

void capture_record(Stream *stream, Event *event) {
    if (event->mark) mark_release(event->mark);
    event->mark = NULL;
    event->capture = stream->capture->id;
    node_list_copy(&event->ends, &stream->ends);
}

static Capture *capture_of(const Context *context, const Event *event) {
    Capture *capture = context->captures;
    while (capture && capture->id != event->capture) capture = capture->next;
    return capture;
}

static CUresult join(const Call *call, Stream *stream, Capture *capture) {
    if (capture->invalid) return refuse_invalid(call);
    if (stream->legacy) {
        capture->invalid = true;
        return misuse(call, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT,
                      "the legacy default stream cannot join a capture");
    }
    if (!stream->capture) stream->capture = capture;
    if (stream->capture == capture) return CUDA_SUCCESS;
    stream->capture->invalid = capture->invalid = true;
    return misuse(call, CUDA_ERROR_STREAM_CAPTURE_MERGE,
                  "the stream and the event are in two captures");
}

CUresult capture_wait(Call *call, Stream *stream, const Event *event) {
    if (!event->capture && !event->mark) return CUDA_SUCCESS;
    if (!event->capture) {
        stream->capture->invalid = true;
        return misuse(call, CUDA_ERROR_STREAM_CAPTURE_ISOLATION,
                      "the stream is capturing, the event was recorded outside of the capture");
    }
    Capture *capture = capture_of(call->context, event);
    if (!capture)
        return misuse(call, CUDA_ERROR_CAPTURED_EVENT,
                      "the event was recorded in a capture that has ended");
    CUresult result = join(call, stream, capture);
    for (uint32_t at = 0; !result && at < event->ends.count; at++)
        node_list_add(&stream->ends, event->ends.nodes[at]);
    return result;
}

/* ---- calls beside a capture ---- */

CUresult capture_spoil(const Call *call, Stream *stream) {
    stream->capture->invalid = true;
    return misuse(call, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "the stream is capturing");
}

CUresult capture_allows_wait(const Call *call) {
    Capture *capture = call->context->captures;
    if (!capture) return CUDA_SUCCESS;
    for (; capture; capture = capture->next) capture->invalid = true;
    return misuse(call, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
                  "a stream of the context is capturing");
}

/* By the thread's own mode; see cuThreadExchangeStreamCaptureMode. */
static bool forbids(const Capture *capture, const Thread *thread) {
    bool own = pthread_equal(capture->thread, pthread_self());
    if (thread->mode == CU_STREAM_CAPTURE_MODE_RELAXED) return false;
    if (capture->mode == CU_STREAM_CAPTURE_MODE_RELAXED) return false;
    if (own) return true;
    return thread->mode == CU_STREAM_CAPTURE_MODE_GLOBAL &&
           capture->mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
}

CUresult capture_allows_unsafe(const Call *call) {
    bool forbidden = false;
    for (Capture *capture = call->context->captures; capture; capture = capture->next) {
        if (!forbids(capture, call->thread)) continue;
        capture->invalid = forbidden = true;
    }
    if (!forbidden) return CUDA_SUCCESS;
    return misuse(call, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
                  "not permitted while a stream is capturing");
}

CUresult capture_allows_work(const Call *call, const Stream *stream) {
    if (!stream->legacy) return CUDA_SUCCESS;
    for (Stream *other = call->context->streams; other; other = other->next) {
        if (!other->capture || other->flags & CU_STREAM_NON_BLOCKING) continue;
        other->capture->invalid = true;
        return misuse(call, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT,
                      "work in the legacy default stream while a blocking stream is capturing");
    }
    return CUDA_SUCCESS;
}
