/* A child of clone with CLONE_VM alone is a process that shares memory until it ends or executes; CLONE_FILES and CLONE_FS
 * share descriptors, working directory and umask; an exit signal of 0 needs __WALL or __WCLONE. clone(2), wait(2). */
#include "../lib/sys.h"

static _Alignas(16) char stack[65536];
static atomic_int shared, go;
static int descriptor;
static char *self;

/* None of these use errno: thread-local storage is the parent's. */
static int writes_memory(void *argument) {
    (void)argument;
    shared = (int)syscall(SYS_getpid);
    while (!go) sched_yield();
    return 21;
}

static int executes(void *argument) {
    (void)argument;
    shared = 5;
    execl("/proc/self/exe", self, "executed", (char *)NULL);
    return 1;
}

static int opens(void *argument) {
    (void)argument;
    descriptor = open("/dev/null", O_RDONLY);
    return 0;
}

static int moves(void *argument) {
    (void)argument;
    umask(0123);
    return chdir("/proc");
}

static const char *how;
static atomic_int waited_for, other_word;

/* Ends in one of several ways. */
static int ends(void *argument) {
    (void)argument;
    if (*how == 'g') syscall(SYS_exit_group, 23);
    if (*how == 'e') syscall(SYS_exit, 23);
    if (*how == 'k') syscall(SYS_kill, (int)syscall(SYS_getpid), SIGKILL);
    if (*how == 't') syscall(SYS_kill, (int)syscall(SYS_getpid), SIGTERM);
    if (*how == 'f') *(volatile int *)argument = 1;
    if (*how == 'x') execl("/proc/self/exe", self, "executed", (char *)NULL);
    if (*how == 'o') syscall(SYS_set_tid_address, &other_word);
    return 23;
}

/* The word that CLONE_CHILD_CLEARTID names is cleared, and who waits on it is woken, however the process ends. */
static void clears_word(void) {
    for (how = "grektfxo"; *how; how++) {
        atomic_int *word = *how == 'o' ? &other_word : &waited_for;
        waited_for = other_word = 1;
        pid_t pid = clone(ends, stack + sizeof stack, CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD, NULL, NULL, NULL, &waited_for);
        struct timespec long_enough = {20, 0};
        CHECK(pid > 0);
        while (*word == 1 && (futex(word, FUTEX_WAIT, 1, &long_enough, NULL, 0) == 0 || errno == EINTR || errno == EAGAIN)) {
        }
        CHECK(*word == 0 && status_of(pid) != -1);
        CHECK(waited_for + other_word == 1); /* the other one is as it was */
    }
    /* None is named, or there is no such process. */
    waited_for = 1;
    how = "g";
    CHECK(exits_with(clone(ends, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL, NULL, NULL, &waited_for), 23));
    CHECK(FAILS(clone(ends, stack + sizeof stack, CLONE_VM | CLONE_THREAD | CLONE_CHILD_CLEARTID, NULL, NULL, NULL, &waited_for), EINVAL));
    CHECK(waited_for == 1);
}

static pid_t start(int (*body)(void *), int flags) {
    return clone(body, stack + sizeof stack, flags, NULL);
}

static int status_all(pid_t pid) {
    int status = -1;
    return waitpid(pid, &status, __WALL) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int main(int argc, char **argv) {
    if (argc > 1) return 22;
    begin();
    self = argv[0];
    pid_t pid = start(writes_memory, CLONE_VM | SIGCHLD);
    CHECK(pid > 0);
    while (!shared) sched_yield();
    CHECK(shared == pid && waitpid(pid, NULL, WNOHANG) == 0);
    go = 1;
    CHECK(exits_with(pid, 21));
    pid = start(writes_memory, CLONE_VM);
    CHECK(FAILS(waitpid(pid, NULL, 0), ECHILD));
    CHECK(status_all(pid) == 21);
    signal(SIGUSR1, SIG_IGN);
    pid = start(writes_memory, CLONE_VM | SIGUSR1); /* any signal but SIGCHLD counts as a clone child */
    CHECK(FAILS(waitpid(pid, NULL, 0), ECHILD));
    int status;
    CHECK(waitpid(pid, &status, __WCLONE) == pid && WEXITSTATUS(status) == 21);
    pid = start(executes, CLONE_VM | SIGCHLD);
    CHECK(exits_with(pid, 22));
    CHECK(shared == 5); /* and this process goes on with its memory */
    pid = start(opens, CLONE_VM | CLONE_VFORK | SIGCHLD);
    CHECK(exits_with(pid, 0) && descriptor > 2 && FAILS(fcntl(descriptor, F_GETFD), EBADF));
    pid = start(opens, CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD);
    CHECK(exits_with(pid, 0) && fcntl(descriptor, F_GETFD) == 0 && close(descriptor) == 0);
    char path[64];
    mode_t mask = umask(022);
    CHECK(chdir("/") == 0);
    pid = start(moves, CLONE_VM | CLONE_VFORK | SIGCHLD);
    CHECK(exits_with(pid, 0) && getcwd(path, sizeof path) && strcmp(path, "/") == 0 && umask(022) == 022);
    pid = start(moves, CLONE_VM | CLONE_VFORK | CLONE_FS | SIGCHLD);
    CHECK(exits_with(pid, 0) && getcwd(path, sizeof path) && strcmp(path, "/proc") == 0 && umask(mask) == 0123);
    clears_word();
    return finish("clone_process");
}
