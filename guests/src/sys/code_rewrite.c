/* Code that changes is run as it is after it was changed and flushed: stores into an executable page, mprotect between
 * writing and running, unmapping and mapping something else, many times and by another thread. mprotect(2), the ISA's
 * instruction-cache rules. */
#include "../lib/sys.h"
#include "../lib/returns.h"

typedef long (*function)(void);

static size_t page;
static char *code;
static atomic_int step, answer;

static long run(const char *at) {
    return ((function)(uintptr_t)at)();
}

static void put(char *at, unsigned value) {
    put_returns(at, value);
    __builtin___clear_cache(at, at + RETURNS_SIZE);
}

static void *other_thread(void *argument) {
    for (int i = 1; i <= 200; i++) {
        while (step != 2 * i - 1) sched_yield();
#if defined(__riscv)
        __asm__ volatile("fence.i" ::: "memory"); /* each hart for itself */
#elif defined(__aarch64__)
        __asm__ volatile("isb" ::: "memory");
#endif
        answer = (int)run(code);
        step = 2 * i;
    }
    return argument;
}

int main(void) {
    begin();
    page = PAGE;
    code = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(code != MAP_FAILED);
    unsigned wrong = 0;
    for (unsigned i = 0; i < 500; i++) {
        put(code, i);
        wrong += run(code) != i;
    }
    CHECK_U64(wrong, 0);
    for (unsigned i = 0; i < 100; i++) put(code + i * 32, 1000 + i); /* many functions in one page, some rewritten */
    for (unsigned i = 0; i < 100; i++) wrong += run(code + i * 32) != 1000 + i;
    for (unsigned i = 0; i < 100; i += 3) put(code + i * 32, i);
    for (unsigned i = 0; i < 100; i++) wrong += run(code + i * 32) != (i % 3 == 0 ? i : 1000 + i);
    CHECK_U64(wrong, 0);
    put(code + page - 4, 77); /* across a page border */
    CHECK_U64(run(code + page - 4), 77);
    put(code + page - 4, 78);
    CHECK_U64(run(code + page - 4), 78);

    for (unsigned i = 0; i < 50; i++) {
        wrong += mprotect(code, page, PROT_READ | PROT_WRITE) != 0;
        put(code, 900 + i);
        wrong += mprotect(code, page, PROT_READ | PROT_EXEC) != 0;
        wrong += run(code) != 900 + i;
    }
    for (unsigned i = 0; i < 50; i++) {
        char *again = mmap(code, page, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        wrong += again != code;
        put(code, i + 300);
        wrong += run(code) != i + 300;
        wrong += munmap(code, page) != 0;
    }
    CHECK_U64(wrong, 0);
    code = mmap(code, page, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, other_thread, NULL) == 0);
    for (int i = 1; i <= 200; i++) {
        put(code, (unsigned)i);
        step = 2 * i - 1;
        while (step != 2 * i) sched_yield();
        wrong += answer != i;
    }
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_U64(wrong, 0);
    /* A fork has its own copy of the code. */
    put(code, 11);
    pid_t pid = fork_limited();
    if (pid == 0) {
        long before = run(code);
        put(code, 22);
        _exit(before == 11 && run(code) == 22 ? 4 : 5);
    }
    CHECK(exits_with(pid, 4) && run(code) == 11);
    return finish("code_rewrite");
}
