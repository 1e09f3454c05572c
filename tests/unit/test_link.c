// Goal: a link greets, delivers within its window, believes only commits that are next, notices who
// is silent or stuck, and ends once with the reason.
// Method: the fake streams, whole and in pieces; a worker that says what the test wants; a clock of
// the test's.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "link.h"
#include "rig.h"
#include "stream_fake.h"

enum { HEARTBEAT_MS = 1000, TURN_MS = 5000, FRAME_MAX = 9000, COMMITS_MAX = 8192 };

static struct rig_worker worker;
static struct link *link; // NULL before `accepted` and after `down`
static struct link_config config;
static struct stream_listener *streams;
static unsigned ups, rooms, downs;
static char down_why[128];
static bool down_hung;
static bool deliver_on_commit;
static uint8_t bytes[2 * 1024 * 1024];

static struct {
    struct link_commit commit;
    struct buffer replies; // one after another
    bool end;
} commits[COMMITS_MAX];
static uint32_t commit_count;

static void deliver(enum envelope_kind kind, uint64_t session, uint64_t sequence, size_t size)
{
    link_deliver(link, &(struct envelope){.kind = kind,
                                          .session = session,
                                          .epoch = 1,
                                          .sequence = sequence,
                                          .payload = {bytes, size}});
}

static void on_up(struct link *at)
{
    assert_ptr_equal(at, link);
    assert_int_equal(at->state, LINK_UP);
    ups++;
}

static void on_commit(struct link *at, const struct link_commit *commit)
{
    assert_ptr_equal(at, link);
    assert_true(commit_count < COMMITS_MAX);
    commits[commit_count].commit = *commit;
    for (uint32_t i = 0; i < commit->effect_count; i++) {
        if (commit->effects[i].kind == ENVELOPE_END)
            commits[commit_count].end = true;
        else
            assert_int_equal(buffer_append(&commits[commit_count].replies,
                                           commit->effects[i].payload.data,
                                           commit->effects[i].payload.size),
                             0);
    }
    commit_count++;
    if (deliver_on_commit)
        deliver(ENVELOPE_FRAME, 7, commit_count + 1, 1);
}

static void on_room(struct link *at)
{
    assert_ptr_equal(at, link);
    rooms++;
}

static void on_down(struct link *at, const char *why)
{
    assert_ptr_equal(at, link);
    downs++;
    strcpy(down_why, why);
    down_hung = at->hung;
    link = NULL;
}

static void on_stream(void *owner, struct stream *stream)
{
    (void)owner;
    assert_null(link);
    assert_int_equal(link_open(&link, stream, &config), 0);
}

static void turn(void)
{
    if (link != NULL)
        link_flush(link);
}

static void streams_closed(void *owner)
{
    (void)owner;
    streams = NULL;
}

static void begin(const struct rig_config *rig)
{
    static const struct link_handler handler = {
        .up = on_up, .commit = on_commit, .room = on_room, .down = on_down};

    rig_start(rig);
    rig_turn = turn;
    memset(&worker, 0, sizeof(worker));
    config = (struct link_config){.handler = &handler,
                                  .now_ms = rig_now_ms,
                                  .token = rig_text(RIG_TOKEN),
                                  .shard = 2,
                                  .shards = 3,
                                  .frame_max = FRAME_MAX,
                                  .heartbeat_ms = HEARTBEAT_MS,
                                  .turn_timeout_ms = TURN_MS};
    link = NULL;
    ups = rooms = downs = 0;
    down_why[0] = '\0';
    down_hung = deliver_on_commit = false;
    assert_int_equal(
        stream_listen(&streams, rig_port, RIG_ADDRESS, ENVELOPE_BATCH_MAX, on_stream, NULL), 0);
}

static int start(void **state)
{
    (void)state;
    begin(&(struct rig_config){.seed = 1});
    return 0;
}

static int end(void **state)
{
    (void)state;
    if (link != NULL)
        link_close(link, "end of test");
    rig_worker_close(&worker);
    if (streams != NULL)
        stream_listener_close(streams, streams_closed);
    rig_end();
    assert_null(link);
    while (commit_count > 0) {
        commit_count--;
        buffer_free(&commits[commit_count].replies);
        commits[commit_count].end = false;
    }
    return 0;
}

static void up(void)
{
    rig_worker_dial(&worker);
    rig_settle();
    assert_int_equal(worker.state, RIG_WORKER_UP);
    assert_int_equal(ups, 1);
}

// Ended by the gateway's side, the worker sees the end.
static void ended(const char *why)
{
    rig_settle();
    assert_null(link);
    assert_int_equal(downs, 1);
    assert_string_equal(down_why, why);
    assert_int_equal(worker.state, RIG_WORKER_GONE);
    assert_int_equal(worker.error, -ECONNRESET);
}

static void say_commit(uint64_t session, uint32_t epoch, uint64_t sequence, uint32_t effects)
{
    rig_worker_say(&worker, &(struct envelope){.kind = ENVELOPE_COMMIT,
                                               .session = session,
                                               .epoch = epoch,
                                               .sequence = sequence,
                                               .effects = effects});
}

static void say_raw(const void *data, size_t size)
{
    assert_int_equal(buffer_append(stream_outbox(worker.stream), data, size), 0);
}

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
    deliver(ENVELOPE_FRAME, 8, 2, 20);
    deliver(ENVELOPE_CLOSE, 7, 3, 0);
    rig_settle();
    assert_int_equal(worker.count, 4);
    assert_int_equal(link->count, 4);
    rig_worker_commit(&worker, NULL, 0, false);
    rig_worker_commit(&worker, replies, 3, false);
    rig_worker_commit(&worker, replies, 1, true);
    rig_worker_commit(&worker, NULL, 0, false);
    rig_settle();
    assert_int_equal(commit_count, 4);
    assert_int_equal(commits[0].commit.input, ENVELOPE_OPEN);
    assert_int_equal(commits[1].commit.input, ENVELOPE_FRAME);
    assert_int_equal(commits[1].commit.session, 7);
    assert_int_equal(commits[1].commit.epoch, 1);
    assert_int_equal(commits[1].commit.bytes, 10);
    assert_int_equal(commits[1].commit.effect_count, 3);
    assert_int_equal(buffer_size(&commits[1].replies), 8);
    assert_int_equal(commits[2].commit.bytes, 20);
    assert_true(commits[2].end);
    assert_int_equal(commits[3].commit.input, ENVELOPE_CLOSE);
    assert_int_equal(link->count, 0);
    assert_int_equal(link->bytes, 0);
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
    assert_int_equal(commits[0].commit.effect_count, ENVELOPE_EFFECTS_MAX);
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
    assert_int_equal(link->count, 1);
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

// The window.

static void link_window_bounds_the_inputs(void **state)
{
    (void)state;
    up();
    for (uint32_t i = 1; i <= LINK_WINDOW_INPUTS; i++) {
        assert_true(link_room(link, 0));
        deliver(ENVELOPE_FRAME, 7, i, 0);
    }
    assert_false(link_room(link, 0));
    rig_settle();
    assert_int_equal(worker.count, LINK_WINDOW_INPUTS);
    rig_worker_commit(&worker, NULL, 0, false);
    rooms = 0;
    rig_settle();
    assert_int_equal(rooms, 1);
    assert_true(link_room(link, 0));
    deliver(ENVELOPE_FRAME, 7, LINK_WINDOW_INPUTS + 1, 0); // around the ring's end
    assert_false(link_room(link, 0));
    rig_settle();
    while (worker.count > 0)
        rig_worker_commit(&worker, NULL, 0, false);
    rig_settle();
    assert_int_equal(commit_count, LINK_WINDOW_INPUTS + 1);
    assert_int_equal(link->bytes, 0);
}

static void link_window_bounds_the_bytes(void **state)
{
    uint64_t sequence = 0;
    size_t sum = 0;

    (void)state;
    up();
    while (link_room(link, 10000)) {
        deliver(ENVELOPE_FRAME, 7, ++sequence, 10000);
        sum += 10000;
    }
    assert_in_range(sum, LINK_WINDOW_BYTES - 20000, LINK_WINDOW_BYTES);
    rig_settle();
    rig_worker_commit(&worker, NULL, 0, false);
    rig_settle();
    assert_true(link_room(link, 10000));
}

static void link_large_input_travels_alone(void **state)
{
    size_t large = LINK_WINDOW_BYTES + 1;

    (void)state;
    up();
    deliver(ENVELOPE_FRAME, 7, 1, 1);
    assert_false(link_room(link, large));
    rig_settle();
    rig_worker_commit(&worker, NULL, 0, false);
    rig_settle();
    assert_true(link_room(link, large));
    deliver(ENVELOPE_FRAME, 7, 2, large);
    assert_false(link_room(link, 0));
    rig_settle();
    assert_int_equal(buffer_size(&rig_worker_next(&worker)->payload), large);
    rig_worker_commit(&worker, NULL, 0, false);
    rig_settle();
    assert_true(link_room(link, 0));
}

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

            if (rig_random(2) == 0 && link_room(link, size))
                deliver(ENVELOPE_FRAME, 7, ++sequence, size);
            if (rig_random(2) == 0 && worker.count > 0)
                rig_worker_commit(&worker, &(struct bytes){bytes, size}, rig_random(2), false);
            rig_poll();
        }
        rig_settle();
        while (worker.count > 0)
            rig_worker_commit(&worker, NULL, 0, false);
        rig_settle();
        if (commit_count != sequence || link->count != 0 || link->bytes != 0)
            fail_msg("seed %u: %u of %u commits", (unsigned)seed, (unsigned)commit_count,
                     (unsigned)sequence);
    }
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
        CASE(link_window_bounds_the_inputs),
        CASE(link_window_bounds_the_bytes),
        CASE(link_large_input_travels_alone),
        CASE(link_idle_worker_is_asked_and_answers),
        CASE(link_three_missed_heartbeats_end_it),
        CASE(link_turn_time_out_ends_it),
        CASE(link_each_commit_starts_the_turn_anew),
        CASE(link_turn_time_out_of_zero_is_never),
        CASE(link_late_look_gives_the_worker_a_moment),
        CASE(link_leaving_worker_goes_on),
        CASE(link_closing_with_things_in_flight_ends_once),
        CASE(link_stalled_send_holds_batches_back_in_order),
        CASE(link_pieces_in_any_order_change_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
