/* A program of the language, through the compiler's front end and the reference evaluator: what
 * one trial's vectors become, step by step.
 *
 *     Compilation compilation = {0};
 *     Program *program = front_compile(&compilation, text);   // one study, one variant, f64
 *     Vectors at = {.fields = {x}};
 *     front_run(program->init, &at, 0);
 *     front_run(program->train, &at, 0);                       // at.param, at.state, at.loss
 *     compilation_release(&compilation); */
#ifndef TUNE_TESTS_NUMERIC_FRONT_H
#define TUNE_TESTS_NUMERIC_FRONT_H

#include "compiler/pipeline.h"

enum { FRONT_FLAT = 128, FRONT_STATES = 4, FRONT_FIELDS = 2 };

typedef struct {
    double param[FRONT_FLAT], state[FRONT_STATES][FRONT_FLAT];
    const double *fields[FRONT_FIELDS]; /* of the whole batch, row-major */
    double loss, grad_norm;
} Vectors;

/* NULL after printing the errors. */
Program *front_compile(Compilation *compilation, const char *text);
/* Runs a graph and takes its outputs over. */
void front_run(const Graph *graph, Vectors *at, uint32_t step);
/* Are they equal but for rounding? Prints what is not. */
bool front_near(const char *what, uint32_t step, int element, double got, double expected,
                double tolerance);

#endif
