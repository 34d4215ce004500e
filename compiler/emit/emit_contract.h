/* A contraction being emitted: what emit_contract.c (blocks, tiles) and emit_pack.c (copies of
 * blocks in the order in which tiles read them) share.
 *
 * A block is a stretch of rows (m) by a stretch of terms (k). e->start[m] and e->start[k] are where
 * it begins, NULL where there is one block only; loops count from there (e->within). */
#ifndef TUNE_COMPILER_EMIT_EMIT_CONTRACT_H
#define TUNE_COMPILER_EMIT_EMIT_CONTRACT_H

#include "compiler/emit/emit_nest.h"

enum { MAX_SLOTS = 16 };

typedef struct {
    uint32_t at, last; /* stage numbers: the contraction's, the last epilogue's */
    const Contraction *shape;
    int a, b; /* expressions: the kernel's, or loads of packed operands */
    uint32_t lanes, tile_n;
    int64_t rows, terms; /* of the block being emitted */
    bool last_block;     /* of k: the epilogue follows */
    Sums *sums;          /* of the epilogue stages, from at + 1 on */
    /* Where lanes are those of an outer axis: the sums. */
    LLVMValueRef slots[MAX_SLOTS];
    uint32_t slot_count, next_slot;
} Product;

/* A register tile, or with rows 0 a panel: vectors of columns, the last with `last_valid` lanes. */
typedef struct {
    uint32_t rows, vectors, last_valid;
} Tile;

/* The expressions by which tiles read packed operands: p->a and p->b, if they are packed. */
void pack_open(Emitter *e, Product *p);
/* Copies the block of a. */
void pack_a(Emitter *e, const Product *p);
/* Copies the block's panel of b, the columns of `tile` from the loop's n on, to e->within[n]. */
void pack_b(Emitter *e, const Product *p, const Tile *tile);

#endif
