/* CSV files: RFC 4180, columns by name and number, and what every kind of wrong file is told. */
#include "tests/unit/runtime_data_help.h"

static const char *const sepal[] = {"sepal length", "sepal width"}, *const species[] = {"species"},
                         *const third[] = {"3"};
static const char *const names[] = {"setosa", "versicolor", "virginica"};
static const TuneField iris_fields[] = {
    {.name = "x",
     .type = TUNE_FIELD_F32,
     .elem = TUNE_F32,
     .rank = 1,
     .dims = {2},
     .columns = sepal,
     .column_count = 2},
    {.name = "species",
     .type = TUNE_FIELD_CLASS,
     .elem = TUNE_I32,
     .classes = 3,
     .class_names = names,
     .columns = species,
     .column_count = 1},
};
static const TuneData iris = {.name = "iris",
                              .kind = TUNE_DATA_CSV,
                              .fields = iris_fields,
                              .field_count = 2,
                              .file = "iris.csv",
                              .csv_header = true,
                              .csv_separator = ','};

static const char *const one[] = {"1"}, *const two[] = {"2"};
static const TuneField plain_fields[] = {
    {.name = "n", .type = TUNE_FIELD_I32, .elem = TUNE_I32, .columns = two, .column_count = 1},
    {.name = "y",
     .type = TUNE_FIELD_CLASS,
     .elem = TUNE_I32,
     .classes = 4,
     .columns = one,
     .column_count = 1},
};
static const TuneData plain = {.name = "plain",
                               .kind = TUNE_DATA_CSV,
                               .fields = plain_fields,
                               .field_count = 2,
                               .file = "plain.csv",
                               .csv_separator = ';'};
static const TuneField lone_field = {
    .name = "n", .type = TUNE_FIELD_F32, .elem = TUNE_F32, .columns = one, .column_count = 1};
static const TuneData lone = {.name = "lone",
                              .kind = TUNE_DATA_CSV,
                              .fields = &lone_field,
                              .field_count = 1,
                              .file = "lone.csv",
                              .csv_separator = ','};

static void check_iris(const char *text) {
    static const float x[] = {5.1f, 3.5f, 7.0f, 3.2f, 6.3f, -3.3e-2f};
    static const int32_t y[] = {0, 1, 2};
    DataSet set;
    write_text("iris.csv", text);
    check_loaded(&iris, &set);
    assert_int_equal(set.examples, 3);
    assert_memory_equal(set.fields[0], x, sizeof x);
    assert_memory_equal(set.fields[1], y, sizeof y);
    data_release(&set);
}

static void columns_are_found_by_title(void **state) {
    (void)state;
    check_iris(
        "sepal length,sepal width,species\n5.1,3.5,setosa\n7.0,3.2,versicolor\n6.3,-3.3e-2,virginica\n");
    check_iris(
        "species,id,sepal width,sepal length\nsetosa,1,3.5,5.1\nversicolor,2,3.2,7\nvirginica,3,-3.3e-2,6.3");
}

static void rfc_4180_is_followed(void **state) {
    (void)state;
    check_iris(
        "\xEF\xBB\xBFsepal length, sepal width ,species\r\n5.1,3.5,setosa\r\n\r\n7.0, 3.2\t,versicolor\r\n6.3,-3.3e-2,virginica\r\n\r\n");
    check_iris(
        "\"sepal length\",\"sepal width\",\"species\",\"a \"\"note\"\", with\r\nlines\"\n"
        "\"5.1\",3.5,\"setosa\",\"\"\n7.0,3.2,versicolor,\"x,\n\"\"y\"\n6.3,\"-3.3e-2\" , \"virginica\",");
}

static void gzip_and_separators_work(void **state) {
    (void)state;
    DataSet set;
    static const char text[] = "3; 10;x\n0;-20;\"y;z\"\n";
    write_gzip("plain.csv", text, sizeof text - 1);
    check_loaded(&plain, &set);
    assert_int_equal(set.examples, 2);
    assert_int_equal(((int32_t *)set.fields[0])[1], -20);
    assert_int_equal(((int32_t *)set.fields[1])[0], 3);
    data_release(&set);
}

static void check_iris_refused(const char *rows, const char *part, const char *help) {
    char text[512];
    snprintf(text, sizeof text, "sepal length,sepal width,species\n5.1,3.5,setosa\n%s\n", rows);
    write_text("iris.csv", text);
    check_refused(&iris, part, help);
}

static void missing_values_are_refused(void **state) {
    (void)state;
    check_iris_refused("5.1,,setosa",
                       "'./iris.csv' line 3, column 'sepal width': the value is missing",
                       "fill it in");
    check_iris_refused("5.1, NA ,setosa",
                       "line 3, column 'sepal width': the value is missing ('NA')",
                       "remove the line");
    check_iris_refused("nan,1,setosa", "column 'sepal length': the value is missing ('nan')", "");
    check_iris_refused("1,1,", "column 'species': the value is missing", "");
    check_iris_refused("1,1,?", "column 'species': the value is missing ('?')", "");
    write_text("lone.csv", "1\n2\n\n3\n");
    check_refused(&lone, "'./lone.csv' line 3, column 1: the value is missing", "");
}

static void empty_lines_at_the_end_are_no_rows(void **state) {
    (void)state;
    DataSet set;
    write_text("lone.csv", "1\n2\n3\n\n\n");
    check_loaded(&lone, &set);
    assert_int_equal(set.examples, 3);
    data_release(&set);
}

static void wrong_values_are_refused(void **state) {
    (void)state;
    check_iris_refused("\n1,x,setosa", "line 4, column 'sepal width': 'x' is not a number",
                       "class[");
    check_iris_refused("\"1\n2\",1,setosa", "is not a number", "");
    check_iris_refused("1,1e99,setosa", "1e99 does not fit 'x: f32[2]'", "");
    check_iris_refused("inf,1,setosa", "inf does not fit 'x: f32[2]'", "finite");
    check_iris_refused(
        "1,2,setose",
        "line 3, column 'species': 'setose' is not a category of 'species' (setosa, versicolor, virginica)",
        "did the file mean 'setosa'?");
    check_iris_refused("1,2,oak", "'oak' is not a category", "add it");
    write_text("plain.csv", "3;1.5;x\n");
    check_refused(&plain, "line 1, column 2: 1.5 does not fit 'n: i32'", "f32");
    write_text("plain.csv", "3;1;x\n4;1;y\n");
    check_refused(&plain, "'./plain.csv' line 2, column 1: 4 does not fit 'y: class[4]'",
                  "labels are 0..3");
}

static void wrong_rows_are_refused(void **state) {
    (void)state;
    check_iris_refused("1,2", "'./iris.csv' line 3 has 2 cells, but the first line has 3",
                       "separator ','");
    check_iris_refused("1,2,setosa,4", "line 3 has 4 cells", "quotes");
    check_iris_refused("1,2,\"setosa", "line 3: a quoted cell does not end", "\"\"");
    check_iris_refused("1,2,\"setosa\"x", "line 3: there is text behind the closing quote", "");
    write_plain("iris.csv", "sepal length,sepal width,species\n1,2\0,setosa\n", 46);
    check_refused(&iris, "line 2: there is a zero byte", "");
    write_text("iris.csv", "\n\n");
    check_refused(&iris, "'./iris.csv' is empty", "");
    write_text("iris.csv", "sepal length,sepal width,species\n");
    check_refused(&iris, "has a header, but no rows", "");
}

static void wrong_columns_are_refused(void **state) {
    (void)state;
    static const TuneField field = {
        .name = "z", .type = TUNE_FIELD_F32, .elem = TUNE_F32, .columns = third, .column_count = 1};
    TuneData info = lone;
    info.fields = &field;
    write_text("iris.csv", "sepal lenght,sepal width,species\n1,2,setosa\n");
    check_refused(&iris, "'./iris.csv' has no column 'sepal length'",
                  "did you mean 'sepal lenght'?");
    write_text("iris.csv", "a,b,c\n1,2,setosa\n");
    check_refused(&iris, "has no column 'sepal length'", "its header has: a, b, c");
    write_text("lone.csv", "1,2\n");
    check_refused(&info, "has no column '3': its rows have 2 cells", "numbers from 1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_found_by_title),
        cmocka_unit_test(rfc_4180_is_followed),
        cmocka_unit_test(gzip_and_separators_work),
        cmocka_unit_test(missing_values_are_refused),
        cmocka_unit_test(empty_lines_at_the_end_are_no_rows),
        cmocka_unit_test(wrong_values_are_refused),
        cmocka_unit_test(wrong_rows_are_refused),
        cmocka_unit_test(wrong_columns_are_refused),
    };
    return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
