// Goal: what a turn knows (time, session, number, random numbers) is the input's alone, so that
// handling it again in another worker gives the same; the state always has room in the commit.
// Method: turns of inputs that differ in one thing; numbers reckoned apart from the code; commits
// read back by the gateway's reader.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include <troupe/actor.h>

#include "turn.h"

enum { FRAME_MAX = 100, CALLBACK_EFFECTS = ENVELOPE_EFFECTS_MAX - 1, NUMBERS = 100 };

static const struct envelope input = {.kind = ENVELOPE_FRAME,
                                      .session = 0x100000005,
                                      .epoch = 3,
                                      .sequence = 2,
                                      .now_ms = 1767225600123};
static const uint64_t input_seed = 0x0123456789ABCDEF;

static void begin(struct troupe_turn *turn, const struct envelope *from)
{
    turn_begin(turn, from, FRAME_MAX, input_seed);
}

// Reads the outbox as the gateway does: a commit of the input and its effects.
static struct envelope_reader reader;

static void expect_commit(const struct buffer *outbox, uint32_t effects)
{
    struct envelope commit;

    envelope_reader_start(&reader, (struct bytes){buffer_data(outbox), buffer_size(outbox)});
    assert_int_equal(envelope_next(&reader, &commit), ENVELOPE_READY);
    assert_int_equal(commit.kind, ENVELOPE_COMMIT);
    assert_true(commit.session == input.session);
    assert_int_equal(commit.epoch, input.epoch);
    assert_int_equal(commit.sequence, input.sequence);
    assert_int_equal(commit.effects, effects);
}

static struct envelope next_effect(enum envelope_kind kind)
{
    struct envelope effect;

    assert_int_equal(envelope_next(&reader, &effect), ENVELOPE_READY);
    assert_int_equal(effect.kind, kind);
    return effect;
}

static void expect_end(void)
{
    struct envelope none;

    assert_int_equal(envelope_next(&reader, &none), ENVELOPE_END_OF_BATCH);
}

static int setup(void **unused)
{
    (void)unused;
    return envelope_reader_create(&reader, ENVELOPE_FROM_WORKER);
}

static int teardown(void **unused)
{
    (void)unused;
    envelope_reader_destroy(&reader);
    return 0;
}

static void turn_knows_what_its_input_says(void **unused)
{
    struct troupe_turn turn = {0};
    struct envelope largest = {.kind = ENVELOPE_FRAME,
                               .session = UINT64_MAX,
                               .epoch = UINT32_MAX,
                               .sequence = UINT64_MAX,
                               .now_ms = UINT64_MAX};

    (void)unused;
    begin(&turn, &input);
    assert_true(troupe_now_ms(&turn) == input.now_ms);
    assert_true(troupe_session(&turn) == input.session);
    assert_true(troupe_turn_number(&turn) == input.sequence);
    assert_int_equal(troupe_frame_max(&turn), FRAME_MAX);
    assert_int_equal(troupe_reply(&turn, "x", 1), 0);
    assert_true(troupe_now_ms(&turn) == input.now_ms);
    begin(&turn, &largest);
    assert_true(troupe_now_ms(&turn) == UINT64_MAX);
    assert_true(troupe_session(&turn) == UINT64_MAX);
    assert_true(troupe_turn_number(&turn) == UINT64_MAX);
    turn_fini(&turn);
}

// Actors of different versions of this library may follow each other: the numbers must not change.
static void turn_random_numbers_are_these(void **unused)
{
    static const struct {
        uint64_t seed, session, sequence;
        uint64_t numbers[3];
    } rows[] = {
        {0, 0, 1, {0x08B4FDA8C892B50E, 0xE89E8DC54072EBD9, 0x26A90E7C423166A6}},
        {0x0123456789ABCDEF,
         0x100000005,
         2,
         {0x0E6E187827847EBC, 0xA04614856B8682E0, 0x6C8353602EFDBB1E}},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct troupe_turn turn = {0};
        struct envelope from = {.session = rows[i].session, .sequence = rows[i].sequence};

        turn_begin(&turn, &from, FRAME_MAX, rows[i].seed);
        for (int k = 0; k < 3; k++)
            assert_true(troupe_random(&turn) == rows[i].numbers[k]);
        turn_fini(&turn);
    }
}

static void turn_random_is_the_same_again(void **unused)
{
    struct troupe_turn first = {0}, again = {0};
    struct envelope replay = input;

    (void)unused;
    replay.epoch = 9;                                               // another worker
    begin(&again, &(struct envelope){.session = 1, .sequence = 1}); // which did other things before
    (void)troupe_random(&again);
    assert_int_equal(troupe_reply(&again, "x", 1), 0);
    begin(&first, &input);
    begin(&again, &replay);
    for (int i = 0; i < NUMBERS; i++) {
        if (i % 7 == 0)
            assert_int_equal(troupe_reply(&first, "x", 1), 0);
        assert_true(troupe_random(&first) == troupe_random(&again));
    }
    turn_fini(&first);
    turn_fini(&again);
}

static int compare_numbers(const void *a, const void *b)
{
    const uint64_t *left = a;
    const uint64_t *right = b;

    return (*left > *right) - (*left < *right);
}

static void turn_random_differs_with_input_session_and_seed(void **unused)
{
    static uint64_t all[3 * NUMBERS * 4];
    struct troupe_turn turn = {0};
    size_t count = 0;

    (void)unused;
    for (uint64_t i = 0; i < 3 * NUMBERS; i++) {
        uint64_t step = i / 3 + 1;
        struct envelope from = {.session = 5 + (i % 3 == 0 ? step : 0),
                                .sequence = 5 + (i % 3 == 1 ? step : 0)};

        turn_begin(&turn, &from, FRAME_MAX, input_seed + (i % 3 == 2 ? step << 20 : 0));
        for (int k = 0; k < 4; k++)
            all[count++] = troupe_random(&turn);
    }
    qsort(all, count, sizeof(all[0]), compare_numbers);
    for (size_t i = 1; i < count; i++)
        assert_true(all[i] != all[i - 1]);
    turn_fini(&turn);
}

static void turn_state_follows_the_effects(void **unused)
{
    struct troupe_turn turn = {0};
    struct buffer outbox = {0};
    struct envelope effect;

    (void)unused;
    begin(&turn, &input);
    assert_int_equal(troupe_reply(&turn, "hi", 2), 0);
    assert_int_equal(troupe_close(&turn), 0);
    assert_int_equal(turn_state(&turn, 7, (struct bytes){(const uint8_t *)"a\0b", 3}), 0);
    assert_int_equal(turn_commit(&turn, &outbox), 0);
    expect_commit(&outbox, 3);
    effect = next_effect(ENVELOPE_REPLY);
    assert_int_equal(effect.payload.size, 2);
    (void)next_effect(ENVELOPE_END);
    effect = next_effect(ENVELOPE_STATE);
    assert_int_equal(effect.state_version, 7);
    assert_int_equal(effect.payload.size, 3);
    assert_memory_equal(effect.payload.data, "a\0b", 3);
    expect_end();
    // The next turn begins with nothing.
    buffer_truncate(&outbox, 0);
    begin(&turn, &input);
    assert_int_equal(turn_commit(&turn, &outbox), 0);
    expect_commit(&outbox, 0);
    expect_end();
    buffer_free(&outbox);
    turn_fini(&turn);
}

static void turn_state_may_be_empty(void **unused)
{
    struct troupe_turn turn = {0};
    struct buffer outbox = {0};

    (void)unused;
    begin(&turn, &input);
    assert_int_equal(turn_state(&turn, 0, (struct bytes){0}), 0);
    assert_int_equal(turn_commit(&turn, &outbox), 0);
    expect_commit(&outbox, 1);
    assert_int_equal(next_effect(ENVELOPE_STATE).payload.size, 0);
    expect_end();
    buffer_free(&outbox);
    turn_fini(&turn);
}

static void turn_state_has_room_behind_the_most_effects(void **unused)
{
    struct troupe_turn turn = {0};
    struct buffer outbox = {0};

    (void)unused;
    begin(&turn, &input);
    for (int i = 0; i < CALLBACK_EFFECTS; i++)
        assert_int_equal(troupe_reply(&turn, "x", 1), 0);
    assert_int_equal(troupe_reply(&turn, "x", 1), -ENOBUFS);
    assert_int_equal(troupe_close(&turn), -ENOBUFS);
    assert_int_equal(turn_state(&turn, 1, (struct bytes){(const uint8_t *)"s", 1}), 0);
    assert_int_equal(turn_commit(&turn, &outbox), 0);
    expect_commit(&outbox, ENVELOPE_EFFECTS_MAX);
    for (int i = 0; i < CALLBACK_EFFECTS; i++)
        (void)next_effect(ENVELOPE_REPLY);
    (void)next_effect(ENVELOPE_STATE);
    expect_end();
    buffer_free(&outbox);
    turn_fini(&turn);
}

static void turn_state_has_room_behind_the_most_bytes(void **unused)
{
    const uint32_t frame_max = TURN_BYTES_MAX / 4;
    uint8_t *frame = calloc(1, frame_max);
    struct troupe_turn turn = {0};
    struct buffer outbox = {0};
    uint32_t replies = 0;

    (void)unused;
    assert_non_null(frame);
    turn_begin(&turn, &input, frame_max, input_seed);
    while (troupe_reply(&turn, frame, frame_max) == 0)
        replies++;
    assert_int_equal(replies, 4);
    assert_int_equal(troupe_reply(&turn, frame, 0), -ENOBUFS);
    assert_int_equal(turn_state(&turn, 1, (struct bytes){frame, frame_max}), 0);
    assert_int_equal(turn_commit(&turn, &outbox), 0);
    expect_commit(&outbox, replies + 1);
    for (uint32_t i = 0; i < replies; i++)
        (void)next_effect(ENVELOPE_REPLY);
    assert_int_equal(next_effect(ENVELOPE_STATE).payload.size, frame_max);
    expect_end();
    buffer_free(&outbox);
    turn_fini(&turn);
    free(frame);
}

static void turn_state_above_any_limit_is_refused(void **unused)
{
    uint8_t *largest = calloc(1, TURN_STATE_MAX + 1);
    struct troupe_turn turn = {0};
    struct buffer outbox = {0};

    (void)unused;
    assert_non_null(largest);
    begin(&turn, &input);
    assert_int_equal(turn_state(&turn, 1, (struct bytes){largest, TURN_STATE_MAX + 1}), -EMSGSIZE);
    assert_int_equal(turn_state(&turn, 1, (struct bytes){largest, TURN_STATE_MAX}), 0);
    assert_int_equal(turn_commit(&turn, &outbox), 0);
    expect_commit(&outbox, 1);
    assert_int_equal(next_effect(ENVELOPE_STATE).payload.size, TURN_STATE_MAX);
    expect_end();
    buffer_free(&outbox);
    turn_fini(&turn);
    free(largest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turn_knows_what_its_input_says),
        cmocka_unit_test(turn_random_numbers_are_these),
        cmocka_unit_test(turn_random_is_the_same_again),
        cmocka_unit_test(turn_random_differs_with_input_session_and_seed),
        cmocka_unit_test(turn_state_follows_the_effects),
        cmocka_unit_test(turn_state_may_be_empty),
        cmocka_unit_test(turn_state_has_room_behind_the_most_effects),
        cmocka_unit_test(turn_state_has_room_behind_the_most_bytes),
        cmocka_unit_test(turn_state_above_any_limit_is_refused),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
