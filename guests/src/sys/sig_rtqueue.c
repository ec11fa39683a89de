/* Real-time signals queue with their values and come lowest number first, in order within a number; standard signals are
 * pending once and come before them. signal(7), sigqueue(3). */
#include "../lib/sys.h"

static int numbers[64], values[64];
static volatile int seen;

static void note(int number, siginfo_t *info, void *context) {
    (void)context;
    if (seen < 64) {
        numbers[seen] = number;
        values[seen] = info->si_value.sival_int;
    }
    seen++;
}

static int send_value(int number, int value) {
    return sigqueue(getpid(), number, (union sigval){.sival_int = value});
}

static void limited(void) {
    struct rlimit limit = {5, 5};
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    CHECK(setrlimit(RLIMIT_SIGPENDING, &limit) == 0);
    int accepted = 0;
    while (accepted < 100 && send_value(SIGRTMIN, 0) == 0) accepted++;
    CHECK(errno == EAGAIN && accepted <= 5);
    CHECK(kill(getpid(), SIGUSR1) == 0); /* kill never fails for want of room */
    sigset_t pending;
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1));
}

int main(void) {
    begin();
    int low = SIGRTMIN + 1, high = SIGRTMIN + 5;
    /* While one handler runs, all others wait, so that the order is that of delivery. */
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
    sigfillset(&action.sa_mask);
    for (int number = SIGRTMIN; number <= SIGRTMAX; number++) sigaction(number, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    CHECK(sigprocmask(SIG_SETMASK, &all, NULL) == 0);
    for (int i = 0; i < 10; i++) CHECK(send_value(high, 100 + i) == 0 && send_value(low, i) == 0);
    for (int i = 0; i < 5; i++) CHECK(send_value(SIGUSR2, 900 + i) == 0 && kill(getpid(), SIGUSR1) == 0);
    CHECK(seen == 0);
    CHECK(sigprocmask(SIG_SETMASK, &none, NULL) == 0);
    CHECK_U64(seen, 22);
    CHECK(numbers[0] == SIGUSR1 && numbers[1] == SIGUSR2 && values[1] == 900); /* the first one is kept */
    for (int i = 0; i < 10; i++) {
        CHECK(numbers[2 + i] == low && values[2 + i] == i);
        CHECK(numbers[12 + i] == high && values[12 + i] == 100 + i);
    }
    seen = 0;
    sigprocmask(SIG_SETMASK, &all, NULL);
    for (int i = 0; i < 500; i++) send_value(low, i);
    sigprocmask(SIG_SETMASK, &none, NULL);
    CHECK_U64(seen, 500);
    CHECK(exits_with(child(limited), 0));
    CHECK(FAILS(send_value(65, 0), EINVAL));
    CHECK(SIGRTMAX == 64 && SIGRTMIN == 34);
    return finish("sig_rtqueue");
}
