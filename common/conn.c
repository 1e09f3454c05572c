#include "conn.h"

static void become(struct conn *conn, enum conn_state next)
{
    // Which states may come before each state.
    static const unsigned before[] = {
        [CONN_IDLE] = 1U << CONN_CLOSING,
        [CONN_CONNECTING] = 1U << CONN_IDLE,
        [CONN_OPEN] = 1U << CONN_IDLE | 1U << CONN_CONNECTING,
        [CONN_FINISHING] = 1U << CONN_OPEN,
        [CONN_LINGERING] = 1U << CONN_FINISHING,
        [CONN_CANCELLING] =
            1U << CONN_CONNECTING | 1U << CONN_OPEN | 1U << CONN_FINISHING | 1U << CONN_LINGERING,
        [CONN_CLOSING] = 1U << CONN_LINGERING | 1U << CONN_CANCELLING,
    };

    CHECK(before[next] & 1U << conn->state);
    conn->state = next;
}

static void close_socket(struct conn *conn, enum port_close_mode mode)
{
    become(conn, CONN_CLOSING);
    port_close(conn->port, &conn->last, conn->socket, mode);
}

// Goes on to the close once all operations are home.
static void cancel_step(struct conn *conn)
{
    if (!conn->recv.in_flight && !conn->send.in_flight && !conn->last.in_flight)
        close_socket(conn, PORT_CLOSE_RESET);
}

static void fail(struct conn *conn, int error)
{
    CHECK(error < 0);
    conn->error = error;
    become(conn, CONN_CANCELLING);
    port_cancel(conn->port, conn->socket);
    cancel_step(conn);
}

static void receive(struct conn *conn)
{
    if (!conn->recv.in_flight && !conn->peer_finished)
        port_recv(conn->port, &conn->recv, conn->socket);
}

// `bytes` went out: of `sending`, whose rest is sent next, before the outbox.
static void sending_consume(struct conn *conn, size_t bytes)
{
    buffer_consume(&conn->sending, bytes);
    if (buffer_size(&conn->sending) > 0)
        return;
    // One kept buffer is enough for a conversation of small messages: it goes back to the outbox.
    if (conn->outbox.capacity == 0) {
        conn->outbox = conn->sending;
        conn->sending = (struct buffer){0};
    }
    buffer_trim(&conn->sending, 0);
    buffer_trim(&conn->outbox, CONN_KEEP_BYTES);
}

static void transmit(struct conn *conn)
{
    if (conn->send.in_flight)
        return;
    if (buffer_size(&conn->sending) == 0) {
        struct buffer empty = conn->sending;

        if (buffer_size(&conn->outbox) == 0)
            return;
        conn->sending = conn->outbox;
        conn->outbox = empty;
    }
    conn->slice = (struct bytes){buffer_data(&conn->sending), buffer_size(&conn->sending)};
    port_send(conn->port, &conn->send, conn->socket, &conn->slice, 1);
}

// LINGERING: over when the peer has finished too, and the owner knows all that it wants to know.
static void linger_step(struct conn *conn)
{
    if (conn->peer_finished && (!conn->half_closed || conn->end_told))
        close_socket(conn, PORT_CLOSE_ORDERLY);
}

// FINISHING: sends what there is; after that FIN, and then waits for the peer's.
static void finish_step(struct conn *conn)
{
    int rc;

    transmit(conn);
    if (conn->send.in_flight)
        return;
    rc = port_shutdown(conn->socket);
    if (rc < 0) {
        fail(conn, rc);
        return;
    }
    become(conn, CONN_LINGERING);
    linger_step(conn);
}

// Shows bytes to the owner for as long as it wants; returns how many it ate.
static size_t show(struct conn *conn, const uint8_t *data, size_t size)
{
    size_t eaten = 0;

    CHECK(conn->show == CONN_SHOW_NOTHING);
    do {
        size_t n;

        conn->show = CONN_SHOW_RUNNING;
        n = conn->handler->received(conn, data + eaten, size - eaten);
        CHECK(n <= size - eaten);
        eaten += n;
    } while (conn->show == CONN_SHOW_AGAIN && eaten < size && !conn->paused && conn_hears(conn));
    conn->show = CONN_SHOW_NOTHING;
    return eaten;
}

static void show_inbox(struct conn *conn)
{
    if (buffer_size(&conn->inbox) == 0)
        return;
    buffer_consume(&conn->inbox, show(conn, buffer_data(&conn->inbox), buffer_size(&conn->inbox)));
    if (conn_hears(conn))
        buffer_trim(&conn->inbox, CONN_KEEP_BYTES);
    else
        buffer_free(&conn->inbox);
}

// The bytes of a receive: shown where they are as long as nothing waits before them.
static int take(struct conn *conn, const uint8_t *data, size_t size)
{
    size_t eaten = 0;

    if (!conn->paused && buffer_size(&conn->inbox) == 0) {
        eaten = show(conn, data, size);
        if (!conn_hears(conn) || eaten == size)
            return 0;
        return buffer_append(&conn->inbox, data + eaten, size - eaten);
    }
    if (buffer_append(&conn->inbox, data, size) < 0)
        return -ENOMEM;
    if (!conn->paused)
        show_inbox(conn);
    return 0;
}

// After anything that may have changed what is to be received.
static void receive_step(struct conn *conn)
{
    if (conn_hears(conn)) {
        if (conn->paused)
            return;
        if (conn->peer_finished && !conn->end_told) {
            conn->end_told = true;
            conn->handler->ended(conn);
        }
    } else {
        buffer_free(&conn->inbox);
    }
    if (conn->state == CONN_LINGERING)
        linger_step(conn);
    if (conn->state == CONN_OPEN || conn->state == CONN_FINISHING || conn->state == CONN_LINGERING)
        receive(conn);
}

static void recv_done(struct port_op *op)
{
    struct conn *conn = container_of(op, struct conn, recv);
    int rc = 0;

    if (conn->state == CONN_CANCELLING) {
        cancel_step(conn);
        return;
    }
    if (op->error < 0) {
        fail(conn, op->error);
        return;
    }
    conn->peer_finished = op->bytes == 0;
    if (conn_hears(conn) && op->bytes > 0)
        rc = take(conn, op->data, op->bytes);
    if (rc < 0 && conn_hears(conn))
        fail(conn, rc);
    receive_step(conn);
}

static void send_done(struct port_op *op)
{
    struct conn *conn = container_of(op, struct conn, send);

    if (conn->state == CONN_CANCELLING) {
        cancel_step(conn);
        return;
    }
    if (op->error < 0) {
        fail(conn, op->error);
        return;
    }
    sending_consume(conn, op->bytes);
    if (conn->handler->sent)
        conn->handler->sent(conn);
    if (conn->state == CONN_OPEN)
        transmit(conn);
    else if (conn->state == CONN_FINISHING)
        finish_step(conn);
}

static void close_done(struct port_op *op)
{
    struct conn *conn = container_of(op, struct conn, last);

    buffer_free(&conn->inbox);
    buffer_free(&conn->outbox);
    buffer_free(&conn->sending);
    conn->socket = NET_SOCKET_NONE;
    become(conn, CONN_IDLE);
    conn->handler->closed(conn, conn->error);
}

static void connect_done(struct port_op *op)
{
    struct conn *conn = container_of(op, struct conn, last);

    op->done = close_done;
    if (conn->state == CONN_CANCELLING) {
        cancel_step(conn);
        return;
    }
    if (op->error < 0) {
        fail(conn, op->error);
        return;
    }
    become(conn, CONN_OPEN);
    if (conn->handler->connected)
        conn->handler->connected(conn);
    receive_step(conn);
    conn_flush(conn);
}

static void start(struct conn *conn, net_socket socket, enum conn_state state)
{
    CHECK(conn->handler && conn->state == CONN_IDLE);
    conn->socket = socket;
    conn->error = 0;
    conn->paused = false;
    conn->peer_finished = false;
    conn->half_closed = false;
    conn->end_told = false;
    conn->show = CONN_SHOW_NOTHING;
    conn->recv.done = recv_done;
    conn->send.done = send_done;
    conn->last.done = state == CONN_CONNECTING ? connect_done : close_done;
    become(conn, state);
}

static void finish(struct conn *conn, bool half)
{
    become(conn, CONN_FINISHING);
    conn->half_closed = half;
    finish_step(conn);
    // From within `received` the receive is for recv_done() to submit, when the lent bytes are done
    // with.
    if (conn->show == CONN_SHOW_NOTHING)
        receive_step(conn);
}

void conn_init(struct conn *conn, struct port *port, const struct conn_handler *handler)
{
    CHECK(handler->received && handler->ended && handler->closed);
    CHECK(conn->state == CONN_IDLE);
    conn->port = port;
    conn->handler = handler;
    conn->socket = NET_SOCKET_NONE;
}

void conn_open(struct conn *conn, net_socket socket)
{
    start(conn, socket, CONN_OPEN);
    receive(conn);
}

int conn_connect(struct conn *conn, const struct net_addr *to)
{
    net_socket socket;
    int rc = port_socket(conn->port, to, &socket);

    if (rc < 0)
        return rc;
    start(conn, socket, CONN_CONNECTING);
    port_connect(conn->port, &conn->last, socket, to);
    return 0;
}

struct buffer *conn_outbox(struct conn *conn)
{
    return &conn->outbox;
}

size_t conn_unsent(const struct conn *conn)
{
    return buffer_size(&conn->sending) + buffer_size(&conn->outbox);
}

bool conn_hears(const struct conn *conn)
{
    return conn->state == CONN_OPEN ||
           (conn->half_closed && (conn->state == CONN_FINISHING || conn->state == CONN_LINGERING));
}

void conn_flush(struct conn *conn)
{
    if (conn->state == CONN_OPEN)
        transmit(conn);
}

void conn_pause(struct conn *conn)
{
    conn->paused = true;
}

void conn_resume(struct conn *conn)
{
    if (!conn->paused)
        return;
    conn->paused = false;
    if (conn->show != CONN_SHOW_NOTHING) {
        conn->show = CONN_SHOW_AGAIN;
        return;
    }
    if (!conn_hears(conn) || conn->end_told)
        return;
    show_inbox(conn);
    receive_step(conn);
}

void conn_finish(struct conn *conn)
{
    if (conn->state == CONN_CONNECTING) {
        conn_abort(conn);
    } else if (conn->state == CONN_OPEN) {
        finish(conn, false);
    } else if (conn_hears(conn)) {
        conn->half_closed = false;
        if (conn->show == CONN_SHOW_NOTHING)
            receive_step(conn);
    }
}

void conn_half_close(struct conn *conn)
{
    if (conn->state == CONN_OPEN)
        finish(conn, true);
}

void conn_abort(struct conn *conn)
{
    if (conn->state == CONN_CONNECTING || conn->state == CONN_OPEN ||
        conn->state == CONN_FINISHING || conn->state == CONN_LINGERING)
        fail(conn, -ECANCELED);
}
