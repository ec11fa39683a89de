/* membarrier orders memory for whoever registered; rseq keeps the number of the processor in memory that a thread names
 * once, or is refused every time. membarrier(2), rseq of the kernel's documentation. */
#include "../lib/sys.h"
#include <linux/membarrier.h>
#include <linux/rseq.h>

#define SIGNATURE 0x53053053u
#define FLAG_UNREGISTER 1

static struct {
    struct rseq area;
    char room[64];
} _Alignas(64) area;
static long errors[6];
static _Alignas(16) char stack[65536];

/* A process of its own that shares this memory: it has no rseq area yet, unlike the C library's threads. */
static int registers(void *argument) {
    (void)argument;
    alarm(LIMIT);
    area.area.cpu_id = (uint32_t)RSEQ_CPU_ID_UNINITIALIZED;
#define RSEQ(size, flags, signature) (errno = 0, syscall(SYS_rseq, &area, size, flags, signature) == 0 ? 0 : errno)
    errors[0] = RSEQ(32, 0, SIGNATURE);
    errors[1] = RSEQ(32, 0, SIGNATURE);
    errors[2] = RSEQ(32, 0, SIGNATURE + 1);
    errors[3] = errors[0] == 0 && area.area.cpu_id < CPU_SETSIZE && area.area.cpu_id_start < CPU_SETSIZE;
    errors[4] = RSEQ(32, FLAG_UNREGISTER, SIGNATURE + 1);
    errors[5] = RSEQ(32, FLAG_UNREGISTER, SIGNATURE);
    return 0;
}

static long membarrier(int command, unsigned flags) {
    return syscall(SYS_membarrier, command, flags, 0);
}

int main(void) {
    begin();
    long commands = membarrier(MEMBARRIER_CMD_QUERY, 0);
    CHECK(commands > 0);
    long wanted = MEMBARRIER_CMD_PRIVATE_EXPEDITED | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;
    CHECK((commands & wanted) == wanted);
    CHECK(FAILS(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0), EPERM));
    CHECK(membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0) == 0);
    CHECK(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0) == 0);
    CHECK(FAILS(membarrier(1 << 30, 0), EINVAL));
    CHECK(FAILS(membarrier(MEMBARRIER_CMD_QUERY, 1), EINVAL));
    pid_t pid = clone(registers, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
    CHECK(exits_with(pid, 0));
    int refused = errors[0] == ENOSYS; /* as a kernel built without it does */
    CHECK_U64(errors[0], refused ? ENOSYS : 0);
    CHECK_U64(errors[1], refused ? ENOSYS : EBUSY);
    CHECK_U64(errors[2], refused ? ENOSYS : EPERM);
    CHECK_U64(errors[3], refused ? 0 : 1);
    CHECK_U64(errors[4], refused ? ENOSYS : EPERM);
    CHECK_U64(errors[5], refused ? ENOSYS : 0);
    return finish("thread_rseq");
}
