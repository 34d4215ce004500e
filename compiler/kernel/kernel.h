/* Kernels: loop nests over affine loads and stores. What fuse makes of a graph, and what every
 * printer walks.
 *
 *     kernel dense2_relu_fwd  axes m=64 n=128 k=784  outer 0
 *       stage 0  contract m n k   a = x[784m + k]   b = dense1.weight[128k + n]
 *       stage 1  map m n          h[128m + n] = max(result0 + dense1.bias[n], 0)
 *
 *     kernel softmax_xent_grad  axes i=64 j=10  outer 1        for i:
 *       stage 0  reduce j   r0 = max logits[10i + j]               for j: r0 = …
 *       stage 1  reduce j   r0 = sum exp(logits[10i + j] - s0.r0)  for j: …
 *       stage 2  map j      dlogits[10i + j] = …                   for j: store
 *
 * A kernel is one function for ONE trial: the trial axis is the outermost axis of every
 * buffer in SPACE_TRIAL, SPACE_SCRATCH and of the results, and is bound by the target (CPU: one
 * core runs one trial, so the base pointers carry it; GPU: the y axis of the grid).
 *
 * Meaning: the first `outer_count` axes are loops around all stages. Within them the stages run in
 * order; each loops over its own `inner` axes. A stage may reduce (results valid from the next
 * stage on, within the same outer iteration), store, or contract. An expression is evaluated
 * wherever its axes are known; the printer hoists it out of the loops that it does not depend on.
 * Within one iteration every value is computed before any is stored: the optimizer's update reads
 * and writes the same elements of the trial's block. A contraction sums over k in ascending order,
 * one accumulator per element: every tile choice gives the same bits. Stages directly after it
 * whose inner axes are {m, n} are its epilogue: they read its result in registers. A reduction
 * along the vector axis sums lanes apart and then folds them in a fixed order that depends on the
 * extent and the vector width only.
 *
 * Invariants (kernel_verify): every store of a buffer element happens once per launch, except to
 * SPACE_LOCAL; no stage reads what a later one stores; indices stay inside the buffers unless
 * guarded. */
#ifndef TUNE_COMPILER_KERNEL_KERNEL_H
#define TUNE_COMPILER_KERNEL_KERNEL_H

#include "compiler/check/type.h"
#include "compiler/graph/graph.h" /* Op and op_info only; the graph itself is fuse.c's */
#include "grammar/vec.h"

enum { MAX_AXES = 16 };

/* Byte offsets of TuneTrialHeader's fields (runtime/program.h); emit/descriptor.c asserts that they
 * agree. */
enum { HEADER_LOSS = 24, HEADER_GRAD_NORM = 32, HEADER_BYTES = 40 };

/* ---- buffers ---- */

typedef enum {
    SPACE_TRIAL, /* the trial's block: header, hyperparameters, parameters, states; lives as long as
                    the trial */
    SPACE_SCRATCH, /* the worker's block: activations, gradients; dead between launches of the
                      program */
    SPACE_FIELD,   /* data set field `slot`; element 0 is of example 0 (generate: of the first one
                      made) */
    SPACE_INDEX,   /* i32 [batch]: example number of each row of the batch */
    SPACE_EXAMPLE, /* evaluation results per example, vector `slot` */
    SPACE_TOTAL,   /* f64: accumulated results, in order of `slot` */
    SPACE_METRIC,  /* f64: metrics, in order of `slot` */
    SPACE_LOCAL    /* on the stack of the kernel, private to one outer iteration */
} Space;

typedef struct {
    uint32_t id;      /* unique in the step program */
    const char *name; /* "dense1.weight", "h", "t12" */
    Elem elem;        /* as stored; bool is one byte */
    int64_t count;    /* elements */
    int64_t row; /* FIELD whose rows overlap: elements of a row, which begins at any element; 0:
                    a row begins behind the one before */
    Space space;
    uint32_t slot;  /* FIELD, EXAMPLE, TOTAL, METRIC */
    int64_t offset; /* bytes from the block's start; TRIAL: by layout; SCRATCH: by plan */
    bool uniform; /* SCRATCH on a GPU: the same for every trial; it stands in the first one's block
                     alone */
} Buffer;
typedef Vec(Buffer *) BufferList;

/* The trial's block, in this order, each part aligned to 64 bytes: header (runtime/program.h), f64
 * hyperparameters by number, flat parameters, flat states. */
typedef struct {
    uint32_t hyper_count, state_count;
    int64_t param_count, trained_count; /* elements of the parameters; of each state */
    int weights; /* state that evaluation reads instead of the trained parameters, or -1 */
    Elem real;
    int64_t hypers, params, bytes; /* offsets in bytes; `bytes` is the whole block */
    int64_t states[16];
} TrialLayout;

/* ---- expressions ---- */

typedef struct {
    int64_t offset;
    int64_t coeff[MAX_AXES];
} Affine;

typedef enum {
    X_OP, /* graph op of class UNARY, BINARY or TERNARY on in[0..2] (CAST to elem, SHR by `index`;
             MUL with `index` 1: goes unrounded into the one ADD, SUB or sum that uses it, an fma
             where there is one) */
    X_CONST,  /* number */
    X_LOAD,   /* buffer[at]; 0 where `guard` is given and false (nothing is read then) */
    X_AXIS,   /* value of axis `index` through `at` (any affine form), as i32 */
    X_RESULT, /* reduction `word` of stage `index`, or the contraction of stage `index` */
    X_STEP,   /* header.step, as elem */
    X_LEAF,   /* in a plane: the dot product `index` at m, n */
    X_ROW,    /* in a plane: reduction `word` of pass `index`, of row m; behind that pass */
    X_SUM,    /* in a plane: sink `word` of pass `index` at m, e; in stores */
    X_RANDOM  /* u32: word `word` of Philox4x32-10, key header.key, counter {e low, e high,
                 header.step low, `site`};  e = at, plus header.first_example * `row` in generate
                 programs */
} ExprKind;

typedef struct {
    ExprKind kind;
    Op op;
    Elem elem;
    int in[3]; /* expressions of the same kernel; -1: none */
    double number;
    Buffer *buffer;
    Affine at;
    int64_t divide; /* X_LOAD: buffer[at / divide]; at is a multiple of it wherever the guard is
                       true. 0 and 1: not divided */
    int gather;     /* X_LOAD: axis whose value v is replaced by index[v], or -1 */
    int guard;      /* X_LOAD: bool expression, or -1 */
    int lookup; /* X_LOAD: i32 expression; its value times `pitch` is added to the place. Where it
                   is not known to be inside, the guard tests it. -1: none */
    int64_t pitch;
    uint32_t index, word, site;
    int64_t row; /* X_RANDOM in generate programs: elements per example */
    Span span;
} Expr;

/* ---- schedules for a GPU ---- */

/* How the points of a kernel are shared out to the threads of a grid; schedule_cuda.c chooses by
 * static shapes alone. Reductions are folded in a fixed order: a thread adds its own points in
 * ascending order, then the threads fold in halves.
 *
 *     GPU_POINTS    nothing reduced, or everything: a thread per `points` points
 *                   of the storing stages; a reducing stage, which is short,
 *                   every block computes for itself
 *     GPU_ROWS      row_threads threads share one outer iteration and stride
 *                   over its inner points
 *     GPU_COLUMNS   kernel->columns: threads / row_threads neighbouring columns
 *                   (the last outer axis) per block; row_threads threads share
 *                   the points of one column
 *     GPU_CONTRACT  a block computes tile_m x tile_n of one outer iteration, k
 *                   in steps of tile_k through shared memory; a thread keeps
 *                   thread_m x thread_n in registers and runs the epilogue on
 *                   them
 *     GPU_PLANE     a block takes tile_m rows of one outer iteration through all
 *                   of n, tile_n at a time; row_threads threads of one warp
 *                   share thread_m rows */
typedef enum { GPU_NONE, GPU_POINTS, GPU_ROWS, GPU_COLUMNS, GPU_CONTRACT, GPU_PLANE } GpuForm;

typedef struct {
    GpuForm form;         /* GPU_NONE: not scheduled for a GPU */
    uint32_t threads;     /* of a block; a multiple of 32, at most 1024 */
    int64_t blocks;       /* of one trial: the x axis of the grid */
    uint32_t points;      /* GPU_POINTS */
    uint32_t row_threads; /* GPU_ROWS, GPU_COLUMNS, GPU_PLANE: a power of two, at most 1024 */
    uint32_t tile_m, tile_n, tile_k, thread_m, thread_n; /* GPU_CONTRACT, GPU_PLANE */
    uint32_t slice_n;      /* GPU_PLANE: rows of a sink's matrix that shared memory holds */
    uint32_t shared_bytes; /* static shared memory of a block */
    bool uniform; /* all that it stores is: one trial's blocks compute it for the whole wave */
} GpuSchedule;

/* ---- stages ---- */

typedef struct {
    Op op; /* OP_SUM or OP_REDUCE_MAX */
    int value;
} Reduction;

typedef struct {
    Buffer *buffer;
    Affine at;
    int value; /* of the buffer's elem */
} Store;

/* result[outer, m, n] = sum over k of a[outer, m, k] * b[outer, k, n] */
typedef struct {
    uint32_t m, n, k; /* axes */
    int a, b; /* expressions; a plain X_LOAD is read in place if its strides suit, anything else is
                 packed */
    /* schedule: */
    uint32_t tile_m;         /* rows of the register tile */
    uint32_t tile_n_vectors; /* vectors per row of it */
    bool rows_outer; /* all panels of b for one tile of rows; with pack_b only if pack_b_whole */
    Buffer *pack_a, *pack_b; /* SPACE_SCRATCH workspaces, or NULL: read in place */
    bool pack_b_whole;       /* all of b before the blocks, else a panel at a time */
    uint32_t pack_a_along;   /* m or k: runs of the packed a */
    /* An operand that looks through parts of m or k is packed by blocks, never whole: block_m rows
     * by block_k terms. Along pack_a_along, and along k where a panel of b is transposed, a block
     * is whole innermost parts. With several blocks of k the sums wait in `sums` in between, which
     * changes no bit. 0: all. */
    int64_t block_m, block_k;
    Buffer *sums;
} Contraction;

typedef struct {
    uint32_t inner; /* bit set of axes */
    Vec(Reduction) reductions;
    Vec(Store) stores;
    Contraction *contraction; /* then no reductions or stores in this stage */
    /* schedule: */
    int vector_axis; /* an inner axis, or the last outer axis (then of all stages), or -1: scalar */
    uint32_t unroll; /* vectors per iteration of the vector loop; accumulators of a reduction */
} Stage;

/* ---- planes ---- */

/* A kernel with a plane computes a matrix over m, n (attention's scores) tile by tile, out of dot
 * products, and consumes each tile at once: the matrix is never in memory. It has no stages. Its
 * axes are the outer ones, those of `around`, m, n, then the k of every leaf and the e of every
 * sink.
 *
 *     for m:  for pass in order:  for around, ascending:  for n ascending:
 *         leaves      X_LEAF l    = sum over k of a[m, k] * b[n, k]    k ascending, fma
 *         reductions  X_ROW p, w  = max or sum over n of value[m, n]
 *         sinks       X_SUM p, s  = sum over n of value[m, n] * b[n, e]
 *             stores at m (of rows) and at m, e (of sums)
 *
 * (the gradients of keys that groups of queries share sum over the groups, too: around). A leaf is
 * computed in the passes whose values use it. A pass that is `online` (Milakov and Gimelshein 2018;
 * Dao et al. 2022) has the max of x as its reduction 0, and all values of its sums and sinks are
 * multiples of exp(x - X_ROW p, 0) with the final maximum: printers take the running one and
 * rescale what they have when it grows. No other value reads a row of its own pass.
 *
 * Bits: tiles are a function of static shapes only, so P1 holds. Fused = unfused does not: sums are
 * folded tile by tile, a factor of the whole row is multiplied after the sum, and x / row is
 * x * (1 / row). The differences are those of reordered sums. */
typedef struct {
    uint32_t k;
    int a, b; /* unguarded loads */
    /* schedule of a CPU: all of b of one outer iteration, [around][n / tile_n][k][tile_n] */
    Buffer *panels;
} PlaneLeaf;

typedef struct {
    uint32_t e;
    int value, b; /* b: an unguarded load */
} PlaneSink;

typedef struct {
    Vec(Reduction) reductions;
    Vec(PlaneSink) sinks;
    bool online;
} PlanePass;

typedef struct {
    uint32_t m, n;
    uint32_t around; /* bit set of axes */
    Vec(PlaneLeaf) leaves;
    Vec(PlanePass) passes;
    Vec(Store) stores; /* values of X_ROW and X_SUM; each changes with m and at most one e */
    /* Points with beyond > 0 (behind a causal mask) add exactly nothing to any pass: tiles of
     * nothing else may be left out. */
    bool masked;
    Affine beyond;
    /* schedule of a CPU: */
    uint32_t tile_m, tile_n;
} Plane;

/* Axes behind axis_count, part_count of them, are parts of loop axes: a contraction's m or k that
 * stands for several dims of which an operand is not one run of memory. Part value =
 * axis[of - 1] / below % extent; the parts of an axis cover it, outermost first. Only operands of
 * contractions (and their guards) look at parts. */

/* A chunk axis counts positions within a chunk; its chunk number is the outer axis `chunks` - 1:
 * positions extent * chunk + i at or past `whole` do not exist. (A long reduction cut for a GPU.)
 */
typedef struct {
    const char *name; /* of the axis, for reading: "m", "i" */
    int64_t extent;
    uint32_t chunks; /* 0: an ordinary axis; else 1 + the axis that counts its chunks */
    int64_t whole;   /* of a chunk axis: the extent before it was cut */
    uint32_t of;     /* 0: an axis with a loop; else 1 + the axis that it is a part of */
    int64_t below;   /* of a part: what one step of it is along that axis */
} Axis;

typedef struct {
    const char *name; /* what it does: "dense1_relu_fwd", "softmax_xent_grad", "nesterov_update";
                         [a-z0-9_]+ */
    uint32_t axis_count, outer_count, part_count; /* parts lie behind the axis_count loop axes */
    Axis axes[MAX_AXES];
    Vec(Expr) exprs; /* operands before users */
    Vec(Stage) stages;
    Plane *plane;       /* then no stages; else NULL */
    BufferList buffers; /* arguments of the function, in this order: all of TRIAL, SCRATCH (packing
                           workspaces too), FIELD, EXAMPLE, TOTAL, METRIC, INDEX that it touches;
                           LOCALs apart */
    BufferList locals;
    Buffer *header; /* SPACE_TRIAL at 0, first of `buffers`, when X_STEP or X_RANDOM is used; else
                       NULL */
    Buffer *index;  /* SPACE_INDEX, in `buffers`, when some load gathers; else NULL */
    bool generate;  /* part of a generate program */
    bool columns;   /* reduces over leading axes: the last outer axis is the last one of what is
                       reduced */
    uint32_t lanes; /* schedule: vector width in elements of the widest real type used; 1: scalar */
    GpuSchedule gpu;
    Vec(Span) places;        /* .tune places that it computes, for the comment above it */
    Vec(const char *) fused; /* names of the graph ops, in order */
    double flops, bytes_read, bytes_written; /* per launch and trial */
} Kernel;
typedef Vec(Kernel *) KernelList;

/* ---- a step program ---- */

/* One graph as kernels in launch order. The runtime calls it once per step (train), batch
 * (evaluate, generate) or trial (init, finish). */
typedef struct {
    const char *name; /* "train", … */
    KernelList kernels;
    BufferList buffers;
    TrialLayout layout;
    int64_t scratch_bytes; /* after plan */
    bool advance;          /* train: header.step += 1 at the end */
} StepProgram;

/* graph -> kernels. Elementwise chains, row reductions that share their rows (softmax, norms,
 * cross-entropy with its gradient), prologues and epilogues of contractions, and the update over
 * the flat parameters each become one kernel. `fused` false (--no-fuse): one kernel per op. needs:
 * simplified graph.  keeps: meaning of outputs. */
StepProgram *fuse(const Graph *graph, const TrialLayout *layout, bool fused, Arena *arena);

/* Lifetimes, one scratch arena, offsets. needs: schedule (its workspaces). Sets buffer offsets and
 * scratch_bytes. */
void plan(StepProgram *program, Arena *arena);

TrialLayout trial_layout(uint32_t hyper_count, int64_t param_count, int64_t trained_count,
                         uint32_t state_count, Elem real);

/* A set of axes per expression: those that its value changes with. */
uint32_t *kernel_expr_axes(const Kernel *kernel, Arena *arena);
/* Sets marked[e] for each expression that a pass of the plane evaluates: its leaves, for one. */
void plane_pass_uses(const Kernel *kernel, uint32_t pass, bool *marked);
/* Sets flops, bytes_read and bytes_written. */
void kernel_count_work(Kernel *kernel, Arena *arena);
/* The innermost part of an axis; the axis itself if it has none. */
uint32_t kernel_innermost(const Kernel *kernel, uint32_t axis);
/* How many elements follow each other in memory, in some load under `expr` that moves with `across`
 * too, from one step of axis `along` to the next; 1: none. */
int64_t kernel_run(const Kernel *kernel, int expr, uint32_t along, uint32_t across);
/* An operation that no processor has an instruction for: exp, log, sin, … */
bool op_is_function(Op op);

/* Whether the buffer begins at 16 bytes in every trial, on a GPU: blocks and their strides do, and
 * scratch buffers within them. */
bool kernel_is_aligned(const Buffer *buffer);

void kernel_print(const Kernel *kernel, const Sources *sources, bool scheduled, Text *out);
/* Canonical text without names and places: equal texts mean equal code, so they share one function.
 */
void kernel_signature(const Kernel *kernel, Text *out);
void plan_print(const StepProgram *program, Text *out);
const char *kernel_verify(const Kernel *kernel, Arena *arena);     /* NULL: legal */
const char *plane_verify(const Kernel *kernel, Arena *arena);      /* what it asks about planes */
const char *plan_verify(const StepProgram *program, Arena *arena); /* NULL: legal */

#endif
