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

/* Can tiles read it where it is? */
static bool is_plain(const Kernel *kernel, int expr) {
    const Expr *x = &kernel->exprs.at[expr];
    if (x->kind != X_LOAD || x->guard >= 0 || x->lookup >= 0 || x->divide > 1) return false;
    if (x->gather >= (int)kernel->axis_count) return false;
    for (uint32_t i = 0; i < kernel->part_count; i++)
        if (x->at.coeff[kernel->axis_count + i]) return false;
    return true;
}

/* A row of the tile of b is one run of memory. a is read element by element, at any stride. */
static bool needs_pack_b(const Kernel *kernel, const Contraction *c) {
    if (!is_plain(kernel, c->b) || kernel->exprs.at[c->b].gather == (int)c->n) return true;
    int64_t stride = kernel->exprs.at[c->b].at.coeff[c->n];
    return kernel->axes[c->n].extent > 1 && stride != 1;
}

/* ---- blocks of contractions ---- */

static int64_t round_up(int64_t count, int64_t unit) {
    return (count + unit - 1) / unit * unit;
}

/* A block of an axis with parts is whole innermost parts: those are the runs. */
static int64_t block_unit(const Kernel *kernel, uint32_t axis) {
    uint32_t innermost = kernel_innermost(kernel, axis);
    return innermost == axis ? 1 : kernel->axes[innermost].extent;
}

typedef struct {
    int64_t m, n, k;        /* extents; n in whole vectors */
    int64_t unit_m, unit_k; /* of which blocks are multiples */
    int64_t room,
        panel_limit; /* elements: a block of a with its sums; terms that a panel may have */
    double read_b;   /* cost of an element of b, in that of an element of the sums */
} Blocking;

static int64_t rows_for(const Blocking *b, int64_t terms, bool packs_a) {
    int64_t per_row = (packs_a ? terms : 0) + (terms < b->k ? b->n : 0);
    int64_t rows = per_row ? b->room / per_row / b->unit_m * b->unit_m : b->m;
    if (rows < b->unit_m) rows = b->unit_m;
    return rows < b->m ? rows : b->m;
}

/* Blocks of equal size, without a rest where one nearby leaves none. */
static int64_t even_rows(const Blocking *b, int64_t rows) {
    int64_t count = (b->m + rows - 1) / rows;
    int64_t even = round_up((b->m + count - 1) / count, b->unit_m);
    for (int64_t size = even; size > even / 4 * 3 && size > 0; size -= b->unit_m)
        if (b->m % size == 0) return size;
    return even < b->m ? even : b->m;
}

/* Every term more per block saves a visit to the sums, every row more a reading of b. */
static void choose_blocks(Contraction *c, const Blocking *b) {
    double best = -1;
    int64_t best_terms = b->k, best_rows = b->m;
    for (int64_t count = 1, last = 0; count <= b->k; count += 1 + count / 8) {
        int64_t terms = round_up((b->k + count - 1) / count, b->unit_k);
        if (terms > b->k) terms = b->k;
        if (terms == last) continue;
        last = terms;
        if (terms > b->panel_limit && terms > b->unit_k) continue;
        int64_t rows = rows_for(b, terms, c->pack_a != NULL);
        double cost = b->read_b / (double)rows + (terms < b->k ? 2.0 / (double)terms : 0);
        if (best >= 0 && cost >= best) continue;
        best = cost;
        best_terms = terms;
        best_rows = rows;
    }
    best_rows = even_rows(b, best_rows);
    c->block_k = best_terms < b->k ? best_terms : 0;
    c->block_m = best_rows < b->m ? best_rows : 0;
}

static void schedule_blocks(const Kernel *kernel, Contraction *c, const CpuTarget *target) {
    const Axis *axes = kernel->axes;
    int64_t bytes = elem_bytes(kernel->exprs.at[c->b].elem),
            tile_n = c->tile_n_vectors * kernel->lanes;
    Blocking b = {.m = axes[c->m].extent,
                  .n = round_up(axes[c->n].extent, kernel->lanes),
                  .k = axes[c->k].extent,
                  .unit_m = block_unit(kernel, c->m),
                  .unit_k = block_unit(kernel, c->k),
                  .room = target->l2_bytes / 2 / bytes,
                  .panel_limit =
                      c->pack_b ? target->l2_bytes / 4 / bytes / tile_n : axes[c->k].extent,
                  .read_b = c->pack_b ? 4 : 1};
    bool a_fits = !c->pack_a || b.m * b.k <= b.room;
    if (a_fits && b.k <= b.panel_limit) return;
    bool along_m = c->pack_a && c->pack_a_along == c->m;
    if (b.unit_m == 1 || (!along_m && b.unit_m > b.m / 8)) b.unit_m = c->tile_m;
    choose_blocks(c, &b);
}

/* ---- contractions, all of it ---- */

static int64_t block_of(const Kernel *kernel, uint32_t axis, int64_t block) {
    return block ? block : kernel->axes[axis].extent;
}

/* Runs of the packed a begin an odd number of cache lines apart when they are long, so that those
 * which a tile reads at once fall into different sets. */
static int64_t pack_a_count(const Kernel *kernel, const Contraction *c) {
    int64_t rows = block_of(kernel, c->m, c->block_m), terms = block_of(kernel, c->k, c->block_k);
    bool along_m = c->pack_a_along == c->m;
    int64_t run = along_m ? rows : terms, line = 64 / elem_bytes(kernel->exprs.at[c->a].elem);
    if (run % (8 * line) == 0) run += line;
    return run * (along_m ? terms : rows);
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
    Buffer unsized = {0};
    if (needs_pack_b(kernel, c)) c->pack_b = &unsized;
    if (!is_plain(kernel, c->a)) c->pack_a = &unsized;
    c->pack_a_along =
        kernel_run(kernel, c->a, c->m, c->k) > kernel_run(kernel, c->a, c->k, c->m) ? c->m : c->k;
    schedule_blocks(kernel, c, target);
    int64_t rows = block_of(kernel, c->m, c->block_m), terms = block_of(kernel, c->k, c->block_k);
    if (c->pack_b)
        c->pack_b = workspace(program, kernel, "panel_b", elem,
                              terms * c->tile_n_vectors * kernel->lanes, arena);
    if (c->pack_a)
        c->pack_a = workspace(program, kernel, c->block_m || c->block_k ? "block_a" : "panel_a",
                              elem, pack_a_count(kernel, c), arena);
    if (c->block_k)
        c->sums = workspace(program, kernel, "sums", elem,
                            rows * round_up(axes[c->n].extent, kernel->lanes), arena);
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
