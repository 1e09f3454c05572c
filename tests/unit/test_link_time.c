// Goal: a link notices who is silent or stuck and nobody else, and ends once with the reason; how
// its bytes travel changes nothing.
// Method: the fake streams, whole and in pieces; a clock of the test's.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "rig_link.h"
#include "stream_fake.h"

// Time.

static void link_idle_worker_is_asked_and_answers(void **state)
{
    (void)state;
    up();
    assert_int_equal(link_tick(link), HEARTBEAT_MS);
    for (uint32_t i = 1; i <= 10; i++) {
        rig_clock_ms += HEARTBEAT_MS;
        assert_int_equal(link_tick(link), HEARTBEAT_MS);
        rig_settle();
        assert_int_equal(worker.pings, i);
        assert_int_equal(link->pings_open, 0);
    }
}

static void link_three_missed_heartbeats_end_it(void **state)
{
    (void)state;
    worker.mute = true;
    up();
    for (uint32_t i = 1; i <= LINK_HEARTBEAT_MISSES; i++) {
        rig_clock_ms += HEARTBEAT_MS - 1;
        assert_int_equal(link_tick(link), 1);
        rig_clock_ms += 1;
        assert_int_equal(link_tick(link), HEARTBEAT_MS);
        rig_settle();
        assert_int_equal(worker.pings, i);
    }
    rig_clock_ms += HEARTBEAT_MS;
    assert_int_equal(link_tick(link), -1);
    ended("three heartbeats missed");
    assert_true(down_hung);
}

static void link_turn_time_out_ends_it(void **state)
{
    (void)state;
    worker.mute = true;
    up();
    rig_clock_ms += 400;
    deliver(ENVELOPE_FRAME, 7, 1, 1);
    rig_settle();
    assert_int_equal(link_tick(link), TURN_MS);
    rig_clock_ms += TURN_MS - 1;
    assert_int_equal(link_tick(link), 1);
    assert_int_equal(worker.pings, 0); // busy: not asked
    rig_clock_ms++;
    assert_int_equal(link_tick(link), -1);
    ended("no answer within gateway.turn_timeout_ms");
    assert_true(down_hung);
}

static void link_each_commit_starts_the_turn_anew(void **state)
{
    (void)state;
    up();
    for (uint64_t i = 1; i <= 5; i++)
        deliver(ENVELOPE_FRAME, 7, i, 1);
    rig_settle();
    for (uint32_t i = 1; i <= 4; i++) {
        rig_clock_ms += TURN_MS - 1;
        assert_int_equal(link_tick(link), 1);
        rig_worker_commit(&worker, NULL, 0, false);
        rig_settle();
        assert_int_equal(link_tick(link), TURN_MS);
    }
    // Words that are no commit do not.
    rig_clock_ms += TURN_MS - 1;
    rig_worker_say(&worker, &(struct envelope){.kind = ENVELOPE_PONG});
    stream_flush(worker.stream);
    rig_settle();
    assert_int_equal(link_tick(link), 1);
}

static void link_turn_time_out_of_zero_is_never(void **state)
{
    (void)state;
    config.turn_timeout_ms = 0;
    up();
    deliver(ENVELOPE_FRAME, 7, 1, 1);
    rig_clock_ms += 1000000000;
    assert_int_equal(link_tick(link), -1);
    rig_settle();
    rig_worker_commit(&worker, NULL, 0, false);
    rig_settle();
    assert_int_equal(link_tick(link), HEARTBEAT_MS);
}

// The gateway itself was stopped for a while: the answer may have come meanwhile.
static void link_late_look_gives_the_worker_a_moment(void **state)
{
    int wait_ms;

    (void)state;
    up();
    deliver(ENVELOPE_FRAME, 7, 1, 1);
    rig_settle();
    rig_clock_ms += TURN_MS * 10;
    wait_ms = link_tick(link);
    assert_true(wait_ms > 0 && wait_ms < TURN_MS);
    rig_clock_ms += (uint64_t)wait_ms;
    assert_int_equal(link_tick(link), -1);
    ended("no answer within gateway.turn_timeout_ms");
}

// Ends.

static void link_leaving_worker_goes_on(void **state)
{
    (void)state;
    up();
    deliver(ENVELOPE_FRAME, 7, 1, 1);
    rig_worker_say(&worker, &(struct envelope){.kind = ENVELOPE_LEAVING});
    rig_worker_say(&worker, &(struct envelope){.kind = ENVELOPE_LEAVING});
    stream_flush(worker.stream);
    rig_settle();
    assert_int_equal(link->state, LINK_LEAVING);
    assert_int_equal(leavings, 2);
    assert_int_equal(worker.drains, 0);
    link_drained(link);
    rig_settle();
    assert_int_equal(worker.drains, 1);
    rig_worker_commit(&worker, NULL, 0, false);
    rig_settle();
    assert_int_equal(commit_count, 1);
    assert_int_equal(link_tick(link), HEARTBEAT_MS);
    rig_worker_close(&worker);
    rig_settle();
    assert_string_equal(down_why, "connection reset by peer");
}

static void link_closing_with_things_in_flight_ends_once(void **state)
{
    (void)state;
    up();
    deliver(ENVELOPE_FRAME, 7, 1, 1);
    rig_settle();
    rig_worker_commit(&worker, NULL, 0, false);
    deliver(ENVELOPE_FRAME, 7, 2, 1);
    link_flush(link);
    link_close(link, "enough");
    link_close(link, "again");
    deliver(ENVELOPE_FRAME, 7, 3, 1); // to nowhere
    link_flush(link);
    assert_int_equal(link_tick(link), -1);
    ended("enough");
    assert_int_equal(commit_count, 0);
    assert_int_equal(down_owed, 3);
    assert_false(down_ours);
}

static void link_dropped_is_to_blame_itself(void **state)
{
    (void)state;
    up();
    deliver(ENVELOPE_FRAME, 7, 1, 1);
    link_drop(link, "enough");
    link_close(link, "again");
    ended("enough");
    assert_true(down_ours);
    assert_int_equal(down_owed, 1);
}

static void link_dropped_after_its_end_is_not(void **state)
{
    (void)state;
    up();
    link_close(link, "it lied");
    link_drop(link, "enough");
    ended("it lied");
    assert_false(down_ours);
}

static void link_stalled_send_holds_batches_back_in_order(void **state)
{
    (void)state;
    up();
    stream_fake_stall(link->stream, true);
    for (uint64_t i = 1; i <= 50; i++) {
        deliver(ENVELOPE_FRAME, 7, i, 100);
        rig_settle();
    }
    assert_int_equal(worker.count, 0);
    stream_fake_stall(link->stream, false);
    rig_settle();
    assert_int_equal(worker.count, 50);
    for (uint64_t i = 1; i <= 50; i++) {
        assert_int_equal(rig_worker_next(&worker)->sequence, i);
        rig_worker_commit(&worker, NULL, 0, false);
    }
    rig_settle();
    assert_int_equal(commit_count, 50);
}

static void link_pieces_in_any_order_change_nothing(void **state)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        uint64_t sequence = 0;

        end(state);
        begin(&(struct rig_config){.seed = seed, .rough = true});
        up();
        for (int step = 0; step < 200; step++) {
            size_t size = rig_random(3000);

            if (rig_random(2) == 0 && room(7, size))
                deliver(ENVELOPE_FRAME, 7, ++sequence, size);
            if (rig_random(2) == 0 && worker.count > 0)
                rig_worker_commit(&worker, &(struct bytes){bytes, size}, rig_random(2), false);
            rig_poll();
        }
        rig_settle();
        while (worker.count > 0)
            rig_worker_commit(&worker, NULL, 0, false);
        rig_settle();
        if (commit_count != sequence || link->lane->count != 0 || link->lane->cost != 0)
            fail_msg("seed %u: %u of %u commits", (unsigned)seed, (unsigned)commit_count,
                     (unsigned)sequence);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(link_idle_worker_is_asked_and_answers),
        CASE(link_three_missed_heartbeats_end_it),
        CASE(link_turn_time_out_ends_it),
        CASE(link_each_commit_starts_the_turn_anew),
        CASE(link_turn_time_out_of_zero_is_never),
        CASE(link_late_look_gives_the_worker_a_moment),
        CASE(link_leaving_worker_goes_on),
        CASE(link_closing_with_things_in_flight_ends_once),
        CASE(link_dropped_is_to_blame_itself),
        CASE(link_dropped_after_its_end_is_not),
        CASE(link_stalled_send_holds_batches_back_in_order),
        CASE(link_pieces_in_any_order_change_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
