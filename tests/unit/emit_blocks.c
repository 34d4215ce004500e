/* Contractions whose operands look through parts of m and k, by blocks: convolutions, their
 * gradients and lookups, against a fused multiply-add loop over the operands' expressions, bit for
 * bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/unit/emit_support.h"

typedef enum { FORWARD, DATA, WEIGHT } Kind; /* out; gradient of x; gradient of w */

/* x [batch, h, w, c], weights [size, size, c, n], out [batch, oh, ow, n]. */
typedef struct {
    Kind kind;
    int64_t batch, h, w, c, n, size, stride, dilation, padding;
    bool b_by_parts;
    /* schedule */
    uint32_t tile_m, tile_n, lanes;
    int64_t block_m, block_k;
    bool along_m, pack_b, whole_b, rows_outer;
    Elem elem;
    const char *cpu; /* NULL: native */
} Case;

typedef struct {
    Bench bench;
    Contraction *shape;
    Buffer *x, *y, *out; /* y: the weights, or what is multiplied with */
    uint32_t m, n, k;
} Built;

static int64_t out_size(const Case *c, int64_t in) {
    return (in + 2 * c->padding - c->dilation * (c->size - 1) - 1) / c->stride + 1;
}

static uint32_t add_part(Bench *bench, const char *name, uint32_t of, int64_t extent,
                         int64_t below) {
    Kernel *kernel = bench->kernel;
    uint32_t at = kernel->axis_count + kernel->part_count++;
    kernel->axes[at] = (Axis){.name = name, .extent = extent, .of = of + 1, .below = below};
    return at;
}

/* Three parts of an axis, the innermost last. */
static void split_axis(Bench *bench, uint32_t axis, const int64_t extents[3], uint32_t parts[3]) {
    parts[0] = add_part(bench, "p", axis, extents[0], extents[1] * extents[2]);
    parts[1] = add_part(bench, "q", axis, extents[1], extents[2]);
    parts[2] = add_part(bench, "r", axis, extents[2], 1);
}

static int position(Bench *bench, Affine at) {
    return add_expr(bench, (Expr){.kind = X_AXIS,
                                  .elem = E_I32,
                                  .at = at,
                                  .gather = -1,
                                  .guard = -1,
                                  .lookup = -1,
                                  .in = {-1, -1, -1}});
}

/* 0 <= at < limit, and a multiple of `step`. */
static int inside(Bench *bench, Affine at, int64_t limit, int64_t step) {
    int value = position(bench, at);
    int low = op(bench, OP_LE, E_BOOL, constant(bench, E_I32, 0), value, -1);
    int high = op(bench, OP_LT, E_BOOL, value, constant(bench, E_I32, (double)limit), -1);
    int both = op(bench, OP_AND, E_BOOL, low, high, -1);
    if (step == 1) return both;
    int rest = op(bench, OP_MOD, E_I32, value, constant(bench, E_I32, (double)step), -1);
    int even = op(bench, OP_EQ, E_BOOL, rest, constant(bench, E_I32, 0), -1);
    return op(bench, OP_AND, E_BOOL, both, even, -1);
}

/* x at the window (kh, kw) of (oh, ow). */
static int window(Built *built, const Case *c, const uint32_t place[3], const uint32_t inner[3]) {
    Bench *bench = &built->bench;
    int row = (int)(c->w * c->c), image = (int)c->h * row, stride = (int)c->stride;
    int dilation = (int)c->dilation, padding = (int)c->padding, channels = (int)c->c;
    Affine down = affine(-padding, place[1], stride, inner[0], dilation, -1);
    Affine across = affine(-padding, place[2], stride, inner[1], dilation, -1);
    Affine at = affine(-padding * (row + channels), place[0], image, place[1], stride * row,
                       inner[0], dilation * row, place[2], stride * channels, inner[1],
                       dilation * channels, inner[2], 1, -1);
    if (!padding) return load(bench, built->x, at);
    int guard =
        op(bench, OP_AND, E_BOOL, inside(bench, down, c->h, 1), inside(bench, across, c->w, 1), -1);
    int value = load(bench, built->x, at);
    bench->kernel->exprs.at[value].guard = guard;
    return value;
}

/* The gradient of out where x (ih, iw) was seen through the window's (kh, kw): at a multiple of the
 * stride only. */
static int window_back(Built *built, const Case *c, const uint32_t place[3],
                       const uint32_t inner[3]) {
    Bench *bench = &built->bench;
    int64_t oh = out_size(c, c->h), ow = out_size(c, c->w);
    int row = (int)(ow * c->n), stride = (int)c->stride, dilation = (int)c->dilation;
    int padding = (int)c->padding;
    Affine down = affine(padding, place[1], 1, inner[0], -dilation, -1);
    Affine across = affine(padding, place[2], 1, inner[1], -dilation, -1);
    Affine at = affine(padding * (row + (int)c->n), place[0], stride * (int)oh * row, place[1], row,
                       inner[0], -dilation * row, place[2], (int)c->n, inner[1],
                       -dilation * (int)c->n, inner[2], stride, -1);
    int guard = op(bench, OP_AND, E_BOOL, inside(bench, down, oh * stride, stride),
                   inside(bench, across, ow * stride, stride), -1);
    int value = load(bench, built->x, at);
    bench->kernel->exprs.at[value].guard = guard;
    bench->kernel->exprs.at[value].divide = stride;
    return value;
}

static void operands(Built *built, const Case *c, int *a, int *b) {
    Bench *bench = &built->bench;
    int64_t oh = out_size(c, c->h), ow = out_size(c, c->w);
    const int64_t outs[3] = {c->batch, oh, ow}, ins[3] = {c->batch, c->h, c->w};
    const int64_t taps[3] = {c->size, c->size, c->c}, back[3] = {c->size, c->size, c->n};
    uint32_t places[3], inner[3], n = built->n;
    split_axis(bench, built->m, c->kind == FORWARD ? outs : c->kind == DATA ? ins : taps, places);
    split_axis(bench, built->k, c->kind == FORWARD ? taps : c->kind == DATA ? back : outs, inner);
    *a = c->kind == FORWARD ? window(built, c, places, inner)
         : c->kind == DATA  ? window_back(built, c, places, inner)
                            : window(built, c, inner, places);
    int columns = (int)c->n, taps_below = (int)(c->c * c->n);
    if (c->kind == DATA)
        *b = load(bench, built->y,
                  affine(0, inner[0], (int)c->size * taps_below, inner[1], taps_below, n, (int)c->n,
                         inner[2], 1, -1));
    else if (c->b_by_parts) /* columns the other way round */
        *b = load(bench, built->y,
                  affine(0, inner[0], (int)(bench->kernel->axes[inner[0]].below) * columns,
                         inner[1], (int)(bench->kernel->axes[inner[1]].below) * columns, inner[2],
                         columns, n, 1, -1));
    else
        *b = load(bench, built->y, affine(0, built->k, columns, n, 1, -1));
}

static void extents(const Case *c, int64_t *m, int64_t *n, int64_t *k) {
    int64_t places = c->batch * out_size(c, c->h) * out_size(c, c->w);
    int64_t taps = c->size * c->size;
    *m = c->kind == FORWARD ? places : c->kind == DATA ? c->batch * c->h * c->w : taps * c->c;
    *n = c->kind == DATA ? c->c : c->n;
    *k = c->kind == FORWARD ? taps * c->c : c->kind == DATA ? taps * c->n : places;
}

/* out = max(a b, -1/4): an epilogue. */
static Built build(const Case *c) {
    int64_t m, n, k;
    extents(c, &m, &n, &k);
    Built built = {.bench = bench_new("convolution", c->lanes)};
    Bench *bench = &built.bench;
    if (c->cpu) bench->cpu = c->cpu;
    built.m = add_axis(bench, "m", m);
    built.n = add_axis(bench, "n", n);
    built.k = add_axis(bench, "k", k);
    int64_t image = c->batch * c->h * c->w * c->c, taps = c->size * c->size * c->c * c->n;
    int64_t outs = c->batch * out_size(c, c->h) * out_size(c, c->w) * c->n;
    built.x = add_buffer(bench, "x", c->elem, c->kind == DATA ? outs : image);
    built.y = add_buffer(bench, "y", c->elem, c->kind == WEIGHT ? outs : taps);
    built.out = add_buffer(bench, "out", c->elem, m * n);
    int64_t rows = c->block_m ? c->block_m : m, terms = c->block_k ? c->block_k : k;
    Buffer *pack_a = add_buffer(bench, "pack_a", c->elem, rows * terms);
    int64_t tile_n = c->tile_n * c->lanes, panels = c->whole_b ? (n + tile_n - 1) / tile_n : 1;
    Buffer *pack_b =
        add_buffer(bench, "pack_b", c->elem, (c->whole_b ? k : terms) * panels * tile_n);
    Buffer *sums = add_buffer(bench, "sums", c->elem, rows * (n + c->lanes));
    built.shape = arena_alloc(bench->arena, sizeof *built.shape);
    int a, b;
    operands(&built, c, &a, &b);
    *built.shape = (Contraction){.m = built.m,
                                 .n = built.n,
                                 .k = built.k,
                                 .a = a,
                                 .b = b,
                                 .tile_m = c->tile_m,
                                 .tile_n_vectors = c->tile_n,
                                 .rows_outer = c->rows_outer,
                                 .pack_a = pack_a,
                                 .pack_b = c->pack_b ? pack_b : NULL,
                                 .pack_b_whole = c->whole_b,
                                 .pack_a_along = c->along_m ? built.m : built.k,
                                 .block_m = c->block_m,
                                 .block_k = c->block_k,
                                 .sums = terms < k ? sums : NULL};
    int axis = c->lanes > 1 ? (int)built.n : -1;
    add_stage(bench, 7, axis, 1)->contraction = built.shape;
    int value = op(bench, OP_MAX, c->elem, result(bench, c->elem, 0, 0),
                   constant(bench, c->elem, -0.25), -1);
    Stage *stage = add_stage(bench, 3, axis, 1);
    add_store(bench, stage, built.out, affine(0, built.m, (int)n, built.n, 1, -1), value);
    return built;
}

/* ---- the reference ---- */

static double element(const void *at, Elem elem, int64_t index) {
    return elem == E_F32 ? (double)((const float *)at)[index] : ((const double *)at)[index];
}

typedef struct {
    const Kernel *kernel;
    int64_t axis[MAX_AXES];
    void *memory[16]; /* of the buffers */
} Machine;

static int64_t affine_at(const Machine *machine, const Affine *at) {
    int64_t sum = at->offset;
    for (int i = 0; i < MAX_AXES; i++) sum += at->coeff[i] * machine->axis[i];
    return sum;
}

static double eval(const Machine *machine, int expr);

static double eval_load(const Machine *machine, const Expr *x) {
    if (x->guard >= 0 && eval(machine, x->guard) == 0) return 0;
    int64_t at = affine_at(machine, &x->at);
    if (x->divide > 1) {
        assert_int_equal(at % x->divide, 0);
        at /= x->divide;
    }
    if (x->lookup >= 0) at += x->pitch * (int64_t)eval(machine, x->lookup);
    assert_true(at >= 0 && at < x->buffer->count);
    const void *memory = machine->memory[x->buffer->id];
    if (x->elem == E_I32) return ((const int32_t *)memory)[at];
    return element(memory, x->elem, at);
}

static double eval(const Machine *machine, int expr) {
    const Expr *x = &machine->kernel->exprs.at[expr];
    if (x->kind == X_CONST) return x->number;
    if (x->kind == X_AXIS) return (double)affine_at(machine, &x->at);
    if (x->kind == X_LOAD) return eval_load(machine, x);
    double a = eval(machine, x->in[0]), b = eval(machine, x->in[1]);
    switch (x->op) {
    case OP_LE: return a <= b;
    case OP_LT: return a < b;
    case OP_EQ: return a == b;
    case OP_AND: return a != 0 && b != 0;
    case OP_MOD: return a - b * floor(a / b);
    default: fail_msg("an operation that the reference does not know"); return 0;
    }
}

static void set_axis(Machine *machine, uint32_t axis, int64_t value) {
    const Kernel *kernel = machine->kernel;
    machine->axis[axis] = value;
    for (uint32_t i = kernel->axis_count; i < kernel->axis_count + kernel->part_count; i++)
        if (kernel->axes[i].of == axis + 1)
            machine->axis[i] = value / kernel->axes[i].below % kernel->axes[i].extent;
}

static double multiply_add(Elem elem, bool fused, double a, double b, double c) {
    if (elem == E_F64) return fused ? fma(a, b, c) : a * b + c;
    if (fused) return (double)fmaf((float)a, (float)b, (float)c);
    volatile float product = (float)a * (float)b;
    return (double)(product + (float)c);
}

/* At the outer axes' place. */
static void check_values(Built *built, Machine *machine, const void *out, bool fused) {
    const Kernel *kernel = built->bench.kernel;
    const Store *store = &kernel->stages.at[1].stores.at[0];
    Elem elem = built->out->elem;
    int64_t columns = kernel->axes[built->n].extent;
    for (int64_t i = 0; i < kernel->axes[built->m].extent; i++) {
        set_axis(machine, built->m, i);
        for (int64_t j = 0; j < columns; j++) {
            set_axis(machine, built->n, j);
            double total = 0;
            for (int64_t q = 0; q < kernel->axes[built->k].extent; q++) {
                set_axis(machine, built->k, q);
                total = multiply_add(elem, fused, eval(machine, built->shape->a),
                                     eval(machine, built->shape->b), total);
            }
            if (total < -0.25) total = -0.25;
            assert_true(element(out, elem, affine_at(machine, &store->at)) == total);
        }
    }
}

static void fill(void *at, const Buffer *buffer, uint32_t *state) {
    for (int64_t i = 0; i < buffer->count; i++) {
        if (buffer->elem == E_F32)
            ((float *)at)[i] = test_real(state);
        else if (buffer->elem == E_F64)
            ((double *)at)[i] = (double)test_real(state);
        else
            ((int32_t *)at)[i] = (int32_t)(test_random(state) % 13) - 3;
    }
}

/* Six buffers and the seventh, if there is one: lookups. */
typedef void (*Run)(void *x, void *y, void *out, void *pack_a, void *pack_b, void *sums,
                    void *numbers);

enum { BEHIND = 64 };

static void check_kernel(Built *built) {
    Arena *arena = built->bench.arena;
    const Kernel *kernel = built->bench.kernel;
    Machine machine = {.kernel = kernel};
    uint32_t state = 77;
    for (uint32_t i = 0; i < kernel->buffers.count; i++) {
        const Buffer *buffer = kernel->buffers.at[i];
        size_t bytes = (size_t)buffer->count * elem_bytes(buffer->elem);
        machine.memory[i] = arena_alloc(arena, bytes + BEHIND);
        fill(machine.memory[i], buffer, &state);
        memset((char *)machine.memory[i] + bytes, 0x5a, BEHIND);
    }
    Run run = (Run)compile_kernel(&built->bench);
    void **at = machine.memory;
    run(at[0], at[1], at[2], at[3], at[4], at[5], at[6]);
    bool fused = make_target(built->bench.cpu, arena).shape.fma;
    int64_t outer = kernel->outer_count ? kernel->axes[0].extent : 1;
    for (int64_t i = 0; i < outer; i++) {
        machine.axis[0] = i;
        check_values(built, &machine, machine.memory[built->out->id], fused);
    }
    for (uint32_t i = 0; i < kernel->buffers.count; i++) {
        const Buffer *buffer = kernel->buffers.at[i];
        const char *end = (char *)machine.memory[i] + buffer->count * elem_bytes(buffer->elem);
        for (int byte = 0; byte < BEHIND; byte++) assert_int_equal(end[byte], 0x5a);
    }
    arena_free(arena);
}

static void check(const Case *c) {
    Built built = build(c);
    check_kernel(&built);
}

/* Channels, the outer axis, apart: x [batch, h, w, c], weights [size, size, c], out [batch, h, w,
 * c]; or the weights' gradient, of x and y [batch, h, w, c]. Lanes are channels. */
static Built build_depthwise(const Case *c, int64_t channels) {
    Built built = {.bench = bench_new("depthwise", c->lanes)};
    Bench *bench = &built.bench;
    int64_t places = c->batch * c->h * c->w, taps = c->size * c->size;
    bool weight = c->kind == WEIGHT;
    int step = (int)channels, row = (int)c->w * step, padding = (int)c->padding;
    uint32_t outer = add_axis(bench, "i", channels);
    bench->kernel->outer_count = 1;
    built.m = add_axis(bench, "m", weight ? taps : places);
    built.n = add_axis(bench, "n", 1);
    built.k = add_axis(bench, "k", weight ? places : taps);
    built.x = add_buffer(bench, "x", c->elem, places * channels);
    built.y = add_buffer(bench, "y", c->elem, (weight ? places : taps) * channels);
    built.out = add_buffer(bench, "out", c->elem, (weight ? taps : places) * channels);
    uint32_t at[3], tap[3];
    split_axis(bench, weight ? built.k : built.m, (int64_t[]){c->batch, c->h, c->w}, at);
    split_axis(bench, weight ? built.m : built.k, (int64_t[]){1, c->size, c->size}, tap);
    int down = inside(bench, affine(-padding, at[1], 1, tap[1], 1, -1), c->h, 1);
    int across = inside(bench, affine(-padding, at[2], 1, tap[2], 1, -1), c->w, 1);
    int guard = op(bench, OP_AND, E_BOOL, down, across, -1);
    int a = load(bench, built.x,
                 affine(-padding * (row + step), outer, 1, at[0], (int)c->h * row, at[1], row,
                        at[2], step, tap[1], row, tap[2], step, -1));
    bench->kernel->exprs.at[a].guard = guard;
    int b = load(bench, built.y, affine(0, outer, 1, built.k, step, -1));
    built.shape = arena_alloc(bench->arena, sizeof *built.shape);
    *built.shape = (Contraction){
        .m = built.m, .n = built.n, .k = built.k, .a = a, .b = b, .tile_m = 1, .tile_n_vectors = 1};
    add_stage(bench, 7 << 1, (int)outer, 1)->contraction = built.shape;
    int value = op(bench, OP_MAX, c->elem, result(bench, c->elem, 0, 0),
                   constant(bench, c->elem, -0.25), -1);
    Stage *stage = add_stage(bench, 3 << 1, (int)outer, 1);
    add_store(bench, stage, built.out, affine(0, outer, 1, built.m, step, -1), value);
    return built;
}

/* ---- cases ---- */

static const Case basic = {.batch = 2,
                           .h = 7,
                           .w = 6,
                           .c = 5,
                           .n = 19,
                           .size = 3,
                           .stride = 1,
                           .dilation = 1,
                           .padding = 1,
                           .tile_m = 5,
                           .tile_n = 2,
                           .lanes = 16,
                           .elem = E_F32};

static void whole_blocks(void **unused) {
    (void)unused;
    for (Kind kind = FORWARD; kind <= WEIGHT; kind++)
        for (int along = 0; along < 2; along++) {
            Case c = basic;
            c.kind = kind;
            c.along_m = along;
            c.pack_b = kind == DATA || along;
            c.whole_b = kind == DATA;
            c.rows_outer = !c.pack_b || c.whole_b;
            check(&c);
        }
}

/* Blocks of both axes with and without a rest, on whole parts and across them. */
static void small_blocks(void **unused) {
    (void)unused;
    const struct {
        Kind kind;
        bool along_m;
        int64_t block_m, block_k;
    } blocks[] = {
        {FORWARD, false, 10, 15}, {FORWARD, false, 84, 5}, {FORWARD, false, 13, 20},
        {FORWARD, true, 6, 7},    {FORWARD, true, 18, 0},  {FORWARD, true, 42, 1},
        {DATA, false, 12, 19},    {DATA, false, 5, 38},    {DATA, true, 12, 57},
        {WEIGHT, true, 15, 12},   {WEIGHT, true, 5, 42},   {WEIGHT, true, 45, 11},
        {WEIGHT, false, 9, 6},    {WEIGHT, false, 0, 36},
    };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        Case c = basic;
        c.kind = blocks[i].kind;
        c.along_m = blocks[i].along_m;
        c.block_m = blocks[i].block_m;
        c.block_k = blocks[i].block_k;
        c.b_by_parts = i % 2;
        c.pack_b = c.kind == DATA || c.b_by_parts;
        c.whole_b = c.pack_b && i % 3 == 0;
        c.rows_outer = c.whole_b && i % 4 == 0;
        c.n = i % 5 ? c.n : 37;
        check(&c);
    }
}

static void strides_and_dilations(void **unused) {
    (void)unused;
    for (Kind kind = FORWARD; kind <= WEIGHT; kind++)
        for (int64_t stride = 1; stride <= 3; stride++)
            for (int64_t dilation = 1; dilation <= 2; dilation++) {
                Case c = basic;
                c.kind = kind;
                c.stride = stride;
                c.dilation = dilation;
                c.h = 9;
                c.padding = stride - 1;
                c.pack_b = kind == DATA;
                c.along_m = kind == WEIGHT || dilation == 2;
                if (kind == DATA) c.along_m = false;
                check(&c);
            }
}

/* One channel: the run is the window's width or the image's; lanes have guards of their own. */
static void one_channel(void **unused) {
    (void)unused;
    for (Kind kind = FORWARD; kind <= WEIGHT; kind++)
        for (int along = 0; along < 2; along++)
            for (int64_t stride = 1; stride <= 2; stride++) {
                Case c = basic;
                c.kind = kind;
                c.c = 1;
                c.w = 23;
                c.n = kind == DATA ? 1 : 7;
                c.size = 5;
                c.stride = stride;
                c.padding = 2;
                c.along_m = along;
                c.pack_b = kind == DATA;
                check(&c);
            }
}

static void doubles_and_scalars(void **unused) {
    (void)unused;
    for (Kind kind = FORWARD; kind <= WEIGHT; kind++)
        for (uint32_t lanes = 1; lanes <= 8; lanes += 7) {
            Case c = basic;
            c.kind = kind;
            c.lanes = lanes;
            c.elem = E_F64;
            c.stride = 2;
            c.pack_b = kind == DATA;
            c.along_m = kind == WEIGHT;
            c.block_m = kind == WEIGHT ? 15 : 12;
            c.block_k = kind == WEIGHT ? 8 : 0;
            check(&c);
            c.elem = E_F32;
            if (lanes == 1) check(&c);
        }
}

static void other_targets(void **unused) {
    (void)unused;
    Arena *arena = arena_new();
    const char *cpus[] = {"x86-64", "x86-64-v3"};
    for (int i = 0; i < 2; i++)
        for (Kind kind = FORWARD; kind <= WEIGHT && cpu_runs(cpus[i], arena); kind++) {
            Case c = basic;
            c.kind = kind;
            c.cpu = cpus[i];
            c.lanes = i ? 8 : 4;
            c.stride = 2;
            c.block_m = kind == WEIGHT ? 15 : 12;
            c.block_k = kind == WEIGHT ? 9 : kind == DATA ? 57 : 25;
            c.pack_b = kind == DATA;
            c.along_m = kind == WEIGHT;
            check(&c);
        }
    arena_free(arena);
}

static void lanes_of_channels(void **unused) {
    (void)unused;
    for (Kind kind = FORWARD; kind <= WEIGHT; kind += WEIGHT)
        for (int64_t channels = 5; channels <= 35; channels += 15) {
            Case c = basic;
            c.kind = kind;
            c.size = channels == 20 ? 5 : 3;
            c.padding = c.size / 2;
            Built built = build_depthwise(&c, channels);
            check_kernel(&built);
        }
}

/* a[m, k] = table[17 numbers[m or k] + the other], 0 where the number is not in 0 .. 7. */
static void lookups(void **unused) {
    (void)unused;
    for (int along = 0; along < 2; along++)
        for (int of_k = 0; of_k < 2; of_k++) {
            Case c = basic;
            Built built = build(&c);
            Bench *bench = &built.bench;
            int64_t m = bench->kernel->axes[built.m].extent;
            int64_t k = bench->kernel->axes[built.k].extent, pitch = m + k;
            built.x->count = 8 * pitch;
            Buffer *numbers = add_buffer(bench, "numbers", E_I32, m + k);
            uint32_t axis = of_k ? built.k : built.m, other = of_k ? built.m : built.k;
            int number = load(bench, numbers, affine(0, axis, 1, -1));
            int low = op(bench, OP_LE, E_BOOL, constant(bench, E_I32, 0), number, -1);
            int high = op(bench, OP_LT, E_BOOL, number, constant(bench, E_I32, 8), -1);
            int guard = op(bench, OP_AND, E_BOOL, low, high, -1);
            int a = load(bench, built.x, affine(0, other, 1, -1));
            Expr *x = &bench->kernel->exprs.at[a];
            x->guard = guard;
            x->lookup = number;
            x->pitch = pitch;
            built.shape->a = a;
            built.shape->pack_a_along = along ? built.m : built.k;
            bench->kernel->part_count = 0;
            check_kernel(&built);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_blocks),
        cmocka_unit_test(small_blocks),
        cmocka_unit_test(strides_and_dilations),
        cmocka_unit_test(one_channel),
        cmocka_unit_test(doubles_and_scalars),
        cmocka_unit_test(other_targets),
        cmocka_unit_test(lookups),
        cmocka_unit_test(lanes_of_channels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
