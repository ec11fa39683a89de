/* Calls with wild pointers give EFAULT and change nothing else; buffers that end in a hole are used up to it where the call
 * allows a partial result. The manual page of each call; open(2), read(2), stat(2) and others. */
#include "../lib/sys.h"
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/utsname.h>

static const uintptr_t wild[] = {16, 0x00ffffffffffff00, 0xfffffffffffff000};

int main(void) {
    begin();
    scratch();
    size_t page = PAGE;
    int ends[2], pair[2], fd = open("file", O_RDWR | O_CREAT, 0600), set = epoll_create1(0);
    CHECK(pipe(ends) == 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0 && write(ends[1], "abcdef", 6) == 6);
    for (size_t i = 0; i < COUNT(wild); i++) {
        void *p = (void *)OPAQUE(uintptr_t, wild[i]);
        CHECK(FAILS(syscall(SYS_openat, AT_FDCWD, p, O_RDONLY), EFAULT));
        CHECK(FAILS(syscall(SYS_read, ends[0], p, 5), EFAULT) && FAILS(syscall(SYS_write, ends[1], p, 5), EFAULT));
        CHECK(FAILS(syscall(SYS_write, fd, p, 5), EFAULT) && FAILS(syscall(SYS_pwrite64, fd, p, 5, 0L), EFAULT));
        CHECK(FAILS(syscall(SYS_readv, ends[0], p, 1), EFAULT) && FAILS(syscall(SYS_writev, ends[1], p, 1), EFAULT));
        CHECK(FAILS(syscall(SYS_fstat, fd, p), EFAULT) && FAILS(syscall(SYS_getcwd, p, 4096), EFAULT));
        CHECK(FAILS(syscall(SYS_pipe2, p, 0), EFAULT) && FAILS(syscall(SYS_uname, p), EFAULT));
        CHECK(FAILS(syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", p, 100), EFAULT));
        CHECK(FAILS(syscall(SYS_nanosleep, p, NULL), EFAULT) && FAILS(syscall(SYS_sysinfo, p), EFAULT));
        CHECK(FAILS(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, p, NULL), EFAULT));
        CHECK(FAILS(syscall(SYS_times, p), EFAULT) && FAILS(syscall(SYS_getrusage, RUSAGE_SELF, p), EFAULT));
        CHECK(FAILS(syscall(SYS_getrandom, p, 8, 0), EFAULT) && FAILS(syscall(SYS_sched_getaffinity, 0, 128, p), EFAULT));
        CHECK(FAILS(syscall(SYS_epoll_ctl, set, EPOLL_CTL_ADD, ends[0], p), EFAULT));
        CHECK(FAILS(syscall(SYS_sendto, pair[0], p, 5, 0, NULL, 0), EFAULT));
        CHECK(FAILS(syscall(SYS_sendmsg, pair[0], p, 0), EFAULT) && FAILS(syscall(SYS_recvmsg, pair[0], p, MSG_DONTWAIT), EFAULT));
        CHECK(FAILS(syscall(SYS_setsockopt, pair[0], SOL_SOCKET, SO_RCVBUF, p, 4), EFAULT));
        CHECK(FAILS(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, p), EFAULT));
        CHECK(FAILS(syscall(SYS_statfs, ".", p), EFAULT) && FAILS(syscall(SYS_getdents64, open(".", O_RDONLY), p, 1000), EFAULT));
        CHECK(FAILS(syscall(SYS_mkdirat, AT_FDCWD, p, 0700), EFAULT) && FAILS(syscall(SYS_unlinkat, AT_FDCWD, p, 0), EFAULT));
        CHECK(FAILS(syscall(SYS_fcntl, fd, F_SETLK, p), EFAULT) && FAILS(syscall(SYS_ppoll, p, 1, NULL, NULL, 0), EFAULT));
        CHECK(FAILS(syscall(SYS_pselect6, 1, p, NULL, NULL, NULL, NULL), EFAULT));
        CHECK(FAILS(syscall(SYS_clock_gettime, CLOCK_PROCESS_CPUTIME_ID, p), EFAULT));
        CHECK(FAILS(syscall(SYS_waitid, P_ALL, 0, p, WEXITED, NULL), EFAULT)); /* written even without a child */
        CHECK(FAILS(syscall(SYS_read, -1, p, 5), EBADF)); /* looked at first */
    }
    char text[16];
    CHECK(read(ends[0], text, 16) == 6 && memcmp(text, "abcdef", 6) == 0); /* nothing was lost */
    char *edge = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(munmap(edge + page, page) == 0);
    char *last = edge + page - 10;
    memcpy(last, "0123456789", 10);
    CHECK(pwrite(fd, last, 20, 0) == 10 && pread(fd, text, 16, 0) == 10 && memcmp(text, last, 10) == 0);
    CHECK(pwrite(fd, "abcdefghijklmnopqrst", 20, 0) == 20 && pread(fd, last, 20, 0) == 10 && memcmp(last, "abcdefghij", 10) == 0);
    struct iovec parts[2] = {{text, 4}, {edge + page, 4}};
    CHECK(writev(fd, parts, 2) == 4);
    memcpy(edge + page - 4, "file", 4); /* a name without its closing zero */
    CHECK(FAILS(open(edge + page - 4, O_RDONLY), EFAULT));
    memcpy(edge + page - 5, "file", 5);
    int other = open(edge + page - 5, O_RDONLY);
    CHECK(other >= 0 && close(other) == 0);
    struct pollfd *polled = (struct pollfd *)(void *)(edge + page - 4);
    CHECK(FAILS(syscall(SYS_ppoll, polled, 1, NULL, NULL, 0), EFAULT));
    CHECK(mprotect(edge, page, PROT_READ) == 0 && FAILS(pread(fd, edge, 10, 0), EFAULT) && pwrite(fd, edge, 10, 0) == 10);
    CHECK(FAILS(fstat(fd, (struct stat *)(void *)edge), EFAULT));
    return finish("efault");
}
