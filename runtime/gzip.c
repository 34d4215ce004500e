/* Streams of bytes from plain and gzip files, entries of archives and memory, with zlib's inflate.
 * A gzip file may consist of several members. */
#include "runtime/gzip.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { INPUT_BYTES = 1 << 16 };

struct Stream {
    char *path;
    int file;            /* -1: the bytes are in memory */
    uint64_t unread;     /* bytes of the file that are this stream's and not yet in `input` */
    uint64_t most_bytes; /* unpacked */
    bool is_part;
    StreamPart part; /* what it must come to: */
    uint64_t given;  /* bytes handed out so far */
    uLong sum;       /* CRC-32 of them */
    bool compressed;
    bool file_ended;
    bool between_members; /* compressed: nothing of a next member has been read */
    z_stream inflater;
    unsigned char input[INPUT_BYTES]; /* read and not yet used: `available` bytes at `next` */
    unsigned char *next;
    size_t available;
};

static bool fill_input(Stream *stream, Fail *fail) {
    size_t wanted = stream->unread < INPUT_BYTES ? stream->unread : INPUT_BYTES;
    ssize_t got = 0;
    do {
        if (wanted > 0) got = read(stream->file, stream->input, wanted);
    } while (got < 0 && errno == EINTR);
    if (got < 0) return fail_set(fail, "cannot read '%s': %s", stream->path, strerror(errno));
    stream->next = stream->input;
    stream->available = (size_t)got;
    stream->unread -= (uint64_t)got;
    stream->file_ended = got == 0;
    return true;
}

static bool has_suffix(const char *path) {
    size_t length = strlen(path);
    return length > 3 && strcmp(path + length - 3, ".gz") == 0;
}

/* The commonest slip is the other spelling: with or without .gz. */
static bool fail_missing(const char *path, Fail *fail) {
    size_t length = strlen(path);
    char other[4096 + 4];
    fail_set(fail, "cannot open '%s': %s", path, strerror(ENOENT));
    if (length < 4096) {
        memcpy(other, path, length + 1);
        if (has_suffix(path))
            other[length - 3] = '\0';
        else
            memcpy(other + length, ".gz", 4);
        if (access(other, R_OK) == 0)
            return fail_help(fail, "there is '%s'; name that file in the program", other);
    }
    return fail_help(fail, "--data DIRECTORY says where the data files are");
}

static bool open_file(Stream *stream, const char *path, Fail *fail) {
    struct stat info;
    stream->file = open(path, O_RDONLY | O_CLOEXEC);
    if (stream->file < 0 && errno == ENOENT) return fail_missing(path, fail);
    if (stream->file < 0 || fstat(stream->file, &info) != 0)
        return fail_set(fail, "cannot open '%s': %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode)) return fail_set(fail, "'%s' is not a regular file", path);
    stream->unread = UINT64_MAX;
    stream->most_bytes = (uint64_t)info.st_size;
    return true;
}

static uint64_t most_inflated(uint64_t packed) {
    enum { DEFLATE_LIMIT = 1032 }; /* 258 bytes from two bits, less the block headers */
    return packed > UINT64_MAX / DEFLATE_LIMIT ? UINT64_MAX : packed * DEFLATE_LIMIT;
}

/* window_bits: zlib's name for which header stands in front of the data. */
static bool start_inflating(Stream *stream, int window_bits, Fail *fail) {
    if (inflateInit2(&stream->inflater, window_bits) != Z_OK)
        return fail_set(fail, "not enough memory to unpack '%s'", stream->path);
    stream->compressed = true;
    stream->most_bytes = most_inflated(stream->most_bytes);
    return true;
}

static bool start_file(Stream *stream, const char *path, bool by_name, Fail *fail) {
    enum { GZIP_ONLY = 16 }; /* zlib: no zlib header is accepted */
    if (!open_file(stream, path, fail) || !fill_input(stream, fail)) return false;
    bool packed = stream->available >= 2 && stream->next[0] == 0x1f && stream->next[1] == 0x8b;
    if (by_name) packed = has_suffix(path);
    return !packed || start_inflating(stream, GZIP_ONLY + MAX_WBITS, fail);
}

static bool start_part(Stream *stream, const char *path, const StreamPart *part, Fail *fail) {
    enum { NO_HEADER = -1 };
    if (!open_file(stream, path, fail)) return false;
    if (lseek(stream->file, (off_t)part->at, SEEK_SET) < 0)
        return fail_set(fail, "cannot read '%s': %s", path, strerror(errno));
    stream->is_part = true;
    stream->part = *part;
    stream->unread = part->packed_bytes;
    stream->most_bytes = part->packed_bytes;
    if (part->deflated && !start_inflating(stream, NO_HEADER * MAX_WBITS, fail)) return false;
    if (part->bytes < stream->most_bytes) stream->most_bytes = part->bytes;
    return true;
}

/* Without a file; name: NULL, or what behind the path tells the stream from others. */
static Stream *new_stream(const char *path, const char *name, Fail *fail) {
    Stream *stream = calloc(1, sizeof *stream);
    if (stream) {
        stream->file = -1;
        int written = asprintf(&stream->path, "%s%s%s", path, name ? ":" : "", name ? name : "");
        if (written >= 0) return stream;
    }
    free(stream);
    fail_set(fail, "not enough memory to open '%s'", path);
    return NULL;
}

/* The stream if it `started`; else it is closed. */
static Stream *keep_if(Stream *stream, bool started) {
    if (started) return stream;
    stream_close(stream);
    return NULL;
}

Stream *stream_open(const char *path, Fail *fail) {
    Stream *stream = new_stream(path, NULL, fail);
    return keep_if(stream, stream && start_file(stream, path, false, fail));
}

Stream *stream_open_by_name(const char *path, Fail *fail) {
    Stream *stream = new_stream(path, NULL, fail);
    return keep_if(stream, stream && start_file(stream, path, true, fail));
}

Stream *stream_open_part(const char *path, const char *name, const StreamPart *part, Fail *fail) {
    Stream *stream = new_stream(path, name, fail);
    return keep_if(stream, stream && start_part(stream, path, part, fail));
}

Stream *stream_open_bytes(const char *path, const char *name, const void *bytes, uint64_t count,
                          Fail *fail) {
    Stream *stream = new_stream(path, name, fail);
    if (!stream) return NULL;
    stream->next = (unsigned char *)bytes;
    stream->available = count;
    stream->most_bytes = count;
    return stream;
}

void stream_close(Stream *stream) {
    if (!stream) return;
    if (stream->compressed) inflateEnd(&stream->inflater);
    if (stream->file >= 0) close(stream->file);
    free(stream->path);
    free(stream);
}

const char *stream_path(const Stream *stream) {
    return stream->path;
}

uint64_t stream_most_bytes(const Stream *stream) {
    return stream->most_bytes;
}

static bool read_plain(Stream *stream, unsigned char *to, uint64_t bytes, uint64_t *got,
                       Fail *fail) {
    while (*got < bytes) {
        if (stream->available == 0 && !fill_input(stream, fail)) return false;
        if (stream->file_ended) return true;
        uint64_t part = bytes - *got < stream->available ? bytes - *got : stream->available;
        memcpy(to + *got, stream->next, part);
        stream->next += part;
        stream->available -= part;
        *got += part;
    }
    return true;
}

static bool fail_corrupt(const Stream *stream, const char *reason, Fail *fail) {
    if (stream->is_part) {
        fail_set(fail, "'%s' is damaged: %s", stream->path, reason);
        return fail_help(fail, "check the archive with 'unzip -t', and fetch or make it again");
    }
    fail_set(fail, "'%s' is not a sound gzip file: %s", stream->path, reason);
    return fail_help(fail, "check it with 'gzip -t', and fetch or make it again");
}

/* One call of inflate; *got grows by what came out. */
static bool inflate_some(Stream *stream, unsigned char *to, uint64_t bytes, uint64_t *got,
                         Fail *fail) {
    z_stream *inflater = &stream->inflater;
    uint64_t room = bytes - *got < (1u << 30) ? bytes - *got : 1u << 30;
    inflater->next_in = stream->next;
    inflater->avail_in = (uInt)stream->available;
    inflater->next_out = to + *got;
    inflater->avail_out = (uInt)room;
    int status = inflate(inflater, Z_NO_FLUSH);
    stream->next = inflater->next_in;
    stream->available = inflater->avail_in;
    *got += room - inflater->avail_out;
    if (status != Z_BUF_ERROR) stream->between_members = status == Z_STREAM_END;
    if (status == Z_STREAM_END) status = inflateReset(inflater);
    if (status == Z_OK) return true;
    /* No progress: everything that the file gave is unpacked, and the end of the data has not come.
     */
    if (status == Z_BUF_ERROR && !stream->file_ended) return true;
    if (status == Z_BUF_ERROR) return fail_corrupt(stream, "it ends early", fail);
    if (status == Z_MEM_ERROR)
        return fail_set(fail, "not enough memory to unpack '%s'", stream->path);
    return fail_corrupt(stream, inflater->msg ? inflater->msg : "damaged data", fail);
}

static bool read_compressed(Stream *stream, unsigned char *to, uint64_t bytes, uint64_t *got,
                            Fail *fail) {
    while (*got < bytes) {
        if (stream->available == 0 && !fill_input(stream, fail)) return false;
        if (stream->file_ended && stream->between_members) return true;
        if (!inflate_some(stream, to, bytes, got, fail)) return false;
    }
    return true;
}

/* Counts and sums what is handed out; at the end, is it what the directory announced? */
static bool check_part(Stream *stream, const unsigned char *to, uint64_t wanted, uint64_t got,
                       Fail *fail) {
    stream->given += got;
    stream->sum = crc32_z(stream->sum, to, got);
    if (got == wanted) return true;
    if (stream->given != stream->part.bytes)
        return fail_corrupt(stream, "it has not the length that the directory says", fail);
    return stream->sum == stream->part.sum ||
           fail_corrupt(stream, "its bytes do not have the sum that the directory says", fail);
}

bool stream_read(Stream *stream, void *to, uint64_t bytes, uint64_t *got, Fail *fail) {
    *got = 0;
    bool read = stream->compressed ? read_compressed(stream, to, bytes, got, fail)
                                   : read_plain(stream, to, bytes, got, fail);
    return read && (!stream->is_part || check_part(stream, to, bytes, *got, fail));
}
