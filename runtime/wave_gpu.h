/* A wave on GPUs: wave.c's other half, when a program runs on --device cuda or vgpu.
 *
 *     WaveGpu ── device ─┬─ data, scratch           one thread of the host for each device
 *                        └─ groups ── trials        wave_gpu_group.h
 *
 * The trials are dealt out to the devices variant by variant, so that all have as much to do. The
 * host waits for a device at the end of a segment alone; until then a trial's block on the host is
 * stale, except for its header, and wave_gpu_fetch brings the rest. */
#ifndef TUNE_RUNTIME_WAVE_GPU_H
#define TUNE_RUNTIME_WAVE_GPU_H

#include "runtime/device.h"
#include "runtime/trial.h"

typedef struct WaveGpu WaveGpu;

/* How the number of trials was found: what memory allows, what saturates the devices (0: not
 * measured). */
typedef struct {
    uint32_t trials, memory, saturation;
} WaveSize;

/* Puts the study's data on every device. `stop` is read atomically, as Scratch's. */
WaveGpu *wave_gpu_new(const Study *study, const Devices *devices, const bool *stop, Fail *fail);
void wave_gpu_free(WaveGpu *gpu);
/* Trials of a wave: `wanted`, if memory allows it; 0: as many as are worth while. */
bool wave_gpu_size(WaveGpu *gpu, uint32_t wanted, WaveSize *size, Fail *fail);
/* The most steps of a segment. */
uint64_t wave_gpu_segment(const WaveGpu *gpu);

/* The trials stay where they are until wave_gpu_clear. `fresh`: their init entries run. */
bool wave_gpu_begin(WaveGpu *gpu, Trial *trials, uint32_t count, bool fresh, Fail *fail);
void wave_gpu_clear(WaveGpu *gpu);
/* All trials that run to step `target`, then, with `evaluate`, their metrics; what became of them
 * stands in the trials. */
bool wave_gpu_advance(WaveGpu *gpu, uint64_t target, bool evaluate, PoolTick tick, void *context,
                      Fail *fail);
/* A trial's whole block into trial->block. */
bool wave_gpu_fetch(WaveGpu *gpu, const Trial *trial, Fail *fail);
/* Metrics of trials that are in no wave: metrics [count][metric_count]. Between waves. *whole:
 * nobody asked to stop before. */
bool wave_gpu_evaluate(WaveGpu *gpu, Trial *trials, uint32_t count, const EvaluationRows *rows,
                       double *metrics, bool *whole, PoolTick tick, void *context, Fail *fail);
void wave_gpu_work_done(const WaveGpu *gpu, uint64_t *steps, uint64_t *examples);

#endif
