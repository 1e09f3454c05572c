// Goal: what a turn gathers leaves whole and in order behind what waits, within its limits.
// Method: pure; the commit is read back with the envelope reader.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include <troupe/actor.h>

#include "turn.h"

enum { REPLY_MAX = 100000, SEED = 7 };

static struct troupe_turn turn;
static struct buffer outbox;
static struct envelope_reader reader;
static uint8_t bytes[TURN_BYTES_MAX];

static const struct envelope input = {
    .kind = ENVELOPE_FRAME, .session = 0x0500000100000007, .epoch = 3, .sequence = 9};

static int start(void **state)
{
    (void)state;
    turn_begin(&turn, &input, REPLY_MAX, SEED);
    return envelope_reader_create(&reader, ENVELOPE_FROM_WORKER);
}

static int end(void **state)
{
    (void)state;
    turn_fini(&turn);
    memset(&turn, 0, sizeof(turn));
    buffer_free(&outbox);
    envelope_reader_destroy(&reader);
    return 0;
}

// Commits, and reads the commit back, behind `skip` bytes.
static void commit(uint32_t effects, size_t skip)
{
    struct envelope envelope;

    assert_int_equal(turn_commit(&turn, &outbox), 0);
    envelope_reader_start(&reader,
                          (struct bytes){buffer_data(&outbox) + skip, buffer_size(&outbox) - skip});
    assert_int_equal(envelope_next(&reader, &envelope), ENVELOPE_READY);
    assert_int_equal(envelope.kind, ENVELOPE_COMMIT);
    assert_int_equal(envelope.session, input.session);
    assert_int_equal(envelope.epoch, input.epoch);
    assert_int_equal(envelope.sequence, input.sequence);
    assert_int_equal(envelope.effects, effects);
}

static void replied(const char *text)
{
    struct envelope envelope;

    assert_int_equal(envelope_next(&reader, &envelope), ENVELOPE_READY);
    assert_int_equal(envelope.kind, ENVELOPE_REPLY);
    assert_int_equal(envelope.payload.size, strlen(text));
    if (*text != '\0')
        assert_memory_equal(envelope.payload.data, text, strlen(text));
}

static void closed(void)
{
    struct envelope envelope;

    assert_int_equal(envelope_next(&reader, &envelope), ENVELOPE_READY);
    assert_int_equal(envelope.kind, ENVELOPE_END);
}

static void no_more(void)
{
    struct envelope envelope;

    assert_int_equal(envelope_next(&reader, &envelope), ENVELOPE_END_OF_BATCH);
}

static void turn_without_effects_is_committed(void **state)
{
    (void)state;
    commit(0, 0);
    no_more();
}

static void turn_effects_leave_in_order_behind_what_waits(void **state)
{
    (void)state;
    assert_int_equal(buffer_append(&outbox, "head", 4), 0);
    assert_int_equal(troupe_reply(&turn, "one", 3), 0);
    assert_int_equal(troupe_reply(&turn, NULL, 0), 0);
    assert_int_equal(troupe_close(&turn), 0);
    assert_int_equal(troupe_reply(&turn, "four", 4), 0);
    assert_int_equal(buffer_size(&outbox), 4); // not before the commit
    commit(4, 4);
    assert_memory_equal(buffer_data(&outbox), "head", 4);
    replied("one");
    replied("");
    closed();
    replied("four");
    no_more();
}

static void turn_begin_forgets_the_last_one(void **state)
{
    (void)state;
    assert_int_equal(troupe_reply(&turn, "old", 3), 0);
    turn_begin(&turn, &input, REPLY_MAX, SEED);
    assert_int_equal(troupe_reply(&turn, "new", 3), 0);
    commit(1, 0);
    replied("new");
    no_more();
}

static void turn_tells_its_session_and_largest_frame(void **state)
{
    (void)state;
    assert_int_equal(troupe_session(&turn), input.session);
    assert_int_equal(troupe_frame_max(&turn), REPLY_MAX);
}

static void turn_too_large_reply_is_refused_alone(void **state)
{
    (void)state;
    assert_int_equal(troupe_reply(&turn, bytes, REPLY_MAX + 1), -EMSGSIZE);
    assert_int_equal(troupe_reply(&turn, bytes, SIZE_MAX), -EMSGSIZE);
    assert_int_equal(troupe_reply(&turn, "ok", 2), 0);
    commit(1, 0);
    replied("ok");
    no_more();
}

static void turn_largest_reply_is_taken(void **state)
{
    struct envelope envelope;

    (void)state;
    assert_int_equal(troupe_reply(&turn, bytes, REPLY_MAX), 0);
    commit(1, 0);
    assert_int_equal(envelope_next(&reader, &envelope), ENVELOPE_READY);
    assert_int_equal(envelope.payload.size, REPLY_MAX);
}

static void turn_effects_are_counted(void **state)
{
    (void)state;
    // One of a commit's is the state's.
    for (int i = 0; i < ENVELOPE_EFFECTS_MAX - 2; i++)
        assert_int_equal(troupe_reply(&turn, "x", 1), 0);
    assert_int_equal(troupe_close(&turn), 0);
    assert_int_equal(troupe_reply(&turn, "x", 1), -ENOBUFS);
    assert_int_equal(troupe_close(&turn), -ENOBUFS);
    commit(ENVELOPE_EFFECTS_MAX - 1, 0);
    for (int i = 0; i < ENVELOPE_EFFECTS_MAX - 2; i++)
        replied("x");
    closed();
    no_more();
}

static void turn_bytes_are_bounded_but_for_the_last_reply(void **state)
{
    size_t sum = 0;
    uint32_t count = 0;

    (void)state;
    turn_begin(&turn, &input, TURN_BYTES_MAX, SEED);
    for (; sum < TURN_BYTES_MAX; sum += REPLY_MAX, count++)
        assert_int_equal(troupe_reply(&turn, bytes, REPLY_MAX), 0);
    assert_int_equal(troupe_reply(&turn, "x", 1), -ENOBUFS);
    assert_int_equal(troupe_close(&turn), -ENOBUFS);
    commit(count, 0);
    turn_begin(&turn, &input, TURN_BYTES_MAX, SEED);
    assert_int_equal(troupe_reply(&turn, bytes, TURN_BYTES_MAX), 0);
    assert_int_equal(troupe_reply(&turn, "x", 1), -ENOBUFS);
}

static void turn_large_memory_is_given_back(void **state)
{
    (void)state;
    turn_begin(&turn, &input, TURN_BYTES_MAX, SEED);
    assert_int_equal(troupe_reply(&turn, bytes, TURN_BYTES_MAX), 0);
    turn_begin(&turn, &input, TURN_BYTES_MAX, SEED);
    assert_int_equal(turn.effects.capacity, 0);
    assert_int_equal(troupe_reply(&turn, bytes, 1000), 0);
    turn_begin(&turn, &input, TURN_BYTES_MAX, SEED);
    assert_true(turn.effects.capacity > 0); // but a little is kept
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(turn_without_effects_is_committed),
        CASE(turn_effects_leave_in_order_behind_what_waits),
        CASE(turn_begin_forgets_the_last_one),
        CASE(turn_tells_its_session_and_largest_frame),
        CASE(turn_too_large_reply_is_refused_alone),
        CASE(turn_largest_reply_is_taken),
        CASE(turn_effects_are_counted),
        CASE(turn_bytes_are_bounded_but_for_the_last_reply),
        CASE(turn_large_memory_is_given_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
