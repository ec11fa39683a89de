/* Atomic operations on memory that another thread uses too: counters, exchanges, a lock, a list of free cells. */
#define KERNEL_NAME "counter"
#define KERNEL_ROUNDS 150000
#include "lib/kernel.h"
#include <pthread.h>
#include <stdatomic.h>

#define STEPS 256
#define CELLS 64

/* Apart by a line of the cache, so that only what is meant to be contended is. */
static struct {
    _Alignas(128) _Atomic uint64_t value;
} shared, own[2];
static atomic_flag lock = ATOMIC_FLAG_INIT;
static uint64_t guarded;
/* The head of a list: a cell's number in the low half, the number of changes in the high half. */
static _Atomic uint64_t head;
static uint32_t next_of[CELLS];

static uint64_t successor(uint64_t old, uint32_t cell) {
    return ((old >> 32) + 1) << 32 | cell;
}

static uint32_t take(void) {
    uint64_t old = atomic_load(&head);
    while (!atomic_compare_exchange_weak(&head, &old, successor(old, next_of[(uint32_t)old]))) {
    }
    return (uint32_t)old;
}

static void give(uint32_t cell) {
    uint64_t old = atomic_load(&head);
    do next_of[cell] = (uint32_t)old;
    while (!atomic_compare_exchange_weak(&head, &old, successor(old, cell)));
}

static NOINLINE uint64_t alone(uint64_t rounds, int mine) {
    _Atomic uint64_t *counter = &own[mine].value;
    uint64_t sum = (uint64_t)mine + 1;
    for (uint64_t round = 0; round < rounds; round++) {
        for (int i = 0; i < STEPS; i++) {
            sum += atomic_fetch_add(counter, sum & 7);
            sum ^= atomic_fetch_or_explicit(counter, 1, memory_order_relaxed);
            if (i % 4 == 0) atomic_exchange_explicit(counter, sum >> 8, memory_order_acq_rel);
        }
        sum = fold(sum, atomic_load_explicit(counter, memory_order_acquire));
    }
    return sum;
}

static NOINLINE void together(uint64_t rounds) {
    for (uint64_t round = 0; round < rounds; round++) {
        for (int i = 0; i < STEPS / 16; i++) {
            atomic_fetch_add(&shared.value, 3);
            uint32_t cell = take();
            give(cell);
            if (i % 4 == 0) {
                while (atomic_flag_test_and_set_explicit(&lock, memory_order_acquire)) {
                }
                guarded += 5;
                atomic_flag_clear_explicit(&lock, memory_order_release);
            }
        }
    }
}

struct work {
    uint64_t rounds, sum;
};

static void *other(void *argument) {
    struct work *work = argument;
    work->sum = alone(work->rounds, 1);
    together(work->rounds / 8);
    return NULL;
}

static uint64_t kernel(uint64_t rounds) {
    struct work work = {rounds, 0};
    pthread_t thread;
    for (uint32_t i = 0; i < CELLS; i++) next_of[i] = (i + 1) % CELLS;
    if (pthread_create(&thread, NULL, other, &work) != 0) return 0;
    uint64_t sum = alone(rounds, 0);
    together(rounds / 8);
    pthread_join(thread, NULL);
    /* The list has all of its cells again, in whatever order. */
    uint64_t cells = 0;
    for (uint32_t at = (uint32_t)atomic_load(&head), i = 0; i < CELLS; i++, at = next_of[at]) cells += at;
    return fold(fold(fold(sum, work.sum), atomic_load(&shared.value) + guarded), cells);
}
