/* A sum in parallel: threads that share an array, meet at barriers and add their parts. */
#define KERNEL_NAME "parsum"
#define KERNEL_ROUNDS 4000
#define _GNU_SOURCE
#include "lib/kernel.h"
#include <pthread.h>

#define THREADS 4
#define N 262144

static uint64_t numbers[N];
static uint64_t parts[THREADS];
static pthread_barrier_t barrier;
static uint64_t total, rounds_wanted;

static NOINLINE uint64_t add_part(const uint64_t *from, size_t count, uint64_t key) {
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) sum += (from[i] ^ key) >> 3;
    return sum;
}

static void *work(void *number) {
    size_t mine = (size_t)(uintptr_t)number;
    for (uint64_t round = 0; round < rounds_wanted; round++) {
        parts[mine] = add_part(numbers + mine * (N / THREADS), N / THREADS, total);
        if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD) {
            uint64_t sum = 0;
            for (int i = 0; i < THREADS; i++) sum += parts[i];
            total = fold(total, sum);
        }
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static uint64_t kernel(uint64_t rounds) {
    uint64_t random = 55555;
    pthread_t threads[THREADS];
    for (int i = 0; i < N; i++) numbers[i] = next_random(&random);
    total = 1;
    rounds_wanted = rounds;
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (uintptr_t i = 1; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, work, (void *)i) != 0) return 0;
    }
    work(NULL);
    for (int i = 1; i < THREADS; i++) pthread_join(threads[i], NULL);
    return total;
}
