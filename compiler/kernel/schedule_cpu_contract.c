/* Schedules of contractions for one core: register tiles by a static cost model, what is packed,
 * and blocks that stay in the second-level cache (Goto and van de Geijn, 2008). No choice changes a
 * bit of the results. */
#include "compiler/kernel/schedule.h"

enum { MAX_TILE_M = 24, MAX_TILE_VECTORS = 6 };

/* ---- register tiles ---- */

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

/* ---- packing ---- */

Buffer *cpu_workspace(StepProgram *program, Kernel *kernel, const char *name, Elem elem,
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

/* ---- blocks ---- */

static int64_t round_up(int64_t count, int64_t unit) {
    return (count + unit - 1) / unit * unit;
}

typedef struct {
    int64_t m, n, k;        /* extents; n in whole vectors */
    int64_t unit_m, unit_k; /* of which blocks are multiples */
    int64_t room;           /* half of the second-level cache, in elements: a block of a, sums */
    int64_t columns;        /* of b, read again and again: all, or those of a panel */
    bool packs_a, again;    /* again: a panel of b is packed anew for every block of rows */
} Blocking;

/* A block of an axis with parts is whole innermost parts: those are the runs. */
static int64_t block_unit(const Kernel *kernel, uint32_t axis) {
    uint32_t innermost = kernel_innermost(kernel, axis);
    return innermost == axis ? 1 : kernel->axes[innermost].extent;
}

/* Blocks of about equal size, without a rest where one nearby leaves none. */
static int64_t even_rows(const Blocking *b, int64_t rows) {
    if (rows >= b->m) return b->m;
    int64_t count = (b->m + rows - 1) / rows;
    int64_t even = round_up((b->m + count - 1) / count, b->unit_m);
    if (even > rows) even = rows;
    for (int64_t size = even; size > even / 2; size -= b->unit_m)
        if (b->m % size == 0) return size;
    return even;
}

static int64_t rows_for(const Blocking *b, int64_t terms) {
    bool several = terms < b->k;
    int64_t per_row = (b->packs_a || several ? terms : 0) + (several ? b->n : 0);
    int64_t rows = per_row ? b->room / per_row / b->unit_m * b->unit_m : b->m;
    return even_rows(b, rows < b->unit_m ? b->unit_m : rows);
}

static bool b_fits(const Blocking *b, int64_t terms) {
    return terms * b->columns <= b->room / 2;
}

/* Every term more per block saves a visit to the sums, every row more a reading of b, which costs
 * more where it is packed. */
static void choose_blocks(Contraction *c, const Blocking *b) {
    double best = -1;
    int64_t last = 0;
    for (int64_t count = 1; count <= b->k; count += 1 + count / 8) {
        int64_t terms = round_up((b->k + count - 1) / count, b->unit_k);
        if (terms > b->k) terms = b->k;
        if (terms == last || (!b_fits(b, terms) && terms > b->unit_k)) continue;
        last = terms;
        int64_t rows = rows_for(b, terms);
        double sums = terms < b->k ? 2.0 / (double)terms : 0;
        double cost = sums + (b->again ? 12.0 : 1.0) / (double)rows;
        if (best >= 0 && cost >= best) continue;
        best = cost;
        c->block_k = terms < b->k ? terms : 0;
        c->block_m = rows < b->m ? rows : 0;
    }
}

/* May all of b be packed? Not if it were larger than what it is made of, as windows are. */
static bool may_pack_whole(const Kernel *kernel, const Contraction *c, const Blocking *b) {
    const Expr *x = &kernel->exprs.at[c->b];
    if (b->n * b->k <= b->room / 2) return true;
    return x->kind == X_LOAD && x->guard < 0 && x->lookup < 0 && x->gather < 0 &&
           x->buffer->count >= b->k * kernel->axes[c->n].extent;
}

static void schedule_blocks(const Kernel *kernel, Contraction *c, const CpuTarget *target) {
    const Axis *axes = kernel->axes;
    int64_t tile_n = (int64_t)c->tile_n_vectors * kernel->lanes;
    Blocking b = {.m = axes[c->m].extent,
                  .n = round_up(axes[c->n].extent, kernel->lanes),
                  .k = axes[c->k].extent,
                  .unit_m = block_unit(kernel, c->m),
                  .unit_k = block_unit(kernel, c->k),
                  .room = target->l2_bytes / 2 / elem_bytes(kernel->exprs.at[c->b].elem),
                  .packs_a = c->pack_a};
    /* the smaller operand is the one that is read again and again */
    bool smaller = axes[c->n].extent <= axes[c->m].extent;
    c->rows_outer = !c->pack_b && smaller;
    b.columns = c->rows_outer ? b.n : tile_n;
    if ((!c->pack_a || b.m * b.k <= b.room) && b_fits(&b, b.k)) return;
    c->pack_b_whole = c->pack_b && may_pack_whole(kernel, c, &b);
    c->rows_outer = smaller && (!c->pack_b || c->pack_b_whole);
    b.columns = c->rows_outer ? b.n : tile_n;
    b.again = c->pack_b && !c->pack_b_whole;
    bool along_m = c->pack_a && c->pack_a_along == c->m;
    if (b.unit_m == 1 || (!along_m && b.unit_m > b.m / 8)) b.unit_m = c->tile_m;
    choose_blocks(c, &b);
}

/* ---- workspaces ---- */

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

static int64_t pack_b_count(const Kernel *kernel, const Contraction *c) {
    int64_t tile_n = (int64_t)c->tile_n_vectors * kernel->lanes;
    if (!c->pack_b_whole) return block_of(kernel, c->k, c->block_k) * tile_n;
    return kernel->axes[c->k].extent * round_up(kernel->axes[c->n].extent, tile_n);
}

static void add_workspaces(StepProgram *program, Kernel *kernel, Contraction *c, Arena *arena) {
    Elem elem = kernel->exprs.at[c->b].elem;
    bool blocks = c->block_m || c->block_k;
    if (c->pack_b)
        c->pack_b = cpu_workspace(program, kernel, c->pack_b_whole ? "panels_b" : "panel_b", elem,
                                  pack_b_count(kernel, c), arena);
    if (c->pack_a)
        c->pack_a = cpu_workspace(program, kernel, blocks ? "block_a" : "panel_a", elem,
                                  pack_a_count(kernel, c), arena);
    if (c->block_k)
        c->sums = cpu_workspace(program, kernel, "sums", elem,
                                block_of(kernel, c->m, c->block_m) *
                                    round_up(kernel->axes[c->n].extent, kernel->lanes),
                                arena);
}

/* ---- vectors ---- */

/* Is everything that changes with the axis a run along it? */
static bool runs_along(const Kernel *kernel, uint32_t axis) {
    for (uint32_t e = 0; e < kernel->exprs.count; e++) {
        const Expr *x = &kernel->exprs.at[e];
        if (x->kind != X_LOAD || (!x->at.coeff[axis] && x->lookup < 0)) continue;
        int64_t divide = x->divide > 1 ? x->divide : 1;
        if (x->at.coeff[axis] != divide || x->gather == (int)axis || x->lookup >= 0) return false;
    }
    for (uint32_t s = 1; s < kernel->stages.count; s++)
        for (uint32_t i = 0; i < kernel->stages.at[s].stores.count; i++)
            if (kernel->stages.at[s].stores.at[i].at.coeff[axis] != 1) return false;
    return true;
}

/* n is too short for a vector, and the last outer axis longer. */
static bool lanes_outside(const Kernel *kernel, const Contraction *c) {
    if (!kernel->outer_count) return false;
    uint32_t axis = kernel->outer_count - 1;
    int64_t n = kernel->axes[c->n].extent, outer = kernel->axes[axis].extent;
    return (n == 1 || 8 * n <= kernel->lanes) && outer > n && runs_along(kernel, axis);
}

static void set_vectors(Kernel *kernel, uint32_t axis) {
    for (uint32_t s = 0; s < kernel->stages.count; s++) {
        kernel->stages.at[s].vector_axis = (int)axis;
        kernel->stages.at[s].unroll = 1;
    }
}

void cpu_contract_schedule(StepProgram *program, Kernel *kernel, const CpuTarget *target,
                           Arena *arena) {
    Contraction *c = kernel->stages.at[0].contraction;
    const Axis *axes = kernel->axes;
    kernel->lanes = target->vector_bytes / elem_bytes(kernel->exprs.at[c->b].elem);
    if (lanes_outside(kernel, c)) {
        set_vectors(kernel, kernel->outer_count - 1);
        c->tile_m = c->tile_n_vectors = 1;
        return;
    }
    Product p = {axes[c->m].extent, (axes[c->n].extent + kernel->lanes - 1) / kernel->lanes,
                 axes[c->k].extent};
    choose_tile(c, &p, target);
    Buffer needed = {0}; /* sized when the blocks are known */
    if (needs_pack_b(kernel, c)) c->pack_b = &needed;
    if (!is_plain(kernel, c->a)) c->pack_a = &needed;
    c->pack_a_along =
        kernel_run(kernel, c->a, c->m, c->k) > kernel_run(kernel, c->a, c->k, c->m) ? c->m : c->k;
    schedule_blocks(kernel, c, target);
    add_workspaces(program, kernel, c, arena);
    set_vectors(kernel, c->n);
}
