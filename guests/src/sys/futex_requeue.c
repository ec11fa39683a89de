/* FUTEX_REQUEUE and FUTEX_CMP_REQUEUE move sleepers to another word without waking them; FUTEX_WAKE_OP changes a word and
 * wakes by what it was. futex(2). */
#include "../lib/sys.h"

#define WAITERS 5

static atomic_uint first, second;
static atomic_int left;

static void *waiter(void *argument) {
    (void)argument;
    while (futex(&first, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0) == -1 && errno == EINTR) {
    }
    left++;
    return NULL;
}

static void start(pthread_t *threads) {
    left = 0;
    for (int i = 0; i < WAITERS; i++) CHECK(pthread_create(&threads[i], NULL, waiter, NULL) == 0);
}

static long requeue(int operation, uint32_t wake, uintptr_t move, uint32_t expected) {
    return futex(&first, operation, wake, (void *)move, &second, expected);
}

static void moving(void) {
    pthread_t threads[WAITERS];
    start(threads);
    long moved = 0;
    while (moved < WAITERS - 1) {
        long now = requeue(FUTEX_CMP_REQUEUE_PRIVATE, 0, (uintptr_t)(WAITERS - 1 - moved), 0);
        if (now < 0) break;
        moved += now;
        if (now == 0) sched_yield();
    }
    CHECK_U64(moved, WAITERS - 1);
    CHECK(left == 0);
    CHECK(FAILS(requeue(FUTEX_CMP_REQUEUE_PRIVATE, 1, 1, 7), EAGAIN));
    long woken = 0; /* the one that stayed may still be on its way */
    while (woken < 1) woken += requeue(FUTEX_REQUEUE_PRIVATE, 1, 0, 0);
    CHECK_U64(woken, 1);
    CHECK(futex(&first, FUTEX_WAKE_PRIVATE, 99, NULL, NULL, 0) == 0);
    CHECK(futex(&second, FUTEX_WAKE_PRIVATE, 2, NULL, NULL, 0) == 2);
    CHECK(futex(&second, FUTEX_WAKE_PRIVATE, 99, NULL, NULL, 0) == WAITERS - 3);
    for (int i = 0; i < WAITERS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(left == WAITERS);
    CHECK(FAILS(requeue(FUTEX_CMP_REQUEUE_PRIVATE, (uint32_t)-1, 1, 0), EINVAL));
}

static long wake_op(uint32_t wake1, uintptr_t wake2, uint32_t operation) {
    return futex(&first, FUTEX_WAKE_OP_PRIVATE, wake1, (void *)wake2, &second, operation);
}

static void operations(void) {
    second = 10;
    CHECK(wake_op(0, 0, FUTEX_OP(FUTEX_OP_SET, 5, FUTEX_OP_CMP_EQ, 10)) == 0 && second == 5);
    CHECK(wake_op(0, 0, FUTEX_OP(FUTEX_OP_ADD, 7, FUTEX_OP_CMP_NE, 0)) == 0 && second == 12);
    CHECK(wake_op(0, 0, FUTEX_OP(FUTEX_OP_OR, 3, FUTEX_OP_CMP_LT, 0)) == 0 && second == 15);
    CHECK(wake_op(0, 0, FUTEX_OP(FUTEX_OP_ANDN, 5, FUTEX_OP_CMP_GE, 0)) == 0 && second == 10);
    CHECK(wake_op(0, 0, FUTEX_OP(FUTEX_OP_XOR, 0xf, FUTEX_OP_CMP_GT, 0)) == 0 && second == 5);
    CHECK(wake_op(0, 0, FUTEX_OP((FUTEX_OP_OR | FUTEX_OP_OPARG_SHIFT), 4, FUTEX_OP_CMP_LE, 0)) == 0 && second == 21);
    CHECK(wake_op(0, 0, FUTEX_OP(FUTEX_OP_ADD, 0xfff, FUTEX_OP_CMP_EQ, 0)) == 0 && second == 20); /* signed */
    CHECK(FAILS(wake_op(0, 0, FUTEX_OP(6, 0, FUTEX_OP_CMP_EQ, 0)), ENOSYS));
    second = 0;
    pthread_t threads[WAITERS];
    start(threads);
    long woken = 0; /* the second word's sleepers are woken only where the comparison with its old value holds */
    while (woken < 2) woken += wake_op((uint32_t)(2 - woken), 9, FUTEX_OP(FUTEX_OP_SET, 0, FUTEX_OP_CMP_NE, 0));
    CHECK_U64(woken, 2);
    while (woken < WAITERS) {
        woken += futex(&second, FUTEX_WAKE_OP_PRIVATE, 9, (void *)9, &first, FUTEX_OP(FUTEX_OP_SET, 0, FUTEX_OP_CMP_EQ, 0));
    }
    CHECK_U64(woken, WAITERS);
    for (int i = 0; i < WAITERS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

int main(void) {
    begin();
    moving();
    operations();
    return finish("futex_requeue");
}
