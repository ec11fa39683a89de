/* A switch interpreter: a register machine that runs a sieve, greatest common divisors and a Collatz search. */
#define KERNEL_NAME "bytecode"
#define KERNEL_ROUNDS 1800
#include "lib/kernel.h"

enum opcode { LOAD_CONST, MOVE, ADD, SUB, MUL, REM, SHIFT_RIGHT, AND, LOAD, STORE, JUMP, JUMP_LESS, JUMP_EQUAL, JUMP_ZERO, FOLD, HALT };

struct instruction {
    uint8_t op, a, b, c;
    int32_t value;
};

#define MEMORY_WORDS 4096

static uint64_t memory[MEMORY_WORDS];

static NOINLINE uint64_t execute(const struct instruction *code, uint64_t seed) {
    uint64_t r[16] = {0};
    uint64_t sum = seed;
    const struct instruction *at = code;
    r[15] = seed & 63;
    for (;;) {
        const struct instruction *i = at++;
        switch (i->op) {
        case LOAD_CONST: r[i->a] = (uint64_t)(int64_t)i->value; break;
        case MOVE: r[i->a] = r[i->b]; break;
        case ADD: r[i->a] = r[i->b] + r[i->c]; break;
        case SUB: r[i->a] = r[i->b] - r[i->c]; break;
        case MUL: r[i->a] = r[i->b] * r[i->c]; break;
        case REM: r[i->a] = r[i->b] % r[i->c]; break;
        case SHIFT_RIGHT: r[i->a] = r[i->b] >> (i->value & 63); break;
        case AND: r[i->a] = r[i->b] & (uint64_t)(int64_t)i->value; break;
        case LOAD: r[i->a] = memory[r[i->b] % MEMORY_WORDS]; break;
        case STORE: memory[r[i->b] % MEMORY_WORDS] = r[i->a]; break;
        case JUMP: at = code + i->value; break;
        case JUMP_LESS: if (r[i->a] < r[i->b]) at = code + i->value; break;
        case JUMP_EQUAL: if (r[i->a] == r[i->b]) at = code + i->value; break;
        case JUMP_ZERO: if (r[i->a] == 0) at = code + i->value; break;
        case FOLD: sum = fold(sum, r[i->a]); break;
        case HALT: return sum;
        }
    }
}

static const struct instruction program[] = {
    /* Sieve of 2048 flags: r0 limit, r1 index, r2 multiple, r3 one, r4 count. */
    /*  0 */ {LOAD_CONST, 0, 0, 0, 2048},
    /*  1 */ {LOAD_CONST, 1, 0, 0, 0},
    /*  2 */ {LOAD_CONST, 3, 0, 0, 1},
    /*  3 */ {STORE, 3, 1, 0, 0},
    /*  4 */ {ADD, 1, 1, 3, 0},
    /*  5 */ {JUMP_LESS, 1, 0, 0, 3},
    /*  6 */ {LOAD_CONST, 1, 0, 0, 2},
    /*  7 */ {LOAD_CONST, 4, 0, 0, 0},
    /*  8 */ {LOAD_CONST, 5, 0, 0, 0},
    /*  9 */ {LOAD, 6, 1, 0, 0},
    /* 10 */ {JUMP_ZERO, 6, 0, 0, 16},
    /* 11 */ {ADD, 4, 4, 3, 0},
    /* 12 */ {ADD, 2, 1, 1, 0},
    /* 13 */ {STORE, 5, 2, 0, 0},
    /* 14 */ {ADD, 2, 2, 1, 0},
    /* 15 */ {JUMP_LESS, 2, 0, 0, 13},
    /* 16 */ {ADD, 1, 1, 3, 0},
    /* 17 */ {JUMP_LESS, 1, 0, 0, 9},
    /* 18 */ {FOLD, 4, 0, 0, 0},
    /* Greatest common divisors of (r15 + 1000 + k, 360 + k) for 300 values of k: r1 k, r7 and r8 operands. */
    /* 19 */ {LOAD_CONST, 1, 0, 0, 0},
    /* 20 */ {LOAD_CONST, 0, 0, 0, 300},
    /* 21 */ {LOAD_CONST, 7, 0, 0, 1000},
    /* 22 */ {ADD, 7, 7, 15, 0},
    /* 23 */ {ADD, 7, 7, 1, 0},
    /* 24 */ {LOAD_CONST, 8, 0, 0, 360},
    /* 25 */ {ADD, 8, 8, 1, 0},
    /* 26 */ {JUMP_ZERO, 8, 0, 0, 31},
    /* 27 */ {REM, 9, 7, 8, 0},
    /* 28 */ {MOVE, 7, 8, 0, 0},
    /* 29 */ {MOVE, 8, 9, 0, 0},
    /* 30 */ {JUMP, 0, 0, 0, 26},
    /* 31 */ {FOLD, 7, 0, 0, 0},
    /* 32 */ {ADD, 1, 1, 3, 0},
    /* 33 */ {JUMP_LESS, 1, 0, 0, 21},
    /* Collatz steps from 600 + r15 down to 2: r1 start, r2 value, r4 steps, r10 three, r12 two. */
    /* 34 */ {LOAD_CONST, 1, 0, 0, 600},
    /* 35 */ {ADD, 1, 1, 15, 0},
    /* 36 */ {LOAD_CONST, 10, 0, 0, 3},
    /* 37 */ {LOAD_CONST, 12, 0, 0, 2},
    /* 38 */ {LOAD_CONST, 4, 0, 0, 0},
    /* 39 */ {MOVE, 2, 1, 0, 0},
    /* 40 */ {JUMP_EQUAL, 2, 3, 0, 48},
    /* 41 */ {ADD, 4, 4, 3, 0},
    /* 42 */ {AND, 11, 2, 0, 1},
    /* 43 */ {JUMP_ZERO, 11, 0, 0, 46},
    /* 44 */ {MUL, 2, 2, 10, 0},
    /* 45 */ {ADD, 2, 2, 3, 0},
    /* 46 */ {SHIFT_RIGHT, 2, 2, 0, 1},
    /* 47 */ {JUMP, 0, 0, 0, 40},
    /* 48 */ {SUB, 1, 1, 3, 0},
    /* 49 */ {JUMP_LESS, 12, 1, 0, 39},
    /* 50 */ {FOLD, 4, 0, 0, 0},
    /* 51 */ {HALT, 0, 0, 0, 0},
};

static uint64_t kernel(uint64_t rounds) {
    uint64_t sum = 7;
    for (uint64_t i = 0; i < rounds; i++) {
        sum = execute(program, sum);
    }
    return sum;
}
