/* Writing a file so that nobody ever sees half of it. */
#include "compiler/files.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *file_write(const char *path, const void *bytes, size_t count, Arena *arena) {
    const char *temporary = arena_printf(arena, "%s.tmp.%d", path, (int)getpid());
    FILE *file = fopen(temporary, "wb");
    bool fine = file && fwrite(bytes, 1, count, file) == count;
    if (file && (fflush(file) != 0 || fsync(fileno(file)) != 0)) fine = false;
    if (file && fclose(file) != 0) fine = false;
    if (fine && rename(temporary, path) == 0) return NULL;
    const char *problem = arena_printf(arena, "cannot write '%s': %s", path, strerror(errno));
    unlink(temporary);
    return problem;
}
