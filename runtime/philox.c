/* Philox4x32-10 and what is built on it: keys for the purposes, and permutations that are computed,
 * not stored. */
#include "runtime/philox.h"

#include <assert.h>

enum {
    PHILOX_ROUNDS = 10,
    FEISTEL_ROUNDS = 8,
    FEISTEL_LEAST = 16 /* networks on fewer than five bits are far from random permutations */
};

static const uint32_t multiplier[2] = {0xD2511F53, 0xCD9E8D57};
static const uint32_t weyl[2] = {0x9E3779B9, 0xBB67AE85};

PhiloxBlock philox(const uint32_t counter[4], const uint32_t key[2]) {
    uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]};
    uint32_t k[2] = {key[0], key[1]};
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        uint64_t first = (uint64_t)multiplier[0] * c[0];
        uint64_t second = (uint64_t)multiplier[1] * c[2];
        c[0] = (uint32_t)(second >> 32) ^ c[1] ^ k[0];
        c[2] = (uint32_t)(first >> 32) ^ c[3] ^ k[1];
        c[1] = (uint32_t)second;
        c[3] = (uint32_t)first;
        k[0] += weyl[0];
        k[1] += weyl[1];
    }
    return (PhiloxBlock){{c[0], c[1], c[2], c[3]}};
}

void philox_key(uint64_t seed, uint64_t sub_seed, Purpose purpose, uint32_t key[2]) {
    const uint32_t counter[4] = {(uint32_t)seed, (uint32_t)(seed >> 32), (uint32_t)sub_seed,
                                 (uint32_t)(sub_seed >> 32)};
    const uint32_t purpose_key[2] = {(uint32_t)purpose, 0x54554E45}; /* "TUNE" */
    PhiloxBlock block = philox(counter, purpose_key);
    key[0] = block.word[0];
    key[1] = block.word[1];
}

/* The round function: one multiplication would leave neighbouring inputs related, two do not (the
 * constants are those of SplitMix64's finaliser). */
static inline uint64_t feistel_mix(uint64_t half, uint64_t round_key) {
    uint64_t x = half ^ round_key;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x >> 32;
}

uint32_t philox_shuffle(uint32_t at, uint32_t count, const uint32_t stream[3],
                        const uint32_t key[2]) {
    PhiloxBlock block = {{0}};
    uint32_t where = at;
    for (uint32_t place = count - 1, draw = 0; place > 0; place--, draw++) {
        if (draw % 4 == 0)
            block = philox((const uint32_t[4]){draw / 4, stream[0], stream[1], stream[2]}, key);
        uint32_t other = (uint32_t)((uint64_t)block.word[draw % 4] * (place + 1) >> 32);
        if (where == place)
            where = other;
        else if (where == other)
            return place;
    }
    return where;
}

uint64_t philox_permute(uint64_t at, uint64_t count, const uint32_t key[2]) {
    assert(at < count && count <= (uint64_t)1 << 62);
    if (count <= FEISTEL_LEAST)
        return philox_shuffle((uint32_t)at, (uint32_t)count, (const uint32_t[3]){0}, key);
    /* The smallest 2^bits >= count: the walk takes two steps on average at most. */
    const int bits = 64 - __builtin_clzll(count - 1);
    const int low_bits = bits / 2, high_bits = bits - low_bits;
    const uint64_t low_mask = ((uint64_t)1 << low_bits) - 1;
    const uint64_t high_mask = ((uint64_t)1 << high_bits) - 1;
    const uint64_t whole_key = (uint64_t)key[1] << 32 | key[0];
    uint64_t x = at;
    do {
        uint64_t low = x & low_mask, high = x >> low_bits, round_key = whole_key;
        for (int round = 0; round < FEISTEL_ROUNDS; round += 2) {
            high ^= feistel_mix(low, round_key) & high_mask;
            round_key += 0x9E3779B97F4A7C15u;
            low ^= feistel_mix(high, round_key) & low_mask;
            round_key += 0x9E3779B97F4A7C15u;
        }
        x = high << low_bits | low;
    } while (x >= count);
    return x;
}
