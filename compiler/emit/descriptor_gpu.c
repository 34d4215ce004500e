/* The GPU's half of the descriptor: launches with their arguments, and the modules with their
 * images. */
#include "compiler/emit/descriptor.h"

#include <inttypes.h>
#include <stdlib.h>

#include "compiler/emit/cuda_arch.h"
#include "compiler/emit/emit_cuda.h"

/* ---- launches ---- */

/* One row: {space, stride, slot, offset, name, bytes, uniform}. */
static void print_argument(const CudaParameter *parameter, Text *out) {
    static const char *const strides[] = {"trial stride", "scratch stride", "field stride",
                                          "index stride", "example stride", "total stride",
                                          "metric stride"};
    const Buffer *buffer = parameter->buffer;
    if (parameter->stride) {
        text_printf(out, "    {%d, true, 0, 0, \"%s\", 0, false},\n", (int)parameter->space,
                    strides[parameter->space]);
        return;
    }
    bool block = buffer->space == SPACE_TRIAL || buffer->space == SPACE_SCRATCH;
    text_printf(out, "    {%d, false, %u, %" PRId64 ", ", (int)buffer->space,
                block ? 0 : buffer->slot, block ? buffer->offset : 0);
    descriptor_string(out, buffer->name);
    text_printf(out, ", %" PRId64 ", %s},\n",
                buffer->space == SPACE_FIELD ? 0 : buffer->count * elem_bytes(buffer->elem),
                buffer->uniform ? "true" : "false");
}

/* All arguments of a step program, launch after launch. */
static void print_arguments(const DescriptorLaunches *launches, const char *name, Arena *scratch,
                            Text *out) {
    text_printf(out, "static const TuneGpuArgument arguments_%s[] = {\n", name);
    for (uint32_t i = 0; i < launches->count; i++) {
        CudaParameterList list = cuda_parameters(launches->at[i].kernel, scratch);
        for (uint32_t p = 0; p < list.count; p++) print_argument(&list.at[p], out);
    }
    text_add(out, "};\n");
}

/* "mnist.tune:14, mnist.tune:16", each line once. */
static void print_places(const Kernel *kernel, const Sources *sources, Arena *scratch, Text *out) {
    Vec(const char *) lines = {0};
    Text text = {0};
    text_add(&text, "");
    for (uint32_t i = 0; i < kernel->places.count && sources; i++) {
        const char *line = sources_short_place(sources, kernel->places.at[i], scratch);
        bool known = !*line;
        for (uint32_t k = 0; k < lines.count; k++) known |= !strcmp(lines.at[k], line);
        if (known) continue;
        text_printf(&text, "%s%s", lines.count ? ", " : "", line);
        vec_push(scratch, &lines, line);
    }
    descriptor_string(out, text.at);
    text_release(&text);
}

static void print_launches(const DescriptorLaunches *launches, const Sources *sources,
                           const char *name, Text *out) {
    if (!launches->count) return;
    Arena *scratch = arena_new();
    print_arguments(launches, name, scratch, out);
    text_printf(out, "static const TuneGpuLaunch launches_%s[] = {\n", name);
    for (uint32_t i = 0, first = 0; i < launches->count; i++) {
        const DescriptorLaunch *launch = &launches->at[i];
        uint32_t arguments = cuda_parameters(launch->kernel, scratch).count;
        text_printf(out, "    {\"%s\", ", launch->kernel->name);
        print_places(launch->kernel, sources, scratch, out);
        text_printf(out, ", .module = %u, \"%s\", .threads = %u, .blocks = %" PRId64 ", .once = %s",
                    launch->module, launch->entry, launch->kernel->gpu.threads,
                    launch->kernel->gpu.blocks, launch->kernel->gpu.uniform ? "true" : "false");
        text_printf(out, ", .argument_count = %u, .arguments = arguments_%s + %u},\n", arguments,
                    name, first);
        first += arguments;
    }
    text_add(out, "};\n");
    arena_free(scratch);
}

void descriptor_gpu_variant(const DescriptorGpuVariant *variant, const Sources *sources, uint32_t s,
                            uint32_t v, Text *out) {
    const struct {
        const char *name;
        const DescriptorLaunches *launches;
    } parts[] = {{"init", &variant->init},
                 {"train", &variant->train},
                 {"evaluate", &variant->evaluate},
                 {"finish", &variant->finish}};
    Arena *scratch = arena_new();
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        print_launches(parts[i].launches, sources,
                       arena_printf(scratch, "%s_%u_%u", parts[i].name, s, v), out);
    text_printf(out, "static const TuneGpuVariant gpu_%u_%u = {.scratch_bytes = %" PRId64, s, v,
                variant->scratch_bytes);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].launches->count)
            text_printf(out, ", .%s = {%u, launches_%s_%u_%u}", parts[i].name,
                        parts[i].launches->count, parts[i].name, s, v);
    text_add(out, "};\n");
    arena_free(scratch);
}

/* ---- modules ---- */

static void print_cubins(const DescriptorModule *module, uint32_t number, Text *out) {
    if (!module->cubins.count) return;
    text_printf(out, "static const TuneCubin cubins_%u[] = {\n", number);
    for (uint32_t i = 0; i < module->cubins.count; i++) {
        const DescriptorCubin *cubin = &module->cubins.at[i];
        text_printf(out, "    {%u, %s, images + %" PRIu64 ", %" PRIu64 "},\n",
                    cuda_arch_find(cubin->arch)->capability,
                    cuda_arch_is_exact(cubin->arch) ? "true" : "false", cubin->at, cubin->size);
    }
    text_add(out, "};\n");
}

void descriptor_images_write(const DescriptorModule *modules, uint32_t count, const char *blob,
                             Text *out) {
    text_add(out, "#include \"runtime/program.h\"\n\n"
                  "__asm__(\".section .rodata\\n.balign 64\\ntune_gpu_images:\\n.incbin \\\"");
    text_add(out, blob);
    text_add(out, "\\\"\\n.previous\\n\");\n"
                  "extern const unsigned char images[] __asm__(\"tune_gpu_images\");\n");
    for (uint32_t i = 0; i < count; i++) print_cubins(&modules[i], i, out);
    text_add(out, "extern const TuneGpuModule tune_gpu_modules[];\n"
                  "const TuneGpuModule tune_gpu_modules[] = {\n");
    for (uint32_t i = 0; i < count; i++) {
        const DescriptorModule *module = &modules[i];
        text_printf(out,
                    "    {\"%s\", (const char *)images + %" PRIu64
                    ", (const char *)images + %" PRIu64 ", %u",
                    module->name, module->cuda, module->ptx, module->cubins.count);
        if (module->cubins.count) text_printf(out, ", cubins_%u", i);
        text_add(out, "},\n");
    }
    text_add(out, "};\n");
}
