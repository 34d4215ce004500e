/* One trial: a block of memory (drawn in program.h) that the study's seed, the trial's seed and its
 * hyperparameter values determine, and what became of it.
 *
 *     trial_new        block zeroed; key, values in place
 *     trial_begin      the init entry: step 0
 *     trial_train      steps; stops at the first loss or gradient norm that is not finite, or when
 *                      scratch->stop says so: it can go on from there
 *     evaluate         metrics of one split (evaluate.c)
 *
 * A trial is a pure function of (program, data, number): it may run on any thread, beside any
 * others, again after a crash. Nothing here allocates, locks or calls the system after trial_new.
 */
#ifndef TUNE_RUNTIME_TRIAL_H
#define TUNE_RUNTIME_TRIAL_H

#include "runtime/curve.h"
#include "runtime/study.h"

typedef enum { TRIAL_RUNNING, TRIAL_DONE, TRIAL_INFEASIBLE } TrialStatus;

typedef struct {
    uint32_t number, point, seed;
    int variant_number;
    const TuneVariant *variant;
    double *values; /* [hyper_count] as search_point gives them */
    char *block;    /* variant->trial_bytes, aligned to 64 */
    TrialStatus status;
    bool evaluated; /* in the last segment: `metrics` belong to the step where the trial stands */
    bool recorded;  /* its end stands in the store */
    uint64_t infeasible_step; /* steps done when something was not finite, that step included */
    Curve curve;
    double *metrics;         /* [study->evaluation_count][metric_count] of the last evaluation */
    double started, seconds; /* Unix time; time of its own steps and evaluations */
} Trial;

/* What a thread works with: as much as the hungriest variant needs. */
typedef struct {
    char *memory;
    char *example_memory;
    void **examples;  /* [total_count] */
    double *totals;   /* [total_count] */
    uint64_t *steps;  /* [2] on their own cache line: training steps and examples of this thread;
                         read atomically */
    const bool *stop; /* when it becomes true, work ends before its next step or batch; or NULL;
                         read atomically */
} Scratch;

/* `values` as study_values gives them; copied. */
bool trial_new(const Study *study, uint32_t number, const double *values, Trial *trial, Fail *fail);
/* The trial's block and values as they stand, for a checkpoint that is written later. */
bool trial_copy(const Study *study, const Trial *trial, Trial *copy, Fail *fail);
void trial_free(Trial *trial);

bool scratch_new(const Study *study, Scratch *scratch, Fail *fail);
void scratch_free(Scratch *scratch);

TuneTrialHeader *trial_header(const Trial *trial);
void trial_begin(const Study *study, Trial *trial, const Scratch *scratch);
/* `index` [steps][batch], or NULL without data. */
void trial_train(const Study *study, Trial *trial, const Scratch *scratch, const int32_t *index,
                 uint64_t steps);

/* Whether somebody asked the thread of this scratch to stop. */
bool scratch_stopped(const Scratch *scratch);

/* Metrics over the examples of `rows`; false when it was left before the end. Per-example results
 * are added up in double in the order of the rows, so that the batch size changes nothing; what
 * pads the last batch is not counted. metrics [metric_count]. */
bool evaluate(const Study *study, const Trial *trial, const Scratch *scratch,
              const EvaluationRows *rows, double *metrics);

/* evaluate for every split of the study's intervals, into trial->metrics; a selected metric that is
 * not finite makes the trial infeasible. Left before the end, trial->evaluated stays false. */
void trial_evaluate(const Study *study, Trial *trial, const Scratch *scratch);

/* The selected metric of the last evaluation. */
double trial_selected(const Study *study, const Trial *trial);

/* Whether the study evaluates when `step` steps are done: every n steps, and at the end. */
bool trial_evaluation_due(const TuneStudy *info, uint64_t step);

/* Seconds on a clock that only goes forward. */
double trial_clock(void);

#endif
