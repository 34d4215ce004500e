/* What a legal kernel is; the invariants of kernel.h, rule by rule. Runs behind every pass in
 * tests. */
#include "compiler/kernel/kernel.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

typedef struct {
    const Kernel *kernel;
    Arena *arena;
    uint32_t *axes;  /* that each expression changes with */
    uint32_t *reach; /* per expression: stages that evaluate it, a bit set */
    int64_t extents[MAX_AXES];
    const char *problem;
} Verifier;

static bool broken(Verifier *v, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Keeps the first problem; false, so that callers can say `return broken(…)`. */
static bool broken(Verifier *v, const char *format, ...) {
    if (v->problem) return false;
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    v->problem = arena_printf(v->arena, "kernel '%s': %s", v->kernel->name, text);
    return false;
}

/* ---- the frame ---- */

static bool check_name(Verifier *v) {
    const char *name = v->kernel->name;
    if (!name || !*name) return broken(v, "no name");
    for (const char *c = name; *c; c++)
        if (!islower((unsigned char)*c) && !isdigit((unsigned char)*c) && *c != '_')
            return broken(v, "the name has another character than a-z, 0-9 and _");
    return true;
}

/* An inner axis that counts positions in a chunk, whose number is an outer one; no chunk is empty.
 */
static bool check_chunks(Verifier *v, uint32_t at) {
    const Axis *axis = &v->kernel->axes[at];
    if (!axis->chunks) return true;
    if (at < v->kernel->outer_count || axis->chunks > v->kernel->outer_count)
        return broken(v, "axis %s counts positions in chunks that no outer axis counts",
                      axis->name);
    int64_t chunks = v->kernel->axes[axis->chunks - 1].extent;
    if (axis->whole > chunks * axis->extent || axis->whole <= (chunks - 1) * axis->extent)
        return broken(v, "axis %s is %" PRId64 " long, in %" PRId64 " chunks of %" PRId64,
                      axis->name, axis->whole, chunks, axis->extent);
    for (uint32_t i = 0; i < at; i++)
        if (v->kernel->axes[i].chunks == axis->chunks)
            return broken(v, "axes %s and %s count in the same chunks", v->kernel->axes[i].name,
                          axis->name);
    return true;
}

static uint32_t all_axes(const Kernel *kernel) {
    return kernel->axis_count + kernel->part_count;
}

/* The parts of an axis stand together, outermost first, and are all of it. */
static bool check_parts(Verifier *v) {
    const Kernel *kernel = v->kernel;
    for (uint32_t i = kernel->axis_count; i < all_axes(kernel); i++) {
        const Axis *part = &kernel->axes[i];
        v->extents[i] = part->extent;
        if (!part->of || part->of <= kernel->outer_count || part->of > kernel->axis_count)
            return broken(v, "part %s belongs to no inner axis", part->name);
        const Axis *whole = &kernel->axes[part->of - 1], *before = i ? part - 1 : NULL;
        bool first = i == kernel->axis_count || before->of != part->of;
        bool last = i + 1 == all_axes(kernel) || part[1].of != part->of;
        if (part->extent < 1 || part->below < 1 ||
            (first ? whole->extent : before->below) != part->extent * part->below ||
            (last && part->below != 1))
            return broken(v, "the parts of axis %s are not all of it", whole->name);
        for (uint32_t k = kernel->axis_count; first && k < i; k++)
            if (kernel->axes[k].of == part->of)
                return broken(v, "the parts of axis %s stand apart", whole->name);
    }
    return true;
}

static bool check_axes(Verifier *v) {
    const Kernel *kernel = v->kernel;
    if (all_axes(kernel) > MAX_AXES || kernel->outer_count > kernel->axis_count)
        return broken(v, "%u axes, %u of them outer", kernel->axis_count, kernel->outer_count);
    for (uint32_t i = 0; i < kernel->axis_count; i++) {
        v->extents[i] = kernel->axes[i].extent;
        if (v->extents[i] < 1)
            return broken(v, "axis %s has extent %" PRId64, kernel->axes[i].name, v->extents[i]);
        if (kernel->axes[i].of) return broken(v, "part %s has a loop", kernel->axes[i].name);
        if (!check_chunks(v, i)) return false;
    }
    if (!check_parts(v)) return false;
    if ((!kernel->stages.count && !kernel->plane) || kernel->stages.count > 32)
        return broken(v, "%u stages", kernel->stages.count);
    return true;
}

static bool is_listed(const BufferList *list, const Buffer *buffer) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < list->count; i++) count += list->at[i] == buffer;
    return count == 1;
}

static bool check_buffer(Verifier *v, const Buffer *buffer) {
    if (!buffer) return broken(v, "a load or store without a buffer");
    const BufferList *list =
        buffer->space == SPACE_LOCAL ? &v->kernel->locals : &v->kernel->buffers;
    return is_listed(list, buffer) ||
           broken(v, "buffer '%s' is not exactly once among the arguments", buffer->name);
}

static bool check_special(Verifier *v) {
    const Kernel *kernel = v->kernel;
    bool random = false, gather = false;
    for (uint32_t e = 0; e < kernel->exprs.count; e++) {
        const Expr *expr = &kernel->exprs.at[e];
        random |= expr->kind == X_STEP || expr->kind == X_RANDOM;
        gather |= expr->kind == X_LOAD && expr->gather >= 0;
    }
    if (random &&
        (!kernel->header || !kernel->buffers.count || kernel->buffers.at[0] != kernel->header))
        return broken(v, "the header is not the first argument");
    if (gather && (!kernel->index || !is_listed(&kernel->buffers, kernel->index)))
        return broken(v, "a gather without the index among the arguments");
    return true;
}

/* ---- expressions ---- */

/* What runs along an axis that was cut runs along its chunks just as far. */
static bool check_affine(Verifier *v, const Affine *at) {
    for (uint32_t i = all_axes(v->kernel); i < MAX_AXES; i++)
        if (at->coeff[i]) return broken(v, "an index uses axis %u of %u", i, all_axes(v->kernel));
    for (uint32_t i = 0; i < v->kernel->axis_count; i++) {
        const Axis *axis = &v->kernel->axes[i];
        if (!axis->chunks || !at->coeff[i]) continue;
        if (at->coeff[axis->chunks - 1] != at->coeff[i] * axis->extent)
            return broken(v, "an index runs along %s, and along its chunks otherwise", axis->name);
    }
    return true;
}

/* How far an index gets along axis i from its first place: of an axis that was cut together with
 * its chunks, which are then 0. */
static int64_t reach(const Verifier *v, const Affine *at, uint32_t i) {
    for (uint32_t k = 0; k < v->kernel->axis_count; k++)
        if (v->kernel->axes[k].chunks == i + 1 && at->coeff[k]) return 0;
    int64_t count = v->kernel->axes[i].chunks ? v->kernel->axes[i].whole : v->extents[i];
    return at->coeff[i] * (count - 1);
}

static bool check_range(Verifier *v, const Buffer *buffer, Affine at, int gather,
                        const char *what) {
    int64_t limit = buffer->count;
    if (gather >= 0) { /* the row is any example; the rest stays within one */
        limit = buffer->row ? buffer->row : at.coeff[gather];
        at.coeff[gather] = 0;
    }
    int64_t low = at.offset, high = at.offset;
    for (uint32_t i = 0; i < all_axes(v->kernel); i++) {
        int64_t far = reach(v, &at, i);
        *(far < 0 ? &low : &high) += far;
    }
    if (low >= 0 && high < limit) return true;
    return broken(v, "%s of '%s' at %" PRId64 " .. %" PRId64 " of %" PRId64, what, buffer->name,
                  low, high, limit);
}

static bool check_load(Verifier *v, const Expr *expr) {
    if (!check_buffer(v, expr->buffer)) return false;
    if (expr->elem != expr->buffer->elem)
        return broken(v, "'%s' is %s and is loaded as %s", expr->buffer->name,
                      elem_name(expr->buffer->elem), elem_name(expr->elem));
    if (expr->lookup >= 0 && v->kernel->exprs.at[expr->lookup].elem != E_I32)
        return broken(v, "a lookup by what is not i32");
    if (expr->lookup >= 0 && (expr->pitch < 1 || expr->pitch > expr->buffer->count))
        return broken(v, "a lookup in '%s' with a pitch of %" PRId64, expr->buffer->name,
                      expr->pitch);
    if (expr->divide > 1 && expr->guard < 0)
        return broken(v, "a divided place in '%s' without a guard", expr->buffer->name);
    if (expr->guard >= 0) {
        if (v->kernel->exprs.at[expr->guard].elem != E_BOOL)
            return broken(v, "a guard that is not bool");
        return true;
    }
    if (expr->gather >= 0 && (expr->buffer->space != SPACE_FIELD || !expr->at.coeff[expr->gather]))
        return broken(v, "a gather along an axis that the load of '%s' does not use",
                      expr->buffer->name);
    return check_range(v, expr->buffer, expr->at, expr->gather, "load");
}

static bool is_test(Op op) {
    return op == OP_LT || op == OP_LE || op == OP_EQ || op == OP_AND || op == OP_OR || op == OP_NOT;
}
static bool is_logic(Op op) {
    return op == OP_AND || op == OP_OR || op == OP_NOT;
}

static bool check_op(Verifier *v, const Expr *expr) {
    const Expr *exprs = v->kernel->exprs.at;
    OpClass class = op_info[expr->op].class;
    if (class != CLASS_UNARY && class != CLASS_BINARY && class != CLASS_TERNARY)
        return broken(v, "'%s' is no elementwise operation", op_info[expr->op].text);
    for (int i = 0; i < 3; i++)
        if ((expr->in[i] >= 0) != (i < op_info[expr->op].arity))
            return broken(v, "'%s' has the wrong number of operands", op_info[expr->op].text);
    if (expr->op == OP_CAST) return true;
    uint32_t first = expr->op == OP_SELECT ? 1 : 0;
    if (first && exprs[expr->in[0]].elem != E_BOOL)
        return broken(v, "select by something that is not bool");
    Elem elem = exprs[expr->in[first]].elem;
    for (int i = (int)first; i < op_info[expr->op].arity; i++)
        if (exprs[expr->in[i]].elem != elem)
            return broken(v, "operands of '%s' differ in type", op_info[expr->op].text);
    if (is_logic(expr->op) && elem != E_BOOL)
        return broken(v, "'%s' of what is not bool", op_info[expr->op].text);
    if (expr->elem != (is_test(expr->op) ? E_BOOL : elem))
        return broken(v, "'%s' gives %s", op_info[expr->op].text, elem_name(expr->elem));
    return true;
}

static bool check_expr(Verifier *v, uint32_t at) {
    const Kernel *kernel = v->kernel;
    const Expr *expr = &kernel->exprs.at[at];
    for (uint32_t i = 0; i < 3; i++)
        if (expr->in[i] >= (int)at) return broken(v, "expression %u uses a later one", at);
    if (expr->guard >= (int)at) return broken(v, "expression %u has a later guard", at);
    if (expr->lookup >= (int)at) return broken(v, "expression %u has a later lookup", at);
    if (!check_affine(v, &expr->at)) return false;
    if (expr->kind == X_OP) return check_op(v, expr);
    if (expr->kind == X_LOAD) return check_load(v, expr);
    if (expr->kind == X_AXIS && expr->elem != E_I32) return broken(v, "a position that is not i32");
    if (expr->kind == X_RANDOM && (expr->elem != E_U32 || expr->word > 3))
        return broken(v, "bad random word");
    if (expr->kind != X_RESULT) return true;
    if (expr->index >= kernel->stages.count) return broken(v, "a result of stage %u", expr->index);
    const Stage *stage = &kernel->stages.at[expr->index];
    if (expr->word >= (stage->contraction ? 1 : stage->reductions.count))
        return broken(v, "result %u of stage %u", expr->word, expr->index);
    return true;
}

static void find_axes(Verifier *v, uint32_t at) {
    const Kernel *kernel = v->kernel;
    const Expr *expr = &kernel->exprs.at[at];
    for (uint32_t i = 0; i < all_axes(kernel); i++) /* a part changes with its axis */
        if (expr->at.coeff[i])
            v->axes[at] |= 1u << (i < kernel->axis_count ? i : kernel->axes[i].of - 1);
    for (uint32_t i = 0; i < 3; i++)
        if (expr->in[i] >= 0) v->axes[at] |= v->axes[expr->in[i]];
    if (expr->guard >= 0) v->axes[at] |= v->axes[expr->guard];
    if (expr->lookup >= 0) v->axes[at] |= v->axes[expr->lookup];
    if (expr->kind != X_RESULT) return;
    const Contraction *c = kernel->stages.at[expr->index].contraction;
    if (c) v->axes[at] |= 1u << c->m | 1u << c->n;
}

static bool check_exprs(Verifier *v) {
    for (uint32_t e = 0; e < v->kernel->exprs.count; e++) {
        if (!check_expr(v, e)) return false;
        find_axes(v, e);
    }
    return true;
}

/* ---- stages ---- */

static uint32_t stage_axes(const Verifier *v, const Stage *stage) {
    return ((1u << v->kernel->outer_count) - 1) | stage->inner;
}

static bool uses_parts(const Verifier *v, const Affine *at) {
    for (uint32_t i = v->kernel->axis_count; i < all_axes(v->kernel); i++)
        if (at->coeff[i]) return true;
    return false;
}

static bool check_use(Verifier *v, uint32_t number, int value) {
    if (value < 0 || value >= (int)v->kernel->exprs.count)
        return broken(v, "stage %u uses no expression", number);
    uint32_t *reach = &v->reach[value];
    if (*reach >> number & 1) return true;
    *reach |= 1u << number;
    const Expr *expr = &v->kernel->exprs.at[value];
    if (v->axes[value] & ~stage_axes(v, &v->kernel->stages.at[number]))
        return broken(v, "stage %u uses a value that changes with an axis it does not loop over",
                      number);
    if (uses_parts(v, &expr->at) && !v->kernel->stages.at[number].contraction)
        return broken(v, "stage %u uses a value that looks at parts of an axis", number);
    if (expr->kind == X_RESULT && expr->index >= number)
        return broken(v, "stage %u uses a result of stage %u", number, expr->index);
    for (uint32_t i = 0; i < 3; i++)
        if (expr->in[i] >= 0 && !check_use(v, number, expr->in[i])) return false;
    if (expr->lookup >= 0 && !check_use(v, number, expr->lookup)) return false;
    return expr->guard < 0 || check_use(v, number, expr->guard);
}

static bool check_contraction(Verifier *v, uint32_t number) {
    const Stage *stage = &v->kernel->stages.at[number];
    const Contraction *c = stage->contraction;
    if (stage->reductions.count || stage->stores.count)
        return broken(v, "a contraction that also reduces or stores");
    if (number) return broken(v, "a contraction after other stages");
    uint32_t outer = v->kernel->outer_count;
    if (c->m != outer || c->n != outer + 1 || c->k != outer + 2 || stage->inner != 7u << outer ||
        v->kernel->axis_count != outer + 3)
        return broken(v, "the axes of a contraction are not m, n, k after the outer ones");
    if (!check_use(v, number, c->a) || !check_use(v, number, c->b)) return false;
    if (v->axes[c->a] >> c->n & 1 || v->axes[c->b] >> c->m & 1)
        return broken(v, "an operand of a contraction changes with the other's axis");
    if (v->kernel->exprs.at[c->a].elem != v->kernel->exprs.at[c->b].elem ||
        !elem_is_real(v->kernel->exprs.at[c->a].elem))
        return broken(v, "the operands of a contraction are not of one real type");
    for (uint32_t s = 1; s < v->kernel->stages.count; s++)
        if (v->kernel->stages.at[s].inner != 3u << outer ||
            v->kernel->stages.at[s].reductions.count)
            return broken(v, "an epilogue that reduces, or loops over other axes than m, n");
    return true;
}

/* Different iterations store different elements: in order of stride, each is larger than all before
 * can reach. */
static bool is_injective(const Verifier *v, const Affine *at, uint32_t axes) {
    int64_t reached = 0;
    uint32_t left = 0;
    for (uint32_t i = 0; i < v->kernel->axis_count; i++)
        if (axes >> i & 1 && v->extents[i] > 1) left |= 1u << i;
    for (uint32_t i = 0; i < v->kernel->axis_count; i++) /* an axis that was cut is one again */
        if (left >> i & 1 && v->kernel->axes[i].chunks && at->coeff[i])
            left &= ~(1u << (v->kernel->axes[i].chunks - 1));
    while (left) {
        uint32_t best = MAX_AXES;
        for (uint32_t i = 0; i < v->kernel->axis_count; i++)
            if (left >> i & 1 && (best == MAX_AXES || at->coeff[i] < at->coeff[best])) best = i;
        if (at->coeff[best] <= reached) return false;
        reached += reach(v, at, best);
        left &= ~(1u << best);
    }
    return true;
}

static bool check_store(Verifier *v, uint32_t number, const Store *store) {
    const Stage *stage = &v->kernel->stages.at[number];
    if (!check_buffer(v, store->buffer) || !check_affine(v, &store->at)) return false;
    if (!check_use(v, number, store->value)) return false;
    if (v->kernel->exprs.at[store->value].elem != store->buffer->elem)
        return broken(v, "'%s' is %s and gets %s", store->buffer->name,
                      elem_name(store->buffer->elem),
                      elem_name(v->kernel->exprs.at[store->value].elem));
    if (store->buffer->space == SPACE_INDEX || store->buffer->space == SPACE_TOTAL)
        return broken(v, "a store into '%s', which is only read", store->buffer->name);
    bool local = store->buffer->space == SPACE_LOCAL;
    uint32_t axes = local ? stage->inner : stage_axes(v, stage);
    for (uint32_t i = 0; i < all_axes(v->kernel); i++)
        if (store->at.coeff[i] && !(axes >> i & 1))
            return broken(v, "a store along an axis outside its stage");
    if (!is_injective(v, &store->at, axes))
        return broken(v, "elements of '%s' are stored more than once", store->buffer->name);
    return check_range(v, store->buffer, store->at, -1, "store");
}

static bool check_stage(Verifier *v, uint32_t number) {
    const Kernel *kernel = v->kernel;
    const Stage *stage = &kernel->stages.at[number];
    uint32_t all = (1u << kernel->axis_count) - 1, outer = (1u << kernel->outer_count) - 1;
    if (stage->inner & (outer | ~all))
        return broken(v, "stage %u loops over an outer axis", number);
    if (stage->contraction) return check_contraction(v, number);
    if (!stage->reductions.count && !stage->stores.count)
        return broken(v, "stage %u does nothing", number);
    for (uint32_t i = 0; i < stage->reductions.count; i++) {
        const Reduction *reduction = &stage->reductions.at[i];
        if (reduction->op != OP_SUM && reduction->op != OP_REDUCE_MAX)
            return broken(v, "a reduction by '%s'", op_info[reduction->op].text);
        if (!check_use(v, number, reduction->value)) return false;
    }
    for (uint32_t i = 0; i < stage->stores.count; i++)
        if (!check_store(v, number, &stage->stores.at[i])) return false;
    int axis = stage->vector_axis;
    bool legal = axis < 0 || stage->inner >> axis & 1 || axis == (int)kernel->outer_count - 1;
    return legal || broken(v, "stage %u has a vector axis outside its loops", number);
}

/* ---- stores against each other and against loads ---- */

static bool same_place(const Affine *a, const Affine *b) {
    return a->offset == b->offset && !memcmp(a->coeff, b->coeff, sizeof a->coeff);
}

static void store_range(const Verifier *v, const Store *store, int64_t *low, int64_t *high) {
    *low = *high = store->at.offset;
    for (uint32_t i = 0; i < v->kernel->axis_count; i++) *high += reach(v, &store->at, i);
}

static bool check_pair(Verifier *v, const Store *a, const Store *b) {
    if (a == b || a->buffer != b->buffer) return true;
    int64_t a_low, a_high, b_low, b_high;
    store_range(v, a, &a_low, &a_high);
    store_range(v, b, &b_low, &b_high);
    return a_high < b_low || b_high < a_low ||
           broken(v, "two stores into the same part of '%s'", a->buffer->name);
}

/* Scratch is read after it is written, the trial's block before or while, and at the very element.
 */
static bool check_readback(Verifier *v, uint32_t number, const Store *store, uint32_t at) {
    const Expr *expr = &v->kernel->exprs.at[at];
    if (expr->kind != X_LOAD || expr->buffer != store->buffer || !v->reach[at]) return true;
    if (!same_place(&expr->at, &store->at))
        return broken(v, "'%s' is read at another element than it is stored", store->buffer->name);
    uint32_t early = v->reach[at] & ((2u << number) - 1), late = v->reach[at] >> number >> 1;
    bool in_place = store->buffer->space == SPACE_TRIAL;
    if (in_place ? late : early)
        return broken(v, "stage %u stores '%s' %s it is read", number, store->buffer->name,
                      in_place ? "before" : "after");
    return true;
}

static bool check_stores(Verifier *v) {
    const Kernel *kernel = v->kernel;
    for (uint32_t s = 0; s < kernel->stages.count; s++)
        for (uint32_t i = 0; i < kernel->stages.at[s].stores.count; i++) {
            const Store *store = &kernel->stages.at[s].stores.at[i];
            for (uint32_t e = 0; e < kernel->exprs.count; e++)
                if (!check_readback(v, s, store, e)) return false;
            for (uint32_t t = s; t < kernel->stages.count; t++)
                for (uint32_t j = 0; j < kernel->stages.at[t].stores.count; j++)
                    if (!check_pair(v, store, &kernel->stages.at[t].stores.at[j])) return false;
        }
    return true;
}

const char *kernel_verify(const Kernel *kernel, Arena *arena) {
    Verifier v = {.kernel = kernel, .arena = arena};
    v.axes = arena_alloc(arena, (kernel->exprs.count + 1) * sizeof *v.axes);
    v.reach = arena_alloc(arena, (kernel->exprs.count + 1) * sizeof *v.reach);
    if (!check_name(&v) || !check_axes(&v) || !check_special(&v) || !check_exprs(&v))
        return v.problem;
    if (kernel->plane) return plane_verify(kernel, arena);
    for (uint32_t s = 0; s < kernel->stages.count; s++)
        if (!check_stage(&v, s)) return v.problem;
    check_stores(&v);
    return v.problem;
}
