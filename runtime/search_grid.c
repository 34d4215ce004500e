/* The full product of all values, counted like an odometer: the last hyperparameter turns fastest.
 * A conditional hyperparameter turns only where it exists, so no point comes twice.
 *
 * A continuous range has `grid_levels` levels, both ends included. Where a study says only how many
 * points it wants (grid_levels 0), the levels are the most with which the grid has no more points
 * than that. */
#include "runtime/search_algorithm.h"

#include <math.h>

/* No study visits more points than this, so larger counts need not be exact. */
static const uint64_t most_points = UINT32_MAX;

static uint64_t saturating_product(uint64_t a, uint64_t b) {
    return a != 0 && b > most_points / a ? most_points : a * b;
}

static uint64_t level_count(const TuneHyper *hyper, uint32_t levels) {
    if (hyper->domain != TUNE_RANGE) return hyper->count;
    if (hyper->role == TUNE_FIXED) return 1;
    uint64_t own = search_range_count(hyper);
    return own != 0 && own < levels ? own : levels;
}

static uint64_t grid_below(const TuneStudy *study, uint32_t hyper, uint32_t levels);

/* Grid points of the children of `parent` where it has value number `value`. */
static uint64_t grid_of_value(const TuneStudy *study, uint32_t parent, uint64_t value,
                              uint32_t levels) {
    uint64_t points = 1;
    for (uint32_t h = parent + 1; h < study->hyper_count; h++) {
        const TuneHyper *child = &study->hypers[h];
        if (child->parent == (int32_t)parent && child->parent_value == value)
            points = saturating_product(points, grid_below(study, h, levels));
    }
    return points;
}

/* Grid points of a hyperparameter together with all that depend on it. */
static uint64_t grid_below(const TuneStudy *study, uint32_t hyper, uint32_t levels) {
    const TuneHyper *h = &study->hypers[hyper];
    uint64_t count = level_count(h, levels);
    if (h->domain == TUNE_RANGE) return count;
    uint64_t points = 0;
    for (uint64_t value = 0; value < count && points < most_points; value++)
        points += grid_of_value(study, hyper, value, levels);
    return points < most_points ? points : most_points;
}

static uint64_t grid_points(const TuneStudy *study, uint32_t levels) {
    uint64_t points = 1;
    for (uint32_t h = 0; h < study->hyper_count; h++)
        if (study->hypers[h].parent < 0)
            points = saturating_product(points, grid_below(study, h, levels));
    return points;
}

static uint32_t grid_levels(const TuneStudy *study) {
    if (study->grid_levels != 0) return study->grid_levels;
    uint32_t levels = 1;
    while (levels < study->points && grid_points(study, levels + 1) <= study->points) levels++;
    return levels;
}

static double level_value(const TuneHyper *hyper, uint64_t level, uint64_t count) {
    if (hyper->domain != TUNE_RANGE) return (double)level;
    return search_range_value(hyper, count == 1 ? 0.5 : (double)level / (double)(count - 1));
}

/* Writes hyperparameter `hyper` and all that depend on it from number `at` of their grid. */
static void write_below(const TuneStudy *study, uint32_t hyper, uint32_t levels, uint64_t at,
                        double *values);

static void write_children(const TuneStudy *study, uint32_t parent, uint64_t value, uint32_t levels,
                           uint64_t at, double *values) {
    for (uint32_t h = study->hyper_count; h-- > parent + 1;) {
        const TuneHyper *child = &study->hypers[h];
        if (child->parent != (int32_t)parent || child->parent_value != value) continue;
        uint64_t points = grid_below(study, h, levels);
        write_below(study, h, levels, at % points, values);
        at /= points;
    }
}

static void write_below(const TuneStudy *study, uint32_t hyper, uint32_t levels, uint64_t at,
                        double *values) {
    const TuneHyper *h = &study->hypers[hyper];
    uint64_t count = level_count(h, levels), level = at;
    if (h->domain != TUNE_RANGE) {
        for (level = 0; level + 1 < count; level++) {
            uint64_t points = grid_of_value(study, hyper, level, levels);
            if (at < points) break;
            at -= points;
        }
        write_children(study, hyper, level, levels, at, values);
    }
    values[hyper] = level_value(h, level, count);
}

void search_grid(const TuneStudy *study, uint32_t at, double *values) {
    uint32_t levels = grid_levels(study);
    uint64_t rest = at;
    for (uint32_t h = 0; h < study->hyper_count; h++) values[h] = NAN;
    for (uint32_t h = study->hyper_count; h-- > 0;) {
        if (study->hypers[h].parent >= 0) continue;
        uint64_t points = grid_below(study, h, levels);
        write_below(study, h, levels, rest % points, values);
        rest /= points;
    }
}
