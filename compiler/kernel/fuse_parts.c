/* Products through windows. An operand that is seen through windows or padding is not one run of
 * memory along the axes that it is summed over: no two of them lie together, and every element is
 * met in several places. Such axes become parts of one axis, which has the loop, so that the other
 * operand and the result, which do lie together, are read and written along it. (An implicit GEMM:
 * Chetlur and others 2014, section 3.) */
#include "compiler/kernel/fuse.h"

/* ---- operands ---- */

enum { MADE_COST = 4, NEVER = 1000 };

/* Of computing an element out of leaves; the largest of these goes to *largest. */
static uint32_t made_cost(const Fuser *fuser, const GNode *node, int64_t *largest) {
    node = view_base(fuser, node);
    OpClass class = op_info[node->op].class;
    int64_t count = type_count(&node->type);
    if (fuser->forced[node->id] || node->op == OP_RANDOM) return NEVER;
    if (class == CLASS_LEAF) {
        bool read = node->op != OP_IOTA;
        if (read && count > *largest) *largest = count;
        return op_cost(node->op);
    }
    if (class != CLASS_UNARY && class != CLASS_BINARY && class != CLASS_TERNARY) return NEVER;
    uint32_t cost = op_cost(node->op);
    for (uint32_t i = 0; i < node->in_count && cost < NEVER; i++)
        cost += made_cost(fuser, node->in[i], largest);
    return cost;
}

/* A few operations on much less than they make, as the one-hot form of an index: cheaper than to
 * write it down. */
bool is_made(const Fuser *fuser, const GNode *base) {
    int64_t largest = 1;
    if (!fuser->fused || op_info[base->op].class == CLASS_LEAF) return false;
    if (fuser->info[base->id].targets.count) return false;
    return made_cost(fuser, base, &largest) <= MADE_COST && 2 * largest <= type_count(&base->type);
}

bool looks_through(const Fuser *fuser, const GNode *operand) {
    for (; node_is_view(fuser, operand); operand = operand->in[0])
        if (operand->op == OP_WINDOW || operand->op == OP_PAD) return true;
    return is_made(fuser, operand);
}

/* ---- axes ---- */

static uint32_t axes_of(const AxisPlan *axes, AxisClass class, uint32_t *list) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < axes->count; i++)
        if (axes->class[axes->order[i]] == class) list[count++] = axes->order[i];
    return count;
}

/* Runs along all of the axes as along one, whose step is that of the last? */
static bool runs_through(const Group *group, const Affine *at, const uint32_t *list,
                         uint32_t count) {
    for (uint32_t i = 0; i + 1 < count; i++)
        if (at->coeff[list[i]] != at->coeff[list[i + 1]] * group->extents[list[i + 1]])
            return false;
    return true;
}

static void replace_in_order(AxisPlan *axes, AxisClass class, uint32_t axis) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < axes->count; i++)
        if (axes->class[axes->order[i]] != class) axes->order[count++] = axes->order[i];
    axes->order[count++] = axis;
    axes->count = count;
    axes->class[axis] = class;
}

/* ---- what the epilogue runs along ---- */

static void mark_late(const Kernel *kernel, int value, bool *late) {
    if (value < 0 || late[value]) return;
    const Expr *expr = &kernel->exprs.at[value];
    late[value] = true;
    for (uint32_t i = 0; i < 3; i++) mark_late(kernel, expr->in[i], late);
    mark_late(kernel, expr->guard, late);
    mark_late(kernel, expr->lookup, late);
}

/* Does all of the epilogue run along these axes as along one? */
static bool epilogue_runs(const Builder *builder, const bool *late, const uint32_t *list,
                          uint32_t count) {
    const Kernel *kernel = builder->kernel;
    for (uint32_t e = 0; e < kernel->exprs.count; e++)
        if (late[e] && !runs_through(builder->group, &kernel->exprs.at[e].at, list, count))
            return false;
    for (uint32_t s = 1; s < kernel->stages.count; s++)
        for (uint32_t i = 0; i < kernel->stages.at[s].stores.count; i++)
            if (!runs_through(builder->group, &kernel->stages.at[s].stores.at[i].at, list, count))
                return false;
    return true;
}

/* The outer axes of m, along which the result does not go on, become loops around. */
static void release_outer(Builder *builder, AxisPlan *axes) {
    const Kernel *kernel = builder->kernel;
    uint32_t list[MAX_AXES], count = axes_of(axes, CLASS_M, list), first = 0;
    bool *late = arena_alloc(builder->fuser->arena, kernel->exprs.count + 1);
    for (uint32_t s = 1; s < kernel->stages.count; s++)
        for (uint32_t i = 0; i < kernel->stages.at[s].stores.count; i++)
            mark_late(kernel, kernel->stages.at[s].stores.at[i].value, late);
    while (first + 1 < count && !epilogue_runs(builder, late, list + first, count - first))
        axes->class[list[first++]] = CLASS_BATCH;
}

/* ---- parts ---- */

static void join_class(Group *group, AxisPlan *axes, const AffineList *affines, AxisClass class) {
    uint32_t list[MAX_AXES], count = axes_of(axes, class, list);
    if (count < 2) return;
    uint32_t axis = group->axis_count++, first = axes->part_count;
    for (uint32_t a = 0; a < affines->count; a++) {
        Affine *at = affines->at[a];
        if (!runs_through(group, at, list, count)) continue;
        at->coeff[axis] = at->coeff[list[count - 1]];
        for (uint32_t i = 0; i < count; i++) at->coeff[list[i]] = 0;
    }
    int64_t below = 1;
    for (uint32_t i = count; i-- > 0;) {
        axes->parts[first + i] = list[i];
        axes->of[first + i] = axis;
        axes->below[first + i] = below;
        below *= group->extents[list[i]];
    }
    group->extents[axis] = below;
    axes->part_count += count;
    replace_in_order(axes, class, axis);
}

/* A row of the data set is looked up along an axis with a loop. */
static bool gathers_along_part(const Kernel *kernel, const AxisPlan *axes) {
    for (uint32_t e = 0; e < kernel->exprs.count; e++)
        for (uint32_t i = 0; i < axes->part_count; i++)
            if (kernel->exprs.at[e].gather == (int)axes->parts[i]) return true;
    return false;
}

bool join_parts(Builder *builder, AxisPlan *axes, const AffineList *affines) {
    if (builder->group->axis_count + 2 > MAX_AXES) return false;
    release_outer(builder, axes);
    join_class(builder->group, axes, affines, CLASS_M);
    join_class(builder->group, axes, affines, CLASS_K);
    return !gathers_along_part(builder->kernel, axes);
}
