/* IDX, the format of MNIST (yann.lecun.com/exdb/mnist): two zero bytes, type, rank, the dims as
 * 32-bit numbers, the values; all big-endian. */
#include "runtime/data_reader.h"

#include <stdio.h>

enum {
    IDX_U8 = 0x08,
    IDX_I8 = 0x09,
    IDX_I16 = 0x0B,
    IDX_I32 = 0x0C,
    IDX_F32 = 0x0D,
    IDX_F64 = 0x0E
};

static bool cell_of_type(unsigned char type, Cell *cell) {
    switch (type) {
    case IDX_U8: *cell = CELL_U8; return true;
    case IDX_I8: *cell = CELL_I8; return true;
    case IDX_I16: *cell = CELL_I16; return true;
    case IDX_I32: *cell = CELL_I32; return true;
    case IDX_F32: *cell = CELL_F32; return true;
    case IDX_F64: *cell = CELL_F64; return true;
    default: return false;
    }
}

static bool fail_magic(const Stream *stream, const unsigned char magic[4], Fail *fail) {
    fail_set(fail,
             "'%s' is not an IDX file: it begins with %02x %02x %02x %02x, "
             "not with 00 00, a type and a rank",
             stream_path(stream), magic[0], magic[1], magic[2], magic[3]);
    return fail_help(
        fail, "an IDX file of bytes begins with 00 00 08; is this the file that the field means?");
}

static bool read_idx_header(Stream *stream, ArrayHeader *header, Fail *fail) {
    unsigned char magic[4] = {0}, dims[4 * ARRAY_MAX_RANK];
    uint64_t got;
    if (!stream_read(stream, magic, sizeof magic, &got, fail)) return false;
    if (got < sizeof magic)
        return fail_set(fail, "'%s' is not an IDX file: it is too short", stream_path(stream));
    if (magic[0] != 0 || magic[1] != 0 || !cell_of_type(magic[2], &header->cell) ||
        magic[3] > ARRAY_MAX_RANK)
        return fail_magic(stream, magic, fail);
    header->big_endian = true;
    header->rank = magic[3];
    if (!stream_read(stream, dims, 4 * header->rank, &got, fail)) return false;
    if (got < 4 * header->rank)
        return fail_set(fail, "'%s' is truncated: it ends within its header", stream_path(stream));
    for (uint32_t d = 0; d < header->rank; d++) {
        const unsigned char *dim = dims + 4 * d;
        header->dims[d] = (uint64_t)dim[0] << 24 | dim[1] << 16 | dim[2] << 8 | dim[3];
    }
    return true;
}

bool data_read_idx(DataSet *set, const char *directory, Fail *fail) {
    return data_read_array_files(set, directory, read_idx_header, fail);
}
