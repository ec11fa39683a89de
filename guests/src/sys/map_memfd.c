/* memfd_create makes an unnamed file; seals forbid shrinking, growing, writing and further seals, for calls and mappings
 * alike. memfd_create(2), fcntl(2) "File Sealing". */
#include "../lib/sys.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 16
#endif

int main(void) {
    begin();
    size_t page = PAGE;
    char text[300], link[64];
    int fd = memfd_create("a name", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(fd, F_GET_SEALS) == 0);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, text, sizeof text - 1);
    text[length > 0 ? length : 0] = 0;
    CHECK(strcmp(text, "/memfd:a name (deleted)") == 0);
    struct stat about;
    CHECK(fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && about.st_nlink == 0 && about.st_size == 0);
    CHECK(write(fd, "0123456789", 10) == 10 && ftruncate(fd, (off_t)page) == 0);
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
    CHECK(FAILS(ftruncate(fd, 5), EPERM) && ftruncate(fd, (off_t)(2 * page)) == 0);
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) == 0);
    CHECK(FAILS(ftruncate(fd, (off_t)(3 * page)), EPERM) && FAILS(pwrite(fd, "x", 1, (off_t)(2 * page)), EPERM));
    CHECK(pwrite(fd, "x", 1, 0) == 1);
    char *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(p != MAP_FAILED && FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY)); /* a writable mapping is there */
    CHECK(munmap(p, page) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0);
    CHECK(FAILS(write(fd, "x", 1), EPERM));
    CHECK(MAP_FAILS(mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EPERM));
    p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    CHECK(p != MAP_FAILED && memcmp(p, "x123", 4) == 0 && (p[0] = 'y') == 'y');
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL) == 0);
    CHECK_U64(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
    CHECK(FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), EPERM));
    CHECK(close(fd) == 0);
    fd = memfd_create("", 0);
    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == 0 && fcntl(fd, F_GET_SEALS) == F_SEAL_SEAL); /* no sealing unless asked for */
    CHECK(FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM) && close(fd) == 0);
    fd = memfd_create("future", MFD_ALLOW_SEALING);
    CHECK(ftruncate(fd, (off_t)page) == 0);
    p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0 && (p[0] = 'o') == 'o'); /* the mapping that is there may go on */
    CHECK(FAILS(write(fd, "x", 1), EPERM) && MAP_FAILS(mmap(NULL, page, PROT_WRITE, MAP_SHARED, fd, 0), EPERM));
    CHECK(pread(fd, text, 1, 0) == 1 && text[0] == 'o' && FAILS(fcntl(fd, F_ADD_SEALS, 0x1000), EINVAL));
    CHECK(FAILS(fcntl(0, F_GET_SEALS), EINVAL));
    memset(text, 'n', sizeof text);
    text[250] = 0;
    CHECK(FAILS(memfd_create(text, 0), EINVAL)); /* at most 249 bytes */
    text[249] = 0;
    CHECK((fd = memfd_create(text, 0)) >= 0);
    CHECK(FAILS(memfd_create("x", 0x1000), EINVAL) && FAILS(memfd_create((char *)16, 0), EFAULT));
    return finish("map_memfd");
}
