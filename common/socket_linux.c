#include "socket_linux.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static socklen_t addr_to_os(const struct net_addr *addr, struct sockaddr_storage *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

    memset(out, 0, sizeof(*out));
    if (addr->family == ADDR_IPV4) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(addr->port);
        memcpy(&v4->sin_addr, addr->host, 4);
        return sizeof(*v4);
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(addr->port);
    memcpy(&v6->sin6_addr, addr->host, 16);
    return sizeof(*v6);
}

static int addr_from_os(const struct sockaddr_storage *from, struct net_addr *out)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;
    struct net_addr addr = {0};

    if (from->ss_family == AF_INET) {
        addr.family = ADDR_IPV4;
        addr.port = ntohs(v4->sin_port);
        memcpy(addr.host, &v4->sin_addr, 4);
    } else if (from->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        addr.family = ADDR_IPV4;
        addr.port = ntohs(v6->sin6_port);
        memcpy(addr.host, v6->sin6_addr.s6_addr + 12, 4);
    } else if (from->ss_family == AF_INET6) {
        addr.family = ADDR_IPV6;
        addr.port = ntohs(v6->sin6_port);
        memcpy(addr.host, &v6->sin6_addr, 16);
    } else {
        return -EAFNOSUPPORT;
    }
    *out = addr;
    return 0;
}

static int option_set(int socket, int level, int option, int value)
{
    return setsockopt(socket, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

// No room for a socket has many names; the answer to each is the same: back off.
static int error_of_room(int error)
{
    switch (error) {
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return -EMFILE;
    default:
        return -error;
    }
}

int socket_make(const struct net_addr *for_peer)
{
    int family = for_peer->family == ADDR_IPV4 ? AF_INET : AF_INET6;
    int fd;

    if (for_peer->family == ADDR_NONE)
        return -EAFNOSUPPORT;
    fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_of_room(errno);
    option_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    return fd;
}

int socket_listen(const struct net_addr *at, uint32_t backlog)
{
    struct sockaddr_storage address = {0};
    socklen_t size = addr_to_os(at, &address);
    int fd = socket_make(at);
    int rc = 0;

    if (fd < 0)
        return fd;
    if (at->family == ADDR_IPV6)
        rc = option_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, !addr_is_dual_stack(at));
    // Here it only lets a new listener take an address whose old connections are in TIME_WAIT; two
    // listeners never share one (socket(7)). On Windows the same name means theft.
    if (rc == 0)
        rc = option_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (rc == 0 && bind(fd, (const struct sockaddr *)&address, size) < 0)
        rc = -errno;
    if (rc == 0 && listen(fd, backlog > INT32_MAX ? INT32_MAX : (int)backlog) < 0)
        rc = -errno;
    if (rc < 0) {
        close(fd);
        return rc;
    }
    return fd;
}

int socket_accept(int listener)
{
    int fd;

    do
        fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return error_of_room(errno);
    option_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    return fd;
}

int socket_connect(int socket, const struct net_addr *to)
{
    struct sockaddr_storage address = {0};
    socklen_t size = addr_to_os(to, &address);

    if (connect(socket, (const struct sockaddr *)&address, size) == 0)
        return 0;
    return errno == EINTR ? -EINPROGRESS : -errno; // interrupted: it goes on by itself, connect(2)
}

int socket_error(int socket)
{
    int error = 0;
    socklen_t size = sizeof(error);

    if (getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        return -errno;
    return -error;
}

int socket_recv(int socket, void *into, size_t capacity)
{
    ssize_t n;

    do
        n = recv(socket, into, capacity, 0);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : (int)n;
}

int socket_send(int socket, const struct bytes *slices, uint32_t count)
{
    struct iovec parts[PORT_SLICES_MAX];
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    ssize_t n;

    CHECK(count <= PORT_SLICES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        parts[i].iov_base = (void *)(uintptr_t)slices[i].data; // sendmsg() only reads
        parts[i].iov_len = slices[i].size;
    }
    do
        n = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : (int)n; // at most 0x7ffff000, send(2)
}

void port_discard(net_socket socket, enum port_close_mode mode)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};

    if (mode == PORT_CLOSE_RESET)
        setsockopt((int)socket, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close((int)socket); // gone even when it says EINTR, close(2)
}

int port_addr_local(net_socket socket, struct net_addr *out_addr)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof(address);

    if (getsockname((int)socket, (struct sockaddr *)&address, &size) < 0)
        return -errno;
    return addr_from_os(&address, out_addr);
}

int port_addr_peer(net_socket socket, struct net_addr *out_addr)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof(address);

    if (getpeername((int)socket, (struct sockaddr *)&address, &size) < 0)
        return -errno;
    return addr_from_os(&address, out_addr);
}

int port_shutdown(net_socket socket)
{
    return shutdown((int)socket, SHUT_WR) < 0 ? -errno : 0;
}
