/* Names of kernels: what is computed, from the paths of the parameters that it touches ("dense1"),
 * the user's names ("logits") and the kinds of operations. */
#include "compiler/kernel/fuse.h"

#include <ctype.h>

typedef struct {
    Fuser *fuser;
    const Group *group;
    const Kernel *kernel;
    bool exp, log, max, row, column, total, relu, backward;
} Traits;

static uint32_t loss_id(const Graph *graph) {
    for (uint32_t i = 0; i < graph->outputs.count; i++)
        if (graph->outputs.at[i].kind == OUT_LOSS) return graph->outputs.at[i].value->id;
    return UINT32_MAX;
}

static bool is_zero(const Fuser *fuser, const GNode *node) {
    const GNode *base = view_base(fuser, node);
    return base->op == OP_CONST && base->number == 0;
}

static Traits find_traits(Fuser *fuser, const Kernel *kernel, const Group *group) {
    Traits traits = {.fuser = fuser, .group = group, .kernel = kernel};
    uint32_t loss = loss_id(fuser->graph);
    traits.backward = loss != UINT32_MAX && group->members.count > 0;
    for (uint32_t m = 0; m < group->members.count; m++) {
        const GNode *node = group->members.at[m];
        if (node->id <= loss) traits.backward = false;
        if (node->op == OP_EXP) traits.exp = true;
        if (node->op == OP_LOG) traits.log = true;
        if (node->op == OP_REDUCE_MAX) traits.max = true;
        if (node->op == OP_MAX && (is_zero(fuser, node->in[0]) || is_zero(fuser, node->in[1])))
            traits.relu = true;
    }
    traits.total = group->inner && group_count(group, false) == 1;
    traits.column = group->inner & 1 && !traits.total;
    traits.row = group->inner && !traits.total && !traits.column;
    return traits;
}

/* ---- parameters ---- */

static const GNode *param_below(const Fuser *fuser, const GNode *node) {
    const GNode *base = view_base(fuser, node);
    if (base->op == OP_ROUND) base = view_base(fuser, base->in[0]);
    return base->op == OP_PARAM ? base : NULL;
}

/* The first parameter, or field of the data, that the kernel touches. */
static const char *first_read(const Kernel *kernel, const BufferList *among, Space space) {
    for (uint32_t i = 0; i < kernel->buffers.count; i++)
        for (uint32_t j = 0; j < among->count; j++)
            if (kernel->buffers.at[i] == among->at[j] && among->at[j]->space == space)
                return among->at[j]->name;
    return NULL;
}

static const char *layer_of(Fuser *fuser, const char *path) {
    const char *dot = strrchr(path, '.');
    return dot ? arena_copy(fuser->arena, path, (size_t)(dot - path)) : path;
}

/* The parameter whose gradient the group stores into a flat vector: they lie at the same element.
 */
static const GNode *param_at(const Fuser *fuser, int64_t offset, int64_t count) {
    for (uint32_t i = 0; i < fuser->nodes.count; i++) {
        const GNode *node = fuser->nodes.at[i];
        if (node->op == OP_PARAM && node->offset == offset && node->name &&
            type_count(&node->type) == count)
            return node;
    }
    return NULL;
}

/* The flat vector that lies in the buffer, or NULL. */
static const GNode *flat_of(const Fuser *fuser, const Buffer *buffer) {
    for (uint32_t i = 0; i < fuser->nodes.count; i++)
        if (fuser->nodes.at[i]->op == OP_FLAT &&
            info_of(fuser, fuser->nodes.at[i])->buffer == buffer)
            return fuser->nodes.at[i];
    return NULL;
}

static const char *gradient_name(Fuser *fuser, const Group *group) {
    const char *name = NULL;
    for (uint32_t m = 0; m < group->members.count; m++) {
        const GNode *node = group->members.at[m];
        const Info *info = info_of(fuser, node);
        for (uint32_t t = 0; t < info->targets.count; t++) {
            const Target *target = &info->targets.at[t];
            const GNode *flat = flat_of(fuser, target->buffer);
            if (!flat) continue;
            int64_t place = flat->offset + target->base;
            const GNode *param = param_at(fuser, place, type_count(&node->type));
            if (!param) continue;
            const char *layer = layer_of(fuser, param->name);
            const char *leaf =
                strrchr(param->name, '.') ? strrchr(param->name, '.') + 1 : param->name;
            if (!strcmp(leaf, "weight")) leaf = "w";
            name = name ? arena_printf(fuser->arena, "%s_d%s", name, leaf)
                        : arena_printf(fuser->arena, "%s_d%s", layer, leaf);
        }
    }
    return name;
}

/* ---- kinds ---- */

/* The first element of its flat vector that a piece holds. */
static int64_t element_of(const TrialLayout *layout, const Buffer *piece) {
    int64_t vector = layout->params;
    for (uint32_t i = 0; i < layout->state_count; i++)
        if (piece->offset >= layout->states[i]) vector = layout->states[i];
    return (piece->offset - vector) / elem_bytes(layout->real);
}

/* The optimizer's kernels: "update", or of one parameter "dense1_weight_update". A moving value is
 * stored on the way by a kernel that has a name of its own. */
static const char *update_name(Fuser *fuser, const Group *group) {
    const TrialLayout *layout = fuser->layout;
    for (uint32_t m = 0; m < group->members.count; m++) {
        const Info *info = info_of(fuser, group->members.at[m]);
        for (uint32_t t = 0; t < info->targets.count; t++) {
            const Buffer *buffer = info->targets.at[t].buffer;
            int64_t element = element_of(layout, buffer);
            if (!info->targets.at[t].in_place || element >= layout->trained_count) continue;
            const GNode *param = param_at(fuser, element, buffer->count);
            bool whole = buffer->count == layout->trained_count;
            return param && !whole ? arena_printf(fuser->arena, "%s_update", param->name)
                                   : "update";
        }
    }
    return NULL;
}

static const char *output_name(Fuser *fuser, const Group *group) {
    for (uint32_t m = 0; m < group->members.count; m++) {
        const Info *info = info_of(fuser, group->members.at[m]);
        for (uint32_t t = 0; t < info->targets.count; t++)
            if (!flat_of(fuser, info->targets.at[t].buffer))
                return info->targets.at[t].buffer->name;
    }
    return NULL;
}

static const char *user_name(const Group *group) {
    for (uint32_t m = group->members.count; m-- > 0;)
        if (group->members.at[m]->name) return group->members.at[m]->name;
    return NULL;
}

static const char *contraction_name(const Traits *traits) {
    Fuser *fuser = traits->fuser;
    const GNode *node = traits->group->contract;
    const GNode *param = param_below(fuser, node->in[1]);
    if (!param) param = param_below(fuser, node->in[0]);
    if (!param || !param->name)
        return arena_printf(fuser->arena, "%s_contract", node->name ? node->name : "t");
    const char *layer = layer_of(fuser, param->name);
    if (traits->backward) return arena_printf(fuser->arena, "%s_dx", layer);
    return arena_printf(fuser->arena, "%s%s_fwd", layer, traits->relu ? "_relu" : "");
}

static const char *row_name(const Traits *traits) {
    Fuser *fuser = traits->fuser;
    if (traits->max && traits->exp && traits->log) {
        bool gradient = false;
        uint32_t loss = loss_id(fuser->graph);
        for (uint32_t m = 0; m < traits->group->members.count; m++)
            gradient |= loss != UINT32_MAX && traits->group->members.at[m]->id > loss;
        return gradient ? "softmax_xent_grad" : "softmax_xent";
    }
    if (traits->max && traits->exp) return "softmax";
    const char *param = first_read(traits->kernel, &fuser->param_buffers, SPACE_TRIAL);
    const char *suffix = traits->backward ? "bwd" : "fwd";
    if (param) return arena_printf(fuser->arena, "%s_%s", layer_of(fuser, param), suffix);
    const char *name = user_name(traits->group);
    return arena_printf(fuser->arena, "%s_row_%s", name ? name : "reduce", suffix);
}

static const char *init_name(Fuser *fuser, const Group *group) {
    for (uint32_t m = 0; m < group->members.count; m++) {
        const GNode *node = group->members.at[m];
        if (info_of(fuser, node)->targets.count && node->name)
            return arena_printf(fuser->arena, "init_%s", node->name);
    }
    return "init";
}

static const char *map_name(const Traits *traits) {
    Fuser *fuser = traits->fuser;
    const Group *group = traits->group;
    const char *name = user_name(group);
    if (name) return traits->backward ? arena_printf(fuser->arena, "%s_bwd", name) : name;
    const char *param = first_read(traits->kernel, &fuser->param_buffers, SPACE_TRIAL);
    const char *data = first_read(traits->kernel, &fuser->slots, SPACE_FIELD);
    if (param)
        return arena_printf(fuser->arena, "%s_%s", layer_of(fuser, param),
                            traits->backward ? "bwd" : "map");
    if (data) return data;
    if (fuser->alone[group->members.at[0]->id] && group->members.at[0]->op == OP_RESHAPE)
        return "copy";
    return op_info[group->members.at[group->members.count - 1]->op].text;
}

static const char *plane_name(const Traits *traits) {
    if (!traits->backward) return "attention_fwd";
    bool queries = traits->group->rows == traits->group->plane->m;
    return queries ? "attention_queries_bwd" : "attention_keys_bwd";
}

static const char *choose_name(Fuser *fuser, const Kernel *kernel, const Group *group) {
    Traits traits = find_traits(fuser, kernel, group);
    bool init = !strcmp(fuser->graph->name, "init");
    if (init) return init_name(fuser, group);
    const char *update = update_name(fuser, group);
    if (update) return update;
    if (group->plane) return plane_name(&traits);
    const char *gradient = gradient_name(fuser, group);
    if (gradient) return gradient;
    if (group->contract) return contraction_name(&traits);
    if (traits.row) return row_name(&traits);
    const char *output = output_name(fuser, group);
    if (output) return output;
    if (traits.column || traits.total) {
        const char *name = user_name(group);
        return arena_printf(fuser->arena, "%s_%s", name ? name : "sum",
                            traits.total ? "total" : "columns");
    }
    return map_name(&traits);
}

static const char *clean_name(Arena *arena, const char *name) {
    char *clean = arena_copy(arena, name, strlen(name));
    for (char *c = clean; *c; c++) {
        *c = (char)tolower((unsigned char)*c);
        if (!isalnum((unsigned char)*c)) *c = '_';
    }
    return clean;
}

static bool is_taken(const Fuser *fuser, const char *name) {
    for (uint32_t i = 0; i < fuser->program->kernels.count; i++) {
        const char *other = fuser->program->kernels.at[i]->name;
        if (other && !strcmp(other, name)) return true;
    }
    return false;
}

/* needs: kernels in order, one per group that was not absorbed, in `fuser->order`. */
void name_kernels(Fuser *fuser) {
    for (uint32_t i = 0; i < fuser->program->kernels.count; i++) {
        Kernel *kernel = fuser->program->kernels.at[i];
        const char *base = clean_name(fuser->arena, choose_name(fuser, kernel, fuser->order.at[i]));
        const char *name = base;
        for (uint32_t k = 2; is_taken(fuser, name); k++)
            name = arena_printf(fuser->arena, "%s_%u", base, k);
        kernel->name = name;
    }
}
