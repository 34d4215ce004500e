/* What fuse's files share: groups of nodes that become one kernel each, and what is known of a
 * node.
 *
 *     fuse.c           the driver
 *     fuse_contract.c  summed axes that do not lie together are brought together
 *     fuse_roles.c     what each node is: in memory, a view, recomputed, or computed once
 *     fuse_groups.c    which nodes share a kernel
 *     fuse_memory.c    which values other kernels need, and where they lie
 *     fuse_expr.c      a node at an index -> expression
 *     fuse_kernel.c    a group -> kernel
 *     fuse_parts.c     several axes of a product as parts of one
 *     fuse_plane.c     attention's scores, which are never in memory: which values they are
 *     fuse_plane_build.c   a group of their consumers -> kernel
 *     fuse_plane_sums.c    row sums in gradients of softmax without the plane
 *     fuse_plane_mask.c    the part of a plane that a causal mask leaves empty
 *     fuse_name.c      what to call it
 *
 * Where an index turns out not to be affine, the value is marked to be kept in memory and the whole
 * pass starts again: the marks only grow, so it ends. */
#ifndef TUNE_COMPILER_KERNEL_FUSE_H
#define TUNE_COMPILER_KERNEL_FUSE_H

#include "compiler/kernel/affine.h"

/* Values of one shape that are computed wherever they are used and are never in memory: dot
 * products over m, n, and what is elementwise with them (kernel.h, Plane). */
typedef struct {
    uint32_t axis_count; /* of the shape, size 1 left out */
    int64_t extents[MAX_AXES];
    uint32_t m, n;
    GNodeList values;
} PlaneValues;

/* Nodes that one kernel computes. `axes` of the group are the dims of its full shape (size 1 left
 * out), then the summed labels of a contraction. A member has the full shape, or the shape without
 * the `inner` axes: reductions over exactly these and what is computed from them. */
typedef struct {
    uint32_t id, axis_count, full_count;
    int64_t extents[MAX_AXES];
    uint32_t inner;           /* reduced axes, a bit set; 0: no reduction yet */
    GNode *contract;          /* or NULL */
    const PlaneValues *plane; /* then the members reduce its values over `columns`, or contract
                                 them; `inner` are all axes that they sum */
    uint32_t rows, columns;
    GNodeList members;
    bool absorbed; /* merged into another group */
} Group;

typedef enum {
    ROLE_DEAD,
    ROLE_LEAF,    /* read or made on the spot */
    ROLE_VIEW,    /* an index map */
    ROLE_INLINE,  /* cheap and made of leaves only: recomputed at each use */
    ROLE_FLOAT,   /* made of leaves only, but worth computing once: joins its first consumer */
    ROLE_PRODUCT, /* goes unrounded into its only user: is computed with it, always */
    ROLE_FLAT,    /* a buffer that its operands' kernels fill */
    ROLE_PLANE,   /* value of a plane: computed by each kernel that uses it */
    ROLE_MEMBER   /* computed in a group */
} Role;

typedef struct {
    Buffer *buffer;
    int64_t base;
    bool in_place; /* the kernel may read the same elements' old values */
} Target;

typedef struct {
    Role role;
    Group *group;
    const PlaneValues *plane; /* of which it is a value or a consumer, or NULL */
    uint32_t cost;            /* of computing it from leaves, where it is made of leaves only */
    bool product;             /* a product that goes into its only user unrounded (fma) */
    bool hard;                /* has to be in memory: operand of a contraction */
    bool recompute;           /* other groups compute it again rather than load it */
    Buffer *buffer;           /* where others find it, or NULL */
    int64_t base;             /* its first element there */
    Vec(Target) targets;      /* outputs, and its place in flat vectors */
    GNodeList users;
    uint32_t seen;    /* the last search that came by */
    GNodeList pieces; /* FLAT: the nodes that fill it */
    uint64_t *wanted; /* groups that evaluate it, a bit set */
    /* inside its kernel: */
    uint32_t level; /* number of reductions of its group before it */
    uint32_t stage, word;
    Buffer *kept; /* readable from the stage after `kept_stage` on */
    int64_t kept_base;
    uint32_t kept_stage;
} Info;

typedef struct {
    const Graph *graph;
    const TrialLayout *layout;
    Arena *arena;
    bool fused;
    StepProgram *program;

    /* grow from attempt to attempt, by node id; what an attempt finds out counts from the next on
     */
    bool *forced, *forced_next; /* keep this value (view, leaf) in memory */
    bool *alone, *alone_next;   /* start a group of its own */
    bool *apart;                /* contractions whose summed axes do not lie together */
    bool rebuild;               /* some are */
    GNodeList copies;           /* of operands of such: kept in memory */
    bool indirect; /* outputs are copied into the trial's block after everything else */
    bool again;

    /* of this attempt */
    GNodeList nodes; /* live ones and copies that fuse adds, operands first */
    Info *info;      /* by id */
    uint32_t id_count, id_limit;
    Vec(Group *) groups;
    uint32_t search; /* number of the last one */
    uint64_t *
        *depends;   /* by group id: bit set of the groups that it depends on, all the way down */
    uint32_t words; /* per bit set */
    Buffer *params, *states[16], *hypers;
    Vec(Group *) order;       /* of each kernel of the program */
    BufferList param_buffers; /* parameters, and pieces of the flat vectors */
    BufferList slots;         /* FIELD, EXAMPLE, TOTAL, METRIC */
    Buffer *header, *index;
} Fuser;

static inline bool bit_has(const uint64_t *set, uint32_t bit) {
    return set[bit / 64] >> (bit % 64) & 1;
}
static inline void bit_set(uint64_t *set, uint32_t bit) {
    set[bit / 64] |= (uint64_t)1 << (bit % 64);
}

/* ---- fuse.c ---- */

/* Each asks for another attempt, and asserts that it will differ from this one. */
void keep_in_memory(Fuser *fuser,
                    const GNode *node); /* a view or leaf met at an index that is not affine */
/* `user` meets `node` of its own group at another element than the one being computed. */
void set_apart(Fuser *fuser, const GNode *user, const GNode *node);
void join_next(Fuser *fuser, const GNode *contraction); /* its summed axes do not lie together */

static inline Info *info_of(const Fuser *fuser, const GNode *node) {
    return &fuser->info[node->id];
}

/* ---- fuse_roles.c ---- */

bool node_is_view(const Fuser *fuser, const GNode *node);    /* a sum over axes of size 1 too */
bool node_is_compute(const Fuser *fuser, const GNode *node); /* has to be in a group or inlined */
bool node_is_reduction(const Fuser *fuser, const GNode *node);
const GNode *view_base(const Fuser *fuser, const GNode *node); /* the node below all views */
uint32_t op_cost(Op op);
/* The table of a gather is read in memory: the node that is there, below views that move nothing.
 */
static inline bool is_table(const GNode *user, uint32_t operand) {
    return user->op == OP_GATHER && operand == 0;
}
GNode *table_base(const Fuser *fuser, GNode *table);
bool contract_swaps(const GNode *node); /* is the result's last axis one of the first operand? */
/* Liveness, users, targets of outputs and flat vectors, roles. */
void assign_roles(Fuser *fuser);

/* ---- fuse_plane.c ---- */

/* How a consumer uses a value, its operand `side`. */
typedef struct {
    uint32_t side, rows, columns; /* axes of the plane */
    uint32_t around;              /* a bit set: what it sums besides the columns */
} PlaneUse;

/* Planes and their consumers. needs: roles. */
void assign_planes(Fuser *fuser);
/* False where the node sums both m and n, or neither. */
bool plane_use_of(const PlaneValues *plane, const GNode *node, uint32_t side, PlaneUse *use);

/* ---- fuse_groups.c ---- */

int64_t group_count(const Group *group, bool full); /* elements of the full, or of the kept shape */
bool group_is_full(const Group *group, const GNode *node);
Index group_index(const Group *group, bool full);
Affine group_local(const Group *group); /* position among the reduced axes, for SPACE_LOCAL */
/* Every compute node into a group. needs: roles. */
void assign_groups(Fuser *fuser);

/* ---- fuse_memory.c ---- */

/* needs: groups. Sets recompute, buffer, base. */
void assign_memory(Fuser *fuser);
Buffer *buffer_new(Fuser *fuser, const char *name, Elem elem, int64_t count, Space space);
Buffer *slot_buffer(Fuser *fuser, Space space, uint32_t slot, Elem elem, int64_t count,
                    const char *name);
Buffer *param_buffer(Fuser *fuser, const GNode *node);
/* `count` elements of a flat vector from `offset` on; `state`: its number, or -1: the parameters.
 */
Buffer *flat_buffer(Fuser *fuser, int state, int64_t offset, int64_t count);
Buffer *leaf_buffer(Fuser *fuser, const GNode *leaf); /* of a PARAM, STATE or FLAT_PARAM */

/* ---- fuse_expr.c ---- */

typedef struct ExprMemo ExprMemo;
typedef struct {
    Fuser *fuser;
    Group *group;
    Kernel *kernel;
    const GNode *root; /* member being computed */
    uint32_t stage;
    uint32_t extra_outer; /* the axis added for gathers of a batch of one, a bit set */
    GNodeList leaves;     /* of a plane, in order of X_LEAF's numbers */
    GNodeList left_out;   /* divisions of a plane that are done after the sum */
    Vec(ExprMemo) memo;
} Builder;
struct ExprMemo {
    const GNode *node;
    Affine at;
    int64_t divide;
    int guard, result;
    uint32_t stage;
};

/* What a view, or a gather at its index, looks at. */
bool operand_index_of(const Group *group, const GNode *view, const Index *at, Index *operand);
/* The value as other nodes see it: loaded, a result, or computed here. -1 after a failure; then
 * fuser->again is set and the reason marked. */
int build_value(Builder *builder, const GNode *node, const Index *at, int guard);
/* The node's own operation at `at`. */
int build_operation(Builder *builder, const GNode *node, const Index *at, int guard);
int build_cast(Builder *builder, int value, Elem elem, Span span);
int build_number(Builder *builder, double number, Elem elem, Span span);
int build_binary(Builder *builder, Op op, Elem elem, int a, int b, Span span);
/* X_LEAF, X_ROW, X_SUM. */
int build_part(Builder *builder, ExprKind kind, uint32_t index, uint32_t word, Elem elem,
               Span span);

/* ---- fuse_parts.c ---- */

typedef enum { CLASS_BATCH, CLASS_M, CLASS_N, CLASS_K } AxisClass;

/* Which of the group's axes become which axes of the kernel. */
typedef struct {
    char label[MAX_AXES]; /* per axis of the group */
    AxisClass class[MAX_AXES];
    uint32_t order[MAX_AXES], count; /* axes of the kernel, outermost first */
    uint32_t parts[MAX_AXES], part_count;
    uint32_t of[MAX_AXES]; /* per part: the axis of the group that it is a part of */
    int64_t below[MAX_AXES];
} AxisPlan;
typedef Vec(Affine *) AffineList;

/* Is the operand of a contraction read through windows or padding, or made where it is read? */
bool looks_through(const Fuser *fuser, const GNode *operand);
bool is_made(const Fuser *fuser, const GNode *base); /* made where it is read */
/* Of several axes for m one, and for k, of which they become parts; what runs along all of them as
 * along one is written so. False where a row of the data set is looked up along one of them. */
bool join_parts(Builder *builder, AxisPlan *axes, const AffineList *affines);

/* ---- fuse_kernel.c ---- */

/* Does it leave anything behind? If all users compute its members again, there is nothing to build.
 */
bool group_stores(const Fuser *fuser, const Group *group);
Kernel *build_kernel(Fuser *fuser, Group *group);

/* ---- fuse_plane_build.c ---- */

enum { NO_PASS = 1000 };
/* Passes of the plane's group behind which `node` can be computed; NO_PASS: it cannot be by the
 * kernel of the group. */
uint32_t plane_passes_below(const Fuser *fuser, const Group *group, const GNode *node);
/* Everything but arguments and figures. */
void build_plane(Builder *builder);
/* Is the node computed in the plane's kernel, or by it? Then this is how. */
bool plane_computes(const Builder *builder, const GNode *node);
int build_plane_value(Builder *builder, const GNode *node, const Index *at, int guard);

/* ---- fuse_plane_sums.c ---- */

/* Row sums over products of planes that are sums over the results instead: a new graph, if there
 * are any. needs: planes. */
void exchange_sums(Fuser *fuser);

/* ---- fuse_plane_mask.c ---- */

/* Sets `masked` and `beyond`, by axes of the group. needs: passes. */
void plane_find_mask(Builder *builder);

/* ---- fuse_contract.c ---- */

/* The graph with the contractions marked `apart` over permuted operands, which go to `copies`. */
void join_summed_axes(Fuser *fuser);

/* ---- fuse_name.c ---- */

void name_kernels(Fuser *fuser);

#endif
