/* How many trials a wave on GPUs has: what the exact plan of memory allows, and what saturates the
 * device. The probe times training steps of 1, 2, 4, … trials of the first variant; they are
 * scratch work that no result comes from. */
#include "runtime/wave_gpu_device.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#define PROBE_STEPS 16
#define PROBE_TRIES 3
#define PROBE_STEPS_VIRTUAL 1 /* whose time is counted, not measured */
#define WORTHWHILE 1.1        /* what twice the trials must gain */

static uint64_t hungriest(const Study *study) {
    uint64_t most = 1;
    for (uint32_t v = 0; v < study->info->variant_count; v++) {
        uint64_t bytes = group_trial_bytes(study, &study->info->variants[v]);
        if (bytes > most) most = bytes;
    }
    return most;
}

/* Trials that the fullest device holds. */
static bool memory_trials(const WaveGpu *gpu, uint32_t *trials, Fail *fail) {
    *trials = UINT32_MAX;
    for (uint32_t d = 0; d < gpu->device_count; d++) {
        uint64_t bytes;
        if (!device_free_bytes(&gpu->devices[d], gpu->set->memory, &bytes, fail)) return false;
        uint64_t fit = bytes / hungriest(gpu->study);
        if (fit < *trials) *trials = (uint32_t)fit;
    }
    return true;
}

/* Training that nobody looks at. */
static bool run_steps(WaveGroup *group, uint64_t steps, Fail *fail) {
    Gpu *gpu = group->device->gpu;
    bool good = gpu_mark(gpu, 0, fail) && group_train(group, group->count, steps, fail) &&
                gpu_mark(gpu, 1, fail) && gpu_wait(gpu, NULL, NULL, fail);
    group->queued_steps = 0;
    group->queued_trials = 0;
    return good;
}

/* Milliseconds of a few steps, the least of some tries behind one that warms up. */
static bool time_steps(WaveGroup *group, bool is_virtual, double *milliseconds, Fail *fail) {
    uint64_t steps = is_virtual ? PROBE_STEPS_VIRTUAL : PROBE_STEPS;
    uint64_t most = group_curve_steps(group->device->study->info);
    uint32_t tries = is_virtual ? 1 : PROBE_TRIES;
    if (steps > most) steps = most;
    *milliseconds = INFINITY;
    if (!run_steps(group, steps, fail)) return false;
    for (uint32_t i = 0; i < tries; i++) {
        double now;
        if (!run_steps(group, steps, fail) || !gpu_marked_time(group->device->gpu, &now, fail))
            return false;
        if (now < *milliseconds) *milliseconds = now;
    }
    return true;
}

static bool probe(WaveGpu *gpu, Trial *trial, uint32_t count, double *rate, Fail *fail) {
    WaveDevice *device = &gpu->devices[0];
    WaveGroup group;
    Trial **trials = calloc(count, sizeof(Trial *));
    if (!trials) abort();
    for (uint32_t i = 0; i < count; i++) trials[i] = trial;
    bool is_virtual = gpu_driver_is_virtual(gpu->set->driver);
    double milliseconds = 0;
    bool good = device_share(device, trial->variant, count, NULL, 0, fail) &&
                group_open(&group, device, trial->variant, trials, count, NULL, 0, fail);
    if (good) {
        good = group_init(&group, fail) && time_steps(&group, is_virtual, &milliseconds, fail);
        group_close(&group);
    }
    free(trials);
    *rate = count / (milliseconds + 1e-9);
    return good;
}

/* *trials: at most as many as it was; fewer when more are not worth while. *measured: whether there
 * was something to train. */
static bool saturation(WaveGpu *gpu, uint32_t *trials, bool *measured, Fail *fail) {
    const Study *study = gpu->study;
    Trial trial = {0};
    double *values = calloc(study->info->hyper_count + 1, sizeof *values);
    if (!values) abort();
    bool good = study_values(study, 0, values, fail) && trial_new(study, 0, values, &trial, fail);
    free(values);
    double before = 0, rate;
    uint32_t worth = 1;
    bool more = good && trial.variant->gpu->train.count;
    *measured = more;
    if (!more) worth = *trials;
    for (uint32_t count = 1; more && count <= *trials; count *= 2) {
        good = probe(gpu, &trial, count, &rate, fail);
        more = good && (count == 1 || rate >= before * WORTHWHILE) && !device_stopped(gpu->devices);
        if (more) worth = count * 2 > *trials ? *trials : count;
        before = rate;
    }
    trial_free(&trial);
    *trials = worth;
    return good;
}

static bool too_many(const WaveGpu *gpu, uint32_t wanted, uint32_t memory, Fail *fail) {
    fail_set(fail, "a trial takes %" PRIu64 " bytes of a GPU's memory: %u fit, not %u",
             hungriest(gpu->study), memory, wanted);
    if (memory) return fail_help(fail, "run fewer at once with --wave %u", memory);
    return fail_help(fail, gpu->set->memory ? "allow more with --device-memory"
                                            : "make the model smaller, or free the GPU's memory");
}

bool wave_gpu_size(WaveGpu *gpu, uint32_t wanted, WaveSize *size, Fail *fail) {
    uint32_t devices = gpu->device_count, trials = study_trials(gpu->study), each;
    *size = (WaveSize){0};
    if (!memory_trials(gpu, &each, fail)) return false;
    size->memory = each > UINT32_MAX / devices ? UINT32_MAX : each * devices;
    if (!each || wanted > size->memory)
        return too_many(gpu, wanted ? wanted : 1, size->memory, fail);
    size->trials = wanted;
    if (wanted) return true;
    if (each > (trials + devices - 1) / devices) each = (trials + devices - 1) / devices;
    bool measured;
    if (!saturation(gpu, &each, &measured, fail)) return false;
    gpu->work[0] = gpu->work[1] = 0; /* the probe's */
    if (measured) size->saturation = each * devices;
    size->trials = each * devices < trials ? each * devices : trials;
    return true;
}
