/* `tunec emit STAGE`: chooses variant, program and kernel, and calls the form's printer. */
#include "compiler/emit.h"

static const struct {
    const char *name;
    Pass last;
} stages[] = {{"tree", PASS_PARSE},     {"checked", PASS_CHECK}, {"graph", PASS_ELABORATE},
              {"grad", PASS_SIMPLIFY},  {"kernels", PASS_FUSE},  {"schedule", PASS_SCHEDULE},
              {"plan", PASS_PLAN},      {"llvm", PASS_PLAN},     {"asm", PASS_PLAN},
              {"descriptor", PASS_PLAN}};

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
    if (is(request, "llvm") || is(request, "asm"))
        return print_code(compilation, request, forms->steps, name, out);
    text_printf(out, "# program %s\n", name);
    if (is(request, "graph") || is(request, "grad"))
        graph_print(forms->graph, compilation->sources, out);
    else if (is(request, "plan"))
        plan_print(forms->steps, out);
    else
        print_kernels(compilation, request, forms->steps, out);
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

const char *emit_print(Compilation *compilation, const EmitRequest *request, Text *out) {
    if (is(request, "tree"))
        tree_print(compilation->tree, compilation->sources, out);
    else if (is(request, "checked"))
        checked_print(compilation->checked, out);
    else if (is(request, "descriptor"))
        build_descriptor(compilation, out);
    if (emit_last_pass(request) < PASS_ELABORATE || is(request, "descriptor")) return NULL;

    const char *problem = NULL;
    for (uint32_t i = 0; i < compilation->generate.count && !problem; i++)
        if (!is(request, "grad"))
            problem =
                print_part(compilation, request, "generate", &compilation->generate.at[i], out);
    bool all = request->variant && strcmp(request->variant, "all") == 0, found = false;
    for (uint32_t i = 0; i < compilation->variants.count && !problem; i++) {
        VariantForms *forms = &compilation->variants.at[i];
        if (request->variant ? !all && strcmp(request->variant, forms->variant->name) : i > 0)
            continue;
        found = true;
        problem = print_variant(compilation, request, forms, out);
    }
    if (!problem && request->variant && !found)
        return arena_printf(compilation->program,
                            "there is no variant '%s'; 'tunec explain' lists them",
                            request->variant);
    return problem;
}
