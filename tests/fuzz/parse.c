/* Any bytes must parse to a tree or to messages; what parses must survive its formatting. */
#include <stdlib.h>

#include "grammar/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static bool same(const Node *a, const Node *b) {
    bool names = a->name && b->name ? strcmp(a->name, b->name) == 0 : a->name == b->name;
    if (!names || a->kind != b->kind || a->op != b->op || a->flag != b->flag) return false;
    if (a->number != b->number || a->kids.count != b->kids.count) return false;
    for (uint32_t i = 0; i < a->kids.count; i++)
        if (!same(a->kids.at[i], b->kids.at[i])) return false;
    return true;
}

/* The tree, or NULL when there were messages; all printers run in any case. */
static const Node *parse_all(Arena *arena, const char *text, size_t bytes, Text *canonical) {
    Sources *sources = sources_new(arena);
    Diags *diags = diags_new(arena, sources);
    const Source *source = sources_add(sources, "fuzz.tune", text, (uint32_t)bytes);
    const Node *file = parse(source, arena, interner_new(arena), diags);
    FILE *out = fopen("/dev/null", "w");
    diags_print(diags, out, bytes % 2);
    fclose(out);
    Text tree = {0};
    tree_print(file, sources, &tree);
    text_release(&tree);
    text_add(canonical, "");
    tree_format(file, source, canonical);
    return diags_failed(diags) ? NULL : file;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    if (count > 1 << 20) return 0;
    Arena *arena = arena_new();
    Text once = {0}, twice = {0};
    const Node *tree = parse_all(arena, (const char *)bytes, count, &once);
    if (tree) {
        const Node *again = parse_all(arena, once.at, once.bytes, &twice);
        if (!again || !same(tree, again) || strcmp(once.at, twice.at) != 0) abort();
    }
    text_release(&once);
    text_release(&twice);
    arena_free(arena);
    return 0;
}
