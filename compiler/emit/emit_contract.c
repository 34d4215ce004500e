/* Contractions: register-tiled matrix products with packing and epilogue.
 *
 *     for n tile:           columns [n0, n0 + tile_n), tile_n = tile_n_vectors * lanes
 *         pack b's panel    [k][tile_n], the same workspace for all: it stays in the cache
 *         for m tile:       rows [m0, m0 + tile_m)
 *             for k:        tile[r][c] = fma(a[m0 + r, k], b[k, n0 + c], tile[r][c])
 *             epilogue stages on the tile, in registers
 *
 * (the loop order of Goto and van de Geijn, 2008, without the blocks over k: a panel of b streams
 * from the second-level cache fast enough). With rows_outer the loops over tiles change places.
 * The last rows and columns have tiles of their own shape, the last vector a constant mask. Each
 * element is one accumulator, summed over ascending k: all tile shapes and orders give the same
 * bits.
 *
 * Workspaces: pack_b holds k * tile_n elements at least; pack_a holds all of a, m * k, in row-major
 * order if a runs along k in memory, else [k][m]. */
#include "compiler/emit/emit_nest.h"

#include <assert.h>

typedef struct {
    uint32_t at, last; /* stage numbers: the contraction's, the last epilogue's */
    const Contraction *shape;
    int a, b; /* expressions: the kernel's, or loads of packed operands */
    uint32_t lanes, tile_n;
    Sums *sums; /* of the epilogue stages, from at + 1 on */
} Product;

/* A register tile, or with rows 0 a panel: vectors of columns, the last with `last_valid` lanes. */
typedef struct {
    uint32_t rows, vectors, last_valid;
} Tile;

static int64_t extent(const Emitter *e, uint32_t axis) {
    return e->kernel->axes[axis].extent;
}

/* ---- packing ---- */

static int add_load(Emitter *e, Buffer *buffer, const Affine *at) {
    int expr = (int)e->expr_count++;
    e->exprs[expr] = (Expr){.kind = X_LOAD,
                            .elem = buffer->elem,
                            .buffer = buffer,
                            .at = *at,
                            .gather = -1,
                            .guard = -1,
                            .lookup = -1,
                            .in = {-1, -1, -1}};
    e->late[expr] = true;
    for (uint32_t axis = 0; axis < e->kernel->axis_count; axis++)
        if (at->coeff[axis]) e->axes_of[expr] |= 1u << axis;
    return expr;
}

/* Does some load under `expr` run along `fast` in memory, and across `slow`? */
static bool runs_along(const Emitter *e, int expr, uint32_t fast, uint32_t slow) {
    const Expr *x = &e->exprs[expr];
    if (x->kind == X_LOAD)
        return x->at.coeff[fast] == 1 && x->gather != (int)fast && x->at.coeff[slow] != 1 &&
               x->at.coeff[slow] != 0;
    if (x->kind != X_OP) return false;
    for (int i = 0; i < op_info[x->op].arity; i++)
        if (runs_along(e, x->in[i], fast, slow)) return true;
    return false;
}

typedef struct {
    int value;
    const Buffer *to;
    Affine at;
} Copying;

static void copy_point(Emitter *e, void *context, uint32_t copy) {
    const Copying *copying = context;
    (void)copy;
    LLVMValueRef value = emit_vector(e, copying->value);
    emit_store(e, copying->to, &copying->at, value, e->lanes > 1);
}

/* All of a, vectorised along the axis on which it lies in memory. */
static void pack_a(Emitter *e, Product *p) {
    const Contraction *shape = p->shape;
    bool along_m = runs_along(e, shape->a, shape->m, shape->k);
    uint32_t fast = along_m ? shape->m : shape->k, slow = along_m ? shape->k : shape->m;
    Copying copying = {.value = shape->a, .to = shape->pack_a};
    copying.at.coeff[fast] = 1;
    copying.at.coeff[slow] = extent(e, fast);
    int vector_axis = e->vector_axis;
    if (e->lanes > 1) e->vector_axis = (int)fast;
    Loop loop = loop_begin(e, slow, 0, extent(e, slow), 1);
    int64_t vectors = (extent(e, fast) + e->lanes - 1) / e->lanes;
    for_vectors(e, fast, vectors < 4 ? (uint32_t)vectors : 4, copy_point, &copying);
    loop_end(e, &loop);
    e->vector_axis = vector_axis;
    p->a = add_load(e, shape->pack_a, &copying.at);
}

static LLVMValueRef column(const Emitter *e, uint32_t number) {
    return LLVMConstInt(LLVMInt64TypeInContext(e->context), number, false);
}

/* panel[k + row][column] = value, at the loop's k. */
static void store_panel(Emitter *e, const Product *p, int64_t row, LLVMValueRef at_column,
                        LLVMValueRef value) {
    const Buffer *panel = p->shape->pack_b;
    Affine at = {.offset = row * p->tile_n};
    at.coeff[p->shape->k] = p->tile_n;
    LLVMValueRef pointer = emit_pointer(e, panel, &at);
    pointer =
        LLVMBuildInBoundsGEP2(e->builder, elem_type(e, panel->elem), pointer, &at_column, 1, "");
    LLVMValueRef store = LLVMBuildStore(e->builder, value, pointer);
    LLVMSetAlignment(store, elem_bytes(panel->elem));
}

/* Rows [from, to), `unroll` at a time. */
static void pack_row_loop(Emitter *e, const Product *p, const Tile *tile, int64_t from, int64_t to,
                          int64_t unroll) {
    uint32_t k = p->shape->k, n = p->shape->n;
    Loop loop = loop_begin(e, k, from, to, unroll);
    for (int64_t row = 0; row < unroll; row++)
        for (uint32_t c = 0; c < tile->vectors; c++) {
            e->shift[k] = row;
            e->shift[n] = c * p->lanes;
            e->valid = c + 1 == tile->vectors ? tile->last_valid : p->lanes;
            LLVMValueRef value = emit_vector(e, p->shape->b);
            place_here(e);
            e->shift[k] = 0;
            store_panel(e, p, row, column(e, c * p->lanes), value);
        }
    loop_end(e, &loop);
    e->shift[k] = e->shift[n] = 0;
}

/* Full vectors are stored, so that a tile reads the panel without a mask; what is in the lanes past
 * the last column stays in the lanes past the last column. */
static void pack_rows(Emitter *e, const Product *p, const Tile *tile) {
    int64_t rows = extent(e, p->shape->k), whole = rows / 2 * 2;
    if (whole) pack_row_loop(e, p, tile, 0, whole, 2);
    if (whole < rows) pack_row_loop(e, p, tile, whole, rows, 1);
}

/* rows[i] of `lanes` vectors -> columns: log2(lanes) rounds of interleaving row i with row i +
 * lanes/2. */
static void transpose(Emitter *e, LLVMValueRef *rows, uint32_t lanes) {
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context);
    LLVMValueRef low[64], high[64], next[64];
    for (uint32_t i = 0; i < lanes; i++) {
        uint32_t from = i / 2 + (i % 2 ? lanes : 0);
        low[i] = LLVMConstInt(i32, from, false);
        high[i] = LLVMConstInt(i32, from + lanes / 2, false);
    }
    LLVMValueRef low_mask = LLVMConstVector(low, lanes), high_mask = LLVMConstVector(high, lanes);
    for (uint32_t round = 1; round < lanes; round *= 2) {
        for (uint32_t i = 0; i < lanes / 2; i++) {
            LLVMValueRef a = rows[i], b = rows[i + lanes / 2];
            next[2 * i] = LLVMBuildShuffleVector(e->builder, a, b, low_mask, "");
            next[2 * i + 1] = LLVMBuildShuffleVector(e->builder, a, b, high_mask, "");
        }
        memcpy(rows, next, lanes * sizeof *rows);
    }
}

/* lanes columns of the panel, from column `at` (a loop variable) on; `valid` of them exist. */
typedef struct {
    const Product *p;
    LLVMValueRef at;
    uint32_t valid;
} Block;

static void transpose_point(Emitter *e, void *context, uint32_t copy) {
    const Block *block = context;
    const Contraction *shape = block->p->shape;
    LLVMTypeRef elem = elem_type(e, shape->pack_b->elem);
    LLVMValueRef rows[64];
    (void)copy;
    for (uint32_t i = 0; i < e->lanes; i++) {
        e->shift[shape->n] = i;
        rows[i] = i < block->valid ? emit_vector(e, shape->b) : LLVMConstNull(vector_of(e, elem));
    }
    e->shift[shape->n] = 0;
    place_here(e);
    transpose(e, rows, e->lanes);
    for (uint32_t i = 0; i < e->valid; i++) store_panel(e, block->p, i, block->at, rows[i]);
}

/* Blocks of columns in [from, to) of the panel whose first column is `first`. */
static void transpose_blocks(Emitter *e, const Product *p, LLVMValueRef first, uint32_t from,
                             uint32_t to, uint32_t valid) {
    Loop loop = loop_begin(e, p->shape->n, from, to, p->lanes);
    Block block = {p, e->axis[p->shape->n], valid};
    e->axis[p->shape->n] = LLVMBuildNSWAdd(e->builder, first, block.at, "");
    for_vectors(e, p->shape->k, 1, transpose_point, &block);
    loop_end(e, &loop);
}

static void pack_b(Emitter *e, const Product *p, const Tile *tile) {
    const Contraction *shape = p->shape;
    if (e->lanes == 1 || !runs_along(e, shape->b, shape->k, shape->n)) {
        pack_rows(e, p, tile);
        return;
    }
    int vector_axis = e->vector_axis;
    e->vector_axis = (int)shape->k;
    LLVMValueRef first = e->axis[shape->n];
    uint32_t scope = e->axis_scope[shape->n];
    uint32_t columns = tile->vectors * p->lanes, whole = columns;
    if (tile->last_valid < p->lanes) whole -= p->lanes;
    if (whole) transpose_blocks(e, p, first, 0, whole, p->lanes);
    if (whole < columns) transpose_blocks(e, p, first, whole, columns, tile->last_valid);
    e->axis[shape->n] = first;
    e->axis_scope[shape->n] = scope;
    e->vector_axis = vector_axis;
}

/* ---- the register tile ---- */

static void tile_step(Emitter *e, const Product *p, const Tile *tile, LLVMValueRef *sums) {
    const Contraction *shape = p->shape;
    LLVMValueRef b[64];
    for (uint32_t c = 0; c < tile->vectors; c++) {
        e->shift[shape->n] = c * p->lanes;
        e->valid = c + 1 == tile->vectors && !shape->pack_b ? tile->last_valid : p->lanes;
        b[c] = emit_vector(e, p->b);
    }
    for (uint32_t r = 0; r < tile->rows; r++) {
        e->shift[shape->m] = r;
        LLVMValueRef a = emit_vector(e, p->a);
        place_here(e);
        for (uint32_t c = 0; c < tile->vectors; c++)
            sums[r * tile->vectors + c] = math_fma(e, a, b[c], sums[r * tile->vectors + c]);
    }
    /* rows of the data set follow each other at random: no processor foresees the next strip's */
    if (e->exprs[p->a].gather == (int)shape->k && shape->rows_outer) {
        e->shift[shape->m] = 2 * tile->rows - 1;
        emit_prefetch(e, p->a);
    }
    e->shift[shape->m] = e->shift[shape->n] = 0;
}

/* The loop over k: one step per iteration, since a tile's multiply-adds alone fill the machine. */
static void tile_loop(Emitter *e, const Product *p, const Tile *tile, LLVMValueRef *sums) {
    uint32_t k = p->shape->k, count = tile->rows * tile->vectors;
    LLVMValueRef *carried = arena_alloc(e->arena, count * sizeof *carried);
    Loop loop = loop_begin(e, k, 0, extent(e, k), 1);
    if (loop.repeats)
        for (uint32_t i = 0; i < count; i++) {
            carried[i] = LLVMBuildPhi(e->builder, LLVMTypeOf(sums[i]), "");
            LLVMAddIncoming(carried[i], &sums[i], &loop.before, 1);
            sums[i] = carried[i];
        }
    tile_step(e, p, tile, sums);
    if (loop.repeats)
        for (uint32_t i = 0; i < count; i++) LLVMAddIncoming(carried[i], &sums[i], &e->here, 1);
    loop_end(e, &loop);
}

static void tile_epilogue(Emitter *e, const Product *p, const Tile *tile,
                          const LLVMValueRef *sums) {
    const Contraction *shape = p->shape;
    scope_enter(e);
    e->epilogue_scope = e->top;
    e->epilogue_axes = 1u << shape->m | 1u << shape->n;
    for (uint32_t r = 0; r < tile->rows; r++)
        for (uint32_t c = 0; c < tile->vectors; c++) {
            e->shift[shape->m] = r;
            e->shift[shape->n] = c * p->lanes;
            e->valid = c + 1 == tile->vectors ? tile->last_valid : p->lanes;
            e->results[p->at][0] = sums[r * tile->vectors + c];
            for (uint32_t i = p->at + 1; i <= p->last; i++)
                emit_point(e, &e->kernel->stages.at[i], &p->sums[i - p->at - 1], 0);
        }
    e->shift[shape->m] = e->shift[shape->n] = 0;
    e->epilogue_axes = 0;
    scope_leave(e);
}

static void emit_tile(Emitter *e, const Product *p, const Tile *tile) {
    uint32_t count = tile->rows * tile->vectors;
    LLVMValueRef *sums = arena_alloc(e->arena, count * sizeof *sums);
    LLVMTypeRef type = vector_of(e, elem_type(e, e->exprs[p->shape->a].elem));
    for (uint32_t i = 0; i < count; i++) sums[i] = LLVMConstNull(type);
    tile_loop(e, p, tile, sums);
    tile_epilogue(e, p, tile, sums);
}

/* An axis in whole tiles, then the rest as one tile. */
typedef struct {
    int64_t from, to, step;
} Range;

static uint32_t cut(int64_t all, int64_t step, Range ranges[2]) {
    int64_t whole = all / step * step;
    uint32_t count = 0;
    if (whole) ranges[count++] = (Range){0, whole, step};
    if (whole < all) ranges[count++] = (Range){whole, all, all - whole};
    return count;
}

static Tile panel_of(const Product *p, int64_t columns, int64_t rows) {
    uint32_t vectors = (uint32_t)((columns + p->lanes - 1) / p->lanes);
    return (Tile){(uint32_t)rows, vectors, (uint32_t)(columns - (vectors - 1) * p->lanes)};
}

/* Panels of b, each for all rows. */
static void emit_panels(Emitter *e, const Product *p) {
    Range rows[2], columns[2];
    uint32_t row_ranges = cut(extent(e, p->shape->m), p->shape->tile_m, rows);
    uint32_t column_ranges = cut(extent(e, p->shape->n), p->tile_n, columns);
    for (uint32_t c = 0; c < column_ranges; c++) {
        Loop across = loop_begin(e, p->shape->n, columns[c].from, columns[c].to, columns[c].step);
        Tile panel = panel_of(p, columns[c].step, 0);
        if (p->shape->pack_b) pack_b(e, p, &panel);
        for (uint32_t r = 0; r < row_ranges; r++) {
            Loop down = loop_begin(e, p->shape->m, rows[r].from, rows[r].to, rows[r].step);
            Tile tile = panel_of(p, columns[c].step, rows[r].step);
            emit_tile(e, p, &tile);
            loop_end(e, &down);
        }
        loop_end(e, &across);
    }
}

/* Tiles of rows, each for all columns: a is read once, b stays in the cache. */
static void emit_strips(Emitter *e, const Product *p) {
    Range rows[2], columns[2];
    uint32_t row_ranges = cut(extent(e, p->shape->m), p->shape->tile_m, rows);
    uint32_t column_ranges = cut(extent(e, p->shape->n), p->tile_n, columns);
    for (uint32_t r = 0; r < row_ranges; r++) {
        Loop down = loop_begin(e, p->shape->m, rows[r].from, rows[r].to, rows[r].step);
        for (uint32_t c = 0; c < column_ranges; c++) {
            Loop across =
                loop_begin(e, p->shape->n, columns[c].from, columns[c].to, columns[c].step);
            Tile tile = panel_of(p, columns[c].step, rows[r].step);
            emit_tile(e, p, &tile);
            loop_end(e, &across);
        }
        loop_end(e, &down);
    }
}

/* ---- the stage ---- */

static uint32_t last_epilogue(const Kernel *kernel, uint32_t at) {
    const Contraction *shape = kernel->stages.at[at].contraction;
    uint32_t plane = 1u << shape->m | 1u << shape->n;
    while (at + 1 < kernel->stages.count && kernel->stages.at[at + 1].inner == plane &&
           !kernel->stages.at[at + 1].contraction)
        at++;
    return at;
}

uint32_t emit_contraction(Emitter *e, uint32_t at) {
    const Contraction *shape = e->kernel->stages.at[at].contraction;
    Product p = {.at = at,
                 .last = last_epilogue(e->kernel, at),
                 .shape = shape,
                 .a = shape->a,
                 .b = shape->b,
                 .lanes = e->lanes};
    p.tile_n = shape->tile_n_vectors * p.lanes;
    assert(e->lanes == 1 || e->vector_axis == (int)shape->n);
    e->shifted[0] = (int)shape->m;
    e->shifted[1] = (int)shape->n;
    e->shifted[2] = (int)shape->k;
    p.sums = arena_alloc(e->arena, (p.last - at + 1) * sizeof *p.sums);
    for (uint32_t i = at + 1; i <= p.last; i++)
        p.sums[i - at - 1] = sums_open(e, &e->kernel->stages.at[i], 1);
    if (shape->pack_a) pack_a(e, &p);
    if (shape->pack_b) {
        Affine panel = {.offset = 0};
        panel.coeff[shape->k] = p.tile_n;
        panel.coeff[shape->n] = 1;
        p.b = e->panel = add_load(e, shape->pack_b, &panel);
        e->panel_axis = shape->n;
    }
    assert(!shape->rows_outer || !shape->pack_b);
    if (shape->rows_outer)
        emit_strips(e, &p);
    else
        emit_panels(e, &p);
    e->panel = -1;
    e->valid = e->lanes;
    for (uint32_t i = at + 1; i <= p.last; i++) sums_close(e, i, &p.sums[i - at - 1], true);
    return p.last;
}
