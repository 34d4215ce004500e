/* Two series of floats that grow by one per training step, in memory that is there before step 0.
 */
#include "runtime/curve.h"

#include <assert.h>
#include <stdlib.h>

bool curve_init(Curve *curve, uint64_t capacity) {
    *curve = (Curve){.capacity = capacity};
    curve->loss = calloc(capacity + 1, sizeof *curve->loss);
    curve->grad_norm = calloc(capacity + 1, sizeof *curve->grad_norm);
    return curve->loss && curve->grad_norm;
}

void curve_release(Curve *curve) {
    free(curve->loss);
    free(curve->grad_norm);
    *curve = (Curve){0};
}

void curve_add(Curve *curve, double loss, double grad_norm) {
    assert(curve->count < curve->capacity);
    curve->loss[curve->count] = (float)loss;
    curve->grad_norm[curve->count++] = (float)grad_norm;
}

void curve_restart(Curve *curve, uint64_t first) {
    curve->first = first;
    curve->count = 0;
}
