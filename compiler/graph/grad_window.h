/* The gradient of a view of windows, for grad.c.
 *
 * `node` is the WINDOW, `g` its adjoint [… count, size …]; the result has the operand's shape. */
#ifndef TUNE_COMPILER_GRAPH_GRAD_WINDOW_H
#define TUNE_COMPILER_GRAPH_GRAD_WINDOW_H

#include "compiler/graph/graph.h"

GNode *window_gradient(Graph *graph, const GNode *node, GNode *g, Span span);

#endif
