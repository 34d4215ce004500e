/* Contractions: register-tiled matrix products by blocks, with epilogue.
 *
 *     for m block:              block_m rows, or all
 *       for k block:            block_k terms, or all
 *         pack the block of a   if it is not read in place
 *         for n tile:           columns [n0, n0 + tile_n), tile_n = tile_n_vectors * lanes
 *             pack b's panel    [k][tile_n], the same workspace for all: it stays in the cache
 *             for m tile:       rows [m0, m0 + tile_m)
 *                 for k:        tile[r][c] = fma(a[m0 + r, k], b[k, n0 + c], tile[r][c])
 *                 after the last block of k the epilogue stages, on the tile in registers;
 *                 after others the tile waits in `sums`
 *
 * (the loop order of Goto and van de Geijn, 2008; a panel of b streams from the second-level cache
 * fast enough, so most contractions are one block). With rows_outer the loops over tiles change
 * places. The last rows and columns have tiles of their own shape, the last vector a constant mask.
 * Each element is one accumulator, summed over ascending k: all blocks, tile shapes and orders give
 * the same bits.
 *
 * Where n is too short for a vector (depthwise convolutions), lanes are iterations of the last
 * outer axis instead, and every element is summed by itself.
 *
 * Workspaces: pack_b holds a panel, block_k * tile_n elements at least, or with pack_b_whole all
 * panels of all k one after the other; pack_a holds a block of a in runs
 * along pack_a_along, at the pitch for which it has room; sums holds block_m rows of all columns,
 * rounded up to whole vectors. */
#include "compiler/emit/emit_contract.h"

#include <assert.h>

#include "compiler/emit/emit_walk.h"

static int64_t extent(const Emitter *e, uint32_t axis) {
    return e->kernel->axes[axis].extent;
}

static LLVMValueRef number(const Emitter *e, int64_t value) {
    return LLVMConstInt(LLVMInt64TypeInContext(e->context), (unsigned long long)value, true);
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
    Loop loop = loop_begin(e, k, 0, p->terms, 1);
    if (loop.repeats) {
        LLVMPositionBuilderBefore(e->builder, LLVMGetFirstInstruction(loop.header));
        for (uint32_t i = 0; i < count; i++) {
            carried[i] = LLVMBuildPhi(e->builder, LLVMTypeOf(sums[i]), "");
            LLVMAddIncoming(carried[i], &sums[i], &loop.before, 1);
            sums[i] = carried[i];
        }
        place_here(e);
    }
    tile_step(e, p, tile, sums);
    if (loop.repeats)
        for (uint32_t i = 0; i < count; i++) LLVMAddIncoming(carried[i], &sums[i], &e->here, 1);
    loop_end(e, &loop);
}

static void tile_epilogue(Emitter *e, const Product *p, const Tile *tile,
                          const LLVMValueRef *sums) {
    const Contraction *shape = p->shape;
    int64_t row = e->shift[shape->m];
    scope_enter(e);
    e->epilogue_scope = e->top;
    e->epilogue_axes = 1u << shape->m | 1u << shape->n;
    for (uint32_t r = 0; r < tile->rows; r++)
        for (uint32_t c = 0; c < tile->vectors; c++) {
            e->shift[shape->m] = row + r;
            e->shift[shape->n] = c * p->lanes;
            e->valid = c + 1 == tile->vectors ? tile->last_valid : p->lanes;
            e->results[p->at][0] = sums[r * tile->vectors + c];
            for (uint32_t i = p->at + 1; i <= p->last; i++)
                emit_point(e, &e->kernel->stages.at[i], &p->sums[i - p->at - 1], 0);
        }
    e->shift[shape->m] = row;
    e->shift[shape->n] = 0;
    e->epilogue_axes = 0;
    scope_leave(e);
}

/* ---- sums between blocks of k ---- */

static int64_t sums_pitch(const Emitter *e, const Product *p) {
    return (extent(e, p->shape->n) + p->lanes - 1) / p->lanes * p->lanes;
}

static void clear_sums(Emitter *e, const Product *p) {
    const Buffer *sums = p->shape->sums;
    LLVMTypeRef i8 = LLVMInt8TypeInContext(e->context);
    LLVMValueRef bytes = number(e, p->rows * sums_pitch(e, p) * elem_bytes(sums->elem));
    place_here(e);
    LLVMBuildMemSet(e->builder, base_of(e, sums), LLVMConstNull(i8), bytes, elem_bytes(sums->elem));
}

/* Of vector c in row r of the tile. */
static LLVMValueRef sums_pointer(Emitter *e, const Product *p, uint32_t r, uint32_t c) {
    const Buffer *sums = p->shape->sums;
    Affine row = {.offset = r * sums_pitch(e, p) + c * p->lanes};
    row.coeff[p->shape->m] = sums_pitch(e, p);
    LLVMValueRef pointer = emit_pointer_within(e, sums, &row), column = e->axis[p->shape->n];
    LLVMTypeRef type = elem_type(e, sums->elem);
    return LLVMBuildInBoundsGEP2(e->builder, type, pointer, &column, 1, "");
}

static void load_sums(Emitter *e, const Product *p, const Tile *tile, LLVMValueRef *sums) {
    LLVMTypeRef type = vector_of(e, elem_type(e, p->shape->sums->elem));
    for (uint32_t r = 0; r < tile->rows; r++)
        for (uint32_t c = 0; c < tile->vectors; c++) {
            LLVMValueRef *sum = &sums[r * tile->vectors + c];
            *sum = LLVMBuildLoad2(e->builder, type, sums_pointer(e, p, r, c), "");
            LLVMSetAlignment(*sum, elem_bytes(p->shape->sums->elem));
        }
}

static void store_sums(Emitter *e, const Product *p, const Tile *tile, const LLVMValueRef *sums) {
    for (uint32_t r = 0; r < tile->rows; r++)
        for (uint32_t c = 0; c < tile->vectors; c++)
            emit_store_whole(e, p->shape->sums, sums_pointer(e, p, r, c),
                             sums[r * tile->vectors + c]);
}

static void emit_tile(Emitter *e, const Product *p, const Tile *tile) {
    uint32_t count = tile->rows * tile->vectors;
    LLVMValueRef *sums = arena_alloc(e->arena, count * sizeof *sums);
    LLVMTypeRef type = vector_of(e, elem_type(e, e->exprs[p->shape->a].elem));
    for (uint32_t i = 0; i < count; i++) sums[i] = LLVMConstNull(type);
    if (p->shape->sums) load_sums(e, p, tile, sums);
    tile_loop(e, p, tile, sums);
    if (p->last_block)
        tile_epilogue(e, p, tile, sums);
    else
        store_sums(e, p, tile, sums);
}

/* ---- a block ---- */

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

/* A loop over columns. Their panel is all of the workspace, or one of many in it. */
static Loop columns_begin(Emitter *e, const Product *p, const Range *columns) {
    uint32_t n = p->shape->n, k = p->shape->k;
    Loop loop = loop_begin(e, n, columns->from, columns->to, columns->step);
    e->within[n] = number(e, 0);
    if (!p->shape->pack_b_whole) return loop;
    e->within[n] = LLVMBuildNSWMul(e->builder, e->axis[n], number(e, extent(e, k)), "");
    if (!e->start[k]) return loop;
    LLVMValueRef before = LLVMBuildNSWMul(e->builder, e->start[k], number(e, p->tile_n), "");
    e->within[n] = LLVMBuildNSWAdd(e->builder, e->within[n], before, "");
    return loop;
}

/* Panels of b, each for all rows. */
static void emit_panels(Emitter *e, const Product *p) {
    Range rows[2], columns[2];
    uint32_t row_ranges = cut(p->rows, p->shape->tile_m, rows);
    uint32_t column_ranges = cut(extent(e, p->shape->n), p->tile_n, columns);
    for (uint32_t c = 0; c < column_ranges; c++) {
        Loop across = columns_begin(e, p, &columns[c]);
        Tile panel = panel_of(p, columns[c].step, 0);
        if (p->shape->pack_b && !p->shape->pack_b_whole) pack_b(e, p, &panel);
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
    uint32_t row_ranges = cut(p->rows, p->shape->tile_m, rows);
    uint32_t column_ranges = cut(extent(e, p->shape->n), p->tile_n, columns);
    for (uint32_t r = 0; r < row_ranges; r++) {
        Loop down = loop_begin(e, p->shape->m, rows[r].from, rows[r].to, rows[r].step);
        for (uint32_t c = 0; c < column_ranges; c++) {
            Loop across = columns_begin(e, p, &columns[c]);
            Tile tile = panel_of(p, columns[c].step, rows[r].step);
            emit_tile(e, p, &tile);
            loop_end(e, &across);
        }
        loop_end(e, &down);
    }
}

static void emit_block(Emitter *e, const Product *p) {
    if (p->shape->pack_a) pack_a(e, p);
    if (p->shape->rows_outer)
        emit_strips(e, p);
    else
        emit_panels(e, p);
}

/* ---- blocks ---- */

typedef struct {
    Loop loop;
    uint32_t axis;
    bool open;
} Blocks;

/* Blocks of range->step from range->from on; no loop where one block is all there is. */
static Blocks blocks_begin(Emitter *e, uint32_t axis, const Range *range) {
    Blocks blocks = {.axis = axis, .open = range->step < extent(e, axis)};
    if (!blocks.open) return blocks;
    blocks.loop = loop_begin(e, axis, range->from, range->to, range->step);
    e->start[axis] = e->axis[axis];
    return blocks;
}

static void blocks_end(Emitter *e, Blocks *blocks) {
    e->start[blocks->axis] = NULL;
    if (blocks->open) loop_end(e, &blocks->loop);
}

static void emit_terms(Emitter *e, Product *p, const Range *range, bool last) {
    p->terms = range->step;
    p->last_block = last;
    Blocks blocks = blocks_begin(e, p->shape->k, range);
    emit_block(e, p);
    blocks_end(e, &blocks);
}

/* All blocks of k but the last leave sums behind. */
static void emit_rows(Emitter *e, Product *p) {
    int64_t all = extent(e, p->shape->k), block = p->shape->block_k ? p->shape->block_k : all;
    int64_t before = (all - 1) / block * block;
    assert(!before == !p->shape->sums);
    if (before) {
        clear_sums(e, p);
        emit_terms(e, p, &(Range){0, before, block}, false);
    }
    emit_terms(e, p, &(Range){before, all, all - before}, true);
}

static void pack_all_of_b(Emitter *e, Product *p) {
    Range columns[2];
    uint32_t ranges = cut(extent(e, p->shape->n), p->tile_n, columns);
    p->terms = extent(e, p->shape->k);
    for (uint32_t c = 0; c < ranges; c++) {
        Loop across = columns_begin(e, p, &columns[c]);
        Tile panel = panel_of(p, columns[c].step, 0);
        pack_b(e, p, &panel);
        loop_end(e, &across);
    }
}

static void emit_blocks(Emitter *e, Product *p) {
    int64_t all = extent(e, p->shape->m);
    Range rows[2];
    assert(e->lanes == 1 || e->vector_axis == (int)p->shape->n);
    assert(!p->shape->rows_outer || !p->shape->pack_b || p->shape->pack_b_whole);
    pack_open(e, p);
    if (p->shape->pack_b_whole) pack_all_of_b(e, p);
    uint32_t ranges = cut(all, p->shape->block_m ? p->shape->block_m : all, rows);
    for (uint32_t i = 0; i < ranges; i++) {
        p->rows = rows[i].step;
        Blocks blocks = blocks_begin(e, p->shape->m, &rows[i]);
        emit_rows(e, p);
        blocks_end(e, &blocks);
    }
    e->valid = e->lanes;
}

/* ---- lanes of the outer axis ---- */

static LLVMTypeRef sum_type(const Emitter *e, const Product *p) {
    return vector_of(e, elem_type(e, e->exprs[p->a].elem));
}

/* All of m or k; the innermost loop in steps of `copies` (0: all of it). */
static void walk_axis(Emitter *e, Product *p, uint32_t axis, uint32_t copies, PointFunction point) {
    int64_t run = extent(e, kernel_innermost(e->kernel, axis));
    walk_stretch(e, &(Walk){.axis = axis,
                            .count = extent(e, axis),
                            .step = 1,
                            .copies = copies && copies < run ? copies : (uint32_t)run,
                            .unroll = copies == 1 ? 0 : MAX_SLOTS,
                            .point = point,
                            .context = p});
}

static void clear_slot(Emitter *e, const Product *p, uint32_t slot) {
    place_here(e);
    LLVMBuildStore(e->builder, LLVMConstNull(sum_type(e, p)), p->slots[slot]);
}

/* Adds a term to the next slot. */
static void add_term(Emitter *e, void *context, uint32_t copy) {
    Product *p = context;
    LLVMValueRef slot = p->slots[p->next_slot++ % p->slot_count];
    LLVMValueRef a = emit_vector(e, p->a), b = emit_vector(e, p->b);
    (void)copy;
    place_here(e);
    LLVMValueRef sum = LLVMBuildLoad2(e->builder, LLVMTypeOf(a), slot, "");
    LLVMBuildStore(e->builder, math_fma(e, a, b, sum), slot);
}

static void finish_slot(Emitter *e, void *context, uint32_t copy) {
    Product *p = context;
    LLVMValueRef slot = p->slots[p->next_slot++ % p->slot_count];
    (void)copy;
    place_here(e);
    LLVMValueRef sum = LLVMBuildLoad2(e->builder, sum_type(e, p), slot, "");
    tile_epilogue(e, p, &(Tile){1, 1, e->valid}, &sum);
}

/* One row: its terms one after the other. */
static void sum_row(Emitter *e, void *context, uint32_t copy) {
    (void)copy;
    clear_slot(e, context, 0);
    walk_axis(e, context, ((Product *)context)->shape->k, 4, add_term);
    finish_slot(e, context, 0);
}

/* One term of all rows. */
static void add_terms(Emitter *e, void *context, uint32_t copy) {
    (void)copy;
    walk_axis(e, context, ((Product *)context)->shape->m, 0, add_term);
}

/* The vector axis is an outer one: nothing is packed, every lane sums for itself. Few rows, as
 * those of a weight's gradient, are summed side by side. */
static void emit_lanes(Emitter *e, Product *p) {
    uint32_t valid = e->valid, m = p->shape->m, n = p->shape->n;
    bool all_rows = extent(e, m) <= MAX_SLOTS;
    p->slot_count = all_rows ? (uint32_t)extent(e, m) : 1;
    for (uint32_t i = 0; i < p->slot_count; i++) p->slots[i] = stack_slot(e, sum_type(e, p));
    place_here(e);
    Loop loop = loop_begin(e, n, 0, extent(e, n), 1);
    if (all_rows) {
        for (uint32_t i = 0; i < p->slot_count; i++) clear_slot(e, p, i);
        walk_axis(e, p, p->shape->k, 1, add_terms);
        walk_axis(e, p, m, 0, finish_slot);
    } else {
        walk_axis(e, p, m, 1, sum_row);
    }
    loop_end(e, &loop);
    e->valid = valid;
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
    e->shifted[0] = (int)shape->m;
    e->shifted[1] = (int)shape->n;
    e->shifted[2] = (int)shape->k;
    p.sums = arena_alloc(e->arena, (p.last - at + 1) * sizeof *p.sums);
    for (uint32_t i = at + 1; i <= p.last; i++)
        p.sums[i - at - 1] = sums_open(e, &e->kernel->stages.at[i], 1);
    if (e->vector_axis >= 0 && e->vector_axis < (int)e->kernel->outer_count)
        emit_lanes(e, &p);
    else
        emit_blocks(e, &p);
    for (uint32_t i = at + 1; i <= p.last; i++) sums_close(e, i, &p.sums[i - at - 1], true);
    return p.last;
}
