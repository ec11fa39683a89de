/* Files and directories through system calls, in a directory made for the run and removed at its end. */
#define _GNU_SOURCE
#include "lib/check.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <unistd.h>

#define FAILS(call, error) (errno = 0, (call) == -1 && errno == (error))

static void contents(void) {
    char text[64];
    int fd = open("data", O_RDWR | O_CREAT | O_EXCL, 0640);
    CHECK(fd >= 0);
    CHECK(FAILS(open("data", O_RDWR | O_CREAT | O_EXCL, 0640), EEXIST));
    CHECK(write(fd, "hello, world\n", 13) == 13);
    CHECK(lseek(fd, 7, SEEK_SET) == 7);
    CHECK(read(fd, text, sizeof text) == 6 && memcmp(text, "world\n", 6) == 0);
    CHECK(read(fd, text, sizeof text) == 0);
    CHECK(pwrite(fd, "W", 1, 7) == 1 && pread(fd, text, 5, 7) == 5 && memcmp(text, "World", 5) == 0);
    CHECK(lseek(fd, 0, SEEK_CUR) == 13 && lseek(fd, -1, SEEK_END) == 12);
    CHECK(FAILS(lseek(fd, -100, SEEK_SET), EINVAL));
    struct iovec parts[3] = {{"ab", 2}, {"", 0}, {"cde", 3}};
    CHECK(lseek(fd, 100, SEEK_SET) == 100 && writev(fd, parts, 3) == 5);
    char left[4], right[4];
    struct iovec into[2] = {{left, 2}, {right, 4}};
    CHECK(preadv(fd, into, 2, 100) == 5 && memcmp(left, "ab", 2) == 0 && memcmp(right, "cde", 3) == 0);
    CHECK(pread(fd, text, 4, 50) == 4 && memcmp(text, "\0\0\0\0", 4) == 0); /* the hole reads as zeros */
    CHECK(ftruncate(fd, 10) == 0 && lseek(fd, 0, SEEK_END) == 10);
    CHECK(fsync(fd) == 0 && fdatasync(fd) == 0);
    CHECK(close(fd) == 0);
    CHECK(FAILS(close(fd), EBADF));
    CHECK(FAILS(read(fd, text, 1), EBADF));
    fd = open("data", O_WRONLY | O_APPEND);
    CHECK(write(fd, "!", 1) == 1 && lseek(fd, 0, SEEK_CUR) == 11);
    CHECK(FAILS(read(fd, text, 1), EBADF));
    CHECK(fcntl(fd, F_GETFL) & O_APPEND);
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    int twin = dup(fd), other = fcntl(fd, F_DUPFD, 50);
    CHECK(twin > fd && other >= 50 && dup2(fd, 60) == 60 && dup3(fd, 61, O_CLOEXEC) == 61);
    CHECK(close(twin) == 0 && close(other) == 0 && close(60) == 0 && close(61) == 0 && close(fd) == 0);
    CHECK(FAILS(open("missing", O_RDONLY), ENOENT));
    CHECK(FAILS(open("data/inside", O_RDONLY), ENOTDIR));
    CHECK(FAILS(open(".", O_WRONLY), EISDIR));
}

static void attributes(void) {
    struct stat s, l;
    umask(022);
    CHECK(stat("data", &s) == 0);
    CHECK_U64(s.st_size, 11);
    CHECK(S_ISREG(s.st_mode) && (s.st_mode & 0777) == 0640 && s.st_nlink == 1);
    CHECK_U64(sizeof s.st_size, 8);
    CHECK(s.st_uid == geteuid() && s.st_blksize >= 512 && s.st_ino != 0);
    CHECK(chmod("data", 0600) == 0 && stat("data", &s) == 0 && (s.st_mode & 07777) == 0600);
    CHECK(link("data", "second") == 0 && stat("second", &l) == 0 && l.st_ino == s.st_ino && l.st_nlink == 2);
    CHECK(symlink("data", "pointer") == 0 && lstat("pointer", &l) == 0 && S_ISLNK(l.st_mode) && l.st_size == 4);
    CHECK(stat("pointer", &l) == 0 && l.st_ino == s.st_ino);
    char target[16] = {0};
    CHECK(readlink("pointer", target, sizeof target) == 4 && memcmp(target, "data", 5) == 0);
    CHECK(FAILS(readlink("data", target, sizeof target), EINVAL));
    struct timespec times[2] = {{1000000000, 123456789}, {1500000000, 987654321}};
    CHECK(utimensat(AT_FDCWD, "data", times, 0) == 0 && stat("data", &s) == 0);
    CHECK(s.st_atim.tv_sec == 1000000000 && s.st_mtim.tv_sec == 1500000000 && s.st_mtim.tv_nsec == 987654321);
    CHECK(access("data", R_OK) == 0 && FAILS(access("missing", F_OK), ENOENT));
    CHECK(fstatat(AT_FDCWD, "data", &l, 0) == 0 && l.st_mtim.tv_sec == 1500000000);
    struct statx x;
    CHECK(statx(AT_FDCWD, "data", 0, STATX_BASIC_STATS, &x) == 0 && x.stx_size == 11 && x.stx_mtime.tv_sec == 1500000000);
    struct statfs fs;
    CHECK(statfs(".", &fs) == 0 && fs.f_bsize > 0);
    CHECK(rename("second", "renamed") == 0 && FAILS(access("second", F_OK), ENOENT));
    CHECK(FAILS(renameat2(AT_FDCWD, "renamed", AT_FDCWD, "data", RENAME_NOREPLACE), EEXIST));
    CHECK(unlink("renamed") == 0 && unlink("pointer") == 0 && FAILS(unlink("renamed"), ENOENT));
}

static void directories(void) {
    CHECK(mkdir("sub", 0755) == 0 && FAILS(mkdir("sub", 0755), EEXIST));
    for (int i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof name, "sub/entry-%03d", i);
        int fd = open(name, O_CREAT | O_WRONLY, 0600);
        if (fd < 0 || close(fd) != 0) {
            CHECK(!"entry could not be made");
        }
    }
    DIR *dir = opendir("sub");
    CHECK(dir != NULL);
    unsigned seen[300] = {0}, dots = 0, others = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        int number;
        if (sscanf(entry->d_name, "entry-%d", &number) == 1 && number >= 0 && number < 300) {
            seen[number]++;
            others += entry->d_type != DT_REG && entry->d_type != DT_UNKNOWN;
        } else {
            dots++;
        }
    }
    unsigned once = 0;
    for (int i = 0; i < 300; i++) once += seen[i] == 1;
    CHECK_U64(once, 300);
    CHECK_U64(dots, 2);
    CHECK_U64(others, 0);
    rewinddir(dir);
    CHECK(readdir(dir) != NULL && closedir(dir) == 0);
    CHECK(FAILS(rmdir("sub"), ENOTEMPTY));
    char before[4096], after[4096];
    CHECK(getcwd(before, sizeof before) != NULL && chdir("sub") == 0 && getcwd(after, sizeof after) != NULL);
    CHECK(strlen(after) == strlen(before) + 4 && strcmp(after + strlen(before), "/sub") == 0);
    int fd = open("..", O_RDONLY | O_DIRECTORY);
    struct stat s;
    CHECK(fd >= 0 && fstatat(fd, "data", &s, 0) == 0 && s.st_size == 11);
    CHECK(fchdir(fd) == 0 && close(fd) == 0);
    for (int i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof name, "sub/entry-%03d", i);
        if (unlink(name) != 0) {
            CHECK(!"entry could not be removed");
        }
    }
    CHECK(rmdir("sub") == 0);
}

static void streams(void) {
    FILE *f = fopen("lines", "w+");
    CHECK(f != NULL);
    for (int i = 0; i < 5000; i++) {
        fprintf(f, "line %d of many\n", i);
    }
    rewind(f);
    char line[64];
    int count = 0, right = 1;
    while (fgets(line, sizeof line, f)) {
        int number = -1;
        right &= sscanf(line, "line %d of", &number) == 1 && number == count;
        count++;
    }
    CHECK(right && count == 5000);
    CHECK(fseek(f, -10, SEEK_END) == 0 && fread(line, 1, 20, f) == 10 && feof(f));
    CHECK(fclose(f) == 0 && remove("lines") == 0);
    f = tmpfile();
    CHECK(f != NULL && fputs("x", f) >= 0 && fclose(f) == 0);
}

int main(void) {
    char place[256];
    const char *base = getenv("TMPDIR");
    snprintf(place, sizeof place, "%s/guest-files-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(place) || chdir(place) != 0) {
        perror(place);
        return 1;
    }
    contents();
    attributes();
    directories();
    streams();
    CHECK(unlink("data") == 0);
    CHECK(chdir("/") == 0 && rmdir(place) == 0);
    return finish("files");
}
