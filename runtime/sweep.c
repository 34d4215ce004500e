/* The study loop. Everything that is stored is decided here, on one thread, in the order of trials.
 */
#include "runtime/sweep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/file.h"
#include "runtime/progress.h"
#include "runtime/snapshot.h"

typedef struct {
    const Study *study;
    Store *store;
    const SweepOptions *options;
    Pool *pool;
    Wave wave;
    Ranking ranking;
    Snapshot snapshot;
    Progress progress;
    char *checkpoints, *snapshot_path;
    uint64_t identity;
    bool *over;     /* [trials] ended, in the store */
    uint32_t next;  /* first trial that may not be over */
    double *values; /* [hyper_count] */
    Trial *held;    /* [keep] copies of blocks that entered the ranking since the last commit */
    uint32_t held_count;
    bool changed; /* the ranking, since then */
    double commit_time, snapshot_time;
    bool snapshot_stands;
} Sweep;

static uint64_t study_identity(const Study *study) {
    char *settings = study_settings_text(study);
    uint64_t hash = file_hash(FILE_HASH, settings, strlen(settings));
    free(settings);
    hash = file_hash(hash, study->info->name, strlen(study->info->name));
    hash = file_hash(hash, &study->program->fingerprint, sizeof study->program->fingerprint);
    if (study->on_gpu)
        hash = file_hash(hash, &study->program->gpu_fingerprint,
                         sizeof study->program->gpu_fingerprint);
    return file_hash(hash, &study->data_fingerprint, sizeof study->data_fingerprint);
}

static char *kept_path(const Sweep *sweep, const Kept *kept) {
    char name[80];
    checkpoint_name(kept->trial, kept->step, name, sizeof name);
    return file_text("%s/%s", sweep->checkpoints, name);
}

/* ---- start ---- */

static bool keep_checkpoint(const void *context, const char *name) {
    return !checkpoint_is_name(name) || ranking_has_name(context, name);
}

static bool keep_whole(const void *context, const char *name) {
    (void)context;
    size_t length = strlen(name);
    return length < 4 || strcmp(name + length - 4, ".tmp") != 0;
}

static bool check_kept(const Sweep *sweep, Fail *fail) {
    for (uint32_t i = 0; i < sweep->ranking.count; i++) {
        char *path = kept_path(sweep, &sweep->ranking.kept[i]);
        bool there = access(path, R_OK) == 0;
        if (!there) {
            fail_set(fail, "the kept checkpoint '%s' cannot be read: %s", path, strerror(errno));
            fail_help(fail, "put it back, or start anew with --store DIR");
        }
        free(path);
        if (!there) return false;
    }
    return true;
}

static uint32_t count_over(const Sweep *sweep) {
    uint32_t over = 0;
    for (uint32_t t = 0; t < study_trials(sweep->study); t++) over += sweep->over[t];
    return over;
}

static bool load_over(Sweep *sweep, Fail *fail) {
    StoredTrial *trials;
    uint32_t count;
    if (!store_trials(sweep->store, sweep->study, &trials, &count, fail)) return false;
    for (uint32_t i = 0; i < count; i++)
        if (trials[i].number < study_trials(sweep->study) && trials[i].status != TRIAL_RUNNING)
            sweep->over[trials[i].number] = true;
    free(trials);
    return true;
}

static bool sweep_init(Sweep *sweep, Fail *fail) {
    const Study *study = sweep->study;
    const SweepOptions *options = sweep->options;
    sweep->identity = study_identity(study);
    sweep->checkpoints = file_text("%s/checkpoints", options->directory);
    sweep->snapshot_path = file_text("%s/snapshot", options->directory);
    sweep->over = calloc(study_trials(study) + 1, sizeof *sweep->over);
    sweep->values = calloc(study->info->hyper_count + 1, sizeof *sweep->values);
    bool ranking = ranking_init(&sweep->ranking, study->info->keep, study->info->maximize);
    sweep->held = calloc((size_t)study->info->keep + 1, sizeof *sweep->held);
    if (!sweep->over || !sweep->values || !sweep->held || !ranking)
        return fail_set(fail, "out of memory");
    if (!store_load_ranking(sweep->store, &sweep->ranking, fail) || !load_over(sweep, fail) ||
        !check_kept(sweep, fail) ||
        !file_sweep_directory(sweep->checkpoints, keep_checkpoint, &sweep->ranking, fail) ||
        !file_sweep_directory(options->directory, keep_whole, NULL, fail))
        return false;
    sweep->pool = pool_new(options->threads, fail);
    if (!sweep->pool) return false;
    uint32_t trials = study_trials(study);
    uint32_t wave = options->wave < trials ? options->wave : trials;
    if (!wave_init(&sweep->wave, study, sweep->pool, options->devices, wave, fail)) return false;
    snapshot_read(sweep->snapshot_path, sweep->identity, &sweep->snapshot);
    sweep->snapshot_stands = sweep->snapshot.count > 0;
    progress_begin(&sweep->progress, study, &sweep->wave, count_over(sweep), options->threads);
    if (sweep->ranking.count)
        progress_best(&sweep->progress, sweep->ranking.kept[0].trial, sweep->ranking.kept[0].value);
    return true;
}

static void sweep_release(Sweep *sweep) {
    snapshot_release(&sweep->snapshot);
    wave_release(&sweep->wave);
    pool_free(sweep->pool);
    ranking_release(&sweep->ranking);
    for (uint32_t i = 0; i < sweep->held_count; i++) trial_free(&sweep->held[i]);
    free(sweep->held);
    free(sweep->values);
    free(sweep->over);
    free(sweep->checkpoints);
    free(sweep->snapshot_path);
}

/* ---- waves ---- */

static bool add_trial(Sweep *sweep, uint32_t number, Fail *fail) {
    uint32_t point = number / sweep->study->info->seeds;
    if (study_values(sweep->study, point, sweep->values, fail) &&
        wave_add(&sweep->wave, number, sweep->values, fail))
        return true;
    return fail_context(fail, "trial %u", number);
}

/* Trials of the snapshot that did not end after it was written. */
static bool continue_wave(Sweep *sweep, Fail *fail) {
    uint32_t number;
    Wave *wave = &sweep->wave;
    while (wave->count < wave->capacity && snapshot_peek(&sweep->snapshot, &number)) {
        if (number >= study_trials(sweep->study) || sweep->over[number]) {
            sweep->snapshot.next++;
            continue;
        }
        if (!add_trial(sweep, number, fail)) return false;
        if (!snapshot_take(&sweep->snapshot, &wave->trials[wave->count - 1])) {
            wave_clear(wave); /* not from this program after all: from step 0, then */
            snapshot_release(&sweep->snapshot);
            return true;
        }
    }
    if (wave->count && !wave_continue(wave, sweep->snapshot.step, fail)) return false;
    sweep->progress.steps_saved += wave->count * sweep->snapshot.step;
    return true;
}

static bool in_snapshot(const Sweep *sweep, uint32_t number) {
    Snapshot rest = sweep->snapshot;
    uint32_t stored;
    for (; snapshot_peek(&rest, &stored); rest.next++)
        if (stored == number) return true;
    return false;
}

static bool new_wave(Sweep *sweep, Fail *fail) {
    Wave *wave = &sweep->wave;
    for (uint32_t t = sweep->next; t < study_trials(sweep->study) && wave->count < wave->capacity;
         t++)
        if (!sweep->over[t] && !in_snapshot(sweep, t) && !add_trial(sweep, t, fail)) return false;
    return wave_begin(wave, fail);
}

/* The next wave, empty when all trials are over; its trials stand in the store as running. */
static bool next_wave(Sweep *sweep, Fail *fail) {
    Wave *wave = &sweep->wave;
    wave_clear(wave);
    while (sweep->next < study_trials(sweep->study) && sweep->over[sweep->next]) sweep->next++;
    if (!continue_wave(sweep, fail)) return false;
    if (!wave->count && !new_wave(sweep, fail)) return false;
    bool good = !wave->count || store_begin(sweep->store, fail);
    for (uint32_t i = 0; good && i < wave->count; i++)
        good = store_trial_start(sweep->store, sweep->study, &wave->trials[i], fail);
    return good;
}

/* ---- barriers ---- */

static const Kept *kept_of(const Ranking *ranking, const Trial *trial) {
    for (uint32_t i = 0; i < ranking->count; i++)
        if (ranking->kept[i].trial == trial->number &&
            ranking->kept[i].step == trial_header(trial)->step)
            return &ranking->kept[i];
    return NULL;
}

/* Offers the evaluations in the order of trials, then copies the blocks of those that are in. */
static bool offer_checkpoints(Sweep *sweep, Fail *fail) {
    Wave *wave = &sweep->wave;
    bool changed = false;
    for (uint32_t i = 0; i < wave->count; i++) {
        const Trial *trial = &wave->trials[i];
        if (trial->recorded || !trial->evaluated || trial->status == TRIAL_INFEASIBLE) continue;
        if (ranking_offer(&sweep->ranking, trial->number, wave->step,
                          trial_selected(sweep->study, trial)))
            changed = true;
    }
    if (!changed) return true;
    sweep->changed = true;
    uint32_t left = 0;
    for (uint32_t i = 0; i < sweep->held_count; i++)
        if (kept_of(&sweep->ranking, &sweep->held[i]))
            sweep->held[left++] = sweep->held[i];
        else
            trial_free(&sweep->held[i]);
    sweep->held_count = left;
    for (uint32_t i = 0; i < wave->count; i++) {
        const Trial *trial = &wave->trials[i];
        if (trial->recorded || !trial->evaluated || !kept_of(&sweep->ranking, trial)) continue;
        if (!wave_fetch(wave, trial, fail) ||
            !trial_copy(sweep->study, trial, &sweep->held[sweep->held_count], fail))
            return false;
        sweep->held_count++;
    }
    return true;
}

static bool write_checkpoints(Sweep *sweep, Fail *fail) {
    bool good = true;
    for (uint32_t i = 0; good && i < sweep->held_count; i++) {
        const Kept *kept = kept_of(&sweep->ranking, &sweep->held[i]);
        char *path = kept_path(sweep, kept);
        good = checkpoint_write(sweep->study, &sweep->held[i], kept->value, path, fail);
        free(path);
    }
    return good;
}

/* Makes everything so far durable, in the order that sweep.h explains. */
static bool commit(Sweep *sweep, Fail *fail) {
    sweep->commit_time = trial_clock();
    if (!write_checkpoints(sweep, fail)) return false;
    if (sweep->changed && !(store_begin(sweep->store, fail) &&
                            store_checkpoints(sweep->store, &sweep->ranking, fail)))
        return false;
    if (!store_commit(sweep->store, fail)) return false;
    for (uint32_t i = 0; i < sweep->held_count; i++) trial_free(&sweep->held[i]);
    sweep->held_count = 0;
    if (!sweep->changed) return true;
    sweep->changed = false;
    return file_sweep_directory(sweep->checkpoints, keep_checkpoint, &sweep->ranking, fail);
}

static bool store_trial(Sweep *sweep, const Trial *trial, Fail *fail) {
    const Study *study = sweep->study;
    bool good = true;
    for (uint32_t e = 0; good && trial->evaluated && e < study->evaluation_count; e++)
        good = store_evaluation(sweep->store, study, trial->number, trial_header(trial)->step,
                                study->evaluations[e].split,
                                trial->metrics + (size_t)e * study->info->metric_count, fail);
    if (good && (trial->evaluated || trial->status == TRIAL_INFEASIBLE))
        good = store_curve(sweep->store, trial, fail);
    return good && (trial->status == TRIAL_RUNNING || store_trial_end(sweep->store, trial, fail));
}

static bool store_trials_of_wave(Sweep *sweep, Fail *fail) {
    bool good = store_begin(sweep->store, fail);
    for (uint32_t i = 0; good && i < sweep->wave.count; i++)
        if (!sweep->wave.trials[i].recorded)
            good = store_trial(sweep, &sweep->wave.trials[i], fail);
    return good;
}

/* What stands in the transaction need not be held any longer. */
static void forget_stored(Sweep *sweep) {
    for (uint32_t i = 0; i < sweep->wave.count; i++) {
        Trial *trial = &sweep->wave.trials[i];
        if (trial->recorded) continue;
        if (trial->evaluated) curve_restart(&trial->curve, sweep->wave.step);
        if (trial->status == TRIAL_RUNNING) continue;
        if (trial->status == TRIAL_INFEASIBLE)
            sweep->progress.steps_saved += sweep->study->info->steps - trial->infeasible_step;
        trial->recorded = true;
        sweep->over[trial->number] = true;
        sweep->progress.trials_done++;
    }
}

static bool nothing_to_store(const Wave *wave) {
    for (uint32_t i = 0; i < wave->count; i++) {
        const Trial *trial = &wave->trials[i];
        if (!trial->recorded && (trial->evaluated || trial->status != TRIAL_RUNNING)) return false;
    }
    return true;
}

static bool barrier(Sweep *sweep, Fail *fail) {
    Wave *wave = &sweep->wave;
    for (uint32_t i = 0; i < wave->count; i++)
        if (wave->trials[i].status == TRIAL_RUNNING && wave->step >= sweep->study->info->steps)
            wave->trials[i].status = TRIAL_DONE;
    if (nothing_to_store(wave)) return true;
    if (!offer_checkpoints(sweep, fail) || !store_trials_of_wave(sweep, fail)) return false;
    forget_stored(sweep);
    if (sweep->ranking.count)
        progress_best(&sweep->progress, sweep->ranking.kept[0].trial, sweep->ranking.kept[0].value);
    double since = trial_clock() - sweep->commit_time;
    return since < sweep->options->sync_seconds || commit(sweep, fail);
}

/* Of what is committed: rows that a trial wrote before its snapshot are not written again. */
static bool take_snapshot(Sweep *sweep, bool now, Fail *fail) {
    bool due = now || (sweep->wave.step &&
                       trial_clock() - sweep->snapshot_time >= sweep->options->snapshot_seconds);
    if (!due || !wave_running(&sweep->wave)) return true;
    sweep->snapshot_time = trial_clock();
    sweep->snapshot_stands = true;
    for (uint32_t i = 0; i < sweep->wave.count; i++)
        if (sweep->wave.trials[i].status == TRIAL_RUNNING &&
            !wave_fetch(&sweep->wave, &sweep->wave.trials[i], fail))
            return false;
    return commit(sweep, fail) &&
           snapshot_write(sweep->snapshot_path, sweep->identity, &sweep->wave, fail);
}

static void tick(void *context) {
    Sweep *sweep = context;
    progress_tick(&sweep->progress);
    if (interrupt_asked(sweep->options->interrupt)) wave_stop(&sweep->wave);
}

static bool run_wave(Sweep *sweep, bool *stopped, Fail *fail) {
    while (wave_running(&sweep->wave)) {
        if (!wave_advance(&sweep->wave, tick, sweep, fail)) return false;
        tick(sweep);
        *stopped = interrupt_asked(sweep->options->interrupt);
        if (!barrier(sweep, fail) || !take_snapshot(sweep, *stopped, fail)) return false;
        if (*stopped) return commit(sweep, fail);
    }
    return true;
}

static bool run_waves(Sweep *sweep, bool *stopped, Fail *fail) {
    sweep->snapshot_time = sweep->commit_time = trial_clock();
    for (*stopped = false; !*stopped;) {
        if (!next_wave(sweep, fail)) return false;
        /* A snapshot may have outlived its trials: killed behind their last commit. */
        if (!sweep->wave.count)
            return commit(sweep, fail) && file_remove(sweep->snapshot_path, fail);
        if (!run_wave(sweep, stopped, fail)) return false;
        bool over = !*stopped && sweep->snapshot.next >= sweep->snapshot.count;
        if (!over || !sweep->snapshot_stands) continue;
        if (!commit(sweep, fail) || !file_remove(sweep->snapshot_path, fail)) return false;
        sweep->snapshot_stands = false;
    }
    return true;
}

/* ---- the kept checkpoints on the test split ---- */

/* trials [count], metrics [count][metric_count]; *stopped: somebody asked to before all were
 * evaluated. */
static bool test_kept(Sweep *sweep, Trial *trials, double *metrics, bool *stopped, Fail *fail) {
    const Ranking *ranking = &sweep->ranking;
    bool whole = true;
    for (uint32_t i = 0; i < ranking->count; i++) {
        char *path = kept_path(sweep, &ranking->kept[i]);
        bool good = checkpoint_read(sweep->study, path, &trials[i], fail);
        free(path);
        if (!good) return false;
    }
    wave_clear(&sweep->wave);
    if (!wave_evaluate(&sweep->wave, trials, ranking->count, &sweep->study->final, metrics, &whole,
                       tick, sweep, fail))
        return false;
    *stopped = !whole;
    for (uint32_t i = 0; whole && i < ranking->count; i++)
        if (!store_evaluation(sweep->store, sweep->study, ranking->kept[i].trial,
                              ranking->kept[i].step, TUNE_TEST,
                              metrics + (size_t)i * sweep->study->info->metric_count, fail))
            return false;
    return true;
}

static bool finish_study(Sweep *sweep, bool *stopped, Fail *fail) {
    const Study *study = sweep->study;
    uint32_t count = sweep->ranking.count;
    Trial *trials = calloc(count + 1, sizeof *trials);
    double *metrics = calloc((size_t)count * study->info->metric_count + 1, sizeof *metrics);
    if (!trials || !metrics) abort();
    bool tested = count && study->final.count && study->info->select_split != TUNE_TEST;
    bool good = store_begin(sweep->store, fail) &&
                (!tested || test_kept(sweep, trials, metrics, stopped, fail)) &&
                (*stopped || store_finish(sweep->store, fail)) && store_commit(sweep->store, fail);
    for (uint32_t i = 0; i < count; i++) trial_free(&trials[i]);
    free(trials);
    free(metrics);
    return good;
}

bool sweep(const Study *study, Store *store, const SweepOptions *options, bool *finished,
           Fail *fail) {
    Sweep state = {.study = study, .store = store, .options = options};
    bool stopped = false;
    bool good = sweep_init(&state, fail) && run_waves(&state, &stopped, fail) &&
                (stopped || finish_study(&state, &stopped, fail));
    if (!good) store_rollback(store);
    progress_end(&state.progress);
    sweep_release(&state);
    *finished = good && !stopped;
    return good;
}
