/* A MAP_GROWSDOWN mapping grows when the page below it is touched, but not into a neighbour; the first thread's stack grows
 * to its limit and no further; brk grows, shrinks and comes back as zeros. mmap(2), brk(2), getrlimit(2). */
#include "../lib/sys.h"
#include <stddef.h>

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
