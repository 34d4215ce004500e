/* What the tests of grammar/ share: one compilation of a text, and its messages as text. */
#ifndef TUNE_TESTS_GRAMMAR_SUPPORT_H
#define TUNE_TESTS_GRAMMAR_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "grammar/parse.h"

typedef struct {
    Arena *arena;
    Sources *sources;
    Diags *diags;
    const Source *source;
    Node *tree;
} Parsed;

static inline Parsed parse_bytes(const char *text, size_t bytes) {
    Parsed parsed = {.arena = arena_new()};
    parsed.sources = sources_new(parsed.arena);
    parsed.diags = diags_new(parsed.arena, parsed.sources);
    parsed.source = sources_add(parsed.sources, "t.tune", text, (uint32_t)bytes);
    Interner *names = interner_new(parsed.arena);
    parsed.tree = parse(parsed.source, parsed.arena, names, parsed.diags);
    return parsed;
}

static inline Parsed parse_text(const char *text) {
    return parse_bytes(text, strlen(text));
}

/* free() the result. */
static inline char *messages(Diags *diags, bool json) {
    char *text = NULL;
    size_t bytes = 0;
    FILE *file = open_memstream(&text, &bytes);
    diags_print(diags, file, json);
    fclose(file);
    return text;
}

static inline void assert_messages(const char *source, const char *expected) {
    Parsed parsed = parse_text(source);
    char *text = messages(parsed.diags, false);
    assert_string_equal(text, expected);
    free(text);
    arena_free(parsed.arena);
}

/* The tree without places, one node per line. */
static inline char *tree_text(const Parsed *parsed) {
    Text out = {0}, plain = {0};
    tree_print(parsed->tree, parsed->sources, &out);
    for (char *line = out.at, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        line += 8;
        while (strspn(line, "0123456789")) line++; /* a place wider than its column */
        text_add_bytes(&plain, line, (size_t)(end + 1 - line));
    }
    text_release(&out);
    return plain.at;
}

#endif
