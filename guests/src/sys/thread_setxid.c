/* A change of user or group is every thread's: the C library asks each by a signal of its own, which nobody else may take.
 * nptl(7), setresuid(2). */
#include "../lib/sys.h"

#define THREADS 4

static atomic_int ready, stop, changed;

static void *computes(void *argument) {
    ready++;
    while (!stop) sched_yield();
    return argument;
}

static void *changes(void *argument) {
    for (int i = 0; i < 50; i++) changed += setresgid(getgid(), (gid_t)-1, (gid_t)-1) == 0;
    return argument;
}

int main(void) {
    begin();
    pthread_t threads[THREADS], changer;
    uid_t user = getuid();
    gid_t group = getgid();
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, computes, NULL) == 0);
    while (ready < THREADS) sched_yield();
    for (int i = 0; i < 50; i++) CHECK(setresuid(user, user, user) == 0);
    CHECK(pthread_create(&changer, NULL, changes, NULL) == 0);
    for (int i = 0; i < 50; i++) CHECK(setresgid(group, group, group) == 0);
    CHECK(pthread_join(changer, NULL) == 0 && changed == 50);
    CHECK(getuid() == user && getgid() == group && geteuid() == user);
    stop = 1;
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    return finish("thread_setxid");
}
