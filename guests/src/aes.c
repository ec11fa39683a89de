/* AES-128 (FIPS 197) in counter mode with four tables of 32-bit words, derived from the field when the program starts. */
#define KERNEL_NAME "aes"
#define KERNEL_ROUNDS 14000
#include "lib/kernel.h"

static uint8_t sbox[256];
static uint32_t t0[256], t1[256], t2[256], t3[256];

static uint8_t times_two(uint8_t x) {
    return (uint8_t)(x << 1 ^ (x & 0x80 ? 0x1b : 0));
}

static void derive_tables(void) {
    uint8_t exponent[256], logarithm[256] = {0};
    uint8_t x = 1;
    for (int i = 0; i < 255; i++) {
        exponent[i] = x;
        logarithm[x] = (uint8_t)i;
        x = (uint8_t)(x ^ times_two(x)); /* three generates the multiplicative group */
    }
    for (int i = 0; i < 256; i++) {
        uint8_t inverse = i == 0 ? 0 : exponent[(255 - logarithm[i]) % 255];
        uint8_t s = 0x63;
        for (int turn = 0; turn < 5; turn++) {
            s ^= (uint8_t)(inverse << turn | inverse >> (8 - turn));
        }
        sbox[i] = s;
        uint8_t two = times_two(s);
        t0[i] = (uint32_t)two << 24 | (uint32_t)s << 16 | (uint32_t)s << 8 | (uint8_t)(two ^ s);
        t1[i] = t0[i] >> 8 | t0[i] << 24;
        t2[i] = t0[i] >> 16 | t0[i] << 16;
        t3[i] = t0[i] >> 24 | t0[i] << 8;
    }
}

static uint32_t substitute(uint32_t w) {
    return (uint32_t)sbox[w >> 24] << 24 | (uint32_t)sbox[w >> 16 & 255] << 16 | (uint32_t)sbox[w >> 8 & 255] << 8 | sbox[w & 255];
}

static void expand_key(const uint32_t key[4], uint32_t schedule[44]) {
    uint8_t constant = 1;
    memcpy(schedule, key, 16);
    for (int i = 4; i < 44; i++) {
        uint32_t w = schedule[i - 1];
        if (i % 4 == 0) {
            w = substitute(w << 8 | w >> 24) ^ (uint32_t)constant << 24;
            constant = times_two(constant);
        }
        schedule[i] = schedule[i - 4] ^ w;
    }
}

static NOINLINE void encrypt(const uint32_t *key, const uint32_t in[4], uint32_t out[4]) {
    uint32_t a = in[0] ^ key[0], b = in[1] ^ key[1], c = in[2] ^ key[2], d = in[3] ^ key[3];
    for (int round = 1; round < 10; round++) {
        key += 4;
        uint32_t e = t0[a >> 24] ^ t1[b >> 16 & 255] ^ t2[c >> 8 & 255] ^ t3[d & 255] ^ key[0];
        uint32_t f = t0[b >> 24] ^ t1[c >> 16 & 255] ^ t2[d >> 8 & 255] ^ t3[a & 255] ^ key[1];
        uint32_t g = t0[c >> 24] ^ t1[d >> 16 & 255] ^ t2[a >> 8 & 255] ^ t3[b & 255] ^ key[2];
        uint32_t h = t0[d >> 24] ^ t1[a >> 16 & 255] ^ t2[b >> 8 & 255] ^ t3[c & 255] ^ key[3];
        a = e; b = f; c = g; d = h;
    }
    key += 4;
    out[0] = substitute((a & 0xff000000) | (b & 0xff0000) | (c & 0xff00) | (d & 0xff)) ^ key[0];
    out[1] = substitute((b & 0xff000000) | (c & 0xff0000) | (d & 0xff00) | (a & 0xff)) ^ key[1];
    out[2] = substitute((c & 0xff000000) | (d & 0xff0000) | (a & 0xff00) | (b & 0xff)) ^ key[2];
    out[3] = substitute((d & 0xff000000) | (a & 0xff0000) | (b & 0xff00) | (c & 0xff)) ^ key[3];
}

static uint64_t kernel(uint64_t rounds) {
    static uint32_t data[4096];
    uint32_t schedule[44], out[4];
    derive_tables();
    /* FIPS 197, appendix C.1: key 00..0f, plain text 0011..ff, cipher text 69c4e0d8 6a7b0430 d8cdb780 70b4c55a. */
    const uint32_t key[4] = {0x00010203, 0x04050607, 0x08090a0b, 0x0c0d0e0f};
    const uint32_t plain[4] = {0x00112233, 0x44556677, 0x8899aabb, 0xccddeeff};
    expand_key(key, schedule);
    encrypt(schedule, plain, out);
    if (out[0] != 0x69c4e0d8 || out[1] != 0x6a7b0430 || out[2] != 0xd8cdb780 || out[3] != 0x70b4c55a) {
        printf("wrong cipher text: %08x\n", out[0]);
        exit(1);
    }
    uint64_t sum = 1;
    uint32_t counter[4] = {0};
    for (uint64_t round = 0; round < rounds; round++) {
        for (int at = 0; at < 4096; at += 4) {
            counter[3]++;
            encrypt(schedule, counter, out);
            for (int i = 0; i < 4; i++) {
                data[at + i] ^= out[i];
            }
        }
        counter[0] ^= data[sum & 4095];
        sum = fold(sum, data[(sum >> 8) & 4095]);
    }
    return sum;
}
