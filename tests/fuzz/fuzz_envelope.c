// Goal: no batch makes the envelope reader read past its input or allocate what a count promises,
// and what it lets through is sound.
// Method: the first byte chooses the side, the rest is a batch. Each envelope that decodes must
// encode, and the encoded ones must decode to the same.
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_bytes(struct bytes a, struct bytes b)
{
    CHECK(a.size == b.size);
    CHECK(a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static void check_equal(const struct envelope *a, const struct envelope *b)
{
    CHECK(a->kind == b->kind);
    CHECK(a->session == b->session && a->epoch == b->epoch && a->sequence == b->sequence);
    CHECK(a->effects == b->effects && a->version == b->version && a->worker == b->worker);
    CHECK(a->process_id == b->process_id && a->shard == b->shard && a->shards == b->shards);
    CHECK(a->frame_max == b->frame_max && a->serial == b->serial);
    CHECK(a->now_ms == b->now_ms && a->seed == b->seed && a->state_version == b->state_version);
    check_bytes(a->token, b->token);
    check_bytes(a->text, b->text);
    check_bytes(a->text2, b->text2);
    check_bytes(a->types, b->types);
    check_bytes(a->prefix, b->prefix);
    check_bytes(a->payload, b->payload);
}

// Slices lie within the body.
static void check_slice(struct bytes slice, struct bytes body)
{
    CHECK(slice.size == 0 || (slice.data >= body.data && slice.size <= body.size &&
                              slice.data + slice.size <= body.data + body.size));
}

// Encodes all that decodes. Returns how many did.
static size_t say_again(struct envelope_reader *reader, struct bytes body, struct buffer *again)
{
    struct envelope envelope;
    enum envelope_result result;
    size_t count = 0;

    envelope_reader_start(reader, body);
    while ((result = envelope_next(reader, &envelope)) == ENVELOPE_READY) {
        size_t before = buffer_size(again);

        check_slice(envelope.token, body);
        check_slice(envelope.text, body);
        check_slice(envelope.text2, body);
        check_slice(envelope.types, body);
        check_slice(envelope.payload, body);
        CHECK(envelope_encode(again, &envelope) == 0);
        CHECK(buffer_size(again) - before <= envelope_size_max(envelope.payload.size));
        count++;
    }
    CHECK((result == ENVELOPE_BAD) == (reader->why != NULL));
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct envelope_reader first, second;
    struct buffer again = {0};
    enum envelope_side side;
    size_t count;

    if (size == 0)
        return 0;
    side = data[0] & 1 ? ENVELOPE_FROM_WORKER : ENVELOPE_FROM_GATEWAY;
    CHECK(envelope_reader_create(&first, side) == 0);
    CHECK(envelope_reader_create(&second, side) == 0);
    count = say_again(&first, (struct bytes){data + 1, size - 1}, &again);
    envelope_reader_start(&first, (struct bytes){data + 1, size - 1});
    envelope_reader_start(&second, (struct bytes){buffer_data(&again), buffer_size(&again)});
    for (size_t i = 0; i < count; i++) {
        struct envelope a, b;

        CHECK(envelope_next(&first, &a) == ENVELOPE_READY);
        CHECK(envelope_next(&second, &b) == ENVELOPE_READY);
        check_equal(&a, &b);
    }
    CHECK(second.rest.size == 0);
    envelope_reader_destroy(&first);
    envelope_reader_destroy(&second);
    buffer_free(&again);
    return 0;
}
