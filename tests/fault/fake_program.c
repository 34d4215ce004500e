/* A generated program written by hand: linear regression with momentum, in plain C where tunec
 * would put kernels. It exercises the runtime alone. 24 trials of two variants (batch 8 and 16);
 * high learning rates diverge. */
#include <math.h>
#include <string.h>

#include "runtime/philox.h"
#include "runtime/program.h"
#include "tests/fault/count_calls.h"

enum {
    INPUTS = 4,
    VALUES = INPUTS + 1,
    EVALUATE_BATCH = 48,
    EVALUATE_EVERY = 20,
    PARAMS = 128,
    VELOCITY = 192,
    TRIAL_BYTES = 256
};

#ifndef FAKE_WORK
#define FAKE_WORK 400 /* rounds of waiting per step, so that a kill meets a run at work */
#endif

static float uniform(uint64_t element, uint32_t site, const uint32_t key[2]) {
    const uint32_t counter[4] = {(uint32_t)element, (uint32_t)(element >> 32), 0, site};
    return (float)philox(counter, key).word[0] * 0x1p-32f;
}

static void generate(const TuneContext *context) {
    const TuneTrialHeader *header = (const void *)context->trial;
    float *x = context->fields[0], *y = context->fields[1];
    for (uint64_t row = 0; row < 16; row++) {
        uint64_t first = (header->first_example + row) * INPUTS;
        y[row] = uniform(header->first_example + row, 1, header->key) * 0.2f;
        for (uint64_t i = 0; i < INPUTS; i++) {
            x[row * INPUTS + i] = uniform(first + i, 0, header->key) * 2 - 1;
            y[row] += x[row * INPUTS + i] * (float)(i + 1) * 0.5f;
        }
    }
}

static void init(const TuneContext *context) {
    const TuneTrialHeader *header = (const void *)context->trial;
    float *weights = (void *)(context->trial + PARAMS);
    for (uint64_t i = 0; i < INPUTS; i++) weights[i] = uniform(i, 2, header->key) - 0.5f;
}

static float residual(const TuneContext *context, int32_t example) {
    const float *x = (const float *)context->fields[0] + (int64_t)example * INPUTS;
    const float *weights = (const void *)(context->trial + PARAMS);
    float sum = weights[INPUTS] - ((const float *)context->fields[1])[example];
    for (int i = 0; i < INPUTS; i++) sum += weights[i] * x[i];
    return sum;
}

#ifndef FAKE_COUNT
#define FAKE_COUNT 0
#endif

/* At the end of a step: behind the first of an interval, and behind its last. */
static void count_interval(uint64_t step) {
    if (!FAKE_COUNT) return;
    if (step % EVALUATE_EVERY == 1) calls_begin();
    if (step % EVALUATE_EVERY == 0) calls_end();
}

static void wait_a_little(void) {
    for (volatile int i = 0; i < FAKE_WORK; i++) continue;
}

static void train(const TuneContext *context, int batch) {
    TuneTrialHeader *header = (void *)context->trial;
    const double *hyper = (const void *)(context->trial + 64);
    float *weights = (void *)(context->trial + PARAMS),
          *velocity = (void *)(context->trial + VELOCITY);
    float gradient[VALUES] = {0};
    double loss = 0, square = 0;
    for (int row = 0; row < batch; row++) {
        float error = residual(context, context->index[row]);
        const float *x = (const float *)context->fields[0] + (int64_t)context->index[row] * INPUTS;
        for (int i = 0; i < INPUTS; i++) gradient[i] += 2 * error * x[i] / (float)batch;
        gradient[INPUTS] += 2 * error / (float)batch;
        loss += (double)error * error / batch;
    }
    for (int i = 0; i < VALUES; i++) {
        square += (double)gradient[i] * gradient[i];
        velocity[i] = (float)hyper[2] * velocity[i] + gradient[i];
        weights[i] -= (float)hyper[1] * velocity[i];
    }
    header->loss = loss;
    header->grad_norm = sqrt(square);
    header->step++;
    count_interval(header->step);
    wait_a_little();
}

static void train_8(const TuneContext *context) {
    train(context, 8);
}
static void train_16(const TuneContext *context) {
    train(context, 16);
}

/* Totals: squared error (mean), error above a tenth (mean), largest error (max). */
static void evaluate_rows(const TuneContext *context) {
    for (int row = 0; row < EVALUATE_BATCH; row++) {
        float error = residual(context, context->index[row]);
        ((float *)context->examples[0])[row] = error * error;
        ((float *)context->examples[1])[row] = fabsf(error) > 0.1f;
        ((float *)context->examples[2])[row] = fabsf(error);
    }
}

static void finish(const TuneContext *context) {
    memcpy(context->metrics, context->totals, 3 * sizeof *context->metrics);
}

static const TuneField fields[] = {
    {.name = "x", .type = TUNE_FIELD_F32, .elem = TUNE_F32, .rank = 1, .dims = {INPUTS}},
    {.name = "y", .type = TUNE_FIELD_F32, .elem = TUNE_F32},
};

static const TuneData data[] = {{
    .name = "line",
    .kind = TUNE_DATA_GENERATE,
    .field_count = 2,
    .fields = fields,
    .has_split = {true, true, true},
    .split = {200, 100, 100},
    .seed = 3,
    .generate = generate,
    .generate_batch = 16,
    .generate_scratch_bytes = 64,
}};

static const double batches[] = {8, 16};
static const char *const batch_labels[] = {"8", "16"};

static const TuneHyper hypers[] = {
    {.name = "batch",
     .role = TUNE_SCIENTIFIC,
     .domain = TUNE_VALUES,
     .structural = true,
     .scale = 1,
     .count = 2,
     .values = batches,
     .labels = batch_labels,
     .parent = -1},
    {.name = "lr",
     .role = TUNE_NUISANCE,
     .domain = TUNE_RANGE,
     .log = true,
     .lo = 1e-3,
     .hi = 6,
     .scale = 1,
     .parent = -1},
    {.name = "momentum",
     .role = TUNE_NUISANCE,
     .domain = TUNE_RANGE,
     .log = true,
     .lo = 1e-2,
     .hi = 1,
     .scale = -1,
     .offset = 1,
     .parent = -1},
};

static const TuneParam params[] = {
    {.name = "dense.weight", .rank = 2, .dims = {INPUTS, 1}, .offset = 0},
    {.name = "dense.bias", .rank = 1, .dims = {1}, .offset = INPUTS},
};

static const int32_t choice_8[] = {0, -1, -1}, choice_16[] = {1, -1, -1};
static const uint64_t states[] = {VELOCITY};
static const char *const state_names[] = {"v"};

#define VARIANT(size)                                                                              \
    {                                                                                              \
        .name = "batch=" #size, .choice = choice_##size, .batch = size,                            \
        .evaluate_batch = EVALUATE_BATCH, .trial_bytes = TRIAL_BYTES, .scratch_bytes = 64,         \
        .params_offset = PARAMS, .state_offsets = states, .value_count = VALUES, .param_count = 2, \
        .state_count = 1, .params = params, .state_names = state_names, .init = init,              \
        .train = train_##size, .evaluate = evaluate_rows, .finish = finish,                        \
        .step_flops = 20 * size                                                                    \
    }

static const TuneVariant variants[] = {VARIANT(8), VARIANT(16)};
static const char *const metrics[] = {"loss", "error", "largest"};
static const TuneTotal totals[] = {TUNE_MEAN, TUNE_MEAN, TUNE_MAX};

static const TuneStudy studies[] = {{
    .name = "rates",
    .goal = "Does the runtime keep its promises?",
    .data = 0,
    .real = TUNE_F32,
    .hyper_count = 3,
    .hypers = hypers,
    .search = TUNE_QUASIRANDOM,
    .points = 24,
    .seeds = 1,
    .search_seed = 1,
    .seed = 5,
    .steps = 300,
    .evaluate_every = EVALUATE_EVERY,
    .select_split = TUNE_VALID,
    .select_metric = 0,
    .keep = 3,
    .metric_count = 3,
    .total_count = 3,
    .metrics = metrics,
    .totals = totals,
    .variant_count = 2,
    .variants = variants,
}};

#ifndef FAKE_FINGERPRINT
#define FAKE_FINGERPRINT 0x1234
#endif

const TuneProgram tune_program = {
    .abi = TUNE_ABI,
    .name = "fake",
    .source = "written by hand",
    .fingerprint = FAKE_FINGERPRINT,
    .cpu = "any",
    .cpu_features = "",
    .data_count = 1,
    .study_count = 1,
    .data = data,
    .studies = studies,
};
