/* Data files with damage: whatever the bytes, a reader returns, with a data set or with a reason.
 *
 *     fuzz_data_readers [COUNT [SEED]]     COUNT mutated files of each kind; meant for the
 * sanitizers fuzz_data_readers FILE               reads one file as each kind (for a fuzzer that
 * makes files, or a bug report)
 *
 * Everything is a function of the seed; a failure prints the number of the file and leaves it in
 * the directory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "runtime/data.h"
#include "runtime/philox.h"
#include "runtime/study.h"
#include "tests/unit/zip_help.h"

enum { SETS = 12, START = SETS, KINDS, MOST_BYTES = 4096 };

typedef struct {
    unsigned char bytes[MOST_BYTES];
    size_t count;
} Buffer;

/* ---- the sound files ---- */

static const char *const columns[] = {"a", "2"}, *const class_column[] = {"c"},
                         *const categories[] = {"red", "green"};
static const TuneField array_field = {
    .name = "x", .type = TUNE_FIELD_F32, .elem = TUNE_F32, .rank = 1, .dims = {3}, .file = "file"};
static const TuneField label_field = {
    .name = "y", .type = TUNE_FIELD_CLASS, .elem = TUNE_I32, .classes = 9, .file = "file"};
static const TuneField csv_fields[] = {
    {.name = "x",
     .type = TUNE_FIELD_F32,
     .elem = TUNE_F32,
     .rank = 1,
     .dims = {2},
     .columns = columns,
     .column_count = 2},
    {.name = "c",
     .type = TUNE_FIELD_CLASS,
     .elem = TUNE_I32,
     .classes = 2,
     .class_names = categories,
     .columns = class_column,
     .column_count = 1},
};
static const TuneField named_field = {
    .name = "x", .type = TUNE_FIELD_F32, .elem = TUNE_F32, .rank = 1, .dims = {3}, .array = "x"};
static const TuneField table_field = {.name = "x",
                                      .type = TUNE_FIELD_F32,
                                      .elem = TUNE_F32,
                                      .rank = 1,
                                      .dims = {2},
                                      .columns = columns,
                                      .column_count = 2,
                                      .standardised = true,
                                      .has_missing = true};
#define TOKENS(form, many)                                                                         \
    {                                                                                              \
        .name = "x", .type = TUNE_FIELD_CLASS, .elem = many > 256 ? TUNE_I32 : TUNE_U8,            \
        .row = form, .rank = 1, .dims = {4}, .classes = many                                       \
    }
static const TuneField text_field = TOKENS(TUNE_ROW_WINDOW, 12);
static const TuneField bytes_field = TOKENS(TUNE_ROW_WINDOW, 256);
static const TuneField tokens_field = TOKENS(TUNE_ROW_WINDOW, 300);
static const TuneField line_field = TOKENS(TUNE_ROW_LINE, 12);
static const char *const file_names[] = {"file"};
static const TuneData sets[SETS] = {
    {.name = "idx", .kind = TUNE_DATA_IDX, .fields = &label_field, .field_count = 1},
    {.name = "idx", .kind = TUNE_DATA_IDX, .fields = &array_field, .field_count = 1},
    {.name = "npy", .kind = TUNE_DATA_NPY, .fields = &array_field, .field_count = 1},
    {.name = "csv",
     .kind = TUNE_DATA_CSV,
     .fields = csv_fields,
     .field_count = 2,
     .file = "file",
     .csv_header = true,
     .csv_separator = ','},
    {.name = "npz",
     .kind = TUNE_DATA_NPZ,
     .fields = &named_field,
     .field_count = 1,
     .file = "file"},
    {.name = "npz",
     .kind = TUNE_DATA_NPZ,
     .fields = &named_field,
     .field_count = 1,
     .file = "file"},
    {.name = "safetensors",
     .kind = TUNE_DATA_SAFETENSORS,
     .fields = &named_field,
     .field_count = 1,
     .file = "file"},
    {.name = "text",
     .kind = TUNE_DATA_TEXT,
     .fields = &text_field,
     .field_count = 1,
     .files = file_names,
     .file_count = 1},
    {.name = "bytes",
     .kind = TUNE_DATA_BYTES,
     .fields = &bytes_field,
     .field_count = 1,
     .files = file_names,
     .file_count = 1},
    {.name = "tokens",
     .kind = TUNE_DATA_TOKENS,
     .fields = &tokens_field,
     .field_count = 1,
     .files = file_names,
     .file_count = 1,
     .token_bytes = 2},
    {.name = "lines",
     .kind = TUNE_DATA_LINES,
     .fields = &line_field,
     .field_count = 1,
     .files = file_names,
     .file_count = 1},
    {.name = "table",
     .kind = TUNE_DATA_CSV,
     .fields = &table_field,
     .field_count = 1,
     .file = "file",
     .csv_header = true,
     .csv_separator = ','},
};

/* Parameters that start from a file: the tensors of sound_file. */
static const TuneParam params[] = {{.name = "x", .rank = 2, .dims = {4, 3}},
                                   {.name = "z", .rank = 1, .dims = {2}, .offset = 12}};
static const TuneVariant variant = {.name = "all", .param_count = 2, .params = params};
static const TuneStartRule rules[] = {{TUNE_START_SKIP, "y*", NULL},
                                      {TUNE_START_RENAME, "x*", "x*"}};
static const TuneStudy study_info = {.name = "s",
                                     .real = TUNE_F32,
                                     .variant_count = 1,
                                     .variants = &variant,
                                     .start_file = "file",
                                     .start_partial = true,
                                     .start_rule_count = 2,
                                     .start_rules = rules};

static void append(Buffer *buffer, const void *bytes, size_t count) {
    if (buffer->count + count > MOST_BYTES) count = MOST_BYTES - buffer->count;
    memcpy(buffer->bytes + buffer->count, bytes, count);
    buffer->count += count;
}

static void append_text(Buffer *buffer, const char *text) {
    append(buffer, text, strlen(text));
}

static const unsigned char zeros[48];

static void append_npy(Buffer *buffer) {
    static const char header[] =
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), }                 \n";
    append(buffer, "\x93NUMPY\1\0", 8);
    append(buffer, (const char[2]){sizeof header - 1, 0}, 2);
    append(buffer, header, sizeof header - 1);
    append(buffer, zeros, sizeof zeros);
}

static void append_npz(Buffer *buffer, bool deflated) {
    Buffer array = {.count = 0};
    Zip zip = {0};
    append_npy(&array);
    zip_add(&zip, "w.npy", "not an array", 12, false);
    zip_add(&zip, "x.npy", array.bytes, array.count, deflated);
    zip_end(&zip);
    append(buffer, zip.bytes, zip.count);
}

static void append_safetensors(Buffer *buffer) {
    static const char header[] =
        "{\"y\":{\"dtype\":\"I64\",\"shape\":[3],\"data_offsets\":[0,24]},"
        "\"x\":{\"dtype\":\"F16\",\"shape\":[4,3],\"data_offsets\":[24,48]}} ";
    append(buffer, (const char[8]){sizeof header - 1}, 8);
    append(buffer, header, sizeof header - 1);
    append(buffer, zeros, sizeof zeros);
}

static void sound_file(int kind, Buffer *buffer) {
    static const char rows[] =
        "a,b,c,\"d \"\"e\"\"\"\r\n1,2.5,red,x\r\n-3e2, 4 ,\"green\",\"a\nb\"\r\n0.5,1,red,\r\n";
    buffer->count = 0;
    if (kind == 0) append(buffer, "\0\0\10\1\0\0\0\5\1\2\3\4\10", 13);
    if (kind == 1) append(buffer, "\0\0\15\2\0\0\0\4\0\0\0\3", 12);
    if (kind == 1) append(buffer, zeros, sizeof zeros);
    if (kind == 2) append_npy(buffer);
    if (kind == 3) append(buffer, rows, sizeof rows - 1);
    if (kind == 4 || kind == 5) append_npz(buffer, kind == 5);
    if (kind == 6 || kind == START) append_safetensors(buffer);
    if (kind == 7 || kind == 8) append_text(buffer, "a text, of few letters");
    if (kind == 9) append(buffer, "\0\0\1\0\53\1\7\0\0\1", 10);
    if (kind == 10) append_text(buffer, "ab\ncde\r\n\nfgh\na");
    if (kind == 11) append_text(buffer, "a,b\n1,2\nNA,3\n-4,\n5e3,2\n");
}

/* ---- damage ---- */

typedef struct {
    uint32_t key[2];
    uint32_t drawn;
} Dice;

static uint32_t draw(Dice *dice, uint32_t bound) {
    PhiloxBlock block = philox((const uint32_t[4]){dice->drawn++, 0, 0, 0}, dice->key);
    return (uint32_t)((uint64_t)block.word[0] * bound >> 32);
}

static void remove_part(Buffer *buffer, size_t at, size_t count) {
    if (count > buffer->count - at) count = buffer->count - at;
    memmove(buffer->bytes + at, buffer->bytes + at + count, buffer->count - at - count);
    buffer->count -= count;
}

static void repeat_part(Buffer *buffer, size_t at, size_t count) {
    if (count > buffer->count - at) count = buffer->count - at;
    if (buffer->count + count > MOST_BYTES) return;
    memmove(buffer->bytes + at + count, buffer->bytes + at, buffer->count - at);
    buffer->count += count;
}

static void damage(Buffer *buffer, Dice *dice) {
    static const unsigned char telling[] = {0,    1,   0x7F, 0x80, 0xFF, '"', ',', '\n', '\r',
                                            '\'', '(', ')',  '{',  '}',  '[', '9', '-',  ' '};
    if (buffer->count == 0) return;
    size_t at = draw(dice, (uint32_t)buffer->count);
    switch (draw(dice, 6)) {
    case 0: buffer->bytes[at] ^= (unsigned char)(1 << draw(dice, 8)); return;
    case 1: buffer->bytes[at] = (unsigned char)draw(dice, 256); return;
    case 2: buffer->bytes[at] = telling[draw(dice, sizeof telling)]; return;
    case 3: remove_part(buffer, at, 1 + draw(dice, 8)); return;
    case 4: repeat_part(buffer, at, 1 + draw(dice, 16)); return;
    default: buffer->count = draw(dice, 8) == 0 ? at : buffer->count; return;
    }
}

static void compress_buffer(Buffer *buffer) {
    Buffer packed = {.count = 0};
    z_stream stream = {.next_in = buffer->bytes,
                       .avail_in = (uInt)buffer->count,
                       .next_out = packed.bytes,
                       .avail_out = MOST_BYTES};
    if (deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    if (deflate(&stream, Z_FINISH) == Z_STREAM_END) {
        packed.count = MOST_BYTES - stream.avail_out;
        *buffer = packed;
    }
    deflateEnd(&stream);
}

/* ---- reading ---- */

/* A new file each time: some file systems write out at once what replaces the contents of an old
 * one. */
static bool write_file(const Buffer *buffer) {
    unlink("file");
    FILE *file = fopen("file", "wb");
    if (!file) return false;
    bool written = fwrite(buffer->bytes, 1, buffer->count, file) == buffer->count;
    return fclose(file) == 0 && written;
}

static bool read_start(bool *accepted) {
    Study study = {.info = &study_info};
    char block[56];
    Fail fail = {0};
    *accepted = start_load(&study, ".", &fail);
    if (*accepted) start_apply(&study, 0, block);
    start_release(&study);
    return *accepted || fail.text[0] != '\0';
}

/* Whether the reader kept its word. */
static bool read_file(int kind, bool *accepted) {
    DataSet set;
    Fail fail = {0};
    if (kind == START) return read_start(accepted);
    *accepted = data_load(&sets[kind], ".", &set, &fail);
    if (!*accepted) return fail.text[0] != '\0' && set.fields == NULL;
    bool sound = set.examples > 0 && data_fingerprint(&set) != 0 &&
                 (set.order != NULL) != data_is_windowed(set.info);
    data_release(&set);
    return sound;
}

static int read_given(const char *path) {
    char whole[4096];
    bool accepted, kept = true;
    if (!realpath(path, whole)) return perror(path), 1;
    if (symlink(whole, "file") != 0) return perror("file"), 1;
    for (int kind = 0; kind < KINDS; kind++) kept &= read_file(kind, &accepted);
    return kept ? 0 : 1;
}

static bool read_damaged(int kind, uint32_t number, uint64_t seed, bool *accepted) {
    Buffer buffer;
    Dice dice = {{0, 0}, 0};
    philox_key(seed, (uint64_t)kind << 32 | number, PURPOSE_TRIAL, dice.key);
    sound_file(kind, &buffer);
    bool packed = draw(&dice, 3) == 0;
    for (uint32_t times = draw(&dice, 6); times > 0; times--) damage(&buffer, &dice);
    if (packed) compress_buffer(&buffer);
    if (packed && draw(&dice, 2) == 0) damage(&buffer, &dice);
    return write_file(&buffer) && read_file(kind, accepted);
}

int main(int count, char **arguments) {
    char directory[] = "/tmp/tune-fuzz-XXXXXX", command[64], given[4096] = "";
    uint32_t files = count > 1 ? (uint32_t)strtoul(arguments[1], NULL, 10) : 2000,
             accepted_files = 0;
    uint64_t seed = count > 2 ? strtoull(arguments[2], NULL, 10) : 1;
    if (count == 2 && access(arguments[1], R_OK) == 0 && !realpath(arguments[1], given))
        return perror(arguments[1]), 1;
    if (!mkdtemp(directory) || chdir(directory) != 0) return perror(directory), 1;
    int status = given[0] ? read_given(given) : 0;
    for (int kind = 0; kind < KINDS && !given[0]; kind++) {
        for (uint32_t number = 0; number < files; number++) {
            bool accepted = false;
            if (!read_damaged(kind, number, seed, &accepted)) {
                printf("kind %d, file %u, seed %llu: the reader broke its word; see %s/file\n",
                       kind, number, (unsigned long long)seed, directory);
                return 1;
            }
            accepted_files += accepted;
        }
    }
    if (!given[0]) printf("%u files, %u of them sound\n", files * KINDS, accepted_files);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return chdir("/") != 0 || system(command) != 0 ? 1 : status;
}
