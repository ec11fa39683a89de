/* readv, writev and their positioned forms: order, partial results, limits of count and length, flags of preadv2.
 * readv(2), pread(2). */
#include "../lib/sys.h"
#include <limits.h>
#include <sys/uio.h>

int main(void) {
    begin();
    scratch();
    int fd = open("file", O_RDWR | O_CREAT, 0600), ends[2];
    char a[4], b[8], c[16];
    struct iovec out[3] = {{(void *)(uintptr_t)"abc", 3}, {NULL, 0}, {(void *)(uintptr_t)"defgh", 5}};
    struct iovec in[3] = {{a, 2}, {b, 4}, {c, 16}};
    CHECK(writev(fd, out, 3) == 8 && lseek(fd, 0, SEEK_CUR) == 8 && pwritev(fd, out, 3, 100) == 8 && lseek(fd, 0, SEEK_CUR) == 8);
    CHECK(preadv(fd, in, 3, 0) == 22 && memcmp(a, "ab", 2) == 0 && memcmp(b, "cdef", 4) == 0 && memcmp(c, "gh\0", 3) == 0);
    CHECK(preadv(fd, in, 3, 104) == 4 && memcmp(a, "ef", 2) == 0 && memcmp(b, "gh", 2) == 0);
    CHECK(lseek(fd, 2, SEEK_SET) == 2 && readv(fd, in, 1) == 2 && memcmp(a, "cd", 2) == 0 && lseek(fd, 0, SEEK_CUR) == 4);
    CHECK(readv(fd, in, 0) == 0 && FAILS(readv(fd, in, OPAQUE(int, -1)), EINVAL) && FAILS(readv(fd, in, OPAQUE(int, IOV_MAX + 1)), EINVAL));
    static struct iovec many[IOV_MAX];
    static char bytes[IOV_MAX];
    for (int i = 0; i < IOV_MAX; i++) many[i] = (struct iovec){&bytes[i], 1}, bytes[i] = (char)i;
    CHECK(pwritev(fd, many, IOV_MAX, 0) == IOV_MAX);
    memset(bytes, 0, sizeof bytes);
    CHECK(preadv(fd, many, IOV_MAX, 0) == IOV_MAX && bytes[1000] == (char)1000);
    struct iovec long_one[2] = {{a, 4}, {b, SIZE_MAX - 2}};
    CHECK(FAILS(readv(fd, long_one, 2), EINVAL) && FAILS(preadv(fd, in, 3, -1), EINVAL));
    CHECK(pipe(ends) == 0 && FAILS(preadv(ends[0], in, 1, 0), ESPIPE) && FAILS(pwrite(ends[1], "x", 1, 0), ESPIPE));
    CHECK(writev(ends[1], out, 3) == 8 && readv(ends[0], in, 2) == 6 && memcmp(a, "ab", 2) == 0 && memcmp(b, "cdef", 4) == 0);
    CHECK(readv(ends[0], in, 3) == 2);
    lseek(fd, 0, SEEK_SET);
    CHECK(preadv2(fd, in, 1, -1, 0) == 2 && lseek(fd, 0, SEEK_CUR) == 2); /* -1 uses and moves the position */
    CHECK(pwritev2(fd, out, 3, 0, RWF_APPEND) == 8 && lseek(fd, 0, SEEK_END) == IOV_MAX + 8);
    CHECK(pwritev2(fd, out, 3, 0, RWF_SYNC | RWF_DSYNC) == 8 && FAILS(preadv2(fd, in, 1, 0, 0x4000), EOPNOTSUPP));
    ssize_t n = preadv2(fd, in, 1, 0, RWF_NOWAIT);
    CHECK(n == 2 || (n == -1 && (errno == EAGAIN || errno == EOPNOTSUPP)));
    n = preadv2(ends[0], in, 1, -1, RWF_NOWAIT);
    CHECK(n == -1 && (errno == EAGAIN || errno == EOPNOTSUPP));
    /* More than 0x7ffff000 bytes are never moved at once. */
    size_t huge = (size_t)3 << 30;
    char *zeros = mmap(NULL, huge, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int null = open("/dev/null", O_WRONLY);
    CHECK(zeros != MAP_FAILED && write(null, zeros, huge) == 0x7ffff000);
    struct iovec two[2] = {{zeros, (size_t)1 << 30}, {zeros, (size_t)2 << 30}};
    CHECK(writev(null, two, 2) == 0x7ffff000);
    /* Writes to a pipe of at most PIPE_BUF bytes are whole: writers do not mix. */
    pid_t pids[4];
    for (int i = 0; i < 4; i++) {
        pids[i] = fork_limited();
        if (pids[i] == 0) {
            char line[PIPE_BUF];
            memset(line, 'a' + i, sizeof line);
            for (int k = 0; k < 30; k++) {
                struct iovec parts[2] = {{line, 100}, {line + 100, sizeof line - 100}};
                if (writev(ends[1], parts, 2) != sizeof line) _exit(1);
            }
            _exit(0);
        }
    }
    CHECK(close(ends[1]) == 0);
    unsigned mixed = 0, lines = 0;
    static char line[PIPE_BUF];
    for (size_t have = 0;;) {
        n = read(ends[0], line + have, sizeof line - have);
        if (n <= 0) break;
        have += (size_t)n;
        if (have < sizeof line) continue;
        for (size_t i = 1; i < sizeof line; i++) mixed += line[i] != line[0];
        lines++;
        have = 0;
    }
    for (int i = 0; i < 4; i++) CHECK(exits_with(pids[i], 0));
    CHECK(lines == 120 && mixed == 0);
    return finish("file_vectors");
}
