/* The tree as text, one node per line: `place kind [op] [name] [value]`. */
#include "grammar/tree.h"

#include <stdio.h>
#include <stdlib.h>

static void print_string(const char *text, Text *out) {
    text_add(out, " \"");
    for (; *text; text++) {
        if (*text == '\n')
            text_add(out, "\\n");
        else if (*text == '\t')
            text_add(out, "\\t");
        else if (*text == '"' || *text == '\\')
            text_printf(out, "\\%c", *text);
        else
            text_add_bytes(out, text, 1);
    }
    text_add(out, "\"");
}

/* The shortest of two spellings that reads back as the same number. */
static void print_number(double number, Text *out) {
    char plain[32];
    snprintf(plain, sizeof plain, "%.15g", number);
    if (strtod(plain, NULL) != number) snprintf(plain, sizeof plain, "%.17g", number);
    text_printf(out, " %s", plain);
}

static void print_flag(const Node *node, Text *out) {
    if (node->kind == N_BOOL) text_add(out, node->flag ? " true" : " false");
    if (node->kind == N_DOMAIN && node->flag) text_add(out, " int");
    if (node->kind == N_TYPE && node->flag) text_add(out, " [ ]");
    if (node->kind == N_PARAMETER && node->flag) text_add(out, " state");
}

static void print_node(const Node *node, const Sources *sources, int depth, Text *out) {
    Location place = sources_locate(sources, node->span.start);
    size_t start = out->bytes;
    text_printf(out, "%u:%u", place.line, place.column);
    size_t width = out->bytes - start;
    text_indent(out, (width < 8 ? 8 - (int)width : 1) + 2 * depth);
    text_add(out, tree_kind_name(node->kind));
    if (node->op != TOP_NONE) text_printf(out, " %s", tree_op_text(node->op));
    if (node->kind == N_STRING)
        print_string(node->name, out);
    else if (node->name)
        text_printf(out, " %s", node->name);
    if (node->kind == N_NUMBER) print_number(node->number, out);
    print_flag(node, out);
    text_add(out, "\n");
    for (uint32_t i = 0; i < node->kids.count; i++)
        print_node(node->kids.at[i], sources, depth + 1, out);
}

void tree_print(const Node *file, const Sources *sources, Text *out) {
    print_node(file, sources, 0, out);
}
