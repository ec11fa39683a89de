/* A handler that repairs the mapping and returns makes the faulting instruction run again: memory on demand, write
 * barriers for a collector, execution on demand. mprotect(2), sigaction(2). */
#include "../lib/sys.h"

#define PAGES 256

static char *area;
static size_t page;
static atomic_int faults, dirty[PAGES];

static void repair(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    uintptr_t at = (uintptr_t)info->si_addr;
    if (at < (uintptr_t)area || at >= (uintptr_t)area + PAGES * page) _exit(99);
    size_t index = (at - (uintptr_t)area) / page;
    faults++;
    dirty[index] = 1;
    if (mprotect(area + index * page, page, PROT_READ | PROT_WRITE | (index == 9 ? PROT_EXEC : 0)) != 0) _exit(98);
}

static void *writes(void *argument) {
    for (size_t i = (size_t)argument; i < PAGES; i += 4) {
        for (size_t at = 0; at < page; at += 512) area[i * page + at] = (char)(i + at / 512);
    }
    return NULL;
}

static void demand(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    char *start = (char *)((uintptr_t)info->si_addr & ~(uintptr_t)(page - 1));
    if (mmap(start, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != start) _exit(97);
    faults++;
}

int main(void) {
    begin();
    page = PAGE;
    area = mmap(NULL, PAGES * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(area != MAP_FAILED && handle(SIGSEGV, repair, 0) == 0);
    for (size_t i = 0; i < PAGES; i += 2) area[i * page + i] = (char)i;
    CHECK_U64(faults, PAGES / 2);
    unsigned wrong = 0;
    for (size_t i = 0; i < PAGES; i++) wrong += dirty[i] != (i % 2 == 0) || (i % 2 == 0 && area[i * page + i] != (char)i);
    CHECK_U64(wrong, 0);
    /* A write barrier: all pages read-only again, each first write is seen once. */
    faults = 0;
    CHECK(mprotect(area, PAGES * page, PROT_READ) == 0);
    volatile char sum = 0;
    for (size_t i = 0; i < PAGES; i++) sum = (char)(sum + area[i * page]);
    CHECK_U64(faults, 0);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < PAGES; i += 3) ++*(volatile uint64_t *)(area + i * page + 8);
    }
    CHECK_U64(faults, (PAGES + 2) / 3);
    CHECK_U64(*(uint64_t *)(area + 3 * page + 8), 3); /* each increment happened exactly once */
    __atomic_fetch_add((uint64_t *)(area + page + 8), 5, __ATOMIC_SEQ_CST);
    CHECK_U64(*(uint64_t *)(area + page + 8), 5);
    /* Several threads at once. */
    CHECK(mprotect(area, PAGES * page, PROT_NONE) == 0);
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, writes, (void *)i) == 0);
    for (size_t i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    for (size_t i = 0; i < PAGES; i++) {
        for (size_t at = 0; at < page; at += 512) wrong += area[i * page + at] != (char)(i + at / 512);
    }
    CHECK_U64(wrong, 0);
    /* Holes that are mapped when they are touched, also twice. */
    handle(SIGSEGV, demand, 0);
    CHECK(munmap(area, PAGES * page) == 0);
    for (int round = 1; round <= 2; round++) {
        faults = 0;
        for (size_t i = 0; i < PAGES; i++) area[i * page + 5] = 7;
        CHECK_U64(faults, PAGES);
        CHECK(munmap(area, PAGES * page) == 0);
    }
    return finish("sig_retry");
}
