/* The algebra of affine index maps: sums, ranges, and the re-factoring of a linear index into dims.
 */
#include "compiler/kernel/affine.h"

Affine affine_constant(int64_t offset) {
    return (Affine){.offset = offset};
}

Affine affine_axis(uint32_t axis) {
    Affine result = {0};
    result.coeff[axis] = 1;
    return result;
}

Affine affine_add(Affine a, Affine b) {
    a.offset += b.offset;
    for (uint32_t i = 0; i < MAX_AXES; i++) a.coeff[i] += b.coeff[i];
    return a;
}

Affine affine_scale(Affine a, int64_t factor) {
    a.offset *= factor;
    for (uint32_t i = 0; i < MAX_AXES; i++) a.coeff[i] *= factor;
    return a;
}

bool affine_equal(const Affine *a, const Affine *b) {
    if (a->offset != b->offset) return false;
    for (uint32_t i = 0; i < MAX_AXES; i++)
        if (a->coeff[i] != b->coeff[i]) return false;
    return true;
}

bool affine_is_constant(const Affine *a) {
    for (uint32_t i = 0; i < MAX_AXES; i++)
        if (a->coeff[i]) return false;
    return true;
}

void affine_range(const Affine *a, const int64_t *extents, uint32_t axis_count, int64_t *low,
                  int64_t *high) {
    *low = *high = a->offset;
    for (uint32_t i = 0; i < axis_count; i++) {
        int64_t reach = a->coeff[i] * (extents[i] - 1);
        *(reach < 0 ? low : high) += reach;
    }
}

static int64_t greatest_divisor(int64_t a, int64_t b) {
    return b ? greatest_divisor(b, a % b) : a < 0 ? -a : a;
}

Affine index_linear(const Index *index) {
    Affine result = {0};
    int64_t stride = 1;
    for (uint32_t i = index->rank; i-- > 0;) {
        result = affine_add(result, affine_scale(index->at[i], stride));
        stride *= index->dims[i];
    }
    return result;
}

int64_t affine_divisor(const Affine *a, int64_t divisor) {
    divisor = greatest_divisor(divisor, a->offset);
    for (uint32_t i = 0; i < MAX_AXES; i++) divisor = greatest_divisor(divisor, a->coeff[i]);
    return divisor;
}

void affine_divide(Affine *a, int64_t divisor) {
    a->offset /= divisor;
    for (uint32_t i = 0; i < MAX_AXES; i++) a->coeff[i] /= divisor;
}

void index_reduce(Index *index) {
    int64_t divisor = index_divide(index);
    for (uint32_t i = 0; i < index->rank; i++) divisor = affine_divisor(&index->at[i], divisor);
    for (uint32_t i = 0; i < index->rank && divisor > 1; i++) affine_divide(&index->at[i], divisor);
    index->divide = index_divide(index) / divisor;
}

/* ---- another shape ---- */

static bool inside_dims(const Index *index, const int64_t *extents, uint32_t axis_count) {
    for (uint32_t i = 0; i < index->rank; i++) {
        int64_t low, high;
        affine_range(&index->at[i], extents, axis_count, &low, &high);
        if (low < 0 || high >= index->dims[i] * index_divide(index)) return false;
    }
    return true;
}

/* Gives every term of `linear` to the outermost dim whose stride divides it: for extents that fit
 * this is the only factoring in which no dim overflows into the next, and inside_dims proves that
 * they fit. */
static bool split_terms(const Affine *linear, Index *result) {
    Affine rest = *linear;
    int64_t stride = 1;
    int64_t strides[MAX_AXES];
    for (uint32_t i = result->rank; i-- > 0;) {
        strides[i] = stride;
        stride *= result->dims[i];
    }
    for (uint32_t i = 0; i < result->rank; i++) {
        if (result->dims[i] == 1) continue;
        result->at[i].offset = rest.offset / strides[i];
        rest.offset %= strides[i];
        for (uint32_t a = 0; a < MAX_AXES; a++) {
            if (rest.coeff[a] <= 0 || rest.coeff[a] % strides[i]) continue;
            result->at[i].coeff[a] = rest.coeff[a] / strides[i];
            rest.coeff[a] = 0;
        }
    }
    return affine_is_constant(&rest) && rest.offset == 0;
}

static bool same_dims(const Index *a, const Index *b) {
    if (a->rank != b->rank) return false;
    for (uint32_t i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i]) return false;
    return true;
}

static uint32_t real_dims(const Index *index) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < index->rank; i++) count += index->dims[i] != 1;
    return count;
}

/* `to` has its dims, as many elements as `from`. */
static bool refactor_run(const Index *from, Index *to, const int64_t *extents,
                         uint32_t axis_count) {
    if (same_dims(from, to)) {
        *to = *from;
        return true;
    }
    Affine linear = index_linear(from);
    if (real_dims(to) <= 1) { /* joined */
        for (uint32_t i = 0; i < to->rank; i++)
            if (to->dims[i] != 1) to->at[i] = linear;
        return true;
    }
    int64_t divide = index_divide(from);
    if (!inside_dims(from, extents, axis_count)) return false;
    if (affine_divisor(&linear, divide) != divide) return false;
    affine_divide(&linear, divide);
    to->divide = 1;
    if (!split_terms(&linear, to) || !inside_dims(to, extents, axis_count)) return false;
    for (uint32_t i = 0; i < to->rank; i++) to->at[i] = affine_scale(to->at[i], divide);
    return true;
}

static void take_dim(Index *run, int64_t dim, Affine at, int64_t *count) {
    run->dims[run->rank] = dim;
    run->at[run->rank++] = at;
    *count *= dim;
}

/* Runs of dims with equally many elements on both sides are refactored one by one. */
bool index_refactor(const Index *index, uint32_t rank, const int64_t *dims, const int64_t *extents,
                    uint32_t axis_count, Index *result) {
    Index made = {.divide = index->divide};
    for (uint32_t i = 0, j = 0; i < index->rank || j < rank;) {
        Index from = {.divide = index->divide}, to = from;
        int64_t have = 1, want = 1;
        if (i < index->rank) take_dim(&from, index->dims[i], index->at[i], &have), i++;
        if (j < rank) take_dim(&to, dims[j++], (Affine){0}, &want);
        while (have != want) {
            if (have < want)
                take_dim(&from, index->dims[i], index->at[i], &have), i++;
            else
                take_dim(&to, dims[j++], (Affine){0}, &want);
        }
        if (!refactor_run(&from, &to, extents, axis_count)) return false;
        for (uint32_t k = 0; k < to.rank; k++) take_dim(&made, to.dims[k], to.at[k], &have);
    }
    *result = made;
    return true;
}
