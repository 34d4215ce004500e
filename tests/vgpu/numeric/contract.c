/* Contractions on the virtual GPU, with all of its checks: kernels made by hand, of many shapes and
 * with all kinds of operands, give the bits of the plain triple loop with fma, for every trial of a
 * wave. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "compiler/kernel/schedule.h"
#include "tests/numeric/random_graph.h"
#include "tests/vgpu/numeric/kernel_run.h"

enum { TRIALS = 3, PIXELS = 3 };

typedef enum {
    PLAIN,   /* x[outer, m, k] */
    GATHER,  /* rows of the data set, u8 made real and scaled: x[index[m], k] / 255 */
    GUARDED, /* x[outer, m, k] where k < m + 3, else 0 */
    PRODUCT, /* x[outer, m, k] * x[0, m, 0] */
    TINY /* plain, but products vanish: sums are 0 or -0, which zeros behind them must not change */
} OperandKind;

typedef struct {
    int64_t outer, m, n, k;
    Elem elem;
    bool a_across, b_along; /* a lies as [k][m], b as [n][k] */
    OperandKind a;
    bool layer; /* max(result + bias[n], 0), then a second stage: the sign of the result as bool */
} Shape;

static const Shape shapes[] = {
    {1, 1, 1, 1, E_F32, false, false, PLAIN, false},
    {1, 1, 1, 300, E_F32, false, false, PLAIN, true},
    {1, 1, 70, 5, E_F32, false, false, PLAIN, true},
    {1, 70, 1, 5, E_F32, false, true, PLAIN, true},
    {1, 70, 37, 1, E_F32, true, false, PLAIN, true},
    {1, 32, 32, 2, E_F32, false, false, PLAIN, true},
    {1, 64, 10, 128, E_F32, false, false, PLAIN, true},
    {1, 10, 128, 64, E_F32, true, false, PLAIN, false},
    {1, 128, 128, 100, E_F32, false, false, PLAIN, true},
    {1, 128, 128, 100, E_F32, true, true, PLAIN, false},
    {1, 64, 64, 64, E_F32, false, true, PLAIN, true},
    {1, 200, 136, 33, E_F32, true, false, PLAIN, false},
    {1, 300, 300, 64, E_F32, false, false, PLAIN, true},
    {1, 300, 40, 8, E_F32, false, false, PLAIN, false},
    {1, 17, 19, 23, E_F32, false, false, PLAIN, true},
    {1, 17, 19, 23, E_F32, true, true, PLAIN, true},
    {1, 127, 131, 67, E_F32, false, true, PLAIN, false},
    {5, 13, 11, 7, E_F32, false, false, PLAIN, true},
    {4, 33, 32, 31, E_F32, true, true, PLAIN, false},
    {2, 129, 65, 16, E_F32, false, false, PLAIN, true},
    {1, 64, 128, 100, E_F32, false, false, GATHER, true},
    {1, 33, 12, 50, E_F32, true, false, GATHER, true},
    {1, 40, 24, 35, E_F32, false, true, GUARDED, true},
    {3, 18, 20, 40, E_F32, true, false, GUARDED, false},
    {1, 50, 30, 70, E_F32, false, false, PRODUCT, true},
    {2, 9, 65, 12, E_F32, true, true, PRODUCT, false},
    {1, 1, 1, 3, E_F64, false, false, PLAIN, true},
    {1, 64, 10, 128, E_F64, false, false, PLAIN, true},
    {1, 128, 64, 40, E_F64, true, true, PLAIN, false},
    {2, 31, 37, 29, E_F64, false, true, PLAIN, true},
    {1, 260, 130, 20, E_F64, false, false, PRODUCT, true},
    {1, 33, 12, 50, E_F64, false, false, GATHER, true},
    {1, 40, 24, 35, E_F32, false, false, TINY, false},
};

enum { SHAPES = sizeof shapes / sizeof *shapes };

typedef struct {
    const Shape *shape;
    Kernel kernel;
    Contraction contraction;
    Buffer x, w, bias, h, sign, image, index;
    int64_t trial_bytes, scratch_bytes;
} Case;

/* ---- the kernel ---- */

enum { OUTER, M, N, K };

static int add(Case *c, Arena *arena, Expr expr) {
    vec_push(arena, &c->kernel.exprs, expr);
    return (int)c->kernel.exprs.count - 1;
}

static Expr load(Buffer *buffer) {
    return (Expr){.kind = X_LOAD,
                  .elem = buffer->elem,
                  .in = {-1, -1, -1},
                  .buffer = buffer,
                  .gather = -1,
                  .guard = -1,
                  .lookup = -1};
}

static int add_number(Case *c, Arena *arena, Elem elem, double number) {
    return add(c, arena,
               (Expr){.kind = X_CONST,
                      .elem = elem,
                      .in = {-1, -1, -1},
                      .number = number,
                      .gather = -1,
                      .guard = -1,
                      .lookup = -1});
}

static int add_op(Case *c, Arena *arena, Op op, Elem elem, int a, int b) {
    return add(c, arena,
               (Expr){.kind = X_OP,
                      .op = op,
                      .elem = elem,
                      .in = {a, b, -1},
                      .gather = -1,
                      .guard = -1,
                      .lookup = -1});
}

static Affine place(int64_t outer, int64_t m, int64_t n, int64_t k) {
    return (Affine){.coeff = {outer, m, n, k}};
}

static Affine place_of_a(const Shape *s) {
    return s->a_across ? place(s->m * s->k, 1, 0, s->m) : place(s->m * s->k, s->k, 0, 1);
}

static Affine place_of_b(const Shape *s) {
    return s->b_along ? place(s->n * s->k, 0, s->k, 1) : place(s->n * s->k, 0, 1, s->n);
}

/* Rows of the data set come by example in any case: a_across gathers along k. */
static int add_gathered(Case *c, Arena *arena) {
    const Shape *s = c->shape;
    Expr row = load(&c->image);
    row.gather = s->a_across ? K : M;
    row.at = s->a_across ? place(0, 1, 0, s->m) : place(0, s->k, 0, 1);
    int value = add_op(c, arena, OP_CAST, s->elem, add(c, arena, row), -1);
    return add_op(c, arena, OP_DIV, s->elem, value, add_number(c, arena, s->elem, 255));
}

static int add_guarded(Case *c, Arena *arena) {
    Expr k = {
        .kind = X_AXIS, .elem = E_I32, .in = {-1, -1, -1}, .gather = -1, .guard = -1, .lookup = -1};
    Expr m = k, guarded = load(&c->x);
    k.at = place(0, 0, 0, 1);
    m.at = place(0, 1, 0, 0);
    m.at.offset = 3;
    guarded.at = place_of_a(c->shape);
    int left = add(c, arena, k);
    guarded.guard = add_op(c, arena, OP_LT, E_BOOL, left, add(c, arena, m));
    return add(c, arena, guarded);
}

static int add_a(Case *c, Arena *arena) {
    const Shape *s = c->shape;
    if (s->a == GATHER) return add_gathered(c, arena);
    if (s->a == GUARDED) return add_guarded(c, arena);
    Expr x = load(&c->x);
    x.at = place_of_a(s);
    int value = add(c, arena, x);
    if (s->a != PRODUCT) return value;
    x.at.coeff[OUTER] = x.at.coeff[K] = 0;
    return add_op(c, arena, OP_MUL, s->elem, value, add(c, arena, x));
}

static void add_epilogue(Case *c, Arena *arena) {
    const Shape *s = c->shape;
    Expr result = {.kind = X_RESULT,
                   .elem = s->elem,
                   .in = {-1, -1, -1},
                   .gather = -1,
                   .guard = -1,
                   .lookup = -1};
    Affine at = place(s->m * s->n, s->n, 1, 0);
    Stage first = {.inner = 1u << M | 1u << N, .vector_axis = -1};
    int value = add(c, arena, result);
    if (s->layer) {
        Expr bias = load(&c->bias);
        bias.at = place(0, 0, 1, 0);
        value = add_op(c, arena, OP_ADD, s->elem, value, add(c, arena, bias));
        value = add_op(c, arena, OP_MAX, s->elem, add_number(c, arena, s->elem, 0), value);
    }
    vec_push(arena, &first.stores, (Store){&c->h, at, value});
    vec_push(arena, &c->kernel.stages, first);
    if (!s->layer) return;
    Stage second = {.inner = 1u << M | 1u << N, .vector_axis = -1};
    Expr again = load(&c->h); /* what the first stage stored */
    again.at = at;
    int zero = add_number(c, arena, s->elem, 0);
    value = add_op(c, arena, OP_LT, E_BOOL, zero, add(c, arena, again));
    vec_push(arena, &second.stores, (Store){&c->sign, at, value});
    vec_push(arena, &c->kernel.stages, second);
}

static Buffer buffer(Case *c, Arena *arena, const char *name, Elem elem, int64_t count,
                     Space space) {
    int64_t *bytes = space == SPACE_SCRATCH ? &c->scratch_bytes : &c->trial_bytes;
    Buffer made = {.id = c->kernel.buffers.count,
                   .name = arena_printf(arena, "%s", name),
                   .elem = elem,
                   .count = count,
                   .space = space};
    if (space == SPACE_FIELD || space == SPACE_INDEX) return made;
    made.offset = *bytes;
    *bytes += (count * elem_bytes(elem) + 63) / 64 * 64;
    return made;
}

static void add_buffers(Case *c, Arena *arena) {
    const Shape *s = c->shape;
    Kernel *kernel = &c->kernel;
    c->trial_bytes = HEADER_BYTES + 64 - HEADER_BYTES % 64;
    c->x = buffer(c, arena, "x", s->elem, s->outer * s->m * s->k, SPACE_TRIAL);
    c->w = buffer(c, arena, "w", s->elem, s->outer * s->k * s->n, SPACE_TRIAL);
    c->bias = buffer(c, arena, "bias", s->elem, s->n, SPACE_TRIAL);
    c->h = buffer(c, arena, "h", s->elem, s->outer * s->m * s->n, SPACE_SCRATCH);
    c->sign = buffer(c, arena, "sign", E_BOOL, s->outer * s->m * s->n, SPACE_SCRATCH);
    c->image = buffer(c, arena, "image", E_U8, PIXELS * s->m * s->k, SPACE_FIELD);
    c->index = buffer(c, arena, "index", E_I32, s->a_across ? s->k : s->m, SPACE_INDEX);
    if (s->a != GATHER) vec_push(arena, &kernel->buffers, &c->x);
    vec_push(arena, &kernel->buffers, &c->w);
    if (s->layer) vec_push(arena, &kernel->buffers, &c->bias);
    vec_push(arena, &kernel->buffers, &c->h);
    if (s->layer) vec_push(arena, &kernel->buffers, &c->sign);
    if (s->a != GATHER) return;
    vec_push(arena, &kernel->buffers, &c->image);
    vec_push(arena, &kernel->buffers, &c->index);
    kernel->index = &c->index;
}

static void make_kernel(Case *c, const Shape *s, Arena *arena) {
    static const char *const names[] = {"i", "m", "n", "k"};
    const int64_t extents[] = {s->outer, s->m, s->n, s->k};
    Kernel *kernel = &c->kernel;
    c->shape = s;
    kernel->name = "product";
    kernel->axis_count = 4;
    kernel->outer_count = 1;
    kernel->lanes = 1;
    for (int i = 0; i < 4; i++) kernel->axes[i] = (Axis){.name = names[i], .extent = extents[i]};
    add_buffers(c, arena);
    Expr w = load(&c->w);
    w.at = place_of_b(s);
    c->contraction = (Contraction){.m = M, .n = N, .k = K, .a = add_a(c, arena)};
    c->contraction.b = add(c, arena, w);
    Stage stage = {.inner = 7u << M, .contraction = &c->contraction, .vector_axis = -1};
    vec_push(arena, &kernel->stages, stage);
    add_epilogue(c, arena);
    cuda_contract_schedule(kernel);
}

/* ---- inputs ---- */

static void fill(const Case *c, const Buffer *to, char *block, double size, Rng *rng) {
    char *at = block + to->offset;
    for (int64_t i = 0; i < to->count; i++)
        if (c->shape->elem == E_F32)
            ((float *)at)[i] = (float)(size * rng_real(rng, -1, 1));
        else
            ((double *)at)[i] = size * rng_real(rng, -1, 1);
}

static void fill_block(const Case *c, uint32_t trial, char *block) {
    Rng rng = {.state = trial};
    double size = c->shape->a == TINY ? 1e-30 : 1;
    fill(c, &c->x, block, size, &rng);
    fill(c, &c->w, block, size, &rng);
    fill(c, &c->bias, block, 1, &rng);
}

static int32_t example(int64_t row) {
    return (int32_t)((row * 2 + 1) % PIXELS);
}

static uint8_t pixel(int64_t at) {
    return (uint8_t)(at * 37 % 251);
}

/* ---- the plain loop, in double or float ---- */

static double real(const char *block, const Buffer *from, int64_t at) {
    const char *base = block + from->offset;
    return from->elem == E_F32 ? (double)((const float *)base)[at] : ((const double *)base)[at];
}

static double rounded(const Case *c, double value) {
    return c->shape->elem == E_F32 ? (double)(float)value : value;
}

static double left(const Case *c, const char *block, int64_t outer, int64_t m, int64_t k) {
    const Shape *s = c->shape;
    if (s->a == GATHER) {
        int64_t at = s->a_across ? example(k) * s->m + m : example(m) * s->k + k;
        double value = pixel(at);
        return s->elem == E_F32 ? (double)((float)value / 255.0f) : value / 255.0;
    }
    if (s->a == GUARDED && k >= m + 3) return 0;
    Affine at = place_of_a(s);
    double value = real(block, &c->x, at.coeff[OUTER] * outer + at.coeff[M] * m + at.coeff[K] * k);
    if (s->a != PRODUCT) return value;
    return rounded(c, value * real(block, &c->x, at.coeff[M] * m));
}

static double expected(const Case *c, const char *block, int64_t outer, int64_t m, int64_t n) {
    const Shape *s = c->shape;
    Affine at = place_of_b(s);
    double sum = 0;
    for (int64_t k = 0; k < s->k; k++) {
        double a = left(c, block, outer, m, k);
        double b = real(block, &c->w, at.coeff[OUTER] * outer + at.coeff[N] * n + at.coeff[K] * k);
        sum = s->elem == E_F32 ? (double)fmaf((float)a, (float)b, (float)sum) : fma(a, b, sum);
    }
    if (!s->layer) return sum;
    sum = rounded(c, sum + real(block, &c->bias, n));
    return sum > 0 ? sum : 0;
}

/* ---- running ---- */

static bool write_field(const Case *c, const RunMemory *memory) {
    int32_t index[512];
    for (int64_t i = 0; i < c->index.count; i++) index[i] = example(i);
    uint8_t *image = malloc((size_t)c->image.count);
    for (int64_t i = 0; i < c->image.count; i++) image[i] = pixel(i);
    bool written = run_write(memory, SPACE_INDEX, 0, index) &&
                   device_write(memory->device, memory->fields[0], image, (uint64_t)c->image.count);
    free(image);
    return written;
}

static bool check_trial(const Case *c, const char *block, const char *scratch, uint32_t trial) {
    const Shape *s = c->shape;
    for (int64_t at = 0; at < c->h.count; at++) {
        int64_t outer = at / (s->m * s->n), m = at / s->n % s->m, n = at % s->n;
        double wanted = expected(c, block, outer, m, n), found = real(scratch, &c->h, at);
        bool sign = !s->layer || (scratch[c->sign.offset + at] == (wanted > 0));
        if (!memcmp(&found, &wanted, sizeof found) && sign) continue;
        printf("FAILED: %lld x %lld x %lld, trial %u at %lld, %lld, %lld: %.17g, expected %.17g\n",
               (long long)s->m, (long long)s->n, (long long)s->k, trial, (long long)outer,
               (long long)m, (long long)n, found, wanted);
        return false;
    }
    return true;
}

static bool check(const Case *c, const RunKernel *kernel, Device *device, uint64_t seed) {
    RunSizes sizes = {.trials = TRIALS, .fields = {(uint64_t)c->image.count}};
    sizes.bytes[SPACE_TRIAL] = (uint64_t)c->trial_bytes;
    sizes.bytes[SPACE_SCRATCH] = (uint64_t)c->scratch_bytes;
    sizes.bytes[SPACE_INDEX] = (uint64_t)c->index.count * sizeof(int32_t);
    RunMemory memory = run_memory(device, &sizes);
    char *block = calloc(TRIALS, (size_t)c->trial_bytes),
         *scratch = calloc(1, (size_t)c->scratch_bytes);
    bool passed = c->shape->a != GATHER || write_field(c, &memory);
    for (uint32_t t = 0; t < TRIALS && passed; t++) {
        fill_block(c, t, block + t * c->trial_bytes);
        passed = run_write(&memory, SPACE_TRIAL, t, block + t * c->trial_bytes);
    }
    passed = passed && run_launch(kernel, &memory, true, seed);
    for (uint32_t t = 0; t < TRIALS && passed; t++)
        passed = run_read(&memory, SPACE_SCRATCH, t, scratch) &&
                 check_trial(c, block + t * c->trial_bytes, scratch, t);
    run_memory_release(&memory);
    free(block);
    free(scratch);
    return passed;
}

int main(void) {
    Arena *arena = arena_new();
    const char *problem;
    Nvrtc *nvrtc = nvrtc_open(arena, &problem);
    if (!nvrtc) printf("skipped: %s\n", problem);
    if (!nvrtc) return SKIPPED;
    Device *device = device_new();
    Case *cases = arena_alloc(arena, SHAPES * sizeof *cases);
    RunKernel *kernels = arena_alloc(arena, SHAPES * sizeof *kernels);
    bool passed = true;
    for (uint32_t i = 0; i < SHAPES; i++) {
        make_kernel(&cases[i], &shapes[i], arena);
        problem = kernel_verify(&cases[i].kernel, arena);
        if (problem) printf("FAILED: shape %u: %s\n", i, problem);
        passed = passed && !problem;
        kernels[i].kernel = &cases[i].kernel;
    }
    bool compiled = passed = passed && run_compile(nvrtc, device, kernels, SHAPES);
    for (uint32_t i = 0; i < SHAPES && compiled; i++)
        passed = check(&cases[i], &kernels[i], device, i) && passed;
    printf("%d products, %d trials each\n", SHAPES, TRIALS);
    run_release(kernels, SHAPES);
    device_free(device);
    nvrtc_close(nvrtc);
    arena_free(arena);
    return !passed;
}
