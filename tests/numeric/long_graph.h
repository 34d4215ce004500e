/* Graphs with longer axes than random ones have: what a GPU shares out to warps, blocks and grids,
 * each way once, and with rests. The same on every call. */
#ifndef TUNE_TESTS_NUMERIC_LONG_GRAPH_H
#define TUNE_TESTS_NUMERIC_LONG_GRAPH_H

#include "compiler/graph/graph.h"

enum { LONG_GRAPHS = 28 };
Graph *long_graph(uint32_t number, Arena *arena);

#endif
