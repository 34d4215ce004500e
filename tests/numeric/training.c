/* The language of training, against plain C: statistics of virtual batches and their gradient,
 * moving values, parameters with settings of their own or frozen, clipping over the trained ones,
 * averaged weights. */
#include <math.h>
#include <stdio.h>

#include "tests/numeric/front.h"

enum { BATCH = 7, STEPS = 20 };

static const double inputs[BATCH][2] = {{0.3, -1.2}, {1.5, 0.4},  {-0.7, 0.9}, {0.1, 0.2},
                                        {-1.9, 1.1}, {0.8, -0.5}, {0.6, 2.0}};
static const double targets[BATCH] = {0.5, -0.2, 1.0, 0.3, -0.9, 0.1, 0.7};

static const char data_text[] = "data points = generate(train: 70, valid: 7) {\n"
                                "    x = [normal(), normal()]\n"
                                "    y = normal()\n"
                                "}\n";

static const char study_text[] = "    fixed batch = 7\n"
                                 "    steps 20\n"
                                 "    evaluate every 20\n"
                                 "    select min valid.loss\n"
                                 "    precision f64\n"
                                 "}\n";

static Program *compiled(Compilation *compilation, const char *model, const char *study,
                         Vectors *at) {
    char text[4096];
    snprintf(text, sizeof text, "use optim\n%s%sstudy s {\n    model m()\n%s%s", data_text, model,
             study, study_text);
    *at = (Vectors){.fields = {inputs[0], targets}};
    Program *program = front_compile(compilation, text);
    if (program) front_run(program->init, at, 0);
    return program;
}

/* ---- virtual batches ---- */

/* The group of example `i`: what is left over belongs to the last whole one. */
static int group_of(int i, int size) {
    int whole = BATCH / size;
    return i / size < whole ? i / size : whole - 1;
}

/* mean(sum(normalised^3) - y) of the values scale * x, normalised by their groups' statistics. */
static double ghost_loss(const double *scale, int size) {
    double loss = 0;
    if (size > BATCH) size = BATCH;
    for (int j = 0; j < 2; j++) {
        double means[BATCH] = {0}, squares[BATCH] = {0};
        int whole = BATCH / size * size;
        for (int i = 0; i < whole; i++) means[i / size] += scale[j] * inputs[i][j] / size;
        for (int i = 0; i < whole; i++) {
            double centred = scale[j] * inputs[i][j] - means[i / size];
            squares[i / size] += centred * centred / size;
        }
        for (int i = 0; i < BATCH; i++) {
            int group = group_of(i, size);
            double z = (scale[j] * inputs[i][j] - means[group]) / sqrt(squares[group] + 0.3);
            loss += (z * z * z + 0.1 * targets[i] * z) / BATCH;
        }
    }
    return loss;
}

static bool check_ghost(int size) {
    char model[1024];
    snprintf(model, sizeof model,
             "layer ghost(x: f32[n]) {\n"
             "    scale: param[n]\n"
             "    h = scale * x\n"
             "    if training {\n"
             "        m = mean(h, axis: batch, virtual: %d)\n"
             "        return (h - m) / sqrt(mean((h - m) ^ 2, axis: batch, virtual: %d) + 0.3)\n"
             "    }\n"
             "    return h\n"
             "}\n"
             "model m() on points {\n"
             "    z = ghost(x)\n"
             "    loss = mean(sum(z ^ 3 + 0.1 * expand_dims(y) * z, axis: -1))\n"
             "}\n",
             size, size);
    Compilation compilation = {0};
    Vectors at;
    Program *program = compiled(&compilation, model, "    optimizer optim.sgd(lr: 1)\n", &at);
    bool passed = program != NULL;
    double scale[2] = {0.8, -1.3};
    memcpy(at.param, scale, sizeof scale);
    if (passed) front_run(program->train, &at, 0);
    passed = passed && front_near("loss", 0, size, at.loss, ghost_loss(scale, size), 1e-14);
    for (int j = 0; j < 2 && passed; j++) {
        double up[2] = {scale[0], scale[1]}, down[2] = {scale[0], scale[1]}, h = 1e-5;
        up[j] += h;
        down[j] -= h;
        double slope = (ghost_loss(up, size) - ghost_loss(down, size)) / (2 * h);
        passed = front_near("gradient", 0, j, scale[j] - at.param[j], slope, 1e-8);
    }
    compilation_release(&compilation);
    return passed;
}

/* ---- moving values ---- */

/* A layer's moving values follow the batch, and what is read behind the assignment is the new one.
 */
static bool check_moving(void) {
    static const char model[] =
        "layer follow(x: f32[n]) {\n"
        "    seen: state[n] = 1\n"
        "    still: state[1] = 2\n"
        "    w: param[n]\n"
        "    if training { seen = 0.9 * seen + 0.1 * mean(x, axis: batch) }\n"
        "    return sum(w * seen) + still[0]\n"
        "}\n"
        "model m() on points { loss = follow(x) + 0 * mean(y) }\n";
    Compilation compilation = {0};
    Vectors at;
    Program *program = compiled(&compilation, model, "    optimizer optim.adam(lr: 0.1)\n", &at);
    bool passed = program != NULL;
    const Parameter *params = passed ? program->params.at : NULL;
    double seen[2] = {1, 1};
    passed = passed && program->trained_count == 16 && params[2].offset == 0;
    for (uint32_t t = 0; t < STEPS && passed; t++) {
        double loss = 2, w[2] = {at.param[0], at.param[1]};
        front_run(program->train, &at, t);
        for (int j = 0; j < 2; j++) {
            double mean = 0;
            for (int i = 0; i < BATCH; i++) mean += inputs[i][j] / BATCH;
            seen[j] = 0.9 * seen[j] + 0.1 * mean;
            loss += w[j] * seen[j];
            passed = passed && front_near("moving value", t, j, at.param[params[0].offset + j],
                                          seen[j], 1e-13);
        }
        passed = passed && front_near("loss", t, 0, at.loss, loss, 1e-13) &&
                 at.param[params[1].offset] == 2;
    }
    compilation_release(&compilation);
    return passed;
}

/* ---- settings of some parameters ---- */

typedef struct {
    double w[2], m[2], v[2], average[2], lr, decay;
} Piece;

static double slope(double w) {
    return w * w * w + 0.3 * cos(w);
}

/* AdamW with its published rule; the average is that of the weights behind every step. */
static void adamw_step(Piece *piece, double factor, uint32_t t) {
    const double beta1 = 0.9, beta2 = 0.999, keep = 0.7;
    for (int i = 0; i < 2; i++) {
        double g = factor * slope(piece->w[i]);
        piece->m[i] = beta1 * piece->m[i] + (1 - beta1) * g;
        piece->v[i] = beta2 * piece->v[i] + (1 - beta2) * g * g;
        double m = piece->m[i] / (1 - pow(beta1, t + 1)), v = piece->v[i] / (1 - pow(beta2, t + 1));
        /* stdlib's epsilon stands beside sqrt(v) before the correction */
        double step = m / (sqrt(v) + 1e-3 / sqrt(1 - pow(beta2, t + 1)));
        piece->w[i] -= piece->lr * (step + piece->decay * piece->w[i]);
        piece->average[i] = keep * piece->average[i] + (1 - keep) * piece->w[i];
    }
}

static bool same_pieces(const Program *program, const Vectors *at, const Piece *pieces,
                        uint32_t t) {
    for (int k = 0; k < 4; k++)
        for (int i = 0; i < 2; i++) {
            int64_t place = program->params.at[k].offset + i;
            double average = pieces[k].average[i] / (1 - pow(0.7, t + 1));
            if (!front_near("parameter", t, 2 * k + i, at->param[place], pieces[k].w[i], 1e-12))
                return false;
            if (k != 3 && !front_near("average", t, 2 * k + i, at->state[program->weights][place],
                                      average, 1e-12))
                return false;
        }
    return true;
}

static bool check_settings(void) {
    static const char model[] = "def bowl(w: f32[...]) { return sum(w ^ 4 / 4 + 0.3 * sin(w)) }\n"
                                "layer head() {\n"
                                "    weight: param[1, 2]\n"
                                "    bias: param[2]\n"
                                "    return bowl(weight) + bowl(bias)\n"
                                "}\n"
                                "model m() on points { loss = head() + head() + 0 * mean(y) }\n";
    static const char study[] = "    optimizer optim.adamw(lr: 0.05, epsilon: 1e-3, decay: 0.1)\n"
                                "    on vectors { decay = 0 }\n"
                                "    on \"head1.*\" { lr = 2 * lr; decay = decay / 2 }\n"
                                "    on \"*2.bias\" { frozen }\n"
                                "    clip norm = 0.8\n"
                                "    average 0.7\n";
    Compilation compilation = {0};
    Vectors at;
    Program *program = compiled(&compilation, model, study, &at);
    bool passed = program && program->params.count == 4 && program->weights >= 0;
    Piece pieces[4] = {{.w = {0.9, -1.4}, .lr = 0.1, .decay = 0.05},
                       {.w = {0.2, 1.1}, .lr = 0.1, .decay = 0},
                       {.w = {-0.6, 0.3}, .lr = 0.05, .decay = 0.1},
                       {.w = {0.7, -0.1}}}; /* frozen */
    for (int k = 0; k < 4 && passed; k++)
        memcpy(at.param + program->params.at[k].offset, pieces[k].w, sizeof pieces[k].w);
    for (uint32_t t = 0; t < STEPS && passed; t++) {
        double squares = 0;
        for (int k = 0; k < 3; k++)
            for (int i = 0; i < 2; i++) squares += slope(pieces[k].w[i]) * slope(pieces[k].w[i]);
        double norm = sqrt(squares);
        front_run(program->train, &at, t);
        for (int k = 0; k < 3; k++) adamw_step(&pieces[k], norm > 0.8 ? 0.8 / norm : 1, t);
        passed = front_near("norm", t, 0, at.grad_norm, norm, 1e-12) &&
                 same_pieces(program, &at, pieces, t);
    }
    for (int i = 0; i < 2 && passed; i++) /* to the bit */
        passed = at.param[program->params.at[3].offset + i] == pieces[3].w[i];
    compilation_release(&compilation);
    return passed;
}

int main(void) {
    static const int sizes[] = {1, 2, 3, 4, 7, 64};
    bool passed = check_moving();
    passed = check_settings() && passed;
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        passed = check_ghost(sizes[i]) && passed;
    if (passed) printf("virtual batches, moving values, settings: %d steps agree\n", STEPS);
    return !passed;
}
