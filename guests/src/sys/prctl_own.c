/* prctl: names, death of the parent, subreapers, dumpable, no new privileges, keeping of timer slack, capabilities. prctl(2),
 * PR_SET_PDEATHSIG(2const), PR_SET_CHILD_SUBREAPER(2const), PR_SET_SECUREBITS(2const), PR_CAP_AMBIENT(2const). */
#include "../lib/sys.h"
#include <sys/prctl.h>

struct page {
    atomic_int orphan, new_parent, told, ready;
};

static struct page *page;

static void note(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    page->told = info->si_code == SI_USER ? 2 : 1;
}

static void orphaned(void) {
    page->orphan = getpid();
    pid_t before = getppid();
    page->ready = 1;
    while (getppid() == before) sched_yield();
    page->new_parent = getppid();
    _exit(12);
}

static void makes_orphan(void) {
    child(orphaned);
    while (!page->ready) sched_yield();
}

static void waits_for_death(void) {
    handle(SIGUSR1, note, 0);
    prctl(PR_SET_PDEATHSIG, SIGUSR1);
    page->ready = 1;
    while (!page->told) sleep_ms(1);
    _exit(13);
}

static void dies_first(void) {
    child(waits_for_death);
    while (!page->ready) sched_yield();
}

static void own(void) {
    int value = -1;
    CHECK(prctl(PR_GET_CHILD_SUBREAPER, &value) == 0 && value == 0);  /* not inherited */
    CHECK(prctl(PR_GET_PDEATHSIG, &value) == 0 && value == 0);        /* neither */
    CHECK(prctl(PR_SET_DUMPABLE, 0) == 0 && prctl(PR_GET_DUMPABLE) == 0 && FAILS(prctl(PR_SET_DUMPABLE, 2), EINVAL));
    CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 && FAILS(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL));
}

/* What is asked of capabilities, without any and, if there are some, with them. */
static void capabilities(void) {
    const int chown = 0, noroot = 1, beyond = 63;
    struct {
        unsigned version;
        int pid;
    } header = {0x20080522, 0};
    struct {
        unsigned effective, permitted, inheritable;
    } none[2] = {{0, 0, 0}, {0, 0, 0}};
    CHECK(prctl(PR_GET_SECUREBITS) == 0);
    CHECK(prctl(PR_CAPBSET_READ, chown) >= 0 && FAILS(prctl(PR_CAPBSET_READ, beyond), EINVAL));
    CHECK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, chown, 0, 0) == 0);
    CHECK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0);
    CHECK(FAILS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, beyond, 0, 0), EINVAL));
    CHECK(FAILS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 1, 0, 0), EINVAL));
    if (prctl(PR_SET_SECUREBITS, 1 << noroot) == 0) {
        CHECK(prctl(PR_GET_SECUREBITS) == 1 << noroot);
        CHECK(prctl(PR_CAPBSET_DROP, chown) == 0 && prctl(PR_CAPBSET_READ, chown) == 0);
    } else {
        CHECK(errno == EPERM);
    }
    CHECK(syscall(SYS_capset, &header, none) == 0);
    CHECK(FAILS(prctl(PR_SET_SECUREBITS, 0), EPERM) && FAILS(prctl(PR_CAPBSET_DROP, chown), EPERM));
    CHECK(FAILS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, chown, 0, 0), EPERM));
}

int main(void) {
    begin();
    page = shared_memory(PAGE);
    char name[32], text[64];
    CHECK(prctl(PR_SET_NAME, "a-name-that-is-too-long") == 0 && prctl(PR_GET_NAME, name) == 0);
    CHECK(strcmp(name, "a-name-that-is-") == 0);
    CHECK(read_file("/proc/self/comm", text, sizeof text) == 16 && strcmp(text, "a-name-that-is-\n") == 0);
    CHECK(FAILS(prctl(PR_SET_NAME, (char *)16), EFAULT));
    int value = -1;
    CHECK(prctl(PR_SET_PDEATHSIG, SIGUSR2) == 0 && prctl(PR_GET_PDEATHSIG, &value) == 0 && value == SIGUSR2);
    CHECK(FAILS(prctl(PR_SET_PDEATHSIG, 99), EINVAL) && prctl(PR_SET_PDEATHSIG, 0) == 0);
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0 && prctl(PR_GET_CHILD_SUBREAPER, &value) == 0 && value == 1);
    CHECK(exits_with(child(own), 0));
    CHECK(exits_with(child(capabilities), 0));
    CHECK(prctl(PR_GET_DUMPABLE) == 1);
    CHECK(exits_with(child(makes_orphan), 0));
    int status;
    CHECK(wait(&status) == page->orphan && WEXITSTATUS(status) == 12 && page->new_parent == getpid());
    page->ready = 0;
    CHECK(exits_with(child(dies_first), 0));
    CHECK(wait(&status) > 0 && WEXITSTATUS(status) == 13 && page->told > 0);
    unsigned long slack = (unsigned long)prctl(PR_GET_TIMERSLACK);
    CHECK(slack > 0 && prctl(PR_SET_TIMERSLACK, 12345) == 0 && prctl(PR_GET_TIMERSLACK) == 12345);
    CHECK(prctl(PR_SET_TIMERSLACK, 0) == 0 && (unsigned long)prctl(PR_GET_TIMERSLACK) == slack);
    CHECK(FAILS(prctl(0x7fffffff, 0, 0, 0, 0), EINVAL));
    return finish("prctl_own");
}
