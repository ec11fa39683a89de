/* SA_NODEFER lets a handler interrupt itself, SA_RESETHAND serves once, sa_mask holds others back until the handler returns;
 * which arguments sigaction and kill refuse. sigaction(2), kill(2). */
#include "../lib/sys.h"

static volatile int depth, deepest, calls, order[8], length;

static void nests(int number, siginfo_t *info, void *context) {
    (void)info, (void)context;
    if (++depth > deepest) deepest = depth;
    if (++calls < 4) raise(number);
    depth--;
}

static void outer(int number, siginfo_t *info, void *context) {
    (void)info, (void)context;
    order[length++] = number;
    raise(SIGUSR2);
    order[length++] = -number;
}

static void inner(int number, siginfo_t *info, void *context) {
    (void)info, (void)context;
    order[length++] = number;
}

static void simple(int number) {
    order[length++] = number;
}

static void once_only(void) {
    handle(SIGUSR1, inner, SA_RESETHAND);
    raise(SIGUSR1);
    struct sigaction now;
    sigaction(SIGUSR1, NULL, &now);
    CHECK(length == 1 && now.sa_handler == SIG_DFL);
    raise(SIGUSR1);
}

int main(void) {
    begin();
    handle(SIGUSR1, nests, 0);
    CHECK(raise(SIGUSR1) == 0 && calls == 4 && deepest == 1); /* one after the other */
    calls = deepest = 0;
    handle(SIGUSR1, nests, SA_NODEFER);
    CHECK(raise(SIGUSR1) == 0 && calls == 4 && deepest == 4); /* one inside the other */
    CHECK(dies_of(child(once_only), SIGUSR1));

    handle(SIGUSR1, outer, 0);
    handle(SIGUSR2, inner, 0);
    CHECK(raise(SIGUSR1) == 0 && length == 3);
    CHECK(order[0] == SIGUSR1 && order[1] == SIGUSR2 && order[2] == -SIGUSR1);
    struct sigaction action = {.sa_sigaction = outer, .sa_flags = SA_SIGINFO}, old;
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGUSR2);
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    length = 0;
    CHECK(raise(SIGUSR1) == 0 && length == 3);
    CHECK(order[0] == SIGUSR1 && order[1] == -SIGUSR1 && order[2] == SIGUSR2);
    CHECK(sigaction(SIGUSR1, NULL, &old) == 0 && old.sa_sigaction == outer && (old.sa_flags & SA_SIGINFO));
    CHECK(sigismember(&old.sa_mask, SIGUSR2) == 1 && sigismember(&old.sa_mask, SIGTERM) == 0);
    length = 0;
    CHECK(signal(SIGTERM, simple) == SIG_DFL && raise(SIGTERM) == 0 && length == 1 && order[0] == SIGTERM);
    CHECK(signal(SIGTERM, SIG_IGN) == simple && raise(SIGTERM) == 0 && length == 1);

    CHECK(FAILS(sigaction(SIGKILL, &action, NULL), EINVAL));
    CHECK(FAILS(sigaction(SIGSTOP, &action, NULL), EINVAL));
    CHECK(sigaction(SIGKILL, NULL, &old) == 0 && old.sa_handler == SIG_DFL);
    CHECK(FAILS(sigaction(65, &action, NULL), EINVAL));
    CHECK(FAILS(sigaction(0, &action, NULL), EINVAL));
    CHECK(FAILS(syscall(SYS_rt_sigaction, SIGUSR1, (void *)16, NULL, 8), EFAULT));
    CHECK(FAILS(syscall(SYS_rt_sigaction, SIGUSR1, NULL, &old, 4), EINVAL));
    CHECK(kill(getpid(), 0) == 0 && kill(0, 0) == 0);
    CHECK(FAILS(kill(getpid(), 65), EINVAL));
    CHECK(FAILS(kill(getpid(), -1), EINVAL));
    CHECK(FAILS(kill(0x3fffffff, 0), ESRCH));
    CHECK(FAILS(kill(-0x3fffffff, 0), ESRCH));
    CHECK(FAILS(kill(INT32_MIN, 0), ESRCH));
    return finish("sig_flags");
}
