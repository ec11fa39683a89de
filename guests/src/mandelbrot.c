/* Escape times of the Mandelbrot set: doubles in a short loop whose exit depends on them. */
#define KERNEL_NAME "mandelbrot"
#define KERNEL_ROUNDS 200
#include "lib/kernel.h"

#define SIDE 128
#define LIMIT 300

static NOINLINE unsigned escape(double cx, double cy) {
    double x = 0, y = 0;
    unsigned step = 0;
    while (step < LIMIT) {
        double xx = x * x, yy = y * y;
        if (xx + yy > 4.0) {
            break;
        }
        y = 2 * x * y + cy;
        x = xx - yy + cx;
        step++;
    }
    return step;
}

static uint64_t kernel(uint64_t rounds) {
    uint64_t sum = 1;
    for (uint64_t round = 0; round < rounds; round++) {
        double shift = (double)(sum & 255) / 65536.0;
        for (int row = 0; row < SIDE; row++) {
            uint64_t line = 0;
            for (int column = 0; column < SIDE; column++) {
                line += escape(-2.0 + shift + 2.5 * column / SIDE, -1.25 + 2.5 * row / SIDE);
            }
            sum = fold(sum, line);
        }
    }
    return sum;
}
