/* Tensor maps: what the driver checks when one is encoded. Modules with the copies that use them
 * are refused when they are loaded, so the map itself only keeps what it was given. */
#include "tests/vgpu/driver.h"

#include <string.h>

enum { MOST_RANK = 5, MOST_BOX = 256, MOST_STRIDE = 8, MAP_BYTES = 128 };
enum { INTERLEAVE_NONE, INTERLEAVE_16, INTERLEAVE_32, INTERLEAVES };
enum { SWIZZLE_NONE, SWIZZLE_32, SWIZZLE_64, SWIZZLE_128, SWIZZLES = 7 };

/* By CUtensorMapDataType; the types that pack 4 and 6 bits are not known here. */
static const uint8_t element_bytes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4};
static const uint32_t swizzle_bytes[SWIZZLES] = {0, 32, 64, 128, 128, 128, 128};

typedef struct {
    CUtensorMapDataType type;
    cuuint32_t rank;
    uint64_t address, dims[MOST_RANK], strides[MOST_RANK];
    cuuint32_t box[MOST_RANK];
    uint8_t steps[MOST_RANK];
    uint8_t interleave, swizzle, promotion, fill;
} TensorMap;
_Static_assert(sizeof(TensorMap) <= MAP_BYTES, "a map has 128 bytes");

/* NULL, or the rule of cuTensorMapEncodeTiled that is broken. */
static const char *broken_shape(const TensorMap *map) {
    uint64_t unit = map->interleave == INTERLEAVE_32 ? 32 : 16;
    if (map->address % unit) return "the address is not 16-byte aligned (interleaved by 32: 32)";
    for (uint32_t i = 0; i < map->rank; i++) {
        if (!map->dims[i] || map->dims[i] > UINT64_C(1) << 32)
            return "a dimension is not from 1 to 2^32";
        if (i && (map->strides[i - 1] % unit || map->strides[i - 1] >> 40))
            return "a stride is not a multiple of 16 (interleaved by 32: 32) below 2^40";
        if (!map->box[i] || map->box[i] > MOST_BOX) return "a side of the box is not from 1 to 256";
        bool ignored = i == 0 && map->interleave == INTERLEAVE_NONE;
        if (!ignored && (!map->steps[i] || map->steps[i] > MOST_STRIDE))
            return "an element stride is not from 1 to 8";
    }
    return NULL;
}

static const char *broken_box(const TensorMap *map) {
    uint32_t inner = map->box[0] * element_bytes[map->type];
    if (map->interleave == INTERLEAVE_32 && map->swizzle != SWIZZLE_32)
        return "interleaved by 32 asks for a swizzle of 32";
    if (map->interleave != INTERLEAVE_NONE) return NULL;
    if (inner % 16) return "the box's inner side is not a multiple of 16 bytes";
    if (map->swizzle != SWIZZLE_NONE && inner > swizzle_bytes[map->swizzle])
        return "the box's inner side is longer than the swizzle";
    return NULL;
}

static bool is_real(CUtensorMapDataType type) {
    return type >= 6;
}

static CUresult encode(const Call *call, CUtensorMap *to, TensorMap *map) {
    const char *problem = broken_shape(map);
    if (!problem) problem = broken_box(map);
    if (!problem && map->fill && !is_real(map->type)) problem = "integers are not filled with NaN";
    if (problem) return misuse(call, CUDA_ERROR_INVALID_VALUE, "%s", problem);
    memset(to, 0, MAP_BYTES);
    memcpy(to, map, sizeof *map);
    return CUDA_SUCCESS;
}

static CUresult check_kinds(const Call *call, CUtensorMapDataType type, cuuint32_t rank,
                            uint32_t interleave, uint32_t swizzle, uint32_t promotion,
                            uint32_t fill) {
    if (type >= sizeof element_bytes)
        return misuse(call, CUDA_ERROR_INVALID_VALUE, "data type %u is not known here", type);
    if (rank < (interleave ? 3u : 1u) || rank > MOST_RANK)
        return misuse(call, CUDA_ERROR_INVALID_VALUE, "rank %u, but it must be from %d to 5", rank,
                      interleave ? 3 : 1);
    if (interleave >= INTERLEAVES || swizzle >= SWIZZLES || promotion > 3 || fill > 1)
        return misuse(call, CUDA_ERROR_INVALID_VALUE,
                      "there is no such interleave, swizzle, promotion or fill");
    return CUDA_SUCCESS;
}

CUresult cuTensorMapEncodeTiled(CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank,
                                void *address, const cuuint64_t *dims, const cuuint64_t *strides,
                                const cuuint32_t *box, const cuuint32_t *steps,
                                CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                                CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill) {
    Call call;
    if (!call_enter(&call, __func__, NEEDS_CONTEXT)) return call_leave(&call);
    call.result = check_kinds(&call, type, rank, interleave, swizzle, promotion, fill);
    if (!call.result && (!map || !dims || !box || !steps || (rank > 1 && !strides)))
        call.result = misuse(&call, CUDA_ERROR_INVALID_VALUE, "an argument is NULL");
    if (!call.result) {
        TensorMap made = {.type = type,
                          .rank = rank,
                          .address = (uint64_t)(uintptr_t)address,
                          .interleave = (uint8_t)interleave,
                          .swizzle = (uint8_t)swizzle,
                          .promotion = (uint8_t)promotion,
                          .fill = (uint8_t)fill};
        for (uint32_t i = 0; i < rank; i++) {
            made.dims[i] = dims[i];
            if (i) made.strides[i - 1] = strides[i - 1];
            made.box[i] = box[i];
            made.steps[i] = steps[i] > MOST_STRIDE ? 0 : (uint8_t)steps[i];
        }
        call.result = encode(&call, map, &made);
    }
    return call_leave(&call);
}
