/* A signalfd hands out pending signals as records, is polled, and sees what its reader has pending. signalfd(2). */
#include "../lib/sys.h"
#include <sys/epoll.h>
#include <sys/signalfd.h>

static int fd;
static volatile int handled;

static void note(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    handled++;
}

static void *sends_to_main(void *argument) {
    sleep_ms(5);
    pthread_kill(*(pthread_t *)argument, SIGUSR1);
    return NULL;
}

static void inherits(void) {
    struct signalfd_siginfo record;
    CHECK(kill(getpid(), SIGUSR2) == 0); /* the child's own signal, through the parent's descriptor */
    CHECK(read(fd, &record, sizeof record) == sizeof record && (pid_t)record.ssi_pid == getpid());
}

static void exits(void) {
    _exit(1);
}

int main(void) {
    begin();
    sigset_t set = set_of(SIGUSR1), more;
    sigaddset(&set, SIGRTMIN);
    sigemptyset(&more);
    sigset_t all = set;
    sigaddset(&all, SIGUSR2);
    sigaddset(&all, SIGCHLD);
    CHECK(sigprocmask(SIG_BLOCK, &all, NULL) == 0);
    fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC && (fcntl(fd, F_GETFL) & O_NONBLOCK));
    struct signalfd_siginfo records[4];
    CHECK_U64(sizeof records[0], 128);
    CHECK(FAILS(read(fd, records, sizeof records), EAGAIN));
    CHECK(FAILS(read(fd, records, 64), EINVAL));
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    CHECK(poll(&wanted, 1, 0) == 0);
    handle(SIGUSR1, note, 0);
    CHECK(kill(getpid(), SIGUSR1) == 0 && kill(getpid(), SIGUSR2) == 0);
    CHECK(poll(&wanted, 1, 1000) == 1 && wanted.revents == POLLIN);
    for (int i = 0; i < 2; i++) sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 70 + i});
    CHECK(read(fd, records, sizeof records) == 3 * sizeof *records); /* not SIGUSR2: it is not in the set */
    CHECK(records[0].ssi_signo == SIGUSR1 && records[0].ssi_code == SI_USER && (pid_t)records[0].ssi_pid == getpid());
    CHECK(records[1].ssi_signo == (unsigned)SIGRTMIN && records[1].ssi_int == 70 && records[1].ssi_code == SI_QUEUE);
    CHECK(records[2].ssi_int == 71 && records[2].ssi_uid == getuid());
    CHECK(handled == 0);
    sigaddset(&more, SIGUSR2);
    CHECK(signalfd(fd, &more, 0) == fd); /* another set for the same descriptor */
    CHECK(poll(&wanted, 1, 0) == 1 && read(fd, records, sizeof records) == sizeof *records);
    CHECK(records[0].ssi_signo == SIGUSR2);
    CHECK(exits_with(child(inherits), 0));
    sigaddset(&set, SIGCHLD);
    CHECK(signalfd(fd, &set, 0) == fd);
    while (read(fd, records, sizeof records) > 0) {
    }
    pid_t pid = child(exits);
    int watch = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    CHECK(epoll_ctl(watch, EPOLL_CTL_ADD, fd, &event) == 0 && epoll_wait(watch, &event, 1, 5000) == 1);
    CHECK(read(fd, records, sizeof *records) == sizeof *records && records[0].ssi_signo == SIGCHLD);
    CHECK((pid_t)records[0].ssi_pid == pid && records[0].ssi_code == CLD_EXITED && records[0].ssi_status == 1);
    CHECK(exits_with(pid, 1));
    CHECK(fcntl(fd, F_SETFL, 0) == 0);
    pthread_t thread, self = pthread_self();
    CHECK(pthread_create(&thread, NULL, sends_to_main, &self) == 0);
    CHECK(read(fd, records, sizeof *records) == sizeof *records && records[0].ssi_signo == SIGUSR1); /* waits */
    CHECK(records[0].ssi_code == SI_TKILL && pthread_join(thread, NULL) == 0);
    CHECK(FAILS(signalfd(STDOUT_FILENO, &set, 0), EINVAL));
    CHECK(FAILS(signalfd(-1, &set, 0x1234), EINVAL));
    CHECK(FAILS(signalfd(999, &set, 0), EBADF));
    CHECK(FAILS(write(fd, records, sizeof records), EINVAL));
    return finish("sig_fd");
}
