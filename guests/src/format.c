/* printf-style formatting of integers, strings and doubles, and reading the numbers back. */
#define KERNEL_NAME "format"
#define KERNEL_ROUNDS 70000
#include "lib/kernel.h"

static uint64_t kernel(uint64_t rounds) {
    static const char *const names[4] = {"alpha", "beta", "gamma-ray", "d"};
    char line[256];
    uint64_t random = 362436069;
    uint64_t sum = 1;
    for (uint64_t round = 0; round < rounds; round++) {
        for (int i = 0; i < 50; i++) {
            uint64_t draw = next_random(&random);
            int length;
            switch (i % 5) {
            case 0:
                length = snprintf(line, sizeof line, "%d,%u,%ld", (int)(draw & 0xffff) - 32768, (unsigned)(draw >> 32), (long)draw);
                break;
            case 1:
                length = snprintf(line, sizeof line, "[%-12s|%12s|%.3s]", names[draw & 3], names[draw >> 2 & 3], names[draw >> 4 & 3]);
                break;
            case 2:
                length = snprintf(line, sizeof line, "%08" PRIx64 " %#o %+05d", draw, (unsigned)(draw & 0xfff), (int)(draw >> 50));
                break;
            case 3:
                length = snprintf(line, sizeof line, "%.6f %g", (double)(draw >> 40) / 4096.0, (double)(draw & 0xffffff) / 3.0);
                break;
            default:
                length = snprintf(line, sizeof line, "%" PRIu64, draw);
                sum = fold(sum, strtoull(line, NULL, 10) == draw);
                break;
            }
            sum = fold(sum, (uint64_t)length);
            for (int at = 0; at < length; at += 5) {
                sum = fold(sum, (uint8_t)line[at]);
            }
        }
    }
    return sum;
}
