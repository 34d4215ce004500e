/* From numbers in [0, 1) to hyperparameters: ranges, grids, lists of points, conditions, variants.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/philox.h"
#include "runtime/search.h"

static TuneHyper range(double lo, double hi) {
    return (TuneHyper){.name = "r",
                       .role = TUNE_NUISANCE,
                       .domain = TUNE_RANGE,
                       .lo = lo,
                       .hi = hi,
                       .scale = 1,
                       .parent = -1};
}

static void assert_near(double a, double b) {
    assert_true(fabs(a - b) <= 1e-12 * fmax(1, fabs(b)));
}

static void ranges_follow_their_formula(void **state) {
    (void)state;
    TuneHyper linear = range(2, 6), logarithmic = range(1e-3, 1), momentum = range(1e-2, 1),
              inverse = range(2, 4);
    logarithmic.log = momentum.log = true;
    momentum.offset = 1, momentum.scale = -1;
    inverse.reciprocal = true, inverse.scale = 8;
    assert_near(search_range_value(&linear, 0.25), 3);
    assert_near(search_range_value(&logarithmic, 2.0 / 3), 0.1);
    assert_near(search_range_value(&momentum, 0.5), 0.9);
    assert_near(search_range_value(&inverse, 0.5), 8.0 / 3);
    assert_near(search_range_value(&logarithmic, 0), 1e-3);
    assert_near(search_range_value(&logarithmic, 1), 1);
}

static void values_stay_in_bounds_and_on_the_grid(void **state) {
    (void)state;
    const uint32_t key[2] = {1, 2};
    for (uint32_t t = 0; t < 20000; t++) {
        PhiloxBlock b = philox((const uint32_t[4]){t, 0, 0, 0}, key);
        TuneHyper hyper = range(1 + b.word[0] % 100, 0);
        hyper.hi = hyper.lo + 1 + b.word[1] % 200;
        hyper.log = b.word[2] & 1;
        hyper.integer = b.word[2] & 2;
        hyper.step = (b.word[2] & 4) ? 1 + b.word[2] / 8 % 7 : 0;
        double u = t % 10 == 0 ? 0 : t % 10 == 1 ? 1 - 0x1p-53 : b.word[3] * 0x1p-32;
        double value = search_range_value(&hyper, u);
        assert_true(value >= hyper.lo && value <= hyper.hi);
        double step = hyper.step > 0 ? hyper.step : 1;
        if (hyper.integer || hyper.step > 0) {
            double cell = (value - hyper.lo) / step;
            assert_true(cell == floor(cell));
            assert_int_equal(search_choice_number(&hyper, value), (int)cell);
        }
    }
}

static void every_integer_has_its_share(void **state) {
    (void)state;
    TuneHyper hyper = range(1, 4);
    hyper.integer = true;
    int hits[5] = {0};
    for (int t = 0; t < 4000; t++) hits[(int)search_range_value(&hyper, (t + 0.5) / 4000)]++;
    for (int v = 1; v <= 4; v++) assert_in_range(hits[v], 999, 1001);
}

static void fractional_steps_reach_the_end(void **state) {
    (void)state;
    TuneHyper hyper = range(0, 0.3);
    hyper.step = 0.1;
    assert_near(search_range_value(&hyper, 1 - 0x1p-53), 0.3);
    hyper.offset = 1, hyper.scale = -1;
    assert_near(search_range_value(&hyper, 1 - 0x1p-53), 0.7);
    assert_int_equal(search_choice_number(&hyper, search_range_value(&hyper, 0.6)), 2);
}

/* ---- a study with a condition: momentum of sgd, and adam's beta with three values ---- */

static const double betas[] = {0.8, 0.9, 0.99};
static TuneHyper conditional[] = {
    {.name = "optimizer",
     .role = TUNE_SCIENTIFIC,
     .domain = TUNE_CHOICE,
     .structural = true,
     .count = 2,
     .parent = -1},
    {.name = "sgd.momentum",
     .role = TUNE_NUISANCE,
     .domain = TUNE_RANGE,
     .lo = 0,
     .hi = 1,
     .scale = 1,
     .parent = 0,
     .parent_value = 0},
    {.name = "adam.beta",
     .role = TUNE_NUISANCE,
     .domain = TUNE_VALUES,
     .count = 3,
     .values = betas,
     .parent = 0,
     .parent_value = 1},
    {.name = "width",
     .role = TUNE_NUISANCE,
     .domain = TUNE_RANGE,
     .lo = 16,
     .hi = 48,
     .step = 16,
     .integer = true,
     .structural = true,
     .scale = 1,
     .parent = -1},
    {.name = "batch", .role = TUNE_FIXED, .domain = TUNE_VALUES, .count = 1, .parent = -1},
};
enum { HYPERS = 5 };

static TuneStudy conditional_study(TuneSearch search) {
    return (TuneStudy){
        .hypers = conditional, .hyper_count = HYPERS, .search = search, .search_seed = 4};
}

static void check_conditions(const double *values) {
    assert_true(values[0] == 0 ? isnan(values[2]) && values[1] >= 0 && values[1] <= 1
                               : isnan(values[1]) && values[2] >= 0 && values[2] < 3);
    assert_true(values[3] == 16 || values[3] == 32 || values[3] == 48);
    assert_true(values[4] == 0);
}

static void what_does_not_exist_is_nan(void **state) {
    (void)state;
    for (int search = TUNE_QUASIRANDOM; search <= TUNE_GRID; search++) {
        TuneStudy study = conditional_study((TuneSearch)search);
        study.points = 24, study.grid_levels = 5;
        for (uint32_t at = 0; at < 24; at++) {
            double values[HYPERS];
            search_point(&study, at, values);
            check_conditions(values);
        }
    }
}

/* Five momenta or three betas, with three widths each: 24 points. */
static void a_grid_has_every_point_once(void **state) {
    (void)state;
    TuneStudy study = conditional_study(TUNE_GRID);
    study.points = 24, study.grid_levels = 5;
    double seen[24][HYPERS];
    for (uint32_t at = 0; at < 24; at++) {
        search_point(&study, at, seen[at]);
        for (uint32_t before = 0; before < at; before++)
            assert_memory_not_equal(seen[at], seen[before], sizeof seen[at]);
    }
    assert_true(seen[0][0] == 0 && seen[0][1] == 0 && seen[0][3] == 16);
    assert_true(seen[1][3] == 32); /* the last one turns fastest */
    assert_true(seen[3][1] == 0.25 && seen[14][1] == 1);
    assert_true(seen[15][0] == 1 && seen[15][2] == 0 && seen[23][2] == 2);
    double again[HYPERS];
    study.grid_levels = 0; /* "24 trials": five levels are the most that fit */
    search_point(&study, 14, again);
    assert_memory_equal(again, seen[14], sizeof again);
}

static void one_level_is_the_middle(void **state) {
    (void)state;
    TuneHyper hypers[] = {range(2, 4)};
    TuneStudy study = {
        .hypers = hypers, .hyper_count = 1, .search = TUNE_GRID, .points = 1, .grid_levels = 1};
    double value;
    search_point(&study, 0, &value);
    assert_near(value, 3);
}

static void random_points_are_spread(void **state) {
    (void)state;
    TuneHyper hypers[] = {range(0, 1), range(0, 1)};
    TuneStudy study = {.hypers = hypers,
                       .hyper_count = 2,
                       .search = TUNE_RANDOM,
                       .points = 4000,
                       .search_seed = 1};
    double sum = 0, product = 0;
    for (uint32_t at = 0; at < 4000; at++) {
        double values[2];
        search_point(&study, at, values);
        sum += values[0];
        product += (values[0] - 0.5) * (values[1] - 0.5);
    }
    assert_true(fabs(sum / 4000 - 0.5) < 5 * 0.2887 / sqrt(4000));
    assert_true(fabs(product / 4000) < 5 * 0.0833 / sqrt(4000));
}

static void listed_points_are_taken_as_they_are(void **state) {
    (void)state;
    static const double listed[2][HYPERS] = {{0, 0.5, NAN, 32, 0}, {1, NAN, 2, 48, 0}};
    TuneStudy study = conditional_study(TUNE_POINTS);
    study.points = 2;
    study.point_values = &listed[0][0];
    double values[HYPERS];
    search_point(&study, 1, values);
    assert_memory_equal(values, listed[1], sizeof values);
}

static void variants_are_found_by_their_structure(void **state) {
    (void)state;
    static const int32_t choices[6][HYPERS] = {{0, -1, -1, 0, -1}, {0, -1, -1, 1, -1},
                                               {0, -1, -1, 2, -1}, {1, -1, -1, 0, -1},
                                               {1, -1, -1, 1, -1}, {1, -1, -1, 2, -1}};
    TuneVariant variants[6] = {{0}};
    for (int v = 0; v < 6; v++) variants[v].choice = choices[v];
    TuneStudy study = conditional_study(TUNE_QUASIRANDOM);
    study.variants = variants, study.variant_count = 6;
    for (uint32_t at = 0; at < 50; at++) {
        double values[HYPERS];
        search_point(&study, at, values);
        assert_int_equal(search_variant(&study, values), (int)(values[0] * 3 + values[3] / 16 - 1));
    }
    study.variant_count = 1;
    assert_int_equal(search_variant(&study, (const double[HYPERS]){1, NAN, 0, 16, 0}), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_follow_their_formula),
        cmocka_unit_test(values_stay_in_bounds_and_on_the_grid),
        cmocka_unit_test(every_integer_has_its_share),
        cmocka_unit_test(fractional_steps_reach_the_end),
        cmocka_unit_test(what_does_not_exist_is_nan),
        cmocka_unit_test(a_grid_has_every_point_once),
        cmocka_unit_test(one_level_is_the_middle),
        cmocka_unit_test(random_points_are_spread),
        cmocka_unit_test(listed_points_are_taken_as_they_are),
        cmocka_unit_test(variants_are_found_by_their_structure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
