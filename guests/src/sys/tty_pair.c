/* Pseudo-terminals: line editing, echo, raw mode, signals from keys, window size, the controlling terminal of a session and
 * its foreground group, hang-up. pty(7), termios(3), ioctl_tty(2), tcsetpgrp(3). */
#include "../lib/sys.h"
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

static int master, slave;
static char name[64];
static volatile int resized;

static ssize_t wait_read(int fd, char *text, size_t size) {
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    memset(text, 0, size);
    return poll(&wanted, 1, 5000) == 1 ? read(fd, text, size - 1) : -1;
}

/* Whether this comes, in however many pieces: an echo may be on its way still. */
static int comes(int fd, const char *wanted) {
    char text[100];
    for (size_t at = 0; at < strlen(wanted);) {
        ssize_t got = wait_read(fd, text, sizeof text);
        if (got <= 0 || strncmp(wanted + at, text, (size_t)got) != 0) return 0;
        at += (size_t)got;
    }
    return 1;
}

static void note(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    resized = 1;
}

static void waits(void) {
    for (;;) pause();
}

static void session(void) {
    close(master);
    CHECK(setsid() == getpid() && FAILS(open("/dev/tty", O_RDWR), ENXIO));
    CHECK(ioctl(slave, TIOCSCTTY, 0) == 0 && open("/dev/tty", O_RDWR) >= 0);
    CHECK(tcgetpgrp(slave) == getpid() && tcgetsid(slave) == getsid(0));
    pid_t pid = child(waits);
    CHECK(setpgid(pid, pid) == 0);
    signal(SIGTTOU, SIG_IGN);
    CHECK(tcsetpgrp(slave, pid) == 0 && tcgetpgrp(slave) == pid);
    handle(SIGTTIN, note, 0);
    char c;
    resized = 0;
    CHECK(FAILS(read(slave, &c, 1), EIO) && !resized); /* background, and its group is orphaned: no SIGTTIN */
    CHECK(write(slave, "go", 2) == 2); /* the master types ^C now, for the foreground group */
    CHECK(dies_of(pid, SIGINT));
    CHECK(tcsetpgrp(slave, getpid()) == 0 && FAILS(tcsetpgrp(slave, 0x3fffffff), ESRCH));
    sigset_t hangup, none;
    sigemptyset(&none);
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    CHECK(sigprocmask(SIG_BLOCK, &hangup, NULL) == 0); /* or it might come between the look and the wait */
    handle(SIGHUP, note, 0);
    resized = 0;
    CHECK(write(slave, "up", 2) == 2);
    while (!resized) sigsuspend(&none);
    CHECK(read(slave, &c, 1) == 0 && FAILS(write(slave, "x", 1), EIO));
}

int main(void) {
    begin();
    char text[300];
    struct termios mode, raw;
    struct winsize size = {.ws_row = 24, .ws_col = 80}, now;
    CHECK(openpty(&master, &slave, name, NULL, &size) == 0 && isatty(slave) && isatty(master));
    CHECK(strncmp(name, "/dev/pts/", 9) == 0 && ttyname_r(slave, text, sizeof text) == 0 && strcmp(text, name) == 0);
    CHECK(ioctl(slave, TIOCGWINSZ, &now) == 0 && now.ws_row == 24 && now.ws_col == 80);
    CHECK(tcgetattr(slave, &mode) == 0 && (mode.c_lflag & (ICANON | ECHO | ISIG)) == (ICANON | ECHO | ISIG) && mode.c_cc[VINTR] == 3);
    CHECK(write(master, "ab\177cd", 5) == 5); /* with one character taken back */
    CHECK(fcntl(slave, F_SETFL, O_NONBLOCK) == 0 && FAILS(read(slave, text, 10), EAGAIN) && write(master, "\n", 1) == 1);
    CHECK(fcntl(slave, F_SETFL, 0) == 0 && wait_read(slave, text, 100) == 4 && strcmp(text, "acd\n") == 0);
    CHECK(comes(master, "ab\b \bcd\r\n"));
    CHECK(write(slave, "out\n", 4) == 4 && comes(master, "out\r\n"));
    CHECK(write(master, "line\n\004", 6) == 6 && wait_read(slave, text, 3) == 2 && wait_read(slave, text, 100) == 3 && read(slave, text, 10) == 0);
    CHECK(comes(master, "line\r\n"));
    raw = mode;
    cfmakeraw(&raw);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 1;
    CHECK(tcsetattr(slave, TCSANOW, &raw) == 0 && write(master, "\003x\n", 3) == 3 && wait_read(slave, text, 100) == 3 && strcmp(text, "\003x\n") == 0);
    int64_t before = milliseconds();
    CHECK(read(slave, text, 10) == 0 && milliseconds() - before >= 90); /* VTIME is in tenths of a second */
    int waiting = -1;
    CHECK(write(master, "four", 4) == 4 && wait_read(slave, text, 2) == 1 && ioctl(slave, FIONREAD, &waiting) == 0 && waiting == 3);
    CHECK(tcflush(slave, TCIFLUSH) == 0 && ioctl(slave, FIONREAD, &waiting) == 0 && waiting == 0);
    CHECK(write(slave, "raw\n", 4) == 4 && wait_read(master, text, 100) == 4);
    CHECK(tcgetattr(slave, &raw) == 0 && raw.c_cc[VTIME] == 1 && !(raw.c_lflag & ICANON) && cfgetospeed(&raw) == B38400);
    CHECK(tcsetattr(slave, TCSADRAIN, &mode) == 0 && tcdrain(slave) == 0);
    size.ws_row = 50;
    CHECK(ioctl(master, TIOCSWINSZ, &size) == 0 && ioctl(slave, TIOCGWINSZ, &now) == 0 && now.ws_row == 50);
    int ends[2];
    CHECK(pipe(ends) == 0 && FAILS(tcgetattr(ends[0], &raw), ENOTTY) && !isatty(ends[0]) && FAILS(ioctl(ends[0], TIOCGWINSZ, &now), ENOTTY));
    CHECK(FAILS(tcgetpgrp(slave), ENOTTY)); /* not this process's terminal */

    pid_t pid = child(session);
    CHECK(close(slave) == 0 && comes(master, "go") && write(master, "\003", 1) == 1);
    char last = 0; /* the echo of ^C may stand before it, or have been flushed */
    while (last != 'p' && wait_read(master, text, 100) > 0) last = text[strlen(text) - 1];
    CHECK(last == 'p' && close(master) == 0 && exits_with(pid, 0));
    return finish("tty_pair");
}
