/* The frame of a program that checks itself: CHECK counts, prints what failed, and `finish` gives the exit status.
 * A passing run prints the same bytes on every architecture. */
#ifndef GUESTS_CHECK_H
#define GUESTS_CHECK_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Atomic unsigned checks_done; /* atomic, since threads may check too */
static _Atomic unsigned checks_failed;

#define CHECK(condition) check_that((condition) != 0, #condition, __LINE__)
#define CHECK_U64(actual, expected) check_u64((uint64_t)(actual), (uint64_t)(expected), #actual, __LINE__)

static inline void check_that(int holds, const char *what, int line) {
    checks_done++;
    if (!holds) {
        checks_failed++;
        printf("line %d: does not hold: %s\n", line, what);
    }
}

static inline void check_u64(uint64_t actual, uint64_t expected, const char *what, int line) {
    checks_done++;
    if (actual != expected) {
        checks_failed++;
        printf("line %d: %s is %#" PRIx64 ", expected %#" PRIx64 "\n", line, what, actual, expected);
    }
}

/* Prints the closing line and returns the exit status for main. */
static inline int finish(const char *name) {
    printf("%s: %u checks, %u failed\n", name, checks_done, checks_failed);
    return checks_failed != 0;
}

/* How often something is done that is usually done `usual` times: all of it, or one part of GUEST_PART in runs that are
 * repeated hundreds of times. */
static inline unsigned part_of(unsigned usual) {
    const char *text = getenv("GUEST_PART");
    int parts = text ? atoi(text) : 1;
    unsigned number = parts > 1 ? usual / (unsigned)parts : usual;
    return number ? number : 1;
}

/* Hides a value from the optimiser, so that the operation on it happens when the program runs. */
#define OPAQUE(type, value) (*(volatile type *)&(type){(value)})

#endif
