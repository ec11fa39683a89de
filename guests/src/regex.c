/* Regular expressions as state machines: one simulated state by state with sets, one as a table built from it lazily. */
#define KERNEL_NAME "regex"
#define KERNEL_ROUNDS 4000
#include "lib/kernel.h"

enum kind { BYTE, RANGE, SPLIT, DONE };

struct state {
    uint8_t kind, low, high;
    int16_t next, other;
};

/* (a|b)*abb([0-9]+|x[a-f]*)z, built by hand. */
static const struct state machine[] = {
    /*  0 */ {SPLIT, 0, 0, 1, 4},
    /*  1 */ {SPLIT, 0, 0, 2, 3},
    /*  2 */ {BYTE, 'a', 0, 0, 0},
    /*  3 */ {BYTE, 'b', 0, 0, 0},
    /*  4 */ {BYTE, 'a', 0, 5, 0},
    /*  5 */ {BYTE, 'b', 0, 6, 0},
    /*  6 */ {BYTE, 'b', 0, 7, 0},
    /*  7 */ {SPLIT, 0, 0, 8, 10},
    /*  8 */ {RANGE, '0', '9', 9, 0},
    /*  9 */ {SPLIT, 0, 0, 8, 13},
    /* 10 */ {BYTE, 'x', 0, 11, 0},
    /* 11 */ {SPLIT, 0, 0, 12, 13},
    /* 12 */ {RANGE, 'a', 'f', 11, 0},
    /* 13 */ {BYTE, 'z', 0, 14, 0},
    /* 14 */ {DONE, 0, 0, 0, 0},
};

#define STATES (int)(sizeof machine / sizeof *machine)
#define TEXT 6000
#define SETS 64

static char text[TEXT];

static uint32_t with(uint32_t set, int state) {
    if (set >> state & 1) return set;
    set |= UINT32_C(1) << state;
    if (machine[state].kind != SPLIT) return set;
    return with(with(set, machine[state].next), machine[state].other);
}

static uint32_t step(uint32_t set, uint8_t byte) {
    uint32_t next = 0;
    for (int i = 0; i < STATES; i++) {
        if (!(set >> i & 1)) continue;
        const struct state *s = &machine[i];
        if (s->kind == BYTE ? s->low == byte : s->kind == RANGE && s->low <= byte && byte <= s->high) {
            next = with(next, s->next);
        }
    }
    return next;
}

/* Matches that begin anywhere in `length` bytes, found set by set. */
static NOINLINE uint64_t simulate(const char *at, int length) {
    uint64_t found = 0;
    uint32_t set = 0;
    for (int i = 0; i < length; i++) {
        set = step(with(set, 0), (uint8_t)at[i]);
        found += set >> (STATES - 1) & 1;
    }
    return found;
}

static uint32_t sets[SETS];
static int16_t table[SETS][256];
static int known;

static int number_of(uint32_t set) {
    for (int i = 0; i < known; i++) {
        if (sets[i] == set) return i;
    }
    sets[known] = set;
    memset(table[known], -1, sizeof table[known]);
    return known++;
}

/* The same with a table of sets, whose rows are filled in when they are first needed. */
static NOINLINE uint64_t by_table(const char *at, int length) {
    uint64_t found = 0;
    known = 0;
    int now = number_of(with(0, 0));
    for (int i = 0; i < length; i++) {
        int16_t next = table[now][(uint8_t)at[i]];
        if (next < 0) {
            next = (int16_t)number_of(with(step(sets[now], (uint8_t)at[i]), 0));
            table[now][(uint8_t)at[i]] = next;
        }
        now = next;
        found += sets[now] >> (STATES - 1) & 1;
    }
    return found;
}

/* A hand-written scanner: words, numbers, strings with escapes and comments, as a switch over states. */
static NOINLINE uint64_t scan(const char *at, int length) {
    enum { SPACE, WORD, NUMBER, STRING, ESCAPE, COMMENT } state = SPACE;
    uint64_t count[6] = {0};
    for (int i = 0; i < length; i++) {
        char byte = at[i];
        switch (state) {
        case SPACE:
            if (byte >= 'a' && byte <= 'f') state = WORD;
            else if (byte >= '0' && byte <= '9') state = NUMBER;
            else if (byte == 'x') state = STRING;
            else if (byte == '#') state = COMMENT;
            break;
        case WORD: if (byte < 'a' || byte > 'f') state = SPACE; break;
        case NUMBER: if (byte < '0' || byte > '9') state = byte == 'a' ? WORD : SPACE; break;
        case STRING: if (byte == 'z') state = SPACE; else if (byte == '#') state = ESCAPE; break;
        case ESCAPE: state = STRING; break;
        case COMMENT: if (byte == ' ') state = SPACE; break;
        }
        count[state]++;
    }
    uint64_t sum = 0;
    for (int i = 0; i < 6; i++) sum = fold(sum, count[i]);
    return sum;
}

static uint64_t kernel(uint64_t rounds) {
    static const char letters[] = "aabbabbababb01923xcdefz #";
    uint64_t random = 192837465, sum = 1;
    for (int i = 0; i < TEXT; i++) text[i] = letters[next_random(&random) % (sizeof letters - 1)];
    for (uint64_t round = 0; round < rounds; round++) {
        int from = (int)(sum % 512);
        uint64_t slow = simulate(text + from, TEXT / 4 - 512), quick = 0;
        for (int i = 0; i < 8; i++) quick += by_table(text + (i * 64 + from) % 1024, TEXT - 1024);
        sum = fold(sum, slow ^ quick << 20);
        for (int i = 0; i < 8; i++) sum = fold(sum, scan(text + from, TEXT - 512));
        for (int i = 0; i < 16; i++) text[(sum + (uint64_t)i * 311) % TEXT] = letters[(sum >> 3 & 63) % (sizeof letters - 1)];
    }
    return sum;
}
