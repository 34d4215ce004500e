/* Graphs through simplify, fuse, schedule_cuda, plan, CUDA C, NVRTC and the virtual GPU. */
#include "tests/vgpu/numeric/graph_run.h"

#include <stdio.h>
#include <stdlib.h>

#include "compiler/kernel/schedule.h"
#include "tests/vgpu/numeric/kernel_run.h"

enum { TRIALS = 3, SLOTS = FIRST_OUTPUT + MOST_OUTPUTS };

typedef struct {
    GraphCase base;
    StepProgram *steps[2]; /* fused, unfused */
    uint32_t kernels[2];   /* number of the first of each */
} Case;

typedef struct {
    Device *device;
    Vec(RunKernel) kernels;
} Runs;

/* Outputs of one trial as doubles: [output][element]. */
typedef double *Values[MOST_OUTPUTS];

/* ---- compiling ---- */

/* Fields are shared by the trials of a wave; what a graph puts out is each trial's own. */
static void own_outputs(StepProgram *steps) {
    for (uint32_t i = 0; i < steps->buffers.count; i++) {
        Buffer *buffer = steps->buffers.at[i];
        if (buffer->space == SPACE_FIELD && buffer->slot >= FIRST_OUTPUT)
            buffer->space = SPACE_EXAMPLE;
    }
}

static bool to_kernels(Case *c, int form, Runs *runs, Arena *arena) {
    StepProgram *steps = c->steps[form] =
        fuse(simplify(c->base.graph, arena), &c->base.layout, form == 0, arena);
    own_outputs(steps);
    schedule_cuda(steps, arena);
    plan(steps, arena);
    const char *problem = plan_verify(steps, arena);
    c->kernels[form] = runs->kernels.count;
    for (uint32_t k = 0; k < steps->kernels.count && !problem; k++) {
        problem = kernel_verify(steps->kernels.at[k], arena);
        vec_push(arena, &runs->kernels, (RunKernel){.kernel = steps->kernels.at[k]});
    }
    return !problem || case_complain(&c->base, form ? "unfused" : "fused", problem);
}

/* ---- running ---- */

static RunSizes sizes_of(const Case *c, int form, uint32_t trials) {
    const Graph *graph = c->base.graph;
    RunSizes sizes = {.trials = trials};
    sizes.bytes[SPACE_TRIAL] = (uint64_t)c->base.layout.bytes;
    sizes.bytes[SPACE_SCRATCH] = (uint64_t)c->steps[form]->scratch_bytes;
    sizes.bytes[SPACE_INDEX] = (uint64_t)c->base.batch * sizeof(int32_t);
    for (uint32_t i = 0; i < graph->outputs.count; i++) {
        uint64_t bytes = (uint64_t)case_bytes(&graph->outputs.at[i].value->type);
        if (bytes > sizes.example) sizes.example = (bytes + 63) / 64 * 64;
    }
    sizes.bytes[SPACE_EXAMPLE] = sizes.example * SLOTS;
    for (uint32_t n = 0; n < graph->nodes.count; n++)
        if (graph->nodes.at[n]->op == OP_FIELD)
            sizes.fields[graph->nodes.at[n]->index] =
                (uint64_t)case_bytes(&graph->nodes.at[n]->type);
    return sizes;
}

static bool write_inputs(const Case *c, const RunMemory *memory, uint32_t first, Arena *arena) {
    const Graph *graph = c->base.graph;
    bool written = true;
    for (uint32_t t = 0; t < memory->sizes.trials && written; t++) {
        char *block = arena_alloc(arena, memory->sizes.bytes[SPACE_TRIAL]);
        case_fill_trial(&c->base, first + t, block);
        written = run_write(memory, SPACE_TRIAL, t, block);
    }
    int32_t *index = arena_alloc(arena, memory->sizes.bytes[SPACE_INDEX]);
    for (int64_t i = 0; i < c->base.batch; i++) index[i] = case_example(&c->base, i);
    written = written && run_write(memory, SPACE_INDEX, 0, index);
    for (uint32_t n = 0; n < graph->nodes.count && written; n++) {
        const GNode *node = graph->nodes.at[n];
        if (node->op != OP_FIELD) continue;
        char *field = arena_alloc(arena, memory->sizes.fields[node->index]);
        case_fill_field(&c->base, node, field);
        written = device_write(memory->device, memory->fields[node->index], field,
                               memory->sizes.fields[node->index]);
    }
    return written;
}

static bool read_outputs(const Case *c, const RunMemory *memory, uint32_t trial, Values values,
                         Arena *arena) {
    const OutputList *outputs = &c->base.graph->outputs;
    char *block = arena_alloc(arena, memory->sizes.bytes[SPACE_TRIAL]);
    char *vectors = arena_alloc(arena, memory->sizes.bytes[SPACE_EXAMPLE]);
    if (!run_read(memory, SPACE_TRIAL, trial, block)) return false;
    if (!run_read(memory, SPACE_EXAMPLE, trial, vectors)) return false;
    for (uint32_t i = 0; i < outputs->count; i++) {
        int64_t count = type_count(&outputs->at[i].value->type);
        Elem elem;
        const char *at = case_output(&c->base, &outputs->at[i], block, &elem);
        if (!at) at = vectors + outputs->at[i].index * memory->sizes.example;
        values[i] = arena_alloc(arena, (size_t)count * sizeof(double));
        for (int64_t e = 0; e < count; e++) values[i][e] = case_load(elem, at, e);
    }
    return true;
}

/* Runs one form for `trials` trials from `first` on. */
static bool run(const Case *c, int form, const Runs *runs, uint32_t first, uint32_t trials,
                Values *values, Arena *arena) {
    RunSizes sizes = sizes_of(c, form, trials);
    RunMemory memory = run_memory(runs->device, &sizes);
    bool passed = write_inputs(c, &memory, first, arena);
    for (uint32_t k = 0; k < c->steps[form]->kernels.count && passed; k++)
        passed = run_launch(&runs->kernels.at[c->kernels[form] + k], &memory, k == 0,
                            1000 * c->base.seed + 10 * k + trials);
    for (uint32_t t = 0; t < trials && passed; t++)
        passed = read_outputs(c, &memory, t, values[t], arena);
    run_memory_release(&memory);
    return passed || case_complain(&c->base, form ? "unfused" : "fused", "did not run");
}

/* ---- comparing ---- */

static bool same_bits(const Case *c, Values a, Values b, const char *what) {
    const OutputList *outputs = &c->base.graph->outputs;
    for (uint32_t i = 0; i < outputs->count; i++) {
        size_t bytes = (size_t)type_count(&outputs->at[i].value->type) * sizeof(double);
        if (memcmp(a[i], b[i], bytes)) return case_complain(&c->base, what, "other bits");
    }
    return true;
}

static bool check(const Case *c, const Runs *runs, CaseCount *count) {
    Arena *arena = arena_new();
    Values wave[2][TRIALS] = {0}, alone;
    bool passed = true;
    for (int form = 0; form < 2 && passed; form++) {
        passed = run(c, form, runs, 0, TRIALS, wave[form], arena);
        for (uint32_t t = 0; t < TRIALS && passed; t++)
            passed = run(c, form, runs, t, 1, &alone, arena) &&
                     same_bits(c, wave[form][t], alone, "a trial in a wave and alone");
    }
    for (uint32_t t = 0; t < TRIALS && passed; t++)
        passed = case_compare(&c->base, t, wave[0][t], wave[1][t], count);
    arena_free(arena);
    return passed;
}

int graph_run(const GraphCase *graphs, uint32_t graph_count, Arena *arena) {
    const char *problem;
    Nvrtc *nvrtc = nvrtc_open(arena, &problem);
    if (!nvrtc) printf("skipped: %s\n", problem);
    if (!nvrtc) return SKIPPED;
    Case *cases = arena_alloc(arena, graph_count * sizeof *cases);
    Runs runs = {.device = device_new()};
    bool passed = true;
    for (uint32_t i = 0; i < graph_count && passed; i++) {
        cases[i].base = graphs[i];
        for (int form = 0; form < 2 && passed; form++)
            passed = to_kernels(&cases[i], form, &runs, arena);
    }
    bool compiled = passed =
        passed && run_compile(nvrtc, runs.device, runs.kernels.at, runs.kernels.count);
    CaseCount count = {0, 0};
    for (uint32_t i = 0; i < graph_count && compiled; i++)
        passed = check(&cases[i], &runs, &count) && passed;
    printf("%u graphs, %u kernels, %lld numbers compared, %lld not finite, %llu instructions\n",
           graph_count, runs.kernels.count, (long long)count.compared, (long long)count.undefined,
           (unsigned long long)device_instructions(runs.device));
    run_release(runs.kernels.at, runs.kernels.count);
    device_free(runs.device);
    nvrtc_close(nvrtc);
    return !passed;
}
