/* The walk over a scheduled nest: outer loops, stages, vector loops with their tails, reductions.
 */
#include "compiler/emit/emit_nest.h"

#include <assert.h>

/* ---- scopes and loops ---- */

void place_at(Emitter *e, uint32_t scope) {
    if (scope == e->top)
        LLVMPositionBuilderAtEnd(e->builder, e->here);
    else
        LLVMPositionBuilderBefore(e->builder, LLVMGetBasicBlockTerminator(e->scopes[scope].block));
}

void scope_enter(Emitter *e) {
    LLVMBasicBlockRef inside = LLVMAppendBasicBlockInContext(e->context, e->function, "");
    place_here(e);
    LLVMBuildBr(e->builder, inside);
    e->scopes[e->top].block = e->here;
    e->top++;
    assert(e->top < MAX_SCOPES);
    e->scopes[e->top] = (Scope){.serial = ++e->next_serial};
    e->here = inside;
    place_here(e);
}

void scope_leave(Emitter *e) {
    e->top--;
    place_here(e);
}

static LLVMValueRef i64(const Emitter *e, int64_t number) {
    return LLVMConstInt(LLVMInt64TypeInContext(e->context), (unsigned long long)number, true);
}

Loop loop_begin(Emitter *e, uint32_t axis, int64_t from, int64_t to, int64_t step) {
    assert(from < to && step > 0);
    Loop loop = {.before = e->here, .step = step, .to = to, .repeats = from + step < to};
    scope_enter(e);
    loop.header = e->here;
    e->axis_scope[axis] = e->top;
    if (loop.repeats) {
        loop.variable = LLVMBuildPhi(e->builder, LLVMInt64TypeInContext(e->context),
                                     e->kernel->axes[axis].name);
        LLVMValueRef start = i64(e, from);
        LLVMAddIncoming(loop.variable, &start, &loop.before, 1);
        e->within[axis] = loop.variable;
    } else {
        e->within[axis] = i64(e, from);
    }
    e->axis[axis] = e->within[axis];
    if (e->start[axis])
        e->axis[axis] = LLVMBuildNSWAdd(e->builder, e->start[axis], e->within[axis], "");
    return loop;
}

void loop_end(Emitter *e, Loop *loop) {
    if (loop->repeats) {
        place_here(e);
        LLVMBasicBlockRef after = LLVMAppendBasicBlockInContext(e->context, e->function, "");
        LLVMValueRef next = LLVMBuildNSWAdd(e->builder, loop->variable, i64(e, loop->step), "");
        LLVMValueRef more = LLVMBuildICmp(e->builder, LLVMIntSLT, next, i64(e, loop->to), "");
        LLVMBuildCondBr(e->builder, more, loop->header, after);
        LLVMAddIncoming(loop->variable, &next, &e->here, 1);
        e->here = after;
    }
    scope_leave(e);
}

void for_steps(Emitter *e, uint32_t axis, int64_t count, uint32_t step, uint32_t copies,
               PointFunction point, void *context) {
    int64_t stride = (int64_t)step * copies, whole = count / stride * stride;
    if (whole) {
        Loop loop = loop_begin(e, axis, 0, whole, stride);
        if (step > 1) e->valid = e->lanes;
        for (uint32_t copy = 0; copy < copies; copy++) {
            e->shift[axis] = copy * step;
            point(e, context, copy);
        }
        loop_end(e, &loop);
    }
    if (whole < count) {
        Loop rest = loop_begin(e, axis, whole, count, stride);
        for (int64_t at = whole; at < count; at += step) {
            e->shift[axis] = at - whole;
            if (step > 1) e->valid = count - at < step ? (uint32_t)(count - at) : e->lanes;
            point(e, context, (uint32_t)((at - whole) / step));
        }
        loop_end(e, &rest);
    }
    e->shift[axis] = 0;
    if (step > 1) e->valid = e->lanes;
}

void for_vectors(Emitter *e, uint32_t axis, uint32_t copies, PointFunction point, void *context) {
    for_steps(e, axis, e->kernel->axes[axis].extent, e->lanes, copies, point, context);
}

/* ---- reductions ---- */

static LLVMValueRef identity(const Emitter *e, Op op, Elem elem) {
    LLVMTypeRef type = elem_type(e, elem);
    if (op == OP_SUM) return LLVMConstNull(type);
    if (elem_is_real(elem)) return LLVMConstReal(type, -__builtin_inf());
    return LLVMConstInt(type, elem == E_I32 ? 0x80000000u : 0, false);
}

LLVMValueRef stack_slot(Emitter *e, LLVMTypeRef type) {
    LLVMBasicBlockRef entry = LLVMGetEntryBasicBlock(e->function);
    LLVMValueRef first = LLVMGetFirstInstruction(entry);
    if (first)
        LLVMPositionBuilderBefore(e->builder, first);
    else
        LLVMPositionBuilderAtEnd(e->builder, entry);
    return LLVMBuildAlloca(e->builder, type, "");
}

Sums sums_open(Emitter *e, const Stage *stage, uint32_t copies) {
    uint32_t count = stage->reductions.count;
    Sums sums = {stage, copies, arena_alloc(e->arena, (copies * count + 1) * sizeof *sums.slots)};
    for (uint32_t i = 0; i < copies * count; i++) {
        const Reduction *reduction = &stage->reductions.at[i % count];
        Elem elem = e->exprs[reduction->value].elem;
        sums.slots[i] = stack_slot(e, vector_of(e, elem_type(e, elem)));
        place_here(e);
        LLVMBuildStore(e->builder, splat(e, identity(e, reduction->op, elem)), sums.slots[i]);
    }
    return sums;
}

LLVMValueRef emit_fold(Emitter *e, Op op, Elem elem, LLVMValueRef value) {
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context);
    for (uint32_t half = e->lanes / 2; half >= 1; half /= 2) {
        LLVMValueRef low[64], high[64], poison = LLVMGetPoison(LLVMTypeOf(value));
        for (uint32_t i = 0; i < half; i++) {
            low[i] = LLVMConstInt(i32, i, false);
            high[i] = LLVMConstInt(i32, half + i, false);
        }
        LLVMValueRef a =
            LLVMBuildShuffleVector(e->builder, value, poison, LLVMConstVector(low, half), "");
        LLVMValueRef b =
            LLVMBuildShuffleVector(e->builder, value, poison, LLVMConstVector(high, half), "");
        value = emit_combine(e, op, elem, a, b);
    }
    return LLVMBuildExtractElement(e->builder, value, LLVMConstInt(i32, 0, false), "");
}

void sums_close(Emitter *e, uint32_t at, const Sums *sums, bool fold) {
    uint32_t count = sums->stage->reductions.count;
    place_here(e);
    for (uint32_t i = 0; i < count; i++) {
        const Reduction *reduction = &sums->stage->reductions.at[i];
        Elem elem = e->exprs[reduction->value].elem;
        LLVMTypeRef type = vector_of(e, elem_type(e, elem));
        LLVMValueRef *parts = arena_alloc(e->arena, sums->copies * sizeof *parts);
        for (uint32_t copy = 0; copy < sums->copies; copy++)
            parts[copy] = LLVMBuildLoad2(e->builder, type, sums->slots[copy * count + i], "");
        for (uint32_t step = 1; step < sums->copies; step *= 2)
            for (uint32_t copy = 0; copy + step < sums->copies; copy += 2 * step)
                parts[copy] = emit_combine(e, reduction->op, elem, parts[copy], parts[copy + step]);
        if (fold && e->lanes > 1) parts[0] = emit_fold(e, reduction->op, elem, parts[0]);
        e->results[at][i] = parts[0];
    }
}

static void accumulate(Emitter *e, const Reduction *reduction, LLVMValueRef slot, bool inner) {
    LLVMTypeRef type = vector_of(e, elem_type(e, e->exprs[reduction->value].elem));
    place_here(e);
    LLVMValueRef before = LLVMBuildLoad2(e->builder, type, slot, "");
    LLVMValueRef after = emit_accumulate(e, reduction->op, reduction->value, before, e->lanes > 1);
    if (inner && e->valid < e->lanes)
        after = LLVMBuildSelect(e->builder, lane_mask(e, e->valid), after, before, "");
    LLVMBuildStore(e->builder, after, slot);
}

static bool runs_with_lanes(const Emitter *e, const Store *store) {
    return e->lanes > 1 && store->at.coeff[e->vector_axis];
}

void emit_point(Emitter *e, const Stage *stage, const Sums *sums, uint32_t copy) {
    uint32_t count = stage->reductions.count;
    bool inner = e->vector_axis >= 0 && (stage->inner >> e->vector_axis & 1);
    for (uint32_t i = 0; i < count; i++)
        accumulate(e, &stage->reductions.at[i], sums->slots[copy * count + i], inner);
    /* all values before the first store: an update reads the elements that it replaces */
    LLVMValueRef *values = arena_alloc(e->arena, (stage->stores.count + 1) * sizeof *values);
    for (uint32_t i = 0; i < stage->stores.count; i++) {
        int value = stage->stores.at[i].value;
        values[i] =
            runs_with_lanes(e, &stage->stores.at[i]) ? emit_vector(e, value) : emit_value(e, value);
    }
    for (uint32_t i = 0; i < stage->stores.count; i++) {
        const Store *store = &stage->stores.at[i];
        emit_store(e, store->buffer, &store->at, values[i], runs_with_lanes(e, store));
    }
}

/* ---- stages ---- */

typedef struct {
    const Stage *stage;
    const Sums *sums;
} StagePoint;

static void stage_point(Emitter *e, void *context, uint32_t copy) {
    const StagePoint *at = context;
    emit_point(e, at->stage, at->sums, copy);
}

/* Loops over the inner axes from `axis` on, the vector axis innermost. */
static void inner_loops(Emitter *e, StagePoint *at, uint32_t axis) {
    const Stage *stage = at->stage;
    while (axis < e->kernel->axis_count &&
           (!(stage->inner >> axis & 1) || (int)axis == e->vector_axis))
        axis++;
    if (axis < e->kernel->axis_count) {
        Loop loop = loop_begin(e, axis, 0, e->kernel->axes[axis].extent, 1);
        inner_loops(e, at, axis + 1);
        loop_end(e, &loop);
    } else if (e->vector_axis >= 0 && (stage->inner >> e->vector_axis & 1)) {
        for_vectors(e, (uint32_t)e->vector_axis, at->sums->copies, stage_point, at);
    } else {
        emit_point(e, stage, at->sums, 0);
    }
}

static void emit_stage(Emitter *e, uint32_t at) {
    const Stage *stage = &e->kernel->stages.at[at];
    bool inner = e->vector_axis >= 0 && (stage->inner >> e->vector_axis & 1);
    uint32_t copies = 1;
    if (inner) {
        int64_t extent = e->kernel->axes[e->vector_axis].extent;
        int64_t vectors = (extent + e->lanes - 1) / e->lanes;
        copies = stage->unroll > 1 ? stage->unroll : 1;
        if (copies > vectors) copies = (uint32_t)vectors;
    }
    Sums sums = sums_open(e, stage, copies);
    inner_loops(e, &(StagePoint){stage, &sums}, 0);
    sums_close(e, at, &sums, inner);
}

static void emit_stages(Emitter *e) {
    uint32_t valid = e->valid;
    for (uint32_t i = 0; i < e->kernel->stages.count; i++) {
        const Stage *stage = &e->kernel->stages.at[i];
        int axis = stage->vector_axis;
        bool inner = axis >= (int)e->kernel->outer_count;
        if (inner && !(stage->inner >> axis & 1)) axis = -1;
        e->vector_axis = axis;
        e->lanes = axis < 0 ? 1 : e->kernel->lanes;
        e->valid = inner || axis < 0 ? e->lanes : valid;
        e->shifted[0] = axis;
        for (int k = 1; k < MAX_SHIFTED; k++) e->shifted[k] = -1;
        scope_enter(e);
        e->stage_scope = e->top;
        if (stage->contraction)
            i = emit_contraction(e, i);
        else
            emit_stage(e, i);
        scope_leave(e);
    }
}

static void outer_loops(Emitter *e, uint32_t axis);

static void outer_point(Emitter *e, void *context, uint32_t copy) {
    (void)context, (void)copy;
    uint32_t valid = e->valid;
    outer_loops(e, e->kernel->outer_count);
    e->valid = valid;
}

static bool is_vectorised(const Kernel *kernel, uint32_t axis) {
    for (uint32_t i = 0; i < kernel->stages.count; i++)
        if (kernel->stages.at[i].vector_axis == (int)axis) return true;
    return false;
}

static void outer_loops(Emitter *e, uint32_t axis) {
    if (axis == e->kernel->outer_count && e->kernel->plane) {
        emit_plane(e);
    } else if (axis == e->kernel->outer_count) {
        emit_stages(e);
    } else if (is_vectorised(e->kernel, axis)) {
        e->vector_axis = (int)axis;
        e->lanes = e->kernel->lanes;
        for_vectors(e, axis, 1, outer_point, NULL);
    } else {
        Loop loop = loop_begin(e, axis, 0, e->kernel->axes[axis].extent, 1);
        outer_loops(e, axis + 1);
        loop_end(e, &loop);
    }
}

/* ---- what expressions need ---- */

static bool is_stored(const Kernel *kernel, const Buffer *buffer) {
    for (uint32_t i = 0; i < kernel->stages.count; i++)
        for (uint32_t j = 0; j < kernel->stages.at[i].stores.count; j++)
            if (kernel->stages.at[i].stores.at[j].buffer == buffer) return true;
    return false;
}

static uint32_t result_axes(const Kernel *kernel, uint32_t stage) {
    uint32_t axes = (1u << kernel->outer_count) - 1;
    const Contraction *contraction = kernel->stages.at[stage].contraction;
    return contraction ? axes | 1u << contraction->m | 1u << contraction->n : axes;
}

static void depend_on(Emitter *e, int expr, int on) {
    e->axes_of[expr] |= e->axes_of[on];
    e->late[expr] |= e->late[on];
}

static void analyse_expr(Emitter *e, int expr) {
    const Expr *x = &e->exprs[expr];
    if (x->kind == X_OP)
        for (int i = 0; i < op_info[x->op].arity; i++) depend_on(e, expr, x->in[i]);
    if (x->kind == X_LOAD && x->guard >= 0) depend_on(e, expr, x->guard);
    if (x->kind == X_LOAD && x->lookup >= 0) depend_on(e, expr, x->lookup);
    if (x->kind == X_LOAD || x->kind == X_AXIS || x->kind == X_RANDOM)
        for (uint32_t axis = 0; axis < e->kernel->axis_count + e->kernel->part_count; axis++)
            if (x->at.coeff[axis]) e->axes_of[expr] |= 1u << axis;
    if (x->kind == X_LOAD && is_stored(e->kernel, x->buffer)) e->late[expr] = true;
    if (x->kind == X_RESULT) {
        e->axes_of[expr] = result_axes(e->kernel, x->index);
        e->late[expr] = true;
    }
}

static void analyse(Emitter *e) {
    const Kernel *kernel = e->kernel;
    uint32_t room = kernel->exprs.count + 2 * kernel->stages.count; /* loads of packed operands */
    e->expr_count = kernel->exprs.count;
    e->exprs = arena_alloc(e->arena, room * sizeof *e->exprs);
    memcpy(e->exprs, kernel->exprs.at, kernel->exprs.count * sizeof *e->exprs);
    e->axes_of = arena_alloc(e->arena, room * sizeof *e->axes_of);
    e->late = arena_alloc(e->arena, room * sizeof *e->late);
    e->packed = arena_alloc(e->arena, room * sizeof *e->packed);
    e->values = arena_alloc(e->arena, room * sizeof *e->values);
    e->pointers = arena_alloc(e->arena, room * sizeof *e->pointers);
    e->results = arena_alloc(e->arena, kernel->stages.count * sizeof *e->results);
    e->at_hand = arena_alloc(e->arena, room * sizeof *e->at_hand);
    const uint32_t *axes = kernel_expr_axes(kernel, e->arena);
    for (uint32_t i = 0; i < e->expr_count; i++) {
        ExprKind kind = e->exprs[i].kind;
        if (kind == X_LEAF || kind == X_ROW || kind == X_SUM) e->axes_of[i] = axes[i];
        analyse_expr(e, (int)i);
    }
    for (uint32_t i = 0; i < kernel->stages.count; i++) {
        const Stage *stage = &kernel->stages.at[i];
        e->results[i] = arena_alloc(e->arena, (stage->reductions.count + 1) * sizeof **e->results);
    }
}

/* ---- the function ---- */

static void add_attribute(Emitter *e, unsigned index, const char *name) {
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    LLVMAddAttributeAtIndex(e->function, index, LLVMCreateEnumAttribute(e->context, kind, 0));
}

/* Two parts of the trial's block may be the same memory: all parameters as one vector, and one of
 * them. */
static bool may_overlap(const Kernel *kernel, const Buffer *buffer) {
    int64_t from = buffer->offset, to = from + buffer->count * elem_bytes(buffer->elem);
    if (buffer->space != SPACE_TRIAL) return false;
    for (uint32_t i = 0; i < kernel->buffers.count; i++) {
        const Buffer *other = kernel->buffers.at[i];
        if (other == buffer || other->space != SPACE_TRIAL) continue;
        if (other->offset < to && from < other->offset + other->count * elem_bytes(other->elem))
            return true;
    }
    return false;
}

static void declare(Emitter *e, const char *symbol) {
    uint32_t count = e->kernel->buffers.count;
    LLVMTypeRef *types = arena_alloc(e->arena, (count + 1) * sizeof *types);
    for (uint32_t i = 0; i < count; i++) types[i] = LLVMPointerTypeInContext(e->context, 0);
    LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(e->context), types, count, false);
    e->function = LLVMGetNamedFunction(e->module, symbol);
    if (!e->function) e->function = LLVMAddFunction(e->module, symbol, type);
    LLVMSetVisibility(e->function, LLVMHiddenVisibility);
    add_attribute(e, LLVMAttributeFunctionIndex, "nounwind");
    if (e->target->vector_bytes == 64)
        LLVMAddTargetDependentFunctionAttr(e->function, "prefer-vector-width", "512");
    for (uint32_t i = 0; i < count; i++) {
        if (!may_overlap(e->kernel, e->kernel->buffers.at[i])) add_attribute(e, i + 1, "noalias");
        LLVMSetValueName2(LLVMGetParam(e->function, i), e->kernel->buffers.at[i]->name,
                          strlen(e->kernel->buffers.at[i]->name));
    }
}

static void open_buffers(Emitter *e) {
    uint32_t count = e->kernel->buffers.count, locals = e->kernel->locals.count;
    e->bases = arena_alloc(e->arena, (count + locals + 1) * sizeof *e->bases);
    for (uint32_t i = 0; i < count; i++) e->bases[i] = LLVMGetParam(e->function, i);
    for (uint32_t i = 0; i < locals; i++) {
        const Buffer *local = e->kernel->locals.at[i];
        LLVMTypeRef type = LLVMArrayType2(memory_type(e, local->elem), (uint64_t)local->count);
        e->bases[count + i] = LLVMBuildAlloca(e->builder, type, local->name);
        LLVMSetAlignment(e->bases[count + i], 64);
    }
}

void emit_kernel(Emitter *e, const Kernel *kernel, const char *symbol) {
    e->kernel = kernel;
    e->vector_axis = -1;
    e->lanes = e->valid = kernel->lanes;
    e->top = e->stage_scope = e->epilogue_scope = e->epilogue_axes = 0;
    e->scopes[0].serial = ++e->next_serial;
    for (int i = 0; i < MAX_SHIFTED; i++) e->shifted[i] = -1;
    memset(e->shift, 0, sizeof e->shift);
    memset(e->start, 0, sizeof e->start);
    declare(e, symbol);
    e->here = LLVMAppendBasicBlockInContext(e->context, e->function, "entry");
    place_here(e);
    analyse(e);
    open_buffers(e);
    outer_loops(e, 0);
    place_here(e);
    LLVMBuildRetVoid(e->builder);
}
