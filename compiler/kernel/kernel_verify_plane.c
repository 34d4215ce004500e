/* What a legal plane is: the words above Plane in kernel.h, rule by rule. */
#include "compiler/kernel/affine.h"

typedef struct {
    const Kernel *kernel;
    const Plane *plane;
    Arena *arena;
    const uint32_t *axes; /* that each expression changes with */
    uint32_t outer, rows; /* sets: the outer axes; with m, too */
    const char *problem;
} PlaneVerifier;

static bool broken(PlaneVerifier *v, const char *rule) {
    if (!v->problem) v->problem = arena_printf(v->arena, "kernel '%s': %s", v->kernel->name, rule);
    return false;
}

static uint32_t bit(uint32_t axis) {
    return 1u << axis;
}

/* ---- axes ---- */

static bool take(PlaneVerifier *v, uint32_t *left, uint32_t axis) {
    if (axis >= v->kernel->axis_count || !(*left & bit(axis)))
        return broken(v, "an axis of the plane is not its own");
    *left &= ~bit(axis);
    return true;
}

/* Every axis behind the outer ones is one of around, m, n, the k and the e. */
static bool check_axes(PlaneVerifier *v) {
    const Plane *plane = v->plane;
    uint32_t left = (bit(v->kernel->axis_count) - 1) & ~v->outer;
    if (plane->around & ~left) return broken(v, "the axes around the columns are outer ones");
    left &= ~plane->around;
    if (!take(v, &left, plane->m) || !take(v, &left, plane->n)) return false;
    for (uint32_t i = 0; i < plane->leaves.count; i++)
        if (!take(v, &left, plane->leaves.at[i].k)) return false;
    for (uint32_t p = 0; p < plane->passes.count; p++)
        for (uint32_t i = 0; i < plane->passes.at[p].sinks.count; i++)
            if (!take(v, &left, plane->passes.at[p].sinks.at[i].e)) return false;
    return !left || broken(v, "an axis belongs to no part of the plane");
}

/* ---- values ---- */

static bool check_operand(PlaneVerifier *v, int at, uint32_t axes) {
    const Expr *expr = &v->kernel->exprs.at[at];
    if (v->axes[at] & ~axes) return broken(v, "an operand changes with another's axis");
    return (expr->kind == X_LOAD && expr->guard < 0 && expr->lookup < 0 &&
            elem_is_real(expr->elem)) ||
           broken(v, "an operand is no plain load");
}

/* What a part of the plane stands for, and whether it is known by then: `pass` is the one that
 * evaluates it, the number of passes in stores. */
static bool check_part(PlaneVerifier *v, const Expr *expr, uint32_t pass, bool own_row) {
    const Plane *plane = v->plane;
    bool store = pass == plane->passes.count;
    if (expr->kind == X_RESULT) return broken(v, "a plane reads a stage");
    if (expr->kind == X_LEAF)
        return (!store && expr->index < plane->leaves.count) || broken(v, "a leaf out of place");
    if (expr->kind != X_ROW && expr->kind != X_SUM) return true;
    if (expr->index >= plane->passes.count) return broken(v, "a result of a pass that is none");
    const PlanePass *from = &plane->passes.at[expr->index];
    if (expr->word >= (expr->kind == X_ROW ? from->reductions.count : from->sinks.count))
        return broken(v, "a result that its pass does not have");
    if (expr->kind == X_SUM) return store || broken(v, "a value reads sums");
    bool own = expr->index == pass && own_row && expr->word == 0;
    return expr->index < pass || own || broken(v, "a value reads a row that is not known yet");
}

static bool check_value(PlaneVerifier *v, int at, uint32_t pass, bool own_row) {
    if (at < 0) return true;
    const Expr *expr = &v->kernel->exprs.at[at];
    if (!check_part(v, expr, pass, own_row)) return false;
    for (uint32_t i = 0; i < 3; i++)
        if (!check_value(v, expr->in[i], pass, own_row)) return false;
    return check_value(v, expr->guard, pass, own_row) &&
           check_value(v, expr->lookup, pass, own_row);
}

static bool check_pass(PlaneVerifier *v, uint32_t number) {
    const PlanePass *pass = &v->plane->passes.at[number];
    uint32_t points = v->rows | v->plane->around | bit(v->plane->n);
    if (pass->online && (!pass->reductions.count || pass->reductions.at[0].op != OP_REDUCE_MAX))
        return broken(v, "an online pass without a maximum");
    for (uint32_t i = 0; i < pass->reductions.count; i++) {
        const Reduction *reduction = &pass->reductions.at[i];
        if (v->axes[reduction->value] & ~points) return broken(v, "a reduction of a sum");
        if (pass->online && i && reduction->op != OP_SUM)
            return broken(v, "an online pass with two maxima");
        if (!check_value(v, reduction->value, number, pass->online && i)) return false;
    }
    for (uint32_t i = 0; i < pass->sinks.count; i++) {
        const PlaneSink *sink = &pass->sinks.at[i];
        if (v->axes[sink->value] & ~points) return broken(v, "a sink of a sum");
        if (!check_value(v, sink->value, number, pass->online)) return false;
        uint32_t columns = v->outer | v->plane->around | bit(v->plane->n) | bit(sink->e);
        if (!check_operand(v, sink->b, columns)) return false;
    }
    return true;
}

static bool check_leaf(PlaneVerifier *v, const PlaneLeaf *leaf) {
    uint32_t common = v->outer | v->plane->around | bit(leaf->k);
    return check_operand(v, leaf->a, common | bit(v->plane->m)) &&
           check_operand(v, leaf->b, common | bit(v->plane->n));
}

/* ---- stores ---- */

static uint32_t sum_axes(const Plane *plane) {
    uint32_t axes = 0;
    for (uint32_t p = 0; p < plane->passes.count; p++)
        for (uint32_t i = 0; i < plane->passes.at[p].sinks.count; i++)
            axes |= bit(plane->passes.at[p].sinks.at[i].e);
    return axes;
}

static bool is_stored(const Plane *plane, const Buffer *buffer) {
    for (uint32_t i = 0; i < plane->stores.count; i++)
        if (plane->stores.at[i].buffer == buffer) return true;
    return false;
}

static bool check_store(PlaneVerifier *v, const Store *store) {
    const Expr *value = &v->kernel->exprs.at[store->value];
    uint32_t sums = v->axes[store->value] & sum_axes(v->plane), moved = 0;
    int64_t extents[MAX_AXES], low, high;
    if (sums & (sums - 1)) return broken(v, "a store of two sums");
    if (v->axes[store->value] & ~(v->rows | sums)) return broken(v, "a store of a point");
    for (uint32_t i = 0; i < v->kernel->axis_count; i++) {
        extents[i] = v->kernel->axes[i].extent;
        if (store->at.coeff[i]) moved |= bit(i);
        if ((v->rows | sums) & bit(i) && extents[i] > 1 && !store->at.coeff[i])
            return broken(v, "elements are stored more than once");
    }
    if (moved & ~(v->rows | sums)) return broken(v, "a store along another axis than its value's");
    if (value->elem != store->buffer->elem) return broken(v, "a store of another type");
    affine_range(&store->at, extents, v->kernel->axis_count, &low, &high);
    if (low < 0 || high >= store->buffer->count) return broken(v, "a store outside of its buffer");
    return check_value(v, store->value, v->plane->passes.count, false);
}

static bool check_loads(PlaneVerifier *v) {
    for (uint32_t i = 0; i < v->kernel->exprs.count; i++) {
        const Expr *expr = &v->kernel->exprs.at[i];
        if (expr->kind == X_LOAD && is_stored(v->plane, expr->buffer))
            return broken(v, "a plane reads what it stores");
    }
    return true;
}

const char *plane_verify(const Kernel *kernel, Arena *arena) {
    PlaneVerifier v = {.kernel = kernel, .plane = kernel->plane, .arena = arena};
    v.axes = kernel_expr_axes(kernel, arena);
    v.outer = bit(kernel->outer_count) - 1;
    v.rows = v.outer | bit(kernel->plane->m);
    if (kernel->stages.count) broken(&v, "stages beside a plane");
    if (!kernel->plane->leaves.count) broken(&v, "a plane without leaves");
    if (!check_axes(&v) || !check_loads(&v)) return v.problem;
    for (uint32_t i = 0; i < kernel->plane->leaves.count; i++)
        if (!check_leaf(&v, &kernel->plane->leaves.at[i])) return v.problem;
    for (uint32_t i = 0; i < kernel->plane->passes.count; i++)
        if (!check_pass(&v, i)) return v.problem;
    for (uint32_t i = 0; i < kernel->plane->stores.count; i++)
        if (!check_store(&v, &kernel->plane->stores.at[i])) return v.problem;
    return v.problem;
}
