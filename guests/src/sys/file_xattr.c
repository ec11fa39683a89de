/* Extended attributes in the user namespace: set, replace, list, remove, sizes asked for first, and who may not have them.
 * xattr(7), setxattr(2), listxattr(2). */
#include "../lib/sys.h"
#include <sys/xattr.h>

int main(void) {
    begin();
    scratch();
    char text[70000], list[100];
    CHECK(write_file("file", "x", 0600) == 0 && symlink("file", "link") == 0 && symlink("nowhere", "dangling") == 0);
    if (setxattr("file", "user.one", "1", 1, 0) == -1 && errno == EOPNOTSUPP) {
        printf("file_xattr: this file system has none\n");
        return 0;
    }
    int fd = open("file", O_RDWR);
    CHECK(getxattr("file", "user.one", text, sizeof text) == 1 && text[0] == '1');
    CHECK(FAILS(setxattr("file", "user.one", "2", 1, XATTR_CREATE), EEXIST));
    CHECK(FAILS(setxattr("file", "user.two", "2", 1, XATTR_REPLACE), ENODATA));
    CHECK(setxattr("file", "user.one", "longer", 6, XATTR_REPLACE) == 0 && fgetxattr(fd, "user.one", NULL, 0) == 6);
    CHECK(FAILS(fgetxattr(fd, "user.one", text, 3), ERANGE) && FAILS(fgetxattr(fd, "user.two", text, 3), ENODATA));
    CHECK(setxattr("link", "user.two", "", 0, 0) == 0 && getxattr("file", "user.two", text, sizeof text) == 0); /* follows */
    memset(text, 'v', sizeof text);
    CHECK(fsetxattr(fd, "user.three", text, 1000, 0) == 0 && fgetxattr(fd, "user.three", text, sizeof text) == 1000);
    ssize_t length = listxattr("file", list, sizeof list);
    CHECK(length >= 29 && listxattr("file", NULL, 0) == length && FAILS(listxattr("file", list, 5), ERANGE));
    int found = 0;
    for (char *name = list; name < list + length; name += strlen(name) + 1) {
        found += !strcmp(name, "user.one") + 10 * !strcmp(name, "user.two") + 100 * !strcmp(name, "user.three");
    }
    CHECK_U64(found, 111);
    CHECK(removexattr("file", "user.two") == 0 && FAILS(removexattr("file", "user.two"), ENODATA));
    CHECK(FAILS(setxattr("file", "user.", "x", 1, 0), EINVAL) && FAILS(setxattr("file", "nothing", "x", 1, 0), EOPNOTSUPP));
    CHECK(FAILS(setxattr("file", "user.big", text, 65537, 0), E2BIG) && FAILS(setxattr("file", "user.x", text, 1, 99), EINVAL));
    CHECK(FAILS(lsetxattr("link", "user.x", "x", 1, 0), EPERM) && FAILS(setxattr("dangling", "user.x", "x", 1, 0), ENOENT));
    memset(text, 'n', 300);
    memcpy(text, "user.", 5);
    text[256] = 0;
    CHECK(FAILS(setxattr("file", text, "x", 1, 0), ERANGE));
    CHECK(mkfifo("fifo", 0600) == 0 && FAILS(setxattr("fifo", "user.x", "x", 1, 0), EPERM));
    CHECK(mkdir("folder", 0700) == 0 && setxattr("folder", "user.x", "folder", 6, 0) == 0);
    CHECK(getxattr("folder", "user.x", text, sizeof text) == 6 && memcmp(text, "folder", 6) == 0);
    CHECK(FAILS(getxattr("file", (char *)OPAQUE(uintptr_t, 16), text, 10), EFAULT) && FAILS(fgetxattr(999, "user.x", text, 10), EBADF));
    size_t rooms[] = {1 << 17, (size_t)1 << 40, SIZE_MAX};
    for (size_t i = 0; i < COUNT(rooms); i++) {
        CHECK(fgetxattr(fd, "user.one", text, rooms[i]) == 6 && getxattr("file", "user.one", text, rooms[i]) == 6);
        CHECK(flistxattr(fd, list, rooms[i]) >= 20);
    }
    char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED && munmap(pages + PAGE, PAGE) == 0);
    memset(pages, 'n', PAGE); /* a name is too long before it has no end, */
    CHECK(FAILS(fgetxattr(fd, pages + PAGE - 256, text, 10), ERANGE) && FAILS(setxattr("file", pages + PAGE - 300, "x", 1, 0), ERANGE));
    CHECK(FAILS(fgetxattr(fd, pages + PAGE - 255, text, 10), EFAULT) && FAILS(removexattr("file", pages + PAGE - 10), EFAULT));
    int path = open("file", O_PATH);
    CHECK(FAILS(fgetxattr(path, "user.one", text, 10), EBADF));
    return finish("file_xattr");
}
