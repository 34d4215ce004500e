/* Planes on a GPU: a block takes tile_m rows of one outer iteration through all of n.
 *
 *     for each pass:  for n0 = 0, tile_n, …
 *         leaves      <- a[m, k] b[n, k], slices of k through shared memory, 4 x 4 in registers
 *         running max <- an online pass: over the threads of a row, in halves; sums so far shrink
 *         scores      <- the values of each sink, from registers into shared memory
 *         sums        += scores * b[n, e], slices of n through shared memory
 *
 * (FlashAttention, Dao et al. 2022 and 2023, as loops in the manner of cuda_contract.c). A row
 * belongs to row_threads neighbours of one warp; each adds up its own columns in ascending order,
 * and its neighbours' are folded in halves when the pass is over. A thread keeps its part of the
 * sums of its rows, over all of n, in registers; so what an online pass has to shrink is its own.
 *
 * Where all of a row was -inf so far, the running maximum counts as 0: then exp(-inf - 0) is 0, as
 * it will be when the row ends otherwise. */
#include <assert.h>
#include <inttypes.h>

#include "compiler/emit/cuda_printer.h"

enum { RUN_K = 8, UNROLLED = 128 };

typedef struct {
    CudaPrinter *p;
    const Plane *plane;
    const GpuSchedule *gpu;
    Elem elem;
    const char *type, *fma, *zero;
    int64_t m, n;
    uint32_t vector, pad; /* elements of 16 bytes: of the longest run, between rows of a tile */
    bool *used;           /* per expression: by the pass at hand */
} Attention;

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* Steps of a loop over `count` that are unrolled: a power of two, for about UNROLLED multiply-adds.
 */
static uint32_t unrolled(uint32_t count, uint32_t products) {
    uint32_t steps = 1;
    while (2 * steps <= count && 2 * steps * products <= UNROLLED) steps *= 2;
    return steps;
}

static const PlanePass *pass_at(const Attention *t, uint32_t pass) {
    return &t->plane->passes.at[pass];
}

static int64_t extent_of(const Attention *t, uint32_t axis) {
    return t->p->kernel->axes[axis].extent;
}

/* ---- names ---- */

static const char *row_name(const Attention *t, uint32_t pass, uint32_t word) {
    return arena_printf(t->p->arena, "p%u_r%u", pass, word);
}

static const char *sum_name(const Attention *t, uint32_t pass, uint32_t word) {
    return arena_printf(t->p->arena, "p%u_s%u", pass, word);
}

/* Elements of a sum that a thread has per row, and how many of them lie together. */
static uint32_t sum_count(const Attention *t, const PlaneSink *sink) {
    return (uint32_t)ceil_div(extent_of(t, sink->e), t->gpu->row_threads);
}

static uint32_t sum_run(const Attention *t, const PlaneSink *sink) {
    uint32_t run = t->vector, count = sum_count(t, sink);
    while (count % run) run /= 2;
    return run;
}

/* The place of a thread's element `c` along e. */
static const char *sum_place(const Attention *t, const PlaneSink *sink) {
    Arena *arena = t->p->arena;
    uint32_t count = sum_count(t, sink), run = sum_run(t, sink), threads = t->gpu->row_threads;
    if (count == 1) return "lane";
    if (run == 1) return arena_printf(arena, "lane + %u * c", threads);
    if (count == run) return arena_printf(arena, "%u * lane + c", run);
    return arena_printf(arena, "%u * lane + c %% %u + %u * (c / %u)", run, run, run * threads, run);
}

/* Says how to write every leaf, row and sum where `kinds` are at hand, in the block that is open.
 */
static void give_names(const Attention *t, bool leaves, int online) {
    CudaPrinter *p = t->p;
    for (uint32_t e = 0; e < p->kernel->exprs.count; e++) {
        const Expr *x = &p->kernel->exprs.at[e];
        const char *name = NULL;
        if (x->kind == X_LEAF && leaves)
            name = arena_printf(p->arena, "leaf%u[r][c]", x->index);
        else if (x->kind == X_ROW && (int)x->index == online && x->word == 0)
            name = "most";
        else if (x->kind == X_ROW)
            name = arena_printf(p->arena, "%s[r]", row_name(t, x->index, x->word));
        else if (x->kind == X_SUM && !leaves)
            name = arena_printf(p->arena, "%s[r][c]", sum_name(t, x->index, x->word));
        if (!name) continue;
        p->names[e] = name;
        p->depth_of[e] = p->depth;
    }
}

/* ---- loops ---- */

static void open_unrolled(CudaPrinter *p, const char *index, uint32_t count) {
    cuda_line(p, "#pragma unroll\n");
    cuda_open(p, "for (int %s = 0; %s < %u; ++%s)", index, index, count, index);
}

/* The rows of the thread; those behind the last one are left out. How many blocks that opens. */
static uint32_t open_rows(const Attention *t) {
    CudaPrinter *p = t->p;
    open_unrolled(p, "r", t->gpu->thread_m);
    cuda_line(p, "[[maybe_unused]] const int m = m0 + row%s;\n",
              t->gpu->thread_m > 1 ? " + r" : "");
    p->axis[t->plane->m] = t->m == 1 ? "0" : "m";
    if (t->m % t->gpu->tile_m == 0) return 1;
    cuda_open(p, "if (m < %" PRId64 ")", t->m);
    return 2;
}

static uint32_t open_columns(const Attention *t) {
    CudaPrinter *p = t->p;
    uint32_t count = t->gpu->thread_n;
    open_unrolled(p, "c", count);
    const char *place = count == 1 ? "lane" : arena_printf(p->arena, "%u * lane + c", count);
    cuda_line(p, "[[maybe_unused]] const int n = n0 + %s;\n", place);
    p->axis[t->plane->n] = t->n == 1 ? "0" : "n";
    if (t->n % t->gpu->tile_n == 0) return 1;
    cuda_open(p, "if (n < %" PRId64 ")", t->n);
    return 2;
}

static void close_blocks(CudaPrinter *p, uint32_t count) {
    while (count--) cuda_close(p);
}

/* ---- slices in shared memory ---- */

/* What fills a slice: `count` places along axis (m or n) by `inner_count` of inner (k or e), as
 * [inner][axis] if `across`, else [axis][inner]. */
typedef struct {
    const char *name;
    int value;
    uint32_t axis, inner;
    const char *at, *inner_at;          /* first places */
    const char *axis_name, *inner_name; /* "m", "k" */
    uint32_t count, inner_count;
    bool across, along_inner; /* along_inner: neighbouring threads load neighbours of inner */
    uint32_t vector;
} Slice;

static bool is_four(const Attention *t, const Slice *slice) {
    const Kernel *kernel = t->p->kernel;
    const Expr *x = &kernel->exprs.at[slice->value];
    uint32_t fast = slice->along_inner ? slice->inner : slice->axis;
    uint32_t count = slice->along_inner ? slice->inner_count : slice->count;
    bool plain = x->kind == X_LOAD && x->elem == E_F32 && x->gather < 0 && x->guard < 0 &&
                 x->lookup < 0 && x->divide <= 1;
    if (!plain || x->at.coeff[fast] != 1 || x->at.offset % 4 || !kernel_is_aligned(x->buffer))
        return false;
    for (uint32_t i = 0; i < kernel->axis_count; i++)
        if (i != fast && x->at.coeff[i] % 4) return false;
    return kernel->axes[fast].extent % 4 == 0 && count % 4 == 0;
}

static void choose_loads(const Attention *t, Slice *slice) {
    const Expr *x = &t->p->kernel->exprs.at[slice->value];
    slice->along_inner =
        !(x->kind == X_LOAD && x->at.coeff[slice->axis] == 1 && x->at.coeff[slice->inner] != 1);
    slice->vector = is_four(t, slice) ? 4 : 1;
}

/* Along an axis that the slice is not laid out along, in runs of 8: 32 bytes are a sector of
 * memory, and 8 by 4 rows go to different banks. */
static void print_slice_place(const Attention *t, const Slice *slice) {
    CudaPrinter *p = t->p;
    Arena *arena = p->arena;
    uint32_t vector = slice->vector;
    uint32_t fast_count = slice->along_inner ? slice->inner_count : slice->count;
    uint32_t slow_count = slice->along_inner ? slice->count : slice->inner_count;
    bool runs = slice->along_inner == slice->across && fast_count % RUN_K == 0;
    uint32_t run = (runs ? RUN_K : fast_count) / vector;
    const char *each = vector > 1 ? arena_printf(arena, " * %u", vector) : "";
    const char *fast = arena_printf(arena, "at %% %u%s", run, each);
    const char *slow = arena_printf(arena, "at / %u", run);
    if (run * vector < fast_count) {
        slow = arena_printf(arena, "at / %u %% %u", run, slow_count);
        fast = arena_printf(arena, "%s + at / %u * %u", fast, run * slow_count, run * vector);
    }
    cuda_line(p, "const int i = %s, j = %s;\n", slice->along_inner ? slow : fast,
              slice->along_inner ? fast : slow);
    const char *inner = strcmp(slice->inner_at, "0") ? slice->inner_at : "";
    cuda_line(p, "[[maybe_unused]] const int %s = %s + i, %s = %s%sj;\n", slice->axis_name,
              slice->at, slice->inner_name, inner, *inner ? " + " : "");
    p->axis[slice->axis] = extent_of(t, slice->axis) == 1 ? "0" : slice->axis_name;
    p->axis[slice->inner] = extent_of(t, slice->inner) == 1 ? "0" : slice->inner_name;
}

static const char *slice_condition(const Attention *t, const Slice *slice) {
    Arena *arena = t->p->arena;
    int64_t extent = extent_of(t, slice->axis), inner = extent_of(t, slice->inner);
    bool first = extent % slice->count, second = inner % slice->inner_count;
    const char *a = first ? arena_printf(arena, "%s < %" PRId64, slice->axis_name, extent) : "";
    const char *b = second ? arena_printf(arena, "%s < %" PRId64, slice->inner_name, inner) : "";
    return arena_printf(arena, "%s%s%s", a, first && second ? " && " : "", b);
}

/* One after the other, where a four lies across the slice. */
static void print_slice_store(const Attention *t, const Slice *slice) {
    static const char parts[] = "xyzw";
    CudaPrinter *p = t->p;
    bool scattered = slice->vector > 1 && slice->along_inner == slice->across;
    const char *first = slice->across ? "j" : "i", *second = slice->across ? "i" : "j";
    for (uint32_t i = 0; i < 4 && scattered; i++)
        cuda_line(p, slice->across ? "%s[j + %u][i] = next.%c;\n" : "%s[i + %u][j] = next.%c;\n",
                  slice->name, i, parts[i]);
    if (scattered) return;
    if (slice->vector > 1)
        cuda_line(p, "*(float4 *)&%s[%s][%s] = next;\n", slice->name, first, second);
    else
        cuda_line(p, "%s[%s][%s] = next;\n", slice->name, first, second);
}

static void print_slice_load(const Attention *t, const Slice *slice) {
    CudaPrinter *p = t->p;
    const Expr *x = &p->kernel->exprs.at[slice->value];
    const char *condition = slice_condition(t, slice);
    bool four = slice->vector > 1;
    if (*condition) {
        const char *zero = t->zero;
        if (four)
            zero = arena_printf(p->arena, "make_float4(%s, %s, %s, %s)", zero, zero, zero, zero);
        cuda_line(p, "%s next = %s;\n", four ? "float4" : t->type, zero);
        cuda_open(p, "if (%s)", condition);
    }
    const char *value = four ? arena_printf(p->arena, "*(const float4 *)(%s + %s)",
                                            cuda_buffer(p, x->buffer), cuda_place(p, x))
                             : cuda_value(p, slice->value);
    if (*condition) {
        cuda_line(p, "next = %s;\n", value);
        cuda_close(p);
    } else {
        cuda_line(p, "const %s next = %s;\n", four ? "float4" : t->type, value);
    }
}

static void print_slice(const Attention *t, Slice slice) {
    CudaPrinter *p = t->p;
    choose_loads(t, &slice);
    uint32_t loads = slice.count * slice.inner_count / slice.vector, threads = t->gpu->threads;
    cuda_line(p, "#pragma unroll\n");
    cuda_open(p, "for (int r = 0; r < %" PRId64 "; ++r)", ceil_div(loads, threads));
    cuda_line(p, "const int at = thread + %u * r;\n", threads);
    if (loads % threads) cuda_open(p, "if (at < %u)", loads);
    print_slice_place(t, &slice);
    print_slice_load(t, &slice);
    print_slice_store(t, &slice);
    if (loads % threads) cuda_close(p);
    cuda_close(p);
}

/* ---- leaves ---- */

static void print_leaf_product(const Attention *t, uint32_t number) {
    CudaPrinter *p = t->p;
    const GpuSchedule *gpu = t->gpu;
    cuda_line(p, "#pragma unroll %u\n", unrolled(gpu->tile_k, gpu->thread_m * gpu->thread_n));
    cuda_open(p, "for (int i = 0; i < %u; ++i)", gpu->tile_k);
    cuda_line(p, "%s a[%u], b[%u];\n", t->type, gpu->thread_m, gpu->thread_n);
    cuda_line(p, "#pragma unroll\n");
    cuda_line(p, "for (int r = 0; r < %u; ++r) a[r] = a_slice[i][row + r];\n", gpu->thread_m);
    cuda_line(p, "#pragma unroll\n");
    cuda_line(p, "for (int c = 0; c < %u; ++c) b[c] = b_slice[i][%u * lane + c];\n", gpu->thread_n,
              gpu->thread_n);
    open_unrolled(p, "r", gpu->thread_m);
    cuda_line(p, "#pragma unroll\n");
    cuda_line(p, "for (int c = 0; c < %u; ++c) leaf%u[r][c] = %s(a[r], b[c], leaf%u[r][c]);\n",
              gpu->thread_n, number, t->fma, number);
    cuda_close(p);
    cuda_close(p);
}

static void print_leaf(const Attention *t, uint32_t number) {
    CudaPrinter *p = t->p;
    const GpuSchedule *gpu = t->gpu;
    const PlaneLeaf *leaf = &t->plane->leaves.at[number];
    int64_t k = extent_of(t, leaf->k);
    bool loop = k > gpu->tile_k;
    cuda_line(p, "%s leaf%u[%u][%u] = {};\n", t->type, number, gpu->thread_m, gpu->thread_n);
    if (loop)
        cuda_open(p, "for (int k0 = 0; k0 < %" PRId64 "; k0 += %u)", k, gpu->tile_k);
    else
        cuda_open(p, "%s", "");
    const char *k0 = loop ? "k0" : "0";
    cuda_line(p, "__syncthreads();  // the slices are free\n");
    print_slice(t, (Slice){"a_slice", leaf->a, t->plane->m, leaf->k, "m0", k0, "m", "k",
                           gpu->tile_m, gpu->tile_k, true, false, 1});
    print_slice(t, (Slice){"b_slice", leaf->b, t->plane->n, leaf->k, "n0", k0, "n", "k",
                           gpu->tile_n, gpu->tile_k, true, false, 1});
    cuda_line(p, "__syncthreads();\n");
    print_leaf_product(t, number);
    cuda_close(p);
}

static bool uses_leaf(const Attention *t, uint32_t number) {
    const Kernel *kernel = t->p->kernel;
    for (uint32_t e = 0; e < kernel->exprs.count; e++)
        if (t->used[e] && kernel->exprs.at[e].kind == X_LEAF && kernel->exprs.at[e].index == number)
            return true;
    return false;
}

/* ---- scores ---- */

/* All that the pass computes at a point: reductions from `first` on, and values of sinks. */
static void hoist_values(const Attention *t, uint32_t pass, uint32_t first, uint32_t last,
                         bool sinks) {
    const PlanePass *at = pass_at(t, pass);
    uint32_t axes = 1u << t->plane->n;
    for (uint32_t i = first; i < last; i++) cuda_hoist(t->p, at->reductions.at[i].value, axes);
    for (uint32_t i = 0; i < at->sinks.count && sinks; i++)
        cuda_hoist(t->p, at->sinks.at[i].value, axes);
}

static void count_values(const Attention *t, uint32_t pass, uint32_t first, uint32_t last,
                         bool sinks) {
    const PlanePass *at = pass_at(t, pass);
    int *values = arena_alloc(t->p->arena, (last + at->sinks.count + 1) * sizeof *values);
    uint32_t count = 0;
    for (uint32_t i = first; i < last; i++) values[count++] = at->reductions.at[i].value;
    for (uint32_t i = 0; i < at->sinks.count && sinks; i++) values[count++] = at->sinks.at[i].value;
    cuda_begin_values(t->p, values, count);
}

static const char *infinity(const Attention *t) {
    return t->elem == E_F32 ? "__int_as_float(0x7f800000)"
                            : "__longlong_as_double(0x7ff0000000000000)";
}

/* The running maximum of each row, and what is known of it so far brought down to that. */
static void print_maximum(const Attention *t, uint32_t pass) {
    CudaPrinter *p = t->p;
    const PlanePass *at = pass_at(t, pass);
    const char *most = row_name(t, pass, 0);
    count_values(t, pass, 0, 1, false);
    open_unrolled(p, "r", t->gpu->thread_m);
    cuda_line(p, "[[maybe_unused]] const int m = m0 + row%s;\n",
              t->gpu->thread_m > 1 ? " + r" : "");
    p->axis[t->plane->m] = t->m == 1 ? "0" : "m";
    cuda_line(p, "%s most = %s[r];\n", t->type, most);
    uint32_t opened = 0;
    if (t->m % t->gpu->tile_m) {
        cuda_open(p, "if (m < %" PRId64 ")", t->m);
        opened++;
    }
    give_names(t, true, -1);
    hoist_values(t, pass, 0, 1, false);
    opened += open_columns(t);
    cuda_accumulate(p, "most", &at->reductions.at[0]);
    close_blocks(p, opened);
    cuda_line(p, "most = %s<%u>(most);\n", cuda_function(p, CUDA_WARP_MAX), t->gpu->row_threads);
    cuda_line(p, "const %s shrink = %s[r] == most ? %s : %s(%s[r] - most);\n", t->type, most,
              t->elem == E_F32 ? "1.0f" : "1.0",
              t->elem == E_F32 ? cuda_function(p, CUDA_EXP) : "exp", most);
    cuda_line(p, "%s[r] = most;\n", most);
    for (uint32_t i = 1; i < at->reductions.count; i++)
        if (at->reductions.at[i].op == OP_SUM)
            cuda_line(p, "%s[r] *= shrink;\n", row_name(t, pass, i));
    for (uint32_t i = 0; i < at->sinks.count; i++) {
        cuda_line(p, "#pragma unroll\n");
        cuda_line(p, "for (int c = 0; c < %u; ++c) %s[r][c] *= shrink;\n",
                  sum_count(t, &at->sinks.at[i]), sum_name(t, pass, i));
    }
    cuda_close(p);
}

/* Adds the thread's own points to its reductions; its values of sinks stay in registers. */
static void print_values(const Attention *t, uint32_t pass) {
    CudaPrinter *p = t->p;
    const PlanePass *at = pass_at(t, pass);
    uint32_t first = at->online ? 1 : 0, last = at->reductions.count;
    for (uint32_t i = 0; i < at->sinks.count; i++)
        cuda_line(p, "%s score%u[%u][%u] = {};\n", t->type, i, t->gpu->thread_m, t->gpu->thread_n);
    if (first == last && !at->sinks.count) return;
    count_values(t, pass, first, last, true);
    uint32_t opened = open_rows(t);
    if (at->online)
        cuda_line(p, "const %s most = %s[r] == -%s ? %s : %s[r];\n", t->type, row_name(t, pass, 0),
                  infinity(t), t->zero, row_name(t, pass, 0));
    give_names(t, true, at->online ? (int)pass : -1);
    hoist_values(t, pass, first, last, true);
    opened += open_columns(t);
    for (uint32_t i = first; i < last; i++)
        cuda_accumulate(p, arena_printf(p->arena, "%s[r]", row_name(t, pass, i)),
                        &at->reductions.at[i]);
    for (uint32_t i = 0; i < at->sinks.count; i++)
        cuda_line(p, "score%u[r][c] = %s;\n", i, cuda_value(p, at->sinks.at[i].value));
    close_blocks(p, opened);
}

/* ---- sinks ---- */

static void print_scores(const Attention *t, uint32_t sink) {
    CudaPrinter *p = t->p;
    open_unrolled(p, "c", t->gpu->thread_n);
    cuda_line(p, "#pragma unroll\n");
    cuda_line(p, "for (int r = 0; r < %u; ++r) scores[%u * lane + c][row + r] = score%u[r][c];\n",
              t->gpu->thread_m, t->gpu->thread_n, sink);
    cuda_close(p);
}

static void print_sink_product(const Attention *t, uint32_t pass, uint32_t number) {
    CudaPrinter *p = t->p;
    const GpuSchedule *gpu = t->gpu;
    const PlaneSink *sink = &pass_at(t, pass)->sinks.at[number];
    uint32_t count = sum_count(t, sink);
    const char *name = sum_name(t, pass, number);
    cuda_line(p, "#pragma unroll %u\n", unrolled(gpu->slice_n, gpu->thread_m * count));
    cuda_open(p, "for (int i = 0; i < %u; ++i)", gpu->slice_n);
    cuda_line(p, "%s a[%u], b[%u];\n", t->type, gpu->thread_m, count);
    cuda_line(p, "#pragma unroll\n");
    cuda_line(p, "for (int r = 0; r < %u; ++r) a[r] = scores[%si][row + r];\n", gpu->thread_m,
              gpu->slice_n < gpu->tile_n ? "i0 + " : "");
    cuda_line(p, "#pragma unroll\n");
    cuda_line(p, "for (int c = 0; c < %u; ++c) b[c] = sink_slice[i][%s];\n", count,
              sum_place(t, sink));
    open_unrolled(p, "r", gpu->thread_m);
    cuda_line(p, "#pragma unroll\n");
    cuda_line(p, "for (int c = 0; c < %u; ++c) %s[r][c] = %s(a[r], b[c], %s[r][c]);\n", count, name,
              t->fma, name);
    cuda_close(p);
    cuda_close(p);
}

static void print_sink(const Attention *t, uint32_t pass, uint32_t number) {
    CudaPrinter *p = t->p;
    const GpuSchedule *gpu = t->gpu;
    const PlaneSink *sink = &pass_at(t, pass)->sinks.at[number];
    bool loop = gpu->slice_n < gpu->tile_n;
    cuda_line(p, "__syncthreads();  // scores and slices are free\n");
    print_scores(t, number);
    if (loop)
        cuda_open(p, "for (int i0 = 0; i0 < %u; i0 += %u)", gpu->tile_n, gpu->slice_n);
    else
        cuda_open(p, "%s", "");
    uint32_t wide = sum_count(t, sink) * gpu->row_threads;
    cuda_line(p, "%s(&sink_slice)[%u][%u] = *(%s(*)[%u][%u])slices;\n", t->type, gpu->slice_n,
              wide + t->pad, t->type, gpu->slice_n, wide + t->pad);
    if (loop) cuda_line(p, "if (i0 > 0) __syncthreads();\n");
    print_slice(t, (Slice){"sink_slice", sink->b, t->plane->n, sink->e, loop ? "n0 + i0" : "n0",
                           "0", "n", "e", gpu->slice_n, wide, false, false, 1});
    cuda_line(p, "__syncthreads();\n");
    print_sink_product(t, pass, number);
    cuda_close(p);
}

/* ---- passes ---- */

static void print_results(const Attention *t, uint32_t pass) {
    CudaPrinter *p = t->p;
    const PlanePass *at = pass_at(t, pass);
    for (uint32_t i = 0; i < at->reductions.count; i++) {
        const char *name = row_name(t, pass, i);
        cuda_line(p, "%s %s[%u];\n", t->type, name, t->gpu->thread_m);
        cuda_line(p, "#pragma unroll\n");
        cuda_line(p, "for (int r = 0; r < %u; ++r) %s[r] = %s;\n", t->gpu->thread_m, name,
                  cuda_identity(at->reductions.at[i].op, t->elem));
    }
    for (uint32_t i = 0; i < at->sinks.count; i++)
        cuda_line(p, "%s %s[%u][%u] = {};\n", t->type, sum_name(t, pass, i), t->gpu->thread_m,
                  sum_count(t, &at->sinks.at[i]));
}

static void print_folds(const Attention *t, uint32_t pass) {
    CudaPrinter *p = t->p;
    const PlanePass *at = pass_at(t, pass);
    for (uint32_t i = at->online ? 1 : 0; i < at->reductions.count; i++) {
        CudaFunction fold = at->reductions.at[i].op == OP_SUM ? CUDA_WARP_SUM : CUDA_WARP_MAX;
        const char *name = row_name(t, pass, i);
        cuda_line(p, "#pragma unroll\n");
        cuda_line(p, "for (int r = 0; r < %u; ++r) %s[r] = %s<%u>(%s[r]);\n", t->gpu->thread_m,
                  name, cuda_function(p, fold), t->gpu->row_threads, name);
    }
}

static void print_tile(const Attention *t, uint32_t pass) {
    const PlanePass *at = pass_at(t, pass);
    for (uint32_t l = 0; l < t->plane->leaves.count; l++)
        if (uses_leaf(t, l)) print_leaf(t, l);
    if (at->online) print_maximum(t, pass);
    print_values(t, pass);
    for (uint32_t i = 0; i < at->sinks.count; i++) print_sink(t, pass, i);
}

/* Tiles that lie behind the mask as a whole: where its form is positive even at the corner where it
 * is least. */
static void print_masked(const Attention *t) {
    CudaPrinter *p = t->p;
    const Affine *beyond = &t->plane->beyond;
    const GpuSchedule *gpu = t->gpu;
    p->axis[t->plane->m] = "m0";
    p->axis[t->plane->n] = "n0";
    if (beyond->coeff[t->plane->m] < 0)
        p->axis[t->plane->m] = arena_printf(p->arena, "(m0 + %u)", gpu->tile_m - 1);
    if (beyond->coeff[t->plane->n] < 0)
        p->axis[t->plane->n] = arena_printf(p->arena, "(n0 + %u)", gpu->tile_n - 1);
    cuda_line(p, "if (%s > 0) continue;  // behind the mask\n", cuda_index(p, beyond, -1));
}

static void print_pass(const Attention *t, uint32_t pass) {
    CudaPrinter *p = t->p;
    uint32_t opened = 1;
    plane_pass_uses(p->kernel, pass, t->used);
    cuda_line(p, "// pass %u%s\n", pass, pass_at(t, pass)->online ? ", online" : "");
    print_results(t, pass);
    for (uint32_t i = 0; i < p->kernel->axis_count; i++) {
        int64_t extent = extent_of(t, i);
        if (!(t->plane->around >> i & 1)) continue;
        p->axis[i] = extent == 1 ? "0" : arena_printf(p->arena, "around%u", i);
        if (extent == 1) continue;
        cuda_open(p, "for (int %s = 0; %s < %" PRId64 "; ++%s)", p->axis[i], p->axis[i], extent,
                  p->axis[i]);
        opened++;
    }
    cuda_open(p, "for (int n0 = 0; n0 < %" PRId64 "; n0 += %u)", t->n, t->gpu->tile_n);
    if (t->plane->masked) print_masked(t);
    print_tile(t, pass);
    close_blocks(p, opened);
    print_folds(t, pass);
}

/* ---- stores ---- */

/* The sink along whose e a store's value or place changes; NULL: it is of rows. */
static const PlaneSink *sink_of(const Attention *t, const Store *store) {
    for (uint32_t p = 0; p < t->plane->passes.count; p++)
        for (uint32_t i = 0; i < pass_at(t, p)->sinks.count; i++) {
            const PlaneSink *sink = &pass_at(t, p)->sinks.at[i];
            if (t->p->axes_of[store->value] >> sink->e & 1) return sink;
        }
    return NULL;
}

static void print_store(const Attention *t, const Store *store) {
    CudaPrinter *p = t->p;
    const PlaneSink *sink = sink_of(t, store);
    cuda_begin_values(p, &store->value, 1);
    uint32_t opened = 0;
    if (!sink) {
        cuda_open(p, "if (lane == 0)");
        opened++;
    }
    opened += open_rows(t);
    give_names(t, false, -1);
    if (sink) {
        cuda_hoist(p, store->value, 1u << sink->e);
        uint32_t count = sum_count(t, sink);
        int64_t extent = extent_of(t, sink->e);
        open_unrolled(p, "c", count);
        cuda_line(p, "[[maybe_unused]] const int e = %s;\n", sum_place(t, sink));
        p->axis[sink->e] = extent == 1 ? "0" : "e";
        opened++;
        if (extent % (count * t->gpu->row_threads)) {
            cuda_open(p, "if (e < %" PRId64 ")", extent);
            opened++;
        }
    }
    cuda_store(p, store);
    close_blocks(p, opened);
}

/* ---- the kernel ---- */

static Attention attention_of(CudaPrinter *p) {
    const Kernel *kernel = p->kernel;
    const Plane *plane = kernel->plane;
    Elem elem = kernel->exprs.at[plane->leaves.at[0].a].elem;
    return (Attention){.p = p,
                       .plane = plane,
                       .gpu = &kernel->gpu,
                       .elem = elem,
                       .type = cuda_type(elem, false),
                       .fma = elem == E_F32 ? "fmaf" : "fma",
                       .zero = elem == E_F32 ? "0.0f" : "0.0",
                       .m = kernel->axes[plane->m].extent,
                       .n = kernel->axes[plane->n].extent,
                       .vector = 16 / elem_bytes(elem),
                       .pad = 16 / elem_bytes(elem),
                       .used = arena_alloc(p->arena, kernel->exprs.count + 1)};
}

static void print_memory(const Attention *t) {
    CudaPrinter *p = t->p;
    const GpuSchedule *gpu = t->gpu;
    uint32_t across_m = gpu->tile_m + t->pad, across_n = gpu->tile_n + t->pad;
    uint32_t scores = gpu->tile_n * across_m;
    uint32_t slices = gpu->shared_bytes / elem_bytes(t->elem) - scores;
    cuda_line(p, "__shared__ __align__(16) %s scores[%u][%u];\n", t->type, gpu->tile_n, across_m);
    cuda_line(p, "__shared__ __align__(16) %s slices[%u];\n", t->type, slices);
    cuda_line(p, "%s(&a_slice)[%u][%u] = *(%s(*)[%u][%u])slices;\n", t->type, gpu->tile_k, across_m,
              t->type, gpu->tile_k, across_m);
    cuda_line(p, "%s(&b_slice)[%u][%u] = *(%s(*)[%u][%u])(slices + %u);\n", t->type, gpu->tile_k,
              across_n, t->type, gpu->tile_k, across_n, gpu->tile_k * across_m);
}

static void print_places(const Attention *t) {
    CudaPrinter *p = t->p;
    const GpuSchedule *gpu = t->gpu;
    int64_t below = ceil_div(t->m, gpu->tile_m);
    cuda_line(p, "const int thread = threadIdx.x, lane = thread %% %u;\n", gpu->row_threads);
    cuda_line(p, "const int row = thread / %u * %u;\n", gpu->row_threads, gpu->thread_m);
    cuda_block_number(p, "m0", 1, below, gpu->tile_m);
    for (uint32_t i = p->kernel->outer_count; i-- > 0;) {
        int64_t extent = extent_of(t, i);
        p->axis[i] = extent == 1 ? "0" : arena_printf(p->arena, "outer%u", i);
        if (extent > 1) cuda_block_number(p, p->axis[i], below, extent, 1);
        below *= extent;
    }
}

void cuda_plane(CudaPrinter *p) {
    assert(p->kernel->gpu.form == GPU_PLANE);
    const Attention t = attention_of(p);
    print_memory(&t);
    print_places(&t);
    for (uint32_t pass = 0; pass < t.plane->passes.count; pass++) print_pass(&t, pass);
    for (uint32_t i = 0; i < t.plane->stores.count; i++) print_store(&t, &t.plane->stores.at[i]);
}
