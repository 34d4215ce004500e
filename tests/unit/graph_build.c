/* The builders: equal nodes once, constants folded, types inferred; the verifier; the text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "compiler/graph/graph.h"

static const Span nowhere = {0, 0};

typedef struct {
    Arena *arena;
    Graph *graph;
} Fixture;

static int setup(void **state) {
    Fixture *f = test_malloc(sizeof *f);
    f->arena = arena_new();
    f->graph = graph_new(f->arena, "train", E_F32);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    Fixture *f = *state;
    arena_free(f->arena);
    test_free(f);
    return 0;
}

static GNode *field(Fixture *f) { /* x f32[batch = 4, 2] */
    Type type = {.elem = E_F32, .rank = 2, .dims = {{.size = 4, .name = "batch"}, {.size = 2}}};
    return graph_leaf(f->graph, OP_FIELD, &type, true, false, 0, "x", nowhere);
}

static GNode *weight(Fixture *f) { /* dense1.weight f32[2, 3] */
    Type type = {.elem = E_F32, .rank = 2, .dims = {{.size = 2}, {.size = 3}}};
    return graph_leaf(f->graph, OP_PARAM, &type, false, true, 0, "dense1.weight", nowhere);
}

static GNode *product(Fixture *f) {
    Einsum einsum = {"bi", "io", "bo"};
    GNode *x = field(f);
    return graph_contract(f->graph, x, weight(f), &einsum, nowhere);
}

static void test_equal_nodes_are_made_once(void **state) {
    Fixture *f = *state;
    assert_ptr_equal(product(f), product(f));
    GNode *x = field(f);
    assert_ptr_equal(graph_unary(f->graph, OP_EXP, x, nowhere),
                     graph_unary(f->graph, OP_EXP, x, nowhere));
    assert_ptr_not_equal(graph_unary(f->graph, OP_EXP, x, nowhere),
                         graph_unary(f->graph, OP_SIN, x, nowhere));
    assert_ptr_not_equal(graph_const(f->graph, 0.0, E_F32, nowhere),
                         graph_const(f->graph, -0.0, E_F32, nowhere));
    for (int i = 0; i < 1000; i++) graph_const(f->graph, i, E_F32, nowhere); /* the table grows */
    assert_ptr_equal(graph_const(f->graph, 999, E_F32, nowhere),
                     graph_const(f->graph, 999, E_F32, nowhere));
}

static void test_flags_and_shapes(void **state) {
    Fixture *f = *state;
    GNode *h = product(f);
    assert_true(h->per_trial && h->batched);
    assert_int_equal(h->type.rank, 2);
    assert_int_equal(h->type.dims[1].size, 3);
    assert_string_equal(h->type.dims[0].name, "batch");
    assert_false(graph_reduce(f->graph, OP_SUM, h, 1, nowhere)->batched);
    assert_true(graph_reduce(f->graph, OP_SUM, h, 2, nowhere)->batched);
    Einsum over_batch = {"bi", "bo", "io"};
    GNode *gradient = graph_contract(f->graph, field(f), h, &over_batch, nowhere);
    assert_false(gradient->batched);
    assert_int_equal(graph_binary(f->graph, OP_LT, h, h, nowhere)->type.elem, E_BOOL);
}

static double folded(Fixture *f, Op op, Elem elem, double a, double b) {
    GNode *first = graph_const(f->graph, a, elem, nowhere);
    GNode *node =
        graph_binary(f->graph, op, first, graph_const(f->graph, b, elem, nowhere), nowhere);
    assert_int_equal(node->op, OP_CONST);
    return node->number;
}

static void test_constants_fold_in_the_precision_of_the_run_time(void **state) {
    Fixture *f = *state;
    assert_true(folded(f, OP_DIV, E_F32, 1, 3) == (double)(1.0f / 3.0f));
    assert_true(folded(f, OP_DIV, E_F64, 1, 3) == 1.0 / 3.0);
    assert_true(folded(f, OP_ADD, E_I32, 2147483647, 1) == -2147483648.0);
    assert_true(folded(f, OP_MOD, E_I32, -7, 3) == 2);
    GNode *seven = graph_const(f->graph, 7, E_I32, nowhere),
          *zero = graph_const(f->graph, 0, E_I32, nowhere);
    assert_int_equal(graph_binary(f->graph, OP_DIV, seven, zero, nowhere)->op, OP_DIV);
    GNode *huge = graph_const(f->graph, 1e20, E_F32, nowhere);
    assert_int_equal(graph_cast(f->graph, huge, E_I32, nowhere)->op, OP_CAST);
    assert_int_equal(graph_unary(f->graph, OP_EXP, huge, nowhere)->op, OP_EXP);
}

static void test_small_powers_are_products(void **state) {
    Fixture *f = *state;
    GNode *x = field(f);
    for (int i = 0; i < 2; i++) {
        GNode *exponent = graph_fill(f->graph, i ? 2 : 0.5, E_F32, &x->type, true, nowhere);
        assert_int_equal(graph_binary(f->graph, OP_POW, x, exponent, nowhere)->op,
                         i ? OP_MUL : OP_SQRT);
    }
    GNode *exponent = graph_fill(f->graph, 2.5, E_F32, &x->type, true, nowhere);
    assert_int_equal(graph_binary(f->graph, OP_POW, x, exponent, nowhere)->op, OP_POW);
}

static void test_views_that_change_nothing(void **state) {
    Fixture *f = *state;
    GNode *w = weight(f);
    assert_ptr_equal(graph_permute(f->graph, w, (uint8_t[MAX_RANK]){0, 1}, nowhere), w);
    assert_ptr_equal(graph_reshape(f->graph, w, 2, w->type.dims, false, nowhere), w);
    assert_ptr_equal(graph_slice(f->graph, w, (int64_t[MAX_RANK]){0, 0}, w->type.dims, nowhere), w);
}

static void test_text(void **state) {
    Fixture *f = *state;
    GNode *h = product(f);
    h->name = "h";
    GNode *half = graph_fill(f->graph, 0.1, E_F32, &h->type, true, nowhere);
    GNode *sum = graph_reduce(f->graph, OP_SUM, graph_binary(f->graph, OP_MUL, h, half, nowhere), 3,
                              nowhere);
    graph_output(f->graph, OUT_LOSS, 0, sum);
    Text text = {0};
    graph_print(f->graph, NULL, &text);
    assert_string_equal(text.at, "graph train   # batch = 4\n"
                                 "%0 f32[batch, 2] = field x\n"
                                 "%1 f32[trial, 2, 3] = param dense1.weight\n"
                                 "%2 f32[trial, batch, 3] = contract %0, %1 \"bi,io->bo\"   # h\n"
                                 "%3 f32[] = const 0.1\n"
                                 "%4 f32[1, 1] = reshape %3\n"
                                 "%5 f32[batch, 3] = broadcast %4\n"
                                 "%6 f32[trial, batch, 3] = mul %2, %5\n"
                                 "%7 f32[trial] = sum %6 over 0, 1\n"
                                 "output loss = %7\n");
    assert_null(graph_verify(f->graph, f->arena));
    text_release(&text);
}

static void test_simplify_leaves_what_is_needed(void **state) {
    Fixture *f = *state;
    GNode *h = product(f);
    GNode *one = graph_fill(f->graph, 1, E_F32, &h->type, true, nowhere);
    GNode *same =
        graph_unary(f->graph, OP_STOP, graph_binary(f->graph, OP_MUL, h, one, nowhere), nowhere);
    graph_unary(f->graph, OP_EXP, h, nowhere); /* dead */
    graph_output(f->graph, OUT_FIELD, 0, same);
    Graph *simple = simplify(f->graph, f->arena);
    assert_int_equal(simple->nodes.count, 3);
    assert_int_equal(simple->outputs.at[0].value->op, OP_CONTRACT);
}

/* The gradient of the mean of a log-softmax cross-entropy, as nn.tune writes it: nothing flows
 * through the shift, so exactly one maximum and no comparison with it. */
static void test_shift_has_no_gradient(void **state) {
    Fixture *f = *state;
    Graph *g = f->graph;
    GNode *x = product(f);
    Dim kept[2] = {x->type.dims[0], {.size = 1}};
    GNode *shift =
        graph_reshape(g, graph_reduce(g, OP_REDUCE_MAX, x, 2, nowhere), 2, kept, true, nowhere);
    shift =
        graph_broadcast(g, graph_unary(g, OP_STOP, shift, nowhere), 2, x->type.dims, true, nowhere);
    GNode *z = graph_binary(g, OP_SUB, x, shift, nowhere);
    GNode *total = graph_reduce(g, OP_SUM, graph_unary(g, OP_EXP, z, nowhere), 2, nowhere);
    GNode *lost = graph_reduce(g, OP_SUM, graph_unary(g, OP_LOG, total, nowhere), 1, nowhere);
    Program program = {.arena = f->arena, .train = g, .loss = lost, .real = E_F32};
    vec_push(f->arena, &program.params, (Parameter){.type = weight(f)->type, .node = weight(f)});
    GNode *gradient;
    grad(&program, &gradient);
    assert_null(graph_verify(g, f->arena));
    for (uint32_t i = 0; i < g->nodes.count; i++) assert_int_not_equal(g->nodes.at[i]->op, OP_EQ);
    assert_int_equal(gradient->op, OP_CONTRACT);
    assert_string_equal(gradient->einsum.out, "io");
}

/* ---- the verifier ---- */

static void expect_broken(Fixture *f, const char *rule) {
    const char *found = graph_verify(f->graph, f->arena);
    assert_non_null(found);
    assert_string_equal(found, rule);
}

static void test_verify_order(void **state) {
    Fixture *f = *state;
    GNode *e = graph_unary(f->graph, OP_EXP, field(f), nowhere);
    e->in[0] = e;
    expect_broken(f, "train: %1 = exp: operands come before their users");
}

static void test_verify_shape(void **state) {
    Fixture *f = *state;
    graph_binary(f->graph, OP_ADD, field(f), field(f), nowhere)->type.dims[1].size = 3;
    expect_broken(f, "train: %1 = add: operands have the result's shape");
}

static void test_verify_flags(void **state) {
    Fixture *f = *state;
    GNode *h = product(f);
    h->per_trial = false;
    expect_broken(f, "train: %2 = contract: a value is per trial exactly if an operand is");
    h->per_trial = true;
    h->batched = false;
    expect_broken(f, "train: %2 = contract: the batch flag is wrong for these operands");
}

static void test_verify_labels(void **state) {
    Fixture *f = *state;
    GNode *h = product(f);
    h->einsum = (Einsum){"bi", "jo", "bo"};
    expect_broken(f, "train: %2 = contract: every label occurs in two of the three");
    h->einsum = (Einsum){"bb", "bo", "bo"};
    expect_broken(
        f, "train: %2 = contract: one label from a to z per axis, none twice in one operand");
    h->einsum = (Einsum){"ib", "io", "bo"};
    expect_broken(f, "train: %2 = contract: axes of one label have one size");
}

static void test_verify_output(void **state) {
    Fixture *f = *state;
    graph_output(f->graph, OUT_LOSS, 0, field(f));
    expect_broken(f, "train: output 0: this output is one number");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_equal_nodes_are_made_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flags_and_shapes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_constants_fold_in_the_precision_of_the_run_time, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_small_powers_are_products, setup, teardown),
        cmocka_unit_test_setup_teardown(test_views_that_change_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_simplify_leaves_what_is_needed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shift_has_no_gradient, setup, teardown),
        cmocka_unit_test_setup_teardown(test_verify_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_verify_shape, setup, teardown),
        cmocka_unit_test_setup_teardown(test_verify_flags, setup, teardown),
        cmocka_unit_test_setup_teardown(test_verify_labels, setup, teardown),
        cmocka_unit_test_setup_teardown(test_verify_output, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
