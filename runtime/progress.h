/* What a person sees while a study runs: one line that renews itself on a terminal, a quiet line
 * now and then anywhere else. On stderr; results go to stdout. */
#ifndef TUNE_RUNTIME_PROGRESS_H
#define TUNE_RUNTIME_PROGRESS_H

#include "runtime/wave.h"

typedef struct {
    const Study *study;
    const Wave *wave;
    bool live;
    uint32_t trials_done;  /* ended, in this run and before */
    uint32_t trials_saved; /* ended before */
    uint64_t steps_saved;  /* trial-steps that need not be done again */
    bool has_best;
    double best;
    uint32_t best_trial;
    double start, last; /* trial_clock */
} Progress;

void progress_begin(Progress *progress, const Study *study, const Wave *wave, uint32_t trials_done,
                    uint32_t threads);
void progress_best(Progress *progress, uint32_t trial, double value);
/* Shows the line if it is time. */
void progress_tick(Progress *progress);
/* Removes the live line. */
void progress_end(Progress *progress);

#endif
