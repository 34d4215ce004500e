/* Writes a program's GPU code, and which launches its step programs are made of, as files. */
#include "runtime/gpu_dump.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/file.h"

/* ---- modules ---- */

/* Frees `path`. */
static bool write_file(char *path, const void *bytes, size_t size, Fail *fail) {
    struct iovec part = {(void *)bytes, size};
    bool ok = file_write(path, &part, 1, fail);
    free(path);
    return ok;
}

static bool dump_module(const TuneGpuModule *module, const char *directory, Fail *fail) {
    if (module->cuda && !write_file(file_text("%s/%s.cu", directory, module->name), module->cuda,
                                    strlen(module->cuda), fail))
        return false;
    if (module->ptx && !write_file(file_text("%s/%s.ptx", directory, module->name), module->ptx,
                                   strlen(module->ptx), fail))
        return false;
    for (uint32_t c = 0; c < module->cubin_count; c++) {
        const TuneCubin *cubin = &module->cubins[c];
        char *path = file_text("%s/%s.sm_%u%s.cubin", directory, module->name, cubin->arch,
                               cubin->exact ? "a" : "");
        if (!write_file(path, cubin->bytes, cubin->size, fail)) return false;
    }
    return true;
}

/* ---- launches ---- */

static void print_argument(FILE *out, const TuneGpuArgument *argument) {
    static const char *const space[] = {
        [TUNE_GPU_TRIAL] = "trial",  [TUNE_GPU_SCRATCH] = "scratch", [TUNE_GPU_FIELD] = "field",
        [TUNE_GPU_INDEX] = "index",  [TUNE_GPU_EXAMPLE] = "example", [TUNE_GPU_TOTAL] = "total",
        [TUNE_GPU_METRIC] = "metric"};
    if (argument->stride) {
        fprintf(out, "            stride of %s\n", space[argument->space]);
        return;
    }
    fprintf(out, "            %-24s %s", argument->name, space[argument->space]);
    if (argument->space == TUNE_GPU_TRIAL || argument->space == TUNE_GPU_SCRATCH)
        fprintf(out, " +%" PRIu64, argument->offset);
    else if (argument->space != TUNE_GPU_INDEX)
        fprintf(out, " %u", argument->slot);
    if (argument->bytes) fprintf(out, ", %" PRIu64 " bytes", argument->bytes);
    fputc('\n', out);
}

static void print_steps(FILE *out, const TuneProgram *program, const char *name,
                        const TuneGpuSteps *steps) {
    if (steps->count)
        fprintf(out, "    %s: %u launch%s\n", name, steps->count, steps->count > 1 ? "es" : "");
    for (uint32_t l = 0; l < steps->count; l++) {
        const TuneGpuLaunch *launch = &steps->launches[l];
        fprintf(out, "        %u  %s  %s\n", l + 1, launch->name, launch->places);
        fprintf(out, "            %s of %s, %u blocks x %s, %u threads\n", launch->entry,
                program->gpu_modules[launch->module].name, launch->blocks,
                launch->once ? "1" : "trials", launch->threads);
        for (uint32_t a = 0; a < launch->argument_count; a++)
            print_argument(out, &launch->arguments[a]);
    }
}

static void print_variant(FILE *out, const TuneProgram *program, const TuneStudy *study,
                          const TuneVariant *variant) {
    const TuneGpuVariant *gpu = variant->gpu;
    fprintf(out, "study %s, variant %s\n", study->name, variant->name);
    if (!gpu) return;
    fprintf(out, "    a trial takes %" PRIu64 " bytes and %" PRIu64 " bytes of scratch\n",
            variant->trial_bytes, gpu->scratch_bytes);
    print_steps(out, program, "init", &gpu->init);
    print_steps(out, program, "train", &gpu->train);
    print_steps(out, program, "evaluate", &gpu->evaluate);
    print_steps(out, program, "finish", &gpu->finish);
}

static bool dump_launches(const TuneProgram *program, const char *directory, Fail *fail) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return fail_set(fail, "out of memory");
    for (uint32_t s = 0; s < program->study_count; s++)
        for (uint32_t v = 0; v < program->studies[s].variant_count; v++)
            print_variant(out, program, &program->studies[s], &program->studies[s].variants[v]);
    bool ok = fclose(out) == 0;
    if (!ok)
        fail_set(fail, "out of memory");
    else
        ok = write_file(file_text("%s/launches.txt", directory), text, size, fail);
    free(text);
    return ok;
}

bool gpu_dump(const TuneProgram *program, const char *directory, Fail *fail) {
    if (!program->gpu_module_count) {
        fail_set(fail, "%s has no GPU code to write: it was built for the CPU alone",
                 program->name);
        return fail_help(fail, "build it with: tunec build --target cuda");
    }
    if (!file_make_directory(directory, fail)) return false;
    for (uint32_t m = 0; m < program->gpu_module_count; m++)
        if (!dump_module(&program->gpu_modules[m], directory, fail)) return false;
    return dump_launches(program, directory, fail);
}
