/* One thing that a device does: a launch, a copy, a fill, a free; and how long it takes by the
 * virtual clock. */
#include "tests/vgpu/driver.h"

#include <stdlib.h>
#include <string.h>

/* ---- launches ---- */

static void release_fields(Launch *launch) {
    for (uint32_t at = 0; at < launch->extent_count; at++) free(launch->extents[at].name);
    free(launch->extents);
    free((char *)launch->name);
    free((char *)launch->places);
}

void launch_release(Launch *launch) {
    release_fields(launch);
    free(launch);
}

KernelLaunch *kernel_launch_new(const FunctionObject *function, Launch *described) {
    KernelLaunch *launch = driver_zeroed(1, sizeof *launch);
    launch->references = 1;
    launch->module = function->module;
    launch->module->references++;
    if (described) launch->launch = *described;
    free(described);
    launch->launch.function = function->function;
    launch->launch.ptx = function->module->ptx;
    launch->launch.cuda = function->module->cuda;
    return launch;
}

static void kernel_launch_release(KernelLaunch *launch) {
    if (--launch->references) return;
    module_release(launch->module);
    release_fields(&launch->launch);
    free(launch);
}

Task task_copy(const Task *task) {
    Task copy = *task;
    if (copy.launch) copy.launch->references++;
    if (task->staged)
        copy.staged = memcpy(driver_zeroed(task->bytes, 1), task->staged, task->bytes);
    return copy;
}

void task_release(Task *task) {
    if (task->launch) kernel_launch_release(task->launch);
    free(task->staged);
    *task = (Task){.kind = TASK_NOTHING};
}

/* ---- the virtual clock ---- */

/* No claim about any real GPU: a figure that is the same on every machine, and grows with the work.
 * A multiprocessor issues 4 warp instructions in a nanosecond; memory moves 3 TB/s, the host's bus
 * 25 GB/s; every operation takes 2 us of its own. */
enum { OWN_NANOSECONDS = 2000, ISSUED = 4, MEMORY_SPEED = 3000, BUS_SPEED = 25, SECTOR_BYTES = 32 };

static uint64_t launch_time(const Launch *launch, const Counters *counters) {
    uint64_t blocks = (uint64_t)launch->grid[0] * launch->grid[1] * launch->grid[2];
    uint64_t most = driver.profile->multiprocessors;
    uint64_t busy = blocks < most ? blocks : most;
    uint64_t issue = counters->warp_instructions / (busy * ISSUED);
    uint64_t memory = counters->global_sectors * SECTOR_BYTES / MEMORY_SPEED;
    return OWN_NANOSECONDS + (issue > memory ? issue : memory);
}

static uint64_t copy_time(const Task *task) {
    bool bus = task->to.host || task->from.host;
    return OWN_NANOSECONDS + task->bytes / (bus ? BUS_SPEED : MEMORY_SPEED / 2);
}

/* ---- doing it ---- */

static CUresult error_of(Finding finding) {
    switch (finding) {
    case FOUND_NOTHING: return CUDA_SUCCESS;
    case FOUND_OUT_OF_BOUNDS:
    case FOUND_USE_AFTER_FREE: return CUDA_ERROR_ILLEGAL_ADDRESS;
    case FOUND_MISALIGNED: return CUDA_ERROR_MISALIGNED_ADDRESS;
    case FOUND_COLLECTIVE:
    case FOUND_DIVERGENT_BARRIER: return CUDA_ERROR_ILLEGAL_INSTRUCTION;
    case FOUND_DEADLOCK: return CUDA_ERROR_LAUNCH_TIMEOUT;
    default: return CUDA_ERROR_LAUNCH_FAILED;
    }
}

static uint64_t run_launch(Context *context, const Launch *launch) {
    const Options *options = &driver.options;
    Settings settings = {.check = options->check};
    if (options->seed) settings.seed = options->seed + ++driver.launches;
    Counters counters = {0};
    Report found = {.finding = FOUND_NOTHING};
    machine_run(launch, context->device->memory, &settings, &counters, &found);
    const char *name = launch->name ? launch->name : launch->function->name;
    counters_add(name, &counters);
    driver_trace("  launch %s grid %u,%u,%u block %u,%u,%u: %llu warp instructions", name,
                 launch->grid[0], launch->grid[1], launch->grid[2], launch->block[0],
                 launch->block[1], launch->block[2],
                 (unsigned long long)counters.warp_instructions);
    if (found.finding != FOUND_NOTHING) {
        char text[sizeof found.text + 10];
        snprintf(text, sizeof text, "vgpu: %s", found.text);
        driver_report(text);
        context->sticky = error_of(found.finding);
    }
    return launch_time(launch, &counters);
}

static const char *copy_bytes(Memory *memory, const Task *task) {
    const unsigned char *from = task->staged ? task->staged : task->from.host;
    if (task->to.host && from) memcpy(task->to.host, from, task->bytes);
    if (task->to.host && from) return NULL;
    if (from) return memory_write(memory, task->to.address, from, task->bytes);
    if (task->to.host) return memory_read(memory, task->from.address, task->to.host, task->bytes);
    return memory_copy(memory, task->to.address, task->from.address, task->bytes);
}

static void fail(Context *context, const char *what, const char *wrong) {
    char text[1000];
    if (!wrong) return;
    snprintf(text, sizeof text, "vgpu: %s in a stream: %s", what, wrong);
    driver_report(text);
    context->sticky = CUDA_ERROR_ILLEGAL_ADDRESS;
}

static void run_free(Context *context, uint64_t address) {
    Allocation *allocation = allocation_find(context->device, address);
    if (!allocation || !allocation->live)
        fail(context, "cuMemFreeAsync", "the memory was freed already");
    else
        allocation_release(context->device, allocation);
}

uint64_t task_run(Context *context, const Task *task) {
    Memory *memory = context->device->memory;
    switch (task->kind) {
    case TASK_NOTHING: return 0;
    case TASK_LAUNCH: return run_launch(context, &task->launch->launch);
    case TASK_COPY:
        fail(context, "a copy", copy_bytes(memory, task));
        driver_trace("  copy %llu bytes", (unsigned long long)task->bytes);
        return copy_time(task);
    case TASK_FILL:
        fail(context, "a fill",
             memory_fill(memory, task->to.address, task->value, task->value_bytes, task->count));
        driver_trace("  fill %llu bytes", (unsigned long long)(task->count * task->value_bytes));
        return OWN_NANOSECONDS + task->count * task->value_bytes / MEMORY_SPEED;
    case TASK_FREE: run_free(context, task->to.address); return 0;
    }
    return 0;
}
