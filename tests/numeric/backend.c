/* Random graphs through simplify, fuse, schedule, plan and LLVM, run, and compared with the
 * reference evaluator.
 *
 * Each graph is compiled twice, fused and one kernel per op: the results are the same bits. They
 * agree with the reference as well as the graph allows: the evaluator runs with all its roundings
 * made larger, and the results may be as far away as those runs are, no further. All graphs are one
 * shared object. */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "compiler/emit/emit_llvm.h"
#include "runtime/program.h"
#include "tests/numeric/evaluate.h"
#include "tests/numeric/random_graph.h"

enum { GRAPHS = 48, MOST_OUTPUTS = 8, GUARD = 256, NOISY_RUNS = 4, HYPERS = 2 };

typedef struct {
    uint64_t seed;
    uint32_t number; /* among the cases */
    Graph *graph;
    int64_t batch;
    TrialLayout layout;
    StepProgram *steps[2]; /* fused, unfused */
    char *entry[2];
} Case;

typedef Vec(LlvmItem) ItemList;

/* ---- inputs: the same numbers for the reference and in memory ---- */

static double element(const GNode *node, int64_t row, int64_t at) {
    Rng rng = {.state = ((uint64_t)node->op << 48) + ((uint64_t)node->index << 32) +
                        (uint64_t)(row * 7919 + at)};
    double value = rng_real(&rng, -2, 2);
    return node->type.elem == E_F32 ? (double)(float)value : value;
}

/* Which example row i of the batch is. */
static int32_t example(const Case *c, int64_t row) {
    return (int32_t)((row * 5 + 2) % c->batch);
}

/* All parameters as one vector: the same numbers as one by one. */
static void flat_param_values(const Case *c, double *values) {
    for (uint32_t n = 0; n < c->graph->nodes.count; n++) {
        const GNode *node = c->graph->nodes.at[n];
        for (int64_t i = 0; node->op == OP_PARAM && i < type_count(&node->type); i++)
            values[node->offset + i] = element(node, 0, i);
    }
}

static void leaf_values(void *user, const GNode *node, double *values) {
    const Case *c = user;
    if (node->op == OP_FLAT_PARAM) {
        flat_param_values(c, values);
        return;
    }
    int64_t count = type_count(&node->type), row_count = node->batched ? count / c->batch : count;
    for (int64_t i = 0; i < count; i++) {
        int64_t row = node->op == OP_FIELD ? example(c, i / row_count) : 0;
        values[i] = element(node, row, i % row_count);
    }
}

static void store(Elem elem, void *base, int64_t at, double value) {
    if (elem == E_F32)
        ((float *)base)[at] = (float)value;
    else
        ((double *)base)[at] = value;
}

static double load(Elem elem, const void *base, int64_t at) {
    switch (elem) {
    case E_BOOL:
    case E_U8: return ((const uint8_t *)base)[at];
    case E_I32: return ((const int32_t *)base)[at];
    case E_U32: return ((const uint32_t *)base)[at];
    case E_F32: return (double)((const float *)base)[at];
    case E_F64: return ((const double *)base)[at];
    }
    return 0;
}

/* ---- compiling ---- */

static void place_params(Case *c) {
    int64_t count = 0;
    for (uint32_t i = 0; i < c->graph->nodes.count; i++) {
        GNode *node = c->graph->nodes.at[i];
        if (node->op != OP_PARAM) continue;
        node->offset = count;
        count += type_count(&node->type);
    }
    c->layout = trial_layout(HYPERS, count, STATES, c->graph->real);
}

static int64_t batch_of(const Graph *graph) {
    for (uint32_t i = 0; i < graph->nodes.count; i++)
        if (graph->nodes.at[i]->op == OP_FIELD) return graph->nodes.at[i]->type.dims[0].size;
    return 1;
}

static bool complain(const Case *c, const char *what, const char *problem) {
    Text text = {0};
    graph_print(c->graph, NULL, &text);
    printf("FAILED: seed %llu, %s: %s\n%s", (unsigned long long)c->seed, what, problem, text.at);
    text_release(&text);
    return false;
}

static bool to_kernels(Case *c, int form, const LlvmTarget *target, ItemList *items, Arena *arena) {
    StepProgram *steps = c->steps[form] =
        fuse(simplify(c->graph, arena), &c->layout, form == 0, arena);
    schedule_cpu(steps, &target->shape, arena);
    plan(steps, arena);
    const char *problem = plan_verify(steps, arena);
    const char **symbols = arena_alloc(arena, (steps->kernels.count + 1) * sizeof *symbols);
    for (uint32_t k = 0; k < steps->kernels.count && !problem; k++) {
        problem = kernel_verify(steps->kernels.at[k], arena);
        symbols[k] = arena_printf(arena, "kernel_%llu_%d_%u", (unsigned long long)c->seed, form, k);
        vec_push(arena, items, (LlvmItem){.kernel = steps->kernels.at[k], .symbol = symbols[k]});
    }
    if (problem) return complain(c, form ? "unfused" : "fused", problem);
    c->entry[form] = arena_printf(arena, "entry_%llu_%d", (unsigned long long)c->seed, form);
    vec_push(arena, items,
             (LlvmItem){.program = steps, .symbol = c->entry[form], .kernel_symbols = symbols});
    return true;
}

/* The entries are hidden, as in a program: a table in C makes them known. */
static bool write_table(const char *path, const ItemList *items) {
    FILE *file = fopen(path, "w");
    if (!file) return false;
    for (uint32_t i = 0; i < items->count; i++)
        if (items->at[i].program) fprintf(file, "void %s(const void *);\n", items->at[i].symbol);
    fprintf(file, "void (*const entries[])(const void *) = {\n");
    for (uint32_t i = 0; i < items->count; i++)
        if (items->at[i].program) fprintf(file, "    %s,\n", items->at[i].symbol);
    fprintf(file, "};\n");
    return fclose(file) == 0;
}

/* Compiles all items and loads them; NULL after a message. */
static void *load_items(const ItemList *items, const LlvmTarget *target, Arena *arena) {
    char folder[] = "/tmp/tune-backend-XXXXXX";
    if (!mkdtemp(folder)) return NULL;
    char *object = arena_printf(arena, "%s/graphs.o", folder);
    char *table = arena_printf(arena, "%s/entries.c", folder);
    char *shared = arena_printf(arena, "%s/graphs.so", folder);
    const char *problem =
        llvm_compile(items->at, items->count, target, LLVM_OBJECT, object, NULL, arena);
    if (!problem && !write_table(table, items)) problem = "cannot write the table of entries";
    char *link = arena_printf(arena, "cc -shared -fPIC -o %s %s %s -lm", shared, table, object);
    if (!problem && system(link)) problem = "cc -shared failed";
    void *library = problem ? NULL : dlopen(shared, RTLD_NOW);
    if (!library) printf("FAILED: %s\n", problem ? problem : dlerror());
    unlink(object);
    unlink(table);
    unlink(shared);
    rmdir(folder);
    return library;
}

/* ---- running ---- */

static char *guarded(int64_t bytes, int fill) {
    size_t all = (size_t)(bytes + GUARD + 63) / 64 * 64;
    char *memory = aligned_alloc(64, all);
    memset(memory, fill, (size_t)bytes);
    memset(memory + bytes, 0xA5, all - (size_t)bytes);
    return memory;
}

static bool guard_holds(const char *memory, int64_t bytes) {
    for (int64_t i = bytes; i < bytes + GUARD; i++)
        if ((unsigned char)memory[i] != 0xA5) return false;
    return true;
}

static int64_t bytes_of(const Type *type) {
    return type_count(type) * elem_bytes(type->elem);
}

static void fill_inputs(const Case *c, char *trial, void **fields) {
    TuneTrialHeader *header = (TuneTrialHeader *)trial;
    *header = (TuneTrialHeader){.step = 3, .key = {17, 4}};
    for (uint32_t n = 0; n < c->graph->nodes.count; n++) {
        const GNode *node = c->graph->nodes.at[n];
        int64_t count = type_count(&node->type),
                row_count = node->batched ? count / c->batch : count;
        Elem elem = node->type.elem;
        if (node->op == OP_HYPER)
            ((double *)(trial + c->layout.hypers))[node->index] = element(node, 0, 0);
        if (node->op == OP_FIELD) fields[node->index] = guarded(bytes_of(&node->type), 0);
        char *base = node->op == OP_FIELD   ? fields[node->index]
                     : node->op == OP_PARAM ? trial + c->layout.params
                     : node->op == OP_STATE ? trial + c->layout.states[node->index]
                                            : NULL;
        for (int64_t i = 0; i < count && base; i++)
            store(elem, base, node->offset + i, element(node, i / row_count, i % row_count));
    }
}

/* Where an output ends up, and as what. */
static const void *output_at(const Case *c, const Output *output, const char *trial,
                             void *const *fields, Elem *elem) {
    *elem = output->value->type.elem;
    switch (output->kind) {
    case OUT_PARAM: return trial + c->layout.params;
    case OUT_STATE: return trial + c->layout.states[output->index];
    case OUT_LOSS: *elem = E_F64; return trial + HEADER_LOSS;
    case OUT_GRAD_NORM: *elem = E_F64; return trial + HEADER_GRAD_NORM;
    default: return fields[output->index];
    }
}

/* Runs one form; the outputs as doubles go to values[output][element]. */
static bool run(const Case *c, int form, void *library, double **values) {
    TuneEntry entry = ((const TuneEntry *)dlsym(library, "entries"))[2 * c->number + form];
    void *fields[FIRST_OUTPUT + MOST_OUTPUTS] = {0};
    char *trial = guarded(c->layout.bytes, 0),
         *scratch = guarded(c->steps[form]->scratch_bytes, 0xFF);
    int32_t index[8];
    for (int64_t i = 0; i < c->batch; i++) index[i] = example(c, i);
    fill_inputs(c, trial, fields);
    const OutputList *outputs = &c->graph->outputs;
    for (uint32_t i = 0; i < outputs->count; i++)
        if (outputs->at[i].kind == OUT_FIELD)
            fields[outputs->at[i].index] = guarded(bytes_of(&outputs->at[i].value->type), 0xFF);
    entry(&(TuneContext){.trial = trial, .scratch = scratch, .fields = fields, .index = index});
    bool inside =
        guard_holds(trial, c->layout.bytes) && guard_holds(scratch, c->steps[form]->scratch_bytes);
    for (uint32_t i = 0; i < outputs->count; i++) {
        const Type *type = &outputs->at[i].value->type;
        Elem elem;
        const void *memory = output_at(c, &outputs->at[i], trial, fields, &elem);
        if (outputs->at[i].kind == OUT_FIELD)
            inside = inside && guard_holds(memory, bytes_of(type));
        for (int64_t e = 0; e < type_count(type); e++) values[i][e] = load(elem, memory, e);
    }
    for (uint32_t i = 0; i < FIRST_OUTPUT + MOST_OUTPUTS; i++) free(fields[i]);
    free(trial);
    free(scratch);
    return inside || complain(c, c->entry[form], "wrote outside its memory");
}

/* ---- comparing ---- */

typedef struct {
    int64_t compared, undefined;
} Count;

static int64_t summed_terms(const GNode *node) {
    int64_t terms = 1;
    const Type *a = &node->in[0]->type;
    for (uint32_t i = 0; i < a->rank; i++) {
        bool summed =
            node->op == OP_SUM ? node->axes >> i & 1 : !strchr(node->einsum.out, node->einsum.a[i]);
        if (summed) terms *= a->dims[i].size;
    }
    return terms;
}

/* Roundings that noise does not show, in units of the last place: a sum of n equal terms errs by up
 * to (n - 1) / 2 to one side (Higham, Accuracy and Stability, section 4.2), where noise of either
 * sign averages out. */
static double unseen_roundings(const Graph *graph) {
    double roundings = 4;
    for (uint32_t i = 0; i < graph->nodes.count; i++) {
        const GNode *node = graph->nodes.at[i];
        if (node->op == OP_SUM || node->op == OP_CONTRACT)
            roundings += (double)(summed_terms(node) - 1) / 2;
    }
    return fmin(roundings, 32);
}

/* expected[0] is exact, the others are noisy. */
static bool close_enough(double found, const double *const *expected, int64_t at, Elem elem,
                         double roundings, Count *count) {
    double exact = expected[0][at], spread = 0;
    for (int run_at = 1; run_at <= NOISY_RUNS; run_at++)
        spread = fmax(spread, fabs(expected[run_at][at] - exact));
    if (!isfinite(exact) || !isfinite(spread)) { /* beyond the numbers anything goes */
        count->undefined++;
        return true;
    }
    count->compared++;
    double epsilon = elem == E_F32 ? 0x1p-23 : elem == E_F64 ? 0x1p-52 : 0;
    return fabs(found - exact) <= 2 * spread + roundings * epsilon * fabs(exact);
}

static bool compare(const Case *c, double **fused, double **unfused, Count *count, Arena *arena) {
    Inputs inputs = {.leaf = leaf_values, .user = (void *)c, .key = {17, 4}, .step = 3};
    double **runs[1 + NOISY_RUNS], roundings = unseen_roundings(c->graph);
    for (uint32_t i = 0; i <= NOISY_RUNS; i++) {
        inputs.noise = i == 0 ? 0 : c->graph->real == E_F32 ? 0x1p-20 : 0x1p-49;
        inputs.noise_seed = i;
        runs[i] = evaluate(c->graph, &inputs, arena);
    }
    for (uint32_t o = 0; o < c->graph->outputs.count; o++) {
        const GNode *node = c->graph->outputs.at[o].value;
        const double *expected[1 + NOISY_RUNS];
        for (uint32_t i = 0; i <= NOISY_RUNS; i++) expected[i] = runs[i][node->id];
        for (int64_t e = 0; e < type_count(&node->type); e++) {
            double a = fused[o][e], b = unfused[o][e];
            if (memcmp(&a, &b, sizeof a) && !(isnan(a) && isnan(b)))
                return complain(
                    c, "fused and unfused differ",
                    arena_printf(arena, "output %u[%lld]: %.17g, %.17g", o, (long long)e, a, b));
            if (!close_enough(a, expected, e, node->type.elem, roundings, count))
                return complain(c, "differs from the reference",
                                arena_printf(arena, "output %u[%lld]: %.17g, expected %.17g", o,
                                             (long long)e, a, expected[0][e]));
        }
    }
    return true;
}

static bool check(const Case *c, void *library, Count *count) {
    Arena *arena = arena_new();
    double *values[2][MOST_OUTPUTS];
    bool passed = true;
    for (int form = 0; form < 2 && passed; form++) {
        for (uint32_t i = 0; i < c->graph->outputs.count; i++)
            values[form][i] = arena_alloc(
                arena, (size_t)type_count(&c->graph->outputs.at[i].value->type) * sizeof(double));
        passed = run(c, form, library, values[form]);
    }
    passed = passed && compare(c, values[0], values[1], count, arena);
    arena_free(arena);
    return passed;
}

/* numeric_backend [FIRST-SEED [GRAPHS]] */
int main(int argc, char **argv) {
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint32_t graphs = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : GRAPHS;
    Arena *arena = arena_new();
    LlvmTarget target = {.cpu = "native"};
    const char *problem = llvm_target(&target, arena);
    if (problem) printf("FAILED: %s\n", problem);
    if (problem) return 1;
    Case *cases = arena_alloc(arena, graphs * sizeof *cases);
    ItemList items = {0};
    bool passed = true;
    for (uint32_t i = 0; i < graphs && passed; i++) {
        Rng rng = {.state = first + i};
        Elem real = (first + i) % 2 ? E_F32 : E_F64;
        uint32_t ops = 5 + (uint32_t)((first + i) % 40);
        Graph *graph = (first + i) % 3 ? random_step(&rng, real, ops, arena)
                                       : random_graph(&rng, real, ops, arena);
        cases[i] = (Case){.seed = first + i, .number = i, .graph = graph, .batch = batch_of(graph)};
        place_params(&cases[i]);
        for (int form = 0; form < 2 && passed; form++)
            passed = to_kernels(&cases[i], form, &target, &items, arena);
    }
    void *library = passed ? load_items(&items, &target, arena) : NULL;
    Count count = {0, 0};
    passed = passed && library;
    for (uint32_t i = 0; i < graphs && library; i++)
        passed = check(&cases[i], library, &count) && passed;
    printf("%u graphs, %u functions, %lld numbers compared, %lld not finite\n", graphs, items.count,
           (long long)count.compared, (long long)count.undefined);
    if (library) dlclose(library);
    arena_free(arena);
    return !passed;
}
