/* Clocks, sleeping and random bytes: order and plausibility, since their values differ in every run. */
#define _GNU_SOURCE
#include "lib/check.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>

static int64_t nanoseconds(clockid_t clock) {
    struct timespec t;
    if (clock_gettime(clock, &t) != 0) return -1;
    if (t.tv_nsec < 0 || t.tv_nsec > 999999999) return -1;
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void clocks(void) {
    static const clockid_t all[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID,
                                    CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        int64_t first = nanoseconds(all[i]), second = nanoseconds(all[i]);
        CHECK(first > 0 && second >= first);
    }
    int64_t before = nanoseconds(CLOCK_MONOTONIC);
    for (int i = 0; i < 1000; i++) {
        int64_t now = nanoseconds(CLOCK_MONOTONIC);
        if (now < before) CHECK(!"monotonic clock went back");
        before = now;
    }
    struct timespec resolution;
    CHECK(clock_getres(CLOCK_MONOTONIC, &resolution) == 0 && resolution.tv_sec == 0 && resolution.tv_nsec > 0);
    struct timespec t;
    CHECK(clock_gettime(99, &t) == -1 && errno == EINVAL);
    time_t seconds = time(NULL);
    struct timeval now;
    CHECK(gettimeofday(&now, NULL) == 0 && now.tv_sec - seconds >= 0 && now.tv_sec - seconds <= 2);
    CHECK(seconds > 1700000000);
}

static void sleeping(void) {
    int64_t before = nanoseconds(CLOCK_MONOTONIC);
    struct timespec pause = {0, 20000000}, left = {1, 1};
    CHECK(nanosleep(&pause, &left) == 0);
    int64_t slept = nanoseconds(CLOCK_MONOTONIC) - before;
    CHECK(slept >= 20000000 && slept < INT64_C(5000000000));
    before = nanoseconds(CLOCK_MONOTONIC);
    int64_t target = before + 10000000;
    struct timespec until = {target / 1000000000, target % 1000000000};
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == 0);
    CHECK(nanoseconds(CLOCK_MONOTONIC) >= target);
    pause.tv_nsec = 1000000000;
    CHECK(nanosleep(&pause, NULL) == -1 && errno == EINVAL);
    CHECK(usleep(1000) == 0);
}

static void used_time(void) {
    int64_t before = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
    volatile uint64_t work = 0;
    while (nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - before < 5000000) {
        work = work + 1;
    }
    CHECK(work > 0);
    struct rusage usage;
    CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    CHECK(usage.ru_utime.tv_sec >= 0 && usage.ru_maxrss > 0);
    struct tms parts;
    CHECK(times(&parts) != (clock_t)-1 && parts.tms_cutime == 0);
    CHECK(clock() >= 0);
}

static void randomness(void) {
    unsigned char a[64] = {0}, b[64] = {0}, zero[64] = {0};
    CHECK(getrandom(a, sizeof a, 0) == sizeof a && getrandom(b, sizeof b, GRND_NONBLOCK) == sizeof b);
    CHECK(memcmp(a, b, sizeof a) != 0 && memcmp(a, zero, sizeof a) != 0);
    CHECK(getrandom(a, sizeof a, 0x100) == -1 && errno == EINVAL);
    CHECK(getentropy(b, 32) == 0);
}

static void calendar(void) {
    time_t at = 951782400; /* 2000-02-29 00:00:00 UTC */
    struct tm parts;
    char text[64];
    CHECK(gmtime_r(&at, &parts) && parts.tm_year == 100 && parts.tm_mon == 1 && parts.tm_mday == 29 && parts.tm_wday == 2);
    CHECK(strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %j", &parts) > 0 && strcmp(text, "2000-02-29 00:00:00 060") == 0);
    CHECK(timegm(&parts) == at);
}

int main(void) {
    clocks();
    sleeping();
    used_time();
    randomness();
    calendar();
    return finish("clocks");
}
