/* A signal that reaches a new process before it has run an instruction is that process's, and one that its parent has yet to
 * handle is not. fork(2), signal(7). */
#include "../lib/sys.h"

#define ROUNDS 200

static volatile int handled;

static void leaves(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    if (info->si_pid == getppid()) _exit(5);
    _exit(6);
}

static void counts(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    handled++;
}

int main(void) {
    begin();
    handle(SIGUSR1, leaves, 0);
    int good = 0;
    for (unsigned i = 0; i < part_of(ROUNDS); i++) {
        pid_t pid = fork_limited();
        if (pid == 0) {
            for (;;) pause();
        }
        if (kill(pid, SIGUSR1) == 0) good += exits_with(pid, 5);
    }
    CHECK_U64(good, part_of(ROUNDS));
    handle(SIGUSR2, counts, 0);
    sigset_t set = set_of(SIGUSR2), pending;
    good = 0;
    for (int i = 0; i < 20; i++) {
        sigprocmask(SIG_BLOCK, &set, NULL);
        raise(SIGUSR2);
        pid_t pid = fork_limited();
        if (pid == 0) {
            int inherits = sigpending(&pending) != 0 || sigismember(&pending, SIGUSR2);
            sigprocmask(SIG_UNBLOCK, &set, NULL);
            _exit(inherits || handled != i ? 1 : 0);
        }
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        good += exits_with(pid, 0) && handled == i + 1;
    }
    CHECK_U64(good, 20);
    return finish("sig_early");
}
