/* Expressions -> IR: every value in the outermost scope where it is known, remembered there.
 *
 * Which products go unrounded into a sum (fma) the kernel says, not LLVM: the graph gives the same
 * bits in the vector loop, in its tail and in scalar code, and however it is cut into kernels. No
 * fast-math flag is ever set. */
#include "compiler/emit/emit_nest.h"

#include <assert.h>

#include "compiler/emit/emit_llvm.h"

/* ---- types ---- */

LLVMTypeRef elem_type(const Emitter *e, Elem elem) {
    switch (elem) {
    case E_BOOL: return LLVMInt1TypeInContext(e->context);
    case E_U8: return LLVMInt8TypeInContext(e->context);
    case E_I32:
    case E_U32: return LLVMInt32TypeInContext(e->context);
    case E_F32: return LLVMFloatTypeInContext(e->context);
    case E_F64: return LLVMDoubleTypeInContext(e->context);
    }
    return NULL;
}

LLVMTypeRef memory_type(const Emitter *e, Elem elem) {
    return elem_type(e, elem == E_BOOL ? E_U8 : elem);
}

LLVMTypeRef vector_of(const Emitter *e, LLVMTypeRef scalar) {
    return e->lanes > 1 ? LLVMVectorType(scalar, e->lanes) : scalar;
}

static LLVMValueRef i64(const Emitter *e, int64_t number) {
    return LLVMConstInt(LLVMInt64TypeInContext(e->context), (unsigned long long)number, true);
}

static bool has_lanes(LLVMValueRef value) {
    return LLVMGetTypeKind(LLVMTypeOf(value)) == LLVMVectorTypeKind;
}

LLVMValueRef splat(Emitter *e, LLVMValueRef scalar) {
    if (e->lanes == 1 || has_lanes(scalar)) return scalar;
    LLVMTypeRef type = vector_of(e, LLVMTypeOf(scalar));
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context);
    LLVMValueRef first = LLVMBuildInsertElement(e->builder, LLVMGetPoison(type), scalar,
                                                LLVMConstInt(i32, 0, false), "");
    return LLVMBuildShuffleVector(e->builder, first, LLVMGetPoison(type),
                                  LLVMConstNull(LLVMVectorType(i32, e->lanes)), "");
}

LLVMValueRef lane_mask(Emitter *e, uint32_t valid) {
    LLVMValueRef lanes[64];
    for (uint32_t i = 0; i < e->lanes; i++)
        lanes[i] = LLVMConstInt(LLVMInt1TypeInContext(e->context), i < valid, false);
    return LLVMConstVector(lanes, e->lanes);
}

/* first, first + step, … as a constant vector. */
static LLVMValueRef lane_numbers(Emitter *e, LLVMTypeRef type, int64_t step) {
    LLVMValueRef lanes[64];
    for (uint32_t i = 0; i < e->lanes; i++)
        lanes[i] = LLVMConstInt(type, (unsigned long long)(step * i), true);
    return LLVMConstVector(lanes, e->lanes);
}

/* ---- where ---- */

static uint32_t all_axes(const Emitter *e) {
    return e->kernel->axis_count + e->kernel->part_count;
}

uint32_t vector_axes(const Emitter *e) {
    if (e->lanes == 1 || e->vector_axis < 0) return 0;
    const Axis *axis = &e->kernel->axes[e->vector_axis];
    uint32_t set = 1u << e->vector_axis;
    return axis->of && axis->below == 1 ? set | 1u << (axis->of - 1) : set;
}

bool is_vector(const Emitter *e, int expr) {
    return e->axes_of[expr] & vector_axes(e);
}

static uint32_t later(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}

uint32_t scope_of(const Emitter *e, int expr) {
    uint32_t scope = e->late[expr] ? e->stage_scope : 0;
    for (uint32_t axis = 0; axis < all_axes(e); axis++)
        if (e->axes_of[expr] >> axis & 1) scope = later(scope, e->axis_scope[axis]);
    if (e->axes_of[expr] & e->epilogue_axes) scope = later(scope, e->epilogue_scope);
    return scope;
}

static uint64_t key_of(const Emitter *e, uint32_t axes) {
    uint64_t key = (uint64_t)(e->vector_axis + 1) << 56;
    for (int i = 0, at = 0; i < MAX_SHIFTED; i++) {
        int bits = i < FEW_SHIFTS ? SHIFT_BITS : FEW_SHIFT_BITS, axis = e->shifted[i];
        if (axis >= 0 && (axes >> axis & 1)) {
            assert(e->shift[axis] < 1 << bits);
            key |= (uint64_t)e->shift[axis] << at;
        }
        at += bits;
    }
    return key;
}

/* The slot of a value in `scope`, empty at first. Valid until the next call for the same
 * expression. */
static Remembered *recall(Emitter *e, Memory *memory, uint32_t scope, uint64_t key) {
    if (memory->serial != e->scopes[scope].serial) {
        memory->serial = e->scopes[scope].serial;
        memory->values.count = 0;
    }
    for (uint32_t i = memory->values.count; i-- > 0;)
        if (memory->values.at[i].key == key) return &memory->values.at[i];
    vec_push(e->arena, &memory->values, (Remembered){.key = key});
    return &memory->values.at[memory->values.count - 1];
}

/* ---- addresses ---- */

LLVMValueRef base_of(const Emitter *e, const Buffer *buffer) {
    for (uint32_t i = 0; i < e->kernel->buffers.count; i++)
        if (e->kernel->buffers.at[i] == buffer) return e->bases[i];
    for (uint32_t i = 0; i < e->kernel->locals.count; i++)
        if (e->kernel->locals.at[i] == buffer) return e->bases[e->kernel->buffers.count + i];
    assert(!"buffer is not among the kernel's");
    return NULL;
}

static LLVMValueRef offset_pointer(Emitter *e, LLVMTypeRef type, LLVMValueRef base,
                                   LLVMValueRef index) {
    return LLVMBuildInBoundsGEP2(e->builder, type, base, &index, 1, "");
}

/* The loops' part of sum coeff[a] * values[a], without shifts and constant, over `axes`; added from
 * the outermost scope inwards, each sum in its own scope. *scope: where it is known. */
static LLVMValueRef affine_sum(Emitter *e, const Affine *at, const LLVMValueRef *values,
                               uint32_t axes, LLVMValueRef start, uint32_t *scope) {
    LLVMValueRef sum = start;
    for (uint32_t level = 0; level <= e->top; level++)
        for (uint32_t axis = 0; axis < all_axes(e); axis++) {
            if (!(axes >> axis & 1) || !at->coeff[axis] || e->axis_scope[axis] != level) continue;
            *scope = later(*scope, level);
            place_at(e, *scope);
            LLVMValueRef term =
                LLVMBuildNSWMul(e->builder, values[axis], i64(e, at->coeff[axis]), "");
            sum = LLVMBuildNSWAdd(e->builder, sum, term, "");
        }
    return sum;
}

static int64_t affine_shift(const Emitter *e, const Affine *at) {
    int64_t sum = at->offset;
    for (int i = 0; i < MAX_SHIFTED; i++)
        if (e->shifted[i] >= 0) sum += at->coeff[e->shifted[i]] * e->shift[e->shifted[i]];
    return sum;
}

static uint32_t affine_axes(const Emitter *e, const Affine *at) {
    uint32_t axes = 0;
    for (uint32_t axis = 0; axis < all_axes(e); axis++)
        if (at->coeff[axis]) axes |= 1u << axis;
    return axes;
}

static uint32_t axes_scope(const Emitter *e, uint32_t axes) {
    uint32_t scope = 0;
    for (uint32_t axis = 0; axis < all_axes(e); axis++)
        if (axes >> axis & 1) scope = later(scope, e->axis_scope[axis]);
    return scope;
}

/* Elements from one lane to the next. */
static int64_t lane_stride(const Emitter *e, const Affine *at) {
    int64_t stride = 0;
    uint32_t moving = vector_axes(e);
    for (uint32_t axis = 0; axis < all_axes(e); axis++)
        if (moving >> axis & 1) stride += at->coeff[axis];
    return stride;
}

/* Affine form as i64 at the current shifts; a vector if lanes step along it. */
static LLVMValueRef affine_value(Emitter *e, const Affine *at, uint32_t place) {
    uint32_t scope = 0;
    LLVMTypeRef wide = LLVMInt64TypeInContext(e->context);
    LLVMValueRef sum = affine_sum(e, at, e->axis, ~0u, i64(e, 0), &scope);
    place_at(e, place);
    sum = LLVMBuildNSWAdd(e->builder, sum, i64(e, affine_shift(e, at)), "");
    if (!(affine_axes(e, at) & vector_axes(e))) return sum;
    LLVMValueRef lanes = lane_numbers(e, wide, lane_stride(e, at));
    return LLVMBuildAdd(e->builder, splat(e, sum), lanes, "");
}

/* How a load finds its element: base + run + gathered row + rest / divide + lookup * pitch. `run`
 * is affine and divided already; what does not divide evenly is `rest`. */
typedef struct {
    int expr;
    const Expr *x;
    Affine run, rest;
    bool row_varies, lookup_varies, rest_varies; /* from lane to lane */
} Place;

static Place place_of(const Emitter *e, int expr) {
    const Expr *x = &e->exprs[expr];
    Place place = {.expr = expr, .x = x, .run = x->at};
    int64_t divide = x->divide > 1 ? x->divide : 1;
    for (uint32_t axis = 0; axis < all_axes(e); axis++) {
        if (x->at.coeff[axis] % divide) place.rest.coeff[axis] = x->at.coeff[axis];
        place.run.coeff[axis] = x->at.coeff[axis] % divide ? 0 : x->at.coeff[axis] / divide;
    }
    if (x->at.offset % divide) place.rest.offset = x->at.offset;
    place.run.offset = x->at.offset % divide ? 0 : x->at.offset / divide;
    uint32_t moving = is_vector(e, expr) ? vector_axes(e) : 0;
    place.row_varies = x->gather >= 0 && (moving >> x->gather & 1);
    place.lookup_varies = x->lookup >= 0 && (moving & e->axes_of[x->lookup]);
    place.rest_varies = moving & affine_axes(e, &place.rest);
    if (x->gather >= 0) place.run.coeff[x->gather] = 0;
    return place;
}

/* index[gather axis] times its stride; a vector where it varies from lane to lane. */
static LLVMValueRef gathered(Emitter *e, const Place *place, uint32_t *scope) {
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context), wide = LLVMInt64TypeInContext(e->context);
    int axis = place->x->gather;
    *scope = later(*scope, e->axis_scope[axis]);
    place_at(e, *scope);
    LLVMValueRef at = LLVMBuildNSWAdd(e->builder, e->axis[axis], i64(e, e->shift[axis]), "");
    LLVMValueRef pointer = offset_pointer(e, i32, base_of(e, e->kernel->index), at), row;
    if (place->row_varies) {
        LLVMTypeRef types[] = {vector_of(e, i32), LLVMTypeOf(pointer)};
        LLVMValueRef arguments[] = {pointer, LLVMConstInt(i32, 4, false), lane_mask(e, e->valid),
                                    LLVMConstNull(types[0])};
        row = emit_intrinsic(e, "llvm.masked.load", types, 2, arguments, 4);
        row = LLVMBuildSExt(e->builder, row, vector_of(e, wide), "");
    } else {
        row = LLVMBuildSExt(e->builder, LLVMBuildLoad2(e->builder, i32, pointer, ""), wide, "");
    }
    int64_t divide = place->x->divide > 1 ? place->x->divide : 1; /* rows are whole */
    LLVMValueRef stride = integer_like(LLVMTypeOf(row), place->x->at.coeff[axis] / divide);
    return LLVMBuildNSWMul(e->builder, row, stride, "");
}

/* lookup * pitch. Where the guard is false its value is anything, and so is the place. */
static LLVMValueRef looked_up(Emitter *e, const Place *place, uint32_t *scope) {
    int lookup = place->x->lookup;
    LLVMTypeRef wide = LLVMInt64TypeInContext(e->context);
    LLVMValueRef row = place->lookup_varies ? emit_vector(e, lookup) : emit_value(e, lookup);
    *scope = later(*scope, scope_of(e, lookup));
    place_at(e, *scope);
    row = LLVMBuildSExt(e->builder, row, place->lookup_varies ? vector_of(e, wide) : wide, "");
    return LLVMBuildMul(e->builder, row, integer_like(LLVMTypeOf(row), place->x->pitch), "");
}

static LLVMValueRef divided(Emitter *e, const Place *place, uint32_t *scope) {
    *scope = later(*scope, axes_scope(e, affine_axes(e, &place->rest)));
    LLVMValueRef rest = affine_value(e, &place->rest, *scope);
    LLVMValueRef divide = integer_like(LLVMTypeOf(rest), place->x->divide);
    return LLVMBuildSDiv(e->builder, rest, divide, "");
}

/* What is not affine and the same in all lanes. First in the sum: loops inside do not look it up
 * again. */
static LLVMValueRef scalar_terms(Emitter *e, const Place *place, uint32_t *scope) {
    const Expr *x = place->x;
    LLVMValueRef sum = i64(e, 0), term;
    if (x->gather >= 0 && !place->row_varies) sum = gathered(e, place, scope);
    if (x->lookup >= 0 && !place->lookup_varies) {
        term = looked_up(e, place, scope);
        sum = LLVMBuildAdd(e->builder, sum, term, "");
    }
    if (x->divide > 1 && !place->rest_varies) {
        term = divided(e, place, scope);
        sum = LLVMBuildAdd(e->builder, sum, term, "");
    }
    return sum;
}

/* Axes whose shifts are in the pointer already. */
static uint32_t shifted_axes(const Emitter *e, const Place *place) {
    const Expr *x = place->x;
    uint32_t axes = 0;
    if (x->gather >= 0 && !place->row_varies) axes |= 1u << x->gather;
    if (x->lookup >= 0 && !place->lookup_varies) axes |= e->axes_of[x->lookup];
    if (!place->rest_varies) axes |= affine_axes(e, &place->rest);
    return axes;
}

/* Pointer to the load's element for lane 0, without the shifts and the constant of its run: these
 * are added to it in the place of use. */
static LLVMValueRef load_pointer(Emitter *e, const Place *place) {
    const Expr *x = place->x;
    uint32_t shifted = shifted_axes(e, place), at = 0;
    uint32_t scope = axes_scope(e, affine_axes(e, &place->run) | shifted);
    if (e->late[place->expr]) scope = later(scope, e->stage_scope);
    if (x->lookup >= 0 && !place->lookup_varies) scope = later(scope, scope_of(e, x->lookup));
    uint64_t key = key_of(e, shifted);
    LLVMValueRef known = recall(e, &e->pointers[place->expr], scope, key)->value;
    if (known) return known;
    LLVMValueRef index = scalar_terms(e, place, &at);
    index =
        affine_sum(e, &place->run, e->packed[place->expr] ? e->within : e->axis, ~0u, index, &at);
    place_at(e, scope);
    LLVMTypeRef type = memory_type(e, x->elem);
    LLVMValueRef pointer = offset_pointer(e, type, base_of(e, x->buffer), index);
    recall(e, &e->pointers[place->expr], scope, key)->value = pointer;
    return pointer;
}

/* Elements from lane 0's, as a vector; NULL: they follow each other. */
static LLVMValueRef lane_offsets(Emitter *e, const Place *place, uint32_t scope) {
    LLVMTypeRef wide = LLVMInt64TypeInContext(e->context);
    int64_t stride = lane_stride(e, &place->run);
    bool varies = place->row_varies || place->lookup_varies || place->rest_varies;
    if (!varies && stride == 1) return NULL;
    LLVMValueRef sum = lane_numbers(e, wide, stride), terms[3];
    uint32_t count = 0, at = 0;
    if (place->row_varies) terms[count++] = gathered(e, place, &at);
    if (place->lookup_varies) terms[count++] = looked_up(e, place, &at);
    if (place->rest_varies) terms[count++] = divided(e, place, &at);
    place_at(e, scope);
    for (uint32_t i = 0; i < count; i++) sum = LLVMBuildAdd(e->builder, sum, terms[i], "");
    return sum;
}

/* ---- loads ---- */

static LLVMValueRef from_memory(Emitter *e, Elem elem, LLVMValueRef value) {
    if (elem != E_BOOL) return value;
    LLVMValueRef zero = LLVMConstNull(LLVMTypeOf(value));
    return LLVMBuildICmp(e->builder, LLVMIntNE, value, zero, "");
}

/* A scalar; a false guard turns the address into the buffer's first element, which can always be
 * read. */
static LLVMValueRef load_scalar(Emitter *e, int expr, LLVMValueRef guard) {
    Place place = place_of(e, expr);
    const Expr *x = place.x;
    LLVMTypeRef type = memory_type(e, x->elem);
    LLVMValueRef pointer = load_pointer(e, &place);
    place_at(e, scope_of(e, expr));
    pointer = offset_pointer(e, type, pointer, i64(e, affine_shift(e, &place.run)));
    if (guard) pointer = LLVMBuildSelect(e->builder, guard, pointer, base_of(e, x->buffer), "");
    LLVMValueRef value = LLVMBuildLoad2(e->builder, type, pointer, "");
    LLVMSetAlignment(value, elem_bytes(x->elem));
    if (guard) value = LLVMBuildSelect(e->builder, guard, value, LLVMConstNull(type), "");
    return from_memory(e, x->elem, value);
}

static LLVMValueRef mask_of(Emitter *e, LLVMValueRef guard) {
    LLVMValueRef lanes = lane_mask(e, e->valid);
    return guard ? LLVMBuildAnd(e->builder, splat(e, guard), lanes, "") : lanes;
}

static LLVMValueRef load_lanes(Emitter *e, const Expr *x, LLVMValueRef pointer,
                               LLVMValueRef guard) {
    LLVMTypeRef type = vector_of(e, memory_type(e, x->elem));
    if (!guard && e->valid == e->lanes) {
        LLVMValueRef value = LLVMBuildLoad2(e->builder, type, pointer, "");
        LLVMSetAlignment(value, elem_bytes(x->elem));
        return value;
    }
    LLVMTypeRef types[] = {type, LLVMTypeOf(pointer)};
    LLVMValueRef align =
        LLVMConstInt(LLVMInt32TypeInContext(e->context), elem_bytes(x->elem), false);
    LLVMValueRef arguments[] = {pointer, align, mask_of(e, guard), LLVMConstNull(type)};
    return emit_intrinsic(e, "llvm.masked.load", types, 2, arguments, 4);
}

static LLVMValueRef load_gather(Emitter *e, const Expr *x, LLVMValueRef pointer,
                                LLVMValueRef offsets, LLVMValueRef guard) {
    LLVMTypeRef type = vector_of(e, memory_type(e, x->elem));
    LLVMValueRef pointers = offset_pointer(e, memory_type(e, x->elem), pointer, offsets);
    LLVMTypeRef types[] = {type, LLVMTypeOf(pointers)};
    LLVMValueRef align =
        LLVMConstInt(LLVMInt32TypeInContext(e->context), elem_bytes(x->elem), false);
    LLVMValueRef arguments[] = {pointers, align, mask_of(e, guard), LLVMConstNull(type)};
    return emit_intrinsic(e, "llvm.masked.gather", types, 2, arguments, 4);
}

static LLVMValueRef load_vector(Emitter *e, int expr, LLVMValueRef guard) {
    Place place = place_of(e, expr);
    const Expr *x = place.x;
    uint32_t scope = scope_of(e, expr);
    LLVMValueRef pointer = load_pointer(e, &place), offsets = lane_offsets(e, &place, scope);
    place_at(e, scope);
    pointer =
        offset_pointer(e, memory_type(e, x->elem), pointer, i64(e, affine_shift(e, &place.run)));
    LLVMValueRef value =
        offsets ? load_gather(e, x, pointer, offsets, guard) : load_lanes(e, x, pointer, guard);
    return from_memory(e, x->elem, value);
}

void emit_prefetch(Emitter *e, int expr) {
    Place place = place_of(e, expr);
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context), type = memory_type(e, place.x->elem);
    LLVMValueRef pointer = load_pointer(e, &place);
    place_here(e);
    LLVMValueRef shift = i64(e, affine_shift(e, &place.run));
    pointer = LLVMBuildGEP2(e->builder, type, pointer, &shift, 1, "");
    LLVMTypeRef types[] = {LLVMTypeOf(pointer)};
    LLVMValueRef arguments[] = {pointer, LLVMConstInt(i32, 0, false) /* to read */,
                                LLVMConstInt(i32, 3, false) /* to all caches */,
                                LLVMConstInt(i32, 1, false) /* data */};
    emit_intrinsic(e, "llvm.prefetch", types, 1, arguments, 4);
}

static LLVMValueRef value_load(Emitter *e, int expr) {
    const Expr *x = &e->exprs[expr];
    LLVMValueRef guard = x->guard >= 0 ? emit_value(e, x->guard) : NULL;
    return is_vector(e, expr) ? load_vector(e, expr, guard) : load_scalar(e, expr, guard);
}

/* ---- leaves ---- */

static LLVMValueRef value_const(Emitter *e, const Expr *x) {
    LLVMTypeRef type = elem_type(e, x->elem);
    if (elem_is_real(x->elem)) return LLVMConstReal(type, x->number);
    return LLVMConstInt(type, (unsigned long long)(int64_t)x->number, true);
}

static LLVMTypeRef like_lanes(const Emitter *e, LLVMValueRef shape, LLVMTypeRef scalar) {
    return has_lanes(shape) ? vector_of(e, scalar) : scalar;
}

static LLVMValueRef value_axis(Emitter *e, int expr) {
    LLVMValueRef value = affine_value(e, &e->exprs[expr].at, scope_of(e, expr));
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context);
    return LLVMBuildTrunc(e->builder, value, like_lanes(e, value, i32), "");
}

static LLVMValueRef header_word(Emitter *e, LLVMTypeRef type, int64_t bytes) {
    LLVMTypeRef i8 = LLVMInt8TypeInContext(e->context);
    LLVMValueRef pointer = offset_pointer(e, i8, base_of(e, e->kernel->header), i64(e, bytes));
    return LLVMBuildLoad2(e->builder, type, pointer, "");
}

static LLVMValueRef value_step(Emitter *e, const Expr *x) {
    place_at(e, 0);
    LLVMValueRef step = header_word(e, LLVMInt64TypeInContext(e->context), HEADER_STEP);
    LLVMTypeRef type = elem_type(e, x->elem);
    if (elem_is_real(x->elem)) return LLVMBuildUIToFP(e->builder, step, type, "");
    return LLVMBuildTrunc(e->builder, step, type, "");
}

/* ---- random bits ---- */

static bool same_affine(const Affine *a, const Affine *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

/* The first expression that reads the same Philox block. */
static int block_owner(const Emitter *e, int expr) {
    const Expr *x = &e->exprs[expr];
    for (int i = 0; i < expr; i++) {
        const Expr *y = &e->exprs[i];
        if (y->kind == X_RANDOM && y->site == x->site && y->row == x->row &&
            same_affine(&x->at, &y->at))
            return i;
    }
    return expr;
}

static LLVMValueRef element_number(Emitter *e, int expr, uint32_t scope) {
    const Expr *x = &e->exprs[expr];
    LLVMValueRef number = affine_value(e, &x->at, scope);
    if (!x->row) return number;
    LLVMValueRef first = header_word(e, LLVMInt64TypeInContext(e->context), HEADER_FIRST_EXAMPLE);
    first = LLVMBuildMul(e->builder, first, i64(e, x->row), "");
    if (has_lanes(number)) first = splat(e, first);
    return LLVMBuildAdd(e->builder, number, first, "");
}

static void random_block(Emitter *e, int expr, LLVMValueRef out[4]) {
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context), wide = LLVMInt64TypeInContext(e->context);
    uint32_t scope = scope_of(e, expr);
    LLVMValueRef number = element_number(e, expr, scope);
    LLVMTypeRef type = like_lanes(e, number, i32);
    LLVMValueRef high = LLVMBuildLShr(e->builder, number, integer_like(LLVMTypeOf(number), 32), "");
    LLVMValueRef step = LLVMBuildTrunc(e->builder, header_word(e, wide, HEADER_STEP), i32, "");
    LLVMValueRef key[] = {header_word(e, i32, HEADER_KEY), header_word(e, i32, HEADER_KEY + 4)};
    LLVMValueRef counter[] = {LLVMBuildTrunc(e->builder, number, type, ""),
                              LLVMBuildTrunc(e->builder, high, type, ""), step,
                              integer_like(type, (int32_t)e->exprs[expr].site)};
    if (has_lanes(number)) {
        counter[2] = splat(e, step);
        for (int i = 0; i < 2; i++) key[i] = splat(e, key[i]);
    }
    math_philox(e, counter, key, out);
}

static LLVMValueRef value_random(Emitter *e, int expr) {
    int owner = block_owner(e, expr);
    uint32_t scope = scope_of(e, expr), word = e->exprs[expr].word;
    uint64_t key = key_of(e, e->axes_of[expr]);
    Remembered *slot = recall(e, &e->values[owner], scope, key);
    if (!slot->words[0]) random_block(e, expr, slot->words);
    return slot->words[word];
}

/* ---- operations ---- */

static LLVMValueRef real_larger(Emitter *e, const Expr *x, LLVMRealPredicate beats, LLVMValueRef a,
                                LLVMValueRef b) {
    /* a beats b ? a : b is one instruction and gives b when either is NaN: right if a is a number
     */
    bool a_is_number = e->exprs[x->in[0]].kind == X_CONST,
         b_is_number = e->exprs[x->in[1]].kind == X_CONST;
    if (b_is_number && !a_is_number) {
        LLVMValueRef swap = a;
        a = b;
        b = swap;
        a_is_number = true;
    }
    LLVMValueRef wins = LLVMBuildFCmp(e->builder, beats, a, b, "");
    LLVMValueRef value = LLVMBuildSelect(e->builder, wins, a, b, "");
    if (a_is_number) return value;
    LLVMValueRef nan = LLVMBuildFCmp(e->builder, LLVMRealUNO, a, a, "");
    return LLVMBuildSelect(e->builder, nan, a, value, "");
}

static bool is_signed(Elem elem) {
    return elem == E_I32;
}

static LLVMValueRef value_extreme(Emitter *e, const Expr *x, LLVMValueRef a, LLVMValueRef b) {
    bool max = x->op == OP_MAX;
    Elem elem = x->elem;
    if (elem_is_real(elem)) return real_larger(e, x, max ? LLVMRealOGT : LLVMRealOLT, a, b);
    LLVMIntPredicate beats =
        is_signed(elem) ? (max ? LLVMIntSGT : LLVMIntSLT) : (max ? LLVMIntUGT : LLVMIntULT);
    LLVMValueRef wins = LLVMBuildICmp(e->builder, beats, a, b, "");
    return LLVMBuildSelect(e->builder, wins, a, b, "");
}

LLVMValueRef emit_combine(Emitter *e, Op op, Elem elem, LLVMValueRef a, LLVMValueRef b) {
    if (op == OP_SUM)
        return elem_is_real(elem) ? LLVMBuildFAdd(e->builder, a, b, "")
                                  : LLVMBuildAdd(e->builder, a, b, "");
    if (!elem_is_real(elem)) {
        LLVMIntPredicate beats = is_signed(elem) ? LLVMIntSGT : LLVMIntUGT;
        LLVMValueRef wins = LLVMBuildICmp(e->builder, beats, a, b, "");
        return LLVMBuildSelect(e->builder, wins, a, b, "");
    }
    LLVMValueRef wins = LLVMBuildFCmp(e->builder, LLVMRealOGT, a, b, "");
    LLVMValueRef value = LLVMBuildSelect(e->builder, wins, a, b, "");
    LLVMValueRef nan = LLVMBuildFCmp(e->builder, LLVMRealUNO, a, a, "");
    return LLVMBuildSelect(e->builder, nan, a, value, "");
}

static LLVMValueRef value_compare(Emitter *e, Op op, Elem elem, LLVMValueRef a, LLVMValueRef b) {
    if (elem_is_real(elem)) {
        LLVMRealPredicate real = op == OP_LT   ? LLVMRealOLT
                                 : op == OP_LE ? LLVMRealOLE
                                               : LLVMRealOEQ;
        return LLVMBuildFCmp(e->builder, real, a, b, "");
    }
    LLVMIntPredicate predicate = op == OP_EQ   ? LLVMIntEQ
                                 : op == OP_LT ? (is_signed(elem) ? LLVMIntSLT : LLVMIntULT)
                                               : (is_signed(elem) ? LLVMIntSLE : LLVMIntULE);
    return LLVMBuildICmp(e->builder, predicate, a, b, "");
}

/* Integer division never traps: x / 0 is 0, and the least number / -1 wraps. */
static LLVMValueRef integer_divide(Emitter *e, Elem elem, LLVMValueRef a, LLVMValueRef b,
                                   bool remainder) {
    LLVMTypeRef type = LLVMTypeOf(a);
    LLVMValueRef zero = LLVMConstNull(type), one = integer_like(type, 1);
    LLVMBuilderRef builder = e->builder;
    LLVMValueRef by_zero = LLVMBuildICmp(builder, LLVMIntEQ, b, zero, ""), unsafe = by_zero;
    LLVMValueRef minus = LLVMBuildICmp(builder, LLVMIntEQ, b, integer_like(type, -1), "");
    if (is_signed(elem)) unsafe = LLVMBuildOr(builder, by_zero, minus, "");
    LLVMValueRef by = LLVMBuildSelect(builder, unsafe, one, b, "");
    if (!is_signed(elem)) {
        LLVMValueRef value =
            remainder ? LLVMBuildURem(builder, a, by, "") : LLVMBuildUDiv(builder, a, by, "");
        return LLVMBuildSelect(builder, by_zero, zero, value, "");
    }
    if (!remainder) {
        LLVMValueRef value = LLVMBuildSDiv(builder, a, by, "");
        value = LLVMBuildSelect(builder, minus, LLVMBuildNeg(builder, a, ""), value, "");
        return LLVMBuildSelect(builder, by_zero, zero, value, "");
    }
    LLVMValueRef rest = LLVMBuildSRem(builder, a, by, ""); /* of floor division: b's sign */
    LLVMValueRef some = LLVMBuildICmp(builder, LLVMIntNE, rest, zero, "");
    LLVMValueRef signs = LLVMBuildXor(builder, rest, b, "");
    LLVMValueRef other = LLVMBuildICmp(builder, LLVMIntSLT, signs, zero, "");
    LLVMValueRef moved = LLVMBuildAdd(builder, rest, b, "");
    return LLVMBuildSelect(builder, LLVMBuildAnd(builder, some, other, ""), moved, rest, "");
}

static LLVMValueRef unary_real(Emitter *e, const char *name, LLVMValueRef a) {
    LLVMTypeRef type = LLVMTypeOf(a);
    return emit_intrinsic(e, name, &type, 1, &a, 1);
}

static LLVMValueRef value_mod(Emitter *e, Elem elem, LLVMValueRef a, LLVMValueRef b) {
    if (!elem_is_real(elem)) return integer_divide(e, elem, a, b, true);
    LLVMValueRef whole = unary_real(e, "llvm.floor", LLVMBuildFDiv(e->builder, a, b, ""));
    return math_fma(e, LLVMBuildFNeg(e->builder, b, ""), whole, a);
}

static LLVMValueRef real_to_integer(Emitter *e, LLVMValueRef a, Elem to) {
    if (to == E_BOOL)
        return LLVMBuildFCmp(e->builder, LLVMRealUNE, a, LLVMConstNull(LLVMTypeOf(a)), "");
    LLVMTypeRef types[] = {like_lanes(e, a, elem_type(e, to)), LLVMTypeOf(a)};
    const char *name = is_signed(to) ? "llvm.fptosi.sat" : "llvm.fptoui.sat";
    return emit_intrinsic(e, name, types, 2, &a, 1); /* defined for every number, and for NaN */
}

static LLVMValueRef value_cast(Emitter *e, LLVMValueRef a, Elem from, Elem to) {
    LLVMTypeRef type = like_lanes(e, a, elem_type(e, to));
    if (from == to) return a;
    if (elem_is_real(from) && elem_is_real(to))
        return to == E_F64 ? LLVMBuildFPExt(e->builder, a, type, "")
                           : LLVMBuildFPTrunc(e->builder, a, type, "");
    if (elem_is_real(from)) return real_to_integer(e, a, to);
    if (elem_is_real(to))
        return is_signed(from) ? LLVMBuildSIToFP(e->builder, a, type, "")
                               : LLVMBuildUIToFP(e->builder, a, type, "");
    if (to == E_BOOL)
        return LLVMBuildICmp(e->builder, LLVMIntNE, a, LLVMConstNull(LLVMTypeOf(a)), "");
    return LLVMBuildIntCast2(e->builder, a, type, is_signed(from), "");
}

static LLVMValueRef integer_abs(Emitter *e, LLVMValueRef a) {
    LLVMTypeRef type = LLVMTypeOf(a);
    LLVMValueRef less = LLVMBuildICmp(e->builder, LLVMIntSLT, a, LLVMConstNull(type), "");
    return LLVMBuildSelect(e->builder, less, LLVMBuildNeg(e->builder, a, ""), a, "");
}

static LLVMValueRef apply(Emitter *e, const Expr *x, LLVMValueRef *in) {
    LLVMBuilderRef b = e->builder;
    bool real = elem_is_real(x->elem);
    Elem from = e->exprs[x->in[0]].elem;
    switch (x->op) {
    case OP_STOP: return in[0];
    case OP_NEG: return real ? LLVMBuildFNeg(b, in[0], "") : LLVMBuildNeg(b, in[0], "");
    case OP_ABS:
        if (real) return unary_real(e, "llvm.fabs", in[0]);
        return is_signed(x->elem) ? integer_abs(e, in[0]) : in[0];
    case OP_SQRT: return unary_real(e, "llvm.sqrt", in[0]);
    case OP_EXP: return math_exp(e, in[0]);
    case OP_LOG: return math_log(e, in[0]);
    case OP_SIN: return math_sin(e, in[0]);
    case OP_COS: return math_cos(e, in[0]);
    case OP_TANH: return math_tanh(e, in[0]);
    case OP_ERF: return math_erf(e, in[0]);
    case OP_FLOOR: return real ? unary_real(e, "llvm.floor", in[0]) : in[0];
    case OP_NOT: return LLVMBuildNot(b, in[0], "");
    case OP_CAST: return value_cast(e, in[0], from, x->elem);
    case OP_ROUND: return math_round(e, in[0], x->index);
    case OP_SHR: return LLVMBuildLShr(b, in[0], integer_like(LLVMTypeOf(in[0]), x->index), "");
    case OP_ADD:
        return real ? LLVMBuildFAdd(b, in[0], in[1], "") : LLVMBuildAdd(b, in[0], in[1], "");
    case OP_SUB:
        return real ? LLVMBuildFSub(b, in[0], in[1], "") : LLVMBuildSub(b, in[0], in[1], "");
    case OP_MUL:
        return real ? LLVMBuildFMul(b, in[0], in[1], "") : LLVMBuildMul(b, in[0], in[1], "");
    case OP_DIV:
        return real ? LLVMBuildFDiv(b, in[0], in[1], "")
                    : integer_divide(e, x->elem, in[0], in[1], false);
    case OP_MOD: return value_mod(e, x->elem, in[0], in[1]);
    case OP_POW: return math_pow(e, in[0], in[1]);
    case OP_MAX:
    case OP_MIN: return value_extreme(e, x, in[0], in[1]);
    case OP_LT:
    case OP_LE:
    case OP_EQ: return value_compare(e, x->op, from, in[0], in[1]);
    case OP_AND: return LLVMBuildAnd(b, in[0], in[1], "");
    case OP_OR: return LLVMBuildOr(b, in[0], in[1], "");
    case OP_SELECT: return LLVMBuildSelect(b, in[0], in[1], in[2], "");
    default: assert(!"not an elementwise operation"); return NULL;
    }
}

/* Operands are evaluated before the builder is placed: evaluating moves it. */
static void operands(Emitter *e, int expr, const int *in, int count, LLVMValueRef *out) {
    bool vector = is_vector(e, expr);
    for (int i = 0; i < count; i++) out[i] = vector ? emit_vector(e, in[i]) : emit_value(e, in[i]);
    place_at(e, scope_of(e, expr));
}

static bool fuses(const Emitter *e, int product) {
    const Expr *x = &e->exprs[product];
    return x->kind == X_OP && x->op == OP_MUL && x->index == 1;
}

/* a * b + c, a * b - c, c - a * b. */
static LLVMValueRef value_fused(Emitter *e, int expr, int product, int other) {
    const Expr *x = &e->exprs[expr], *times = &e->exprs[product];
    LLVMValueRef in[3];
    operands(e, expr, (int[]){times->in[0], times->in[1], other}, 3, in);
    if (x->op == OP_SUB) {
        int negated = other == x->in[1] ? 2 : 0;
        in[negated] = LLVMBuildFNeg(e->builder, in[negated], "");
    }
    return math_fma(e, in[0], in[1], in[2]);
}

static LLVMValueRef value_op(Emitter *e, int expr) {
    const Expr *x = &e->exprs[expr];
    bool sum = (x->op == OP_ADD || x->op == OP_SUB) && elem_is_real(x->elem);
    if (sum && x->in[0] != x->in[1]) {
        if (fuses(e, x->in[0])) return value_fused(e, expr, x->in[0], x->in[1]);
        if (fuses(e, x->in[1])) return value_fused(e, expr, x->in[1], x->in[0]);
    }
    LLVMValueRef in[3];
    operands(e, expr, x->in, op_info[x->op].arity, in);
    return apply(e, x, in);
}

static LLVMValueRef value_of_kind(Emitter *e, int expr) {
    const Expr *x = &e->exprs[expr];
    switch (x->kind) {
    case X_OP: return value_op(e, expr);
    case X_CONST: return value_const(e, x);
    case X_LOAD: return value_load(e, expr);
    case X_AXIS: return value_axis(e, expr);
    case X_RESULT: return e->results[x->index][x->word];
    case X_STEP: return value_step(e, x);
    case X_LEAF:
    case X_ROW:
    case X_SUM: return e->at_hand[expr];
    case X_RANDOM: return value_random(e, expr);
    }
    return NULL;
}

LLVMValueRef emit_value(Emitter *e, int expr) {
    const Expr *x = &e->exprs[expr];
    if (x->kind == X_CONST || x->kind == X_RESULT || x->kind == X_LEAF || x->kind == X_ROW ||
        x->kind == X_SUM)
        return value_of_kind(e, expr);
    uint32_t scope = scope_of(e, expr);
    uint64_t key = key_of(e, e->axes_of[expr]);
    LLVMValueRef value = recall(e, &e->values[expr], scope, key)->value;
    if (value) return value;
    value = value_of_kind(e, expr);
    recall(e, &e->values[expr], scope, key)->value = value;
    return value;
}

LLVMValueRef emit_vector(Emitter *e, int expr) {
    LLVMValueRef value = emit_value(e, expr);
    if (e->lanes == 1 || has_lanes(value)) return value;
    uint32_t scope = scope_of(e, expr);
    /* within an epilogue splats stay inside: a register tile leaves no registers to keep them in */
    if (e->epilogue_axes) scope = later(scope, e->epilogue_scope);
    if (LLVMIsConstant(value)) {
        LLVMTypeRef type = vector_of(e, LLVMTypeOf(value));
        LLVMValueRef lanes[64];
        for (uint32_t i = 0; i < e->lanes; i++) lanes[i] = value;
        return LLVMConstVector(lanes, LLVMGetVectorSize(type));
    }
    uint32_t home = scope_of(e, expr);
    Remembered *slot = recall(e, &e->values[expr], home, key_of(e, e->axes_of[expr]));
    if (slot->splat && scope == home) return slot->splat;
    place_at(e, scope);
    LLVMValueRef lanes = splat(e, value);
    if (scope == home) slot->splat = lanes;
    return lanes;
}

LLVMValueRef emit_accumulate(Emitter *e, Op op, int expr, LLVMValueRef acc, bool vector) {
    const Expr *x = &e->exprs[expr];
    bool product = op == OP_SUM && fuses(e, expr);
    int in[2] = {product ? x->in[0] : expr, product ? x->in[1] : expr};
    LLVMValueRef a = vector ? emit_vector(e, in[0]) : emit_value(e, in[0]);
    LLVMValueRef b = vector ? emit_vector(e, in[1]) : emit_value(e, in[1]);
    place_here(e);
    if (product) return math_fma(e, a, b, acc);
    return emit_combine(e, op, x->elem, a, acc);
}

/* ---- stores ---- */

void emit_store_whole(Emitter *e, const Buffer *buffer, LLVMValueRef pointer, LLVMValueRef value) {
    LLVMValueRef store = LLVMBuildStore(e->builder, value, pointer);
    LLVMSetAlignment(store, elem_bytes(buffer->elem));
}

void emit_store_lanes(Emitter *e, const Buffer *buffer, LLVMValueRef pointer, LLVMValueRef value) {
    if (!has_lanes(value) || e->valid == e->lanes) {
        emit_store_whole(e, buffer, pointer, value);
        return;
    }
    LLVMTypeRef types[] = {LLVMTypeOf(value), LLVMTypeOf(pointer)};
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context);
    LLVMValueRef align = LLVMConstInt(i32, elem_bytes(buffer->elem), false);
    LLVMValueRef arguments[] = {value, pointer, align, lane_mask(e, e->valid)};
    emit_intrinsic(e, "llvm.masked.store", types, 2, arguments, 4);
}

static void store_scattered(Emitter *e, const Buffer *buffer, LLVMValueRef pointer, int64_t stride,
                            LLVMValueRef value) {
    LLVMTypeRef type = memory_type(e, buffer->elem), i32 = LLVMInt32TypeInContext(e->context);
    for (uint32_t lane = stride ? 0 : e->valid - 1; lane < e->valid; lane++) {
        LLVMValueRef one =
            LLVMBuildExtractElement(e->builder, value, LLVMConstInt(i32, lane, false), "");
        emit_store_whole(e, buffer, offset_pointer(e, type, pointer, i64(e, stride * lane)), one);
    }
}

static LLVMValueRef element_pointer(Emitter *e, const Buffer *buffer, const Affine *at,
                                    const LLVMValueRef *values) {
    LLVMTypeRef type = memory_type(e, buffer->elem);
    uint32_t scope = 0;
    LLVMValueRef index = affine_sum(e, at, values, ~0u, i64(e, 0), &scope);
    place_here(e);
    LLVMValueRef pointer = offset_pointer(e, type, base_of(e, buffer), index);
    return offset_pointer(e, type, pointer, i64(e, affine_shift(e, at)));
}

LLVMValueRef emit_pointer(Emitter *e, const Buffer *buffer, const Affine *at) {
    return element_pointer(e, buffer, at, e->axis);
}

LLVMValueRef emit_pointer_within(Emitter *e, const Buffer *buffer, const Affine *at) {
    return element_pointer(e, buffer, at, e->within);
}

void emit_store(Emitter *e, const Buffer *buffer, const Affine *at, LLVMValueRef value,
                bool vector) {
    LLVMValueRef pointer = emit_pointer(e, buffer, at);
    if (vector) value = splat(e, value);
    if (buffer->elem == E_BOOL) {
        LLVMTypeRef type = like_lanes(e, value, memory_type(e, E_BOOL));
        value = LLVMBuildZExt(e->builder, value, type, "");
    }
    int64_t stride = has_lanes(value) ? lane_stride(e, at) : 1;
    if (stride == 1)
        emit_store_lanes(e, buffer, pointer, value);
    else
        store_scattered(e, buffer, pointer, stride, value);
}
