// Goal: what actors say to each other's clients arrives, in the order of each speaker, over several
// workers and shards; groups and timers outlive the worker that made them. Method: nodes with 1 and
// 3 shards and 3 workers, troupe-chat and a worker that does what its client says; all workers are
// killed in the middle of it.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kill.h"
#include "live.h"
#include "peer.h"
#include "pool.h"

enum { PEERS = 6, WORKERS = 3, MEMBERS = 500, LINE_BYTES = 128 };

static struct live live;
static struct peer peers[PEERS];
static uint32_t shards;

static void node_start(const char *command, const char *more)
{
    char workers[64], count[64], shard_count[64];
    const char *options[] = {
        workers, count, shard_count, "--gateway.frame=line", "--admin.listen=off", more, NULL};

    snprintf(workers, sizeof workers, "--workers.command=%s", command);
    snprintf(count, sizeof count, "--workers.count=%u", (unsigned)WORKERS);
    snprintf(shard_count, sizeof shard_count, "--gateway.shards=%u", (unsigned)shards);
    live_start(&live, options);
}

// Where the text stands in what the peer has heard from this byte on; SIZE_MAX = nowhere.
static size_t find(const struct peer *peer, size_t from, const char *text)
{
    const uint8_t *data = buffer_data(&peer->bytes);
    size_t size = strlen(text);

    for (size_t at = from; at + size <= buffer_size(&peer->bytes); at++) {
        if (memcmp(data + at, text, size) == 0)
            return at;
    }
    return SIZE_MAX;
}

static uint32_t count(const struct peer *peer, const char *text)
{
    uint32_t found = 0;
    size_t at = 0;

    while ((at = find(peer, at, text)) != SIZE_MAX) {
        found++;
        at += strlen(text);
    }
    return found;
}

static void poll_all(int timeout_ms)
{
    for (size_t i = 0; i < PEERS; i++) {
        peer_poll(&peers[i], i == 0 ? timeout_ms : 0);
        assert_int_equal(peers[i].state, PEER_OPEN); // nobody is disconnected
    }
}

static void wait_text(struct peer *peer, size_t from, const char *text)
{
    uint64_t deadline = os_now_ms() + PEER_DEADLINE_MS;

    while (find(peer, from, text) == SIZE_MAX) {
        if (os_now_ms() >= deadline || peer->state == PEER_CLOSED)
            fail_msg("'%s' did not come, but '%.*s'", text, (int)buffer_size(&peer->bytes),
                     (const char *)buffer_data(&peer->bytes));
        peer_poll(peer, 20);
    }
}

// Says a line, and waits for the answer.
static void say(struct peer *peer, const char *line, const char *wanted)
{
    size_t from = buffer_size(&peer->bytes);

    peer_send_text(peer, line);
    wait_text(peer, from, wanted);
}

// The same for e2e-effects, which says "ok" and the line.
static void ask(struct peer *peer, const char *line)
{
    char wanted[LINE_BYTES + 8];

    snprintf(wanted, sizeof wanted, "ok %s;", line);
    say(peer, line, wanted);
}

static void wait_count(struct peer *peer, const char *text, uint32_t wanted)
{
    uint64_t deadline = os_now_ms() + PEER_DEADLINE_MS;

    while (count(peer, text) < wanted) {
        if (os_now_ms() >= deadline)
            fail_msg("'%s' came %u of %u times", text, (unsigned)count(peer, text),
                     (unsigned)wanted);
        poll_all(20);
    }
}

static void open_all(void)
{
    for (size_t i = 0; i < PEERS; i++)
        peer_open(&peers[i], &live.listen, "line");
}

static void finish_all(void)
{
    for (size_t i = 0; i < PEERS; i++)
        peer_finish(&peers[i]);
}

// All workers, as the log tells them; under Wine processes overwrite each other's lines there, so
// that it may miss some.
static void kill_workers_of_the_log(void)
{
    struct pool pool;

    pool_watch(&pool, &live);
    pool_look(&pool);
    print_message("%u workers are killed\n", (unsigned)pool_whole(&pool));
    for (uint32_t i = pool_whole(&pool); i > 0; i--)
        pool_hit(&pool, 0, BLOW_KILL);
}

// All workers that have one of the clients, as they tell them.
static void kill_workers(void)
{
    unsigned long long ids[PEERS];
    uint32_t killed = 0;

    for (size_t i = 0; i < PEERS; i++) {
        size_t from = buffer_size(&peers[i].bytes);
        const char *at;

        ask(&peers[i], "pid");
        at = (const char *)buffer_data(&peers[i].bytes) + find(&peers[i], from, "pid ");
        assert_int_equal(sscanf(at, "pid %llu;", &ids[i]), 1);
    }
    for (size_t i = 0; i < PEERS; i++) {
        int rc = kill_process(ids[i]);

        assert_true(rc == 0 || rc == -ESRCH);
        killed += rc == 0;
    }
    assert_true(killed > 0);
}

// What the listener has heard of the speaker is 0, 1, 2 ... without a gap. Returns how many.
static uint32_t heard_in_order(const struct peer *listener, const char *speaker)
{
    char text[LINE_BYTES];
    size_t at = 0;
    uint32_t number = 0;

    for (;; number++) {
        snprintf(text, sizeof text, "%.64s: <%u>", speaker, (unsigned)number);
        at = find(listener, at, text);
        if (at == SIZE_MAX)
            return number;
    }
}

static void wait_until_all_is_heard(uint32_t lines)
{
    uint64_t deadline = os_now_ms() + PEER_DEADLINE_MS;
    char speaker[16];

    for (size_t i = 0; i < PEERS * PEERS; i++) {
        const struct peer *listener = &peers[i % PEERS];

        if (i % PEERS == i / PEERS)
            continue;
        snprintf(speaker, sizeof speaker, "u%u", (unsigned)(i / PEERS));
        while (heard_in_order(listener, speaker) < lines) {
            if (os_now_ms() >= deadline)
                fail_msg("client %u has heard %u of %u lines of '%s' in order",
                         (unsigned)(i % PEERS), (unsigned)heard_in_order(listener, speaker),
                         (unsigned)lines, speaker);
            poll_all(20);
        }
        snprintf(speaker, sizeof speaker, "u%u: <", (unsigned)(i / PEERS));
        assert_int_equal(count(listener, speaker), lines); // and nothing twice
    }
}

static void everybody_hears_everybody(bool kill)
{
    enum { LINES = 200 };
    char line[LINE_BYTES];

    node_start("troupe-chat", NULL);
    open_all();
    for (size_t i = 0; i < PEERS; i++) {
        snprintf(line, sizeof line, "/name u%u", (unsigned)i);
        say(&peers[i], line, "so be it");
        say(&peers[i], "/join lobby", "you are in");
    }
    for (size_t i = 0; i < PEERS; i++) // over shards, a line may be later than the answer
        wait_text(&peers[i], 0, i == PEERS - 1 ? "you are in" : "u5: (joins)");
    for (unsigned k = 0; k < LINES; k++) {
        if (kill && k == LINES / 2)
            kill_workers_of_the_log();
        snprintf(line, sizeof line, "<%u>", k);
        for (size_t i = 0; i < PEERS; i++)
            peer_send_text(&peers[i], line);
        poll_all(0);
    }
    wait_until_all_is_heard(LINES);
    say(&peers[0], "/leave", "you are in no room");
    wait_text(&peers[1], 0, "u0: (leaves)");
    peer_send_text(&peers[5], "/quit");
    assert_int_equal(peer_wait_closed(&peers[5]), 0);
    wait_text(&peers[1], 0, "u5: (is gone)");
    peer_drop(&peers[5]);
    for (size_t i = 0; i < PEERS - 1; i++)
        peer_finish(&peers[i]);
    live_stop(&live);
}

static void chat_everybody_hears_everybody_in_order(void **state)
{
    (void)state;
    everybody_hears_everybody(false);
}

static void chat_goes_on_when_all_workers_are_killed(void **state)
{
    (void)state;
    everybody_hears_everybody(true);
}

static void chat_members_leave(void **state)
{
    (void)state;
    node_start("e2e-effects", NULL);
    open_all();
    for (size_t i = 0; i < PEERS; i++)
        ask(&peers[i], "join room");
    ask(&peers[1], "leave room");
    ask(&peers[2], "join other");
    kill_workers(); // and it stays so
    ask(&peers[0], "say room first");
    for (size_t i = 0; i < PEERS; i++) {
        if (i != 1)
            wait_text(&peers[i], 0, "first");
    }
    ask(&peers[1], "join room");
    ask(&peers[0], "say room second");
    for (size_t i = 0; i < PEERS; i++)
        wait_text(&peers[i], 0, "second");
    assert_int_equal(count(&peers[1], "first"), 0);
    ask(&peers[2], "leave room");
    ask(&peers[0], "say other third"); // it is no member itself
    wait_text(&peers[2], 0, "third");
    for (size_t i = 0; i < PEERS; i++)
        assert_int_equal(count(&peers[i], "third"), i == 2 || i == 0); // 0: "ok say other third;"
    finish_all();
    live_stop(&live);
}

static void chat_sends_reach_other_shards_in_order(void **state)
{
    enum { LINES = 100 };
    unsigned long long ids[PEERS];
    char line[LINE_BYTES];

    (void)state;
    node_start("e2e-effects", NULL);
    open_all();
    for (size_t i = 0; i < PEERS; i++) {
        say(&peers[i], "id", ";");
        assert_int_equal(sscanf((const char *)buffer_data(&peers[i].bytes), "id %llu;", &ids[i]),
                         1);
    }
    for (unsigned k = 0; k < LINES; k++) {
        for (size_t i = 0; i < PEERS; i++) {
            // The speaker's own answer has its number, the listener's has another.
            snprintf(line, sizeof line, "send %llu s%u: <%u>", ids[(i + 1) % PEERS], (unsigned)i,
                     k);
            peer_send_text(&peers[i], line);
        }
        if (k == LINES / 2)
            kill_workers();
        poll_all(0);
    }
    for (size_t i = 0; i < PEERS; i++) {
        struct peer *listener = &peers[(i + 1) % PEERS];

        snprintf(line, sizeof line, "s%u: <", (unsigned)i);
        wait_count(listener, line, LINES);
        assert_int_equal(count(listener, line), LINES);
        line[2] = '\0';
        assert_int_equal(heard_in_order(listener, line), LINES);
    }
    // To one that is gone: nobody's error.
    peer_finish(&peers[1]);
    snprintf(line, sizeof line, "send %llu still there", ids[1]);
    ask(&peers[0], line);
    peer_finish(&peers[0]);
    for (size_t i = 2; i < PEERS; i++)
        peer_finish(&peers[i]);
    live_stop(&live);
}

// All fire once, though every worker that set them is killed before most of them are due.
static void timer_outlives_its_worker(void **state)
{
    enum { TIMERS = 20, APART_MS = 100, BEATS = 12 };
    char line[LINE_BYTES];

    (void)state;
    node_start("e2e-effects", NULL);
    open_all();
    for (size_t i = 0; i < PEERS; i++) {
        for (unsigned tag = 1; tag <= TIMERS; tag++) {
            snprintf(line, sizeof line, "once %u %u", tag, (unsigned)(tag * APART_MS));
            ask(&peers[i], line);
        }
        ask(&peers[i], "once 99 3000");
        ask(&peers[i], "cancel 99");
        ask(&peers[i], "every 77 150");
    }
    kill_workers();
    for (size_t i = 0; i < PEERS; i++) {
        for (unsigned tag = 1; tag <= TIMERS; tag++) {
            snprintf(line, sizeof line, "fired %u ", tag);
            wait_text(&peers[i], 0, line);
        }
        wait_count(&peers[i], "fired 77 ", BEATS);
        ask(&peers[i], "cancel 77");
        ask(&peers[i], "once 100 3000"); // behind all that could still come
    }
    for (size_t i = 0; i < PEERS; i++) {
        uint32_t fired = 0;

        wait_text(&peers[i], 0, "fired 100 ");
        for (unsigned tag = 1; tag <= TIMERS; tag++) {
            snprintf(line, sizeof line, "fired %u ", tag);
            assert_int_equal(count(&peers[i], line), 1);
        }
        assert_int_equal(count(&peers[i], "fired 99 "), 0);
        // The actor's own count has neither a gap nor a firing twice.
        do
            snprintf(line, sizeof line, " %u;", (unsigned)++fired);
        while (find(&peers[i], 0, line) != SIZE_MAX && fired < 10000);
        assert_int_equal(count(&peers[i], "fired "), fired - 1);
    }
    finish_all();
    live_stop(&live);
}

// One client library for many: each is a member once it has had its answer.
static uint32_t members, heard;

static void member_connected(struct client_conn *conn)
{
    static const char join[] = "join hall";

    assert_int_equal(client_send(conn, (struct bytes){(const uint8_t *)join, sizeof join - 1}), 0);
}

static void member_frame(struct client_conn *conn, const struct frame *frame)
{
    (void)conn;
    if (frame->body.size == 13 && memcmp(frame->body.data, "ok join hall;", 13) == 0)
        members++;
    else if (frame->body.size == 8 && memcmp(frame->body.data, "good day", 8) == 0)
        heard++;
    else
        fail_msg("a member has heard '%.*s'", (int)frame->body.size,
                 (const char *)frame->body.data);
}

static void member_closed(struct client_conn *conn, int error)
{
    (void)conn;
    if (error != 0)
        fail_msg("a member is disconnected: %s", error_text(error));
}

static void wait_number(struct client *client, const uint32_t *number, uint32_t wanted)
{
    uint64_t deadline = os_now_ms() + PEER_DEADLINE_MS;

    while (*number < wanted) {
        if (os_now_ms() >= deadline)
            fail_msg("%u of %u", (unsigned)*number, (unsigned)wanted);
        assert_true(client_poll(client, 20) >= 0);
    }
}

static void chat_publish_reaches_500_members(void **state)
{
    static const struct client_handler handler = {
        .connected = member_connected, .frame = member_frame, .closed = member_closed};
    struct client_config config = {
        .count_max = MEMBERS, .connecting_max = 50, .outbox_max = 65536, .handler = &handler};
    struct client_conn *conns[MEMBERS];
    struct client *client;

    (void)state;
    members = heard = 0;
    node_start("e2e-effects", NULL);
    config.to = live.listen;
    assert_int_equal(frame_codec_parse(&config.codec, "line", FRAME_PAYLOAD_MAX, NULL), 0);
    assert_int_equal(client_create(&client, &config), 0);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(client_open(client, NULL, &conns[i]), 0);
    wait_number(client, &members, MEMBERS);
    open_all();
    for (uint32_t k = 1; k <= 10; k++) {
        ask(&peers[0], "say hall good day");
        wait_number(client, &heard, k * MEMBERS);
    }
    kill_workers();
    ask(&peers[0], "say hall good day");
    wait_number(client, &heard, 11 * MEMBERS);
    for (size_t i = 0; i < MEMBERS; i++)
        client_finish(conns[i]);
    assert_int_equal(client_drain(client, PEER_DEADLINE_MS), 0);
    assert_int_equal(heard, 11 * MEMBERS);
    client_destroy(client);
    finish_all();
    live_stop(&live);
}

static void chat_slow_member_is_closed_and_others_hear_all(void **state)
{
    enum { FRAMES = 10, FRAME_BYTES = 16000, TURNS_MAX = 20000 };
    uint32_t turns = 0;

    (void)state;
    node_start("e2e-effects", "--gateway.outbox_max_bytes=400000");
    open_all();
    for (size_t i = 0; i < PEERS - 1; i++)
        ask(&peers[i], "join room");
    // Client 0 reads no more. What the systems hold for it is nobody's business here.
    while (!live_log_has(&live, "slow client")) {
        peer_send_text(&peers[PEERS - 1], "flood room 10 16000");
        turns++;
        assert_true(turns < TURNS_MAX);
        peer_wait_frames(&peers[PEERS - 1], turns);
        for (size_t i = 1; i < PEERS - 1; i++)
            peer_wait_frames(&peers[i], 1 + turns * FRAMES);
    }
    (void)peer_wait_closed(&peers[0]); // a reset is not always seen as one by who did not read
    peer_drop(&peers[0]);
    ask(&peers[PEERS - 1], "say room still here");
    for (size_t i = 1; i < PEERS; i++) {
        if (i < PEERS - 1)
            wait_text(&peers[i], (size_t)turns * FRAMES * FRAME_BYTES, "still here");
        peer_finish(&peers[i]);
    }
    assert_int_equal(pool_count(live.log_path, "slow client"), 1);
    live_stop(&live);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chat_everybody_hears_everybody_in_order),
        cmocka_unit_test(chat_goes_on_when_all_workers_are_killed),
        cmocka_unit_test(chat_members_leave),
        cmocka_unit_test(chat_sends_reach_other_shards_in_order),
        cmocka_unit_test(timer_outlives_its_worker),
        cmocka_unit_test(chat_publish_reaches_500_members),
        cmocka_unit_test(chat_slow_member_is_closed_and_others_hear_all),
    };

    os_init();
    shards = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
