/* A data set on a GPU: resident when it fits, so that batches are gathered on the device and no
 * input pipeline exists; else rows are prefetched through two pinned buffers.
 *
 *     resident   fields[f] is the whole field; index entries are example numbers
 *     streamed   side 0 and 1 hold `rows` examples each; index entries count rows of a side, in
 *                steps of data_index_step; the host gathers side 1 while the device works on
 *                side 0. Windows are copied out there, one behind the other. */
#ifndef TUNE_RUNTIME_GPU_DATA_H
#define TUNE_RUNTIME_GPU_DATA_H

#include "runtime/data.h"
#include "runtime/gpu.h"

typedef struct {
    const DataSet *set; /* NULL: a model without data */
    Gpu *gpu;
    bool resident;
    uint64_t rows;         /* streamed: of one side */
    uint64_t *fields[2];   /* device addresses [field_count]; resident: [0] only */
    uint64_t *field_bytes; /* [field_count] of what is there */
    uint64_t order;        /* resident: i32 [examples], the set's order; windows: 0 */
    void **staging[2];     /* streamed: pinned, [field_count] */
} GpuData;

/* `budget`: device bytes that the data set may take; more than that is streamed, `rows` examples
 * per side. */
bool gpu_data_open(Gpu *gpu, const DataSet *set, uint64_t budget, uint64_t rows, GpuData *data,
                   Fail *fail);
void gpu_data_close(GpuData *data);
/* Streamed: puts examples[0..count) into a side, row i of it for entry i: gathers on the host, then
 * copies in the stream. The side's last work must be over (gpu_fence_wait). */
bool gpu_data_fill(GpuData *data, uint32_t side, const int32_t *examples, uint64_t count,
                   Fail *fail);
/* Bytes of one example in a side. */
uint64_t gpu_data_row_bytes(const DataSet *set);

#endif
