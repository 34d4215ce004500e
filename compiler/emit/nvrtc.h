/* NVRTC, NVIDIA's compiler library for CUDA C, opened when a program for GPUs is built. tunec
 * builds and works without it. */
#ifndef TUNE_COMPILER_EMIT_NVRTC_H
#define TUNE_COMPILER_EMIT_NVRTC_H

#include <stdbool.h>
#include <stdint.h>

#include "grammar/arena.h"
#include "grammar/text.h"

typedef struct Nvrtc Nvrtc;

/* Looks in $CUDA_HOME and $CUDA_PATH, by the loader's path, in /usr/local/cuda*, /opt/cuda, the
 * distributions' library directories and the site-packages of Python (nvidia/cuda_nvrtc/lib,
 * nvidia/cu13/lib), newest version first. $TUNE_NVRTC, if set, is the library's file, and the only
 * place; "none" stands for no library at all. NULL: *problem names every place and says how to get
 * it. */
Nvrtc *nvrtc_open(Arena *arena, const char **problem);
void nvrtc_close(Nvrtc *nvrtc);
/* Its version: 13000 is 13.0; and the file that it was loaded from. */
int nvrtc_version(const Nvrtc *nvrtc);
const char *nvrtc_file(const Nvrtc *nvrtc);

/* What ptxas said of one kernel. */
typedef struct {
    uint32_t registers, shared_bytes, stack_bytes, spill_stores, spill_loads, barriers, code_bytes;
} CudaResources;

typedef struct {
    unsigned char *bytes; /* PTX ends with a 0 byte that `size` counts */
    uint64_t size;
    CudaResources resources; /* of a cubin's first kernel */
    const char *log;         /* the compiler's, or "" */
    bool cached;             /* it was on disk already */
} CudaImage;

/* Compiles `cuda` for one architecture ("sm_80" gives a cubin, "compute_80" PTX), or takes the
 * result from the cache on disk (nvrtc_cache.h, content-addressed by name, text, options and
 * NVRTC's version and build). `name` is the file's in line tables and messages:
 * "adam_update-5c0ffee5.cu". Thread-safe. NULL, or what went wrong with the compiler's log. */
const char *nvrtc_compile(Nvrtc *nvrtc, const char *name, const char *cuda, const char *arch,
                          CudaImage *image, Arena *arena);

#endif
