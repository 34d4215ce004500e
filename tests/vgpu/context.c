/* Contexts: they own streams, allocations and everything else that was made while they were
 * current, and end with all of it. */
#include "tests/vgpu/driver.h"

#include <stdlib.h>

static const size_t default_limits[LIMIT_COUNT] = {
    [CU_LIMIT_STACK_SIZE] = 1024,
    [CU_LIMIT_PRINTF_FIFO_SIZE] = 1 << 20,
    [CU_LIMIT_MALLOC_HEAP_SIZE] = 8 << 20,
};

Device *device_find(const Call *call, CUdevice number, CUresult *result) {
    bool known = number >= 0 && number < (int)driver.options.devices;
    *result = known ? CUDA_SUCCESS
                    : misuse(call, CUDA_ERROR_INVALID_DEVICE, "there is no device %d", number);
    return known ? &driver.devices[number] : NULL;
}

Context *context_new(Device *device, bool primary, unsigned flags) {
    Context *context = driver_zeroed(1, sizeof *context);
    object_register(&context->object, KIND_CONTEXT, NULL);
    context->device = device;
    context->primary = primary;
    context->flags = flags;
    for (int at = 0; at < LIMIT_COUNT; at++) context->limits[at] = default_limits[at];
    context->legacy.legacy = true;
    context->legacy.object = (Object){.kind = KIND_STREAM, .context = context};
    if (!device->memory) {
        device->memory = memory_new(driver.options.memory, driver.options.check >= 2);
        memory_of_device(device->memory, (uint32_t)device->ordinal);
    }
    return context;
}

static void release_object(Object *object) {
    switch (object->kind) {
    case KIND_MODULE: module_unload((Module *)object); return;
    case KIND_FUNCTION: return; /* its module's */
    case KIND_STREAM: stream_free((Stream *)object); return;
    case KIND_EVENT: event_free((Event *)object); return;
    case KIND_GRAPH: graph_destroy((Graph *)object); return;
    case KIND_NODE: return; /* its graph's */
    case KIND_EXEC: exec_free((Exec *)object); return;
    case KIND_CONTEXT:
    case KIND_LIBRARY:
    case KIND_KERNEL:
    case KIND_COUNT: return; /* of no context */
    }
}

/* Work that was left in the queues runs first, as it does on a GPU that nobody waits for. */
void context_destroy(Call *call, Context *context) {
    context_force(context);
    while (context->captures) capture_abandon(context, context->captures);
    for (uint32_t at = 0; at < driver.handle_count; at++) {
        Object *object = driver.handles[at].object;
        if (object && object->context == context) release_object(object);
    }
    Device *device = context->device;
    for (uint32_t at = 0; at < device->allocation_count; at++) {
        Allocation *allocation = &device->allocations[at];
        if (allocation->live && allocation->context == context)
            allocation_release(device, allocation);
    }
    for (uint32_t at = driver.pinned_count; at-- > 0;)
        if (driver.pinned[at].context == context) pinned_remove(&driver.pinned[at]);
    node_list_release(&context->legacy.ends);
    object_forget(&context->object);
    if (call->context == context) call->context = NULL;
    free(context);
}

/* The calling thread's own default stream, made when it is first used. */
static Stream *per_thread_stream(Context *context) {
    for (Stream *stream = context->streams; stream; stream = stream->next)
        if (stream->per_thread && pthread_equal(stream->thread, pthread_self())) return stream;
    Stream *stream = stream_new(context, CU_STREAM_DEFAULT, 0);
    stream->per_thread = true;
    stream->thread = pthread_self();
    return stream;
}

Stream *stream_new(Context *context, unsigned flags, int priority) {
    Stream *stream = driver_zeroed(1, sizeof *stream);
    object_register(&stream->object, KIND_STREAM, context);
    stream->flags = flags;
    stream->priority = priority;
    stream->next = context->streams;
    context->streams = stream;
    return stream;
}

void stream_free(Stream *stream) {
    Stream **link = &stream->object.context->streams;
    while (*link != stream) link = &(*link)->next;
    *link = stream->next;
    node_list_release(&stream->ends);
    object_forget(&stream->object);
    free(stream);
}

void event_free(Event *event) {
    if (event->mark) mark_release(event->mark);
    node_list_release(&event->ends);
    object_forget(&event->object);
    free(event);
}

Stream *stream_find(const Call *call, CUstream stream, CUresult *result) {
    *result = CUDA_SUCCESS;
    if (!stream || stream == CU_STREAM_LEGACY) return &call->context->legacy;
    if (stream == CU_STREAM_PER_THREAD) return per_thread_stream(call->context);
    return object_find(call, stream, KIND_STREAM, result);
}
