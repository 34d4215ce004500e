/* kernels -> LLVM IR -> object code, through LLVM's C API. The only files that include LLVM headers
 * are emit_llvm.c, emit_nest.h with the files that share it, and llvm_*.
 *
 * A kernel becomes `void tune_k_HASH(ptr b0, ptr b1, …)`, its buffers in order of kernel->buffers,
 * all noalias. A step program becomes `void NAME(const TuneContext *)`: the calls, with base
 * pointers plus offsets. */
#ifndef TUNE_COMPILER_EMIT_EMIT_LLVM_H
#define TUNE_COMPILER_EMIT_EMIT_LLVM_H

#include "compiler/kernel/kernel.h"
#include "compiler/kernel/schedule.h"

/* Bytes from the start of TuneTrialHeader and TuneContext (runtime/program.h) to their fields;
 * descriptor.c asserts that they agree. */
enum { HEADER_STEP = 0, HEADER_KEY = 8, HEADER_FIRST_EXAMPLE = 16 };
enum {
    CONTEXT_TRIAL = 0,
    CONTEXT_SCRATCH = 8,
    CONTEXT_FIELDS = 16,
    CONTEXT_INDEX = 24,
    CONTEXT_EXAMPLES = 32,
    CONTEXT_TOTALS = 40,
    CONTEXT_METRICS = 48
};

typedef struct {
    const char *triple;   /* NULL: the host */
    const char *cpu;      /* "native", "x86-64-v3", … */
    CpuTarget shape;      /* filled by llvm_target */
    const char *cpu_name; /* what "native" is: "znver4"; filled by llvm_target */
    const char *features; /* "+avx512f,…"; filled by llvm_target */
} LlvmTarget;

/* Resolves "native" and fills the rest. NULL, or why not (in arena). */
const char *llvm_target(LlvmTarget *target, Arena *arena);

/* One kernel under its symbol, or one step program with the symbols of its kernels. */
typedef struct {
    const Kernel *kernel;       /* or NULL */
    const StepProgram *program; /* or NULL */
    const char *symbol;
    const char **kernel_symbols; /* of a program: one per kernel */
} LlvmItem;

typedef enum { LLVM_TEXT, LLVM_ASSEMBLY, LLVM_OBJECT } LlvmOutput;

/* Compiles items into one object file, or prints IR or assembly into `text`. Thread-safe: one
 * LLVMContext per call. NULL, or what went wrong. */
const char *llvm_compile(const LlvmItem *items, uint32_t count, const LlvmTarget *target,
                         LlvmOutput output, const char *object_path, Text *text, Arena *arena);

#endif
