// Goal: the listener keeps its accepts posted, backs off without spinning when the system is out of
// descriptors, gets every slot back, and closes once.
// Method: the fake port, a clock of the test's, slots that the test keeps as long as it wants.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "listener.h"
#include "port_fake.h"

enum { ACCEPTS = 4, CLIENTS_MAX = 32 };

static struct port *port;
static struct listener listener;
static struct listener_slot *away[CLIENTS_MAX]; // slots that the test holds
static uint32_t away_count;
static bool keep; // slots
static uint32_t accepted_count;
static unsigned closed_count;
static uint64_t now_ms;
static net_socket clients[CLIENTS_MAX];
static struct port_op connects[CLIENTS_MAX];
static struct port_op closes[CLIENTS_MAX];
static uint32_t client_count;
static struct fake_config network = {.seed = 1};

static void done_nothing(struct port_op *op)
{
    (void)op;
}

static void take_socket(struct listener_slot *slot)
{
    accepted_count++;
    port_discard(slot->socket, PORT_CLOSE_ORDERLY);
}

static void accepted(void *owner, struct listener_slot *slot)
{
    assert_ptr_equal(owner, &listener);
    if (keep) {
        away[away_count++] = slot;
        return;
    }
    take_socket(slot);
    listener_give_back(slot);
}

static void closed(void *owner)
{
    assert_ptr_equal(owner, &listener);
    closed_count++;
}

static int poll_and_run(void)
{
    int wait_ms;

    do {
        port_poll(port, 0);
        wait_ms = closed_count == 0 ? listener_run(&listener, now_ms) : -1;
    } while (fake_ready(port));
    return wait_ms;
}

static void connect_clients(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        net_socket *client = &clients[client_count];

        assert_int_equal(port_socket(port, &listener.bound, client), 0);
        connects[client_count] = (struct port_op){.done = done_nothing};
        port_connect(port, &connects[client_count], *client, &listener.bound);
        client_count++;
    }
}

static int start(void **state)
{
    const struct listener_config config = {
        .at = {.family = ADDR_IPV4, .host = {127, 0, 0, 1}},
        .accepts = ACCEPTS,
        .accepted = accepted,
        .closed = closed,
        .owner = &listener,
    };
    struct listener_config with_port = config;

    (void)state;
    fake_reset(&network);
    if (port_create(&port, &(struct port_config){.op_count_max = 256}) != 0)
        return -1;
    away_count = accepted_count = closed_count = client_count = 0;
    keep = false;
    now_ms = 5000;
    with_port.port = port;
    return listener_open(&listener, &with_port);
}

static void give_back_all(void)
{
    while (away_count > 0) {
        struct listener_slot *slot = away[--away_count];

        take_socket(slot);
        listener_give_back(slot);
    }
}

static int end(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < client_count; i++) {
        closes[i] = (struct port_op){.done = done_nothing};
        port_cancel(port, clients[i]);
        port_poll(port, 0);
        port_close(port, &closes[i], clients[i], PORT_CLOSE_RESET);
    }
    if (listener.state == LISTENER_OPEN)
        listener_close(&listener);
    give_back_all();
    poll_and_run();
    assert_int_equal(closed_count, 1);
    assert_int_equal(fake_sockets_open(), 0);
    assert_int_equal(fake_in_flight(), 0);
    port_destroy(port);
    return 0;
}

static void listener_open_gives_the_real_port(void **state)
{
    struct listener second = {0};
    struct listener_config config = listener.config;

    (void)state;
    assert_int_not_equal(listener.bound.port, 0);
    config.at = listener.bound;
    assert_int_equal(listener_open(&second, &config), -EADDRINUSE);
}

static void listener_keeps_all_accepts_posted(void **state)
{
    (void)state;
    assert_int_equal(port_in_flight(port), 0); // until the first run
    assert_int_equal(listener_run(&listener, now_ms), -1);
    assert_int_equal(port_in_flight(port), ACCEPTS);
    connect_clients(10);
    poll_and_run();
    assert_int_equal(accepted_count, 10);
    assert_int_equal(listener.away, ACCEPTS);
    assert_int_equal(port_in_flight(port), ACCEPTS);
}

static void listener_slots_away_bound_the_clients(void **state)
{
    (void)state;
    keep = true;
    listener_run(&listener, now_ms);
    connect_clients(7);
    poll_and_run();
    assert_int_equal(away_count, ACCEPTS);
    assert_int_equal(port_in_flight(port), 0);
    keep = false;
    give_back_all();
    assert_int_equal(port_in_flight(port), 0); // not before the next run
    poll_and_run();
    assert_int_equal(accepted_count, 7);
    assert_int_equal(port_in_flight(port), ACCEPTS);
}

static struct listener_slot *travelling;

static void travelled(struct port_op *op)
{
    assert_ptr_equal(op, &travelling->op);
    take_socket(travelling);
    listener_give_back(travelling);
}

static void listener_slot_may_travel_by_its_op(void **state)
{
    (void)state;
    keep = true;
    listener_run(&listener, now_ms);
    connect_clients(1);
    poll_and_run();
    assert_int_equal(away_count, 1);
    travelling = away[--away_count];
    travelling->op.done = travelled;
    port_post(port, &travelling->op);
    poll_and_run();
    assert_int_equal(accepted_count, 1);
    assert_int_equal(port_in_flight(port), ACCEPTS);
}

static void listener_failed_accept_is_posted_again_after_the_poll(void **state)
{
    (void)state;
    listener_run(&listener, now_ms);
    fake_fail(FAKE_ACCEPT, NET_SOCKET_NONE, -ECONNABORTED);
    port_poll(port, 0);
    assert_int_equal(port_in_flight(port), ACCEPTS - 1);
    assert_int_equal(listener.failed, 1);
    assert_int_equal(listener_run(&listener, now_ms), -1);
    assert_int_equal(port_in_flight(port), ACCEPTS);
    connect_clients(1);
    poll_and_run();
    assert_int_equal(accepted_count, 1);
}

static void listener_out_of_descriptors_backs_off(void **state)
{
    static const int errors[] = {-EMFILE, -ENFILE, -ENOBUFS, -ENOMEM};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(errors); i++) {
        int wait_ms;

        assert_int_equal(listener_run(&listener, now_ms), -1);
        for (int accept = 0; accept < ACCEPTS; accept++)
            fake_fail(FAKE_ACCEPT, NET_SOCKET_NONE, errors[i]);
        while (fake_ready(port))
            port_poll(port, 0);
        wait_ms = listener_run(&listener, now_ms);
        assert_true(wait_ms > 0);
        assert_int_equal(port_in_flight(port), 0);
        now_ms += (uint64_t)wait_ms - 1;
        assert_int_equal(listener_run(&listener, now_ms), 1);
        assert_int_equal(port_in_flight(port), 0);
        now_ms++;
    }
    connect_clients(3);
    poll_and_run();
    assert_int_equal(accepted_count, 3);
    assert_int_equal(listener.failed, ACCEPTS * ARRAY_COUNT(errors));
}

static void listener_back_off_leaves_posted_accepts_alone(void **state)
{
    (void)state;
    listener_run(&listener, now_ms);
    fake_fail(FAKE_ACCEPT, NET_SOCKET_NONE, -EMFILE);
    while (fake_ready(port))
        port_poll(port, 0);
    assert_true(listener_run(&listener, now_ms) > 0);
    assert_int_equal(port_in_flight(port), ACCEPTS - 1);
    connect_clients(1);
    poll_and_run();
    assert_int_equal(accepted_count, 1);
}

static void listener_close_waits_for_slots_away(void **state)
{
    (void)state;
    keep = true;
    listener_run(&listener, now_ms);
    connect_clients(2);
    poll_and_run();
    assert_int_equal(away_count, 2);
    listener_close(&listener);
    poll_and_run();
    assert_int_equal(closed_count, 0);
    assert_int_equal(listener.away, 2);
    give_back_all();
    poll_and_run();
    assert_int_equal(closed_count, 1);
}

static void listener_close_before_the_first_run_closes(void **state)
{
    (void)state;
    listener_close(&listener);
    poll_and_run();
    assert_int_equal(closed_count, 1);
}

static void listener_close_during_back_off_closes(void **state)
{
    (void)state;
    listener_run(&listener, now_ms);
    fake_fail(FAKE_ACCEPT, NET_SOCKET_NONE, -EMFILE);
    port_poll(port, 0);
    listener_close(&listener);
    poll_and_run();
    assert_int_equal(closed_count, 1);
}

// A client that is accepted while the cancel is under way is closed, not handed over.
static void listener_close_drops_late_clients_for_any_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 200; seed++) {
        uint32_t before;

        assert_int_equal(end(NULL), 0);
        network = (struct fake_config){.seed = seed, .shuffle = true};
        assert_int_equal(start(NULL), 0);
        listener_run(&listener, now_ms);
        connect_clients(6);
        port_poll(port, 0);
        listener_close(&listener);
        before = accepted_count;
        poll_and_run();
        assert_int_equal(closed_count, 1);
        assert_int_equal(accepted_count, before);
    }
    network = (struct fake_config){.seed = 1};
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(listener_open_gives_the_real_port, start, end),
        cmocka_unit_test_setup_teardown(listener_keeps_all_accepts_posted, start, end),
        cmocka_unit_test_setup_teardown(listener_slots_away_bound_the_clients, start, end),
        cmocka_unit_test_setup_teardown(listener_slot_may_travel_by_its_op, start, end),
        cmocka_unit_test_setup_teardown(listener_failed_accept_is_posted_again_after_the_poll,
                                        start, end),
        cmocka_unit_test_setup_teardown(listener_out_of_descriptors_backs_off, start, end),
        cmocka_unit_test_setup_teardown(listener_back_off_leaves_posted_accepts_alone, start, end),
        cmocka_unit_test_setup_teardown(listener_close_waits_for_slots_away, start, end),
        cmocka_unit_test_setup_teardown(listener_close_before_the_first_run_closes, start, end),
        cmocka_unit_test_setup_teardown(listener_close_during_back_off_closes, start, end),
        cmocka_unit_test_setup_teardown(listener_close_drops_late_clients_for_any_order, start,
                                        end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
