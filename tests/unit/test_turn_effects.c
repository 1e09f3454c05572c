// Goal: what a callback may ask for is encoded as said, in order; what it may not is an error that
// leaves the turn as it was. Method: a turn in memory, whose commit is read as a gateway reads it.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include <troupe/actor.h>

#include "turn.h"

enum { FRAME_MAX = 100 * 1000, EFFECTS_MAX = ENVELOPE_EFFECTS_MAX - 1 };

static struct troupe_turn turn;
static struct buffer outbox;
static struct envelope_reader reader;
static uint8_t bytes[FRAME_MAX + 1];

static int start(void **state)
{
    (void)state;
    turn = (struct troupe_turn){0};
    outbox = (struct buffer){0};
    turn_begin(
        &turn,
        &(struct envelope){
            .kind = ENVELOPE_FRAME, .session = 77, .epoch = 3, .sequence = 9, .now_ms = 1234},
        FRAME_MAX, 1);
    return envelope_reader_create(&reader, ENVELOPE_FROM_WORKER);
}

static int end(void **state)
{
    (void)state;
    envelope_reader_destroy(&reader);
    turn_fini(&turn);
    buffer_free(&outbox);
    return 0;
}

// Commits, and reads the commit itself. Returns how many effects follow.
static uint32_t commit(void)
{
    struct envelope envelope;

    assert_int_equal(turn_commit(&turn, &outbox), 0);
    envelope_reader_start(&reader, (struct bytes){buffer_data(&outbox), buffer_size(&outbox)});
    assert_int_equal(envelope_next(&reader, &envelope), ENVELOPE_READY);
    assert_int_equal(envelope.kind, ENVELOPE_COMMIT);
    assert_int_equal(envelope.session, 77);
    assert_int_equal(envelope.epoch, 3);
    assert_int_equal(envelope.sequence, 9);
    return envelope.effects;
}

static bool slice_is(struct bytes slice, const void *data, size_t size)
{
    return slice.size == size && (size == 0 || memcmp(slice.data, data, size) == 0);
}

static void expect(const struct envelope *wanted)
{
    struct envelope got;

    assert_int_equal(envelope_next(&reader, &got), ENVELOPE_READY);
    assert_int_equal(got.kind, wanted->kind);
    assert_int_equal(got.session, wanted->session);
    assert_int_equal(got.tag, wanted->tag);
    assert_int_equal(got.after_ms, wanted->after_ms);
    assert_int_equal(got.every_ms, wanted->every_ms);
    assert_true(slice_is(got.text, wanted->text.data, wanted->text.size));
    assert_true(slice_is(got.payload, wanted->payload.data, wanted->payload.size));
}

#define TEXT(literal)                                                                              \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }

static void turn_effects_are_encoded_in_order(void **state)
{
    struct envelope none;

    (void)state;
    assert_int_equal(troupe_join(&turn, "room"), 0);
    assert_int_equal(troupe_publish(&turn, "room", troupe_session(&turn), "hi", 2), 0);
    assert_int_equal(troupe_publish(&turn, "all", 0, "", 0), 0);
    assert_int_equal(troupe_send(&turn, UINT64_MAX, "you", 3), 0);
    assert_int_equal(troupe_reply(&turn, "me", 2), 0);
    assert_int_equal(troupe_after(&turn, UINT64_MAX, UINT32_MAX, 0), 0);
    assert_int_equal(troupe_after(&turn, 0, 0, UINT32_MAX), 0);
    assert_int_equal(troupe_cancel(&turn, 5), 0);
    assert_int_equal(troupe_leave(&turn, "room"), 0);
    assert_int_equal(troupe_close(&turn), 0);
    assert_int_equal(commit(), 10);
    expect(&(struct envelope){.kind = ENVELOPE_JOIN, .text = TEXT("room")});
    expect(&(struct envelope){
        .kind = ENVELOPE_PUBLISH, .text = TEXT("room"), .session = 77, .payload = TEXT("hi")});
    expect(&(struct envelope){.kind = ENVELOPE_PUBLISH, .text = TEXT("all")});
    expect(
        &(struct envelope){.kind = ENVELOPE_SEND, .session = UINT64_MAX, .payload = TEXT("you")});
    expect(&(struct envelope){.kind = ENVELOPE_REPLY, .payload = TEXT("me")});
    expect(&(struct envelope){.kind = ENVELOPE_TIMER, .tag = UINT64_MAX, .after_ms = UINT32_MAX});
    expect(&(struct envelope){.kind = ENVELOPE_TIMER, .every_ms = UINT32_MAX});
    expect(&(struct envelope){.kind = ENVELOPE_CANCEL, .tag = 5});
    expect(&(struct envelope){.kind = ENVELOPE_LEAVE, .text = TEXT("room")});
    expect(&(struct envelope){.kind = ENVELOPE_END});
    assert_int_equal(envelope_next(&reader, &none), ENVELOPE_END_OF_BATCH);
}

static void turn_group_that_is_no_name_is_refused(void **state)
{
    char name[ENVELOPE_GROUP_MAX + 2];

    (void)state;
    memset(name, 'n', sizeof name);
    name[ENVELOPE_GROUP_MAX + 1] = '\0';
    assert_int_equal(troupe_join(&turn, name), -EINVAL);
    assert_int_equal(troupe_leave(&turn, name), -EINVAL);
    assert_int_equal(troupe_publish(&turn, name, 0, "x", 1), -EINVAL);
    assert_int_equal(troupe_join(&turn, ""), -EINVAL);
    assert_int_equal(troupe_leave(&turn, ""), -EINVAL);
    assert_int_equal(troupe_publish(&turn, "", 0, "x", 1), -EINVAL);
    assert_int_equal(troupe_join(&turn, "two\nlines"), -EINVAL);
    assert_int_equal(troupe_join(&turn, "\xff"), -EINVAL);
    assert_int_equal(turn.effect_count, 0);
    assert_int_equal(buffer_size(&turn.effects), 0);
    name[ENVELOPE_GROUP_MAX] = '\0';
    assert_int_equal(troupe_join(&turn, name), 0);
    assert_int_equal(troupe_publish(&turn, name, 0, "x", 1), 0);
    assert_int_equal(troupe_join(&turn, "caf\xc3\xa9"), 0);
    assert_int_equal(commit(), 3);
}

static void turn_frame_for_others_has_the_limit_of_a_reply(void **state)
{
    (void)state;
    assert_int_equal(troupe_send(&turn, 1, bytes, FRAME_MAX + 1), -EMSGSIZE);
    assert_int_equal(troupe_publish(&turn, "g", 0, bytes, FRAME_MAX + 1), -EMSGSIZE);
    assert_int_equal(troupe_publish(&turn, "g", 0, bytes, SIZE_MAX), -EMSGSIZE);
    assert_int_equal(turn.effect_count, 0);
    assert_int_equal(troupe_send(&turn, 1, bytes, FRAME_MAX), 0);
    assert_int_equal(troupe_publish(&turn, "g", 0, bytes, FRAME_MAX), 0);
    assert_int_equal(commit(), 2);
}

static void turn_that_is_full_refuses_each_effect_but_its_state(void **state)
{
    uint32_t count = 0;

    (void)state;
    while (troupe_after(&turn, count, 1, 1) == 0)
        count++;
    assert_int_equal(count, EFFECTS_MAX);
    assert_int_equal(troupe_reply(&turn, "x", 1), -ENOBUFS);
    assert_int_equal(troupe_send(&turn, 1, "x", 1), -ENOBUFS);
    assert_int_equal(troupe_publish(&turn, "g", 0, "x", 1), -ENOBUFS);
    assert_int_equal(troupe_join(&turn, "g"), -ENOBUFS);
    assert_int_equal(troupe_leave(&turn, "g"), -ENOBUFS);
    assert_int_equal(troupe_cancel(&turn, 1), -ENOBUFS);
    assert_int_equal(troupe_close(&turn), -ENOBUFS);
    assert_int_equal(turn_state(&turn, 1, (struct bytes)TEXT("state")), 0);
    assert_int_equal(commit(), ENVELOPE_EFFECTS_MAX);
}

static void turn_of_many_bytes_ends_with_the_one_that_passes_the_limit(void **state)
{
    uint32_t count = 0;

    (void)state;
    while (troupe_publish(&turn, "g", 0, bytes, FRAME_MAX) == 0)
        count++;
    assert_int_equal(count, TURN_BYTES_MAX / FRAME_MAX + 1);
    assert_int_equal(troupe_join(&turn, "g"), -ENOBUFS);
    assert_int_equal(commit(), count);
    turn_begin(&turn, &(struct envelope){.session = 78}, FRAME_MAX, 1); // the next one is empty
    assert_int_equal(turn.effect_count, 0);
    assert_int_equal(troupe_join(&turn, "g"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(turn_effects_are_encoded_in_order, start, end),
        cmocka_unit_test_setup_teardown(turn_group_that_is_no_name_is_refused, start, end),
        cmocka_unit_test_setup_teardown(turn_frame_for_others_has_the_limit_of_a_reply, start, end),
        cmocka_unit_test_setup_teardown(turn_that_is_full_refuses_each_effect_but_its_state, start,
                                        end),
        cmocka_unit_test_setup_teardown(turn_of_many_bytes_ends_with_the_one_that_passes_the_limit,
                                        start, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
