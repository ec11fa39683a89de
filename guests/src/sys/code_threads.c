/* One thread changes code that others run all the time: once its flush has returned, no thread runs what was there before.
 * The ISA's instruction-cache rules, riscv_flush_icache(2). */
#include "../lib/sys.h"
#include "../lib/returns.h"

#define THREADS 3
#define FUNCTIONS 8
#define ROUNDS 1500
#define MILLISECONDS 1000

typedef long (*function)(void);

static char *code;
static atomic_int begun[FUNCTIONS], published[FUNCTIONS], stop;
static atomic_ulong passes, wrong;

static long run(int which) {
    return ((function)(uintptr_t)(code + 64 * which))();
}

/* The eight bytes change in one step: no thread sees half of an instruction. */
static void put(int which, int value) {
    uint64_t words;
    put_returns((char *)&words, (unsigned)value);
    begun[which] = value;
    char *at = code + 64 * which;
    __atomic_store_n((uint64_t *)(uintptr_t)at, words, __ATOMIC_SEQ_CST);
    __builtin___clear_cache(at, at + RETURNS_SIZE);
    published[which] = value;
}

static void *runner(void *argument) {
    unsigned long bad = 0;
    while (!stop) {
        for (int which = 0; which < FUNCTIONS; which++) {
            int least = published[which];
            long got = run(which);
            int most = begun[which];
            bad += got < least || got > most;
        }
        passes++;
    }
    wrong += bad;
    return argument;
}

static void with_runners(void (*change)(void)) {
    pthread_t threads[THREADS];
    stop = 0;
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, runner, NULL) == 0);
    change();
    stop = 1;
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

static void rewrite(void) {
    int64_t end = milliseconds() + part_of(MILLISECONDS);
    for (int value = 1; value <= ROUNDS && (value < 20 || milliseconds() < end); value++) {
        put(value % FUNCTIONS, value);
        unsigned long before = passes;
        while (value % 4 == 0 && passes == before) sched_yield(); /* the others get to run */
    }
}

int main(void) {
    begin();
    code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(code != MAP_FAILED);
    for (int which = 0; which < FUNCTIONS; which++) put(which, 0);
    with_runners(rewrite);
    CHECK_U64(wrong, 0);
    CHECK(passes > 0);
    return finish("code_threads");
}
