/* System calls in a loop: some that do nothing, some on a pipe, on a file and on memory. */
#define KERNEL_NAME "syscalls"
#define KERNEL_ROUNDS 100000
#define _GNU_SOURCE
#include "lib/kernel.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static uint64_t kernel(uint64_t rounds) {
    uint64_t sum = 1;
    int ends[2];
    int file = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    if (file < 0 || pipe2(ends, O_CLOEXEC) != 0) return 0;
    for (uint64_t round = 0; round < rounds; round++) {
        char bytes[64], more[16];
        for (int i = 0; i < 4; i++) sum += syscall(SYS_getppid) == syscall(SYS_getppid);
        memset(bytes, (int)(sum & 127), sizeof bytes);
        struct iovec parts[2] = {{bytes, sizeof bytes}, {more, sizeof more}};
        memcpy(more, &sum, sizeof sum);
        memcpy(more + sizeof sum, &round, sizeof round);
        sum += (uint64_t)writev(ends[1], parts, 2);
        sum += (uint64_t)read(ends[0], bytes, sizeof bytes);
        sum += (uint64_t)read(ends[0], more, sizeof more);
        sum = fold(sum, (uint64_t)(uint8_t)bytes[round % sizeof bytes] + (uint64_t)(uint8_t)more[round % sizeof more]);
        sum += (uint64_t)pread(file, bytes, 16, 0);
        sum += (uint64_t)lseek(file, 0, SEEK_CUR);
        struct stat about;
        sum += fstat(file, &about) == 0 && S_ISCHR(about.st_mode);
        struct timespec now;
        sum += (uint64_t)clock_gettime(CLOCK_MONOTONIC, &now) + (now.tv_nsec < 0);
        if (round % 16 == 0) {
            char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (page == MAP_FAILED) return 0;
            page[4096] = (char)(sum & 1);
            sum += (uint64_t)mprotect(page, 4096, PROT_READ) + (uint64_t)page[4096];
            sum += (uint64_t)munmap(page, 8192);
        }
    }
    close(ends[0]), close(ends[1]), close(file);
    return sum;
}
