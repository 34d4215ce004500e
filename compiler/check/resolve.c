/* What a written name means: declarations of the module and of the modules it uses; and the message
 * when it means nothing or the wrong thing. */
#include "compiler/check/checker.h"

#include <unistd.h>

const char *decl_word(NodeKind kind) {
    switch (kind) {
    case N_DATA: return "a data set";
    case N_DEF: return "a function";
    case N_LAYER: return "a layer";
    case N_MODEL: return "a model";
    case N_OPTIMIZER: return "an optimizer";
    case N_SCHEDULE: return "a schedule";
    case N_INIT: return "an initialiser";
    case N_STUDY: return "a study";
    default: return "a value";
    }
}

const char *name_text(Arena *arena, const Node *name) {
    if (name->kind != N_MEMBER) return name->name;
    return arena_printf(arena, "%s.%s", name->kids.at[0]->name, name->name);
}

const Node *callee_of(const Node *node) {
    return node->kind == N_CALL ? node->kids.at[0] : node;
}

uint32_t argument_count(const Node *call) {
    return call->kind == N_CALL ? call->kids.count - 1 : 0;
}

const Node *argument_at(const Node *call, uint32_t index) {
    return call->kids.at[index + 1];
}

const Node *argument_value(const Node *argument) {
    return argument->kind == N_ARG ? argument->kids.at[0] : argument;
}

Decl *resolve_quietly(const Module *module, const Node *name) {
    if (name->kind == N_NAME) return module_find(module, NULL, name->name);
    if (name->kind != N_MEMBER || name->kids.at[0]->kind != N_NAME) return NULL;
    return module_find(module, name->kids.at[0]->name, name->name);
}

static const Module *used_module(const Module *module, const char *name) {
    if (module->name == name) return module;
    for (uint32_t i = 0; i < module->uses.count; i++)
        if (module->uses.at[i]->name == name) return module->uses.at[i];
    return NULL;
}

static void add_declared(Arena *arena, const Module *module, TextList *names) {
    for (uint32_t i = 0; i < module->decls.count; i++)
        vec_push(arena, names, module->decls.at[i]->name);
}

Builtin module_builtin(const Module *module, const Node *name) {
    if (name->kind == N_NAME) return builtin_find(name->name);
    if (name->kind != N_MEMBER || !used_module(module, name->kids.at[0]->name)) return BUILTIN_NONE;
    Builtin builtin = builtin_find(name->name);
    return builtin != BUILTIN_NONE && builtin_info[builtin].is_value ? BUILTIN_NONE : builtin;
}

/* A module of the standard library that declares `name` and is not used yet: its text is not read
 * for this, so only the module's own name can be known. */
static bool is_library_module(const Checker *checker, const char *name) {
    const char *path = arena_printf(checker->arena, "%s/%s.tune", checker->options->stdlib, name);
    return !access(path, R_OK);
}

static void report_unknown_base(Checker *checker, const Module *module, const Node *member) {
    const Node *base = member->kids.at[0];
    Diag *diag = diag_error(checker->diags, base->span, "unknown module '%s'", base->name);
    if (is_library_module(checker, base->name)) {
        diag_help(diag, "write 'use %s' at the top of the file", base->name);
        return;
    }
    TextList names = {0};
    for (uint32_t i = 0; i < module->uses.count; i++)
        vec_push(checker->arena, &names, module->uses.at[i]->name);
    const char *nearest = diag_nearest(base->name, names.at, names.count);
    if (nearest) diag_help(diag, "did you mean '%s.%s'?", nearest, member->name);
}

static void report_unknown_member(Checker *checker, const Module *module, const Node *member) {
    const Node *base = member->kids.at[0];
    const Module *used = used_module(module, base->name);
    if (!used) {
        report_unknown_base(checker, module, member);
        return;
    }
    TextList names = {0};
    add_declared(checker->arena, used, &names);
    Diag *diag = diag_error(checker->diags, member->span, "module '%s' has no '%s'", base->name,
                            member->name);
    const char *nearest = diag_nearest(member->name, names.at, names.count);
    if (nearest) diag_help(diag, "did you mean '%s.%s'?", base->name, nearest);
}

static const char *places_of(unsigned contexts) {
    if (contexts == BUILTIN_IN_INIT) return "an 'init'";
    if (contexts == BUILTIN_IN_OPTIMIZER) return "an 'optimizer'";
    if (contexts == BUILTIN_IN_SCHEDULE) return "a 'schedule'";
    if (!(contexts & BUILTIN_IN_STUDY) && contexts & BUILTIN_IN_OPTIMIZER)
        return "models, layers, functions, optimizers and schedules";
    return "models, layers and functions";
}

void report_unknown(Checker *checker, const Module *module, const Node *name, unsigned contexts,
                    const TextList *more) {
    Arena *arena = checker->arena;
    if (name->kind == N_MEMBER) {
        report_unknown_member(checker, module, name);
        return;
    }
    Builtin builtin = builtin_find(name->name);
    if (builtin != BUILTIN_NONE && !(builtin_info[builtin].contexts & contexts)) {
        diag_error(checker->diags, name->span, "'%s' has a meaning only in %s", name->name,
                   places_of(builtin_info[builtin].contexts));
        return;
    }
    TextList names = {0};
    for (uint32_t i = 0; more && i < more->count; i++) vec_push(arena, &names, more->at[i]);
    add_declared(arena, module, &names);
    for (uint32_t i = 0; i < module->uses.count; i++)
        add_declared(arena, module->uses.at[i], &names);
    for (int i = 0; i < BUILTIN_COUNT; i++)
        if (builtin_info[i].contexts & contexts) vec_push(arena, &names, builtin_info[i].text);

    Diag *diag = diag_error(checker->diags, name->span, "unknown name '%s'", name->name);
    const char *nearest = diag_nearest(name->name, names.at, names.count);
    if (nearest) diag_help(diag, "did you mean '%s'?", nearest);
}

bool report_ambiguous(Checker *checker, const Module *module, const Node *name) {
    const Decl *first = name->kind == N_NAME ? module_find(module, NULL, name->name) : NULL;
    if (!first || first->module == module) return false;
    for (uint32_t i = 0; i < module->uses.count; i++) {
        const Module *other = module->uses.at[i];
        if (other == first->module || !module_find(other, other->name, name->name)) continue;
        Diag *diag = diag_error(checker->diags, name->span, "'%s' is in both modules '%s' and '%s'",
                                name->name, first->module->name, other->name);
        diag_help(diag, "write '%s.%s' or '%s.%s'", first->module->name, name->name, other->name,
                  name->name);
        return true;
    }
    return false;
}

Decl *resolve_kind(Checker *checker, const Module *module, const Node *name, NodeKind kind) {
    Arena *arena = checker->arena;
    if (name->kind != N_NAME && name->kind != N_MEMBER) {
        diag_error(checker->diags, name->span, "the name of %s is wanted here", decl_word(kind));
        return NULL;
    }
    Decl *decl = resolve_quietly(module, name);
    if (!decl) {
        report_unknown(checker, module, name, 0, NULL);
        return NULL;
    }
    if (report_ambiguous(checker, module, name)) return NULL;
    if (decl->kind == kind) return decl;
    Diag *diag = diag_error(checker->diags, name->span, "'%s' is %s, not %s",
                            name_text(arena, name), decl_word(decl->kind), decl_word(kind));
    diag_note(diag, decl->node->name_span, "'%s' is declared here", decl->name);
    return NULL;
}
