/* UNIX sockets: streams, datagrams and packets; names in files, abstract ones and made-up ones; descriptors and credentials
 * sent along; what is lost when there is no room. unix(7), cmsg(3). */
#include "../lib/sys.h"
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static ssize_t send_with(int fd, const void *data, size_t size, int type, const void *extra, size_t extra_size) {
    _Alignas(8) char control[256] = {0};
    struct iovec part = {(void *)(uintptr_t)data, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(extra_size)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = type, .cmsg_len = CMSG_LEN(extra_size)};
    memcpy(CMSG_DATA(header), extra, extra_size);
    return sendmsg(fd, &message, 0);
}

static ssize_t receive_with(int fd, void *data, size_t size, int type, void *extra, size_t extra_size, int flags, int *flags_out) {
    _Alignas(8) char control[256] = {0};
    struct iovec part = {data, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(extra_size)};
    ssize_t n = recvmsg(fd, &message, flags);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_type == type && header->cmsg_len <= CMSG_LEN(extra_size)) memcpy(extra, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
    *flags_out = message.msg_flags;
    return n;
}

static int pair[2];

static void sends_from_child(void) {
    int fd = memfd_create("passed", 0);
    CHECK(write(fd, "from the child", 14) == 14 && send_with(pair[1], "fd", 2, SCM_RIGHTS, &fd, sizeof fd) == 2);
}

int main(void) {
    begin();
    scratch();
    char text[64];
    int flags, fds[2] = {-1, -1};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    pid_t pid = child(sends_from_child);
    CHECK(receive_with(pair[0], text, 64, SCM_RIGHTS, fds, sizeof(int), MSG_CMSG_CLOEXEC, &flags) == 2 && fds[0] >= 0);
    CHECK(fcntl(fds[0], F_GETFD) == FD_CLOEXEC && pread(fds[0], text, 64, 0) == 14 && memcmp(text, "from the child", 14) == 0 && exits_with(pid, 0));
    int ends[2];
    CHECK(pipe(ends) == 0 && send_with(pair[1], "two", 3, SCM_RIGHTS, ends, sizeof ends) == 3 && close(ends[0]) == 0 && close(ends[1]) == 0);
    CHECK(receive_with(pair[0], text, 64, SCM_RIGHTS, fds, sizeof fds, 0, &flags) == 3 && write(fds[1], "p", 1) == 1 && read(fds[0], text, 64) == 1);
    CHECK(send_with(pair[1], "cut", 3, SCM_RIGHTS, fds, sizeof fds) == 3 && recv(pair[0], text, 64, 0) == 3); /* not asked for: closed */
    int bad = 999;
    CHECK(FAILS(send_with(pair[1], "x", 1, SCM_RIGHTS, &bad, sizeof bad), EBADF));
    int on = 1;
    struct ucred who = {0};
    CHECK(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0 && send(pair[1], "c", 1, 0) == 1);
    CHECK(receive_with(pair[0], text, 64, SCM_CREDENTIALS, &who, sizeof who, 0, &flags) == 1 && who.pid == getpid() && who.uid == getuid() && who.gid == getgid());
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    CHECK(getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid == getpid() && peer.uid == geteuid());
    CHECK(send(pair[1], "abc", 3, 0) == 3 && send(pair[1], "def", 3, 0) == 3 && recv(pair[0], text, 64, MSG_PEEK) >= 3 && recv(pair[0], text, 6, MSG_WAITALL) == 6);
    CHECK(close(pair[1]) == 0 && recv(pair[0], text, 64, 0) == 0 && FAILS(send(pair[0], "x", 1, MSG_NOSIGNAL), EPIPE));

    struct sockaddr_un address = {.sun_family = AF_UNIX}, other;
    strcpy(address.sun_path, "socket");
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), a = socket(AF_UNIX, SOCK_STREAM, 0);
    struct stat about;
    CHECK(FAILS(connect(a, (struct sockaddr *)&address, sizeof address), ENOENT));
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && stat("socket", &about) == 0 && S_ISSOCK(about.st_mode));
    CHECK(FAILS(connect(a, (struct sockaddr *)&address, sizeof address), ECONNREFUSED) && listen(listener, 1) == 0);
    CHECK(connect(a, (struct sockaddr *)&address, sizeof address) == 0 && send(a, "early", 5, 0) == 5); /* before accept */
    size = sizeof other;
    int b = accept(listener, (struct sockaddr *)&other, &size);
    CHECK(b >= 0 && size == sizeof(sa_family_t) && recv(b, text, 64, 0) == 5); /* the client has no name */
    size = sizeof other;
    CHECK(getpeername(a, (struct sockaddr *)&other, &size) == 0 && strcmp(other.sun_path, "socket") == 0 && size == offsetof(struct sockaddr_un, sun_path) + 7);
    int again = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(FAILS(bind(again, (struct sockaddr *)&address, sizeof address), EADDRINUSE) && FAILS(open("socket", O_RDWR), ENXIO) && unlink("socket") == 0);
    int d = socket(AF_UNIX, SOCK_DGRAM, 0), e = socket(AF_UNIX, SOCK_DGRAM, 0);
    size = sizeof other;
    CHECK(bind(d, (struct sockaddr *)&address, sizeof(sa_family_t)) == 0 && getsockname(d, (struct sockaddr *)&other, &size) == 0);
    CHECK(size == sizeof(sa_family_t) + 6 && other.sun_path[0] == 0); /* a zero and five hexadecimal digits */
    CHECK(sendto(e, "datagram", 8, 0, (struct sockaddr *)&other, size) == 8 && recv(d, text, 4, MSG_TRUNC) == 8 && memcmp(text, "data", 4) == 0);
    CHECK(FAILS(recv(d, text, 64, MSG_DONTWAIT), EAGAIN) && FAILS(send(e, "x", 1, 0), ENOTCONN));
    CHECK(connect(e, (struct sockaddr *)&other, size) == 0 && close(d) == 0 && FAILS(send(e, "x", 1, 0), ECONNREFUSED));
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0 && send(pair[0], "packet", 6, 0) == 6 && send(pair[0], "next", 4, 0) == 4);
    CHECK(receive_with(pair[1], text, 3, 0, text, 0, 0, &flags) == 3 && (flags & MSG_TRUNC) && recv(pair[1], text, 64, 0) == 4);
    CHECK(close(pair[0]) == 0 && recv(pair[1], text, 64, 0) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair) == 0);
    int count = 0;
    while (count < 100000 && send(pair[0], text, 1, 0) == 1) count++;
    CHECK(errno == EAGAIN && count > 0);
    while (count > 0 && recv(pair[1], text, 1, 0) == 1) count--;
    CHECK(count == 0 && FAILS(socketpair(AF_INET, SOCK_STREAM, 0, pair), EOPNOTSUPP) && FAILS(socketpair(AF_UNIX, 9, 0, pair), ESOCKTNOSUPPORT));
    return finish("net_unix");
}
