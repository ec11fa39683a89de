/* wait4 and waitid choose by process, group or pidfd, return at once, keep the zombie or report stops, and tell what the
 * child used. wait(2), wait4(2), waitid(2). */
#include "../lib/sys.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static void sleeps(void) {
    for (;;) pause();
}

static void exits(void) {
    _exit(300 & 0xff);
}

static void in_group(void) {
    setpgid(0, 0);
    _exit(5);
}

static char pages[4 << 20];

/* Touches memory too: of a few pages a kernel may not have taken notice. */
static void burns(void) {
    for (size_t at = 0; at < sizeof pages; at += 4096) ((volatile char *)pages)[at] = 1;
    struct timespec used;
    do clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    while (used.tv_nsec < 20000000 && used.tv_sec == 0);
    _exit(6);
}

int main(void) {
    begin();
    siginfo_t info;
    int status = 77;
    CHECK(FAILS(wait(&status), ECHILD) && FAILS(waitpid(-1, &status, WNOHANG), ECHILD));
    CHECK(FAILS(waitpid(getpid(), &status, 0), ECHILD) && FAILS(waitpid(1, &status, 0), ECHILD));
    CHECK(FAILS(waitpid(-1, &status, 0x4000), EINVAL));
    CHECK(FAILS(waitid(P_ALL, 0, &info, 0), EINVAL));
    CHECK(FAILS(waitid(99, 0, &info, WEXITED), EINVAL));
    pid_t pid = child(sleeps);
    CHECK(waitpid(pid, &status, WNOHANG) == 0 && status == 77);
    memset(&info, 1, sizeof info);
    CHECK(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0 && info.si_signo == 0);
    CHECK(kill(pid, SIGSTOP) == 0);
    CHECK(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT) == 0 && info.si_code == CLD_STOPPED);
    CHECK(waitid(P_PID, (id_t)pid, &info, WSTOPPED) == 0 && info.si_status == SIGSTOP && info.si_pid == pid);
    CHECK(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG) == 0 && info.si_pid == 0);
    CHECK(kill(pid, SIGCONT) == 0 && waitid(P_PID, (id_t)pid, &info, WCONTINUED) == 0 && info.si_code == CLD_CONTINUED);
    CHECK(kill(pid, SIGKILL) == 0 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0);
    CHECK(info.si_signo == SIGCHLD && info.si_code == CLD_KILLED && info.si_status == SIGKILL && info.si_uid == getuid());
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !WIFEXITED(status));

    pid = child(exits);
    CHECK(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) == 0 && info.si_code == CLD_EXITED && info.si_status == 44);
    CHECK(waitid(P_ALL, 0, NULL, WEXITED) == 0 && FAILS(wait(NULL), ECHILD));
    pid_t grouped = child(in_group);
    pid = child(sleeps);
    CHECK(waitpid(grouped, &status, 0) == grouped && WEXITSTATUS(status) == 5);
    CHECK(FAILS(waitpid(-grouped, &status, WNOHANG), ECHILD));
    CHECK(waitpid(0, &status, WNOHANG) == 0); /* a child of this group, still running */
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    CHECK(fd >= 0 && waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0);
    CHECK(kill(pid, SIGTERM) == 0 && waitid(P_PIDFD, (id_t)fd, &info, WEXITED) == 0);
    CHECK(info.si_pid == pid && info.si_code == CLD_KILLED && info.si_status == SIGTERM);
    CHECK(FAILS(waitid(P_PIDFD, (id_t)fd, &info, WEXITED), ECHILD));
    CHECK(FAILS(waitid(P_PIDFD, 999, &info, WEXITED), EBADF));
    pid = child(burns);
    struct rusage used, all;
    CHECK(wait4(pid, &status, 0, &used) == pid && WEXITSTATUS(status) == 6);
    CHECK(used.ru_utime.tv_sec + used.ru_stime.tv_sec > 0 || used.ru_utime.tv_usec + used.ru_stime.tv_usec >= 10000);
    CHECK(getrusage(RUSAGE_CHILDREN, &all) == 0 && all.ru_maxrss > 0);
    CHECK(all.ru_utime.tv_sec + all.ru_stime.tv_sec > 0 || all.ru_utime.tv_usec + all.ru_stime.tv_usec >= 10000);
    pid = child(exits);
    CHECK(FAILS(syscall(SYS_wait4, pid, (void *)16, 0, NULL), EFAULT)); /* and the child is reaped all the same */
    CHECK(FAILS(waitpid(pid, NULL, 0), ECHILD));
    CHECK(FAILS(waitpid(INT32_MIN, NULL, 0), ESRCH));
    return finish("wait_options");
}
