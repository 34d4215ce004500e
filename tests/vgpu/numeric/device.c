/* The machine's side of the numeric tests. */
#include "tests/vgpu/numeric/device.h"

#include <stdlib.h>
#include <string.h>

#include "tests/vgpu/machine.h"

struct Device {
    Memory *memory;
    Counters counters;
};

struct DeviceCode {
    Code code;
    const Function *function;
    const char *ptx;
};

Device *device_new(void) {
    Device *device = calloc(1, sizeof *device);
    device->memory = memory_new(UINT64_C(1) << 32, true);
    return device;
}

void device_free(Device *device) {
    memory_free_all(device->memory);
    free(device);
}

uint64_t device_allocate(Device *device, uint64_t bytes, const char *name) {
    return memory_allocate(device->memory, bytes, name);
}

static bool report(const char *what, const char *problem) {
    if (problem) printf("FAILED: %s: %s\n", what, problem);
    return !problem;
}

bool device_write(Device *device, uint64_t to, const void *from, uint64_t bytes) {
    return report("write", memory_write(device->memory, to, from, bytes));
}

bool device_read(Device *device, uint64_t from, void *to, uint64_t bytes) {
    return report("read", memory_read(device->memory, from, to, bytes));
}

void device_release(Device *device, uint64_t address) {
    memory_release(device->memory, address);
}

static void place_variables(Device *device, Code *code) {
    for (uint32_t i = 0; i < code->variable_count; i++) {
        Variable *variable = &code->variables[i];
        variable->address = memory_allocate(device->memory, variable->bytes, variable->name);
        memory_variable(device->memory, variable->address);
        if (variable->initial)
            memory_write(device->memory, variable->address, variable->initial, variable->bytes);
        else
            memory_fill(device->memory, variable->address, 0, 1, variable->bytes);
    }
}

DeviceCode *device_code(Device *device, const char *ptx, const char *function,
                        const char **problem) {
    DeviceCode *code = calloc(1, sizeof *code);
    code->ptx = ptx;
    *problem = code_parse(ptx, &code->code);
    if (!*problem) place_variables(device, &code->code);
    if (!*problem) *problem = code_decode(&code->code);
    if (!*problem) code->function = code_function(&code->code, function);
    if (!*problem && !code->function) *problem = "the PTX has no function of the kernel's name";
    if (!*problem) return code;
    free(code);
    return NULL;
}

void device_code_free(DeviceCode *code) {
    if (code) code_release(&code->code);
    free(code);
}

uint32_t device_code_arguments(const DeviceCode *code) {
    return code->function->param_count;
}

bool device_launch(Device *device, const DeviceLaunch *launch) {
    const DeviceCode *code = launch->code;
    Extent extents[MOST_ARGUMENTS];
    Launch run = {.function = code->function,
                  .ptx = code->ptx,
                  .cuda = launch->cuda,
                  .name = code->function->name,
                  .grid = {launch->blocks, launch->trials, 1},
                  .block = {launch->threads, 1, 1},
                  .extents = extents,
                  .trials = launch->trials,
                  .dead = launch->dead,
                  .dead_bytes = launch->dead_bytes};
    for (uint32_t i = 0; i < launch->argument_count; i++) {
        const DeviceArgument *argument = &launch->arguments[i];
        memcpy(run.params + code->function->params[i].offset, &argument->value, sizeof(uint64_t));
        if (argument->name)
            extents[run.extent_count++] = (Extent){(char *)argument->name, argument->value,
                                                   argument->bytes, argument->stride};
    }
    Settings settings = {.check = 2, .seed = launch->seed, .watchdog = UINT64_C(1) << 24};
    Report found = {0};
    if (machine_run(&run, device->memory, &settings, &device->counters, &found) == FOUND_NOTHING)
        return true;
    printf("FAILED: %s\n%s", found.text, launch->cuda);
    return false;
}

uint64_t device_instructions(const Device *device) {
    return device->counters.warp_instructions;
}
