// Goal: an uplink dials until it is welcome, gives inputs one by one and no batch too early, and is
// refused, lost, dialled again and closed as its header says.
// Method: the fake streams; the gateway's side is the test, and so is the clock.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "frame.h"
#include "rig.h"
#include "stream_fake.h"
#include "uplink.h"

enum { SHARD = 3, FRAME_MAX = 5000, HEARD_MAX = 64 };

static struct uplink uplink;
static struct stream_listener *listener;
static struct stream *gateway; // the other end; NULL when there is none
static struct envelope_reader reader;
static struct envelope heard[HEARD_MAX]; // without their texts and bytes
static uint32_t heard_count;
static char heard_token[65], heard_app[64], heard_version[64];
static unsigned changes, accepts, gateway_ends;
static enum uplink_state changed_to;
static uint8_t bytes[UPLINK_UNSENT_MAX];

static void changed(void *owner, struct uplink *at)
{
    assert_ptr_equal(owner, &accepts);
    assert_ptr_equal(at, &uplink);
    changes++;
    changed_to = at->state;
}

static const struct uplink_config config = {.address = "ipc://node",
                                            .now_ms = rig_now_ms,
                                            .token = "c0ffee",
                                            .app = "echo",
                                            .app_version = "1.2",
                                            .worker = 6,
                                            .process_id = 4711,
                                            .changed = changed,
                                            .owner = &accepts};
static struct uplink_config with_port;

static void copy_text(char *out, struct bytes text)
{
    if (text.size > 0)
        memcpy(out, text.data, text.size);
    out[text.size] = '\0';
}

static void gateway_batch(void *owner, struct bytes body)
{
    struct envelope envelope;

    (void)owner;
    envelope_reader_start(&reader, body);
    while (envelope_next(&reader, &envelope) == ENVELOPE_READY) {
        assert_true(heard_count < HEARD_MAX);
        heard[heard_count++] = envelope;
        if (envelope.kind == ENVELOPE_HELLO) {
            copy_text(heard_token, envelope.token);
            copy_text(heard_app, envelope.text);
            copy_text(heard_version, envelope.text2);
        }
    }
    assert_null(reader.why);
    stream_next(gateway);
}

static void gateway_closed(void *owner, int error)
{
    (void)owner;
    (void)error;
    gateway = NULL;
    gateway_ends++;
}

static void on_stream(void *owner, struct stream *stream)
{
    static const struct stream_handler handler = {.batch = gateway_batch, .closed = gateway_closed};

    (void)owner;
    assert_null(gateway);
    accepts++;
    gateway = stream;
    stream_start(stream, &handler, NULL);
}

static void listener_closed(void *owner)
{
    (void)owner;
    listener = NULL;
}

static void listen_at(const char *address)
{
    assert_int_equal(
        stream_listen(&listener, rig_port, address, ENVELOPE_BATCH_MAX, on_stream, NULL), 0);
}

// What a worker's loop does after each poll, but for the turns.
static void turn(void)
{
    uplink_flush(&uplink);
    (void)uplink_tick(&uplink);
}

static int start(void **state)
{
    (void)state;
    rig_start(&(struct rig_config){.seed = 1});
    changes = accepts = gateway_ends = 0;
    heard_count = 0;
    with_port = config;
    with_port.port = rig_port;
    assert_int_equal(envelope_reader_create(&reader, ENVELOPE_FROM_WORKER), 0);
    assert_int_equal(uplink_open(&uplink, &with_port, SHARD), 0);
    rig_turn = turn;
    listen_at("ipc://node-3");
    return 0;
}

static int end(void **state)
{
    (void)state;
    uplink_close(&uplink);
    rig_settle();
    assert_int_equal(uplink.state, UPLINK_CLOSED);
    assert_int_equal(changed_to, UPLINK_CLOSED);
    if (gateway != NULL)
        stream_close(gateway);
    if (listener != NULL)
        stream_listener_close(listener, listener_closed);
    rig_end();
    envelope_reader_destroy(&reader);
    return 0;
}

static void say(const struct envelope *envelope)
{
    assert_int_equal(envelope_encode(stream_outbox(gateway), envelope), 0);
}

static void say_now(const struct envelope *envelope)
{
    say(envelope);
    stream_flush(gateway);
    rig_settle();
}

static const struct envelope welcome = {.kind = ENVELOPE_WELCOME,
                                        .version = ENVELOPE_VERSION,
                                        .shard = SHARD,
                                        .shards = 4,
                                        .frame_max = FRAME_MAX,
                                        .seed = 0x1122334455667788};

// Control envelopes are read by looking for the next input.
static void no_input(void)
{
    struct envelope input;

    assert_false(uplink_next(&uplink, &input));
    rig_settle();
}

static void input_is(enum envelope_kind kind, uint64_t sequence)
{
    struct envelope input;

    assert_true(uplink_next(&uplink, &input));
    assert_int_equal(input.kind, kind);
    assert_int_equal(input.sequence, sequence);
}

static void say_frame(uint64_t sequence)
{
    say(&(struct envelope){
        .kind = ENVELOPE_FRAME, .session = 9, .sequence = sequence, .payload = {bytes, 10}});
}

static void up(void)
{
    rig_settle();
    say_now(&welcome);
    no_input();
    assert_int_equal(uplink.state, UPLINK_UP);
    changes = 0;
}

// Lost, and dialled again when the pause is over.
static void lost_and_back(void)
{
    assert_int_equal(uplink.state, UPLINK_PAUSING);
    assert_int_equal(changed_to, UPLINK_PAUSING);
    assert_null(gateway);
    accepts = 0;
    rig_clock_ms += UPLINK_PAUSE_MS - 1;
    assert_int_equal(uplink_tick(&uplink), 1);
    rig_settle();
    assert_int_equal(accepts, 0);
    rig_clock_ms++;
    assert_int_equal(uplink_tick(&uplink), -1);
    rig_settle();
    assert_int_equal(accepts, 1);
    assert_int_equal(uplink.state, UPLINK_GREETING);
}

static void uplink_says_hello_and_is_welcome(void **state)
{
    (void)state;
    rig_settle();
    assert_int_equal(uplink.state, UPLINK_GREETING);
    assert_int_equal(heard_count, 1);
    assert_int_equal(heard[0].kind, ENVELOPE_HELLO);
    assert_int_equal(heard[0].version, ENVELOPE_VERSION);
    assert_int_equal(heard[0].worker, 6);
    assert_int_equal(heard[0].process_id, 4711);
    assert_string_equal(heard_token, "c0ffee");
    assert_string_equal(heard_app, "echo");
    assert_string_equal(heard_version, "1.2");
    assert_int_equal(changes, 0);
    say_now(&welcome);
    no_input();
    assert_int_equal(changes, 1);
    assert_int_equal(changed_to, UPLINK_UP);
    assert_int_equal(uplink.frame_max, FRAME_MAX);
    assert_true(uplink.seed == 0x1122334455667788);
    assert_false(uplink.drained);
}

static void uplink_refused_is_for_good(void **state)
{
    (void)state;
    rig_settle();
    say_now(&(struct envelope){.kind = ENVELOPE_REFUSED, .text = rig_text("too old")});
    no_input();
    assert_int_equal(uplink.state, UPLINK_CLOSED);
    assert_int_equal(changes, 2); // refused, closed
    assert_int_equal(gateway_ends, 1);
    rig_clock_ms += 100000;
    rig_settle();
    assert_int_equal(accepts, 1);
}

static void uplink_lost_one_is_dialled_again(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        up();
        stream_close(gateway);
        rig_settle();
        assert_int_equal(changes, 1);
        lost_and_back();
    }
    stream_close(gateway); // before it is welcome
    rig_settle();
    lost_and_back();
}

static void uplink_waits_for_a_gateway_that_is_not_there(void **state)
{
    (void)state;
    up();
    stream_listener_close(listener, listener_closed);
    stream_close(gateway);
    rig_settle();
    rig_clock_ms += UPLINK_PAUSE_MS;
    rig_settle();
    assert_int_equal(uplink.state, UPLINK_DIALLING);
    listen_at("ipc://node-3");
    up();
}

static void uplink_dial_that_fails_is_tried_again(void **state)
{
    struct uplink other;

    (void)state;
    stream_fake_fail(STREAM_FAKE_DIAL, -EINVAL);
    assert_int_equal(uplink_open(&other, &with_port, 1), -EINVAL);
    up();
    stream_close(gateway);
    rig_settle();
    stream_fake_fail(STREAM_FAKE_DIAL, -ENOMEM);
    rig_clock_ms += UPLINK_PAUSE_MS;
    assert_int_equal(uplink_tick(&uplink), UPLINK_PAUSE_MS);
    lost_and_back();
}

static void uplink_wrong_welcome_is_hung_up_on(void **state)
{
    struct envelope wrong[3] = {welcome, welcome, welcome};

    (void)state;
    wrong[0].version++;
    wrong[1].shard++;
    wrong[2].frame_max = FRAME_PAYLOAD_MAX + 1;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        rig_settle();
        say_now(&wrong[i]);
        no_input();
        lost_and_back();
    }
    up();
}

static void uplink_words_out_of_place_are_hung_up_on(void **state)
{
    static const enum envelope_kind before[] = {ENVELOPE_PING,  ENVELOPE_OPEN,  ENVELOPE_FRAME,
                                                ENVELOPE_CLOSE, ENVELOPE_DRAIN, ENVELOPE_RESTORE};
    static const enum envelope_kind after[] = {ENVELOPE_WELCOME, ENVELOPE_REFUSED};

    (void)state;
    rig_settle();
    for (size_t i = 0; i < ARRAY_COUNT(before); i++) {
        say_now(&(struct envelope){.kind = before[i]});
        no_input();
        lost_and_back();
    }
    for (size_t i = 0; i < ARRAY_COUNT(after); i++) {
        up();
        say_now(&(struct envelope){.kind = after[i], .shards = 1, .frame_max = 1});
        no_input();
        lost_and_back();
    }
}

static void uplink_broken_batch_is_hung_up_on_after_what_was_right(void **state)
{
    (void)state;
    up();
    say_frame(1);
    assert_int_equal(buffer_append(stream_outbox(gateway), "\xC1", 1), 0);
    stream_flush(gateway);
    rig_settle();
    input_is(ENVELOPE_FRAME, 1);
    no_input();
    lost_and_back();
}

static void uplink_ping_is_answered(void **state)
{
    (void)state;
    up();
    heard_count = 0;
    say_now(&(struct envelope){.kind = ENVELOPE_PING, .serial = 77});
    no_input();
    assert_int_equal(heard_count, 1);
    assert_int_equal(heard[0].kind, ENVELOPE_PONG);
    assert_int_equal(heard[0].serial, 77);
    assert_int_equal(uplink.state, UPLINK_UP);
}

static void uplink_leaving_is_said_and_drain_ends_it(void **state)
{
    (void)state;
    rig_settle();
    heard_count = 0;
    uplink_leave(&uplink); // it is not up: there is nothing to leave
    rig_settle();
    assert_int_equal(heard_count, 0);
    up();
    uplink_leave(&uplink);
    rig_settle();
    assert_int_equal(heard_count, 1);
    assert_int_equal(heard[0].kind, ENVELOPE_LEAVING);
    assert_int_equal(changes, 0);
    say_frame(1);
    say_now(&(struct envelope){.kind = ENVELOPE_DRAIN});
    input_is(ENVELOPE_FRAME, 1);
    assert_false(uplink.drained); // what came before it is done first
    no_input();
    assert_true(uplink.drained);
    assert_int_equal(changes, 1);
    assert_int_equal(changed_to, UPLINK_UP);
    stream_close(gateway);
    rig_settle();
    lost_and_back();
    up();
    assert_false(uplink.drained); // a new gateway needs it
}

static void uplink_restore_is_passed_on_like_an_input(void **state)
{
    struct envelope restore;

    (void)state;
    up();
    say_frame(1);
    say(&(struct envelope){.kind = ENVELOPE_RESTORE,
                           .session = 9,
                           .epoch = 4,
                           .sequence = 6,
                           .state_version = 2,
                           .payload = rig_text("what it knew")});
    say_frame(7);
    stream_flush(gateway);
    rig_settle();
    input_is(ENVELOPE_FRAME, 1);
    assert_true(uplink_next(&uplink, &restore));
    assert_int_equal(restore.kind, ENVELOPE_RESTORE);
    assert_true(restore.session == 9 && restore.epoch == 4 && restore.sequence == 6);
    assert_int_equal(restore.state_version, 2);
    assert_int_equal(restore.payload.size, 12);
    assert_memory_equal(restore.payload.data, "what it knew", 12);
    input_is(ENVELOPE_FRAME, 7);
    no_input();
    assert_int_equal(changes, 0);
}

static void uplink_gives_inputs_in_order_over_batches(void **state)
{
    struct envelope input;
    uint64_t sequence = 0;

    (void)state;
    up();
    for (uint64_t batch = 0; batch < 5; batch++) {
        for (uint64_t i = 0; i < 3; i++)
            say_frame(batch * 3 + i + 1);
        if (batch == 2)
            say(&(struct envelope){.kind = ENVELOPE_PING});
        stream_flush(gateway);
        rig_settle();
    }
    while (sequence < 15) {
        if (uplink_next(&uplink, &input))
            assert_int_equal(input.sequence, ++sequence);
        else
            rig_settle();
    }
    assert_false(uplink_next(&uplink, &input));
}

static void uplink_room_ends_at_its_limit(void **state)
{
    struct envelope commit = {.kind = ENVELOPE_COMMIT};
    size_t one;

    (void)state;
    rig_turn = NULL; // it would flush
    up();
    assert_true(uplink_drained(&uplink));
    assert_true(uplink_room(&uplink));
    assert_int_equal(envelope_encode(uplink_outbox(&uplink), &commit), 0);
    one = stream_unsent(uplink.stream);
    while (uplink_room(&uplink))
        assert_int_equal(envelope_encode(uplink_outbox(&uplink), &commit), 0);
    assert_in_range(stream_unsent(uplink.stream), UPLINK_UNSENT_MAX, UPLINK_UNSENT_MAX + 16);
    assert_false(uplink_drained(&uplink));
    heard_count = 0;
    buffer_truncate(uplink_outbox(&uplink),
                    4 + HEARD_MAX / 2 * one); // its first 4 are the stream's
    stream_fake_stall(uplink.stream, true);
    uplink_flush(&uplink);
    assert_true(uplink_room(&uplink)); // the next batch gathers
    assert_int_equal(buffer_append(uplink_outbox(&uplink), bytes, sizeof(bytes)), 0);
    assert_false(uplink_room(&uplink));
    buffer_truncate(uplink_outbox(&uplink), 4);
    assert_false(uplink_drained(&uplink));
    stream_fake_stall(uplink.stream, false);
    rig_settle();
    assert_true(uplink_drained(&uplink));
    assert_true(heard_count > 0);
}

static void uplink_closing_drops_the_batch_at_hand(void **state)
{
    (void)state;
    up();
    say_frame(1);
    say_frame(2);
    stream_flush(gateway);
    rig_settle();
    input_is(ENVELOPE_FRAME, 1);
    uplink_close(&uplink);
    uplink_close(&uplink);
    no_input();
    assert_int_equal(uplink.state, UPLINK_CLOSED);
    assert_int_equal(changes, 1);
}

static void uplink_closes_once_in_every_state(void **state)
{
    for (int in = UPLINK_DIALLING; in <= UPLINK_PAUSING; in++) {
        if (in == UPLINK_GREETING)
            rig_settle();
        if (in >= UPLINK_UP)
            up();
        if (in == UPLINK_PAUSING) {
            stream_close(gateway);
            rig_settle();
        }
        assert_int_equal(uplink.state, in);
        changes = 0;
        uplink_close(&uplink);
        rig_settle();
        assert_int_equal(uplink.state, UPLINK_CLOSED);
        assert_int_equal(changes, 1);
        uplink_close(&uplink);
        rig_settle();
        assert_int_equal(changes, 1);
        end(state);
        start(state);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(uplink_says_hello_and_is_welcome),
        CASE(uplink_refused_is_for_good),
        CASE(uplink_lost_one_is_dialled_again),
        CASE(uplink_waits_for_a_gateway_that_is_not_there),
        CASE(uplink_dial_that_fails_is_tried_again),
        CASE(uplink_wrong_welcome_is_hung_up_on),
        CASE(uplink_words_out_of_place_are_hung_up_on),
        CASE(uplink_broken_batch_is_hung_up_on_after_what_was_right),
        CASE(uplink_ping_is_answered),
        CASE(uplink_leaving_is_said_and_drain_ends_it),
        CASE(uplink_restore_is_passed_on_like_an_input),
        CASE(uplink_gives_inputs_in_order_over_batches),
        CASE(uplink_room_ends_at_its_limit),
        CASE(uplink_closing_drops_the_batch_at_hand),
        CASE(uplink_closes_once_in_every_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
