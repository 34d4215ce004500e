/* Streams: queues whose work runs as late as it can.
 *
 * Nothing runs when it is issued. When a client waits for something, the work that this needs runs,
 * and with a seed other work that might run now, by chance. So a program that forgot to wait, or to
 * order two streams by an event, sees old bytes here, and not only once a year on a GPU.
 *
 * What may run: the first work of a stream, when its mark is done; and between the legacy default
 * stream and the blocking streams, what was issued first. Each obstacle was issued before the work
 * that it blocks: following obstacles ends. */
#include "tests/vgpu/driver.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_PATIENCE = 4096 };

/* ---- marks ---- */

static Mark *mark_new(Stream *stream) {
    Mark *mark = driver_zeroed(1, sizeof *mark);
    mark->references = 1;
    mark->stream = stream;
    return mark;
}

static Mark *mark_reference(Mark *mark) {
    mark->references++;
    return mark;
}

void mark_release(Mark *mark) {
    if (--mark->references == 0) free(mark);
}

/* ---- issue ---- */

static Work *push(Stream *stream) {
    Work *work = driver_zeroed(1, sizeof *work);
    work->serial = ++driver.serial;
    if (stream->last)
        stream->last->next = work;
    else
        stream->first = work;
    stream->last = work;
    return work;
}

CUresult stream_issue(Call *call, Stream *stream, Task *task) {
    if (stream->capture) return capture_task(call, stream, task);
    CUresult result = capture_allows_work(call, stream);
    if (result) {
        task_release(task);
        return result;
    }
    Work *work = push(stream);
    work->task = *task;
    work->uses = driver_zeroed(1, sizeof *work->uses);
    host_use_begin(work->uses, task);
    return CUDA_SUCCESS;
}

Mark *stream_mark(Stream *stream) {
    Mark *mark = mark_new(stream);
    push(stream)->completes = mark_reference(mark);
    return mark;
}

void stream_wait(Stream *stream, Mark *mark) {
    push(stream)->waits = mark_reference(mark);
}

void stream_launch(Stream *stream, Exec *exec) {
    Plan *plan = exec->plan;
    Work *work = push(stream);
    work->plan = plan;
    plan->references++;
    work->waits = exec->last;
    work->completes = mark_new(stream);
    exec->last = mark_reference(work->completes);
    work->waiting = driver_zeroed(plan->count, sizeof *work->waiting);
    work->ready = driver_zeroed(plan->count, sizeof *work->ready);
    work->uses = driver_zeroed(plan->count, sizeof *work->uses);
    for (uint32_t at = 0; at < plan->count; at++) {
        work->waiting[at] = plan->nodes[at].dependency_count;
        if (!work->waiting[at]) work->ready[work->ready_count++] = at;
        host_use_begin(&work->uses[at], &plan->nodes[at].task);
    }
}

/* ---- one step ---- */

static void release_work(Work *work) {
    uint32_t uses = work->plan ? work->plan->count : work->uses ? 1 : 0;
    for (uint32_t at = 0; at < uses; at++) host_use_end(&work->uses[at], false);
    if (work->waits) mark_release(work->waits);
    if (work->completes) mark_release(work->completes);
    if (work->plan) plan_release(work->plan);
    task_release(&work->task);
    free(work->uses);
    free(work->waiting);
    free(work->ready);
    free(work);
}

static void pop(Stream *stream) {
    Work *work = stream->first;
    stream->first = work->next;
    if (!stream->first) stream->last = NULL;
    if (work->completes) {
        work->completes->done = true;
        work->completes->time = stream->time;
    }
    release_work(work);
}

static void run(Stream *stream, const Task *task, HostUse *use) {
    Context *context = stream->object.context;
    if (use) host_use_end(use, true);
    stream->time += task_run(context, task);
}

/* One node of a launched graph. */
static void run_node(Stream *stream, Work *work) {
    uint32_t chosen = driver_random(work->ready_count), node = work->ready[chosen];
    size_t behind = work->ready_count - chosen - 1;
    memmove(&work->ready[chosen], &work->ready[chosen + 1], behind * sizeof *work->ready);
    work->ready_count--;
    const PlanNode *planned = &work->plan->nodes[node];
    run(stream, &planned->task, &work->uses[node]);
    for (uint32_t at = 0; at < planned->dependent_count; at++) {
        uint32_t dependent = planned->dependents[at];
        if (--work->waiting[dependent] == 0) work->ready[work->ready_count++] = dependent;
    }
}

/* Of a stream whose first work may run. After an error nothing runs any more: all is over. */
static void step(Stream *stream) {
    Context *context = stream->object.context;
    Work *work = stream->first;
    if (stream->time < context->time) stream->time = context->time;
    if (work->waits && stream->time < work->waits->time) stream->time = work->waits->time;
    if (!context->sticky && !work->plan) run(stream, &work->task, work->uses);
    if (!context->sticky && work->plan && work->ready_count) run_node(stream, work);
    if (context->sticky || !work->ready_count) pop(stream);
}

/* ---- which step ---- */

static bool is_blocking(const Stream *stream) {
    return !stream->legacy && !(stream->flags & CU_STREAM_NON_BLOCKING);
}

/* The stream that must come first, or NULL: its first work may run. */
static Stream *obstacle(const Stream *stream) {
    Context *context = stream->object.context;
    const Work *work = stream->first;
    if (work->waits && !work->waits->done) return work->waits->stream;
    const Work *legacy = context->legacy.first;
    if (is_blocking(stream) && legacy && legacy->serial < work->serial) return &context->legacy;
    if (!stream->legacy) return NULL;
    for (Stream *other = context->streams; other; other = other->next)
        if (is_blocking(other) && other->first && other->first->serial < work->serial) return other;
    return NULL;
}

static bool may_run(const Stream *stream) {
    return stream->first && !obstacle(stream);
}

static Stream *any_that_may_run(Context *context) {
    uint32_t count = may_run(&context->legacy);
    for (Stream *stream = context->streams; stream; stream = stream->next) count += may_run(stream);
    uint32_t chosen = driver_random(count);
    if (may_run(&context->legacy) && chosen-- == 0) return &context->legacy;
    for (Stream *stream = context->streams; stream; stream = stream->next)
        if (may_run(stream) && chosen-- == 0) return stream;
    return NULL;
}

static void step_towards(Stream *stream) {
    Stream *chosen = driver_random(2) ? any_that_may_run(stream->object.context) : NULL;
    for (Stream *next = stream; !chosen && next; next = obstacle(next))
        if (!obstacle(next)) chosen = next;
    step(chosen);
}

/* ---- until when ---- */

static CUresult waited_for(Context *context, uint64_t time) {
    if (context->time < time) context->time = time;
    return context->sticky;
}

CUresult stream_force(Stream *stream) {
    uint64_t until = stream->last ? stream->last->serial : 0;
    while (stream->first && stream->first->serial <= until) step_towards(stream);
    stream->patience = 0;
    return waited_for(stream->object.context, stream->time);
}

CUresult mark_force(Context *context, Mark *mark) {
    while (!mark->done) step_towards(mark->stream);
    return waited_for(context, mark->time);
}

static Stream *any_with_work(Context *context) {
    if (context->legacy.first) return &context->legacy;
    Stream *stream = context->streams;
    while (stream && !stream->first) stream = stream->next;
    return stream;
}

CUresult context_force(Context *context) {
    Stream *stream;
    while ((stream = any_with_work(context))) step_towards(stream);
    uint64_t time = context->legacy.time;
    for (stream = context->streams; stream; stream = stream->next)
        if (time < stream->time) time = stream->time;
    return waited_for(context, time);
}

static uint64_t more_patience(Stream *stream) {
    uint64_t steps = stream->patience ? stream->patience : 1;
    stream->patience = steps < MOST_PATIENCE ? steps * 2 : steps;
    return steps;
}

void stream_nudge(Stream *stream) {
    for (uint64_t left = more_patience(stream); left && stream->first; left--) step_towards(stream);
    if (!stream->first) stream->patience = 0;
}

void mark_nudge(Mark *mark) {
    if (mark->done) return;
    for (uint64_t left = more_patience(mark->stream); left && !mark->done; left--)
        step_towards(mark->stream);
    if (mark->done) mark->stream->patience = 0;
}
