/* Attention as planes: which kernels it becomes, that no scores are in memory at any length, and
 * that the verifier knows a plane that is wrong. */
#include <stdio.h>
#include <string.h>

#include "compiler/kernel/schedule.h"
#include "tests/numeric/attention_graph.h"
#include "tests/numeric/graph_case.h"

static int failures;

static void expect(bool condition, const char *what, uint32_t number) {
    if (condition) return;
    printf("FAILED: graph %u: %s\n", number, what);
    failures++;
}

static StepProgram *compile(Graph *graph, bool fused, Arena *arena) {
    GraphCase c = graph_case_of(graph, ATTENTION_SEED);
    StepProgram *steps = fuse(simplify(graph, arena), &c.layout, fused, arena);
    schedule_cpu(steps, &(CpuTarget){64, 32, true, 32768, 1048576}, arena);
    plan(steps, arena);
    return steps;
}

static Kernel *plane_kernel(const StepProgram *steps, uint32_t number) {
    for (uint32_t i = 0; i < steps->kernels.count; i++)
        if (steps->kernels.at[i]->plane && number-- == 0) return steps->kernels.at[i];
    return NULL;
}

/* ---- what becomes a plane ---- */

static void test_kernels(uint32_t number) {
    Arena *arena = arena_new();
    StepProgram *steps = compile(attention_graph(number, arena), true, arena);
    uint32_t planes = 0;
    while (plane_kernel(steps, planes)) planes++;
    expect(planes == attention_graph_planes(number), "another number of planes", number);
    if (planes != attention_graph_planes(number)) printf("    it has %u\n", planes);
    for (uint32_t i = 0; i < steps->kernels.count; i++) {
        const char *problem = kernel_verify(steps->kernels.at[i], arena);
        expect(!problem, problem ? problem : "", number);
    }
    const char *problem = plan_verify(steps, arena);
    expect(!problem, problem ? problem : "", number);
    for (uint32_t i = 0; i < steps->buffers.count && planes; i++)
        expect(steps->buffers.at[i]->space != SPACE_SCRATCH ||
                   steps->buffers.at[i]->count != attention_graph_scores(number),
               "scores in memory", number);
    arena_free(arena);
}

/* Twice the length, twice the memory; unfused it is four times. */
static void test_length(void) {
    Arena *arena = arena_new();
    int64_t bytes[2][2];
    for (uint32_t fused = 0; fused < 2; fused++)
        for (uint32_t i = 0; i < 2; i++)
            bytes[fused][i] =
                compile(long_attention_graph(i ? 4096 : 2048, arena), fused, arena)->scratch_bytes;
    expect(bytes[1][1] <= 2 * bytes[1][0] + 4096, "memory grows faster than the length", 0);
    expect(bytes[0][1] >= 3 * bytes[0][0], "unfused, scores are in memory", 0);
    expect(bytes[1][1] < 4096 * 4096, "more memory than a matrix of scores", 0);
    arena_free(arena);
}

/* ---- the verifier ---- */

typedef void (*Damage)(Kernel *kernel);

static void axis_twice(Kernel *kernel) {
    kernel->plane->n = kernel->plane->m;
}
static void axis_left(Kernel *kernel) {
    kernel->plane->leaves.at[0].k = kernel->plane->n;
}
static void around_outer(Kernel *kernel) {
    kernel->plane->around = 1;
}
static void operands_swapped(Kernel *kernel) {
    PlaneLeaf *leaf = &kernel->plane->leaves.at[0];
    int a = leaf->a;
    leaf->a = leaf->b;
    leaf->b = a;
}
static void operand_computed(Kernel *kernel) {
    kernel->plane->passes.at[0].sinks.at[0].b = kernel->plane->passes.at[0].sinks.at[0].value;
}
static void row_too_early(Kernel *kernel) {
    kernel->plane->passes.at[0].online = false;
}
static void no_maximum(Kernel *kernel) {
    kernel->plane->passes.at[0].reductions.at[0].op = OP_SUM;
}
static void no_such_row(Kernel *kernel) {
    kernel->plane->passes.at[0].reductions.count = 1;
}
static void no_such_leaf(Kernel *kernel) {
    for (uint32_t i = 0; i < kernel->exprs.count; i++)
        if (kernel->exprs.at[i].kind == X_LEAF) kernel->exprs.at[i].index = 9;
}
static void stored_twice(Kernel *kernel) {
    kernel->plane->stores.at[0].at.coeff[kernel->plane->m] = 0;
}
static void stored_outside(Kernel *kernel) {
    kernel->plane->stores.at[0].at.offset = kernel->plane->stores.at[0].buffer->count;
}
static void stored_point(Kernel *kernel) {
    kernel->plane->stores.at[0].value = kernel->plane->passes.at[0].reductions.at[0].value;
}
static void read_back(Kernel *kernel) {
    Expr *load = &kernel->exprs.at[kernel->plane->leaves.at[0].a];
    load->buffer = kernel->plane->stores.at[0].buffer;
    memset(&load->at, 0, sizeof load->at);
}

static const struct {
    Damage damage;
    const char *rule;
} damages[] = {
    {axis_twice, "an axis of the plane is not its own"},
    {axis_left, "an axis of the plane is not its own"},
    {around_outer, "the axes around the columns are outer ones"},
    {operands_swapped, "an operand changes with another's axis"},
    {operand_computed, "an operand changes with another's axis"},
    {row_too_early, "a value reads a row that is not known yet"},
    {no_maximum, "an online pass without a maximum"},
    {no_such_row, "a result that its pass does not have"},
    {no_such_leaf, "a leaf out of place"},
    {stored_twice, "elements are stored more than once"},
    {stored_outside, "a store outside of its buffer"},
    {stored_point, "a store of a point"},
    {read_back, "a plane reads what it stores"},
};

static void test_verifier(void) {
    for (uint32_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        Arena *arena = arena_new();
        Kernel *kernel = plane_kernel(compile(attention_graph(0, arena), true, arena), 0);
        damages[i].damage(kernel);
        const char *problem = kernel_verify(kernel, arena);
        bool found = problem && strstr(problem, damages[i].rule);
        expect(found, damages[i].rule, 0);
        if (!found) printf("    it says: %s\n", problem ? problem : "nothing");
        arena_free(arena);
    }
}

int main(void) {
    for (uint32_t i = 0; i < attention_graph_count(); i++) test_kernels(i);
    test_length();
    test_verifier();
    printf("%u graphs, %zu broken kernels\n", attention_graph_count(),
           sizeof damages / sizeof *damages);
    return failures > 0;
}
