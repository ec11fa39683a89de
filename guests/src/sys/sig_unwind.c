/* The unwinder crosses the frame of a signal handler, for a signal from a call and for a fault, and reaches main; a thread
 * is cancelled by such an unwinding. sigreturn(2) and the C library's unwind tables, pthread_cancel(3). */
#include "../lib/sys.h"
#include <unwind.h>

int main(void);

static volatile int frames, found_main, found_middle, found_leaf, handler_runs;

__attribute__((noinline)) static void leaf(int kind);
__attribute__((noinline)) static void middle(int kind);

static _Unwind_Reason_Code visit(struct _Unwind_Context *context, void *argument) {
    (void)argument;
    int before = 0;
    uintptr_t at = _Unwind_GetIPInfo(context, &before);
    void *function = _Unwind_FindEnclosingFunction((void *)(before ? at : at - 1));
    frames++;
    found_main += function == (void *)main;
    found_middle += function == (void *)middle;
    found_leaf += function == (void *)leaf;
    return frames > 100 ? _URC_END_OF_STACK : _URC_NO_REASON;
}

static void look(int number, siginfo_t *info, void *context) {
    (void)info, (void)context;
    frames = found_main = found_middle = found_leaf = 0;
    handler_runs++;
    _Unwind_Backtrace(visit, NULL);
    if (number == SIGSEGV) siglongjmp(back, 1);
}

static void leaf(int kind) {
    if (kind == 0) raise(SIGUSR1);
    else if (kind == 1) *(volatile int *)OPAQUE(uintptr_t, 8) = 1;
    else kill(getpid(), SIGUSR2);
    handler_runs += 0; /* no tail call */
}

static void middle(int kind) {
    leaf(kind);
    handler_runs += 0;
}

static int cleaned;

static void cleanup(void *argument) {
    cleaned += *(int *)argument;
}

static void *waits_forever(void *argument) {
    int amount = 5;
    pthread_cleanup_push(cleanup, &amount);
    int inner = 10;
    pthread_cleanup_push(cleanup, &inner);
    *(atomic_int *)argument = 1;
    for (;;) pause();
    pthread_cleanup_pop(0);
    pthread_cleanup_pop(0);
    return NULL;
}

static void *spins(void *argument) {
    int amount = 100;
    pthread_cleanup_push(cleanup, &amount);
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    *(atomic_int *)argument = 1;
    for (volatile unsigned i = 0;; i++) {
    }
    pthread_cleanup_pop(0);
    return NULL;
}

static void *refuses(void *argument) {
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    *(atomic_int *)argument = 1;
    sleep_ms(20);
    return argument;
}

static void *cancelled(void *(*body)(void *)) {
    pthread_t thread;
    static atomic_int ready;
    ready = 0;
    void *result = NULL;
    CHECK(pthread_create(&thread, NULL, body, &ready) == 0);
    while (!ready) sched_yield();
    CHECK(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0);
    return result;
}

int main(void) {
    begin();
    handle(SIGUSR1, look, 0);
    handle(SIGUSR2, look, 0);
    handle(SIGSEGV, look, 0);
    middle(0);
    CHECK(handler_runs == 1 && found_leaf == 1 && found_middle == 1 && found_main == 1);
    middle(2);
    CHECK(handler_runs == 2 && found_leaf == 1 && found_middle == 1 && found_main == 1);
    if (sigsetjmp(back, 1) == 0) middle(1);
    CHECK(handler_runs == 3 && found_leaf == 1 && found_middle == 1 && found_main == 1);
    stack_t own = {.ss_sp = malloc(65536), .ss_size = 65536};
    CHECK(sigaltstack(&own, NULL) == 0 && handle(SIGSEGV, look, SA_ONSTACK) == 0);
    if (sigsetjmp(back, 1) == 0) middle(1);
    CHECK(handler_runs == 4 && found_leaf == 1 && found_middle == 1 && found_main == 1);
    CHECK(cancelled(waits_forever) == PTHREAD_CANCELED);
    CHECK_U64(cleaned, 15);
    CHECK(cancelled(spins) == PTHREAD_CANCELED);
    CHECK_U64(cleaned, 115);
    CHECK(cancelled(refuses) != PTHREAD_CANCELED);
    return finish("sig_unwind");
}
