/* Files beyond 4 GiB that are mostly holes: offsets, sizes, SEEK_DATA and SEEK_HOLE, fallocate with its modes, reading
 * zeros. lseek(2), fallocate(2). */
#include "../lib/sys.h"
#include <linux/falloc.h>

#define GIB (INT64_C(1) << 30)

static int all(const char *p, size_t size, char value) {
    for (size_t i = 0; i < size; i++) {
        if (p[i] != value) return 0;
    }
    return 1;
}

int main(void) {
    begin();
    scratch();
    static char block[65536];
    struct stat about;
    int fd = open("large", O_RDWR | O_CREAT, 0600);
    CHECK(pwrite(fd, "end", 3, 5 * GIB) == 3 && fstat(fd, &about) == 0 && about.st_size == 5 * GIB + 3);
    CHECK(about.st_blocks < 1000); /* of 512 bytes */
    CHECK(lseek(fd, 0, SEEK_END) == 5 * GIB + 3 && lseek(fd, -3, SEEK_CUR) == 5 * GIB && read(fd, block, 10) == 3);
    CHECK(memcmp(block, "end", 3) == 0 && pread(fd, block, 100, 4 * GIB) == 100 && all(block, 100, 0));
    CHECK(lseek(fd, 6 * GIB, SEEK_SET) == 6 * GIB && read(fd, block, 10) == 0 && write(fd, "more", 4) == 4);
    CHECK(lseek(fd, 0, SEEK_DATA) == 5 * GIB && lseek(fd, 0, SEEK_HOLE) == 0);
    off_t hole = lseek(fd, 5 * GIB, SEEK_HOLE);
    CHECK(hole > 5 * GIB && hole <= 5 * GIB + 65536 && lseek(fd, hole, SEEK_DATA) == 6 * GIB);
    CHECK(FAILS(lseek(fd, 7 * GIB, SEEK_DATA), ENXIO) && FAILS(lseek(fd, -1, SEEK_SET), EINVAL) && FAILS(lseek(fd, 0, 99), EINVAL));
    CHECK(FAILS(pread(fd, block, 1, -1), EINVAL) && lseek(fd, INT64_MAX, SEEK_CUR) == -1);
    CHECK(ftruncate(fd, 4 * GIB + 1) == 0 && fstat(fd, &about) == 0 && about.st_size == 4 * GIB + 1 && lseek(fd, 0, SEEK_END) == 4 * GIB + 1);

    int small = open("small", O_RDWR | O_CREAT, 0600);
    memset(block, 'd', sizeof block);
    CHECK(write(small, block, sizeof block) == sizeof block);
    CHECK(fallocate(small, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 16384) == 0);
    CHECK(lseek(small, 0, SEEK_HOLE) == 8192 && lseek(small, 8192, SEEK_DATA) == 24576 && lseek(small, 24576, SEEK_HOLE) == sizeof block);
    CHECK(pread(small, block, sizeof block, 0) == sizeof block && all(block, 8192, 'd') && all(block + 8192, 16384, 0));
    CHECK(all(block + 24576, sizeof block - 24576, 'd'));
    CHECK(fallocate(small, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 50) == 0 && pread(small, block, 300, 0) == 300);
    CHECK(all(block, 100, 'd') && all(block + 100, 50, 0) && all(block + 150, 150, 'd')); /* parts of blocks are zeroed */
    CHECK(fallocate(small, FALLOC_FL_KEEP_SIZE, 0, 200000) == 0 && fstat(small, &about) == 0 && about.st_size == sizeof block);
    CHECK(about.st_blocks * 512 >= 200000);
    CHECK(fallocate(small, 0, 0, 100000) == 0 && fstat(small, &about) == 0 && about.st_size == 100000);
    CHECK(pread(small, block, 100, 99000) == 100 && all(block, 100, 0));
    CHECK(posix_fallocate(small, 0, 50) == 0 && fstat(small, &about) == 0 && about.st_size == 100000);
    if (fallocate(small, FALLOC_FL_ZERO_RANGE, 0, 4096) != 0) CHECK(errno == EOPNOTSUPP);
    else CHECK(pread(small, block, 4096, 0) == 4096 && all(block, 4096, 0));
    CHECK(FAILS(fallocate(small, 0, 0, 0), EINVAL) && FAILS(fallocate(small, 0, -1, 5), EINVAL));
    CHECK(FAILS(fallocate(small, FALLOC_FL_PUNCH_HOLE, 0, 10), EOPNOTSUPP)); /* needs FALLOC_FL_KEEP_SIZE */
    int reading = open("small", O_RDONLY), ends[2];
    CHECK(FAILS(fallocate(reading, 0, 0, 10), EBADF) && pipe(ends) == 0 && FAILS(fallocate(ends[1], 0, 0, 10), ESPIPE));
    CHECK(posix_fadvise(small, 0, 0, POSIX_FADV_DONTNEED) == 0 && posix_fadvise(ends[0], 0, 0, POSIX_FADV_NORMAL) == ESPIPE);
    CHECK(posix_fadvise(small, 0, 0, 99) == EINVAL && readahead(small, 0, 4096) == 0);
    CHECK(fsync(small) == 0 && fdatasync(small) == 0 && FAILS(fsync(ends[0]), EINVAL) && sync_file_range(small, 0, 0, SYNC_FILE_RANGE_WRITE) == 0);
    return finish("file_large");
}
