/* Names: every name of every definition means something, statements stand where they belong, and
 * functions return. Shapes and types wait for elaboration; this finds mistakes in code that
 * no study reaches, too. */
#include "compiler/check/checker.h"

typedef struct {
    Checker *checker;
    const Module *module;
    const Decl *decl;
    unsigned context; /* one BuiltinContext bit */
    TextList locals;
    bool open; /* the data set is unknown: any name may be a field */
} Scope;

static unsigned context_of(NodeKind kind) {
    switch (kind) {
    case N_LAYER: return BUILTIN_IN_LAYER;
    case N_MODEL: return BUILTIN_IN_MODEL;
    case N_DATA: return BUILTIN_IN_GENERATE;
    case N_INIT: return BUILTIN_IN_INIT;
    case N_OPTIMIZER: return BUILTIN_IN_OPTIMIZER;
    case N_SCHEDULE: return BUILTIN_IN_SCHEDULE;
    default: return BUILTIN_IN_DEF;
    }
}

static bool is_local(const Scope *scope, const char *name) {
    for (uint32_t i = 0; i < scope->locals.count; i++)
        if (scope->locals.at[i] == name) return true;
    return false;
}

static void add_local(Scope *scope, const char *name) {
    if (!is_local(scope, name)) vec_push(scope->checker->arena, &scope->locals, name);
}

/* ---- expressions ---- */

static void check_expression(Scope *scope, const Node *node);

static void check_kids(Scope *scope, const Node *node, uint32_t first) {
    for (uint32_t i = first; i < node->kids.count; i++) check_expression(scope, node->kids.at[i]);
}

/* Functions, also as values. */
static bool usable(const Decl *decl) {
    return decl->kind == N_DEF || decl->kind == N_LAYER || decl->kind == N_INIT;
}

/* A function may be called by models and layers, so it may call what they may. */
static bool callable(const Scope *scope, const Decl *decl) {
    const unsigned networks = BUILTIN_IN_DEF | BUILTIN_IN_LAYER | BUILTIN_IN_MODEL;
    if (decl->kind == N_LAYER) return scope->context & networks;
    if (decl->kind == N_INIT) return scope->context & (networks | BUILTIN_IN_INIT);
    return decl->kind == N_DEF;
}

static void report_misuse(Scope *scope, const Node *name, const Decl *decl, const char *use) {
    Diag *diag = diag_error(scope->checker->diags, name->span, "'%s' is %s and cannot be %s",
                            name_text(scope->checker->arena, name), decl_word(decl->kind), use);
    diag_note(diag, decl->node->name_span, "'%s' is declared here", decl->name);
}

static bool known_builtin(const Scope *scope, const Node *name) {
    Builtin builtin = module_builtin(scope->module, name);
    return builtin != BUILTIN_NONE && builtin_info[builtin].contexts & scope->context;
}

/* Once per definition: a name that was reported counts as known from there on. */
static void report_unknown_here(Scope *scope, const Node *name) {
    if (name->kind == N_NAME && scope->open) return;
    report_unknown(scope->checker, scope->module, name, scope->context, &scope->locals);
    if (name->kind == N_NAME) add_local(scope, name->name);
}

/* x.width of a value x. */
static bool is_member_of_value(Scope *scope, const Node *name) {
    if (name->kind != N_MEMBER || !is_local(scope, name->kids.at[0]->name)) return false;
    const char *base = name->kids.at[0]->name;
    for (uint32_t i = 0; i < scope->module->uses.count; i++)
        if (scope->module->uses.at[i]->name == base) return false;
    Diag *diag =
        diag_error(scope->checker->diags, name->span, "'%s' is a value and has no members", base);
    diag_help(diag, "only modules have members; 'shape(%s, 0)' is the size of an axis", base);
    return true;
}

static void check_name(Scope *scope, const Node *name) {
    if (name->kind == N_NAME && is_local(scope, name->name)) return;
    if (is_member_of_value(scope, name)) return;
    const Decl *decl = resolve_quietly(scope->module, name);
    if (decl && report_ambiguous(scope->checker, scope->module, name)) return;
    if (decl && !usable(decl)) report_misuse(scope, name, decl, "used as a value");
    if (!decl && !known_builtin(scope, name)) report_unknown_here(scope, name);
}

static void check_call_of_builtin(Scope *scope, const Node *call) {
    Builtin builtin = module_builtin(scope->module, call->kids.at[0]);
    if (builtin_info[builtin].is_value) {
        diag_error(scope->checker->diags, call->kids.at[0]->span, "'%s' is a value, not a function",
                   builtin_info[builtin].text);
        return;
    }
    bool needs_like = builtin_is_random(builtin) &&
                      scope->context & (BUILTIN_IN_DEF | BUILTIN_IN_LAYER | BUILTIN_IN_MODEL);
    check_builtin_call(scope->checker, builtin, call, needs_like);
}

static void check_call(Scope *scope, const Node *call) {
    const Node *callee = call->kids.at[0];
    check_kids(scope, call, 1);
    if (callee->kind != N_NAME && callee->kind != N_MEMBER) {
        check_expression(scope, callee);
        return;
    }
    if (callee->kind == N_NAME && is_local(scope, callee->name)) return;
    if (is_member_of_value(scope, callee)) return;
    const Decl *decl = resolve_quietly(scope->module, callee);
    if (decl && report_ambiguous(scope->checker, scope->module, callee)) return;
    if (decl) {
        if (callable(scope, decl))
            bind_arguments(scope->checker, decl, call);
        else
            report_misuse(scope, callee, decl, "called here");
    } else if (known_builtin(scope, callee))
        check_call_of_builtin(scope, call);
    else
        report_unknown_here(scope, callee);
}

static void check_expression(Scope *scope, const Node *node) {
    switch (node->kind) {
    case N_NAME:
    case N_MEMBER: check_name(scope, node); break;
    case N_CALL: check_call(scope, node); break;
    case N_SET:
    case N_DOMAIN:
        diag_error(scope->checker->diags, node->span, "a search space can only stand in a study");
        break;
    default: check_kids(scope, node, 0);
    }
}

/* ---- statements ---- */

static void check_block(Scope *scope, const Node *block);

/* The definitions that a kind of statement belongs to, as a set of contexts, and in words. */
static unsigned places_of(NodeKind statement, const char **words) {
    switch (statement) {
    case N_METRIC: *words = "a metric belongs in a model"; return BUILTIN_IN_MODEL;
    case N_PREDICT: *words = "a prediction belongs in a model"; return BUILTIN_IN_MODEL;
    case N_STATE: *words = "a state belongs in an optimizer"; return BUILTIN_IN_OPTIMIZER;
    case N_PARAMETER:
        *words = "a parameter belongs in a layer or a model";
        return BUILTIN_IN_LAYER | BUILTIN_IN_MODEL;
    case N_FIELD:
    case N_SPLIT: *words = "fields and splits belong in a data set of files"; return 0;
    case N_RETURN:
        *words = "'return' belongs in a function, layer, schedule or initialiser";
        return BUILTIN_IN_DEF | BUILTIN_IN_LAYER | BUILTIN_IN_INIT | BUILTIN_IN_SCHEDULE;
    default: *words = ""; return ~0u;
    }
}

static bool belongs(Scope *scope, const Node *statement) {
    const char *words;
    if (places_of(statement->kind, &words) & scope->context) return true;
    diag_error(scope->checker->diags, statement->span, "%s", words);
    if (statement->name) add_local(scope, statement->name);
    return false;
}

static void check_statement(Scope *scope, const Node *statement) {
    if (statement->kind == N_ERROR || !belongs(scope, statement)) return;
    switch (statement->kind) {
    case N_ASSIGN:
    case N_METRIC:
    case N_STATE:
        check_expression(scope, statement->kids.at[0]);
        if (statement->kind != N_METRIC) add_local(scope, statement->name);
        break;
    case N_PARAMETER:
        check_kids(scope, statement->kids.at[0], 0);
        if (tree_kid(statement, 1)) check_expression(scope, statement->kids.at[1]);
        add_local(scope, statement->name);
        break;
    case N_REPEAT:
        check_expression(scope, statement->kids.at[0]);
        if (statement->name) add_local(scope, statement->name);
        check_block(scope, statement->kids.at[1]);
        break;
    case N_IF:
        check_expression(scope, statement->kids.at[0]);
        check_block(scope, statement->kids.at[1]);
        if (tree_kid(statement, 2)) check_statement(scope, statement->kids.at[2]);
        break;
    case N_BLOCK: check_block(scope, statement); break;
    default: check_kids(scope, statement, 0);
    }
}

static void check_block(Scope *scope, const Node *block) {
    for (uint32_t i = 0; i < block->kids.count; i++) check_statement(scope, block->kids.at[i]);
}

/* ---- definitions ---- */

/* Does every way through end in a return? */
static bool returns(const Node *statement) {
    if (statement->kind == N_RETURN || statement->kind == N_ERROR) return true;
    if (statement->kind == N_IF)
        return tree_kid(statement, 2) && returns(statement->kids.at[1]) &&
               returns(statement->kids.at[2]);
    if (statement->kind != N_BLOCK) return false;
    for (uint32_t i = 0; i < statement->kids.count; i++)
        if (returns(statement->kids.at[i])) return true;
    return false;
}

static void check_return(Scope *scope, const Node *block) {
    const unsigned wanting =
        BUILTIN_IN_DEF | BUILTIN_IN_LAYER | BUILTIN_IN_INIT | BUILTIN_IN_SCHEDULE;
    if (!(scope->context & wanting) || returns(block)) return;
    Diag *diag = diag_error(scope->checker->diags, scope->decl->node->name_span,
                            "'%s' does not return a value", scope->decl->name);
    diag_help(diag, "end it with 'return …'");
}

/* Metrics and states are named once; parameters once per block (an `if` may give another one). */
static void check_doubled(Scope *scope, const Node *block) {
    for (uint32_t i = 0; i < block->kids.count; i++) {
        const Node *statement = block->kids.at[i];
        bool named = statement->kind == N_METRIC || statement->kind == N_STATE ||
                     statement->kind == N_PARAMETER;
        for (uint32_t k = 0; named && k < i; k++) {
            const Node *other = block->kids.at[k];
            if (other->kind != statement->kind || other->name != statement->name) continue;
            Diag *diag =
                diag_error(scope->checker->diags, statement->name_span, "%s '%s' is declared twice",
                           tree_kind_name(statement->kind), statement->name);
            diag_note(diag, other->name_span, "first here");
            break;
        }
    }
}

static bool assigns(const Node *node, const char *name) {
    if (node->kind == N_ASSIGN && !strcmp(node->name, name)) return true;
    for (uint32_t i = 0; i < node->kids.count; i++)
        if (assigns(node->kids.at[i], name)) return true;
    return false;
}

static void check_optimizer(Scope *scope, const Node *block) {
    if (scope->decl->kind != N_OPTIMIZER || assigns(block, "param")) return;
    Diag *diag = diag_error(scope->checker->diags, scope->decl->node->name_span,
                            "optimizer '%s' does not change the parameters", scope->decl->name);
    diag_help(diag, "end it with 'param = param - …'");
}

/* int, real, bool, fn and the element types of tensors. */
static void check_type(Scope *scope, const Node *type) {
    static const char *const names[] = {"f32", "f64", "i32", "u8", "bool", "int", "real", "fn"};
    enum { COUNT = sizeof names / sizeof *names };
    for (uint32_t i = 0; i < COUNT; i++)
        if (!strcmp(type->name, names[i])) return;
    Diag *diag =
        diag_error(scope->checker->diags, type->name_span, "unknown type '%s'", type->name);
    const char *nearest = diag_nearest(type->name, names, COUNT);
    if (nearest)
        diag_help(diag, "did you mean '%s'?", nearest);
    else
        diag_help(diag, "the types are int, real, bool, fn and f32[…], i32[…], u8[…], bool[…]");
}

/* Parameters and, in layers, the dims that their shapes bind. */
static void add_parameters(Scope *scope, const Node *params) {
    for (uint32_t i = 0; i < params->kids.count; i++) {
        const Node *param = params->kids.at[i], *type = tree_kid(param, 0);
        if (is_local(scope, param->name))
            diag_error(scope->checker->diags, param->name_span, "parameter '%s' is declared twice",
                       param->name);
        add_local(scope, param->name);
        if (type) check_type(scope, type);
        for (uint32_t k = 0; type && k < type->kids.count; k++)
            if (type->kids.at[k]->kind == N_NAME) add_local(scope, type->kids.at[k]->name);
    }
    for (uint32_t i = 0; i < params->kids.count; i++)
        if (tree_kid(params->kids.at[i], 1))
            check_expression(scope, params->kids.at[i]->kids.at[1]);
}

void data_field_names(const Decl *data, Arena *arena, TextList *names) {
    const Node *block = data->node->kids.at[1];
    for (uint32_t i = 0; i < block->kids.count; i++)
        if (block->kids.at[i]->kind == N_FIELD || block->kids.at[i]->kind == N_ASSIGN)
            vec_push(arena, names, block->kids.at[i]->name);
}

static void add_fields(Scope *scope, const Node *on) {
    const Decl *data = on ? resolve_kind(scope->checker, scope->module, on, N_DATA) : NULL;
    TextList names = {0};
    scope->open = on && !data;
    if (data) data_field_names(data, scope->checker->arena, &names);
    for (uint32_t i = 0; i < names.count; i++) add_local(scope, names.at[i]);
}

static bool is_file_data(const Decl *decl) {
    const Node *callee = decl->kind == N_DATA ? callee_of(decl->node->kids.at[0]) : NULL;
    return callee && !(callee->kind == N_NAME && !strcmp(callee->name, "generate"));
}

static void check_file_block(Checker *checker, const Node *block) {
    for (uint32_t i = 0; i < block->kids.count; i++) {
        const Node *statement = block->kids.at[i];
        if (statement->kind == N_FIELD || statement->kind == N_SPLIT || statement->kind == N_ERROR)
            continue;
        diag_help(diag_error(checker->diags, statement->span,
                             "only fields and a split stand in a data set of files"),
                  "write a field as 'name: type', and compute in the model");
    }
}

static void check_decl(Checker *checker, const Module *module, const Decl *decl) {
    const Node *node = decl->node;
    const Node *block = node->kids.at[node->kids.count - 1];
    if (decl->kind == N_STUDY) return;
    if (is_file_data(decl)) {
        check_file_block(checker, block);
        return;
    }
    Scope scope = {
        .checker = checker, .module = module, .decl = decl, .context = context_of(decl->kind)};
    if (decl->kind == N_MODEL) add_fields(&scope, tree_kid(node, 1));
    if (decl->kind != N_DATA) add_parameters(&scope, node->kids.at[0]);
    check_block(&scope, block);
    check_doubled(&scope, block);
    check_return(&scope, block);
    check_optimizer(&scope, block);
}

void check_names(Checker *checker) {
    for (uint32_t m = 0; m < checker->checked->modules.count; m++) {
        const Module *module = checker->checked->modules.at[m];
        for (uint32_t i = 0; i < module->decls.count; i++)
            check_decl(checker, module, module->decls.at[i]);
    }
}
