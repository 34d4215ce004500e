/* Planes: attention's scores tile by tile, never in memory.
 *
 *     pack the panels of every leaf's b
 *     for m tile:
 *         for pass, for around, for n tile:
 *             leaves      tile[m][n] = sum over k of a[m, k] * panel[k][n]    in a register tile
 *             values      row by row, vectors along n: reductions, and what the sinks take, in
 *                         place of the leaves
 *             sinks       sums[m][e] += tile[m][n] * b[n, e]                  in a register tile
 *         stores
 *
 * Reductions are kept lane by lane until the last tile of n, then the lanes are folded; an online
 * pass folds its maximum in each tile, and multiplies what it has by exp(before - now). Tiles,
 * sums and rows of an m tile are on the stack: their size does not depend on m or n. */
#include "compiler/emit/emit_nest.h"

#include <assert.h>
#include <float.h>

enum { TILE_VECTORS = 4, TILE_ROWS = 4 };

/* A matrix of the m tile on the stack. */
typedef struct {
    LLVMValueRef base;
    LLVMTypeRef elem;
    int64_t pitch;
} Matrix;

typedef struct {
    Emitter *e;
    const Plane *plane;
    Elem elem;
    LLVMTypeRef real;
    Matrix tiles[MAX_AXES]; /* [tile_m][tile_n]: of leaf i, then of the value of sink i */
    Matrix **rows;          /* [pass][reduction]: [tile_m][1] */
    Matrix **lanes;         /* the same, lane by lane */
    Matrix **sums;          /* [pass][sink]: [tile_m][e] */
    Matrix scale;           /* [tile_m][1]: of an online pass */
    bool *uses;             /* expressions of the pass at hand */
    LLVMValueRef m, n;      /* first row and column of the tile, or of what it is a part of */
    uint32_t m_scope, n_scope;
    int64_t row_count, column_count;
} PlaneEmitter;

static int64_t extent(const Emitter *e, uint32_t axis) {
    return e->kernel->axes[axis].extent;
}

static int64_t whole_vectors(const Emitter *e, int64_t count) {
    return (count + e->lanes - 1) / e->lanes * e->lanes;
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

/* ---- matrices on the stack ---- */

static Matrix matrix_new(PlaneEmitter *p, int64_t pitch) {
    Emitter *e = p->e;
    LLVMBasicBlockRef entry = LLVMGetEntryBasicBlock(e->function);
    LLVMValueRef first = LLVMGetFirstInstruction(entry);
    if (first)
        LLVMPositionBuilderBefore(e->builder, first);
    else
        LLVMPositionBuilderAtEnd(e->builder, entry);
    LLVMTypeRef type = LLVMArrayType2(p->real, (uint64_t)(p->plane->tile_m * pitch));
    LLVMValueRef base = LLVMBuildAlloca(e->builder, type, "");
    LLVMSetAlignment(base, 64);
    place_here(e);
    return (Matrix){base, p->real, pitch};
}

static LLVMValueRef i64(const Emitter *e, int64_t number) {
    return LLVMConstInt(LLVMInt64TypeInContext(e->context), (unsigned long long)number, true);
}

/* &matrix[row + shift][column + at]; column may be NULL */
static LLVMValueRef matrix_at(Emitter *e, const Matrix *matrix, LLVMValueRef row, int64_t shift,
                              LLVMValueRef column, int64_t at) {
    LLVMValueRef index = LLVMBuildNSWMul(e->builder, row, i64(e, matrix->pitch), "");
    if (column) index = LLVMBuildNSWAdd(e->builder, index, column, "");
    LLVMValueRef place =
        LLVMBuildInBoundsGEP2(e->builder, matrix->elem, matrix->base, &index, 1, "");
    LLVMValueRef rest = i64(e, shift * matrix->pitch + at);
    return LLVMBuildInBoundsGEP2(e->builder, matrix->elem, place, &rest, 1, "");
}

static LLVMValueRef load_from(Emitter *e, LLVMTypeRef type, LLVMValueRef place, Elem elem) {
    LLVMValueRef value = LLVMBuildLoad2(e->builder, type, place, "");
    LLVMSetAlignment(value, elem_bytes(elem));
    return value;
}

static void store_to(Emitter *e, LLVMValueRef value, LLVMValueRef place, Elem elem) {
    LLVMSetAlignment(LLVMBuildStore(e->builder, value, place), elem_bytes(elem));
}

/* ---- loops over parts of a tile ---- */

/* A loop over rows of the m tile: the axis is the row itself, `at` the row within the tile. */
typedef struct {
    Loop loop;
    LLVMValueRef at;
} Rows;

static Rows rows_begin(PlaneEmitter *p, const Range *range) {
    Emitter *e = p->e;
    uint32_t m = p->plane->m;
    Rows rows = {.loop = loop_begin(e, m, range->from, range->to, range->step)};
    rows.at = e->axis[m];
    e->axis[m] = LLVMBuildNSWAdd(e->builder, p->m, rows.at, "");
    return rows;
}

static void rows_end(PlaneEmitter *p, Rows *rows) {
    loop_end(p->e, &rows->loop);
    p->e->axis[p->plane->m] = p->m;
    p->e->axis_scope[p->plane->m] = p->m_scope;
}

static void shifts(Emitter *e, int a, int b, int c) {
    e->shifted[0] = a;
    e->shifted[1] = b;
    e->shifted[2] = c;
}

typedef void (*Inside)(PlaneEmitter *p, void *context);

static void around_loops(PlaneEmitter *p, uint32_t axis, Inside inside, void *context) {
    Emitter *e = p->e;
    while (axis < e->kernel->axis_count && !(p->plane->around >> axis & 1)) axis++;
    if (axis == e->kernel->axis_count) {
        inside(p, context);
        return;
    }
    Loop loop = loop_begin(e, axis, 0, extent(e, axis), 1);
    around_loops(p, axis + 1, inside, context);
    loop_end(e, &loop);
}

/* ---- panels ---- */

/* panels[around][n][k][column], n the first column of a tile */
static Affine panel_at(const PlaneEmitter *p, const PlaneLeaf *leaf, int64_t column) {
    Affine at = {.offset = column};
    int64_t terms = extent(p->e, leaf->k), tile = p->plane->tile_n;
    int64_t stride = (extent(p->e, p->plane->n) + tile - 1) / tile * tile * terms;
    at.coeff[leaf->k] = tile;
    at.coeff[p->plane->n] = terms;
    for (uint32_t axis = p->e->kernel->axis_count; axis-- > 0;) {
        if (!(p->plane->around >> axis & 1)) continue;
        at.coeff[axis] = stride;
        stride *= extent(p->e, axis);
    }
    return at;
}

static void pack_leaf(PlaneEmitter *p, void *context) {
    const PlaneLeaf *leaf = context;
    Emitter *e = p->e;
    uint32_t n = p->plane->n;
    Range ranges[2];
    uint32_t count = cut(extent(e, n), p->plane->tile_n, ranges);
    e->vector_axis = (int)n;
    shifts(e, (int)n, -1, -1);
    for (uint32_t i = 0; i < count; i++) {
        Loop across = loop_begin(e, n, ranges[i].from, ranges[i].to, ranges[i].step);
        Loop down = loop_begin(e, leaf->k, 0, extent(e, leaf->k), 1);
        for (int64_t at = 0; at < ranges[i].step; at += e->lanes) {
            e->shift[n] = at;
            e->valid = ranges[i].step - at < e->lanes ? (uint32_t)(ranges[i].step - at) : e->lanes;
            LLVMValueRef value = emit_vector(e, leaf->b);
            e->shift[n] = 0;
            Affine to = panel_at(p, leaf, at);
            store_to(e, value, emit_pointer_within(e, leaf->panels, &to), p->elem);
        }
        loop_end(e, &down);
        loop_end(e, &across);
    }
    e->valid = e->lanes;
}

/* ---- register tiles ---- */

/* sums[row][vector] over a loop of `axis`; `step` adds the terms of one of its values. */
typedef struct {
    int64_t rows;
    uint32_t vectors;
    LLVMValueRef sums[TILE_ROWS * TILE_VECTORS];
} Tile;

typedef struct {
    LLVMValueRef carried[TILE_ROWS * TILE_VECTORS];
} Carried;

static void carry(Emitter *e, const Loop *loop, Tile *tile, Carried *carried) {
    for (uint32_t i = 0; loop->repeats && i < tile->rows * tile->vectors; i++) {
        carried->carried[i] = LLVMBuildPhi(e->builder, LLVMTypeOf(tile->sums[i]), "");
        LLVMBasicBlockRef before = loop->before;
        LLVMAddIncoming(carried->carried[i], &tile->sums[i], &before, 1);
        tile->sums[i] = carried->carried[i];
    }
}

static void carry_back(Emitter *e, const Loop *loop, const Tile *tile, const Carried *carried) {
    for (uint32_t i = 0; loop->repeats && i < tile->rows * tile->vectors; i++) {
        LLVMValueRef sum = tile->sums[i];
        LLVMAddIncoming(carried->carried[i], &sum, &e->here, 1);
    }
}

static void add_products(Emitter *e, Tile *tile, int64_t row, LLVMValueRef a,
                         const LLVMValueRef *b) {
    for (uint32_t v = 0; v < tile->vectors; v++) {
        LLVMValueRef *sum = &tile->sums[row * tile->vectors + v];
        *sum = math_fma(e, a, b[v], *sum);
    }
}

/* ---- leaves ---- */

typedef struct {
    const PlaneLeaf *leaf;
    const Matrix *tile;
    int64_t column;
} LeafPart;

static void leaf_terms(PlaneEmitter *p, const LeafPart *part, Tile *tile) {
    Emitter *e = p->e;
    const PlaneLeaf *leaf = part->leaf;
    LLVMTypeRef vector = vector_of(e, p->real);
    Carried carried;
    Loop loop = loop_begin(e, leaf->k, 0, extent(e, leaf->k), 1);
    carry(e, &loop, tile, &carried);
    LLVMValueRef b[TILE_VECTORS];
    for (uint32_t v = 0; v < tile->vectors; v++) {
        Affine at = panel_at(p, leaf, part->column + v * e->lanes);
        b[v] = load_from(e, vector, emit_pointer_within(e, leaf->panels, &at), p->elem);
    }
    for (int64_t r = 0; r < tile->rows; r++) {
        e->shift[p->plane->m] = r;
        LLVMValueRef a = emit_vector(e, leaf->a);
        place_here(e);
        add_products(e, tile, r, a, b);
    }
    e->shift[p->plane->m] = 0;
    carry_back(e, &loop, tile, &carried);
    loop_end(e, &loop);
}

static uint32_t register_vectors(const Emitter *e) {
    return e->target->vector_registers >= 32 ? TILE_VECTORS : TILE_VECTORS / 2;
}

static void leaf_rows(PlaneEmitter *p, const PlaneLeaf *leaf, const Matrix *to,
                      const Range *range) {
    Emitter *e = p->e;
    Rows rows = rows_begin(p, range);
    int64_t vectors = whole_vectors(e, p->column_count) / e->lanes;
    for (int64_t at = 0; at < vectors; at += register_vectors(e)) {
        Tile tile = {.rows = range->step};
        tile.vectors =
            vectors - at < register_vectors(e) ? (uint32_t)(vectors - at) : register_vectors(e);
        for (int64_t i = 0; i < tile.rows * tile.vectors; i++)
            tile.sums[i] = LLVMConstNull(vector_of(e, p->real));
        leaf_terms(p, &(LeafPart){leaf, to, at * e->lanes}, &tile);
        for (int64_t r = 0; r < tile.rows; r++)
            for (uint32_t v = 0; v < tile.vectors; v++)
                store_to(e, tile.sums[r * tile.vectors + v],
                         matrix_at(e, to, rows.at, r, NULL, (at + v) * e->lanes), p->elem);
    }
    rows_end(p, &rows);
}

static bool is_used(const PlaneEmitter *p, ExprKind kind, uint32_t index) {
    for (uint32_t i = 0; i < p->e->kernel->exprs.count; i++)
        if (p->uses[i] && p->e->exprs[i].kind == kind && p->e->exprs[i].index == index) return true;
    return false;
}

static void emit_leaves(PlaneEmitter *p) {
    Emitter *e = p->e;
    e->vector_axis = (int)p->plane->n;
    e->valid = e->lanes;
    shifts(e, (int)p->plane->m, (int)p->plane->n, -1);
    for (uint32_t i = 0; i < p->plane->leaves.count; i++) {
        Range ranges[2];
        uint32_t count = cut(p->row_count, TILE_ROWS, ranges);
        if (!is_used(p, X_LEAF, i)) continue;
        for (uint32_t k = 0; k < count; k++)
            leaf_rows(p, &p->plane->leaves.at[i], &p->tiles[i], &ranges[k]);
    }
}

/* ---- values ---- */

/* A row of the tile. */
typedef struct {
    PlaneEmitter *p;
    uint32_t number; /* of the pass */
    const PlanePass *pass;
    LLVMValueRef at; /* within the tile */
    LLVMValueRef leaves[MAX_AXES][TILE_VECTORS];
    uint32_t vectors;
} Row;

static void set_part(Emitter *e, ExprKind kind, uint32_t index, uint32_t word, LLVMValueRef value) {
    for (uint32_t i = 0; i < e->kernel->exprs.count; i++) {
        const Expr *x = &e->exprs[i];
        if (x->kind == kind && x->index == index && x->word == word) e->at_hand[i] = value;
    }
}

/* The reductions of all passes before `pass`, at row `at` of the tile. */
static void load_rows(PlaneEmitter *p, uint32_t pass, LLVMValueRef at) {
    Emitter *e = p->e;
    for (uint32_t i = 0; i < pass; i++)
        for (uint32_t w = 0; w < p->plane->passes.at[i].reductions.count; w++)
            set_part(e, X_ROW, i, w,
                     load_from(e, p->real, matrix_at(e, &p->rows[i][w], at, 0, NULL, 0), p->elem));
}

static void load_leaves(Row *row) {
    PlaneEmitter *p = row->p;
    Emitter *e = p->e;
    for (uint32_t i = 0; i < p->plane->leaves.count; i++)
        for (uint32_t v = 0; v < row->vectors && is_used(p, X_LEAF, i); v++)
            row->leaves[i][v] =
                load_from(e, vector_of(e, p->real),
                          matrix_at(e, &p->tiles[i], row->at, 0, NULL, v * e->lanes), p->elem);
}

/* Evaluation goes on at vector v of the row. */
static void set_vector(Row *row, uint32_t v) {
    PlaneEmitter *p = row->p;
    Emitter *e = p->e;
    int64_t left = p->column_count - v * e->lanes;
    e->shift[p->plane->n] = v * e->lanes;
    e->valid = left < e->lanes ? (uint32_t)left : e->lanes;
    for (uint32_t i = 0; i < p->plane->leaves.count; i++)
        set_part(e, X_LEAF, i, 0, row->leaves[i][v]);
}

static LLVMValueRef accumulated(Row *row, const Reduction *reduction, LLVMValueRef sum) {
    Emitter *e = row->p->e;
    for (uint32_t v = 0; v < row->vectors; v++) {
        set_vector(row, v);
        LLVMValueRef next = emit_accumulate(e, reduction->op, reduction->value, sum, true);
        if (e->valid < e->lanes)
            next = LLVMBuildSelect(e->builder, lane_mask(e, e->valid), next, sum, "");
        sum = next;
    }
    return sum;
}

static void emit_reduction(Row *row, uint32_t word, LLVMValueRef scale) {
    PlaneEmitter *p = row->p;
    Emitter *e = p->e;
    LLVMTypeRef vector = vector_of(e, p->real);
    LLVMValueRef place = matrix_at(e, &p->lanes[row->number][word], row->at, 0, NULL, 0);
    LLVMValueRef sum = load_from(e, vector, place, p->elem);
    if (scale) sum = LLVMBuildFMul(e->builder, sum, splat(e, scale), "");
    store_to(e, accumulated(row, &row->pass->reductions.at[word], sum), place, p->elem);
}

/* The running maximum of an online pass, and by what everything so far is to be multiplied. */
static LLVMValueRef emit_maximum(Row *row) {
    PlaneEmitter *p = row->p;
    Emitter *e = p->e;
    const Reduction *max = &row->pass->reductions.at[0];
    LLVMValueRef lowest = LLVMConstNull(vector_of(e, p->real));
    lowest = real_like(lowest, p->elem == E_F64 ? -DBL_MAX : -FLT_MAX);
    LLVMValueRef here = emit_fold(e, OP_REDUCE_MAX, p->elem, accumulated(row, max, lowest));
    LLVMValueRef place = matrix_at(e, &p->rows[row->number][0], row->at, 0, NULL, 0);
    LLVMValueRef before = load_from(e, p->real, place, p->elem);
    LLVMValueRef now = emit_combine(e, OP_REDUCE_MAX, p->elem, before, here);
    store_to(e, now, place, p->elem);
    LLVMValueRef scale = math_exp(e, LLVMBuildFSub(e->builder, before, now, ""));
    store_to(e, scale, matrix_at(e, &p->scale, row->at, 0, NULL, 0), p->elem);
    set_part(e, X_ROW, row->number, 0, now);
    return scale;
}

/* What the sinks take, in place of the leaves, which are in registers by now. */
static void emit_sink_values(Row *row) {
    PlaneEmitter *p = row->p;
    Emitter *e = p->e;
    for (uint32_t v = 0; v < row->vectors; v++) {
        set_vector(row, v);
        for (uint32_t i = 0; i < row->pass->sinks.count; i++) {
            LLVMValueRef value = emit_vector(e, row->pass->sinks.at[i].value);
            place_here(e);
            store_to(e, value, matrix_at(e, &p->tiles[i], row->at, 0, NULL, v * e->lanes), p->elem);
        }
    }
}

static void emit_values(PlaneEmitter *p, uint32_t number) {
    Emitter *e = p->e;
    const PlanePass *pass = &p->plane->passes.at[number];
    e->vector_axis = (int)p->plane->n;
    shifts(e, (int)p->plane->n, -1, -1);
    Rows rows = rows_begin(p, &(Range){0, p->row_count, 1});
    Row row = {.p = p, .number = number, .pass = pass, .at = rows.at};
    row.vectors = (uint32_t)(whole_vectors(e, p->column_count) / e->lanes);
    load_rows(p, number, rows.at);
    load_leaves(&row);
    LLVMValueRef scale = pass->online ? emit_maximum(&row) : NULL;
    for (uint32_t w = pass->online; w < pass->reductions.count; w++) emit_reduction(&row, w, scale);
    emit_sink_values(&row);
    e->shift[p->plane->n] = 0;
    e->valid = e->lanes;
    rows_end(p, &rows);
}

/* ---- sinks ---- */

typedef struct {
    const PlaneSink *sink;
    const Matrix *values, *sums;
    bool online;
} SinkPart;

static void sink_terms(PlaneEmitter *p, const SinkPart *part, LLVMValueRef row, Tile *tile,
                       int64_t columns) {
    Emitter *e = p->e;
    uint32_t axis = part->sink->e;
    Carried carried;
    Loop loop = loop_begin(e, p->plane->n, 0, p->column_count, 1);
    LLVMValueRef at = e->axis[p->plane->n]; /* within the tile */
    carry(e, &loop, tile, &carried);
    e->axis[p->plane->n] = LLVMBuildNSWAdd(e->builder, p->n, at, "");
    LLVMValueRef b[TILE_VECTORS];
    for (uint32_t v = 0; v < tile->vectors; v++) {
        int64_t left = columns - v * e->lanes;
        e->shift[axis] = v * e->lanes;
        e->valid = left < e->lanes ? (uint32_t)left : e->lanes;
        b[v] = emit_vector(e, part->sink->b);
    }
    e->shift[axis] = 0;
    place_here(e);
    for (int64_t r = 0; r < tile->rows; r++) {
        LLVMValueRef place = matrix_at(e, part->values, row, r, at, 0);
        add_products(e, tile, r, splat(e, load_from(e, p->real, place, p->elem)), b);
    }
    carry_back(e, &loop, tile, &carried);
    loop_end(e, &loop);
    e->axis[p->plane->n] = e->within[p->plane->n] = p->n;
    e->axis_scope[p->plane->n] = p->n_scope;
}

/* A register tile: rows of `range`, `columns` of e from the loop's on. */
static void sink_tile(PlaneEmitter *p, const SinkPart *part, LLVMValueRef row, int64_t rows,
                      int64_t columns) {
    Emitter *e = p->e;
    LLVMTypeRef vector = vector_of(e, p->real);
    LLVMValueRef first = e->axis[part->sink->e];
    Tile tile = {.rows = rows, .vectors = (uint32_t)(whole_vectors(e, columns) / e->lanes)};
    for (int64_t r = 0; r < rows; r++)
        for (uint32_t v = 0; v < tile.vectors; v++) {
            LLVMValueRef place = matrix_at(e, part->sums, row, r, first, v * e->lanes);
            LLVMValueRef sum = load_from(e, vector, place, p->elem);
            if (part->online) {
                LLVMValueRef scale = matrix_at(e, &p->scale, row, r, NULL, 0);
                scale = splat(e, load_from(e, p->real, scale, p->elem));
                sum = LLVMBuildFMul(e->builder, sum, scale, "");
            }
            tile.sums[r * tile.vectors + v] = sum;
        }
    sink_terms(p, part, row, &tile, columns);
    place_here(e);
    for (int64_t r = 0; r < rows; r++)
        for (uint32_t v = 0; v < tile.vectors; v++)
            store_to(e, tile.sums[r * tile.vectors + v],
                     matrix_at(e, part->sums, row, r, first, v * e->lanes), p->elem);
}

static void sink_rows(PlaneEmitter *p, const SinkPart *part, const Range *range) {
    Emitter *e = p->e;
    uint32_t axis = part->sink->e;
    Range ranges[2];
    uint32_t count = cut(extent(e, axis), register_vectors(e) * (int64_t)e->lanes, ranges);
    Rows rows = rows_begin(p, range);
    for (uint32_t i = 0; i < count; i++) {
        Loop across = loop_begin(e, axis, ranges[i].from, ranges[i].to, ranges[i].step);
        sink_tile(p, part, rows.at, range->step, ranges[i].step);
        loop_end(e, &across);
    }
    rows_end(p, &rows);
}

static void emit_sinks(PlaneEmitter *p, uint32_t number) {
    Emitter *e = p->e;
    const PlanePass *pass = &p->plane->passes.at[number];
    for (uint32_t i = 0; i < pass->sinks.count; i++) {
        SinkPart part = {&pass->sinks.at[i], &p->tiles[i], &p->sums[number][i], pass->online};
        Range ranges[2];
        uint32_t count = cut(p->row_count, TILE_ROWS, ranges);
        e->vector_axis = (int)part.sink->e;
        shifts(e, (int)part.sink->e, -1, -1);
        for (uint32_t k = 0; k < count; k++) sink_rows(p, &part, &ranges[k]);
    }
    e->valid = e->lanes;
}

/* ---- passes ---- */

/* Every element of the rows at hand becomes `value`, a scalar. */
static void fill(PlaneEmitter *p, const Matrix *matrix, LLVMValueRef value) {
    Emitter *e = p->e;
    Rows rows = rows_begin(p, &(Range){0, p->row_count, 1});
    for (int64_t at = 0; at < matrix->pitch; at += matrix->pitch == 1 ? 1 : e->lanes)
        store_to(e, matrix->pitch == 1 ? value : splat(e, value),
                 matrix_at(e, matrix, rows.at, 0, NULL, at), p->elem);
    rows_end(p, &rows);
}

static void open_pass(PlaneEmitter *p, uint32_t number) {
    const PlanePass *pass = &p->plane->passes.at[number];
    LLVMValueRef zero = LLVMConstNull(p->real);
    LLVMValueRef lowest = real_like(zero, p->elem == E_F64 ? -DBL_MAX : -FLT_MAX);
    LLVMValueRef least = real_like(zero, -__builtin_inf());
    if (pass->online) fill(p, &p->rows[number][0], lowest);
    for (uint32_t w = pass->online; w < pass->reductions.count; w++)
        fill(p, &p->lanes[number][w], pass->reductions.at[w].op == OP_SUM ? zero : least);
    for (uint32_t i = 0; i < pass->sinks.count; i++) fill(p, &p->sums[number][i], zero);
}

static void close_pass(PlaneEmitter *p, uint32_t number) {
    Emitter *e = p->e;
    const PlanePass *pass = &p->plane->passes.at[number];
    if (pass->reductions.count <= pass->online) return;
    Rows rows = rows_begin(p, &(Range){0, p->row_count, 1});
    for (uint32_t w = pass->online; w < pass->reductions.count; w++) {
        LLVMValueRef place = matrix_at(e, &p->lanes[number][w], rows.at, 0, NULL, 0);
        LLVMValueRef lanes = load_from(e, vector_of(e, p->real), place, p->elem);
        LLVMValueRef value = emit_fold(e, pass->reductions.at[w].op, p->elem, lanes);
        store_to(e, value, matrix_at(e, &p->rows[number][w], rows.at, 0, NULL, 0), p->elem);
    }
    rows_end(p, &rows);
}

/* Code inside runs only where the tile has points before the mask. */
typedef struct {
    LLVMBasicBlockRef after;
} Condition;

/* Is the least value of `beyond` in the tile positive? */
static LLVMValueRef is_empty(const PlaneEmitter *p) {
    Emitter *e = p->e;
    const Plane *plane = p->plane;
    int64_t m = plane->beyond.coeff[plane->m], n = plane->beyond.coeff[plane->n];
    int64_t least = plane->beyond.offset + (m < 0 ? m * (p->row_count - 1) : 0) +
                    (n < 0 ? n * (p->column_count - 1) : 0);
    LLVMValueRef of_m = LLVMBuildNSWMul(e->builder, p->m, i64(e, m), "");
    LLVMValueRef of_n = LLVMBuildNSWMul(e->builder, p->n, i64(e, n), "");
    LLVMValueRef sum = LLVMBuildNSWAdd(e->builder, of_m, of_n, "");
    return LLVMBuildICmp(e->builder, LLVMIntSGT, sum, i64(e, -least), "");
}

static Condition condition_begin(PlaneEmitter *p) {
    Emitter *e = p->e;
    place_here(e);
    LLVMValueRef empty = is_empty(p);
    LLVMBasicBlockRef outside = e->here;
    scope_enter(e);
    Condition condition = {LLVMAppendBasicBlockInContext(e->context, e->function, "")};
    LLVMInstructionEraseFromParent(LLVMGetBasicBlockTerminator(outside));
    LLVMPositionBuilderAtEnd(e->builder, outside);
    LLVMBuildCondBr(e->builder, empty, condition.after, e->here);
    place_here(e);
    return condition;
}

static void condition_end(PlaneEmitter *p, const Condition *condition) {
    Emitter *e = p->e;
    place_here(e);
    LLVMBuildBr(e->builder, condition->after);
    e->here = condition->after;
    scope_leave(e);
}

static void emit_tile(PlaneEmitter *p, uint32_t number) {
    Condition condition = {NULL};
    if (p->plane->masked) condition = condition_begin(p);
    emit_leaves(p);
    emit_values(p, number);
    emit_sinks(p, number);
    if (p->plane->masked) condition_end(p, &condition);
}

static void emit_columns(PlaneEmitter *p, void *context) {
    Emitter *e = p->e;
    uint32_t number = *(const uint32_t *)context, n = p->plane->n;
    Range ranges[2];
    uint32_t count = cut(extent(e, n), p->plane->tile_n, ranges);
    for (uint32_t i = 0; i < count; i++) {
        Loop across = loop_begin(e, n, ranges[i].from, ranges[i].to, ranges[i].step);
        p->n = e->axis[n];
        p->n_scope = e->axis_scope[n];
        p->column_count = ranges[i].step;
        emit_tile(p, number);
        loop_end(e, &across);
    }
}

/* ---- stores ---- */

static int sum_axis(const PlaneEmitter *p, const Store *store) {
    for (uint32_t i = 0; i < p->plane->passes.count; i++)
        for (uint32_t s = 0; s < p->plane->passes.at[i].sinks.count; s++) {
            uint32_t axis = p->plane->passes.at[i].sinks.at[s].e;
            if (p->e->axes_of[store->value] >> axis & 1) return (int)axis;
        }
    return -1;
}

/* The sinks' sums over axis e at row `at`, lanes from the current e on. */
static void load_sums(PlaneEmitter *p, uint32_t axis, LLVMValueRef at) {
    Emitter *e = p->e;
    for (uint32_t i = 0; i < p->plane->passes.count; i++)
        for (uint32_t s = 0; s < p->plane->passes.at[i].sinks.count; s++) {
            if (p->plane->passes.at[i].sinks.at[s].e != axis) continue;
            LLVMValueRef place = matrix_at(e, &p->sums[i][s], at, 0, e->axis[axis], 0);
            set_part(e, X_SUM, i, s, load_from(e, vector_of(e, p->real), place, p->elem));
        }
}

static void store_sums(PlaneEmitter *p, const Store *store, uint32_t axis, LLVMValueRef at) {
    Emitter *e = p->e;
    Range ranges[2];
    uint32_t count = cut(extent(e, axis), e->lanes, ranges);
    for (uint32_t i = 0; i < count; i++) {
        Loop across = loop_begin(e, axis, ranges[i].from, ranges[i].to, ranges[i].step);
        e->vector_axis = (int)axis;
        e->valid = (uint32_t)ranges[i].step;
        load_sums(p, axis, at);
        LLVMValueRef value = emit_vector(e, store->value);
        emit_store(e, store->buffer, &store->at, value, true);
        loop_end(e, &across);
    }
    e->valid = e->lanes;
}

static void emit_stores(PlaneEmitter *p) {
    Emitter *e = p->e;
    uint32_t passes = p->plane->passes.count;
    for (uint32_t i = 0; i < p->plane->stores.count; i++) {
        const Store *store = &p->plane->stores.at[i];
        int axis = sum_axis(p, store);
        shifts(e, -1, -1, -1);
        e->vector_axis = -1;
        Rows rows = rows_begin(p, &(Range){0, p->row_count, 1});
        load_rows(p, passes, rows.at);
        if (axis >= 0)
            store_sums(p, store, (uint32_t)axis, rows.at);
        else
            emit_store(e, store->buffer, &store->at, emit_value(e, store->value), false);
        rows_end(p, &rows);
    }
}

/* ---- the kernel ---- */

static void open_matrices(PlaneEmitter *p) {
    Emitter *e = p->e;
    const Plane *plane = p->plane;
    uint32_t count = plane->leaves.count, passes = plane->passes.count;
    p->rows = arena_alloc(e->arena, passes * sizeof *p->rows);
    p->lanes = arena_alloc(e->arena, passes * sizeof *p->lanes);
    p->sums = arena_alloc(e->arena, passes * sizeof *p->sums);
    for (uint32_t i = 0; i < passes; i++) {
        const PlanePass *pass = &plane->passes.at[i];
        uint32_t reductions = pass->reductions.count, sinks = pass->sinks.count;
        if (sinks > count) count = sinks;
        p->rows[i] = arena_alloc(e->arena, (reductions + 1) * sizeof **p->rows);
        p->lanes[i] = arena_alloc(e->arena, (reductions + 1) * sizeof **p->lanes);
        p->sums[i] = arena_alloc(e->arena, (sinks + 1) * sizeof **p->sums);
        for (uint32_t w = 0; w < reductions; w++) {
            p->rows[i][w] = matrix_new(p, 1);
            p->lanes[i][w] = matrix_new(p, e->lanes);
        }
        for (uint32_t s = 0; s < sinks; s++)
            p->sums[i][s] = matrix_new(p, whole_vectors(e, extent(e, pass->sinks.at[s].e)));
    }
    for (uint32_t i = 0; i < count; i++) p->tiles[i] = matrix_new(p, plane->tile_n);
    p->scale = matrix_new(p, 1);
}

static void emit_rows(PlaneEmitter *p) {
    Emitter *e = p->e;
    uint32_t m = p->plane->m;
    Range ranges[2];
    uint32_t count = cut(extent(e, m), p->plane->tile_m, ranges);
    for (uint32_t i = 0; i < count; i++) {
        Loop down = loop_begin(e, m, ranges[i].from, ranges[i].to, ranges[i].step);
        p->m = e->axis[m];
        p->m_scope = e->axis_scope[m];
        p->row_count = ranges[i].step;
        for (uint32_t pass = 0; pass < p->plane->passes.count; pass++) {
            plane_pass_uses(e->kernel, pass, p->uses);
            open_pass(p, pass);
            around_loops(p, 0, emit_columns, &pass);
            close_pass(p, pass);
        }
        emit_stores(p);
        loop_end(e, &down);
    }
}

void emit_plane(Emitter *e) {
    PlaneEmitter p = {.e = e, .plane = e->kernel->plane};
    e->lanes = e->valid = e->kernel->lanes;
    e->stage_scope = e->top;
    for (uint32_t i = 0; i < e->kernel->exprs.count; i++)
        if (e->exprs[i].kind == X_LEAF) p.elem = e->exprs[i].elem;
    p.real = elem_type(e, p.elem);
    p.uses = arena_alloc(e->arena, e->kernel->exprs.count + 1);
    open_matrices(&p);
    for (uint32_t i = 0; i < p.plane->leaves.count; i++)
        around_loops(&p, 0, pack_leaf, &p.plane->leaves.at[i]);
    emit_rows(&p);
}
