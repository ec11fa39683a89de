/* Priority-inheriting futexes: the word holds the owner's number, the kernel hands it over, knows deadlocks and who may
 * unlock. futex(2) FUTEX_LOCK_PI, pthread_mutexattr_setprotocol(3). */
#include "../lib/sys.h"

static atomic_uint word;
static pthread_mutex_t mutex;
static unsigned long plain;
static atomic_int got, holding;

static void *takes(void *argument) {
    (void)argument;
    if (futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0) == 0) {
        got = (word & FUTEX_TID_MASK) == (unsigned)gettid() ? 1 : -1;
        futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
    }
    return NULL;
}

static void *refused(void *argument) {
    (void)argument;
    struct timespec at = after_ms(CLOCK_REALTIME, 20);
    CHECK(FAILS(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), EPERM));
    CHECK(FAILS(futex(&word, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0), EWOULDBLOCK));
    CHECK(FAILS(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, &at, NULL, 0), ETIMEDOUT));
    return NULL;
}

static void *counts(void *argument) {
    (void)argument;
    for (int i = 0; i < 1000; i++) {
        pthread_mutex_lock(&mutex);
        plain++;
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void *dies_holding(void *argument) {
    (void)argument;
    pthread_mutex_lock(&mutex);
    holding = 1;
    return NULL;
}

int main(void) {
    begin();
    pthread_t threads[4];
    CHECK(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0) == 0);
    CHECK_U64(word, gettid());
    CHECK(FAILS(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), EDEADLK));
    CHECK(pthread_create(&threads[0], NULL, refused, NULL) == 0 && pthread_join(threads[0], NULL) == 0);
    CHECK(pthread_create(&threads[0], NULL, takes, NULL) == 0);
    while (!(word & FUTEX_WAITERS)) sched_yield();
    CHECK((word & FUTEX_TID_MASK) == (unsigned)gettid() && got == 0);
    CHECK(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0) == 0);
    CHECK(pthread_join(threads[0], NULL) == 0 && got == 1);
    CHECK_U64(word, 0);
    word = 0x3fffff00; /* no such thread */
    CHECK(FAILS(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), ESRCH));

    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    CHECK(pthread_mutexattr_setprotocol(&kind, PTHREAD_PRIO_INHERIT) == 0);
    CHECK(pthread_mutex_init(&mutex, &kind) == 0);
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, counts, NULL) == 0);
    for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK_U64(plain, 4000);
    CHECK(pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST) == 0);
    CHECK(pthread_mutex_init(&mutex, &kind) == 0);
    CHECK(pthread_create(&threads[0], NULL, dies_holding, NULL) == 0 && pthread_join(threads[0], NULL) == 0);
    CHECK(holding && pthread_mutex_lock(&mutex) == EOWNERDEAD);
    CHECK(pthread_mutex_consistent(&mutex) == 0 && pthread_mutex_unlock(&mutex) == 0);
    return finish("pi_mutex");
}
