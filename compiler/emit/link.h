/* objects + descriptor + runtime -> executable, with the system's cc as compiler of the descriptor
 * and as linker driver. The descriptor is compiled in the background while kernels compile. */
#ifndef TUNE_COMPILER_EMIT_LINK_H
#define TUNE_COMPILER_EMIT_LINK_H

#include <stdint.h>

#include "grammar/arena.h"

/* Where the runtime library, program.h and the standard library are: beside tunec (../lib/tune when
 * installed), else where it was built. */
typedef struct {
    const char *stdlib, *include, *library;
} Installation;
Installation installation_find(Arena *arena);

typedef struct LinkJob LinkJob;

/* Starts compiling descriptor_c (text) in `directory`. NULL: *problem says why. */
LinkJob *link_start(const char *directory, const char *descriptor_c, const Installation *where,
                    Arena *arena, const char **problem);

/* Waits for the descriptor, links everything into `output` (written under another name, then
 * renamed). NULL, or what went wrong. Ends the job in any case. */
const char *link_finish(LinkJob *job, const char *const *objects, uint32_t count,
                        const char *output, Arena *arena);

/* Waits for the descriptor's compiler and links nothing. */
void link_abandon(LinkJob *job);

#endif
