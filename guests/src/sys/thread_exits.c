/* exit_group ends all threads with its status; exit ends one thread, and the process with its last
 * one; a fatal signal ends all. exit_group(2), _exit(2), pthread_exit(3). */
#include "../lib/sys.h"

static pthread_t start(void *(*body)(void *), void *argument) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, argument) != 0) abort();
    return thread;
}

static void *forever(void *argument) {
    while (argument == NULL) pause();
    return NULL;
}

static void *spinning(void *argument) {
    volatile unsigned *count = argument;
    while (*count + 1 != 0) ++*count;
    return NULL;
}

static void *ends_all(void *argument) {
    sleep_ms(5);
    exit((int)(intptr_t)argument);
}

static void *raw_exit(void *argument) {
    sleep_ms(20);
    syscall(SYS_exit, (int)(intptr_t)argument);
    return NULL;
}

static void *returns_late(void *argument) {
    sleep_ms(20);
    *(atomic_int *)argument = 1;
    return NULL;
}

static void *faults(void *argument) {
    sleep_ms(5);
    *(volatile int *)argument = 1;
    return NULL;
}

static atomic_int *late;

static void group_exit_from_thread(void) {
    static volatile unsigned count;
    start(forever, NULL);
    start(spinning, (void *)&count);
    start(ends_all, (void *)42);
    for (;;) pause();
}

static void group_exit_from_main(void) {
    static volatile unsigned count;
    for (int i = 0; i < 20; i++) start(forever, NULL);
    start(spinning, (void *)&count);
    syscall(SYS_exit_group, 43);
}

static void main_leaves(void) {
    start(returns_late, late);
    pthread_exit(NULL);
}

static void raw_status(void) {
    start(raw_exit, (void *)7);
    syscall(SYS_exit, 5);
}

static void main_gone_then_exit(void) {
    start(ends_all, (void *)9);
    syscall(SYS_exit, 5);
}

static void fault_in_thread(void) {
    start(forever, NULL);
    start(faults, NULL);
    for (;;) pause();
}

static void killed_with_threads(void) {
    static volatile unsigned count;
    start(forever, NULL);
    start(spinning, (void *)&count);
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static atomic_int first_lives;

static void *signals_first(void *argument) {
    (void)argument;
    int pid = getpid();
    while (first_lives) sleep_ms(1);
    for (int number = 0; number <= 64; number += 8) {
        CHECK(syscall(SYS_tgkill, pid, pid, number) == 0 && syscall(SYS_tkill, pid, number) == 0);
    }
    CHECK(FAILS(syscall(SYS_tgkill, pid, pid, 65), EINVAL) && FAILS(syscall(SYS_tkill, pid, -1), EINVAL));
    CHECK(kill(pid, 0) == 0);
    exit(checks_failed ? 1 : 11);
}

/* Whoever sends a signal to a first thread that is gone finds it there, and nothing comes of it. */
static void signals_to_first(void) {
    first_lives = 1;
    start(signals_first, NULL);
    syscall(SYS_set_tid_address, &first_lives);
    syscall(SYS_exit, 5);
}

static void truncated(void) {
    syscall(SYS_exit, 0x1ff);
}

int main(void) {
    begin();
    late = shared_memory(PAGE);
    CHECK(exits_with(child(group_exit_from_thread), 42));
    CHECK(exits_with(child(group_exit_from_main), 43));
    CHECK(exits_with(child(main_leaves), 0));
    CHECK(*late == 1);
    /* The last thread's status since Linux 5.19, the first thread's before. */
    int raw = status_of(child(raw_status));
    CHECK(WIFEXITED(raw) && (WEXITSTATUS(raw) == 7 || WEXITSTATUS(raw) == 5));
    CHECK(exits_with(child(main_gone_then_exit), 9));
    CHECK(exits_with(child(signals_to_first), 11));
    CHECK(dies_of(child(fault_in_thread), SIGSEGV));
    CHECK(dies_of(child(killed_with_threads), SIGKILL));
    CHECK(exits_with(child(truncated), 0xff));
    /* A first thread that is gone leaves a zombie that cannot be reaped before the others end. */
    pid_t pid = child(main_leaves);
    int status;
    *late = 0;
    pid_t early = waitpid(pid, &status, WNOHANG);
    CHECK(early == 0 || *late == 1);
    CHECK(early == pid || exits_with(pid, 0));
    return finish("thread_exits");
}
