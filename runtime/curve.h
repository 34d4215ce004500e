/* Training loss and gradient norm of every step since the last evaluation: two float32 series,
 * which the store keeps as one row of two blobs per interval. */
#ifndef TUNE_RUNTIME_CURVE_H
#define TUNE_RUNTIME_CURVE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t first; /* step of entry 0, from 0 */
    uint64_t count, capacity;
    float *loss, *grad_norm;
} Curve;

/* False without memory. */
bool curve_init(Curve *curve, uint64_t capacity);
void curve_release(Curve *curve);
void curve_add(Curve *curve, double loss, double grad_norm);
/* Empties it; the next entry is that of step `first`. */
void curve_restart(Curve *curve, uint64_t first);

#endif
