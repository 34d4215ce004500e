/* The canonical source text. The tokens stay as written and on their lines; their spacing,
 * indentation, blank lines and needless ';' are decided here. Columns that the author lined up
 * over neighbouring lines stay lined up, at the least width; comments at line ends are lined up.
 *
 * A token is `tied` to the token above it when both are to stand in one column. The columns are
 * the least ones that satisfy all ties: found by going over the lines until nothing moves. */
#include "grammar/tree.h"

#include "grammar/tokens.h"
#include "grammar/tune.tab.h"

enum { INDENT = 4, COMMENT_GAP = 2, NO_TIE = -1 };

typedef struct {
    int kind;
    const char *text;
    uint32_t bytes, width; /* width in characters */
    uint32_t newlines;     /* in the source, before it */
    uint32_t source_column, source_gap;
    uint32_t gap;    /* least blanks before it */
    uint32_t column; /* where it goes */
    int32_t tie;     /* number of its group */
} Piece;

typedef struct {
    uint32_t first, count; /* pieces */
    uint32_t indent;
    bool blank_before;
} Line;

typedef struct {
    int kind;
    uint32_t line;
    uint32_t levels; /* of indentation, for the first one of its line */
} Bracket;

typedef struct {
    Arena *arena;
    const Source *source;
    Vec(Piece) pieces;
    Vec(Line) lines;
    Vec(Bracket) open;
    Vec(uint32_t) columns; /* of each group of tied pieces */
} Formatter;

static uint32_t characters(const char *text, uint32_t bytes) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < bytes; i++) count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

/* Pieces: what is printed, in order */

static bool ends_operand(int kind) {
    return kind == T_NAME || kind == T_NUMBER || kind == T_STRING || kind == T_TRUE ||
           kind == T_FALSE || kind == ')' || kind == ']' || kind == '}' || kind == T_PARAM ||
           kind == T_MOVING;
}

static void add_piece(Formatter *formatter, const Token *token) {
    const char *text = formatter->source->text,
               *at = text + (token->span.start - formatter->source->base);
    uint32_t bytes = token->span.end - token->span.start;
    while (token->kind == T_COMMENT && bytes && strchr(" \t\r\f\v", at[bytes - 1])) bytes--;
    Piece piece = {.kind = token->kind, .text = at, .bytes = bytes, .tie = NO_TIE};
    piece.width = characters(at, bytes);
    const char *before = at;
    while (before > text && strchr(" \t\r\n\f\v", before[-1])) before--;
    piece.source_gap = (uint32_t)(at - before);
    /* a ';' that ends nothing is no piece: the line break before it is this one's */
    for (before = at; before > text && strchr(" \t\r\n\f\v;", before[-1]);)
        piece.newlines += *--before == '\n';
    const char *line = at;
    while (line > text && line[-1] != '\n') line--;
    piece.source_column = characters(line, (uint32_t)(at - line));
    vec_push(formatter->arena, &formatter->pieces, piece);
}

static bool is_written(const Formatter *formatter, const Token *token) {
    if (token->span.start == token->span.end) return false;
    const char *text = formatter->source->text + (token->span.start - formatter->source->base);
    return token->kind != T_END || *text == ';';
}

static void collect_pieces(Formatter *formatter, const Tokens *shaped, const Tokens *scanned) {
    uint32_t comment = 0;
    for (uint32_t i = 0; i < shaped->count; i++) {
        const Token *token = &shaped->at[i];
        for (; comment < scanned->count && scanned->at[comment].span.start <= token->span.start;
             comment++)
            if (scanned->at[comment].kind == T_COMMENT) add_piece(formatter, &scanned->at[comment]);
        if (is_written(formatter, token)) add_piece(formatter, token);
    }
}

/* A ';' that a line end or '}' makes needless. Its line break goes to the piece behind it. */
static void drop_needless_ends(Formatter *formatter) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < formatter->pieces.count; i++) {
        Piece piece = formatter->pieces.at[i];
        const Piece *next = i + 1 < formatter->pieces.count ? &formatter->pieces.at[i + 1] : NULL;
        bool needless = !next || next->newlines || next->kind == T_COMMENT || next->kind == '}';
        if (piece.kind != T_END || !needless)
            formatter->pieces.at[kept++] = piece;
        else if (next)
            formatter->pieces.at[i + 1].newlines += piece.newlines;
    }
    formatter->pieces.count = kept;
}

/* Spacing */

static int top(const Formatter *formatter) {
    return formatter->open.count ? formatter->open.at[formatter->open.count - 1].kind : 0;
}

static bool is_open(int kind) {
    return kind == '(' || kind == '[' || kind == T_OPEN || kind == T_STUDY_OPEN ||
           kind == T_SET_OPEN;
}

static bool is_close(int kind) {
    return kind == ')' || kind == ']' || kind == '}';
}

/* `unary`: `before` is a sign. Called with the brackets as they are left of `now`. */
static uint32_t natural_gap(const Formatter *formatter, int before, bool unary, int now) {
    if (now == T_COMMENT) return COMMENT_GAP;
    if (unary || before == '.' || now == '.' || before == '(' || before == '[' ||
        before == T_SET_OPEN)
        return 0;
    if (before == ':' && top(formatter) == '[') return 0;
    switch (now) {
    case ')':
    case ']':
    case ',':
    case T_END: return 0;
    case ':': return before == ',';
    case '}': return top(formatter) != T_SET_OPEN && before != T_OPEN && before != T_STUDY_OPEN;
    case '(': return before == T_STRING || !ends_operand(before);
    case '[': return !ends_operand(before);
    default: return 1;
    }
}

static void close_bracket(Formatter *formatter) {
    if (formatter->open.count) formatter->open.count--;
}

/* A list that starts on a line that goes on with a statement stands deeper than that line. */
static void track_bracket(Formatter *formatter, int kind, uint32_t line, bool deeper) {
    uint32_t levels = 1 + (deeper && kind != T_OPEN);
    if (is_close(kind)) close_bracket(formatter);
    if (is_open(kind)) vec_push(formatter->arena, &formatter->open, (Bracket){kind, line, levels});
}

/* Lines with open brackets, each counted once; without those that `first` closes. */
static uint32_t depth_of(const Formatter *formatter, uint32_t first) {
    uint32_t open = formatter->open.count, depth = 0;
    for (uint32_t i = first; i < formatter->pieces.count && is_close(formatter->pieces.at[i].kind);
         i++) {
        if (i > first && formatter->pieces.at[i].newlines) break;
        if (open) open--;
    }
    for (uint32_t i = 0; i < open; i++)
        if (i == 0 || formatter->open.at[i].line != formatter->open.at[i - 1].line)
            depth += formatter->open.at[i].levels;
    return depth;
}

/* Is a statement under way, outside of brackets, behind a token of this kind? */
static bool goes_on(const Formatter *formatter, int before) {
    int kind = top(formatter);
    bool block = kind == 0 || kind == T_OPEN || kind == T_STUDY_OPEN;
    return block && before != 0 && before != T_END && before != T_OPEN && before != T_STUDY_OPEN &&
           !ends_operand(before);
}

static void lay_out(Formatter *formatter) {
    int before = 0; /* the last piece that is no comment */
    bool unary = false, deeper = false;
    for (uint32_t i = 0; i < formatter->pieces.count; i++) {
        Piece *piece = &formatter->pieces.at[i];
        if (i == 0 || piece->newlines) {
            deeper = goes_on(formatter, before);
            uint32_t depth = depth_of(formatter, i) + deeper;
            bool blank = i > 0 && piece->newlines > 1 && !is_open(before) && !is_close(piece->kind);
            if (i > 0 && formatter->pieces.at[i - 1].kind == T_COMMENT)
                blank = piece->newlines > 1 && !is_close(piece->kind);
            vec_push(formatter->arena, &formatter->lines, (Line){i, 0, depth * INDENT, blank});
        } else {
            piece->gap = natural_gap(formatter, before, unary, piece->kind);
        }
        formatter->lines.at[formatter->lines.count - 1].count++;
        if (piece->kind == T_COMMENT) continue;
        unary = piece->kind == '-' && !ends_operand(before);
        track_bracket(formatter, piece->kind, formatter->lines.count, deeper);
        before = piece->kind;
    }
}

/* Ties */

static bool belong(const Piece *above, const Piece *below) {
    if (above->kind == T_COMMENT || below->kind == T_COMMENT) return above->kind == below->kind;
    return above->source_column == below->source_column &&
           (above->source_gap > 1 || below->source_gap > 1);
}

static void tie(Formatter *formatter, Piece *above, Piece *below) {
    if (above->tie == NO_TIE) {
        above->tie = (int32_t)formatter->columns.count;
        vec_push(formatter->arena, &formatter->columns, 0);
    }
    below->tie = above->tie;
}

static void tie_lines(Formatter *formatter, const Line *above, const Line *below) {
    Piece *pieces = formatter->pieces.at;
    uint32_t up = above->first + 1, down = below->first + 1;
    while (up < above->first + above->count && down < below->first + below->count) {
        Piece *a = &pieces[up], *b = &pieces[down];
        bool comment = a->kind == T_COMMENT || b->kind == T_COMMENT;
        if (belong(a, b))
            tie(formatter, a, b), up++, down++;
        else if (comment)
            up += a->kind != T_COMMENT, down += b->kind != T_COMMENT;
        else if (a->source_column < b->source_column)
            up++;
        else if (a->source_column > b->source_column)
            down++;
        else
            up++, down++;
    }
}

static bool place_line(Formatter *formatter, const Line *line) {
    bool moved = false;
    uint32_t column = line->indent;
    for (uint32_t i = line->first; i < line->first + line->count; i++) {
        Piece *piece = &formatter->pieces.at[i];
        column += piece->gap;
        if (piece->tie != NO_TIE) {
            uint32_t *wanted = &formatter->columns.at[piece->tie];
            moved = moved || column > *wanted;
            if (column > *wanted) *wanted = column;
            column = *wanted;
        }
        piece->column = column;
        column += piece->width;
    }
    return moved;
}

static void line_up(Formatter *formatter) {
    for (uint32_t i = 1; i < formatter->lines.count; i++)
        if (!formatter->lines.at[i].blank_before)
            tie_lines(formatter, &formatter->lines.at[i - 1], &formatter->lines.at[i]);
    for (bool moved = true; moved;) {
        moved = false;
        for (uint32_t i = 0; i < formatter->lines.count; i++)
            moved = place_line(formatter, &formatter->lines.at[i]) || moved;
    }
}

static void print_line(const Formatter *formatter, const Line *line, Text *out) {
    uint32_t column = 0;
    if (line->blank_before) text_add(out, "\n");
    for (uint32_t i = line->first; i < line->first + line->count; i++) {
        const Piece *piece = &formatter->pieces.at[i];
        text_indent(out, (int)(piece->column - column));
        text_add_bytes(out, piece->kind == T_END ? ";" : piece->text, piece->bytes);
        column = piece->column + piece->width;
    }
    text_add(out, "\n");
}

void tree_format(const Node *file, const Source *source, Text *out) {
    (void)file; /* the tokens hold all that the tree does, and how it was written */
    Arena *arena = arena_new();
    Diags *unheard = diags_new(arena, NULL);
    Formatter formatter = {.arena = arena, .source = source};
    Tokens scanned = tokens_scan(source, arena, interner_new(arena), unheard);
    Tokens shaped = tokens_shape(&scanned, arena, unheard);
    collect_pieces(&formatter, &shaped, &scanned);
    drop_needless_ends(&formatter);
    lay_out(&formatter);
    line_up(&formatter);
    for (uint32_t i = 0; i < formatter.lines.count; i++)
        print_line(&formatter, &formatter.lines.at[i], out);
    arena_free(arena);
}
