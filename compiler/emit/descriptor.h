/* The program descriptor as C text: the constant `tune_program` of runtime/program.h.
 *
 * The descriptor is data, so it is printed, not built: the text can be read (`tunec emit
 * descriptor`), and the C compiler checks it against the one header that compiler and runtime
 * share. */
#ifndef TUNE_COMPILER_EMIT_DESCRIPTOR_H
#define TUNE_COMPILER_EMIT_DESCRIPTOR_H

#include "compiler/check/checked.h"
#include "compiler/graph/graph.h"
#include "compiler/kernel/kernel.h"

/* Symbols of a variant's entries; NULL where there is nothing to do. */
typedef struct {
    const Program *program;
    const TrialLayout *layout;
    const char *init, *train, *evaluate, *finish, *predict;
    int64_t scratch_bytes, predict_scratch_bytes; /* of predict; of all others */
    double step_flops;
} DescriptorVariant;

typedef struct {
    const char *generate; /* symbol, or NULL */
    int64_t generate_batch, scratch_bytes;
} DescriptorData;

/* A launch of a GPU's step program: the kernel with its buffers as planned, the module that holds
 * its code, and the code's name there. */
typedef struct {
    const Kernel *kernel;
    uint32_t module;
    const char *entry;
} DescriptorLaunch;
typedef Vec(DescriptorLaunch) DescriptorLaunches;

typedef struct {
    DescriptorLaunches init, train, evaluate, finish;
    int64_t scratch_bytes;
} DescriptorGpuVariant;

/* The GPU's half of a program. The modules themselves are the constant `tune_gpu_modules` of
 * descriptor_images_write's file, since they are there later. */
typedef struct {
    const DescriptorGpuVariant *variants; /* of all studies, in order */
    const Sources *sources;               /* NULL: without places, for the fingerprint */
    uint32_t module_count, steps;         /* steps: the module of steps.cu */
    const char *virtual_gpu;
    uint64_t fingerprint;
} DescriptorGpu;

typedef struct {
    const Checked *checked;
    const DescriptorVariant *variants; /* of all studies, in order */
    const DescriptorData *data;        /* per checked->data */
    const char *name;
    const char *source_text; /* NULL: without what does not change results (source, goals), for the
                                fingerprint */
    uint64_t fingerprint;
    const char *cpu, *cpu_features;
    const DescriptorGpu *gpu; /* NULL: for the CPU alone */
} Descriptor;

void descriptor_write(const Descriptor *descriptor, Text *out);

/* ---- descriptor_gpu.c ---- */

/* What the GPU runs of variant v of study s, as `gpu_S_V`. */
void descriptor_gpu_variant(const DescriptorGpuVariant *variant, const Sources *sources, uint32_t s,
                            uint32_t v, Text *out);

/* Images lie behind each other in one file; offsets and sizes in bytes. */
typedef struct {
    const char *arch; /* "sm_90a" */
    uint64_t at, size;
} DescriptorCubin;
typedef struct {
    const char *name;
    uint64_t cuda, ptx; /* where they are; both end with a 0 byte */
    Vec(DescriptorCubin) cubins;
} DescriptorModule;

/* C text of the modules; it takes in `blob`, the path of that file, whole. */
void descriptor_images_write(const DescriptorModule *modules, uint32_t count, const char *blob,
                             Text *out);

/* A C string literal; NULL gives 0. */
void descriptor_string(Text *out, const char *text);

#endif
