/* text -> tree. The only entry of the grammar; owns the scanner's and the parser's state.
 *
 * Several mistakes are reported in one run: the parser recovers at statement and block ends. A
 * tree is returned in any case (N_ERROR stands where something could not be read); ask
 * diags_failed() before using it. Knows nothing of names, types or files. */
#ifndef TUNE_GRAMMAR_PARSE_H
#define TUNE_GRAMMAR_PARSE_H

#include "grammar/diag.h"
#include "grammar/intern.h"
#include "grammar/tree.h"

Node *parse(const Source *source, Arena *program, Interner *names, Diags *diags);

#endif
