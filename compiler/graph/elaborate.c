/* One variant: the model is run twice, once for the training step and once for evaluation, and its
 * parameters' initial values are collected on the way. */
#include "compiler/graph/elaborate.h"

#include <assert.h>

#include "compiler/graph/interp.h"

/* ---- hyperparameters as values ---- */

static bool exists_here(const Interp *in, const Hyper *hyper) {
    if (hyper->parent < 0) return true;
    return in->variant->choice[hyper->parent] == (int)hyper->parent_value;
}

static Value hyper_as_value(Interp *in, uint32_t index) {
    const Hyper *hyper = &in->study->hypers.at[index];
    Type scalar = {.elem = in->real};
    if (!hyper->structural)
        return value_tensor(
            graph_leaf(in->graph, OP_HYPER, &scalar, false, true, index, hyper->name, hyper->span));
    assert(in->variant->choice[index] >= 0);
    uint32_t choice = (uint32_t)in->variant->choice[index];
    if (hyper->kind == DOMAIN_CHOICE) return study_choice(in, index, choice);
    double number = hyper_value(hyper, choice);
    if (hyper->kind == DOMAIN_VALUES && hyper->booleans) return value_bool(number != 0);
    Value value = value_number(number, false, hyper->span);
    value.text = hyper->name;
    return value;
}

static int hyper_of_argument(const Study *study, uint32_t parent, uint32_t choice,
                             const Node *argument) {
    for (uint32_t i = 0; i < study->hypers.count; i++) {
        const Hyper *hyper = &study->hypers.at[i];
        if (hyper->parent == (int)parent && hyper->parent_value == choice &&
            hyper->argument == argument)
            return (int)i;
    }
    return -1;
}

Value study_choice(Interp *in, uint32_t hyper, uint32_t choice) {
    const Node *node = in->study->hypers.at[hyper].choices[choice];
    if (node->kind != N_CALL) return interp_expression(in, node);
    Value callee = interp_expression(in, node->kids.at[0]);
    if (callee.kind != V_FUNCTION) return callee;
    Value bound = value_function(in, callee.function->decl, callee.function->builtin);
    for (uint32_t i = 1; i < node->kids.count; i++) {
        const Node *kid = node->kids.at[i];
        const Node *expression = kid->kind == N_ARG ? kid->kids.at[0] : kid;
        int child = hyper_of_argument(in->study, hyper, choice, kid);
        Value value =
            child < 0 ? interp_expression(in, expression) : hyper_as_value(in, (uint32_t)child);
        Argument argument = {kid->kind == N_ARG ? kid->name : NULL, value, expression->span};
        vec_push(in->arena, &bound.function->bound, argument);
    }
    return bound;
}

Frame *study_frame(Interp *in) {
    Frame *frame = arena_alloc(in->arena, sizeof *frame);
    *frame = (Frame){.decl = in->study->decl, .module = in->study->decl->module};
    in->frame = frame;
    for (uint32_t i = 0; i < in->study->hypers.count; i++) {
        const Hyper *hyper = &in->study->hypers.at[i];
        if (!exists_here(in, hyper) || hyper->parent >= 0) continue;
        if ((int)i == in->study->optimizer_hyper) continue; /* update.c asks for it */
        interp_bind(in, frame, hyper->name, hyper_as_value(in, i));
    }
    return frame;
}

static bool mentions(const Node *node, const char *name) {
    if (node->kind == N_NAME && node->name == name) return true;
    for (uint32_t i = 0; i < node->kids.count; i++)
        if (mentions(node->kids.at[i], name)) return true;
    return false;
}

/* Once per study: the first variant says it. */
static void check_unused(Interp *in) {
    const Study *study = in->study;
    if (in->variant != study->variants.at) return;
    for (uint32_t i = 0; i < study->hypers.count; i++) {
        const Hyper *hyper = &study->hypers.at[i];
        bool known = (int)i == study->batch_hyper || (int)i == study->optimizer_hyper;
        if (known || hyper->parent >= 0 || mentions(study->decl->node, hyper->name)) continue;
        if (!strcmp(hyper->name, "batch")) continue; /* fixed: read by check */
        Diag *diag =
            diag_error(in->diags, hyper->span, "nothing uses hyperparameter '%s'", hyper->name);
        diag_help(diag, "give it to the model or the optimizer, or remove it");
    }
}

/* ---- running the model ---- */

static Frame *run_model(Interp *in) {
    const Study *study = in->study;
    Function model = {.decl = study->model, .builtin = BUILTIN_NONE};
    ArgumentList arguments = {0};
    Span span = study->model_node ? study->model_node->span : study->model->node->span;
    study_frame(in);
    if (study->model_node && study->model_node->kind == N_CALL)
        arguments = interp_arguments(in, study->model_node);
    for (uint32_t i = 0; i < arguments.count; i++)
        if (arguments.at[i].value.kind == V_ERROR) return NULL;
    return interp_run(in, &model, &arguments, span, NULL, 0);
}

/* The value of `loss` or a metric as a real number in `graph`; NULL after an error. */
static GNode *number_of(Interp *in, Graph *graph, Value value, const char *what, Span span) {
    if (value.kind == V_NUMBER || value.kind == V_BOOL) {
        Value number = value.kind == V_BOOL ? value_number(value.truth, true, span) : value;
        return graph_const(graph, number.number, in->real, span);
    }
    if (value.kind == V_TENSOR && !value.node->type.rank) {
        GNode *node = value.node;
        if (graph_of(in, node) != graph) node = copy_to_finish(in, node);
        return cast_to(in, node, in->real, span);
    }
    if (value.kind == V_ERROR) return NULL;
    Diag *diag = diag_error(in->diags, span, "%s must be a number per batch, not %s", what,
                            value_show(in, value));
    if (value.kind == V_TENSOR) diag_help(diag, "take its mean: mean(…)");
    return NULL;
}

static Interp start(const Interp *common, InterpMode mode, const char *graph_name, int64_t batch) {
    Interp in = *common;
    in.mode = mode;
    in.batch = batch;
    in.site = FIRST_SITE;
    in.graph = graph_new(in.arena, graph_name, in.real);
    in.graph->significant = in.study->significant;
    return in;
}

/* ---- training ---- */

static void finish_init(Program *program) {
    Graph *init = program->init;
    uint32_t count = program->params.count;
    GNode **pieces = arena_alloc(program->arena, (count + 1) * sizeof *pieces);
    for (uint32_t i = 0; i < count; i++) pieces[i] = init->outputs.at[i].value;
    init->outputs.count = 0;
    graph_output(init, OUT_PARAM, 0, params_flat(program, init, pieces, 0, program->param_count));
}

static Span study_place(const Study *study) {
    return study->decl->node->name_span;
}

/* A model with parameters needs a loss, an optimizer and steps; without parameters there is nothing
 * to train. */
static void check_training(Interp *in, Span model) {
    const Study *study = in->study;
    bool trains = in->program->params.count > 0;
    Span place = study_place(study);
    if (trains && !in->program->trained_count) {
        bool frozen = study->groups.count > 0;
        Diag *diag = diag_error(in->diags, place, "no parameter is left to be trained%s",
                                frozen ? ": all are frozen" : ": the model has moving values only");
        diag_help(diag, frozen ? "freeze fewer: 'on \"encoder.*\" { frozen }'"
                               : "declare one with 'name: param[…]'");
    }
    if (!trains && study->steps) {
        Diag *diag = diag_error(in->diags, place, "model '%s' has no parameters to train",
                                study->model->name);
        diag_help(diag, "leave out 'steps' (or say 'steps 0') to evaluate it only");
    }
    if (trains && !in->has_loss) {
        Diag *diag = diag_error(in->diags, model, "model '%s' has parameters but no loss",
                                study->model->name);
        diag_help(diag, "say what is to be made small: loss = …");
    }
    if (trains && !study->steps) {
        Diag *diag =
            diag_error(in->diags, place, "the study does not say for how many steps to train");
        diag_help(diag, "add, for example: steps 1000");
    }
    if (trains && !study->optimizer_node && study->optimizer_hyper < 0) {
        Diag *diag = diag_error(in->diags, place, "the study has no optimizer");
        diag_help(diag, "add, for example: optimizer optim.nesterov(lr)");
    }
}

static bool elaborate_train(const Interp *common) {
    Program *program = common->program;
    uint32_t errors = diags_error_count(common->diags);
    Interp in = start(common, MODE_TRAIN, "train", program->batch);
    program->train = in.graph;
    program->init = graph_new(program->arena, "init", in.real);
    run_model(&in);
    if (diags_error_count(in.diags) > errors) return false;
    params_lay_out(&in);
    if (in.has_loss) program->loss = number_of(&in, in.graph, in.loss, "the loss", in.loss_span);
    check_training(&in, in.study->model->node->name_span);
    check_unused(&in);
    if (diags_error_count(in.diags) > errors) return false;
    if (program->params.count) {
        finish_init(program);
        if (!program->loss->name) program->loss->name = "loss";
        return true;
    }
    program->train = program->init = NULL;
    program->loss = NULL;
    return true;
}

/* ---- evaluation ---- */

enum { MOST_OF_A_METRIC = 100 };

static void add_metric(Interp *in, const char *name, Value value, Span span) {
    const char *what =
        strcmp(name, "loss") != 0 ? arena_printf(in->arena, "metric '%s'", name) : "the loss";
    GNode *node = number_of(in, in->finish, value, what, span);
    if (!node) return;
    for (uint32_t i = 0; i < in->program->metrics.count; i++)
        if (!strcmp(in->program->metrics.at[i].name, name))
            diag_note(diag_error(in->diags, span, "metric '%s' is given twice", name),
                      in->program->metrics.at[i].span, "the first one is here");
    graph_output(in->finish, OUT_METRIC, in->program->metrics.count, node);
    vec_push(in->program->arena, &in->program->metrics, (Metric){name, span});
}

/* A vector is a metric for each of its elements: "missed.0", "missed.1", … */
static void add_metrics(Interp *in, const char *name, Value value, Span span) {
    bool vector = value.kind == V_TENSOR && value.node->type.rank == 1 && !value.node->batched;
    if (!vector) {
        add_metric(in, name, value, span);
        return;
    }
    GNode *node = value.node;
    if (graph_of(in, node) != in->finish) node = copy_to_finish(in, node);
    int64_t count = node->type.dims[0].size;
    Dim one = {.size = 1};
    if (count > MOST_OF_A_METRIC)
        diag_error(in->diags, span, "metric '%s' has %lld elements: at most %d are possible", name,
                   (long long)count, MOST_OF_A_METRIC);
    for (int64_t i = 0; i < count && count <= MOST_OF_A_METRIC; i++) {
        GNode *element = graph_slice(in->finish, node, &i, &one, span);
        element = graph_reshape(in->finish, element, 0, NULL, false, span);
        const char *full = arena_printf(in->program->arena, "%s.%lld", name, (long long)i);
        add_metric(in, full, value_tensor(element), span);
    }
}

static void check_selected(Interp *in) {
    const Study *study = in->study;
    Vec(const char *) names = {0};
    for (uint32_t i = 0; i < in->program->metrics.count; i++) {
        vec_push(in->arena, &names, in->program->metrics.at[i].name);
        if (study->select_metric && !strcmp(study->select_metric, names.at[i])) return;
    }
    if (!study->select_metric) return;
    Span place = study_place(study);
    const Node *block = study->decl->node->kids.at[study->decl->node->kids.count - 1];
    for (uint32_t i = 0; i < block->kids.count; i++)
        if (block->kids.at[i]->kind == N_SELECT) place = block->kids.at[i]->kids.at[0]->span;
    Diag *diag = diag_error(in->diags, place, "model '%s' has no metric '%s'", study->model->name,
                            study->select_metric);
    const char *nearest = diag_nearest(study->select_metric, names.at, names.count);
    if (nearest)
        diag_help(diag, "did you mean '%s'?", nearest);
    else if (names.count)
        diag_help(diag, "it has '%s'", names.at[0]);
}

static bool elaborate_evaluate(const Interp *common) {
    Program *program = common->program;
    uint32_t errors = diags_error_count(common->diags);
    bool data = common->study->data != NULL;
    Interp in = start(common, MODE_EVALUATE, data ? "evaluate" : "finish", program->evaluate_batch);
    in.finish = data ? graph_new(program->arena, "finish", in.real) : in.graph;
    run_model(&in);
    if (diags_error_count(in.diags) > errors) return false;
    if (in.has_loss) add_metric(&in, "loss", in.loss, in.loss_span);
    for (uint32_t i = 0; i < in.metrics.count; i++)
        add_metrics(&in, in.metrics.at[i].name, in.metrics.at[i].value, in.metric_spans.at[i]);
    if (diags_error_count(in.diags) == errors) check_selected(&in);
    program->evaluate = program->totals.count ? in.graph : NULL;
    program->finish = program->metrics.count ? in.finish : NULL;
    return diags_error_count(in.diags) == errors;
}

/* ---- prediction ---- */

static bool has_prediction(const Node *node) {
    if (node->kind == N_PREDICT) return true;
    for (uint32_t i = 0; i < node->kids.count; i++)
        if (has_prediction(node->kids.at[i])) return true;
    return false;
}

/* The field whose tokens are predicted; NULL after a message. */
static const Field *predicted_field(Interp *in) {
    const Data *data = in->study->data;
    if (data && data->fields.count == 1 && data->fields.at[0].row != FIELD_ROW)
        return &data->fields.at[0];
    Diag *diag = diag_error(in->diags, in->prediction_span,
                            "there are no tokens to predict in the data of the model");
    diag_help(diag, "it is for data of text, bytes, tokens and lines");
    return NULL;
}

/* [classes] or [rows, classes] per example: rows predict the last tokens of the field. */
static bool is_scores(const Value *value, const Field *field) {
    if (value->kind != V_TENSOR || !elem_is_real(value->node->type.elem)) return false;
    uint32_t rank = example_rank(value->node);
    const Dim *dims = example_dims(value->node);
    if (rank < 1 || rank > 2 || dims[rank - 1].size != field->classes) return false;
    return rank == 1 || dims[0].size <= field->dims[0];
}

static void add_prediction(Interp *in, const Field *field) {
    Program *program = in->program;
    Value value = in->prediction;
    if (value.kind == V_ERROR) return;
    if (!is_scores(&value, field)) {
        Diag *diag = diag_error(in->diags, in->prediction_span,
                                "what predicts tokens of '%s' has a score for each of %lld "
                                "classes, not %s",
                                field->name, (long long)field->classes, value_show(in, value));
        diag_help(diag, "give scores [%lld], or [n, %lld] for the last n tokens of '%s'",
                  (long long)field->classes, (long long)field->classes, field->name);
        return;
    }
    GNode *node = value.node;
    Dim classes = {.size = field->classes};
    Dim rows = {.size = example_rank(node) == 2 ? example_dims(node)[0].size : 1};
    Dim dims[] = {{.size = 1}, rows, classes};
    node = broadcast_to(in, in->graph, node, example_rank(node), example_dims(node), true,
                        in->prediction_span);
    node = cast_to(in, node, in->real, in->prediction_span);
    graph_output(in->graph, OUT_EXAMPLE, 0,
                 graph_reshape(in->graph, node, 3, dims, true, in->prediction_span));
    program->predict = in->graph;
    program->predict_rows = rows.size;
    program->predict_classes = field->classes;
}

/* The model once more, of one example; its loss and metrics are nobody's. */
static bool elaborate_predict(const Interp *common) {
    Program *program = common->program;
    uint32_t errors = diags_error_count(common->diags), totals = program->totals.count;
    if (!has_prediction(common->study->model->node)) return true;
    Interp in = start(common, MODE_EVALUATE, "predict", 1);
    in.predicts = true;
    in.finish = graph_new(program->arena, "finish", in.real);
    run_model(&in);
    program->totals.count = totals;
    in.graph->outputs.count = 0;
    if (diags_error_count(in.diags) == errors && in.prediction_span.end) {
        const Field *field = predicted_field(&in);
        if (field) add_prediction(&in, field);
    }
    return diags_error_count(in.diags) == errors;
}

/* ---- entry ---- */

static void set_batches(Program *program, const Study *study, const Variant *variant) {
    program->batch = (int64_t)study->batch;
    if (study->batch_hyper >= 0 && study->hypers.at[study->batch_hyper].structural &&
        variant->choice[study->batch_hyper] >= 0)
        program->batch = (int64_t)hyper_value(&study->hypers.at[study->batch_hyper],
                                              (uint32_t)variant->choice[study->batch_hyper]);
    int64_t wanted = study->evaluate_batch ? (int64_t)study->evaluate_batch : 256;
    program->evaluate_batch = wanted > program->batch ? wanted : program->batch;
}

Program *elaborate(const Checked *checked, const Study *study, const Variant *variant, Arena *arena,
                   Interner *names, Diags *diags) {
    Program *program = arena_alloc(arena, sizeof *program);
    program->arena = arena;
    program->name = variant->name;
    program->real = study->f64 ? E_F64 : E_F32;
    program->weights = -1;
    set_batches(program, study, variant);
    Interp common = {.checked = checked,
                     .study = study,
                     .variant = variant,
                     .program = program,
                     .arena = arena,
                     .interner = names,
                     .diags = diags,
                     .real = program->real};
    if (!elaborate_train(&common) || !elaborate_evaluate(&common) || !elaborate_predict(&common))
        return NULL;
    return program;
}
