/* Fields from tensors of a safetensors file: every type, and what is refused. */
#include "tests/unit/runtime_data_help.h"

#include <math.h>

#include "runtime/safetensors.h"

static TuneField fields[] = {
    {.name = "x",
     .type = TUNE_FIELD_F32,
     .elem = TUNE_F32,
     .rank = 1,
     .dims = {2},
     .array = "encoder.output"},
    {.name = "n", .type = TUNE_FIELD_I32, .elem = TUNE_I32, .array = "n"},
};
static const TuneData info = {.name = "set",
                              .kind = TUNE_DATA_SAFETENSORS,
                              .fields = fields,
                              .field_count = 2,
                              .file = "set.safetensors"};
static const TuneData reals = {.name = "set",
                               .kind = TUNE_DATA_SAFETENSORS,
                               .fields = fields,
                               .field_count = 1,
                               .file = "set.safetensors"};

static void write_tensors(const Tensor *tensors, uint32_t count) {
    Fail fail = {0};
    assert_true(safetensors_write("set.safetensors", tensors, count, NULL, 0, &fail));
}

static void write_reals(const char *dtype, const void *values, uint64_t bytes) {
    Tensor tensor = {"encoder.output", dtype, 2, {2, 2}, values, bytes};
    write_tensors(&tensor, 1);
}

static void check_reals(const float wanted[4]) {
    DataSet set;
    check_loaded(&reals, &set);
    assert_int_equal(set.examples, 2);
    assert_memory_equal(set.fields[0], wanted, 4 * sizeof *wanted);
    data_release(&set);
}

static void reals_are_read(void **state) {
    (void)state;
    static const float wanted[4] = {1, -2, 0.5f, 65504};
    static const double f64[4] = {1, -2, 0.5, 65504};
    static const uint16_t f16[4] = {0x3C00, 0xC000, 0x3800, 0x7BFF};
    write_reals("F32", wanted, sizeof wanted);
    check_reals(wanted);
    write_reals("F64", f64, sizeof f64);
    check_reals(wanted);
    write_reals("F16", f16, sizeof f16);
    check_reals(wanted);
    static const float brain[4] = {1, -2, 0x1.fep127f, 0x1p-133f};
    static const uint16_t bf16[4] = {0x3F80, 0xC000, 0x7F7F, 0x0001};
    write_reals("BF16", bf16, sizeof bf16);
    check_reals(brain);
}

/* Every finite half is a float, and back. */
static uint16_t nearest_half(float value) {
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    int exponent;
    float fraction = frexpf(fabsf(value), &exponent); /* in [1/2, 1) */
    if (value == 0) return sign;
    if (exponent < -13) return sign | (uint16_t)ldexpf(fabsf(value), 24);
    return (uint16_t)(sign | (exponent + 14) << 10 | ((int)ldexpf(fraction, 11) & 1023));
}

static void every_half_is_read(void **state) {
    (void)state;
    enum { FINITE = 31 << 10 };
    static uint16_t halves[2 * FINITE];
    for (int i = 0; i < FINITE; i++)
        halves[i] = (uint16_t)i, halves[FINITE + i] = (uint16_t)(0x8000 | i);
    Tensor tensor = {"encoder.output", "F16", 2, {FINITE, 2}, halves, sizeof halves};
    write_tensors(&tensor, 1);
    DataSet set;
    check_loaded(&reals, &set);
    for (int i = 0; i < 2 * FINITE; i++)
        assert_int_equal(nearest_half(((float *)set.fields[0])[i]), halves[i]);
    data_release(&set);
}

static void integers_are_read(void **state) {
    (void)state;
    static const unsigned char bytes[16] = {7, [2] = 0};
    static const struct {
        const char *dtype;
        uint32_t width;
    } types[] = {{"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"U16", 2}, {"I16", 2},
                 {"U32", 4},  {"I32", 4}, {"U64", 8}, {"I64", 8}};
    static const float x[2] = {1, 2};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        DataSet set;
        Tensor tensors[] = {{"encoder.output", "F32", 2, {1, 2}, x, sizeof x},
                            {"n", types[t].dtype, 1, {1}, bytes, types[t].width}};
        write_tensors(tensors, 2);
        check_loaded(&info, &set);
        assert_int_equal(((int32_t *)set.fields[1])[0], t == 0 ? 1 : 7);
        data_release(&set);
    }
}

static void what_does_not_fit_is_refused(void **state) {
    (void)state;
    static const float x[4] = {1, 2, 3, 4};
    static const int64_t n[2] = {1, (int64_t)1 << 31};
    static const uint16_t infinite[4] = {0, 0, 0x7C00, 0}, none[4] = {0x7E00}, brain[4] = {0x7F80};
    static const double large[4] = {0, 1e300};
    Tensor tensors[] = {{"encoder.output", "F32", 2, {2, 2}, x, sizeof x},
                        {"n", "I64", 1, {2}, n, sizeof n}};
    write_tensors(tensors, 2);
    check_refused(&info,
                  "'./set.safetensors:n': value 2147483648 of example 1 (from 0) does not fit "
                  "'n: i32'",
                  "f32");
    tensors[1] = (Tensor){"n", "I64", 1, {1}, n, sizeof *n};
    write_tensors(tensors, 2);
    check_refused(&info, "'./set.safetensors:n' has 1 examples, but 'encoder.output' has 2",
                  "same set");
    tensors[0] = (Tensor){"encoder.output", "F32", 1, {4}, x, sizeof x};
    write_tensors(tensors, 2);
    check_refused(&info, "has examples of shape [], but the program declares 'x: f32[2]'",
                  "declare");
    write_reals("F16", infinite, sizeof infinite);
    check_refused(&reals, "example 1 (from 0) has the value inf", "finite");
    write_reals("F16", none, sizeof none);
    check_refused(&reals, "example 0 (from 0) has the value nan", "finite");
    write_reals("BF16", brain, sizeof brain);
    check_refused(&reals, "example 0 (from 0) has the value inf", "finite");
    write_reals("F64", large, sizeof large);
    check_refused(&reals, "value 1.0000000000000001e+300 of example 0", "");
    write_reals("C64", (double[4]){0}, 32);
    check_refused(&reals, "values of the type C64, which is not supported", "F32");
}

static void wrong_files_are_refused(void **state) {
    (void)state;
    static const float x[4] = {1, 2, 3, 4};
    Tensor tensors[] = {{"decoder", "F32", 1, {2}, x, 8}, {"encoder", "F32", 1, {2}, x, 8}};
    write_tensors(tensors, 2);
    check_refused(&reals, "'./set.safetensors' has no tensor 'encoder.output'", "'encoder'");
    write_text("set.safetensors", "PK\3\4");
    check_refused(&reals, "'./set.safetensors' is not a complete safetensors file", "");
    unlink("set.safetensors");
    check_refused(&reals, "set.safetensors': No such file", "--data");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reals_are_read),          cmocka_unit_test(every_half_is_read),
        cmocka_unit_test(integers_are_read),       cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(wrong_files_are_refused),
    };
    return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
