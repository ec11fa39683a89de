/* A robust mutex whose owner ends, thread or process, goes to the next with EOWNERDEAD; left inconsistent it is lost. The
 * kernel walks the list that set_robust_list named. pthread_mutexattr_setrobust(3), get_robust_list(2). */
#include "../lib/sys.h"

struct page {
    pthread_mutex_t mutex;
    atomic_int locked;
};

static struct page *page;

static void init(void) {
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    CHECK(pthread_mutex_init(&page->mutex, &kind) == 0);
    page->locked = 0;
}

static void *dies_with_it(void *argument) {
    (void)argument;
    pthread_mutex_lock(&page->mutex);
    page->locked = 1;
    return NULL;
}

static void process_exits(void) {
    dies_with_it(NULL);
}

static void process_is_killed(void) {
    dies_with_it(NULL);
    for (;;) pause();
}

static void *sleeps_for_it(void *argument) {
    (void)argument;
    return (void *)(intptr_t)pthread_mutex_lock(&page->mutex);
}

static void *holds_a_while(void *argument) {
    dies_with_it(argument);
    sleep_ms(20); /* so that the other one sleeps in the kernel */
    return NULL;
}

int main(void) {
    begin();
    page = shared_memory(PAGE);
    pthread_t thread, other;
    init();
    CHECK(pthread_create(&thread, NULL, dies_with_it, NULL) == 0 && pthread_join(thread, NULL) == 0);
    CHECK(pthread_mutex_trylock(&page->mutex) == EOWNERDEAD);
    CHECK(pthread_mutex_consistent(&page->mutex) == 0 && pthread_mutex_unlock(&page->mutex) == 0);
    CHECK(pthread_mutex_lock(&page->mutex) == 0 && pthread_mutex_unlock(&page->mutex) == 0);
    CHECK(pthread_create(&thread, NULL, dies_with_it, NULL) == 0 && pthread_join(thread, NULL) == 0);
    CHECK(pthread_mutex_lock(&page->mutex) == EOWNERDEAD && pthread_mutex_unlock(&page->mutex) == 0);
    CHECK(pthread_mutex_lock(&page->mutex) == ENOTRECOVERABLE);

    init();
    CHECK(exits_with(child(process_exits), 0));
    CHECK(pthread_mutex_lock(&page->mutex) == EOWNERDEAD && pthread_mutex_consistent(&page->mutex) == 0);
    CHECK(pthread_mutex_unlock(&page->mutex) == 0);
    page->locked = 0;
    pid_t pid = child(process_is_killed);
    while (!page->locked) sched_yield();
    CHECK(pthread_mutex_trylock(&page->mutex) == EBUSY);
    CHECK(kill(pid, SIGKILL) == 0 && dies_of(pid, SIGKILL));
    CHECK(pthread_mutex_lock(&page->mutex) == EOWNERDEAD && pthread_mutex_consistent(&page->mutex) == 0);
    CHECK(pthread_mutex_unlock(&page->mutex) == 0);

    page->locked = 0;
    CHECK(pthread_create(&thread, NULL, holds_a_while, NULL) == 0);
    while (!page->locked) sched_yield();
    CHECK(pthread_create(&other, NULL, sleeps_for_it, NULL) == 0);
    void *result = NULL;
    CHECK(pthread_join(thread, NULL) == 0 && pthread_join(other, &result) == 0);
    CHECK_U64((intptr_t)result, EOWNERDEAD);

    void *head = NULL;
    size_t length = 0;
    CHECK(syscall(SYS_get_robust_list, 0, &head, &length) == 0 && head != NULL);
    CHECK_U64(length, sizeof(struct robust_list_head));
    CHECK(FAILS(syscall(SYS_set_robust_list, head, length - 1), EINVAL));
    CHECK(syscall(SYS_set_robust_list, head, length) == 0);
    return finish("robust_mutex");
}
