/* Loops that a compiler vectorises where it may: sums, blends and counts over arrays of several widths. */
#define KERNEL_NAME "vectors"
#define KERNEL_ROUNDS 60000
#include "lib/kernel.h"

#define N 2048

static int32_t a[N], b[N], c[N];
static uint8_t over[N], under[N], mixed[N];
static float x[N], y[N];
static int16_t sound[N];

static NOINLINE void scale_add(float by) {
    for (int i = 0; i < N; i++) y[i] = y[i] * 0.5f + by * x[i];
}

static NOINLINE void blend(unsigned alpha) {
    for (int i = 0; i < N; i++) mixed[i] = (uint8_t)((over[i] * alpha + under[i] * (256 - alpha)) >> 8);
}

static NOINLINE void combine(void) {
    for (int i = 0; i < N; i++) c[i] = (a[i] ^ b[i]) + (a[i] > b[i] ? a[i] : b[i]);
}

static NOINLINE uint32_t distance(void) {
    uint32_t sum = 0;
    for (int i = 0; i < N; i++) {
        int d = over[i] - mixed[i];
        sum += (uint32_t)(d < 0 ? -d : d);
    }
    return sum;
}

static NOINLINE int64_t energy(void) {
    int64_t sum = 0;
    for (int i = 0; i < N; i++) sum += sound[i] * sound[i];
    return sum;
}

static NOINLINE unsigned above(int32_t limit) {
    unsigned count = 0;
    for (int i = 0; i < N; i++) count += c[i] > limit;
    return count;
}

static uint64_t kernel(uint64_t rounds) {
    uint64_t random = 521288629, sum = 1;
    for (int i = 0; i < N; i++) {
        uint64_t draw = next_random(&random);
        a[i] = (int32_t)(draw & 0xffffff), b[i] = (int32_t)(draw >> 20 & 0xffffff);
        over[i] = (uint8_t)(draw >> 8), under[i] = (uint8_t)(draw >> 16);
        x[i] = (float)(int32_t)(draw >> 50) * 0.001f, y[i] = 0;
        sound[i] = (int16_t)(draw >> 30);
    }
    for (uint64_t round = 0; round < rounds; round++) {
        scale_add((float)(sum & 7) * 0.25f);
        blend((unsigned)(sum >> 8 & 255));
        combine();
        sum = fold(sum, distance() + above((int32_t)(sum >> 42)));
        sum = fold(sum, (uint64_t)energy() ^ double_bits(y[sum % N]));
        a[sum % N] ^= (int32_t)(sum >> 44);
        sound[sum % N] = (int16_t)(sum >> 20);
    }
    return sum;
}
