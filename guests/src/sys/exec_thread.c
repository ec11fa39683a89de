/* execve from any thread ends all others, and the new program has the process's number and one thread, whichever called.
 * execve(2), "Effect on threads". */
#include "../lib/sys.h"

static char self[600]; /* not through /proc/self, which is the first thread's and has no program once that has ended */
static char pid_text[16];
static volatile unsigned count;

static int executed(char **argv) {
    char text[4000];
    int threads = 0;
    CHECK(getpid() == atoi(argv[2]) && gettid() == getpid());
    CHECK(read_file("/proc/self/status", text, sizeof text) > 0);
    char *line = strstr(text, "\nThreads:");
    CHECK(line && sscanf(line, "\nThreads: %d", &threads) == 1 && threads == 1);
    return checks_failed ? 1 : 66;
}

static void *spins(void *argument) {
    while (argument == NULL) count++;
    return NULL;
}

static void *sleeps(void *argument) {
    while (argument == NULL) pause();
    return NULL;
}

static void *executes(void *argument) {
    execl(self, self, "executed", pid_text, (char *)NULL);
    return argument;
}

static void *refused(void *argument) {
    *(int *)argument = FAILS(execl("/nowhere/at-all", self, (char *)NULL), ENOENT);
    return NULL;
}

static void start_others(void) {
    pthread_t thread;
    snprintf(pid_text, sizeof pid_text, "%d", (int)getpid());
    for (int i = 0; i < 5; i++) {
        pthread_create(&thread, NULL, spins, NULL);
        pthread_create(&thread, NULL, sleeps, NULL);
    }
    while (count == 0) sched_yield();
}

static void from_thread(void) {
    pthread_t thread;
    start_others();
    pthread_create(&thread, NULL, executes, NULL);
    for (;;) pause();
}

static void from_main(void) {
    start_others();
    executes(NULL);
}

static void without_main(void) {
    pthread_t thread;
    start_others();
    pthread_create(&thread, NULL, executes, NULL);
    pthread_exit(NULL);
}

static void several(void) {
    pthread_t thread;
    snprintf(pid_text, sizeof pid_text, "%d", (int)getpid());
    for (int i = 0; i < 4; i++) pthread_create(&thread, NULL, executes, NULL);
    executes(NULL);
}

static void fails_first(void) {
    pthread_t thread;
    int right = 0;
    start_others();
    CHECK(pthread_create(&thread, NULL, refused, &right) == 0 && pthread_join(thread, NULL) == 0 && right);
    unsigned before = count;
    while (count == before) sched_yield(); /* the others go on after a refusal */
}

int main(int argc, char **argv) {
    if (argc > 1) return executed(argv);
    begin();
    CHECK(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    unsigned rounds = part_of(3);
    for (unsigned i = 0; i < rounds; i++) {
        CHECK(exits_with(child(from_thread), 66));
        CHECK(exits_with(child(from_main), 66));
        CHECK(exits_with(child(without_main), 66));
        CHECK(exits_with(child(several), 66));
    }
    CHECK(exits_with(child(fails_first), 0));
    return finish("exec_thread");
}
