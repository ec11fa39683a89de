/* Counts the primes below two million with a sieve of bits, and sums them, as many times as the first argument says (once). */
#include "../lib/bare.h"

#define LIMIT 2000000

static unsigned char composite[LIMIT / 8];

struct primes {
    word count, sum;
};

static struct primes sieve(void) {
    struct primes found = {0, 0};
    for (word i = 0; i < sizeof composite; i++) {
        composite[i] = 0;
    }
    for (word i = 2; i < LIMIT; i++) {
        if (composite[i / 8] >> (i % 8) & 1) {
            continue;
        }
        found.count++;
        found.sum += i;
        for (word multiple = i * i; multiple < LIMIT; multiple += i) {
            composite[multiple / 8] |= (unsigned char)(1u << (multiple % 8));
        }
    }
    return found;
}

int bare_main(word argc, char **argv, char **envp, word *auxv) {
    (void)envp;
    (void)auxv;
    word rounds = 1;
    if (argc > 1) {
        rounds = 0;
        for (const char *digit = argv[1]; *digit != 0; digit++) {
            rounds = rounds * 10 + (word)(*digit - '0');
        }
    }
    struct primes found = {0, 0};
    for (; rounds > 0; rounds--) {
        found = sieve();
    }
    print_number(found.count);
    print(" primes, sum ");
    print_number(found.sum);
    print("\n");
    return 0;
}
