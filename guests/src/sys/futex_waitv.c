/* futex_waitv sleeps on several words until one of them is woken and says which; times are absolute. Kernels before 5.16
 * do not have it (ENOSYS). futex_waitv(2) of the kernel's documentation. */
#include "../lib/sys.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

struct waiter { /* struct futex_waitv, which older headers lack */
    uint64_t value, address;
    uint32_t flags, reserved;
};
#define SIZE_32 2u
#define PRIVATE 128u

static atomic_uint words[3];
static atomic_int answer = -1;

static long waitv(const struct waiter *waiters, unsigned count, unsigned flags, const struct timespec *at) {
    return syscall(SYS_futex_waitv, waiters, count, flags, at, CLOCK_MONOTONIC);
}

static void *sleeper(void *argument) {
    answer = (int)waitv(argument, 3, 0, NULL);
    return NULL;
}

int main(void) {
    begin();
    struct waiter waiters[3];
    for (int i = 0; i < 3; i++) waiters[i] = (struct waiter){0, (uintptr_t)&words[i], SIZE_32 | PRIVATE, 0};
    if (waitv(waiters, 0, 0, NULL) == -1 && errno == ENOSYS) {
        printf("futex_waitv: this kernel has none\n");
        return 0;
    }
    CHECK(FAILS(waitv(waiters, 0, 0, NULL), EINVAL));
    CHECK(FAILS(waitv(waiters, 129, 0, NULL), EINVAL));
    CHECK(FAILS(waitv(waiters, 3, 1, NULL), EINVAL));
    int64_t before = milliseconds();
    struct timespec at = after_ms(CLOCK_MONOTONIC, 20);
    CHECK(FAILS(waitv(waiters, 3, 0, &at), ETIMEDOUT));
    CHECK(milliseconds() - before >= 19);
    words[1] = 5;
    CHECK(FAILS(waitv(waiters, 3, 0, &at), EAGAIN));
    words[1] = 0;
    waiters[2].flags = 99;
    CHECK(FAILS(waitv(waiters, 3, 0, &at), EINVAL));
    waiters[2].flags = SIZE_32 | PRIVATE;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, sleeper, waiters) == 0);
    while (futex(&words[2], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) == 0) sched_yield();
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_U64(answer, 2);
    CHECK(futex(&words[0], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) == 0);
    return finish("futex_waitv");
}
