/* The device layer on the virtual GPU: a hand-made program of four kernels (kernels.cu) that is
 * run, captured, streamed and broken.
 *
 *     gpu_test FOLDER/libcuda.so.1 CASE
 *
 * One case per process: after a fault a context answers nothing but that fault. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/file.h"
#include "runtime/gpu.h"
#include "runtime/gpu_data.h"

enum { COUNT = 100, TRIALS = 3, EXAMPLES = 130 };

/* A trial's block: rate at 0, x at 64; padded. Its scratch: h at 0, and behind it another buffer.
 */
enum { X_AT = 64, TRIAL_BYTES = 64 + COUNT * 4, TRIAL_STRIDE = 512 };
enum { AFTER_H = COUNT * 4, SCRATCH_STRIDE = 768 };
enum { TOTALS = 2, TOTAL_STRIDE = TOTALS * 8 };

static const TuneGpuArgument scale_arguments[] = {
    {.space = TUNE_GPU_TRIAL, .name = "x", .offset = X_AT, .bytes = COUNT * 4},
    {.space = TUNE_GPU_TRIAL, .name = "rate", .bytes = 8},
    {.space = TUNE_GPU_SCRATCH, .name = "h", .bytes = COUNT * 4},
    {.space = TUNE_GPU_TRIAL, .stride = true},
    {.space = TUNE_GPU_SCRATCH, .stride = true}};
static const TuneGpuArgument gather_arguments[] = {
    {.space = TUNE_GPU_SCRATCH, .name = "h", .bytes = COUNT * 4},
    {.space = TUNE_GPU_TRIAL, .name = "x", .offset = X_AT, .bytes = COUNT * 4},
    {.space = TUNE_GPU_FIELD, .name = "value", .slot = 0},
    {.space = TUNE_GPU_TOTAL, .name = "total", .slot = 1, .bytes = 8},
    {.space = TUNE_GPU_INDEX, .name = "index"},
    {.space = TUNE_GPU_TRIAL, .stride = true},
    {.space = TUNE_GPU_SCRATCH, .stride = true},
    {.space = TUNE_GPU_TOTAL, .stride = true}};
static const TuneGpuArgument overrun_arguments[] = {
    {.space = TUNE_GPU_SCRATCH, .name = "h", .bytes = COUNT * 4},
    {.space = TUNE_GPU_SCRATCH, .stride = true}};

#define SCALE                                                                                      \
    { "dense1_fwd", "toy.tune:3", 0, "scale", 64, 2, false, 5, scale_arguments }
#define GATHER                                                                                     \
    { "loss_grad", "toy.tune:4, toy.tune:5", 0, "gather", 64, 2, false, 8, gather_arguments }
static const TuneGpuLaunch train[] = {SCALE, GATHER};
static const TuneGpuLaunch stale[] = {GATHER};
static const TuneGpuLaunch overrun[] = {
    {"relu_fwd", "toy.tune:9", 0, "overrun", 64, 2, false, 2, overrun_arguments}};
static const TuneGpuLaunch too_wide[] = {
    {"dense1_fwd", "toy.tune:3", 0, "scale", 4096, 2, false, 5, scale_arguments}};
static const TuneGpuLaunch unknown[] = {
    {"dense1_fwd", "toy.tune:3", 0, "skale", 64, 2, false, 5, scale_arguments}};
static const TuneGpuSteps train_steps = {2, train}, stale_steps = {1, stale};

/* Every module offers a cubin first, which the virtual GPU refuses. */
static const unsigned char elf[64] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
static const TuneCubin cubins[] = {{80, false, elf, sizeof elf}, {90, true, elf, sizeof elf}};

typedef struct {
    char *cuda, *ptx;
    TuneGpuModule modules[2];
    TuneProgram program;
    GpuDriver *driver;
    Gpu *gpu;
    GpuPlace place;
    uint64_t fields[1], field_bytes[1], counter;
    float data[EXAMPLES];
    int32_t index[COUNT];
    Fail fail;
} Toy;

static const char *library; /* from the command line */

/* ---- the toy ---- */

static void require(const Toy *toy, bool ok) {
    if (!ok) fail_msg("%s (help: %s)", toy->fail.text, toy->fail.help);
}

static float initial(uint32_t trial, uint32_t i) {
    return (float)(trial + 1) + 0.25f * (float)i;
}

static void toy_program(Toy *toy) {
    uint64_t size;
    require(toy, file_read(TUNE_SOURCE_DIR "/tests/vgpu/runtime/kernels.cu", &toy->cuda, &size,
                           &toy->fail));
    require(toy, file_read(TUNE_SOURCE_DIR "/tests/vgpu/runtime/kernels.ptx", &toy->ptx, &size,
                           &toy->fail));
    toy->modules[0] = (TuneGpuModule){"kernels", toy->cuda, toy->ptx, 2, cubins};
    toy->modules[1] = (TuneGpuModule){"steps", toy->cuda, toy->ptx, 2, cubins};
    toy->program = (TuneProgram){.abi = TUNE_ABI,
                                 .name = "toy",
                                 .gpu_module_count = 2,
                                 .gpu_modules = toy->modules,
                                 .gpu_steps = 1};
    for (int i = 0; i < EXAMPLES; i++) toy->data[i] = 0.5f * (float)i;
    for (int i = 0; i < COUNT; i++) toy->index[i] = (i * 7 + 3) % EXAMPLES;
}

static void toy_open_device(Toy *toy) {
    memset(toy, 0, sizeof *toy);
    toy_program(toy);
    toy->driver = gpu_driver_open(library, &toy->fail);
    require(toy, toy->driver != NULL);
    toy->gpu = gpu_open(toy->driver, 0, &toy->program, &toy->fail);
    require(toy, toy->gpu != NULL);
}

static void toy_upload_trials(Toy *toy) {
    char block[TRIAL_BYTES] = {0};
    for (uint32_t t = 0; t < TRIALS; t++) {
        double rate = 0.5 + t;
        memcpy(block, &rate, sizeof rate);
        for (uint32_t i = 0; i < COUNT; i++) {
            float value = initial(t, i);
            memcpy(block + X_AT + i * 4, &value, sizeof value);
        }
        require(toy, gpu_upload(toy->gpu, toy->place.trial + t * TRIAL_STRIDE, block, sizeof block,
                                "parameters of a trial", &toy->fail));
    }
}

static void toy_allocate(Toy *toy, uint64_t bytes, const char *what, uint64_t *address) {
    require(toy, gpu_allocate(toy->gpu, bytes, what, address, &toy->fail));
    assert_int_equal(*address % 256, 0);
}

static void toy_open(Toy *toy) {
    toy_open_device(toy);
    GpuPlace *place = &toy->place;
    *place = (GpuPlace){.trials = TRIALS,
                        .trial_stride = TRIAL_STRIDE,
                        .scratch_stride = SCRATCH_STRIDE,
                        .fields = toy->fields,
                        .field_bytes = toy->field_bytes,
                        .index_bytes = sizeof toy->index,
                        .total_stride = TOTAL_STRIDE,
                        .who = "trials 8 to 10"};
    toy_allocate(toy, TRIALS * TRIAL_STRIDE, "trials", &place->trial);
    toy_allocate(toy, TRIALS * SCRATCH_STRIDE, "scratch", &place->scratch);
    toy_allocate(toy, TRIALS * TOTAL_STRIDE, "totals", &place->totals);
    toy_allocate(toy, sizeof toy->data, "field 'value'", &toy->fields[0]);
    toy_allocate(toy, sizeof toy->index, "index", &place->index);
    toy_allocate(toy, 8, "counter", &toy->counter);
    toy->field_bytes[0] = sizeof toy->data;
    require(toy, gpu_upload(toy->gpu, toy->fields[0], toy->data, sizeof toy->data, "field 'value'",
                            &toy->fail));
    require(toy,
            gpu_upload(toy->gpu, place->index, toy->index, sizeof toy->index, "index", &toy->fail));
    require(toy, gpu_clear(toy->gpu, toy->counter, 8, "counter", &toy->fail));
    require(toy, gpu_clear(toy->gpu, place->totals, TRIALS * TOTAL_STRIDE, "totals", &toy->fail));
    toy_upload_trials(toy);
}

static void toy_close(Toy *toy) {
    if (toy->gpu) {
        gpu_free(toy->gpu, toy->place.trial);
        gpu_free(toy->gpu, toy->place.scratch);
        gpu_free(toy->gpu, toy->place.totals);
        gpu_free(toy->gpu, toy->place.index);
        gpu_free(toy->gpu, toy->fields[0]);
        gpu_free(toy->gpu, toy->counter);
    }
    gpu_close(toy->gpu);
    gpu_driver_close(toy->driver);
    free(toy->cuda);
    free(toy->ptx);
}

/* What `steps` training steps leave in x of a trial; *total: the sum of the last one. */
static void reference(const Toy *toy, uint32_t trial, uint32_t steps, float x[COUNT],
                      double *total) {
    float h[COUNT], rate = (float)(0.5 + trial);
    for (uint32_t i = 0; i < COUNT; i++) x[i] = initial(trial, i);
    *total = 0;
    for (uint32_t s = 0; s < steps; s++) {
        *total = 0;
        for (uint32_t i = 0; i < COUNT; i++) {
            h[i] = rate * x[i];
            *total += (double)h[i];
            x[i] = h[i] + toy->data[toy->index[i]];
        }
    }
}

static void check_results(Toy *toy, uint32_t steps) {
    float x[COUNT], wanted[COUNT];
    double totals[TRIALS][TOTALS], total;
    require(toy,
            gpu_download(toy->gpu, totals, toy->place.totals, sizeof totals, "totals", &toy->fail));
    for (uint32_t t = 0; t < TRIALS; t++) {
        uint64_t from = toy->place.trial + t * TRIAL_STRIDE + X_AT;
        require(toy, gpu_download(toy->gpu, x, from, sizeof x, "x", &toy->fail));
        reference(toy, t, steps, wanted, &total);
        assert_memory_equal(x, wanted, sizeof x);
        assert_memory_equal(&totals[t][1], &total, sizeof total);
    }
}

static bool advance(Toy *toy, uint64_t by) {
    void *parameters[] = {&toy->counter, &by};
    GpuRange range = {"counter", toy->counter, 8};
    return gpu_run_fixed(toy->gpu,
                         &(GpuFixedLaunch){.entry = "advance",
                                           .blocks_x = 1,
                                           .blocks_y = 1,
                                           .threads = 32,
                                           .parameters = parameters,
                                           .ranges = &range,
                                           .range_count = 1},
                         &toy->fail);
}

/* ---- what works ---- */

static void launches(void **state) {
    (void)state;
    Toy toy;
    toy_open(&toy);
    assert_true(gpu_driver_is_virtual(toy.driver));
    assert_true(strlen(gpu_name(toy.gpu)) > 0);
    assert_int_equal(gpu_number(toy.gpu), 0);
    double milliseconds = -1;
    require(&toy, gpu_mark(toy.gpu, 0, &toy.fail));
    require(&toy, gpu_run(toy.gpu, &train_steps, &toy.place, &toy.fail));
    require(&toy, gpu_run(toy.gpu, &train_steps, &toy.place, &toy.fail));
    require(&toy, gpu_mark(toy.gpu, 1, &toy.fail));
    require(&toy, gpu_wait(toy.gpu, NULL, NULL, &toy.fail));
    require(&toy, gpu_marked_time(toy.gpu, &milliseconds, &toy.fail));
    assert_true(milliseconds >= 0);
    check_results(&toy, 2);
    toy_close(&toy);
}

static void count_tick(void *context) {
    ++*(uint32_t *)context;
}

static double seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* A tick about every fifth of a second, and none in a short wait. */
static void ticks(void **state) {
    (void)state;
    Toy toy;
    toy_open(&toy);
    uint32_t seen = 0;
    for (uint32_t count = 1024; !seen; count *= 2) {
        for (uint32_t l = 0; l < count; l++) require(&toy, advance(&toy, 1));
        double begin = seconds();
        require(&toy, gpu_wait(toy.gpu, count_tick, &seen, &toy.fail));
        double waited = seconds() - begin;
        assert_true(seen <= waited / 0.2);
        assert_true(seen > 0 || waited < 5);
    }
    toy_close(&toy);
}

/* Modules are loaded within the capture; a graph is launched more than once. */
static void graphs(void **state) {
    (void)state;
    Toy toy;
    toy_open(&toy);
    require(&toy, gpu_capture(toy.gpu, &toy.fail));
    for (int s = 0; s < 2; s++) {
        require(&toy, gpu_run(toy.gpu, &train_steps, &toy.place, &toy.fail));
        require(&toy, advance(&toy, 5));
    }
    GpuGraph *graph = gpu_capture_end(toy.gpu, &toy.fail);
    require(&toy, graph != NULL);
    check_results(&toy, 0); /* captured, not run */
    for (int l = 0; l < 3; l++) require(&toy, gpu_graph_launch(toy.gpu, graph, &toy.fail));
    uint64_t counter = 0;
    require(&toy, gpu_wait(toy.gpu, NULL, NULL, &toy.fail));
    require(&toy, gpu_download(toy.gpu, &counter, toy.counter, 8, "counter", &toy.fail));
    assert_int_equal(counter, 30);
    check_results(&toy, 6);
    gpu_graph_free(toy.gpu, graph);
    gpu_graph_free(toy.gpu, NULL);
    toy_close(&toy);
}

/* A capture that fails is over when it is ended, and one that is never ended is over at the end. */
static void captures_that_end_badly(void **state) {
    (void)state;
    Toy toy;
    Fail fail = {0};
    toy_open_device(&toy);
    TuneGpuSteps missing = {1, unknown};
    require(&toy, gpu_capture(toy.gpu, &toy.fail));
    assert_false(gpu_run(toy.gpu, &missing, &toy.place, &fail));
    GpuGraph *graph = gpu_capture_end(toy.gpu, &toy.fail); /* empty */
    gpu_graph_free(toy.gpu, graph);
    require(&toy, gpu_wait(toy.gpu, NULL, NULL, &toy.fail));
    require(&toy, gpu_capture(toy.gpu, &toy.fail));
    toy_close(&toy);
}

static void memory(void **state) {
    (void)state;
    Toy toy;
    toy_open_device(&toy);
    uint64_t before, total, left, a, b;
    require(&toy, gpu_memory(toy.gpu, &before, &total, &toy.fail));
    toy_allocate(&toy, 1 << 20, "a", &a);
    toy_allocate(&toy, 1000, "b", &b);
    require(&toy, gpu_memory(toy.gpu, &left, &total, &toy.fail));
    assert_true(left + (1 << 20) <= before && before <= total);
    char *pinned;
    require(&toy, gpu_host_allocate(toy.gpu, 2000, "staging", (void **)&pinned, &toy.fail));
    for (int i = 0; i < 1000; i++) pinned[i] = (char)(i % 251);
    require(&toy, gpu_upload_later(toy.gpu, b, pinned, 1000, "b", &toy.fail));
    require(&toy, gpu_clear(toy.gpu, b + 10, 20, "b", &toy.fail));
    require(&toy, gpu_copy(toy.gpu, a, b, 1000, "a", &toy.fail));
    require(&toy, gpu_download_later(toy.gpu, pinned + 1000, a, 1000, "a", &toy.fail));
    require(&toy, gpu_wait(toy.gpu, NULL, NULL, &toy.fail));
    for (int i = 0; i < 1000; i++)
        assert_int_equal(pinned[1000 + i], i >= 10 && i < 30 ? 0 : pinned[i]);
    gpu_host_free(toy.gpu, pinned);
    gpu_free(toy.gpu, a);
    gpu_free(toy.gpu, b);
    gpu_free(toy.gpu, 0);
    toy_close(&toy);
}

/* ---- data ---- */

static const TuneField set_fields[] = {
    {.name = "value", .type = TUNE_FIELD_F32, .elem = TUNE_F32},
    {.name = "pixels", .type = TUNE_FIELD_U8, .elem = TUNE_U8, .rank = 2, .dims = {3, 5}}};
static const TuneData set_info = {.name = "numbers", .field_count = 2, .fields = set_fields};

typedef struct {
    unsigned char pixels[EXAMPLES][15];
    int32_t order[EXAMPLES];
    void *fields[2];
    DataSet set;
} Numbers;

static void numbers_make(Toy *toy, Numbers *numbers) {
    for (int i = 0; i < EXAMPLES; i++) {
        memset(numbers->pixels[i], i, sizeof numbers->pixels[i]);
        numbers->order[i] = EXAMPLES - 1 - i;
    }
    numbers->fields[0] = toy->data;
    numbers->fields[1] = numbers->pixels;
    numbers->set = (DataSet){.info = &set_info,
                             .examples = EXAMPLES,
                             .fields = numbers->fields,
                             .order = numbers->order};
    assert_int_equal(data_bytes(&numbers->set), EXAMPLES * (4 + 15 + 4));
}

static void check_bytes(Toy *toy, uint64_t address, const void *wanted, uint64_t bytes) {
    void *read = malloc(bytes);
    assert_non_null(read);
    require(toy, gpu_download(toy->gpu, read, address, bytes, "data", &toy->fail));
    assert_memory_equal(read, wanted, bytes);
    free(read);
}

static void resident_data(void **state) {
    (void)state;
    Toy toy;
    Numbers numbers;
    GpuData data;
    toy_open_device(&toy);
    numbers_make(&toy, &numbers);
    uint64_t budget = data_bytes(&numbers.set);
    require(&toy, gpu_data_open(toy.gpu, &numbers.set, budget, 8, &data, &toy.fail));
    assert_true(data.resident);
    assert_int_equal(data.field_bytes[1], sizeof numbers.pixels);
    check_bytes(&toy, data.fields[0][0], toy.data, sizeof toy.data);
    check_bytes(&toy, data.fields[0][1], numbers.pixels, sizeof numbers.pixels);
    check_bytes(&toy, data.order, numbers.order, sizeof numbers.order);
    gpu_data_close(&data);
    require(&toy, gpu_data_open(toy.gpu, NULL, 0, 8, &data, &toy.fail));
    gpu_data_close(&data);
    toy_close(&toy);
}

/* Three batches through two sides; each batch's fields are copied away on the device before its
 * side is filled again. */
static void streamed_data(void **state) {
    (void)state;
    Toy toy;
    Numbers numbers;
    GpuData data;
    toy_open_device(&toy);
    numbers_make(&toy, &numbers);
    uint64_t budget = data_bytes(&numbers.set) - 1, kept;
    require(&toy, gpu_data_open(toy.gpu, &numbers.set, budget, 8, &data, &toy.fail));
    assert_false(data.resident);
    assert_int_equal(data.field_bytes[1], 8 * 15);
    toy_allocate(&toy, 3 * 8 * 4, "kept", &kept);
    for (uint32_t batch = 0; batch < 3; batch++) {
        uint32_t side = batch % 2;
        int32_t examples[8];
        for (int i = 0; i < 8; i++) examples[i] = (int32_t)(batch * 31 + 5 * i) % EXAMPLES;
        require(&toy, gpu_fence_wait(toy.gpu, side, NULL, NULL, &toy.fail));
        require(&toy, gpu_data_fill(&data, side, examples, 8, &toy.fail));
        require(&toy,
                gpu_copy(toy.gpu, kept + batch * 32, data.fields[side][0], 32, "kept", &toy.fail));
        require(&toy, gpu_fence_set(toy.gpu, side, &toy.fail));
    }
    require(&toy, gpu_wait(toy.gpu, NULL, NULL, &toy.fail));
    float values[24], wanted[24];
    unsigned char pixels[8][15];
    for (int i = 0; i < 24; i++) wanted[i] = toy.data[(i / 8 * 31 + 5 * (i % 8)) % EXAMPLES];
    for (int i = 0; i < 8; i++) memset(pixels[i], (62 + 5 * i) % EXAMPLES, sizeof pixels[i]);
    check_bytes(&toy, kept, wanted, sizeof values);
    check_bytes(&toy, data.fields[0][1], pixels, sizeof pixels);
    gpu_free(toy.gpu, kept);
    gpu_data_close(&data);
    toy_close(&toy);
}

/* VGPU_DEVICES=2: one thread uses both in turn. */
static void two_devices(void **state) {
    (void)state;
    Toy toy;
    toy_open(&toy);
    assert_int_equal(gpu_driver_devices(toy.driver), 2);
    assert_null(gpu_open(toy.driver, 2, &toy.program, &toy.fail));
    assert_string_equal(toy.fail.text, "there is no GPU 2: the driver shows 2, numbered from 0");
    Gpu *second = gpu_open(toy.driver, 1, &toy.program, &toy.fail);
    require(&toy, second != NULL);
    assert_int_equal(gpu_number(second), 1);
    uint64_t address, five = 5, read = 0;
    require(&toy, gpu_allocate(second, 8, "five", &address, &toy.fail));
    require(&toy, gpu_run(toy.gpu, &train_steps, &toy.place, &toy.fail));
    require(&toy, gpu_upload(second, address, &five, 8, "five", &toy.fail));
    require(&toy, gpu_wait(toy.gpu, NULL, NULL, &toy.fail));
    require(&toy, gpu_download(second, &read, address, 8, "five", &toy.fail));
    assert_int_equal(read, 5);
    check_results(&toy, 1);
    gpu_free(second, address);
    gpu_close(second);
    toy_close(&toy);
}

/* ---- what fails, and how that reads ---- */

static void expect(const Toy *toy, const char *part) {
    if (!strstr(toy->fail.text, part)) fail_msg("'%s' is not in: %s", part, toy->fail.text);
}

static void expect_help(const Toy *toy, const char *part) {
    if (!strstr(toy->fail.help, part)) fail_msg("'%s' is not in: %s", part, toy->fail.help);
}

/* Reported by the wait, with what was in the stream. */
static void out_of_bounds(void **state) {
    (void)state;
    Toy toy;
    toy_open(&toy);
    require(&toy, gpu_wait(toy.gpu, NULL, NULL, &toy.fail));
    for (int s = 0; s < 3; s++)
        require(&toy, gpu_run(toy.gpu, &train_steps, &toy.place, &toy.fail));
    TuneGpuSteps steps = {1, overrun};
    bool ok =
        gpu_run(toy.gpu, &steps, &toy.place, &toy.fail) && gpu_wait(toy.gpu, NULL, NULL, &toy.fail);
    assert_false(ok);
    expect(&toy, "CUDA_ERROR_ILLEGAL_ADDRESS");
    expect(&toy, "since the last wait it was given kernel dense1_fwd (toy.tune:3) of trials 8 to "
                 "10, kernel loss_grad (toy.tune:4, toy.tune:5) of trials 8 to 10, 2 more, ");
    expect(&toy, "kernel relu_fwd (toy.tune:9) of trials 8 to 10");
    expect_help(&toy, "the virtual GPU's report");
    toy_close(&toy);
}

static void in_graph(void **state) {
    (void)state;
    Toy toy;
    toy_open(&toy);
    TuneGpuSteps steps = {1, overrun};
    require(&toy, gpu_wait(toy.gpu, NULL, NULL, &toy.fail));
    require(&toy, gpu_capture(toy.gpu, &toy.fail));
    for (int s = 0; s < 3; s++)
        require(&toy, gpu_run(toy.gpu, &train_steps, &toy.place, &toy.fail));
    require(&toy, gpu_run(toy.gpu, &steps, &toy.place, &toy.fail));
    GpuGraph *graph = gpu_capture_end(toy.gpu, &toy.fail);
    require(&toy, graph != NULL);
    bool ok =
        gpu_graph_launch(toy.gpu, graph, &toy.fail) && gpu_wait(toy.gpu, NULL, NULL, &toy.fail);
    assert_false(ok);
    expect(&toy, "given kernel dense1_fwd (toy.tune:3) of trials 8 to 10, kernel loss_grad "
                 "(toy.tune:4, toy.tune:5) of trials 8 to 10, 2 more, ");
    expect(&toy, "kernel relu_fwd (toy.tune:9) of trials 8 to 10");
    gpu_graph_free(toy.gpu, graph);
    toy_close(&toy);
}

/* Scratch does not live from one step program to the next. */
static void stale_scratch(void **state) {
    (void)state;
    Toy toy;
    toy_open(&toy);
    require(&toy, gpu_run(toy.gpu, &train_steps, &toy.place, &toy.fail));
    require(&toy, gpu_wait(toy.gpu, NULL, NULL, &toy.fail));
    bool ok = gpu_run(toy.gpu, &stale_steps, &toy.place, &toy.fail) &&
              gpu_wait(toy.gpu, NULL, NULL, &toy.fail);
    assert_false(ok);
    expect(&toy, "kernel loss_grad (toy.tune:4, toy.tune:5) of trials 8 to 10");
    toy_close(&toy);
}

static void launch_refused(void **state) {
    (void)state;
    Toy toy;
    toy_open(&toy);
    TuneGpuSteps wide = {1, too_wide}, missing = {1, unknown};
    assert_false(gpu_run(toy.gpu, &wide, &toy.place, &toy.fail));
    expect(&toy, "kernel dense1_fwd (toy.tune:3) of trials 8 to 10: cuLaunchKernel failed: "
                 "CUDA_ERROR_INVALID_VALUE");
    assert_false(gpu_run(toy.gpu, &missing, &toy.place, &toy.fail));
    expect(&toy, "kernel skale of module kernels: cuModuleGetFunction failed: "
                 "CUDA_ERROR_NOT_FOUND");
    assert_false(
        gpu_upload(toy.gpu, toy.counter + (1 << 20), &toy, 1500, "trials of width=32", &toy.fail));
    expect(&toy, "copy of 1.5 kB to the device for trials of width=32: cuMemcpyHtoDAsync "
                 "failed: CUDA_ERROR_INVALID_VALUE");
    toy_close(&toy);
}

/* VGPU_MEMORY: 16 MB. */
static void too_much(void **state) {
    (void)state;
    Toy toy;
    toy_open_device(&toy);
    uint64_t address = 1;
    assert_false(
        gpu_allocate(toy.gpu, UINT64_C(3000000000), "trials of 'width=32'", &address, &toy.fail));
    assert_int_equal(address, 0);
    expect(&toy, "allocating 3.0 GB for trials of 'width=32' on ");
    expect(&toy, "MB free: cuMemAlloc failed: CUDA_ERROR_OUT_OF_MEMORY");
    expect_help(&toy, "--wave N");
    toy_close(&toy);
}

/* VGPU_DEVICES=0 */
static void no_device(void **state) {
    (void)state;
    Toy toy = {0};
    assert_null(gpu_driver_open(library, &toy.fail));
    expect(&toy, "no NVIDIA GPU can be used: cu");
    expect(&toy, "failed: CUDA_ERROR_NO_DEVICE");
    expect_help(&toy, "CUDA_VISIBLE_DEVICES");
}

/* A program for the CPU has nothing to run here. */
static void no_code(void **state) {
    (void)state;
    Toy toy = {0};
    TuneProgram program = {.name = "spirals"};
    toy.driver = gpu_driver_open(library, &toy.fail);
    require(&toy, toy.driver != NULL);
    assert_null(gpu_open(toy.driver, 0, &program, &toy.fail));
    expect(&toy, "spirals was built for the CPU alone");
    expect_help(&toy, "tunec build --target cuda");
    gpu_driver_close(toy.driver);
}

static void bad_module(void **state) {
    (void)state;
    Toy toy;
    toy_open(&toy);
    toy.modules[0].ptx = ".version 9.0\n.target sm_80\n.address_size 64\nfrobnicate\n";
    assert_false(gpu_run(toy.gpu, &train_steps, &toy.place, &toy.fail));
    expect(&toy, "PTX of module kernels on ");
    expect(&toy, "cuModuleLoadDataEx failed: CUDA_ERROR_INVALID_PTX");
    expect(&toy, "line 4"); /* the driver's log */
    toy.modules[0].ptx = ".version 9.9\n.target sm_80\n.address_size 64\n";
    assert_false(gpu_run(toy.gpu, &train_steps, &toy.place, &toy.fail));
    expect(&toy, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION");
    expect_help(&toy, "the driver knows CUDA ");
    expect_help(&toy, "update the driver");
    toy.modules[0].ptx = NULL;
    assert_false(gpu_run(toy.gpu, &train_steps, &toy.place, &toy.fail));
    expect(&toy, "module kernels has no code for ");
    expect_help(&toy, "--gpu sm_");
    toy.modules[0].ptx = toy.ptx; /* and a later attempt is not spoilt */
    require(&toy, gpu_run(toy.gpu, &train_steps, &toy.place, &toy.fail));
    check_results(&toy, 1);
    toy_close(&toy);
}

/* ---- main ---- */

int main(int count, char **arguments) {
    static const struct CMUnitTest all[] = {
        cmocka_unit_test(launches),      cmocka_unit_test(ticks),
        cmocka_unit_test(graphs),        cmocka_unit_test(captures_that_end_badly),
        cmocka_unit_test(memory),        cmocka_unit_test(resident_data),
        cmocka_unit_test(streamed_data), cmocka_unit_test(two_devices),
        cmocka_unit_test(out_of_bounds), cmocka_unit_test(in_graph),
        cmocka_unit_test(stale_scratch), cmocka_unit_test(launch_refused),
        cmocka_unit_test(too_much),      cmocka_unit_test(bad_module),
        cmocka_unit_test(no_device),     cmocka_unit_test(no_code)};
    if (count != 3) return 2;
    library = arguments[1];
    for (size_t c = 0; c < sizeof all / sizeof *all; c++) {
        const struct CMUnitTest test[] = {all[c]};
        if (!strcmp(test->name, arguments[2])) return cmocka_run_group_tests(test, NULL, NULL);
    }
    fprintf(stderr, "gpu_test: no case '%s'\n", arguments[2]);
    return 2;
}
