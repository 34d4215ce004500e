/* What becomes one kernel: counts and names for the shapes of graph that fusion is made for. */
#include "kernel_support.h"

static void expect_kernels(const StepProgram *program, const char *const *names, uint32_t count) {
    Text text = {0};
    print_program(program, &text);
    bool same = program->kernels.count == count;
    for (uint32_t i = 0; i < count && same; i++)
        same = !strcmp(program->kernels.at[i]->name, names[i]);
    if (!same) fputs(text.at, stderr);
    text_release(&text);
    assert_true(same);
}

#define EXPECT(program, ...)                                                                       \
    do {                                                                                           \
        const char *const names_[] = {__VA_ARGS__};                                                \
        expect_kernels(program, names_, sizeof names_ / sizeof *names_);                           \
    } while (0)

static void softmax_cross_entropy_with_its_gradient_is_one_kernel(void **state) {
    (void)state;
    Model model = model_new();
    nesterov(&model, cross_entropy(&model, dense(&model, image(&model), "dense1", 10)), false);
    EXPECT(compile(&model, true), "image", "dense1_fwd", "softmax_xent_grad", "loss",
           "dense1_dbias", "dense1_dw", "update");
    arena_free(model.arena);
}

static void an_mlp_is_one_kernel_per_product(void **state) {
    (void)state;
    Model model = model_new();
    GNode *h = relu(model.graph, dense(&model, image(&model), "dense1", 128));
    h = relu(model.graph, dense(&model, h, "dense2", 128));
    nesterov(&model, cross_entropy(&model, dense(&model, h, "dense3", 10)), false);
    EXPECT(compile(&model, true), "image", "dense1_relu_fwd", "dense2_relu_fwd", "dense3_fwd",
           "softmax_xent_grad", "loss", "dense3_dbias", "dense3_dw", "dense3_dx", "dense2_dbias",
           "dense2_dw", "dense2_dx", "dense1_dbias", "dense1_dw", "update");
    arena_free(model.arena);
}

static void layer_norm_is_one_kernel_each_way(void **state) {
    (void)state;
    Model model = model_new();
    GNode *h = dense(&model, image(&model), "dense1", 128);
    h = dense(&model, layer_norm(&model, h, "layer_norm1"), "dense2", 10);
    nesterov(&model, cross_entropy(&model, h), true);
    EXPECT(compile(&model, true), "image", "dense1_fwd", "layer_norm1_fwd", "dense2_fwd",
           "softmax_xent_grad", "loss", "dense2_dbias", "dense2_dw", "dense2_dx",
           "layer_norm1_dshift_dscale", "layer_norm1_bwd", "dense1_dbias", "dense1_dw", "update");
    arena_free(model.arena);
}

/* More reductions one after another than a kernel numbers. */
static void forty_reductions_in_a_row_are_cut(void **state) {
    (void)state;
    Model model = model_new();
    GNode *h = dense(&model, image(&model), "dense1", 16);
    for (uint32_t i = 1; i <= 20; i++)
        h = layer_norm(&model, h, arena_printf(model.arena, "layer_norm%u", i));
    nesterov(&model, cross_entropy(&model, h), true);
    StepProgram *program = compile(&model, true);
    for (uint32_t i = 0; i < program->kernels.count; i++)
        assert_true(program->kernels.at[i]->stages.count < 32);
    arena_free(model.arena);
}

/* A product that is not rounded before it is summed is one op with the sum. */
static void without_fusion_every_op_is_a_kernel(void **state) {
    (void)state;
    Model model = model_new();
    GNode *h = dense(&model, image(&model), "dense1", 128);
    h = dense(&model, layer_norm(&model, h, "layer_norm1"), "dense2", 10);
    nesterov(&model, cross_entropy(&model, h), true);
    StepProgram *program = compile(&model, false);
    for (uint32_t i = 0; i < program->kernels.count; i++) {
        const Kernel *kernel = program->kernels.at[i];
        if (kernel->fused.count == 2)
            assert_string_equal(kernel->fused.at[0], "mul");
        else
            assert_int_equal(kernel->fused.count, 1);
    }
    arena_free(model.arena);
}

static void printing_is_deterministic(void **state) {
    (void)state;
    Text first = {0}, second = {0};
    for (Text *text = &first; text; text = text == &first ? &second : NULL) {
        Model model = model_new();
        GNode *h = relu(model.graph, dense(&model, image(&model), "dense1", 128));
        nesterov(&model, cross_entropy(&model, dense(&model, h, "dense2", 10)), true);
        print_program(compile(&model, true), text);
        arena_free(model.arena);
    }
    assert_string_equal(first.at, second.at);
    text_release(&first);
    text_release(&second);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(softmax_cross_entropy_with_its_gradient_is_one_kernel),
        cmocka_unit_test(an_mlp_is_one_kernel_per_product),
        cmocka_unit_test(layer_norm_is_one_kernel_each_way),
        cmocka_unit_test(forty_reductions_in_a_row_are_cut),
        cmocka_unit_test(without_fusion_every_op_is_a_kernel),
        cmocka_unit_test(printing_is_deterministic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
