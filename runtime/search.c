/* What all searches share: from a point's coordinates to hyperparameters, and from there to a
 * variant. */
#include "runtime/search_algorithm.h"

#include <assert.h>
#include <math.h>

uint64_t search_range_count(const TuneHyper *hyper) {
    double step = hyper->step > 0 ? hyper->step : hyper->integer ? 1 : 0;
    if (step <= 0) return hyper->lo == hyper->hi ? 1 : 0;
    /* The allowance is for bounds such as 0.3 and steps such as 0.1, which are not exact in binary.
     */
    return (uint64_t)floor((hyper->hi - hyper->lo) / step + 1e-9) + 1;
}

static double interpolate(double lo, double hi, bool log_scale, double u) {
    if (!log_scale) return lo + u * (hi - lo);
    return lo * pow(hi / lo, u);
}

/* The interval reaches half a cell beyond the first and the last grid value: with plain rounding
 * these two would have half the share of the others. On a log scale the lower end must stay
 * positive. */
static double range_on_grid(const TuneHyper *hyper, double u) {
    double step = hyper->step > 0 ? hyper->step : 1, half = step / 2;
    double last = (double)(search_range_count(hyper) - 1);
    double lo = hyper->lo - half, hi = hyper->lo + last * step + half;
    if (hyper->log && lo <= 0) lo = hyper->lo * hyper->lo / (hyper->lo + half);
    double cell = floor((interpolate(lo, hi, hyper->log, u) - hyper->lo) / step + 0.5);
    return hyper->lo + fmin(fmax(cell, 0), last) * step;
}

double search_range_value(const TuneHyper *hyper, double u) {
    double r;
    if (hyper->lo == hyper->hi) {
        r = hyper->lo;
    } else if (hyper->step > 0 || hyper->integer) {
        r = range_on_grid(hyper, u);
    } else {
        r = interpolate(hyper->lo, hyper->hi, hyper->log, u);
        r = fmin(fmax(r, hyper->lo), hyper->hi); /* pow may round beyond the ends */
    }
    return hyper->offset + (hyper->reciprocal ? hyper->scale / r : hyper->scale * r);
}

int32_t search_choice_number(const TuneHyper *hyper, double value) {
    if (hyper->domain != TUNE_RANGE) return (int32_t)value;
    double step = hyper->step > 0 ? hyper->step : 1;
    double scaled = value - hyper->offset;
    double r = hyper->reciprocal ? hyper->scale / scaled : scaled / hyper->scale;
    double number = floor((r - hyper->lo) / step + 0.5);
    return number >= 0 && number < INT32_MAX ? (int32_t)number : -1;
}

bool search_exists(const TuneStudy *study, uint32_t hyper, const double *values) {
    int32_t parent = study->hypers[hyper].parent;
    if (parent < 0) return true;
    assert((uint32_t)parent < hyper);
    return values[parent] ==
           (double)study->hypers[hyper].parent_value; /* false if the parent is NaN */
}

double search_value_at(const TuneHyper *hyper, double u) {
    if (hyper->domain == TUNE_RANGE) return search_range_value(hyper, u);
    return fmin(floor(u * hyper->count), hyper->count - 1.0);
}

static bool variant_agrees(const TuneStudy *study, const int32_t *choice, const double *values) {
    for (uint32_t h = 0; h < study->hyper_count; h++) {
        if (!study->hypers[h].structural) continue;
        int32_t wanted = isnan(values[h]) ? -1 : search_choice_number(&study->hypers[h], values[h]);
        if (choice[h] != wanted) return false;
    }
    return true;
}

int search_variant(const TuneStudy *study, const double *values) {
    for (uint32_t v = 0; v < study->variant_count; v++)
        if (variant_agrees(study, study->variants[v].choice, values)) return (int)v;
    return -1;
}

void search_point(const TuneStudy *study, uint32_t at, double *values) {
    switch (study->search) {
    case TUNE_QUASIRANDOM: search_quasirandom(study, at, values); return;
    case TUNE_RANDOM: search_random(study, at, values); return;
    case TUNE_GRID: search_grid(study, at, values); return;
    case TUNE_POINTS: search_points(study, at, values); return;
    }
}
