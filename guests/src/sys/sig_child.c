/* With SIGCHLD ignored or SA_NOCLDWAIT no child becomes a zombie, and wait waits for the last one; SA_NOCLDSTOP is told of
 * ends only; a zombie keeps its status until it is reaped. wait(2), sigaction(2). */
#include "../lib/sys.h"

static atomic_int told;

static void note(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    told += info->si_code == CLD_EXITED ? 1 : 100;
}

static void exits(void) {
    _exit(9);
}

static void late(void) {
    sleep_ms(20);
    _exit(9);
}

static void stops(void) {
    raise(SIGSTOP);
    _exit(9);
}

static char state_of(pid_t pid) {
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (read_file(path, text, sizeof text) <= 0) return '-';
    char *end = strrchr(text, ')');
    return end ? end[2] : '?';
}

/* A child that never becomes a zombie is nobody's to wait for a moment before the kernel lets its number go. */
static int is_gone(pid_t pid) {
    for (int i = 0; i < 1000 && kill(pid, 0) == 0; i++) sleep_ms(1);
    return FAILS(kill(pid, 0), ESRCH);
}

static void orphan_maker(void) {
    child(late);
    _exit(0);
}

int main(void) {
    begin();
    pid_t pid = child(exits);
    while (state_of(pid) != 'Z') sched_yield();
    CHECK(kill(pid, 0) == 0); /* a zombie still has its number */
    CHECK(exits_with(pid, 9) && FAILS(kill(pid, 0), ESRCH) && state_of(pid) == '-');
    CHECK(signal(SIGCHLD, SIG_IGN) == SIG_DFL);
    pid = child(late);
    int64_t before = milliseconds();
    CHECK(FAILS(wait(NULL), ECHILD) && milliseconds() - before >= 15);
    CHECK(is_gone(pid));
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_NOCLDWAIT | SA_RESTART};
    CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
    pid = child(late);
    CHECK(FAILS(waitpid(pid, NULL, 0), ECHILD));
    for (int i = 0; i < 1000 && told == 0; i++) sleep_ms(1);
    CHECK(told == 1); /* told all the same */
    action.sa_flags = SA_SIGINFO | SA_NOCLDSTOP | SA_RESTART;
    CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
    told = 0;
    pid = child(stops);
    int status;
    CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    CHECK(kill(pid, SIGCONT) == 0 && exits_with(pid, 9) && told == 1);
    /* Ignored only after the end: the zombie is there already. */
    signal(SIGCHLD, SIG_DFL);
    pid = child(exits);
    while (state_of(pid) != 'Z') sched_yield();
    signal(SIGCHLD, SIG_IGN);
    CHECK(exits_with(pid, 9));
    signal(SIGCHLD, SIG_DFL);
    CHECK(exits_with(child(orphan_maker), 0) && FAILS(wait(NULL), ECHILD)); /* a grandchild is nobody's to wait for */
    enum { MANY = 100 };
    pid_t pids[MANY];
    unsigned sum = 0;
    for (int i = 0; i < MANY; i++) {
        pids[i] = fork_limited();
        if (pids[i] == 0) _exit(i);
    }
    for (int i = 0; i < MANY; i++) {
        pid = wait(&status);
        for (int k = 0; k < MANY; k++) sum += pids[k] == pid && WEXITSTATUS(status) == k;
    }
    CHECK_U64(sum, MANY);
    CHECK(FAILS(wait(NULL), ECHILD));
    return finish("sig_child");
}
