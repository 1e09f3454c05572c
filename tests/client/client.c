#include "client.h"

#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "conn.h"
#include "os.h"
#include "port.h"

enum stage {
    STAGE_WAITING,    // for its turn to connect
    STAGE_CONNECTING, //
    STAGE_STANDING,   // or ending: the conn knows
    STAGE_OVER,       // closed is called next
};

struct client {
    struct client_config config;
    struct port *port;
    struct list all;
    struct list waiting; // in order of client_open()
    struct list dirty;   // have something to flush
    uint32_t count;
    uint32_t connecting;
    uint32_t standing;
};

struct client_conn {
    struct client *client;
    void *owner;
    struct conn conn;
    enum stage stage;
    int error; // more telling than the conn's own
    struct list all_node;
    struct list work_node; // waiting or dirty
};

static void become(struct client_conn *cc, enum stage stage)
{
    struct client *client = cc->client;

    client->connecting -= cc->stage == STAGE_CONNECTING;
    client->standing -= cc->stage == STAGE_STANDING;
    client->connecting += stage == STAGE_CONNECTING;
    client->standing += stage == STAGE_STANDING;
    cc->stage = stage;
}

static void over(struct client_conn *cc, int error)
{
    struct client *client = cc->client;

    become(cc, STAGE_OVER);
    list_remove(&cc->work_node);
    list_remove(&cc->all_node);
    client->count--;
    client->config.handler->closed(cc, cc->error < 0 ? cc->error : error);
    free(cc);
}

static void on_connected(struct conn *conn)
{
    struct client_conn *cc = container_of(conn, struct client_conn, conn);

    become(cc, STAGE_STANDING);
    if (cc->client->config.handler->connected)
        cc->client->config.handler->connected(cc);
}

static size_t on_received(struct conn *conn, const uint8_t *data, size_t size)
{
    struct client_conn *cc = container_of(conn, struct client_conn, conn);
    struct client *client = cc->client;
    size_t eaten = 0;

    while (eaten < size && !conn->paused && conn_hears(conn)) {
        struct frame frame;
        enum frame_result result =
            frame_next(&client->config.codec, data + eaten, size - eaten, &frame);

        if (result == FRAME_MORE)
            break;
        if (result == FRAME_BAD) {
            cc->error = -EPROTO;
            conn_abort(conn);
            break;
        }
        eaten += frame.consumed;
        client->config.handler->frame(cc, &frame);
    }
    return eaten;
}

static void on_ended(struct conn *conn)
{
    struct client_conn *cc = container_of(conn, struct client_conn, conn);

    if (buffer_size(&conn->inbox) > 0)
        cc->error = -EPROTO;
    conn_finish(conn);
}

static void on_sent(struct conn *conn)
{
    struct client_conn *cc = container_of(conn, struct client_conn, conn);

    if (cc->client->config.handler->sent)
        cc->client->config.handler->sent(cc);
}

static void on_closed(struct conn *conn, int error)
{
    over(container_of(conn, struct client_conn, conn), error);
}

static const struct conn_handler conn_handler = {
    .connected = on_connected,
    .received = on_received,
    .ended = on_ended,
    .sent = on_sent,
    .closed = on_closed,
};

static void connect_waiting(struct client *client)
{
    // What `closed` opens anew waits for the next poll.
    uint32_t budget = client->count;

    while (budget-- > 0 && !list_empty(&client->waiting)) {
        struct client_conn *cc = container_of(client->waiting.next, struct client_conn, work_node);
        int rc = cc->error;

        if (rc == 0 && client->connecting == client->config.connecting_max)
            break;
        list_remove(&cc->work_node);
        if (rc == 0)
            rc = conn_connect(&cc->conn, &client->config.to);
        if (rc < 0)
            over(cc, rc);
        else
            become(cc, STAGE_CONNECTING);
    }
}

static void flush_dirty(struct client *client)
{
    struct list *node;

    while ((node = list_pop(&client->dirty)) != NULL)
        conn_flush(&container_of(node, struct client_conn, work_node)->conn);
}

int client_create(struct client **out_client, const struct client_config *config)
{
    struct client *client = calloc(1, sizeof *client);
    struct port_config port_config = {.op_count_max = 3 * config->count_max + 1};
    int rc;

    CHECK(config->count_max > 0 && config->connecting_max > 0);
    CHECK(config->handler->frame && config->handler->closed);
    if (!client)
        return -ENOMEM;
    rc = port_create(&client->port, &port_config);
    if (rc < 0) {
        free(client);
        return rc;
    }
    client->config = *config;
    list_init(&client->all);
    list_init(&client->waiting);
    list_init(&client->dirty);
    *out_client = client;
    return 0;
}

void client_destroy(struct client *client)
{
    if (!client)
        return;
    CHECK(client->count == 0);
    port_destroy(client->port);
    free(client);
}

int client_open(struct client *client, void *owner, struct client_conn **out_conn)
{
    struct client_conn *cc;

    if (client->count == client->config.count_max)
        return -ENOBUFS;
    cc = calloc(1, sizeof *cc);
    if (!cc)
        return -ENOMEM;
    cc->client = client;
    cc->owner = owner;
    conn_init(&cc->conn, client->port, &conn_handler);
    list_init(&cc->all_node);
    list_init(&cc->work_node);
    list_push(&client->all, &cc->all_node);
    list_push(&client->waiting, &cc->work_node);
    client->count++;
    *out_conn = cc;
    return 0;
}

void *client_owner(const struct client_conn *conn)
{
    return conn->owner;
}

// 0 when `size` more bytes may be appended to the outbox now.
static int send_check(const struct client_conn *cc, size_t size)
{
    size_t unsent = conn_unsent(&cc->conn);

    if (cc->conn.state != CONN_OPEN)
        return -ENOTCONN;
    if (unsent > 0 && unsent + size > cc->client->config.outbox_max)
        return -EAGAIN;
    return 0;
}

static void mark_dirty(struct client_conn *cc)
{
    list_remove(&cc->work_node);
    list_push(&cc->client->dirty, &cc->work_node);
}

int client_send(struct client_conn *conn, struct bytes payload)
{
    struct frame_wire wire;
    size_t size;
    uint8_t *to;
    int rc = frame_encode(&conn->client->config.codec, payload, &wire);

    if (rc < 0)
        return rc;
    size = wire.head_size + wire.body.size + wire.tail.size;
    rc = send_check(conn, size);
    if (rc < 0)
        return rc;
    to = buffer_reserve(conn_outbox(&conn->conn), size);
    if (!to)
        return -ENOMEM;
    if (wire.head_size > 0)
        memcpy(to, wire.head, wire.head_size);
    if (wire.body.size > 0)
        memcpy(to + wire.head_size, wire.body.data, wire.body.size);
    if (wire.tail.size > 0)
        memcpy(to + wire.head_size + wire.body.size, wire.tail.data, wire.tail.size);
    buffer_commit(conn_outbox(&conn->conn), size);
    mark_dirty(conn);
    return 0;
}

int client_send_raw(struct client_conn *conn, struct bytes wire)
{
    int rc = send_check(conn, wire.size);

    if (rc == 0)
        rc = buffer_append(conn_outbox(&conn->conn), wire.data, wire.size);
    if (rc == 0)
        mark_dirty(conn);
    return rc;
}

size_t client_unsent(const struct client_conn *conn)
{
    return conn_unsent(&conn->conn);
}

void client_pause(struct client_conn *conn)
{
    conn_pause(&conn->conn);
}

void client_resume(struct client_conn *conn)
{
    conn_resume(&conn->conn);
}

void client_half_close(struct client_conn *conn)
{
    conn_half_close(&conn->conn);
}

// One that still waits for its turn has no socket: it is told from the next client_poll().
static void give_up_waiting(struct client_conn *cc)
{
    cc->error = -ECANCELED;
}

void client_finish(struct client_conn *conn)
{
    if (conn->stage == STAGE_WAITING)
        give_up_waiting(conn);
    else
        conn_finish(&conn->conn);
}

void client_abort(struct client_conn *conn)
{
    if (conn->stage == STAGE_WAITING)
        give_up_waiting(conn);
    else
        conn_abort(&conn->conn);
}

void client_close_all(struct client *client)
{
    struct list *node;

    for (node = client->all.next; node != &client->all; node = node->next)
        client_finish(container_of(node, struct client_conn, all_node));
}

void client_abort_all(struct client *client)
{
    struct list *node;

    for (node = client->all.next; node != &client->all; node = node->next)
        client_abort(container_of(node, struct client_conn, all_node));
}

int client_poll(struct client *client, int timeout_ms)
{
    int rc;

    connect_waiting(client);
    flush_dirty(client);
    rc = port_poll(client->port, timeout_ms);
    connect_waiting(client);
    flush_dirty(client);
    return rc;
}

int client_drain(struct client *client, uint32_t timeout_ms)
{
    uint64_t deadline = os_now_ms() + timeout_ms;

    while (client->count > 0) {
        uint64_t now = os_now_ms();

        if (now >= deadline)
            return -ETIMEDOUT;
        client_poll(client, (int)(deadline - now));
    }
    return 0;
}

uint32_t client_count(const struct client *client)
{
    return client->count;
}

uint32_t client_connected(const struct client *client)
{
    return client->standing;
}
