/* Two threads that take turns: through a mutex with a condition, and through futexes of their own. */
#define KERNEL_NAME "pingpong"
#define KERNEL_ROUNDS 5000
#define _GNU_SOURCE
#include "lib/kernel.h"
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Turns of each kind in a round. */
#define TURNS 8

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static unsigned turn; /* 0 is the first thread's, 1 the second's */
static uint64_t ball;

static _Atomic uint32_t words[2];

static void take_turn(unsigned mine) {
    pthread_mutex_lock(&lock);
    while (turn != mine) pthread_cond_wait(&turned, &lock);
    ball = fold(ball, mine + 1);
    turn = !mine;
    pthread_cond_signal(&turned);
    pthread_mutex_unlock(&lock);
}

static void await(_Atomic uint32_t *word) {
    while (atomic_exchange(word, 0) == 0) syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

static void wake(_Atomic uint32_t *word) {
    atomic_store(word, 1);
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void play(unsigned mine, uint64_t rounds) {
    for (uint64_t round = 0; round < rounds; round++) {
        for (int i = 0; i < TURNS; i++) take_turn(mine);
        for (int i = 0; i < TURNS; i++) {
            if (mine == 0) wake(&words[1]);
            await(&words[mine]);
            ball = fold(ball, mine + 3);
            if (mine == 1) wake(&words[0]);
        }
    }
}

static void *second(void *rounds) {
    play(1, *(uint64_t *)rounds);
    return NULL;
}

static uint64_t kernel(uint64_t rounds) {
    pthread_t thread;
    ball = 1;
    if (pthread_create(&thread, NULL, second, &rounds) != 0) return 0;
    play(0, rounds);
    pthread_join(thread, NULL);
    return ball;
}
