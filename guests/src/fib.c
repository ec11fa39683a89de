/* Recursive calls: Fibonacci numbers and Takeuchi's function. */
#define KERNEL_NAME "fib"
#define KERNEL_ROUNDS 1500
#include "lib/kernel.h"

static NOINLINE uint64_t fib(uint64_t n) {
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static NOINLINE int64_t tak(int64_t x, int64_t y, int64_t z) {
    return y < x ? tak(tak(x - 1, y, z), tak(y - 1, z, x), tak(z - 1, x, y)) : z;
}

static uint64_t kernel(uint64_t rounds) {
    uint64_t sum = 1;
    for (uint64_t i = 0; i < rounds; i++) {
        sum = fold(sum, fib(26 + (sum & 1)));
        sum = fold(sum, (uint64_t)tak(14 + (int64_t)(sum & 1), 8, 3));
    }
    return sum;
}
