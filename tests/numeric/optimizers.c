/* 20 steps of every optimizer of stdlib/optim.tune, through the compiler's front end and the
 * reference evaluator, beside the published rules written here in C. All in f64; the loss is
 * sum(w^4 / 4 + 0.3 sin w) over two matrices and a vector, whose gradient w^3 + 0.3 cos w is
 * known. */
#include <math.h>
#include <stdio.h>

#include "tests/numeric/front.h"

enum { ROWS = 3, COLUMNS = 2, MOST = ROWS * COLUMNS, TENSORS = 3, STEPS = 20 };

/* The hyperparameters that the study passes, by the names of the optimizers' arguments. */
static const double lr = 0.05, mu = 0.8, beta1 = 0.85, beta2 = 0.97, rho = 0.95, epsilon = 1e-3,
                    decay = 0.1;

/* One element: the parameter, its state values, and what is evaluated where it is not the
 * parameter; t counts from 0. */
typedef struct {
    double w, m, v, sum, evaluated;
} Element;
typedef void (*Rule)(Element *e, double g, double t);

/* A whole parameter; a vector has one column and is no matrix. `row`, `column`: sums kept. */
typedef struct {
    int rows, columns;
    bool matrix;
    Element at[MOST];
    double row[MOST], column[MOST];
} Tensor;
typedef void (*TensorRule)(Tensor *p, const double *g, double t);

static void sgd(Element *e, double g, double t) {
    (void)t;
    e->w -= lr * g;
}

static void momentum(Element *e, double g, double t) {
    (void)t;
    e->v = mu * e->v + g;
    e->w -= lr * e->v;
}

static void nesterov(Element *e, double g, double t) {
    (void)t;
    e->v = mu * e->v + g;
    e->w -= lr * (mu * e->v + g);
}

static void rmsprop(Element *e, double g, double t) {
    if (t == 0) e->v = 1;
    e->v = rho * e->v + (1 - rho) * g * g;
    e->m = mu * e->m + lr * g / sqrt(e->v + epsilon);
    e->w -= e->m;
}

/* The step of adam for direction m: alpha b m / (sqrt(v) + epsilon). */
static double adam_step(const Element *e, double m, double t) {
    double b = sqrt(1 - pow(beta2, t + 1)) / (1 - pow(beta1, t + 1));
    return b * m / (sqrt(e->v) + epsilon);
}

static void adam_moments(Element *e, double g) {
    e->m = beta1 * e->m + (1 - beta1) * g;
    e->v = beta2 * e->v + (1 - beta2) * g * g;
}

static void adam(Element *e, double g, double t) {
    adam_moments(e, g);
    e->w -= lr * adam_step(e, e->m, t);
}

static void nadam(Element *e, double g, double t) {
    adam_moments(e, g);
    e->w -= lr * adam_step(e, beta1 * e->m + (1 - beta1) * g, t);
}

static void adamw(Element *e, double g, double t) {
    adam_moments(e, g);
    e->w -= lr * (adam_step(e, e->m, t) + decay * e->w);
}

static void adagrad(Element *e, double g, double t) {
    (void)t;
    e->v += g * g;
    e->w -= lr * g / (sqrt(e->v) + epsilon);
}

static void lion(Element *e, double g, double t) {
    (void)t;
    double c = beta1 * e->m + (1 - beta1) * g;
    e->m = beta2 * e->m + (1 - beta2) * g;
    e->w -= lr * ((c > 0) - (c < 0) + decay * e->w);
}

/* Defazio et al. 2024, algorithm 1, with its z, x and y; `m` holds z. */
static void schedule_free(Element *e, double g, double t) {
    const double warmup = 5;
    if (t == 0) e->m = e->evaluated = e->w;
    e->v = beta2 * e->v + (1 - beta2) * g * g;
    double rate = lr * sqrt(1 - pow(beta2, t + 1)) * fmin(1, (t + 1) / warmup);
    e->m = e->m - rate * g / (sqrt(e->v) + epsilon) - rate * decay * e->w;
    e->sum += rate * rate;
    double c = rate * rate / e->sum;
    e->evaluated = (1 - c) * e->evaluated + c * e->m;
    e->w = (1 - beta1) * e->m + beta1 * e->evaluated;
}

static int count_of(const Tensor *p) {
    return p->rows * p->columns;
}

static double norm(const double *x, int count) {
    double sum = 0;
    for (int i = 0; i < count; i++) sum += x[i] * x[i];
    return sqrt(sum);
}

static void weights_of(const Tensor *p, double *w) {
    for (int i = 0; i < count_of(p); i++) w[i] = p->at[i].w;
}

/* You et al. 2020, algorithm 2, with phi the identity. */
static void lamb(Tensor *p, const double *g, double t) {
    double r[MOST], w[MOST];
    weights_of(p, w);
    for (int i = 0; i < count_of(p); i++) {
        Element *e = &p->at[i];
        adam_moments(e, g[i]);
        double m = e->m / (1 - pow(beta1, t + 1)), v = e->v / (1 - pow(beta2, t + 1));
        r[i] = m / (sqrt(v) + epsilon) + decay * w[i];
    }
    double trust = norm(w, count_of(p)) / norm(r, count_of(p));
    for (int i = 0; i < count_of(p); i++) p->at[i].w -= lr * trust * r[i];
}

/* Shazeer and Stern 2018, algorithm 4: sums of the rows and columns of the squares. */
static void factored_moments(Tensor *p, const double *g, double keep, double *v) {
    double all = 0, sums[MOST] = {0}, others[MOST] = {0};
    for (int i = 0; i < p->rows; i++)
        for (int j = 0; j < p->columns; j++) {
            double square = g[i * p->columns + j] * g[i * p->columns + j] + 1e-12;
            sums[i] += square;
            others[j] += square;
        }
    for (int i = 0; i < p->rows; i++) p->row[i] = keep * p->row[i] + (1 - keep) * sums[i];
    for (int j = 0; j < p->columns; j++)
        p->column[j] = keep * p->column[j] + (1 - keep) * others[j];
    for (int i = 0; i < p->rows; i++) all += p->row[i];
    for (int i = 0; i < p->rows; i++)
        for (int j = 0; j < p->columns; j++) v[i * p->columns + j] = p->row[i] * p->column[j] / all;
}

static void adafactor_with(Tensor *p, const double *g, double t, bool relative) {
    double v[MOST], u[MOST], w[MOST], keep = 1 - pow(t + 1, -0.7);
    int count = count_of(p);
    weights_of(p, w);
    if (p->matrix)
        factored_moments(p, g, keep, v);
    else
        for (int i = 0; i < count; i++)
            v[i] = p->at[i].v = keep * p->at[i].v + (1 - keep) * (g[i] * g[i] + 1e-12);
    for (int i = 0; i < count; i++) u[i] = g[i] / sqrt(v[i]);
    double clip = fmax(1, norm(u, count) / sqrt(count) / 0.9);
    double rate = relative ? lr * fmax(0.02, norm(w, count) / sqrt(count)) : lr;
    for (int i = 0; i < count; i++) p->at[i].w -= rate * u[i] / clip;
}

static void adafactor(Tensor *p, const double *g, double t) {
    adafactor_with(p, g, t, false);
}

static void adafactor_relative(Tensor *p, const double *g, double t) {
    adafactor_with(p, g, t, true);
}

/* x = a x + (b A + c A A) x with A = x x^T, of n rows and m columns, n <= m. */
static void newton_schulz(double *x, int n, int m) {
    double a[MOST * MOST], b[MOST * MOST], next[MOST];
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            a[i * n + j] = 0;
            for (int k = 0; k < m; k++) a[i * n + j] += x[i * m + k] * x[j * m + k];
        }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            double square = 0;
            for (int k = 0; k < n; k++) square += a[i * n + k] * a[k * n + j];
            b[i * n + j] = -4.7750 * a[i * n + j] + 2.0315 * square;
        }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m; j++) {
            next[i * m + j] = 3.4445 * x[i * m + j];
            for (int k = 0; k < n; k++) next[i * m + j] += b[i * n + k] * x[k * m + j];
        }
    memcpy(x, next, (size_t)(n * m) * sizeof *x);
}

static void transposed(const double *x, int rows, int columns, double *to) {
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) to[j * rows + i] = x[i * columns + j];
}

/* Jordan et al. 2024, Nesterov's momentum; a matrix [in, out] is scaled by sqrt(max(1, out/in)). */
static void muon(Tensor *p, const double *g, double t) {
    double u[MOST], x[MOST];
    int n = p->rows, m = p->columns, count = n * m;
    for (int i = 0; i < count && !p->matrix; i++) {
        adam_moments(&p->at[i], g[i]);
        p->at[i].w -= 0.02 * (adam_step(&p->at[i], p->at[i].m, t) + decay * p->at[i].w);
    }
    if (!p->matrix) return;
    for (int i = 0; i < count; i++) {
        p->at[i].v = mu * p->at[i].v + g[i];
        u[i] = g[i] + mu * p->at[i].v;
    }
    double size = norm(u, count) + 1e-7;
    for (int i = 0; i < count; i++) u[i] /= size;
    if (n > m) {
        transposed(u, n, m, x);
        for (int i = 0; i < 5; i++) newton_schulz(x, m, n);
        transposed(x, m, n, u);
    } else
        for (int i = 0; i < 5; i++) newton_schulz(u, n, m);
    double scale = sqrt(fmax(1, (double)m / n));
    for (int i = 0; i < count; i++) p->at[i].w -= lr * (scale * u[i] + decay * p->at[i].w);
}

static const struct {
    const char *name, *arguments;
    Rule rule;         /* of each element; NULL: */
    TensorRule tensor; /* of a whole parameter */
} optimizers[] = {
    {"sgd", "lr: 0.05", sgd, NULL},
    {"momentum", "lr: 0.05, momentum: 0.8", momentum, NULL},
    {"nesterov", "lr: 0.05, momentum: 0.8", nesterov, NULL},
    {"rmsprop", "lr: 0.05, rho: 0.95, momentum: 0.8, epsilon: 1e-3", rmsprop, NULL},
    {"adam", "lr: 0.05, beta1: 0.85, beta2: 0.97, epsilon: 1e-3", adam, NULL},
    {"nadam", "lr: 0.05, beta1: 0.85, beta2: 0.97, epsilon: 1e-3", nadam, NULL},
    {"adamw", "lr: 0.05, beta1: 0.85, beta2: 0.97, epsilon: 1e-3, decay: 0.1", adamw, NULL},
    {"adagrad", "lr: 0.05, epsilon: 1e-3", adagrad, NULL},
    {"lion", "lr: 0.05, beta1: 0.85, beta2: 0.97, decay: 0.1", lion, NULL},
    {"schedule_free", "lr: 0.05, beta1: 0.85, beta2: 0.97, epsilon: 1e-3, decay: 0.1, warmup: 5",
     schedule_free, NULL},
    {"lamb", "lr: 0.05, beta1: 0.85, beta2: 0.97, epsilon: 1e-3, decay: 0.1", NULL, lamb},
    {"adafactor", "lr: 0.05, exponent: 0.7, threshold: 0.9, epsilon1: 1e-12", NULL, adafactor},
    {"adafactor",
     "lr: 0.05, exponent: 0.7, threshold: 0.9, epsilon1: 1e-12, epsilon2: 0.02, relative: true",
     NULL, adafactor_relative},
    {"muon",
     "lr: 0.05, adam_lr: 0.02, momentum: 0.8, decay: 0.1, beta1: 0.85, beta2: 0.97, epsilon: 1e-3",
     NULL, muon},
};

enum { OPTIMIZERS = sizeof optimizers / sizeof *optimizers };

static const char program_text[] = "use init, optim\n"
                                   "layer bowl() {\n"
                                   "    w: param[3, 2]\n"
                                   "    b: param[3]\n"
                                   "    c: param[2, 3]\n"
                                   "    return sum(w ^ 4 / 4 + 0.3 * sin(w)) + "
                                   "sum(b ^ 4 / 4 + 0.3 * sin(b)) + "
                                   "sum(c ^ 4 / 4 + 0.3 * sin(c))\n"
                                   "}\n"
                                   "model bowls() { loss = bowl() }\n"
                                   "study down {\n"
                                   "    goal      \"the rule, step by step\"\n"
                                   "    model     bowls()\n"
                                   "    optimizer optim.%s(%s)\n"
                                   "    search    quasirandom(trials: 1, seed: 1)\n"
                                   "    steps     20\n"
                                   "    evaluate  every 20\n"
                                   "    select    min loss, keep 1\n"
                                   "    precision f64\n"
                                   "}\n";

static void reference_step(Tensor *p, Rule rule, TensorRule tensor, double t) {
    double g[MOST];
    for (int i = 0; i < count_of(p); i++)
        g[i] = p->at[i].w * p->at[i].w * p->at[i].w + 0.3 * cos(p->at[i].w);
    if (tensor) tensor(p, g, t);
    for (int i = 0; i < count_of(p) && rule; i++) rule(&p->at[i], g[i], t);
}

static bool same_tensor(const Program *program, const Vectors *at, const Tensor *p, int64_t offset,
                        uint32_t t) {
    for (int i = 0; i < count_of(p); i++) {
        if (!front_near("element", t, i, at->param[offset + i], p->at[i].w, 1e-12)) return false;
        if (program->weights >= 0 &&
            !front_near("weight", t, i, at->state[program->weights][offset + i], p->at[i].evaluated,
                        1e-12))
            return false;
    }
    return true;
}

static bool follow(Rule rule, TensorRule tensor, const Program *program) {
    Vectors at = {0};
    Tensor tensors[TENSORS] = {{.rows = ROWS, .columns = COLUMNS, .matrix = true},
                               {.rows = ROWS, .columns = 1},
                               {.rows = COLUMNS, .columns = ROWS, .matrix = true}};
    front_run(program->init, &at, 0);
    for (int k = 0; k < TENSORS; k++)
        for (int i = 0; i < count_of(&tensors[k]); i++)
            at.param[program->params.at[k].offset + i] = tensors[k].at[i].w =
                0.4 * i - 1.3 + 0.03 * k * i * i;
    for (uint32_t t = 0; t < STEPS; t++) {
        front_run(program->train, &at, t);
        for (int k = 0; k < TENSORS; k++) {
            reference_step(&tensors[k], rule, tensor, t);
            if (!same_tensor(program, &at, &tensors[k], program->params.at[k].offset, t))
                return false;
        }
    }
    return true;
}

static bool check_rule(const char *name, const char *arguments, Rule rule, TensorRule tensor) {
    char text[2048];
    snprintf(text, sizeof text, program_text, name, arguments);
    Compilation compilation = {0};
    const Program *program = front_compile(&compilation, text);
    bool passed = program && follow(rule, tensor, program);
    if (!passed) printf("FAILED: optim.%s\n", name);
    compilation_release(&compilation);
    return passed;
}

int main(void) {
    bool passed = true;
    for (uint32_t i = 0; i < OPTIMIZERS; i++)
        passed = check_rule(optimizers[i].name, optimizers[i].arguments, optimizers[i].rule,
                            optimizers[i].tensor) &&
                 passed;
    if (passed) printf("%d optimizers, %d steps each, follow their rules\n", OPTIMIZERS, STEPS);
    return !passed;
}
