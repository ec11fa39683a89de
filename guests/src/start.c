/* What a program finds at its start: arguments, environment, auxiliary vector, identity. Prints arguments and the
 * variables whose name starts with GUEST_. */
#define _GNU_SOURCE
#include "lib/check.h"
#include <elf.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

extern char **environ;
extern char _end[];

int main(int argc, char **argv) {
    const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
    printf("argc %d, program %s\n", argc, name);
    for (int i = 1; i < argc; i++) {
        printf("argv[%d] = <%s>\n", i, argv[i]);
    }
    CHECK(argv[argc] == NULL && environ == argv + argc + 1);
    for (char **entry = environ; *entry; entry++) {
        if (strncmp(*entry, "GUEST_", 6) == 0) {
            printf("%s\n", *entry);
        }
    }
    CHECK(setenv("GUEST_ADDED", "later", 1) == 0 && strcmp(getenv("GUEST_ADDED"), "later") == 0);

    CHECK_U64(getauxval(AT_PAGESZ), 4096);
    CHECK_U64(getauxval(AT_PAGESZ), sysconf(_SC_PAGESIZE));
    CHECK_U64(getauxval(AT_CLKTCK), 100);
    CHECK(getauxval(AT_PHDR) != 0 && getauxval(AT_PHNUM) > 2);
    CHECK_U64(getauxval(AT_PHENT), sizeof(Elf64_Phdr));
    CHECK(getauxval(AT_ENTRY) > 0 && getauxval(AT_ENTRY) < (unsigned long)_end);
    CHECK(getauxval(AT_UID) == getuid() && getauxval(AT_EUID) == geteuid());
    CHECK(getauxval(AT_GID) == getgid() && getauxval(AT_EGID) == getegid());
    CHECK_U64(getauxval(AT_SECURE), 0);
    const char *executable = (const char *)getauxval(AT_EXECFN);
    CHECK(executable && strlen(executable) >= strlen(name));
    const unsigned char *random = (const unsigned char *)getauxval(AT_RANDOM);
    unsigned any = 0;
    for (int i = 0; random && i < 16; i++) any |= random[i];
    CHECK(any != 0);
    const Elf64_Phdr *headers = (const Elf64_Phdr *)getauxval(AT_PHDR);
    unsigned loads = 0;
    for (unsigned long i = 0; i < getauxval(AT_PHNUM); i++) loads += headers[i].p_type == PT_LOAD;
    CHECK(loads >= 2);
    CHECK((uintptr_t)&argc % 4 == 0 && (uintptr_t)__builtin_frame_address(0) % 16 == 0);
    const char *machine, *expected_machine;
    struct utsname system;
    CHECK(uname(&system) == 0 && strcmp(system.sysname, "Linux") == 0);
    machine = system.machine;
#if defined(__riscv)
    expected_machine = "riscv64";
    /* Single letters of the extensions: i, m, a, f, d and c at least. */
    unsigned long hwcap = getauxval(AT_HWCAP);
    static const char letters[] = "imafdc";
    unsigned have = 0;
    for (int i = 0; letters[i]; i++) have += hwcap >> (letters[i] - 'a') & 1;
    CHECK_U64(have, 6);
#else
    expected_machine = "x86_64";
#if defined(__aarch64__)
    expected_machine = "aarch64";
#endif
    CHECK(1);
#endif
    CHECK(strcmp(machine, expected_machine) == 0);
    CHECK(getpid() > 0 && getppid() >= 0 && gettid() == getpid());
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur >= 65536);
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= 64);
    CHECK(sysconf(_SC_NPROCESSORS_ONLN) >= 1);
    char link[4096];
    ssize_t length = readlink("/proc/self/exe", link, sizeof link - 1);
    link[length > 0 ? length : 0] = 0;
    CHECK(length > 0 && strcmp(strrchr(link, '/') + 1, name) == 0);
    return finish("start");
}
