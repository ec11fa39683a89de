/* Copies of a process that share something with it (clone without CLONE_VM, with flags that fork has not), made while its
 * other threads allocate: the copy has one thread, which names files, maps memory and makes a copy of itself. clone(2). */
#include "../lib/sys.h"

#define THREADS 24
#define ROUNDS 60
#define STEPS 12

/* Long names are more work for a kernel than short ones. */
static char names[3][3500];

static void name(char *text, size_t length, const char *last) {
    size_t used = 0;
    while (used + 8 + strlen(last) < length) used += (size_t)sprintf(text + used, "/dev/..");
    strcpy(text + used, last);
}

static int opens(unsigned number) {
    int fd = open(names[number % COUNT(names)], O_RDONLY | O_CLOEXEC);
    return fd >= 0 && close(fd) == 0;
}

static int maps(unsigned number) {
    size_t length = PAGE * (1 + number % 5);
    char *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 0;
    memory[length - 1] = 1;
    return mprotect(memory, length, PROT_READ) == 0 && memory[length - 1] == 1 && munmap(memory, length) == 0;
}

static atomic_int stop, running;

static void *allocates(void *argument) {
    unsigned number = (unsigned)(uintptr_t)argument;
    uintptr_t wrong = 0;
    running++;
    for (; !stop; number++) {
        char *block = malloc(100 + number % 5000);
        wrong += block == NULL || !opens(number) || !maps(number);
        free(block);
    }
    return (void *)wrong;
}

static int works(unsigned number) {
    int right = 1;
    for (unsigned i = 0; i < STEPS; i++) right &= opens(number + i) && maps(number + i);
    return right;
}

int main(void) {
    begin();
    name(names[0], 1500, "/dev/null");
    name(names[1], 2500, "/dev/zero");
    name(names[2], sizeof names[2], "/dev/full");
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, allocates, (void *)i) == 0);
    while (running < THREADS) sched_yield();
    static const uint64_t flags[] = {CLONE_FILES | SIGCHLD, CLONE_FS | SIGCHLD, CLONE_SYSVSEM | SIGCHLD, CLONE_FILES | CLONE_FS, 0};
    unsigned rounds = part_of(ROUNDS);
    for (unsigned round = 0; round < rounds; round++) {
        pid_t pid = clone_limited(flags[round % COUNT(flags)]);
        if (pid == 0) {
            if (!works(round)) _exit(4);
            pid = clone_limited(SIGCHLD);
            if (pid == 0) _exit(works(round) ? 5 : 6);
            _exit(exits_with(pid, 5) ? 3 : 7);
        }
        CHECK(exits_with(pid, 3));
    }
    stop = 1;
    for (int i = 0; i < THREADS; i++) {
        void *wrong = NULL;
        CHECK(pthread_join(threads[i], &wrong) == 0);
        CHECK_U64((uintptr_t)wrong, 0);
    }
    return finish("clone_storm");
}
