/* Calls that give EINTR after a handler even with SA_RESTART: those with a timeout and those that wait for signals; sleeps
 * say how much is left. signal(7), nanosleep(2). */
#include "../lib/sys.h"
#include <sys/epoll.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>

static volatile int ticks;

static void tick(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    if (++ticks > 3000) _exit(99); /* the timer stands in the place of the usual limit */
}

/* Whether the call is interrupted by a signal that comes every few milliseconds. */
#define INTERRUPTED(call) (ticks = 0, FAILS(call, EINTR) && ticks > 0)

/* A stop and a continuation do not end a sleep: it goes on. */
static int goes_on_sleeping(void) {
    for (long ms = 50; ms < 5000; ms *= 3) { /* on a busy machine it may be over before it is stopped */
        pid_t pid = fork_limited();
        if (pid == 0) {
            struct timespec nap = {ms / 1000, ms % 1000 * 1000000};
            _exit(nanosleep(&nap, NULL) == 0 ? 4 : 5);
        }
        sleep_ms(ms / 5);
        int status;
        if (kill(pid, SIGSTOP) != 0 || waitpid(pid, &status, WUNTRACED) != pid) return 0;
        if (WIFSTOPPED(status)) return kill(pid, SIGCONT) == 0 && exits_with(pid, 4);
    }
    return 0;
}

/* The slack of timers (PR_SET_TIMERSLACK) counts as left, so that a sleep which is interrupted at once has more than it
 * was to last. */
static int is_rest_of_ten_seconds(const struct timespec *left) {
    int64_t ns = left->tv_sec * INT64_C(1000000000) + left->tv_nsec;
    return ns >= 0 && ns < INT64_C(10001000000) && left->tv_nsec >= 0 && left->tv_nsec < 1000000000;
}

int main(void) {
    begin();
    int ends[2], set = epoll_create1(0);
    CHECK(pipe(ends) == 0);
    struct epoll_event event = {.events = EPOLLIN};
    CHECK(epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event) == 0);
    struct pollfd wanted = {.fd = ends[0], .events = POLLIN};
    int queue = msgget(IPC_PRIVATE, 0600), semaphores = semget(IPC_PRIVATE, 1, 0600);
    CHECK(queue >= 0 && semaphores >= 0);
    handle(SIGALRM, tick, SA_RESTART);
    struct itimerval every = {{0, 5000}, {0, 5000}};
    CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
    CHECK(INTERRUPTED(poll(&wanted, 1, -1)));
    CHECK(INTERRUPTED(poll(&wanted, 1, 10000)));
    CHECK(INTERRUPTED(poll(NULL, 0, 10000)));
    fd_set readable;
    FD_ZERO(&readable);
    FD_SET(ends[0], &readable);
    CHECK(INTERRUPTED(select(ends[0] + 1, &readable, NULL, NULL, NULL)));
    CHECK(FD_ISSET(ends[0], &readable)); /* sets are as before after an error */
    CHECK(INTERRUPTED(pselect(ends[0] + 1, &readable, NULL, NULL, NULL, NULL)));
    CHECK(INTERRUPTED(epoll_wait(set, &event, 1, -1)));
    CHECK(INTERRUPTED(epoll_wait(set, &event, 1, 10000)));
    CHECK(INTERRUPTED(pause()));
    struct sembuf take = {0, -1, 0};
    struct timespec limit = {10, 0};
    CHECK(INTERRUPTED(semop(semaphores, &take, 1)));
    CHECK(INTERRUPTED(semtimedop(semaphores, &take, 1, &limit)));
    struct { long type; char text[8]; } message;
    CHECK(INTERRUPTED(msgrcv(queue, &message, 8, 0, 0)));
    sigset_t other = set_of(SIGUSR1);
    CHECK(INTERRUPTED(sigtimedwait(&other, NULL, &limit)));
    CHECK(INTERRUPTED(sigwaitinfo(&other, NULL)));
    static atomic_uint word;
    struct timespec at = after_ms(CLOCK_MONOTONIC, 100000);
    CHECK(INTERRUPTED(futex(&word, FUTEX_WAIT_PRIVATE, 0, &limit, NULL, 0)) || errno == 0);
    CHECK(ticks > 0 && at.tv_sec > 0);

    struct timespec long_time = {10, 0}, left = {99, 99};
    ticks = 0;
    CHECK(FAILS(nanosleep(&long_time, &left), EINTR) && ticks > 0);
    CHECK(is_rest_of_ten_seconds(&left));
    left.tv_sec = 99;
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, 0, &long_time, &left) == EINTR && is_rest_of_ten_seconds(&left));
    left.tv_sec = 99;
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, &left) == EINTR && left.tv_sec == 99);
    /* Sleeping again for what is left is late, but never early. */
    int64_t before = milliseconds();
    struct timespec rest = {0, 30000000};
    while (nanosleep(&rest, &rest) == -1 && errno == EINTR) {
    }
    CHECK(milliseconds() - before >= 29);
    alarm(LIMIT); /* in place of the timer */
    CHECK(sleep(0) == 0);
    CHECK(goes_on_sleeping());
    CHECK(msgctl(queue, IPC_RMID, NULL) == 0 && semctl(semaphores, 0, IPC_RMID) == 0);
    return finish("sig_interrupts");
}
