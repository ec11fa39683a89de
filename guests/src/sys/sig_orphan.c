/* When a process group with a stopped member becomes orphaned, its members get SIGHUP and then SIGCONT; members of an
 * orphaned group are not stopped by terminal signals, but by SIGSTOP. setpgid(2), _exit(2), signal(7). */
#include "../lib/sys.h"

struct page {
    atomic_int hup, cont, ready, after, pid;
};

static struct page *page;

static void hangs_up(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    page->hup++;
}

static void continues(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    page->cont++;
}

static void member(void) {
    handle(SIGHUP, hangs_up, 0);
    handle(SIGCONT, continues, 0);
    page->pid = getpid();
    page->ready = 1;
    raise(SIGSTOP);
    for (int i = 0; i < 5000 && !(page->hup && page->cont); i++) sleep_ms(1);
    raise(SIGTSTP); /* the group is orphaned now: nothing */
    page->after = 1;
}

static void leader(void) {
    setsid();
    pid_t pid = fork_limited();
    if (pid == 0) {
        setpgid(0, 0);
        member();
        _exit(0);
    }
    int status;
    if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status)) _exit(2);
    /* The member's parent goes, the only one who tied its group to the session. */
}

static void alone(void) {
    setsid();
    raise(SIGTSTP);
    raise(SIGTTIN);
    page->after = 5;
    raise(SIGSTOP);
    page->after = 6;
}

int main(void) {
    begin();
    page = shared_memory(PAGE);
    CHECK(exits_with(child(leader), 0));
    for (int i = 0; i < 8000 && !page->after; i++) sleep_ms(1);
    CHECK_U64(page->hup, 1);
    CHECK_U64(page->cont, 1);
    CHECK_U64(page->after, 1);
    while (page->pid && kill(page->pid, 0) == 0) { /* leave nothing behind */
        char path[64], text[512];
        snprintf(path, sizeof path, "/proc/%d/stat", page->pid);
        char *end = read_file(path, text, sizeof text) > 0 ? strrchr(text, ')') : NULL;
        if (!end || end[2] == 'Z') break;
        sched_yield();
    }
    pid_t pid = child(alone);
    int status = 0;
    CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    CHECK_U64(page->after, 5);
    CHECK(kill(pid, SIGCONT) == 0 && exits_with(pid, 0) && page->after == 6);
    return finish("sig_orphan");
}
