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

static void note_moving(Interp *in, const Node *node, uint32_t index) {
    if (node->flag) vec_push(in->arena, &in->frame->moving, (Moving){node->name, index});
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
                           .span = interp_place(in, node->span),
                           .kind = node->flag ? PARAM_MOVING : PARAM_TRAINED};
    parameter.node =
        graph_leaf(in->graph, OP_PARAM, type, false, true, index, name, parameter.span);
    vec_push(program->arena, &program->params, parameter);
    program->param_count = aligned(program->param_count + type_count(type));
    note_moving(in, node, index);
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
    note_moving(in, node, (uint32_t)index);
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

/* ---- moving values ---- */

static const Moving *find_moving(const Frame *frame, const char *name) {
    for (uint32_t i = frame->moving.count; i-- > 0;)
        if (frame->moving.at[i].name == name) return &frame->moving.at[i];
    return NULL;
}

static bool fits_moving(Interp *in, const Node *assign, const Type *type, const GNode *node) {
    Span span = assign->kids.at[0]->span;
    if (node->batched) {
        Diag *diag = interp_error(in, span, "moving value '%s' is one for all examples, not %s",
                                  assign->name, type_show(in, &node->type));
        interp_chain(in, diag);
        diag_help(diag, "reduce over the batch: mean(…, axis: batch)");
        return false;
    }
    bool fits = node->type.rank <= type->rank;
    for (uint32_t i = 0; fits && i < node->type.rank; i++) {
        int64_t size = node->type.dims[i].size;
        fits = size == 1 || size == type->dims[type->rank - node->type.rank + i].size;
    }
    if (fits) return true;
    Diag *diag = interp_error(in, span, "moving value '%s' is %s; it cannot become %s",
                              assign->name, type_show(in, type), type_show(in, &node->type));
    note_dims(diag, type, 0);
    interp_chain(in, diag);
    return false;
}

Value interp_move(Interp *in, const Node *assign, Value value) {
    const Moving *moving = find_moving(in->frame, assign->name);
    if (!moving || value.kind == V_ERROR) return value;
    if (in->mode != MODE_TRAIN) {
        Diag *diag = interp_error(in, assign->name_span,
                                  "moving value '%s' changes only while training", assign->name);
        interp_chain(in, diag);
        diag_help(diag, "assign it within 'if training { … }'");
        return value_error();
    }
    Parameter *parameter = &in->program->params.at[moving->index];
    Span span = assign->kids.at[0]->span;
    GNode *node = value_node(in, value, in->real, span);
    if (!node || !fits_moving(in, assign, &parameter->type, node)) return value_error();
    parameter->moved =
        broadcast_to(in, in->graph, node, parameter->type.rank, parameter->type.dims, false, span);
    return value_tensor(parameter->moved);
}

/* ---- which rule trains a parameter, and where it lies ---- */

static bool glob(const char *pattern, const char *text) {
    if (*pattern == '*') return glob(pattern + 1, text) || (*text && glob(pattern, text + 1));
    if (!*pattern || !*text) return *pattern == *text;
    return (*pattern == '?' || *pattern == *text) && glob(pattern + 1, text + 1);
}

static bool selects(const Node *selector, const Parameter *parameter) {
    if (selector->kind == N_STRING) return glob(selector->name, parameter->name);
    bool vector = parameter->type.rank < 2;
    return vector == !strcmp(selector->name, "vectors");
}

static bool is_frozen(const Node *group) {
    const Node *block = group->kids.at[1];
    for (uint32_t i = 0; i < block->kids.count; i++)
        if (block->kids.at[i]->kind == N_NAME) return true;
    return false;
}

/* A pattern that means no parameter is a mistake: the study would not be what it seems. */
static void check_pattern(Interp *in, const Node *selector) {
    const Program *program = in->program;
    Vec(const char *) names = {0};
    for (uint32_t i = 0; i < program->params.count; i++) {
        const Parameter *parameter = &program->params.at[i];
        if (parameter->kind == PARAM_MOVING) continue;
        if (selector->kind != N_STRING || selects(selector, parameter)) return;
        vec_push(in->arena, &names, parameter->name);
    }
    Diag *diag =
        diag_error(in->diags, selector->span, "no parameter is called \"%s\"", selector->name);
    const char *nearest = diag_nearest(selector->name, names.at, names.count);
    if (!nearest && names.count) nearest = names.at[0];
    if (nearest) diag_help(diag, "one is called \"%s\"; '*' stands for any letters", nearest);
}

static uint64_t rules_of(const Study *study, Parameter *parameter) {
    uint64_t rules = 0;
    for (uint32_t i = 0; i < study->groups.count; i++) {
        const Node *selectors = study->groups.at[i]->kids.at[0];
        bool selected = false;
        for (uint32_t k = 0; k < selectors->kids.count; k++)
            selected |= selects(selectors->kids.at[k], parameter);
        if (!selected) continue;
        rules |= (uint64_t)1 << i;
        if (is_frozen(study->groups.at[i])) parameter->kind = PARAM_FROZEN;
    }
    return rules;
}

static uint32_t group_of(Program *program, uint64_t rules) {
    for (uint32_t i = 0; i < program->groups.count; i++)
        if (program->groups.at[i].rules == rules) return i;
    vec_push(program->arena, &program->groups, (ParameterGroup){.rules = rules});
    return program->groups.count - 1;
}

static void place(Program *program, Parameter *parameter) {
    parameter->offset = parameter->node->offset = program->param_count;
    program->param_count = aligned(program->param_count + type_count(&parameter->type));
}

static void place_kind(Program *program, ParameterKind kind, uint32_t group) {
    for (uint32_t i = 0; i < program->params.count; i++) {
        Parameter *parameter = &program->params.at[i];
        if (parameter->kind == kind && parameter->group == group) place(program, parameter);
    }
}

void params_lay_out(Interp *in) {
    Program *program = in->program;
    const NodeList *groups = &in->study->groups;
    for (uint32_t i = 0; i < groups->count; i++)
        for (uint32_t k = 0; k < groups->at[i]->kids.at[0]->kids.count; k++)
            check_pattern(in, groups->at[i]->kids.at[0]->kids.at[k]);
    for (uint32_t i = 0; i < program->params.count; i++) {
        Parameter *parameter = &program->params.at[i];
        if (parameter->kind == PARAM_MOVING) continue;
        uint64_t rules = rules_of(in->study, parameter);
        if (parameter->kind == PARAM_TRAINED) parameter->group = group_of(program, rules);
    }
    program->param_count = 0;
    for (uint32_t i = 0; i < program->groups.count; i++) {
        program->groups.at[i].start = program->param_count;
        place_kind(program, PARAM_TRAINED, i);
        program->groups.at[i].end = program->param_count;
    }
    program->trained_count = program->param_count;
    place_kind(program, PARAM_FROZEN, 0);
    place_kind(program, PARAM_MOVING, 0);
}

/* ---- one vector ---- */

/* The parameter that begins first from `offset` on; NULL when none does. */
static const Parameter *next_parameter(const Program *program, int64_t offset) {
    const Parameter *next = NULL;
    for (uint32_t i = 0; i < program->params.count; i++) {
        const Parameter *parameter = &program->params.at[i];
        if (parameter->offset >= offset && (!next || parameter->offset < next->offset))
            next = parameter;
    }
    return next;
}

GNode *params_flat(const Program *program, Graph *graph, GNode **pieces, int64_t start,
                   int64_t end) {
    GNode **parts = arena_alloc(graph->arena, 2 * program->params.count * sizeof *parts);
    uint32_t part_count = 0;
    for (int64_t at = start; at < end;) {
        const Parameter *parameter = next_parameter(program, at);
        Dim line = {.size = type_count(&parameter->type)};
        GNode *piece = pieces[parameter - program->params.at];
        parts[part_count++] = graph_reshape(graph, piece, 1, &line, false, parameter->span);
        at = aligned(parameter->offset + line.size);
        int64_t gap = at - parameter->offset - line.size;
        if (!gap) continue;
        Type zeros = {.elem = graph->real, .rank = 1, .dims = {{.size = gap}}};
        parts[part_count++] = graph_fill(graph, 0, graph->real, &zeros, false, parameter->span);
    }
    return graph_flat(graph, parts, part_count, start, (Span){0});
}
