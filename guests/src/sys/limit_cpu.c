/* RLIMIT_CPU counts processor time, not time: SIGXCPU at the soft limit, SIGKILL at the hard one.
 * getrlimit(2). */
#include "../lib/sys.h"

static atomic_int *told;

static void note(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    ++*told;
}

static void burns(void) {
    struct rlimit limit = {1, 1};
    CHECK(setrlimit(RLIMIT_CPU, &limit) == 0);
    limit.rlim_cur = 2;
    CHECK(FAILS(setrlimit(RLIMIT_CPU, &limit), EINVAL)); /* above the hard limit */
    handle(SIGXCPU, note, 0);
    for (volatile unsigned i = 0;; i++) {
    }
}

static void leaves(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    _exit(info->si_code == SI_KERNEL ? 7 : 8);
}

static void is_warned(void) {
    struct rlimit limit = {1, 10};
    handle(SIGXCPU, leaves, 0);
    CHECK(setrlimit(RLIMIT_CPU, &limit) == 0);
    for (volatile unsigned i = 0;; i++) {
    }
}

static void sleeps(void) {
    struct rlimit limit = {1, 1};
    setrlimit(RLIMIT_CPU, &limit);
    sleep_ms(1100); /* takes none */
}

int main(void) {
    begin();
    told = shared_memory(PAGE);
    pid_t sleeper = child(sleeps), burner = child(burns), warned = child(is_warned);
    CHECK(dies_of(burner, SIGKILL)); /* where both limits are one, the hard one is looked at first */
    CHECK_U64(*told, 0);
    CHECK(exits_with(warned, 7));
    CHECK(exits_with(sleeper, 0));
    return finish("limit_cpu");
}
