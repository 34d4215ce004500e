/* One GPU of a wave: what is on it for all groups. */
#include "runtime/wave_gpu_device.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SIDE_BATCHES 256 /* batches of a side of streamed data, at most */

/* The device's own needs, beside ours: modules, graphs. */
static uint64_t margin(uint64_t total) {
    return total / 32;
}

static bool memory_limit(const WaveDevice *device, uint64_t memory, uint64_t *limit, Fail *fail) {
    uint64_t free_bytes, total;
    if (!gpu_memory(device->gpu, &free_bytes, &total, fail)) return false;
    *limit = free_bytes > margin(total) ? free_bytes - margin(total) : 0;
    if (memory && memory < *limit) *limit = memory;
    return true;
}

static uint64_t largest_batch(const TuneStudy *info) {
    uint64_t largest = 1;
    for (uint32_t v = 0; v < info->variant_count; v++) {
        const TuneVariant *variant = &info->variants[v];
        if (variant->batch > largest) largest = variant->batch;
        if (variant->evaluate_batch > largest) largest = variant->evaluate_batch;
    }
    return largest;
}

/* Rows of a side: two sides within the budget, whole batches of every variant. */
static bool side_rows(const WaveDevice *device, uint64_t budget, uint64_t *rows, Fail *fail) {
    const DataSet *set = &device->study->data;
    uint64_t batch = largest_batch(device->study->info);
    uint64_t bytes = gpu_data_row_bytes(set), most = INT32_MAX / data_index_step(set->info);
    *rows = budget / 2 / bytes;
    if (*rows > batch * SIDE_BATCHES) *rows = batch * SIDE_BATCHES;
    if (*rows > most) *rows = most;
    if (*rows >= batch || data_bytes(set) <= budget) return true;
    fail_set(fail, "GPU %u has no room for two batches of %" PRIu64 " examples",
             gpu_number(device->gpu), batch);
    return fail_help(fail, "give it more than %" PRIu64 " bytes of memory", 4 * batch * bytes);
}

static bool open_data(WaveDevice *device, uint64_t memory, Fail *fail) {
    const Study *study = device->study;
    device->data = (GpuData){.gpu = device->gpu, .resident = true};
    if (!study->has_data) return true;
    uint64_t limit, rows;
    if (!memory_limit(device, memory, &limit, fail) || !side_rows(device, limit / 2, &rows, fail) ||
        !gpu_data_open(device->gpu, &study->data, limit / 2, rows, &device->data, fail))
        return false;
    if (device->data.resident) return true;
    device->rows = calloc(device->data.rows, sizeof *device->rows);
    return device->rows || fail_set(fail, "out of memory for the rows of a batch");
}

bool device_open(WaveDevice *device, uint64_t memory, Fail *fail) {
    void *nothing = NULL;
    device->at = calloc(device->study->info->total_count + 1, sizeof *device->at);
    if (!device->at) abort();
    if (!gpu_host_allocate(device->gpu, sizeof *device->nothing, "cursor", &nothing, fail))
        return false;
    device->nothing = nothing;
    *device->nothing = 0;
    return open_data(device, memory, fail);
}

void device_close(WaveDevice *device) {
    if (device->data.set) gpu_data_close(&device->data);
    gpu_free(device->gpu, device->scratch);
    gpu_free(device->gpu, device->examples);
    gpu_host_free(device->gpu, device->nothing);
    free(device->rows);
    free(device->at);
    *device = (WaveDevice){0};
}

void device_clear(WaveDevice *device) {
    for (uint32_t g = 0; g < device->group_count; g++) group_close(&device->groups[g]);
    free(device->groups);
    device->groups = NULL;
    device->group_count = 0;
}

static bool grow(WaveDevice *device, uint64_t *address, uint64_t *bytes, uint64_t wanted,
                 const char *what, Fail *fail) {
    if (wanted <= *bytes) return true;
    gpu_free(device->gpu, *address);
    *address = 0;
    *bytes = 0;
    if (!gpu_allocate(device->gpu, wanted, what, address, fail)) return false;
    *bytes = wanted;
    return true;
}

bool device_share(WaveDevice *device, const TuneVariant *variant, uint32_t count,
                  const EvaluationRows *rows, uint32_t rows_count, Fail *fail) {
    uint64_t examples = 0;
    for (uint32_t e = 0; e < rows_count; e++) {
        uint64_t bytes = group_example_bytes(device->study, variant, &rows[e], count);
        if (bytes > examples) examples = bytes;
    }
    return grow(device, &device->scratch, &device->scratch_bytes,
                group_scratch_bytes(variant, count), "scratch", fail) &&
           grow(device, &device->examples, &device->example_bytes, examples, "results of examples",
                fail);
}

bool device_free_bytes(const WaveDevice *device, uint64_t memory, uint64_t *bytes, Fail *fail) {
    uint64_t data = 0;
    if (!memory_limit(device, 0, bytes, fail)) return false;
    if (!memory) return true;
    if (device->data.set && device->data.resident) data = data_bytes(device->data.set);
    if (device->data.set && !device->data.resident)
        data = 2 * device->data.rows * gpu_data_row_bytes(device->data.set);
    uint64_t left = memory > data ? memory - data : 0;
    if (left < *bytes) *bytes = left;
    return true;
}
