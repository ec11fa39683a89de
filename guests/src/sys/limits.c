/* Resource limits: prlimit of this process and of a child, soft and hard, what happens at them: descriptors, file size,
 * address space, core files; that an executed program keeps those of memory. getrlimit(2), getrusage(2), execve(2). */
#include "../lib/sys.h"

static struct rlimit both(rlim_t soft, rlim_t hard) {
    return (struct rlimit){soft, hard};
}

static void few_descriptors(void) {
    struct rlimit limit = both(20, 20);
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    int fd;
    while ((fd = dup(1)) >= 0 && fd < 20) {
    }
    CHECK(fd == -1 && errno == EMFILE);
    CHECK(FAILS(dup2(1, 20), EBADF) && dup2(1, 19) == 19);
    CHECK(FAILS(fcntl(1, F_DUPFD, 20), EINVAL));
    limit = both(21, 20);
    CHECK(FAILS(setrlimit(RLIMIT_NOFILE, &limit), EINVAL));
}

static void small_files(void) {
    struct rlimit limit = both(1000, 1000);
    static char text[2000];
    int fd = open("file", O_RDWR | O_CREAT, 0600);
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0 && write(fd, text, 600) == 600);
    CHECK(write(fd, text, 600) == 400); /* up to the limit */
    signal(SIGXFSZ, SIG_IGN);
    CHECK(FAILS(write(fd, text, 1), EFBIG) && FAILS(ftruncate(fd, 1001), EFBIG));
    CHECK(pwrite(fd, text, 10, 0) == 10);
    signal(SIGXFSZ, SIG_DFL);
    if (write(fd, text, 1) == 1) _exit(2);
}

static void small_space(void) {
    struct rlimit limit = both(256 << 20, 256 << 20);
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    CHECK(MAP_FAILS(mmap(NULL, 300 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM));
    void *p = mmap(NULL, 16 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED && munmap(p, 16 << 20) == 0);
    CHECK(malloc(400 << 20) == NULL);
    static char text[4096];
    unsigned long soft = 0, hard = 0;
    CHECK(read_file("/proc/self/limits", text, sizeof text) > 0);
    const char *line = strstr(text, "\nMax address space ");
    CHECK(line && sscanf(line, "\nMax address space %lu %lu bytes", &soft, &hard) == 2);
    CHECK_U64(soft, 256 << 20);
    CHECK_U64(hard, 256 << 20);
}

/* Pages become data when they become writable. */
static void small_data(void) {
    struct rlimit limit = both(64 << 20, 64 << 20);
    size_t size = 100 << 20;
    char *p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *shared = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED && shared != MAP_FAILED && setrlimit(RLIMIT_DATA, &limit) == 0);
    CHECK(FAILS(mprotect(p, size, PROT_READ | PROT_WRITE), ENOMEM) && mprotect(p, size, PROT_READ) == 0);
    CHECK(mprotect(shared, size, PROT_READ | PROT_WRITE) == 0);
    CHECK(mprotect(p, 32 << 20, PROT_READ | PROT_WRITE) == 0 && mprotect(p, 32 << 20, PROT_READ | PROT_WRITE) == 0);
    p[0] = 1;
    /* Mapping by mapping: the first is data already, the second would be too much. */
    CHECK(FAILS(mprotect(p, size, PROT_WRITE), ENOMEM) && FAILS(mprotect(p + (32 << 20), size - (32 << 20), PROT_WRITE), ENOMEM));
    p[0] = 2;
    CHECK(munmap(p, 32 << 20) == 0 && mprotect(p + (32 << 20), 32 << 20, PROT_READ | PROT_WRITE) == 0);
}

static const struct {
    int number;
    rlim_t soft, hard;
    const char *name;
} kept[] = {
    {RLIMIT_STACK, 32 << 20, 48 << 20, "\nMax stack size "},
    {RLIMIT_DATA, 400 << 20, 500 << 20, "\nMax data size "},
    {RLIMIT_AS, 512 << 20, 600 << 20, "\nMax address space "},
};

static void executes(void) {
    for (int i = 0; i < 3; i++) {
        struct rlimit limit = both(kept[i].soft, kept[i].hard);
        CHECK(setrlimit(kept[i].number, &limit) == 0);
    }
    if (!checks_failed) execl("/proc/self/exe", "limits", "executed", (char *)NULL);
}

/* Uses so many bytes of stack. */
static int deep(int bytes) {
    volatile char page[4096];
    page[0] = 1;
    return bytes <= 0 ? 0 : deep(bytes - 4096) + page[0];
}

static int executed(void) {
    static char text[4096];
    CHECK(read_file("/proc/self/limits", text, sizeof text) > 0);
    for (int i = 0; i < 3; i++) {
        struct rlimit limit;
        CHECK(getrlimit(kept[i].number, &limit) == 0);
        CHECK_U64(limit.rlim_cur, kept[i].soft);
        CHECK_U64(limit.rlim_max, kept[i].hard);
        unsigned long soft = 0;
        const char *line = strstr(text, kept[i].name);
        CHECK(line && sscanf(line + strlen(kept[i].name), "%lu", &soft) == 1);
        CHECK_U64(soft, kept[i].soft);
    }
    CHECK(MAP_FAILS(mmap(NULL, 520 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM));
    CHECK(MAP_FAILS(mmap(NULL, 410 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM));
    CHECK(deep(24 << 20) == (24 << 20) / 4096);
    return checks_failed ? 1 : 93;
}

int main(int argc, char **argv) {
    (void)argv;
    if (argc > 1) return executed();
    begin();
    scratch();
    struct rlimit limit, old;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur <= limit.rlim_max && limit.rlim_cur > 20);
    struct rlimit lower = both(limit.rlim_cur - 1, limit.rlim_max);
    CHECK(prlimit(0, RLIMIT_NOFILE, &lower, &old) == 0 && old.rlim_cur == limit.rlim_cur);
    CHECK(prlimit(getpid(), RLIMIT_NOFILE, &limit, &old) == 0 && old.rlim_cur == lower.rlim_cur);
    CHECK(FAILS(getrlimit(99, &limit), EINVAL) && FAILS(prlimit(0x3fffffff, RLIMIT_NOFILE, NULL, &old), ESRCH));
    CHECK(FAILS(prlimit(0, RLIMIT_NOFILE, (void *)16, NULL), EFAULT));
    for (int i = 0; i < 16; i++) CHECK(getrlimit(i, &limit) == 0 && limit.rlim_cur <= limit.rlim_max);
    CHECK(exits_with(child(few_descriptors), 0));
    CHECK(dies_of(child(small_files), SIGXFSZ));
    CHECK(exits_with(child(small_space), 0));
    CHECK(exits_with(child(small_data), 0));
    CHECK(exits_with(child(executes), 93));
    pid_t pid = fork_limited();
    if (pid == 0) {
        for (;;) pause();
    }
    lower = both(1 << 20, 1 << 20);
    CHECK(prlimit(pid, RLIMIT_CORE, NULL, &old) == 0);
    lower = both(0, old.rlim_max);
    CHECK(prlimit(pid, RLIMIT_CORE, &lower, NULL) == 0 && prlimit(pid, RLIMIT_CORE, NULL, &old) == 0 && old.rlim_cur == 0);
    CHECK(kill(pid, SIGKILL) == 0 && dies_of(pid, SIGKILL));
    struct rusage self, thread;
    CHECK(getrusage(RUSAGE_SELF, &self) == 0 && getrusage(RUSAGE_THREAD, &thread) == 0);
    CHECK(self.ru_utime.tv_usec < 1000000 && self.ru_maxrss > 100 && self.ru_minflt > 0);
    CHECK(FAILS(getrusage(5, &self), EINVAL));
    CHECK(FAILS(getrusage(RUSAGE_SELF, (void *)16), EFAULT));
    return finish("limits");
}
