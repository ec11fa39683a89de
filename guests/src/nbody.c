/* Planets under gravity: doubles with products, differences, a square root and a quotient a pair. */
#define KERNEL_NAME "nbody"
#define KERNEL_ROUNDS 1400
#include "lib/kernel.h"
#include <math.h>

#define BODIES 5
#define STEPS_A_ROUND 10000

struct body {
    double x, y, z, vx, vy, vz, mass;
};

/* Made-up masses and orbits with well-separated distances, so that no step divides by a tiny number. */
static struct body bodies[BODIES] = {
    {0, 0, 0, 0, 0, 0, 39.5},
    {5.2, 0.3, -0.1, -0.02, 2.75, 0.01, 0.0375},
    {9.4, -1.1, 0.4, 0.2, 2.0, -0.06, 0.0112},
    {-12.6, 14.8, 0.2, -1.1, -0.98, 0.02, 0.0017},
    {15.1, -25.6, -0.3, 0.97, 0.58, -0.03, 0.002},
};

static NOINLINE void advance(double dt) {
    for (int i = 0; i < BODIES; i++) {
        struct body *a = &bodies[i];
        for (int j = i + 1; j < BODIES; j++) {
            struct body *b = &bodies[j];
            double dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z;
            double square = dx * dx + dy * dy + dz * dz;
            double pull = dt / (square * sqrt(square));
            a->vx -= dx * b->mass * pull;
            a->vy -= dy * b->mass * pull;
            a->vz -= dz * b->mass * pull;
            b->vx += dx * a->mass * pull;
            b->vy += dy * a->mass * pull;
            b->vz += dz * a->mass * pull;
        }
    }
    for (int i = 0; i < BODIES; i++) {
        bodies[i].x += dt * bodies[i].vx;
        bodies[i].y += dt * bodies[i].vy;
        bodies[i].z += dt * bodies[i].vz;
    }
}

static double energy(void) {
    double sum = 0;
    for (int i = 0; i < BODIES; i++) {
        struct body *a = &bodies[i];
        sum += 0.5 * a->mass * (a->vx * a->vx + a->vy * a->vy + a->vz * a->vz);
        for (int j = i + 1; j < BODIES; j++) {
            struct body *b = &bodies[j];
            double dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z;
            sum -= a->mass * b->mass / sqrt(dx * dx + dy * dy + dz * dz);
        }
    }
    return sum;
}

static uint64_t kernel(uint64_t rounds) {
    uint64_t sum = 1;
    for (uint64_t round = 0; round < rounds; round++) {
        for (int step = 0; step < STEPS_A_ROUND; step++) {
            advance(0.001);
        }
        sum = fold(sum, double_bits(energy()));
    }
    return sum;
}
