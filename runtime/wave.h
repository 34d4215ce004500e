/* A wave: trials that are resident at once and stand at the same step.
 *
 *     rows of the steps ahead, once for all trials        index[batch size][step][row]
 *     thread ── takes a trial, all steps of the segment, then its evaluation ── takes the next
 *     barrier: everything stands at wave->step            the caller stores what is to be stored
 *
 * A segment ends at an evaluation or after about two seconds, whichever comes first; where it ends
 * changes no bit of any trial. Trials that end early leave the others alone.
 *
 * wave_stop leaves a segment within one training step or batch of evaluation. Then each trial
 * stands where it was caught, at or behind wave->step, and another wave_advance (in this process
 * or, by way of a snapshot, in another one) takes it from there. */
#ifndef TUNE_RUNTIME_WAVE_H
#define TUNE_RUNTIME_WAVE_H

#include "runtime/pool.h"
#include "runtime/trial.h"

typedef struct {
    uint64_t batch;
    int32_t *index; /* [WAVE_ROWS] */
} WaveBatch;

typedef struct {
    const Study *study;
    Pool *pool;
    Scratch *scratches; /* [threads] */
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
    bool stop;        /* leave the segment; written and read atomically */
} Wave;

/* Memory for `capacity` trials at a time. */
bool wave_init(Wave *wave, const Study *study, Pool *pool, uint32_t capacity, Fail *fail);
void wave_release(Wave *wave);

/* Adds a trial of `values`; the caller adds in ascending order. */
bool wave_add(Wave *wave, uint32_t number, const double *values, Fail *fail);
/* All trials start at step 0. */
void wave_begin(Wave *wave);
/* Trials whose blocks were restored stand at `step` or behind it. */
void wave_continue(Wave *wave, uint64_t step);
void wave_clear(Wave *wave);

/* One segment. True when it ended with an evaluation of the running trials, which stand in
 * trial->metrics; false also when it was left. */
bool wave_advance(Wave *wave, PoolTick tick, void *tick_context);
/* Leaves the segment that runs, and all later ones; from a tick or from any thread. */
void wave_stop(Wave *wave);

uint32_t wave_running(const Wave *wave);
/* Training steps and examples done by all threads so far; readable while a segment runs. */
void wave_work_done(const Wave *wave, uint64_t *steps, uint64_t *examples);
/* How many trials fit: `wanted`, or if 0 enough for the threads, within half the memory. */
uint32_t wave_capacity(const Study *study, uint32_t wanted, uint32_t threads);

#endif
