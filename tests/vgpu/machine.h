/* The machine that runs decoded PTX, warp by warp, and watches it.
 *
 *     machine.c    one launch: its blocks in turn, in an order that the seed shuffles
 *     block.c      the warps of a block, run in turn from barrier to barrier; barriers, deadlocks
 *     warp.c       one warp: groups of lanes at the same place, lowest place first
 *     collective.c shuffles, votes, matches, reductions of a warp
 *     memory.c     the device's global memory: allocations with gaps around them, never used twice;
 *                  which bytes were written
 *     access.c     loads and stores with all checks; pattern.c their shape and cost; atomic.c and
 *                  matrix.c what builds on them; async_copy.c cp.async, deferred until its wait
 *     race.c       who touched each byte of shared memory since the last barrier
 *     report.c     a finding as text: kernel, thread, buffer, lines of PTX, CUDA C and .tune
 *
 * The first finding of a launch ends it. */
#ifndef TUNE_VGPU_MACHINE_H
#define TUNE_VGPU_MACHINE_H

#include <stdio.h>

#include "tests/vgpu/code.h"

/* ---- global memory ---- */

typedef struct Memory Memory;

Memory *memory_new(uint64_t limit, bool track_writes);
void memory_free_all(Memory *memory);
/* Before the first allocation: each device has addresses of its own. */
void memory_of_device(Memory *memory, uint32_t device);
/* 256-byte aligned address, redzones around it; 0: more than the limit. */
uint64_t memory_allocate(Memory *memory, uint64_t bytes, const char *name);
bool memory_release(Memory *memory, uint64_t address); /* false: not the start of a live block */
void memory_name(Memory *memory, uint64_t address, const char *name);
/* A variable of a module: outside of every launch's extents, and open to every launch. */
void memory_variable(Memory *memory, uint64_t address);
uint64_t memory_used(const Memory *memory);
/* The host's copies: NULL, or what is wrong ("ends 16 bytes behind 'trials'", "was freed"). Reading
 * bytes that nobody wrote is allowed to the host. */
const char *memory_write(Memory *memory, uint64_t address, const void *from, uint64_t bytes);
const char *memory_read(Memory *memory, uint64_t address, void *to, uint64_t bytes);
const char *memory_fill(Memory *memory, uint64_t address, uint32_t value, uint32_t value_bytes,
                        uint64_t count);
const char *memory_copy(Memory *memory, uint64_t to, uint64_t from, uint64_t bytes);
void memory_forget(Memory *memory, uint64_t address, uint64_t bytes); /* unwritten again */

/* ---- a launch ---- */

/* One thing that a launch may touch; see runtime/vgpu_hooks.h. */
typedef struct {
    char *name;
    uint64_t address, bytes, stride;
} Extent;

typedef struct {
    const Function *function;
    const char *ptx;    /* the module's text */
    const char *cuda;   /* what it was compiled from, or NULL */
    const char *name;   /* of the launch; else the function's */
    const char *places; /* or NULL */
    uint32_t grid[3], block[3], dynamic_shared;
    unsigned char params[PARAM_BYTES];
    Extent *extents; /* count 0: only allocations are checked */
    uint32_t extent_count, trials;
    uint64_t dead, dead_bytes;
} Launch;

typedef struct {
    int check;     /* 0 bounds of allocations only; 1 and alignment, extents, use after free; 2 and
                      reads of unwritten memory, races */
    uint64_t seed; /* order of blocks, warps, groups; 0: ascending */
    uint64_t watchdog; /* warp instructions of a block without a barrier before it counts as hung;
                          0: 2^30 */
} Settings;

typedef struct {
    uint64_t launches, warp_instructions, lane_instructions;
    uint64_t global_bytes, global_sectors; /* asked for; 32-byte sectors moved, per warp access */
    uint64_t shared_accesses, bank_conflicts; /* warp accesses; extra passes over the banks */
    uint64_t tensor_flops, barriers, atomics;
} Counters;

typedef enum {
    FOUND_NOTHING,
    FOUND_OUT_OF_BOUNDS,
    FOUND_MISALIGNED,
    FOUND_USE_AFTER_FREE,
    FOUND_UNINITIALISED,
    FOUND_RACE,
    FOUND_DIVERGENT_BARRIER,
    FOUND_DEADLOCK,
    FOUND_COLLECTIVE, /* a shuffle or vote that names lanes which do not take part */
    FOUND_TRAP
} Finding;

typedef struct {
    Finding finding;
    char text[4000]; /* the whole report, many lines */
} Report;

/* Runs all blocks. FOUND_NOTHING, or the first finding with its report. `counters` are added to. */
Finding machine_run(const Launch *launch, Memory *memory, const Settings *settings,
                    Counters *counters, Report *report);

#endif
