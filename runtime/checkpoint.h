/* Checkpoints: which are kept, and what stands in their files.
 *
 * Selection is retrospective: of all evaluations of all trials the k best are kept, at most one of
 * each trial. Order: better value of the selected metric; then lower trial; within a trial the
 * earlier step. A trial's best only ever improves, so the kept set does not depend on the order in
 * which evaluations are offered: waves, threads and crashes cannot change it.
 *
 *     DIR/checkpoints/trial-0007-step-001500.safetensors
 *         parameters by name, as they are evaluated; states as "optimizer.v.dense1.weight"; where
 *         averaged weights are evaluated, those being trained as "optimizer.param.dense1.weight";
 *         __metadata__: program, study, trial, step, key, hyperparameters, the metric and its
 *         value, fingerprints, the characters of a text
 *
 * The files alone determine the ranking again: value, trial and step stand in their metadata. */
#ifndef TUNE_RUNTIME_CHECKPOINT_H
#define TUNE_RUNTIME_CHECKPOINT_H

#include "runtime/trial.h"

typedef struct {
    uint32_t trial;
    uint64_t step;
    double value;
} Kept;

typedef struct {
    Kept *kept; /* best first */
    uint32_t count, capacity;
    bool maximize;
} Ranking;

/* False without memory. */
bool ranking_init(Ranking *ranking, uint32_t keep, bool maximize);
void ranking_release(Ranking *ranking);
/* Whether the evaluation entered; it may have pushed another out. */
bool ranking_offer(Ranking *ranking, uint32_t trial, uint64_t step, double value);

/* "trial-0007-step-001500.safetensors" */
void checkpoint_name(uint32_t trial, uint64_t step, char *text, uint64_t bytes);
/* Whether `name` is one of ours: a checkpoint, or what a killed run left of one. */
bool checkpoint_is_name(const char *name);
/* Whether `name` is that of an entry. */
bool ranking_has_name(const Ranking *ranking, const char *name);

/* The trial as it stands, durable under `path` when this returns true. */
bool checkpoint_write(const Study *study, const Trial *trial, double value, const char *path,
                      Fail *fail);

/* What the file itself says of its place in the ranking, after checking that it is whole and of
 * this program and study. */
bool checkpoint_rank(const Study *study, const char *path, Kept *kept, Fail *fail);

/* Makes *trial from a file, after checking that it belongs to this program and study and is
 * complete. Its values and step are those of the file. The caller frees it with trial_free. */
bool checkpoint_read(const Study *study, const char *path, Trial *trial, Fail *fail);

/* The characters of the text that the trial was trained on, a byte for each class: what they mean
 * stands in the file. *count 0: it was trained on something else. */
bool checkpoint_characters(const char *path, unsigned char characters[256], uint32_t *count,
                           Fail *fail);
/* Fails when the study's data has other characters than the checkpoint was trained on. */
bool checkpoint_check_characters(const Study *study, const char *path, Fail *fail);

#endif
