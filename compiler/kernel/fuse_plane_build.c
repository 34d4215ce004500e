/* A group of a plane's consumers -> kernel: which pass computes what, and the expressions of it.
 *
 * The softmax over a row in one pass (Milakov and Gimelshein 2018, "Online normalizer calculation
 * for softmax"): whatever is a multiple of exp(x - max x) is summed beside the maximum; a division
 * by such a sum, which is known only at the end, is done after the sum (Dao et al. 2022,
 * "FlashAttention"). Everything else waits for a pass behind the rows that it reads. */
#include "compiler/kernel/fuse.h"

#include <assert.h>

enum { NONE = -1 };

/* ---- what a value reads of its own group ---- */

/* Passes of the group that have to be done before `node` is known; NO_PASS where it reads a sink's
 * sums, which no kernel of a plane can. `memo` is 1 + the answer, by id. */
static uint32_t passes_below(const Fuser *fuser, const Group *group, const GNode *node,
                             uint32_t *memo) {
    if (memo[node->id]) return memo[node->id] - 1;
    uint32_t passes = 0;
    for (uint32_t i = 0; i < node->in_count; i++) {
        const GNode *base = view_base(fuser, node->in[i]);
        const Info *info = info_of(fuser, base);
        uint32_t below = 0;
        if (info->group == group)
            below = base->op == OP_CONTRACT ? NO_PASS : info->stage + 1;
        else if (!info->group && info->role != ROLE_FLAT)
            below = passes_below(fuser, group, base, memo);
        if (below > passes) passes = below;
    }
    memo[node->id] = passes + 1;
    return passes;
}

uint32_t plane_passes_below(const Fuser *fuser, const Group *group, const GNode *node) {
    uint32_t *memo = arena_alloc(fuser->arena, fuser->id_limit * sizeof *memo);
    return passes_below(fuser, group, node, memo);
}

static bool reads_rows(const Fuser *fuser, const Group *group, const GNode *node) {
    const GNode *base = view_base(fuser, node);
    return info_of(fuser, base)->group == group || plane_passes_below(fuser, group, base) > 0;
}

/* ---- multiples of exp(x - max x) ---- */

typedef struct {
    const Fuser *fuser;
    const Group *group;
    const GNode *max;
    GNodeList divisions; /* by sums of the same pass */
} Multiple;

static bool is_zero(const GNode *node) {
    double number;
    return graph_is_fill(node, &number) && number == 0;
}

static bool is_shifted_exp(const Multiple *m, const GNode *node) {
    if (node->op != OP_EXP || node->in[0]->op != OP_SUB) return false;
    const GNode *shifted = node->in[0];
    return view_base(m->fuser, shifted->in[1]) == m->max &&
           view_base(m->fuser, shifted->in[0]) == view_base(m->fuser, m->max->in[0]);
}

static bool is_multiple(Multiple *m, GNode *node);

static bool is_multiple_by(Multiple *m, GNode *node, const GNode *other) {
    return !reads_rows(m->fuser, m->group, other) && is_multiple(m, node);
}

/* Is the divisor a sum beside the maximum? */
static bool is_row_sum(const Multiple *m, const GNode *divisor) {
    const GNode *base = view_base(m->fuser, divisor);
    const Info *info = info_of(m->fuser, base);
    return info->group == m->group && base->op == OP_SUM &&
           info->stage == info_of(m->fuser, m->max)->stage;
}

static bool is_multiple(Multiple *m, GNode *node) {
    while (node_is_view(m->fuser, node)) node = node->in[0];
    if (is_shifted_exp(m, node)) return true;
    if (info_of(m->fuser, node)->role != ROLE_PLANE) return false;
    switch (node->op) {
    case OP_NEG: return is_multiple(m, node->in[0]);
    case OP_MUL:
        return is_multiple_by(m, node->in[0], node->in[1]) ||
               is_multiple_by(m, node->in[1], node->in[0]);
    case OP_DIV:
        if (!is_row_sum(m, node->in[1])) return is_multiple_by(m, node->in[0], node->in[1]);
        vec_push(m->fuser->arena, &m->divisions, node);
        return is_multiple(m, node->in[0]);
    case OP_SELECT:
        if (reads_rows(m->fuser, m->group, node->in[0])) return false;
        return (is_zero(node->in[1]) && is_multiple(m, node->in[2])) ||
               (is_zero(node->in[2]) && is_multiple(m, node->in[1]));
    default: return false;
    }
}

/* ---- which pass ---- */

typedef struct {
    GNodeList members;
    const GNode *max; /* of an online pass */
} PassPlan;
typedef Vec(PassPlan) PassPlanList;

typedef struct {
    Builder *builder;
    PassPlanList passes;
    GNodeList *divisions; /* by member: what is left out of its value, and done after the sum */
} PlaneBuilder;

static GNode *value_of(const PlaneBuilder *p, const GNode *member) {
    PlaneUse use;
    for (uint32_t side = 0; side < member->in_count; side++) {
        const GNode *base = view_base(p->builder->fuser, member->in[side]);
        if (info_of(p->builder->fuser, base)->role != ROLE_PLANE) continue;
        bool used = plane_use_of(p->builder->group->plane, member, side, &use);
        assert(used);
        return member->in[side];
    }
    assert(!"a consumer of a plane");
    return NULL;
}

/* A maximum has its pass to itself, but for multiples. */
static bool joins_online(PlaneBuilder *p, uint32_t pass, uint32_t at) {
    const Fuser *fuser = p->builder->fuser;
    GNode *member = p->builder->group->members.at[at];
    Multiple multiple = {.fuser = fuser, .group = p->builder->group};
    multiple.max = p->passes.at[pass].members.at[0];
    if (member->op == OP_REDUCE_MAX || multiple.max->op != OP_REDUCE_MAX) return false;
    if (!is_multiple(&multiple, value_of(p, member))) return false;
    if (multiple.divisions.count && member->op != OP_CONTRACT) return false;
    p->passes.at[pass].max = multiple.max;
    p->divisions[at] = multiple.divisions;
    return true;
}

static uint32_t choose_pass(PlaneBuilder *p, uint32_t at) {
    const GNode *member = p->builder->group->members.at[at];
    for (uint32_t pass = 0; pass < p->passes.count; pass++)
        if (joins_online(p, pass, at)) return pass;
    uint32_t first = plane_passes_below(p->builder->fuser, p->builder->group, member);
    bool alone = member->op == OP_REDUCE_MAX;
    for (uint32_t pass = first; pass < p->passes.count && !alone; pass++)
        if (!p->passes.at[pass].max && p->passes.at[pass].members.at[0]->op != OP_REDUCE_MAX)
            return pass;
    vec_push(p->builder->fuser->arena, &p->passes, (PassPlan){.max = NULL});
    return p->passes.count - 1;
}

static void plan_passes(PlaneBuilder *p) {
    Fuser *fuser = p->builder->fuser;
    const Group *group = p->builder->group;
    for (uint32_t i = 0; i < group->members.count; i++) {
        GNode *member = group->members.at[i];
        uint32_t pass = choose_pass(p, i), word = 0;
        Info *info = info_of(fuser, member);
        GNodeList *beside = &p->passes.at[pass].members;
        for (uint32_t k = 0; k < beside->count; k++)
            word += (beside->at[k]->op == OP_CONTRACT) == (member->op == OP_CONTRACT);
        info->stage = pass;
        info->word = word;
        vec_push(fuser->arena, beside, member);
    }
}

/* ---- values ---- */

static uint32_t new_axis(Group *group, int64_t extent) {
    assert(group->axis_count < MAX_AXES);
    group->extents[group->axis_count] = extent;
    return group->axis_count++;
}

/* Where an operand of a contraction lies, whose labels are axes of the plane (`of_axis`) or
 * `other`. */
static Index operand_at(const Type *type, const char *labels, const char *of_axis, uint32_t other) {
    Index at = {.rank = type->rank};
    for (uint32_t i = 0; i < type->rank; i++) {
        at.dims[i] = type->dims[i].size;
        if (at.dims[i] == 1) continue;
        const char *axis = strchr(of_axis, labels[i]);
        at.at[i] = affine_axis(axis ? (uint32_t)(axis - of_axis) : other);
    }
    return at;
}

/* The labels of the plane's axes. */
static void label_axes(const Type *type, const char *labels, char *of_axis) {
    uint32_t axis = 0;
    for (uint32_t i = 0; i < type->rank; i++)
        if (type->dims[i].size != 1) of_axis[axis++] = labels[i];
    of_axis[axis] = 0;
}

/* An operand is read in place: a load, of rows of the data set along outer axes at most. */
static int build_operand(Builder *builder, GNode *operand, const Index *at) {
    int value = build_value(builder, operand, at, NONE);
    if (value == NONE) return NONE;
    const Group *group = builder->group;
    const Expr *expr = &builder->kernel->exprs.at[value];
    uint32_t outer = (1u << group->full_count) - 1;
    outer &= ~(group->inner | 1u << group->rows);
    outer |= builder->extra_outer;
    bool rows = expr->gather == NONE || outer >> expr->gather & 1;
    if (expr->kind == X_LOAD && expr->guard == NONE && expr->lookup == NONE && expr->divide <= 1 &&
        rows)
        return value;
    keep_in_memory(builder->fuser, operand);
    return NONE;
}

static int64_t terms_of(const GNode *node, const char *of_axis) {
    int64_t terms = 1;
    for (uint32_t i = 0; i < node->in[0]->type.rank; i++)
        if (!strchr(of_axis, node->einsum.a[i])) terms *= node->in[0]->type.dims[i].size;
    return terms;
}

/* X_LEAF of the contraction; its operands change places where the kernel's rows are the plane's
 * columns. */
static int build_leaf(Builder *builder, GNode *node) {
    Plane *plane = builder->kernel->plane;
    Group *group = builder->group;
    uint32_t index = 0;
    while (index < builder->leaves.count && builder->leaves.at[index] != node) index++;
    if (index < builder->leaves.count)
        return build_part(builder, X_LEAF, index, 0, node->type.elem, node->span);
    char of_axis[MAX_RANK + 1];
    label_axes(&node->type, node->einsum.out, of_axis);
    uint32_t side = strchr(node->einsum.a, of_axis[group->rows]) ? 0 : 1;
    PlaneLeaf leaf = {.k = new_axis(group, terms_of(node, of_axis))};
    Index at[2];
    for (uint32_t i = 0; i < 2; i++)
        at[i] =
            operand_at(&node->in[i]->type, i ? node->einsum.b : node->einsum.a, of_axis, leaf.k);
    leaf.a = build_operand(builder, node->in[side], &at[side]);
    if (leaf.a == NONE) return NONE;
    leaf.b = build_operand(builder, node->in[1 - side], &at[1 - side]);
    if (leaf.b == NONE) return NONE;
    vec_push(builder->fuser->arena, &builder->leaves, node);
    vec_push(builder->fuser->arena, &plane->leaves, leaf);
    return build_part(builder, X_LEAF, index, 0, node->type.elem, node->span);
}

static bool is_left_out(const Builder *builder, const GNode *node) {
    for (uint32_t i = 0; i < builder->left_out.count; i++)
        if (builder->left_out.at[i] == node) return true;
    return false;
}

/* Axes of the group that an expression changes with. */
static uint32_t axes_below(const Builder *builder, int at) {
    if (at == NONE) return 0;
    const Expr *expr = &builder->kernel->exprs.at[at];
    uint32_t rows = 1u << builder->group->rows, columns = 1u << builder->group->columns;
    uint32_t axes = expr->kind == X_LEAF ? rows | columns : expr->kind == X_ROW ? rows : 0;
    for (uint32_t i = 0; i < MAX_AXES; i++)
        if (expr->at.coeff[i]) axes |= 1u << i;
    for (uint32_t i = 0; i < 3; i++) axes |= axes_below(builder, expr->in[i]);
    return axes | axes_below(builder, expr->guard) | axes_below(builder, expr->lookup);
}

/* x / y, where y does not change along both axes, is x times a reciprocal that is computed once. */
static int build_division(Builder *builder, const GNode *node, const Index *at, int guard) {
    int x = build_value(builder, node->in[0], at, guard);
    int y = build_value(builder, node->in[1], at, guard);
    if (x == NONE || y == NONE) return NONE;
    Elem elem = node->type.elem;
    const Group *group = builder->group;
    uint32_t axes = axes_below(builder, y);
    uint32_t both = 1u << group->rows | 1u << group->columns;
    if (!elem_is_real(elem) || (axes & both) == both)
        return build_binary(builder, OP_DIV, elem, x, y, node->span);
    int one = build_number(builder, 1, elem, node->span);
    int reciprocal = build_binary(builder, OP_DIV, elem, one, y, node->span);
    return build_binary(builder, OP_MUL, elem, x, reciprocal, node->span);
}

bool plane_computes(const Builder *builder, const GNode *node) {
    const Info *info = info_of(builder->fuser, node);
    return info->role == ROLE_PLANE || info->group == builder->group;
}

int build_plane_value(Builder *builder, const GNode *node, const Index *at, int guard) {
    const Info *info = info_of(builder->fuser, node);
    if (info->group == builder->group)
        return build_part(builder, node->op == OP_CONTRACT ? X_SUM : X_ROW, info->stage, info->word,
                          node->type.elem, node->span);
    if (node->op == OP_CONTRACT) return build_leaf(builder, (GNode *)node);
    if (is_left_out(builder, node)) return build_value(builder, node->in[0], at, guard);
    if (node->op == OP_DIV) return build_division(builder, node, at, guard);
    return build_operation(builder, node, at, guard);
}

/* ---- passes ---- */

static int build_member_value(PlaneBuilder *p, const GNode *member) {
    Index at = group_index(p->builder->group, true);
    p->builder->root = member;
    return build_value(p->builder, value_of(p, member), &at, NONE);
}

static void add_sink(PlaneBuilder *p, PlanePass *pass, const GNode *member, uint32_t at) {
    Builder *builder = p->builder;
    GNode *value = value_of(p, member);
    uint32_t side = member->in[1] == value;
    const char *labels = side ? member->einsum.b : member->einsum.a;
    const char *other = side ? member->einsum.a : member->einsum.b;
    const Type *type = &member->in[1 - side]->type;
    char of_axis[MAX_RANK + 1];
    label_axes(&value->type, labels, of_axis);
    int64_t extent = 1;
    for (uint32_t i = 0; i < type->rank; i++)
        if (!strchr(of_axis, other[i])) extent *= type->dims[i].size;
    PlaneSink sink = {.e = new_axis(builder->group, extent)};
    Index index = operand_at(type, other, of_axis, sink.e);
    builder->left_out = p->divisions[at];
    builder->memo.count = 0; /* values with and without their divisions are different ones */
    sink.value = build_member_value(p, member);
    builder->left_out = (GNodeList){0};
    builder->memo.count = 0;
    sink.b = build_operand(builder, member->in[1 - side], &index);
    vec_push(builder->fuser->arena, &pass->sinks, sink);
}

static void add_reduction(PlaneBuilder *p, PlanePass *pass, const GNode *member) {
    Reduction reduction = {member->op, build_member_value(p, member)};
    vec_push(p->builder->fuser->arena, &pass->reductions, reduction);
}

static uint32_t member_number(const Group *group, const GNode *member) {
    uint32_t at = 0;
    while (group->members.at[at] != member) at++;
    return at;
}

static void add_pass(PlaneBuilder *p, uint32_t number) {
    const PassPlan *plan = &p->passes.at[number];
    PlanePass pass = {.online = plan->max != NULL};
    p->builder->stage = number;
    for (uint32_t i = 0; i < plan->members.count; i++) {
        const GNode *member = plan->members.at[i];
        if (member->op == OP_CONTRACT)
            add_sink(p, &pass, member, member_number(p->builder->group, member));
        else
            add_reduction(p, &pass, member);
    }
    vec_push(p->builder->fuser->arena, &p->builder->kernel->plane->passes, pass);
}

/* ---- stores ---- */

/* Where the member's own elements are. */
static Index member_at(const PlaneBuilder *p, const GNode *member) {
    const Group *group = p->builder->group;
    if (member->op != OP_CONTRACT) return group_index(group, false);
    const Info *info = info_of(p->builder->fuser, member);
    const GNode *value = value_of(p, member);
    char of_axis[MAX_RANK + 1];
    label_axes(&value->type, member->in[1] == value ? member->einsum.b : member->einsum.a, of_axis);
    const PlaneSink *sink = &p->builder->kernel->plane->passes.at[info->stage].sinks.at[info->word];
    return operand_at(&member->type, member->einsum.out, of_axis, sink->e);
}

static int build_result(PlaneBuilder *p, const GNode *member, const Index *at) {
    Builder *builder = p->builder;
    const GNodeList *divisions = &p->divisions[member_number(builder->group, member)];
    int value = build_plane_value(builder, member, at, NONE);
    for (uint32_t i = 0; i < divisions->count; i++) {
        const GNode *divisor = view_base(builder->fuser, divisions->at[i]->in[1]);
        value = build_binary(builder, OP_DIV, member->type.elem, value,
                             build_plane_value(builder, divisor, at, NONE), member->span);
    }
    return value;
}

static void store_member(PlaneBuilder *p, const GNode *member) {
    Builder *builder = p->builder;
    const Info *info = info_of(builder->fuser, member);
    Index at = member_at(p, member);
    Affine linear = index_linear(&at);
    int value = build_result(p, member, &at);
    Plane *plane = builder->kernel->plane;
    bool done = false;
    for (uint32_t i = 0; i < info->targets.count; i++) {
        const Target *target = &info->targets.at[i];
        Store store = {target->buffer, affine_add(linear, affine_constant(target->base)),
                       build_cast(builder, value, target->buffer->elem, member->span)};
        vec_push(builder->fuser->arena, &plane->stores, store);
        done |= target->buffer == info->buffer && target->base == info->base;
    }
    if (!info->buffer || done) return;
    Store store = {info->buffer, affine_add(linear, affine_constant(info->base)),
                   build_cast(builder, value, info->buffer->elem, member->span)};
    vec_push(builder->fuser->arena, &plane->stores, store);
}

/* ---- axes ---- */

/* outer, around, m, n, then k and e as they came */
static uint32_t order_axes(const Builder *builder, uint32_t *order) {
    const Group *group = builder->group;
    uint32_t plane = (1u << group->full_count) - 1, count = 0;
    uint32_t around = group->inner & ~(1u << group->columns);
    uint32_t outer = (plane & ~group->inner & ~(1u << group->rows)) | builder->extra_outer;
    for (uint32_t a = 0; a < group->axis_count; a++)
        if (outer >> a & 1) order[count++] = a;
    builder->kernel->outer_count = count;
    for (uint32_t a = 0; a < group->axis_count; a++)
        if (around >> a & 1) order[count++] = a;
    builder->kernel->plane->around =
        ((1u << count) - 1) & ~((1u << builder->kernel->outer_count) - 1);
    order[count++] = group->rows;
    order[count++] = group->columns;
    for (uint32_t a = group->full_count; a < group->axis_count; a++)
        if (!(outer >> a & 1)) order[count++] = a;
    return count;
}

static void move_affine(Affine *at, const uint32_t *order, uint32_t count) {
    Affine moved = {.offset = at->offset};
    for (uint32_t i = 0; i < count; i++) moved.coeff[i] = at->coeff[order[i]];
    *at = moved;
}

static uint32_t moved_axis(uint32_t axis, const uint32_t *order) {
    uint32_t at = 0;
    while (order[at] != axis) at++;
    return at;
}

static void name_axes(Builder *builder, const uint32_t *order) {
    static const char *const names[] = {"i", "j", "l", "o", "p", "q", "r", "s",
                                        "t", "u", "v", "w", "x", "y", "z", "zz"};
    Kernel *kernel = builder->kernel;
    const Plane *plane = kernel->plane;
    for (uint32_t i = 0; i < kernel->axis_count; i++)
        kernel->axes[i] = (Axis){.name = names[i], .extent = builder->group->extents[order[i]]};
    kernel->axes[plane->m].name = "m";
    kernel->axes[plane->n].name = "n";
    for (uint32_t i = 0; i < plane->leaves.count; i++)
        kernel->axes[plane->leaves.at[i].k].name = arena_printf(builder->fuser->arena, "k%u", i);
    uint32_t sinks = 0;
    for (uint32_t p = 0; p < plane->passes.count; p++)
        for (uint32_t i = 0; i < plane->passes.at[p].sinks.count; i++)
            kernel->axes[plane->passes.at[p].sinks.at[i].e].name =
                arena_printf(builder->fuser->arena, "e%u", sinks++);
}

static void finish_axes(Builder *builder) {
    uint32_t order[MAX_AXES];
    Kernel *kernel = builder->kernel;
    Plane *plane = kernel->plane;
    uint32_t count = kernel->axis_count = order_axes(builder, order);
    for (uint32_t i = 0; i < kernel->exprs.count; i++) {
        Expr *expr = &kernel->exprs.at[i];
        move_affine(&expr->at, order, count);
        if (expr->gather != NONE) expr->gather = (int)moved_axis((uint32_t)expr->gather, order);
    }
    for (uint32_t i = 0; i < plane->stores.count; i++)
        move_affine(&plane->stores.at[i].at, order, count);
    move_affine(&plane->beyond, order, count);
    plane->m = moved_axis(builder->group->rows, order);
    plane->n = moved_axis(builder->group->columns, order);
    for (uint32_t i = 0; i < plane->leaves.count; i++)
        plane->leaves.at[i].k = moved_axis(plane->leaves.at[i].k, order);
    for (uint32_t p = 0; p < plane->passes.count; p++)
        for (uint32_t i = 0; i < plane->passes.at[p].sinks.count; i++)
            plane->passes.at[p].sinks.at[i].e =
                moved_axis(plane->passes.at[p].sinks.at[i].e, order);
    name_axes(builder, order);
}

void build_plane(Builder *builder) {
    Fuser *fuser = builder->fuser;
    Group *group = builder->group;
    PlaneBuilder p = {.builder = builder};
    builder->kernel->plane = arena_alloc(fuser->arena, sizeof *builder->kernel->plane);
    p.divisions = arena_alloc(fuser->arena, (group->members.count + 1) * sizeof *p.divisions);
    plan_passes(&p);
    for (uint32_t i = 0; i < p.passes.count; i++) add_pass(&p, i);
    if (fuser->again) return;
    builder->stage = p.passes.count;
    for (uint32_t i = 0; i < group->members.count; i++) store_member(&p, group->members.at[i]);
    plane_find_mask(builder);
    finish_axes(builder);
}
