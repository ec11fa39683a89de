/* Virtual calls: expression trees whose nodes answer through tables of methods, and a visitor that changes them. */
#define KERNEL_NAME "virtual"
#define KERNEL_ROUNDS 150000
#include "lib/kernel.h"

struct node;
struct visitor;

/* What every class of nodes has: like a C++ class with three virtual functions. */
struct class {
    int64_t (*value)(const struct node *, const int64_t *variables);
    void (*accept)(struct node *, struct visitor *);
    unsigned (*size)(const struct node *);
};

struct visitor {
    void (*leaf)(struct visitor *, struct node *);
    void (*pair)(struct visitor *, struct node *);
    uint64_t seen;
};

struct node {
    const struct class *class;
    struct node *left, *right;
    int64_t number;
};

static int64_t value_of(const struct node *n, const int64_t *variables) { return n->class->value(n, variables); }

static int64_t constant_value(const struct node *n, const int64_t *variables) { (void)variables; return n->number; }
static int64_t variable_value(const struct node *n, const int64_t *variables) { return variables[n->number & 7]; }
static int64_t sum_value(const struct node *n, const int64_t *v) {
    return (int64_t)((uint64_t)value_of(n->left, v) + (uint64_t)value_of(n->right, v));
}
static int64_t product_value(const struct node *n, const int64_t *v) {
    return (int64_t)((uint64_t)value_of(n->left, v) * (uint64_t)value_of(n->right, v));
}
static int64_t larger_value(const struct node *n, const int64_t *v) {
    int64_t a = value_of(n->left, v), b = value_of(n->right, v);
    return a > b ? a : b;
}
static int64_t choice_value(const struct node *n, const int64_t *v) {
    return v[n->number & 7] & 1 ? value_of(n->left, v) : value_of(n->right, v);
}

static void leaf_accept(struct node *n, struct visitor *v) { v->leaf(v, n); }
static void pair_accept(struct node *n, struct visitor *v) {
    v->pair(v, n);
    n->left->class->accept(n->left, v);
    n->right->class->accept(n->right, v);
}

static unsigned leaf_size(const struct node *n) { (void)n; return 1; }
static unsigned pair_size(const struct node *n) {
    return 1 + n->left->class->size(n->left) + n->right->class->size(n->right);
}

static const struct class classes[] = {
    {constant_value, leaf_accept, leaf_size}, {variable_value, leaf_accept, leaf_size},
    {sum_value, pair_accept, pair_size},      {product_value, pair_accept, pair_size},
    {larger_value, pair_accept, pair_size},   {choice_value, pair_accept, pair_size},
};

static void count_leaf(struct visitor *v, struct node *n) { v->seen += (uint64_t)n->number; }
static void count_pair(struct visitor *v, struct node *n) { v->seen ^= (uint64_t)n->number; }
static void turn_leaf(struct visitor *v, struct node *n) { n->number = (n->number * 5 + (int64_t)(v->seen++ & 3)) & 1023; }
static void turn_pair(struct visitor *v, struct node *n) {
    if (v->seen++ & 1) {
        struct node *old = n->left;
        n->left = n->right;
        n->right = old;
    }
}

#define NODES 127

static struct node nodes[NODES];

static uint64_t kernel(uint64_t rounds) {
    uint64_t random = 1234567891;
    for (int i = 0; i < NODES; i++) {
        int leaf = 2 * i + 2 >= NODES;
        nodes[i].class = &classes[leaf ? next_random(&random) % 2 : 2 + next_random(&random) % 4];
        nodes[i].left = leaf ? NULL : &nodes[2 * i + 1];
        nodes[i].right = leaf ? NULL : &nodes[2 * i + 2];
        nodes[i].number = (int64_t)(next_random(&random) & 1023);
    }
    struct visitor count = {count_leaf, count_pair, 0}, turn = {turn_leaf, turn_pair, 0};
    int64_t variables[8] = {3, 1, 4, 1, 5, 9, 2, 6};
    uint64_t sum = 5;
    for (uint64_t round = 0; round < rounds; round++) {
        variables[round & 7] = (int64_t)(sum >> 40);
        for (int i = 0; i < 4; i++) {
            struct node *at = &nodes[i];
            sum = fold(sum, (uint64_t)value_of(at, variables));
            sum += at->class->size(at);
        }
        nodes[0].class->accept(&nodes[0], &count);
        nodes[1].class->accept(&nodes[1], &turn);
        sum = fold(sum, count.seen);
    }
    return sum;
}
