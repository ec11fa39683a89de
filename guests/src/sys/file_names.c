/* Names: hard and symbolic links, rename over files and folders, exchange and no-replace, removal while open, limits of
 * length, links that loop. link(2), rename(2), symlink(2), unlink(2), rmdir(2), mknod(2). */
#include "../lib/sys.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE 2
#endif

static int holds(const char *path, const char *expected) {
    char text[64];
    return read_file(path, text, sizeof text) >= 0 && strcmp(text, expected) == 0;
}

int main(void) {
    begin();
    scratch();
    char text[5000];
    struct stat about;
    CHECK(write_file("a", "A", 0600) == 0 && write_file("b", "B", 0600) == 0 && mkdir("d", 0700) == 0 && mkdir("e", 0700) == 0);
    CHECK(link("a", "a2") == 0 && FAILS(link("a", "b"), EEXIST) && FAILS(link("missing", "x"), ENOENT));
    CHECK(FAILS(link("d", "d2"), EPERM) && rename("a", "a2") == 0 && holds("a", "A") && holds("a2", "A")); /* the same file: nothing */
    CHECK(unlink("a2") == 0 && rename("a", "b") == 0 && holds("b", "A") && FAILS(stat("a", &about), ENOENT));
    CHECK(write_file("a", "A2", 0600) == 0 && FAILS(rename("a", "d"), EISDIR) && FAILS(rename("d", "a"), ENOTDIR));
    CHECK(write_file("d/inner", "I", 0600) == 0 && FAILS(rename("e", "d"), ENOTEMPTY) && rename("d", "e") == 0 && holds("e/inner", "I"));
    CHECK(FAILS(rename("e", "e/below"), EINVAL) && FAILS(rename("missing", "x"), ENOENT) && FAILS(rename("a/x", "y"), ENOTDIR));
    CHECK(FAILS(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE), EEXIST));
    CHECK(renameat2(AT_FDCWD, "a", AT_FDCWD, "e", RENAME_EXCHANGE) == 0 && holds("e", "A2") && holds("a/inner", "I"));
    CHECK(FAILS(renameat2(AT_FDCWD, "a", AT_FDCWD, "missing", RENAME_EXCHANGE), ENOENT));
    CHECK(FAILS(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE | RENAME_NOREPLACE), EINVAL));
    CHECK(renameat2(AT_FDCWD, "b", AT_FDCWD, "new", RENAME_NOREPLACE) == 0 && holds("new", "A"));

    CHECK(symlink("new", "l") == 0 && readlink("l", text, sizeof text) == 3 && memcmp(text, "new", 3) == 0 && readlink("l", text, 2) == 2);
    CHECK(FAILS(readlink("new", text, 10), EINVAL) && FAILS(readlink("l", text, 0), EINVAL) && FAILS(symlink("x", "l"), EEXIST));
    CHECK(FAILS(symlink("", "empty"), ENOENT) && link("l", "l2") == 0 && lstat("l2", &about) == 0 && S_ISLNK(about.st_mode));
    CHECK(linkat(AT_FDCWD, "l", AT_FDCWD, "l3", AT_SYMLINK_FOLLOW) == 0 && lstat("l3", &about) == 0 && S_ISREG(about.st_mode));
    CHECK(symlink("ring1", "ring2") == 0 && symlink("ring2", "ring1") == 0 && FAILS(open("ring1", O_RDONLY), ELOOP));
    for (int i = 0; i < 41; i++) { /* forty are followed, one more is not */
        char from[16], to[16];
        snprintf(from, sizeof from, i ? "chain%d" : "new", i - 1);
        snprintf(to, sizeof to, "chain%d", i);
        if (symlink(from, to) != 0) CHECK(!"a link");
    }
    CHECK(holds("chain39", "A") && FAILS(open("chain40", O_RDONLY), ELOOP));
    CHECK(symlink("a", "tofolder") == 0 && FAILS(unlink("tofolder/"), ENOTDIR) && FAILS(rmdir("tofolder"), ENOTDIR) && unlink("tofolder") == 0);
    CHECK(FAILS(unlink("a"), EISDIR) && FAILS(rmdir("a"), ENOTEMPTY) && FAILS(rmdir("new"), ENOTDIR) && FAILS(rmdir("a/."), EINVAL));
    CHECK(FAILS(unlinkat(AT_FDCWD, "a", AT_REMOVEDIR), ENOTEMPTY) && FAILS(unlinkat(AT_FDCWD, "a", 0x1), EINVAL));
    int fd = open("new", O_RDWR), folder = open("a", O_RDONLY);
    CHECK(unlink("new") == 0 && fstat(fd, &about) == 0 && about.st_nlink == 1); /* l3 is its last name */
    CHECK(unlink("l3") == 0 && fstat(fd, &about) == 0 && about.st_nlink == 0 && pread(fd, text, 1, 0) == 1 && text[0] == 'A');
    CHECK(unlinkat(folder, "inner", 0) == 0 && rmdir("a") == 0 && FAILS(openat(folder, "x", O_CREAT | O_WRONLY, 0600), ENOENT));
    memset(text, 'n', 300);
    text[256] = 0;
    CHECK(FAILS(open(text, O_CREAT | O_WRONLY, 0600), ENAMETOOLONG));
    text[255] = 0;
    CHECK((fd = open(text, O_CREAT | O_WRONLY, 0600)) >= 0 && unlink(text) == 0);
    memset(text, '/', sizeof text);
    text[4096] = 0;
    CHECK(FAILS(open(text, O_RDONLY), ENAMETOOLONG));
    text[4095] = 0;
    CHECK(open(text, O_RDONLY) >= 0);
    CHECK(mknod("regular", S_IFREG | 0600, 0) == 0 && stat("regular", &about) == 0 && S_ISREG(about.st_mode));
    CHECK(FAILS(mknod("regular", S_IFIFO | 0600, 0), EEXIST) && FAILS(mkdir("regular", 0700), EEXIST) && FAILS(mkdir("x/y", 0700), ENOENT));
    CHECK(mkdir("gone", 0700) == 0 && chdir("gone") == 0 && rmdir("../gone") == 0 && FAILS((long)(getcwd(text, 4096) ? 0 : -1), ENOENT));
    return finish("file_names");
}
