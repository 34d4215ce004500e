/* cp.async: the bytes are fetched at once, and written to shared memory when the thread waits for
 * them: as late as a card may. Until then the target counts as being written. */
#include "tests/vgpu/engine.h"

#include <stdlib.h>
#include <string.h>

static bool add_copy(Machine *machine, Warp *warp, const Copy *copy) {
    if (warp->copy_count == warp->copy_room) {
        const uint32_t room = warp->copy_room ? 2 * warp->copy_room : 4 * LANES;
        Copy *larger = realloc(warp->copies, room * sizeof *larger);
        if (!larger)
            return found(machine, FOUND_TRAP, warp, &machine->code[copy->at], copy->lane,
                         "the virtual GPU is out of memory");
        warp->copies = larger;
        warp->copy_room = room;
    }
    warp->copies[warp->copy_count++] = *copy;
    machine->pending++;
    return true;
}

/* memcpy, with the most frequent size known. */
static inline void move(void *to, const void *from, size_t bytes) {
    if (bytes == 16)
        memcpy(to, from, 16);
    else
        memcpy(to, from, bytes);
}

static inline void set_state(const Machine *machine, const Copy *copy, int state) {
    if (!machine->shared_state) return;
    if (copy->bytes == 16)
        memset(machine->shared_state + copy->to, state, 16);
    else
        memset(machine->shared_state + copy->to, state, copy->bytes);
}

/* Bytes that each lane copies; the rest of instr->bytes is zero. */
static uint32_t source_bytes(const Instr *instr, const Warp *warp, uint32_t lane) {
    if (!instr->s[1].given) return instr->bytes;
    const uint32_t asked = ((const uint32_t *)operand_row(&instr->s[1], warp->registers))[lane];
    return asked < instr->bytes ? asked : instr->bytes;
}

/* Fetches what the lanes copy, lanes with equal counts together. */
static bool fetch(Machine *machine, Warp *warp, const Instr *instr, uint32_t mask, Copy *copies) {
    Access access;
    access.warp = warp;
    access.instr = instr;
    access.direction = TO_READ;
    access.touch = TOUCH_PLAIN;
    access_addresses(&access, &instr->s[0], true, instr->displacement2);
    Pattern *pattern = &machine->patterns[machine->pattern_of[instr - machine->code] + 1];
    for (uint32_t rest = mask; rest;) {
        const uint32_t bytes = source_bytes(instr, warp, first_lane(rest));
        uint32_t same = 0;
        for (uint32_t others = rest; others; others &= others - 1)
            if (source_bytes(instr, warp, first_lane(others)) == bytes)
                same |= 1u << first_lane(others);
        rest &= ~same;
        if (bytes == 0) continue;
        access.mask = same;
        access.space = S_GLOBAL;
        access.bytes = bytes;
        if (!access_check(machine, &access, pattern)) return false;
        for (; same; same &= same - 1) {
            const uint32_t lane = first_lane(same);
            move(copies[lane].data,
                 access.contiguous ? access.data[0] + (size_t)lane * bytes : access.data[lane],
                 bytes);
        }
    }
    return true;
}

bool copy_issue(Machine *machine, Warp *warp, const Instr *instr, uint32_t mask) {
    Access access;
    access.warp = warp;
    access.instr = instr;
    access.direction = TO_WRITE;
    access.touch = TOUCH_ASYNC;
    access.bytes = instr->bytes;
    access.space = S_SHARED;
    access.mask = mask;
    access_addresses(&access, &instr->address, instr->address_wide, instr->displacement);
    if (!access_check(machine, &access,
                      &machine->patterns[machine->pattern_of[instr - machine->code]]))
        return false;
    Copy copies[LANES];
    if (instr->s[1].given) memset(copies, 0, sizeof copies);
    if (!fetch(machine, warp, instr, mask, copies)) return false;
    for (uint32_t rest = mask; rest; rest &= rest - 1) {
        const uint32_t lane = first_lane(rest);
        Copy *copy = &copies[lane];
        copy->to = (uint32_t)access.at[lane];
        copy->group = warp->commits[lane];
        copy->at = (uint32_t)(instr - machine->code);
        copy->lane = (uint8_t)lane;
        copy->bytes = (uint8_t)instr->bytes;
        if (!add_copy(machine, warp, copy)) return false;
        set_state(machine, copy, BYTE_PENDING);
    }
    return true;
}

void copy_commit(Warp *warp, uint32_t mask) {
    for (uint32_t rest = mask; rest; rest &= rest - 1) warp->commits[first_lane(rest)]++;
}

void found_pending(Machine *machine, uint64_t at, uint32_t bytes) {
    for (uint32_t w = 0; w < machine->warp_count; w++) {
        const Warp *warp = &machine->warps[w];
        for (uint32_t i = 0; i < warp->copy_count; i++) {
            const Copy *copy = &warp->copies[i];
            char who[100];
            if (copy->to >= at + bytes || at >= (uint64_t)copy->to + copy->bytes) continue;
            thread_text(machine, w * LANES + copy->lane, who, sizeof who);
            found_more(machine, "copy", "%s issued it here:", who);
            found_place(machine, &machine->code[copy->at]);
            return;
        }
    }
}

static void land(Machine *machine, const Warp *warp, const Copy *copy) {
    move(machine->shared + copy->to, copy->data, copy->bytes);
    set_state(machine, copy, BYTE_WRITTEN);
    if (machine->cells) race_landed(machine, warp, copy);
    machine->pending--;
}

void copy_wait(Machine *machine, Warp *warp, const Instr *instr, uint32_t mask) {
    if (strncmp(instr->opcode, "cp.async.wait_all", 17) == 0) copy_commit(warp, mask);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < warp->copy_count; i++) {
        const Copy *copy = &warp->copies[i];
        const bool waited = mask >> copy->lane & 1;
        if (waited && copy->group + instr->number < warp->commits[copy->lane])
            land(machine, warp, copy);
        else if (kept++ != i)
            warp->copies[kept - 1] = *copy;
    }
    warp->copy_count = kept;
}
