/* A process has no more than so many mappings; at the limit what would make another fails, and all else goes on: what makes
 * fewer, files, forks, code that runs for the first time. mmap(2), munmap(2), mprotect(2). */
#include "../lib/sys.h"

/* Limits that are larger take long to reach. */
#define MOST 200000

static void nothing(void) {
}

static int numbers(const void *a, const void *b) {
    return *(const int *)a - *(const int *)b;
}

int main(void) {
    begin();
    char text[200];
    long limit = read_file("/proc/sys/vm/max_map_count", text, sizeof text) > 0 ? atol(text) : MOST + 1;
    if (limit > MOST) {
        printf("map_count: the limit is too high to be reached\n");
        return 0;
    }
    size_t page = PAGE, size = (size_t)(limit + 100) * 2 * page;
    char *room = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(room != MAP_FAILED && munmap(room, size) == 0);
    long made = 0;
    char *at = room;
    for (; made < limit + 100; made++, at += 2 * page) {
        if (mmap(at, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) break;
    }
    CHECK(errno == ENOMEM && made < limit && made > limit - limit / 8);

    /* What lies between two others is one with them. */
    char *last = at - 2 * page;
    CHECK(munmap(room, page) == 0); /* a kernel counts before it looks where */
    CHECK(mmap(last - page, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == last - page && *last == 0);
    long splits = 0;
    for (char *p = room; p < at && splits < 1000; p += 2 * page) splits += mprotect(p, page, PROT_READ | PROT_WRITE) == 0;
    CHECK(splits == 1000); /* whole ones */
    CHECK(read_file("/proc/self/comm", text, sizeof text) > 0 && exits_with(child(nothing), 0));
    for (int i = 0; i < 1000; i++) {
        int some[] = {i, 3, 2, 1};
        qsort(some, 4, sizeof *some, numbers);
        CHECK(snprintf(text, sizeof text, "%d %f %s", some[3], some[0] * 1.5, "x") > 0 && strtod(text, NULL) == some[3]);
    }
    CHECK(munmap(room, size) == 0);
    CHECK(mmap(room, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == room);
    return finish("map_count");
}
