/* Modules: `use nn` reads nn.tune from beside the using file, else from the standard library. Each
 * file is read once; a chain of uses that comes back to its beginning is a mistake. */
#include "compiler/check/checker.h"

#include <dirent.h>
#include <unistd.h>

#include "grammar/parse.h"

/* A file that is loaded or being loaded. */
typedef struct {
    const char *path;
    Module *module;
    bool loading;
} Loaded;

typedef struct {
    Checker *checker;
    Vec(Loaded) files;
} Loader;

static const char *directory_of(Arena *arena, const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? arena_copy(arena, path, (size_t)(slash - path)) : ".";
}

static const char *join(Arena *arena, const char *directory, const char *name) {
    if (!strcmp(directory, ".")) return arena_printf(arena, "%s.tune", name);
    return arena_printf(arena, "%s/%s.tune", directory, name);
}

static const char *base_name(Arena *arena, const char *path) {
    const char *slash = strrchr(path, '/');
    const char *start = slash ? slash + 1 : path;
    size_t bytes = strlen(start);
    if (bytes > 5 && !strcmp(start + bytes - 5, ".tune")) bytes -= 5;
    return arena_copy(arena, start, bytes);
}

static bool is_declaration(NodeKind kind) {
    switch (kind) {
    case N_DATA:
    case N_DEF:
    case N_LAYER:
    case N_MODEL:
    case N_OPTIMIZER:
    case N_SCHEDULE:
    case N_INIT:
    case N_STUDY: return true;
    default: return false;
    }
}

static void add_declaration(Checker *checker, Module *module, Node *node) {
    for (uint32_t i = 0; i < module->decls.count; i++) {
        const Decl *other = module->decls.at[i];
        if (other->name != node->name) continue;
        Diag *diag =
            diag_error(checker->diags, node->name_span, "'%s' is declared twice", node->name);
        diag_note(diag, other->node->name_span, "the first declaration is here");
        diag_help(diag, "give one of them another name");
        return;
    }
    Builtin builtin = builtin_find(node->name);
    if (builtin != BUILTIN_NONE && !builtin_info[builtin].is_value) {
        Diag *diag = diag_error(checker->diags, node->name_span,
                                "'%s' is the name of a builtin function", node->name);
        diag_help(diag, "give this one another name");
    }
    Decl *decl = arena_alloc(checker->arena, sizeof *decl);
    *decl = (Decl){.kind = node->kind, .name = node->name, .node = node, .module = module};
    vec_push(checker->arena, &module->decls, decl);
}

static void add_candidates(Arena *arena, const char *directory, TextList *names) {
    DIR *dir = opendir(*directory ? directory : "/");
    if (!dir) return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        size_t bytes = strlen(entry->d_name);
        if (bytes > 5 && !strcmp(entry->d_name + bytes - 5, ".tune"))
            vec_push(arena, names, arena_copy(arena, entry->d_name, bytes - 5));
    }
    closedir(dir);
}

static void report_missing_module(Checker *checker, const Node *use, const char *directory) {
    TextList names = {0};
    add_candidates(checker->arena, checker->options->stdlib, &names);
    add_candidates(checker->arena, directory, &names);
    Diag *diag = diag_error(checker->diags, use->name_span, "unknown module '%s'", use->name);
    const char *nearest = diag_nearest(use->name, names.at, names.count);
    if (nearest) {
        diag_help(diag, "did you mean '%s'?", nearest);
    } else {
        diag_help(diag, "a module is a file '%s.tune' beside this one or in the standard library",
                  use->name);
    }
}

static Module *load_file(Loader *loader, Node *file, const Source *source, const char *path);

static void report_cycle(Loader *loader, const Node *use, const Module *target) {
    Arena *arena = loader->checker->arena;
    const char *chain = NULL;
    for (uint32_t i = 0; i < loader->files.count; i++) {
        const Loaded *file = &loader->files.at[i];
        if (file->module == target)
            chain = target->name;
        else if (chain && file->loading)
            chain = arena_printf(arena, "%s -> %s", chain, file->module->name);
    }
    Diag *diag = diag_error(loader->checker->diags, use->name_span,
                            "module '%s' uses itself: %s -> %s", use->name, chain, use->name);
    if (!strcmp(chain, use->name))
        diag_help(diag, "leave it out, or give this file another name");
    else
        diag_help(diag, "move what both need into a module of its own");
}

/* The module that `use` means, read if it was not read yet; NULL after a mistake. */
static Module *load_used(Loader *loader, const Node *use, const char *directory) {
    Checker *checker = loader->checker;
    const char *path = join(checker->arena, directory, use->name);
    const char *shown = path;
    if (access(path, F_OK)) {
        path = join(checker->arena, checker->options->stdlib, use->name);
        shown = arena_printf(checker->arena, "%s.tune", use->name);
    } else if (!strcmp(directory, checker->options->stdlib)) {
        shown = arena_printf(checker->arena, "%s.tune", use->name);
    }
    for (uint32_t i = 0; i < loader->files.count; i++) {
        const Loaded *file = &loader->files.at[i];
        if (strcmp(file->path, path)) continue;
        if (!file->loading) return file->module;
        report_cycle(loader, use, file->module);
        return NULL;
    }
    if (access(path, F_OK)) {
        report_missing_module(checker, use, directory);
        return NULL;
    }
    const char *reason = NULL;
    const Source *source = sources_read(checker->options->sources, path, shown, &reason);
    if (!source) {
        diag_error(checker->diags, use->name_span, "cannot read module '%s': %s", use->name,
                   reason);
        return NULL;
    }
    Node *file = parse(source, checker->arena, checker->options->names, checker->diags);
    return load_file(loader, file, source, path);
}

static void load_uses(Loader *loader, Module *module, const char *directory) {
    Checker *checker = loader->checker;
    for (uint32_t i = 0; i < module->file->kids.count; i++) {
        const Node *use = module->file->kids.at[i];
        if (use->kind != N_USE) continue;
        Module *used = load_used(loader, use, directory);
        bool twice = false;
        for (uint32_t k = 0; used && k < module->uses.count; k++)
            twice |= module->uses.at[k] == used;
        if (twice) {
            Diag *diag =
                diag_error(checker->diags, use->name_span, "module '%s' is used twice", use->name);
            diag_help(diag, "leave out the second one");
        } else if (used) {
            vec_push(checker->arena, &module->uses, used);
        }
    }
}

static Module *load_file(Loader *loader, Node *file, const Source *source, const char *path) {
    Checker *checker = loader->checker;
    Module *module = arena_alloc(checker->arena, sizeof *module);
    module->name = intern(checker->options->names, base_name(checker->arena, path));
    module->source = source;
    module->file = file;
    uint32_t at = loader->files.count;
    vec_push(checker->arena, &loader->files, (Loaded){path, module, true});
    if (!checker->checked->main) checker->checked->main = module;

    load_uses(loader, module, directory_of(checker->arena, path));
    for (uint32_t i = 0; i < file->kids.count; i++)
        if (is_declaration(file->kids.at[i]->kind))
            add_declaration(checker, module, file->kids.at[i]);
    loader->files.at[at].loading = false;
    vec_push(checker->arena, &checker->checked->modules, module);
    return module;
}

void load_modules(Checker *checker, Node *main_file, const Source *main_source) {
    Loader loader = {.checker = checker};
    load_file(&loader, main_file, main_source, main_source->name);
}

static Decl *find_own(const Module *module, const char *name) {
    for (uint32_t i = 0; i < module->decls.count; i++)
        if (module->decls.at[i]->name == name) return module->decls.at[i];
    return NULL;
}

Decl *module_find(const Module *module, const char *base, const char *name) {
    if (!base || base == module->name) {
        Decl *own = find_own(module, name);
        if (own) return own;
    }
    for (uint32_t i = 0; i < module->uses.count; i++) {
        if (base && module->uses.at[i]->name != base) continue;
        Decl *found = find_own(module->uses.at[i], name);
        if (found) return found;
    }
    return NULL;
}
