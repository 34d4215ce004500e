/* emit_llvm and link: distinct kernels to objects in parallel, descriptor and runtime to one
 * executable. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "compiler/emit/descriptor.h"
#include "compiler/parallel.h"
#include "compiler/pipeline.h"

typedef Vec(LlvmItem) ItemList;

/* What is compiled: kernels and step programs, in slices of about equal work. */
typedef struct {
    Compilation *compilation;
    ItemList items;
    DescriptorVariant *variants;
    DescriptorData *data;
    uint64_t fingerprint;
    uint32_t slices;
    const char **objects, **problems;
    Arena **arenas;
} Build;

const char **build_symbols(Compilation *compilation, const StepProgram *steps) {
    const char **symbols =
        arena_alloc(compilation->program, (steps->kernels.count + 1) * sizeof *symbols);
    for (uint32_t i = 0; i < steps->kernels.count; i++)
        symbols[i] = compilation_symbol(compilation, steps->kernels.at[i]);
    return symbols;
}

static void mix(uint64_t *hash, const char *text) {
    for (; *text; text++) *hash = (*hash ^ (unsigned char)*text) * 1099511628211u;
}

/* ---- items ---- */

static const char *add_steps(Build *build, const StepProgram *steps, const char *symbol) {
    if (!steps) return NULL;
    LlvmItem item = {.program = steps, .symbol = symbol};
    item.kernel_symbols = build_symbols(build->compilation, steps);
    for (uint32_t i = 0; i < steps->kernels.count; i++)
        mix(&build->fingerprint, item.kernel_symbols[i]);
    vec_push(build->compilation->program, &build->items, item);
    return symbol;
}

static void add_variant(Build *build, uint32_t at) {
    Compilation *compilation = build->compilation;
    VariantForms *forms = &compilation->variants.at[at];
    DescriptorVariant *variant = &build->variants[at];
    variant->program = forms->program;
    variant->layout = &forms->layout;
    const char *symbols[PART_COUNT];
    for (int part = 0; part < PART_COUNT; part++) {
        StepProgram *steps = forms->parts[part].steps;
        symbols[part] = add_steps(
            build, steps, arena_printf(compilation->program, "tune_v%u_%s", at, part_names[part]));
        if (steps && steps->scratch_bytes > variant->scratch_bytes)
            variant->scratch_bytes = steps->scratch_bytes;
    }
    variant->init = symbols[PART_INIT];
    variant->train = symbols[PART_TRAIN];
    variant->evaluate = symbols[PART_EVALUATE];
    variant->finish = symbols[PART_FINISH];
    StepProgram *train = forms->parts[PART_TRAIN].steps;
    for (uint32_t i = 0; train && i < train->kernels.count; i++)
        variant->step_flops += train->kernels.at[i]->flops;
}

static void add_data(Build *build, uint32_t at) {
    Compilation *compilation = build->compilation;
    StepProgram *steps = compilation->generate.at[at].steps;
    if (!steps) return;
    build->data[at].generate_batch = GENERATE_BATCH;
    build->data[at].scratch_bytes = steps->scratch_bytes;
    build->data[at].generate =
        add_steps(build, steps, arena_printf(compilation->program, "tune_data%u_generate", at));
}

static void collect(Build *build, Compilation *compilation) {
    Arena *arena = compilation->program;
    *build = (Build){.compilation = compilation, .fingerprint = 14695981039346656037u};
    build->variants =
        arena_alloc(arena, (compilation->variants.count + 1) * sizeof *build->variants);
    build->data = arena_alloc(arena, (compilation->generate.count + 1) * sizeof *build->data);
    for (uint32_t i = 0; i < compilation->variants.count; i++) add_variant(build, i);
    for (uint32_t i = 0; i < compilation->generate.count; i++) add_data(build, i);
    for (uint32_t i = 0; i < compilation->kernels.count; i++) {
        LlvmItem item = {.kernel = compilation->kernels.at[i].kernel,
                         .symbol = compilation->kernels.at[i].symbol};
        vec_push(arena, &build->items, item);
    }
}

/* ---- descriptor ---- */

static const char *base_name(const char *path, Arena *arena) {
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    return arena_copy(arena, name, dot ? (size_t)(dot - name) : strlen(name));
}

static void write_descriptor(Build *build, Text *out) {
    Compilation *compilation = build->compilation;
    Descriptor descriptor = {.checked = compilation->checked,
                             .variants = build->variants,
                             .data = build->data,
                             .name = base_name(compilation->options.path, compilation->program),
                             .cpu = compilation->target.cpu_name,
                             .cpu_features = compilation->target.features};
    Text bare = {0};
    descriptor_write(&descriptor, &bare);
    mix(&build->fingerprint, bare.at);
    text_release(&bare);
    descriptor.fingerprint = build->fingerprint;
    descriptor.source_text = compilation->source->text;
    descriptor_write(&descriptor, out);
}

void build_descriptor(Compilation *compilation, Text *out) {
    Build build;
    collect(&build, compilation);
    write_descriptor(&build, out);
}

/* ---- objects ---- */

static void compile_slice(void *context, uint32_t at) {
    Build *build = context;
    ItemList slice = {0};
    Arena *arena = build->arenas[at] = arena_new();
    for (uint32_t i = at; i < build->items.count; i += build->slices)
        vec_push(arena, &slice, build->items.at[i]);
    if (slice.count)
        build->problems[at] = llvm_compile(slice.at, slice.count, &build->compilation->target,
                                           LLVM_OBJECT, build->objects[at], NULL, arena);
}

static const char *compile_objects(Build *build, const char *directory) {
    Arena *arena = build->compilation->program;
    build->slices = parallel_threads();
    if (build->slices > build->items.count) build->slices = build->items.count;
    build->objects = arena_alloc(arena, (build->slices + 1) * sizeof *build->objects);
    build->problems = arena_alloc(arena, (build->slices + 1) * sizeof *build->problems);
    build->arenas = arena_alloc(arena, (build->slices + 1) * sizeof *build->arenas);
    for (uint32_t i = 0; i < build->slices; i++)
        build->objects[i] = arena_printf(arena, "%s/kernels%u.o", directory, i);
    parallel_for(build->slices, build->slices, compile_slice, build);
    const char *problem = NULL;
    for (uint32_t i = 0; i < build->slices; i++) {
        if (build->problems[i] && !problem) problem = arena_printf(arena, "%s", build->problems[i]);
        arena_free(build->arenas[i]);
    }
    return problem;
}

/* ---- the executable ---- */

static double now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return 1e3 * (double)time.tv_sec + 1e-6 * (double)time.tv_nsec;
}

static void remove_directory(const char *directory, Arena *arena) {
    static const char *const names[] = {"descriptor.c", "descriptor.o", "descriptor.log",
                                        "link.log"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(arena_printf(arena, "%s/%s", directory, names[i]));
    for (uint32_t i = 0; i < parallel_threads(); i++)
        unlink(arena_printf(arena, "%s/kernels%u.o", directory, i));
    rmdir(directory);
}

static const char *compile_and_link(Build *build, const char *directory, const char *output,
                                    Text *trace) {
    Arena *arena = build->compilation->program;
    Installation where = installation_find(arena);
    const char *problem = NULL;
    Text descriptor = {0};
    write_descriptor(build, &descriptor);
    LinkJob *job = link_start(directory, descriptor.at, &where, arena, &problem);
    text_release(&descriptor);
    if (!job) return problem;

    double start = now_ms();
    problem = compile_objects(build, directory);
    text_printf(trace, "%-10s %-32s %7.2f ms  %u kernels, %u programs\n", "emit_llvm", "all",
                now_ms() - start, build->compilation->kernels.count,
                build->items.count - build->compilation->kernels.count);
    start = now_ms();
    if (problem) {
        link_abandon(job);
        return problem;
    }
    problem = link_finish(job, build->objects, build->slices, output, arena);
    text_printf(trace, "%-10s %-32s %7.2f ms\n", "link", "all", now_ms() - start);
    return problem;
}

const char *build_executable(Compilation *compilation, const char *output, Text *trace) {
    Arena *arena = compilation->program;
    const char *temporary = getenv("TMPDIR");
    char *directory =
        arena_printf(arena, "%s/tunec-XXXXXX", temporary && *temporary ? temporary : "/tmp");
    if (!mkdtemp(directory))
        return arena_printf(arena, "cannot make a directory '%s': %s", directory, strerror(errno));
    Build build;
    collect(&build, compilation);
    const char *problem = compile_and_link(&build, directory, output, trace);
    remove_directory(directory, arena);
    return problem;
}
