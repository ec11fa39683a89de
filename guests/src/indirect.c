/* Indirect calls: objects with tables of methods, and a pipeline of function pointers chosen by data. */
#define KERNEL_NAME "indirect"
#define KERNEL_ROUNDS 1200000
#include "lib/kernel.h"

struct shape;

struct methods {
    uint64_t (*area)(const struct shape *);
    uint64_t (*grow)(struct shape *, uint64_t);
};

struct shape {
    const struct methods *methods;
    uint64_t width, height;
};

static uint64_t rectangle_area(const struct shape *s) { return s->width * s->height; }
static uint64_t triangle_area(const struct shape *s) { return s->width * s->height / 2; }
static uint64_t frame_area(const struct shape *s) { return 2 * (s->width + s->height); }
static uint64_t point_area(const struct shape *s) { return s->width ^ s->height; }

static uint64_t grow_both(struct shape *s, uint64_t by) {
    s->width = (s->width + by) & 1023;
    s->height = (s->height + 1) & 1023;
    return s->width;
}

static uint64_t grow_turned(struct shape *s, uint64_t by) {
    uint64_t old = s->width;
    s->width = (s->height + by) & 1023;
    s->height = old;
    return old;
}

static const struct methods kinds[4] = {
    {rectangle_area, grow_both},
    {triangle_area, grow_turned},
    {frame_area, grow_both},
    {point_area, grow_turned},
};

static uint64_t step_add(uint64_t x) { return x + 0x1234567; }
static uint64_t step_xor(uint64_t x) { return x ^ (x >> 11); }
static uint64_t step_turn(uint64_t x) { return (x << 13) | (x >> 51); }
static uint64_t step_scale(uint64_t x) { return x * 25; }
static uint64_t step_flip(uint64_t x) { return ~x; }
static uint64_t step_drop(uint64_t x) { return x - (x >> 3); }
static uint64_t step_odd(uint64_t x) { return x | 1; }
static uint64_t step_keep(uint64_t x) { return x; }

static uint64_t (*const volatile steps[8])(uint64_t) = {
    step_add, step_xor, step_turn, step_scale, step_flip, step_drop, step_odd, step_keep,
};

#define SHAPES 128

static uint64_t kernel(uint64_t rounds) {
    static struct shape shapes[SHAPES];
    uint64_t random = 88172645463325252u;
    for (int i = 0; i < SHAPES; i++) {
        shapes[i].methods = &kinds[next_random(&random) & 3];
        shapes[i].width = next_random(&random) & 255;
        shapes[i].height = next_random(&random) & 255;
    }
    uint64_t sum = 3;
    for (uint64_t round = 0; round < rounds; round++) {
        for (int i = 0; i < SHAPES; i++) {
            struct shape *s = &shapes[i];
            sum += s->methods->area(s);
            sum ^= s->methods->grow(s, sum & 15);
        }
        for (int i = 0; i < SHAPES; i++) {
            sum = steps[(i ^ (i >> 2)) & 7](sum);
        }
    }
    return fold(sum, rounds);
}
