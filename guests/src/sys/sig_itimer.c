/* Interval timers: real time counts always, virtual time only in the program, profiling time in the kernel too; the rest is
 * told by getitimer; alarm is the real one. setitimer(2), alarm(2). */
#include "../lib/sys.h"

static volatile int ticks[65];

static void note(int number, siginfo_t *info, void *context) {
    (void)info, (void)context;
    ticks[number]++;
}

static long microseconds(struct timeval time) {
    return time.tv_sec * 1000000 + time.tv_usec;
}

/* Gives up after ten seconds of processor time: on a busy machine as much real time may bring too little of it. */
static void burn_until(int number, int wanted) {
    struct timespec used = {0, 0};
    while (ticks[number] < wanted && used.tv_sec < 10) {
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
        for (volatile int i = 0; i < 10000; i++) {
        }
    }
}

int main(void) {
    begin();
    handle(SIGALRM, note, 0);
    handle(SIGVTALRM, note, 0);
    handle(SIGPROF, note, 0);
    struct itimerval once = {{0, 0}, {0, 20000}}, every = {{0, 4000}, {0, 4000}}, off = {{0, 0}, {0, 0}}, old, now;
    CHECK(alarm(100) == LIMIT || alarm(100) == 100);
    CHECK(getitimer(ITIMER_REAL, &now) == 0 && now.it_value.tv_sec >= 99 && microseconds(now.it_interval) == 0);
    int64_t before = milliseconds();
    CHECK(setitimer(ITIMER_REAL, &once, &old) == 0 && old.it_value.tv_sec >= 99);
    sigset_t none;
    sigemptyset(&none);
    while (ticks[SIGALRM] == 0) usleep(1000);
    CHECK(milliseconds() - before >= 19);
    CHECK(getitimer(ITIMER_REAL, &now) == 0 && microseconds(now.it_value) == 0);
    ticks[SIGALRM] = 0;
    CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
    while (ticks[SIGALRM] < 5) usleep(1000);
    CHECK(getitimer(ITIMER_REAL, &now) == 0 && microseconds(now.it_interval) == 4000 && microseconds(now.it_value) <= 4000);
    CHECK(setitimer(ITIMER_REAL, &off, &old) == 0 && microseconds(old.it_interval) == 4000);
    alarm(LIMIT);
    ticks[SIGALRM] = 0;

    CHECK(setitimer(ITIMER_VIRTUAL, &every, NULL) == 0);
    sleep_ms(30); /* sleeping is no virtual time */
    CHECK(ticks[SIGVTALRM] <= 1);
    burn_until(SIGVTALRM, 3);
    CHECK(ticks[SIGVTALRM] >= 3);
    CHECK(setitimer(ITIMER_VIRTUAL, &off, NULL) == 0);
    CHECK(setitimer(ITIMER_PROF, &every, NULL) == 0);
    burn_until(SIGPROF, 3);
    CHECK(ticks[SIGPROF] >= 3);
    CHECK(setitimer(ITIMER_PROF, &off, NULL) == 0 && getitimer(ITIMER_PROF, &now) == 0 && microseconds(now.it_value) == 0);
    CHECK(ticks[SIGALRM] == 0);

    struct itimerval wrong = {{0, 0}, {0, 1000000}};
    CHECK(FAILS(setitimer(ITIMER_REAL, &wrong, NULL), EINVAL));
    CHECK(FAILS(setitimer(3, &once, NULL), EINVAL));
    CHECK(FAILS(getitimer(3, &now), EINVAL));
    CHECK(FAILS(getitimer(ITIMER_REAL, (void *)16), EFAULT));
    pid_t pid = fork();
    if (pid == 0) { /* a child has no timers */
        _exit(getitimer(ITIMER_REAL, &now) == 0 && microseconds(now.it_value) == 0 ? 8 : 9);
    }
    CHECK(exits_with(pid, 8));
    return finish("sig_itimer");
}
