/* Philox against its published vectors, and the properties of its permutations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/philox.h"

/* Random123, kat_vectors: philox4x32 with 10 rounds. */
static void agrees_with_published_vectors(void **state) {
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], result[4];
    } vectors[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t v = 0; v < sizeof vectors / sizeof *vectors; v++) {
        PhiloxBlock block = philox(vectors[v].counter, vectors[v].key);
        assert_memory_equal(block.word, vectors[v].result, sizeof block.word);
    }
}

static void keys_differ_by_every_part(void **state) {
    (void)state;
    uint32_t keys[5][2];
    philox_key(1, 0, PURPOSE_TRIAL, keys[0]);
    philox_key(2, 0, PURPOSE_TRIAL, keys[1]);
    philox_key(1, 1, PURPOSE_TRIAL, keys[2]);
    philox_key(1, 0, PURPOSE_SPLIT, keys[3]);
    philox_key(1 + ((uint64_t)1 << 32), 0, PURPOSE_TRIAL, keys[4]);
    for (int a = 0; a < 5; a++)
        for (int b = 0; b < a; b++) assert_memory_not_equal(keys[a], keys[b], sizeof keys[a]);
}

static void check_bijection(uint64_t count, uint64_t seed) {
    uint32_t key[2];
    philox_key(seed, 0, PURPOSE_SPLIT, key);
    unsigned char *seen = calloc(count, 1);
    for (uint64_t at = 0; at < count; at++) {
        uint64_t to = philox_permute(at, count, key);
        assert_true(to < count);
        assert_false(seen[to]);
        seen[to] = 1;
    }
    free(seen);
}

static void permutes_every_count(void **state) {
    (void)state;
    for (uint64_t count = 1; count <= 2000; count++) check_bijection(count, count);
    for (uint64_t count = 4096; count <= 1 << 16; count *= 2) {
        check_bijection(count - 1, 7);
        check_bijection(count, 7);
        check_bijection(count + 1, 7);
    }
}

/* Where an element lands, over many keys: chi-squared against uniform, five standard deviations. */
static void check_uniform(uint64_t count, uint64_t at) {
    enum { KEYS = 20000 };
    uint32_t *hits = calloc(count, sizeof *hits);
    for (uint64_t seed = 0; seed < KEYS; seed++) {
        uint32_t key[2];
        philox_key(seed, at, PURPOSE_SPLIT, key);
        hits[philox_permute(at, count, key)]++;
    }
    double expected = (double)KEYS / (double)count, chi = 0, freedom = (double)count - 1;
    for (uint64_t to = 0; to < count; to++) chi += pow(hits[to] - expected, 2) / expected;
    free(hits);
    if (chi > freedom + 5 * sqrt(2 * freedom))
        fail_msg("count %d at %d: chi^2 %g", (int)count, (int)at, chi);
}

static void lands_uniformly(void **state) {
    (void)state;
    static const uint64_t counts[] = {2, 3, 4, 5, 7, 8, 10, 16, 31, 64, 100};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (uint64_t at = 0; at < counts[c]; at += 1 + counts[c] / 5) check_uniform(counts[c], at);
}

/* Neighbours must not stay neighbours: all orders of three elements are equally likely. */
static void orders_are_equally_likely(void **state) {
    (void)state;
    enum { KEYS = 60000 };
    uint32_t hits[27] = {0};
    for (uint64_t seed = 0; seed < KEYS; seed++) {
        uint32_t key[2];
        philox_key(seed, 3, PURPOSE_DATA_ORDER, key);
        uint64_t code = 0;
        for (uint64_t at = 0; at < 3; at++) code = code * 3 + philox_permute(at, 3, key);
        hits[code]++;
    }
    double chi = 0;
    for (int code = 0; code < 27; code++)
        if (hits[code] > 0) chi += pow(hits[code] - KEYS / 6.0, 2) / (KEYS / 6.0);
    assert_true(chi < 5 + 5 * sqrt(10)); /* five degrees of freedom */
}

static void a_permuted_index_is_cheap(void **state) {
    (void)state;
    enum {
        TIMES = 200000,
        COUNT = 60000,
        LIMIT_NANOSECONDS = 500
    }; /* about 20; the limit allows for sanitizers */
    uint32_t key[2];
    philox_key(1, 0, PURPOSE_DATA_ORDER, key);
    struct timespec start, end;
    uint64_t sum = 0;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    for (uint64_t at = 0; at < TIMES; at++) sum += philox_permute(at % COUNT, COUNT, key);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    double nanoseconds =
        (double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec);
    print_message("%.1f ns per index (sum %llu)\n", nanoseconds / TIMES, (unsigned long long)sum);
    assert_true(nanoseconds / TIMES < LIMIT_NANOSECONDS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_published_vectors),
        cmocka_unit_test(keys_differ_by_every_part),
        cmocka_unit_test(permutes_every_count),
        cmocka_unit_test(lands_uniformly),
        cmocka_unit_test(orders_are_equally_likely),
        cmocka_unit_test(a_permuted_index_is_cheap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
