/* The update: gradients as one vector, clipped by their global norm; the optimizer's rule run once
 * on whole vectors; schedules put in the place of the optimizer's arguments. */
#include "compiler/graph/elaborate.h"
#include "compiler/graph/interp.h"

enum { MOST_STATES = 16 };

static Type flat_type(const Interp *in) {
    Type type = {.elem = in->real, .rank = 1};
    type.dims[0] = (Dim){.size = in->program->param_count};
    return type;
}

/* A value as a vector over all parameters in in->graph; NULL after an error. */
static GNode *flat_value(Interp *in, Value value, const char *name, Span span) {
    GNode *node = value_node(in, value, in->real, span);
    if (!node) return NULL;
    Type type = flat_type(in);
    bool fits = !node->type.rank ||
                (node->type.rank == 1 &&
                 (node->type.dims[0].size == 1 || node->type.dims[0].size == type.dims[0].size));
    if (fits) return broadcast_to(in, in->graph, node, 1, type.dims, false, span);
    interp_fail(in, span, "'%s' must be a number or have the shape of the parameters, not %s", name,
                value_show(in, value));
    return NULL;
}

/* ---- states ---- */

void update_state(Interp *in, const Node *node) {
    Program *program = in->program;
    Type type = flat_type(in);
    uint32_t index = program->states.count;
    if (index == MOST_STATES) {
        interp_fail(in, node->span, "an optimizer has at most %d states", MOST_STATES);
        return;
    }
    InitContext context = {.type = &type, .parameter = program->params.count + index};
    Graph *train = in->graph;
    in->graph = program->init;
    in->init = &context;
    const Node *initial = node->kids.at[0];
    GNode *start = flat_value(in, interp_expression(in, initial), node->name, initial->span);
    in->init = NULL;
    in->graph = train;
    if (start) graph_output(program->init, OUT_STATE, index, start);
    vec_push(program->arena, &program->states, node->name);
    GNode *state = graph_leaf(train, OP_STATE, &type, false, true, index, node->name,
                              interp_place(in, node->span));
    interp_assign(in, in->frame, node->name, value_tensor(state));
}

/* ---- schedules ---- */

typedef Vec(const Node *) Pieces;

static void flatten_then(Interp *in, const Node *node, Pieces *pieces) {
    if (node->kind != N_THEN) {
        vec_push(in->arena, pieces, node);
        return;
    }
    flatten_then(in, node->kids.at[0], pieces);
    flatten_then(in, node->kids.at[1], pieces);
}

static bool takes(const Decl *decl, const char *name, uint32_t *position) {
    const Node *params = tree_kid(decl->node, 0);
    for (*position = 0; params && *position < params->kids.count; ++*position)
        if (params->kids.at[*position]->name == name) return true;
    return false;
}

/* Was the parameter given an argument, by name or by position? */
static bool has_argument(const Function *function, const char *name) {
    uint32_t position, positional = 0;
    if (!takes(function->decl, name, &position)) return false;
    for (uint32_t i = 0; i < function->bound.count; i++) {
        if (function->bound.at[i].name == name) return true;
        positional += !function->bound.at[i].name;
    }
    return positional > position;
}

static Value run_pieces(Interp *in, const Node *const *pieces, uint32_t count, Value base,
                        Value step, Value steps) {
    const ArgumentList none = {0};
    const Node *node = pieces[0];
    Value piece = interp_expression(in, node);
    if (piece.kind == V_ERROR) return piece;
    if (piece.kind != V_FUNCTION || !piece.function->decl ||
        piece.function->decl->kind != N_SCHEDULE)
        return interp_fail(in, node->span, "a schedule is wanted here, not %s",
                           value_show(in, piece));
    const char *length_name = intern(in->interner, "steps");
    if (count > 1 && !has_argument(piece.function, length_name)) {
        Diag *diag = interp_error(in, node->span,
                                  "how long is this piece of the schedule? another follows it");
        diag_help(diag, "say %s(steps: …)", piece.function->decl->name);
        return value_error();
    }
    Binding specials[] = {{intern(in->interner, "base"), base},
                          {intern(in->interner, "step"), step},
                          {length_name, steps}};
    Frame *frame = interp_run(in, piece.function, &none, node->span, specials, 3);
    if (!frame) return value_error();
    if (!frame->returned)
        return interp_fail(in, piece.function->decl->node->name_span,
                           "'%s' does not return a value", piece.function->decl->name);
    if (count == 1) return frame->result;
    Value length = *interp_lookup(frame, length_name);
    Value rest = run_pieces(in, pieces + 1, count - 1, base,
                            value_binary(in, TOP_SUB, step, length, node->span),
                            value_binary(in, TOP_SUB, steps, length, node->span));
    Value now = value_binary(in, TOP_LT, step, length, node->span);
    return value_where(in, now, frame->result, rest, node->span);
}

static Value scheduled(Interp *in, const Node *expression, Value base) {
    Type scalar = {.elem = in->real};
    Value step = value_tensor(graph_leaf(in->graph, OP_STEP, &scalar, false, true, 0, NULL,
                                         interp_place(in, expression->span)));
    Pieces pieces = {0};
    flatten_then(in, expression, &pieces);
    return run_pieces(in, pieces.at, pieces.count, base, step,
                      value_number((double)in->study->steps, false, expression->span));
}

/* A schedule may belong to another choice of the optimizer, but some optimizer of the study must
 * take it. */
static bool any_optimizer_takes(Interp *in, const char *name) {
    const Study *study = in->study;
    if (study->optimizer_hyper < 0) return false;
    const Hyper *hyper = &study->hypers.at[study->optimizer_hyper];
    uint32_t position;
    for (uint32_t i = 0; i < hyper->count; i++) {
        const Node *node = hyper->choices[i];
        Value value = interp_expression(in, node->kind == N_CALL ? node->kids.at[0] : node);
        if (value.kind == V_FUNCTION && value.function->decl &&
            takes(value.function->decl, name, &position))
            return true;
    }
    return false;
}

void update_schedules(Interp *in, Frame *optimizer) {
    for (uint32_t i = 0; i < in->study->schedules.count; i++) {
        const Node *node = in->study->schedules.at[i];
        uint32_t position;
        if (takes(optimizer->decl, node->name, &position)) {
            Value base = *interp_lookup(optimizer, node->name);
            Value value = scheduled(in, node->kids.at[0], base);
            if (value.kind == V_TENSOR && !value.node->name) value.node->name = node->name;
            interp_assign(in, optimizer, node->name, value);
        } else if (!any_optimizer_takes(in, node->name)) {
            interp_fail(in, node->name_span, "optimizer '%s' has no parameter '%s' to schedule",
                        optimizer->decl->name, node->name);
        }
    }
}

/* ---- clipping ---- */

static GNode *global_norm(Interp *in, GNode *gradient) {
    GNode *square = graph_binary(in->graph, OP_MUL, gradient, gradient, (Span){0});
    GNode *sum = graph_reduce(in->graph, OP_SUM, square, 1, (Span){0});
    GNode *norm = graph_unary(in->graph, OP_SQRT, sum, (Span){0});
    if (!norm->name) norm->name = "grad_norm";
    return norm;
}

/* gradient * (norm > threshold ? threshold / norm : 1) */
static Value clipped(Interp *in, GNode *gradient, GNode *norm) {
    const Node *clip = in->study->clip;
    Value whole = value_tensor(gradient), size = value_tensor(norm);
    if (!clip) return whole;
    Value limit = interp_expression(in, clip);
    Value factor = value_where(in, value_binary(in, TOP_GT, size, limit, clip->span),
                               value_binary(in, TOP_DIV, limit, size, clip->span),
                               value_number(1, true, clip->span), clip->span);
    return value_binary(in, TOP_MUL, whole, factor, clip->span);
}

/* ---- the rule ---- */

static Value optimizer_of(Interp *in) {
    const Study *study = in->study;
    if (study->optimizer_hyper < 0) return interp_expression(in, study->optimizer_node);
    return study_choice(in, (uint32_t)study->optimizer_hyper,
                        (uint32_t)in->variant->choice[study->optimizer_hyper]);
}

static Span optimizer_place(const Interp *in) {
    const Study *study = in->study;
    if (study->optimizer_hyper < 0) return study->optimizer_node->span;
    return study->hypers.at[study->optimizer_hyper]
        .choices[in->variant->choice[study->optimizer_hyper]]
        ->span;
}

static void add_outputs(Interp *in, const Frame *rule, const char *param_name, GNode *norm,
                        Span span) {
    Graph *train = in->graph;
    GNode *param = flat_value(in, *interp_lookup(rule, param_name), "param", span);
    if (!param) return;
    graph_output(train, OUT_LOSS, 0, in->program->loss);
    graph_output(train, OUT_GRAD_NORM, 0, norm);
    graph_output(train, OUT_PARAM, 0, param);
    for (uint32_t i = 0; i < in->program->states.count; i++) {
        const char *name = in->program->states.at[i];
        GNode *state = flat_value(in, *interp_lookup(rule, name), name, span);
        if (state) graph_output(train, OUT_STATE, i, state);
    }
}

static void run_rule(Interp *in, GNode *gradient) {
    const ArgumentList none = {0};
    Type type = flat_type(in);
    Span span = optimizer_place(in);
    Value optimizer = optimizer_of(in);
    if (optimizer.kind == V_ERROR) return;
    if (optimizer.kind != V_FUNCTION || !optimizer.function->decl ||
        optimizer.function->decl->kind != N_OPTIMIZER) {
        interp_fail(in, span, "an optimizer is wanted here, not %s", value_show(in, optimizer));
        return;
    }
    GNode *norm = global_norm(in, gradient);
    GNode *param = graph_leaf(in->graph, OP_FLAT_PARAM, &type, false, true, 0, NULL, span);
    const char *param_name = intern(in->interner, "param");
    Binding specials[] = {{param_name, value_tensor(param)},
                          {intern(in->interner, "grad"), clipped(in, gradient, norm)}};
    Frame *rule = interp_run(in, optimizer.function, &none, span, specials, 2);
    if (rule) add_outputs(in, rule, param_name, norm, span);
}

void update(Program *program, GNode **grads, const Checked *checked, const Study *study,
            const Variant *variant, Interner *names, Diags *diags) {
    Interp in = {.checked = checked,
                 .study = study,
                 .variant = variant,
                 .program = program,
                 .arena = program->arena,
                 .interner = names,
                 .diags = diags,
                 .mode = MODE_UPDATE,
                 .batch = program->batch,
                 .real = program->real,
                 .graph = program->train,
                 .site = FIRST_SITE};
    study_frame(&in);
    GNode *gradient = params_flat(program, program->train, grads);
    run_rule(&in, gradient);
}
