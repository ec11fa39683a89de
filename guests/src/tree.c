/* Binary search trees whose nodes come from malloc: insert, look up, remove, free. */
#define KERNEL_NAME "tree"
#define KERNEL_ROUNDS 280
#include "lib/kernel.h"

#define KEYS 12000

struct tree {
    struct tree *left, *right;
    uint64_t key;
    uint64_t payload[];
};

static struct tree *make(uint64_t key) {
    uint64_t words = 1 + key % 5;
    struct tree *node = malloc(sizeof *node + words * sizeof(uint64_t));
    if (!node) {
        abort();
    }
    node->left = node->right = NULL;
    node->key = key;
    node->payload[words - 1] = key ^ words;
    return node;
}

static NOINLINE void insert(struct tree **root, uint64_t key) {
    while (*root) {
        if ((*root)->key == key) {
            return;
        }
        root = key < (*root)->key ? &(*root)->left : &(*root)->right;
    }
    *root = make(key);
}

static NOINLINE int remove_key(struct tree **root, uint64_t key) {
    while (*root && (*root)->key != key) {
        root = key < (*root)->key ? &(*root)->left : &(*root)->right;
    }
    struct tree *node = *root;
    if (!node) {
        return 0;
    }
    if (!node->left) {
        *root = node->right;
    } else if (!node->right) {
        *root = node->left;
    } else {
        struct tree **least = &node->right;
        while ((*least)->left) {
            least = &(*least)->left;
        }
        struct tree *heir = *least;
        *least = heir->right;
        heir->left = node->left;
        heir->right = node->right;
        *root = heir;
    }
    free(node);
    return 1;
}

static NOINLINE uint64_t walk(const struct tree *node, uint64_t depth) {
    if (!node) {
        return depth;
    }
    uint64_t words = 1 + node->key % 5;
    return walk(node->left, depth + 1) + walk(node->right, depth + 1) + (node->payload[words - 1] & 0xff);
}

static NOINLINE void free_all(struct tree *node) {
    if (node) {
        free_all(node->left);
        free_all(node->right);
        free(node);
    }
}

static uint64_t kernel(uint64_t rounds) {
    uint64_t sum = 1;
    for (uint64_t round = 0; round < rounds; round++) {
        struct tree *root = NULL;
        uint64_t random = sum | 1;
        for (int i = 0; i < KEYS; i++) {
            insert(&root, next_random(&random) % 100000);
        }
        uint64_t removed = 0;
        for (int i = 0; i < KEYS; i++) {
            removed += (uint64_t)remove_key(&root, next_random(&random) % 100000);
        }
        sum = fold(sum, removed);
        sum = fold(sum, walk(root, 0));
        free_all(root);
    }
    return sum;
}
