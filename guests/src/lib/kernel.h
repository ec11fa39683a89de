/* The frame of a benchmark kernel.
 *
 * A kernel defines KERNEL_NAME and KERNEL_ROUNDS (about 0.5-1 s of native work), includes this file and defines kernel().
 * Work is linear in the number of rounds, which argv[1] overrides, so that CPU(2n) - CPU(n) is the steady state.
 * With `guarded` as argv[2] a handler of SIGSEGV is installed first, as run times of several languages have one.
 * Every round feeds its result into the next, so that no compiler can drop or merge rounds. */
#ifndef GUESTS_KERNEL_H
#define GUESTS_KERNEL_H

#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOINLINE __attribute__((noinline))

/* Runs `rounds` rounds of work and returns their checksum. */
static uint64_t kernel(uint64_t rounds);

/* Folds `value` into the running checksum `sum`. */
static inline uint64_t fold(uint64_t sum, uint64_t value) {
    sum = (sum ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return sum ^ (sum >> 29);
}

/* The bits of a double, for checksums over floating-point results. */
static inline uint64_t double_bits(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Marsaglia's 64-bit xorshift; `state` must not be zero. */
static inline uint64_t next_random(uint64_t *state) {
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

/* Nothing here faults: a run that gets here went wrong. */
static inline void at_fault(int number, siginfo_t *record, void *context) {
    (void)number, (void)record, (void)context;
    _Exit(3);
}

static inline void install_fault_handler(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = at_fault;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, NULL);
}

int main(int argc, char **argv) {
    if (argc > 2 && strcmp(argv[2], "guarded") == 0) install_fault_handler();
    uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)(KERNEL_ROUNDS);
    printf(KERNEL_NAME " %" PRIu64 " %016" PRIx64 "\n", rounds, kernel(rounds));
    return 0;
}

#endif
