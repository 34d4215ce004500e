/* What a causal mask leaves empty of a plane. Scores behind the mask are so low that exp(x - max x)
 * is exactly 0, if every row has a score before it; where all that is summed is a multiple of that,
 * tiles behind the mask add nothing, and need not be computed. */
#include "compiler/kernel/fuse.h"

#include <math.h>

/* Scores are numbers that products of trained values are; masks are far below. */
static const double MASKED = -1e29, ORDINARY = 1e9;

typedef struct {
    Builder *builder;
    const GNode *scores; /* select(mask, …, MASKED or less) */
    const GNode *mask;
    uint8_t *vanishes; /* by id: 1 no, 2 yes */
} Masking;

static const GNode *base_of(const Masking *k, const GNode *node) {
    return view_base(k->builder->fuser, node);
}

/* Made of dot products, parameters and positions: no mask of its own. */
static bool is_ordinary(const Masking *k, const GNode *node) {
    double number;
    node = base_of(k, node);
    if (graph_is_fill(node, &number)) return fabs(number) < ORDINARY;
    switch (node->op) {
    case OP_CONTRACT:
    case OP_PARAM:
    case OP_IOTA: return true;
    case OP_ADD:
    case OP_SUB:
    case OP_MUL:
    case OP_DIV:
    case OP_TANH:
    case OP_NEG:
    case OP_ROUND:
    case OP_CAST: break;
    default: return false;
    }
    for (uint32_t i = 0; i < node->in_count && node->op != OP_CONTRACT; i++)
        if (!is_ordinary(k, node->in[i])) return false;
    return true;
}

static bool is_masked(const Masking *k, const GNode *node) {
    double number;
    return node->op == OP_SELECT && graph_is_fill(node->in[2], &number) && number <= MASKED &&
           is_ordinary(k, node->in[1]);
}

/* ---- what is 0 behind the mask ---- */

static bool is_shifted_exp(const Masking *k, const GNode *node) {
    if (node->op != OP_EXP || node->in[0]->op != OP_SUB) return false;
    const GNode *most = base_of(k, node->in[0]->in[1]);
    return base_of(k, node->in[0]->in[0]) == k->scores && most->op == OP_REDUCE_MAX &&
           base_of(k, most->in[0]) == k->scores;
}

static bool vanishes(Masking *k, const GNode *node);

static bool select_vanishes(Masking *k, const GNode *node) {
    bool otherwise = vanishes(k, node->in[2]);
    return otherwise && (base_of(k, node->in[0]) == k->mask || vanishes(k, node->in[1]));
}

static bool find_vanishes(Masking *k, const GNode *node) {
    double number;
    if (graph_is_fill(node, &number)) return number == 0;
    if (is_shifted_exp(k, node)) return true;
    switch (node->op) {
    case OP_NEG:
    case OP_ROUND: return vanishes(k, node->in[0]);
    case OP_DIV: return vanishes(k, node->in[0]);
    case OP_MUL: return vanishes(k, node->in[0]) || vanishes(k, node->in[1]);
    case OP_ADD:
    case OP_SUB: return vanishes(k, node->in[0]) && vanishes(k, node->in[1]);
    case OP_SELECT: return select_vanishes(k, node);
    default: return false;
    }
}

static bool vanishes(Masking *k, const GNode *node) {
    double number;
    if (!graph_is_fill(node, &number)) node = base_of(k, node);
    uint8_t *answer = &k->vanishes[node->id];
    if (!*answer) *answer = find_vanishes(k, node) ? 2 : 1;
    return *answer == 2;
}

/* Nothing is added by what lies behind the mask. */
static bool members_vanish(Masking *k) {
    const Group *group = k->builder->group;
    for (uint32_t i = 0; i < group->members.count; i++) {
        const GNode *member = group->members.at[i];
        if (member->op == OP_REDUCE_MAX && base_of(k, member->in[0]) == k->scores) continue;
        bool any = false;
        for (uint32_t side = 0; side < member->in_count; side++)
            any |= info_of(k->builder->fuser, base_of(k, member->in[side]))->role == ROLE_PLANE &&
                   vanishes(k, member->in[side]);
        if (!any) return false;
    }
    return true;
}

/* ---- where it is ---- */

/* A position as an affine form: axes, numbers, their sums and differences. */
static bool affine_of(const Kernel *kernel, int at, Affine *form) {
    const Expr *expr = &kernel->exprs.at[at];
    Affine a, b;
    if (expr->kind == X_AXIS || expr->kind == X_CONST) {
        *form = expr->kind == X_AXIS ? expr->at : affine_constant((int64_t)expr->number);
        return expr->elem == E_I32;
    }
    if (expr->kind != X_OP || (expr->op != OP_ADD && expr->op != OP_SUB)) return false;
    if (!affine_of(kernel, expr->in[0], &a) || !affine_of(kernel, expr->in[1], &b)) return false;
    *form = affine_add(a, affine_scale(b, expr->op == OP_ADD ? 1 : -1));
    return true;
}

/* The form that is positive where the mask is false. */
static bool beyond_mask(Masking *k, Affine *beyond) {
    const Kernel *kernel = k->builder->kernel;
    Index at = group_index(k->builder->group, true);
    int mask = build_value(k->builder, k->scores->in[0], &at, -1);
    if (mask < 0) return false;
    const Expr *expr = &kernel->exprs.at[mask];
    Affine a, b;
    if (expr->kind != X_OP || (expr->op != OP_LE && expr->op != OP_LT)) return false;
    if (!affine_of(kernel, expr->in[0], &a) || !affine_of(kernel, expr->in[1], &b)) return false;
    *beyond = affine_add(a, affine_scale(b, -1));
    beyond->offset += expr->op == OP_LT;
    return true;
}

/* Does every row of the softmax have a score before the mask? */
static bool all_rows_begin(const Group *group, const Affine *beyond) {
    const PlaneValues *plane = group->plane;
    int64_t worst = beyond->offset;
    for (uint32_t i = 0; i < MAX_AXES; i++) {
        if (!beyond->coeff[i]) continue;
        if (i != plane->m && i != plane->n) return false;
        int64_t far = beyond->coeff[i] * (group->extents[i] - 1);
        if (i == plane->m ? far > 0 : far < 0) worst += far;
    }
    return worst <= 0;
}

void plane_find_mask(Builder *builder) {
    Fuser *fuser = builder->fuser;
    const PlaneValues *values = builder->group->plane;
    Plane *plane = builder->kernel->plane;
    for (uint32_t i = 0; i < values->values.count && !plane->masked; i++) {
        Masking k = {.builder = builder, .scores = values->values.at[i]};
        if (!is_masked(&k, k.scores)) continue;
        k.mask = view_base(fuser, k.scores->in[0]);
        k.vanishes = arena_alloc(fuser->arena, fuser->id_limit);
        if (!members_vanish(&k) || !beyond_mask(&k, &plane->beyond)) continue;
        plane->masked = all_rows_begin(builder->group, &plane->beyond);
    }
}
