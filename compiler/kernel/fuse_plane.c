/* Which values are an attention's scores: the plane around a softmax and its gradient.
 *
 *     leaves     contractions over few terms; m is an axis of one operand, n of the other
 *     values     leaves, and whatever is elementwise with them, in their shape
 *     consumers  sums and maxima over m or over n, contractions that sum m or n
 *
 * A set of values that is closed (every use of a value is a value or a consumer) needs no memory:
 * the kernel of each consumer computes its values again, from the operands of the leaves. Without
 * one contraction among the consumers it is no attention, and keys that are a parameter are a
 * classifier's: not worth it. */
#include "compiler/kernel/fuse.h"

enum { MOST_K = 256, LEAST_SIDE = 8, LEAST_POINTS = 1024 };

typedef enum { UNKNOWN, VALUE, DROPPED, CONSUMER } State;
typedef enum { NOT_ASKED, NO, YES } Answer;

typedef struct {
    Fuser *fuser;
    PlaneValues *plane;
    GNodeList consumers;
    uint8_t *state;   /* by id: a State */
    uint8_t *depends; /* by id: an Answer: is it made of leaves? */
    uint32_t leaves, sinks;
} Finder;

/* ---- shapes ---- */

static uint32_t long_dims(const Type *type, int64_t *dims) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < type->rank; i++)
        if (type->dims[i].size != 1) dims[count++] = type->dims[i].size;
    return count;
}

static bool same_long_dims(const Type *a, const Type *b) {
    int64_t of_a[MAX_RANK], of_b[MAX_RANK];
    uint32_t count = long_dims(a, of_a);
    return count == long_dims(b, of_b) && !memcmp(of_a, of_b, count * sizeof *of_a);
}

static bool is_whole(const PlaneValues *plane, const Type *type) {
    int64_t dims[MAX_RANK];
    return long_dims(type, dims) == plane->axis_count &&
           !memcmp(dims, plane->extents, plane->axis_count * sizeof *dims);
}

/* A view that moves no element and repeats none. */
static bool is_still(const Fuser *fuser, const GNode *node) {
    return node_is_view(fuser, node) && node->op != OP_PERMUTE && node->op != OP_SLICE &&
           node->op != OP_PAD && node->op != OP_WINDOW &&
           same_long_dims(&node->type, &node->in[0]->type);
}

static GNode *still_base(const Fuser *fuser, GNode *node) {
    while (is_still(fuser, node)) node = node->in[0];
    return node;
}

static bool is_elementwise(const GNode *node) {
    OpClass class = op_info[node->op].class;
    return class == CLASS_UNARY || class == CLASS_BINARY || class == CLASS_TERNARY;
}

/* May it be a value? Not what has to be in memory anyway. */
static bool is_free(const Finder *f, const GNode *node) {
    const Info *info = info_of(f->fuser, node);
    return !info->targets.count && !f->fuser->forced[node->id] && !info->plane &&
           is_whole(f->plane, &node->type) && node->op != OP_STOP;
}

/* ---- labels ---- */

/* The label of each axis of the plane in `labels` of a value's type. */
static void label_axes(const Type *type, const char *labels, char *of_axis) {
    uint32_t axis = 0;
    for (uint32_t i = 0; i < type->rank; i++)
        if (type->dims[i].size != 1) of_axis[axis++] = labels[i];
    of_axis[axis] = 0;
}

/* Long axes of the operand whose labels are not in `known`. */
static uint32_t other_axes(const Type *type, const char *labels, const char *known,
                           int64_t *count) {
    uint32_t axes = 0;
    *count = 1;
    for (uint32_t i = 0; i < type->rank; i++) {
        if (type->dims[i].size == 1 || strchr(known, labels[i])) continue;
        axes++;
        *count *= type->dims[i].size;
    }
    return axes;
}

static bool has(const char *labels, char label) {
    return strchr(labels, label) != NULL;
}

/* ---- leaves ---- */

/* Sums few terms, and `n` is an axis of one operand alone; *side is its number. */
static bool is_product(const GNode *node, uint32_t n, char *of_axis, uint32_t *side) {
    int64_t terms;
    if (node->op != OP_CONTRACT || !elem_is_real(node->type.elem)) return false;
    label_axes(&node->type, node->einsum.out, of_axis);
    const char *a = node->einsum.a, *b = node->einsum.b;
    if (other_axes(&node->in[0]->type, a, of_axis, &terms) > 1 || terms > MOST_K) return false;
    *side = has(b, of_axis[n]);
    return has(a, of_axis[n]) != has(b, of_axis[n]);
}

static bool is_leaf(const Finder *f, const GNode *node) {
    char of_axis[MAX_RANK + 1];
    uint32_t side;
    if (!is_product(node, f->plane->n, of_axis, &side)) return false;
    const char *with = side ? node->einsum.b : node->einsum.a;
    const char *other = side ? node->einsum.a : node->einsum.b;
    char m = of_axis[f->plane->m];
    return has(other, m) && !has(with, m);
}

/* ---- consumers ---- */

/* Axes that a reduction or contraction sums of the plane, by their place in it. */
static uint32_t summed_axes(const GNode *node, uint32_t side) {
    const Type *type = &node->in[side]->type;
    uint32_t axis = 0, set = 0;
    for (uint32_t i = 0; i < type->rank; i++) {
        if (type->dims[i].size == 1) continue;
        bool summed = node->op == OP_CONTRACT
                          ? !has(node->einsum.out, (side ? node->einsum.b : node->einsum.a)[i])
                          : node->axes >> i & 1;
        if (summed) set |= 1u << axis;
        axis++;
    }
    return set;
}

bool plane_use_of(const PlaneValues *plane, const GNode *node, uint32_t side, PlaneUse *use) {
    uint32_t set = summed_axes(node, side);
    bool m = set >> plane->m & 1, n = set >> plane->n & 1;
    *use = (PlaneUse){.side = side,
                      .rows = n ? plane->m : plane->n,
                      .columns = n ? plane->n : plane->m,
                      .around = set & ~(1u << plane->m | 1u << plane->n)};
    return m != n;
}

static bool is_sink(const Finder *f, const GNode *node, uint32_t side) {
    char of_axis[MAX_RANK + 1];
    int64_t terms;
    PlaneUse use;
    const char *labels = side ? node->einsum.b : node->einsum.a;
    const char *other = side ? node->einsum.a : node->einsum.b;
    const GNode *operand = node->in[1 - side];
    if (node->in[0] == node->in[1] || !plane_use_of(f->plane, node, side, &use)) return false;
    if (f->state[view_base(f->fuser, operand)->id] == VALUE) return false;
    label_axes(&node->in[side]->type, labels, of_axis);
    return !has(other, of_axis[use.rows]) &&
           other_axes(&operand->type, other, of_axis, &terms) <= 1;
}

static bool is_consumer(const Finder *f, const GNode *node, const GNode *operand) {
    PlaneUse use;
    if (f->fuser->forced[node->id] || info_of(f->fuser, node)->plane) return false;
    if (node->op == OP_CONTRACT) return is_sink(f, node, node->in[1] == operand);
    if (!node_is_reduction(f->fuser, node) || !plane_use_of(f->plane, node, 0, &use)) return false;
    return elem_is_real(node->type.elem);
}

/* ---- the set ---- */

/* Is the node, in the plane's shape, a leaf or elementwise with one? */
static bool has_leaf(Finder *f, GNode *node) {
    uint8_t *answer = &f->depends[node->id];
    if (*answer != NOT_ASKED) return *answer == YES;
    *answer = NO;
    if (!is_free(f, node)) return false;
    bool found = is_leaf(f, node);
    for (uint32_t i = 0; i < node->in_count && is_elementwise(node); i++)
        found |= has_leaf(f, still_base(f->fuser, node->in[i]));
    *answer = found ? YES : NO;
    return found;
}

static void add_value(Finder *f, GNode *node) {
    f->state[node->id] = VALUE;
    vec_push(f->fuser->arena, &f->plane->values, node);
}

static void collect(Finder *f, GNode *node);

static void collect_users(Finder *f, const GNode *node) {
    const GNodeList *users = &info_of(f->fuser, node)->users;
    for (uint32_t i = 0; i < users->count; i++) {
        if (is_still(f->fuser, users->at[i]))
            collect_users(f, users->at[i]);
        else
            collect(f, users->at[i]);
    }
}

/* All that is connected by elementwise operations. What has no leaf does not connect: two layers
 * may share a mask. */
static void collect(Finder *f, GNode *node) {
    if (f->state[node->id] != UNKNOWN || !has_leaf(f, node)) return;
    add_value(f, node);
    for (uint32_t i = 0; i < node->in_count && is_elementwise(node); i++)
        collect(f, still_base(f->fuser, node->in[i]));
    collect_users(f, node);
}

/* Is every use of the node a value or a consumer? */
static bool is_closed(const Finder *f, const GNode *node) {
    const GNodeList *users = &info_of(f->fuser, node)->users;
    for (uint32_t i = 0; i < users->count; i++) {
        const GNode *user = users->at[i];
        if (f->state[user->id] == VALUE) continue;
        bool legal = is_still(f->fuser, user) ? is_closed(f, user) : is_consumer(f, user, node);
        if (!legal) return false;
    }
    return true;
}

/* What has another use is in memory, and so are its operands: the rest is the largest closed set.
 */
static void drop_open(Finder *f) {
    GNodeList *values = &f->plane->values, kept = {0};
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = values->count; i-- > 0;) {
            uint8_t *state = &f->state[values->at[i]->id];
            if (*state != VALUE || is_closed(f, values->at[i])) continue;
            *state = DROPPED;
            changed = true;
        }
    }
    for (uint32_t i = 0; i < values->count; i++)
        if (f->state[values->at[i]->id] == VALUE) vec_push(f->fuser->arena, &kept, values->at[i]);
    *values = kept;
}

/* Operands in the plane's shape without a leaf, masks, that nothing else uses. */
static void absorb_operands(Finder *f) {
    for (uint32_t v = 0; v < f->plane->values.count; v++) {
        const GNode *value = f->plane->values.at[v];
        for (uint32_t i = 0; i < value->in_count && is_elementwise(value); i++) {
            GNode *operand = still_base(f->fuser, value->in[i]);
            if (f->state[operand->id] != UNKNOWN || !is_free(f, operand)) continue;
            if (is_elementwise(operand) && is_closed(f, operand)) add_value(f, operand);
        }
    }
}

static void find_consumers(Finder *f, const GNode *node) {
    const GNodeList *users = &info_of(f->fuser, node)->users;
    for (uint32_t i = 0; i < users->count; i++) {
        GNode *user = users->at[i];
        if (is_still(f->fuser, user) && f->state[user->id] != VALUE) find_consumers(f, user);
        if (is_still(f->fuser, user) || f->state[user->id] != UNKNOWN) continue;
        f->state[user->id] = CONSUMER;
        f->sinks += user->op == OP_CONTRACT;
        vec_push(f->fuser->arena, &f->consumers, user);
    }
}

/* False when the leaf itself is in memory. */
static bool grow(Finder *f, GNode *leaf) {
    collect(f, leaf);
    drop_open(f);
    if (f->state[leaf->id] != VALUE) return false;
    absorb_operands(f);
    for (uint32_t i = 0; i < f->plane->values.count; i++) {
        f->leaves += f->plane->values.at[i]->op == OP_CONTRACT;
        find_consumers(f, f->plane->values.at[i]);
    }
    return true;
}

/* ---- where to begin ---- */

/* The contraction below the operand of a softmax, and with it the plane's m. */
static GNode *leaf_below(Finder *f, GNode *node) {
    PlaneValues *plane = f->plane;
    char of_axis[MAX_RANK + 1];
    uint32_t side;
    node = still_base(f->fuser, node);
    if (!is_free(f, node)) return NULL;
    if (is_product(node, plane->n, of_axis, &side) && node->in[side]->batched) {
        const char *with = side ? node->einsum.b : node->einsum.a;
        for (plane->m = plane->axis_count; plane->m-- > 0;)
            if (!has(with, of_axis[plane->m])) return node;
        return NULL;
    }
    for (uint32_t i = 0; i < node->in_count && is_elementwise(node); i++) {
        GNode *leaf = leaf_below(f, node->in[i]);
        if (leaf) return leaf;
    }
    return NULL;
}

static bool pays(const PlaneValues *plane) {
    int64_t m = plane->extents[plane->m], n = plane->extents[plane->n];
    return m >= LEAST_SIDE && n >= LEAST_SIDE && m * n >= LEAST_POINTS;
}

static bool shape_plane(PlaneValues *plane, const GNode *softmax) {
    const Type *type = &softmax->in[0]->type;
    plane->axis_count = long_dims(type, plane->extents);
    uint32_t set = summed_axes(softmax, 0);
    if (!set || set & (set - 1)) return false;
    plane->n = (uint32_t)__builtin_ctz(set);
    return true;
}

static void settle(Finder *f) {
    for (uint32_t i = 0; i < f->plane->values.count; i++) {
        Info *info = info_of(f->fuser, f->plane->values.at[i]);
        info->role = ROLE_PLANE;
        info->plane = f->plane;
    }
    for (uint32_t i = 0; i < f->consumers.count; i++)
        info_of(f->fuser, f->consumers.at[i])->plane = f->plane;
}

static void find_plane(Fuser *fuser, const GNode *softmax) {
    PlaneValues *plane = arena_alloc(fuser->arena, sizeof *plane);
    Finder f = {.fuser = fuser, .plane = plane};
    f.state = arena_alloc(fuser->arena, fuser->id_limit);
    f.depends = arena_alloc(fuser->arena, fuser->id_limit);
    if (!shape_plane(plane, softmax)) return;
    GNode *leaf = leaf_below(&f, softmax->in[0]);
    if (!leaf || !pays(plane) || !grow(&f, leaf) || !f.sinks) return;
    if (plane->axis_count + f.leaves + f.sinks < MAX_AXES) settle(&f);
}

void assign_planes(Fuser *fuser) {
    for (uint32_t i = 0; i < fuser->nodes.count; i++) {
        const GNode *node = fuser->nodes.at[i];
        if (node->op == OP_REDUCE_MAX && node_is_reduction(fuser, node) &&
            !info_of(fuser, node)->plane)
            find_plane(fuser, node);
    }
}
