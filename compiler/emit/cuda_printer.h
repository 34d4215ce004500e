/* The printer of one CUDA kernel: state shared by the walk over the scheduled kernel (cuda_nest.c),
 * expressions (cuda_expr.c), contractions (cuda_contract.c) and mathematics (cuda_math.c).
 *
 * Values are printed as named constants in the innermost block that they need, in the order of
 * use, each once per block:
 *
 *     const float v14 = s0_r0 + dense2_bias[n];
 *     const bool  v9  = …;
 *
 * A block of C opened with printer_open remembers which expressions have a name in it; when it is
 * closed they are forgotten. `axis[a]` is the C expression for axis a where the printer stands
 * ("i", "m", "(n0 + 3)"); an integer constant folds into addresses. */
#ifndef TUNE_COMPILER_EMIT_CUDA_PRINTER_H
#define TUNE_COMPILER_EMIT_CUDA_PRINTER_H

#include "compiler/emit/emit_cuda.h"

enum { PRINTER_DEPTH = 24 };

/* A family of device functions, printed above the kernel when one of its calls was printed. */
typedef enum {
    CUDA_EXP,
    CUDA_LOG,
    CUDA_TANH,
    CUDA_ERF,
    CUDA_SIN, /* and cos */
    CUDA_POW,
    CUDA_MAX,     /* NaN goes through: max, min */
    CUDA_DIVIDE,  /* integers: / and mod that never trap */
    CUDA_CONVERT, /* saturating real -> integer */
    CUDA_PHILOX,
    CUDA_FOLD, /* sums and maxima over the threads of a warp or block */
    CUDA_FUNCTIONS
} CudaFunctions;

typedef struct {
    const Kernel *kernel;
    const Sources *sources;
    Arena *arena;
    Text *out;       /* the kernel's body */
    uint32_t indent; /* levels of four columns */
    uint32_t used;   /* bit set of CudaFunctions */
    const char *
        *buffer_names; /* C names: of kernel->buffers, then of locals; unique, no keywords */
    const char *axis[MAX_AXES];
    uint32_t *axes_of;  /* per expression, kernel_expr_axes */
    const char **names; /* per expression: how to write its value here; NULL: not yet printed */
    int32_t *depth_of;  /* block in which the name was given */
    uint32_t depth;     /* blocks that are open */
    uint32_t fresh;     /* for new names */
    const char
        *results[32][8]; /* [stage][reduction]; of a contraction [0][0], the element at hand */
} CudaPrinter;

/* ---- cuda_nest.c ---- */

/* A line at the present indent; a line of its own ends with \n by itself. */
void cuda_line(CudaPrinter *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "HEAD {" and "}": what is printed between is one block. head "" opens a bare block. */
void cuda_open(CudaPrinter *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cuda_close(CudaPrinter *p);
/* The stores of a stage at one point: all values first, then the stores. */
void cuda_stores(CudaPrinter *p, const Stage *stage);

/* ---- cuda_expr.c ---- */

/* How to write the value of an expression here: a name, a literal, a short expression in
 * parentheses. Prints the lines that give it a name first. */
const char *cuda_value(CudaPrinter *p, int expr);
/* acc = acc + value (unrounded product where the kernel says so), or the larger, NaN going through.
 */
void cuda_accumulate(CudaPrinter *p, const char *acc, const Reduction *reduction);
/* C text of an element's place: "784 * i + j + 3"; 64-bit where the extents ask for it. */
const char *cuda_index(CudaPrinter *p, const Affine *at, int gather);
/* "float", "unsigned char"; bool is unsigned char in memory. */
const char *cuda_type(Elem elem, bool memory);
const char *cuda_identity(Op op, Elem elem); /* of a reduction */
/* Forgets the names of expressions that change with one of the axes (an axis got a new value), or
 * that read an earlier stage's results or stores when `late`. */
void cuda_forget(CudaPrinter *p, uint32_t axes, bool late);
const char *cuda_buffer(const CudaPrinter *p, const Buffer *buffer);

/* ---- cuda_contract.c ---- */

/* The body of a GPU_CONTRACT kernel: stages 0 (the contraction) and all behind it. */
void cuda_contract(CudaPrinter *p);

/* ---- cuda_math.c ---- */

/* CUDA C text of the families in `used`, each with what it needs. */
void cuda_functions(uint32_t used, Text *out);

#endif
