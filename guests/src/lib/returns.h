/* The machine code of a function without arguments that returns a number below 2048. */
#ifndef GUESTS_RETURNS_H
#define GUESTS_RETURNS_H

#include <stdint.h>
#include <string.h>

/* Size of that code in bytes. */
#define RETURNS_SIZE 8

/* Writes it at `at`; the caller makes it visible to the processor. */
static inline void put_returns(char *at, unsigned value) {
#if defined(__riscv)
    uint32_t words[2] = {0x00000513u | (value & 0x7ff) << 20, 0x00008067u}; /* addi a0, x0, value; ret */
#elif defined(__x86_64__)
    unsigned char words[8] = {0xb8, value & 0xff, value >> 8 & 0x7, 0, 0, 0xc3, 0x90, 0x90}; /* mov eax, value; ret */
#elif defined(__aarch64__)
    uint32_t words[2] = {0xd2800000u | (value & 0x7ff) << 5, 0xd65f03c0u}; /* mov x0, #value; ret */
#endif
    memcpy(at, words, sizeof words);
}

#endif
