/* One trial: its block, its steps, the moment it becomes infeasible. */
#include "runtime/trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/file.h"
#include "runtime/philox.h"

double trial_clock(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static double unix_time(void) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static uint64_t interval(const TuneStudy *info) {
    bool whole = !info->evaluate_every || info->evaluate_every > info->steps;
    return whole ? info->steps : info->evaluate_every;
}

bool trial_evaluation_due(const TuneStudy *info, uint64_t step) {
    if (step >= info->steps) return true;
    return step > 0 && info->evaluate_every && step % info->evaluate_every == 0;
}

TuneTrialHeader *trial_header(const Trial *trial) {
    return (TuneTrialHeader *)(void *)trial->block;
}

/* header | f64 values: of scalar hyperparameters that exist; 0 elsewhere, so that the block has one
 * meaning. */
static void block_init(const Study *study, Trial *trial) {
    const TuneStudy *info = study->info;
    philox_key(info->seed, trial->seed, PURPOSE_TRIAL, trial_header(trial)->key);
    uint64_t offset = (sizeof(TuneTrialHeader) + TUNE_ALIGN - 1) / TUNE_ALIGN * TUNE_ALIGN;
    double *values = (double *)(void *)(trial->block + offset);
    for (uint32_t h = 0; h < info->hyper_count; h++) {
        const TuneHyper *hyper = &info->hypers[h];
        if (hyper->structural || isnan(trial->values[h])) continue;
        values[h] = study_value_number(hyper, trial->values[h]);
    }
}

bool trial_new(const Study *study, uint32_t number, const double *values, Trial *trial,
               Fail *fail) {
    const TuneStudy *info = study->info;
    *trial = (Trial){.number = number, .started = unix_time()};
    trial->point = number / info->seeds;
    trial->seed = number % info->seeds;
    if (!study_variant(study, values, &trial->variant_number, fail)) return false;
    trial->variant = &info->variants[trial->variant_number];
    trial->values = calloc(info->hyper_count + 1, sizeof *trial->values);
    trial->metrics =
        calloc((size_t)study->evaluation_count * info->metric_count + 1, sizeof *trial->metrics);
    trial->block = file_aligned(trial->variant->trial_bytes);
    bool curve = curve_init(&trial->curve, interval(info));
    if (!curve || !trial->values || !trial->metrics || !trial->block) {
        trial_free(trial);
        fail_set(fail, "out of memory for trial %u", number);
        return fail_help(fail, "run fewer trials at once with --wave N");
    }
    memcpy(trial->values, values, info->hyper_count * sizeof *values);
    block_init(study, trial);
    return true;
}

bool trial_copy(const Study *study, const Trial *trial, Trial *copy, Fail *fail) {
    if (!trial_new(study, trial->number, trial->values, copy, fail)) return false;
    memcpy(copy->block, trial->block, trial->variant->trial_bytes);
    return true;
}

void trial_free(Trial *trial) {
    curve_release(&trial->curve);
    free(trial->values);
    free(trial->metrics);
    free(trial->block);
    *trial = (Trial){0};
}

bool scratch_new(const Study *study, Scratch *scratch, Fail *fail) {
    const TuneStudy *info = study->info;
    uint64_t memory = 0, batch = 0, real = info->real == TUNE_F64 ? 8 : 4;
    for (uint32_t v = 0; v < info->variant_count; v++) {
        if (info->variants[v].scratch_bytes > memory) memory = info->variants[v].scratch_bytes;
        if (info->variants[v].evaluate_batch > batch) batch = info->variants[v].evaluate_batch;
    }
    uint64_t stride = (batch * real + 63) / 64 * 64;
    *scratch = (Scratch){0};
    scratch->memory = file_aligned(memory);
    scratch->example_memory = file_aligned(stride * info->total_count);
    scratch->examples = calloc(info->total_count + 1, sizeof *scratch->examples);
    scratch->totals = calloc(info->total_count + 1, sizeof *scratch->totals);
    scratch->steps = file_aligned(TUNE_ALIGN);
    if (!scratch->memory || !scratch->example_memory || !scratch->examples || !scratch->totals ||
        !scratch->steps) {
        scratch_free(scratch);
        fail_set(fail, "out of memory for a thread's scratch of %llu bytes",
                 (unsigned long long)memory);
        return fail_help(fail, "use fewer threads with --threads N");
    }
    for (uint32_t t = 0; t < info->total_count; t++)
        scratch->examples[t] = scratch->example_memory + t * stride;
    return true;
}

void scratch_free(Scratch *scratch) {
    free(scratch->memory);
    free(scratch->example_memory);
    free(scratch->examples);
    free(scratch->totals);
    free(scratch->steps);
    *scratch = (Scratch){0};
}

bool scratch_stopped(const Scratch *scratch) {
    return scratch->stop && __atomic_load_n(scratch->stop, __ATOMIC_RELAXED);
}

static TuneContext training_context(const Study *study, const Trial *trial,
                                    const Scratch *scratch) {
    return (TuneContext){
        .trial = trial->block, .scratch = scratch->memory, .fields = study->data.fields};
}

void trial_begin(const Study *study, Trial *trial, const Scratch *scratch) {
    TuneContext context = training_context(study, trial, scratch);
    if (trial->variant->init) trial->variant->init(&context);
    start_apply(study, trial->variant_number, trial->block);
}

void trial_train(const Study *study, Trial *trial, const Scratch *scratch, const int32_t *index,
                 uint64_t steps) {
    TuneTrialHeader *header = trial_header(trial);
    if (!trial->variant->train) {
        header->step += steps;
        return;
    }
    TuneContext context = training_context(study, trial, scratch);
    for (uint64_t s = 0; s < steps && !scratch_stopped(scratch); s++) {
        context.index = index ? index + s * trial->variant->batch : NULL;
        trial->variant->train(&context);
        __atomic_store_n(&scratch->steps[0], scratch->steps[0] + 1, __ATOMIC_RELAXED);
        __atomic_store_n(&scratch->steps[1], scratch->steps[1] + trial->variant->batch,
                         __ATOMIC_RELAXED);
        curve_add(&trial->curve, header->loss, header->grad_norm);
        if (isfinite(header->loss) && isfinite(header->grad_norm)) continue;
        trial->status = TRIAL_INFEASIBLE;
        trial->infeasible_step = header->step;
        return;
    }
}

static const double *selected(const Study *study, const Trial *trial) {
    const TuneStudy *info = study->info;
    for (uint32_t e = 0; e < study->evaluation_count; e++)
        if (study->evaluations[e].split == info->select_split)
            return &trial->metrics[(size_t)e * info->metric_count + info->select_metric];
    return NULL;
}

double trial_selected(const Study *study, const Trial *trial) {
    const double *value = selected(study, trial);
    return value ? *value : NAN;
}

void trial_evaluate(const Study *study, Trial *trial, const Scratch *scratch) {
    uint32_t metrics = study->info->metric_count;
    for (uint32_t e = 0; e < study->evaluation_count; e++)
        if (!evaluate(study, trial, scratch, &study->evaluations[e],
                      trial->metrics + (size_t)e * metrics))
            return;
    trial->evaluated = true;
    if (isfinite(trial_selected(study, trial))) return;
    trial->status = TRIAL_INFEASIBLE;
    trial->infeasible_step = trial_header(trial)->step;
}
