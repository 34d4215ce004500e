/* Arguments against parameters, for declarations and for builtins.
 *
 * A positional argument goes to the parameter at its own place, also after named ones, as in
 * `mlp(depth: 2, width: 128, drop)`. */
#include "compiler/check/checker.h"

typedef struct {
    Checker *checker;
    const Decl *callee;
    const Node *params, *call;
    const Node **given; /* per parameter */
} Binding;

static int find_parameter(const Node *params, const char *name) {
    for (uint32_t i = 0; i < params->kids.count; i++)
        if (params->kids.at[i]->name == name) return (int)i;
    return -1;
}

static void report_unknown_argument(Binding *b, const Node *argument) {
    TextList names = {0};
    for (uint32_t i = 0; i < b->params->kids.count; i++)
        vec_push(b->checker->arena, &names, b->params->kids.at[i]->name);
    Diag *diag = diag_error(b->checker->diags, argument->name_span, "'%s' has no parameter '%s'",
                            b->callee->name, argument->name);
    diag_note(diag, b->callee->node->name_span, "'%s' is declared here", b->callee->name);
    const char *nearest = diag_nearest(argument->name, names.at, names.count);
    if (nearest) diag_help(diag, "did you mean '%s'?", nearest);
}

static void report_superfluous(Binding *b, const Node *argument) {
    uint32_t most = b->params->kids.count;
    Diag *diag =
        diag_error(b->checker->diags, argument->span, "too many arguments: '%s' has %u parameter%s",
                   b->callee->name, most, most == 1 ? "" : "s");
    diag_note(diag, b->callee->node->name_span, "'%s' is declared here", b->callee->name);
}

static void report_doubled(Binding *b, const Node *argument, int parameter) {
    const char *name = b->params->kids.at[parameter]->name;
    Diag *diag = diag_error(b->checker->diags, argument->span, "'%s' is given twice", name);
    diag_note(diag, b->given[parameter]->span, "first here");
}

/* A bare name that is the name of another parameter is nearly always meant for that one. */
static void report_misplaced(Binding *b, const Node *argument, int parameter, int meant) {
    const char *name = b->params->kids.at[meant]->name;
    Diag *diag =
        diag_error(b->checker->diags, argument->span, "'%s' stands where '%s' expects '%s'", name,
                   b->callee->name, b->params->kids.at[parameter]->name);
    diag_help(diag, "write '%s: %s'", name, name);
}

static int bind_one(Binding *b, uint32_t index) {
    const Node *argument = argument_at(b->call, index);
    bool named = argument->kind == N_ARG;
    int parameter = named ? find_parameter(b->params, argument->name) : (int)index;
    if (parameter < 0) {
        report_unknown_argument(b, argument);
        return -1;
    }
    if ((uint32_t)parameter >= b->params->kids.count) {
        report_superfluous(b, argument);
        return -1;
    }
    if (b->given[parameter]) {
        report_doubled(b, argument, parameter);
        return -1;
    }
    bool is_choice = b->callee->kind == N_MODEL || b->callee->kind == N_OPTIMIZER;
    int meant = is_choice && !named && argument->kind == N_NAME
                    ? find_parameter(b->params, argument->name)
                    : -1;
    if (meant >= 0 && meant != parameter) {
        report_misplaced(b, argument, parameter, meant);
        b->given[parameter] = argument;
        return -1;
    }
    b->given[parameter] = argument;
    return parameter;
}

static void report_missing(Binding *b, bool mistaken) {
    if (mistaken) return; /* one cause, one message */
    for (uint32_t i = 0; i < b->params->kids.count; i++) {
        const Node *param = b->params->kids.at[i];
        if (b->given[i] || tree_kid(param, 1)) continue;
        Diag *diag = diag_error(b->checker->diags, b->call->span, "'%s' needs a value for '%s'",
                                b->callee->name, param->name);
        diag_note(diag, param->span, "'%s' has no default", param->name);
        diag_help(diag, "write '%s: …'", param->name);
    }
}

static int *bind(Checker *checker, const Decl *callee, const Node *call, bool complete) {
    Binding b = {
        .checker = checker, .callee = callee, .params = callee->node->kids.at[0], .call = call};
    uint32_t count = argument_count(call);
    int *binding = arena_alloc(checker->arena, (count + 1) * sizeof *binding);
    b.given = arena_alloc(checker->arena, (b.params->kids.count + 1) * sizeof *b.given);
    bool mistaken = false;
    for (uint32_t i = 0; i < count; i++) {
        binding[i] = bind_one(&b, i);
        mistaken |= binding[i] < 0;
    }
    if (complete) report_missing(&b, mistaken);
    return binding;
}

int *bind_arguments(Checker *checker, const Decl *callee, const Node *call) {
    return bind(checker, callee, call, true);
}

int *bind_some_arguments(Checker *checker, const Decl *callee, const Node *call) {
    return bind(checker, callee, call, false);
}

void check_named_once(Checker *checker, const Node *list) {
    for (uint32_t i = 0; i < list->kids.count; i++) {
        const Node *argument = list->kids.at[i], *before = NULL;
        for (uint32_t k = 0; argument->kind == N_ARG && k < i && !before; k++) {
            const Node *other = list->kids.at[k];
            if (other->kind == N_ARG && other->name == argument->name) before = other;
        }
        if (!before) continue;
        diag_note(diag_error(checker->diags, argument->span, "'%s' is given twice", argument->name),
                  before->span, "first here");
    }
}

static const char *quoted_list(Arena *arena, const char *words) {
    const char *list = "";
    for (const char *at = words; *at;) {
        int bytes = (int)strcspn(at, " ");
        list = arena_printf(arena, "%s%s'%.*s:'", list, *list ? ", " : "", bytes, at);
        at += bytes;
        at += *at == ' ';
    }
    return list;
}

static void check_builtin_argument(Checker *checker, Builtin builtin, const Node *argument) {
    const BuiltinInfo *info = &builtin_info[builtin];
    if (builtin_takes(builtin, argument->name)) return;
    Diag *diag = diag_error(checker->diags, argument->name_span, "'%s' has no argument '%s'",
                            info->text, argument->name);
    if (*info->named) diag_help(diag, "it has %s", quoted_list(checker->arena, info->named));
}

static const char *expected_count(Arena *arena, const BuiltinInfo *info) {
    const char *plural = info->most == 1 ? "" : "s";
    if (info->most == BUILTIN_ANY_COUNT)
        return arena_printf(arena, "at least %d arguments", info->least);
    if (info->least == info->most) return arena_printf(arena, "%d argument%s", info->least, plural);
    return arena_printf(arena, "%d to %d arguments", info->least, info->most);
}

void check_builtin_call(Checker *checker, Builtin builtin, const Node *call, bool needs_like) {
    const BuiltinInfo *info = &builtin_info[builtin];
    int positional = 0;
    bool has_like = false;
    check_named_once(checker, call);
    for (uint32_t i = 0; i < argument_count(call); i++) {
        const Node *argument = argument_at(call, i);
        if (argument->kind != N_ARG) {
            positional++;
            continue;
        }
        has_like |= !strcmp(argument->name, "like");
        check_builtin_argument(checker, builtin, argument);
    }
    if (positional < info->least || positional > info->most) {
        Diag *diag = diag_error(checker->diags, call->span, "'%s' takes %s, not %d", info->text,
                                expected_count(checker->arena, info), positional);
        if (positional > info->most && *info->named)
            diag_help(diag, "write the others by name: %s",
                      quoted_list(checker->arena, info->named));
    } else if (needs_like && !has_like) {
        Diag *diag = diag_error(checker->diags, call->span, "the shape of '%s' is not known here",
                                info->text);
        diag_help(diag, "say which value it is shaped like, as in '%s(…, like: x)'", info->text);
    }
}
