/* Constants: fractional parts of the roots of the first primes, FIPS 180-4 sections 4.2.2 and 5.3.3. */
#include "sha256.h"

static const uint32_t round_constant[64] = {
    0x428A2F98u, 0x71374491u, 0xB5C0FBCFu, 0xE9B5DBA5u, 0x3956C25Bu, 0x59F111F1u,
    0x923F82A4u, 0xAB1C5ED5u, 0xD807AA98u, 0x12835B01u, 0x243185BEu, 0x550C7DC3u,
    0x72BE5D74u, 0x80DEB1FEu, 0x9BDC06A7u, 0xC19BF174u, 0xE49B69C1u, 0xEFBE4786u,
    0x0FC19DC6u, 0x240CA1CCu, 0x2DE92C6Fu, 0x4A7484AAu, 0x5CB0A9DCu, 0x76F988DAu,
    0x983E5152u, 0xA831C66Du, 0xB00327C8u, 0xBF597FC7u, 0xC6E00BF3u, 0xD5A79147u,
    0x06CA6351u, 0x14292967u, 0x27B70A85u, 0x2E1B2138u, 0x4D2C6DFCu, 0x53380D13u,
    0x650A7354u, 0x766A0ABBu, 0x81C2C92Eu, 0x92722C85u, 0xA2BFE8A1u, 0xA81A664Bu,
    0xC24B8B70u, 0xC76C51A3u, 0xD192E819u, 0xD6990624u, 0xF40E3585u, 0x106AA070u,
    0x19A4C116u, 0x1E376C08u, 0x2748774Cu, 0x34B0BCB5u, 0x391C0CB3u, 0x4ED8AA4Au,
    0x5B9CCA4Fu, 0x682E6FF3u, 0x748F82EEu, 0x78A5636Fu, 0x84C87814u, 0x8CC70208u,
    0x90BEFFFAu, 0xA4506CEBu, 0xBEF9A3F7u, 0xC67178F2u,
};

static const uint32_t start_state[8] = {
    0x6A09E667u, 0xBB67AE85u, 0x3C6EF372u, 0xA54FF53Au,
    0x510E527Fu, 0x9B05688Cu, 0x1F83D9ABu, 0x5BE0CD19u,
};

static uint32_t turn(uint32_t x, unsigned n) { return x >> n | x << (32 - n); }

static void compress(struct sha256 *h)
{
    uint32_t w[64], s[8];
    for (unsigned i = 0; i < 16; i++) {
        const uint8_t *p = h->block + 4 * i;
        w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    }
    for (unsigned i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (turn(a, 7) ^ turn(a, 18) ^ a >> 3) + w[i - 7] + (turn(b, 17) ^ turn(b, 19) ^ b >> 10);
    }
    for (unsigned i = 0; i < 8; i++)
        s[i] = h->state[i];
    for (unsigned i = 0; i < 64; i++) {
        uint32_t sigma1 = turn(s[4], 6) ^ turn(s[4], 11) ^ turn(s[4], 25);
        uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
        uint32_t t1 = s[7] + sigma1 + choice + round_constant[i] + w[i];
        uint32_t sigma0 = turn(s[0], 2) ^ turn(s[0], 13) ^ turn(s[0], 22);
        uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
        for (unsigned k = 7; k; k--)
            s[k] = s[k - 1];
        s[4] += t1;
        s[0] = t1 + sigma0 + majority;
    }
    for (unsigned i = 0; i < 8; i++)
        h->state[i] += s[i];
}

void sha256_start(struct sha256 *h)
{
    for (unsigned i = 0; i < 8; i++)
        h->state[i] = start_state[i];
    h->length = 0;
}

void sha256_add(struct sha256 *h, const void *data, uint32_t size)
{
    const uint8_t *p = data;
    while (size--) {
        h->block[h->length++ % 64] = *p++;
        if (h->length % 64 == 0)
            compress(h);
    }
}

void sha256_finish(struct sha256 *h, uint8_t digest[32])
{
    uint32_t bytes = h->length;
    uint8_t byte = 0x80;
    do {
        sha256_add(h, &byte, 1);
        byte = 0;
    } while (h->length % 64 != 56);
    for (unsigned i = 0; i < 4; i++)
        sha256_add(h, &byte, 1);
    for (int shift = 21; shift >= -3; shift -= 8) {
        byte = (uint8_t)(shift < 0 ? bytes << 3 : bytes >> shift);
        sha256_add(h, &byte, 1);
    }
    for (unsigned i = 0; i < 32; i++)
        digest[i] = (uint8_t)(h->state[i / 4] >> (24 - 8 * (i % 4)));
}
