/* Children that share memory begin, compute for a while and leave, from several threads and in processes that have just been
 * forked; these fork again afterwards. vfork(2). */
#include "../lib/sys.h"

#define THREADS 3
#define ROUNDS 20

/* Functions that are worth compiling, one after the other. */
#define COMPUTES(number) \
    static __attribute__((noinline)) unsigned computes_##number(unsigned seed) { \
        for (int i = 0; i < 3000; i++) seed = (seed ^ seed >> number) * 1103515245u + number; \
        return seed; \
    }
COMPUTES(1) COMPUTES(2) COMPUTES(3) COMPUTES(4) COMPUTES(5) COMPUTES(6) COMPUTES(7) COMPUTES(8)

static __attribute__((noinline)) unsigned computes(unsigned seed) {
    static unsigned (*const all[])(unsigned) = {computes_1, computes_2, computes_3, computes_4, computes_5, computes_6, computes_7, computes_8};
    for (size_t i = 0; i < COUNT(all); i++) seed = all[i](seed);
    return seed;
}

static __attribute__((noinline)) int shares(unsigned number) {
    volatile unsigned result = 0;
    pid_t pid = vfork();
    if (pid == 0) {
        result = computes(number);
        _exit(5);
    }
    return exits_with(pid, 5) && result == computes(number);
}

static void *rounds(void *argument) {
    uintptr_t number = (uintptr_t)argument, right = 0;
    for (unsigned i = 0; i < ROUNDS; i++) right += (uintptr_t)shares((unsigned)number + i);
    return (void *)right;
}

static void forked(void) {
    CHECK(shares(1));
    pid_t pid = fork_limited();
    if (pid == 0) _exit(shares(2) ? 6 : 7);
    CHECK(exits_with(pid, 6));
}

int main(void) {
    begin();
    for (int i = 0; i < ROUNDS; i++) CHECK(exits_with(child(forked), 0));
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, rounds, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++) {
        void *right = NULL;
        CHECK(pthread_join(threads[i], &right) == 0);
        CHECK_U64((uintptr_t)right, ROUNDS);
    }
    return finish("vfork_storm");
}
