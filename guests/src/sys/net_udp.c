/* UDP over loopback: datagrams stay whole, truncation is told, sendmmsg and recvmmsg, connected sockets and refusal, ancillary
 * data, IPv6 where there is one. udp(7), recvmsg(2), sendmmsg(2), recvmmsg(2). */
#include "../lib/sys.h"
#include <arpa/inet.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static struct sockaddr_in address_of(int fd) {
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    getsockname(fd, (struct sockaddr *)&address, &size);
    return address;
}

static int bound(void) {
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    return bind(fd, (struct sockaddr *)&any, sizeof any) == 0 ? fd : -1;
}

int main(void) {
    begin();
    char text[64];
    int a = bound(), b = bound();
    struct sockaddr_in at_a = address_of(a), at_b = address_of(b), from;
    socklen_t size = sizeof from;
    CHECK(sendto(a, "one", 3, 0, (struct sockaddr *)&at_b, sizeof at_b) == 3 && sendto(a, "second", 6, 0, (struct sockaddr *)&at_b, sizeof at_b) == 6);
    CHECK(sendto(a, "", 0, 0, (struct sockaddr *)&at_b, sizeof at_b) == 0);
    int waiting = -1;
    CHECK(ioctl(b, FIONREAD, &waiting) == 0 && waiting == 3); /* of the next datagram */
    CHECK(recvfrom(b, text, 64, 0, (struct sockaddr *)&from, &size) == 3 && from.sin_port == at_a.sin_port && size == sizeof from);
    CHECK(recv(b, text, 2, MSG_PEEK) == 2 && recv(b, text, 2, MSG_TRUNC | MSG_PEEK) == 6);
    struct iovec part = {text, 4};
    struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1};
    CHECK(recvmsg(b, &message, 0) == 4 && (message.msg_flags & MSG_TRUNC) && memcmp(text, "seco", 4) == 0);
    CHECK(recv(b, text, 64, 0) == 0 && FAILS(recv(b, text, 64, MSG_DONTWAIT), EAGAIN)); /* an empty one is one */
    struct mmsghdr several[5];
    struct iovec parts[5];
    char rooms[5][16];
    memset(several, 0, sizeof several);
    for (int i = 0; i < 5; i++) {
        snprintf(rooms[i], 16, "message %d", i);
        parts[i] = (struct iovec){rooms[i], strlen(rooms[i]) - (i == 2)};
        several[i].msg_hdr = (struct msghdr){.msg_name = &at_b, .msg_namelen = sizeof at_b, .msg_iov = &parts[i], .msg_iovlen = 1};
    }
    CHECK(sendmmsg(a, several, 5, 0) == 5 && several[0].msg_len == 9 && several[2].msg_len == 8);
    for (int i = 0; i < 5; i++) {
        memset(rooms[i], 0, 16);
        parts[i].iov_len = 16;
        several[i].msg_hdr.msg_name = NULL;
        several[i].msg_hdr.msg_namelen = 0;
    }
    CHECK(recvmmsg(b, several, 3, 0, NULL) == 3 && several[1].msg_len == 9 && strcmp(rooms[1], "message 1") == 0);
    struct timespec limit = {1, 0};
    CHECK(recvmmsg(b, several, 5, MSG_WAITFORONE, &limit) == 2 && strcmp(rooms[1], "message 4") == 0);
    CHECK(FAILS(recvmmsg(b, several, 5, MSG_DONTWAIT, NULL), EAGAIN));
    int on = 1;
    CHECK(setsockopt(b, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) == 0 && sendto(a, "info", 4, 0, (struct sockaddr *)&at_b, sizeof at_b) == 4);
    _Alignas(8) char control[200];
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    CHECK(recvmsg(b, &message, 0) == 4);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    CHECK(header && header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO);
    struct in_pktinfo info;
    if (header) memcpy(&info, CMSG_DATA(header), sizeof info);
    CHECK(info.ipi_addr.s_addr == htonl(INADDR_LOOPBACK) && info.ipi_ifindex > 0);

    CHECK(connect(a, (struct sockaddr *)&at_b, sizeof at_b) == 0 && send(a, "conn", 4, 0) == 4 && recv(b, text, 64, 0) == 4);
    int c = bound();
    CHECK(sendto(c, "other", 5, 0, (struct sockaddr *)&at_a, sizeof at_a) == 5 && FAILS(recv(a, text, 64, MSG_DONTWAIT), EAGAIN)); /* only from its peer */
    CHECK(sendto(b, "peer", 4, 0, (struct sockaddr *)&at_a, sizeof at_a) == 4 && recv(a, text, 64, 0) == 4);
    CHECK(close(b) == 0 && send(a, "gone", 4, 0) == 4 && FAILS(recv(a, text, 64, 0), ECONNREFUSED));
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    CHECK(connect(a, &none, sizeof none) == 0 && FAILS(send(a, "x", 1, 0), EDESTADDRREQ));
    static char big[70000];
    CHECK(FAILS(sendto(a, big, sizeof big, 0, (struct sockaddr *)&at_a, sizeof at_a), EMSGSIZE));
    CHECK(FAILS(sendto(a, "x", 1, 0, (struct sockaddr *)&at_a, 4), EINVAL) && FAILS(listen(a, 1), EOPNOTSUPP));
    int six = socket(AF_INET6, SOCK_DGRAM, 0);
    struct sockaddr_in6 self = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t six_size = sizeof self;
    int has_six = six >= 0 && bind(six, (struct sockaddr *)&self, sizeof self) == 0;
    CHECK(!has_six || (getsockname(six, (struct sockaddr *)&self, &six_size) == 0 && sendto(six, "six", 3, 0, (struct sockaddr *)&self, sizeof self) == 3 && recv(six, text, 64, 0) == 3));
    CHECK(inet_pton(AF_INET, "127.0.0.1", &from.sin_addr) == 1 && from.sin_addr.s_addr == htonl(0x7f000001) && strcmp(inet_ntop(AF_INET, &from.sin_addr, text, 64), "127.0.0.1") == 0);
    return finish("net_udp");
}
