/* LZ77 compression with a hash of the last positions and byte-oriented output, and its decompression. */
#define KERNEL_NAME "lz"
#define KERNEL_ROUNDS 1300
#include "lib/kernel.h"

#define SIZE 131072
#define HASH_BITS 13
#define MIN_MATCH 4
#define MAX_MATCH (MIN_MATCH + 127)

static uint8_t plain[SIZE], packed[SIZE + SIZE / 64 + 64], again[SIZE];
static uint32_t last_seen[1 << HASH_BITS];

/* Text of a few hundred made-up words, so that matches of many lengths exist. */
static void make_text(uint64_t seed) {
    uint8_t words[256][12];
    uint64_t random = seed | 1;
    for (int i = 0; i < 256; i++) {
        int length = 3 + (int)(next_random(&random) % 8);
        for (int j = 0; j < 12; j++) {
            words[i][j] = j < length ? (uint8_t)('a' + next_random(&random) % 26) : 0;
        }
    }
    uint32_t at = 0;
    while (at < SIZE) {
        uint64_t draw = next_random(&random);
        const uint8_t *word = words[(draw & 0xff) & (draw >> 8 & 0xff)];
        for (int j = 0; j < 12 && word[j] && at < SIZE; j++) {
            plain[at++] = word[j];
        }
        if (at < SIZE) {
            plain[at++] = draw >> 20 & 7 ? ' ' : '\n';
        }
    }
}

static uint32_t load_u32(const uint8_t *from) {
    uint32_t value;
    memcpy(&value, from, sizeof value);
    return value;
}

static NOINLINE uint32_t pack(uint32_t size) {
    uint32_t in = 0, out = 0, literals = 0;
    memset(last_seen, 0xff, sizeof last_seen);
    while (in < size) {
        uint32_t length = 0, from = 0;
        if (in + MIN_MATCH <= size) {
            uint32_t hash = load_u32(plain + in) * 2654435761u >> (32 - HASH_BITS);
            from = last_seen[hash];
            last_seen[hash] = in;
            if (from != 0xffffffffu && in - from < 65536) {
                while (length < MAX_MATCH && in + length < size && plain[from + length] == plain[in + length]) {
                    length++;
                }
            }
        }
        if (length >= MIN_MATCH) {
            packed[out++] = (uint8_t)(0x80 | (length - MIN_MATCH));
            packed[out++] = (uint8_t)(in - from);
            packed[out++] = (uint8_t)((in - from) >> 8);
            in += length;
            literals = 0;
        } else {
            if (literals == 0) {
                packed[out++] = 0;
            }
            packed[out++] = plain[in++];
            packed[out - 2 - literals]++;
            literals++;
            if (literals == 127) {
                literals = 0;
            }
        }
    }
    return out;
}

static NOINLINE uint32_t unpack(uint32_t size) {
    uint32_t in = 0, out = 0;
    while (in < size) {
        uint32_t token = packed[in++];
        if (token & 0x80) {
            uint32_t length = (token & 0x7f) + MIN_MATCH;
            uint32_t distance = packed[in] | (uint32_t)packed[in + 1] << 8;
            in += 2;
            while (length--) {
                again[out] = again[out - distance];
                out++;
            }
        } else {
            while (token--) {
                again[out++] = packed[in++];
            }
        }
    }
    return out;
}

static uint64_t kernel(uint64_t rounds) {
    uint64_t sum = 1;
    make_text(99);
    for (uint64_t round = 0; round < rounds; round++) {
        plain[sum % SIZE] = (uint8_t)sum;
        uint32_t size = pack(SIZE);
        if (unpack(size) != SIZE || memcmp(plain, again, SIZE) != 0) {
            printf("round trip failed\n");
            exit(1);
        }
        sum = fold(sum, size);
        for (uint32_t at = 0; at < size; at += 509) {
            sum = fold(sum, packed[at]);
        }
    }
    return sum;
}
