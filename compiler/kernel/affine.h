/* Affine maps from a kernel's axes to positions, and their algebra.
 *
 *     n       over axes (m, n, k)    {offset 0, coeff 0 1 0}
 *     784m+k                         {offset 0, coeff 784 0 1}
 *
 * An Index is one affine map per dim of some row-major shape: where in a tensor a kernel's
 * iteration looks. The shape may be another one with the same number of elements than the tensor's
 * own: a contiguous tensor is addressed through index_linear either way, which is how reshapes
 * vanish. Behind a window whose elements stand apart (Window.divide) the place in each dim is
 * at / divide, which is whole wherever the guard holds that comes with it. */
#ifndef TUNE_COMPILER_KERNEL_AFFINE_H
#define TUNE_COMPILER_KERNEL_AFFINE_H

#include "compiler/kernel/kernel.h"

typedef struct {
    uint32_t rank;
    int64_t dims[MAX_AXES];
    Affine at[MAX_AXES];
    int64_t divide; /* 0 and 1: not divided */
} Index;

Affine affine_constant(int64_t offset);
Affine affine_axis(uint32_t axis);
Affine affine_add(Affine a, Affine b);
Affine affine_scale(Affine a, int64_t factor);
bool affine_equal(const Affine *a, const Affine *b);
bool affine_is_constant(const Affine *a);
/* The greatest number that divides `divisor`, the offset and every coefficient. */
int64_t affine_divisor(const Affine *a, int64_t divisor);
void affine_divide(Affine *a, int64_t divisor); /* which divides all of it */

/* Smallest and largest value while axis i runs over 0 .. extents[i] - 1. */
void affine_range(const Affine *a, const int64_t *extents, uint32_t axis_count, int64_t *low,
                  int64_t *high);

static inline int64_t index_divide(const Index *index) {
    return index->divide ? index->divide : 1;
}
/* Takes out of `divide` what divides every place anyway. */
void index_reduce(Index *index);

/* Element number in row-major order of the index's own dims, times its `divide`. */
Affine index_linear(const Index *index);

/* The same elements seen as another shape of as many elements. False when some dim of it would not
 * be affine (it needs a division): then the value has to be in memory. Where dims are only joined,
 * places outside of them stay outside or are covered by the guard that keeps them away. */
bool index_refactor(const Index *index, uint32_t rank, const int64_t *dims, const int64_t *extents,
                    uint32_t axis_count, Index *result);

#endif
