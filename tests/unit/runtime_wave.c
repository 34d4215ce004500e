/* Trials on a program written by hand: waves and threads change no bit of a trial's block; a metric
 * is exactly the mean over the examples at every batch size; a checkpoint and a snapshot bring a
 * trial back whole; what the store was given it gives back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FAKE_WORK 0
#include "tests/fault/fake_program.c"

#include "runtime/checkpoint.h"
#include "runtime/file.h"
#include "runtime/snapshot.h"
#include "runtime/store.h"
#include "runtime/sweep.h"
#include "runtime/wave.h"

enum { TRIALS = 24 };

static Study study;
static char directory[64];
static char *alone[TRIALS]; /* final blocks of trials that ran by themselves */
static uint64_t alone_infeasible[TRIALS];

static void add_of(const Study *own, Wave *wave, uint32_t number) {
    double values[3];
    Fail fail = {0};
    assert_true(study_values(own, number, values, &fail));
    assert_true(wave_add(wave, number, values, &fail));
}

static void add(Wave *wave, uint32_t number) {
    add_of(&study, wave, number);
}

/* One segment; what an evaluation makes durable is forgotten. */
static void advance(Wave *wave) {
    Fail fail = {0};
    assert_true(wave_advance(wave, NULL, NULL, &fail));
    for (uint32_t i = 0; wave->evaluated && i < wave->count; i++)
        curve_restart(&wave->trials[i].curve, wave->step);
}

static void begin(Wave *wave) {
    Fail fail = {0};
    assert_true(wave_begin(wave, &fail));
}

static void run_to_end(Wave *wave) {
    while (wave->step < study.info->steps) advance(wave);
}

static void wave_start(Wave *wave, Pool **pool, uint32_t threads, uint32_t capacity) {
    Fail fail = {0};
    *pool = pool_new(threads, &fail);
    assert_non_null(*pool);
    assert_true(wave_init(wave, &study, *pool, NULL, capacity, &fail));
}

static int setup(void **state) {
    (void)state;
    Fail fail = {0};
    Wave wave;
    Pool *pool;
    snprintf(directory, sizeof directory, "/tmp/tune-wave-XXXXXX");
    if (!mkdtemp(directory) || !study_init(&study, &tune_program, NULL, NULL, 0, &fail)) return -1;
    if (!study_load(&study, ".", &fail)) return -1;
    wave_start(&wave, &pool, 1, 1);
    for (uint32_t t = 0; t < TRIALS; t++) {
        add(&wave, t);
        begin(&wave);
        run_to_end(&wave);
        alone[t] = malloc(TRIAL_BYTES);
        memcpy(alone[t], wave.trials[0].block, TRIAL_BYTES);
        alone_infeasible[t] = wave.trials[0].infeasible_step;
        wave_clear(&wave);
    }
    wave_release(&wave);
    pool_free(pool);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    for (uint32_t t = 0; t < TRIALS; t++) free(alone[t]);
    study_release(&study);
    char *command = file_text("rm -rf %s", directory);
    int status = system(command);
    free(command);
    return status;
}

static void check_wave(uint32_t size, uint32_t threads) {
    Wave wave;
    Pool *pool;
    wave_start(&wave, &pool, threads, size);
    for (uint32_t first = 0; first < TRIALS; first += size) {
        for (uint32_t t = first; t < first + size && t < TRIALS; t++) add(&wave, t);
        begin(&wave);
        wave.limit = 1 + first % 7; /* segments of any length */
        run_to_end(&wave);
        for (uint32_t i = 0; i < wave.count; i++) {
            assert_memory_equal(wave.trials[i].block, alone[first + i], TRIAL_BYTES);
            assert_int_equal(wave.trials[i].infeasible_step, alone_infeasible[first + i]);
        }
        wave_clear(&wave);
    }
    wave_release(&wave);
    pool_free(pool);
}

static void independence(void **state) {
    (void)state;
    const uint32_t sizes[] = {1, 3, 16, 24};
    for (uint32_t s = 0; s < 4; s++)
        for (uint32_t threads = 1; threads <= 3; threads++) check_wave(sizes[s], threads);
    uint32_t infeasible = 0;
    for (uint32_t t = 0; t < TRIALS; t++) infeasible += alone_infeasible[t] > 0;
    assert_in_range(infeasible, 1, TRIALS / 2);
}

/* ---- evaluation ---- */

static uint64_t batch_now;

static void evaluate_any(const TuneContext *context) {
    for (uint64_t row = 0; row < batch_now; row++)
        for (int t = 0; t < 3; t++)
            ((float *)context->examples[t])[row] = residual(context, context->index[row]);
}

/* The mean, sum and extremes of the examples, with sizes that divide the split and sizes that do
 * not. */
static void exact_metrics(void **state) {
    (void)state;
    const uint64_t batches_tried[] = {1, 3, 7, 48, 64, 99, 100, 101, 128};
    const TuneTotal kinds[] = {TUNE_MEAN, TUNE_SUM, TUNE_MIN};
    TuneVariant variant = variants[0];
    TuneStudy info = studies[0];
    variant.evaluate = evaluate_any;
    info.variants = &variant;
    info.variant_count = 1;
    info.totals = kinds;
    Study own = study;
    own.info = &info;
    double sum = 0, least = INFINITY;
    Trial trial = {.block = alone[0], .variant = &variant};
    TuneContext context = {.trial = alone[0], .fields = study.data.fields};
    for (size_t b = 0; b < sizeof batches_tried / sizeof *batches_tried; b++) {
        Fail fail = {0};
        Scratch scratch;
        EvaluationRows rows;
        double found[3];
        variant.evaluate_batch = batch_now = batches_tried[b];
        assert_true(scratch_new(&own, &scratch, &fail) &&
                    study_rows(&own, TUNE_VALID, 0, &rows, &fail));
        assert_int_equal(rows.count, 100);
        if (!b)
            for (uint64_t i = 0; i < rows.count; i++) {
                float value = residual(&context, rows.index[i]);
                sum += value;
                least = value < least ? value : least;
            }
        evaluate(&own, &trial, &scratch, &rows, found);
        assert_true(found[0] == sum / 100);
        assert_true(found[1] == sum);
        assert_true(found[2] == least);
        scratch_free(&scratch);
        free(rows.index);
    }
}

/* ---- to files and back ---- */

static void checkpoints(void **state) {
    (void)state;
    Fail fail = {0};
    Trial trial, back;
    double values[3];
    char *path = file_text("%s/c.safetensors", directory);
    assert_true(study_values(&study, 3, values, &fail) &&
                trial_new(&study, 3, values, &trial, &fail));
    memcpy(trial.block, alone[3], TRIAL_BYTES);
    assert_true(checkpoint_write(&study, &trial, 0.25, path, &fail));
    assert_true(checkpoint_read(&study, path, &back, &fail));
    assert_memory_equal(back.block, alone[3], TRIAL_BYTES);
    assert_int_equal(back.variant_number, trial.variant_number);
    trial_free(&back);
    trial_free(&trial);
    TuneProgram other = tune_program;
    other.fingerprint++;
    Study changed = study;
    changed.program = &other;
    assert_false(checkpoint_read(&changed, path, &back, &fail));
    assert_non_null(strstr(fail.text, "another program"));
    free(path);
}

static void snapshots(void **state) {
    (void)state;
    Fail fail = {0};
    Wave wave;
    Pool *pool;
    Snapshot snapshot;
    uint32_t number;
    char *path = file_text("%s/snapshot", directory);
    wave_start(&wave, &pool, 2, 4);
    for (uint32_t t = 8; t < 12; t++) add(&wave, t);
    begin(&wave);
    wave.limit = 7; /* within an interval */
    advance(&wave);
    assert_true(snapshot_write(path, 77, &wave, &fail));
    wave_clear(&wave);
    snapshot_read(path, 78, &snapshot);
    assert_int_equal(snapshot.count, 0);
    snapshot_read(path, 77, &snapshot);
    assert_int_equal(snapshot.count, 4);
    assert_int_equal(snapshot.step, 7);
    while (snapshot_peek(&snapshot, &number)) {
        add(&wave, number);
        assert_true(snapshot_take(&snapshot, &wave.trials[wave.count - 1]));
    }
    assert_int_equal(wave.trials[0].curve.count, 7);
    assert_true(wave_continue(&wave, snapshot.step, &fail));
    run_to_end(&wave);
    for (uint32_t i = 0; i < 4; i++)
        assert_memory_equal(wave.trials[i].block, alone[8 + i], TRIAL_BYTES);
    snapshot_release(&snapshot);
    wave_release(&wave);
    pool_free(pool);
    /* one bit wrong: as if there were none */
    assert_int_equal(truncate(path, 300), 0);
    snapshot_read(path, 77, &snapshot);
    assert_int_equal(snapshot.count, 0);
    free(path);
}

static Wave *wave_now;
static uint32_t steps_left;

static void train_8_and_stop(const TuneContext *context) {
    train_8(context);
    if (--steps_left == 0) wave_stop(wave_now);
}

static void train_16_and_stop(const TuneContext *context) {
    train_16(context);
    if (--steps_left == 0) wave_stop(wave_now);
}

/* Left behind any step of any trial, the wave goes on from a snapshot to the same bits. */
static void check_stop(uint32_t steps) {
    Fail fail = {0};
    TuneVariant stopping[] = {variants[0], variants[1]};
    TuneStudy info = studies[0];
    Study own = study;
    Wave wave;
    Pool *pool;
    Snapshot snapshot;
    uint32_t number;
    char *path = file_text("%s/stopped", directory);
    stopping[0].train = train_8_and_stop;
    stopping[1].train = train_16_and_stop;
    info.variants = stopping;
    own.info = &info;
    wave_now = &wave;
    steps_left = steps;
    wave_start(&wave, &pool, 1, 4);
    wave.study = &own;
    for (uint32_t t = 8; t < 12; t++) add_of(&own, &wave, t);
    begin(&wave);
    wave.limit = 13;
    while (!wave.stop) advance(&wave);
    assert_true(snapshot_write(path, 77, &wave, &fail));
    wave_release(&wave);
    assert_true(wave_init(&wave, &study, pool, NULL, 4, &fail));
    snapshot_read(path, 77, &snapshot);
    while (snapshot_peek(&snapshot, &number)) {
        add(&wave, number);
        assert_true(snapshot_take(&snapshot, &wave.trials[wave.count - 1]));
    }
    assert_true(wave_continue(&wave, snapshot.step, &fail));
    run_to_end(&wave);
    for (uint32_t i = 0; i < wave.count; i++)
        assert_memory_equal(wave.trials[i].block, alone[wave.trials[i].number], TRIAL_BYTES);
    snapshot_release(&snapshot);
    wave_release(&wave);
    pool_free(pool);
    free(path);
}

static void stops(void **state) {
    (void)state;
    const uint32_t steps[] = {1, 2, 12, 13, 14, 26, 51, 52, 53, 59, 80, 81, 333, 600};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) check_stop(steps[i]);
}

static void stores(void **state) {
    (void)state;
    Fail fail = {0};
    Trial trial;
    Ranking ranking, read;
    double values[3], back[3], numbers[3] = {0.1, NAN, -1e300};
    char *path = file_text("%s/s.study", directory);
    assert_false(store_exists(path));
    Store *store = store_open(path, STORE_WRITE, &fail);
    assert_non_null(store);
    assert_null(store_open(path, STORE_WRITE, &fail));
    assert_non_null(strstr(fail.text, "in use"));
    assert_true(store_describe(store, &study, &fail) && store_check(store, &study, true, &fail));
    assert_true(study_values(&study, 5, values, &fail) &&
                trial_new(&study, 5, values, &trial, &fail));
    assert_true(ranking_init(&ranking, 3, false) && ranking_init(&read, 3, false));
    ranking_offer(&ranking, 5, 40, 0.1);
    assert_true(store_begin(store, &fail) && store_trial_start(store, &study, &trial, &fail));
    for (uint64_t step = 20; step <= 60; step += 20)
        assert_true(store_evaluation(store, &study, 5, step, TUNE_VALID, numbers, &fail));
    trial.status = TRIAL_INFEASIBLE;
    trial.infeasible_step = 61;
    assert_true(store_trial_end(store, &trial, &fail) && store_checkpoints(store, &ranking, &fail));
    assert_true(store_commit(store, &fail));
    store_close(store);

    StoredTrial *trials;
    StoredEvaluation *evaluations;
    uint32_t count;
    bool finished = true;
    store = store_open(path, STORE_READ, &fail);
    assert_true(store_finished(store, &finished, &fail) && !finished);
    assert_true(store_trials(store, &study, &trials, &count, &fail));
    assert_int_equal(count, 1);
    assert_int_equal(trials[0].status, TRIAL_INFEASIBLE);
    assert_int_equal(trials[0].infeasible_step, 61);
    assert_int_equal(trials[0].best_step, 20);
    assert_true(trials[0].best == 0.1);
    assert_true(store_evaluations(store, &study, 5, &evaluations, &count, &fail));
    assert_int_equal(count, 3);
    assert_true(isnan(evaluations[2].metrics[1]) && evaluations[2].metrics[2] == -1e300);
    assert_true(store_values(store, &study, 5, back, &fail));
    assert_memory_equal(back, values, sizeof values);
    assert_true(store_load_ranking(store, &read, &fail));
    assert_int_equal(read.kept[0].step, 40);
    store_close(store);
    free(evaluations);
    free(trials);
    ranking_release(&ranking);
    ranking_release(&read);
    trial_free(&trial);
    free(path);
}

/* ---- a model without data, parameters and steps: any function can be searched over ---- */

static void finish_parabola(const TuneContext *context) {
    const double *hyper = (const void *)(context->trial + 64);
    context->metrics[0] = (hyper[0] - 0.3) * (hyper[0] - 0.3);
    if (hyper[0] > 0.9) context->metrics[0] = NAN;
}

static void no_data(void **state) {
    (void)state;
    const TuneHyper x = {.name = "x", .role = TUNE_NUISANCE, .hi = 1, .scale = 1, .parent = -1};
    const int32_t choice[] = {-1};
    const TuneVariant variant = {.name = "",
                                 .choice = choice,
                                 .trial_bytes = 128,
                                 .params_offset = 128,
                                 .finish = finish_parabola};
    const TuneStudy info = {.name = "parabola",
                            .data = -1,
                            .real = TUNE_F64,
                            .hyper_count = 1,
                            .hypers = &x,
                            .search = TUNE_QUASIRANDOM,
                            .points = 40,
                            .seeds = 1,
                            .select_split = -1,
                            .keep = 2,
                            .metric_count = 1,
                            .metrics = metrics,
                            .variant_count = 1,
                            .variants = &variant};
    const TuneProgram program = {.abi = TUNE_ABI, .name = "p", .study_count = 1, .studies = &info};
    Fail fail = {0};
    Study own;
    Interrupt interrupt = {.file = -1};
    char *path = file_text("%s/p.study", directory);
    SweepOptions options = {.directory = path, .threads = 2, .interrupt = &interrupt};
    Ranking ranking;
    StoredTrial *trials;
    uint32_t count, infeasible = 0, best = 0;
    bool finished;
    assert_true(study_init(&own, &program, NULL, NULL, 0, &fail) && study_load(&own, ".", &fail));
    Store *store = store_open(path, STORE_WRITE, &fail);
    DeviceKind kind;
    assert_true(store && store_device(store, &kind, &fail) && kind == DEVICE_AUTO);
    assert_true(store_describe(store, &own, &fail));
    assert_true(store_device(store, &kind, &fail) && kind == DEVICE_CPU);
    own.on_gpu = true;
    assert_false(store_describe(store, &own, &fail));
    assert_non_null(strstr(fail.text, "(cpu, now cuda "));
    own.on_gpu = false;
    fail = (Fail){0};
    assert_true(sweep(&own, store, &options, &finished, &fail) && finished);
    assert_true(store_trials(store, &own, &trials, &count, &fail));
    assert_int_equal(count, 40);
    for (uint32_t i = 0; i < count; i++) {
        infeasible += trials[i].status == TRIAL_INFEASIBLE;
        if (isnan(trials[i].best)) continue;
        if (trials[i].best < trials[best].best) best = i;
    }
    assert_in_range(infeasible, 2, 6);
    assert_true(ranking_init(&ranking, 2, false) && store_load_ranking(store, &ranking, &fail));
    assert_int_equal(ranking.kept[0].trial, best);
    assert_int_equal(ranking.count, 2);
    ranking_release(&ranking);
    free(trials);
    store_close(store);
    study_release(&own);
    free(path);
}

/* ---- settings ---- */

static void settings(void **state) {
    (void)state;
    Fail fail = {0};
    Study own;
    double values[3];
    const char *texts[] = {"momentum=0.5", "batch=16"};
    assert_true(study_init(&own, &tune_program, "rates", texts, 2, &fail));
    assert_true(study_values(&own, 0, values, &fail));
    assert_true(values[0] == 1 && values[2] == 0.5);
    char *text = study_settings_text(&own);
    assert_string_equal(text, "batch=16 momentum=0.5");
    free(text);
    study_release(&own);
    texts[1] = "momentum=0.6";
    assert_false(study_init(&own, &tune_program, "rates", texts, 2, &fail));
    assert_non_null(strstr(fail.text, "twice"));
    texts[1] = "lr";
    assert_false(study_init(&own, &tune_program, "rates", texts, 2, &fail));
    assert_false(study_init(&own, &tune_program, "ratse", NULL, 0, &fail));
    assert_string_equal(fail.help, "did you mean 'rates'?");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(independence), cmocka_unit_test(exact_metrics),
        cmocka_unit_test(checkpoints),  cmocka_unit_test(snapshots),
        cmocka_unit_test(stops),        cmocka_unit_test(stores),
        cmocka_unit_test(settings),     cmocka_unit_test(no_data)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
