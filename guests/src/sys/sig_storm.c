/* Thousands of signals to many threads at once, while they compute, lock, wait and return from system calls: none of the
 * queued ones is lost and no result is disturbed. signal(7), pthread_sigqueue(3). */
#include "../lib/sys.h"

#define THREADS 6
#define EACH 300

static __thread int mine;
static atomic_int received[THREADS], sums[THREADS], usual, stop, wrong;
static pthread_t threads[THREADS];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned long locked;
static atomic_ulong rounds;

static void count(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    received[mine]++;
    sums[mine] += info->si_value.sival_int;
    wrong += info->si_value.sival_int % THREADS != mine;
}

static void count_usual(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    usual++;
}

static void *work(void *argument) {
    mine = (int)(intptr_t)argument;
    sigset_t set = set_of(SIGRTMIN);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    char text[32];
    while (!stop) {
        uint64_t a = 1;
        double x = 1;
        for (int i = 0; i < 500; i++) a = a * 6364136223846793005u + 1, x = x * 0.75 + (double)(i & 3);
        static atomic_ullong first;
        static _Atomic double first_x;
        unsigned long long none = 0;
        double zero = 0;
        if (!atomic_compare_exchange_strong(&first, &none, a)) wrong += none != a;
        if (!atomic_compare_exchange_strong(&first_x, &zero, x)) wrong += zero != x;
        pthread_mutex_lock(&mutex);
        locked++;
        pthread_mutex_unlock(&mutex);
        rounds++;
        wrong += snprintf(text, sizeof text, "%d-%.3f", mine, 0.125 * mine) < 7;
        if (mine % 2) sched_yield();
        else wrong += getpid() <= 0;
    }
    return NULL;
}

static void *sender(void *argument) {
    int to = (int)(intptr_t)argument;
    for (int i = 0; i < EACH; i++) {
        while (pthread_sigqueue(threads[to], SIGRTMIN, (union sigval){.sival_int = i * THREADS + to}) == EAGAIN) sched_yield();
        if (i % 10 == 0) kill(getpid(), SIGUSR1);
    }
    return NULL;
}

int main(void) {
    begin();
    handle(SIGRTMIN, count, SA_RESTART);
    handle(SIGUSR1, count_usual, SA_RESTART);
    sigset_t set = set_of(SIGRTMIN);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pthread_t senders[THREADS];
    for (intptr_t i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    for (intptr_t i = 0; i < THREADS; i++) CHECK(pthread_create(&senders[i], NULL, sender, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(senders[i], NULL) == 0);
    for (int i = 0; i < THREADS; i++) {
        while (received[i] < EACH) sched_yield();
    }
    stop = 1;
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < THREADS; i++) {
        CHECK_U64(received[i], EACH);
        CHECK_U64(sums[i], EACH * (EACH - 1) / 2 * THREADS + EACH * i);
    }
    CHECK_U64(wrong, 0);
    CHECK(locked == rounds && usual > 0);
    return finish("sig_storm");
}
