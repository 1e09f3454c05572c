// Goal: what a client does wrong, or slowly, or not at all, touches that client only. Method: one
// node with the moody worker for each rule; beside the odd client stands a plain one that must get
// its echoes all the time.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "live.h"
#include "load.h"
#include "peer.h"

static void node_start(struct live *live, const char *option, const char *more)
{
    const char *options[] = {"--workers.command=e2e-moody",
                             "--workers.count=2",
                             "--gateway.shards=3",
                             "--gateway.linger_timeout_ms=2000",
                             option,
                             more,
                             NULL};

    live_start(live, options);
}

struct bad {
    const char *codec;
    const char *bytes;
    size_t size;
};

// The session that sends it is closed, its neighbours are not.
static void close_exactly_that(const char *codec, const struct bad *bad, size_t count)
{
    char frame[64];
    struct live live;
    struct peer good;
    size_t i;

    snprintf(frame, sizeof frame, "--gateway.frame=%s", codec);
    node_start(&live, frame, "--gateway.max_frame_bytes=1000");
    peer_open(&good, &live.listen, codec);
    peer_echo(&good, "before");
    for (i = 0; i < count; i++) {
        struct peer peer;

        peer_open(&peer, &live.listen, codec);
        peer_echo(&peer, "well behaved");
        peer_send_raw(&peer, bad[i].bytes, bad[i].size);
        peer_wait_closed(&peer);
        assert_int_equal(peer.frames, 1);
        peer_drop(&peer);
        peer_echo(&good, "during");
    }
    peer_finish(&good);
    live_stop(&live);
}

static void bad_frames_of_rookiss_close_exactly_that_session(void **state)
{
    static const struct bad bad[] = {
        {"rookiss", "\0\0", 2},         // the size that a well-known loop hangs on
        {"rookiss", "\1\0", 2},         // below the header
        {"rookiss", "\3\0x", 3},        // no room for the id
        {"rookiss", "\xff\xff", 2},     // above the maximum
        {"rookiss", "\6\0abcd\0\0", 8}, // a good one, then a bad one: no reply is due any more
    };

    (void)state;
    close_exactly_that("rookiss", bad, ARRAY_COUNT(bad) - 1);
}

static void bad_frames_of_len32be_close_exactly_that_session(void **state)
{
    static const struct bad bad[] = {
        {"len32be", "\0\0\0\0", 4},
        {"len32be", "\xff\xff\xff\xff", 4},
        {"len32be", "\0\0\3\xe9", 4}, // 1001
    };

    (void)state;
    close_exactly_that("len32be", bad, ARRAY_COUNT(bad));
}

static void line_too_long_closes_exactly_that_session(void **state)
{
    static char line[1200];
    const struct bad bad[] = {{"line", line, sizeof line}};

    (void)state;
    memset(line, 'x', sizeof line);
    close_exactly_that("line", bad, ARRAY_COUNT(bad));
}

static void half_close_gets_all_replies_then_fin(void **state)
{
    struct live live;
    struct peer peer;
    char text[32];
    int i;

    (void)state;
    node_start(&live, "--gateway.frame=len16be", NULL);
    peer_open(&peer, &live.listen, "len16be");
    for (i = 0; i < 500; i++) {
        snprintf(text, sizeof text, "frame %d", i);
        assert_int_equal(
            client_send(peer.conn, (struct bytes){(const uint8_t *)text, strlen(text)}), 0);
    }
    client_half_close(peer.conn);
    assert_int_equal(peer_wait_closed(&peer), 0);
    assert_int_equal(peer.frames, 500);
    assert_memory_equal(buffer_data(&peer.bytes), "frame 0frame 1frame 2", 21);
    peer_drop(&peer);
    live_stop(&live);
}

static void reset_in_the_middle_of_a_frame_harms_nobody(void **state)
{
    struct live live;
    struct peer good;
    int i;

    (void)state;
    node_start(&live, "--gateway.frame=len32le", NULL);
    peer_open(&good, &live.listen, "len32le");
    for (i = 0; i < 20; i++) {
        struct peer peer;

        peer_open(&peer, &live.listen, "len32le");
        peer_echo(&peer, "first");
        peer_send_raw(&peer, "\x00\x40\0\0half a frame", 16);
        peer_drop(&peer);
        peer_echo(&good, "still here");
    }
    peer_finish(&good);
    live_stop(&live);
}

// It asks for far more than it reads: its outbox has a limit, and so has the gateway's memory.
static void slow_reader_is_closed_and_memory_is_bounded(void **state)
{
    struct live live;
    struct peer good, slow;
    uint64_t resident;
    int i;

    (void)state;
    node_start(&live, "--gateway.frame=len32le", "--gateway.outbox_max_bytes=1000000");
    peer_open(&good, &live.listen, "len32le");
    peer_echo(&good, "before");
    peer_open(&slow, &live.listen, "len32le");
    client_pause(slow.conn);
    for (i = 0; i < 300 && slow.conn; i++) { // 300 MB wanted
        if (client_send(slow.conn, (struct bytes){(const uint8_t *)"flood 64", 8}) < 0)
            break;
        peer_poll(&slow, 0);
        peer_echo(&good, "during");
    }
    live_wait_log(&live, "slow client");
    resident = os_resident_bytes(live.gateway);
    if (resident > 200 * 1000 * 1000)
        fail_msg("the gateway has %llu bytes", (unsigned long long)resident);
    peer_echo(&good, "after");
    peer_drop(&slow);
    peer_finish(&good);
    live_stop(&live);
}

// A client that sends without end and reads nothing: TCP pushes it back, or it is closed.
static void client_that_never_reads_is_bounded(void **state)
{
    static char frame[16 * 1024];
    struct live live;
    struct peer good, greedy;
    size_t sent = 0;
    int i;

    (void)state;
    node_start(&live, "--gateway.frame=len32le", "--gateway.outbox_max_bytes=1000000");
    peer_open(&good, &live.listen, "len32le");
    peer_open(&greedy, &live.listen, "len32le");
    client_pause(greedy.conn);
    for (i = 0; i < 20000 && greedy.conn && sent < 64U * 1024 * 1024; i++) {
        int rc = client_send(greedy.conn, (struct bytes){(const uint8_t *)frame, sizeof frame});

        if (rc < 0)
            break;
        sent += sizeof frame;
        peer_poll(&greedy, 0);
        if (i % 64 == 0)
            peer_echo(&good, "during");
    }
    peer_echo(&good, "after");
    assert_true(os_resident_bytes(live.gateway) < 200 * 1000 * 1000);
    peer_drop(&greedy);
    peer_finish(&good);
    live_stop(&live);
}

static void sessions_above_the_maximum_are_refused(void **state)
{
    enum { SESSIONS = 5 };
    struct live live;
    struct peer peers[SESSIONS], extra;
    size_t i;

    (void)state;
    node_start(&live, "--gateway.frame=rookiss", "--gateway.max_sessions=5");
    for (i = 0; i < SESSIONS; i++) {
        peer_open(&peers[i], &live.listen, "rookiss");
        peer_echo(&peers[i], "one of five");
    }
    peer_start(&extra, &live.listen, "rookiss");
    peer_wait_closed(&extra);
    assert_int_equal(extra.frames, 0);
    peer_drop(&extra);
    for (i = 0; i < SESSIONS; i++)
        peer_echo(&peers[i], "still one of five");
    peer_finish(&peers[0]);
    peer_wait_service(&live.listen, "rookiss");
    for (i = 1; i < SESSIONS; i++)
        peer_finish(&peers[i]);
    live_stop(&live);
}

static void idle_client_is_closed_and_a_busy_one_is_not(void **state)
{
    struct live live;
    struct peer busy, idle;

    (void)state;
    node_start(&live, "--gateway.frame=line", "--gateway.idle_timeout_ms=1500");
    peer_open(&busy, &live.listen, "line");
    peer_open(&idle, &live.listen, "line");
    peer_echo(&idle, "my last word");
    while (idle.state != PEER_CLOSED) {
        peer_echo(&busy, "tick");
        peer_poll(&idle, 20);
        assert_true(busy.frames < 100000);
    }
    peer_echo(&busy, "tock");
    peer_drop(&idle);
    peer_finish(&busy);
    live_stop(&live);
}

static void actor_that_closes_gets_its_last_reply_out(void **state)
{
    struct live live;
    struct peer peer;

    (void)state;
    node_start(&live, "--gateway.frame=line", NULL);
    peer_open(&peer, &live.listen, "line");
    peer_send_text(&peer, "bye");
    assert_int_equal(peer_wait_closed(&peer), 0);
    assert_int_equal(peer.frames, 1);
    peer_drop(&peer);
    live_stop(&live);
}

static void idle_crowd_is_held_while_others_talk(void **state)
{
    static struct result result;
    struct live live;
    struct options options = {
        .frame = "rookiss",
        .max_frame_bytes = 65535,
        .clients = 100,
        .idle = E2E_IDLE,
        .frames = 100,
        .size_min = 2,
        .size_max = 4096,
        .window = 4,
        .seed = 3,
        .timeout_ms = 60000,
        .verify = true,
        .quiet = true,
    };

    (void)state;
    node_start(&live, "--gateway.frame=rookiss", NULL);
    options.connect = live.listen;
    options.pids[0] = live.gateway;
    options.pid_count = 1;
    assert_int_equal(frame_codec_parse(&options.codec, "rookiss", 65535, NULL), 0);
    load_run(&options, &result);
    if (result.error_count > 0)
        fail_msg("%llu errors, first: %s", (unsigned long long)result.error_count,
                 result.first_error);
    assert_int_equal(result.connections, options.clients + options.idle);
    assert_int_equal(result.frames, options.clients * options.frames);
    print_message("%u idle clients: the gateway has %llu bytes\n", (unsigned)options.idle,
                  (unsigned long long)result.processes[0].resident_bytes);
    live_stop(&live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_frames_of_rookiss_close_exactly_that_session),
        cmocka_unit_test(bad_frames_of_len32be_close_exactly_that_session),
        cmocka_unit_test(line_too_long_closes_exactly_that_session),
        cmocka_unit_test(half_close_gets_all_replies_then_fin),
        cmocka_unit_test(reset_in_the_middle_of_a_frame_harms_nobody),
        cmocka_unit_test(slow_reader_is_closed_and_memory_is_bounded),
        cmocka_unit_test(client_that_never_reads_is_bounded),
        cmocka_unit_test(sessions_above_the_maximum_are_refused),
        cmocka_unit_test(idle_client_is_closed_and_a_busy_one_is_not),
        cmocka_unit_test(actor_that_closes_gets_its_last_reply_out),
        cmocka_unit_test(idle_crowd_is_held_while_others_talk),
    };

    os_init();
    os_descriptor_limit_raise();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
