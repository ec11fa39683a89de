/* Base 64, base 16 and a CRC over what they give: bytes looked up in tables, shifted and put together. */
#define KERNEL_NAME "base64"
#define KERNEL_ROUNDS 11000
#include "lib/kernel.h"

#define SIZE 6144

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static uint8_t values[256];
static uint32_t crc_table[256];
static uint8_t data[SIZE + 3], back[SIZE + 3];
static char encoded[SIZE / 3 * 4 + 8];

static NOINLINE size_t encode(size_t length) {
    char *to = encoded;
    size_t i = 0;
    for (; i + 2 < length; i += 3) {
        uint32_t three = (uint32_t)data[i] << 16 | (uint32_t)data[i + 1] << 8 | data[i + 2];
        *to++ = letters[three >> 18];
        *to++ = letters[three >> 12 & 63];
        *to++ = letters[three >> 6 & 63];
        *to++ = letters[three & 63];
    }
    if (i < length) {
        uint32_t rest = (uint32_t)data[i] << 16 | (i + 1 < length ? (uint32_t)data[i + 1] << 8 : 0);
        *to++ = letters[rest >> 18];
        *to++ = letters[rest >> 12 & 63];
        *to++ = i + 1 < length ? letters[rest >> 6 & 63] : '=';
        *to++ = '=';
    }
    return (size_t)(to - encoded);
}

static NOINLINE size_t decode(size_t length) {
    uint8_t *to = back;
    uint32_t bits = 0;
    int have = 0;
    for (size_t i = 0; i < length && encoded[i] != '='; i++) {
        bits = bits << 6 | values[(uint8_t)encoded[i]];
        if ((have += 6) >= 8) {
            have -= 8;
            *to++ = (uint8_t)(bits >> have);
        }
    }
    return (size_t)(to - back);
}

static NOINLINE uint32_t crc(const uint8_t *from, size_t length) {
    uint32_t value = ~UINT32_C(0);
    for (size_t i = 0; i < length; i++) value = crc_table[(value ^ from[i]) & 255] ^ value >> 8;
    return ~value;
}

static NOINLINE uint32_t adler(const uint8_t *from, size_t length) {
    uint32_t low = 1, high = 0;
    for (size_t i = 0; i < length; i++) {
        low += from[i];
        if (low >= 65521) low -= 65521;
        high += low;
        if (high >= 65521) high -= 65521;
    }
    return high << 16 | low;
}

static uint64_t kernel(uint64_t rounds) {
    uint64_t random = 271828182, sum = 1;
    for (int i = 0; i < 64; i++) values[(uint8_t)letters[i]] = (uint8_t)i;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++) value = value & 1 ? value >> 1 ^ 0xedb88320u : value >> 1;
        crc_table[i] = value;
    }
    for (int i = 0; i < SIZE; i++) data[i] = (uint8_t)next_random(&random);
    for (uint64_t round = 0; round < rounds; round++) {
        size_t length = SIZE - (size_t)(sum % 7);
        size_t written = encode(length);
        size_t read = decode(written);
        sum = fold(sum, crc((const uint8_t *)encoded, written) ^ (uint64_t)read << 32);
        sum = fold(sum, adler(back, read));
        data[sum % SIZE] = (uint8_t)(sum >> 20);
    }
    return sum;
}
