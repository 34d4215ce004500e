/* Kernels built by hand, compiled for the host, loaded and called. */
#ifndef TUNE_TESTS_UNIT_EMIT_SUPPORT_H
#define TUNE_TESTS_UNIT_EMIT_SUPPORT_H

#include <dlfcn.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "compiler/emit/emit_llvm.h"

typedef struct {
    Arena *arena;
    Kernel *kernel;
    uint32_t next_id;
    const char *cpu; /* that it is compiled for; must run here */
} Bench;

static inline Bench bench_new(const char *name, uint32_t lanes) {
    Arena *arena = arena_new();
    Bench bench = {arena, arena_alloc(arena, sizeof(Kernel)), 0, "native"};
    bench.kernel->name = name;
    bench.kernel->lanes = lanes;
    return bench;
}

static inline uint32_t add_axis(Bench *bench, const char *name, int64_t extent) {
    Kernel *kernel = bench->kernel;
    kernel->axes[kernel->axis_count] = (Axis){.name = name, .extent = extent};
    return kernel->axis_count++;
}

static inline Buffer *add_buffer(Bench *bench, const char *name, Elem elem, int64_t count) {
    Buffer *buffer = arena_alloc(bench->arena, sizeof *buffer);
    *buffer = (Buffer){
        .id = bench->next_id++, .name = name, .elem = elem, .count = count, .space = SPACE_SCRATCH};
    vec_push(bench->arena, &bench->kernel->buffers, buffer);
    return buffer;
}

/* offset, then pairs (axis, coefficient), then -1. */
static inline Affine affine(int64_t offset, ...) {
    Affine at = {.offset = offset};
    va_list list;
    va_start(list, offset);
    for (int axis = va_arg(list, int); axis >= 0; axis = va_arg(list, int))
        at.coeff[axis] = va_arg(list, int);
    va_end(list);
    return at;
}

static inline int add_expr(Bench *bench, Expr expr) {
    vec_push(bench->arena, &bench->kernel->exprs, expr);
    return (int)bench->kernel->exprs.count - 1;
}

static inline int load(Bench *bench, Buffer *buffer, Affine at) {
    return add_expr(bench, (Expr){.kind = X_LOAD,
                                  .elem = buffer->elem,
                                  .buffer = buffer,
                                  .at = at,
                                  .gather = -1,
                                  .guard = -1,
                                  .lookup = -1,
                                  .in = {-1, -1, -1}});
}

static inline int constant(Bench *bench, Elem elem, double number) {
    return add_expr(bench, (Expr){.kind = X_CONST,
                                  .elem = elem,
                                  .number = number,
                                  .gather = -1,
                                  .guard = -1,
                                  .lookup = -1,
                                  .in = {-1, -1, -1}});
}

static inline int op(Bench *bench, Op kind, Elem elem, int a, int b, int c) {
    return add_expr(bench, (Expr){.kind = X_OP,
                                  .op = kind,
                                  .elem = elem,
                                  .in = {a, b, c},
                                  .gather = -1,
                                  .guard = -1,
                                  .lookup = -1});
}

/* A product that goes unrounded into the sum that uses it. */
static inline int product(Bench *bench, Elem elem, int a, int b) {
    return add_expr(bench, (Expr){.kind = X_OP,
                                  .op = OP_MUL,
                                  .elem = elem,
                                  .index = 1,
                                  .in = {a, b, -1},
                                  .gather = -1,
                                  .guard = -1,
                                  .lookup = -1});
}

static inline int result(Bench *bench, Elem elem, uint32_t stage, uint32_t word) {
    return add_expr(bench, (Expr){.kind = X_RESULT,
                                  .elem = elem,
                                  .index = stage,
                                  .word = word,
                                  .in = {-1, -1, -1},
                                  .gather = -1,
                                  .guard = -1,
                                  .lookup = -1});
}

static inline Stage *add_stage(Bench *bench, uint32_t inner, int vector_axis, uint32_t unroll) {
    vec_push(bench->arena, &bench->kernel->stages,
             (Stage){.inner = inner, .vector_axis = vector_axis, .unroll = unroll});
    return &bench->kernel->stages.at[bench->kernel->stages.count - 1];
}

static inline void add_store(Bench *bench, Stage *stage, Buffer *buffer, Affine at, int value) {
    vec_push(bench->arena, &stage->stores, (Store){buffer, at, value});
}

static inline void add_reduction(Bench *bench, Stage *stage, Op kind, int value) {
    vec_push(bench->arena, &stage->reductions, (Reduction){kind, value});
}

static inline LlvmTarget make_target(const char *cpu, Arena *arena) {
    LlvmTarget target = {.cpu = cpu};
    const char *problem = llvm_target(&target, arena);
    if (problem) {
        fprintf(stderr, "%s\n", problem);
        exit(1);
    }
    return target;
}

/* May code for this CPU run here? */
static inline bool cpu_runs(const char *cpu, Arena *arena) {
    LlvmTarget here = make_target("native", arena), wanted = make_target(cpu, arena);
    return wanted.shape.vector_bytes <= here.shape.vector_bytes &&
           wanted.shape.fma <= here.shape.fma;
}

/* Code of any type: cast to the function's own type before it is called. */
typedef void (*Code)(void);

static inline void run_command(const char *format, const char *a, const char *b, const char *c) {
    char command[1024];
    snprintf(command, sizeof command, format, a, b, c);
    if (!system(command)) return;
    fprintf(stderr, "failed: %s\n", command);
    exit(1);
}

/* Links objects as a shared library in `directory` and loads it; what its function `entry` returns.
 */
static inline Code load_library(const char *directory) {
    char library[256];
    snprintf(library, sizeof library, "%s/kernel.so", directory);
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    void *symbol = handle ? dlsym(handle, "entry") : NULL;
    if (!symbol) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    Code (*entry)(void);
    memcpy(&entry, &symbol, sizeof symbol); /* POSIX's way from data to code */
    return entry();
}

/* Compiles items for a CPU; the code of the first. A stub hands it out, since kernels are hidden
 * symbols. */
static inline Code compile_items(const LlvmItem *items, uint32_t count, const char *cpu,
                                 Arena *arena) {
    LlvmTarget target = make_target(cpu, arena);
    char directory[] = "/tmp/tune_emit_XXXXXX", object[64];
    if (!mkdtemp(directory)) exit(1);
    snprintf(object, sizeof object, "%s/kernel.o", directory);
    const char *problem = llvm_compile(items, count, &target, LLVM_OBJECT, object, NULL, arena);
    if (problem) {
        fprintf(stderr, "%s\n", problem);
        exit(1);
    }
    run_command("echo 'void %s(void); typedef void (*Code)(void); Code entry(void); "
                "Code entry(void) { return %s; }' >%s/stub.c",
                items->symbol, items->symbol, directory);
    run_command("cc -shared -fPIC -o %s/kernel.so %s/stub.c %s/kernel.o -lm", directory, directory,
                directory);
    Code code = load_library(directory);
    run_command("rm -r %s%s%s", directory, "", "");
    return code;
}

static inline Code compile_kernel(const Bench *bench) {
    LlvmItem item = {.kernel = bench->kernel, .symbol = "kernel"};
    return compile_items(&item, 1, bench->cpu, bench->arena);
}

/* Random numbers of the tests: xorshift, so that every run is the same. */
static inline uint32_t test_random(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static inline float test_real(uint32_t *state) {
    return (float)(int32_t)test_random(state) / 2147483648.0f;
}

/* Units in the last place of f32 between a result and the exact value. */
static inline double f32_ulps(float got, double want) {
    if (isnan(want)) return isnan(got) ? 0 : INFINITY;
    float nearest = (float)want;
    if (isinf(nearest) || isinf(got)) return nearest == got ? 0 : INFINITY;
    int exponent;
    frexp(want, &exponent);
    double unit = ldexp(1, exponent - 24 < -149 ? -149 : exponent - 24);
    return fabs((double)got - want) / unit;
}

#endif
