/* TCP over loopback: connecting and accepting, non-blocking connect, order and end of the stream, half-close, peeking, time
 * limits, options, reset, refusal. tcp(7), socket(7), connect(2), accept(2), recv(2), shutdown(2). */
#include "../lib/sys.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static struct sockaddr_in address;

static int connected(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ? fd : -1;
}

static int option(int fd, int level, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    return getsockopt(fd, level, name, &value, &size) == 0 && size == sizeof value ? value : -1;
}

static int set_option(int fd, int level, int name, int value) {
    return setsockopt(fd, level, name, &value, sizeof value);
}

static void *sends_much(void *argument) {
    static char block[100000];
    int fd = *(int *)argument;
    for (int i = 0; i < 40; i++) {
        memset(block, 'a' + i % 26, sizeof block);
        for (size_t done = 0; done < sizeof block;) {
            ssize_t n = send(fd, block + done, sizeof block - done, 0);
            if (n <= 0) return NULL;
            done += (size_t)n;
        }
    }
    shutdown(fd, SHUT_WR);
    return argument;
}

int main(void) {
    begin();
    char text[64];
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    CHECK(set_option(listener, SOL_SOCKET, SO_REUSEADDR, 1) == 0 && bind(listener, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &size) == 0 && size == sizeof address && address.sin_port != 0);
    CHECK(option(listener, SOL_SOCKET, SO_ACCEPTCONN) == 0);
    int early = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(FAILS(connect(early, (struct sockaddr *)&address, sizeof address), ECONNREFUSED) && close(early) == 0);
    CHECK(listen(listener, 10) == 0 && option(listener, SOL_SOCKET, SO_ACCEPTCONN) == 1);
    int a = connected();
    struct sockaddr_in peer, own;
    size = sizeof peer;
    int b = accept4(listener, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    CHECK(a >= 0 && b >= 0 && fcntl(b, F_GETFD) == FD_CLOEXEC && (fcntl(b, F_GETFL) & O_NONBLOCK) && size == sizeof peer);
    size = sizeof own;
    CHECK(getsockname(a, (struct sockaddr *)&own, &size) == 0 && own.sin_port == peer.sin_port && peer.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    CHECK(getpeername(a, (struct sockaddr *)&own, &size) == 0 && own.sin_port == address.sin_port);
    CHECK(FAILS(recv(b, text, 64, 0), EAGAIN) && send(a, "hello", 5, 0) == 5);
    struct pollfd wanted = {.fd = b, .events = POLLIN | POLLRDHUP};
    int waiting = 0;
    CHECK(poll(&wanted, 1, 5000) == 1 && wanted.revents == POLLIN && ioctl(b, FIONREAD, &waiting) == 0 && waiting == 5);
    CHECK(recv(b, text, 3, MSG_PEEK) == 3 && recv(b, text, 64, 0) == 5 && memcmp(text, "hello", 5) == 0);
    CHECK(fcntl(b, F_SETFL, 0) == 0 && FAILS(recv(b, text, 64, MSG_DONTWAIT), EAGAIN));
    struct timeval limit = {0, 20000};
    CHECK(setsockopt(b, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 && FAILS(recv(b, text, 64, 0), EAGAIN));
    limit.tv_usec = 0;
    CHECK(setsockopt(b, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    CHECK(set_option(a, IPPROTO_TCP, TCP_NODELAY, 1) == 0 && option(a, IPPROTO_TCP, TCP_NODELAY) == 1);
    CHECK(set_option(a, SOL_SOCKET, SO_KEEPALIVE, 1) == 0 && option(a, SOL_SOCKET, SO_KEEPALIVE) == 1);
    CHECK(set_option(a, SOL_SOCKET, SO_SNDBUF, 20000) == 0 && option(a, SOL_SOCKET, SO_SNDBUF) == 40000); /* doubled */
    CHECK(option(a, SOL_SOCKET, SO_TYPE) == SOCK_STREAM && option(a, SOL_SOCKET, SO_DOMAIN) == AF_INET && option(a, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP && option(a, SOL_SOCKET, SO_ERROR) == 0);
    CHECK(FAILS(set_option(a, SOL_SOCKET, 9999, 1), ENOPROTOOPT) && FAILS(setsockopt(a, SOL_SOCKET, SO_KEEPALIVE, text, 1), EINVAL));

    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, sends_much, &a) == 0);
    static char block[30000];
    size_t total = 0, wrong = 0;
    ssize_t n;
    while ((n = recv(b, block, sizeof block, 0)) > 0) {
        for (ssize_t i = 0; i < n; i++, total++) wrong += block[i] != (char)('a' + total / 100000 % 26);
    }
    CHECK(n == 0 && total == 4000000 && wrong == 0 && pthread_join(thread, NULL) == 0);
    CHECK(poll(&wanted, 1, 0) == 1 && (wanted.revents & POLLRDHUP) && !(wanted.revents & POLLHUP));
    CHECK(FAILS(send(a, "x", 1, MSG_NOSIGNAL), EPIPE) && send(b, "back", 4, 0) == 4); /* the other half is open */
    CHECK(recv(a, text, 4, MSG_WAITALL) == 4 && shutdown(b, SHUT_WR) == 0 && recv(a, text, 64, 0) == 0 && close(a) == 0 && close(b) == 0);

    int c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int result = connect(c, (struct sockaddr *)&address, sizeof address);
    CHECK(result == 0 || errno == EINPROGRESS);
    wanted = (struct pollfd){.fd = c, .events = POLLOUT};
    CHECK(poll(&wanted, 1, 5000) == 1 && (wanted.revents & POLLOUT) && option(c, SOL_SOCKET, SO_ERROR) == 0);
    CHECK(FAILS(connect(c, (struct sockaddr *)&address, sizeof address), EISCONN) || connect(c, (struct sockaddr *)&address, sizeof address) == -1);
    int d = accept(listener, NULL, NULL);
    struct linger abrupt = {1, 0};
    CHECK(setsockopt(d, SOL_SOCKET, SO_LINGER, &abrupt, sizeof abrupt) == 0 && close(d) == 0); /* sends a reset */
    wanted.events = POLLIN;
    CHECK(poll(&wanted, 1, 5000) == 1 && (wanted.revents & (POLLERR | POLLHUP)) && FAILS(recv(c, text, 64, 0), ECONNRESET) && recv(c, text, 64, 0) == 0);
    int other = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(FAILS(bind(other, (struct sockaddr *)&address, sizeof address), EADDRINUSE) && FAILS(accept(other, NULL, NULL), EINVAL));
    CHECK(FAILS(send(other, "x", 1, MSG_NOSIGNAL), EPIPE) && FAILS(recv(other, text, 1, 0), ENOTCONN) && FAILS(shutdown(other, SHUT_RD), ENOTCONN));
    CHECK(FAILS(getpeername(other, (struct sockaddr *)&own, &size), ENOTCONN) && FAILS(bind(other, (struct sockaddr *)&address, 3), EINVAL));
    CHECK(FAILS(accept(1, NULL, NULL), ENOTSOCK) && FAILS(socket(AF_INET, 9, 0), ESOCKTNOSUPPORT) && FAILS(socket(999, SOCK_STREAM, 0), EAFNOSUPPORT));
    return finish("net_tcp");
}
