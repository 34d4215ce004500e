/* Random numbers, shapes and graphs for the numeric tests; the same for the same seed everywhere.
 */
#ifndef TUNE_TESTS_NUMERIC_RANDOM_GRAPH_H
#define TUNE_TESTS_NUMERIC_RANDOM_GRAPH_H

#include "compiler/graph/graph.h"

typedef struct {
    uint64_t state;
} Rng;

uint32_t rng_below(Rng *rng, uint32_t bound); /* 0 .. bound - 1 */
double rng_real(Rng *rng, double lo, double hi);

/* Axes of 1 to 7 elements; at most 400 elements. */
Type random_type(Rng *rng, Elem elem, uint32_t least_rank, uint32_t most_rank);

/* A permutation of 0 .. rank - 1 that leaves the first `fixed` where they are. */
void random_perm(Rng *rng, uint32_t rank, uint32_t fixed, uint8_t perm[MAX_RANK]);

enum { FIRST_OUTPUT = 8, OUTPUTS = 4 };

/* A training step around such a graph: STATES flat states; the pieces of a flat gradient are any of
 * its values brought to the parameters' shapes, used elsewhere too, twice, or parameters
 * themselves; the outputs are updates, sums over them, flat vectors as they are, and FIELDs. */
enum { STATES = 2 };
Graph *random_step(Rng *rng, Elem real, uint32_t count, Arena *arena);

/* About `count` ops of all kinds over fields (batched), parameters, hyperparameters and constants,
 * many of them the special numbers and chains of views that simplify has rules for. Every output is
 * an OUT_FIELD. */
Graph *random_graph(Rng *rng, Elem real, uint32_t count, Arena *arena);

#endif
