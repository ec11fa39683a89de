/* POSIX timers: signals to the process or to one thread, intervals with their overruns, absolute times, clocks of processor
 * time, none at all. timer_create(2), timer_settime(2), timer_getoverrun(2). */
#include "../lib/sys.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static atomic_int ticks, by_thread, value_seen, in_function;
static atomic_int target, stop;

static void note(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    value_seen = info->si_value.sival_int;
    by_thread = gettid();
    ticks++;
}

static void function(union sigval value) {
    in_function += value.sival_int;
}

static void *waits(void *argument) {
    (void)argument;
    target = gettid();
    while (!stop) sleep_ms(1);
    return NULL;
}

static struct itimerspec spec(long first_ms, long interval_ms) {
    return (struct itimerspec){{interval_ms / 1000, interval_ms % 1000 * 1000000}, {first_ms / 1000, first_ms % 1000 * 1000000}};
}

int main(void) {
    begin();
    int number = SIGRTMIN + 3;
    handle(number, note, 0);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = number, .sigev_value.sival_int = 11};
    timer_t timer, other;
    struct itimerspec set = spec(2, 2), now, old;
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    CHECK(timer_gettime(timer, &now) == 0 && now.it_value.tv_sec == 0 && now.it_value.tv_nsec == 0);
    CHECK(timer_settime(timer, 0, &set, &old) == 0 && old.it_value.tv_nsec == 0);
    while (ticks < 5) sleep_ms(1);
    CHECK(value_seen == 11 && timer_gettime(timer, &now) == 0 && now.it_interval.tv_nsec == 2000000);
    CHECK(now.it_value.tv_sec == 0 && now.it_value.tv_nsec <= 2000000 && now.it_value.tv_nsec > 0);

    sigset_t blocked = set_of(number); /* expirations that could not be delivered are counted as overrun */
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    sleep_ms(30);
    siginfo_t info;
    CHECK(sigwaitinfo(&blocked, &info) == number && info.si_code == SI_TIMER && info.si_overrun >= 5);
    CHECK(timer_getoverrun(timer) == info.si_overrun);
    set = spec(0, 0);
    CHECK(timer_settime(timer, 0, &set, &old) == 0 && old.it_interval.tv_nsec == 2000000);
    struct timespec none = {0, 0};
    sigtimedwait(&blocked, &info, &none);
    int64_t before = milliseconds();
    struct timespec at = after_ms(CLOCK_MONOTONIC, 20);
    set = (struct itimerspec){{0, 0}, at};
    CHECK(timer_settime(timer, TIMER_ABSTIME, &set, NULL) == 0);
    CHECK(sigwaitinfo(&blocked, &info) == number && milliseconds() - before >= 19 && info.si_overrun == 0);
    set.it_value.tv_sec = 1; /* long past: at once */
    CHECK(timer_settime(timer, TIMER_ABSTIME, &set, NULL) == 0 && sigwaitinfo(&blocked, &info) == number);
    CHECK(timer_delete(timer) == 0 && FAILS(timer_gettime(timer, &now), EINVAL));
    sigprocmask(SIG_UNBLOCK, &blocked, NULL);

    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, waits, NULL) == 0);
    while (!target) sched_yield();
    event = (struct sigevent){.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = number, .sigev_value.sival_int = 22};
    event.sigev_notify_thread_id = target;
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    set = spec(1, 1);
    ticks = 0;
    CHECK(timer_settime(timer, 0, &set, NULL) == 0);
    while (ticks < 5) sleep_ms(1);
    CHECK(by_thread == target && value_seen == 22 && timer_delete(timer) == 0);
    stop = 1;
    CHECK(pthread_join(thread, NULL) == 0);

    event = (struct sigevent){.sigev_notify = SIGEV_THREAD, .sigev_notify_function = function, .sigev_value.sival_int = 1};
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    CHECK(timer_settime(timer, 0, &set, NULL) == 0);
    while (in_function < 3) sleep_ms(1);
    CHECK(timer_delete(timer) == 0);

    event = (struct sigevent){.sigev_notify = SIGEV_NONE};
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &other) == 0);
    set = spec(50000, 0);
    CHECK(timer_settime(other, 0, &set, NULL) == 0 && timer_gettime(other, &now) == 0 && now.it_value.tv_sec > 0);
    CHECK(timer_delete(other) == 0);
    event = (struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = number, .sigev_value.sival_int = 33};
    CHECK(timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer) == 0);
    set = spec(10, 0);
    ticks = 0;
    CHECK(timer_settime(timer, 0, &set, NULL) == 0);
    before = milliseconds();
    while (!ticks && milliseconds() - before < 10000) {
    }
    CHECK(ticks == 1 && value_seen == 33 && timer_delete(timer) == 0);
    CHECK(FAILS(timer_create(999, &event, &timer), EINVAL));
    event.sigev_signo = 99;
    CHECK(FAILS(timer_create(CLOCK_MONOTONIC, &event, &timer), EINVAL));
    return finish("sig_timers");
}
