/* NPY, NumPy's format for one array, versions 1 to 3 (numpy.lib.format): the magic, a version, the
 * length of the header, and the header, which is a Python dictionary:
 *
 *     {'descr': '<f4', 'fortran_order': False, 'shape': (60000, 28, 28), }
 */
#include "runtime/data_reader.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_HEADER_BYTES = 1 << 16 };

typedef struct {
    const char *at;
    const Stream *stream;
    Fail *fail;
} Scanner;

static bool fail_header(const Scanner *scanner, const char *what) {
    return fail_set(scanner->fail, "'%s' has a damaged NPY header: %s",
                    stream_path(scanner->stream), what);
}

static char peek(Scanner *scanner) {
    while (isspace((unsigned char)*scanner->at)) scanner->at++;
    return *scanner->at;
}

static bool accept(Scanner *scanner, char wanted) {
    if (peek(scanner) != wanted) return false;
    scanner->at++;
    return true;
}

/* A quoted word without escapes. */
static bool scan_string(Scanner *scanner, char *word, size_t room) {
    char quote = peek(scanner);
    if (quote != '\'' && quote != '"') return fail_header(scanner, "a quoted word is missing");
    const char *start = ++scanner->at;
    const char *end = strchr(start, quote);
    if (!end || (size_t)(end - start) >= room) return fail_header(scanner, "a word does not end");
    memcpy(word, start, (size_t)(end - start));
    word[end - start] = '\0';
    scanner->at = end + 1;
    return true;
}

static bool scan_number(Scanner *scanner, uint64_t *number) {
    if (!isdigit((unsigned char)peek(scanner)))
        return fail_header(scanner, "the shape has something that is not a number");
    *number = 0;
    for (; isdigit((unsigned char)*scanner->at); scanner->at++) {
        uint64_t digit = (uint64_t)(*scanner->at - '0');
        if (__builtin_mul_overflow(*number, 10, number) ||
            __builtin_add_overflow(*number, digit, number))
            return fail_header(scanner, "the shape has a number of more than 64 bits");
    }
    accept(scanner, 'L'); /* Python 2 wrote long integers so */
    return true;
}

static bool scan_shape(Scanner *scanner, ArrayHeader *header) {
    if (!accept(scanner, '(')) return fail_header(scanner, "the shape is not a tuple");
    for (header->rank = 0; !accept(scanner, ')'); header->rank++) {
        if (header->rank == ARRAY_MAX_RANK)
            return fail_header(scanner, "the shape has more than 32 axes");
        if (!scan_number(scanner, &header->dims[header->rank])) return false;
        if (!accept(scanner, ',') && peek(scanner) != ')')
            return fail_header(scanner, "the shape does not end");
    }
    return true;
}

static bool scan_order(Scanner *scanner, bool *fortran) {
    peek(scanner);
    *fortran = strncmp(scanner->at, "True", 4) == 0;
    if (!*fortran && strncmp(scanner->at, "False", 5) != 0)
        return fail_header(scanner, "'fortran_order' is neither True nor False");
    scanner->at += *fortran ? 4 : 5;
    return true;
}

static bool cell_of_type(const char *type, Cell *cell) {
    static const struct {
        char name[3];
        Cell cell;
    } types[] = {{"b1", CELL_BOOL}, {"u1", CELL_U8},  {"i1", CELL_I8},  {"u2", CELL_U16},
                 {"i2", CELL_I16},  {"u4", CELL_U32}, {"i4", CELL_I32}, {"u8", CELL_U64},
                 {"i8", CELL_I64},  {"f2", CELL_F16}, {"f4", CELL_F32}, {"f8", CELL_F64}};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        if (strcmp(types[t].name, type) != 0) continue;
        *cell = types[t].cell;
        return true;
    }
    return false;
}

static bool scan_type(Scanner *scanner, ArrayHeader *header) {
    char type[32];
    if (peek(scanner) == '[') {
        fail_set(scanner->fail, "'%s' is an array of records, which has no place in a field",
                 stream_path(scanner->stream));
        return fail_help(scanner->fail, "save each column as an array of its own");
    }
    if (!scan_string(scanner, type, sizeof type)) return false;
    header->big_endian = type[0] == '>';
    if (type[0] != '\0' && strchr("<>|=", type[0]) && cell_of_type(type + 1, &header->cell))
        return true;
    fail_set(scanner->fail, "'%s' has values of the type '%s', which is not supported",
             stream_path(scanner->stream), type);
    return fail_help(
        scanner->fail,
        "save it as f2, f4, f8, b1, or an integer type: numpy.save(name, array.astype('f4'))");
}

enum { SEEN_TYPE = 1, SEEN_ORDER = 2, SEEN_SHAPE = 4, SEEN_ALL = 7 };

static bool scan_entry(Scanner *scanner, ArrayHeader *header, bool *fortran, int *seen) {
    char key[32];
    if (!scan_string(scanner, key, sizeof key)) return false;
    if (!accept(scanner, ':')) return fail_header(scanner, "a ':' is missing");
    if (strcmp(key, "descr") == 0) {
        *seen |= SEEN_TYPE;
        return scan_type(scanner, header);
    }
    if (strcmp(key, "fortran_order") == 0) {
        *seen |= SEEN_ORDER;
        return scan_order(scanner, fortran);
    }
    *seen |= SEEN_SHAPE;
    return strcmp(key, "shape") == 0 ? scan_shape(scanner, header)
                                     : fail_header(scanner, "it has an unknown key");
}

static bool scan_dictionary(Scanner *scanner, ArrayHeader *header) {
    bool fortran = false;
    int seen = 0;
    if (!accept(scanner, '{')) return fail_header(scanner, "it is not a dictionary");
    while (!accept(scanner, '}')) {
        if (!scan_entry(scanner, header, &fortran, &seen)) return false;
        if (!accept(scanner, ',') && peek(scanner) != '}')
            return fail_header(scanner, "a ',' is missing");
    }
    if (seen != SEEN_ALL)
        return fail_header(scanner, "'descr', 'fortran_order' or 'shape' is missing");
    if (!fortran || header->rank < 2) return true;
    fail_set(scanner->fail, "'%s' is stored column by column (fortran_order)",
             stream_path(scanner->stream));
    return fail_help(scanner->fail,
                     "save it row by row: numpy.save(name, numpy.ascontiguousarray(array))");
}

static bool fail_npy(const Stream *stream, const char *what, Fail *fail) {
    return fail_set(fail, "'%s' is not a sound NPY file: %s", stream_path(stream), what);
}

static bool read_length(Stream *stream, uint64_t *length, Fail *fail) {
    static const unsigned char magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
    unsigned char start[8], bytes[4] = {0};
    uint64_t got;
    if (!stream_read(stream, start, sizeof start, &got, fail)) return false;
    if (got < sizeof start || memcmp(start, magic, sizeof magic) != 0) {
        fail_npy(stream, "it does not begin with \\x93NUMPY", fail);
        return fail_help(fail, "write it with numpy.save; an .npz archive is read by npz(…)");
    }
    if (start[6] < 1 || start[6] > 3) return fail_npy(stream, "its version is not 1, 2 or 3", fail);
    uint64_t width = start[6] == 1 ? 2 : 4;
    if (!stream_read(stream, bytes, width, &got, fail)) return false;
    if (got < width) return fail_npy(stream, "it ends within its header", fail);
    *length = (uint64_t)bytes[0] | bytes[1] << 8 | bytes[2] << 16 | (uint64_t)bytes[3] << 24;
    return *length <= MAX_HEADER_BYTES ||
           fail_npy(stream, "its header is longer than 64 KiB", fail);
}

bool data_npy_header(Stream *stream, ArrayHeader *header, Fail *fail) {
    uint64_t length = 0, got;
    if (!read_length(stream, &length, fail)) return false;
    char *text = malloc(length + 1);
    if (!text) return fail_set(fail, "not enough memory");
    bool read = stream_read(stream, text, length, &got, fail);
    if (read && got < length) read = fail_npy(stream, "it ends within its header", fail);
    if (read) {
        text[length] = '\0';
        Scanner scanner = {text, stream, fail};
        read = scan_dictionary(&scanner, header);
    }
    free(text);
    return read;
}

bool data_read_npy(DataSet *set, const char *directory, Fail *fail) {
    return data_read_array_files(set, directory, data_npy_header, fail);
}
