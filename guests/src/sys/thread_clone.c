/* Raw clone and clone3: which flags need which, where thread numbers are stored, that CLONE_CHILD_CLEARTID clears and
 * wakes. clone(2), set_tid_address(2). */
#include "../lib/sys.h"
#include <linux/sched.h>

#define STACK 65536
#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

static _Alignas(16) char stack[STACK];
static atomic_int child_tid, parent_tid, ran, seen_tid, seen_pid, descriptor;

/* Shares the C library's thread-local storage with its creator, so it uses neither errno nor stdio. */
static int body(void *argument) {
    seen_tid = (int)syscall(SYS_gettid);
    seen_pid = (int)syscall(SYS_getpid);
    ran += (int)(intptr_t)argument;
    return 0;
}

/* The child starts on a new stack, where no C function can return to: so it calls `run` and exits. */
static long clone3_run(struct clone_args *args, size_t size, int (*run)(void *), void *argument) {
#if defined(__x86_64__)
    register int (*f)(void *) __asm__("r12") = run;
    register void *a __asm__("r13") = argument;
    long result;
    __asm__ volatile("syscall\n\ttest %%rax, %%rax\n\tjnz 1f\n\tmov %%r13, %%rdi\n\tcall *%%r12\n\t"
                     "mov %%eax, %%edi\n\tmov $60, %%eax\n\tsyscall\n1:"
                     : "=a"(result) : "a"(SYS_clone3), "D"(args), "S"(size), "r"(f), "r"(a) : "rcx", "r11", "memory");
    return result;
#elif defined(__riscv)
    register int (*f)(void *) __asm__("s2") = run;
    register void *a __asm__("s3") = argument;
    register long a0 __asm__("a0") = (long)args;
    register size_t a1 __asm__("a1") = size;
    register long a7 __asm__("a7") = SYS_clone3;
    __asm__ volatile("ecall\n\tbnez a0, 1f\n\tmv a0, s3\n\tjalr s2\n\tli a7, 93\n\tecall\n1:"
                     : "+r"(a0) : "r"(a1), "r"(a7), "r"(f), "r"(a) : "memory");
    return a0;
#elif defined(__aarch64__)
    register int (*f)(void *) __asm__("x19") = run;
    register void *a __asm__("x20") = argument;
    register long x0 __asm__("x0") = (long)args;
    register size_t x1 __asm__("x1") = size;
    register long x8 __asm__("x8") = SYS_clone3;
    __asm__ volatile("svc #0\n\tcbnz x0, 1f\n\tmov x0, x20\n\tblr x19\n\tmov x8, #93\n\tsvc #0\n1:"
                     : "+r"(x0) : "r"(x1), "r"(x8), "r"(f), "r"(a) : "memory");
    return x0;
#endif
}

static void wait_cleared(void) {
    int tid;
    while ((tid = child_tid) != 0) futex(&child_tid, FUTEX_WAIT, (uint32_t)tid, NULL, NULL, 0);
}

static void with_clone(void) {
    child_tid = -1;
    int flags = THREAD | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
    int tid = clone(body, stack + STACK, flags, (void *)1, &parent_tid, NULL, &child_tid);
    CHECK(tid > 0 && tid != getpid() && parent_tid == tid);
    wait_cleared();
    CHECK(ran == 1 && seen_tid == tid && seen_pid == getpid());
}

/* Uses nothing of the C library's. */
static int changes(void *argument) {
    (void)argument;
    descriptor = (int)syscall(SYS_dup, 1);
    syscall(SYS_chdir, "/proc");
    syscall(SYS_umask, 0123);
    return 0;
}

/* A thread shares descriptors and what belongs to file systems only if it is asked to. */
static void shares(void) {
    char path[512];
    mode_t mask = umask(022);
    for (int shared = 0; shared < 4; shared++) {
        int flags = THREAD & ~(CLONE_FILES | CLONE_FS);
        flags |= (shared & 1 ? CLONE_FILES : 0) | (shared & 2 ? CLONE_FS : 0) | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
        child_tid = -1;
        CHECK(chdir("/") == 0 && clone(changes, stack + STACK, flags, NULL, NULL, NULL, &child_tid) > 0);
        wait_cleared();
        CHECK(descriptor > 2 && (fcntl(descriptor, F_GETFD) == 0) == (shared & 1));
        CHECK(getcwd(path, sizeof path) && strcmp(path, shared & 2 ? "/proc" : "/") == 0);
        CHECK(umask(022) == (shared & 2 ? 0123 : 022));
        if (shared & 1) CHECK(close(descriptor) == 0);
    }
    umask(mask);
    CHECK(chdir("/") == 0);
}

static void with_clone3(void) {
    struct clone_args args = {.flags = THREAD | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID,
                              .parent_tid = (uintptr_t)&parent_tid, .child_tid = (uintptr_t)&child_tid,
                              .stack = (uintptr_t)stack, .stack_size = STACK};
    child_tid = -1;
    long tid = clone3_run(&args, sizeof args, body, (void *)10);
    CHECK(tid > 0 && parent_tid == tid);
    wait_cleared();
    CHECK(ran == 11 && seen_tid == tid && seen_pid == getpid());
    struct clone_args process = {.flags = CLONE_PIDFD | CLONE_PARENT_SETTID, .pidfd = (uintptr_t)&child_tid,
                                 .parent_tid = (uintptr_t)&parent_tid, .exit_signal = SIGCHLD};
    long pid = syscall(SYS_clone3, &process, sizeof process);
    if (pid == 0) _exit(getpid() != seen_pid ? 12 : 13);
    CHECK(pid > 0 && parent_tid == pid && child_tid >= 0);
    struct pollfd ended = {.fd = child_tid, .events = POLLIN};
    CHECK(poll(&ended, 1, 10000) == 1 && ended.revents == POLLIN);
    CHECK(exits_with((pid_t)pid, 12));
    CHECK(close(child_tid) == 0);
}

static void errors(void) {
    static const int wrong[] = {CLONE_SIGHAND, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM | CLONE_PIDFD,
                                CLONE_FS | CLONE_NEWNS};
    for (size_t i = 0; i < COUNT(wrong); i++) CHECK(FAILS(clone(body, stack + STACK, wrong[i] | SIGCHLD, NULL), EINVAL));
    struct clone_args args = {.flags = CLONE_SIGHAND};
    CHECK(FAILS(syscall(SYS_clone3, &args, sizeof args), EINVAL));
    args = (struct clone_args){.exit_signal = 65};
    CHECK(FAILS(syscall(SYS_clone3, &args, sizeof args), EINVAL));
    args = (struct clone_args){.stack = (uintptr_t)stack};
    CHECK(FAILS(syscall(SYS_clone3, &args, sizeof args), EINVAL));
    args = (struct clone_args){.flags = SIGCHLD}; /* the signal has a field of its own */
    CHECK(FAILS(syscall(SYS_clone3, &args, sizeof args), EINVAL));
    args = (struct clone_args){.exit_signal = SIGCHLD};
    CHECK(FAILS(syscall(SYS_clone3, &args, 8), EINVAL));
    CHECK(FAILS(syscall(SYS_clone3, &args, 8192), E2BIG));
    CHECK(FAILS(syscall(SYS_clone3, (void *)16, sizeof args), EFAULT));
    struct { struct clone_args known; uint64_t unknown; } longer = {.known = args, .unknown = 1};
    CHECK(FAILS(syscall(SYS_clone3, &longer, sizeof longer), E2BIG));
}

int main(void) {
    begin();
    with_clone();
    with_clone3();
    shares();
    errors();
    return finish("thread_clone");
}
