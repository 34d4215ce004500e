/* `tunec emit STAGE`: any form between text and machine code, printed. */
#ifndef TUNE_COMPILER_EMIT_H
#define TUNE_COMPILER_EMIT_H

#include "compiler/pipeline.h"

typedef struct {
    const char *stage; /* tree checked graph grad kernels schedule plan llvm asm descriptor cuda ptx
                          resources */
    const char *after; /* graph only: a pass, or NULL */
    const char *study; /* a name, or NULL: all */
    const char *variant; /* a name, "all", or NULL: the first */
    const char *kernel;  /* a name, or NULL: all */
    const char *part;    /* init train evaluate finish generate, or NULL: all */
    bool gpu;            /* kernels schedule plan: those of the GPU */
} EmitRequest;

/* Whether a stage is only there for GPUs: cuda, ptx, resources. */
bool emit_is_gpu(const EmitRequest *request);

/* The last pass that a stage needs; PASS_COUNT when there is no such stage (or no such pass in
 * `after`). */
Pass emit_last_pass(const EmitRequest *request);

/* NULL, or what is wrong with the request; "": errors are in diags. */
const char *emit_print(Compilation *compilation, const EmitRequest *request, Text *out);

#endif
