/* Evaluation of a group: all batches of a split, the totals, the finish entry.
 *
 *     examples   [total][slot][batch]: what each example gave, of the whole split
 *     totals     folded by one block for each trial and total, in an order that the number of
 *                examples alone determines (steps.cu): not the batch size, not the wave */
#include "runtime/wave_gpu_group.h"

#define EVALUATION_LAUNCHES 1024 /* a graph that has more is not made */

static uint64_t real_bytes(const WaveGroup *group) {
    return group->device->study->info->real == TUNE_F64 ? 8 : 4;
}

static uint64_t example_slot(const WaveGroup *group) {
    return group_round(group->variant->evaluate_batch * real_bytes(group));
}

/* From one trial's examples to the next one's. */
static uint64_t example_stride(const WaveGroup *group, const GroupRows *rows) {
    return rows->batches * example_slot(group);
}

static uint64_t examples_of(const WaveGroup *group, const GroupRows *rows, uint32_t total) {
    return group->device->examples + total * group->count * example_stride(group, rows);
}

/* `at`: where its rows stand in the index; `batch`: where its results go. */
static bool launch_batch(WaveGroup *group, const GroupRows *rows, uint64_t at, uint64_t batch,
                         uint32_t side, Fail *fail) {
    WaveDevice *device = group->device;
    uint64_t size = group->variant->evaluate_batch;
    GpuPlace place = group_place(group, group->count, side);
    place.index = rows->index + at * group_round(size * sizeof(int32_t));
    place.index_bytes = size * sizeof(int32_t);
    place.example_stride = example_stride(group, rows);
    place.example_bytes = size * real_bytes(group);
    for (uint32_t t = 0; t < device->study->info->total_count; t++)
        device->at[t] = examples_of(group, rows, t) + batch * example_slot(group);
    return gpu_run(device->gpu, &group->variant->gpu->evaluate, &place, fail);
}

static bool launch_total(WaveGroup *group, const GroupRows *rows, uint32_t at, Fail *fail) {
    const TuneStudy *info = group->device->study->info;
    uint64_t examples = rows->batches ? examples_of(group, rows, at) : 0;
    uint64_t stride = example_stride(group, rows), totals = group->totals + at * sizeof(double);
    uint64_t count = rows->batches ? rows->rows->count : 0, batch = group->variant->evaluate_batch;
    uint64_t slot = example_slot(group) / real_bytes(group);
    uint32_t total = info->totals[at], wide = info->real == TUNE_F64;
    void *parameters[] = {&examples, &stride, &totals, &group->total_stride, &count, &batch,
                          &slot,     &total,  &wide};
    const GpuRange ranges[] = {{"totals", group->totals, group->total_stride * group->count},
                               {"examples", examples, stride * group->count}};
    GpuFixedLaunch launch = {.entry = "tune_total",
                             .blocks_x = 1,
                             .blocks_y = group->count,
                             .threads = 256,
                             .parameters = parameters,
                             .ranges = ranges,
                             .range_count = examples ? 2 : 1};
    return gpu_run_fixed(group->device->gpu, &launch, fail);
}

static bool launch_finish(WaveGroup *group, const GroupRows *rows, Fail *fail) {
    const TuneGpuSteps *finish = &group->variant->gpu->finish;
    GpuPlace place = group_place(group, group->count, 0);
    for (uint32_t t = 0; t < group->device->study->info->total_count; t++)
        if (!launch_total(group, rows, t, fail)) return false;
    return !finish->count || gpu_run(group->device->gpu, finish, &place, fail);
}

static bool launch_whole(WaveGroup *group, const GroupRows *rows, Fail *fail) {
    for (uint64_t b = 0; b < rows->batches; b++)
        if (!launch_batch(group, rows, b, b, 0, fail)) return false;
    return launch_finish(group, rows, fail);
}

static bool capture_whole(WaveGroup *group, const GroupRows *rows, GroupGraph *graph, Fail *fail) {
    Gpu *gpu = group->device->gpu;
    if (!gpu_capture(gpu, fail)) return false;
    bool good = launch_whole(group, rows, fail);
    Fail ignored = {0};
    graph->graph = gpu_capture_end(gpu, good ? fail : &ignored);
    return good && graph->graph;
}

static uint64_t launches(const WaveGroup *group, const GroupRows *rows) {
    const TuneGpuVariant *gpu = group->variant->gpu;
    return rows->batches * gpu->evaluate.count + gpu->finish.count +
           group->device->study->info->total_count;
}

/* All data is there: one graph. */
static bool evaluate_graph(WaveGroup *group, uint32_t evaluation, Fail *fail) {
    const GroupRows *rows = &group->evaluations[evaluation];
    GroupGraph wanted = {.evaluation = (int32_t)evaluation, .trials = group->count};
    GroupGraph *graph = group_graph(group, &wanted);
    if (!graph->graph && !capture_whole(group, rows, graph, fail)) return false;
    return gpu_graph_launch(group->device->gpu, graph->graph, fail);
}

/* Batches in chunks, each of as many as fit in a side; resident: of a sensible number. */
static bool evaluate_chunks(WaveGroup *group, const GroupRows *rows, bool *whole, Fail *fail) {
    WaveDevice *device = group->device;
    uint64_t size = group->variant->evaluate_batch;
    uint64_t most = device->data.resident ? 64 : device->data.rows / size;
    for (uint64_t first = 0; first < rows->batches; first += most) {
        uint32_t side;
        uint64_t count = rows->batches - first < most ? rows->batches - first : most;
        if (device_stopped(device)) return true;
        if (!chunk_begin(device, &side, fail)) return false;
        if (device->data.resident)
            side = 0;
        else if (!gpu_data_fill(&device->data, side, rows->rows->index + first * size, count * size,
                                fail))
            return false;
        for (uint64_t b = 0; b < count; b++) {
            uint64_t at = device->data.resident ? first + b : b;
            if (!launch_batch(group, rows, at, first + b, side, fail)) return false;
        }
        if (!chunk_end(device, group, 0, fail)) return false;
    }
    *whole = true;
    return launch_finish(group, rows, fail);
}

static bool evaluate_at_once(WaveGroup *group, uint32_t evaluation, Fail *fail) {
    uint32_t side;
    return chunk_begin(group->device, &side, fail) && evaluate_graph(group, evaluation, fail) &&
           chunk_end(group->device, group, 0, fail);
}

bool group_evaluate(WaveGroup *group, uint32_t evaluation, bool *whole, Fail *fail) {
    const GroupRows *rows = &group->evaluations[evaluation];
    WaveDevice *device = group->device;
    uint64_t staging = (uint64_t)evaluation * group->capacity * group->metric_stride;
    bool small = launches(group, rows) <= EVALUATION_LAUNCHES;
    *whole = false;
    if (device_stopped(device)) return true;
    if ((device->data.resident || !rows->batches) && small) {
        if (!evaluate_at_once(group, evaluation, fail)) return false;
        *whole = true;
    } else if (!evaluate_chunks(group, rows, whole, fail)) {
        return false;
    }
    return !*whole || !group->variant->gpu->finish.count ||
           gpu_download_later(device->gpu, group->metric_staging + staging, group->metrics,
                              group->metric_stride * group->count, "metrics", fail);
}
