/* Splits and orders: which example stands where. Everything is a keyed permutation of a range
 * (philox.h).
 *
 * Sizes: counts as they are. A fraction f of n examples is floor(f n); when the fractions add up to
 * 1, what rounding leaves over goes to the training split. Without any split all examples are for
 * training. Windows: the sizes count tokens, and the pieces lie in the order of the file. */
#include "runtime/data_reader.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "runtime/philox.h"

static const char *const split_name[TUNE_SPLITS] = {"train", "valid", "test"};

static const char *noun(const DataSet *set) {
    return data_is_windowed(set->info) ? "tokens" : "examples";
}

/* 0.29 * 100 is a little less than 29 in binary. */
static const double rounding_allowance = 1e-6;

static bool fraction_counts(DataSet *set, Fail *fail) {
    double sum = 0;
    uint64_t used = 0;
    for (int s = 0; s < TUNE_SPLITS; s++) {
        if (!set->info->has_split[s]) continue;
        double fraction = set->info->split[s];
        sum += fraction;
        set->split_count[s] =
            (uint64_t)floor(fraction * (double)set->examples + rounding_allowance);
        used += set->split_count[s];
    }
    if (sum > 1 + rounding_allowance) {
        fail_set(fail, "the fractions of the split add up to %g", sum);
        return fail_help(fail, "they may be 1 at most");
    }
    if (sum >= 1 - rounding_allowance && used < set->examples && set->info->has_split[TUNE_TRAIN])
        set->split_count[TUNE_TRAIN] += set->examples - used;
    return true;
}

static bool plain_counts(DataSet *set, Fail *fail) {
    double sum = 0;
    for (int s = 0; s < TUNE_SPLITS; s++)
        if (set->info->has_split[s]) sum += set->info->split[s];
    if (sum > (double)set->examples) {
        fail_set(fail,
                 "the split wants %.0f %s (train %.0f, valid %.0f, test %.0f), "
                 "but there are %" PRIu64,
                 sum, noun(set),
                 set->info->has_split[TUNE_TRAIN] ? set->info->split[TUNE_TRAIN] : 0,
                 set->info->has_split[TUNE_VALID] ? set->info->split[TUNE_VALID] : 0,
                 set->info->has_split[TUNE_TEST] ? set->info->split[TUNE_TEST] : 0, set->examples);
        return fail_help(fail, "make the split smaller, or give fractions such as 0.8, 0.1, 0.1");
    }
    for (int s = 0; s < TUNE_SPLITS; s++)
        if (set->info->has_split[s]) set->split_count[s] = (uint64_t)set->info->split[s];
    return true;
}

static bool split_counts(DataSet *set, Fail *fail) {
    const TuneData *info = set->info;
    if (!info->has_split[TUNE_TRAIN] && !info->has_split[TUNE_VALID] &&
        !info->has_split[TUNE_TEST]) {
        set->split_count[TUNE_TRAIN] = set->examples;
        return true;
    }
    return info->fractions ? fraction_counts(set, fail) : plain_counts(set, fail);
}

static bool check_not_empty(const DataSet *set, Fail *fail) {
    for (int s = 0; s < TUNE_SPLITS; s++) {
        if (!set->info->has_split[s] || set->split_count[s] > 0) continue;
        fail_set(fail, "the %s split is empty (%" PRIu64 " %s in all)", split_name[s],
                 set->examples, noun(set));
        return fail_help(fail, "make it larger, or leave it out");
    }
    return true;
}

static void fill_order(DataSet *set) {
    uint32_t key[2];
    philox_key(set->info->seed, 0, PURPOSE_SPLIT, key);
    for (uint64_t at = 0; at < set->examples; at++)
        set->order[at] =
            (int32_t)(set->info->shuffle ? philox_permute(at, set->examples, key) : at);
}

/* From the tokens of each split to its windows: for training one begins at every token. */
static bool count_windows(DataSet *set, Fail *fail) {
    uint64_t length = data_index_step(set->info);
    for (int s = 0; s < TUNE_SPLITS; s++) {
        uint64_t tokens = set->split_count[s];
        if (tokens == 0) continue;
        if (tokens < length) {
            fail_set(fail,
                     "the %s split has %" PRIu64 " tokens, less than a window of %" PRIu64
                     " (%" PRIu64 " tokens in all)",
                     split_name[s], tokens, length, set->examples);
            return fail_help(fail, "make the split larger, or the window shorter");
        }
        set->split_count[s] = s == TUNE_TRAIN ? tokens - length + 1 : (tokens - 1) / (length - 1);
    }
    return true;
}

bool data_split(DataSet *set, Fail *fail) {
    if (set->examples == 0) return fail_set(fail, "there are no %s", noun(set));
    if (set->examples > INT32_MAX)
        return fail_set(fail, "there are %" PRIu64 " %s, more than the limit of %d", set->examples,
                        noun(set), INT32_MAX);
    if (!split_counts(set, fail) || !check_not_empty(set, fail)) return false;
    for (int s = 1; s < TUNE_SPLITS; s++)
        set->split_start[s] = set->split_start[s - 1] + set->split_count[s - 1];
    if (data_is_windowed(set->info)) return count_windows(set, fail);
    set->order = malloc(set->examples * sizeof *set->order);
    if (!set->order)
        return fail_set(fail, "not enough memory for the order of %" PRIu64 " examples",
                        set->examples);
    fill_order(set);
    return true;
}

/* Of training: which example stands at a position of the split. */
static int32_t train_example(const DataSet *set, uint64_t position) {
    uint64_t at = set->split_start[TUNE_TRAIN] + position;
    return set->order ? set->order[at] : (int32_t)at;
}

void data_train_index(const DataSet *set, uint64_t study_seed, uint64_t step, uint64_t batch,
                      int32_t *index) {
    const uint64_t count = set->split_count[TUNE_TRAIN];
    uint64_t position = step * batch, epoch = position / count, at = position % count;
    uint32_t key[2];
    philox_key(study_seed, epoch, PURPOSE_DATA_ORDER, key);
    for (uint64_t row = 0; row < batch; row++) {
        if (at == count) {
            at = 0;
            philox_key(study_seed, ++epoch, PURPOSE_DATA_ORDER, key);
        }
        index[row] = train_example(set, philox_permute(at++, count, key));
    }
}

/* Examples that an evaluation of the whole split looks at. */
static uint64_t whole_count(const DataSet *set, TuneSplit split) {
    uint64_t count = set->split_count[split];
    if (!data_is_windowed(set->info) || split != TUNE_TRAIN || count == 0) return count;
    uint64_t predicted = data_index_step(set->info) - 1;
    return (count + predicted - 1) / predicted;
}

static int32_t evaluation_example(const DataSet *set, TuneSplit split, uint64_t position) {
    if (set->order) return set->order[set->split_start[split] + position];
    return (int32_t)(set->split_start[split] + position * (data_index_step(set->info) - 1));
}

uint64_t data_evaluation_count(const DataSet *set, TuneSplit split, uint64_t sample) {
    uint64_t count = whole_count(set, split);
    return sample == 0 || sample > count ? count : sample;
}

void data_evaluation_index(const DataSet *set, TuneSplit split, uint64_t sample,
                           uint64_t study_seed, int32_t *index) {
    const uint64_t count = whole_count(set, split),
                   wanted = data_evaluation_count(set, split, sample);
    uint32_t key[2];
    philox_key(study_seed, split, PURPOSE_SAMPLE, key);
    for (uint64_t at = 0; at < wanted; at++)
        index[at] =
            evaluation_example(set, split, wanted == count ? at : philox_permute(at, count, key));
}
