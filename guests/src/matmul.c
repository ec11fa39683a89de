/* Matrix products whose operands and results are small integers, so that no operation rounds: emulators that watch for
 * the inexact flag pay most here. */
#define KERNEL_NAME "matmul"
#define KERNEL_ROUNDS 500
#include "lib/kernel.h"

#define N 144

static double a[N][N], b[N][N], c[N][N];

static NOINLINE void multiply(void) {
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            c[i][j] = 0;
        }
        for (int k = 0; k < N; k++) {
            double left = a[i][k];
            for (int j = 0; j < N; j++) {
                c[i][j] += left * b[k][j];
            }
        }
    }
}

static uint64_t kernel(uint64_t rounds) {
    uint64_t random = 1181783497276652981u;
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            a[i][j] = (double)(int64_t)(next_random(&random) % 17) - 8;
            b[i][j] = (double)(int64_t)(next_random(&random) % 17) - 8;
        }
    }
    uint64_t sum = 1;
    for (uint64_t round = 0; round < rounds; round++) {
        multiply();
        for (int i = 0; i < N; i++) {
            sum = fold(sum, double_bits(c[i][(sum >> 7) % N]));
        }
        a[sum % N][(sum >> 20) % N] = (double)(sum & 7);
    }
    return sum;
}
