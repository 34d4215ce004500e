/* One GPU of a wave: the study's data on it, the memory that its groups share, how many trials it
 * holds. For wave_gpu*.c alone. */
#ifndef TUNE_RUNTIME_WAVE_GPU_DEVICE_H
#define TUNE_RUNTIME_WAVE_GPU_DEVICE_H

#include "runtime/wave_gpu.h"
#include "runtime/wave_gpu_group.h"

typedef struct {
    bool good;
    Fail fail;
} DeviceResult;

struct WaveGpu {
    const Study *study;
    const Devices *set;
    const bool *stop;
    Pool *pool;
    WaveDevice *devices;
    DeviceResult *results; /* [devices] of what runs on their threads */
    uint32_t device_count;
    uint64_t work[2];
};

/* Data of the study, resident if half of the memory holds it, else streamed. `memory`: what data
 * and trials may take; 0: what is free. device->study, gpu, stop, work are set. */
bool device_open(WaveDevice *device, uint64_t memory, Fail *fail);
void device_close(WaveDevice *device);
/* Makes the memory that groups share large enough for `count` trials of the variant. */
bool device_share(WaveDevice *device, const TuneVariant *variant, uint32_t count,
                  const EvaluationRows *rows, uint32_t rows_count, Fail *fail);
/* Closes the groups. */
void device_clear(WaveDevice *device);
/* Bytes that trials may take, data being there. */
bool device_free_bytes(const WaveDevice *device, uint64_t memory, uint64_t *bytes, Fail *fail);

#endif
