/* `init from "file.safetensors" (partial: true, "encoder.*" to "backbone.*", skip: "head.*")` */
#include "compiler/check/checker.h"

static uint32_t stars(const char *name) {
    uint32_t count = 0;
    for (; *name; name++) count += *name == '*';
    return count;
}

static void add_rule(Checker *checker, Study *study, StartKind kind, const Node *from,
                     const Node *to) {
    uint32_t count = stars(from->name);
    if (count > 1) {
        Diag *diag =
            diag_error(checker->diags, from->span, "a name of tensors has one '*' at most");
        diag_help(diag, "write two rules, or more of the name");
    } else if (to && stars(to->name) != count) {
        Diag *diag =
            diag_error(checker->diags, to->span,
                       "a '*' stands for the same in both names, so both have one or none");
        diag_help(diag, "write for instance \"encoder.*\" to \"backbone.*\"");
    } else {
        StartRule rule = {kind, from->name, to ? to->name : NULL};
        vec_push(checker->arena, &study->start_rules, rule);
    }
}

static void read_option(Checker *checker, Study *study, const Node *node) {
    const Node *value = argument_value(node);
    const char *name = node->kind == N_ARG ? node->name : "";
    if (!strcmp(name, "partial") && value->kind == N_BOOL)
        study->start_partial = value->flag;
    else if (!strcmp(name, "skip") && is_text(value))
        add_rule(checker, study, START_SKIP, value, NULL);
    else if (!strcmp(name, "transposed") && is_text(value))
        add_rule(checker, study, START_TRANSPOSED, value, NULL);
    else {
        Diag *diag = diag_error(checker->diags, node->span, "'init from' does not take this");
        diag_help(diag, "it takes \"name in the file\" to \"name in the model\", 'partial: true', "
                        "'skip: \"name\"' and 'transposed: \"name\"'");
    }
}

/* Of a rename the place of the first name is the node's name_span. */
static void read_rename(Checker *checker, Study *study, const Node *node) {
    Node from = {.kind = N_STRING, .name = node->name, .span = node->name_span};
    add_rule(checker, study, START_RENAME, &from, node->kids.at[0]);
}

void read_start(Checker *checker, Study *study, const Node *node) {
    study->start_file = node->name;
    for (uint32_t i = 0; i < node->kids.count; i++) {
        const Node *rule = node->kids.at[i];
        if (rule->kind == N_RENAME)
            read_rename(checker, study, rule);
        else
            read_option(checker, study, rule);
    }
}
