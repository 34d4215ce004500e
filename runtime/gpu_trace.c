/* What was put into a stream, in a few fixed slots, so that a fault that the driver reports late
 * can be told with the kernels and copies that may have caused it. */
#include "runtime/gpu_device.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { WORK_TEXT = 256 };

static void copy_text(char *to, size_t size, const char *from) {
    size_t length = from ? strnlen(from, size - 1) : 0;
    memcpy(to, from ? from : "", length);
    to[length] = 0;
}

GpuWork gpu_work(GpuWorkKind kind, const char *name, const char *places, const char *who,
                 uint64_t bytes) {
    GpuWork work;
    work.kind = kind;
    work.bytes = bytes;
    work.places = places;
    copy_text(work.name, sizeof work.name, name);
    copy_text(work.who, sizeof work.who, who);
    return work;
}

void gpu_trace_add(GpuTrace *trace, const GpuWork *work) {
    if (trace->count < GPU_TRACE_FIRST)
        trace->first[trace->count] = *work;
    else
        trace->last[(trace->count - GPU_TRACE_FIRST) % GPU_TRACE_LAST] = *work;
    trace->count++;
}

/* Number of the oldest one that the ring still holds. */
static uint64_t ring_begin(const GpuTrace *trace) {
    uint64_t all = GPU_TRACE_FIRST + GPU_TRACE_LAST;
    return trace->count > all ? trace->count - GPU_TRACE_LAST : GPU_TRACE_FIRST;
}

static const GpuWork *ring_work(const GpuTrace *trace, uint64_t number) {
    return &trace->last[(number - GPU_TRACE_FIRST) % GPU_TRACE_LAST];
}

void gpu_trace_append(GpuTrace *trace, const GpuTrace *more) {
    for (uint64_t i = 0; i < GPU_TRACE_FIRST && i < more->count; i++)
        gpu_trace_add(trace, &more->first[i]);
    if (more->count <= GPU_TRACE_FIRST) return;
    /* what it left out is left out here, too; the full ring behind it makes the slots right */
    trace->count += ring_begin(more) - GPU_TRACE_FIRST;
    for (uint64_t i = ring_begin(more); i < more->count; i++)
        gpu_trace_add(trace, ring_work(more, i));
}

/* ---- text ---- */

const char *gpu_bytes_text(uint64_t bytes, char text[GPU_BYTES_TEXT]) {
    static const char *const units[] = {"kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    int unit = -1;
    while (value >= 999.95 && unit < 3) {
        value /= 1000;
        unit++;
    }
    if (unit < 0)
        snprintf(text, GPU_BYTES_TEXT, "%" PRIu64 " bytes", bytes);
    else
        snprintf(text, GPU_BYTES_TEXT, "%.1f %s", value, units[unit]);
    return text;
}

/* "kernel dense2_relu_fwd (mnist.tune:14) of trials 8 to 15",
 * "copy of 1.2 MB to the device for trials of 'width=32'" */
static const char *work_text(const GpuWork *work, char text[WORK_TEXT]) {
    static const struct {
        const char *what, *where;
    } words[] = {[GPU_UPLOAD] = {"copy", "to the device for"},
                 [GPU_DOWNLOAD] = {"copy", "to the host from"},
                 [GPU_COPY] = {"copy", "on the device for"},
                 [GPU_CLEAR] = {"clearing", "in"}};
    if (work->kind == GPU_KERNEL) {
        bool places = work->places && work->places[0];
        snprintf(text, WORK_TEXT, "kernel %s%s%.60s%s%s%s", work->name, places ? " (" : "",
                 places ? work->places : "", places ? ")" : "", work->who[0] ? " of " : "",
                 work->who);
        return text;
    }
    char bytes[GPU_BYTES_TEXT];
    snprintf(text, WORK_TEXT, "%s of %s %s %s", words[work->kind].what,
             gpu_bytes_text(work->bytes, bytes), words[work->kind].where, work->name);
    return text;
}

static void append(Fail *fail, const char *before, const char *text) {
    size_t used = strlen(fail->text);
    snprintf(fail->text + used, sizeof fail->text - used, "%s%s", before, text);
}

static void append_trace(const GpuTrace *trace, Fail *fail) {
    char text[WORK_TEXT];
    const char *before = "; since the last wait it was given ";
    for (uint64_t i = 0; i < GPU_TRACE_FIRST && i < trace->count; i++) {
        append(fail, before, work_text(&trace->first[i], text));
        before = ", ";
    }
    if (trace->count <= GPU_TRACE_FIRST) return;
    uint64_t left_out = ring_begin(trace) - GPU_TRACE_FIRST;
    snprintf(text, sizeof text, "%" PRIu64 " more", left_out);
    if (left_out) append(fail, before, text);
    for (uint64_t i = ring_begin(trace); i < trace->count; i++)
        append(fail, before, work_text(ring_work(trace, i), text));
}

/* ---- checks ---- */

/* Faults that a kernel commits while it runs: the driver reports them whenever it is called next.
 */
static bool is_fault(CudaResult result) {
    switch (result) {
    case CUDA_ECC_UNCORRECTABLE:
    case CUDA_ILLEGAL_ADDRESS:
    case CUDA_LAUNCH_TIMEOUT:
    case CUDA_ASSERT: return true;
    default: return result >= CUDA_HARDWARE_STACK_ERROR && result <= CUDA_LAUNCH_FAILED;
    }
}

static void add_fault(const Gpu *gpu, CudaResult result, Fail *fail) {
    append(fail, " on ", gpu->name);
    append_trace(&gpu->given, fail);
    if (result == CUDA_ECC_UNCORRECTABLE) return;
    if (gpu_driver_is_virtual(gpu->driver))
        fail_help(fail, "the virtual GPU's report names the kernel's line, the thread and the "
                        "buffer");
    else
        fail_help(fail, "run the same command with --device vgpu: it finds the kernel, its line, "
                        "the thread and the buffer");
}

bool gpu_check(const Gpu *gpu, CudaResult result, const char *call, const char *subject,
               Fail *fail) {
    if (result == CUDA_OK) return true;
    cuda_check(gpu->driver, result, call, subject, fail);
    if (is_fault(result)) add_fault(gpu, result, fail);
    return false;
}

bool gpu_check_work(Gpu *gpu, CudaResult result, const char *call, const GpuWork *work,
                    Fail *fail) {
    if (result == CUDA_OK) {
        gpu_trace_add(gpu->capturing ? &gpu->captured : &gpu->given, work);
        return true;
    }
    char text[WORK_TEXT];
    return gpu_check(gpu, result, call, work_text(work, text), fail);
}
