/* Arithmetic with long numbers: products with carries, Montgomery reduction, modular powers of 1024 bits. */
#define KERNEL_NAME "bigint"
#define KERNEL_ROUNDS 9000
#include "lib/kernel.h"

#define LIMBS 16

typedef unsigned __int128 wide;

static uint64_t modulus[LIMBS];
/* -1 / modulus[0] modulo 2^64. */
static uint64_t inverse;

static int not_less(const uint64_t *x, const uint64_t *y) {
    for (int i = LIMBS; i-- > 0;) {
        if (x[i] != y[i]) return x[i] > y[i];
    }
    return 1;
}

static void subtract(uint64_t *x, const uint64_t *y) {
    uint64_t borrow = 0;
    for (int i = 0; i < LIMBS; i++) {
        wide difference = (wide)x[i] - y[i] - borrow;
        x[i] = (uint64_t)difference;
        borrow = (uint64_t)(difference >> 64) & 1;
    }
}

/* result = x y / 2^1024 modulo the modulus. */
static NOINLINE void montgomery(uint64_t *result, const uint64_t *x, const uint64_t *y) {
    uint64_t t[LIMBS + 2] = {0};
    for (int i = 0; i < LIMBS; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < LIMBS; j++) {
            wide sum = (wide)x[j] * y[i] + t[j] + carry;
            t[j] = (uint64_t)sum;
            carry = (uint64_t)(sum >> 64);
        }
        wide sum = (wide)t[LIMBS] + carry;
        t[LIMBS] = (uint64_t)sum;
        t[LIMBS + 1] = (uint64_t)(sum >> 64);
        uint64_t factor = t[0] * inverse;
        sum = (wide)factor * modulus[0] + t[0];
        carry = (uint64_t)(sum >> 64);
        for (int j = 1; j < LIMBS; j++) {
            sum = (wide)factor * modulus[j] + t[j] + carry;
            t[j - 1] = (uint64_t)sum;
            carry = (uint64_t)(sum >> 64);
        }
        sum = (wide)t[LIMBS] + carry;
        t[LIMBS - 1] = (uint64_t)sum;
        t[LIMBS] = t[LIMBS + 1] + (uint64_t)(sum >> 64);
    }
    if (t[LIMBS] || not_less(t, modulus)) subtract(t, modulus);
    memcpy(result, t, LIMBS * sizeof *t);
}

static NOINLINE void power(uint64_t *x, uint64_t exponent) {
    uint64_t result[LIMBS];
    memcpy(result, x, sizeof result);
    for (uint64_t bit = UINT64_C(1) << 62; bit; bit >>= 1) {
        montgomery(result, result, result);
        if (exponent & bit) montgomery(result, result, x);
    }
    memcpy(x, result, sizeof result);
}

/* The digits of a number in base 10^9, by repeated short division. */
static NOINLINE uint64_t decimal(const uint64_t *x) {
    uint32_t words[2 * LIMBS];
    uint64_t sum = 0;
    for (int i = 0; i < LIMBS; i++) {
        words[2 * i] = (uint32_t)x[i];
        words[2 * i + 1] = (uint32_t)(x[i] >> 32);
    }
    for (int top = 2 * LIMBS; top > 0;) {
        uint64_t rest = 0;
        for (int i = top; i-- > 0;) {
            rest = rest << 32 | words[i];
            words[i] = (uint32_t)(rest / 1000000000);
            rest %= 1000000000;
        }
        sum = fold(sum, rest);
        while (top > 0 && words[top - 1] == 0) top--;
    }
    return sum;
}

static uint64_t kernel(uint64_t rounds) {
    uint64_t random = 975318642, sum = 1;
    uint64_t x[LIMBS];
    for (int i = 0; i < LIMBS; i++) {
        modulus[i] = next_random(&random);
        x[i] = next_random(&random);
    }
    modulus[0] |= 1;
    modulus[LIMBS - 1] |= UINT64_C(1) << 63;
    x[LIMBS - 1] >>= 1;
    uint64_t guess = 1;
    for (int i = 0; i < 6; i++) guess *= 2 - modulus[0] * guess;
    inverse = -guess;
    for (uint64_t round = 0; round < rounds; round++) {
        power(x, sum);
        sum = fold(sum, decimal(x));
    }
    return sum;
}
