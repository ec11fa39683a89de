/* The C library's string functions at every small alignment and length, against loops written out here. */
#include "lib/check.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <wchar.h>

static unsigned char a[256], b[256], c[256];

static void fill(unsigned char *p, size_t n, unsigned seed) {
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        p[i] = (unsigned char)(1 + (seed >> 24) % 255);
    }
}

static int sign(int x) { return (x > 0) - (x < 0); }

static void blocks(void) {
    int copied = 1, moved = 1, set = 1, compared = 1, found = 1;
    for (size_t from = 0; from < 17; from++) {
        for (size_t to = 0; to < 17; to++) {
            for (size_t length = 0; length < 100; length += 1 + length / 7) {
                fill(a, sizeof a, (unsigned)(from * 31 + to * 7 + length));
                memset(b, 0xee, sizeof b);
                memcpy(b + to, a + from, length);
                for (size_t i = 0; i < length; i++) copied &= b[to + i] == a[from + i];
                copied &= b[to + length] == 0xee && (to == 0 || b[to - 1] == 0xee);
                memcpy(c, a, sizeof c);
                memmove(c + to, c + from, length);
                for (size_t i = 0; i < length; i++) moved &= c[to + i] == a[from + i];
                memset(b + to, 0x5a, length);
                for (size_t i = 0; i < length; i++) set &= b[to + i] == 0x5a;
                set &= b[to + length] == 0xee;
                memcpy(b + to, a + from, length);
                compared &= memcmp(b + to, a + from, length) == 0;
                if (length > 3) {
                    b[to + length / 2] ^= 0x80;
                    int expected = b[to + length / 2] < a[from + length / 2] ? -1 : 1;
                    compared &= sign(memcmp(b + to, a + from, length)) == expected;
                    unsigned char *at = memchr(a + from, a[from + length - 1], length);
                    size_t first = 0;
                    while (a[from + first] != a[from + length - 1]) first++;
                    found &= at == a + from + first;
                }
            }
        }
    }
    CHECK(copied);
    CHECK(moved);
    CHECK(set);
    CHECK(compared);
    CHECK(found);
}

static void strings(void) {
    int lengths = 1, chars = 1, orders = 1;
    for (size_t at = 0; at < 16; at++) {
        for (size_t length = 0; length < 80; length++) {
            fill(a, sizeof a, (unsigned)(at + length));
            a[at + length] = 0;
            char *text = (char *)a + at;
            lengths &= strlen(text) == length && strnlen(text, 40) == (length < 40 ? length : 40);
            chars &= strchr(text, 0) == text + length && strrchr(text, 0) == text + length;
            if (length > 0) {
                char last = text[length - 1];
                chars &= strrchr(text, last) == text + length - 1 && *strchr(text, last) == last;
                strcpy((char *)b, text);
                orders &= strcmp((char *)b, text) == 0 && strncmp((char *)b, text, length) == 0;
                b[length - 1] = 0;
                orders &= strcmp((char *)b, text) < 0 && strcmp(text, (char *)b) > 0;
            }
        }
    }
    CHECK(lengths);
    CHECK(chars);
    CHECK(orders);
    CHECK(strcmp("\x7f", "\x80") < 0);
    CHECK(strcasecmp("HeLLo", "hEllO") == 0 && strncasecmp("ABCx", "abcy", 3) == 0);
    CHECK(strcmp(strstr("the quick brown fox", "brown"), "brown fox") == 0 && strstr("aaa", "ab") == NULL);
    CHECK(strspn("aabbcc", "ab") == 4 && strcspn("hello, world", ", ") == 5);
    CHECK(strcmp(strpbrk("key=value", "=:"), "=value") == 0);
    char list[] = ",one,,two,";
    char *rest = NULL;
    CHECK(strcmp(strtok_r(list, ",", &rest), "one") == 0 && strcmp(strtok_r(NULL, ",", &rest), "two") == 0);
    CHECK(strtok_r(NULL, ",", &rest) == NULL);
    char join[32] = "ab";
    strncat(strcat(join, "cd"), "ef", 8);
    CHECK(strcmp(join, "abcdef") == 0);
    char *copy = strdup("copied");
    CHECK(copy && strcmp(copy, "copied") == 0);
    free(copy);
    CHECK(memcmp(memccpy(b, "stop.here", '.', 9), b + 5, 0) == 0);
    CHECK(wcslen(L"wide") == 4 && wcscmp(L"a", L"b") < 0);
}

static void numbers(void) {
    char *end;
    CHECK(strtol("  -123abc", &end, 10) == -123 && strcmp(end, "abc") == 0);
    CHECK(strtol("0x7f", NULL, 0) == 127 && strtol("0755", NULL, 0) == 493 && strtol("zz", NULL, 36) == 1295);
    errno = 0;
    CHECK(strtol("99999999999999999999", NULL, 10) == INT64_MAX && errno == ERANGE);
    CHECK(strtoul("-1", NULL, 10) == UINT64_MAX);
    CHECK(strtod("0x1.8p3", NULL) == 12.0 && strtod("1e-3", NULL) == 0.001 && strtod("-inf", NULL) < -1e308);
    CHECK(strtod("2.2250738585072011e-308", &end) > 0 && *end == 0);
    CHECK(atoi("42") == 42 && atoll("-9000000000") == -9000000000ll && atof("2.5") == 2.5);
    CHECK(isalpha('q') && !isalpha('1') && isspace('\t') && toupper('a') == 'A' && isxdigit('F') && !ispunct('x'));
}

int main(void) {
    blocks();
    strings();
    numbers();
    return finish("strings");
}
