/* Calls with two mistakes give the error of the one that the kernel finds first: flags before names, times before masks,
 * numbers before what they are numbers of, descriptors before names beside them. Lists of robust futexes and limits can be
 * asked for by other threads. */
#include "../lib/sys.h"
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define BAD ((void *)1)
#define OUTSIDE ((void *)-4096)
#define NOBODY 0x3ffffff
#define GIVES(error, ...) CHECK(FAILS(syscall(__VA_ARGS__), error))

static struct timespec none, wrong = {0, -1};
static sigset_t set;

static void events(void) {
    int poller = epoll_create1(EPOLL_CLOEXEC), ends[2];
    struct epoll_event event = {.events = EPOLLIN};
    CHECK(poller >= 0 && pipe2(ends, O_CLOEXEC) == 0 && epoll_ctl(poller, EPOLL_CTL_ADD, ends[0], &event) == 0);
    GIVES(EFAULT, SYS_epoll_pwait, poller, OUTSIDE, 1, 0, NULL, 8);
    CHECK(syscall(SYS_epoll_pwait, poller, NULL, 1, 0, NULL, 8) == 0); /* nothing is written */
    GIVES(EINVAL, SYS_epoll_pwait, poller, &event, 0, 0, NULL, 8);
    GIVES(EINVAL, SYS_epoll_pwait, poller, &event, -1, 0, NULL, 8);
    GIVES(EINVAL, SYS_epoll_pwait, poller, &event, 0x7fffffff, 0, NULL, 8);
    GIVES(EFAULT, SYS_epoll_pwait, poller, &event, 0, 0, BAD, 8);
    GIVES(EINVAL, SYS_epoll_pwait, ends[0], &event, 1, 0, NULL, 8);
    if (syscall(SYS_epoll_pwait2, poller, &event, 1, &none, NULL, 8) == 0) {
        GIVES(EFAULT, SYS_epoll_pwait2, poller, &event, 0, BAD, NULL, 8);
        GIVES(EINVAL, SYS_epoll_pwait2, poller, &event, 1, &wrong, BAD, 8);
    }
    CHECK(write(ends[1], "x", 1) == 1 && epoll_wait(poller, &event, 1, -1) == 1 && event.events == EPOLLIN);
    close(poller), close(ends[0]), close(ends[1]);
}

static void times(void) {
    GIVES(EFAULT, SYS_ppoll, NULL, 0, BAD, &set, 7);
    GIVES(EINVAL, SYS_ppoll, NULL, 0, &wrong, BAD, 8);
    GIVES(EINVAL, SYS_ppoll, NULL, 0, &none, &set, 7);
    GIVES(EFAULT, SYS_ppoll, BAD, 1, &none, NULL, 8);
    uint64_t mask[] = {(uintptr_t)&set, 7};
    GIVES(EFAULT, SYS_pselect6, 0, NULL, NULL, NULL, BAD, mask);
    GIVES(EINVAL, SYS_pselect6, 0, NULL, NULL, NULL, &none, mask);
    GIVES(EFAULT, SYS_pselect6, -1, NULL, NULL, NULL, &wrong, BAD);
    if (FAILS(syscall(449, NULL, 0, 0, NULL, 0), EINVAL)) { /* futex_waitv */
        GIVES(EINVAL, 449, BAD, 1, 0, &none, 77);
        GIVES(EINVAL, 449, BAD, 1, 0, &wrong, CLOCK_MONOTONIC);
        GIVES(EFAULT, 449, BAD, 1, 0, BAD, CLOCK_MONOTONIC);
        GIVES(EFAULT, 449, BAD, 1, 0, NULL, 77);
    }
}

static void files(void) {
    GIVES(EINVAL, SYS_openat, AT_FDCWD, BAD, O_TMPFILE | O_RDONLY, 0);
    GIVES(EFAULT, SYS_openat, AT_FDCWD, BAD, O_RDONLY, 0);
    uint64_t how[3] = {O_RDONLY, 0, 0};
    if (FAILS(syscall(437, AT_FDCWD, BAD, how, sizeof how), EFAULT)) { /* openat2 */
        how[1] = 0600;
        GIVES(EINVAL, 437, AT_FDCWD, BAD, how, sizeof how);
        how[0] = 1ull << 40, how[1] = 0;
        GIVES(EINVAL, 437, AT_FDCWD, BAD, how, sizeof how);
    }
    int name = open("/", O_PATH | O_CLOEXEC), folder = open("/", O_RDONLY | O_CLOEXEC);
    CHECK(name >= 0 && folder >= 0);
    GIVES(EBADF, SYS_fcntl, name, 999, 0);
    GIVES(EINVAL, SYS_fcntl, folder, 999, 0);
    GIVES(EBADF, SYS_ioctl, name, 0x12345678, 0);
    GIVES(EBADF, SYS_ioctl, name, SIOCGIFCONF, BAD);
    GIVES(ENOTTY, SYS_ioctl, folder, 0x12345678, 0);
    struct fiemap extents = {.fm_length = 4096, .fm_extent_count = UINT32_MAX};
    CHECK(ioctl(folder, FS_IOC_FIEMAP, &extents) == -1 && errno != EFAULT);
    close(name), close(folder);
}

/* Requests that sockets know fail, if they do, for a reason. */
static void requests(void) {
    int of_unix = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), of_inet = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int known[] = {0x894c /* SIOCGSKNS */, 0x89e0 /* SIOCUNIXFILE */, SIOCGIFSLAVE, SIOCGIFVLAN};
    char argument[64] = "lo";
    CHECK(of_unix >= 0);
    for (size_t i = 0; i < COUNT(known); i++) {
        int socket = i < 2 || of_inet < 0 ? of_unix : of_inet;
        int got = ioctl(socket, (unsigned long)known[i], argument);
        CHECK(got >= 0 || errno != ENOTTY);
        if (got > 0) close(got);
    }
    close(of_unix), close(of_inet);
}

static void names(void) {
    char missing[] = "/tmp/guest-order-XXXXXX", longer[5000];
    CHECK(mkdtemp(missing) && rmdir(missing) == 0);
    memset(longer, 'x', sizeof longer - 1), longer[sizeof longer - 1] = 0;
    GIVES(EINVAL, SYS_unlinkat, AT_FDCWD, BAD, 0xffff);
    GIVES(EINVAL, SYS_unlinkat, AT_FDCWD, "", 0xffff);
    GIVES(EINVAL, SYS_unlinkat, AT_FDCWD, longer, 0xffff);
    GIVES(EFAULT, SYS_unlinkat, AT_FDCWD, BAD, 0);
    GIVES(ENOENT, SYS_unlinkat, AT_FDCWD, "", 0);
    GIVES(ENAMETOOLONG, SYS_unlinkat, AT_FDCWD, longer, 0);
    GIVES(EINVAL, SYS_linkat, AT_FDCWD, BAD, AT_FDCWD, BAD, 0xffff);
    GIVES(ENOENT, SYS_linkat, AT_FDCWD, missing, AT_FDCWD, BAD, 0);
    GIVES(EFAULT, SYS_linkat, AT_FDCWD, "/", AT_FDCWD, BAD, 0);
    GIVES(EINVAL, SYS_renameat2, AT_FDCWD, BAD, AT_FDCWD, BAD, 0xffff);
    GIVES(EINVAL, SYS_renameat2, AT_FDCWD, "", AT_FDCWD, "", 0xffff);
    GIVES(EBADF, SYS_renameat2, 9999, "x", AT_FDCWD, "", 0);
    GIVES(EFAULT, SYS_renameat2, AT_FDCWD, missing, AT_FDCWD, BAD, 0);
    GIVES(EINVAL, SYS_fchownat, AT_FDCWD, BAD, 0, 0, 0xffff);
    GIVES(EINVAL, SYS_faccessat, AT_FDCWD, BAD, 077);
    GIVES(EINVAL, SYS_utimensat, AT_FDCWD, BAD, NULL, 0xffff);
    GIVES(EINVAL, SYS_truncate, BAD, -1l);
    GIVES(EINVAL, SYS_statx, AT_FDCWD, BAD, 0x6000, 0, longer);
    GIVES(EINVAL, SYS_mknodat, AT_FDCWD, BAD, 0170000, 0);
    GIVES(EINVAL, SYS_memfd_create, BAD, 0xffff);
    GIVES(EFAULT, SYS_memfd_create, BAD, 0);
    GIVES(EFAULT, SYS_execveat, AT_FDCWD, BAD, BAD, BAD, 77);
    GIVES(EBADF, SYS_inotify_add_watch, -1, BAD, 1);
    GIVES(EINVAL, SYS_inotify_add_watch, -1, BAD, 0);
    GIVES(EINVAL, SYS_name_to_handle_at, AT_FDCWD, BAD, longer, longer, 0x8000);
    GIVES(ENOENT, SYS_name_to_handle_at, AT_FDCWD, missing, BAD, longer, 0);
    GIVES(EFAULT, SYS_sendto, -1, OUTSIDE, 10, 0, NULL, 0);
    GIVES(EBADF, SYS_sendto, -1, BAD, 10, 0, NULL, 0);
    GIVES(EBADF, SYS_setsockopt, -1, 0, 64, longer, 15);
    GIVES(EINVAL, SYS_semctl, -1, 0, 1, BAD); /* IPC_SET */
}

/* Sizes that no buffer has are no mistake where less is transferred. */
static void sizes(void) {
    static char text[4096];
    CHECK(syscall(SYS_getcwd, text, -1l) > 0 && text[0] == '/');
    int file = open("/dev/null", O_RDWR | O_CLOEXEC);
    GIVES(ENOTSOCK, SYS_sendto, file, text, 0x7fffffffffffffff, 0, NULL, 0);
    GIVES(ENOTSOCK, SYS_recvfrom, file, text, 0x7fffffffffffffff, 0, NULL, NULL);
    GIVES(EINVAL, SYS_readahead, file, 0, 4096);
    close(file);
    GIVES(EINVAL, SYS_msgsnd, 64, text, 0x7fffffffffffffff, 0);
    GIVES(ENOMEM, SYS_munlock, (void *)4096, 0x7fffffffffff0000);
}

/* Buffers on the first stack, above which a program has nothing, with lengths of which the kernel looks at less. */
static void lengths(void) {
    struct timeval now = {0, 0};
    unsigned long processors[1024];
    gid_t groups[256];
    int ends[2];
    CHECK(pipe2(ends, O_CLOEXEC) == 0 && write(ends[1], "x", 1) == 1);
    for (int shift = 11; shift <= 30; shift++) {
        fd_set readable;
        FD_ZERO(&readable);
        FD_SET(ends[0], &readable);
        CHECK(select(1 << shift, &readable, NULL, NULL, &now) == 1 && FD_ISSET(ends[0], &readable));
    }
    CHECK(syscall(SYS_sched_getaffinity, 0, 1 << 24, processors) > 0);
    if (syscall(SYS_getgroups, 0, NULL) <= 256) CHECK(syscall(SYS_getgroups, 0x7fffffff, groups) >= 0);
    static char text[16];
    struct iovec one = {text, SIZE_MAX >> 2};
    CHECK(readv(ends[0], &one, 1) == 1); /* cut before it is looked at */
    close(ends[0]), close(ends[1]);
    struct iovec to = {text, 8}, from[2] = {{"12345", 5}, {"6789", (size_t)1 << 50}};
    CHECK(process_vm_readv(getpid(), &to, 1, from, 2, 0) == 8 && memcmp(text, "123456789", 8) == 0);
}

static atomic_int tid, stop;

static void *waits(void *argument) {
    tid = (int)syscall(SYS_gettid);
    while (!stop) usleep(1000);
    return argument;
}

static void threads(void) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, waits, NULL) == 0);
    while (tid == 0) usleep(1000);
    void *own = NULL, *others = NULL;
    size_t size = 0;
    CHECK(syscall(SYS_get_robust_list, 0, &own, &size) == 0 && size == 24 && own);
    CHECK(syscall(SYS_get_robust_list, tid, &others, &size) == 0 && others && others != own);
    GIVES(ESRCH, SYS_get_robust_list, NOBODY, &own, &size);
    struct rlimit before, now, upside_down = {2, 1};
    CHECK(getrlimit(RLIMIT_STACK, &before) == 0);
    now = before;
    if (now.rlim_cur > 4 << 20) now.rlim_cur = 4 << 20;
    CHECK(syscall(SYS_prlimit64, tid, RLIMIT_STACK, &now, NULL) == 0); /* of its process */
    CHECK(getrlimit(RLIMIT_STACK, &now) == 0 && now.rlim_cur <= 4 << 20);
    CHECK(setrlimit(RLIMIT_STACK, &before) == 0);
    GIVES(ESRCH, SYS_prlimit64, NOBODY, RLIMIT_NOFILE, &upside_down, NULL);
    GIVES(EINVAL, SYS_prlimit64, 0, RLIMIT_NOFILE, &upside_down, NULL);
    GIVES(EINVAL, SYS_prlimit64, 0, RLIMIT_STACK, &upside_down, NULL);
    stop = 1;
    CHECK(pthread_join(thread, NULL) == 0);
}

static void numbers(void) {
    GIVES(EINVAL, SYS_sched_setattr, -1, BAD, 0);
    GIVES(EINVAL, SYS_sched_setattr, 0, BAD, 1);
    GIVES(EFAULT, SYS_sched_setattr, NOBODY, BAD, 0);
    int status;
    if (syscall(SYS_move_pages, 0, 0, NULL, NULL, NULL, 0) == 0) {
        GIVES(EINVAL, SYS_move_pages, 0, 1, BAD, NULL, &status, 99);
        GIVES(ESRCH, SYS_move_pages, NOBODY, 1, BAD, NULL, &status, 0);
        GIVES(EFAULT, SYS_move_pages, 0, 1, BAD, NULL, &status, 0);
        GIVES(EFAULT, SYS_move_pages, 0, 1ul << 30, BAD, NULL, &status, 0);
    }
}

int main(void) {
    begin();
    sigemptyset(&set);
    events();
    times();
    files();
    names();
    sizes();
    lengths();
    requests();
    threads();
    numbers();
    return finish("check_order");
}
