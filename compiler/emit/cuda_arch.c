/* The table of architectures. All of them have 65,536 registers per multiprocessor, given out to
 * warps in units of 256, and keep 1 KiB of shared memory per block for themselves. */
#include "compiler/emit/cuda_arch.h"

#include <stdlib.h>
#include <string.h>

#include "grammar/diag.h"

enum { KIB = 1024, REGISTERS = 65536, REGISTER_UNIT = 256, RESERVED_SHARED = KIB, WARP = 32 };

static const CudaArch table[] = {
    {80, 2048, 32, 164 * KIB, false, false}, {86, 1536, 16, 100 * KIB, false, false},
    {87, 1536, 16, 164 * KIB, false, false}, {88, 1536, 16, 100 * KIB, false, false},
    {89, 1536, 24, 100 * KIB, false, false}, {90, 2048, 32, 228 * KIB, true, false},
    {100, 2048, 32, 228 * KIB, true, true},  {103, 2048, 32, 228 * KIB, true, true},
    {110, 1536, 24, 228 * KIB, true, true},  {120, 1536, 24, 100 * KIB, true, true},
    {121, 1536, 24, 100 * KIB, true, true},
};
enum { ARCHS = sizeof table / sizeof *table };

/* Behind "sm_" or "compute_"; NULL: the name begins otherwise. */
static const char *after_prefix(const char *name) {
    if (!strncmp(name, "sm_", 3)) return name + 3;
    if (!strncmp(name, "compute_", 8)) return name + 8;
    return NULL;
}

const CudaArch *cuda_arch_find(const char *name) {
    const char *digits = after_prefix(name);
    if (!digits || strspn(digits, "0123456789") < 2) return NULL;
    char *letter;
    unsigned long capability = strtoul(digits, &letter, 10);
    for (uint32_t i = 0; i < ARCHS; i++) {
        if (table[i].capability != capability) continue;
        bool fine = !*letter || (!strcmp(letter, "a") && table[i].specific) ||
                    (!strcmp(letter, "f") && table[i].family);
        return fine ? &table[i] : NULL;
    }
    return NULL;
}

bool cuda_arch_is_exact(const char *name) {
    return name[strlen(name) - 1] == 'a';
}

const char *cuda_arch_problem(const char *name, bool ptx, Arena *arena) {
    const char *names[6 * ARCHS];
    uint32_t count = 0;
    bool prefix = ptx || !strncmp(name, "sm_", 3);
    if (prefix && cuda_arch_find(name)) return NULL;
    for (uint32_t i = 0; i < ARCHS; i++)
        for (int with = 0; with < (ptx ? 2 : 1); with++) {
            const char *start = with ? "compute" : "sm";
            uint32_t capability = table[i].capability;
            names[count++] = arena_printf(arena, "%s_%u", start, capability);
            if (table[i].specific)
                names[count++] = arena_printf(arena, "%s_%ua", start, capability);
            if (table[i].family) names[count++] = arena_printf(arena, "%s_%uf", start, capability);
        }
    const char *nearest = diag_nearest(name, names, count);
    const char *digits = after_prefix(name);
    if (digits && atoi(digits) >= 10 && atoi(digits) < 80)
        return arena_printf(arena, "'%s' is older than sm_80, the oldest that Tune compiles for",
                            name);
    return arena_printf(arena, "unknown GPU architecture '%s'%s%s%s", name,
                        nearest ? "; did you mean '" : "; for instance sm_80 or sm_90a",
                        nearest ? nearest : "", nearest ? "'?" : "");
}

static uint32_t at_most(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

uint32_t cuda_arch_occupancy(const CudaArch *arch, uint32_t threads, uint32_t registers,
                             uint32_t shared_bytes) {
    uint32_t warps = (threads + WARP - 1) / WARP;
    uint32_t per_warp = (registers * WARP + REGISTER_UNIT - 1) / REGISTER_UNIT * REGISTER_UNIT;
    uint32_t blocks = at_most(arch->blocks, arch->threads / WARP / warps);
    if (per_warp) blocks = at_most(blocks, REGISTERS / per_warp / warps);
    blocks = at_most(blocks, arch->shared_bytes / (shared_bytes + RESERVED_SHARED));
    return blocks * warps * WARP;
}
