/* Where NVRTC may be. Nothing is opened here: a list of paths to try, and of places to name when
 * none of them works. */
#ifndef TUNE_COMPILER_EMIT_NVRTC_FIND_H
#define TUNE_COMPILER_EMIT_NVRTC_FIND_H

#include "grammar/arena.h"
#include "grammar/text.h"
#include "grammar/vec.h"

/* What the search depends on; NULL: not set. */
typedef struct {
    const char *root; /* before every absolute path below: "", or a directory of a test */
    const char *cuda_home, *cuda_path, *home, *virtual_env, *conda_prefix;
} NvrtcPlaces;

NvrtcPlaces nvrtc_places(void); /* of this process's environment */

typedef Vec(const char *) NvrtcPaths;

/* Files to open, best first: those of $CUDA_HOME and $CUDA_PATH, names for the loader
 * ("libnvrtc.so" without a directory), then what lies under the usual prefixes. `looked`: a line
 * per place, whether something is there or not. */
NvrtcPaths nvrtc_find(const NvrtcPlaces *places, Text *looked, Arena *arena);

#endif
