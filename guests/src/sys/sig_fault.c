/* A refused access raises SIGSEGV with the address of the first refused byte and whether nothing was mapped (SEGV_MAPERR)
 * or the permission was lacking (SEGV_ACCERR), for reads, writes and execution; beyond a file's end it is SIGBUS with
 * BUS_ADRERR. sigaction(2), mmap(2). */
#include "../lib/sys.h"

enum way { READ, WRITE, EXECUTE, READ8, WRITE8, ATOMIC };

static int faults(volatile void *p, enum way way, int number, int code, uintptr_t address) {
    last_signal.number = 0;
    if (sigsetjmp(back, 1) == 0) {
        switch (way) {
        case READ: (void)*(volatile char *)p; break;
        case WRITE: *(volatile char *)p = 1; break;
        case EXECUTE: ((void (*)(void))p)(); break;
        case READ8: (void)*(volatile uint64_t *)p; break;
        case WRITE8: *(volatile uint64_t *)p = 1; break;
        case ATOMIC: __atomic_fetch_add((volatile unsigned *)p, 1, __ATOMIC_SEQ_CST); break;
        }
        return 0;
    }
    return last_signal.number == number && last_signal.code == code && last_signal.address == address;
}

#define SEGV(p, way, code) faults(p, way, SIGSEGV, code, (uintptr_t)(p))

static void dies(void) {
    signal(SIGSEGV, SIG_IGN); /* cannot be ignored when it is the instruction's own */
    *(volatile int *)OPAQUE(uintptr_t, 16) = 1;
}

static void dies_blocked(void) {
    sigset_t set = set_of(SIGSEGV);
    sigprocmask(SIG_BLOCK, &set, NULL);
    *(volatile int *)OPAQUE(uintptr_t, 16) = 1;
}

static void faults_in_handler(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    *(volatile int *)OPAQUE(uintptr_t, 24) = 1;
}

static void dies_twice(void) {
    handle(SIGSEGV, faults_in_handler, 0);
    *(volatile int *)OPAQUE(uintptr_t, 16) = 1;
}

int main(void) {
    begin();
    size_t page = PAGE;
    for (int i = 0; i < 2; i++) handle(i ? SIGBUS : SIGSEGV, jump_back, 0);
    char *p = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(mprotect(p + page, page, PROT_NONE) == 0 && mprotect(p + 2 * page, page, PROT_READ) == 0);
    CHECK(munmap(p + 3 * page, page) == 0);
    static const enum way all[] = {READ, WRITE, EXECUTE, READ8, WRITE8, ATOMIC};
    for (size_t i = 0; i < COUNT(all); i++) {
        CHECK(SEGV((char *)OPAQUE(uintptr_t, 0), all[i], SEGV_MAPERR));
        CHECK(SEGV((char *)OPAQUE(uintptr_t, 4096 - 8), all[i], SEGV_MAPERR));
        CHECK(SEGV(p + page + 64, all[i], SEGV_ACCERR));
        CHECK(SEGV(p + 3 * page + 128, all[i], SEGV_MAPERR));
    }
    CHECK(SEGV(p + 2 * page + 32, WRITE, SEGV_ACCERR) && SEGV(p + 2 * page + 32, WRITE8, SEGV_ACCERR));
    CHECK(SEGV(p + 2 * page + 32, ATOMIC, SEGV_ACCERR));
    CHECK(SEGV(p + 64, EXECUTE, SEGV_ACCERR) && SEGV(p + 2 * page, EXECUTE, SEGV_ACCERR));
    CHECK(!SEGV(p + 2 * page, READ, SEGV_ACCERR));
    uintptr_t text = (uintptr_t)&dies & ~(uintptr_t)15;
    CHECK(SEGV((char *)text, WRITE, SEGV_ACCERR));
    const char *volatile constant = "constant";
    CHECK(SEGV((char *)(uintptr_t)constant, WRITE, SEGV_ACCERR));
    /* Across a border: the first byte that is refused, or at least one of the access. */
    *(volatile uint32_t *)(p + page - 4) = 7;
    last_signal.number = 0;
    if (sigsetjmp(back, 1) == 0) *(volatile uint64_t *)OPAQUE(uintptr_t, (uintptr_t)(p + page - 4)) = UINT64_MAX;
    CHECK(last_signal.number == SIGSEGV);
    CHECK(last_signal.address >= (uintptr_t)p + page - 4 && last_signal.address < (uintptr_t)p + page + 4);

    int fd = memfd_create("short", MFD_CLOEXEC);
    CHECK(ftruncate(fd, (off_t)page + 10) == 0);
    char *q = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(!SEGV(q + page + 500, READ, 0) && q[page + 500] == 0);
    CHECK(faults(q + 2 * page, READ, SIGBUS, BUS_ADRERR, (uintptr_t)q + 2 * page));
    CHECK(faults(q + 3 * page + 40, WRITE, SIGBUS, BUS_ADRERR, (uintptr_t)q + 3 * page + 40));
    CHECK(ftruncate(fd, 4 * (off_t)page) == 0 && !SEGV(q + 2 * page, WRITE, 0) && q[2 * page] == 1);
    CHECK(ftruncate(fd, 0) == 0 && faults(q + 8, READ8, SIGBUS, BUS_ADRERR, (uintptr_t)q + 8));
    CHECK(dies_of(child(dies), SIGSEGV));
    CHECK(dies_of(child(dies_blocked), SIGSEGV));
    CHECK(dies_of(child(dies_twice), SIGSEGV));
    return finish("sig_fault");
}
