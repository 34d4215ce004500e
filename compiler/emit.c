/* `tunec emit STAGE`: chooses variant, program and kernel, and calls the form's printer. */
#include "compiler/emit.h"

#include "compiler/cuda.h"

static const struct {
    const char *name;
    Pass last;
} stages[] = {{"tree", PASS_PARSE},      {"checked", PASS_CHECK}, {"graph", PASS_ELABORATE},
              {"grad", PASS_SIMPLIFY},   {"kernels", PASS_FUSE},  {"schedule", PASS_SCHEDULE},
              {"plan", PASS_PLAN},       {"llvm", PASS_PLAN},     {"asm", PASS_PLAN},
              {"descriptor", PASS_PLAN}, {"cuda", PASS_PLAN},     {"ptx", PASS_PLAN},
              {"resources", PASS_PLAN}};

Pass emit_last_pass(const EmitRequest *request) {
    if (request->after) {
        for (int pass = PASS_ELABORATE; pass <= PASS_SIMPLIFY; pass++)
            if (strcmp(request->after, pass_names[pass]) == 0) return (Pass)pass;
        return PASS_COUNT;
    }
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
        if (strcmp(request->stage, stages[i].name) == 0) return stages[i].last;
    return PASS_COUNT;
}

static bool is(const EmitRequest *request, const char *stage) {
    return strcmp(request->stage, stage) == 0;
}

bool emit_is_gpu(const EmitRequest *request) {
    return is(request, "cuda") || is(request, "ptx") || is(request, "resources");
}

static bool wants(const char *asked, const char *name) {
    return !asked || strcmp(asked, name) == 0;
}

static void print_kernels(Compilation *compilation, const EmitRequest *request,
                          const StepProgram *steps, Text *out) {
    for (uint32_t i = 0; i < steps->kernels.count; i++)
        if (wants(request->kernel, steps->kernels.at[i]->name))
            kernel_print(steps->kernels.at[i], compilation->sources, is(request, "schedule"), out);
}

static const char *print_code(Compilation *compilation, const EmitRequest *request,
                              const StepProgram *steps, const char *name, Text *out) {
    Vec(LlvmItem) items = {0};
    Arena *arena = compilation->program;
    const char **symbols = build_symbols(compilation, steps);
    for (uint32_t i = 0; i < steps->kernels.count; i++) {
        LlvmItem item = {.kernel = steps->kernels.at[i], .symbol = symbols[i]};
        bool seen = false;
        for (uint32_t k = 0; k < items.count; k++) seen |= items.at[k].symbol == item.symbol;
        if (!seen && wants(request->kernel, item.kernel->name)) vec_push(arena, &items, item);
    }
    if (!request->kernel) {
        LlvmItem item = {.program = steps, .symbol = name, .kernel_symbols = symbols};
        vec_push(arena, &items, item);
    }
    if (!items.count) return NULL;
    return llvm_compile(items.at, items.count, &compilation->target,
                        is(request, "asm") ? LLVM_ASSEMBLY : LLVM_TEXT, NULL, out, arena);
}

static const char *print_part(Compilation *compilation, const EmitRequest *request,
                              const char *name, const PartForms *forms, Text *out) {
    if (!forms->graph || !wants(request->part, name)) return NULL;
    const StepProgram *steps = request->gpu ? forms->gpu : forms->steps;
    if (request->gpu && !steps) return NULL; /* data sets are generated on the CPU */
    if (is(request, "llvm") || is(request, "asm"))
        return print_code(compilation, request, forms->steps, name, out);
    text_printf(out, "# program %s\n", name);
    if (is(request, "graph") || is(request, "grad"))
        graph_print(forms->graph, compilation->sources, out);
    else if (is(request, "plan"))
        plan_print(steps, out);
    else
        print_kernels(compilation, request, steps, out);
    text_add(out, "\n");
    return NULL;
}

static const char *print_variant(Compilation *compilation, const EmitRequest *request,
                                 VariantForms *forms, Text *out) {
    bool heading = !is(request, "llvm") && !is(request, "asm");
    if (heading)
        text_printf(out, "# study %s, variant %s\n", forms->study->decl->name,
                    forms->variant->name);
    const char *problem = NULL;
    for (int part = 0; part < PART_COUNT && !problem; part++)
        if (!is(request, "grad") || part == PART_TRAIN)
            problem = print_part(compilation, request, part_names[part], &forms->parts[part], out);
    return problem;
}

/* ---- the GPU's code ---- */

static void print_sources(const CudaCode *code, Text *out) {
    for (uint32_t i = 0; i < code->modules.count; i++)
        text_printf(out, "%s// ---- %s.cu ----\n\n%s", i ? "\n" : "", code->modules.at[i].name,
                    code->modules.at[i].cuda);
}

static void print_ptx(const CudaCode *code, Text *out) {
    for (uint32_t i = 0; i < code->modules.count; i++)
        for (uint32_t a = 0; a < code->arch_count; a++)
            text_printf(out, "%s// ---- %s.ptx ----\n\n%s", i + a ? "\n" : "",
                        code->modules.at[i].name, code->modules.at[i].images[a].bytes);
}

static void add_variant(CudaCode *code, Compilation *compilation, const EmitRequest *request,
                        const VariantForms *forms) {
    for (int part = 0; part < PART_COUNT; part++) {
        const StepProgram *steps = forms->parts[part].gpu;
        if (!steps || !wants(request->part, part_names[part])) continue;
        for (uint32_t i = 0; i < steps->kernels.count; i++)
            if (wants(request->kernel, steps->kernels.at[i]->name))
                cuda_add(code, compilation, steps->kernels.at[i]);
    }
}

static const char *print_gpu(Compilation *compilation, const EmitRequest *request, CudaCode *code,
                             Text *out) {
    if (!code->modules.count)
        return arena_printf(compilation->program, "there is no such kernel; 'tunec emit schedule "
                                                  "--target cuda' lists them");
    if (is(request, "cuda")) {
        print_sources(code, out);
        return NULL;
    }
    const char *problem = NULL;
    Nvrtc *nvrtc = nvrtc_open(compilation->program, &problem);
    if (!nvrtc) return problem;
    problem = cuda_compile(code, nvrtc, compilation);
    nvrtc_close(nvrtc);
    if (problem) return problem;
    if (is(request, "ptx"))
        print_ptx(code, out);
    else
        cuda_print_resources(code, compilation->options.json, out);
    return NULL;
}

/* ---- all of it ---- */

static bool wants_variant(const EmitRequest *request, const VariantForms *forms, uint32_t number) {
    if (!wants(request->study, forms->study->decl->name)) return false;
    if (!request->variant) return number == 0;
    return !strcmp(request->variant, "all") || !strcmp(request->variant, forms->variant->name);
}

static const char *print_variants(Compilation *compilation, const EmitRequest *request, Text *out) {
    const char *problem = NULL;
    bool found = false;
    CudaCode code;
    cuda_init(&code, compilation->options.archs, compilation->options.arch_count);
    for (uint32_t i = 0; i < compilation->variants.count && !problem; i++) {
        VariantForms *forms = &compilation->variants.at[i];
        if (!wants_variant(request, forms, i)) continue;
        found = true;
        if (emit_is_gpu(request))
            add_variant(&code, compilation, request, forms);
        else
            problem = print_variant(compilation, request, forms, out);
    }
    if (!problem && request->variant && !found)
        problem =
            arena_printf(compilation->program,
                         "there is no variant '%s'; 'tunec explain' lists them", request->variant);
    if (!problem && found && emit_is_gpu(request))
        problem = print_gpu(compilation, request, &code, out);
    cuda_release(&code);
    return problem;
}

const char *emit_print(Compilation *compilation, const EmitRequest *request, Text *out) {
    if (is(request, "tree"))
        tree_print(compilation->tree, compilation->sources, out);
    else if (is(request, "checked"))
        checked_print(compilation->checked, out);
    else if (is(request, "descriptor"))
        build_descriptor(compilation, out);
    if (emit_last_pass(request) < PASS_ELABORATE || is(request, "descriptor")) return NULL;

    const char *problem = NULL;
    bool data = !is(request, "grad") && !emit_is_gpu(request);
    for (uint32_t i = 0; i < compilation->generate.count && data && !problem; i++)
        problem = print_part(compilation, request, "generate", &compilation->generate.at[i], out);
    return problem ? problem : print_variants(compilation, request, out);
}
