/* Longer floating-point work with results printed by bits: Gaussian elimination, a fast Fourier transform with its own
 * sine, Newton's method, sums in single precision, Horner's rule with fma. */
#include "lib/check.h"
#include <math.h>

static uint64_t bits64(double x) { uint64_t b; memcpy(&b, &x, sizeof b); return b; }

static void eliminate(void) {
    enum { N = 24 };
    static double m[N][N + 1];
    uint32_t seed = 5;
    for (int i = 0; i < N; i++) {
        for (int j = 0; j <= N; j++) {
            seed = seed * 1664525u + 1013904223u;
            m[i][j] = (double)(int32_t)seed / 2147483648.0 + (i == j ? 4 : 0);
        }
    }
    for (int k = 0; k < N; k++) {
        int pivot = k;
        for (int i = k + 1; i < N; i++) if (fabs(m[i][k]) > fabs(m[pivot][k])) pivot = i;
        for (int j = k; j <= N; j++) { double t = m[k][j]; m[k][j] = m[pivot][j]; m[pivot][j] = t; }
        for (int i = k + 1; i < N; i++) {
            double f = m[i][k] / m[k][k];
            for (int j = k; j <= N; j++) m[i][j] -= f * m[k][j];
        }
    }
    double x[N];
    for (int i = N - 1; i >= 0; i--) {
        double s = m[i][N];
        for (int j = i + 1; j < N; j++) s -= m[i][j] * x[j];
        x[i] = s / m[i][i];
    }
    for (int i = 0; i < N; i += 5) printf("x[%d] %016" PRIx64 "\n", i, bits64(x[i]));
}

/* Sine by its series; the argument is from -4 to 4. */
static double sine(double x) {
    double term = x, sum = x;
    for (int k = 1; k < 20; k++) {
        term = -term * x * x / ((2 * k) * (2 * k + 1));
        sum += term;
    }
    return sum;
}

static void transform(void) {
    enum { N = 256 };
    static double re[N], im[N];
    const double pi = 3.14159265358979323846;
    for (int i = 0; i < N; i++) { re[i] = (i * 37 % 101) / 101.0; im[i] = 0; }
    for (int i = 1, j = 0; i < N; i++) {
        int bit = N >> 1;
        for (; j & bit; bit >>= 1) j ^= bit;
        j ^= bit;
        if (i < j) { double t = re[i]; re[i] = re[j]; re[j] = t; }
    }
    for (int length = 2; length <= N; length <<= 1) {
        for (int start = 0; start < N; start += length) {
            for (int k = 0; k < length / 2; k++) {
                double angle = -2 * pi * k / length, s = sine(angle), c = sine(angle + pi / 2);
                int a = start + k, b = a + length / 2;
                double r = re[b] * c - im[b] * s, i = re[b] * s + im[b] * c;
                re[b] = re[a] - r; im[b] = im[a] - i;
                re[a] += r; im[a] += i;
            }
        }
    }
    uint64_t sum = 0;
    for (int i = 0; i < N; i++) sum = (sum ^ bits64(re[i])) * UINT64_C(0x9e3779b97f4a7c15) ^ bits64(im[i]);
    printf("transform %016" PRIx64 "\n", sum);
}

static void singles(void) {
    float sum = 0, product = 1, lost = 0;
    for (int i = 1; i <= 100000; i++) {
        float x = 1.0f / (float)i, y = x - lost, t = sum + y;
        lost = (t - sum) - y;
        sum = t;
        product *= 1.0f + x * x;
    }
    printf("singles %a %a\n", (double)sum, (double)product);
    double root = 1;
    for (int i = 0; i < 8; i++) root = (root + 2 / root) / 2;
    printf("newton %016" PRIx64 "\n", bits64(root));
    CHECK_U64(bits64(sqrt(OPAQUE(double, 2.0))), UINT64_C(0x3ff6a09e667f3bcd)); /* the square root of two, rounded to nearest */
    double horner = 1;
    for (int i = 20; i > 0; i--) horner = fma(horner, 1.0 / i, 1.0);
    printf("horner %016" PRIx64 "\n", bits64(horner));
    /* An fma rounds once: 2^-53 survives, where a product and a sum lose it. */
    CHECK_U64(bits64(fma(OPAQUE(double, 1 + 0x1p-52), OPAQUE(double, 1 - 0x1p-52), OPAQUE(double, -1.0))), bits64(-0x1p-104));
}

int main(void) {
    eliminate();
    transform();
    singles();
    return finish("float_kernels");
}
