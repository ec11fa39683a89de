/* Ways for a program to end: `leave how [number]`. Whoever runs it compares exit status or signal with a native run. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static void at_exit_first(void) { puts("registered first"); }
static void at_exit_second(void) { puts("registered second"); }

__attribute__((noinline)) static int sink_all(volatile char *page, int depth) {
    volatile char room[4096];
    room[0] = page[0];
    return sink_all(room, depth + 1) + room[0] + depth;
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "";
    int number = argc > 2 ? atoi(argv[2]) : 0;
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    printf("leaving by %s\n", how);
    fflush(stdout);
    if (strcmp(how, "return") == 0) {
        return number;
    } else if (strcmp(how, "exit") == 0) {
        atexit(at_exit_first);
        atexit(at_exit_second);
        printf("buffered ");
        exit(number);
    } else if (strcmp(how, "_exit") == 0) {
        printf("lost");
        _exit(number);
    } else if (strcmp(how, "thread-exit") == 0) {
        syscall(SYS_exit, number);
    } else if (strcmp(how, "abort") == 0) {
        abort();
    } else if (strcmp(how, "raise") == 0) {
        raise(number);
        puts("survived");
    } else if (strcmp(how, "kill") == 0) {
        kill(getpid(), number);
        puts("survived");
    } else if (strcmp(how, "queue") == 0) {
        sigqueue(getpid(), number, (union sigval){.sival_int = 7});
        puts("survived");
    } else if (strcmp(how, "ignore") == 0) {
        signal(number, SIG_IGN);
        raise(number);
        puts("survived");
    } else if (strcmp(how, "blocked") == 0) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, number);
        sigprocmask(SIG_BLOCK, &set, NULL);
        raise(number);
        puts("pending");
        fflush(stdout);
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        puts("survived");
    } else if (strcmp(how, "null") == 0) {
        *(volatile int *)(uintptr_t)(number & ~3) = 1;
    } else if (strcmp(how, "read-null") == 0) {
        return *(volatile char *)(uintptr_t)number;
    } else if (strcmp(how, "constant") == 0) {
        *(volatile char *)(uintptr_t)"text" = 'T';
    } else if (strcmp(how, "call-null") == 0) {
        ((void (*)(void))(uintptr_t)number)();
    } else if (strcmp(how, "call-data") == 0) {
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ((void (*)(void))page)();
    } else if (strcmp(how, "illegal") == 0) {
#if defined(__riscv)
        __asm__ volatile(".word 0");
#elif defined(__aarch64__)
        __asm__ volatile("udf #0");
#else
        __asm__ volatile("ud2");
#endif
    } else if (strcmp(how, "breakpoint") == 0) {
#if defined(__riscv)
        __asm__ volatile("ebreak");
#elif defined(__aarch64__)
        __asm__ volatile("brk #0");
#else
        __asm__ volatile("int3");
#endif
    } else if (strcmp(how, "beyond-file") == 0) {
        char name[] = "/tmp/guest-leave-XXXXXX";
        int fd = mkstemp(name);
        unlink(name);
        volatile char *p = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
        return p[4096];
    } else if (strcmp(how, "stack") == 0) {
        struct rlimit small = {1 << 20, 1 << 20};
        setrlimit(RLIMIT_STACK, &small);
        return sink_all((volatile char *)how, 0);
    } else if (strcmp(how, "pipe") == 0) {
        int ends[2];
        if (pipe(ends) != 0 || close(ends[0]) != 0) return 99;
        return (int)write(ends[1], "x", 1);
    } else if (strcmp(how, "alarm") == 0) {
        alarm(1);
        for (;;) {
            pause();
        }
    } else if (strcmp(how, "spin-alarm") == 0) {
        ualarm(300000, 0);
        for (volatile uint64_t i = 0;; i++) {
        }
    } else {
        return 100;
    }
    fflush(stdout);
    return 98;
}
