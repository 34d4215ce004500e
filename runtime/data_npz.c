/* NPZ, NumPy's format for several arrays: a ZIP archive (APPNOTE.TXT) of NPY files.
 *
 *     entry | entry | … | directory, a row per entry | its end: where the directory is
 *
 * The directory alone says how long an entry is and where: writers that do not know it in advance,
 * NumPy's too, leave it open in front of the entry. Archives that need ZIP64 (entries from 4 GiB)
 * are refused. */
#include "runtime/data_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { END_BYTES = 22, ROW_BYTES = 46, LOCAL_BYTES = 30, MOST_COMMENT = 65535 };
enum { FLAG_ENCRYPTED = 1, STORED = 0, DEFLATED = 8 };
enum { OPEN_16 = 0xFFFF }; /* the value is in a ZIP64 field */
#define OPEN_32 0xFFFFFFFFu

typedef struct {
    const char *path;
    int file;
    uint64_t bytes;
    unsigned char *directory;
    uint64_t directory_at, directory_bytes;
    uint32_t entries;
    Fail *fail;
} Archive;

/* A row of the directory. */
typedef struct {
    const char *name; /* not terminated */
    uint32_t name_bytes, flags, method;
    uint64_t local_at;
    StreamPart part; /* `at` is known once the entry's own header is read */
} Entry;

static uint32_t number_16(const unsigned char *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8;
}

static uint32_t number_32(const unsigned char *at) {
    return number_16(at) | number_16(at + 2) << 16;
}

static bool has_mark(const unsigned char *at, const char *mark) {
    return memcmp(at, mark, 4) == 0;
}

static bool fail_damaged(const Archive *archive, const char *what) {
    fail_set(archive->fail, "'%s' is a damaged archive: %s", archive->path, what);
    return fail_help(archive->fail, "check it with 'unzip -t', and fetch or make it again");
}

static bool fail_large(const Archive *archive) {
    fail_set(archive->fail, "'%s' is a ZIP64 archive, for entries from 4 GiB; it is not supported",
             archive->path);
    return fail_help(archive->fail, "save each array by numpy.save, and read the files by npy(…)");
}

static bool read_at(const Archive *archive, void *to, uint64_t bytes, uint64_t at) {
    for (uint64_t done = 0; done < bytes;) {
        ssize_t got = pread(archive->file, (char *)to + done, bytes - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            return fail_set(archive->fail, "cannot read '%s': %s", archive->path, strerror(errno));
        if (got == 0) return fail_damaged(archive, "it ends early");
        done += (uint64_t)got;
    }
    return true;
}

/* ---- the directory ---- */

static bool fail_no_archive(const Archive *archive) {
    fail_set(archive->fail, "'%s' is not an NPZ file: it has no ZIP directory at its end",
             archive->path);
    return fail_help(archive->fail,
                     "write it with numpy.savez; a file of numpy.save is read by npy(…)");
}

static bool scan_end(Archive *archive, const unsigned char *end, uint64_t end_at) {
    archive->entries = number_16(end + 10);
    archive->directory_bytes = number_32(end + 12);
    archive->directory_at = number_32(end + 16);
    if (archive->entries == OPEN_16 || archive->directory_bytes == OPEN_32 ||
        archive->directory_at == OPEN_32)
        return fail_large(archive);
    if (number_16(end + 4) != 0 || number_16(end + 8) != archive->entries)
        return fail_damaged(archive, "it is one of several parts");
    if (archive->directory_at + archive->directory_bytes > end_at)
        return fail_damaged(archive, "its directory does not end where it should");
    return true;
}

/* The end has a comment of any text behind it, so it is looked for from behind. */
static bool find_end(Archive *archive) {
    unsigned char *tail = malloc(END_BYTES + MOST_COMMENT);
    if (!tail) return fail_set(archive->fail, "not enough memory to open '%s'", archive->path);
    uint64_t count =
        archive->bytes < END_BYTES + MOST_COMMENT ? archive->bytes : END_BYTES + MOST_COMMENT;
    bool read = read_at(archive, tail, count, archive->bytes - count), found = false;
    for (uint64_t back = END_BYTES; read && !found && back <= count; back++) {
        const unsigned char *end = tail + count - back;
        found = has_mark(end, "PK\5\6") && number_16(end + 20) == back - END_BYTES;
        if (found) read = scan_end(archive, end, archive->bytes - back);
    }
    free(tail);
    return read && (found || fail_no_archive(archive));
}

static bool read_directory(Archive *archive) {
    if (!find_end(archive)) return false;
    archive->directory = malloc(archive->directory_bytes + 1);
    if (!archive->directory)
        return fail_set(archive->fail, "not enough memory to open '%s'", archive->path);
    return read_at(archive, archive->directory, archive->directory_bytes, archive->directory_at);
}

/* The row at *at, and *at behind it. */
static bool scan_row(const Archive *archive, uint64_t *at, Entry *entry) {
    const unsigned char *row = archive->directory + *at;
    uint64_t room = archive->directory_bytes - *at;
    if (room < ROW_BYTES || !has_mark(row, "PK\1\2"))
        return fail_damaged(archive, "its directory has fewer rows than it says");
    uint64_t bytes =
        (uint64_t)ROW_BYTES + number_16(row + 28) + number_16(row + 30) + number_16(row + 32);
    if (room < bytes) return fail_damaged(archive, "its directory ends within a row");
    *at += bytes;
    *entry = (Entry){.name = (const char *)row + ROW_BYTES,
                     .name_bytes = number_16(row + 28),
                     .flags = number_16(row + 8),
                     .method = number_16(row + 10),
                     .local_at = number_32(row + 42),
                     .part = {.packed_bytes = number_32(row + 20),
                              .bytes = number_32(row + 24),
                              .sum = number_32(row + 16)}};
    return true;
}

/* ---- an entry ---- */

/* numpy.savez(…, x = …) makes an entry x.npy: bytes of the array's name, or of the whole one. */
static uint32_t array_name_bytes(const Entry *entry) {
    const uint32_t name_bytes = entry->name_bytes, ending = 4;
    bool ends = name_bytes > ending && !memcmp(entry->name + name_bytes - ending, ".npy", ending);
    return ends ? name_bytes - ending : name_bytes;
}

static bool has_name(const Entry *entry, const char *name) {
    uint32_t bytes = array_name_bytes(entry);
    return strlen(name) == bytes && memcmp(name, entry->name, bytes) == 0;
}

static bool find_entry(const Archive *archive, const char *name, Entry *found) {
    char list[DATA_LIST_TEXT] = "";
    uint64_t at = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < archive->entries; i++) {
        Entry entry;
        if (!scan_row(archive, &at, &entry)) return false;
        data_list_name(list, entry.name, array_name_bytes(&entry));
        if (!has_name(&entry, name)) continue;
        *found = entry;
        count++;
    }
    if (count == 1) return true;
    if (count > 1)
        return fail_set(archive->fail, "'%s' has %u arrays '%s'", archive->path, count, name);
    fail_set(archive->fail, "'%s' has no array '%s'", archive->path, name);
    return list[0] ? fail_help(archive->fail, "it has %s", list) : false;
}

static bool check_entry(const Archive *archive, const char *name, const Entry *entry) {
    if (entry->flags & FLAG_ENCRYPTED) {
        fail_set(archive->fail, "'%s:%s' is encrypted", archive->path, name);
        return fail_help(archive->fail, "unpack the archive and pack it without a password");
    }
    if (entry->part.bytes == OPEN_32 || entry->part.packed_bytes == OPEN_32 ||
        entry->local_at == OPEN_32)
        return fail_large(archive);
    if (entry->method == STORED && entry->part.bytes != entry->part.packed_bytes)
        return fail_damaged(archive, "an entry that is not packed has two lengths");
    if (entry->method == STORED || entry->method == DEFLATED) return true;
    fail_set(archive->fail, "'%s:%s' is packed by method %u, which is not supported", archive->path,
             name, entry->method);
    return fail_help(archive->fail, "write it with numpy.savez or numpy.savez_compressed");
}

/* Behind the entry's own header, which has a name and extra fields of its own length. */
static bool place_entry(const Archive *archive, Entry *entry) {
    unsigned char local[LOCAL_BYTES];
    if (entry->local_at + LOCAL_BYTES > archive->directory_at)
        return fail_damaged(archive, "an entry lies outside it");
    if (!read_at(archive, local, sizeof local, entry->local_at)) return false;
    if (!has_mark(local, "PK\3\4"))
        return fail_damaged(archive, "there is no entry where its directory says");
    entry->part.deflated = entry->method == DEFLATED;
    entry->part.at = entry->local_at + LOCAL_BYTES + number_16(local + 26) + number_16(local + 28);
    return entry->part.at + entry->part.packed_bytes <= archive->directory_at ||
           fail_damaged(archive, "an entry does not end within it");
}

/* ---- fields ---- */

static bool read_field(DataSet *set, uint32_t field, const Archive *archive) {
    const char *name = set->info->fields[field].array;
    Entry entry;
    ArrayHeader header = {0};
    if (!find_entry(archive, name, &entry) || !check_entry(archive, name, &entry) ||
        !place_entry(archive, &entry))
        return false;
    Stream *stream = stream_open_part(archive->path, name, &entry.part, archive->fail);
    if (!stream) return false;
    bool read = data_npy_header(stream, &header, archive->fail) &&
                data_read_array(set, field, &header, stream, archive->fail);
    stream_close(stream);
    return read;
}

static bool open_archive(Archive *archive) {
    struct stat info;
    archive->file = open(archive->path, O_RDONLY | O_CLOEXEC);
    if (archive->file < 0 && errno == ENOENT) {
        fail_set(archive->fail, "cannot open '%s': %s", archive->path, strerror(ENOENT));
        return fail_help(archive->fail, "--data DIRECTORY says where the data files are");
    }
    if (archive->file < 0 || fstat(archive->file, &info) != 0)
        return fail_set(archive->fail, "cannot open '%s': %s", archive->path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return fail_set(archive->fail, "'%s' is not a regular file", archive->path);
    archive->bytes = (uint64_t)info.st_size;
    return true;
}

bool data_read_npz(DataSet *set, const char *directory, Fail *fail) {
    char *path = data_path(directory, set->info->file);
    if (!path) return fail_set(fail, "not enough memory");
    Archive archive = {.path = path, .file = -1, .fail = fail};
    bool read = open_archive(&archive) && read_directory(&archive);
    for (uint32_t f = 0; read && f < set->info->field_count; f++)
        read = read_field(set, f, &archive);
    if (archive.file >= 0) close(archive.file);
    free(archive.directory);
    free(path);
    return read;
}
