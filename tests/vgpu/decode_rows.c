/* Fewer rows for the registers: PTX names a new register for almost every value, and thousands of
 * rows of a warp do not stay in the processor's caches. Registers whose values are never needed at
 * the same time share a row.
 *
 * Liveness is that of one thread (lanes that are elsewhere have their own part of each row): live
 * sets of the basic blocks, to a fixed point; then linear scan (Poletto and Sarkar, 1999) over
 * intervals that reach from the first to the last instruction where a register is live. */
#include "tests/vgpu/decode.h"

#include <stdlib.h>

typedef struct {
    uint32_t first, end; /* instructions */
    uint32_t next[2], next_count;
    uint64_t *live_in, *live_out, *used, *defined;
} Block;

/* Instruction i reads at 2 i + 1 and writes at 2 i + 2. */
typedef struct {
    uint32_t row, first, last;
} Interval;

typedef struct {
    Decoder *d;
    PtxArena arena; /* of what only this file needs */
    const Row *rows;
    uint32_t row_count, words;
    uint32_t *row_of; /* by offset / 4 */
    Block *blocks;
    uint32_t block_count;
    Interval *intervals;
    uint32_t *new_at;
} Rows;

typedef void Visit(Rows *r, uint32_t row, uint32_t instr, bool is_target, void *context);

static bool is_row(const Operand *operand) {
    return operand->given && !operand->constant;
}

static void visit(Rows *r, uint32_t at, Visit *what, void *context) {
    const Instr *instr = &r->d->instrs[at];
    for (uint32_t i = 0; i < 12; i++)
        if (is_row(&instr->s[i])) what(r, r->row_of[instr->s[i].at / 4], at, false, context);
    if (is_row(&instr->address)) what(r, r->row_of[instr->address.at / 4], at, false, context);
    if (instr->guard >= 0) what(r, r->row_of[instr->guard / 4], at, false, context);
    for (uint32_t i = 0; i < 4; i++)
        if (is_row(&instr->d[i])) what(r, r->row_of[instr->d[i].at / 4], at, true, context);
}

static bool has_bit(const uint64_t *set, uint32_t bit) {
    return set[bit / 64] >> (bit % 64) & 1;
}

static void set_bit(uint64_t *set, uint32_t bit) {
    set[bit / 64] |= UINT64_C(1) << (bit % 64);
}

/* ---- blocks ---- */

static bool ends_block(const Instr *instr) {
    return instr->kind == I_BRANCH || instr->kind == I_EXIT;
}

static void find_blocks(Rows *r, uint32_t *block_of) {
    Decoder *d = r->d;
    uint64_t *leaders = ptx_new(&r->arena, (d->instr_count / 64 + 1) * sizeof *leaders);
    set_bit(leaders, 0);
    for (uint32_t i = 0; i < d->instr_count; i++) {
        if (d->instrs[i].kind == I_BRANCH) set_bit(leaders, d->instrs[i].target);
        if (ends_block(&d->instrs[i]) && i + 1 < d->instr_count) set_bit(leaders, i + 1);
    }
    for (uint32_t i = 0; i < d->instr_count; i++) {
        if (has_bit(leaders, i))
            *PTX_PUSH(&r->arena, r->blocks, r->block_count) = (Block){.first = i};
        r->blocks[r->block_count - 1].end = i + 1;
        block_of[i] = r->block_count - 1;
    }
}

/* What a guard may leave undone does not define. */
static void note_use(Rows *r, uint32_t row, uint32_t at, bool is_target, void *context) {
    Block *block = context;
    if (is_target && r->d->instrs[at].guard < 0)
        set_bit(block->defined, row);
    else if (!is_target && !has_bit(block->defined, row))
        set_bit(block->used, row);
}

static void connect_blocks(Rows *r, const uint32_t *block_of) {
    for (uint32_t b = 0; b < r->block_count; b++) {
        Block *block = &r->blocks[b];
        const Instr *last = &r->d->instrs[block->end - 1];
        bool goes_on = !ends_block(last) || last->guard >= 0;
        if (goes_on && b + 1 < r->block_count) block->next[block->next_count++] = b + 1;
        if (last->kind == I_BRANCH) block->next[block->next_count++] = block_of[last->target];
        uint64_t **sets[] = {&block->live_in, &block->live_out, &block->used, &block->defined};
        for (uint32_t i = 0; i < 4; i++) *sets[i] = ptx_new(&r->arena, r->words * sizeof(uint64_t));
        for (uint32_t at = block->first; at < block->end; at++) visit(r, at, note_use, block);
    }
}

static bool flow(Rows *r, Block *block) {
    bool changed = false;
    for (uint32_t w = 0; w < r->words; w++) {
        uint64_t out = 0;
        for (uint32_t i = 0; i < block->next_count; i++)
            out |= r->blocks[block->next[i]].live_in[w];
        uint64_t in = block->used[w] | (out & ~block->defined[w]);
        changed |= in != block->live_in[w];
        block->live_out[w] = out;
        block->live_in[w] = in;
    }
    return changed;
}

/* ---- intervals ---- */

static void extend(Interval *interval, uint32_t place) {
    if (place < interval->first) interval->first = place;
    if (place > interval->last) interval->last = place;
}

static void note_place(Rows *r, uint32_t row, uint32_t at, bool is_target, void *context) {
    (void)context;
    extend(&r->intervals[row], 2 * at + 1 + is_target);
}

static void find_intervals(Rows *r) {
    r->intervals = ptx_new(&r->arena, r->row_count * sizeof *r->intervals);
    for (uint32_t row = 0; row < r->row_count; row++)
        r->intervals[row] = (Interval){.row = row, .first = UINT32_MAX};
    for (uint32_t b = 0; b < r->block_count; b++) {
        const Block *block = &r->blocks[b];
        for (uint32_t row = 0; row < r->row_count; row++) {
            if (has_bit(block->live_in, row)) extend(&r->intervals[row], 2 * block->first);
            if (has_bit(block->live_out, row)) extend(&r->intervals[row], 2 * block->end);
        }
    }
    for (uint32_t at = 0; at < r->d->instr_count; at++) visit(r, at, note_place, NULL);
    for (uint32_t i = 0; i < r->d->function->special_count; i++) { /* filled when a warp starts */
        Interval *interval = &r->intervals[r->row_of[r->d->function->specials[i].at / 4]];
        interval->first = 0;
        interval->last = UINT32_MAX - 1;
    }
}

static int by_first(const void *a, const void *b) {
    const Interval *x = a, *y = b;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    return x->row < y->row ? -1 : 1;
}

/* ---- slots: rows of one size that are handed out anew ---- */

typedef struct {
    uint32_t *free, free_count, count;
    Interval *active; /* with `row` the slot */
    uint32_t active_count;
} Slots;

static void expire(Slots *slots, uint32_t place) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < slots->active_count; i++) {
        if (slots->active[i].last < place)
            slots->free[slots->free_count++] = slots->active[i].row;
        else
            slots->active[kept++] = slots->active[i];
    }
    slots->active_count = kept;
}

static uint32_t take_slot(Slots *slots, const Interval *interval) {
    expire(slots, interval->first);
    uint32_t slot = slots->free_count ? slots->free[--slots->free_count] : slots->count++;
    slots->active[slots->active_count++] = (Interval){slot, interval->first, interval->last};
    return slot;
}

/* Narrow rows, then wide ones, then predicates. */
enum { NARROW, WIDE, PREDICATE, SIZES };
static const uint32_t slot_bytes[] = {4 * LANES, 8 * LANES, 4};

static uint32_t size_of(const Row *row) {
    return row->bytes == 4 ? PREDICATE : row->bytes == 8 * LANES ? WIDE : NARROW;
}

static void assign(Rows *r) {
    Slots slots[SIZES] = {0};
    uint32_t *slot_of = ptx_new(&r->arena, r->row_count * sizeof *slot_of), start[SIZES], at = 0;
    for (uint32_t i = 0; i < SIZES; i++) {
        slots[i].free = ptx_new(&r->arena, r->row_count * sizeof *slots[i].free);
        slots[i].active = ptx_new(&r->arena, r->row_count * sizeof *slots[i].active);
    }
    qsort(r->intervals, r->row_count, sizeof *r->intervals, by_first);
    for (uint32_t i = 0; i < r->row_count && r->intervals[i].first != UINT32_MAX; i++) {
        uint32_t row = r->intervals[i].row;
        slot_of[row] = take_slot(&slots[size_of(&r->rows[row])], &r->intervals[i]);
    }
    for (uint32_t i = 0; i < SIZES; i++) {
        start[i] = at;
        at += slots[i].count * slot_bytes[i];
    }
    for (uint32_t row = 0; row < r->row_count; row++) {
        uint32_t size = size_of(&r->rows[row]);
        r->new_at[row] = start[size] + slot_of[row] * slot_bytes[size];
    }
    r->d->function->register_bytes = (at + 127) / 128 * 128;
}

static void move_operand(const Rows *r, Operand *operand) {
    if (is_row(operand)) operand->at = r->new_at[r->row_of[operand->at / 4]];
}

static void move_operands(Rows *r) {
    for (uint32_t at = 0; at < r->d->instr_count; at++) {
        Instr *instr = &r->d->instrs[at];
        for (uint32_t i = 0; i < 4; i++) move_operand(r, &instr->d[i]);
        for (uint32_t i = 0; i < 12; i++) move_operand(r, &instr->s[i]);
        move_operand(r, &instr->address);
        if (instr->guard >= 0) instr->guard = (int32_t)r->new_at[r->row_of[instr->guard / 4]];
    }
    for (uint32_t i = 0; i < r->d->function->special_count; i++) {
        SpecialRow *special = &r->d->function->specials[i];
        special->at = r->new_at[r->row_of[special->at / 4]];
    }
}

void decode_share_rows(Decoder *d) {
    Rows r = {.d = d, .rows = d->rows, .row_count = d->row_count, .words = d->row_count / 64 + 1};
    uint32_t *block_of = ptx_new(&r.arena, d->instr_count * sizeof *block_of);
    r.row_of = ptx_new(&r.arena, d->function->register_bytes);
    r.new_at = ptx_new(&r.arena, (d->row_count + 1) * sizeof *r.new_at);
    for (uint32_t row = 0; row < d->row_count; row++) r.row_of[d->rows[row].at / 4] = row;
    find_blocks(&r, block_of);
    connect_blocks(&r, block_of);
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t b = r.block_count; b-- > 0;) changed |= flow(&r, &r.blocks[b]);
    }
    find_intervals(&r);
    assign(&r);
    move_operands(&r);
    ptx_release(&r.arena);
}
