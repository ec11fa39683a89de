/* Deep recursion, large frames and variable-length arrays: the stack grows as far as the limit says. */
#include "lib/check.h"
#include <alloca.h>

__attribute__((noinline)) static uint64_t deep(uint64_t depth, uint64_t x) {
    volatile uint64_t room[16];
    room[depth & 15] = x;
    if (depth == 0) return room[0];
    return deep(depth - 1, x * 3 + depth) + room[depth & 15];
}

__attribute__((noinline)) static unsigned wide(unsigned seed) {
    unsigned char frame[4 << 20];
    for (size_t i = 0; i < sizeof frame; i += 4096) frame[i] = (unsigned char)(seed + (i >> 12));
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof frame; i += 4096) sum += ((volatile unsigned char *)frame)[i];
    return sum;
}

__attribute__((noinline)) static unsigned variable(int n) {
    int array[n];
    for (int i = 0; i < n; i++) array[i] = i * i;
    unsigned sum = 0;
    for (int i = 0; i < n; i++) sum += (unsigned)array[n - 1 - i];
    char *more = alloca((size_t)n * 3);
    memset(more, 1, (size_t)n * 3);
    return sum + (unsigned)more[n];
}

__attribute__((noinline)) static int even(unsigned n);
__attribute__((noinline)) static int odd(unsigned n) { return n == 0 ? 0 : even(n - 1); }
__attribute__((noinline)) static int even(unsigned n) { return n == 0 ? 1 : odd(n - 1); }

int main(void) {
    printf("deep %016" PRIx64 "\n", deep(25000, 1));
    unsigned expected = 0;
    for (unsigned i = 0; i < 1024; i++) expected += (unsigned char)(5 + i);
    CHECK_U64(wide(5), expected);
    unsigned squares = 0;
    for (unsigned i = 0; i < 5000; i++) squares += i * i;
    CHECK_U64(variable(5000), squares + 1);
    CHECK_U64(variable(1), 1);
    CHECK(even(30000) && odd(30001));
    return finish("stack");
}
