/* steps.cu on the virtual GPU beside the CPU's own: batches are those of data_train_index for many
 * sizes and steps, steps count and curves hold what headers say, totals are exact where the CPU's
 * are and do not depend on the batch size.
 *
 *     steps_test FOLDER/libcuda.so.1 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/emit/nvrtc.h"
#include "runtime/data.h"
#include "runtime/file.h"
#include "runtime/gpu.h"

typedef struct {
    GpuDriver *driver;
    Gpu *gpu;
    TuneGpuModule module;
    TuneProgram program;
    Fail fail;
} Device;

typedef struct {
    uint64_t step, first, row;
} Cursor;

static Device device;

static void must(bool good) {
    if (!good) fail_msg("%s", device.fail.text);
}

static uint64_t allocate(uint64_t bytes, const char *what) {
    uint64_t address = 0;
    must(gpu_allocate(device.gpu, bytes, what, &address, &device.fail));
    return address;
}

static void upload(uint64_t to, const void *from, uint64_t bytes) {
    must(gpu_upload(device.gpu, to, from, bytes, "input", &device.fail));
}

static void download(void *to, uint64_t from, uint64_t bytes) {
    must(gpu_download(device.gpu, to, from, bytes, "output", &device.fail));
}

static void launch(const char *entry, uint32_t blocks_x, uint32_t blocks_y, uint32_t threads,
                   void **parameters) {
    GpuFixedLaunch fixed = {.entry = entry,
                            .blocks_x = blocks_x,
                            .blocks_y = blocks_y,
                            .threads = threads,
                            .parameters = parameters};
    must(gpu_run_fixed(device.gpu, &fixed, &device.fail));
}

/* ---- batches ---- */

static void check_rows(uint64_t count, uint64_t batch, uint64_t step, uint64_t seed) {
    DataSet set = {.examples = count + 3,
                   .split_start = {[TUNE_TRAIN] = 3},
                   .split_count = {[TUNE_TRAIN] = count},
                   .order = malloc((count + 3) * sizeof(int32_t))};
    int32_t *expected = malloc(batch * sizeof *expected), *found = malloc(batch * sizeof *found);
    assert_true(set.order && expected && found);
    for (uint64_t i = 0; i < set.examples; i++) set.order[i] = (int32_t)(set.examples - 1 - i);
    data_train_index(&set, seed, step, batch, expected);
    Cursor cursor = {.step = step, .row = 11};
    uint64_t at = allocate(sizeof cursor, "cursor"), index = allocate(batch * 4, "index");
    uint64_t all = allocate(set.examples * 4, "order"), order = all + 3 * sizeof(int32_t);
    upload(at, &cursor, sizeof cursor);
    upload(all, set.order, set.examples * 4);
    uint64_t first = 3, streamed = 0;
    void *parameters[] = {&at, &order, &index, &batch, &count, &seed, &first, &streamed};
    launch("tune_rows", (uint32_t)((batch + 127) / 128), 1, 128, parameters);
    download(found, index, batch * 4);
    if (memcmp(found, expected, batch * 4) != 0)
        fail_msg("another batch: %llu examples, batch %llu, step %llu", (unsigned long long)count,
                 (unsigned long long)batch, (unsigned long long)step);
    order = 0; /* windows: the split's own tokens */
    launch("tune_rows", (uint32_t)((batch + 127) / 128), 1, 128, parameters);
    download(found, index, batch * 4);
    for (uint64_t row = 0; row < batch; row++)
        assert_int_equal(found[row], (int32_t)(set.examples - 1) - expected[row]);
    streamed = 5;
    launch("tune_rows", (uint32_t)((batch + 127) / 128), 1, 128, parameters);
    download(found, index, batch * 4);
    for (uint64_t row = 0; row < batch; row++) assert_int_equal(found[row], 5 * (11 + row));
    gpu_free(device.gpu, at);
    gpu_free(device.gpu, index);
    gpu_free(device.gpu, all);
    free(found);
    free(expected);
    free(set.order);
}

static void rows(void **state) {
    (void)state;
    const uint64_t counts[] = {1,  2,  3,  4,  5,   7,   8,   13,  15,   16,   17,   18,   31,
                               32, 33, 64, 65, 100, 127, 129, 255, 1000, 4095, 4097, 60000};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        check_rows(counts[c], 24, 0, 5);
        check_rows(counts[c], 24, 1000003, 5);
        check_rows(counts[c], 130, 7, UINT64_C(0xfedcba9876543210));
    }
    check_rows(1000, 1, UINT64_C(1) << 40, 1);
}

/* ---- steps ---- */

static void advance(void **state) {
    (void)state;
    enum { TRIALS = 300, STRIDE = 256, STEPS = 3 };
    char *blocks = calloc(TRIALS, STRIDE);
    double *curve = calloc((size_t)STEPS * TRIALS * 2, sizeof *curve);
    assert_true(blocks && curve);
    for (uint32_t t = 0; t < TRIALS; t++) {
        TuneTrialHeader *header = (void *)(blocks + t * STRIDE);
        *header = (TuneTrialHeader){.step = 40 + t, .loss = t, .grad_norm = 0.5 * t};
    }
    ((TuneTrialHeader *)(void *)blocks)->loss = NAN;
    Cursor cursor = {.step = 70, .first = 70, .row = 0};
    uint64_t at = allocate(sizeof cursor, "cursor"), trials = allocate(TRIALS * STRIDE, "trials");
    uint64_t curves = allocate(STEPS * TRIALS * 16, "curves");
    uint64_t stride = STRIDE, count = TRIALS, batch = 24;
    upload(at, &cursor, sizeof cursor);
    upload(trials, blocks, TRIALS * STRIDE);
    void *parameters[] = {&at, &trials, &stride, &count, &batch, &curves};
    for (int s = 0; s < STEPS; s++) launch("tune_advance", 1, 1, 256, parameters);
    download(&cursor, at, sizeof cursor);
    download(blocks, trials, TRIALS * STRIDE);
    download(curve, curves, STEPS * TRIALS * 16);
    assert_int_equal(cursor.step, 73);
    assert_int_equal(cursor.first, 70);
    assert_int_equal(cursor.row, STEPS * 24);
    for (uint32_t t = 0; t < TRIALS; t++) {
        const TuneTrialHeader *header = (const void *)(blocks + t * STRIDE);
        assert_int_equal(header->step, 40 + t + STEPS);
        for (int s = 0; s < STEPS; s++) {
            const double *point = curve + ((size_t)s * TRIALS + t) * 2;
            assert_true(t ? point[0] == t : isnan(point[0]));
            assert_true(point[1] == 0.5 * t);
        }
    }
    gpu_free(device.gpu, at);
    gpu_free(device.gpu, trials);
    gpu_free(device.gpu, curves);
    free(curve);
    free(blocks);
}

/* ---- totals ---- */

enum { TOTAL_TRIALS = 3 };

static void total_of(const double *values, uint64_t count, uint64_t batch, TuneTotal kind,
                     bool wide, double found[TOTAL_TRIALS]) {
    uint64_t size = wide ? 8 : 4, slot = (batch * size + 255) / 256 * 256 / size;
    uint64_t slots = (count + batch - 1) / batch, stride = slots * slot * size + 256;
    char *packed = calloc(TOTAL_TRIALS, stride);
    assert_non_null(packed);
    for (uint64_t t = 0; t < TOTAL_TRIALS; t++)
        for (uint64_t i = 0; i < count; i++) {
            char *at = packed + t * stride + (i / batch * slot + i % batch) * size;
            double value = values[i] + (double)t;
            float narrow = (float)value;
            memcpy(at, wide ? (void *)&value : (void *)&narrow, size);
        }
    uint64_t examples = allocate(TOTAL_TRIALS * stride, "examples");
    uint64_t totals = allocate(TOTAL_TRIALS * 64, "totals"), total_stride = 64;
    uint32_t total = kind, is_wide = wide;
    upload(examples, packed, TOTAL_TRIALS * stride);
    void *parameters[] = {&examples, &stride, &totals, &total_stride, &count,
                          &batch,    &slot,   &total,  &is_wide};
    launch("tune_total", 1, TOTAL_TRIALS, 256, parameters);
    for (uint64_t t = 0; t < TOTAL_TRIALS; t++)
        download(&found[t], totals + t * 64, sizeof found[t]);
    gpu_free(device.gpu, examples);
    gpu_free(device.gpu, totals);
    free(packed);
}

static void check_totals(const double *values, uint64_t count, TuneTotal kind, bool wide) {
    const uint64_t batches[] = {1, 7, 100, 1000};
    double first[TOTAL_TRIALS], found[TOTAL_TRIALS], sum = 0, least = INFINITY, most = -INFINITY;
    for (uint64_t i = 0; i < count; i++) {
        sum += values[i];
        least = values[i] < least ? values[i] : least;
        most = values[i] > most ? values[i] : most;
    }
    total_of(values, count, 64, kind, wide, first);
    for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
        total_of(values, count, batches[b], kind, wide, found);
        assert_memory_equal(found, first, sizeof found);
    }
    double expected = kind == TUNE_SUM ? sum : kind == TUNE_MAX ? most : least;
    if (kind == TUNE_MEAN) expected = count ? sum / (double)count : 0;
    assert_true(first[0] == expected); /* small integers: every order gives the same sum */
}

static void totals(void **state) {
    (void)state;
    const uint64_t counts[] = {0, 1, 2, 255, 256, 257, 1000};
    double values[1000];
    for (int i = 0; i < 1000; i++) values[i] = i * 37 % 101 - 50;
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (TuneTotal kind = TUNE_MEAN; kind <= TUNE_MIN; kind++)
            for (int wide = 0; wide < 2; wide++) check_totals(values, counts[c], kind, wide);
    double found[TOTAL_TRIALS];
    values[313] = NAN;
    for (TuneTotal kind = TUNE_MEAN; kind <= TUNE_MIN; kind++) {
        total_of(values, 1000, 64, kind, false, found);
        assert_true(isnan(found[0]) && isnan(found[2]));
    }
}

/* ---- start ---- */

/* The text of PTX, or NULL when there is no NVRTC. */
static const char *compile_steps(Arena *arena, const char **source) {
    const char *problem = NULL;
    uint64_t size;
    char *text;
    CudaImage image;
    Nvrtc *nvrtc = nvrtc_open(arena, &problem);
    if (!nvrtc) {
        printf("skipped: %s\n", problem);
        exit(77);
    }
    must(file_read(TUNE_SOURCE_DIR "/runtime/steps.cu", &text, &size, &device.fail));
    *source = text;
    problem = nvrtc_compile(nvrtc, "steps.cu", text, "compute_80", &image, arena);
    if (problem) {
        printf("steps.cu: %s\n", problem);
        exit(1);
    }
    return (const char *)image.bytes;
}

int main(int count, char **arguments) {
    if (count != 2) return 2;
    Arena *arena = arena_new();
    device.module.name = "steps";
    device.module.ptx = compile_steps(arena, &device.module.cuda);
    device.program = (TuneProgram){
        .abi = TUNE_ABI, .name = "steps", .gpu_module_count = 1, .gpu_modules = &device.module};
    device.driver = gpu_driver_open(arguments[1], &device.fail);
    if (device.driver) device.gpu = gpu_open(device.driver, 0, &device.program, &device.fail);
    if (!device.gpu) {
        printf("%s\n", device.fail.text);
        return 1;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows), cmocka_unit_test(advance),
                                       cmocka_unit_test(totals)};
    int status = cmocka_run_group_tests(tests, NULL, NULL);
    gpu_close(device.gpu);
    gpu_driver_close(device.driver);
    free((char *)device.module.cuda);
    arena_free(arena);
    return status;
}
