/* System calls that are the same on every architecture, one after the other, for comparing traces of them. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CALL(name, ...) syscall(SYS_##name __VA_OPT__(, ) __VA_ARGS__)

static char buffer[4096];

static void files(void) {
    int fd = (int)CALL(openat, AT_FDCWD, "traced.tmp", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    CALL(openat, AT_FDCWD, "no/such/file", O_RDONLY | O_NOFOLLOW | O_DIRECTORY);
    CALL(openat, fd, (char *)8, O_WRONLY | O_APPEND);
    CALL(write, fd, "a line\n\tand \"more\"\\\0\1\0012", 22);
    CALL(write, fd, "a text that is longer than what is shown of it", 46);
    CALL(pread64, fd, buffer, 6, 2L);
    CALL(pread64, fd, (void *)8, 6, 2L);
    CALL(lseek, fd, 3L, SEEK_SET);
    CALL(lseek, fd, -3L, 77);
    struct iovec iov[2] = {{"one", 3}, {"two", 3}};
    CALL(writev, fd, iov, 2);
    struct iovec in[2] = {{buffer, 4}, {buffer + 8, 4}};
    CALL(lseek, fd, 0L, SEEK_SET);
    CALL(readv, fd, in, 2);
    CALL(ftruncate, fd, 100L);
    CALL(fallocate, fd, FALLOC_FL_KEEP_SIZE, 0L, 200L);
    CALL(fcntl, fd, F_GETFD);
    CALL(fcntl, fd, F_SETFD, 0);
    CALL(fcntl, fd, F_GETFD);
    CALL(fcntl, fd, F_DUPFD, 10);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1, .l_len = 2};
    CALL(fcntl, fd, F_SETLK, &lock);
    CALL(fcntl, fd, 4242, 1);
    CALL(flock, fd, LOCK_EX | LOCK_NB);
    CALL(fchmod, fd, 0600);
    struct statx statx;
    CALL(statx, AT_FDCWD, "traced.tmp", AT_SYMLINK_NOFOLLOW, STATX_SIZE | STATX_MODE, &statx);
    struct timespec times[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
    CALL(utimensat, AT_FDCWD, "traced.tmp", times, 0);
    CALL(faccessat, AT_FDCWD, "traced.tmp", R_OK | X_OK);
    CALL(mkdirat, AT_FDCWD, "traced.dir", 0755);
    CALL(mknodat, AT_FDCWD, "traced.dir/fifo", S_IFIFO | 0600, 0);
    CALL(unlinkat, AT_FDCWD, "traced.dir/fifo", 0);
    CALL(unlinkat, AT_FDCWD, "traced.dir", AT_REMOVEDIR);
    CALL(renameat2, AT_FDCWD, "traced.tmp", AT_FDCWD, "traced.new", RENAME_NOREPLACE);
    CALL(symlinkat, "somewhere", AT_FDCWD, "traced.link");
    CALL(readlinkat, AT_FDCWD, "traced.link", buffer, sizeof buffer);
    CALL(unlinkat, AT_FDCWD, "traced.link", 0);
    CALL(unlinkat, AT_FDCWD, "traced.new", 0);
    CALL(ioctl, fd, 0x5413, buffer);
    CALL(ioctl, fd, 0x12345, buffer);
    CALL(close, fd);
    CALL(close, 10);
    CALL(close, -1);
}

static void descriptors(void) {
    int ends[2];
    CALL(pipe2, ends, O_NONBLOCK | O_CLOEXEC);
    CALL(read, ends[0], buffer, 10);
    CALL(eventfd2, 3, 02000000);
    struct pollfd fds[2] = {{ends[0], POLLIN, 0}, {ends[1], POLLOUT, 0}};
    struct timespec zero = {0, 0};
    CALL(ppoll, fds, 2, &zero, NULL, 8);
    CALL(ppoll, fds, 1, &zero, NULL, 8);
    int queue = (int)CALL(epoll_create1, EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLOUT | EPOLLET, .data.u64 = 77};
    CALL(epoll_ctl, queue, EPOLL_CTL_ADD, ends[1], &event);
    CALL(epoll_pwait, queue, &event, 1, 0, NULL, 8);
    int timer = (int)CALL(timerfd_create, CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct itimerspec when = {{0, 0}, {100, 0}};
    CALL(timerfd_settime, timer, TFD_TIMER_ABSTIME, &when, NULL);
    CALL(dup3, timer, 20, O_CLOEXEC);
    CALL(close_range, 3, 30, 0);
}

static void sockets(void) {
    int pair[2];
    CALL(socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
    char control[CMSG_SPACE(sizeof(int))];
    memset(control, 0, sizeof control);
    struct iovec iov = {"x", 1};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_len = CMSG_LEN(sizeof(int));
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(header), &pair[0], sizeof(int));
    CALL(sendmsg, pair[0], &message, MSG_NOSIGNAL);
    iov = (struct iovec){buffer, 10};
    CALL(recvmsg, pair[1], &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    message.msg_controllen = 0;
    CALL(recvmsg, pair[1], &message, MSG_DONTWAIT);
    int size = 8192;
    socklen_t length = sizeof size;
    CALL(setsockopt, pair[0], SOL_SOCKET, SO_SNDBUF, &size, length);
    CALL(getsockopt, pair[0], SOL_SOCKET, SO_SNDBUF, &size, &length);
    CALL(shutdown, pair[0], SHUT_WR);
    int inet = (int)CALL(socket, AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0x7f000001)};
    CALL(connect, inet, &address, sizeof address);
    struct sockaddr_in peer;
    length = 100;
    CALL(getpeername, inet, &peer, &length);
    CALL(sendto, inet, "to you", 6, MSG_DONTWAIT, &address, sizeof address);
    int inet6 = (int)CALL(socket, AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 address6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    CALL(bind, inet6, &address6, sizeof address6);
    CALL(listen, inet6, 5);
    struct sockaddr_un unix_address = {.sun_family = AF_UNIX, .sun_path = "traced.socket"};
    int local = (int)CALL(socket, AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
    CALL(bind, local, &unix_address, 2 + strlen(unix_address.sun_path) + 1);
    CALL(accept4, local, NULL, NULL, SOCK_CLOEXEC);
    CALL(unlinkat, AT_FDCWD, "traced.socket", 0);
    CALL(socket, 999, SOCK_STREAM, 0);
    CALL(close_range, 3, -1, 0);
}

static void memory(void) {
    void *page = (void *)CALL(mmap, NULL, 8192L, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
    CALL(mprotect, page, 4096L, PROT_READ);
    CALL(madvise, page, 4096L, MADV_DONTNEED);
    CALL(mremap, page, 8192L, 4096L, MREMAP_MAYMOVE);
    CALL(munmap, page, 4096L);
    CALL(mmap, NULL, 0L, PROT_NONE, MAP_SHARED | MAP_NORESERVE, 99, 4096L);
}

static void signals(void) {
    struct {
        void *handler;
        unsigned long flags, mask, more;
    } action = {SIG_IGN, 0, 0, 0};
    unsigned long set = 1ul << (SIGUSR1 - 1) | 1ul << (SIGTERM - 1) | 1ul << 39;
    CALL(rt_sigprocmask, SIG_BLOCK, &set, NULL, 8);
    CALL(rt_sigprocmask, SIG_SETMASK, NULL, &set, 8);
    CALL(rt_sigpending, &set, 8);
    CALL(rt_sigaction, 99, &action, NULL, 8);
    CALL(rt_sigaction, SIGUSR2, NULL, NULL, 4);
    CALL(kill, 0x7fffffff, SIGTERM);
    CALL(tgkill, -1, 5, SIGKILL);
    stack_t stack = {.ss_sp = buffer, .ss_size = 4096};
    CALL(sigaltstack, &stack, NULL);
    CALL(sigaltstack, NULL, &stack);
    struct timespec zero = {0, 0};
    set = 1ul << (SIGUSR1 - 1);
    CALL(rt_sigtimedwait, &set, NULL, &zero, 8);
}

static void processes(void) {
    struct timespec short_time = {0, 1000};
    CALL(nanosleep, &short_time, &short_time);
    CALL(clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &short_time, NULL);
    CALL(clock_gettime, 99, &short_time);
    CALL(wait4, -1, NULL, WNOHANG | WUNTRACED, NULL);
    CALL(waitid, P_PID, 0x7fffffff, NULL, WEXITED | WNOHANG, NULL);
    struct rlimit limit;
    CALL(prlimit64, 0, RLIMIT_NOFILE, NULL, NULL);
    limit = (struct rlimit){4096 * 1024, RLIM_INFINITY};
    CALL(prlimit64, 0x7fffffff, RLIMIT_CORE, &limit, NULL);
    CALL(getpriority, PRIO_PROCESS, 0x7fffffff);
    CALL(prctl, 15 /* PR_SET_NAME */, "traced-name", 0, 0, 0);
    CALL(umask, 022);
    CALL(umask, 022);
    CALL(sched_getscheduler, 0);
    CALL(sched_get_priority_max, 1);
    CALL(getrandom, buffer, 4096, 0x77);
    CALL(memfd_create, "scratch", 3);
    CALL(close, 3);
    CALL(getpgid, 0x7fffffff);
    CALL(setpgid, -1, 0);
    int word = 5;
    CALL(futex, &word, FUTEX_WAIT_PRIVATE, 4, NULL, NULL, 0);
    CALL(futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    CALL(futex, &word, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 4, &short_time, NULL, -1);
    CALL(timer_delete, 12345);
    CALL(personality, 0xffffffff);
    int segment = (int)CALL(shmget, IPC_PRIVATE, 4096L, IPC_CREAT | 0600);
    CALL(shmctl, segment, IPC_RMID, NULL);
    CALL(semget, IPC_PRIVATE, -1, IPC_CREAT | IPC_EXCL | 0600);
    CALL(msgget, 0x1234567, IPC_EXCL | 0600);
    CALL(chdir, "/no/such/folder");
    syscall(4000, 1L, 2L, 3L, 4L, 5L, 6L);
}

/* Calls of which one argument says what the others are, and those with fewer arguments than registers. */
static void variants(void) {
    struct iovec iov[2] = {{"one", 3}, {"three", 5}};
    CALL(preadv, -1, iov, 2, 5L, 0L);
    CALL(pwritev, -1, iov, 2, 5L, 0L);
    CALL(pwritev2, -1, iov, 1, -1L, -1L, RWF_NOWAIT);
    struct mmsghdr messages[2] = {{{.msg_iov = iov, .msg_iovlen = 1}, 0}, {{.msg_iov = iov + 1, .msg_iovlen = 1}, 0}};
    CALL(sendmmsg, -1, messages, 2, 0);
    CALL(prctl, 1 /* PR_SET_PDEATHSIG */, SIGTERM, 1, 2, 3);
    int word = 0;
    CALL(prctl, 2 /* PR_GET_PDEATHSIG */, &word, 1, 2, 3);
    CALL(prctl, 4 /* PR_SET_DUMPABLE */, 77, 1, 2, 3);
    CALL(prctl, 3 /* PR_GET_DUMPABLE */, 1, 2, 3, 4);
    CALL(prctl, 23 /* PR_CAPBSET_READ */, 99, 1, 2, 3);
    CALL(prctl, 9999, 1, 2, 3, 4);
    CALL(ioctl, -1, 0x5451 /* FIOCLEX */, 5);
    CALL(ioctl, -1, 0x540b /* TCFLSH */, 2);
    CALL(ioctl, -1, 0x540a /* TCXONC */, 77);
    CALL(ioctl, -1, 0x5420 /* TIOCPKT */, &word);
    char interface[40] = "lo";
    CALL(ioctl, -1, 0x8921 /* SIOCGIFMTU */, interface);
    CALL(ioctl, -1, 0x8922 /* SIOCSIFMTU */, interface);
    CALL(fcntl, -1, F_GETLK, buffer);
    CALL(fcntl, -1, F_GETLEASE, 5);
    CALL(fcntl, -1, F_NOTIFY, DN_ACCESS | DN_MULTISHOT);
    CALL(openat, -5, "x", O_ACCMODE);
    CALL(openat, -5, "x", 0x20000000);
    CALL(mq_open, NULL, O_RDONLY, 0600, buffer);
    CALL(memfd_create, NULL, 4u | 21u << 26);
    CALL(sched_setattr, 0, NULL, 0);
    CALL(ioprio_set, 1, 0, 5 << 13 | 7);
    CALL(clone3, NULL, 88L);
    CALL(futex, &word, FUTEX_CMP_REQUEUE, 1, 2L, &word, 3);
    CALL(futex, &word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 5);
    CALL(futex, &word, FUTEX_TRYLOCK_PI, 5, NULL);
    CALL(futex, &word, FUTEX_UNLOCK_PI, 5, NULL);
    CALL(futex, &word, FUTEX_WAKE_OP, 1, 1L, &word, 0x3005001);
    int linger[2] = {1, 5};
    CALL(setsockopt, -1, SOL_SOCKET, SO_LINGER, linger, sizeof linger);
    CALL(setsockopt, -1, SOL_SOCKET, SO_REUSEADDR, &word, -1);
    struct pollfd none = {-1, 0, 0};
    struct timespec zero = {0, 0};
    CALL(ppoll, &none, 1, &zero, NULL, 8);
}

int main(void) {
    /* Descriptors that this process inherited would change the numbers of its own. */
    CALL(close_range, 3, -1, 0);
    /* Where the comparison begins. */
    CALL(close, -4242);
    files();
    descriptors();
    sockets();
    memory();
    signals();
    processes();
    variants();
    CALL(exit_group, 3);
}
