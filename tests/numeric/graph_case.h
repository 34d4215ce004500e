/* A random graph as a test of a back end: its inputs, the same numbers for the reference evaluator
 * and in memory, and how far results may be from the reference.
 *
 *     GraphCase c = graph_case(seed, arena);
 *     StepProgram *steps = fuse(simplify(c.graph, arena), &c.layout, true, arena);   // schedule, …
 *     case_fill_trial(&c, 0, block); case_fill_field(&c, node, field);               // run it
 *     case_compare(&c, 0, fused, unfused, &count)                // values[output][element] of both
 *
 * Trials differ in parameters, states, hyperparameters and key; the batch is the same for all. */
#ifndef TUNE_TESTS_NUMERIC_GRAPH_CASE_H
#define TUNE_TESTS_NUMERIC_GRAPH_CASE_H

#include "compiler/kernel/kernel.h"
#include "tests/numeric/random_graph.h"

enum { MOST_OUTPUTS = 8 };

typedef struct {
    uint64_t seed;
    Graph *graph;
    int64_t batch;
    TrialLayout layout;
    bool any_order; /* fused and unfused kernels may sum in different orders: only the reference
                       counts */
} GraphCase;

/* From LONG_SEED on: the graphs of tests/numeric/long_graph.h; from ATTENTION_SEED on those of
 * tests/numeric/attention_graph.h. */
enum { LONG_SEED = 1000000, ATTENTION_SEED = 2000000 };
GraphCase graph_case(uint64_t seed, Arena *arena);
/* Of a graph with FIELDs, PARAMs, STATES states and up to 2 hyperparameters. */
GraphCase graph_case_of(Graph *graph, uint64_t seed);

/* Which example row i of the batch is. */
int32_t case_example(const GraphCase *c, int64_t row);
/* Header, hyperparameters, parameters and states, in layout.bytes zeroed bytes. */
void case_fill_trial(const GraphCase *c, uint32_t trial, char *block);
void case_fill_field(const GraphCase *c, const GNode *field, void *base);
int64_t case_bytes(const Type *type); /* of a value in memory */

/* Where an output ends up in the trial's block, and as what; NULL: in the memory of field
 * output->index. */
const char *case_output(const GraphCase *c, const Output *output, const char *block, Elem *elem);
double case_load(Elem elem, const void *base, int64_t at);

typedef struct {
    int64_t compared, undefined;
} CaseCount;

/* Fused and unfused are the same bits (unless any_order), and as close to the reference as the
 * graph allows: the evaluator runs with all its roundings made larger, and the results may be as
 * far away as those runs are, no further. False after a message. */
bool case_compare(const GraphCase *c, uint32_t trial, double **fused, double **unfused,
                  CaseCount *count);

/* Prints the graph and what is wrong; false. */
bool case_complain(const GraphCase *c, const char *what, const char *problem);

#endif
