// Goal: actors survive their workers as router.h says: what was committed stays, what was not is
// done again elsewhere, in order and with the same numbers and times; who ends worker after worker
// is closed, alone; a worker that leaves is relieved of all of its actors. Method: sessions and
// links over both fakes, workers that do what the test says.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "scene.h"
#include "stream_fake.h"

static void lose(int worker)
{
    stream_fake_break(workers[worker].stream, -EIO);
    rig_settle();
    assert_int_equal(workers[worker].state, RIG_WORKER_GONE);
}

static void leave(int worker)
{
    rig_worker_say(&workers[worker], &(struct envelope){.kind = ENVELOPE_LEAVING});
    stream_flush(workers[worker].stream);
    rig_settle();
}

// Commits the oldest input with a state.
static void remember(int worker, const char *text, uint32_t version)
{
    const struct envelope effects[] = {
        {.kind = ENVELOPE_STATE, .state_version = version, .payload = rig_text(text)}};

    rig_worker_commit_effects(&workers[worker], effects, 1);
    rig_settle();
}

// The worker's oldest input comes to an actor that it does not know.
static void restores(int worker, const char *text, uint32_t version)
{
    const struct rig_input *input = rig_worker_next(&workers[worker]);

    assert_non_null(input);
    assert_true(input->restored);
    assert_int_equal(input->state_version, version);
    assert_int_equal(buffer_size(&input->state), strlen(text));
    if (*text != '\0')
        assert_memory_equal(buffer_data(&input->state), text, strlen(text));
}

static void no_session_is_closed(void)
{
    for (int reason = 0; reason < REASON_COUNT; reason++)
        assert_int_equal(rig_sessions.counts.closed[reason], 0);
}

static void router_loss_closes_nobody_and_others_do_not_notice(void **state)
{
    (void)state;
    dial(0);
    dial(1);
    for (int i = 0; i < 4; i++)
        connect_client(i); // 0 and 2 to one, 1 and 3 to the other
    echo(0);
    echo(1);
    for (int i = 0; i < 4; i++)
        send_text(i, "x");
    assert_int_equal(workers[1].count, 2);
    lose(0);
    assert_int_equal(rig_router.counts.links_lost, 1);
    no_session_is_closed();
    echo(1);
    for (int i = 0; i < 4; i++)
        assert_true(has(i, "\0\0\0\1x", 5));
    assert_int_equal(rig_router.counts.replayed, 2);
    connect_client(4);
    assert_int_equal(workers[1].count, 1);
}

static void router_loss_of_an_uncommitted_open_opens_again(void **state)
{
    uint64_t now_ms;

    (void)state;
    dial(0);
    connect_client(0);
    send_text(0, "a");
    assert_int_equal(workers[0].count, 2);
    now_ms = rig_worker_next(&workers[0])->now_ms;
    lose(0);
    dial(1);
    assert_false(rig_worker_next(&workers[1])->restored);
    assert_int_equal(rig_worker_next(&workers[1])->sequence, 1);
    assert_true(rig_worker_next(&workers[1])->now_ms == now_ms);
    takes(1, ENVELOPE_OPEN, NULL);
    takes(1, ENVELOPE_FRAME, "a");
    takes_nothing(1);
}

static void router_loss_replays_the_same_inputs_before_newer_ones(void **state)
{
    static const char *const texts[] = {"b", "c", "d"};
    uint64_t times[3];
    uint32_t epoch;

    (void)state;
    dial(0);
    connect_client(0);
    takes(0, ENVELOPE_OPEN, NULL);
    send_text(0, "a");
    send_text(0, "b");
    send_text(0, "c");
    remember(0, "after a", 7);
    times[0] = workers[0].inputs[workers[0].first].now_ms;
    times[1] = workers[0].inputs[workers[0].first + 1].now_ms;
    times[2] = times[1] + 1;
    epoch = rig_worker_next(&workers[0])->epoch;
    lose(0);
    send_text(0, "d"); // waits behind them
    dial(1);
    restores(1, "after a", 7);
    for (uint64_t i = 0; i < 3; i++) {
        const struct rig_input *input = rig_worker_next(&workers[1]);

        assert_non_null(input);
        assert_int_equal(input->sequence, 3 + i);
        assert_true(i == 2 ? input->now_ms >= times[2] : input->now_ms == times[i]);
        assert_int_equal(input->epoch, epoch + 1);
        assert_true(input->restored == (i == 0));
        takes(1, ENVELOPE_FRAME, texts[i]);
    }
    takes_nothing(1);
    no_session_is_closed();
}

// Nothing was under way: it is bound again when there is something to say.
static void router_loss_of_an_idle_actor_restores_it_with_its_next_input(void **state)
{
    (void)state;
    dial(0);
    connect_client(0);
    connect_client(1);
    remember(0, "one", 1);
    takes(0, ENVELOPE_OPEN, NULL); // leaves no state
    lose(0);
    dial(1);
    takes_nothing(1);
    send_text(0, "x");
    send_text(1, "y");
    restores(1, "one", 1);
    takes(1, ENVELOPE_FRAME, "x");
    restores(1, "", 0);
    takes(1, ENVELOPE_FRAME, "y");
}

static void router_loss_with_a_commit_under_way_answers_once(void **state)
{
    (void)state;
    dial(0);
    connect_client(0);
    takes(0, ENVELOPE_OPEN, NULL);
    send_text(0, "a");
    send_text(0, "b");
    stream_fake_stall(workers[0].stream, true);
    rig_worker_echo(&workers[0]); // never arrives
    lose(0);
    assert_true(rig_received(&clients[0], ""));
    dial(1);
    echo(1);
    assert_true(has(0, "\0\0\0\1a\0\0\0\1b", 10));
}

static void router_loss_by_a_torn_commit_applies_nothing_of_it(void **state)
{
    const struct envelope effects[] = {
        {.kind = ENVELOPE_REPLY, .payload = rig_text("r")},
        {.kind = ENVELOPE_STATE, .state_version = 1, .payload = rig_text("half")},
        {.kind = ENVELOPE_END},
    };

    (void)state;
    for (uint32_t envelopes = 1; envelopes <= ARRAY_COUNT(effects); envelopes++) {
        dial(0);
        connect_client(0);
        takes(0, ENVELOPE_OPEN, NULL);
        send_text(0, "a");
        rig_worker_commit_torn(&workers[0], effects, ARRAY_COUNT(effects), envelopes);
        rig_settle();
        assert_int_equal(workers[0].state, RIG_WORKER_GONE);
        assert_true(rig_received(&clients[0], ""));
        dial(1);
        restores(1, "", 0);
        takes(1, ENVELOPE_FRAME, "a");
        no_session_is_closed();
        scene_end(state);
        scene_start(state);
    }
}

static void router_loss_with_close_under_way_closes_once(void **state)
{
    (void)state;
    dial(0);
    connect_client(0);
    takes(0, ENVELOPE_OPEN, NULL);
    send_text(0, "a");
    conn_abort(&clients[0].conn);
    rig_settle();
    assert_int_equal(workers[0].count, 2);
    lose(0);
    assert_int_equal(rig_table.used, 1);
    dial(1);
    takes(1, ENVELOPE_FRAME, "a");
    assert_string_equal(rig_worker_next(&workers[1])->text, "client lost");
    lose(1);
    assert_int_equal(rig_table.used, 1);
    dial(2);
    assert_int_equal(rig_worker_next(&workers[2])->sequence, 3);
    takes(2, ENVELOPE_CLOSE, "client lost");
    assert_int_equal(rig_table.used, 0);
    lose(2);
    dial(3);
    takes_nothing(3);
}

static void router_loss_before_close_tells_the_next_worker(void **state)
{
    (void)state;
    dial(0);
    connect_client(0);
    takes(0, ENVELOPE_OPEN, NULL);
    lose(0);
    conn_half_close(&clients[0].conn);
    rig_settle();
    assert_int_equal(rig_table.used, 1);
    assert_false(clients[0].ended);
    dial(1);
    restores(1, "", 0);
    takes(1, ENVELOPE_CLOSE, "client closed");
    assert_true(clients[0].ended);
    assert_int_equal(rig_table.used, 0);
}

// Strikes.

static void router_suspects_are_tried_one_by_one_beside_the_trusted(void **state)
{
    (void)state;
    dial(0);
    for (int i = 0; i < 3; i++)
        connect_client(i);
    echo(0);
    for (int i = 0; i < 3; i++) {
        send_text(i, "1");
        send_text(i, "2");
    }
    lose(0);
    dial(1);
    assert_int_equal(workers[1].count, 1); // the first one's first
    connect_client(3);
    send_text(3, "trusted");
    assert_int_equal(workers[1].count, 3);
    takes(1, ENVELOPE_FRAME, "1");
    // That one is trusted again: its second, and the next suspect's first.
    assert_int_equal(workers[1].count, 4);
    takes(1, ENVELOPE_OPEN, NULL);
    takes(1, ENVELOPE_FRAME, "trusted");
    takes(1, ENVELOPE_FRAME, "2");
    takes(1, ENVELOPE_FRAME, "1");
    echo(1);
    assert_true(has(2,
                    "\0\0\0\1"
                    "1\0\0\0\1"
                    "2",
                    10));
    no_session_is_closed();
}

static void router_poison_closes_its_session_only(void **state)
{
    uint64_t session;
    uint64_t now_ms;

    (void)state;
    dial(0);
    connect_client(0);
    connect_client(1);
    echo(0);
    send_text(0, "poison");
    send_text(0, "more");
    send_text(1, "good");
    session = rig_worker_next(&workers[0])->session;
    now_ms = rig_worker_next(&workers[0])->now_ms;
    lose(0); // nobody knows whose fault it was
    for (int i = 1; i <= RIG_STRIKES; i++) {
        assert_int_equal(rig_poisoned.count, 0);
        workers[i].number = 10 + (uint32_t)i;
        dial(i);
        assert_int_equal(workers[i].count, 1);
        if (i == 2) // the other suspect goes first after the strike, and proves its innocence
            takes(i, ENVELOPE_FRAME, "good");
        assert_int_equal(workers[i].count, 1);
        assert_true(rig_worker_next(&workers[i])->session == session);
        lose(i);
    }
    assert_int_equal(rig_poisoned.count, 1);
    assert_int_equal(rig_router.counts.poisoned, 1);
    assert_true(rig_poisoned.session == session && rig_poisoned.now_ms == now_ms);
    assert_int_equal(rig_poisoned.kind, ENVELOPE_FRAME);
    assert_int_equal(rig_poisoned.sequence, 2);
    assert_int_equal(rig_poisoned.worker, 10 + RIG_STRIKES);
    assert_memory_equal(rig_poisoned.payload + strlen(rig_poisoned.payload) - 6, "poison", 6);
    assert_true(rig_poisoned.why[0] != '\0');
    assert_int_equal(rig_sessions.counts.closed[REASON_POISONED], 1);
    assert_int_equal(clients[0].closed, 1);
    assert_int_equal(clients[0].error, 0);
    assert_int_equal(rig_table.used, 1);
    dial(0);
    send_text(1, "better");
    takes(0, ENVELOPE_FRAME, "better");
    takes_nothing(0); // no CLOSE for the other one
}

static void router_poison_in_close_frees_the_slot(void **state)
{
    (void)state;
    dial(0);
    connect_client(0);
    echo(0);
    conn_abort(&clients[0].conn);
    rig_settle();
    lose(0);
    for (int i = 0; i < RIG_STRIKES; i++) {
        assert_int_equal(rig_table.used, 1);
        dial(i);
        assert_int_equal(rig_worker_next(&workers[i])->kind, ENVELOPE_CLOSE);
        lose(i);
    }
    assert_int_equal(rig_poisoned.count, 1);
    assert_int_equal(rig_poisoned.kind, ENVELOPE_CLOSE);
    assert_int_equal(rig_table.used, 0);
    assert_int_equal(rig_sessions.counts.closed[REASON_CLIENT_LOST], 1);
}

static void router_strikes_are_forgotten_with_a_commit(void **state)
{
    (void)state;
    dial(0);
    connect_client(0);
    echo(0);
    for (int round = 0; round < 5; round++) {
        send_text(0, "x");
        for (int i = 0; i < RIG_STRIKES; i++) { // the first one only makes it a suspect
            lose(i % 2);
            dial((i + 1) % 2);
        }
        echo(RIG_STRIKES % 2);
        if (RIG_STRIKES % 2 != 0) {
            lose(1);
            dial(0);
        }
    }
    assert_int_equal(rig_poisoned.count, 0);
    assert_int_equal(buffer_size(&clients[0].received), 5 * 5);
}

// The gateway's own reason to end a link says nothing about the inputs.
static void router_dropped_links_give_no_strikes(void **state)
{
    (void)state;
    dial(0);
    connect_client(0);
    connect_client(1);
    echo(0);
    send_text(0, "x");
    send_text(1, "y");
    for (int i = 0; i < 10; i++) {
        link_drop(container_of(rig_router.links.next, struct link, node), "out of memory");
        rig_settle();
        dial((i + 1) % 2);
        assert_int_equal(workers[(i + 1) % 2].count, 2); // nobody is a suspect
    }
    assert_int_equal(rig_poisoned.count, 0);
    lose(0); // now both are
    dial(1);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(workers[(i + 1) % 2].count, 1);
        link_drop(container_of(rig_router.links.next, struct link, node), "out of memory");
        rig_settle();
        dial(i % 2);
    }
    assert_int_equal(rig_poisoned.count, 0);
    echo(1);
    assert_true(has(0, "\0\0\0\1x", 5));
    assert_true(has(1, "\0\0\0\1y", 5));
}

// What comes while a link is closing is not sent there, so it is not to blame.
static void router_closing_links_strike_nobody_new(void **state)
{
    struct session *session;

    (void)state;
    dial(0);
    connect_client(0);
    echo(0);
    session = &rig_table.slots[0];
    link_close(container_of(rig_router.links.next, struct link, node), "it lied");
    session_end(session, REASON_IDLE); // CLOSE is due
    assert_true(session->actor.delivered == session->actor.committed);
    rig_settle();
    assert_int_equal(session->actor.trust, LEDGER_TRUSTED);
    dial(1);
    takes(1, ENVELOPE_CLOSE, "idle too long");
    assert_int_equal(rig_table.used, 0);
}

// Leaving.

static void router_leaving_moves_idle_actors_at_once(void **state)
{
    (void)state;
    dial(0);
    connect_client(0);
    connect_client(1);
    remember(0, "s0", 5);
    echo(0);
    dial(1);
    leave(0);
    assert_int_equal(workers[0].drains, 1);
    connect_client(2);
    takes_nothing(0);
    takes(1, ENVELOPE_OPEN, NULL);
    send_text(0, "x");
    restores(1, "s0", 5);
    takes(1, ENVELOPE_FRAME, "x");
    takes_nothing(0);
    rig_worker_close(&workers[0]);
    rig_settle();
    no_session_is_closed();
    assert_int_equal(rig_router.counts.replayed, 0);
}

static void router_leaving_moves_busy_actors_at_their_commit(void **state)
{
    (void)state;
    dial(0);
    connect_client(0);
    connect_client(1);
    echo(0);
    send_text(0, "a");
    send_text(1, "b");
    dial(1);
    leave(0);
    assert_int_equal(workers[0].drains, 0);
    send_text(0, "c"); // not for the one that leaves
    assert_int_equal(workers[0].count, 2);
    remember(0, "after a", 1);
    assert_int_equal(workers[0].drains, 0);
    restores(1, "after a", 1);
    takes(1, ENVELOPE_FRAME, "c");
    echo(0);
    assert_int_equal(workers[0].drains, 1);
    assert_true(has(1, "\0\0\0\1b", 5));
    lose(0); // it is free to go
    send_text(1, "d");
    echo(1);
    assert_true(has(1, "\0\0\0\1b\0\0\0\1d", 10));
    no_session_is_closed();
}

static void router_leaving_with_nobody_else_goes_on(void **state)
{
    (void)state;
    dial(0);
    connect_client(0);
    takes(0, ENVELOPE_OPEN, NULL);
    leave(0);
    connect_client(1); // it gets no new ones
    send_text(0, "still");
    takes(0, ENVELOPE_FRAME, "still");
    takes_nothing(0);
    assert_int_equal(workers[0].drains, 0);
    dial(1);
    takes(1, ENVELOPE_OPEN, NULL);
    send_text(0, "moved");
    takes(1, ENVELOPE_FRAME, "moved");
}

// It stands in line at the worker that leaves when its last input is due.
static void router_leaving_forgets_who_waited_for_room(void **state)
{
    static uint8_t bytes[LEDGER_LANE_BYTES + 1];

    (void)state;
    dial(0);
    connect_client(0);
    connect_client(1);
    echo(0);
    rig_send_frame(&clients[0], (struct bytes){bytes, sizeof(bytes)});
    rig_settle();
    send_text(1, "waits");
    leave(0);
    dial(1);
    conn_abort(&clients[1].conn);
    rig_settle();
    echo(1);
    lose(0);
    echo(1);
    assert_int_equal(rig_table.used, 1);
    assert_int_equal(buffer_size(&clients[0].received), 4 + sizeof(bytes));
}

// Stop.

static void router_stop_forgets_sessions_that_wait(void **state)
{
    (void)state;
    dial(0);
    connect_client(0);
    takes(0, ENVELOPE_OPEN, NULL);
    send_text(0, "a");
    lose(0);
    connect_client(1);
    assert_false(list_empty(&rig_router.waiting));
    router_close(&rig_router);
    rig_settle();
    assert_int_equal(rig_table.used, 0);
    assert_int_equal(rig_sessions.counts.closed[REASON_SHUTDOWN], 2);
    assert_int_equal(clients[0].error, 0);
}

static void router_stop_with_inputs_under_way_binds_nobody_again(void **state)
{
    (void)state;
    dial(0);
    dial(1);
    for (int i = 0; i < 4; i++)
        connect_client(i);
    echo(0);
    for (int i = 0; i < 4; i++)
        send_text(i, "x");
    conn_abort(&clients[3].conn);
    rig_settle();
    router_close(&rig_router);
    rig_settle();
    assert_int_equal(rig_router.link_count, 0);
    assert_int_equal(rig_table.used, 0);
    assert_int_equal(rig_router.counts.replayed, 0);
    assert_int_equal(rig_poisoned.count, 0);
    assert_true(list_empty(&rig_router.waiting));
}

static void router_stop_with_links_that_close_already(void **state)
{
    (void)state;
    dial(0);
    dial(1);
    connect_client(0);
    connect_client(1);
    echo(0);
    echo(1);
    send_text(0, "x");
    send_text(1, "y");
    link_close(container_of(rig_router.links.next, struct link, node), "it lied");
    router_close(&rig_router);
    rig_settle();
    assert_int_equal(rig_router.link_count, 0);
    assert_int_equal(rig_table.used, 0);
    assert_int_equal(rig_sessions.counts.closed[REASON_SHUTDOWN], 2);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, scene_start, scene_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(router_loss_closes_nobody_and_others_do_not_notice),
        CASE(router_loss_of_an_uncommitted_open_opens_again),
        CASE(router_loss_replays_the_same_inputs_before_newer_ones),
        CASE(router_loss_of_an_idle_actor_restores_it_with_its_next_input),
        CASE(router_loss_with_a_commit_under_way_answers_once),
        CASE(router_loss_by_a_torn_commit_applies_nothing_of_it),
        CASE(router_loss_with_close_under_way_closes_once),
        CASE(router_loss_before_close_tells_the_next_worker),
        CASE(router_suspects_are_tried_one_by_one_beside_the_trusted),
        CASE(router_poison_closes_its_session_only),
        CASE(router_poison_in_close_frees_the_slot),
        CASE(router_strikes_are_forgotten_with_a_commit),
        CASE(router_dropped_links_give_no_strikes),
        CASE(router_closing_links_strike_nobody_new),
        CASE(router_leaving_moves_idle_actors_at_once),
        CASE(router_leaving_moves_busy_actors_at_their_commit),
        CASE(router_leaving_with_nobody_else_goes_on),
        CASE(router_leaving_forgets_who_waited_for_room),
        CASE(router_stop_forgets_sessions_that_wait),
        CASE(router_stop_with_inputs_under_way_binds_nobody_again),
        CASE(router_stop_with_links_that_close_already),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
