/* The only entry of the grammar, the builders that tune.y calls, and the parser's sentences. */
#include "grammar/parse.h"

#include <string.h>

#include "grammar/parser.h"
#include "grammar/tune.tab.h"

/* Deeper trees would exhaust the stack of the passes that walk them. */
enum { DEEPEST = 1000 };

Node *tree_build(Parser *parser, NodeKind kind, Span span, Node *const *kids) {
    Node *node = tree_node(parser->arena, kind, span);
    for (; kids && *kids; kids++) tree_add(parser->arena, node, *kids);
    return node;
}

Node *tree_build_named(Parser *parser, NodeKind kind, Span span, const char *name, Span name_span,
                       Node *const *kids) {
    Node *node = tree_build(parser, kind, span, kids);
    node->name = name;
    node->name_span = name_span;
    return node;
}

Node *tree_build_op(Parser *parser, NodeKind kind, Span span, TreeOp op, Node *const *kids) {
    Node *node = tree_build(parser, kind, span, kids);
    node->op = op;
    return node;
}

Node *tree_build_flag(Parser *parser, NodeKind kind, Span span, bool flag, Node *const *kids) {
    Node *node = tree_build(parser, kind, span, kids);
    node->flag = flag;
    return node;
}

Node *tree_build_hyper(Parser *parser, Span span, TreeOp role, const char *name, Span name_span,
                       Node *domain) {
    Node *node = tree_build_named(parser, N_HYPER, span, name, name_span, KIDS(domain));
    node->op = role;
    return node;
}

Node *tree_build_moving(Parser *parser, Span span, const char *name, Span name_span, Node *dims,
                        Node *start) {
    Node *node = tree_build_named(parser, N_PARAMETER, span, name, name_span, KIDS(dims, start));
    node->flag = true;
    return node;
}

Node *tree_build_type(Parser *parser, Span span, const char *name, Span name_span, Node *dims) {
    Node *node = tree_build_named(parser, N_TYPE, span, name, name_span, NULL);
    node->flag = dims != NULL;
    return dims ? tree_append_all(parser, node, dims) : node;
}

Node *tree_build_number(Parser *parser, Span span, double number, bool integer) {
    Node *node = tree_build_flag(parser, N_NUMBER, span, integer, NULL);
    node->number = number;
    return node;
}

Node *tree_build_none(Parser *parser, Span after) {
    return tree_node(parser->arena, N_NONE, (Span){after.end, after.end});
}

Node *tree_build_list(Parser *parser, NodeKind kind, Span span, Node *first, const Node *rest) {
    Node *node = tree_node(parser->arena, kind, span);
    if (first) tree_add(parser->arena, node, first);
    return tree_append_all(parser, node, rest);
}

Node *tree_append(Parser *parser, Node *list, Node *kid) {
    if (kid->span.end > list->span.end) list->span.end = kid->span.end;
    return tree_add(parser->arena, list, kid);
}

Node *tree_append_all(Parser *parser, Node *list, const Node *more) {
    for (uint32_t i = 0; i < more->kids.count; i++) tree_append(parser, list, more->kids.at[i]);
    return list;
}

static bool is_boundary(const Token *token) {
    return token->kind == T_END || token->kind == T_OPEN || token->kind == T_STUDY_OPEN;
}

/* Was anything in the statement around token `at` reported before? */
static bool was_reported(const Parser *parser, uint32_t at) {
    const Token *tokens = parser->tokens.at;
    uint32_t start = at;
    while (start > 0 && !is_boundary(&tokens[start - 1])) start--;
    for (uint32_t i = start; i < parser->tokens.count; i++) {
        if (tokens[i].reported) return true;
        if (i >= at && is_boundary(&tokens[i])) return false;
    }
    return false;
}

static const char *found_text(const Parser *parser, const Token *token) {
    const char *text = parser->source->text + (token->span.start - parser->source->base);
    int bytes = (int)(token->span.end - token->span.start);
    if (token->kind == 0) return "end of file";
    if (token->kind == T_END && bytes == 0)
        return token[1].kind == 0 ? "end of file" : "end of line";
    if (token->kind == T_STRING || bytes > 40)
        return token->kind == T_STRING ? "string" : "a very long token";
    const char *what = token->kind == T_NAME ? "name " : token->kind == T_NUMBER ? "number " : "";
    return arena_printf(parser->arena, "%s'%.*s'", what, bytes, text);
}

static bool is_in(const char *name, const char *const *names, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

/* What starts an expression, and what may follow one to make it longer. */
static const char *const STARTS[] = {"name",  "string", "number", "'true'", "'false'",
                                     "'not'", "'-'",    "'('",    "'['"};
static const char *const GOES_ON[] = {"'and'", "'or'", "'=='", "'!='", "'<'",    "'<='",  "'>'",
                                      "'>='",  "'+'",  "'-'",  "'*'",  "'/'",    "'%'",   "'@'",
                                      "'^'",   "'('",  "'['",  "'.'",  "'then'", "'step'"};

/* What may stand behind `name:`, but is seldom meant. */
static const char *const DOMAINS[] = {"'{' of a set", "'int'"};

#define COUNT(array) (uint32_t)(sizeof(array) / sizeof *(array))

/* "expected 'x', 'y' or 'z'" with at most four choices, or NULL when a list would not help. */
static const char *expected_text(const Parser *parser, const char *const *expected,
                                 uint32_t count) {
    bool start = is_in("name", expected, count) && is_in("number", expected, count);
    bool in_argument = parser->current > 0 && parser->tokens.at[parser->current - 1].kind == ':';
    bool going_on = !start && is_in("'*'", expected, count);
    const char *list[5];
    uint32_t used = 0;
    if (start) list[used++] = "an expression";
    for (uint32_t i = 0; i < count; i++) {
        if (in_argument && is_in(expected[i], DOMAINS, COUNT(DOMAINS))) continue;
        if (start && is_in(expected[i], STARTS, COUNT(STARTS))) continue;
        if (going_on && is_in(expected[i], GOES_ON, COUNT(GOES_ON))) continue;
        if (used == 5) return NULL;
        const char *space = strchr(expected[i], ' ');
        bool brace = strncmp(expected[i], "'{'", 3) == 0 && space;
        list[used++] = brace ? "'{'" : strcmp(expected[i], "name") == 0 ? "a name" : expected[i];
    }
    if (used == 0 || used > 4) return NULL;
    const char *text = list[0];
    for (uint32_t i = 1; i < used; i++)
        text = arena_printf(parser->arena, "%s%s%s", text, i + 1 < used ? ", " : " or ", list[i]);
    return text;
}

/* Does the token stand where only the start of a study's statement or a declaration may stand? */
static bool wrong_word(Parser *parser, const Token *token, const char *const *expected,
                       uint32_t count) {
    bool study = is_in("'goal'", expected, count), file = is_in("'def'", expected, count);
    if (token->kind != T_NAME || (!study && !file)) return false;
    Diag *diag =
        study ? diag_error(parser->diags, token->span, "a study has no statement '%s'", token->name)
              : diag_error(parser->diags, token->span, "'%s' does not start a declaration",
                           token->name);
    const char *nearest = tokens_nearest_word(token->name, study);
    if (nearest)
        diag_help(diag, "did you mean '%s'?", nearest);
    else
        diag_help(
            diag, "%s",
            study
                ? "goal, model, optimizer, scientific, nuisance, fixed, schedule, clip, search, steps, "
                  "evaluate, select, seed, seeds and precision start statements"
                : "use, data, def, layer, model, optimizer, schedule, init and study start declarations");
    return true;
}

/* What to type, for mistakes that are made often. */
static const char *help_text(const Parser *parser, uint32_t at, const char *const *expected,
                             uint32_t count) {
    const Token *token = &parser->tokens.at[at];
    if (at == 0) return NULL;
    const Token *before = token - 1;
    bool leads = before->kind == T_END && token->first;
    if (leads && token->kind < 128 && strchr("+-*/%@^<>", token->kind))
        return "to go on with a statement, end its line with the operator or put it in '(…)'";
    if (token->kind == '(' && before->kind == T_NAME && at > 1 && is_boundary(before - 1))
        return "a statement that gives a value is 'name = value'";
    if (token->kind == T_IF && !is_boundary(before))
        return "a value is chosen with 'where(condition, a, b)'";
    if (token->kind != '=') return NULL;
    if (before->kind == '=') return "comparisons are written 'a == b'";
    if (before->kind < 128 && strchr("+-*/%@^", before->kind)) return "write 'a = a + b'";
    if (before->kind != T_NAME || !is_in("')'", expected, count)) return NULL;
    return "arguments are written 'name: value', comparisons 'a == b'";
}

void parser_syntax_error(Parser *parser, Span place, const char *const *expected, uint32_t count) {
    uint32_t at = parser->current;
    const Token *token = &parser->tokens.at[at];
    if (was_reported(parser, at) || wrong_word(parser, token, expected, count)) return;
    const char *found = found_text(parser, token);
    const char *wanted = expected_text(parser, expected, count);
    Diag *diag = diag_error(parser->diags, place, "unexpected %s%s%s", found,
                            wanted ? ", expected " : "", wanted ? wanted : "");
    const char *help = help_text(parser, at, expected, count);
    if (help) diag_help(diag, "%s", help);
}

void parser_depth_error(Parser *parser, Span place) {
    Diag *diag = diag_error(parser->diags, place, "this is nested too deeply");
    diag_help(diag, "give inner parts a name of their own");
}

typedef struct {
    const Node *node;
    uint32_t depth;
} Visit;

/* Long chains as a + b + … make deep trees from flat text: found with a stack of our own. */
static const Node *find_too_deep(const Parser *parser) {
    Vec(Visit) stack = {0};
    vec_push(parser->arena, &stack, (Visit){parser->file, 1});
    while (stack.count) {
        Visit visit = stack.at[--stack.count];
        if (visit.depth > DEEPEST) return visit.node;
        for (uint32_t i = 0; i < visit.node->kids.count; i++)
            vec_push(parser->arena, &stack, (Visit){visit.node->kids.at[i], visit.depth + 1});
    }
    return NULL;
}

Node *parse(const Source *source, Arena *program, Interner *names, Diags *diags) {
    Parser parser = {.source = source, .arena = program, .diags = diags};
    Tokens scanned = tokens_scan(source, program, names, diags);
    parser.tokens = tokens_shape(&scanned, program, diags);
    Span whole = {source->base, source->base + source->bytes};
    if (tune_parse(&parser) != 0 || !parser.file) parser.file = tree_node(program, N_FILE, whole);
    parser.file->span = parser.file->name_span = whole;
    const Node *deep = find_too_deep(&parser);
    if (!deep) return parser.file;
    parser_depth_error(&parser, deep->span);
    return tree_node(program, N_FILE, whole);
}
