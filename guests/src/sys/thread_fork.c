/* A process forked by one of several threads has only that thread, with its memory and locks as they were; it may start
 * threads itself. fork(2), pthread_atfork(3). */
#include "../lib/sys.h"
#include <dirent.h>

#define THREADS 6
#define FORKS 10

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static atomic_int stop, running;
static atomic_uint ticks;
static int prepared, in_parent, in_child;

static int tasks(void) {
    int count = 0;
    DIR *folder = opendir("/proc/self/task");
    for (struct dirent *entry; folder && (entry = readdir(folder));) count += entry->d_name[0] != '.';
    if (folder) closedir(folder);
    return count;
}

static void *busy(void *argument) {
    (void)argument;
    running++;
    while (!stop) {
        pthread_mutex_lock(&mutex);
        char *block = malloc(1000);
        if (block) memset(block, 1, 1000);
        ticks++;
        free(block);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void *adds(void *argument) {
    ++*(int *)argument;
    return NULL;
}

static void before(void) {
    pthread_mutex_lock(&mutex);
    prepared++;
}

static void parent_after(void) {
    in_parent++;
    pthread_mutex_unlock(&mutex);
}

static void child_after(void) {
    in_child++;
    pthread_mutex_unlock(&mutex);
}

static void forked(void) {
    unsigned before_wait = ticks;
    CHECK(in_child == 1 && gettid() == getpid() && tasks() == 1);
    sleep_ms(3);
    CHECK(ticks == before_wait);
    int sum = 0;
    for (int i = 0; i < 5; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, adds, &sum) == 0 && pthread_join(thread, NULL) == 0);
    }
    CHECK(sum == 5);
    free(malloc(5000));
}

static void *forks(void *argument) {
    long good = 0;
    for (unsigned i = 0; i < part_of(FORKS); i++) good += exits_with(child(forked), 0);
    return (void *)(good + (intptr_t)argument);
}

int main(void) {
    begin();
    CHECK(pthread_atfork(before, parent_after, child_after) == 0);
    pthread_t threads[THREADS], forker;
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, busy, NULL) == 0);
    while (running < THREADS) sched_yield();
    CHECK(exits_with(child(forked), 0));
    void *result = NULL;
    CHECK(pthread_create(&forker, NULL, forks, NULL) == 0 && pthread_join(forker, &result) == 0);
    CHECK_U64((intptr_t)result, part_of(FORKS));
    stop = 1;
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    int forked_in_all = (int)part_of(FORKS) + 1;
    CHECK(prepared == forked_in_all && in_parent == forked_in_all && in_child == 0 && ticks > 0);
    return finish("thread_fork");
}
