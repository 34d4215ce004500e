/* Data sets in memory: fields, splits, and which example stands in which row of which batch.
 *
 * Fields are read or generated once, checked completely (magic, sizes, label range,
 * missing values) and then constant; all trials and threads share them. Splits are disjoint lists
 * of examples: those of a permutation keyed by the data set's seed (shuffle) or of the file's
 * order. */
#ifndef TUNE_RUNTIME_DATA_H
#define TUNE_RUNTIME_DATA_H

#include <stdint.h>

#include "runtime/fail.h"
#include "runtime/program.h"

typedef struct {
    const TuneData *info;
    uint64_t examples;
    void **fields; /* [field_count] base pointers, element type TuneField.elem, rows packed */
    uint64_t split_start[TUNE_SPLITS], split_count[TUNE_SPLITS]; /* positions in the order below */
    int32_t *order; /* [examples] example at each position */
} DataSet;

/* Reads or generates everything. `directory` is --data (or "."). */
bool data_load(const TuneData *info, const char *directory, DataSet *set, Fail *fail);
void data_release(DataSet *set);
/* Bytes that the data set occupies. */
uint64_t data_bytes(const DataSet *set);
/* 64-bit hash of the contents (fields and splits), for "checkpoint of another program" and for
 * resume. */
uint64_t data_fingerprint(const DataSet *set);

/* Rows of training step `step`: position p = step * batch + row; epoch p / n uses its own
 * permutation of the training split, keyed by the study's seed; so batches are always full and
 * steps are random access. Pure: the same for every trial of the study. */
void data_train_index(const DataSet *set, uint64_t study_seed, uint64_t step, uint64_t batch,
                      int32_t *index);

/* Positions of an evaluation: the whole split (sample 0), or a fixed sample of `sample` examples
 * without replacement, keyed by the study's seed. Writes example numbers; returns how many (all of
 * them; caller's array of data_evaluation_count entries). */
uint64_t data_evaluation_count(const DataSet *set, TuneSplit split, uint64_t sample);
void data_evaluation_index(const DataSet *set, TuneSplit split, uint64_t sample,
                           uint64_t study_seed, int32_t *index);

#endif
