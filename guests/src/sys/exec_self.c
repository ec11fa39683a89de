/* execve gives the new program its arguments and environment exactly, also empty and long ones, and an empty list becomes
 * one empty string; the auxiliary vector tells the truth. execve(2), getauxval(3). */
#include "../lib/sys.h"
#include <elf.h>
#include <sys/auxv.h>

extern char **environ;

static int executed(int argc, char **argv) {
    if (strcmp(argv[1], "arguments") == 0) {
        if (argc != 6 || strcmp(argv[2], "") || strcmp(argv[3], "two words") || strcmp(argv[4], "\xc3\xa9\n\t\"$") || strlen(argv[5]) != 100000) return 1;
        if (!environ[0] || strcmp(environ[0], "A=1") || strcmp(environ[1], "EMPTY=") || strcmp(environ[2], "no equals sign") || environ[3]) return 2;
        return 61;
    }
    if (strcmp(argv[1], "many") == 0) {
        char number[16];
        for (int i = 2; i < argc; i++) {
            snprintf(number, sizeof number, "%d", i);
            if (strcmp(argv[i], number) != 0) return 1;
        }
        return argc == 3002 && argv[argc] == NULL ? 62 : 2;
    }
    if (strcmp(argv[1], "vector") == 0) {
        const Elf64_Ehdr *header = NULL;
        const Elf64_Phdr *programs = (const Elf64_Phdr *)getauxval(AT_PHDR);
        for (unsigned i = 0; i < getauxval(AT_PHNUM); i++) {
            if (programs[i].p_type == PT_LOAD && programs[i].p_offset == 0) header = (const void *)((const char *)programs - sizeof *header);
        }
        if (getauxval(AT_PAGESZ) != PAGE || getauxval(AT_PHENT) != sizeof(Elf64_Phdr)) return 1;
        if (!header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_phnum != getauxval(AT_PHNUM)) return 2;
        uintptr_t entry = header->e_type == ET_DYN ? (uintptr_t)header + header->e_entry : header->e_entry;
        if (getauxval(AT_ENTRY) != entry) return 3;
        if (getauxval(AT_UID) != getuid() || getauxval(AT_EGID) != getegid() || getauxval(AT_SECURE) != 0) return 4;
        const unsigned char *random = (const unsigned char *)getauxval(AT_RANDOM);
        unsigned sum = 0;
        for (int i = 0; i < 16; i++) sum += random[i];
        if (sum == 0 || getauxval(AT_CLKTCK) != 100) return 5;
        return strcmp((const char *)getauxval(AT_EXECFN), "/proc/self/exe") == 0 ? 63 : 6;
    }
    return 9;
}

static char **words, **variables;

static void executes(void) {
    execve("/proc/self/exe", words, variables);
    _exit(99);
}

static int run(char **argv, char **envp) {
    words = argv;
    variables = envp;
    int status = status_of(child(executes));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int main(int argc, char **argv) {
    if (argc > 1) return executed(argc, argv);
    if (argc == 1 && argv[0][0] == 0) return environ[0] == NULL ? 64 : 65;
    begin();
    static char long_one[100001];
    memset(long_one, 'x', sizeof long_one - 1);
    char *arguments[] = {argv[0], "arguments", "", "two words", "\xc3\xa9\n\t\"$", long_one, NULL};
    char *environment[] = {"A=1", "EMPTY=", "no equals sign", NULL};
    CHECK_U64(run(arguments, environment), 61);
    static char numbers[3002][8];
    static char *many[3003] = {"program", "many"};
    for (int i = 2; i < 3002; i++) {
        snprintf(numbers[i], sizeof numbers[i], "%d", i);
        many[i] = numbers[i];
    }
    CHECK_U64(run(many, environment), 62);
    char *vector[] = {argv[0], "vector", NULL};
    CHECK_U64(run(vector, environ), 63);
    char *empty[] = {NULL}, *blank[] = {"", NULL};
    CHECK_U64(run(blank, empty), 64);
    CHECK_U64(run(empty, empty), 64); /* since Linux 5.18 a program always has a name */
    CHECK_U64(run(NULL, NULL), 64);
    return finish("exec_self");
}
