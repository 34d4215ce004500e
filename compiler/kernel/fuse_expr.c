/* Nodes at an index -> expressions. Views only change the index; padding becomes a guard on the
 * loads below it; everything else is an operation, a load, or a result of an earlier stage. */
#include "compiler/kernel/fuse.h"

#include <assert.h>
#include <math.h>

enum { FAILED = -1, NONE = -1 };

/* ---- expressions, each made once per kernel ---- */

static bool expr_equal(const Expr *a, const Expr *b) {
    return a->kind == b->kind && a->op == b->op && a->elem == b->elem && a->in[0] == b->in[0] &&
           a->in[1] == b->in[1] && a->in[2] == b->in[2] &&
           !memcmp(&a->number, &b->number, sizeof a->number) && a->buffer == b->buffer &&
           affine_equal(&a->at, &b->at) && a->gather == b->gather && a->guard == b->guard &&
           a->lookup == b->lookup && a->pitch == b->pitch && a->divide == b->divide &&
           a->index == b->index && a->word == b->word && a->site == b->site && a->row == b->row;
}

static Expr blank(ExprKind kind, Elem elem, Span span) {
    return (Expr){.kind = kind,
                  .elem = elem,
                  .in = {NONE, NONE, NONE},
                  .gather = NONE,
                  .guard = NONE,
                  .lookup = NONE,
                  .span = span};
}

static int add_expr(Builder *builder, const Expr *expr) {
    Kernel *kernel = builder->kernel;
    for (uint32_t i = 0; i < kernel->exprs.count; i++)
        if (expr_equal(&kernel->exprs.at[i], expr)) return (int)i;
    vec_push(builder->fuser->arena, &kernel->exprs, *expr);
    return (int)kernel->exprs.count - 1;
}

static int add_const(Builder *builder, double number, Elem elem, Span span) {
    Expr expr = blank(X_CONST, elem, span);
    expr.number = number;
    return add_expr(builder, &expr);
}

static int add_op(Builder *builder, Op op, Elem elem, const int *in, uint32_t count, uint32_t index,
                  Span span) {
    Expr expr = blank(X_OP, elem, span);
    expr.op = op;
    expr.index = index;
    for (uint32_t i = 0; i < count; i++) {
        if (in[i] == FAILED) return FAILED;
        expr.in[i] = in[i];
    }
    return add_expr(builder, &expr);
}

int build_cast(Builder *builder, int value, Elem elem, Span span) {
    if (value == FAILED || builder->kernel->exprs.at[value].elem == elem) return value;
    return add_op(builder, OP_CAST, elem, &value, 1, 0, span);
}

int build_number(Builder *builder, double number, Elem elem, Span span) {
    return add_const(builder, number, elem, span);
}

int build_binary(Builder *builder, Op op, Elem elem, int a, int b, Span span) {
    return add_op(builder, op, elem, (int[]){a, b}, 2, 0, span);
}

int build_part(Builder *builder, ExprKind kind, uint32_t index, uint32_t word, Elem elem,
               Span span) {
    Expr expr = blank(kind, elem, span);
    expr.index = index;
    expr.word = word;
    return add_expr(builder, &expr);
}

static int add_load(Builder *builder, Buffer *buffer, Affine at, int guard, Span span) {
    Expr expr = blank(X_LOAD, buffer->elem, span);
    expr.buffer = buffer;
    expr.at = at;
    expr.guard = guard;
    return add_expr(builder, &expr);
}

/* The element of the buffer's row-major values, which begin at `base`. */
static int load_element(Builder *builder, Buffer *buffer, int64_t base, const Index *at, int guard,
                        Span span) {
    int64_t divide = index_divide(at);
    Expr expr = blank(X_LOAD, buffer->elem, span);
    expr.buffer = buffer;
    expr.at = affine_add(index_linear(at), affine_constant(base * divide));
    int64_t common = affine_divisor(&expr.at, divide);
    affine_divide(&expr.at, common);
    if (divide > common) expr.divide = divide / common;
    expr.guard = guard;
    return add_expr(builder, &expr);
}

/* ---- views ---- */

static bool to_dims(const Group *group, const Index *at, const Type *type, Index *result) {
    int64_t dims[MAX_RANK];
    for (uint32_t i = 0; i < type->rank; i++) dims[i] = type->dims[i].size;
    return index_refactor(at, type->rank, dims, group->extents, group->axis_count, result);
}

/* The axes of the index come first. */
static bool gather_index_of(const Group *group, const GNode *node, const Index *at,
                            Index *operand) {
    if (!to_dims(group, at, &node->type, operand)) return false;
    operand->rank = node->in[1]->type.rank;
    return true;
}

/* Where a window looks: its place and the place within it give one place of the axis below. */
static void look_through(const Window *window, const Index *own, Index *operand) {
    int64_t divide = index_divide(own);
    Affine place = affine_add(affine_scale(own->at[window->axis], window->stride),
                              affine_scale(own->at[window->axis + 1], window->dilation));
    for (uint32_t i = 0; i < operand->rank; i++)
        operand->at[i] = affine_scale(own->at[i + (i > window->axis)], window->divide);
    operand->at[window->axis] = affine_add(place, affine_constant(window->start * divide));
    operand->divide = divide * window->divide;
}

static Affine moved(const Index *own, uint32_t dim, int64_t by) {
    return affine_add(own->at[dim], affine_constant(by * index_divide(own)));
}

bool operand_index_of(const Group *group, const GNode *view, const Index *at, Index *operand) {
    if (view->op == OP_GATHER) return gather_index_of(group, view, at, operand);
    if (view->op == OP_RESHAPE || op_info[view->op].class != CLASS_VIEW) {
        *operand = *at;
        return true;
    }
    Index own;
    const Type *below = &view->in[0]->type;
    *operand = (Index){.rank = below->rank};
    for (uint32_t i = 0; i < below->rank; i++) operand->dims[i] = below->dims[i].size;
    if (view->op == OP_BROADCAST && type_count(below) == 1) return true;
    if (!to_dims(group, at, &view->type, &own)) return false;
    operand->divide = own.divide;
    for (uint32_t i = 0; i < below->rank; i++) {
        switch (view->op) {
        case OP_PERMUTE: operand->at[view->perm[i]] = own.at[i]; break;
        case OP_BROADCAST:
            operand->at[i] = below->dims[i].size == 1 ? affine_constant(0) : own.at[i];
            break;
        case OP_SLICE: operand->at[i] = moved(&own, i, view->start[i]); break;
        case OP_PAD: operand->at[i] = moved(&own, i, -view->start[i]); break;
        case OP_WINDOW: break;
        default: assert(!"a view"); return false;
        }
    }
    if (view->op == OP_WINDOW) look_through(&view->window, &own, operand);
    return true;
}

static int fail_index(Builder *builder, const GNode *node) {
    keep_in_memory(builder->fuser, node);
    return FAILED;
}

static int axis_value(Builder *builder, Affine at, Span span) {
    Expr expr = blank(X_AXIS, E_I32, span);
    expr.at = at;
    return add_expr(builder, &expr);
}

static int both(Builder *builder, int guard, int test, Span span) {
    if (guard == NONE || test == NONE) return guard == NONE ? test : guard;
    return add_op(builder, OP_AND, E_BOOL, (int[]){guard, test}, 2, 0, span);
}

/* The place is a multiple of `divide`; what is one anyway does not count. */
static int is_whole(Builder *builder, const Affine *place, int64_t divide, Span span) {
    int64_t common = affine_divisor(place, divide), rest = divide / common;
    if (rest == 1) return NONE;
    Affine at = *place;
    affine_divide(&at, common);
    at.offset = (at.offset % rest + rest) % rest;
    for (uint32_t i = 0; i < MAX_AXES; i++) at.coeff[i] = (at.coeff[i] % rest + rest) % rest;
    int number = add_const(builder, (double)rest, E_I32, span);
    int left =
        add_op(builder, OP_MOD, E_I32, (int[]){axis_value(builder, at, span), number}, 2, 0, span);
    int zero = add_const(builder, 0, E_I32, span);
    return add_op(builder, OP_EQ, E_BOOL, (int[]){left, zero}, 2, 0, span);
}

/* bool: the index lies inside dim i, and `guard` holds. */
static int inside_dim(Builder *builder, const Index *at, uint32_t i, int guard, Span span) {
    const Group *group = builder->group;
    int64_t low, high, limit = at->dims[i] * index_divide(at);
    affine_range(&at->at[i], group->extents, group->axis_count, &low, &high);
    int position = axis_value(builder, at->at[i], span), test = NONE;
    if (low < 0) {
        int zero = add_const(builder, 0, E_I32, span);
        test = add_op(builder, OP_LE, E_BOOL, (int[]){zero, position}, 2, 0, span);
    }
    guard = both(builder, guard, test, span);
    if (high < limit) return guard;
    int end = add_const(builder, (double)limit, E_I32, span);
    test = add_op(builder, OP_LT, E_BOOL, (int[]){position, end}, 2, 0, span);
    return both(builder, guard, test, span);
}

/* bool: what the view shows there is an element, and `guard` holds. */
static int inside(Builder *builder, const GNode *view, const Index *below, int guard) {
    const Type *type = &view->in[0]->type;
    if (view->op == OP_WINDOW) {
        const Affine *place = &below->at[view->window.axis];
        guard = inside_dim(builder, below, view->window.axis, guard, view->span);
        int whole = is_whole(builder, place, index_divide(below), view->span);
        return both(builder, guard, whole, view->span);
    }
    for (uint32_t i = 0; i < type->rank; i++)
        if (view->type.dims[i].size != type->dims[i].size)
            guard = inside_dim(builder, below, i, guard, view->span);
    return guard;
}

static bool implies(const Kernel *kernel, int guard, int other) {
    if (guard == other || guard == NONE) return guard == other;
    const Expr *expr = &kernel->exprs.at[guard];
    return expr->kind == X_OP && expr->op == OP_AND &&
           (implies(kernel, expr->in[0], other) || implies(kernel, expr->in[1], other));
}

/* Zeros around or between what is there: a guard on the loads below, or else a choice. */
static int build_guarded(Builder *builder, const GNode *node, Index *below, int guard) {
    int inner_guard = inside(builder, node, below, guard);
    index_reduce(below);
    int value = build_value(builder, node->in[0], below, inner_guard);
    if (value == FAILED || inner_guard == guard) return value;
    const Expr *expr = &builder->kernel->exprs.at[value];
    if (expr->kind == X_LOAD && implies(builder->kernel, expr->guard, inner_guard)) return value;
    Elem elem = node->type.elem;
    int zero = add_const(builder, 0, elem, node->span);
    return add_op(builder, OP_SELECT, elem, (int[]){inner_guard, value, zero}, 3, 0, node->span);
}

static int build_view(Builder *builder, const GNode *node, const Index *at, int guard) {
    Index below;
    if (!operand_index_of(builder->group, node, at, &below)) return fail_index(builder, node);
    if (node->op == OP_PAD || node->op == OP_WINDOW)
        return build_guarded(builder, node, &below, guard);
    return build_value(builder, node->in[0], &below, guard);
}

/* ---- leaves ---- */

/* The batch axis of a batch of one has no loop; a gather needs one to replace. All of a kernel's
 * gathers share it. */
static int extra_axis(Builder *builder) {
    Group *group = builder->group;
    if (builder->extra_outer) return __builtin_ctz(builder->extra_outer);
    assert(group->axis_count < MAX_AXES);
    builder->extra_outer = 1u << group->axis_count;
    group->extents[group->axis_count] = 1;
    return (int)group->axis_count++;
}

static int single_axis(const Affine *at) {
    int axis = NONE;
    for (uint32_t i = 0; i < MAX_AXES; i++) {
        if (!at->coeff[i]) continue;
        if (axis != NONE || at->coeff[i] != 1) return NONE;
        axis = (int)i;
    }
    return at->offset ? NONE : axis;
}

static bool is_gathered(const Fuser *fuser) {
    return strcmp(fuser->graph->name, "generate") != 0;
}

static int build_field(Builder *builder, const GNode *node, const Index *at, int guard) {
    Fuser *fuser = builder->fuser;
    Affine linear = index_linear(at);
    const Type *type = &node->type;
    Buffer *buffer =
        slot_buffer(fuser, SPACE_FIELD, node->index, type->elem, type_count(type), node->name);
    if (!node->batched || !is_gathered(fuser))
        return load_element(builder, buffer, 0, at, guard, node->span);
    Index own;
    const Group *group = builder->group;
    int64_t batch = type->dims[0].size;
    if (!index_refactor(at, 2, (int64_t[]){batch, type_count(type) / batch}, group->extents,
                        group->axis_count, &own))
        return fail_index(builder, node);
    int64_t divide = index_divide(&own);
    if (affine_divisor(&own.at[0], divide) != divide) return fail_index(builder, node);
    affine_divide(&own.at[0], divide);
    int axis = single_axis(&own.at[0]);
    for (uint32_t i = 1; i < own.rank && axis != NONE; i++)
        if (own.at[i].coeff[axis]) return fail_index(builder, node);
    if (axis == NONE && !(affine_is_constant(&own.at[0]) && own.at[0].offset == 0))
        return fail_index(builder, node);
    if (axis == NONE) {
        axis = extra_axis(builder);
        linear.coeff[axis] = type_count(type) / batch * divide;
    }
    if (node->overlap) { /* what is looked up is where the row begins */
        linear.coeff[axis] = divide;
        buffer->row = type_count(type) / batch;
    }
    Expr expr = blank(X_LOAD, type->elem, node->span);
    expr.buffer = buffer;
    expr.at = linear;
    if (divide > 1) expr.divide = divide;
    expr.gather = axis;
    expr.guard = guard;
    builder->kernel->index = fuser->index;
    return add_expr(builder, &expr);
}

static int build_random(Builder *builder, const GNode *node, Affine linear) {
    Expr expr = blank(X_RANDOM, E_U32, node->span);
    expr.at = linear;
    expr.site = node->site;
    expr.word = node->word;
    if (node->batched && !is_gathered(builder->fuser))
        expr.row = type_count(&node->type) / node->type.dims[0].size;
    builder->kernel->header = builder->fuser->header;
    return add_expr(builder, &expr);
}

static int position(Builder *builder, const Index *at, Span span) {
    int64_t divide = index_divide(at);
    int value = axis_value(builder, index_linear(at), span);
    if (divide == 1) return value;
    int number = add_const(builder, (double)divide, E_I32, span);
    return add_op(builder, OP_DIV, E_I32, (int[]){value, number}, 2, 0, span);
}

static int build_leaf(Builder *builder, const GNode *node, const Index *at, int guard) {
    Fuser *fuser = builder->fuser;
    Affine linear = index_linear(at);
    Elem elem = node->type.elem;
    switch (node->op) {
    case OP_CONST: return add_const(builder, node->number, elem, node->span);
    case OP_PARAM:
    case OP_STATE:
    case OP_FLAT_PARAM:
        return load_element(builder, leaf_buffer(fuser, node), 0, at, guard, node->span);
    case OP_HYPER: {
        int load = add_load(builder, fuser->hypers, affine_constant(node->index), NONE, node->span);
        return build_cast(builder, load, elem, node->span);
    }
    case OP_STEP: {
        Expr expr = blank(X_STEP, elem, node->span);
        builder->kernel->header = fuser->header;
        return add_expr(builder, &expr);
    }
    case OP_FIELD: return build_field(builder, node, at, guard);
    case OP_TOTAL: {
        Buffer *total =
            slot_buffer(fuser, SPACE_TOTAL, node->index, E_F64, type_count(&node->type), NULL);
        return build_cast(builder, load_element(builder, total, 0, at, guard, node->span), elem,
                          node->span);
    }
    case OP_IOTA: return position(builder, at, node->span);
    case OP_RANDOM:
        return index_divide(at) == 1 ? build_random(builder, node, linear)
                                     : fail_index(builder, node);
    default: assert(!"a leaf"); return FAILED;
    }
}

/* ---- gathers ---- */

static Buffer *table_buffer(Builder *builder, GNode *table, int64_t *start) {
    Fuser *fuser = builder->fuser;
    const GNode *base = table_base(fuser, table);
    const Info *info = info_of(fuser, base);
    *start = info->buffer ? info->base : 0;
    return info->buffer ? info->buffer : leaf_buffer(fuser, base);
}

static int row_inside(Builder *builder, int row, int64_t rows, Span span) {
    int zero = add_const(builder, 0, E_I32, span);
    int limit = add_const(builder, (double)rows, E_I32, span);
    int from = add_op(builder, OP_LE, E_BOOL, (int[]){zero, row}, 2, 0, span);
    int to = add_op(builder, OP_LT, E_BOOL, (int[]){row, limit}, 2, 0, span);
    return both(builder, from, to, span);
}

static int build_gather(Builder *builder, const GNode *node, const Index *at, int guard) {
    GNode *table = node->in[0], *index = node->in[1];
    int64_t rows = table->type.dims[0].size;
    Elem elem = node->type.elem;
    Index own, place;
    if (!to_dims(builder->group, at, &node->type, &own)) return fail_index(builder, node);
    if (index_divide(&own) != 1) return fail_index(builder, node);
    place = own;
    place.rank = index->type.rank;
    int row = build_value(builder, index, &place, guard);
    if (row == FAILED) return FAILED;
    Index within = {.rank = own.rank - place.rank};
    memcpy(within.dims, own.dims + place.rank, within.rank * sizeof *within.dims);
    memcpy(within.at, own.at + place.rank, within.rank * sizeof *within.at);
    int inside = graph_is_below(index, rows) ? NONE : row_inside(builder, row, rows, node->span);
    int64_t start;
    Expr load = blank(X_LOAD, elem, node->span);
    load.buffer = table_buffer(builder, table, &start);
    load.at = affine_add(index_linear(&within), affine_constant(start));
    load.guard = both(builder, guard, inside, node->span);
    load.lookup = row;
    load.pitch = type_count(&table->type) / rows;
    int value = add_expr(builder, &load);
    if (inside == NONE) return value;
    int none = add_const(builder, elem_is_real(elem) ? (double)NAN : -1, elem, node->span);
    return add_op(builder, OP_SELECT, elem, (int[]){inside, value, none}, 3, 0, node->span);
}

/* ---- nodes ---- */

int build_operation(Builder *builder, const GNode *node, const Index *at, int guard) {
    OpClass class = op_info[node->op].class;
    if (class == CLASS_LEAF) return build_leaf(builder, node, at, guard);
    if (class == CLASS_VIEW || class == CLASS_REDUCE || node->op == OP_STOP)
        return build_view(builder, node, at, guard);
    if (class == CLASS_GATHER) return build_gather(builder, node, at, guard);
    int in[3] = {NONE, NONE, NONE};
    for (uint32_t i = 0; i < node->in_count; i++) {
        in[i] = build_value(builder, node->in[i], at, guard);
        if (in[i] == FAILED) return FAILED;
    }
    bool sized = node->op == OP_SHR || node->op == OP_ROUND;
    uint32_t index = sized ? node->index : info_of(builder->fuser, node)->product;
    return add_op(builder, node->op, node->type.elem, in, node->in_count, index, node->span);
}

static int build_own(Builder *builder, const GNode *node, const Index *at, int guard) {
    Fuser *fuser = builder->fuser;
    const Info *info = info_of(fuser, node);
    Index native = group_index(builder->group, group_is_full(builder->group, node));
    Affine expected = index_linear(&native), actual = index_linear(at);
    if (!affine_equal(&expected, &actual) ||
        index_divide(at) != 1) { /* another element than the one being computed */
        set_apart(fuser, builder->root, node);
        return FAILED;
    }
    bool contract = node == builder->group->contract;
    if (contract || node_is_reduction(fuser, node)) {
        Expr expr = blank(X_RESULT, node->type.elem, node->span);
        expr.index = info->stage;
        expr.word = info->word;
        return add_expr(builder, &expr);
    }
    if (info->kept && builder->stage > info->kept_stage) {
        Affine kept = info->kept->space == SPACE_LOCAL ? group_local(builder->group) : actual;
        kept.offset += info->kept_base;
        return add_load(builder, info->kept, kept, NONE, node->span);
    }
    return build_operation(builder, node, at, guard);
}

static int build_fresh(Builder *builder, const GNode *node, const Index *at, int guard) {
    const Info *info = info_of(builder->fuser, node);
    if (builder->group->plane && plane_computes(builder, node))
        return build_plane_value(builder, node, at, guard);
    if (info->group == builder->group) return build_own(builder, node, at, guard);
    if (info->buffer && !info->recompute)
        return load_element(builder, info->buffer, info->base, at, guard, node->span);
    assert(!info->group || info->recompute);
    return build_operation(builder, node, at, guard);
}

int build_value(Builder *builder, const GNode *node, const Index *at, int guard) {
    Affine linear = index_linear(at);
    for (uint32_t i = builder->memo.count; i-- > 0;) {
        const ExprMemo *memo = &builder->memo.at[i];
        if (memo->node == node && memo->guard == guard && memo->stage == builder->stage &&
            memo->divide == index_divide(at) && affine_equal(&memo->at, &linear))
            return memo->result;
    }
    int result = build_fresh(builder, node, at, guard);
    if (result != FAILED)
        vec_push(builder->fuser->arena, &builder->memo,
                 (ExprMemo){node, linear, index_divide(at), guard, result, builder->stage});
    return result;
}
