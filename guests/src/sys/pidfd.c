/* A pidfd stands for one process: it becomes readable at its end, sends signals, duplicates descriptors and never means a
 * later process of the same number. pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2). */
#include "../lib/sys.h"

static int ends[2];

static void sleeps(void) {
    for (;;) pause();
}

static void exits(void) {
    _exit(4);
}

static long pidfd_open_(pid_t pid, unsigned flags) {
    return syscall(SYS_pidfd_open, pid, flags);
}

static long send_signal(int fd, int number, siginfo_t *info, unsigned flags) {
    return syscall(SYS_pidfd_send_signal, fd, number, info, flags);
}

static volatile int value_seen, code_seen;

static void note(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    value_seen = info->si_value.sival_int;
    code_seen = info->si_code;
}

int main(void) {
    begin();
    CHECK(pipe(ends) == 0);
    pid_t pid = child(sleeps);
    int fd = (int)pidfd_open_(pid, 0);
    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    CHECK(poll(&wanted, 1, 0) == 0);
    CHECK(send_signal(fd, 0, NULL, 0) == 0);
    CHECK(FAILS(send_signal(fd, SIGTERM, NULL, 0x100), EINVAL));
    CHECK(FAILS(send_signal(fd, 65, NULL, 0), EINVAL));
    CHECK(FAILS(send_signal(ends[0], 0, NULL, 0), EBADF));
    CHECK(FAILS(send_signal(999, 0, NULL, 0), EBADF));
    int copy = (int)syscall(SYS_pidfd_getfd, fd, ends[1], 0);
    CHECK((copy >= 0 && write(copy, "x", 1) == 1 && close(copy) == 0) || errno == EPERM); /* needs the right to trace */
    CHECK(FAILS(syscall(SYS_pidfd_getfd, fd, 999, 0), EBADF) || errno == EPERM);
    CHECK(send_signal(fd, SIGTERM, NULL, 0) == 0);
    CHECK(poll(&wanted, 1, 10000) == 1 && wanted.revents == POLLIN);
    CHECK(dies_of(pid, SIGTERM));
    CHECK(FAILS(send_signal(fd, 0, NULL, 0), ESRCH));
    CHECK(poll(&wanted, 1, 0) == 1 && (wanted.revents & POLLIN)); /* stays readable */
    CHECK(close(fd) == 0);
    CHECK(FAILS(pidfd_open_(pid, 0), ESRCH));
    CHECK(FAILS(pidfd_open_(-1, 0), EINVAL) && FAILS(pidfd_open_(0, 0), EINVAL));
    CHECK(FAILS(pidfd_open_(getpid(), 0x40), EINVAL));
    fd = (int)pidfd_open_(getpid(), 0);
    handle(SIGUSR1, note, 0);
    siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};
    info.si_value.sival_int = 31;
    CHECK(send_signal(fd, SIGUSR1, &info, 0) == 0 && value_seen == 31 && code_seen == SI_QUEUE);
    info.si_signo = SIGUSR2;
    CHECK(FAILS(send_signal(fd, SIGUSR1, &info, 0), EINVAL));
    CHECK(close(fd) == 0);
    pid = child(exits);
    siginfo_t ended;
    CHECK(waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOWAIT) == 0);
    fd = (int)pidfd_open_(pid, 0); /* a zombie can still be opened */
    wanted.fd = fd;
    CHECK(fd >= 0 && poll(&wanted, 1, 0) == 1 && exits_with(pid, 4) && close(fd) == 0);
    return finish("pidfd");
}
