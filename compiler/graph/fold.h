/* Elementwise ops on numbers known when compiling.
 *
 * The result is what the run time would compute, bit for bit: f32 is computed in float, i32 and u32
 * wrap. Therefore nothing is folded whose last bit depends on the math library (exp, log, …), and
 * nothing that C leaves undefined (division of integers by zero, casts out of range). */
#ifndef TUNE_COMPILER_GRAPH_FOLD_H
#define TUNE_COMPILER_GRAPH_FOLD_H

#include "compiler/graph/graph.h"

/* `operand` is the element type of the (last) operand, `result` of the result; `bits` is of SHR and
 * ROUND. False: not foldable. */
bool fold(Op op, Elem operand, Elem result, const double *in, uint32_t bits, double *number);

/* The nearest number that `elem` has. */
double fold_round(double number, Elem elem);

#endif
