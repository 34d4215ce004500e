/* Contractions on a GPU: a block computes a tile of one outer iteration's result.
 *
 *     for k0 = 0, tile_k, … one step past the end:
 *         next     <- a[m, k], b[k, n] of this step, from global memory into registers
 *         sums     += product of the last step's tiles, from shared memory
 *         tiles    <- next, into the other of two buffers
 *         barrier
 *     epilogue stages on sums, in registers
 *
 * (the register-tiled product of Volkov and Demmel, 2008, with the loads of a step under way while
 * the last one is multiplied). One barrier per step is enough: what a step writes was read in the
 * step before, on the other side of its barrier. The tiles lie in shared memory as [k][m] and
 * [k][n], so that a thread reads its rows and its columns 16 bytes at a time; rows are padded by 16
 * bytes, which spreads the writes of an operand that runs along k over the banks. A plain f32
 * operand that lies in fours is brought 16 bytes at a time. Outside of the result, and past the end
 * of k, the tiles hold 0 and -0: fma(0, -0, sum) is sum, bit for bit.
 *
 * An element is one accumulator, summed over ascending k, as on the CPU. Of the CPU's packing
 * nothing is needed: operands may be any expressions, evaluated as the tile is filled, with
 * neighbouring threads along the axis on which they lie in memory.
 *
 * Expected, not measured: 64 x 64 tiles with 4 x 4 per thread issue 16 multiply-adds to 2 reads of
 * shared memory and about 3 other instructions, 75 % of the peak where every scheduler has 4 warps.
 */
#include "compiler/emit/cuda_printer.h"

#include <assert.h>
#include <inttypes.h>

enum { SHORT_K = 64, RUN_K = 8, UNROLLED = 256, UNROLLED_K = 16 };

static const char UNUSED[] = "[[maybe_unused]] ";

typedef struct {
    CudaPrinter *p;
    const Contraction *shape;
    const GpuSchedule *gpu;
    const char *type, *fma;
    int64_t m, n, k;
    uint32_t pad;          /* elements between rows of a tile: 16 bytes */
    uint32_t down, across; /* threads of a block */
    uint32_t run_m, run_n; /* neighbouring rows and columns of one thread */
    int64_t tiles_m, tiles_n;
} Product;

/* One side of the product, as its tile is filled. */
typedef struct {
    const char *name, *outside; /* "a"; what the tile holds where the operand has no element */
    int value;
    uint32_t axis; /* m or n */
    int64_t extent;
    uint32_t tile;
    bool along_k;    /* neighbouring threads load neighbouring k */
    uint32_t vector; /* elements that a thread loads at once: 4, or 1 */
} Operand;

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

/* Two buffers, or one where k is a single step. */
static bool is_one_step(const Product *product) {
    return product->k <= product->gpu->tile_k;
}

/* ---- which values are known where ---- */

static bool repeats(const Kernel *kernel, uint32_t axes) {
    for (uint32_t i = 0; i < kernel->axis_count; i++)
        if (axes >> i & 1 && kernel->axes[i].extent > 1) return true;
    return false;
}

/* Gives names to the parts of all stages behind the product that do not change with `axes`, here,
 * outside of the loops over them. What a stage stores changes with every axis that repeats. */
static void hoist_stages(CudaPrinter *p, uint32_t axes) {
    if (!repeats(p->kernel, axes)) return;
    for (uint32_t s = 1; s < p->kernel->stages.count; s++) {
        const Stage *stage = &p->kernel->stages.at[s];
        cuda_begin_stage(p, stage);
        for (uint32_t i = 0; i < stage->stores.count; i++)
            cuda_hoist(p, stage->stores.at[i].value, axes);
    }
}

/* ---- places ---- */

/* What the step by step of `fast` moves a place by: along the axis itself, or along a part of it
 * that each step of the axis is a step of. */
static int64_t step_along(const Kernel *kernel, const Affine *at, uint32_t fast) {
    int64_t step = at->coeff[fast];
    for (uint32_t i = kernel->axis_count; i < kernel->axis_count + kernel->part_count; i++)
        if (kernel->axes[i].of == fast + 1 && kernel->axes[i].below == 1) step += at->coeff[i];
    return step;
}

static bool gathers_along(const Kernel *kernel, const Expr *load, uint32_t fast) {
    return load->gather == (int)fast ||
           (load->gather >= 0 && kernel->axes[load->gather].of == fast + 1);
}

/* Does some load under `expr` run along `fast` in memory? */
static bool runs_along(const Kernel *kernel, int expr, uint32_t fast) {
    const Expr *x = &kernel->exprs.at[expr];
    if (x->kind == X_LOAD)
        return step_along(kernel, &x->at, fast) == 1 && !gathers_along(kernel, x, fast);
    for (int i = 0; i < 3; i++)
        if (x->in[i] >= 0 && runs_along(kernel, x->in[i], fast)) return true;
    return false;
}

/* Does axis or part `axis` change within a four of `fast`? */
static bool moves_in_four(const Kernel *kernel, uint32_t axis, uint32_t fast) {
    return axis == fast || (kernel->axes[axis].of == fast + 1 && kernel->axes[axis].below % 4);
}

/* The same value for all of a four of `fast`? */
static bool is_steady(const Kernel *kernel, int expr, uint32_t fast) {
    if (expr < 0) return true;
    const Expr *x = &kernel->exprs.at[expr];
    for (uint32_t i = 0; i < kernel->axis_count + kernel->part_count; i++)
        if (x->at.coeff[i] && moves_in_four(kernel, i, fast)) return false;
    for (int i = 0; i < 3; i++)
        if (!is_steady(kernel, x->in[i], fast)) return false;
    return is_steady(kernel, x->guard, fast) && is_steady(kernel, x->lookup, fast);
}

/* Fours of `fast` lie behind each other, and begin at a multiple of four elements. A part that
 * takes every step of the axis must be whole fours long. */
static bool lies_in_fours(const Kernel *kernel, const Expr *load, uint32_t fast) {
    const Affine *at = &load->at;
    if (step_along(kernel, at, fast) != 1 || at->offset % 4 || kernel->axes[fast].extent % 4)
        return false;
    for (uint32_t i = 0; i < kernel->axis_count + kernel->part_count; i++) {
        const Axis *axis = &kernel->axes[i];
        if (!at->coeff[i] || i == fast) continue;
        bool run = axis->of == fast + 1 && axis->below == 1 && axis->extent % 4 == 0;
        if (!run && (at->coeff[i] % 4 || moves_in_four(kernel, i, fast))) return false;
    }
    return load->lookup < 0 || load->pitch % 4 == 0;
}

/* A load whose elements lie behind each other in fours, 16-byte aligned and inside or outside
 * together. A thread with little to multiply has nothing to gain. */
static bool loads_in_fours(const Product *product, const Operand *operand) {
    const Kernel *kernel = product->p->kernel;
    const Expr *x = &kernel->exprs.at[operand->value];
    uint32_t fast = operand->along_k ? product->shape->k : operand->axis;
    bool plain = x->kind == X_LOAD && x->elem == E_F32 && x->gather < 0 && x->divide <= 1;
    bool worth = product->gpu->thread_m * product->gpu->thread_n >= 4;
    if (!plain || !worth || !kernel_is_aligned(x->buffer)) return false;
    uint32_t tile = operand->along_k ? product->gpu->tile_k : operand->tile;
    return tile % 4 == 0 && lies_in_fours(kernel, x, fast) && is_steady(kernel, x->guard, fast) &&
           is_steady(kernel, x->lookup, fast);
}

static Operand operand_of(const Product *product, bool left) {
    const Contraction *shape = product->shape;
    const Kernel *kernel = product->p->kernel;
    Operand operand = {.name = left ? "a" : "b",
                       .outside = left ? "0" : "-0.0f",
                       .value = left ? shape->a : shape->b,
                       .axis = left ? shape->m : shape->n,
                       .extent = left ? product->m : product->n,
                       .tile = left ? product->gpu->tile_m : product->gpu->tile_n};
    operand.along_k = operand.tile == 1 || (runs_along(kernel, operand.value, shape->k) &&
                                            !runs_along(kernel, operand.value, operand.axis));
    operand.vector = loads_in_fours(product, &operand) ? 4 : 1;
    return operand;
}

/* The thread's element `index` of `count` along one side of the tile: runs of `run` neighbours,
 * `threads` threads apart. */
static const char *place_in_tile(const Product *product, const char *first, const char *index,
                                 uint32_t count, uint32_t run, uint32_t threads) {
    Arena *arena = product->p->arena;
    if (count == 1) return first;
    if (count == run) return arena_printf(arena, "%s + %s", first, index);
    if (run == 1) return arena_printf(arena, "%s + %u * %s", first, threads, index);
    return arena_printf(arena, "%s + %s %% %u + %u * (%s / %u)", first, index, run, run * threads,
                        index, run);
}

static const char *row_of(const Product *product) {
    return place_in_tile(product, "row", "r", product->gpu->thread_m, product->run_m,
                         product->down);
}

static const char *column_of(const Product *product) {
    return place_in_tile(product, "column", "c", product->gpu->thread_n, product->run_n,
                         product->across);
}

void cuda_block_number(CudaPrinter *p, const char *name, int64_t below, int64_t count,
                       uint32_t step) {
    Arena *arena = p->arena;
    const char *down = below == 1 ? "" : arena_printf(arena, " / %" PRId64, below);
    const char *up = step == 1 ? "" : arena_printf(arena, " * %u", step);
    if (count == 1)
        cuda_line(p, "const int %s = 0;\n", name);
    else
        cuda_line(p, "const int %s = blockIdx.x%s %% %" PRId64 "%s;\n", name, down, count, up);
}

/* const int NAME = (warp… * lanes + lane…) * run: the thread's first row or column, where `threads`
 * threads stand along that side. */
static void print_first(CudaPrinter *p, const char *name, const char *warp, const char *lane,
                        uint32_t lanes, uint32_t threads, uint32_t run) {
    bool many = threads > lanes;
    if (many) lane = arena_printf(p->arena, "%s * %u + %s", warp, lanes, lane);
    if (run > 1) lane = arena_printf(p->arena, many ? "(%s) * %u" : "%s * %u", lane, run);
    cuda_line(p, "const int %s = %s;\n", name, lane);
}

/* The thread's place in the tile, the block's, its outer axes. A warp is 8 columns of threads, or
 * as many as there are, by the rest in rows. */
static void print_places(const Product *product) {
    CudaPrinter *p = product->p;
    const GpuSchedule *gpu = product->gpu;
    uint32_t lanes = least(8, product->across);
    if (32 > lanes * product->down) lanes = 32 / product->down;
    uint32_t warps = product->across / lanes;
    const char *warp_row = warps == 1 ? "warp" : arena_printf(p->arena, "warp / %u", warps);
    cuda_line(p, "const int thread = threadIdx.x,%s lane = thread %% 32;\n",
              gpu->threads > 32 ? " warp = thread / 32," : "");
    print_first(p, "row", warp_row, arena_printf(p->arena, "lane / %u", lanes), 32 / lanes,
                product->down, product->run_m);
    print_first(p, "column", arena_printf(p->arena, "warp %% %u", warps),
                arena_printf(p->arena, "lane %% %u", lanes), lanes, product->across,
                product->run_n);
    cuda_block_number(p, "n0", 1, product->tiles_n, gpu->tile_n);
    cuda_block_number(p, "m0", product->tiles_n, product->tiles_m, gpu->tile_m);
    int64_t below = product->tiles_m * product->tiles_n;
    for (uint32_t i = p->kernel->outer_count; i-- > 0;) {
        int64_t extent = p->kernel->axes[i].extent;
        p->axis[i] = extent == 1 ? "0" : arena_printf(p->arena, "outer%u", i);
        if (extent > 1) cuda_block_number(p, p->axis[i], below, extent, 1);
        below *= extent;
    }
}

/* ---- filling the tiles ---- */

static uint32_t fill_loads(const Product *product, const Operand *operand) {
    return operand->tile * product->gpu->tile_k / operand->vector;
}

static uint32_t fill_count(const Product *product, const Operand *operand) {
    uint32_t loads = fill_loads(product, operand), threads = product->gpu->threads;
    return loads > threads ? loads / threads : 1;
}

/* The loop over the elements, or fours of them, that a thread brings: `at` is the number, the fast
 * axis first. */
static void open_fill(const Product *product, const Operand *operand) {
    CudaPrinter *p = product->p;
    uint32_t threads = product->gpu->threads, loads = fill_loads(product, operand);
    cuda_line(p, "#pragma unroll\n");
    cuda_open(p, "for (int r = 0; r < %u; ++r)", fill_count(product, operand));
    if (loads < threads) cuda_open(p, "if (thread < %u)", loads);
    cuda_line(p, "const int at = thread + %u * r;\n", threads);
}

static void close_fill(const Product *product, const Operand *operand) {
    if (fill_loads(product, operand) < product->gpu->threads) cuda_close(product->p);
    cuda_close(product->p);
}

/* The element's place across and along k, from `at`. Along k in runs of 8: 32 bytes are a sector of
 * memory, and 8 k by 4 rows go to different banks. */
static const char *fill_place(const Product *product, const Operand *operand, bool k) {
    Arena *arena = product->p->arena;
    uint32_t tile = operand->tile, run = least(RUN_K, product->gpu->tile_k);
    uint32_t vector = operand->vector, loads = (operand->along_k ? run : tile) / vector;
    bool fast = k == operand->along_k;
    const char *each = vector > 1 && fast ? arena_printf(arena, " * %u", vector) : "";
    if (!operand->along_k) return arena_printf(arena, "at %s %u%s", k ? "/" : "%", loads, each);
    if (run == product->gpu->tile_k)
        return arena_printf(arena, "at %s %u%s", k ? "%" : "/", loads, each);
    if (!k) return arena_printf(arena, "at / %u %% %u", loads, tile);
    return arena_printf(arena, "at / %u * %u + at %% %u%s", loads * tile, run, loads, each);
}

/* "m < 100 && k < 784", where the tiles reach beyond the operand; else "". */
static const char *inside(const Product *product, const Operand *operand) {
    Arena *arena = product->p->arena;
    bool across = operand->extent % operand->tile != 0, k = product->k % product->gpu->tile_k != 0;
    const char *name = product->p->axis[operand->axis];
    const char *first = across ? arena_printf(arena, "%s < %" PRId64, name, operand->extent) : "";
    const char *second = k ? arena_printf(arena, "k < %" PRId64, product->k) : "";
    return arena_printf(arena, "%s%s%s", first, across && k ? " && " : "", second);
}

static const char *four(const CudaPrinter *p, const char *one) {
    return arena_printf(p->arena, "make_float4(%s, %s, %s, %s)", one, one, one, one);
}

static const char *outside(const Product *product, const Operand *operand) {
    return operand->vector == 1 ? operand->outside : four(product->p, operand->outside);
}

static const char *load_text(const Product *product, const Operand *operand) {
    CudaPrinter *p = product->p;
    const Expr *x = &p->kernel->exprs.at[operand->value];
    if (operand->vector == 1) return cuda_value(p, operand->value);
    if (x->guard >= 0) cuda_line(p, "const bool seen = %s;\n", cuda_value(p, x->guard));
    const char *value = arena_printf(p->arena, "*(const float4 *)(%s + %s)",
                                     cuda_buffer(p, x->buffer), cuda_place(p, x));
    if (x->guard < 0) return value;
    return arena_printf(p->arena, "seen ? %s : %s", value, four(p, "0.0f"));
}

/* const int NAME = k / 48 % 3, for the parts that the operand looks at. The outermost one needs no
 * rest, a part of one step no division. */
static void print_parts(const Product *product, const Operand *operand) {
    CudaPrinter *p = product->p;
    const Kernel *kernel = p->kernel;
    for (uint32_t i = kernel->axis_count; i < kernel->axis_count + kernel->part_count; i++) {
        const Axis *part = &kernel->axes[i];
        if (!(p->axes_of[operand->value] >> i & 1)) continue;
        p->axis[i] = part->extent == 1 ? "0" : p->part_names[i - kernel->axis_count];
        if (part->extent == 1) continue;
        const char *down =
            part->below == 1 ? "" : arena_printf(p->arena, " / %" PRId64, part->below);
        bool last = part->below * part->extent >= kernel->axes[part->of - 1].extent;
        const char *rest = last ? "" : arena_printf(p->arena, " %% %" PRId64, part->extent);
        cuda_line(p, "const int %s = %s%s%s;\n", p->axis[i], p->axis[part->of - 1], down, rest);
    }
}

static void print_load(const Product *product, const Operand *operand) {
    CudaPrinter *p = product->p;
    const char *axis = operand->axis == product->shape->m ? "m" : "n";
    open_fill(product, operand);
    p->axis[operand->axis] = axis;
    p->axis[product->shape->k] = "k";
    bool used = operand->extent > 1 && product->k > 1; /* nothing runs along an axis of 1 */
    cuda_line(p, "%sconst int %s = %s0 + %s, k = k0 + %s;\n", used ? "" : UNUSED, axis, axis,
              fill_place(product, operand, false), fill_place(product, operand, true));
    const char *condition = inside(product, operand);
    if (*condition) {
        cuda_line(p, "%s_next[r] = %s;\n", operand->name, outside(product, operand));
        cuda_open(p, "if (%s)", condition);
    }
    print_parts(product, operand);
    const char *value = load_text(product, operand);
    cuda_line(p, "%s_next[r] = %s;\n", operand->name, value);
    if (*condition) cuda_close(p);
    close_fill(product, operand);
}

static void print_fill(const Product *product, const Operand *operand) {
    static const char parts[] = "xyzw";
    CudaPrinter *p = product->p;
    const char *name = operand->name, *half = is_one_step(product) ? "0" : "half";
    const char *k = fill_place(product, operand, true), *at = fill_place(product, operand, false);
    open_fill(product, operand);
    if (operand->vector == 1)
        cuda_line(p, "%s_tile[%s][%s][%s] = %s_next[r];\n", name, half, k, at, name);
    else if (!operand->along_k)
        cuda_line(p, "*(float4 *)&%s_tile[%s][%s][%s] = %s_next[r];\n", name, half, k, at, name);
    for (uint32_t i = 0; i < 4 && operand->vector > 1 && operand->along_k; i++)
        cuda_line(p, "%s_tile[%s][%s + %u][%s] = %s_next[r].%c;\n", name, half, k, i, at, name,
                  parts[i]);
    close_fill(product, operand);
}

/* ---- multiplying ---- */

static void print_read(const Product *product, const char *name, const char *index, uint32_t count,
                       const char *place) {
    CudaPrinter *p = product->p;
    cuda_line(p, "#pragma unroll\n");
    cuda_line(p, "for (int %s = 0; %s < %u; ++%s) %s[%s] = %s_tile[%s][i][%s];\n", index, index,
              count, index, name, index, name, is_one_step(product) ? "0" : "half ^ 1", place);
}

static void print_multiply(const Product *product) {
    CudaPrinter *p = product->p;
    const GpuSchedule *gpu = product->gpu;
    /* enough to hide the reads; more would only keep more of them in registers */
    cuda_line(p, "#pragma unroll %u\n",
              least(least(gpu->tile_k, UNROLLED_K), UNROLLED / (gpu->thread_m * gpu->thread_n)));
    cuda_open(p, "for (int i = 0; i < %u; ++i)", gpu->tile_k);
    cuda_line(p, "%s a[%u], b[%u];\n", product->type, gpu->thread_m, gpu->thread_n);
    print_read(product, "a", "r", gpu->thread_m, row_of(product));
    print_read(product, "b", "c", gpu->thread_n, column_of(product));
    cuda_line(p, "#pragma unroll\n");
    cuda_open(p, "for (int r = 0; r < %u; ++r)", gpu->thread_m);
    cuda_line(p, "#pragma unroll\n");
    cuda_line(p, "for (int c = 0; c < %u; ++c) sums[r][c] = %s(a[r], b[c], sums[r][c]);\n",
              gpu->thread_n, product->fma);
    cuda_close(p);
    cuda_close(p);
}

static void print_next(const Product *product, const Operand *operand) {
    cuda_line(product->p, "%s %s_next[%u];\n", operand->vector > 1 ? "float4" : product->type,
              operand->name, fill_count(product, operand));
}

static void print_steps(const Product *product) {
    CudaPrinter *p = product->p;
    const Operand a = operand_of(product, true), b = operand_of(product, false);
    uint32_t tile_k = product->gpu->tile_k;
    int64_t end = ceil_div(product->k, tile_k) * tile_k;
    const Contraction *shape = product->shape;
    cuda_begin_stage(p, &p->kernel->stages.at[0]);
    cuda_hoist(p, a.value, 1u << shape->m | 1u << shape->k);
    cuda_hoist(p, b.value, 1u << shape->k | 1u << shape->n);
    cuda_open(p, "for (int k0 = 0; k0 <= %" PRId64 "; k0 += %u)", end, tile_k);
    print_next(product, &a);
    print_next(product, &b);
    if (!is_one_step(product)) cuda_line(p, "const int half = k0 / %u %% 2;\n", tile_k);
    cuda_open(p, "if (k0 < %" PRId64 ")", end);
    print_load(product, &a);
    print_load(product, &b);
    cuda_close(p);
    cuda_open(p, "if (k0 > 0)");
    print_multiply(product);
    cuda_close(p);
    cuda_open(p, "if (k0 < %" PRId64 ")", end);
    print_fill(product, &a);
    print_fill(product, &b);
    cuda_close(p);
    cuda_line(p, "__syncthreads();\n");
    cuda_close(p);
}

/* ---- the epilogue ---- */

/* "for" over the thread's elements along one side; `name` is m or n. */
static void open_side(const Product *product, uint32_t axis, const char *name, const char *index,
                      uint32_t count, const char *place) {
    CudaPrinter *p = product->p;
    cuda_line(p, "#pragma unroll\n");
    cuda_open(p, "for (int %s = 0; %s < %u; ++%s)", index, index, count, index);
    bool used = p->kernel->axes[axis].extent > 1;
    cuda_line(p, "%sconst int %s = %s0 + %s;\n", used ? "" : UNUSED, name, name, place);
    p->axis[axis] = name;
}

/* Opens nothing where all tiles are whole. */
static uint32_t open_inside(CudaPrinter *p, const char *name, int64_t extent, uint32_t tile) {
    if (extent % tile == 0) return 0;
    cuda_open(p, "if (%s < %" PRId64 ")", name, extent);
    return 1;
}

/* Columns outside, rows inside: what changes with the column alone, a bias, is read once. */
static void print_epilogue(const Product *product) {
    CudaPrinter *p = product->p;
    const GpuSchedule *gpu = product->gpu;
    const Contraction *shape = product->shape;
    hoist_stages(p, 1u << shape->m | 1u << shape->n);
    open_side(product, shape->n, "n", "c", gpu->thread_n, column_of(product));
    uint32_t opened = 2 + open_inside(p, "n", product->n, gpu->tile_n);
    hoist_stages(p, 1u << shape->m);
    open_side(product, shape->m, "m", "r", gpu->thread_m, row_of(product));
    opened += open_inside(p, "m", product->m, gpu->tile_m);
    p->results[0][0] = "sums[r][c]";
    for (uint32_t s = 1; s < p->kernel->stages.count; s++) cuda_stores(p, &p->kernel->stages.at[s]);
    while (opened--) cuda_close(p);
}

/* ---- the kernel ---- */

static Product product_of(CudaPrinter *p) {
    const Kernel *kernel = p->kernel;
    const Contraction *shape = kernel->stages.at[0].contraction;
    const GpuSchedule *gpu = &kernel->gpu;
    Elem elem = kernel->exprs.at[shape->a].elem;
    uint32_t vector = 16 / elem_bytes(elem);
    Product product = {.p = p,
                       .shape = shape,
                       .gpu = gpu,
                       .type = cuda_type(elem, false),
                       .fma = elem == E_F32 ? "fmaf" : "fma",
                       .m = kernel->axes[shape->m].extent,
                       .n = kernel->axes[shape->n].extent,
                       .k = kernel->axes[shape->k].extent,
                       .pad = vector,
                       .down = gpu->tile_m / gpu->thread_m,
                       .across = gpu->tile_n / gpu->thread_n,
                       .run_m = least(vector, gpu->thread_m)};
    /* neighbouring columns make reads of the tile short, columns apart the stores of the result */
    product.run_n = product.k < SHORT_K ? 1 : least(vector, gpu->thread_n);
    product.tiles_m = ceil_div(product.m, gpu->tile_m);
    product.tiles_n = ceil_div(product.n, gpu->tile_n);
    return product;
}

void cuda_contract(CudaPrinter *p) {
    assert(p->kernel->gpu.form == GPU_CONTRACT);
    const Product product = product_of(p);
    const GpuSchedule *gpu = product.gpu;
    uint32_t buffers = is_one_step(&product) ? 1 : 2;
    cuda_line(p, "__shared__ __align__(16) %s a_tile[%u][%u][%u];\n", product.type, buffers,
              gpu->tile_k, gpu->tile_m + product.pad);
    cuda_line(p, "__shared__ __align__(16) %s b_tile[%u][%u][%u];\n", product.type, buffers,
              gpu->tile_k, gpu->tile_n + product.pad);
    print_places(&product);
    cuda_line(p, "%s sums[%u][%u] = {};\n", product.type, gpu->thread_m, gpu->thread_n);
    print_steps(&product);
    print_epilogue(&product);
}
