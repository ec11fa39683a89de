/* sigsuspend, ppoll, pselect and epoll_pwait change the mask and wait in one step: a signal that is already pending ends the
 * wait, and the old mask is back afterwards. sigsuspend(2), ppoll(2), pselect(2), epoll_pwait(2). */
#include "../lib/sys.h"
#include <sys/epoll.h>
#include <sys/select.h>

static volatile int handled, masked_inside;

static void note(int number, siginfo_t *info, void *context) {
    (void)info, (void)context;
    sigset_t now;
    sigprocmask(SIG_SETMASK, NULL, &now);
    masked_inside = sigismember(&now, number) && sigismember(&now, SIGUSR2);
    handled++;
}

static int still_blocked(void) {
    sigset_t now;
    sigprocmask(SIG_SETMASK, NULL, &now);
    return sigismember(&now, SIGUSR1) == 1 && sigismember(&now, SIGUSR2) == 0;
}

static pid_t parent;

static void pings(void) {
    for (int i = 0; i < 50; i++) {
        kill(parent, SIGUSR1);
        sched_yield();
    }
}

int main(void) {
    begin();
    parent = getpid();
    handle(SIGUSR1, note, 0);
    sigset_t blocked = set_of(SIGUSR1), open = set_of(SIGUSR2);
    CHECK(sigprocmask(SIG_BLOCK, &blocked, NULL) == 0);
    CHECK(kill(parent, SIGUSR1) == 0);
    CHECK(FAILS(sigsuspend(&open), EINTR) && handled == 1);
    CHECK(masked_inside && still_blocked()); /* the handler runs with the temporary mask and its own signal */
    CHECK(kill(parent, SIGUSR1) == 0);
    CHECK(FAILS(ppoll(NULL, 0, NULL, &open), EINTR) && handled == 2 && still_blocked());
    CHECK(kill(parent, SIGUSR1) == 0);
    CHECK(FAILS(pselect(0, NULL, NULL, NULL, NULL, &open), EINTR) && handled == 3 && still_blocked());
    int set = epoll_create1(0), ends[2];
    struct epoll_event event;
    CHECK(kill(parent, SIGUSR1) == 0);
    CHECK(FAILS(epoll_pwait(set, &event, 1, -1, &open), EINTR) && handled == 4 && still_blocked());

    /* Without a wait there is nothing to interrupt: the signal stays pending when a descriptor is ready. */
    struct timespec zero = {0, 0};
    CHECK(pipe(ends) == 0 && write(ends[1], "x", 1) == 1 && kill(parent, SIGUSR1) == 0);
    struct pollfd ready = {.fd = ends[0], .events = POLLIN};
    CHECK(ppoll(&ready, 1, &zero, NULL) == 1 && handled == 4);
    sigset_t pending;
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1));
    CHECK(ppoll(&ready, 1, NULL, &blocked) == 1 && handled == 4);
    CHECK(FAILS(sigsuspend(&open), EINTR) && handled == 5);

    /* The race that these calls are for: a signal between the test of a condition and the wait is never missed. */
    for (int round = 0; round < 20; round++) {
        int before = handled;
        pid_t pid = child(pings);
        while (handled == before) sigsuspend(&open);
        while (waitpid(pid, NULL, WNOHANG) == 0) {
            struct timespec little = {0, 1000000};
            ppoll(NULL, 0, &little, &open);
        }
        ppoll(NULL, 0, &zero, &open);
    }
    CHECK(still_blocked());
    CHECK(FAILS(syscall(SYS_rt_sigsuspend, &open, 4), EINVAL));
    CHECK(FAILS(syscall(SYS_rt_sigsuspend, (void *)16, 8), EFAULT));
    return finish("sig_suspend");
}
