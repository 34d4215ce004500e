/* Atomic, durable files: written beside their name, synced, renamed, the directory synced. */
#include "runtime/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *file_text(const char *format, ...) {
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int written = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (written < 0) abort();
    return text;
}

void *file_aligned(uint64_t bytes) {
    uint64_t rounded = (bytes + 63) / 64 * 64;
    if (rounded < bytes) return NULL;
    void *memory = aligned_alloc(64, rounded ? rounded : 64);
    if (memory) memset(memory, 0, rounded);
    return memory;
}

uint64_t file_hash(uint64_t hash, const void *bytes, uint64_t count) {
    const unsigned char *at = bytes;
    for (uint64_t i = 0; i < count; i++) hash = (hash ^ at[i]) * 0x100000001b3ull;
    return hash;
}

static bool file_failed(Fail *fail, const char *verb, const char *path) {
    int error = errno;
    fail_set(fail, "cannot %s '%s': %s", verb, path, strerror(error));
    if (error == ENOSPC || error == EDQUOT)
        fail_help(fail, "make room on the disk and run the same command again; nothing is lost");
    if (error == EACCES || error == EROFS || error == EPERM)
        fail_help(fail, "choose a directory that you may write to with --store DIR");
    return false;
}

static bool write_part(int file, struct iovec part) {
    const char *at = part.iov_base;
    size_t left = part.iov_len;
    while (left) {
        ssize_t written = write(file, at, left);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) {
            if (written == 0) errno = ENOSPC;
            return false;
        }
        at += written;
        left -= (size_t)written;
    }
    return true;
}

static bool sync_directory(const char *path) {
    char *copy = strdup(path);
    if (!copy) return false;
    char *slash = strrchr(copy, '/');
    if (slash) *(slash == copy ? slash + 1 : slash) = 0;
    int directory = open(slash ? copy : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    if (directory < 0) return false;
    bool good = fsync(directory) == 0;
    int error = errno;
    close(directory);
    errno = error;
    return good;
}

static bool write_temporary(const char *path, const struct iovec *parts, uint32_t count) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0) return false;
    bool good = true;
    for (uint32_t i = 0; good && i < count; i++) good = write_part(file, parts[i]);
    if (good) good = fsync(file) == 0;
    int error = errno;
    if (close(file) != 0 && good) return false;
    errno = error;
    return good;
}

bool file_write(const char *path, const struct iovec *parts, uint32_t count, Fail *fail) {
    char *temporary = file_text("%s.%d.tmp", path, (int)getpid());
    bool good = write_temporary(temporary, parts, count) && rename(temporary, path) == 0;
    if (!good) {
        file_failed(fail, "write", path);
        unlink(temporary);
    } else if (!sync_directory(path)) {
        good = file_failed(fail, "sync the directory of", path);
    }
    free(temporary);
    return good;
}

static bool read_all(int file, char *bytes, uint64_t size) {
    uint64_t have = 0;
    while (have < size) {
        ssize_t got = read(file, bytes + have, size - have);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            if (got == 0) errno = EIO; /* it shrank while it was read */
            return false;
        }
        have += (uint64_t)got;
    }
    return true;
}

bool file_read(const char *path, char **bytes, uint64_t *size, Fail *fail) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return file_failed(fail, "read", path);
    struct stat info;
    bool good = fstat(file, &info) == 0;
    if (good && !S_ISREG(info.st_mode)) {
        errno = S_ISDIR(info.st_mode) ? EISDIR : EINVAL;
        good = false;
    }
    *bytes = NULL;
    if (good) {
        *size = (uint64_t)info.st_size;
        *bytes = malloc(*size + 1);
        good = *bytes && read_all(file, *bytes, *size);
    }
    if (good) (*bytes)[*size] = 0;
    if (!good) {
        file_failed(fail, "read", path);
        free(*bytes);
        *bytes = NULL;
    }
    close(file);
    return good;
}

bool file_make_directory(const char *path, Fail *fail) {
    if (mkdir(path, 0777) != 0) {
        struct stat info;
        if (errno == EEXIST && stat(path, &info) == 0) {
            if (S_ISDIR(info.st_mode)) return true;
            errno = ENOTDIR;
        }
        return file_failed(fail, "make the directory", path);
    }
    if (!sync_directory(path)) return file_failed(fail, "sync the directory of", path);
    return true;
}

bool file_remove(const char *path, Fail *fail) {
    if (unlink(path) != 0 && errno != ENOENT) return file_failed(fail, "remove", path);
    return true;
}

bool file_sweep_directory(const char *path, bool (*keep)(const void *context, const char *name),
                          const void *context, Fail *fail) {
    DIR *directory = opendir(path);
    if (!directory) return file_failed(fail, "read the directory", path);
    bool good = true;
    for (struct dirent *entry; good && (entry = readdir(directory));) {
        if (entry->d_name[0] == '.' || keep(context, entry->d_name)) continue;
        char *name = file_text("%s/%s", path, entry->d_name);
        good = file_remove(name, fail);
        free(name);
    }
    closedir(directory);
    return good;
}
