/* System V shared memory, semaphores and message queues: creation by key, values, undo at exit, order by type, removal while
 * in use, errors. shmget(2), shmat(2), semop(2), semctl(2), msgsnd(2), msgrcv(2). */
#include "../lib/sys.h"
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

union argument { /* the caller has to declare it */
    int val;
    struct semid_ds *buf;
    unsigned short *array;
};

struct message {
    long type;
    char text[32];
};

static int semaphores, memory;

static int operate(short amount, short flags) {
    struct sembuf operation = {0, amount, flags};
    return semop(semaphores, &operation, 1);
}

static void undoes(void) {
    CHECK(operate(-2, SEM_UNDO) == 0); /* given back at exit */
    char *p = shmat(memory, NULL, 0);
    CHECK(p != (void *)-1 && strcmp(p, "parent") == 0);
    strcpy(p, "child");
}

static void waits_zero(void) {
    CHECK(operate(0, 0) == 0);
}

static void shared(void) {
    struct shmid_ds about;
    memory = shmget(IPC_PRIVATE, 10000, IPC_CREAT | 0600);
    char *p = shmat(memory, NULL, 0), *q = shmat(memory, NULL, SHM_RDONLY);
    CHECK(memory >= 0 && p != (void *)-1 && q != (void *)-1 && p != q && p[9999] == 0);
    strcpy(p, "parent");
    int ends[2];
    CHECK(strcmp(q, "parent") == 0 && pipe(ends) == 0 && write(ends[1], "x", 1) == 1 && FAILS(read(ends[0], q, 1), EFAULT));
    CHECK(shmctl(memory, IPC_STAT, &about) == 0 && about.shm_segsz == 10000 && about.shm_nattch == 2 && about.shm_cpid == getpid());
    CHECK(exits_with(child(undoes), 0) && strcmp(q, "child") == 0);
    char *room = mmap(NULL, 8 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(FAILS((intptr_t)shmat(memory, room + 1, 0), EINVAL) && FAILS((intptr_t)shmat(memory, room, 0), EINVAL)); /* taken */
    CHECK(shmat(memory, room, SHM_REMAP) == room && strcmp(room, "child") == 0 && shmdt(room) == 0);
    CHECK(shmdt(q) == 0 && FAILS(shmdt(q), EINVAL) && shmctl(memory, IPC_RMID, NULL) == 0);
    p[0] = 'C'; /* stays until the last one leaves */
    CHECK(shmctl(memory, IPC_STAT, &about) == 0 && about.shm_nattch == 1 && (about.shm_perm.mode & SHM_DEST) && shmdt(p) == 0);
    CHECK(FAILS(shmctl(memory, IPC_STAT, &about), EINVAL) && FAILS(shmget(IPC_PRIVATE, 0, 0600), EINVAL));
}

static void counting(void) {
    semaphores = semget(IPC_PRIVATE, 3, IPC_CREAT | 0600);
    unsigned short values[3] = {3, 0, 7}, now[3];
    CHECK(semaphores >= 0 && semctl(semaphores, 0, SETALL, (union argument){.array = values}) == 0);
    CHECK(semctl(semaphores, 0, GETALL, (union argument){.array = now}) == 0 && now[0] == 3 && now[2] == 7);
    shared();
    CHECK(semctl(semaphores, 0, GETVAL) == 3 && FAILS(operate(-4, IPC_NOWAIT), EAGAIN) && FAILS(operate(0, IPC_NOWAIT), EAGAIN));
    struct sembuf both[2] = {{0, -1, 0}, {1, -1, IPC_NOWAIT}}; /* all or nothing */
    CHECK(FAILS(semop(semaphores, both, 2), EAGAIN) && semctl(semaphores, 0, GETVAL) == 3);
    struct timespec little = {0, 10000000};
    struct sembuf much = {0, -9, 0};
    CHECK(FAILS(semtimedop(semaphores, &much, 1, &little), EAGAIN));
    pid_t pid = child(waits_zero);
    while (semctl(semaphores, 0, GETZCNT) == 0) sched_yield();
    CHECK(operate(-3, 0) == 0 && exits_with(pid, 0) && semctl(semaphores, 0, GETPID) == pid);
    CHECK(FAILS(semctl(semaphores, 3, GETVAL), EINVAL) && FAILS(semctl(semaphores, 0, SETVAL, (union argument){.val = 70000}), ERANGE));
    both[1].sem_num = 5;
    CHECK(FAILS(semop(semaphores, both, 2), EFBIG) && FAILS(semop(semaphores, both, 0), EINVAL));
    pid = fork_limited();
    if (pid == 0) _exit(FAILS(operate(-1, 0), EIDRM) ? 5 : 6);
    while (semctl(semaphores, 0, GETNCNT) == 0) sched_yield();
    CHECK(semctl(semaphores, 0, IPC_RMID) == 0 && exits_with(pid, 5) && FAILS(operate(1, 0), EINVAL));
}

static int queue;

static void sends(void) {
    struct message message = {5, "late"};
    sleep_ms(5);
    CHECK(msgsnd(queue, &message, 5, 0) == 0);
}

int main(void) {
    begin();
    counting();
    queue = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
    struct message message = {3, "three"}, got;
    struct msqid_ds about;
    CHECK(queue >= 0 && msgsnd(queue, &message, 6, 0) == 0);
    message = (struct message){1, "one"};
    CHECK(msgsnd(queue, &message, 4, 0) == 0 && msgctl(queue, IPC_STAT, &about) == 0 && about.msg_qnum == 2 && about.msg_cbytes == 10);
    CHECK(msgrcv(queue, &got, 32, 1, 0) == 4 && strcmp(got.text, "one") == 0 && got.type == 1);
    CHECK(FAILS(msgrcv(queue, &got, 32, 2, IPC_NOWAIT), ENOMSG) && FAILS(msgrcv(queue, &got, 3, 0, 0), E2BIG));
    CHECK(msgrcv(queue, &got, 3, 0, MSG_NOERROR) == 3 && got.type == 3 && memcmp(got.text, "thr", 3) == 0);
    for (long type = 5; type >= 2; type--) {
        message.type = type;
        CHECK(msgsnd(queue, &message, 0, 0) == 0);
    }
    CHECK(msgrcv(queue, &got, 32, -4, 0) == 0 && got.type == 2 && msgrcv(queue, &got, 32, 0, 0) == 0 && got.type == 5); /* lowest; first */
    CHECK(msgrcv(queue, &got, 32, 4, MSG_EXCEPT) == 0 && got.type == 3 && msgrcv(queue, &got, 32, 0, 0) == 0);
    pid_t pid = child(sends);
    CHECK(msgrcv(queue, &got, 32, 5, 0) == 5 && strcmp(got.text, "late") == 0 && exits_with(pid, 0));
    size_t rooms[] = {1 << 20, (size_t)1 << 40, SIZE_MAX >> 1}; /* of a buffer on the stack */
    for (size_t i = 0; i < COUNT(rooms); i++) {
        message = (struct message){2, "room"};
        CHECK(msgsnd(queue, &message, 5, 0) == 0 && msgrcv(queue, &got, rooms[i], 0, IPC_NOWAIT) == 5 && strcmp(got.text, "room") == 0);
    }
    message.type = 0;
    CHECK(FAILS(msgsnd(queue, &message, 1, 0), EINVAL));
    message.type = 1;
    int sent = 0;
    while (sent < 100000 && msgsnd(queue, &message, 32, IPC_NOWAIT) == 0) sent++;
    CHECK(errno == EAGAIN && sent > 0 && msgctl(queue, IPC_RMID, NULL) == 0 && FAILS(msgrcv(queue, &got, 32, 0, 0), EINVAL));
    return finish("ipc_sysv");
}
