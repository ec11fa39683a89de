/* /proc/self/smaps as programs read it: in parts, at places, by several descriptors, threads and processes. The text is made
 * as it is read, in whole mappings, and shows what is mapped then. proc(5). */
#include "../lib/sys.h"
#include <dirent.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { MAPPINGS = 300, MANY = 40, HEAD = 40 };

static char text[1 << 20], part[1 << 20];
static size_t length;

static int open_smaps(void) {
    return open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);
}

/* Where the text describes the mapping at `p`; NULL if it does not. */
static char *record_of(const char *in, const void *p) {
    char start[32];
    snprintf(start, sizeof start, "%08lx-", (unsigned long)(uintptr_t)p);
    if (strncmp(in, start, strlen(start)) == 0) return (char *)in;
    char line[40];
    snprintf(line, sizeof line, "\n%s", start);
    char *found = strstr(in, line);
    return found ? found + 1 : NULL;
}

static unsigned long field(const char *record, const char *name) {
    char *line = record ? strstr(record, name) : NULL;
    return line ? strtoul(line + strlen(name), NULL, 10) : 9999;
}

/* Reads to the end in parts of `size` bytes. */
static size_t read_rest(int fd, char *to, size_t room, size_t size) {
    size_t done = 0;
    ssize_t got;
    while (done + 1 < room && (got = read(fd, to + done, size < room - 1 - done ? size : room - 1 - done)) > 0) done += (size_t)got;
    to[done] = 0;
    return done;
}

static unsigned count(const char *in, const char *what) {
    unsigned n = 0;
    for (; (in = strstr(in, what)); in++) n++;
    return n;
}

/* Descriptors that the process is shown to have. */
static unsigned descriptors(void) {
    DIR *list = opendir("/proc/self/fd");
    unsigned n = 0;
    while (list && readdir(list)) n++;
    if (list) closedir(list);
    return n;
}

static void whole_text(char *area) {
    int fd = open_smaps();
    length = read_rest(fd, text, sizeof text, PAGE);
    CHECK(length > MAPPINGS * 300 && length < sizeof text - 1 && read(fd, part, PAGE) == 0 && close(fd) == 0);
    CHECK(count(text, "\nRss:") == count(text, "\nVmFlags:") && count(text, "\nRss:") > MAPPINGS);
    int found = 0;
    for (int i = 0; i < MAPPINGS; i++) {
        char *record = record_of(text, area + (size_t)i * PAGE);
        found += record && field(record, "\nSize:") == 4 && field(record, "\nRss:") == (i % 2 ? 0 : 4) && strncmp(strchr(record, ' '), i % 2 ? " r--p" : " rw-p", 5) == 0;
    }
    CHECK_U64(found, MAPPINGS);
}

static void places(char *area) {
    int fd = open_smaps();
    /* As much as fits a page of whole mappings; a smaller read in between does not count. */
    ssize_t got = read(fd, part, PAGE);
    CHECK(got > 0 && got < (ssize_t)PAGE && part[got - 1] == '\n' && memcmp(part, text, HEAD) == 0);
    CHECK(lseek(fd, 0, SEEK_CUR) == got && memcmp(text + got - 1, "\n", 1) == 0 && strchr("0123456789abcdef", text[got]));
    CHECK(lseek(fd, 0, SEEK_SET) == 0 && read(fd, part, 100) == 100 && memcmp(part, text, HEAD) == 0);
    CHECK(pread(fd, part, HEAD, 3) == HEAD && memcmp(part, text + 3, HEAD) == 0 && lseek(fd, 0, SEEK_CUR) == 100);
    /* Far on, and back. */
    char *record = record_of(text, area + 200 * PAGE);
    off_t place = record - text;
    CHECK(pread(fd, part, HEAD, place) == HEAD && memcmp(part, record, HEAD) == 0);
    CHECK(pread(fd, part, HEAD, INT64_C(1) << 40) == 0 && FAILS(pread(fd, part, HEAD, -1), EINVAL));
    CHECK(lseek(fd, place, SEEK_SET) == place && read(fd, part, HEAD) == HEAD && memcmp(part, record, HEAD) == 0);
    CHECK(lseek(fd, 0, SEEK_SET) == 0 && read_rest(fd, part, sizeof part, 777) == length && record_of(part, area + 299 * PAGE));
    CHECK(close(fd) == 0);
    fd = open_smaps();
    CHECK(lseek(fd, place, SEEK_SET) == place && lseek(fd, -place, SEEK_CUR) == 0 && lseek(fd, place, SEEK_CUR) == place);
    struct iovec two[2] = {{part, 10}, {part + 10, HEAD - 10}};
    CHECK(readv(fd, two, 2) == HEAD && memcmp(part, record, HEAD) == 0);
    CHECK(preadv(fd, two, 2, place) == HEAD && memcmp(part, record, HEAD) == 0);
    struct stat status;
    CHECK(fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 0 && (status.st_mode & 0777) == 0444);
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    CHECK(poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLIN) && FAILS(write(fd, part, 1), EBADF) && close(fd) == 0);
    CHECK(FAILS(read(fd, part, 1), EBADF));
    char name[64];
    snprintf(name, sizeof name, "/proc/self/task/%d/smaps", (int)gettid());
    CHECK(read_file(name, part, 100) == 99 && memcmp(part, text, HEAD) == 0);
    CHECK(read_file("/proc/thread-self/smaps", part, 100) == 99 && memcmp(part, text, HEAD) == 0);
}

/* A mapping that goes or comes is seen in what is read afterwards. */
static void changes(char *area) {
    int fd = open_smaps();
    CHECK(read(fd, part, 100) == 100 && munmap(area + 251 * PAGE, PAGE) == 0);
    read_rest(fd, part + 100, sizeof part - 100, PAGE);
    CHECK(record_of(part, area + 248 * PAGE) && !record_of(part, area + 251 * PAGE) && close(fd) == 0);
    fd = open_smaps();
    CHECK(read(fd, part, 100) == 100);
    CHECK(mmap(area + 251 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == area + 251 * PAGE);
    read_rest(fd, part + 100, sizeof part - 100, PAGE);
    CHECK(record_of(part, area + 251 * PAGE) && close(fd) == 0);
}

static void other_descriptors(void) {
    int fd = open_smaps();
    CHECK(read(fd, part, 10) == 10);
    int second = dup(fd);
    CHECK(second > fd && read(second, part + 10, 10) == 10 && read(fd, part + 20, HEAD - 20) == HEAD - 20);
    CHECK(memcmp(part, text, HEAD) == 0 && lseek(second, 0, SEEK_CUR) == HEAD && close(second) == 0);
    CHECK(read_rest(fd, part, sizeof part, PAGE) == length - HEAD && close(fd) == 0);
    fd = open_smaps();
    CHECK(dup2(fd, 77) == 77 && close(fd) == 0 && read_rest(77, part, sizeof part, PAGE) == length);
    fd = open_smaps();
    CHECK(dup3(fd, 77, O_CLOEXEC) == 77 && close(fd) == 0 && read_rest(77, part, sizeof part, PAGE) == length && close(77) == 0);
    fd = open_smaps();
    second = fcntl(fd, F_DUPFD_CLOEXEC, 50);
    CHECK(second >= 50 && close(fd) == 0 && read_rest(second, part, sizeof part, PAGE) == length && close(second) == 0);
    /* Opened again by its link: from the beginning. */
    fd = open_smaps();
    CHECK(read(fd, part, 100) == 100);
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    second = open(name, O_RDONLY);
    CHECK(read_rest(second, part, sizeof part, PAGE) == length && memcmp(part, text, HEAD) == 0 && close(second) == 0);
    CHECK(lseek(fd, 0, SEEK_CUR) == 100 && read_rest(fd, part, sizeof part, PAGE) == length - 100 && close(fd) == 0);
    /* Sent to itself. */
    int ends[2];
    fd = open_smaps();
    CHECK(read(fd, part, 100) == 100 && socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof fd)];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    struct iovec one = {part, 1};
    struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    CHECK(sendmsg(ends[0], &message, 0) == 1 && close(fd) == 0 && recvmsg(ends[1], &message, 0) == 1);
    memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
    CHECK(lseek(fd, 0, SEEK_CUR) == 100 && read_rest(fd, part, sizeof part, PAGE) == length - 100);
    CHECK(close(fd) == 0 && close(ends[0]) == 0 && close(ends[1]) == 0);
}

/* Many are open at a time: each has the lowest number, and nothing else is there. */
static void many(void) {
    unsigned before = descriptors();
    int fds[MANY], first = open_smaps(), good = 0;
    for (int i = 0; i < MANY; i++) {
        fds[i] = open_smaps();
        good += fds[i] == first + 1 + i && read(fds[i], part, HEAD) == HEAD && memcmp(part, text, HEAD) == 0;
    }
    CHECK_U64(good, MANY);
    CHECK_U64(descriptors(), before + 1 + MANY);
    CHECK(close(fds[3]) == 0 && open("/", O_RDONLY | O_DIRECTORY) == fds[3] && FAILS(read(fds[3], part, 1), EISDIR));
    CHECK(close(fds[3]) == 0 && open_smaps() == fds[3] && read(fds[3], part, HEAD) == HEAD && memcmp(part, text, HEAD) == 0);
    for (int i = good = 0; i < MANY; i++) good += read_rest(fds[i], part, sizeof part, sizeof part) == length - HEAD;
    CHECK_U64(good, MANY);
    /* A program that closes all that could be open. */
    int kept = open_smaps();
    for (int fd = 3; fd < 1024; fd++) {
        if (fd != kept) close(fd);
    }
    CHECK(read_rest(kept, part, sizeof part, PAGE) == length && syscall(SYS_close_range, 3, ~0U, 0) == 0);
    CHECK(open_smaps() == 3 && syscall(SYS_close_range, 3, ~0U, 0) == 0 && FAILS(read(3, part, 1), EBADF));
}

static int inherited;

/* Sees its parent's mappings from where its parent has read to. */
static void read_on(void) {
    CHECK(lseek(inherited, 0, SEEK_CUR) == 100 && read_rest(inherited, part, sizeof part, PAGE) == length - 100);
    CHECK(count(part, "\nRss:") > MAPPINGS - 1);
    int fd = open_smaps();
    CHECK(read_rest(fd, part, sizeof part, PAGE) > MAPPINGS * 300 && close(fd) == 0);
}

static void children(void) {
    inherited = open_smaps();
    CHECK(read(inherited, part, 100) == 100 && exits_with(child(read_on), 0));
    CHECK(lseek(inherited, 0, SEEK_CUR) == (off_t)length && read(inherited, part, PAGE) == 0 && close(inherited) == 0);
    int fd = open_smaps();
    pid_t pid = vfork();
    if (pid == 0) _exit(read(fd, part, HEAD) == HEAD && memcmp(part, text, HEAD) == 0 ? 0 : 1);
    CHECK(exits_with(pid, 0) && read_rest(fd, part, sizeof part, PAGE) == length - HEAD && close(fd) == 0);
    /* A child that shares the descriptors opens one, which both read. */
    int *shared = shared_memory(PAGE), ends[2];
    CHECK(pipe(ends) == 0);
    pid = clone_limited(CLONE_FILES | SIGCHLD);
    if (pid == 0) {
        shared[0] = open_smaps();
        int good = read(shared[0], part, 10) == 10 && write(ends[1], "", 1) == 1;
        while (((volatile int *)shared)[1] == 0) sched_yield();
        _exit(good ? 0 : 1);
    }
    CHECK(read(ends[0], part, 1) == 1 && read(shared[0], part, HEAD) == HEAD && memcmp(part, text + 10, HEAD - 10) == 0);
    CHECK(read_rest(shared[0], part, sizeof part, PAGE) > MAPPINGS * 300);
    ((volatile int *)shared)[1] = 1;
    CHECK(exits_with(pid, 0) && close(shared[0]) == 0 && close(ends[0]) == 0 && close(ends[1]) == 0);
}

static pthread_barrier_t together;
static int common;
static _Atomic size_t total;

/* Reads one of its own, several times, and then a share of the common one. */
static void *reader(void *unused) {
    static __thread char mine[5000];
    pthread_barrier_wait(&together);
    for (int i = 0; i < 20; i++) {
        int fd = open_smaps();
        size_t done = 0;
        for (ssize_t got; (got = read(fd, mine, sizeof mine)) > 0;) done += (size_t)got;
        CHECK(done > MAPPINGS * 300 && close(fd) == 0);
    }
    pthread_barrier_wait(&together);
    for (ssize_t got; (got = read(common, mine, 100)) > 0;) total += (size_t)got;
    pthread_barrier_wait(&together);
    return unused;
}

static void threads(void) {
    pthread_t list[3];
    pthread_barrier_init(&together, NULL, COUNT(list) + 1);
    for (size_t i = 0; i < COUNT(list); i++) CHECK(pthread_create(&list[i], NULL, reader, NULL) == 0);
    pthread_barrier_wait(&together);
    common = open_smaps();
    length = read_rest(common, part, sizeof part, PAGE);
    CHECK(close(common) == 0);
    common = open_smaps();
    pthread_barrier_wait(&together);
    pthread_barrier_wait(&together);
    CHECK_U64(total, length);
    CHECK(close(common) == 0);
    for (size_t i = 0; i < COUNT(list); i++) CHECK(pthread_join(list[i], NULL) == 0);
}

int main(void) {
    begin();
    /* Whoever started this may have left some open. */
    CHECK(syscall(SYS_close_range, 3, ~0U, 0) == 0);
    /* With a page behind them that keeps them apart from whatever is there. */
    char *area = mmap(NULL, (MAPPINGS + 1) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < MAPPINGS; i += 2) area[(size_t)i * PAGE] = 1;
    for (int i = 1; i < MAPPINGS; i += 2) CHECK(mprotect(area + (size_t)i * PAGE, PAGE, PROT_READ) == 0);
    /* What is allocated at first use is there. */
    descriptors();
    whole_text(area);
    places(area);
    changes(area);
    whole_text(area);
    other_descriptors();
    many();
    children();
    threads();
    return finish("proc_smaps");
}
