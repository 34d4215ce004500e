/* Decoded PTX: what the front end (ptx_*.c, decode_*.c, alu_*.c, tensor.c) makes and the machine
 * (machine.h) runs.
 *
 * A warp's registers are rows of 32 lanes in one block of memory: u32[32] for 32 bits and fewer
 * (narrow values are kept zero-extended), u64[32] for 64 bits, one u32 mask for a predicate. An
 * operand is a row's offset in the block, or a constant row that the function owns. */
#ifndef TUNE_VGPU_CODE_H
#define TUNE_VGPU_CODE_H

#include <stdbool.h>
#include <stdint.h>

enum { LANES = 32, PARAM_BYTES = 4096 };

typedef enum {
    T_NONE,
    T_PRED,
    T_B8,
    T_U8,
    T_S8,
    T_B16,
    T_U16,
    T_S16,
    T_F16,
    T_BF16,
    T_B32,
    T_U32,
    T_S32,
    T_F32,
    T_F16X2,
    T_BF16X2,
    T_TF32,
    T_B64,
    T_U64,
    T_S64,
    T_F64,
    T_B128
} Type;

typedef enum { S_GENERIC, S_GLOBAL, S_SHARED, S_LOCAL, S_PARAM, S_CONST } StateSpace;

/* Generic addresses: a window for shared and one for local memory, all else is global. */
#define SHARED_WINDOW UINT64_C(0x00007e0000000000)
#define LOCAL_WINDOW UINT64_C(0x00007f0000000000)
#define WINDOW_BYTES (UINT64_C(1) << 24)

typedef enum {
    I_ALU,      /* run(): registers only, lane by lane; also mma, whose lanes work together */
    I_LOAD,     /* ld: d[0..vector) <- [address] */
    I_STORE,    /* st: s[0..vector) -> [address] */
    I_ATOMIC,   /* atom (d) and red (no d): `op`; s[0] (and s[1] of cas) */
    I_LDMATRIX, /* d[0..vector), `transpose` */
    I_STMATRIX, /* s[0..vector), `transpose` */
    I_CP_ASYNC, /* [address] (shared) <- [s[0] + displacement2] (global), `bytes`; s[1], if given,
                   is the count that is copied, the rest is zero */
    I_CP_COMMIT,
    I_CP_WAIT, /* all but the newest `number` groups */
    I_BRANCH,  /* to `target` */
    I_EXIT,    /* ret and exit */
    I_TRAP,
    I_BARRIER,   /* bar.sync, bar.red, bar.arrive: `op`; s[0] the barrier, s[1] threads (or none);
                    of bar.red: predicate s[2] (`negate_source`), result d[0] */
    I_WARP_SYNC, /* bar.warp.sync s[0] */
    I_SHUFFLE,   /* d[0], predicate d[1] or none; s[0] value, s[1] lane, s[2] clamp, s[3] members */
    I_VOTE,      /* d[0]; s[0] predicate (`negate_source`), s[1] members */
    I_MATCH,     /* d[0], predicate d[1] or none (of all); s[0], s[1] members */
    I_REDUX,     /* d[0]; s[0], s[1] members */
    I_ACTIVEMASK,
    I_ELECT, /* d[0] lane, predicate d[1]; s[0] members */
    I_FENCE,
    I_YIELD /* nanosleep */
} InstrKind;

typedef enum {
    OP_NONE,
    /* atomics, redux, bar.red */
    OP_ADD_,
    OP_MIN_,
    OP_MAX_,
    OP_INC_,
    OP_DEC_,
    OP_AND_,
    OP_OR_,
    OP_XOR_,
    OP_EXCH_,
    OP_CAS_,
    OP_POPC_,
    /* barriers */
    OP_BAR_SYNC,
    OP_BAR_ARRIVE,
    OP_BAR_RED,
    /* shuffles */
    OP_SHFL_UP,
    OP_SHFL_DOWN,
    OP_SHFL_BFLY,
    OP_SHFL_IDX,
    /* votes and matches */
    OP_VOTE_ALL,
    OP_VOTE_ANY,
    OP_VOTE_UNI,
    OP_VOTE_BALLOT,
    OP_MATCH_ANY,
    OP_MATCH_ALL
} MachineOp;

typedef struct {
    const void *constant; /* a row, or NULL */
    uint32_t at;          /* offset of the row in the warp's registers */
    bool given;           /* false: there is no such operand */
} Operand;

typedef struct Instr Instr;
typedef void Run(const Instr *instr, unsigned char *registers, uint32_t mask);

struct Instr {
    InstrKind kind;
    Run *run;     /* I_ALU: writes the lanes of `mask` only */
    Operand d[4]; /* mma, ldmatrix: up to 4 */
    Operand s[12];
    int32_t guard; /* offset of a predicate, or -1 */
    bool guard_not, negate_source, transpose, saturate;
    Type type, from; /* of the operands; cvt, set: of the source; ld, st: of the register, whose row
                        may be wider than `type` (T_NONE: as `type`) */
    StateSpace space;
    uint8_t vector; /* elements of ld, st, ldmatrix */
    MachineOp op;
    uint8_t rounding, compare; /* the front end's own */
    Operand address;           /* base (u64, or u32 row of a shared address); not given: absolute */
    bool address_wide;         /* the base's row is u64[32] */
    int64_t displacement, displacement2;
    uint32_t target; /* instruction number */
    uint32_t bytes, number;
    uint64_t tensor_flops; /* of one warp */
    const char *opcode;    /* as written: "fma.rn.f32" */
    uint32_t ptx_line;     /* in the module's text, from 1 */
    uint32_t cuda_line;    /* of .loc; 0: unknown */
};

typedef enum {
    X_TID_X,
    X_TID_Y,
    X_TID_Z,
    X_NTID_X,
    X_NTID_Y,
    X_NTID_Z,
    X_CTAID_X,
    X_CTAID_Y,
    X_CTAID_Z,
    X_NCTAID_X,
    X_NCTAID_Y,
    X_NCTAID_Z,
    X_LANEID,
    X_WARPID,
    X_NWARPID,
    X_SMID,
    X_CLOCK,
    X_LANEMASK_EQ,
    X_LANEMASK_LT,
    X_LANEMASK_LE,
    X_LANEMASK_GT,
    X_LANEMASK_GE,
    X_DYNAMIC_SMEM,
    X_SPECIALS
} Special;

/* A row of registers that the machine fills when a warp starts. */
typedef struct {
    Special which;
    uint32_t at;
    bool wide; /* u64[32] */
} SpecialRow;

typedef struct {
    const char *name;
    uint32_t offset, bytes, align;
} Param;

typedef struct {
    const char *name;
    Instr *code;
    uint32_t count;
    uint32_t register_bytes; /* of one warp */
    SpecialRow *specials;
    uint32_t special_count;
    Param *params;
    uint32_t param_count, param_bytes;
    uint32_t shared_bytes; /* static; dynamic shared memory begins behind it, aligned to 16 */
    uint32_t local_bytes;  /* of a thread */
    uint32_t max_threads;  /* .maxntid product, or 0 */
} Function;

/* A module-wide .global or .const variable. */
typedef struct {
    const char *name;
    uint64_t bytes, align;
    const unsigned char *initial; /* or NULL: zeros */
    StateSpace space;
    uint64_t address; /* set by whoever loads the module, before code_decode */
} Variable;

typedef struct {
    Variable *variables;
    uint32_t variable_count;
    Function *functions;
    uint32_t function_count;
    const char *source_file; /* of .file, or "" */
    uint32_t target;         /* 80 of sm_80 */
    void *memory;            /* owns all of it */
} Code;

/* Reads PTX: finds variables and functions. NULL, or a message with line and what is wrong: "line
 * 12: unknown instruction 'frobnicate.u32'". Everything is checked here, before anything runs. */
const char *code_parse(const char *ptx, Code *code);
/* Makes the functions' code; every Variable has its address. NULL or a message. */
const char *code_decode(Code *code);
void code_release(Code *code);
const Function *code_function(const Code *code, const char *name);

#endif
