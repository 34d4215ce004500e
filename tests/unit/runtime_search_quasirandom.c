/* The quasi-random search: golden vectors, uniformity, and the even coverage of scientific values.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/philox.h"
#include "runtime/search.h"

/* ---- frozen ---- */

/* From an implementation in exact fractions that shuffles whole lists. These numbers never change:
 * a study that is resumed by a newer program must go on with the same points. */
static const double golden[2][8][5] = {
    {
        {0.44606872206526116, 0.5431151458867054, 0.67695450458354378, 0.46416797086553357,
         0.73189353725956796},
        {0.94606872206526116, 0.87644847922003877, 0.076954504583543831, 0.035596542294105006,
         0.55007535544138619},
        {0.19606872206526116, 0.20978181255337205, 0.87695450458354385, 0.60702511372267642,
         0.8228026281686589},
        {0.69606872206526116, 0.43200403477559429, 0.27695450458354381, 0.17845368515124788,
         0.45916626453229525},
        {0.32106872206526116, 0.76533736810892761, 0.47695450458354383, 0.89273939943696212,
         0.0046208099868407307},
        {0.82106872206526116, 0.09867070144226095, 0.71695450458354382, 0.32131082800839073,
         0.095529900895931635},
        {0.071068722065261158, 0.65422625699781656, 0.11695450458354384, 0.74988225657981933,
         0.18643899180502255},
        {0.57106872206526116, 0.98755959033114982, 0.91695450458354388, 0.50498429739614581,
         0.36825717362320437},
    },
    {
        {0.69254836836356315, 0.34027367776434875, 0.92158530936803917, 0.27100969289814919,
         0.62411626667435915},
        {0.19254836836356315, 0.67360701109768206, 0.72158530936803922, 0.98529540718386344,
         0.89684353940163186},
        {0.94254836836356315, 0.0069403444310154111, 0.52158530936803915, 0.41386683575529204,
         0.1695708121289046},
        {0.44254836836356315, 0.45138478887545985, 0.12158530936803918, 0.12815255004100634,
         0.078661721219813685},
        {0.56754836836356315, 0.78471812220879322, 0.3215853093680392, 0.69958112146957774,
         0.35138899394708639},
        {0.067548368363563149, 0.11805145554212652, 0.84158530936803921, 0.84243826432672064,
         0.44229808485617733},
        {0.81754836836356315, 0.56249589998657101, 0.64158530936803915, 0.55672397861243494,
         0.71502535758345009},
        {0.31754836836356315, 0.89582923331990427, 0.44158530936803919, 0.2506015296328431,
         0.26047990303799551},
    },
};

static void golden_vectors_hold(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 2; seed++)
        for (uint64_t at = 0; at < 8; at++)
            for (uint32_t d = 0; d < 5; d++)
                assert_true(search_halton(seed, d, at) == golden[seed][at][d]);
}

/* The definition again: a whole list shuffled, the digits added up in floating point. */
static double halton_by_lists(uint64_t seed, uint32_t base, uint32_t dimension, uint64_t at) {
    uint32_t key[2], list[64];
    double u = 0, weight = 1;
    philox_key(seed, 0, PURPOSE_SEARCH, key);
    for (uint32_t digit = 0; weight > 0x1p-53; digit++, at /= base) {
        for (uint32_t v = 0; v < base; v++) list[v] = v;
        for (uint32_t place = base - 1; place > 0; place--) {
            uint32_t draw = base - 1 - place;
            PhiloxBlock block = philox((const uint32_t[4]){draw / 4, digit, dimension, 0}, key);
            uint32_t other = (uint32_t)(block.word[draw % 4] * (place + 1.0) * 0x1p-32);
            uint32_t held = list[place];
            list[place] = list[other];
            list[other] = held;
        }
        uint32_t where = 0;
        while (list[where] != at % base) where++;
        weight /= base;
        u += where * weight;
    }
    return u;
}

static void agrees_with_the_definition(void **state) {
    (void)state;
    static const uint32_t primes[] = {2,  3,  5,  7,  11, 13, 17, 19, 23,
                                      29, 31, 37, 41, 43, 47, 53, 59, 61};
    for (uint32_t d = 0; d < sizeof primes / sizeof *primes; d++)
        for (uint64_t at = 0; at < 200; at += 7)
            assert_true(fabs(search_halton(99, d, at) - halton_by_lists(99, primes[d], d, at)) <
                        1e-12);
}

static void coordinates_stay_below_one(void **state) {
    (void)state;
    for (uint32_t d = 0; d < 30; d++)
        for (uint64_t at = 0; at < 400; at++) {
            double u = search_halton(at * 77, d, at % 5 ? at : UINT32_MAX - at);
            assert_true(u >= 0 && u < 1);
        }
}

/* ---- uniformity ---- */

/* Hickernell's centred L2 discrepancy, squared, as scipy.stats.qmc.discrepancy gives it. */
static double centred_discrepancy(const double *points, uint32_t count, uint32_t dims) {
    double single = 0, pairs = 0;
    for (uint32_t i = 0; i < count; i++) {
        const double *x = points + (size_t)i * dims;
        double product = 1;
        for (uint32_t d = 0; d < dims; d++) {
            double a = fabs(x[d] - 0.5);
            product *= 1 + 0.5 * a - 0.5 * a * a;
        }
        single += product;
        for (uint32_t j = 0; j < count; j++) {
            const double *y = points + (size_t)j * dims;
            product = 1;
            for (uint32_t d = 0; d < dims; d++)
                product *= 1 + 0.5 * (fabs(x[d] - 0.5) + fabs(y[d] - 0.5) - fabs(x[d] - y[d]));
            pairs += product;
        }
    }
    return pow(13.0 / 12, dims) - 2 * single / count + pairs / count / count;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_discrepancy(uint32_t dims, uint32_t count) {
    enum { SEEDS = 25 };
    double found[SEEDS], points[100 * 8];
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        for (uint32_t i = 0; i < count; i++)
            for (uint32_t d = 0; d < dims; d++) points[i * dims + d] = search_halton(seed, d, i);
        found[seed] = centred_discrepancy(points, count, dims);
    }
    qsort(found, SEEDS, sizeof *found, by_value);
    print_message("centred L2 discrepancy, %u dimensions, %u points: %.5f\n", dims, count,
                  found[SEEDS / 2]);
    return found[SEEDS / 2];
}

/* Bounds: independent random points have 0.0161, 0.02 and 0.0108; scipy's scrambled Halton 0.0022,
 * -, 0.0008. */
static void discrepancy_is_low(void **state) {
    (void)state;
    assert_true(median_discrepancy(2, 20) <= 0.0026);
    assert_true(median_discrepancy(4, 50) <= 0.0030);
    assert_true(median_discrepancy(4, 100) <= 0.0010);
}

static void every_coordinate_is_stratified(void **state) {
    (void)state;
    static const uint32_t primes[] = {2, 3, 5, 7, 11};
    for (uint32_t d = 0; d < 5; d++) {
        uint32_t cells = primes[d] * primes[d], hits[121] = {0};
        for (uint64_t at = 0; at < cells; at++) hits[(uint32_t)(search_halton(5, d, at) * cells)]++;
        for (uint32_t c = 0; c < cells; c++) assert_int_equal(hits[c], 1);
    }
}

/* ---- studies ---- */

static const TuneHyper two_by_three[] = {
    {.name = "optimizer",
     .role = TUNE_SCIENTIFIC,
     .domain = TUNE_CHOICE,
     .structural = true,
     .count = 2,
     .parent = -1},
    {.name = "lr",
     .role = TUNE_NUISANCE,
     .domain = TUNE_RANGE,
     .lo = 0,
     .hi = 1,
     .scale = 1,
     .parent = -1},
    {.name = "width",
     .role = TUNE_SCIENTIFIC,
     .domain = TUNE_VALUES,
     .structural = true,
     .count = 3,
     .parent = -1},
    {.name = "beta",
     .role = TUNE_NUISANCE,
     .domain = TUNE_RANGE,
     .lo = 0,
     .hi = 1,
     .scale = 1,
     .parent = 0,
     .parent_value = 1},
    {.name = "drop",
     .role = TUNE_NUISANCE,
     .domain = TUNE_RANGE,
     .lo = 0,
     .hi = 1,
     .scale = 1,
     .parent = -1},
    {.name = "batch", .role = TUNE_FIXED, .domain = TUNE_VALUES, .count = 1, .parent = -1},
};

static TuneStudy study_of(const TuneHyper *hypers, uint32_t count, uint64_t seed) {
    return (TuneStudy){.hypers = hypers,
                       .hyper_count = count,
                       .search = TUNE_QUASIRANDOM,
                       .points = 64,
                       .search_seed = seed};
}

static void scientific_values_are_covered_evenly(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 10; seed++) {
        TuneStudy study = study_of(two_by_three, 6, seed);
        for (uint32_t first = 0; first < 50; first++) {
            unsigned seen = 0;
            for (uint32_t at = first; at < first + 6; at++) {
                double values[6];
                search_point(&study, at, values);
                seen |= 1u << ((unsigned)values[0] * 3 + (unsigned)values[2]);
                assert_true(values[0] == 1 ? values[3] >= 0 && values[3] < 1 : isnan(values[3]));
                assert_true(values[5] == 0);
            }
            assert_int_equal(seen, 63);
        }
    }
}

/* A base that divides the number of combinations would show each optimizer one half of the learning
 * rates only. */
static void each_scientific_value_sees_the_whole_range(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 25; seed++) {
        TuneStudy study = study_of(two_by_three, 6, seed);
        for (int optimizer = 0; optimizer < 2; optimizer++) {
            double points[32 * 2];
            uint32_t count = 0;
            for (uint32_t at = 0; at < 50; at++) {
                double values[6];
                search_point(&study, at, values);
                if (values[0] != optimizer) continue;
                points[2 * count] = values[1];
                points[2 * count++ + 1] = values[4];
            }
            double found = centred_discrepancy(points, count, 2);
            assert_true(found < 0.010); /* independent random points: 0.013 in the median */
        }
    }
}

static void points_do_not_depend_on_anything_else(void **state) {
    (void)state;
    TuneStudy study = study_of(two_by_three, 6, 3), longer = study;
    longer.points = 1000;
    for (uint32_t at = 0; at < 64; at++) {
        double a[6], b[6];
        search_point(&study, at, a);
        search_point(&longer, at, b);
        assert_memory_equal(a, b, sizeof a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_vectors_hold),
        cmocka_unit_test(agrees_with_the_definition),
        cmocka_unit_test(coordinates_stay_below_one),
        cmocka_unit_test(discrepancy_is_low),
        cmocka_unit_test(every_coordinate_is_stratified),
        cmocka_unit_test(scientific_values_are_covered_evenly),
        cmocka_unit_test(each_scientific_value_sees_the_whole_range),
        cmocka_unit_test(points_do_not_depend_on_anything_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
