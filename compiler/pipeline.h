/* The passes, in order. `compile` in pipeline.c is the function to read first: it names every pass.
 *
 *     parse      text -> tree                                    grammar/parse.c
 *     check      names, data sets, search space, variants        check/check.c
 *     elaborate  tree + structural point -> graphs; shapes       graph/elaborate.c
 *     grad       reverse mode                                    graph/grad.c
 *     update     optimizer rule, clipping, schedules             graph/update.c
 *     simplify   constants, algebra, sharing, dead code          graph/simplify.c
 *     fuse       graph -> kernels                                kernel/fuse.c
 *     schedule   vector axes, tiles, packing                     kernel/schedule_cpu.c
 *     plan       lifetimes, one scratch arena, offsets           kernel/plan.c
 *     emit_llvm  kernels -> objects, equal kernels once          emit/emit_llvm.c
 *     emit_cuda  kernels -> CUDA C, equal kernels once           emit/emit_cuda.c
 *     nvrtc      CUDA C -> cubins and PTX                        emit/nvrtc.c
 *     link       objects + descriptor + runtime -> executable    emit/descriptor.c, emit/link.c
 *
 * A program for GPUs is for the CPU, too: fuse, schedule (kernel/schedule_cuda.c) and plan run a
 * second time on the same simplified graphs, for the GPU, and emit_cuda and nvrtc on what they
 * made.
 *
 * Behind every pass the form's verifier runs when `verify` is set. Front-end passes report into
 * diags and run one variant after the other; simplify to plan run per variant in parallel, each in
 * its own arena; emit_llvm runs on slices of the distinct kernels in parallel. */
#ifndef TUNE_COMPILER_PIPELINE_H
#define TUNE_COMPILER_PIPELINE_H

#include "compiler/check/checked.h"
#include "compiler/emit/emit_llvm.h"
#include "compiler/emit/link.h"
#include "compiler/graph/elaborate.h"
#include "compiler/kernel/schedule.h"

typedef enum { PART_INIT, PART_TRAIN, PART_EVALUATE, PART_FINISH, PART_PREDICT, PART_COUNT } Part;
extern const char *const part_names[PART_COUNT];

typedef enum {
    PASS_PARSE,
    PASS_CHECK,
    PASS_ELABORATE,
    PASS_GRAD,
    PASS_UPDATE,
    PASS_SIMPLIFY,
    PASS_FUSE,
    PASS_SCHEDULE,
    PASS_PLAN,
    PASS_COUNT
} Pass;
extern const char *const pass_names[PASS_COUNT];

typedef struct {
    const char *path;         /* main file */
    const char *cpu;          /* "native" or an LLVM CPU name */
    Pass last;                /* stop behind this pass */
    bool cuda;                /* for NVIDIA GPUs, too */
    const char *const *archs; /* what cubins (sm_80) and PTX (compute_80) are for */
    uint32_t arch_count;
    bool no_fuse, no_simplify, verify, trace, json;
} CompileOptions;

/* One graph on its way: before and behind simplify, then as kernels of the CPU and of the GPU. */
typedef struct {
    Graph *graph;
    StepProgram *steps, *gpu; /* gpu: NULL without options.cuda */
} PartForms;

typedef struct {
    const Study *study;
    const Variant *variant;
    Arena *arena;
    Program *program;            /* NULL after errors */
    PartForms parts[PART_COUNT]; /* .graph NULL where there is nothing to do */
    TrialLayout layout;
    Text trace;
    const char *broken; /* a verifier's complaint */
    Pass broken_pass;
    Text before; /* the form before the pass that broke */
} VariantForms;

/* A distinct kernel and its symbol. */
typedef struct {
    const Kernel *kernel;
    const char *symbol, *signature;
} KernelSymbol;

typedef struct {
    CompileOptions options;
    Arena *program;
    Sources *sources;
    Interner *names;
    Diags *diags;
    Node *tree;
    const Source *source;
    Checked *checked;
    LlvmTarget target;
    Vec(VariantForms) variants; /* of all studies, in order */
    Vec(PartForms) generate;    /* per data set of checked->data; graph NULL unless generated */
    Vec(KernelSymbol) kernels;
} Compilation;

enum { GENERATE_BATCH = 256 }; /* examples per call of a generate program */

/* Runs the passes up to options.last. False: errors are in diags (print them), or the file could
 * not be read. */
bool compile(Compilation *compilation, const CompileOptions *options);
void compilation_release(Compilation *compilation);

/* The symbol of a kernel, made on first sight of its signature. */
const char *compilation_symbol(Compilation *compilation, const Kernel *kernel);

/* emit_llvm, emit_cuda, nvrtc and link (build.c): writes the executable, atomically. NULL, or what
 * went wrong; "": errors are in diags. `dump`: a directory for the descriptor and the GPU's code,
 * or NULL. `trace`: a line per step. */
const char *build_executable(Compilation *compilation, const char *output, const char *dump,
                             Text *trace);

/* C text of the program descriptor, `tunec emit descriptor`. */
void build_descriptor(Compilation *compilation, Text *out);

/* Symbols of the kernels of a step program, in order. */
const char **build_symbols(Compilation *compilation, const StepProgram *steps);

/* `tunec explain`: variants, hyperparameters, kernels, bytes. Reads forms, changes none. */
void explain_print(Compilation *compilation, Text *out);

#endif
