/* NPZ archives: what is read, and that no damage of one goes unnoticed. */
#include "tests/unit/runtime_data_help.h"
#include "tests/unit/zip_help.h"

static const TuneField fields[] = {
    {.name = "x",
     .type = TUNE_FIELD_F32,
     .elem = TUNE_F32,
     .rank = 1,
     .dims = {3},
     .array = "features"},
    {.name = "y", .type = TUNE_FIELD_CLASS, .elem = TUNE_I32, .classes = 4, .array = "y"},
};
static const TuneData info = {
    .name = "set", .kind = TUNE_DATA_NPZ, .fields = fields, .field_count = 2, .file = "set.npz"};
static const float features[6] = {1, -2.5f, 3, 4, 5, 6.25f};
static const unsigned char labels[] = {3, 0};

/* Returns the bytes of the array. */
static size_t array_bytes(const char *type, const char *shape, const void *values, size_t count,
                          unsigned char bytes[512]) {
    char header[128];
    int length = snprintf(header, sizeof header,
                          "{'descr': '%s', 'fortran_order': False, 'shape': %s, }\n", type, shape);
    memcpy(bytes, "\x93NUMPY\1\0", 8);
    zip_number(bytes + 8, (uint32_t)length, 2);
    memcpy(bytes + 10, header, (size_t)length);
    memcpy(bytes + 10 + length, values, count);
    return 10 + (size_t)length + count;
}

static void add_features(Zip *zip, const char *name, bool deflated) {
    unsigned char bytes[512];
    size_t count = array_bytes("<f4", "(2, 3)", features, sizeof features, bytes);
    zip_add(zip, name, bytes, count, deflated);
}

static void add_labels(Zip *zip, bool deflated) {
    unsigned char bytes[512];
    size_t count = array_bytes("|u1", "(2,)", labels, sizeof labels, bytes);
    zip_add(zip, "y.npy", bytes, count, deflated);
}

static Zip sound_archive(bool deflated) {
    Zip zip = {0};
    add_labels(&zip, deflated);
    zip_add(&zip, "other.npy", "anything", 8, false);
    add_features(&zip, "features.npy", deflated);
    zip_end(&zip);
    return zip;
}

static void check_sound(void) {
    DataSet set;
    check_loaded(&info, &set);
    assert_int_equal(set.examples, 2);
    assert_memory_equal(set.fields[0], features, sizeof features);
    assert_int_equal(((int32_t *)set.fields[1])[0], 3);
    assert_int_equal(((int32_t *)set.fields[1])[1], 0);
    data_release(&set);
}

static void entries_are_read_stored_and_deflated(void **state) {
    (void)state;
    for (int deflated = 0; deflated < 2; deflated++) {
        Zip zip = sound_archive(deflated);
        write_plain("set.npz", zip.bytes, zip.count);
        check_sound();
    }
}

static void a_comment_may_follow(void **state) {
    (void)state;
    Zip zip = sound_archive(true);
    zip_number(zip.bytes + zip.count - 2, 9, 2);
    memcpy(zip.bytes + zip.count, "PK\5\6 text", 9);
    write_plain("set.npz", zip.bytes, zip.count + 9);
    check_sound();
}

static void write_one(unsigned char *bytes, size_t count, bool deflated) {
    Zip zip = {0};
    add_labels(&zip, false);
    zip_add(&zip, "features.npy", bytes, count, deflated);
    zip_end(&zip);
    write_plain("set.npz", zip.bytes, zip.count);
}

/* The checks of NPY hold for entries, with the entry's name. */
static void arrays_are_checked(void **state) {
    (void)state;
    unsigned char bytes[512];
    size_t count = array_bytes("<f4", "(3, 2)", features, sizeof features, bytes);
    write_one(bytes, count, false);
    check_refused(&info, "'./set.npz:features' has examples of shape [2]", "declare");
    count = array_bytes("<f4", "(1, 3)", features, 12, bytes);
    write_one(bytes, count, false);
    check_refused(&info, "'./set.npz:y' has 2 examples, but 'features' has 1", "same set");
    count = array_bytes("<f4", "(2, 3)", features, sizeof features - 1, bytes);
    for (int deflated = 0; deflated < 2; deflated++) {
        write_one(bytes, count, deflated);
        check_refused(&info, "'./set.npz:features' is truncated", "again");
    }
    count = array_bytes("<f4", "(2, 3)", features, sizeof features, bytes) + 1;
    write_one(bytes, count, true);
    check_refused(&info, "'./set.npz:features' goes on behind the values", "again");
    write_one(bytes, 5, true);
    check_refused(&info, "'./set.npz:features' is not a sound NPY file", "");
}

static void wrong_archives_are_refused(void **state) {
    (void)state;
    unlink("set.npz");
    check_refused(&info, "cannot open './set.npz': No such file", "--data");
    write_text("set.npz", "\x93NUMPY and so on");
    check_refused(&info, "'./set.npz' is not an NPZ file", "npy(");
    write_text("set.npz", "");
    check_refused(&info, "'./set.npz' is not an NPZ file", "numpy.savez");
    Zip zip = {0};
    add_labels(&zip, true);
    zip_add(&zip, "feature.npy", labels, 2, false);
    zip_end(&zip);
    write_plain("set.npz", zip.bytes, zip.count);
    check_refused(&info, "'./set.npz' has no array 'features'", "it has 'y', 'feature'");
    zip = (Zip){0};
    add_features(&zip, "features.npy", true);
    add_features(&zip, "features.npy", false);
    zip_end(&zip);
    write_plain("set.npz", zip.bytes, zip.count);
    check_refused(&info, "has 2 arrays 'features'", "");
}

/* Field 0's row is the last of the directory. */
static void change_row(size_t at, uint32_t value, int width, const char *part, const char *help) {
    Zip zip = sound_archive(true);
    size_t row = zip.count - 22 - ZIP_ROW_BYTES - strlen("features.npy");
    zip_number(zip.bytes + row + at, value, width);
    write_plain("set.npz", zip.bytes, zip.count);
    check_refused(&info, part, help);
}

static void what_is_not_supported_is_refused(void **state) {
    (void)state;
    change_row(8, 1, 2, "'./set.npz:features' is encrypted", "without a password");
    change_row(10, 14, 2, "is packed by method 14", "savez_compressed");
    change_row(20, UINT32_MAX, 4, "is a ZIP64 archive", "npy(");
    change_row(24, UINT32_MAX, 4, "is a ZIP64 archive", "npy(");
    change_row(42, UINT32_MAX, 4, "is a ZIP64 archive", "npy(");
    change_row(42, 4000, 4, "an entry lies outside it", "unzip -t");
    change_row(42, 1, 4, "there is no entry where its directory says", "unzip -t");
    change_row(20, 4000, 4, "an entry does not end within it", "unzip -t");
    change_row(24, 7, 4, "", ""); /* the header promises more than that */
    change_row(24, 200, 4, "'./set.npz:features' is damaged: it has not the length", "unzip");
    change_row(16, 7, 4, "'./set.npz:features' is damaged: its bytes", "unzip");
    change_row(10, 0, 2, "an entry that is not packed has two lengths", "");
}

static void change_end(size_t back, uint32_t value, int width, const char *part) {
    Zip zip = sound_archive(false);
    zip_number(zip.bytes + zip.count - back, value, width);
    write_plain("set.npz", zip.bytes, zip.count);
    check_refused(&info, part, "");
}

static void the_directory_is_checked(void **state) {
    (void)state;
    change_end(12, 0xFFFF, 2, "is a ZIP64 archive");
    change_end(10, UINT32_MAX, 4, "is a ZIP64 archive");
    change_end(18, 1, 2, "it is one of several parts");
    change_end(10, 4000, 4, "its directory does not end where it should");
    change_end(6, 7, 4, "its directory has fewer rows than it says");
    change_end(10, 100, 4, "its directory ");
}

/* Wherever an archive is cut, and whichever byte of what is read is another one. */
static void every_damage_is_found(void **state) {
    (void)state;
    for (int deflated = 0; deflated < 2; deflated++) {
        Zip zip = sound_archive(deflated);
        for (size_t count = 0; count < zip.count; count++) {
            write_plain("set.npz", zip.bytes, count);
            check_refused(&info, "'./set.npz", "");
        }
        size_t first = ZIP_LOCAL_BYTES + strlen("y.npy") + 20;
        for (size_t at = first; at < first + 60; at++) {
            zip.bytes[at] ^= 0x10;
            write_plain("set.npz", zip.bytes, zip.count);
            check_refused(&info, "'./set.npz:y' ", "");
            zip.bytes[at] ^= 0x10;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_read_stored_and_deflated),
        cmocka_unit_test(a_comment_may_follow),
        cmocka_unit_test(arrays_are_checked),
        cmocka_unit_test(wrong_archives_are_refused),
        cmocka_unit_test(what_is_not_supported_is_refused),
        cmocka_unit_test(the_directory_is_checked),
        cmocka_unit_test(every_damage_is_found),
    };
    return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
