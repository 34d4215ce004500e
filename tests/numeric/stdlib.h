/* Programs of the standard library's tests: built by tunec, run, and read back from their
 * checkpoints.
 *
 * A program is one study "s"; its optimizer puts what is to be seen into parameters, so that whole
 * tensors come back exactly:
 *
 *     optimizer record(lr) { param = where(lr > 0, grad, param) }
 *
 * The gradient of v in sum(stop_gradient(y) * v) is y: after one step of trial 1 (lr: 1) v is y,
 * and the inputs of y are their gradients; trial 0 (lr: 0) keeps the inputs.
 *
 *     Program program = {.tunec = argv[1], .name = "functions"};
 *     if (program_run(&program, text)) {
 *         TensorFile file;
 *         if (program_checkpoint(&program, 1, 1, &file)) …       // trial 1 after step 1
 *     }
 *
 * With `device` "vgpu" they are built for GPUs and run on the virtual one. Everything lies in the
 * current directory. What fails is printed. */
#ifndef TUNE_TESTS_NUMERIC_STDLIB_H
#define TUNE_TESTS_NUMERIC_STDLIB_H

#include <stdbool.h>

#include "runtime/safetensors.h"

typedef struct {
    const char *tunec, *name;
    const char *device; /* "cpu" or "vgpu" */
} Program;

/* Writes NAME.tune, builds it with every verifier on, removes an earlier study and sweeps. */
bool program_run(const Program *program, const char *text);

/* The tensors of a checkpoint; release with safetensors_release. */
bool program_checkpoint(const Program *program, int trial, int step, TensorFile *file);

/* The values of a tensor, in doubles; the caller frees. NULL, and printed, if there is no such
 * tensor or it has not `count` elements. */
double *tensor_values(const TensorFile *file, const char *name, int64_t count);

/* The number that the expression `printf` of a command prints; NaN, and printed, if none. */
double number_of_command(const char *command);

#endif
