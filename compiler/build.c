/* emit_llvm, emit_cuda, nvrtc and link: distinct kernels to objects and images in parallel,
 * descriptor and runtime to one executable. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "compiler/cuda.h"
#include "compiler/dump.h"
#include "compiler/emit/descriptor.h"
#include "compiler/parallel.h"
#include "compiler/pipeline.h"

typedef Vec(LlvmItem) ItemList;

/* What is compiled: kernels and step programs, in slices of about equal work. */
typedef struct {
    Compilation *compilation;
    Installation where;
    const char *directory; /* of all files on the way */
    ItemList items;
    DescriptorVariant *variants;
    DescriptorData *data;
    uint64_t fingerprint;
    uint32_t slices;
    const char **objects, **problems;
    Arena **arenas;
    CudaCode cuda; /* without options.cuda: nothing */
    DescriptorGpu gpu;
    Nvrtc *nvrtc;
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
        uint64_t fingerprint = build->fingerprint;
        symbols[part] = add_steps(
            build, steps, arena_printf(compilation->program, "tune_v%u_%s", at, part_names[part]));
        int64_t *scratch =
            part == PART_PREDICT ? &variant->predict_scratch_bytes : &variant->scratch_bytes;
        if (part == PART_PREDICT) build->fingerprint = fingerprint; /* it changes no result */
        if (steps && steps->scratch_bytes > *scratch) *scratch = steps->scratch_bytes;
    }
    variant->init = symbols[PART_INIT];
    variant->train = symbols[PART_TRAIN];
    variant->evaluate = symbols[PART_EVALUATE];
    variant->finish = symbols[PART_FINISH];
    variant->predict = symbols[PART_PREDICT];
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

/* ---- the GPU's ---- */

static void add_launches(Build *build, const StepProgram *steps, DescriptorLaunches *launches) {
    for (uint32_t i = 0; steps && i < steps->kernels.count; i++) {
        const Kernel *kernel = steps->kernels.at[i];
        DescriptorLaunch launch = {.kernel = kernel};
        launch.module = cuda_add(&build->cuda, build->compilation, kernel);
        launch.entry = build->cuda.modules.at[launch.module].entry;
        vec_push(build->compilation->program, launches, launch);
    }
}

static DescriptorGpuVariant gpu_variant(Build *build, const PartForms *parts) {
    DescriptorGpuVariant variant = {0};
    add_launches(build, parts[PART_INIT].gpu, &variant.init);
    add_launches(build, parts[PART_TRAIN].gpu, &variant.train);
    add_launches(build, parts[PART_EVALUATE].gpu, &variant.evaluate);
    add_launches(build, parts[PART_FINISH].gpu, &variant.finish);
    for (int part = 0; part < PART_COUNT; part++)
        if (parts[part].gpu && parts[part].gpu->scratch_bytes > variant.scratch_bytes)
            variant.scratch_bytes = parts[part].gpu->scratch_bytes;
    return variant;
}

static void collect_gpu(Build *build) {
    Compilation *compilation = build->compilation;
    DescriptorGpuVariant *variants =
        arena_alloc(compilation->program, (compilation->variants.count + 1) * sizeof *variants);
    cuda_init(&build->cuda, compilation->options.archs, compilation->options.arch_count);
    for (uint32_t i = 0; i < compilation->variants.count; i++)
        variants[i] = gpu_variant(build, compilation->variants.at[i].parts);
    build->gpu.variants = variants;
    build->gpu.steps = cuda_add_steps(&build->cuda, compilation);
    build->gpu.module_count = build->cuda.modules.count;
}

static void collect(Build *build) {
    Compilation *compilation = build->compilation;
    Arena *arena = compilation->program;
    build->fingerprint = 14695981039346656037u;
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
    if (compilation->options.cuda) collect_gpu(build);
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
    if (compilation->options.cuda) {
        build->gpu.fingerprint = build->fingerprint ^ build->cuda.fingerprint;
        descriptor.gpu = &build->gpu;
        bare.bytes = 0;
        descriptor_write(&descriptor, &bare);
        mix(&build->gpu.fingerprint, bare.at);
        build->gpu.sources = compilation->sources;
        build->gpu.virtual_gpu = build->where.virtual_gpu;
    }
    text_release(&bare);
    descriptor.fingerprint = build->fingerprint;
    descriptor.source_text = compilation->source->text;
    descriptor_write(&descriptor, out);
}

void build_descriptor(Compilation *compilation, Text *out) {
    Build build = {.compilation = compilation, .where = installation_find(compilation->program)};
    collect(&build);
    write_descriptor(&build, out);
    cuda_release(&build.cuda);
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

static const char *compile_objects(Build *build) {
    Arena *arena = build->compilation->program;
    build->slices = parallel_threads();
    if (build->slices > build->items.count) build->slices = build->items.count;
    build->objects = arena_alloc(arena, (build->slices + 1) * sizeof *build->objects);
    build->problems = arena_alloc(arena, (build->slices + 1) * sizeof *build->problems);
    build->arenas = arena_alloc(arena, (build->slices + 1) * sizeof *build->arenas);
    for (uint32_t i = 0; i < build->slices; i++)
        build->objects[i] = arena_printf(arena, "%s/kernels%u.o", build->directory, i);
    parallel_for(build->slices, build->slices, compile_slice, build);
    const char *problem = NULL;
    for (uint32_t i = 0; i < build->slices; i++) {
        if (build->problems[i] && !problem) problem = arena_printf(arena, "%s", build->problems[i]);
        arena_free(build->arenas[i]);
    }
    return problem;
}

/* ---- images ---- */

static uint64_t append(FILE *file, uint64_t *at, const void *bytes, uint64_t size) {
    static const char padding[16];
    uint64_t place = *at, gap = -size % sizeof padding;
    fwrite(bytes, 1, size, file);
    fwrite(padding, 1, gap, file);
    *at += size + gap;
    return place;
}

/* All texts and images behind each other in one file, and where each of them is. */
static const char *write_blob(const CudaCode *code, const char *path, DescriptorModule *modules,
                              Arena *arena) {
    FILE *file = fopen(path, "wb");
    if (!file) return arena_printf(arena, "cannot write '%s': %s", path, strerror(errno));
    uint64_t at = 0;
    for (uint32_t i = 0; i < code->modules.count; i++) {
        const CudaModule *module = &code->modules.at[i];
        modules[i] = (DescriptorModule){.name = module->name};
        modules[i].cuda = append(file, &at, module->cuda, strlen(module->cuda) + 1);
        for (uint32_t a = 0; a < code->arch_count; a++) {
            const CudaImage *image = &module->images[a];
            uint64_t place = append(file, &at, image->bytes, image->size);
            DescriptorCubin cubin = {code->archs[a], place, image->size};
            if (a + 1 == code->arch_count)
                modules[i].ptx = place;
            else
                vec_push(arena, &modules[i].cubins, cubin);
        }
    }
    bool failed = ferror(file);
    if (fclose(file) != 0) failed = true;
    return failed ? arena_printf(arena, "cannot write '%s': %s", path, strerror(errno)) : NULL;
}

/* emit_cuda's texts through NVRTC; then cc takes the images into images.o. */
static const char *compile_gpu(Build *build, CcJob *images, const char *dump) {
    Arena *arena = build->compilation->program;
    const char *problem = cuda_compile(&build->cuda, build->nvrtc, build->compilation);
    if (!problem && dump) problem = dump_modules(dump, &build->cuda, arena);
    if (problem) return problem;
    uint32_t count = build->cuda.modules.count;
    DescriptorModule *modules = arena_alloc(arena, count * sizeof *modules);
    const char *blob = arena_printf(arena, "%s/images.bin", build->directory);
    problem = write_blob(&build->cuda, blob, modules, arena);
    if (problem) return problem;
    Text text = {0};
    descriptor_images_write(modules, count, blob, &text);
    problem = cc_start(images, build->directory, "images", text.at, &build->where, arena);
    text_release(&text);
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
                                        "images.c",     "images.o",     "images.log",
                                        "images.bin",   "link.log"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(arena_printf(arena, "%s/%s", directory, names[i]));
    for (uint32_t i = 0; i < parallel_threads(); i++)
        unlink(arena_printf(arena, "%s/kernels%u.o", directory, i));
    rmdir(directory);
}

static const char *start_descriptor(Build *build, CcJob *job, const char *dump) {
    Arena *arena = build->compilation->program;
    Text text = {0};
    write_descriptor(build, &text);
    const char *problem = NULL;
    if (dump) problem = dump_text(dump, "descriptor.c", text.at, arena);
    if (!problem)
        problem = cc_start(job, build->directory, "descriptor", text.at, &build->where, arena);
    text_release(&text);
    return problem;
}

static void trace_gpu(const Build *build, double start, Text *trace) {
    const CudaCode *cuda = &build->cuda;
    text_printf(
        trace, "%-10s %-32s %7.2f ms  %u modules, %u images, %u of them cached; NVRTC %d.%d, %s\n",
        "nvrtc", "all", now_ms() - start, cuda->modules.count,
        cuda->modules.count * cuda->arch_count, cuda->cached, nvrtc_version(build->nvrtc) / 1000,
        nvrtc_version(build->nvrtc) % 1000 / 10, nvrtc_file(build->nvrtc));
}

/* Objects and images, while cc compiles the descriptor. */
static const char *compile_all(Build *build, CcJob *images, const char *dump, Text *trace) {
    double start = now_ms();
    const char *problem = NULL;
    if (build->compilation->options.cuda) {
        problem = compile_gpu(build, images, dump);
        trace_gpu(build, start, trace);
    }
    if (problem) return problem;
    start = now_ms();
    problem = compile_objects(build);
    text_printf(trace, "%-10s %-32s %7.2f ms  %u kernels, %u programs\n", "emit_llvm", "all",
                now_ms() - start, build->compilation->kernels.count,
                build->items.count - build->compilation->kernels.count);
    return problem;
}

static const char *compile_and_link(Build *build, const char *output, const char *dump,
                                    Text *trace) {
    Arena *arena = build->compilation->program;
    CcJob descriptor = {0}, images = {0};
    const char *problem = start_descriptor(build, &descriptor, dump);
    if (!problem) problem = compile_all(build, &images, dump, trace);
    double start = now_ms();
    const char *problems[] = {problem, cc_finish(&descriptor, arena), cc_finish(&images, arena)};
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++)
        if (problems[i]) return problems[i];
    Vec(const char *) objects = {0};
    vec_push(arena, &objects, arena_printf(arena, "%s/descriptor.o", build->directory));
    if (build->compilation->options.cuda)
        vec_push(arena, &objects, arena_printf(arena, "%s/images.o", build->directory));
    for (uint32_t i = 0; i < build->slices; i++) vec_push(arena, &objects, build->objects[i]);
    problem =
        link_executable(build->directory, objects.at, objects.count, &build->where, output, arena);
    text_printf(trace, "%-10s %-32s %7.2f ms\n", "link", "all", now_ms() - start);
    return problem;
}

static const char *build_in(Build *build, const char *output, const char *dump, Text *trace) {
    Compilation *compilation = build->compilation;
    const char *problem =
        dump ? dump_forms(&compilation->options, dump, compilation->program) : NULL;
    if (problem) return problem;
    double start = now_ms();
    collect(build);
    if (compilation->options.cuda)
        text_printf(trace, "%-10s %-32s %7.2f ms  %u modules\n", "emit_cuda", "all",
                    now_ms() - start, build->cuda.modules.count);
    problem = compile_and_link(build, output, dump, trace);
    cuda_release(&build->cuda);
    return problem;
}

const char *build_executable(Compilation *compilation, const char *output, const char *dump,
                             Text *trace) {
    Arena *arena = compilation->program;
    Build build = {.compilation = compilation, .where = installation_find(arena)};
    const char *problem = NULL;
    if (compilation->options.cuda) {
        build.nvrtc = nvrtc_open(arena, &problem);
        if (!build.nvrtc) return problem;
    }
    const char *temporary = getenv("TMPDIR");
    char *directory =
        arena_printf(arena, "%s/tunec-XXXXXX", temporary && *temporary ? temporary : "/tmp");
    build.directory = directory;
    if (!mkdtemp(directory)) {
        problem =
            arena_printf(arena, "cannot make a directory '%s': %s", directory, strerror(errno));
    } else {
        problem = build_in(&build, output, dump, trace);
        remove_directory(directory, arena);
    }
    if (build.nvrtc) nvrtc_close(build.nvrtc);
    return problem;
}
