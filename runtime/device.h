/* Which device a command computes on: the CPU, or GPUs of this machine.
 *
 *     --device auto      CUDA where program and machine have it, else the CPU
 *     --device cpu
 *     --device cuda      all GPUs of this machine; cuda:1 only that one
 *     --device vgpu      the virtual GPU: slow, and finds mistakes
 *
 * CPU and GPUs differ in the last bits of their results; all GPUs, the virtual one too, agree in
 * all bits. So a study that was begun on one kind goes on on it. */
#ifndef TUNE_RUNTIME_DEVICE_H
#define TUNE_RUNTIME_DEVICE_H

#include "runtime/gpu.h"

typedef enum { DEVICE_AUTO, DEVICE_CPU, DEVICE_CUDA, DEVICE_VIRTUAL } DeviceKind;

typedef struct {
    DeviceKind kind;
    int32_t number;  /* CUDA: only this one; -1: all */
    uint64_t memory; /* bytes that data and trials may take on each GPU; 0: what is free */
} DeviceChoice;

/* "cuda:1" -> kind and number; fails with exit status 2 and the nearest word. */
bool device_parse(const char *text, DeviceChoice *choice, Fail *fail);

/* What a command works on; no GPU at all: the CPU. */
typedef struct {
    GpuDriver *driver;
    Gpu **gpus;
    uint32_t count;
    uint64_t memory; /* as in the choice */
} Devices;

/* `stored`: what the study was begun on, DEVICE_CPU or DEVICE_CUDA; DEVICE_AUTO when it was not
 * begun. Released by devices_close, also after a failure. */
bool devices_open(const DeviceChoice *choice, DeviceKind stored, const TuneProgram *program,
                  Devices *devices, Fail *fail);
void devices_close(Devices *devices);
/* "NVIDIA H200", "2 x NVIDIA H200"; "" on the CPU. */
void devices_name(const Devices *devices, char *text, uint64_t bytes);

#endif
