/* SHA-256 as FIPS 180-4 defines it. */
#ifndef SHA256_H
#define SHA256_H
#include <stdint.h>

struct sha256 {
    uint32_t state[8];
    uint32_t length;
    uint8_t block[64];
};

void sha256_start(struct sha256 *h);
void sha256_add(struct sha256 *h, const void *data, uint32_t size);
void sha256_finish(struct sha256 *h, uint8_t digest[32]);
#endif
