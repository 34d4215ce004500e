/* The tokens of a file, and the two steps that make them.
 *
 *     tokens_scan    text -> every token and comment as written                         (tune.l)
 *     tokens_shape   -> what the grammar reads: no comments; END at statement ends;      (tokens.c)
 *                       contextual words told apart from names; brackets balanced
 *
 * After shaping every bracket has its partner, whatever the file looks like: what is missing has
 * been reported and put in. So the parser can always skip to the end of a statement or block. */
#ifndef TUNE_GRAMMAR_TOKENS_H
#define TUNE_GRAMMAR_TOKENS_H

#include "grammar/diag.h"
#include "grammar/intern.h"
#include "grammar/vec.h"

typedef struct {
    int kind; /* a token of tune.y */
    Span span;
    const char *name; /* of names and words: the spelling; of strings: the text */
    double number;
    bool integer;  /* the number was written without point and exponent */
    bool first;    /* first of its line */
    bool reported; /* something at this token was reported already */
} Token;

typedef Vec(Token) Tokens;

/* Ends with the end-of-file token. */
Tokens tokens_scan(const Source *source, Arena *arena, Interner *names, Diags *diags);
Tokens tokens_shape(const Tokens *scanned, Arena *arena, Diags *diags);

/* The word nearest to `name` that starts a statement of a study, or a declaration; or NULL. */
const char *tokens_nearest_word(const char *name, bool study);

#endif
