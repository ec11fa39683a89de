/* Mutexes exclude, condition variables and barriers let nobody through early, rwlocks admit readers together, semaphores
 * count, once runs once. pthread_mutex_lock(3), pthread_cond_wait(3), pthread_barrier_wait(3), sem_wait(3). */
#include "../lib/sys.h"
#include <semaphore.h>

#define THREADS 8
#define ROUNDS 2000

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_spinlock_t spin;
static pthread_barrier_t barrier;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static sem_t slots;
static atomic_int arrived, serial, torn, onces, inside, too_many;
static unsigned long plain, spun;
static unsigned turn, pair[2];

static void only_once(void) {
    onces++;
}

static void *work(void *argument) {
    unsigned self = (unsigned)(uintptr_t)argument;
    pthread_once(&once, only_once);
    for (int round = 1; round <= 20; round++) {
        arrived++;
        serial += pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD;
        torn += arrived < THREADS * round;
        pthread_barrier_wait(&barrier);
    }
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&mutex);
        plain++;
        pthread_mutex_unlock(&mutex);
        if (i % 8 == 0) {
            pthread_spin_lock(&spin);
            spun++;
            pthread_spin_unlock(&spin);
        }
        if (i % 16 == 0) {
            pthread_rwlock_wrlock(&rwlock);
            pair[0]++, pair[1]++;
            pthread_rwlock_unlock(&rwlock);
        } else {
            pthread_rwlock_rdlock(&rwlock);
            torn += pair[0] != pair[1];
            pthread_rwlock_unlock(&rwlock);
        }
    }
    for (int i = 0; i < 50; i++) {
        sem_wait(&slots);
        too_many += ++inside > 3;
        inside--;
        sem_post(&slots);
    }
    for (int i = 0; i < 50; i++) { /* threads take turns */
        pthread_mutex_lock(&mutex);
        while (turn % THREADS != self) pthread_cond_wait(&changed, &mutex);
        turn++;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

int main(void) {
    begin();
    pthread_t threads[THREADS];
    pthread_barrier_init(&barrier, NULL, THREADS);
    pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE);
    sem_init(&slots, 0, 3);
    for (uintptr_t i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK_U64(plain, THREADS * ROUNDS);
    CHECK_U64(spun, THREADS * ROUNDS / 8);
    CHECK_U64(pair[0], THREADS * ROUNDS / 16);
    CHECK_U64(torn + too_many, 0);
    CHECK_U64(serial, 20);
    CHECK_U64(onces, 1);
    CHECK_U64(turn, THREADS * 50);
    struct timespec at = after_ms(CLOCK_REALTIME, 10);
    pthread_mutex_lock(&mutex);
    CHECK(pthread_cond_timedwait(&changed, &mutex, &at) == ETIMEDOUT);
    CHECK(pthread_mutex_trylock(&mutex) == EBUSY);
    pthread_mutex_unlock(&mutex);
    at = after_ms(CLOCK_MONOTONIC, 10);
    pthread_rwlock_wrlock(&rwlock);
    CHECK(pthread_rwlock_tryrdlock(&rwlock) == EBUSY);
    pthread_rwlock_unlock(&rwlock);
    CHECK(sem_wait(&slots) == 0 && sem_wait(&slots) == 0 && sem_wait(&slots) == 0);
    CHECK(FAILS(sem_trywait(&slots), EAGAIN));
    at = after_ms(CLOCK_REALTIME, 10);
    CHECK(FAILS(sem_timedwait(&slots, &at), ETIMEDOUT));
    return finish("thread_sync");
}
