/* NaNs by their bits, and what riscv64 fixes where IEEE 754 leaves a choice: canonical NaNs, conversions out of range,
 * minima and maxima. Elsewhere than on riscv64 the same lines are printed from the expected values, so that outputs agree
 * exactly where the guest is right. Expected values: RISC-V unprivileged ISA, chapters "F" and "D". */
#include "lib/check.h"
#include <fenv.h>
#include <math.h>

static uint64_t bits64(double x) { uint64_t b; memcpy(&b, &x, sizeof b); return b; }
static uint32_t bits32(float x) { uint32_t b; memcpy(&b, &x, sizeof b); return b; }
static double double_of(uint64_t b) { double x; memcpy(&x, &b, sizeof x); return x; }
static float float_of(uint32_t b) { float x; memcpy(&x, &b, sizeof x); return x; }

#if defined(__riscv)
#define OP_D(instruction, a, b) \
    ({ double r_; __asm__ volatile(instruction " %0, %1, %2" : "=f"(r_) : "f"(double_of(a)), "f"(double_of(b))); bits64(r_); })
#define OP_S(instruction, a, b) \
    ({ float r_; __asm__ volatile(instruction " %0, %1, %2" : "=f"(r_) : "f"(float_of(a)), "f"(float_of(b))); bits32(r_); })
#define TO_INT(instruction, a) \
    ({ uint64_t r_; __asm__ volatile(instruction " %0, %1, rtz" : "=r"(r_) : "f"(double_of(a))); r_; })
#define FLAGS(expected) ({ uint64_t r_; __asm__ volatile("frflags %0\n fsflags zero" : "=r"(r_)); r_; })
#define EXPECT(actual, expected) (actual)
#else
#define OP_D(instruction, a, b) 0
#define OP_S(instruction, a, b) 0
#define TO_INT(instruction, a) 0
#define FLAGS(expected) (expected)
#define EXPECT(actual, expected) (expected)
#endif

#define SHOW(actual, expected, raised) \
    do { \
        uint64_t value_ = EXPECT(actual, expected), flags_ = FLAGS(raised); \
        CHECK_U64(value_, expected); \
        CHECK_U64(flags_, raised); \
        printf("%-48s %016" PRIx64 " %02" PRIx64 "\n", #actual, value_, flags_); \
    } while (0)

#define INF UINT64_C(0x7ff0000000000000)
#define QUIET UINT64_C(0x7ff8000000000000)
#define PAYLOAD UINT64_C(0xfff8000000001234)
#define SIGNALING UINT64_C(0x7ff0000000000001)
#define ONE UINT64_C(0x3ff0000000000000)
#define MINUS_ZERO UINT64_C(0x8000000000000000)
#define MINUS_ONE UINT64_C(0xbff0000000000000)
#define HUGE_NUMBER UINT64_C(0x43f0000000000000) /* 2^64 */
#define NV 16
#define NX 1

int main(void) {
    (void)FLAGS(0);
    SHOW(OP_D("fsub.d", INF, INF), QUIET, NV);
    SHOW(OP_D("fadd.d", PAYLOAD, ONE), QUIET, 0);
    SHOW(OP_D("fadd.d", SIGNALING, ONE), QUIET, NV);
    SHOW(OP_D("fmul.d", INF, MINUS_ZERO), QUIET, NV);
    SHOW(OP_D("fmin.d", PAYLOAD, ONE), ONE, 0);
    SHOW(OP_D("fmin.d", SIGNALING, ONE), ONE, NV);
    SHOW(OP_D("fmax.d", PAYLOAD, QUIET), QUIET, 0);
    SHOW(OP_D("fmin.d", 0, MINUS_ZERO), MINUS_ZERO, 0);
    SHOW(OP_D("fmax.d", MINUS_ZERO, 0), 0, 0);
    SHOW(OP_D("fsgnj.d", PAYLOAD, ONE), PAYLOAD & ~MINUS_ZERO, 0);
    SHOW(OP_D("fsgnjn.d", ONE, ONE), MINUS_ONE, 0);
    SHOW(OP_D("fsgnjx.d", MINUS_ONE, MINUS_ONE), ONE, 0);
    SHOW(OP_S("fsub.s", 0x7f800000, 0x7f800000), 0x7fc00000, NV);
    SHOW(OP_S("fadd.s", 0xffc01234, 0x3f800000), 0x7fc00000, 0);
    SHOW(OP_S("fmin.s", 0x7f800001, 0x3f800000), 0x3f800000, NV);
    SHOW(TO_INT("fcvt.w.d", QUIET), UINT64_C(0x7fffffff), NV);
    SHOW(TO_INT("fcvt.w.d", HUGE_NUMBER), UINT64_C(0x7fffffff), NV);
    SHOW(TO_INT("fcvt.w.d", INF | MINUS_ZERO), UINT64_C(0xffffffff80000000), NV);
    SHOW(TO_INT("fcvt.wu.d", MINUS_ONE), 0, NV);
    SHOW(TO_INT("fcvt.wu.d", INF), UINT64_MAX, NV);
    SHOW(TO_INT("fcvt.l.d", HUGE_NUMBER), UINT64_C(0x7fffffffffffffff), NV);
    SHOW(TO_INT("fcvt.l.d", PAYLOAD), UINT64_C(0x7fffffffffffffff), NV);
    SHOW(TO_INT("fcvt.lu.d", HUGE_NUMBER), UINT64_MAX, NV);
    SHOW(TO_INT("fcvt.lu.d", MINUS_ZERO), 0, 0);
    SHOW(TO_INT("fcvt.lu.d", UINT64_C(0xbfe0000000000000)), 0, NX); /* -0.5 */
    /* Moves keep every bit; narrow values in wide registers are boxed in ones. */
    volatile float narrow = float_of(0x7fa01234);
    CHECK_U64(bits32(narrow), 0x7fa01234);
    volatile double wide = double_of(SIGNALING);
    CHECK_U64(bits64(wide), SIGNALING);
    volatile double quiet = double_of(QUIET), one = 1;
    CHECK(isnan(quiet) && !(quiet == quiet) && !(quiet < one) && !(quiet > one) && (quiet != one));
    CHECK(fpclassify(double_of(1)) == FP_SUBNORMAL && fpclassify(double_of(INF)) == FP_INFINITE);
    CHECK(signbit(double_of(PAYLOAD)) && !signbit(double_of(QUIET)));
    return finish("nan_bits");
}
