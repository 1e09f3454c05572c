// Goal: whatever is cancelled comes home once, what is not lost stays, and the end of a socket
// leaves nothing behind that its successor could meet.
// Method: cancels at every point of an operation's life, also from within a done.
#include "port_harness.h"

#include <stdlib.h>

static void port_cancel_recv_waiting(void **state)
{
    struct world *world = *state;
    struct track recv = {0};
    char text[2];
    net_socket client;
    net_socket server;

    world_pair(world, &client, &server);
    for (int i = 0; i < 3; i++) {
        start_recv(world, &recv, server);
        if (i > 0) // the first is cancelled before any poll
            world_step(world, 0);
        world_cancel(world, server);
        world_wait(world, &recv);
        assert_int_equal(recv.error, -ECANCELED);
    }
    send_all(world, client, "go", 2); // the socket is as good as before
    recv_all(world, server, text, 2);
    assert_memory_equal(text, "go", 2);
    world_end_socket(world, client, PORT_CLOSE_ORDERLY);
    world_end_socket(world, server, PORT_CLOSE_ORDERLY);
}

// It may come home with the bytes or cancelled; then they are there for the next one.
static void port_cancel_recv_ready_loses_nothing(void **state)
{
    struct world *world = *state;
    net_socket client;
    net_socket server;

    world_pair(world, &client, &server);
    for (int i = 0; i < 50; i++) {
        struct track recv = {0};
        uint8_t value = (uint8_t)i;
        uint8_t into = 0xff;

        send_all(world, client, &value, 1);
        if (i % 2)
            world_settle(world);
        recv.into = &into;
        recv.room = 1;
        start_recv(world, &recv, server);
        if (i % 3 == 0)
            world_step(world, 0);
        if (!is_home(&recv))
            world_cancel(world, server);
        world_wait(world, &recv);
        if (recv.error == 0) {
            assert_int_equal(recv.bytes, 1);
        } else {
            assert_int_equal(recv.error, -ECANCELED);
            recv_all(world, server, &into, 1);
        }
        assert_int_equal(into, value);
    }
    world_end_socket(world, client, PORT_CLOSE_ORDERLY);
    world_end_socket(world, server, PORT_CLOSE_ORDERLY);
}

static void port_cancel_send_waiting(void **state)
{
    enum { CHUNK = 1 << 20 };
    struct world *world = *state;
    struct bytes chunk = {calloc(1, CHUNK), CHUNK};
    struct track send = {0};
    net_socket client;
    net_socket server;

    assert_non_null(chunk.data);
    world_pair(world, &client, &server);
    do {
        start_send(world, &send, client, &chunk, 1);
        while (!is_home(&send) && world_step(world, 100) > 0)
            ;
    } while (is_home(&send));
    world_cancel(world, client);
    world_wait(world, &send);
    assert_int_equal(send.error, -ECANCELED);
    world_end_socket(world, client, PORT_CLOSE_RESET);
    world_end_socket(world, server, PORT_CLOSE_ORDERLY);
    free((void *)(uintptr_t)chunk.data);
}

static void port_cancel_both_directions(void **state)
{
    struct world *world = *state;
    struct bytes slice = {(const uint8_t *)"x", 1};
    struct track recv = {0};
    struct track send = {0};
    net_socket client;
    net_socket server;

    world_pair(world, &client, &server);
    start_recv(world, &recv, client);
    start_send(world, &send, client, &slice, 1);
    world_cancel(world, client);
    world_cancel(world, client); // asking twice is asking
    world_wait(world, &recv);
    world_wait(world, &send);
    assert_int_equal(recv.error, -ECANCELED);
    assert_true(send.error == -ECANCELED || (send.error == 0 && send.bytes == 1));
    world_end_socket(world, client, PORT_CLOSE_RESET);
    world_end_socket(world, server, PORT_CLOSE_RESET);
}

// On loopback the connect may win.
static void port_cancel_connect(void **state)
{
    struct world *world = *state;

    world_listen(world);
    for (int i = 0; i < 20; i++) {
        struct track connect = {0};
        net_socket socket = world_socket(world, &world->at);

        start_connect(world, &connect, socket, &world->at);
        world_cancel(world, socket);
        world_wait(world, &connect);
        assert_true(connect.error == 0 || connect.error == -ECANCELED);
        world_end_socket(world, socket, i % 2 ? PORT_CLOSE_RESET : PORT_CLOSE_ORDERLY);
    }
}

static void port_cancel_accept_then_accept_again(void **state)
{
    struct world *world = *state;
    struct track accept = {0};
    net_socket client;
    net_socket server;

    world_listen(world);
    for (int i = 0; i < 3; i++) {
        start_accept(world, &accept, world->listener);
        world_step(world, 0);
        world_cancel(world, world->listener);
        world_wait(world, &accept);
        assert_int_equal(accept.error, -ECANCELED);
        world_pair(world, &client, &server);
        world_end_socket(world, client, PORT_CLOSE_ORDERLY);
        world_end_socket(world, server, PORT_CLOSE_ORDERLY);
    }
}

static void port_cancel_nothing_in_flight(void **state)
{
    struct world *world = *state;
    struct track recv = {0};
    char text[2];
    net_socket client;
    net_socket server;

    world_pair(world, &client, &server);
    world_cancel(world, client);
    world_cancel(world, server);
    world_cancel(world, world->listener);
    // A cancel is for what is in flight, not for what comes after it.
    start_recv(world, &recv, server);
    world_step(world, 0);
    assert_false(is_home(&recv));
    send_all(world, client, "ok", 2);
    world_wait(world, &recv);
    assert_int_equal(recv.error, 0);
    assert_in_range(recv.bytes, 1, 2);
    if (recv.bytes < 2)
        recv_all(world, server, text, 1);
    world_end_socket(world, client, PORT_CLOSE_ORDERLY);
    world_end_socket(world, server, PORT_CLOSE_ORDERLY);
}

static void cancel_other(struct track *track)
{
    net_socket *sockets = track->owner;

    for (int i = 0; i < 4; i++)
        port_cancel(track->world->port, sockets[i]);
}

// Four receives that become ready together: whichever runs first cancels them all.
static void port_cancel_from_done_meets_its_own_batch(void **state)
{
    struct world *world = *state;
    net_socket client[4];
    net_socket server[4];

    for (int i = 0; i < 4; i++)
        world_pair(world, &client[i], &server[i]);
    for (int round = 0; round < 20; round++) {
        struct track recv[4] = {0};

        for (int i = 0; i < 4; i++)
            send_all(world, client[i], "x", 1);
        for (int i = 0; i < 4; i++) {
            recv[i].then = cancel_other;
            recv[i].owner = server;
            start_recv(world, &recv[i], server[i]);
        }
        for (int i = 0; i < 4; i++)
            world_wait(world, &recv[i]);
        for (int i = 0; i < 4; i++) {
            char text;

            assert_true(recv[i].error == 0 || recv[i].error == -ECANCELED);
            if (recv[i].error != 0)
                recv_all(world, server[i], &text, 1);
        }
    }
    for (int i = 0; i < 4; i++) {
        world_end_socket(world, client[i], PORT_CLOSE_ORDERLY);
        world_end_socket(world, server[i], PORT_CLOSE_ORDERLY);
    }
}

struct churn {
    struct track accept;
    struct track recv;
    struct track close;
    net_socket server;
    net_socket client;
    struct track connect;
    struct track client_close;
    uint32_t *left;
    uint32_t *ended;
};

static void churn_next(struct churn *churn);

static void churn_closed(struct track *track)
{
    struct churn *churn = track->owner;

    if (churn->server != NET_SOCKET_NONE && !is_home(&churn->close))
        return;
    if (is_home(&churn->client_close))
        churn_next(churn);
}

// The server's side is read and closed at once; the client's too, with a reset now and then. All of
// it from done, so that descriptors come back while their batch is still running.
static void churn_received(struct track *track)
{
    struct churn *churn = track->owner;

    start_close(track->world, &churn->close, churn->server, PORT_CLOSE_ORDERLY);
    start_close(track->world, &churn->client_close, churn->client,
                *churn->left % 3 ? PORT_CLOSE_ORDERLY : PORT_CLOSE_RESET);
}

static void churn_joined(struct track *track)
{
    struct churn *churn = track->owner;
    struct world *world = track->world;

    if (!is_home(&churn->connect) || !is_home(&churn->accept))
        return;
    assert_int_equal(churn->connect.error, 0);
    churn->server = churn->accept.accepted;
    if (churn->accept.error != 0) { // a client that had reset while it waited
        churn->server = NET_SOCKET_NONE;
        start_close(world, &churn->client_close, churn->client, PORT_CLOSE_ORDERLY);
        return;
    }
    assert_int_equal(port_adopt(world->port, churn->server), 0);
    start_recv(world, &churn->recv, churn->server);
    // Whoever is at the other end, its receive ends with this; it may have reset us before.
    (void)port_shutdown(churn->client);
}

static void churn_next(struct churn *churn)
{
    struct world *world = churn->recv.world;

    if (*churn->left == 0) {
        ++*churn->ended;
        return;
    }
    --*churn->left;
    churn->client = world_socket(world, &world->at);
    churn->accept.homes = churn->accept.starts = 0;
    churn->connect.homes = churn->connect.starts = 0;
    churn->close.starts = churn->client_close.starts = 0;
    start_accept(world, &churn->accept, world->listener);
    start_connect(world, &churn->connect, churn->client, &world->at);
}

static void port_sockets_come_and_go_in_one_batch(void **state)
{
    enum { SIDE_BY_SIDE = 8 };
    struct world *world = *state;
    struct churn *churns = calloc(SIDE_BY_SIDE, sizeof(*churns));
    uint32_t left = TEST_OPS / 8;
    uint32_t ended = 0;

    assert_non_null(churns);
    world_listen(world);
    for (int i = 0; i < SIDE_BY_SIDE; i++) {
        struct churn *churn = &churns[i];
        struct track *tracks[] = {&churn->accept, &churn->recv, &churn->close, &churn->connect,
                                  &churn->client_close};

        for (size_t j = 0; j < ARRAY_COUNT(tracks); j++)
            tracks[j]->owner = churn;
        churn->accept.then = churn->connect.then = churn_joined;
        churn->recv.then = churn_received;
        churn->close.then = churn->client_close.then = churn_closed;
        churn->recv.world = world;
        churn->left = &left;
        churn->ended = &ended;
        churn_next(churn);
    }
    world_wait_for(world, &ended, SIDE_BY_SIDE);
    assert_int_equal(left, 0);
    free(churns);
}

const struct CMUnitTest port_cancel_cases[] = {
    PORT_CASE(port_cancel_recv_waiting),
    PORT_CASE(port_cancel_recv_ready_loses_nothing),
    PORT_CASE(port_cancel_send_waiting),
    PORT_CASE(port_cancel_both_directions),
    PORT_CASE(port_cancel_connect),
    PORT_CASE(port_cancel_accept_then_accept_again),
    PORT_CASE(port_cancel_nothing_in_flight),
    PORT_CASE(port_cancel_from_done_meets_its_own_batch),
    PORT_CASE(port_sockets_come_and_go_in_one_batch),
};
const size_t port_cancel_case_count = ARRAY_COUNT(port_cancel_cases);
