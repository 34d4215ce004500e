/* Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror and Shaw, SC 2011). The same
 * function that compiled kernels compute; here for keys, permutations and the search. */
#ifndef TUNE_RUNTIME_PHILOX_H
#define TUNE_RUNTIME_PHILOX_H

#include <stdint.h>

typedef struct {
    uint32_t word[4];
} PhiloxBlock;

PhiloxBlock philox(const uint32_t counter[4], const uint32_t key[2]);

/* One of `purpose`'s keys, from two seeds: the purposes never share a stream. */
typedef enum {
    PURPOSE_TRIAL,
    PURPOSE_DATA_ORDER,
    PURPOSE_SPLIT,
    PURPOSE_SAMPLE,
    PURPOSE_SEARCH,
    PURPOSE_GENERATE,
    PURPOSE_TEXT
} Purpose;
void philox_key(uint64_t seed, uint64_t sub_seed, Purpose purpose, uint32_t key[2]);

/* Where a Fisher-Yates shuffle of 0..count-1 takes element `at`: its path through the exchanges,
 * which go from the last place to the first, the one at `place` being with floor(word * (place + 1)
 * / 2^32), a drawn place of 0..place. Draw d is word d % 4 of the block of counter {d / 4, stream}.
 * Takes time in proportion to count. Frozen. */
uint32_t philox_shuffle(uint32_t at, uint32_t count, const uint32_t stream[3],
                        const uint32_t key[2]);

/* Element `at` of a pseudorandom permutation of 0..count-1, computed, not stored: a keyed Feistel
 * network with cycle walking (a shuffle when there are few). A bijection for every key and 1 <=
 * count <= 2^62. */
uint64_t philox_permute(uint64_t at, uint64_t count, const uint32_t key[2]);

#endif
