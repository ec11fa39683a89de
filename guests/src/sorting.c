/* qsort, bsearch and the search structures of the C library: callbacks from the library into the program. */
#define _GNU_SOURCE
#include "lib/check.h"
#include <search.h>
#include <stdlib.h>

struct item {
    uint32_t key;
    uint32_t order;
    char name[12];
};

static unsigned calls;

static int by_key(const void *a, const void *b) {
    const struct item *x = a, *y = b;
    calls++;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }
static int by_double(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static int with_context(const void *a, const void *b, void *context) {
    return *(const int *)context * (*(const int *)a - *(const int *)b);
}
static int by_value(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static unsigned visited;
static void visit(const void *node, VISIT when, int depth) {
    (void)node;
    (void)depth;
    visited += when == postorder || when == leaf;
}

static void keep(void *node) { (void)node; }

int main(void) {
    static struct item items[3000];
    uint32_t seed = 17;
    for (uint32_t i = 0; i < 3000; i++) {
        seed = seed * 1664525u + 1013904223u;
        items[i].key = seed >> 20;
        items[i].order = i;
        snprintf(items[i].name, sizeof items[i].name, "n%u", (unsigned)i);
    }
    qsort(items, 3000, sizeof *items, by_key);
    int sorted = 1;
    for (int i = 1; i < 3000; i++) sorted &= by_key(&items[i - 1], &items[i]) < 0;
    CHECK(sorted && calls > 3000);
    int found = 1;
    for (int i = 0; i < 3000; i += 7) {
        struct item wanted = items[i];
        found &= bsearch(&wanted, items, 3000, sizeof *items, by_key) == &items[i];
    }
    struct item missing = {5000, 0, ""};
    CHECK(found && bsearch(&missing, items, 3000, sizeof *items, by_key) == NULL);
    const char *words[] = {"pear", "apple", "fig", "banana", "cherry", "date", "elder", "grape"};
    qsort(words, 8, sizeof *words, by_text);
    for (int i = 0; i < 8; i++) printf("%s ", words[i]);
    double numbers[] = {3.5, -1e300, 0.0, 1e-300, -2.5, 1e300, 42};
    qsort(numbers, 7, sizeof *numbers, by_double);
    for (int i = 0; i < 7; i++) printf("%g ", numbers[i]);
    int values[] = {5, 3, 9, 1, 7}, direction = -1;
    qsort_r(values, 5, sizeof *values, with_context, &direction);
    for (int i = 0; i < 5; i++) printf("%d ", values[i]);
    printf("\n");
    void *root = NULL;
    static int keys[500];
    for (int i = 0; i < 500; i++) {
        keys[i] = i * 37 % 251;
        tsearch(&keys[i], &root, by_value);
    }
    twalk(root, visit);
    CHECK_U64(visited, 251);
    int key = 100, absent = 300;
    CHECK(tfind(&key, &root, by_value) != NULL && tfind(&absent, &root, by_value) == NULL);
    tdestroy(root, keep);
    CHECK(hcreate(64) != 0);
    hsearch((ENTRY){.key = "one", .data = "1"}, ENTER);
    ENTRY *entry = hsearch((ENTRY){.key = "one", .data = NULL}, FIND);
    CHECK(entry && strcmp(entry->data, "1") == 0 && hsearch((ENTRY){.key = "two", .data = NULL}, FIND) == NULL);
    hdestroy();
    return finish("sorting");
}
