/* What /proc shows of another process: its program, its arguments and environment as they are in its memory now, its
 * auxiliary vector, and the threads, descriptors and mappings that are its own. proc(5). */
#include "../lib/sys.h"
#include <dirent.h>
#include <elf.h>
#include <sys/auxv.h>

static char path[64], link_text[512], own_link[512], text[4096], own_text[4096];

static const char *file_of(pid_t pid, const char *name) {
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    return path;
}

/* Waits until the two processes have the same content in a file. */
static int becomes(pid_t pid, const char *name, const char *expected, size_t size) {
    for (int i = 0; i < 5000; i++) {
        if (read_file(file_of(pid, name), text, sizeof text) == (ssize_t)size && memcmp(text, expected, size) == 0) return 1;
        sleep_ms(1);
    }
    return 0;
}

int main(int argc, char **argv);

static unsigned long field(const char *name) {
    char *line = strstr(text, name);
    return line ? strtoul(line + strlen(name), NULL, 10) : 0;
}

static int entries(const char *directory) {
    DIR *all = opendir(directory);
    int count = 0;
    for (struct dirent *entry; all && (entry = readdir(all));) count += entry->d_name[0] != '.';
    return all && closedir(all) == 0 ? count : -1;
}

/* Whether a line of mappings holds an address, with these permissions and this name. */
static int maps_it(const char *line, const void *p, const char *permissions, const char *name) {
    unsigned long from, to;
    char bits[8] = "", path[512] = "";
    return sscanf(line, "%lx-%lx %7s %*s %*s %*s %511[^\n]", &from, &to, bits, path) >= 3 && (uintptr_t)p >= from
        && (uintptr_t)p < to && strcmp(bits, permissions) == 0 && strstr(path, name) != NULL;
}

/* Whether all that a copy of this process maps is what this process maps too, and some of that has what it should have. */
static int maps_the_same(pid_t pid) {
    static char own[65536], others[65536];
    if (read_file("/proc/self/maps", own, sizeof own) <= 0 || read_file(file_of(pid, "maps"), others, sizeof others) <= 0) return 0;
    int code = 0, stack = 0, vdso = getauxval(AT_SYSINFO_EHDR) == 0, same = 1;
    static int data = 5;
    int writable = 0;
    for (char *line = others; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        unsigned long from = 0, to = 0, own_from, own_to;
        sscanf(line, "%lx-%lx", &from, &to);
        code |= maps_it(line, (void *)(uintptr_t)main, "r-xp", "proc_other");
        writable |= maps_it(line, &data, "rw-p", "");
        stack |= maps_it(line, &from, "rw-p", "[stack]");
        vdso |= maps_it(line, (void *)getauxval(AT_SYSINFO_EHDR), "r-xp", "[vdso]");
        /* Neighbours may have been put together. */
        for (char *known = own; known && *known && from < to; known = strchr(known, '\n') ? strchr(known, '\n') + 1 : NULL) {
            if (sscanf(known, "%lx-%lx", &own_from, &own_to) == 2 && own_from <= from && own_to > from) from = own_to;
        }
        same &= from >= to;
    }
    return code && writable && stack && vdso && same;
}

int main(int argc, char **argv) {
    if (argc == 3) {
        pause();
        return 0;
    }
    begin();
    CHECK(readlink("/proc/self/exe", own_link, sizeof own_link) > 0);
    /* A copy of this process, which has worked enough for an emulator to start threads of its own. */
    int ready[2];
    CHECK(pipe(ready) == 0);
    pid_t pid = fork_limited();
    if (pid == 0) {
        work_for_ms(200);
        for (write(ready[1], "", 1);;) pause();
    }
    char byte;
    CHECK(read(ready[0], &byte, 1) == 1);
    ssize_t size = read_file("/proc/self/cmdline", own_text, sizeof own_text);
    CHECK(size > 0 && strcmp(own_text, argv[0]) == 0 && becomes(pid, "cmdline", own_text, (size_t)size));
    size = read_file("/proc/self/environ", own_text, sizeof own_text);
    CHECK(size > 0 && becomes(pid, "environ", own_text, (size_t)size));
    CHECK(readlink(file_of(pid, "exe"), link_text, sizeof link_text) > 0 && strcmp(link_text, own_link) == 0);
    struct stat own, other;
    CHECK(stat(file_of(pid, "exe"), &other) == 0 && stat("/proc/self/exe", &own) == 0);
    CHECK(own.st_ino == other.st_ino && own.st_dev == other.st_dev);
    CHECK(maps_the_same(pid));
    CHECK_U64(entries(file_of(pid, "task")), 1);
    CHECK(stat(file_of(pid, "task"), &other) == 0);
    CHECK_U64(other.st_nlink, 3);
    /* The directory that is read is open too. */
    CHECK_U64(entries(file_of(pid, "fd")) + 1, entries("/proc/self/fd"));
    CHECK(read_file(file_of(pid, "status"), text, sizeof text) > 0);
    CHECK_U64(field("\nThreads:\t"), 1);
    unsigned long size_kib = field("\nVmSize:\t"), pages, threads;
    CHECK(read_file(file_of(pid, "statm"), text, sizeof text) > 0 && sscanf(text, "%lu", &pages) == 1);
    CHECK_U64(pages * 4, size_kib);
    CHECK(size_kib > 100 && size_kib < 100000);
    CHECK(read_file(file_of(pid, "stat"), text, sizeof text) > 0);
    char *fields = strrchr(text, ')');
    CHECK(fields && sscanf(fields + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %lu", &threads) == 1);
    CHECK_U64(threads, 1);
    CHECK(kill(pid, SIGKILL) == 0 && dies_of(pid, SIGKILL));
    /* Another run of this program. */
    pid = fork_limited();
    if (pid == 0) {
        char *arguments[] = {"renamed", "first", "a second one", NULL}, *variables[] = {"ONLY=this", NULL};
        execve("/proc/self/exe", arguments, variables);
        _exit(127);
    }
    static const char arguments[] = "renamed\0first\0a second one";
    CHECK(becomes(pid, "cmdline", arguments, sizeof arguments));
    CHECK(becomes(pid, "environ", "ONLY=this", sizeof "ONLY=this"));
    CHECK(readlink(file_of(pid, "exe"), link_text, sizeof link_text) > 0 && strcmp(link_text, own_link) == 0);
    uint64_t words[64];
    int fd = open(file_of(pid, "auxv"), O_RDONLY);
    ssize_t got = read(fd, words, sizeof words);
    uint64_t entry = 0;
    for (ssize_t i = 0; i + 1 < got / 8; i += 2) entry = words[i] == AT_PAGESZ ? words[i + 1] : entry;
    CHECK_U64(entry, getauxval(AT_PAGESZ));
    CHECK(kill(pid, SIGKILL) == 0 && dies_of(pid, SIGKILL));
    return finish("proc_other");
}
