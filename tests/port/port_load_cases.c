// Goal: the promises hold with much in flight and in orders that nobody thought of.
// Method: many idle connections; a long stream both ways, verified byte by byte; random operations
// on a handful of connections, counted home. Seeds are fixed.
#include "port_harness.h"

#include <stdlib.h>
#include <string.h>

#include "os.h"

static void port_many_receives_in_flight(void **state)
{
    struct world *world = *state;
    uint32_t count = os_descriptor_limit_raise() >= 1200 ? 500 : 100;
    struct track *recv = calloc(count, sizeof(*recv));
    net_socket *client = calloc(count, sizeof(*client));
    net_socket *server = calloc(count, sizeof(*server));

    assert_true(recv != NULL && client != NULL && server != NULL);
    for (uint32_t i = 0; i < count; i++) {
        world_pair(world, &client[i], &server[i]);
        start_recv(world, &recv[i], server[i]);
    }
    assert_int_equal(world_step(world, 0), 0);
    assert_int_equal(port_in_flight(world->port), count);
    for (uint32_t i = 0; i < count; i++)
        world_cancel(world, server[i]);
    for (uint32_t i = 0; i < count; i++) {
        world_wait(world, &recv[i]);
        assert_int_equal(recv[i].error, -ECANCELED);
        start_recv(world, &recv[i], server[i]);
    }
    for (uint32_t i = count; i-- > 0;)
        send_all(world, client[i], "x", 1);
    for (uint32_t i = 0; i < count; i++) {
        world_wait(world, &recv[i]);
        assert_int_equal(recv[i].error, 0);
        assert_int_equal(recv[i].bytes, 1);
        world_end_socket(world, client[i], PORT_CLOSE_RESET);
        world_end_socket(world, server[i], PORT_CLOSE_RESET);
    }
    free(recv);
    free(client);
    free(server);
}

// One direction of a stream: random sizes in up to three slices, each byte known by its place.
struct flow {
    struct track send;
    struct track recv;
    struct world *world;
    net_socket from;
    net_socket to;
    uint64_t seed;
    uint64_t total;
    uint64_t sent;
    uint64_t got;
    uint32_t *ended;
    struct bytes slices[3];
    uint8_t chunk[3 * 40000];
    uint8_t into[PORT_RECV_BYTES_MAX];
};

static uint8_t flow_byte(const struct flow *flow, uint64_t at)
{
    return (uint8_t)(at ^ (at >> 8) * 31 ^ (at >> 16) * 7 ^ flow->total);
}

static void flow_send(struct flow *flow)
{
    size_t size = 0;
    uint32_t count = 1 + test_random(&flow->seed) % 3;

    for (uint32_t i = 0; i < count; i++) {
        size_t n = 1 + test_random(&flow->seed) % (test_random(&flow->seed) % 4 ? 40000 : 100);

        if (n > flow->total - flow->sent - size)
            n = (size_t)(flow->total - flow->sent - size);
        flow->slices[i] = (struct bytes){flow->chunk + size, n};
        size += n;
    }
    for (size_t i = 0; i < size; i++)
        flow->chunk[i] = flow_byte(flow, flow->sent + i);
    start_send(flow->world, &flow->send, flow->from, flow->slices, count);
}

static void flow_sent(struct track *track)
{
    struct flow *flow = track->owner;

    assert_int_equal(track->error, 0);
    assert_int_not_equal(track->bytes, 0);
    flow->sent += track->bytes;
    if (flow->sent < flow->total)
        flow_send(flow);
    else
        assert_int_equal(port_shutdown(flow->from), 0);
}

static void flow_received(struct track *track)
{
    struct flow *flow = track->owner;
    bool same = true;

    assert_int_equal(track->error, 0);
    for (uint32_t i = 0; i < track->bytes; i++)
        same = same && flow->into[i] == flow_byte(flow, flow->got + i);
    assert_true(same);
    flow->got += track->bytes;
    if (track->bytes == 0)
        ++*flow->ended;
    else
        start_recv(flow->world, track, flow->to);
}

static struct flow *flow_start(struct world *world, net_socket from, net_socket to, uint64_t total,
                               uint32_t *ended)
{
    struct flow *flow = calloc(1, sizeof(*flow));

    assert_non_null(flow);
    flow->world = world;
    flow->from = from;
    flow->to = to;
    flow->seed = total;
    flow->total = total;
    flow->ended = ended;
    flow->send.then = flow_sent;
    flow->recv.then = flow_received;
    flow->send.owner = flow->recv.owner = flow;
    flow->recv.into = flow->into;
    flow->recv.room = sizeof(flow->into);
    start_recv(world, &flow->recv, to);
    flow_send(flow);
    return flow;
}

static void port_long_stream_both_ways_byte_exact(void **state)
{
    enum { TOTAL = 8 << 20 };
    struct world *world = *state;
    struct flow *there;
    struct flow *back;
    net_socket client;
    net_socket server;
    uint32_t ended = 0;

    world_pair(world, &client, &server);
    there = flow_start(world, client, server, TOTAL, &ended);
    back = flow_start(world, server, client, TOTAL - 1, &ended);
    world_wait_for(world, &ended, 2);
    assert_int_equal(there->got, there->total);
    assert_int_equal(back->got, back->total);
    world_end_socket(world, client, PORT_CLOSE_ORDERLY);
    world_end_socket(world, server, PORT_CLOSE_ORDERLY);
    free(there);
    free(back);
}

// Random operations. A side is one socket and what may be in flight on it.
enum { PAIRS = 12 };

struct side {
    net_socket socket; // NET_SOCKET_NONE while there is none
    bool finished;     // port_shutdown() was called
    struct track recv;
    struct track send;
    struct bytes slice;
};

static bool in_flight(const struct track *track)
{
    return track->kind != TRACK_IDLE;
}

static void side_end(struct world *world, struct side *side, enum port_close_mode mode)
{
    world_cancel(world, side->socket);
    while (in_flight(&side->recv) || in_flight(&side->send))
        world_step(world, 1000);
    world_end_socket(world, side->socket, mode);
    side->socket = NET_SOCKET_NONE;
    side->finished = false;
}

static void side_act(struct world *world, struct side *side, uint32_t what, struct bytes data)
{
    if (side->socket == NET_SOCKET_NONE)
        return;
    if (what < 7) {
        if (!in_flight(&side->recv))
            start_recv(world, &side->recv, side->socket);
    } else if (what < 12) {
        side->slice = data;
        if (!in_flight(&side->send) && !side->finished)
            start_send(world, &side->send, side->socket, &side->slice, 1);
    } else if (what < 14) {
        world_cancel(world, side->socket);
    } else if (what < 15) {
        if (!in_flight(&side->send) && !side->finished)
            side->finished = port_shutdown(side->socket) == 0;
    } else {
        side_end(world, side, what % 2 ? PORT_CLOSE_RESET : PORT_CLOSE_ORDERLY);
    }
}

static void port_random_operations_come_home_once(void **state)
{
    enum { DATA = 300000 };
    struct world *world = *state;
    struct side(*pairs)[2] = calloc(PAIRS, sizeof(*pairs));
    uint8_t *data = calloc(1, DATA);
    uint64_t seed = 2026;

    assert_true(pairs != NULL && data != NULL);
    for (int i = 0; i < PAIRS; i++)
        pairs[i][0].socket = pairs[i][1].socket = NET_SOCKET_NONE;
    for (int step = 0; step < TEST_OPS; step++) {
        struct side *pair = pairs[test_random(&seed) % PAIRS];
        uint32_t size = 1 + test_random(&seed) % (test_random(&seed) % 4 ? 2000 : DATA);

        if (pair[0].socket == NET_SOCKET_NONE && pair[1].socket == NET_SOCKET_NONE)
            world_pair(world, &pair[0].socket, &pair[1].socket);
        side_act(world, &pair[test_random(&seed) % 2], test_random(&seed) % 17,
                 (struct bytes){data, size});
        if (test_random(&seed) % 3 == 0)
            world_step(world, 0);
    }
    for (int i = 0; i < PAIRS; i++) {
        for (int j = 0; j < 2; j++) {
            if (pairs[i][j].socket != NET_SOCKET_NONE)
                side_end(world, &pairs[i][j], PORT_CLOSE_RESET);
            assert_int_equal(pairs[i][j].recv.starts, pairs[i][j].recv.homes);
            assert_int_equal(pairs[i][j].send.starts, pairs[i][j].send.homes);
        }
    }
    free(pairs);
    free(data);
}

const struct CMUnitTest port_load_cases[] = {
    PORT_CASE(port_many_receives_in_flight),
    PORT_CASE(port_long_stream_both_ways_byte_exact),
    PORT_CASE(port_random_operations_come_home_once),
};
const size_t port_load_case_count = ARRAY_COUNT(port_load_cases);
