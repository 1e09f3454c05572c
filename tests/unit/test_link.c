// Goal: a link greets, delivers whole, and believes only commits that are next.
// Method: the fake streams; a worker that says what the test wants.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "rig_link.h"
#include "stream_fake.h"

// Greeting.

static void link_hello_is_welcomed(void **state)
{
    (void)state;
    worker.number = 3;
    up();
    assert_int_equal(worker.welcome.version, ENVELOPE_VERSION);
    assert_int_equal(worker.welcome.shard, 2);
    assert_int_equal(worker.welcome.shards, 3);
    assert_int_equal(worker.welcome.frame_max, FRAME_MAX);
    assert_true(worker.welcome.seed == 0x1122334455667788);
    assert_int_equal(link->worker, 3);
    assert_int_equal(link->process_id, 4714);
    assert_string_equal(link->app, "rig 1");
    assert_true(rooms > 0);
}

static void refused(const char *why, const char *down)
{
    rig_worker_dial(&worker);
    rig_settle();
    assert_string_equal(worker.refused, why);
    assert_int_equal(link->state, LINK_REFUSING); // the worker hangs up, having read it
    rig_worker_close(&worker);
    rig_settle();
    assert_int_equal(downs, 1);
    assert_int_equal(ups, 0);
    assert_string_equal(down_why, down);
}

static void link_wrong_version_is_refused_in_words(void **state)
{
    (void)state;
    worker.version = 9;
    refused("it speaks link protocol 9, this gateway speaks 1",
            "refused: it speaks link protocol 9, this gateway speaks 1");
}

static void link_wrong_tokens_are_refused(void **state)
{
    static const char *const tokens[] = {"", "c0ffef", "c0ffe", "c0ffeee", "d0ffee"};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(tokens); i++) {
        worker.token = tokens[i];
        refused("it belongs to another node", "refused: it belongs to another node");
        worker = (struct rig_worker){.state = RIG_WORKER_DIALLING};
        downs = 0;
    }
}

static void link_refused_worker_that_stays_is_hung_up_on(void **state)
{
    (void)state;
    worker.token = "other";
    rig_worker_dial(&worker);
    rig_settle();
    assert_int_equal(link_tick(link), LINK_HELLO_TIMEOUT_MS);
    // It talks on, which neither changes the reason nor gains time.
    rig_clock_ms += 1000;
    rig_worker_say(&worker, &(struct envelope){.kind = ENVELOPE_PONG});
    stream_flush(worker.stream);
    rig_settle();
    assert_int_equal(link_tick(link), LINK_HELLO_TIMEOUT_MS - 1000);
    rig_clock_ms += LINK_HELLO_TIMEOUT_MS - 1000;
    assert_int_equal(link_tick(link), -1);
    ended("refused: it belongs to another node");
}

static void link_no_hello_in_time_ends_it(void **state)
{
    (void)state;
    worker.silent = true;
    rig_worker_dial(&worker);
    rig_settle();
    rig_clock_ms += LINK_HELLO_TIMEOUT_MS - 1;
    assert_int_equal(link_tick(link), 1);
    assert_int_equal(link->state, LINK_GREETING);
    rig_clock_ms++;
    assert_int_equal(link_tick(link), -1);
    assert_int_equal(link_tick(link), -1);
    ended("no hello");
    assert_false(down_hung);
}

static void link_second_hello_ends_it(void **state)
{
    (void)state;
    up();
    rig_worker_say(&worker, &(struct envelope){.kind = ENVELOPE_HELLO,
                                               .version = ENVELOPE_VERSION,
                                               .token = rig_text(RIG_TOKEN)});
    stream_flush(worker.stream);
    ended("it said hello twice");
}

static void link_speaking_before_hello_ends_it(void **state)
{
    static const enum envelope_kind kinds[] = {ENVELOPE_PONG, ENVELOPE_LEAVING, ENVELOPE_COMMIT};

    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        worker.silent = true;
        rig_worker_dial(&worker);
        rig_settle();
        rig_worker_say(&worker, &(struct envelope){.kind = kinds[i]});
        stream_flush(worker.stream);
        ended("it spoke before hello");
        end(state);
        start(state);
    }
}

static void link_peer_that_vanishes_is_told(void **state)
{
    (void)state;
    rig_worker_dial(&worker);
    while (link == NULL)
        rig_poll();
    stream_fake_break(worker.stream, -EIO);
    rig_settle();
    assert_int_equal(downs, 1);
    assert_int_equal(worker.error, -EIO);
}

// Commits.

static void link_commits_come_whole_and_in_order(void **state)
{
    const struct bytes replies[] = {{bytes, 3}, {bytes, 0}, {bytes, 5}};

    (void)state;
    up();
    deliver(ENVELOPE_OPEN, 7, 1, 0);
    deliver(ENVELOPE_FRAME, 7, 2, 10);
    deliver(ENVELOPE_FRAME, 8, 1, 20);
    deliver(ENVELOPE_CLOSE, 7, 3, 0);
    rig_settle();
    assert_int_equal(worker.count, 4);
    assert_int_equal(link->lane->count, 4);
    rig_worker_commit(&worker, NULL, 0, false);
    rig_worker_commit(&worker, replies, 3, false);
    rig_worker_commit(&worker, replies, 1, true);
    rig_worker_commit(&worker, NULL, 0, false);
    rig_settle();
    assert_int_equal(commit_count, 4);
    assert_int_equal(commits[0].kind, ENVELOPE_OPEN);
    assert_int_equal(commits[1].kind, ENVELOPE_FRAME);
    assert_int_equal(commits[1].session, 7);
    assert_int_equal(commits[1].epoch, 1);
    assert_int_equal(commits[1].bytes, 10);
    assert_int_equal(commits[1].effect_count, 3);
    assert_int_equal(buffer_size(&commits[1].replies), 8);
    assert_int_equal(commits[2].bytes, 20);
    assert_true(commits[2].end);
    assert_int_equal(commits[3].kind, ENVELOPE_CLOSE);
    assert_int_equal(link->lane->count, 0);
    assert_int_equal(link->lane->cost, 0);
}

static void link_most_effects_are_taken(void **state)
{
    struct bytes replies[ENVELOPE_EFFECTS_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(replies); i++)
        replies[i] = (struct bytes){bytes, 1};
    up();
    deliver(ENVELOPE_FRAME, 7, 1, 1);
    rig_settle();
    rig_worker_commit(&worker, replies, ARRAY_COUNT(replies), false);
    rig_settle();
    assert_int_equal(commits[0].effect_count, ENVELOPE_EFFECTS_MAX);
    assert_int_equal(buffer_size(&commits[0].replies), ENVELOPE_EFFECTS_MAX);
}

static void link_delivering_from_a_commit_is_fine(void **state)
{
    (void)state;
    up();
    deliver_on_commit = true;
    deliver(ENVELOPE_FRAME, 7, 1, 1);
    for (uint32_t i = 1; i <= 100; i++) {
        rig_settle();
        assert_int_equal(worker.count, 1);
        assert_int_equal(rig_worker_next(&worker)->sequence, i);
        rig_worker_commit(&worker, NULL, 0, false);
    }
    rig_settle();
    assert_int_equal(commit_count, 100);
    assert_int_equal(link->lane->count, 1);
}

static void link_commit_that_is_not_next_ends_it(void **state)
{
    static const struct {
        uint64_t session;
        uint32_t epoch;
        uint64_t sequence;
    } wrong[] = {
        {7, 1, 3}, {7, 1, 1}, {8, 1, 2}, {7, 2, 2}, {7, 0, 2}, {0, 0, 0}, {UINT64_MAX, 1, 2},
    };

    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        up();
        deliver(ENVELOPE_FRAME, 7, 1, 1);
        deliver(ENVELOPE_FRAME, 7, 2, 1);
        deliver(ENVELOPE_FRAME, 7, 3, 1);
        rig_settle();
        say_commit(7, 1, 1, 0); // right, and applied
        say_commit(wrong[i].session, wrong[i].epoch, wrong[i].sequence, 1);
        rig_worker_say(&worker, &(struct envelope){.kind = ENVELOPE_REPLY});
        stream_flush(worker.stream);
        ended("it committed what was not next");
        assert_int_equal(commit_count, 1);
        end(state);
        start(state);
    }
}

static void link_more_commits_than_deliveries_end_it(void **state)
{
    (void)state;
    up();
    deliver(ENVELOPE_FRAME, 7, 1, 1);
    rig_settle();
    say_commit(7, 1, 1, 0);
    say_commit(7, 1, 1, 0);
    stream_flush(worker.stream);
    ended("it committed what was not next");
    assert_int_equal(commit_count, 1);
}

static void link_commit_before_any_delivery_ends_it(void **state)
{
    (void)state;
    up();
    say_commit(0, 0, 0, 0); // what the empty window's memory holds
    stream_flush(worker.stream);
    ended("it committed what was not next");
    assert_int_equal(commit_count, 0);
}

// Nothing of a commit is applied unless all of it is there and right.
static void link_broken_commit_is_not_applied(void **state)
{
    static const uint8_t short_reply[] = {0x92, 0x03, 0xC4, 0x05, 'h', 'i'};
    static const uint8_t no_msgpack[] = {0xC1};
    static const uint8_t pong[] = {0x92, 0x05, 0x07};

    for (int way = 0; way < 5; way++) {
        up();
        deliver(ENVELOPE_FRAME, 7, 1, 1);
        deliver(ENVELOPE_FRAME, 7, 2, 1);
        rig_settle();
        say_commit(7, 1, 1, 0);
        say_commit(7, 1, 2, 2);
        rig_worker_say(&worker, &(struct envelope){.kind = ENVELOPE_REPLY});
        if (way == 0)
            say_raw(short_reply, sizeof(short_reply));
        else if (way == 1)
            say_raw(no_msgpack, sizeof(no_msgpack));
        else if (way == 2)
            say_raw(pong, sizeof(pong));
        else if (way == 3)
            say_commit(7, 1, 2, 0);
        stream_flush(worker.stream);
        rig_settle();
        assert_int_equal(downs, 1);
        assert_int_equal(commit_count, 1);
        assert_int_equal(worker.state, RIG_WORKER_GONE);
        end(state);
        start(state);
    }
}

static void link_broken_batches_end_it(void **state)
{
    static const char *const batches[] = {
        "\xC0",             // nil
        "\x90",             // empty array
        "\x92\x7E\x01",     // no such kind
        "\x92\x25\x01",     // PING is the gateway's
        "\x92\x03\xC4",     // an effect alone, cut
        "\x91\x04",         // END without a commit
        "\x93\x05\x01\x01", // a field too much
        "\xDD\xFF\xFF\xFF\xFF",
    };

    for (size_t i = 0; i < ARRAY_COUNT(batches); i++) {
        up();
        say_raw(batches[i], strlen(batches[i]));
        stream_flush(worker.stream);
        rig_settle();
        assert_int_equal(downs, 1);
        assert_true(down_why[0] != '\0');
        end(state);
        start(state);
    }
}

// Inputs and states.

static void link_input_says_all_of_it(void **state)
{
    struct rig_input *input;

    (void)state;
    up();
    deliver(ENVELOPE_OPEN, 7, 1, 5);
    deliver(ENVELOPE_FRAME, 7, 2, 3);
    rig_settle();
    input = rig_worker_next(&worker);
    assert_int_equal(input->kind, ENVELOPE_OPEN);
    assert_string_equal(input->text, "aaaaa");
    assert_int_equal(input->now_ms, 1001);
    rig_worker_commit(&worker, NULL, 0, false);
    input = rig_worker_next(&worker);
    assert_int_equal(input->kind, ENVELOPE_FRAME);
    assert_true(input->session == 7 && input->epoch == 1 && input->sequence == 2);
    assert_int_equal(input->now_ms, 1002);
    assert_int_equal(buffer_size(&input->payload), 3);
    assert_false(input->restored);
}

static void link_restore_goes_before_the_input(void **state)
{
    const struct rig_input *input;

    (void)state;
    up();
    actor(7)->committed = actor(7)->delivered = 4; // as if elsewhere
    actor(7)->epoch = 2;
    assert_int_equal(ledger_state_set(actor(7), 9, rig_text("what it knew")), 0);
    link_restore(link, actor(7));
    deliver(ENVELOPE_FRAME, 7, 5, 1);
    rig_settle();
    assert_int_equal(worker.count, 1);
    input = rig_worker_next(&worker);
    assert_true(input->restored);
    assert_int_equal(input->epoch, 2);
    assert_int_equal(input->sequence, 5);
    assert_int_equal(input->state_version, 9);
    assert_int_equal(buffer_size(&input->state), 12);
    assert_memory_equal(buffer_data(&input->state), "what it knew", 12);
}

static void say_state(size_t size)
{
    const struct envelope effects[] = {
        {.kind = ENVELOPE_REPLY, .payload = {bytes, 2}},
        {.kind = ENVELOPE_STATE, .state_version = 3, .payload = {bytes, size}},
        {.kind = ENVELOPE_END},
    };

    up();
    deliver(ENVELOPE_FRAME, 7, 1, 1);
    deliver(ENVELOPE_FRAME, 7, 2, 1);
    rig_settle();
    rig_worker_commit(&worker, NULL, 0, false);
    rig_worker_commit_effects(&worker, effects, ARRAY_COUNT(effects));
}

static void link_largest_state_is_taken(void **state)
{
    (void)state;
    say_state(STATE_MAX);
    rig_settle();
    assert_int_equal(commit_count, 2);
    assert_int_equal(commits[1].effect_count, 3);
    assert_int_equal(buffer_size(&commits[1].state), STATE_MAX);
    assert_int_equal(commits[1].state_version, 3);
    assert_int_equal(buffer_size(&commits[1].replies), 2);
    assert_true(commits[1].end);
    assert_non_null(link);
}

static void link_larger_state_ends_it_and_is_not_applied(void **state)
{
    (void)state;
    say_state(STATE_MAX + 1);
    ended("it committed a state above gateway.state_max_bytes");
    assert_int_equal(commit_count, 1);
    assert_int_equal(down_owed, 1);
}

static void link_first_commit_of_a_suspect_clears_it(void **state)
{
    (void)state;
    up();
    deliver(ENVELOPE_FRAME, 8, 1, 1);
    actor(7)->trust = LEDGER_SUSPECT;
    deliver(ENVELOPE_FRAME, 7, 1, 1);
    assert_false(room(7, 1));
    rig_settle();
    rig_worker_commit(&worker, NULL, 0, false);
    rig_worker_commit(&worker, NULL, 0, false);
    rig_settle();
    assert_int_equal(commit_count, 2);
    assert_false(commits[0].cleared);
    assert_true(commits[1].cleared);
    deliver(ENVELOPE_FRAME, 7, 2, 1);
    rig_settle();
    rig_worker_commit(&worker, NULL, 0, false);
    rig_settle();
    assert_false(commits[2].cleared);
}

// The lane keeps what was delivered until its commit; both ends count alike.
static void link_full_lane_goes_on_after_commits(void **state)
{
    (void)state;
    up();
    for (uint32_t i = 1; i <= LEDGER_LANE_INPUTS; i++)
        deliver(ENVELOPE_FRAME, 7, i, 0);
    assert_false(room(7, 0));
    rig_settle();
    assert_int_equal(worker.count, LEDGER_LANE_INPUTS);
    rig_worker_commit(&worker, NULL, 0, false);
    rooms = 0;
    rig_settle();
    assert_int_equal(rooms, 1);
    assert_true(room(7, 0));
    deliver(ENVELOPE_FRAME, 7, LEDGER_LANE_INPUTS + 1, 0); // around the ring's end
    assert_false(room(7, 0));
    rig_settle();
    while (worker.count > 0)
        rig_worker_commit(&worker, NULL, 0, false);
    rig_settle();
    assert_int_equal(commit_count, LEDGER_LANE_INPUTS + 1);
    assert_int_equal(link->lane->cost, 0);
}

static void link_large_input_travels_whole(void **state)
{
    size_t large = LEDGER_LANE_BYTES + 1;

    (void)state;
    up();
    deliver(ENVELOPE_FRAME, 7, 1, large);
    rig_settle();
    assert_int_equal(buffer_size(&rig_worker_next(&worker)->payload), large);
    rig_worker_commit(&worker, NULL, 0, false);
    rig_settle();
    assert_int_equal(commits[0].bytes, large);
    assert_true(room(7, 0));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(link_hello_is_welcomed),
        CASE(link_wrong_version_is_refused_in_words),
        CASE(link_wrong_tokens_are_refused),
        CASE(link_refused_worker_that_stays_is_hung_up_on),
        CASE(link_no_hello_in_time_ends_it),
        CASE(link_second_hello_ends_it),
        CASE(link_speaking_before_hello_ends_it),
        CASE(link_peer_that_vanishes_is_told),
        CASE(link_commits_come_whole_and_in_order),
        CASE(link_most_effects_are_taken),
        CASE(link_delivering_from_a_commit_is_fine),
        CASE(link_commit_that_is_not_next_ends_it),
        CASE(link_more_commits_than_deliveries_end_it),
        CASE(link_commit_before_any_delivery_ends_it),
        CASE(link_broken_commit_is_not_applied),
        CASE(link_broken_batches_end_it),
        CASE(link_input_says_all_of_it),
        CASE(link_restore_goes_before_the_input),
        CASE(link_largest_state_is_taken),
        CASE(link_larger_state_ends_it_and_is_not_applied),
        CASE(link_first_commit_of_a_suspect_clears_it),
        CASE(link_full_lane_goes_on_after_commits),
        CASE(link_large_input_travels_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
