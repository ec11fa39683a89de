/* What a program keeps over execve: its number, parent, group, working directory, umask, limits, mask, pending and ignored
 * signals, descriptors, also that the first three are closed, and alarm; handlers, alternate stacks and mappings are gone.
 * execve(2). */
#include "../lib/sys.h"
#include <sys/prctl.h>

/* The two signals that the C library keeps for itself, past it. The first word of the kernel's structure is the handler. */
static int ignore_raw(int number) {
    unsigned long action[8] = {1};
    return (int)syscall(SYS_rt_sigaction, number, action, NULL, 8);
}

static int is_ignored_raw(int number) {
    unsigned long action[8] = {0};
    return syscall(SYS_rt_sigaction, number, NULL, action, 8) == 0 && action[0] == 1;
}

static int executed(char **argv) {
    struct sigaction action;
    sigset_t mask, pending;
    stack_t stack;
    struct rlimit limit;
    struct itimerval left;
    char path[600], comm[32];
    CHECK(getpid() == atoi(argv[2]) && getppid() == atoi(argv[3]) && getpgrp() == atoi(argv[2]));
    CHECK(sigaction(SIGUSR1, NULL, &action) == 0 && action.sa_handler == SIG_IGN);
    CHECK(sigaction(SIGUSR2, NULL, &action) == 0 && action.sa_handler == SIG_DFL && action.sa_flags == 0);
    for (volatile int i = 0; i < 300000; i++) { /* an emulator may have made threads of its own by now */
    }
    CHECK(is_ignored_raw(32) && is_ignored_raw(33));
    CHECK(sigprocmask(SIG_SETMASK, NULL, &mask) == 0 && sigismember(&mask, SIGTERM) && sigismember(&mask, SIGRTMIN));
    CHECK(!sigismember(&mask, SIGUSR2));
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGTERM) && sigismember(&pending, SIGRTMIN));
    struct timespec zero = {0, 0};
    siginfo_t info;
    sigset_t queued = set_of(SIGRTMIN);
    for (int i = 1; i <= 2; i++) CHECK(sigtimedwait(&queued, &info, &zero) == SIGRTMIN && info.si_value.sival_int == i);
    CHECK(sigaltstack(NULL, &stack) == 0 && stack.ss_flags == SS_DISABLE);
    CHECK(umask(0) == 0137);
    CHECK(getcwd(path, sizeof path) && strcmp(path, argv[4]) == 0);
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == 123);
    CHECK(getitimer(ITIMER_REAL, &left) == 0 && left.it_value.tv_sec > 0);
    CHECK(getitimer(ITIMER_VIRTUAL, &left) == 0 && left.it_value.tv_sec > 0);
    CHECK(lseek(77, 0, SEEK_CUR) == 5);
    CHECK(fcntl(78, F_GETFD) == -1);
    CHECK(prctl(PR_GET_NAME, comm) == 0 && strcmp(comm, "renamed") != 0);
    CHECK(getpriority(PRIO_PROCESS, 0) >= 5);
    if (!checks_failed) execl("/proc/self/exe", argv[0], "again", (char *)NULL);
    return 1;
}

static void handler(int number) {
    (void)number;
}

static const char *folder;
static char *self;

static void prepares(void) {
    char pid[16], parent[16];
    CHECK(setpgid(0, 0) == 0);
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    snprintf(parent, sizeof parent, "%d", (int)getppid());
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, handler);
    CHECK(ignore_raw(32) == 0 && ignore_raw(33) == 0);
    sigset_t set = set_of(SIGTERM);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGTERM);
    for (int i = 1; i <= 2; i++) sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i});
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    sigaltstack(&stack, NULL);
    umask(0137);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 123;
    setrlimit(RLIMIT_NOFILE, &limit);
    struct itimerval later = {{0, 0}, {100, 0}};
    setitimer(ITIMER_VIRTUAL, &later, NULL);
    int fd = open("file", O_RDWR | O_CREAT, 0600);
    CHECK(write(fd, "12345", 5) == 5 && dup2(fd, 77) == 77 && dup3(fd, 78, O_CLOEXEC) == 78);
    prctl(PR_SET_NAME, "renamed");
    setpriority(PRIO_PROCESS, 0, 5);
    execl("/proc/self/exe", self, "executed", pid, parent, folder, (char *)NULL);
}

/* Which of the first three descriptors are closed, a bit each. */
static int closed(void) {
    int set = 0;
    for (int fd = 0; fd < 3; fd++) set |= FAILS(fcntl(fd, F_GETFD), EBADF) << fd;
    return set;
}

static int closing;

static void closes(void) {
    for (int fd = 0; fd < 3; fd++) {
        if (closing >> fd & 1) close(fd);
    }
    execl("/proc/self/exe", self, "look", "closed", (char *)NULL);
}

int main(int argc, char **argv) {
    if (argc == 3) return 100 + closed();
    if (argc == 2) return is_ignored_raw(32) && is_ignored_raw(33) ? 91 : 2;
    if (argc > 1) return executed(argv);
    begin();
    self = argv[0];
    scratch();
    char path[600];
    folder = getcwd(path, sizeof path);
    CHECK(exits_with(child(prepares), 91));
    for (closing = 0; closing < 8; closing++) CHECK(exits_with(child(closes), 100 + closing));
    return finish("exec_keeps");
}
