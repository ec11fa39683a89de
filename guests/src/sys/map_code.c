/* Pages that may be executed and nothing else: they run, and where the processor tells reading from executing neither the
 * program nor a system call reads them. riscv64 and aarch64 do, x86-64 with protection keys alone. mmap(2), mprotect(2),
 * pkeys(7). */
#include "../lib/sys.h"
#include "../lib/returns.h"

#if defined(__x86_64__)
#define MAY_BE_READABLE 1
#define REFUSED SEGV_PKUERR
#else
#define MAY_BE_READABLE 0
#define REFUSED SEGV_ACCERR
#endif

static char *code;
static int ends[2];

static int call(char *at) {
    int (*function)(void) = (int (*)(void))(uintptr_t)at;
    return function();
}

/* Whether a byte can be read: 1, or the code of the signal. */
static int reads(volatile char *at) {
    if (sigsetjmp(back, 1) != 0) return -last_signal.code;
    (void)*at;
    return 1;
}

/* Whether neither the program nor the kernel reads the byte, or both do where they may. */
static int hidden(char *at) {
    int seen = reads(at), written = (int)write(ends[1], at, 4), error = errno;
    if (MAY_BE_READABLE && seen == 1) return written == 4;
    return seen == -REFUSED && last_signal.address == (uintptr_t)at && written == -1 && error == EFAULT;
}

/* Code that this process has not run yet, and no descriptor left to find it with. */
static void runs_in_child(void) {
    struct rlimit none = {0, 0};
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0 && FAILS(dup(0), EMFILE));
    CHECK(call(code + PAGE + 64) == 55 && call(code) == 99 && hidden(code + PAGE));
}

/* Mapped so from the start, and behind the end of the file there is nothing to run. */
static void of_a_file(void) {
    char bytes[RETURNS_SIZE];
    put_returns(bytes, 33);
    int fd = memfd_create("code", MFD_CLOEXEC);
    CHECK(write(fd, bytes, sizeof bytes) == sizeof bytes);
    char *file = mmap(NULL, 2 * PAGE, PROT_EXEC, MAP_SHARED, fd, 0);
    CHECK(file != MAP_FAILED && call(file) == 33 && hidden(file));
    CHECK(handle(SIGBUS, jump_back, 0) == 0);
    if (sigsetjmp(back, 1) == 0) CHECK(call(file + PAGE) == 0);
    CHECK(last_signal.number == SIGBUS && last_signal.address == (uintptr_t)file + PAGE);
    /* What cannot be made present is locked all the same. */
    struct rlimit limit;
    if (geteuid() == 0 || (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur >= 8 << 20)) CHECK(mlockall(MCL_CURRENT) == 0);
    else CHECK(1);
    CHECK(munlockall() == 0);
}

int main(void) {
    begin();
    CHECK(pipe(ends) == 0 && handle(SIGSEGV, jump_back, 0) == 0);
    code = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    put_returns(code, 77);
    put_returns(code + PAGE - RETURNS_SIZE / 2, 88); /* across a boundary of pages */
    put_returns(code + PAGE + 64, 55);
    CHECK(mprotect(code, 2 * PAGE, PROT_EXEC) == 0);
    __builtin___clear_cache(code, code + 2 * PAGE);
    int right = 0;
    for (int i = 0; i < 20000; i++) right += call(code) == 77 && call(code + PAGE - RETURNS_SIZE / 2) == 88;
    CHECK_U64(right, 20000);
    CHECK(hidden(code));
    CHECK(mprotect(code, PAGE, PROT_READ | PROT_EXEC) == 0 && reads(code) == 1 && hidden(code + PAGE) && call(code) == 77);
    CHECK(mprotect(code, PAGE, PROT_EXEC) == 0 && call(code) == 77 && hidden(code));
    /* Other code, seen after the page was made writable and was flushed. */
    CHECK(mprotect(code, PAGE, PROT_READ | PROT_WRITE) == 0);
    put_returns(code, 99);
    CHECK(mprotect(code, PAGE, PROT_EXEC) == 0);
    __builtin___clear_cache(code, code + PAGE);
    CHECK(call(code) == 99 && hidden(code));
    CHECK(exits_with(child(runs_in_child), 0));
    of_a_file();
    return finish("map_code");
}
