/* Code written at run time and changed again, through a writable and executable mapping and through mprotect. */
#define _GNU_SOURCE
#include "lib/check.h"
#include <sys/mman.h>
#include <unistd.h>

typedef int64_t function(int64_t);

/* Writes a function that returns its argument plus `value`, which is from -2048 to 2047; returns its size. */
static size_t emit_add(unsigned char *at, int value) {
#if defined(__riscv)
    uint32_t code[2] = {(uint32_t)value << 20 | 10 << 15 | 10 << 7 | 0x13, 0x00008067}; /* addi a0, a0, value; ret */
#elif defined(__aarch64__)
    uint32_t code[2] = {value >= 0 ? 0x91000000u | (uint32_t)value << 10 : 0xd1000000u | (uint32_t)-value << 10, 0xd65f03c0};
#else
    unsigned char code[8] = {0x48, 0x8d, 0x87, 0, 0, 0, 0, 0xc3}; /* lea value(%rdi), %rax; ret */
    memcpy(code + 3, &value, 4);
#endif
    memcpy(at, code, sizeof code);
    __builtin___clear_cache((char *)at, (char *)at + sizeof code);
    return sizeof code;
}

int main(void) {
    unsigned char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return 1;
    int right = 1;
    for (int i = -500; i < 500; i++) { /* one place, a thousand versions */
        emit_add(page, i);
        right &= ((function *)page)(1000) == 1000 + i;
    }
    CHECK(right);
    right = 1;
    for (int i = 0; i < 3; i++) { /* long enough at each version for it to be compiled */
        emit_add(page, i);
        int64_t sum = 0;
        for (int64_t k = 0; k < 20000; k++) sum = ((function *)page)(sum);
        right &= sum == 20000 * i;
    }
    CHECK(right);
    size_t size = emit_add(page, 0), count = 2048 / size; /* small enough for the immediate */
    for (size_t i = 0; i < count; i++) emit_add(page + 4096 + i * size, (int)i);
    int64_t total = 0;
    for (size_t i = 0; i < count; i++) total = ((function *)(page + 4096 + i * size))(total);
    CHECK_U64(total, count * (count - 1) / 2);
    /* Writable or executable, never both. */
    right = 1;
    for (int i = 0; i < 50; i++) {
        right &= mprotect(page, 4096, PROT_READ | PROT_WRITE) == 0;
        emit_add(page, i * 3);
        right &= mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0;
        right &= ((function *)page)(5) == 5 + i * 3;
    }
    CHECK(right);
    /* A fresh mapping at an address that held other code. */
    void *again = mmap(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    CHECK(again == page);
    emit_add(page, 77);
    CHECK_U64(((function *)page)(1), 78);
    /* Code that is moved. */
    unsigned char *other = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(other, page, size);
    __builtin___clear_cache((char *)other, (char *)other + size);
    CHECK_U64(((function *)other)(2), 79);
#if defined(__riscv)
    uint32_t word = (uint32_t)33 << 20 | 10 << 15 | 10 << 7 | 0x13;
    *(volatile uint32_t *)page = word;
    __asm__ volatile("fence.i" ::: "memory");
    CHECK_U64(((function *)page)(1), 34);
#else
    CHECK_U64(1, 1);
#endif
    CHECK(munmap(page, 8192) == 0 && munmap(other, 4096) == 0);
    return finish("codegen");
}
