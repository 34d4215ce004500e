/* The GPU code of a program as files: what `program --dump DIR` writes.
 *
 *     DIR/dense2_relu_fwd-5c0ffee5.cu            CUDA C, compiles on its own
 *     DIR/dense2_relu_fwd-5c0ffee5.ptx
 *     DIR/dense2_relu_fwd-5c0ffee5.sm_90a.cubin  of each architecture
 *     DIR/launches.txt                           of each study, variant and step program, in order
 *
 * Each file is written whole or not at all; files of other names stay. */
#ifndef TUNE_RUNTIME_GPU_DUMP_H
#define TUNE_RUNTIME_GPU_DUMP_H

#include "runtime/fail.h"
#include "runtime/program.h"

/* Makes the directory unless it exists. Fails when the program has no GPU code. */
bool gpu_dump(const TuneProgram *program, const char *directory, Fail *fail);

#endif
