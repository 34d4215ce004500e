/* objects + descriptor + runtime -> executable, with the system's cc as compiler of the descriptor
 * and as linker driver. C text is compiled in the background while kernels compile. */
#ifndef TUNE_COMPILER_EMIT_LINK_H
#define TUNE_COMPILER_EMIT_LINK_H

#include <stdint.h>

#include "grammar/arena.h"

/* Where the runtime library, program.h, the standard library and the virtual GPU's libcuda.so.1
 * are: beside tunec (../lib/tune when installed), else where it was built. */
typedef struct {
    const char *stdlib, *include, *library, *virtual_gpu;
} Installation;
Installation installation_find(Arena *arena);

/* A C file on its way to DIRECTORY/NAME.o. */
typedef struct {
    const char *directory, *name;
    long process; /* of cc; 0: none */
} CcJob;

/* Starts compiling `text` in `directory`. NULL, or what went wrong. */
const char *cc_start(CcJob *job, const char *directory, const char *name, const char *text,
                     const Installation *where, Arena *arena);
/* Waits for it; nothing when it was never started. NULL, or what cc says. */
const char *cc_finish(CcJob *job, Arena *arena);

/* Links objects and the runtime into `output` (written under another name, then renamed). NULL, or
 * what went wrong. */
const char *link_executable(const char *directory, const char *const *objects, uint32_t count,
                            const Installation *where, const char *output, Arena *arena);

#endif
