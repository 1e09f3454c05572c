// Windows' own completion port behind port.h. What Windows completes at once waits in the ready
// list for the next port_poll().
#include "port.h"

#include <winsock2.h>
#include <mswsock.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "socket_win32.h"

enum {
    BATCH = 128,                      // completions that one poll takes
    BUCKETS = 256,                    // of receives by socket
    NAME_ROOM = SOCKET_NAME_MAX + 16, // what AcceptEx wants for an address
    SEND_BYTES_MAX = 1024 * 1024,     // of one WSASend: the system may lock them in memory
};

enum op_kind { OP_ACCEPT, OP_CONNECT, OP_RECV, OP_SEND, OP_CLOSE, OP_POST };

// What port_op.os holds.
struct op_os {
    OVERLAPPED overlapped;
    enum op_kind kind;
    bool cancelled; // a receive: port_cancel() was called since its submit
    net_socket socket;
    net_socket accepted;
    struct list node; // a receive: in its bucket
    unsigned char names[2 * NAME_ROOM];
};

_Static_assert(sizeof(struct op_os) <= PORT_OP_OS_SIZE, "port_op.os has room for the twin's state");

struct port {
    HANDLE handle;
    DWORD owner; // thread id
    LPFN_ACCEPTEX accept_ex;
    LPFN_CONNECTEX connect_ex;
    uint32_t op_count_max;
    uint32_t in_flight;
    bool queues_success;         // an operation that succeeds at once sends a packet all the same
    struct port_op *ready_first; // in order of submit
    struct port_op *ready_last;
    struct list receives[BUCKETS]; // receives in flight
    OVERLAPPED_ENTRY batch[BATCH];
    uint8_t received[PORT_RECV_BYTES_MAX]; // lent to the receive that is being done
};

static struct op_os *os_of(struct port_op *op)
{
    return (struct op_os *)(void *)op->os.raw;
}

static struct port_op *op_of(OVERLAPPED *overlapped)
{
    return container_of((unsigned char *)container_of(overlapped, struct op_os, overlapped),
                        struct port_op, os.raw);
}

static struct list *bucket(struct port *port, net_socket socket)
{
    return &port->receives[((uintptr_t)socket >> 2) % BUCKETS]; // handles are multiples of four
}

static struct op_os *begin(struct port *port, struct port_op *op, enum op_kind kind,
                           net_socket socket)
{
    struct op_os *os = os_of(op);

    CHECK(port->owner == GetCurrentThreadId());
    CHECK(!op->in_flight);
    CHECK(op->done != NULL);
    CHECK(port->in_flight < port->op_count_max);
    port->in_flight++;
    op->in_flight = true;
    op->error = 0;
    op->bytes = 0;
    op->data = NULL;
    op->accepted = NET_SOCKET_NONE;
    memset(os, 0, sizeof(*os));
    os->kind = kind;
    os->socket = socket;
    os->accepted = NET_SOCKET_NONE;
    list_init(&os->node);
    return os;
}

// The op comes home with the next port_poll().
static void make_ready(struct port *port, struct port_op *op, int error)
{
    op->error = error;
    op->next = NULL;
    if (port->ready_last != NULL)
        port->ready_last->next = op;
    else
        port->ready_first = op;
    port->ready_last = op;
}

// What a call said that started an operation. No packet will come of a failure, and in general none
// of a success at once.
static void started(struct port *port, struct port_op *op, bool success)
{
    DWORD code = success ? 0 : (DWORD)WSAGetLastError();

    if (success && !port->queues_success)
        make_ready(port, op, 0);
    else if (!success && code != ERROR_IO_PENDING)
        make_ready(port, op, socket_error(code));
}

// A receive of no bytes: finishes when something can be received, and holds no buffer until then.
static void start_receive(struct port *port, struct port_op *op)
{
    struct op_os *os = os_of(op);
    WSABUF nothing = {.len = 0, .buf = (char *)port->received};
    DWORD flags = 0;

    memset(&os->overlapped, 0, sizeof(os->overlapped));
    started(port, op,
            WSARecv((SOCKET)os->socket, &nothing, 1, NULL, &flags, &os->overlapped, NULL) == 0);
}

// Takes the bytes that a finished receive announced, into the port's one buffer. False when there
// were none after all, and the receive goes on.
static bool receive(struct port *port, struct port_op *op)
{
    struct op_os *os = os_of(op);
    int size = recv((SOCKET)os->socket, (char *)port->received, sizeof(port->received), 0);

    if (size >= 0) {
        op->data = port->received;
        op->bytes = (uint32_t)size;
        return true;
    }
    if (WSAGetLastError() != WSAEWOULDBLOCK) {
        op->error = socket_error((uint32_t)WSAGetLastError());
        return true;
    }
    if (os->cancelled) {
        op->error = -ECANCELED;
        return true;
    }
    start_receive(port, op);
    return false;
}

static void finish_accept(struct port_op *op)
{
    struct op_os *os = os_of(op);

    if (op->error == 0)
        op->error = socket_finish_accept(os->accepted, os->socket);
    if (op->error == 0)
        op->accepted = os->accepted;
    else if (os->accepted != NET_SOCKET_NONE)
        port_discard(os->accepted, PORT_CLOSE_RESET);
}

// Fetches what the operation came to. False when it goes on.
static bool finish(struct port *port, struct port_op *op)
{
    struct op_os *os = os_of(op);
    DWORD bytes = 0;

    if (os->kind == OP_CLOSE || os->kind == OP_POST)
        return true;
    // Only reads the OVERLAPPED. Any failure is taken; which code it is differs under Wine.
    if (op->error == 0 && !GetOverlappedResult((HANDLE)os->socket, &os->overlapped, &bytes, FALSE))
        op->error = socket_error(GetLastError());
    if (os->kind == OP_ACCEPT)
        finish_accept(op);
    else if (os->kind == OP_CONNECT && op->error == 0)
        op->error = socket_finish_connect(os->socket);
    else if (os->kind == OP_SEND && op->error == 0)
        op->bytes = bytes;
    else if (os->kind == OP_RECV && op->error == 0)
        return receive(port, op);
    return true;
}

// Brings an operation home. False when it goes on.
static bool run(struct port *port, struct port_op *op)
{
    struct op_os *os = os_of(op);

    if (!finish(port, op))
        return false;
    if (os->kind == OP_RECV)
        list_remove(&os->node);
    if (os->kind != OP_POST)
        port->in_flight--;
    op->in_flight = false;
    op->done(op);
    return true;
}

// Fills port->batch. Number of packets, or negative errno.
static int harvest(struct port *port, DWORD timeout)
{
    ULONG count = 0;
    DWORD code;

    if (GetQueuedCompletionStatusEx(port->handle, port->batch, BATCH, &count, timeout, FALSE))
        return (int)count;
    code = GetLastError(); // count is not set then: Wine says 1 after a time-out
    return code == WAIT_TIMEOUT ? 0 : socket_error(code);
}

// Runs the ready list as it is now, then the first `harvested` packets of the batch.
static int run_batch(struct port *port, int harvested)
{
    struct port_op *op = port->ready_first;
    int count = 0;

    port->ready_first = NULL;
    port->ready_last = NULL;
    while (op != NULL) {
        struct port_op *next = op->next;

        count += run(port, op) ? 1 : 0;
        op = next;
    }
    for (int i = 0; i < harvested; i++)
        count += run(port, op_of(port->batch[i].lpOverlapped)) ? 1 : 0;
    return count;
}

// Some old layers between us and TCP make socket handles of their own, for which Windows cannot
// leave out the packets: SetFileCompletionNotificationModes' page.
static bool has_system_handles(net_socket socket)
{
    WSAPROTOCOL_INFOW info;
    int size = sizeof(info);

    return getsockopt((SOCKET)socket, SOL_SOCKET, SO_PROTOCOL_INFOW, (char *)&info, &size) == 0 &&
           (info.dwServiceFlags1 & XP1_IFS_HANDLES) != 0;
}

// Asks a socket what the system can do, and for the two functions that Winsock does not export.
static int probe(struct port *port)
{
    GUID accept_ex = WSAID_ACCEPTEX;
    GUID connect_ex = WSAID_CONNECTEX;
    DWORD bytes;
    net_socket any;
    int rc = socket_open(ADDR_IPV4, &any);

    if (rc == -EAFNOSUPPORT)
        rc = socket_open(ADDR_IPV6, &any);
    if (rc != 0)
        return rc;
    if (WSAIoctl((SOCKET)any, SIO_GET_EXTENSION_FUNCTION_POINTER, &accept_ex, sizeof(accept_ex),
                 &port->accept_ex, sizeof(port->accept_ex), &bytes, NULL, NULL) != 0 ||
        WSAIoctl((SOCKET)any, SIO_GET_EXTENSION_FUNCTION_POINTER, &connect_ex, sizeof(connect_ex),
                 &port->connect_ex, sizeof(port->connect_ex), &bytes, NULL, NULL) != 0)
        rc = socket_error((uint32_t)WSAGetLastError());
    port->queues_success = !has_system_handles(any);
    port_discard(any, PORT_CLOSE_ORDERLY);
    return rc;
}

int port_create(struct port **out_port, const struct port_config *config)
{
    struct port *port = calloc(1, sizeof(*port));
    int rc;

    CHECK(config->op_count_max > 0);
    if (port == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < BUCKETS; i++)
        list_init(&port->receives[i]);
    port->op_count_max = config->op_count_max;
    port->owner = GetCurrentThreadId();
    rc = probe(port);
    if (rc == 0) {
        port->handle = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
        rc = port->handle != NULL ? 0 : socket_error(GetLastError());
    }
    if (rc != 0) {
        free(port);
        return rc;
    }
    *out_port = port;
    return 0;
}

void port_destroy(struct port *port)
{
    if (port == NULL)
        return;
    CHECK(port->in_flight == 0);
    CloseHandle(port->handle);
    free(port);
}

int port_adopt(struct port *port, net_socket socket)
{
    CHECK(port->owner == GetCurrentThreadId());
    if (CreateIoCompletionPort((HANDLE)socket, port->handle, 0, 0) == NULL)
        return socket_error(GetLastError());
    if (!port->queues_success &&
        !SetFileCompletionNotificationModes((HANDLE)socket, FILE_SKIP_COMPLETION_PORT_ON_SUCCESS |
                                                                FILE_SKIP_SET_EVENT_ON_HANDLE))
        return socket_error(GetLastError());
    return 0;
}

void port_accept(struct port *port, struct port_op *op, net_socket listener)
{
    struct op_os *os = begin(port, op, OP_ACCEPT, listener);
    DWORD bytes;
    int rc = socket_open(socket_family(listener), &os->accepted);

    if (rc != 0) {
        make_ready(port, op, rc);
        return;
    }
    started(port, op,
            port->accept_ex((SOCKET)listener, (SOCKET)os->accepted, os->names, 0, NAME_ROOM,
                            NAME_ROOM, &bytes, &os->overlapped));
}

void port_connect(struct port *port, struct port_op *op, net_socket socket,
                  const struct net_addr *to)
{
    struct op_os *os = begin(port, op, OP_CONNECT, socket);
    int size = socket_name(to, os->names);
    int rc = socket_bind_any(socket, to->family); // ConnectEx wants it bound

    if (rc != 0) {
        make_ready(port, op, rc);
        return;
    }
    started(port, op,
            port->connect_ex((SOCKET)socket, (const struct sockaddr *)(const void *)os->names, size,
                             NULL, 0, NULL, &os->overlapped));
}

void port_recv(struct port *port, struct port_op *op, net_socket socket)
{
    struct op_os *os = begin(port, op, OP_RECV, socket);

    list_push(bucket(port, socket), &os->node);
    start_receive(port, op);
}

void port_send(struct port *port, struct port_op *op, net_socket socket, const struct bytes *slices,
               uint32_t count)
{
    struct op_os *os = begin(port, op, OP_SEND, socket);
    WSABUF buffers[PORT_SLICES_MAX]; // read before WSASend returns: its page
    size_t room = SEND_BYTES_MAX;

    CHECK(count >= 1 && count <= PORT_SLICES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        size_t size = slices[i].size < room ? slices[i].size : room;

        buffers[i] = (WSABUF){.len = (ULONG)size, .buf = (char *)(uintptr_t)slices[i].data};
        room -= size;
    }
    CHECK(room < SEND_BYTES_MAX);
    started(port, op, WSASend((SOCKET)socket, buffers, count, NULL, 0, &os->overlapped, NULL) == 0);
}

void port_close(struct port *port, struct port_op *op, net_socket socket, enum port_close_mode mode)
{
    begin(port, op, OP_CLOSE, socket);
    port_discard(socket, mode);
    make_ready(port, op, 0);
}

void port_cancel(struct port *port, net_socket socket)
{
    struct list *head = bucket(port, socket);

    CHECK(port->owner == GetCurrentThreadId());
    // A receive whose packet is on its way is beyond CancelIoEx, but might yet be started again.
    for (struct list *node = head->next; node != head; node = node->next) {
        struct op_os *os = container_of(node, struct op_os, node);

        if (os->socket == socket)
            os->cancelled = true;
    }
    (void)CancelIoEx((HANDLE)socket, NULL); // ERROR_NOT_FOUND: all are on their way
}

void port_post(struct port *port, struct port_op *op)
{
    struct op_os *os = os_of(op);

    CHECK(!op->in_flight);
    CHECK(op->done != NULL);
    op->in_flight = true;
    op->error = 0;
    os->kind = OP_POST;
    CHECK(PostQueuedCompletionStatus(port->handle, 0, 0, &os->overlapped));
}

int port_poll(struct port *port, int timeout_ms)
{
    ULONGLONG start = timeout_ms > 0 ? GetTickCount64() : 0;
    DWORD wait = timeout_ms < 0 ? INFINITE : (DWORD)timeout_ms;

    CHECK(port->owner == GetCurrentThreadId());
    for (;;) {
        bool is_ready = port->ready_first != NULL;
        int harvested = harvest(port, is_ready ? 0 : wait);
        int count;

        if (harvested < 0 && !is_ready)
            return harvested;
        count = run_batch(port, harvested);
        if (count > 0 || harvested <= 0)
            return count;
        if (timeout_ms > 0) { // only receives that go on: wait for the rest of the time
            ULONGLONG passed = GetTickCount64() - start;

            wait = passed < (ULONGLONG)timeout_ms ? (DWORD)((ULONGLONG)timeout_ms - passed) : 0;
        }
    }
}

uint32_t port_in_flight(const struct port *port)
{
    return port->in_flight;
}
