/* A threaded-code interpreter: a stack machine whose operations end in a computed goto of their own. */
#define KERNEL_NAME "threaded"
#define KERNEL_ROUNDS 6000
#include "lib/kernel.h"

enum opcode { PUSH, GET, PUT, ADD, SUB, MUL, XOR, SHIFT, LESS, LOAD, STORE, JUMP, BRANCH, FOLD, HALT };

#define CELLS 1024
#define LOCALS 8

static uint64_t cells[CELLS];

/* Runs `code`, pairs of an opcode and a number. The top of the stack is in a variable, what is below it in memory. */
static NOINLINE uint64_t execute(const int32_t *code, uint64_t seed) {
    static const void *const labels[] = {
        &&push, &&get, &&put, &&add, &&sub, &&mul, &&xor, &&shift, &&less, &&load, &&store, &&jump, &&branch, &&fold, &&halt,
    };
    uint64_t stack[32], local[LOCALS] = {seed & 255, seed};
    uint64_t *below = stack;
    uint64_t top = 0, sum = seed;
    const int32_t *at = code;
    int64_t number;

#define NEXT                    \
    do {                        \
        number = at[1];         \
        at += 2;                \
        goto *labels[at[-2]];   \
    } while (0)

    NEXT;
push:
    *below++ = top;
    top = (uint64_t)number;
    NEXT;
get:
    *below++ = top;
    top = local[number];
    NEXT;
put:
    local[number] = top;
    top = *--below;
    NEXT;
add:
    top = *--below + top;
    NEXT;
sub:
    top = *--below - top;
    NEXT;
mul:
    top = *--below * top;
    NEXT;
xor:
    top = *--below ^ top;
    NEXT;
shift:
    top >>= number;
    NEXT;
less:
    top = *--below < top;
    NEXT;
load:
    top = cells[top % CELLS];
    NEXT;
store:
    cells[top % CELLS] = *--below;
    top = *--below;
    NEXT;
jump:
    at = code + 2 * number;
    NEXT;
branch:
    if (top) at = code + 2 * number;
    top = *--below;
    NEXT;
fold:
    sum = fold(sum, top);
    top = *--below;
    NEXT;
halt:
    return sum;
}

static const int32_t program[] = {
    /* Fill the cells from a linear congruence: local 2 is the index, local 1 the number. */
    /*  0 */ PUSH, 0, PUT, 2,
    /*  2 */ GET, 1, PUSH, 69069, MUL, 0, PUSH, 12345, ADD, 0, PUT, 1,
    /*  8 */ GET, 1, SHIFT, 9, GET, 2, STORE, 0,
    /* 12 */ GET, 2, PUSH, 1, ADD, 0, PUT, 2,
    /* 16 */ GET, 2, PUSH, CELLS, LESS, 0, BRANCH, 2,
    /* One pass that leaves the larger of two neighbours behind: local 3 and 4 are the neighbours. */
    /* 20 */ PUSH, 0, PUT, 2,
    /* 22 */ GET, 2, LOAD, 0, PUT, 3,
    /* 25 */ GET, 2, PUSH, 1, ADD, 0, LOAD, 0, PUT, 4,
    /* 30 */ GET, 3, GET, 4, LESS, 0, BRANCH, 42,
    /* 34 */ GET, 4, GET, 2, STORE, 0,
    /* 37 */ GET, 3, GET, 2, PUSH, 1, ADD, 0, STORE, 0,
    /* 42 */ GET, 2, PUSH, 1, ADD, 0, PUT, 2,
    /* 46 */ GET, 2, PUSH, CELLS - 1, LESS, 0, BRANCH, 22,
    /* A checksum over differences: local 5. */
    /* 50 */ PUSH, 0, PUT, 5, PUSH, CELLS - 1, PUT, 2,
    /* 54 */ GET, 5, GET, 2, LOAD, 0, XOR, 0, GET, 2, SUB, 0, PUT, 5,
    /* 61 */ GET, 2, PUSH, 1, SUB, 0, PUT, 2,
    /* 65 */ PUSH, 0, GET, 2, LESS, 0, BRANCH, 54,
    /* 69 */ GET, 5, FOLD, 0, JUMP, 72,
    /* 72 */ HALT, 0,
};

static uint64_t kernel(uint64_t rounds) {
    uint64_t sum = 11;
    for (uint64_t i = 0; i < rounds; i++) {
        sum = execute(program, sum);
    }
    return sum;
}
