/* The default action of every signal, seen by the parent: ends the process, stops it, or nothing; with no core file the
 * status says none. Stopping and continuing are reported. signal(7), wait(2). */
#include "../lib/sys.h"

static int number;

static void raises(void) {
    setpgid(0, 0); /* with its parent in another group of the session, its own is not orphaned and can be stopped */
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    raise(number);
    _exit(50);
}

static void sleeps(void) {
    for (;;) pause();
}

static int is_ignored(int which) {
    return which == SIGCHLD || which == SIGURG || which == SIGWINCH || which == SIGCONT;
}

static int stops(int which) {
    return which == SIGSTOP || which == SIGTSTP || which == SIGTTIN || which == SIGTTOU;
}

int main(void) {
    begin();
    for (number = 1; number <= 64; number++) {
        if (number == 32 || number == 33) continue; /* the C library's own */
        pid_t pid = child(raises);
        int status = 0;
        if (stops(number)) {
            CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == number);
            CHECK(kill(pid, SIGCONT) == 0 && exits_with(pid, 50));
            continue;
        }
        status = status_of(pid);
        if (is_ignored(number)) CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 50);
        else CHECK(WIFSIGNALED(status) && WTERMSIG(status) == number && !WCOREDUMP(status));
    }
    pid_t pid = child(sleeps);
    int status = 0;
    for (int i = 0; i < 3; i++) {
        CHECK(kill(pid, SIGSTOP) == 0 && waitpid(pid, &status, WUNTRACED | WCONTINUED) == pid);
        CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP && waitpid(pid, &status, WNOHANG | WUNTRACED) == 0);
        CHECK(kill(pid, SIGCONT) == 0 && waitpid(pid, &status, WUNTRACED | WCONTINUED) == pid && WIFCONTINUED(status));
    }
    CHECK(kill(pid, SIGSTOP) == 0 && waitpid(pid, &status, WUNTRACED) == pid);
    CHECK(kill(pid, SIGTERM) == 0); /* waits for the continuation */
    CHECK(waitpid(pid, &status, WNOHANG) == 0);
    CHECK(kill(pid, SIGCONT) == 0 && dies_of(pid, SIGTERM));
    pid = child(sleeps);
    CHECK(kill(pid, SIGSTOP) == 0 && waitpid(pid, &status, WUNTRACED) == pid);
    CHECK(kill(pid, SIGKILL) == 0 && dies_of(pid, SIGKILL)); /* does not */
    return finish("sig_default");
}
