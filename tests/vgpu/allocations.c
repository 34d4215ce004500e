/* Who allocated what: device memory by address, freed blocks too, so that a message can say "was
 * freed"; and pinned host memory. The bytes themselves are memory.c's. */
#include "tests/vgpu/driver.h"

#include <stdlib.h>
#include <string.h>

CUresult allocation_new(Call *call, size_t bytes, const char *name, uint64_t *address) {
    Device *device = call->context->device;
    *address = memory_allocate(device->memory, bytes, name);
    if (!*address) return CUDA_ERROR_OUT_OF_MEMORY;
    device->allocations = driver_grow(device->allocations, sizeof *device->allocations,
                                      device->allocation_count, &device->allocation_capacity);
    uint32_t at = device->allocation_count++;
    for (; at && device->allocations[at - 1].address > *address; at--)
        device->allocations[at] = device->allocations[at - 1];
    device->allocations[at] = (Allocation){.address = *address,
                                           .bytes = bytes,
                                           .context = call->context,
                                           .live = true,
                                           .name = driver_text(name)};
    return CUDA_SUCCESS;
}

/* The last one that begins at the address or before it; or NULL. */
static Allocation *allocation_before(const Device *device, uint64_t address) {
    uint32_t low = 0, high = device->allocation_count;
    while (low < high) { /* the first that begins behind it */
        uint32_t middle = low + (high - low) / 2;
        if (device->allocations[middle].address > address)
            high = middle;
        else
            low = middle + 1;
    }
    return low ? &device->allocations[low - 1] : NULL;
}

Allocation *allocation_find(const Device *device, uint64_t address) {
    Allocation *allocation = allocation_before(device, address);
    return allocation && address - allocation->address < allocation->bytes ? allocation : NULL;
}

static CUresult refuse_unknown(const Call *call, uint64_t address, const char *what) {
    const Allocation *near = allocation_before(call->context->device, address);
    if (!near)
        return misuse(call, CUDA_ERROR_INVALID_VALUE, "%s 0x%llx is in no allocation", what,
                      (unsigned long long)address);
    return misuse(call, CUDA_ERROR_INVALID_VALUE,
                  "%s 0x%llx is in no allocation: %llu bytes behind the end of '%s'", what,
                  (unsigned long long)address,
                  (unsigned long long)(address - near->address - near->bytes),
                  near->name ? near->name : "unnamed");
}

CUresult allocation_check(const Call *call, uint64_t address, uint64_t bytes, const char *what) {
    const Allocation *allocation = allocation_find(call->context->device, address);
    const char *name = allocation && allocation->name ? allocation->name : "unnamed";
    unsigned long long at = address;
    if (!allocation) return refuse_unknown(call, address, what);
    if (!allocation->live)
        return misuse(call, CUDA_ERROR_INVALID_VALUE, "%s 0x%llx is in '%s', which was freed", what,
                      at, name);
    if (allocation->context != call->context)
        return misuse(call, CUDA_ERROR_INVALID_VALUE,
                      "%s 0x%llx is in '%s' of another context than the current one", what, at,
                      name);
    uint64_t rest = allocation->bytes - (address - allocation->address);
    if (bytes <= rest) return CUDA_SUCCESS;
    return misuse(call, CUDA_ERROR_INVALID_VALUE,
                  "%s ends %llu bytes behind '%s', which has %llu bytes", what,
                  (unsigned long long)(bytes - rest), name, (unsigned long long)allocation->bytes);
}

void allocation_release(Device *device, Allocation *allocation) {
    memory_release(device->memory, allocation->address);
    allocation->live = false;
}

/* ---- pinned host memory ---- */

Pinned *pinned_find(const void *start, size_t bytes) {
    uintptr_t first = (uintptr_t)start;
    for (uint32_t at = 0; at < driver.pinned_count; at++) {
        Pinned *pinned = &driver.pinned[at];
        uintptr_t offset = first - (uintptr_t)pinned->start;
        if (offset < pinned->bytes && bytes <= pinned->bytes - offset) return pinned;
    }
    return NULL;
}

void pinned_remove(Pinned *pinned) {
    if (!pinned->registered) free(pinned->start);
    *pinned = driver.pinned[--driver.pinned_count];
}

/* ---- what queued work uses ---- */

static bool overlaps(uint64_t start, uint64_t bytes, const Allocation *allocation) {
    return start < allocation->address + allocation->bytes && start + bytes > allocation->address;
}

/* Of a described launch its extents; else every parameter that is an address in the allocation. */
static bool launch_uses(const Launch *launch, const Allocation *allocation) {
    for (uint32_t at = 0; at < launch->extent_count; at++) {
        const Extent *extent = &launch->extents[at];
        uint64_t trials = launch->trials ? launch->trials : 1;
        uint64_t bytes = extent->bytes + (trials - 1) * extent->stride;
        if (overlaps(extent->address, bytes, allocation)) return true;
    }
    for (uint32_t at = 0; !launch->extent_count && at + 8 <= launch->function->param_bytes;
         at += 8) {
        uint64_t value;
        memcpy(&value, launch->params + at, sizeof value);
        if (overlaps(value, 1, allocation)) return true;
    }
    return false;
}

static bool task_touches(const Task *task, const void *what) {
    const Allocation *allocation = what;
    switch (task->kind) {
    case TASK_NOTHING: return false;
    case TASK_LAUNCH: return launch_uses(&task->launch->launch, allocation);
    case TASK_COPY:
        return (!task->to.host && overlaps(task->to.address, task->bytes, allocation)) ||
               (!task->from.host && overlaps(task->from.address, task->bytes, allocation));
    case TASK_FILL: return overlaps(task->to.address, task->count * task->value_bytes, allocation);
    case TASK_FREE: return task->to.address == allocation->address;
    }
    return false;
}

static bool task_runs_module(const Task *task, const void *what) {
    return task->kind == TASK_LAUNCH && task->launch->module == what;
}

typedef bool TaskQuestion(const Task *task, const void *what);

static bool stream_has(const Stream *stream, TaskQuestion *question, const void *what) {
    for (const Work *work = stream->first; work; work = work->next) {
        if (question(&work->task, what)) return true;
        for (uint32_t at = 0; work->plan && at < work->plan->count; at++)
            if (question(&work->plan->nodes[at].task, what)) return true;
    }
    return false;
}

static bool context_has(const Context *context, TaskQuestion *question, const void *what) {
    if (stream_has(&context->legacy, question, what)) return true;
    for (const Stream *stream = context->streams; stream; stream = stream->next)
        if (stream_has(stream, question, what)) return true;
    return false;
}

bool work_uses_device(const Context *context, const Allocation *allocation) {
    return context_has(context, task_touches, allocation);
}

bool work_uses_module(const Context *context, const Module *module) {
    return context_has(context, task_runs_module, module);
}

bool work_uses_host(const void *start, size_t bytes) {
    uintptr_t first = (uintptr_t)start;
    for (const HostUse *use = driver.uses.next; use != &driver.uses; use = use->next) {
        uintptr_t other = (uintptr_t)use->start;
        if (first < other + use->bytes && other < first + bytes) return true;
    }
    return false;
}
