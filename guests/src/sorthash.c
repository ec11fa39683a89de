/* Sorting and a hash table: a heap sort and a quicksort of records, then open addressing with linear probing. */
#define KERNEL_NAME "sorthash"
#define KERNEL_ROUNDS 330
#include "lib/kernel.h"

#define RECORDS 20000
#define TABLE_SIZE 65536

struct record {
    uint64_t key;
    uint32_t value;
    uint32_t weight;
};

static struct record records[RECORDS], sorted[RECORDS];
static struct record table[TABLE_SIZE];

static void swap_records(struct record *a, struct record *b) {
    struct record old = *a;
    *a = *b;
    *b = old;
}

static NOINLINE void quicksort(struct record *first, int64_t count) {
    while (count > 12) {
        uint64_t pivot = first[count / 2].key;
        int64_t low = 0, high = count - 1;
        while (low <= high) {
            while (first[low].key < pivot) low++;
            while (first[high].key > pivot) high--;
            if (low <= high) {
                swap_records(&first[low++], &first[high--]);
            }
        }
        quicksort(first, high + 1);
        first += low;
        count -= low;
    }
    for (int64_t i = 1; i < count; i++) {
        for (int64_t j = i; j > 0 && first[j].key < first[j - 1].key; j--) {
            swap_records(&first[j], &first[j - 1]);
        }
    }
}

static NOINLINE void sift_down(struct record *heap, uint64_t at, uint64_t count) {
    for (;;) {
        uint64_t child = 2 * at + 1;
        if (child >= count) return;
        if (child + 1 < count && heap[child + 1].weight > heap[child].weight) child++;
        if (heap[at].weight >= heap[child].weight) return;
        swap_records(&heap[at], &heap[child]);
        at = child;
    }
}

static NOINLINE void heapsort(struct record *heap, uint64_t count) {
    for (uint64_t i = count / 2; i-- > 0;) {
        sift_down(heap, i, count);
    }
    for (uint64_t last = count; last-- > 1;) {
        swap_records(&heap[0], &heap[last]);
        sift_down(heap, 0, last);
    }
}

static uint64_t slot_of(uint64_t key) {
    return (key * UINT64_C(0xd6e8feb86659fd93)) >> 48;
}

static NOINLINE struct record *find(uint64_t key) {
    uint64_t at = slot_of(key);
    while (table[at].key != 0 && table[at].key != key) {
        at = (at + 1) % TABLE_SIZE;
    }
    return &table[at];
}

static uint64_t kernel(uint64_t rounds) {
    uint64_t random = 2463534242u;
    uint64_t sum = 1;
    for (uint64_t round = 0; round < rounds; round++) {
        for (int i = 0; i < RECORDS; i++) {
            records[i].key = (next_random(&random) ^ sum) | 1;
            records[i].value = (uint32_t)i;
            records[i].weight = (uint32_t)(records[i].key >> 32);
        }
        memcpy(sorted, records, sizeof sorted);
        quicksort(sorted, RECORDS);
        for (int i = 0; i < RECORDS; i += 97) {
            sum = fold(sum, sorted[i].value);
        }
        heapsort(sorted, RECORDS / 2);
        sum = fold(sum, sorted[RECORDS / 4].key);
        memset(table, 0, sizeof table);
        for (int i = 0; i < RECORDS; i++) {
            *find(records[i].key) = records[i];
        }
        uint64_t hits = 0;
        for (int i = 0; i < 2 * RECORDS; i++) {
            uint64_t key = i & 1 ? records[i / 2].key : records[i / 2].key + 2;
            hits += find(key)->key == key;
        }
        sum = fold(sum, hits);
    }
    return sum;
}
