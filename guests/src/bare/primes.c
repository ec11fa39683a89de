/* Counts the primes below two million with a sieve of bits, and sums them. */
#include "../lib/bare.h"

#define LIMIT 2000000

static unsigned char composite[LIMIT / 8];

int bare_main(word argc, char **argv, char **envp, word *auxv) {
    (void)argc;
    (void)argv;
    (void)envp;
    (void)auxv;
    word count = 0, sum = 0;
    for (word i = 2; i < LIMIT; i++) {
        if (composite[i / 8] >> (i % 8) & 1) {
            continue;
        }
        count++;
        sum += i;
        for (word multiple = i * i; multiple < LIMIT; multiple += i) {
            composite[multiple / 8] |= (unsigned char)(1u << (multiple % 8));
        }
    }
    print_number(count);
    print(" primes, sum ");
    print_number(sum);
    print("\n");
    return 0;
}
