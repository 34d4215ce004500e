/* A study as one command runs it: the descriptor's study with --set applied, its data, its
 * evaluations.
 *
 *     program ── study ─┬─ settings    --set lr=0.1: the same value in every trial
 *                       ├─ data        loaded once, constant, shared by all trials and threads
 *                       └─ evaluations the splits evaluated during training, and test
 *
 *     Study study;
 *     if (!study_init(&study, &tune_program, "first_look", settings, count, fail)) return false;
 *     if (!study_load(&study, directory, fail)) …
 *     study_values(&study, point, values, fail);   // what search_point says, with the settings
 *
 * Everything here is a pure function of program, settings and data: no state, so any thread may
 * ask. */
#ifndef TUNE_RUNTIME_STUDY_H
#define TUNE_RUNTIME_STUDY_H

#include "runtime/data.h"
#include "runtime/fail.h"
#include "runtime/program.h"

typedef struct {
    uint32_t hyper;
    double value; /* as search_point gives it: the value of a RANGE, else a value number */
} Setting;

/* Of a variant: parameters that start from a file, as they stand in the trial's block. */
typedef struct {
    struct {
        uint64_t offset, bytes; /* in the block */
        char *values;
    } * pieces;
    uint32_t count;
} Start;

/* The rows of one split's evaluation. */
typedef struct {
    int32_t split;  /* TuneSplit; -1: a model without data */
    uint64_t count; /* examples */
    int32_t
        *index; /* [count + the largest evaluate_batch]: behind count the last row is repeated */
} EvaluationRows;

typedef struct {
    const TuneProgram *program;
    const TuneStudy *info;
    TuneStudy
        searched; /* for search_point: children of a set hyperparameter are no longer conditional */
    TuneHyper *hypers; /* owned, of `searched` */
    Setting *settings;
    uint32_t setting_count;
    bool loaded, has_data;
    bool on_gpu; /* whose last bits differ from the CPU's; all GPUs agree */
    DataSet data;
    uint64_t data_fingerprint;
    EvaluationRows evaluations[TUNE_SPLITS + 1]; /* those of every interval, ascending by split */
    uint32_t evaluation_count;
    EvaluationRows final; /* the test split, whole; count 0 if there is none */
    Start *starts;        /* [variant_count] where parameters start from a file; else NULL */
} Study;

/* `name` NULL: the program's only study. `texts`: name=value. */
bool study_init(Study *study, const TuneProgram *program, const char *name,
                const char *const *texts, uint32_t text_count, Fail *fail);
bool study_load(Study *study, const char *data_directory, Fail *fail);
/* What is needed to train, too: the file of `init from`, found as data is (start.c). It is part of
 * data_fingerprint, so that a study does not go on with another file. */
bool study_load_training(Study *study, const char *data_directory, Fail *fail);
bool start_load(Study *study, const char *directory, Fail *fail);
void start_release(Study *study);
/* Into a block behind the init entry. */
void start_apply(const Study *study, int variant, char *block);
void study_release(Study *study);

/* The rows of a split; `sample` 0: all of it. The caller frees rows->index. */
bool study_rows(const Study *study, int32_t split, uint64_t sample, EvaluationRows *rows,
                Fail *fail);

uint32_t study_trials(const Study *study);
/* values[h] of a point; fails when a setting makes a hyperparameter exist that this point has no
 * value for. */
bool study_values(const Study *study, uint32_t point, double *values, Fail *fail);
/* Values that come from the settings and from hyperparameters with a single value alone (train). */
bool study_values_set(const Study *study, double *values, Fail *fail);
/* Fails when a setting is of a hyperparameter that does not exist beside these values. */
bool study_settings_used(const Study *study, const double *values, Fail *fail);
/* Whether exactly the hyperparameters that exist beside these values have one; for values that come
 * from a file. */
bool study_values_complete(const Study *study, const double *values, Fail *fail);
/* "lr=10 is outside its range, 0.001 to 1", of the first setting that is; or "". A setting may be
 * outside: it is given to try something that the study does not. */
void study_settings_note(const Study *study, char *text, uint64_t bytes);
/* The variant's number; fails when none was compiled. */
bool study_variant(const Study *study, const double *values, int *variant, Fail *fail);

/* "lr=0.1 width=32": the settings, in order of hyperparameters; the caller frees. */
char *study_settings_text(const Study *study);
/* A hyperparameter's value as a person writes it, "0.001" or "adam", into text. */
void study_value_text(const TuneHyper *hyper, double value, char *text, uint64_t bytes);
/* The number a program computes with: a VALUES' value, not its number. */
double study_value_number(const TuneHyper *hyper, double value);
/* "train", "valid", "test", or "" for a model without data. */
const char *study_split_name(int32_t split);

/* The name that `wanted` begins, or the nearest one by edit distance; NULL when none is near. */
const char *study_nearest(const char *wanted, const char *const *names, uint32_t count);

/* Whether a is a better value of the selected metric than b. */
bool study_better(const TuneStudy *info, double a, double b);

#endif
