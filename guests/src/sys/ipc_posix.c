/* POSIX message queues go by priority, notify and time out; named shared memory and semaphores are files that processes
 * share. mq_overview(7), mq_notify(3), shm_open(3), sem_open(3). */
#include "../lib/sys.h"
#include <mqueue.h>
#include <semaphore.h>

static char name[64];
static mqd_t queue;
static volatile int notified, value_seen, code_seen;

static void note(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    value_seen = info->si_value.sival_int;
    code_seen = info->si_code;
    notified++;
}

static void sends(void) {
    mqd_t own = mq_open(name, O_WRONLY);
    CHECK(own >= 0 && mq_send(own, "late", 4, 0) == 0);
}

static void posts(void) {
    sem_t *semaphore = sem_open(name, 0);
    CHECK(semaphore != SEM_FAILED && sem_post(semaphore) == 0);
    int fd = shm_open(name, O_RDWR, 0);
    char *p = mmap(NULL, 100, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(p != MAP_FAILED && strcmp(p, "parent") == 0);
    strcpy(p, "child");
}

int main(void) {
    begin();
    snprintf(name, sizeof name, "/guest-test-%d", (int)getpid());
    struct mq_attr attributes = {.mq_maxmsg = 4, .mq_msgsize = 32}, now;
    char text[64];
    unsigned priority = 0;
    queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &attributes);
    if (queue == -1 && errno == ENOSYS) {
        printf("ipc_posix: this kernel has no message queues\n");
        return 0;
    }
    CHECK(queue >= 0 && mq_getattr(queue, &now) == 0 && now.mq_maxmsg == 4 && now.mq_msgsize == 32 && now.mq_curmsgs == 0 && now.mq_flags == O_NONBLOCK);
    CHECK(FAILS(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes), EEXIST));
    CHECK(mq_send(queue, "low", 3, 1) == 0 && mq_send(queue, "high", 4, 9) == 0 && mq_send(queue, "low2", 4, 1) == 0);
    CHECK(mq_receive(queue, text, 64, &priority) == 4 && memcmp(text, "high", 4) == 0 && priority == 9);
    CHECK(mq_receive(queue, text, 64, &priority) == 3 && priority == 1 && mq_receive(queue, text, 64, NULL) == 4 && FAILS(mq_receive(queue, text, 64, NULL), EAGAIN));
    CHECK(mq_send(queue, "room", 4, 1) == 0 && syscall(SYS_mq_timedreceive, queue, text, SIZE_MAX, &priority, NULL) == 4);
    CHECK(FAILS(mq_receive(queue, text, 31, NULL), EMSGSIZE) && FAILS(mq_send(queue, text, 33, 0), EMSGSIZE) && FAILS(mq_send(queue, text, 1, 32768), EINVAL));
    for (int i = 0; i < 4; i++) CHECK(mq_send(queue, "x", 1, 0) == 0);
    struct pollfd polled = {.fd = queue, .events = POLLIN | POLLOUT};
    CHECK(FAILS(mq_send(queue, "x", 1, 0), EAGAIN) && poll(&polled, 1, 0) == 1 && polled.revents == POLLIN);
    for (int i = 0; i < 4; i++) CHECK(mq_receive(queue, text, 64, NULL) == 1);
    handle(SIGUSR1, note, 0);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 44};
    CHECK(mq_notify(queue, &event) == 0 && FAILS(mq_notify(queue, &event), EBUSY));
    for (volatile int i = 0; i < 2000000;) i++; // an emulator may take to compiling, with threads of its own
    CHECK(mq_send(queue, "n", 1, 0) == 0);
    for (int i = 0; i < 1000 && !notified; i++) sleep_ms(1);
    CHECK(notified == 1 && value_seen == 44 && code_seen == SI_MESGQ && mq_notify(queue, &event) == 0 && mq_notify(queue, NULL) == 0);
    CHECK(mq_receive(queue, text, 64, NULL) == 1);
    now.mq_flags = 0;
    CHECK(mq_setattr(queue, &now, NULL) == 0);
    struct timespec at = after_ms(CLOCK_REALTIME, 20);
    CHECK(FAILS(mq_timedreceive(queue, text, 64, NULL, &at), ETIMEDOUT));
    pid_t pid = child(sends);
    CHECK(mq_receive(queue, text, 64, NULL) == 4 && exits_with(pid, 0) && mq_unlink(name) == 0 && FAILS(mq_unlink(name), ENOENT));
    CHECK(mq_send(queue, "still", 5, 0) == 0 && mq_close(queue) == 0 && FAILS(mq_send(queue, "x", 1, 0), EBADF));
    CHECK(FAILS(mq_open("/a/b", O_RDWR | O_CREAT, 0600, NULL), EACCES) && FAILS(mq_open("noslash", O_RDWR), EINVAL));

    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC && ftruncate(fd, 100) == 0);
    char *p = mmap(NULL, 100, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    strcpy(p, "parent");
    sem_t *semaphore = sem_open(name, O_CREAT | O_EXCL, 0600, 0);
    CHECK(semaphore != SEM_FAILED && FAILS((intptr_t)sem_open(name, O_CREAT | O_EXCL, 0600, 0) ? 0 : -1, EEXIST));
    pid = child(posts);
    CHECK(exits_with(pid, 0) && sem_wait(semaphore) == 0 && strcmp(p, "child") == 0);
    CHECK(sem_unlink(name) == 0 && sem_close(semaphore) == 0 && shm_unlink(name) == 0 && FAILS(shm_open(name, O_RDWR, 0), ENOENT));
    return finish("ipc_posix");
}
