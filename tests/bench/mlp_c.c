/* The work of tests/bench/run written by hand: matrix products by a library, everything else fused
 * into the fewest loops. A reference for what a careful C programmer gets, not a bound.
 *
 *     mlp_c openblas|onednn|xsmm BATCH TRIALS STEPS THREADS      prints trial-steps/s
 *
 * The libraries are opened at run time (libxsmm: linked if compiled with -DWITH_XSMM); exit status
 * 77: not there. Trials one after the other, each on one thread; every trial sees the same sixteen
 * batches of noise.
 *
 *     x [batch, 784]   weight1 [784, 128]   weight2 [128, 128]   weight3 [128, 10]   all row-major
 */
#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef WITH_XSMM
#include <libxsmm.h>
#endif

enum { IN = 784, HIDDEN = 128, OUT = 10, BATCHES = 16, MOST_THREADS = 8, MOST_KERNELS = 16 };

/* Offsets of the parameters in the flat vector. */
enum {
    WEIGHT1 = 0,
    BIAS1 = WEIGHT1 + IN * HIDDEN,
    WEIGHT2 = BIAS1 + HIDDEN,
    BIAS2 = WEIGHT2 + HIDDEN * HIDDEN,
    WEIGHT3 = BIAS2 + HIDDEN,
    BIAS3 = WEIGHT3 + HIDDEN * OUT,
    PARAMETERS = BIAS3 + OUT
};

typedef void (*Cblas)(int, int, int, int, int, int, float, const float *, int, const float *, int,
                      float, float *, int);
typedef int (*Dnnl)(char, char, int64_t, int64_t, int64_t, float, const float *, int64_t,
                    const float *, int64_t, float, float *, int64_t);

typedef struct {
    Cblas cblas;
    Dnnl dnnl;
    bool xsmm;
} Library;

typedef struct {
    const Library *library;
    int batch, trials, steps, threads;
    const float *x;   /* [BATCHES, batch, IN] */
    const int *label; /* [BATCHES, batch] */
    pthread_barrier_t start;
} Work;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static float *floats(size_t count) {
    size_t bytes = (count * sizeof(float) + 63) / 64 * 64;
    float *memory = aligned_alloc(64, bytes);
    if (!memory) abort();
    memset(memory, 0, bytes);
    return memory;
}

/* ---- matrix products ---- */

typedef struct {
    int m, n, k;
    bool transpose_a;
#ifdef WITH_XSMM
    libxsmm_smmfunction run;
#endif
} Kernel;

typedef struct {
    const Library *library;
    Kernel kernels[MOST_KERNELS];
    int kernel_count;
    float *transposed; /* for libxsmm, which has no kernel with a transposed second matrix */
} Products;

#ifdef WITH_XSMM
static Kernel *find_kernel(Products *products, int m, int n, int k, bool transpose_a) {
    for (int i = 0; i < products->kernel_count; i++) {
        Kernel *kernel = &products->kernels[i];
        if (kernel->m == m && kernel->n == n && kernel->k == k &&
            kernel->transpose_a == transpose_a)
            return kernel;
    }
    int lda = transpose_a ? m : k,
        flags = LIBXSMM_GEMM_FLAG_BETA_0 | (transpose_a ? LIBXSMM_GEMM_FLAG_TRANS_B : 0);
    float one = 1, zero = 0;
    Kernel *kernel = &products->kernels[products->kernel_count++];
    *kernel = (Kernel){m, n, k, transpose_a,
                       libxsmm_smmdispatch(n, m, k, &n, &lda, &n, &one, &zero, &flags, NULL)};
    if (!kernel->run) exit(77);
    return kernel;
}

static void transpose(const float *from, int rows, int columns, float *to) {
    for (int first = 0; first < rows; first += 16)
        for (int c = 0; c < columns; c++)
            for (int r = first; r < first + 16 && r < rows; r++)
                to[c * rows + r] = from[r * columns + c];
}
#endif

/* c [m, n] = a [m, k] b [k, n]; transposed: a is [k, m], b is [n, k]. */
static void product(Products *products, bool transpose_a, bool transpose_b, int m, int n, int k,
                    const float *a, const float *b, float *c) {
    enum { ROW_MAJOR = 101, PLAIN = 111, TRANSPOSED = 112 };
    const Library *library = products->library;
    int lda = transpose_a ? m : k, ldb = transpose_b ? k : n;
    if (library->cblas)
        library->cblas(ROW_MAJOR, transpose_a ? TRANSPOSED : PLAIN,
                       transpose_b ? TRANSPOSED : PLAIN, m, n, k, 1, a, lda, b, ldb, 0, c, n);
    else if (library->dnnl)
        library->dnnl(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, 1, a, lda, b, ldb,
                      0, c, n);
#ifdef WITH_XSMM
    else {
        if (transpose_b) {
            transpose(b, n, k, products->transposed);
            b = products->transposed;
        }
        find_kernel(products, m, n, k, transpose_a)->run(b, a, c);
    }
#endif
}

/* ---- the rest, fused ---- */

static void bias_relu(float *restrict h, const float *restrict bias, int rows) {
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < HIDDEN; c++) {
            float value = h[r * HIDDEN + c] + bias[c];
            h[r * HIDDEN + c] = value > 0 ? value : 0;
        }
}

/* Gradient through relu, in place, and its sum over the rows. */
static void relu_gradient(float *restrict gradient, const float *restrict h, int rows,
                          float *restrict bias_gradient) {
    for (int c = 0; c < HIDDEN; c++) bias_gradient[c] = 0;
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < HIDDEN; c++) {
            float all = gradient[r * HIDDEN + c];
            float passed = h[r * HIDDEN + c] > 0 ? all : 0.f;
            gradient[r * HIDDEN + c] = passed;
            bias_gradient[c] += passed;
        }
}

/* Logits in, their gradient out; returns the mean loss. */
static double cross_entropy(float *logits, const float *bias, const int *label, int rows,
                            float *bias_gradient) {
    double loss = 0;
    float weight = 1.f / (float)rows;
    memset(bias_gradient, 0, OUT * sizeof(float));
    for (int r = 0; r < rows; r++) {
        float *z = logits + r * OUT, e[OUT], most = -INFINITY, sum = 0;
        for (int c = 0; c < OUT; c++) {
            z[c] += bias[c];
            most = z[c] > most ? z[c] : most;
        }
        float right = z[label[r]];
        for (int c = 0; c < OUT; c++) e[c] = expf(z[c] - most);
        for (int c = 0; c < OUT; c++) sum += e[c];
        loss += logf(sum) + most - right;
        for (int c = 0; c < OUT; c++) {
            z[c] = (e[c] / sum - (c == label[r] ? 1.f : 0.f)) * weight;
            bias_gradient[c] += z[c];
        }
    }
    return loss / rows;
}

static void nesterov(float *restrict parameter, float *restrict v, const float *restrict gradient,
                     int count, float rate) {
    for (int i = 0; i < count; i++) {
        float next = 0.9f * v[i] + gradient[i];
        v[i] = next;
        parameter[i] -= rate * (0.9f * next + gradient[i]);
    }
}

/* ---- a trial ---- */

typedef struct {
    Products products;
    float *parameters, *v, *gradient; /* [PARAMETERS] */
    float *h1, *h2, *d1, *d2;         /* [batch, HIDDEN] */
    float *logits;                    /* [batch, OUT] */
} Trial;

static void start_trial(Trial *trial, int number) {
    uint64_t state = 0x9E3779B97F4A7C15u * (uint64_t)(number + 1);
    memset(trial->parameters, 0, PARAMETERS * sizeof(float));
    memset(trial->v, 0, PARAMETERS * sizeof(float));
    for (int i = 0; i < PARAMETERS; i++) {
        bool first = i < BIAS1,
             bias = (i >= BIAS1 && i < WEIGHT2) || (i >= BIAS2 && i < WEIGHT3) || i >= BIAS3;
        state = state * 6364136223846793005u + 1442695040888963407u;
        float uniform = (float)(state >> 40) * 0x1p-23f - 1;
        if (!bias) trial->parameters[i] = uniform / sqrtf(first ? IN : HIDDEN);
    }
}

static double train_step(Trial *t, const Work *work, int step, float rate) {
    const int batch = work->batch;
    const float *x = work->x + (size_t)(step % BATCHES) * (size_t)batch * IN;
    const int *label = work->label + step % BATCHES * batch;
    float *p = t->parameters, *g = t->gradient;
    product(&t->products, false, false, batch, HIDDEN, IN, x, p + WEIGHT1, t->h1);
    bias_relu(t->h1, p + BIAS1, batch);
    product(&t->products, false, false, batch, HIDDEN, HIDDEN, t->h1, p + WEIGHT2, t->h2);
    bias_relu(t->h2, p + BIAS2, batch);
    product(&t->products, false, false, batch, OUT, HIDDEN, t->h2, p + WEIGHT3, t->logits);
    double loss = cross_entropy(t->logits, p + BIAS3, label, batch, g + BIAS3);
    product(&t->products, true, false, HIDDEN, OUT, batch, t->h2, t->logits, g + WEIGHT3);
    product(&t->products, false, true, batch, HIDDEN, OUT, t->logits, p + WEIGHT3, t->d2);
    relu_gradient(t->d2, t->h2, batch, g + BIAS2);
    product(&t->products, true, false, HIDDEN, HIDDEN, batch, t->h1, t->d2, g + WEIGHT2);
    product(&t->products, false, true, batch, HIDDEN, HIDDEN, t->d2, p + WEIGHT2, t->d1);
    relu_gradient(t->d1, t->h1, batch, g + BIAS1);
    product(&t->products, true, false, IN, HIDDEN, batch, x, t->d1, g + WEIGHT1);
    nesterov(p, t->v, g, PARAMETERS, rate);
    return loss;
}

/* ---- threads ---- */

typedef struct {
    Work *work;
    int first, last;
    double started, ended, loss;
} Part;

static void *run_part(void *argument) {
    Part *part = argument;
    Work *work = part->work;
    size_t rows = (size_t)work->batch;
    Trial trial = {.products = {.library = work->library, .transposed = floats(HIDDEN * HIDDEN)},
                   .parameters = floats(PARAMETERS),
                   .v = floats(PARAMETERS),
                   .gradient = floats(PARAMETERS),
                   .h1 = floats(rows * HIDDEN),
                   .h2 = floats(rows * HIDDEN),
                   .d1 = floats(rows * HIDDEN),
                   .d2 = floats(rows * HIDDEN),
                   .logits = floats(rows * OUT)};
    start_trial(&trial, part->first);
    for (int step = 0; step < 20; step++) train_step(&trial, work, step, 0.01f);
    pthread_barrier_wait(&work->start);
    part->started = now();
    for (int number = part->first; number < part->last; number++) {
        float rate = powf(10, -3.5f + 2.f * (float)number / (float)work->trials);
        start_trial(&trial, number);
        for (int step = 0; step < work->steps; step++)
            part->loss = train_step(&trial, work, step, rate);
    }
    part->ended = now();
    return NULL;
}

static double run(Work *work) {
    pthread_t threads[MOST_THREADS];
    Part parts[MOST_THREADS];
    double started = INFINITY, ended = 0;
    pthread_barrier_init(&work->start, NULL, (unsigned)work->threads);
    for (int t = 0; t < work->threads; t++) {
        parts[t] = (Part){.work = work,
                          .first = work->trials * t / work->threads,
                          .last = work->trials * (t + 1) / work->threads};
        if (pthread_create(&threads[t], NULL, run_part, &parts[t]) != 0) abort();
    }
    for (int t = 0; t < work->threads; t++) {
        pthread_join(threads[t], NULL);
        started = fmin(started, parts[t].started);
        ended = fmax(ended, parts[t].ended);
        if (!isfinite(parts[t].loss)) fprintf(stderr, "mlp_c: the loss is not finite\n");
    }
    return (double)work->trials * work->steps / (ended - started);
}

static void *find_function(const char *file, const char *name) {
    void *library = dlopen(file, RTLD_NOW);
    return library ? dlsym(library, name) : NULL;
}

static bool open_library(const char *name, Library *library) {
    if (strcmp(name, "openblas") == 0)
        *(void **)&library->cblas = find_function("libopenblas.so.0", "cblas_sgemm");
    else if (strcmp(name, "onednn") == 0)
        *(void **)&library->dnnl = find_function("libdnnl.so.2", "dnnl_sgemm");
#ifdef WITH_XSMM
    else if (strcmp(name, "xsmm") == 0)
        library->xsmm = true;
#endif
    return library->cblas || library->dnnl || library->xsmm;
}

int main(int count, char **arguments) {
    Library library = {0};
    if (count != 6 || !open_library(arguments[1], &library)) return 77;
    Work work = {.library = &library,
                 .batch = atoi(arguments[2]),
                 .trials = atoi(arguments[3]),
                 .steps = atoi(arguments[4]),
                 .threads = atoi(arguments[5])};
    size_t rows = (size_t)BATCHES * (size_t)work.batch;
    float *x = floats(rows * IN);
    int *label = (int *)floats(rows);
    uint64_t state = 1;
    for (size_t i = 0; i < rows * IN; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        x[i] =
            ((float)(state >> 40) * 0x1p-23f - 1) * 1.732f; /* variance 1, like the others' noise */
    }
    for (size_t r = 0; r < rows; r++) label[r] = (int)(r * 7 % OUT);
    work.x = x;
    work.label = label;
    printf("%.0f\n", run(&work));
    return 0;
}
