/* One kernel as a file of CUDA C: the comment, the device functions that it calls, parameters under
 * readable names, the body. */
#include "compiler/emit/emit_cuda.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

#include "compiler/emit/cuda_printer.h"
#include "compiler/emit/emit_llvm.h" /* where the header's fields lie */

enum { COLUMNS = 100 };

/* ---- names ---- */

/* What the printers call their own, and what C++ or CUDA know. */
static bool is_reserved(const char *name) {
    static const char words[] =
        " alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl"
        " const constexpr const_cast continue decltype default delete do double dynamic_cast else"
        " enum explicit export extern false float for friend goto if inline int long mutable"
        " namespace new noexcept not not_eq nullptr operator or or_eq private protected public"
        " register reinterpret_cast return short signed sizeof static static_assert static_cast"
        " struct switch template this thread_local throw true try typedef typeid typename union"
        " unsigned using virtual void volatile wchar_t while xor xor_eq typeof asm int8_t uint4"
        " uint2 make_uint4 threadIdx blockIdx blockDim gridDim warpSize fmaf fma fabsf fabs floorf"
        " floor sqrtf sqrt exp log tanh erf sin cos pow copysignf of_trial larger smaller"
        " divide_i32 divide_u32 modulo_i32 modulo_u32 to_i32 to_u32 to_u8 exp_f32 log_f32 tanh_f32"
        " erf_f32 sine_f32 pow_f32 philox warp_sum warp_max block_sum block_max column_sum"
        " column_max trial step key first_example here lane group row column point pass chunk"
        " thread warp half at a b c r sums a_tile b_tile a_next b_next k0 m0 n0"
        " i j next seen most shrink scores slices a_slice b_slice sink_slice i0"
        " trial_stride scratch_stride example_stride total_stride metric_stride ";
    const char *found = strstr(words, name);
    for (size_t length = strlen(name); found; found = strstr(found + 1, name))
        if (found[-1] == ' ' && found[length] == ' ') return true;
    return false;
}

/* v14, bits3, s0_r0, p0_r1, leaf0, score1, outer0, around1: names of values. */
static bool is_value_name(const char *name) {
    static const char *const words[] = {"v", "s", "p", "bits", "leaf", "score", "outer", "around"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i]);
        if (!strncmp(name, words[i], length) && isdigit((unsigned char)name[length])) return true;
    }
    return false;
}

/* The printers of tiles have their own. */
static bool is_axis_name(const Kernel *kernel, const char *name) {
    bool tiled = kernel->gpu.form == GPU_CONTRACT || kernel->gpu.form == GPU_PLANE;
    if (tiled && strlen(name) == 1 && strchr("mnke", *name)) return true;
    for (uint32_t i = 0; i < kernel->axis_count + kernel->part_count; i++)
        if (!strcmp(kernel->axes[i].name, name)) return true;
    return false;
}

static bool is_taken(const CudaPrinter *p, uint32_t count, const char *name) {
    for (uint32_t i = 0; i < count; i++)
        if (!strcmp(p->buffer_names[i], name)) return true;
    return false;
}

static const char *identifier(Arena *arena, const char *name) {
    char *clean = arena_printf(arena, "%s%s", isdigit((unsigned char)*name) ? "_" : "", name);
    for (char *c = clean; *c; c++)
        if (!isalnum((unsigned char)*c)) *c = '_';
    return clean;
}

static const char *buffer_name(CudaPrinter *p, uint32_t number, const Buffer *buffer) {
    const char *base = identifier(p->arena, buffer->name);
    if (!strcmp(base, p->kernel->name) || is_reserved(base) || is_value_name(base) ||
        is_axis_name(p->kernel, base))
        base = arena_printf(p->arena, "%s_", base);
    const char *name = base;
    for (uint32_t i = 2; is_taken(p, number, name); i++)
        name = arena_printf(p->arena, "%s_%u", base, i);
    return name;
}

static void name_buffers(CudaPrinter *p) {
    const BufferList *buffers = &p->kernel->buffers, *locals = &p->kernel->locals;
    p->buffer_names =
        arena_alloc(p->arena, (buffers->count + locals->count + 1) * sizeof *p->buffer_names);
    for (uint32_t i = 0; i < buffers->count; i++)
        p->buffer_names[i] = buffer_name(p, i, buffers->at[i]);
    for (uint32_t i = 0; i < locals->count; i++)
        p->buffer_names[buffers->count + i] = buffer_name(p, buffers->count + i, locals->at[i]);
}

static bool is_part_taken(const CudaPrinter *p, uint32_t number, const char *name) {
    const Kernel *kernel = p->kernel;
    for (uint32_t i = 0; i < kernel->axis_count; i++)
        if (!strcmp(kernel->axes[i].name, name)) return true;
    for (uint32_t i = 0; i < number; i++)
        if (!strcmp(p->part_names[i], name)) return true;
    return is_reserved(name) || is_value_name(name) ||
           is_taken(p, kernel->buffers.count + kernel->locals.count, name);
}

/* "m_1" for m1: m0 is the first row of a tile. */
static const char *part_name(Arena *arena, const char *name) {
    bool numbered = *name && isdigit((unsigned char)name[1]);
    return numbered ? arena_printf(arena, "%c_%s", *name, name + 1) : identifier(arena, name);
}

static void name_parts(CudaPrinter *p) {
    for (uint32_t i = 0; i < p->kernel->part_count; i++) {
        const char *base = part_name(p->arena, p->kernel->axes[p->kernel->axis_count + i].name);
        p->part_names[i] = base;
        for (uint32_t k = 2; is_part_taken(p, i, p->part_names[i]); k++)
            p->part_names[i] = arena_printf(p->arena, "%s_%u", base, k);
    }
}

/* ---- what is known of the kernel ---- */

static bool is_stored(const Kernel *kernel, const Buffer *buffer) {
    for (uint32_t i = 0; kernel->plane && i < kernel->plane->stores.count; i++)
        if (kernel->plane->stores.at[i].buffer == buffer) return true;
    for (uint32_t s = 0; s < kernel->stages.count; s++)
        for (uint32_t i = 0; i < kernel->stages.at[s].stores.count; i++)
            if (kernel->stages.at[s].stores.at[i].buffer == buffer) return true;
    return false;
}

static bool stores_into(const Kernel *kernel, Space space) {
    for (uint32_t i = 0; i < kernel->buffers.count; i++)
        if (kernel->buffers.at[i]->space == space && is_stored(kernel, kernel->buffers.at[i]))
            return true;
    return false;
}

/* Each trial has its own. */
static bool is_per_trial(const Buffer *buffer) {
    Space space = buffer->space;
    return space != SPACE_FIELD && space != SPACE_INDEX && space != SPACE_LOCAL && !buffer->uniform;
}

/* Whether some buffer of the space moves with the trial. */
static bool moves(const Kernel *kernel, Space space) {
    for (uint32_t i = 0; i < kernel->buffers.count; i++)
        if (kernel->buffers.at[i]->space == space && is_per_trial(kernel->buffers.at[i]))
            return true;
    return false;
}

/* ---- the comment ---- */

/* Words behind each other, wrapped. */
typedef struct {
    Text *out;
    size_t column;
} Wrapped;

static void add_word(Wrapped *line, const char *word) {
    size_t length = strlen(word);
    if (line->column + 1 + length > COLUMNS) {
        text_add(line->out, "\n//    ");
        line->column = 6;
    }
    text_printf(line->out, " %s", word);
    line->column += 1 + length;
}

static void print_places(const CudaPrinter *p, Text *out) {
    const char *last = "";
    for (uint32_t i = 0; i < p->kernel->places.count && p->sources; i++) {
        const char *place = sources_short_place(p->sources, p->kernel->places.at[i], p->arena);
        if (!*place || !strcmp(place, last)) continue;
        text_printf(out, "%s%s", *last ? ", " : "   ", place);
        last = place;
    }
}

static void print_schedule(const Kernel *kernel, Text *out) {
    const GpuSchedule *gpu = &kernel->gpu;
    text_add(out, "//     ");
    switch (gpu->form) {
    case GPU_NONE: break;
    case GPU_POINTS:
        text_printf(out, "%u point%s per thread, ", gpu->points, gpu->points == 1 ? "" : "s");
        break;
    case GPU_ROWS: text_printf(out, "%u threads per row, ", gpu->row_threads); break;
    case GPU_COLUMNS:
        text_printf(out, "%u columns, %u threads per column, ", gpu->threads / gpu->row_threads,
                    gpu->row_threads);
        break;
    case GPU_CONTRACT:
        text_printf(out, "tile %u x %u x %u, %u x %u per thread, ", gpu->tile_m, gpu->tile_n,
                    gpu->tile_k, gpu->thread_m, gpu->thread_n);
        break;
    case GPU_PLANE:
        text_printf(out, "plane by %u x %u, %u threads per row, ", gpu->tile_m, gpu->tile_n,
                    gpu->row_threads);
        break;
    }
    text_printf(out, "%u threads, %" PRId64 " block%s %s", gpu->threads, gpu->blocks,
                gpu->blocks == 1 ? "" : "s",
                gpu->uniform ? "for all trials together" : "per trial");
    if (gpu->shared_bytes) text_printf(out, ", %u bytes shared", gpu->shared_bytes);
    text_add(out, "\n");
}

static void print_comment(const CudaPrinter *p, Text *out) {
    const Kernel *kernel = p->kernel;
    text_printf(out, "// %s", kernel->name);
    print_places(p, out);
    text_add(out, "\n");
    if (kernel->fused.count) text_add(out, "//    ");
    Wrapped line = {out, 6};
    for (uint32_t i = 0; i < kernel->fused.count; i++) add_word(&line, kernel->fused.at[i]);
    if (kernel->fused.count) text_add(out, "\n");
    text_add(out, "//     ");
    for (uint32_t i = 0; i < kernel->axis_count; i++)
        text_printf(out, "%s%s=%" PRId64, i ? " " : "axes ", kernel->axes[i].name,
                    kernel->axes[i].extent);
    text_printf(out, "%s%.0f flops, %.0f bytes read, %.0f written, per trial\n",
                kernel->axis_count ? "; " : "", kernel->flops, kernel->bytes_read,
                kernel->bytes_written);
    print_schedule(kernel, out);
}

/* ---- parameters ---- */

CudaParameterList cuda_parameters(const Kernel *kernel, Arena *arena) {
    CudaParameterList list = {0};
    for (uint32_t i = 0; i < kernel->buffers.count; i++)
        vec_push(arena, &list,
                 (CudaParameter){.space = kernel->buffers.at[i]->space,
                                 .buffer = kernel->buffers.at[i]});
    for (Space space = SPACE_TRIAL; space < SPACE_LOCAL; space++)
        if (moves(kernel, space))
            vec_push(arena, &list, (CudaParameter){.stride = true, .space = space});
    return list;
}

static const char *stride_name(Space space) {
    static const char *const names[] = {[SPACE_TRIAL] = "trial_stride",
                                        [SPACE_SCRATCH] = "scratch_stride",
                                        [SPACE_EXAMPLE] = "example_stride",
                                        [SPACE_TOTAL] = "total_stride",
                                        [SPACE_METRIC] = "metric_stride"};
    return names[space];
}

/* Parts of the trial's block may be the same memory: where one of them is stored, none is
 * restricted. */
static const char *parameter_text(const CudaPrinter *p, const CudaParameter *parameter) {
    if (parameter->stride)
        return arena_printf(p->arena, "long long %s", stride_name(parameter->space));
    const Buffer *buffer = parameter->buffer;
    bool alone = buffer->space != SPACE_TRIAL || !stores_into(p->kernel, SPACE_TRIAL);
    return arena_printf(p->arena, "%s%s *%s%s", is_stored(p->kernel, buffer) ? "" : "const ",
                        cuda_type(buffer->elem, true), alone ? "__restrict__ " : "",
                        cuda_buffer(p, buffer));
}

/* Without the 1 ptxas rather spills than lets fewer blocks share a multiprocessor. */
static void print_head(const CudaPrinter *p, Text *out) {
    const Kernel *kernel = p->kernel;
    CudaParameterList parameters = cuda_parameters(kernel, p->arena);
    text_printf(out, "extern \"C\" __global__ void __launch_bounds__(%u, 1)\n%s(",
                kernel->gpu.threads, kernel->name);
    size_t indent = strlen(kernel->name) + 1, column = indent;
    for (uint32_t i = 0; i < parameters.count; i++) {
        const char *text = parameter_text(p, &parameters.at[i]);
        if (i && column + strlen(text) + 3 > COLUMNS) {
            text_add(out, ",\n");
            text_indent(out, (int)indent);
            column = indent;
        } else if (i) {
            text_add(out, ", ");
            column += 2;
        }
        text_add(out, text);
        column += strlen(text);
    }
    text_add(out, ")\n{\n");
}

/* ---- the body ---- */

/* Moves the pointers to the trial's own memory. */
static void print_trial(CudaPrinter *p) {
    const BufferList *buffers = &p->kernel->buffers;
    bool any = false;
    for (uint32_t i = 0; i < buffers->count; i++) any |= is_per_trial(buffers->at[i]);
    if (any) cuda_line(p, "const long long trial = blockIdx.y;\n");
    for (uint32_t i = 0; i < buffers->count; i++)
        if (is_per_trial(buffers->at[i]))
            cuda_line(p, "%s = %s(%s, trial * %s);\n", p->buffer_names[i],
                      cuda_function(p, CUDA_OF_TRIAL), p->buffer_names[i],
                      stride_name(buffers->at[i]->space));
}

/* The fields of the trial's header that the kernel uses. */
static void print_header_fields(CudaPrinter *p) {
    bool step = false, key = false, first = false;
    for (uint32_t e = 0; e < p->kernel->exprs.count; e++) {
        const Expr *x = &p->kernel->exprs.at[e];
        step |= x->kind == X_STEP || x->kind == X_RANDOM;
        key |= x->kind == X_RANDOM;
        first |= x->kind == X_RANDOM && x->row;
    }
    if (!step) return;
    const char *header = cuda_buffer(p, p->kernel->header);
    cuda_line(p, "const unsigned long long step = *(const unsigned long long *)(%s + %d);\n",
              header, HEADER_STEP);
    if (key) cuda_line(p, "const uint2 key = *(const uint2 *)(%s + %d);\n", header, HEADER_KEY);
    if (first)
        cuda_line(p,
                  "const unsigned long long first_example = *(const unsigned long long *)(%s + "
                  "%d);\n",
                  header, HEADER_FIRST_EXAMPLE);
}

static CudaPrinter printer_of(const Kernel *kernel, const Sources *sources, Text *body,
                              Arena *arena) {
    uint32_t count = kernel->exprs.count + 1, stages = kernel->stages.count;
    CudaPrinter p = {.kernel = kernel, .sources = sources, .arena = arena, .out = body};
    p.indent = p.depth = 1;
    p.axes_of = kernel_expr_axes(kernel, arena);
    p.names = arena_alloc(arena, count * sizeof *p.names);
    p.depth_of = arena_alloc(arena, count * sizeof *p.depth_of);
    p.uses = arena_alloc(arena, count * sizeof *p.uses);
    p.results = arena_alloc(arena, (stages + 1) * sizeof *p.results);
    for (uint32_t i = 0; i < stages; i++)
        p.results[i] =
            arena_alloc(arena, (kernel->stages.at[i].reductions.count + 1) * sizeof **p.results);
    for (uint32_t i = 0; i < kernel->axis_count; i++) p.axis[i] = kernel->axes[i].name;
    name_buffers(&p);
    name_parts(&p);
    return p;
}

void cuda_print_kernel(const Kernel *kernel, const Sources *sources, Text *out) {
    Arena *arena = arena_new();
    Text body = {0};
    CudaPrinter p = printer_of(kernel, sources, &body, arena);
    print_trial(&p);
    print_header_fields(&p);
    if (kernel->gpu.form == GPU_CONTRACT)
        cuda_contract(&p);
    else if (kernel->gpu.form == GPU_PLANE)
        cuda_plane(&p);
    else
        cuda_nest(&p);
    cuda_functions(p.used, out);
    print_comment(&p, out);
    print_head(&p, out);
    text_add(out, body.at);
    text_add(out, "}\n");
    text_release(&body);
    arena_free(arena);
}
