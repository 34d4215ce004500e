/* Diagnostics: drawing, order, duplicates, cap, JSON, nearest names; places in sources. */
#include "tests/unit/grammar_support.h"

static Span place_of(const Source *source, const char *part) {
    uint32_t start = source->base + (uint32_t)(strstr(source->text, part) - source->text);
    return (Span){start, start + (uint32_t)strlen(part)};
}

static Parsed start(const char *text) {
    Parsed parsed = {.arena = arena_new()};
    parsed.sources = sources_new(parsed.arena);
    parsed.diags = diags_new(parsed.arena, parsed.sources);
    parsed.source = sources_add(parsed.sources, "dir/a.tune", text, (uint32_t)strlen(text));
    return parsed;
}

static void assert_printed(Parsed *parsed, bool json, const char *expected) {
    char *text = messages(parsed->diags, json);
    assert_string_equal(text, expected);
    free(text);
    arena_free(parsed->arena);
}

static void draws_notes_and_help(void **state) {
    (void)state;
    Parsed parsed = start("first\n\tsecond word\nthird\n");
    Diag *diag = diag_error(parsed.diags, place_of(parsed.source, "word"), "cannot %s", "read");
    diag_note(diag, place_of(parsed.source, "first"), "from here");
    diag_help(diag, "type %d", 3);
    assert_printed(&parsed, false,
                   "dir/a.tune:2:9: error: cannot read\n"
                   "    2 |     second word\n"
                   "      |            ^~~~\n"
                   "dir/a.tune:1:1: note: from here\n"
                   "    1 | first\n"
                   "      | ^~~~~\n"
                   "help: type 3\n");
}

static void clips_to_the_line_and_counts_characters(void **state) {
    (void)state;
    Parsed parsed = start("é = b {\n}\n");
    diag_warning(parsed.diags, place_of(parsed.source, "b {\n}"), "long");
    assert_printed(&parsed, false,
                   "dir/a.tune:1:5: warning: long\n"
                   "    1 | é = b {\n"
                   "      |     ^~~\n");
}

static void sorts_and_drops_duplicates(void **state) {
    (void)state;
    Parsed parsed = start("a b");
    diag_error(parsed.diags, place_of(parsed.source, "b"), "two");
    diag_error(parsed.diags, place_of(parsed.source, "a"), "one");
    diag_error(parsed.diags, place_of(parsed.source, "b"), "two");
    diag_error(parsed.diags, (Span){0, 0}, "nowhere");
    assert_true(diags_failed(parsed.diags));
    assert_printed(&parsed, false,
                   "error: nowhere\n"
                   "dir/a.tune:1:1: error: one\n    1 | a b\n      | ^\n"
                   "dir/a.tune:1:3: error: two\n    1 | a b\n      |   ^\n");
}

static void prints_twenty_errors(void **state) {
    (void)state;
    Parsed parsed = start("a");
    for (int i = 0; i < 23; i++) diag_error(parsed.diags, (Span){0, 0}, "number %d", i);
    char *text = messages(parsed.diags, false);
    assert_non_null(strstr(text, "error: number 19\n3 more errors not shown\n"));
    assert_null(strstr(text, "number 20"));
    assert_int_equal(diags_error_count(parsed.diags), 23);
    free(text);
    arena_free(parsed.arena);
}

static void prints_json(void **state) {
    (void)state;
    Parsed parsed = start("a \"b\"");
    Diag *diag = diag_error(parsed.diags, place_of(parsed.source, "\"b\""), "bad \"b\"");
    diag_note(diag, place_of(parsed.source, "a"), "see");
    diag_help(diag, "x\ty");
    assert_printed(
        &parsed, true,
        "[\n  {\"severity\": \"error\", \"file\": \"dir/a.tune\", \"line\": 1, \"column\": 3, "
        "\"end_line\": 1, \"end_column\": 6, \"text\": \"bad \\\"b\\\"\", \"notes\": ["
        "{\"file\": \"dir/a.tune\", \"line\": 1, \"column\": 1, \"end_line\": 1, "
        "\"end_column\": 2, \"text\": \"see\"}], \"help\": \"x\\u0009y\"}\n]\n");
    Parsed empty = start("");
    assert_printed(&empty, true, "[\n]\n");
}

static void suggests_near_names(void **state) {
    (void)state;
    const char *names[] = {"relu", "gelu", "softmax", "sigmoid"};
    assert_string_equal(diag_nearest("sofmtax", names, 4), "softmax");
    assert_string_equal(diag_nearest("rellu", names, 4), "relu");
    assert_null(diag_nearest("dense", names, 4));
    assert_null(diag_nearest("x", names, 4));
    assert_null(diag_nearest("x", NULL, 0));
}

static void locates(void **state) {
    (void)state;
    Parsed parsed = start("äb\r\ncd");
    const Source *second = sources_add(parsed.sources, "b.tune", "x", 1);
    uint32_t base = parsed.source->base;
    Location place = sources_locate(parsed.sources, base + 2);
    assert_int_equal(place.line, 1);
    assert_int_equal(place.column, 2);
    assert_int_equal(place.line_bytes, 3);
    place = sources_locate(parsed.sources, base + parsed.source->bytes);
    assert_int_equal(place.line, 2);
    assert_int_equal(place.column, 3);
    assert_ptr_equal(sources_locate(parsed.sources, second->base).source, second);
    assert_null(sources_locate(parsed.sources, 0).source);
    assert_string_equal(sources_short_place(parsed.sources, (Span){base, base}, parsed.arena),
                        "a.tune:1");
    assert_string_equal(sources_short_place(parsed.sources, (Span){0, 0}, parsed.arena), "");
    arena_free(parsed.arena);
}

static void says_why_a_file_cannot_be_read(void **state) {
    (void)state;
    Parsed parsed = start("");
    const char *reason = NULL;
    assert_null(sources_read(parsed.sources, "/nonexistent.tune", "n", &reason));
    assert_string_equal(reason, "No such file or directory");
    assert_null(sources_read(parsed.sources, "/", "n", &reason));
    assert_string_equal(reason, "it is a directory");
    arena_free(parsed.arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_notes_and_help),
        cmocka_unit_test(clips_to_the_line_and_counts_characters),
        cmocka_unit_test(sorts_and_drops_duplicates),
        cmocka_unit_test(prints_twenty_errors),
        cmocka_unit_test(prints_json),
        cmocka_unit_test(suggests_near_names),
        cmocka_unit_test(locates),
        cmocka_unit_test(says_why_a_file_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
