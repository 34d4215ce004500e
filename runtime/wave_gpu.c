/* A wave on GPUs: which trial is where, a host thread for each device, segments. */
#include "runtime/wave_gpu_device.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool check_variants(const Study *study, Fail *fail) {
    for (uint32_t v = 0; v < study->info->variant_count; v++) {
        const TuneVariant *variant = &study->info->variants[v];
        if (variant->gpu) continue;
        fail_set(fail, "variant '%s' was compiled without CUDA", variant->name);
        return fail_help(fail, "build the program with 'tunec build --target cuda'");
    }
    return true;
}

WaveGpu *wave_gpu_new(const Study *study, const Devices *devices, const bool *stop, Fail *fail) {
    if (!check_variants(study, fail)) return NULL;
    WaveGpu *gpu = calloc(1, sizeof *gpu);
    if (gpu) gpu->devices = calloc(devices->count, sizeof *gpu->devices);
    if (gpu) gpu->results = calloc(devices->count, sizeof *gpu->results);
    if (!gpu || !gpu->devices || !gpu->results) abort();
    gpu->study = study;
    gpu->set = devices;
    gpu->stop = stop;
    gpu->pool = pool_new(devices->count, fail);
    bool good = gpu->pool;
    for (uint32_t d = 0; good && d < devices->count; d++) {
        gpu->devices[d] =
            (WaveDevice){.study = study, .gpu = devices->gpus[d], .stop = stop, .work = gpu->work};
        gpu->device_count++;
        good = device_open(&gpu->devices[d], devices->memory, fail);
    }
    if (good) return gpu;
    wave_gpu_free(gpu);
    return NULL;
}

void wave_gpu_free(WaveGpu *gpu) {
    if (!gpu) return;
    wave_gpu_clear(gpu);
    for (uint32_t d = 0; d < gpu->device_count; d++) device_close(&gpu->devices[d]);
    pool_free(gpu->pool);
    free(gpu->devices);
    free(gpu->results);
    free(gpu);
}

uint64_t wave_gpu_segment(const WaveGpu *gpu) {
    return group_curve_steps(gpu->study->info);
}

void wave_gpu_clear(WaveGpu *gpu) {
    for (uint32_t d = 0; d < gpu->device_count; d++) device_clear(&gpu->devices[d]);
}

/* ---- placing trials ---- */

static int by_step(const void *left, const void *right) {
    const Trial *a = *(Trial *const *)left, *b = *(Trial *const *)right;
    uint64_t step_a = trial_header(a)->step, step_b = trial_header(b)->step;
    if (step_a != step_b) return step_a < step_b ? -1 : 1;
    return a->number < b->number ? -1 : a->number > b->number;
}

/* The trials of a variant that the device gets, in order of their steps; how many. *dealt counts
 * the trials of the variants so far, which are dealt out one by one. */
static uint32_t choose(const WaveGpu *gpu, uint32_t device, const TuneVariant *variant,
                       Trial *trials, uint32_t count, uint32_t *dealt, Trial **chosen) {
    uint32_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (trials[i].variant != variant) continue;
        if ((*dealt)++ % gpu->device_count == device) chosen[used++] = &trials[i];
    }
    qsort(chosen, used, sizeof *chosen, by_step);
    return used;
}

static bool place_on(WaveGpu *gpu, uint32_t at, Trial *trials, uint32_t count,
                     const EvaluationRows *rows, uint32_t rows_count, Fail *fail) {
    const TuneStudy *info = gpu->study->info;
    WaveDevice *device = &gpu->devices[at];
    Trial **chosen = calloc(count + 1, sizeof(Trial *));
    device->groups = calloc(info->variant_count + 1, sizeof *device->groups);
    if (!chosen || !device->groups) abort();
    bool good = true;
    uint32_t dealt = 0;
    for (uint32_t v = 0; good && v < info->variant_count; v++) {
        uint32_t used = choose(gpu, at, &info->variants[v], trials, count, &dealt, chosen);
        if (!used) continue;
        good = device_share(device, &info->variants[v], used, rows, rows_count, fail) &&
               group_open(&device->groups[device->group_count], device, &info->variants[v], chosen,
                          used, rows, rows_count, fail);
        if (good) device->group_count++;
    }
    free(chosen);
    return good;
}

static bool place(WaveGpu *gpu, Trial *trials, uint32_t count, const EvaluationRows *rows,
                  uint32_t rows_count, Fail *fail) {
    bool good = true;
    for (uint32_t d = 0; good && d < gpu->device_count; d++)
        good = place_on(gpu, d, trials, count, rows, rows_count, fail);
    if (good) return true;
    wave_gpu_clear(gpu);
    if (!*fail->help) fail_help(fail, "run fewer trials at once with --wave N");
    return false;
}

static bool init_device(WaveDevice *device, Fail *fail) {
    for (uint32_t g = 0; g < device->group_count; g++)
        if (!group_init(&device->groups[g], fail) || !group_start(&device->groups[g], fail))
            return false;
    return gpu_wait(device->gpu, NULL, NULL, fail);
}

bool wave_gpu_begin(WaveGpu *gpu, Trial *trials, uint32_t count, bool fresh, Fail *fail) {
    const Study *study = gpu->study;
    if (!place(gpu, trials, count, study->evaluations, study->evaluation_count, fail)) return false;
    for (uint32_t d = 0; fresh && d < gpu->device_count; d++)
        if (!init_device(&gpu->devices[d], fail)) return false;
    return true;
}

bool wave_gpu_fetch(WaveGpu *gpu, const Trial *trial, Fail *fail) {
    for (uint32_t d = 0; d < gpu->device_count; d++)
        for (uint32_t g = 0; g < gpu->devices[d].group_count; g++) {
            WaveGroup *group = &gpu->devices[d].groups[g];
            for (uint32_t slot = 0; slot < group->count; slot++)
                if (group->trials[slot] == trial) return group_fetch(group, slot, fail);
        }
    abort(); /* a trial of another wave: our own mistake */
}

/* ---- segments ---- */

/* All groups' work goes into the stream before anything is waited for. */
static bool advance_device(WaveDevice *device, uint64_t target, bool evaluate, Fail *fail) {
    for (uint32_t g = 0; g < device->group_count; g++) {
        WaveGroup *group = &device->groups[g];
        if (!group_compact(group, fail) || !group_advance(group, target, fail)) return false;
        bool whole = evaluate && group->count && group->step[0] == target;
        for (uint32_t e = 0; whole && e < group->evaluation_count; e++)
            if (!group_evaluate(group, e, &whole, fail)) return false;
        group->queued_evaluation = whole;
    }
    return gpu_wait(device->gpu, NULL, NULL, fail);
}

static void share_seconds(WaveDevice *device, double seconds) {
    uint32_t trials = 0;
    for (uint32_t g = 0; g < device->group_count; g++) trials += device->groups[g].count;
    for (uint32_t g = 0; g < device->group_count; g++)
        for (uint32_t i = 0; i < device->groups[g].count; i++)
            device->groups[g].trials[i]->seconds += seconds / trials;
}

typedef struct {
    WaveGpu *gpu;
    uint64_t target;
    bool evaluate;
} Segment;

static void advance_task(void *context, uint32_t item, uint32_t worker) {
    (void)worker;
    Segment *segment = context;
    WaveDevice *device = &segment->gpu->devices[item];
    DeviceResult *result = &segment->gpu->results[item];
    double start = trial_clock();
    result->good = advance_device(device, segment->target, segment->evaluate, &result->fail);
    if (!result->good) return;
    share_seconds(device, trial_clock() - start);
    for (uint32_t g = 0; g < device->group_count; g++) group_collect(&device->groups[g]);
}

/* A task on every device, each on a thread of its own; the first failure. */
static bool on_devices(WaveGpu *gpu, PoolTask task, void *task_context, PoolTick tick,
                       void *context, Fail *fail) {
    memset(gpu->results, 0, gpu->device_count * sizeof *gpu->results);
    pool_run(gpu->pool, gpu->device_count, task, task_context, tick, context);
    for (uint32_t d = 0; d < gpu->device_count; d++) {
        if (gpu->results[d].good) continue;
        *fail = gpu->results[d].fail;
        return false;
    }
    return true;
}

bool wave_gpu_advance(WaveGpu *gpu, uint64_t target, bool evaluate, PoolTick tick, void *context,
                      Fail *fail) {
    Segment segment = {gpu, target, evaluate};
    for (uint32_t d = 0; d < gpu->device_count; d++)
        for (uint32_t g = 0; g < gpu->devices[d].group_count; g++)
            for (uint32_t i = 0; i < gpu->devices[d].groups[g].count; i++)
                gpu->devices[d].groups[g].trials[i]->evaluated = false;
    return on_devices(gpu, advance_task, &segment, tick, context, fail);
}

/* ---- trials of no wave ---- */

typedef struct {
    WaveGpu *gpu;
    const Trial *trials;
    double *metrics;
    bool *whole; /* [devices] */
} Test;

static void store_metrics(const Test *test, const WaveGroup *group) {
    uint32_t metrics = test->gpu->study->info->metric_count;
    for (uint32_t i = 0; i < group->count; i++) {
        size_t at = (size_t)(group->trials[i] - test->trials);
        for (uint32_t m = 0; m < metrics; m++)
            test->metrics[at * metrics + m] =
                group->variant->gpu->finish.count ? group_metrics(group, 0, i)[m] : NAN;
    }
}

static bool test_device(const Test *test, uint32_t at, Fail *fail) {
    WaveDevice *device = &test->gpu->devices[at];
    test->whole[at] = true;
    for (uint32_t g = 0; test->whole[at] && g < device->group_count; g++)
        if (!group_evaluate(&device->groups[g], 0, &test->whole[at], fail)) return false;
    if (!gpu_wait(device->gpu, NULL, NULL, fail)) return false;
    for (uint32_t g = 0; test->whole[at] && g < device->group_count; g++)
        store_metrics(test, &device->groups[g]);
    return true;
}

static void test_task(void *context, uint32_t item, uint32_t worker) {
    (void)worker;
    const Test *test = context;
    DeviceResult *result = &test->gpu->results[item];
    result->good = test_device(test, item, &result->fail);
}

bool wave_gpu_evaluate(WaveGpu *gpu, Trial *trials, uint32_t count, const EvaluationRows *rows,
                       double *metrics, bool *whole, PoolTick tick, void *context, Fail *fail) {
    Test test = {.gpu = gpu, .trials = trials, .metrics = metrics};
    test.whole = calloc(gpu->device_count, sizeof *test.whole);
    if (!test.whole) abort();
    bool good = place(gpu, trials, count, rows, 1, fail) &&
                on_devices(gpu, test_task, &test, tick, context, fail);
    *whole = good;
    for (uint32_t d = 0; d < gpu->device_count; d++) *whole = *whole && test.whole[d];
    wave_gpu_clear(gpu);
    free(test.whole);
    return good;
}

void wave_gpu_work_done(const WaveGpu *gpu, uint64_t *steps, uint64_t *examples) {
    *steps = __atomic_load_n(&gpu->work[0], __ATOMIC_RELAXED);
    *examples = __atomic_load_n(&gpu->work[1], __ATOMIC_RELAXED);
}
