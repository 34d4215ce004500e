/* Drawing a class by its score: probabilities, temperature, the largest scores only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "runtime/sample.h"

enum { CLASSES = 5 };
static const double scores[CLASSES] = {0, 2, -1, 2, 1};
static uint32_t order[CLASSES];

static uint32_t at(double draw, double temperature, uint32_t top) {
    Sampling sampling = {temperature, top, 0};
    return sample_class(scores, CLASSES, &sampling, draw, order);
}

/* How many of 100,000 equally spaced draws give a class. */
static void check_shares(double temperature, uint32_t top, const double *wanted) {
    enum { DRAWS = 100000 };
    uint32_t count[CLASSES] = {0};
    double sum = 0;
    for (uint32_t i = 0; i < DRAWS; i++) count[at((i + 0.5) / DRAWS, temperature, top)]++;
    for (uint32_t c = 0; c < CLASSES; c++) sum += wanted[c];
    for (uint32_t c = 0; c < CLASSES; c++)
        assert_true(fabs((double)count[c] / DRAWS - wanted[c] / sum) < 2e-5);
}

static void probabilities(void **state) {
    (void)state;
    double wanted[CLASSES];
    for (uint32_t c = 0; c < CLASSES; c++) wanted[c] = exp(scores[c]);
    check_shares(1, 0, wanted);
    check_shares(1, CLASSES, wanted);
    for (uint32_t c = 0; c < CLASSES; c++) wanted[c] = exp(scores[c] / 0.5);
    check_shares(0.5, 0, wanted);
}

static void largest_only(void **state) {
    (void)state;
    check_shares(1, 3, (const double[]){0, exp(2), 0, exp(2), exp(1)});
    check_shares(1, 1, (const double[]){0, 1, 0, 0, 0}); /* of equal ones the first */
    check_shares(0, 0, (const double[]){0, 1, 0, 0, 0});
    check_shares(0, 4, (const double[]){0, 1, 0, 0, 0});
}

static void ends(void **state) {
    (void)state;
    assert_int_equal(at(0, 1, 0), 0);
    assert_int_equal(at(1 - 0x1p-53, 1, 0), 4);
    assert_int_equal(at(1 - 0x1p-53, 1e-3, 0), 3); /* the others' share is 0 */
    assert_int_equal(at(0, 1e-3, 0), 1);
    const double one[] = {-1e300};
    Sampling sampling = {1, 0, 0};
    assert_int_equal(sample_class(one, 1, &sampling, 0.7, order), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(probabilities),
                                       cmocka_unit_test(largest_only), cmocka_unit_test(ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
