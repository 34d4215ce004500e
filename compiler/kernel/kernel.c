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
