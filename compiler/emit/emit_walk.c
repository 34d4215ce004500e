/* Loops over parts of an axis: nested ones, so that no step costs a division; what lies further out
 * than the stretch is whole parts is divided once per iteration. Loops are real ones or, where
 * their iterations are few, unrolled. */
#include "compiler/emit/emit_walk.h"

#include <assert.h>

static LLVMValueRef i64(const Emitter *e, int64_t number) {
    return LLVMConstInt(LLVMInt64TypeInContext(e->context), (unsigned long long)number, true);
}

static void find_parts(const Emitter *e, Walk *walk) {
    const Kernel *kernel = e->kernel;
    walk->part_count = 0;
    for (uint32_t i = 0; i < kernel->part_count; i++)
        if (kernel->axes[kernel->axis_count + i].of == walk->axis + 1)
            walk->parts[walk->part_count++] = kernel->axis_count + i;
}

/* The place along the whole axis, out of those of its parts. What is known now comes last: the
 * machine adds it in the address. */
static void place_whole(Emitter *e, const Walk *walk) {
    uint32_t axis = walk->axis;
    int64_t known = 0;
    LLVMValueRef sum = walk->before;
    place_here(e);
    for (uint32_t i = walk->outermost; i < walk->part_count; i++) {
        uint32_t part = walk->parts[i];
        int64_t below = e->kernel->axes[part].below;
        if (i + 1 < walk->part_count) known += below * e->shift[part];
        LLVMValueRef term = LLVMBuildNSWMul(e->builder, e->axis[part], i64(e, below), "");
        sum = LLVMBuildNSWAdd(e->builder, sum, term, "");
    }
    e->within[axis] = LLVMBuildNSWAdd(e->builder, sum, i64(e, known), "");
    if (e->start[axis]) sum = LLVMBuildNSWAdd(e->builder, e->start[axis], sum, "");
    e->axis[axis] = LLVMBuildNSWAdd(e->builder, sum, i64(e, known), "");
    e->axis_scope[axis] = e->top;
}

static void whole_point(Emitter *e, void *context, uint32_t copy) {
    const Walk *walk = context;
    uint32_t innermost = walk->parts[walk->part_count - 1];
    place_whole(e, walk);
    e->shift[walk->axis] = e->shift[innermost];
    walk->point(e, walk->context, copy);
    e->shift[walk->axis] = 0;
}

static void walk_parts(Emitter *e, Walk *walk, uint32_t number, int64_t unroll);

/* A part that is known at every point, as a shift: what depends on it and on outer loops is
 * computed in those. */
static void unroll_part(Emitter *e, Walk *walk, uint32_t number, int64_t unroll) {
    uint32_t part = walk->parts[number];
    int slot = FEW_SHIFTS;
    while (e->shifted[slot] >= 0) slot++;
    assert(slot < MAX_SHIFTED);
    e->shifted[slot] = (int)part;
    e->axis[part] = i64(e, 0);
    e->axis_scope[part] = 0;
    for (int64_t at = 0; at < e->kernel->axes[part].extent; at++) {
        scope_enter(e);
        e->shift[part] = at;
        walk_parts(e, walk, number + 1, unroll);
        scope_leave(e);
    }
    e->shift[part] = 0;
    e->shifted[slot] = -1;
}

static void walk_parts(Emitter *e, Walk *walk, uint32_t number, int64_t unroll) {
    uint32_t part = walk->parts[number];
    int64_t extent = e->kernel->axes[part].extent;
    if (number + 1 == walk->part_count) {
        int shifted = e->shifted[3];
        e->shifted[3] = (int)part;
        for_steps(e, part, extent, walk->step, walk->copies, whole_point, walk);
        e->shifted[3] = shifted;
        return;
    }
    if (extent <= unroll) {
        unroll_part(e, walk, number, unroll / extent);
        return;
    }
    Loop loop = loop_begin(e, part, 0, extent, 1);
    walk_parts(e, walk, number + 1, 0);
    loop_end(e, &loop);
}

/* Parts up to number `last`, out of how many iterations of that one lie before. */
static void divide_parts(Emitter *e, const Walk *walk, uint32_t last, LLVMValueRef position) {
    const Axis *axes = e->kernel->axes;
    int64_t below = axes[walk->parts[last]].below;
    for (uint32_t i = 0; i <= last; i++) {
        const Axis *part = &axes[walk->parts[i]];
        LLVMValueRef value = LLVMBuildUDiv(e->builder, position, i64(e, part->below / below), "");
        if (i) value = LLVMBuildURem(e->builder, value, i64(e, part->extent), "");
        e->axis[walk->parts[i]] = value;
        e->axis_scope[walk->parts[i]] = e->top;
    }
}

/* A stretch that is not the whole axis: a loop over iterations of part `number`, as many as there
 * are, then those further in. */
static void walk_group(Emitter *e, Walk *walk, uint32_t number) {
    uint32_t part = walk->parts[number];
    int64_t below = e->kernel->axes[part].below;
    LLVMValueRef start = e->start[walk->axis];
    LLVMValueRef first = start ? LLVMBuildUDiv(e->builder, start, i64(e, below), "") : i64(e, 0);
    Loop loop = loop_begin(e, part, 0, walk->count / below, 1);
    LLVMValueRef group = e->within[part];
    divide_parts(e, walk, number, LLVMBuildNSWAdd(e->builder, first, group, ""));
    walk->before = LLVMBuildNSWMul(e->builder, group, i64(e, below), "");
    walk->outermost = number + 1;
    if (walk->outermost < walk->part_count) {
        walk_parts(e, walk, walk->outermost, walk->unroll);
    } else {
        assert(walk->step == 1);
        whole_point(e, walk, 0);
    }
    loop_end(e, &loop);
}

void walk_stretch(Emitter *e, Walk *walk) {
    find_parts(e, walk);
    if (!walk->part_count) {
        for_steps(e, walk->axis, walk->count, walk->step, walk->copies, walk->point, walk->context);
        return;
    }
    place_here(e);
    walk->before = i64(e, 0);
    walk->outermost = 0;
    if (walk->count == e->kernel->axes[walk->axis].extent) {
        walk_parts(e, walk, 0, walk->unroll);
        return;
    }
    uint32_t number = 0;
    while (walk->count % e->kernel->axes[walk->parts[number]].below) number++;
    walk_group(e, walk, number);
}
