// Goal: a conn keeps its promises in every state: bytes in order and shown until eaten, pause and
// resume, orderly and hard ends from any callback, `closed` exactly once, no memory kept when idle.
// Method: both ends of a connection are conns on one port, the fake one and the system's; one case
// a rule.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "conn_sides.h"

static void conn_both_ways_at_once_keeps_all_bytes(void **state)
{
    (void)state;
    open_pair();
    say(&client, BIG);
    say(&server, BIG);
    say(&client, 1);
    say(&server, 70000);
    POLL_UNTIL(server.eaten == client.sent && client.eaten == server.sent);
    assert_int_equal(conn_unsent(&client.conn) + conn_unsent(&server.conn), 0);
    end_in_order();
}

static void conn_idle_after_talking_keeps_little_memory(void **state)
{
    (void)state;
    open_pair();
    server.eat_max = 70001; // leaves halves behind
    say(&client, BIG);
    say(&server, BIG);
    POLL_UNTIL(client.eaten == server.sent && server.eaten + 100000 > client.sent);
    server.eat_max = SIZE_MAX;
    say(&client, 1);
    POLL_UNTIL(server.eaten == client.sent && conn_unsent(&client.conn) == 0 &&
               conn_unsent(&server.conn) == 0);
    assert_true(client.conn.outbox.capacity + client.conn.sending.capacity <= CONN_KEEP_BYTES);
    assert_true(server.conn.outbox.capacity + server.conn.sending.capacity <= CONN_KEEP_BYTES);
    assert_true(client.conn.inbox.capacity <= CONN_KEEP_BYTES);
    assert_true(server.conn.inbox.capacity <= CONN_KEEP_BYTES);
    end_in_order();
}

static void conn_what_is_left_is_shown_again_with_what_follows(void **state)
{
    (void)state;
    open_pair();
    server.eat_max = 0;
    say(&client, 10);
    POLL_UNTIL(server.received_calls == 1);
    say(&client, 10);
    POLL_UNTIL(server.shown_most == 20);
    server.eat_max = 5;
    say(&client, 1);
    POLL_UNTIL(server.eaten == 5);
    server.eat_max = SIZE_MAX;
    say(&client, 1);
    POLL_UNTIL(server.eaten == 22);
    assert_int_equal(buffer_size(&server.conn.inbox), 0);
    end_in_order();
}

static void conn_pause_within_received_keeps_the_rest(void **state)
{
    (void)state;
    open_pair();
    server.eat_max = 3;
    server.on_receive = ACT_PAUSE;
    say(&client, 10);
    POLL_UNTIL(server.received_calls == 1);
    say(&client, 10);
    poll_once();
    assert_int_equal(server.received_calls, 1);
    assert_int_equal(buffer_size(&server.conn.inbox), 7);
    conn_resume(&server.conn); // shows at once, and is paused again
    assert_int_equal(server.eaten, 6);
    server.on_receive = ACT_NOTHING;
    server.eat_max = SIZE_MAX;
    conn_resume(&server.conn);
    POLL_UNTIL(server.eaten == 20);
    conn_resume(&server.conn); // not paused: nothing
    end_in_order();
}

static void conn_resume_within_received_shows_the_rest_once_more(void **state)
{
    (void)state;
    open_pair();
    server.eat_max = 4;
    server.on_receive = ACT_PAUSE_RESUME;
    say(&client, 10);
    POLL_UNTIL(server.eaten == 10);
    assert_true(server.received_calls >= 3);
    end_in_order();
}

static void conn_bytes_and_end_that_come_while_paused_wait(void **state)
{
    (void)state;
    open_pair();
    conn_pause(&server.conn); // its receive is in flight
    say(&client, 10);
    POLL_UNTIL(buffer_size(&server.conn.inbox) == 10);
    conn_half_close(&client.conn);
    poll_once();
    assert_int_equal(server.received_calls, 0);
    assert_int_equal(server.ended_calls, 0);
    conn_resume(&server.conn);
    assert_int_equal(server.eaten, 10);
    POLL_UNTIL(server.ended_calls == 1);
    say(&server, 100);
    conn_finish(&server.conn);
    both_closed(0, 0);
    assert_int_equal(client.eaten, 100);
}

static void conn_finish_sends_all_before_the_end(void **state)
{
    (void)state;
    open_pair();
    server.on_end = ACT_FINISH;
    say(&client, BIG);
    say(&client, BIG);
    conn_finish(&client.conn);
    conn_finish(&client.conn); // no effect
    both_closed(0, 0);
    assert_int_equal(server.eaten, client.sent);
    assert_int_equal(server.ended_calls, 1);
    assert_int_equal(client.ended_calls, 0);
}

static void conn_finish_drops_what_the_peer_still_says(void **state)
{
    (void)state;
    open_pair();
    server.on_end = ACT_FINISH;
    say(&server, BIG); // far more than the system holds: the client must go on reading
    conn_finish(&client.conn);
    both_closed(0, 0);
    assert_true(client.eaten < server.sent);
    assert_int_equal(client.ended_calls, 0);
}

static void conn_half_close_hears_all_then_closes(void **state)
{
    (void)state;
    open_pair();
    say(&client, BIG);
    conn_half_close(&client.conn);
    POLL_UNTIL(server.ended_calls == 1);
    assert_int_equal(server.eaten, client.sent);
    say(&server, BIG);
    conn_finish(&server.conn);
    both_closed(0, 0);
    assert_int_equal(client.eaten, server.sent);
    assert_int_equal(client.ended_calls, 1);
}

static void conn_half_closed_and_paused_hears_the_end_after_resume(void **state)
{
    (void)state;
    open_pair();
    conn_half_close(&client.conn);
    conn_pause(&client.conn);
    POLL_UNTIL(server.ended_calls == 1);
    say(&server, 50);
    conn_finish(&server.conn);
    POLL_UNTIL(buffer_size(&client.conn.inbox) == 50);
    poll_once();
    assert_int_equal(client.closed_calls, 0);
    conn_resume(&client.conn);
    both_closed(0, 0);
    assert_int_equal(client.eaten, 50);
}

static void conn_finish_while_paused_drops_the_inbox_and_goes_on(void **state)
{
    (void)state;
    open_pair();
    server.on_end = ACT_FINISH;
    conn_pause(&client.conn);
    say(&server, 10);
    POLL_UNTIL(buffer_size(&client.conn.inbox) == 10); // no receive is in flight now
    conn_finish(&client.conn);
    assert_null(client.conn.inbox.memory);
    say(&server, BIG);
    both_closed(0, 0);
    assert_int_equal(client.received_calls, 0);
}

static void conn_half_closed_and_paused_stays_until_the_end_is_told(void **state)
{
    (void)state;
    open_pair();
    conn_half_close(&server.conn);
    conn_pause(&client.conn); // the receive in flight brings the end
    POLL_UNTIL(client.conn.peer_finished);
    say(&client, BIG);
    conn_half_close(&client.conn);
    POLL_UNTIL(client.conn.state == CONN_LINGERING);
    poll_once();
    assert_int_equal(client.ended_calls, 0);
    assert_int_equal(client.closed_calls, 0);
    conn_resume(&client.conn);
    both_closed(0, 0);
    assert_int_equal(client.ended_calls, 1);
    assert_int_equal(server.eaten, client.sent);
}

static void conn_half_closed_then_finished_drops_the_rest(void **state)
{
    (void)state;
    open_pair();
    conn_half_close(&client.conn);
    POLL_UNTIL(server.ended_calls == 1);
    conn_finish(&client.conn);
    say(&server, 50);
    conn_finish(&server.conn);
    both_closed(0, 0);
    assert_int_equal(client.eaten, 0);
    assert_int_equal(client.ended_calls, 0);
}

static void conn_abort_resets_the_peer(void **state)
{
    (void)state;
    open_pair();
    server.on_end = ACT_FINISH;
    say(&client, BIG);
    conn_abort(&client.conn);
    conn_abort(&client.conn);
    conn_finish(&client.conn);
    both_closed(-ECANCELED, -ECONNRESET);
}

static void conn_abort_ends_the_wait_for_the_peer(void **state)
{
    (void)state;
    open_pair();
    say(&client, 10);
    conn_finish(&client.conn);
    POLL_UNTIL(server.ended_calls == 1 && client.conn.state == CONN_LINGERING);
    conn_abort(&client.conn);
    POLL_UNTIL(client.closed_calls == 1);
    assert_int_equal(client.error, -ECANCELED);
    conn_abort(&server.conn);
    both_closed(-ECANCELED, -ECANCELED);
}

static void conn_may_end_from_within_any_callback(void **state)
{
    static const enum act ends[] = {ACT_FINISH, ACT_ABORT, ACT_HALF_CLOSE};
    size_t where, how;

    (void)state;
    for (where = 0; where < 4; where++) {
        for (how = 0; how < ARRAY_COUNT(ends); how++) {
            reset_sides();
            server.on_end = client.on_end = ACT_FINISH;
            client.on_connect = where == 0 ? ends[how] : ACT_NOTHING;
            server.on_receive = where == 1 ? ends[how] : ACT_NOTHING;
            server.on_end = where == 2 ? ends[how] : ACT_FINISH;
            client.on_send = where == 3 ? ends[how] : ACT_NOTHING;
            server.eat_max = 7;
            start_connect();
            POLL_UNTIL(client.connected_calls == 1);
            POLL_UNTIL(!accept_op.in_flight);
            if (accept_op.error < 0) { // it was gone again, which may be seen at the accept
                assert_true(where == 0 && ends[how] == ACT_ABORT);
                POLL_UNTIL(client.closed_calls == 1);
                continue;
            }
            accept_server();
            if (client.conn.state == CONN_OPEN)
                say(&client, 100000);
            if (where == 2)
                conn_finish(&client.conn);
            if (where == 1 && ends[how] == ACT_HALF_CLOSE)
                conn_finish(&client.conn);
            POLL_UNTIL(client.closed_calls == 1 && server.closed_calls == 1);
        }
    }
}

static void conn_finish_or_abort_while_connecting_gives_up(void **state)
{
    int round;

    (void)state;
    for (round = 0; round < 2; round++) {
        reset_sides();
        server.on_end = ACT_FINISH;
        start_connect();
        say(&client, 10);
        if (round == 0)
            conn_finish(&client.conn);
        else
            conn_abort(&client.conn);
        POLL_UNTIL(client.closed_calls == 1);
        assert_int_equal(client.error, -ECANCELED);
        assert_int_equal(client.connected_calls, 0);
        // The listener may have seen it or not.
        port_cancel(port, listener);
        POLL_UNTIL(!accept_op.in_flight);
        if (accept_op.error == 0)
            port_discard(accept_op.accepted, PORT_CLOSE_RESET);
    }
}

static void op_done(struct port_op *op)
{
    (void)op;
}

static void conn_refused_is_told_by_closed(void **state)
{
    struct net_addr nobody = {.family = ADDR_IPV4, .host = {127, 0, 0, 1}};
    static struct port_op close_op;
    net_socket other;

    (void)state;
    reset_sides();
    assert_int_equal(port_listen(port, &nobody, 1, &other), 0);
    assert_int_equal(port_addr_local(other, &nobody), 0);
    close_op.done = op_done;
    port_close(port, &close_op, other, PORT_CLOSE_RESET);
    POLL_UNTIL(!close_op.in_flight);
    assert_int_equal(conn_connect(&client.conn, &nobody), 0);
    POLL_UNTIL(client.closed_calls == 1);
    assert_int_equal(client.error, -ECONNREFUSED);
    assert_int_equal(client.connected_calls, 0);
}

static void conn_outbox_filled_while_connecting_is_sent(void **state)
{
    (void)state;
    reset_sides();
    start_connect();
    say(&client, 1000);
    accept_server();
    POLL_UNTIL(server.eaten == 1000);
    end_in_order();
}

static void conn_may_be_opened_again_after_closed(void **state)
{
    (void)state;
    open_pair();
    end_in_order();
    client.closed_calls = client.connected_calls = 0;
    client.sent = client.eaten = 0;
    memset(&server, 0, sizeof server);
    server.eat_max = SIZE_MAX;
    conn_init(&server.conn, port, &side_handler);
    client.on_end = ACT_NOTHING;
    start_connect();
    accept_server();
    say(&client, 10);
    POLL_UNTIL(server.eaten == 10);
    end_in_order();
}

static int setup(void **state)
{
    (void)state;
    os_init();
    sides_start(1, false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sides_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conn_both_ways_at_once_keeps_all_bytes),
        cmocka_unit_test(conn_idle_after_talking_keeps_little_memory),
        cmocka_unit_test(conn_what_is_left_is_shown_again_with_what_follows),
        cmocka_unit_test(conn_pause_within_received_keeps_the_rest),
        cmocka_unit_test(conn_resume_within_received_shows_the_rest_once_more),
        cmocka_unit_test(conn_bytes_and_end_that_come_while_paused_wait),
        cmocka_unit_test(conn_finish_sends_all_before_the_end),
        cmocka_unit_test(conn_finish_drops_what_the_peer_still_says),
        cmocka_unit_test(conn_half_close_hears_all_then_closes),
        cmocka_unit_test(conn_half_closed_and_paused_hears_the_end_after_resume),
        cmocka_unit_test(conn_finish_while_paused_drops_the_inbox_and_goes_on),
        cmocka_unit_test(conn_half_closed_and_paused_stays_until_the_end_is_told),
        cmocka_unit_test(conn_half_closed_then_finished_drops_the_rest),
        cmocka_unit_test(conn_abort_resets_the_peer),
        cmocka_unit_test(conn_abort_ends_the_wait_for_the_peer),
        cmocka_unit_test(conn_may_end_from_within_any_callback),
        cmocka_unit_test(conn_finish_or_abort_while_connecting_gives_up),
        cmocka_unit_test(conn_refused_is_told_by_closed),
        cmocka_unit_test(conn_outbox_filled_while_connecting_is_sent),
        cmocka_unit_test(conn_may_be_opened_again_after_closed),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
