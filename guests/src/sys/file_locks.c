/* POSIX record locks belong to the process and go with its first close, OFD and flock locks to the open file description;
 * who waits, who is refused, and what F_GETLK tells. fcntl(2), flock(2). */
#include "../lib/sys.h"
#include <sys/file.h>
#include <sys/stat.h>

static int fd;
static atomic_int *stage;

static int lock(int file, int command, short type, off_t start, off_t length) {
    struct flock what = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    return fcntl(file, command, &what);
}

static int holder(int file, int command, off_t start, off_t length, pid_t *pid) {
    struct flock what = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    if (fcntl(file, command, &what) != 0) return -1;
    *pid = what.l_pid;
    return what.l_type;
}

static void other_process(void) {
    pid_t pid = 0;
    CHECK(FAILS(lock(fd, F_SETLK, F_WRLCK, 5, 1), EAGAIN)); /* locks are not inherited */
    CHECK(FAILS(lock(fd, F_SETLK, F_RDLCK, 5, 1), EAGAIN) && lock(fd, F_SETLK, F_WRLCK, 50, 10) == 0);
    CHECK(holder(fd, F_GETLK, 0, 20, &pid) == F_WRLCK && pid == getppid());
    CHECK(holder(fd, F_GETLK, 30, 5, &pid) == F_UNLCK);
    CHECK(lock(fd, F_SETLK, F_RDLCK, 20, 5) == 0 && FAILS(lock(fd, F_SETLK, F_WRLCK, 20, 5), EAGAIN)); /* shared */
    *stage = 1;
    CHECK(lock(fd, F_SETLKW, F_WRLCK, 0, 10) == 0); /* waits for the parent */
    CHECK(*stage == 2);
}

static void closes_copy(void) {
    int own = open("file", O_RDWR);
    CHECK(lock(fd, F_SETLK, F_WRLCK, 70, 1) == 0 && close(open("file", O_RDONLY)) == 0); /* this drops the lock */
    CHECK(lock(own, F_OFD_SETLK, F_WRLCK, 70, 1) == 0);
    CHECK(close(open("file", O_RDONLY)) == 0 && FAILS(lock(fd, F_SETLK, F_WRLCK, 70, 1), EAGAIN)); /* this does not */
}

static void wants_flock(void) {
    int own = open("file", O_RDWR);
    CHECK(FAILS(flock(own, LOCK_EX | LOCK_NB), EWOULDBLOCK) && FAILS(flock(own, LOCK_SH | LOCK_NB), EWOULDBLOCK));
    CHECK(flock(fd, LOCK_EX | LOCK_NB) == 0); /* the inherited description has it already */
}

/* Exits with 4 if it is the one that would wait for ever: whoever of the two begins to wait last. */
static void deadlocks(void) {
    CHECK(lock(fd, F_SETLK, F_WRLCK, 101, 1) == 0);
    *stage = 1;
    if (FAILS(lock(fd, F_SETLKW, F_WRLCK, 100, 1), EDEADLK)) _exit(4);
    CHECK(errno == 0); /* the parent has given up */
}

int main(void) {
    begin();
    scratch();
    stage = shared_memory(PAGE);
    fd = open("file", O_RDWR | O_CREAT, 0600);
    CHECK(lock(fd, F_SETLK, F_WRLCK, 0, 10) == 0 && lock(fd, F_SETLK, F_RDLCK, 20, 5) == 0);
    CHECK(lock(fd, F_SETLK, F_WRLCK, 3, 2) == 0); /* one's own are never in the way */
    struct stat about; /* nor does anything but a close drop them */
    CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED && fstat(fd, &about) == 0);
    pid_t pid = child(other_process);
    while (*stage == 0) sched_yield();
    sleep_ms(5);
    *stage = 2;
    CHECK(lock(fd, F_SETLK, F_UNLCK, 0, 0) == 0 && exits_with(pid, 0)); /* length 0: to the end, however far */
    CHECK(exits_with(child(closes_copy), 0));
    CHECK(holder(fd, F_GETLK, 0, 0, &pid) == F_UNLCK); /* all gone with the processes */

    int other = open("file", O_RDWR), reading = open("file", O_RDONLY);
    CHECK(lock(fd, F_OFD_SETLK, F_WRLCK, 0, 10) == 0 && FAILS(lock(other, F_OFD_SETLK, F_WRLCK, 5, 1), EAGAIN));
    int twin = dup(fd);
    CHECK(lock(twin, F_OFD_SETLK, F_WRLCK, 5, 1) == 0 && close(twin) == 0 && FAILS(lock(other, F_OFD_SETLK, F_RDLCK, 5, 1), EAGAIN));
    struct flock what = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1};
    CHECK(fcntl(other, F_OFD_GETLK, &what) == 0 && what.l_type == F_WRLCK && what.l_pid == -1 && what.l_len == 10);
    CHECK(lock(fd, F_OFD_SETLK, F_UNLCK, 0, 0) == 0 && lock(other, F_OFD_SETLK, F_WRLCK, 0, 1) == 0 && lock(other, F_OFD_SETLK, F_UNLCK, 0, 1) == 0);
    CHECK(FAILS(lock(reading, F_SETLK, F_WRLCK, 0, 1), EBADF) && FAILS(lock(fd, F_SETLK, 99, 0, 1), EINVAL));
    CHECK(FAILS(lock(fd, F_SETLK, F_WRLCK, -5, 1), EINVAL) && lock(fd, F_SETLK, F_WRLCK, 10, -5) == 0); /* before the start */
    CHECK(lock(fd, F_SETLK, F_UNLCK, 0, 0) == 0);

    CHECK(flock(fd, LOCK_EX) == 0 && FAILS(flock(other, LOCK_SH | LOCK_NB), EWOULDBLOCK));
    CHECK(exits_with(child(wants_flock), 0));
    CHECK(flock(fd, LOCK_SH) == 0 && flock(other, LOCK_SH | LOCK_NB) == 0 && FAILS(flock(other, LOCK_EX | LOCK_NB), EWOULDBLOCK));
    CHECK(flock(fd, LOCK_UN) == 0 && flock(reading, LOCK_SH | LOCK_NB) == 0 && FAILS(flock(fd, LOCK_NB), EINVAL));
    *stage = 0;
    CHECK(lock(fd, F_SETLK, F_WRLCK, 100, 1) == 0);
    pid = child(deadlocks);
    while (*stage == 0) sched_yield();
    sleep_ms(50); /* most often until the child waits for this process */
    int gave_up = FAILS(lock(fd, F_SETLKW, F_WRLCK, 101, 1), EDEADLK);
    CHECK(gave_up || errno == 0);
    CHECK(lock(fd, F_SETLK, F_UNLCK, 0, 0) == 0 && exits_with(pid, gave_up ? 0 : 4));
    return finish("file_locks");
}
