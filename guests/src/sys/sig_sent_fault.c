/* SIGSEGV and SIGBUS as other processes send them: ignored or blocked, they interrupt no call that could start over, and who
 * waits for one by sigtimedwait gets it. kill(2), signal(7), sigtimedwait(2). */
#include "../lib/sys.h"

static void note(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
}

/* Sends `number` to its parent while that waits, most likely, and then lets it go on. */
static pid_t sends(int number, int gate) {
    pid_t self = getpid(), pid = fork_limited();
    if (pid == 0) {
        sleep_ms(30);
        kill(self, number);
        sleep_ms(30);
        _exit(gate < 0 || write(gate, "x", 1) == 1 ? 31 : 32);
    }
    return pid;
}

/* Calls that wait for the sender. */
static void waits(int number) {
    int ends[2], status = 0;
    char text = 0;
    CHECK(pipe(ends) == 0);
    pid_t pid = sends(number, ends[1]);
    CHECK(read(ends[0], &text, 1) == 1 && text == 'x');
    CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 31);
    pid = sends(number, -1);
    CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 31);
    CHECK(close(ends[0]) == 0 && close(ends[1]) == 0);
}

int main(void) {
    static const int numbers[] = {SIGSEGV, SIGBUS};
    begin();
    for (size_t i = 0; i < COUNT(numbers); i++) {
        int number = numbers[i];
        sigset_t set = set_of(number), pending;
        siginfo_t info;
        struct timespec none = {0, 0}, long_enough = {30, 0};
        struct sigaction plain = {.sa_handler = SIG_IGN}; /* without SA_RESTART */
        CHECK(sigaction(number, &plain, NULL) == 0);
        waits(number);
        CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
        for (int handled = 0; handled < 2; handled++) {
            if (handled) handle(number, note, SA_RESTART);
            else plain.sa_handler = SIG_DFL, sigaction(number, &plain, NULL);
            waits(number);
            CHECK(sigpending(&pending) == 0 && sigismember(&pending, number));
            CHECK(sigtimedwait(&set, NULL, &none) == number && FAILS(sigtimedwait(&set, NULL, &none), EAGAIN));
            pid_t pid = sends(number, -1);
            CHECK(sigtimedwait(&set, &info, &long_enough) == number && info.si_code == SI_USER && info.si_pid == pid);
            CHECK(exits_with(pid, 31));
        }
        CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
    }
    return finish("sig_sent_fault");
}
