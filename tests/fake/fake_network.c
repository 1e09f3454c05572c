#include "fake_network.h"

#include <stdlib.h>
#include <string.h>

enum {
    NUMBER_FIRST = 3, // sockets are numbered from here, the lowest free first
    PORT_FIRST = 49152,
    PORT_LAST = 65535,
    FAULTS_MAX = 64,
    SOCKET_BYTES = 64 * 1024,
};

struct fault {
    enum fake_call call;
    net_socket socket;
    int error;
};

static struct network {
    struct fake_config config;
    uint64_t random;
    struct fake_socket **sockets;
    uint32_t count;
    uint32_t port_next;
    struct net_addr client;
    struct fault faults[FAULTS_MAX];
    uint32_t fault_count;
} network = {.random = 1, .port_next = PORT_FIRST, .config = {.socket_bytes = SOCKET_BYTES}};

// splitmix64, of the public domain.
uint32_t fake_random(uint32_t below)
{
    uint64_t z = network.random += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) >> 32) % below;
}

bool fake_shuffles(void)
{
    return network.config.shuffle;
}

uint32_t fake_count(void)
{
    return network.count;
}

struct fake_socket *fake_at(uint32_t index)
{
    return network.sockets[index];
}

struct fake_socket *fake_of(net_socket number)
{
    size_t index = (size_t)(number - NUMBER_FIRST);

    CHECK(number >= NUMBER_FIRST && index < network.count && network.sockets[index] != NULL);
    CHECK(network.sockets[index]->state != FAKE_QUEUED); // nobody has this number yet
    return network.sockets[index];
}

static int socket_new(enum fake_state state, struct fake_socket **out_socket)
{
    struct fake_socket *socket;
    uint32_t index = 0;

    while (index < network.count && network.sockets[index] != NULL)
        index++;
    if (network.config.socket_max != 0 && fake_sockets_open() >= network.config.socket_max &&
        state != FAKE_QUEUED)
        return -EMFILE;
    if (index == network.count) {
        struct fake_socket **sockets =
            realloc(network.sockets, (network.count + 1) * sizeof(struct fake_socket *));

        CHECK(sockets != NULL);
        network.sockets = sockets;
        network.count++;
    }
    socket = calloc(1, sizeof(*socket));
    CHECK(socket != NULL);
    socket->state = state;
    socket->number = (net_socket)index + NUMBER_FIRST;
    list_init(&socket->backlog);
    network.sockets[index] = socket;
    *out_socket = socket;
    return 0;
}

static void socket_free(struct fake_socket *socket)
{
    network.sockets[socket->number - NUMBER_FIRST] = NULL;
    buffer_free(&socket->inbox);
    free(socket);
}

static size_t host_size(const struct net_addr *addr)
{
    return addr->family == ADDR_IPV4 ? 4 : 16;
}

static bool host_is_any(const struct net_addr *addr)
{
    static const uint8_t zero[16];

    return memcmp(addr->host, zero, host_size(addr)) == 0;
}

static bool host_is_here(const struct net_addr *addr)
{
    struct net_addr loopback = {.family = ADDR_IPV6, .host = {[15] = 1}, .port = addr->port};

    return host_is_any(addr) || (addr->family == ADDR_IPV4 && addr->host[0] == 127) ||
           addr_equal(addr, &loopback);
}

// True when a listener there hears a connection to that address.
static bool hears(const struct net_addr *listener, const struct net_addr *to)
{
    if (listener->port != to->port)
        return false;
    if (addr_is_dual_stack(listener))
        return true;
    if (listener->family != to->family)
        return false;
    return host_is_any(listener) || memcmp(listener->host, to->host, host_size(to)) == 0;
}

static struct fake_socket *listener_at(const struct net_addr *to)
{
    for (uint32_t i = 0; i < network.count; i++) {
        struct fake_socket *socket = network.sockets[i];

        if (socket != NULL && socket->state == FAKE_LISTENING && hears(&socket->local, to))
            return socket;
    }
    return NULL;
}

static uint16_t port_free(void)
{
    for (;;) {
        bool used = false;
        uint16_t port = (uint16_t)network.port_next;

        network.port_next = port == PORT_LAST ? PORT_FIRST : port + 1u;
        for (uint32_t i = 0; i < network.count && !used; i++)
            used = network.sockets[i] != NULL && network.sockets[i]->local.port == port;
        if (!used)
            return port;
    }
}

static void reset_arrives(struct fake_socket *socket)
{
    socket->reset = true;
    socket->peer = NULL;
    if (fake_random(2) == 0)
        buffer_consume(&socket->inbox, buffer_size(&socket->inbox));
    if (socket->recv == NULL && fake_random(2) == 0) {
        socket->reset_told = true; // nobody was listening: it will look like an orderly end
        buffer_consume(&socket->inbox, buffer_size(&socket->inbox));
    }
}

void fake_reset(const struct fake_config *config)
{
    for (uint32_t i = 0; i < network.count; i++)
        if (network.sockets[i] != NULL)
            socket_free(network.sockets[i]);
    free(network.sockets);
    network = (struct network){.config = *config, .random = config->seed, .port_next = PORT_FIRST};
    if (network.config.socket_bytes == 0)
        network.config.socket_bytes = SOCKET_BYTES;
}

void fake_fail(enum fake_call call, net_socket socket, int error)
{
    CHECK(network.fault_count < FAULTS_MAX && error < 0);
    network.faults[network.fault_count++] = (struct fault){call, socket, error};
}

static uint32_t fault_find(enum fake_call call, net_socket socket)
{
    uint32_t i = 0;

    while (i < network.fault_count &&
           (network.faults[i].call != call ||
            (network.faults[i].socket != NET_SOCKET_NONE && network.faults[i].socket != socket)))
        i++;
    return i;
}

bool fake_fault_waits(enum fake_call call, net_socket socket)
{
    return fault_find(call, socket) < network.fault_count;
}

int fake_fault_take(enum fake_call call, net_socket socket)
{
    uint32_t i = fault_find(call, socket);
    int error;

    if (i == network.fault_count)
        return 0;
    error = network.faults[i].error;
    network.fault_count--;
    memmove(&network.faults[i], &network.faults[i + 1],
            (network.fault_count - i) * sizeof(network.faults[0]));
    return error;
}

void fake_peer_reset(net_socket number)
{
    struct fake_socket *socket = fake_of(number);

    CHECK(socket->state == FAKE_OPEN);
    if (socket->peer != NULL)
        fake_break(socket->peer);
    else
        reset_arrives(socket);
}

void fake_peer_finish(net_socket number)
{
    struct fake_socket *socket = fake_of(number);

    CHECK(socket->state == FAKE_OPEN);
    if (socket->peer != NULL)
        socket->peer->finished = true;
    socket->peer_finished = true;
}

void fake_client_address(const struct net_addr *host)
{
    network.client = *host;
}

uint32_t fake_sockets_open(void)
{
    uint32_t open = 0;

    for (uint32_t i = 0; i < network.count; i++)
        open += network.sockets[i] != NULL && network.sockets[i]->state != FAKE_QUEUED;
    return open;
}

size_t fake_unread(net_socket socket)
{
    return buffer_size(&fake_of(socket)->inbox);
}

int fake_listen(const struct net_addr *at, uint32_t backlog, struct fake_socket **out_listener)
{
    struct fake_socket *listener;
    int rc;

    if (at->family == ADDR_NONE)
        return -EAFNOSUPPORT;
    if (!host_is_here(at))
        return -EADDRNOTAVAIL;
    for (uint32_t i = 0; i < network.count && at->port != 0; i++) {
        listener = network.sockets[i];
        if (listener != NULL && listener->state == FAKE_LISTENING &&
            (hears(&listener->local, at) || hears(at, &listener->local)))
            return -EADDRINUSE;
    }
    rc = socket_new(FAKE_LISTENING, &listener);
    if (rc < 0)
        return rc;
    listener->local = *at;
    if (at->port == 0)
        listener->local.port = port_free();
    listener->backlog_max = backlog == 0 ? 1 : backlog;
    *out_listener = listener;
    return 0;
}

int fake_make(const struct net_addr *for_peer, struct fake_socket **out_socket)
{
    return for_peer->family == ADDR_NONE ? -EAFNOSUPPORT : socket_new(FAKE_MADE, out_socket);
}

static uint32_t backlog_size(const struct fake_socket *listener)
{
    uint32_t size = 0;

    for (struct list *at = listener->backlog.next; at != &listener->backlog; at = at->next)
        size++;
    return size;
}

// Yes, also when it will be refused: a full backlog is what it waits for.
bool fake_can_connect(const struct net_addr *to)
{
    struct fake_socket *listener = listener_at(to);

    return listener == NULL || backlog_size(listener) < listener->backlog_max;
}

int fake_connect(struct fake_socket *socket, const struct net_addr *to)
{
    struct fake_socket *listener = listener_at(to);
    struct fake_socket *server;
    struct net_addr client = {.family = to->family, .host = {127, 0, 0, 1}};

    if (socket->state != FAKE_MADE)
        return -EISCONN;
    if (listener == NULL)
        return -ECONNREFUSED;
    if (to->family == ADDR_IPV6)
        client = (struct net_addr){.family = ADDR_IPV6, .host = {[15] = 1}};
    if (network.client.family == to->family)
        client = network.client;
    client.port = port_free();
    CHECK(socket_new(FAKE_QUEUED, &server) == 0);
    socket->state = FAKE_OPEN;
    socket->local = server->remote = client;
    socket->remote = server->local = *to;
    socket->peer = server;
    server->peer = socket;
    list_push(&listener->backlog, &server->backlog);
    return 0;
}

static struct fake_socket *backlog_pop(struct fake_socket *listener)
{
    struct list *first = list_pop(&listener->backlog);

    return first == NULL ? NULL : container_of(first, struct fake_socket, backlog);
}

int fake_accept(struct fake_socket *listener, net_socket *out_accepted)
{
    struct fake_socket *server;

    if (network.config.socket_max != 0 && fake_sockets_open() >= network.config.socket_max)
        return -EMFILE;
    server = backlog_pop(listener);
    if (server == NULL)
        return -EAGAIN;
    if (server->reset && fake_random(2) == 0) {
        socket_free(server);
        return -ECONNABORTED;
    }
    server->state = FAKE_OPEN;
    *out_accepted = server->number;
    return 0;
}

void fake_accept_lose(struct fake_socket *listener)
{
    struct fake_socket *server = backlog_pop(listener);

    if (server == NULL)
        return;
    if (server->peer != NULL)
        reset_arrives(server->peer);
    socket_free(server);
}

// How much of it moves now.
static size_t piece(size_t size)
{
    if (!network.config.pieces || size <= 1)
        return size;
    if (fake_random(4) == 0)
        return 1 + fake_random(size < 8 ? (uint32_t)size : 8); // a few bytes: headers come apart
    return 1 + fake_random((uint32_t)size);
}

bool fake_can_recv(const struct fake_socket *socket)
{
    return socket->state != FAKE_OPEN || buffer_size(&socket->inbox) > 0 || socket->peer_finished ||
           socket->reset;
}

int fake_recv(struct fake_socket *socket, uint8_t *into, size_t capacity)
{
    size_t size = buffer_size(&socket->inbox);

    if (socket->state != FAKE_OPEN)
        return -ENOTCONN;
    if (size > 0) {
        size = piece(size < capacity ? size : capacity);
        memcpy(into, buffer_data(&socket->inbox), size);
        buffer_consume(&socket->inbox, size);
        return (int)size;
    }
    if (socket->reset && !socket->reset_told) {
        socket->reset_told = true;
        return -ECONNRESET;
    }
    return socket->reset || socket->peer_finished ? 0 : -EAGAIN;
}

bool fake_can_send(const struct fake_socket *socket)
{
    return socket->state != FAKE_OPEN || socket->reset || socket->finished ||
           socket->peer == NULL || buffer_size(&socket->peer->inbox) < network.config.socket_bytes;
}

static void inbox_append(struct fake_socket *to, const struct bytes *slices, uint32_t count,
                         size_t size)
{
    for (uint32_t i = 0; i < count && size > 0; i++) {
        size_t n = slices[i].size < size ? slices[i].size : size;

        CHECK(n == 0 || buffer_append(&to->inbox, slices[i].data, n) == 0);
        size -= n;
    }
}

int fake_send(struct fake_socket *socket, const struct bytes *slices, uint32_t count)
{
    size_t size = 0;
    size_t room;

    if (socket->state != FAKE_OPEN)
        return -ENOTCONN;
    if (socket->finished)
        return -EPIPE;
    if (socket->reset) {
        socket->reset_told = true;
        return -ECONNRESET;
    }
    for (uint32_t i = 0; i < count; i++)
        size += slices[i].size;
    if (socket->peer == NULL) { // it closed: this goes nowhere, and a RST comes back
        reset_arrives(socket);
        return (int)piece(size);
    }
    room = network.config.socket_bytes - buffer_size(&socket->peer->inbox);
    if (room == 0)
        return -EAGAIN;
    size = piece(size < room ? size : room);
    inbox_append(socket->peer, slices, count, size);
    return (int)size;
}

void fake_close(struct fake_socket *socket, enum port_close_mode mode)
{
    struct fake_socket *peer = socket->peer;

    while (socket->state == FAKE_LISTENING && !list_empty(&socket->backlog))
        fake_accept_lose(socket);
    if (peer != NULL) {
        peer->peer = NULL;
        // What was not read is answered by RST, as every TCP does.
        if (mode == PORT_CLOSE_RESET || buffer_size(&socket->inbox) > 0)
            reset_arrives(peer);
        else
            peer->peer_finished = true;
    }
    socket_free(socket);
}

void fake_break(struct fake_socket *socket)
{
    if (socket->peer != NULL)
        reset_arrives(socket->peer);
    socket->peer = NULL;
    socket->reset = true;
    socket->reset_told = true;
}
