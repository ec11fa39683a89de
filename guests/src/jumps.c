/* setjmp and longjmp: out of deep calls, in loops, with the callee-saved registers and the signal mask restored. */
#include "lib/check.h"
#include <setjmp.h>
#include <signal.h>

static jmp_buf home;
static int depth_reached;

__attribute__((noinline)) static void dive(int depth, int value) {
    volatile char room[64];
    room[0] = 1;
    depth_reached++;
    if (depth == 0) {
        longjmp(home, value);
    }
    dive(depth - 1, value);
    depth_reached -= room[0] * 1000; /* never reached: would show */
}

/* Values that live in callee-saved registers over the jump. */
__attribute__((noinline)) static uint64_t keeps(uint64_t a, uint64_t b, double x) {
    volatile int rounds = 0;
    const uint64_t c = a * b, d = a ^ b;
    const double y = x * 3;
    int value = setjmp(home);
    rounds++;
    if (value < 5) {
        dive(20, value + 1);
    }
    return rounds == 6 && c == a * b && d == (a ^ b) && y == x * 3;
}

static jmp_buf inner;

static int nested(void) {
    volatile int steps = 0;
    if (setjmp(home) == 0) {
        if (setjmp(inner) == 0) {
            steps += 1;
            longjmp(inner, 1);
        }
        steps += 10;
        longjmp(home, 1);
    }
    return steps + 100;
}

static void mask(void) {
    sigjmp_buf point;
    sigset_t set, now;
    volatile int back = 0;
    sigemptyset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    if (sigsetjmp(point, 1) == 0) {
        sigaddset(&set, SIGUSR1);
        sigprocmask(SIG_BLOCK, &set, NULL);
        siglongjmp(point, 1);
    }
    back = 1;
    sigprocmask(SIG_SETMASK, NULL, &now);
    CHECK(back && !sigismember(&now, SIGUSR1));
}

int main(void) {
    CHECK(keeps(0x123456789, 77, 1.25));
    CHECK_U64(depth_reached, 21 * 5);
    CHECK_U64(nested(), 111);
    for (volatile int i = 0; i < 2000; i++) {
        if (setjmp(home) == 0) {
            dive(i % 7, 1);
        }
    }
    int value = setjmp(home);
    if (value == 0) {
        longjmp(home, 0); /* arrives as one */
    }
    CHECK_U64(value, 1);
    mask();
    return finish("jumps");
}
