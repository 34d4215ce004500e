/* Every operation on every element type, over special and over random numbers: CUDA C on the
 * virtual GPU gives the bits of the machine code for this CPU (tests/unit and tests/numeric hold
 * that against references). Where a library computes, CUDA's f64 functions and libm's, the results
 * are a few roundings apart at most. */
#include "compiler/kernel/schedule.h"
#include "tests/numeric/graph_case.h"
#include "tests/numeric/random_graph.h"
#include "tests/unit/emit_support.h"
#include "tests/vgpu/numeric/kernel_run.h"

enum { RESULTS = 10, SPECIAL = 40, RANDOM = 6000, COUNT = SPECIAL * SPECIAL + RANDOM };

typedef enum { PLAIN, PLUS_PRODUCT, MINUS_PRODUCT, PRODUCT_MINUS, WITH_NUMBER } Form;

typedef struct {
    Op op;
    Elem to;
    Form form;
} Operation;
typedef Vec(Operation) OperationList;

/* One kernel of up to RESULTS operations on x and y. */
typedef struct {
    Elem elem;
    Bench bench;
    Operation operations[RESULTS];
    Buffer *inputs[2], *results[RESULTS];
    uint32_t count;
    int64_t scratch_bytes, trial_bytes;
} Case;
typedef Vec(Case) CaseList;

/* ---- which operations ---- */

static void add_plain(Arena *arena, OperationList *list, const Op *ops, uint32_t count, Elem to) {
    for (uint32_t i = 0; i < count; i++) vec_push(arena, list, (Operation){ops[i], to, PLAIN});
}

#define ADD_PLAIN(to, ...)                                                                         \
    add_plain(arena, &list, (const Op[]){__VA_ARGS__},                                             \
              sizeof((const Op[]){__VA_ARGS__}) / sizeof(Op), to)

static OperationList operations_of(Elem elem, Arena *arena) {
    OperationList list = {0};
    for (Elem to = E_BOOL; to <= E_F64; to++)
        vec_push(arena, &list, (Operation){OP_CAST, to, PLAIN});
    ADD_PLAIN(E_BOOL, OP_LT, OP_LE, OP_EQ);
    ADD_PLAIN(elem, OP_MAX, OP_MIN, OP_SELECT);
    vec_push(arena, &list, (Operation){OP_MAX, elem, WITH_NUMBER});
    vec_push(arena, &list, (Operation){OP_MIN, elem, WITH_NUMBER});
    if (elem == E_BOOL) {
        ADD_PLAIN(E_BOOL, OP_AND, OP_OR, OP_NOT);
        return list;
    }
    ADD_PLAIN(elem, OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_MOD, OP_NEG, OP_ABS, OP_FLOOR);
    if (elem == E_U32) ADD_PLAIN(elem, OP_SHR);
    if (elem == E_F32) ADD_PLAIN(elem, OP_ROUND);
    if (!elem_is_real(elem)) return list;
    ADD_PLAIN(elem, OP_SQRT, OP_EXP, OP_LOG, OP_SIN, OP_COS, OP_TANH, OP_ERF, OP_POW);
    for (Form form = PLUS_PRODUCT; form <= PRODUCT_MINUS; form++)
        vec_push(arena, &list, (Operation){form == PLUS_PRODUCT ? OP_ADD : OP_SUB, elem, form});
    return list;
}

static int build(Bench *bench, const Operation *o, Elem elem, int x, int y) {
    int arity = op_info[o->op].arity, fused = -1;
    if (o->form == WITH_NUMBER) return op(bench, o->op, elem, x, constant(bench, elem, 1), -1);
    if (o->form != PLAIN) fused = product(bench, elem, x, y);
    if (o->form == PRODUCT_MINUS) return op(bench, o->op, elem, fused, y, -1);
    if (o->form != PLAIN) return op(bench, o->op, elem, y, fused, -1);
    if (o->op == OP_SELECT) return op(bench, o->op, elem, op(bench, OP_LT, E_BOOL, x, y, -1), y, x);
    int value = op(bench, o->op, o->to, x, arity > 1 ? y : -1, -1);
    if (o->op == OP_SHR || o->op == OP_ROUND) bench->kernel->exprs.at[value].index = 8;
    return value;
}

/* ---- kernels ---- */

static int64_t place(Buffer *buffer, Space space, int64_t *bytes) {
    buffer->space = space;
    buffer->offset = *bytes;
    return *bytes += (buffer->count * elem_bytes(buffer->elem) + 63) / 64 * 64;
}

static Case make_case(Elem elem, const Operation *operations, uint32_t count) {
    Case c = {.elem = elem, .bench = bench_new("operations_of_a_type", 1), .count = count};
    Bench *bench = &c.bench;
    uint32_t i = add_axis(bench, "i", COUNT);
    int loads[2];
    for (uint32_t in = 0; in < 2; in++) {
        c.inputs[in] = add_buffer(bench, in ? "y" : "x", elem, COUNT);
        place(c.inputs[in], SPACE_TRIAL, &c.trial_bytes);
        loads[in] = load(bench, c.inputs[in], affine(0, i, 1, -1));
    }
    Stage *stage = add_stage(bench, 1u << i, -1, 1);
    for (uint32_t r = 0; r < count; r++) {
        const char *name = arena_printf(bench->arena, "%s%u", op_info[operations[r].op].text, r);
        c.operations[r] = operations[r];
        c.results[r] = add_buffer(bench, name, operations[r].to, COUNT);
        place(c.results[r], SPACE_SCRATCH, &c.scratch_bytes);
        int value = build(bench, &operations[r], elem, loads[0], loads[1]);
        add_store(bench, stage, c.results[r], affine(0, i, 1, -1), value);
    }
    return c;
}

static void make_cases(CaseList *cases, Arena *arena) {
    for (Elem elem = E_BOOL; elem <= E_F64; elem++) {
        OperationList list = operations_of(elem, arena);
        for (uint32_t from = 0; from < list.count; from += RESULTS) {
            uint32_t left = list.count - from;
            Case c = make_case(elem, &list.at[from], left < RESULTS ? left : RESULTS);
            vec_push(arena, cases, c);
        }
    }
}

/* ---- inputs ---- */

static const double specials[SPECIAL] = {
    0,          -0.0,     1,          -1,         2,           -2,          3,
    -3,         7,        -8,         0.5,        -0.5,        2.5,         -2.5,
    255,        255.5,    256,        1e-45,      -1e-45,      1e-40,       1.1754943508222875e-38,
    0.625,      0.921875, 10.5,       88.7,       89.5,        -103.9,      -104.5,
    1e10,       -1e10,    2147483647, 2147483648, -2147483648, -2147483649, 4294967295,
    4294967296, 3.4e38,   1e300,      INFINITY,   NAN};

static uint64_t random_bits(Rng *rng) {
    return (uint64_t)rng_below(rng, UINT32_MAX) << 32 | rng_below(rng, UINT32_MAX);
}

/* Of real types half of the random numbers have any bits, half are small. */
static void put(Elem elem, void *base, int64_t at, double number, Rng *rng) {
    uint64_t bits = random_bits(rng);
    bool any = bits & 1, special = !isinf(number) || number > 0;
    double small = rng_real(rng, -12, 12);
    if (!special) number = small;
    switch (elem) {
    case E_BOOL: ((uint8_t *)base)[at] = special ? number > 0 : any; break;
    case E_U8: ((uint8_t *)base)[at] = (uint8_t)((uint8_t)bits >> (special ? 5 : 0)); break;
    case E_I32:
    case E_U32:
        bits >>= 32;
        if (special) bits = number < 1e9 && number > -1e9 ? (uint32_t)(int32_t)number : 1u << 31;
        ((uint32_t *)base)[at] = (uint32_t)bits;
        break;
    case E_F32:
        ((float *)base)[at] = (float)number;
        if (!special && any) memcpy((float *)base + at, &bits, sizeof(float));
        break;
    case E_F64:
        ((double *)base)[at] = number;
        if (!special && any) memcpy((double *)base + at, &bits, sizeof(double));
        break;
    }
}

static void fill(const Case *c, char *block) {
    Rng rng = {.state = c->elem};
    for (int64_t i = 0; i < COUNT; i++) {
        bool pair = i < SPECIAL * SPECIAL;
        put(c->elem, block + c->inputs[0]->offset, i, pair ? specials[i / SPECIAL] : -INFINITY,
            &rng);
        put(c->elem, block + c->inputs[1]->offset, i, pair ? specials[i % SPECIAL] : -INFINITY,
            &rng);
    }
}

/* ---- comparing ---- */

/* Does a library compute it, here or there? */
static bool is_library(const Operation *o) {
    return o->op == OP_POW || (o->to == E_F64 && op_is_function(o->op));
}

static bool agrees(const Operation *o, double cpu, double gpu) {
    if (isnan(cpu) || isnan(gpu)) return isnan(cpu) && isnan(gpu);
    if (cpu == gpu) return signbit(cpu) == signbit(gpu) || is_library(o);
    double rounding = o->to == E_F64 ? 0x1p-52 : 0x1p-23;
    double least = o->to == E_F64 ? 0x1p-1070 : 0x1p-149;
    return is_library(o) && fabs(cpu - gpu) <= 4 * rounding * fabs(cpu) + least;
}

static bool compare(const Case *c, const char *block, const char *cpu, const char *gpu) {
    for (uint32_t r = 0; r < c->count; r++) {
        const Operation *o = &c->operations[r];
        int64_t at = c->results[r]->offset;
        for (int64_t i = 0; i < COUNT; i++) {
            double wanted = case_load(o->to, cpu + at, i), found = case_load(o->to, gpu + at, i);
            if (agrees(o, wanted, found)) continue;
            printf("FAILED: %s of %s, %.17g and %.17g, to %s: %.17g, the CPU's is %.17g\n",
                   op_info[o->op].text, elem_name(c->elem),
                   case_load(c->elem, block + c->inputs[0]->offset, i),
                   case_load(c->elem, block + c->inputs[1]->offset, i), elem_name(o->to), found,
                   wanted);
            return false;
        }
    }
    return true;
}

/* ---- running ---- */

/* More arguments than the function has do no harm. */
static void run_cpu(const Case *c, char *block, char *scratch) {
    typedef void Function(void *, void *, void *, void *, void *, void *, void *, void *, void *,
                          void *, void *, void *);
    Function *function = (Function *)compile_kernel(&c->bench);
    void *p[RESULTS] = {0};
    for (uint32_t r = 0; r < c->count; r++) p[r] = scratch + c->results[r]->offset;
    function(block + c->inputs[0]->offset, block + c->inputs[1]->offset, p[0], p[1], p[2], p[3],
             p[4], p[5], p[6], p[7], p[8], p[9]);
}

static bool check(const Case *c, const RunKernel *kernel, Device *device) {
    RunSizes sizes = {.trials = 1};
    sizes.bytes[SPACE_TRIAL] = (uint64_t)c->trial_bytes;
    sizes.bytes[SPACE_SCRATCH] = (uint64_t)c->scratch_bytes;
    RunMemory memory = run_memory(device, &sizes);
    char *block = calloc(1, (size_t)c->trial_bytes);
    char *cpu = calloc(1, (size_t)c->scratch_bytes), *gpu = calloc(1, (size_t)c->scratch_bytes);
    fill(c, block);
    run_cpu(c, block, cpu);
    bool passed = run_write(&memory, SPACE_TRIAL, 0, block) &&
                  run_launch(kernel, &memory, true, c->elem) &&
                  run_read(&memory, SPACE_SCRATCH, 0, gpu) && compare(c, block, cpu, gpu);
    if (!passed) printf("%s", kernel->cuda);
    run_memory_release(&memory);
    free(block);
    free(cpu);
    free(gpu);
    return passed;
}

static bool check_all(const CaseList *cases, Nvrtc *nvrtc, Arena *arena) {
    Device *device = device_new();
    RunKernel *kernels = arena_alloc(arena, cases->count * sizeof *kernels);
    StepProgram program = {.name = "operations"};
    bool passed = true;
    for (uint32_t i = 0; i < cases->count; i++)
        vec_push(arena, &program.kernels, cases->at[i].bench.kernel);
    schedule_cuda(&program, arena);
    for (uint32_t i = 0; i < cases->count; i++) {
        const char *problem = kernel_verify(program.kernels.at[i], arena);
        if (problem) printf("FAILED: %s\n", problem);
        passed = passed && !problem;
        kernels[i].kernel = program.kernels.at[i];
    }
    bool compiled = passed = passed && run_compile(nvrtc, device, kernels, cases->count);
    for (uint32_t i = 0; i < cases->count && compiled; i++)
        passed = check(&cases->at[i], &kernels[i], device) && passed;
    run_release(kernels, cases->count);
    device_free(device);
    return passed;
}

int main(void) {
    Arena *arena = arena_new();
    const char *problem;
    Nvrtc *nvrtc = nvrtc_open(arena, &problem);
    if (!nvrtc) printf("skipped: %s\n", problem);
    bool fma = make_target("native", arena).shape.fma;
    if (!fma) printf("skipped: this CPU has no fused multiply-add\n");
    if (!nvrtc || !fma) return SKIPPED;
    CaseList cases = {0};
    make_cases(&cases, arena);
    bool passed = check_all(&cases, nvrtc, arena);
    printf("%u kernels, %d numbers each\n", cases.count, COUNT);
    for (uint32_t i = 0; i < cases.count; i++) arena_free(cases.at[i].bench.arena);
    nvrtc_close(nvrtc);
    arena_free(arena);
    return !passed;
}
