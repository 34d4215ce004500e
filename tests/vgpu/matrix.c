/* ldmatrix and stmatrix: 8 x 8 matrices of 16-bit elements between shared memory and a warp's
 * registers. Lanes 8 j to 8 j + 7 give the addresses of the rows of matrix j, 16 bytes each; lane l
 * holds the elements 2 (l % 4) and the next of row l / 4, or of column l / 4 when transposed. */
#include "tests/vgpu/engine.h"

#include <string.h>

enum { ROWS = 8, ROW_BYTES = 16 };

static bool check_rows(Machine *machine, Access *access, Warp *warp, const Instr *instr,
                       Direction direction) {
    access->warp = warp;
    access->instr = instr;
    access->direction = direction;
    access->touch = TOUCH_PLAIN;
    access->bytes = access->align = ROW_BYTES;
    access->space = S_SHARED;
    access->mask = instr->vector == 4 ? UINT32_MAX : (1u << (ROWS * instr->vector)) - 1;
    access_addresses(access, &instr->address, instr->address_wide, instr->displacement);
    Pattern *pattern = &machine->patterns[machine->pattern_of[instr - machine->code]];
    if (!access_check(machine, access, pattern)) return false;
    for (uint32_t l = 0; access->contiguous && l < LANES; l++)
        access->data[l] = access->data[0] + (size_t)l * ROW_BYTES;
    return true;
}

/* Where the element of lane's pair lies: `second` of matrix `index`. */
static unsigned char *element(const Access *access, uint32_t index, uint32_t lane,
                              uint32_t second) {
    const uint32_t major = lane / 4, minor = 2 * (lane % 4) + second;
    const bool transpose = access->instr->transpose;
    return access->data[ROWS * index + (transpose ? minor : major)] +
           2 * (transpose ? major : minor);
}

bool matrix_load(Machine *machine, Warp *warp, const Instr *instr) {
    Access access;
    if (!check_rows(machine, &access, warp, instr, TO_READ)) return false;
    uint32_t result[4][LANES];
    for (uint32_t i = 0; i < instr->vector; i++)
        for (uint32_t lane = 0; lane < LANES; lane++) {
            uint16_t pair[2];
            memcpy(&pair[0], element(&access, i, lane, 0), 2);
            memcpy(&pair[1], element(&access, i, lane, 1), 2);
            result[i][lane] = (uint32_t)pair[1] << 16 | pair[0];
        }
    for (uint32_t i = 0; i < instr->vector; i++)
        memcpy(warp->registers + instr->d[i].at, result[i], sizeof result[i]);
    return true;
}

bool matrix_store(Machine *machine, Warp *warp, const Instr *instr) {
    Access access;
    if (!check_rows(machine, &access, warp, instr, TO_WRITE)) return false;
    for (uint32_t i = 0; i < instr->vector; i++) {
        const uint32_t *row = operand_row(&instr->s[i], warp->registers);
        for (uint32_t lane = 0; lane < LANES; lane++) {
            const uint16_t low = (uint16_t)row[lane], high = (uint16_t)(row[lane] >> 16);
            memcpy(element(&access, i, lane, 0), &low, 2);
            memcpy(element(&access, i, lane, 1), &high, 2);
        }
    }
    access_mark_written(&access);
    return true;
}
