/* What a data reader is: a function that fills the fields of a DataSet from files. Private to the
 * data*.c files.
 *
 *     data.c ─┬─ data_idx.c ──┐
 *             ├─ data_npy.c ──┼─ data_array.c    one file per field: header, values of one type
 *             ├─ data_npz.c ──┤                  one file of such arrays, each with a name
 *             ├─ data_safetensors.c ─┘
 *             ├─ data_csv.c                      one file for all fields
 *             ├─ data_sequence.c ─┬─ data_files.c   text, bytes, tokens: files behind each other
 *             ├─ data_lines.c ────┘              a line of text per example
 *             └─ data_generate.c                 no file
 *
 * A reader allocates set->fields[f] with data_allocate and sets set->examples; data.c releases
 * them, also after a failure, and does the rest (splits, order, data_standardise.c). */
#ifndef TUNE_RUNTIME_DATA_READER_H
#define TUNE_RUNTIME_DATA_READER_H

#include <stddef.h>

#include "runtime/data.h"
#include "runtime/gzip.h"

bool data_read_idx(DataSet *set, const char *directory, Fail *fail);
bool data_read_npy(DataSet *set, const char *directory, Fail *fail);
bool data_read_npz(DataSet *set, const char *directory, Fail *fail);
bool data_read_safetensors(DataSet *set, const char *directory, Fail *fail);
bool data_read_csv(DataSet *set, const char *directory, Fail *fail);
bool data_read_sequence(DataSet *set, const char *directory, Fail *fail);
bool data_read_lines(DataSet *set, const char *directory, Fail *fail);
bool data_generate(DataSet *set, Fail *fail);

/* Splits from set->info and set->examples: sizes, starts and the order. Fails when they do not fit.
 */
bool data_split(DataSet *set, Fail *fail);

/* What the program asks to be done with columns once the training split is known. */
bool data_standardise(DataSet *set, Fail *fail);
/* Marks a value that is missing, until then. True. */
bool data_store_missing(const TuneField *field, void *to, uint64_t at);

/* "directory/file", or `file` itself when it is absolute; malloc'd, NULL without memory. */
char *data_path(const char *directory, const char *file);

uint64_t data_elem_bytes(TuneElem elem);
uint64_t data_row_values(const TuneField *field); /* numbers per example */

/* The bytes of all files of the set: names and patterns in the order of the program, the files of a
 * pattern sorted by the bytes of their names, none of them twice. */
typedef struct {
    unsigned char *bytes;
    uint64_t count;
    char *name;      /* of the files, for messages: "'a.txt'", "'a.txt' and 3 more files" */
    char **paths;    /* of each … */
    uint64_t *start; /* … and where it begins */
    uint32_t path_count;
} FileBytes;
bool data_read_files(const TuneData *info, const char *directory, FileBytes *files, Fail *fail);
void data_release_files(FileBytes *files);

/* Which class each of the 256 bytes has, from `first` up in order of the bytes; the bytes into
 * set->characters. Fails when the field has too few classes. */
bool data_number_characters(DataSet *set, const FileBytes *files, const bool used[256],
                            uint32_t first, uint8_t classes[256], Fail *fail);

/* Storage for `examples` rows of a field (windows: tokens), aligned to TUNE_ALIGN. False without
 * memory, or if the size overflows. */
bool data_allocate(DataSet *set, uint32_t field, uint64_t examples, Fail *fail);

/* "u8[28, 28]": the declaration of a field. Returns `text`. */
enum { DATA_SHAPE_TEXT = 256 };
char *data_shape_text(const TuneField *field, char text[DATA_SHAPE_TEXT]);

/* Adds a name to "'a', 'b'", a list in a message; a name for which there is no room becomes "…". */
enum { DATA_LIST_TEXT = 256 };
void data_list_name(char list[DATA_LIST_TEXT], const char *name, size_t name_bytes);

/* Puts a number into a field's storage. False when the field cannot hold it: not finite, not whole,
 * out of the type's range, not one of the classes. */
bool data_store_value(const TuneField *field, double value, void *to, uint64_t at);

/* ---- files that hold one array ---- */

typedef enum {
    CELL_BOOL,
    CELL_U8,
    CELL_I8,
    CELL_U16,
    CELL_I16,
    CELL_U32,
    CELL_I32,
    CELL_U64,
    CELL_I64,
    CELL_F16,
    CELL_BF16,
    CELL_F32,
    CELL_F64
} Cell;

enum { ARRAY_MAX_RANK = 32 };

typedef struct {
    Cell cell;
    bool big_endian;
    uint32_t rank;
    uint64_t dims[ARRAY_MAX_RANK]; /* the first one is the number of examples */
} ArrayHeader;

/* Checks the header against the field (shape) and against the file (a size that cannot be there),
 * then reads and converts every value; stream stands behind the header and must end behind the
 * values. All fields of a set must have the same number of examples. */
bool data_read_array(DataSet *set, uint32_t field, const ArrayHeader *header, Stream *stream,
                     Fail *fail);

/* Calls `read_header` on every field's file and data_read_array behind it. */
typedef bool (*ReadHeader)(Stream *stream, ArrayHeader *header, Fail *fail);
bool data_read_array_files(DataSet *set, const char *directory, ReadHeader read_header, Fail *fail);

/* Numbers in this machine's order as doubles. Only integers beyond 2^53 are rounded. */
void data_decode(const unsigned char *bytes, Cell cell, uint64_t count, double *values);
/* "F16", "I64", …: safetensors' names. */
bool data_cell_of_dtype(const char *dtype, Cell *cell);

/* Reads the header of an NPY file: a ReadHeader. */
bool data_npy_header(Stream *stream, ArrayHeader *header, Fail *fail);

#endif
