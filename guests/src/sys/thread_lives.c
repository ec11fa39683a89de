/* Threads start, return values, are joined or detached, by the hundred; thread-local storage starts from its initial
 * image in each of them. pthread_create(3), pthread_join(3), pthread_detach(3), pthread_key_create(3). */
#include "../lib/sys.h"

#define MANY 300

static __thread int counter = 41;
static __thread char zeros[5000];
static __thread _Alignas(64) int aligned = 7;
static pthread_key_t key;
static atomic_int destroyed, detached_done, fresh;

static void destroy(void *value) {
    destroyed += *(int *)value;
}

static void *life(void *argument) {
    int good = counter == 41 && aligned == 7 && (uintptr_t)&aligned % 64 == 0;
    for (size_t i = 0; i < sizeof zeros; i++) good &= zeros[i] == 0;
    memset(zeros, 1, sizeof zeros);
    counter += (int)(intptr_t)argument;
    aligned = 9;
    static int one = 1;
    pthread_setspecific(key, &one);
    fresh += good;
    sched_yield();
    return (void *)(intptr_t)counter;
}

static void *leave_early(void *argument) {
    (void)argument;
    pthread_exit((void *)0x1234);
}

static void *join_self(void *argument) {
    (void)argument;
    return (void *)(intptr_t)pthread_join(pthread_self(), NULL);
}

static void *alone(void *argument) {
    (void)argument;
    detached_done++;
    return NULL;
}

static void *cycle(void *argument) {
    *(int *)argument += 1;
    return NULL;
}

int main(void) {
    begin();
    static pthread_t threads[MANY];
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, 64 * 1024) == 0);
    CHECK(pthread_key_create(&key, destroy) == 0);
    unsigned started = 0, right = 0;
    for (intptr_t i = 0; i < MANY; i++) started += pthread_create(&threads[i], &attributes, life, (void *)i) == 0;
    for (intptr_t i = 0; i < MANY; i++) {
        void *result = NULL;
        right += pthread_join(threads[i], &result) == 0 && (intptr_t)result == 41 + i;
    }
    CHECK_U64(started, MANY);
    CHECK_U64(right, MANY);
    CHECK_U64(fresh, MANY);
    CHECK_U64(destroyed, MANY);
    CHECK(counter == 41 && aligned == 7);
    void *result = NULL;
    CHECK(pthread_create(&threads[0], NULL, leave_early, NULL) == 0 && pthread_join(threads[0], &result) == 0);
    CHECK(result == (void *)0x1234);
    CHECK(pthread_create(&threads[0], NULL, join_self, NULL) == 0 && pthread_join(threads[0], &result) == 0);
    CHECK_U64((intptr_t)result, EDEADLK);
    CHECK(pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0);
    for (int i = 0; i < 50; i++) CHECK(pthread_create(&threads[0], &attributes, alone, NULL) == 0);
    while (detached_done < 50) sched_yield();
    /* One after the other: stacks and thread numbers are given back. */
    int cycles = 0;
    for (unsigned i = 0; i < part_of(1000); i++) {
        if (pthread_create(&threads[0], NULL, cycle, &cycles) != 0 || pthread_join(threads[0], NULL) != 0) break;
    }
    CHECK_U64(cycles, part_of(1000));
    return finish("thread_lives");
}
