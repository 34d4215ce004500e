/* PTX text as a tree: what stands where, without knowing what any instruction means.
 *
 *     PtxModule ─ variables            .global .const .shared at module level
 *               └ functions            .entry, .func; only those with a body
 *                   └ statements       flat, in order: OPEN, REGISTERS, VARIABLE, LABEL, INSTR,
 * CLOSE └ operands */
#ifndef TUNE_VGPU_PTX_PARSE_H
#define TUNE_VGPU_PTX_PARSE_H

#include "tests/vgpu/code.h"
#include "tests/vgpu/ptx_scan.h"

typedef enum {
    PTX_NAME,    /* register, label, variable, special register: `name` */
    PTX_SINK,    /* _ */
    PTX_INTEGER, /* `value` */
    PTX_F32,     /* `value`: the bits */
    PTX_F64,
    PTX_LIST,   /* {a, b} and (a, b): `list` */
    PTX_ADDRESS /* [base + displacement]: `name` or NULL, `value` */
} PtxOperandKind;

typedef struct PtxOperand PtxOperand;
struct PtxOperand {
    PtxOperandKind kind;
    bool negated; /* !p */
    const char *name;
    const PtxOperand *second; /* q of p|q, or NULL */
    uint64_t value;
    PtxOperand *list;
    uint32_t count;
};

/* One value of an initialiser: a number, or the address of a variable. */
typedef struct {
    const char *name; /* or NULL */
    uint64_t value;   /* of a name: added to the address */
    TokenKind kind;
} PtxInitial;

typedef enum {
    PTX_STORE_GLOBAL,
    PTX_STORE_CONST,
    PTX_STORE_SHARED,
    PTX_STORE_LOCAL,
    PTX_STORE_PARAM
} PtxStore;

typedef struct {
    const char *name;
    PtxStore store;
    bool is_extern;
    Type type;
    uint64_t align, count, bytes; /* count: elements; of an array without size 0 */
    PtxInitial *initial;
    uint32_t initial_count, line;
} PtxVariable;

typedef enum {
    PTX_OPEN,
    PTX_CLOSE,
    PTX_REGISTERS, /* `type`; `name`, `number` of them (%r<77>: %r0 to %r76), or 0: `name` itself */
    PTX_VARIABLE,
    PTX_LABEL,
    PTX_TARGETS, /* name: .branchtargets operands */
    PTX_INSTR
} PtxStatementKind;

typedef struct {
    PtxStatementKind kind;
    Type type;
    const char *name; /* of a label, of registers; opcode as written */
    uint32_t number;
    PtxVariable *variable;
    const char *guard; /* or NULL */
    bool guard_not;
    PtxOperand *operands;
    uint32_t operand_count;
    uint32_t line, cuda_line;
} PtxStatement;

typedef struct {
    const char *name;
    bool is_entry;
    PtxVariable **params, **results;
    uint32_t param_count, result_count;
    uint32_t max_threads;
    PtxStatement *statements;
    uint32_t statement_count, line;
} PtxFunction;

typedef struct {
    PtxVariable **variables;
    uint32_t variable_count;
    PtxFunction *functions;
    uint32_t function_count;
    const char *source_file;
    uint32_t target;
} PtxModule;

/* NULL or a message. All of it is in the arena. */
const char *ptx_parse(const char *text, PtxArena *arena, PtxModule *module);

/* T_NONE: there is no such type. `name` without its dot: "f32". */
Type ptx_type(const char *name);
uint32_t ptx_type_bytes(Type type); /* of a predicate 0 */

#endif
