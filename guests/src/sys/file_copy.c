/* sendfile, splice, tee, vmsplice and copy_file_range move bytes between files, pipes and sockets, with and without
 * positions. sendfile(2), splice(2), tee(2), vmsplice(2), copy_file_range(2). */
#include "../lib/sys.h"
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

int main(void) {
    begin();
    scratch();
    char text[64];
    int in = open("in", O_RDWR | O_CREAT, 0600), out = open("out", O_RDWR | O_CREAT, 0600), ends[2], more[2], pair[2];
    CHECK(write(in, "0123456789abcdefghij", 20) == 20 && pipe(ends) == 0 && pipe(more) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    off_t at = 5;
    CHECK(sendfile(out, in, &at, 10) == 10 && at == 15 && lseek(in, 0, SEEK_CUR) == 20 && lseek(out, 0, SEEK_CUR) == 10);
    CHECK(lseek(in, 15, SEEK_SET) == 15 && sendfile(pair[0], in, NULL, 100) == 5 && lseek(in, 0, SEEK_CUR) == 20);
    CHECK(read(pair[1], text, 64) == 5 && memcmp(text, "fghij", 5) == 0 && sendfile(out, in, NULL, 10) == 0);
    at = -1;
    CHECK(FAILS(sendfile(out, in, &at, 1), EINVAL) && FAILS(sendfile(out, 999, NULL, 1), EBADF));
    at = 0;
    CHECK(splice(in, &at, ends[1], NULL, 8, 0) == 8 && at == 8 && tee(ends[0], more[1], 100, 0) == 8);
    CHECK(read(more[0], text, 64) == 8 && memcmp(text, "01234567", 8) == 0); /* and still in the first pipe */
    off_t to = 100;
    CHECK(splice(ends[0], NULL, out, &to, 100, 0) == 8 && to == 108 && pread(out, text, 8, 100) == 8 && memcmp(text, "01234567", 8) == 0);
    CHECK(FAILS(splice(ends[0], NULL, out, NULL, 10, SPLICE_F_NONBLOCK), EAGAIN) && FAILS(splice(in, NULL, out, NULL, 10, 0), EINVAL));
    at = 0;
    CHECK(FAILS(splice(ends[0], &at, out, NULL, 10, 0), ESPIPE) && FAILS(tee(in, more[1], 10, 0), EINVAL) && FAILS(tee(ends[0], ends[1], 10, 0), EINVAL));
    struct iovec parts[2] = {{(void *)(uintptr_t)"vm", 2}, {(void *)(uintptr_t)"splice", 6}};
    CHECK(vmsplice(ends[1], parts, 2, 0) == 8 && read(ends[0], text, 64) == 8 && memcmp(text, "vmsplice", 8) == 0);
    CHECK(write(ends[1], "socket", 6) == 6 && splice(ends[0], NULL, pair[0], NULL, 6, 0) == 6 && read(pair[1], text, 64) == 6);
    CHECK(write(pair[0], "back", 4) == 4 && splice(pair[1], NULL, ends[1], NULL, 100, 0) == 4 && read(ends[0], text, 64) == 4 && memcmp(text, "back", 4) == 0);
    CHECK(close(ends[1]) == 0 && splice(ends[0], NULL, out, NULL, 10, 0) == 0); /* the end */

    off_t from = 2;
    to = 50;
    CHECK(copy_file_range(in, &from, out, &to, 10, 0) == 10 && from == 12 && to == 60);
    CHECK(pread(out, text, 10, 50) == 10 && memcmp(text, "23456789ab", 10) == 0);
    from = 20;
    CHECK(copy_file_range(in, &from, out, &to, 10, 0) == 0); /* from the end: nothing */
    from = 0, to = 5;
    CHECK(FAILS(copy_file_range(in, &from, in, &to, 10, 0), EINVAL)); /* overlap */
    to = 20;
    CHECK(copy_file_range(in, &from, in, &to, 10, 0) == 10 && pread(in, text, 10, 20) == 10 && memcmp(text, "0123456789", 10) == 0);
    CHECK(FAILS(copy_file_range(in, NULL, out, NULL, 10, 1), EINVAL) && FAILS(copy_file_range(more[0], NULL, out, NULL, 10, 0), EINVAL));
    int reading = open("out", O_RDONLY), adding = open("out", O_WRONLY | O_APPEND);
    lseek(in, 0, SEEK_SET);
    CHECK(FAILS(copy_file_range(in, NULL, reading, NULL, 10, 0), EBADF) && FAILS(copy_file_range(in, NULL, adding, NULL, 10, 0), EBADF));
    CHECK(lseek(in, 0, SEEK_SET) == 0 && lseek(out, 0, SEEK_SET) == 0 && copy_file_range(in, NULL, out, NULL, 7, 0) == 7);
    CHECK(lseek(in, 0, SEEK_CUR) == 7 && lseek(out, 0, SEEK_CUR) == 7);
    /* A megabyte through a pipe from a process that splices. */
    CHECK(ftruncate(in, 1 << 20) == 0 && pipe(ends) == 0);
    pid_t pid = fork_limited();
    if (pid == 0) {
        off_t position = 0;
        while (position < 1 << 20 && splice(in, &position, ends[1], NULL, (size_t)((1 << 20) - position), SPLICE_F_MOVE | SPLICE_F_MORE) > 0) {
        }
        _exit(position == 1 << 20 ? 0 : 1);
    }
    CHECK(close(ends[1]) == 0);
    static char block[10000];
    ssize_t n, total = 0;
    while ((n = read(ends[0], block, sizeof block)) > 0) total += n;
    CHECK(total == 1 << 20 && exits_with(pid, 0));
    return finish("file_copy");
}
