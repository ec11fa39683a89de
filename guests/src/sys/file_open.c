/* openat and openat2: flags, the order of errors, O_PATH, O_TMPFILE, umask, and how far a path may be resolved.
 * open(2), openat2(2), umask(2). */
#include "../lib/sys.h"
#include <linux/openat2.h>

static long openat2_(int at, const char *path, struct open_how how, size_t size) {
    return syscall(SYS_openat2, at, path, &how, size);
}

static mode_t mode_of(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 ? about.st_mode & 07777 : 0xffff;
}

int main(void) {
    begin();
    scratch();
    char c, text[32];
    umask(022);
    int fd = open("new", O_RDWR | O_CREAT | O_EXCL, 0666);
    CHECK(fd >= 0 && mode_of("new") == 0644 && FAILS(open("new", O_RDWR | O_CREAT | O_EXCL, 0666), EEXIST));
    CHECK(umask(0077) == 022 && close(open("private", O_WRONLY | O_CREAT, 0666)) == 0 && mode_of("private") == 0600);
    CHECK(umask(0) == 0077 && close(open("all", O_WRONLY | O_CREAT, 06777)) == 0 && mode_of("all") == 06777);
    CHECK(write(fd, "0123456789", 10) == 10 && (fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK | O_CREAT)) == O_RDWR);
    int reading = open("new", O_RDONLY), writing = open("new", O_WRONLY), adding = open("new", O_RDWR | O_APPEND);
    CHECK(FAILS(write(reading, "x", 1), EBADF) && FAILS(read(writing, &c, 1), EBADF));
    CHECK(write(adding, "ab", 2) == 2 && lseek(adding, 0, SEEK_CUR) == 12 && pwrite(adding, "cd", 2, 0) == 2); /* appends too */
    CHECK(read_file("new", text, sizeof text) == 14 && strcmp(text, "0123456789abcd") == 0);
    CHECK(close(open("new", O_WRONLY | O_TRUNC)) == 0 && read_file("new", text, sizeof text) == 0);
    CHECK(FAILS(open("missing", O_RDONLY), ENOENT) && FAILS(open("", O_RDONLY), ENOENT));
    CHECK(FAILS(open("new/below", O_RDONLY), ENOTDIR) && FAILS(open("new/", O_RDONLY), ENOTDIR));
    CHECK(FAILS(open(".", O_RDWR), EISDIR) && FAILS(open("missing/", O_CREAT | O_WRONLY, 0600), EISDIR));
    CHECK(FAILS(open("new", O_RDONLY | O_DIRECTORY), ENOTDIR) && FAILS(openat(fd, "x", O_RDONLY), ENOTDIR));
    CHECK(FAILS(openat(999, "x", O_RDONLY), EBADF));
    CHECK(symlink("new", "link") == 0 && FAILS(open("link", O_RDONLY | O_NOFOLLOW), ELOOP));
    CHECK(symlink("missing", "dangling") == 0 && FAILS(open("dangling", O_RDONLY), ENOENT));
    CHECK(FAILS(open("dangling", O_WRONLY | O_CREAT | O_EXCL, 0600), EEXIST));
    CHECK(close(open("dangling", O_WRONLY | O_CREAT, 0600)) == 0 && mode_of("missing") == 0600); /* makes the target */
    int path = open("link", O_PATH | O_NOFOLLOW);
    struct stat about;
    CHECK(path >= 0 && FAILS(read(path, &c, 1), EBADF) && fstat(path, &about) == 0 && S_ISLNK(about.st_mode));
    CHECK(readlinkat(path, "", text, sizeof text) == 3 && FAILS(fchmod(path, 0600), EBADF));
    int folder = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(mkdirat(folder, "sub", 0755) == 0 && openat(folder, "sub", O_RDONLY) >= 0 && FAILS(read(folder, &c, 1), EISDIR));
    int unnamed = open(".", O_RDWR | O_TMPFILE, 0600);
    if (unnamed >= 0) { /* not every file system has it */
        CHECK(write(unnamed, "tmp", 3) == 3 && fstat(unnamed, &about) == 0 && about.st_nlink == 0);
        snprintf(text, sizeof text, "/proc/self/fd/%d", unnamed);
        CHECK(linkat(AT_FDCWD, text, AT_FDCWD, "named", AT_SYMLINK_FOLLOW) == 0 && read_file("named", text, sizeof text) == 3);
    } else {
        CHECK(errno == EOPNOTSUPP);
        CHECK(1);
    }
    struct open_how how = {.flags = O_RDONLY};
    CHECK(openat2_(folder, "new", how, sizeof how) >= 0);
    how.resolve = RESOLVE_NO_SYMLINKS;
    CHECK(FAILS(openat2_(folder, "link", how, sizeof how), ELOOP));
    how.resolve = RESOLVE_BENEATH;
    CHECK(FAILS(openat2_(folder, "../x", how, sizeof how), EXDEV) && FAILS(openat2_(folder, "/dev/null", how, sizeof how), EXDEV));
    CHECK(openat2_(folder, "sub/../new", how, sizeof how) >= 0);
    how.resolve = RESOLVE_IN_ROOT;
    CHECK(openat2_(folder, "/new", how, sizeof how) >= 0 && openat2_(folder, "../../new", how, sizeof how) >= 0);
    how.resolve = 0x1000;
    CHECK(FAILS(openat2_(folder, "new", how, sizeof how), EINVAL));
    how = (struct open_how){.flags = O_RDONLY, .mode = 0600}; /* a mode without O_CREAT */
    CHECK(FAILS(openat2_(folder, "new", how, sizeof how), EINVAL) && FAILS(openat2_(folder, "new", how, 8), EINVAL));
    how = (struct open_how){.flags = (uint64_t)1 << 40};
    CHECK(FAILS(openat2_(folder, "new", how, sizeof how), EINVAL));
    uint64_t hint = 7;
    int hinted = open("new", O_RDWR);
    CHECK(fcntl(hinted, 1035 /* F_GET_RW_HINT */, &hint) == 0 && hint == 0);
    hint = 2; /* RWH_WRITE_LIFE_SHORT */
    CHECK(fcntl(hinted, 1036 /* F_SET_RW_HINT */, &hint) == 0 && (hint = 7) && fcntl(hinted, 1035, &hint) == 0 && hint == 2);
    return finish("file_open");
}
