/* A library for LD_PRELOAD that lets the Nth call that changes a file go wrong.
 *
 *     FAULT_AT=N    which call, counted from 1 over write, pwrite, fsync, fdatasync, rename,
 * unlink, ftruncate FAULT_DO=kill    the process ends as by SIGKILL; a write has written half of
 * its bytes full    it and all later writes fail with ENOSPC (the disk stays full) error   it fails
 * with EIO, later ones go well
 *
 * Only calls on files are counted: not those on terminals, pipes and what is printed. */
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef enum { GO_ON, GO_KILL, GO_FULL, GO_ERROR } Fate;

static long calls_made; /* a preloaded library has nowhere else to count */

static Fate fate(void) {
    const char *at = getenv("FAULT_AT"), *what = getenv("FAULT_DO");
    if (!at || !what) return GO_ON;
    long call = __atomic_add_fetch(&calls_made, 1, __ATOMIC_SEQ_CST), wanted = atol(at);
    if (!strcmp(what, "full")) return call >= wanted ? GO_FULL : GO_ON;
    if (call != wanted) return GO_ON;
    return !strcmp(what, "kill") ? GO_KILL : GO_ERROR;
}

static int is_file(int file) {
    struct stat info;
    return file > 2 && fstat(file, &info) == 0 && (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode));
}

static int fails(Fate given, int needs_room) {
    if (given == GO_KILL) kill(getpid(), SIGKILL);
    if (given == GO_ERROR) errno = EIO;
    if (given == GO_FULL) errno = ENOSPC;
    return given == GO_ERROR || (given == GO_FULL && needs_room);
}

#define REAL(name, result, ...) ((result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

ssize_t write(int file, const void *bytes, size_t count) {
    ssize_t (*real)(int, const void *, size_t) = REAL("write", ssize_t, int, const void *, size_t);
    Fate given = is_file(file) ? fate() : GO_ON;
    if (given == GO_KILL) real(file, bytes, count / 2);
    return fails(given, 1) ? -1 : real(file, bytes, count);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t offset) {
    ssize_t (*real)(int, const void *, size_t, off64_t) =
        REAL("pwrite64", ssize_t, int, const void *, size_t, off64_t);
    Fate given = is_file(file) ? fate() : GO_ON;
    if (given == GO_KILL) real(file, bytes, count / 2, offset);
    return fails(given, 1) ? -1 : real(file, bytes, count, offset);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) {
    return pwrite64(file, bytes, count, offset);
}

int fsync(int file) {
    Fate given = is_file(file) ? fate() : GO_ON;
    return fails(given, 0) ? -1 : REAL("fsync", int, int)(file);
}

int fdatasync(int file) {
    Fate given = is_file(file) ? fate() : GO_ON;
    return fails(given, 0) ? -1 : REAL("fdatasync", int, int)(file);
}

int ftruncate64(int file, off64_t bytes) {
    return fails(fate(), 1) ? -1 : REAL("ftruncate64", int, int, off64_t)(file, bytes);
}

int ftruncate(int file, off_t bytes) {
    return ftruncate64(file, bytes);
}

int rename(const char *from, const char *to) {
    return fails(fate(), 1) ? -1 : REAL("rename", int, const char *, const char *)(from, to);
}

int unlink(const char *path) {
    return fails(fate(), 0) ? -1 : REAL("unlink", int, const char *)(path);
}
