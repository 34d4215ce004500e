/* One launch: what it needs, made ready; its blocks, one after the other; what it found. */
#include "tests/vgpu/engine.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_WATCHDOG = 1 << 30, ROW_ALIGNMENT = 64 };

static void *aligned(size_t bytes) {
    return aligned_alloc(ROW_ALIGNMENT, (bytes + ROW_ALIGNMENT) / ROW_ALIGNMENT * ROW_ALIGNMENT);
}

static bool touches_memory(InstrKind kind) {
    return kind == I_LOAD || kind == I_STORE || kind == I_ATOMIC || kind == I_LDMATRIX ||
           kind == I_STMATRIX || kind == I_CP_ASYNC;
}

static bool make_patterns(Machine *machine) {
    const uint32_t count = machine->function->count;
    uint32_t patterns = 0;
    machine->pattern_of = malloc((count + 1) * sizeof *machine->pattern_of);
    if (!machine->pattern_of) return false;
    for (uint32_t i = 0; i < count; i++) {
        machine->pattern_of[i] = patterns;
        if (touches_memory(machine->code[i].kind)) patterns++;
        if (machine->code[i].kind == I_CP_ASYNC) patterns++;
    }
    machine->patterns = calloc(patterns + 1, sizeof *machine->patterns);
    return machine->patterns != NULL;
}

static bool make_shared(Machine *machine) {
    const uint32_t dynamic = machine->launch->dynamic_shared;
    machine->shared_bytes = machine->function->shared_bytes;
    if (dynamic > 0) machine->shared_bytes = (machine->shared_bytes + 15) / 16 * 16 + dynamic;
    machine->shared = malloc(machine->shared_bytes + 1);
    if (machine->check >= 2) machine->shared_state = malloc(machine->shared_bytes + 1);
    return machine->shared && (machine->check < 2 || machine->shared_state);
}

static bool make_warps(Machine *machine) {
    const size_t row_bytes = ((size_t)machine->function->register_bytes + ROW_ALIGNMENT - 1) /
                             ROW_ALIGNMENT * ROW_ALIGNMENT;
    const size_t local_bytes = (size_t)LANES * machine->function->local_bytes;
    machine->registers = aligned(row_bytes * machine->warp_count);
    machine->specials = calloc((size_t)machine->warp_count * machine->function->special_count + 1,
                               sizeof *machine->specials);
    if (machine->registers) memset(machine->registers, 0, row_bytes * machine->warp_count);
    machine->local = malloc(local_bytes * machine->warp_count + 1);
    if (machine->check >= 2) machine->local_written = malloc(local_bytes * machine->warp_count + 1);
    if (!machine->registers || !machine->specials || !machine->local ||
        (machine->check >= 2 && !machine->local_written))
        return false;
    for (uint32_t w = 0; w < machine->warp_count; w++) {
        Warp *warp = &machine->warps[w];
        const uint32_t behind = machine->threads - w * LANES;
        warp->number = w;
        warp->lanes = behind >= LANES ? UINT32_MAX : (1u << behind) - 1;
        warp->registers = machine->registers + w * row_bytes;
        warp->local = machine->local + w * local_bytes;
        if (machine->local_written) warp->local_written = machine->local_written + w * local_bytes;
    }
    return true;
}

static Machine *machine_new(const Launch *launch, Memory *memory, const Settings *settings,
                            Report *report) {
    Machine *machine = calloc(1, sizeof *machine);
    if (!machine) return NULL;
    machine->launch = launch;
    machine->function = launch->function;
    machine->code = launch->function->code;
    machine->memory = memory;
    machine->report = report;
    machine->check = settings->check;
    machine->seed = machine->random = settings->seed;
    machine->watchdog = settings->watchdog ? settings->watchdog : DEFAULT_WATCHDOG;
    machine->threads = launch->block[0] * launch->block[1] * launch->block[2];
    machine->warp_count = (machine->threads + LANES - 1) / LANES;
    assert(machine->threads > 0 && machine->warp_count <= WARPS);
    return machine;
}

static void machine_free(Machine *machine) {
    if (!machine) return;
    for (uint32_t w = 0; w < WARPS; w++) {
        free(machine->warps[w].copies);
        free(machine->warps[w].pair_seen);
    }
    free(machine->registers);
    free(machine->specials);
    free(machine->local);
    free(machine->local_written);
    free(machine->shared);
    free(machine->shared_state);
    free(machine->patterns);
    free(machine->pattern_of);
    free(machine->cells);
    free(machine);
}

static uint64_t common_divisor(uint64_t a, uint64_t b) {
    while (b) {
        const uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The blocks in an order that needs no memory: i * step + start, with a step that meets all. */
static bool run_blocks(Machine *machine) {
    const uint32_t *grid = machine->launch->grid;
    const uint64_t count = (uint64_t)grid[0] * grid[1] * grid[2];
    uint64_t step = 1, at = 0;
    if (machine->seed != 0 && count > 1) {
        at = random_next(&machine->random) % count;
        do step = 1 + random_next(&machine->random) % (count - 1);
        while (common_divisor(step, count) != 1);
    }
    for (uint64_t i = 0; i < count; i++, at = (at + step) % count) {
        machine->block_number = at;
        machine->block[0] = (uint32_t)(at % grid[0]);
        machine->block[1] = (uint32_t)(at / grid[0] % grid[1]);
        machine->block[2] = (uint32_t)(at / grid[0] / grid[1]);
        if (!block_run(machine)) return false;
    }
    return true;
}

static void add_counters(Counters *to, const Counters *from) {
    to->launches++;
    to->warp_instructions += from->warp_instructions;
    to->lane_instructions += from->lane_instructions;
    to->global_bytes += from->global_bytes;
    to->global_sectors += from->global_sectors;
    to->shared_accesses += from->shared_accesses;
    to->bank_conflicts += from->bank_conflicts;
    to->tensor_flops += from->tensor_flops;
    to->barriers += from->barriers;
    to->atomics += from->atomics;
}

Finding machine_run(const Launch *launch, Memory *memory, const Settings *settings,
                    Counters *counters, Report *report) {
    report->finding = FOUND_NOTHING;
    report->text[0] = '\0';
    Machine *machine = machine_new(launch, memory, settings, report);
    if (!machine || !make_patterns(machine) || !make_shared(machine) || !make_warps(machine) ||
        !races_start(machine)) {
        report->finding = FOUND_TRAP;
        snprintf(report->text, sizeof report->text, "the virtual GPU is out of memory\n");
        goto out;
    }
    memory_forget(memory, launch->dead, launch->dead_bytes);
    run_blocks(machine);
    add_counters(counters, &machine->counters);
out:
    machine_free(machine);
    return report->finding;
}
