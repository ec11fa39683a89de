/* What a handler is told: si_signo, si_code, sender, value, status and timer for each source of a signal.
 * sigaction(2), kill(2), tgkill(2), sigqueue(3), timer_create(2). */
#include "../lib/sys.h"

static siginfo_t told;
static volatile sig_atomic_t count;

static void note(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    told = *info;
    count++;
}

static void wait_for(int wanted) {
    for (int i = 0; i < 5000 && count < wanted; i++) sleep_ms(1);
}

static void exits(void) {
    _exit(42);
}

static void stops(void) {
    raise(SIGSTOP);
    for (;;) pause();
}

static void sender(void) {
    union sigval value = {.sival_int = -7};
    CHECK(sigqueue(getppid(), SIGUSR2, value) == 0);
}

int main(void) {
    begin();
    static const int all[] = {SIGUSR1, SIGUSR2, SIGCHLD, SIGTERM};
    for (size_t i = 0; i < COUNT(all); i++) CHECK(handle(all[i], note, 0) == 0);
    CHECK(kill(getpid(), SIGUSR1) == 0 && count == 1);
    CHECK(told.si_signo == SIGUSR1 && told.si_code == SI_USER && told.si_pid == getpid() && told.si_uid == getuid());
    CHECK(told.si_errno == 0);
    CHECK(syscall(SYS_tgkill, getpid(), gettid(), SIGTERM) == 0 && count == 2);
    CHECK(told.si_signo == SIGTERM && told.si_code == SI_TKILL && told.si_pid == getpid());
    CHECK(pthread_kill(pthread_self(), SIGUSR1) == 0 && count == 3 && told.si_code == SI_TKILL);
    union sigval value = {.sival_ptr = (void *)(intptr_t)0x1234567887654321};
    CHECK(sigqueue(getpid(), SIGUSR2, value) == 0 && count == 4);
    CHECK(told.si_signo == SIGUSR2 && told.si_code == SI_QUEUE && told.si_pid == getpid());
    CHECK(told.si_value.sival_ptr == value.sival_ptr);

    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 55};
    struct itimerspec soon = {.it_value.tv_nsec = 1000000};
    timer_t timer;
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 && timer_settime(timer, 0, &soon, NULL) == 0);
    wait_for(5);
    CHECK(told.si_signo == SIGUSR1 && told.si_code == SI_TIMER && told.si_value.sival_int == 55 && told.si_overrun == 0);
    CHECK(timer_delete(timer) == 0);

    count = 0;
    pid_t pid = child(exits);
    wait_for(1);
    CHECK(told.si_signo == SIGCHLD && told.si_code == CLD_EXITED && told.si_pid == pid && told.si_status == 42);
    CHECK(told.si_uid == getuid() && exits_with(pid, 42));
    count = 0;
    pid = child(stops);
    wait_for(1);
    CHECK(told.si_code == CLD_STOPPED && told.si_pid == pid && told.si_status == SIGSTOP);
    count = 0;
    CHECK(kill(pid, SIGCONT) == 0);
    wait_for(1);
    CHECK(told.si_code == CLD_CONTINUED && told.si_status == SIGCONT);
    count = 0;
    CHECK(kill(pid, SIGKILL) == 0);
    wait_for(1);
    CHECK(told.si_code == CLD_KILLED && told.si_pid == pid && told.si_status == SIGKILL);
    CHECK(dies_of(pid, SIGKILL));
    signal(SIGCHLD, SIG_DFL);
    count = 0;
    pid = child(sender);
    wait_for(1);
    CHECK(told.si_code == SI_QUEUE && told.si_pid == pid && told.si_value.sival_int == -7);
    CHECK(exits_with(pid, 0));
    siginfo_t forged = {.si_signo = SIGUSR1, .si_code = SI_USER};
    CHECK(FAILS(syscall(SYS_rt_sigqueueinfo, getppid(), SIGUSR1, &forged), EPERM)); /* only to oneself */
    forged.si_code = -99;
    count = 0;
    CHECK(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGUSR1, &forged) == 0 && count == 1 && told.si_code == -99);
    return finish("sig_info");
}
