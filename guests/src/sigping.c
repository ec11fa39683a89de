/* Signals to itself: sent and handled at once, handled from a mask, on another stack, and waited for. */
#define KERNEL_NAME "sigping"
#define KERNEL_ROUNDS 50000
#define _GNU_SOURCE
#include "lib/kernel.h"
#include <signal.h>
#include <unistd.h>

static volatile sig_atomic_t seen;
static uint64_t sum = 1;

static void plain(int number) {
    seen = number;
    sum = fold(sum, 1);
}

static void with_record(int number, siginfo_t *record, void *context) {
    (void)context;
    seen = number;
    sum = fold(sum, (uint64_t)record->si_value.sival_int);
}

static void handle(int number, void (*handler)(int), int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigaction(number, &action, NULL);
}

static uint64_t kernel(uint64_t rounds) {
    static char memory[65536];
    stack_t stack = {.ss_sp = memory, .ss_size = sizeof memory};
    sigaltstack(&stack, NULL);
    handle(SIGUSR1, plain, 0);
    handle(SIGUSR2, plain, SA_ONSTACK);
    struct sigaction action = {.sa_sigaction = with_record, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGRTMIN, &action, NULL);
    sigset_t blocked, old, waited;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGRTMIN);
    sigemptyset(&waited);
    sigaddset(&waited, SIGRTMIN + 1);
    sigprocmask(SIG_BLOCK, &waited, NULL);
    for (uint64_t round = 0; round < rounds; round++) {
        raise(SIGUSR1);
        kill(getpid(), SIGUSR2);
        sigprocmask(SIG_BLOCK, &blocked, &old);
        sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = (int)(round & 1023)});
        sigprocmask(SIG_SETMASK, &old, NULL);
        siginfo_t record;
        sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = (int)(sum & 255)});
        if (sigwaitinfo(&waited, &record) > 0) sum = fold(sum, (uint64_t)record.si_value.sival_int);
        sum = fold(sum, (uint64_t)(seen == SIGRTMIN));
    }
    return sum;
}
