/* What every call shares: the lock, the current context, reports, the trace, and what happens at
 * the end of the process. */
#include "tests/vgpu/driver.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

Driver driver = {.lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT};

void *driver_zeroed(size_t count, size_t bytes) {
    void *memory = calloc(count ? count : 1, bytes ? bytes : 1);
    if (memory) return memory;
    fputs("vgpu: out of memory on the host\n", stderr);
    abort();
}

void *driver_grow(void *items, size_t bytes, uint32_t count, uint32_t *capacity) {
    if (count < *capacity) return items;
    *capacity = *capacity ? *capacity * 2 : 8;
    void *grown = realloc(items, *capacity * bytes);
    if (grown) return grown;
    fputs("vgpu: out of memory on the host\n", stderr);
    abort();
}

char *driver_text(const char *text) {
    if (!text) return NULL;
    size_t bytes = strlen(text) + 1;
    return memcpy(driver_zeroed(bytes, 1), text, bytes);
}

/* ---- reports ---- */

void driver_report(const char *text) {
    const char *path = driver.ready ? driver.options.report : options_file("VGPU_REPORT");
    FILE *file = path ? fopen(path, "a") : NULL;
    size_t length = strlen(text);
    const char *end = length && text[length - 1] == '\n' ? "" : "\n";
    fprintf(file ? file : stderr, "%s%s", text, end);
    if (file) fclose(file);
}

void driver_trace(const char *format, ...) {
    if (!driver.trace) return;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(driver.trace, format, arguments);
    va_end(arguments);
    fputc('\n', driver.trace);
}

const char *error_name(CUresult error) {
    switch (error) {
#define ERROR(name, number, text)                                                                  \
    case name:                                                                                     \
        return #name;
#include "tests/vgpu/errors.def"
#undef ERROR
    }
    return NULL;
}

CUresult misuse(const Call *call, CUresult result, const char *format, ...) {
    char what[2000], text[2200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    const char *name = result ? error_name(result) : "only a warning";
    snprintf(text, sizeof text, "vgpu: %s: %s (%s)", call->name, what, name);
    driver_report(text);
    return result;
}

/* splitmix64 (Steele, Lea, Flood 2014) */
uint32_t driver_random(uint32_t count) {
    if (!driver.options.seed || count < 2) return 0;
    uint64_t mixed = driver.random += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((mixed ^ (mixed >> 31)) % count);
}

/* ---- the end ---- */

static void report_leak(const Object *object) {
    char text[200];
    snprintf(text, sizeof text, "vgpu: leak: %s %p was not destroyed", kind_name(object->kind),
             object->handle);
    driver_report(text);
}

static void report_memory_leaks(const Device *device) {
    for (uint32_t at = 0; at < device->allocation_count; at++) {
        const Allocation *allocation = &device->allocations[at];
        char text[400];
        if (!allocation->live) continue;
        snprintf(text, sizeof text, "vgpu: leak: %llu bytes of device memory at 0x%llx%s%s%s",
                 (unsigned long long)allocation->bytes, (unsigned long long)allocation->address,
                 allocation->name ? ", '" : "", allocation->name ? allocation->name : "",
                 allocation->name ? "'" : "");
        driver_report(text);
    }
}

static void report_leaks(void) {
    for (uint32_t at = 0; at < driver.handle_count; at++) {
        const Object *object = driver.handles[at].object;
        bool counts = object && object->kind != KIND_FUNCTION && object->kind != KIND_KERNEL &&
                      object->kind != KIND_NODE;
        if (counts) report_leak(object);
    }
    for (uint32_t at = 0; at < driver.options.devices; at++)
        report_memory_leaks(&driver.devices[at]);
    for (uint32_t at = 0; at < driver.pinned_count; at++) {
        char text[200];
        const Pinned *pinned = &driver.pinned[at];
        snprintf(text, sizeof text, "vgpu: leak: %zu bytes of %s host memory at %p", pinned->bytes,
                 pinned->registered ? "registered" : "pinned", (void *)pinned->start);
        driver_report(text);
    }
}

/* Files are written when the process ends in the ordinary way; a forked child's end is not ours. */
__attribute__((destructor)) static void finish(void) {
    if (!driver.ready || driver.process != getpid()) return;
    pthread_mutex_lock(&driver.lock);
    if (driver.options.leaks) report_leaks();
    if (driver.options.counters && !counters_write(driver.options.counters))
        fprintf(stderr, "vgpu: cannot write VGPU_COUNTERS=%s\n", driver.options.counters);
    if (driver.trace) fclose(driver.trace);
    driver.trace = NULL;
    pthread_mutex_unlock(&driver.lock);
}

/* ---- a call ---- */

static void thread_free(void *memory) {
    Thread *thread = memory;
    if (thread->described) launch_release(thread->described);
    free(thread->contexts);
    free(thread);
}

static void make_key(void) {
    pthread_key_create(&driver.thread, thread_free);
}

static Thread *current_thread(void) {
    pthread_once(&driver.once, make_key);
    Thread *thread = pthread_getspecific(driver.thread);
    if (thread) return thread;
    thread = driver_zeroed(1, sizeof *thread);
    pthread_setspecific(driver.thread, thread);
    return thread;
}

static CUresult current_context(Call *call) {
    if (!call->thread->context_count) return CUDA_ERROR_INVALID_CONTEXT;
    void *handle = call->thread->contexts[call->thread->context_count - 1];
    call->context = (Context *)object_live(handle, KIND_CONTEXT);
    return call->context ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

static CUresult admit(Call *call, Need need) {
    if (!driver.ready) return misuse(call, CUDA_ERROR_NOT_INITIALIZED, "cuInit was not called");
    CUresult context = current_context(call);
    if (need == NEEDS_INIT) return CUDA_SUCCESS;
    if (context == CUDA_ERROR_INVALID_CONTEXT)
        return misuse(call, context, "this thread has no current context");
    if (context) return misuse(call, context, "the current context was destroyed");
    return call->context->sticky;
}

bool call_enter(Call *call, const char *name, Need need) {
    *call = (Call){.name = name, .thread = current_thread()};
    pthread_mutex_lock(&driver.lock);
    call->result = admit(call, need);
    return !call->result;
}

CUresult call_leave(Call *call) {
    const char *name = error_name(call->result);
    driver_trace("%s%s%s -> %s", call->name, *call->detail ? " " : "", call->detail,
                 name ? name : "?");
    pthread_mutex_unlock(&driver.lock);
    return call->result;
}

void call_detail(Call *call, const char *format, ...) {
    va_list arguments;
    if (!driver.trace) return;
    va_start(arguments, format);
    vsnprintf(call->detail, sizeof call->detail, format, arguments);
    va_end(arguments);
}
