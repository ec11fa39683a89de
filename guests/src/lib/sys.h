/* What the programs under sys/ share: a limit of time, children that check themselves, scratch folders, raw futexes.
 * Include it first: it asks the C library for everything that Linux has. */
#ifndef GUESTS_SYS_H
#define GUESTS_SYS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "check.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FAILS(call, error) (errno = 0, (call) == -1 && errno == (error))
#define MAP_FAILS(call, error) (errno = 0, (call) == MAP_FAILED && errno == (error))
#define COUNT(array) (sizeof(array) / sizeof *(array))
#define PAGE ((size_t)getpagesize())

/* Every process of a test ends by itself, whatever goes wrong: one that computes after so many seconds of processor time,
 * one that waits after so many seconds. The latter are many, since a busy machine may let a test wait for its turn. */
#define CPU_LIMIT 60
#define LIMIT 100

/* Signals as after a login, output without a buffer that a fork could double, and limits of time. */
static inline void begin(void) {
    struct sigaction usual = {.sa_handler = SIG_DFL};
    for (int number = 1; number <= 64; number++) sigaction(number, &usual, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setvbuf(stdout, NULL, _IONBF, 0);
    struct rlimit cpu;
    if (getrlimit(RLIMIT_CPU, &cpu) == 0) {
        cpu.rlim_cur = CPU_LIMIT < cpu.rlim_max ? CPU_LIMIT : cpu.rlim_max;
        setrlimit(RLIMIT_CPU, &cpu);
    }
    alarm(LIMIT);
}

/* Forks; the child gets an alarm of its own, since alarms are not inherited. */
static inline pid_t fork_limited(void) {
    pid_t pid = fork();
    if (pid == 0) alarm(LIMIT);
    return pid;
}

/* The same by clone(2) with `flags`, which hold no CLONE_VM: the child goes on behind the call, on its copy of the stack, and
 * takes no lock of the C library's. */
static inline pid_t clone_limited(uint64_t flags) {
    pid_t pid = (pid_t)syscall(SYS_clone, flags, 0, 0, 0, 0);
    if (pid == 0) alarm(LIMIT);
    return pid;
}

/* Waits for one child, whatever signal it ends with, and returns its status as wait gives it, or -1. */
static inline int status_of(pid_t pid) {
    int status = -1;
    pid_t got;
    do got = waitpid(pid, &status, __WALL);
    while (got == -1 && errno == EINTR);
    return got == pid ? status : -1;
}

/* Whether the child left by itself with this exit status. */
static inline int exits_with(pid_t pid, int expected) {
    int status = status_of(pid);
    return status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == expected;
}

/* Whether this signal ended the child. */
static inline int dies_of(pid_t pid, int expected) {
    int status = status_of(pid);
    return status != -1 && WIFSIGNALED(status) && WTERMSIG(status) == expected;
}

/* Runs `body` in a child, which exits with 1 if one of its checks failed. Returns the child's number. */
static inline pid_t child(void (*body)(void)) {
    pid_t pid = fork_limited();
    if (pid == 0) {
        checks_failed = 0;
        body();
        _exit(checks_failed ? 1 : 0);
    }
    return pid;
}

static inline int64_t milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static inline void sleep_ms(long ms) {
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&pause, &pause) == -1 && errno == EINTR) {
    }
}

/* Keeps the processor busy for a while. */
static inline void work_for_ms(long ms) {
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        for (volatile int i = 0; i < 10000; i++) {
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 < ms);
}

static inline struct timespec after_ms(clockid_t clock, long ms) {
    struct timespec at;
    clock_gettime(clock, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += ms % 1000 * 1000000;
    if (at.tv_nsec >= 1000000000) at.tv_sec++, at.tv_nsec -= 1000000000;
    return at;
}

/* Installs a handler with siginfo. */
static inline int handle(int number, void (*handler)(int, siginfo_t *, void *), int flags) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = flags | SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    return sigaction(number, &action, NULL);
}

/* Where handlers go back to, and what `jump_back`, as a handler, has seen last. */
static __thread sigjmp_buf back;
static __thread volatile struct {
    int number, code;
    uintptr_t address;
} last_signal;

static inline void jump_back(int number, siginfo_t *info, void *context) {
    (void)context;
    last_signal.number = number;
    last_signal.code = info->si_code;
    last_signal.address = (uintptr_t)info->si_addr;
    siglongjmp(back, 1);
}

static inline sigset_t set_of(int number) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    return set;
}

static inline long futex(void *word, int operation, uint32_t value, const void *timeout, void *other, uint32_t third) {
    return syscall(SYS_futex, word, operation, value, timeout, other, third);
}

/* A file or an anonymous page that several processes see. */
static inline void *shared_memory(size_t size) {
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static char scratch_path[512];
static pid_t scratch_owner;

static inline int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *place) {
    (void)about, (void)kind, (void)place;
    return remove(path);
}

static inline void remove_scratch(void) {
    if (getpid() != scratch_owner || chdir("/") != 0) return;
    nftw(scratch_path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Makes a folder for this run, enters it, and removes it with all that is in it when the program exits. */
static inline const char *scratch(void) {
    const char *base = getenv("TMPDIR");
    snprintf(scratch_path, sizeof scratch_path, "%s/guest-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(scratch_path) || chdir(scratch_path) != 0) {
        printf("no folder for scratch files: %s\n", strerror(errno));
        exit(2);
    }
    scratch_owner = getpid();
    atexit(remove_scratch);
    return scratch_path;
}

/* Makes or replaces a file with this text. */
static inline int write_file(const char *path, const char *text, mode_t mode) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0) return -1;
    ssize_t written = write(fd, text, strlen(text));
    close(fd);
    return written == (ssize_t)strlen(text) ? 0 : -1;
}

/* Reads up to `size - 1` bytes of a file and closes them with a zero. Returns their number or -1. */
static inline ssize_t read_file(const char *path, char *text, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    size_t done = 0;
    ssize_t n;
    while (done + 1 < size && (n = read(fd, text + done, size - 1 - done)) > 0) done += (size_t)n;
    close(fd);
    text[done] = 0;
    return (ssize_t)done;
}

#endif
