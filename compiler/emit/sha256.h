/* SHA-256 (FIPS 180-4): names and checks the entries of the cache of compiled kernels.
 *
 *     Sha256 hash;
 *     sha256_init(&hash);
 *     sha256_add(&hash, text, bytes);
 *     unsigned char digest[SHA256_BYTES];
 *     sha256_end(&hash, digest); */
#ifndef TUNE_COMPILER_EMIT_SHA256_H
#define TUNE_COMPILER_EMIT_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_BYTES = 32 };

typedef struct {
    uint32_t state[8];
    uint64_t bytes;
    unsigned char block[64];
} Sha256;

void sha256_init(Sha256 *hash);
void sha256_add(Sha256 *hash, const void *data, size_t bytes);
void sha256_end(Sha256 *hash, unsigned char digest[SHA256_BYTES]);

#endif
