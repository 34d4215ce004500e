/* What is the same for every trial of a wave: values that are made of the batch alone, since trials
 * share their rows. Such a buffer is computed by one trial's blocks, kept in the first trial's
 * scratch, and read by all from there. */
#include "compiler/kernel/schedule.h"

/* Of all stages, or of the plane. */
static uint32_t store_count(const Kernel *kernel) {
    uint32_t count = kernel->plane ? kernel->plane->stores.count : 0;
    for (uint32_t s = 0; s < kernel->stages.count; s++) count += kernel->stages.at[s].stores.count;
    return count;
}

static Buffer *stored_by(const Kernel *kernel, uint32_t number) {
    for (uint32_t s = 0; s < kernel->stages.count; s++) {
        const Stage *stage = &kernel->stages.at[s];
        if (number < stage->stores.count) return stage->stores.at[number].buffer;
        number -= stage->stores.count;
    }
    return kernel->plane->stores.at[number].buffer;
}

static bool is_uniform_load(const Expr *expr) {
    Space space = expr->buffer->space;
    return space == SPACE_FIELD || space == SPACE_INDEX || space == SPACE_LOCAL ||
           expr->buffer->uniform;
}

static bool is_uniform(const Kernel *kernel) {
    for (uint32_t e = 0; e < kernel->exprs.count; e++) {
        const Expr *expr = &kernel->exprs.at[e];
        if (expr->kind == X_STEP || expr->kind == X_RANDOM) return false;
        if (expr->kind == X_LOAD && !is_uniform_load(expr)) return false;
    }
    for (uint32_t i = 0; i < store_count(kernel); i++) {
        const Buffer *buffer = stored_by(kernel, i);
        if (buffer->space != SPACE_LOCAL && !buffer->uniform) return false;
    }
    return true;
}

/* Whether something that was thought to be the same is not. */
static bool take_back(const Kernel *kernel) {
    bool changed = false;
    for (uint32_t i = 0; i < store_count(kernel); i++) {
        Buffer *buffer = stored_by(kernel, i);
        changed |= buffer->uniform;
        buffer->uniform = false;
    }
    return changed;
}

/* All that some kernel stores into scratch. */
static void begin_with_all(const StepProgram *program) {
    for (uint32_t k = 0; k < program->kernels.count; k++) {
        const Kernel *kernel = program->kernels.at[k];
        for (uint32_t i = 0; i < store_count(kernel); i++) {
            Buffer *buffer = stored_by(kernel, i);
            buffer->uniform = buffer->space == SPACE_SCRATCH;
        }
    }
}

/* From all down to what stays: a buffer may be stored in pieces, by several kernels. */
void schedule_cuda_uniform(StepProgram *program) {
    begin_with_all(program);
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t k = 0; k < program->kernels.count; k++)
            if (!is_uniform(program->kernels.at[k]) && take_back(program->kernels.at[k]))
                changed = true;
    }
    for (uint32_t k = 0; k < program->kernels.count; k++)
        program->kernels.at[k]->gpu.uniform = is_uniform(program->kernels.at[k]);
}
