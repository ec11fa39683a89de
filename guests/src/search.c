/* Searching for strings: by skipping, by a table of prefixes, by a rolling hash, and byte by byte. */
#define KERNEL_NAME "search"
#define KERNEL_ROUNDS 2400
#include "lib/kernel.h"

#define TEXT 32768
#define LONGEST 32

static uint8_t text[TEXT];

/* Horspool: compares from the end and skips by the last byte. */
static NOINLINE unsigned skipping(const uint8_t *word, int length) {
    int skip[256];
    unsigned found = 0;
    for (int i = 0; i < 256; i++) skip[i] = length;
    for (int i = 0; i + 1 < length; i++) skip[word[i]] = length - 1 - i;
    for (int at = 0; at + length <= TEXT; at += skip[text[at + length - 1]]) {
        int i = length - 1;
        while (i >= 0 && text[at + i] == word[i]) i--;
        found += i < 0;
    }
    return found;
}

/* Knuth, Morris and Pratt: never looks at a byte of the text twice. */
static NOINLINE unsigned by_prefixes(const uint8_t *word, int length) {
    int back[LONGEST + 1];
    unsigned found = 0;
    back[0] = -1;
    for (int i = 0, k = -1; i < length;) {
        while (k >= 0 && word[i] != word[k]) k = back[k];
        back[++i] = ++k;
    }
    for (int i = 0, k = 0; i < TEXT; i++) {
        while (k >= 0 && (k == length || word[k] != text[i])) k = back[k];
        found += ++k == length;
    }
    return found;
}

/* Karp and Rabin: compares where a hash of the window agrees. */
static NOINLINE unsigned by_hash(const uint8_t *word, int length) {
    uint32_t wanted = 0, window = 0, highest = 1;
    unsigned found = 0;
    for (int i = 0; i < length; i++) {
        wanted = wanted * 257 + word[i];
        window = window * 257 + text[i];
        if (i) highest *= 257;
    }
    for (int at = 0;; at++) {
        if (window == wanted && memcmp(text + at, word, (size_t)length) == 0) found++;
        if (at + length >= TEXT) return found;
        window = (window - text[at] * highest) * 257 + text[at + length];
    }
}

/* Byte by byte, ignoring the case of letters. */
static NOINLINE unsigned ignoring_case(const uint8_t *word, int length) {
    unsigned found = 0;
    for (int at = 0; at + length <= TEXT / 4; at++) {
        int i = 0;
        while (i < length && (text[at + i] | 32) == (word[i] | 32)) i++;
        found += i == length;
    }
    return found;
}

static uint64_t kernel(uint64_t rounds) {
    uint64_t random = 314159265, sum = 1;
    for (int i = 0; i < TEXT; i++) {
        uint64_t draw = next_random(&random);
        text[i] = (uint8_t)((draw & 31 ? 'a' : 'A') + (draw >> 8 & 3 ? draw >> 12 & 3 : draw >> 12 & 15));
    }
    for (uint64_t round = 0; round < rounds; round++) {
        uint8_t word[LONGEST];
        int length = 3 + (int)(sum >> 9 & 15);
        memcpy(word, text + sum % (TEXT - LONGEST), sizeof word);
        unsigned by_skipping = skipping(word, length);
        sum = fold(sum, by_skipping);
        sum = fold(sum, by_prefixes(word, length) ^ by_hash(word, length) << 16);
        sum = fold(sum, ignoring_case(word, length));
        text[sum % TEXT] = (uint8_t)('a' + (sum >> 30 & 7));
    }
    return sum;
}
