/* Handles: numbers, not addresses, so that a destroyed or foreign handle is always told from a live
 * one. The upper bits are no canonical address: who follows a handle as a pointer faults at once.
 *
 *     63      48 47         8 7     0
 *     0x5647 "VG"   entry       kind */
#include "tests/vgpu/driver.h"

#include <stdlib.h>

static const uint64_t mark_of_handles = UINT64_C(0x5647) << 48;

const char *kind_name(Kind kind) {
    static const char *const names[KIND_COUNT] = {
        [KIND_CONTEXT] = "CUcontext", [KIND_MODULE] = "CUmodule", [KIND_FUNCTION] = "CUfunction",
        [KIND_LIBRARY] = "CUlibrary", [KIND_KERNEL] = "CUkernel", [KIND_STREAM] = "CUstream",
        [KIND_EVENT] = "CUevent",     [KIND_GRAPH] = "CUgraph",   [KIND_NODE] = "CUgraphNode",
        [KIND_EXEC] = "CUgraphExec"};
    return names[kind];
}

void object_register(Object *object, Kind kind, Context *context) {
    driver.handles = driver_grow(driver.handles, sizeof *driver.handles, driver.handle_count,
                                 &driver.handle_capacity);
    uint64_t handle = mark_of_handles | (uint64_t)driver.handle_count << 8 | kind;
    *object = (Object){.kind = kind, .handle = (void *)(uintptr_t)handle, .context = context};
    driver.handles[driver.handle_count++] = (HandleEntry){.kind = kind, .object = object};
}

/* NULL: no handle ever. */
static HandleEntry *entry_of(const void *handle) {
    uint64_t number = (uint64_t)(uintptr_t)handle;
    uint64_t at = (number & ~mark_of_handles) >> 8;
    bool ours = number >> 48 == mark_of_handles >> 48 && at < driver.handle_count;
    if (!ours || driver.handles[at].kind != (number & 0xff)) return NULL;
    return &driver.handles[at];
}

void object_forget(Object *object) {
    entry_of(object->handle)->object = NULL;
}

Object *object_live(const void *handle, Kind kind) {
    HandleEntry *entry = entry_of(handle);
    return entry && entry->kind == kind ? entry->object : NULL;
}

static void *refuse(const Call *call, const void *handle, Kind kind, CUresult *result) {
    const HandleEntry *entry = entry_of(handle);
    *result = kind == KIND_CONTEXT ? CUDA_ERROR_INVALID_CONTEXT : CUDA_ERROR_INVALID_HANDLE;
    if (!handle)
        misuse(call, *result, "the %s is NULL", kind_name(kind));
    else if (!entry)
        misuse(call, *result, "%p is no %s", handle, kind_name(kind));
    else if (entry->kind != kind)
        misuse(call, *result, "%p is a %s, not a %s", handle, kind_name(entry->kind),
               kind_name(kind));
    else
        misuse(call, *result, "the %s %p was destroyed", kind_name(kind), handle);
    return NULL;
}

void *object_find(const Call *call, const void *handle, Kind kind, CUresult *result) {
    Object *object = object_live(handle, kind);
    if (!object) return refuse(call, handle, kind, result);
    *result = CUDA_SUCCESS;
    if (!object->context || !call->context || object->context == call->context) return object;
    *result = misuse(call, CUDA_ERROR_INVALID_HANDLE,
                     "the %s %p belongs to another context than the current one", kind_name(kind),
                     handle);
    return NULL;
}
