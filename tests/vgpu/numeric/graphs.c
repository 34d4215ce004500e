/* Random graphs on the virtual GPU. */
#include <stdlib.h>

#include "tests/vgpu/numeric/graph_run.h"

enum { GRAPHS = 30 };

/* graphs [FIRST-SEED [GRAPHS]] */
int main(int argc, char **argv) {
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint32_t graphs = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : GRAPHS;
    Arena *arena = arena_new();
    GraphCase *cases = arena_alloc(arena, graphs * sizeof *cases);
    for (uint32_t i = 0; i < graphs; i++) cases[i] = graph_case(first + i, arena);
    int status = graph_run(cases, graphs, arena);
    arena_free(arena);
    return status;
}
