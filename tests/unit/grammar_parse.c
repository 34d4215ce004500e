/* Text to tree: statement ends, contextual words, precedence, spans, recovery, odd input. */
#include "tests/unit/grammar_support.h"

static void assert_tree(const char *source, const char *expected) {
    Parsed parsed = parse_text(source);
    char *errors = messages(parsed.diags, false);
    assert_string_equal(errors, "");
    char *text = tree_text(&parsed);
    assert_string_equal(text, expected);
    free(text);
    free(errors);
    arena_free(parsed.arena);
}

static void append_expression(const Node *node, Text *out) {
    if (node->kind == N_NUMBER)
        text_printf(out, "%g", node->number);
    else if (node->kind == N_UNARY || node->kind == N_BINARY)
        text_printf(out, "(%s", tree_op_text(node->op));
    else
        text_printf(out, "%s%s", node->kids.count ? "(" : "",
                    node->name ? node->name : tree_kind_name(node->kind));
    for (uint32_t i = 0; i < node->kids.count; i++) {
        text_add(out, " ");
        append_expression(node->kids.at[i], out);
    }
    if (node->kids.count) text_add(out, ")");
}

/* The expression of `def f() { return … }`, as a list in prefix form. */
static void assert_expression(const char *expression, const char *expected) {
    Text source = {0}, out = {0};
    text_printf(&source, "def f() { return %s }", expression);
    Parsed parsed = parse_text(source.at);
    assert_false(diags_failed(parsed.diags));
    const Node *block = tree_kid(tree_kid(parsed.tree, 0), 1);
    append_expression(tree_kid(tree_kid(block, 0), 0), &out);
    assert_string_equal(out.at, expected);
    text_release(&source);
    text_release(&out);
    arena_free(parsed.arena);
}

static void precedence(void **state) {
    (void)state;
    assert_expression("a or b and not c == d", "(or a (and b (not (== c d))))");
    assert_expression("a + b * c", "(+ a (* b c))");
    assert_expression("a - b - c", "(- (- a b) c)");
    assert_expression("a * b @ c", "(* a (@ b c))");
    assert_expression("-a @ b", "(@ (- a) b)");
    assert_expression("-x ^ 2", "(- (^ x 2))");
    assert_expression("2 ^ -x ^ 3 * y", "(* (^ 2 (- (^ x 3))) y)");
    assert_expression("a < b + 1", "(< a (+ b 1))");
    assert_expression("(a + b) * c", "(* (+ a b) c)");
    assert_expression("m.f(x, k: 1)[0]", "(index (call (f m) x (k 1)) 0)");
    assert_expression("x[..., a:, :b, :]",
                      "(index x ellipsis (slice a none) (slice none b) (slice none none))");
}

static void statements_end_at_lines(void **state) {
    (void)state;
    const char *tree = "file\n  def f\n    params\n    block\n"
                       "      assign a\n        binary +\n          number 1\n          number 2\n"
                       "      return\n        name a\n";
    assert_tree("def f() {\n a = 1 + 2\n return a\n}\n", tree);
    assert_tree("def f() { a = 1 + 2; return a }", tree);
    assert_tree("def f() {\n a = 1 +\n\n # why\n 2;\n return a;;\n}", tree);
    assert_tree("def f(\n) {\n a = (1\n + 2\n)\n return a }", tree);
    assert_tree("def f() {\r\n a = 1 + 2\r\n return a\r\n}\r\n", tree);
    assert_tree("\xEF\xBB\xBF"
                "def f() { a = 1 + 2\n return a }",
                tree);
}

static void else_may_stand_on_its_own_line(void **state) {
    (void)state;
    const char *tree =
        "file\n  def f\n    params\n      param c\n        none\n        none\n    block\n"
        "      if\n        name c\n        block\n          return\n            number 1\n"
        "        if\n          name d\n          block\n          none\n";
    assert_tree("def f(c) { if c { return 1 } else if d {} }", tree);
    assert_tree("def f(c) {\n if c {\n return 1\n }\n else if d {\n }\n}", tree);
}

static void words_are_names_elsewhere(void **state) {
    (void)state;
    assert_expression("steps + step * param - grad", "(- (+ steps (* step param)) grad)");
    assert_expression("metric.error(schedule, init: init.zeros)",
                      "(call (error metric) schedule (init (zeros init)))");
    assert_tree("def f(goal, data) { seed = goal; keep = every }",
                "file\n  def f\n    params\n      param goal\n        none\n        none\n"
                "      param data\n        none\n        none\n    block\n"
                "      assign seed\n        name goal\n      assign keep\n        name every\n");
    assert_tree(
        "optimizer o(lr) { state m = 0, v = 1\n param = param - lr * m }",
        "file\n  optimizer o\n    params\n      param lr\n        none\n        none\n    block\n"
        "      state m\n        number 0\n      state v\n        number 1\n"
        "      assign param\n        binary -\n          name param\n          binary *\n"
        "            name lr\n            name m\n");
    assert_tree(
        "layer l() { w: param[n, 2] = zeros\n b: param[2] }",
        "file\n  layer l\n    params\n    block\n"
        "      parameter w\n        array\n          name n\n          number 2\n        name zeros\n"
        "      parameter b\n        array\n          number 2\n        none\n");
}

static void studies(void **state) {
    (void)state;
    assert_tree(
        "study s {\n evaluate every 100 on 1000 examples batch 512\n select max valid.error, keep 3\n}",
        "file\n  study s\n    block\n      evaluate\n        number 100\n        number 1000\n"
        "        number 512\n      select max\n        member error\n          name valid\n"
        "        number 3\n");
    assert_tree(
        "study s { nuisance n in int log(1, 9) step 2; fixed batch = batch; nuisance k in [0, 1] }",
        "file\n  study s\n    block\n      hyper nuisance n\n        domain int\n          call\n"
        "            name log\n            number 1\n            number 9\n          number 2\n"
        "      hyper fixed batch\n        name batch\n"
        "      hyper nuisance k\n        domain\n          array\n            number 0\n"
        "            number 1\n          none\n");
    assert_tree(
        "study s {\n scientific optimizer in {\n  a(n: int [1, 4], b: {0.9, 1}),\n  b,\n }\n}",
        "file\n  study s\n    block\n      hyper scientific optimizer\n        set\n          call\n"
        "            name a\n            arg n\n              domain int\n                array\n"
        "                  number 1\n                  number 4\n                none\n"
        "            arg b\n              set\n                number 0.9\n                number 1\n"
        "          name b\n");
    assert_tree(
        "study s { schedule lr = schedule.a(steps: 1) then b then c; precision f64 }",
        "file\n  study s\n    block\n      use_schedule lr\n        then\n          then\n"
        "            call\n              member a\n                name schedule\n"
        "              arg steps\n                number 1\n            name b\n          name c\n"
        "      precision f64\n");
}

static void one_use_node_per_module(void **state) {
    (void)state;
    assert_tree("use nn, metric\nuse schedule", "file\n  use nn\n  use metric\n  use schedule\n");
}

static void spans(void **state) {
    (void)state;
    const char *text = "def  f(x) { return  a +\n bc }";
    Parsed parsed = parse_text(text);
    const Node *def = tree_kid(parsed.tree, 0), *back = tree_kid(tree_kid(def, 1), 0);
    uint32_t base = parsed.source->base;
    assert_int_equal(def->span.start - base, 0);
    assert_int_equal(def->span.end - base, strlen(text));
    assert_int_equal(def->name_span.start - base, 5);
    assert_int_equal(def->name_span.end - base, 6);
    assert_int_equal(back->span.start - base, 12);
    assert_int_equal(back->span.end - base, strlen(text) - 2);
    arena_free(parsed.arena);
}

static void three_mistakes_three_messages(void **state) {
    (void)state;
    assert_messages("def f(x y) {\n    a = 1\n}\n"
                    "def g(x) {\n    if x y {\n        a = 1\n    } else {\n        a = 2\n    }\n"
                    "    b = 1 +\n    return b\n}\n",
                    "t.tune:1:9: error: unexpected name 'y', expected ',', '=', ')' or ':'\n"
                    "    1 | def f(x y) {\n"
                    "      |         ^\n"
                    "t.tune:5:10: error: unexpected name 'y', expected '{'\n"
                    "    5 |     if x y {\n"
                    "      |          ^\n"
                    "t.tune:10:12: error: unexpected end of line, expected an expression\n"
                    "   10 |     b = 1 +\n"
                    "      |            ^\n");
}

static void brackets(void **state) {
    (void)state;
    assert_messages("def f(x) {\n    a = g(x, 3\n    return a\n}\n",
                    "t.tune:2:10: error: '(' is never closed\n"
                    "    2 |     a = g(x, 3\n"
                    "      |          ^\n"
                    "t.tune:3:5: note: ')' is missing before this line\n"
                    "    3 |     return a\n"
                    "      |     ^~~~~~\n");
    assert_messages("def f(x) {\n    a = x\ndef g(x) { return x }",
                    "t.tune:1:10: error: '{' is never closed\n"
                    "    1 | def f(x) {\n"
                    "      |          ^\n"
                    "t.tune:3:1: note: '}' is missing before this declaration\n"
                    "    3 | def g(x) { return x }\n"
                    "      | ^~~\n");
    assert_messages("def f(x) { return (x] }", "t.tune:1:21: error: '(' is closed by ']'\n"
                                               "    1 | def f(x) { return (x] }\n"
                                               "      |                     ^\n"
                                               "t.tune:1:19: note: opened here\n"
                                               "    1 | def f(x) { return (x] }\n"
                                               "      |                   ^\n");
    assert_messages("}", "t.tune:1:1: error: '}' closes nothing\n    1 | }\n      | ^\n");
}

static void wrong_words(void **state) {
    (void)state;
    assert_messages("modle m() {}\nstudy s {\n  serach grid(points: 3)\n}\n",
                    "t.tune:1:1: error: 'modle' does not start a declaration\n"
                    "    1 | modle m() {}\n"
                    "      | ^~~~~\n"
                    "help: did you mean 'model'?\n"
                    "t.tune:3:3: error: a study has no statement 'serach'\n"
                    "    3 |   serach grid(points: 3)\n"
                    "      |   ^~~~~~\n"
                    "help: did you mean 'search'?\n");
    assert_messages("def f(x) { g(x) }",
                    "t.tune:1:13: error: unexpected '(', expected '=' or ':'\n"
                    "    1 | def f(x) { g(x) }\n"
                    "      |             ^\n"
                    "help: a statement that gives a value is 'name = value'\n");
}

static void bad_text(void **state) {
    (void)state;
    assert_messages("def f() { return \"abc\n}",
                    "t.tune:1:18: error: the string does not end on its line\n"
                    "    1 | def f() { return \"abc\n"
                    "      |                  ^~~~\n"
                    "help: close it with '\"'\n");
    assert_messages("def f() { return 1 $ é \x01 }",
                    "t.tune:1:20: error: unexpected character '$'\n"
                    "    1 | def f() { return 1 $ é   }\n"
                    "      |                    ^\n"
                    "t.tune:1:22: error: unexpected character 'é'\n"
                    "    1 | def f() { return 1 $ é   }\n"
                    "      |                      ^\n"
                    "t.tune:1:24: error: unexpected byte 0x01\n"
                    "    1 | def f() { return 1 $ é   }\n"
                    "      |                        ^\n");
    assert_messages("def f() { return 1e999 + 12. + 3x }",
                    "t.tune:1:18: error: the number is too large\n"
                    "    1 | def f() { return 1e999 + 12. + 3x }\n"
                    "      |                  ^~~~~\n"
                    "help: the largest is about 1.8e308\n"
                    "t.tune:1:26: error: the number is not complete\n"
                    "    1 | def f() { return 1e999 + 12. + 3x }\n"
                    "      |                          ^~~\n"
                    "help: write digits behind it, as in '1.0' or '1e-3'\n"
                    "t.tune:1:32: error: a name does not start with a digit\n"
                    "    1 | def f() { return 1e999 + 12. + 3x }\n"
                    "      |                                ^~\n");
    Parsed parsed = parse_bytes("def\0f", 5);
    assert_true(diags_failed(parsed.diags));
    arena_free(parsed.arena);
}

static void deep_nesting_is_an_error(void **state) {
    (void)state;
    for (int shape = 0; shape < 4; shape++) {
        Text text = {0};
        text_add(&text, "def f(x) { return ");
        for (int i = 0; i < 20000; i++) text_add(&text, &"(\0[\0-\0x+"[2 * shape]);
        text_add(&text, "x");
        for (int i = 0; shape < 2 && i < 20000; i++) text_add(&text, shape ? "]" : ")");
        text_add(&text, " }");
        Parsed parsed = parse_text(text.at);
        char *found = messages(parsed.diags, false);
        assert_int_equal(diags_error_count(parsed.diags), 1);
        assert_non_null(strstr(found, "error: this is nested too deeply\n"));
        free(found);
        text_release(&text);
        arena_free(parsed.arena);
    }
}

static void values(void **state) {
    (void)state;
    assert_expression("1_000 + 2.5e1", "(+ 1000 25)");
    Parsed parsed = parse_text("def f() { return \"a\\\"\\\\\\n\\tb\" }");
    const Node *block = tree_kid(tree_kid(parsed.tree, 0), 1);
    assert_string_equal(tree_kid(tree_kid(block, 0), 0)->name, "a\"\\\n\tb");
    arena_free(parsed.arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(precedence),
        cmocka_unit_test(statements_end_at_lines),
        cmocka_unit_test(else_may_stand_on_its_own_line),
        cmocka_unit_test(words_are_names_elsewhere),
        cmocka_unit_test(studies),
        cmocka_unit_test(one_use_node_per_module),
        cmocka_unit_test(spans),
        cmocka_unit_test(three_mistakes_three_messages),
        cmocka_unit_test(brackets),
        cmocka_unit_test(wrong_words),
        cmocka_unit_test(bad_text),
        cmocka_unit_test(deep_nesting_is_an_error),
        cmocka_unit_test(values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
