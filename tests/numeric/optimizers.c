/* 20 steps of every optimizer of stdlib/optim.tune, through the compiler's front end and the
 * reference evaluator, beside the published rules written here in C. All in f64; the loss is
 * sum(w^4 / 4 + 0.3 sin w), whose gradient w^3 + 0.3 cos w is known. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "compiler/pipeline.h"
#include "tests/numeric/evaluate.h"

enum { SIZE = 7, STEPS = 20, STATES = 2 };

/* The hyperparameters that the study passes, by the names of the optimizers' arguments. */
static const double lr = 0.05, mu = 0.8, beta1 = 0.85, beta2 = 0.97, rho = 0.95, epsilon = 1e-3,
                    decay = 0.1;

/* One element: the parameter and its two state values; t counts from 0. */
typedef struct {
    double w, m, v;
} Element;
typedef void (*Rule)(Element *e, double g, double t);

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

static const struct {
    const char *name, *arguments;
    Rule rule;
} optimizers[] = {
    {"sgd", "lr: 0.05", sgd},
    {"momentum", "lr: 0.05, momentum: 0.8", momentum},
    {"nesterov", "lr: 0.05, momentum: 0.8", nesterov},
    {"rmsprop", "lr: 0.05, rho: 0.95, momentum: 0.8, epsilon: 1e-3", rmsprop},
    {"adam", "lr: 0.05, beta1: 0.85, beta2: 0.97, epsilon: 1e-3", adam},
    {"nadam", "lr: 0.05, beta1: 0.85, beta2: 0.97, epsilon: 1e-3", nadam},
    {"adamw", "lr: 0.05, beta1: 0.85, beta2: 0.97, epsilon: 1e-3, decay: 0.1", adamw},
    {"adagrad", "lr: 0.05, epsilon: 1e-3", adagrad},
    {"lion", "lr: 0.05, beta1: 0.85, beta2: 0.97, decay: 0.1", lion},
};

enum { OPTIMIZERS = sizeof optimizers / sizeof *optimizers };

static const char program_text[] = "use init, optim\n"
                                   "layer bowl(size: int) {\n"
                                   "    w: param[size] = zeros\n"
                                   "    return sum(w ^ 4 / 4 + 0.3 * sin(w))\n"
                                   "}\n"
                                   "model bowls() { loss = bowl(7) }\n"
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

/* Compiles the program up to its train graph; NULL after printing the errors. */
static const Graph *train_graph(Compilation *compilation, const char *path) {
    CompileOptions options = {.path = path, .cpu = "native", .last = PASS_UPDATE, .verify = true};
    if (!compile(compilation, &options) || compilation->variants.at[0].broken) {
        diags_print(compilation->diags, stdout, false);
        return NULL;
    }
    return compilation->variants.at[0].program->train;
}

typedef struct {
    double param[SIZE], state[STATES][SIZE];
} Vectors;

static void leaf_values(void *user, const GNode *node, double *values) {
    const Vectors *at = user;
    const double *from = node->op == OP_STATE ? at->state[node->index] : at->param;
    memcpy(values, from, SIZE * sizeof(double)); /* the only parameter is the whole flat vector */
}

static void step_once(const Graph *graph, Vectors *at, uint32_t step) {
    Arena *scratch = arena_new();
    double **values =
        evaluate(graph, &(Inputs){.leaf = leaf_values, .user = at, .step = step}, scratch);
    for (uint32_t i = 0; i < graph->outputs.count; i++) {
        const Output *output = &graph->outputs.at[i];
        const double *from = values[output->value->id];
        if (output->kind == OUT_PARAM) memcpy(at->param, from, sizeof at->param);
        if (output->kind == OUT_STATE) memcpy(at->state[output->index], from, sizeof at->state[0]);
    }
    arena_free(scratch);
}

/* The states' first values, from the init graph. */
static void start_states(const Graph *init, Vectors *at) {
    Arena *scratch = arena_new();
    double **values = evaluate(init, &(Inputs){.leaf = leaf_values, .user = at}, scratch);
    for (uint32_t i = 0; i < init->outputs.count; i++) {
        const Output *output = &init->outputs.at[i];
        if (output->kind == OUT_STATE)
            memcpy(at->state[output->index], values[output->value->id], sizeof at->state[0]);
    }
    arena_free(scratch);
}

static bool follow(const char *name, Rule rule, const Graph *init, const Graph *graph) {
    Vectors at = {0};
    Element elements[SIZE] = {{0}};
    start_states(init, &at);
    for (int i = 0; i < SIZE; i++) at.param[i] = elements[i].w = 0.4 * i - 1.3;
    for (uint32_t t = 0; t < STEPS; t++) {
        step_once(graph, &at, t);
        for (int i = 0; i < SIZE; i++) {
            double w = elements[i].w, expected;
            rule(&elements[i], w * w * w + 0.3 * cos(w), t);
            expected = elements[i].w;
            if (fabs(at.param[i] - expected) <= 1e-12 * (1 + fabs(expected))) continue;
            printf("FAILED: %s, step %u, element %d: %.17g, the rule says %.17g\n", name, t, i,
                   at.param[i], expected);
            return false;
        }
    }
    return true;
}

static bool check_rule(const char *name, const char *arguments, Rule rule) {
    char path[] = "/tmp/tune-optimizer-XXXXXX.tune";
    int descriptor = mkstemps(path, 5);
    if (descriptor < 0) return false;
    dprintf(descriptor, program_text, name, arguments);
    close(descriptor);
    Compilation compilation = {0};
    const Graph *graph = train_graph(&compilation, path);
    bool passed = graph && follow(name, rule, compilation.variants.at[0].program->init, graph);
    if (!passed) printf("FAILED: optim.%s\n", name);
    compilation_release(&compilation);
    unlink(path);
    return passed;
}

int main(void) {
    bool passed = true;
    for (uint32_t i = 0; i < OPTIMIZERS; i++)
        passed =
            check_rule(optimizers[i].name, optimizers[i].arguments, optimizers[i].rule) && passed;
    if (passed) printf("%d optimizers, %d steps each, follow their rules\n", OPTIMIZERS, STEPS);
    return !passed;
}
