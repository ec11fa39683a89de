/* Threads that do by turns whatever disturbs each other: fork, vfork and execute programs, start threads, send each other
 * queued signals, fault on purpose, rewrite their code, hand bytes round in a pipe, while a timer's signal interrupts
 * them. Nothing is lost, and nothing comes back with another result. fork(2), vfork(2), sigqueue(3), signal(7). */
#include "../lib/sys.h"
#include "../lib/returns.h"

#define THREADS 4
#define TURNS 160

static pthread_t threads[THREADS];
static pid_t numbers[THREADS];
static pthread_barrier_t all_here;
static atomic_ulong sent, sum_sent, received, sum_received, ticks;
static int ends[2];
static char *self;
static unsigned turns;
static uint64_t seed; /* so that runs differ; their output does not */

static uint32_t below(uint64_t *random, uint32_t bound) {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return (uint32_t)(*random >> 33) % bound;
}

static void count(int value) {
    received++;
    sum_received += (unsigned)value;
}

static void on_message(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    count(info->si_value.sival_int);
}

static void on_tick(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    ticks++;
}

static __attribute__((noinline)) uint32_t computes(uint32_t seed) {
    for (int i = 0; i < 2000; i++) seed = (seed ^ seed >> 7) * 1103515245u + 12345u;
    return seed;
}

static void *computes_in_thread(void *argument) {
    return (void *)(uintptr_t)computes((uint32_t)(uintptr_t)argument);
}

static int starts(uint64_t *random) {
    uint32_t seed = below(random, 1000);
    pthread_t thread;
    void *result = NULL;
    if (pthread_create(&thread, NULL, computes_in_thread, (void *)(uintptr_t)seed) != 0) return 0;
    return pthread_join(thread, &result) == 0 && (uintptr_t)result == computes(seed);
}

/* Calls code that was just written over what was there. */
static int rewrites(char *code, uint64_t *random) {
    unsigned value = below(random, 1000);
    put_returns(code, value);
    __builtin___clear_cache(code, code + RETURNS_SIZE);
    return ((long (*)(void))(uintptr_t)code)() == (long)value;
}

static int faults(void) {
    char *page = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return 0;
    volatile int good = 0;
    if (sigsetjmp(back, 1) == 0) {
        *(volatile char *)(page + 77) = 1;
    } else {
        good = last_signal.address == (uintptr_t)page + 77 && last_signal.code == SEGV_ACCERR;
    }
    if (mprotect(page, PAGE, PROT_READ | PROT_WRITE) != 0) return 0;
    *(volatile char *)(page + 77) = 1;
    return good && page[77] == 1 && munmap(page, PAGE) == 0;
}

static int forks(char *code, uint64_t *random) {
    uint64_t inner = *random;
    pid_t pid = fork_limited();
    if (pid == 0) {
        int good = rewrites(code, &inner) && starts(&inner) && faults() && rewrites(code, &inner);
        _exit(good ? 23 : 1);
    }
    return exits_with(pid, 23);
}

static __attribute__((noinline)) int shares(char *code, uint64_t *random) {
    volatile int good = 0;
    uint64_t inner = *random;
    pid_t pid = vfork();
    if (pid == 0) {
        good = rewrites(code, &inner);
        _exit(24);
    }
    return exits_with(pid, 24) && good;
}

static __attribute__((noinline)) int executes(void) {
    pid_t pid = vfork();
    if (pid == 0) {
        execl(self, self, "executed", NULL);
        _exit(1);
    }
    return exits_with(pid, 25);
}

/* A full queue is no loss: then nothing was sent. */
static int sends(uint64_t *random) {
    union sigval value = {.sival_int = (int)below(random, 1000)};
    int error = pthread_sigqueue(threads[below(random, THREADS)], SIGRTMIN + 1, value);
    if (error == 0) {
        sent++;
        sum_sent += (unsigned)value.sival_int;
    }
    return error == 0 || error == EAGAIN;
}

/* Takes messages without a handler. */
static int takes(void) {
    sigset_t set = set_of(SIGRTMIN + 1);
    struct timespec limit = {0, 300000};
    siginfo_t info;
    int good = pthread_sigmask(SIG_BLOCK, &set, NULL) == 0;
    int got = sigtimedwait(&set, &info, &limit);
    if (got == SIGRTMIN + 1) count(info.si_value.sival_int);
    good &= got == SIGRTMIN + 1 || errno == EAGAIN || errno == EINTR;
    return pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0 && good;
}

/* A call that SA_RESTART lets go on never fails for a signal. */
static int hands_round(void) {
    char byte = 'b';
    return write(ends[1], &byte, 1) == 1 && read(ends[0], &byte, 1) == 1 && byte == 'b';
}

static int sleeps(void) {
    int64_t start = milliseconds();
    sleep_ms(2);
    return milliseconds() - start >= 1;
}

static void *works(void *argument) {
    uintptr_t number = (uintptr_t)argument;
    uint64_t random = 0x9e3779b97f4a7c15 * (number + 1) + (seed << 8);
    numbers[number] = gettid();
    char *code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_barrier_wait(&all_here);
    uintptr_t good = 0;
    for (unsigned turn = 0; turn < turns; turn++) {
        uint32_t what = below(&random, 64);
        if (what == 0) good += executes();
        else if (what < 4) good += forks(code, &random);
        else if (what < 8) good += shares(code, &random);
        else if (what < 14) good += starts(&random);
        else if (what < 22) good += faults();
        else if (what < 32) good += rewrites(code, &random);
        else if (what < 48) good += sends(&random);
        else if (what < 52) good += takes();
        else if (what < 62) good += hands_round();
        else good += sleeps();
        good += gettid() == numbers[number] ? 0 : 1000000;
    }
    pthread_barrier_wait(&all_here); /* nobody sends any more */
    while (takes() && received < sent) sched_yield();
    return (void *)good;
}

int main(int argc, char **argv) {
    if (argc > 1) return computes(1) == computes(1) ? 25 : 1;
    begin();
    self = argv[0];
    turns = part_of(TURNS);
    seed = getenv("GUEST_SEED") ? strtoull(getenv("GUEST_SEED"), NULL, 10) : 0;
    CHECK(pipe(ends) == 0);
    CHECK(handle(SIGRTMIN + 1, on_message, SA_RESTART) == 0 && handle(SIGRTMIN + 2, on_tick, SA_RESTART) == 0);
    CHECK(handle(SIGSEGV, jump_back, SA_NODEFER) == 0);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2};
    timer_t timer;
    struct itimerspec often = {{0, 900000}, {0, 900000}};
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 && timer_settime(timer, 0, &often, NULL) == 0);
    pthread_barrier_init(&all_here, NULL, THREADS);
    for (uintptr_t i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, works, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++) {
        void *good = NULL;
        CHECK(pthread_join(threads[i], &good) == 0);
        CHECK_U64((uintptr_t)good, turns);
    }
    while (ticks == 0) sched_yield();
    CHECK(timer_delete(timer) == 0);
    CHECK_U64(received, sent);
    CHECK_U64(sum_received, sum_sent);
    CHECK(ticks > 0);
    return finish("thread_mix");
}
