/* The search: point i of a study is a pure function of (study, i). No state, no files; every worker
 * can compute every point, and a resumed study goes on with the same ones. One file per algorithm.
 */
#ifndef TUNE_RUNTIME_SEARCH_H
#define TUNE_RUNTIME_SEARCH_H

#include <stdint.h>

#include "runtime/program.h"

/* Values of point `at`, 0-based: values[h] is the value of a RANGE, the value number of VALUES and
 * CHOICE, NaN for a hyperparameter that does not exist at this point (its parent has another
 * value). */
void search_point(const TuneStudy *study, uint32_t at, double *values);

/* The number of a point's variant: the one whose structural choices agree. -1: none (an internal
 * error). */
int search_variant(const TuneStudy *study, const double *values);

/* Whether a hyperparameter exists where its predecessors have these values. */
bool search_exists(const TuneStudy *study, uint32_t hyper, const double *values);

/* How many values a stepped or integer RANGE has; 0: it is continuous. */
uint64_t search_range_count(const TuneHyper *hyper);

/* value of a RANGE at u in [0, 1): log, step, integer, reparametrisation. */
double search_range_value(const TuneHyper *hyper, double u);

/* Number of a structural hyperparameter's value as TuneVariant.choice counts it (integer ranges by
 * their grid); -1: none of them. */
int32_t search_choice_number(const TuneHyper *hyper, double value);

/* Coordinate `dimension` of point `at` of the Halton sequence in the first primes, Owen-scrambled
 * with seeded digit permutations (Owen 2017, arXiv 1706.02808); in [0, 1). Frozen: golden vectors
 * in tests/unit. */
double search_halton(uint64_t seed, uint32_t dimension, uint64_t at);

#endif
