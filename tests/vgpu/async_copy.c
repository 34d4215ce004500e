/* cp.async: the bytes are fetched at once, and written to shared memory when the thread waits for
 * them: as late as a card may. Until then the target counts as being written. */
#include "tests/vgpu/engine.h"

#include <stdlib.h>
#include <string.h>

/* Room for one more copy of each lane. */
static bool make_room(Machine *machine, Warp *warp, const Instr *instr) {
    if (warp->copy_count + LANES <= warp->copy_room) return true;
    const uint32_t room = warp->copy_room ? 2 * warp->copy_room : 4 * LANES;
    Copy *larger = realloc(warp->copies, room * sizeof *larger);
    if (!larger)
        return found(machine, FOUND_TRAP, warp, instr, -1, "the virtual GPU is out of memory");
    warp->copies = larger;
    warp->copy_room = room;
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

/* The place of a lane's copy behind those of the lanes before it. */
static inline uint32_t place_of(uint32_t mask, uint32_t lane) {
    return mask == UINT32_MAX ? lane : lane_count(mask & ((1u << lane) - 1));
}

/* Fetches what the lanes of `mask` copy, lanes with equal counts together. */
static bool fetch(Machine *machine, Warp *warp, const Instr *instr, uint32_t mask, Copy *copies) {
    Access access;
    access.warp = warp;
    access.instr = instr;
    access.direction = TO_READ;
    access.touch = TOUCH_PLAIN;
    access.align = instr->bytes;
    access_addresses(&access, &instr->s[0], true, instr->displacement2);
    Pattern *pattern = &machine->patterns[machine->pattern_of[instr - machine->code] + 1];
    for (uint32_t rest = mask; rest; rest &= ~access.mask) {
        const uint32_t bytes = source_bytes(instr, warp, first_lane(rest));
        access.mask = 0;
        for (uint32_t others = rest; others; others &= others - 1)
            if (source_bytes(instr, warp, first_lane(others)) == bytes)
                access.mask |= 1u << first_lane(others);
        if (bytes == 0) continue;
        access.space = S_GLOBAL;
        access.bytes = bytes;
        if (!access_check(machine, &access, pattern)) return false;
        for (uint32_t same = access.mask; same; same &= same - 1) {
            const uint32_t lane = first_lane(same);
            move(copies[place_of(mask, lane)].data,
                 access.contiguous ? access.data[0] + (size_t)lane * bytes : access.data[lane],
                 bytes);
        }
    }
    return true;
}

LANE_CLONES bool copy_issue(Machine *machine, Warp *warp, const Instr *instr, uint32_t mask) {
    Access access;
    access.warp = warp;
    access.instr = instr;
    access.direction = TO_WRITE;
    access.touch = TOUCH_ASYNC;
    access.bytes = access.align = instr->bytes;
    access.space = S_SHARED;
    access.mask = mask;
    access_addresses(&access, &instr->address, instr->address_wide, instr->displacement);
    if (!access_check(machine, &access,
                      &machine->patterns[machine->pattern_of[instr - machine->code]]) ||
        !make_room(machine, warp, instr))
        return false;
    Copy *copy = &warp->copies[warp->copy_count];
    if (instr->s[1].given) memset(copy, 0, LANES * sizeof *copy);
    if (!fetch(machine, warp, instr, mask, copy)) return false;
    for (uint32_t rest = mask; rest; rest &= rest - 1, copy++) {
        const uint32_t lane = first_lane(rest);
        copy->to = (uint32_t)access.at[lane];
        copy->group = warp->commits[lane];
        copy->at = (uint32_t)(instr - machine->code);
        copy->lane = (uint8_t)lane;
        copy->bytes = (uint8_t)instr->bytes;
        set_state(machine, copy, BYTE_PENDING);
    }
    warp->copy_count += lane_count(mask);
    machine->pending += lane_count(mask);
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
