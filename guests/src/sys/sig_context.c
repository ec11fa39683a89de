/* What a handler changes in its ucontext is in force after it returns: registers, floating-point registers, the program
 * counter and the mask. A handler that changes nothing leaves no trace. sigreturn(2), sigaction(2). */
#include "../lib/sys.h"
#include <ucontext.h>

/* Puts `in` and `number` into registers, traps, and returns what is in them then. */
static long trap_with(long in, double number, double *number_after) {
    long out;
#if defined(__riscv)
    __asm__ volatile("mv s2, %2\n\tfmv.d fs2, %3\n\t.option push\n\t.option norvc\n\tebreak\n\t.option pop\n\t"
                     "mv %0, s2\n\tfmv.d %1, fs2"
                     : "=&r"(out), "=&f"(*number_after) : "r"(in), "f"(number) : "s2", "fs2", "memory");
#elif defined(__x86_64__)
    __asm__ volatile("mov %2, %%r12\n\tmovsd %3, %%xmm7\n\tint3\n\tmov %%r12, %0\n\tmovsd %%xmm7, %1"
                     : "=&r"(out), "=&x"(*number_after) : "r"(in), "x"(number) : "r12", "xmm7", "memory");
#elif defined(__aarch64__)
    __asm__ volatile("mov x19, %2\n\tfmov d8, %d3\n\tbrk #1\n\tmov %0, x19\n\tfmov %d1, d8"
                     : "=&r"(out), "=&w"(*number_after) : "r"(in), "w"(number) : "x19", "d8", "memory");
#endif
    return out;
}

static long seen;
static double seen_number;

static void changes(int signal_number, siginfo_t *info, void *context) {
    (void)signal_number, (void)info;
    ucontext_t *user = context;
    double replacement = 6.75;
#if defined(__riscv)
    seen = (long)user->uc_mcontext.__gregs[18];
    memcpy(&seen_number, &user->uc_mcontext.__fpregs.__d.__f[18], sizeof seen_number);
    user->uc_mcontext.__gregs[18] += 1000;
    memcpy(&user->uc_mcontext.__fpregs.__d.__f[18], &replacement, sizeof replacement);
    user->uc_mcontext.__gregs[REG_PC] += 4; /* else the trap would come again */
#elif defined(__x86_64__)
    seen = user->uc_mcontext.gregs[REG_R12];
    memcpy(&seen_number, &user->uc_mcontext.fpregs->_xmm[7], sizeof seen_number);
    user->uc_mcontext.gregs[REG_R12] += 1000;
    memcpy(&user->uc_mcontext.fpregs->_xmm[7], &replacement, sizeof replacement);
#elif defined(__aarch64__)
    seen = (long)user->uc_mcontext.regs[19];
    struct fpsimd_context *vectors = (struct fpsimd_context *)user->uc_mcontext.__reserved;
    while (vectors->head.magic != FPSIMD_MAGIC) vectors = (void *)((char *)vectors + vectors->head.size);
    memcpy(&seen_number, &vectors->vregs[8], sizeof seen_number);
    user->uc_mcontext.regs[19] += 1000;
    memcpy(&vectors->vregs[8], &replacement, sizeof replacement);
    user->uc_mcontext.pc += 4;
#endif
    sigaddset(&user->uc_sigmask, SIGUSR2);
}

static void set_pc(void *context, void (*target)(void)) {
    ucontext_t *user = context;
#if defined(__riscv)
    user->uc_mcontext.__gregs[REG_PC] = (uintptr_t)target;
#elif defined(__x86_64__)
    user->uc_mcontext.gregs[REG_RIP] = (greg_t)target;
    user->uc_mcontext.gregs[REG_RSP] = (user->uc_mcontext.gregs[REG_RSP] & ~15) - 136; /* as after a call */
#elif defined(__aarch64__)
    user->uc_mcontext.pc = (uintptr_t)target;
#endif
}

static void continued_here(void) {
    sigset_t now;
    sigprocmask(SIG_SETMASK, NULL, &now);
    CHECK(sigismember(&now, SIGSEGV) == 0); /* the handler has returned */
    _exit(checks_failed ? 1 : 77);
}

static void redirects(int number, siginfo_t *info, void *context) {
    (void)number, (void)info;
    set_pc(context, continued_here);
}

static void redirected(void) {
    handle(SIGSEGV, redirects, 0);
    *(volatile int *)OPAQUE(uintptr_t, 16) = 1;
    CHECK(!"went on after the store");
}

static volatile int ticks;

static void dirties_registers(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    volatile double x = ticks + 1.5;
    for (int i = 0; i < 20; i++) x = x * 1.25 - i;
    char text[64];
    snprintf(text, sizeof text, "%f %d", (double)x, ticks);
    errno = ticks++;
}

__attribute__((noinline)) static uint64_t long_work(unsigned rounds) {
    uint64_t a = 1, b = 2, c = 3, d = 4, e = 5, f = 6;
    double x = 1.0, y = 2.0, z = 3.0;
    for (unsigned i = 0; i < rounds; i++) {
        a += b ^ (c << 1), b = b * 5 + d, c ^= e >> 3, d += f | i, e = e * 3 + a, f ^= b;
        x = x * 0.999 + (double)(i & 7), y = y * 0.5 + x, z += y - x * 2.0;
    }
    uint64_t bits[3];
    memcpy(bits, (double[]){x, y, z}, sizeof bits);
    return a ^ b ^ c ^ d ^ e ^ f ^ bits[0] ^ bits[1] * 3 ^ bits[2] * 5;
}

int main(void) {
    begin();
    handle(SIGTRAP, changes, 0);
    double number = 0;
    CHECK_U64(trap_with(234, 1.25, &number), 1234);
    CHECK(seen == 234 && seen_number == 1.25 && number == 6.75);
    sigset_t now;
    CHECK(sigprocmask(SIG_SETMASK, NULL, &now) == 0 && sigismember(&now, SIGUSR2) == 1 && sigismember(&now, SIGTRAP) == 0);
    for (int i = 0; i < 500; i++) {
        if (trap_with(i, i, &number) != i + 1000 || number != 6.75) CHECK(!"a later trap");
    }
    CHECK(exits_with(child(redirected), 77));
    uint64_t quiet = long_work(OPAQUE(unsigned, 3000000));
    handle(SIGVTALRM, dirties_registers, 0);
    struct itimerval every = {{0, 1000}, {0, 1000}}, off = {{0, 0}, {0, 0}};
    CHECK(setitimer(ITIMER_VIRTUAL, &every, NULL) == 0);
    unsigned different = 0;
    for (int i = 0; i < 200 && ticks < 5; i++) different += long_work(OPAQUE(unsigned, 3000000)) != quiet;
    CHECK(setitimer(ITIMER_VIRTUAL, &off, NULL) == 0 && ticks >= 5);
    CHECK_U64(different, 0);
    return finish("sig_context");
}
