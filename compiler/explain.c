/* `tunec explain`: what the compiler made of a study, for people. */
#include <inttypes.h>
#include <string.h>

#include "compiler/pipeline.h"

static const char *const role_names[] = {"scientific", "nuisance", "fixed"};

static void print_hyper(const Study *study, const Hyper *hyper, Text *out) {
    text_printf(out, "  %-10s %-20s %-10s ", role_names[hyper->role], hyper->name,
                hyper->structural ? "structural" : "scalar");
    hyper_print_domain(hyper, out);
    if (hyper->parent >= 0) {
        const Hyper *parent = &study->hypers.at[hyper->parent];
        text_printf(out, "   where %s is %s", parent->name, parent->labels[hyper->parent_value]);
    }
    text_add(out, "\n");
}

static void print_shape(const Kernel *kernel, Text *out) {
    for (uint32_t i = 0; i < kernel->axis_count; i++)
        text_printf(out, "%s%" PRId64, i ? "x" : "", kernel->axes[i].extent);
    if (!kernel->axis_count) text_add(out, "1");
}

/* The source lines that a kernel comes from, each once. */
static void print_places(Compilation *compilation, const Kernel *kernel, Text *out) {
    enum { MOST_PLACES = 4 };
    const char *lines[MOST_PLACES];
    uint32_t count = 0;
    for (uint32_t i = 0; i < kernel->places.count && count < MOST_PLACES; i++) {
        const char *line =
            sources_short_place(compilation->sources, kernel->places.at[i], compilation->program);
        bool known = false;
        for (uint32_t k = 0; k < count; k++) known |= !strcmp(lines[k], line);
        if (known) continue;
        text_printf(out, "%s%s", count ? ", " : "   # ", line);
        lines[count++] = line;
    }
}

static void print_plane(const Kernel *kernel, Text *out) {
    const Axis *m = &kernel->axes[kernel->plane->m], *n = &kernel->axes[kernel->plane->n];
    text_printf(out,
                "attention: scores over %" PRId64 " x %" PRId64 ", never in memory:", m->extent,
                n->extent);
    for (uint32_t i = 0; i < kernel->fused.count; i++) text_printf(out, " %s", kernel->fused.at[i]);
}

static void print_kernel(Compilation *compilation, const Kernel *kernel, Text *out) {
    Text shape = {0};
    print_shape(kernel, &shape);
    double bytes = kernel->bytes_read + kernel->bytes_written;
    text_printf(out, "    %-36s %-14s %10.0f %10.0f %8.2f  ", kernel->name, shape.at, kernel->flops,
                bytes, bytes > 0 ? kernel->flops / bytes : 0.0);
    if (kernel->plane) print_plane(kernel, out);
    for (uint32_t i = 0; i < kernel->fused.count && !kernel->plane; i++)
        text_printf(out, "%s%s", i ? " " : "", kernel->fused.at[i]);
    print_places(compilation, kernel, out);
    text_add(out, "\n");
    text_release(&shape);
}

static void print_steps(Compilation *compilation, const char *name, const StepProgram *steps,
                        Text *out) {
    double flops = 0;
    for (uint32_t i = 0; i < steps->kernels.count; i++) flops += steps->kernels.at[i]->flops;
    text_printf(out, "  %s: %u kernels, %.0f flops, %" PRId64 " bytes of scratch\n", name,
                steps->kernels.count, flops, steps->scratch_bytes);
    if (steps->kernels.count)
        text_printf(out, "    %-36s %-14s %10s %10s %8s  %s\n", "kernel", "axes", "flops", "bytes",
                    "flops/B", "fused operations");
    for (uint32_t i = 0; i < steps->kernels.count; i++)
        print_kernel(compilation, steps->kernels.at[i], out);
}

static void print_variant(Compilation *compilation, VariantForms *forms, Text *out) {
    const Program *program = forms->program;
    int64_t scratch = 0;
    for (int part = 0; part < PART_COUNT; part++)
        if (forms->parts[part].steps && forms->parts[part].steps->scratch_bytes > scratch)
            scratch = forms->parts[part].steps->scratch_bytes;
    text_printf(out,
                "\nvariant %s: batch %" PRId64 ", evaluation batch %" PRId64
                "; %u parameters, %" PRId64 " values",
                forms->variant->name, program->batch, program->evaluate_batch,
                program->params.count, program->param_count);
    if (program->trained_count < program->param_count)
        text_printf(out, ", %" PRId64 " of them trained", program->trained_count);
    text_add(out, "\n");
    text_printf(out,
                "  memory: %" PRId64 " bytes per trial (parameters, %u optimizer states, "
                "hyperparameters), %" PRId64 " bytes per worker\n",
                forms->layout.bytes, forms->layout.state_count, scratch);
    for (int part = 0; part < PART_COUNT; part++)
        if (forms->parts[part].steps)
            print_steps(compilation, part_names[part], forms->parts[part].steps, out);
}

static void print_study(Compilation *compilation, const Study *study, Text *out) {
    text_printf(out, "study %s", study->decl->name);
    if (study->goal) text_printf(out, ": %s", study->goal);
    text_printf(out,
                "\n  %u points x %u seeds, %" PRIu64 " steps, evaluated every %" PRIu64
                ", %u variants\nhyperparameters\n",
                study->points, study->seeds, study->steps, study->evaluate_every,
                study->variants.count);
    for (uint32_t i = 0; i < study->hypers.count; i++)
        print_hyper(study, &study->hypers.at[i], out);
    for (uint32_t i = 0; i < compilation->variants.count; i++)
        if (compilation->variants.at[i].study == study)
            print_variant(compilation, &compilation->variants.at[i], out);
}

/* How many kernels were asked for, and how many are left when equal ones are compiled once. */
static void print_sharing(Compilation *compilation, Text *out) {
    uint32_t all = 0;
    for (uint32_t i = 0; i < compilation->variants.count; i++)
        for (int part = 0; part < PART_COUNT; part++) {
            StepProgram *steps = compilation->variants.at[i].parts[part].steps;
            if (!steps) continue;
            all += steps->kernels.count;
            build_symbols(compilation, steps);
        }
    text_printf(out, "\n%u kernels in all variants, %u of them distinct\n", all,
                compilation->kernels.count);
}

void explain_print(Compilation *compilation, Text *out) {
    for (uint32_t i = 0; i < compilation->checked->studies.count; i++)
        print_study(compilation, compilation->checked->studies.at[i], out);
    print_sharing(compilation, out);
}
