/* A group -> a kernel: its stages, then its axes merged and put in order. */
#include "compiler/kernel/fuse.h"

#include <assert.h>

enum { FAILED = -1, LOCAL_BYTES = 32768 };

/* ---- levels ---- */

static void set_levels(Fuser *fuser, Group *group) {
    for (uint32_t m = 0; m < group->members.count; m++) {
        const GNode *node = group->members.at[m];
        Info *info = info_of(fuser, node);
        info->level = 0;
        for (uint32_t i = 0; i < node->in_count && node != group->contract; i++) {
            const GNode *base = view_base(fuser, node->in[i]);
            const Info *operand = info_of(fuser, base);
            if (operand->group != group) continue;
            uint32_t level =
                operand->level + (node_is_reduction(fuser, base) || base == group->contract);
            if (level > info->level) info->level = level;
        }
    }
}

static bool is_in_place(const Info *info) {
    for (uint32_t i = 0; i < info->targets.count; i++)
        if (info->targets.at[i].in_place) return true;
    return false;
}

static bool is_stored(const Info *info) {
    return info->buffer || info->targets.count;
}

bool group_stores(const Fuser *fuser, const Group *group) {
    for (uint32_t m = 0; m < group->members.count; m++)
        if (is_stored(info_of(fuser, group->members.at[m]))) return true;
    return false;
}

/* Is the value, not what it reduces, of the group's full shape? */
static bool is_full(const Fuser *fuser, const Group *group, const GNode *node) {
    return !node_is_reduction(fuser, node) && group_is_full(group, node);
}

/* ---- stores ---- */

static void add_store(Builder *builder, Stage *stage, Buffer *buffer, int64_t base,
                      const GNode *node, const Index *at, int value) {
    Store store = {buffer, affine_add(index_linear(at), affine_constant(base)), FAILED};
    store.value = build_cast(builder, value, buffer->elem, node->span);
    vec_push(builder->fuser->arena, &stage->stores, store);
}

static void store_member(Builder *builder, Stage *stage, const GNode *node) {
    Fuser *fuser = builder->fuser;
    const Info *info = info_of(fuser, node);
    Index at = group_index(builder->group, is_full(fuser, builder->group, node));
    builder->root = node;
    int value = build_value(builder, node, &at, -1);
    if (value == FAILED) return;
    bool done = false;
    for (uint32_t i = 0; i < info->targets.count; i++) {
        const Target *target = &info->targets.at[i];
        add_store(builder, stage, target->buffer, target->base, node, &at, value);
        done |= target->buffer == info->buffer && target->base == info->base;
    }
    if (info->buffer && !done)
        add_store(builder, stage, info->buffer, info->base, node, &at, value);
}

/* ---- values that several stages need ---- */

static void mark_stages(Fuser *fuser, const Group *group, const GNode *node, uint32_t level,
                        uint32_t *used) {
    const Info *info = info_of(fuser, node);
    uint32_t member = 0;
    while (group->members.at[member] != node) member++;
    if (used[member] >> level & 1) return;
    used[member] |= 1u << level;
    if (info->kept && info->kept_stage < level) return;
    for (uint32_t i = 0; i < node->in_count; i++) {
        const GNode *base = view_base(fuser, node->in[i]);
        if (info_of(fuser, base)->group == group && is_full(fuser, group, base))
            mark_stages(fuser, group, base, level, used);
    }
}

static bool is_dear(const GNode *node) {
    return op_is_function(node->op);
}

static uint32_t lowest_bit(uint32_t set) {
    return (uint32_t)__builtin_ctz(set);
}

/* Stored values are read back by later stages; dear ones that are not stored get a row on the
 * stack. */
static void keep_values(Builder *builder, uint32_t last_level) {
    Fuser *fuser = builder->fuser;
    Group *group = builder->group;
    uint32_t *used = arena_alloc(fuser->arena, (group->members.count + 1) * sizeof *used);
    int64_t row = group_count(group, true) / group_count(group, false);
    bool trailing = group->inner && group->inner >> (group->full_count - 1) & 1;
    for (uint32_t m = 0; m < group->members.count; m++) {
        const GNode *node = group->members.at[m];
        Info *info = info_of(fuser, node);
        bool full = is_full(fuser, group, node);
        if (full && info->buffer && !is_in_place(info)) {
            info->kept = info->buffer;
            info->kept_base = info->base;
            info->kept_stage = info->level;
        }
    }
    for (uint32_t m = 0; m < group->members.count; m++) {
        const GNode *node = group->members.at[m];
        const Info *info = info_of(fuser, node);
        if (node_is_reduction(fuser, node)) {
            const GNode *base = view_base(fuser, node->in[0]);
            if (info_of(fuser, base)->group == group && is_full(fuser, group, base))
                mark_stages(fuser, group, base, info->level, used);
        } else if (is_full(fuser, group, node) && is_stored(info)) {
            mark_stages(fuser, group, node, is_in_place(info) ? last_level : info->level, used);
        }
    }
    for (uint32_t m = 0; m < group->members.count; m++) {
        const GNode *node = group->members.at[m];
        Info *info = info_of(fuser, node);
        bool several = (used[m] & (used[m] - 1)) != 0;
        if (info->kept || !several || !is_dear(node) || !trailing) continue;
        if (row * elem_bytes(node->type.elem) > LOCAL_BYTES || group_count(group, false) == 1)
            continue;
        Buffer *local = arena_alloc(fuser->arena, sizeof *local);
        *local =
            (Buffer){.id = builder->kernel->locals.count,
                     .name = arena_printf(fuser->arena, "row%u", builder->kernel->locals.count),
                     .elem = node->type.elem,
                     .count = row,
                     .space = SPACE_LOCAL};
        vec_push(fuser->arena, &builder->kernel->locals, local);
        info->kept = local;
        info->kept_base = 0;
        info->kept_stage = lowest_bit(used[m]);
    }
}

/* ---- stages of loops and reductions ---- */

static void number_results(Fuser *fuser, Group *group) {
    uint32_t words[32] = {0};
    for (uint32_t m = 0; m < group->members.count; m++) {
        const GNode *node = group->members.at[m];
        Info *info = info_of(fuser, node);
        if (!node_is_reduction(fuser, node)) continue;
        assert(info->level < 32);
        info->stage = info->level;
        info->word = words[info->level]++;
    }
}

static void add_reduction(Builder *builder, Stage *stage, const GNode *node) {
    Index at = group_index(builder->group, true);
    builder->root = node;
    Reduction reduction = {node->op, build_value(builder, node->in[0], &at, -1)};
    vec_push(builder->fuser->arena, &stage->reductions, reduction);
}

static void add_local_store(Builder *builder, Stage *stage, const GNode *node) {
    Index at = group_index(builder->group, true);
    builder->root = node;
    int value = build_value(builder, node, &at, -1);
    Store store = {info_of(builder->fuser, node)->kept, group_local(builder->group), value};
    vec_push(builder->fuser->arena, &stage->stores, store);
}

static uint32_t last_full_level(Fuser *fuser, const Group *group) {
    uint32_t last = 0;
    for (uint32_t m = 0; m < group->members.count; m++) {
        const GNode *node = group->members.at[m];
        const Info *info = info_of(fuser, node);
        bool counts =
            node_is_reduction(fuser, node) || (is_full(fuser, group, node) && is_stored(info));
        if (counts && info->level > last) last = info->level;
    }
    return last;
}

static void fill_stage(Builder *builder, Stage *stage, uint32_t level, uint32_t last) {
    Fuser *fuser = builder->fuser;
    const Group *group = builder->group;
    for (uint32_t m = 0; m < group->members.count; m++) {
        const GNode *node = group->members.at[m];
        const Info *info = info_of(fuser, node);
        if (node_is_reduction(fuser, node)) {
            if (info->level == level) add_reduction(builder, stage, node);
            continue;
        }
        if (!is_full(fuser, group, node)) continue;
        if (info->kept && info->kept->space == SPACE_LOCAL && info->kept_stage == level)
            add_local_store(builder, stage, node);
        if (is_stored(info) && level == (is_in_place(info) ? last : info->level))
            store_member(builder, stage, node);
    }
}

static void build_map(Builder *builder) {
    Fuser *fuser = builder->fuser;
    Group *group = builder->group;
    Kernel *kernel = builder->kernel;
    uint32_t all = (1u << group->full_count) - 1;
    uint32_t last = last_full_level(fuser, group);
    number_results(fuser, group);
    keep_values(builder, last);
    for (uint32_t level = 0; level <= last; level++) {
        Stage stage = {.inner = group->inner ? group->inner : all, .vector_axis = -1};
        builder->stage = level;
        fill_stage(builder, &stage, level, last);
        vec_push(fuser->arena, &kernel->stages, stage);
    }
    if (!group->inner) return;
    Stage rest = {.vector_axis = -1};
    builder->stage = last + 1;
    for (uint32_t m = 0; m < group->members.count; m++) {
        const GNode *node = group->members.at[m];
        if (!is_full(fuser, group, node) && is_stored(info_of(fuser, node)))
            store_member(builder, &rest, node);
    }
    if (rest.stores.count) vec_push(fuser->arena, &kernel->stages, rest);
}

/* ---- contractions ---- */

static Index operand_index(const AxisPlan *axes, uint32_t axis_count, const Type *type,
                           const char *labels) {
    Index at = {.rank = type->rank};
    for (uint32_t i = 0; i < type->rank; i++) {
        at.dims[i] = type->dims[i].size;
        for (uint32_t a = 0; a < axis_count; a++)
            if (axes->label[a] == labels[i]) at.at[i] = affine_axis(a);
    }
    return at;
}

static void label_axes(Group *group, const GNode *node, bool swapped, AxisPlan *axes) {
    const char *a = swapped ? node->einsum.b : node->einsum.a;
    const char *b = swapped ? node->einsum.a : node->einsum.b;
    uint32_t axis = 0;
    for (uint32_t i = 0; i < node->type.rank; i++) {
        if (node->type.dims[i].size == 1) continue;
        char label = node->einsum.out[i];
        bool in_a = strchr(a, label), in_b = strchr(b, label);
        axes->label[axis] = label;
        axes->class[axis++] = in_a && in_b ? CLASS_BATCH : in_a ? CLASS_M : CLASS_N;
    }
    const Type *first = &node->in[0]->type; /* gives the order of the sum */
    for (uint32_t i = 0; i < first->rank; i++) {
        char label = node->einsum.a[i];
        if (strchr(node->einsum.out, label) || first->dims[i].size == 1) continue;
        assert(group->axis_count < MAX_AXES);
        group->extents[group->axis_count] = first->dims[i].size;
        axes->label[group->axis_count] = label;
        axes->class[group->axis_count++] = CLASS_K;
    }
}

/* The operand that looks through something is the first one: its element is found along m and k.
 * Otherwise the columns of the register tile run along the last axis of the result: where that is
 * an axis of the first operand the operands change places (multiplication commutes exactly). */
static bool is_swapped(const Fuser *fuser, const GNode *node) {
    bool first = looks_through(fuser, node->in[0]), second = looks_through(fuser, node->in[1]);
    if (first != second) return second;
    return contract_swaps(node);
}

/* Rows of the data set may be picked along any axis but that of a vector of the result. */
static int build_operand(Builder *builder, GNode *operand, const Index *at, const AxisPlan *axes,
                         bool second) {
    Fuser *fuser = builder->fuser;
    int value = build_value(builder, operand, at, -1);
    if (value == FAILED) return FAILED;
    if (!second && looks_through(fuser, operand)) return value;
    const Expr *expr = &builder->kernel->exprs.at[value];
    bool rows = expr->gather == -1 || axes->class[expr->gather] != CLASS_N;
    if (expr->kind == X_LOAD && expr->guard == -1 && rows) return value;
    keep_in_memory(fuser, operand);
    return FAILED;
}

static void build_contraction(Builder *builder, AxisPlan *axes) {
    Fuser *fuser = builder->fuser;
    Group *group = builder->group;
    Kernel *kernel = builder->kernel;
    GNode *node = group->contract;
    bool swapped = is_swapped(fuser, node);
    label_axes(group, node, swapped, axes);
    builder->root = node;
    const char *labels[2] = {swapped ? node->einsum.b : node->einsum.a,
                             swapped ? node->einsum.a : node->einsum.b};
    int operands[2];
    for (uint32_t i = 0; i < 2; i++) {
        GNode *in = node->in[swapped ? 1 - i : i];
        Index at = operand_index(axes, group->axis_count, &in->type, labels[i]);
        operands[i] = build_operand(builder, in, &at, axes, i);
    }
    Stage stage = {.inner = 0, .vector_axis = -1};
    stage.contraction = arena_alloc(fuser->arena, sizeof *stage.contraction);
    stage.contraction->a = operands[0];
    stage.contraction->b = operands[1];
    vec_push(fuser->arena, &kernel->stages, stage);
    Stage epilogue = {.vector_axis = -1};
    builder->stage = 1;
    for (uint32_t m = 0; m < group->members.count; m++)
        if (is_stored(info_of(fuser, group->members.at[m])))
            store_member(builder, &epilogue, group->members.at[m]);
    vec_push(fuser->arena, &kernel->stages, epilogue);
}

/* ---- axes ---- */

static AffineList all_affines(Arena *arena, Kernel *kernel) {
    AffineList list = {0};
    for (uint32_t i = 0; i < kernel->exprs.count; i++)
        vec_push(arena, &list, &kernel->exprs.at[i].at);
    for (uint32_t s = 0; s < kernel->stages.count; s++) {
        Stage *stage = &kernel->stages.at[s];
        for (uint32_t i = 0; i < stage->stores.count; i++)
            vec_push(arena, &list, &stage->stores.at[i].at);
    }
    return list;
}

static bool is_gather_axis(const Kernel *kernel, uint32_t axis) {
    for (uint32_t i = 0; i < kernel->exprs.count; i++)
        if (kernel->exprs.at[i].kind == X_LOAD && kernel->exprs.at[i].gather == (int)axis)
            return true;
    return false;
}

static bool merges(const Kernel *kernel, const AffineList *affines, const Group *group,
                   uint32_t left, uint32_t right) {
    if (is_gather_axis(kernel, left) || is_gather_axis(kernel, right)) return false;
    for (uint32_t i = 0; i < affines->count; i++) {
        const Affine *at = affines->at[i];
        if (at->coeff[left] != at->coeff[right] * group->extents[right]) return false;
    }
    return true;
}

/* Neighbours of one class that are contiguous everywhere become one axis. Not so axes that are
 * reduced: the order of a sum must not depend on where its operands lie. */
static void merge_axes(Builder *builder, AxisPlan *axes, const AffineList *affines) {
    Group *group = builder->group;
    for (uint32_t i = 0; i + 1 < axes->count;) {
        uint32_t left = axes->order[i], right = axes->order[i + 1];
        bool reduced = group->inner >> left & 1 || group->inner >> right & 1;
        if (reduced || axes->class[left] != axes->class[right] ||
            !merges(builder->kernel, affines, group, left, right)) {
            i++;
            continue;
        }
        group->extents[right] *= group->extents[left];
        for (uint32_t a = 0; a < affines->count; a++) affines->at[a]->coeff[left] = 0;
        memmove(&axes->order[i], &axes->order[i + 1], (axes->count - i - 1) * sizeof *axes->order);
        axes->count--;
        if (i) i--;
    }
}

static void order_axes(const Group *group, AxisPlan *axes) {
    axes->count = 0;
    for (AxisClass class = CLASS_BATCH; class <= CLASS_K; class ++)
        for (uint32_t a = 0; a < group->axis_count; a++)
            if (axes->class[a] == class) axes->order[axes->count++] = a;
}

/* All but the last axis of `class` become outer loops. */
static void outer_rest(AxisPlan *axes, AxisClass class) {
    uint32_t last = MAX_AXES;
    for (uint32_t i = 0; i < axes->count; i++)
        if (axes->class[axes->order[i]] == class) last = axes->order[i];
    for (uint32_t i = 0; i < axes->count; i++)
        if (axes->class[axes->order[i]] == class && axes->order[i] != last)
            axes->class[axes->order[i]] = CLASS_BATCH;
}

static uint32_t class_count(const AxisPlan *axes, AxisClass class) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < axes->count; i++) count += axes->class[axes->order[i]] == class;
    return count;
}

static void sort_order(AxisPlan *axes) {
    for (uint32_t i = 1; i < axes->count; i++)
        for (uint32_t j = i; j && axes->class[axes->order[j - 1]] > axes -> class[axes->order[j]];
             j--) {
            uint32_t swap = axes->order[j];
            axes->order[j] = axes->order[j - 1];
            axes->order[j - 1] = swap;
        }
}

/* The operand that looks through something, or NULL. */
static GNode *seen_through(const Fuser *fuser, const GNode *contract) {
    GNode *operand = contract->in[is_swapped(fuser, contract)];
    return looks_through(fuser, operand) ? operand : NULL;
}

/* Exactly one axis each of m, n and k, in this order after the outer ones. Else an operand is kept
 * in memory in another attempt. */
static bool shape_contraction(Builder *builder, AxisPlan *axes, const AffineList *affines) {
    Group *group = builder->group;
    GNode *through = seen_through(builder->fuser, group->contract);
    if (through && !join_parts(builder, axes, affines)) {
        keep_in_memory(builder->fuser, through);
        return false;
    }
    for (AxisClass class = CLASS_M; class <= CLASS_K; class ++) {
        if (class != CLASS_K) outer_rest(axes, class);
        if (class_count(axes, class)) continue;
        assert(group->axis_count < MAX_AXES);
        group->extents[group->axis_count] = 1;
        axes->class[group->axis_count] = class;
        axes->order[axes->count++] = group->axis_count++;
    }
    sort_order(axes);
    if (class_count(axes, CLASS_K) == 1) return true;
    join_next(builder->fuser, group->contract);
    return false;
}

static void move_affine(Affine *at, const AxisPlan *axes) {
    Affine moved = {.offset = at->offset};
    for (uint32_t i = 0; i < axes->count; i++) moved.coeff[i] = at->coeff[axes->order[i]];
    for (uint32_t i = 0; i < axes->part_count; i++)
        moved.coeff[axes->count + i] = at->coeff[axes->parts[i]];
    *at = moved;
}

static void finish_axes(Builder *builder, AxisPlan *axes, const AffineList *affines) {
    static const char *const names[] = {"i", "j", "l", "o", "p", "q", "r", "s", "t", "u"};
    Kernel *kernel = builder->kernel;
    uint32_t inner = 0;
    kernel->axis_count = axes->count;
    kernel->outer_count = class_count(axes, CLASS_BATCH);
    for (uint32_t i = 0; i < affines->count; i++) move_affine(affines->at[i], axes);
    for (uint32_t i = 0; i < kernel->exprs.count; i++) {
        Expr *expr = &kernel->exprs.at[i];
        for (uint32_t a = 0; a < axes->count; a++)
            if (expr->gather == (int)axes->order[a]) {
                expr->gather = (int)a;
                break;
            }
    }
    for (uint32_t i = 0; i < axes->count; i++) {
        kernel->axes[i] =
            (Axis){.name = names[i], .extent = builder->group->extents[axes->order[i]]};
        if (i >= kernel->outer_count) inner |= 1u << i;
    }
    for (uint32_t s = 0; s < kernel->stages.count; s++)
        if (kernel->stages.at[s].inner) kernel->stages.at[s].inner = inner;
}

/* m0, m1, …: the parts of m, outermost first. */
static void finish_parts(Builder *builder, const AxisPlan *axes) {
    Kernel *kernel = builder->kernel;
    uint32_t number = 0;
    kernel->part_count = axes->part_count;
    for (uint32_t i = 0; i < axes->part_count; i++) {
        uint32_t of = 0;
        while (axes->order[of] != axes->of[i]) of++;
        number = i && axes->of[i] == axes->of[i - 1] ? number + 1 : 0;
        kernel->axes[axes->count + i] = (Axis){
            .name = arena_printf(builder->fuser->arena, "%s%u", kernel->axes[of].name, number),
            .extent = builder->group->extents[axes->parts[i]],
            .of = of + 1,
            .below = axes->below[i]};
    }
}

static void finish_contraction(Builder *builder, const AxisPlan *axes) {
    Kernel *kernel = builder->kernel;
    uint32_t m = kernel->outer_count;
    Contraction *contraction = kernel->stages.at[0].contraction;
    contraction->m = m;
    contraction->n = m + 1;
    contraction->k = m + 2;
    kernel->axes[m].name = "m";
    kernel->axes[m + 1].name = "n";
    kernel->axes[m + 2].name = "k";
    finish_parts(builder, axes);
    kernel->stages.at[0].inner = 7u << m;
    kernel->stages.at[1].inner = 3u << m;
}

/* ---- arguments and figures ---- */

static void add_buffer(Arena *arena, Kernel *kernel, Buffer *buffer) {
    if (buffer->space == SPACE_LOCAL) return;
    for (uint32_t i = 0; i < kernel->buffers.count; i++)
        if (kernel->buffers.at[i] == buffer) return;
    vec_push(arena, &kernel->buffers, buffer);
}

static void collect_buffers(Arena *arena, Kernel *kernel) {
    if (kernel->header) add_buffer(arena, kernel, kernel->header);
    if (kernel->index) add_buffer(arena, kernel, kernel->index);
    for (uint32_t i = 0; i < kernel->exprs.count; i++)
        if (kernel->exprs.at[i].kind == X_LOAD)
            add_buffer(arena, kernel, kernel->exprs.at[i].buffer);
    for (uint32_t s = 0; s < kernel->stages.count; s++)
        for (uint32_t i = 0; i < kernel->stages.at[s].stores.count; i++)
            add_buffer(arena, kernel, kernel->stages.at[s].stores.at[i].buffer);
    for (uint32_t i = 0; kernel->plane && i < kernel->plane->stores.count; i++)
        add_buffer(arena, kernel, kernel->plane->stores.at[i].buffer);
}

static void add_place(Arena *arena, Kernel *kernel, Span span) {
    if (span.start == span.end) return;
    for (uint32_t i = 0; i < kernel->places.count; i++)
        if (kernel->places.at[i].start == span.start && kernel->places.at[i].end == span.end)
            return;
    vec_push(arena, &kernel->places, span);
}

static void describe(Fuser *fuser, Kernel *kernel, const Group *group) {
    for (uint32_t m = 0; m < group->members.count; m++) {
        const GNode *node = group->members.at[m];
        vec_push(fuser->arena, &kernel->fused, op_info[node->op].text);
        add_place(fuser->arena, kernel, node->span);
    }
    for (uint32_t i = 0; i < kernel->exprs.count && group->plane; i++)
        if (kernel->exprs.at[i].kind == X_OP)
            add_place(fuser->arena, kernel, kernel->exprs.at[i].span);
}

static Kernel *finish_kernel(Fuser *fuser, Kernel *kernel, const Group *group) {
    collect_buffers(fuser->arena, kernel);
    kernel_count_work(kernel, fuser->arena);
    describe(fuser, kernel, group);
    return kernel;
}

Kernel *build_kernel(Fuser *fuser, Group *group) {
    Kernel *kernel = arena_alloc(fuser->arena, sizeof *kernel);
    Builder builder = {.fuser = fuser, .group = group, .kernel = kernel};
    AxisPlan axes = {.count = 0};
    kernel->generate = !strcmp(fuser->graph->name, "generate");
    if (group->plane) {
        build_plane(&builder);
        return fuser->again ? kernel : finish_kernel(fuser, kernel, group);
    }
    kernel->columns = group->inner && !(group->inner >> (group->full_count - 1) & 1);
    set_levels(fuser, group);
    if (group->contract)
        build_contraction(&builder, &axes);
    else
        build_map(&builder);
    if (fuser->again) return kernel;
    for (uint32_t a = 0; a < group->axis_count && !group->contract; a++)
        axes.class[a] = !group->inner || group->inner >> a & 1 ? CLASS_M : CLASS_BATCH;
    for (uint32_t a = 0; a < group->axis_count; a++)
        if (builder.extra_outer >> a & 1) axes.class[a] = CLASS_BATCH;
    order_axes(group, &axes);
    AffineList affines = all_affines(fuser->arena, kernel);
    merge_axes(&builder, &axes, &affines);
    if (group->contract && !shape_contraction(&builder, &axes, &affines)) return kernel;
    finish_axes(&builder, &axes, &affines);
    if (group->contract) finish_contraction(&builder, &axes);
    return finish_kernel(fuser, kernel, group);
}
