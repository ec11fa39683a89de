/* Children that share memory begin, compute for a while and leave, from several threads and in processes that have just been
 * forked; these fork again afterwards. Others copy the process or change its limits and actions meanwhile. vfork(2). */
#include "../lib/sys.h"

#define THREADS 3
#define ROUNDS 20
#define FAST_ROUNDS 40

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
    for (unsigned i = 0; i < part_of(ROUNDS); i++) right += (uintptr_t)shares((unsigned)number + i);
    return (void *)right;
}

static void forked(void) {
    CHECK(shares(1));
    pid_t pid = fork_limited();
    if (pid == 0) _exit(shares(2) ? 6 : 7);
    CHECK(exits_with(pid, 6));
}

static unsigned fast_rounds;
static atomic_int storming = 3; /* threads that begin processes */

static __attribute__((noinline)) int leaves(void) {
    pid_t pid = vfork();
    if (pid == 0) _exit(8);
    return exits_with(pid, 8);
}

static void *leaves_at_once(void *argument) {
    uintptr_t right = 0;
    for (unsigned i = 0; i < fast_rounds; i++) right += (uintptr_t)leaves();
    storming--;
    (void)argument;
    return (void *)right;
}

static void *copies(void *argument) {
    uintptr_t right = 0;
    for (unsigned i = 0; i < fast_rounds; i++) {
        pid_t pid = fork();
        if (pid == 0) _exit(9);
        right += (uintptr_t)exits_with(pid, 9);
    }
    storming--;
    (void)argument;
    return (void *)right;
}

/* As long as the others are at it. */
static void *sets(void *argument) {
    uintptr_t right = fast_rounds;
    for (unsigned i = 0; storming > 0; i++) {
        struct rlimit stack;
        int good = getrlimit(RLIMIT_STACK, &stack) == 0 && setrlimit(RLIMIT_STACK, &stack) == 0
            && signal(SIGUSR1, i % 2 ? SIG_IGN : SIG_DFL) != SIG_ERR;
        if (!good) right = 0;
        sched_yield();
    }
    (void)argument;
    return (void *)right;
}

int main(void) {
    begin();
    fast_rounds = part_of(FAST_ROUNDS);
    unsigned usual = part_of(ROUNDS);
    for (unsigned i = 0; i < usual; i++) CHECK(exits_with(child(forked), 0));
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, rounds, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++) {
        void *right = NULL;
        CHECK(pthread_join(threads[i], &right) == 0);
        CHECK_U64((uintptr_t)right, usual);
    }
    void *(*const bodies[])(void *) = {leaves_at_once, copies, sets, leaves_at_once};
    pthread_t mixed[COUNT(bodies)];
    for (size_t i = 0; i < COUNT(bodies); i++) CHECK(pthread_create(&mixed[i], NULL, bodies[i], NULL) == 0);
    for (size_t i = 0; i < COUNT(bodies); i++) {
        void *right = NULL;
        CHECK(pthread_join(mixed[i], &right) == 0);
        CHECK_U64((uintptr_t)right, fast_rounds);
    }
    return finish("vfork_storm");
}
