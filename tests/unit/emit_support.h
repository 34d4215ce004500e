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
    kernel->axes[kernel->axis_count] = (Axis){name, extent};
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
                                  .in = {-1, -1, -1}});
}

static inline int constant(Bench *bench, Elem elem, double number) {
    return add_expr(bench, (Expr){.kind = X_CONST,
                                  .elem = elem,
                                  .number = number,
                                  .gather = -1,
                                  .guard = -1,
                                  .in = {-1, -1, -1}});
}

static inline int op(Bench *bench, Op kind, Elem elem, int a, int b, int c) {
    return add_expr(
        bench,
        (Expr){.kind = X_OP, .op = kind, .elem = elem, .in = {a, b, c}, .gather = -1, .guard = -1});
}

static inline int result(Bench *bench, Elem elem, uint32_t stage, uint32_t word) {
    return add_expr(bench, (Expr){.kind = X_RESULT,
                                  .elem = elem,
                                  .index = stage,
                                  .word = word,
                                  .in = {-1, -1, -1},
                                  .gather = -1,
                                  .guard = -1});
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

/* Links an object as a shared library; the symbol in it. The file is gone afterwards. */
static inline void *load_object(const char *object, const char *symbol) {
    char library[64], command[256];
    snprintf(library, sizeof library, "%s.so", object);
    snprintf(command, sizeof command, "cc -shared -o %s %s -lm", library, object);
    if (system(command)) exit(1);
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    unlink(library);
    unlink(object);
    return dlsym(handle, symbol);
}

/* Compiles items and a stub that exports the first: kernels themselves are hidden. */
static inline void *compile_items(const LlvmItem *items, uint32_t count, const char *cpu,
                                  Arena *arena) {
    LlvmTarget target = make_target(cpu, arena);
    char object[] = "/tmp/emitXXXXXX", stub[64], command[512];
    int file = mkstemp(object);
    if (file < 0) exit(1);
    close(file);
    const char *problem =
        llvm_compile(items, count, &target, NULL, LLVM_OBJECT, object, NULL, arena);
    if (problem) {
        fprintf(stderr, "%s\n", problem);
        exit(1);
    }
    snprintf(stub, sizeof stub, "%s.stub.o", object);
    snprintf(command, sizeof command,
             "echo 'void %s(void); void *entry(void); void *entry(void) { return (void *)%s; }' | "
             "cc -fPIC -w -x c -c - -o %s && ld -r %s %s -o %s.all",
             items->symbol, items->symbol, stub, object, stub, object);
    if (system(command)) exit(1);
    unlink(stub);
    snprintf(command, sizeof command, "%s.all", object);
    unlink(object);
    void *(*entry)(void) = (void *(*)(void))load_object(command, "entry");
    return entry();
}

static inline void *compile_kernel(const Bench *bench) {
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
