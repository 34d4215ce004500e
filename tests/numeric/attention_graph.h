/* Attention with its gradients, of every kind that fuses into planes and of some that do not; as a
 * case of tests/numeric/graph_case.h. The same on every call. */
#ifndef TUNE_TESTS_NUMERIC_ATTENTION_GRAPH_H
#define TUNE_TESTS_NUMERIC_ATTENTION_GRAPH_H

#include "compiler/graph/graph.h"

uint32_t attention_graph_count(void);
Graph *attention_graph(uint32_t number, Arena *arena);
/* How many kernels of the fused graph are planes, and how many elements its scores have. */
uint32_t attention_graph_planes(uint32_t number);
int64_t attention_graph_scores(uint32_t number);
/* Causal attention with dropout over so many queries and keys; batch 1, 2 heads of 32 features. */
Graph *long_attention_graph(int64_t length, Arena *arena);

#endif
