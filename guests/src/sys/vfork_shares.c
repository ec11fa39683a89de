/* After vfork parent and child share memory and the parent sleeps until the child has executed a program or exited;
 * posix_spawn reports a failing exec. vfork(2), posix_spawn(3). */
#include "../lib/sys.h"
#include <spawn.h>

static volatile int shared, order;

static int spawned(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[2], "status") == 0) return 33;
    if (argc == 3 && strcmp(argv[2], "signals") == 0) {
        sigset_t mask;
        sigprocmask(SIG_SETMASK, NULL, &mask);
        struct sigaction action;
        sigaction(SIGUSR1, NULL, &action);
        return sigismember(&mask, SIGUSR2) && !sigismember(&mask, SIGUSR1) && action.sa_handler == SIG_DFL && getpgrp() == getpid()
                   ? 34 : 1;
    }
    char text[8] = {0};
    return argc == 3 && read(0, text, 5) == 5 && write(5, text, 5) == 5 ? 35 : 1;
}

int main(int argc, char **argv, char **environment) {
    if (argc > 1) return spawned(argc, argv);
    begin();
    scratch();
    pid_t pid = vfork();
    if (pid == 0) {
        shared = 77;
        struct timespec pause = {0, 10000000};
        nanosleep(&pause, NULL);
        order = 1;
        _exit(3);
    }
    CHECK(order == 1 && shared == 77);
    CHECK(exits_with(pid, 3));
    pid = vfork();
    if (pid == 0) {
        execl("/nowhere/at-all", "x", (char *)NULL);
        shared = errno;
        _exit(127);
    }
    CHECK_U64(shared, ENOENT);
    CHECK(exits_with(pid, 127));
    pid = vfork();
    if (pid == 0) {
        execl("/proc/self/exe", argv[0], "spawned", "status", (char *)NULL);
        _exit(127);
    }
    CHECK(exits_with(pid, 33));

    char *words[] = {argv[0], "spawned", "status", NULL};
    CHECK(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, words, environment) == 0 && exits_with(pid, 33));
    CHECK(posix_spawn(&pid, "/nowhere/at-all", NULL, NULL, words, environment) == ENOENT);
    CHECK(FAILS(waitpid(-1, NULL, 0), ECHILD));
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t mask = set_of(SIGUSR2), usual = set_of(SIGUSR1);
    posix_spawnattr_setsigmask(&attributes, &mask);
    posix_spawnattr_setsigdefault(&attributes, &usual);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    signal(SIGUSR1, SIG_IGN);
    words[2] = "signals";
    CHECK(posix_spawn(&pid, "/proc/self/exe", NULL, &attributes, words, environment) == 0 && exits_with(pid, 34));
    CHECK(write_file("in", "hello", 0600) == 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "in", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 9, "out", O_WRONLY | O_CREAT, 0600);
    posix_spawn_file_actions_adddup2(&actions, 9, 5);
    posix_spawn_file_actions_addclose(&actions, 9);
    words[2] = "files";
    CHECK(posix_spawn(&pid, "/proc/self/exe", &actions, NULL, words, environment) == 0 && exits_with(pid, 35));
    char text[16];
    CHECK(read_file("out", text, sizeof text) == 5 && strcmp(text, "hello") == 0);
    posix_spawn_file_actions_addopen(&actions, 0, "missing", O_RDONLY, 0);
    CHECK(posix_spawn(&pid, "/proc/self/exe", &actions, NULL, words, environment) == ENOENT);
    return finish("vfork_shares");
}
