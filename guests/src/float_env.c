/* IEEE 754 results and sticky flags under the four rounding directions of C, printed by bits.
 * Operand pairs whose outcome IEEE 754 leaves open (which NaN comes out, out-of-range conversions) are in nan_bits.c. */
#include "lib/check.h"
#include <fenv.h>
#include <float.h>
#include <math.h>

static const double doubles[] = {
    0.0, -0.0, 1.0, -1.0, 3.0, 10.0, 0.1, -0.1, 1e300, -1e300, 1e-300, DBL_MAX, -DBL_MAX, DBL_MIN, -DBL_MIN,
    4.9406564584124654e-324, 2.2250738585072009e-308, 1.0000000000000002, 0.99999999999999989, 4503599627370496.5,
    9007199254740993.0, 123456789.125, INFINITY, -INFINITY,
};
static const float floats[] = {
    0.0f, -0.0f, 1.0f, -1.5f, 3.0f, 0.1f, 1e30f, -1e30f, 1e-30f, FLT_MAX, FLT_MIN, 1.40129846e-45f, 16777217.0f, 1.0000001f, INFINITY,
};
#define DOUBLES ((int)(sizeof doubles / sizeof *doubles))
#define FLOATS ((int)(sizeof floats / sizeof *floats))

static uint64_t bits64(double x) { uint64_t b; memcpy(&b, &x, sizeof b); return b; }
static uint32_t bits32(float x) { uint32_t b; memcpy(&b, &x, sizeof b); return b; }

/* Flags in an order of our own, since each architecture numbers them differently. */
static unsigned flags(void) {
    int raised = fetestexcept(FE_ALL_EXCEPT);
    return (raised & FE_INEXACT ? 1u : 0) | (raised & FE_UNDERFLOW ? 2u : 0) | (raised & FE_OVERFLOW ? 4u : 0) |
           (raised & FE_DIVBYZERO ? 8u : 0) | (raised & FE_INVALID ? 16u : 0);
}

static uint64_t sum;
static unsigned seen;

/* One result into the checksum; every NaN counts as the same. */
static void note(uint64_t bits, int is_nan) {
    unsigned raised = flags();
    seen |= raised;
    sum = (sum ^ (is_nan ? 0x7ff8 : bits)) * UINT64_C(0x9e3779b97f4a7c15);
    sum = (sum ^ (sum >> 31) ^ raised) * UINT64_C(0xd6e8feb86659fd93);
    feclearexcept(FE_ALL_EXCEPT);
}

#define NOTE_D(expression) do { volatile double r_ = (expression); note(bits64(r_), isnan(r_)); } while (0)
#define NOTE_F(expression) do { volatile float r_ = (expression); note(bits32(r_), isnan(r_)); } while (0)

static void arithmetic(void) {
    for (int i = 0; i < DOUBLES; i++) {
        for (int j = 0; j < DOUBLES; j++) {
            volatile double a = doubles[i], b = doubles[j];
            NOTE_D(a + b);
            NOTE_D(a - b);
            NOTE_D(a * b);
            NOTE_D(a / b);
            note((uint64_t)(a < b) | (uint64_t)(a == b) << 1 | (uint64_t)(a <= b) << 2, 0);
        }
        volatile double a = doubles[i];
        NOTE_D(__builtin_sqrt(a));
        NOTE_F((float)a);
        NOTE_D(-a);
        NOTE_D(__builtin_fabs(a));
        NOTE_D(__builtin_copysign(a, -2.0));
    }
    for (int i = 0; i < FLOATS; i++) {
        for (int j = 0; j < FLOATS; j++) {
            volatile float a = floats[i], b = floats[j];
            NOTE_F(a + b);
            NOTE_F(a - b);
            NOTE_F(a * b);
            NOTE_F(a / b);
        }
        volatile float a = floats[i];
        NOTE_F(__builtin_sqrtf(a));
        NOTE_D((double)a);
    }
}

static void fused(void) {
    for (int i = 0; i < DOUBLES; i++) {
        for (int j = 0; j < DOUBLES; j++) {
            volatile double a = doubles[i], b = doubles[j], c = doubles[(i + 5 * j) % DOUBLES];
            if (isinf(a) || isinf(b) || isinf(c)) {
                continue; /* fma in a C library may raise flags of its own there */
            }
            volatile double r = fma(a, b, c);
            feclearexcept(FE_ALL_EXCEPT); /* a software fma may differ in flags, never in the result */
            note(bits64(r), 0);
        }
    }
}

static void conversions(void) {
    static const int64_t integers[] = {0, 1, -1, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, 9007199254740993, -16777217, 4611686018427387905};
    for (int i = 0; i < 10; i++) {
        volatile int64_t x = integers[i];
        NOTE_D((double)x);
        NOTE_F((float)x);
        NOTE_D((double)(uint64_t)x);
        NOTE_F((float)(uint64_t)x);
        NOTE_D((double)(int32_t)x);
        NOTE_F((float)(uint32_t)x);
    }
    static const double small[] = {0.5, 1.5, -1.5, 2.5, -0.25, 2147483646.75, 123456.999, -0.0, 1e-310};
    for (int i = 0; i < 9; i++) {
        volatile double x = small[i];
        note((uint64_t)(int64_t)x, 0);
        note((uint64_t)(int64_t)(int32_t)x, 0);
        note((uint64_t)llrint(x), 0);
        volatile double rounded = rint(x);
        note(bits64(rounded), 0);
        volatile float y = (float)x;
        feclearexcept(FE_ALL_EXCEPT);
        note((uint64_t)(int64_t)y, 0);
    }
}

/* Values that can be told by hand: one operation, one direction, one result. */
static void by_hand(void) {
    volatile double one = 1, three = 3, tiny = DBL_MIN, huge = DBL_MAX, zero = 0;
    fesetround(FE_TONEAREST);
    CHECK_U64(bits64(one / three), UINT64_C(0x3fd5555555555555));
    fesetround(FE_UPWARD);
    CHECK_U64(bits64(one / three), UINT64_C(0x3fd5555555555556));
    CHECK_U64(bits64(huge * three), UINT64_C(0x7ff0000000000000));
    CHECK_U64(bits64(-huge * three), UINT64_C(0xffefffffffffffff));
    fesetround(FE_DOWNWARD);
    CHECK_U64(bits64(one / three), UINT64_C(0x3fd5555555555555));
    CHECK_U64(bits64(-one / three), UINT64_C(0xbfd5555555555556));
    CHECK_U64(bits64(huge * three), UINT64_C(0x7fefffffffffffff));
    CHECK_U64(bits64(one - one), UINT64_C(0x8000000000000000));
    fesetround(FE_TOWARDZERO);
    CHECK_U64(bits64(-one / three), UINT64_C(0xbfd5555555555555));
    CHECK_U64(bits64(-huge * three), UINT64_C(0xffefffffffffffff));
    fesetround(FE_TONEAREST);
    feclearexcept(FE_ALL_EXCEPT);
    volatile double r = one / zero;
    CHECK_U64(flags(), 8);
    feclearexcept(FE_ALL_EXCEPT);
    r = zero / zero;
    CHECK_U64(flags(), 16);
    feclearexcept(FE_ALL_EXCEPT);
    r = huge + huge;
    CHECK_U64(flags(), 5);
    feclearexcept(FE_ALL_EXCEPT);
    r = tiny / three;
    CHECK_U64(flags(), 3);
    feclearexcept(FE_ALL_EXCEPT);
    r = tiny / 2;
    CHECK_U64(flags(), 0); /* subnormal but exact */
    r = one / three;
    r = r + one;
    CHECK_U64(flags(), 1);
    CHECK(r > 1);
}

static void environment(void) {
    fenv_t saved;
    volatile double zero = 0, one = 1;
    feclearexcept(FE_ALL_EXCEPT);
    fesetround(FE_UPWARD);
    CHECK(feholdexcept(&saved) == 0);
    volatile double r = one / zero;
    (void)r;
    CHECK_U64(flags(), 8);
    CHECK(fesetenv(&saved) == 0);
    CHECK_U64(flags(), 0);
    CHECK(fegetround() == FE_UPWARD);
    feraiseexcept(FE_INEXACT | FE_INVALID);
    CHECK_U64(flags(), 17);
    fexcept_t kept;
    fegetexceptflag(&kept, FE_ALL_EXCEPT);
    feclearexcept(FE_INVALID);
    CHECK_U64(flags(), 1);
    fesetexceptflag(&kept, FE_ALL_EXCEPT);
    CHECK_U64(flags(), 17);
    fesetenv(FE_DFL_ENV);
    CHECK_U64(flags(), 0);
    CHECK(fegetround() == FE_TONEAREST);
}

int main(void) {
    static const int directions[] = {FE_TONEAREST, FE_TOWARDZERO, FE_UPWARD, FE_DOWNWARD};
    static const char *const names[] = {"nearest", "zero", "up", "down"};
    for (int i = 0; i < 4; i++) {
        sum = 1;
        seen = 0;
        fesetround(directions[i]);
        feclearexcept(FE_ALL_EXCEPT);
        CHECK(fegetround() == directions[i]);
        arithmetic();
        uint64_t first = sum;
        conversions();
        uint64_t second = sum;
        fused();
        int same = fegetround() == directions[i];
        fesetround(FE_TONEAREST);
        CHECK(same);
        printf("%s: %016" PRIx64 " %016" PRIx64 " %016" PRIx64 " flags seen %u\n", names[i], first, second, sum, seen);
    }
    by_hand();
    fesetround(FE_TONEAREST);
    environment();
    return finish("float_env");
}
