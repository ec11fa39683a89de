/* stat, statx and fstatat tell kind, size, links, times and blocks alike; utimensat sets times; chmod, access and truncate
 * rules. stat(2), statx(2), utimensat(2), truncate(2), access(2). */
#include "../lib/sys.h"
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

int main(void) {
    begin();
    scratch();
    struct stat about, other;
    struct statx more;
    CHECK(write_file("file", "0123456789", 0640) == 0 && link("file", "second") == 0 && symlink("file", "link") == 0);
    CHECK(mkfifo("fifo", 0600) == 0 && mkdir("folder", 0750) == 0 && mkdir("folder/inner", 0700) == 0);
    CHECK(stat("file", &about) == 0 && S_ISREG(about.st_mode) && (about.st_mode & 0777) == 0640);
    CHECK(about.st_size == 10 && about.st_nlink == 2 && about.st_uid == geteuid() && about.st_blksize > 0);
    CHECK(stat("second", &other) == 0 && other.st_ino == about.st_ino && other.st_dev == about.st_dev);
    CHECK(stat("link", &other) == 0 && other.st_ino == about.st_ino && lstat("link", &other) == 0 && S_ISLNK(other.st_mode));
    CHECK(other.st_size == 4);
    CHECK(stat("fifo", &other) == 0 && S_ISFIFO(other.st_mode) && stat("folder", &other) == 0 && S_ISDIR(other.st_mode));
    CHECK(stat("/dev/null", &other) == 0 && S_ISCHR(other.st_mode) && major(other.st_rdev) == 1 && minor(other.st_rdev) == 3);
    CHECK(statx(AT_FDCWD, "file", 0, STATX_BASIC_STATS, &more) == 0 && (more.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
    CHECK(more.stx_size == 10 && more.stx_ino == about.st_ino && more.stx_mode == about.st_mode && more.stx_nlink == 2);
    CHECK(more.stx_mtime.tv_sec == about.st_mtim.tv_sec && more.stx_mtime.tv_nsec == about.st_mtim.tv_nsec);
    CHECK(makedev(more.stx_dev_major, more.stx_dev_minor) == about.st_dev);
    CHECK(statx(AT_FDCWD, "link", AT_SYMLINK_NOFOLLOW, STATX_SIZE, &more) == 0 && more.stx_size == 4 && S_ISLNK(more.stx_mode));
    int fd = open("file", O_RDWR);
    CHECK(statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &more) == 0 && more.stx_size == 10);
    CHECK(FAILS(statx(fd, "", 0, STATX_SIZE, &more), ENOENT) && FAILS(statx(AT_FDCWD, "file", 0x1, STATX_SIZE, &more), EINVAL));
    CHECK(FAILS(statx(AT_FDCWD, "file", 0, 0x80000000u, &more), EINVAL));
    CHECK(fstatat(fd, "", &other, AT_EMPTY_PATH) == 0 && other.st_ino == about.st_ino && FAILS(fstatat(fd, "x", &other, 0), ENOTDIR));
    CHECK(FAILS(stat("missing", &other), ENOENT) && FAILS(stat("file/x", &other), ENOTDIR) && FAILS(fstat(999, &other), EBADF));

    struct timespec times[2] = {{1000000001, 123456789}, {1234567890, 987654321}};
    CHECK(utimensat(AT_FDCWD, "file", times, 0) == 0 && stat("file", &other) == 0);
    CHECK(other.st_atim.tv_sec == 1000000001 && other.st_atim.tv_nsec == 123456789);
    CHECK(other.st_mtim.tv_sec == 1234567890 && other.st_mtim.tv_nsec == 987654321 && other.st_ctim.tv_sec >= about.st_ctim.tv_sec);
    times[0].tv_nsec = UTIME_OMIT;
    times[1].tv_nsec = UTIME_NOW;
    CHECK(futimens(fd, times) == 0 && fstat(fd, &other) == 0 && other.st_atim.tv_sec == 1000000001 && other.st_mtim.tv_sec > 1700000000);
    times[1].tv_nsec = 1000000000;
    CHECK(FAILS(futimens(fd, times), EINVAL) && FAILS(utimensat(AT_FDCWD, "missing", NULL, 0), ENOENT));
    times[1] = (struct timespec){5, 5};
    times[0] = times[1];
    CHECK(utimensat(AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW) == 0 && lstat("link", &other) == 0 && other.st_mtim.tv_sec == 5);
    CHECK(chmod("file", 04755) == 0 && stat("file", &other) == 0 && (other.st_mode & 07777) == 04755 && fchmod(fd, 0600) == 0);
    CHECK(chown("file", (uid_t)-1, (gid_t)-1) == 0 && access("file", R_OK | W_OK) == 0 && FAILS(access("file", X_OK), EACCES));
    CHECK(FAILS(access("file", 99), EINVAL) && FAILS(access("missing", F_OK), ENOENT) && faccessat(AT_FDCWD, "folder", X_OK, AT_EACCESS) == 0);
    char text[32];
    CHECK(truncate("file", 4) == 0 && read_file("file", text, sizeof text) == 4 && ftruncate(fd, 8) == 0);
    CHECK(read_file("file", text, sizeof text) == 8 && memcmp(text, "0123\0\0\0\0", 8) == 0);
    CHECK(FAILS(ftruncate(fd, -1), EINVAL) && FAILS(truncate("folder", 0), EISDIR) && FAILS(truncate("missing", 0), ENOENT));
    int reading = open("file", O_RDONLY), ends[2];
    CHECK(FAILS(ftruncate(reading, 0), EINVAL) && pipe(ends) == 0 && FAILS(ftruncate(ends[1], 0), EINVAL));
    CHECK(fstat(ends[0], &other) == 0 && S_ISFIFO(other.st_mode));
    struct statvfs system;
    CHECK(statvfs(".", &system) == 0 && system.f_bsize > 0 && system.f_namemax == 255);
    return finish("file_stat");
}
