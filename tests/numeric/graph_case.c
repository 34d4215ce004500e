/* Random graphs as tests of a back end: inputs and comparison, the same for every target. */
#include "tests/numeric/graph_case.h"

#include <math.h>
#include <stdio.h>

#include "runtime/program.h"
#include "tests/numeric/attention_graph.h"
#include "tests/numeric/evaluate.h"
#include "tests/numeric/long_graph.h"

enum { NOISY_RUNS = 4, HYPERS = 2, STEP = 3 };

/* ---- inputs: the same numbers for the reference and in memory ---- */

static double element(const GNode *node, uint32_t trial, int64_t row, int64_t at) {
    uint64_t own = node->op == OP_FIELD ? 0 : trial * UINT64_C(0x9e3779b97f4a7c15);
    Rng rng = {.state = own + ((uint64_t)node->op << 48) + ((uint64_t)node->index << 32) +
                        (uint64_t)(row * 7919 + at)};
    double value = rng_real(&rng, -2, 2);
    return node->type.elem == E_F32 ? (double)(float)value : value;
}

int32_t case_example(const GraphCase *c, int64_t row) {
    return (int32_t)((row * 5 + 2) % c->batch);
}

static void key_of(uint32_t trial, uint32_t key[2]) {
    key[0] = 17 + trial;
    key[1] = 4;
}

/* All parameters as one vector: the same numbers as one by one. */
static void flat_param_values(const GraphCase *c, uint32_t trial, double *values) {
    for (uint32_t n = 0; n < c->graph->nodes.count; n++) {
        const GNode *node = c->graph->nodes.at[n];
        for (int64_t i = 0; node->op == OP_PARAM && i < type_count(&node->type); i++)
            values[node->offset + i] = element(node, trial, 0, i);
    }
}

typedef struct {
    const GraphCase *c;
    uint32_t trial;
} Leaves;

static void leaf_values(void *user, const GNode *node, double *values) {
    const Leaves *leaves = user;
    const GraphCase *c = leaves->c;
    if (node->op == OP_FLAT_PARAM) {
        flat_param_values(c, leaves->trial, values);
        return;
    }
    int64_t count = type_count(&node->type), row_count = node->batched ? count / c->batch : count;
    for (int64_t i = 0; i < count; i++) {
        int64_t row = node->op == OP_FIELD ? case_example(c, i / row_count) : 0;
        values[i] = element(node, leaves->trial, row, i % row_count);
    }
}

static void store(Elem elem, void *base, int64_t at, double value) {
    if (elem == E_F32)
        ((float *)base)[at] = (float)value;
    else
        ((double *)base)[at] = value;
}

double case_load(Elem elem, const void *base, int64_t at) {
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

int64_t case_bytes(const Type *type) {
    return type_count(type) * elem_bytes(type->elem);
}

static char *leaf_base(const GraphCase *c, const GNode *node, char *block) {
    switch (node->op) {
    case OP_HYPER: return block + c->layout.hypers + node->index * sizeof(double);
    case OP_PARAM: return block + c->layout.params;
    case OP_STATE: return block + c->layout.states[node->index];
    default: return NULL;
    }
}

void case_fill_trial(const GraphCase *c, uint32_t trial, char *block) {
    TuneTrialHeader *header = (TuneTrialHeader *)block;
    *header = (TuneTrialHeader){.step = STEP};
    key_of(trial, header->key);
    for (uint32_t n = 0; n < c->graph->nodes.count; n++) {
        const GNode *node = c->graph->nodes.at[n];
        char *base = leaf_base(c, node, block);
        Elem elem = node->op == OP_HYPER ? E_F64 : node->type.elem;
        for (int64_t i = 0; base && i < type_count(&node->type); i++)
            store(elem, base, node->offset + i, element(node, trial, 0, i));
    }
}

void case_fill_field(const GraphCase *c, const GNode *field, void *base) {
    int64_t count = type_count(&field->type), row_count = count / c->batch;
    for (int64_t i = 0; i < count; i++)
        store(field->type.elem, base, i, element(field, 0, i / row_count, i % row_count));
}

const char *case_output(const GraphCase *c, const Output *output, const char *block, Elem *elem) {
    *elem = output->value->type.elem;
    switch (output->kind) {
    case OUT_PARAM: return block + c->layout.params;
    case OUT_STATE: return block + c->layout.states[output->index];
    case OUT_LOSS: *elem = E_F64; return block + HEADER_LOSS;
    case OUT_GRAD_NORM: *elem = E_F64; return block + HEADER_GRAD_NORM;
    default: return NULL;
    }
}

/* ---- the graph ---- */

static void place_params(GraphCase *c) {
    int64_t count = 0;
    for (uint32_t i = 0; i < c->graph->nodes.count; i++) {
        GNode *node = c->graph->nodes.at[i];
        if (node->op != OP_PARAM) continue;
        node->offset = count;
        count += type_count(&node->type);
    }
    c->layout = trial_layout(HYPERS, count, count, STATES, c->graph->real);
}

static int64_t batch_of(const Graph *graph) {
    for (uint32_t i = 0; i < graph->nodes.count; i++)
        if (graph->nodes.at[i]->op == OP_FIELD) return graph->nodes.at[i]->type.dims[0].size;
    return 1;
}

GraphCase graph_case_of(Graph *graph, uint64_t seed) {
    GraphCase c = {.seed = seed, .graph = graph, .batch = batch_of(graph)};
    place_params(&c);
    return c;
}

GraphCase graph_case(uint64_t seed, Arena *arena) {
    if (seed >= ATTENTION_SEED) {
        Graph *graph = attention_graph((uint32_t)(seed - ATTENTION_SEED), arena);
        GraphCase c = graph_case_of(graph, seed);
        c.any_order = true;
        return c;
    }
    if (seed >= LONG_SEED)
        return graph_case_of(long_graph((uint32_t)(seed - LONG_SEED), arena), seed);
    Rng rng = {.state = seed};
    Elem real = seed % 2 ? E_F32 : E_F64;
    uint32_t ops = 5 + (uint32_t)(seed % 40);
    Graph *graph =
        seed % 3 ? random_step(&rng, real, ops, arena) : random_graph(&rng, real, ops, arena);
    return graph_case_of(graph, seed);
}

bool case_complain(const GraphCase *c, const char *what, const char *problem) {
    Text text = {0};
    graph_print(c->graph, NULL, &text);
    printf("FAILED: seed %llu, %s: %s\n%s", (unsigned long long)c->seed, what, problem, text.at);
    text_release(&text);
    return false;
}

/* ---- comparing ---- */

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
                         double roundings, CaseCount *count) {
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

static void evaluate_runs(const GraphCase *c, uint32_t trial, double **runs[1 + NOISY_RUNS],
                          Arena *arena) {
    Leaves leaves = {c, trial};
    Inputs inputs = {.leaf = leaf_values, .user = &leaves, .step = STEP};
    key_of(trial, inputs.key);
    for (uint32_t i = 0; i <= NOISY_RUNS; i++) {
        inputs.noise = i == 0 ? 0 : c->graph->real == E_F32 ? 0x1p-20 : 0x1p-49;
        inputs.noise_seed = i;
        runs[i] = evaluate(c->graph, &inputs, arena);
    }
}

static bool compare_output(const GraphCase *c, uint32_t at, double **runs[1 + NOISY_RUNS],
                           const double *fused, const double *unfused, CaseCount *count,
                           Arena *arena) {
    const GNode *node = c->graph->outputs.at[at].value;
    double roundings = unseen_roundings(c->graph);
    const double *expected[1 + NOISY_RUNS];
    for (uint32_t i = 0; i <= NOISY_RUNS; i++) expected[i] = runs[i][node->id];
    for (int64_t e = 0; e < type_count(&node->type); e++) {
        double a = fused[e], b = unfused[e];
        if (!c->any_order && memcmp(&a, &b, sizeof a) && !(isnan(a) && isnan(b)))
            return case_complain(
                c, "fused and unfused differ",
                arena_printf(arena, "output %u[%lld]: %.17g, %.17g", at, (long long)e, a, b));
        if (!close_enough(a, expected, e, node->type.elem, roundings, count) ||
            !close_enough(b, expected, e, node->type.elem, roundings, count))
            return case_complain(c, "differs from the reference",
                                 arena_printf(arena,
                                              "output %u[%lld]: %.17g, %.17g, expected %.17g", at,
                                              (long long)e, a, b, expected[0][e]));
    }
    return true;
}

bool case_compare(const GraphCase *c, uint32_t trial, double **fused, double **unfused,
                  CaseCount *count) {
    Arena *arena = arena_new();
    double **runs[1 + NOISY_RUNS];
    evaluate_runs(c, trial, runs, arena);
    bool passed = true;
    for (uint32_t o = 0; o < c->graph->outputs.count && passed; o++)
        passed = compare_output(c, o, runs, fused[o], unfused[o], count, arena);
    arena_free(arena);
    return passed;
}
