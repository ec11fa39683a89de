/* Threads of one process share its number and differ in their own; tgkill names both; names, affinity and nice values are
 * each thread's own. gettid(2), set_tid_address(2), tgkill(2), prctl(2), sched_setaffinity(2). */
#include "../lib/sys.h"
#include <dirent.h>
#include <sys/prctl.h>

#define THREADS 5

static pthread_barrier_t barrier;
static pid_t tids[THREADS];
static atomic_int right;
static int usual_nice;

static int tasks(void) {
    int count = 0;
    DIR *folder = opendir("/proc/self/task");
    for (struct dirent *entry; folder && (entry = readdir(folder));) count += entry->d_name[0] != '.';
    if (folder) closedir(folder);
    return count;
}

static int nice_of(int thread) {
    return usual_nice + thread < 19 ? usual_nice + thread : 19;
}

static void *thread(void *argument) {
    int self = (int)(intptr_t)argument;
    char name[16], path[64], text[64];
    tids[self] = gettid();
    snprintf(name, sizeof name, "worker-%d", self);
    right += prctl(PR_SET_NAME, name) == 0;
    pthread_barrier_wait(&barrier);
    snprintf(path, sizeof path, "/proc/self/task/%d/comm", (int)gettid());
    right += read_file(path, text, sizeof text) == 9 && strncmp(text, name, 8) == 0 && text[8] == '\n';
    right += getpid() == tids[0] && (self == 0 || gettid() != getpid());
    right += setpriority(PRIO_PROCESS, 0, nice_of(self)) == 0;
    right += getpriority(PRIO_PROCESS, 0) == nice_of(self);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return NULL;
}

int main(void) {
    begin();
    pthread_t threads[THREADS];
    pthread_barrier_init(&barrier, NULL, THREADS);
    CHECK(gettid() == getpid());
    CHECK(tasks() == 1);
    usual_nice = getpriority(PRIO_PROCESS, 0);
    int word = 0;
    CHECK(syscall(SYS_set_tid_address, &word) == gettid());
    for (intptr_t i = 1; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, thread, (void *)i) == 0);
    tids[0] = gettid();
    prctl(PR_SET_NAME, "worker-0");
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    CHECK_U64(right, (THREADS - 1) * 5);
    CHECK_U64(tasks(), THREADS);
    for (int i = 0; i < THREADS; i++) {
        for (int j = 0; j < i; j++) CHECK(tids[i] != tids[j]);
        CHECK(syscall(SYS_tgkill, getpid(), tids[i], 0) == 0);
        CHECK(getpriority(PRIO_PROCESS, (id_t)tids[i]) == nice_of(i));
        cpu_set_t cpus;
        CHECK(sched_getaffinity(tids[i], sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) > 0);
    }
    CHECK(FAILS(syscall(SYS_tgkill, 1, tids[1], 0), ESRCH));
    CHECK(FAILS(syscall(SYS_tgkill, getpid(), 0, 0), EINVAL));
    CHECK(FAILS(syscall(SYS_tgkill, getpid(), -1, 0), EINVAL));
    CHECK(FAILS(syscall(SYS_tgkill, getpid(), tids[1], 65), EINVAL));
    pthread_barrier_wait(&barrier);
    for (int i = 1; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    while (tasks() > 1) sched_yield(); /* joined as soon as its number is cleared, a little before it is gone */
    for (int i = 1; i < THREADS; i++) CHECK(FAILS(syscall(SYS_tgkill, getpid(), tids[i], 0), ESRCH));
    return finish("thread_ids");
}
