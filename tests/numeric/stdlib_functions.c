/* Every function, layer, loss and metric of the standard library, values and gradients, as compiled
 * programs in f64 and f32, beside the published formulas written here over long doubles. The
 * formulas' gradients are their finite differences (five points). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/numeric/stdlib.h"

typedef long double Real;
enum { LARGEST = 512, INPUTS = 3, TEXT = 65536 };

typedef struct Case Case;

/* One expression in x [rows, columns]. */
struct Case {
    const char *name, *expression;
    int rows, columns, outputs;
    const char *start; /* of x */
    /* From all inputs, one after the other, to all outputs. */
    void (*formula)(const Case *at, const Real *in, Real *out);
    struct {
        const char *name; /* of a parameter of a layer within the expression */
        int count;
    } inputs[INPUTS];
    double loose; /* times the usual tolerance; 0 for 1 */
    bool steps;   /* constant but for steps: the gradient is 0 */
};

static int elements(const Case *at) {
    return at->rows * at->columns;
}

/* activations */

#define POINTWISE(NAME, EXPRESSION)                                                                \
    static void NAME(const Case *at, const Real *in, Real *out) {                                  \
        for (int i = 0; i < elements(at); i++) {                                                   \
            Real x = in[i];                                                                        \
            out[i] = EXPRESSION;                                                                   \
        }                                                                                          \
    }
POINTWISE(relu, x > 0 ? x : 0)
POINTWISE(sigmoid, 1 / (1 + expl(-x)))
POINTWISE(silu, x / (1 + expl(-x)))
POINTWISE(gelu, x * 0.5L * erfcl(-x / sqrtl(2)))
POINTWISE(gelu_tanh, 0.5L * x * (1 + tanhl(sqrtl(2 / M_PIl) * (x + 0.044715L * x * x * x))))
POINTWISE(identity, x)

/* log(sum(exp(x))) of a row. */
static Real log_sum_exp(const Real *x, int columns) {
    Real largest = x[0], sum = 0;
    for (int i = 1; i < columns; i++) largest = fmaxl(largest, x[i]);
    for (int i = 0; i < columns; i++) sum += expl(x[i] - largest);
    return largest + logl(sum);
}

static void log_softmax(const Case *at, const Real *in, Real *out) {
    for (int i = 0; i < elements(at); i++)
        out[i] = in[i] - log_sum_exp(in + i / at->columns * at->columns, at->columns);
}

static void softmax(const Case *at, const Real *in, Real *out) {
    log_softmax(at, in, out);
    for (int i = 0; i < elements(at); i++) out[i] = expl(out[i]);
}

/* layers; their parameters stand behind x */

static void normalised(const Case *at, const Real *in, Real *out, bool centre, Real epsilon) {
    int columns = at->columns;
    const Real *scale = in + elements(at), *shift = scale + columns;
    for (int row = 0; row < at->rows; row++) {
        const Real *x = in + row * columns;
        Real mean = 0, square = 0;
        for (int i = 0; centre && i < columns; i++) mean += x[i] / columns;
        for (int i = 0; i < columns; i++) square += (x[i] - mean) * (x[i] - mean) / columns;
        for (int i = 0; i < columns; i++)
            out[row * columns + i] =
                (x[i] - mean) / sqrtl(square + epsilon) * scale[i] + (centre ? shift[i] : 0);
    }
}

static void layer_norm(const Case *at, const Real *in, Real *out) {
    normalised(at, in, out, true, 1e-5L);
}

static void layer_norm_epsilon(const Case *at, const Real *in, Real *out) {
    normalised(at, in, out, true, 0.5L);
}

static void rms_norm(const Case *at, const Real *in, Real *out) {
    normalised(at, in, out, false, 1e-6L);
}

static void product(const Case *at, const Real *in, Real *out, const Real *bias) {
    int width = at->outputs / at->rows;
    const Real *weight = in + elements(at);
    for (int i = 0; i < at->outputs; i++) {
        out[i] = bias ? bias[i % width] : 0;
        for (int k = 0; k < at->columns; k++)
            out[i] += in[i / width * at->columns + k] * weight[k * width + i % width];
    }
}

static void dense(const Case *at, const Real *in, Real *out) {
    product(at, in, out, in + elements(at) + at->columns * (at->outputs / at->rows));
}

static void dense_without_bias(const Case *at, const Real *in, Real *out) {
    product(at, in, out, NULL);
}

/* losses and metrics; labels are (2 row + 1) % columns, targets those of target() */

#define LABELS(COUNT, COLUMNS) "(2 * iota(" #COUNT ") + 1) % " #COLUMNS

static int label_of(const Case *at, int row) {
    return (2 * row + 1) % at->columns;
}

/* In Tune: TARGET(rows, columns). */
#define TARGET(ROWS, COLUMNS)                                                                      \
    "reshape(0.5 + 0.5 * sin(2.3 * iota(" #ROWS " * " #COLUMNS ")), " #ROWS ", " #COLUMNS ")"

static Real target(int i) {
    return 0.5L + 0.5L * sinl(2.3L * i);
}

static void smoothed(const Case *at, const Real *in, Real *out, Real smoothing) {
    Real sum = 0;
    for (int row = 0; row < at->rows; row++) {
        const Real *x = in + row * at->columns;
        Real normaliser = log_sum_exp(x, at->columns), even = 0;
        for (int i = 0; i < at->columns; i++) even += (normaliser - x[i]) / at->columns;
        sum += (1 - smoothing) * (normaliser - x[label_of(at, row)]) + smoothing * even;
    }
    out[0] = sum / at->rows;
}

static void cross_entropy(const Case *at, const Real *in, Real *out) {
    smoothed(at, in, out, 0);
}

static void cross_entropy_smoothed(const Case *at, const Real *in, Real *out) {
    smoothed(at, in, out, 0.1L);
}

static void binary_cross_entropy(const Case *at, const Real *in, Real *out) {
    Real sum = 0;
    for (int i = 0; i < elements(at); i++) {
        Real x = in[i], softplus = x > 0 ? x + log1pl(expl(-x)) : log1pl(expl(x));
        sum += softplus - x * target(i); /* -t log s(x) - (1 - t) log s(-x) */
    }
    out[0] = sum / elements(at);
}

static void squared(const Case *at, const Real *in, Real *out) {
    Real sum = 0;
    for (int i = 0; i < elements(at); i++) sum += (in[i] - target(i)) * (in[i] - target(i));
    out[0] = sum / elements(at);
}

static void absolute(const Case *at, const Real *in, Real *out) {
    Real sum = 0;
    for (int i = 0; i < elements(at); i++) sum += fabsl(in[i] - target(i));
    out[0] = sum / elements(at);
}

/* How many classes stand before the label: larger ones, and equal ones with a smaller index. */
static int place_of_label(const Case *at, const Real *x, int label) {
    int place = 0;
    for (int i = 0; i < at->columns; i++)
        place += x[i] > x[label] || (x[i] == x[label] && i < label);
    return place;
}

static void within(const Case *at, const Real *in, Real *out, int k) {
    Real count = 0;
    for (int row = 0; row < at->rows; row++)
        count += place_of_label(at, in + row * at->columns, label_of(at, row)) < k;
    out[0] = count / at->rows;
}

static void accuracy(const Case *at, const Real *in, Real *out) {
    within(at, in, out, 1);
}

static void error(const Case *at, const Real *in, Real *out) {
    within(at, in, out, 1);
    out[0] = 1 - out[0];
}

static void top_2(const Case *at, const Real *in, Real *out) {
    within(at, in, out, 2);
}

static void top_5(const Case *at, const Real *in, Real *out) {
    within(at, in, out, 5);
}

static void constant_half(const Case *at, const Real *in, Real *out) {
    (void)at, (void)in;
    out[0] = 0.5L;
}

#define RANDOM(ROWS, COLUMNS) "wave(" #ROWS ", " #COLUMNS ", 3)"
#define LEVELS(ROWS, COLUMNS) "levels(" #ROWS ", " #COLUMNS ")"

static const Case cases[] = {
    {"relu", "relu(x)", 5, 19, 95, RANDOM(5, 19), .formula = relu},
    {"relu_at_0", "relu(x)", 2, 3, 6, "zeros", .formula = relu, .steps = true},
    {"sigmoid", "sigmoid(x)", 5, 19, 95, RANDOM(5, 19), .formula = sigmoid},
    {"silu", "silu(x)", 5, 19, 95, RANDOM(5, 19), .formula = silu},
    {"gelu", "gelu(x)", 5, 19, 95, RANDOM(5, 19), .formula = gelu},
    {"gelu_tanh", "gelu_tanh(x)", 5, 19, 95, RANDOM(5, 19), .formula = gelu_tanh},
    {"softmax", "softmax(x)", 5, 19, 95, RANDOM(5, 19), .formula = softmax},
    {"softmax_rows", "sum(softmax(x), axis: -1)", 2, 8, 2, RANDOM(2, 8), .formula = NULL},
    {"softmax_one", "softmax(x)", 4, 1, 4, RANDOM(4, 1), .formula = softmax},
    {"softmax_huge", "softmax(x)", 3, 7, 21, "wave(3, 7, 1e4)", .formula = softmax},
    {"log_softmax", "log_softmax(x)", 5, 19, 95, RANDOM(5, 19), .formula = log_softmax},
    {"log_softmax_huge", "log_softmax(x)", 3, 7, 21, "wave(3, 7, 1e4)", .formula = log_softmax},
    {"layer_norm", "layer_norm(x)", 4, 19, 76, RANDOM(4, 19), .formula = layer_norm,
     .inputs = {{"layer_norm1.scale", 19}, {"layer_norm1.shift", 19}}},
    {"layer_norm_epsilon", "layer_norm(x, epsilon: 0.5)", 4, 8, 32, RANDOM(4, 8),
     .formula = layer_norm_epsilon, .inputs = {{"layer_norm1.scale", 8}, {"layer_norm1.shift", 8}}},
    {"layer_norm_constant", "layer_norm(x)", 3, 8, 24, "constant(1.3)", .formula = layer_norm,
     .inputs = {{"layer_norm1.scale", 8}, {"layer_norm1.shift", 8}}, .loose = 1e3},
    {"rms_norm", "rms_norm(x)", 4, 19, 76, RANDOM(4, 19), .formula = rms_norm,
     .inputs = {{"rms_norm1.scale", 19}}},
    {"rms_norm_constant", "rms_norm(x)", 3, 8, 24, "constant(-1.3)", .formula = rms_norm,
     .inputs = {{"rms_norm1.scale", 8}}},
    {"rms_norm_zero", "rms_norm(x)", 3, 8, 24, "zeros", .formula = rms_norm,
     .inputs = {{"rms_norm1.scale", 8}}, .loose = 1e3},
    {"dense", "dense(x, 5)", 4, 19, 20, RANDOM(4, 19), .formula = dense,
     .inputs = {{"dense1.weight", 95}, {"dense1.bias", 5}}},
    {"dense_start", "dense(x, 9, start: he_normal)", 3, 6, 27, RANDOM(3, 6), .formula = dense,
     .inputs = {{"dense1.weight", 54}, {"dense1.bias", 9}}},
    {"dense_without_bias", "dense(x, 4, with_bias: false)", 4, 7, 16, RANDOM(4, 7),
     .formula = dense_without_bias, .inputs = {{"dense1.weight", 28}}},
    {"dropout_at_0", "dropout(x, 0)", 2, 5, 10, RANDOM(2, 5), .formula = identity},
    {"cross_entropy", "cross_entropy(x, " LABELS(6, 19) ")", 6, 19, 1, RANDOM(6, 19),
     .formula = cross_entropy},
    {"cross_entropy_smoothed", "cross_entropy(x, " LABELS(6, 19) ", smoothing: 0.1)", 6, 19, 1,
     RANDOM(6, 19), .formula = cross_entropy_smoothed},
    {"cross_entropy_huge", "cross_entropy(x, " LABELS(6, 10) ")", 6, 10, 1, "wave(6, 10, 1e4)",
     .formula = cross_entropy},
    {"cross_entropy_smoothed_huge", "cross_entropy(x, " LABELS(6, 10) ", smoothing: 0.1)", 6, 10, 1,
     "wave(6, 10, 1e4)", .formula = cross_entropy_smoothed},
    {"binary_cross_entropy", "binary_cross_entropy(x, " TARGET(4, 9) ")", 4, 9, 1, RANDOM(4, 9),
     .formula = binary_cross_entropy},
    {"binary_cross_entropy_huge", "binary_cross_entropy(x, " TARGET(4, 9) ")", 4, 9, 1,
     "wave(4, 9, 1e4)", .formula = binary_cross_entropy},
    {"mean_squared_error", "mean_squared_error(x, " TARGET(4, 9) ")", 4, 9, 1, RANDOM(4, 9),
     .formula = squared},
    {"metric_mse", "metric.mse(x, " TARGET(4, 9) ")", 4, 9, 1, RANDOM(4, 9), .formula = squared},
    {"metric_mae", "metric.mae(x, " TARGET(4, 9) ")", 4, 9, 1, RANDOM(4, 9), .formula = absolute},
    {"metric_error", "metric.error(x, " LABELS(40, 6) ")", 40, 6, 1, RANDOM(40, 6),
     .formula = error, .steps = true},
    {"metric_accuracy", "metric.accuracy(x, " LABELS(40, 6) ")", 40, 6, 1, RANDOM(40, 6),
     .formula = accuracy, .steps = true},
    {"metric_top_2", "metric.top_k(x, " LABELS(40, 6) ", 2)", 40, 6, 1, RANDOM(40, 6),
     .formula = top_2, .steps = true},
    {"error_ties", "metric.error(x, " LABELS(40, 7) ")", 40, 7, 1, LEVELS(40, 7), .formula = error,
     .steps = true},
    {"accuracy_ties", "metric.accuracy(x, " LABELS(40, 7) ")", 40, 7, 1, LEVELS(40, 7),
     .formula = accuracy, .steps = true},
    {"top_1_ties", "metric.top_k(x, " LABELS(40, 7) ", 1)", 40, 7, 1, LEVELS(40, 7),
     .formula = accuracy, .steps = true},
    {"top_2_ties", "metric.top_k(x, " LABELS(40, 7) ", 2)", 40, 7, 1, LEVELS(40, 7),
     .formula = top_2, .steps = true},
    {"top_5_ties", "metric.top_k(x, " LABELS(40, 7) ", 5)", 40, 7, 1, LEVELS(40, 7),
     .formula = top_5, .steps = true},
    {"top_2_equal", "metric.top_k(x, iota(4), 2)", 4, 4, 1, "constant(1)", .formula = constant_half,
     .steps = true},
};

enum { CASES = sizeof cases / sizeof *cases };

static void formula_of(const Case *at, const Real *in, Real *out) {
    if (at->formula) {
        at->formula(at, in, out);
    } else {
        for (int i = 0; i < at->outputs; i++) out[i] = 1; /* rows of a softmax */
    }
}

/* The layer of a case: its outputs become the gradient of v. */
static int layer_text(char *to, const Case *at) {
    int rows = at->outputs % at->rows == 0 ? at->rows : 1, columns = at->outputs / rows;
    const char *reshaped = rows == 1 ? "reshape(%s, 1, 1)" : "%s";
    char y[512];
    snprintf(y, sizeof y, reshaped, at->expression);
    return sprintf(
        to,
        "layer case_%s() {\n"
        "    x: param[%d, %d] = %s\n"
        "    v: param[%d, %d] = zeros\n"
        "    y = %s\n"
        "    return sum(stop_gradient(y) * v) + sum(y * cos(reshape(iota(%d), %d, %d)))\n"
        "}\n",
        at->name, at->rows, at->columns, at->start, rows, columns, y, at->outputs, rows, columns);
}

/* The program: a layer per case; levels() makes many equal elements. */
static void program_text(char *text, const char *precision) {
    char *end = text;
    end += sprintf(
        end, "use init, nn, metric\n"
             "init wave(rows: int, columns: int, scale: real) {\n"
             "    return reshape(scale * sin(1.7 * iota(rows * columns) + 0.1), rows, columns)\n"
             "}\n"
             "init levels(rows: int, columns: int) {\n"
             "    return reshape(floor(2 * sin(1.7 * iota(rows * columns))), rows, columns)\n"
             "}\n"
             "optimizer record(lr) { param = where(lr > 0, grad, param) }\n");
    for (int i = 0; i < CASES; i++) end += layer_text(end, &cases[i]);
    end += sprintf(end, "model all() {\n    loss = 0\n");
    for (int i = 0; i < CASES; i++)
        end += sprintf(end, "    loss = loss + case_%s()\n", cases[i].name);
    sprintf(end,
            "}\n"
            "study s {\n"
            "    goal      \"values and gradients\"\n"
            "    model     all()\n"
            "    optimizer record(lr)\n"
            "    nuisance  lr in {0, 1}\n"
            "    search    points(point(lr: 0), point(lr: 1))\n"
            "    steps     1\n"
            "    evaluate  every 1\n"
            "    select    min loss, keep 2\n"
            "    precision %s\n"
            "}\n",
            precision);
}

static Real weighted(const Case *at, const Real *in) {
    Real out[LARGEST], sum = 0;
    formula_of(at, in, out);
    for (int i = 0; i < at->outputs; i++) sum += out[i] * cosl(i);
    return sum;
}

/* The derivative of the weighted outputs in input i: five points, error h^4. */
static Real difference(const Case *at, Real *in, int i) {
    const Real h = 2e-5L, centre = in[i];
    Real sum = 0;
    const Real factors[] = {1, -8, 8, -1};
    const int places[] = {-2, -1, 1, 2};
    for (int k = 0; k < 4; k++) {
        in[i] = centre + h * places[k];
        sum += factors[k] * weighted(at, in);
    }
    in[i] = centre;
    return sum / (12 * h);
}

typedef struct {
    const TensorFile *before, *after;
    double tolerance;
} Run;

static bool close_to(const Case *at, const char *what, int i, double got, Real expected,
                     double tolerance) {
    if (at->loose > 0) tolerance *= at->loose;
    if (fabsl(got - expected) <= tolerance * (1 + fabsl(expected))) return true;
    printf("FAILED: %s, %s %d: %.17g, the formula says %.17Lg\n", at->name, what, i, got, expected);
    return false;
}

/* The values of a tensor of the case, appended. */
static bool append(const TensorFile *file, const Case *at, const char *name, int count, Real *to) {
    char full[256];
    snprintf(full, sizeof full, "case_%s1.%s", at->name, name);
    double *values = tensor_values(file, full, count);
    for (int i = 0; values && i < count; i++) to[i] = values[i];
    free(values);
    return values != NULL;
}

/* x and the inputs behind it; returns how many, 0 if one is missing. */
static int gather(const TensorFile *file, const Case *at, Real *to) {
    int count = elements(at);
    if (!append(file, at, "x", count, to)) return 0;
    for (int i = 0; i < INPUTS && at->inputs[i].name; i++) {
        if (!append(file, at, at->inputs[i].name, at->inputs[i].count, to + count)) return 0;
        count += at->inputs[i].count;
    }
    return count;
}

static bool check_case(const Case *at, const Run *run) {
    Real in[LARGEST], gradient[LARGEST], got[LARGEST], expected[LARGEST];
    int count = gather(run->before, at, in);
    if (!count || !gather(run->after, at, gradient) ||
        !append(run->after, at, "v", at->outputs, got))
        return false;
    formula_of(at, in, expected);
    bool passed = true;
    for (int i = 0; i < at->outputs && passed; i++)
        passed = close_to(at, "output", i, (double)got[i], expected[i], run->tolerance);
    for (int i = 0; i < count && passed; i++) {
        Real slope = at->steps ? 0 : difference(at, in, i);
        passed = close_to(at, "gradient", i, (double)gradient[i], slope, run->tolerance);
    }
    return passed;
}

static bool check_all(const Program *program, double tolerance) {
    TensorFile before, after;
    if (!program_checkpoint(program, 0, 1, &before)) return false;
    bool passed = program_checkpoint(program, 1, 1, &after);
    if (!passed) goto out;
    Run run = {&before, &after, tolerance};
    for (int i = 0; i < CASES; i++) passed = check_case(&cases[i], &run) && passed;
    safetensors_release(&after);
out:
    safetensors_release(&before);
    return passed;
}

int main(int count, char **arguments) {
    static char text[TEXT];
    if (count < 3) return printf("usage: %s TUNEC cpu|vgpu\n", arguments[0]), 2;
    Program wide = {arguments[1], "functions_f64", arguments[2]};
    Program narrow = {arguments[1], "functions_f32", arguments[2]};
    program_text(text, "f64");
    bool passed = program_run(&wide, text) && check_all(&wide, 1e-10);
    program_text(text, "f32");
    passed = program_run(&narrow, text) && check_all(&narrow, 1e-5) && passed;
    if (passed) printf("%d expressions, values and gradients, f64 and f32\n", CASES);
    return !passed;
}
