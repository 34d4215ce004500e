/* From the tokens as written to the tokens that the grammar reads: where statements end (Go's
 * rule), which words are keywords in their place, and every bracket with its partner. */
#include "grammar/tokens.h"

#include <string.h>

#include "grammar/tune.tab.h"

enum { DECLARATION = 1, STATEMENT = 2, STUDY = 4 };

typedef struct {
    const char *text;
    int kind, where;
} Word;

static const Word WORDS[] = {
#define X(text, kind, where) {text, T_##kind, where},
#include "grammar/words.def"
#undef X
};

/* A bracket that is open: kind is '(', '[', T_OPEN, T_STUDY_OPEN or T_SET_OPEN. */
typedef struct {
    int kind;
    Span span;
} Open;

typedef struct {
    Arena *arena;
    Diags *diags;
    const Tokens *in;
    uint32_t at; /* the token of `in` that is being looked at */
    Tokens out;
    Vec(Open) open;
    int declaration; /* its first word */
    int statement;   /* of a study: its first word */
} Shaper;

static const Token *peek(const Shaper *shaper, uint32_t distance) {
    uint32_t at = shaper->at + distance;
    return &shaper->in->at[at < shaper->in->count ? at : shaper->in->count - 1];
}

static int top(const Shaper *shaper) {
    return shaper->open.count ? shaper->open.at[shaper->open.count - 1].kind : 0;
}

static bool in_block(const Shaper *shaper) {
    int kind = top(shaper);
    return kind == 0 || kind == T_OPEN || kind == T_STUDY_OPEN;
}

static int block_around(const Shaper *shaper) {
    for (uint32_t i = shaper->open.count; i-- > 0;) {
        int kind = shaper->open.at[i].kind;
        if (kind == T_OPEN || kind == T_STUDY_OPEN) return kind;
    }
    return 0;
}

static int previous(const Shaper *shaper) {
    return shaper->out.count ? shaper->out.at[shaper->out.count - 1].kind : T_END;
}

static bool at_statement_start(const Shaper *shaper) {
    int kind = previous(shaper);
    return kind == T_END || kind == T_OPEN || kind == T_STUDY_OPEN;
}

static bool ends_expression(int kind) {
    switch (kind) {
    case T_NAME:
    case T_NUMBER:
    case T_STRING:
    case T_TRUE:
    case T_FALSE:
    case ')':
    case ']':
    case '}': return true;
    default: return false;
    }
}

static const Word *find_word(const Token *token, int where) {
    if (token->kind != T_NAME) return NULL;
    for (uint32_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++)
        if ((WORDS[i].where & where) && strcmp(WORDS[i].text, token->name) == 0) return &WORDS[i];
    return NULL;
}

static bool is_name(const Token *token, const char *text) {
    return token->kind == T_NAME && strcmp(token->name, text) == 0;
}

static void put(Shaper *shaper, Token token) {
    vec_push(shaper->arena, &shaper->out, token);
}

static void put_end(Shaper *shaper, Span place, bool reported) {
    put(shaper, (Token){.kind = T_END, .span = place, .reported = reported});
}

/* The place right behind the last token. */
static Span behind(const Shaper *shaper) {
    if (shaper->out.count == 0) return peek(shaper, 0)->span;
    uint32_t end = shaper->out.at[shaper->out.count - 1].span.end;
    return (Span){end, end};
}

/* Closes the innermost bracket, which the source did not. */
static void close_missing(Shaper *shaper, const char *because) {
    Open open = shaper->open.at[--shaper->open.count];
    bool block = open.kind == T_OPEN || open.kind == T_STUDY_OPEN;
    char shape = open.kind == '(' || open.kind == '[' ? (char)open.kind : '{';
    char partner = shape == '(' ? ')' : shape == '[' ? ']' : '}';
    Diag *diag = diag_error(shaper->diags, open.span, "'%c' is never closed", shape);
    diag_note(diag, peek(shaper, 0)->span, "'%c' is missing before %s", partner, because);
    if (block && previous(shaper) != T_END && previous(shaper) != open.kind)
        put_end(shaper, behind(shaper), true);
    put(shaper, (Token){.kind = partner, .span = behind(shaper), .reported = true});
}

static void close_to_block(Shaper *shaper, const char *because) {
    while (!in_block(shaper)) close_missing(shaper, because);
}

/* At the first token of a line, inside a bracket or behind an operator: is this in truth the start
 * of a statement, since no expression can go on so? */
static bool starts_statement(const Shaper *shaper) {
    const Token *token = peek(shaper, 0), *next = peek(shaper, 1);
    int before = previous(shaper), kind = next->first ? 0 : next->kind;
    bool study = block_around(shaper) == T_STUDY_OPEN, gap = ends_expression(before);
    bool operand = kind == T_NAME || kind == T_NUMBER || kind == T_STRING;
    if (token->kind == T_RETURN || token->kind == T_REPEAT || token->kind == T_IF) return true;
    if (token->kind != T_NAME) return false;
    if (kind == T_NAME && find_word(token, DECLARATION | STATEMENT)) return true;
    if (study && find_word(token, STUDY) && (operand || (gap && kind != ':'))) return true;
    if (!study && block_around(shaper) && before != ',' && kind == '=') return true;
    const Token *type = peek(shaper, 2);
    return gap && kind == ':' && (is_name(type, "param") || is_name(type, "state"));
}

/* At the start of a statement in a block: can this only be the start of a declaration? */
static bool starts_declaration(const Shaper *shaper) {
    const Word *word = find_word(peek(shaper, 0), DECLARATION);
    if (!word || peek(shaper, 1)->kind != T_NAME || peek(shaper, 1)->first) return false;
    return top(shaper) == T_OPEN || !(word->where & STUDY);
}

static void start_line(Shaper *shaper) {
    bool starts = !at_statement_start(shaper) && starts_statement(shaper);
    if (starts) close_to_block(shaper, "this line");
    bool ends = ends_expression(previous(shaper)) && peek(shaper, 0)->kind != T_ELSE;
    if (in_block(shaper) && (ends || starts)) put_end(shaper, behind(shaper), false);
    while (shaper->open.count && in_block(shaper) && at_statement_start(shaper) &&
           starts_declaration(shaper)) {
        close_missing(shaper, "this declaration");
        put_end(shaper, behind(shaper), true);
    }
}

/* `{` after an operator or a word that wants an expression opens a set, else a block. */
static int brace_kind(const Shaper *shaper) {
    switch (previous(shaper)) {
    case T_IN:
    case T_INT:
    case T_SET_OPEN:
    case ':':
    case ',':
    case '(':
    case '[':
    case '=': return T_SET_OPEN;
    default: break;
    }
    bool study = shaper->open.count == 0 && shaper->declaration == T_STUDY;
    return study ? T_STUDY_OPEN : T_OPEN;
}

static void open_bracket(Shaper *shaper, Token token) {
    if (token.kind == '{') token.kind = brace_kind(shaper);
    if (token.kind == T_OPEN || token.kind == T_STUDY_OPEN) close_to_block(shaper, "this '{'");
    vec_push(shaper->arena, &shaper->open, (Open){token.kind, token.span});
    put(shaper, token);
}

static void close_brace(Shaper *shaper, Token token) {
    while (top(shaper) == '(' || top(shaper) == '[') close_missing(shaper, "this '}'");
    if (top(shaper) == 0) {
        diag_error(shaper->diags, token.span, "'}' closes nothing");
        return;
    }
    int open = top(shaper);
    if (open != T_SET_OPEN && previous(shaper) != T_END && previous(shaper) != open)
        put_end(shaper, token.span, false);
    shaper->open.count--;
    put(shaper, token);
}

static void close_bracket(Shaper *shaper, Token token) {
    int wanted = token.kind == ')' ? '(' : '[', open = top(shaper);
    if (open != '(' && open != '[') {
        diag_error(shaper->diags, token.span, "'%c' closes nothing", token.kind);
        return;
    }
    if (open != wanted) {
        Diag *diag =
            diag_error(shaper->diags, token.span, "'%c' is closed by '%c'", open, token.kind);
        diag_note(diag, shaper->open.at[shaper->open.count - 1].span, "opened here");
        token.kind = open == '(' ? ')' : ']';
        token.reported = true;
    }
    shaper->open.count--;
    put(shaper, token);
}

static void semicolon(Shaper *shaper, Token token) {
    close_to_block(shaper, "this ';'");
    if (!at_statement_start(shaper)) put_end(shaper, token.span, false);
}

/* Words inside the statements of a study. */
static int word_inside(const Shaper *shaper, const Token *token) {
    int before = previous(shaper);
    bool gap = ends_expression(before);
    switch (shaper->statement) {
    case T_EVALUATE:
        if (before == T_EVALUATE && is_name(token, "every")) return T_EVERY;
        if (gap && is_name(token, "examples")) return T_EXAMPLES;
        if ((gap || before == T_EXAMPLES) && is_name(token, "batch")) return T_BATCH;
        break;
    case T_INIT:
        if (before == T_INIT && is_name(token, "from")) return T_FROM;
        if (before == T_STRING && is_name(token, "to")) return T_TO;
        break;
    case T_SELECT:
        if (before == T_SELECT && is_name(token, "min")) return T_MIN;
        if (before == T_SELECT && is_name(token, "max")) return T_MAX;
        if (before == ',' && is_name(token, "keep")) return T_KEEP;
        break;
    case T_SCIENTIFIC:
    case T_NUISANCE:
        if ((before == T_IN || before == ':') && is_name(token, "int")) return T_INT;
        if (gap && is_name(token, "step")) return T_STEP;
        break;
    default: break;
    }
    return T_NAME;
}

static int name_kind(Shaper *shaper, const Token *token) {
    if (shaper->open.count == 0 && at_statement_start(shaper)) {
        const Word *word = find_word(token, DECLARATION);
        shaper->declaration = word ? word->kind : 0;
        return word ? word->kind : T_NAME;
    }
    if (top(shaper) == T_STUDY_OPEN && at_statement_start(shaper)) {
        const Word *word = find_word(token, STUDY);
        shaper->statement = word ? word->kind : 0;
        return word ? word->kind : T_NAME;
    }
    if (block_around(shaper) == T_STUDY_OPEN) return word_inside(shaper, token);
    if (top(shaper) != T_OPEN) return T_NAME;
    if (at_statement_start(shaper)) {
        const Word *word = find_word(token, STATEMENT);
        return word && peek(shaper, 1)->kind == T_NAME ? word->kind : T_NAME;
    }
    bool of = previous(shaper) == ']' && !token->first && is_name(token, "of");
    if (of && peek(shaper, 1)->kind == T_NAME) return T_OF;
    if (previous(shaper) != ':' || peek(shaper, 1)->kind != '[') return T_NAME;
    return is_name(token, "param") ? T_PARAM : is_name(token, "state") ? T_MOVING : T_NAME;
}

static void end_of_file(Shaper *shaper, Token token) {
    while (shaper->open.count) close_missing(shaper, "the end of the file");
    if (previous(shaper) != T_END) put_end(shaper, behind(shaper), false);
    put(shaper, token);
}

static void shape(Shaper *shaper, Token token) {
    switch (token.kind) {
    case 0: end_of_file(shaper, token); break;
    case '(':
    case '[':
    case '{': open_bracket(shaper, token); break;
    case ')':
    case ']': close_bracket(shaper, token); break;
    case '}': close_brace(shaper, token); break;
    case ';': semicolon(shaper, token); break;
    case T_NAME:
        token.kind = name_kind(shaper, &token);
        put(shaper, token);
        break;
    default: put(shaper, token);
    }
}

static Tokens without_comments(const Tokens *scanned, Arena *arena) {
    Tokens tokens = {0};
    bool first = false;
    for (uint32_t i = 0; i < scanned->count; i++) {
        Token token = scanned->at[i];
        first = first || token.first;
        if (token.kind == T_COMMENT) continue;
        token.first = first;
        first = false;
        vec_push(arena, &tokens, token);
    }
    return tokens;
}

Tokens tokens_shape(const Tokens *scanned, Arena *arena, Diags *diags) {
    Tokens plain = without_comments(scanned, arena);
    Shaper shaper = {.arena = arena, .diags = diags, .in = &plain};
    for (; shaper.at < plain.count; shaper.at++) {
        const Token *token = peek(&shaper, 0);
        if (token->first) start_line(&shaper);
        shape(&shaper, *token);
    }
    return shaper.out;
}

const char *tokens_nearest_word(const char *name, bool study) {
    const char *candidates[sizeof WORDS / sizeof *WORDS];
    uint32_t count = 0;
    for (uint32_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++)
        if (WORDS[i].where & (study ? STUDY : DECLARATION)) candidates[count++] = WORDS[i].text;
    return diag_nearest(name, candidates, count);
}
