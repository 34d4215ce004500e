/* The tree: what the parser makes of a file, and nothing more.
 *
 *     study first_look {              study first_look
 *         nuisance lr in log(1e-3, 1)   block
 *     }                                   hyper nuisance lr
 *                                           domain
 *                                             call
 *                                               name log
 *                                               number 0.001
 *                                               number 1
 *                                             none
 *
 * One node type for everything: the kind says what `name`, `number`, `flag`, `op` and `kids` mean
 * (tree.def is the reference). Nodes live in the program arena and are never changed after
 * parsing. Names are interned. Places are global offsets (source.h). */
#ifndef TUNE_GRAMMAR_TREE_H
#define TUNE_GRAMMAR_TREE_H

#include <stdbool.h>

#include "grammar/source.h"
#include "grammar/text.h"
#include "grammar/vec.h"

typedef enum {
#define X(kind, text, meaning) N_##kind,
#include "grammar/tree.def"
#undef X
    N_COUNT
} NodeKind;

/* clang-format off */
typedef enum {
    TOP_NONE,
    /* binary, in order of rising precedence: or and | == != < <= > >= | + - | * / % | @ | ^ */
    TOP_OR, TOP_AND, TOP_EQ, TOP_NE, TOP_LT, TOP_LE, TOP_GT, TOP_GE,
    TOP_ADD, TOP_SUB, TOP_MUL, TOP_DIV, TOP_MOD, TOP_MATMUL, TOP_POW,
    /* unary */
    TOP_NEG, TOP_NOT,
    /* roles, directions */
    TOP_SCIENTIFIC, TOP_NUISANCE, TOP_FIXED, TOP_MIN, TOP_MAX
} TreeOp;
/* clang-format on */

typedef struct Node Node;
typedef Vec(Node *) NodeList;

struct Node {
    NodeKind kind;
    TreeOp op;
    bool flag;
    double number;
    const char *name; /* interned, or NULL */
    Span span;        /* the whole construct */
    Span name_span;   /* the name alone, where there is one; else equal to span */
    NodeList kids;
};

Node *tree_node(Arena *program, NodeKind kind, Span span);
Node *tree_add(Arena *program, Node *parent, Node *kid); /* returns parent */

/* Kid number `index`, or NULL when it is absent or N_NONE. */
Node *tree_kid(const Node *node, uint32_t index);

const char *tree_kind_name(NodeKind kind);
const char *tree_op_text(TreeOp op); /* "+", "and", "scientific" */

/* `tunec emit tree`: one node per line, indented, with places. */
void tree_print(const Node *file, const Sources *sources, Text *out);

/* `tunec fmt`: the canonical source text of a file that parsed without errors. Tokens and comments
 * keep their spelling and their lines; blanks are decided here. Formatting twice changes nothing.
 */
void tree_format(const Node *file, const Source *source, Text *out);

#endif
