/* Why execve refuses, in the order in which it looks; a refused one leaves the caller as it was. execve(2). */
#include "../lib/sys.h"
#include <elf.h>

extern char **environ;

static char *words[] = {"x", NULL};

static int refused(const char *path, int error) {
    return FAILS(execve(path, words, environ), error);
}

int main(void) {
    begin();
    scratch();
    char self[600], target[600];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(length > 0);
    self[length > 0 ? length : 0] = 0;
    CHECK(refused("./missing", ENOENT));
    CHECK(refused("", ENOENT));
    CHECK(write_file("text", "text", 0644) == 0 && refused("./text", EACCES)); /* nobody may execute it, not even root */
    CHECK(chmod("text", 0755) == 0 && refused("./text", ENOEXEC));
    CHECK(write_file("empty", "", 0755) == 0 && refused("./empty", ENOEXEC));
    CHECK(refused("./text/below", ENOTDIR));
    CHECK(mkdir("folder", 0755) == 0 && refused("./folder", EACCES));
    CHECK(refused("/dev/null", EACCES));
    CHECK(symlink("loop", "loop") == 0 && refused("./loop", ELOOP));
    CHECK(symlink("nowhere", "dangling") == 0 && refused("./dangling", ENOENT));
    memset(target, 'n', 300);
    target[300] = 0;
    CHECK(refused(target, ENAMETOOLONG));
    CHECK(refused((const char *)16, EFAULT));
    CHECK(FAILS(execve(self, (char **)OPAQUE(uintptr_t, 16), environ), EFAULT));
    char *bad[] = {(char *)16, NULL};
    CHECK(FAILS(execve(self, bad, environ), EFAULT));
    CHECK(FAILS(execve(self, words, bad), EFAULT));
    static char huge[140000]; /* one string may have 32 pages */
    memset(huge, 'h', sizeof huge - 1);
    char *large[] = {huge, NULL};
    CHECK(FAILS(execve(self, large, environ), E2BIG));
    static char *many[100];
    huge[100000] = 0;
    for (int i = 0; i < 99; i++) many[i] = huge; /* and all together a quarter of the stack's limit, at most 6 MiB */
    CHECK(FAILS(execve(self, many, environ), E2BIG));

    int fd = open(self, O_RDONLY), out = open("copy", O_RDWR | O_CREAT, 0755);
    static char bytes[1 << 16];
    ssize_t n;
    while ((n = read(fd, bytes, sizeof bytes)) > 0) {
        if (write(out, bytes, (size_t)n) != n) CHECK(!"copied");
    }
    CHECK(refused("./copy", ETXTBSY)); /* open for writing */
    CHECK(close(out) == 0);
    Elf64_Ehdr header;
    CHECK(pread(fd, &header, sizeof header, 0) == sizeof header);
    Elf64_Ehdr wrong = header;
    wrong.e_machine = EM_68K;
    out = open("machine", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    CHECK(write(out, &wrong, sizeof wrong) == sizeof wrong && close(out) == 0 && refused("./machine", ENOEXEC));
    wrong = header;
    wrong.e_type = ET_REL;
    out = open("object", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    CHECK(write(out, &wrong, sizeof wrong) == sizeof wrong && close(out) == 0 && refused("./object", ENOEXEC));
    out = open("cut", O_WRONLY | O_CREAT | O_CLOEXEC, 0755); /* a header that promises more than there is */
    CHECK(write(out, &header, 40) == 40 && close(out) == 0);
    CHECK(FAILS(execve("./cut", words, environ), ENOEXEC) || errno == EIO);
    CHECK(close(fd) == 0);
    return finish("exec_errors");
}
