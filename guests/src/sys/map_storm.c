/* Threads map, unmap and protect pages while others read and write them: every access either happens or raises SIGSEGV
 * with its own address, a handler that returns has the same instruction run again, and nothing is lost. mmap(2),
 * mprotect(2), sigaction(2). */
#include "../lib/sys.h"

#define PAGES 32
#define STORMERS 2
#define ROUNDS 4000
#define STEPS 200000

static size_t page;
static char *arena, *steady, *toggled;
static atomic_int stop;
static atomic_ulong reads, refused, wrong, repeated;
static __thread volatile uintptr_t expected;

/* Faults in the arena are given up, those on the toggled page repeated. */
static void on_fault(int number, siginfo_t *info, void *context) {
    (void)context;
    uintptr_t address = (uintptr_t)info->si_addr;
    int known = info->si_code == SEGV_MAPERR || info->si_code == SEGV_ACCERR;
    if (address / page == (uintptr_t)toggled / page) {
        if (number != SIGSEGV || info->si_code != SEGV_ACCERR) wrong++;
        repeated++;
        return;
    }
    if (number != SIGSEGV || !known || address != expected) wrong++;
    siglongjmp(back, 1);
}

static uint64_t next(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Changes pages of its own; whatever can be read there is zero or the page's number. */
static void *storm(void *argument) {
    size_t own = (size_t)(uintptr_t)argument;
    uint64_t state = 88172645463325252u + own;
    unsigned rounds = part_of(ROUNDS);
    for (unsigned i = 0; i < rounds; i++) {
        size_t index = next(&state) % (PAGES / STORMERS) * STORMERS + own;
        char *at = arena + index * page;
        int ok = 1;
        switch (next(&state) % 5) {
        case 0: ok = munmap(at, page) == 0; break;
        case 1: ok = mprotect(at, page, PROT_NONE) == 0 || errno == ENOMEM; break;
        case 2: ok = mprotect(at, page, PROT_READ) == 0 || errno == ENOMEM; break;
        default:
            ok = mmap(at, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at;
            if (ok) *(volatile uint64_t *)at = index + 1;
        }
        if (!ok) wrong++;
        /* Never without permission to read. */
        if (mprotect(steady, page, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE) != 0) wrong++;
    }
    return argument;
}

static void *reader(void *argument) {
    volatile uint64_t kept = 1234567 + (uintptr_t)argument; /* over the jumps back */
    int last;
    do {
        last = stop; /* once more over what is there in the end */
        for (int i = 0; i < 1000; i++) {
            uint64_t state = kept;
            size_t index = next(&state) % PAGES;
            kept = state;
            volatile uint64_t *at = (uint64_t *)(uintptr_t)(arena + index * page);
            expected = (uintptr_t)at;
            if (sigsetjmp(back, 1) == 0) {
                uint64_t got = *at;
                if (got != 0 && got != index + 1) wrong++;
                reads++;
            } else {
                refused++;
            }
            if (*(volatile uint64_t *)(uintptr_t)steady != 77) wrong++;
        }
    } while (!last);
    return argument;
}

static void *toggler(void *argument) {
    while (!stop) {
        if (mprotect(toggled, page, PROT_NONE) != 0 || mprotect(toggled, page, PROT_READ) != 0) wrong++;
        if (mprotect(toggled, page, PROT_READ | PROT_WRITE) != 0) wrong++;
        sched_yield();
    }
    return argument;
}

/* Sums in registers and in memory agree, however often an access was refused and made again. */
static __attribute__((noinline)) void steps(volatile uint64_t *at) {
    uint64_t sum = 0, product = 1, count = 0;
    double real = 0;
    for (uint64_t i = 0; i < STEPS; i++) {
        uint64_t was = *at;
        sum += was ^ i;
        product = product * 3 + was;
        real += (double)(int64_t)was;
        *at = was + 1;
        count++;
    }
    uint64_t sum_expected = 0, product_expected = 1;
    for (uint64_t i = 0; i < STEPS; i++) {
        sum_expected += i ^ i;
        product_expected = product_expected * 3 + i;
    }
    CHECK_U64(*at, STEPS);
    CHECK_U64(count, STEPS);
    CHECK_U64(sum, sum_expected);
    CHECK_U64(product, product_expected);
    CHECK(real == (double)STEPS * (STEPS - 1) / 2);
}

static char *mapped(size_t pages) {
    char *at = mmap(NULL, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED);
    return at;
}

int main(void) {
    begin();
    page = PAGE;
    arena = mapped(PAGES);
    steady = mapped(1);
    toggled = mapped(1);
    *(uint64_t *)(uintptr_t)steady = 77;
    CHECK(handle(SIGSEGV, on_fault, 0) == 0 && handle(SIGBUS, on_fault, 0) == 0);
    pthread_t stormers[STORMERS], readers[2], other;
    for (size_t i = 0; i < 2; i++) CHECK(pthread_create(&readers[i], NULL, reader, (void *)(uintptr_t)i) == 0);
    for (size_t i = 0; i < STORMERS; i++) CHECK(pthread_create(&stormers[i], NULL, storm, (void *)(uintptr_t)i) == 0);
    for (size_t i = 0; i < STORMERS; i++) CHECK(pthread_join(stormers[i], NULL) == 0);
    stop = 1;
    for (size_t i = 0; i < 2; i++) CHECK(pthread_join(readers[i], NULL) == 0);
    CHECK_U64(wrong, 0);
    CHECK(reads > 0 && refused > 0);
    stop = 0;
    CHECK(pthread_create(&other, NULL, toggler, NULL) == 0);
    steps((uint64_t *)(uintptr_t)toggled);
    stop = 1;
    CHECK(pthread_join(other, NULL) == 0);
    CHECK_U64(wrong, 0);
    return finish("map_storm");
}
