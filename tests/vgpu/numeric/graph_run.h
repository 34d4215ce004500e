/* Graphs on the virtual GPU, with all of its checks, compared with the reference evaluator
 * (tests/numeric/graph_case.h). Each graph is compiled twice, fused and one kernel per op: the
 * results are the same bits. They are computed for a wave of trials, and for each trial by itself:
 * the same bits again (promise P1). */
#ifndef TUNE_TESTS_VGPU_NUMERIC_GRAPH_RUN_H
#define TUNE_TESTS_VGPU_NUMERIC_GRAPH_RUN_H

#include "tests/numeric/graph_case.h"

/* Exit status of a test: 0, 1 after messages, 77 where there is no NVRTC. */
int graph_run(const GraphCase *graphs, uint32_t graph_count, Arena *arena);

#endif
