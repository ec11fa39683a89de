/* madvise: DONTNEED drops private pages at once and shows the file again, FREE may, REMOVE punches a hole, POPULATE faults
 * in, DONTFORK and WIPEONFORK act at fork; errors. madvise(2), mincore(2), mlock(2), msync(2). */
#include "../lib/sys.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

static size_t page;
static char *wiped, *kept, *hidden;

static void after_fork(void) {
    int ends[2];
    CHECK(wiped[0] == 0 && kept[0] == 'k');
    CHECK(pipe(ends) == 0 && FAILS(write(ends[1], hidden, 1), EFAULT)); /* not there */
}

static char *area(size_t pages, int value) {
    char *p = mmap(NULL, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(p, value, pages * page);
    return p;
}

static void no_memory_locked(void) {
    struct rlimit none = {0, 0};
    CHECK(setrlimit(RLIMIT_MEMLOCK, &none) == 0);
    if (geteuid() != 0) CHECK(FAILS(mlock(kept, page), EPERM));
    else CHECK(mlock(kept, page) == 0);
}

int main(void) {
    begin();
    page = PAGE;
    unsigned char vector[8];
    char *p = area(4, 'x');
    CHECK(madvise(p + page, 2 * page, MADV_DONTNEED) == 0 && p[0] == 'x' && p[page] == 0 && p[2 * page] == 0 && p[3 * page] == 'x');
    CHECK(mincore(p, page, vector) == 0 && (vector[0] & 1) == 1);
    CHECK(madvise(p, page, MADV_FREE) == 0 && (p[0] == 'x' || p[0] == 0));
    p[0] = 'y'; /* writing again keeps the page */
    CHECK(p[0] == 'y');
    int fd = memfd_create("file", MFD_CLOEXEC);
    CHECK(ftruncate(fd, (off_t)(4 * page)) == 0 && pwrite(fd, "file", 4, 0) == 4);
    char *own = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), *shared = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    strcpy(own, "OWN!");
    CHECK(madvise(own, page, MADV_DONTNEED) == 0 && memcmp(own, "file", 4) == 0);
    CHECK(madvise(shared, page, MADV_DONTNEED) == 0 && memcmp(shared, "file", 4) == 0);
    strcpy(shared + page, "second");
    CHECK(madvise(shared + page, page, MADV_REMOVE) == 0 && shared[page] == 0 && memcmp(shared, "file", 4) == 0);
    p = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(mincore(p, 4 * page, vector) == 0 && (vector[0] & 1) == 0);
    CHECK(madvise(p, page, MADV_POPULATE_WRITE) == 0 && mincore(p, page, vector) == 0 && (vector[0] & 1) == 1);
    for (int advice = 0; advice <= 3; advice++) CHECK(madvise(p, 4 * page, advice) == 0); /* normal to willneed */

    wiped = area(1, 'w'), kept = area(1, 'k'), hidden = area(1, 'h');
    CHECK(madvise(wiped, page, MADV_WIPEONFORK) == 0 && madvise(hidden, page, MADV_DONTFORK) == 0);
    CHECK(exits_with(child(after_fork), 0) && wiped[0] == 'w' && hidden[0] == 'h');
    CHECK(madvise(wiped, page, MADV_KEEPONFORK) == 0 && madvise(hidden, page, MADV_DOFORK) == 0);
    CHECK(FAILS(madvise(shared, page, MADV_WIPEONFORK), EINVAL));
    CHECK(FAILS(madvise(shared, page, MADV_FREE), EINVAL));
    CHECK(FAILS(madvise(p + 1, page, MADV_DONTNEED), EINVAL) && FAILS(madvise(p, page, 999), EINVAL));
    CHECK(madvise(p, 0, MADV_DONTNEED) == 0);
    CHECK(munmap(p + page, page) == 0 && FAILS(madvise(p, 3 * page, MADV_DONTNEED), ENOMEM)); /* but done where it could */
    CHECK(FAILS(mincore(p + 1, page, vector), EINVAL) && FAILS(mincore(p, page, (void *)16), EFAULT));
    CHECK(FAILS(mincore(p, 3 * page, vector), ENOMEM));
    CHECK(mlock(kept, page) == 0 && munlock(kept, page) == 0 && FAILS(mlock(p, 3 * page), ENOMEM));
    CHECK(FAILS(munlock(p, 3 * page), ENOMEM) && FAILS(mlockall(99), EINVAL) && munlockall() == 0);
    CHECK(exits_with(child(no_memory_locked), 0));
    CHECK(msync(shared, 4 * page, MS_SYNC) == 0 && msync(shared, page, MS_ASYNC) == 0);
    CHECK(FAILS(msync(shared, page, MS_SYNC | MS_ASYNC), EINVAL) && FAILS(msync(shared, page, 99), EINVAL));
    CHECK(FAILS(msync(shared + 1, page, MS_SYNC), EINVAL) && FAILS(msync(p, 3 * page, MS_SYNC), ENOMEM));
    return finish("map_advice");
}
