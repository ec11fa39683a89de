/* mmap, mprotect, munmap, mremap, madvise and brk: results, contents, errors. Access to refused pages is tried through
 * system calls, which report EFAULT, so that no signal handler is needed. */
#define _GNU_SOURCE
#include "lib/check.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096u
#define FAILS_MAP(call, error) (errno = 0, (call) == MAP_FAILED && errno == (error))
#define FAILS(call, error) (errno = 0, (call) == -1 && errno == (error))

static int sink[2];

/* Whether the kernel can read one byte there. */
static int readable(const void *p) {
    char c;
    errno = 0;
    if (write(sink[1], p, 1) != 1) return 0;
    return read(sink[0], &c, 1) == 1;
}

/* Whether the kernel can write one byte there. */
static int writable(void *p) {
    char c = 'w', saved;
    if (write(sink[1], &c, 1) != 1) return 0;
    if (read(sink[0], p, 1) == 1) return 1;
    return read(sink[0], &saved, 1) != 1; /* drains the pipe, and the answer is no */
}

static unsigned char *map(void *at, size_t size, int protection, int flags) {
    return mmap(at, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

static void anonymous(void) {
    unsigned char *p = map(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, 0);
    CHECK(p != MAP_FAILED && (uintptr_t)p % PAGE == 0);
    unsigned zero = 0;
    for (unsigned i = 0; i < 16 * PAGE; i++) zero |= p[i];
    CHECK_U64(zero, 0);
    memset(p, 0xaa, 16 * PAGE);
    CHECK(mprotect(p + 4 * PAGE, 4 * PAGE, PROT_NONE) == 0);
    CHECK(readable(p + 4 * PAGE - 1) && !readable(p + 4 * PAGE) && !readable(p + 8 * PAGE - 1) && readable(p + 8 * PAGE));
    CHECK(mprotect(p + 4 * PAGE, PAGE, PROT_READ) == 0 && readable(p + 4 * PAGE) && !writable(p + 4 * PAGE));
    CHECK(p[4 * PAGE] == 0xaa);
    CHECK(mprotect(p, 16 * PAGE, PROT_READ | PROT_WRITE) == 0 && writable(p + 5 * PAGE));
    CHECK(munmap(p + 2 * PAGE, PAGE) == 0 && readable(p + 2 * PAGE - 1) && !readable(p + 2 * PAGE) && readable(p + 3 * PAGE));
    CHECK(FAILS(mprotect(p, 16 * PAGE, PROT_READ), ENOMEM));
    CHECK(munmap(p + 2 * PAGE, PAGE) == 0); /* nothing is there: still a success */
    unsigned char *q = map(p + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_FIXED_NOREPLACE);
    CHECK(q == p + 2 * PAGE && q[0] == 0);
    CHECK(FAILS_MAP(map(p, PAGE, PROT_READ, MAP_FIXED_NOREPLACE), EEXIST));
    q = map(p, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_FIXED);
    CHECK(q == p && p[0] == 0 && p[3 * PAGE] == 0xaa);
    CHECK(madvise(p + 3 * PAGE, PAGE, MADV_DONTNEED) == 0 && p[3 * PAGE] == 0);
    CHECK(munmap(p, 16 * PAGE) == 0 && !readable(p));
}

static void errors(void) {
    CHECK(FAILS_MAP(map(NULL, 0, PROT_READ, 0), EINVAL));
    CHECK(FAILS_MAP(map((void *)1, PAGE, PROT_READ, MAP_FIXED), EINVAL));
    CHECK(FAILS(munmap((void *)1, PAGE), EINVAL));
    CHECK(FAILS(munmap((void *)(uintptr_t)PAGE, 0), EINVAL));
    CHECK(FAILS_MAP(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 999, 0), EBADF));
    CHECK(FAILS_MAP(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 1), EINVAL));
    CHECK(FAILS(mprotect((void *)1, PAGE, PROT_READ), EINVAL));
    CHECK(FAILS_MAP(map(NULL, (size_t)1 << 60, PROT_READ, MAP_NORESERVE), ENOMEM));
}

static void remap(void) {
    unsigned char *p = map(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, 0);
    for (unsigned i = 0; i < 4; i++) p[i * PAGE] = (unsigned char)(i + 1);
    CHECK(mremap(p, 4 * PAGE, 2 * PAGE, 0) == p && !readable(p + 2 * PAGE));
    unsigned char *q = mremap(p, 2 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
    CHECK(q != MAP_FAILED && q[0] == 1 && q[PAGE] == 2 && q[2 * PAGE] == 0 && q[63 * PAGE] == 0);
    q[63 * PAGE] = 9;
    unsigned char *target = map(NULL, 64 * PAGE, PROT_NONE, 0);
    unsigned char *r = mremap(q, 64 * PAGE, 64 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target);
    CHECK(r == target && r[63 * PAGE] == 9 && !readable(q));
    CHECK(munmap(r, 64 * PAGE) == 0);
}

static void of_a_file(void) {
    char name[] = "/tmp/guest-map-XXXXXX";
    int fd = mkstemp(name);
    CHECK(fd >= 0 && unlink(name) == 0);
    char text[2 * PAGE];
    for (unsigned i = 0; i < sizeof text; i++) text[i] = (char)('a' + i % 23);
    CHECK(write(fd, text, PAGE + 100) == PAGE + 100);
    char *shared = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *own = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    CHECK(shared != MAP_FAILED && own != MAP_FAILED);
    CHECK(memcmp(shared, text, PAGE + 100) == 0 && shared[PAGE + 100] == 0);
    own[5] = '#';
    shared[6] = '%';
    char back[8];
    CHECK(pread(fd, back, 8, 0) == 8 && back[5] == text[5] && back[6] == '%');
    CHECK(own[6] == '%' || own[6] == text[6]);
    CHECK(own[5] == '#' && shared[5] == text[5]);
    CHECK(msync(shared, 2 * PAGE, MS_SYNC) == 0);
    char *second = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, PAGE);
    CHECK(second != MAP_FAILED && second[0] == text[PAGE] && !writable(second));
    CHECK(close(fd) == 0 && shared[6] == '%');
    CHECK(munmap(shared, 2 * PAGE) == 0 && munmap(own, 2 * PAGE) == 0 && munmap(second, PAGE) == 0);
}

static void program_break(void) {
    unsigned char *start = sbrk(0);
    CHECK(start != (void *)-1);
    unsigned char *old = sbrk(10 * PAGE);
    CHECK(old == start && sbrk(0) == start + 10 * PAGE);
    unsigned zero = 0;
    for (unsigned i = 0; i < 10 * PAGE; i++) zero |= old[i];
    CHECK_U64(zero, 0);
    memset(old, 1, 10 * PAGE);
    CHECK(brk(start + PAGE) == 0 && sbrk(0) == start + PAGE);
    CHECK(brk(start + 3 * PAGE) == 0);
    unsigned char *again = start + 2 * PAGE;
    CHECK_U64(again[0], 0); /* pages that were given back come back as zeros */
    CHECK(brk(start) == 0 && sbrk(0) == start);
}

static void large(void) {
    size_t size = (size_t)1 << 30;
    unsigned char *p = map(NULL, size, PROT_READ | PROT_WRITE, MAP_NORESERVE);
    CHECK(p != MAP_FAILED);
    for (size_t at = 0; at < size; at += size / 64) p[at] = (unsigned char)(at >> 24);
    unsigned right = 0;
    for (size_t at = 0; at < size; at += size / 64) right += p[at] == (unsigned char)(at >> 24);
    CHECK_U64(right, 64);
    CHECK(munmap(p, size) == 0);
    p = map(NULL, (size_t)1 << 36, PROT_NONE, MAP_NORESERVE);
    CHECK(p != MAP_FAILED && !readable(p) && munmap(p, (size_t)1 << 36) == 0);
    unsigned char *block = malloc(200u << 20);
    CHECK(block != NULL);
    block[0] = block[(200u << 20) - 1] = 7;
    block = realloc(block, 300u << 20);
    CHECK(block && block[0] == 7 && block[(200u << 20) - 1] == 7);
    free(block);
    unsigned char *zeros = calloc(1000, 1000);
    unsigned sum = 0;
    for (unsigned i = 0; i < 1000000; i++) sum |= zeros[i];
    CHECK_U64(sum, 0);
    free(zeros);
    void *aligned = NULL;
    CHECK(posix_memalign(&aligned, 65536, 100) == 0 && (uintptr_t)aligned % 65536 == 0);
    free(aligned);
}

int main(void) {
    if (pipe(sink) != 0 || fcntl(sink[0], F_SETFL, O_NONBLOCK) != 0) {
        perror("pipe");
        return 1;
    }
    anonymous();
    errors();
    remap();
    of_a_file();
    program_break();
    large();
    return finish("memory_maps");
}
