// Goal: the kinds of groups, timers and frames for others travel whole, and nothing else passes as
// one of them. Method: a table of samples, there and back; each also cut at every byte, with every
// byte changed, from the wrong side, and with fields out of their range.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "envelope.h"

enum { PUBLISH_MAX = ENVELOPE_BATCH_MAX - 85 };

#define TEXT(literal)                                                                              \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }

static const struct sample {
    const char *name;
    enum envelope_side side;
    struct envelope envelope;
    const char *wire; // by PROTOCOL.md
    size_t size;
} samples[] = {
#define WIRE(literal) literal, sizeof(literal) - 1
    {"send",
     ENVELOPE_FROM_WORKER,
     {.kind = ENVELOPE_SEND, .session = 0x100, .payload = TEXT("hi")},
     WIRE("\x93\x08\xcd\x01\x00\xc4\x02hi")},
    {"join",
     ENVELOPE_FROM_WORKER,
     {.kind = ENVELOPE_JOIN, .text = TEXT("room")},
     WIRE("\x92\x09\xa4room")},
    {"leave",
     ENVELOPE_FROM_WORKER,
     {.kind = ENVELOPE_LEAVE, .text = TEXT("r")},
     WIRE("\x92\x0a\xa1r")},
    {"publish",
     ENVELOPE_FROM_WORKER,
     {.kind = ENVELOPE_PUBLISH, .text = TEXT("room"), .session = 7, .payload = TEXT("hi")},
     WIRE("\x94\x0b\xa4room\x07\xc4\x02hi")},
    {"timer",
     ENVELOPE_FROM_WORKER,
     {.kind = ENVELOPE_TIMER, .tag = 1, .after_ms = 1000, .every_ms = 500},
     WIRE("\x94\x0c\x01\xcd\x03\xe8\xcd\x01\xf4")},
    {"cancel",
     ENVELOPE_FROM_WORKER,
     {.kind = ENVELOPE_CANCEL, .tag = UINT64_MAX},
     WIRE("\x92\x0d\xcf\xff\xff\xff\xff\xff\xff\xff\xff")},
    {"fired",
     ENVELOPE_FROM_GATEWAY,
     {.kind = ENVELOPE_FIRED, .session = 5, .epoch = 2, .sequence = 3, .now_ms = 4, .tag = 6},
     WIRE("\x96\x28\x05\x02\x03\x04\x06")},
};

static int make(void **state)
{
    static struct envelope_reader reader;

    *state = &reader;
    return envelope_reader_create(&reader, ENVELOPE_FROM_WORKER);
}

static int unmake(void **state)
{
    envelope_reader_destroy(*state);
    return 0;
}

static void same_slice(struct bytes a, struct bytes b)
{
    assert_int_equal(a.size, b.size);
    if (a.size > 0)
        assert_memory_equal(a.data, b.data, a.size);
}

static void same(const struct envelope *a, const struct envelope *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->session, b->session);
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->sequence, b->sequence);
    assert_int_equal(a->now_ms, b->now_ms);
    assert_int_equal(a->tag, b->tag);
    assert_int_equal(a->after_ms, b->after_ms);
    assert_int_equal(a->every_ms, b->every_ms);
    same_slice(a->text, b->text);
    same_slice(a->payload, b->payload);
}

// The batch of a sample: an effect needs its commit.
static void put(struct buffer *batch, const struct sample *sample, const char *wire, size_t size)
{
    buffer_truncate(batch, 0);
    if (sample->side == ENVELOPE_FROM_WORKER)
        assert_int_equal(
            envelope_encode(batch, &(struct envelope){.kind = ENVELOPE_COMMIT, .effects = 1}), 0);
    assert_int_equal(buffer_append(batch, wire, size), 0);
}

static void begin(struct envelope_reader *reader, enum envelope_side side,
                  const struct buffer *batch)
{
    reader->side = side;
    envelope_reader_start(reader, (struct bytes){buffer_data(batch), buffer_size(batch)});
}

// Reads the batch to its end; the last envelope is in *out_last.
static enum envelope_result walk(struct envelope_reader *reader, struct envelope *out_last)
{
    enum envelope_result result;

    while ((result = envelope_next(reader, out_last)) == ENVELOPE_READY) {
    }
    return result;
}

static void envelope_effects_are_written_and_read_by_the_byte(void **state)
{
    struct buffer batch = {0};

    for (size_t i = 0; i < ARRAY_COUNT(samples); i++) {
        const struct sample *sample = &samples[i];
        struct envelope got = {0};

        buffer_truncate(&batch, 0);
        assert_int_equal(envelope_encode(&batch, &sample->envelope), 0);
        assert_int_equal(buffer_size(&batch), sample->size);
        assert_memory_equal(buffer_data(&batch), sample->wire, sample->size);
        put(&batch, sample, sample->wire, sample->size);
        begin(*state, sample->side, &batch);
        assert_int_equal(walk(*state, &got), ENVELOPE_END_OF_BATCH);
        same(&got, &sample->envelope);
        begin(*state, (enum envelope_side) !sample->side, &batch);
        assert_int_equal(walk(*state, &got), ENVELOPE_BAD);
        assert_string_equal(envelope_kind_text(sample->envelope.kind), sample->name);
    }
    buffer_free(&batch);
}

static void envelope_effect_without_its_commit_is_bad(void **state)
{
    struct buffer batch = {0};
    struct envelope got;

    for (size_t i = 0; i < ARRAY_COUNT(samples); i++) {
        if (samples[i].side == ENVELOPE_FROM_GATEWAY)
            continue;
        buffer_truncate(&batch, 0);
        assert_int_equal(buffer_append(&batch, samples[i].wire, samples[i].size), 0);
        begin(*state, ENVELOPE_FROM_WORKER, &batch);
        assert_int_equal(envelope_next(*state, &got), ENVELOPE_BAD);
    }
    buffer_free(&batch);
}

static void envelope_effect_cut_short_is_bad(void **state)
{
    struct buffer batch = {0};
    struct envelope got;

    for (size_t i = 0; i < ARRAY_COUNT(samples); i++) {
        for (size_t size = 1; size < samples[i].size; size++) {
            put(&batch, &samples[i], samples[i].wire, size);
            begin(*state, samples[i].side, &batch);
            assert_int_equal(walk(*state, &got), ENVELOPE_BAD);
        }
    }
    buffer_free(&batch);
}

// Whatever a byte becomes: what is still read is something that can be written.
static void envelope_effect_with_a_changed_byte_is_bad_or_another(void **state)
{
    struct buffer batch = {0}, again = {0};
    char wire[64];

    for (size_t i = 0; i < ARRAY_COUNT(samples); i++) {
        for (size_t at = 0; at < samples[i].size * 256; at++) {
            struct envelope got = {0};

            memcpy(wire, samples[i].wire, samples[i].size);
            wire[at / 256] = (char)at;
            put(&batch, &samples[i], wire, samples[i].size);
            begin(*state, samples[i].side, &batch);
            if (walk(*state, &got) == ENVELOPE_BAD)
                continue;
            assert_int_equal(envelope_encode(&again, &got), 0);
            assert_true(got.text.size <= ENVELOPE_GROUP_MAX || got.kind != ENVELOPE_JOIN);
            buffer_truncate(&again, 0);
        }
    }
    buffer_free(&batch);
    buffer_free(&again);
}

static void envelope_group_name_has_1_to_64_printable_bytes(void **state)
{
    static const enum envelope_kind kinds[] = {ENVELOPE_JOIN, ENVELOPE_LEAVE, ENVELOPE_PUBLISH};
    static const char *const no_names[] = {"", "a\nb", "\x7f", "\xc3", "\xe2\x80\xa8"};
    char name[ENVELOPE_GROUP_MAX + 1];
    struct buffer batch = {0};
    struct envelope got;

    memset(name, 'n', sizeof name);
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        struct envelope envelope = {.kind = kinds[i],
                                    .text = {(const uint8_t *)name, ENVELOPE_GROUP_MAX}};

        buffer_truncate(&batch, 0);
        assert_int_equal(envelope_encode(&batch, &envelope), 0);
        envelope.text.size++;
        assert_int_equal(envelope_encode(&batch, &envelope), -EINVAL);
        for (size_t k = 0; k < ARRAY_COUNT(no_names); k++) {
            envelope.text = (struct bytes){(const uint8_t *)no_names[k], strlen(no_names[k])};
            assert_int_equal(envelope_encode(&batch, &envelope), -EINVAL);
        }
    }
    // From a worker that does not ask its encoder: 65 bytes, and none.
    put(&batch, &samples[1], "\x92\x09\xd9\x41", 4);
    assert_int_equal(buffer_append(&batch, name, sizeof name), 0);
    begin(*state, ENVELOPE_FROM_WORKER, &batch);
    assert_int_equal(walk(*state, &got), ENVELOPE_BAD);
    put(&batch, &samples[1], "\x92\x09\xa0", 3);
    begin(*state, ENVELOPE_FROM_WORKER, &batch);
    assert_int_equal(walk(*state, &got), ENVELOPE_BAD);
    buffer_free(&batch);
}

static void envelope_timer_of_more_than_32_bits_is_bad(void **state)
{
    struct buffer batch = {0};
    struct envelope got = {0};

    put(&batch, &samples[4], "\x94\x0c\x01\xce\xff\xff\xff\xff\x00", 9);
    begin(*state, ENVELOPE_FROM_WORKER, &batch);
    assert_int_equal(walk(*state, &got), ENVELOPE_END_OF_BATCH);
    assert_int_equal(got.after_ms, UINT32_MAX);
    put(&batch, &samples[4], "\x94\x0c\x01\xcf\x00\x00\x00\x01\x00\x00\x00\x00\x00", 13);
    begin(*state, ENVELOPE_FROM_WORKER, &batch);
    assert_int_equal(walk(*state, &got), ENVELOPE_BAD);
    put(&batch, &samples[4], "\x94\x0c\xff\x01\x01", 5); // a negative tag
    begin(*state, ENVELOPE_FROM_WORKER, &batch);
    assert_int_equal(walk(*state, &got), ENVELOPE_BAD);
    buffer_free(&batch);
}

static void envelope_largest_publish_fits_a_batch(void **state)
{
    uint8_t *payload = calloc(1, PUBLISH_MAX + 1);
    char name[ENVELOPE_GROUP_MAX];
    struct buffer batch = {0};
    struct envelope envelope = {.kind = ENVELOPE_PUBLISH,
                                .session = UINT64_MAX,
                                .text = {(const uint8_t *)name, sizeof name},
                                .payload = {payload, PUBLISH_MAX}};

    (void)state;
    assert_non_null(payload);
    memset(name, 'n', sizeof name);
    assert_int_equal(envelope_encode(&batch, &envelope), 0);
    assert_true(buffer_size(&batch) <= ENVELOPE_BATCH_MAX);
    assert_true(buffer_size(&batch) <= envelope_size_max(PUBLISH_MAX));
    envelope.payload.size++;
    assert_int_equal(envelope_encode(&batch, &envelope), -EINVAL);
    buffer_free(&batch);
    free(payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(envelope_effects_are_written_and_read_by_the_byte),
        cmocka_unit_test(envelope_effect_without_its_commit_is_bad),
        cmocka_unit_test(envelope_effect_cut_short_is_bad),
        cmocka_unit_test(envelope_effect_with_a_changed_byte_is_bad_or_another),
        cmocka_unit_test(envelope_group_name_has_1_to_64_printable_bytes),
        cmocka_unit_test(envelope_timer_of_more_than_32_bits_is_bad),
        cmocka_unit_test(envelope_largest_publish_fits_a_batch),
    };

    return cmocka_run_group_tests(tests, make, unmake);
}
