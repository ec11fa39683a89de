/* Pipes: capacity and its change, packets of O_DIRECT, atomic and partial writes, named ones, readiness by signal.
 * pipe(7), pipe(2), fcntl(2) F_SETPIPE_SZ, F_SETOWN, F_SETSIG, fifo(7). */
#include "../lib/sys.h"
#include <sys/ioctl.h>
#include <sys/socket.h>

static volatile int signals, fd_seen, number_seen, code_seen;

static void note(int number, siginfo_t *info, void *context) {
    (void)context;
    number_seen = number;
    fd_seen = info->si_fd;
    code_seen = info->si_code;
    signals++;
}

static void opens_fifo(void) {
    int fd = open("fifo", O_WRONLY); /* waits for a reader */
    CHECK(write(fd, "through", 7) == 7);
}

int main(void) {
    begin();
    scratch();
    static char block[1 << 20];
    char text[64];
    int ends[2], waiting;
    CHECK(pipe2(ends, O_NONBLOCK) == 0 && fcntl(ends[0], F_GETPIPE_SZ) == 65536);
    CHECK(write(ends[1], block, sizeof block) == 65536 && FAILS(write(ends[1], block, 1), EAGAIN)); /* as much as there is room */
    CHECK(ioctl(ends[0], FIONREAD, &waiting) == 0 && waiting == 65536 && FAILS(fcntl(ends[1], F_SETPIPE_SZ, 4096), EBUSY));
    CHECK(fcntl(ends[1], F_SETPIPE_SZ, 200000) == 262144 && write(ends[1], block, sizeof block) == 196608);
    CHECK(read(ends[0], block, 5000) == 5000 && FAILS(write(ends[1], block, 4097), EAGAIN) == 0);
    CHECK(close(ends[0]) == 0 && close(ends[1]) == 0);
    CHECK(pipe2(ends, O_DIRECT | O_NONBLOCK) == 0 && write(ends[1], "first", 5) == 5 && write(ends[1], "second", 6) == 6);
    CHECK(read(ends[0], text, 64) == 5 && read(ends[0], text, 3) == 3 && FAILS(read(ends[0], text, 64), EAGAIN)); /* the rest of a packet is dropped */
    CHECK(write(ends[1], block, 5000) == 5000 && read(ends[0], block, 8000) == 4096 && read(ends[0], block, 8000) == 904);
    CHECK(FAILS(pipe2(ends, 0x1), EINVAL));

    CHECK(pipe2(ends, O_NONBLOCK) == 0 && fcntl(ends[1], F_SETPIPE_SZ, 4096) >= 4096);
    int capacity = fcntl(ends[1], F_GETPIPE_SZ);
    CHECK(write(ends[1], block, (size_t)capacity - 100) == capacity - 100);
    if (capacity == 4096) CHECK(FAILS(write(ends[1], block, 200), EAGAIN)); /* up to PIPE_BUF all or nothing */
    else CHECK(1);
    CHECK(mkfifo("fifo", 0600) == 0 && FAILS(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO));
    pid_t pid = child(opens_fifo);
    int fifo = open("fifo", O_RDONLY);
    CHECK(read(fifo, text, 64) == 7 && memcmp(text, "through", 7) == 0 && exits_with(pid, 0) && read(fifo, text, 64) == 0);
    int both = open("fifo", O_RDWR | O_NONBLOCK);
    CHECK(both >= 0 && write(both, "x", 1) == 1 && read(fifo, text, 64) == 1 && FAILS(read(both, text, 64), EAGAIN));

    /* A signal when there is something to read, chosen by F_SETSIG, to the owner. */
    int number = SIGRTMIN + 2;
    CHECK(pipe(ends) == 0 && handle(number, note, 0) == 0 && handle(SIGIO, note, 0) == 0);
    CHECK(fcntl(ends[0], F_SETOWN, getpid()) == 0 && fcntl(ends[0], F_GETOWN) == getpid() && fcntl(ends[0], F_GETSIG) == 0);
    CHECK(fcntl(ends[0], F_SETFL, O_ASYNC | O_NONBLOCK) == 0 && write(ends[1], "s", 1) == 1);
    for (int i = 0; i < 1000 && !signals; i++) sleep_ms(1);
    CHECK(signals == 1 && number_seen == SIGIO);
    CHECK(fcntl(ends[0], F_SETSIG, number) == 0 && fcntl(ends[0], F_GETSIG) == number && read(ends[0], text, 64) == 1);
    signals = 0;
    CHECK(write(ends[1], "t", 1) == 1);
    for (int i = 0; i < 1000 && !signals; i++) sleep_ms(1);
    CHECK(signals == 1 && number_seen == number && fd_seen == ends[0] && code_seen == POLL_IN);
    CHECK(fcntl(ends[0], F_SETFL, 0) == 0 && write(ends[1], "u", 1) == 1 && signals == 1);
    struct f_owner_ex owner = {F_OWNER_TID, gettid()};
    CHECK(fcntl(ends[0], F_SETOWN_EX, &owner) == 0 && (owner.pid = 0, fcntl(ends[0], F_GETOWN_EX, &owner)) == 0 && owner.pid == gettid() && owner.type == F_OWNER_TID);
    CHECK(FAILS(fcntl(ends[0], F_SETSIG, 65), EINVAL) && FAILS(fcntl(ends[0], 9999), EINVAL) && FAILS(fcntl(999, F_GETFD), EBADF));
    CHECK(fcntl(ends[0], F_DUPFD_CLOEXEC, 300) == 300 && fcntl(300, F_GETFD) == FD_CLOEXEC && FAILS(dup3(300, 300, 0), EINVAL));
    CHECK(dup2(300, 300) == 300 && FAILS(dup2(301, 302), EBADF) && dup2(ends[1], 300) == 300 && write(300, "v", 1) == 1);
    return finish("io_pipes");
}
