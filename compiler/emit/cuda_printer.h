/* The printer of one CUDA kernel: state shared by the walk over the scheduled kernel (cuda_nest.c),
 * expressions (cuda_expr.c), contractions (cuda_contract.c), planes (cuda_plane.c) and mathematics
 * (cuda_math.c).
 *
 * Values are printed as named constants in the innermost block that they need, in the order of
 * use, each once per block:
 *
 *     const float v14 = s0_r0 + dense2_bias[n];
 *     const bool  v9  = …;
 *
 * A block of C opened with cuda_open remembers which expressions have a name in it; when it is
 * closed they are forgotten. `axis[a]` is the C expression for axis a where the printer stands
 * ("i", "m", "(n0 + 3)"); an integer constant folds into addresses. */
#ifndef TUNE_COMPILER_EMIT_CUDA_PRINTER_H
#define TUNE_COMPILER_EMIT_CUDA_PRINTER_H

#include "compiler/emit/emit_cuda.h"

/* A device function, printed above the kernel when a call of it was printed (cuda_math.c). */
typedef enum {
    CUDA_OF_TRIAL,
    CUDA_LARGER,     /* NaN goes through */
    CUDA_SMALLER,    /* likewise */
    CUDA_DIVIDE_I32, /* integers: never trap */
    CUDA_DIVIDE_U32,
    CUDA_MODULO_I32,
    CUDA_MODULO_U32,
    CUDA_TO_I32, /* saturating real -> integer */
    CUDA_TO_U32,
    CUDA_TO_U8,
    CUDA_EXP,
    CUDA_LOG,
    CUDA_TANH,
    CUDA_ERF,
    CUDA_SINE, /* and cosine */
    CUDA_POW,
    CUDA_ROUND,
    CUDA_PHILOX,
    CUDA_WARP_SUM, /* over threads of one warp, */
    CUDA_WARP_MAX,
    CUDA_BLOCK_SUM, /* of several, */
    CUDA_BLOCK_MAX,
    CUDA_COLUMN_SUM, /* over groups of threads */
    CUDA_COLUMN_MAX,
    CUDA_FUNCTIONS
} CudaFunction;

typedef struct {
    const Kernel *kernel;
    const Sources *sources;
    Arena *arena;
    Text *out;       /* the kernel's body */
    uint32_t indent; /* levels of four columns */
    uint32_t used;   /* bit set of CudaFunction */
    const char *
        *buffer_names; /* C names: of kernel->buffers, then of locals; unique, no keywords */
    const char *part_names[MAX_AXES]; /* C names of the parts of axes, likewise */
    const char *axis[MAX_AXES];
    uint32_t *axes_of;  /* per expression, kernel_expr_axes */
    const char **names; /* per expression: how to write its value here; NULL: not yet printed */
    uint32_t *depth_of; /* block in which the name was given */
    uint32_t *uses;     /* per expression, by `stage` */
    const Stage *stage; /* whose uses are counted */
    uint32_t depth;     /* blocks that are open */
    /* [stage][reduction]; of a contraction [0][0], the element at hand */
    const char ***results;
} CudaPrinter;

/* ---- cuda_nest.c ---- */

/* A line at the present indent; a line of its own ends with \n by itself. */
void cuda_line(CudaPrinter *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "HEAD {" and "}": what is printed between is one block. head "" opens a bare block. */
void cuda_open(CudaPrinter *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cuda_close(CudaPrinter *p);
/* A statement: a line with the place of `span` behind it, "…;  // mnist.tune:14". */
void cuda_statement(CudaPrinter *p, Span span, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The body of a kernel of any form but GPU_CONTRACT and GPU_PLANE. */
void cuda_nest(CudaPrinter *p);

/* ---- cuda_expr.c ---- */

/* Counts how often the stage's loop uses each expression: what is used twice gets a name. */
void cuda_begin_stage(CudaPrinter *p, const Stage *stage);
/* The same of some values, of a plane. */
void cuda_begin_values(CudaPrinter *p, const int *values, uint32_t count);
/* Gives names, here, to the parts of an expression that change with none of `axes`: those of the
 * loops that are going to be opened. */
void cuda_hoist(CudaPrinter *p, int expr, uint32_t axes);
/* The stores of a stage at one point: all values first, then the stores. */
void cuda_stores(CudaPrinter *p, const Stage *stage);
/* One store. */
void cuda_store(CudaPrinter *p, const Store *store);
/* How to write the value of an expression here: a name, a literal, a short expression in
 * parentheses. Prints the lines that give it a name first. */
const char *cuda_value(CudaPrinter *p, int expr);
/* acc = acc + value (unrounded product where the kernel says so), or the larger, NaN going through.
 */
void cuda_accumulate(CudaPrinter *p, const char *acc, const Reduction *reduction);
/* C text of an element's place: "784 * i + j + 3"; 64-bit where the extents ask for it. */
const char *cuda_index(CudaPrinter *p, const Affine *at, int gather);
/* Of the element that a load reads where its guard is true: also divided, or by a lookup. */
const char *cuda_place(CudaPrinter *p, const Expr *load);
/* "float", "unsigned char"; bool is unsigned char in memory. */
const char *cuda_type(Elem elem, bool memory);
const char *cuda_identity(Op op, Elem elem); /* of a reduction */
const char *cuda_buffer(const CudaPrinter *p, const Buffer *buffer);
/* The axes that a stage's values and stores change with: what the loops around it have to name. */
uint32_t cuda_stage_axes(const CudaPrinter *p, const Stage *stage);
/* Notes that a device function is called; its name. */
const char *cuda_function(CudaPrinter *p, CudaFunction function);

/* ---- cuda_contract.c ---- */

/* The body of a GPU_CONTRACT kernel: stages 0 (the contraction) and all behind it. */
void cuda_contract(CudaPrinter *p);
/* const int NAME = blockIdx.x / below % count * step, as short as it can be: what a block of a
 * tiled kernel has of an axis. */
void cuda_block_number(CudaPrinter *p, const char *name, int64_t below, int64_t count,
                       uint32_t step);

/* ---- cuda_plane.c ---- */

/* The body of a GPU_PLANE kernel. */
void cuda_plane(CudaPrinter *p);

/* ---- cuda_math.c ---- */

/* CUDA C text of the functions in `used`, each behind what it needs. */
void cuda_functions(uint32_t used, Text *out);

#endif
