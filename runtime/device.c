/* The choice of a device: what was asked for, what the store says, what there is. */
#include "runtime/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/study.h"

bool device_parse(const char *text, DeviceChoice *choice, Fail *fail) {
    static const char *const words[] = {"auto", "cpu", "cuda", "vgpu"};
    static const DeviceKind kinds[] = {DEVICE_AUTO, DEVICE_CPU, DEVICE_CUDA, DEVICE_VIRTUAL};
    for (uint32_t i = 0; i < 4; i++) {
        if (strcmp(text, words[i])) continue;
        choice->kind = kinds[i];
        choice->number = -1;
        return true;
    }
    char *end = NULL;
    unsigned long number = 0;
    if (!strncmp(text, "cuda:", 5) && text[5] >= '0' && text[5] <= '9')
        number = strtoul(text + 5, &end, 10);
    if (end && !*end && number < 1024) {
        choice->kind = DEVICE_CUDA;
        choice->number = (int32_t)number;
        return true;
    }
    const char *near = study_nearest(text, words, 4);
    fail_set(fail, "there is no device '%s'", text);
    fail->exit_status = 2;
    if (near)
        return fail_help(fail, "did you mean '%s'? Devices: auto, cpu, cuda, cuda:N, vgpu", near);
    return fail_help(fail, "devices: auto, cpu, cuda, cuda:N, vgpu");
}

static bool open_gpu(Devices *devices, uint32_t number, const TuneProgram *program, Fail *fail) {
    Gpu *gpu = gpu_open(devices->driver, number, program, fail);
    if (gpu) devices->gpus[devices->count++] = gpu;
    return gpu;
}

static bool open_gpus(Devices *devices, const DeviceChoice *choice, const char *library,
                      const TuneProgram *program, Fail *fail) {
    devices->driver = gpu_driver_open(library, fail);
    if (!devices->driver) return false;
    uint32_t there = gpu_driver_devices(devices->driver);
    devices->gpus = calloc(there + 1, sizeof(Gpu *));
    if (!devices->gpus) abort();
    bool one = choice->kind == DEVICE_CUDA && choice->number >= 0;
    if (one && (uint32_t)choice->number >= there) {
        fail_set(fail, "there is no GPU %d", choice->number);
        return fail_help(fail, "this machine has %u: cuda:0%s", there,
                         there > 1 ? " and following" : "");
    }
    if (one) return open_gpu(devices, (uint32_t)choice->number, program, fail);
    for (uint32_t d = 0; d < there; d++)
        if (!open_gpu(devices, d, program, fail)) return false;
    return true;
}

static bool check_compiled(const TuneProgram *program, Fail *fail) {
    if (program->gpu_module_count) return true;
    fail_set(fail, "this program was compiled without CUDA");
    return fail_help(fail, "build it with 'tunec build --target cuda'");
}

static bool open_virtual(Devices *devices, const DeviceChoice *choice, const TuneProgram *program,
                         Fail *fail) {
    const char *library = getenv("TUNE_VGPU");
    if (!library || !*library) library = program->virtual_gpu;
    if (!check_compiled(program, fail)) return false;
    if (library && open_gpus(devices, choice, library, program, fail)) return true;
    if (!library) fail_set(fail, "where the virtual GPU is was not known when this was built");
    if (devices->driver) return false;
    fail_context(fail, "--device vgpu");
    return fail_help(fail,
                     "it is built with Tune, as vgpu/libcuda.so.1 in the build directory; say "
                     "where it is with TUNE_VGPU=FILE");
}

/* What is asked for, must be there; auto takes the CPU where a GPU cannot be used, unless the study
 * was begun on one. */
static bool open_automatic(Devices *devices, const DeviceChoice *choice, DeviceKind stored,
                           const TuneProgram *program, Fail *fail) {
    if (stored == DEVICE_CPU) return true;
    if (stored == DEVICE_CUDA) {
        if (check_compiled(program, fail) && open_gpus(devices, choice, NULL, program, fail))
            return true;
        fail_context(fail, "the study was begun on a GPU");
        if (!*fail->help)
            fail_help(fail, "go on on a machine with one, or slowly with --device vgpu");
        return false;
    }
    Fail ignored = {0};
    if (!program->gpu_module_count || open_gpus(devices, choice, NULL, program, &ignored))
        return true;
    devices_close(devices);
    return true;
}

static bool other_kind(DeviceKind stored, Fail *fail) {
    bool gpu = stored == DEVICE_CUDA;
    fail_set(fail, "the study was begun on %s; a part on %s would differ in its last bits",
             gpu ? "a GPU" : "the CPU", gpu ? "the CPU" : "a GPU");
    return fail_help(fail, "go on with --device %s, or start anew with --store DIR",
                     gpu ? "cuda (or vgpu)" : "cpu");
}

bool devices_open(const DeviceChoice *choice, DeviceKind stored, const TuneProgram *program,
                  Devices *devices, Fail *fail) {
    *devices = (Devices){.memory = choice->memory};
    bool gpu = choice->kind == DEVICE_CUDA || choice->kind == DEVICE_VIRTUAL;
    if ((gpu && stored == DEVICE_CPU) || (choice->kind == DEVICE_CPU && stored == DEVICE_CUDA))
        return other_kind(stored, fail);
    switch (choice->kind) {
    case DEVICE_AUTO: return open_automatic(devices, choice, stored, program, fail);
    case DEVICE_CPU: return true;
    case DEVICE_CUDA:
        return check_compiled(program, fail) && open_gpus(devices, choice, NULL, program, fail);
    case DEVICE_VIRTUAL: return open_virtual(devices, choice, program, fail);
    }
    return false;
}

void devices_close(Devices *devices) {
    for (uint32_t d = 0; d < devices->count; d++) gpu_close(devices->gpus[d]);
    gpu_driver_close(devices->driver);
    free(devices->gpus);
    *devices = (Devices){.memory = devices->memory};
}

void devices_name(const Devices *devices, char *text, uint64_t bytes) {
    *text = 0;
    if (devices->count == 1) snprintf(text, bytes, "%s", gpu_name(devices->gpus[0]));
    if (devices->count > 1)
        snprintf(text, bytes, "%u x %s", devices->count, gpu_name(devices->gpus[0]));
}
