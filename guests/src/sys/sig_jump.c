/* siglongjmp leaves a handler and restores the mask that sigsetjmp saved, from any depth, also out of faults; plain
 * longjmp keeps the handler's mask. sigsetjmp(3), sigaction(2). */
#include "../lib/sys.h"

static sigjmp_buf place;
static jmp_buf plain_place;
static volatile int count;

static void leaves(int number, siginfo_t *info, void *context) {
    (void)info, (void)context;
    count++;
    siglongjmp(place, number);
}

static void leaves_plainly(int number, siginfo_t *info, void *context) {
    (void)info, (void)context;
    longjmp(plain_place, number);
}

static void nested(int number, siginfo_t *info, void *context) {
    (void)info, (void)context;
    if (++count < 20) raise(number); /* twenty frames deep on the stack, then out at once */
    siglongjmp(place, count);
}

static int blocked(int number) {
    sigset_t now;
    sigprocmask(SIG_SETMASK, NULL, &now);
    return sigismember(&now, number);
}

int main(void) {
    begin();
    double kept = OPAQUE(double, 2.5);
    volatile int loops = 0;
    handle(SIGUSR1, leaves, 0);
    if (sigsetjmp(place, 1) == 0) raise(SIGUSR1);
    CHECK(count == 1 && !blocked(SIGUSR1));
    handle(SIGUSR1, leaves_plainly, 0);
    if (setjmp(plain_place) == 0) raise(SIGUSR1);
    CHECK(blocked(SIGUSR1));
    sigset_t set = set_of(SIGUSR1);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    handle(SIGUSR1, nested, SA_NODEFER);
    count = 0;
    CHECK_U64(sigsetjmp(place, 1) ? count : (raise(SIGUSR1), 0), 20);
    CHECK(!blocked(SIGUSR1));

    handle(SIGSEGV, leaves, 0);
    handle(SIGALRM, leaves, 0);
    count = 0;
    for (loops = 0; loops < 200; loops++) {
        int number = sigsetjmp(place, 1);
        if (number == 0) {
            *(volatile int *)OPAQUE(uintptr_t, 8) = 1;
            CHECK(!"stored to address 8");
        } else if (number != SIGSEGV) {
            CHECK(!"another signal");
        }
    }
    CHECK_U64(count, 200);
    CHECK(!blocked(SIGSEGV));
    /* Out of a loop without any call. */
    struct itimerval soon = {{0, 0}, {0, 5000}};
    count = 0;
    if (sigsetjmp(place, 1) == 0) {
        setitimer(ITIMER_REAL, &soon, NULL);
        for (volatile unsigned i = 0;; i++) {
        }
    }
    CHECK(count == 1 && kept == 2.5);
    /* Out of a waiting system call. */
    int ends[2];
    char c;
    CHECK(pipe(ends) == 0);
    if (sigsetjmp(place, 1) == 0) {
        setitimer(ITIMER_REAL, &soon, NULL);
        CHECK(read(ends[0], &c, 1) == 99); /* does not return */
    }
    CHECK(count == 2 && write(ends[1], "y", 1) == 1 && read(ends[0], &c, 1) == 1 && c == 'y');
    alarm(LIMIT);
    return finish("sig_jump");
}
