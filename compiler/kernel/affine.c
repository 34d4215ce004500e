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

Affine index_linear(const Index *index) {
    Affine result = {0};
    int64_t stride = 1;
    for (uint32_t i = index->rank; i-- > 0;) {
        result = affine_add(result, affine_scale(index->at[i], stride));
        stride *= index->dims[i];
    }
    return result;
}

static bool same_dims(const Index *index, uint32_t rank, const int64_t *dims) {
    if (index->rank != rank) return false;
    for (uint32_t i = 0; i < rank; i++)
        if (index->dims[i] != dims[i]) return false;
    return true;
}

static bool inside_dims(const Index *index, const int64_t *extents, uint32_t axis_count) {
    for (uint32_t i = 0; i < index->rank; i++) {
        int64_t low, high;
        affine_range(&index->at[i], extents, axis_count, &low, &high);
        if (low < 0 || high >= index->dims[i]) return false;
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

bool index_refactor(const Index *index, uint32_t rank, const int64_t *dims, const int64_t *extents,
                    uint32_t axis_count, Index *result) {
    if (same_dims(index, rank, dims)) {
        *result = *index;
        return true;
    }
    if (!inside_dims(index, extents, axis_count)) return false;
    Affine linear = index_linear(index);
    *result = (Index){.rank = rank};
    memcpy(result->dims, dims, rank * sizeof *dims);
    return split_terms(&linear, result) && inside_dims(result, extents, axis_count);
}
