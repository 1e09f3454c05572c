// Goal: a conn whose operations fail, at any moment, closes once, with the first error, and leaves
// nothing behind. Method: the fake port fails each kind of operation, in each state, and in seeded
// random conversations.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "conn_sides.h"
#include "port_fake.h"

static int setup(void **state)
{
    (void)state;
    sides_start(1, false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sides_end();
    return 0;
}

// The other side is not of interest any more.
static void drop(struct side *side)
{
    conn_abort(&side->conn);
    POLL_UNTIL(side->closed_calls == 1);
}

static void conn_without_a_socket_is_not_called_back(void **state)
{
    (void)state;
    reset_sides();
    fake_fail(FAKE_SOCKET, NET_SOCKET_NONE, -EMFILE);
    assert_int_equal(conn_connect(&client.conn, &address), -EMFILE);
    poll_once();
    assert_int_equal(client.closed_calls, 0);
    assert_int_equal(client.conn.state, CONN_IDLE);
}

static void conn_that_cannot_connect_says_why(void **state)
{
    (void)state;
    reset_sides();
    fake_fail(FAKE_CONNECT, NET_SOCKET_NONE, -ENETUNREACH);
    assert_int_equal(conn_connect(&client.conn, &address), 0);
    POLL_UNTIL(client.closed_calls == 1);
    assert_int_equal(client.error, -ENETUNREACH);
    assert_int_equal(client.connected_calls, 0);
}

static void conn_whose_receive_fails_closes_with_that(void **state)
{
    static const enum act ends[] = {ACT_NOTHING, ACT_PAUSE, ACT_FINISH, ACT_HALF_CLOSE};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_COUNT(ends); i++) {
        open_pair();
        say(&server, 10);
        POLL_UNTIL(client.eaten == 10);
        if (ends[i] == ACT_PAUSE)
            conn_pause(&client.conn);
        if (ends[i] == ACT_FINISH)
            conn_finish(&client.conn);
        if (ends[i] == ACT_HALF_CLOSE)
            conn_half_close(&client.conn);
        fake_fail(FAKE_RECV, client.conn.socket, -ETIMEDOUT);
        POLL_UNTIL(client.closed_calls == 1);
        assert_int_equal(client.error, -ETIMEDOUT);
        assert_int_equal(client.ended_calls, 0);
        drop(&server);
    }
}

static void conn_whose_send_fails_closes_with_that(void **state)
{
    int finishing;

    (void)state;
    for (finishing = 0; finishing < 2; finishing++) {
        open_pair();
        fake_fail(FAKE_SEND, client.conn.socket, -EPIPE);
        say(&client, 100);
        if (finishing)
            conn_finish(&client.conn);
        POLL_UNTIL(client.closed_calls == 1);
        assert_int_equal(client.error, -EPIPE);
        drop(&server);
    }
}

static void conn_keeps_its_first_error(void **state)
{
    (void)state;
    open_pair();
    fake_fail(FAKE_SEND, client.conn.socket, -EPIPE);
    fake_fail(FAKE_RECV, client.conn.socket, -ECONNRESET);
    say(&client, 100);
    conn_abort(&client.conn);
    POLL_UNTIL(client.closed_calls == 1);
    assert_int_equal(client.error, -ECANCELED);
    drop(&server);
}

static void conn_reset_by_its_peer_closes_in_every_state(void **state)
{
    static const enum act ends[] = {ACT_NOTHING, ACT_FINISH, ACT_HALF_CLOSE};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_COUNT(ends); i++) {
        open_pair();
        client.on_end = ACT_FINISH;
        say(&client, BIG); // more than fits: a send waits
        if (ends[i] == ACT_FINISH)
            conn_finish(&client.conn);
        if (ends[i] == ACT_HALF_CLOSE)
            conn_half_close(&client.conn);
        fake_peer_reset(client.conn.socket);
        POLL_UNTIL(client.closed_calls == 1);
        assert_true(client.error < 0);
        drop(&server);
    }
}

// Faults of any kind at any time.
static void conn_random_faults_close_once(void **state)
{
    static const int errors[] = {-ECONNRESET, -ETIMEDOUT, -EPIPE};
    uint64_t number;

    (void)state;
    sides_end();
    for (number = 1; number <= network_rounds; number++) {
        size_t steps;

        sides_start(number, true);
        open_pair();
        client.on_end = server.on_end = ACT_FINISH;
        for (steps = random_below(20); steps > 0; steps--) {
            if (client.closed_calls == 0)
                say(&client, 1 + random_below(100000));
            if (server.closed_calls == 0)
                say(&server, 1 + random_below(100000));
            assert_true(port_poll(port, 0) >= 0);
        }
        if (client.closed_calls == 0)
            fake_fail(random_below(2) ? FAKE_RECV : FAKE_SEND, client.conn.socket,
                      errors[random_below(ARRAY_COUNT(errors))]);
        if (random_below(2))
            conn_finish(&client.conn);
        if (random_below(2) && server.closed_calls == 0)
            fake_peer_reset(server.conn.socket);
        for (steps = 200; steps > 0; steps--)
            assert_true(port_poll(port, 0) >= 0);
        drop(&client); // unless it is over already
        drop(&server);
        sides_end();
    }
    sides_start(1, false);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(conn_without_a_socket_is_not_called_back),
        CASE(conn_that_cannot_connect_says_why),
        CASE(conn_whose_receive_fails_closes_with_that),
        CASE(conn_whose_send_fails_closes_with_that),
        CASE(conn_keeps_its_first_error),
        CASE(conn_reset_by_its_peer_closes_in_every_state),
        CASE(conn_random_faults_close_once),
    };

    os_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
