/* The best k checkpoints: any order of offers gives the set that sorting everything at once gives.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/checkpoint.h"

enum { TRIALS = 9, STEPS = 7, OFFERS = TRIALS * STEPS };

static uint32_t next_random(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Few distinct values, so that ties are common. */
static double value_of(uint32_t trial, uint32_t step, uint32_t seed) {
    uint32_t state = seed + trial * 131 + step * 17;
    next_random(&state);
    uint32_t drawn = next_random(&state) % 12;
    return drawn == 11 ? (double)NAN : (double)drawn;
}

static int by_rank(const void *left, const void *right) {
    const Kept *a = left, *b = right;
    if (a->value != b->value) return a->value < b->value ? -1 : 1;
    return a->trial < b->trial ? -1 : 1;
}

static uint32_t sorted_best(uint32_t seed, Kept best[TRIALS]) {
    uint32_t count = 0;
    for (uint32_t trial = 0; trial < TRIALS; trial++) {
        Kept own = {.trial = trial, .value = INFINITY};
        for (uint32_t step = 1; step <= STEPS; step++) {
            double value = value_of(trial, step, seed);
            if (!(value < own.value)) continue;
            own.value = value;
            own.step = step;
        }
        if (own.step) best[count++] = own;
    }
    qsort(best, count, sizeof *best, by_rank);
    return count;
}

/* Offers in a random order of trials; within a trial by step, as training does. */
static void offer_all(Ranking *ranking, uint32_t seed, uint32_t order) {
    uint32_t steps[TRIALS] = {0};
    for (uint32_t left = OFFERS; left;) {
        uint32_t trial = next_random(&order) % TRIALS;
        if (steps[trial] == STEPS) continue;
        steps[trial]++;
        left--;
        ranking_offer(ranking, trial, steps[trial], value_of(trial, steps[trial], seed));
    }
}

static void any_order(void **state) {
    (void)state;
    for (uint32_t seed = 0; seed < 300; seed++)
        for (uint32_t keep = 1; keep <= 5; keep++) {
            Kept best[TRIALS];
            Ranking ranking;
            uint32_t count = sorted_best(seed, best);
            assert_true(ranking_init(&ranking, keep, false));
            offer_all(&ranking, seed, seed * 31 + keep);
            assert_int_equal(ranking.count, count < keep ? count : keep);
            for (uint32_t i = 0; i < ranking.count; i++) {
                assert_int_equal(ranking.kept[i].trial, best[i].trial);
                assert_int_equal(ranking.kept[i].step, best[i].step);
            }
            /* run again after a crash: nothing enters a second time */
            Kept *before = malloc((keep + 1) * sizeof *before);
            memcpy(before, ranking.kept, ranking.count * sizeof *before);
            offer_all(&ranking, seed, seed * 7 + 1);
            for (uint32_t i = 0; i < ranking.count; i++)
                assert_int_equal(ranking.kept[i].step, before[i].step);
            free(before);
            ranking_release(&ranking);
        }
}

static void maximizes(void **state) {
    (void)state;
    Ranking ranking;
    assert_true(ranking_init(&ranking, 2, true));
    assert_true(ranking_offer(&ranking, 4, 10, 0.5));
    assert_true(ranking_offer(&ranking, 4, 20, 0.6));
    assert_false(ranking_offer(&ranking, 4, 30, 0.6));
    assert_true(ranking_offer(&ranking, 5, 10, 0.1));
    assert_true(ranking_offer(&ranking, 3, 10, 0.6));
    assert_false(ranking_offer(&ranking, 6, 10, INFINITY));
    assert_int_equal(ranking.kept[0].trial, 3);
    assert_int_equal(ranking.kept[1].step, 20);
    assert_true(ranking_has_name(&ranking, "trial-0004-step-000020.safetensors"));
    assert_false(ranking_has_name(&ranking, "trial-0005-step-000010.safetensors"));
    ranking_release(&ranking);
}

static void names(void **state) {
    (void)state;
    assert_true(checkpoint_is_name("trial-0007-step-001500.safetensors"));
    assert_true(checkpoint_is_name("trial-0007-step-001500.safetensors.123.tmp"));
    assert_false(checkpoint_is_name("trial-0007-step-001500.safetensors.mine"));
    assert_false(checkpoint_is_name("notes.txt"));
    assert_false(checkpoint_is_name("trial-best.safetensors"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_order), cmocka_unit_test(maximizes),
                                       cmocka_unit_test(names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
