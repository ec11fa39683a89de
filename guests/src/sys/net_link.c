/* A NETLINK_ROUTE dump of links has the loopback interface, in well-formed messages up to NLMSG_DONE; the interface calls
 * agree with it. netlink(7), rtnetlink(7), netdevice(7), if_nametoindex(3). */
#include "../lib/sys.h"
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int loopback_index, loopback_flags, messages, done, malformed;

static void look(char *data, size_t size) {
    for (struct nlmsghdr *header = (struct nlmsghdr *)(void *)data; NLMSG_OK(header, size); header = NLMSG_NEXT(header, size)) {
        messages++;
        malformed += header->nlmsg_seq != 77;
        if (header->nlmsg_type == NLMSG_DONE) {
            done = 1;
            return;
        }
        if (header->nlmsg_type != RTM_NEWLINK) {
            malformed++;
            continue;
        }
        struct ifinfomsg *link = NLMSG_DATA(header);
        size_t length = IFLA_PAYLOAD(header);
        for (struct rtattr *part = IFLA_RTA(link); RTA_OK(part, length); part = RTA_NEXT(part, length)) {
            if (part->rta_type == IFLA_IFNAME && strcmp(RTA_DATA(part), "lo") == 0) {
                loopback_index = link->ifi_index;
                loopback_flags = (int)link->ifi_flags;
            }
        }
    }
}

int main(void) {
    begin();
    static _Alignas(8) char buffer[65536];
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    struct sockaddr_nl own = {.nl_family = AF_NETLINK}, from;
    socklen_t size = sizeof own;
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&own, sizeof own) == 0 && getsockname(fd, (struct sockaddr *)&own, &size) == 0 && own.nl_pid != 0);
    struct { struct nlmsghdr header; struct ifinfomsg link; } request = {
        .header = {.nlmsg_len = sizeof request, .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP, .nlmsg_seq = 77},
        .link = {.ifi_family = AF_UNSPEC}};
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    CHECK(sendto(fd, &request, sizeof request, 0, (struct sockaddr *)&kernel, sizeof kernel) == sizeof request);
    struct timeval limit = {5, 0};
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    int from_kernel = 1;
    while (!done) {
        size = sizeof from;
        ssize_t n = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &size);
        if (n <= 0) break;
        from_kernel &= from.nl_pid == 0;
        look(buffer, (size_t)n);
    }
    CHECK(done && messages >= 2 && malformed == 0 && from_kernel);
    CHECK(loopback_index > 0 && (loopback_flags & IFF_LOOPBACK) && (int)if_nametoindex("lo") == loopback_index);
    char name[IF_NAMESIZE];
    CHECK(if_indextoname((unsigned)loopback_index, name) && strcmp(name, "lo") == 0 && if_nametoindex("no-such-one") == 0);
    int any = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq query = {.ifr_name = "lo"};
    CHECK(ioctl(any, SIOCGIFFLAGS, &query) == 0 && (query.ifr_flags & IFF_LOOPBACK));
    CHECK(ioctl(any, SIOCGIFINDEX, &query) == 0 && query.ifr_ifindex == loopback_index);
    strcpy(query.ifr_name, "no-such-one");
    CHECK(FAILS(ioctl(any, SIOCGIFINDEX, &query), ENODEV));
    request.header.nlmsg_type = 0x7fff; /* refused with a message of its own */
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    CHECK(sendto(fd, &request, sizeof request, 0, (struct sockaddr *)&kernel, sizeof kernel) == sizeof request);
    CHECK(recv(fd, buffer, sizeof buffer, 0) > 0);
    struct nlmsghdr *header = (struct nlmsghdr *)(void *)buffer;
    CHECK(header->nlmsg_type == NLMSG_ERROR && header->nlmsg_seq == 77 && ((struct nlmsgerr *)NLMSG_DATA(header))->error < 0);
    CHECK(FAILS(socket(AF_NETLINK, SOCK_RAW, 999), EPROTONOSUPPORT));
    return finish("net_link");
}
