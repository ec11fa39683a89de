/* An eventfd adds what is written and gives the sum, or one at a time; a timerfd counts expirations; both are polled, and
 * both wait or say EAGAIN. eventfd(2), timerfd_create(2). */
#include "../lib/sys.h"
#include <sys/eventfd.h>
#include <sys/timerfd.h>

static int fd;

static void *adds(void *argument) {
    for (int i = 0; i < 500; i++) eventfd_write(fd, 2);
    return argument;
}

static void *writes_late(void *argument) {
    sleep_ms(10);
    eventfd_write(*(int *)argument, 7);
    return NULL;
}

int main(void) {
    begin();
    uint64_t value = 0, one = 1;
    fd = eventfd(5, EFD_NONBLOCK | EFD_CLOEXEC);
    struct pollfd wanted = {.fd = fd, .events = POLLIN | POLLOUT};
    CHECK(poll(&wanted, 1, 0) == 1 && wanted.revents == (POLLIN | POLLOUT));
    CHECK(read(fd, &value, 8) == 8 && value == 5 && FAILS(read(fd, &value, 8), EAGAIN));
    CHECK(poll(&wanted, 1, 0) == 1 && wanted.revents == POLLOUT);
    CHECK(write(fd, &one, 8) == 8 && write(fd, &one, 8) == 8 && read(fd, &value, OPAQUE(size_t, 100)) == 8 && value == 2);
    CHECK(FAILS(read(fd, &value, 7), EINVAL) && FAILS(write(fd, &value, 7), EINVAL));
    value = UINT64_MAX;
    CHECK(FAILS(write(fd, &value, 8), EINVAL));
    value = UINT64_MAX - 1;
    CHECK(write(fd, &value, 8) == 8 && FAILS(write(fd, &one, 8), EAGAIN) && poll(&wanted, 1, 0) == 1 && wanted.revents == POLLIN);
    CHECK(read(fd, &value, 8) == 8 && value == UINT64_MAX - 1);
    int counting = eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK);
    for (int i = 0; i < 3; i++) CHECK(read(counting, &value, 8) == 8 && value == 1);
    CHECK(FAILS(read(counting, &value, 8), EAGAIN));
    CHECK(fcntl(fd, F_SETFL, 0) == 0);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, adds, NULL) == 0);
    uint64_t sum = 0;
    while (sum < 4000 && read(fd, &value, 8) == 8) sum += value;
    for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK_U64(sum, 4000);
    CHECK(pthread_create(&threads[0], NULL, writes_late, &fd) == 0 && read(fd, &value, 8) == 8 && value == 7); /* waits */
    CHECK(pthread_join(threads[0], NULL) == 0 && FAILS(eventfd(0, 0x1000), EINVAL));

    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct itimerspec set = {{0, 5000000}, {0, 5000000}}, now, old;
    wanted = (struct pollfd){.fd = timer, .events = POLLIN};
    CHECK(timer >= 0 && FAILS(read(timer, &value, 8), EAGAIN) && timerfd_settime(timer, 0, &set, NULL) == 0);
    CHECK(poll(&wanted, 1, 5000) == 1 && wanted.revents == POLLIN && read(timer, &value, 8) == 8 && value >= 1);
    sleep_ms(30);
    CHECK(read(timer, &value, 8) == 8 && value >= 5 && FAILS(read(timer, &value, 4), EINVAL));
    CHECK(timerfd_gettime(timer, &now) == 0 && now.it_interval.tv_nsec == 5000000 && now.it_value.tv_nsec <= 5000000);
    set = (struct itimerspec){{0, 0}, {0, 0}};
    CHECK(timerfd_settime(timer, 0, &set, &old) == 0 && old.it_interval.tv_nsec == 5000000 && timerfd_gettime(timer, &now) == 0 && now.it_value.tv_nsec == 0);
    int64_t before = milliseconds();
    set.it_value = after_ms(CLOCK_MONOTONIC, 20);
    CHECK(fcntl(timer, F_SETFL, 0) == 0 && timerfd_settime(timer, TFD_TIMER_ABSTIME, &set, NULL) == 0);
    CHECK(read(timer, &value, 8) == 8 && value == 1 && milliseconds() - before >= 19);
    set.it_value = (struct timespec){0, 1}; /* long past, so at once */
    CHECK(timerfd_settime(timer, TFD_TIMER_ABSTIME, &set, NULL) == 0 && read(timer, &value, 8) == 8 && value == 1);
    set.it_value.tv_nsec = 1000000000;
    CHECK(FAILS(timerfd_settime(timer, 0, &set, NULL), EINVAL) && FAILS(timerfd_create(99, 0), EINVAL));
    CHECK(FAILS(timerfd_create(CLOCK_MONOTONIC, 0x1000), EINVAL) && FAILS(timerfd_gettime(fd, &now), EINVAL));
    CHECK(FAILS(write(timer, &value, 8), EINVAL));
    return finish("io_eventfd");
}
