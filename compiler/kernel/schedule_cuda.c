/* Schedules for a GPU: which points of a kernel a thread has. Static shapes alone decide, and how
 * many threads share a reduction depends on its extent only: fused and unfused kernels fold in the
 * same order. */
#include "compiler/kernel/schedule.h"

#include <assert.h>

enum {
    WARP = 32,
    BLOCK = 256,
    MOST_THREADS = 1024,
    SHARED_BYTES = 48 * 1024, /* static, of a block */
    WARP_ROW = 256,           /* the longest row that a warp takes */
    POINTS_PER_THREAD = 4,    /* at most, where rows or vectors are long */
    COLUMN_POINTS = 16,       /* of a thread, at least, before another one helps */
    MOST_GROUPS = 32
};

static int64_t extent_of(const Kernel *kernel, uint32_t axes) {
    int64_t count = 1;
    for (uint32_t i = 0; i < kernel->axis_count; i++)
        if (axes >> i & 1) count *= kernel->axes[i].extent;
    return count;
}

static uint32_t outer_axes(const Kernel *kernel) {
    return (1u << kernel->outer_count) - 1;
}

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static uint32_t power_from(int64_t count, uint32_t least, uint32_t most) {
    uint32_t power = least;
    while (power < most && power < count) power *= 2;
    return power;
}

static uint32_t power_up_to(int64_t count, uint32_t most) {
    uint32_t power = 1;
    while (2 * power <= most && 2 * (int64_t)power <= count) power *= 2;
    return power;
}

/* The most points of a stage, of those that reduce or of all. */
static int64_t most_points(const Kernel *kernel, bool reducing) {
    int64_t most = 0;
    for (uint32_t s = 0; s < kernel->stages.count; s++) {
        const Stage *stage = &kernel->stages.at[s];
        if (reducing && !stage->reductions.count) continue;
        int64_t points = extent_of(kernel, stage->inner);
        if (points > most) most = points;
    }
    return most;
}

/* ---- shared memory ---- */

/* Of the folds: a place per thread, or per warp, for each kind of reduction. */
static uint32_t fold_bytes(const Kernel *kernel, uint32_t places) {
    uint32_t bytes = 0;
    bool seen[2][E_F64 + 1] = {{false}};
    for (uint32_t s = 0; s < kernel->stages.count; s++)
        for (uint32_t i = 0; i < kernel->stages.at[s].reductions.count; i++) {
            const Reduction *reduction = &kernel->stages.at[s].reductions.at[i];
            Elem elem = kernel->exprs.at[reduction->value].elem;
            bool *kind = &seen[reduction->op == OP_SUM][elem];
            if (!*kind) bytes += places * elem_bytes(elem);
            *kind = true;
        }
    return bytes;
}

static int64_t local_bytes(const Kernel *kernel) {
    int64_t bytes = 0;
    for (uint32_t i = 0; i < kernel->locals.count; i++)
        bytes += kernel->locals.at[i]->count * elem_bytes(kernel->locals.at[i]->elem);
    return bytes;
}

static void replace_operands(Kernel *kernel, int old, int fresh) {
    for (uint32_t e = 0; e < kernel->exprs.count; e++) {
        Expr *x = &kernel->exprs.at[e];
        for (int i = 0; i < 3; i++)
            if (x->in[i] == old) x->in[i] = fresh;
        if (x->guard == old) x->guard = fresh;
        if (x->lookup == old) x->lookup = fresh;
    }
    for (uint32_t s = 0; s < kernel->stages.count; s++) {
        Stage *stage = &kernel->stages.at[s];
        for (uint32_t i = 0; i < stage->reductions.count; i++)
            if (stage->reductions.at[i].value == old) stage->reductions.at[i].value = fresh;
        for (uint32_t i = 0; i < stage->stores.count; i++)
            if (stage->stores.at[i].value == old) stage->stores.at[i].value = fresh;
    }
}

/* Takes the store into `local` away; what was stored. */
static int remove_store(Kernel *kernel, const Buffer *local) {
    for (uint32_t s = 0; s < kernel->stages.count; s++) {
        Stage *stage = &kernel->stages.at[s];
        for (uint32_t i = 0; i < stage->stores.count; i++) {
            if (stage->stores.at[i].buffer != local) continue;
            int value = stage->stores.at[i].value;
            memmove(&stage->stores.at[i], &stage->stores.at[i + 1],
                    (--stage->stores.count - i) * sizeof *stage->stores.at);
            return value;
        }
    }
    assert(!"nothing is stored into a local buffer");
    return -1;
}

/* Rows that find no room in shared memory are computed again where they are read: at the same
 * place, as kernel_verify knows. */
static void recompute_locals(Kernel *kernel) {
    for (uint32_t i = 0; i < kernel->locals.count; i++) {
        int value = remove_store(kernel, kernel->locals.at[i]);
        for (uint32_t e = 0; e < kernel->exprs.count; e++) {
            Expr *x = &kernel->exprs.at[e];
            if (x->kind != X_LOAD || x->buffer != kernel->locals.at[i]) continue;
            replace_operands(kernel, (int)e, value);
            *x = (Expr){.kind = X_CONST, /* of no use to anybody */
                        .elem = x->elem,
                        .in = {-1, -1, -1},
                        .gather = -1,
                        .guard = -1,
                        .lookup = -1};
        }
    }
    kernel->locals.count = 0;
}

/* ---- rows ---- */

/* Rows of a block of about `threads` threads: a number that divides all rows, if one is near. */
static uint32_t rows_per_block(int64_t rows, uint32_t row_threads, uint32_t threads) {
    uint32_t most = threads > row_threads ? threads / row_threads : 1;
    uint32_t unit = row_threads < WARP ? WARP / row_threads : 1;
    if (most > rows) most = (uint32_t)ceil_div(rows, unit) * unit;
    for (uint32_t count = most; 2 * count >= most; count--)
        if (count % unit == 0 && rows % count == 0) return count;
    return most;
}

static void schedule_rows(Kernel *kernel) {
    int64_t rows = extent_of(kernel, outer_axes(kernel)), points = most_points(kernel, true);
    uint32_t threads = points <= WARP_ROW
                           ? power_from(points, 1, WARP)
                           : power_from(ceil_div(points, POINTS_PER_THREAD), 64, MOST_THREADS);
    uint32_t per_block = rows_per_block(rows, threads, BLOCK / 2);
    uint32_t unit = threads < WARP ? WARP / threads : 1;
    uint32_t folds = threads > WARP ? fold_bytes(kernel, WARP) : 0;
    if (unit * local_bytes(kernel) + folds > SHARED_BYTES) recompute_locals(kernel);
    int64_t locals = local_bytes(kernel);
    while (per_block * locals + folds > SHARED_BYTES) per_block = (per_block / unit + 1) / 2 * unit;
    kernel->gpu = (GpuSchedule){.form = GPU_ROWS,
                                .threads = per_block * threads,
                                .blocks = ceil_div(rows, per_block),
                                .row_threads = threads,
                                .shared_bytes = per_block * (uint32_t)locals + folds};
}

/* ---- columns ---- */

static void schedule_columns(Kernel *kernel) {
    int64_t columns = extent_of(kernel, outer_axes(kernel)), points = most_points(kernel, true);
    uint32_t groups = power_up_to(points / COLUMN_POINTS, MOST_GROUPS);
    uint32_t across = power_from(columns, groups < WARP ? WARP / groups : 1, WARP);
    uint32_t folds = groups > 1 ? fold_bytes(kernel, across * groups) : 0;
    if (across * local_bytes(kernel) + folds > SHARED_BYTES) recompute_locals(kernel);
    kernel->gpu = (GpuSchedule){.form = GPU_COLUMNS,
                                .threads = across * groups,
                                .blocks = ceil_div(columns, across),
                                .row_threads = groups,
                                .shared_bytes = across * (uint32_t)local_bytes(kernel) + folds};
}

/* ---- points ---- */

/* Threads take more points than one only where there are enough blocks for the whole GPU. */
static uint32_t points_per_thread(int64_t points) {
    return points < 1 << 16 ? 1 : points < 1 << 18 ? 2 : POINTS_PER_THREAD;
}

static void schedule_map(Kernel *kernel) {
    int64_t points = extent_of(kernel, outer_axes(kernel)) * most_points(kernel, false);
    uint32_t threads = power_from(points, WARP, BLOCK), each = points_per_thread(points);
    kernel->gpu = (GpuSchedule){.form = GPU_POINTS,
                                .threads = threads,
                                .blocks = ceil_div(points, (int64_t)threads * each),
                                .points = each};
}

/* Does a reducing stage read or store what only one block may touch? */
static bool needs_one_block(const Kernel *kernel) {
    for (uint32_t s = 0; s < kernel->stages.count; s++)
        if (kernel->stages.at[s].reductions.count &&
            (kernel->stages.at[s].stores.count ||
             extent_of(kernel, kernel->stages.at[s].inner) > SPLIT_LEAST))
            return true;
    return most_points(kernel, false) <= SPLIT_LEAST;
}

/* Everything is reduced: a block does it all, or every block folds the chunks of a vector that was
 * cut, and has its share of the points. */
static void schedule_reduction(Kernel *kernel) {
    int64_t points = most_points(kernel, false);
    bool one = needs_one_block(kernel);
    uint32_t threads = most_points(kernel, true) <= SPLIT_MOST_CHUNKS ? BLOCK : MOST_THREADS;
    uint32_t each = one ? (uint32_t)ceil_div(points, threads) : points_per_thread(points);
    kernel->gpu = (GpuSchedule){.form = GPU_POINTS,
                                .threads = threads,
                                .blocks = one ? 1 : ceil_div(points, (int64_t)threads * each),
                                .points = each,
                                .shared_bytes = fold_bytes(kernel, WARP)};
    if (kernel->locals.count) recompute_locals(kernel);
}

/* ---- names ---- */

static bool name_is_taken(const StepProgram *program, const char *name) {
    for (uint32_t i = 0; i < program->kernels.count; i++)
        if (!strcmp(program->kernels.at[i]->name, name)) return true;
    return false;
}

/* C++ and CUDA own many a word ("exp", "and", "norm"): none has an underscore inside. */
static void lengthen_name(StepProgram *program, Kernel *kernel, Arena *arena) {
    if (strchr(kernel->name, '_')) return;
    const char *name = arena_printf(arena, "%s_kernel", kernel->name);
    for (uint32_t i = 2; name_is_taken(program, name); i++)
        name = arena_printf(arena, "%s_kernel_%u", kernel->name, i);
    kernel->name = name;
}

/* ---- all kernels ---- */

static void schedule_kernel(Kernel *kernel) {
    if (kernel->plane)
        cuda_plane_schedule(kernel);
    else if (kernel->stages.at[0].contraction)
        cuda_contract_schedule(kernel);
    else if (!most_points(kernel, true))
        schedule_map(kernel);
    else if (!kernel->outer_count)
        schedule_reduction(kernel);
    else if (kernel->columns)
        schedule_columns(kernel);
    else
        schedule_rows(kernel);
}

void schedule_cuda(StepProgram *program, Arena *arena) {
    schedule_cuda_split(program, arena);
    for (uint32_t i = 0; i < program->kernels.count; i++) {
        lengthen_name(program, program->kernels.at[i], arena);
        schedule_kernel(program->kernels.at[i]);
    }
    schedule_cuda_uniform(program);
}
