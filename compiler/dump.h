/* `--dump DIR`: every form that a program passes through, as files. Nothing else reads them.
 *
 *     DIR/tree.txt  checked.txt  descriptor.c
 *     DIR/STUDY.VARIANT.{1-elaborate,2-grad,3-update,4-simplify,5-kernels,6-schedule,7-plan}.txt
 *     DIR/STUDY.VARIANT.ll
 *     DIR/STUDY.VARIANT.{6-schedule,7-plan}.gpu.txt     with --target cuda
 *     DIR/dense1_relu_fwd-5c0ffee5.{cu,ptx,sm_80.cubin} likewise, a kernel each
 *
 * Every .cu compiles on its own. */
#ifndef TUNE_COMPILER_DUMP_H
#define TUNE_COMPILER_DUMP_H

#include "compiler/cuda.h"

/* The forms in front of code; makes the directory if it is not there, and runs the passes again, as
 * far as each form needs. All return NULL, or what went wrong. */
const char *dump_forms(const CompileOptions *options, const char *directory, Arena *arena);
const char *dump_text(const char *directory, const char *name, const char *text, Arena *arena);
const char *dump_modules(const char *directory, const CudaCode *code, Arena *arena);

#endif
