/* The abstract interpreter of statements, names and calls. Evaluation is eager and everything is
 * unrolled: what is left behind are the nodes that were made on the way. */
#include "compiler/graph/interp.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "compiler/graph/elaborate.h"

enum { DEEPEST_CALL = 100, MOST_REPEATS = 1000, MOST_STATEMENTS = 2000000, LONGEST_CHAIN = 6 };
static const int64_t most_elements = (int64_t)1 << 36;

/* ---- messages ---- */

enum { LONGEST_MESSAGE = 1024 };

static Diag *error_with(Interp *in, Span span, const char *format, va_list list) {
    char text[LONGEST_MESSAGE];
    vsnprintf(text, sizeof text, format, list);
    return diag_error(in->diags, span, "%s", text);
}

Diag *interp_error(Interp *in, Span span, const char *format, ...) {
    va_list list;
    va_start(list, format);
    Diag *diag = error_with(in, span, format, list);
    va_end(list);
    return diag;
}

void interp_chain(Interp *in, Diag *diag) {
    uint32_t shown = 0;
    for (const Frame *frame = in->frame; frame && shown < LONGEST_CHAIN; frame = frame->up) {
        if (!frame->call.end || frame->decl->kind == N_MODEL) continue;
        diag_note(diag, frame->call, "in this call of '%s'", frame->decl->name);
        shown++;
    }
}

Value interp_fail(Interp *in, Span span, const char *format, ...) {
    va_list list;
    va_start(list, format);
    Diag *diag = error_with(in, span, format, list);
    va_end(list);
    interp_chain(in, diag);
    return value_error();
}

Span interp_place(const Interp *in, Span span) {
    for (const Frame *frame = in->frame; frame; frame = frame->up) {
        if (frame->module == in->checked->main) return span;
        if (!frame->call.end) break;
        span = frame->call;
    }
    return span;
}

/* ---- names ---- */

Value value_function(Interp *in, const Decl *decl, Builtin builtin) {
    Function *function = arena_alloc(in->arena, sizeof *function);
    function->decl = decl;
    function->builtin = builtin;
    return (Value){.kind = V_FUNCTION, .function = function};
}

const Value *interp_lookup(const Frame *frame, const char *name) {
    for (uint32_t i = frame->names.count; i-- > 0;)
        if (frame->names.at[i].name == name) return &frame->names.at[i].value;
    return NULL;
}

void interp_bind(Interp *in, Frame *frame, const char *name, Value value) {
    vec_push(in->arena, &frame->names, (Binding){name, value});
}

void interp_assign(Interp *in, Frame *frame, const char *name, Value value) {
    for (uint32_t i = frame->names.count; i-- > 0;) {
        if (frame->names.at[i].name != name) continue;
        frame->names.at[i].value = value;
        return;
    }
    interp_bind(in, frame, name, value);
}

/* fan_in and fan_out of the parameter at hand: of a matrix its two sizes, of a vector its length,
 * of more axes the last two times the number of positions in the others. */
static double fan(const Type *type, bool out) {
    if (type->rank == 0) return 1;
    if (type->rank == 1) return (double)type->dims[0].size;
    double positions = 1;
    for (uint32_t i = 0; i + 2 < type->rank; i++) positions *= (double)type->dims[i].size;
    return positions * (double)type->dims[type->rank - (out ? 1 : 2)].size;
}

static Value builtin_value(Interp *in, Builtin builtin, Span span) {
    Type scalar = {.elem = in->real};
    switch (builtin) {
    case BUILTIN_PI: return value_number(3.14159265358979323846, true, span);
    case BUILTIN_BATCH: return (Value){.kind = V_BATCH};
    case BUILTIN_TRAINING: return value_bool(in->mode == MODE_TRAIN);
    case BUILTIN_STEP:
        if (!in->study) break;
        return value_tensor(
            graph_leaf(in->graph, OP_STEP, &scalar, false, true, 0, NULL, interp_place(in, span)));
    case BUILTIN_STEPS:
        if (!in->study) break;
        return value_number((double)in->study->steps, false, span);
    case BUILTIN_FAN_IN:
    case BUILTIN_FAN_OUT:
        if (!in->init) break;
        return value_number(fan(in->init->type, builtin == BUILTIN_FAN_OUT), false, span);
    default: break;
    }
    return interp_fail(in, span, "'%s' means nothing here", builtin_info[builtin].text);
}

/* The same scalar in the graph of initial values; NULL when it is made of more than
 * hyperparameters. */
static GNode *copy_scalar(Interp *in, const GNode *node) {
    bool leaf = node->op == OP_CONST || node->op == OP_HYPER;
    if (node->type.rank || (!leaf && !node->in_count)) return NULL;
    GNode *operands[3] = {0};
    for (uint32_t i = 0; i < node->in_count && i < 3; i++) {
        operands[i] = copy_scalar(in, node->in[i]);
        if (!operands[i]) return NULL;
    }
    return graph_copy(in->graph, node, operands);
}

/* Initial values have a graph of their own: a value of the model can enter it only as a scalar. */
static Value value_for_init(Interp *in, Value value, Span span) {
    if (value.kind != V_TENSOR) return value;
    const GNode *node = value.node;
    if (node->id < in->graph->nodes.count && in->graph->nodes.at[node->id] == node) return value;
    GNode *copy = copy_scalar(in, node);
    if (copy) return value_tensor(copy);
    return interp_fail(in, span, "an initial value cannot depend on values of the model");
}

/* A field of the data set, in the model's own statements. */
static const Field *find_field(const Interp *in, const char *name, uint32_t *index) {
    if (!in->study || !in->study->data || in->frame->decl->kind != N_MODEL) return NULL;
    const FieldList *fields = &in->study->data->fields;
    for (*index = 0; *index < fields->count; ++*index)
        if (!strcmp(fields->at[*index].name, name)) return &fields->at[*index];
    return NULL;
}

static Value field_value(Interp *in, const Field *field, uint32_t index) {
    Type type = {.elem = field_elem(in->checked, in->study->data, field), .rank = field->rank + 1};
    type.dims[0] = batch_dim(in);
    for (uint32_t i = 0; i < field->rank; i++)
        type.dims[i + 1] = (Dim){field->dims[i], field->name, field->span};
    int64_t classes = field->type == FIELD_CLASS ? field->classes : 0;
    GNode *node = graph_field(in->graph, &type, index, classes, field->row == FIELD_WINDOW,
                              field->name, field->span);
    if (field_is_narrow(field)) return value_tensor(cast_to(in, node, E_I32, field->span));
    return value_tensor(elem_is_real(type.elem) ? cast_to(in, node, in->real, field->span) : node);
}

static Value lookup_name(Interp *in, const Node *node) {
    const Value *local = interp_lookup(in->frame, node->name);
    if (local) return in->init ? value_for_init(in, *local, node->span) : *local;
    uint32_t index;
    const Field *field = find_field(in, node->name, &index);
    if (field) return field_value(in, field, index);
    Decl *decl = module_find(in->frame->module, NULL, node->name);
    if (decl) return value_function(in, decl, BUILTIN_NONE);
    Builtin builtin = builtin_find(node->name);
    if (builtin == BUILTIN_NONE)
        return interp_fail(in, node->span, "unknown name '%s'", node->name);
    if (builtin_info[builtin].is_value) return builtin_value(in, builtin, node->span);
    return value_function(in, NULL, builtin);
}

static Value lookup_member(Interp *in, const Node *node) {
    const Node *base = tree_kid(node, 0);
    Decl *decl = module_find(in->frame->module, base ? base->name : NULL, node->name);
    if (decl) return value_function(in, decl, BUILTIN_NONE);
    Builtin builtin = module_builtin(in->frame->module, node);
    if (builtin != BUILTIN_NONE) return value_function(in, NULL, builtin);
    return interp_fail(in, node->span, "unknown name '%s.%s'", base ? base->name : "", node->name);
}

/* ---- calls ---- */

static const char *layer_path(Interp *in, const Decl *layer) {
    Frame *owner = in->frame;
    while (owner->up && !owner->path) owner = owner->up;
    uint32_t i = 0;
    while (i < owner->layers.count && owner->layers.at[i].name != layer->name) i++;
    if (i == owner->layers.count) vec_push(in->arena, &owner->layers, (LayerCount){layer->name, 0});
    owner->layers.at[i].count++;
    return arena_printf(in->arena, "%s%s%u.", owner->path ? owner->path : "", layer->name,
                        owner->layers.at[i].count);
}

static const Argument *find_argument(const ArgumentList *arguments, const char *name) {
    for (uint32_t i = 0; i < arguments->count; i++)
        if (arguments->at[i].name == name) return &arguments->at[i];
    return NULL;
}

static const Argument *next_positional(const ArgumentList *arguments, uint32_t *next) {
    while (*next < arguments->count && arguments->at[*next].name) ++*next;
    return *next < arguments->count ? &arguments->at[(*next)++] : NULL;
}

static void unknown_argument(Interp *in, const Decl *decl, const Argument *argument) {
    const Node *params = tree_kid(decl->node, 0);
    Vec(const char *) names = {0};
    for (uint32_t i = 0; params && i < params->kids.count; i++)
        vec_push(in->arena, &names, params->kids.at[i]->name);
    if (!argument->name) {
        interp_fail(in, argument->span, "too many arguments: '%s' takes %u", decl->name,
                    names.count);
        return;
    }
    Diag *diag =
        interp_error(in, argument->span, "'%s' has no parameter '%s'", decl->name, argument->name);
    interp_chain(in, diag);
    const char *nearest = diag_nearest(argument->name, names.at, names.count);
    if (nearest) diag_help(diag, "did you mean '%s'?", nearest);
}

/* Every argument must have met a parameter. */
static bool arguments_used(Interp *in, const Decl *decl, const ArgumentList *arguments,
                           uint32_t next) {
    const Node *params = tree_kid(decl->node, 0);
    const Argument *extra = next_positional(arguments, &next);
    for (uint32_t i = 0; !extra && i < arguments->count; i++) {
        bool known = !arguments->at[i].name;
        for (uint32_t p = 0; params && p < params->kids.count; p++)
            known |= params->kids.at[p]->name == arguments->at[i].name;
        if (!known) extra = &arguments->at[i];
    }
    if (extra) unknown_argument(in, decl, extra);
    return !extra;
}

/* Binds one parameter: by name, else by position, else by its default, read inside the definition.
 */
static bool bind_parameter(Interp *in, Frame *frame, const Node *param,
                           const ArgumentList *arguments, uint32_t *next) {
    const Argument *given = find_argument(arguments, param->name);
    if (!given) given = next_positional(arguments, next);
    if (given) return signature_bind(in, frame, param, given->value, given->span);
    const Node *otherwise = tree_kid(param, 1);
    if (!otherwise) {
        interp_fail(in, frame->call, "'%s' needs an argument for '%s'", frame->decl->name,
                    param->name);
        return false;
    }
    Frame *caller = in->frame;
    in->frame = frame;
    Value value = interp_expression(in, otherwise);
    in->frame = caller;
    return signature_bind(in, frame, param, value, otherwise->span);
}

static bool bind_parameters(Interp *in, Frame *frame, const ArgumentList *arguments) {
    const Node *params = tree_kid(frame->decl->node, 0);
    uint32_t next = 0;
    bool good = true;
    for (uint32_t i = 0; params && i < params->kids.count; i++)
        good &= bind_parameter(in, frame, params->kids.at[i], arguments, &next);
    return good && arguments_used(in, frame->decl, arguments, next);
}

static ArgumentList join_arguments(Interp *in, const ArgumentList *a, const ArgumentList *b) {
    ArgumentList joined = {0};
    for (uint32_t i = 0; i < a->count; i++)
        if (!a->at[i].name || !find_argument(b, a->at[i].name))
            vec_push(in->arena, &joined, a->at[i]);
    for (uint32_t i = 0; i < b->count; i++) vec_push(in->arena, &joined, b->at[i]);
    return joined;
}

Frame *interp_run(Interp *in, const Function *function, const ArgumentList *arguments, Span span,
                  const Binding *specials, uint32_t special_count) {
    const Decl *decl = function->decl;
    Frame *frame = arena_alloc(in->arena, sizeof *frame);
    *frame = (Frame){.up = in->frame,
                     .depth = in->frame->depth + 1,
                     .decl = decl,
                     .module = decl->module,
                     .call = span};
    if (frame->depth > DEEPEST_CALL) {
        diag_error(in->diags, span, "'%s' calls itself without end", decl->name);
        return NULL;
    }
    for (uint32_t i = 0; i < special_count; i++)
        interp_bind(in, frame, specials[i].name, specials[i].value);
    ArgumentList all = join_arguments(in, &function->bound, arguments);
    if (!bind_parameters(in, frame, &all)) return NULL;
    if (decl->kind == N_OPTIMIZER) update_arguments(in, frame);
    if (decl->kind == N_LAYER) frame->path = layer_path(in, decl);
    if (decl->kind == N_MODEL) frame->path = "";
    in->frame = frame;
    interp_block(in, decl->node->kids.at[decl->node->kids.count - 1]);
    in->frame = frame->up;
    return frame;
}

static Value bind_only(Interp *in, const Function *function, const ArgumentList *arguments) {
    Value value = value_function(in, function->decl, function->builtin);
    value.function->bound = join_arguments(in, &function->bound, arguments);
    return value;
}

static Value run_for_value(Interp *in, const Function *function, const ArgumentList *arguments,
                           Span span) {
    Frame *frame = interp_run(in, function, arguments, span, NULL, 0);
    if (!frame || (!frame->returned && in->statements >= MOST_STATEMENTS)) return value_error();
    if (frame->returned) return frame->result;
    Diag *diag = interp_error(in, function->decl->node->name_span, "'%s' does not return a value",
                              function->decl->name);
    diag_note(diag, span, "its value is wanted here");
    diag_help(diag, "end it with 'return …'");
    return value_error();
}

Value interp_call(Interp *in, const Function *function, const ArgumentList *arguments, Span span) {
    for (uint32_t i = 0; i < arguments->count; i++)
        if (arguments->at[i].value.kind == V_ERROR) return value_error();
    if (!function->decl) {
        ArgumentList all = join_arguments(in, &function->bound, arguments);
        return builtin_call(in, function->builtin, &all, span);
    }
    switch (function->decl->kind) {
    case N_LAYER:
        if (in->init || !in->program || in->mode == MODE_UPDATE)
            return interp_fail(in, span, "only models and layers can call the layer '%s'",
                               function->decl->name);
        return run_for_value(in, function, arguments, span);
    case N_DEF: return run_for_value(in, function, arguments, span);
    case N_INIT:
        if (in->init) return run_for_value(in, function, arguments, span);
        return bind_only(in, function, arguments);
    case N_OPTIMIZER:
    case N_SCHEDULE: return bind_only(in, function, arguments);
    default:
        return interp_fail(in, span, "'%s' is a %s and cannot be called here", function->decl->name,
                           tree_kind_name(function->decl->kind));
    }
}

ArgumentList interp_arguments(Interp *in, const Node *call) {
    ArgumentList arguments = {0};
    for (uint32_t i = 1; i < call->kids.count; i++) {
        const Node *kid = call->kids.at[i];
        const Node *value = kid->kind == N_ARG ? kid->kids.at[0] : kid;
        Argument argument = {kid->kind == N_ARG ? kid->name : NULL, interp_expression(in, value),
                             value->span};
        vec_push(in->arena, &arguments, argument);
    }
    return arguments;
}

static Value expression_call(Interp *in, const Node *node) {
    Value callee = interp_expression(in, node->kids.at[0]);
    ArgumentList arguments = interp_arguments(in, node);
    if (callee.kind == V_ERROR) return callee;
    if (callee.kind != V_FUNCTION)
        return interp_fail(in, node->kids.at[0]->span, "%s cannot be called",
                           value_show(in, callee));
    return interp_call(in, callee.function, &arguments, node->span);
}

/* ---- expressions ---- */

static Value expression_array(Interp *in, const Node *node) {
    Value *values = arena_alloc(in->arena, node->kids.count * sizeof *values);
    for (uint32_t i = 0; i < node->kids.count; i++) {
        values[i] = interp_expression(in, node->kids.at[i]);
        if (values[i].kind == V_ERROR) return value_error();
    }
    return view_stack(in, values, node->kids.count, node->span);
}

static Value expression_binary(Interp *in, const Node *node) {
    Value a = interp_expression(in, node->kids.at[0]);
    Value b = interp_expression(in, node->kids.at[1]);
    if (a.kind == V_ERROR || b.kind == V_ERROR) return value_error();
    return value_binary(in, node->op, a, b, node->span);
}

static Value expression_unary(Interp *in, const Node *node) {
    Value a = interp_expression(in, node->kids.at[0]);
    return a.kind == V_ERROR ? a : value_unary(in, node->op, a, node->span);
}

/* Sizes multiply; nothing behind this point needs to think of overflow. */
static Value limited(Interp *in, Value value, Span span) {
    int64_t count = 1;
    if (value.kind != V_TENSOR) return value;
    for (uint32_t i = 0; i < value.node->type.rank; i++) {
        if (value.node->type.dims[i].size > most_elements / count)
            return interp_fail(in, span, "%s has more than 2^36 elements",
                               type_show(in, &value.node->type));
        count *= value.node->type.dims[i].size;
    }
    return value;
}

Value interp_expression(Interp *in, const Node *node) {
    switch (node->kind) {
    case N_ERROR: return value_error();
    case N_NUMBER: return value_number(node->number, !node->flag, node->span);
    case N_BOOL: return value_bool(node->flag);
    case N_STRING: return (Value){.kind = V_STRING, .text = node->name};
    case N_ELLIPSIS: return (Value){.kind = V_ELLIPSIS};
    case N_NAME: return lookup_name(in, node);
    case N_MEMBER: return lookup_member(in, node);
    case N_CALL: return limited(in, expression_call(in, node), node->span);
    case N_BINARY: return limited(in, expression_binary(in, node), node->span);
    case N_UNARY: return expression_unary(in, node);
    case N_ARRAY: return expression_array(in, node);
    case N_INDEX: return view_index(in, node);
    default:
        return interp_fail(in, node->span, "a %s is not a value here", tree_kind_name(node->kind));
    }
}

/* ---- statements ---- */

static void name_value(Value value, const char *name) {
    if (value.kind == V_TENSOR && !value.node->name) value.node->name = name;
}

static void run_assign(Interp *in, const Node *node) {
    Value value = interp_expression(in, node->kids.at[0]);
    value = interp_move(in, node, value);
    name_value(value, node->name);
    interp_assign(in, in->frame, node->name, value);
    if (in->frame->decl->kind != N_MODEL || strcmp(node->name, "loss") != 0) return;
    in->loss = value;
    in->loss_span = node->kids.at[0]->span;
    in->has_loss = true;
}

static void run_metric(Interp *in, const Node *node) {
    if (in->mode != MODE_EVALUATE) return;
    Value value = interp_expression(in, node->kids.at[0]);
    vec_push(in->arena, &in->metrics, (Binding){node->name, value});
    vec_push(in->arena, &in->metric_spans, node->kids.at[0]->span);
}

static void run_predict(Interp *in, const Node *node) {
    if (!in->predicts) return;
    if (in->prediction_span.end) {
        Diag *diag = interp_error(in, node->span, "the model predicts twice");
        diag_note(diag, in->prediction_span, "first here");
        return;
    }
    in->prediction = interp_expression(in, node->kids.at[0]);
    in->prediction_span = node->kids.at[0]->span;
}

static void run_if(Interp *in, const Node *node) {
    const Node *condition = node->kids.at[0];
    Value value = interp_expression(in, condition);
    if (value.kind == V_ERROR) return;
    if (value.kind != V_BOOL) {
        Diag *diag = interp_error(in, condition->span,
                                  "a condition must be true or false when compiled, not %s",
                                  value_show(in, value));
        interp_chain(in, diag);
        if (value.kind == V_TENSOR)
            diag_help(diag, "choose element by element with where(condition, a, b)");
        return;
    }
    const Node *branch = tree_kid(node, value.truth ? 1 : 2);
    if (!branch) return;
    if (branch->kind == N_IF)
        run_if(in, branch);
    else
        interp_block(in, branch);
}

static void run_repeat(Interp *in, const Node *node) {
    const Node *times = node->kids.at[0];
    Value value = interp_expression(in, times);
    int64_t count;
    if (value.kind == V_ERROR || !value_int(in, value, "a repeat count", times->span, &count))
        return;
    if (count < 0 || count > MOST_REPEATS) {
        interp_fail(in, times->span, "cannot repeat %lld times: 0 to %d is possible",
                    (long long)count, MOST_REPEATS);
        return;
    }
    uint32_t errors = diags_error_count(in->diags);
    for (int64_t i = 0; i < count && !in->frame->returned; i++) {
        if (node->name)
            interp_assign(in, in->frame, node->name, value_number((double)i, false, node->span));
        interp_block(in, node->kids.at[1]);
        if (diags_error_count(in->diags) > errors) return; /* the next turn would say it again */
    }
}

static void run_statement(Interp *in, const Node *node) {
    if (++in->statements == MOST_STATEMENTS)
        interp_fail(in, node->span, "this takes more than %d statements when unrolled",
                    MOST_STATEMENTS);
    if (in->statements >= MOST_STATEMENTS) return;
    switch (node->kind) {
    case N_ASSIGN: run_assign(in, node); break;
    case N_METRIC: run_metric(in, node); break;
    case N_PREDICT: run_predict(in, node); break;
    case N_PARAMETER: interp_parameter(in, node); break;
    case N_RETURN:
        in->frame->result = interp_expression(in, node->kids.at[0]);
        in->frame->returned = true;
        break;
    case N_REPEAT: run_repeat(in, node); break;
    case N_IF: run_if(in, node); break;
    case N_STATE:
        if (in->mode == MODE_UPDATE)
            update_state(in, node);
        else
            interp_fail(in, node->span, "only optimizers have states");
        break;
    case N_ERROR: break;
    default:
        interp_fail(in, node->span, "a %s cannot stand here", tree_kind_name(node->kind));
        break;
    }
}

void interp_block(Interp *in, const Node *block) {
    for (uint32_t i = 0; i < block->kids.count && !in->frame->returned; i++)
        run_statement(in, block->kids.at[i]);
}
