/* The abstract interpreter: runs statements of the language on values that are graph nodes,
 * compile-time numbers, booleans and functions. Private to elaborate.c, generate.c and update.c.
 *
 *     Interp in = {…};                        // what is elaborated, and the graph that nodes go to
 *     Value x = interp_expression(&in, node);  // V_ERROR after a message; agrees with everything
 *
 *     interp.c          statements, names, calls, the messages' chain of calls
 *     interp_shape.c    signatures: arguments against `x: f32[..., n]`; how values read in messages
 *     interp_ops.c      operators, broadcasting, choice of element type
 *     interp_builtin.c  builtin functions; reductions
 *     interp_batch.c    reductions over the batch axis
 *     interp_view.c     reshape and its like, indexing, stacking
 *     interp_gather.c   gather
 *     interp_window.c   window, contract
 *     interp_random.c   uniform, normal, randint
 *     init_params.c     parameters of layers and their initial values
 *
 * Shapes are per example: a node with `batched` has the batch as its axis 0, which no axis number
 * of the language counts.
 *
 * Numbers. A literal, a size, a structural hyperparameter is a V_NUMBER, exact in double. It
 * becomes a constant of the other operand's element type when it meets a tensor. `real` says that
 * it was meant as a real number (0.5, 6 / 4): it turns integers that it meets into reals. */
#ifndef TUNE_COMPILER_GRAPH_INTERP_H
#define TUNE_COMPILER_GRAPH_INTERP_H

#include "compiler/check/checked.h"
#include "compiler/graph/builtin.h"
#include "compiler/graph/graph.h"

enum { FIRST_SITE = 1000 }; /* of random calls outside of initialisers */

typedef enum {
    V_ERROR, /* already reported */
    V_TENSOR,
    V_NUMBER,
    V_BOOL,
    V_FUNCTION,
    V_STRING,
    V_ELLIPSIS, /* `...` as an argument of reshape */
    V_BATCH     /* `batch` as an axis */
} ValueKind;

typedef struct Function Function;

typedef struct {
    ValueKind kind;
    GNode *node;        /* TENSOR */
    double number;      /* NUMBER */
    bool real;          /* NUMBER */
    bool weak;          /* TENSOR of i32 made of integer literals alone: adapts as they do */
    bool truth;         /* BOOL */
    Function *function; /* FUNCTION */
    const char *text;   /* STRING; NUMBER: the name it was given ("width"), or NULL */
    Span origin;        /* NUMBER: where it was given */
} Value;

typedef struct {
    const char *name; /* NULL: positional */
    Value value;
    Span span;
} Argument;
typedef Vec(Argument) ArgumentList;

/* A definition or a builtin, possibly with some arguments given already. */
struct Function {
    const Decl *decl; /* NULL: builtin */
    Builtin builtin;
    ArgumentList bound;
};

typedef struct {
    const char *name;
    Value value;
} Binding;

typedef struct {
    const char *name;
    uint32_t count;
} LayerCount;

/* A moving value that a layer's frame declared: parameter `index` of the program. */
typedef struct {
    const char *name;
    uint32_t index;
} Moving;

/* One running definition. */
typedef struct Frame Frame;
struct Frame {
    Frame *up; /* the caller */
    uint32_t depth;
    const Decl *decl;
    const Module *module; /* where names are looked up */
    Span call;            /* {0, 0} for the outermost */
    Vec(Binding) names;   /* the last of a name counts */
    bool returned;
    Value result;
    const char *path;       /* layers and the model: "block1.dense2."; others: NULL */
    Vec(LayerCount) layers; /* calls of layers so far, by name */
    Vec(Moving) moving;
};

typedef enum { MODE_TRAIN, MODE_EVALUATE, MODE_GENERATE, MODE_UPDATE } InterpMode;

/* The parameter whose initial value is being computed. */
typedef struct {
    const Type *type;
    uint32_t parameter, random_calls;
} InitContext;

/* The parameters that the optimizer's rule is being run for. */
typedef struct RuleContext RuleContext;

typedef struct {
    const Checked *checked;
    const Study *study;     /* NULL: generate */
    const Variant *variant; /* NULL: generate */
    Program *program;       /* NULL: generate */
    Arena *arena;
    Interner *interner;
    Diags *diags;
    InterpMode mode;
    int64_t batch;
    Elem real;
    /* Where nodes are made. In MODE_EVALUATE what follows from a reduction over the batch is made
     * in `finish` (equal to `graph` when there is no data); nodes that it needs from `graph` are
     * copied. */
    Graph *graph, *finish;
    GNodeList copied; /* by id in `graph`: its copy in `finish` */
    Frame *frame;
    uint32_t statements; /* run so far; there is a limit, since everything is unrolled */
    uint32_t site;       /* next random site */
    InitContext *init;   /* NULL outside initialisers */
    RuleContext *rule;   /* NULL outside optimizers */
    Value loss;          /* of the model; V_ERROR with `has_loss` false when there is none */
    bool has_loss;
    Span loss_span;
    bool predicts; /* evaluate: for the predict program, whose value is */
    Value prediction;
    Span prediction_span; /* no bytes: there is none */
    Vec(Binding) metrics; /* evaluate */
    Vec(Span) metric_spans;
} Interp;

/* ---- interp.c ---- */

Value interp_expression(Interp *in, const Node *node);
/* The arguments of an N_CALL, evaluated. */
ArgumentList interp_arguments(Interp *in, const Node *call);
void interp_block(Interp *in, const Node *block);
/* Calls with these arguments; optimizers, schedules, and initialisers outside of an InitContext,
 * are not run but returned with the arguments bound. */
Value interp_call(Interp *in, const Function *function, const ArgumentList *arguments, Span span);
/* Runs a definition whatever its kind, in a fresh frame; `specials` are names that its kind
 * gives (base, param), hidden by its parameters. The frame is returned for its names. NULL after an
 * error. */
Frame *interp_run(Interp *in, const Function *function, const ArgumentList *arguments, Span span,
                  const Binding *specials, uint32_t special_count);
void interp_bind(Interp *in, Frame *frame, const char *name, Value value);   /* hides */
void interp_assign(Interp *in, Frame *frame, const char *name, Value value); /* replaces */
const Value *interp_lookup(const Frame *frame, const char *name);            /* or NULL */

/* An error at `span`; interp_chain adds the chain of calls and comes after all other notes. */
Diag *interp_error(Interp *in, Span span, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void interp_chain(Interp *in, Diag *diag);
Value interp_fail(Interp *in, Span span, const char *format, ...) /* all in one; V_ERROR */
    __attribute__((format(printf, 3, 4)));
/* The place that kernels and printed forms point to: the innermost one in the main file. */
Span interp_place(const Interp *in, Span span);

/* ---- values ---- */

static inline Value value_error(void) {
    return (Value){.kind = V_ERROR};
}
static inline Value value_tensor(GNode *node) {
    return (Value){.kind = V_TENSOR, .node = node};
}
static inline Value value_bool(bool truth) {
    return (Value){.kind = V_BOOL, .truth = truth};
}
static inline Value value_number(double number, bool real, Span origin) {
    return (Value){.kind = V_NUMBER, .number = number, .real = real, .origin = origin};
}
Value value_function(Interp *in, const Decl *decl, Builtin builtin);

/* Axes of one example. */
static inline uint32_t example_rank(const GNode *node) {
    return node->type.rank - node->batched;
}
static inline const Dim *example_dims(const GNode *node) {
    return node->type.dims + node->batched;
}

/* ---- interp_shape.c ---- */

const char *value_show(Interp *in, Value value); /* "f32[batch, 128]", "the number 3" */
const char *type_show(Interp *in, const Type *type);
const char *signature_show(Interp *in, const Node *type); /* "f32[..., n]" */
void note_dim(Diag *diag, const Dim *dim);                /* "128 comes from 'width' here" */
void note_dims(Diag *diag, const Type *type, uint32_t first);
/* Checks `value` against parameter `param` (N_PARAM) of the frame's definition, converts it and
 * binds it and the sizes that its type names. False after an error. */
bool signature_bind(Interp *in, Frame *frame, const Node *param, Value value, Span span);
/* A compile-time integer, or false after an error that says what `what` must be. */
bool value_int(Interp *in, Value value, const char *what, Span span, int64_t *out);
Dim dim_of(Value number); /* of an integral V_NUMBER */

/* ---- interp_ops.c ---- */

Value value_unary(Interp *in, TreeOp op, Value a, Span span);
Value value_binary(Interp *in, TreeOp op, Value a, Value b, Span span);
Value value_larger(Interp *in, bool smaller, Value a, Value b, Span span);
Value value_where(Interp *in, Value condition, Value a, Value b, Span span);
/* The element type that values have together: see the rules at its definition. False after an
 * error; `doing` is the verb of the message, "add". */
bool common_elem(Interp *in, const Value *values, uint32_t count, const char *doing, Span span,
                 Elem *elem);
/* `result`, weak when all it was made of is. */
Value value_weak(Value result, const Value *values, uint32_t count);
/* A value as a node of element type `elem`; NULL after an error. */
GNode *value_node(Interp *in, Value value, Elem elem, Span span);
/* Brings nodes into one graph and shape. NULL after an error; else the graph. */
Graph *unify(Interp *in, GNode **nodes, uint32_t count, const char *doing, Span span);
/* The graph that operands meet in, copying what has to be; NULL after an error. */
Graph *meet(Interp *in, GNode **nodes, uint32_t count, Span span);
Graph *graph_of(const Interp *in, const GNode *node);
/* The copy of a node of in->graph in in->finish; NULL when it depends on the batch. */
GNode *copy_to_finish(Interp *in, GNode *node);
/* `node` broadcast to per-example `dims`, and over the batch if `batched`; legal already. */
GNode *broadcast_to(Interp *in, Graph *graph, GNode *node, uint32_t rank, const Dim *dims,
                    bool batched, Span span);
GNode *cast_to(Interp *in, GNode *node, Elem elem, Span span);
/* The constant `number` in the shape of `like`. */
GNode *const_like(Interp *in, GNode *like, double number, Span span);
Dim batch_dim(const Interp *in);

/* ---- interp_builtin.c, interp_view.c, interp_gather.c, interp_window.c, interp_random.c ---- */

/* An argument list of a builtin, sorted out: positional ones and the named. */
typedef struct {
    Builtin builtin;
    uint32_t count;
    Value *at;
    Span *spans;
    const Argument *axis, *keep, *like, *limit, *group; /* NULL: not given; group: `virtual` */
    const Argument *size, *stride, *dilation, *before, *after, *divide;
    Span span;
} BuiltinCall;

Value builtin_call(Interp *in, Builtin builtin, const ArgumentList *arguments, Span span);
Value builtin_view(Interp *in, const BuiltinCall *call);
Value builtin_gather(Interp *in, const BuiltinCall *call);
Value builtin_window(Interp *in, BuiltinCall *call);
Value builtin_random(Interp *in, const BuiltinCall *call);
/* Axis argument, or `otherwise` when absent, as an axis of the node with the batch counted. */
bool builtin_axis(Interp *in, const BuiltinCall *call, const GNode *node, int otherwise,
                  uint32_t extra, uint32_t *axis);
Value view_index(Interp *in, const Node *node);
Value view_stack(Interp *in, const Value *values, uint32_t count, Span span);

/* Sum, mean, largest or smallest over a bit set of axes, which vanish. */
GNode *reduce_axes(Interp *in, Builtin builtin, GNode *node, uint32_t axes, Span span);
/* The total of `value` [batch] over the split, in in->finish. */
GNode *batch_total(Interp *in, Builtin builtin, GNode *value, Span span);
/* A reduction with `axis: batch` of `node`; call->group: of virtual batches. */
Value reduce_batch(Interp *in, const BuiltinCall *call, GNode *node);

/* ---- init_params.c ---- */

void interp_parameter(Interp *in, const Node *node);
/* A new value for a moving value of the frame, given its converted form back; other names: as it
 * is. */
Value interp_move(Interp *in, const Node *assign, Value value);
/* Kinds, groups and offsets of all parameters, by the study's statements. */
void params_lay_out(Interp *in);
/* Elements `start` to `end` of the flat vector of the parameters' values `pieces`, zeros in the
 * gaps. */
GNode *params_flat(const Program *program, Graph *graph, GNode **pieces, int64_t start,
                   int64_t end);

/* ---- elaborate.c ---- */

/* The frame in which a study's expressions are read: hyperparameters by name. */
Frame *study_frame(Interp *in);
/* Value number `choice` of a hyperparameter of kind DOMAIN_CHOICE; its own hyperparameters stand
 * for the arguments that have a domain. */
Value study_choice(Interp *in, uint32_t hyper, uint32_t choice);

/* ---- update.c ---- */

/* `state m = 0` in an optimizer: its leaf, and its first value in the graph of init. */
void update_state(Interp *in, const Node *node);
/* Replaces the arguments of a starting optimizer that the study schedules, then those that it sets
 * apart for the parameters at hand. */
void update_arguments(Interp *in, Frame *optimizer);

#endif
