// Kernels of the interpreter benchmark. `kernels.bin` is this file's code from address 0x10000, made by
//   riscv64-linux-gnu-gcc -O2 -march=rv64gc -mabi=lp64d -ffreestanding -nostdlib -static -ffp-contract=off
//     -fno-tree-loop-distribute-patterns -fno-inline -Wl,-Ttext=0x10000,-e,stop,--build-id=none kernels.c -o kernels.elf
//   riscv64-linux-gnu-objcopy -O binary -j .text -j .rodata kernels.elf kernels.bin
// The offsets in `src/lib.rs` are the symbols' (`riscv64-linux-gnu-nm kernels.elf`).
typedef unsigned long u64;
typedef unsigned int u32;
typedef unsigned char u8;

// Where a kernel returns to: a system call.
__asm__(".text\n.globl stop\nstop: ecall\n.balign 8\n");

// Shifts, exclusive ors, 32-bit arithmetic and a branch that nobody predicts.
u64 mix(u64 n) {
    u64 x = 0x1d872b41, s = 0;
    for (u64 i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        if (x & 8) s += x;
        else s ^= (u32)x * 5u;
    }
    return s;
}

// Byte loads and stores.
u64 sieve(u64 n, u8 *b) {
    u64 c = 0;
    for (u64 i = 0; i < n; i++) b[i] = 1;
    for (u64 i = 2; i < n; i++)
        if (b[i]) {
            c++;
            for (u64 j = i * 2; j < n; j += i) b[j] = 0;
        }
    return c;
}

// Calls and returns.
__attribute__((noinline, optimize("no-optimize-sibling-calls"))) u64 fib(u64 n) {
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

// Floating-point products and sums.
u64 dot(u64 n, double *a) {
    double s = 0;
    for (u64 i = 0; i < n; i++) a[i & 255] = (double)(long)i;
    for (u64 i = 0; i < n; i++) s += a[i & 255] * a[(i + 7) & 255] / 3;
    return (u64)(long)s;
}
