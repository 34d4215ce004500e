/* Questions about a kernel that several passes ask. */
#include "compiler/kernel/kernel.h"

/* A part changes with the axis that it is a part of. */
static uint32_t axes_of_affine(const Kernel *kernel, const Affine *at) {
    uint32_t axes = 0;
    for (uint32_t i = 0; i < kernel->axis_count + kernel->part_count; i++) {
        if (!at->coeff[i]) continue;
        axes |= 1u << i;
        if (kernel->axes[i].of) axes |= 1u << (kernel->axes[i].of - 1);
    }
    return axes;
}

/* Of X_RESULT, X_LEAF, X_ROW and X_SUM. */
static uint32_t axes_of_result(const Kernel *kernel, const Expr *expr) {
    uint32_t outer = (1u << kernel->outer_count) - 1;
    const Plane *plane = kernel->plane;
    switch (expr->kind) {
    case X_RESULT:
        return kernel->stages.at[expr->index].contraction ? outer | 3u << kernel->outer_count
                                                          : outer;
    case X_LEAF: return outer | plane->around | 1u << plane->m | 1u << plane->n;
    case X_ROW: return outer | 1u << plane->m;
    case X_SUM:
        return outer | 1u << plane->m | 1u << plane->passes.at[expr->index].sinks.at[expr->word].e;
    default: return 0;
    }
}

uint32_t *kernel_expr_axes(const Kernel *kernel, Arena *arena) {
    uint32_t *axes = arena_alloc(arena, (kernel->exprs.count + 1) * sizeof *axes);
    for (uint32_t e = 0; e < kernel->exprs.count; e++) {
        const Expr *expr = &kernel->exprs.at[e];
        axes[e] = axes_of_affine(kernel, &expr->at) | axes_of_result(kernel, expr);
        for (uint32_t i = 0; i < 3; i++)
            if (expr->in[i] >= 0) axes[e] |= axes[expr->in[i]];
        if (expr->guard >= 0) axes[e] |= axes[expr->guard];
        if (expr->lookup >= 0) axes[e] |= axes[expr->lookup];
    }
    return axes;
}

uint32_t kernel_innermost(const Kernel *kernel, uint32_t axis) {
    for (uint32_t i = kernel->axis_count; i < kernel->axis_count + kernel->part_count; i++)
        if (kernel->axes[i].of == axis + 1 && kernel->axes[i].below == 1) return i;
    return axis;
}

/* Elements from one step of an axis to the next within its innermost part. */
static int64_t stride_along(const Kernel *kernel, const Expr *load, uint32_t axis) {
    uint32_t innermost = kernel_innermost(kernel, axis);
    int64_t stride = load->at.coeff[axis], divide = load->divide > 1 ? load->divide : 1;
    if (innermost != axis) stride += load->at.coeff[innermost];
    return stride % divide ? 0 : stride / divide;
}

static bool moves_with(const Kernel *kernel, const Expr *load, uint32_t axis) {
    if (load->at.coeff[axis]) return true;
    for (uint32_t i = kernel->axis_count; i < kernel->axis_count + kernel->part_count; i++)
        if (kernel->axes[i].of == axis + 1 && load->at.coeff[i]) return true;
    return false;
}

int64_t kernel_run(const Kernel *kernel, int expr, uint32_t along, uint32_t across) {
    const Expr *x = &kernel->exprs.at[expr];
    uint32_t innermost = kernel_innermost(kernel, along);
    int64_t longest = 1;
    if (x->kind == X_LOAD) {
        bool gathers = x->gather == (int)along || x->gather == (int)innermost;
        bool runs = stride_along(kernel, x, along) == 1 && !gathers && x->lookup < 0;
        return runs && moves_with(kernel, x, across) ? kernel->axes[innermost].extent : 1;
    }
    for (int i = 0; x->kind == X_OP && i < op_info[x->op].arity; i++) {
        int64_t run = kernel_run(kernel, x->in[i], along, across);
        if (run > longest) longest = run;
    }
    return longest;
}

bool op_is_function(Op op) {
    switch (op) {
    case OP_EXP:
    case OP_LOG:
    case OP_SIN:
    case OP_COS:
    case OP_TANH:
    case OP_ERF:
    case OP_POW: return true;
    default: return false;
    }
}

/* `also`: axes along which other elements are looked up. */
static double touched_bytes(const Kernel *kernel, const Buffer *buffer, const Affine *at,
                            uint32_t also) {
    double count = 1;
    for (uint32_t i = 0; i < kernel->axis_count + kernel->part_count; i++)
        if (at->coeff[i] || also >> i & 1) count *= (double)kernel->axes[i].extent;
    if (count > (double)buffer->count) count = (double)buffer->count;
    return count * elem_bytes(buffer->elem);
}

static double iterations(const Kernel *kernel, uint32_t axes) {
    double count = 1;
    for (uint32_t i = 0; i < kernel->axis_count; i++)
        if (axes >> i & 1) count *= (double)kernel->axes[i].extent;
    return count;
}

/* A set of the expressions that `at` is made of. */
static void mark_below(const Kernel *kernel, int at, bool *marked) {
    if (at < 0 || marked[at]) return;
    const Expr *expr = &kernel->exprs.at[at];
    marked[at] = true;
    for (uint32_t i = 0; i < 3; i++) mark_below(kernel, expr->in[i], marked);
    mark_below(kernel, expr->guard, marked);
    mark_below(kernel, expr->lookup, marked);
}

void plane_pass_uses(const Kernel *kernel, uint32_t pass, bool *marked) {
    const PlanePass *p = &kernel->plane->passes.at[pass];
    memset(marked, 0, kernel->exprs.count * sizeof *marked);
    for (uint32_t i = 0; i < p->reductions.count; i++)
        mark_below(kernel, p->reductions.at[i].value, marked);
    for (uint32_t i = 0; i < p->sinks.count; i++) mark_below(kernel, p->sinks.at[i].value, marked);
}

/* Every pass computes its values from the leaves; the operations themselves are counted once. */
static void count_plane(Kernel *kernel, Arena *arena) {
    const Plane *plane = kernel->plane;
    uint32_t inner = plane->around | 1u << plane->m | 1u << plane->n;
    double points = iterations(kernel, ((1u << kernel->outer_count) - 1) | inner);
    bool *marked = arena_alloc(arena, kernel->exprs.count + 1);
    for (uint32_t p = 0; p < plane->passes.count; p++) {
        const PlanePass *pass = &plane->passes.at[p];
        plane_pass_uses(kernel, p, marked);
        kernel->flops += points * pass->reductions.count;
        for (uint32_t i = 0; i < pass->sinks.count; i++)
            kernel->flops += 2 * points * (double)kernel->axes[pass->sinks.at[i].e].extent;
        for (uint32_t e = 0; e < kernel->exprs.count; e++)
            if (marked[e] && kernel->exprs.at[e].kind == X_LEAF)
                kernel->flops +=
                    2 * points *
                    (double)kernel->axes[plane->leaves.at[kernel->exprs.at[e].index].k].extent;
    }
    for (uint32_t i = 0; i < plane->stores.count; i++)
        kernel->bytes_written +=
            touched_bytes(kernel, plane->stores.at[i].buffer, &plane->stores.at[i].at, 0);
}

void kernel_count_work(Kernel *kernel, Arena *arena) {
    const uint32_t *axes = kernel_expr_axes(kernel, arena);
    for (uint32_t i = 0; i < kernel->exprs.count; i++) {
        const Expr *expr = &kernel->exprs.at[i];
        if (expr->kind == X_OP) kernel->flops += iterations(kernel, axes[i]);
        if (expr->kind == X_LOAD && expr->buffer->space != SPACE_LOCAL)
            kernel->bytes_read += touched_bytes(kernel, expr->buffer, &expr->at,
                                                expr->lookup >= 0 ? axes[expr->lookup] : 0);
    }
    if (kernel->plane) count_plane(kernel, arena);
    uint32_t outer = (1u << kernel->outer_count) - 1;
    for (uint32_t s = 0; s < kernel->stages.count; s++) {
        const Stage *stage = &kernel->stages.at[s];
        double count = iterations(kernel, outer | stage->inner);
        kernel->flops += count * stage->reductions.count;
        if (stage->contraction) kernel->flops += 2 * count;
        for (uint32_t i = 0; i < stage->stores.count; i++)
            if (stage->stores.at[i].buffer->space != SPACE_LOCAL)
                kernel->bytes_written +=
                    touched_bytes(kernel, stage->stores.at[i].buffer, &stage->stores.at[i].at, 0);
    }
}

bool kernel_is_aligned(const Buffer *buffer) {
    return buffer->space == SPACE_SCRATCH ||
           (buffer->space == SPACE_TRIAL && buffer->offset % 16 == 0);
}
