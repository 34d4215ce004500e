/* Which nodes share a kernel: greedy, operands first. A node joins the latest group among its
 * operands' that has its shape, reaches the operands at the very element that is being computed,
 * and does not close a cycle; else it starts a group. */
#include "compiler/kernel/fuse.h"

#include <assert.h>

/* Reductions one after another in a kernel; its stages are numbered in 32 bits. */
enum { MOST_LEVEL = 24 };

int64_t group_count(const Group *group, bool full) {
    int64_t count = 1;
    for (uint32_t i = 0; i < group->full_count; i++)
        if (full || !(group->inner >> i & 1)) count *= group->extents[i];
    return count;
}

/* A reduction counts as what it gives. */
bool group_is_full(const Group *group, const GNode *node) {
    return type_count(&node->type) == group_count(group, true);
}

Index group_index(const Group *group, bool full) {
    Index index = {0};
    for (uint32_t i = 0; i < group->full_count; i++) {
        if (!full && group->inner >> i & 1) continue;
        index.dims[index.rank] = group->extents[i];
        index.at[index.rank++] = affine_axis(i);
    }
    return index;
}

Affine group_local(const Group *group) {
    Index index = {0};
    for (uint32_t i = 0; i < group->full_count; i++) {
        if (!(group->inner >> i & 1)) continue;
        index.dims[index.rank] = group->extents[i];
        index.at[index.rank++] = affine_axis(i);
    }
    return index_linear(&index);
}

static bool is_native(const Group *group, const GNode *node, const Index *at) {
    int64_t count = type_count(&node->type);
    if (count != group_count(group, true) && count != group_count(group, false)) return false;
    Index own = group_index(group, group_is_full(group, node));
    Affine expected = index_linear(&own), actual = index_linear(at);
    return index_divide(at) == 1 && affine_equal(&expected, &actual);
}

/* ---- dependences ---- */

static void depend(Fuser *fuser, const Group *user, const Group *operand) {
    if (user == operand) return;
    uint64_t *fresh = arena_alloc(fuser->arena, fuser->words * sizeof *fresh);
    memcpy(fresh, fuser->depends[operand->id], fuser->words * sizeof *fresh);
    bit_set(fresh, operand->id);
    for (uint32_t i = 0; i < fuser->groups.count; i++) {
        if (i != user->id && !bit_has(fuser->depends[i], user->id)) continue;
        for (uint32_t w = 0; w < fuser->words; w++) fuser->depends[i][w] |= fresh[w];
    }
}

typedef Vec(Group *) GroupList;

static void add_group(Fuser *fuser, GroupList *list, Group *group) {
    for (uint32_t i = 0; i < list->count; i++)
        if (list->at[i] == group) return;
    vec_push(fuser->arena, list, group);
}

static void collect_groups(Fuser *fuser, const GNode *node, GroupList *list) {
    for (uint32_t i = 0; i < node->in_count; i++) {
        const GNode *base = view_base(fuser, node->in[i]);
        Info *info = info_of(fuser, base);
        if (info->seen == fuser->search) continue;
        info->seen = fuser->search;
        if (info->group)
            add_group(fuser, list, info->group);
        else if (info->role != ROLE_FLAT)
            collect_groups(fuser, base, list);
        for (uint32_t p = 0; p < info->pieces.count; p++)
            add_group(fuser, list, info_of(fuser, info->pieces.at[p])->group);
    }
}

/* The groups that have to run before `node` can be computed: of its operands, and below those that
 * are computed with it. */
static void operand_groups(Fuser *fuser, const GNode *node, GroupList *list) {
    fuser->search++;
    collect_groups(fuser, node, list);
}

static bool closes_cycle(const Fuser *fuser, const Group *group, const GroupList *operands) {
    for (uint32_t i = 0; i < operands->count; i++)
        if (bit_has(fuser->depends[operands->at[i]->id], group->id)) return true;
    return false;
}

/* ---- joining ---- */

static Group *new_group(Fuser *fuser) {
    Group *group = arena_alloc(fuser->arena, sizeof *group);
    group->id = fuser->groups.count;
    assert(group->id < fuser->id_limit);
    fuser->depends[group->id] = arena_alloc(fuser->arena, fuser->words * sizeof(uint64_t));
    vec_push(fuser->arena, &fuser->groups, group);
    return group;
}

static uint32_t add_axis(Group *group, int64_t extent) {
    assert(group->axis_count < MAX_AXES);
    group->extents[group->axis_count] = extent;
    return group->axis_count++;
}

static void shape_group(Group *group, const Type *type, uint32_t reduced) {
    for (uint32_t i = 0; i < type->rank; i++) {
        if (type->dims[i].size == 1) continue;
        uint32_t axis = add_axis(group, type->dims[i].size);
        if (reduced >> i & 1) group->inner |= 1u << axis;
    }
    group->full_count = group->axis_count;
}

/* The flat vector is whole only when all of its pieces are: none may come from the group itself. */
static bool is_piece_of(const Fuser *fuser, const Group *group, const GNode *flat) {
    const Info *info = info_of(fuser, flat);
    for (uint32_t i = 0; i < info->pieces.count; i++)
        if (info_of(fuser, info->pieces.at[i])->group == group) return true;
    return false;
}

/* Are all operands of the group's own nodes met at the element being computed? */
static bool reaches(const Fuser *fuser, const Group *group, const GNode *operand, const Index *at) {
    const Info *info = info_of(fuser, operand);
    if (info->group == group) return is_native(group, operand, at);
    if (info->role == ROLE_PRODUCT && !info->group)
        return reaches(fuser, group, operand->in[0], at) &&
               reaches(fuser, group, operand->in[1], at);
    if (info->role == ROLE_FLAT) return !is_piece_of(fuser, group, operand);
    if (info->role != ROLE_VIEW) return true;
    Index below;
    return operand_index_of(group, operand, at, &below) &&
           reaches(fuser, group, operand->in[0], &below);
}

/* Where the node looks at its operands: a view that is kept in memory moves the index itself. */
static bool operand_at(const Group *group, const GNode *node, bool full, Index *at) {
    Index own = group_index(group, full);
    *at = own;
    bool moves = op_info[node->op].class == CLASS_VIEW || node->op == OP_GATHER;
    return !moves || operand_index_of(group, node, &own, at);
}

/* Any row of a table may be wanted: the group must not be still computing it. */
static bool reaches_table(const Fuser *fuser, const Group *group, GNode *table) {
    const GNode *base = table_base(fuser, table);
    const Info *info = info_of(fuser, base);
    return info->group != group && (info->role != ROLE_FLAT || !is_piece_of(fuser, group, base));
}

static bool operands_reach(const Fuser *fuser, const Group *group, const GNode *node, bool full) {
    Index at;
    if (!operand_at(group, node, full, &at)) return false;
    for (uint32_t i = 0; i < node->in_count; i++)
        if (is_table(node, i) ? !reaches_table(fuser, group, node->in[i])
                              : !reaches(fuser, group, node->in[i], &at))
            return false;
    return true;
}

static bool reduction_fits(const Fuser *fuser, Group *group, const GNode *node) {
    Group wanted = {0};
    shape_group(&wanted, &node->in[0]->type, node->axes);
    if (group->contract || wanted.full_count != group->full_count) return false;
    for (uint32_t i = 0; i < wanted.full_count; i++)
        if (wanted.extents[i] != group->extents[i]) return false;
    if (group->inner && group->inner != wanted.inner) return false;
    if (!operands_reach(fuser, group, node, true)) return false;
    group->inner = wanted.inner;
    return true;
}

/* Reductions of the group that have to be done before the node. */
static uint32_t level_in(const Fuser *fuser, const Group *group, const GNode *node) {
    uint32_t level = 0;
    for (uint32_t i = 0; i < node->in_count; i++) {
        const GNode *base = view_base(fuser, node->in[i]);
        const Info *info = info_of(fuser, base);
        uint32_t below = 0;
        if (info->group == group)
            below = info->level + node_is_reduction(fuser, base);
        else if (!info->group && info->role == ROLE_PRODUCT)
            below = level_in(fuser, group, base);
        if (below > level) level = below;
    }
    return level;
}

static bool fits(const Fuser *fuser, Group *group, const GNode *node) {
    if (level_in(fuser, group, node) > MOST_LEVEL) return false;
    if (node_is_reduction(fuser, node)) return reduction_fits(fuser, group, node);
    int64_t count = type_count(&node->type);
    bool full = count == group_count(group, true);
    if (!full && (!group->inner || count != group_count(group, false))) return false;
    return operands_reach(fuser, group, node, full);
}

static void depend_on_operands(Fuser *fuser, Group *group, const GNode *node) {
    GroupList operands = {0};
    operand_groups(fuser, node, &operands);
    for (uint32_t i = 0; i < operands.count; i++) depend(fuser, group, operands.at[i]);
}

static void host(Fuser *fuser, GNode *node);

static void claim(Fuser *fuser, Group *group, GNode *operand, const Index *at);

static void claim_operands(Fuser *fuser, Group *group, GNode *node, const Index *at) {
    for (uint32_t i = 0; i < node->in_count; i++) {
        if (!is_table(node, i)) {
            claim(fuser, group, node->in[i], at);
            continue;
        }
        GNode *base = table_base(fuser, node->in[i]);
        if (info_of(fuser, base)->role == ROLE_FLOAT && !info_of(fuser, base)->group)
            host(fuser, base);
    }
}

/* Floating values below `operand` join the group if they are met at their own element, else they
 * get groups of their own. */
static void claim(Fuser *fuser, Group *group, GNode *operand, const Index *at) {
    Info *info = info_of(fuser, operand);
    if (info->group) return;
    if (info->role == ROLE_VIEW) {
        Index below;
        if (operand_index_of(group, operand, at, &below)) {
            claim(fuser, group, operand->in[0], &below);
            return;
        }
        GNode *base = operand;
        while (node_is_view(fuser, base)) base = base->in[0];
        if (info_of(fuser, base)->role == ROLE_FLOAT) host(fuser, base);
        return;
    }
    if (info->role != ROLE_FLOAT && info->role != ROLE_PRODUCT) return;
    Index below;
    assert(info->role == ROLE_FLOAT || is_native(group, operand, at));
    if (fuser->alone[operand->id] || !is_native(group, operand, at) ||
        !operand_at(group, operand, group_is_full(group, operand), &below)) {
        host(fuser, operand);
        return;
    }
    info->level = level_in(fuser, group, operand);
    info->group = group;
    vec_push(fuser->arena, &group->members, operand);
    claim_operands(fuser, group, operand, &below);
    depend_on_operands(fuser, group, operand);
}

static void enter(Fuser *fuser, Group *group, GNode *node) {
    Info *info = info_of(fuser, node);
    info->level = level_in(fuser, group, node);
    info->group = group;
    vec_push(fuser->arena, &group->members, node);
    if (node->op != OP_CONTRACT || fuser->forced[node->id]) {
        bool full = node_is_reduction(fuser, node) || group_is_full(group, node);
        Index at;
        bool reachable = operand_at(group, node, full, &at);
        assert(reachable); /* or it would have a group of its own shape */
        claim_operands(fuser, group, node, &at);
    }
    depend_on_operands(fuser, group, node);
}

/* A group of the node's own. */
static void host(Fuser *fuser, GNode *node) {
    Group *group = new_group(fuser);
    if (node_is_reduction(fuser, node))
        shape_group(group, &node->in[0]->type, node->axes);
    else
        shape_group(group, &node->type, 0);
    enter(fuser, group, node);
}

static void host_contract(Fuser *fuser, GNode *node) {
    for (uint32_t i = 0; i < 2; i++) {
        GNode *base = node->in[i];
        while (node_is_view(fuser, base)) base = base->in[0];
        if (info_of(fuser, base)->role == ROLE_FLOAT && !info_of(fuser, base)->group)
            host(fuser, base);
    }
    Group *group = new_group(fuser);
    group->contract = node;
    shape_group(group, &node->type, 0);
    enter(fuser, group, node);
}

static Group *joinable(Fuser *fuser, const GroupList *candidates, const GroupList *operands,
                       const GNode *node) {
    Group *best = NULL;
    for (uint32_t i = 0; i < candidates->count; i++) {
        Group *group = candidates->at[i];
        if (best && group->id < best->id) continue;
        if (group->plane || closes_cycle(fuser, group, operands)) continue;
        if (fits(fuser, group, node)) best = group;
    }
    return best;
}

/* Groups that loop over the same rows for reductions of their own: one more costs no loop. The
 * gradient of a loss begins with sums that depend on the targets alone, and belongs to the loss. */
static GroupList row_groups(Fuser *fuser, const GNode *node) {
    GroupList list = {0};
    Group wanted = {0};
    if (!node_is_reduction(fuser, node)) return list;
    shape_group(&wanted, &node->in[0]->type, node->axes);
    bool rows = wanted.inner && !(wanted.inner & 1);
    for (uint32_t i = 0; rows && i < fuser->groups.count; i++) {
        Group *group = fuser->groups.at[i];
        if (group->inner == wanted.inner && !group->contract && !group->plane)
            add_group(fuser, &list, group);
    }
    return list;
}

static void place_member(Fuser *fuser, GNode *node) {
    GroupList operands = {0};
    operand_groups(fuser, node, &operands);
    Group *group = NULL;
    if (fuser->fused && !fuser->alone[node->id]) {
        GroupList rows = row_groups(fuser, node);
        group = joinable(fuser, &operands, &operands, node);
        if (!group) group = joinable(fuser, &rows, &operands, node);
    }
    if (group)
        enter(fuser, group, node);
    else
        host(fuser, node);
}

/* ---- merging groups side by side ---- */

static bool shares_operand(Fuser *fuser, const Group *a, const Group *b) {
    GroupList left = {0}, right = {0};
    for (uint32_t i = 0; i < a->members.count; i++) operand_groups(fuser, a->members.at[i], &left);
    for (uint32_t i = 0; i < b->members.count; i++) operand_groups(fuser, b->members.at[i], &right);
    for (uint32_t i = 0; i < left.count; i++)
        for (uint32_t j = 0; j < right.count; j++)
            if (left.at[i] == right.at[j] && left.at[i] != a) return true;
    return false;
}

static bool is_column(const Group *group) {
    return group->inner & 1 && group_count(group, false) > 1;
}

enum { NO_UPDATE = -2, ANYWHERE = -1 };

/* Where the pieces of the flat vectors begin that the group works on, rather than on something as
 * long by chance; of the flat gradient alone: anywhere. */
static int64_t update_place(Fuser *fuser, const Group *group) {
    int64_t place = NO_UPDATE;
    for (uint32_t i = 0; i < group->members.count && group->full_count == 1; i++) {
        const GNode *node = group->members.at[i];
        for (uint32_t k = 0; k < node->in_count; k++) {
            const GNode *base = view_base(fuser, node->in[k]);
            if (base->op == OP_FLAT_PARAM || base->op == OP_STATE) return base->offset;
            if (base->op == OP_FLAT) place = ANYWHERE;
        }
    }
    return place;
}

static bool same_update(Fuser *fuser, const Group *a, const Group *b) {
    int64_t left = update_place(fuser, a), right = update_place(fuser, b);
    if (left == NO_UPDATE || right == NO_UPDATE) return false;
    return left == right || left == ANYWHERE || right == ANYWHERE;
}

static bool may_merge(Fuser *fuser, const Group *a, const Group *b) {
    if (a->absorbed || b->absorbed || a->contract || b->contract) return false;
    if (a->plane || b->plane) return false;
    if (fuser->alone[a->members.at[0]->id] || fuser->alone[b->members.at[0]->id]) return false;
    if (bit_has(fuser->depends[a->id], b->id) || bit_has(fuser->depends[b->id], a->id))
        return false;
    if (a->full_count != b->full_count) return false;
    for (uint32_t i = 0; i < a->full_count; i++)
        if (a->extents[i] != b->extents[i]) return false;
    bool flat = same_update(fuser, a, b);
    if (flat && (!a->inner || !b->inner || a->inner == b->inner)) return true;
    return a->inner == b->inner && is_column(a) && shares_operand(fuser, a, b);
}

static void merge(Fuser *fuser, Group *into, Group *from) {
    for (uint32_t i = 0; i < from->members.count; i++) {
        GNode *node = from->members.at[i];
        info_of(fuser, node)->group = into;
        vec_push(fuser->arena, &into->members, node);
    }
    into->inner |= from->inner;
    from->absorbed = true;
    for (uint32_t i = 0; i < fuser->groups.count; i++)
        if (bit_has(fuser->depends[i], from->id)) depend(fuser, fuser->groups.at[i], into);
    for (uint32_t i = 0; i < fuser->groups.count; i++)
        if (bit_has(fuser->depends[from->id], i)) depend(fuser, into, fuser->groups.at[i]);
}

static void merge_groups(Fuser *fuser) {
    for (uint32_t i = 0; i < fuser->groups.count; i++)
        for (uint32_t j = i + 1; j < fuser->groups.count; j++)
            if (may_merge(fuser, fuser->groups.at[i], fuser->groups.at[j]))
                merge(fuser, fuser->groups.at[i], fuser->groups.at[j]);
}

static void sort_members(Group *group) {
    GNodeList *list = &group->members;
    for (uint32_t i = 1; i < list->count; i++)
        for (uint32_t j = i; j && list->at[j - 1]->id > list->at[j]->id; j--) {
            GNode *swap = list->at[j];
            list->at[j] = list->at[j - 1];
            list->at[j - 1] = swap;
        }
}

/* ---- consumers of planes ---- */

/* Values below that float: those of the size of the plane are computed wherever they are used, as
 * the plane is; smaller ones once. */
static void settle_floats(Fuser *fuser, const PlaneValues *plane, GNode *node) {
    Info *info = info_of(fuser, node);
    int64_t points = plane->extents[plane->m] * plane->extents[plane->n];
    if (info->group || info->seen == fuser->search) return;
    info->seen = fuser->search;
    if (info->role == ROLE_FLOAT && !fuser->forced[node->id] && type_count(&node->type) >= points)
        info->role = ROLE_INLINE;
    else if (info->role == ROLE_FLOAT)
        host(fuser, node);
    for (uint32_t i = 0; i < node->in_count && !info->group; i++)
        settle_floats(fuser, plane, node->in[i]);
}

static Group *plane_group(Fuser *fuser, const GNode *node, const PlaneUse *use) {
    const PlaneValues *plane = info_of(fuser, node)->plane;
    uint32_t inner = use->around | 1u << use->columns;
    GroupList operands = {0};
    operand_groups(fuser, node, &operands);
    for (uint32_t i = fuser->groups.count; i-- > 0;) {
        Group *group = fuser->groups.at[i];
        if (group->plane != plane || group->rows != use->rows || group->inner != inner) continue;
        if (closes_cycle(fuser, group, &operands)) continue;
        if (plane_passes_below(fuser, group, node) < NO_PASS) return group;
    }
    Group *group = new_group(fuser);
    for (uint32_t i = 0; i < plane->axis_count; i++) add_axis(group, plane->extents[i]);
    group->full_count = group->axis_count;
    group->inner = inner;
    group->plane = plane;
    group->rows = use->rows;
    group->columns = use->columns;
    return group;
}

static void host_consumer(Fuser *fuser, GNode *node) {
    Info *info = info_of(fuser, node);
    PlaneUse use;
    uint32_t side = info_of(fuser, view_base(fuser, node->in[0]))->role == ROLE_PLANE ? 0 : 1;
    bool legal = plane_use_of(info->plane, node, side, &use);
    assert(legal);
    fuser->search++;
    for (uint32_t i = 0; i < node->in_count; i++) settle_floats(fuser, info->plane, node->in[i]);
    Group *group = plane_group(fuser, node, &use);
    info->group = group;
    vec_push(fuser->arena, &group->members, node);
    depend_on_operands(fuser, group, node);
}

static void place_node(Fuser *fuser, GNode *node) {
    Info *info = info_of(fuser, node);
    for (uint32_t i = 0; i < info->pieces.count; i++)
        if (!info_of(fuser, info->pieces.at[i])->group) host(fuser, info->pieces.at[i]);
    if (info->role != ROLE_MEMBER || info->group) return;
    if (info->plane) {
        host_consumer(fuser, node);
        return;
    }
    if (node->op == OP_CONTRACT && !fuser->forced[node->id])
        host_contract(fuser, node);
    else
        place_member(fuser, node);
}

void assign_groups(Fuser *fuser) {
    for (uint32_t i = 0; i < fuser->nodes.count; i++) place_node(fuser, fuser->nodes.at[i]);
    for (uint32_t i = 0; i < fuser->nodes.count; i++) { /* floating outputs */
        Info *info = info_of(fuser, fuser->nodes.at[i]);
        bool wanted = info->targets.count || info->hard || fuser->forced[fuser->nodes.at[i]->id];
        if (wanted && !info->group && info->role == ROLE_FLOAT) host(fuser, fuser->nodes.at[i]);
    }
    if (fuser->fused) merge_groups(fuser);
    for (uint32_t i = 0; i < fuser->groups.count; i++) sort_members(fuser->groups.at[i]);
}
