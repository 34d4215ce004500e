/* Parameters: where they lie in the flat vector, and their initial values in the graph of init.
 *
 *     flat   | dense1.weight …… | 0 | dense1.bias …… | 0 |      every one starts at a multiple of
 * 16
 *
 * While training is elaborated a parameter statement makes the parameter; in evaluation it finds it
 * by name. */
#include "compiler/graph/interp.h"

enum { PARAM_ALIGN = 16 };

static int64_t aligned(int64_t offset) {
    return (offset + PARAM_ALIGN - 1) / PARAM_ALIGN * PARAM_ALIGN;
}

static bool read_shape(Interp *in, const Node *list, Type *type) {
    *type = (Type){.elem = in->real};
    for (uint32_t i = 0; list && i < list->kids.count; i++) {
        const Node *kid = list->kids.at[i];
        Value value = interp_expression(in, kid);
        int64_t size;
        if (!value_int(in, value, "a size of a parameter", kid->span, &size)) return false;
        if (size < 1 || size > INT32_MAX) {
            interp_fail(in, kid->span, "a size of a parameter must be at least 1, not %lld",
                        (long long)size);
            return false;
        }
        if (type->rank == MAX_RANK - 1) {
            interp_fail(in, list->span, "a parameter has at most %d axes", MAX_RANK - 1);
            return false;
        }
        type->dims[type->rank++] = dim_of(value);
    }
    return true;
}

/* ---- initial values ---- */

static Value initial_expression(Interp *in, const Node *node) {
    const ArgumentList none = {0};
    Value value = node ? interp_expression(in, node) : value_number(0, true, (Span){0});
    if (value.kind != V_FUNCTION) return value;
    return interp_call(in, value.function, &none, node->span);
}

/* Broadcast to the parameter's shape; NULL after an error. */
static GNode *initial_value(Interp *in, const Node *node, const Parameter *parameter,
                            const Node *initialiser) {
    Value value = initial_expression(in, initialiser);
    Span span = initialiser ? initialiser->span : node->span;
    if (value.kind != V_ERROR && value.kind != V_TENSOR && value.kind != V_NUMBER) {
        interp_fail(in, span, "%s is not an initialiser", value_show(in, value));
        return NULL;
    }
    GNode *start = value_node(in, value, in->real, span);
    if (!start) return NULL;
    bool good = start->type.rank <= parameter->type.rank;
    for (uint32_t i = 0; good && i < start->type.rank; i++) {
        int64_t size = start->type.dims[i].size;
        good = size == 1 ||
               size == parameter->type.dims[parameter->type.rank - start->type.rank + i].size;
    }
    if (good)
        return broadcast_to(in, in->graph, start, parameter->type.rank, parameter->type.dims, false,
                            span);
    Diag *diag = interp_error(in, span, "initial value %s does not fit the parameter %s",
                              type_show(in, &start->type), type_show(in, &parameter->type));
    note_dims(diag, &parameter->type, 0);
    interp_chain(in, diag);
    return NULL;
}

/* OUT_PARAM pieces are kept as outputs, one per parameter, until elaborate makes one vector of
 * them. */
static void add_initial_value(Interp *in, const Node *node, uint32_t index) {
    const Parameter *parameter = &in->program->params.at[index];
    InitContext context = {.type = &parameter->type, .parameter = index};
    Graph *graph = in->graph;
    in->graph = in->program->init;
    in->init = &context;
    GNode *value = initial_value(in, node, parameter, tree_kid(node, 1));
    in->init = NULL;
    in->graph = graph;
    if (value) graph_output(in->program->init, OUT_PARAM, index, value);
}

/* ---- the statement ---- */

static int find_parameter(const Program *program, const char *name) {
    for (uint32_t i = 0; i < program->params.count; i++)
        if (!strcmp(program->params.at[i].name, name)) return (int)i;
    return -1;
}

static bool count_fits(const Program *program, const Type *type) {
    int64_t room = ((int64_t)1 << 33) - program->param_count;
    for (uint32_t i = 0; i < type->rank; i++) room /= type->dims[i].size;
    return room > 0;
}

static Value make_parameter(Interp *in, const Node *node, const char *name, const Type *type) {
    Program *program = in->program;
    if (!count_fits(program, type))
        return interp_fail(in, node->span, "the model has more than 2^33 parameters");
    if (find_parameter(program, name) >= 0) {
        Diag *diag = interp_error(in, node->span, "parameter '%s' is declared twice", name);
        interp_chain(in, diag);
        diag_help(diag, "put it into a layer: every call of a layer has its own parameters");
        return value_error();
    }
    uint32_t index = program->params.count;
    Parameter parameter = {.name = name,
                           .type = *type,
                           .offset = program->param_count,
                           .span = interp_place(in, node->span)};
    parameter.node =
        graph_leaf(in->graph, OP_PARAM, type, false, true, index, name, parameter.span);
    parameter.node->offset = parameter.offset;
    vec_push(program->arena, &program->params, parameter);
    program->param_count = aligned(program->param_count + type_count(type));
    add_initial_value(in, node, index);
    return value_tensor(parameter.node);
}

static Value reuse_parameter(Interp *in, const Node *node, const char *name, const Type *type) {
    int index = find_parameter(in->program, name);
    if (index < 0 || !type_same_shape(&in->program->params.at[index].type, type)) {
        Diag *diag = interp_error(
            in, node->span, "parameter '%s' has another shape at evaluation than while training",
            name);
        interp_chain(in, diag);
        diag_help(diag,
                  "layers must be called in the same order whether 'training' is true or not");
        return value_error();
    }
    GNode *leaf = graph_leaf(in->graph, OP_PARAM, type, false, true, (uint32_t)index, name,
                             interp_place(in, node->span));
    leaf->offset = in->program->params.at[index].offset;
    return value_tensor(leaf);
}

void interp_parameter(Interp *in, const Node *node) {
    Type type;
    Value value = value_error();
    if (!in->frame->path) {
        interp_fail(in, node->span, "a %s cannot have parameters: make it a layer",
                    tree_kind_name(in->frame->decl->kind));
    } else if (read_shape(in, tree_kid(node, 0), &type)) {
        const char *name = arena_printf(in->program->arena, "%s%s", in->frame->path, node->name);
        value = in->mode == MODE_TRAIN ? make_parameter(in, node, name, &type)
                                       : reuse_parameter(in, node, name, &type);
    }
    interp_assign(in, in->frame, node->name, value);
}

GNode *params_flat(const Program *program, Graph *graph, GNode **pieces) {
    const uint32_t count = program->params.count;
    GNode **parts = arena_alloc(graph->arena, 2 * count * sizeof *parts);
    uint32_t part_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const Parameter *parameter = &program->params.at[i];
        Dim line = {.size = type_count(&parameter->type)};
        int64_t end = parameter->offset + line.size;
        int64_t gap = (i + 1 < count ? parameter[1].offset : program->param_count) - end;
        parts[part_count++] = graph_reshape(graph, pieces[i], 1, &line, false, parameter->span);
        if (!gap) continue;
        Type zeros = {.elem = graph->real, .rank = 1, .dims = {{.size = gap}}};
        parts[part_count++] = graph_fill(graph, 0, graph->real, &zeros, false, parameter->span);
    }
    return graph_flat(graph, parts, part_count, (Span){0});
}
