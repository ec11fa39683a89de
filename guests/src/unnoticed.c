/* Signals without effect come while the program does this and that: vm-cli/tests/strace.rs compares the trace with that of
 * strace. Everything that it prints, and every result, is as if they had not come, unless they are blocked. signal(7). */
#define _GNU_SOURCE
#include "lib/check.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t handled;

static void handler(int number) { handled += number; }

/* A child that sends a signal to its parent a while after that has begun to wait, and ends. */
static pid_t disturber(int number) {
    pid_t pid = fork();
    if (pid == 0) {
        usleep(50000);
        kill(getppid(), number);
        _exit(number);
    }
    return pid;
}

static void ends(pid_t pid, int expected) {
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    CHECK_U64(WEXITSTATUS(status), expected);
}

int main(void) {
    sigset_t none, child, pending;
    sigemptyset(&none);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    static const int numbers[] = {SIGWINCH, SIGURG, SIGCONT, SIGCHLD};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) CHECK(kill(getpid(), numbers[i]) == 0);
    /* None of these begins anew or ends early. */
    pid_t pid = disturber(SIGWINCH);
    struct timespec wait = {0, 200000000}, rest = {9, 9};
    CHECK(nanosleep(&wait, &rest) == 0 && rest.tv_sec == 9);
    ends(pid, SIGWINCH);
    pid = disturber(SIGURG);
    int poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event;
    CHECK(epoll_pwait(poller, &event, 1, 200, &none) == 0);
    ends(pid, SIGURG);
    pid = disturber(SIGCONT);
    CHECK(ppoll(NULL, 0, &wait, &none) == 0);
    ends(pid, SIGCONT);
    /* A signal that would do nothing is nothing to wait for. */
    pid = disturber(SIGCHLD);
    CHECK(sigtimedwait(&child, NULL, &wait) == -1 && errno == EAGAIN);
    ends(pid, SIGCHLD);
    /* Blocked, it is there. */
    CHECK(sigprocmask(SIG_BLOCK, &child, NULL) == 0 && kill(getpid(), SIGCHLD) == 0);
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGCHLD) == 1);
    CHECK(sigtimedwait(&child, NULL, &wait) == SIGCHLD);
    CHECK(kill(getpid(), SIGCHLD) == 0 && sigprocmask(SIG_UNBLOCK, &child, NULL) == 0);
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGCHLD) == 0);
    /* Handled, and without effect again. */
    struct sigaction action = {.sa_handler = handler, .sa_flags = (int)SA_RESETHAND};
    CHECK(sigaction(SIGWINCH, &action, NULL) == 0 && kill(getpid(), SIGWINCH) == 0 && handled == SIGWINCH);
    CHECK(kill(getpid(), SIGWINCH) == 0 && handled == SIGWINCH);
    action.sa_handler = SIG_IGN;
    CHECK(sigaction(SIGURG, &action, NULL) == 0 && kill(getpid(), SIGURG) == 0);
    return finish("unnoticed");
}
