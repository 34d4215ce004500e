/* Tiles of contractions on a GPU, by a static cost model: the cycles that one multiprocessor takes
 * for its share of all blocks of a wave. Every tile choice gives the same bits. */
#include "compiler/kernel/schedule.h"

#include <assert.h>
#include <math.h>

enum {
    LEAST_TRIALS = 32, /* of the waves that count */
    MOST_TRIALS = 128,
    MULTIPROCESSORS = 132, /* of an H100 */
    SCHEDULERS = 4,
    MOST_THREADS = 256,
    MOST_TILE = 128,
    MOST_TILE_K = 32,
    MOST_THREAD = 8,
    MOST_SUMS = 256,  /* bytes of a thread */
    MOST_FILLS = 128, /* likewise, of the next tiles */
    MOST_REGISTERS = 192,
    STATIC_SHARED = 49152, /* bytes of a block */
    LATENCY = 400,         /* cycles of a step of k that no other warp hides: memory, barrier */
    LAUNCH = 800           /* cycles before the first step and behind the last one */
};

typedef struct {
    int64_t m, n, k, outer;
    uint32_t bytes; /* of an element */
} Shape;

typedef struct {
    uint32_t tile_m, tile_n, tile_k, thread_m, thread_n;
} Tile;

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static uint32_t threads_of(const Tile *t) {
    return t->tile_m / t->thread_m * (t->tile_n / t->thread_n);
}

static int64_t blocks_of(const Shape *s, const Tile *t) {
    return s->outer * ceil_div(s->m, t->tile_m) * ceil_div(s->n, t->tile_n);
}

/* Elements that a thread brings into shared memory per step. */
static int64_t fills_of(const Tile *t) {
    int64_t threads = threads_of(t);
    return ceil_div(t->tile_m * t->tile_k, threads) + ceil_div(t->tile_n * t->tile_k, threads);
}

/* Two buffers of both tiles, one where k is one step; rows are padded by 16 bytes. */
static uint32_t shared_of(const Shape *s, const Tile *t) {
    uint32_t row = (t->tile_m + t->tile_n) * s->bytes + 2 * 16;
    return (s->k > t->tile_k ? 2 : 1) * t->tile_k * row;
}

/* Sums, two steps of rows and columns, the next tiles with their addresses. */
static int64_t registers_of(const Shape *s, const Tile *t) {
    int64_t elements =
        t->thread_m * t->thread_n + 2 * (t->thread_m + t->thread_n) + 2 * fills_of(t);
    return 40 + elements * s->bytes / 4;
}

/* Blocks that a multiprocessor holds at a time. */
static int64_t resident_of(const Shape *s, const Tile *t) {
    int64_t threads = threads_of(t), resident = 2048 / threads;
    int64_t by_registers = 65536 / (threads * registers_of(s, t));
    int64_t by_shared = 200 * 1024 / shared_of(s, t);
    if (resident > 32) resident = 32;
    if (resident > by_registers) resident = by_registers;
    return resident < by_shared ? resident : by_shared;
}

/* Instructions of a warp for one step of k: multiply-adds (f64: at half the rate), reads of 16
 * bytes of shared memory, and what brings the next tile. */
static double step_issue(const Shape *s, const Tile *t) {
    uint32_t vector = 16 / s->bytes;
    double arithmetic = t->thread_m * t->thread_n * (s->bytes / 4.0);
    double reads = (double)(ceil_div(t->thread_m, vector) + ceil_div(t->thread_n, vector));
    return t->tile_k * (arithmetic + reads + 1) + 6 * (double)fills_of(t) + 20;
}

/* Cycles that a warp's reads of both tiles keep shared memory busy, 128 bytes in each, in one step
 * of k: one at least for each read. */
static double step_reads(const Shape *s, const Tile *t) {
    uint32_t vector = 16 / s->bytes;
    double rows = fmax((double)ceil_div(t->thread_m, vector), 4 * t->thread_m * s->bytes / 128.0);
    double columns =
        fmax((double)ceil_div(t->thread_n, vector), 8 * t->thread_n * s->bytes / 128.0);
    return t->tile_k * (rows + columns);
}

/* Cycles of `blocks` blocks that run side by side on one multiprocessor: bound by instructions, by
 * the latency of one warp, by shared memory, or by what the second-level cache delivers (24 bytes
 * per cycle). */
static double round_cycles(const Shape *s, const Tile *t, int64_t blocks) {
    double warps = (double)blocks * threads_of(t) / 32 / SCHEDULERS, issue = step_issue(s, t);
    double delivery = (double)blocks * (t->tile_m + t->tile_n) * t->tile_k * s->bytes / 24;
    double cycles = fmax(warps * issue, issue + LATENCY);
    cycles = fmax(cycles, fmax(delivery, warps * SCHEDULERS * step_reads(s, t)));
    double epilogue = 8.0 * t->thread_m * t->thread_n * fmax(warps, 1);
    return cycles * (double)ceil_div(s->k, t->tile_k) + LAUNCH + epilogue;
}

static double wave_cost(const Shape *s, const Tile *t, int64_t trials) {
    int64_t blocks = ceil_div(blocks_of(s, t) * trials, MULTIPROCESSORS);
    int64_t resident = resident_of(s, t), rest = blocks % resident;
    double cost = (double)(blocks / resident) * round_cycles(s, t, resident);
    if (rest) cost += round_cycles(s, t, rest);
    /* of equals the one with the least to do */
    return cost + 1e-3 * (double)(blocks * threads_of(t)) * step_issue(s, t) / 32;
}

static double tile_cost(const Shape *s, const Tile *t) {
    double cost = 0;
    for (int64_t trials = LEAST_TRIALS; trials <= MOST_TRIALS; trials *= 2)
        cost += wave_cost(s, t, trials) / (double)trials;
    return cost;
}

static bool is_legal(const Shape *s, const Tile *t) {
    uint32_t threads = threads_of(t);
    if (threads < 32 || threads > MOST_THREADS) return false;
    if (t->thread_m * t->thread_n * s->bytes > MOST_SUMS) return false;
    if (fills_of(t) * s->bytes > MOST_FILLS) return false;
    if (registers_of(s, t) > MOST_REGISTERS || registers_of(s, t) * threads > 32768) return false;
    return shared_of(s, t) <= STATIC_SHARED;
}

static uint32_t power_up_to(int64_t extent, uint32_t most) {
    uint32_t power = 1;
    while (power < extent && power < most) power *= 2;
    return power;
}

typedef struct {
    Tile tile;
    double cost; /* negative: none yet */
} Choice;

static void try_tile(const Shape *s, const Tile *t, Choice *best) {
    if (!is_legal(s, t)) return;
    double cost = tile_cost(s, t);
    if (best->cost < 0 || cost < best->cost) *best = (Choice){*t, cost};
}

static void try_thread_tiles(const Shape *s, Tile t, Choice *best) {
    for (t.thread_m = 1; t.thread_m <= MOST_THREAD && t.thread_m <= t.tile_m; t.thread_m *= 2)
        for (t.thread_n = 1; t.thread_n <= MOST_THREAD && t.thread_n <= t.tile_n; t.thread_n *= 2)
            try_tile(s, &t, best);
}

/* A tile has 32 threads at least, even where the result is smaller, and rows along k fill a sector
 * of memory, 32 bytes. */
static Tile choose(const Shape *s) {
    uint32_t most_m = power_up_to(s->m, MOST_TILE), most_n = power_up_to(s->n, MOST_TILE);
    if (most_m * most_n < 32) most_m = 32 / most_n;
    uint32_t least_k = power_up_to(s->k, 32 / s->bytes), most_k = power_up_to(s->k, MOST_TILE_K);
    Choice best = {.cost = -1};
    Tile t = {0};
    for (t.tile_m = 1; t.tile_m <= most_m; t.tile_m *= 2)
        for (t.tile_n = 1; t.tile_n <= most_n; t.tile_n *= 2)
            for (t.tile_k = least_k; t.tile_k <= most_k; t.tile_k *= 2)
                try_thread_tiles(s, t, &best);
    assert(best.cost >= 0);
    return best.tile;
}

void cuda_contract_schedule(Kernel *kernel) {
    const Contraction *c = kernel->stages.at[0].contraction;
    Shape shape = {.m = kernel->axes[c->m].extent,
                   .n = kernel->axes[c->n].extent,
                   .k = kernel->axes[c->k].extent,
                   .outer = 1,
                   .bytes = elem_bytes(kernel->exprs.at[c->a].elem)};
    for (uint32_t i = 0; i < kernel->outer_count; i++) shape.outer *= kernel->axes[i].extent;
    Tile tile = choose(&shape);
    kernel->gpu = (GpuSchedule){.form = GPU_CONTRACT,
                                .threads = threads_of(&tile),
                                .blocks = blocks_of(&shape, &tile),
                                .tile_m = tile.tile_m,
                                .tile_n = tile.tile_n,
                                .tile_k = tile.tile_k,
                                .thread_m = tile.thread_m,
                                .thread_n = tile.thread_n,
                                .shared_bytes = shared_of(&shape, &tile)};
}
