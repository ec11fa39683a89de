/* System calls as the kernel gives them, without a C library between: results and negated error numbers. */
#include "../lib/bare.h"

static word failures, done;

static void expect(const char *what, long actual, long expected) {
    done++;
    if (actual != expected) {
        failures++;
        print(what);
        print(": ");
        if (actual < 0) {
            print("-");
        }
        print_number(actual < 0 ? (word)-actual : (word)actual);
        print("\n");
    }
}

#define EBADF 9
#define EFAULT 14
#define EINVAL 22
#define ENOENT 2
#define ENOSYS 38
#define ENOMEM 12

int bare_main(word argc, char **argv, char **envp, word *auxv) {
    (void)argv;
    (void)envp;
    int ends[2] = {-1, -1};
    char buffer[512];
    expect("argc", (long)argc, 1);
    expect("no such call", syscall3(9999, 0, 0, 0), -ENOSYS);
    expect("write to nowhere", syscall3(SYS_write, 999, "x", 1), -EBADF);
    expect("write from nowhere", syscall3(SYS_pipe2, ends, 0, 0), 0);
    expect("write of a bad address", syscall3(SYS_write, ends[1], 8, 1), -EFAULT);
    expect("write of nothing", syscall3(SYS_write, ends[1], 8, 0), 0);
    expect("write", syscall3(SYS_write, ends[1], "abc", 3), 3);
    expect("read into a bad address", syscall3(SYS_read, ends[0], 8, 3), -EFAULT);
    expect("close", syscall3(SYS_close, ends[1], 0, 0), 0);
    expect("close again", syscall3(SYS_close, ends[1], 0, 0), -EBADF);
    expect("pipe2 to a bad address", syscall3(SYS_pipe2, 8, 0, 0), -EFAULT);
    expect("open of nothing", syscall6(SYS_openat, (word)-100, (word) "/no/such/file", 0, 0, 0, 0), -ENOENT);
    expect("open of a bad address", syscall6(SYS_openat, (word)-100, 8, 0, 0, 0, 0), -EFAULT);
    expect("getpid", syscall3(SYS_getpid, 0, 0, 0) > 0, 1);
    expect("gettid", syscall3(SYS_gettid, 0, 0, 0), syscall3(SYS_getpid, 0, 0, 0));
    expect("uname", syscall3(SYS_uname, buffer, 0, 0), 0);
    expect("sysname", buffer[0] == 'L' && buffer[4] == 'x' && buffer[5] == 0, 1);
    expect("uname to a bad address", syscall3(SYS_uname, 8, 0, 0), -EFAULT);
    word start = (word)syscall3(SYS_brk, 0, 0, 0);
    expect("brk", syscall3(SYS_brk, start + 10000, 0, 0), (long)(start + 10000));
    expect("first new word", *(volatile long *)((start + 4095) / 4096 * 4096), 0);
    expect("brk to nonsense", syscall3(SYS_brk, 1, 0, 0), (long)(start + 10000));
    long page = syscall6(SYS_mmap, 0, 4096, 3, 0x22, (word)-1, 0);
    expect("mmap", page > 0 && page % 4096 == 0, 1);
    *(volatile char *)page = 7;
    expect("mprotect", syscall3(SYS_mprotect, page, 4096, 1), 0);
    expect("still there", *(volatile char *)page, 7);
    expect("uname to a read-only page", syscall3(SYS_uname, page, 0, 0), -EFAULT);
    expect("munmap", syscall3(SYS_munmap, page, 4096, 0), 0);
    expect("uname to an unmapped page", syscall3(SYS_uname, page, 0, 0), -EFAULT);
    expect("mmap of nothing", syscall6(SYS_mmap, 0, 0, 3, 0x22, (word)-1, 0), -EINVAL);
    expect("mmap of too much", syscall6(SYS_mmap, 0, 1ul << 62, 3, 0x22, (word)-1, 0), -ENOMEM);
    long time[2] = {0, -1};
    expect("clock_gettime", syscall3(SYS_clock_gettime, 1, time, 0), 0);
    expect("nanoseconds", time[1] >= 0 && time[1] < 1000000000, 1);
    expect("clock_gettime of nonsense", syscall3(SYS_clock_gettime, 77, time, 0), -EINVAL);
    expect("clock_gettime to a bad address", syscall3(SYS_clock_gettime, 1, 8, 0), -EFAULT);
    expect("getrandom", syscall3(SYS_getrandom, buffer, 16, 0), 16);
    expect("getrandom with nonsense", syscall3(SYS_getrandom, buffer, 16, 0x80), -EINVAL);
    word page_size = 0, random = 0, last = 0;
    for (word *entry = auxv; entry[0] != 0; entry += 2) {
        page_size = entry[0] == 6 ? entry[1] : page_size;
        random = entry[0] == 25 ? entry[1] : random;
        last++;
    }
    expect("page size", (long)page_size, 4096);
    expect("random bytes", random != 0 && last > 8, 1);
    print_number(done);
    print(" calls, ");
    print_number(failures);
    print(" wrong\n");
    return failures != 0;
}
