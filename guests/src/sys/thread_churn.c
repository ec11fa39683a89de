/* A process forked while other threads begin and end can start threads itself, whatever those were in the middle of.
 * fork(2), pthread_create(3). */
#include "../lib/sys.h"

#define THREADS 4
#define FORKS 40

static atomic_int stop, begun;

static void *passes(void *argument) {
    return argument;
}

static void *churns(void *argument) {
    while (!stop) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, passes, argument) == 0) {
            pthread_join(thread, NULL);
            begun++;
        }
    }
    return NULL;
}

static void starts_threads(void) {
    for (intptr_t i = 1; i <= 3; i++) {
        pthread_t thread;
        void *result = NULL;
        CHECK(pthread_create(&thread, NULL, passes, (void *)i) == 0);
        CHECK(pthread_join(thread, &result) == 0 && result == (void *)i);
    }
}

int main(void) {
    begin();
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, churns, NULL) == 0);
    while (begun < THREADS) sched_yield();
    unsigned good = 0, forks = part_of(FORKS);
    for (unsigned i = 0; i < forks; i++) good += (unsigned)exits_with(child(starts_threads), 0);
    CHECK_U64(good, forks);
    stop = 1;
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    return finish("thread_churn");
}
