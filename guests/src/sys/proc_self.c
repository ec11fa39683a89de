/* What /proc says of this process is true of the program that runs: exe, cmdline, comm, environ, maps, auxv, stat, status,
 * sched, syscall, task, fd, cwd, and of the kernel: the name of its processor. All that is listed is there. proc(5). */
#include "../lib/sys.h"
#include <dirent.h>
#include <sys/auxv.h>
#include <sys/utsname.h>

static char text[200000];

static int mapped(const void *p, const char *permissions, const char *name) {
    for (char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        unsigned long from, to;
        char bits[8], path[512] = "";
        if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %511[^\n]", &from, &to, bits, path) < 3) continue;
        if ((uintptr_t)p < from || (uintptr_t)p >= to) continue;
        return strcmp(bits, permissions) == 0 && strstr(path, name) != NULL;
    }
    return 0;
}

static unsigned long field(const char *name) {
    char *line = strstr(text, name);
    return line ? strtoul(line + strlen(name), NULL, 10) : 0;
}

/* Whether each name in a directory is one of a file. */
static int all_are_there(const char *path) {
    DIR *directory = opendir(path);
    struct dirent *entry;
    struct stat status;
    int there = directory != NULL;
    while (directory && (entry = readdir(directory))) {
        there &= fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0;
    }
    return directory && closedir(directory) == 0 && there;
}

/* How many links the directory of threads has, by whatever call says so; 0 if they differ. */
static unsigned links_of_tasks(void) {
    struct stat by_name, by_fd, relative;
    struct statx more;
    int fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY), self = open("/proc/self", O_PATH);
    int all = stat("/proc/self/task/", &by_name) == 0 && fstat(fd, &by_fd) == 0 && fstatat(self, "task", &relative, 0) == 0
        && statx(AT_FDCWD, "/proc/self/task", 0, STATX_BASIC_STATS, &more) == 0 && close(fd) == 0 && close(self) == 0;
    int same = by_name.st_nlink == by_fd.st_nlink && by_fd.st_nlink == relative.st_nlink && relative.st_nlink == more.stx_nlink;
    return all && same ? (unsigned)by_name.st_nlink : 0;
}

int main(int argc, char **argv) {
    begin();
    static char environment[100000];
    char path[1024], other[1024];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    CHECK(length > 0);
    path[length > 0 ? length : 0] = 0;
    struct stat by_link, by_name;
    CHECK(stat("/proc/self/exe", &by_link) == 0 && stat(argv[0], &by_name) == 0);
    CHECK(by_link.st_ino == by_name.st_ino && by_link.st_dev == by_name.st_dev);
    const char *base = strrchr(path, '/') + 1;
    length = read_file("/proc/self/cmdline", text, sizeof text);
    CHECK(argc == 1 && length == (ssize_t)strlen(argv[0]) + 1 && strcmp(text, argv[0]) == 0);
    snprintf(other, sizeof other, "%.15s\n", base);
    CHECK(read_file("/proc/self/comm", text, sizeof text) > 0 && strcmp(text, other) == 0);
    CHECK(write_file("/proc/self/comm", "other name", 0) == 0);
    CHECK(read_file("/proc/self/comm", text, sizeof text) > 0 && strcmp(text, "other name\n") == 0);
    length = read_file("/proc/self/environ", environment, sizeof environment);
    CHECK(length >= 0 && (!getenv("PATH") || memmem(environment, (size_t)length, getenv("PATH"), strlen(getenv("PATH")))));

    char *area = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *none = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *shared = shared_memory(PAGE);
    CHECK(mprotect(area + PAGE, PAGE, PROT_READ) == 0);
    static int data = 5;
    CHECK(read_file("/proc/self/maps", text, sizeof text) > 0);
    CHECK(mapped(area, "rw-p", "") && mapped(area + PAGE, "r--p", "") && mapped(area + 2 * PAGE, "rw-p", ""));
    CHECK(mapped(none, "---p", "") && mapped(shared, "rw-s", "zero"));
    CHECK(mapped((void *)(uintptr_t)main, "r-xp", base) && mapped(&data, "rw-p", base) && mapped(&length, "rw-p", "[stack]"));
    CHECK(munmap(area, 3 * PAGE) == 0 && read_file("/proc/self/maps", text, sizeof text) > 0 && !mapped(area + PAGE, "r--p", ""));

    uint64_t vector[128];
    int fd = open("/proc/self/auxv", O_RDONLY);
    length = read(fd, vector, sizeof vector);
    int pagesize = 0, entry = 0;
    for (ssize_t i = 0; i + 1 < length / 8; i += 2) {
        pagesize |= vector[i] == AT_PAGESZ && vector[i + 1] == PAGE;
        entry |= vector[i] == AT_ENTRY && vector[i + 1] == getauxval(AT_ENTRY);
    }
    CHECK(pagesize && entry && close(fd) == 0);
    int pid = 0, parent = 0, group = 0, session = 0;
    char name[64], state = 0;
    CHECK(read_file("/proc/self/stat", text, sizeof text) > 0);
    CHECK(sscanf(text, "%d (%63[^)]) %c %d %d %d", &pid, name, &state, &parent, &group, &session) == 6);
    CHECK(pid == getpid() && strcmp(name, "other name") == 0 && state == 'R' && parent == getppid());
    CHECK(group == getpgrp() && session == getsid(0));
    CHECK(read_file("/proc/self/status", text, sizeof text) > 0);
    CHECK(field("\nTgid:\t") == (unsigned long)getpid() && field("\nPPid:\t") == (unsigned long)getppid());
    CHECK(field("\nThreads:\t") == 1 && field("\nUid:\t") == getuid() && field("\nVmRSS:\t") > 100);
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)gettid());
    CHECK(read_file(path, text, sizeof text) > 0 && atoi(text) == gettid());
    CHECK(readlink("/proc/self", other, sizeof other) > 0 && atoi(other) == getpid());
    CHECK(scratch() && getcwd(path, sizeof path));
    length = readlink("/proc/self/cwd", other, sizeof other - 1);
    CHECK(length > 0 && strncmp(path, other, (size_t)length) == 0);
    fd = open("file", O_RDWR | O_CREAT | O_APPEND, 0600);
    snprintf(other, sizeof other, "/proc/self/fd/%d", fd);
    length = readlink(other, text, sizeof text - 1);
    text[length > 0 ? length : 0] = 0;
    CHECK(length > 5 && strcmp(text + length - 5, "/file") == 0);
    snprintf(other, sizeof other, "/proc/self/fdinfo/%d", fd);
    CHECK(write(fd, "abc", 3) == 3 && read_file(other, text, sizeof text) > 0 && field("pos:\t") == 3);
    /* Work enough for an emulator to start threads of its own. */
    work_for_ms(200);
    CHECK_U64(links_of_tasks(), 3);
    CHECK(access("/proc/self/sched", F_OK) != 0 || (read_file("/proc/self/sched", text, sizeof text) > 0 && strstr(text, "#threads: 1)")));
    /* The call that reads it, or none. */
    if (access("/proc/self/syscall", R_OK) == 0) {
        CHECK(read_file("/proc/self/syscall", text, sizeof text) > 0);
        CHECK(strcmp(text, "running\n") == 0 || atoi(text) == SYS_read);
    }
    struct utsname machine;
    CHECK(uname(&machine) == 0);
    snprintf(other, sizeof other, "%s\n", machine.machine);
    CHECK(read_file("/proc/sys/kernel/arch", text, sizeof text) <= 0 || strcmp(text, other) == 0);
    CHECK(all_are_there("/proc/self") && all_are_there("/proc/thread-self") && all_are_there("/proc/self/task"));
    return finish("proc_self");
}
