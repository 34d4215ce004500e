/* What a kernel takes of a GPU: limits and spills as diagnostics at its .tune lines, and the table
 * of `tunec emit resources`. */
#include <inttypes.h>

#include "compiler/cuda.h"
#include "compiler/emit/cuda_arch.h"

enum { MOST_THREADS = 1024, MOST_SHARED = 48 * 1024, REGISTERS = 65536 };

/* ---- diagnostics ---- */

static Span first_place(const Kernel *kernel) {
    return kernel->places.count ? kernel->places.at[0] : (Span){0, 0};
}

static void note_others(const Kernel *kernel, Diag *diag) {
    enum { MOST_NOTES = 3 };
    for (uint32_t i = 1; i < kernel->places.count && i <= MOST_NOTES; i++)
        diag_note(diag, kernel->places.at[i], "this is computed by the same kernel");
}

bool cuda_check_limits(const Kernel *kernel, Diags *diags) {
    const GpuSchedule *gpu = &kernel->gpu;
    Diag *diag = NULL;
    if (gpu->threads > MOST_THREADS)
        diag = diag_error(diags, first_place(kernel),
                          "kernel '%s' needs %u threads per block; GPUs have %d", kernel->name,
                          gpu->threads, MOST_THREADS);
    else if (gpu->shared_bytes > MOST_SHARED)
        diag = diag_error(diags, first_place(kernel),
                          "kernel '%s' needs %u bytes of shared memory; GPUs have %d", kernel->name,
                          gpu->shared_bytes, MOST_SHARED);
    if (diag) note_others(kernel, diag);
    return !diag;
}

/* CUDA's own sine and cosine of f64 keep an array for large angles; nothing of ours is on a stack.
 */
static uint32_t expected_stack(const Kernel *kernel) {
    for (uint32_t e = 0; e < kernel->exprs.count; e++) {
        const Expr *expr = &kernel->exprs.at[e];
        bool angle = expr->kind == X_OP && (expr->op == OP_SIN || expr->op == OP_COS);
        if (angle && expr->elem == E_F64) return 64;
    }
    return 0;
}

bool cuda_check_resources(const Kernel *kernel, const char *arch, const CudaResources *resources,
                          Diags *diags) {
    Diag *diag = NULL;
    Span place = first_place(kernel);
    bool fits = (uint64_t)resources->registers * kernel->gpu.threads <= REGISTERS;
    if (!fits)
        diag = diag_error(diags, place,
                          "kernel '%s' needs %u registers in each of %u threads on %s; a GPU has "
                          "%d for a block",
                          kernel->name, resources->registers, kernel->gpu.threads, arch, REGISTERS);
    else if (resources->spill_stores || resources->spill_loads)
        diag = diag_warning(diags, place,
                            "kernel '%s' spills registers to memory on %s: %u bytes stored, %u "
                            "loaded by each thread",
                            kernel->name, arch, resources->spill_stores, resources->spill_loads);
    else if (resources->stack_bytes > expected_stack(kernel))
        diag =
            diag_warning(diags, place, "kernel '%s' keeps %u bytes per thread on its stack on %s",
                         kernel->name, resources->stack_bytes, arch);
    if (!diag) return true;
    note_others(kernel, diag);
    diag_help(diag, "%s'tunec emit cuda --kernel %s' shows the kernel",
              fits ? "the results are right; " : "", kernel->name);
    return fits;
}

/* ---- the table ---- */

static void print_row(const CudaModule *module, const char *name, const CudaImage *image,
                      Text *out) {
    const CudaResources *r = &image->resources;
    const CudaArch *arch = cuda_arch_find(name);
    uint32_t threads = module->kernel->gpu.threads;
    uint32_t resident = cuda_arch_occupancy(arch, threads, r->registers, r->shared_bytes);
    text_printf(out, "%-36s %-8s %9u %6u %6u %7u %6u %8u %6u %8u %8" PRId64 " %8u%%\n",
                module->entry, name, r->registers, r->spill_stores, r->spill_loads, r->shared_bytes,
                r->stack_bytes, r->barriers, r->code_bytes, threads, module->kernel->gpu.blocks,
                100 * resident / arch->threads);
}

static void print_json(const CudaModule *module, const char *name, const CudaImage *image,
                       Text *out) {
    const CudaResources *r = &image->resources;
    const CudaArch *arch = cuda_arch_find(name);
    uint32_t threads = module->kernel->gpu.threads;
    uint32_t resident = cuda_arch_occupancy(arch, threads, r->registers, r->shared_bytes);
    text_printf(out, "  {\"kernel\": \"%s\", \"file\": \"%s.cu\", \"arch\": \"%s\",\n",
                module->entry, module->name, name);
    text_printf(out,
                "   \"registers\": %u, \"spill_store_bytes\": %u, \"spill_load_bytes\": %u, "
                "\"shared_bytes\": %u,\n",
                r->registers, r->spill_stores, r->spill_loads, r->shared_bytes);
    text_printf(out,
                "   \"stack_bytes\": %u, \"barriers\": %u, \"code_bytes\": %u, \"threads\": %u, "
                "\"blocks_per_trial\": %" PRId64 ",\n",
                r->stack_bytes, r->barriers, r->code_bytes, threads, module->kernel->gpu.blocks);
    text_printf(out, "   \"resident_threads\": %u, \"occupancy\": %.4f}", resident,
                (double)resident / arch->threads);
}

void cuda_print_resources(const CudaCode *code, bool json, Text *out) {
    uint32_t rows = 0;
    if (json) text_add(out, "[\n");
    for (uint32_t i = 0; i < code->modules.count; i++)
        for (uint32_t a = 0; a < code->arch_count; a++) {
            const CudaModule *module = &code->modules.at[i];
            if (!module->images[a].resources.registers) continue; /* PTX */
            if (!json && !rows)
                text_printf(out, "%-36s %-8s %9s %6s %6s %7s %6s %8s %6s %8s %8s %9s\n", "# kernel",
                            "gpu", "registers", "stored", "loaded", "shared", "stack", "barriers",
                            "code", "threads", "blocks", "occupancy");
            if (json && rows) text_add(out, ",\n");
            (json ? print_json : print_row)(module, code->archs[a], &module->images[a], out);
            rows++;
        }
    if (json) text_add(out, rows ? "\n]\n" : "]\n");
}
