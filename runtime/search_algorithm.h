/* What a search algorithm is: a function that writes point `at` of a study, values as in search.h.
 * An algorithm goes through the hyperparameters in order (a parent comes before its children) and
 * draws a number u in [0, 1) for each; the rest is here. Private to the search_*.c files. */
#ifndef TUNE_RUNTIME_SEARCH_ALGORITHM_H
#define TUNE_RUNTIME_SEARCH_ALGORITHM_H

#include "runtime/search.h"

void search_quasirandom(const TuneStudy *study, uint32_t at, double *values);
void search_random(const TuneStudy *study, uint32_t at, double *values);
void search_grid(const TuneStudy *study, uint32_t at, double *values);
void search_points(const TuneStudy *study, uint32_t at, double *values);

/* Value (RANGE) or value number (VALUES, CHOICE) at u in [0, 1]. */
double search_value_at(const TuneHyper *hyper, double u);

#endif
