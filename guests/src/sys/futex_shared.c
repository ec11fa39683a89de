/* A futex in shared memory is found by its page and offset, whatever the address, between processes and mappings; a
 * private one only by its address in one process. futex(2). */
#include "../lib/sys.h"
#include <semaphore.h>

struct page {
    atomic_uint word, ready, done;
    sem_t semaphore;
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    unsigned long plain, turn;
};

static struct page *a, *b;

static void waits(void) {
    a->ready = 1;
    while (a->word == 0) futex(&a->word, FUTEX_WAIT, 0, NULL, NULL, 0);
    a->done = 1;
}

static void counts(void) {
    for (int i = 0; i < 2000; i++) {
        pthread_mutex_lock(&a->mutex);
        a->plain++;
        pthread_mutex_unlock(&a->mutex);
    }
    for (int i = 0; i < 50; i++) {
        pthread_mutex_lock(&a->mutex);
        while (a->turn % 2 != 1) pthread_cond_wait(&a->condition, &a->mutex);
        a->turn++;
        pthread_cond_broadcast(&a->condition);
        pthread_mutex_unlock(&a->mutex);
    }
    CHECK(sem_post(&a->semaphore) == 0);
}

static void private_sleeper(void) {
    struct timespec limit = {0, 50000000};
    a->ready = 1;
    CHECK(FAILS(futex(&a->word, FUTEX_WAIT_PRIVATE, 0, &limit, NULL, 0), ETIMEDOUT));
}

int main(void) {
    begin();
    int fd = memfd_create("words", MFD_CLOEXEC);
    CHECK(ftruncate(fd, (off_t)PAGE) == 0);
    a = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    b = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(a != MAP_FAILED && b != MAP_FAILED && a != b);
    pid_t pid = child(waits);
    while (a->ready == 0) sched_yield();
    sleep_ms(5);
    b->word = 1;
    CHECK(futex(&b->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) == 0); /* not the sleeper's key */
    while (a->done == 0) futex(&b->word, FUTEX_WAKE, 1, NULL, NULL, 0);
    CHECK(exits_with(pid, 0));
    a->word = a->ready = 0;
    pid = child(private_sleeper);
    while (a->ready == 0) sched_yield();
    long woken = 0;
    for (int i = 0; i < 10; i++, sleep_ms(2)) woken += futex(&a->word, FUTEX_WAKE, 1, NULL, NULL, 0);
    CHECK_U64(woken, 0);
    CHECK(exits_with(pid, 0));
    pthread_mutexattr_t mutex_kind;
    pthread_condattr_t condition_kind;
    pthread_mutexattr_init(&mutex_kind);
    pthread_condattr_init(&condition_kind);
    CHECK(pthread_mutexattr_setpshared(&mutex_kind, PTHREAD_PROCESS_SHARED) == 0);
    CHECK(pthread_condattr_setpshared(&condition_kind, PTHREAD_PROCESS_SHARED) == 0);
    CHECK(pthread_mutex_init(&a->mutex, &mutex_kind) == 0 && pthread_cond_init(&a->condition, &condition_kind) == 0);
    CHECK(sem_init(&a->semaphore, 1, 0) == 0);
    pid = child(counts);
    for (int i = 0; i < 2000; i++) {
        pthread_mutex_lock(&b->mutex);
        b->plain++;
        pthread_mutex_unlock(&b->mutex);
    }
    for (int i = 0; i < 50; i++) {
        pthread_mutex_lock(&b->mutex);
        while (b->turn % 2 != 0) pthread_cond_wait(&b->condition, &b->mutex);
        b->turn++;
        pthread_cond_broadcast(&b->condition);
        pthread_mutex_unlock(&b->mutex);
    }
    CHECK(sem_wait(&b->semaphore) == 0);
    CHECK(exits_with(pid, 0));
    CHECK_U64(a->plain, 4000);
    CHECK_U64(b->turn, 100);
    return finish("futex_shared");
}
