/* Files: a name holds either the old contents or the new ones, never a part.
 *
 *     struct iovec parts[] = {{header, header_bytes}, {data, data_bytes}};
 *     if (!file_write(path, parts, 2, fail)) return false;
 *     // a temporary file, fsync, rename, fsync of the directory
 *
 * Temporaries are called NAME.PID.tmp and stand beside NAME; a run that is killed leaves them
 * behind, and file_sweep_directory removes them at the next start. */
#ifndef TUNE_RUNTIME_FILE_H
#define TUNE_RUNTIME_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "runtime/fail.h"

/* Durable and atomic. On failure the old file stands and no temporary is left. */
bool file_write(const char *path, const struct iovec *parts, uint32_t count, Fail *fail);

/* The whole file, in malloc'd memory with a zero behind it, which the caller frees. */
bool file_read(const char *path, char **bytes, uint64_t *size, Fail *fail);

/* Creates a directory unless it exists; makes the entry durable. */
bool file_make_directory(const char *path, Fail *fail);
/* Removes a file that may be gone already. */
bool file_remove(const char *path, Fail *fail);
/* Removes the regular files of a directory that `keep` does not want. */
bool file_sweep_directory(const char *path, bool (*keep)(const void *context, const char *name),
                          const void *context, Fail *fail);

/* printf into malloc'd memory; aborts without memory. */
char *file_text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Zeroed memory at a multiple of 64; NULL without memory. Freed with free. */
void *file_aligned(uint64_t bytes);

/* FNV-1a over bytes, continued from `hash`; start with FILE_HASH. */
#define FILE_HASH 0xcbf29ce484222325ull
uint64_t file_hash(uint64_t hash, const void *bytes, uint64_t count);

#endif
