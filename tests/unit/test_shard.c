// Goal: a shard serves clients from accept to the last byte, hands on or refuses what it has no
// room for, and stops in order: sessions, links, listeners, whoever does not play along. Method:
// shard_run() over both fakes; clients and workers act from their callbacks.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "port_fake.h"
#include "rig.h"
#include "shard.h"
#include "stream_fake.h"

enum { SHARDS = 2, CLIENTS = 4 };

static struct shard shards[SHARDS];
static struct shard_group group;
static struct listener listener;
static struct rig_client clients[CLIENTS];
static struct rig_worker worker;
static unsigned closes; // CLOSE inputs that the worker got
static char close_text[64];
static unsigned gone; // clients that have seen their end
static unsigned gone_wanted;

static void begin(uint32_t count, uint32_t sessions_max, uint32_t drain_ms)
{
    rig_start(&(struct rig_config){.seed = 1});
    port_destroy(rig_port);
    memset(shards, 0, sizeof(shards));
    memset(clients, 0, sizeof(clients));
    memset(&worker, 0, sizeof(worker));
    closes = gone = gone_wanted = 0;
    group = (struct shard_group){
        .shards = shards,
        .count = count,
        .limits = {.inbox_max_frames = 64,
                   .inbox_max_bytes = 65536,
                   .outbox_max_bytes = 1 << 20,
                   .linger_timeout_ms = 60000},
        .sessions_max = sessions_max,
        .accepts = 4,
        .drain_ms = drain_ms,
        .heartbeat_ms = 60000,
        .token = rig_text(RIG_TOKEN),
        .address = "ipc://rig",
    };
    assert_int_equal(frame_codec_parse(&group.codec, "len16be", 1000, NULL), 0);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(shard_start(&shards[i], &group, i), 0);
    rig_port = shards[0].port;
}

static void finish(void)
{
    for (int i = 0; i < CLIENTS; i++)
        if (clients[i].conn.port != NULL)
            conn_abort(&clients[i].conn);
    rig_worker_close(&worker);
    rig_settle();
    for (int i = 0; i < CLIENTS; i++)
        rig_client_free(&clients[i]);
    assert_int_equal(fake_sockets_open(), 0);
    assert_int_equal(fake_in_flight(), 0);
    assert_int_equal(stream_fake_open(), 0);
    for (uint32_t i = 0; i < group.count; i++) {
        assert_int_equal(shards[i].state, SHARD_DONE);
        shard_fini(&shards[i]);
        shard_fini(&shards[i]); // again: nothing
    }
}

static void on_listener_closed(void *owner)
{
    (void)owner;
    shards[0].listener = NULL;
    for (uint32_t i = 0; i < group.count; i++)
        if (!shards[i].told)
            shard_stop(&shards[i]);
}

static void on_accepted(void *owner, struct listener_slot *slot)
{
    (void)owner;
    slot->hops = 0;
    shard_offer(&shards[0], slot);
}

static void open_listener(void)
{
    const struct listener_config config = {
        .port = shards[0].port,
        .at = {.family = ADDR_IPV4, .host = {127, 0, 0, 1}},
        .accepts = group.accepts,
        .accepted = on_accepted,
        .closed = on_listener_closed,
    };

    assert_int_equal(listener_open(&listener, &config), 0);
    shards[0].listener = &listener;
}

// Stops the node when as many clients as wanted have got something or seen their end.
static void client_got(struct rig_client *client)
{
    client->got = NULL;
    if (++gone == gone_wanted)
        listener_close(&listener);
}

static void start_clients(int count)
{
    for (int i = 0; i < count; i++) {
        clients[i].got = client_got;
        rig_connect_to(&clients[i], &listener.bound);
        rig_send(&clients[i], "\0\2hi", 4);
    }
}

static void echo(struct rig_worker *at)
{
    for (struct rig_input *input; (input = rig_worker_next(at)) != NULL;) {
        struct bytes payload = {buffer_data(&input->payload), buffer_size(&input->payload)};

        if (input->kind == ENVELOPE_CLOSE) {
            closes++;
            strcpy(close_text, input->text);
        }
        rig_worker_commit(at, &payload, input->kind == ENVELOPE_FRAME, false);
    }
}

static void shard_serves_and_stops_in_order(void **state)
{
    (void)state;
    begin(1, 10, 60000);
    open_listener();
    worker.arrived = echo;
    rig_worker_dial(&worker);
    gone_wanted = 3;
    start_clients(3);
    shard_run(&shards[0]);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(buffer_size(&clients[i].received), 4);
        assert_memory_equal(buffer_data(&clients[i].received), "\0\2hi", 4);
        assert_true(clients[i].ended);
    }
    assert_int_equal(closes, 3);
    assert_string_equal(close_text, "shutdown");
    assert_int_equal(shards[0].sessions.counts.closed[REASON_SHUTDOWN], 3);
    finish();
}

static void shard_without_anything_stops(void **state)
{
    (void)state;
    begin(1, 10, 60000);
    shard_stop(&shards[0]);
    shard_run(&shards[0]);
    finish();
}

static void shard_stops_without_a_worker(void **state)
{
    (void)state;
    begin(1, 10, 60000);
    open_listener();
    start_clients(2);
    for (int i = 0; i < 10; i++) {
        port_poll(shards[0].port, 0);
        listener_run(&listener, 0);
    }
    assert_int_equal(shards[0].table.used, 2);
    listener_close(&listener);
    shard_run(&shards[0]);
    assert_true(clients[0].ended && clients[1].ended);
    finish();
}

static void stop_at_hello(struct rig_worker *at)
{
    if (at->count >= 2 && listener.state == LISTENER_OPEN)
        listener_close(&listener);
}

// The worker never answers, so neither client hears the end in time.
static void shard_stop_does_not_wait_for_ever(void **state)
{
    (void)state;
    begin(1, 10, 20);
    open_listener();
    worker.arrived = stop_at_hello;
    rig_worker_dial(&worker);
    start_clients(1);
    shard_run(&shards[0]);
    assert_int_equal(worker.state, RIG_WORKER_GONE);
    assert_int_equal(shards[0].table.used, 0);
    finish();
}

static void shard_refuses_what_has_no_room(void **state)
{
    (void)state;
    begin(1, 2, 60000);
    open_listener();
    worker.arrived = echo;
    rig_worker_dial(&worker);
    gone_wanted = 4;
    start_clients(4);
    shard_run(&shards[0]);
    assert_int_equal(shards[0].refused, 2);
    assert_int_equal(closes, 2);
    finish();
}

static void poll_both(void)
{
    for (int i = 0; i < 20; i++) {
        port_poll(shards[0].port, 0);
        (void)listener_run(&listener, 0);
        port_poll(shards[1].port, 0);
    }
}

// A full shard hands the client to its neighbour; the slot comes home from there.
static void shard_full_hands_on_to_the_next(void **state)
{
    (void)state;
    begin(2, 3, 0);
    open_listener();
    assert_int_equal(shards[0].table.capacity, 2); // the odd one
    assert_int_equal(shards[1].table.capacity, 1);
    start_clients(4);
    poll_both();
    assert_int_equal(shards[0].table.used, 2);
    assert_int_equal(shards[1].table.used, 1);
    assert_int_equal(shards[0].refused + shards[1].refused, 1);
    assert_int_equal(listener.away, group.accepts);
    listener_close(&listener);
    poll_both();
    // Each is done only when both are quiet.
    while (shards[0].state != SHARD_DONE || shards[1].state != SHARD_DONE)
        for (int i = 0; i < SHARDS; i++)
            if (shards[i].state != SHARD_DONE)
                (void)shard_turn(&shards[i], 0);
    finish();
}

static void shard_stopping_takes_no_clients(void **state)
{
    (void)state;
    begin(1, 10, 60000);
    open_listener();
    start_clients(1);
    shard_stop(&shards[0]); // heard before the client arrives
    for (int i = 0; i < 10; i++) {
        port_poll(shards[0].port, 0);
        listener_run(&listener, 0);
    }
    assert_int_equal(shards[0].table.used, 0);
    assert_int_equal(clients[0].closed, 1);
    listener_close(&listener);
    shard_run(&shards[0]);
    finish();
}

static void shard_start_that_fails_leaves_nothing(void **state)
{
    (void)state;
    begin(1, 10, 0);
    for (int opened_before = 0; opened_before < 2; opened_before++) {
        struct shard other = {0};

        if (opened_before)
            assert_int_equal(shard_open(&other, &group, 0), 0);
        assert_int_equal(shard_start(&other, &group, 0), -EADDRINUSE);
        assert_int_equal(other.port != NULL, opened_before);
        port_destroy(other.port);
    }
    shard_stop(&shards[0]);
    shard_run(&shards[0]);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shard_serves_and_stops_in_order),
        cmocka_unit_test(shard_without_anything_stops),
        cmocka_unit_test(shard_stops_without_a_worker),
        cmocka_unit_test(shard_stop_does_not_wait_for_ever),
        cmocka_unit_test(shard_refuses_what_has_no_room),
        cmocka_unit_test(shard_full_hands_on_to_the_next),
        cmocka_unit_test(shard_stopping_takes_no_clients),
        cmocka_unit_test(shard_start_that_fails_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
