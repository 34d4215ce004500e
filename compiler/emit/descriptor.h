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
    const char *init, *train, *evaluate, *finish;
    int64_t scratch_bytes;
    double step_flops;
} DescriptorVariant;

typedef struct {
    const char *generate; /* symbol, or NULL */
    int64_t generate_batch, scratch_bytes;
} DescriptorData;

typedef struct {
    const Checked *checked;
    const DescriptorVariant *variants; /* of all studies, in order */
    const DescriptorData *data;        /* per checked->data */
    const char *name;
    const char *source_text; /* NULL: without what does not change results (source, goals), for the
                                fingerprint */
    uint64_t fingerprint;
    const char *cpu, *cpu_features;
} Descriptor;

void descriptor_write(const Descriptor *descriptor, Text *out);

#endif
