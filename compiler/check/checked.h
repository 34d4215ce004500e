/* The checked program: declarations resolved, studies understood, every variant known.
 *
 *     modules ── declarations            studies ── hyperparameters (the search space)
 *       nn: dense, softmax, …                    ├─ trials: steps, evaluation, selection
 *       spirals.tune: spirals, classifier        └─ variants: one per structural point
 *
 * Types and shapes are not here: a definition is generic in its shapes, so it is checked where it
 * is instantiated, in graph/elaborate.c, once per variant, with the chain of calls in the message.
 *
 * A hyperparameter is *structural* when its value changes shapes or code (it reaches an `int`,
 * `bool` or `fn` parameter of the model, is `batch`, or chooses between calls); each point of the
 * structural ones is a *variant*. All others are *scalar*: one value per trial, kept in the trial's
 * block, never a constant in code. Lives in the program arena; immutable once check has returned.
 */
#ifndef TUNE_COMPILER_CHECK_CHECKED_H
#define TUNE_COMPILER_CHECK_CHECKED_H

#include "compiler/graph/builtin.h"
#include "grammar/diag.h"
#include "grammar/intern.h"
#include "grammar/tree.h"

typedef struct Module Module;
typedef struct Decl Decl;

struct Decl {
    NodeKind kind; /* N_DATA, N_DEF, N_LAYER, N_MODEL, N_OPTIMIZER, N_SCHEDULE, N_INIT, N_STUDY */
    const char *name;
    Node *node;
    Module *module;
};
typedef Vec(Decl *) DeclList;

typedef Vec(Module *) ModuleList;
struct Module {
    const char *name; /* "nn"; the main file's is its base name without .tune */
    const Source *source;
    Node *file;
    DeclList decls;
    ModuleList uses; /* in the order written */
};

/* What a name means in a module: its own declarations, then those of the used modules. `base` is
 * the module name of nn.dense, or NULL. NULL when nothing is found. Builtin functions are not
 * declarations (graph/builtin.h). */
Decl *module_find(const Module *module, const char *base, const char *name);

/* The builtin function or value that an N_NAME means when no declaration has that name; an N_MEMBER
 * means a builtin function through any module in sight: builtins are part of every module, so
 * nn.tanh is tanh. BUILTIN_NONE when there is none. */
Builtin module_builtin(const Module *module, const Node *name);

/* ---- data sets ---- */

typedef enum { FIELD_U8, FIELD_I32, FIELD_F32, FIELD_F64, FIELD_CLASS } FieldType;

/* `window[n] of class[c]` and `line[n] of class[c]`: n tokens of a sequence, which overlap the next
 * example's; a line of text and zeros. */
typedef enum { FIELD_ROW, FIELD_WINDOW, FIELD_LINE } FieldRow;

typedef struct {
    const char *name;
    FieldType type;
    FieldRow row;
    uint32_t rank; /* of one example; 0 is a number per example */
    int64_t dims[6];
    int64_t classes;          /* FIELD_CLASS: labels are 0..classes-1 */
    const char **class_names; /* csv categories, `classes` of them, or NULL */
    const char *file;         /* idx, npy: file name; else NULL */
    const char *array;        /* npz, safetensors: name in the data set's file; else NULL */
    const char **columns;     /* csv: header names or 1-based numbers as text */
    uint32_t column_count;
    bool standardised; /* csv: by the mean and deviation of the training split */
    bool has_missing;  /* csv: what is missing is `missing`, not a mistake */
    double missing;
    Span span;
} Field;
typedef Vec(Field) FieldList;

/* Whether it lies in memory as u8, though it is i32 in expressions. */
static inline bool field_is_narrow(const Field *field) {
    return field->row != FIELD_ROW && field->classes <= 256;
}

typedef enum {
    DATA_GENERATE,
    DATA_IDX,
    DATA_NPY,
    DATA_CSV,
    DATA_NPZ,
    DATA_SAFETENSORS,
    DATA_TEXT,
    DATA_BYTES,
    DATA_TOKENS,
    DATA_LINES,
    DATA_KIND_COUNT
} DataKind;
extern const char *const data_kind_names[DATA_KIND_COUNT]; /* "generate", "idx", … */
typedef enum { SPLIT_TRAIN, SPLIT_VALID, SPLIT_TEST, SPLIT_COUNT } Split;
extern const char *const split_names[SPLIT_COUNT]; /* "train", "valid", "test" */

typedef struct {
    Decl *decl;
    DataKind kind;
    FieldList fields; /* empty for generate: elaborate infers them */
    bool has_split[SPLIT_COUNT];
    bool fractions;            /* split sizes are fractions of the examples */
    double split[SPLIT_COUNT]; /* counts or fractions */
    uint64_t seed;             /* of generation, or of the shuffle before splitting */
    bool shuffle;
    const char *file;   /* csv, npz, safetensors: the file of all fields; else NULL */
    const char **files; /* text, bytes, tokens, lines: names and patterns */
    uint32_t file_count;
    uint32_t token_bytes; /* tokens: 2 or 4 */
    bool cut;             /* lines: too long ones are cut */
    bool csv_header;
    char csv_separator;
} Data;

/* ---- search space ---- */

typedef enum { ROLE_SCIENTIFIC, ROLE_NUISANCE, ROLE_FIXED } Role;

typedef enum {
    DOMAIN_RANGE,  /* a real or integer interval, linear or logarithmic */
    DOMAIN_VALUES, /* a finite set of numbers or booleans (fixed: one of them) */
    DOMAIN_CHOICE  /* a finite set of names or calls: functions, optimizers */
} DomainKind;

typedef struct {
    const char *name; /* "lr"; for hyperparameters of a choice "adam.lr" */
    Role role;
    DomainKind kind;
    bool structural;
    Span span; /* of the name */

    /* DOMAIN_RANGE: u in [0, 1) gives r = lo + u (hi - lo), or lo (hi/lo)^u if log; r is rounded to
     * the grid lo + k step if step > 0, or to an integer; value = offset + scale * r, or offset +
     * scale / r if `reciprocal`. */
    double lo, hi, step, scale, offset;
    bool log, integer, reciprocal;

    /* DOMAIN_VALUES, DOMAIN_CHOICE */
    uint32_t count;
    double *values;      /* VALUES */
    bool booleans;       /* VALUES: 0 and 1 stand for false and true */
    const char **labels; /* text of each value: "32", "true", "relu", "optim.adam" */
    Node **choices;      /* CHOICE: N_NAME, N_MEMBER or N_CALL */

    /* Conditional: exists only where hyperparameter `parent` has value number `parent_value`. */
    int parent; /* index in the study's list, or -1; a parent comes before its children */
    uint32_t parent_value;
    Node *argument; /* the N_ARG of the choice's call that it stands for, or NULL */
} Hyper;
typedef Vec(Hyper) HyperList;

typedef enum { SEARCH_QUASIRANDOM, SEARCH_RANDOM, SEARCH_GRID, SEARCH_POINTS } SearchKind;

/* What becomes of the tensors of a file that parameters start from; names may have one '*', which
 * stands for the same in both. */
typedef enum { START_RENAME, START_SKIP, START_TRANSPOSED } StartKind;
typedef struct {
    StartKind kind;
    const char *from, *to; /* in the file, in the model (RENAME) */
} StartRule;

/* One structural point. choice[h] is the value number of structural hyperparameter h, or -1 where h
 * is scalar or does not exist here. Integer ranges are numbered by their grid. */
typedef struct {
    const char *name; /* "optimizer=optim.adam, width=128"; "all" when nothing is structural */
    int *choice;
} Variant;
typedef Vec(Variant) VariantList;

typedef struct {
    Decl *decl;
    const char *goal; /* or NULL */
    Decl *model;
    Node *model_node;     /* the N_CALL or name, for its arguments */
    Data *data;           /* of the model; NULL when it has none */
    Node *optimizer_node; /* call or name; NULL: a scientific hyperparameter `optimizer` chooses, or
                             no steps */
    int optimizer_hyper;  /* index of that hyperparameter, or -1 */
    HyperList hypers;     /* in source order, children after their parent */
    NodeList schedules;   /* N_USE_SCHEDULE */
    Node *clip;           /* threshold expression, or NULL */
    const char *start_file; /* `init from`: where parameters start, or NULL */
    bool start_partial;     /* those that it does not have start as the model says */
    Vec(StartRule) start_rules;
    NodeList groups; /* N_GROUP: what is special of some parameters */
    Node *average;   /* how much of the averaged weights is kept each step, or NULL */

    SearchKind search;
    uint32_t grid_levels; /* SEARCH_GRID: levels of every range, ends included (fewer where its own
                             grid has fewer); else 0 */
    uint32_t points;      /* points to visit; trials = points * seeds */
    uint64_t search_seed;
    double **point_values; /* SEARCH_POINTS: [points][hypers.count] value (number or value index) */

    uint64_t steps, evaluate_every;
    uint64_t evaluate_examples; /* 0: the whole split */
    uint64_t batch;             /* the largest, when it is searched over */
    int batch_hyper;            /* index of the hyperparameter `batch`, or -1 */
    uint64_t evaluate_batch;    /* 0: max(batch, 256) or so; never below the training batch */
    bool maximize;
    Split select_split;
    const char *select_metric; /* "error", "loss" */
    uint32_t keep;
    uint64_t seed;
    uint32_t seeds;
    bool f64;
    const char *precision; /* as written, or "f32" */
    uint32_t significant;  /* bits of what contractions multiply: 8 (bf16), 11 (tf32), or 0: all */
    VariantList variants;
} Study;
typedef Vec(Study *) StudyList;

typedef struct {
    Module *main;
    ModuleList modules;
    Vec(Data *) data;
    StudyList studies;
} Checked;

/* Numeric value of value number `choice` of a structural hyperparameter (VALUES, or integer RANGE).
 */
double hyper_value(const Hyper *hyper, uint32_t choice);
/* How many values a hyperparameter of a finite domain has; 0 when it is continuous. */
uint32_t hyper_count(const Hyper *hyper);

/* Where modules are found: beside the main file, then here. */
typedef struct {
    const char *stdlib;
    Sources *sources;
    Interner *names;
    Diags *diags;
    Arena *program;
} CheckOptions;

/* Reads the used modules, resolves every name, understands data sets and studies, enumerates the
 * variants. NULL only when errors were reported. Files: modules.c, names.c, data.c, study.c. */
Checked *check(Node *main_file, const Source *main_source, const CheckOptions *options);

/* "1 - log(0.01, 1)", "int [1, 4] step 2", "{relu, tanh}", "128": as it would be written. */
void hyper_print_domain(const Hyper *hyper, Text *out);

/* `tunec emit checked`. */
void checked_print(const Checked *checked, Text *out);

#endif
