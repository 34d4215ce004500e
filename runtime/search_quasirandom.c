/* Quasi-random search: a Halton sequence, Owen-scrambled, with the scientific values as its first
 * coordinate.
 *
 * Halton's coordinate in base p reads the digits of the point's number behind the point, lowest
 * first. Scrambled after Owen (2017, arXiv 1706.02808): every digit goes through a random
 * permutation of its own, 0 too. The bases are the first primes; the sequences in bases near 1000
 * that are in use elsewhere are no more uniform than random points at the size of a study.
 *
 * The finite scientific hyperparameters together are one more coordinate. They have c combinations;
 * point i has combination number i mod c (in an order keyed by the seed), so that any c points in
 * succession show every combination once. With bases that share no factor with c, all of it is
 * again a Halton sequence, in bases c, p1, p2, …: the points of each single combination are of low
 * discrepancy, too. With a base that divides c (2 for two optimizers) a scientific value would see
 * only one half of a range. So a study uses the first primes that do not divide c.
 *
 * Every other hyperparameter that is not fixed has its coordinate in the order of the study, also a
 * conditional one where it does not exist. */
#include "runtime/search_algorithm.h"

#include <math.h>

#include "runtime/philox.h"

enum { DIGIT_STREAM = 0, COMBINATION_STREAM = 1 }; /* sub-seeds */

static bool is_prime(uint32_t number) {
    for (uint32_t divisor = 2; divisor * divisor <= number; divisor++)
        if (number % divisor == 0) return false;
    return number >= 2;
}

/* Prime number `at`, from 0. */
static uint32_t prime(uint32_t at) {
    uint32_t number = 2;
    while (!is_prime(number) || at-- > 0) number++;
    return number;
}

double search_halton(uint64_t seed, uint32_t dimension, uint64_t at) {
    uint32_t key[2];
    philox_key(seed, DIGIT_STREAM, PURPOSE_SEARCH, key);
    const uint32_t base = prime(dimension);
    /* As many digits as a double holds exactly: base^digits <= 2^53. The quotient is then the exact
     * one, rounded once. */
    const uint64_t most = ((uint64_t)1 << 53) / base;
    uint64_t numerator = 0, denominator = 1;
    for (uint32_t digit = 0; denominator <= most; digit++) {
        numerator = numerator * base;
        numerator +=
            philox_shuffle((uint32_t)(at % base), base, (const uint32_t[3]){digit, dimension}, key);
        denominator *= base;
        at /= base;
    }
    return (double)numerator / (double)denominator;
}

static bool is_stratified(const TuneHyper *hyper) {
    return hyper->role == TUNE_SCIENTIFIC && hyper->domain != TUNE_RANGE && hyper->parent < 0;
}

static uint64_t combination_count(const TuneStudy *study) {
    uint64_t count = 1;
    for (uint32_t h = 0; h < study->hyper_count; h++)
        if (is_stratified(&study->hypers[h])) count *= study->hypers[h].count;
    return count;
}

static uint64_t combination_of_point(const TuneStudy *study, uint32_t at, uint64_t count) {
    uint32_t key[2];
    philox_key(study->search_seed, COMBINATION_STREAM, PURPOSE_SEARCH, key);
    return philox_permute(at % count, count, key);
}

void search_quasirandom(const TuneStudy *study, uint32_t at, double *values) {
    const uint64_t combinations = combination_count(study);
    uint64_t combination = combination_of_point(study, at, combinations);
    uint32_t dimension = 0;
    for (uint32_t h = 0; h < study->hyper_count; h++) {
        const TuneHyper *hyper = &study->hypers[h];
        if (is_stratified(hyper)) {
            values[h] = (double)(combination % hyper->count);
            combination /= hyper->count;
            continue;
        }
        double u = 0;
        if (hyper->role != TUNE_FIXED) {
            while (combinations % prime(dimension) == 0) dimension++;
            u = search_halton(study->search_seed, dimension++, at);
        }
        values[h] = search_exists(study, h, values) ? search_value_at(hyper, u) : NAN;
    }
}
