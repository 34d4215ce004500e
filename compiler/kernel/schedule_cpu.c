/* Schedules for one core: which axis is a vector, how far loops unroll, and the register tiles of
 * contractions by a static cost model. Whatever changes the order of a reduction (vector axis,
 * lanes, unroll) depends on the extents and the target only, so fused and unfused kernels give the
 * same bits. */
#include "compiler/kernel/schedule.h"

enum { MAX_UNROLL = 4, BIG_BODY = 24, MAX_TILE_M = 24, MAX_TILE_VECTORS = 6 };

/* The widest real type that changes with `axis`. */
static uint32_t widest_bytes(const Kernel *kernel, const uint32_t *axes, uint32_t axis) {
    uint32_t widest = 0, any = 0;
    for (uint32_t e = 0; e < kernel->exprs.count; e++) {
        const Expr *expr = &kernel->exprs.at[e];
        if (!(axes[e] >> axis & 1)) continue;
        uint32_t bytes = elem_bytes(expr->elem);
        if (bytes > any) any = bytes;
        if (elem_is_real(expr->elem) && bytes > widest) widest = bytes;
    }
    if (widest) return widest;
    return any > 4 ? any : 4;
}

/* ---- the vector axis ---- */

/* The last inner axis, or the last outer one where sums run across memory; -1 when the kernel has
 * no loop worth a vector. Where the operands lie has no say: it would change the order of sums. */
static int vector_axis(const Kernel *kernel) {
    if (!kernel->axis_count) return -1;
    bool has_inner = kernel->axis_count > kernel->outer_count;
    if (!has_inner || kernel->columns) return (int)kernel->outer_count - 1;
    uint32_t inner = kernel->axis_count - 1;
    return kernel->axes[inner].extent > 1 ? (int)inner : -1;
}

static uint32_t unroll_for(int64_t extent, uint32_t lanes, uint32_t limit) {
    int64_t vectors = extent / lanes;
    uint32_t unroll = 1;
    while (2 * unroll <= limit && 2 * (int64_t)unroll <= vectors) unroll *= 2;
    return unroll;
}

/* Instructions, or so, that one point takes: a block of Philox and the functions that the machine
 * does not have are long. */
static uint32_t code_size(const Expr *expr) {
    if (expr->kind == X_RANDOM) return 80;
    if (expr->kind != X_OP) return 0;
    return op_is_function(expr->op) ? 20 : 1;
}

static uint32_t body_size(const Kernel *kernel) {
    uint32_t size = 0;
    for (uint32_t e = 0; e < kernel->exprs.count; e++) size += code_size(&kernel->exprs.at[e]);
    return size;
}

static void schedule_loops(Kernel *kernel, int axis) {
    bool outer = axis >= 0 && (uint32_t)axis < kernel->outer_count;
    bool big = body_size(kernel) > BIG_BODY;
    for (uint32_t s = 0; s < kernel->stages.count; s++) {
        Stage *stage = &kernel->stages.at[s];
        bool along = axis >= 0 && (outer || stage->inner >> axis & 1);
        stage->vector_axis = along ? axis : -1;
        stage->unroll = 1;
        if (!along || outer) continue;
        /* a reduction's accumulators are part of its meaning: extent and lanes alone decide */
        bool reduces = stage->reductions.count > 0;
        stage->unroll = unroll_for(kernel->axes[axis].extent, kernel->lanes,
                                   reduces ? MAX_UNROLL
                                   : big   ? 1
                                           : 2);
    }
}

/* ---- contractions ---- */

/* Cycles per step of k of a tile of `rows` by `vectors` on a core with two FMA and two load pipes
 * and an FMA latency of four. */
static double tile_cycles(int64_t rows, int64_t vectors) {
    double arithmetic = 0.5 * (double)(rows * vectors);
    double loads = 0.5 * (double)(rows + vectors);
    double cycles = arithmetic > loads ? arithmetic : loads;
    return cycles < 4 ? 4 : cycles;
}

typedef struct {
    int64_t m, vectors, k;
} Product;

static double rows_cost(const Product *p, int64_t tile_m, int64_t vectors) {
    double cost = 0;
    const double start = 16 + 2 * (double)vectors; /* zeroing, epilogue, loop */
    int64_t whole = p->m / tile_m, rest = p->m % tile_m;
    cost += (double)whole * (tile_cycles(tile_m, vectors) * (double)p->k + start);
    if (rest) cost += tile_cycles(rest, vectors) * (double)p->k + 2 * start;
    /* loads share the pipes with what the model leaves out */
    return cost + 0.02 * (double)(p->m * p->k) * (1 + (double)vectors / (double)tile_m);
}

static double product_cost(const Product *p, int64_t tile_m, int64_t tile_vectors) {
    int64_t whole = p->vectors / tile_vectors, rest = p->vectors % tile_vectors;
    double cost = (double)whole * rows_cost(p, tile_m, tile_vectors);
    return rest ? cost + rows_cost(p, tile_m, rest) : cost;
}

static void choose_tile(Contraction *c, const Product *p, const CpuTarget *target) {
    int64_t budget = target->vector_registers >= 32 ? 28 : 12;
    double best = -1;
    for (int64_t vectors = 1; vectors <= MAX_TILE_VECTORS && vectors <= p->vectors; vectors++)
        for (int64_t rows = 1; rows <= MAX_TILE_M && rows <= p->m && rows * vectors <= budget;
             rows++) {
            if (rows * vectors + vectors + 1 > target->vector_registers) continue;
            double cost = product_cost(p, rows, vectors);
            if (best >= 0 && cost >= best) continue;
            best = cost;
            c->tile_m = (uint32_t)rows;
            c->tile_n_vectors = (uint32_t)vectors;
        }
}

static Buffer *workspace(StepProgram *program, Kernel *kernel, const char *name, Elem elem,
                         int64_t count, Arena *arena) {
    Buffer *buffer = arena_alloc(arena, sizeof *buffer);
    *buffer = (Buffer){.id = program->buffers.count,
                       .name = arena_printf(arena, "%s.%s", kernel->name, name),
                       .elem = elem,
                       .count = count,
                       .space = SPACE_SCRATCH};
    vec_push(arena, &program->buffers, buffer);
    vec_push(arena, &kernel->buffers, buffer);
    return buffer;
}

static bool is_load(const Kernel *kernel, int expr) {
    const Expr *x = &kernel->exprs.at[expr];
    return x->kind == X_LOAD && x->guard < 0;
}

/* A row of the tile of b is one run of memory. a is read element by element, at any stride. */
static bool needs_pack_b(const Kernel *kernel, const Contraction *c) {
    if (!is_load(kernel, c->b) || kernel->exprs.at[c->b].gather == (int)c->n) return true;
    int64_t stride = kernel->exprs.at[c->b].at.coeff[c->n];
    return kernel->axes[c->n].extent > 1 && stride != 1;
}

static void schedule_contraction(StepProgram *program, Kernel *kernel, const CpuTarget *target,
                                 Arena *arena) {
    Contraction *c = kernel->stages.at[0].contraction;
    const Axis *axes = kernel->axes;
    Elem elem = kernel->exprs.at[c->b].elem;
    kernel->lanes = target->vector_bytes / elem_bytes(elem);
    Product p = {axes[c->m].extent, (axes[c->n].extent + kernel->lanes - 1) / kernel->lanes,
                 axes[c->k].extent};
    choose_tile(c, &p, target);
    if (needs_pack_b(kernel, c))
        c->pack_b = workspace(program, kernel, "panel_b", elem,
                              axes[c->k].extent * c->tile_n_vectors * kernel->lanes, arena);
    if (!is_load(kernel, c->a))
        c->pack_a = workspace(program, kernel, "panel_a", elem,
                              axes[c->m].extent * axes[c->k].extent, arena);
    /* the smaller operand is the one that is read again and again */
    c->rows_outer = !c->pack_b && axes[c->n].extent <= axes[c->m].extent;
    for (uint32_t s = 0; s < kernel->stages.count; s++) {
        kernel->stages.at[s].vector_axis = (int)c->n;
        kernel->stages.at[s].unroll = 1;
    }
}

void schedule_cpu(StepProgram *program, const CpuTarget *target, Arena *arena) {
    for (uint32_t i = 0; i < program->kernels.count; i++) {
        Kernel *kernel = program->kernels.at[i];
        if (kernel->stages.count && kernel->stages.at[0].contraction) {
            schedule_contraction(program, kernel, target, arena);
            continue;
        }
        const uint32_t *axes = kernel_expr_axes(kernel, arena);
        int axis = vector_axis(kernel);
        kernel->lanes = 1;
        if (axis >= 0)
            kernel->lanes = target->vector_bytes / widest_bytes(kernel, axes, (uint32_t)axis);
        schedule_loops(kernel, axis);
    }
}
