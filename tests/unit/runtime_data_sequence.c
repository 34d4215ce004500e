/* Text, bytes, tokens and lines: patterns, classes, windows of splits, and what is refused. */
#include "tests/unit/runtime_data_help.h"

#include <errno.h>

static const char *one[] = {"a.txt"};

static TuneField window_field(int64_t length, int64_t classes) {
    return (TuneField){.name = "x",
                       .type = TUNE_FIELD_CLASS,
                       .elem = classes <= 256 ? TUNE_U8 : TUNE_I32,
                       .row = TUNE_ROW_WINDOW,
                       .rank = 1,
                       .dims = {length},
                       .classes = classes};
}

static TuneField line_field(int64_t length, int64_t classes) {
    TuneField field = window_field(length, classes);
    field.row = TUNE_ROW_LINE;
    return field;
}

static TuneData sequence(TuneDataKind kind, const TuneField *field, const char *const *files,
                         uint32_t count) {
    return (TuneData){.name = "set",
                      .kind = kind,
                      .fields = field,
                      .field_count = 1,
                      .files = files,
                      .file_count = count,
                      .token_bytes = kind == TUNE_DATA_TOKENS ? 2 : 0};
}

static void split(TuneData *info, double train, double valid, double test) {
    const double sizes[] = {train, valid, test};
    for (int s = 0; s < TUNE_SPLITS; s++) {
        info->has_split[s] = sizes[s] > 0;
        info->split[s] = sizes[s];
    }
    info->fractions = train < 1;
}

/* ---- files ---- */

static void check_text(const DataSet *set, const char *text) {
    const uint8_t *classes = set->fields[0];
    assert_int_equal(set->examples, strlen(text));
    for (size_t i = 0; text[i]; i++) assert_int_equal(set->characters[classes[i]], text[i]);
}

static void read_text(const char *const *files, uint32_t count, const char *text) {
    DataSet set;
    TuneField field = window_field(2, 26);
    TuneData info = sequence(TUNE_DATA_TEXT, &field, files, count);
    check_loaded(&info, &set);
    check_text(&set, text);
    data_release(&set);
}

static void text_of_one_file(void **state) {
    (void)state;
    write_text("a.txt", "hello");
    read_text(one, 1, "hello");
    DataSet set;
    TuneField field = window_field(2, 4);
    TuneData info = sequence(TUNE_DATA_TEXT, &field, one, 1);
    check_loaded(&info, &set);
    assert_int_equal(set.character_count, 4);
    assert_memory_equal(set.characters, "ehlo", 4);
    assert_memory_equal(set.fields[0], "\1\0\2\2\3", 5);
    data_release(&set);
    write_gzip("a.txt", "packed", 6);
    read_text(one, 1, "packed");
}

static void patterns(void **state) {
    (void)state;
    assert_true(mkdir("d", 0755) == 0 || errno == EEXIST);
    assert_true(mkdir("d/[e]", 0755) == 0 || errno == EEXIST);
    write_text("d/b.c", "b");
    write_text("d/a.c", "aa");
    write_text("d/Z.c", "zz");
    write_text("d/a.h", "h");
    write_text("d/[e]/f.c", "fg");
    read_text((const char *[]){"d/*.c"}, 1, "zzaab");
    read_text((const char *[]){"d/b.c", "d/a.?"}, 2, "baah");
    read_text((const char *[]){"d/a.h", "d/*.c", "d/a.*"}, 3, "hzzaab"); /* none twice */
    read_text((const char *[]){"d/*/f.c"}, 1, "fg");
    DataSet set;
    Fail fail = {0};
    TuneField field = window_field(2, 26);
    TuneData info = sequence(TUNE_DATA_TEXT, &field, (const char *[]){"*.c"}, 1);
    assert_true(data_load(&info, "d/[e]", &set, &fail)); /* a directory is no pattern */
    data_release(&set);
    info.files = (const char *[]){"d/*.py"};
    check_refused(&info, "no file below '.' has a name like 'd/*.py'", "--data DIRECTORY");
    info.files = (const char *[]){"none.txt"};
    check_refused(&info, "cannot open './none.txt'", "--data DIRECTORY");
}

static void refused_text(void **state) {
    (void)state;
    TuneField field = window_field(2, 4);
    TuneData info = sequence(TUNE_DATA_TEXT, &field, one, 1);
    write_text("a.txt", "hello world");
    check_refused(&info,
                  "'./a.txt': 8 classes are needed, one for each character, but the program "
                  "declares 'x: window[2] of class[4]'",
                  "declare class[8], or more");
    write_text("a.txt", "");
    check_refused(&info, "'./a.txt': there is nothing in it", "");
    write_text("a.txt", "e");
    check_refused(&info, "the train split has 1 tokens, less than a window of 2 (1 tokens in all)",
                  "the window shorter");
    write_gzip("a.txt", "hello", 5);
    assert_int_equal(truncate("a.txt", 22), 0);
    check_refused(&info, "'./a.txt'", "");
}

/* ---- tokens and bytes ---- */

static void tokens(void **state) {
    (void)state;
    static const uint16_t narrow[] = {0, 1, 255, 500, 65535};
    static const uint32_t wide[] = {7, 65536, 70000};
    DataSet set;
    TuneField field = window_field(2, 65536);
    TuneData info = sequence(TUNE_DATA_TOKENS, &field, one, 1);
    write_plain("a.txt", narrow, sizeof narrow);
    check_loaded(&info, &set);
    assert_int_equal(set.examples, 5);
    assert_memory_equal(set.fields[0], ((const int32_t[]){0, 1, 255, 500, 65535}), 20);
    data_release(&set);
    field = window_field(2, 256);
    write_plain("a.txt", narrow, 3 * sizeof *narrow);
    check_loaded(&info, &set);
    assert_memory_equal(set.fields[0], "\0\1\377", 3);
    data_release(&set);
    field = window_field(2, 100000);
    info.token_bytes = 4;
    write_plain("a.txt", wide, sizeof wide);
    check_loaded(&info, &set);
    assert_memory_equal(set.fields[0], ((const int32_t[]){7, 65536, 70000}), 12);
    data_release(&set);
}

static void refused_tokens(void **state) {
    (void)state;
    static const uint16_t values[] = {5, 6, 999, 7};
    static const char *const two[] = {"a.txt", "b.bin"};
    TuneField field = window_field(2, 100);
    TuneData info = sequence(TUNE_DATA_TOKENS, &field, two, 2);
    write_plain("a.txt", values, 4);
    write_plain("b.bin", values, 8);
    check_refused(&info, "'./b.bin': token 999 at position 2 (from 0) is not one of 0..99",
                  "declare 'class[1000]' or more; or is the type of the tokens u32?");
    write_plain("a.txt", values, 3);
    check_refused(&info, "'./a.txt' has 3 bytes: not a whole number of tokens of 2 bytes",
                  "is the file complete");
    info.token_bytes = 4;
    write_plain("a.txt", values, 6);
    check_refused(&info, "'./a.txt' has 6 bytes", "does 'type' say");
}

/* Files that begin as gzip's do, and are none. */
static void bytes_of_any_kind(void **state) {
    (void)state;
    static const unsigned char magic[] = {0x1f, 0x8b, 0, 255};
    static const char *const packed[] = {"b.gz"};
    DataSet set;
    TuneField field = window_field(2, 256);
    TuneData info = sequence(TUNE_DATA_BYTES, &field, one, 1);
    write_plain("a.txt", magic, sizeof magic);
    check_loaded(&info, &set);
    assert_int_equal(set.examples, 4);
    assert_memory_equal(set.fields[0], magic, 4);
    data_release(&set);
    info.files = packed;
    write_gzip("b.gz", magic, sizeof magic);
    check_loaded(&info, &set);
    assert_int_equal(set.examples, 4);
    data_release(&set);
    write_plain("b.gz", magic, sizeof magic);
    check_refused(&info, "b.gz", "");
}

/* ---- windows ---- */

static void windows_of_splits(void **state) {
    (void)state;
    enum { LENGTH = 4, TRAIN = 23, VALID = 12, TEST = 10 };
    unsigned char bytes[TRAIN + VALID + TEST];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)i;
    DataSet set;
    TuneField field = window_field(LENGTH, 256);
    TuneData info = sequence(TUNE_DATA_BYTES, &field, one, 1);
    split(&info, TRAIN, VALID, TEST);
    write_plain("a.txt", bytes, sizeof bytes);
    check_loaded(&info, &set);
    assert_null(set.order);
    assert_int_equal(data_bytes(&set), sizeof bytes);
    assert_int_equal(data_row_bytes(&set, 0), LENGTH);
    assert_int_equal(data_row_stride(&set, 0), 1);

    int32_t index[2 * (TRAIN - LENGTH + 1)];
    uint32_t seen[TRAIN] = {0};
    assert_int_equal(set.split_count[TUNE_TRAIN], TRAIN - LENGTH + 1);
    data_train_index(&set, 9, 0, 2 * (TRAIN - LENGTH + 1), index);
    for (uint64_t i = 0; i < 2 * (TRAIN - LENGTH + 1); i++) {
        assert_in_range(index[i], 0, TRAIN - LENGTH);
        seen[index[i]]++;
    }
    for (uint32_t i = 0; i <= TRAIN - LENGTH; i++) assert_int_equal(seen[i], 2); /* each epoch */

    assert_int_equal(data_evaluation_count(&set, TUNE_VALID, 0), 3);
    data_evaluation_index(&set, TUNE_VALID, 0, 9, index);
    for (int i = 0; i < 3; i++) assert_int_equal(index[i], TRAIN + 3 * i);
    assert_int_equal(data_evaluation_count(&set, TUNE_TEST, 0), 3); /* exactly: 9 = 3 * 3 */
    data_evaluation_index(&set, TUNE_TEST, 0, 9, index);
    for (int i = 0; i < 3; i++) assert_int_equal(index[i], TRAIN + VALID + 3 * i);
    assert_int_equal(data_evaluation_count(&set, TUNE_TRAIN, 0), 7);
    data_evaluation_index(&set, TUNE_TRAIN, 0, 9, index);
    for (int i = 0; i < 7; i++) assert_int_equal(index[i], 3 * i);
    assert_int_equal(data_evaluation_count(&set, TUNE_TRAIN, 5), 5);
    data_evaluation_index(&set, TUNE_TRAIN, 5, 9, index);
    for (int i = 0; i < 5; i++) assert_true(index[i] % 3 == 0 && index[i] <= TRAIN - LENGTH);
    data_release(&set);
}

static void fractions_of_windows(void **state) {
    (void)state;
    unsigned char bytes[100] = {0};
    DataSet set;
    TuneField field = window_field(5, 256);
    TuneData info = sequence(TUNE_DATA_BYTES, &field, one, 1);
    split(&info, 0.9, 0.1, 0);
    write_plain("a.txt", bytes, sizeof bytes);
    check_loaded(&info, &set);
    assert_int_equal(set.split_count[TUNE_TRAIN], 86);
    assert_int_equal(set.split_start[TUNE_VALID], 90);
    assert_int_equal(set.split_count[TUNE_VALID], 2); /* 8 of its 9 tokens behind the first */
    data_release(&set);
    split(&info, 0.97, 0.03, 0);
    check_refused(&info, "the valid split has 3 tokens, less than a window of 5",
                  "make the split larger");
    split(&info, 90, 20, 0);
    check_refused(&info, "the split wants 110 tokens", "make the split smaller");
}

static void another_fingerprint(const TuneData *info, uint64_t other) {
    DataSet set;
    check_loaded(info, &set);
    assert_int_not_equal(data_fingerprint(&set), other);
    data_release(&set);
}

/* The same classes of other characters are another text. */
static void fingerprints(void **state) {
    (void)state;
    DataSet set;
    TuneField field = window_field(2, 26);
    TuneData info = sequence(TUNE_DATA_TEXT, &field, one, 1);
    write_text("a.txt", "abab");
    check_loaded(&info, &set);
    uint64_t fingerprint = data_fingerprint(&set);
    data_release(&set);
    write_text("a.txt", "cdcd");
    another_fingerprint(&info, fingerprint);
    write_text("a.txt", "abaa");
    another_fingerprint(&info, fingerprint);
}

/* ---- lines ---- */

static void lines(void **state) {
    (void)state;
    static const char *const two[] = {"a.txt", "b.txt"};
    DataSet set;
    TuneField field = line_field(4, 4);
    TuneData info = sequence(TUNE_DATA_LINES, &field, two, 2);
    write_text("a.txt", "ab\n\r\n\ncab\r\n\nb");
    write_text("b.txt", "bb");
    check_loaded(&info, &set);
    assert_int_equal(set.examples, 4);
    assert_memory_equal(set.fields[0], "\1\2\0\0\3\1\2\0\2\0\0\0\2\2\0\0", 16);
    assert_int_equal(set.character_count, 4);
    assert_memory_equal(set.characters, "\0abc", 4);
    assert_non_null(set.order);
    assert_int_equal(data_row_stride(&set, 0), 4);
    data_release(&set);
}

static void refused_lines(void **state) {
    (void)state;
    TuneField field = line_field(3, 4);
    TuneData info = sequence(TUNE_DATA_LINES, &field, one, 1);
    write_text("a.txt", "ab\n\nabcd\n");
    check_refused(&info,
                  "'./a.txt', line 3: 4 characters, but 'x: line[3] of class[4]' has room for 2 "
                  "and the end",
                  "declare line[5], or let long lines be cut with 'cut: true'");
    DataSet set;
    info.cut = true;
    check_loaded(&info, &set);
    assert_memory_equal(set.fields[0], "\1\2\0\1\2\0", 6);
    data_release(&set);
    info.cut = false;
    field = line_field(9, 3);
    check_refused(&info, "5 classes are needed, one for each character and 0 for the end",
                  "declare class[5]");
    write_text("a.txt", "\n\r\n\n");
    check_refused(&info, "'./a.txt': there are only empty lines", "");
    write_text("a.txt", "");
    check_refused(&info, "'./a.txt': there is nothing in it", "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_of_one_file),  cmocka_unit_test(patterns),
        cmocka_unit_test(refused_text),      cmocka_unit_test(tokens),
        cmocka_unit_test(refused_tokens),    cmocka_unit_test(bytes_of_any_kind),
        cmocka_unit_test(windows_of_splits), cmocka_unit_test(fractions_of_windows),
        cmocka_unit_test(fingerprints),      cmocka_unit_test(lines),
        cmocka_unit_test(refused_lines)};
    return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
