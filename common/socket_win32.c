// Sockets for port_iocp.c, and the functions of port.h that need no completion port.
#include "socket_win32.h"

#include <winsock2.h>
#include <ws2tcpip.h>
#include <mswsock.h>
#include <string.h>

#include "error_win32.h"
#include "log.h"

_Static_assert(sizeof(struct sockaddr_in6) == SOCKET_NAME_MAX, "room for either family");

union name {
    struct sockaddr any;
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
    struct sockaddr_storage storage;
};

static int last_error(void)
{
    return socket_error((uint32_t)WSAGetLastError());
}

// Neither fails on a TCP socket; the connection's own state shows with the next operation.
static void set_non_blocking(SOCKET socket)
{
    u_long on = 1;

    (void)ioctlsocket(socket, (long)FIONBIO, &on);
}

static void set_flag(SOCKET socket, int level, int option, DWORD value)
{
    (void)setsockopt(socket, level, option, (const char *)&value, sizeof(value));
}

static void addr_from_name(const union name *name, struct net_addr *out_addr)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    struct net_addr addr = {0};

    if (name->any.sa_family == AF_INET) {
        addr.family = ADDR_IPV4;
        addr.port = ntohs(name->ipv4.sin_port);
        memcpy(addr.host, &name->ipv4.sin_addr, 4);
    } else {
        const uint8_t *host = (const uint8_t *)&name->ipv6.sin6_addr;
        bool is_ipv4 = memcmp(host, mapped, sizeof(mapped)) == 0;

        addr.family = is_ipv4 ? ADDR_IPV4 : ADDR_IPV6;
        addr.port = ntohs(name->ipv6.sin6_port);
        memcpy(addr.host, is_ipv4 ? host + sizeof(mapped) : host, is_ipv4 ? 4 : 16);
    }
    *out_addr = addr;
}

static int bind_exclusively(SOCKET socket, const struct net_addr *at)
{
    unsigned char name[SOCKET_NAME_MAX];
    int size = socket_name(at, name);

    // Without it another program could bind the same port with SO_REUSEADDR and take the clients:
    // learn.microsoft.com, "Using SO_REUSEADDR and SO_EXCLUSIVEADDRUSE".
    set_flag(socket, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, 1);
    if (addr_is_dual_stack(at))
        set_flag(socket, IPPROTO_IPV6, IPV6_V6ONLY, 0); // Windows' default is 1
    if (bind(socket, (const struct sockaddr *)(const void *)name, size) == 0)
        return 0;
    // No port is for the administrator alone here: access is denied when another program has the
    // address exclusively (bind's page, WSAEACCES), or Windows keeps the port for itself.
    return WSAGetLastError() == WSAEACCES ? -EADDRINUSE : last_error();
}

int socket_error(uint32_t code)
{
    int error = error_from_windows(code);

    log_debug("port", "windows error %u is '%s'", (unsigned)code, error_text(error));
    return error;
}

int socket_open(enum addr_family family, net_socket *out_socket)
{
    SOCKET socket = WSASocketW(family == ADDR_IPV6 ? AF_INET6 : AF_INET, SOCK_STREAM, IPPROTO_TCP,
                               NULL, 0, WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);

    if (socket == INVALID_SOCKET)
        return last_error();
    set_non_blocking(socket);
    set_flag(socket, IPPROTO_TCP, TCP_NODELAY, 1);
    *out_socket = (net_socket)socket;
    return 0;
}

int socket_name(const struct net_addr *addr, unsigned char out_name[SOCKET_NAME_MAX])
{
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(addr->port)};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(addr->port)};

    if (addr->family == ADDR_IPV6) {
        memcpy(&ipv6.sin6_addr, addr->host, 16);
        memcpy(out_name, &ipv6, sizeof(ipv6));
        return sizeof(ipv6);
    }
    memcpy(&ipv4.sin_addr, addr->host, 4);
    memcpy(out_name, &ipv4, sizeof(ipv4));
    return sizeof(ipv4);
}

enum addr_family socket_family(net_socket socket)
{
    union name name;
    int size = sizeof(name);

    if (getsockname((SOCKET)socket, &name.any, &size) != 0)
        return ADDR_NONE;
    return name.any.sa_family == AF_INET6 ? ADDR_IPV6 : ADDR_IPV4;
}

int socket_bind_any(net_socket socket, enum addr_family family)
{
    struct net_addr any = {.family = family};
    unsigned char name[SOCKET_NAME_MAX];
    int size = socket_name(&any, name);

    if (bind((SOCKET)socket, (const struct sockaddr *)(const void *)name, size) == 0 ||
        WSAGetLastError() == WSAEINVAL) // bound already
        return 0;
    return last_error();
}

int socket_finish_accept(net_socket socket, net_socket listener)
{
    SOCKET from = (SOCKET)listener;

    // Wine works without it; on Windows shutdown, getpeername and more fail then: AcceptEx's page.
    if (setsockopt((SOCKET)socket, SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, (const char *)&from,
                   sizeof(from)) != 0)
        return last_error();
    set_non_blocking((SOCKET)socket);
    set_flag((SOCKET)socket, IPPROTO_TCP, TCP_NODELAY, 1);
    return 0;
}

int socket_finish_connect(net_socket socket)
{
    if (setsockopt((SOCKET)socket, SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT, NULL, 0) != 0)
        return last_error();
    return 0;
}

int port_listen(struct port *port, const struct net_addr *at, uint32_t backlog,
                net_socket *out_listener)
{
    net_socket listener;
    int rc = socket_open(at->family, &listener);

    if (rc != 0)
        return rc;
    rc = bind_exclusively((SOCKET)listener, at);
    if (rc == 0) {
        // SOMAXCONN_HINT: a plain number above 200 is cut to 200, a negative one is not: listen's
        // page.
        int wanted = (int)(backlog < 65535 ? backlog : 65535);

        wanted = wanted > 200 ? -wanted : wanted;
        rc = listen((SOCKET)listener, wanted) == 0 ? 0 : last_error();
    }
    if (rc == 0)
        rc = port_adopt(port, listener);
    if (rc != 0) {
        closesocket((SOCKET)listener);
        return rc;
    }
    *out_listener = listener;
    return 0;
}

int port_socket(struct port *port, const struct net_addr *for_peer, net_socket *out_socket)
{
    net_socket socket;
    int rc = socket_open(for_peer->family, &socket);

    if (rc == 0) {
        rc = port_adopt(port, socket);
        if (rc != 0)
            closesocket((SOCKET)socket);
    }
    if (rc == 0)
        *out_socket = socket;
    return rc;
}

void port_discard(net_socket socket, enum port_close_mode mode)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    if (mode == PORT_CLOSE_RESET)
        (void)setsockopt((SOCKET)socket, SOL_SOCKET, SO_LINGER, (const char *)&now, sizeof(now));
    // Other failures (the network is down) close it all the same.
    CHECK(closesocket((SOCKET)socket) == 0 || WSAGetLastError() != WSAENOTSOCK);
}

int port_addr_local(net_socket socket, struct net_addr *out_addr)
{
    union name name;
    int size = sizeof(name);

    if (getsockname((SOCKET)socket, &name.any, &size) != 0)
        return last_error();
    addr_from_name(&name, out_addr);
    return 0;
}

int port_addr_peer(net_socket socket, struct net_addr *out_addr)
{
    union name name;
    int size = sizeof(name);

    if (getpeername((SOCKET)socket, &name.any, &size) != 0)
        return last_error();
    addr_from_name(&name, out_addr);
    return 0;
}

int port_shutdown(net_socket socket)
{
    return shutdown((SOCKET)socket, SD_SEND) == 0 ? 0 : last_error();
}
