/* Formatting: exact texts; and of every example and module: idempotent, same tree. */
#include "tests/unit/grammar_support.h"

#include <glob.h>

static char *formatted(const char *source) {
    Parsed parsed = parse_text(source);
    Text out = {0};
    assert_false(diags_failed(parsed.diags));
    tree_format(parsed.tree, parsed.source, &out);
    arena_free(parsed.arena);
    return out.at;
}

static char *tree_of(const char *source) {
    Parsed parsed = parse_text(source);
    char *text = tree_text(&parsed);
    arena_free(parsed.arena);
    return text;
}

static void assert_stable(const char *source) {
    char *once = formatted(source), *twice = formatted(once);
    char *before = tree_of(source), *after = tree_of(once);
    assert_string_equal(once, twice);
    assert_string_equal(before, after);
    free(once);
    free(twice);
    free(before);
    free(after);
}

static void assert_format(const char *source, const char *expected) {
    char *text = formatted(source);
    assert_string_equal(text, expected);
    free(text);
    assert_stable(source);
}

static void spacing(void **state) {
    (void)state;
    assert_format(
        "def f( x,y:f32[ ...,n ]=1 ){return -x^2*( y-1 )[0 : 2, ...]+g (x , axis :-1)}",
        "def f(x, y: f32[..., n] = 1) { return -x ^ 2 * (y - 1)[0:2, ...] + g(x, axis: -1) }\n");
    assert_format(
        "study s { scientific w in { 1,2 } ; nuisance n in int[1,4] step 2;steps (3) }",
        "study s { scientific w in {1, 2}; nuisance n in int [1, 4] step 2; steps (3) }\n");
    assert_format("layer l ( ) {w : param [n]=init . zeros\nreturn not(w)}",
                  "layer l() { w: param[n] = init.zeros\n    return not (w) }\n");
}

static void lines(void **state) {
    (void)state;
    assert_format(
        "\n\n# head  \n\n\n\nuse nn;\r\n\ndef f(x) {\n\n\n a = 1;\n\n\n\n  # why\n if a {\nb = 2 +\n3\n}\n\n}\n\n",
        "# head\n\nuse nn\n\ndef f(x) {\n    a = 1\n\n    # why\n    if a {\n        b = 2 +\n"
        "            3\n    }\n}\n");
    assert_format(
        "study s {\nscientific o in {\na(x: 1,\ny: 2),\nb\n}\n}",
        "study s {\n    scientific o in {\n        a(x: 1,\n            y: 2),\n        b\n    }\n}\n");
}

static void lists_over_lines(void **state) {
    (void)state;
    assert_format("def f(x) {\nreturn x[...,:2] +\ng(x,\ny: 1)\n}",
                  "def f(x) {\n    return x[..., :2] +\n        g(x,\n            y: 1)\n}\n");
}

static void comments(void **state) {
    (void)state;
    assert_format(
        "def f(x) { # one\na = 1 # two\nlonger = 2# three\n\nb = 3   # four\n# five\n}\n# six",
        "def f(x) {      # one\n    a = 1       # two\n    longer = 2  # three\n\n"
        "    b = 3  # four\n    # five\n}\n# six\n");
}

static void columns(void **state) {
    (void)state;
    assert_format("def f(x) {\n  a       = 1\n  long    = 2\n  b = 3\n}",
                  "def f(x) {\n    a    = 1\n    long = 2\n    b = 3\n}\n");
    assert_format("study s {\n  fixed       b  = 1\n  nuisance    cc in [0,1]\n  steps 3\n}",
                  "study s {\n    fixed    b  = 1\n    nuisance cc in [0, 1]\n    steps 3\n}\n");
}

static void files(const char *pattern, size_t least) {
    glob_t found;
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= least);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        Arena *arena = arena_new();
        const char *reason = "";
        const Source *source = sources_read(sources_new(arena), found.gl_pathv[i], "", &reason);
        assert_non_null(source);
        assert_stable(source->text);
        arena_free(arena);
    }
    globfree(&found);
}

static void examples_and_modules(void **state) {
    (void)state;
    files(TUNE_SOURCE_DIR "/examples/*.tune", 2);
    files(TUNE_SOURCE_DIR "/stdlib/*.tune", 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spacing),          cmocka_unit_test(lines),
        cmocka_unit_test(lists_over_lines), cmocka_unit_test(comments),
        cmocka_unit_test(columns),          cmocka_unit_test(examples_and_modules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
