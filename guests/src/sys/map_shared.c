/* Shared mappings are one memory for all processes, private ones are copied at the first write, file mappings and files
 * are the same bytes, the rest of the last page is zero and not of the file. mmap(2), fork(2). */
#include "../lib/sys.h"

static volatile int *shared, *own;
static char *file_shared, *file_own;

static void changes(void) {
    CHECK(*shared == 1 && *own == 1);
    *shared = 2;
    *own = 2;
    file_shared[0] = 'S';
    file_own[1] = 'P';
    CHECK(*own == 2 && file_own[1] == 'P' && file_own[0] == 'S');
}

static void adds(void) {
    for (int i = 0; i < 20000; i++) __atomic_fetch_add(shared, 1, __ATOMIC_SEQ_CST);
}

int main(void) {
    begin();
    scratch();
    size_t page = PAGE;
    char text[64];
    shared = shared_memory(page);
    own = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *shared = *own = 1;
    CHECK(write_file("file", "abcdefghij", 0600) == 0);
    int fd = open("file", O_RDWR);
    file_shared = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    file_own = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    CHECK(file_shared != MAP_FAILED && file_own != MAP_FAILED && memcmp(file_shared, "abcdefghij", 10) == 0);
    CHECK(exits_with(child(changes), 0));
    CHECK(*shared == 2 && *own == 1);
    CHECK(memcmp(file_shared, "Sb", 2) == 0 && memcmp(file_own, "Sb", 2) == 0); /* not yet copied: sees the file */
    CHECK(pread(fd, text, 2, 0) == 2 && memcmp(text, "Sb", 2) == 0);
    file_own[2] = 'x'; /* copied now */
    CHECK(pwrite(fd, "123", 3, 0) == 3 && memcmp(file_shared, "123", 3) == 0 && memcmp(file_own, "Sbx", 3) == 0);
    file_shared[3] = '4';
    CHECK(read_file("file", text, sizeof text) == 10 && strcmp(text, "1234efghij") == 0);
    unsigned zeros = 0;
    for (size_t i = 10; i < page; i++) zeros += file_shared[i] == 0;
    CHECK_U64(zeros, page - 10);
    file_shared[10] = 'z'; /* beyond the end: in memory, not in the file */
    CHECK(msync(file_shared, page, MS_SYNC) == 0 && read_file("file", text, sizeof text) == 10);
    CHECK(ftruncate(fd, 5) == 0 && file_shared[4] == 'e' && file_shared[5] == 0);
    CHECK(ftruncate(fd, 20) == 0 && file_shared[10] == 0); /* what was cut off comes back as zeros */
    CHECK(close(fd) == 0 && unlink("file") == 0);
    file_shared[0] = 'L'; /* a mapping keeps a file that has no name any more */
    CHECK(file_shared[0] == 'L' && munmap(file_shared, page) == 0 && munmap(file_own, page) == 0);

    *shared = 0;
    pid_t pids[4];
    for (int i = 0; i < 4; i++) pids[i] = child(adds);
    for (int i = 0; i < 4; i++) CHECK(exits_with(pids[i], 0));
    CHECK_U64(*shared, 80000);
    int zero = open("/dev/zero", O_RDWR);
    volatile int *device = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, zero, 0);
    pid_t pid = fork_limited();
    if (pid == 0) {
        device[3] = 9;
        _exit(0);
    }
    CHECK(exits_with(pid, 0) && device[3] == 9 && device[0] == 0);
    fd = memfd_create("pages", 0);
    CHECK(ftruncate(fd, (off_t)(3 * page)) == 0 && pwrite(fd, "third", 5, (off_t)(2 * page)) == 5);
    char *third = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, (off_t)(2 * page));
    CHECK(memcmp(third, "third", 5) == 0);
    CHECK(MAP_FAILS(mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 100), EINVAL));
    return finish("map_shared");
}
