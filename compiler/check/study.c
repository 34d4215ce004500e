/* Studies: statements -> Study. Hyperparameters in source order, those of a choice behind it. */
#include "compiler/check/checker.h"

#include <math.h>

typedef struct {
    Checker *checker;
    const Module *module;
    Study *study;
    const Node *seen[N_COUNT]; /* statements that may stand once */
    TextList broken;    /* hyperparameters whose domain was reported: their names are known */
    TextList arguments; /* parameters of the study's optimizers, known within `on … { … }` */
    bool in_group;
} Reader;

/* ---- hyperparameters ---- */

int find_hyper(const Study *study, const char *name) {
    for (uint32_t h = 0; h < study->hypers.count; h++)
        if (!strcmp(study->hypers.at[h].name, name)) return (int)h;
    return -1;
}

static const char *last_component(const char *label) {
    const char *dot = strrchr(label, '.');
    return dot ? dot + 1 : label;
}

/* The parameter that an argument of a choice's call goes to; NULL when it is unknown. */
static const Node *parameter_of(const Decl *callee, const Node *call, uint32_t index) {
    const Node *params = callee->node->kids.at[0], *argument = argument_at(call, index);
    if (argument->kind != N_ARG) return tree_kid(params, index);
    for (uint32_t i = 0; i < params->kids.count; i++)
        if (params->kids.at[i]->name == argument->name) return params->kids.at[i];
    return NULL;
}

static bool changes_code(const Node *parameter) {
    const Node *type = tree_kid(parameter, 0);
    return type && type->name &&
           (!strcmp(type->name, "int") || !strcmp(type->name, "bool") || !strcmp(type->name, "fn"));
}

static bool takes_parameters(const Decl *decl) {
    return decl->kind != N_DATA && decl->kind != N_STUDY && decl->kind != N_MODEL;
}

static void add_hyper(Reader *reader, const Hyper *hyper);

static void report_unchosen(Checker *checker, const Node *choice, const char *what) {
    diag_error(checker->diags, choice->span, "'%s' is %s; it cannot be chosen",
               name_text(checker->arena, callee_of(choice)), what);
}

/* What a value of a choice names; NULL for a builtin function, or after a mistake. */
static const Decl *find_choice(Reader *reader, const Hyper *hyper, const Node *choice) {
    Checker *checker = reader->checker;
    const Node *name = callee_of(choice);
    if (!strcmp(hyper->name, "optimizer"))
        return resolve_kind(checker, reader->module, name, N_OPTIMIZER);
    const Decl *decl = resolve_quietly(reader->module, name);
    if (!decl) {
        Builtin builtin = module_builtin(reader->module, name);
        if (builtin == BUILTIN_NONE)
            report_unknown(checker, reader->module, name, BUILTIN_IN_MODEL, NULL);
        else if (builtin_info[builtin].is_value)
            report_unchosen(checker, choice, "a value");
        return NULL;
    }
    if (report_ambiguous(checker, reader->module, name)) return NULL;
    if (takes_parameters(decl)) return decl;
    report_unchosen(checker, choice, decl_word(decl->kind));
    return NULL;
}

/* "adam.lr"; "mine.adam.lr" where two modules have an optimizer of that name. */
static const char *child_name(Reader *reader, const char *label, const char *parameter) {
    Arena *arena = reader->checker->arena;
    const char *name = arena_printf(arena, "%s.%s", last_component(label), parameter);
    if (find_hyper(reader->study, name) < 0) return name;
    return arena_printf(arena, "%s.%s", label, parameter);
}

/* The domains in the call of choice number `value`: hyperparameters that exist only there. */
static void add_children(Reader *reader, uint32_t parent, uint32_t value) {
    Checker *checker = reader->checker;
    const Hyper *chooser = &reader->study->hypers.at[parent];
    const char *label = chooser->labels[value];
    Node *call = chooser->choices[value];
    const Decl *callee = find_choice(reader, chooser, call);
    if (!callee) return;
    /* A function gets its other arguments where the model calls it. */
    if (callee->kind == N_OPTIMIZER)
        bind_arguments(checker, callee, call);
    else
        bind_some_arguments(checker, callee, call);
    for (uint32_t i = 0; i < argument_count(call); i++) {
        Node *argument = (Node *)argument_at(call, i);
        const Node *parameter = parameter_of(callee, call, i);
        if (!parameter || !is_domain(argument_value(argument))) continue;
        Hyper child = {.name = child_name(reader, label, parameter->name),
                       .role = ROLE_NUISANCE,
                       .span = argument->name_span,
                       .parent = (int)parent,
                       .parent_value = value,
                       .argument = argument};
        if (!read_domain(checker, argument_value(argument), &child)) continue;
        child.structural = changes_code(parameter) || child.kind == DOMAIN_CHOICE;
        add_hyper(reader, &child);
    }
}

static void add_hyper(Reader *reader, const Hyper *hyper) {
    Study *study = reader->study;
    uint32_t at = study->hypers.count;
    vec_push(reader->checker->arena, &study->hypers, *hyper);
    for (uint32_t i = 0; hyper->kind == DOMAIN_CHOICE && i < hyper->count; i++)
        add_children(reader, at, i);
}

static void read_hyper(Reader *reader, const Node *node) {
    Checker *checker = reader->checker;
    Study *study = reader->study;
    int before = find_hyper(study, node->name);
    if (before >= 0) {
        Diag *diag = diag_error(checker->diags, node->name_span,
                                "hyperparameter '%s' is declared twice", node->name);
        diag_note(diag, study->hypers.at[before].span, "first here");
        return;
    }
    Hyper hyper = {.name = node->name, .span = node->name_span, .parent = -1};
    hyper.role = node->op == TOP_SCIENTIFIC ? ROLE_SCIENTIFIC
                 : node->op == TOP_NUISANCE ? ROLE_NUISANCE
                                            : ROLE_FIXED;
    const Node *domain = node->kids.at[0];
    bool fine = node->op == TOP_FIXED ? read_fixed(checker, domain, &hyper)
                                      : read_domain(checker, domain, &hyper);
    if (!fine) {
        vec_push(checker->arena, &reader->broken, node->name);
        return;
    }
    hyper.structural = hyper.kind == DOMAIN_CHOICE || hyper.booleans;
    int at = (int)study->hypers.count;
    if (!strcmp(hyper.name, "optimizer") && hyper.kind != DOMAIN_CHOICE) {
        diag_help(diag_error(checker->diags, domain->span, "these are no optimizers"),
                  "write 'scientific optimizer in {optim.sgd(lr: log(1e-3, 1)), …}'");
        return;
    }
    if (!strcmp(hyper.name, "batch")) study->batch_hyper = at;
    if (!strcmp(hyper.name, "optimizer")) study->optimizer_hyper = at;
    add_hyper(reader, &hyper);
}

/* ---- structural or scalar ---- */

static void mark_structural(Study *study, const Node *expression) {
    if (expression->kind == N_NAME) {
        int h = find_hyper(study, expression->name);
        if (h >= 0) study->hypers.at[h].structural = true;
    }
    for (uint32_t i = 0; i < expression->kids.count; i++)
        mark_structural(study, expression->kids.at[i]);
}

static void check_countable(Reader *reader) {
    for (uint32_t h = 0; h < reader->study->hypers.count; h++) {
        const Hyper *hyper = &reader->study->hypers.at[h];
        if (!hyper->structural || hyper_count(hyper)) continue;
        Diag *diag =
            diag_error(reader->checker->diags, hyper->span,
                       "'%s' changes shapes or code, so its values must be countable", hyper->name);
        diag_help(diag, "write 'int' before the range, or a set {…}");
    }
}

/* A hyperparameter that is passed as it is must be what the model's parameter wants. */
static void check_kind(Reader *reader, const Node *parameter, const Node *value) {
    const Node *type = tree_kid(parameter, 0);
    int h = value->kind == N_NAME ? find_hyper(reader->study, value->name) : -1;
    if (h < 0 || !type) return;
    const Hyper *hyper = &reader->study->hypers.at[h];
    bool function = !strcmp(type->name, "fn"), chooses = hyper->kind == DOMAIN_CHOICE;
    if (function == chooses) return;
    Diag *diag = diag_error(reader->checker->diags, value->span,
                            "parameter '%s' is a %s, but the values of hyperparameter '%s' are %s",
                            parameter->name, function ? "function" : "number", hyper->name,
                            chooses ? "functions" : "numbers");
    diag_note(diag, parameter->span, "the parameter is declared here");
    diag_note(diag, hyper->span, "the hyperparameter is declared here");
}

static void classify(Reader *reader) {
    Study *study = reader->study;
    if (!study->model) return;
    if (study->model_node->kind == N_CALL || study->model->node->kids.at[0]->kids.count) {
        int *binding = bind_arguments(reader->checker, study->model, study->model_node);
        const Node *params = study->model->node->kids.at[0];
        for (uint32_t i = 0; i < argument_count(study->model_node); i++) {
            if (binding[i] < 0) continue;
            const Node *value = argument_value(argument_at(study->model_node, i));
            check_kind(reader, params->kids.at[binding[i]], value);
            if (changes_code(params->kids.at[binding[i]])) mark_structural(study, value);
        }
    }
    if (study->batch_hyper >= 0) study->hypers.at[study->batch_hyper].structural = true;
    check_countable(reader);
}

/* ---- names in expressions of a study ---- */

static bool is_broken(const Reader *reader, const char *name) {
    for (uint32_t i = 0; i < reader->broken.count; i++)
        if (reader->broken.at[i] == name) return true;
    return false;
}

static bool is_argument(const Reader *reader, const char *name) {
    for (uint32_t i = 0; i < reader->arguments.count; i++)
        if (reader->arguments.at[i] == name) return true;
    return false;
}

static void check_expression(Reader *reader, const Node *node, const TextList *names) {
    Checker *checker = reader->checker;
    if (is_domain(node) && node->kind != N_BINARY && node->kind != N_UNARY) {
        Diag *diag = diag_error(checker->diags, node->span, "a range stands here without a role");
        diag_help(diag, "declare it: 'nuisance lr in log(1e-3, 1)', and use the name");
        return;
    }
    if (node->kind == N_NAME) {
        if (find_hyper(reader->study, node->name) >= 0 || is_broken(reader, node->name)) return;
        if (reader->in_group && is_argument(reader, node->name)) return;
        if (module_find(reader->module, NULL, node->name)) return;
        Builtin builtin = builtin_find(node->name);
        if (builtin != BUILTIN_NONE &&
            builtin_info[builtin].contexts & (BUILTIN_IN_STUDY | BUILTIN_IN_MODEL))
            return;
        report_unknown(checker, reader->module, node, BUILTIN_IN_STUDY, names);
        return;
    }
    if (node->kind == N_MEMBER) {
        if (!resolve_quietly(reader->module, node) &&
            module_builtin(reader->module, node) == BUILTIN_NONE)
            report_unknown(checker, reader->module, node, BUILTIN_IN_STUDY, names);
        return;
    }
    for (uint32_t i = 0; i < node->kids.count; i++)
        check_expression(reader, node->kids.at[i], names);
}

/* Arguments of a choice that are values, not domains. */
static void check_choices(Reader *reader, const TextList *names) {
    for (uint32_t h = 0; h < reader->study->hypers.count; h++) {
        const Hyper *hyper = &reader->study->hypers.at[h];
        for (uint32_t i = 0; hyper->kind == DOMAIN_CHOICE && i < hyper->count; i++)
            for (uint32_t k = 0; k < argument_count(hyper->choices[i]); k++) {
                const Node *value = argument_value(argument_at(hyper->choices[i], k));
                if (!is_domain(value)) check_expression(reader, value, names);
            }
    }
}

/* ---- what is special of some parameters ---- */

static void add_arguments(Reader *reader, const Node *optimizer) {
    const Decl *decl = resolve_quietly(reader->module, callee_of(optimizer));
    if (!decl || decl->kind != N_OPTIMIZER) return;
    const Node *params = decl->node->kids.at[0];
    for (uint32_t i = 0; i < params->kids.count; i++)
        vec_push(reader->checker->arena, &reader->arguments, params->kids.at[i]->name);
}

static void check_selector(Reader *reader, const Node *selector) {
    static const char *const known[] = {"vectors", "matrices"};
    if (selector->kind == N_STRING || !strcmp(selector->name, known[0]) ||
        !strcmp(selector->name, known[1]))
        return;
    Diag *diag = diag_error(reader->checker->diags, selector->span,
                            "there is no group of parameters '%s'", selector->name);
    diag_help(diag, "write 'vectors', 'matrices' or a pattern of names, \"%s*\"", selector->name);
}

static void check_setting(Reader *reader, const Node *setting, const TextList *names) {
    Diags *diags = reader->checker->diags;
    if (setting->kind == N_NAME) {
        if (!strcmp(setting->name, "frozen")) return;
        diag_help(diag_error(diags, setting->span, "'%s' says nothing here", setting->name),
                  "write 'frozen', or '%s = …'", setting->name);
        return;
    }
    if (setting->kind != N_ASSIGN) return;
    if (!is_argument(reader, setting->name)) {
        Diag *diag = diag_error(diags, setting->name_span, "the optimizer has no parameter '%s'",
                                setting->name);
        const char *nearest =
            diag_nearest(setting->name, reader->arguments.at, reader->arguments.count);
        if (nearest) diag_help(diag, "did you mean '%s'?", nearest);
    }
    reader->in_group = true;
    check_expression(reader, setting->kids.at[0], names);
    reader->in_group = false;
}

static void check_groups(Reader *reader, const TextList *names) {
    const Study *study = reader->study;
    if (study->optimizer_node) add_arguments(reader, study->optimizer_node);
    for (uint32_t i = 0;
         study->optimizer_hyper >= 0 && i < study->hypers.at[study->optimizer_hyper].count; i++)
        add_arguments(reader, study->hypers.at[study->optimizer_hyper].choices[i]);
    for (uint32_t i = 0; i < study->groups.count; i++) {
        const Node *selectors = study->groups.at[i]->kids.at[0];
        const Node *settings = study->groups.at[i]->kids.at[1];
        for (uint32_t k = 0; k < selectors->kids.count; k++)
            check_selector(reader, selectors->kids.at[k]);
        for (uint32_t k = 0; k < settings->kids.count; k++)
            check_setting(reader, settings->kids.at[k], names);
    }
}

static void check_expressions(Reader *reader, const Node *block) {
    TextList names = {0};
    for (uint32_t h = 0; h < reader->study->hypers.count; h++)
        vec_push(reader->checker->arena, &names, reader->study->hypers.at[h].name);
    check_choices(reader, &names);
    check_groups(reader, &names);
    for (uint32_t i = 0; i < block->kids.count; i++) {
        const Node *statement = block->kids.at[i];
        bool has_expression = statement->kind == N_USE_MODEL ||
                              statement->kind == N_USE_OPTIMIZER ||
                              statement->kind == N_USE_SCHEDULE || statement->kind == N_CLIP ||
                              statement->kind == N_AVERAGE;
        if (!has_expression) continue;
        const Node *value = statement->kids.at[0];
        /* An unknown callee was reported when it was looked up. */
        bool called = statement->kind == N_USE_MODEL || statement->kind == N_USE_OPTIMIZER;
        for (uint32_t k = called ? 1 : 0; called && k < value->kids.count && value->kind == N_CALL;
             k++)
            check_expression(reader, value->kids.at[k], &names);
        if (!called) check_expression(reader, value, &names);
    }
}

/* ---- statements ---- */

static void read_model(Reader *reader, Node *node) {
    Study *study = reader->study;
    study->model_node = node->kids.at[0];
    study->model =
        resolve_kind(reader->checker, reader->module, callee_of(study->model_node), N_MODEL);
    const Node *on = study->model ? tree_kid(study->model->node, 1) : NULL;
    if (!on) return;
    const Decl *data = resolve_kind(reader->checker, study->model->module, on, N_DATA);
    if (data) study->data = find_data(reader->checker->checked, data);
}

static void read_optimizer(Reader *reader, Node *node) {
    Node *call = node->kids.at[0];
    Decl *optimizer = resolve_kind(reader->checker, reader->module, callee_of(call), N_OPTIMIZER);
    if (!optimizer) return;
    reader->study->optimizer_node = call;
    bind_arguments(reader->checker, optimizer, call);
}

static void read_schedule(Reader *reader, Node *node) {
    NodeList *schedules = &reader->study->schedules;
    for (uint32_t i = 0; i < schedules->count; i++) {
        if (schedules->at[i]->name != node->name) continue;
        Diag *diag = diag_error(reader->checker->diags, node->name_span, "'%s' has two schedules",
                                node->name);
        diag_note(diag, schedules->at[i]->name_span, "first here");
        diag_help(diag, "write one after the other: '… then …'");
    }
    vec_push(reader->checker->arena, schedules, node);
}

enum { MOST_GROUPS = 64 };

static void read_group(Reader *reader, Node *node) {
    NodeList *groups = &reader->study->groups;
    if (groups->count == MOST_GROUPS)
        diag_error(reader->checker->diags, node->span, "the study has more than %d 'on' statements",
                   MOST_GROUPS);
    else
        vec_push(reader->checker->arena, groups, node);
}

/* The values that an expression may have, where it is a number or the name of a range. */
static bool value_bounds(const Study *study, const Node *expression, double *least, double *most) {
    int h = expression->kind == N_NAME ? find_hyper(study, expression->name) : -1;
    if (h >= 0 && study->hypers.at[h].kind == DOMAIN_RANGE) {
        hyper_bounds(&study->hypers.at[h], least, most);
        return true;
    }
    bool constant = constant_value(expression, least);
    *most = *least;
    return constant;
}

static void read_average(Reader *reader, Node *node) {
    double least = 0, most = 0;
    const Node *keep = reader->study->average = node->kids.at[0];
    if (!value_bounds(reader->study, keep, &least, &most) || (least >= 0 && most < 1)) return;
    diag_help(diag_error(reader->checker->diags, keep->span,
                         "'average' must be at least 0 and less than 1, not %g",
                         least < 0 ? least : most),
              "it is how much of the average stays each step: 'average 0.999'");
}

static void read_evaluate(Reader *reader, const Node *node) {
    Checker *checker = reader->checker;
    Study *study = reader->study;
    const Node *examples = tree_kid(node, 1), *batch = tree_kid(node, 2);
    constant_count(checker, node->kids.at[0], "every", 1, &study->evaluate_every);
    if (examples) constant_count(checker, examples, "examples", 1, &study->evaluate_examples);
    if (batch) constant_count(checker, batch, "batch", 1, &study->evaluate_batch);
}

static void read_select(Reader *reader, const Node *node) {
    Checker *checker = reader->checker;
    Study *study = reader->study;
    const Node *metric = node->kids.at[0], *keep = tree_kid(node, 1);
    uint64_t count = 1;
    study->maximize = node->op == TOP_MAX;
    study->select_metric = metric->name;
    if (keep && constant_count(checker, keep, "keep", 1, &count) && count > 1000)
        diag_error(checker->diags, keep->span, "'keep' is at most 1000");
    study->keep = (uint32_t)count;
    if (metric->kind != N_MEMBER) return;
    const char *base = metric->kids.at[0]->name;
    for (int i = 0; i < SPLIT_COUNT; i++)
        if (!strcmp(base, split_names[i])) {
            study->select_split = (Split)i;
            return;
        }
    Diag *diag =
        diag_error(checker->diags, metric->kids.at[0]->span, "there is no split '%s'", base);
    const char *nearest = diag_nearest(base, split_names, SPLIT_COUNT);
    diag_help(diag, "did you mean '%s.%s'?", nearest ? nearest : "valid", metric->name);
}

static void read_precision(Reader *reader, const Node *node) {
    static const struct {
        const char *name;
        bool f64;
        uint32_t significant;
    } names[] = {{"f32", false, 0}, {"f64", true, 0}, {"bf16", false, 8}, {"tf32", false, 11}};
    Study *study = reader->study;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!node->name || strcmp(node->name, names[i].name) != 0) continue;
        study->precision = names[i].name;
        study->f64 = names[i].f64;
        study->significant = names[i].significant;
        return;
    }
    diag_help(diag_error(reader->checker->diags, node->name_span, "there is no precision '%s'",
                         node->name ? node->name : ""),
              "write 'precision f32', f64, bf16 or tf32");
}

static void read_small(Reader *reader, Node *node) {
    Checker *checker = reader->checker;
    Study *study = reader->study;
    uint64_t count = 1;
    switch (node->kind) {
    case N_GOAL: study->goal = node->kids.at[0]->name; break;
    case N_STEPS: constant_count(checker, node->kids.at[0], "steps", 0, &study->steps); break;
    case N_SEED: constant_count(checker, node->kids.at[0], "seed", 0, &study->seed); break;
    case N_SEEDS:
        if (constant_count(checker, node->kids.at[0], "seeds", 1, &count) && count > 1000)
            diag_error(checker->diags, node->span, "'seeds' is at most 1000");
        study->seeds = (uint32_t)count;
        break;
    case N_CLIP:
        study->clip = node->kids.at[0];
        if (!strcmp(node->name, "norm")) break;
        diag_help(diag_error(checker->diags, node->name_span, "'%s' cannot be clipped", node->name),
                  "write 'clip norm = 1.0'");
        break;
    case N_PRECISION: read_precision(reader, node); break;
    default: break;
    }
}

/* "model", "steps": the word that starts a statement. */
static const char *statement_word(NodeKind kind) {
    const char *name = tree_kind_name(kind);
    return strncmp(name, "use_", 4) ? name : name + 4;
}

static bool may_repeat(NodeKind kind) {
    return kind == N_HYPER || kind == N_USE_SCHEDULE || kind == N_GROUP || kind == N_ERROR;
}

static void read_statement(Reader *reader, Node *node) {
    if (!may_repeat(node->kind)) {
        const Node *before = reader->seen[node->kind];
        if (before) {
            Diag *diag =
                diag_error(reader->checker->diags, node->span, "the study has two '%s' statements",
                           statement_word(node->kind));
            diag_note(diag, before->span, "first here");
            return;
        }
        reader->seen[node->kind] = node;
    }
    switch (node->kind) {
    case N_HYPER: break; /* read before the others */
    case N_USE_MODEL: read_model(reader, node); break;
    case N_USE_OPTIMIZER: read_optimizer(reader, node); break;
    case N_USE_SCHEDULE: read_schedule(reader, node); break;
    case N_GROUP: read_group(reader, node); break;
    case N_AVERAGE: read_average(reader, node); break;
    case N_USE_INIT: read_start(reader->checker, reader->study, node); break;
    case N_EVALUATE: read_evaluate(reader, node); break;
    case N_SELECT: read_select(reader, node); break;
    case N_SEARCH:
    case N_ERROR: break;
    default: read_small(reader, node);
    }
}

/* ---- what belongs together ---- */

static const Node *find_metric(const Node *block, const char *name) {
    for (uint32_t i = 0; i < block->kids.count; i++) {
        const Node *statement = block->kids.at[i];
        bool loss = statement->kind == N_ASSIGN && !strcmp(statement->name, "loss");
        if ((statement->kind == N_METRIC || loss) && !strcmp(statement->name, name))
            return statement;
        const Node *inner = find_metric(statement, name); /* within if and repeat */
        if (inner) return inner;
    }
    return NULL;
}

static void metric_names(const Node *block, Arena *arena, TextList *names) {
    for (uint32_t i = 0; i < block->kids.count; i++) {
        const Node *statement = block->kids.at[i];
        if (statement->kind == N_METRIC) vec_push(arena, names, statement->name);
        metric_names(statement, arena, names);
    }
}

static void check_selection(Reader *reader) {
    Checker *checker = reader->checker;
    Study *study = reader->study;
    if (!study->model) return;
    const Node *select = reader->seen[N_SELECT], *block = study->model->node->kids.at[2];
    const Node *place = select ? select->kids.at[0] : study->decl->node;
    if (!find_metric(block, study->select_metric)) {
        TextList names = {0};
        metric_names(block, checker->arena, &names);
        vec_push(checker->arena, &names, "loss");
        Diag *diag =
            diag_error(checker->diags, select ? place->span : place->name_span,
                       "model '%s' has no metric '%s'", study->model->name, study->select_metric);
        const char *nearest = diag_nearest(study->select_metric, names.at, names.count);
        if (nearest && strcmp(nearest, study->select_metric))
            diag_help(diag, "did you mean '%s'?", nearest);
        else
            diag_help(diag, "declare it in the model: 'metric %s = …'", study->select_metric);
        return;
    }
    if (!study->data) {
        if (select && place->kind == N_MEMBER)
            diag_help(diag_error(checker->diags, place->span,
                                 "model '%s' has no data, so no splits", study->model->name),
                      "write 'select min %s'", study->select_metric);
        return;
    }
    if (study->data->has_split[study->select_split]) return;
    Diag *diag = diag_error(checker->diags, select ? place->span : place->name_span,
                            "data set '%s' has no split '%s' to select by", study->data->decl->name,
                            split_names[study->select_split]);
    diag_note(diag, study->data->decl->node->name_span, "'%s' is declared here",
              study->data->decl->name);
    diag_help(diag, "give it one, or select by another split: 'select min train.loss'");
}

static void check_steps(Reader *reader) {
    Checker *checker = reader->checker;
    Study *study = reader->study;
    const Node *evaluate = reader->seen[N_EVALUATE];
    if (evaluate && study->steps && study->evaluate_every > study->steps) {
        Diag *diag =
            diag_error(checker->diags, evaluate->kids.at[0]->span,
                       "'evaluate every %llu' is more than the %llu steps",
                       (unsigned long long)study->evaluate_every, (unsigned long long)study->steps);
        diag_note(diag, reader->seen[N_STEPS]->span, "the steps are here");
    }
    if (!study->evaluate_every) study->evaluate_every = study->steps >= 20 ? study->steps / 20 : 1;
    if (study->optimizer_hyper >= 0 && study->optimizer_node)
        diag_note(diag_error(checker->diags, reader->seen[N_USE_OPTIMIZER]->span,
                             "the optimizer is both given and a hyperparameter"),
                  study->hypers.at[study->optimizer_hyper].span, "the hyperparameter is here");
}

/* Whole numbers of examples; study->batch becomes the largest. */
static void check_batch(Reader *reader) {
    Study *study = reader->study;
    if (study->batch_hyper < 0) return;
    const Hyper *batch = &study->hypers.at[study->batch_hyper];
    if (batch->kind == DOMAIN_CHOICE || batch->booleans) {
        diag_error(reader->checker->diags, batch->span, "'batch' must be a number of examples");
        return;
    }
    study->batch = 0;
    for (uint32_t i = 0; i < hyper_count(batch); i++) {
        double size = hyper_value(batch, i);
        bool whole = size >= 1 && size <= 1e7 && size == floor(size);
        if (whole && size > (double)study->batch) study->batch = (uint64_t)size;
        if (whole) continue;
        diag_error(reader->checker->diags, batch->span,
                   "'batch' must be a whole number from 1 to 10000000, not %g", size);
        return;
    }
}

/* A sample larger than the split, an evaluation in smaller pieces than training. */
static void check_sizes(Reader *reader) {
    Checker *checker = reader->checker;
    Study *study = reader->study;
    const Data *data = study->data;
    check_batch(reader);
    const Node *evaluate = reader->seen[N_EVALUATE];
    if (study->evaluate_batch && study->evaluate_batch < study->batch) {
        Diag *diag =
            diag_error(checker->diags, tree_kid(evaluate, 2)->span,
                       "the evaluation's batch %llu is smaller than the training batch %llu",
                       (unsigned long long)study->evaluate_batch, (unsigned long long)study->batch);
        diag_help(diag, "write 'batch %llu' or more, or leave it out",
                  (unsigned long long)study->batch);
    }
    if (!data || data->fractions || !study->evaluate_examples ||
        !data->has_split[study->select_split])
        return;
    if ((double)study->evaluate_examples <= data->split[study->select_split]) return;
    diag_error(checker->diags, tree_kid(evaluate, 1)->span,
               "the evaluation is on %llu examples, but split '%s' has %.0f",
               (unsigned long long)study->evaluate_examples, split_names[study->select_split],
               data->split[study->select_split]);
}

static void read_study(Checker *checker, Decl *decl) {
    Study *study = arena_alloc(checker->arena, sizeof *study);
    *study = (Study){.decl = decl,
                     .optimizer_hyper = -1,
                     .batch_hyper = -1,
                     .batch = 64,
                     .select_split = SPLIT_VALID,
                     .select_metric = "loss",
                     .keep = 1,
                     .seeds = 1,
                     .precision = "f32"};
    Reader reader = {.checker = checker, .module = decl->module, .study = study};
    Node *block = decl->node->kids.at[0];
    vec_push(checker->arena, &checker->checked->studies, study);
    for (uint32_t i = 0; i < block->kids.count; i++)
        if (block->kids.at[i]->kind == N_HYPER) read_hyper(&reader, block->kids.at[i]);
    for (uint32_t i = 0; i < block->kids.count; i++) read_statement(&reader, block->kids.at[i]);
    if (!study->model && !reader.seen[N_USE_MODEL])
        diag_help(diag_error(checker->diags, decl->node->name_span, "study '%s' has no model",
                             decl->name),
                  "add 'model NAME(…)'");
    classify(&reader);
    check_expressions(&reader, block);
    read_search(checker, study, reader.seen[N_SEARCH]);
    check_selection(&reader);
    check_steps(&reader);
    check_sizes(&reader);
}

void check_studies(Checker *checker) {
    const Module *module = checker->checked->main;
    for (uint32_t i = 0; i < module->decls.count; i++)
        if (module->decls.at[i]->kind == N_STUDY) read_study(checker, module->decls.at[i]);
}
