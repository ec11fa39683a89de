/* clone without CLONE_VM shares what its flags say with a copy of the process: descriptors, the working directory, what
 * semaphores are to be given back, the parent; CLONE_VFORK makes the parent wait; any number is taken for the signal of
 * its end. Flags that exclude each other give EINVAL, namespaces EPERM without a privilege. clone(2). */
#include "../lib/sys.h"
#include <linux/sched.h>
#include <sys/sem.h>

static struct page {
    atomic_int pid, parent, descriptor;
} *page;

static void descriptors(void) {
    for (int shared = 0; shared < 2; shared++) {
        page->descriptor = -1;
        pid_t pid = clone_limited(SIGCHLD | (shared ? CLONE_FILES : 0));
        if (pid == 0) {
            page->descriptor = open("/dev/null", O_RDONLY);
            _exit(3);
        }
        CHECK(exits_with(pid, 3) && page->descriptor > 2);
        CHECK((fcntl(page->descriptor, F_GETFD) == 0) == shared);
        if (shared) CHECK(close(page->descriptor) == 0);
    }
}

static void directory(void) {
    char before[512], after[512];
    for (int shared = 0; shared < 2; shared++) {
        CHECK(chdir("/tmp") == 0 && getcwd(before, sizeof before));
        pid_t pid = clone_limited(SIGCHLD | (shared ? CLONE_FS : 0));
        if (pid == 0) _exit(chdir("/proc") == 0 ? 3 : 4);
        CHECK(exits_with(pid, 3) && getcwd(after, sizeof after));
        CHECK((strcmp(before, after) != 0) == shared);
    }
}

static void undone(void) {
    union {
        int value;
        void *pointer;
    } one = {1};
    int semaphore = semget(IPC_PRIVATE, 1, 0600);
    CHECK(semaphore >= 0);
    for (int shared = 0; shared < 2; shared++) {
        CHECK(semctl(semaphore, 0, SETVAL, one) == 0);
        pid_t pid = clone_limited(SIGCHLD | (shared ? CLONE_SYSVSEM : 0));
        if (pid == 0) {
            struct sembuf take = {0, -1, SEM_UNDO};
            _exit(semop(semaphore, &take, 1) == 0 ? 3 : 4);
        }
        CHECK(exits_with(pid, 3));
        CHECK_U64(semctl(semaphore, 0, GETVAL), shared ? 0 : 1); /* given back when the last of them ends */
    }
    CHECK(semctl(semaphore, 0, IPC_RMID) == 0);
}

/* A child that has the parent of the one who made it. */
static void sister(void) {
    page->pid = 0;
    page->parent = getppid();
    pid_t pid = clone_limited(CLONE_PARENT | SIGCHLD);
    if (pid == 0) {
        page->pid = getpid();
        _exit(getppid() == page->parent ? 5 : 6);
    }
    CHECK(pid > 0 && FAILS(waitpid(pid, NULL, __WALL), ECHILD));
}

static void parents(void) {
    pid_t pid = child(sister), other;
    int status = 0, statuses[2] = {-1, -1};
    for (int i = 0; i < 2; i++) {
        other = wait(&status);
        statuses[other == pid ? 0 : 1] = status;
    }
    CHECK(WIFEXITED(statuses[0]) && WEXITSTATUS(statuses[0]) == 0);
    CHECK(other > 0 && page->pid > 0 && page->pid != pid && WIFEXITED(statuses[1]) && WEXITSTATUS(statuses[1]) == 5);
}

static volatile int usr, rt, chld;

static void note(int number, siginfo_t *info, void *context) {
    (void)info, (void)context;
    usr += number == SIGUSR1;
    rt += number == SIGRTMIN;
    chld += number == SIGCHLD;
}

static void signals(void) {
    handle(SIGUSR1, note, 0);
    handle(SIGRTMIN, note, 0);
    handle(SIGCHLD, note, 0);
    static const int numbers[] = {0, SIGUSR1, 34, 100, 255};
    for (size_t i = 0; i < COUNT(numbers); i++) {
        int number = numbers[i] == 34 ? SIGRTMIN : numbers[i];
        pid_t pid = clone_limited((uint64_t)number);
        if (pid == 0) _exit(7);
        CHECK(pid > 0 && FAILS(waitpid(pid, NULL, 0), ECHILD) && exits_with(pid, 7));
    }
    CHECK(usr == 1 && rt == 1 && chld == 0);
    pid_t pid = clone_limited(CLONE_IO | CLONE_UNTRACED | CLONE_PTRACE | CLONE_DETACHED | SIGCHLD); /* these change nothing */
    if (pid == 0) _exit(8);
    CHECK(exits_with(pid, 8) && chld == 1);
}

/* The parent waits until the copy has executed a program or ended, and for no longer. */
static void awaited(void) {
    page->pid = 0;
    pid_t pid = clone_limited(CLONE_VFORK | SIGCHLD);
    if (pid == 0) {
        sleep_ms(50);
        page->pid = getpid();
        _exit(9);
    }
    CHECK(page->pid == pid && exits_with(pid, 9));
    int input[2], output[2];
    CHECK(pipe(input) == 0 && pipe(output) == 0);
    page->pid = 0;
    pid = clone_limited(CLONE_VFORK | SIGCHLD);
    if (pid == 0) {
        execl("/nowhere/at-all", "x", (char *)NULL);
        sleep_ms(50);
        page->pid = getpid();
        dup2(input[0], 0);
        dup2(output[1], 1);
        execl("/proc/self/exe", "clone_flags", "answers", (char *)NULL);
        _exit(10);
    }
    char answer = 0;
    CHECK(page->pid == pid && waitpid(pid, NULL, WNOHANG) == 0);
    CHECK(write(input[1], "a", 1) == 1 && read(output[0], &answer, 1) == 1 && answer == 'a' && exits_with(pid, 11));
}

static int gate[2];
static atomic_int returned;

static void *waits(void *unused) {
    (void)unused;
    pid_t pid = clone_limited(CLONE_VFORK | SIGCHLD);
    if (pid == 0) {
        char text;
        page->pid = getpid();
        _exit(read(gate[0], &text, 1) == 1 ? 13 : 14);
    }
    returned = 1;
    return exits_with(pid, 13) ? page : NULL;
}

static void *nothing(void *argument) {
    return argument;
}

/* Threads of a parent that waits. */
static void others_go_on(void) {
    pthread_t thread, other;
    void *result = NULL;
    page->pid = 0;
    CHECK(pipe(gate) == 0 && pthread_create(&thread, NULL, waits, NULL) == 0);
    while (!page->pid) sched_yield();
    void *place = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(place != MAP_FAILED && munmap(place, PAGE) == 0);
    CHECK(pthread_create(&other, NULL, nothing, page) == 0 && pthread_join(other, &result) == 0 && result == page);
    CHECK(!returned && write(gate[1], "x", 1) == 1);
    CHECK(pthread_join(thread, &result) == 0 && result == page && returned);
}

/* And end the process. */
static void leaves(void) {
    pthread_t thread;
    page->pid = 0;
    if (pthread_create(&thread, NULL, waits, NULL) != 0) _exit(1);
    while (!page->pid) sched_yield();
    _exit(15);
}

static int answers(void) {
    char text;
    return read(0, &text, 1) == 1 && write(1, &text, 1) == 1 ? 11 : 12;
}

static void refused(void) {
    static const uint64_t wrong[] = {CLONE_NEWNS | CLONE_FS, CLONE_NEWUSER | CLONE_FS, CLONE_SIGHAND | CLONE_NEWUTS, CLONE_THREAD | CLONE_NEWUTS,
                                     CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_NEWPID, CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_NEWUSER,
                                     CLONE_PIDFD | CLONE_DETACHED, CLONE_PIDFD | CLONE_PARENT_SETTID};
    for (size_t i = 0; i < COUNT(wrong); i++) CHECK(FAILS(clone_limited(wrong[i] | SIGCHLD), EINVAL));
    if (geteuid() == 0) CHECK(setgid(65534) == 0 && setuid(65534) == 0);
    else CHECK(1);
    static const uint64_t spaces[] = {CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWCGROUP};
    for (size_t i = 0; i < COUNT(spaces); i++) CHECK(FAILS(clone_limited(spaces[i] | SIGCHLD), EPERM));
    int wanted = 300, none = 0;
    int outside = open("/dev/null", O_RDONLY);
    struct clone_args chosen = {.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&wanted, .set_tid_size = 1};
    CHECK(FAILS(syscall(SYS_clone3, &chosen, sizeof chosen), EPERM));
    chosen.set_tid_size = 33; /* more levels of namespaces than there can be */
    CHECK(FAILS(syscall(SYS_clone3, &chosen, sizeof chosen), EINVAL));
    chosen.set_tid_size = 0;
    CHECK(FAILS(syscall(SYS_clone3, &chosen, sizeof chosen), EINVAL));
    /* In the order in which a kernel looks. */
    const struct {
        struct clone_args args;
        size_t size;
        int error;
    } orders[] = {
        {{.set_tid = 8, .set_tid_size = 1}, 88, EFAULT},
        {{.set_tid = 8, .set_tid_size = 1, .exit_signal = 65}, 88, EINVAL},
        {{.set_tid = 8, .set_tid_size = 1, .flags = CLONE_DETACHED}, 88, EFAULT},
        {{.set_tid = (uintptr_t)&none, .set_tid_size = 1}, 88, EINVAL},
        {{.set_tid = (uintptr_t)&none, .set_tid_size = 1, .flags = CLONE_NEWUTS}, 88, EPERM},
        {{.set_tid = (uintptr_t)&wanted, .set_tid_size = 1, .flags = CLONE_SIGHAND}, 88, EINVAL},
        {{.flags = CLONE_INTO_CGROUP, .cgroup = UINT64_C(1) << 31}, 88, EINVAL},
        {{.flags = CLONE_INTO_CGROUP, .cgroup = (uint64_t)outside}, 80, EINVAL},
        {{.flags = CLONE_INTO_CGROUP, .cgroup = 999}, 88, EBADF},
        {{.flags = CLONE_INTO_CGROUP, .cgroup = (uint64_t)outside}, 88, EBADF},
        {{.flags = CLONE_INTO_CGROUP | CLONE_NEWUTS, .cgroup = 999}, 88, EPERM},
        {{.flags = UINT64_C(1) << 40}, 88, EINVAL},
        {{.stack = 4096, .stack_size = INT64_MAX}, 88, EINVAL},
        {{.stack = 4096, .stack_size = UINT64_MAX}, 88, EINVAL},
    };
    for (size_t i = 0; i < COUNT(orders); i++) {
        struct clone_args args = orders[i].args;
        CHECK(FAILS(syscall(SYS_clone3, &args, orders[i].size), orders[i].error));
    }
}

int main(int argc, char **argv) {
    (void)argv;
    if (argc > 1) return answers();
    begin();
    page = shared_memory(PAGE);
    descriptors();
    directory();
    undone();
    parents();
    awaited();
    others_go_on();
    CHECK(exits_with(child(leaves), 15) && write(gate[1], "x", 1) == 1);
    signals();
    CHECK(exits_with(child(refused), 0));
    return finish("clone_flags");
}
