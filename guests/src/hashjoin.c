/* A hash join: two tables of rows, partitioned by hash, joined partition by partition, aggregated by group. */
#define KERNEL_NAME "hashjoin"
#define KERNEL_ROUNDS 500
#include "lib/kernel.h"

#define ORDERS 60000
#define CUSTOMERS 8000
#define PARTITIONS 16
#define BUCKETS 1024
#define GROUPS 64

struct order {
    uint32_t customer, amount;
};

struct customer {
    uint32_t key, group;
    int32_t next;
};

static struct order orders[ORDERS], parted_orders[ORDERS];
static struct customer customers[CUSTOMERS], parted_customers[CUSTOMERS];
static uint32_t order_starts[PARTITIONS + 1], customer_starts[PARTITIONS + 1];
static uint64_t totals[GROUPS];

static uint32_t hash(uint32_t key) {
    key ^= key >> 16;
    key *= 0x7feb352du;
    key ^= key >> 15;
    key *= 0x846ca68bu;
    return key ^ key >> 16;
}

static void starts_from(uint32_t *starts, const uint32_t *counts) {
    starts[0] = 0;
    for (int i = 0; i < PARTITIONS; i++) starts[i + 1] = starts[i] + counts[i];
}

static NOINLINE void partition(void) {
    uint32_t counts[PARTITIONS] = {0}, at[PARTITIONS];
    for (int i = 0; i < ORDERS; i++) counts[hash(orders[i].customer) % PARTITIONS]++;
    starts_from(order_starts, counts);
    memcpy(at, order_starts, sizeof at);
    for (int i = 0; i < ORDERS; i++) parted_orders[at[hash(orders[i].customer) % PARTITIONS]++] = orders[i];
    memset(counts, 0, sizeof counts);
    for (int i = 0; i < CUSTOMERS; i++) counts[hash(customers[i].key) % PARTITIONS]++;
    starts_from(customer_starts, counts);
    memcpy(at, customer_starts, sizeof at);
    for (int i = 0; i < CUSTOMERS; i++) parted_customers[at[hash(customers[i].key) % PARTITIONS]++] = customers[i];
}

static NOINLINE uint64_t join(int part) {
    int32_t heads[BUCKETS];
    uint64_t matches = 0;
    memset(heads, -1, sizeof heads);
    for (uint32_t i = customer_starts[part]; i < customer_starts[part + 1]; i++) {
        int32_t *head = &heads[hash(parted_customers[i].key) / PARTITIONS % BUCKETS];
        parted_customers[i].next = *head;
        *head = (int32_t)i;
    }
    for (uint32_t i = order_starts[part]; i < order_starts[part + 1]; i++) {
        uint32_t key = parted_orders[i].customer;
        for (int32_t at = heads[hash(key) / PARTITIONS % BUCKETS]; at >= 0; at = parted_customers[at].next) {
            if (parted_customers[at].key != key) continue;
            totals[parted_customers[at].group] += parted_orders[i].amount;
            matches++;
        }
    }
    return matches;
}

static uint64_t kernel(uint64_t rounds) {
    uint64_t random = 123459876, sum = 1;
    for (uint64_t round = 0; round < rounds; round++) {
        for (int i = 0; i < CUSTOMERS; i++) {
            uint64_t draw = next_random(&random) ^ sum;
            customers[i] = (struct customer){(uint32_t)i * 7 + (uint32_t)(draw & 3), (uint32_t)(draw >> 8) % GROUPS, -1};
        }
        for (int i = 0; i < ORDERS; i++) {
            uint64_t draw = next_random(&random);
            orders[i] = (struct order){(uint32_t)(draw % (CUSTOMERS * 7)), (uint32_t)(draw >> 40 & 1023)};
        }
        memset(totals, 0, sizeof totals);
        partition();
        uint64_t matches = 0;
        for (int part = 0; part < PARTITIONS; part++) matches += join(part);
        sum = fold(sum, matches);
        for (int i = 0; i < GROUPS; i++) sum = fold(sum, totals[i]);
    }
    return sum;
}
