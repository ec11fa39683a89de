/* Clocks and sleeps: which exist, that they go on, what is refused, processor-time clocks of others, absolute sleeps.
 * clock_gettime(2), clock_nanosleep(2), clock_getcpuclockid(3), adjtimex(2), times(2). */
#include "../lib/sys.h"
#include <sys/times.h>
#include <sys/timex.h>

static int64_t now(clockid_t clock) {
    struct timespec at;
    return clock_gettime(clock, &at) == 0 && at.tv_nsec >= 0 && at.tv_nsec < 1000000000 ? at.tv_sec * INT64_C(1000000000) + at.tv_nsec : -1;
}

static void spins(void) {
    for (;;) {
    }
}

static void *reads_own(void *argument) {
    clockid_t clock;
    *(int *)argument = pthread_getcpuclockid(pthread_self(), &clock) == 0 && now(clock) >= 0 && now(clock) <= now(CLOCK_PROCESS_CPUTIME_ID);
    return NULL;
}

int main(void) {
    begin();
    static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE,
                                       CLOCK_MONOTONIC_COARSE, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};
    struct timespec at;
    for (size_t i = 0; i < COUNT(clocks); i++) {
        int64_t first = now(clocks[i]);
        CHECK(first >= 0 && now(clocks[i]) >= first && clock_getres(clocks[i], &at) == 0 && at.tv_sec == 0 && at.tv_nsec > 0);
        CHECK(syscall(SYS_clock_gettime, clocks[i], &at) == 0 && at.tv_sec * INT64_C(1000000000) + at.tv_nsec >= first); /* without the vDSO */
    }
    CHECK(FAILS(clock_gettime(99, &at), EINVAL) && FAILS(clock_getres(99, NULL), EINVAL) && clock_getres(CLOCK_MONOTONIC, NULL) == 0);
    CHECK(FAILS(syscall(SYS_clock_settime, CLOCK_MONOTONIC, &at), EINVAL));
    CHECK(now(CLOCK_BOOTTIME) >= now(CLOCK_MONOTONIC) - 1000000);
    struct timespec wrong = {0, 1000000000}, negative = {-1, 0}, zero = {0, 0}, little = {0, 10000000};
    CHECK(FAILS(nanosleep(&wrong, NULL), EINVAL) && FAILS(nanosleep(&negative, NULL), EINVAL) && nanosleep(&zero, NULL) == 0);
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, 0, &wrong, NULL) == EINVAL && clock_nanosleep(99, 0, &zero, NULL) == EINVAL);
    CHECK(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &little, NULL) == EINVAL && clock_nanosleep(CLOCK_MONOTONIC_RAW, 0, &zero, NULL) != 0);
    static const clockid_t sleeping[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME};
    for (size_t i = 0; i < COUNT(sleeping); i++) {
        int64_t before = now(sleeping[i]);
        CHECK(clock_nanosleep(sleeping[i], 0, &little, NULL) == 0 && now(sleeping[i]) - before >= 10000000);
        at = after_ms(sleeping[i], 10);
        CHECK(clock_nanosleep(sleeping[i], TIMER_ABSTIME, &at, NULL) == 0 && now(sleeping[i]) >= at.tv_sec * INT64_C(1000000000) + at.tv_nsec);
        CHECK(clock_nanosleep(sleeping[i], TIMER_ABSTIME, &zero, NULL) == 0); /* past */
    }
    int64_t used = now(CLOCK_PROCESS_CPUTIME_ID), thread_used = now(CLOCK_THREAD_CPUTIME_ID), real = now(CLOCK_MONOTONIC);
    sleep_ms(20);
    CHECK(now(CLOCK_PROCESS_CPUTIME_ID) - used < now(CLOCK_MONOTONIC) - real);
    while (now(CLOCK_THREAD_CPUTIME_ID) - thread_used < 10000000) {
    }
    CHECK(now(CLOCK_PROCESS_CPUTIME_ID) - used >= 10000000);
    pid_t pid = child(spins);
    clockid_t other;
    CHECK(clock_getcpuclockid(pid, &other) == 0);
    for (int i = 0; i < 2000 && now(other) < 5000000; i++) sleep_ms(1);
    CHECK(now(other) >= 5000000 && kill(pid, SIGKILL) == 0 && dies_of(pid, SIGKILL) && now(other) == -1);
    int right = 0;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, reads_own, &right) == 0 && pthread_join(thread, NULL) == 0 && right);
    struct timeval tv;
    CHECK(gettimeofday(&tv, NULL) == 0 && tv.tv_usec >= 0 && tv.tv_usec < 1000000 && llabs(tv.tv_sec - time(NULL)) <= 1);
    struct timex adjust = {0};
    CHECK(adjtimex(&adjust) >= 0 && adjust.tick > 0);
    struct tms before, after;
    clock_t start = times(&before);
    CHECK(start != (clock_t)-1 && times(&after) >= start && after.tms_utime >= before.tms_utime && sysconf(_SC_CLK_TCK) == 100);
    return finish("time_calls");
}
