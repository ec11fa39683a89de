/* Integer arithmetic at its edges: division and remainder of extremes, shifts, products, carries, narrow types.
 * Expected values are computed by hand from the definition of the operation in C, or of the instruction for riscv64. */
#include "lib/check.h"
#include <limits.h>

#define S64(value) OPAQUE(int64_t, value)
#define U64(value) OPAQUE(uint64_t, value)
#define S32(value) OPAQUE(int32_t, value)
#define U32(value) OPAQUE(uint32_t, value)

static void division(void) {
    CHECK_U64(S64(INT64_MIN) / S64(2), UINT64_C(0xc000000000000000));
    CHECK_U64(S64(INT64_MIN) % S64(3), (uint64_t)-2);
    CHECK_U64(S64(-7) / S64(2), (uint64_t)-3);
    CHECK_U64(S64(-7) % S64(2), (uint64_t)-1);
    CHECK_U64(S64(7) / S64(-2), (uint64_t)-3);
    CHECK_U64(S64(7) % S64(-2), 1);
    CHECK_U64(U64(UINT64_MAX) / U64(10), UINT64_C(1844674407370955161));
    CHECK_U64(U64(UINT64_MAX) % U64(10), 5);
    CHECK_U64(U64(INT64_MIN) / U64(UINT64_MAX), 0);
    CHECK_U64(U64(UINT64_MAX) / U64(UINT64_MAX), 1);
    CHECK_U64((int64_t)(S32(INT32_MIN) / S32(7)), (uint64_t)-306783378);
    CHECK_U64((int64_t)(S32(INT32_MIN) % S32(7)), (uint64_t)-2);
    CHECK_U64(U32(UINT32_MAX) / U32(3), 0x55555555);
    CHECK_U64(U32(UINT32_MAX) % U32(16), 15);
    CHECK_U64(S64(INT64_MIN) / S64(INT64_MIN), 1);
    CHECK_U64(S64(INT64_MAX) / S64(-1), UINT64_C(0x8000000000000001));
    unsigned __int128 wide = ((unsigned __int128)U64(1) << 100) + 12345;
    CHECK_U64(wide / U64(1000000007), UINT64_C(13271994342425752125)); /* low half */
    CHECK_U64(wide % U64(97), 42);
}

#if defined(__riscv)
#define DIVIDE(instruction, a, b) \
    ({ uint64_t result_; __asm__ volatile(instruction " %0, %1, %2" : "=r"(result_) : "r"((uint64_t)(a)), "r"((uint64_t)(b))); result_; })
#else
/* What the riscv64 instruction gives where C leaves the result undefined, so that counts agree. */
#define DIVIDE(instruction, a, b) riscv_result(instruction, (uint64_t)(a), (uint64_t)(b))
static uint64_t riscv_result(const char *name, uint64_t a, uint64_t b) {
    int word = name[strlen(name) - 1] == 'w', rem = name[0] == 'r', is_unsigned = strchr(name, 'u') != NULL;
    uint64_t narrow = word ? (uint64_t)(int64_t)(int32_t)a : a;
    if ((word ? (uint32_t)b : b) == 0) {
        return rem ? narrow : UINT64_MAX;
    }
    return is_unsigned || rem ? 0 : narrow; /* overflow: the most negative number divided by minus one */
}
#endif

static void division_without_traps(void) {
    CHECK_U64(DIVIDE("div", 5, 0), UINT64_MAX);
    CHECK_U64(DIVIDE("divu", 5, 0), UINT64_MAX);
    CHECK_U64(DIVIDE("rem", -5, 0), (uint64_t)-5);
    CHECK_U64(DIVIDE("remu", 5, 0), 5);
    CHECK_U64(DIVIDE("divw", 5, 0), UINT64_MAX);
    CHECK_U64(DIVIDE("divuw", 5, 0), UINT64_MAX);
    CHECK_U64(DIVIDE("remw", INT64_C(0x180000000), 0), UINT64_C(0xffffffff80000000));
    CHECK_U64(DIVIDE("remuw", INT64_C(0x180000000), 0), UINT64_C(0xffffffff80000000));
    CHECK_U64(DIVIDE("div", INT64_MIN, -1), UINT64_C(0x8000000000000000));
    CHECK_U64(DIVIDE("rem", INT64_MIN, -1), 0);
    CHECK_U64(DIVIDE("divw", INT32_MIN, -1), UINT64_C(0xffffffff80000000));
    CHECK_U64(DIVIDE("remw", INT32_MIN, -1), 0);
    CHECK_U64(DIVIDE("divw", INT64_C(0x500000000), INT64_C(0x700000000)), UINT64_MAX);
}

static void products(void) {
    CHECK_U64(S64(INT64_MIN) * (uint64_t)S64(-1), UINT64_C(0x8000000000000000));
    CHECK_U64((uint64_t)(((__int128)S64(INT64_MIN) * S64(INT64_MIN)) >> 64), UINT64_C(0x4000000000000000));
    CHECK_U64((uint64_t)(((__int128)S64(-1) * S64(1)) >> 64), UINT64_MAX);
    CHECK_U64((uint64_t)(((unsigned __int128)U64(UINT64_MAX) * U64(UINT64_MAX)) >> 64), UINT64_MAX - 1);
    CHECK_U64(U64(UINT64_MAX) * U64(UINT64_MAX), 1);
    CHECK_U64((uint64_t)(((__int128)S64(-1) * (__int128)U64(UINT64_MAX)) >> 64), UINT64_MAX);
    CHECK_U64((int64_t)(int32_t)(U32(0x10001) * U32(0x10001)), 0x20001);
    CHECK_U64((int64_t)S32(-46341) * S32(46341), (uint64_t)INT64_C(-2147488281));
    CHECK_U64(U32(0xffffffff) * (uint64_t)U32(0xffffffff), UINT64_C(0xfffffffe00000001));
}

static void shifts(void) {
    for (int by = 0; by < 64; by++) {
        CHECK_U64(U64(1) << OPAQUE(int, by), (uint64_t)1 << by);
        CHECK_U64(S64(INT64_MIN) >> OPAQUE(int, by), ~(uint64_t)0 << (63 - by));
        CHECK_U64(U64(UINT64_MAX) >> OPAQUE(int, by), by == 0 ? UINT64_MAX : ((uint64_t)1 << (64 - by)) - 1);
    }
    for (int by = 0; by < 32; by++) {
        CHECK_U64(U32(0x80000001) << OPAQUE(int, by), by == 0 ? 0x80000001u : 1u << by);
        CHECK_U64((int64_t)(S32(INT32_MIN) >> OPAQUE(int, by)), ~(uint64_t)0 << (31 - by));
        CHECK_U64(U32(0x80000000) >> OPAQUE(int, by), 0x80000000u >> by);
        uint32_t x = U32(0x12345678);
        CHECK_U64((x << OPAQUE(int, by)) | (uint32_t)((uint64_t)x >> (32 - by)), (uint32_t)((UINT64_C(0x1234567812345678) << by) >> 32));
    }
}

static void narrow_types(void) {
    CHECK_U64((int64_t)(int8_t)S32(0x180), (uint64_t)-128);
    CHECK_U64((uint8_t)S32(-1), 255);
    CHECK_U64((int64_t)(int16_t)S32(0x18000), (uint64_t)-32768);
    CHECK_U64((uint16_t)S32(-2), 65534);
    CHECK_U64((int64_t)(int32_t)S64(0x1ffffffff), UINT64_MAX);
    CHECK_U64((uint32_t)S64(-1), UINT64_C(0xffffffff));
    CHECK_U64((uint64_t)U32(0x80000000), UINT64_C(0x80000000));
    CHECK_U64((int64_t)S32(INT32_MIN), UINT64_C(0xffffffff80000000));
    uint8_t sum8 = (uint8_t)(OPAQUE(uint8_t, 200) + OPAQUE(uint8_t, 100));
    CHECK_U64(sum8, 44);
    uint16_t product16 = (uint16_t)((unsigned)OPAQUE(uint16_t, 60000) * OPAQUE(uint16_t, 3));
    CHECK_U64(product16, 48928);
}

static void carries(void) {
    uint64_t sum;
    CHECK(__builtin_add_overflow(U64(UINT64_MAX), U64(1), &sum) && sum == 0);
    CHECK(!__builtin_add_overflow(U64(UINT64_MAX - 1), U64(1), &sum) && sum == UINT64_MAX);
    CHECK(__builtin_sub_overflow(U64(0), U64(1), &sum) && sum == UINT64_MAX);
    int64_t difference;
    CHECK(__builtin_add_overflow(S64(INT64_MAX), S64(1), &difference) && difference == INT64_MIN);
    CHECK(__builtin_sub_overflow(S64(INT64_MIN), S64(1), &difference) && difference == INT64_MAX);
    CHECK(__builtin_mul_overflow(S64(INT64_MAX), S64(2), &difference));
    CHECK(!__builtin_mul_overflow(S64(INT64_C(3037000499)), S64(INT64_C(3037000499)), &difference));
    CHECK_U64(difference, UINT64_C(9223372030926249001));
    int32_t word;
    CHECK(__builtin_add_overflow(S32(INT32_MAX), S32(1), &word) && word == INT32_MIN);
    CHECK(__builtin_mul_overflow(S32(65536), S32(32768), &word));
    unsigned __int128 wide = (unsigned __int128)U64(UINT64_MAX) + U64(UINT64_MAX);
    CHECK_U64(wide >> 64, 1);
    CHECK_U64(wide, UINT64_MAX - 1);
    wide -= U64(UINT64_MAX);
    wide -= U64(UINT64_MAX);
    wide -= 1;
    CHECK_U64(wide >> 64, UINT64_MAX);
}

static void bits(void) {
    CHECK_U64(__builtin_clzll(U64(1)), 63);
    CHECK_U64(__builtin_ctzll(U64(INT64_MIN)), 63);
    CHECK_U64(__builtin_popcountll(U64(0xf0f0f0f0f0f0f0f0)), 32);
    CHECK_U64(__builtin_clz(U32(0x00010000)), 15);
    CHECK_U64(__builtin_ctz(U32(0x00010000)), 16);
    CHECK_U64(__builtin_parityll(U64(0x8000000000000001)), 0);
    CHECK_U64(__builtin_bswap64(U64(0x0123456789abcdef)), UINT64_C(0xefcdab8967452301));
    CHECK_U64(__builtin_bswap32(U32(0x01234567)), 0x67452301);
    CHECK_U64(__builtin_ffsll(S64(0)), 0);
    CHECK_U64(S64(-5) < S64(3), 1);
    CHECK_U64(U64(-5) < U64(3), 0);
    CHECK_U64(S64(5) > S64(INT64_MIN), 1);
    CHECK_U64((S64(7) ^ S64(-1)) & ~S64(8), (uint64_t)-16);
}

int main(void) {
    division();
    division_without_traps();
    products();
    shifts();
    narrow_types();
    carries();
    bits();
    return finish("int_edges");
}
