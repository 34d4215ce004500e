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

static GNode *reshaped(Model *model, GNode *x, uint32_t rank, const int64_t *sizes) {
    Type type = shape(E_F32, rank, sizes);
    return graph_reshape(model->graph, x, rank, type.dims, true, nowhere);
}

/* Forward, gradient of the weights and of the input are a product each, and nothing as large as the
 * windows is in memory, neither between kernels nor as their workspace. */
static void convolutions_read_through_windows(void **state) {
    (void)state;
    Model model = model_new();
    GNode *h = reshaped(&model, image(&model), 4, (int64_t[]){BATCH, 28, 28, 1});
    h = relu(model.graph, convolution(&model, h, "conv1", 16, 1));
    h = relu(model.graph, convolution(&model, h, "conv2", 24, 2));
    h = reshaped(&model, h, 2, (int64_t[]){BATCH, 14 * 14 * 24});
    nesterov(&model, cross_entropy(&model, dense(&model, h, "dense1", 10)), false);
    StepProgram *program = compile(&model, true);
    EXPECT(program, "image", "conv1_relu_fwd", "conv2_relu_fwd", "dense1_fwd", "softmax_xent_grad",
           "loss", "dense1_dbias", "dense1_dw", "dense1_dx", "conv2_dw", "conv2_dx", "conv1_dw",
           "update");
    int64_t largest = (int64_t)BATCH * 28 * 28 * 16; /* what conv1 leaves; its windows: 9 times */
    for (uint32_t i = 0; i < program->buffers.count; i++)
        if (program->buffers.at[i]->space == SPACE_SCRATCH)
            assert_true(program->buffers.at[i]->count <= largest);
    arena_free(model.arena);
}

/* A maximum over windows is one reduction over them, and so is its gradient. */
static void pools_read_through_windows(void **state) {
    (void)state;
    Model model = model_new();
    GNode *h =
        reshaped(&model, dense(&model, image(&model), "dense1", 200), 3, (int64_t[]){BATCH, 25, 8});
    Window window = {
        .axis = 1, .count = 12, .size = 3, .stride = 2, .dilation = 1, .start = 0, .divide = 1};
    h = graph_window(model.graph, h, &window, nowhere);
    h = graph_reduce(model.graph, OP_REDUCE_MAX, h, 1u << 2, nowhere);
    h = reshaped(&model, h, 2, (int64_t[]){BATCH, 96});
    nesterov(&model, cross_entropy(&model, dense(&model, h, "dense2", 10)), false);
    StepProgram *program = compile(&model, true);
    for (uint32_t i = 0; i < program->buffers.count; i++)
        if (program->buffers.at[i]->space == SPACE_SCRATCH)
            assert_true(program->buffers.at[i]->count != BATCH * 12 * 3 * 8);
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
        cmocka_unit_test(convolutions_read_through_windows),
        cmocka_unit_test(pools_read_through_windows),
        cmocka_unit_test(forty_reductions_in_a_row_are_cut),
        cmocka_unit_test(without_fusion_every_op_is_a_kernel),
        cmocka_unit_test(printing_is_deterministic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
