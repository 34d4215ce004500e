/* The environment variables of the virtual GPU, and the GPUs that it can pretend to be. A value
 * that cannot be understood stops cuInit: a mistyped option must not pass for a clean run. */
#include "tests/vgpu/driver.h"

#include <errno.h>
#include <stdlib.h>

/* The sizes are those of A100, RTX 3090, L40, H100 (SXM), B200 and RTX 5090; source: CUDA C
 * Programming Guide, table "Technical Specifications per Compute Capability". */
static const Profile profiles[] = {
    {80, 108, 2048, 32, 164 << 10, 163 << 10, 40 << 20},
    {86, 82, 1536, 16, 100 << 10, 99 << 10, 6 << 20},
    {89, 142, 1536, 24, 100 << 10, 99 << 10, 96 << 20},
    {90, 132, 2048, 32, 228 << 10, 227 << 10, 50 << 20},
    {100, 148, 2048, 32, 228 << 10, 227 << 10, 126 << 20},
    {120, 170, 1536, 24, 100 << 10, 99 << 10, 96 << 20},
};

const Profile *profile_of(int sm) {
    for (size_t at = 0; at < sizeof profiles / sizeof *profiles; at++)
        if (profiles[at].sm == sm) return &profiles[at];
    return NULL;
}

/* False: it is set, and no number from `least` to `most`. */
static bool number(const char *variable, uint64_t least, uint64_t most, uint64_t *value) {
    const char *text = getenv(variable);
    if (!text || !*text) return true;
    char *end;
    errno = 0;
    unsigned long long got = strtoull(text, &end, 10);
    if (errno || *end || *text == '-' || got < least || got > most) return false;
    *value = got;
    return true;
}

const char *options_file(const char *variable) {
    const char *text = getenv(variable);
    return text && *text ? text : NULL;
}

const char *options_read(Options *options) {
    uint64_t sm = 90, seed = 0, check = 2, devices = 1, memory = UINT64_C(4) << 30, leaks = 0;
    if (!number("VGPU_SM", 0, 1000, &sm) || !profile_of((int)sm))
        return "VGPU_SM is none of 80, 86, 89, 90, 100, 120";
    if (!number("VGPU_SEED", 0, UINT64_MAX, &seed)) return "VGPU_SEED is no number";
    if (!number("VGPU_CHECK", 0, 2, &check)) return "VGPU_CHECK is none of 0, 1, 2";
    if (!number("VGPU_DEVICES", 0, 64, &devices)) return "VGPU_DEVICES is no number from 0 to 64";
    if (!number("VGPU_MEMORY", 1 << 20, UINT64_C(1) << 40, &memory))
        return "VGPU_MEMORY is no number of bytes from 1048576 to 1099511627776";
    if (!number("VGPU_LEAKS", 0, 1, &leaks)) return "VGPU_LEAKS is neither 0 nor 1";
    *options = (Options){.sm = (int)sm,
                         .seed = seed,
                         .check = (int)check,
                         .devices = (uint32_t)devices,
                         .memory = memory,
                         .counters = options_file("VGPU_COUNTERS"),
                         .report = options_file("VGPU_REPORT"),
                         .trace = options_file("VGPU_TRACE"),
                         .leaks = leaks != 0};
    return NULL;
}
