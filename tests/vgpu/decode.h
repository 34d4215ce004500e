/* From the tree of PTX to Instr: state shared by the walk over a function (decode.c), operands
 * (decode_operand.c), rows (decode_rows.c), and the families of instructions (decode_alu.c,
 * decode_memory.c, decode_warp.c).
 *
 * A call is decoded as the called function's body in its place, with registers of its own; its
 * .param variables lie in local memory. After the first failure nothing more is looked at. */
#ifndef TUNE_VGPU_DECODE_H
#define TUNE_VGPU_DECODE_H

#include "tests/vgpu/alu.h"
#include "tests/vgpu/ptx_parse.h"

typedef enum {
    SYMBOL_REGISTERS, /* `number` 0: one; rows behind each other from `at` on */
    SYMBOL_SHARED,    /* `at`: offset in shared memory */
    SYMBOL_LOCAL,     /* offset in local memory: variables, and .param of calls */
    SYMBOL_PARAM,     /* offset in the kernel's parameters */
    SYMBOL_GLOBAL,    /* `variable` of the module */
    SYMBOL_TARGETS    /* .branchtargets: `targets` */
} SymbolKind;

typedef struct {
    SymbolKind kind;
    const char *name;
    Type type;
    uint32_t number;
    uint64_t at;
    uint32_t variable;
    const PtxStatement *targets;
} Symbol;

typedef struct {
    const char *name;
    uint32_t at;
} Label;

typedef struct {
    const char *name;
    uint32_t instr, line;
} Jump;

/* { … }: names end with it; jumps to labels that are not in it go on to the scope around it. */
typedef struct Scope Scope;
struct Scope {
    Scope *around;
    Symbol *symbols;
    Label *labels;
    Jump *jumps;
    uint32_t symbol_count, label_count, jump_count;
    bool is_call; /* ret jumps to its end */
};

/* A register, while the function is being decoded. */
typedef struct {
    uint32_t at, bytes; /* 4: a predicate */
} Row;

/* An opcode taken apart: "fma.rn.ftz.f32" -> base "fma", key "fma.f32". */
enum { OPCODE_PARTS = 20 };
typedef struct {
    const char *text;
    const char *part[OPCODE_PARTS]; /* [0] is the base */
    uint32_t count;
    const char *key;
    Type type, from; /* the first and the last of its types */
    uint8_t rounding, compare;
    bool saturate;
    const AluRow *row; /* or NULL: not an I_ALU instruction */
} Opcode;

typedef struct Constant Constant;
enum { CONSTANT_CHAINS = 64, OPCODE_CHAINS = 256 };

typedef struct {
    Scanner errors; /* only its message and arena */
    PtxArena *arena;
    const PtxModule *module;
    Code *code;
    Function *function;
    const PtxStatement *statement; /* at hand */
    const Opcode *opcode;
    int32_t guard;
    Scope *scope;
    Instr *instrs;
    uint32_t instr_count;
    Row *rows;
    uint32_t row_count;
    uint32_t predicate_at, predicates_left;
    bool is_final;           /* addresses are known */
    uint32_t dynamic_shared; /* where it begins, as the decoding before this one found it */
    uint32_t call_depth;
    Operand carry;
    Constant *constants[CONSTANT_CHAINS];
    Opcode **opcodes; /* [OPCODE_CHAINS], open addressing; shared by the functions */
    struct {
        const PtxVariable *variable;
        uint32_t at;
    } * shared; /* variables that have a place already */
    uint32_t shared_count;
} Decoder;

/* ---- decode.c ---- */

/* "line 12: …" at the statement at hand. */
void decode_fail(Decoder *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
void decode_unknown(Decoder *d); /* unknown instruction 'frobnicate.u32' */
/* With place and guard of the statement at hand. */
Instr decode_instr(const Decoder *d, InstrKind kind);
void decode_push(Decoder *d, Instr instr);
/* An I_ALU instruction of the front end's own tables: "mov 4", "setp.lt.u64". */
void decode_push_alu(Decoder *d, const char *key, Operand to, Operand a, Operand b);
void decode_push_jump(Decoder *d, Instr instr, const char *label);
const Symbol *decode_find(const Decoder *d, const char *name);
uint32_t decode_shared_at(Decoder *d, const PtxVariable *variable);
void decode_statements(Decoder *d, const PtxFunction *function);
void decode_call(Decoder *d);

/* ---- decode_operand.c ---- */

uint32_t row_bytes(Type type);              /* of one lane in a row: 4 or 8; of a predicate 0 */
uint32_t decode_row(Decoder *d, Type type); /* a new register */
Operand decode_scratch(Decoder *d, Type type);
Operand decode_constant(Decoder *d, Type type, uint64_t bits);
/* Registers, special registers, numbers, addresses of variables. */
Operand decode_source(Decoder *d, const PtxOperand *operand, Type type);
/* The same; where a wider register stands (cvt, st), its lower half. */
Operand decode_source_low(Decoder *d, const PtxOperand *operand, Type type);
/* A register; of `_` a scratch row. */
Operand decode_target(Decoder *d, const PtxOperand *operand, Type type);
/* The same; of `_` no operand. */
Operand decode_target_or_none(Decoder *d, const PtxOperand *operand, Type type);
/* The declared type of a register; T_NONE: not one. */
Type decode_register_type(const Decoder *d, const PtxOperand *operand);
/* [base + displacement] into address, displacement and, of a variable, space. */
void decode_address(Decoder *d, const PtxOperand *operand, Instr *instr);
/* Fails unless the statement has as many operands. */
bool decode_count(Decoder *d, uint32_t least, uint32_t most);

/* ---- decode_rows.c ---- */

/* The finished code with rows shared by registers that are not needed at the same time. */
void decode_share_rows(Decoder *d);

/* ---- decode_alu.c ---- */

const Opcode *decode_opcode(Decoder *d, const char *text);
const AluRow *decode_find_row(const char *key);
void decode_alu(Decoder *d);
void decode_mov(Decoder *d);
void decode_set(Decoder *d);
void decode_slct(Decoder *d);
void decode_cvta(Decoder *d);
void decode_isspacep(Decoder *d);
bool opcode_has(const Opcode *opcode, const char *part);

/* ---- decode_memory.c ---- */

void decode_load(Decoder *d);
void decode_store(Decoder *d);
void decode_atomic(Decoder *d);
void decode_cp(Decoder *d);
void decode_matrix(Decoder *d); /* ldmatrix, stmatrix */

/* ---- decode_warp.c ---- */

void decode_branch(Decoder *d);
void decode_branch_indexed(Decoder *d);
void decode_return(Decoder *d);
void decode_simple(Decoder *d); /* trap, fences, no-ops */
void decode_barrier(Decoder *d);
void decode_shuffle(Decoder *d);
void decode_vote(Decoder *d);
void decode_match(Decoder *d);
void decode_redux(Decoder *d);
void decode_activemask(Decoder *d);
void decode_elect(Decoder *d);

/* ---- tensor.c ---- */

extern const AluRow alu_tensor_rows[];
extern const uint32_t alu_tensor_count;

#endif
