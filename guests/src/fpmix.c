/* Floating point of every kind: both widths, division and square roots, conversions, comparisons, choices by sign. */
#define KERNEL_NAME "fpmix"
#define KERNEL_ROUNDS 300000
#include "lib/kernel.h"
#include <math.h>

#define N 256

static double samples[N];
static float weights[N];

/* A polynomial for the exponential on [-1, 1]. */
static double exponential(double x) {
    double term = 1.0 / 5040;
    term = term * x + 1.0 / 720;
    term = term * x + 1.0 / 120;
    term = term * x + 1.0 / 24;
    term = term * x + 1.0 / 6;
    term = term * x + 0.5;
    term = term * x + 1.0;
    return term * x + 1.0;
}

static NOINLINE double statistics(void) {
    double sum = 0, squares = 0, low = samples[0], high = samples[0];
    for (int i = 0; i < N; i++) {
        sum += samples[i];
        squares += samples[i] * samples[i];
        if (samples[i] < low) low = samples[i];
        if (samples[i] > high) high = samples[i];
    }
    double mean = sum / N;
    return sqrt(fabs(squares / N - mean * mean)) + (high - low) * 0.125;
}

static NOINLINE float smooth(float rate) {
    float state = 0;
    for (int i = 0; i < N; i++) {
        state += rate * ((float)samples[i] - state);
        weights[i] = state > 0 ? state : -state * 0.5f;
    }
    return state;
}

static NOINLINE int64_t quantise(double step) {
    int64_t total = 0;
    for (int i = 0; i < N; i++) {
        int32_t level = (int32_t)(samples[i] / step);
        samples[i] -= (double)level * step * 0.25;
        total += level + (int64_t)(weights[i] * 16.0f);
    }
    return total;
}

static uint64_t kernel(uint64_t rounds) {
    uint64_t random = 362436069, sum = 1;
    for (int i = 0; i < N; i++) {
        samples[i] = (double)(int64_t)(next_random(&random) >> 40) / 8388608.0 - 1.0;
    }
    for (uint64_t round = 0; round < rounds; round++) {
        double spread = statistics();
        float end = smooth((float)spread * 0.25f + 0.01f);
        int64_t levels = quantise(spread * 0.03 + 0.01);
        for (int i = 0; i < N; i += 4) {
            double x = samples[i];
            double y = exponential(x > 1 ? 1 / x : x < -1 ? -1 / x : x);
            samples[i] = copysign(y - 1.5, (double)weights[i] - 0.25);
            samples[i + 1] = sqrt(fabs(samples[i + 1]) + 0.5) - (double)(sum & 15) * 0.0625;
        }
        sum = fold(sum, double_bits(spread) ^ double_bits(end) ^ (uint64_t)levels);
    }
    return sum;
}
