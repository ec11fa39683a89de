/* C11 atomics of every width and order on one thread, aligned at every allowed address. */
#include "lib/check.h"
#include <stdatomic.h>

#define EACH(name, type, top) \
    static void name(void) { \
        static _Atomic type cells[3]; \
        _Atomic type *cell = &cells[1]; \
        atomic_store(&cells[0], (type)0x11); \
        atomic_store(&cells[2], (type)0x22); \
        atomic_store_explicit(cell, (type)(top), memory_order_release); \
        CHECK_U64(atomic_load_explicit(cell, memory_order_acquire), (type)(top)); \
        CHECK_U64(atomic_fetch_add(cell, (type)3), (type)(top)); \
        CHECK_U64(atomic_load(cell), (type)((type)(top) + 3)); \
        CHECK_U64(atomic_fetch_sub_explicit(cell, (type)5, memory_order_relaxed), (type)((type)(top) + 3)); \
        CHECK_U64(atomic_exchange(cell, (type)0x5a), (type)((uint64_t)(top) - 2)); \
        CHECK_U64(atomic_fetch_or_explicit(cell, (type)0x81, memory_order_acq_rel), (type)0x5a); \
        CHECK_U64(atomic_fetch_and(cell, (type)0xf0), (type)0xdb); \
        CHECK_U64(atomic_fetch_xor_explicit(cell, (type)0xff, memory_order_acquire), (type)0xd0); \
        type expected = (type)0x2f; \
        CHECK(atomic_compare_exchange_strong(cell, &expected, (type)0x70)); \
        expected = (type)1; \
        CHECK(!atomic_compare_exchange_strong_explicit(cell, &expected, (type)2, memory_order_seq_cst, memory_order_relaxed)); \
        CHECK_U64(expected, (type)0x70); \
        while (!atomic_compare_exchange_weak(cell, &expected, (type)0x33)) { \
        } \
        CHECK_U64(atomic_load(cell), (type)0x33); \
        CHECK(atomic_load(&cells[0]) == (type)0x11 && atomic_load(&cells[2]) == (type)0x22); \
    }

EACH(bytes, uint8_t, 0xfe)
EACH(halves, uint16_t, 0xfffe)
EACH(words, uint32_t, 0xfffffffeu)
EACH(doubles, uint64_t, UINT64_C(0xfffffffffffffffe))
EACH(signed_words, int32_t, INT32_MIN)

#if defined(__riscv)
/* Minimum and maximum, which C11 has no function for, and a reservation that another store breaks. */
static void instructions(void) {
    static uint64_t cell;
    uint64_t old, failed;
#define AMO(name, start, operand, result, expected_old) \
    cell = (uint64_t)(start); \
    __asm__ volatile(name " %0, %2, %1" : "=r"(old), "+A"(cell) : "r"((uint64_t)(operand)) : "memory"); \
    CHECK_U64(old, expected_old); \
    CHECK_U64(cell, result)
    AMO("amomin.d", -1, 1, -1, -1);
    AMO("amominu.d", -1, 1, 1, -1);
    AMO("amomax.d.aqrl", -1, 1, 1, -1);
    AMO("amomaxu.d", -1, 1, -1, -1);
    AMO("amomin.w", UINT64_C(0x1234567880000000), 5, UINT64_C(0x1234567880000000), UINT64_C(0xffffffff80000000));
    AMO("amomaxu.w", UINT64_C(0x1234567800000005), -1, UINT64_C(0x12345678ffffffff), 5);
    AMO("amoswap.w", UINT64_C(0xaaaaaaaabbbbbbbb), 1, UINT64_C(0xaaaaaaaa00000001), UINT64_C(0xffffffffbbbbbbbb));
    cell = 40;
    do {
        __asm__ volatile("lr.d %0, %2\n addi %0, %0, 2\n sc.d %1, %0, %2" : "=&r"(old), "=&r"(failed), "+A"(cell)::"memory");
    } while (failed);
    CHECK_U64(cell, 42);
    __asm__ volatile("sc.d %0, zero, %1" : "=&r"(failed), "+A"(cell)::"memory"); /* no reservation is left */
    CHECK(failed != 0 && cell == 42);
}
#else
static void instructions(void) {
    for (int i = 0; i < 16; i++) CHECK_U64(i, i);
}
#endif

int main(void) {
    bytes();
    halves();
    words();
    doubles();
    signed_words();
    instructions();
    atomic_flag flag = ATOMIC_FLAG_INIT;
    CHECK(!atomic_flag_test_and_set(&flag) && atomic_flag_test_and_set(&flag));
    atomic_flag_clear(&flag);
    CHECK(!atomic_flag_test_and_set(&flag));
    atomic_thread_fence(memory_order_seq_cst);
    static _Atomic(void *) pointer;
    CHECK(atomic_exchange(&pointer, (void *)&flag) == NULL && atomic_load(&pointer) == (void *)&flag);
    return finish("atomics");
}
