/* Random graphs through simplify, fuse, schedule, plan and LLVM, run, and compared with the
 * reference evaluator (graph_case.h). Each graph is compiled twice, fused and one kernel per op.
 * All graphs are one shared object. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "compiler/emit/emit_llvm.h"
#include "runtime/program.h"
#include "tests/numeric/graph_case.h"

enum { GRAPHS = 48, GUARD = 256 };

typedef struct {
    GraphCase base;
    uint32_t number;       /* among the cases */
    StepProgram *steps[2]; /* fused, unfused */
    char *entry[2];
} Case;

typedef Vec(LlvmItem) ItemList;

/* ---- compiling ---- */

static bool to_kernels(Case *c, int form, const LlvmTarget *target, ItemList *items, Arena *arena) {
    StepProgram *steps = c->steps[form] =
        fuse(simplify(c->base.graph, arena), &c->base.layout, form == 0, arena);
    schedule_cpu(steps, &target->shape, arena);
    plan(steps, arena);
    const char *problem = plan_verify(steps, arena);
    const char **symbols = arena_alloc(arena, (steps->kernels.count + 1) * sizeof *symbols);
    for (uint32_t k = 0; k < steps->kernels.count && !problem; k++) {
        problem = kernel_verify(steps->kernels.at[k], arena);
        symbols[k] =
            arena_printf(arena, "kernel_%llu_%d_%u", (unsigned long long)c->base.seed, form, k);
        vec_push(arena, items, (LlvmItem){.kernel = steps->kernels.at[k], .symbol = symbols[k]});
    }
    if (problem) return case_complain(&c->base, form ? "unfused" : "fused", problem);
    c->entry[form] = arena_printf(arena, "entry_%llu_%d", (unsigned long long)c->base.seed, form);
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

static void fill_fields(const Case *c, void **fields) {
    const Graph *graph = c->base.graph;
    for (uint32_t n = 0; n < graph->nodes.count; n++) {
        const GNode *node = graph->nodes.at[n];
        if (node->op != OP_FIELD) continue;
        fields[node->index] = guarded(case_bytes(&node->type), 0);
        case_fill_field(&c->base, node, fields[node->index]);
    }
    for (uint32_t i = 0; i < graph->outputs.count; i++)
        if (graph->outputs.at[i].kind == OUT_FIELD)
            fields[graph->outputs.at[i].index] =
                guarded(case_bytes(&graph->outputs.at[i].value->type), 0xFF);
}

/* Runs one form; the outputs as doubles go to values[output][element]. */
static bool run(const Case *c, int form, void *library, double **values) {
    TuneEntry entry = ((const TuneEntry *)dlsym(library, "entries"))[2 * c->number + form];
    void *fields[FIRST_OUTPUT + MOST_OUTPUTS] = {0};
    char *trial = guarded(c->base.layout.bytes, 0),
         *scratch = guarded(c->steps[form]->scratch_bytes, 0xFF);
    int32_t index[8];
    for (int64_t i = 0; i < c->base.batch; i++) index[i] = case_example(&c->base, i);
    case_fill_trial(&c->base, 0, trial);
    fill_fields(c, fields);
    const OutputList *outputs = &c->base.graph->outputs;
    entry(&(TuneContext){.trial = trial, .scratch = scratch, .fields = fields, .index = index});
    bool inside = guard_holds(trial, c->base.layout.bytes) &&
                  guard_holds(scratch, c->steps[form]->scratch_bytes);
    for (uint32_t i = 0; i < outputs->count; i++) {
        const Type *type = &outputs->at[i].value->type;
        Elem elem;
        const char *memory = case_output(&c->base, &outputs->at[i], trial, &elem);
        if (!memory) {
            memory = fields[outputs->at[i].index];
            inside = inside && guard_holds(memory, case_bytes(type));
        }
        for (int64_t e = 0; e < type_count(type); e++) values[i][e] = case_load(elem, memory, e);
    }
    for (uint32_t i = 0; i < FIRST_OUTPUT + MOST_OUTPUTS; i++) free(fields[i]);
    free(trial);
    free(scratch);
    return inside || case_complain(&c->base, c->entry[form], "wrote outside its memory");
}

static bool check(const Case *c, void *library, CaseCount *count) {
    Arena *arena = arena_new();
    double *values[2][MOST_OUTPUTS];
    bool passed = true;
    for (int form = 0; form < 2 && passed; form++) {
        for (uint32_t i = 0; i < c->base.graph->outputs.count; i++)
            values[form][i] =
                arena_alloc(arena, (size_t)type_count(&c->base.graph->outputs.at[i].value->type) *
                                       sizeof(double));
        passed = run(c, form, library, values[form]);
    }
    passed = passed && case_compare(&c->base, 0, values[0], values[1], count);
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
        cases[i] = (Case){.base = graph_case(first + i, arena), .number = i};
        for (int form = 0; form < 2 && passed; form++)
            passed = to_kernels(&cases[i], form, &target, &items, arena);
    }
    void *library = passed ? load_items(&items, &target, arena) : NULL;
    CaseCount count = {0, 0};
    passed = passed && library;
    for (uint32_t i = 0; i < graphs && library; i++)
        passed = check(&cases[i], library, &count) && passed;
    printf("%u graphs, %u functions, %lld numbers compared, %lld not finite\n", graphs, items.count,
           (long long)count.compared, (long long)count.undefined);
    if (library) dlclose(library);
    arena_free(arena);
    return !passed;
}
