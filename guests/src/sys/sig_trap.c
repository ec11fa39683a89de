/* Undefined instructions raise SIGILL, breakpoints SIGTRAP, and x86's division by zero SIGFPE, with si_code and the
 * instruction's address; riscv64 and aarch64 divide by zero without a trap. sigaction(2), RISC-V unprivileged ISA "M". */
#include "../lib/sys.h"

/* Instructions in memory of their own, so that their address is known. */
static int raises(const void *code, size_t length, int number, int si_code) {
    char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(page + 64, code, length);
    mprotect(page, PAGE, PROT_READ | PROT_EXEC);
    __builtin___clear_cache(page, page + 128);
    last_signal.number = 0;
    if (sigsetjmp(back, 1) == 0) ((void (*)(void))(page + 64))();
    int right = last_signal.number == number && last_signal.code == si_code;
    right &= si_code == SI_KERNEL || last_signal.address == (uintptr_t)page + 64;
    munmap(page, PAGE);
    return right;
}

static void dies(void) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none); /* no core file, and the status says so */
    signal(SIGTRAP, SIG_DFL);
#if defined(__riscv)
    __asm__ volatile("ebreak");
#elif defined(__x86_64__)
    __asm__ volatile("int3");
#elif defined(__aarch64__)
    __asm__ volatile("brk #0");
#endif
}

static int divides(long a, long b, long quotient, long remainder) {
#if defined(__x86_64__)
    (void)quotient, (void)remainder;
    last_signal.number = 0;
    if (sigsetjmp(back, 1) == 0) {
        __asm__ volatile("cqto\n\tidivq %1" : "+a"(a) : "r"(b) : "rdx", "cc");
        return 0;
    }
    return last_signal.number == SIGFPE && last_signal.code == FPE_INTDIV;
#elif defined(__riscv)
    long q, r;
    __asm__ volatile("div %0, %2, %3\n\trem %1, %2, %3" : "=&r"(q), "=&r"(r) : "r"(a), "r"(b));
    return q == quotient && r == remainder;
#elif defined(__aarch64__)
    long q;
    __asm__ volatile("sdiv %0, %1, %2" : "=r"(q) : "r"(a), "r"(b));
    return q == (b == 0 ? 0 : quotient) && remainder == remainder;
#endif
}

int main(void) {
    begin();
    static const int all[] = {SIGILL, SIGTRAP, SIGFPE, SIGSEGV, SIGBUS};
    for (size_t i = 0; i < COUNT(all); i++) CHECK(handle(all[i], jump_back, 0) == 0);
#if defined(__riscv)
    CHECK(raises((uint16_t[]){0, 0}, 4, SIGILL, ILL_ILLOPC));         /* all zeros are never an instruction */
    CHECK(raises((uint32_t[]){0xffffffff}, 4, SIGILL, ILL_ILLOPC));   /* neither are all ones */
    CHECK(raises((uint32_t[]){0x30200073}, 4, SIGILL, ILL_ILLOPC));   /* mret */
    CHECK(raises((uint32_t[]){0x30001073}, 4, SIGILL, ILL_ILLOPC));   /* csrw mstatus, x0 */
    CHECK(raises((uint32_t[]){0x00100073}, 4, SIGTRAP, TRAP_BRKPT));  /* ebreak */
    CHECK(raises((uint16_t[]){0x9002, 1}, 4, SIGTRAP, TRAP_BRKPT));   /* c.ebreak */
#elif defined(__x86_64__)
    CHECK(raises((uint8_t[]){0x0f, 0x0b}, 2, SIGILL, ILL_ILLOPN));    /* ud2 */
    CHECK(raises((uint8_t[]){0x06}, 1, SIGILL, ILL_ILLOPN));          /* push es, gone in 64-bit mode */
    CHECK(raises((uint8_t[]){0xf4}, 1, SIGSEGV, SI_KERNEL));          /* hlt */
    CHECK(raises((uint8_t[]){0xfa}, 1, SIGSEGV, SI_KERNEL));          /* cli */
    CHECK(raises((uint8_t[]){0xcc}, 1, SIGTRAP, SI_KERNEL));          /* int3 */
    CHECK(raises((uint8_t[]){0xcd, 0x03}, 2, SIGTRAP, SI_KERNEL));    /* int 3 */
#elif defined(__aarch64__)
    CHECK(raises((uint32_t[]){0}, 4, SIGILL, ILL_ILLOPC));            /* udf #0 */
    CHECK(raises((uint32_t[]){0xffffffff}, 4, SIGILL, ILL_ILLOPC));
    CHECK(raises((uint32_t[]){0xd69f03e0}, 4, SIGILL, ILL_ILLOPC));   /* eret */
    CHECK(raises((uint32_t[]){0xd5184000}, 4, SIGILL, ILL_ILLOPC));   /* msr spsr_el1, x0 */
    CHECK(raises((uint32_t[]){0xd4200000}, 4, SIGTRAP, TRAP_BRKPT));  /* brk #0 */
    CHECK(raises((uint32_t[]){0xd4200020}, 4, SIGTRAP, TRAP_BRKPT));  /* brk #1 */
#endif
    CHECK(divides(7, 0, -1, 7));
    CHECK(divides(-7, 0, -1, -7));
    CHECK(divides(INT64_MIN, -1, INT64_MIN, 0));
    int status = status_of(child(dies));
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTRAP && !WCOREDUMP(status));
    return finish("sig_trap");
}
