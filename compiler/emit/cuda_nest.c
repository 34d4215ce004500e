/* The walk over a scheduled kernel, but for contractions: which threads have which points, loops,
 * folds over threads.
 *
 *     GPU_ROWS      threads of one row lie side by side; `lane` counts them
 *     GPU_COLUMNS   columns lie side by side; `group` counts the threads of one column
 *     GPU_POINTS    reducing stages are one row that every block has for itself; the points of
 *                   storing stages are shared out to all blocks
 *
 * The same thread has the same points of a row in all stages, so that what one stage has stored
 * the next reads back without a barrier. Rows past the end are computed from the last row's
 * numbers as far as names above the loops go; they take part in folds, and have no points. */
#include "compiler/emit/cuda_printer.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum { MOST_UNROLLED = 4 };

/* ---- lines ---- */

static void print_indent(CudaPrinter *p) {
    text_indent(p->out, (int)(4 * p->indent));
}

static const char *formatted(CudaPrinter *p, const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    char *text = arena_alloc(p->arena, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

void cuda_line(CudaPrinter *p, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_indent(p);
    text_add(p->out, formatted(p, format, arguments));
    va_end(arguments);
}

void cuda_statement(CudaPrinter *p, Span span, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_indent(p);
    text_add(p->out, formatted(p, format, arguments));
    va_end(arguments);
    const char *place = p->sources ? sources_short_place(p->sources, span, p->arena) : "";
    text_printf(p->out, "%s%s\n", *place ? "  // " : "", place);
}

void cuda_open(CudaPrinter *p, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const char *head = formatted(p, format, arguments);
    va_end(arguments);
    print_indent(p);
    text_printf(p->out, "%s%s{\n", head, *head ? " " : "");
    p->indent++;
    p->depth++;
}

void cuda_close(CudaPrinter *p) {
    for (uint32_t e = 0; e < p->kernel->exprs.count; e++)
        if (p->names[e] && p->depth_of[e] == p->depth) p->names[e] = NULL;
    p->depth--;
    p->indent--;
    cuda_line(p, "}\n");
}

/* ---- axes ---- */

/* Axes of which there is more than one value, in order. */
typedef struct {
    uint32_t at[MAX_AXES], count;
    int64_t points;
} AxisSet;

static AxisSet axes_of_set(CudaPrinter *p, uint32_t set) {
    AxisSet axes = {.points = 1};
    for (uint32_t i = 0; i < p->kernel->axis_count; i++) {
        if (!(set >> i & 1)) continue;
        if (p->kernel->axes[i].extent == 1) {
            p->axis[i] = "0";
            continue;
        }
        axes.at[axes.count++] = i;
        axes.points *= p->kernel->axes[i].extent;
    }
    return axes;
}

static const char *integer_type(int64_t count) {
    return count > INT32_MAX ? "long long" : "int";
}

static const char *axis_name(CudaPrinter *p, uint32_t axis) {
    return p->axis[axis] = p->kernel->axes[axis].name;
}

/* Axes from their number in row-major order; those that nothing uses are left out. */
static void print_axes(CudaPrinter *p, const AxisSet *axes, const char *number, uint32_t used) {
    int64_t below = axes->points;
    for (uint32_t i = 0; i < axes->count; i++) {
        uint32_t axis = axes->at[i];
        int64_t extent = p->kernel->axes[axis].extent;
        const char *name = axis_name(p, axis);
        below /= extent;
        if (!(used >> axis & 1)) continue;
        cuda_line(p, "const %s %s = %s", integer_type(extent), name, number);
        if (below > 1) text_printf(p->out, " / %" PRId64, below);
        if (i) text_printf(p->out, " %% %" PRId64, extent);
        text_add(p->out, ";\n");
    }
}

/* ---- points of a row ---- */

typedef struct {
    CudaPrinter *p;
    const char *lane; /* the thread's number among those of its row; "0": the only one */
    const char *here; /* "here", where the row may lie past the end; else "" */
    uint32_t threads; /* of a row */
} Row;

/* Of the axis that counts positions in a chunk: "1024 * chunk + i < 135568"; "" where every chunk
 * is full. */
static const char *chunk_condition(const CudaPrinter *p, const AxisSet *axes) {
    for (uint32_t i = 0; i < axes->count; i++) {
        const Axis *axis = &p->kernel->axes[axes->at[i]];
        if (axis->chunks && axis->whole % axis->extent)
            return arena_printf(p->arena, "%" PRId64 " * %s + %s < %" PRId64, axis->extent,
                                p->axis[axis->chunks - 1], axis->name, axis->whole);
    }
    return "";
}

static const char *both(CudaPrinter *p, const char *first, const char *second) {
    return arena_printf(p->arena, "%s%s%s", first, *first && *second ? " && " : "", second);
}

static void open_if(CudaPrinter *p, const char *condition) {
    if (*condition)
        cuda_open(p, "if (%s)", condition);
    else
        cuda_open(p, "%s", "");
}

/* One point: the first thread's. */
static void open_single(const Row *row) {
    bool alone = row->threads == 1;
    open_if(row->p, both(row->p, alone ? "" : arena_printf(row->p->arena, "%s == 0", row->lane),
                         row->here));
}

/* As many points as threads, or fewer. */
static void open_once(const Row *row, const AxisSet *axes, const char *name) {
    CudaPrinter *p = row->p;
    const char *limit = axes->points < row->threads
                            ? arena_printf(p->arena, "%s < %" PRId64, row->lane, axes->points)
                            : "";
    open_if(p, both(p, limit, row->here));
    cuda_line(p, "const int %s = %s;\n", name, row->lane);
}

/* Opens the loop over a stage's inner axes; how many blocks that are. */
static uint32_t open_points(const Row *row, const AxisSet *axes, uint32_t used) {
    CudaPrinter *p = row->p;
    if (!axes->count) {
        open_single(row);
        return 1;
    }
    bool one = axes->count == 1, once = axes->points <= row->threads;
    const char *name = one ? axis_name(p, axes->at[0]) : "point";
    const char *cut = one ? chunk_condition(p, axes) : "";
    if (once)
        open_once(row, axes, name);
    else
        cuda_open(p, "for (%s %s = %s; %s; %s += %u)", integer_type(axes->points), name, row->lane,
                  both(p, both(p, arena_printf(p->arena, "%s < %" PRId64, name, axes->points), cut),
                       row->here),
                  name, row->threads);
    if (!one) print_axes(p, axes, name, used);
    if (!one || once) cut = chunk_condition(p, axes);
    if (!*cut || (one && !once)) return 1;
    open_if(p, cut);
    return 2;
}

/* ---- stages ---- */

static const char *result_name(CudaPrinter *p, uint32_t stage, uint32_t word) {
    return p->results[stage][word] = arena_printf(p->arena, "s%u_r%u", stage, word);
}

static void hoist_stage(CudaPrinter *p, const Stage *stage, uint32_t axes) {
    const Expr *exprs = p->kernel->exprs.at;
    for (uint32_t i = 0; i < stage->reductions.count; i++) {
        int value = stage->reductions.at[i].value;
        bool product = stage->reductions.at[i].op == OP_SUM && exprs[value].kind == X_OP &&
                       exprs[value].op == OP_MUL && exprs[value].index == 1;
        if (!product) cuda_hoist(p, value, axes);
        for (int k = 0; product && k < 2; k++) cuda_hoist(p, exprs[value].in[k], axes);
    }
    for (uint32_t i = 0; i < stage->stores.count; i++)
        cuda_hoist(p, stage->stores.at[i].value, axes);
}

/* "warp_sum<8>", "block_max<256>", "column_sum<32, 8>". */
static const char *fold_name(const Row *row, Op op) {
    CudaPrinter *p = row->p;
    const GpuSchedule *gpu = &p->kernel->gpu;
    bool sum = op == OP_SUM, columns = gpu->form == GPU_COLUMNS;
    if (columns)
        return arena_printf(p->arena, "%s<%u, %u>",
                            cuda_function(p, sum ? CUDA_COLUMN_SUM : CUDA_COLUMN_MAX),
                            gpu->threads / row->threads, row->threads);
    CudaFunction function = row->threads <= 32 ? (sum ? CUDA_WARP_SUM : CUDA_WARP_MAX)
                                               : (sum ? CUDA_BLOCK_SUM : CUDA_BLOCK_MAX);
    return arena_printf(p->arena, "%s<%u>", cuda_function(p, function), row->threads);
}

static void print_folds(const Row *row, uint32_t number) {
    CudaPrinter *p = row->p;
    const Stage *stage = &p->kernel->stages.at[number];
    for (uint32_t i = 0; i < stage->reductions.count && row->threads > 1; i++) {
        const char *result = p->results[number][i];
        cuda_line(p, "%s = %s(%s);\n", result, fold_name(row, stage->reductions.at[i].op), result);
    }
}

static void print_row_stage(const Row *row, uint32_t number) {
    CudaPrinter *p = row->p;
    const Stage *stage = &p->kernel->stages.at[number];
    AxisSet axes = axes_of_set(p, stage->inner);
    cuda_begin_stage(p, stage);
    if (axes.count) hoist_stage(p, stage, stage->inner);
    for (uint32_t i = 0; i < stage->reductions.count; i++) {
        const Reduction *reduction = &stage->reductions.at[i];
        Elem elem = p->kernel->exprs.at[reduction->value].elem;
        cuda_line(p, "%s %s = %s;\n", cuda_type(elem, false), result_name(p, number, i),
                  cuda_identity(reduction->op, elem));
    }
    uint32_t blocks = open_points(row, &axes, cuda_stage_axes(p, stage));
    for (uint32_t i = 0; i < stage->reductions.count; i++)
        cuda_accumulate(p, p->results[number][i], &stage->reductions.at[i]);
    if (stage->stores.count) cuda_stores(p, stage);
    while (blocks--) cuda_close(p);
    print_folds(row, number);
}

/* ---- rows and columns ---- */

static uint32_t all_used_axes(const CudaPrinter *p) {
    uint32_t used = 0;
    for (uint32_t s = 0; s < p->kernel->stages.count; s++)
        used |= cuda_stage_axes(p, &p->kernel->stages.at[s]);
    return used;
}

/* The row's axes, of `per_block` rows in a block, of which the thread has number `slot`. */
static const char *print_outer_axes(CudaPrinter *p, uint32_t per_block, const char *slot) {
    AxisSet outer = axes_of_set(p, (1u << p->kernel->outer_count) - 1);
    const char *number = per_block == 1
                             ? "blockIdx.x"
                             : arena_printf(p->arena, "blockIdx.x * %u + %s", per_block, slot);
    if (per_block > 1 && integer_type(outer.points)[0] == 'l')
        number = arena_printf(p->arena, "blockIdx.x * %ull + %s", per_block, slot);
    bool tail = outer.points % per_block != 0;
    if (tail) cuda_line(p, "const bool here = %s < %" PRId64 ";\n", number, outer.points);
    if (tail) number = arena_printf(p->arena, "here ? %s : %" PRId64, number, outer.points - 1);
    if (outer.count == 1) {
        const char *name = axis_name(p, outer.at[0]);
        if (all_used_axes(p) >> outer.at[0] & 1)
            cuda_line(p, "const %s %s = %s;\n", integer_type(outer.points), name, number);
    } else if (outer.count) {
        cuda_line(p, "const %s row = %s;\n", integer_type(outer.points), number);
        print_axes(p, &outer, "row", all_used_axes(p));
    }
    return tail ? "here" : "";
}

/* A row of each of the kernel's own buffers per row of the block. */
static void print_locals(CudaPrinter *p, uint32_t rows, const char *slot) {
    for (uint32_t i = 0; i < p->kernel->locals.count; i++) {
        const Buffer *local = p->kernel->locals.at[i];
        const char *name = cuda_buffer(p, local), *type = cuda_type(local->elem, true);
        if (rows == 1) {
            cuda_line(p, "__shared__ %s %s[%" PRId64 "];\n", type, name, local->count);
            continue;
        }
        cuda_line(p, "__shared__ %s %s_rows[%u][%" PRId64 "];\n", type, name, rows, local->count);
        cuda_line(p, "%s *const %s = %s_rows[%s];\n", type, name, name, slot);
    }
}

static void print_rows(CudaPrinter *p) {
    const GpuSchedule *gpu = &p->kernel->gpu;
    bool columns = gpu->form == GPU_COLUMNS;
    uint32_t rows = gpu->threads / gpu->row_threads;
    uint32_t apart = columns ? rows : gpu->row_threads; /* threads of the block, two ways */
    const char *fast = arena_printf(p->arena, "threadIdx.x %% %u", apart);
    const char *slow = arena_printf(p->arena, "threadIdx.x / %u", apart);
    const char *slot = columns ? fast : slow, *lane = columns ? slow : fast;
    if (rows == 1) lane = "threadIdx.x";
    if (gpu->row_threads == 1) slot = "threadIdx.x";
    Row row = {p, gpu->row_threads == 1 ? "0" : columns ? "group" : "lane", "", gpu->row_threads};
    if (gpu->row_threads > 1) cuda_line(p, "const int %s = %s;\n", row.lane, lane);
    row.here = print_outer_axes(p, rows, slot);
    print_locals(p, rows, slot);
    for (uint32_t s = 0; s < p->kernel->stages.count; s++) print_row_stage(&row, s);
}

/* ---- points ---- */

/* A loop over the thread's points, a block's threads apart, or the one point; how many blocks. */
static uint32_t open_shared_points(CudaPrinter *p, const AxisSet *axes, uint32_t used) {
    const GpuSchedule *gpu = &p->kernel->gpu;
    const char *type = integer_type(axes->points), *wide = *type == 'l' ? "ll" : "";
    const char *name = axes->count == 1 ? axis_name(p, axes->at[0]) : "point";
    int64_t per_block = (int64_t)gpu->threads * gpu->points;
    const char *number = "threadIdx.x";
    if (gpu->blocks > 1)
        number =
            arena_printf(p->arena, "blockIdx.x * %" PRId64 "%s + threadIdx.x", per_block, wide);
    bool loop = gpu->points > 1, tail = axes->points != per_block * gpu->blocks;
    bool several = p->kernel->stages.count > 1; /* each has an axis of the same name */
    if (loop && gpu->points <= MOST_UNROLLED) cuda_line(p, "#pragma unroll\n");
    if (loop) {
        cuda_open(p, "for (int pass = 0; pass < %u; pass++)", gpu->points);
        cuda_line(p, "const %s %s = %s + pass * %u;\n", type, name, number, gpu->threads);
        if (tail) cuda_line(p, "if (%s >= %" PRId64 ") break;\n", name, axes->points);
    } else {
        if (several) cuda_open(p, "%s", "");
        cuda_line(p, "const %s %s = %s;\n", type, name, number);
        if (tail) cuda_open(p, "if (%s < %" PRId64 ")", name, axes->points);
    }
    if (axes->count > 1) print_axes(p, axes, "point", used);
    return loop ? 1 : (uint32_t)several + tail;
}

static void print_shared_stage(CudaPrinter *p, const Stage *stage) {
    uint32_t set = ((1u << p->kernel->outer_count) - 1) | stage->inner, blocks = 1;
    AxisSet axes = axes_of_set(p, set);
    cuda_begin_stage(p, stage);
    if (axes.count) {
        hoist_stage(p, stage, set);
        blocks = open_shared_points(p, &axes, cuda_stage_axes(p, stage));
    } else if (p->kernel->gpu.blocks > 1) {
        cuda_open(p, "if (blockIdx.x == 0 && threadIdx.x == 0)");
    } else {
        cuda_open(p, "if (threadIdx.x == 0)");
    }
    cuda_stores(p, stage);
    while (blocks--) cuda_close(p);
}

static void print_points(CudaPrinter *p) {
    const Row row = {p, "threadIdx.x", "", p->kernel->gpu.threads};
    for (uint32_t s = 0; s < p->kernel->stages.count; s++) {
        const Stage *stage = &p->kernel->stages.at[s];
        if (stage->reductions.count)
            print_row_stage(&row, s);
        else
            print_shared_stage(p, stage);
    }
}

void cuda_nest(CudaPrinter *p) {
    if (p->kernel->gpu.form == GPU_POINTS)
        print_points(p);
    else
        print_rows(p);
}
