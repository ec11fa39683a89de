/* Calls that wait are restarted after a handler with SA_RESTART, and give EINTR without it. signal(7), "Interruption of
 * system calls and library functions by signal handlers". */
#include "../lib/sys.h"
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>

static int ends[2], listener, lock_holder_pipe[2];
static volatile int ticks;
static void (*volatile then)(void);
static struct sockaddr_un address;
static socklen_t address_length;

/* Comes every few milliseconds, so it does not matter when the call begins to wait. On the fifth one the wait is ended. */
static void tick(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    int saved = errno;
    if (++ticks == 5 && then) then();
    if (ticks > 4000) _exit(99); /* the timer stands in the place of the usual limit */
    errno = saved;
}

static void arm(int flags, void (*after)(void)) {
    then = after;
    ticks = 0;
    handle(SIGALRM, tick, flags);
    struct itimerval every = {{0, 3000}, {0, 3000}};
    setitimer(ITIMER_REAL, &every, NULL);
}

static void disarm(void) {
    alarm(LIMIT); /* in place of the timer */
}

static void feed(void) {
    if (write(ends[1], "x", 1) != 1) abort();
}

static void drain(void) {
    static char room[65536];
    if (read(ends[0], room, sizeof room) <= 0) abort();
}

static void connects(void) {
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, address_length) != 0) abort();
    close(fd);
}

static pid_t waited;
static void end_child(void) {
    kill(waited, SIGKILL);
}

static void sleeps(void) {
    for (;;) pause();
}

static atomic_uint word;
static void wake(void) {
    word = 1;
}

int main(void) {
    begin();
    char c;
    static char block[70000];
    CHECK(pipe(ends) == 0 && pipe(lock_holder_pipe) == 0);
    arm(SA_RESTART, feed);
    CHECK(read(ends[0], &c, 1) == 1 && ticks >= 5);
    arm(0, NULL);
    CHECK(FAILS(read(ends[0], &c, 1), EINTR));
    disarm();
    CHECK(fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
    while (write(ends[1], block, 4096) > 0) {
    }
    CHECK(fcntl(ends[1], F_SETFL, 0) == 0);
    arm(0, NULL);
    CHECK(FAILS(write(ends[1], block, 4096), EINTR));
    arm(SA_RESTART, drain);
    CHECK(write(ends[1], block, 4096) == 4096 && ticks >= 5);
    disarm();
    drain();
    arm(0, NULL); /* what was already written is reported, not the interruption */
    CHECK(write(ends[1], block, sizeof block) == 65536);
    disarm();
    drain();

    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    address.sun_family = AF_UNIX; /* an address that the kernel makes up */
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t)) == 0 && listen(listener, 5) == 0);
    address_length = sizeof address;
    CHECK(getsockname(listener, (struct sockaddr *)&address, &address_length) == 0);
    arm(SA_RESTART, connects);
    int fd = accept(listener, NULL, NULL);
    CHECK(fd >= 0 && ticks >= 5 && close(fd) == 0);
    arm(0, NULL);
    CHECK(FAILS(accept(listener, NULL, NULL), EINTR));
    CHECK(FAILS(recv(listener, &c, 1, 0), EINVAL));
    disarm();

    waited = child(sleeps);
    int status;
    arm(0, NULL);
    CHECK(FAILS(waitpid(waited, &status, 0), EINTR));
    siginfo_t info;
    CHECK(FAILS(waitid(P_PID, (id_t)waited, &info, WEXITED), EINTR));
    arm(SA_RESTART, end_child);
    CHECK(waitpid(waited, &status, 0) == waited && WIFSIGNALED(status) && ticks >= 5);
    arm(SA_RESTART, wake);
    errno = 0;
    CHECK(futex(&word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0) == -1 && errno == EAGAIN); /* the word has changed meanwhile */
    word = 0;
    arm(0, NULL);
    CHECK(FAILS(futex(&word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0), EINTR));
    disarm();

    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    arm(0, NULL);
    CHECK(FAILS(recv(pair[0], &c, 1, 0), EINTR));
    struct timeval limit = {5, 0};
    CHECK(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    arm(SA_RESTART, NULL);
    CHECK(FAILS(recv(pair[0], &c, 1, 0), EINTR)); /* with a time limit it is not restarted */
    disarm();
    return finish("sig_restart");
}
