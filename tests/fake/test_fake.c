// Goal: what a test asks of the fake port happens, and happens the same way for the same seed.
// Method: one port that talks to itself; the contract of port.h is the suite's in tests/port.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "port_fake.h"

static struct port *port;
static net_socket listener;
static struct net_addr at;
static char order[256]; // which op came home when

struct named {
    struct port_op op;
    char name;
};

static void named_done(struct port_op *op)
{
    char text[] = {container_of(op, struct named, op)->name, 0};

    if (strlen(order) + 1 < sizeof(order))
        strcat(order, text);
}

static void begin(struct fake_config config)
{
    struct net_addr loopback = {.family = ADDR_IPV4, .host = {127, 0, 0, 1}};

    fake_reset(&config);
    order[0] = 0;
    assert_int_equal(port_create(&port, &(struct port_config){.op_count_max = 64}), 0);
    assert_int_equal(port_listen(port, &loopback, 8, &listener), 0);
    assert_int_equal(port_addr_local(listener, &at), 0);
}

static void run(void)
{
    while (port_poll(port, -1) > 0)
        ;
}

static void close_all(const net_socket *sockets, int count)
{
    struct named close = {.op.done = named_done, .name = 'z'};

    for (int i = 0; i < count; i++) {
        port_close(port, &close.op, sockets[i], PORT_CLOSE_ORDERLY);
        run();
    }
    port_close(port, &close.op, listener, PORT_CLOSE_ORDERLY);
    run();
    assert_int_equal(fake_sockets_open(), 0);
    assert_int_equal(fake_in_flight(), 0);
    port_destroy(port);
}

// [0] client, [1] server
static void pair(net_socket out[2])
{
    struct named accept = {.op.done = named_done, .name = 'a'};
    struct named connect = {.op.done = named_done, .name = 'c'};

    assert_int_equal(port_socket(port, &at, &out[0]), 0);
    port_accept(port, &accept.op, listener);
    port_connect(port, &connect.op, out[0], &at);
    run();
    assert_int_equal(connect.op.error, 0);
    assert_int_equal(accept.op.error, 0);
    out[1] = accept.op.accepted;
    assert_int_equal(port_adopt(port, out[1]), 0);
}

static void fake_faults_come_home_in_order(void **state)
{
    struct named recv = {.op.done = named_done, .name = 'r'};
    struct named send = {.op.done = named_done, .name = 's'};
    struct bytes slice = {(const uint8_t *)"x", 1};
    net_socket sockets[2];

    (void)state;
    begin((struct fake_config){.seed = 1});
    pair(sockets);
    port_recv(port, &recv.op, sockets[1]);
    assert_false(fake_ready(port));
    assert_int_equal(port_poll(port, -1), 0); // it never sleeps
    fake_fail(FAKE_RECV, sockets[0], -EIO);   // another's
    assert_false(fake_ready(port));
    fake_fail(FAKE_RECV, sockets[1], -ETIMEDOUT);
    assert_true(fake_ready(port));
    run();
    assert_int_equal(recv.op.error, -ETIMEDOUT);
    port_send(port, &send.op, sockets[0], &slice, 1); // the connection is over on both sides
    run();
    assert_int_equal(send.op.error, -ECONNRESET);
    close_all(sockets, 2);
}

static void fake_accept_out_of_descriptors_keeps_the_client(void **state)
{
    struct named accept = {.op.done = named_done, .name = 'a'};
    struct named connect = {.op.done = named_done, .name = 'c'};
    net_socket client;

    (void)state;
    begin((struct fake_config){.seed = 2});
    assert_int_equal(port_socket(port, &at, &client), 0);
    port_connect(port, &connect.op, client, &at);
    run();
    fake_fail(FAKE_ACCEPT, NET_SOCKET_NONE, -EMFILE);
    port_accept(port, &accept.op, listener);
    run();
    assert_int_equal(accept.op.error, -EMFILE);
    assert_int_equal(accept.op.accepted, NET_SOCKET_NONE);
    port_accept(port, &accept.op, listener);
    run();
    assert_int_equal(accept.op.error, 0);
    port_discard(accept.op.accepted, PORT_CLOSE_RESET);
    close_all(&client, 1);
}

static void fake_socket_limit_is_kept(void **state)
{
    net_socket sockets[2];
    net_socket more = NET_SOCKET_NONE;

    (void)state;
    begin((struct fake_config){.seed = 3, .socket_max = 3});
    pair(sockets);
    assert_int_equal(port_socket(port, &at, &more), -EMFILE);
    assert_int_equal(more, NET_SOCKET_NONE);
    close_all(sockets, 2);
}

static void fake_calls_that_return_fail_when_asked(void **state)
{
    net_socket socket;

    (void)state;
    begin((struct fake_config){.seed = 4});
    fake_fail(FAKE_LISTEN, NET_SOCKET_NONE, -EACCES);
    fake_fail(FAKE_SOCKET, NET_SOCKET_NONE, -EMFILE);
    assert_int_equal(port_listen(port, &at, 8, &socket), -EACCES);
    assert_int_equal(port_socket(port, &at, &socket), -EMFILE);
    assert_int_equal(port_socket(port, &at, &socket), 0);
    close_all(&socket, 1);
}

static void fake_peer_ends_when_asked(void **state)
{
    struct named recv = {.op.done = named_done, .name = 'r'};
    net_socket sockets[2];

    (void)state;
    begin((struct fake_config){.seed = 5});
    pair(sockets);
    port_recv(port, &recv.op, sockets[1]);
    fake_peer_finish(sockets[1]);
    run();
    assert_int_equal(recv.op.error, 0);
    assert_int_equal(recv.op.bytes, 0);
    port_recv(port, &recv.op, sockets[0]);
    fake_peer_reset(sockets[0]);
    run();
    assert_int_equal(recv.op.error, -ECONNRESET);
    close_all(sockets, 2);
}

static void fake_full_socket_makes_sends_wait(void **state)
{
    struct named send = {.op.done = named_done, .name = 's'};
    struct named recv = {.op.done = named_done, .name = 'r'};
    uint8_t data[100] = {0};
    struct bytes slice = {data, sizeof(data)};
    net_socket sockets[2];

    (void)state;
    begin((struct fake_config){.seed = 6, .socket_bytes = 60});
    pair(sockets);
    port_send(port, &send.op, sockets[0], &slice, 1);
    run();
    assert_int_equal(send.op.bytes, 60);
    assert_int_equal(fake_unread(sockets[1]), 60);
    port_send(port, &send.op, sockets[0], &slice, 1);
    run();
    assert_int_equal(fake_in_flight(), 1);
    port_recv(port, &recv.op, sockets[1]);
    run();
    assert_int_equal(recv.op.bytes, 60);
    assert_int_equal(fake_in_flight(), 0);
    port_recv(port, &recv.op, sockets[1]);
    run();
    close_all(sockets, 2);
}

static void fake_client_address_is_what_was_set(void **state)
{
    struct net_addr host = {.family = ADDR_IPV4, .host = {10, 1, 2, 3}};
    struct net_addr peer;
    net_socket sockets[2];

    (void)state;
    begin((struct fake_config){.seed = 7});
    fake_client_address(&host);
    pair(sockets);
    assert_int_equal(port_addr_peer(sockets[1], &peer), 0);
    assert_memory_equal(peer.host, host.host, 4);
    close_all(sockets, 2);
}

// Three receives that can all come home, in the order in which they do.
static void order_of(uint64_t seed, char out[sizeof(order)])
{
    struct named recv[3];
    net_socket sockets[6];

    begin((struct fake_config){.seed = seed, .shuffle = true});
    for (int i = 0; i < 3; i++)
        pair(&sockets[2 * i]);
    order[0] = 0;
    for (int i = 0; i < 3; i++) {
        recv[i] = (struct named){.op.done = named_done, .name = (char)('1' + i)};
        port_recv(port, &recv[i].op, sockets[2 * i + 1]);
        fake_peer_finish(sockets[2 * i + 1]);
    }
    run();
    memcpy(out, order, sizeof(order));
    close_all(sockets, 6);
}

static void fake_seed_decides_the_order(void **state)
{
    char first[sizeof(order)];
    char again[sizeof(order)];
    int others = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        order_of(seed, first);
        order_of(seed, again);
        assert_string_equal(first, again);
        assert_int_equal(strlen(first), 3);
        others += strcmp(first, "123") != 0;
    }
    assert_in_range(others, 5, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fake_faults_come_home_in_order),
        cmocka_unit_test(fake_accept_out_of_descriptors_keeps_the_client),
        cmocka_unit_test(fake_socket_limit_is_kept),
        cmocka_unit_test(fake_calls_that_return_fail_when_asked),
        cmocka_unit_test(fake_peer_ends_when_asked),
        cmocka_unit_test(fake_full_socket_makes_sends_wait),
        cmocka_unit_test(fake_client_address_is_what_was_set),
        cmocka_unit_test(fake_seed_decides_the_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
