/* Modules: which kernels are equal, their text, and their compilation in parallel. */
#include "compiler/cuda.h"

#include <inttypes.h>
#include <stdlib.h>

#include "compiler/emit/cuda_arch.h"
#include "compiler/emit/emit_cuda.h"
#include "compiler/parallel.h"

/* runtime/steps.cu, by CMake */
extern const char tune_steps_cuda[];

static const char fallback[] = "compute_80";

/* ---- architectures ---- */

static const char *arch_name(const char *name, bool ptx, Arena *arena) {
    return ptx && !strncmp(name, "sm_", 3) ? arena_printf(arena, "compute_%s", name + 3) : name;
}

const char *const *cuda_archs(const char *list, CudaPurpose purpose, uint32_t *count,
                              const char **problem, Arena *arena) {
    bool ptx = purpose == CUDA_PTX_TEXTS;
    Vec(const char *) archs = {0};
    if (!list) list = ptx ? fallback : "sm_80,sm_90a";
    do {
        size_t bytes = strcspn(list, ",");
        const char *given = arena_copy(arena, list, bytes);
        *problem = cuda_arch_problem(given, ptx, arena);
        if (*problem) return NULL;
        const char *name = arch_name(given, ptx, arena);
        bool known = false;
        for (uint32_t i = 0; i < archs.count; i++) known |= !strcmp(archs.at[i], name);
        if (!known) vec_push(arena, &archs, name);
        list += bytes;
    } while (*list++ == ',');
    if (purpose == CUDA_PROGRAM) vec_push(arena, &archs, fallback);
    *count = archs.count;
    return archs.at;
}

/* ---- modules ---- */

static uint64_t mix(uint64_t hash, const char *text) {
    for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return hash;
}

void cuda_init(CudaCode *code, const char *const *archs, uint32_t arch_count) {
    *code =
        (CudaCode){.archs = archs, .arch_count = arch_count, .fingerprint = 14695981039346656037u};
}

void cuda_release(CudaCode *code) {
    for (uint32_t i = 0; i < code->arenas.count; i++) arena_free(code->arenas.at[i]);
}

static const char *print_kernel(const Kernel *kernel, const Sources *sources, Arena *arena) {
    Text text = {0};
    cuda_print_kernel(kernel, sources, &text);
    const char *copy = arena_copy(arena, text.at ? text.at : "", text.bytes);
    text_release(&text);
    return copy;
}

uint32_t cuda_add(CudaCode *code, Compilation *compilation, const Kernel *kernel) {
    Arena *arena = compilation->program;
    Text signature = {0};
    kernel_signature(kernel, &signature);
    uint32_t at = 0;
    while (at < code->modules.count && strcmp(code->modules.at[at].signature, signature.at) != 0)
        at++;
    if (at == code->modules.count) {
        CudaModule module = {.kernel = kernel, .entry = kernel->name};
        module.signature = arena_copy(arena, signature.at, signature.bytes);
        module.name = arena_printf(arena, "%s-%08" PRIx32, kernel->name,
                                   (uint32_t)(mix(14695981039346656037u, signature.at) >> 32));
        module.cuda = print_kernel(kernel, compilation->sources, arena);
        code->fingerprint = mix(code->fingerprint, print_kernel(kernel, NULL, arena));
        vec_push(arena, &code->modules, module);
    }
    text_release(&signature);
    return at;
}

uint32_t cuda_add_steps(CudaCode *code, Compilation *compilation) {
    CudaModule module = {.name = "steps", .entry = "", .signature = "", .cuda = tune_steps_cuda};
    code->fingerprint = mix(code->fingerprint, tune_steps_cuda);
    vec_push(compilation->program, &code->modules, module);
    return code->modules.count - 1;
}

/* ---- compiling ---- */

typedef struct {
    CudaCode *code;
    Nvrtc *nvrtc;
    const char **problems;
} Job;

/* One module for one architecture. */
static void compile_image(void *context, uint32_t at) {
    Job *job = context;
    CudaCode *code = job->code;
    CudaModule *module = &code->modules.at[at / code->arch_count];
    uint32_t arch = at % code->arch_count;
    Arena *arena = code->arenas.at[at];
    const char *file = arena_printf(arena, "%s.cu", module->name);
    job->problems[at] = nvrtc_compile(job->nvrtc, file, module->cuda, code->archs[arch],
                                      &module->images[arch], arena);
}

static const char *compile_images(CudaCode *code, Nvrtc *nvrtc, Arena *arena) {
    uint32_t count = code->modules.count * code->arch_count;
    Job job = {code, nvrtc, arena_alloc(arena, (count + 1) * sizeof *job.problems)};
    for (uint32_t i = 0; i < code->modules.count; i++)
        code->modules.at[i].images =
            arena_alloc(arena, code->arch_count * sizeof *code->modules.at[i].images);
    for (uint32_t i = 0; i < count; i++) vec_push(arena, &code->arenas, arena_new());
    parallel_for(count, parallel_threads(), compile_image, &job);
    for (uint32_t i = 0; i < count; i++) {
        if (job.problems[i]) return arena_printf(arena, "%s", job.problems[i]);
        code->cached += code->modules.at[i / code->arch_count].images[i % code->arch_count].cached;
    }
    return NULL;
}

static bool check_limits(const CudaCode *code, Diags *diags) {
    bool fine = true;
    for (uint32_t i = 0; i < code->modules.count; i++)
        if (code->modules.at[i].kernel)
            fine &= cuda_check_limits(code->modules.at[i].kernel, diags);
    return fine;
}

static bool check_resources(const CudaCode *code, Diags *diags) {
    bool fine = true;
    for (uint32_t i = 0; i < code->modules.count; i++)
        for (uint32_t a = 0; a < code->arch_count; a++) {
            const CudaModule *module = &code->modules.at[i];
            if (module->kernel && module->images[a].resources.registers)
                fine &= cuda_check_resources(module->kernel, code->archs[a],
                                             &module->images[a].resources, diags);
        }
    return fine;
}

const char *cuda_compile(CudaCode *code, Nvrtc *nvrtc, Compilation *compilation) {
    if (!check_limits(code, compilation->diags)) return "";
    const char *problem = compile_images(code, nvrtc, compilation->program);
    if (problem) return problem;
    return check_resources(code, compilation->diags) ? NULL : "";
}
