/* A walk along a stretch of a contraction's m or k, which may have parts: with every step come the
 * places of its parts, so that a load can look through them.
 *
 *     k = kh, kw, ci of 3, 3, 64:      for kh: for kw: for ci in vectors: point
 *     48 terms of k = b, oh, ow:       for 4 groups of 12: divide for b, oh;  for ow: point
 *
 * Iterations of the innermost part are a run; a vector never crosses its end. */
#ifndef TUNE_COMPILER_EMIT_EMIT_WALK_H
#define TUNE_COMPILER_EMIT_EMIT_WALK_H

#include "compiler/emit/emit_nest.h"

typedef struct {
    uint32_t axis; /* m or k; its stretch begins at e->start[axis] */
    int64_t count;
    uint32_t step, copies; /* of the innermost loop */
    int64_t unroll;        /* iterations of the others up to which they are unrolled; 0: none */
    PointFunction point;
    void *context;
    /* within the walk */
    uint32_t parts[MAX_AXES], part_count;
    LLVMValueRef before; /* places of the stretch before this iteration of the outermost loop */
    uint32_t outermost;  /* number of its first part with a loop of its own */
} Walk;

/* Calls walk->point for every step of the stretch, with e->axis of the axis and of its parts set.
 * With a step of several lanes the stretch must be whole innermost parts. */
void walk_stretch(Emitter *e, Walk *walk);

#endif
