/* Questions about a kernel that several passes ask. */
#include "compiler/kernel/kernel.h"

uint32_t *kernel_expr_axes(const Kernel *kernel, Arena *arena) {
    uint32_t *axes = arena_alloc(arena, (kernel->exprs.count + 1) * sizeof *axes);
    uint32_t outer = (1u << kernel->outer_count) - 1;
    for (uint32_t e = 0; e < kernel->exprs.count; e++) {
        const Expr *expr = &kernel->exprs.at[e];
        if (expr->kind == X_RESULT) axes[e] = outer;
        if (expr->kind == X_RESULT && kernel->stages.at[expr->index].contraction)
            axes[e] |= 3u << kernel->outer_count;
        for (uint32_t i = 0; i < kernel->axis_count; i++)
            if (expr->at.coeff[i]) axes[e] |= 1u << i;
        for (uint32_t i = 0; i < 3; i++)
            if (expr->in[i] >= 0) axes[e] |= axes[expr->in[i]];
        if (expr->guard >= 0) axes[e] |= axes[expr->guard];
    }
    return axes;
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

static double touched_bytes(const Kernel *kernel, const Buffer *buffer, const Affine *at) {
    double count = 1;
    for (uint32_t i = 0; i < kernel->axis_count; i++)
        if (at->coeff[i]) count *= (double)kernel->axes[i].extent;
    if (count > (double)buffer->count) count = (double)buffer->count;
    return count * elem_bytes(buffer->elem);
}

static double iterations(const Kernel *kernel, uint32_t axes) {
    double count = 1;
    for (uint32_t i = 0; i < kernel->axis_count; i++)
        if (axes >> i & 1) count *= (double)kernel->axes[i].extent;
    return count;
}

void kernel_count_work(Kernel *kernel, Arena *arena) {
    const uint32_t *axes = kernel_expr_axes(kernel, arena);
    for (uint32_t i = 0; i < kernel->exprs.count; i++) {
        const Expr *expr = &kernel->exprs.at[i];
        if (expr->kind == X_OP) kernel->flops += iterations(kernel, axes[i]);
        if (expr->kind == X_LOAD && expr->buffer->space != SPACE_LOCAL)
            kernel->bytes_read += touched_bytes(kernel, expr->buffer, &expr->at);
    }
    uint32_t outer = (1u << kernel->outer_count) - 1;
    for (uint32_t s = 0; s < kernel->stages.count; s++) {
        const Stage *stage = &kernel->stages.at[s];
        double count = iterations(kernel, outer | stage->inner);
        kernel->flops += count * stage->reductions.count;
        if (stage->contraction) kernel->flops += 2 * count;
        for (uint32_t i = 0; i < stage->stores.count; i++)
            if (stage->stores.at[i].buffer->space != SPACE_LOCAL)
                kernel->bytes_written +=
                    touched_bytes(kernel, stage->stores.at[i].buffer, &stage->stores.at[i].at);
    }
}

bool kernel_is_aligned(const Buffer *buffer) {
    return buffer->space == SPACE_SCRATCH ||
           (buffer->space == SPACE_TRIAL && buffer->offset % 16 == 0);
}
