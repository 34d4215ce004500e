/* Tiles of planes on a GPU. A block has tile_m rows; row_threads threads side by side in a warp
 * share thread_m of them, each with thread_n of the tile's columns and a part of every sum's
 * elements. All sums of a thread stay in registers over all of n; scores pass through shared memory
 * on their way from the threads that computed them to those that add them up. */
#include <assert.h>

#include "compiler/kernel/schedule.h"

enum {
    ROW_THREADS = 8,       /* where sums are narrow */
    WIDE_ROW_THREADS = 16, /* where they are wider than NARROW */
    NARROW = 64,
    ROWS_OF_THREADS = 16,
    MOST_SUMS = 512,     /* bytes of a thread */
    SLICE_BYTES = 16384, /* of shared memory for a slice of a sink's matrix, about */
    STATIC_SHARED = 49152
};

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static uint32_t power_from(int64_t extent, uint32_t most) {
    uint32_t power = 1;
    while (power < extent && power < most) power *= 2;
    return power;
}

static int64_t widest_sink(const Kernel *kernel) {
    const Plane *plane = kernel->plane;
    int64_t widest = 1;
    for (uint32_t p = 0; p < plane->passes.count; p++)
        for (uint32_t i = 0; i < plane->passes.at[p].sinks.count; i++) {
            int64_t extent = kernel->axes[plane->passes.at[p].sinks.at[i].e].extent;
            if (extent > widest) widest = extent;
        }
    return widest;
}

static int64_t longest_leaf(const Kernel *kernel) {
    const Plane *plane = kernel->plane;
    int64_t longest = 1;
    for (uint32_t l = 0; l < plane->leaves.count; l++) {
        int64_t extent = kernel->axes[plane->leaves.at[l].k].extent;
        if (extent > longest) longest = extent;
    }
    return longest;
}

/* Of a thread with one row: elements of all sums. */
static int64_t sums_per_row(const Kernel *kernel, uint32_t row_threads) {
    const Plane *plane = kernel->plane;
    int64_t count = 0;
    for (uint32_t p = 0; p < plane->passes.count; p++)
        for (uint32_t i = 0; i < plane->passes.at[p].sinks.count; i++)
            count += ceil_div(kernel->axes[plane->passes.at[p].sinks.at[i].e].extent, row_threads);
    return count;
}

/* The scores of a tile; and the slices of a leaf's two operands, or of a sink's matrix in the same
 * place. Rows are padded by 16 bytes. */
static uint32_t shared_of(const GpuSchedule *gpu, int64_t widest, uint32_t bytes) {
    uint32_t pad = 16 / bytes, wide = (uint32_t)ceil_div(widest, gpu->row_threads);
    uint32_t scores = gpu->tile_n * (gpu->tile_m + pad);
    uint32_t leaf = gpu->tile_k * (gpu->tile_m + gpu->tile_n + 2 * pad);
    uint32_t sink = gpu->slice_n * (wide * gpu->row_threads + pad);
    return (scores + (leaf > sink ? leaf : sink)) * bytes;
}

static Elem elem_of(const Kernel *kernel) {
    return kernel->exprs.at[kernel->plane->leaves.at[0].a].elem;
}

void cuda_plane_schedule(Kernel *kernel) {
    const Plane *plane = kernel->plane;
    int64_t m = kernel->axes[plane->m].extent, n = kernel->axes[plane->n].extent, outer = 1;
    int64_t widest = widest_sink(kernel);
    uint32_t bytes = elem_bytes(elem_of(kernel)), vector = 16 / bytes;
    for (uint32_t i = 0; i < kernel->outer_count; i++) outer *= kernel->axes[i].extent;
    GpuSchedule gpu = {.form = GPU_PLANE, .row_threads = ROW_THREADS};
    if (widest > NARROW) gpu.row_threads = WIDE_ROW_THREADS;
    gpu.thread_m = power_from(ceil_div(m, ROWS_OF_THREADS), vector);
    while (gpu.thread_m > 1 &&
           gpu.thread_m * sums_per_row(kernel, gpu.row_threads) * bytes > MOST_SUMS)
        gpu.thread_m /= 2;
    gpu.thread_n = power_from(ceil_div(n, gpu.row_threads), vector);
    uint32_t down = power_from(ceil_div(m, gpu.thread_m), ROWS_OF_THREADS);
    if (down * gpu.row_threads < 32) down = 32 / gpu.row_threads;
    gpu.threads = down * gpu.row_threads;
    gpu.tile_m = down * gpu.thread_m;
    gpu.tile_n = gpu.thread_n * gpu.row_threads;
    gpu.tile_k = power_from(longest_leaf(kernel), 128 / bytes);
    gpu.slice_n = gpu.tile_n;
    uint32_t row = (uint32_t)(ceil_div(widest, gpu.row_threads) * gpu.row_threads + vector) * bytes;
    while (gpu.slice_n > 1 && gpu.slice_n * row > SLICE_BYTES + SLICE_BYTES / 8) gpu.slice_n /= 2;
    gpu.blocks = outer * ceil_div(m, gpu.tile_m);
    gpu.shared_bytes = shared_of(&gpu, widest, bytes);
    assert(gpu.shared_bytes <= STATIC_SHARED);
    kernel->gpu = gpu;
}
