// Goal: a session takes frames however they are cut, pushes back where a limit says so, answers
// until it is told to end, and ends once with the reason, whatever happens in whichever state.
// Method: clients and sessions over the fake port; the handler, the worker's side, is the test.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "port_fake.h"
#include "rig.h"
#include "session_table.h"

enum { CAPACITY = 8, IDLE_MS = 60000, LINGER_MS = 3000, OUTBOX_MAX = 40000 };

static struct session_shared shared;
static struct session_table table;
static struct rig_client client;
static struct session *session; // the last one opened; NULL when it is released
static struct buffer frames;    // payloads taken, each with a '|' behind it
static uint32_t take_max;       // frames that the handler still takes
static unsigned asked_count, ending_count, closed_count;
static enum reason closed_reason;
static bool finish_on_ending;

static bool on_frame(struct session *at, const struct frame *frame)
{
    assert_int_equal(at->state, SESSION_OPEN);
    asked_count++;
    if (take_max == 0)
        return false;
    take_max--;
    assert_int_equal(buffer_append(&frames, frame->prefix.data, frame->prefix.size), 0);
    assert_int_equal(buffer_append(&frames, frame->body.data, frame->body.size), 0);
    assert_int_equal(buffer_append(&frames, "|", 1), 0);
    return true;
}

static void on_ending(struct session *at)
{
    assert_int_equal(at->state, SESSION_ENDING);
    assert_int_not_equal(at->reason, REASON_NONE);
    ending_count++;
    if (finish_on_ending)
        session_finish(at, REASON_SHUTDOWN); // the first reason stays
}

static void on_closed(struct session *at)
{
    assert_int_equal(at->state, SESSION_CLOSED);
    assert_true(ending_count > closed_count);
    closed_count++;
    closed_reason = at->reason;
    session_table_release(&table, at);
    if (at == session)
        session = NULL;
}

static void on_accepted(net_socket socket, const struct net_addr *peer)
{
    session = session_table_take(&table);
    assert_non_null(session);
    session_open(session, socket, peer);
}

static void turn(void)
{
    session_flush(&shared);
}

static void begin(const struct rig_config *rig, const char *codec)
{
    static const struct session_handler handler = {
        .frame = on_frame, .ending = on_ending, .closed = on_closed};

    rig_start(rig);
    rig_turn = turn;
    memset(&client, 0, sizeof(client));
    memset(&shared, 0, sizeof(shared));
    session_shared_init(&shared);
    shared.port = rig_port;
    shared.handler = &handler;
    shared.now_ms = rig_now_ms;
    shared.limits = (struct session_limits){.inbox_max_frames = 1000000,
                                            .inbox_max_bytes = 1000000,
                                            .outbox_max_bytes = OUTBOX_MAX,
                                            .idle_timeout_ms = IDLE_MS,
                                            .linger_timeout_ms = LINGER_MS};
    assert_int_equal(frame_codec_parse(&shared.codec, codec, 5000, NULL), 0);
    assert_int_equal(session_table_init(&table, &shared, 0, CAPACITY), 0);
    take_max = UINT32_MAX;
    asked_count = ending_count = closed_count = 0;
    closed_reason = REASON_NONE;
    finish_on_ending = false;
    rig_listen(on_accepted);
}

static int start(void **state)
{
    (void)state;
    begin(&(struct rig_config){.seed = 1, .socket_bytes = 4096}, "len16be");
    return 0;
}

static int end(void **state)
{
    (void)state;
    if (session != NULL)
        session_abort(session, REASON_SHUTDOWN);
    rig_settle();
    if (client.conn.port != NULL) {
        conn_abort(&client.conn);
        rig_settle();
        assert_int_equal(client.closed, 1);
        rig_client_free(&client);
    }
    rig_end();
    assert_null(session);
    assert_int_equal(ending_count, closed_count);
    assert_true(list_empty(&shared.active) && list_empty(&shared.finishing) &&
                list_empty(&shared.dirty));
    session_table_fini(&table);
    buffer_free(&frames);
    return 0;
}

static void connected(void)
{
    rig_connect(&client);
    rig_settle();
    assert_non_null(session);
    assert_int_equal(session->state, SESSION_OPEN);
}

static void send_frame(struct bytes payload)
{
    struct frame_wire wire;

    assert_int_equal(frame_encode(&shared.codec, payload, &wire), 0);
    rig_send(&client, wire.head, wire.head_size);
    rig_send(&client, wire.body.data, wire.body.size);
    rig_send(&client, wire.tail.data, wire.tail.size);
}

static void send_text(const char *text)
{
    send_frame(rig_text(text));
}

static bool took(const char *text)
{
    return buffer_size(&frames) == strlen(text) &&
           (*text == '\0' || memcmp(buffer_data(&frames), text, strlen(text)) == 0);
}

static void closed_with(enum reason reason)
{
    assert_null(session);
    assert_int_equal(closed_count, 1);
    assert_int_equal(ending_count, 1);
    assert_string_equal(reason_text(closed_reason), reason_text(reason));
    assert_int_equal(shared.counts.closed[reason], 1);
}

// Frames in.

static void session_takes_frames_however_they_are_cut(void **state)
{
    static const char *const codecs[] = {
        "rookiss", "len16be", "len32be", "len32le", "line", "length:offset=3,width=2,counts=frame"};
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz";

    for (size_t i = 0; i < ARRAY_COUNT(codecs); i++) {
        for (uint64_t seed = 1; seed <= 20; seed++) {
            struct buffer sent = {0};

            end(state);
            begin(&(struct rig_config){.seed = seed, .rough = true}, codecs[i]);
            connected();
            for (int frame = 0; frame < 50; frame++) {
                struct bytes payload = {(const uint8_t *)alphabet, 5 + rig_random(20)};

                send_frame(payload);
                assert_int_equal(buffer_append(&sent, payload.data, payload.size), 0);
                assert_int_equal(buffer_append(&sent, "|", 1), 0);
                rig_poll();
            }
            rig_settle();
            if (buffer_size(&frames) != buffer_size(&sent) ||
                memcmp(buffer_data(&frames), buffer_data(&sent), buffer_size(&sent)) != 0)
                fail_msg("%s, seed %u: not what was sent", codecs[i], (unsigned)seed);
            assert_int_equal(session->inbox_frames, 50);
            assert_int_equal(shared.counts.frames_in, 50);
            assert_int_equal(shared.counts.bytes_in, buffer_size(&sent) - 50);
            buffer_free(&sent);
        }
    }
}

static void session_raw_takes_all_bytes(void **state)
{
    end(state);
    begin(&(struct rig_config){.seed = 5, .rough = true}, "raw");
    connected();
    rig_send(&client, "hello", 5);
    rig_settle();
    assert_int_equal(shared.counts.bytes_in, 5);
    assert_int_equal(shared.counts.frames_in, session->inbox_frames);
}

static void session_refused_frame_comes_again_in_order(void **state)
{
    (void)state;
    connected();
    take_max = 1;
    for (const char *c = "a\0b\0c\0d\0"; *c != '\0'; c += 2)
        send_text(c);
    rig_settle();
    assert_true(took("a|"));
    assert_int_equal(asked_count, 2);
    send_text("e");
    rig_settle();
    assert_int_equal(asked_count, 2); // not asked until told
    take_max = 2;
    session_resume(session);
    assert_true(took("a|b|c|"));
    take_max = 100;
    session_resume(session);
    rig_settle();
    assert_true(took("a|b|c|d|e|"));
    session_resume(session); // again: nothing
    assert_true(took("a|b|c|d|e|"));
}

static void session_inbox_of_frames_pushes_back(void **state)
{
    (void)state;
    shared.limits.inbox_max_frames = 2;
    connected();
    for (int i = 0; i < 5; i++)
        send_text("x");
    rig_settle();
    assert_true(took("x|x|"));
    session_committed(session, 1);
    assert_true(took("x|x|x|"));
    session_committed(session, 1);
    session_committed(session, 1);
    rig_settle();
    assert_true(took("x|x|x|x|x|"));
    assert_int_equal(session->inbox_frames, 2);
    assert_int_equal(session->inbox_bytes, 2);
}

static void session_inbox_of_bytes_pushes_back(void **state)
{
    (void)state;
    shared.limits.inbox_max_bytes = 5;
    connected();
    send_text("abcd");
    send_text("efgh"); // begun below the limit
    send_text("i");
    rig_settle();
    assert_true(took("abcd|efgh|"));
    session_committed(session, 4);
    assert_true(took("abcd|efgh|i|"));
    session_committed(session, 4);
    assert_int_equal(session->inbox_bytes, 1);
}

static void session_pushed_back_client_stops_sending(void **state)
{
    static uint8_t payload[4000];

    (void)state;
    take_max = 0;
    connected();
    for (int i = 0; i < 30; i++)
        send_frame((struct bytes){payload, sizeof(payload)});
    rig_settle();
    assert_true(conn_unsent(&client.conn) > 25 * sizeof(payload));
    take_max = UINT32_MAX;
    session_resume(session);
    rig_settle();
    assert_int_equal(conn_unsent(&client.conn), 0);
    assert_int_equal(session->inbox_frames, 30);
}

// Replies out.

static void reply_text(const char *text)
{
    session_reply(session, rig_text(text));
}

static void session_replies_leave_framed_and_counted(void **state)
{
    (void)state;
    connected();
    reply_text("one");
    reply_text("three");
    rig_settle();
    assert_int_equal(buffer_size(&client.received), 12);
    assert_memory_equal(buffer_data(&client.received), "\0\3one\0\5three", 12);
    assert_int_equal(shared.counts.frames_out, 2);
    assert_int_equal(shared.counts.bytes_out, 8);
}

static void session_client_that_does_not_read_is_not_heard(void **state)
{
    static uint8_t payload[3000];

    (void)state;
    connected();
    conn_pause(&client.conn);
    while (conn_unsent(&session->conn) < OUTBOX_MAX / 4) {
        session_reply(session, (struct bytes){payload, sizeof(payload)});
        rig_settle();
    }
    send_text("more");
    rig_settle();
    assert_true(took(""));
    assert_int_equal(session->state, SESSION_OPEN);
    conn_resume(&client.conn);
    rig_settle();
    assert_true(took("more|"));
}

static void session_slow_client_is_closed(void **state)
{
    static uint8_t payload[3000];

    (void)state;
    connected();
    conn_pause(&client.conn);
    for (int i = 0; i < 100 && session != NULL; i++) {
        session_reply(session, (struct bytes){payload, sizeof(payload)});
        rig_settle();
    }
    closed_with(REASON_SLOW_CLIENT);
    assert_true(shared.counts.bytes_out <= OUTBOX_MAX + 64 * 1024);
}

static void session_bad_reply_closes_after_the_good_ones(void **state)
{
    static uint8_t large[5001];

    (void)state;
    connected();
    reply_text("good");
    session_reply(session, (struct bytes){large, sizeof(large)});
    reply_text("never");
    rig_settle();
    closed_with(REASON_BAD_REPLY);
    assert_int_equal(client.closed, 1);
    assert_int_equal(client.error, 0);
    assert_int_equal(buffer_size(&client.received), 6);
}

// Ends.

static void session_bad_frames_close_with_the_reason(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        enum reason reason;
    } bad[] = {
        {"\0\0", 2, REASON_FRAME_TOO_SHORT},
        {"\xFF\xFF", 2, REASON_FRAME_TOO_LONG},
    };

    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        connected();
        send_text("good");
        rig_send(&client, bad[i].bytes, bad[i].size);
        send_text("never");
        rig_settle();
        assert_true(took("good|"));
        assert_int_equal(session->state, SESSION_ENDING);
        assert_int_equal(session->reason, bad[i].reason);
        reply_text("answer"); // to what was good
        rig_settle();
        session_finish(session, session->reason);
        rig_settle();
        closed_with(bad[i].reason);
        assert_int_equal(buffer_size(&client.received), 8);
        end(state);
        start(state);
    }
}

static void session_client_that_closed_its_half_is_still_answered(void **state)
{
    (void)state;
    connected();
    take_max = 1;
    send_text("a");
    send_text("b");
    conn_half_close(&client.conn);
    rig_settle();
    assert_int_equal(session->state, SESSION_OPEN); // "b" comes before the end
    take_max = 1;
    session_resume(session);
    assert_true(took("a|b|"));
    rig_settle();
    assert_int_equal(session->state, SESSION_ENDING);
    assert_int_equal(session->reason, REASON_CLIENT_CLOSED);
    reply_text("bye");
    rig_settle();
    session_finish(session, REASON_ACTOR_CLOSED);
    reply_text("too late");
    rig_settle();
    closed_with(REASON_CLIENT_CLOSED);
    assert_int_equal(buffer_size(&client.received), 5);
    assert_int_equal(client.closed, 1);
}

static void session_half_a_frame_before_the_end_is_dropped(void **state)
{
    (void)state;
    finish_on_ending = true;
    connected();
    rig_send(&client, "\0\5ab", 4);
    conn_half_close(&client.conn);
    rig_settle();
    assert_true(took(""));
    closed_with(REASON_CLIENT_CLOSED);
}

static void session_that_was_ended_takes_no_more(void **state)
{
    (void)state;
    connected();
    session_end(session, REASON_ACTOR_CLOSED);
    session_end(session, REASON_IDLE);
    send_text("a");
    rig_settle();
    assert_true(took(""));
    session_finish(session, REASON_IDLE);
    session_finish(session, REASON_IDLE);
    rig_settle();
    closed_with(REASON_ACTOR_CLOSED);
}

static void session_finish_flushes_what_waits(void **state)
{
    static uint8_t payload[4500];

    (void)state;
    connected();
    conn_pause(&client.conn);
    for (int i = 0; i < 6; i++)
        session_reply(session, (struct bytes){payload, sizeof(payload)});
    session_finish(session, REASON_SHUTDOWN);
    rig_settle();
    conn_resume(&client.conn);
    rig_settle();
    closed_with(REASON_SHUTDOWN);
    assert_int_equal(buffer_size(&client.received), 6 * (sizeof(payload) + 2));
}

static void session_reset_is_a_lost_client(void **state)
{
    (void)state;
    connected();
    fake_peer_reset(session->conn.socket);
    rig_settle();
    closed_with(REASON_CLIENT_LOST);
}

// Every pair and triple of what may happen, with and without time between.
enum event {
    END,
    FINISH,
    ABORT,
    REPLY,
    COMMIT_ALL,
    RESUME,
    PEER_FRAME,
    PEER_FIN,
    PEER_RST,
    EVENTS
};

static void happen(enum event event)
{
    if (event == PEER_FRAME && client.conn.state == CONN_OPEN)
        send_text("frame");
    if (event == PEER_FIN)
        conn_half_close(&client.conn);
    if (event == PEER_RST)
        conn_abort(&client.conn);
    if (session == NULL)
        return;
    if (event == END)
        session_end(session, REASON_IDLE);
    if (event == FINISH)
        session_finish(session, REASON_SHUTDOWN);
    if (event == ABORT)
        session_abort(session, REASON_SLOW_CLIENT);
    if (event == REPLY)
        reply_text("reply");
    while (event == COMMIT_ALL && session->inbox_frames > 0)
        session_committed(session, session->inbox_frames == 1 ? session->inbox_bytes : 0);
    if (event == RESUME) {
        take_max = UINT32_MAX;
        session_resume(session);
    }
}

static void pass(unsigned time)
{
    if (time == 1)
        rig_poll();
    else if (time == 2)
        rig_settle();
}

static void session_any_events_close_it_once(void **state)
{
    unsigned number = 0;

    for (int first = 0; first < EVENTS; first++) {
        for (int second = 0; second < EVENTS; second++) {
            for (int third = 0; third < EVENTS; third++) {
                end(state);
                begin(&(struct rig_config){.seed = ++number, .rough = true, .socket_bytes = 4096},
                      "len16be");
                connected();
                finish_on_ending = number % 7 == 0;
                take_max = number % 5 == 0 ? 0 : UINT32_MAX;
                send_text("before");
                pass(number % 3);
                happen((enum event)first);
                pass(number / 3 % 3);
                happen((enum event)second);
                pass(number / 9 % 3);
                happen((enum event)third);
            }
        }
    }
}

// Time.

static void session_idle_ones_are_ended(void **state)
{
    (void)state;
    finish_on_ending = true;
    assert_int_equal(session_sweep(&shared), -1);
    connected();
    assert_int_equal(session_sweep(&shared), IDLE_MS);
    rig_clock_ms += IDLE_MS - 1;
    assert_int_equal(session_sweep(&shared), 1);
    send_text("a");
    rig_settle();
    session_committed(session, 1);
    assert_int_equal(session_sweep(&shared), IDLE_MS);
    rig_clock_ms += IDLE_MS;
    assert_int_equal(session_sweep(&shared), LINGER_MS);
    rig_settle();
    closed_with(REASON_IDLE);
}

static void session_that_waits_for_an_answer_is_not_idle(void **state)
{
    (void)state;
    connected();
    send_text("a");
    rig_settle();
    rig_clock_ms += IDLE_MS * 3;
    assert_int_equal(session_sweep(&shared), IDLE_MS);
    assert_int_equal(session->state, SESSION_OPEN);
    session_committed(session, 1);
    rig_clock_ms += IDLE_MS - 1;
    assert_int_equal(session_sweep(&shared), 1);
    take_max = 0; // nobody takes the next one
    send_text("b");
    rig_settle();
    rig_clock_ms += IDLE_MS * 3;
    assert_int_equal(session_sweep(&shared), IDLE_MS);
    assert_int_equal(session->state, SESSION_OPEN);
}

static void session_that_does_not_read_is_idle(void **state)
{
    static uint8_t payload[3000];

    (void)state;
    connected();
    conn_pause(&client.conn);
    while (conn_unsent(&session->conn) < OUTBOX_MAX / 4) {
        session_reply(session, (struct bytes){payload, sizeof(payload)});
        rig_settle();
    }
    send_text("more");
    rig_settle();
    rig_clock_ms += IDLE_MS;
    session_sweep(&shared);
    assert_int_equal(session->reason, REASON_IDLE);
}

static void session_idle_time_out_of_zero_is_never(void **state)
{
    (void)state;
    shared.limits.idle_timeout_ms = 0;
    connected();
    rig_clock_ms += 1000000000000;
    assert_int_equal(session_sweep(&shared), -1);
    assert_int_equal(session->state, SESSION_OPEN);
}

static void session_lingering_ends_hard(void **state)
{
    static uint8_t payload[4500];

    (void)state;
    connected();
    conn_pause(&client.conn);
    for (int i = 0; i < 4; i++)
        session_reply(session, (struct bytes){payload, sizeof(payload)});
    session_finish(session, REASON_SHUTDOWN);
    rig_settle();
    assert_int_equal(session->state, SESSION_FINISHING);
    rig_clock_ms += LINGER_MS - 1;
    assert_int_equal(session_sweep(&shared), 1);
    rig_clock_ms++;
    assert_int_equal(session_sweep(&shared), -1);
    assert_int_equal(session_sweep(&shared), -1);
    rig_settle();
    closed_with(REASON_SHUTDOWN);
}

static void session_sweeps_the_longest_silent_first(void **state)
{
    static struct rig_client clients[CAPACITY];
    struct session *sessions[CAPACITY];

    (void)state;
    finish_on_ending = true;
    for (int i = 0; i < CAPACITY; i++) {
        rig_connect(&clients[i]);
        rig_settle();
        sessions[i] = session;
        rig_clock_ms += 100;
    }
    rig_send(&clients[0], "\0", 1);
    rig_settle();
    rig_clock_ms += IDLE_MS - 100 * CAPACITY + 100; // the second is due now
    assert_int_equal(session_sweep(&shared), 100);
    for (int i = 0; i < CAPACITY; i++)
        assert_int_equal(sessions[i]->reason, i == 1 ? REASON_IDLE : REASON_NONE);
    for (int i = 0; i < CAPACITY; i++)
        session_abort(sessions[i], REASON_SHUTDOWN);
    rig_settle();
    assert_int_equal(closed_count, CAPACITY);
    for (int i = 0; i < CAPACITY; i++) {
        conn_abort(&clients[i].conn);
        rig_settle();
        rig_client_free(&clients[i]);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(session_takes_frames_however_they_are_cut),
        CASE(session_raw_takes_all_bytes),
        CASE(session_refused_frame_comes_again_in_order),
        CASE(session_inbox_of_frames_pushes_back),
        CASE(session_inbox_of_bytes_pushes_back),
        CASE(session_pushed_back_client_stops_sending),
        CASE(session_replies_leave_framed_and_counted),
        CASE(session_client_that_does_not_read_is_not_heard),
        CASE(session_slow_client_is_closed),
        CASE(session_bad_reply_closes_after_the_good_ones),
        CASE(session_bad_frames_close_with_the_reason),
        CASE(session_client_that_closed_its_half_is_still_answered),
        CASE(session_half_a_frame_before_the_end_is_dropped),
        CASE(session_that_was_ended_takes_no_more),
        CASE(session_finish_flushes_what_waits),
        CASE(session_reset_is_a_lost_client),
        CASE(session_any_events_close_it_once),
        CASE(session_idle_ones_are_ended),
        CASE(session_that_waits_for_an_answer_is_not_idle),
        CASE(session_that_does_not_read_is_idle),
        CASE(session_idle_time_out_of_zero_is_never),
        CASE(session_lingering_ends_hard),
        CASE(session_sweeps_the_longest_silent_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
