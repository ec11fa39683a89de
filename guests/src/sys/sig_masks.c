/* Masks are each thread's own and inherited; a signal for the process goes to a thread that does not block it, or stays
 * pending for all; SIGKILL and SIGSTOP cannot be blocked. sigprocmask(2), pthread_sigmask(3), sigpending(2). */
#include "../lib/sys.h"

static atomic_int handled_by, handled, inherited, stop;

static void note(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    handled_by = gettid();
    handled++;
}

static void *blocked_thread(void *argument) {
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    inherited += sigismember(&now, SIGUSR1) == 1 && sigismember(&now, SIGUSR2) == 0;
    sigset_t pending;
    sigpending(&pending);
    inherited += sigismember(&pending, SIGUSR1) == *(int *)argument;
    while (!stop) sleep_ms(1);
    return NULL;
}

static void *open_thread(void *argument) {
    *(atomic_int *)argument = gettid();
    sigset_t set = set_of(SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    while (!stop) sleep_ms(1);
    return NULL;
}

static void child_inherits(void) {
    sigset_t now, pending;
    sigprocmask(SIG_SETMASK, NULL, &now);
    sigpending(&pending);
    CHECK(sigismember(&now, SIGUSR1) == 1 && sigismember(&pending, SIGUSR1) == 0);
}

int main(void) {
    begin();
    CHECK(handle(SIGUSR1, note, 0) == 0 && handle(SIGUSR2, note, 0) == 0);
    sigset_t set = set_of(SIGUSR1), old, pending;
    CHECK(sigprocmask(SIG_BLOCK, &set, &old) == 0 && sigismember(&old, SIGUSR1) == 0);
    CHECK(kill(getpid(), SIGUSR1) == 0 && handled == 0);
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1) == 1 && sigismember(&pending, SIGUSR2) == 0);
    CHECK(exits_with(child(child_inherits), 0)); /* the mask is inherited, what is pending is not */
    CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0 && handled == 1); /* delivered before the call returns */
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1) == 0);

    sigset_t all;
    sigfillset(&all);
    CHECK(sigprocmask(SIG_SETMASK, &all, NULL) == 0 && sigprocmask(SIG_SETMASK, NULL, &old) == 0);
    CHECK(sigismember(&old, SIGTERM) == 1 && sigismember(&old, SIGKILL) == 0 && sigismember(&old, SIGSTOP) == 0);
    CHECK(FAILS(syscall(SYS_rt_sigprocmask, 7, &set, NULL, 8), EINVAL));
    CHECK(FAILS(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 4), EINVAL));
    CHECK(FAILS(syscall(SYS_rt_sigprocmask, SIG_BLOCK, (void *)16, NULL, 8), EFAULT));
    CHECK(syscall(SYS_rt_sigprocmask, 7, NULL, &old, 8) == 0); /* nothing to do, so not looked at */

    sigprocmask(SIG_SETMASK, &set, NULL);
    handled = 0;
    pthread_t blocked, open;
    atomic_int open_tid = 0;
    int none = 0, one = 1;
    CHECK(pthread_create(&blocked, NULL, blocked_thread, &none) == 0);
    CHECK(pthread_create(&open, NULL, open_thread, &open_tid) == 0);
    while (!open_tid || inherited < 2) sched_yield();
    CHECK(kill(getpid(), SIGUSR1) == 0);
    while (!handled) sleep_ms(1);
    CHECK(handled == 1 && handled_by == open_tid);
    stop = 1;
    CHECK(pthread_join(blocked, NULL) == 0 && pthread_join(open, NULL) == 0 && inherited == 2);
    handled = 0;
    CHECK(kill(getpid(), SIGUSR1) == 0 && handled == 0); /* now all block it: pending for the process, so all see it */
    CHECK(pthread_create(&blocked, NULL, blocked_thread, &one) == 0 && pthread_join(blocked, NULL) == 0 && inherited == 4);
    CHECK(pthread_kill(pthread_self(), SIGUSR1) == 0); /* pending for this thread too: two deliveries */
    CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0 && handled == 2 && handled_by == gettid());
    sigprocmask(SIG_BLOCK, &set, NULL);
    kill(getpid(), SIGUSR1);
    signal(SIGUSR1, SIG_IGN); /* ignoring discards what is pending */
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1) == 0);
    return finish("sig_masks");
}
