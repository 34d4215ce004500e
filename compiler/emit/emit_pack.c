/* Operands of contractions, copied by blocks in the order in which tiles read them: along the axis
 * of the block on which an operand is a run of memory, in vectors. Together with the walk over
 * parts of axes this is the implicit GEMM of Chetlur et al. (2014): no matrix of windows is ever in
 * memory. */
#include "compiler/emit/emit_contract.h"
#include "compiler/emit/emit_walk.h"

/* Iterations of loops over outer parts, such as a window's height and width, that are unrolled. */
enum { UNROLL = 16 };

/* ---- a ---- */

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
    e->late[expr] = e->packed[expr] = true;
    for (uint32_t axis = 0; axis < e->kernel->axis_count; axis++)
        if (at->coeff[axis]) e->axes_of[expr] |= 1u << axis;
    return expr;
}

static int64_t block_of(const Emitter *e, uint32_t axis, int64_t block) {
    return block ? block : e->kernel->axes[axis].extent;
}

/* Where element m, k of a block lies: in runs along one of them, as far apart as there is room. */
static Affine place_a(const Emitter *e, const Contraction *shape) {
    bool along_m = shape->pack_a_along == shape->m;
    int64_t runs =
        along_m ? block_of(e, shape->k, shape->block_k) : block_of(e, shape->m, shape->block_m);
    Affine at = {.offset = 0};
    at.coeff[shape->m] = at.coeff[shape->k] = shape->pack_a->count / runs;
    at.coeff[along_m ? shape->m : shape->k] = 1;
    return at;
}

void pack_open(Emitter *e, Product *p) {
    const Contraction *shape = p->shape;
    if (shape->pack_a) {
        Affine at = place_a(e, shape);
        p->a = add_load(e, shape->pack_a, &at);
    }
    if (!shape->pack_b) return;
    Affine panel = {.offset = 0};
    panel.coeff[shape->k] = p->tile_n;
    panel.coeff[shape->n] = 1;
    p->b = add_load(e, shape->pack_b, &panel);
}

typedef struct {
    int value;
    const Buffer *to;
    Affine at;
    Walk along; /* a run */
} Copying;

static void copy_point(Emitter *e, void *context, uint32_t copy) {
    const Copying *copying = context;
    (void)copy;
    LLVMValueRef value = emit_vector(e, copying->value);
    LLVMValueRef pointer = emit_pointer_within(e, copying->to, &copying->at);
    emit_store_lanes(e, copying->to, pointer, value);
}

static void copy_run(Emitter *e, void *context, uint32_t copy) {
    (void)copy;
    walk_stretch(e, &((Copying *)context)->along);
}

static uint32_t copies_for(int64_t count, uint32_t lanes) {
    int64_t vectors = (count + lanes - 1) / lanes;
    return vectors < 4 ? (uint32_t)vectors : 4;
}

void pack_a(Emitter *e, const Product *p) {
    const Contraction *shape = p->shape;
    bool along_m = shape->pack_a_along == shape->m;
    uint32_t fast = shape->pack_a_along, slow = along_m ? shape->k : shape->m;
    uint32_t innermost = kernel_innermost(e->kernel, fast);
    int64_t count = along_m ? p->rows : p->terms, runs = along_m ? p->terms : p->rows;
    int64_t run = innermost == fast ? count : e->kernel->axes[innermost].extent;
    int vector_axis = e->vector_axis;
    if (e->lanes > 1) e->vector_axis = (int)innermost;
    Copying copying = {.value = shape->a, .to = shape->pack_a, .at = place_a(e, shape)};
    copying.along = (Walk){.axis = fast,
                           .count = count,
                           .step = e->lanes,
                           .copies = copies_for(run, e->lanes),
                           .unroll = UNROLL,
                           .point = copy_point,
                           .context = &copying};
    Walk rows = {.axis = slow,
                 .count = runs,
                 .step = 1,
                 .copies = 1,
                 .point = copy_run,
                 .context = &copying};
    walk_stretch(e, &rows);
    e->vector_axis = vector_axis;
}

/* ---- b ---- */

/* Row k + `row` of a panel from column n on, at the loops' k and n. */
static void store_panel(Emitter *e, const Product *p, int64_t row, LLVMValueRef value) {
    const Buffer *panel = p->shape->pack_b;
    Affine at = {.offset = row * p->tile_n};
    at.coeff[p->shape->k] = p->tile_n;
    at.coeff[p->shape->n] = 1;
    emit_store_whole(e, panel, emit_pointer_within(e, panel, &at), value);
}

typedef struct {
    const Product *p;
    const Tile *tile;
} Panel;

/* Full vectors are stored, so that a tile reads the panel without a mask; what is in the lanes past
 * the last column stays in the lanes past the last column. */
static void copy_row(Emitter *e, void *context, uint32_t copy) {
    const Panel *panel = context;
    const Product *p = panel->p;
    uint32_t vectors = panel->tile->vectors;
    (void)copy;
    for (uint32_t c = 0; c < vectors; c++) {
        e->shift[p->shape->n] = c * p->lanes;
        e->valid = c + 1 == vectors ? panel->tile->last_valid : p->lanes;
        LLVMValueRef value = emit_vector(e, p->shape->b);
        place_here(e);
        store_panel(e, p, 0, value);
    }
    e->shift[p->shape->n] = 0;
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

/* lanes columns of the panel, of which `valid` exist. */
typedef struct {
    const Product *p;
    uint32_t valid;
} Square;

static void transpose_point(Emitter *e, void *context, uint32_t copy) {
    const Square *square = context;
    const Contraction *shape = square->p->shape;
    LLVMTypeRef elem = elem_type(e, shape->pack_b->elem);
    LLVMValueRef rows[64];
    (void)copy;
    for (uint32_t i = 0; i < e->lanes; i++) {
        e->shift[shape->n] = i;
        rows[i] = i < square->valid ? emit_vector(e, shape->b) : LLVMConstNull(vector_of(e, elem));
    }
    e->shift[shape->n] = 0;
    place_here(e);
    transpose(e, rows, e->lanes);
    for (uint32_t i = 0; i < e->valid; i++) store_panel(e, square->p, i, rows[i]);
}

/* Squares in columns [from, to) of the panel, which begins at `panel`. */
static void transpose_squares(Emitter *e, const Product *p, LLVMValueRef panel, uint32_t from,
                              uint32_t to, uint32_t valid) {
    uint32_t n = p->shape->n;
    Loop loop = loop_begin(e, n, from, to, p->lanes);
    e->within[n] = LLVMBuildNSWAdd(e->builder, panel, e->within[n], "");
    Square square = {p, valid};
    walk_stretch(e, &(Walk){.axis = p->shape->k,
                            .count = p->terms,
                            .step = p->lanes,
                            .copies = 1,
                            .point = transpose_point,
                            .context = &square});
    loop_end(e, &loop);
}

static void pack_transposed(Emitter *e, const Product *p, const Tile *tile) {
    uint32_t n = p->shape->n, scope = e->axis_scope[n];
    int vector_axis = e->vector_axis;
    e->vector_axis = (int)kernel_innermost(e->kernel, p->shape->k);
    LLVMValueRef first = e->axis[n], within = e->within[n];
    e->start[n] = first;
    uint32_t columns = tile->vectors * p->lanes, whole = columns;
    if (tile->last_valid < p->lanes) whole -= p->lanes;
    if (whole) transpose_squares(e, p, within, 0, whole, p->lanes);
    if (whole < columns) transpose_squares(e, p, within, whole, columns, tile->last_valid);
    e->start[n] = NULL;
    e->axis[n] = first;
    e->within[n] = within;
    e->axis_scope[n] = scope;
    e->vector_axis = vector_axis;
}

/* Can the block's terms be walked in vectors? */
static bool has_runs(const Emitter *e, const Product *p) {
    uint32_t innermost = kernel_innermost(e->kernel, p->shape->k);
    return innermost == p->shape->k || p->terms % e->kernel->axes[innermost].extent == 0;
}

void pack_b(Emitter *e, const Product *p, const Tile *tile) {
    const Contraction *shape = p->shape;
    bool along_k = kernel_run(e->kernel, shape->b, shape->k, shape->n) >
                   kernel_run(e->kernel, shape->b, shape->n, shape->k);
    if (e->lanes > 1 && along_k && has_runs(e, p)) {
        pack_transposed(e, p, tile);
        return;
    }
    walk_stretch(e, &(Walk){.axis = shape->k,
                            .count = p->terms,
                            .step = 1,
                            .copies = p->terms > 1 ? 2 : 1,
                            .point = copy_row,
                            .context = &(Panel){p, tile}});
    e->valid = e->lanes;
}
