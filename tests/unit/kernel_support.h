/* Training graphs built by hand through graph.h: what elaborate would make of a small model. */
#ifndef TUNE_TESTS_UNIT_KERNEL_SUPPORT_H
#define TUNE_TESTS_UNIT_KERNEL_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "compiler/kernel/kernel.h"
#include "compiler/kernel/schedule.h"

enum { BATCH = 64 };

typedef struct {
    Arena *arena;
    Graph *graph;
    Program program;
    uint32_t state_count;
} Model;

static const Span nowhere = {0, 0};

static inline Type shape(Elem elem, uint32_t rank, const int64_t *sizes) {
    Type type = {.elem = elem, .rank = rank};
    for (uint32_t i = 0; i < rank; i++) type.dims[i].size = sizes[i];
    return type;
}

static inline Model model_new(void) {
    Arena *arena = arena_new();
    Model model = {.arena = arena, .graph = graph_new(arena, "train", E_F32)};
    model.program.arena = arena;
    model.program.train = model.graph;
    model.program.real = E_F32;
    return model;
}

static inline GNode *spread(Graph *graph, GNode *a, uint32_t rank, const int64_t *from,
                            const int64_t *to, bool batched) {
    Type ones = shape(a->type.elem, rank, from), full = shape(a->type.elem, rank, to);
    GNode *line = graph_reshape(graph, a, rank, ones.dims, batched && from[0] > 1, nowhere);
    return graph_broadcast(graph, line, rank, full.dims, batched, nowhere);
}

static inline GNode *parameter(Model *model, const char *name, uint32_t rank,
                               const int64_t *sizes) {
    Program *program = &model->program;
    Parameter parameter = {
        .name = name, .type = shape(E_F32, rank, sizes), .offset = program->param_count};
    parameter.node = graph_leaf(model->graph, OP_PARAM, &parameter.type, false, true,
                                program->params.count, name, nowhere);
    parameter.node->offset = parameter.offset;
    vec_push(model->arena, &program->params, parameter);
    program->param_count += type_count(&parameter.type);
    return parameter.node;
}

/* x [batch, in] @ weight [in, out] + bias */
static inline GNode *dense(Model *model, GNode *x, const char *name, int64_t width) {
    Graph *graph = model->graph;
    int64_t in = x->type.dims[1].size;
    GNode *weight =
        parameter(model, arena_printf(model->arena, "%s.weight", name), 2, (int64_t[]){in, width});
    GNode *bias = parameter(model, arena_printf(model->arena, "%s.bias", name), 1, &width);
    Einsum einsum = {"bi", "io", "bo"};
    GNode *product = graph_contract(graph, x, weight, &einsum, nowhere);
    GNode *row = spread(graph, bias, 2, (int64_t[]){1, width}, (int64_t[]){BATCH, width}, true);
    return graph_binary(graph, OP_ADD, product, row, nowhere);
}

static inline GNode *constant_like(Graph *graph, double number, const GNode *like) {
    return graph_fill(graph, number, like->type.elem, &like->type, like->batched, nowhere);
}

static inline GNode *relu(Graph *graph, GNode *x) {
    return graph_binary(graph, OP_MAX, x, constant_like(graph, 0, x), nowhere);
}

/* [batch, n] -> [batch], spread over [batch, n] again. */
static inline GNode *row_back(Graph *graph, GNode *row, int64_t n) {
    return spread(graph, row, 2, (int64_t[]){BATCH, 1}, (int64_t[]){BATCH, n}, true);
}

static inline GNode *row_mean(Graph *graph, GNode *x) {
    GNode *sum = graph_reduce(graph, OP_SUM, x, 2, nowhere);
    return graph_binary(graph, OP_DIV, sum, constant_like(graph, (double)x->type.dims[1].size, sum),
                        nowhere);
}

static inline GNode *layer_norm(Model *model, GNode *x, const char *name) {
    Graph *graph = model->graph;
    int64_t n = x->type.dims[1].size;
    GNode *scale = parameter(model, arena_printf(model->arena, "%s.scale", name), 1, &n);
    GNode *shift = parameter(model, arena_printf(model->arena, "%s.shift", name), 1, &n);
    GNode *centred =
        graph_binary(graph, OP_SUB, x, row_back(graph, row_mean(graph, x), n), nowhere);
    GNode *variance = row_mean(graph, graph_binary(graph, OP_MUL, centred, centred, nowhere));
    GNode *root = graph_unary(
        graph, OP_SQRT,
        graph_binary(graph, OP_ADD, variance, constant_like(graph, 1e-5, variance), nowhere),
        nowhere);
    GNode *unit = graph_binary(graph, OP_DIV, centred, row_back(graph, root, n), nowhere);
    int64_t one[] = {1, n}, full[] = {BATCH, n};
    GNode *scaled =
        graph_binary(graph, OP_MUL, unit, spread(graph, scale, 2, one, full, true), nowhere);
    return graph_binary(graph, OP_ADD, scaled, spread(graph, shift, 2, one, full, true), nowhere);
}

static inline GNode *field(Model *model, uint32_t index, const char *name, Elem elem, uint32_t rank,
                           const int64_t *sizes) {
    Type type = shape(elem, rank, sizes);
    return graph_leaf(model->graph, OP_FIELD, &type, true, false, index, name, nowhere);
}

/* Pixels u8 [batch, 28, 28] -> [batch, 784] / 255 */
static inline GNode *image(Model *model) {
    GNode *raw = field(model, 0, "image", E_U8, 3, (int64_t[]){BATCH, 28, 28});
    Type flat = shape(E_U8, 2, (int64_t[]){BATCH, 784});
    GNode *line = graph_reshape(model->graph, raw, 2, flat.dims, true, nowhere);
    GNode *real = graph_cast(model->graph, line, E_F32, nowhere);
    return graph_binary(model->graph, OP_DIV, real, constant_like(model->graph, 255, real),
                        nowhere);
}

/* x [batch, h, w, in] seen through windows of 3 by 3 with zeros around, weight [3, 3, in, out] */
static inline GNode *convolution(Model *model, GNode *x, const char *name, int64_t width,
                                 int64_t stride) {
    Graph *graph = model->graph;
    GNode *weight = parameter(model, arena_printf(model->arena, "%s.weight", name), 4,
                              (int64_t[]){3, 3, x->type.dims[3].size, width});
    for (uint32_t axis = 1; axis <= 3; axis += 2) {
        Window window = {.axis = axis,
                         .count = (x->type.dims[axis].size - 1) / stride + 1,
                         .size = 3,
                         .stride = stride,
                         .dilation = 1,
                         .start = -1,
                         .divide = 1};
        x = graph_window(graph, x, &window, nowhere);
    }
    Einsum einsum = {"bhiwjn", "ijno", "bhwo"};
    return graph_contract(graph, x, weight, &einsum, nowhere);
}

/* mean over the batch of sum(-target * log_softmax(logits)) */
static inline GNode *cross_entropy(Model *model, GNode *logits) {
    Graph *graph = model->graph;
    int64_t n = logits->type.dims[1].size, batch = BATCH;
    GNode *label = field(model, 1, "label", E_I32, 1, &batch);
    Type classes = shape(E_I32, 1, &n);
    GNode *iota = graph_leaf(graph, OP_IOTA, &classes, false, false, 0, NULL, nowhere);
    GNode *hit = graph_binary(
        graph, OP_EQ, spread(graph, iota, 2, (int64_t[]){1, n}, (int64_t[]){BATCH, n}, true),
        row_back(graph, label, n), nowhere);
    GNode *target = graph_select(graph, hit, constant_like(graph, 1, logits),
                                 constant_like(graph, 0, logits), nowhere);
    GNode *most = graph_reduce(graph, OP_REDUCE_MAX, logits, 2, nowhere);
    GNode *z = graph_binary(graph, OP_SUB, logits, row_back(graph, most, n), nowhere);
    GNode *sum = graph_reduce(graph, OP_SUM, graph_unary(graph, OP_EXP, z, nowhere), 2, nowhere);
    GNode *log = graph_unary(graph, OP_LOG, sum, nowhere);
    GNode *score = graph_binary(graph, OP_SUB, z, row_back(graph, log, n), nowhere);
    GNode *minus = graph_unary(graph, OP_NEG, target, nowhere);
    GNode *row =
        graph_reduce(graph, OP_SUM, graph_binary(graph, OP_MUL, minus, score, nowhere), 2, nowhere);
    GNode *total = graph_reduce(graph, OP_SUM, row, 1, nowhere);
    return graph_binary(graph, OP_DIV, total, constant_like(graph, BATCH, total), nowhere);
}

static inline GNode *hyper(Model *model, uint32_t index, const char *name) {
    Type scalar = shape(E_F32, 0, NULL);
    return graph_leaf(model->graph, OP_HYPER, &scalar, false, true, index, name, nowhere);
}

static inline GNode *fill_flat(Model *model, GNode *scalar) {
    int64_t count = model->program.param_count, one = 1;
    return spread(model->graph, scalar, 1, &one, &count, false);
}

/* Gradients of `loss`, Nesterov's rule; with `clip` the gradient is scaled down to norm 1. */
static inline void nesterov(Model *model, GNode *loss, bool clip) {
    Graph *graph = model->graph;
    Program *program = &model->program;
    GNode **grads = arena_alloc(model->arena, program->params.count * sizeof *grads);
    program->loss = loss;
    grad(program, grads);
    GNode **pieces = arena_alloc(model->arena, program->params.count * sizeof *pieces);
    for (uint32_t i = 0; i < program->params.count; i++) {
        Dim line = {.size = type_count(&program->params.at[i].type)};
        pieces[i] = graph_reshape(graph, grads[i], 1, &line, false, nowhere);
    }
    GNode *flat = graph_flat(graph, pieces, program->params.count, 0, nowhere);
    GNode *square =
        graph_reduce(graph, OP_SUM, graph_binary(graph, OP_MUL, flat, flat, nowhere), 1, nowhere);
    GNode *norm = graph_unary(graph, OP_SQRT, square, nowhere);
    GNode *g = flat;
    if (clip) {
        GNode *one = graph_const(graph, 1, E_F32, nowhere);
        GNode *ratio = graph_binary(graph, OP_MIN, one,
                                    graph_binary(graph, OP_DIV, one, norm, nowhere), nowhere);
        g = graph_binary(graph, OP_MUL, flat, fill_flat(model, ratio), nowhere);
    }
    Type vector = shape(E_F32, 1, &program->param_count);
    GNode *lr = fill_flat(model, hyper(model, 0, "lr"));
    GNode *momentum = fill_flat(model, hyper(model, 1, "momentum"));
    GNode *state = graph_leaf(graph, OP_STATE, &vector, false, true, 0, "v", nowhere);
    GNode *old = graph_leaf(graph, OP_FLAT_PARAM, &vector, false, true, 0, "param", nowhere);
    GNode *v = graph_binary(graph, OP_ADD, graph_binary(graph, OP_MUL, momentum, state, nowhere), g,
                            nowhere);
    GNode *look =
        graph_binary(graph, OP_ADD, graph_binary(graph, OP_MUL, momentum, v, nowhere), g, nowhere);
    GNode *fresh =
        graph_binary(graph, OP_SUB, old, graph_binary(graph, OP_MUL, lr, look, nowhere), nowhere);
    graph_output(graph, OUT_LOSS, 0, loss);
    graph_output(graph, OUT_GRAD_NORM, 0, norm);
    graph_output(graph, OUT_PARAM, 0, fresh);
    graph_output(graph, OUT_STATE, 0, v);
    model->state_count = 1;
}

/* simplify, fuse, schedule, plan, with every verifier behind them. */
static inline StepProgram *compile(Model *model, bool fused) {
    static const CpuTarget avx512 = {64, 32, true, 49152, 1048576};
    TrialLayout layout = trial_layout(2, model->program.param_count, model->program.param_count,
                                      model->state_count, E_F32);
    assert_null(graph_verify(model->graph, model->arena));
    Graph *graph = fused ? simplify(model->graph, model->arena) : model->graph;
    assert_null(graph_verify(graph, model->arena));
    StepProgram *program = fuse(graph, &layout, fused, model->arena);
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < program->kernels.count; i++) {
            const char *problem = kernel_verify(program->kernels.at[i], model->arena);
            if (problem) fail_msg("%s", problem);
        }
        if (!pass) schedule_cpu(program, &avx512, model->arena);
    }
    plan(program, model->arena);
    const char *problem = plan_verify(program, model->arena);
    if (problem) fail_msg("%s", problem);
    return program;
}

static inline void print_program(const StepProgram *program, Text *out) {
    for (uint32_t i = 0; i < program->kernels.count; i++)
        kernel_print(program->kernels.at[i], NULL, true, out);
    plan_print(program, out);
}

#endif
