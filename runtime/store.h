/* The study's store: one directory, one SQLite file in it.
 *
 *     DIR/study.sqlite    everything that later analysis needs, drawn below
 *     DIR/checkpoints/    the kept checkpoints (checkpoint.h)
 *     DIR/snapshot        blocks of the trials that run (snapshot.h)
 *     DIR/lock            held by the run that writes
 *
 *     study       key, value                  program, fingerprints, source, settings, device
 *                                             ('cpu' | 'cuda'; none: cpu), finished, …
 *     hyper       number, name, role
 *     metric      number, name
 *     trial       number, point, seed, variant, status ('running' | 'done' | 'infeasible'),
 *                 infeasible_step, started, finished (Unix time), seconds (of its own work)
 *     value       trial, hyper, value, label              hyperparameters that exist in the trial
 *     evaluation  trial, step, split ('valid', …, ''), metric, value (NULL: not a number)
 *     curve       trial, first_step, loss, grad_norm      blobs of little-endian float32, one
 *                                                         entry per step
 *     checkpoint  rank, trial, step, value, file          the best k
 *
 * Writes go between store_begin and store_commit: at most once a second, so that a trial's
 * bookkeeping costs far less than a millisecond. WAL, synchronous=FULL: what is committed survives
 * a power cut. Writing a row again replaces it: a trial that is run again after a crash writes the
 * same rows.
 *
 *     Store *store = store_open(directory, STORE_WRITE, fail);
 *     store_begin(store, fail) && store_evaluation(…) && store_commit(store, fail);
 *     store_close(store); */
#ifndef TUNE_RUNTIME_STORE_H
#define TUNE_RUNTIME_STORE_H

#include "runtime/checkpoint.h"
#include "runtime/device.h"

typedef struct Store Store;
typedef enum { STORE_WRITE, STORE_READ } StoreMode;

bool store_exists(const char *directory);
/* STORE_WRITE creates what is missing and takes the lock; fails when another run holds it. */
Store *store_open(const char *directory, StoreMode mode, Fail *fail);
void store_close(Store *store);

/* Whether it says what study it holds: a run that was killed at once leaves an empty one. */
bool store_described(Store *store, bool *described, Fail *fail);
/* What a described study was begun on: DEVICE_CPU or DEVICE_CUDA; else DEVICE_AUTO. */
bool store_device(Store *store, DeviceKind *kind, Fail *fail);
/* Writes what the study is, or checks it with its data. */
bool store_describe(Store *store, const Study *study, Fail *fail);
/* Fails when the store is of another program or study, has other settings, or (with `data`) other
 * data. */
bool store_check(Store *store, const Study *study, bool data, Fail *fail);
/* Only program and study: enough for reading. */
bool store_check_program(Store *store, const Study *study, Fail *fail);

/* begin goes on with a transaction that is open. Both fail when the store was removed or replaced
 * while the study ran. */
bool store_begin(Store *store, Fail *fail);
bool store_commit(Store *store, Fail *fail);
void store_rollback(Store *store);

bool store_trial_start(Store *store, const Study *study, const Trial *trial, Fail *fail);
bool store_trial_end(Store *store, const Trial *trial, Fail *fail);
bool store_evaluation(Store *store, const Study *study, uint32_t trial, uint64_t step,
                      int32_t split, const double *metrics, Fail *fail);
bool store_curve(Store *store, const Trial *trial, Fail *fail);
bool store_checkpoints(Store *store, const Ranking *ranking, Fail *fail);
bool store_finish(Store *store, Fail *fail);

/* Reading. */
bool store_finished(Store *store, bool *finished, Fail *fail);
bool store_load_ranking(Store *store, Ranking *ranking, Fail *fail);

typedef struct {
    uint32_t number, point, seed;
    TrialStatus status;
    uint64_t infeasible_step, step; /* step: of the last evaluation */
    double best;                    /* selected metric; NaN before the first evaluation */
    uint64_t best_step;
    double started, finished, seconds; /* finished 0: runs */
    char variant[128];
} StoredTrial;

/* All trials that were started, ascending; the caller frees. */
bool store_trials(Store *store, const Study *study, StoredTrial **trials, uint32_t *count,
                  Fail *fail);

typedef struct {
    uint64_t step;
    int32_t split;
    double *metrics; /* [metric_count], in the array's own allocation */
} StoredEvaluation;

/* Of one trial, by step and split; the caller frees *evaluations, once. */
bool store_evaluations(Store *store, const Study *study, uint32_t trial,
                       StoredEvaluation **evaluations, uint32_t *count, Fail *fail);
/* [hyper_count]; NaN for those that do not exist. */
bool store_values(Store *store, const Study *study, uint32_t trial, double *values, Fail *fail);

#endif
