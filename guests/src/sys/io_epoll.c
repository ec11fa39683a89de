/* epoll: level and edge triggering, one shot, exclusive wake-ups, nesting, descriptors that are closed or duplicated, errors,
 * nanosecond timeouts. epoll(7), epoll_ctl(2), epoll_wait(2). */
#include "../lib/sys.h"
#include <sys/epoll.h>

static int set;

static int add(int to, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(to, EPOLL_CTL_ADD, fd, &event);
}

static int change(int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(set, EPOLL_CTL_MOD, fd, &event);
}

static int ready(uint32_t *events, uint64_t *data) {
    struct epoll_event event = {0};
    int n = epoll_wait(set, &event, 1, 0);
    *events = event.events;
    *data = event.data.u64;
    return n;
}

static void *waits(void *argument) {
    struct epoll_event event;
    return (void *)(intptr_t)epoll_wait((int)(intptr_t)argument, &event, 1, 10000);
}

int main(void) {
    begin();
    uint32_t events;
    uint64_t data;
    char text[16];
    int a[2], b[2];
    CHECK(pipe2(a, O_NONBLOCK) == 0 && pipe2(b, O_NONBLOCK) == 0);
    set = epoll_create1(EPOLL_CLOEXEC);
    CHECK(set >= 0 && fcntl(set, F_GETFD) == FD_CLOEXEC && ready(&events, &data) == 0);
    CHECK(add(set, a[0], EPOLLIN, 0x123456789abcdef0) == 0 && ready(&events, &data) == 0);
    CHECK(write(a[1], "xyz", 3) == 3);
    for (int i = 0; i < 2; i++) CHECK(ready(&events, &data) == 1 && events == EPOLLIN && data == 0x123456789abcdef0); /* level */
    CHECK(read(a[0], text, 16) == 3 && ready(&events, &data) == 0);
    CHECK(change(a[0], EPOLLIN | EPOLLET, 2) == 0 && write(a[1], "1", 1) == 1);
    CHECK(ready(&events, &data) == 1 && data == 2 && ready(&events, &data) == 0); /* edge: once */
    CHECK(write(a[1], "2", 1) == 1 && ready(&events, &data) == 1); /* and again for more */
    CHECK(change(a[0], EPOLLIN | EPOLLET, 3) == 0 && ready(&events, &data) == 1 && data == 3); /* a change looks again */
    CHECK(read(a[0], text, 16) == 2 && change(a[0], EPOLLIN | EPOLLONESHOT, 4) == 0 && write(a[1], "3", 1) == 1);
    CHECK(ready(&events, &data) == 1 && data == 4 && ready(&events, &data) == 0 && write(a[1], "4", 1) == 1 && ready(&events, &data) == 0);
    CHECK(change(a[0], EPOLLIN | EPOLLONESHOT, 5) == 0 && ready(&events, &data) == 1 && data == 5);
    CHECK(read(a[0], text, 16) == 2);

    CHECK(add(set, b[1], EPOLLOUT, 6) == 0 && ready(&events, &data) == 1 && events == EPOLLOUT && data == 6);
    CHECK(epoll_ctl(set, EPOLL_CTL_DEL, b[1], NULL) == 0 && add(set, b[0], 0, 7) == 0); /* hang-ups are always told */
    CHECK(close(b[1]) == 0 && ready(&events, &data) == 1 && events == EPOLLHUP && data == 7);
    int twin = dup(b[0]); /* the description is what is watched: it stays until its last descriptor is closed */
    CHECK(close(b[0]) == 0 && ready(&events, &data) == 1 && data == 7 && close(twin) == 0 && ready(&events, &data) == 0);

    int outer = epoll_create1(0);
    struct epoll_event event = {0};
    CHECK(add(outer, set, EPOLLIN, 8) == 0 && epoll_wait(outer, &event, 1, 0) == 0 && change(a[0], EPOLLIN, 9) == 0);
    CHECK(write(a[1], "n", 1) == 1 && epoll_wait(outer, &event, 1, 1000) == 1 && event.data.u64 == 8 && ready(&events, &data) == 1 && data == 9);
    struct pollfd polled = {.fd = outer, .events = POLLIN};
    CHECK(poll(&polled, 1, 0) == 1 && FAILS(add(set, outer, EPOLLIN, 0), ELOOP) && FAILS(add(set, set, EPOLLIN, 0), EINVAL));
    CHECK(FAILS(add(set, a[0], EPOLLIN, 0), EEXIST) && FAILS(change(a[1], EPOLLIN, 0), ENOENT) && FAILS(epoll_ctl(set, EPOLL_CTL_DEL, a[1], NULL), ENOENT));
    int file = memfd_create("file", 0);
    CHECK(FAILS(add(set, file, EPOLLIN, 0), EPERM) && FAILS(add(set, 999, EPOLLIN, 0), EBADF) && FAILS(add(a[0], a[1], EPOLLIN, 0), EINVAL));
    CHECK(FAILS(epoll_wait(set, &event, 0, 0), EINVAL) && FAILS(epoll_wait(set, &event, OPAQUE(int, -1), 0), EINVAL) && FAILS(epoll_create1(99), EINVAL));
    CHECK(FAILS(epoll_ctl(set, 99, a[0], &event), EINVAL) && FAILS(epoll_create(0), EINVAL) && read(a[0], text, 16) == 1);
    struct timespec little = {0, 20000000};
    int64_t before = milliseconds();
    CHECK(epoll_pwait2(set, &event, 1, &little, NULL) == 0 && milliseconds() - before >= 19);

    /* Two threads on two exclusive sets: one byte need not wake both, and what is there is seen by whoever looks. */
    int first = epoll_create1(0), second = epoll_create1(0);
    CHECK(add(first, a[0], EPOLLIN | EPOLLEXCLUSIVE, 1) == 0 && add(second, a[0], EPOLLIN | EPOLLEXCLUSIVE, 2) == 0);
    pthread_t threads[2];
    void *results[2];
    CHECK(pthread_create(&threads[0], NULL, waits, (void *)(intptr_t)first) == 0 && pthread_create(&threads[1], NULL, waits, (void *)(intptr_t)second) == 0);
    sleep_ms(5);
    CHECK(write(a[1], "1", 1) == 1);
    sleep_ms(5);
    CHECK(write(a[1], "2", 1) == 1);
    for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], &results[i]) == 0 && (intptr_t)results[i] == 1);
    /* Many descriptors: each is told once per round, and rounds rotate. */
    int pipes[50][2], seen[50] = {0};
    for (int i = 0; i < 50; i++) CHECK(pipe(pipes[i]) == 0 && add(set, pipes[i][0], EPOLLIN, 100 + (uint64_t)i) == 0 && write(pipes[i][1], "m", 1) == 1);
    CHECK(epoll_ctl(set, EPOLL_CTL_DEL, a[0], NULL) == 0);
    struct epoll_event several[10];
    for (int round = 0; round < 5; round++) {
        CHECK(epoll_wait(set, several, 10, 0) == 10);
        for (int i = 0; i < 10; i++) seen[several[i].data.u64 - 100]++;
    }
    int right = 0;
    for (int i = 0; i < 50; i++) right += seen[i] == 1;
    CHECK_U64(right, 50);
    /* Events for which the array has no memory are told later. */
    int fresh = epoll_create1(0);
    char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED && munmap(pages + PAGE, PAGE) == 0);
    CHECK(FAILS(epoll_wait(fresh, several, 0, 0), EINVAL) && epoll_wait(fresh, (void *)(pages + PAGE), 4, 0) == 0);
    for (int i = 0; i < 4; i++) CHECK(add(fresh, pipes[i][0], EPOLLIN | EPOLLET, (uint64_t)i) == 0);
    CHECK(FAILS(epoll_wait(fresh, (void *)(pages + PAGE), 4, 0), EFAULT));
    CHECK(mprotect(pages, PAGE, PROT_READ) == 0 && FAILS(epoll_wait(fresh, (void *)pages, 4, 0), EFAULT));
    CHECK(mprotect(pages, PAGE, PROT_READ | PROT_WRITE) == 0);
    CHECK(epoll_wait(fresh, (void *)(pages + PAGE - 2 * sizeof *several), 4, 0) == 2 && epoll_wait(fresh, several, 4, 0) == 2);
    CHECK(epoll_wait(fresh, several, 4, 0) == 0);
    return finish("io_epoll");
}
