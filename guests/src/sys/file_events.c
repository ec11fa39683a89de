/* inotify reports what happens to watched files and folders, in order, with names and cookies, equal ones merged.
 * inotify(7), inotify_add_watch(2). */
#include "../lib/sys.h"
#include <sys/inotify.h>
#include <sys/ioctl.h>

static int fd;
static _Alignas(8) char buffer[4096];
static ssize_t filled, used;

/* The next event, or NULL if there is none. */
static struct inotify_event *next(void) {
    if (used >= filled) {
        used = 0;
        filled = read(fd, buffer, sizeof buffer);
        if (filled <= 0) {
            filled = 0;
            return NULL;
        }
    }
    struct inotify_event *event = (struct inotify_event *)(void *)(buffer + used);
    used += (ssize_t)(sizeof *event + event->len);
    return event;
}

static int is(int watch, uint32_t mask, const char *name) {
    struct inotify_event *event = next();
    return event && event->wd == watch && event->mask == mask && (name ? event->len > 0 && strcmp(event->name, name) == 0 : event->len == 0);
}

int main(void) {
    begin();
    scratch();
    fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC && mkdir("d", 0700) == 0 && mkdir("e", 0700) == 0);
    int d = inotify_add_watch(fd, "d", IN_ALL_EVENTS | IN_ONLYDIR), e = inotify_add_watch(fd, "e", IN_MOVED_TO | IN_CREATE);
    CHECK(d > 0 && e > d && FAILS(read(fd, buffer, sizeof buffer), EAGAIN));
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    CHECK(poll(&wanted, 1, 0) == 0);
    CHECK(write_file("d/file", "x", 0600) == 0 && poll(&wanted, 1, 1000) == 1);
    int waiting = 0;
    CHECK(ioctl(fd, FIONREAD, &waiting) == 0 && waiting == 4 * 32 && FAILS(read(fd, buffer, 8), EINVAL));
    CHECK(is(d, IN_CREATE, "file") && is(d, IN_OPEN, "file") && is(d, IN_MODIFY, "file") && is(d, IN_CLOSE_WRITE, "file"));
    char text[8];
    CHECK(read_file("d/file", text, sizeof text) == 1);
    CHECK(is(d, IN_OPEN, "file") && is(d, IN_ACCESS, "file") && is(d, IN_CLOSE_NOWRITE, "file") && !next());
    CHECK(rename("d/file", "e/moved") == 0);
    struct inotify_event *event = next();
    uint32_t cookie = event ? event->cookie : 0;
    CHECK(event && event->mask == IN_MOVED_FROM && event->wd == d && cookie != 0 && strcmp(event->name, "file") == 0);
    event = next();
    CHECK(event && event->mask == IN_MOVED_TO && event->wd == e && event->cookie == cookie && strcmp(event->name, "moved") == 0);
    CHECK(mkdir("d/sub", 0700) == 0 && is(d, IN_CREATE | IN_ISDIR, "sub") && rmdir("d/sub") == 0 && is(d, IN_DELETE | IN_ISDIR, "sub"));
    int file = inotify_add_watch(fd, "e/moved", IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF);
    int writing = open("e/moved", O_WRONLY);
    for (int i = 0; i < 5; i++) CHECK(write(writing, "y", 1) == 1);
    CHECK(is(file, IN_MODIFY, NULL) && !next()); /* five equal ones are one */
    CHECK(chmod("e/moved", 0644) == 0 && is(file, IN_ATTRIB, NULL));
    CHECK(inotify_add_watch(fd, "e/moved", IN_ATTRIB | IN_MASK_ADD) == file); /* the same watch */
    CHECK(unlink("e/moved") == 0 && is(file, IN_ATTRIB, NULL) && !next()); /* one name less, but still open */
    CHECK(close(writing) == 0 && is(file, IN_DELETE_SELF, NULL) && is(file, IN_IGNORED, NULL) && !next());
    CHECK(FAILS(inotify_rm_watch(fd, file), EINVAL));
    CHECK(inotify_rm_watch(fd, e) == 0 && is(e, IN_IGNORED, NULL) && write_file("e/new", "", 0600) == 0 && !next());
    int once = inotify_add_watch(fd, "e", IN_CREATE | IN_ONESHOT);
    CHECK(write_file("e/one", "", 0600) == 0 && write_file("e/two", "", 0600) == 0);
    CHECK(is(once, IN_CREATE, "one") && is(once, IN_IGNORED, NULL) && !next());
    CHECK(rmdir("d") == 0 && is(d, IN_DELETE_SELF, NULL) && is(d, IN_IGNORED, NULL));
    CHECK(FAILS(inotify_add_watch(fd, "missing", IN_CREATE), ENOENT) && FAILS(inotify_add_watch(fd, "e", 0), EINVAL));
    CHECK(FAILS(inotify_add_watch(fd, "e/one", IN_CREATE | IN_ONLYDIR), ENOTDIR) && FAILS(inotify_add_watch(0x7fff, "e", IN_CREATE), EBADF));
    CHECK(FAILS(inotify_init1(1), EINVAL) && FAILS(write(fd, "x", 1), EBADF));
    return finish("file_events");
}
