/* The reference Philox4x32-10 against the vectors published with Random123 1.14
 * (tests/kat_vectors), and uniformity of RANDOM as a check that the words are used as they are. */
#include <math.h>
#include <stdio.h>

#include "tests/numeric/evaluate.h"

static const struct {
    uint32_t counter[4], key[2], words[4];
} vectors[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

static bool check_vectors(void) {
    for (uint32_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        uint32_t words[4];
        reference_philox(vectors[i].counter, vectors[i].key, words);
        if (memcmp(words, vectors[i].words, sizeof words) == 0) continue;
        printf("FAILED: vector %u: %08x %08x %08x %08x\n", i, words[0], words[1], words[2],
               words[3]);
        return false;
    }
    return true;
}

/* Mean and variance of 2^16 words, within five standard errors of those of the uniform
 * distribution. */
static bool check_uniform(void) {
    Arena *arena = arena_new();
    Graph *graph = graph_new(arena, "uniform", E_F64);
    Type type = {.elem = E_U32, .rank = 1, .dims = {{.size = 1 << 16}}};
    GNode *random = graph_random(graph, &type, false, 1000, 2, (Span){0, 0});
    double *words = evaluate(graph, &(Inputs){.key = {1, 2}, .step = 7}, arena)[random->id];
    double count = 1 << 16, mean = 0, square = 0;
    for (int64_t i = 0; i < 1 << 16; i++) {
        double u = words[i] / 4294967296.0 - 0.5;
        mean += u / count;
        square += u * u / count;
    }
    arena_free(arena);
    bool passed = fabs(mean) < 5 * sqrt(1 / 12.0 / count) &&
                  fabs(square - 1 / 12.0) < 5 * sqrt(1 / 180.0 / count);
    if (!passed) printf("FAILED: mean %g, second moment %g\n", mean, square);
    return passed;
}

int main(void) {
    return check_vectors() && check_uniform() ? 0 : 1;
}
