/* Handlers with SA_ONSTACK run on the alternate stack, so an overflow into the guard page of a stack can be handled; the
 * stack's state and errors. sigaltstack(2). */
#include "../lib/sys.h"

#define SIZE 65536

static char *alternate;
static volatile int on_alternate, state, refused, depth_of_nesting;
static char *low_end;
static volatile uintptr_t fault;

static int inside(const void *p) {
    return (const char *)p >= alternate && (const char *)p < alternate + SIZE;
}

static void note(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    char here;
    stack_t now;
    on_alternate = inside((void *)OPAQUE(uintptr_t, (uintptr_t)&here));
    sigaltstack(NULL, &now);
    state = now.ss_flags;
    stack_t other = {.ss_sp = alternate, .ss_size = SIZE};
    refused = FAILS(sigaltstack(&other, NULL), EPERM);
    if (depth_of_nesting++ == 0) raise(SIGUSR2);
}

static void overflowed(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    char here;
    on_alternate = inside((void *)OPAQUE(uintptr_t, (uintptr_t)&here));
    fault = (uintptr_t)info->si_addr;
    siglongjmp(back, 1);
}

__attribute__((noinline)) static unsigned deeper(unsigned level) {
    volatile char frame[512];
    frame[level % 512] = (char)level;
    return level == UINT32_MAX ? 0 : deeper(level + 1) + (unsigned char)frame[level % 512];
}

static void *overflows(void *argument) {
    stack_t own = {.ss_sp = alternate, .ss_size = SIZE};
    if (sigaltstack(&own, NULL) != 0) return NULL;
    if (sigsetjmp(back, 1) == 0) deeper(OPAQUE(unsigned, 0));
    return argument;
}

static void no_stack_left(void) {
    stack_t none = {.ss_flags = SS_DISABLE};
    sigaltstack(&none, NULL);
    deeper(OPAQUE(unsigned, 0)); /* nowhere to put the frame: SIGSEGV cannot be handled */
}

static void *fresh_thread(void *argument) {
    stack_t now;
    sigaltstack(NULL, &now);
    return now.ss_flags == SS_DISABLE ? argument : NULL;
}

int main(void) {
    begin();
    alternate = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t own = {.ss_sp = alternate, .ss_size = SIZE}, old;
    CHECK(sigaltstack(NULL, &old) == 0 && old.ss_flags == SS_DISABLE);
    CHECK(sigaltstack(&own, &old) == 0 && old.ss_flags == SS_DISABLE);
    CHECK(sigaltstack(NULL, &old) == 0 && old.ss_flags == 0 && old.ss_sp == alternate && old.ss_size == SIZE);
    handle(SIGUSR1, note, 0);
    handle(SIGUSR2, note, SA_ONSTACK);
    depth_of_nesting = 1;
    CHECK(raise(SIGUSR1) == 0 && !on_alternate && state == 0);
    CHECK(sigaltstack(&own, NULL) == 0);
    depth_of_nesting = 0;
    CHECK(raise(SIGUSR2) == 0 && on_alternate && state == SS_ONSTACK && refused);
    handle(SIGUSR2, note, SA_ONSTACK | SA_NODEFER); /* a nested handler goes on below on the same stack */
    depth_of_nesting = 0;
    CHECK(raise(SIGUSR2) == 0 && on_alternate && depth_of_nesting == 2);
    CHECK(sigaltstack(NULL, &old) == 0 && old.ss_flags == 0);

    handle(SIGSEGV, overflowed, SA_ONSTACK);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    low_end = mmap(NULL, 5 * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(mprotect(low_end, SIZE, PROT_NONE) == 0);
    CHECK(pthread_attr_setstack(&attributes, low_end + SIZE, 4 * SIZE) == 0);
    own.ss_flags = SS_DISABLE;
    CHECK(sigaltstack(&own, NULL) == 0);
    for (int round = 0; round < 3; round++) {
        pthread_t thread;
        void *result = NULL;
        on_alternate = 0;
        CHECK(pthread_create(&thread, &attributes, overflows, alternate) == 0 && pthread_join(thread, &result) == 0);
        CHECK(result == alternate && on_alternate);
        CHECK(fault >= (uintptr_t)low_end && fault < (uintptr_t)low_end + SIZE);
    }
    CHECK(dies_of(child(no_stack_left), SIGSEGV));
    own.ss_flags = 0;
    CHECK(sigaltstack(&own, NULL) == 0);
    pthread_t thread;
    void *result = NULL;
    CHECK(pthread_create(&thread, NULL, fresh_thread, alternate) == 0 && pthread_join(thread, &result) == 0);
    CHECK(result == alternate); /* a new thread has none */
    own.ss_flags = 0x1234;
    CHECK(FAILS(sigaltstack(&own, NULL), EINVAL));
    own.ss_flags = 0;
    own.ss_size = 100;
    CHECK(FAILS(sigaltstack(&own, NULL), ENOMEM));
    CHECK(FAILS(sigaltstack((void *)16, NULL), EFAULT));
    own.ss_size = SIZE;
    own.ss_flags = (int)(1u << 31); /* SS_AUTODISARM: off while the handler runs */
    CHECK(sigaltstack(&own, NULL) == 0);
    depth_of_nesting = 1;
    CHECK(raise(SIGUSR2) == 0 && on_alternate && (state & SS_DISABLE) && !refused);
    CHECK(sigaltstack(NULL, &old) == 0 && old.ss_sp == alternate);
    return finish("sig_altstack");
}
