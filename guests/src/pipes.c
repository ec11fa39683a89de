/* Pipes, descriptors and waiting: order, partial reads, end of file, non-blocking errors, poll. */
#define _GNU_SOURCE
#include "lib/check.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <unistd.h>

#define FAILS(call, error) (errno = 0, (call) == -1 && errno == (error))

int main(void) {
    int ends[2];
    char text[70000];
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    CHECK(fcntl(ends[0], F_GETFD) == FD_CLOEXEC);
    CHECK(write(ends[1], "abcdef", 6) == 6);
    int waiting = 0;
    CHECK(ioctl(ends[0], FIONREAD, &waiting) == 0 && waiting == 6);
    CHECK(read(ends[0], text, 4) == 4 && memcmp(text, "abcd", 4) == 0);
    CHECK(read(ends[0], text, 100) == 2 && memcmp(text, "ef", 2) == 0);
    CHECK(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
    CHECK(FAILS(read(ends[0], text, 1), EAGAIN));
    CHECK(fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
    memset(text, 'x', sizeof text);
    ssize_t filled = 0, n;
    while ((n = write(ends[1], text, 4096)) > 0) {
        filled += n;
    }
    CHECK(errno == EAGAIN);
    CHECK_U64(filled, 65536);
    struct pollfd fds[2] = {{.fd = ends[0], .events = POLLIN}, {.fd = ends[1], .events = POLLOUT}};
    CHECK(poll(fds, 2, 0) == 1 && fds[0].revents == POLLIN && fds[1].revents == 0);
    while (read(ends[0], text, sizeof text) > 0) {
    }
    CHECK(poll(fds, 2, 1000) == 1 && fds[0].revents == 0 && fds[1].revents == POLLOUT);
    struct timespec short_time = {0, 1000000};
    CHECK(ppoll(fds, 1, &short_time, NULL) == 0);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ends[1], &set);
    struct timeval limit = {1, 0};
    CHECK(select(ends[1] + 1, NULL, &set, NULL, &limit) == 1 && FD_ISSET(ends[1], &set));
    CHECK(FAILS(lseek(ends[0], 0, SEEK_SET), ESPIPE));
    CHECK(close(ends[1]) == 0);
    CHECK(read(ends[0], text, 1) == 0);
    CHECK(poll(fds, 1, 0) == 1 && (fds[0].revents & POLLHUP));
    CHECK(close(ends[0]) == 0 && FAILS(poll(fds, 1, 0), 0) == 0 && (fds[0].revents & POLLNVAL));
    CHECK(pipe(ends) == 0 && close(ends[0]) == 0);
    signal(SIGPIPE, SIG_IGN);
    CHECK(FAILS(write(ends[1], "x", 1), EPIPE));
    CHECK(close(ends[1]) == 0);
    CHECK(FAILS(read(-1, text, 1), EBADF));
    CHECK(!isatty(-1));
    return finish("pipes");
}
