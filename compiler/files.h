/* Output files of tunec, complete or not there at all. */
#ifndef TUNE_COMPILER_FILES_H
#define TUNE_COMPILER_FILES_H

#include <stddef.h>

#include "grammar/arena.h"

/* Writes under another name, syncs, renames. NULL, or what went wrong. */
const char *file_write(const char *path, const void *bytes, size_t count, Arena *arena);

#endif
