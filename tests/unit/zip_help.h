/* ZIP archives for tests, written as NumPy writes them: in front of an entry stand no lengths but
 * an extra field for 64-bit ones; its true lengths are in the directory.
 *
 *     Zip zip = {0};
 *     zip_add(&zip, "x.npy", bytes, count, true);
 *     zip_end(&zip);                               zip.bytes, zip.count is the archive */
#ifndef TUNE_TESTS_UNIT_ZIP_HELP_H
#define TUNE_TESTS_UNIT_ZIP_HELP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { ZIP_MOST_BYTES = 4096, ZIP_ROW_BYTES = 46, ZIP_LOCAL_BYTES = 30 };

typedef struct {
    unsigned char bytes[ZIP_MOST_BYTES], directory[ZIP_MOST_BYTES / 4];
    size_t count, directory_count, directory_at;
    uint32_t entries;
} Zip;

static inline void zip_number(unsigned char *to, uint32_t value, int width) {
    for (int b = 0; b < width; b++) to[b] = (unsigned char)(value >> 8 * b);
}

static inline size_t zip_deflate(const void *bytes, size_t count, unsigned char *to, size_t room) {
    z_stream stream = {.next_in = (unsigned char *)bytes,
                       .avail_in = (uInt)count,
                       .next_out = to,
                       .avail_out = (uInt)room};
    if (deflateInit2(&stream, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK ||
        deflate(&stream, Z_FINISH) != Z_STREAM_END)
        abort();
    deflateEnd(&stream);
    return room - stream.avail_out;
}

static inline void zip_add(Zip *zip, const char *name, const void *bytes, size_t count,
                           bool deflated) {
    unsigned char *local = zip->bytes + zip->count, *row = zip->directory + zip->directory_count;
    size_t name_bytes = strlen(name), extra_bytes = 20;
    unsigned char *data = local + ZIP_LOCAL_BYTES + name_bytes + extra_bytes;
    if (data + count + 64 > zip->bytes + ZIP_MOST_BYTES ||
        row + ZIP_ROW_BYTES + name_bytes > zip->directory + sizeof zip->directory)
        abort();
    size_t packed = count;
    if (deflated)
        packed = zip_deflate(bytes, count, data, (size_t)(zip->bytes + ZIP_MOST_BYTES - data));
    else
        memcpy(data, bytes, count);
    memcpy(local, "PK\3\4", 4);
    zip_number(local + 4, 45, 2);
    zip_number(local + 8, deflated ? 8 : 0, 2);
    zip_number(local + 18, UINT32_MAX, 4);
    zip_number(local + 22, UINT32_MAX, 4);
    zip_number(local + 26, (uint32_t)name_bytes, 2);
    zip_number(local + 28, (uint32_t)extra_bytes, 2);
    memcpy(local + ZIP_LOCAL_BYTES, name, name_bytes);
    memcpy(row, "PK\1\2", 4);
    zip_number(row + 6, 45, 2);
    zip_number(row + 10, deflated ? 8 : 0, 2);
    zip_number(row + 16, (uint32_t)crc32(0, bytes, (uInt)count), 4);
    zip_number(row + 20, (uint32_t)packed, 4);
    zip_number(row + 24, (uint32_t)count, 4);
    zip_number(row + 28, (uint32_t)name_bytes, 2);
    zip_number(row + 42, (uint32_t)zip->count, 4);
    memcpy(row + ZIP_ROW_BYTES, name, name_bytes);
    zip->count = (size_t)(data - zip->bytes) + packed;
    zip->directory_count += ZIP_ROW_BYTES + name_bytes;
    zip->entries++;
}

static inline void zip_end(Zip *zip) {
    if (zip->count + zip->directory_count + 22 > ZIP_MOST_BYTES) abort();
    zip->directory_at = zip->count;
    memcpy(zip->bytes + zip->count, zip->directory, zip->directory_count);
    unsigned char *end = zip->bytes + zip->count + zip->directory_count;
    memcpy(end, "PK\5\6", 4);
    zip_number(end + 8, zip->entries, 2);
    zip_number(end + 10, zip->entries, 2);
    zip_number(end + 12, (uint32_t)zip->directory_count, 4);
    zip_number(end + 16, (uint32_t)zip->directory_at, 4);
    zip->count += zip->directory_count + 22;
}

#endif
