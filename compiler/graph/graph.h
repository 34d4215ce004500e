/* The tensor graph: one per program of a variant (training step, evaluation, …).
 *
 *     %0 f32[batch, 2]     = field x            # spirals.tune:7
 *     %1 f32[trial, 2, 32] = param dense1.weight
 *     %2 f32[trial, batch, 32] = contract %0, %1 "bi,io->bo"
 *
 * Invariants: SSA; operands come before users in `nodes` (topological order); hash-consed: an equal
 * node is made once; shapes are static; elementwise operands have exactly the result's shape
 * (broadcasts are explicit; a rank-0 operand of a bigger shape is RESHAPE to 1s, then BROADCAST).
 * The trial axis is implied: a node with `per_trial` has one value per trial and prints with a
 * leading `trial` axis. `batched`: axis 0 is the batch; it is so if it is for any operand, except
 * that REDUCE and CONTRACT may sum the axis away, and that RESHAPE may drop and BROADCAST set the
 * flag. Effects are only in `outputs`. Lives in one arena; passes either append nodes or build a
 * new graph.
 *
 * Element types: `real` of the graph is E_F32 or E_F64. */
#ifndef TUNE_COMPILER_GRAPH_GRAPH_H
#define TUNE_COMPILER_GRAPH_GRAPH_H

#include "compiler/check/type.h"
#include "grammar/diag.h"
#include "grammar/vec.h"

typedef enum {
#define X(name, text, arity, class, meaning) OP_##name,
#include "compiler/graph/ops.def"
#undef X
    OP_COUNT
} Op;

typedef enum {
    CLASS_LEAF,
    CLASS_UNARY,
    CLASS_BINARY,
    CLASS_TERNARY,
    CLASS_REDUCE,
    CLASS_VIEW,
    CLASS_CONTRACT,
    CLASS_GATHER,
    CLASS_FLAT
} OpClass;

typedef struct {
    const char *text;
    int arity; /* -1: any */
    OpClass class;
} OpInfo;
extern const OpInfo op_info[OP_COUNT];

/* Einsum labels: 'a'…'z' per axis; e.g. a "bi", b "io", out "bo". Every label of `out` occurs in a
 * or b; a label in both a and b but not in out is summed. No label twice in one operand; none
 * summed that is in one operand only (reduce it first). */
typedef struct {
    char a[MAX_RANK + 1], b[MAX_RANK + 1], out[MAX_RANK + 1];
} Einsum;

/* A view of windows: axis `axis` of n elements becomes two, [count, size]. Element (i, w) is
 * element j of the axis where  j * divide = i * stride + w * dilation + start;  it is 0 where no
 * whole j in 0 .. n-1 is so. A convolution looks through windows with divide 1, stride and dilation
 * as usual and start = -padding. The adjoint of a window is a sum over w of a window again: with
 * stride and divide exchanged, dilation and start negated; a transposed convolution is one, too. */
typedef struct {
    uint32_t axis;
    int64_t count, size;
    int64_t stride, dilation, start, divide; /* stride, divide: at least 1 */
} Window;

typedef struct GNode GNode;
struct GNode {
    Op op;
    uint32_t id; /* position in graph->nodes */
    Type type;
    bool per_trial, batched;
    uint32_t in_count;
    GNode **in;

    /* attributes; unused ones are zero */
    double number;           /* CONST; FIELD of labels: how many there are */
    bool overlap;            /* FIELD */
    uint32_t index;          /* PARAM, STATE, HYPER, FIELD, TOTAL, SHR, ROUND */
    int64_t offset;          /* PARAM, FLAT_PARAM, STATE, FLAT: first element in the flat vector */
    uint32_t site, word;     /* RANDOM: unique per place in the program; word 0..3 */
    uint32_t axes;           /* SUM, REDUCE_MAX: bit i = axis i */
    uint8_t perm[MAX_RANK];  /* PERMUTE */
    int64_t start[MAX_RANK]; /* SLICE, PAD */
    Einsum einsum;           /* CONTRACT */
    Window window;           /* WINDOW */

    const char *name; /* the user's name of the value, or NULL */
    Span span;        /* the expression it comes from; for gradients, of the forward node */
};
typedef Vec(GNode *) GNodeList;

/* What a graph leaves behind. */
typedef enum {
    OUT_LOSS,      /* header.loss of the trial block; real, rank 0 */
    OUT_GRAD_NORM, /* header.grad_norm; real, rank 0 */
    OUT_PARAM,     /* new value of the flat parameters from element `offset` on; a vector */
    OUT_STATE,     /* new value of flat state `index` from element `offset` on; a vector */
    OUT_EXAMPLE,   /* evaluation: value per example of batch reduction `index`; real [batch];
                      predict: the scores, [1, rows, classes] */
    OUT_METRIC,    /* finish: metric `index`; real, rank 0 */
    OUT_FIELD      /* generate: field `index`; [batch, …] */
} OutputKind;

typedef struct {
    OutputKind kind;
    uint32_t index;
    GNode *value;
    int64_t offset;
} Output;
typedef Vec(Output) OutputList;

typedef struct {
    Arena *arena;
    Elem real;
    uint32_t significant; /* bits that a contraction's operands keep; 0: all */
    const char *name;     /* "train", "evaluate", "finish", "init", "generate" */
    GNodeList nodes;
    OutputList outputs;
    struct GraphTable *table; /* hash-consing */
} Graph;

Graph *graph_new(Arena *arena, const char *name, Elem real);

/* Builders. Each infers the type, folds what is trivially constant, returns an existing equal node
 * if there is one, and asserts legality: callers check what the user wrote before. `span` and
 * `name` stick to the node on its first making. */
GNode *graph_const(Graph *graph, double number, Elem elem, Span span);
GNode *graph_leaf(Graph *graph, Op op, const Type *type, bool batched, bool per_trial,
                  uint32_t index, const char *name, Span span);
/* A field of the data set; its labels are 0 .. classes-1, or `classes` is 0. `overlap`: its rows
 * are windows of a sequence; row r begins at element r. */
GNode *graph_field(Graph *graph, const Type *type, uint32_t index, int64_t classes, bool overlap,
                   const char *name, Span span);
/* FLAT_PARAM or STATE `index`: `count` elements of the flat vector from `offset` on. */
GNode *graph_flat_leaf(Graph *graph, Op op, uint32_t index, int64_t offset, int64_t count,
                       const char *name, Span span);
GNode *graph_random(Graph *graph, const Type *type, bool batched, uint32_t site, uint32_t word,
                    Span span);
GNode *graph_unary(Graph *graph, Op op, GNode *a, Span span);
GNode *graph_cast(Graph *graph, GNode *a, Elem elem, Span span);
GNode *graph_shr(Graph *graph, GNode *a, uint32_t bits, Span span);
/* Below views: what moves is rounded already, and a window of a rounded value is no value of its
 * own. */
GNode *graph_round(Graph *graph, GNode *a, uint32_t bits, Span span);
GNode *graph_binary(Graph *graph, Op op, GNode *a, GNode *b, Span span);
GNode *graph_select(Graph *graph, GNode *a, GNode *b, GNode *c, Span span);
GNode *graph_reduce(Graph *graph, Op op, GNode *a, uint32_t axes, Span span);
GNode *graph_reshape(Graph *graph, GNode *a, uint32_t rank, const Dim *dims, bool batched,
                     Span span);
GNode *graph_permute(Graph *graph, GNode *a, const uint8_t *perm, Span span);
GNode *graph_broadcast(Graph *graph, GNode *a, uint32_t rank, const Dim *dims, bool batched,
                       Span span);
GNode *graph_slice(Graph *graph, GNode *a, const int64_t *start, const Dim *dims, Span span);
GNode *graph_pad(Graph *graph, GNode *a, const int64_t *start, const Dim *dims, Span span);
GNode *graph_window(Graph *graph, GNode *a, const Window *window, Span span);
/* Windows that stand side by side within the axis, or are of one place each: the same as a part of
 * the axis in pieces, which moves nothing. NULL where they are not such. */
GNode *graph_window_pieces(Graph *graph, GNode *a, const Window *window, Span span);
/* Rows of a table: table [v, rest…], index i32 [at…] -> [at…, rest…]; NaN (or -1) where the index
 * is outside of 0 .. v-1. The table is not batched. Its gradient is a contraction with the one-hot
 * index. */
GNode *graph_gather(Graph *graph, GNode *table, GNode *index, Span span);
/* Are all values of an index known to lie in 0 .. limit-1? */
bool graph_is_below(const GNode *index, int64_t limit);
/* Where the graph keeps fewer significant bits, the operands are rounded first, and so is a batched
 * result: activations and their gradients. What is not batched, the gradients of parameters, is
 * as it was summed. */
GNode *graph_contract(Graph *graph, GNode *a, GNode *b, const Einsum *einsum, Span span);
/* `offset`: of its first element, where it is a piece of a longer flat vector. */
GNode *graph_flat(Graph *graph, GNode **in, uint32_t count, int64_t offset, Span span);
/* A number in every element of a shape: CONST, RESHAPE to 1s, BROADCAST. */
GNode *graph_fill(Graph *graph, double number, Elem elem, const Type *shape, bool batched,
                  Span span);
/* Is the node such a number (a rank-0 CONST too)? Then it goes to *number, which may be NULL. */
bool graph_is_fill(const GNode *node, double *number);
/* A copy of `like` (op, attributes, type) with other operands, for passes that rebuild. */
GNode *graph_copy(Graph *graph, const GNode *like, GNode **in);
void graph_output(Graph *graph, OutputKind kind, uint32_t index, GNode *value);
void graph_output_at(Graph *graph, OutputKind kind, uint32_t index, int64_t offset, GNode *value);

/* `tunec emit graph|grad`: a node per line, as drawn above. */
void graph_print(const Graph *graph, const Sources *sources, Text *out);

/* NULL when legal; else the broken rule, with the node, in `arena`. */
const char *graph_verify(const Graph *graph, Arena *arena);

/* ---- a variant's programs ---- */

typedef enum {
    PARAM_TRAINED,
    PARAM_FROZEN, /* by the study: as it began; no gradient, no optimizer state */
    PARAM_MOVING  /* `state` of a layer: the model itself says its new value */
} ParameterKind;

/* In the flat vector the trained ones come first, those of one rule together, then the frozen ones,
 * then the moving ones; every one begins at a multiple of 16. */
typedef struct {
    const char *name; /* "dense1.weight": path of layer calls, numbered in order of appearance */
    Type type;
    int64_t offset; /* first element in the flat parameter vector */
    GNode *node;    /* PARAM leaf of the train graph */
    Span span;
    ParameterKind kind;
    uint32_t group; /* TRAINED: in program->groups */
    GNode *moved;   /* MOVING: its new value, in the train graph; NULL: it stays */
} Parameter;

/* Parameters that the same statements of the study speak of: bit i of `rules` is the study's group
 * statement i. They are elements start … end of the flat vector. */
typedef struct {
    uint64_t rules;
    int64_t start, end;
} ParameterGroup;

/* A value that a study may select or a report show: "loss", "error". */
typedef struct {
    const char *name;
    Span span;
} Metric;

/* How the runtime accumulates OUT_EXAMPLE `i` over a split; TOTAL i is the result. Sums are in
 * double, in order of the examples. */
typedef enum { TOTAL_MEAN, TOTAL_SUM, TOTAL_MAX, TOTAL_MIN } TotalKind;

typedef struct {
    Arena *arena;
    const char *name; /* the variant's */
    int64_t batch, evaluate_batch;
    /* NULL where there is nothing to do: no parameters, no data.
     * init: OUT_PARAM, OUT_STATE. train: forward, gradient, update. evaluate: OUT_EXAMPLE over one
     * batch. finish: OUT_METRIC from TOTALs. predict: OUT_EXAMPLE 0, of one example. */
    Graph *init, *train, *evaluate, *finish, *predict;
    int64_t predict_rows, predict_classes;
    GNode *loss; /* of train, rank 0, before grad; NULL without one */
    Vec(Parameter) params;
    Vec(ParameterGroup) groups;
    int64_t param_count;      /* P: elements */
    int64_t trained_count;    /* T: elements of the trained ones */
    Vec(const char *) states; /* names: "m", "v"; each [T] */
    int weights;              /* the state that is evaluated instead of the parameters, or -1 */
    Vec(TotalKind) totals;
    Vec(Metric) metrics;
    Elem real;
} Program;

/* The passes on graphs, in order; one file each. */

/* elaborate and update are in elaborate.h: they know the checked program. */

/* Reverse mode: for every parameter the gradient of program->loss, appended to program->train.
 * grads[i] belongs to params[i]; a parameter that the loss does not reach gets zeros, one that is
 * not trained NULL.
 *
 * needs: loss of rank 0.  keeps: topological order.  breaks: nothing. */
void grad(Program *program, GNode **grads);

/* Rebuilds the graph from its outputs: constants folded, algebra (x*1, x+0, x^2 -> x*x, views of
 * views, cast of cast, …), common subexpressions, dead code. Exact: never changes a bit of a finite
 * result.
 *
 * needs: outputs.  keeps: outputs' order.  breaks: node ids, pointers into the graph. */
Graph *simplify(const Graph *graph, Arena *arena);

#endif
