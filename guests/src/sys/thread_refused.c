/* A system that has no room for another thread or process: RLIMIT_NPROC. What is asked for fails with EAGAIN and leaves
 * everything as it was; the program goes on. getrlimit(2), pthread_create(3), fork(2), clone(2). */
#include "../lib/sys.h"

static void *add(void *sum) {
    ++*(int *)sum;
    return NULL;
}

static void blocks_nothing(void) {
    sigset_t blocked;
    CHECK(pthread_sigmask(SIG_BLOCK, NULL, &blocked) == 0 && sigisemptyset(&blocked));
}

/* Nobody counts the threads of a process with privileges. */
static void drop_privileges(void) {
    if (geteuid() == 0) CHECK(setgid(54321) == 0 && setuid(54321) == 0);
}

static void no_room(void) {
    struct rlimit limit;
    int sum = 0;
    pthread_t thread;
    drop_privileges();
    CHECK(getrlimit(RLIMIT_NPROC, &limit) == 0);
    rlim_t usual = limit.rlim_cur;
    limit.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_NPROC, &limit) == 0);
    for (int round = 0; round < 3; round++) {
        CHECK_U64(pthread_create(&thread, NULL, add, &sum), EAGAIN);
        CHECK(FAILS(fork(), EAGAIN));
        CHECK(FAILS(vfork(), EAGAIN));
        CHECK(FAILS(clone_limited(SIGCHLD | CLONE_FILES), EAGAIN));
        blocks_nothing();
    }
    /* Whatever makes a loop fast has no thread to do so either. */
    volatile double loops = 0;
    for (int round = 0; round < 3000000; round++) loops = loops + 1;
    CHECK(loops == 3000000);
    limit.rlim_cur = usual;
    CHECK(setrlimit(RLIMIT_NPROC, &limit) == 0);
    CHECK(pthread_create(&thread, NULL, add, &sum) == 0 && pthread_join(thread, NULL) == 0 && sum == 1);
    pid_t pid = fork_limited();
    if (pid == 0) _exit(7);
    CHECK(exits_with(pid, 7));
}

int main(void) {
    begin();
    CHECK(exits_with(child(no_room), 0));
    return finish("thread_refused");
}
