/* safetensors: the worked example of the format, a round trip, and files that break each rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/file.h"
#include "runtime/safetensors.h"

static char path[64];

static int setup(void **state) {
    (void)state;
    snprintf(path, sizeof path, "/tmp/tune-safetensors-%d", (int)getpid());
    return 0;
}

static int teardown(void **state) {
    (void)state;
    unlink(path);
    return 0;
}

static void write_file(const char *header, uint64_t header_bytes, const void *data,
                       uint64_t bytes) {
    Fail fail = {0};
    struct iovec parts[] = {
        {&header_bytes, 8}, {(void *)header, strlen(header)}, {(void *)data, bytes}};
    assert_true(file_write(path, parts, 3, &fail));
}

static void refuses(const char *header, uint64_t bytes, const char *text) {
    char data[64] = {0};
    Fail fail = {0};
    TensorFile file;
    write_file(header, strlen(header), data, bytes);
    assert_false(safetensors_read(path, &file, &fail));
    if (!strstr(fail.text, text)) fail_msg("'%s' is not in '%s'", text, fail.text);
}

static void round_trip(void **state) {
    (void)state;
    float w[6] = {1, -0.0f, 3, 4, 5, 6};
    double b = 0.1;
    Tensor tensors[] = {{"dense.weight", "F32", 2, {2, 3}, w, sizeof w},
                        {"b", "F64", 0, {0}, &b, 8},
                        {"none", "F32", 1, {0}, w, 0}};
    TensorNote notes[] = {{"step", "1500"}, {"name", "a \"quoted\" \xc3\xa9"}};
    Fail fail = {0};
    TensorFile file;
    assert_true(safetensors_write(path, tensors, 3, notes, 2, &fail));
    assert_true(safetensors_read(path, &file, &fail));
    assert_int_equal(file.tensor_count, 3);
    assert_string_equal(safetensors_note(&file, "name"), notes[1].value);
    assert_null(safetensors_note(&file, "nothing"));
    const Tensor *read = safetensors_find(&file, "dense.weight");
    assert_int_equal(read->rank, 2);
    assert_int_equal(read->dims[1], 3);
    assert_memory_equal(read->data, w, sizeof w);
    assert_memory_equal(safetensors_find(&file, "b")->data, &b, 8);
    assert_null(safetensors_find(&file, "c"));
    safetensors_release(&file);
}

/* The layout that other readers expect, byte for byte: the data begins at a multiple of 8. */
static void layout(void **state) {
    (void)state;
    float w[2] = {1, 2};
    Tensor tensor = {"w", "F32", 1, {2}, w, sizeof w};
    Fail fail = {0};
    char *bytes;
    uint64_t size, header;
    assert_true(safetensors_write(path, &tensor, 1, NULL, 0, &fail));
    assert_true(file_read(path, &bytes, &size, &fail));
    memcpy(&header, bytes, 8);
    assert_int_equal(header % 8, 0);
    assert_int_equal(size, 8 + header + 8);
    assert_int_equal(bytes[8], '{');
    assert_memory_equal(bytes + 8 + header, "\x00\x00\x80\x3f\x00\x00\x00\x40", 8);
    free(bytes);
}

#define W "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"

static void malformed(void **state) {
    (void)state;
    refuses(W "}", 7, "truncated");
    refuses(W "}", 9, "behind the last tensor");
    refuses(W, 8, "not JSON");
    refuses(" " W "}", 8, "does not begin with '{'");
    refuses("", 8, "does not begin");
    refuses(W ",\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}", 16, "not JSON");
    refuses(W ",\"v\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8,
            "hole or an overlap");
    refuses(W ",\"v\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[12,16]}}", 16,
            "hole or an overlap");
    refuses("{\"w\":{\"dtype\":\"F99\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "no dtype");
    refuses("{\"w\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8,
            "its shape needs 12");
    refuses("{\"w\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8,
            "no valid shape");
    refuses("{\"w\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,8]}}",
            8, "no valid shape");
    refuses("{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8,
            "no valid data_offsets");
    refuses("{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"more\":1}}", 8,
            "other keys");
    refuses("{\"w\":3}", 8, "no dtype");
    refuses("{\"__metadata__\":{\"step\":3}}", 0, "not a string");
    refuses("{\"__metadata__\":[]}", 0, "not an object");
}

static void short_files(void **state) {
    (void)state;
    Fail fail = {0};
    TensorFile file;
    write_file(W "}", 1000, NULL, 0);
    assert_false(safetensors_read(path, &file, &fail));
    write_file(W "}", UINT64_MAX, NULL, 0);
    assert_false(safetensors_read(path, &file, &fail));
    struct iovec four = {"four", 4};
    assert_true(file_write(path, &four, 1, &fail));
    assert_false(safetensors_read(path, &file, &fail));
    unlink(path);
    assert_false(safetensors_read(path, &file, &fail));
    assert_non_null(strstr(fail.text, "No such file"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip), cmocka_unit_test(layout),
                                       cmocka_unit_test(malformed), cmocka_unit_test(short_files)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
