/* Inside the grammar only: the parser's state and the builders that tune.y calls. */
#ifndef TUNE_GRAMMAR_PARSER_H
#define TUNE_GRAMMAR_PARSER_H

#include "grammar/tokens.h"
#include "grammar/tree.h"

typedef struct {
    const Source *source;
    Arena *arena;
    Diags *diags;
    Tokens tokens;
    uint32_t current; /* the token handed out last */
    uint32_t next;
    Node *file; /* the result */
} Parser;

#define KIDS(...) ((Node *const[]){__VA_ARGS__, NULL})

Node *tree_build(Parser *parser, NodeKind kind, Span span,
                 Node *const *kids); /* kids may be NULL */
Node *tree_build_named(Parser *parser, NodeKind kind, Span span, const char *name, Span name_span,
                       Node *const *kids);
Node *tree_build_op(Parser *parser, NodeKind kind, Span span, TreeOp op, Node *const *kids);
Node *tree_build_flag(Parser *parser, NodeKind kind, Span span, bool flag, Node *const *kids);
Node *tree_build_hyper(Parser *parser, Span span, TreeOp role, const char *name, Span name_span,
                       Node *domain);
Node *tree_build_moving(Parser *parser, Span span, const char *name, Span name_span, Node *dims,
                        Node *start);
Node *tree_build_type(Parser *parser, Span span, const char *name, Span name_span, Node *dims);
Node *tree_build_number(Parser *parser, Span span, double number, bool integer);
Node *tree_build_none(Parser *parser, Span after);
/* `kind` with `first` and then the kids of `rest`. */
Node *tree_build_list(Parser *parser, NodeKind kind, Span span, Node *first, const Node *rest);
Node *tree_append(Parser *parser, Node *list, Node *kid);
Node *tree_append_all(Parser *parser, Node *list, const Node *more);

/* One sentence about the token at `place`; `expected` are the grammar's names of what could stand
 * there. Says nothing when the statement was reported already. */
void parser_syntax_error(Parser *parser, Span place, const char *const *expected, uint32_t count);
void parser_depth_error(Parser *parser, Span place);

#endif
