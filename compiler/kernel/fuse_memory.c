/* Which values cross from one kernel to another, and whether they are stored or computed again: a
 * few additions on operands that are in memory anyway cost less than a store and a load. */
#include "compiler/kernel/fuse.h"

#include <inttypes.h>

enum { RECOMPUTE_COST = 4, NEVER = 1000, SMALL = 8 };

Buffer *buffer_new(Fuser *fuser, const char *name, Elem elem, int64_t count, Space space) {
    Buffer *buffer = arena_alloc(fuser->arena, sizeof *buffer);
    *buffer = (Buffer){.id = fuser->program->buffers.count,
                       .name = name,
                       .elem = elem,
                       .count = count,
                       .space = space};
    vec_push(fuser->arena, &fuser->program->buffers, buffer);
    return buffer;
}

Buffer *slot_buffer(Fuser *fuser, Space space, uint32_t slot, Elem elem, int64_t count,
                    const char *name) {
    for (uint32_t i = 0; i < fuser->slots.count; i++) {
        Buffer *known = fuser->slots.at[i];
        if (known->space != space || known->slot != slot) continue;
        if (known->count < count) known->count = count; /* totals: a vector begins with a number */
        return known;
    }
    static const char *const names[] = {[SPACE_FIELD] = "field",
                                        [SPACE_EXAMPLE] = "example",
                                        [SPACE_TOTAL] = "total",
                                        [SPACE_METRIC] = "metric"};
    if (!name) name = arena_printf(fuser->arena, "%s%u", names[space], slot);
    Buffer *buffer = buffer_new(fuser, name, elem, count, space);
    buffer->slot = slot;
    vec_push(fuser->arena, &fuser->slots, buffer);
    return buffer;
}

static Buffer *trial_buffer(Fuser *fuser, const char *name, int64_t offset, int64_t count) {
    for (uint32_t i = 0; i < fuser->param_buffers.count; i++) {
        Buffer *known = fuser->param_buffers.at[i];
        if (known->offset == offset && known->count == count) return known;
    }
    Buffer *buffer = buffer_new(fuser, name, fuser->layout->real, count, SPACE_TRIAL);
    buffer->offset = offset;
    vec_push(fuser->arena, &fuser->param_buffers, buffer);
    return buffer;
}

/* Training reads the parameters that it trains; everything else those that are evaluated. */
static int64_t vector_read(const Fuser *fuser, const GNode *param) {
    const TrialLayout *layout = fuser->layout;
    bool trains = !strcmp(fuser->graph->name, "train") || !strcmp(fuser->graph->name, "init");
    bool other = layout->weights >= 0 && !trains && param->offset < layout->trained_count;
    return other ? layout->states[layout->weights] : layout->params;
}

Buffer *param_buffer(Fuser *fuser, const GNode *node) {
    int64_t offset = vector_read(fuser, node) + node->offset * elem_bytes(node->type.elem);
    return trial_buffer(fuser, node->name ? node->name : "param", offset, type_count(&node->type));
}

/* A piece that is one parameter is called as it is. */
static const char *piece_name(Fuser *fuser, int state, int64_t offset, int64_t count) {
    const Buffer *whole = state < 0 ? fuser->params : fuser->states[state];
    for (uint32_t i = 0; i < fuser->nodes.count; i++) {
        const GNode *node = fuser->nodes.at[i];
        if (node->op != OP_PARAM || node->offset != offset || !node->name) continue;
        if (type_count(&node->type) != count) continue;
        if (state < 0) return node->name;
        return arena_printf(fuser->arena, "%s.%s", whole->name, node->name);
    }
    return arena_printf(fuser->arena, "%s_%" PRId64, whole->name, offset);
}

Buffer *flat_buffer(Fuser *fuser, int state, int64_t offset, int64_t count) {
    Buffer *whole = state < 0 ? fuser->params : fuser->states[state];
    if (!offset && count == whole->count) return whole;
    const char *name = piece_name(fuser, state, offset, count);
    return trial_buffer(fuser, name, whole->offset + offset * elem_bytes(whole->elem), count);
}

Buffer *leaf_buffer(Fuser *fuser, const GNode *leaf) {
    if (leaf->op == OP_PARAM) return param_buffer(fuser, leaf);
    int state = leaf->op == OP_STATE ? (int)leaf->index : -1;
    return flat_buffer(fuser, state, leaf->offset, type_count(&leaf->type));
}

static bool name_taken(const Fuser *fuser, const char *name) {
    for (uint32_t i = 0; i < fuser->program->buffers.count; i++)
        if (!strcmp(fuser->program->buffers.at[i]->name, name)) return true;
    return false;
}

static const char *value_name(Fuser *fuser, const GNode *node) {
    if (!node->name) return arena_printf(fuser->arena, "t%u", node->id);
    const char *name = node->name;
    for (uint32_t i = 2; name_taken(fuser, name); i++)
        name = arena_printf(fuser->arena, "%s_%u", node->name, i);
    return name;
}

/* ---- store or compute again ---- */

static bool used_elsewhere(const Fuser *fuser, const GNode *node, const Group *home,
                           const GNode *except) {
    const GNodeList *users = &info_of(fuser, node)->users;
    for (uint32_t i = 0; i < users->count; i++) {
        const GNode *user = users->at[i];
        if (user == except) continue;
        const Group *group = info_of(fuser, user)->group;
        if (group && group != home) return true;
        if (!group && node_is_view(fuser, user) && used_elsewhere(fuser, user, home, except))
            return true;
    }
    return false;
}

static bool in_memory_anyway(const Fuser *fuser, const GNode *node, const GNode *user) {
    const Info *info = info_of(fuser, node);
    if (info->hard || fuser->forced[node->id] || info->targets.count) return true;
    if (type_count(&node->type) * SMALL <= type_count(&user->type)) return true;
    return used_elsewhere(fuser, node, info->group, user);
}

static uint32_t recompute_cost(const Fuser *fuser, const GNode *node) {
    OpClass class = op_info[node->op].class;
    if (class != CLASS_UNARY && class != CLASS_BINARY && class != CLASS_TERNARY) return NEVER;
    uint32_t cost = op_cost(node->op);
    for (uint32_t i = 0; i < node->in_count && cost <= RECOMPUTE_COST; i++) {
        const GNode *base = view_base(fuser, node->in[i]);
        const Info *info = info_of(fuser, base);
        if (info->role == ROLE_FLAT) continue;
        if (!info->group)
            cost += info->cost;
        else if (!in_memory_anyway(fuser, base, node))
            cost += recompute_cost(fuser, base);
    }
    return cost;
}

/* What an update in place overwrites cannot be computed again afterwards. */
static bool overwrites(const Fuser *fuser, const Group *group) {
    for (uint32_t i = 0; i < group->members.count; i++) {
        const Info *info = info_of(fuser, group->members.at[i]);
        for (uint32_t t = 0; t < info->targets.count; t++)
            if (info->targets.at[t].in_place) return true;
    }
    return false;
}

static bool is_recomputed(const Fuser *fuser, const GNode *node) {
    const Info *info = info_of(fuser, node);
    if (!fuser->fused || info->hard || info->targets.count || fuser->forced[node->id]) return false;
    if (overwrites(fuser, info->group)) return false;
    uint32_t limit = elem_bytes(node->type.elem) == 1 ? 1 : RECOMPUTE_COST;
    return recompute_cost(fuser, node) <= limit;
}

static bool crosses(const Fuser *fuser, const Info *info) {
    for (uint32_t w = 0; w < fuser->words; w++) {
        uint64_t others = info->wanted[w];
        if (info->group->id / 64 == w) others &= ~((uint64_t)1 << (info->group->id % 64));
        if (others) return true;
    }
    return false;
}

/* Memory of its own, even where it also is a piece of a flat vector: who reads a flat vector waits
 * for all of its pieces, and one of them may need this value. */
static void give_memory(Fuser *fuser, const GNode *node) {
    info_of(fuser, node)->buffer = buffer_new(fuser, value_name(fuser, node), node->type.elem,
                                              type_count(&node->type), SPACE_SCRATCH);
}

static void visit(Fuser *fuser, const GNode *node) {
    Info *info = info_of(fuser, node);
    uint64_t *down = arena_alloc(fuser->arena, fuser->words * sizeof *down);
    if (node->op == OP_FLAT) return;
    if (info->group) {
        bool crossing = crosses(fuser, info);
        info->recompute = crossing && (info->product || is_recomputed(fuser, node));
        if (info->hard || (crossing && !info->recompute)) give_memory(fuser, node);
        bit_set(down, info->group->id);
    }
    for (uint32_t w = 0; w < fuser->words; w++)
        if (!info->group || info->recompute) down[w] |= info->wanted[w];
    for (uint32_t i = 0; i < node->in_count; i++)
        for (uint32_t w = 0; w < fuser->words; w++)
            info_of(fuser, node->in[i])->wanted[w] |= down[w];
}

void assign_memory(Fuser *fuser) {
    for (uint32_t i = 0; i < fuser->nodes.count; i++)
        info_of(fuser, fuser->nodes.at[i])->wanted =
            arena_alloc(fuser->arena, fuser->words * sizeof(uint64_t));
    for (uint32_t i = fuser->nodes.count; i-- > 0;) visit(fuser, fuser->nodes.at[i]);
}
