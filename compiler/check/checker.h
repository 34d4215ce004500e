/* Shared by the files of check/: the state, and what each file offers the others.
 *
 *     load_modules -> check_names -> check_data -> check_studies -> enumerate_variants (check.c)
 *
 * Every function reports its own mistakes into `diags`; a result of false or NULL means "reported,
 * do not build on it". */
#ifndef TUNE_COMPILER_CHECK_CHECKER_H
#define TUNE_COMPILER_CHECK_CHECKER_H

#include "compiler/check/checked.h"
#include "compiler/graph/builtin.h"

typedef struct {
    const CheckOptions *options;
    Arena *arena; /* program */
    Diags *diags;
    Checked *checked;
    uint32_t errors; /* how many there were before the data set that is being read */
} Checker;

typedef Vec(const char *) TextList;

/* ---- modules.c ---- */

/* Reads `main_file` and every module it uses, directly or not. */
void load_modules(Checker *checker, Node *main_file, const Source *main_source);

/* ---- resolve.c: what a written name means ---- */

/* "data set", "function", "layer", …, with its article: "a data set". */
const char *decl_word(NodeKind kind);

/* The declaration that a N_NAME or N_MEMBER means, or NULL without a message. */
Decl *resolve_quietly(const Module *module, const Node *name);

/* The same for places that want one kind ("model"); a wrong kind or an unknown name is reported. */
Decl *resolve_kind(Checker *checker, const Module *module, const Node *name, NodeKind kind);

/* Reports a name without a module that two of the used modules have; false when there is one only.
 */
bool report_ambiguous(Checker *checker, const Module *module, const Node *name);

/* Reports an unknown name; the suggestion comes from `more`, the module's declarations and the
 * builtins of `contexts`. */
void report_unknown(Checker *checker, const Module *module, const Node *name, unsigned contexts,
                    const TextList *more);

/* "nn.dense" */
const char *name_text(Arena *arena, const Node *name);
/* The N_NAME or N_MEMBER of a call, or the node itself. */
const Node *callee_of(const Node *node);
/* Arguments of a call; 0 for a bare name. */
uint32_t argument_count(const Node *call);
const Node *argument_at(const Node *call, uint32_t index);
/* The value of an argument, whether named or not. */
const Node *argument_value(const Node *argument);

/* ---- arguments.c: arguments against parameters ---- */

/* Which parameter (index in `params`) each argument of `call` goes to; -1 after a mistake.
 * Positional arguments stand at their parameter's place; named ones anywhere. Reports unknown,
 * doubled, superfluous and missing ones. `what`: the callee as shown. */
int *bind_arguments(Checker *checker, const Decl *callee, const Node *call);
/* The same without those that are missing. */
int *bind_some_arguments(Checker *checker, const Decl *callee, const Node *call);
void check_builtin_call(Checker *checker, Builtin builtin, const Node *call, bool needs_like);
/* Reports what is named twice among the N_ARG kids of `list`. */
void check_named_once(Checker *checker, const Node *list);

/* ---- names.c ---- */

/* Every name of every definition of every module; statements where they belong; returns present. */
void check_names(Checker *checker);
/* Names that a data set gives to a model. */
void data_field_names(const Decl *data, Arena *arena, TextList *names);

/* ---- constant.c ---- */

/* Value of an expression of numbers, `pi` and elementary functions; false when it has other names.
 */
bool constant_value(const Node *expression, double *value);
/* A whole number of at least `least`, or a message that says "'what' must be …". */
bool constant_count(Checker *checker, const Node *expression, const char *what, uint64_t least,
                    uint64_t *value);

/* ---- data.c ---- */

void check_data(Checker *checker);
/* Whether the data set in hand has a mistake already: then what follows from it is not said, too.
 */
bool is_mistaken(const Checker *checker);
Data *find_data(const Checked *checked, const Decl *decl);

/* ---- data_fields.c ---- */

/* A field of a data set of files: N_FIELD into data->fields. */
void read_field(Checker *checker, Data *data, const Node *node);
bool is_text(const Node *node);

/* ---- study_start.c ---- */

/* `init from "file" (…)` */
void read_start(Checker *checker, Study *study, const Node *node);

/* ---- study.c ---- */

void check_studies(Checker *checker);
/* Index of the hyperparameter of that name ("lr", "adam.lr"), or -1. */
int find_hyper(const Study *study, const char *name);

/* ---- space.c: domains ---- */

/* Whether an expression is a range or a set rather than a value. */
bool is_domain(const Node *node);
/* Domain of a hyperparameter: fills kind, range or values. `value`: it is fixed, the node is a
 * value. */
bool read_domain(Checker *checker, const Node *domain, Hyper *hyper);
bool read_fixed(Checker *checker, const Node *value, Hyper *hyper);
/* Smallest and largest value of a range. */
void hyper_bounds(const Hyper *hyper, double *least, double *most);

/* ---- search.c: the search statement ---- */

/* Points, seed and algorithm. needs: all hyperparameters. */
void read_search(Checker *checker, Study *study, const Node *search);

/* ---- variants.c ---- */

void enumerate_variants(Checker *checker, Study *study);

#endif
