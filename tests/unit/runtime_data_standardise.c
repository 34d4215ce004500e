/* Columns by the statistics of the training split, and values that are missing. */
#include "tests/unit/runtime_data_help.h"

#include <math.h>

static const char *const columns[] = {"a", "b"}, *const other[] = {"c"};
static const TuneField fields[] = {{.name = "x",
                                    .type = TUNE_FIELD_F32,
                                    .elem = TUNE_F32,
                                    .rank = 1,
                                    .dims = {2},
                                    .columns = columns,
                                    .column_count = 2,
                                    .standardised = true},
                                   {.name = "y",
                                    .type = TUNE_FIELD_F64,
                                    .elem = TUNE_F64,
                                    .columns = other,
                                    .column_count = 1,
                                    .has_missing = true,
                                    .missing = -9}};
static TuneField holes[2];

static TuneData table(const TuneField *of) {
    return (TuneData){.name = "table",
                      .kind = TUNE_DATA_CSV,
                      .fields = of,
                      .field_count = 2,
                      .file = "t.csv",
                      .has_split = {true, true, false},
                      .split = {3, 2, 0},
                      .csv_header = true,
                      .csv_separator = ','};
}

/* Mean and deviation of 1, 2, 6 are 3 and sqrt(14/3); column b is constant in the training split.
 */
static void standardised(void **state) {
    (void)state;
    DataSet set;
    TuneData info = table(fields);
    write_text("t.csv", "a,b,c\n1,7,1\n2,7,2\n6,7,3\n3,7,4\n10,8,5\n");
    check_loaded(&info, &set);
    const float *x = set.fields[0];
    const double a[] = {1, 2, 6, 3, 10}, b[] = {0, 0, 0, 0, 1};
    for (int i = 0; i < 5; i++) {
        assert_true(fabs(x[2 * i] - (a[i] - 3) / sqrt(14.0 / 3)) < 1e-7);
        assert_true(x[2 * i + 1] == (float)b[i]);
    }
    for (int i = 0; i < 5; i++) assert_true(((const double *)set.fields[1])[i] == i + 1);
    data_release(&set);
}

/* Only the split says what the training examples are. */
static void shuffled(void **state) {
    (void)state;
    DataSet set;
    TuneData info = table(fields);
    info.shuffle = true;
    info.seed = 11;
    write_text("t.csv", "a,b,c\n1,7,1\n2,7,2\n6,7,3\n3,7,4\n10,8,5\n");
    check_loaded(&info, &set);
    const float *x = set.fields[0];
    double sum = 0, squares = 0;
    for (int i = 0; i < 3; i++) {
        double value = x[2 * set.order[i]];
        sum += value;
        squares += value * value;
    }
    assert_true(fabs(sum) < 1e-6 && fabs(squares - 3) < 1e-6);
    data_release(&set);
}

static void missing(void **state) {
    (void)state;
    DataSet set;
    memcpy(holes, fields, sizeof holes);
    holes[0].has_missing = true;
    holes[0].missing = 0.5;
    TuneData info = table(holes);
    write_text("t.csv", "a,b,c\n1,NA,?\n,7,2\n3,9,\n3,7,4\n10,8,5\n");
    check_loaded(&info, &set);
    static const float x[] = {-1, 0.5f, 0.5f, -1, 1, 1, 1, -1, 8, 0};
    static const double y[] = {-9, 2, -9, 4, 5};
    assert_memory_equal(set.fields[0], x, sizeof x);
    assert_memory_equal(set.fields[1], y, sizeof y);
    data_release(&set);
}

static void refused(void **state) {
    (void)state;
    TuneData info = table(fields);
    write_text("t.csv", "a,b,c\n1,7,1\n,7,2\n6,7,3\n3,7,4\n10,8,5\n");
    check_refused(&info, "'./t.csv' line 3, column 'a': the value is missing", "missing: 0");
    write_text("t.csv", "a,b,c\n0,7,1\n1e-38,7,2\n0,7,3\n3e20,7,4\n0,8,5\n");
    check_refused(&info, "column 'a': the value of example 3 (from 0) is too far",
                  "correct the value");
    info = table(holes);
    write_text("t.csv", "a,b,c\n,7,1\n,7,2\n,7,3\n3,7,4\n10,8,5\n");
    check_refused(&info, "'t.csv', column 'a': no value in the training split",
                  "leave the column out");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(standardised), cmocka_unit_test(shuffled),
                                       cmocka_unit_test(missing), cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
