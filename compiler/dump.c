/* A directory with everything that can be printed: the printers are those of `tunec emit`. */
#include "compiler/dump.h"

#include <ctype.h>
#include <errno.h>
#include <sys/stat.h>

#include "compiler/emit.h"
#include "compiler/files.h"

static const char *make_directory(const char *directory, Arena *arena) {
    if (mkdir(directory, 0777) == 0 || errno == EEXIST) return NULL;
    return arena_printf(arena, "cannot make the directory '%s': %s", directory, strerror(errno));
}

static const char *dump_bytes(const char *directory, const char *name, const void *bytes,
                              size_t count, Arena *arena) {
    return file_write(arena_printf(arena, "%s/%s", directory, name), bytes, count, arena);
}

const char *dump_text(const char *directory, const char *name, const char *text, Arena *arena) {
    return dump_bytes(directory, name, text, strlen(text), arena);
}

/* ---- forms ---- */

/* A file per variant (of the whole program where `variants` is false). */
static const struct {
    Pass last;
    EmitRequest request;
    bool variants, cuda;
    const char *ending;
} dumps[] = {{PASS_PARSE, {.stage = "tree"}, false, false, "tree.txt"},
             {PASS_CHECK, {.stage = "checked"}, false, false, "checked.txt"},
             {PASS_ELABORATE, {.stage = "graph"}, true, false, "1-elaborate.txt"},
             {PASS_GRAD, {.stage = "graph"}, true, false, "2-grad.txt"},
             {PASS_UPDATE, {.stage = "graph"}, true, false, "3-update.txt"},
             {PASS_SIMPLIFY, {.stage = "graph"}, true, false, "4-simplify.txt"},
             {PASS_FUSE, {.stage = "kernels"}, true, false, "5-kernels.txt"},
             {PASS_PLAN, {.stage = "schedule"}, true, false, "6-schedule.txt"},
             {PASS_PLAN, {.stage = "plan"}, true, false, "7-plan.txt"},
             {PASS_PLAN, {.stage = "llvm"}, true, false, "ll"},
             {PASS_PLAN, {.stage = "schedule"}, true, true, "6-schedule.gpu.txt"},
             {PASS_PLAN, {.stage = "plan"}, true, true, "7-plan.gpu.txt"}};

/* A name that any file system takes: "first_look.width=32,act=relu". */
static const char *file_name(const VariantForms *forms, const char *ending, Arena *arena) {
    char *name =
        arena_printf(arena, "%s.%s.%s", forms->study->decl->name, forms->variant->name, ending);
    for (char *at = name; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("=._-+", *at)) *at = ',';
    return name;
}

static const char *dump_form(Compilation *compilation, EmitRequest request, const char *directory,
                             const char *name) {
    Text text = {0};
    const char *problem = emit_print(compilation, &request, &text);
    if (!problem)
        problem = dump_text(directory, name, text.at ? text.at : "", compilation->program);
    text_release(&text);
    return problem;
}

static const char *dump_pass(Compilation *compilation, size_t at, const char *directory) {
    if (!dumps[at].variants)
        return dump_form(compilation, dumps[at].request, directory, dumps[at].ending);
    const char *problem = NULL;
    for (uint32_t i = 0; i < compilation->variants.count && !problem; i++) {
        const VariantForms *forms = &compilation->variants.at[i];
        EmitRequest request = dumps[at].request;
        request.study = forms->study->decl->name;
        request.variant = forms->variant->name;
        request.gpu = dumps[at].cuda;
        problem = dump_form(compilation, request, directory,
                            file_name(forms, dumps[at].ending, compilation->program));
    }
    return problem;
}

/* All dumps from number `at` on that one compilation is enough for. */
static const char *dump_until(const CompileOptions *options, const char *directory, size_t *at,
                              Arena *arena) {
    CompileOptions until = *options;
    Compilation compilation;
    const char *problem = NULL;
    Pass last = until.last = dumps[*at].last;
    bool compiled = compile(&compilation, &until);
    for (; *at < sizeof dumps / sizeof *dumps && dumps[*at].last == last; ++*at)
        if (compiled && !problem && (!dumps[*at].cuda || options->cuda))
            problem = dump_pass(&compilation, *at, directory);
    if (problem) problem = arena_printf(arena, "%s", problem);
    compilation_release(&compilation);
    return problem;
}

const char *dump_forms(const CompileOptions *options, const char *directory, Arena *arena) {
    const char *problem = make_directory(directory, arena);
    for (size_t at = 0; at < sizeof dumps / sizeof *dumps && !problem;)
        problem = dump_until(options, directory, &at, arena);
    return problem;
}

/* ---- modules ---- */

const char *dump_modules(const char *directory, const CudaCode *code, Arena *arena) {
    const char *problem = NULL;
    for (uint32_t i = 0; i < code->modules.count && !problem; i++) {
        const CudaModule *module = &code->modules.at[i];
        problem =
            dump_text(directory, arena_printf(arena, "%s.cu", module->name), module->cuda, arena);
        for (uint32_t a = 0; a < code->arch_count && !problem; a++) {
            const CudaImage *image = &module->images[a];
            bool ptx = a + 1 == code->arch_count;
            const char *name =
                ptx ? arena_printf(arena, "%s.ptx", module->name)
                    : arena_printf(arena, "%s.%s.cubin", module->name, code->archs[a]);
            problem = dump_bytes(directory, name, image->bytes, image->size - ptx, arena);
        }
    }
    return problem;
}
