/* What the runtime of a Tune program tells this library and no real driver: names, sources and what
 * a launch may touch; see runtime/vgpu_hooks.h. */
#include "runtime/vgpu_hooks.h"

#include "tests/vgpu/driver.h"

#include <stdlib.h>
#include <string.h>

VGPU_EXPORT VgpuDescribeLaunch vgpuDescribeLaunch;
VGPU_EXPORT VgpuModuleSource vgpuModuleSource;
VGPU_EXPORT VgpuNameMemory vgpuNameMemory;

static Launch *describe(const VgpuLaunch *from) {
    Launch *launch = driver_zeroed(1, sizeof *launch);
    launch->name = driver_text(from->name);
    launch->places = driver_text(from->places);
    launch->trials = from->trials;
    launch->dead = from->dead;
    launch->dead_bytes = from->dead_bytes;
    launch->extent_count = from->buffer_count;
    launch->extents = driver_zeroed(from->buffer_count, sizeof *launch->extents);
    for (uint32_t at = 0; at < from->buffer_count; at++) {
        const VgpuBuffer *buffer = &from->buffers[at];
        launch->extents[at] = (Extent){.name = driver_text(buffer->name ? buffer->name : ""),
                                       .address = buffer->address,
                                       .bytes = buffer->bytes,
                                       .stride = buffer->stride};
    }
    return launch;
}

void vgpuDescribeLaunch(const VgpuLaunch *launch) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_INIT)) {
        if (call.thread->described) launch_release(call.thread->described);
        call.thread->described = launch ? describe(launch) : NULL;
    }
    call_leave(&call);
}

void vgpuModuleSource(void *module, const char *cuda) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_INIT)) {
        Module *found = object_find(&call, module, KIND_MODULE, &call.result);
        if (found && found->cuda) /* queued launches may refer to it */
            call.result = misuse(&call, CUDA_ERROR_INVALID_VALUE, "the module has its source");
        if (found && !found->cuda) found->cuda = driver_text(cuda);
    }
    call_leave(&call);
}

void vgpuNameMemory(uint64_t address, const char *name) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) {
        Device *device = call.context->device;
        Allocation *allocation = allocation_find(device, address);
        call.result = allocation && name ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
        if (!call.result) {
            free(allocation->name);
            allocation->name = driver_text(name);
            memory_name(device->memory, allocation->address, name);
        }
    }
    call_leave(&call);
}
