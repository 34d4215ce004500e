/* Waves: trials side by side on the threads of a pool, with barriers where the study looks at them.
 */
#include "runtime/wave.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/file.h"

#define WAVE_ROWS (1u << 20) /* entries of an index table, unless one step needs more */
#define SEGMENT_SECONDS 2.0
#define FIRST_SEGMENT 16

static uint64_t largest_batch(const TuneStudy *info) {
    uint64_t largest = 1;
    for (uint32_t v = 0; v < info->variant_count; v++)
        if (info->variants[v].batch > largest) largest = info->variants[v].batch;
    return largest;
}

static uint64_t table_steps(const TuneStudy *info) {
    uint64_t steps = WAVE_ROWS / largest_batch(info);
    return steps ? steps : 1;
}

static WaveBatch *batch_of(const Wave *wave, uint64_t batch) {
    for (uint32_t b = 0; b < wave->batch_count; b++)
        if (wave->batches[b].batch == batch) return &wave->batches[b];
    return NULL;
}

static bool batches_init(Wave *wave) {
    const TuneStudy *info = wave->study->info;
    wave->batches = calloc(info->variant_count + 1, sizeof *wave->batches);
    if (!wave->batches) return false;
    for (uint32_t v = 0; v < info->variant_count; v++) {
        uint64_t batch = info->variants[v].batch;
        if (!wave->study->has_data || !info->variants[v].train || batch_of(wave, batch)) continue;
        uint64_t steps = table_steps(info) < info->steps ? table_steps(info) : info->steps;
        int32_t *index = malloc((steps * batch + 1) * sizeof *index);
        if (!index) return false;
        wave->batches[wave->batch_count++] = (WaveBatch){batch, index};
    }
    return true;
}

/* Enough for the threads, within half the memory. */
static uint32_t cpu_capacity(const Study *study, uint32_t threads) {
    const TuneStudy *info = study->info;
    uint64_t bytes = 1, capacity = threads > 16 ? threads : 16;
    for (uint32_t v = 0; v < info->variant_count; v++)
        if (info->variants[v].trial_bytes > bytes) bytes = info->variants[v].trial_bytes;
    uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 2;
    if (capacity > memory / bytes) capacity = memory / bytes;
    if (capacity > study_trials(study)) capacity = study_trials(study);
    return capacity ? (uint32_t)capacity : 1;
}

static bool cpu_init(Wave *wave, Fail *fail) {
    if (!wave->capacity) wave->capacity = cpu_capacity(wave->study, pool_threads(wave->pool));
    wave->scratches = calloc(pool_threads(wave->pool), sizeof *wave->scratches);
    bool good = wave->scratches && batches_init(wave);
    if (!good) fail_set(fail, "out of memory for a wave of %u trials", wave->capacity);
    for (uint32_t i = 0; good && i < pool_threads(wave->pool); i++) {
        good = scratch_new(wave->study, &wave->scratches[i], fail);
        wave->scratches[i].stop = &wave->stop;
        if (good) wave->scratch_count++;
    }
    return good;
}

static bool gpu_init(Wave *wave, Fail *fail) {
    wave->gpu = wave_gpu_new(wave->study, wave->devices, &wave->stop, fail);
    if (!wave->gpu || !wave_gpu_size(wave->gpu, wave->capacity, &wave->size, fail)) return false;
    wave->capacity = wave->size.trials;
    return true;
}

bool wave_init(Wave *wave, const Study *study, Pool *pool, const Devices *devices,
               uint32_t capacity, Fail *fail) {
    *wave = (Wave){.study = study, .pool = pool, .capacity = capacity, .limit = FIRST_SEGMENT};
    if (devices && devices->count) wave->devices = devices;
    bool good = wave->devices ? gpu_init(wave, fail) : cpu_init(wave, fail);
    if (good) {
        wave->trials = calloc(wave->capacity, sizeof *wave->trials);
        wave->order = calloc(wave->capacity, sizeof *wave->order);
        good = wave->trials && wave->order;
        if (!good) fail_set(fail, "out of memory for a wave of %u trials", wave->capacity);
    }
    if (!good) wave_release(wave);
    return good;
}

void wave_clear(Wave *wave) {
    if (wave->gpu) wave_gpu_clear(wave->gpu);
    for (uint32_t i = 0; i < wave->count; i++) trial_free(&wave->trials[i]);
    wave->count = 0;
    wave->step = 0;
}

void wave_release(Wave *wave) {
    wave_clear(wave);
    wave_gpu_free(wave->gpu);
    for (uint32_t i = 0; i < wave->scratch_count; i++) scratch_free(&wave->scratches[i]);
    for (uint32_t b = 0; b < wave->batch_count; b++) free(wave->batches[b].index);
    free(wave->batches);
    free(wave->scratches);
    free(wave->order);
    free(wave->trials);
    *wave = (Wave){0};
}

bool wave_add(Wave *wave, uint32_t number, const double *values, Fail *fail) {
    if (!trial_new(wave->study, number, values, &wave->trials[wave->count], fail)) return false;
    uint32_t at = wave->count++;
    double flops = wave->trials[at].variant->step_flops;
    uint32_t place = at;
    while (place && wave->trials[wave->order[place - 1]].variant->step_flops < flops) {
        wave->order[place] = wave->order[place - 1];
        place--;
    }
    wave->order[place] = at;
    return true;
}

static void begin_task(void *context, uint32_t item, uint32_t worker) {
    Wave *wave = context;
    trial_begin(wave->study, &wave->trials[item], &wave->scratches[worker]);
}

bool wave_begin(Wave *wave, Fail *fail) {
    wave->step = 0;
    if (wave->gpu) return wave_gpu_begin(wave->gpu, wave->trials, wave->count, true, fail);
    pool_run(wave->pool, wave->count, begin_task, wave, NULL, NULL);
    return true;
}

bool wave_continue(Wave *wave, uint64_t step, Fail *fail) {
    wave->step = step;
    return !wave->gpu || wave_gpu_begin(wave->gpu, wave->trials, wave->count, false, fail);
}

static void rows_task(void *context, uint32_t item, uint32_t worker) {
    (void)worker;
    Wave *wave = context;
    for (uint32_t b = 0; b < wave->batch_count; b++) {
        uint64_t batch = wave->batches[b].batch;
        data_train_index(&wave->study->data, wave->study->info->seed, wave->step + item, batch,
                         wave->batches[b].index + item * batch);
    }
}

/* Of this segment: not 0 only where an earlier one was left. */
static uint64_t steps_done(const Wave *wave, const Trial *trial) {
    return trial_header(trial)->step - wave->step;
}

static void trial_task(void *context, uint32_t item, uint32_t worker) {
    Wave *wave = context;
    Trial *trial = &wave->trials[wave->order[item]];
    if (trial->status != TRIAL_RUNNING) return;
    const Scratch *scratch = &wave->scratches[worker];
    double start = trial_clock();
    const WaveBatch *batch = batch_of(wave, trial->variant->batch);
    uint64_t done = steps_done(wave, trial);
    const int32_t *index = batch ? batch->index + done * batch->batch : NULL;
    trial->evaluated = false;
    if (done < wave->segment) trial_train(wave->study, trial, scratch, index, wave->segment - done);
    if (wave->evaluating && trial->status == TRIAL_RUNNING &&
        steps_done(wave, trial) >= wave->segment)
        trial_evaluate(wave->study, trial, scratch);
    trial->seconds += trial_clock() - start;
}

/* Whether every trial that runs came to the end of the segment. */
static bool segment_whole(const Wave *wave) {
    for (uint32_t i = 0; i < wave->count; i++) {
        const Trial *trial = &wave->trials[i];
        if (trial->status != TRIAL_RUNNING) continue;
        if (steps_done(wave, trial) < wave->segment) return false;
        if (wave->evaluating && !trial->evaluated) return false;
    }
    return true;
}

/* Up to the next evaluation, the end of the index table, or about two seconds. */
static uint64_t segment_steps(const Wave *wave) {
    const TuneStudy *info = wave->study->info;
    uint64_t most = wave->gpu ? wave_gpu_segment(wave->gpu) : table_steps(info);
    if (wave->limit < most) most = wave->limit;
    uint64_t left = info->steps - wave->step;
    if (info->evaluate_every) {
        uint64_t next = info->evaluate_every - wave->step % info->evaluate_every;
        if (next < left) left = next;
    }
    return left < most ? left : most;
}

static void limit_adapt(Wave *wave, double seconds) {
    if (!wave->segment) return;
    double steps = (double)wave->segment * SEGMENT_SECONDS / (seconds + 1e-6);
    wave->limit = steps < 1 ? 1 : steps > 1e9 ? 1000000000 : (uint64_t)steps;
}

static void cpu_advance(Wave *wave, PoolTick tick, void *tick_context) {
    if (wave->batch_count)
        pool_run(wave->pool, (uint32_t)wave->segment, rows_task, wave, NULL, NULL);
    pool_run(wave->pool, wave->count, trial_task, wave, tick, tick_context);
}

bool wave_advance(Wave *wave, PoolTick tick, void *tick_context, Fail *fail) {
    wave->segment = segment_steps(wave);
    wave->evaluating = trial_evaluation_due(wave->study->info, wave->step + wave->segment);
    wave->evaluated = false;
    double start = trial_clock();
    if (!wave->gpu)
        cpu_advance(wave, tick, tick_context);
    else if (!wave_gpu_advance(wave->gpu, wave->step + wave->segment, wave->evaluating, tick,
                               tick_context, fail))
        return false;
    if (!segment_whole(wave)) {
        for (uint32_t i = 0; i < wave->count; i++)
            if (wave->trials[i].status == TRIAL_RUNNING) wave->trials[i].evaluated = false;
        return true;
    }
    limit_adapt(wave, trial_clock() - start);
    wave->step += wave->segment;
    wave->evaluated = wave->evaluating;
    return true;
}

bool wave_fetch(Wave *wave, const Trial *trial, Fail *fail) {
    return !wave->gpu || wave_gpu_fetch(wave->gpu, trial, fail);
}

/* ---- trials of no wave ---- */

typedef struct {
    const Wave *wave;
    const Trial *trials;
    const EvaluationRows *rows;
    double *metrics; /* [count][metric_count] */
    bool left;       /* written and read atomically */
} Evaluation;

static void evaluation_task(void *context, uint32_t item, uint32_t worker) {
    Evaluation *task = context;
    const Study *study = task->wave->study;
    double *metrics = task->metrics + (size_t)item * study->info->metric_count;
    if (!evaluate(study, &task->trials[item], &task->wave->scratches[worker], task->rows, metrics))
        __atomic_store_n(&task->left, true, __ATOMIC_RELAXED);
}

bool wave_evaluate(Wave *wave, Trial *trials, uint32_t count, const EvaluationRows *rows,
                   double *metrics, bool *whole, PoolTick tick, void *tick_context, Fail *fail) {
    if (wave->gpu)
        return wave_gpu_evaluate(wave->gpu, trials, count, rows, metrics, whole, tick, tick_context,
                                 fail);
    Evaluation task = {.wave = wave, .trials = trials, .rows = rows, .metrics = metrics};
    pool_run(wave->pool, count, evaluation_task, &task, tick, tick_context);
    *whole = !task.left;
    return true;
}

void wave_stop(Wave *wave) {
    __atomic_store_n(&wave->stop, true, __ATOMIC_RELAXED);
}

uint32_t wave_running(const Wave *wave) {
    uint32_t running = 0;
    for (uint32_t i = 0; i < wave->count; i++) running += wave->trials[i].status == TRIAL_RUNNING;
    return running;
}

void wave_work_done(const Wave *wave, uint64_t *steps, uint64_t *examples) {
    *steps = *examples = 0;
    if (wave->gpu) wave_gpu_work_done(wave->gpu, steps, examples);
    for (uint32_t i = 0; i < wave->scratch_count; i++) {
        *steps += __atomic_load_n(&wave->scratches[i].steps[0], __ATOMIC_RELAXED);
        *examples += __atomic_load_n(&wave->scratches[i].steps[1], __ATOMIC_RELAXED);
    }
}
