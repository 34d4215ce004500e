/* Contractions over many sizes, layouts, tiles and packings against a fused multiply-add loop, bit
 * for bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/unit/emit_support.h"

typedef struct {
    int64_t m, n, k;
    bool a_transposed, b_transposed, pack_a, pack_b, rows_outer;
    uint32_t tile_m, tile_n, lanes;
    Elem elem;
    const char *cpu; /* NULL: native */
} Product;

typedef void (*Run)(const void *a, const void *b, const void *bias, void *c, uint8_t *mask,
                    void *sum, void *pack_a, void *pack_b);

/* c = max(a b + bias, 0), mask = c > 0, sum = sum of c: an epilogue with two stores and a
 * reduction. */
static Run compile_product(const Product *p) {
    Bench bench = bench_new("product", p->lanes);
    Elem elem = p->elem;
    if (p->cpu) bench.cpu = p->cpu;
    uint32_t m = add_axis(&bench, "m", p->m), n = add_axis(&bench, "n", p->n);
    uint32_t k = add_axis(&bench, "k", p->k);
    Buffer *a = add_buffer(&bench, "a", elem, p->m * p->k);
    Buffer *b = add_buffer(&bench, "b", elem, p->k * p->n);
    Buffer *bias = add_buffer(&bench, "bias", elem, p->n);
    Buffer *c = add_buffer(&bench, "c", elem, p->m * p->n);
    Buffer *mask = add_buffer(&bench, "mask", E_BOOL, p->m * p->n);
    Buffer *sum = add_buffer(&bench, "sum", elem, 1);
    Buffer *pack_a = add_buffer(&bench, "pack_a", elem, p->m * p->k);
    Buffer *pack_b = add_buffer(&bench, "pack_b", elem, p->k * p->tile_n * p->lanes);
    int left = load(&bench, a,
                    p->a_transposed ? affine(0, m, 1, k, (int)p->m, -1)
                                    : affine(0, m, (int)p->k, k, 1, -1));
    int right = load(&bench, b,
                     p->b_transposed ? affine(0, n, (int)p->k, k, 1, -1)
                                     : affine(0, n, 1, k, (int)p->n, -1));
    Contraction *shape = arena_alloc(bench.arena, sizeof *shape);
    *shape = (Contraction){.m = m,
                           .n = n,
                           .k = k,
                           .a = left,
                           .b = right,
                           .tile_m = p->tile_m,
                           .tile_n_vectors = p->tile_n,
                           .rows_outer = p->rows_outer,
                           .pack_a = p->pack_a ? pack_a : NULL,
                           .pack_b = p->pack_b ? pack_b : NULL};
    int axis = p->lanes > 1 ? (int)n : -1;
    add_stage(&bench, 1u << m | 1u << n | 1u << k, axis, 1)->contraction = shape;
    int total = op(&bench, OP_ADD, elem, result(&bench, elem, 0, 0),
                   load(&bench, bias, affine(0, n, 1, -1)), -1);
    int zero = constant(&bench, elem, 0), value = op(&bench, OP_MAX, elem, total, zero, -1);
    int above = op(&bench, OP_LT, E_BOOL, zero, value, -1);
    Affine at = affine(0, m, (int)p->n, n, 1, -1);
    Stage *stage = add_stage(&bench, 1u << m | 1u << n, axis, 1);
    add_store(&bench, stage, c, at, value);
    add_store(&bench, stage, mask, at, above);
    stage = add_stage(&bench, 1u << m | 1u << n, axis, 1);
    add_reduction(&bench, stage, OP_SUM, value);
    stage = add_stage(&bench, 0, -1, 1);
    add_store(&bench, stage, sum, affine(0, -1), result(&bench, elem, 2, 0));
    Run run = (Run)compile_kernel(&bench);
    arena_free(bench.arena);
    return run;
}

static double element(const void *at, Elem elem, int64_t index) {
    return elem == E_F32 ? (double)((const float *)at)[index] : ((const double *)at)[index];
}

static void fill(void *at, Elem elem, int64_t count, uint32_t *state) {
    for (int64_t i = 0; i < count; i++) {
        if (elem == E_F32)
            ((float *)at)[i] = test_real(state);
        else
            ((double *)at)[i] = (double)test_real(state);
    }
}

/* The target's multiply-add: fused where the machine has it. */
static double multiply_add(Elem elem, bool fused, double a, double b, double c) {
    if (elem == E_F64) return fused ? fma(a, b, c) : a * b + c;
    if (fused) return (double)fmaf((float)a, (float)b, (float)c);
    volatile float product = (float)a * (float)b;
    return (double)(product + (float)c);
}

static void check_product(const Product *p) {
    Arena *arena = arena_new();
    bool fused = make_target(p->cpu, arena).shape.fma;
    size_t wide = elem_bytes(p->elem);
    int64_t cells = p->m * p->n, guard = 64;
    void *a = arena_alloc(arena, (size_t)(p->m * p->k) * wide);
    void *b = arena_alloc(arena, (size_t)(p->k * p->n) * wide);
    void *bias = arena_alloc(arena, (size_t)p->n * wide);
    void *c = arena_alloc(arena, (size_t)(cells + guard) * wide);
    uint8_t *mask = arena_alloc(arena, (size_t)(cells + guard));
    void *pack_a = arena_alloc(arena, (size_t)(p->m * p->k) * wide);
    void *pack_b = arena_alloc(arena, (size_t)(p->k * p->tile_n * p->lanes) * wide);
    double sum[1] = {0}, want_sum = 0;
    uint32_t state = 77;
    fill(a, p->elem, p->m * p->k, &state);
    fill(b, p->elem, p->k * p->n, &state);
    fill(bias, p->elem, p->n, &state);
    memset(c, 0x5a, (size_t)(cells + guard) * wide);
    memset(mask, 0x5a, (size_t)(cells + guard));
    compile_product(p)(a, b, bias, c, mask, sum, pack_a, pack_b);
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = 0; j < p->n; j++) {
            double total = 0;
            for (int64_t q = 0; q < p->k; q++) {
                double left = element(a, p->elem, p->a_transposed ? q * p->m + i : i * p->k + q);
                double right = element(b, p->elem, p->b_transposed ? j * p->k + q : q * p->n + j);
                total = multiply_add(p->elem, fused, left, right, total);
            }
            total += element(bias, p->elem, j);
            if (p->elem == E_F32) total = (double)(float)total;
            total = total > 0 ? total : 0;
            want_sum += total;
            assert_true(element(c, p->elem, i * p->n + j) == total);
            assert_int_equal(mask[i * p->n + j], total > 0);
        }
    const uint8_t *behind = (const uint8_t *)c + (size_t)cells * wide;
    for (int64_t i = 0; i < guard; i++) assert_true(behind[i] == 0x5a && mask[cells + i] == 0x5a);
    assert_true(fabs(element(sum, p->elem, 0) - want_sum) <= 1e-5 * (fabs(want_sum) + 1));
    arena_free(arena);
}

static void sizes_and_layouts(void **unused) {
    (void)unused;
    const int64_t sizes[][3] = {{1, 1, 1},   {3, 10, 7},    {14, 32, 16}, {15, 33, 17},
                                {31, 64, 5}, {29, 100, 37}, {2, 16, 130}, {64, 10, 32}};
    for (int i = 0; i < 8; i++)
        for (int layout = 0; layout < 4; layout++) {
            Product p = {.m = sizes[i][0],
                         .n = sizes[i][1],
                         .k = sizes[i][2],
                         .a_transposed = layout & 1,
                         .b_transposed = layout & 2,
                         .tile_m = 14,
                         .tile_n = 2,
                         .lanes = 16,
                         .elem = E_F32};
            p.pack_b = p.b_transposed || i % 2;
            p.pack_a = (i + layout) % 3 == 0;
            p.rows_outer = !p.pack_b;
            check_product(&p);
        }
}

/* Whatever the tile, the same bits as the loop. */
static void tiles_do_not_matter(void **unused) {
    (void)unused;
    for (uint32_t tile_m = 1; tile_m <= 9; tile_m += 4)
        for (uint32_t tile_n = 1; tile_n <= 4; tile_n++)
            check_product(&(Product){.m = 23,
                                     .n = 90,
                                     .k = 19,
                                     .tile_m = tile_m,
                                     .tile_n = tile_n,
                                     .lanes = 16,
                                     .elem = E_F32,
                                     .pack_b = tile_n % 2,
                                     .rows_outer = tile_n == 2});
}

static void doubles_and_scalars(void **unused) {
    (void)unused;
    for (int transposed = 0; transposed < 2; transposed++) {
        Product p = {.m = 13,
                     .n = 21,
                     .k = 11,
                     .b_transposed = transposed,
                     .pack_b = transposed,
                     .pack_a = transposed,
                     .tile_m = 6,
                     .tile_n = 2,
                     .lanes = 8,
                     .elem = E_F64};
        check_product(&p);
        p.lanes = 1;
        check_product(&p);
        p.elem = E_F32;
        check_product(&p);
    }
}

/* Narrower machines than this one: fewer registers, no masks, no fused multiply-add. */
static void other_targets(void **unused) {
    (void)unused;
    Arena *arena = arena_new();
    const char *cpus[] = {"x86-64", "x86-64-v3"};
    for (int i = 0; i < 2; i++) {
        if (!cpu_runs(cpus[i], arena)) continue;
        check_product(&(Product){.m = 13,
                                 .n = 21,
                                 .k = 11,
                                 .tile_m = 6,
                                 .tile_n = 2,
                                 .lanes = i ? 8 : 4,
                                 .elem = E_F32,
                                 .cpu = cpus[i]});
        check_product(&(Product){.m = 9,
                                 .n = 19,
                                 .k = 10,
                                 .tile_m = 4,
                                 .tile_n = 2,
                                 .pack_b = true,
                                 .b_transposed = true,
                                 .pack_a = true,
                                 .lanes = i ? 4 : 2,
                                 .elem = E_F64,
                                 .cpu = cpus[i]});
    }
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_and_layouts),
        cmocka_unit_test(tiles_do_not_matter),
        cmocka_unit_test(doubles_and_scalars),
        cmocka_unit_test(other_targets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
