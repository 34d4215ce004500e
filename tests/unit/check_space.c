/* The numbers of a search space: bounds, reparametrisation, steps, sets; conditional
 * hyperparameters and the variants that they span; sizes of grids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>

#include "compiler/check/checker.h"
#include "grammar/parse.h"

static const char program_start[] =
    "use optim\n"
    "data points = generate(train: 64, valid: 32) { x = [normal(), normal()] }\n"
    "layer tower(x: f32[..., n], width: int) { w: param[n, width]; return x @ w }\n"
    "model m(width: int = 2, drop: real = 0, wide: bool = false, act: fn = tanh) on points {\n"
    "    loss = mean(act(drop + tower(x, width))) ^ 2\n"
    "}\n"
    "optimizer slow(lr, count: int = 1) { param = param - lr * grad / count }\n"
    "study s {\n"
    "    steps 10\n";

typedef struct {
    Arena *arena;
    Checked *checked;
    Diags *diags;
    const Study *study;
} Case;

/* The study of program_start with more statements. */
static Case read_study(const char *statements) {
    Case c = {.arena = arena_new()};
    Sources *sources = sources_new(c.arena);
    Interner *names = interner_new(c.arena);
    c.diags = diags_new(c.arena, sources);
    const char *text = arena_printf(c.arena, "%s%s\n}\n", program_start, statements);
    const Source *source = sources_add(sources, "test.tune", text, (uint32_t)strlen(text));
    CheckOptions options = {.stdlib = TUNE_SOURCE_DIR "/stdlib",
                            .sources = sources,
                            .names = names,
                            .diags = c.diags,
                            .program = c.arena};
    c.checked = check(parse(source, c.arena, names, c.diags), source, &options);
    if (c.checked) c.study = c.checked->studies.at[0];
    return c;
}

static Case good_study(const char *statements) {
    Case c = read_study(statements);
    if (!c.checked) {
        diags_print(c.diags, stderr, false);
        fail_msg("not accepted: %s", statements);
    }
    return c;
}

static const Hyper *hyper_of(const Case *c, const char *name) {
    int h = find_hyper(c->study, name);
    if (h < 0) fail_msg("no hyperparameter %s", name);
    return &c->study->hypers.at[h];
}

/* ---- ranges ---- */

/* The value at the lower and at the upper end of r, by the formula of checked.h. */
static void ends(const Hyper *hyper, double *at_lo, double *at_hi) {
    double lo = hyper->reciprocal ? hyper->scale / hyper->lo : hyper->scale * hyper->lo;
    double hi = hyper->reciprocal ? hyper->scale / hyper->hi : hyper->scale * hyper->hi;
    *at_lo = hyper->offset + lo;
    *at_hi = hyper->offset + hi;
}

static void test_reparametrised(void **state) {
    (void)state;
    static const struct {
        const char *domain;
        double at_lo, at_hi;
        bool log;
    } cases[] = {
        {"[0.25, 0.5]", 0.25, 0.5, false},
        {"[-2, 3]", -2, 3, false},
        {"log(1e-3, 1)", 1e-3, 1, true},
        {"1 - log(1e-2, 1)", 0.99, 0, true},
        {"log(1e-2, 1) - 1", -0.99, 0, true},
        {"2 + log(1, 4)", 3, 6, true},
        {"2 * [1, 3]", 2, 6, false},
        {"[1, 3] / 2", 0.5, 1.5, false},
        {"-[1, 3]", -1, -3, false},
        {"-(1 - [0, 3])", -1, 2, false},
        {"1 / [2, 4]", 0.5, 0.25, false},
        {"3 / (2 * log(1, 4))", 1.5, 0.375, true},
        {"1 - 1 / [2, 4]", 0.5, 0.75, false},
        {"2 * (1 - log(1e-1, 1)) + 3", 4.8, 3, true},
        {"(1 + [0, 1]) * -2", -2, -4, false},
        {"-(5 / [1, 5])", -5, -1, false},
        {"[2 ^ -3, sqrt(4)]", 0.125, 2, false},
        {"pi * [0, 1]", 0, 3.14159265358979323846, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char statement[200];
        snprintf(statement, sizeof statement,
                 "model m(drop: d); optimizer slow(0.1); nuisance d in %s", cases[i].domain);
        Case c = good_study(statement);
        const Hyper *hyper = hyper_of(&c, "d");
        double at_lo, at_hi, least, most;
        ends(hyper, &at_lo, &at_hi);
        hyper_bounds(hyper, &least, &most);
        print_message("%s\n", cases[i].domain);
        assert_int_equal(hyper->kind, DOMAIN_RANGE);
        assert_int_equal(hyper->log, cases[i].log);
        assert_true(fabs(at_lo - cases[i].at_lo) < 1e-12);
        assert_true(fabs(at_hi - cases[i].at_hi) < 1e-12);
        assert_true(least <= most);
        assert_true(fabs(least - fmin(at_lo, at_hi)) < 1e-12);
        assert_true(fabs(most - fmax(at_lo, at_hi)) < 1e-12);
        assert_int_equal(hyper_count(hyper), 0);
        assert_false(hyper->structural);
        arena_free(c.arena);
    }
}

static void test_counted(void **state) {
    (void)state;
    static const struct {
        const char *domain;
        uint32_t count;
        double first, second, last;
    } cases[] = {
        {"int [1, 4]", 4, 1, 2, 4},
        {"int log(16, 64) step 16", 4, 16, 32, 64},
        {"int log(16, 256)", 241, 16, 17, 256},
        {"int [1, 10] step 4", 3, 1, 5, 9},
        {"[0, 0.3] step 0.1", 4, 0, 0.1, 0.3},
        {"1 - [0, 0.5] step 0.25", 3, 1, 0.75, 0.5},
        {"{32, 128, 7}", 3, 32, 128, 7},
        {"{2 ^ 4, 2 ^ 5}", 2, 16, 32, 32},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char statement[200];
        snprintf(statement, sizeof statement,
                 "model m(drop: d); optimizer slow(0.1); nuisance d in %s", cases[i].domain);
        Case c = good_study(statement);
        const Hyper *hyper = hyper_of(&c, "d");
        print_message("%s\n", cases[i].domain);
        assert_int_equal(hyper_count(hyper), cases[i].count);
        assert_true(fabs(hyper_value(hyper, 0) - cases[i].first) < 1e-12);
        assert_true(fabs(hyper_value(hyper, 1) - cases[i].second) < 1e-12);
        assert_true(fabs(hyper_value(hyper, cases[i].count - 1) - cases[i].last) < 1e-12);
        arena_free(c.arena);
    }
}

/* ---- structural or scalar ---- */

static void test_structural(void **state) {
    (void)state;
    Case c = good_study("model m(width: 2 * w, drop: d, wide: b, act: a)\n"
                        "optimizer slow(lr)\n"
                        "scientific w in {1, 2}; scientific b in {true, false}\n"
                        "scientific a in {tanh, exp}; nuisance d in {0, 0.5}\n"
                        "nuisance lr in log(1e-3, 1); fixed batch = 8");
    assert_true(hyper_of(&c, "w")->structural);
    assert_true(hyper_of(&c, "b")->structural);
    assert_true(hyper_of(&c, "b")->booleans);
    assert_true(hyper_of(&c, "a")->structural);
    assert_true(hyper_of(&c, "batch")->structural);
    assert_false(hyper_of(&c, "d")->structural);
    assert_false(hyper_of(&c, "lr")->structural);
    assert_int_equal(c.study->variants.count, 8);
    assert_string_equal(c.study->variants.at[0].name, "w=1, b=true, a=tanh");
    assert_string_equal(c.study->variants.at[7].name, "w=2, b=false, a=exp");
    assert_int_equal(c.study->batch, 8);
    arena_free(c.arena);
}

static void test_nothing_structural(void **state) {
    (void)state;
    Case c = good_study("model m(drop: d); optimizer slow(0.1); nuisance d in [0, 1]");
    assert_int_equal(c.study->variants.count, 1);
    assert_string_equal(c.study->variants.at[0].name, "all");
    assert_int_equal(c.study->batch, 64);
    assert_int_equal(c.study->points, 64);
    arena_free(c.arena);
}

/* ---- conditions ---- */

static void test_conditional(void **state) {
    (void)state;
    Case c = good_study("model m(width: w)\n"
                        "scientific optimizer in {slow(lr: log(1e-3, 1), count: int [1, 3]),\n"
                        "    optim.adam(lr: log(1e-5, 1e-2)), optim.sgd(0.1)}\n"
                        "scientific w in {8, 16}");
    const Study *study = c.study;
    const Hyper *count = hyper_of(&c, "slow.count"), *rate = hyper_of(&c, "adam.lr");
    int optimizer = study->optimizer_hyper;
    assert_int_equal(count->parent, optimizer);
    assert_int_equal(count->parent_value, 0);
    assert_int_equal(rate->parent_value, 1);
    assert_true(count->structural);
    assert_false(rate->structural);
    assert_int_equal(find_hyper(study, "sgd.lr"), -1);

    /* slow has three, the others one; times two widths. */
    assert_int_equal(study->variants.count, (3 + 1 + 1) * 2);
    int at = find_hyper(study, "slow.count");
    for (uint32_t v = 0; v < study->variants.count; v++) {
        const int *choice = study->variants.at[v].choice;
        assert_int_equal(choice[at] >= 0, choice[optimizer] == 0);
        assert_int_equal(choice[find_hyper(study, "adam.lr")], -1);
        for (uint32_t k = 0; k < v; k++)
            assert_string_not_equal(study->variants.at[v].name, study->variants.at[k].name);
    }
    for (uint32_t h = 0; h < study->hypers.count; h++)
        assert_true(study->hypers.at[h].parent < (int)h);
    arena_free(c.arena);
}

static void test_two_of_one_name(void **state) {
    (void)state;
    Case c = good_study("model m\n"
                        "scientific optimizer in {optim.adam(lr: log(1e-3, 1)),\n"
                        "    optim.adam(lr: [0.1, 0.2], beta1: 0.5)}");
    assert_int_equal(hyper_of(&c, "adam.lr")->parent_value, 0);
    assert_int_equal(hyper_of(&c, "adam#2.lr")->parent_value, 1);
    arena_free(c.arena);
}

/* ---- grids ---- */

static void check_grid(const char *search, uint32_t points, uint32_t levels) {
    char statement[400];
    snprintf(statement, sizeof statement,
             "model m(width: w, drop: d); scientific w in {8, 16, 32}; nuisance d in [0, 1]\n"
             "scientific optimizer in {slow(lr: log(1e-3, 1)), optim.sgd(0.1)}\n"
             "search %s",
             search);
    Case c = good_study(statement);
    print_message("%s\n", search);
    assert_int_equal(c.study->points, points);
    assert_int_equal(c.study->grid_levels, levels);
    arena_free(c.arena);
}

/* Of k levels: 3 widths, k values of d, k + 1 of the optimizer. */
static void test_grid(void **state) {
    (void)state;
    check_grid("grid(points: 1)", 3 * 1 * 2, 1);
    check_grid("grid(points: 4)", 3 * 4 * 5, 4);
    check_grid("grid(trials: 6)", 6, 1);
    check_grid("grid(trials: 59)", 3 * 3 * 4, 3);
    check_grid("grid(trials: 60)", 3 * 4 * 5, 4);
}

static void test_grid_finite(void **state) {
    (void)state;
    Case c = good_study("model m(width: w); optimizer slow(0.1)\n"
                        "scientific w in int [1, 5]; search grid()");
    assert_int_equal(c.study->points, 5);
    arena_free(c.arena);
}

/* ---- points ---- */

static void test_points(void **state) {
    (void)state;
    Case c = good_study("model m(width: w, drop: d, act: a); scientific w in {8, 16}\n"
                        "scientific a in {tanh, exp}; nuisance d in 1 - [0, 0.5] step 0.25\n"
                        "scientific optimizer in {slow(lr: log(1e-3, 1)), optim.sgd(0.1)}\n"
                        "search points(point(w: 16, a: exp, d: 0.75, optimizer: slow(lr: 0.5)),\n"
                        "    point(w: 8, a: tanh, d: 1, optimizer: optim.sgd))");
    double **values = c.study->point_values;
    int w = find_hyper(c.study, "w"), a = find_hyper(c.study, "a"), d = find_hyper(c.study, "d");
    int rate = find_hyper(c.study, "slow.lr");
    assert_int_equal(c.study->points, 2);
    assert_true(values[0][w] == 1 && values[1][w] == 0);
    assert_true(values[0][a] == 1 && values[1][a] == 0);
    assert_true(values[0][d] == 0.75 && values[1][d] == 1);
    assert_true(values[0][c.study->optimizer_hyper] == 0 && values[0][rate] == 0.5);
    assert_true(values[1][c.study->optimizer_hyper] == 1 && isnan(values[1][rate]));
    arena_free(c.arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reparametrised), cmocka_unit_test(test_counted),
        cmocka_unit_test(test_structural),     cmocka_unit_test(test_nothing_structural),
        cmocka_unit_test(test_conditional),    cmocka_unit_test(test_two_of_one_name),
        cmocka_unit_test(test_grid),           cmocka_unit_test(test_grid_finite),
        cmocka_unit_test(test_points),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
