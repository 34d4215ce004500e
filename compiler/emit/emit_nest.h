/* The emitter of one kernel: state shared by the walk over the scheduled nest (emit_nest.c),
 * expressions (emit_expr.c), contractions (emit_contract.c) and mathematics (emit_math.c).
 *
 * Scopes are the levels at which code can be placed. A scope is entered with every loop, stage and
 * epilogue; its `block` is the one that branches into the scope inside, so code inserted before
 * that branch is executed once per iteration of the outer scope and dominates everything inside:
 *
 *     scope 0   entry:   b0, b1, … and all that depends on no axis
 *     scope 1   for i:   what depends on i only
 *     scope 2     stage: what also needs the results of earlier stages
 *     scope 3     for j: the rest ("here")
 *
 * An expression is evaluated in the outermost scope where its axes are known, once: values are
 * remembered until their scope is left. Axes of a register tile or of unrolled copies have a
 * constant `shift` beside the loop's variable; values are remembered per shift. Lanes of a vector
 * are consecutive values of `vector_axis`; an expression that does not depend on it is a scalar,
 * splatted where a vector is needed. Only the first `valid` lanes count: extents are static, so
 * every mask of a tail is a constant. */
#ifndef TUNE_COMPILER_EMIT_EMIT_NEST_H
#define TUNE_COMPILER_EMIT_EMIT_NEST_H

#include <llvm-c/Core.h>

#include "compiler/kernel/kernel.h"
#include "compiler/kernel/schedule.h"

enum { FEW_SHIFTS = 4, SHIFT_BITS = 10, FEW_SHIFT_BITS = 4 };
enum { MAX_SCOPES = 3 * MAX_AXES, MAX_SHIFTED = 8 };

typedef struct {
    uint32_t serial; /* unique: a remembered value belongs to one entering of a scope */
    LLVMBasicBlockRef block;
} Scope;

typedef struct {
    uint64_t key; /* shifts and vector axis */
    LLVMValueRef value, splat;
    LLVMValueRef words[4]; /* X_RANDOM: the whole block */
} Remembered;

typedef struct {
    uint32_t serial;
    Vec(Remembered) values;
} Memory;

typedef struct {
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMBuilderRef builder;
    const CpuTarget *target;
    Arena *arena;

    const Kernel *kernel;
    LLVMValueRef function;
    LLVMValueRef *bases; /* of kernel->buffers, then of kernel->locals */
    Expr *exprs;         /* the kernel's, then loads from packed operands */
    uint32_t expr_count;
    uint32_t *axes_of; /* axes that an expression depends on, transitively */
    bool *late;        /* needs an earlier stage of the same outer iteration */
    Memory *values, *pointers;
    LLVMValueRef **results; /* [stage][reduction], or of a contraction's tile [0] */
    LLVMValueRef *at_hand;  /* by expression: what X_LEAF, X_ROW and X_SUM of a plane are now */

    Scope scopes[MAX_SCOPES];
    uint32_t top, next_serial;
    LLVMBasicBlockRef here;
    uint32_t stage_scope, epilogue_scope;
    uint32_t epilogue_axes;

    LLVMValueRef axis[MAX_AXES]; /* i64 loop variables; parts of axes too */
    uint32_t axis_scope[MAX_AXES];
    int64_t shift[MAX_AXES];
    int shifted[MAX_SHIFTED]; /* axes that may have shifts now, or -1; those from FEW_SHIFTS on have
                                 few: parts that are unrolled */
    int vector_axis;
    uint32_t lanes, valid;
    /* A contraction's blocks: axis = start + within. Packed operands are addressed by `within`. */
    LLVMValueRef start[MAX_AXES]; /* where the block begins; NULL: at 0 */
    LLVMValueRef within[MAX_AXES];
    bool *packed; /* by expression */
} Emitter;

/* ---- emit_nest.c ---- */

/* Adds the function `symbol` for the kernel to e->module. context, module, builder, target and
 * arena are set. */
void emit_kernel(Emitter *e, const Kernel *kernel, const char *symbol);

void scope_enter(Emitter *e);
void scope_leave(Emitter *e);
void place_at(Emitter *e, uint32_t scope); /* the builder goes there */
static inline void place_here(Emitter *e) {
    place_at(e, e->top);
}

/* A loop over `axis` in `from`, from + step, … below `to` (at least once), counted from the start
 * of the block. The body is emitted between begin and end. */
typedef struct {
    LLVMBasicBlockRef before, header;
    LLVMValueRef variable;
    int64_t step, to;
    bool repeats;
} Loop;
Loop loop_begin(Emitter *e, uint32_t axis, int64_t from, int64_t to, int64_t step);
void loop_end(Emitter *e, Loop *loop);

/* Calls `point` for every vector of `axis`, with shift and valid set: `copies` per iteration of a
 * loop, the rest and the masked tail after it. */
typedef void (*PointFunction)(Emitter *e, void *context, uint32_t copy);
void for_vectors(Emitter *e, uint32_t axis, uint32_t copies, PointFunction point, void *context);
/* The same for `count` places from the start of the block on, in steps of a vector or of one. */
void for_steps(Emitter *e, uint32_t axis, int64_t count, uint32_t step, uint32_t copies,
               PointFunction point, void *context);

/* Memory of the function's frame, which LLVM promotes to a register. */
LLVMValueRef stack_slot(Emitter *e, LLVMTypeRef type);

/* Accumulators of a stage's reductions: stack slots that LLVM promotes, set to the identities here.
 */
typedef struct {
    const Stage *stage;
    uint32_t copies;
    LLVMValueRef *slots; /* [copy][reduction] */
} Sums;
Sums sums_open(Emitter *e, const Stage *stage, uint32_t copies);
/* Folds the copies in pairs, then halves of lanes if `fold`: the results of stage number `at`. */
void sums_close(Emitter *e, uint32_t at, const Sums *sums, bool fold);

/* What a stage does at one point (or vector of points): accumulates into its copy of `sums`,
 * stores. */
void emit_point(Emitter *e, const Stage *stage, const Sums *sums, uint32_t copy);

/* ---- emit_expr.c ---- */

LLVMTypeRef elem_type(const Emitter *e, Elem elem);   /* in registers: bool is i1 */
LLVMTypeRef memory_type(const Emitter *e, Elem elem); /* in memory: bool is i8 */
LLVMTypeRef vector_of(const Emitter *e,
                      LLVMTypeRef scalar); /* of e->lanes; the scalar itself for one lane */
/* Axes that lanes of a vector step along: the vector axis, and if that is the innermost part of
 * another one, that too. A set. */
uint32_t vector_axes(const Emitter *e);
bool is_vector(const Emitter *e, int expr);
uint32_t scope_of(const Emitter *e, int expr);
/* Value of an expression at the current shifts: scalar, or vector if it depends on the vector axis.
 */
LLVMValueRef emit_value(Emitter *e, int expr);
/* The same as a vector in any case. */
LLVMValueRef emit_vector(Emitter *e, int expr);
/* buffer[at] = value here, for the valid lanes. */
void emit_store(Emitter *e, const Buffer *buffer, const Affine *at, LLVMValueRef value,
                bool vector);
LLVMValueRef base_of(const Emitter *e, const Buffer *buffer);
LLVMValueRef emit_pointer(Emitter *e, const Buffer *buffer,
                          const Affine *at); /* to buffer[at], here */
/* To a workspace's element, here, by places within the block. */
LLVMValueRef emit_pointer_within(Emitter *e, const Buffer *buffer, const Affine *at);
/* All lanes, or a scalar. */
void emit_store_whole(Emitter *e, const Buffer *buffer, LLVMValueRef pointer, LLVMValueRef value);
/* The valid lanes, or a scalar. */
void emit_store_lanes(Emitter *e, const Buffer *buffer, LLVMValueRef pointer, LLVMValueRef value);
/* Asks for the cache line of a load's element at the current shifts; it may lie outside the
 * buffer. */
void emit_prefetch(Emitter *e, int expr);
/* acc + value of expr (fused when it is a product used once) or the larger of both. */
LLVMValueRef emit_accumulate(Emitter *e, Op op, int expr, LLVMValueRef acc, bool vector);
LLVMValueRef emit_combine(Emitter *e, Op op, Elem elem, LLVMValueRef a, LLVMValueRef b);
/* The lower and the upper half of the lanes, combined until one is left. */
LLVMValueRef emit_fold(Emitter *e, Op op, Elem elem, LLVMValueRef value);
LLVMValueRef splat(Emitter *e, LLVMValueRef scalar);
LLVMValueRef lane_mask(Emitter *e, uint32_t valid); /* <lanes x i1>, constant */

/* ---- emit_contract.c ---- */

/* The contraction of stage `at` with the epilogue stages behind it; the number of the last of them.
 */
uint32_t emit_contraction(Emitter *e, uint32_t at);

/* ---- emit_plane.c ---- */

/* All of a kernel with a plane, inside its outer loops. */
void emit_plane(Emitter *e);

/* ---- emit_math.c ---- */

/* Elementwise on scalars and vectors alike: the same operations in the same order, hence the same
 * bits. */
LLVMValueRef math_exp(Emitter *e, LLVMValueRef x);
LLVMValueRef math_log(Emitter *e, LLVMValueRef x);
LLVMValueRef math_sin(Emitter *e, LLVMValueRef x);
LLVMValueRef math_cos(Emitter *e, LLVMValueRef x);
LLVMValueRef math_tanh(Emitter *e, LLVMValueRef x);
LLVMValueRef math_erf(Emitter *e, LLVMValueRef x);
LLVMValueRef math_pow(Emitter *e, LLVMValueRef x, LLVMValueRef y);
LLVMValueRef math_fma(Emitter *e, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c); /* a * b + c */
/* f32 to so many significant bits, ties to even; NaN stays */
LLVMValueRef math_round(Emitter *e, LLVMValueRef a, uint32_t bits);
/* Philox4x32-10; counter and key as i32 scalars or vectors, all of one type. */
void math_philox(Emitter *e, const LLVMValueRef counter[4], const LLVMValueRef key[2],
                 LLVMValueRef out[4]);

/* An LLVM intrinsic by name, overloaded on `types`. */
LLVMValueRef emit_intrinsic(Emitter *e, const char *name, LLVMTypeRef *types, uint32_t type_count,
                            LLVMValueRef *arguments, uint32_t count);
LLVMValueRef real_like(LLVMValueRef like, double number); /* a constant of like's type */
LLVMValueRef integer_like(LLVMTypeRef type, int64_t number);

#endif
