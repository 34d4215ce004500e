/* The virtual GPU's machine in the words of a test: PTX in, launches, memory; no driver between.
 * (The compiler's names and the machine's do not go together in one file.) */
#ifndef TUNE_TESTS_VGPU_NUMERIC_DEVICE_H
#define TUNE_TESTS_VGPU_NUMERIC_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

enum { MOST_ARGUMENTS = 128 };

typedef struct Device Device;
typedef struct DeviceCode DeviceCode;

Device *device_new(void);
void device_free(Device *device);
uint64_t device_allocate(Device *device, uint64_t bytes, const char *name); /* unwritten */
void device_release(Device *device, uint64_t address);
/* False after a message. */
bool device_write(Device *device, uint64_t to, const void *from, uint64_t bytes);
bool device_read(Device *device, uint64_t from, void *to, uint64_t bytes);

/* Its variables go to the device's memory. NULL: *problem says why. The text has to live as long as
 * the code. */
DeviceCode *device_code(Device *device, const char *ptx, const char *function,
                        const char **problem);
void device_code_free(DeviceCode *code);
uint32_t device_code_arguments(const DeviceCode *code);

/* What an argument points to, if it does: `bytes` at address + t * stride of each trial t. */
typedef struct {
    const char *name; /* NULL: a number */
    uint64_t value, bytes, stride;
} DeviceArgument;

typedef struct {
    const DeviceCode *code;
    const char *cuda;
    uint32_t blocks, trials, threads;
    uint32_t argument_count;
    DeviceArgument arguments[MOST_ARGUMENTS];
    uint64_t dead, dead_bytes; /* memory whose contents no longer count */
    uint64_t seed;
} DeviceLaunch;

/* With all checks; false after the machine's report. */
bool device_launch(Device *device, const DeviceLaunch *launch);
uint64_t device_instructions(const Device *device); /* of warps, so far */

#endif
