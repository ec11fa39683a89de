/* Long random sequences of integer and floating-point operations on data the compiler cannot see, hashed: a net for
 * wrong arithmetic in optimised and in compiled code. Conversions stay in range. */
#define KERNEL_NAME "random_ops"
#define KERNEL_ROUNDS 20000
#include "lib/kernel.h"
#include <math.h>

static NOINLINE uint64_t integers(uint64_t a, uint64_t b, unsigned pick) {
    switch (pick % 24) {
    case 0: return a + b;
    case 1: return a - b;
    case 2: return a * b;
    case 3: return b ? a / b : a;
    case 4: return b ? a % b : a;
    case 5: return (int64_t)b > 0 ? (uint64_t)((int64_t)a / (int64_t)b) : b;
    case 6: return (int64_t)b > 0 ? (uint64_t)((int64_t)a % (int64_t)b) : b;
    case 7: return (uint64_t)(((unsigned __int128)a * b) >> 64);
    case 8: return (uint64_t)(((__int128)(int64_t)a * (int64_t)b) >> 64);
    case 9: return a << (b & 63);
    case 10: return a >> (b & 63);
    case 11: return (uint64_t)((int64_t)a >> (b & 63));
    case 12: return (uint64_t)(int64_t)(int32_t)((uint32_t)a + (uint32_t)b);
    case 13: return (uint64_t)(int64_t)(int32_t)((uint32_t)a * (uint32_t)b);
    case 14: return (uint64_t)(int64_t)((int32_t)a >> (b & 31));
    case 15: return (uint32_t)a >> (b & 31);
    case 16: return (uint64_t)(int64_t)(int8_t)a ^ (uint16_t)b;
    case 17: return ((int64_t)a < (int64_t)b) + 2u * (a < b) + 4u * ((int32_t)a < (int32_t)b);
    case 18: return (a & ~b) | (a ^ b) >> 1;
    case 19: return (uint64_t)__builtin_clzll(a | 1) + (uint64_t)__builtin_ctzll(b | UINT64_C(0x8000000000000000));
    case 20: return (uint64_t)__builtin_popcountll(a) << 8 | (uint64_t)__builtin_popcountll(b);
    case 21: return __builtin_bswap64(a) + __builtin_bswap32((uint32_t)b);
    case 22: return (a << 7 | a >> 57) ^ (b << (a & 15) | b >> (64 - 16));
    default: return (int64_t)a > (int64_t)b ? a : b;
    }
}

static NOINLINE double reals(double x, double y, unsigned pick) {
    switch (pick % 12) {
    case 0: return x + y;
    case 1: return x - y;
    case 2: return x * y;
    case 3: return y != 0 ? x / y : x;
    case 4: return __builtin_sqrt(__builtin_fabs(x)) + y;
    case 5: return (double)(float)x;
    case 6: return (double)(float)((float)x * (float)y);
    case 7: return fabs(x) < 1e15 ? (double)(int64_t)x : y;
    case 8: return fabs(y) < 1e9 ? (double)(int32_t)y : x;
    case 9: return x < y ? x : y;
    case 10: return -x;
    default: return __builtin_copysign(x, y);
    }
}

static uint64_t kernel(uint64_t rounds) {
    uint64_t random = 1234567, cells[16];
    double numbers[16];
    uint64_t sum = 1;
    for (int i = 0; i < 16; i++) {
        cells[i] = next_random(&random);
        numbers[i] = (double)(int64_t)(next_random(&random) >> 30) / 1048576.0;
    }
    for (uint64_t round = 0; round < rounds; round++) {
        for (int i = 0; i < 16; i++) {
            uint64_t draw = next_random(&random);
            unsigned from = draw & 15, with = draw >> 4 & 15, to = draw >> 8 & 15;
            uint64_t result = integers(cells[from], cells[with], (unsigned)(draw >> 12 & 0xffff));
            cells[to] = draw >> 60 ? result : draw;
            double number = reals(numbers[from], numbers[with], (unsigned)(draw >> 28 & 0xffff));
            if (!(fabs(number) > 1e-100 && fabs(number) < 1e100)) {
                number = (double)(int64_t)(draw >> 20) / 4096.0;
            }
            numbers[to] = number;
            sum = fold(sum, result) ^ fold(sum >> 1, double_bits(number));
        }
    }
    return sum;
}
