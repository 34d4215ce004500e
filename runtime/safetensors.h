/* The safetensors file format (huggingface/safetensors): tensors by name, and notes.
 *
 *     u64 N, little-endian | N bytes of JSON, padded to a multiple of 8 | tensors, packed
 *     {"__metadata__": {"step": "1500"},
 *      "dense1.weight": {"dtype": "F32", "shape": [2, 128], "data_offsets": [0, 1024]}, …}
 *
 * Reading is strict: every rule of the format is checked (no holes, no overlap, no trailing bytes,
 * sizes that agree with shapes, unique names); a file that is not exactly right is refused with the
 * reason. */
#ifndef TUNE_RUNTIME_SAFETENSORS_H
#define TUNE_RUNTIME_SAFETENSORS_H

#include <stdint.h>

#include "runtime/fail.h"

enum { SAFETENSORS_MAX_RANK = 8 };

typedef struct {
    const char *name;
    const char *dtype; /* "F32", "F64", … */
    uint32_t rank;
    int64_t dims[SAFETENSORS_MAX_RANK];
    const void *data;
    uint64_t bytes;
} Tensor;

typedef struct {
    const char *key, *value;
} TensorNote;

typedef struct {
    Tensor *tensors;
    uint32_t tensor_count;
    TensorNote *notes;
    uint32_t note_count;
    char *bytes; /* the file; tensors point into it */
    void *json;  /* owns the names */
} TensorFile;

/* Atomic and durable (file_write). Tensors are written in the given order; the same arguments give
 * the same bytes. */
bool safetensors_write(const char *path, const Tensor *tensors, uint32_t tensor_count,
                       const TensorNote *notes, uint32_t note_count, Fail *fail);

/* On failure there is nothing to release. */
bool safetensors_read(const char *path, TensorFile *file, Fail *fail);
void safetensors_release(TensorFile *file);

/* NULL when there is none of that name. */
const Tensor *safetensors_find(const TensorFile *file, const char *name);
const char *safetensors_note(const TensorFile *file, const char *key);

#endif
