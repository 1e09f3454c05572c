// The completion port in memory: which of the operations that can go on do so, and in which order.
//
// A poll gathers what can go on, leaves some of it for later, mixes it, and runs each: the
// operation is performed right before its done. What a done submits is not in the gathering.
#include "port_fake.h"

#include <stdlib.h>
#include <string.h>

#include "fake_network.h"

enum op_kind { OP_RECV, OP_SEND, OP_CONNECT, OP_ACCEPT, OP_CLOSE, OP_POST };

struct op_state {
    enum op_kind kind;
    bool cancelled;
    struct fake_socket *at;
    const struct bytes *slices;
    uint32_t slice_count;
    struct net_addr to;
};

_Static_assert(sizeof(struct op_state) <= PORT_OP_OS_SIZE, "an op has no room for its state");

struct port {
    uint32_t op_count_max;
    uint32_t in_flight;
    bool polling;
    struct port_op *closed; // any order
    struct port_op *posts;  // first in, first out
    struct port_op **batch;
    uint32_t batch_count;
    uint32_t batch_room;
    struct port *next; // of all ports
};

static struct port *ports;

static struct op_state *state_of(struct port_op *op)
{
    return (struct op_state *)(void *)op->os.raw;
}

static void append(struct port_op **queue, struct port_op *op)
{
    while (*queue != NULL)
        queue = &(*queue)->next;
    op->next = NULL;
    *queue = op;
}

static void unlink_op(struct port_op **queue, struct port_op *op)
{
    while (*queue != op) {
        CHECK(*queue != NULL);
        queue = &(*queue)->next;
    }
    *queue = op->next;
}

static struct fake_socket *socket_of(const struct port *port, net_socket number)
{
    struct fake_socket *at = fake_of(number);

    CHECK(at->port == port);
    return at;
}

static enum fake_call call_of(enum op_kind kind)
{
    switch (kind) {
    case OP_RECV:
        return FAKE_RECV;
    case OP_SEND:
        return FAKE_SEND;
    case OP_CONNECT:
        return FAKE_CONNECT;
    default:
        return FAKE_ACCEPT;
    }
}

// Whether it could come home now without a cancel.
static bool op_can_go_on(struct port_op *op)
{
    struct op_state *state = state_of(op);

    if (fake_fault_waits(call_of(state->kind), state->at->number))
        return true;
    switch (state->kind) {
    case OP_RECV:
        return fake_can_recv(state->at);
    case OP_SEND:
        return fake_can_send(state->at);
    case OP_CONNECT:
        return fake_can_connect(&state->to);
    default:
        return !list_empty(&state->at->backlog);
    }
}

static void batch_add(struct port *port, struct port_op *op)
{
    if (port->batch_count == port->batch_room) {
        port->batch_room = port->batch_room ? port->batch_room * 2 : 64;
        port->batch = realloc(port->batch, port->batch_room * sizeof(struct port_op *));
        CHECK(port->batch != NULL);
    }
    port->batch[port->batch_count++] = op;
}

static void batch_add_if(struct port *port, struct port_op *op)
{
    if (op != NULL && (state_of(op)->cancelled || op_can_go_on(op)))
        batch_add(port, op);
}

// NULL stands for "the oldest post", so that posts keep their order however they are mixed.
static void batch_gather(struct port *port)
{
    port->batch_count = 0;
    for (uint32_t i = 0; i < fake_count(); i++) {
        struct fake_socket *socket = fake_at(i);

        if (socket == NULL || socket->port != port)
            continue;
        batch_add_if(port, socket->recv);
        batch_add_if(port, socket->send);
        for (struct port_op *op = socket->accepts; op != NULL; op = op->next)
            batch_add_if(port, op);
    }
    for (struct port_op *op = port->closed; op != NULL; op = op->next)
        batch_add(port, op);
    for (struct port_op *op = port->posts; op != NULL; op = op->next)
        batch_add(port, NULL);
}

// Mixes the batch and leaves a part of it for a later poll, but never all.
static void batch_shuffle(struct port *port)
{
    for (uint32_t i = port->batch_count; i > 1; i--) {
        uint32_t j = fake_random(i);
        struct port_op *op = port->batch[j];

        port->batch[j] = port->batch[i - 1];
        port->batch[i - 1] = op;
    }
    if (port->batch_count > 1 && fake_random(2) == 0)
        port->batch_count = 1 + fake_random(port->batch_count);
}

static int fault(struct op_state *state)
{
    int error = fake_fault_take(call_of(state->kind), state->at->number);

    if (error == 0)
        return 0;
    if (state->kind == OP_RECV || state->kind == OP_SEND)
        fake_break(state->at);
    if (state->kind == OP_ACCEPT && error != -EMFILE)
        fake_accept_lose(state->at);
    return error;
}

static int perform(struct port_op *op, uint8_t **out_lent)
{
    struct op_state *state = state_of(op);
    int n;

    switch (state->kind) {
    case OP_RECV:
        *out_lent = malloc(PORT_RECV_BYTES_MAX);
        CHECK(*out_lent != NULL);
        n = fake_recv(state->at, *out_lent, PORT_RECV_BYTES_MAX);
        break;
    case OP_SEND:
        n = fake_send(state->at, state->slices, state->slice_count);
        break;
    case OP_CONNECT:
        return fake_connect(state->at, &state->to);
    default:
        return fake_accept(state->at, &op->accepted);
    }
    if (n >= 0)
        op->bytes = (uint32_t)n;
    return n < 0 ? n : 0;
}

// Decides how the op comes home. False: it does not, it waits again.
static bool op_decide(struct port_op *op, uint8_t **out_lent)
{
    struct op_state *state = state_of(op);
    bool can = op_can_go_on(op);

    if (!can && !state->cancelled)
        return false;
    if (state->cancelled && (!can || fake_random(2) == 0)) {
        op->error = -ECANCELED;
        return true;
    }
    op->error = fault(state);
    if (op->error == 0)
        op->error = perform(op, out_lent);
    CHECK(op->error != -EAGAIN);
    return true;
}

static void op_unlink(struct port *port, struct port_op *op)
{
    struct op_state *state = state_of(op);

    switch (state->kind) {
    case OP_RECV:
        state->at->recv = NULL;
        break;
    case OP_SEND:
    case OP_CONNECT:
        state->at->send = NULL;
        break;
    case OP_ACCEPT:
        unlink_op(&state->at->accepts, op);
        break;
    case OP_CLOSE:
        unlink_op(&port->closed, op);
        break;
    case OP_POST:
        unlink_op(&port->posts, op);
        return;
    }
    port->in_flight--;
}

static bool op_finish(struct port *port, struct port_op *op)
{
    uint8_t *lent = NULL;

    if (op == NULL)
        op = port->posts;
    else if (state_of(op)->kind != OP_CLOSE && !op_decide(op, &lent))
        return false;
    op_unlink(port, op);
    if (lent != NULL &&
        op->error == 0) { // exactly as much as there is, gone after done: a tool sees
        lent = realloc(lent, op->bytes > 0 ? op->bytes : 1);
        CHECK(lent != NULL);
        op->data = lent;
    }
    op->next = NULL;
    op->in_flight = false;
    op->done(op);
    free(lent);
    return true;
}

int port_create(struct port **out_port, const struct port_config *config)
{
    struct port *port = calloc(1, sizeof(*port));

    if (port == NULL)
        return -ENOMEM;
    port->op_count_max = config->op_count_max;
    port->next = ports;
    ports = port;
    *out_port = port;
    return 0;
}

void port_destroy(struct port *port)
{
    struct port **at = &ports;

    if (port == NULL)
        return;
    CHECK(port->in_flight == 0 && !port->polling);
    while (*at != port)
        at = &(*at)->next;
    *at = port->next;
    free(port->batch);
    free(port);
}

// Takes a socket that was just made, or the error.
static int take(struct port *port, int rc, struct fake_socket *socket, net_socket *out_socket)
{
    if (rc < 0)
        return rc;
    socket->port = port;
    *out_socket = socket->number;
    return 0;
}

int port_listen(struct port *port, const struct net_addr *at, uint32_t backlog,
                net_socket *out_listener)
{
    struct fake_socket *listener = NULL;
    int rc = fake_fault_take(FAKE_LISTEN, NET_SOCKET_NONE);

    if (rc == 0)
        rc = fake_listen(at, backlog, &listener);
    return take(port, rc, listener, out_listener);
}

int port_socket(struct port *port, const struct net_addr *for_peer, net_socket *out_socket)
{
    struct fake_socket *socket = NULL;
    int rc = fake_fault_take(FAKE_SOCKET, NET_SOCKET_NONE);

    if (rc == 0)
        rc = fake_make(for_peer, &socket);
    return take(port, rc, socket, out_socket);
}

int port_adopt(struct port *port, net_socket socket)
{
    struct fake_socket *at = fake_of(socket);
    int rc = fake_fault_take(FAKE_ADOPT, socket);

    CHECK(at->port == NULL && at->state == FAKE_OPEN);
    if (rc == 0)
        at->port = port;
    return rc;
}

void port_discard(net_socket socket, enum port_close_mode mode)
{
    CHECK(fake_of(socket)->port == NULL);
    fake_close(fake_of(socket), mode);
}

int port_addr_local(net_socket socket, struct net_addr *out_addr)
{
    *out_addr = fake_of(socket)->local;
    return 0;
}

int port_addr_peer(net_socket socket, struct net_addr *out_addr)
{
    if (fake_of(socket)->state != FAKE_OPEN)
        return -ENOTCONN;
    *out_addr = fake_of(socket)->remote;
    return 0;
}

int port_shutdown(net_socket socket)
{
    struct fake_socket *at = fake_of(socket);

    CHECK(at->send == NULL);
    if (at->state != FAKE_OPEN || at->reset)
        return -ENOTCONN;
    at->finished = true;
    if (at->peer != NULL)
        at->peer->peer_finished = true;
    return 0;
}

static struct op_state *submit(struct port *port, struct port_op *op, enum op_kind kind,
                               struct fake_socket *at)
{
    CHECK(!op->in_flight && op->done != NULL);
    CHECK(port->in_flight < port->op_count_max);
    port->in_flight++;
    op->in_flight = true;
    op->error = 0;
    op->bytes = 0;
    op->data = NULL;
    op->accepted = NET_SOCKET_NONE;
    op->next = NULL;
    *state_of(op) = (struct op_state){.kind = kind, .at = at};
    return state_of(op);
}

void port_accept(struct port *port, struct port_op *op, net_socket listener)
{
    struct fake_socket *at = socket_of(port, listener);

    CHECK(at->state == FAKE_LISTENING);
    submit(port, op, OP_ACCEPT, at);
    append(&at->accepts, op);
}

void port_connect(struct port *port, struct port_op *op, net_socket socket,
                  const struct net_addr *to)
{
    struct fake_socket *at = socket_of(port, socket);

    CHECK(at->send == NULL);
    submit(port, op, OP_CONNECT, at)->to = *to;
    at->send = op;
}

void port_recv(struct port *port, struct port_op *op, net_socket socket)
{
    struct fake_socket *at = socket_of(port, socket);

    CHECK(at->recv == NULL);
    submit(port, op, OP_RECV, at);
    at->recv = op;
}

void port_send(struct port *port, struct port_op *op, net_socket socket, const struct bytes *slices,
               uint32_t count)
{
    struct fake_socket *at = socket_of(port, socket);
    struct op_state *state;
    size_t size = 0;

    CHECK(at->send == NULL && count >= 1 && count <= PORT_SLICES_MAX);
    for (uint32_t i = 0; i < count; i++)
        size += slices[i].size;
    CHECK(size > 0);
    state = submit(port, op, OP_SEND, at);
    state->slices = slices;
    state->slice_count = count;
    at->send = op;
}

void port_close(struct port *port, struct port_op *op, net_socket socket, enum port_close_mode mode)
{
    struct fake_socket *at = socket_of(port, socket);

    CHECK(at->recv == NULL && at->send == NULL && at->accepts == NULL);
    submit(port, op, OP_CLOSE, NULL);
    append(&port->closed, op);
    fake_close(at, mode);
}

void port_cancel(struct port *port, net_socket socket)
{
    struct fake_socket *at = socket_of(port, socket);

    if (at->recv != NULL)
        state_of(at->recv)->cancelled = true;
    if (at->send != NULL)
        state_of(at->send)->cancelled = true;
    for (struct port_op *op = at->accepts; op != NULL; op = op->next)
        state_of(op)->cancelled = true;
}

void port_post(struct port *port, struct port_op *op)
{
    CHECK(!op->in_flight && op->done != NULL);
    op->in_flight = true;
    op->error = 0;
    *state_of(op) = (struct op_state){.kind = OP_POST};
    append(&port->posts, op);
}

int port_poll(struct port *port, int timeout_ms)
{
    int count = 0;

    (void)timeout_ms;
    CHECK(!port->polling);
    while (count == 0) {
        batch_gather(port);
        if (port->batch_count == 0)
            return 0;
        if (fake_shuffles())
            batch_shuffle(port);
        port->polling = true;
        for (uint32_t i = 0; i < port->batch_count; i++)
            count += op_finish(port, port->batch[i]);
        port->polling = false;
    }
    return count;
}

uint32_t port_in_flight(const struct port *port)
{
    return port->in_flight;
}

uint32_t fake_in_flight(void)
{
    uint32_t count = 0;

    for (const struct port *port = ports; port != NULL; port = port->next)
        count += port->in_flight;
    return count;
}

bool fake_ready(struct port *port)
{
    CHECK(!port->polling);
    batch_gather(port);
    return port->batch_count > 0;
}
