/* One rewriting step, for simplify.c: what a node with these (already simplified) operands may be
 * instead.
 *
 * `like` gives op and attributes, `in` the operands, both in or for `graph`. NULL: no rule applies.
 * Every rule is exact: the same bits for every finite result. */
#ifndef TUNE_COMPILER_GRAPH_REWRITE_H
#define TUNE_COMPILER_GRAPH_REWRITE_H

#include "compiler/graph/graph.h"

GNode *rewrite_algebra(Graph *graph, const GNode *like, GNode **in); /* elementwise; algebra.c */
GNode *rewrite_view(Graph *graph, const GNode *like, GNode **in); /* views, reductions; views.c */

#endif
