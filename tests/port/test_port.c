// Goal: the promises of port.h hold, and the socket functions around them do what they say.
// Method: the cases of this folder run over loopback on one port that a world watches (see
// port_harness.h); the same sources are linked with each implementation. This file: sockets and
// listeners.
#include "port_harness.h"

#include <string.h>

#include "os.h"

static void port_nothing_to_do_times_out(void **state)
{
    struct world *world = *state;

    assert_int_equal(port_poll(world->port, 0), 0);
    assert_int_equal(port_poll(world->port, 20), 0);
    world_listen(world);
    assert_int_equal(port_poll(world->port, 20), 0);
}

static void port_listen_any_port_tells_which(void **state)
{
    struct world *world = *state;

    world_listen(world);
    assert_int_equal(world->at.family, ADDR_IPV4);
    assert_int_not_equal(world->at.port, 0);
    assert_memory_equal(world->at.host, any_loopback.host, 4);
}

static void port_listen_twice_is_in_use(void **state)
{
    struct world *world = *state;
    net_socket second = NET_SOCKET_NONE;

    world_listen(world);
    assert_int_equal(port_listen(world->port, &world->at, 8, &second), -EADDRINUSE);
    assert_int_equal(second, NET_SOCKET_NONE);
}

// Connections that a server closed first linger in the system, and must not keep its successor out.
static void port_listen_again_after_close_works(void **state)
{
    struct world *world = *state;
    net_socket client;
    net_socket server;
    struct net_addr at;

    world_pair(world, &client, &server);
    at = world->at;
    world_end_socket(world, world->listener, PORT_CLOSE_ORDERLY);
    world_end_socket(world, server, PORT_CLOSE_ORDERLY);
    world_end_socket(world, client, PORT_CLOSE_ORDERLY);
    assert_int_equal(port_listen(world->port, &at, 8, &world->listener), 0);
    world->sockets++;
    assert_int_equal(port_addr_local(world->listener, &world->at), 0);
    assert_true(addr_equal(&world->at, &at));
}

static void port_listen_foreign_address_is_not_available(void **state)
{
    struct world *world = *state;
    struct net_addr at = {.family = ADDR_IPV4, .host = {192, 0, 2, 1}}; // for documentation only
    net_socket listener = NET_SOCKET_NONE;

    assert_int_equal(port_listen(world->port, &at, 8, &listener), -EADDRNOTAVAIL);
    assert_int_equal(listener, NET_SOCKET_NONE);
}

static void port_connect_nobody_listens_is_refused(void **state)
{
    struct world *world = *state;
    struct track connect = {0};
    net_socket socket;
    struct net_addr at;

    world_listen(world);
    at = world->at;
    world_end_socket(world, world->listener, PORT_CLOSE_ORDERLY);
    world->listener = NET_SOCKET_NONE;

    socket = world_socket(world, &at);
    start_connect(world, &connect, socket, &at);
    world_wait(world, &connect);
    assert_int_equal(connect.error, -ECONNREFUSED);
    world_end_socket(world, socket, PORT_CLOSE_ORDERLY);
}

static void port_socket_never_connected_closes(void **state)
{
    struct world *world = *state;
    net_socket socket = world_socket(world, &any_loopback);

    world_step(world, 0);
    world_end_socket(world, socket, PORT_CLOSE_ORDERLY);
    socket = world_socket(world, &any_loopback);
    world_end_socket(world, socket, PORT_CLOSE_RESET);
}

static void port_accepted_socket_knows_both_ends(void **state)
{
    struct world *world = *state;
    struct net_addr there;
    struct net_addr here;
    net_socket client;
    net_socket server;

    world_pair(world, &client, &server);
    assert_int_equal(port_addr_peer(server, &there), 0);
    assert_int_equal(port_addr_local(client, &here), 0);
    assert_true(addr_equal(&there, &here));
    assert_int_equal(port_addr_peer(client, &there), 0);
    assert_true(addr_equal(&there, &world->at));
    assert_int_equal(port_addr_local(server, &here), 0);
    assert_true(addr_equal(&here, &world->at));
    world_end_socket(world, client, PORT_CLOSE_ORDERLY);
    world_end_socket(world, server, PORT_CLOSE_ORDERLY);
}

// Takes one client of a family at a listener on [::], and says how its address reads.
static struct net_addr dual_stack_client(struct world *world, const struct net_addr *to)
{
    net_socket client = world_socket(world, to);
    struct track accept = {0};
    struct track connect = {0};
    struct net_addr peer = {0};

    start_accept(world, &accept, world->listener);
    start_connect(world, &connect, client, to);
    world_wait(world, &connect);
    assert_int_equal(connect.error, 0);
    world_wait(world, &accept);
    assert_int_equal(accept.error, 0);
    assert_int_equal(port_addr_peer(accept.accepted, &peer), 0);
    port_discard(accept.accepted, PORT_CLOSE_ORDERLY);
    world->sockets--;
    world_end_socket(world, client, PORT_CLOSE_ORDERLY);
    return peer;
}

static void port_dual_stack_listener_takes_both_families(void **state)
{
    struct world *world = *state;
    struct net_addr at = {.family = ADDR_IPV6}; // [::]:0
    struct net_addr to = any_loopback;
    struct net_addr peer;
    int rc = port_listen(world->port, &at, 8, &world->listener);

    if (rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL)
        skip(); // a host without IPv6
    assert_int_equal(rc, 0);
    world->sockets++;
    assert_int_equal(port_addr_local(world->listener, &world->at), 0);

    to.port = world->at.port;
    peer = dual_stack_client(world, &to);
    assert_int_equal(peer.family, ADDR_IPV4);
    assert_memory_equal(peer.host, any_loopback.host, 4);

    at.host[15] = 1; // [::1]
    at.port = world->at.port;
    peer = dual_stack_client(world, &at);
    assert_int_equal(peer.family, ADDR_IPV6);
    assert_memory_equal(peer.host, at.host, 16);
}

static void port_many_accepts_posted_take_a_client_each(void **state)
{
    enum { COUNT = 16 };
    struct world *world = *state;
    struct track accept[COUNT] = {0};
    struct track connect[COUNT] = {0};
    net_socket client[COUNT];

    world_listen(world);
    for (int i = 0; i < COUNT; i++)
        start_accept(world, &accept[i], world->listener);
    for (int i = 0; i < COUNT; i++) {
        client[i] = world_socket(world, &world->at);
        start_connect(world, &connect[i], client[i], &world->at);
    }
    for (int i = 0; i < COUNT; i++) {
        world_wait(world, &connect[i]);
        world_wait(world, &accept[i]);
        assert_int_equal(connect[i].error, 0);
        assert_int_equal(accept[i].error, 0);
        for (int j = 0; j < i; j++)
            assert_int_not_equal(accept[i].accepted, accept[j].accepted);
    }
    for (int i = 0; i < COUNT; i++) {
        port_discard(accept[i].accepted, i % 2 ? PORT_CLOSE_ORDERLY : PORT_CLOSE_RESET);
        world->sockets--;
        world_end_socket(world, client[i], PORT_CLOSE_ORDERLY);
    }
}

// Clients that were there first: the backlog holds them until accepts are posted.
static void port_accept_posted_late_takes_who_waits(void **state)
{
    enum { COUNT = 4 };
    struct world *world = *state;
    struct track accept[COUNT] = {0};
    struct track connect[COUNT] = {0};
    net_socket client[COUNT];

    world_listen(world);
    for (int i = 0; i < COUNT; i++) {
        client[i] = world_socket(world, &world->at);
        start_connect(world, &connect[i], client[i], &world->at);
    }
    for (int i = 0; i < COUNT; i++) {
        world_wait(world, &connect[i]);
        assert_int_equal(connect[i].error, 0);
    }
    for (int i = 0; i < COUNT; i++) { // one after the other: no new client makes the news
        start_accept(world, &accept[i], world->listener);
        world_wait(world, &accept[i]);
        assert_int_equal(accept[i].error, 0);
        port_discard(accept[i].accepted, PORT_CLOSE_ORDERLY);
        world->sockets--;
        world_end_socket(world, client[i], PORT_CLOSE_ORDERLY);
    }
}

// Some systems hand out such clients as sockets that are dead already, others fail the accept.
static void port_accept_after_clients_that_reset_goes_on(void **state)
{
    enum { GONE = 5, MOST = GONE + 1 };
    struct world *world = *state;
    struct track accept = {0};
    struct track connect = {0};
    struct net_addr good;
    struct net_addr peer;
    net_socket client;
    bool found = false;

    world_listen(world);
    for (int i = 0; i < GONE; i++) {
        client = world_socket(world, &world->at);
        start_connect(world, &connect, client, &world->at);
        world_wait(world, &connect);
        assert_int_equal(connect.error, 0);
        world_end_socket(world, client, PORT_CLOSE_RESET);
    }
    client = world_socket(world, &world->at);
    start_connect(world, &connect, client, &world->at);
    world_wait(world, &connect);
    assert_int_equal(connect.error, 0);
    assert_int_equal(port_addr_local(client, &good), 0);

    for (int i = 0; i < MOST && !found; i++) {
        start_accept(world, &accept, world->listener);
        world_wait(world, &accept);
        if (accept.error != 0)
            continue;
        found = port_addr_peer(accept.accepted, &peer) == 0 && addr_equal(&peer, &good);
        port_discard(accept.accepted, PORT_CLOSE_ORDERLY);
        world->sockets--;
    }
    assert_true(found);
    world_end_socket(world, client, PORT_CLOSE_ORDERLY);
}

static void port_close_listener_with_accepts_posted(void **state)
{
    enum { COUNT = 8 };
    struct world *world = *state;
    struct track accept[COUNT] = {0};
    struct track connect = {0};
    struct net_addr at;
    net_socket client;

    world_listen(world);
    at = world->at;
    for (int i = 0; i < COUNT; i++)
        start_accept(world, &accept[i], world->listener);
    world_step(world, 0);
    world_cancel(world, world->listener);
    for (int i = 0; i < COUNT; i++) {
        world_wait(world, &accept[i]);
        assert_int_equal(accept[i].error, -ECANCELED);
    }
    world_end_socket(world, world->listener, PORT_CLOSE_ORDERLY);
    world->listener = NET_SOCKET_NONE;

    client = world_socket(world, &at);
    start_connect(world, &connect, client, &at);
    world_wait(world, &connect);
    assert_int_equal(connect.error, -ECONNREFUSED);
    world_end_socket(world, client, PORT_CLOSE_ORDERLY);
}

static void port_adopt_on_another_port_of_the_thread(void **state)
{
    struct world *world = *state;
    struct world second;
    struct track accept = {0};
    struct track connect = {0};
    net_socket client;
    char text[5];

    world_begin(&second);
    world_listen(world);
    client = world_socket(&second, &world->at);
    start_accept(world, &accept, world->listener);
    start_connect(&second, &connect, client, &world->at);
    for (int i = 0; i < 1000 && !(is_home(&connect) && is_home(&accept)); i++) {
        world_step(&second, 10);
        world_step(world, 10);
    }
    assert_true(is_home(&connect) && is_home(&accept));
    assert_int_equal(accept.error, 0);

    assert_int_equal(port_adopt(second.port, accept.accepted), 0);
    world->sockets--;
    second.sockets++;
    send_all(&second, accept.accepted, "hello", 5);
    recv_all(&second, client, text, 5);
    assert_memory_equal(text, "hello", 5);
    world_end_socket(&second, client, PORT_CLOSE_ORDERLY);
    world_end_socket(&second, accept.accepted, PORT_CLOSE_ORDERLY);
    world_end(&second);
}

const struct CMUnitTest port_socket_cases[] = {
    PORT_CASE(port_nothing_to_do_times_out),
    PORT_CASE(port_listen_any_port_tells_which),
    PORT_CASE(port_listen_twice_is_in_use),
    PORT_CASE(port_listen_again_after_close_works),
    PORT_CASE(port_listen_foreign_address_is_not_available),
    PORT_CASE(port_connect_nobody_listens_is_refused),
    PORT_CASE(port_socket_never_connected_closes),
    PORT_CASE(port_accepted_socket_knows_both_ends),
    PORT_CASE(port_dual_stack_listener_takes_both_families),
    PORT_CASE(port_many_accepts_posted_take_a_client_each),
    PORT_CASE(port_accept_posted_late_takes_who_waits),
    PORT_CASE(port_accept_after_clients_that_reset_goes_on),
    PORT_CASE(port_close_listener_with_accepts_posted),
    PORT_CASE(port_adopt_on_another_port_of_the_thread),
};
const size_t port_socket_case_count = ARRAY_COUNT(port_socket_cases);
