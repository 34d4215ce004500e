/* Files as streams of bytes, plain or compressed: gzip is recognised by its first two bytes, not by
 * its name.
 *
 *     Stream *stream = stream_open("data/x.npy.gz", fail);
 *     if (!stream || !stream_read(stream, header, sizeof header, &got, fail)) …
 *     stream_close(stream);
 *
 * Nothing is trusted: a truncated or corrupt gzip file is an error of stream_read, never a short
 * file. The entry of an archive, and bytes in memory, are streams, too. */
#ifndef TUNE_RUNTIME_GZIP_H
#define TUNE_RUNTIME_GZIP_H

#include <stdint.h>

#include "runtime/fail.h"

typedef struct Stream Stream;

/* NULL on failure, with the path and the reason. */
Stream *stream_open(const char *path, Fail *fail);
/* The same for files whose bytes may begin like gzip's: their name says whether they are packed. */
Stream *stream_open_by_name(const char *path, Fail *fail);

/* A part of a file, as the directory of an archive describes it. */
typedef struct {
    uint64_t at, packed_bytes; /* in the file */
    uint64_t bytes;            /* unpacked */
    uint32_t sum;              /* CRC-32 of the unpacked bytes */
    bool deflated;
} StreamPart;

/* That part alone, as a stream called "path:name". At its end its length and its sum are checked.
 */
Stream *stream_open_part(const char *path, const char *name, const StreamPart *part, Fail *fail);
/* Bytes in memory, which outlive the stream, as one called "path:name". */
Stream *stream_open_bytes(const char *path, const char *name, const void *bytes, uint64_t count,
                          Fail *fail);

void stream_close(Stream *stream); /* NULL is fine */
const char *stream_path(const Stream *stream);

/* The most bytes that the stream can hold, unpacked: a header that promises more lies. */
uint64_t stream_most_bytes(const Stream *stream);

/* Reads `bytes` bytes; fewer (*got) only at the end of the file. */
bool stream_read(Stream *stream, void *to, uint64_t bytes, uint64_t *got, Fail *fail);

#endif
