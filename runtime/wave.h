/* A wave: trials that are resident at once and stand at the same step. On the CPU:
 *
 *     rows of the steps ahead, once for all trials        index[batch size][step][row]
 *     thread ── takes a trial, all steps of the segment, then its evaluation ── takes the next
 *     barrier: everything stands at wave->step            the caller stores what is to be stored
 *
 * On GPUs (wave_gpu.h) the trials of one variant advance in lock-step, and the device keeps steps,
 * rows and curves by itself.
 *
 * A segment ends at an evaluation or after about two seconds, whichever comes first; where it ends
 * changes no bit of any trial. Trials that end early leave the others alone.
 *
 * wave_stop leaves a segment within one training step or batch of evaluation (on a GPU: within a
 * few tenths of a second). Then each trial
 * stands where it was caught, at or behind wave->step, and another wave_advance (in this process
 * or, by way of a snapshot, in another one) takes it from there. */
#ifndef TUNE_RUNTIME_WAVE_H
#define TUNE_RUNTIME_WAVE_H

#include "runtime/pool.h"
#include "runtime/trial.h"
#include "runtime/wave_gpu.h"

typedef struct {
    uint64_t batch;
    int32_t *index; /* [WAVE_ROWS] */
} WaveBatch;

typedef struct {
    const Study *study;
    Pool *pool;
    const Devices *devices; /* NULL: the CPU */
    WaveGpu *gpu;           /* then also NULL */
    WaveSize size;          /* of a wave on GPUs: where the capacity comes from */
    Scratch *scratches;     /* [threads]; of the CPU */
    uint32_t scratch_count;
    Trial *trials; /* ascending by number */
    uint32_t count, capacity;
    uint32_t *order;    /* longest work first */
    WaveBatch *batches; /* distinct batch sizes of the study */
    uint32_t batch_count;
    uint64_t step;    /* of every trial that runs; of those of a segment that was left, at least */
    uint64_t limit;   /* steps of a segment, by measurement */
    uint64_t segment; /* steps of the segment that runs */
    bool evaluating;  /* it ends with an evaluation */
    bool evaluated;   /* the last one did, and was not left: trial->metrics of those that run */
    bool stop;        /* leave the segment; written and read atomically */
} Wave;

/* For `capacity` trials at a time; 0: as many as fit and are worth while. `devices` NULL, or of no
 * GPU: the CPU. */
bool wave_init(Wave *wave, const Study *study, Pool *pool, const Devices *devices,
               uint32_t capacity, Fail *fail);
void wave_release(Wave *wave);

/* Adds a trial of `values`; the caller adds in ascending order. */
bool wave_add(Wave *wave, uint32_t number, const double *values, Fail *fail);
/* All trials start at step 0. */
bool wave_begin(Wave *wave, Fail *fail);
/* Trials whose blocks were restored stand at `step` or behind it. */
bool wave_continue(Wave *wave, uint64_t step, Fail *fail);
void wave_clear(Wave *wave);

/* One segment; wave->evaluated says how it ended. Fails only on a GPU. */
bool wave_advance(Wave *wave, PoolTick tick, void *tick_context, Fail *fail);
/* A trial's block, as it stands, into trial->block; until then only its header is up to date. */
bool wave_fetch(Wave *wave, const Trial *trial, Fail *fail);
/* Metrics of trials that are not in the wave, which is empty: metrics [count][metric_count].
 * *whole: it was not left before the end. */
bool wave_evaluate(Wave *wave, Trial *trials, uint32_t count, const EvaluationRows *rows,
                   double *metrics, bool *whole, PoolTick tick, void *tick_context, Fail *fail);
/* Leaves the segment that runs, and all later ones; from a tick or from any thread. */
void wave_stop(Wave *wave);

uint32_t wave_running(const Wave *wave);
/* Training steps and examples done by all threads so far; readable while a segment runs. */
void wave_work_done(const Wave *wave, uint64_t *steps, uint64_t *examples);

#endif
