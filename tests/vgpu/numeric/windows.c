/* Products that look through windows and tables, on the virtual GPU with all of its checks: kernels
 * made by hand, as a convolution and its two gradients, a one-hot product and a product with rows
 * of a table are, give the bits of the plain loops with fma, for every trial of a wave. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "compiler/kernel/schedule.h"
#include "tests/numeric/random_graph.h"
#include "tests/vgpu/numeric/kernel_run.h"

enum { TRIALS = 2, IMAGES = 3 };

typedef enum {
    FORWARD, /* y[b, oh, ow, co] = sum over kh, kw, ci of x * w */
    FIRST,   /* likewise, of images of the data set with the channels first: u8, as reals */
    BACK_X,  /* dx[b, h, w, ci] = sum over kh, kw, co of dy * w, divided by the stride */
    BACK_W,  /* dw[kh, kw, ci, co] = sum over b, oh, ow of x * dy */
    ONE_HOT, /* dt[rows, co] = sum over b of (number[b] == row) * dy[b, co] */
    TABLE    /* y[b, co] = sum over ci of t[number[b], ci] * w[ci, co]; 0 where there is no row */
} Kind;

typedef struct {
    Kind kind;
    Elem elem;
    int64_t b, h, w, ci, co, kh, kw, stride, dilation, padding;
} Shape;

static const Shape shapes[] = {
    {FORWARD, E_F32, 4, 16, 16, 8, 32, 3, 3, 1, 1, 1},
    {FORWARD, E_F32, 2, 7, 6, 4, 8, 3, 3, 1, 1, 1},
    {FORWARD, E_F32, 3, 9, 5, 3, 5, 3, 2, 2, 1, 1},
    {FORWARD, E_F32, 1, 11, 8, 8, 16, 3, 3, 1, 2, 2},
    {FORWARD, E_F32, 2, 5, 5, 1, 4, 5, 5, 1, 1, 0},
    {FORWARD, E_F64, 2, 6, 7, 3, 6, 3, 3, 2, 1, 1},
    {FORWARD, E_F64, 1, 8, 8, 2, 3, 2, 3, 3, 2, 3},
    {FORWARD, E_F32, 4, 1, 20, 12, 8, 1, 5, 1, 1, 2},
    {FIRST, E_F32, 2, 8, 9, 3, 8, 3, 3, 1, 1, 1},
    {FIRST, E_F32, 2, 7, 7, 1, 6, 5, 5, 2, 1, 2},
    {FIRST, E_F64, 3, 5, 6, 2, 3, 2, 2, 2, 1, 0},
    {BACK_X, E_F32, 2, 7, 6, 4, 8, 3, 3, 1, 1, 1},
    {BACK_X, E_F32, 2, 8, 8, 8, 4, 3, 3, 2, 1, 1},
    {BACK_X, E_F32, 3, 9, 5, 3, 5, 3, 2, 3, 2, 2},
    {BACK_X, E_F64, 2, 6, 7, 3, 6, 3, 3, 2, 1, 1},
    {BACK_W, E_F32, 2, 7, 6, 4, 8, 3, 3, 1, 1, 1},
    {BACK_W, E_F32, 3, 9, 5, 3, 5, 3, 2, 2, 1, 1},
    {BACK_W, E_F32, 2, 8, 8, 8, 4, 3, 3, 2, 2, 2},
    {BACK_W, E_F64, 2, 6, 7, 3, 6, 3, 3, 2, 1, 1},
    {ONE_HOT, E_F32, 50, 33, 1, 1, 24, 1, 1, 1, 1, 0},
    {ONE_HOT, E_F64, 19, 5, 1, 1, 7, 1, 1, 1, 1, 0},
    {TABLE, E_F32, 40, 9, 1, 32, 24, 1, 1, 1, 1, 0},
    {TABLE, E_F32, 21, 5, 1, 7, 9, 1, 1, 1, 1, 0},
    {TABLE, E_F64, 16, 6, 1, 12, 5, 1, 1, 1, 1, 0},
};

enum { SHAPES = sizeof shapes / sizeof *shapes };

typedef struct {
    const Shape *shape;
    Arena *arena;
    Kernel kernel;
    Contraction contraction;
    Buffer x, w, y, number, image, index; /* y: the result, whatever it is called */
    int64_t oh, ow, m, n, k;
    int64_t trial_bytes, scratch_bytes;
} Case;

/* ---- the kernel ---- */

enum { M, N, K, LOOPS, FIRST_OF_M = LOOPS, FIRST_OF_K = LOOPS + 3 };

static Expr leaf(ExprKind kind, Elem elem) {
    return (Expr){
        .kind = kind, .elem = elem, .in = {-1, -1, -1}, .gather = -1, .guard = -1, .lookup = -1};
}

static int add(Case *c, Expr expr) {
    vec_push(c->arena, &c->kernel.exprs, expr);
    return (int)c->kernel.exprs.count - 1;
}

static Expr load(Buffer *buffer) {
    Expr expr = leaf(X_LOAD, buffer->elem);
    expr.buffer = buffer;
    return expr;
}

static int add_number(Case *c, Elem elem, double number) {
    Expr expr = leaf(X_CONST, elem);
    expr.number = number;
    return add(c, expr);
}

static int add_op(Case *c, Op op, Elem elem, int a, int b) {
    Expr expr = leaf(X_OP, elem);
    expr.op = op;
    expr.in[0] = a;
    expr.in[1] = b;
    return add(c, expr);
}

static int add_axis(Case *c, Affine at) {
    Expr expr = leaf(X_AXIS, E_I32);
    expr.at = at;
    return add(c, expr);
}

/* 0 <= value < limit */
static int add_inside(Case *c, int value, int64_t limit) {
    int low = add_op(c, OP_LE, E_BOOL, add_number(c, E_I32, 0), value);
    int high = add_op(c, OP_LT, E_BOOL, value, add_number(c, E_I32, (double)limit));
    return add_op(c, OP_AND, E_BOOL, low, high);
}

/* Three parts of m or of k, as many steps as `extents` say. */
static void add_parts(Case *c, uint32_t of, const char *const names[3], const int64_t extents[3]) {
    int64_t below = extents[1] * extents[2];
    for (int i = 0; i < 3; i++) {
        c->kernel.axes[LOOPS + c->kernel.part_count++] =
            (Axis){.name = names[i], .extent = extents[i], .of = of + 1, .below = below};
        below /= i < 2 ? extents[i + 1] : 1;
    }
}

/* Through windows: row = stride * i + dilation * kh - padding of the part that counts results and
 * the one that counts taps, or stride and sign of dilation and padding exchanged for the adjoint.
 */
static int add_windowed(Case *c, Expr x, Affine rows, Affine columns, int64_t height, int64_t width,
                        int64_t divide) {
    int row = add_axis(c, rows), column = add_axis(c, columns);
    int guard = add_op(c, OP_AND, E_BOOL, add_inside(c, row, height * divide),
                       add_inside(c, column, width * divide));
    for (int i = 0; i < 2 && divide > 1; i++) {
        int rest = add_op(c, OP_MOD, E_I32, i ? column : row, add_number(c, E_I32, (double)divide));
        int whole = add_op(c, OP_EQ, E_BOOL, rest, add_number(c, E_I32, 0));
        guard = add_op(c, OP_AND, E_BOOL, guard, whole);
    }
    x.guard = guard;
    x.divide = divide;
    return add(c, x);
}

static Affine along(uint32_t a, int64_t coeff_a, uint32_t b, int64_t coeff_b, int64_t offset) {
    Affine at = {.offset = offset};
    at.coeff[a] = coeff_a;
    at.coeff[b] = coeff_b;
    return at;
}

static Affine sum_of(Affine a, Affine b, int64_t factor) {
    a.offset += b.offset * factor;
    for (uint32_t i = 0; i < MAX_AXES; i++) a.coeff[i] += b.coeff[i] * factor;
    return a;
}

/* x[b, oh * stride + kh * dilation - padding, …, ci], the parts given by their axes. */
static int add_image(Case *c, uint32_t image, uint32_t tap, uint32_t channel) {
    const Shape *s = c->shape;
    Affine rows = along(image + 1, s->stride, tap, s->dilation, -s->padding);
    Affine columns = along(image + 2, s->stride, tap + 1, s->dilation, -s->padding);
    bool first = s->kind == FIRST;
    Expr x = load(first ? &c->image : &c->x);
    x.gather = first ? (int)image : -1;
    x.at = along(image, s->h * s->w * s->ci, channel, first ? s->h * s->w : 1, 0);
    x.at = sum_of(x.at, rows, first ? s->w : s->w * s->ci);
    x.at = sum_of(x.at, columns, first ? 1 : s->ci);
    int value = add_windowed(c, x, rows, columns, s->h, s->w, 1);
    return first ? add_op(c, OP_CAST, s->elem, value, -1) : value;
}

static void make_forward(Case *c) {
    const Shape *s = c->shape;
    static const char *const results[] = {"b", "oh", "ow"}, *const taps[] = {"kh", "kw", "ci"};
    static const char *const first[] = {"ci", "kh", "kw"};
    bool outermost = s->kind == FIRST;
    add_parts(c, M, results, (int64_t[]){s->b, c->oh, c->ow});
    add_parts(c, K, outermost ? first : taps,
              outermost ? (int64_t[]){s->ci, s->kh, s->kw} : (int64_t[]){s->kh, s->kw, s->ci});
    uint32_t tap = FIRST_OF_K + outermost, channel = FIRST_OF_K + (outermost ? 0 : 2);
    c->contraction.a = add_image(c, FIRST_OF_M, tap, channel);
    Expr w = load(&c->w);
    w.at = along(K, s->co, N, 1, 0);
    c->contraction.b = add(c, w);
}

static void make_back_x(Case *c) {
    const Shape *s = c->shape;
    static const char *const pixels[] = {"b", "h", "w"}, *const taps[] = {"kh", "kw", "co"};
    add_parts(c, M, pixels, (int64_t[]){s->b, s->h, s->w});
    add_parts(c, K, taps, (int64_t[]){s->kh, s->kw, s->co});
    Affine rows = along(FIRST_OF_M + 1, 1, FIRST_OF_K, -s->dilation, s->padding);
    Affine columns = along(FIRST_OF_M + 2, 1, FIRST_OF_K + 1, -s->dilation, s->padding);
    Expr dy = load(&c->x);
    dy.at = along(FIRST_OF_M, s->stride * c->oh * c->ow * s->co, FIRST_OF_K + 2, s->stride, 0);
    dy.at = sum_of(sum_of(dy.at, rows, c->ow * s->co), columns, s->co);
    c->contraction.a = add_windowed(c, dy, rows, columns, c->oh, c->ow, s->stride);
    Expr w = load(&c->w); /* [kh, kw, ci, co] */
    w.at = along(N, s->co, FIRST_OF_K + 2, 1, 0);
    w.at.coeff[FIRST_OF_K] = s->kw * s->ci * s->co;
    w.at.coeff[FIRST_OF_K + 1] = s->ci * s->co;
    c->contraction.b = add(c, w);
}

static void make_back_w(Case *c) {
    const Shape *s = c->shape;
    static const char *const results[] = {"b", "oh", "ow"}, *const taps[] = {"kh", "kw", "ci"};
    add_parts(c, M, taps, (int64_t[]){s->kh, s->kw, s->ci});
    add_parts(c, K, results, (int64_t[]){s->b, c->oh, c->ow});
    c->contraction.a = add_image(c, FIRST_OF_K, FIRST_OF_M, FIRST_OF_M + 2);
    Expr dy = load(&c->w);
    dy.at = along(K, s->co, N, 1, 0);
    c->contraction.b = add(c, dy);
}

static void make_one_hot(Case *c) {
    const Shape *s = c->shape;
    Expr number = load(&c->number);
    number.at.coeff[K] = 1;
    int row = add_axis(c, along(M, 1, M, 1, 0));
    int same = add_op(c, OP_EQ, E_BOOL, add(c, number), row);
    c->contraction.a = add_op(c, OP_CAST, s->elem, same, -1);
    Expr dy = load(&c->w);
    dy.at = along(K, s->co, N, 1, 0);
    c->contraction.b = add(c, dy);
}

static void make_table(Case *c) {
    const Shape *s = c->shape;
    Expr number = load(&c->number), row = load(&c->x), w = load(&c->w);
    number.at.coeff[M] = 1;
    row.lookup = add(c, number);
    row.pitch = s->ci;
    row.guard = add_inside(c, row.lookup, s->h);
    row.at.coeff[K] = 1;
    c->contraction.a = add(c, row);
    w.at = along(K, s->co, N, 1, 0);
    c->contraction.b = add(c, w);
}

static void set_sizes(Case *c) {
    const Shape *s = c->shape;
    c->oh = (s->h + 2 * s->padding - s->dilation * (s->kh - 1) - 1) / s->stride + 1;
    c->ow = (s->w + 2 * s->padding - s->dilation * (s->kw - 1) - 1) / s->stride + 1;
    int64_t results = s->b * c->oh * c->ow, pixels = s->b * s->h * s->w;
    int64_t taps = s->kh * s->kw * s->ci;
    switch (s->kind) {
    case FORWARD:
    case FIRST: c->m = results, c->n = s->co, c->k = taps; break;
    case BACK_X: c->m = pixels, c->n = s->ci, c->k = s->kh * s->kw * s->co; break;
    case BACK_W: c->m = taps, c->n = s->co, c->k = results; break;
    case ONE_HOT: c->m = s->h, c->n = s->co, c->k = s->b; break;
    case TABLE: c->m = s->b, c->n = s->co, c->k = s->ci; break;
    }
}

static Buffer buffer(Case *c, const char *name, Elem elem, int64_t count, Space space) {
    int64_t *bytes = space == SPACE_SCRATCH ? &c->scratch_bytes : &c->trial_bytes;
    Buffer made = {.name = name, .elem = elem, .count = count, .space = space};
    if (space == SPACE_FIELD || space == SPACE_INDEX) return made;
    made.offset = *bytes;
    *bytes += (count * elem_bytes(elem) + 63) / 64 * 64;
    return made;
}

static void add_buffers(Case *c) {
    const Shape *s = c->shape;
    Kernel *kernel = &c->kernel;
    bool numbers = s->kind == ONE_HOT || s->kind == TABLE;
    int64_t left = s->kind == BACK_X  ? s->b * c->oh * c->ow * s->co
                   : s->kind == TABLE ? s->h * s->ci
                                      : s->b * s->h * s->w * s->ci;
    int64_t right = s->kind == BACK_X ? c->k * s->ci : c->k * c->n;
    c->trial_bytes = 64;
    c->x = buffer(c, "x", s->elem, left, SPACE_TRIAL);
    c->w = buffer(c, "w", s->elem, right, SPACE_TRIAL);
    c->number = buffer(c, "number", E_I32, s->b, SPACE_TRIAL);
    c->y = buffer(c, "y", s->elem, c->m * c->n, SPACE_SCRATCH);
    c->image = buffer(c, "image", E_U8, IMAGES * s->ci * s->h * s->w, SPACE_FIELD);
    c->index = buffer(c, "index", E_I32, s->b, SPACE_INDEX);
    if (s->kind != FIRST && s->kind != ONE_HOT) vec_push(c->arena, &kernel->buffers, &c->x);
    vec_push(c->arena, &kernel->buffers, &c->w);
    if (numbers) vec_push(c->arena, &kernel->buffers, &c->number);
    vec_push(c->arena, &kernel->buffers, &c->y);
    if (s->kind != FIRST) return;
    vec_push(c->arena, &kernel->buffers, &c->image);
    vec_push(c->arena, &kernel->buffers, &c->index);
    kernel->index = &c->index;
}

static void add_store(Case *c) {
    Stage stage = {.inner = 1u << M | 1u << N, .vector_axis = -1};
    Store store = {.buffer = &c->y, .at = along(M, c->n, N, 1, 0)};
    store.value = add(c, leaf(X_RESULT, c->shape->elem));
    vec_push(c->arena, &stage.stores, store);
    vec_push(c->arena, &c->kernel.stages, stage);
}

static void make_kernel(Case *c, const Shape *s, Arena *arena) {
    static void (*const make[])(Case *) = {make_forward, make_forward, make_back_x,
                                           make_back_w,  make_one_hot, make_table};
    Kernel *kernel = &c->kernel;
    c->shape = s;
    c->arena = arena;
    set_sizes(c);
    kernel->name = "windowed";
    kernel->axis_count = LOOPS;
    kernel->lanes = 1;
    kernel->axes[M] = (Axis){.name = "m", .extent = c->m};
    kernel->axes[N] = (Axis){.name = "n", .extent = c->n};
    kernel->axes[K] = (Axis){.name = "k", .extent = c->k};
    add_buffers(c);
    c->contraction = (Contraction){.m = M, .n = N, .k = K};
    make[s->kind](c);
    Stage stage = {.inner = 7u << M, .contraction = &c->contraction, .vector_axis = -1};
    vec_push(arena, &kernel->stages, stage);
    add_store(c);
    cuda_contract_schedule(kernel);
}

/* ---- inputs ---- */

static void fill(const Buffer *to, char *block, Rng *rng) {
    char *at = block + to->offset;
    for (int64_t i = 0; i < to->count; i++)
        if (to->elem == E_F32)
            ((float *)at)[i] = (float)rng_real(rng, -1, 1);
        else
            ((double *)at)[i] = rng_real(rng, -1, 1);
}

/* Numbers of rows from one below the first to one behind the last. */
static void fill_block(const Case *c, uint32_t trial, char *block) {
    Rng rng = {.state = trial};
    fill(&c->x, block, &rng);
    fill(&c->w, block, &rng);
    int32_t *numbers = (int32_t *)(block + c->number.offset);
    for (int64_t i = 0; i < c->number.count; i++)
        numbers[i] = (int32_t)((i * 5 + trial) % (c->shape->h + 2)) - 1;
}

static int32_t example(int64_t row) {
    return (int32_t)((row * 2 + 1) % IMAGES);
}

static uint8_t pixel(int64_t at) {
    return (uint8_t)(at * 37 % 251);
}

/* ---- the plain loops ---- */

static double real(const char *block, const Buffer *from, int64_t at) {
    const char *base = block + from->offset;
    return from->elem == E_F32 ? (double)((const float *)base)[at] : ((const double *)base)[at];
}

static double pixel_of(const Case *c, const char *block, const int64_t result[3], int64_t kh,
                       int64_t kw, int64_t ci) {
    const Shape *s = c->shape;
    int64_t h = result[1] * s->stride + kh * s->dilation - s->padding;
    int64_t w = result[2] * s->stride + kw * s->dilation - s->padding;
    if (h < 0 || h >= s->h || w < 0 || w >= s->w) return 0;
    if (s->kind == FIRST) return pixel(((example(result[0]) * s->ci + ci) * s->h + h) * s->w + w);
    return real(block, &c->x, ((result[0] * s->h + h) * s->w + w) * s->ci + ci);
}

/* dy where an element of the result looked at this pixel through this tap. */
static double error_of(const Case *c, const char *block, const int64_t at[3],
                       const int64_t tap[3]) {
    const Shape *s = c->shape;
    int64_t h = at[1] + s->padding - tap[0] * s->dilation;
    int64_t w = at[2] + s->padding - tap[1] * s->dilation;
    if (h < 0 || w < 0 || h % s->stride || w % s->stride) return 0;
    h /= s->stride;
    w /= s->stride;
    if (h >= c->oh || w >= c->ow) return 0;
    return real(block, &c->x, ((at[0] * c->oh + h) * c->ow + w) * s->co + tap[2]);
}

static void unfold(int64_t at, int64_t second, int64_t third, int64_t parts[3]) {
    parts[0] = at / (second * third);
    parts[1] = at / third % second;
    parts[2] = at % third;
}

static double left(const Case *c, const char *block, int64_t m, int64_t k) {
    const Shape *s = c->shape;
    const int32_t *numbers = (const int32_t *)(block + c->number.offset);
    int64_t a[3], b[3];
    switch (s->kind) {
    case FORWARD:
        unfold(m, c->oh, c->ow, a);
        unfold(k, s->kw, s->ci, b);
        return pixel_of(c, block, a, b[0], b[1], b[2]);
    case FIRST:
        unfold(m, c->oh, c->ow, a);
        unfold(k, s->kh, s->kw, b);
        return pixel_of(c, block, a, b[1], b[2], b[0]);
    case BACK_X:
        unfold(m, s->h, s->w, a);
        unfold(k, s->kw, s->co, b);
        return error_of(c, block, a, b);
    case BACK_W:
        unfold(m, s->kw, s->ci, a);
        unfold(k, c->oh, c->ow, b);
        return pixel_of(c, block, b, a[0], a[1], a[2]);
    case ONE_HOT: return numbers[k] == m;
    case TABLE:
        if (numbers[m] < 0 || numbers[m] >= s->h) return 0;
        return real(block, &c->x, numbers[m] * s->ci + k);
    }
    return 0;
}

static double right(const Case *c, const char *block, int64_t n, int64_t k) {
    const Shape *s = c->shape;
    if (s->kind != BACK_X) return real(block, &c->w, k * c->n + n);
    return real(block, &c->w, (k / s->co * s->ci + n) * s->co + k % s->co);
}

static double expected(const Case *c, const char *block, int64_t m, int64_t n) {
    double sum = 0;
    for (int64_t k = 0; k < c->k; k++) {
        double a = left(c, block, m, k), b = right(c, block, n, k);
        sum =
            c->shape->elem == E_F32 ? (double)fmaf((float)a, (float)b, (float)sum) : fma(a, b, sum);
    }
    return sum;
}

/* ---- running ---- */

static bool write_images(const Case *c, const RunMemory *memory) {
    int32_t index[64];
    for (int64_t i = 0; i < c->index.count; i++) index[i] = example(i);
    uint8_t *image = malloc((size_t)c->image.count);
    for (int64_t i = 0; i < c->image.count; i++) image[i] = pixel(i);
    bool written = run_write(memory, SPACE_INDEX, 0, index) &&
                   device_write(memory->device, memory->fields[0], image, (uint64_t)c->image.count);
    free(image);
    return written;
}

static bool check_trial(const Case *c, const char *block, const char *scratch, uint32_t trial) {
    for (int64_t at = 0; at < c->y.count; at++) {
        double wanted = expected(c, block, at / c->n, at % c->n), found = real(scratch, &c->y, at);
        if (!memcmp(&found, &wanted, sizeof found)) continue;
        printf("FAILED: shape %d, %lld x %lld x %lld, trial %u at %lld: %.17g, expected %.17g\n",
               (int)(c->shape - shapes), (long long)c->m, (long long)c->n, (long long)c->k, trial,
               (long long)at, found, wanted);
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
    bool passed = c->shape->kind != FIRST || write_images(c, &memory);
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

/* Channels last, a multiple of four of them: filled 16 bytes at a time, behind the guard. */
static bool check_fours(const RunKernel *kernel) {
    bool fours = strstr(kernel->cuda, "? *(const float4 *)(x + ") != NULL;
    if (!fours) printf("FAILED: channels are not loaded in fours:\n%s", kernel->cuda);
    return fours;
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
    passed = compiled && check_fours(&kernels[0]) && passed;
    printf("%d products, %d trials each\n", SHAPES, TRIALS);
    run_release(kernels, SHAPES);
    device_free(device);
    nvrtc_close(nvrtc);
    arena_free(arena);
    return !passed;
}
