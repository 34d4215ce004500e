/* What CUDA C says of kernels made by hand, where no program of tests/golden/emit goes: names that
 * C++ or the printer owns, memory that may overlap, rows past the end, rows in shared memory,
 * chunks, places beyond 32 bits, types. Numbers are tests/vgpu/numeric's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "compiler/emit/emit_cuda.h"
#include "tests/unit/emit_support.h"

/* ---- scheduling and reading ---- */

static StepProgram program_of(const Bench *bench) {
    StepProgram program = {.name = "test"};
    for (uint32_t i = 0; i < bench->kernel->buffers.count; i++)
        vec_push(bench->arena, &program.buffers, bench->kernel->buffers.at[i]);
    vec_push(bench->arena, &program.kernels, bench->kernel);
    schedule_cuda(&program, bench->arena);
    for (uint32_t i = 0; i < program.kernels.count; i++)
        assert_null(kernel_verify(program.kernels.at[i], bench->arena));
    return program;
}

static char *text_of(const Bench *bench, const Kernel *kernel) {
    Text text = {0};
    cuda_print_kernel(kernel, NULL, &text);
    char *copy = arena_copy(bench->arena, text.at, text.bytes);
    text_release(&text);
    return copy;
}

static char *only_text(const Bench *bench) {
    StepProgram program = program_of(bench);
    assert_int_equal(program.kernels.count, 1);
    return text_of(bench, program.kernels.at[0]);
}

static void says(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("expected '%s' in\n%s", part, text);
}

static void says_not(const char *text, const char *part) {
    if (strstr(text, part)) fail_msg("did not expect '%s' in\n%s", part, text);
}

/* ---- kernels ---- */

/* to[i] = from[i] + from[i] */
static Bench doubling(const char *name, const char *from_name, Elem elem, int64_t count) {
    Bench bench = bench_new(name, 1);
    uint32_t i = add_axis(&bench, "i", count);
    Buffer *from = add_buffer(&bench, from_name, elem, count);
    Buffer *to = add_buffer(&bench, "to", elem, count);
    int x = load(&bench, from, affine(0, i, 1, -1));
    add_store(&bench, add_stage(&bench, 1u << i, -1, 1), to, affine(0, i, 1, -1),
              op(&bench, OP_ADD, elem, x, x, -1));
    return bench;
}

/* rows x count: the exponentials of a row are kept, summed, and divided by their sum. */
static Bench kept_rows(int64_t rows, int64_t count) {
    Bench bench = bench_new("soft_rows", 1);
    uint32_t i = add_axis(&bench, "i", rows), j = add_axis(&bench, "j", count);
    bench.kernel->outer_count = 1;
    Buffer *x = add_buffer(&bench, "x", E_F32, rows * count);
    Buffer *y = add_buffer(&bench, "y", E_F32, rows * count);
    Buffer *row = arena_alloc(bench.arena, sizeof *row);
    *row = (Buffer){.name = "kept", .elem = E_F32, .count = count, .space = SPACE_LOCAL};
    vec_push(bench.arena, &bench.kernel->locals, row);
    int power =
        op(&bench, OP_EXP, E_F32, load(&bench, x, affine(0, i, (int)count, j, 1, -1)), -1, -1);
    Stage *stage = add_stage(&bench, 1u << j, -1, 1);
    add_reduction(&bench, stage, OP_SUM, power);
    add_store(&bench, stage, row, affine(0, j, 1, -1), power);
    int again = load(&bench, row, affine(0, j, 1, -1));
    int share = op(&bench, OP_DIV, E_F32, again, result(&bench, E_F32, 0, 0), -1);
    add_store(&bench, add_stage(&bench, 1u << j, -1, 1), y, affine(0, i, (int)count, j, 1, -1),
              share);
    return bench;
}

/* ---- names ---- */

static void words_of_cuda_are_nobodys_name(void **state) {
    (void)state;
    Bench bench = doubling("exp", "float", E_F32, 10);
    char *text = only_text(&bench);
    says(text, "\nexp_kernel(const float *__restrict__ float_, float *__restrict__ to,");
    says(text, "const float v0 = float_[i];");
    arena_free(bench.arena);
    static const char *const names[][2] = {
        {"i", "i_"},  {"v0", "v0_"}, {"s0_r0", "s0_r0_"}, {"trial", "trial_"},
        {"t5", "t5"}, {"to", "to"},  {"1st.w", "_1st_w"}, {"dense1.w", "dense1_w"}};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        bench = doubling("twice", names[n][0], E_F32, 10);
        text = only_text(&bench);
        says(text, arena_printf(bench.arena, "(const float *__restrict__ %s,", names[n][1]));
        if (!strcmp(names[n][0], "to")) says(text, "float *__restrict__ to_2,");
        arena_free(bench.arena);
    }
}

static void kernels_of_one_name_stay_apart(void **state) {
    (void)state;
    Bench one = doubling("and", "x", E_F32, 10), two = doubling("and_kernel", "x", E_F32, 10);
    StepProgram program = {.name = "test"};
    vec_push(one.arena, &program.kernels, one.kernel);
    vec_push(one.arena, &program.kernels, two.kernel);
    schedule_cuda(&program, one.arena);
    assert_string_equal(program.kernels.at[0]->name, "and_kernel_2");
    assert_string_equal(program.kernels.at[1]->name, "and_kernel");
    arena_free(one.arena);
    arena_free(two.arena);
}

/* ---- memory ---- */

static void memory_that_may_overlap_is_not_restricted(void **state) {
    (void)state;
    Bench bench = doubling("in_place", "x", E_F32, 100);
    bench.kernel->buffers.at[0]->space = SPACE_TRIAL;
    says(only_text(&bench), "(const float *__restrict__ x, float *__restrict__ to,");
    arena_free(bench.arena);
    bench = doubling("in_place", "x", E_F32, 100);
    bench.kernel->buffers.at[0]->space = bench.kernel->buffers.at[1]->space = SPACE_TRIAL;
    says(only_text(&bench), "(const float *x, float *to, long long trial_stride)");
    arena_free(bench.arena);
}

static void parameters_are_pointers_then_strides(void **state) {
    (void)state;
    Bench bench = doubling("some_map", "x", E_F32, 100);
    bench.kernel->buffers.at[0]->space = SPACE_FIELD;
    bench.kernel->buffers.at[1]->space = SPACE_EXAMPLE;
    char *text = only_text(&bench);
    says(text, "float *__restrict__ to, long long example_stride)");
    says(text, "to = of_trial(to, trial * example_stride);");
    says_not(text, "x = of_trial");
    CudaParameterList list = cuda_parameters(bench.kernel, bench.arena);
    assert_int_equal(list.count, 3);
    assert_ptr_equal(list.at[1].buffer, bench.kernel->buffers.at[1]);
    assert_true(list.at[2].stride && list.at[2].space == SPACE_EXAMPLE);
    arena_free(bench.arena);
}

static void places_beyond_32_bits_are_64_bits_wide(void **state) {
    (void)state;
    Bench bench = doubling("large_map", "x", E_U8, 3000000000);
    char *text = only_text(&bench);
    says(text, "const long long i = blockIdx.x * 1024ll + threadIdx.x + pass * 256;");
    says(text, "if (i >= 3000000000) break;");
    arena_free(bench.arena);
    bench = doubling("small_map", "x", E_U8, 300);
    says(only_text(&bench), "const int i = blockIdx.x * 256 + threadIdx.x;");
    arena_free(bench.arena);
}

/* ---- rows ---- */

static void rows_past_the_end_have_no_points(void **state) {
    (void)state;
    Bench bench = kept_rows(37, 10);
    char *text = only_text(&bench);
    says(text, "const bool here = blockIdx.x * 8 + threadIdx.x / 16 < 37;");
    says(text, "const int i = here ? blockIdx.x * 8 + threadIdx.x / 16 : 36;");
    says(text, "if (lane < 10 && here) {");
    says(text, "s0_r0 = warp_sum<16>(s0_r0);"); /* outside of any condition: by all threads */
    arena_free(bench.arena);
    bench = kept_rows(64, 32);
    says_not(only_text(&bench), "here");
    arena_free(bench.arena);
}

static void kept_rows_are_shared_memory_or_made_again(void **state) {
    (void)state;
    Bench bench = kept_rows(64, 32);
    char *text = only_text(&bench);
    says(text, "__shared__ float kept_rows[4][32];");
    says(text, "float *const kept = kept_rows[threadIdx.x / 32];");
    says(text, "512 bytes shared");
    arena_free(bench.arena);
    bench = kept_rows(2, 13000);
    text = only_text(&bench);
    says_not(text, "kept");
    says(text, "y[13000 * i + j] = exp_f32(x[13000 * i + j]) / s0_r0;");
    assert_true(bench.kernel->gpu.shared_bytes == 32 * sizeof(float));
    arena_free(bench.arena);
}

/* ---- everything is reduced ---- */

/* total = sum of x[i]² over count. */
static Bench total(int64_t count) {
    Bench bench = bench_new("sum_total", 1);
    uint32_t i = add_axis(&bench, "i", count);
    Buffer *x = add_buffer(&bench, "x", E_F64, count), *y = add_buffer(&bench, "y", E_F64, 1);
    int value = load(&bench, x, affine(0, i, 1, -1));
    add_reduction(&bench, add_stage(&bench, 1u << i, -1, 1), OP_SUM,
                  product(&bench, E_F64, value, value));
    add_store(&bench, add_stage(&bench, 0, -1, 1), y, affine(0, -1), result(&bench, E_F64, 0, 0));
    return bench;
}

static void short_totals_are_one_block(void **state) {
    (void)state;
    Bench bench = total(SPLIT_LEAST);
    char *text = only_text(&bench);
    says(text, "1024 threads, 1 block per trial");
    says(text, "s0_r0 = fma(v0, v0, s0_r0);");
    says(text, "s0_r0 = block_sum<1024>(s0_r0);");
    arena_free(bench.arena);
}

static void long_totals_are_cut(void **state) {
    (void)state;
    Bench bench = total(5000);
    StepProgram program = program_of(&bench);
    assert_int_equal(program.kernels.count, 2);
    char *partial = text_of(&bench, program.kernels.at[0]);
    says(partial, "\nsum_total_partial(");
    says(partial, "for (int i = lane; i < 1024 && 1024 * chunk + i < 5000; i += 256) {");
    says(partial, "sum_total_partial_0[chunk] = s0_r0;");
    char *fold = text_of(&bench, program.kernels.at[1]);
    says(fold,
         "\nsum_total(double *__restrict__ y, const double *__restrict__ sum_total_partial_0,");
    says(fold, "if (threadIdx.x < 5) {");
    says(fold, "y[0] = s0_r0;");
    arena_free(bench.arena);
    for (int64_t count = 4097; count < 50000000; count = count * 3 + 1) {
        bench = total(count);
        program = program_of(&bench);
        const Kernel *part = program.kernels.at[0];
        assert_int_equal(part->axes[1].whole, count);
        assert_true(part->axes[0].extent <= SPLIT_MOST_CHUNKS);
        arena_free(bench.arena);
    }
}

/* ---- types ---- */

static void bytes_and_bools_keep_to_their_size(void **state) {
    (void)state;
    Bench bench = doubling("add_bytes", "x", E_U8, 10);
    says(only_text(&bench), "to[i] = (unsigned char)(v0 + v0);");
    arena_free(bench.arena);
    bench = doubling("add_ints", "x", E_I32, 10);
    says(only_text(&bench), "to[i] = (int)((unsigned)v0 + (unsigned)v0);");
    arena_free(bench.arena);
    bench = doubling("add_bools", "x", E_BOOL, 10);
    says(only_text(&bench), "const bool v0 = x[i] != 0;");
    arena_free(bench.arena);
}

static void numbers_are_exact(void **state) {
    (void)state;
    static const struct {
        Elem elem;
        double number;
        const char *text;
    } numbers[] = {{E_F32, 0.1, " 0.1f"},
                   {E_F32, 100, " 100.0f"},
                   {E_F32, -0.0, " -0.0f"},
                   {E_F32, 16777216, " 16777216.0f"},
                   {E_F32, INFINITY, " __int_as_float(0x7f800000)"},
                   {E_F32, -INFINITY, " -__int_as_float(0x7f800000)"},
                   {E_F32, NAN, " __int_as_float(0x7fc00000)"},
                   {E_F64, 0.1, " 0.1"},
                   {E_F64, 1.0 / 3, " 0.3333333333333333"},
                   {E_F64, INFINITY, " __longlong_as_double(0x7ff0000000000000)"},
                   {E_I32, -2147483648.0, " (-2147483647 - 1)"},
                   {E_U32, 4294967295.0, " 4294967295u"},
                   {E_U8, 200, " (unsigned char)200"}};
    for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++) {
        Elem elem = numbers[n].elem;
        Bench bench = bench_new("larger_of", 1);
        uint32_t i = add_axis(&bench, "i", 10);
        Buffer *x = add_buffer(&bench, "x", elem, 10), *y = add_buffer(&bench, "y", elem, 10);
        int value = load(&bench, x, affine(0, i, 1, -1));
        int sum = op(&bench, OP_SELECT, elem, op(&bench, OP_LT, E_BOOL, value, value, -1), value,
                     constant(&bench, elem, numbers[n].number));
        add_store(&bench, add_stage(&bench, 1u << i, -1, 1), y, affine(0, i, 1, -1), sum);
        const char *literal = arena_printf(bench.arena, "v0 :%s;", numbers[n].text);
        says(only_text(&bench), literal);
        arena_free(bench.arena);
    }
}

/* ---- once for all trials ---- */

/* from -> to by one kernel; then to -> end by another, where `again` is. */
static StepProgram chain(Bench *first, Bench *again) {
    StepProgram program = {.name = "test"};
    BufferList *one = &first->kernel->buffers;
    vec_push(first->arena, &program.kernels, first->kernel);
    if (again) {
        Buffer *middle = one->at[1];
        again->kernel->buffers.at[0] = middle;
        again->kernel->exprs.at[0].buffer = middle;
        vec_push(first->arena, &program.kernels, again->kernel);
    }
    schedule_cuda(&program, first->arena);
    return program;
}

static void what_is_made_of_the_batch_is_made_once(void **state) {
    (void)state;
    Bench first = doubling("to_real", "x", E_F32, 10), again = doubling("twice", "h", E_F32, 10);
    first.kernel->buffers.at[0]->space = SPACE_FIELD;
    StepProgram program = chain(&first, &again);
    assert_true(program.kernels.at[0]->gpu.uniform && program.kernels.at[1]->gpu.uniform);
    const char *text = text_of(&again, program.kernels.at[1]);
    says(text, "twice_kernel(const float *__restrict__ to, float *__restrict__ to_2)");
    says(text, "1 block for all trials together");
    says_not(text, "blockIdx.y");
    arena_free(first.arena);
    arena_free(again.arena);
}

static void what_a_trial_has_a_part_in_is_its_own(void **state) {
    (void)state;
    Bench first = doubling("to_real", "x", E_F32, 10), again = doubling("twice", "h", E_F32, 10);
    first.kernel->buffers.at[0]->space = SPACE_TRIAL;
    StepProgram program = chain(&first, &again);
    assert_false(program.kernels.at[0]->gpu.uniform || program.kernels.at[1]->gpu.uniform);
    arena_free(first.arena);
    arena_free(again.arena);
    /* the batch, read into what another kernel stores a trial's own value into as well */
    first = doubling("to_real", "x", E_F32, 10);
    again = doubling("own", "w", E_F32, 10);
    first.kernel->buffers.at[0]->space = SPACE_FIELD;
    again.kernel->buffers.at[0]->space = SPACE_TRIAL;
    again.kernel->buffers.at[1] = first.kernel->buffers.at[1];
    again.kernel->stages.at[0].stores.at[0].buffer = first.kernel->buffers.at[1];
    program = chain(&first, NULL);
    assert_true(program.kernels.at[0]->gpu.uniform);
    vec_push(first.arena, &program.kernels, again.kernel);
    schedule_cuda_uniform(&program);
    assert_false(program.kernels.at[0]->gpu.uniform || program.kernels.at[1]->gpu.uniform);
    arena_free(first.arena);
    arena_free(again.arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_made_of_the_batch_is_made_once),
        cmocka_unit_test(what_a_trial_has_a_part_in_is_its_own),
        cmocka_unit_test(words_of_cuda_are_nobodys_name),
        cmocka_unit_test(kernels_of_one_name_stay_apart),
        cmocka_unit_test(memory_that_may_overlap_is_not_restricted),
        cmocka_unit_test(parameters_are_pointers_then_strides),
        cmocka_unit_test(places_beyond_32_bits_are_64_bits_wide),
        cmocka_unit_test(rows_past_the_end_have_no_points),
        cmocka_unit_test(kept_rows_are_shared_memory_or_made_again),
        cmocka_unit_test(short_totals_are_one_block),
        cmocka_unit_test(long_totals_are_cut),
        cmocka_unit_test(bytes_and_bools_keep_to_their_size),
        cmocka_unit_test(numbers_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
