/* Nodes of the tree and the texts of their kinds and operators. */
#include "grammar/tree.h"

Node *tree_node(Arena *program, NodeKind kind, Span span) {
    Node *node = arena_alloc(program, sizeof *node);
    node->kind = kind;
    node->span = node->name_span = span;
    return node;
}

Node *tree_add(Arena *program, Node *parent, Node *kid) {
    vec_push(program, &parent->kids, kid);
    return parent;
}

Node *tree_kid(const Node *node, uint32_t index) {
    if (index >= node->kids.count || node->kids.at[index]->kind == N_NONE) return NULL;
    return node->kids.at[index];
}

const char *tree_kind_name(NodeKind kind) {
    static const char *const names[] = {
#define X(kind, text, meaning) [N_##kind] = text,
#include "grammar/tree.def"
#undef X
    };
    return names[kind];
}

const char *tree_op_text(TreeOp op) {
    switch (op) {
    case TOP_NONE: return "";
    case TOP_OR: return "or";
    case TOP_AND: return "and";
    case TOP_EQ: return "==";
    case TOP_NE: return "!=";
    case TOP_LT: return "<";
    case TOP_LE: return "<=";
    case TOP_GT: return ">";
    case TOP_GE: return ">=";
    case TOP_ADD: return "+";
    case TOP_SUB: return "-";
    case TOP_MUL: return "*";
    case TOP_DIV: return "/";
    case TOP_MOD: return "%";
    case TOP_MATMUL: return "@";
    case TOP_POW: return "^";
    case TOP_NEG: return "-";
    case TOP_NOT: return "not";
    case TOP_SCIENTIFIC: return "scientific";
    case TOP_NUISANCE: return "nuisance";
    case TOP_FIXED: return "fixed";
    case TOP_MIN: return "min";
    case TOP_MAX: return "max";
    }
    return "";
}
