/* Who may change a process's group, who leads a session, and which processes a signal to a group reaches. setpgid(2),
 * setsid(2), kill(2). */
#include "../lib/sys.h"

extern char **environ;
static int ends[2];

static void waits(void) {
    for (;;) pause();
}

static void executes(void) {
    char *words[] = {"self", "executed", NULL};
    execve("/proc/self/exe", words, environ);
}

static void session(void) {
    CHECK(getsid(0) != getpid() && setsid() == getpid());
    CHECK(getsid(0) == getpid() && getpgrp() == getpid() && getpgid(0) == getpid());
    CHECK(FAILS(setsid(), EPERM));        /* a group's leader */
    CHECK(FAILS(setpgid(0, 0), EPERM));   /* a session's leader */
    CHECK(FAILS(setpgid(0, getppid()), EPERM));
    pid_t pid = child(waits);
    CHECK(getsid(pid) == getpid() && getpgid(pid) == getpid());
    CHECK(setpgid(pid, pid) == 0 && getpgid(pid) == pid);
    CHECK(setpgid(pid, getpid()) == 0 && setpgid(pid, 0) == 0);
    CHECK(kill(-pid, SIGTERM) == 0 && dies_of(pid, SIGTERM));
    CHECK(FAILS(kill(-pid, 0), ESRCH));
    CHECK(FAILS(open("/dev/tty", O_RDWR), ENXIO)); /* a new session has no terminal */
}

static void no_reader(void) {
    setpgid(0, 0);
    if (write(ends[1], "r", 1) != 1) _exit(1);
    for (;;) pause();
}

int main(int argc, char **argv) {
    if (argc > 1) { /* after execve: says so, and waits */
        (void)argv;
        if (write(77, "e", 1) != 1) return 1;
        for (;;) pause();
    }
    begin();
    char c;
    CHECK(pipe(ends) == 0 && dup2(ends[1], 77) == 77);
    CHECK(exits_with(child(session), 0));
    CHECK(getpgid(getpid()) == getpgrp() && getsid(getpid()) == getsid(0));
    CHECK(FAILS(getpgid(-1), ESRCH) && FAILS(getsid(0x3fffffff), ESRCH));
    CHECK(FAILS(setpgid(0, -1), EINVAL));
    CHECK(FAILS(setpgid(1, 0), ESRCH)); /* neither this process nor a child */
    pid_t pid = child(executes);
    CHECK(read(ends[0], &c, 1) == 1 && c == 'e');
    CHECK(FAILS(setpgid(pid, pid), EACCES)); /* a child that has executed a program */
    CHECK(kill(pid, SIGKILL) == 0 && dies_of(pid, SIGKILL));
    pid_t leader = child(no_reader), members[3];
    CHECK(read(ends[0], &c, 1) == 1);
    for (int i = 0; i < 3; i++) {
        members[i] = child(waits);
        CHECK(setpgid(members[i], leader) == 0 && getpgid(members[i]) == leader);
    }
    CHECK(FAILS(setpgid(members[0], 0x3fffffff), EPERM)); /* no such group in this session */
    CHECK(kill(leader, SIGKILL) == 0 && dies_of(leader, SIGKILL));
    CHECK(kill(-leader, 0) == 0); /* a group outlives its leader */
    CHECK(killpg(leader, SIGUSR1) == 0);
    for (int i = 0; i < 3; i++) CHECK(waitpid(-leader, NULL, 0) > 0);
    CHECK(FAILS(killpg(leader, 0), ESRCH) && FAILS(waitpid(-leader, NULL, 0), ECHILD));
    return finish("groups_sessions");
}
