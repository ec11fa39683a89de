/* The C library's memory and string functions over short and middling buffers of every alignment. */
#define KERNEL_NAME "memstr"
#define KERNEL_ROUNDS 55000
#include "lib/kernel.h"

#define SIZE 4096

static char source[SIZE + 64], target[SIZE + 64];

static uint64_t kernel(uint64_t rounds) {
    uint64_t random = 123456789;
    uint64_t sum = 1;
    for (int i = 0; i < SIZE + 63; i++) {
        source[i] = (char)('a' + next_random(&random) % 25);
    }
    for (uint64_t round = 0; round < rounds; round++) {
        for (int i = 0; i < 100; i++) {
            uint64_t draw = next_random(&random) ^ sum;
            size_t from = draw & 31, to = draw >> 5 & 31;
            size_t length = i % 10 == 0 ? 1024 + (draw >> 10 & 2047) : draw >> 10 & 127;
            memcpy(target + to, source + from, length);
            target[to + length] = 0;
            sum += strlen(target + to);
            sum += memcmp(target + to, source + from, length) == 0;
            char *found = memchr(source + from, 'a' + (int)(draw >> 24 & 15), length);
            sum += found ? (uint64_t)(found - source) : 0;
            memmove(target + to + 3, target + to, length);
            memset(target + from, 'z', length / 2);
            sum += strcmp(target + to, source + from) < 0;
            found = strchr(source + from, 'z');
            sum += found ? 1u : 0u;
        }
        sum = fold(sum, (uint8_t)target[sum % SIZE]);
    }
    return sum;
}
