// Goal: bytes arrive once, in order, and the end of a stream in all its forms comes home.
// Method: pairs of connected sockets in one world.
#include "port_harness.h"

#include <stdlib.h>
#include <string.h>

static void port_recv_idle_then_data(void **state)
{
    struct world *world = *state;
    struct track recv = {0};
    uint8_t into[PORT_RECV_BYTES_MAX];
    net_socket client;
    net_socket server;

    world_pair(world, &client, &server);
    recv.into = into;
    recv.room = sizeof(into);
    for (int i = 0; i < 20; i++) {
        uint8_t value = (uint8_t)i;

        start_recv(world, &recv, server);
        world_step(world, 0);
        assert_false(is_home(&recv));
        send_all(world, client, &value, 1);
        world_wait(world, &recv);
        assert_int_equal(recv.error, 0);
        assert_int_equal(recv.bytes, 1);
        assert_int_equal(into[0], value);
    }
    world_end_socket(world, client, PORT_CLOSE_ORDERLY);
    world_end_socket(world, server, PORT_CLOSE_ORDERLY);
}

// What came while no receive was posted is there for the next one.
static void port_recv_posted_after_data(void **state)
{
    struct world *world = *state;
    uint8_t into[6];
    net_socket client;
    net_socket server;

    world_pair(world, &client, &server);
    send_all(world, client, "abc", 3);
    world_settle(world);
    recv_all(world, server, into, 3);
    send_all(world, client, "def", 3);
    world_settle(world);
    recv_all(world, server, into + 3, 3);
    assert_memory_equal(into, "abcdef", 6);
    world_end_socket(world, client, PORT_CLOSE_ORDERLY);
    world_end_socket(world, server, PORT_CLOSE_ORDERLY);
}

static void port_peer_finishes_is_zero_bytes_again_and_again(void **state)
{
    struct world *world = *state;
    struct track recv = {0};
    char text[3];
    net_socket client;
    net_socket server;

    world_pair(world, &client, &server);
    start_recv(world, &recv, server);
    world_step(world, 0);
    assert_int_equal(port_shutdown(client), 0);
    world_wait(world, &recv);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(recv.error, 0);
        assert_int_equal(recv.bytes, 0);
        start_recv(world, &recv, server);
        world_wait(world, &recv);
    }
    // The other direction is open still.
    send_all(world, server, "yes", 3);
    recv_all(world, client, text, 3);
    assert_memory_equal(text, "yes", 3);
    assert_int_equal(port_shutdown(server), 0);
    start_recv(world, &recv, client);
    world_wait(world, &recv);
    assert_int_equal(recv.error, 0);
    assert_int_equal(recv.bytes, 0);
    world_end_socket(world, client, PORT_CLOSE_ORDERLY);
    world_end_socket(world, server, PORT_CLOSE_ORDERLY);
}

// Nobody has read anything yet when the sender closes.
static void port_close_orderly_delivers_what_was_sent(void **state)
{
    enum { SIZE = 30000 };
    struct world *world = *state;
    uint8_t *data = malloc(SIZE);
    uint8_t *into = calloc(1, SIZE);
    struct bytes slice = {data, SIZE};
    struct track send = {0};
    struct track recv = {0};
    net_socket client;
    net_socket server;
    size_t got = 0;

    assert_true(data != NULL && into != NULL);
    for (size_t i = 0; i < SIZE; i++)
        data[i] = (uint8_t)(i * 7 + (i >> 8));
    world_pair(world, &client, &server);
    start_send(world, &send, client, &slice, 1);
    world_wait(world, &send);
    assert_int_equal(send.error, 0);
    world_end_socket(world, client, PORT_CLOSE_ORDERLY);
    do {
        recv.into = into + got;
        recv.room = (uint32_t)(SIZE - got);
        start_recv(world, &recv, server);
        world_wait(world, &recv);
        assert_int_equal(recv.error, 0);
        got += recv.bytes;
    } while (recv.bytes > 0);
    assert_int_equal(got, send.bytes);
    assert_memory_equal(into, data, got);
    world_end_socket(world, server, PORT_CLOSE_ORDERLY);
    free(data);
    free(into);
}

static void port_send_slices_byte_exact(void **state)
{
    struct world *world = *state;
    uint8_t data[PORT_SLICES_MAX * 64];
    uint8_t into[sizeof(data)];
    uint64_t seed = 11;
    net_socket client;
    net_socket server;

    world_pair(world, &client, &server);
    for (int round = 0; round < 60; round++) {
        struct bytes slices[PORT_SLICES_MAX];
        uint32_t count = 1 + test_random(&seed) % PORT_SLICES_MAX;
        struct track send = {0};
        size_t size = 0;
        size_t sent = 0;

        if (round == 0)
            count = PORT_SLICES_MAX;
        for (uint32_t i = 0; i < count; i++) {
            // Some are empty, and an empty one may have no address.
            size_t n = test_random(&seed) % 3 == 0 ? 0 : test_random(&seed) % 64;

            if (i == count - 1 && size == 0)
                n = 1;
            slices[i] = (struct bytes){n == 0 ? NULL : data + size, n};
            for (size_t j = 0; j < n; j++)
                data[size + j] = (uint8_t)test_random(&seed);
            size += n;
        }
        start_send(world, &send, client, slices, count);
        world_wait(world, &send);
        assert_int_equal(send.error, 0);
        assert_in_range(send.bytes, 1, size);
        sent = send.bytes;
        if (sent < size)
            send_all(world, client, data + sent, size - sent);
        recv_all(world, server, into, size);
        assert_memory_equal(into, data, size);
    }
    world_end_socket(world, client, PORT_CLOSE_ORDERLY);
    world_end_socket(world, server, PORT_CLOSE_ORDERLY);
}

// Sends until nobody takes any more: the last send is in flight then. How many bytes are home.
static uint64_t fill(struct world *world, struct track *send, net_socket socket,
                     const struct bytes *chunk)
{
    uint64_t sent = 0;

    for (int i = 0; i < 100000; i++) {
        start_send(world, send, socket, chunk, 1);
        while (!is_home(send) && world_step(world, 100) > 0)
            ;
        if (!is_home(send))
            return sent;
        assert_int_equal(send->error, 0);
        sent += send->bytes;
    }
    fail_msg("no end to what the system takes");
    return 0;
}

static void port_peer_does_not_read_send_waits(void **state)
{
    enum { CHUNK = 1 << 20 };
    struct world *world = *state;
    struct bytes chunk = {calloc(1, CHUNK), CHUNK};
    struct track send = {0};
    struct track recv = {0};
    uint64_t sent;
    uint64_t got = 0;
    net_socket client;
    net_socket server;

    assert_non_null(chunk.data);
    world_pair(world, &client, &server);
    sent = fill(world, &send, client, &chunk);
    do {
        start_recv(world, &recv, server);
        world_wait(world, &recv);
        assert_int_equal(recv.error, 0);
        assert_int_not_equal(recv.bytes, 0);
        got += recv.bytes;
    } while (!is_home(&send));
    assert_int_equal(send.error, 0);
    assert_int_not_equal(send.bytes, 0);
    sent += send.bytes;
    assert_int_equal(port_shutdown(client), 0);
    do {
        start_recv(world, &recv, server);
        world_wait(world, &recv);
        assert_int_equal(recv.error, 0);
        got += recv.bytes;
    } while (recv.bytes > 0);
    assert_int_equal(got, sent);
    world_end_socket(world, client, PORT_CLOSE_ORDERLY);
    world_end_socket(world, server, PORT_CLOSE_ORDERLY);
    free((void *)(uintptr_t)chunk.data);
}

static void port_peer_resets_recv_pending(void **state)
{
    struct world *world = *state;
    struct track recv = {0};
    net_socket client;
    net_socket server;

    world_pair(world, &client, &server);
    start_recv(world, &recv, server);
    world_step(world, 0);
    world_end_socket(world, client, PORT_CLOSE_RESET);
    world_wait(world, &recv);
    assert_true(error_is_reset(recv.error));
    // From here on each receive ends at once, this way or that.
    for (int i = 0; i < 2; i++) {
        start_recv(world, &recv, server);
        world_wait(world, &recv);
        assert_true(error_is_reset(recv.error) || recv.bytes == 0);
    }
    world_end_socket(world, server, PORT_CLOSE_ORDERLY);
}

// Some systems show a reset that came before the receive as an orderly end.
static void port_peer_reset_before_recv(void **state)
{
    struct world *world = *state;
    struct track recv = {0};
    net_socket client;
    net_socket server;

    world_pair(world, &client, &server);
    world_end_socket(world, client, PORT_CLOSE_RESET);
    world_settle(world);
    start_recv(world, &recv, server);
    world_wait(world, &recv);
    assert_true(error_is_reset(recv.error) || (recv.error == 0 && recv.bytes == 0));
    world_end_socket(world, server, PORT_CLOSE_ORDERLY);
}

// A reset may overtake data that was not read yet: it may be lost, but nothing hangs.
static void port_peer_resets_data_unread(void **state)
{
    struct world *world = *state;
    struct track recv = {0};
    net_socket client;
    net_socket server;
    int rounds = 0;

    world_pair(world, &client, &server);
    send_all(world, client, "unread", 6);
    world_settle(world);
    world_end_socket(world, client, PORT_CLOSE_RESET);
    world_settle(world);
    do {
        start_recv(world, &recv, server);
        world_wait(world, &recv);
        assert_true(++rounds < 10);
    } while (recv.error == 0 && recv.bytes > 0);
    assert_true(error_is_reset(recv.error) || recv.error == 0);
    world_end_socket(world, server, PORT_CLOSE_ORDERLY);
}

static void port_peer_resets_send_pending(void **state)
{
    enum { CHUNK = 1 << 20 };
    struct world *world = *state;
    struct bytes chunk = {calloc(1, CHUNK), CHUNK};
    struct track send = {0};
    struct track recv = {0};
    net_socket client;
    net_socket server;

    assert_non_null(chunk.data);
    world_pair(world, &client, &server);
    start_recv(world, &recv, client);
    fill(world, &send, client, &chunk);
    world_end_socket(world, server, PORT_CLOSE_RESET);
    world_wait(world, &send);
    assert_true(error_is_reset(send.error));
    world_wait(world, &recv); // the one error goes to the send or to this; then it is an end
    assert_true(error_is_reset(recv.error) || (recv.error == 0 && recv.bytes == 0));
    start_send(world, &send, client, &chunk, 1);
    world_wait(world, &send);
    assert_true(error_is_reset(send.error));
    world_end_socket(world, client, PORT_CLOSE_ORDERLY);
    free((void *)(uintptr_t)chunk.data);
}

const struct CMUnitTest port_stream_cases[] = {
    PORT_CASE(port_recv_idle_then_data),
    PORT_CASE(port_recv_posted_after_data),
    PORT_CASE(port_peer_finishes_is_zero_bytes_again_and_again),
    PORT_CASE(port_close_orderly_delivers_what_was_sent),
    PORT_CASE(port_send_slices_byte_exact),
    PORT_CASE(port_peer_does_not_read_send_waits),
    PORT_CASE(port_peer_resets_recv_pending),
    PORT_CASE(port_peer_reset_before_recv),
    PORT_CASE(port_peer_resets_data_unread),
    PORT_CASE(port_peer_resets_send_pending),
};
const size_t port_stream_case_count = ARRAY_COUNT(port_stream_cases);
