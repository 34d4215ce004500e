/* One scratch arena: each buffer lives from the first kernel that touches it to the last, and gets
 * the tightest gap among those alive with it, largest buffers first within a kernel. */
#include "compiler/kernel/kernel.h"

#include <assert.h>
#include <inttypes.h>

enum { ALIGN = 64 };

typedef struct {
    Buffer *buffer;
    uint32_t first, last; /* kernels */
    int64_t bytes;        /* rounded up */
    bool placed;
} Life;
typedef Vec(Life) LifeList;

static bool touches(const Kernel *kernel, const Buffer *buffer) {
    for (uint32_t i = 0; i < kernel->buffers.count; i++)
        if (kernel->buffers.at[i] == buffer) return true;
    return false;
}

static LifeList find_lives(const StepProgram *program, Arena *arena) {
    LifeList lives = {0};
    for (uint32_t b = 0; b < program->buffers.count; b++) {
        Buffer *buffer = program->buffers.at[b];
        if (buffer->space != SPACE_SCRATCH) continue;
        Life life = {.buffer = buffer, .first = UINT32_MAX};
        for (uint32_t k = 0; k < program->kernels.count; k++) {
            if (!touches(program->kernels.at[k], buffer)) continue;
            if (life.first == UINT32_MAX) life.first = k;
            life.last = k;
        }
        if (life.first == UINT32_MAX) continue;
        life.bytes = (buffer->count * elem_bytes(buffer->elem) + ALIGN - 1) / ALIGN * ALIGN;
        vec_push(arena, &lives, life);
    }
    return lives;
}

static bool meet(const Life *a, const Life *b) {
    return a->first <= b->last && b->first <= a->last;
}

/* The end of the lowest-lying neighbour that [offset, offset + bytes) runs into; 0: none. */
static int64_t collision(const LifeList *lives, const Life *life, int64_t offset) {
    int64_t end = 0;
    for (uint32_t i = 0; i < lives->count; i++) {
        const Life *other = &lives->at[i];
        if (!other->placed || !meet(life, other)) continue;
        int64_t start = other->buffer->offset, stop = start + other->bytes;
        if (start < offset + life->bytes && offset < stop && (!end || stop < end)) end = stop;
    }
    return end;
}

static int64_t gap_after(const LifeList *lives, const Life *life, int64_t offset) {
    int64_t next = INT64_MAX;
    for (uint32_t i = 0; i < lives->count; i++) {
        const Life *other = &lives->at[i];
        if (other->placed && meet(life, other) && other->buffer->offset >= offset &&
            other->buffer->offset < next)
            next = other->buffer->offset;
    }
    return next == INT64_MAX ? next : next - offset;
}

/* Best fit: candidates are 0 and the ends of the neighbours. */
static int64_t best_offset(const LifeList *lives, const Life *life) {
    int64_t best = -1, best_gap = INT64_MAX;
    for (uint32_t i = 0; i <= lives->count; i++) {
        int64_t offset = 0;
        if (i < lives->count) {
            const Life *other = &lives->at[i];
            if (!other->placed || !meet(life, other)) continue;
            offset = other->buffer->offset + other->bytes;
        }
        if (collision(lives, life, offset)) continue;
        int64_t gap = gap_after(lives, life, offset);
        if (best < 0 || gap < best_gap || (gap == best_gap && offset < best)) {
            best = offset;
            best_gap = gap;
        }
    }
    return best;
}

/* Long lives first, then large ones, then by number: what lives long should not leave holes. */
static bool goes_before(const Life *a, const Life *b) {
    uint32_t a_span = a->last - a->first, b_span = b->last - b->first;
    if (a->bytes != b->bytes) return a->bytes > b->bytes;
    if (a_span != b_span) return a_span > b_span;
    return a->buffer->id < b->buffer->id;
}

void plan(StepProgram *program, Arena *arena) {
    LifeList lives = find_lives(program, arena);
    program->scratch_bytes = 0;
    for (uint32_t round = 0; round < lives.count; round++) {
        Life *next = NULL;
        for (uint32_t i = 0; i < lives.count; i++)
            if (!lives.at[i].placed && (!next || goes_before(&lives.at[i], next)))
                next = &lives.at[i];
        next->buffer->offset = best_offset(&lives, next);
        assert(next->buffer->offset >= 0);
        next->placed = true;
        int64_t end = next->buffer->offset + next->bytes;
        if (end > program->scratch_bytes) program->scratch_bytes = end;
    }
}

/* ---- verification ---- */

static bool is_workspace(const StepProgram *program, const Buffer *buffer) {
    for (uint32_t k = 0; k < program->kernels.count; k++) {
        const Kernel *kernel = program->kernels.at[k];
        const Contraction *c = kernel->stages.count ? kernel->stages.at[0].contraction : NULL;
        if (c && (c->pack_a == buffer || c->pack_b == buffer || c->sums == buffer)) return true;
        for (uint32_t i = 0; kernel->plane && i < kernel->plane->leaves.count; i++)
            if (kernel->plane->leaves.at[i].panels == buffer) return true;
    }
    return false;
}

/* Iterations of a stage; of an axis that was cut into chunks the whole, once. */
static int64_t iterations(const Kernel *kernel, const Stage *stage) {
    uint32_t axes = ((1u << kernel->outer_count) - 1) | stage->inner;
    int64_t count = 1;
    for (uint32_t a = 0; a < kernel->axis_count; a++) {
        const Axis *axis = &kernel->axes[a];
        if (!(axes >> a & 1) || !axis->chunks) continue;
        axes &= ~(1u << a | 1u << (axis->chunks - 1));
        count *= axis->whole;
    }
    for (uint32_t a = 0; a < kernel->axis_count; a++)
        if (axes >> a & 1) count *= kernel->axes[a].extent;
    return count;
}

/* Rows, or rows and places of a sum. */
static int64_t plane_stores(const Kernel *kernel, const Store *store) {
    int64_t count = 1;
    for (uint32_t a = 0; a < kernel->axis_count; a++)
        if (a < kernel->outer_count || a == kernel->plane->m || store->at.coeff[a])
            count *= kernel->axes[a].extent;
    return count;
}

static int64_t stored_count(const Kernel *kernel, const Buffer *buffer) {
    int64_t count = 0;
    for (uint32_t s = 0; s < kernel->stages.count; s++) {
        const Stage *stage = &kernel->stages.at[s];
        for (uint32_t i = 0; i < stage->stores.count; i++) {
            if (stage->stores.at[i].buffer == buffer) count += iterations(kernel, stage);
        }
    }
    for (uint32_t i = 0; kernel->plane && i < kernel->plane->stores.count; i++)
        if (kernel->plane->stores.at[i].buffer == buffer)
            count += plane_stores(kernel, &kernel->plane->stores.at[i]);
    return count;
}

static bool loads(const Kernel *kernel, const Buffer *buffer) {
    for (uint32_t e = 0; e < kernel->exprs.count; e++)
        if (kernel->exprs.at[e].kind == X_LOAD && kernel->exprs.at[e].buffer == buffer) return true;
    return false;
}

static const char *verify_scratch(const StepProgram *program, const LifeList *lives, Arena *arena) {
    for (uint32_t i = 0; i < lives->count; i++) {
        const Life *life = &lives->at[i];
        const Buffer *buffer = life->buffer;
        if (buffer->offset % ALIGN || buffer->offset < 0 ||
            buffer->offset + life->bytes > program->scratch_bytes)
            return arena_printf(arena, "buffer '%s' lies outside the scratch block", buffer->name);
        for (uint32_t j = 0; j < i; j++) {
            const Life *other = &lives->at[j];
            if (meet(life, other) && buffer->offset < other->buffer->offset + other->bytes &&
                other->buffer->offset < buffer->offset + life->bytes)
                return arena_printf(arena, "buffers '%s' and '%s' are alive at once and overlap",
                                    buffer->name, other->buffer->name);
        }
        if (is_workspace(program, buffer)) continue;
        int64_t written = 0;
        for (uint32_t k = 0; k < program->kernels.count; k++) {
            const Kernel *kernel = program->kernels.at[k];
            written += stored_count(kernel, buffer);
            if (loads(kernel, buffer) && written < buffer->count)
                return arena_printf(arena,
                                    "kernel '%s' reads '%s', of which %" PRId64 " of %" PRId64
                                    " elements are written",
                                    kernel->name, buffer->name, written, buffer->count);
        }
        if (written != buffer->count)
            return arena_printf(arena, "'%s' has %" PRId64 " elements and gets %" PRId64 " stores",
                                buffer->name, buffer->count, written);
    }
    return NULL;
}

static bool overlap(const Buffer *a, const Buffer *b) {
    return a->offset < b->offset + b->count * elem_bytes(b->elem) &&
           b->offset < a->offset + a->count * elem_bytes(a->elem);
}

/* What an earlier kernel wrote into the trial's block is not read again: it would be the new value.
 */
static const char *verify_trial(const StepProgram *program, Arena *arena) {
    for (uint32_t w = 0; w < program->kernels.count; w++)
        for (uint32_t b = 0; b < program->kernels.at[w]->buffers.count; b++) {
            const Buffer *written = program->kernels.at[w]->buffers.at[b];
            if (written->space != SPACE_TRIAL || !stored_count(program->kernels.at[w], written))
                continue;
            for (uint32_t r = w + 1; r < program->kernels.count; r++)
                for (uint32_t i = 0; i < program->kernels.at[r]->buffers.count; i++) {
                    const Buffer *read = program->kernels.at[r]->buffers.at[i];
                    if (read->space == SPACE_TRIAL && read != program->kernels.at[r]->header &&
                        loads(program->kernels.at[r], read) && overlap(read, written))
                        return arena_printf(
                            arena, "kernel '%s' reads '%s' after '%s' has overwritten it",
                            program->kernels.at[r]->name, read->name, program->kernels.at[w]->name);
                }
        }
    return NULL;
}

const char *plan_verify(const StepProgram *program, Arena *arena) {
    LifeList lives = find_lives(program, arena);
    for (uint32_t k = 0; k < program->kernels.count; k++)
        for (uint32_t i = 0; i < k; i++)
            if (!strcmp(program->kernels.at[i]->name, program->kernels.at[k]->name))
                return arena_printf(arena, "two kernels are called '%s'",
                                    program->kernels.at[k]->name);
    const char *problem = verify_scratch(program, &lives, arena);
    return problem ? problem : verify_trial(program, arena);
}
