/* The shape of a warp access, and what it costs on a card: 32-byte sectors of global memory, passes
 * over the 32 banks of shared memory. An instruction's shape seldom changes, so it is worked out
 * once and compared from then on. */
#include "tests/vgpu/engine.h"

#include <string.h>

enum { SECTOR = 32, BANKS = 32, BANK_BYTES = 4 };

void pattern_learn(Pattern *pattern, const int64_t offset[LANES], uint32_t mask, uint32_t bytes) {
    memcpy(pattern->offset, offset, sizeof pattern->offset);
    pattern->mask = mask;
    pattern->bytes = bytes;
    pattern->low = pattern->high = 0;
    pattern->bits = 0;
    pattern->phase = UINT32_MAX;
    pattern->leaders = 0;
    pattern->contiguous = mask == UINT32_MAX;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        if (offset[lane] < pattern->low) pattern->low = offset[lane];
        if (offset[lane] > pattern->high) pattern->high = offset[lane];
        if (offset[lane] != (int64_t)lane * bytes) pattern->contiguous = false;
        pattern->bits |= (uint64_t)offset[lane];
    }
    pattern->dense = pattern->high - pattern->low <= (int64_t)LANES * bytes;
}

void pattern_learn_twins(Pattern *pattern) {
    pattern->leaders = 0;
    memset(pattern->twin, LANES, sizeof pattern->twin);
    for (uint32_t rest = pattern->mask; rest; rest &= rest - 1) {
        const uint32_t lane = first_lane(rest);
        uint32_t same = pattern->leaders;
        while (same && pattern->offset[first_lane(same)] != pattern->offset[lane]) same &= same - 1;
        if (!same)
            pattern->leaders |= 1u << lane;
        else if (pattern->twin[first_lane(same)] == LANES)
            pattern->twin[first_lane(same)] = (uint8_t)lane;
    }
}

uint32_t count_sectors(const Pattern *pattern, uint64_t first) {
    uint64_t sectors[2 * LANES];
    uint32_t count = 0;
    for (uint32_t rest = pattern->mask; rest; rest &= rest - 1) {
        const uint64_t address = first + (uint64_t)pattern->offset[first_lane(rest)];
        for (uint64_t s = address / SECTOR; s <= (address + pattern->bytes - 1) / SECTOR; s++) {
            uint32_t known = count;
            while (known > 0 && sectors[known - 1] != s) known--; /* neighbours are found at once */
            if (known == 0 && count < 2 * LANES) sectors[count++] = s;
        }
    }
    return count;
}

/* Passes for some lanes at once: the bank that has to give the most distinct words decides. */
static uint32_t bank_passes(const Pattern *pattern, uint64_t first, uint32_t mask) {
    int64_t words[BANKS][LANES];
    uint8_t count[BANKS] = {0};
    uint32_t most = 0;
    for (uint32_t rest = mask; rest; rest &= rest - 1) {
        const int64_t from = (int64_t)first + pattern->offset[first_lane(rest)];
        for (int64_t w = from / BANK_BYTES; w <= (from + pattern->bytes - 1) / BANK_BYTES; w++) {
            const uint32_t bank = (uint32_t)w % BANKS;
            uint32_t known = count[bank];
            while (known > 0 && words[bank][known - 1] != w) known--;
            if (known > 0 || count[bank] == LANES) continue;
            words[bank][count[bank]++] = w;
            if (count[bank] > most) most = count[bank];
        }
    }
    return most;
}

uint32_t count_conflicts(const Pattern *pattern, uint64_t first) {
    /* Accesses of 8 and 16 bytes are served half and quarter warps at a time. */
    const uint32_t part = pattern->bytes <= 4 ? 32 : pattern->bytes <= 8 ? 16 : 8;
    uint32_t extra = 0;
    for (uint32_t at = 0; at < LANES; at += part) {
        const uint32_t lanes = (part == 32 ? UINT32_MAX : (1u << part) - 1) << at;
        const uint32_t mask = pattern->mask & lanes;
        if (mask) extra += bank_passes(pattern, first, mask) - 1;
    }
    return extra;
}
