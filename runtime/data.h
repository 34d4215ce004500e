/* Data sets in memory: fields, splits, and which example stands in which row of which batch.
 *
 * Fields are read or generated once, checked completely (magic, sizes, label range,
 * missing values) and then constant; all trials and threads share them. Splits are disjoint lists
 * of examples: those of a permutation keyed by the data set's seed (shuffle) or of the file's
 * order.
 *
 * Windows of a sequence are never made: an example is the token where its window begins.
 *
 *     tokens   |  train                    |  valid       |  test       |  no window crosses a '|'
 *     windows  at every token, for training; for evaluation every length - 1 tokens, so that each
 *              token is predicted once and a mean over examples is the mean over tokens */
#ifndef TUNE_RUNTIME_DATA_H
#define TUNE_RUNTIME_DATA_H

#include <stdint.h>

#include "runtime/fail.h"
#include "runtime/program.h"

typedef struct {
    const TuneData *info;
    uint64_t examples; /* of windows: tokens */
    void **fields;     /* [field_count] base pointers, element type TuneField.elem, rows packed */
    uint64_t split_start[TUNE_SPLITS], split_count[TUNE_SPLITS]; /* positions in the order below */
    int32_t *order; /* [examples] example at each position; windows: NULL, every position is one */
    unsigned char *characters; /* text, lines: [character_count] byte of each class; else NULL */
    uint32_t character_count;
} DataSet;

/* Reads or generates everything. `directory` is --data (or "."). */
bool data_load(const TuneData *info, const char *directory, DataSet *set, Fail *fail);
void data_release(DataSet *set);
/* Bytes that the data set occupies. */
uint64_t data_bytes(const DataSet *set);
/* Bytes that a field occupies, that one example of it has, and from one example to the next. */
uint64_t data_field_bytes(const DataSet *set, uint32_t field);
uint64_t data_row_bytes(const DataSet *set, uint32_t field);
uint64_t data_row_stride(const DataSet *set, uint32_t field);
/* Whether its examples are windows of one sequence; then it has one field. */
bool data_is_windowed(const TuneData *info);
/* Entries of the index from one row to the next where rows are put behind each other: the length of
 * a window; else 1. */
uint64_t data_index_step(const TuneData *info);
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
