/* The verifiers of kernels and plans: a legal program with one rule broken, and what is said. */
#include "tests/unit/kernel_support.h"

static const Kernel *find(const StepProgram *program, const char *name) {
    for (uint32_t i = 0; i < program->kernels.count; i++)
        if (!strcmp(program->kernels.at[i]->name, name)) return program->kernels.at[i];
    fail_msg("no kernel '%s'", name);
    return NULL;
}

typedef struct {
    Model model;
    StepProgram *program;
    Kernel *loss;    /* three reducing stages, rows kept on the stack */
    Kernel *product; /* of dense1, with relu */
} Legal;

static Legal legal(void) {
    Legal made = {.model = model_new()};
    GNode *h = relu(made.model.graph, dense(&made.model, image(&made.model), "dense1", 128));
    nesterov(&made.model, cross_entropy(&made.model, dense(&made.model, h, "dense2", 10)), true);
    made.program = compile(&made.model, true);
    made.loss = (Kernel *)find(made.program, "softmax_xent_grad");
    made.product = (Kernel *)find(made.program, "dense1_relu_fwd");
    assert_null(kernel_verify(made.loss, made.model.arena));
    assert_null(kernel_verify(made.product, made.model.arena));
    assert_null(plan_verify(made.program, made.model.arena));
    return made;
}

static Expr *first_of(Kernel *kernel, ExprKind kind) {
    for (uint32_t e = 0; e < kernel->exprs.count; e++)
        if (kernel->exprs.at[e].kind == kind) return &kernel->exprs.at[e];
    fail_msg("no such expression");
    return NULL;
}

static Stage *storing(Kernel *kernel) {
    for (uint32_t s = kernel->stages.count; s-- > 0;)
        if (kernel->stages.at[s].stores.count) return &kernel->stages.at[s];
    fail_msg("no stores");
    return NULL;
}

/* ---- kernels: each breaks one rule ---- */

static void bad_name(Kernel *k) {
    k->name = "Loss";
}
static void no_extent(Kernel *k) {
    k->axes[0].extent = 0;
}
static void too_many_outer(Kernel *k) {
    k->outer_count = k->axis_count + 1;
}
static void no_stages(Kernel *k) {
    k->stages.count = 0;
}
static void missing_argument(Kernel *k) {
    k->buffers.count--;
}
static void later_operand(Kernel *k) {
    first_of(k, X_OP)->in[0] = (int)k->exprs.count - 1;
}
static void foreign_axis(Kernel *k) {
    first_of(k, X_LOAD)->at.coeff[MAX_AXES - 1] = 1;
}
static void other_elem(Kernel *k) {
    first_of(k, X_LOAD)->elem = E_F64;
}
static void outside(Kernel *k) {
    first_of(k, X_LOAD)->at.offset += 1 << 30;
}
static void no_such_result(Kernel *k) {
    first_of(k, X_RESULT)->word = 31;
}
static void own_result(Kernel *k) {
    first_of(k, X_RESULT)->index = 1; /* of stage 1 itself */
}
static void does_nothing(Kernel *k) {
    storing(k)->stores.count = 0;
}
static void outer_inner(Kernel *k) {
    k->stages.at[0].inner |= 1;
}
static void sums_by_mul(Kernel *k) {
    k->stages.at[0].reductions.at[0].op = OP_MUL;
}
static void no_value(Kernel *k) {
    storing(k)->stores.at[0].value = -1;
}
static void store_outside(Kernel *k) {
    storing(k)->stores.at[0].at.offset = -1;
}
static void stored_twice(Kernel *k) {
    memset(storing(k)->stores.at[0].at.coeff, 0, sizeof(int64_t) * MAX_AXES);
}
static void vector_outside(Kernel *k) {
    storing(k)->vector_axis = MAX_AXES - 1;
}
static void swapped_axes(Kernel *k) {
    k->stages.at[0].contraction->m = k->outer_count + 1;
}
static void crossed_operands(Kernel *k) {
    k->stages.at[0].contraction->a = k->stages.at[0].contraction->b;
}
static void no_epilogue(Kernel *k) {
    k->stages.at[1].inner = 1u << k->outer_count;
}
static void reducing_epilogue(Kernel *k) {
    k->stages.at[1].reductions.count = 1;
}

typedef struct {
    void (*spoil)(Kernel *);
    const char *says;
} Rule;

static void check_rule(const Rule *rule, bool of_product) {
    Legal made = legal();
    Kernel *kernel = of_product ? made.product : made.loss;
    rule->spoil(kernel);
    const char *problem = kernel_verify(kernel, made.model.arena);
    if (!problem || !strstr(problem, rule->says))
        fail_msg("expected '%s', got '%s'", rule->says, problem ? problem : "nothing");
    arena_free(made.model.arena);
}

static void every_rule_of_kernels_is_checked(void **state) {
    (void)state;
    static const Rule rules[] = {{bad_name, "another character than a-z"},
                                 {no_extent, "has extent 0"},
                                 {too_many_outer, "of them outer"},
                                 {no_stages, "0 stages"},
                                 {missing_argument, "not exactly once among the arguments"},
                                 {later_operand, "uses a later one"},
                                 {foreign_axis, "an index uses axis"},
                                 {other_elem, "is loaded as f64"},
                                 {outside, "load of"},
                                 {no_such_result, "result 31 of stage"},
                                 {own_result, "uses a result of stage"},
                                 {does_nothing, "does nothing"},
                                 {outer_inner, "loops over an outer axis"},
                                 {sums_by_mul, "a reduction by 'mul'"},
                                 {no_value, "uses no expression"},
                                 {store_outside, "store of"},
                                 {vector_outside, "a vector axis outside its loops"}};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) check_rule(&rules[i], false);
}

static void every_rule_of_contractions_is_checked(void **state) {
    (void)state;
    static const Rule rules[] = {{swapped_axes, "not m, n, k after the outer ones"},
                                 {crossed_operands, "changes with the other's axis"},
                                 {no_epilogue, "loops over other axes than m, n"},
                                 {reducing_epilogue, "an epilogue that reduces"},
                                 {stored_twice, "are stored more than once"}};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) check_rule(&rules[i], true);
}

/* ---- products through windows ---- */

static StepProgram *convolution_program(Model *model) {
    Type image_type = shape(E_F32, 4, (int64_t[]){BATCH, 28, 28, 1});
    GNode *h = graph_reshape(model->graph, image(model), 4, image_type.dims, true, nowhere);
    h = relu(model->graph, convolution(model, h, "conv1", 8, 1));
    h = relu(model->graph, convolution(model, h, "conv2", 8, 2));
    Type line = shape(E_F32, 2, (int64_t[]){BATCH, 14 * 14 * 8});
    h = graph_reshape(model->graph, h, 2, line.dims, true, nowhere);
    nesterov(model, cross_entropy(model, dense(model, h, "dense1", 10)), false);
    return compile(model, true);
}

static Expr *seen_through(Kernel *k) {
    return &k->exprs.at[k->stages.at[0].contraction->a];
}
static void short_part(Kernel *k) {
    k->axes[k->axis_count].extent--;
}
static void overlapping_part(Kernel *k) {
    k->axes[k->axis_count + 1].below *= 2;
}
static void part_of_nothing(Kernel *k) {
    k->axes[k->axis_count].of = 0;
}
static void parts_apart(Kernel *k) {
    Axis first = k->axes[k->axis_count];
    for (uint32_t i = k->axis_count; i + 1 < k->axis_count + k->part_count; i++)
        k->axes[i] = k->axes[i + 1];
    k->axes[k->axis_count + k->part_count - 1] = first;
}
static void epilogue_of_parts(Kernel *k) {
    Affine part = {.offset = 0};
    part.coeff[k->axis_count] = 1;
    for (uint32_t e = 0; e < k->exprs.count; e++) /* the rectifier's mask */
        if (k->exprs.at[e].kind == X_LOAD && (int)e != k->stages.at[0].contraction->a &&
            (int)e != k->stages.at[0].contraction->b)
            k->exprs.at[e].at = part;
}
static void stored_by_parts(Kernel *k) {
    k->stages.at[1].stores.at[0].at.coeff[k->axis_count] = 1;
}
static void divided_unguarded(Kernel *k) {
    seen_through(k)->divide = 2;
    seen_through(k)->guard = -1;
}
static void beside_the_image(Kernel *k) {
    seen_through(k)->guard = -1;
}

static void every_rule_of_parts_is_checked(void **state) {
    (void)state;
    static const Rule rules[] = {{short_part, "are not all of it"},
                                 {overlapping_part, "are not all of it"},
                                 {part_of_nothing, "belongs to no inner axis"},
                                 {parts_apart, "of axis m are"},
                                 {epilogue_of_parts, "looks at parts of an axis"},
                                 {stored_by_parts, "a store along an axis outside its stage"},
                                 {divided_unguarded, "a divided place"},
                                 {beside_the_image, "load of"}};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        Model model = model_new();
        Kernel *kernel = (Kernel *)find(convolution_program(&model), "conv2_dx");
        assert_null(kernel_verify(kernel, model.arena));
        rules[i].spoil(kernel);
        const char *problem = kernel_verify(kernel, model.arena);
        if (!problem || !strstr(problem, rules[i].says))
            fail_msg("expected '%s', got '%s'", rules[i].says, problem ? problem : "nothing");
        arena_free(model.arena);
    }
}

/* ---- reductions cut into chunks ---- */

/* The parameters, 102,026 of them, summed for a GPU: chunk and position. */
static StepProgram *cut_program(Model *model) {
    GNode *h = relu(model->graph, dense(model, image(model), "dense1", 128));
    nesterov(model, cross_entropy(model, dense(model, h, "dense2", 10)), true);
    TrialLayout layout = trial_layout(2, model->program.param_count, model->program.param_count,
                                      model->state_count, E_F32);
    StepProgram *program = fuse(simplify(model->graph, model->arena), &layout, true, model->arena);
    schedule_cuda(program, model->arena);
    plan(program, model->arena);
    return program;
}

static void chunks_overrun(Kernel *k) {
    k->axes[1].whole = k->axes[0].extent * k->axes[1].extent + 1;
}
static void empty_chunk(Kernel *k) {
    k->axes[0].extent++;
}
static void uncounted_chunks(Kernel *k) {
    k->axes[1].chunks = 2;
}
static void other_stride(Kernel *k) {
    first_of(k, X_LOAD)->at.coeff[0]++;
}
static void beyond_the_whole(Kernel *k) {
    k->axes[1].whole++;
}
static void one_partial_for_all(Kernel *k) {
    storing(k)->stores.at[0].at.coeff[0] = 0;
}

static void every_rule_of_chunks_is_checked(void **state) {
    (void)state;
    static const Rule rules[] = {{chunks_overrun, "in 100 chunks of 1024"},
                                 {empty_chunk, "in 101 chunks of 1024"},
                                 {uncounted_chunks, "chunks that no outer axis counts"},
                                 {other_stride, "along its chunks otherwise"},
                                 {beyond_the_whole, "load of 'flat'"},
                                 {one_partial_for_all, "are stored more than once"}};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        Model model = model_new();
        StepProgram *program = cut_program(&model);
        Kernel *partial = (Kernel *)find(program, "update_partial");
        for (uint32_t k = 0; k < program->kernels.count; k++)
            assert_null(kernel_verify(program->kernels.at[k], model.arena));
        assert_null(plan_verify(program, model.arena));
        rules[i].spoil(partial);
        const char *problem = kernel_verify(partial, model.arena);
        if (!problem || !strstr(problem, rules[i].says))
            fail_msg("expected '%s', got '%s'", rules[i].says, problem ? problem : "nothing");
        arena_free(model.arena);
    }
}

static void schedules_are_part_of_the_signature(void **state) {
    (void)state;
    Model model = model_new();
    Kernel *kernel = (Kernel *)find(cut_program(&model), "update_partial");
    Text one = {0}, two = {0}, three = {0};
    kernel_signature(kernel, &one);
    kernel->name = "another";
    kernel_signature(kernel, &two);
    assert_string_equal(one.at, two.at);
    kernel->gpu.row_threads /= 2;
    kernel_signature(kernel, &three);
    assert_string_not_equal(one.at, three.at);
    text_release(&one);
    text_release(&two);
    text_release(&three);
    arena_free(model.arena);
}

/* ---- plans ---- */

static Buffer *scratch(const StepProgram *program, uint32_t number) {
    for (uint32_t i = 0; i < program->buffers.count; i++)
        if (program->buffers.at[i]->space == SPACE_SCRATCH && number-- == 0)
            return program->buffers.at[i];
    fail_msg("no scratch");
    return NULL;
}

static void one_name_twice(StepProgram *p) {
    p->kernels.at[0]->name = p->kernels.at[1]->name;
}
static void beyond_the_block(StepProgram *p) {
    p->scratch_bytes = 64;
}
static void not_aligned(StepProgram *p) {
    scratch(p, 0)->offset += 4;
}
static void all_in_one_place(StepProgram *p) {
    for (uint32_t i = 0; i < p->buffers.count; i++)
        if (p->buffers.at[i]->space == SPACE_SCRATCH) p->buffers.at[i]->offset = 0;
}
static void read_before_written(StepProgram *p) {
    Kernel *first = p->kernels.at[0];
    p->kernels.at[0] = p->kernels.at[p->kernels.count - 1];
    p->kernels.at[p->kernels.count - 1] = first;
}

static void every_rule_of_plans_is_checked(void **state) {
    (void)state;
    static const struct {
        void (*spoil)(StepProgram *);
        const char *says;
    } rules[] = {{one_name_twice, "two kernels are called"},
                 {beyond_the_block, "lies outside the scratch block"},
                 {not_aligned, "lies outside the scratch block"},
                 {all_in_one_place, "are alive at once and overlap"},
                 {read_before_written, "reads '"}};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        Legal made = legal();
        rules[i].spoil(made.program);
        if (i == 4) plan(made.program, made.model.arena); /* the order is wrong, not the places */
        const char *problem = plan_verify(made.program, made.model.arena);
        if (!problem || !strstr(problem, rules[i].says))
            fail_msg("expected '%s', got '%s'", rules[i].says, problem ? problem : "nothing");
        arena_free(made.model.arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_of_kernels_is_checked),
        cmocka_unit_test(every_rule_of_contractions_is_checked),
        cmocka_unit_test(every_rule_of_parts_is_checked),
        cmocka_unit_test(every_rule_of_chunks_is_checked),
        cmocka_unit_test(schedules_are_part_of_the_signature),
        cmocka_unit_test(every_rule_of_plans_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
