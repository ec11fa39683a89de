/* printf of every kind, variable arguments in registers and on the stack, and scanf. The output itself is the test. */
#include "lib/check.h"
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <wchar.h>

static double mixed(int count, const char *kinds, ...) {
    va_list list, again;
    va_start(list, kinds);
    va_copy(again, list);
    double sum = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < count; i++) {
            switch (kinds[i]) {
            case 'i': sum += pass ? va_arg(again, int) : va_arg(list, int); break;
            case 'l': sum += (double)(pass ? va_arg(again, long) : va_arg(list, long)); break;
            case 'd': sum += pass ? va_arg(again, double) : va_arg(list, double); break;
            case 's': sum += (double)strlen(pass ? va_arg(again, const char *) : va_arg(list, const char *)); break;
            }
        }
    }
    va_end(again);
    va_end(list);
    return sum;
}

struct pair { int64_t a; double b; };
struct large { int64_t words[5]; };
struct floats { float x, y; };

__attribute__((noinline)) static struct pair make_pair(struct floats f, struct pair p, struct large l, int i, double d) {
    return (struct pair){p.a + l.words[4] + i, p.b + f.x * f.y + d};
}
__attribute__((noinline)) static struct large make_large(int64_t from) {
    struct large l;
    for (int i = 0; i < 5; i++) l.words[i] = from + i;
    return l;
}
__attribute__((noinline)) static double many(int a, double b, int c, double d, int e, double f, int g, double h, int i, double j,
                                             int k, double l, int m, double n, int o, double p, int q, double r, int s, double t) {
    return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + 9 * i + 10 * j + 11 * k + 12 * l + 13 * m + 14 * n + 15 * o +
           16 * p + 17 * q + 18 * r + 19 * s + 20 * t;
}

int main(void) {
    printf("%d %5d|%-5d|%05d %+d % d %i %u %x %X %o %#x %#o %c%%\n", -42, 42, 42, 42, 42, 42, INT32_MIN, UINT32_MAX, 255, 255, 8, 255, 8, 'z');
    printf("%hhd %hd %ld %lld %zu %jd %td\n", 300, 70000, INT64_MIN, -1ll, (size_t)-1, (intmax_t)7, (ptrdiff_t)-8);
    printf("%.3d|%8.3d|%-8.3d|%.0d|%*d|%-*d|%.*s\n", 5, 5, 5, 0, 6, 1, 6, 2, 3, "abcdef");
    printf("%s|%10s|%-10s|%.2s|%s\n", "text", "right", "left", "cut", "");
    static const double values[] = {0.0, -0.0, 1.0, 0.1, 1.0 / 3, 123456789.0, 1e21, 1e-7, 9.995, 0.5, 1.5, 2.5, DBL_MAX, DBL_MIN, 5e-324, 1e100, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        printf("%f %.0f %.3e %g %G %a %#g %15.4f|%-12.3g|%+.10g %.17g\n", values[i], values[i], values[i], values[i], values[i],
               values[i], values[i], values[i], values[i], values[i], values[i]);
    }
    printf("%.60f\n%.40e\n", 0.1, 1e-300);
    printf("%2$s %1$s %3$*4$d\n", "world", "hello", 7, 5);
    printf("%ls %lc\n", L"wide", (wint_t)'w');
    int written = 0;
    printf("counted%n", &written);
    printf(" %d\n", written);
    char small[8];
    CHECK_U64(snprintf(small, sizeof small, "%s", "truncated"), 9);
    CHECK(strcmp(small, "truncat") == 0);
    CHECK_U64(snprintf(NULL, 0, "%d", 12345), 5);
    CHECK(mixed(8, "idslidsl", 1, 2.5, "abc", 4l, 5, 6.5, "", 8l) == 60.0);
    CHECK(mixed(14, "iiiiiiiidddddd", 1, 2, 3, 4, 5, 6, 7, 8, 0.5, 0.25, 1.0, 2.0, 4.0, 8.0) == 103.5);
    struct pair p = make_pair((struct floats){1.5f, 2}, (struct pair){10, 0.5}, make_large(100), 3, 0.25);
    CHECK_U64(p.a, 117);
    CHECK(p.b == 3.75);
    CHECK(many(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2) == 230.0);
    int i, j;
    unsigned x;
    double d;
    char word[16], class[16];
    CHECK_U64(sscanf("12 -7 ff 2.5e3 word [x]", "%d %d %x %lf %15s [%15[a-z]]", &i, &j, &x, &d, word, class), 6);
    CHECK(i == 12 && j == -7 && x == 255 && d == 2500 && strcmp(word, "word") == 0 && strcmp(class, "x") == 0);
    CHECK(setlocale(LC_ALL, "C") != NULL);
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    for (int k = 0; k < 100; k++) fprintf(memory, "%d,", k);
    fclose(memory);
    CHECK_U64(size, 290);
    free(text);
    /* The functions of libm that are exact everywhere, and the bits of a few that are correctly rounded. */
    printf("%a %a %a %a %a %a\n", floor(-2.5), ceil(-2.5), trunc(-2.5), round(-2.5), rint(-2.5), fmod(10.5, 3));
    d = frexp(48.0, &i);
    printf("%a %a %a %d\n", ldexp(1.5, 10), hypot(3, 4), d, i);
    printf("%a %a %a\n", nextafter(1, 2), scalbn(1, -1074), remainder(7, 4));
    return finish("printing");
}
