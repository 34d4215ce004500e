/* The update: gradients as flat vectors, clipped by their norm all together; the optimizer's rule
 * run on them; schedules, and what the study says of some parameters, put in the place of the
 * optimizer's arguments.
 *
 * A rule is run once for each group of parameters that the study treats alike, on the whole piece
 * of the flat vectors that they are. A rule that looks at the shape of what it updates (rank(param)
 * == 2, sums, products of matrices) is run for each parameter instead, in its shape. */
#include "compiler/graph/elaborate.h"
#include "compiler/graph/interp.h"

enum { MOST_STATES = 16 };

/* What a state begins with in elements start … start + count: a number, or a vector of the init
 * graph, which may be shorter. */
typedef struct {
    uint32_t state;
    int64_t start, count;
    GNode *first;
} StateStart;

/* A state of the rule that is being run: its shape, in the first elements of its piece. */
typedef struct {
    uint32_t state;
    Type type;
} RuleState;

struct RuleContext {
    Type type;            /* of `param`: a piece of the flat vector, or the parameter's */
    int64_t start, count; /* elements of the flat vectors */
    uint64_t rules;       /* the group's */
    GNode *param, *grad;
    Vec(RuleState) states;
    Vec(StateStart) starts; /* of all runs */
};

static bool mentions(const Node *node, NodeKind kind, const char *name) {
    if (node->kind == kind && !strcmp(node->name, name)) return true;
    for (uint32_t i = 0; i < node->kids.count; i++)
        if (mentions(node->kids.at[i], kind, name)) return true;
    return false;
}

static bool fits(const Type *type, const GNode *node) {
    if (node->batched || node->type.rank > type->rank) return false;
    for (uint32_t i = 0; i < node->type.rank; i++) {
        int64_t size = node->type.dims[i].size;
        if (size != 1 && size != type->dims[type->rank - node->type.rank + i].size) return false;
    }
    return true;
}

/* A value in the shape of `type` in in->graph; NULL after an error. */
static GNode *shaped_value(Interp *in, Value value, const Type *type, const char *name, Span span) {
    GNode *node = value_node(in, value, in->real, span);
    if (!node) return NULL;
    if (fits(type, node))
        return broadcast_to(in, in->graph, node, type->rank, type->dims, false, span);
    if (type_same_shape(type, &in->rule->type))
        interp_fail(in, span, "'%s' must be a number or have the shape of the parameters, not %s",
                    name, value_show(in, value));
    else
        interp_fail(in, span, "'%s' must be a number or %s, as it began, not %s", name,
                    type_show(in, type), value_show(in, value));
    return NULL;
}

static GNode *as_vector(Interp *in, GNode *node) {
    Dim line = {.size = type_count(&node->type)};
    return graph_reshape(in->graph, node, 1, &line, false, node->span);
}

/* ---- states ---- */

/* Its number, made on first sight; -1 after an error. */
static int state_number(Interp *in, const char *name, Span span) {
    Program *program = in->program;
    for (uint32_t i = 0; i < program->states.count; i++)
        if (!strcmp(program->states.at[i], name)) return (int)i;
    if (program->states.count == MOST_STATES) {
        interp_fail(in, span, "an optimizer has at most %d states", MOST_STATES);
        return -1;
    }
    vec_push(program->arena, &program->states, name);
    return (int)program->states.count - 1;
}

/* The state's old value, as it is in memory. */
static GNode *state_leaf(Interp *in, uint32_t state, const Type *type, const char *name,
                         Span span) {
    GNode *leaf = graph_flat_leaf(in->graph, OP_STATE, state, in->rule->start, type_count(type),
                                  name, interp_place(in, span));
    vec_push(in->arena, &in->rule->states, (RuleState){state, *type});
    return graph_reshape(in->graph, leaf, type->rank, type->dims, false, leaf->span);
}

static void begin_with(Interp *in, uint32_t state, GNode *first) {
    StateStart start = {state, in->rule->start, in->rule->count, first};
    vec_push(in->arena, &in->rule->starts, start);
}

static GNode *init_fill(Interp *in, double number, int64_t count) {
    Type line = {.elem = in->real, .rank = 1, .dims = {{.size = count}}};
    return graph_fill(in->program->init, number, in->real, &line, false, (Span){0});
}

/* `first` at the first step, whatever the memory holds; then the leaf. */
static GNode *from_first_step(Interp *in, GNode *first, GNode *leaf, Span span) {
    Type scalar = {.elem = in->real};
    Value step =
        value_tensor(graph_leaf(in->graph, OP_STEP, &scalar, false, true, 0, NULL, leaf->span));
    Value begins = value_binary(in, TOP_EQ, step, value_number(0, false, span), span);
    return value_where(in, begins, value_tensor(first), value_tensor(leaf), span).node;
}

/* The shape of a state that begins as `first`: its own, or for a number the parameter's. */
static bool state_type(Interp *in, const Node *node, const GNode *first, Type *type) {
    *type = first->type.rank ? first->type : in->rule->type;
    if (type_count(type) <= in->rule->count) return true;
    interp_fail(in, node->kids.at[0]->span,
                "state '%s' begins as %s: it may have no more elements than the parameter %s",
                node->name, type_show(in, &first->type), type_show(in, &in->rule->type));
    return false;
}

/* The value that the state begins with, in the graph of init. */
static GNode *initial_value(Interp *in, const Node *initial) {
    const Type *type = &in->rule->type;
    InitContext context = {.type = type,
                           .parameter = in->program->params.count + in->rule->starts.count};
    Graph *train = in->graph;
    in->graph = in->program->init;
    in->init = &context;
    GNode *first = value_node(in, interp_expression(in, initial), in->real, initial->span);
    in->init = NULL;
    in->graph = train;
    return first;
}

static bool is_declared(Interp *in, const Node *node) {
    for (uint32_t i = 0; i < in->rule->states.count; i++) {
        const char *name = in->program->states.at[in->rule->states.at[i].state];
        if (strcmp(name, node->name) != 0) continue;
        interp_fail(in, node->span, "state '%s' is declared twice", node->name);
        return true;
    }
    return false;
}

/* A beginning that depends on the parameter is computed at the first step, from the weights that
 * training really begins with; anything else by init. */
void update_state(Interp *in, const Node *node) {
    const Node *initial = node->kids.at[0];
    bool late = mentions(initial, N_NAME, "param");
    if (is_declared(in, node)) return;
    GNode *first = late ? value_node(in, interp_expression(in, initial), in->real, initial->span)
                        : initial_value(in, initial);
    int state = state_number(in, node->name, node->span);
    Type type;
    double number = 0;
    if (!first || state < 0 || !state_type(in, node, first, &type)) {
        interp_assign(in, in->frame, node->name, value_error());
        return;
    }
    bool fill = graph_is_fill(first, &number);
    GNode *leaf = state_leaf(in, (uint32_t)state, &type, node->name, node->span);
    if (late && !fill) leaf = from_first_step(in, first, leaf, initial->span);
    Graph *train = in->graph;
    in->graph = in->program->init;
    if (late || fill)
        first = init_fill(in, number, in->rule->count);
    else
        first = as_vector(
            in, broadcast_to(in, in->graph, first, type.rank, type.dims, false, initial->span));
    in->graph = train;
    begin_with(in, (uint32_t)state, first);
    interp_assign(in, in->frame, node->name, value_tensor(leaf));
}

/* The beginning of the state's first piece from `at` on; NULL when there is none. */
static const StateStart *next_start(const RuleContext *rule, uint32_t state, int64_t at) {
    const StateStart *next = NULL;
    for (uint32_t i = 0; i < rule->starts.count; i++) {
        const StateStart *start = &rule->starts.at[i];
        if (start->state == state && start->start >= at && (!next || start->start < next->start))
            next = start;
    }
    return next;
}

/* The number that all of the state's pieces begin with. */
static bool one_number(const RuleContext *rule, uint32_t state, double *number) {
    bool first = true;
    for (uint32_t i = 0; i < rule->starts.count; i++) {
        double other;
        if (rule->starts.at[i].state != state) continue;
        if (!graph_is_fill(rule->starts.at[i].first, &other)) return false;
        if (!first && other != *number) return false;
        *number = other;
        first = false;
    }
    return true;
}

/* The beginnings of one state as one vector; zeros where no rule has it. */
static GNode *state_start(Interp *in, uint32_t state) {
    const int64_t whole = in->program->trained_count;
    double number = 0;
    if (one_number(in->rule, state, &number)) return init_fill(in, number, whole);
    uint32_t count = 0;
    int64_t at = 0;
    const StateStart *start;
    GNode **parts = arena_alloc(in->arena, (2 * in->rule->starts.count + 1) * sizeof *parts);
    while ((start = next_start(in->rule, state, at))) {
        if (start->start > at) parts[count++] = init_fill(in, 0, start->start - at);
        parts[count++] = start->first;
        at = start->start + type_count(&start->first->type);
    }
    if (at < whole) parts[count++] = init_fill(in, 0, whole - at);
    return count == 1 ? parts[0] : graph_flat(in->program->init, parts, count, 0, (Span){0});
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

static void put_schedules(Interp *in, Frame *optimizer) {
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

/* ---- what is special of some parameters ---- */

/* The names of the study, and over them the optimizer's arguments as they are so far. */
static Frame *settings_frame(Interp *in, const Frame *optimizer) {
    Frame *frame = arena_alloc(in->arena, sizeof *frame);
    *frame = (Frame){.decl = in->frame->decl, .module = in->frame->module};
    for (uint32_t i = 0; i < in->frame->names.count; i++)
        vec_push(in->arena, &frame->names, in->frame->names.at[i]);
    for (uint32_t i = 0; i < optimizer->names.count; i++)
        vec_push(in->arena, &frame->names, optimizer->names.at[i]);
    return frame;
}

static void put_setting(Interp *in, Frame *optimizer, const Node *setting) {
    uint32_t position;
    if (!takes(optimizer->decl, setting->name, &position)) return; /* another choice does */
    Frame *study = in->frame;
    in->frame = settings_frame(in, optimizer);
    Value value = interp_expression(in, setting->kids.at[0]);
    in->frame = study;
    const Node *param = optimizer->decl->node->kids.at[0]->kids.at[position];
    signature_bind(in, optimizer, param, value, setting->kids.at[0]->span);
}

void update_arguments(Interp *in, Frame *optimizer) {
    put_schedules(in, optimizer);
    for (uint32_t i = 0; i < in->study->groups.count; i++) {
        if (!(in->rule->rules >> i & 1)) continue;
        const Node *block = in->study->groups.at[i]->kids.at[1];
        for (uint32_t k = 0; k < block->kids.count; k++)
            if (block->kids.at[k]->kind == N_ASSIGN) put_setting(in, optimizer, block->kids.at[k]);
    }
}

/* ---- does a rule look at shapes? ---- */

enum { DEEPEST_SEARCH = 20 };

static bool is_elementwise(Builtin builtin, uint32_t arguments) {
    if (builtin_info[builtin].is_value || builtin_is_random(builtin)) return true;
    if (builtin == BUILTIN_MAX || builtin == BUILTIN_MIN) return arguments != 1;
    return builtin <= BUILTIN_STOP_GRADIENT;
}

static bool looks_at_shapes(const Module *module, const Node *node, uint32_t depth);

static bool function_looks(const Module *module, const Node *name, uint32_t arguments,
                           uint32_t depth) {
    const Node *base = name->kind == N_MEMBER ? name->kids.at[0] : NULL;
    const Decl *decl = module_find(module, base ? base->name : NULL, name->name);
    if (decl && decl->kind == N_DEF)
        return depth < DEEPEST_SEARCH && looks_at_shapes(decl->module, decl->node, depth + 1);
    Builtin builtin = decl ? BUILTIN_NONE : module_builtin(module, name);
    return builtin != BUILTIN_NONE && !is_elementwise(builtin, arguments);
}

static bool looks_at_shapes(const Module *module, const Node *node, uint32_t depth) {
    uint32_t first = 0;
    switch (node->kind) {
    case N_BINARY:
        if (node->op == TOP_MATMUL) return true;
        break;
    case N_INDEX:
    case N_ARRAY: return true;
    case N_TYPE:
        for (uint32_t i = 0; i < node->kids.count; i++)
            if (node->kids.at[i]->kind != N_ELLIPSIS) return true;
        return false;
    case N_CALL:
        first = 1;
        if (function_looks(module, node->kids.at[0], node->kids.count - 1, depth)) return true;
        break;
    case N_NAME:
    case N_MEMBER: return function_looks(module, node, 2, depth);
    default: break;
    }
    for (uint32_t i = first; i < node->kids.count; i++)
        if (looks_at_shapes(module, node->kids.at[i], depth)) return true;
    return false;
}

/* ---- clipping ---- */

/* Over all parameters that are trained. */
static GNode *global_norm(Interp *in, GNode **gradients) {
    GNode *sum = NULL;
    for (uint32_t i = 0; i < in->program->groups.count; i++) {
        GNode *square = graph_binary(in->graph, OP_MUL, gradients[i], gradients[i], (Span){0});
        GNode *part = graph_reduce(in->graph, OP_SUM, square, 1, (Span){0});
        sum = sum ? graph_binary(in->graph, OP_ADD, sum, part, (Span){0}) : part;
    }
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

/* The state of the weights that are evaluated, which begin as the parameters; a rule that assigns
 * `weights` has it. */
static Value weights_before(Interp *in, const Decl *optimizer, Span span) {
    const RuleContext *rule = in->rule;
    if (!mentions(optimizer->node, N_ASSIGN, "weights")) return value_tensor(rule->param);
    int state = state_number(in, "weights", span);
    if (state < 0) return value_error();
    in->program->weights = state;
    GNode *leaf = state_leaf(in, (uint32_t)state, &rule->type, "weights", span);
    begin_with(in, (uint32_t)state, init_fill(in, 0, rule->count));
    return value_tensor(from_first_step(in, rule->param, leaf, span));
}

/* average + (1 - keep) / (1 - keep^(step + 1)) * (param - average): the exponential average of
 * the weights behind each step so far, without bias (Kingma and Ba 2015, section 3). */
static void add_average(Interp *in, Frame *frame, GNode *param) {
    const Node *keep = in->study->average;
    Span span = keep->span;
    int state = state_number(in, "average", span);
    if (state < 0) return;
    in->program->weights = state;
    GNode *leaf = state_leaf(in, (uint32_t)state, &in->rule->type, "average", span);
    begin_with(in, (uint32_t)state, init_fill(in, 0, in->rule->count));
    Type scalar = {.elem = in->real};
    Value one = value_number(1, true, span), rate = interp_expression(in, keep);
    Value step = value_tensor(
        graph_leaf(in->graph, OP_STEP, &scalar, false, true, 0, NULL, interp_place(in, span)));
    Value steps = value_binary(in, TOP_ADD, step, one, span);
    Value past = value_binary(in, TOP_POW, rate, steps, span);
    Value weight = value_binary(in, TOP_DIV, value_binary(in, TOP_SUB, one, rate, span),
                                value_binary(in, TOP_SUB, one, past, span), span);
    Value apart = value_binary(in, TOP_SUB, value_tensor(param), value_tensor(leaf), span);
    Value moved = value_binary(in, TOP_MUL, weight, apart, span);
    interp_bind(in, frame, "average", value_binary(in, TOP_ADD, value_tensor(leaf), moved, span));
}

static void check_average(Interp *in, const Decl *optimizer) {
    const Node *average = in->study->average;
    if (!average) return;
    bool own = mentions(optimizer->node, N_ASSIGN, "weights");
    if (!own && !mentions(optimizer->node, N_STATE, "average")) return;
    Diag *diag = diag_error(in->diags, average->span,
                            own ? "optimizer '%s' says itself which weights are evaluated"
                                : "optimizer '%s' has a state 'average' of its own",
                            optimizer->name);
    diag_note(diag, optimizer->node->name_span, "'%s' is declared here", optimizer->name);
    diag_help(diag, own ? "leave out 'average'" : "give that state another name");
}

static const Value *find_value(const Frame *frame, const char *name) {
    for (uint32_t i = frame->names.count; i-- > 0;)
        if (!strcmp(frame->names.at[i].name, name)) return &frame->names.at[i].value;
    return NULL;
}

static void add_outputs(Interp *in, Frame *frame, const Value *before, Span span) {
    const RuleContext *rule = in->rule;
    Value *weights = (Value *)find_value(frame, "weights");
    GNode *param = shaped_value(in, *find_value(frame, "param"), &rule->type, "param", span);
    if (!param) return;
    if (weights->node == before->node) *weights = value_tensor(param); /* not assigned here */
    if (in->study->average) add_average(in, frame, param);
    graph_output_at(in->graph, OUT_PARAM, 0, rule->start, as_vector(in, param));
    for (uint32_t i = 0; i < rule->states.count; i++) {
        const RuleState *state = &rule->states.at[i];
        const char *name = in->program->states.at[state->state];
        GNode *value = shaped_value(in, *find_value(frame, name), &state->type, name, span);
        if (value)
            graph_output_at(in->graph, OUT_STATE, state->state, rule->start, as_vector(in, value));
    }
}

/* Once: for elements start … start + count, in the shape of `type`. */
static void run_rule(Interp *in, const Function *optimizer, GNode *gradient, GNode *norm) {
    const ArgumentList none = {0};
    RuleContext *rule = in->rule;
    Span span = optimizer_place(in);
    rule->states.count = 0;
    GNode *flat =
        graph_flat_leaf(in->graph, OP_FLAT_PARAM, 0, rule->start, rule->count, NULL, span);
    rule->param = graph_reshape(in->graph, flat, rule->type.rank, rule->type.dims, false, span);
    gradient = graph_reshape(in->graph, gradient, rule->type.rank, rule->type.dims, false, span);
    Value weights = weights_before(in, optimizer->decl, span);
    Binding specials[] = {{intern(in->interner, "param"), value_tensor(rule->param)},
                          {intern(in->interner, "weights"), weights},
                          {intern(in->interner, "grad"), clipped(in, gradient, norm)}};
    Frame *frame = interp_run(in, optimizer, &none, span, specials, 3);
    if (frame) add_outputs(in, frame, &weights, span);
}

/* The piece of its group's gradient that belongs to a parameter. */
static GNode *gradient_of(Interp *in, const Parameter *parameter, GNode **gradients) {
    const ParameterGroup *group = &in->program->groups.at[parameter->group];
    int64_t start = parameter->offset - group->start;
    Dim line = {.size = type_count(&parameter->type)};
    return graph_slice(in->graph, gradients[parameter->group], &start, &line, parameter->span);
}

static void run_rules(Interp *in, const Function *optimizer, GNode **gradients, GNode *norm) {
    const Program *program = in->program;
    bool apart = looks_at_shapes(optimizer->decl->module, optimizer->decl->node, 0);
    uint32_t errors = diags_error_count(in->diags);
    for (uint32_t i = 0; i < program->groups.count && !apart; i++) {
        const ParameterGroup *group = &program->groups.at[i];
        in->rule->start = group->start;
        in->rule->count = group->end - group->start;
        in->rule->rules = group->rules;
        in->rule->type = (Type){.elem = in->real, .rank = 1, .dims = {{.size = in->rule->count}}};
        run_rule(in, optimizer, gradients[i], norm);
    }
    for (uint32_t i = 0; i < program->params.count && apart; i++) {
        const Parameter *parameter = &program->params.at[i];
        if (parameter->kind != PARAM_TRAINED) continue;
        if (diags_error_count(in->diags) > errors) return; /* the next one would say it again */
        in->rule->start = parameter->offset;
        in->rule->count = type_count(&parameter->type);
        in->rule->rules = program->groups.at[parameter->group].rules;
        in->rule->type = parameter->type;
        run_rule(in, optimizer, gradient_of(in, parameter, gradients), norm);
    }
}

static void add_moved(Interp *in) {
    for (uint32_t i = 0; i < in->program->params.count; i++) {
        const Parameter *parameter = &in->program->params.at[i];
        if (parameter->moved)
            graph_output_at(in->graph, OUT_PARAM, 0, parameter->offset,
                            as_vector(in, parameter->moved));
    }
}

static void run_optimizer(Interp *in, GNode **gradients) {
    Span span = optimizer_place(in);
    Value optimizer = optimizer_of(in);
    if (optimizer.kind == V_ERROR) return;
    if (optimizer.kind != V_FUNCTION || !optimizer.function->decl ||
        optimizer.function->decl->kind != N_OPTIMIZER) {
        interp_fail(in, span, "an optimizer is wanted here, not %s", value_show(in, optimizer));
        return;
    }
    check_average(in, optimizer.function->decl);
    GNode *norm = global_norm(in, gradients);
    graph_output(in->graph, OUT_LOSS, 0, in->program->loss);
    graph_output(in->graph, OUT_GRAD_NORM, 0, norm);
    run_rules(in, optimizer.function, gradients, norm);
    add_moved(in);
    for (uint32_t i = 0; i < in->program->states.count; i++)
        graph_output(in->program->init, OUT_STATE, i, state_start(in, i));
}

void update(Program *program, GNode **grads, const Checked *checked, const Study *study,
            const Variant *variant, Interner *names, Diags *diags) {
    RuleContext rule = {.rules = 0};
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
                 .rule = &rule,
                 .site = FIRST_SITE};
    program->train->significant = 0; /* of contractions of an optimizer, all */
    study_frame(&in);
    GNode **flat = arena_alloc(program->arena, program->groups.count * sizeof *flat);
    for (uint32_t i = 0; i < program->groups.count; i++)
        flat[i] = params_flat(program, program->train, grads, program->groups.at[i].start,
                              program->groups.at[i].end);
    run_optimizer(&in, flat);
}
