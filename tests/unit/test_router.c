// Goal: clients and workers are brought together as router.h says: who waits is served, in order
// and once; a worker's loss closes nobody, but who ends worker after worker is closed, alone; every
// opened actor is closed, once.
// Method: sessions and links over both fakes, workers that do what the test says.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "scene.h"
#include "stream_fake.h"

enum { LARGE = 60000, LINKS_MAX = 1024 };

static uint8_t bytes[2 << 20];

static void send_size(int client, size_t size)
{
    rig_send_frame(&clients[client], (struct bytes){bytes, size});
    rig_settle();
}

static void router_client_waits_for_the_first_worker(void **state)
{
    (void)state;
    connect_client(0);
    send_text(0, "a");
    connect_client(1);
    send_text(0, "b");
    assert_int_equal(rig_table.used, 2);
    dial(0);
    rig_settle();
    takes(0, ENVELOPE_OPEN, NULL);
    takes(0, ENVELOPE_FRAME, "a");
    takes(0, ENVELOPE_OPEN, NULL);
    takes(0, ENVELOPE_FRAME, "b"); // was not even received before
    takes_nothing(0);
    send_text(1, "c");
    echo(0);
    assert_true(has(1, "\0\0\0\1c", 5));
}

static void router_client_that_gives_up_waiting_is_never_opened(void **state)
{
    (void)state;
    connect_client(0);
    conn_half_close(&clients[0].conn);
    connect_client(1);
    conn_abort(&clients[1].conn);
    rig_settle();
    assert_int_equal(rig_table.used, 0);
    assert_int_equal(rig_sessions.counts.closed[REASON_CLIENT_CLOSED], 1);
    assert_int_equal(rig_sessions.counts.closed[REASON_CLIENT_LOST], 1);
    dial(0);
    takes_nothing(0);
}

static void router_chooses_the_least_load(void **state)
{
    uint32_t opened[3] = {0};

    (void)state;
    for (int i = 0; i < 3; i++)
        dial(i);
    for (int i = 0; i < 9; i++)
        connect_client(i);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(workers[i].count, 3);
        opened[i] = workers[i].count;
        echo(i);
    }
    conn_abort(&clients[4].conn);
    rig_settle();
    for (int i = 0; i < 3; i++)
        echo(i);
    connect_client(9);
    for (int i = 0; i < 3; i++) // the gap was filled
        opened[i] += workers[i].count;
    assert_int_equal(opened[0] + opened[1] + opened[2], 10);
    dial(3);
    for (int i = 10; i < 13; i++)
        connect_client(i);
    assert_int_equal(workers[3].count, 3);
}

static void router_replies_of_a_lost_worker_still_arrive(void **state)
{
    (void)state;
    dial(0);
    connect_client(0);
    echo(0);
    conn_pause(&clients[0].conn);
    send_text(0, "hello");
    echo(0);
    rig_worker_close(&workers[0]);
    rig_settle();
    conn_resume(&clients[0].conn);
    rig_settle();
    assert_true(has(0, "\0\0\0\5hello", 9));
    assert_int_equal(rig_table.used, 1); // and it goes on when there is a worker again
    assert_int_equal(clients[0].closed, 0);
}

static void router_full_window_serves_who_waits_in_order(void **state)
{
    int order[4];
    int orders = 0;

    (void)state;
    dial(0);
    for (int i = 0; i < 4; i++)
        connect_client(i);
    echo(0);
    while (workers[0].input_bytes + LARGE < LEDGER_LANE_BYTES - 2000)
        send_size(0, LARGE);
    send_size(2, LARGE + 2);
    send_size(1, LARGE + 1);
    send_size(3, LARGE + 3);
    send_text(2, "after");
    while (workers[0].count > 0) {
        const struct buffer *payload = &rig_worker_next(&workers[0])->payload;
        struct bytes reply = {buffer_data(payload), buffer_size(payload)};

        if (reply.size > LARGE)
            order[orders++] = (int)(reply.size - LARGE);
        rig_worker_commit(&workers[0], &reply, 1, false);
        rig_settle();
    }
    assert_int_equal(orders, 3);
    assert_int_equal(order[0], 2);
    assert_int_equal(order[1], 1);
    assert_int_equal(order[2], 3);
    for (int i = 0; i < 4; i++)
        assert_true(buffer_size(&clients[i].received) > LARGE);
    assert_int_equal(buffer_size(&clients[2].received), 4 + LARGE + 2 + 4 + 5);
}

// It needs the whole window; the small ones of others may not pass it for ever.
static void router_large_frame_is_not_starved(void **state)
{
    (void)state;
    dial(0);
    for (int i = 0; i < 3; i++)
        connect_client(i);
    echo(0);
    for (int i = 0; i < 20; i++)
        send_text(1, "before");
    send_size(0, LEDGER_LANE_BYTES + 5000);
    for (int i = 0; i < 20; i++)
        send_text(1, "after");
    send_text(2, "after");
    assert_int_equal(workers[0].count, 20);
    for (int i = 0; i < 19; i++) {
        takes(0, ENVELOPE_FRAME, "before");
        send_text(2, "more");
    }
    takes(0, ENVELOPE_FRAME, "before");
    assert_int_equal(workers[0].count, 1);
    assert_int_equal(buffer_size(&rig_worker_next(&workers[0])->payload), LEDGER_LANE_BYTES + 5000);
    echo(0);
    assert_int_equal(buffer_size(&clients[1].received), 20 * 9);
    assert_int_equal(buffer_size(&clients[2].received), 9 + 19 * 8);
}

// A slot is not taken again before its actor has committed its last input.
static void router_slot_is_free_after_the_last_commit(void **state)
{
    (void)state;
    dial(0);
    connect_client(0);
    takes(0, ENVELOPE_OPEN, NULL);
    send_text(0, "a");
    conn_abort(&clients[0].conn);
    rig_settle();
    assert_int_equal(rig_table.used, 1);
    connect_client(1);
    assert_int_equal(rig_table.used, 2);
    takes(0, ENVELOPE_FRAME, "a");
    assert_int_equal(rig_table.used, 2);
    takes(0, ENVELOPE_CLOSE, "client lost");
    assert_int_equal(rig_table.used, 1);
    echo(0);
    send_text(1, "b");
    echo(0);
    assert_true(has(1, "\0\0\0\1b", 5));
}

static void router_actor_ends_its_session_after_its_replies(void **state)
{
    const struct bytes replies[] = {{(const uint8_t *)"1", 1}, {(const uint8_t *)"22", 2}};

    (void)state;
    dial(0);
    connect_client(0);
    takes(0, ENVELOPE_OPEN, NULL);
    send_text(0, "quit");
    send_text(0, "more");
    rig_worker_commit(&workers[0], replies, 2, true);
    rig_settle();
    assert_true(has(0,
                    "\0\0\0\1"
                    "1\0\0\0\2"
                    "22",
                    11));
    assert_int_equal(clients[0].closed, 1);
    assert_int_equal(clients[0].error, 0);
    rig_worker_commit(&workers[0], replies, 2, true); // "more": for nobody
    rig_settle();
    takes(0, ENVELOPE_CLOSE, "closed by actor");
    takes_nothing(0);
    assert_int_equal(rig_table.used, 0);
}

static void router_client_that_closes_gets_what_was_replied_before_close(void **state)
{
    const struct bytes reply = {(const uint8_t *)"r", 1};

    (void)state;
    dial(0);
    connect_client(0);
    takes(0, ENVELOPE_OPEN, NULL);
    rig_send_frame(&clients[0], rig_text("a"));
    conn_half_close(&clients[0].conn);
    rig_settle();
    assert_int_equal(workers[0].count, 2);
    rig_worker_commit(&workers[0], &reply, 1, false);
    rig_settle();
    assert_false(clients[0].ended);
    assert_string_equal(rig_worker_next(&workers[0])->text, "client closed");
    rig_worker_commit(&workers[0], &reply, 1, false); // dropped, as actor.h says
    rig_settle();
    assert_true(has(0, "\0\0\0\1r", 5));
    assert_true(clients[0].ended);
    assert_int_equal(rig_table.used, 0);
}

static void router_close_waits_for_room(void **state)
{
    (void)state;
    dial(0);
    connect_client(0);
    connect_client(1);
    echo(0);
    send_size(0, LEDGER_LANE_BYTES + 1);
    conn_abort(&clients[1].conn);
    rig_settle();
    assert_int_equal(workers[0].count, 1);
    assert_int_equal(rig_table.used, 2); // its actor must hear of it first
    commit(0);
    takes(0, ENVELOPE_CLOSE, "client lost");
    assert_int_equal(rig_table.used, 1);
}

static void router_chosen_client_that_goes_is_never_opened(void **state)
{
    (void)state;
    dial(0);
    connect_client(0);
    echo(0);
    send_size(0, LEDGER_LANE_BYTES + 1);
    connect_client(1); // the window has no room for its OPEN
    conn_half_close(&clients[1].conn);
    rig_settle();
    assert_int_equal(clients[1].closed, 1);
    assert_int_equal(rig_table.used, 1);
    commit(0);
    takes_nothing(0);
}

static void router_sessions_that_wait_for_room_wait_elsewhere(void **state)
{
    (void)state;
    dial(0);
    connect_client(0);
    connect_client(1);
    connect_client(2);
    echo(0);
    send_size(0, LEDGER_LANE_BYTES + 1);
    conn_abort(&clients[1].conn);
    send_text(2, "waits");
    connect_client(3); // not even opened
    send_text(3, "waits");
    rig_worker_close(&workers[0]);
    rig_settle();
    assert_int_equal(rig_table.used, 4);
    dial(1);
    echo(1);
    assert_int_equal(rig_table.used, 3);
    assert_int_equal(buffer_size(&clients[0].received), 4 + LEDGER_LANE_BYTES + 1);
    assert_true(has(2, "\0\0\0\5waits", 9));
    assert_true(has(3, "\0\0\0\5waits", 9));
}

static void router_impossible_reply_costs_the_session(void **state)
{
    const struct bytes replies[] = {{(const uint8_t *)"ok", 2}, {NULL, 0}};

    (void)state;
    dial(0);
    connect_client(0);
    takes(0, ENVELOPE_OPEN, NULL);
    send_text(0, "a");
    rig_worker_commit(&workers[0], replies, 2, false); // len32be has no empty frames
    rig_settle();
    takes(0, ENVELOPE_CLOSE, "bad reply");
    assert_true(has(0, "\0\0\0\2ok", 6));
    assert_int_equal(rig_table.used, 0);
}

// Workers that are dead already when the gateway finds them strike nobody.
static void router_silent_worker_gets_no_suspect(void **state)
{
    (void)state;
    dial(0);
    connect_client(0);
    echo(0);
    send_text(0, "1");
    stream_fake_break(workers[0].stream, -EIO);
    rig_settle();
    for (int i = 0; i < 2 * RIG_STRIKES; i++) {
        int worker = 1 + i % 2;

        workers[worker].mute = true;
        dial(worker);
        assert_int_equal(workers[worker].pings, 1);
        assert_int_equal(workers[worker].count, 0);
        stream_fake_break(workers[worker].stream, -EIO);
        rig_settle();
        workers[worker] = (struct rig_worker){.number = (uint32_t)worker};
    }
    assert_int_equal(rig_poisoned.count, 0);
    dial(3);
    takes(3, ENVELOPE_FRAME, "1");
    assert_int_equal(clients[0].closed, 0);
}

static void router_hung_worker_is_reported(void **state)
{
    (void)state;
    dial(0);
    dial(1);
    connect_client(0);
    connect_client(1);
    echo(0);
    rig_clock_ms += RIG_TURN_MS;
    rig_settle();
    assert_int_equal(rig_hung, 1);
    assert_int_equal(rig_hung_worker, 1);
    assert_int_equal(rig_hung_process, 4712);
    assert_int_equal(rig_table.used, 2);
    assert_int_equal(workers[0].state, RIG_WORKER_UP);
    takes(0, ENVELOPE_OPEN, NULL); // the one that the other did not answer
}

static void router_refused_worker_is_no_lost_one(void **state)
{
    (void)state;
    connect_client(0);
    workers[0].token = "foreign";
    rig_worker_dial(&workers[0]);
    rig_settle();
    assert_string_equal(workers[0].refused, "it belongs to another node");
    rig_worker_close(&workers[0]);
    rig_settle();
    assert_int_equal(rig_router.link_count, 0);
    assert_int_equal(rig_router.counts.links_up + rig_router.counts.links_lost, 0);
    assert_int_equal(rig_table.used, 1);
}

static unsigned dials_closed;

static void dial_batch(void *owner, struct bytes body)
{
    (void)owner;
    (void)body;
}

static void dial_closed(void *owner, int error)
{
    (void)error;
    *(struct stream **)owner = NULL;
    dials_closed++;
}

static void router_links_have_a_limit(void **state)
{
    static const struct stream_handler handler = {.batch = dial_batch, .closed = dial_closed};
    static struct stream *dials[LINKS_MAX + 3];

    (void)state;
    dials_closed = 0;
    for (size_t i = 0; i < ARRAY_COUNT(dials); i++)
        assert_int_equal(
            stream_dial(&dials[i], rig_port, RIG_ADDRESS, ENVELOPE_BATCH_MAX, &handler, &dials[i]),
            0);
    rig_settle();
    assert_int_equal(dials_closed, 3);
    assert_int_equal(rig_router.link_count, LINKS_MAX);
    for (size_t i = 0; i < ARRAY_COUNT(dials); i++)
        if (dials[i] != NULL)
            stream_close(dials[i]);
    rig_settle();
    assert_int_equal(rig_router.link_count, 0);
    assert_int_equal(dials_closed, ARRAY_COUNT(dials));
}

static void router_closing_ends_all_links(void **state)
{
    (void)state;
    for (int i = 0; i < WORKERS; i++)
        dial(i);
    router_close(&rig_router);
    rig_settle();
    assert_int_equal(rig_router.link_count, 0);
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(workers[i].state, RIG_WORKER_GONE);
    assert_int_equal(rig_hung, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, scene_start, scene_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(router_client_waits_for_the_first_worker),
        CASE(router_client_that_gives_up_waiting_is_never_opened),
        CASE(router_chooses_the_least_load),
        CASE(router_replies_of_a_lost_worker_still_arrive),
        CASE(router_full_window_serves_who_waits_in_order),
        CASE(router_large_frame_is_not_starved),
        CASE(router_slot_is_free_after_the_last_commit),
        CASE(router_actor_ends_its_session_after_its_replies),
        CASE(router_client_that_closes_gets_what_was_replied_before_close),
        CASE(router_close_waits_for_room),
        CASE(router_chosen_client_that_goes_is_never_opened),
        CASE(router_sessions_that_wait_for_room_wait_elsewhere),
        CASE(router_impossible_reply_costs_the_session),
        CASE(router_silent_worker_gets_no_suspect),
        CASE(router_hung_worker_is_reported),
        CASE(router_refused_worker_is_no_lost_one),
        CASE(router_links_have_a_limit),
        CASE(router_closing_ends_all_links),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
