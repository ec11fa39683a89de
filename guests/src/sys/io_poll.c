/* poll, ppoll, select and pselect agree on what is ready for each kind of descriptor; timeouts are kept; bad descriptors
 * and sizes are told. poll(2), select(2). */
#include "../lib/sys.h"
#include <sys/select.h>
#include <sys/socket.h>

static int polled(int fd, short events) {
    struct pollfd wanted = {.fd = fd, .events = events};
    return poll(&wanted, 1, 0) >= 0 ? wanted.revents : -1;
}

static int selected(int fd) {
    fd_set readable, writable;
    FD_ZERO(&readable);
    FD_ZERO(&writable);
    FD_SET(fd, &readable);
    FD_SET(fd, &writable);
    struct timeval zero = {0, 0};
    if (select(fd + 1, &readable, &writable, NULL, &zero) < 0) return -1;
    return FD_ISSET(fd, &readable) | FD_ISSET(fd, &writable) << 1;
}

static void *writes_late(void *argument) {
    sleep_ms(10);
    return (void *)(intptr_t)write(*(int *)argument, "x", 1);
}

int main(void) {
    begin();
    scratch();
    int ends[2], pair[2], all = POLLIN | POLLOUT | POLLPRI | POLLRDHUP;
    char text[16];
    CHECK(pipe(ends) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    CHECK(polled(ends[0], POLLIN) == 0 && polled(ends[1], POLLOUT) == POLLOUT && selected(ends[0]) == 0 && selected(ends[1]) == 2);
    CHECK(write(ends[1], "x", 1) == 1 && polled(ends[0], POLLIN) == POLLIN && selected(ends[0]) == 1);
    CHECK(polled(pair[0], (short)all) == POLLOUT && write(pair[1], "y", 1) == 1 && polled(pair[0], (short)all) == (POLLIN | POLLOUT) && selected(pair[0]) == 3);
    CHECK(shutdown(pair[1], SHUT_WR) == 0 && polled(pair[0], (short)all) == (POLLIN | POLLOUT | POLLRDHUP) && read(pair[0], text, 16) == 1);
    CHECK(read(pair[0], text, 16) == 0 && close(pair[1]) == 0 && (polled(pair[0], (short)all) & POLLHUP));
    CHECK(read(ends[0], text, 16) == 1 && close(ends[1]) == 0 && polled(ends[0], POLLIN) == POLLHUP && selected(ends[0]) == 1);
    int other[2];
    CHECK(pipe(other) == 0 && close(other[0]) == 0 && polled(other[1], POLLOUT) == (POLLOUT | POLLERR) && selected(other[1]) == 3);
    int file = open("file", O_RDWR | O_CREAT, 0600);
    CHECK(polled(file, POLLIN | POLLOUT) == (POLLIN | POLLOUT) && selected(file) == 3);
    int null = open("/dev/null", O_RDWR), folder = open(".", O_RDONLY);
    CHECK(polled(null, POLLIN | POLLOUT) == (POLLIN | POLLOUT) && polled(folder, POLLIN) == POLLIN);
    CHECK(polled(999, POLLIN) == POLLNVAL && polled(-1, POLLIN) == 0);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(polled(listener, POLLIN | POLLOUT) == (POLLOUT | POLLHUP)); /* neither listening nor connected */

    int fresh[2];
    CHECK(pipe(fresh) == 0);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, writes_late, &fresh[1]) == 0);
    struct pollfd wanted[3] = {{.fd = fresh[0], .events = POLLIN}, {.fd = -5, .events = POLLIN}, {.fd = 999, .events = 0}};
    CHECK(poll(wanted, 2, 10000) == 1 && wanted[0].revents == POLLIN && wanted[1].revents == 0);
    CHECK(pthread_join(thread, NULL) == 0 && poll(wanted, 3, 0) == 2 && wanted[2].revents == POLLNVAL);
    CHECK(read(fresh[0], text, 16) == 1);
    int64_t before = milliseconds();
    CHECK(poll(wanted, 1, 20) == 0 && milliseconds() - before >= 19);
    before = milliseconds();
    struct timespec little = {0, 20000000}, wrong = {0, 1000000000};
    CHECK(ppoll(wanted, 1, &little, NULL) == 0 && milliseconds() - before >= 19 && little.tv_nsec == 20000000);
    CHECK(FAILS(ppoll(wanted, 1, &wrong, NULL), EINVAL));
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fresh[0], &set);
    struct timeval limit = {0, 20000}, negative = {-1, 0};
    before = milliseconds();
    CHECK(select(fresh[0] + 1, &set, NULL, NULL, &limit) == 0 && milliseconds() - before >= 19 && !FD_ISSET(fresh[0], &set));
    CHECK(limit.tv_sec == 0 && limit.tv_usec == 0); /* Linux says what is left */
    limit.tv_sec = 5;
    FD_SET(ends[0], &set);
    CHECK(select(FD_SETSIZE, &set, NULL, NULL, &limit) == 1 && FD_ISSET(ends[0], &set) && limit.tv_sec <= 5);
    CHECK(FAILS(select(1, NULL, NULL, NULL, &negative), EINVAL) && FAILS(select(-1, NULL, NULL, NULL, &limit), EINVAL));
    FD_ZERO(&set);
    FD_SET(60, &set);
    CHECK(FAILS(select(61, &set, NULL, NULL, &limit), EBADF));
    before = milliseconds();
    CHECK(pselect(0, NULL, NULL, NULL, &little, NULL) == 0 && milliseconds() - before >= 19);
    CHECK(FAILS(poll((struct pollfd *)OPAQUE(uintptr_t, 16), 1, 0), EFAULT) && poll(NULL, 0, 1) == 0);
    return finish("io_poll");
}
