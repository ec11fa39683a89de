/* mmap, munmap and mprotect refuse in a fixed order; MAP_FIXED replaces, MAP_FIXED_NOREPLACE does not, hints are hints;
 * permissions of the file bound those of the mapping. mmap(2), mprotect(2), munmap(2). */
#include "../lib/sys.h"
#include <sys/eventfd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

static void *anonymous(void *at, size_t size, int flags) {
    return mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

int main(void) {
    begin();
    scratch();
    size_t page = PAGE;
    CHECK(MAP_FAILS(anonymous(NULL, 0, 0), EINVAL));
    CHECK(MAP_FAILS(mmap(NULL, page, PROT_READ, MAP_ANONYMOUS, -1, 0), EINVAL)); /* neither shared nor private */
    CHECK(MAP_FAILS(mmap(NULL, page, PROT_READ, MAP_PRIVATE, -1, 0), EBADF));
    CHECK(MAP_FAILS(mmap(NULL, page, PROT_READ, MAP_PRIVATE, 999, 0), EBADF));
    CHECK(MAP_FAILS(anonymous((void *)(page * 1000 + 1), page, MAP_FIXED), EINVAL));
    CHECK(MAP_FAILS(anonymous(NULL, (size_t)1 << 60, 0), ENOMEM));
    CHECK(MAP_FAILS(anonymous(NULL, SIZE_MAX, 0), ENOMEM));
    CHECK(MAP_FAILS(anonymous((void *)(UINT64_MAX - 8 * page + 1), page, MAP_FIXED), ENOMEM));
    int ends[2];
    CHECK(pipe(ends) == 0 && MAP_FAILS(mmap(NULL, page, PROT_READ, MAP_PRIVATE, ends[0], 0), ENODEV));
    int folder = open(".", O_RDONLY | O_DIRECTORY);
    CHECK(MAP_FAILS(mmap(NULL, page, PROT_READ, MAP_PRIVATE, folder, 0), ENODEV));
    CHECK(write_file("file", "text", 0600) == 0);
    int reading = open("file", O_RDONLY), writing = open("file", O_WRONLY), path = open("file", O_PATH);
    CHECK(MAP_FAILS(mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, reading, 0), EACCES));
    CHECK(MAP_FAILS(mmap(NULL, page, PROT_READ, MAP_PRIVATE, writing, 0), EACCES));
    CHECK(MAP_FAILS(mmap(NULL, page, PROT_READ, MAP_PRIVATE, path, 0), EBADF));
    CHECK(MAP_FAILS(mmap(NULL, page, PROT_READ, MAP_PRIVATE, reading, 1), EINVAL));
    char *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE, reading, 0);
    CHECK(p != MAP_FAILED && p[0] == 't' && (p[0] = 'T') == 'T' && munmap(p, page) == 0);
    p = mmap(NULL, page, PROT_READ, MAP_SHARED, reading, 0);
    CHECK(p != MAP_FAILED && FAILS(mprotect(p, page, PROT_READ | PROT_WRITE), EACCES) && munmap(p, page) == 0);

    p = anonymous(NULL, 8 * page, 0);
    memset(p, 'a', 8 * page);
    CHECK(MAP_FAILS(anonymous(p + 3 * page, page, MAP_FIXED_NOREPLACE), EEXIST));
    CHECK(MAP_FAILS(anonymous(p + 7 * page, 2 * page, MAP_FIXED_NOREPLACE), EEXIST));
    char *q = anonymous(p + 3 * page, page, 0); /* a hint that cannot be followed */
    CHECK(q != MAP_FAILED && q != p + 3 * page && p[3 * page] == 'a' && munmap(q, page) == 0);
    CHECK(anonymous(p + 3 * page, 2 * page, MAP_FIXED) == p + 3 * page && p[3 * page] == 0 && p[5 * page] == 'a');
    CHECK(munmap(p + page, page) == 0 && munmap(p + 6 * page, page) == 0);
    CHECK(anonymous(p + page, page, MAP_FIXED_NOREPLACE) == p + page && p[page] == 0);
    q = anonymous(p + 6 * page, page, 0); /* one that can */
    CHECK(q == p + 6 * page);
    CHECK(FAILS(munmap(p + 1, page), EINVAL) && FAILS(munmap(p, 0), EINVAL) && FAILS(munmap(p, SIZE_MAX - page), EINVAL));
    CHECK(munmap(p, 3 * page - 10) == 0); /* sizes are rounded up */
    unsigned char vector[8];
    CHECK(FAILS(mincore(p + 2 * page, page, vector), ENOMEM) && mincore(p + 3 * page, page, vector) == 0);

    /* mprotect changes what lies before a hole and then fails. */
    CHECK(FAILS(mprotect(p + 2 * page, 3 * page, PROT_READ), ENOMEM)); /* the hole comes first: nothing changed */
    p[3 * page] = 'b';
    CHECK(munmap(p + 5 * page, page) == 0);
    CHECK(FAILS(mprotect(p + 3 * page, 4 * page, PROT_READ), ENOMEM));
    CHECK(pipe(ends) == 0 && write(ends[1], "xyz", 3) == 3);
    CHECK(FAILS(read(ends[0], p + 3 * page, 1), EFAULT) && FAILS(read(ends[0], p + 4 * page, 1), EFAULT));
    CHECK(read(ends[0], p + 6 * page, 1) == 1);
    CHECK(FAILS(mprotect(p + 3 * page + 1, page, PROT_READ), EINVAL));
    CHECK(mprotect(p + 5 * page, 0, PROT_READ) == 0);
    CHECK(FAILS(mprotect(p + 3 * page, page, 0x100), EINVAL));
    CHECK(FAILS(mprotect(p + 3 * page, SIZE_MAX & ~(page - 1), PROT_READ), ENOMEM));
    CHECK(mprotect(p + 3 * page, page - 5, PROT_READ | PROT_WRITE) == 0);
    p[4 * page - 1] = 'c';

    /* What a mapping was to replace is still there if it is refused for what it was to show. */
    char *kept = anonymous(NULL, 3 * page, 0);
    memset(kept, 'k', 3 * page);
    int refused[] = {eventfd(0, 0), folder, ends[0], path, writing};
    for (size_t i = 0; i < COUNT(refused); i++) {
        CHECK(mmap(kept, 3 * page, PROT_READ, MAP_SHARED | MAP_FIXED, refused[i], 0) == MAP_FAILED && kept[0] == 'k' && kept[2 * page] == 'k');
    }
    CHECK(MAP_FAILS(mmap(kept, page, PROT_READ, MAP_SHARED | MAP_FIXED, reading, INT64_MAX & ~(off_t)(page - 1)), EOVERFLOW) && kept[0] == 'k');
    /* Sizes before offsets. */
    CHECK(MAP_FAILS(mmap(NULL, SIZE_MAX & ~(page - 1), PROT_READ, MAP_PRIVATE, reading, (off_t)page), ENOMEM));
    q = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, -(off_t)page);
    CHECK(q != MAP_FAILED && q[0] == 0 && munmap(q, page) == 0); /* nobody looks at it */
    /* A hole is found when what lies before it has been told. */
    CHECK(munmap(kept + 2 * page, page) == 0);
    unsigned char *nowhere = (unsigned char *)OPAQUE(uintptr_t, 16), *outside = (unsigned char *)OPAQUE(uintptr_t, -4096);
    CHECK(FAILS(mincore(kept, 3 * page, nowhere), EFAULT) && FAILS(mincore(kept + 2 * page, page, nowhere), ENOMEM));
    CHECK(FAILS(mincore(kept + 2 * page, page, outside), EFAULT) && mincore(kept, 0, nowhere) == 0);
    vector[0] = vector[1] = 0;
    CHECK(FAILS(mincore(kept, 3 * page, vector), ENOMEM) && (vector[0] & 1) && (vector[1] & 1));
    /* Ranges that wrap. */
    void *last = (void *)OPAQUE(uintptr_t, 0 - page);
    CHECK(FAILS(munlock(last, 2 * page), EINVAL) && FAILS(munlock(kept, SIZE_MAX - 2 * page), EINVAL) && munlock(kept, SIZE_MAX) == 0);
    CHECK(FAILS(munlock(kept + 2 * page, page), ENOMEM) && FAILS(munlock(kept, 3 * page), ENOMEM));
    struct rlimit lockable;
    if (getrlimit(RLIMIT_MEMLOCK, &lockable) == 0 && lockable.rlim_cur >= 16 * page) {
        CHECK(FAILS(mlock(last, 2 * page), EINVAL) && FAILS(syscall(SYS_mlock2, last, 2 * page, 0), EINVAL));
    }
    CHECK(msync(kept, SIZE_MAX, MS_SYNC) == 0 && FAILS(msync(kept, SIZE_MAX - 2 * page, MS_SYNC), ENOMEM) && FAILS(msync(last, 2 * page, MS_SYNC), ENOMEM));
    return finish("map_errors");
}
