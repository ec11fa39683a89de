/* A MAP_GROWSDOWN mapping grows when the page below it is touched, by the program or by a system call, but not into a
 * neighbour; the first thread's stack begins small and grows to its limit, as it is then, and no further; brk grows, shrinks
 * and comes back as zeros. mmap(2), brk(2), getrlimit(2). */
#include "../lib/sys.h"
#include <stddef.h>
#include <sys/uio.h>

extern char **environ;

static size_t page;

__attribute__((noinline)) static unsigned deep(unsigned levels) {
    volatile char frame[4096];
    memset((char *)frame, (int)levels, sizeof frame);
    return levels == 0 ? 0 : deep(levels - 1) + ((unsigned char)frame[100] == (levels & 0xff));
}

static void touches_far_below(void) {
    char *p = mmap(NULL, 300 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(p, 300 * page);
    *(volatile char *)p = 1;
}

static void grows(void) {
    /* A place with room below. */
    char *room = mmap(NULL, 600 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(room, 600 * page);
    char *p = mmap(room + 560 * page, 4 * page, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(p == room + 560 * page);
    for (int i = 1; i <= 100; i++) p[-i * (ptrdiff_t)page] = (char)i;
    for (int i = 1; i <= 100; i++) CHECK(p[-i * (ptrdiff_t)page] == (char)i);
    char *low = p - 100 * page; /* the lowest page now */
    unsigned char vector;
    CHECK(FAILS(mincore(low - page, page, &vector), ENOMEM) && FAILS(msync(low - page, page, MS_ASYNC), ENOMEM));
    int ends[2];
    CHECK(pipe(ends) == 0 && write(ends[1], "abcdef", 6) == 6);
    CHECK(read(ends[0], low - 3 * page, 2) == 2 && low[-3 * (ptrdiff_t)page] == 'a');
    struct iovec parts[2] = {{low - 5 * page, 1}, {low - 7 * page + 5, 3}};
    CHECK(readv(ends[0], parts, 2) == 4 && parts[0].iov_base != NULL && low[-7 * (ptrdiff_t)page + 7] == 'f');
    CHECK(write(ends[1], low - 20 * page, 100) == 100 && mincore(low - 20 * page, page, &vector) == 0); /* zeros */
    CHECK(getcwd(low - 30 * page, page) == low - 30 * page && chdir(low - 30 * page) == 0);
    CHECK(clock_gettime(CLOCK_MONOTONIC, (struct timespec *)(low - 40 * page)) == 0);
    CHECK(write(ends[1], p - 550 * page, 1) == 1); /* at any distance */
}

/* The size of the stack's mapping in KiB. */
static long stack_size(void) {
    static char text[1 << 16];
    if (read_file("/proc/self/maps", text, sizeof text) <= 0) return -1;
    char *name = strstr(text, "[stack]"), *line = name;
    if (!name) return -1;
    while (line > text && line[-1] != '\n') line--;
    unsigned long from, to;
    return sscanf(line, "%lx-%lx", &from, &to) == 2 ? (long)((to - from) >> 10) : -1;
}

/* System calls access what nobody has touched, as a function with a large array makes them do. */
__attribute__((noinline)) static ssize_t calls_reach(int *ends) {
    char array[3 << 20];
    ssize_t got = read(ends[0], array, 2);
    return got == 2 && array[0] == 'x' ? stat(".", (struct stat *)(array + 4096)) + 1 : -1;
}

static void stack_grows(void) {
    int ends[2];
    CHECK(pipe(ends) == 0 && write(ends[1], "xyz", 3) == 3);
    CHECK(stack_size() >= 64 && stack_size() < 1024);
    CHECK(calls_reach(ends) == 1 && stack_size() >= 3 << 10);
    char *far = (char *)OPAQUE(uintptr_t, (uintptr_t)ends - (100 << 20));
    CHECK(FAILS(read(ends[0], far, 1), EFAULT) && stack_size() < 4 << 10);
    CHECK_U64(deep(1500), 1500);
    CHECK(stack_size() >= 5 << 10);
}

static void limited_later(void) {
    struct rlimit limit = {1 << 20, 64 << 20};
    CHECK(setrlimit(RLIMIT_STACK, &limit) == 0 && deep(150) == 150);
    limit.rlim_cur = limit.rlim_max;
    CHECK(setrlimit(RLIMIT_STACK, &limit) == 0 && deep(5000) == 5000);
    limit.rlim_cur = 8 << 20;
    CHECK(setrlimit(RLIMIT_STACK, &limit) == 0 && deep(4900) == 4900); /* what is there stays */
    printf("beyond\n");
    deep(9000);
}

static void overflows(void) {
    deep(5000); /* 20 MB */
}

static void brk_moves(void) {
    char *start = sbrk(0);
    CHECK(start != (void *)-1 && sbrk((intptr_t)(10 * page)) == start);
    for (size_t i = 0; i < 10 * page; i += page) CHECK(start[i] == 0 && (start[i] = 'b'));
    CHECK(brk(start + 5 * page) == 0 && sbrk(0) == start + 5 * page && start[4 * page] == 'b');
    unsigned char vector;
    uintptr_t above = ((uintptr_t)start + 6 * page) & ~(uintptr_t)(page - 1);
    CHECK(FAILS(mincore((void *)above, page, &vector), ENOMEM));
    CHECK(brk(start + 10 * page) == 0 && start[7 * page] == 0 && start[4 * page] == 'b');
    CHECK(FAILS(brk((void *)-1), ENOMEM) && MAP_FAILS(sbrk(INT64_MAX / 2), ENOMEM) && sbrk(0) == start + 10 * page);
    /* The call itself never fails: it gives the break as it is. */
    CHECK((char *)syscall(SYS_brk, 0) == start + 10 * page && (char *)syscall(SYS_brk, 1) == start + 10 * page);
    struct rlimit limit = {1 << 20, 1 << 20};
    CHECK(setrlimit(RLIMIT_DATA, &limit) == 0 && MAP_FAILS(sbrk(64 << 20), ENOMEM));
    CHECK(brk(start) == 0 && sbrk(0) == start);
}

int main(int argc, char **argv) {
    page = PAGE;
    if (argc > 1) return deep(400) == 400 ? 7 : 8; /* 1.6 MB within 4 MB */
    begin();
    CHECK(exits_with(child(stack_grows), 0));
    CHECK(dies_of(child(limited_later), SIGSEGV));
    CHECK(exits_with(child(grows), 0));
    CHECK(dies_of(child(touches_far_below), SIGSEGV));
    CHECK_U64(deep(1000), 1000);
    CHECK(dies_of(child(overflows), SIGSEGV));
    CHECK(exits_with(child(brk_moves), 0));
    pid_t pid = fork_limited();
    if (pid == 0) {
        struct rlimit limit = {4 << 20, 4 << 20};
        setrlimit(RLIMIT_STACK, &limit);
        execl("/proc/self/exe", argv[0], "deep", (char *)NULL);
        _exit(9);
    }
    CHECK(exits_with(pid, 7));
    return finish("map_stack");
}
