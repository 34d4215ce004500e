/* PTX text as tokens.
 *
 *     @%p4 bra $L__BB0_3;      ->  '@'  WORD "%p4"  WORD "bra"  WORD "$L__BB0_3"  ';'
 *     .reg .b32 %r<77>;        ->  DIRECTIVE ".reg"  DIRECTIVE ".b32"  WORD "%r"  '<'  INTEGER …
 *     mov.f32 %f1, 0f3F800000; ->  WORD "mov.f32"  WORD "%f1"  ','  F32 0x3F800000  ';'
 *
 * A word goes on over dots and double colons: opcodes and special registers are one word. */
#ifndef TUNE_VGPU_PTX_SCAN_H
#define TUNE_VGPU_PTX_SCAN_H

#include <stdint.h>

#include "tests/vgpu/ptx_arena.h"

typedef enum {
    TOKEN_END,
    TOKEN_WORD,
    TOKEN_DIRECTIVE, /* a word that begins with a dot */
    TOKEN_INTEGER,   /* `value`; without sign */
    TOKEN_F32,       /* `value`: the bits */
    TOKEN_F64,
    TOKEN_STRING, /* without its quotes */
    TOKEN_MARK    /* one character: `mark` */
} TokenKind;

typedef struct {
    TokenKind kind;
    char mark;
    uint32_t line;    /* from 1 */
    const char *text; /* of words and strings; in the arena */
    uint64_t value;
} Token;

typedef struct {
    const char *at;
    uint32_t line;
    PtxArena *arena;
    const char *message; /* of the first failure; from then on the text has ended */
} Scanner;

Token ptx_scan(Scanner *scanner);
/* "line 7: …"; the first one stays. */
void ptx_fail(Scanner *scanner, uint32_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
