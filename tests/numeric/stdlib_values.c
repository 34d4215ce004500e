/* What the standard library makes of random numbers and of steps: schedules step by step beside
 * their formulas; initialisers by their bounds, moments and orthogonality; dropout by its rate,
 * scale and gradient. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/numeric/stdlib.h"

enum { STEPS = 40, TEXT = 16384 };

static bool expect(bool holds, const char *what, double got, double wanted) {
    if (!holds) printf("FAILED: %s: %.17g, expected %.17g\n", what, got, wanted);
    return holds;
}

/* ---- schedules; the loss has a gradient in element i at step i only, where lr is written ---- */

static const double base = 0.25;

static double cosine(double step, double steps, double to) {
    return base * (to + (1 - to) * 0.5 * (1 + cos(M_PI * fmin(step / steps, 1))));
}

static double schedule_constant(int t) {
    (void)t;
    return base;
}
static double schedule_linear(int t) {
    return base * (1 - t / (double)STEPS);
}
static double schedule_linear_short(int t) {
    return t < 10 ? base * (1 + (0.2 - 1) * t / 10.0) : base * 0.2;
}
static double schedule_cosine(int t) {
    return cosine(t, STEPS, 0);
}
static double schedule_cosine_short(int t) {
    return cosine(t, 7, 0.1);
}
static double schedule_exponential(int t) {
    return base * pow(0.9, t / 3.0);
}
static double schedule_staircase(int t) {
    return base * pow(0.5, floor(t / 12.0));
}
static double schedule_warmup(int t) {
    return base * fmin((t + 1) / 5.0, 1);
}
static double schedule_warmup_cosine(int t) {
    return t < 10 ? base * (t + 1) / 10 : cosine(t - 10, STEPS - 10, 0);
}
static double schedule_three(int t) {
    if (t < 4) return base * (t + 1) / 4;
    return t < 14 ? base : base * (1 - (t - 14) / (double)(STEPS - 14));
}

static const struct {
    const char *text;
    double (*formula)(int step);
} schedules[] = {
    {"schedule.constant()", schedule_constant},
    {"schedule.linear()", schedule_linear},
    {"schedule.linear(steps: 10, to: 0.2)", schedule_linear_short},
    {"schedule.cosine()", schedule_cosine},
    {"schedule.cosine(steps: 7, to: 0.1)", schedule_cosine_short},
    {"schedule.exponential(rate: 0.9, every: 3)", schedule_exponential},
    {"schedule.staircase(rate: 0.5, every: 12)", schedule_staircase},
    {"schedule.warmup(steps: 5)", schedule_warmup},
    {"schedule.warmup(steps: 10) then schedule.cosine(to: 0)", schedule_warmup_cosine},
    {"schedule.warmup(steps: 4) then schedule.constant(steps: 10) then schedule.linear()",
     schedule_three},
};
enum { SCHEDULES = sizeof schedules / sizeof *schedules };

static bool check_schedule(char **arguments, uint32_t which) {
    char text[TEXT];
    Program program = {arguments[1], "schedules", arguments[2]};
    TensorFile file;
    snprintf(text, sizeof text,
             "use init, schedule\n"
             "optimizer record(lr) { param = where(grad > 0.5, lr, param) }\n"
             "layer steps_seen() {\n"
             "    w: param[%d] = zeros\n"
             "    return sum(where(iota(%d) == step, w, 0))\n"
             "}\n"
             "model m() { loss = steps_seen() }\n"
             "study s {\n"
             "    goal \"a schedule\"\n    model m()\n    optimizer record(lr)\n"
             "    nuisance lr in {%g, 1}\n    schedule lr = %s\n"
             "    search points(point(lr: %g))\n    steps %d\n    evaluate every %d\n"
             "    select min loss, keep 1\n    precision f64\n"
             "}\n",
             STEPS, STEPS, base, schedules[which].text, base, STEPS, STEPS);
    if (!program_run(&program, text) || !program_checkpoint(&program, 0, STEPS, &file))
        return false;
    double *values = tensor_values(&file, "steps_seen1.w", STEPS);
    bool passed = values;
    for (int t = 0; passed && t < STEPS; t++) {
        double wanted = schedules[which].formula(t);
        passed =
            expect(fabs(values[t] - wanted) <= 1e-14, schedules[which].text, values[t], wanted);
        if (!passed) printf("        at step %d\n", t);
    }
    free(values);
    safetensors_release(&file);
    return passed;
}

/* ---- initialisers: [300, 200] of each; two of the same; two seeds ---- */

enum { ROWS = 300, COLUMNS = 200, COUNT = ROWS * COLUMNS };

/* kurtosis: of the distribution, for the deviation of the sample's variance. */
static const struct {
    const char *name, *text;
    double mean, variance, kurtosis, bound;
} initialisers[] = {
    {"zeros", "zeros", 0, 0, 3, 0},
    {"ones", "ones", 1, 0, 3, 1},
    {"fixed", "init.constant(0.3)", 0.3, 0, 3, 0.3},
    {"normal", "gaussian", 0, 1, 3, 6},
    {"normal_moved", "gaussian(mean: 2, deviation: 0.5)", 2, 0.25, 3, 5},
    /* 1 - 2 * 2 phi(2) / (2 Phi(2) - 1) */
    {"truncated", "truncated_normal", 0, 0.77374130, 2.37, 2},
    {"truncated_narrow", "truncated_normal(deviation: 0.1)", 0, 0.0077374130, 2.37, 0.2},
    {"glorot_u", "glorot_uniform", 0, 2.0 / (ROWS + COLUMNS), 1.8, 0.109544511501033},
    {"glorot_n", "glorot_normal", 0, 2.0 / (ROWS + COLUMNS), 3, 1},
    {"he_u", "he_uniform", 0, 2.0 / ROWS, 1.8, 0.14142135623731},
    {"he_n", "he_normal", 0, 2.0 / ROWS, 3, 1},
    {"lecun_u", "lecun_uniform", 0, 1.0 / ROWS, 1.8, 0.1},
    {"lecun_n", "lecun_normal", 0, 1.0 / ROWS, 3, 1},
    {"again", "he_normal", 0, 2.0 / ROWS, 3, 1},
};
enum { INITIALISERS = sizeof initialisers / sizeof *initialisers };

static bool check_moments(const double *x, uint32_t which) {
    const char *name = initialisers[which].name;
    double mean = initialisers[which].mean, variance = initialisers[which].variance, sum = 0,
           square = 0, largest = 0;
    for (int i = 0; i < COUNT; i++) {
        sum += (x[i] - mean) / COUNT;
        square += (x[i] - mean) * (x[i] - mean) / COUNT;
        largest = fmax(largest, fabs(x[i]));
    }
    double spread = 4 * sqrt(variance / COUNT);
    double wide = 4 * variance * sqrt((initialisers[which].kurtosis - 1) / COUNT);
    bool passed = expect(fabs(sum) <= spread + 1e-15, name, mean + sum, mean);
    passed = expect(fabs(square - variance) <= wide + 1e-15, name, square, variance) && passed;
    return expect(largest <= initialisers[which].bound * (1 + 1e-12), name, largest,
                  initialisers[which].bound) &&
           passed;
}

/* gain^2 on the diagonal of the smaller of X X' and X' X. */
static bool check_orthogonal(const double *x, int rows, int columns, double gain) {
    int count = rows < columns ? rows : columns, length = rows < columns ? columns : rows;
    int step = rows < columns ? 1 : columns, stride = rows < columns ? columns : 1;
    for (int i = 0; i < count; i++)
        for (int j = 0; j <= i; j++) {
            double product = 0, wanted = i == j ? gain * gain : 0;
            for (int k = 0; k < length; k++)
                product += x[i * stride + k * step] * x[j * stride + k * step];
            if (!expect(fabs(product - wanted) <= 1e-5, "orthogonal", product, wanted))
                return false;
        }
    return true;
}

static void initialiser_program(char *text) {
    char *end = text + sprintf(text, "use init, optim\nlayer all() {\n");
    for (uint32_t i = 0; i < INITIALISERS; i++)
        end += sprintf(end, "    %s: param[%d, %d] = %s\n", initialisers[i].name, ROWS, COLUMNS,
                       initialisers[i].text);
    sprintf(end, "    square: param[12, 12] = orthogonal\n"
                 "    wide: param[5, 17] = orthogonal\n"
                 "    tall: param[17, 5] = orthogonal(gain: 2)\n"
                 "    return sum(he_n) + sum(again) + sum(square) + sum(wide) + sum(tall)\n"
                 "}\n"
                 "model m() { loss = all() }\n"
                 "study s {\n"
                 "    goal \"how parameters start\"\n    model m()\n    optimizer optim.sgd(lr)\n"
                 "    nuisance lr in {0, 1}\n    search points(point(lr: 0), point(lr: 0))\n"
                 "    steps 1\n    evaluate every 1\n    select min loss, keep 4\n    seeds 2\n"
                 "    precision f64\n}\n");
}

static bool check_file(const TensorFile *file) {
    bool passed = true;
    char name[64];
    for (uint32_t i = 0; i < INITIALISERS; i++) {
        snprintf(name, sizeof name, "all1.%s", initialisers[i].name);
        double *x = tensor_values(file, name, COUNT);
        passed = x && check_moments(x, i) && passed;
        free(x);
    }
    double *square = tensor_values(file, "all1.square", 144);
    double *wide = tensor_values(file, "all1.wide", 85),
           *tall = tensor_values(file, "all1.tall", 85);
    passed = square && wide && tall && check_orthogonal(square, 12, 12, 1) &&
             check_orthogonal(wide, 5, 17, 1) && check_orthogonal(tall, 17, 5, 2) && passed;
    free(square), free(wide), free(tall);
    return passed;
}

static bool same(const TensorFile *a, const char *left, const TensorFile *b, const char *right) {
    double *x = tensor_values(a, left, COUNT), *y = tensor_values(b, right, COUNT);
    bool equal = x && y && memcmp(x, y, COUNT * sizeof *x) == 0;
    free(x), free(y);
    return equal;
}

/* Trials 0 and 1 are the seeds of one point, 2 and 3 those of another. */
static bool check_initialisers(char **arguments) {
    char text[TEXT];
    Program program = {arguments[1], "initialisers", arguments[2]};
    TensorFile first, second;
    initialiser_program(text);
    if (!program_run(&program, text) || !program_checkpoint(&program, 0, 1, &first)) return false;
    bool passed = program_checkpoint(&program, 1, 1, &second);
    if (passed) {
        passed = check_file(&first) && check_file(&second);
        passed = expect(!same(&first, "all1.he_n", &first, "all1.again"), "two parameters", 0, 1) &&
                 expect(!same(&first, "all1.he_n", &second, "all1.he_n"), "two seeds", 0, 1) &&
                 passed;
        safetensors_release(&second);
    }
    safetensors_release(&first);
    return passed;
}

/* ---- dropout of ones, at two rates in one wave ---- */

static const double rates[] = {0.2, 0.7};

static bool check_dropped(const double *value, const double *slope, double rate) {
    double kept = 0, scale = 1 / (1 - rate);
    for (int i = 0; i < COUNT; i++) {
        if (value[i] == 0 && slope[i] == 0) continue;
        if (!expect(fabs(value[i] - scale) <= 1e-12, "kept element", value[i], scale) ||
            !expect(fabs(slope[i] - 3 * scale) <= 1e-12, "its gradient", slope[i], 3 * scale))
            return false;
        kept++;
    }
    double spread = 4 * sqrt(rate * (1 - rate) / COUNT);
    return expect(fabs(kept / COUNT - (1 - rate)) <= spread, "kept fraction", kept / COUNT,
                  1 - rate);
}

static bool check_rate(const Program *program, int trial) {
    TensorFile file;
    char command[256];
    if (!program_checkpoint(program, trial, 1, &file)) return false;
    double *value = tensor_values(&file, "dropped1.v", COUNT);
    double *slope = tensor_values(&file, "dropped1.x", COUNT);
    bool passed = value && slope && check_dropped(value, slope, rates[trial]);
    free(value), free(slope);
    safetensors_release(&file);
    /* at evaluation the input as it is */
    snprintf(command, sizeof command,
             "./%s show %d --json | sed -n 's/.*\"changed\": *//p' | head -1", program->name,
             trial);
    double changed = number_of_command(command);
    return expect(changed == 0, "dropout at evaluation", changed, 0) && passed;
}

static bool check_dropout(char **arguments) {
    char text[TEXT];
    Program program = {arguments[1], "dropout", arguments[2]};
    snprintf(
        text, sizeof text,
        "use init, nn\n"
        "optimizer record(lr) { param = lr * grad }\n"
        "layer dropped(rate: real) {\n"
        "    x: param[%d, %d] = ones\n"
        "    v: param[%d, %d] = zeros\n"
        "    y = nn.dropout(x, rate)\n"
        "    return sum(stop_gradient(y) * v) + 3 * sum(y)\n"
        "}\n"
        "model m(rate: real) {\n"
        "    loss = dropped(rate)\n"
        "    metric changed = sum(abs(nn.dropout(broadcast(1.5, 1000), rate) - 1.5))\n"
        "}\n"
        "study s {\n"
        "    goal \"dropout\"\n    model m(rate)\n    optimizer record(lr)\n"
        "    nuisance rate in [0, 0.9]\n    fixed lr = 1\n"
        "    search points(point(rate: %g), point(rate: %g))\n"
        "    steps 1\n    evaluate every 1\n    select min loss, keep 2\n    precision f64\n}\n",
        ROWS, COLUMNS, ROWS, COLUMNS, rates[0], rates[1]);
    return program_run(&program, text) && check_rate(&program, 0) && check_rate(&program, 1);
}

int main(int count, char **arguments) {
    if (count < 3) return printf("usage: %s TUNEC cpu|vgpu\n", arguments[0]), 2;
    bool passed = check_initialisers(arguments);
    passed = check_dropout(arguments) && passed;
    for (uint32_t i = 0; i < SCHEDULES; i++) passed = check_schedule(arguments, i) && passed;
    if (passed) printf("%d schedules, %d initialisers, dropout\n", SCHEDULES, INITIALISERS + 3);
    return !passed;
}
