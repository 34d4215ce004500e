/* Waves on GPUs, on a device made of C functions that is as lazy as a stream may be: nothing that
 * was put into it happens before somebody waits. The kernels are those of the hand-written program,
 * so that a trial's block must be the CPU's, bit for bit: in waves of any size, on one device and
 * on two, with data that is resident or streamed, left at any moment and gone on with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FAKE_WORK 0
#include "tests/fault/fake_program.c"

#include "runtime/file.h"
#include "runtime/gpu.h"
#include "runtime/snapshot.h"
#include "runtime/wave.h"

enum { TRIALS = 24, SATURATION = 8, MEMORY = 1 << 26 };

static Study study, on_gpu;
static char *alone[TRIALS]; /* final blocks of trials that ran by themselves on the CPU */
static double *metrics_alone[TRIALS];
static uint64_t alone_infeasible[TRIALS];
static Wave *wave_now; /* is to be left behind so many steps of trials */
static uint32_t steps_left;

/* ---- a device ---- */

typedef enum { OP_COPY, OP_CLEAR, OP_RUN, OP_ROWS, OP_ADVANCE, OP_TOTAL } OpKind;

typedef struct {
    OpKind kind;
    uint64_t to, from, bytes;
    const TuneGpuSteps *steps;
    GpuPlace place;
    uint64_t fields[2], examples[3], parameters[9];
} Op;

typedef struct {
    Op *ops;
    uint32_t count, capacity;
} OpList;

struct GpuGraph {
    OpList list;
};
struct Gpu {
    uint32_t number, trials; /* trials: of the last run */
    OpList stream, captured;
    bool capturing;
    uint32_t done, fences[4];
    uint64_t allocated;
};
struct GpuDriver {
    uint32_t devices;
};

static void list_add(OpList *list, const Op *op) {
    if (list->count == list->capacity) {
        list->capacity = list->capacity * 2 + 64;
        list->ops = realloc(list->ops, list->capacity * sizeof *list->ops);
        assert_non_null(list->ops);
    }
    list->ops[list->count++] = *op;
}

static void *memory(uint64_t address) {
    return (void *)(uintptr_t)address;
}

static void run_trial_entry(const Op *op, const TuneGpuLaunch *launch, uint32_t t) {
    const GpuPlace *place = &op->place;
    void *field_bases[2] = {memory(op->fields[0]), memory(op->fields[1])}, *examples_now[3];
    for (int e = 0; e < 3; e++)
        examples_now[e] = memory(op->examples[e] + t * place->example_stride);
    TuneContext context = {.trial = memory(place->trial + t * place->trial_stride),
                           .scratch = memory(place->scratch + t * place->scratch_stride),
                           .fields = field_bases,
                           .index = memory(place->index),
                           .examples = examples_now,
                           .totals = memory(place->totals + t * place->total_stride),
                           .metrics = memory(place->metrics + t * place->metric_stride)};
    TuneEntry entries[] = {init, train_8, train_16, evaluate_rows, finish};
    entries[launch->module](&context);
    if (wave_now && __atomic_sub_fetch(&steps_left, 1, __ATOMIC_RELAXED) == 0) wave_stop(wave_now);
    if (launch->module == 1 || launch->module == 2)
        ((TuneTrialHeader *)(void *)context.trial)->step--; /* tune_advance counts */
}

static void run_rows(const uint64_t *parameters) {
    const uint64_t *cursor = memory(parameters[0]);
    int32_t *index = memory(parameters[2]);
    uint64_t batch = parameters[3], streamed = parameters[7];
    if (!streamed) data_train_index(&study.data, parameters[5], cursor[0], batch, index);
    for (uint64_t row = 0; streamed && row < batch; row++)
        index[row] = (int32_t)((cursor[2] + row) * streamed);
}

static void run_advance(const uint64_t *parameters) {
    uint64_t *cursor = memory(parameters[0]), trials = parameters[3];
    double *curve = memory(parameters[5]);
    for (uint64_t t = 0; t < trials; t++) {
        TuneTrialHeader *header = memory(parameters[1] + t * parameters[2]);
        double *point = curve + ((cursor[0] - cursor[1]) * trials + t) * 2;
        point[0] = header->loss;
        point[1] = header->grad_norm;
        header->step++;
    }
    cursor[0]++;
    cursor[2] += parameters[4];
}

static void run_total(const uint64_t *parameters, uint32_t trials) {
    for (uint32_t t = 0; t < trials; t++) {
        const float *examples = memory(parameters[0] + t * parameters[1]);
        double *total = memory(parameters[2] + t * parameters[3]);
        bool most = parameters[7] == TUNE_MAX;
        *total = most ? -INFINITY : 0;
        for (uint64_t i = 0; i < parameters[4]; i++) {
            double value = examples[i / parameters[5] * parameters[6] + i % parameters[5]];
            *total = !most ? *total + value : value > *total || isnan(value) ? value : *total;
        }
        if (parameters[7] == TUNE_MEAN) *total /= (double)parameters[4];
    }
}

static void run_op(const Op *op) {
    switch (op->kind) {
    case OP_COPY: memcpy(memory(op->to), memory(op->from), op->bytes); break;
    case OP_CLEAR: memset(memory(op->to), 0, op->bytes); break;
    case OP_ROWS: run_rows(op->parameters); break;
    case OP_ADVANCE: run_advance(op->parameters); break;
    case OP_TOTAL: run_total(op->parameters, op->place.trials); break;
    case OP_RUN:
        for (uint32_t l = 0; l < op->steps->count; l++)
            for (uint32_t t = 0; t < op->place.trials; t++)
                run_trial_entry(op, &op->steps->launches[l], t);
    }
}

static void run_until(Gpu *gpu, uint32_t end) {
    for (; gpu->done < end; gpu->done++) run_op(&gpu->stream.ops[gpu->done]);
}

/* The device breaks at a call, and stays broken. 0: never. */
static uint32_t calls_left;

static bool works(Fail *fail) {
    uint32_t left = __atomic_load_n(&calls_left, __ATOMIC_RELAXED);
    if (left > 1) __atomic_fetch_sub(&calls_left, 1, __ATOMIC_RELAXED);
    return left != 1 || fail_set(fail, "the device is broken");
}

static bool put(Gpu *gpu, const Op *op, Fail *fail) {
    if (!works(fail)) return false;
    list_add(gpu->capturing ? &gpu->captured : &gpu->stream, op);
    return true;
}

GpuDriver *gpu_driver_open(const char *library, Fail *fail) {
    (void)library;
    fail_set(fail, "not here");
    return NULL;
}
void gpu_driver_close(GpuDriver *driver) {
    (void)driver;
}
uint32_t gpu_driver_devices(const GpuDriver *driver) {
    return driver->devices;
}
bool gpu_driver_is_virtual(const GpuDriver *driver) {
    (void)driver;
    return true;
}
Gpu *gpu_open(GpuDriver *driver, uint32_t device, const TuneProgram *program, Fail *fail) {
    (void)driver, (void)program, (void)fail;
    Gpu *gpu = calloc(1, sizeof *gpu);
    assert_non_null(gpu);
    gpu->number = device;
    return gpu;
}
void gpu_close(Gpu *gpu) {
    assert_int_equal(gpu->allocated, 0);
    free(gpu->stream.ops);
    free(gpu->captured.ops);
    free(gpu);
}
const char *gpu_name(const Gpu *gpu) {
    (void)gpu;
    return "Toy";
}
uint32_t gpu_number(const Gpu *gpu) {
    return gpu->number;
}
bool gpu_memory(Gpu *gpu, uint64_t *free_bytes, uint64_t *total_bytes, Fail *fail) {
    (void)gpu, (void)fail;
    *free_bytes = *total_bytes = MEMORY;
    return true;
}
/* Full of what nobody wrote. */
bool gpu_allocate(Gpu *gpu, uint64_t bytes, const char *what, uint64_t *address, Fail *fail) {
    (void)what;
    if (!works(fail)) return false;
    void *block = aligned_alloc(256, (bytes + 256) / 256 * 256);
    assert_non_null(block);
    memset(block, 0xA5, bytes);
    *address = (uint64_t)(uintptr_t)block;
    gpu->allocated++;
    return true;
}
void gpu_free(Gpu *gpu, uint64_t address) {
    if (!address) return;
    run_until(gpu, gpu->stream.count);
    gpu->allocated--;
    free(memory(address));
}
bool gpu_host_allocate(Gpu *gpu, uint64_t bytes, const char *what, void **address, Fail *fail) {
    uint64_t at = 0;
    bool good = gpu_allocate(gpu, bytes, what, &at, fail);
    *address = memory(at);
    return good;
}
void gpu_host_free(Gpu *gpu, void *address) {
    gpu_free(gpu, (uint64_t)(uintptr_t)address);
}
bool gpu_upload_later(Gpu *gpu, uint64_t to, const void *from, uint64_t bytes, const char *what,
                      Fail *fail) {
    (void)what;
    return put(gpu,
               &(Op){.kind = OP_COPY, .to = to, .from = (uint64_t)(uintptr_t)from, .bytes = bytes},
               fail);
}
bool gpu_download_later(Gpu *gpu, void *to, uint64_t from, uint64_t bytes, const char *what,
                        Fail *fail) {
    return gpu_upload_later(gpu, (uint64_t)(uintptr_t)to, memory(from), bytes, what, fail);
}
bool gpu_copy(Gpu *gpu, uint64_t to, uint64_t from, uint64_t bytes, const char *what, Fail *fail) {
    return gpu_upload_later(gpu, to, memory(from), bytes, what, fail);
}
bool gpu_clear(Gpu *gpu, uint64_t address, uint64_t bytes, const char *what, Fail *fail) {
    (void)what;
    return put(gpu, &(Op){.kind = OP_CLEAR, .to = address, .bytes = bytes}, fail);
}
bool gpu_wait(Gpu *gpu, PoolTick tick, void *context, Fail *fail) {
    (void)tick, (void)context;
    assert_false(gpu->capturing);
    if (!works(fail)) return false;
    run_until(gpu, gpu->stream.count);
    gpu->stream.count = gpu->done = 0;
    memset(gpu->fences, 0, sizeof gpu->fences);
    return true;
}
bool gpu_upload(Gpu *gpu, uint64_t to, const void *from, uint64_t bytes, const char *what,
                Fail *fail) {
    return gpu_upload_later(gpu, to, from, bytes, what, fail) && gpu_wait(gpu, NULL, NULL, fail);
}
bool gpu_download(Gpu *gpu, void *to, uint64_t from, uint64_t bytes, const char *what, Fail *fail) {
    return gpu_download_later(gpu, to, from, bytes, what, fail) && gpu_wait(gpu, NULL, NULL, fail);
}
bool gpu_run(Gpu *gpu, const TuneGpuSteps *steps, const GpuPlace *place, Fail *fail) {
    Op op = {.kind = OP_RUN, .steps = steps, .place = *place};
    memcpy(op.fields, place->fields, sizeof op.fields);
    memcpy(op.examples, place->examples, sizeof op.examples);
    gpu->trials = place->trials;
    return put(gpu, &op, fail);
}
bool gpu_run_fixed(Gpu *gpu, const GpuFixedLaunch *launch, Fail *fail) {
    static const uint32_t counts[] = {8, 6, 9};
    OpKind kind = !strcmp(launch->entry, "tune_rows")      ? OP_ROWS
                  : !strcmp(launch->entry, "tune_advance") ? OP_ADVANCE
                                                           : OP_TOTAL;
    Op op = {.kind = kind, .place = {.trials = launch->blocks_y}};
    for (uint32_t p = 0; p < counts[kind - OP_ROWS]; p++) {
        bool narrow = kind == OP_TOTAL && p >= 7;
        op.parameters[p] = narrow ? *(const uint32_t *)launch->parameters[p]
                                  : *(const uint64_t *)launch->parameters[p];
    }
    return put(gpu, &op, fail);
}
bool gpu_capture(Gpu *gpu, Fail *fail) {
    assert_false(gpu->capturing);
    if (!works(fail)) return false;
    gpu->capturing = true;
    return true;
}
GpuGraph *gpu_capture_end(Gpu *gpu, Fail *fail) {
    assert_true(gpu->capturing);
    GpuGraph *graph = works(fail) ? calloc(1, sizeof *graph) : NULL;
    gpu->capturing = false;
    if (!graph) return NULL;
    graph->list = gpu->captured;
    gpu->captured = (OpList){0};
    return graph;
}
bool gpu_graph_launch(Gpu *gpu, GpuGraph *graph, Fail *fail) {
    for (uint32_t i = 0; i < graph->list.count; i++)
        if (!put(gpu, &graph->list.ops[i], fail)) return false;
    return true;
}
void gpu_graph_free(Gpu *gpu, GpuGraph *graph) {
    (void)gpu;
    if (graph) free(graph->list.ops);
    free(graph);
}
bool gpu_mark(Gpu *gpu, uint32_t mark, Fail *fail) {
    (void)gpu, (void)mark, (void)fail;
    return true;
}
/* As a device that SATURATION trials keep busy. */
bool gpu_marked_time(Gpu *gpu, double *milliseconds, Fail *fail) {
    (void)fail;
    *milliseconds = gpu->trials < SATURATION ? SATURATION : gpu->trials;
    return true;
}
bool gpu_fence_set(Gpu *gpu, uint32_t fence, Fail *fail) {
    gpu->fences[fence] = gpu->stream.count;
    return works(fail);
}
bool gpu_fence_wait(Gpu *gpu, uint32_t fence, PoolTick tick, void *context, Fail *fail) {
    (void)tick, (void)context;
    run_until(gpu, gpu->fences[fence]);
    return works(fail);
}
bool gpu_dump(const TuneProgram *program, const char *directory, Fail *fail) {
    (void)program, (void)directory, (void)fail;
    return true;
}

/* ---- the program with its GPU half ---- */

#define LAUNCH(entry_number)                                                                       \
    (const TuneGpuLaunch[]) {                                                                      \
        { .name = "entry", .module = entry_number }                                                \
    }
static const TuneGpuVariant gpu_8 = {.scratch_bytes = 64,
                                     .init = {1, LAUNCH(0)},
                                     .train = {1, LAUNCH(1)},
                                     .evaluate = {1, LAUNCH(3)},
                                     .finish = {1, LAUNCH(4)}};
static const TuneGpuVariant gpu_16 = {.scratch_bytes = 64,
                                      .init = {1, LAUNCH(0)},
                                      .train = {1, LAUNCH(2)},
                                      .evaluate = {1, LAUNCH(3)},
                                      .finish = {1, LAUNCH(4)}};
static TuneVariant both[2];
static TuneStudy info_gpu;

static void devices_make(Devices *devices, GpuDriver *driver, uint32_t count, uint64_t bytes) {
    *driver = (GpuDriver){count};
    *devices = (Devices){.driver = driver, .memory = bytes, .gpus = calloc(count, sizeof(Gpu *))};
    for (uint32_t d = 0; d < count; d++)
        devices->gpus[devices->count++] = gpu_open(driver, d, NULL, NULL);
}

/* ---- runs ---- */

static void add(Wave *wave, uint32_t number) {
    double values[3];
    Fail fail = {0};
    assert_true(study_values(&study, number, values, &fail));
    assert_true(wave_add(wave, number, values, &fail));
}

static void must(bool good, const Fail *fail) {
    if (!good) fail_msg("%s", fail->text);
}

static void advance(Wave *wave) {
    Fail fail = {0};
    must(wave_advance(wave, NULL, NULL, &fail), &fail);
    for (uint32_t i = 0; wave->evaluated && i < wave->count; i++)
        curve_restart(&wave->trials[i].curve, wave->step);
}

static void run_to_end(Wave *wave) {
    while (wave->step < study.info->steps) advance(wave);
}

static int setup(void **state) {
    (void)state;
    Fail fail = {0};
    Wave wave;
    Pool *pool = pool_new(1, &fail);
    if (!pool || !study_init(&study, &tune_program, NULL, NULL, 0, &fail)) return -1;
    if (!study_load(&study, ".", &fail) || !wave_init(&wave, &study, pool, NULL, 1, &fail))
        return -1;
    for (uint32_t t = 0; t < TRIALS; t++) {
        add(&wave, t);
        if (!wave_begin(&wave, &fail)) return -1;
        run_to_end(&wave);
        alone[t] = malloc(TRIAL_BYTES);
        memcpy(alone[t], wave.trials[0].block, TRIAL_BYTES);
        metrics_alone[t] = calloc(3, sizeof(double));
        memcpy(metrics_alone[t], wave.trials[0].metrics, 3 * sizeof(double));
        alone_infeasible[t] = wave.trials[0].infeasible_step;
        wave_clear(&wave);
    }
    wave_release(&wave);
    pool_free(pool);
    memcpy(both, variants, sizeof both);
    both[0].gpu = &gpu_8;
    both[1].gpu = &gpu_16;
    info_gpu = studies[0];
    info_gpu.variants = both;
    on_gpu = study;
    on_gpu.info = &info_gpu;
    return 0;
}

static int teardown(void **state) {
    (void)state;
    for (uint32_t t = 0; t < TRIALS; t++) {
        free(alone[t]);
        free(metrics_alone[t]);
    }
    study_release(&study);
    return 0;
}

static void check_trial(Wave *wave, const Trial *trial) {
    Fail fail = {0};
    uint32_t number = trial->number;
    assert_int_equal(trial->infeasible_step, alone_infeasible[number]);
    if (trial->status == TRIAL_INFEASIBLE) return;
    must(wave_fetch(wave, trial, &fail), &fail);
    assert_memory_equal(trial->block, alone[number], TRIAL_BYTES);
    for (int m = 0; m < 3; m++)
        assert_true(fabs(trial->metrics[m] - metrics_alone[number][m]) <=
                    1e-12 * fabs(metrics_alone[number][m]));
}

typedef struct {
    GpuDriver driver;
    Devices devices;
    Pool *pool;
    Wave wave;
} Run;

static void run_start(Run *run, uint32_t devices, uint64_t bytes, uint32_t size) {
    Fail fail = {0};
    devices_make(&run->devices, &run->driver, devices, bytes);
    run->pool = pool_new(1, &fail);
    must(wave_init(&run->wave, &on_gpu, run->pool, &run->devices, size, &fail), &fail);
}

static void run_over(Run *run) {
    wave_release(&run->wave);
    devices_close(&run->devices);
    pool_free(run->pool);
}

/* Trials from 0 in waves of a size. */
static void check_wave(uint32_t size, uint32_t devices, uint64_t bytes) {
    Run run;
    Fail fail = {0};
    run_start(&run, devices, bytes, size);
    for (uint32_t first = 0; first < TRIALS; first += size) {
        for (uint32_t t = first; t < first + size && t < TRIALS; t++) add(&run.wave, t);
        must(wave_begin(&run.wave, &fail), &fail);
        run.wave.limit = 1 + first % 7; /* segments of any length */
        run_to_end(&run.wave);
        for (uint32_t i = 0; i < run.wave.count; i++) check_trial(&run.wave, &run.wave.trials[i]);
        wave_clear(&run.wave);
    }
    run_over(&run);
}

static void independence(void **state) {
    (void)state;
    const uint32_t sizes[] = {1, 3, 16, 24};
    for (uint32_t s = 0; s < 4; s++)
        for (uint32_t devices = 1; devices <= 3; devices++) check_wave(sizes[s], devices, 0);
}

/* Memory whose half does not hold the data of 9600 bytes, but sides of a few batches. */
static void streaming(void **state) {
    (void)state;
    for (uint32_t trials = 1; trials <= 2; trials++)
        for (uint32_t devices = 1; devices <= 3; devices++)
            check_wave(trials * devices, devices, 19000);
}

/* Left at any moment, the wave goes on from a snapshot to the same bits, in other groups too. */
static void stops(void **state) {
    (void)state;
    Fail fail = {0};
    Run run;
    Snapshot snapshot;
    uint32_t number;
    char path[] = "/tmp/tune-wave-gpu-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    for (uint32_t steps = 1; steps < 300 * 9; steps = steps * 2 + 3) {
        run_start(&run, 2, 0, 9);
        for (uint32_t t = 8; t < 17; t++) add(&run.wave, t);
        must(wave_begin(&run.wave, &fail), &fail);
        steps_left = steps;
        wave_now = &run.wave;
        while (!run.wave.stop) advance(&run.wave);
        wave_now = NULL;
        for (uint32_t i = 0; i < run.wave.count; i++)
            if (run.wave.trials[i].status == TRIAL_RUNNING)
                must(wave_fetch(&run.wave, &run.wave.trials[i], &fail), &fail);
        must(snapshot_write(path, 77, &run.wave, &fail), &fail);
        run_over(&run);
        run_start(&run, 1, 0, 9);
        snapshot_read(path, 77, &snapshot);
        while (snapshot_peek(&snapshot, &number)) {
            add(&run.wave, number);
            assert_true(snapshot_take(&snapshot, &run.wave.trials[run.wave.count - 1]));
        }
        must(wave_continue(&run.wave, snapshot.step, &fail), &fail);
        run_to_end(&run.wave);
        for (uint32_t i = 0; i < run.wave.count; i++) check_trial(&run.wave, &run.wave.trials[i]);
        snapshot_release(&snapshot);
        run_over(&run);
    }
    unlink(path);
}

/* Metrics of trials that were read from somewhere. */
static void evaluation(void **state) {
    (void)state;
    Fail fail = {0};
    Run run;
    Trial trials[5];
    double values[3], found[5][3];
    bool whole = false;
    run_start(&run, 2, 0, 4);
    for (uint32_t t = 0; t < 5; t++) {
        assert_true(study_values(&study, t, values, &fail));
        must(trial_new(&on_gpu, t, values, &trials[t], &fail), &fail);
        memcpy(trials[t].block, alone[t], TRIAL_BYTES);
    }
    must(wave_evaluate(&run.wave, trials, 5, &study.evaluations[0], found[0], &whole, NULL, NULL,
                       &fail),
         &fail);
    assert_true(whole);
    for (uint32_t t = 0; t < 5; t++) {
        for (int m = 0; m < 3 && !alone_infeasible[t]; m++)
            assert_true(fabs(found[t][m] - metrics_alone[t][m]) <= 1e-12 * metrics_alone[t][m]);
        trial_free(&trials[t]);
    }
    run_over(&run);
}

/* Wherever the device breaks, the reason comes back and nothing is lost or left. */
static void failures(void **state) {
    (void)state;
    uint32_t failed = 0;
    for (uint32_t call = 2; call < 3000; call += 1 + call / 8) {
        Fail fail = {0};
        Run run = {.pool = pool_new(1, &fail)};
        devices_make(&run.devices, &run.driver, 2, 0);
        calls_left = call;
        bool good = wave_init(&run.wave, &on_gpu, run.pool, &run.devices, 0, &fail);
        for (uint32_t t = 0; good && t < run.wave.capacity; t++) add(&run.wave, t);
        bool begun = good && wave_begin(&run.wave, &fail);
        while (begun && run.wave.step < study.info->steps) {
            if (!wave_advance(&run.wave, NULL, NULL, &fail)) break;
            for (uint32_t i = 0; run.wave.evaluated && i < run.wave.count; i++)
                curve_restart(&run.wave.trials[i].curve, run.wave.step);
        }
        failed += calls_left == 1;
        assert_true(calls_left == 1 ? strstr(fail.text, "the device is broken") != NULL
                                    : !*fail.text);
        if (good) wave_release(&run.wave);
        devices_close(&run.devices);
        pool_free(run.pool);
        calls_left = 0;
    }
    assert_in_range(failed, 20, 100);
}

static void size(void **state) {
    (void)state;
    Fail fail = {0};
    Run run;
    Wave wave;
    run_start(&run, 1, 0, 0);
    assert_int_equal(run.wave.capacity, SATURATION);
    assert_in_range(run.wave.size.memory, 24, 100000);
    run_over(&run);
    run_start(&run, 2, 0, 0);
    assert_int_equal(run.wave.capacity, TRIALS);
    assert_false(wave_init(&wave, &on_gpu, run.pool, &run.devices, 90000, &fail));
    assert_non_null(strstr(fail.help, "--wave"));
    run_over(&run);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(independence), cmocka_unit_test(streaming),
                                       cmocka_unit_test(stops),        cmocka_unit_test(evaluation),
                                       cmocka_unit_test(failures),     cmocka_unit_test(size)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
