/* Executable files that a kernel takes although linkers make no such, interpreters that it refuses, and what becomes of a
 * process whose new program turns out to be wrong when the old one is gone. execve(2), elf(5). */
#include "../lib/sys.h"
#include <elf.h>

extern char **environ;

/* No error number. */
#define EXECUTED 205

static char *words[] = {"x", "executed", NULL};
static unsigned char bytes[8 << 20];
static size_t size;
static Elf64_Ehdr *const header = (Elf64_Ehdr *)bytes;
static Elf64_Phdr *programs;

/* This program's own file, anew. */
static void original(void) {
    int fd = open("/proc/self/exe", O_RDONLY);
    size = 0;
    ssize_t n;
    while ((n = read(fd, bytes + size, sizeof bytes - size)) > 0) size += (size_t)n;
    CHECK(n == 0 && close(fd) == 0 && size < sizeof bytes - 8192);
    programs = (Elf64_Phdr *)(bytes + header->e_phoff);
}

static Elf64_Phdr *last_of(uint32_t type) {
    Elf64_Phdr *found = NULL;
    for (int i = 0; i < header->e_phnum; i++) {
        if (programs[i].p_type == type) found = &programs[i];
    }
    return found;
}

/* A header that is of no use, behind all segments. */
static Elf64_Phdr *spare(void) {
    Elf64_Phdr *found = last_of(PT_GNU_STACK);
    CHECK(found && found > last_of(PT_LOAD));
    return found;
}

static void store(const char *name, size_t length) {
    unlink(name);
    int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    CHECK(write(fd, bytes, length) == (ssize_t)length && close(fd) == 0);
}

/* The program with the interpreter `name`. */
static void with_interpreter(const char *name) {
    original();
    Elf64_Phdr *program = last_of(PT_INTERP);
    if (!program) program = spare();
    *program = (Elf64_Phdr){.p_type = PT_INTERP, .p_flags = PF_R, .p_offset = size, .p_filesz = strlen(name) + 1};
    memcpy(bytes + size, name, strlen(name) + 1);
    size += strlen(name) + 1;
    store("linked", size);
}

static void executes(const char *name) {
    execve(name, words, environ);
    _exit(errno);
}

static pid_t started(const char *name) {
    pid_t pid = fork_limited();
    if (pid == 0) executes(name);
    return pid;
}

static int runs(void) {
    store("program", size);
    return exits_with(started("./program"), EXECUTED);
}

static int dies(void) {
    store("program", size);
    return dies_of(started("./program"), SIGSEGV);
}

/* One more segment, of which the file holds nothing. */
static void beyond(uint32_t flags, uint64_t length) {
    Elf64_Phdr *last = last_of(PT_LOAD);
    uint64_t at = ((last->p_vaddr + last->p_memsz) & ~UINT64_C(0xffff)) + 0x100000;
    *spare() = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = flags, .p_offset = 1 << 28, .p_vaddr = at, .p_filesz = length, .p_memsz = 0x5000, .p_align = 4096};
}

static void taken(void) {
    original();
    CHECK(runs());
    /* Segments from the highest to the lowest. */
    int loads[32], count = 0;
    for (int i = 0; i < header->e_phnum; i++) {
        if (programs[i].p_type == PT_LOAD) loads[count++] = i;
    }
    for (int i = 0; i < count / 2; i++) {
        Elf64_Phdr other = programs[loads[i]];
        programs[loads[i]] = programs[loads[count - 1 - i]];
        programs[loads[count - 1 - i]] = other;
    }
    if (header->e_type == ET_EXEC) CHECK(runs());
    /* One over another. */
    original();
    *spare() = programs[loads[0]];
    CHECK(runs());
    /* One that the file ends before: only who looks finds out. */
    original();
    beyond(PF_R, 0x3000);
    CHECK(runs());
}

static void found_late(void) {
    original();
    Elf64_Phdr *load = last_of(PT_LOAD);
    load->p_filesz = load->p_memsz + 1;
    CHECK(dies());
    original();
    last_of(PT_LOAD)->p_memsz = UINT64_C(1) << 62;
    CHECK(dies());
    /* The rest of its last page is to be cleared, and is not there. */
    original();
    beyond(PF_R | PF_W, 0x3001);
    CHECK(dies());
    original();
    last_of(PT_LOAD)->p_offset++;
    CHECK(dies());
    if (header->e_type == ET_EXEC) {
        original();
        header->e_entry = 0x10;
        CHECK(dies());
    }
}

static int refused(const char *name, int error) {
    with_interpreter(name);
    return exits_with(started("./linked"), error);
}

static void interpreters(void) {
    original();
    header->e_machine = EM_68K;
    store("machine", size);
    original();
    store("cut", 100);
    header->e_phentsize = 32;
    store("entries", size);
    original();
    memset(bytes, 'x', 200);
    store("text", 200);
    original();
    header->e_type = ET_REL;
    store("object", size);
    CHECK(refused("./missing", ENOENT));
    CHECK(refused("./machine", ELIBBAD));
    CHECK(refused("./cut", ELIBBAD));
    CHECK(refused("./entries", ELIBBAD));
    CHECK(refused("./text", ELIBBAD));
    CHECK(mkdir("folder", 0755) == 0 && refused("./folder", EACCES));
    with_interpreter("./object");
    CHECK(dies_of(started("./linked"), SIGSEGV));
    original();
    if (header->e_type == ET_EXEC && !last_of(PT_INTERP)) {
        /* It goes over the program, and starts in its place. */
        store("program", size);
        with_interpreter("./program");
        CHECK(exits_with(started("./linked"), EXECUTED));
    }
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "executed") == 0) return EXECUTED;
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    begin();
    scratch();
    taken();
    found_late();
    interpreters();
    return finish("exec_files");
}
