#include "conn_sides.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

struct port *port;
net_socket listener;
struct net_addr address;
struct port_op accept_op;
struct side client, server;
static uint64_t seed;

static uint8_t pattern(uint64_t i)
{
    return (uint8_t)(i * 167 + (i >> 8) * 13 + (i >> 16));
}

void random_start(uint64_t number)
{
    seed = number;
}

size_t random_below(size_t below)
{
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    return (size_t)(seed >> 33) % below;
}

static void perform(struct side *side, enum act act)
{
    switch (act) {
    case ACT_FINISH:
        conn_finish(&side->conn);
        break;
    case ACT_ABORT:
        conn_abort(&side->conn);
        break;
    case ACT_HALF_CLOSE:
        conn_half_close(&side->conn);
        break;
    case ACT_PAUSE:
        conn_pause(&side->conn);
        break;
    case ACT_PAUSE_RESUME:
        conn_pause(&side->conn);
        conn_resume(&side->conn);
        break;
    case ACT_NOTHING:
    default:
        break;
    }
}

static void on_connected(struct conn *conn)
{
    struct side *side = container_of(conn, struct side, conn);

    side->connected_calls++;
    perform(side, side->on_connect);
}

static size_t on_received(struct conn *conn, const uint8_t *data, size_t size)
{
    struct side *side = container_of(conn, struct side, conn);
    size_t eat = size < side->eat_max ? size : side->eat_max;
    size_t i;

    assert_false(side->in_received);
    assert_true(size > 0);
    assert_int_equal(side->closed_calls, 0);
    assert_int_equal(side->ended_calls, 0);
    side->in_received = true;
    side->received_calls++;
    if (size > side->shown_most)
        side->shown_most = size;
    // What is eaten, and a little of what is shown beyond it: all is eaten some time.
    for (i = 0; i < size && i < eat + 100; i++)
        if (data[i] != pattern(side->eaten + i))
            fail_msg("byte %llu is wrong", (unsigned long long)(side->eaten + i));
    side->eaten += eat;
    perform(side, side->on_receive);
    side->in_received = false;
    return eat;
}

static void on_ended(struct conn *conn)
{
    struct side *side = container_of(conn, struct side, conn);

    side->ended_calls++;
    perform(side, side->on_end);
}

static void on_sent(struct conn *conn)
{
    struct side *side = container_of(conn, struct side, conn);

    perform(side, side->on_send);
}

static void on_closed(struct conn *conn, int error)
{
    struct side *side = container_of(conn, struct side, conn);

    side->closed_calls++;
    side->error = error;
    assert_int_equal(conn->state, CONN_IDLE);
    assert_null(conn->inbox.memory);
    assert_null(conn->outbox.memory);
    assert_null(conn->sending.memory);
}

const struct conn_handler side_handler = {
    .connected = on_connected,
    .received = on_received,
    .ended = on_ended,
    .sent = on_sent,
    .closed = on_closed,
};

static void op_done(struct port_op *op)
{
    (void)op;
}

void poll_once(void)
{
    assert_true(port_poll(port, 20) >= 0);
}

void say(struct side *side, size_t size)
{
    uint8_t *to = buffer_reserve(conn_outbox(&side->conn), size);
    size_t i;

    assert_non_null(to);
    for (i = 0; i < size; i++)
        to[i] = pattern(side->sent++);
    buffer_commit(conn_outbox(&side->conn), size);
    conn_flush(&side->conn);
}

void reset_sides(void)
{
    memset(&client, 0, sizeof client);
    memset(&server, 0, sizeof server);
    client.eat_max = server.eat_max = SIZE_MAX;
    conn_init(&client.conn, port, &side_handler);
    conn_init(&server.conn, port, &side_handler);
}

void start_connect(void)
{
    accept_op.done = op_done;
    port_accept(port, &accept_op, listener);
    assert_int_equal(conn_connect(&client.conn, &address), 0);
}

void accept_server(void)
{
    POLL_UNTIL(!accept_op.in_flight);
    assert_int_equal(accept_op.error, 0);
    assert_int_equal(port_adopt(port, accept_op.accepted), 0);
    conn_open(&server.conn, accept_op.accepted);
}

// Both stand.
void open_pair(void)
{
    reset_sides();
    start_connect();
    accept_server();
    POLL_UNTIL(client.connected_calls == 1);
}

void both_closed(int client_error, int server_error)
{
    POLL_UNTIL(client.closed_calls > 0 && server.closed_calls > 0);
    assert_int_equal(client.closed_calls, 1);
    assert_int_equal(server.closed_calls, 1);
    assert_int_equal(client.error, client_error);
    // A reset is sometimes seen as an end (Wine, when no receive was pending).
    if (server_error != -ECONNRESET || server.error != 0)
        assert_int_equal(server.error, server_error);
}

void end_in_order(void)
{
    server.on_end = client.on_end = ACT_FINISH;
    conn_finish(&client.conn);
    conn_finish(&server.conn);
    both_closed(0, 0);
}

void sides_start(uint64_t number, bool rough)
{
    network_start(number, rough);
    seed = number;
    assert_int_equal(port_create(&port, &(struct port_config){.op_count_max = 64}), 0);
    assert_int_equal(addr_parse("127.0.0.1:0", &address, NULL), 0);
    assert_int_equal(port_listen(port, &address, 16, &listener), 0);
    assert_int_equal(port_addr_local(listener, &address), 0);
}

void sides_end(void)
{
    static struct port_op close_op;

    close_op.done = op_done;
    port_close(port, &close_op, listener, PORT_CLOSE_RESET);
    while (close_op.in_flight)
        poll_once();
    port_destroy(port);
    network_end();
}
