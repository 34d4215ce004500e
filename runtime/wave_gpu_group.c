/* Groups of trials on a GPU: their memory, their training. The step program with its bookkeeping is
 * captured into graphs of static addresses; the host launches them and looks at curves afterwards.
 */
#include "runtime/wave_gpu_group.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SECONDS 0.1
#define GRAPH_STEPS 16     /* steps of a graph, unless … */
#define GRAPH_LAUNCHES 512 /* … it would have more launches than about this */
#define CURVE_STEPS 1024

uint64_t group_round(uint64_t bytes) {
    return (bytes + 255) / 256 * 256;
}

bool device_stopped(const WaveDevice *device) {
    return __atomic_load_n(device->stop, __ATOMIC_RELAXED);
}

/* ---- memory ---- */

static uint64_t batch_count(const TuneVariant *variant, const EvaluationRows *rows) {
    if (!variant->gpu->evaluate.count) return 0;
    return (rows->count + variant->evaluate_batch - 1) / variant->evaluate_batch;
}

uint64_t group_curve_steps(const TuneStudy *info) {
    uint64_t steps = info->steps;
    if (info->evaluate_every && info->evaluate_every < steps) steps = info->evaluate_every;
    return steps < 1 ? 1 : steps < CURVE_STEPS ? steps : CURVE_STEPS;
}

/* Of one trial. */
static uint64_t curve_bytes(const TuneStudy *info) {
    return group_curve_steps(info) * 2 * sizeof(double);
}

uint64_t group_scratch_bytes(const TuneVariant *variant, uint32_t count) {
    return group_round(variant->gpu->scratch_bytes) * count;
}

uint64_t group_example_bytes(const Study *study, const TuneVariant *variant,
                             const EvaluationRows *rows, uint32_t count) {
    uint64_t real = study->info->real == TUNE_F64 ? 8 : 4;
    return batch_count(variant, rows) * group_round(variant->evaluate_batch * real) * count *
           study->info->total_count;
}

static uint64_t total_bytes(const TuneStudy *info) {
    return ((uint64_t)info->total_count * 8 + 64) / 64 * 64;
}

static uint64_t metric_bytes(const TuneStudy *info) {
    return ((uint64_t)info->metric_count * 8 + 64) / 64 * 64;
}

uint64_t group_trial_bytes(const Study *study, const TuneVariant *variant) {
    uint64_t examples = group_example_bytes(study, variant, &study->final, 1);
    for (uint32_t e = 0; e < study->evaluation_count; e++) {
        uint64_t bytes = group_example_bytes(study, variant, &study->evaluations[e], 1);
        if (bytes > examples) examples = bytes;
    }
    return group_round(variant->trial_bytes) + group_scratch_bytes(variant, 1) + examples +
           curve_bytes(study->info) + total_bytes(study->info) + metric_bytes(study->info);
}

static void name_trials(WaveGroup *group) {
    uint32_t first = UINT32_MAX, last = 0;
    for (uint32_t i = 0; i < group->count; i++) {
        uint32_t number = group->trials[i]->number;
        if (number < first) first = number;
        if (number > last) last = number;
    }
    if (group->count == 1)
        snprintf(group->who, sizeof group->who, "trial %u", first);
    else
        snprintf(group->who, sizeof group->who, "%u trials of %u to %u", group->count, first, last);
}

static bool allocate_device(WaveGroup *group, Fail *fail) {
    const TuneVariant *variant = group->variant;
    Gpu *gpu = group->device->gpu;
    uint64_t count = group->capacity, index = group_round(variant->batch * sizeof(int32_t));
    return gpu_allocate(gpu, group->trial_stride * count, "trials", &group->blocks, fail) &&
           gpu_allocate(gpu, sizeof(GroupCursor), "cursor", &group->cursor, fail) &&
           gpu_allocate(gpu, index + 1, "index", &group->index, fail) &&
           gpu_allocate(gpu, curve_bytes(group->device->study->info) * count, "curves",
                        &group->curve, fail) &&
           gpu_allocate(gpu, group->total_stride * count, "totals", &group->totals, fail) &&
           gpu_allocate(gpu, group->metric_stride * count, "metrics", &group->metrics, fail);
}

static bool allocate_pinned(WaveGroup *group, Fail *fail) {
    Gpu *gpu = group->device->gpu;
    uint64_t count = group->capacity;
    void *cursor = NULL, *curve = NULL, *metrics = NULL;
    bool good = gpu_host_allocate(gpu, sizeof(GroupCursor), "cursor", &cursor, fail) &&
                gpu_host_allocate(gpu, curve_bytes(group->device->study->info) * count, "curves",
                                  &curve, fail) &&
                gpu_host_allocate(gpu, (group->evaluation_count + 1) * group->metric_stride * count,
                                  "metrics", &metrics, fail);
    group->cursor_staging = cursor;
    group->curve_staging = curve;
    group->metric_staging = metrics;
    return good;
}

/* Batches behind each other, each in a slot of its own, so that all begin aligned. */
static bool upload_index(WaveGroup *group, GroupRows *rows, Fail *fail) {
    const WaveDevice *device = group->device;
    uint64_t batch = group->variant->evaluate_batch, count = rows->batches;
    if (!device->data.resident && count > device->data.rows / batch)
        count = device->data.rows / batch;
    uint64_t slot = group_round(batch * sizeof(int32_t)), bytes = slot * count;
    if (!bytes) return true;
    uint64_t step = data_index_step(device->study->data.info);
    char *table = calloc(bytes, 1);
    if (!table) return fail_set(fail, "out of memory for the rows of an evaluation");
    for (uint64_t b = 0; b < count; b++)
        for (uint64_t row = 0; row < batch; row++) {
            uint64_t at = b * batch + row;
            int32_t entry = device->data.resident ? rows->rows->index[at] : (int32_t)(at * step);
            memcpy(table + b * slot + row * sizeof entry, &entry, sizeof entry);
        }
    bool good = gpu_allocate(device->gpu, bytes, "rows of an evaluation", &rows->index, fail) &&
                gpu_upload(device->gpu, rows->index, table, bytes, "rows of an evaluation", fail);
    free(table);
    return good;
}

static bool upload_blocks(WaveGroup *group, Fail *fail) {
    Gpu *gpu = group->device->gpu;
    if (!gpu_clear(gpu, group->blocks, group->trial_stride * group->count, "trials", fail))
        return false;
    for (uint32_t i = 0; i < group->count; i++) {
        const Trial *trial = group->trials[i];
        group->step[i] = trial_header(trial)->step;
        if (!gpu_upload(gpu, group->blocks + i * group->trial_stride, trial->block,
                        group->variant->trial_bytes, "a trial", fail))
            return fail_context(fail, "trial %u", trial->number);
    }
    return true;
}

bool group_open(WaveGroup *group, WaveDevice *device, const TuneVariant *variant,
                Trial *const *trials, uint32_t count, const EvaluationRows *evaluations,
                uint32_t evaluation_count, Fail *fail) {
    const TuneStudy *info = device->study->info;
    *group = (WaveGroup){.device = device,
                         .variant = variant,
                         .count = count,
                         .capacity = count,
                         .trial_stride = group_round(variant->trial_bytes),
                         .scratch_stride = group_round(variant->gpu->scratch_bytes),
                         .total_stride = total_bytes(info),
                         .metric_stride = metric_bytes(info),
                         .evaluation_count = evaluation_count};
    group->trials = calloc(count, sizeof(Trial *));
    group->step = calloc(count, sizeof *group->step);
    group->evaluations = calloc(evaluation_count + 1, sizeof *group->evaluations);
    if (!group->trials || !group->step || !group->evaluations) abort();
    memcpy(group->trials, trials, count * sizeof(Trial *));
    name_trials(group);
    bool good = allocate_device(group, fail) && allocate_pinned(group, fail);
    for (uint32_t e = 0; good && e < evaluation_count; e++) {
        GroupRows *rows = &group->evaluations[e];
        *rows = (GroupRows){.rows = &evaluations[e]};
        rows->batches = batch_count(variant, &evaluations[e]);
        good = upload_index(group, rows, fail);
    }
    if (good && upload_blocks(group, fail)) return true;
    group_close(group);
    return false;
}

static void forget_graphs(WaveGroup *group) {
    for (uint32_t i = 0; i < group->graph_count; i++)
        gpu_graph_free(group->device->gpu, group->graphs[i].graph);
    group->graph_count = group->graph_next = 0;
}

void group_close(WaveGroup *group) {
    if (!group->device) return;
    Gpu *gpu = group->device->gpu;
    for (uint32_t side = 0; side < 2; side++)
        if (group->device->chunk_group[side] == group) group->device->chunk_steps[side] = 0;
    forget_graphs(group);
    for (uint32_t e = 0; e < group->evaluation_count; e++)
        gpu_free(gpu, group->evaluations[e].index);
    gpu_host_free(gpu, group->metric_staging);
    gpu_host_free(gpu, group->curve_staging);
    gpu_host_free(gpu, group->cursor_staging);
    gpu_free(gpu, group->metrics);
    gpu_free(gpu, group->totals);
    gpu_free(gpu, group->curve);
    gpu_free(gpu, group->index);
    gpu_free(gpu, group->cursor);
    gpu_free(gpu, group->blocks);
    free(group->evaluations);
    free(group->step);
    free(group->trials);
    *group = (WaveGroup){0};
}

bool group_fetch(WaveGroup *group, uint32_t slot, Fail *fail) {
    const Trial *trial = group->trials[slot];
    return gpu_download(group->device->gpu, trial->block,
                        group->blocks + slot * group->trial_stride, group->variant->trial_bytes,
                        "a trial", fail) ||
           fail_context(fail, "trial %u", trial->number);
}

bool group_compact(WaveGroup *group, Fail *fail) {
    uint32_t kept = 0;
    uint64_t stride = group->trial_stride;
    for (uint32_t i = 0; i < group->count; i++) {
        if (group->trials[i]->status != TRIAL_RUNNING) continue;
        if (kept < i && !gpu_copy(group->device->gpu, group->blocks + kept * stride,
                                  group->blocks + i * stride, stride, "a trial", fail))
            return fail_context(fail, "trial %u", group->trials[i]->number);
        group->step[kept] = group->step[i];
        group->trials[kept++] = group->trials[i];
    }
    if (kept == group->count) return true;
    forget_graphs(group); /* they are of more trials; new ones when they are needed */
    group->step_seconds = 0;
    group->count = kept;
    name_trials(group);
    return true;
}

/* ---- launches ---- */

GpuPlace group_place(const WaveGroup *group, uint32_t trials, uint32_t side) {
    const WaveDevice *device = group->device;
    return (GpuPlace){.trials = trials,
                      .trial = group->blocks,
                      .trial_stride = group->trial_stride,
                      .scratch = device->scratch,
                      .scratch_stride = group->scratch_stride,
                      .fields = device->data.fields[side],
                      .field_bytes = device->data.field_bytes,
                      .index = group->index,
                      .index_bytes = group->variant->batch * sizeof(int32_t),
                      .examples = device->at,
                      .totals = group->totals,
                      .total_stride = group->total_stride,
                      .metrics = group->metrics,
                      .metric_stride = group->metric_stride,
                      .who = group->who};
}

bool group_init(WaveGroup *group, Fail *fail) {
    const TuneGpuSteps *init = &group->variant->gpu->init;
    GpuPlace place = group_place(group, group->count, 0);
    return !init->count || gpu_run(group->device->gpu, init, &place, fail);
}

bool group_start(WaveGroup *group, Fail *fail) {
    const Study *study = group->device->study;
    for (uint32_t i = 0; study->starts && i < group->count; i++) {
        Trial *trial = group->trials[i];
        if (!group_fetch(group, i, fail)) return false;
        start_apply(study, trial->variant_number, trial->block);
        if (!gpu_upload(group->device->gpu, group->blocks + i * group->trial_stride, trial->block,
                        group->variant->trial_bytes, "a trial", fail))
            return fail_context(fail, "trial %u", trial->number);
    }
    return true;
}

GroupGraph *group_graph(WaveGroup *group, const GroupGraph *wanted) {
    for (uint32_t i = 0; i < group->graph_count; i++) {
        GroupGraph *own = &group->graphs[i];
        if (own->evaluation == wanted->evaluation && own->trials == wanted->trials &&
            own->steps == wanted->steps && own->side == wanted->side)
            return own;
    }
    bool full = group->graph_count == GROUP_GRAPHS;
    GroupGraph *slot =
        &group->graphs[full ? group->graph_next++ % GROUP_GRAPHS : group->graph_count++];
    if (full) gpu_graph_free(group->device->gpu, slot->graph);
    *slot = *wanted;
    slot->graph = NULL;
    return slot;
}

/* The rows of the step's batch. */
static bool launch_rows(WaveGroup *group, Fail *fail) {
    const WaveDevice *device = group->device;
    const DataSet *set = &device->study->data;
    uint64_t batch = group->variant->batch, count = set->split_count[TUNE_TRAIN];
    uint64_t seed = device->study->info->seed, order = 0;
    uint64_t first = set->split_start[TUNE_TRAIN], streamed = 0;
    if (!device->data.resident)
        streamed = data_index_step(set->info);
    else if (device->data.order)
        order = device->data.order + first * sizeof(int32_t);
    void *parameters[] = {&group->cursor, &order, &group->index, &batch,
                          &count,         &seed,  &first,        &streamed};
    const GpuRange ranges[] = {{"cursor", group->cursor, sizeof(GroupCursor)},
                               {"index", group->index, batch * sizeof(int32_t)},
                               {"order", order, count * sizeof(int32_t)}};
    GpuFixedLaunch launch = {.entry = "tune_rows",
                             .blocks_x = (uint32_t)((batch + 127) / 128),
                             .blocks_y = 1,
                             .threads = 128,
                             .parameters = parameters,
                             .ranges = ranges,
                             .range_count = order ? 3 : 2};
    return gpu_run_fixed(device->gpu, &launch, fail);
}

static bool launch_advance(WaveGroup *group, uint32_t trials, Fail *fail) {
    uint64_t count = trials, batch = group->variant->batch;
    void *parameters[] = {&group->cursor, &group->blocks, &group->trial_stride,
                          &count,         &batch,         &group->curve};
    const GpuRange ranges[] = {
        {"cursor", group->cursor, sizeof(GroupCursor)},
        {"trials", group->blocks, count * group->trial_stride},
        {"curves", group->curve, curve_bytes(group->device->study->info) * count}};
    GpuFixedLaunch launch = {.entry = "tune_advance",
                             .blocks_x = 1,
                             .blocks_y = 1,
                             .threads = 256,
                             .parameters = parameters,
                             .ranges = ranges,
                             .range_count = 3};
    return gpu_run_fixed(group->device->gpu, &launch, fail);
}

static bool launch_step(WaveGroup *group, uint32_t trials, uint32_t side, Fail *fail) {
    GpuPlace place = group_place(group, trials, side);
    if (group->device->study->has_data && !launch_rows(group, fail)) return false;
    return gpu_run(group->device->gpu, &group->variant->gpu->train, &place, fail) &&
           launch_advance(group, trials, fail);
}

static bool capture_steps(WaveGroup *group, GroupGraph *graph, Fail *fail) {
    Gpu *gpu = group->device->gpu;
    if (!gpu_capture(gpu, fail)) return false;
    bool good = true;
    for (uint32_t s = 0; good && s < graph->steps; s++)
        good = launch_step(group, graph->trials, graph->side, fail);
    Fail ignored = {0};
    graph->graph = gpu_capture_end(gpu, good ? fail : &ignored);
    return good && graph->graph;
}

static uint32_t graph_steps(const WaveGroup *group) {
    uint32_t launches = group->variant->gpu->train.count + 2;
    uint32_t steps = GRAPH_LAUNCHES / launches;
    return steps < 1 ? 1 : steps < GRAPH_STEPS ? steps : GRAPH_STEPS;
}

static bool launch_steps(WaveGroup *group, uint32_t trials, uint64_t steps, uint32_t side,
                         Fail *fail) {
    uint32_t many = graph_steps(group);
    while (steps) {
        uint32_t now = steps >= many ? many : 1;
        GroupGraph wanted = {.evaluation = -1, .trials = trials, .steps = now, .side = side};
        GroupGraph *graph = group_graph(group, &wanted);
        if (!graph->graph && !capture_steps(group, graph, fail)) return false;
        if (!gpu_graph_launch(group->device->gpu, graph->graph, fail)) return false;
        steps -= now;
    }
    return true;
}

/* ---- chunks ---- */

/* Of the chunk before the last, which is over: its time, as far as the device worked on it. */
static void measure_chunk(WaveDevice *device, uint32_t side) {
    double now = trial_clock();
    double start = device->chunk_start[side];
    if (device->ended > start) start = device->ended;
    uint64_t steps = device->chunk_steps[side];
    if (steps) device->chunk_group[side]->step_seconds = (now - start) / (double)steps;
    device->ended = now;
}

bool chunk_begin(WaveDevice *device, uint32_t *side, Fail *fail) {
    *side = (uint32_t)(device->chunks % 2);
    if (device->chunks < 2) return true;
    if (!gpu_fence_wait(device->gpu, *side, NULL, NULL, fail)) return false;
    measure_chunk(device, *side);
    return true;
}

bool chunk_end(WaveDevice *device, WaveGroup *group, uint64_t steps, Fail *fail) {
    uint32_t side = (uint32_t)(device->chunks++ % 2);
    device->chunk_group[side] = group;
    device->chunk_steps[side] = steps;
    device->chunk_start[side] = trial_clock();
    return gpu_fence_set(device->gpu, side, fail);
}

/* Steps of the next chunk, whole graphs if they are many. */
static uint64_t chunk_steps(const WaveGroup *group, uint64_t left) {
    uint64_t steps = 1, many = graph_steps(group); /* 1: to learn how long it takes */
    if (group->step_seconds > 0) {
        double fit = CHUNK_SECONDS / group->step_seconds;
        steps = fit < 1 ? 1 : fit > CURVE_STEPS ? CURVE_STEPS : (uint64_t)fit;
    }
    const GpuData *data = &group->device->data;
    uint64_t rows = data->resident ? UINT64_MAX : data->rows / group->variant->batch;
    if (steps > rows) steps = rows;
    if (steps > many) steps -= steps % many;
    return steps < left ? steps : left;
}

/* Examples of the next steps into a side, and the cursor's row to its beginning. */
static bool fill_side(WaveGroup *group, uint32_t side, uint64_t step, uint64_t steps, Fail *fail) {
    WaveDevice *device = group->device;
    const Study *study = device->study;
    uint64_t batch = group->variant->batch;
    for (uint64_t s = 0; s < steps; s++)
        data_train_index(&study->data, study->info->seed, step + s, batch,
                         device->rows + s * batch);
    return gpu_data_fill(&device->data, side, device->rows, steps * batch, fail) &&
           gpu_upload_later(device->gpu, group->cursor + offsetof(GroupCursor, row),
                            device->nothing, sizeof *device->nothing, "cursor", fail);
}

static bool train_chunk(WaveGroup *group, uint32_t trials, uint64_t step, uint64_t steps,
                        Fail *fail) {
    WaveDevice *device = group->device;
    uint32_t side;
    if (!chunk_begin(device, &side, fail)) return false;
    if (device->data.resident)
        side = 0;
    else if (!fill_side(group, side, step, steps, fail))
        return false;
    if (!launch_steps(group, trials, steps, side, fail) || !chunk_end(device, group, steps, fail))
        return false;
    __atomic_fetch_add(&device->work[0], steps * trials, __ATOMIC_RELAXED);
    __atomic_fetch_add(&device->work[1], steps * trials * group->variant->batch, __ATOMIC_RELAXED);
    return true;
}

/* Where nothing is trained, steps only count. */
static bool count_steps(WaveGroup *group, uint32_t trials, uint64_t steps, Fail *fail) {
    for (uint32_t i = 0; i < trials; i++) {
        TuneTrialHeader *header = trial_header(group->trials[i]);
        header->step += steps;
        group->step[i] += steps;
        if (!gpu_upload(group->device->gpu,
                        group->blocks + i * group->trial_stride + offsetof(TuneTrialHeader, step),
                        &header->step, sizeof header->step, "a step counter", fail))
            return false;
    }
    return true;
}

bool group_train(WaveGroup *group, uint32_t trials, uint64_t steps, Fail *fail) {
    WaveDevice *device = group->device;
    uint64_t first = group->step[0], done = 0;
    assert(steps <= group_curve_steps(device->study->info) && !group->queued_steps);
    if (!group->variant->gpu->train.count) return count_steps(group, trials, steps, fail);
    *group->cursor_staging = (GroupCursor){first, first, 0};
    if (!gpu_upload_later(device->gpu, group->cursor, group->cursor_staging, sizeof(GroupCursor),
                          "cursor", fail))
        return false;
    while (done < steps && !device_stopped(device)) {
        uint64_t now = chunk_steps(group, steps - done);
        if (!train_chunk(group, trials, first + done, now, fail)) return false;
        done += now;
    }
    for (uint32_t i = 0; i < trials; i++) group->step[i] += done;
    group->queued_trials = trials;
    group->queued_steps = done;
    return !done || gpu_download_later(device->gpu, group->curve_staging, group->curve,
                                       done * trials * 2 * sizeof(double), "curves", fail);
}

/* How many of the first slots stand at the same step. */
static uint32_t level(const WaveGroup *group) {
    uint32_t count = 1;
    while (count < group->count && group->step[count] == group->step[0]) count++;
    return count;
}

bool group_advance(WaveGroup *group, uint64_t target, Fail *fail) {
    while (group->count && group->step[0] < target && !device_stopped(group->device)) {
        uint32_t trials = level(group);
        bool all = trials == group->count || group->step[trials] >= target;
        uint64_t goal = all ? target : group->step[trials];
        if (!group_train(group, trials, goal - group->step[0], fail)) return false;
        if (all) return true;
        if (!gpu_wait(group->device->gpu, NULL, NULL, fail)) return false;
        group_collect(group);
    }
    return true;
}

/* ---- looking at it ---- */

/* The curve of a trial, to its end or to where something was not finite, as trial_train has it. */
static void collect_curve(WaveGroup *group, uint32_t slot) {
    Trial *trial = group->trials[slot];
    TuneTrialHeader *header = trial_header(trial);
    for (uint64_t s = 0; s < group->queued_steps && trial->status == TRIAL_RUNNING; s++) {
        const double *point = group->curve_staging + (s * group->queued_trials + slot) * 2;
        header->step++;
        header->loss = point[0];
        header->grad_norm = point[1];
        curve_add(&trial->curve, header->loss, header->grad_norm);
        if (isfinite(header->loss) && isfinite(header->grad_norm)) continue;
        trial->status = TRIAL_INFEASIBLE;
        trial->infeasible_step = header->step;
    }
}

const double *group_metrics(const WaveGroup *group, uint32_t evaluation, uint32_t slot) {
    uint64_t at = (uint64_t)evaluation * group->capacity + slot;
    return (const double *)(const void *)(group->metric_staging + at * group->metric_stride);
}

static void collect_metrics(WaveGroup *group, uint32_t slot) {
    Trial *trial = group->trials[slot];
    const Study *study = group->device->study;
    uint32_t metrics = study->info->metric_count;
    if (trial->status != TRIAL_RUNNING) return;
    for (uint32_t e = 0; e < group->evaluation_count; e++)
        for (uint32_t m = 0; m < metrics; m++)
            trial->metrics[(size_t)e * metrics + m] =
                group->variant->gpu->finish.count ? group_metrics(group, e, slot)[m] : NAN;
    trial->evaluated = true;
    if (isfinite(trial_selected(study, trial))) return;
    trial->status = TRIAL_INFEASIBLE;
    trial->infeasible_step = trial_header(trial)->step;
}

void group_collect(WaveGroup *group) {
    for (uint32_t i = 0; i < group->queued_trials; i++) collect_curve(group, i);
    for (uint32_t i = 0; group->queued_evaluation && i < group->count; i++)
        collect_metrics(group, i);
    group->queued_trials = 0;
    group->queued_steps = 0;
    group->queued_evaluation = false;
}
