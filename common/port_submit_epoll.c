// The sockets of a port, and the start of each operation.
#include "port_epoll.h"

#include <unistd.h>

#include "socket_linux.h"

// Takes a descriptor that was just made; closes it when that fails.
static int endpoint_take(struct port *port, int fd, net_socket *out_socket)
{
    int rc = fd < 0 ? fd : endpoint_open(port, fd);

    if (rc < 0) {
        if (fd >= 0)
            close(fd);
        return rc;
    }
    *out_socket = fd;
    return 0;
}

static struct op_state *op_submit(struct port *port, struct port_op *op, enum op_kind kind,
                                  struct endpoint *at)
{
    struct op_state *state = state_of(op);

    check_owner(port);
    CHECK(!op->in_flight && op->done != NULL);
    CHECK(port->in_flight < port->op_count_max);
    port->in_flight++;
    op->in_flight = true;
    op->error = 0;
    op->bytes = 0;
    op->data = NULL;
    op->accepted = NET_SOCKET_NONE;
    *state = (struct op_state){.kind = kind, .waiting = true, .at = at};
    return state;
}

int port_listen(struct port *port, const struct net_addr *at, uint32_t backlog,
                net_socket *out_listener)
{
    check_owner(port);
    return endpoint_take(port, socket_listen(at, backlog), out_listener);
}

int port_socket(struct port *port, const struct net_addr *for_peer, net_socket *out_socket)
{
    check_owner(port);
    return endpoint_take(port, socket_make(for_peer), out_socket);
}

int port_adopt(struct port *port, net_socket socket)
{
    check_owner(port);
    return endpoint_open(port, (int)socket);
}

void port_accept(struct port *port, struct port_op *op, net_socket listener)
{
    struct endpoint *at = endpoint_of(port, listener);

    op_submit(port, op, OP_ACCEPT, at);
    at->accept_count++;
    queue_push(&at->accepts, op);
    accepts_wanted(port, at);
}

void port_connect(struct port *port, struct port_op *op, net_socket socket,
                  const struct net_addr *to)
{
    struct endpoint *at = endpoint_of(port, socket);
    int rc;

    CHECK(at->send == NULL);
    op_submit(port, op, OP_CONNECT, at);
    at->send = op;
    // An unconnected socket hangs up, epoll says. From here on it tells of the connection.
    at->readable = at->writable = at->ended = false;
    rc = socket_connect(at->fd, to);
    if (rc == -EINPROGRESS)
        return;
    op->error = rc;
    at->writable = true;
    op_ready(port, op);
}

void port_recv(struct port *port, struct port_op *op, net_socket socket)
{
    struct endpoint *at = endpoint_of(port, socket);

    CHECK(at->recv == NULL);
    op_submit(port, op, OP_RECV, at);
    at->recv = op;
    if (at->readable)
        op_ready(port, op);
}

void port_send(struct port *port, struct port_op *op, net_socket socket, const struct bytes *slices,
               uint32_t count)
{
    struct endpoint *at = endpoint_of(port, socket);
    struct op_state *state;
    bool empty = true;

    CHECK(at->send == NULL && count >= 1 && count <= PORT_SLICES_MAX);
    for (uint32_t i = 0; i < count; i++)
        empty = empty && slices[i].size == 0;
    CHECK(!empty);
    state = op_submit(port, op, OP_SEND, at);
    at->send = op;
    state->slices = slices;
    state->slice_count = count;
    if (at->writable)
        send_try(port, op);
}

void port_close(struct port *port, struct port_op *op, net_socket socket, enum port_close_mode mode)
{
    struct endpoint *at = endpoint_of(port, socket);

    CHECK(at->recv == NULL && at->send == NULL && at->accept_count == 0);
    op_submit(port, op, OP_CLOSE, NULL);
    list_remove(&at->accepting);
    at->open = false;
    port_discard(socket, mode);
    op_ready(port, op);
}

void port_cancel(struct port *port, net_socket socket)
{
    struct endpoint *at = endpoint_of(port, socket);
    struct port_op *mine[] = {at->recv, at->send};
    struct port_op *op;

    check_owner(port);
    for (size_t i = 0; i < ARRAY_COUNT(mine); i++) {
        if (mine[i] == NULL)
            continue;
        if (state_of(mine[i])->waiting) {
            mine[i]->error = -ECANCELED;
            op_ready(port, mine[i]);
        } else if (state_of(mine[i])->kind == OP_RECV) {
            mine[i]->error = -ECANCELED; // ready, but not performed yet: nothing is lost
        }
    }
    while ((op = queue_pop(&at->accepts)) != NULL) {
        op->error = -ECANCELED;
        op_ready(port, op);
    }
    list_remove(&at->accepting);
}
