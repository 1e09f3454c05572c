#include "peer.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "os.h"

static void on_connected(struct client_conn *conn)
{
    struct peer *peer = client_owner(conn);

    peer->state = PEER_OPEN;
}

static void on_frame(struct client_conn *conn, const struct frame *frame)
{
    struct peer *peer = client_owner(conn);

    assert_int_equal(buffer_append(&peer->bytes, frame->prefix.data, frame->prefix.size), 0);
    assert_int_equal(buffer_append(&peer->bytes, frame->body.data, frame->body.size), 0);
    peer->last = frame->prefix.size + frame->body.size;
    peer->frames++;
}

static void on_closed(struct client_conn *conn, int error)
{
    struct peer *peer = client_owner(conn);

    peer->state = PEER_CLOSED;
    peer->error = error;
    peer->conn = NULL;
}

static const struct client_handler handler = {
    .connected = on_connected,
    .frame = on_frame,
    .closed = on_closed,
};

void peer_start(struct peer *peer, const struct net_addr *to, const char *codec)
{
    struct client_config config = {
        .to = *to,
        .count_max = 1,
        .connecting_max = 1,
        .outbox_max = 64 * 1024 * 1024,
        .handler = &handler,
    };

    memset(peer, 0, sizeof *peer);
    assert_int_equal(frame_codec_parse(&config.codec, codec, FRAME_PAYLOAD_MAX, NULL), 0);
    assert_int_equal(client_create(&peer->client, &config), 0);
    assert_int_equal(client_open(peer->client, peer, &peer->conn), 0);
}

void peer_open(struct peer *peer, const struct net_addr *to, const char *codec)
{
    uint64_t deadline = os_now_ms() + PEER_DEADLINE_MS;

    peer_start(peer, to, codec);
    while (peer->state == PEER_CONNECTING && os_now_ms() < deadline)
        peer_poll(peer, 100);
    if (peer->state != PEER_OPEN)
        fail_msg("a client cannot connect: %s", error_text(peer->error));
}

void peer_poll(struct peer *peer, int timeout_ms)
{
    assert_true(client_poll(peer->client, timeout_ms) >= 0);
}

void peer_send(struct peer *peer, const void *payload, size_t size)
{
    assert_non_null(peer->conn);
    assert_int_equal(client_send(peer->conn, (struct bytes){payload, size}), 0);
    peer_poll(peer, 0);
}

void peer_send_text(struct peer *peer, const char *text)
{
    peer_send(peer, text, strlen(text));
}

void peer_send_raw(struct peer *peer, const void *bytes, size_t size)
{
    assert_non_null(peer->conn);
    assert_int_equal(client_send_raw(peer->conn, (struct bytes){bytes, size}), 0);
    peer_poll(peer, 0);
}

void peer_wait_frames(struct peer *peer, uint32_t frames)
{
    uint64_t deadline = os_now_ms() + PEER_DEADLINE_MS;

    while (peer->frames < frames && peer->state != PEER_CLOSED) {
        if (os_now_ms() >= deadline)
            fail_msg("%u of %u frames came", (unsigned)peer->frames, (unsigned)frames);
        peer_poll(peer, 100);
    }
    if (peer->frames < frames)
        fail_msg("%u of %u frames came, then it was closed: %s", (unsigned)peer->frames,
                 (unsigned)frames, error_text(peer->error));
}

int peer_wait_closed(struct peer *peer)
{
    uint64_t deadline = os_now_ms() + PEER_DEADLINE_MS;

    while (peer->state != PEER_CLOSED) {
        if (os_now_ms() >= deadline)
            fail_msg("a connection is not closed");
        peer_poll(peer, 100);
    }
    return peer->error;
}

bool peer_try_echo(struct peer *peer, const char *text)
{
    uint64_t deadline = os_now_ms() + PEER_DEADLINE_MS;
    uint32_t frames = peer->frames;
    size_t size = strlen(text);

    if (peer->state != PEER_OPEN ||
        client_send(peer->conn, (struct bytes){(const void *)text, size}))
        return false;
    while (peer->frames == frames && peer->state != PEER_CLOSED && os_now_ms() < deadline)
        peer_poll(peer, 100);
    if (peer->frames == frames)
        return false;
    assert_int_equal(peer->last, size);
    assert_memory_equal(buffer_data(&peer->bytes) + buffer_size(&peer->bytes) - size, text, size);
    return true;
}

void peer_echo(struct peer *peer, const char *text)
{
    if (!peer_try_echo(peer, text))
        fail_msg("no echo of '%s'; state %d, %s", text, (int)peer->state, error_text(peer->error));
}

static void peer_free(struct peer *peer)
{
    assert_int_equal(client_drain(peer->client, PEER_DEADLINE_MS), 0);
    client_destroy(peer->client);
    buffer_free(&peer->bytes);
    peer->client = NULL;
}

void peer_finish(struct peer *peer)
{
    assert_non_null(peer->conn);
    client_finish(peer->conn);
    assert_int_equal(peer_wait_closed(peer), 0);
    peer_free(peer);
}

void peer_drop(struct peer *peer)
{
    if (peer->conn)
        client_abort(peer->conn);
    peer_free(peer);
}

void peer_wait_service(const struct net_addr *to, const char *codec)
{
    uint64_t deadline = os_now_ms() + PEER_DEADLINE_MS;
    bool served = false;

    while (!served) {
        struct peer peer;

        if (os_now_ms() >= deadline)
            fail_msg("nobody is served any more");
        peer_start(&peer, to, codec);
        while (peer.state == PEER_CONNECTING)
            peer_poll(&peer, 100);
        served = peer_try_echo(&peer, "are you there");
        peer_drop(&peer);
        if (!served)
            os_sleep_ms(20); // between two attempts
    }
}
