/* What /proc shows of another process: its program, its arguments and environment as they are in its memory now, and its
 * auxiliary vector. proc(5). */
#include "../lib/sys.h"
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

int main(int argc, char **argv) {
    if (argc == 3) {
        pause();
        return 0;
    }
    begin();
    CHECK(readlink("/proc/self/exe", own_link, sizeof own_link) > 0);
    /* A copy of this process. */
    pid_t pid = fork_limited();
    if (pid == 0) {
        for (;;) pause();
    }
    ssize_t size = read_file("/proc/self/cmdline", own_text, sizeof own_text);
    CHECK(size > 0 && strcmp(own_text, argv[0]) == 0 && becomes(pid, "cmdline", own_text, (size_t)size));
    size = read_file("/proc/self/environ", own_text, sizeof own_text);
    CHECK(size > 0 && becomes(pid, "environ", own_text, (size_t)size));
    CHECK(readlink(file_of(pid, "exe"), link_text, sizeof link_text) > 0 && strcmp(link_text, own_link) == 0);
    struct stat own, other;
    CHECK(stat(file_of(pid, "exe"), &other) == 0 && stat("/proc/self/exe", &own) == 0);
    CHECK(own.st_ino == other.st_ino && own.st_dev == other.st_dev);
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
