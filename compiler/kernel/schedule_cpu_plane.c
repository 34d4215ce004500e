/* Schedules of planes for one core: the tile, and where the panels of the leaves lie. */
#include "compiler/kernel/schedule.h"

enum { TILE_ROWS = 32, TILE_VECTORS = 4 };

/* A tile of n is as wide as a register tile, one of m as high as lets all that belongs to it stay
 * in the first-level cache. */
void cpu_plane_schedule(StepProgram *program, Kernel *kernel, const CpuTarget *target,
                        Arena *arena) {
    Plane *plane = kernel->plane;
    const Axis *axes = kernel->axes;
    int64_t around = 1;
    for (uint32_t i = 0; i < kernel->axis_count; i++)
        if (plane->around >> i & 1) around *= axes[i].extent;
    kernel->lanes = target->vector_bytes / elem_bytes(kernel->exprs.at[plane->leaves.at[0].b].elem);
    plane->tile_m = axes[plane->m].extent < TILE_ROWS ? (uint32_t)axes[plane->m].extent : TILE_ROWS;
    plane->tile_n = TILE_VECTORS * kernel->lanes;
    for (uint32_t i = 0; i < plane->leaves.count; i++) {
        PlaneLeaf *leaf = &plane->leaves.at[i];
        int64_t columns = (axes[plane->n].extent + plane->tile_n - 1) / plane->tile_n;
        int64_t count = around * columns * plane->tile_n * axes[leaf->k].extent;
        leaf->panels = cpu_workspace(program, kernel, arena_printf(arena, "panels%u", i),
                                     kernel->exprs.at[leaf->b].elem, count, arena);
    }
}
