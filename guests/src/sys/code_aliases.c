/* Code reached through one mapping and written through another, by read and pread into the page, by pwrite into the file
 * below, by another process and by a system call's result, runs as written after the flush. mmap(2), memfd_create(2). */
#include "../lib/sys.h"
#include "../lib/returns.h"
#include <sys/syscall.h>
#include <sys/uio.h>

typedef long (*function)(void);

static size_t page;
static char *writable, *runnable;
static atomic_int *turn;

static long run(void) {
    __builtin___clear_cache(runnable, runnable + RETURNS_SIZE);
    return ((function)(uintptr_t)runnable)();
}

static void other_process(void) {
    for (int i = 1; i <= 50; i++) {
        while (*turn != 2 * i - 1) sched_yield();
        put_returns(writable, (unsigned)i);
        *turn = 2 * i;
    }
}

int main(void) {
    begin();
    page = PAGE;
    int fd = memfd_create("code", MFD_CLOEXEC), ends[2];
    CHECK(ftruncate(fd, (off_t)page) == 0 && pipe(ends) == 0);
    writable = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    runnable = mmap(NULL, page, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    CHECK(writable != MAP_FAILED && runnable != MAP_FAILED && writable != runnable);
    unsigned wrong = 0;
    for (unsigned i = 0; i < 200; i++) {
        put_returns(writable, i);
        wrong += run() != i;
    }
    CHECK_U64(wrong, 0);
    char code[RETURNS_SIZE];
    for (unsigned i = 0; i < 50; i++) {
        put_returns(code, 300 + i);
        wrong += pwrite(fd, code, sizeof code, 0) != sizeof code || run() != 300 + i;
    }
    CHECK_U64(wrong, 0);
    turn = shared_memory(page);
    pid_t pid = child(other_process);
    for (int i = 1; i <= 50; i++) {
        *turn = 2 * i - 1;
        while (*turn != 2 * i) sched_yield();
        wrong += run() != i;
    }
    CHECK(exits_with(pid, 0));
    CHECK_U64(wrong, 0);
    int other = memfd_create("more", MFD_CLOEXEC);
    for (unsigned i = 0; i < 20; i++) { /* another file in its place */
        put_returns(code, 600 + i);
        wrong += pwrite(other, code, sizeof code, 0) != sizeof code || ftruncate(other, (off_t)page) != 0;
        wrong += mmap(runnable, page, PROT_READ | PROT_EXEC, (i % 2 ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED, other, 0) != runnable;
        wrong += run() != 600 + i;
    }
    CHECK_U64(wrong, 0);

    /* The kernel writes into an executable page. */
    runnable = mmap(NULL, page, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (unsigned i = 0; i < 50; i++) {
        put_returns(code, 700 + i);
        wrong += write(ends[1], code, sizeof code) != sizeof code || read(ends[0], runnable, sizeof code) != sizeof code;
        wrong += run() != 700 + i;
        put_returns(code, 800 + i);
        wrong += pwrite(fd, code, sizeof code, 0) != sizeof code;
        struct iovec parts[2] = {{runnable, 4}, {runnable + 4, sizeof code - 4}};
        wrong += preadv(fd, parts, 2, 0) != sizeof code || run() != 800 + i;
        put_returns(code, 900 + i);
        struct iovec from = {code, sizeof code}, to = {runnable, sizeof code};
        wrong += process_vm_writev(getpid(), &from, 1, &to, 1, 0) != sizeof code || run() != 900 + i;
        put_returns(runnable, 1000 + i);
        wrong += run() != 1000 + i;
        char *moved = mremap(runnable, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, writable);
        wrong += moved != writable;
        writable = runnable;
        runnable = moved;
        wrong += run() != 1000 + i; /* at its new address */
    }
    CHECK_U64(wrong, 0);
    CHECK(madvise(runnable, page, MADV_DONTNEED) == 0);
    put_returns(runnable, 5);
    CHECK(run() == 5);
    return finish("code_aliases");
}
