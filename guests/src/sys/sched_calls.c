/* Scheduling: policies and priorities that need no rights, affinity, nice values, which processor, yielding, and random
 * bytes. sched_setscheduler(2), sched_setaffinity(2), getpriority(2), getcpu(2), getrandom(2). */
#include "../lib/sys.h"
#include <sys/random.h>

struct attributes { /* struct sched_attr, first version */
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

static void *own_affinity(void *argument) {
    cpu_set_t all, one;
    sched_getaffinity(0, sizeof all, &all);
    int cpu = 0;
    while (!CPU_ISSET(cpu, &all)) cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    int right = sched_setaffinity(0, sizeof one, &one) == 0;
    for (int i = 0; i < 100; i++) right &= sched_getcpu() == cpu, sched_yield();
    cpu_set_t now;
    right &= sched_getaffinity(0, sizeof now, &now) == 0 && CPU_EQUAL(&now, &one);
    *(int *)argument = right;
    return NULL;
}

static void changes(void) {
    struct sched_param parameter = {0};
    int usual = getpriority(PRIO_PROCESS, 0), wanted = usual + 2 > 19 ? 19 : usual + 2;
    CHECK(sched_setscheduler(0, SCHED_BATCH, &parameter) == 0 && sched_getscheduler(0) == SCHED_BATCH);
    CHECK(sched_setscheduler(0, SCHED_IDLE, &parameter) == 0 && sched_getscheduler(0) == SCHED_IDLE);
    CHECK(setpriority(PRIO_PROCESS, 0, wanted) == 0 && getpriority(PRIO_PROCESS, 0) == wanted);
    errno = 0;
    CHECK(nice(0) == wanted && errno == 0 && nice(100) == 19 && getpriority(PRIO_PROCESS, 0) == 19); /* cut to the range */
}

int main(void) {
    begin();
    struct sched_param parameter = {0};
    CHECK(sched_getscheduler(0) == SCHED_OTHER && sched_getparam(0, &parameter) == 0 && parameter.sched_priority == 0);
    CHECK(sched_get_priority_min(SCHED_FIFO) == 1 && sched_get_priority_max(SCHED_FIFO) == 99 && sched_get_priority_max(SCHED_OTHER) == 0);
    CHECK(FAILS(sched_get_priority_max(99), EINVAL) && FAILS(sched_getscheduler(-1), EINVAL) && FAILS(sched_getscheduler(0x3fffffff), ESRCH));
    CHECK(FAILS(sched_setscheduler(0, 99, &parameter), EINVAL));
    parameter.sched_priority = 5;
    CHECK(FAILS(sched_setscheduler(0, SCHED_OTHER, &parameter), EINVAL));
    struct timespec slice;
    CHECK(sched_rr_get_interval(0, &slice) == 0 && slice.tv_sec >= 0 && sched_yield() == 0);
    CHECK(exits_with(child(changes), 0) && sched_getscheduler(0) == SCHED_OTHER);
    struct attributes about = {0};
    CHECK(syscall(SYS_sched_getattr, 0, &about, sizeof about, 0) == 0 && about.size >= 48 && about.policy == SCHED_OTHER && about.nice == getpriority(PRIO_PROCESS, 0));
    CHECK(FAILS(syscall(SYS_sched_getattr, 0, &about, 8, 0), EINVAL));
    cpu_set_t all, after;
    CHECK(sched_getaffinity(0, sizeof all, &all) == 0 && CPU_COUNT(&all) >= 1 && sched_setaffinity(0, sizeof all, &all) == 0);
    CHECK(CPU_ISSET(sched_getcpu(), &all));
    int right = 0;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, own_affinity, &right) == 0 && pthread_join(thread, NULL) == 0 && right);
    CHECK(sched_getaffinity(0, sizeof after, &after) == 0 && CPU_EQUAL(&all, &after)); /* only that thread's */
    cpu_set_t none;
    CPU_ZERO(&none);
    CHECK(FAILS(sched_setaffinity(0, sizeof none, &none), EINVAL) && FAILS(sched_getaffinity(0, 1, &after), EINVAL));
    CHECK(syscall(SYS_sched_getaffinity, 0, sizeof all, &after) >= 8 && FAILS(sched_getaffinity(0x3fffffff, sizeof after, &after), ESRCH));
    unsigned cpu = 9999, node = 9999;
    CHECK(syscall(SYS_getcpu, &cpu, &node, NULL) == 0 && cpu < CPU_SETSIZE && node < 1024);
    CHECK(sysconf(_SC_NPROCESSORS_ONLN) >= 1 && getpriority(PRIO_PGRP, 0) >= -20 && FAILS(getpriority(9, 0), EINVAL) && FAILS(getpriority(PRIO_PROCESS, 0x3fffffff), ESRCH));

    static unsigned char a[100000], b[300];
    CHECK(getrandom(a, sizeof a, 0) == sizeof a && getrandom(b, 256, GRND_NONBLOCK) == 256);
    unsigned counts[256] = {0}, low = 0, high = 0;
    for (size_t i = 0; i < sizeof a; i++) counts[a[i]]++;
    for (int i = 0; i < 256; i++) low += counts[i] < 250, high += counts[i] > 550; /* 391 are expected, with a deviation of 20 */
    CHECK(low == 0 && high == 0 && memcmp(a, b, 256) != 0 && getrandom(a, 0, 0) == 0);
    CHECK(FAILS(getrandom(a, 10, 99), EINVAL) && FAILS(getrandom(a, 10, GRND_RANDOM | 4 /* GRND_INSECURE */), EINVAL));
    return finish("sched_calls");
}
