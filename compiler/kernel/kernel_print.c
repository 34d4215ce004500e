/* `tunec emit kernels`, `emit schedule`: a kernel as the drawing in kernel.h; and the canonical
 * text by which equal kernels are found. Expressions are printed inline where they are used once,
 * named where more often. */
#include "compiler/kernel/kernel.h"

#include <inttypes.h>

#include "compiler/graph/graph.h"

typedef struct {
    const Kernel *kernel;
    Text *out;
    bool canonical; /* numbers instead of names */
    uint32_t *uses; /* of each expression */
} Printer;

static void print_affine(Text *out, const Kernel *kernel, const Affine *at, int gather) {
    bool first = true;
    for (uint32_t i = 0; i < kernel->axis_count + kernel->part_count; i++) {
        if (!at->coeff[i]) continue;
        if (!first) text_add(out, " + ");
        if (at->coeff[i] != 1) text_printf(out, "%" PRId64, at->coeff[i]);
        const char *name = kernel->axes[i].name;
        if (gather == (int)i)
            text_printf(out, "index[%s]", name);
        else
            text_add(out, name);
        first = false;
    }
    if (at->offset || first) text_printf(out, "%s%" PRId64, first ? "" : " + ", at->offset);
}

static uint32_t buffer_number(const Kernel *kernel, const Buffer *buffer) {
    const BufferList *list = buffer->space == SPACE_LOCAL ? &kernel->locals : &kernel->buffers;
    for (uint32_t i = 0; i < list->count; i++)
        if (list->at[i] == buffer) return i;
    return UINT32_MAX;
}

static void print_buffer(const Printer *p, const Buffer *buffer) {
    if (!p->canonical)
        text_add(p->out, buffer->name);
    else
        text_printf(p->out, "%s%u", buffer->space == SPACE_LOCAL ? "l" : "b",
                    buffer_number(p->kernel, buffer));
}

static void print_place(const Printer *p, const Buffer *buffer, const Affine *at, int gather) {
    print_buffer(p, buffer);
    text_add(p->out, "[");
    print_affine(p->out, p->kernel, at, gather);
    text_add(p->out, "]");
}

static void print_expr(const Printer *p, int at);

static void print_operand(const Printer *p, int at) {
    const Expr *expr = &p->kernel->exprs.at[at];
    bool leaf = expr->kind == X_CONST || expr->kind == X_AXIS || expr->kind == X_RESULT ||
                expr->kind == X_STEP || expr->kind == X_LEAF || expr->kind == X_ROW ||
                expr->kind == X_SUM;
    if (!leaf && p->uses[at] > 1)
        text_printf(p->out, "e%d", at);
    else
        print_expr(p, at);
}

static void print_op(const Printer *p, const Expr *expr) {
    text_add(p->out, op_info[expr->op].text);
    if (expr->op == OP_MUL && expr->index) text_add(p->out, ".exact");
    if (expr->op == OP_CAST) text_printf(p->out, ".%s", elem_name(expr->elem));
    text_add(p->out, "(");
    for (uint32_t i = 0; i < 3 && expr->in[i] >= 0; i++) {
        if (i) text_add(p->out, ", ");
        print_operand(p, expr->in[i]);
    }
    if (expr->op == OP_SHR || expr->op == OP_ROUND) text_printf(p->out, ", %u", expr->index);
    text_add(p->out, ")");
}

static void print_expr(const Printer *p, int at) {
    const Expr *expr = &p->kernel->exprs.at[at];
    switch (expr->kind) {
    case X_OP: print_op(p, expr); break;
    case X_CONST: text_printf(p->out, "%.17g", expr->number); break;
    case X_LOAD:
        print_buffer(p, expr->buffer);
        text_add(p->out, expr->divide > 1 ? "[(" : "[");
        print_affine(p->out, p->kernel, &expr->at, expr->gather);
        if (expr->divide > 1) text_printf(p->out, ") / %" PRId64, expr->divide);
        if (expr->lookup >= 0) {
            text_printf(p->out, " + %" PRId64 " * ", expr->pitch);
            print_operand(p, expr->lookup);
        }
        text_add(p->out, "]");
        if (expr->guard < 0) break;
        text_add(p->out, " if ");
        print_operand(p, expr->guard);
        break;
    case X_AXIS:
        text_add(p->out, "(");
        print_affine(p->out, p->kernel, &expr->at, -1);
        text_add(p->out, ")");
        break;
    case X_RESULT: text_printf(p->out, "s%u.r%u", expr->index, expr->word); break;
    case X_LEAF: text_printf(p->out, "leaf%u", expr->index); break;
    case X_ROW: text_printf(p->out, "p%u.r%u", expr->index, expr->word); break;
    case X_SUM: text_printf(p->out, "p%u.s%u", expr->index, expr->word); break;
    case X_STEP: text_add(p->out, "step"); break;
    case X_RANDOM:
        text_printf(p->out, "random(site %u, word %u, ", expr->site, expr->word);
        print_affine(p->out, p->kernel, &expr->at, -1);
        if (expr->row) text_printf(p->out, " + %" PRId64 " first", expr->row);
        text_add(p->out, ")");
        break;
    }
}

static void count_use(const Kernel *kernel, uint32_t *uses, int at) {
    if (at < 0 || uses[at]++) return;
    const Expr *expr = &kernel->exprs.at[at];
    for (uint32_t i = 0; i < 3; i++) count_use(kernel, uses, expr->in[i]);
    count_use(kernel, uses, expr->guard);
    count_use(kernel, uses, expr->lookup);
}

static void count_plane_uses(const Kernel *kernel, uint32_t *uses) {
    const Plane *plane = kernel->plane;
    for (uint32_t i = 0; i < plane->leaves.count; i++) {
        count_use(kernel, uses, plane->leaves.at[i].a);
        count_use(kernel, uses, plane->leaves.at[i].b);
    }
    for (uint32_t p = 0; p < plane->passes.count; p++) {
        const PlanePass *pass = &plane->passes.at[p];
        for (uint32_t i = 0; i < pass->reductions.count; i++)
            count_use(kernel, uses, pass->reductions.at[i].value);
        for (uint32_t i = 0; i < pass->sinks.count; i++) {
            count_use(kernel, uses, pass->sinks.at[i].value);
            count_use(kernel, uses, pass->sinks.at[i].b);
        }
    }
    for (uint32_t i = 0; i < plane->stores.count; i++)
        count_use(kernel, uses, plane->stores.at[i].value);
}

static void count_uses(const Kernel *kernel, uint32_t *uses) {
    if (kernel->plane) count_plane_uses(kernel, uses);
    for (uint32_t s = 0; s < kernel->stages.count; s++) {
        const Stage *stage = &kernel->stages.at[s];
        for (uint32_t i = 0; i < stage->reductions.count; i++)
            count_use(kernel, uses, stage->reductions.at[i].value);
        for (uint32_t i = 0; i < stage->stores.count; i++)
            count_use(kernel, uses, stage->stores.at[i].value);
        if (!stage->contraction) continue;
        count_use(kernel, uses, stage->contraction->a);
        count_use(kernel, uses, stage->contraction->b);
    }
}

static void print_axes(const Printer *p, uint32_t set) {
    for (uint32_t i = 0; i < p->kernel->axis_count; i++)
        if (set >> i & 1) text_printf(p->out, " %s", p->kernel->axes[i].name);
}

/* Of the whole kernel, when it is for a GPU. */
static void print_gpu(const Kernel *kernel, Text *out) {
    const GpuSchedule *gpu = &kernel->gpu;
    switch (gpu->form) {
    case GPU_NONE: break;
    case GPU_POINTS: text_printf(out, "points, %u per thread", gpu->points); break;
    case GPU_ROWS: text_printf(out, "rows, %u threads each", gpu->row_threads); break;
    case GPU_COLUMNS: text_printf(out, "columns, %u threads each", gpu->row_threads); break;
    case GPU_CONTRACT:
        text_printf(out, "tile %u x %u x %u, %u x %u per thread", gpu->tile_m, gpu->tile_n,
                    gpu->tile_k, gpu->thread_m, gpu->thread_n);
        break;
    case GPU_PLANE:
        text_printf(out, "plane by %u x %u, k by %u, slices of %u, %u x %u per thread", gpu->tile_m,
                    gpu->tile_n, gpu->tile_k, gpu->slice_n, gpu->thread_m, gpu->thread_n);
        break;
    }
    text_printf(out, ", %u threads, %" PRId64 " blocks, %u bytes shared", gpu->threads, gpu->blocks,
                gpu->shared_bytes);
}

static int64_t block_of(const Printer *p, uint32_t axis, int64_t block) {
    return block ? block : p->kernel->axes[axis].extent;
}

static void print_schedule(const Printer *p, const Stage *stage) {
    const Contraction *c = stage->contraction;
    if (p->kernel->gpu.form != GPU_NONE) return;
    if (stage->vector_axis >= 0)
        text_printf(p->out, "  # vector %s, unroll %u", p->kernel->axes[stage->vector_axis].name,
                    stage->unroll);
    else
        text_add(p->out, "  # scalar");
    if (!c) return;
    text_printf(p->out, ", tile %u x %u", c->tile_m, c->tile_n_vectors);
    if (c->rows_outer) text_add(p->out, ", rows outer");
    if (c->pack_a) text_add(p->out, ", pack a");
    if (c->pack_b) text_add(p->out, c->pack_b_whole ? ", pack all of b" : ", pack b");
    if (c->block_m || c->block_k)
        text_printf(p->out, ", blocks %" PRId64 " x %" PRId64, block_of(p, c->m, c->block_m),
                    block_of(p, c->k, c->block_k));
}

static void print_reductions(const Printer *p, const Reduction *reductions, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        text_printf(p->out, "    r%u = %s ", i, reductions[i].op == OP_SUM ? "sum" : "max");
        print_operand(p, reductions[i].value);
        text_add(p->out, "\n");
    }
}

static void print_stores(const Printer *p, const Store *stores, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        text_add(p->out, "    ");
        print_place(p, stores[i].buffer, &stores[i].at, -1);
        text_add(p->out, " = ");
        print_operand(p, stores[i].value);
        text_add(p->out, "\n");
    }
}

static void print_stage(const Printer *p, uint32_t number, bool scheduled) {
    const Stage *stage = &p->kernel->stages.at[number];
    const char *kind = stage->contraction ? "contract" : stage->reductions.count ? "reduce" : "map";
    text_printf(p->out, "  stage %u  %s", number, kind);
    print_axes(p, stage->inner);
    if (scheduled) print_schedule(p, stage);
    text_add(p->out, "\n");
    if (stage->contraction) {
        text_add(p->out, "    a = ");
        print_expr(p, stage->contraction->a);
        text_add(p->out, "\n    b = ");
        print_expr(p, stage->contraction->b);
        text_add(p->out, "\n");
    }
    print_reductions(p, stage->reductions.at, stage->reductions.count);
    print_stores(p, stage->stores.at, stage->stores.count);
}

static void print_pass(const Printer *p, uint32_t number) {
    const PlanePass *pass = &p->kernel->plane->passes.at[number];
    text_printf(p->out, "  pass %u%s\n", number, pass->online ? "  online" : "");
    print_reductions(p, pass->reductions.at, pass->reductions.count);
    for (uint32_t i = 0; i < pass->sinks.count; i++) {
        text_printf(p->out, "    s%u = sum ", i);
        print_operand(p, pass->sinks.at[i].value);
        text_add(p->out, " * ");
        print_operand(p, pass->sinks.at[i].b);
        text_add(p->out, "\n");
    }
}

static void print_plane(const Printer *p, bool scheduled) {
    const Plane *plane = p->kernel->plane;
    text_add(p->out, "  plane");
    print_axes(p, plane->around | 1u << plane->m | 1u << plane->n);
    if (scheduled && p->kernel->gpu.form == GPU_NONE)
        text_printf(p->out, "  # tile %u x %u", plane->tile_m, plane->tile_n);
    if (plane->masked) {
        text_add(p->out, "  empty where ");
        print_affine(p->out, p->kernel, &plane->beyond, -1);
        text_add(p->out, " > 0");
    }
    text_add(p->out, "\n");
    for (uint32_t i = 0; i < plane->leaves.count; i++) {
        const PlaneLeaf *leaf = &plane->leaves.at[i];
        text_printf(p->out, "    leaf%u = sum over %s of ", i, p->kernel->axes[leaf->k].name);
        print_operand(p, leaf->a);
        text_add(p->out, " * ");
        print_operand(p, leaf->b);
        text_add(p->out, "\n");
    }
    for (uint32_t i = 0; i < plane->passes.count; i++) print_pass(p, i);
    text_add(p->out, "  stores\n");
    print_stores(p, plane->stores.at, plane->stores.count);
}

/* "i=100", or of one that was cut "i=1024(of 135568, axis 0 counts chunks)". */
static void print_axis(const Axis *axis, Text *out) {
    text_printf(out, " %s=%" PRId64, axis->name, axis->extent);
    if (axis->chunks)
        text_printf(out, "(of %" PRId64 ", axis %u counts chunks)", axis->whole, axis->chunks - 1);
}

/* "  kh = k / 48 % 3" */
static void print_part(const Kernel *kernel, const Axis *part, Text *out) {
    text_printf(out, "  %s = %s", part->name, kernel->axes[part->of - 1].name);
    if (part->below > 1) text_printf(out, " / %" PRId64, part->below);
    text_printf(out, " %% %" PRId64, part->extent);
}

static void print_header(const Printer *p) {
    const Kernel *kernel = p->kernel;
    text_printf(p->out, "kernel %s  axes", p->canonical ? "k" : kernel->name);
    for (uint32_t i = 0; i < kernel->axis_count; i++) print_axis(&kernel->axes[i], p->out);
    if (!kernel->axis_count) text_add(p->out, " none");
    for (uint32_t i = 0; i < kernel->part_count; i++)
        print_part(kernel, &kernel->axes[kernel->axis_count + i], p->out);
    text_printf(p->out, "  outer %u", kernel->outer_count);
}

static void print_named(const Printer *p) {
    for (uint32_t e = 0; e < p->kernel->exprs.count; e++) {
        const Expr *expr = &p->kernel->exprs.at[e];
        bool named = expr->kind == X_OP || expr->kind == X_LOAD || expr->kind == X_RANDOM;
        if (!named || p->uses[e] < 2) continue;
        text_printf(p->out, "    e%u = ", e);
        print_expr(p, (int)e);
        text_add(p->out, "\n");
    }
}

static void print_body(const Printer *p, bool scheduled) {
    print_named(p);
    if (p->kernel->plane) print_plane(p, scheduled);
    for (uint32_t s = 0; s < p->kernel->stages.count; s++) print_stage(p, s, scheduled);
}

/* Each file and line once, in order of the members. */
static void print_places(const Kernel *kernel, const Sources *sources, Text *out, Arena *scratch) {
    const char *last = "";
    for (uint32_t i = 0; i < kernel->places.count; i++) {
        const char *place = sources_short_place(sources, kernel->places.at[i], scratch);
        if (!*place || !strcmp(place, last)) continue;
        text_printf(out, "%s%s", *last ? ", " : "  # ", place);
        last = place;
    }
}

void kernel_print(const Kernel *kernel, const Sources *sources, bool scheduled, Text *out) {
    Arena *scratch = arena_new();
    Printer p = {kernel, out, false,
                 arena_alloc(scratch, (kernel->exprs.count + 1) * sizeof(uint32_t))};
    count_uses(kernel, p.uses);
    print_header(&p);
    if (scheduled && kernel->gpu.form == GPU_NONE) text_printf(out, "  lanes %u", kernel->lanes);
    if (scheduled && kernel->gpu.form != GPU_NONE) {
        text_add(out, "  gpu ");
        print_gpu(kernel, out);
    }
    if (sources) print_places(kernel, sources, out, scratch);
    text_add(out, "\n");
    print_body(&p, scheduled);
    arena_free(scratch);
}

/* What the printed body leaves out although the code depends on it. */
static void print_types(const Kernel *kernel, Text *out) {
    for (uint32_t i = 0; i < kernel->buffers.count; i++) {
        const Buffer *buffer = kernel->buffers.at[i];
        text_printf(out, "  b%u %s space %d%s%s%s\n", i, elem_name(buffer->elem),
                    (int)buffer->space,
                    buffer == kernel->header  ? " header"
                    : buffer == kernel->index ? " index"
                                              : "",
                    buffer->uniform ? " uniform" : "",
                    kernel->gpu.form && !kernel_is_aligned(buffer) ? " unaligned" : "");
    }
    for (uint32_t i = 0; i < kernel->locals.count; i++)
        text_printf(out, "  l%u %s[%" PRId64 "]\n", i, elem_name(kernel->locals.at[i]->elem),
                    kernel->locals.at[i]->count);
    for (uint32_t s = 0; s < kernel->stages.count; s++) {
        const Contraction *c = kernel->stages.at[s].contraction;
        if (!c) continue;
        text_printf(out, "  pack %d %d", c->pack_a ? (int)buffer_number(kernel, c->pack_a) : -1,
                    c->pack_b ? (int)buffer_number(kernel, c->pack_b) : -1);
        if (c->pack_a) text_printf(out, " along %u", c->pack_a_along);
        if (c->sums) text_printf(out, " sums %u", buffer_number(kernel, c->sums));
        text_add(out, "\n");
    }
    for (uint32_t i = 0; kernel->plane && i < kernel->plane->leaves.count; i++) {
        const Buffer *panels = kernel->plane->leaves.at[i].panels;
        text_printf(out, "  panels %d\n", panels ? (int)buffer_number(kernel, panels) : -1);
    }
    for (uint32_t e = 0; e < kernel->exprs.count; e++)
        text_printf(out, "%s%s", e ? " " : "  elems ", elem_name(kernel->exprs.at[e].elem));
    text_printf(out, "\n  lanes %u%s\n", kernel->lanes, kernel->generate ? " generate" : "");
    if (kernel->gpu.form == GPU_NONE) return;
    text_add(out, "  gpu ");
    print_gpu(kernel, out);
    text_add(out, "\n");
}

void kernel_signature(const Kernel *kernel, Text *out) {
    Arena *scratch = arena_new();
    Printer p = {kernel, out, true,
                 arena_alloc(scratch, (kernel->exprs.count + 1) * sizeof(uint32_t))};
    count_uses(kernel, p.uses);
    print_header(&p);
    text_add(out, "\n");
    print_types(kernel, out);
    print_body(&p, true);
    arena_free(scratch);
}

static const char *space_name(Space space) {
    static const char *const names[] = {"trial",   "scratch", "field",  "index",
                                        "example", "total",   "metric", "local"};
    return names[space];
}

void plan_print(const StepProgram *program, Text *out) {
    text_printf(out, "program %s  trial block %" PRId64 " bytes, scratch %" PRId64 " bytes%s\n",
                program->name, program->layout.bytes, program->scratch_bytes,
                program->advance ? ", advances the step" : "");
    for (uint32_t i = 0; i < program->buffers.count; i++) {
        const Buffer *buffer = program->buffers.at[i];
        text_printf(out, "  %-7s ", space_name(buffer->space));
        if (buffer->space == SPACE_TRIAL || buffer->space == SPACE_SCRATCH)
            text_printf(out, "%8" PRId64, buffer->offset);
        else
            text_printf(out, "slot %3u", buffer->slot);
        text_printf(out, "  %s[%" PRId64 "]  %s%s\n", elem_name(buffer->elem), buffer->count,
                    buffer->name, buffer->uniform ? "  (once for all trials)" : "");
    }
    for (uint32_t i = 0; i < program->kernels.count; i++) {
        const Kernel *kernel = program->kernels.at[i];
        text_printf(out, "  %2u  %-24s %12.0f flops %10.0f B read %10.0f B written\n", i + 1,
                    kernel->name, kernel->flops, kernel->bytes_read, kernel->bytes_written);
    }
}
