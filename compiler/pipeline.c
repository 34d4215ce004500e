/* The passes in order; see pipeline.h. */
#include "compiler/pipeline.h"

#include <time.h>

#include "compiler/parallel.h"
#include "grammar/parse.h"

const char *const part_names[PART_COUNT] = {"init", "train", "evaluate", "finish", "predict"};
const char *const pass_names[PASS_COUNT] = {"parse",    "check", "elaborate", "grad", "update",
                                            "simplify", "fuse",  "schedule",  "plan"};

static double now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return 1e3 * (double)time.tv_sec + 1e-6 * (double)time.tv_nsec;
}

static uint32_t node_count(const VariantForms *forms) {
    uint32_t count = 0;
    for (int part = 0; part < PART_COUNT; part++)
        if (forms->parts[part].graph) count += forms->parts[part].graph->nodes.count;
    return count;
}

static StepProgram **steps_of(PartForms *part, bool gpu) {
    return gpu ? &part->gpu : &part->steps;
}

static uint32_t kernel_count(VariantForms *forms, bool gpu) {
    uint32_t count = 0;
    for (int part = 0; part < PART_COUNT; part++) {
        StepProgram *steps = *steps_of(&forms->parts[part], gpu);
        if (steps) count += steps->kernels.count;
    }
    return count;
}

static void trace(VariantForms *forms, Pass pass, const char *unit, uint32_t before, uint32_t after,
                  double start) {
    text_printf(&forms->trace, "%-10s %-32s %7.2f ms  ", pass_names[pass], forms->variant->name,
                now_ms() - start);
    if (before == after)
        text_printf(&forms->trace, "%u %s, unchanged\n", after, unit);
    else
        text_printf(&forms->trace, "%u -> %u %s\n", before, after, unit);
}

/* ---- verifiers ---- */

static void broke(VariantForms *forms, Pass pass, const char *rule) {
    if (!rule || forms->broken) return;
    forms->broken = rule;
    forms->broken_pass = pass;
}

static void verify_graphs(VariantForms *forms, Pass pass, const Compilation *compilation) {
    if (!compilation->options.verify || forms->broken) return;
    for (int part = 0; part < PART_COUNT; part++) {
        if (!forms->parts[part].graph) continue;
        broke(forms, pass, graph_verify(forms->parts[part].graph, forms->arena));
        if (forms->broken) {
            graph_print(forms->parts[part].graph, compilation->sources, &forms->before);
            return;
        }
    }
}

static void verify_kernels(VariantForms *forms, Pass pass, bool gpu,
                           const Compilation *compilation) {
    if (!compilation->options.verify || forms->broken) return;
    for (int part = 0; part < PART_COUNT; part++) {
        StepProgram *steps = *steps_of(&forms->parts[part], gpu);
        if (!steps) continue;
        for (uint32_t i = 0; i < steps->kernels.count && !forms->broken; i++)
            broke(forms, pass, kernel_verify(steps->kernels.at[i], forms->arena));
        if (pass == PASS_PLAN) broke(forms, pass, plan_verify(steps, forms->arena));
        if (forms->broken) {
            graph_print(forms->parts[part].graph, compilation->sources, &forms->before);
            return;
        }
    }
}

/* ---- one variant ---- */

/* elaborate, grad, update: these report into diags, so variants take turns. */
static void front(Compilation *compilation, VariantForms *forms) {
    Pass last = compilation->options.last;
    double start = now_ms();
    Program *program = elaborate(compilation->checked, forms->study, forms->variant, forms->arena,
                                 compilation->names, compilation->diags);
    forms->program = program;
    if (!program) return;
    forms->parts[PART_INIT].graph = program->init;
    forms->parts[PART_TRAIN].graph = program->train;
    forms->parts[PART_EVALUATE].graph = program->evaluate;
    forms->parts[PART_FINISH].graph = program->finish;
    forms->parts[PART_PREDICT].graph = program->predict;
    uint32_t nodes = node_count(forms);
    trace(forms, PASS_ELABORATE, "nodes", 0, nodes, start);
    verify_graphs(forms, PASS_ELABORATE, compilation);
    if (last < PASS_GRAD || !program->train) return;

    start = now_ms();
    GNode **grads = arena_alloc(forms->arena, (program->params.count + 1) * sizeof *grads);
    grad(program, grads);
    trace(forms, PASS_GRAD, "nodes", nodes, node_count(forms), start);
    nodes = node_count(forms);
    verify_graphs(forms, PASS_GRAD, compilation);
    if (last < PASS_UPDATE) return;

    start = now_ms();
    update(program, grads, compilation->checked, forms->study, forms->variant, compilation->names,
           compilation->diags);
    trace(forms, PASS_UPDATE, "nodes", nodes, node_count(forms), start);
    verify_graphs(forms, PASS_UPDATE, compilation);
}

static void trace_kernels(VariantForms *forms, Pass pass, bool gpu, uint32_t before, double start) {
    trace(forms, pass, gpu ? "kernels for the GPU" : "kernels", before, kernel_count(forms, gpu),
          start);
}

static void fuse_parts(Compilation *compilation, VariantForms *forms, bool gpu) {
    double start = now_ms();
    for (int part = 0; part < PART_COUNT; part++) {
        bool on_gpu = gpu && part != PART_PREDICT; /* text is made on the CPU */
        if (!forms->parts[part].graph || on_gpu != gpu) continue;
        StepProgram *steps = fuse(forms->parts[part].graph, &forms->layout,
                                  !compilation->options.no_fuse, forms->arena);
        steps->advance = part == PART_TRAIN;
        *steps_of(&forms->parts[part], gpu) = steps;
    }
    trace_kernels(forms, PASS_FUSE, gpu, 0, start);
    verify_kernels(forms, PASS_FUSE, gpu, compilation);
}

static void schedule_parts(Compilation *compilation, VariantForms *forms, bool gpu) {
    double start = now_ms();
    uint32_t before = kernel_count(forms, gpu);
    for (int part = 0; part < PART_COUNT; part++) {
        StepProgram *steps = *steps_of(&forms->parts[part], gpu);
        if (steps && gpu)
            schedule_cuda(steps, forms->arena);
        else if (steps)
            schedule_cpu(steps, &compilation->target.shape, forms->arena);
    }
    trace_kernels(forms, PASS_SCHEDULE, gpu, before, start);
    verify_kernels(forms, PASS_SCHEDULE, gpu, compilation);
}

static void plan_parts(Compilation *compilation, VariantForms *forms, bool gpu) {
    double start = now_ms();
    uint32_t before = kernel_count(forms, gpu);
    for (int part = 0; part < PART_COUNT; part++) {
        StepProgram *steps = *steps_of(&forms->parts[part], gpu);
        if (steps) plan(steps, forms->arena);
    }
    trace_kernels(forms, PASS_PLAN, gpu, before, start);
    verify_kernels(forms, PASS_PLAN, gpu, compilation);
}

/* fuse to plan, for one target. */
static void back(Compilation *compilation, VariantForms *forms, bool gpu) {
    Pass last = compilation->options.last;
    if (last < PASS_FUSE || forms->broken) return;
    fuse_parts(compilation, forms, gpu);
    if (last < PASS_SCHEDULE || forms->broken) return;
    schedule_parts(compilation, forms, gpu);
    if (last < PASS_PLAN || forms->broken) return;
    plan_parts(compilation, forms, gpu);
}

/* simplify to plan: nothing shared, so variants run side by side. */
static void middle(void *context, uint32_t at) {
    Compilation *compilation = context;
    VariantForms *forms = &compilation->variants.at[at];
    if (compilation->options.last < PASS_SIMPLIFY || forms->broken) return;

    double start = now_ms();
    uint32_t before = node_count(forms);
    for (int part = 0; part < PART_COUNT && !compilation->options.no_simplify; part++)
        if (forms->parts[part].graph)
            forms->parts[part].graph = simplify(forms->parts[part].graph, forms->arena);
    trace(forms, PASS_SIMPLIFY, "nodes", before, node_count(forms), start);
    verify_graphs(forms, PASS_SIMPLIFY, compilation);

    forms->layout = trial_layout(forms->study->hypers.count, forms->program->param_count,
                                 forms->program->trained_count, forms->program->states.count,
                                 forms->program->real);
    forms->layout.weights = forms->program->weights;
    back(compilation, forms, false);
    if (compilation->options.cuda) back(compilation, forms, true);
}

/* ---- data sets written in the language ---- */

static bool generate_front(Compilation *compilation) {
    Checked *checked = compilation->checked;
    bool fine = true;
    for (uint32_t i = 0; i < checked->data.count; i++) {
        PartForms forms = {0};
        if (checked->data.at[i]->kind == DATA_GENERATE) {
            forms.graph =
                elaborate_generate(checked, checked->data.at[i], GENERATE_BATCH,
                                   compilation->program, compilation->names, compilation->diags);
            fine &= forms.graph != NULL;
        }
        vec_push(compilation->program, &compilation->generate, forms);
    }
    return fine;
}

static void generate_middle(Compilation *compilation) {
    Arena *arena = compilation->program;
    for (uint32_t i = 0; i < compilation->generate.count; i++) {
        PartForms *forms = &compilation->generate.at[i];
        if (!forms->graph || compilation->options.last < PASS_FUSE) continue;
        if (!compilation->options.no_simplify) forms->graph = simplify(forms->graph, arena);
        TrialLayout layout = trial_layout(0, 0, 0, 0, forms->graph->real);
        forms->steps = fuse(forms->graph, &layout, !compilation->options.no_fuse, arena);
        if (compilation->options.last < PASS_SCHEDULE) continue;
        schedule_cpu(forms->steps, &compilation->target.shape, arena);
        if (compilation->options.last >= PASS_PLAN) plan(forms->steps, arena);
    }
}

/* ---- all of it ---- */

static bool read_source(Compilation *compilation) {
    const char *reason = NULL;
    const char *path = compilation->options.path;
    compilation->source = sources_read(compilation->sources, path, path, &reason);
    if (compilation->source) return true;
    fprintf(stderr, "tunec: cannot read '%s': %s\n", path, reason ? reason : "unknown reason");
    return false;
}

/* Every variant of every study, in order, front to back as far as it goes. */
static bool elaborate_all(Compilation *compilation) {
    StudyList *studies = &compilation->checked->studies;
    if (!generate_front(compilation)) return false;
    for (uint32_t s = 0; s < studies->count; s++) {
        const Study *study = studies->at[s];
        for (uint32_t v = 0; v < study->variants.count; v++) {
            VariantForms forms = {.study = study, .variant = &study->variants.at[v]};
            forms.arena = arena_new();
            vec_push(compilation->program, &compilation->variants, forms);
            front(compilation, &compilation->variants.at[compilation->variants.count - 1]);
        }
    }
    return !diags_failed(compilation->diags);
}

bool compile(Compilation *compilation, const CompileOptions *options) {
    *compilation = (Compilation){.options = *options};
    Arena *program = compilation->program = arena_new();
    compilation->sources = sources_new(program);
    compilation->names = interner_new(program);
    compilation->diags = diags_new(program, compilation->sources);
    if (!read_source(compilation)) return false;

    compilation->tree = parse(compilation->source, program, compilation->names, compilation->diags);
    if (diags_failed(compilation->diags)) return false;
    if (options->last < PASS_CHECK) return true;

    CheckOptions check_options = {installation_find(program).stdlib, compilation->sources,
                                  compilation->names, compilation->diags, program};
    compilation->checked = check(compilation->tree, compilation->source, &check_options);
    if (diags_failed(compilation->diags)) return false;
    if (options->last < PASS_ELABORATE) return true;

    if (!elaborate_all(compilation)) return false;
    if (options->last < PASS_SIMPLIFY) return true;

    compilation->target.cpu = options->cpu ? options->cpu : "native";
    const char *problem = llvm_target(&compilation->target, program);
    if (problem) {
        fprintf(stderr, "tunec: %s\n", problem);
        return false;
    }
    parallel_for(compilation->variants.count, parallel_threads(), middle, compilation);
    generate_middle(compilation);
    return true;
}

void compilation_release(Compilation *compilation) {
    for (uint32_t i = 0; i < compilation->variants.count; i++) {
        VariantForms *forms = &compilation->variants.at[i];
        text_release(&forms->trace);
        text_release(&forms->before);
        arena_free(forms->arena);
    }
    arena_free(compilation->program);
}

/* ---- symbols ---- */

static uint64_t hash_text(const Text *text) {
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < text->bytes; i++) h = (h ^ (unsigned char)text->at[i]) * 1099511628211u;
    return h;
}

const char *compilation_symbol(Compilation *compilation, const Kernel *kernel) {
    Text signature = {0};
    kernel_signature(kernel, &signature);
    const char *symbol = NULL;
    for (uint32_t i = 0; i < compilation->kernels.count && !symbol; i++)
        if (strcmp(compilation->kernels.at[i].signature, signature.at) == 0)
            symbol = compilation->kernels.at[i].symbol;
    if (!symbol) {
        KernelSymbol fresh = {.kernel = kernel};
        symbol = fresh.symbol =
            arena_printf(compilation->program, "tune_k_%s_%016llx", kernel->name,
                         (unsigned long long)hash_text(&signature));
        fresh.signature = arena_copy(compilation->program, signature.at, signature.bytes);
        vec_push(compilation->program, &compilation->kernels, fresh);
    }
    text_release(&signature);
    return symbol;
}
