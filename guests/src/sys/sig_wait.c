/* sigwaitinfo and sigtimedwait take blocked signals out of the queue without a handler, also when several threads wait.
 * sigwaitinfo(2), sigwait(3). */
#include "../lib/sys.h"

#define SENT 200

static atomic_int taken, sum, wrong;
static volatile int handled;

static void *takes(void *argument) {
    (void)argument;
    sigset_t set = set_of(SIGRTMIN);
    sigaddset(&set, SIGRTMIN + 1);
    for (;;) {
        siginfo_t info;
        int number = sigwaitinfo(&set, &info);
        if (number == -1 && errno == EINTR) continue;
        if (number == SIGRTMIN + 1) return NULL;
        wrong += number != SIGRTMIN || info.si_code != SI_QUEUE || info.si_signo != number;
        sum += info.si_value.sival_int;
        taken++;
    }
}

static void note(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    handled++;
}

static void exits(void) {
    sleep_ms(5);
    _exit(6);
}

int main(void) {
    begin();
    sigset_t set = set_of(SIGRTMIN);
    sigaddset(&set, SIGRTMIN + 1);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGCHLD);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    struct timespec zero = {0, 0}, little = {0, 10000000}, wrong_time = {0, -1};
    siginfo_t info;
    CHECK(FAILS(sigtimedwait(&set, &info, &zero), EAGAIN));
    int64_t before = milliseconds();
    CHECK(FAILS(sigtimedwait(&set, &info, &little), EAGAIN) && milliseconds() - before >= 9);
    CHECK(FAILS(sigtimedwait(&set, &info, &wrong_time), EINVAL));
    handle(SIGUSR1, note, 0);
    CHECK(kill(getpid(), SIGUSR1) == 0);
    CHECK(sigwaitinfo(&set, &info) == SIGUSR1 && info.si_code == SI_USER && info.si_pid == getpid() && handled == 0);
    int number = 0;
    CHECK(raise(SIGUSR1) == 0 && sigwait(&set, &number) == 0 && number == SIGUSR1);
    CHECK(FAILS(sigtimedwait(&set, &info, &zero), EAGAIN));
    pid_t pid = child(exits);
    CHECK(sigwaitinfo(&set, &info) == SIGCHLD && info.si_pid == pid && info.si_status == 6 && info.si_code == CLD_EXITED);
    CHECK(exits_with(pid, 6));
    /* The lowest number comes first, whatever was sent first. */
    sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 1});
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 2});
    CHECK(sigwaitinfo(&set, &info) == SIGRTMIN && info.si_value.sival_int == 2);
    CHECK(sigwaitinfo(&set, &info) == SIGRTMIN + 1 && info.si_value.sival_int == 1);

    pthread_t threads[4];
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, takes, NULL) == 0);
    int expected = 0;
    for (int i = 0; i < SENT; i++) {
        CHECK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i}) == 0);
        expected += i;
    }
    while (taken < SENT) sched_yield();
    for (int i = 0; i < 4; i++) sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 0});
    for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK_U64(taken, SENT);
    CHECK_U64(sum, expected);
    CHECK_U64(wrong, 0);
    CHECK(FAILS(syscall(SYS_rt_sigtimedwait, &set, NULL, &zero, 4), EINVAL));
    CHECK(FAILS(syscall(SYS_rt_sigtimedwait, (void *)16, NULL, &zero, 8), EFAULT));
    return finish("sig_wait");
}
