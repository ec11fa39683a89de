/* An integer mix: linked lists (search, reverse, merge sort), a matrix of 16-bit numbers, a state machine over text, and
 * a CRC that ties the results together. */
#define KERNEL_NAME "coremix"
#define KERNEL_ROUNDS 36000
#include "lib/kernel.h"

/* --- CRC-16 with the polynomial x^16 + x^15 + x^2 + 1, bit by bit. */

static uint16_t crc_byte(uint16_t crc, uint8_t data) {
    for (int bit = 0; bit < 8; bit++) {
        unsigned odd = (crc ^ data) & 1;
        crc >>= 1;
        data >>= 1;
        if (odd) {
            crc ^= 0xa001;
        }
    }
    return crc;
}

static uint16_t crc_word(uint16_t crc, uint32_t word) {
    for (int i = 0; i < 4; i++) {
        crc = crc_byte(crc, (uint8_t)(word >> (8 * i)));
    }
    return crc;
}

/* --- Lists. */

#define NODES 120

struct node {
    struct node *next;
    int16_t key;
    uint16_t place;
};

static struct node nodes[NODES];

static struct node *build_list(uint32_t seed) {
    for (int i = 0; i < NODES; i++) {
        seed = seed * 1103515245u + 12345u;
        nodes[i].key = (int16_t)(seed >> 16);
        nodes[i].place = (uint16_t)i;
        nodes[i].next = i + 1 < NODES ? &nodes[i + 1] : NULL;
    }
    return nodes;
}

static NOINLINE struct node *reverse(struct node *list) {
    struct node *done = NULL;
    while (list) {
        struct node *next = list->next;
        list->next = done;
        done = list;
        list = next;
    }
    return done;
}

static NOINLINE struct node *find_key(struct node *list, int16_t key) {
    while (list && (list->key & 0xff) != (key & 0xff)) {
        list = list->next;
    }
    return list;
}

static int by_key(const struct node *a, const struct node *b) { return (a->key > b->key) - (a->key < b->key); }
static int by_place(const struct node *a, const struct node *b) { return (int)a->place - (int)b->place; }

static NOINLINE struct node *merge_sort(struct node *list, int (*compare)(const struct node *, const struct node *)) {
    for (int run = 1;; run *= 2) {
        struct node *left = list, *head = NULL, **tail = &head;
        int merges = 0;
        while (left) {
            struct node *right = left;
            int left_count = 0, right_count = run;
            merges++;
            while (left_count < run && right) {
                left_count++;
                right = right->next;
            }
            while (left_count > 0 || (right_count > 0 && right)) {
                struct node **from;
                if (left_count > 0 && (right_count == 0 || !right || compare(left, right) <= 0)) {
                    from = &left;
                    left_count--;
                } else {
                    from = &right;
                    right_count--;
                }
                *tail = *from;
                *from = (*from)->next;
                tail = &(*tail)->next;
            }
            left = right;
        }
        *tail = NULL;
        list = head;
        if (merges <= 1) {
            return list;
        }
    }
}

static uint16_t list_work(uint16_t crc, uint32_t seed) {
    struct node *list = build_list(seed);
    for (int i = 0; i < 24; i++) {
        struct node *found = find_key(list, (int16_t)(seed + (uint32_t)i * 5));
        crc = crc_byte(crc, found ? (uint8_t)found->place : 0xff);
        if (i % 4 == 0) {
            list = reverse(list);
        }
    }
    list = merge_sort(list, by_key);
    crc = crc_word(crc, (uint32_t)(uint16_t)list->key << 16 | list->place);
    list = merge_sort(list, by_place);
    return crc_word(crc, (uint32_t)(uint16_t)list->next->key);
}

/* --- Matrices. */

#define SIDE 12

static int16_t a[SIDE][SIDE], b[SIDE][SIDE];
static int32_t c[SIDE][SIDE];

static NOINLINE void fill(uint32_t seed) {
    for (int i = 0; i < SIDE; i++) {
        for (int j = 0; j < SIDE; j++) {
            seed = seed * 69069u + 1u;
            a[i][j] = (int16_t)(seed >> 20);
            b[i][j] = (int16_t)((seed >> 8) & 0xff);
        }
    }
}

static NOINLINE void product(void) {
    for (int i = 0; i < SIDE; i++) {
        for (int j = 0; j < SIDE; j++) {
            int32_t sum = 0;
            for (int k = 0; k < SIDE; k++) {
                sum += (int32_t)a[i][k] * (int32_t)b[k][j];
            }
            c[i][j] = sum;
        }
    }
}

static NOINLINE uint32_t bit_fields(void) {
    uint32_t sum = 0;
    int32_t previous = 0;
    for (int i = 0; i < SIDE; i++) {
        for (int j = 0; j < SIDE; j++) {
            int32_t now = (c[i][j] >> 2 & 0x1f) * (c[i][j] >> 5 & 0x7f);
            sum += now > previous ? 10u : (uint32_t)now & 7u;
            previous = now;
        }
    }
    return sum;
}

static uint16_t matrix_work(uint16_t crc, uint32_t seed) {
    fill(seed);
    product();
    crc = crc_word(crc, bit_fields());
    for (int i = 0; i < SIDE; i++) {
        for (int j = 0; j < SIDE; j++) {
            a[i][j] = (int16_t)(a[i][j] + (int16_t)(seed & 0x3f));
        }
    }
    product();
    return crc_word(crc, bit_fields());
}

/* --- A state machine that classifies comma-separated numbers. */

enum state { START, SIGN, INTEGER, POINT, FRACTION, EXPONENT, EXPONENT_SIGN, EXPONENT_DIGITS, INVALID, STATES };

static enum state step(enum state state, uint8_t c) {
    int digit = c >= '0' && c <= '9';
    switch (state) {
    case START:
        return digit ? INTEGER : c == '+' || c == '-' ? SIGN : c == '.' ? POINT : INVALID;
    case SIGN:
        return digit ? INTEGER : c == '.' ? POINT : INVALID;
    case INTEGER:
        return digit ? INTEGER : c == '.' ? FRACTION : c == 'e' || c == 'E' ? EXPONENT : INVALID;
    case POINT:
        return digit ? FRACTION : INVALID;
    case FRACTION:
        return digit ? FRACTION : c == 'e' || c == 'E' ? EXPONENT : INVALID;
    case EXPONENT:
        return digit ? EXPONENT_DIGITS : c == '+' || c == '-' ? EXPONENT_SIGN : INVALID;
    case EXPONENT_SIGN:
    case EXPONENT_DIGITS:
        return digit ? EXPONENT_DIGITS : INVALID;
    default:
        return INVALID;
    }
}

static const uint8_t text[] = "5012,-874,+122,35.54400,.1234500,-110.700,+0.64400,5.500e+3,-.123e-2,-87e+832,+0.6e-12,"
                              "T0.3e-1F,-T.T++Tq,1T3.4e4z,34.0e-T^,7,,0.,12e,+-4,00000000001,9.9E9";

static uint16_t state_work(uint16_t crc, uint32_t seed) {
    uint32_t ends[STATES] = {0}, visits[STATES] = {0};
    uint8_t copy[sizeof text];
    memcpy(copy, text, sizeof text);
    for (uint32_t at = seed % 7; at + 1 < sizeof copy; at += 11) {
        if (copy[at] != ',') {
            copy[at] ^= (uint8_t)(seed >> (at % 24)) & 3;
        }
    }
    enum state state = START;
    for (uint32_t at = 0; at < sizeof copy; at++) {
        if (copy[at] == ',' || copy[at] == 0) {
            ends[state]++;
            state = START;
        } else {
            state = step(state, copy[at]);
            visits[state]++;
        }
    }
    for (int i = 0; i < STATES; i++) {
        crc = crc_word(crc, ends[i] << 16 | visits[i]);
    }
    return crc;
}

static uint64_t kernel(uint64_t rounds) {
    uint16_t crc = 0;
    uint64_t sum = 1;
    for (uint64_t round = 0; round < rounds; round++) {
        uint32_t seed = (uint32_t)crc * 40503u + (uint32_t)round;
        crc = list_work(crc, seed);
        crc = matrix_work(crc, seed);
        crc = state_work(crc, seed);
        sum = fold(sum, crc);
    }
    return sum;
}
