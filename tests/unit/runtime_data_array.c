/* IDX and NPY files: what is read, and what every kind of wrong file is told. */
#include "tests/unit/runtime_data_help.h"

static TuneField image = {.name = "image",
                          .type = TUNE_FIELD_U8,
                          .elem = TUNE_U8,
                          .rank = 2,
                          .dims = {2, 3},
                          .file = "image"};
static TuneField label = {
    .name = "label", .type = TUNE_FIELD_CLASS, .elem = TUNE_I32, .classes = 10, .file = "label"};
static TuneField real = {
    .name = "x", .type = TUNE_FIELD_F32, .elem = TUNE_F32, .rank = 1, .dims = {2}, .file = "x"};
static TuneField wide = {
    .name = "x", .type = TUNE_FIELD_F64, .elem = TUNE_F64, .rank = 1, .dims = {2}, .file = "x"};
static TuneField number = {.name = "n", .type = TUNE_FIELD_I32, .elem = TUNE_I32, .file = "n"};

static TuneData data_of(TuneDataKind kind, const TuneField *fields, uint32_t count) {
    return (TuneData){.name = "set", .kind = kind, .fields = fields, .field_count = count};
}

/* ---- IDX ---- */

static const unsigned char images[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2,  0,  0,
                                       0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 255};
static const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 9, 0};

static void check_images(void) {
    const TuneField fields[] = {image, label};
    TuneData info = data_of(TUNE_DATA_IDX, fields, 2);
    DataSet set;
    check_loaded(&info, &set);
    assert_int_equal(set.examples, 2);
    assert_memory_equal(set.fields[0], images + 16, 12);
    assert_int_equal(((int32_t *)set.fields[1])[0], 9);
    assert_int_equal(((int32_t *)set.fields[1])[1], 0);
    assert_int_equal((uintptr_t)set.fields[0] % TUNE_ALIGN, 0);
    assert_int_equal(data_bytes(&set), 12 + 8 + 8);
    data_release(&set);
}

static void idx_is_read_plain_and_gzip(void **state) {
    (void)state;
    write_plain("image", images, sizeof images);
    write_plain("label", labels, sizeof labels);
    check_images();
    write_gzip("image", images, sizeof images);
    write_gzip("label", labels, sizeof labels);
    check_images();
}

static void idx_has_six_types(void **state) {
    (void)state;
    static const unsigned char i8[] = {0, 0, 9, 1, 0, 0, 0, 1, 0xFE},
                               i16[] = {0, 0, 0xB, 1, 0, 0, 0, 1, 0xFF, 0xFE},
                               i32[] = {0, 0, 0xC, 1, 0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFE},
                               f32[] = {0, 0, 0xD, 1, 0, 0, 0, 1, 0xC0, 0, 0, 0},
                               f64[] = {0, 0, 0xE, 1, 0, 0, 0, 1, 0xC0, 0, 0, 0, 0, 0, 0, 0};
    static const struct {
        const unsigned char *bytes;
        size_t count;
    } files[] = {{i8, sizeof i8},
                 {i16, sizeof i16},
                 {i32, sizeof i32},
                 {f32, sizeof f32},
                 {f64, sizeof f64}};
    TuneData info = data_of(TUNE_DATA_IDX, &number, 1);
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        DataSet set;
        write_plain("n", files[f].bytes, files[f].count);
        check_loaded(&info, &set);
        assert_int_equal(((int32_t *)set.fields[0])[0], -2);
        data_release(&set);
    }
}

static void wrong_idx_is_refused(void **state) {
    (void)state;
    unsigned char bytes[sizeof images];
    TuneData info = data_of(TUNE_DATA_IDX, &image, 1);
    unlink("image");
    check_refused(&info, "cannot open './image': No such file", "--data");
    write_gzip("image.gz", images, sizeof images);
    check_refused(&info, "cannot open './image'", "there is './image.gz'");
    write_plain("image", images, 2);
    check_refused(&info, "too short", "");
    write_plain("image", images, 11);
    check_refused(&info, "ends within its header", "");
    write_plain("image", images, sizeof images - 1);
    check_refused(&info, "is truncated: it has fewer values than its header says", "again");
    memcpy(bytes, images, sizeof bytes);
    bytes[0] = 1;
    write_plain("image", bytes, sizeof bytes);
    check_refused(&info, "'./image' is not an IDX file: it begins with 01 00 08 03", "00 00 08");
    bytes[0] = 0, bytes[4] = 0xFF; /* four thousand million examples */
    write_plain("image", bytes, sizeof bytes);
    check_refused(&info, "more than the file can hold", "");
    bytes[4] = 0, bytes[7] = 0;
    write_plain("image", bytes, 16);
    check_refused(&info, "has no examples", "");
    bytes[7] = 1;
    write_plain("image", bytes, sizeof bytes);
    check_refused(&info, "goes on behind the values", "");
    bytes[7] = 2, bytes[15] = 6, bytes[11] = 1;
    write_plain("image", bytes, sizeof bytes);
    check_refused(
        &info, "'./image' has examples of shape [1, 6], but the program declares 'image: u8[2, 3]'",
        "declare");
    assert_int_equal(mkdir("image.d", 0700), 0);
    image.file = "image.d";
    check_refused(&info, "is not a regular file", "");
    image.file = "image";
}

static void labels_are_checked(void **state) {
    (void)state;
    static const unsigned char high[] = {0, 0, 8, 1, 0, 0, 0, 3, 1, 9, 10},
                               low[] = {0, 0, 9, 1, 0, 0, 0, 2, 1, 255};
    TuneData info = data_of(TUNE_DATA_IDX, &label, 1);
    write_plain("label", high, sizeof high);
    check_refused(&info, "label 10 of example 2 (from 0) is not one of 0..9", "class[10]");
    write_plain("label", low, sizeof low);
    check_refused(&info, "label -1 of example 1", "");
}

static void fields_have_the_same_number_of_examples(void **state) {
    (void)state;
    static const unsigned char three[] = {0, 0, 8, 1, 0, 0, 0, 3, 1, 2, 3};
    const TuneField fields[] = {image, label};
    TuneData info = data_of(TUNE_DATA_IDX, fields, 2);
    write_plain("image", images, sizeof images);
    write_plain("label", three, sizeof three);
    check_refused(&info, "'./label' has 3 examples, but 'image' has 2", "same set");
}

/* ---- gzip ---- */

static size_t read_bytes(const char *name, unsigned char *bytes, size_t room) {
    FILE *file = fopen(name, "rb");
    assert_non_null(file);
    size_t count = fread(bytes, 1, room, file);
    fclose(file);
    return count;
}

static void every_damage_of_gzip_is_found(void **state) {
    (void)state;
    unsigned char bytes[256], damaged[256];
    TuneData info = data_of(TUNE_DATA_IDX, &image, 1);
    write_gzip("image", images, sizeof images);
    size_t count = read_bytes("image", bytes, sizeof bytes);
    for (size_t length = 2; length < count; length++) {
        write_plain("image", bytes, length);
        check_refused(&info, "'./image' is not a sound gzip file: it ends early", "gzip -t");
    }
    for (size_t at = 10; at < count;
         at++) { /* behind the header, most of which nothing depends on */
        memcpy(damaged, bytes, count);
        damaged[at] ^= 0x10;
        write_plain("image", damaged, count);
        check_refused(&info, "'./image' ", "");
    }
    memcpy(damaged, bytes, count);
    memcpy(damaged + count, "garbage", 7);
    write_plain("image", damaged, count + 7);
    check_refused(&info, "not a sound gzip file", "");
}

static void members_of_gzip_follow_each_other(void **state) {
    (void)state;
    gzFile file;
    write_gzip("image", images, 20);
    file = gzopen("image", "ab");
    assert_int_equal(gzwrite(file, images + 20, sizeof images - 20), sizeof images - 20);
    gzclose(file);
    write_plain("label", labels, sizeof labels);
    check_images();
}

/* ---- NPY ---- */

static void write_npy(const char *name, int version, const char *header, const void *values,
                      size_t count) {
    unsigned char bytes[512] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
    size_t length = strlen(header), start = version == 1 ? 10 : 12;
    assert_true(start + length + count <= sizeof bytes);
    bytes[6] = (unsigned char)version;
    bytes[8] = (unsigned char)length;
    memcpy(bytes + start, header, length);
    if (count > 0) memcpy(bytes + start + length, values, count);
    write_plain(name, bytes, start + length + count);
}

static void check_reals(TuneField *field) {
    TuneData info = data_of(TUNE_DATA_NPY, field, 1);
    DataSet set;
    check_loaded(&info, &set);
    assert_int_equal(set.examples, 2);
    for (int i = 0; i < 4; i++)
        assert_true((field->elem == TUNE_F64 ? ((double *)set.fields[0])[i]
                                             : ((float *)set.fields[0])[i]) == i - 1.5);
    data_release(&set);
}

static void npy_is_read_in_all_versions_and_orders(void **state) {
    (void)state;
    static const float f4[] = {-1.5f, -0.5f, 0.5f, 1.5f};
    static const double f8[] = {-1.5, -0.5, 0.5, 1.5};
    static const unsigned char big[] = {0xBF, 0xC0, 0, 0, 0xBF, 0,    0, 0,
                                        0x3F, 0,    0, 0, 0x3F, 0xC0, 0, 0};
    for (int version = 1; version <= 3; version++) {
        write_npy("x", version, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }\n", f4,
                  sizeof f4);
        check_reals(&real);
        check_reals(&wide);
    }
    write_npy("x", 1, "{\"shape\":(2,2),'fortran_order':False,'descr':'<f8'}", f8, sizeof f8);
    check_reals(&real);
    check_reals(&wide);
    write_npy("x", 1, "{'descr': '>f4', 'fortran_order': False, 'shape': (2L, 2L), }", big,
              sizeof big);
    check_reals(&real);
}

static void npy_has_integer_types(void **state) {
    (void)state;
    static const unsigned char bytes[8] = {7};
    static const char *const types[] = {"|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8"};
    TuneData info = data_of(TUNE_DATA_NPY, &number, 1);
    for (size_t t = 0; t < 8; t++) {
        char header[128];
        DataSet set;
        snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (1,), }",
                 types[t]);
        write_npy("n", 1, header, bytes, (size_t)(types[t][2] - '0'));
        check_loaded(&info, &set);
        assert_int_equal(((int32_t *)set.fields[0])[0], 7);
        data_release(&set);
    }
}

static void wrong_npy_is_refused(void **state) {
    (void)state;
    static const float bad[] = {1, 2, 3, 1.0f / 0.0f};
    static const int64_t large[] = {(int64_t)1 << 40};
    static const double half[] = {0.5};
    TuneData info = data_of(TUNE_DATA_NPY, &real, 1), integers = data_of(TUNE_DATA_NPY, &number, 1);
    write_text("x", "PK\3\4 an npz archive");
    check_refused(&info, "does not begin with \\x93NUMPY", "npz");
    write_npy("x", 9, "{}", NULL, 0);
    check_refused(&info, "version", "");
    write_npy("x", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", bad,
              sizeof bad);
    check_refused(&info, "examples of shape [3], but the program declares 'x: f32[2]'", "declare");
    write_npy("x", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (), }", bad, 4);
    check_refused(&info, "single number", "first axis");
    write_npy("x", 1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }", bad,
              sizeof bad);
    check_refused(&info, "column by column", "ascontiguousarray");
    write_npy("x", 1, "{'descr': '<c8', 'fortran_order': False, 'shape': (2, 2), }", bad,
              sizeof bad);
    check_refused(&info, "type '<c8'", "astype");
    write_npy("x", 1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 2), }", bad,
              sizeof bad);
    check_refused(&info, "records", "column");
    write_npy("x", 1,
              "{'descr': '<f4', 'fortran_order': False, 'shape': (9000000000000000000, 2), }", bad,
              sizeof bad);
    check_refused(&info, "promises 9000000000000000000 examples", "");
    write_npy("x", 1,
              "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 2), }", bad,
              sizeof bad);
    check_refused(&info, "more than 64 bits", "");
    write_npy("x", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }", bad,
              sizeof bad);
    check_refused(&info, "example 1 (from 0) has the value inf", "finite");
    write_npy("x", 1, "{'descr': '<f4', 'shape': (2, 2), }", bad, sizeof bad);
    check_refused(&info, "is missing", "");
    write_npy("x", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2)", bad, sizeof bad);
    check_refused(&info, "damaged NPY header", "");
    write_npy("n", 1, "{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }", large,
              sizeof large);
    check_refused(&integers, "value 1099511627776 of example 0 (from 0) does not fit 'n: i32'",
                  "f32");
    write_npy("n", 1, "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", half,
              sizeof half);
    check_refused(&integers, "value 0.5 of example 0", "f32");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idx_is_read_plain_and_gzip),
        cmocka_unit_test(idx_has_six_types),
        cmocka_unit_test(wrong_idx_is_refused),
        cmocka_unit_test(labels_are_checked),
        cmocka_unit_test(fields_have_the_same_number_of_examples),
        cmocka_unit_test(every_damage_of_gzip_is_found),
        cmocka_unit_test(members_of_gzip_follow_each_other),
        cmocka_unit_test(npy_is_read_in_all_versions_and_orders),
        cmocka_unit_test(npy_has_integer_types),
        cmocka_unit_test(wrong_npy_is_refused),
    };
    return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
