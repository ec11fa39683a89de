/* What /proc says of this process stays true when a link of whatever kind leads there: one that the program has made, one
 * to a descriptor of a directory or of a file that is only named, or one to the current directory. proc(5), openat2(2). */
#include "../lib/sys.h"
#include <linux/openat2.h>

static char maps[200000], link_text[1024], own_link[1024];

int main(void);

/* Whether an open file is the list of this process's mappings; it is closed. */
static int shows_maps(int fd) {
    ssize_t length = 0, got;
    while ((got = read(fd, maps + length, sizeof maps - 1 - (size_t)length)) > 0) length += got;
    maps[length] = 0;
    char *line = maps;
    int own = 0, foreign = 0;
    while (line && *line) {
        unsigned long from, to;
        char bits[8] = "";
        foreign |= sscanf(line, "%lx-%lx %7s", &from, &to, bits) != 3;
        own |= (uintptr_t)main >= from && (uintptr_t)main < to && strcmp(bits, "r-xp") == 0;
        line = strchr(line, '\n');
        line += line != NULL;
    }
    return close(fd) == 0 && own && !foreign;
}

static int leads_to_program(int dirfd, const char *path) {
    ssize_t length = readlinkat(dirfd, path, link_text, sizeof link_text - 1);
    link_text[length > 0 ? length : 0] = 0;
    return length > 0 && strcmp(link_text, own_link) == 0;
}

static int is_program(int dirfd, const char *path) {
    struct stat own, other;
    struct statx more;
    return stat(own_link, &own) == 0 && fstatat(dirfd, path, &other, 0) == 0 && own.st_ino == other.st_ino
        && own.st_size == other.st_size && statx(dirfd, path, 0, STATX_BASIC_STATS, &more) == 0
        && more.stx_ino == own.st_ino && more.stx_size == (uint64_t)own.st_size;
}

static int open_in(int dirfd, const char *path, uint64_t flags, uint64_t resolve) {
    struct open_how how = {.flags = flags, .resolve = resolve};
    return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof how);
}

int main(void) {
    begin();
    char path[256];
    ssize_t length = readlink("/proc/self/exe", own_link, sizeof own_link - 1);
    CHECK(length > 0);
    const char *folder = scratch();
    CHECK(symlink("/proc", "proc_link") == 0 && symlink("/proc/self", "self_link") == 0);
    CHECK(symlink("/proc/self/exe", "exe_link") == 0 && symlink("/proc/self/maps", "maps_link") == 0);
    CHECK(symlink("maps_link", "second_link") == 0);
    /* Links of the program's. */
    static const char *const named[] = {"maps_link", "second_link", "self_link/maps", "proc_link/self/maps",
                                        "self_link/task/../maps", "proc_link/self/root/proc/self/maps"};
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) CHECK(shows_maps(open(named[i], O_RDONLY)));
    static const char *const programs[] = {"exe_link", "self_link/exe", "proc_link/self/exe", "/proc/self/cwd/exe_link"};
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) CHECK(is_program(AT_FDCWD, programs[i]));
    CHECK(leads_to_program(AT_FDCWD, "self_link/exe") && leads_to_program(AT_FDCWD, "proc_link/self/exe"));
    length = readlink("exe_link", path, sizeof path);
    CHECK(length == 14 && memcmp(path, "/proc/self/exe", 14) == 0);
    int fd = open("exe_link", O_RDONLY);
    struct stat by_name, by_fd;
    CHECK(stat(own_link, &by_name) == 0 && fstat(fd, &by_fd) == 0 && by_name.st_ino == by_fd.st_ino && close(fd) == 0);
    /* Descriptors of directories. */
    int self = open("/proc/self", O_RDONLY | O_DIRECTORY), only_named = open("/proc/self", O_PATH);
    int fds = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
    CHECK(self >= 0 && only_named >= 0 && fds >= 0);
    for (int i = 0; i < 2; i++) {
        int directory = i ? self : only_named;
        snprintf(path, sizeof path, "/proc/self/fd/%d/maps", directory);
        CHECK(shows_maps(open(path, O_RDONLY)));
        snprintf(path, sizeof path, "/dev/fd/%d/maps", directory);
        CHECK(shows_maps(open(path, O_RDONLY)));
        snprintf(path, sizeof path, "%d/maps", directory);
        CHECK(shows_maps(openat(fds, path, O_RDONLY)));
        snprintf(path, sizeof path, "/proc/self/fd/%d/exe", directory);
        CHECK(leads_to_program(AT_FDCWD, path) && is_program(AT_FDCWD, path));
        snprintf(path, sizeof path, "%d/exe", directory);
        CHECK(leads_to_program(fds, path) && is_program(fds, path));
    }
    /* A directory that stands for the root. */
    CHECK(shows_maps(open_in(self, "/maps", O_RDONLY, RESOLVE_IN_ROOT)));
    CHECK(shows_maps(open_in(self, "maps", O_RDONLY, RESOLVE_BENEATH)));
    CHECK(FAILS(open_in(self, "/proc/self/maps", O_RDONLY, RESOLVE_IN_ROOT), ENOENT));
    /* Files that are only named. */
    fd = open("/proc/self/maps", O_PATH);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    CHECK(shows_maps(open(path, O_RDONLY)) && close(fd) == 0);
    fd = open("maps_link", O_PATH);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    CHECK(shows_maps(open(path, O_RDONLY)) && close(fd) == 0);
    fd = open("/proc/self/exe", O_PATH | O_NOFOLLOW);
    CHECK(leads_to_program(fd, "") && close(fd) == 0);
    fd = open("self_link/exe", O_PATH | O_NOFOLLOW);
    CHECK(leads_to_program(fd, "") && close(fd) == 0);
    /* The current directory. */
    CHECK(chdir("/proc/self") == 0);
    CHECK(shows_maps(open("/proc/self/cwd/maps", O_RDONLY)) && shows_maps(open("cwd/maps", O_RDONLY)));
    CHECK(leads_to_program(AT_FDCWD, "/proc/self/cwd/exe") && leads_to_program(AT_FDCWD, "cwd/exe"));
    CHECK(is_program(AT_FDCWD, "cwd/exe"));
    /* Other links lead where they did. */
    CHECK(chdir(folder) == 0);
    CHECK(write_file("file", "text", 0600) == 0 && symlink("file", "link") == 0 && symlink("loop", "loop") == 0);
    CHECK(open("link", O_RDONLY) >= 0 && open("link", O_RDWR | O_CREAT, 0600) >= 0);
    CHECK(FAILS(open("link", O_RDONLY | O_NOFOLLOW), ELOOP));
    CHECK(FAILS(open("link", O_RDONLY | O_CREAT | O_EXCL, 0600), EEXIST));
    CHECK(FAILS(open("loop", O_RDONLY), ELOOP));
    CHECK(open("link", O_PATH | O_NOFOLLOW) >= 0);
    CHECK(symlink("new", "to_new") == 0 && open("to_new", O_RDWR | O_CREAT, 0600) >= 0 && access("new", F_OK) == 0);
    return finish("proc_links");
}
