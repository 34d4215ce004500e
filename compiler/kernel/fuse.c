/* graph -> kernels: the driver. Each attempt assigns roles, groups and memory and builds a kernel
 * per group; an attempt that meets a value which has to be in memory after all marks it, and the
 * next one knows. */
#include "compiler/kernel/fuse.h"

#include <assert.h>

/* ---- order of the kernels ---- */

static bool overlaps(const Buffer *a, const Buffer *b) {
    if (a == b) return true;
    if (a->space != SPACE_TRIAL || b->space != SPACE_TRIAL) return false;
    int64_t a_end = a->offset + a->count * elem_bytes(a->elem);
    int64_t b_end = b->offset + b->count * elem_bytes(b->elem);
    return a->offset < b_end && b->offset < a_end;
}

static bool writes(const Kernel *kernel, const Buffer *buffer) {
    for (uint32_t s = 0; s < kernel->stages.count; s++) {
        const Stage *stage = &kernel->stages.at[s];
        for (uint32_t i = 0; i < stage->stores.count; i++)
            if (overlaps(stage->stores.at[i].buffer, buffer)) return true;
    }
    for (uint32_t i = 0; kernel->plane && i < kernel->plane->stores.count; i++)
        if (overlaps(kernel->plane->stores.at[i].buffer, buffer)) return true;
    return false;
}

/* Has `first` to run before `second`? Scratch is written before it is read, the trial's block
 * after. */
static bool precedes(const Kernel *first, const Kernel *second) {
    for (uint32_t i = 0; i < second->exprs.count; i++) {
        const Expr *expr = &second->exprs.at[i];
        if (expr->kind == X_LOAD && expr->buffer->space == SPACE_SCRATCH &&
            writes(first, expr->buffer))
            return true;
    }
    for (uint32_t i = 0; i < first->exprs.count; i++) {
        const Expr *expr = &first->exprs.at[i];
        if (expr->kind == X_LOAD && expr->buffer->space == SPACE_TRIAL &&
            writes(second, expr->buffer))
            return true;
    }
    return false;
}

static uint32_t last_member(const Group *group) {
    uint32_t last = 0;
    for (uint32_t i = 0; i < group->members.count; i++)
        if (group->members.at[i]->id > last) last = group->members.at[i]->id;
    return last;
}

/* Topological, earliest last member first. False when in-place outputs make a cycle. */
static bool order_kernels(Fuser *fuser, const KernelList *kernels, Group *const *groups) {
    uint32_t count = kernels->count;
    bool *done = arena_alloc(fuser->arena, count + 1);
    bool *edges = arena_alloc(fuser->arena, (size_t)count * count + 1);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < count; j++)
            edges[i * count + j] = i != j && precedes(kernels->at[i], kernels->at[j]);
    for (uint32_t placed = 0; placed < count; placed++) {
        uint32_t best = UINT32_MAX;
        for (uint32_t j = 0; j < count; j++) {
            bool ready = !done[j];
            for (uint32_t i = 0; i < count && ready; i++) ready = done[i] || !edges[i * count + j];
            if (!ready) continue;
            if (best == UINT32_MAX || last_member(groups[j]) < last_member(groups[best])) best = j;
        }
        if (best == UINT32_MAX) return false;
        done[best] = true;
        vec_push(fuser->arena, &fuser->program->kernels, kernels->at[best]);
        vec_push(fuser->arena, &fuser->order, groups[best]);
    }
    return true;
}

/* Arguments do not alias: a kernel that writes the flat vector must not read a parameter by its own
 * name. (The header holds the loss and the norm, but of the header itself only other fields are
 * read.) */
static bool aliases(const Kernel *kernel) {
    for (uint32_t i = 0; i < kernel->buffers.count; i++)
        for (uint32_t j = 0; j < kernel->buffers.count; j++) {
            const Buffer *a = kernel->buffers.at[i], *b = kernel->buffers.at[j];
            if (a == b || a == kernel->header || b == kernel->header) continue;
            if (a->space == SPACE_TRIAL && writes(kernel, b) && overlaps(a, b)) return true;
        }
    return false;
}

static bool loads_elsewhere(const Kernel *kernel, const Store *store) {
    for (uint32_t i = 0; i < kernel->exprs.count; i++) {
        const Expr *expr = &kernel->exprs.at[i];
        if (expr->kind != X_LOAD || expr->buffer != store->buffer) continue;
        if (expr->lookup != -1 || expr->gather != -1 || !affine_equal(&expr->at, &store->at))
            return true;
    }
    return false;
}

/* An update in place reads the very elements that it writes: what it looks at elsewhere
 * (transposed, or as an operand of a product) another iteration may have overwritten. */
static bool reads_elsewhere(const Kernel *kernel) {
    for (uint32_t s = 0; s < kernel->stages.count; s++) {
        const Stage *stage = &kernel->stages.at[s];
        for (uint32_t i = 0; i < stage->stores.count; i++) {
            const Store *store = &stage->stores.at[i];
            if (store->buffer->space == SPACE_TRIAL && loads_elsewhere(kernel, store)) return true;
        }
    }
    return false;
}

/* ---- another attempt ---- */

/* Each time one more thing is known, of finitely many: the attempts end. None of the assertions
 * depends on the graph. */

/* In memory the value is computed in a group of its own shape, where its index is its own, and is
 * loaded through any index. */
void keep_in_memory(Fuser *fuser, const GNode *node) {
    assert(!fuser->forced[node->id]);
    fuser->forced_next[node->id] = fuser->again = true;
}

/* Two nodes that start groups of their own are never in one. */
void set_apart(Fuser *fuser, const GNode *user, const GNode *node) {
    const GNode *mover = fuser->alone[user->id] ? node : user;
    assert(!fuser->alone[mover->id]);
    fuser->alone_next[mover->id] = fuser->again = true;
}

/* Copies lie as they should: a graph has no more of these than contractions. */
void join_next(Fuser *fuser, const GNode *contraction) {
    fuser->apart[contraction->id] = fuser->rebuild = fuser->again = true;
}

/* Groups depend on each other without cycles, and a kernel loads only what its group depends on: it
 * is the updates in place that made a cycle. Copied from scratch memory after everything else they
 * make none, as the copies read nothing that an update overwrites. */
static void save_outputs(Fuser *fuser) {
    assert(!fuser->indirect);
    fuser->indirect = fuser->again = true;
}

/* ---- one attempt ---- */

static void trial_buffers(Fuser *fuser) {
    const TrialLayout *layout = fuser->layout;
    fuser->header = buffer_new(fuser, "header", E_U8, HEADER_BYTES, SPACE_TRIAL);
    fuser->index = buffer_new(fuser, "index", E_I32, 0, SPACE_INDEX);
    fuser->hypers = buffer_new(fuser, "hypers", E_F64, layout->hyper_count, SPACE_TRIAL);
    fuser->hypers->offset = layout->hypers;
    fuser->params = buffer_new(fuser, "params", layout->real, layout->param_count, SPACE_TRIAL);
    fuser->params->offset = layout->params;
    for (uint32_t i = 0; i < layout->state_count; i++) {
        const char *name = arena_printf(fuser->arena, "state%u", i);
        fuser->states[i] =
            buffer_new(fuser, name, layout->real, layout->trained_count, SPACE_TRIAL);
        fuser->states[i]->offset = layout->states[i];
    }
    for (uint32_t i = 0; i < fuser->graph->nodes.count; i++) {
        const GNode *node = fuser->graph->nodes.at[i];
        if (node->op == OP_FIELD && node->batched) fuser->index->count = node->type.dims[0].size;
    }
}

static uint32_t id_limit(const Graph *graph) {
    uint32_t limit = graph->nodes.count + graph->outputs.count + 1;
    for (uint32_t i = 0; i < graph->nodes.count; i++)
        if (graph->nodes.at[i]->op == OP_FLAT) limit += graph->nodes.at[i]->in_count;
    return limit;
}

static void begin(Fuser *fuser) {
    uint32_t limit = fuser->id_limit;
    fuser->again = false;
    for (uint32_t i = 0; i < limit; i++) {
        fuser->forced[i] |= fuser->forced_next[i];
        fuser->alone[i] |= fuser->alone_next[i];
    }
    fuser->program = arena_alloc(fuser->arena, sizeof *fuser->program);
    fuser->program->name = fuser->graph->name;
    fuser->program->layout = *fuser->layout;
    fuser->program->advance = !strcmp(fuser->graph->name, "train");
    fuser->info = arena_alloc(fuser->arena, limit * sizeof *fuser->info);
    fuser->depends = arena_alloc(fuser->arena, limit * sizeof *fuser->depends);
    fuser->id_count = fuser->graph->nodes.count;
    fuser->nodes.count = fuser->groups.count = fuser->order.count = 0;
    fuser->param_buffers.count = fuser->slots.count = fuser->search = 0;
    trial_buffers(fuser);
}

static void attempt(Fuser *fuser) {
    KernelList kernels = {0};
    begin(fuser);
    assign_roles(fuser);
    if (fuser->fused) assign_planes(fuser);
    assign_groups(fuser);
    assign_memory(fuser);
    Group **groups = arena_alloc(fuser->arena, (fuser->groups.count + 1) * sizeof *groups);
    for (uint32_t i = 0; i < fuser->groups.count; i++) {
        if (fuser->groups.at[i]->absorbed || !group_stores(fuser, fuser->groups.at[i])) continue;
        groups[kernels.count] = fuser->groups.at[i];
        vec_push(fuser->arena, &kernels, build_kernel(fuser, fuser->groups.at[i]));
    }
    if (fuser->again) return;
    bool legal = order_kernels(fuser, &kernels, groups);
    for (uint32_t i = 0; i < kernels.count && legal; i++)
        legal = !aliases(kernels.at[i]) && !reads_elsewhere(kernels.at[i]);
    if (!legal) save_outputs(fuser);
}

/* Only what some kernel touches stays, numbered anew. */
static void drop_unused_buffers(Fuser *fuser) {
    StepProgram *program = fuser->program;
    BufferList used = {0};
    for (uint32_t b = 0; b < program->buffers.count; b++) {
        Buffer *buffer = program->buffers.at[b];
        bool touched = false;
        for (uint32_t k = 0; k < program->kernels.count && !touched; k++)
            for (uint32_t i = 0; i < program->kernels.at[k]->buffers.count && !touched; i++)
                touched = program->kernels.at[k]->buffers.at[i] == buffer;
        if (!touched) continue;
        buffer->id = used.count;
        vec_push(fuser->arena, &used, buffer);
    }
    program->buffers = used;
}

/* Of a new graph nothing is known but which copies it needs. */
static void start(Fuser *fuser) {
    fuser->id_limit = id_limit(fuser->graph);
    fuser->words = (fuser->id_limit + 63) / 64;
    fuser->forced = arena_alloc(fuser->arena, fuser->id_limit);
    fuser->forced_next = arena_alloc(fuser->arena, fuser->id_limit);
    fuser->alone = arena_alloc(fuser->arena, fuser->id_limit);
    fuser->alone_next = arena_alloc(fuser->arena, fuser->id_limit);
    fuser->apart = arena_alloc(fuser->arena, fuser->id_limit);
    fuser->rebuild = false;
    for (uint32_t i = 0; i < fuser->copies.count; i++)
        fuser->forced[fuser->copies.at[i]->id] = true;
}

/* Planes are found once more afterwards, without the sums that need no pass over them. */
static void simplify_planes(Fuser *fuser) {
    const Graph *before = fuser->graph;
    begin(fuser);
    assign_roles(fuser);
    assign_planes(fuser);
    exchange_sums(fuser);
    if (fuser->graph != before) start(fuser);
}

StepProgram *fuse(const Graph *graph, const TrialLayout *layout, bool fused, Arena *arena) {
    Fuser fuser = {.graph = graph, .layout = layout, .arena = arena, .fused = fused};
    start(&fuser);
    if (fused) simplify_planes(&fuser);
    do {
        attempt(&fuser);
        if (!fuser.rebuild) continue;
        join_summed_axes(&fuser);
        start(&fuser);
    } while (fuser.again);
    name_kernels(&fuser);
    drop_unused_buffers(&fuser);
    return fuser.program;
}
