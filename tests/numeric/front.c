/* Programs of the language for the tests beside it: a file for the front end, vectors for the
 * evaluator. */
#include "tests/numeric/front.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/numeric/evaluate.h"

Program *front_compile(Compilation *compilation, const char *text) {
    char path[] = "/tmp/tune-front-XXXXXX.tune";
    int descriptor = mkstemps(path, 5);
    if (descriptor < 0) return NULL;
    dprintf(descriptor, "%s", text);
    close(descriptor);
    CompileOptions options = {.path = path, .cpu = "native", .last = PASS_UPDATE, .verify = true};
    bool compiled = compile(compilation, &options) && !compilation->variants.at[0].broken;
    unlink(path);
    if (compiled) return compilation->variants.at[0].program;
    diags_print(compilation->diags, stdout, false);
    return NULL;
}

static void leaf_values(void *user, const GNode *node, double *values) {
    const Vectors *at = user;
    const double *from = node->op == OP_STATE   ? at->state[node->index]
                         : node->op == OP_FIELD ? at->fields[node->index]
                                                : at->param;
    int64_t offset = node->op == OP_FIELD ? 0 : node->offset;
    memcpy(values, from + offset, (size_t)type_count(&node->type) * sizeof *values);
}

static void take_output(const Output *output, const double *values, Vectors *at) {
    size_t bytes = (size_t)type_count(&output->value->type) * sizeof *values;
    if (output->kind == OUT_LOSS) at->loss = values[0];
    if (output->kind == OUT_GRAD_NORM) at->grad_norm = values[0];
    if (output->kind == OUT_PARAM) memcpy(at->param + output->offset, values, bytes);
    if (output->kind == OUT_STATE) memcpy(at->state[output->index] + output->offset, values, bytes);
}

void front_run(const Graph *graph, Vectors *at, uint32_t step) {
    Arena *scratch = arena_new();
    Inputs inputs = {.leaf = leaf_values, .user = at, .step = step};
    double **values = evaluate(graph, &inputs, scratch);
    for (uint32_t i = 0; i < graph->outputs.count; i++)
        take_output(&graph->outputs.at[i], values[graph->outputs.at[i].value->id], at);
    arena_free(scratch);
}

bool front_near(const char *what, uint32_t step, int element, double got, double expected,
                double tolerance) {
    if (fabs(got - expected) <= tolerance * (1 + fabs(expected))) return true;
    printf("FAILED: %s, step %u, element %d: %.17g, not %.17g\n", what, step, element, got,
           expected);
    return false;
}
