/* Elaboration and update: parameters and where they lie, metrics and totals, fields of generated
 * data; scalar parts of the graphs are computed and compared with their formulas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "compiler/graph/elaborate.h"
#include "grammar/parse.h"

typedef struct {
    Arena *arena;
    Sources *sources;
    Interner *names;
    Diags *diags;
    Checked *checked;
    Graph *generate;
    Program *program;
} Compiled;

static void fail_with_messages(Compiled *compiled) {
    diags_print(compiled->diags, stderr, false);
    fail();
}

static void verify(Compiled *compiled, const Graph *graph) {
    const char *broken = graph ? graph_verify(graph, compiled->arena) : NULL;
    if (broken) fail_msg("%s: %s", graph->name, broken);
}

/* The first variant of the first study of `text`, with gradients and update. */
static Compiled compile_text(const char *text) {
    Compiled all = {.arena = arena_new()};
    all.sources = sources_new(all.arena);
    all.names = interner_new(all.arena);
    all.diags = diags_new(all.arena, all.sources);
    const Source *source = sources_add(all.sources, "test.tune", text, (uint32_t)strlen(text));
    CheckOptions options = {.stdlib = TUNE_SOURCE_DIR "/stdlib",
                            .sources = all.sources,
                            .names = all.names,
                            .diags = all.diags,
                            .program = all.arena};
    Node *tree = parse(source, all.arena, all.names, all.diags);
    if (!diags_failed(all.diags)) all.checked = check(tree, source, &options);
    if (diags_failed(all.diags)) fail_with_messages(&all);
    if (all.checked->data.count)
        all.generate = elaborate_generate(all.checked, all.checked->data.at[0], 256, all.arena,
                                          all.names, all.diags);
    const Study *study = all.checked->studies.at[0];
    const Variant *variant = &study->variants.at[0];
    all.program = elaborate(all.checked, study, variant, all.arena, all.names, all.diags);
    if (!all.program) fail_with_messages(&all);
    Program *program = all.program;
    if (program->train) {
        GNode **grads = arena_alloc(all.arena, program->params.count * sizeof *grads);
        grad(program, grads);
        update(program, grads, all.checked, study, variant, all.names, all.diags);
    }
    if (diags_failed(all.diags)) fail_with_messages(&all);
    const Graph *graphs[] = {all.generate, program->init, program->train, program->evaluate,
                             program->finish};
    for (size_t i = 0; i < sizeof graphs / sizeof *graphs; i++) verify(&all, graphs[i]);
    return all;
}

/* ---- computing scalars ---- */

typedef struct {
    const double *hypers, *totals;
    double step;
} Point;

static double scalar(const GNode *node, const Point *at) {
    double a = node->in_count > 0 ? scalar(node->in[0], at) : 0;
    double b = node->in_count > 1 ? scalar(node->in[1], at) : 0;
    switch (node->op) {
    case OP_CONST: return node->number;
    case OP_HYPER: return at->hypers[node->index];
    case OP_TOTAL: return at->totals[node->index];
    case OP_STEP: return at->step;
    case OP_CAST:
    case OP_RESHAPE: return a;
    case OP_NEG: return -a;
    case OP_COS: return cos(a);
    case OP_ADD: return a + b;
    case OP_SUB: return a - b;
    case OP_MUL: return a * b;
    case OP_DIV: return a / b;
    case OP_POW: return pow(a, b);
    case OP_MIN: return fmin(a, b);
    case OP_LT: return a < b;
    case OP_SELECT: return a != 0 ? b : scalar(node->in[2], at);
    default: fail_msg("cannot compute '%s'", op_info[node->op].text);
    }
    return 0;
}

static const GNode *find_named(const Graph *graph, const char *name, Op op) {
    for (uint32_t i = 0; i < graph->nodes.count; i++) {
        const GNode *node = graph->nodes.at[i];
        if (node->op == op && node->name && !strcmp(node->name, name)) return node;
    }
    return NULL;
}

/* ---- programs ---- */

#define DATA                                                                                       \
    "use nn, optim, schedule, init\n"                                                              \
    "data points = generate(train: 64, valid: 32, test: 32) {\n"                                   \
    "    label = randint(3)\n"                                                                     \
    "    far   = uniform(0, 1) < 0.5\n"                                                            \
    "    x     = [normal(), uniform(0, 1)]\n"                                                      \
    "    k     = 3\n"                                                                              \
    "}\n"
#define STUDY(more)                                                                                \
    "study s {\n"                                                                                  \
    "    goal \"which rate?\"\n"                                                                   \
    "    model m\n"                                                                                \
    "    optimizer optim.nesterov(lr)\n"                                                           \
    "    nuisance lr in log(1e-3, 1)\n"                                                            \
    "    fixed batch = 8\n"                                                                        \
    "    search quasirandom(trials: 2, seed: 1)\n"                                                 \
    "    steps 1000\n"                                                                             \
    "    evaluate every 10\n"                                                                      \
    "    select min valid.loss\n" more "}\n"

static void parameters_are_named_by_path_and_aligned(void **state) {
    (void)state;
    Compiled all = compile_text(DATA "layer block(v: f32[..., n], width: int) {\n"
                                     "    gain: param[n] = ones\n"
                                     "    h = nn.dense(v * gain, width)\n"
                                     "    return v + nn.dense(h, n, with_bias: false)\n"
                                     "}\n"
                                     "model m() on points {\n"
                                     "    repeat 2 { x = block(x, 5) }\n"
                                     "    loss = nn.cross_entropy(nn.dense(x, 3), label)\n"
                                     "}\n" STUDY(""));
    const char *names[] = {"block1.gain",          "block1.dense1.weight", "block1.dense1.bias",
                           "block1.dense2.weight", "block2.gain",          "block2.dense1.weight",
                           "block2.dense1.bias",   "block2.dense2.weight", "dense1.weight",
                           "dense1.bias"};
    const Program *program = all.program;
    assert_int_equal(program->params.count, 10);
    for (uint32_t i = 0; i < 10; i++) {
        assert_string_equal(program->params.at[i].name, names[i]);
        assert_int_equal(program->params.at[i].offset, 16 * i);
        assert_int_equal(program->params.at[i].node->index, i);
    }
    assert_int_equal(program->param_count, 160);
    assert_int_equal(program->states.count, 1);
    assert_int_equal(program->init->outputs.at[0].value->type.dims[0].size, 160);
    arena_free(all.arena);
}

static void metrics_are_totals_over_examples(void **state) {
    (void)state;
    Compiled all = compile_text(DATA "model m() on points {\n"
                                     "    y = nn.dense(x, 3)\n"
                                     "    loss = nn.cross_entropy(y, label) + 0.5\n"
                                     "    metric error = mean(argmax(y) != label)\n"
                                     "    metric same  = 2 * mean(argmax(y) != label)\n"
                                     "    metric top   = max(y)\n"
                                     "}\n" STUDY(""));
    const Program *program = all.program;
    double totals[] = {1.25, 0.75, 9};
    Point at = {.totals = totals};
    const double expected[] = {1.75, 0.75, 1.5, 9};
    assert_int_equal(program->totals.count, 3);
    assert_int_equal(program->totals.at[0], TOTAL_MEAN);
    assert_int_equal(program->totals.at[2], TOTAL_MAX);
    assert_int_equal(program->metrics.count, 4);
    assert_string_equal(program->metrics.at[0].name, "loss");
    assert_string_equal(program->metrics.at[3].name, "top");
    for (uint32_t i = 0; i < 4; i++)
        assert_true(scalar(program->finish->outputs.at[i].value, &at) == expected[i]);
    assert_int_equal(program->evaluate->outputs.at[0].value->type.rank, 1);
    assert_int_equal(program->evaluate_batch, 256);
    arena_free(all.arena);
}

static void fields_are_the_tensors_of_the_block(void **state) {
    (void)state;
    Compiled all = compile_text(DATA "model m() on points {\n"
                                     "    loss = nn.cross_entropy(nn.dense(x, 3), label * far)\n"
                                     "}\n" STUDY(""));
    const FieldList *fields = &all.checked->data.at[0]->fields;
    assert_int_equal(fields->count, 3); /* k is a number, not a tensor */
    assert_string_equal(fields->at[1].name, "far");
    assert_int_equal(fields->at[0].type, FIELD_I32);
    assert_int_equal(fields->at[1].type, FIELD_I32);
    assert_int_equal(fields->at[2].type, FIELD_F32);
    assert_int_equal(fields->at[2].rank, 1);
    assert_int_equal(fields->at[2].dims[0], 2);
    arena_free(all.arena);
}

/* Warmup over 100 steps, constant for 50, then half a cosine over the other 850. */
static double rate_at(double step) {
    if (step < 100) return 0.2 * (step + 1) / 100;
    if (step < 150) return 0.2;
    return 0.2 * (0.1 + 0.9 * 0.5 * (1 + cos(3.14159265358979323846 * (step - 150) / 850)));
}

static void pieces_of_a_schedule_follow_each_other(void **state) {
    (void)state;
    Compiled all = compile_text(
        DATA "model m() on points { loss = nn.cross_entropy(nn.dense(x, 3), label) }\n" STUDY(
            "schedule lr = schedule.warmup(steps: 100) then schedule.constant(steps: 50) then "
            "schedule.cosine(to: 0.1)\n"));
    const GNode *rate = find_named(all.program->train, "lr", OP_SELECT);
    double hypers[] = {0.2, 8};
    assert_non_null(rate);
    const double steps[] = {0, 50, 99, 100, 149, 150, 400, 999};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        Point at = {.hypers = hypers, .step = steps[i]};
        assert_true(fabs(scalar(rate, &at) - rate_at(steps[i])) < 1e-6);
    }
    arena_free(all.arena);
}

static void a_model_without_data_and_parameters_is_a_function(void **state) {
    (void)state;
    Compiled all = compile_text("def f(x, y) { return (x - 1) ^ 2 + 100 * (y - x ^ 2) ^ 2 }\n"
                                "model rosenbrock(x: real, y: real) { loss = f(x, y) }\n"
                                "study s {\n"
                                "    goal \"where is the valley?\"\n"
                                "    model rosenbrock(x, y)\n"
                                "    nuisance x in [-2, 2]\n"
                                "    nuisance y in [-2, 2]\n"
                                "    search quasirandom(trials: 4, seed: 1)\n"
                                "    select min loss\n"
                                "    precision f64\n"
                                "}\n");
    double hypers[] = {-1.5, 0.75};
    Point at = {.hypers = hypers};
    assert_null(all.program->train);
    assert_null(all.program->init);
    assert_null(all.program->evaluate);
    assert_int_equal(all.program->real, E_F64);
    assert_true(scalar(all.program->finish->outputs.at[0].value, &at) == 6.25 + 100 * 2.25);
    arena_free(all.arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_named_by_path_and_aligned),
        cmocka_unit_test(metrics_are_totals_over_examples),
        cmocka_unit_test(fields_are_the_tensors_of_the_block),
        cmocka_unit_test(pieces_of_a_schedule_follow_each_other),
        cmocka_unit_test(a_model_without_data_and_parameters_is_a_function),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
