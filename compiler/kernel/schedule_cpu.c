/* Schedules for one core: which axis is a vector and how far loops unroll. Whatever changes the
 * order of a reduction (vector axis, lanes, unroll) depends on the extents and the target only, so
 * fused and unfused kernels give the same bits. */
#include "compiler/kernel/schedule.h"

enum { MAX_UNROLL = 4, BIG_BODY = 24 };

/* The widest real type that changes with `axis`. */
static uint32_t widest_bytes(const Kernel *kernel, const uint32_t *axes, uint32_t axis) {
    uint32_t widest = 0, any = 0;
    for (uint32_t e = 0; e < kernel->exprs.count; e++) {
        const Expr *expr = &kernel->exprs.at[e];
        if (!(axes[e] >> axis & 1)) continue;
        uint32_t bytes = elem_bytes(expr->elem);
        if (bytes > any) any = bytes;
        if (elem_is_real(expr->elem) && bytes > widest) widest = bytes;
    }
    if (widest) return widest;
    return any > 4 ? any : 4;
}

/* ---- the vector axis ---- */

/* The last inner axis, or the last outer one where sums run across memory; -1 when the kernel has
 * no loop worth a vector. Where the operands lie has no say: it would change the order of sums. */
static int vector_axis(const Kernel *kernel) {
    if (!kernel->axis_count) return -1;
    bool has_inner = kernel->axis_count > kernel->outer_count;
    if (!has_inner || kernel->columns) return (int)kernel->outer_count - 1;
    uint32_t inner = kernel->axis_count - 1;
    return kernel->axes[inner].extent > 1 ? (int)inner : -1;
}

static uint32_t unroll_for(int64_t extent, uint32_t lanes, uint32_t limit) {
    int64_t vectors = extent / lanes;
    uint32_t unroll = 1;
    while (2 * unroll <= limit && 2 * (int64_t)unroll <= vectors) unroll *= 2;
    return unroll;
}

/* Instructions, or so, that one point takes: a block of Philox and the functions that the machine
 * does not have are long. */
static uint32_t code_size(const Expr *expr) {
    if (expr->kind == X_RANDOM) return 80;
    if (expr->kind != X_OP) return 0;
    return op_is_function(expr->op) ? 20 : 1;
}

static uint32_t body_size(const Kernel *kernel) {
    uint32_t size = 0;
    for (uint32_t e = 0; e < kernel->exprs.count; e++) size += code_size(&kernel->exprs.at[e]);
    return size;
}

static void schedule_loops(Kernel *kernel, int axis) {
    bool outer = axis >= 0 && (uint32_t)axis < kernel->outer_count;
    bool big = body_size(kernel) > BIG_BODY;
    for (uint32_t s = 0; s < kernel->stages.count; s++) {
        Stage *stage = &kernel->stages.at[s];
        bool along = axis >= 0 && (outer || stage->inner >> axis & 1);
        stage->vector_axis = along ? axis : -1;
        stage->unroll = 1;
        if (!along || outer) continue;
        /* a reduction's accumulators are part of its meaning: extent and lanes alone decide */
        bool reduces = stage->reductions.count > 0;
        stage->unroll = unroll_for(kernel->axes[axis].extent, kernel->lanes,
                                   reduces ? MAX_UNROLL
                                   : big   ? 1
                                           : 2);
    }
}

void schedule_cpu(StepProgram *program, const CpuTarget *target, Arena *arena) {
    for (uint32_t i = 0; i < program->kernels.count; i++) {
        Kernel *kernel = program->kernels.at[i];
        if (kernel->stages.count && kernel->stages.at[0].contraction) {
            cpu_contract_schedule(program, kernel, target, arena);
            continue;
        }
        if (kernel->plane) {
            cpu_plane_schedule(program, kernel, target, arena);
            continue;
        }
        const uint32_t *axes = kernel_expr_axes(kernel, arena);
        int axis = vector_axis(kernel);
        kernel->lanes = 1;
        if (axis >= 0)
            kernel->lanes = target->vector_bytes / widest_bytes(kernel, axes, (uint32_t)axis);
        schedule_loops(kernel, axis);
    }
}
