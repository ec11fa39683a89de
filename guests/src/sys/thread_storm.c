/* Many threads with atomic operations of every width, linked lists built with compare-and-swap, message passing by
 * release and acquire: nothing is lost and nothing is seen out of order. C17 7.17, the ISA's memory model. */
#include "../lib/sys.h"

#define THREADS 16
#define ROUNDS 5000
#define MESSAGES 3000
#define MILLISECONDS 2000 /* for messages: where all processors are busy, a turn of the other thread takes its time */

struct node {
    struct node *next;
    unsigned value;
};

static atomic_uchar bytes[4];
static _Atomic uint16_t halves[2];
static atomic_uint words;
static _Atomic uint64_t longs, xors, ors;
static _Atomic(struct node *) stack;
static struct node nodes[THREADS][256];
static atomic_uint flag, last, bad;
static unsigned payload[4];
static pthread_barrier_t barrier;

static void *work(void *argument) {
    unsigned self = (unsigned)(uintptr_t)argument;
    pthread_barrier_wait(&barrier);
    for (unsigned i = 0; i < ROUNDS; i++) {
        bytes[self % 4]++;
        halves[self % 2] += 3;
        atomic_fetch_add_explicit(&words, 1, memory_order_relaxed);
        longs += UINT64_C(0x100000001);
        xors ^= UINT64_C(1) << (i + self) % 64;
        ors |= UINT64_C(1) << i % 64;
    }
    for (unsigned i = 0; i < 256; i++) {
        struct node *node = &nodes[self][i];
        node->value = 1;
        node->next = stack;
        while (!atomic_compare_exchange_weak(&stack, &node->next, node)) {
        }
    }
    return NULL;
}

static void *sends(void *argument) {
    (void)argument;
    int64_t end = milliseconds() + MILLISECONDS;
    for (unsigned round = 1; !last; round++) {
        while (atomic_load_explicit(&flag, memory_order_acquire) % 2) sched_yield();
        if (round == MESSAGES || (round >= 20 && milliseconds() >= end)) last = round;
        for (int i = 0; i < 4; i++) payload[i] = round * 4 + (unsigned)i;
        atomic_fetch_add_explicit(&flag, 1, memory_order_release);
    }
    return NULL;
}

static void *receives(void *argument) {
    (void)argument;
    for (unsigned round = 1; last == 0 || round <= last; round++) {
        while (atomic_load_explicit(&flag, memory_order_acquire) % 2 == 0) sched_yield();
        for (int i = 0; i < 4; i++) bad += payload[i] != round * 4 + (unsigned)i;
        atomic_fetch_add_explicit(&flag, 1, memory_order_release);
    }
    return NULL;
}

int main(void) {
    begin();
    pthread_t threads[THREADS];
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (uintptr_t i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < 4; i++) CHECK_U64(bytes[i], (THREADS / 4 * ROUNDS) & 0xff);
    for (int i = 0; i < 2; i++) CHECK_U64(halves[i], (THREADS / 2 * ROUNDS * 3) & 0xffff);
    CHECK_U64(words, THREADS * ROUNDS);
    CHECK_U64(longs, UINT64_C(0x100000001) * THREADS * ROUNDS);
    uint64_t expected = 0;
    for (unsigned self = 0; self < THREADS; self++) {
        for (unsigned i = 0; i < ROUNDS; i++) expected ^= UINT64_C(1) << (i + self) % 64;
    }
    CHECK_U64(xors, expected);
    CHECK_U64(ors, UINT64_MAX);
    unsigned length = 0;
    for (struct node *node = stack; node; node = node->next) length += node->value;
    CHECK_U64(length, THREADS * 256);
    CHECK(pthread_create(&threads[0], NULL, sends, NULL) == 0 && pthread_create(&threads[1], NULL, receives, NULL) == 0);
    CHECK(pthread_join(threads[0], NULL) == 0 && pthread_join(threads[1], NULL) == 0);
    CHECK_U64(bad, 0);
    return finish("thread_storm");
}
