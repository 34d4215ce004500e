/* Long reductions of everything, cut into chunks, so that a whole GPU works on them:
 *
 *     update           for i: r0 = sum …      update_partial    for chunk:
 *                      for i: store …                               for i: r0 = sum …
 *                                                                   partial[chunk] = r0
 *                                             update            for c: r0 = sum partial[c]
 *                                                               for i: store …
 *
 * Each reducing stage ends a kernel NAME_partial, which also has the stages before it; the kernels
 * behind it begin with folds of what it left. Chunks are a matter of the extents alone. */
#include <assert.h>

#include "compiler/kernel/schedule.h"

enum { LEAST_CHUNK = 1024 };

typedef struct {
    StepProgram *program;
    Arena *arena;
    const Kernel *whole;
    KernelList *done;
    BufferList *partials; /* per stage of the whole: of its reductions */
    uint32_t axis;        /* that is cut */
    int64_t length, chunks;
} Splitter;

/* ---- what to cut ---- */

static bool is_gathered(const Kernel *kernel, uint32_t axis) {
    for (uint32_t e = 0; e < kernel->exprs.count; e++)
        if (kernel->exprs.at[e].kind == X_LOAD && kernel->exprs.at[e].gather == (int)axis)
            return true;
    return false;
}

/* The longest axis, that which the data set's rows are picked along left out; -1: none is longer
 * than 1. */
static int longest_axis(const Kernel *kernel) {
    int longest = -1;
    for (uint32_t i = 0; i < kernel->axis_count; i++) {
        if (is_gathered(kernel, i) || kernel->axes[i].extent == 1) continue;
        if (longest < 0 || kernel->axes[i].extent > kernel->axes[longest].extent) longest = (int)i;
    }
    return longest;
}

static int64_t point_count(const Kernel *kernel) {
    int64_t points = 1;
    for (uint32_t i = 0; i < kernel->axis_count; i++) points *= kernel->axes[i].extent;
    return points;
}

static bool reduces(const Kernel *kernel) {
    for (uint32_t s = 0; s < kernel->stages.count; s++)
        if (kernel->stages.at[s].reductions.count) return true;
    return false;
}

/* Powers of two, of LEAST_CHUNK points at least. */
static bool choose_chunks(Splitter *s) {
    const Kernel *kernel = s->whole;
    int64_t points = point_count(kernel);
    int axis = longest_axis(kernel);
    if (kernel->outer_count || !reduces(kernel) || points <= SPLIT_LEAST || axis < 0) return false;
    int64_t extent = kernel->axes[axis].extent, across = points / extent;
    s->axis = (uint32_t)axis;
    s->length = 1;
    while (s->length * across < LEAST_CHUNK) s->length *= 2;
    while ((extent + s->length - 1) / s->length > SPLIT_MOST_CHUNKS) s->length *= 2;
    s->chunks = (extent + s->length - 1) / s->length;
    return s->chunks > 1 && kernel->axis_count + 2 <= MAX_AXES;
}

/* ---- parts of the kernel ---- */

static bool name_is_taken(const Splitter *s, const char *name) {
    for (uint32_t i = 0; i < s->program->kernels.count; i++)
        if (!strcmp(s->program->kernels.at[i]->name, name)) return true;
    for (uint32_t i = 0; i < s->done->count; i++)
        if (!strcmp(s->done->at[i]->name, name)) return true;
    return false;
}

static const char *partial_name(Splitter *s) {
    const char *name = arena_printf(s->arena, "%s_partial", s->whole->name);
    for (uint32_t i = 2; name_is_taken(s, name); i++)
        name = arena_printf(s->arena, "%s_partial_%u", s->whole->name, i);
    return name;
}

static void move_affine(const Splitter *s, Affine *at) {
    Affine moved = {.offset = at->offset};
    moved.coeff[0] = at->coeff[s->axis] * s->length;
    for (uint32_t i = 0; i < s->whole->axis_count; i++) moved.coeff[i + 1] = at->coeff[i];
    *at = moved;
}

static int add_expr(const Splitter *s, Kernel *kernel, Expr expr) {
    vec_push(s->arena, &kernel->exprs, expr);
    return (int)kernel->exprs.count - 1;
}

static Expr leaf(ExprKind kind, Elem elem, Span span) {
    return (Expr){.kind = kind,
                  .elem = elem,
                  .in = {-1, -1, -1},
                  .gather = -1,
                  .guard = -1,
                  .lookup = -1,
                  .span = span};
}

/* The whole's expressions and axes; of a part that works on chunks their number comes first. */
static Kernel *part_new(const Splitter *s, const char *name, bool chunked) {
    const Kernel *whole = s->whole;
    Kernel *part = arena_alloc(s->arena, sizeof *part);
    *part = (Kernel){.name = name,
                     .axis_count = whole->axis_count + chunked,
                     .outer_count = chunked,
                     .header = whole->header,
                     .index = whole->index,
                     .generate = whole->generate,
                     .lanes = 1,
                     .places = whole->places,
                     .fused = whole->fused};
    for (uint32_t i = 0; i < whole->axis_count; i++) part->axes[i + chunked] = whole->axes[i];
    if (chunked) {
        Axis *cut = &part->axes[s->axis + 1];
        part->axes[0] = (Axis){.name = "chunk", .extent = s->chunks};
        *cut = (Axis){.name = cut->name, .extent = s->length, .chunks = 1, .whole = cut->extent};
    }
    for (uint32_t e = 0; e < whole->exprs.count; e++) {
        Expr x = whole->exprs.at[e];
        if (chunked) move_affine(s, &x.at);
        if (chunked && x.gather >= 0) x.gather++;
        add_expr(s, part, x);
    }
    return part;
}

/* ---- which earlier stages a part needs ---- */

static uint64_t results_below(const Kernel *kernel, int expr, bool *seen) {
    const Expr *x = &kernel->exprs.at[expr];
    if (seen[expr]) return 0;
    seen[expr] = true;
    uint64_t stages = x->kind == X_RESULT ? (uint64_t)1 << x->index : 0;
    for (int i = 0; i < 3; i++)
        if (x->in[i] >= 0) stages |= results_below(kernel, x->in[i], seen);
    if (x->guard >= 0) stages |= results_below(kernel, x->guard, seen);
    return x->lookup >= 0 ? stages | results_below(kernel, x->lookup, seen) : stages;
}

static uint64_t results_of(const Splitter *s, uint32_t from, uint32_t to) {
    bool *seen = arena_alloc(s->arena, s->whole->exprs.count + 1);
    uint64_t stages = 0;
    for (uint32_t t = from; t < to; t++) {
        const Stage *stage = &s->whole->stages.at[t];
        for (uint32_t i = 0; i < stage->reductions.count; i++)
            stages |= results_below(s->whole, stage->reductions.at[i].value, seen);
        for (uint32_t i = 0; i < stage->stores.count; i++)
            stages |= results_below(s->whole, stage->stores.at[i].value, seen);
    }
    return stages;
}

/* ---- stages ---- */

/* c: r = sum (or max) of partial[c], for each reduction of the whole's stage `number`. */
static void add_fold(const Splitter *s, Kernel *part, uint32_t number, uint32_t axis) {
    const Stage *whole = &s->whole->stages.at[number];
    Stage fold = {.inner = 1u << axis, .vector_axis = -1};
    for (uint32_t i = 0; i < whole->reductions.count; i++) {
        const Reduction *reduction = &whole->reductions.at[i];
        Buffer *partial = s->partials[number].at[i];
        Expr load = leaf(X_LOAD, partial->elem, s->whole->exprs.at[reduction->value].span);
        load.buffer = partial;
        load.at.coeff[axis] = 1;
        int value = add_expr(s, part, load);
        vec_push(s->arena, &fold.reductions, (Reduction){reduction->op, value});
    }
    vec_push(s->arena, &part->stages, fold);
}

static void add_stage(const Splitter *s, Kernel *part, uint32_t number, bool chunked) {
    const Stage *whole = &s->whole->stages.at[number];
    Stage stage = {.inner = whole->inner << chunked, .vector_axis = -1};
    for (uint32_t i = 0; i < whole->reductions.count; i++)
        vec_push(s->arena, &stage.reductions, whole->reductions.at[i]);
    for (uint32_t i = 0; i < whole->stores.count; i++) {
        Store store = whole->stores.at[i];
        if (chunked) move_affine(s, &store.at);
        vec_push(s->arena, &stage.stores, store);
    }
    vec_push(s->arena, &part->stages, stage);
}

/* The whole's stages from `from` on, below `to`, behind folds of what they need. */
static void fill_part(const Splitter *s, Kernel *part, uint32_t from, uint32_t to, bool chunked) {
    uint32_t moved[64] = {0}, axis = part->axis_count;
    uint64_t needed = results_of(s, from, to) & (((uint64_t)1 << from) - 1);
    if (needed) part->axes[part->axis_count++] = (Axis){.name = "c", .extent = s->chunks};
    for (uint32_t t = 0; t < to; t++) {
        if (t < from && !(needed >> t & 1)) continue;
        moved[t] = part->stages.count;
        if (t < from)
            add_fold(s, part, t, axis);
        else
            add_stage(s, part, t, chunked);
    }
    for (uint32_t e = 0; e < s->whole->exprs.count; e++)
        if (part->exprs.at[e].kind == X_RESULT)
            part->exprs.at[e].index = moved[part->exprs.at[e].index];
}

/* New buffers for the results of the part's last stage, the whole's stage `number`, by chunk. */
static void store_partials(const Splitter *s, Kernel *part, uint32_t number) {
    const Stage *whole = &s->whole->stages.at[number];
    uint32_t last = part->stages.count - 1;
    Stage rest = {.vector_axis = -1};
    for (uint32_t i = 0; i < whole->reductions.count; i++) {
        const Expr *value = &s->whole->exprs.at[whole->reductions.at[i].value];
        Buffer *buffer = arena_alloc(s->arena, sizeof *buffer);
        *buffer = (Buffer){.id = s->program->buffers.count,
                           .name = arena_printf(s->arena, "%s.%u", part->name, i),
                           .elem = value->elem,
                           .count = s->chunks,
                           .space = SPACE_SCRATCH};
        vec_push(s->arena, &s->program->buffers, buffer);
        vec_push(s->arena, &s->partials[number], buffer);
        Expr result = leaf(X_RESULT, value->elem, value->span);
        result.index = last;
        result.word = i;
        Store store = {.buffer = buffer, .value = add_expr(s, part, result)};
        store.at.coeff[0] = 1;
        vec_push(s->arena, &rest.stores, store);
    }
    vec_push(s->arena, &part->stages, rest);
}

/* ---- what a part does not use ---- */

static void mark(const Kernel *kernel, int expr, int *moved) {
    if (expr < 0 || moved[expr] >= 0) return;
    moved[expr] = 0;
    for (int i = 0; i < 3; i++) mark(kernel, kernel->exprs.at[expr].in[i], moved);
    mark(kernel, kernel->exprs.at[expr].guard, moved);
    mark(kernel, kernel->exprs.at[expr].lookup, moved);
}

static void drop_exprs(const Splitter *s, Kernel *part) {
    int *moved = arena_alloc(s->arena, (part->exprs.count + 1) * sizeof *moved);
    for (uint32_t e = 0; e < part->exprs.count; e++) moved[e] = -1;
    for (uint32_t t = 0; t < part->stages.count; t++) {
        Stage *stage = &part->stages.at[t];
        for (uint32_t i = 0; i < stage->reductions.count; i++)
            mark(part, stage->reductions.at[i].value, moved);
        for (uint32_t i = 0; i < stage->stores.count; i++)
            mark(part, stage->stores.at[i].value, moved);
    }
    uint32_t count = 0;
    for (uint32_t e = 0; e < part->exprs.count; e++) {
        if (moved[e] < 0) continue;
        Expr x = part->exprs.at[e];
        for (int i = 0; i < 3; i++)
            if (x.in[i] >= 0) x.in[i] = moved[x.in[i]];
        if (x.guard >= 0) x.guard = moved[x.guard];
        if (x.lookup >= 0) x.lookup = moved[x.lookup];
        moved[e] = (int)count;
        part->exprs.at[count++] = x;
    }
    part->exprs.count = count;
    for (uint32_t t = 0; t < part->stages.count; t++) {
        Stage *stage = &part->stages.at[t];
        for (uint32_t i = 0; i < stage->reductions.count; i++)
            stage->reductions.at[i].value = moved[stage->reductions.at[i].value];
        for (uint32_t i = 0; i < stage->stores.count; i++)
            stage->stores.at[i].value = moved[stage->stores.at[i].value];
    }
}

static bool touches(const Kernel *kernel, const Buffer *buffer) {
    for (uint32_t e = 0; e < kernel->exprs.count; e++) {
        const Expr *x = &kernel->exprs.at[e];
        if (x->kind == X_LOAD && x->buffer == buffer) return true;
        if (buffer == kernel->header && (x->kind == X_STEP || x->kind == X_RANDOM)) return true;
        if (buffer == kernel->index && x->kind == X_LOAD && x->gather >= 0) return true;
    }
    for (uint32_t t = 0; t < kernel->stages.count; t++)
        for (uint32_t i = 0; i < kernel->stages.at[t].stores.count; i++)
            if (kernel->stages.at[t].stores.at[i].buffer == buffer) return true;
    return false;
}

static void keep_buffers(const Splitter *s, Kernel *part) {
    if (part->header && !touches(part, part->header)) part->header = NULL;
    if (part->index && !touches(part, part->index)) part->index = NULL;
    for (uint32_t i = 0; i < s->whole->buffers.count; i++)
        if (touches(part, s->whole->buffers.at[i]))
            vec_push(s->arena, &part->buffers, s->whole->buffers.at[i]);
    for (uint32_t t = 0; t < s->whole->stages.count; t++)
        for (uint32_t i = 0; i < s->partials[t].count; i++)
            if (touches(part, s->partials[t].at[i]))
                vec_push(s->arena, &part->buffers, s->partials[t].at[i]);
}

/* Axes that no stage loops over any more, from the last one on; those behind them move up. */
static void drop_axes(Kernel *part) {
    uint32_t used = (1u << part->outer_count) - 1;
    for (uint32_t t = 0; t < part->stages.count; t++) used |= part->stages.at[t].inner;
    for (uint32_t axis = part->axis_count; axis-- > 0;) {
        if (used >> axis & 1) continue;
        uint32_t low = (1u << axis) - 1;
        part->axis_count--;
        for (uint32_t i = axis; i < part->axis_count; i++) part->axes[i] = part->axes[i + 1];
        for (uint32_t t = 0; t < part->stages.count; t++) {
            Stage *stage = &part->stages.at[t];
            stage->inner = (stage->inner & low) | (stage->inner >> 1 & ~low);
            for (uint32_t i = 0; i < stage->stores.count; i++)
                memmove(&stage->stores.at[i].at.coeff[axis],
                        &stage->stores.at[i].at.coeff[axis + 1],
                        (MAX_AXES - 1 - axis) * sizeof(int64_t));
        }
        for (uint32_t e = 0; e < part->exprs.count; e++) {
            Expr *x = &part->exprs.at[e];
            memmove(&x->at.coeff[axis], &x->at.coeff[axis + 1],
                    (MAX_AXES - 1 - axis) * sizeof(int64_t));
            if (x->gather > (int)axis) x->gather--;
        }
    }
}

static void finish_part(const Splitter *s, Kernel *part) {
    drop_exprs(s, part);
    drop_axes(part);
    keep_buffers(s, part);
    kernel_count_work(part, s->arena);
    vec_push(s->arena, s->done, part);
}

/* ---- all kernels ---- */

static void split(Splitter *s) {
    uint32_t count = s->whole->stages.count, from = 0;
    s->partials = arena_alloc(s->arena, count * sizeof *s->partials);
    for (uint32_t t = 0; t < count; t++) {
        if (!s->whole->stages.at[t].reductions.count) continue;
        Kernel *part = part_new(s, partial_name(s), true);
        fill_part(s, part, from, t + 1, true);
        store_partials(s, part, t);
        finish_part(s, part);
        from = t + 1;
    }
    if (from == count) return; /* nobody reads the last results */
    Kernel *part = part_new(s, s->whole->name, false);
    fill_part(s, part, from, count, false);
    finish_part(s, part);
}

void schedule_cuda_split(StepProgram *program, Arena *arena) {
    KernelList done = {0};
    for (uint32_t i = 0; i < program->kernels.count; i++) {
        Splitter s = {.program = program, .arena = arena, .whole = program->kernels.at[i]};
        s.done = &done;
        if (!s.whole->plane && !s.whole->stages.at[0].contraction && choose_chunks(&s))
            split(&s);
        else
            vec_push(arena, &done, program->kernels.at[i]);
    }
    program->kernels = done;
}
