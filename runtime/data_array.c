/* Arrays in files: what IDX, NPY, NPZ and safetensors have in common once the header is read.
 *
 * A value goes into the field's type if that can hold it: integers in range, whole numbers from
 * floating-point files into integer fields; what cannot, and what is not finite, is refused with
 * the example's number. Only the rounding of f64, and of large integers, to f32 is silent: it is
 * what the declaration asks for. */
#include "runtime/data_reader.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_VALUES = 2048 };

static const uint8_t cell_bytes[] = {
    [CELL_BOOL] = 1, [CELL_U8] = 1,  [CELL_I8] = 1,  [CELL_U16] = 2, [CELL_I16] = 2,
    [CELL_U32] = 4,  [CELL_I32] = 4, [CELL_U64] = 8, [CELL_I64] = 8, [CELL_F16] = 2,
    [CELL_BF16] = 2, [CELL_F32] = 4, [CELL_F64] = 8};

/* ---- from the file ---- */

/* The bytes of `count` values in this machine's order, which is little-endian. */
static void reverse_bytes(unsigned char *bytes, uint32_t width, uint64_t count) {
    for (uint64_t i = 0; i < count; i++)
        for (uint32_t b = 0; b < width / 2; b++) {
            unsigned char *low = bytes + i * width + b, *high = bytes + (i + 1) * width - 1 - b;
            unsigned char held = *low;
            *low = *high;
            *high = held;
        }
}

/* IEEE 754 binary16: 1 bit of sign, 5 of the exponent, 10 of the fraction. */
static double half_value(uint16_t half) {
    int exponent = half >> 10 & 31, fraction = half & 1023;
    double size = exponent == 31  ? (fraction == 0 ? INFINITY : NAN)
                  : exponent == 0 ? ldexp(fraction, -24)
                                  : ldexp(fraction + 1024, exponent - 25);
    return half >> 15 ? -size : size;
}

/* bfloat16 is the upper half of a float. */
static double bfloat_value(uint16_t upper) {
    uint32_t bits = (uint32_t)upper << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

#define EACH(type, convert)                                                                        \
    for (uint64_t i = 0; i < count; i++) {                                                         \
        type cell_value;                                                                           \
        memcpy(&cell_value, bytes + i * sizeof cell_value, sizeof cell_value);                     \
        values[i] = convert(cell_value);                                                           \
    }                                                                                              \
    return;

/* Every value as a double. Only integers beyond 2^53 are rounded, and no field tells these apart.
 * One loop per type, so that each is a handful of vector instructions. */
void data_decode(const unsigned char *bytes, Cell cell, uint64_t count, double *values) {
    switch (cell) {
    case CELL_BOOL:
        for (uint64_t i = 0; i < count; i++) values[i] = bytes[i] != 0;
        return;
    case CELL_U8: EACH(uint8_t, (double))
    case CELL_I8: EACH(int8_t, (double))
    case CELL_U16: EACH(uint16_t, (double))
    case CELL_I16: EACH(int16_t, (double))
    case CELL_U32: EACH(uint32_t, (double))
    case CELL_I32: EACH(int32_t, (double))
    case CELL_U64: EACH(uint64_t, (double))
    case CELL_I64: EACH(int64_t, (double))
    case CELL_F16: EACH(uint16_t, half_value)
    case CELL_BF16: EACH(uint16_t, bfloat_value)
    case CELL_F32: EACH(float, (double))
    case CELL_F64: EACH(double, (double))
    }
}

#undef EACH

/* ---- a value into a field ---- */

static bool fail_value(const Stream *stream, const TuneField *field, uint64_t example, double value,
                       Fail *fail) {
    const char *path = stream_path(stream);
    if (!isfinite(value)) {
        fail_set(fail, "'%s': example %" PRIu64 " (from 0) has the value %g", path, example, value);
        return fail_help(fail,
                         "training needs finite numbers; replace it or leave the example out");
    }
    if (field->type == TUNE_FIELD_CLASS) {
        fail_set(fail,
                 "'%s': label %.17g of example %" PRIu64 " (from 0) is not one of 0..%" PRId64,
                 path, value, example, field->classes - 1);
        return fail_help(
            fail,
            "labels count from 0; correct the file, or the number of classes in '%s: class[%" PRId64
            "]'",
            field->name, field->classes);
    }
    char shape[DATA_SHAPE_TEXT];
    fail_set(fail, "'%s': value %.17g of example %" PRIu64 " (from 0) does not fit '%s: %s'", path,
             value, example, field->name, data_shape_text(field, shape));
    return fail_help(fail, "declare the field as f32");
}

bool data_store_value(const TuneField *field, double value, void *to, uint64_t at) {
    if (!isfinite(value)) return false;
    if (field->type == TUNE_FIELD_CLASS && !(value >= 0 && value < (double)field->classes))
        return false;
    bool whole = value == floor(value);
    switch (field->elem) {
    case TUNE_BOOL: ((uint8_t *)to)[at] = value != 0; return value == 0 || value == 1;
    case TUNE_U8:
        if (!whole || value < 0 || value > UINT8_MAX) return false;
        ((uint8_t *)to)[at] = (uint8_t)value;
        return true;
    case TUNE_I32:
        if (!whole || value < INT32_MIN || value > INT32_MAX) return false;
        ((int32_t *)to)[at] = (int32_t)value;
        return true;
    case TUNE_U32:
        if (!whole || value < 0 || value > UINT32_MAX) return false;
        ((uint32_t *)to)[at] = (uint32_t)value;
        return true;
    case TUNE_F32: ((float *)to)[at] = (float)value; return isfinite((float)value);
    case TUNE_F64: ((double *)to)[at] = value; return true;
    }
    return false;
}

/* Stores values `first` and following. Returns how many fit until one does not. */
static uint64_t encode(const TuneField *field, const double *values, uint64_t count, void *to,
                       uint64_t first) {
    if (field->elem == TUNE_F32) {
        float *reals = (float *)to + first, zero = 0;
        for (uint64_t i = 0; i < count; i++) {
            reals[i] = (float)values[i];
            zero += reals[i] * 0; /* NaN, once one of them is not finite */
        }
        if (zero == 0) return count;
    }
    uint64_t at = 0;
    while (at < count && data_store_value(field, values[at], to, first + at)) at++;
    return at;
}

/* ---- the whole array ---- */

static bool same_type(Cell cell, const TuneField *field) {
    return cell == CELL_U8 && field->elem == TUNE_U8 && field->type != TUNE_FIELD_CLASS;
}

static bool fail_short(const Stream *stream, Fail *fail) {
    fail_set(fail, "'%s' is truncated: it has fewer values than its header says",
             stream_path(stream));
    return fail_help(fail, "fetch or make the file again");
}

typedef struct {
    Stream *stream;
    const ArrayHeader *header;
    const TuneField *field;
    void *to;
    uint64_t row_values;
} Conversion;

/* Values `first` and following, through a buffer. */
static bool convert_chunk(const Conversion *c, uint64_t first, uint64_t count, Fail *fail) {
    unsigned char bytes[CHUNK_VALUES * 8];
    double values[CHUNK_VALUES];
    const ArrayHeader *header = c->header;
    uint32_t width = cell_bytes[header->cell];
    uint64_t got;
    if (!stream_read(c->stream, bytes, count * width, &got, fail)) return false;
    if (got < count * width) return fail_short(c->stream, fail);
    if (header->big_endian) reverse_bytes(bytes, width, count);
    data_decode(bytes, header->cell, count, values);
    uint64_t stored = encode(c->field, values, count, c->to, first);
    if (stored == count) return true;
    return fail_value(c->stream, c->field, (first + stored) / c->row_values, values[stored], fail);
}

static bool read_values(const Conversion *c, uint64_t values, Fail *fail) {
    uint64_t got;
    if (same_type(c->header->cell, c->field)) {
        if (!stream_read(c->stream, c->to, values, &got, fail)) return false;
        return got == values || fail_short(c->stream, fail);
    }
    for (uint64_t first = 0; first < values; first += CHUNK_VALUES) {
        uint64_t count = values - first < CHUNK_VALUES ? values - first : CHUNK_VALUES;
        if (!convert_chunk(c, first, count, fail)) return false;
    }
    return true;
}

/* The file must end here. (For gzip this also checks the sum behind the data.) */
static bool check_end(Stream *stream, Fail *fail) {
    unsigned char more;
    uint64_t got;
    if (!stream_read(stream, &more, 1, &got, fail)) return false;
    if (got == 0) return true;
    fail_set(fail, "'%s' goes on behind the values that its header announces", stream_path(stream));
    return fail_help(fail, "make the file again, with one array in it");
}

static bool fail_shape(const TuneField *field, const ArrayHeader *header, const Stream *stream,
                       Fail *fail) {
    char wanted[DATA_SHAPE_TEXT], found[DATA_SHAPE_TEXT] = "";
    size_t length = 0;
    for (uint32_t d = 1; d < header->rank && length < sizeof found - 24; d++)
        length += (size_t)snprintf(found + length, sizeof found - length, "%s%" PRIu64,
                                   d > 1 ? ", " : "", header->dims[d]);
    fail_set(fail, "'%s' has examples of shape [%s], but the program declares '%s: %s'",
             stream_path(stream), found, field->name, data_shape_text(field, wanted));
    return fail_help(fail, "declare the shape of one example as the file has it");
}

static bool check_shape(const TuneField *field, const ArrayHeader *header, const Stream *stream,
                        Fail *fail) {
    if (header->rank == 0) {
        fail_set(fail, "'%s' holds a single number, not an array of examples", stream_path(stream));
        return fail_help(fail, "the first axis of the array counts the examples");
    }
    if (header->rank != field->rank + 1) return fail_shape(field, header, stream, fail);
    for (uint32_t d = 0; d < field->rank; d++)
        if (header->dims[d + 1] != (uint64_t)field->dims[d])
            return fail_shape(field, header, stream, fail);
    return true;
}

static bool fail_empty(const Stream *stream, Fail *fail) {
    return fail_set(fail, "'%s' has no examples", stream_path(stream));
}

/* Before anything is allocated: can the file hold what the header promises? */
static bool check_promise(const TuneField *field, const ArrayHeader *header, const Stream *stream,
                          Fail *fail) {
    uint64_t bytes;
    bool overflow = __builtin_mul_overflow(header->dims[0], data_row_values(field), &bytes) ||
                    __builtin_mul_overflow(bytes, (uint64_t)cell_bytes[header->cell], &bytes);
    if (!overflow && bytes <= stream_most_bytes(stream)) return true;
    fail_set(fail,
             "'%s' is truncated or damaged: its header promises %" PRIu64
             " examples, more than the file can hold",
             stream_path(stream), header->dims[0]);
    return fail_help(fail, "fetch or make the file again");
}

static bool check_examples(const DataSet *set, uint32_t field, uint64_t examples,
                           const Stream *stream, Fail *fail) {
    const TuneField *first = &set->info->fields[0];
    if (field == 0 || examples == set->examples) return true;
    fail_set(fail, "'%s' has %" PRIu64 " examples, but '%s' has %" PRIu64, stream_path(stream),
             examples, first->file ? first->file : first->array, set->examples);
    return fail_help(fail, "every field needs one value per example: are they of the same set?");
}

bool data_read_array(DataSet *set, uint32_t field, const ArrayHeader *header, Stream *stream,
                     Fail *fail) {
    const TuneField *info = &set->info->fields[field];
    if (!check_shape(info, header, stream, fail)) return false;
    if (header->dims[0] == 0) return fail_empty(stream, fail);
    if (!check_examples(set, field, header->dims[0], stream, fail)) return false;
    if (!check_promise(info, header, stream, fail)) return false;
    set->examples = header->dims[0];
    if (!data_allocate(set, field, set->examples, fail)) return false;
    Conversion conversion = {stream, header, info, set->fields[field], data_row_values(info)};
    return read_values(&conversion, set->examples * conversion.row_values, fail) &&
           check_end(stream, fail);
}

static bool read_file(DataSet *set, uint32_t field, const char *path, ReadHeader read_header,
                      Fail *fail) {
    ArrayHeader header = {0};
    Stream *stream = stream_open(path, fail);
    if (!stream) return false;
    bool read =
        read_header(stream, &header, fail) && data_read_array(set, field, &header, stream, fail);
    stream_close(stream);
    return read;
}

bool data_read_array_files(DataSet *set, const char *directory, ReadHeader read_header,
                           Fail *fail) {
    for (uint32_t f = 0; f < set->info->field_count; f++) {
        char *path = data_path(directory, set->info->fields[f].file);
        if (!path) return fail_set(fail, "not enough memory");
        bool read = read_file(set, f, path, read_header, fail);
        free(path);
        if (!read) return false;
    }
    return true;
}
