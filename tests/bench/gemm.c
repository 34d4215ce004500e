/* GFLOP/s of emitted contractions on one core, for the shapes of a training step. Tiles and packing
 * are the schedule's, as in a compiled program; every result is compared with a plain loop first.
 *
 *     bench_gemm [CPU]            table of all shapes
 *     bench_gemm CPU M N K OP     one shape; OP: NN, NT (b transposed), TN (a transposed)
 *
 * Time is that of the thread, the least of many repetitions; the cost of emission is printed beside
 * it. */
#include <time.h>

#include "tests/unit/emit_support.h"

typedef struct {
    int64_t m, n, k;
    const char *op;
} Shape;

static const Shape shapes[] = {
    {32, 32, 32, "NN"},    {64, 64, 64, "NN"},    {128, 128, 128, "NN"}, {256, 256, 256, "NN"},
    {512, 512, 512, "NN"}, {64, 128, 784, "NN"},  {784, 128, 64, "TN"},  {64, 128, 128, "NN"},
    {128, 128, 64, "TN"},  {64, 128, 128, "NT"},  {64, 10, 128, "NN"},   {128, 10, 64, "TN"},
    {64, 128, 10, "NT"},   {64, 512, 784, "NN"},  {784, 512, 64, "TN"},  {64, 512, 512, "NN"},
    {512, 512, 64, "TN"},  {64, 512, 512, "NT"},  {256, 128, 784, "NN"}, {784, 128, 256, "TN"},
    {256, 128, 128, "NN"}, {128, 128, 256, "TN"}, {256, 128, 128, "NT"}, {256, 10, 128, "NN"},
    {128, 10, 256, "TN"},  {256, 128, 10, "NT"},
};

typedef void (*Run)(const float *a, const float *b, float *c, float *pack0, float *pack1);

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static Bench contraction_of(const Shape *shape, const char *cpu) {
    Bench bench = bench_new("product", 1);
    bench.cpu = cpu;
    uint32_t m = add_axis(&bench, "m", shape->m), n = add_axis(&bench, "n", shape->n);
    uint32_t k = add_axis(&bench, "k", shape->k);
    Buffer *a = add_buffer(&bench, "a", E_F32, shape->m * shape->k);
    Buffer *b = add_buffer(&bench, "b", E_F32, shape->k * shape->n);
    Buffer *c = add_buffer(&bench, "c", E_F32, shape->m * shape->n);
    int left = load(&bench, a,
                    shape->op[0] == 'N' ? affine(0, m, (int)shape->k, k, 1, -1)
                                        : affine(0, m, 1, k, (int)shape->m, -1));
    int right = load(&bench, b,
                     shape->op[1] == 'N' ? affine(0, n, 1, k, (int)shape->n, -1)
                                         : affine(0, n, (int)shape->k, k, 1, -1));
    Contraction *contraction = arena_alloc(bench.arena, sizeof *contraction);
    *contraction = (Contraction){.m = m, .n = n, .k = k, .a = left, .b = right};
    int sum = result(&bench, E_F32, 0, 0);
    add_stage(&bench, 1u << m | 1u << n | 1u << k, -1, 1)->contraction = contraction;
    add_store(&bench, add_stage(&bench, 1u << m | 1u << n, -1, 1), c,
              affine(0, m, (int)shape->n, n, 1, -1), sum);
    return bench;
}

static float *matrix(int64_t count, uint32_t seed) {
    float *at = aligned_alloc(64, ((size_t)count * sizeof *at + 63) / 64 * 64);
    if (!at) exit(1);
    for (int64_t i = 0; i < count; i++) at[i] = test_real(&seed);
    return at;
}

static void check(const Shape *s, const float *a, const float *b, const float *c) {
    for (int64_t i = 0; i < s->m; i++)
        for (int64_t j = 0; j < s->n; j += 7) {
            double sum = 0;
            for (int64_t q = 0; q < s->k; q++)
                sum += (double)a[s->op[0] == 'N' ? i * s->k + q : q * s->m + i] *
                       (double)b[s->op[1] == 'N' ? q * s->n + j : j * s->k + q];
            if (fabs(sum - (double)c[i * s->n + j]) < 1e-3) continue;
            fprintf(stderr, "wrong result at %ld, %ld\n", (long)i, (long)j);
            exit(1);
        }
}

static void measure(const Shape *s, const char *cpu) {
    Bench bench = contraction_of(s, cpu);
    StepProgram program = {.name = "product"};
    vec_push(bench.arena, &program.kernels, bench.kernel);
    LlvmTarget target = make_target(cpu, bench.arena);
    schedule_cpu(&program, &target.shape, bench.arena);
    const Contraction *c = bench.kernel->stages.at[0].contraction;
    LlvmItem item = {.kernel = bench.kernel, .symbol = "kernel"};
    double emitted = seconds();
    Text text = {0};
    llvm_compile(&item, 1, &target, LLVM_ASSEMBLY, NULL, &text, bench.arena);
    emitted = seconds() - emitted;
    text_release(&text);
    Run run = (Run)compile_kernel(&bench);
    float *a = matrix(s->m * s->k, 1), *b = matrix(s->k * s->n, 2), *out = matrix(s->m * s->n, 3);
    float *pack[2] = {matrix(64, 4), matrix(64, 5)};
    for (uint32_t i = 3; i < bench.kernel->buffers.count; i++) {
        free(pack[i - 3]);
        pack[i - 3] = matrix(bench.kernel->buffers.at[i]->count, 6);
    }
    run(a, b, out, pack[0], pack[1]);
    check(s, a, b, out);
    double flops = 2 * (double)s->m * (double)s->n * (double)s->k, best = INFINITY;
    long calls = 1 + (long)(4e6 / flops);
    for (int repetition = 0; repetition < 100; repetition++) {
        double start = seconds();
        for (long i = 0; i < calls; i++) run(a, b, out, pack[0], pack[1]);
        best = fmin(best, (seconds() - start) / (double)calls);
    }
    printf(
        "%4ld x %4ld x %4ld %s  tile %2u x %u%s%s  %6.1f GFLOP/s  %8.2f us  emitted in %.1f ms\n",
        (long)s->m, (long)s->n, (long)s->k, s->op, c->tile_m, c->tile_n_vectors,
        c->pack_a ? " pack a" : "", c->pack_b ? " pack b" : "", flops / best * 1e-9, best * 1e6,
        emitted * 1e3);
    free(a), free(b), free(out), free(pack[0]), free(pack[1]);
    arena_free(bench.arena);
}

int main(int count, char **words) {
    const char *cpu = count > 1 ? words[1] : "native";
    if (count == 6) {
        Shape one = {atol(words[2]), atol(words[3]), atol(words[4]), words[5]};
        measure(&one, cpu);
        return 0;
    }
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) measure(&shapes[i], cpu);
    return 0;
}
