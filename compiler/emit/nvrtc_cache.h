/* Compiled kernels on disk, by what they were compiled from. An entry is one file, written under
 * another name and renamed; its last 32 bytes are the SHA-256 of the rest, so a damaged entry is a
 * miss. Every failure of the file system is a miss, too: the cache never makes a build fail. */
#ifndef TUNE_COMPILER_EMIT_NVRTC_CACHE_H
#define TUNE_COMPILER_EMIT_NVRTC_CACHE_H

#include <stdbool.h>

#include "compiler/emit/nvrtc.h"
#include "compiler/emit/sha256.h"

/* $TUNE_CACHE, else $XDG_CACHE_HOME/tune/nvrtc, else ~/.cache/tune/nvrtc; NULL: nowhere. Made when
 * something is written. */
const char *nvrtc_cache_directory(Arena *arena);

/* The digest that names an entry: of every text, with its end. */
typedef struct {
    char hex[2 * SHA256_BYTES + 1];
} CacheKey;
CacheKey nvrtc_cache_key(const char *const *texts, uint32_t count);

/* Thread-safe. A hit fills *image from `arena`. */
bool nvrtc_cache_read(const char *directory, const CacheKey *key, CudaImage *image, Arena *arena);
bool nvrtc_cache_write(const char *directory, const CacheKey *key, const CudaImage *image,
                       Arena *arena);

/* Removes the entries that were not used for the longest time until `limit` bytes are left. */
void nvrtc_cache_trim(const char *directory, uint64_t limit, Arena *arena);

#endif
