/* Writing to a pipe or socket without a reader raises SIGPIPE in the writing thread and fails with EPIPE; MSG_NOSIGNAL and
 * an ignored signal leave only the error. pipe(7), send(2). */
#include "../lib/sys.h"
#include <sys/socket.h>
#include <sys/uio.h>

static int ends[2], pair[2];
static volatile int handled, thread_seen, code_seen;

static void note(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    handled++;
    thread_seen = gettid();
    code_seen = info->si_code;
}

static void writes(void) {
    signal(SIGPIPE, SIG_DFL);
    if (write(ends[1], "x", 1) == 1) _exit(3);
}

static void sends(void) {
    signal(SIGPIPE, SIG_DFL);
    CHECK(FAILS(send(pair[1], "x", 1, MSG_NOSIGNAL), EPIPE));
    send(pair[1], "x", 1, 0);
}

static void *writes_in_thread(void *argument) {
    *(int *)argument = FAILS(write(ends[1], "x", 1), EPIPE) && thread_seen == gettid();
    return NULL;
}

int main(void) {
    begin();
    CHECK(pipe(ends) == 0 && close(ends[0]) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && close(pair[0]) == 0);
    CHECK(dies_of(child(writes), SIGPIPE));
    CHECK(dies_of(child(sends), SIGPIPE));
    handle(SIGPIPE, note, SA_RESTART);
    CHECK(FAILS(write(ends[1], "x", 1), EPIPE) && handled == 1 && code_seen == SI_USER);
    struct iovec part = {(void *)(uintptr_t)"x", 1};
    CHECK(FAILS(writev(ends[1], &part, 1), EPIPE) && handled == 2);
    CHECK(FAILS(send(pair[1], "x", 1, MSG_NOSIGNAL), EPIPE) && handled == 2);
    CHECK(FAILS(write(pair[1], "x", 1), EPIPE) && handled == 3);
    CHECK(write(ends[1], "", 0) == 0 && handled == 3); /* nothing to write, nothing wrong */
    int right = 0;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, writes_in_thread, &right) == 0 && pthread_join(thread, NULL) == 0);
    CHECK(right && handled == 4);
    sigset_t set = set_of(SIGPIPE), pending;
    sigprocmask(SIG_BLOCK, &set, NULL);
    CHECK(FAILS(write(ends[1], "x", 1), EPIPE) && handled == 4);
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE));
    siginfo_t info;
    struct timespec zero = {0, 0};
    CHECK(sigtimedwait(&set, &info, &zero) == SIGPIPE);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    CHECK(FAILS(write(ends[1], "x", 1), EPIPE) && handled == 4);
    CHECK(FAILS(send(pair[1], "x", 1, 0), EPIPE));
    CHECK(close(ends[1]) == 0 && FAILS(write(ends[1], "x", 1), EBADF));
    return finish("sig_pipe");
}
