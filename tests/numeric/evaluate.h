/* The reference evaluator: a graph computed node by node, in the plainest way, from the words of
 * ops.def.
 *
 * Independent of the compiler's kernels and of the run time. Every number is a double; values of
 * f32 nodes are rounded to float after each op (except that contractions and sums keep doubles
 * inside).
 *
 *     Inputs inputs = {.leaf = my_values, .user = &state, .key = {1, 2}};
 *     double **values = evaluate(graph, &inputs, arena);     // values[node->id][element],
 * row-major */
#ifndef TUNE_TESTS_NUMERIC_EVALUATE_H
#define TUNE_TESTS_NUMERIC_EVALUATE_H

#include "compiler/graph/graph.h"

typedef struct {
    /* Fills the elements of a PARAM, STATE, FLAT_PARAM, HYPER, FIELD or TOTAL. */
    void (*leaf)(void *user, const GNode *node, double *values);
    void *user;
    uint32_t key[2]; /* RANDOM */
    uint32_t step;   /* STEP, RANDOM */
    /* Every rounding is made larger: results and summed terms are multiplied by 1 + noise * u, u in
     * [-1, 1] chosen by `noise_seed`. How far the outputs then move is how well conditioned the
     * graph is. */
    double noise;
    uint32_t noise_seed;
} Inputs;

double **evaluate(const Graph *graph, const Inputs *inputs, Arena *arena);

/* Philox4x32-10, written from the paper (Salmon et al. 2011, section 3.3). */
void reference_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

#endif
