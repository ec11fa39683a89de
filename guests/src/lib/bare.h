/* System calls and a start routine for programs without a C library. */
#ifndef GUESTS_BARE_H
#define GUESTS_BARE_H

typedef unsigned long word;

#if defined(__riscv)
#define SYS_read 63
#define SYS_write 64
#define SYS_openat 56
#define SYS_close 57
#define SYS_getpid 172
#define SYS_gettid 178
#define SYS_uname 160
#define SYS_brk 214
#define SYS_munmap 215
#define SYS_mmap 222
#define SYS_mprotect 226
#define SYS_clock_gettime 113
#define SYS_getrandom 278
#define SYS_pipe2 59
#define SYS_exit_group 94
__asm__(".globl _start\n_start:\n mv a0, sp\n andi sp, sp, -16\n call start_with_stack\n");

static inline long syscall6(long number, word a, word b, word c, word d, word e, word f) {
    register long a7 __asm__("a7") = number;
    register word a0 __asm__("a0") = a;
    register word a1 __asm__("a1") = b;
    register word a2 __asm__("a2") = c;
    register word a3 __asm__("a3") = d;
    register word a4 __asm__("a4") = e;
    register word a5 __asm__("a5") = f;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5) : "memory");
    return (long)a0;
}
#elif defined(__aarch64__)
#define SYS_read 63
#define SYS_write 64
#define SYS_openat 56
#define SYS_close 57
#define SYS_getpid 172
#define SYS_gettid 178
#define SYS_uname 160
#define SYS_brk 214
#define SYS_munmap 215
#define SYS_mmap 222
#define SYS_mprotect 226
#define SYS_clock_gettime 113
#define SYS_getrandom 278
#define SYS_pipe2 59
#define SYS_exit_group 94
__asm__(".globl _start\n_start:\n mov x0, sp\n bl start_with_stack\n");

static inline long syscall6(long number, word a, word b, word c, word d, word e, word f) {
    register long x8 __asm__("x8") = number;
    register word x0 __asm__("x0") = a;
    register word x1 __asm__("x1") = b;
    register word x2 __asm__("x2") = c;
    register word x3 __asm__("x3") = d;
    register word x4 __asm__("x4") = e;
    register word x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return (long)x0;
}
#elif defined(__x86_64__)
#define SYS_read 0
#define SYS_write 1
#define SYS_openat 257
#define SYS_close 3
#define SYS_getpid 39
#define SYS_gettid 186
#define SYS_uname 63
#define SYS_brk 12
#define SYS_munmap 11
#define SYS_mmap 9
#define SYS_mprotect 10
#define SYS_clock_gettime 228
#define SYS_getrandom 318
#define SYS_pipe2 293
#define SYS_exit_group 231
__asm__(".globl _start\n_start:\n mov %rsp, %rdi\n and $-16, %rsp\n call start_with_stack\n");

static inline long syscall6(long number, word a, word b, word c, word d, word e, word f) {
    long result;
    register word r10 __asm__("r10") = d;
    register word r8 __asm__("r8") = e;
    register word r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#else
#error "no start routine for this architecture"
#endif

#define syscall3(number, a, b, c) syscall6(number, (word)(a), (word)(b), (word)(c), 0, 0, 0)

static inline word string_length(const char *text) {
    word length = 0;
    while (text[length] != 0) {
        length++;
    }
    return length;
}

static inline void print(const char *text) {
    syscall3(SYS_write, 1, text, string_length(text));
}

static inline void print_number(word value) {
    char digits[24];
    word at = sizeof digits;
    digits[--at] = 0;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    print(digits + at);
}

int bare_main(word argc, char **argv, char **envp, word *auxv);

/* Called by _start with the initial stack pointer: argc, argv, a null, envp, a null, auxv. */
__attribute__((used, noreturn)) static void start_with_stack(word *stack) {
    word argc = stack[0];
    char **argv = (char **)(stack + 1);
    char **envp = argv + argc + 1;
    char **end = envp;
    while (*end != 0) {
        end++;
    }
    int status = bare_main(argc, argv, envp, (word *)(end + 1));
    for (;;) {
        syscall3(SYS_exit_group, status, 0, 0);
    }
}

#endif
