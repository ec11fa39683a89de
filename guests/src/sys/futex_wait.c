/* FUTEX_WAIT sleeps only while the word has the value, FUTEX_WAKE wakes at most so many, bitsets choose, timeouts are
 * relative for WAIT and absolute for WAIT_BITSET. futex(2). */
#include "../lib/sys.h"

#define WAITERS 6

static atomic_uint word;
static atomic_int left;

static void *waiter(void *mask) {
    while (futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 1, NULL, NULL, (uint32_t)(uintptr_t)mask) == -1 && errno == EINTR) {
    }
    left++;
    return NULL;
}

static long wake_until(uint32_t mask, long wanted) {
    long woken = 0;
    while (woken < wanted) {
        long now = futex(&word, FUTEX_WAKE_BITSET_PRIVATE, (uint32_t)(wanted - woken), NULL, NULL, mask);
        if (now < 0) return now;
        woken += now;
        if (now == 0) sched_yield();
    }
    return woken;
}

static void times(void) {
    struct timespec zero = {0, 0}, little = {0, 20000000}, wrong = {0, 1000000000}, negative = {-1, 0};
    word = 1;
    CHECK(FAILS(futex(&word, FUTEX_WAIT, 2, NULL, NULL, 0), EAGAIN));
    CHECK(FAILS(futex(&word, FUTEX_WAIT, 2, &little, NULL, 0), EAGAIN));
    int64_t before = milliseconds();
    CHECK(FAILS(futex(&word, FUTEX_WAIT, 1, &little, NULL, 0), ETIMEDOUT));
    CHECK(milliseconds() - before >= 19);
    CHECK(FAILS(futex(&word, FUTEX_WAIT_PRIVATE, 1, &zero, NULL, 0), ETIMEDOUT));
    CHECK(FAILS(futex(&word, FUTEX_WAIT_PRIVATE, 1, &wrong, NULL, 0), EINVAL));
    CHECK(FAILS(futex(&word, FUTEX_WAIT_PRIVATE, 1, &negative, NULL, 0), EINVAL));
    before = milliseconds();
    struct timespec at = after_ms(CLOCK_MONOTONIC, 20);
    CHECK(FAILS(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 1, &at, NULL, FUTEX_BITSET_MATCH_ANY), ETIMEDOUT));
    CHECK(milliseconds() - before >= 19);
    CHECK(FAILS(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 1, &little, NULL, 1), ETIMEDOUT)); /* long past */
    before = milliseconds();
    at = after_ms(CLOCK_REALTIME, 20);
    int real = FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME;
    CHECK(FAILS(futex(&word, real, 1, &at, NULL, FUTEX_BITSET_MATCH_ANY), ETIMEDOUT));
    CHECK(milliseconds() - before >= 15);
}

static void errors(void) {
    CHECK(FAILS(futex((char *)&word + 1, FUTEX_WAIT, 1, NULL, NULL, 0), EINVAL));
    CHECK(FAILS(futex((char *)&word + 2, FUTEX_WAKE, 1, NULL, NULL, 0), EINVAL));
    CHECK(FAILS(futex((void *)(intptr_t)-4096, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0), EFAULT));
    void *hole = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(FAILS(futex(hole, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0), EFAULT));
    CHECK(FAILS(futex(&word, FUTEX_WAIT_PRIVATE, 1, (void *)16, NULL, 0), EFAULT));
    CHECK(FAILS(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 1, NULL, NULL, 0), EINVAL));
    CHECK(FAILS(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 1, NULL, NULL, 0), EINVAL));
    CHECK(FAILS(futex(&word, 99, 1, NULL, NULL, 0), ENOSYS));
    CHECK(FAILS(futex(&word, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 0), ENOSYS));
    CHECK(futex(&word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0) == 0);
}

int main(void) {
    begin();
    times();
    errors();
    pthread_t threads[WAITERS];
    word = 1;
    for (int i = 0; i < WAITERS; i++) pthread_create(&threads[i], NULL, waiter, (void *)(uintptr_t)(i < 2 ? 1 : 6));
    CHECK(wake_until(1, 2) == 2);
    while (left < 2) sched_yield();
    sleep_ms(5);
    CHECK(left == 2);
    CHECK(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 9, NULL, NULL, 8) == 0);
    CHECK(wake_until(2, 1) == 1);
    CHECK(wake_until(FUTEX_BITSET_MATCH_ANY, WAITERS - 3) == WAITERS - 3);
    for (int i = 0; i < WAITERS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(left == WAITERS && futex(&word, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0) == 0);
    return finish("futex_wait");
}
