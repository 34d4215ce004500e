/* The cache of compiled kernels; see the header.
 *
 *     "tune nvrtc 1\n" | CudaResources | u64 log bytes | u64 image bytes | log | image | SHA-256 */
#include "compiler/emit/nvrtc_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "grammar/vec.h"

typedef struct {
    char magic[16];
    CudaResources resources;
    uint64_t log_bytes, image_bytes;
} EntryHeader;

static const char entry_magic[16] = "tune nvrtc 1\n";
static const char entry_ending[] = ".image";

const char *nvrtc_cache_directory(Arena *arena) {
    const char *own = getenv("TUNE_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (own && *own) return arena_printf(arena, "%s", own);
    if (xdg && *xdg == '/') return arena_printf(arena, "%s/tune/nvrtc", xdg);
    if (home && *home) return arena_printf(arena, "%s/.cache/tune/nvrtc", home);
    return NULL;
}

CacheKey nvrtc_cache_key(const char *const *texts, uint32_t count) {
    CacheKey key;
    Sha256 hash;
    unsigned char digest[SHA256_BYTES];
    sha256_init(&hash);
    for (uint32_t i = 0; i < count; i++) sha256_add(&hash, texts[i], strlen(texts[i]) + 1);
    sha256_end(&hash, digest);
    for (int i = 0; i < SHA256_BYTES; i++) snprintf(key.hex + 2 * i, 3, "%02x", digest[i]);
    return key;
}

static const char *entry_path(const char *directory, const CacheKey *key, Arena *arena) {
    return arena_printf(arena, "%s/%s%s", directory, key->hex, entry_ending);
}

/* ---- reading ---- */

static unsigned char *read_all(int file, uint64_t size, Arena *arena) {
    unsigned char *bytes = arena_alloc(arena, size);
    for (uint64_t at = 0; at < size;) {
        ssize_t got = read(file, bytes + at, size - at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return NULL;
        at += (uint64_t)got;
    }
    return bytes;
}

static bool is_sound(const unsigned char *bytes, uint64_t size, EntryHeader *header) {
    if (size < sizeof *header + SHA256_BYTES) return false;
    memcpy(header, bytes, sizeof *header);
    uint64_t rest = size - sizeof *header - SHA256_BYTES;
    if (memcmp(header->magic, entry_magic, sizeof entry_magic) != 0 || header->log_bytes > rest ||
        header->image_bytes != rest - header->log_bytes)
        return false;
    Sha256 hash;
    unsigned char digest[SHA256_BYTES];
    sha256_init(&hash);
    sha256_add(&hash, bytes, size - SHA256_BYTES);
    sha256_end(&hash, digest);
    return memcmp(digest, bytes + size - SHA256_BYTES, SHA256_BYTES) == 0;
}

bool nvrtc_cache_read(const char *directory, const CacheKey *key, CudaImage *image, Arena *arena) {
    enum { LARGEST = 1 << 28 };
    if (!directory) return false;
    int file = open(entry_path(directory, key, arena), O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    struct stat status;
    unsigned char *bytes = NULL;
    if (fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size < LARGEST)
        bytes = read_all(file, (uint64_t)status.st_size, arena);
    EntryHeader header;
    bool sound = bytes && is_sound(bytes, (uint64_t)status.st_size, &header);
    if (sound) futimens(file, NULL); /* used now: the last to be removed */
    close(file);
    if (!sound) return false;
    image->resources = header.resources;
    image->log = arena_copy(arena, (const char *)bytes + sizeof header, header.log_bytes);
    image->bytes = bytes + sizeof header + header.log_bytes;
    image->size = header.image_bytes;
    return true;
}

/* ---- writing ---- */

static bool make_directories(const char *path, Arena *arena) {
    char *copy = arena_printf(arena, "%s", path);
    for (char *at = copy + 1; *at; at++) {
        if (*at != '/') continue;
        *at = 0;
        if (mkdir(copy, 0777) != 0 && errno != EEXIST) return false;
        *at = '/';
    }
    return mkdir(copy, 0777) == 0 || errno == EEXIST;
}

static bool write_part(FILE *file, Sha256 *hash, const void *data, uint64_t bytes) {
    sha256_add(hash, data, bytes);
    return fwrite(data, 1, bytes, file) == bytes;
}

static bool write_entry(FILE *file, const CudaImage *image) {
    EntryHeader header = {
        .resources = image->resources, .log_bytes = strlen(image->log), .image_bytes = image->size};
    memcpy(header.magic, entry_magic, sizeof entry_magic);
    Sha256 hash;
    unsigned char digest[SHA256_BYTES];
    sha256_init(&hash);
    bool fine = write_part(file, &hash, &header, sizeof header) &&
                write_part(file, &hash, image->log, header.log_bytes) &&
                write_part(file, &hash, image->bytes, image->size);
    sha256_end(&hash, digest);
    return fine && fwrite(digest, 1, sizeof digest, file) == sizeof digest;
}

bool nvrtc_cache_write(const char *directory, const CacheKey *key, const CudaImage *image,
                       Arena *arena) {
    if (!directory || !make_directories(directory, arena)) return false;
    char *temporary = arena_printf(arena, "%s/new-XXXXXX", directory);
    int descriptor = mkostemp(temporary, O_CLOEXEC);
    FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "wb");
    if (!file) return false;
    bool fine = write_entry(file, image);
    if (fclose(file) != 0) fine = false;
    fine = fine && rename(temporary, entry_path(directory, key, arena)) == 0;
    if (!fine) unlink(temporary);
    return fine;
}

/* ---- trimming ---- */

typedef struct {
    const char *path;
    uint64_t bytes;
    struct timespec used;
} Entry;

static int oldest_first(const void *left, const void *right) {
    const struct timespec *a = &((const Entry *)left)->used, *b = &((const Entry *)right)->used;
    if (a->tv_sec != b->tv_sec) return a->tv_sec < b->tv_sec ? -1 : 1;
    return a->tv_nsec < b->tv_nsec ? -1 : a->tv_nsec > b->tv_nsec;
}

/* Entries, and what a killed compiler may have left half-written. */
static bool is_ours(const char *name) {
    size_t bytes = strlen(name), ending = sizeof entry_ending - 1;
    return !strncmp(name, "new-", 4) ||
           (bytes == 2 * SHA256_BYTES + ending && !strcmp(name + 2 * SHA256_BYTES, entry_ending));
}

void nvrtc_cache_trim(const char *directory, uint64_t limit, Arena *arena) {
    DIR *list = directory ? opendir(directory) : NULL;
    if (!list) return;
    Vec(Entry) entries = {0};
    uint64_t total = 0;
    for (struct dirent *item; (item = readdir(list));) {
        struct stat status;
        if (!is_ours(item->d_name)) continue;
        const char *path = arena_printf(arena, "%s/%s", directory, item->d_name);
        if (stat(path, &status) != 0 || !S_ISREG(status.st_mode)) continue;
        vec_push(arena, &entries, (Entry){path, (uint64_t)status.st_size, status.st_mtim});
        total += (uint64_t)status.st_size;
    }
    closedir(list);
    if (total <= limit) return;
    qsort(entries.at, entries.count, sizeof *entries.at, oldest_first);
    for (uint32_t i = 0; i < entries.count && total > limit; i++)
        if (unlink(entries.at[i].path) == 0) total -= entries.at[i].bytes;
}
