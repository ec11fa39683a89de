/* What calls say that take a privilege over the machine, to a process without it: what is wrong with what they are asked
 * comes before the refusal, in the kernel's order. mount(2), umount2(2), chroot(2), setns(2), unshare(2). */
#include "../lib/sys.h"
#include <sys/mount.h>

static atomic_int stop;

static void *waits(void *argument) {
    while (!stop) sleep_ms(1);
    return argument;
}

static void namespaces(void) {
    int ends[2];
    CHECK(pipe(ends) == 0 && FAILS(setns(-1, 0), EBADF) && FAILS(setns(999, 0), EBADF) && FAILS(setns(ends[0], 0), EINVAL));
    int names = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
    CHECK(names >= 0 && FAILS(setns(names, CLONE_NEWNET), EINVAL) && FAILS(setns(names, CLONE_NEWUTS), EPERM));
    CHECK(FAILS(setns(names, 0), EPERM));
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    CHECK(self >= 0 && FAILS(setns(self, 0), EINVAL) && FAILS(setns(self, CLONE_VM), EINVAL) && FAILS(setns(self, CLONE_NEWUTS), EPERM));

    static const int spaces[] = {CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWCGROUP};
    for (size_t i = 0; i < COUNT(spaces); i++) CHECK(FAILS(unshare(spaces[i]), EPERM));
    CHECK(FAILS(unshare(1), EINVAL) && FAILS(unshare(CLONE_PIDFD), EINVAL) && FAILS(unshare(CLONE_NEWUTS | CLONE_PARENT), EINVAL));
    CHECK(unshare(0) == 0 && unshare(CLONE_FS | CLONE_FILES | CLONE_SYSVSEM) == 0 && unshare(CLONE_VM | CLONE_THREAD) == 0);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, waits, NULL) == 0);
    CHECK(FAILS(unshare(CLONE_VM), EINVAL) && FAILS(unshare(CLONE_SIGHAND), EINVAL) && FAILS(unshare(CLONE_THREAD), EINVAL));
    CHECK(FAILS(unshare(CLONE_NEWUSER), EINVAL) && unshare(CLONE_FS | CLONE_FILES) == 0);
    stop = 1;
    CHECK(pthread_join(thread, NULL) == 0);
}

static void mounts(void) {
    void *wild = (void *)OPAQUE(uintptr_t, 16);
    CHECK(FAILS(mount("none", "/nowhere/at-all", "tmpfs", 0, NULL), ENOENT) && FAILS(mount("none", "/etc/passwd/x", "tmpfs", 0, NULL), ENOTDIR));
    CHECK(FAILS(mount("none", "/", "tmpfs", 0, NULL), EPERM) && FAILS(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL), EPERM));
    CHECK(FAILS(mount(wild, "/", "tmpfs", 0, NULL), EFAULT) && FAILS(mount("none", wild, "tmpfs", 0, NULL), EFAULT));
    CHECK(FAILS(mount("none", "/nowhere", wild, 0, NULL), EFAULT) && FAILS(mount("none", "/nowhere", "tmpfs", 0, wild), EFAULT));
    CHECK(FAILS(mount("none", "", "tmpfs", 0, NULL), ENOENT));
    CHECK(FAILS(umount2("/", 0x100), EINVAL) && FAILS(umount2("/nowhere", 0x100), EINVAL));
    CHECK(FAILS(umount2("/nowhere", MNT_DETACH), ENOENT) && FAILS(umount2("/", MNT_DETACH), EPERM) && FAILS(umount2(wild, 0), EFAULT));
    CHECK(FAILS(syscall(SYS_pivot_root, "/nowhere", wild), EPERM));
    CHECK(FAILS(chroot("/nowhere"), ENOENT) && FAILS(chroot("/etc/passwd"), ENOTDIR) && FAILS(chroot(""), ENOENT));
    CHECK(FAILS(chroot(wild), EFAULT) && FAILS(chroot("/"), EPERM));
}

static void without(void) {
    if (geteuid() == 0) CHECK(setgid(65534) == 0 && setuid(65534) == 0);
    namespaces();
    mounts();
}

int main(void) {
    begin();
    CHECK(exits_with(child(without), 0));
    return finish("privileges");
}
