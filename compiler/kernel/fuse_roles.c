/* What each node is to fusion: liveness, who uses it, where it has to end up, and its role. */
#include "compiler/kernel/fuse.h"

#include <assert.h>
#include <inttypes.h>

enum { INLINE_COST = 4, RANDOM_COST = 16 };

static bool reduces_nothing(const GNode *node) {
    for (uint32_t i = 0; i < node->in[0]->type.rank; i++)
        if (node->axes >> i & 1 && node->in[0]->type.dims[i].size != 1) return false;
    return true;
}

bool node_is_view(const Fuser *fuser, const GNode *node) {
    if (fuser->forced[node->id]) return false;
    OpClass class = op_info[node->op].class;
    return class == CLASS_VIEW || node->op == OP_STOP ||
           (class == CLASS_REDUCE && reduces_nothing(node));
}

bool node_is_reduction(const Fuser *fuser, const GNode *node) {
    (void)fuser;
    return op_info[node->op].class == CLASS_REDUCE && !reduces_nothing(node);
}

bool node_is_compute(const Fuser *fuser, const GNode *node) {
    if (fuser->forced[node->id]) return true;
    OpClass class = op_info[node->op].class;
    return class != CLASS_LEAF && class != CLASS_FLAT && !node_is_view(fuser, node);
}

const GNode *view_base(const Fuser *fuser, const GNode *node) {
    while (node_is_view(fuser, node)) node = node->in[0];
    return node;
}

/* Of one element, in additions; what a vector unit has no instruction for is dear. */
uint32_t op_cost(Op op) {
    if (op_is_function(op)) return 16;
    switch (op) {
    case OP_DIV:
    case OP_SQRT:
    case OP_MOD: return 3;
    case OP_RANDOM: return RANDOM_COST;
    case OP_FIELD: return 1;
    case OP_GATHER: return 2;
    default: return op_info[op].class == CLASS_LEAF ? 0 : 1;
    }
}

static void mark_live(Fuser *fuser, GNode *node) {
    Info *info = info_of(fuser, node);
    if (info->role != ROLE_DEAD) return;
    info->role = ROLE_MEMBER;
    for (uint32_t i = 0; i < node->in_count; i++) mark_live(fuser, node->in[i]);
}

/* A copy of a value: an identity reshape that is kept in memory. */
static GNode *add_copy(Fuser *fuser, GNode *value) {
    assert(fuser->id_count < fuser->id_limit);
    GNode *copy = arena_alloc(fuser->arena, sizeof *copy);
    *copy = (GNode){.op = OP_RESHAPE,
                    .id = fuser->id_count++,
                    .type = value->type,
                    .per_trial = value->per_trial,
                    .batched = value->batched,
                    .in_count = 1,
                    .name = value->name,
                    .span = value->span};
    copy->in = arena_alloc(fuser->arena, sizeof *copy->in);
    copy->in[0] = value;
    fuser->forced[copy->id] = fuser->alone[copy->id] = true;
    vec_push(fuser->arena, &fuser->nodes, copy);
    vec_push(fuser->arena, &info_of(fuser, value)->users, copy);
    return copy;
}

/* The node whose kernel can store `value` as it is: below reshapes, which do not move elements. */
static GNode *storable(Fuser *fuser, GNode *value) {
    GNode *node = value;
    while (node_is_view(fuser, node) &&
           (node->op == OP_RESHAPE || op_info[node->op].class != CLASS_VIEW))
        node = node->in[0];
    return node_is_compute(fuser, node) ? node : NULL;
}

/* Where outputs are indirect, what the copy reads is in scratch memory: nothing of the trial's
 * block. */
static GNode *add_target(Fuser *fuser, GNode *value, Target target) {
    bool indirect = fuser->indirect && target.in_place;
    if (indirect && value->op != OP_FLAT) fuser->forced[value->id] = true;
    GNode *node = indirect ? NULL : storable(fuser, value);
    if (!node) node = add_copy(fuser, value);
    vec_push(fuser->arena, &info_of(fuser, node)->targets, target);
    return node;
}

static bool reads_params(const Fuser *fuser) {
    for (uint32_t i = 0; i < fuser->nodes.count; i++)
        if (fuser->nodes.at[i]->op == OP_PARAM || fuser->nodes.at[i]->op == OP_FLAT_PARAM)
            return true;
    return false;
}

static Target output_target(Fuser *fuser, const Output *output) {
    const GNode *value = output->value;
    Elem real = fuser->graph->real;
    int64_t count = type_count(&value->type);
    Buffer *buffer = NULL;
    switch (output->kind) {
    case OUT_LOSS:
        buffer = buffer_new(fuser, "loss", E_F64, 1, SPACE_TRIAL);
        buffer->offset = HEADER_LOSS;
        return (Target){buffer, 0, false};
    case OUT_GRAD_NORM:
        buffer = buffer_new(fuser, "grad_norm", E_F64, 1, SPACE_TRIAL);
        buffer->offset = HEADER_GRAD_NORM;
        return (Target){buffer, 0, false};
    case OUT_PARAM: return (Target){flat_buffer(fuser, -1, output->offset, count), 0, true};
    case OUT_STATE:
        buffer = flat_buffer(fuser, (int)output->index, output->offset, count);
        return (Target){buffer, 0, true};
    case OUT_EXAMPLE:
        buffer = slot_buffer(fuser, SPACE_EXAMPLE, output->index, real, count, NULL);
        break;
    case OUT_METRIC:
        buffer = slot_buffer(fuser, SPACE_METRIC, output->index, E_F64, 1, NULL);
        break;
    case OUT_FIELD:
        buffer =
            slot_buffer(fuser, SPACE_FIELD, output->index, value->type.elem, count, value->name);
        break;
    }
    return (Target){buffer, 0, false};
}

/* Where a piece of a flat vector goes. In the trial's block it is a buffer of its own: kernels that
 * write equal numbers to different parameters are one function. */
static Target piece_target(Fuser *fuser, Buffer *flat, int64_t base, int64_t count) {
    if (flat->space != SPACE_TRIAL) return (Target){flat, base, false};
    const char *name = arena_printf(fuser->arena, "%s_%" PRId64, flat->name, base);
    Buffer *piece = buffer_new(fuser, name, flat->elem, count, flat->space);
    piece->offset = flat->offset + base * elem_bytes(flat->elem);
    return (Target){piece, 0, false};
}

static void place_flat(Fuser *fuser, GNode *flat) {
    Info *info = info_of(fuser, flat);
    if (!info->buffer)
        info->buffer = buffer_new(fuser, flat->name ? flat->name : "flat", flat->type.elem,
                                  type_count(&flat->type), SPACE_SCRATCH);
    int64_t base = 0;
    for (uint32_t i = 0; i < flat->in_count; i++) {
        int64_t count = type_count(&flat->in[i]->type);
        Target target = piece_target(fuser, info->buffer, base, count);
        GNode *piece = add_target(fuser, flat->in[i], target);
        vec_push(fuser->arena, &info->pieces, piece);
        base += count;
    }
}

/* A flat vector that is nothing but the new parameters is written where they live (init). */
static bool aliases_params(const Fuser *fuser, const Output *output, bool params_read) {
    const Info *info = &fuser->info[output->value->id];
    return output->kind == OUT_PARAM && output->value->op == OP_FLAT && !params_read &&
           !info->users.count && !info->buffer;
}

static void place_outputs(Fuser *fuser) {
    bool params_read = reads_params(fuser);
    const OutputList *outputs = &fuser->graph->outputs;
    for (uint32_t i = 0; i < outputs->count; i++) {
        const Output *output = &outputs->at[i];
        if (aliases_params(fuser, output, params_read))
            info_of(fuser, output->value)->buffer = fuser->params;
        else
            add_target(fuser, output->value, output_target(fuser, output));
    }
    uint32_t count = fuser->nodes.count; /* the copies come after it and are no flats */
    for (uint32_t i = 0; i < count; i++)
        if (fuser->nodes.at[i]->op == OP_FLAT) place_flat(fuser, fuser->nodes.at[i]);
}

/* Rows of the data set as they lie there, one per example: a gather only picks them. */
static bool is_rows(const Fuser *fuser, const GNode *operand) {
    if (operand->type.rank != 2 || !elem_is_real(operand->type.elem)) return false;
    if (operand->type.dims[0].size == 1) return false; /* no axis to look rows up along */
    while (node_is_view(fuser, operand) && operand->op != OP_PERMUTE && operand->op != OP_SLICE &&
           operand->op != OP_PAD && operand->op != OP_WINDOW && operand->op != OP_BROADCAST)
        operand = operand->in[0];
    return operand->op == OP_FIELD && operand->batched;
}

/* What operands of contractions are made of is read in memory. */
static bool readable_in_place(const Fuser *fuser, const GNode *operand, const GNode *base) {
    if (fuser->forced[base->id] || is_rows(fuser, operand)) return true;
    return base->op == OP_PARAM || base->op == OP_STATE || base->op == OP_FLAT_PARAM ||
           op_info[base->op].class != CLASS_LEAF;
}

bool contract_swaps(const GNode *node) {
    for (uint32_t i = node->type.rank; i-- > 0;) {
        if (node->type.dims[i].size == 1) continue;
        bool in_a = strchr(node->einsum.a, node->einsum.out[i]);
        bool in_b = strchr(node->einsum.b, node->einsum.out[i]);
        if (in_a != in_b) return in_a;
    }
    return false;
}

static void mark_operand(Fuser *fuser, GNode *operand) {
    const GNode *base = view_base(fuser, operand);
    if (is_made(fuser, base)) return;
    if (!readable_in_place(fuser, operand, base)) fuser->forced[base->id] = true;
    info_of(fuser, base)->hard = true;
}

/* One operand of a product may look through something. */
static void mark_operands(Fuser *fuser, const GNode *contract) {
    GNode *const *in = contract->in;
    if (looks_through(fuser, in[0]) && looks_through(fuser, in[1]))
        fuser->forced[in[!contract_swaps(contract)]->id] = true;
    mark_operand(fuser, in[0]);
    mark_operand(fuser, in[1]);
}

GNode *table_base(const Fuser *fuser, GNode *table) {
    while (node_is_view(fuser, table) &&
           (table->op == OP_RESHAPE || op_info[table->op].class != CLASS_VIEW))
        table = table->in[0];
    return table;
}

static void mark_table(Fuser *fuser, GNode *table) {
    const GNode *base = table_base(fuser, table);
    bool leaf = op_info[base->op].class == CLASS_LEAF;
    bool there = base->op == OP_PARAM || base->op == OP_STATE || base->op == OP_FLAT_PARAM;
    if (node_is_view(fuser, base) || (leaf && !there)) fuser->forced[base->id] = true;
    info_of(fuser, base)->hard = true;
}

/* Which product is not rounded is a matter of the graph alone: however it is cut into kernels, the
 * bits are the same. */
static void mark_product(Fuser *fuser, const GNode *user) {
    bool sum = user->op == OP_ADD || user->op == OP_SUB || node_is_reduction(fuser, user);
    if (!sum || user->op == OP_REDUCE_MAX || !elem_is_real(user->type.elem)) return;
    for (uint32_t i = 0; i < user->in_count; i++) {
        Info *info = info_of(fuser, user->in[i]);
        if (user->in[i]->op != OP_MUL || info->users.count != 1 || info->targets.count) continue;
        info->product = true;
        return;
    }
}

static bool is_free(Role role) {
    return role == ROLE_LEAF || role == ROLE_INLINE || role == ROLE_FLOAT;
}

static Role role_of(Fuser *fuser, const GNode *node) {
    Info *info = info_of(fuser, node);
    if (node->op == OP_FLAT) return ROLE_FLAT;
    if (node_is_view(fuser, node)) {
        info->cost = info_of(fuser, node->in[0])->cost;
        return ROLE_VIEW;
    }
    info->cost = op_cost(node->op);
    if (op_info[node->op].class == CLASS_LEAF && !fuser->forced[node->id]) return ROLE_LEAF;
    bool compound = node_is_reduction(fuser, node) || node->op == OP_CONTRACT;
    bool all_free = true, random = node->op == OP_RANDOM;
    for (uint32_t i = 0; i < node->in_count; i++) {
        const GNode *base = view_base(fuser, node->in[i]);
        Role role = info_of(fuser, base)->role;
        all_free &= is_table(node, i) ? role == ROLE_LEAF : is_free(role);
        info->cost += info_of(fuser, base)->cost;
        random |= info_of(fuser, base)->cost >= RANDOM_COST;
    }
    if (info->product && (!all_free || !fuser->fused)) return ROLE_PRODUCT;
    if (compound || !all_free || !fuser->fused) return ROLE_MEMBER;
    bool kept = info->hard || info->targets.count || fuser->forced[node->id];
    bool cheap = info->cost <= INLINE_COST || (type_count(&node->type) == 1 && !random);
    if (!cheap) return ROLE_FLOAT;
    return kept ? ROLE_MEMBER : ROLE_INLINE; /* what is inlined reads no memory */
}

void assign_roles(Fuser *fuser) {
    const Graph *graph = fuser->graph;
    for (uint32_t i = 0; i < graph->outputs.count; i++)
        mark_live(fuser, graph->outputs.at[i].value);
    for (uint32_t i = 0; i < graph->nodes.count; i++) {
        GNode *node = graph->nodes.at[i];
        if (info_of(fuser, node)->role == ROLE_DEAD) continue;
        vec_push(fuser->arena, &fuser->nodes, node);
        for (uint32_t j = 0; j < node->in_count; j++)
            vec_push(fuser->arena, &info_of(fuser, node->in[j])->users, node);
    }
    place_outputs(fuser);
    for (uint32_t i = 0; i < fuser->nodes.count; i++) {
        GNode *node = fuser->nodes.at[i];
        if (node->op == OP_GATHER) mark_table(fuser, node->in[0]);
        if (node->op != OP_CONTRACT) continue;
        mark_operands(fuser, node);
    }
    for (uint32_t i = 0; i < fuser->nodes.count; i++) mark_product(fuser, fuser->nodes.at[i]);
    for (uint32_t i = 0; i < fuser->nodes.count; i++) {
        GNode *node = fuser->nodes.at[i];
        info_of(fuser, node)->role = role_of(fuser, node);
    }
}
