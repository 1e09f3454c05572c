// Goal: what is encoded decodes to the same, whatever else arrives is refused, and the bytes are
// those of PROTOCOL.md.
// Method: one sample of each kind changed value by value, by hand-made msgpack; the document's
// example by the byte; seeded random envelopes, and random damage to good batches.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "envelope.h"

#define SLICE(text)                                                                                \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }
#define BYTES(...)                                                                                 \
    {                                                                                              \
        (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})                     \
    }

enum { SEED_COUNT = 3000, PAYLOAD_MAX = ENVELOPE_BATCH_MAX - 43 };

#define INPUT7 .session = 7, .epoch = 1

// clang-format off
static const struct sample {
    const char *name;
    enum envelope_side side;
    bool is_effect;
    struct envelope envelope;
} samples[] = {
    {"hello", ENVELOPE_FROM_WORKER, false,
     {.kind = ENVELOPE_HELLO, .version = 1, .token = SLICE("0123456789abcdef"), .worker = 3,
      .process_id = 4711, .text = SLICE("echo"), .text2 = SLICE("1.0"), .types = SLICE("a b")}},
    {"commit", ENVELOPE_FROM_WORKER, false,
     {.kind = ENVELOPE_COMMIT, .session = UINT64_MAX, .epoch = UINT32_MAX, .sequence = 1 << 20}},
    {"reply", ENVELOPE_FROM_WORKER, true, {.kind = ENVELOPE_REPLY, .payload = SLICE("hello")}},
    {"end", ENVELOPE_FROM_WORKER, true, {.kind = ENVELOPE_END}},
    {"pong", ENVELOPE_FROM_WORKER, false, {.kind = ENVELOPE_PONG, .serial = 300}},
    {"leaving", ENVELOPE_FROM_WORKER, false, {.kind = ENVELOPE_LEAVING}},
    {"welcome", ENVELOPE_FROM_GATEWAY, false,
     {.kind = ENVELOPE_WELCOME, .version = 1, .shard = 2, .shards = 3, .frame_max = 65533,
      .seed = UINT64_MAX}},
    {"refused", ENVELOPE_FROM_GATEWAY, false,
     {.kind = ENVELOPE_REFUSED, .text = SLICE("it belongs to another node")}},
    {"open", ENVELOPE_FROM_GATEWAY, false,
     {.kind = ENVELOPE_OPEN, INPUT7, .sequence = 1, .now_ms = 1, .text = SLICE("[::1]:50")}},
    {"frame", ENVELOPE_FROM_GATEWAY, false,
     {.kind = ENVELOPE_FRAME, INPUT7, .sequence = 2, .now_ms = 2, .payload = SLICE("\0\1")}},
    {"close", ENVELOPE_FROM_GATEWAY, false,
     {.kind = ENVELOPE_CLOSE, INPUT7, .sequence = 3, .now_ms = UINT64_MAX, .text = SLICE("idle")}},
    {"ping", ENVELOPE_FROM_GATEWAY, false, {.kind = ENVELOPE_PING, .serial = UINT64_MAX}},
    {"drain", ENVELOPE_FROM_GATEWAY, false, {.kind = ENVELOPE_DRAIN}},
    {"restore", ENVELOPE_FROM_GATEWAY, false,
     {.kind = ENVELOPE_RESTORE, INPUT7, .sequence = 9, .state_version = UINT32_MAX,
      .payload = SLICE("a\0b")}},
    {"state", ENVELOPE_FROM_WORKER, true,
     {.kind = ENVELOPE_STATE, .state_version = 3, .payload = SLICE("\0\0\1")}},
};
// clang-format on

static uint64_t random_state;

static uint32_t random_below(uint32_t limit) // limit 1 at least
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % limit;
}

static bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || (a.data != NULL && b.data != NULL &&
                                                memcmp(a.data, b.data, a.size) == 0));
}

static bool envelopes_equal(const struct envelope *a, const struct envelope *b)
{
    return a->kind == b->kind && a->session == b->session && a->epoch == b->epoch &&
           a->sequence == b->sequence && a->now_ms == b->now_ms && a->seed == b->seed &&
           a->state_version == b->state_version && a->effects == b->effects &&
           a->version == b->version && a->worker == b->worker && a->process_id == b->process_id &&
           a->shard == b->shard && a->shards == b->shards && a->frame_max == b->frame_max &&
           a->serial == b->serial && bytes_equal(a->token, b->token) &&
           bytes_equal(a->text, b->text) && bytes_equal(a->text2, b->text2) &&
           bytes_equal(a->types, b->types) && bytes_equal(a->prefix, b->prefix) &&
           bytes_equal(a->payload, b->payload);
}

static struct bytes buffer_slice(const struct buffer *buffer)
{
    return (struct bytes){buffer_data(buffer), buffer_size(buffer)};
}

static int reader_setup(void **state)
{
    static struct envelope_reader reader;

    *state = &reader;
    return envelope_reader_create(&reader, ENVELOPE_FROM_GATEWAY);
}

static int reader_teardown(void **state)
{
    envelope_reader_destroy(*state);
    return 0;
}

static void encode(struct buffer *to, const struct envelope *envelope)
{
    assert_int_equal(envelope_encode(to, envelope), 0);
}

static void start(struct envelope_reader *reader, enum envelope_side side, struct bytes body)
{
    reader->side = side;
    envelope_reader_start(reader, body);
}

// The whole body must be refused, at whatever envelope, and stay so.
static void expect_bad_from(struct envelope_reader *reader, enum envelope_side side,
                            struct bytes body)
{
    struct envelope envelope;
    enum envelope_result result;

    start(reader, side, body);
    do
        result = envelope_next(reader, &envelope);
    while (result == ENVELOPE_READY);
    assert_int_equal(result, ENVELOPE_BAD);
    assert_non_null(reader->why);
    envelope.kind = (enum envelope_kind)77;
    assert_int_equal(envelope_next(reader, &envelope), ENVELOPE_BAD);
    assert_int_equal(envelope.kind, 77);
}

#define EXPECT_BAD(side, ...) expect_bad_from(*state, side, (struct bytes)BYTES(__VA_ARGS__))

static void expect_good_from(struct envelope_reader *reader, enum envelope_side side,
                             struct bytes body, const struct envelope *want)
{
    struct envelope envelope;

    start(reader, side, body);
    assert_int_equal(envelope_next(reader, &envelope), ENVELOPE_READY);
    assert_true(envelopes_equal(&envelope, want));
    assert_int_equal(envelope_next(reader, &envelope), ENVELOPE_END_OF_BATCH);
    assert_int_equal(envelope_next(reader, &envelope), ENVELOPE_END_OF_BATCH);
}

#define EXPECT_GOOD(side, want, ...)                                                               \
    expect_good_from(*state, side, (struct bytes)BYTES(__VA_ARGS__), want)

// An effect needs a commit before it.
static void encode_sample(struct buffer *to, const struct sample *sample)
{
    if (sample->is_effect)
        encode(to, &(struct envelope){.kind = ENVELOPE_COMMIT, .effects = 1});
    encode(to, &sample->envelope);
}

static void envelope_each_kind_comes_back_the_same(void **state)
{
    struct envelope_reader *reader = *state;

    for (size_t i = 0; i < ARRAY_COUNT(samples); i++) {
        struct buffer batch = {0};
        struct envelope envelope;

        encode_sample(&batch, &samples[i]);
        assert_true(buffer_size(&batch) <= envelope_size_max(0) + 40);
        start(reader, samples[i].side, buffer_slice(&batch));
        if (samples[i].is_effect)
            assert_int_equal(envelope_next(reader, &envelope), ENVELOPE_READY);
        assert_int_equal(envelope_next(reader, &envelope), ENVELOPE_READY);
        assert_true(envelopes_equal(&envelope, &samples[i].envelope));
        assert_int_equal(envelope_next(reader, &envelope), ENVELOPE_END_OF_BATCH);
        expect_bad_from(reader, (enum envelope_side) !samples[i].side, buffer_slice(&batch));
        assert_string_equal(envelope_kind_text(samples[i].envelope.kind), samples[i].name);
        buffer_free(&batch);
    }
}

static void envelope_kind_that_is_none_is_refused(void **state)
{
    struct buffer batch = {0};
    bool known[256] = {false};

    for (size_t i = 0; i < ARRAY_COUNT(samples); i++)
        known[samples[i].envelope.kind] = true;
    for (unsigned kind = ENVELOPE_SEND; kind <= ENVELOPE_CANCEL; kind++)
        known[kind] = true; // in test_envelope_effects
    known[ENVELOPE_FIRED] = true;
    for (unsigned kind = 0; kind < 256; kind++) {
        if (known[kind])
            continue;
        assert_string_equal(envelope_kind_text((enum envelope_kind)kind), "?");
        assert_int_equal(
            envelope_encode(&batch, &(struct envelope){.kind = (enum envelope_kind)kind}), -EINVAL);
        EXPECT_BAD(ENVELOPE_FROM_WORKER, 0x91, 0xCC, (uint8_t)kind);
        EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x91, 0xCC, (uint8_t)kind);
    }
    EXPECT_BAD(ENVELOPE_FROM_WORKER, 0x91, 0xCF, 1, 0, 0, 0, 0, 0, 0, 6); // 6, but for 64 bits
    EXPECT_BAD(ENVELOPE_FROM_WORKER, 0x91, 0xA1, 6);
    EXPECT_BAD(ENVELOPE_FROM_WORKER, 0x91, 0xA6, 'l', 'e', 'a', 'v', 'e', 's');
    assert_int_equal(buffer_size(&batch), 0);
}

#define SESSION 0xCF, 0, 0, 0, 1, 0, 0, 0, 5
#define INPUT   .session = 0x100000005, .epoch = 1
#define NOW(c)  0xCF, 0, 0, 1, 0x9B, 0x76, 0xDA, 0xA8, c

// clang-format off
// The conversation at the end of PROTOCOL.md: each batch with its length, as it is on the wire.
static const struct example {
    enum envelope_side side;
    struct bytes wire;
    struct envelope envelopes[4];
} examples[] = {
    {ENVELOPE_FROM_WORKER,
     BYTES(0, 0, 0, 0x1B, 0x98, 0x01, 0x01, 0xC4, 0x06, 'c', '0', 'f', 'f', 'e', 'e', 0x00, 0xCD,
           0x12, 0x67, 0xA4, 'e', 'c', 'h', 'o', 0xA1, '1', 0xA4, 'e', 'c', 'h', 'o'),
     {{.kind = ENVELOPE_HELLO, .version = 1, .token = SLICE("c0ffee"), .process_id = 4711,
       .text = SLICE("echo"), .text2 = SLICE("1"), .types = SLICE("echo")}}},
    {ENVELOPE_FROM_GATEWAY,
     BYTES(0, 0, 0, 0x11, 0x96, 0x20, 0x01, 0x00, 0x01, 0xCD, 0xFF, 0xFD, 0xCF, 0x01, 0x23, 0x45,
           0x67, 0x89, 0xAB, 0xCD, 0xEF),
     {{.kind = ENVELOPE_WELCOME, .version = 1, .shard = 0, .shards = 1, .frame_max = 65533,
       .seed = 0x0123456789ABCDEF}}},
    {ENVELOPE_FROM_GATEWAY,
     BYTES(0, 0, 0, 0x42, 0x96, 0x22, SESSION, 0x01, 0x01, NOW(0x7B), 0xAF, '1', '2', '7', '.', '0',
           '.', '0', '.', '1', ':', '5', '0', '0', '0', '0', 0x96, 0x23, SESSION, 0x01, 0x02,
           NOW(0x7C), 0xC4, 0x04, 0x01, 0x00, 'h', 'i'),
     {{.kind = ENVELOPE_OPEN, INPUT, .sequence = 1, .now_ms = 1767225600123,
       .text = SLICE("127.0.0.1:50000")},
      {.kind = ENVELOPE_FRAME, INPUT, .sequence = 2, .now_ms = 1767225600124,
       .payload = SLICE("\1\0hi")}}},
    {ENVELOPE_FROM_WORKER,
     BYTES(0, 0, 0, 0x2B, 0x95, 0x02, SESSION, 0x01, 0x01, 0x00, 0x95, 0x02, SESSION, 0x01, 0x02,
           0x02, 0x92, 0x03, 0xC4, 0x04, 0x01, 0x00, 'h', 'i', 0x93, 0x07, 0x01, 0xC4, 0x02, 0x01,
           0x00),
     {{.kind = ENVELOPE_COMMIT, INPUT, .sequence = 1},
      {.kind = ENVELOPE_COMMIT, INPUT, .sequence = 2, .effects = 2},
      {.kind = ENVELOPE_REPLY, .payload = SLICE("\1\0hi")},
      {.kind = ENVELOPE_STATE, .state_version = 1, .payload = SLICE("\1\0")}}},
    {ENVELOPE_FROM_GATEWAY,
     BYTES(0, 0, 0, 0x03, 0x92, 0x25, 0x07),
     {{.kind = ENVELOPE_PING, .serial = 7}}},
    {ENVELOPE_FROM_WORKER,
     BYTES(0, 0, 0, 0x03, 0x92, 0x05, 0x07),
     {{.kind = ENVELOPE_PONG, .serial = 7}}},
    {ENVELOPE_FROM_GATEWAY,
     BYTES(0, 0, 0, 0x36, 0x96, 0x27, SESSION, 0x02, 0x02, 0x01, 0xC4, 0x02, 0x01, 0x00, 0x96, 0x24,
           SESSION, 0x02, 0x03, NOW(0xFF), 0xAD, 'c', 'l', 'i', 'e', 'n', 't', ' ', 'c', 'l', 'o',
           's', 'e', 'd'),
     {{.kind = ENVELOPE_RESTORE, .session = 0x100000005, .epoch = 2, .sequence = 2,
       .state_version = 1, .payload = SLICE("\1\0")},
      {.kind = ENVELOPE_CLOSE, .session = 0x100000005, .epoch = 2, .sequence = 3,
       .now_ms = 1767225600255, .text = SLICE("client closed")}}},
    {ENVELOPE_FROM_WORKER,
     BYTES(0, 0, 0, 0x0E, 0x95, 0x02, SESSION, 0x02, 0x03, 0x00),
     {{.kind = ENVELOPE_COMMIT, .session = 0x100000005, .epoch = 2, .sequence = 3}}},
};
// clang-format on

static void envelope_example_of_the_document_holds_by_the_byte(void **state)
{
    struct envelope_reader *reader = *state;

    for (size_t i = 0; i < ARRAY_COUNT(examples); i++) {
        const struct example *example = &examples[i];
        struct bytes body = {example->wire.data + 4, example->wire.size - 4};
        struct buffer batch = {0};
        struct envelope envelope;

        assert_int_equal(example->wire.data[3], body.size);
        start(reader, example->side, body);
        for (size_t k = 0; k < 4 && example->envelopes[k].kind != 0; k++) {
            encode(&batch, &example->envelopes[k]);
            assert_int_equal(envelope_next(reader, &envelope), ENVELOPE_READY);
            assert_true(envelopes_equal(&envelope, &example->envelopes[k]));
        }
        assert_int_equal(envelope_next(reader, &envelope), ENVELOPE_END_OF_BATCH);
        assert_true(bytes_equal(buffer_slice(&batch), body));
        buffer_free(&batch);
    }
}

static void envelope_wider_integers_than_needed_are_taken(void **state)
{
    const struct envelope five = {.kind = ENVELOPE_PING, .serial = 5};

    EXPECT_GOOD(ENVELOPE_FROM_GATEWAY, &five, 0x92, 37, 5);
    EXPECT_GOOD(ENVELOPE_FROM_GATEWAY, &five, 0x92, 0xCC, 37, 0xCC, 5);
    EXPECT_GOOD(ENVELOPE_FROM_GATEWAY, &five, 0x92, 0xCD, 0, 37, 0xCD, 0, 5);
    EXPECT_GOOD(ENVELOPE_FROM_GATEWAY, &five, 0x92, 37, 0xCE, 0, 0, 0, 5);
    EXPECT_GOOD(ENVELOPE_FROM_GATEWAY, &five, 0x92, 37, 0xCF, 0, 0, 0, 0, 0, 0, 0, 5);
}

static void envelope_wider_lengths_than_needed_are_taken(void **state)
{
    const struct envelope why = {.kind = ENVELOPE_REFUSED, .text = SLICE("no")};
    const struct envelope frame = {
        .kind = ENVELOPE_FRAME, INPUT7, .sequence = 3, .now_ms = 4, .payload = SLICE("no")};

    EXPECT_GOOD(ENVELOPE_FROM_GATEWAY, &why, 0x92, 33, 0xA2, 'n', 'o');
    EXPECT_GOOD(ENVELOPE_FROM_GATEWAY, &why, 0x92, 33, 0xD9, 2, 'n', 'o');
    EXPECT_GOOD(ENVELOPE_FROM_GATEWAY, &why, 0x92, 33, 0xDA, 0, 2, 'n', 'o');
    EXPECT_GOOD(ENVELOPE_FROM_GATEWAY, &why, 0x92, 33, 0xDB, 0, 0, 0, 2, 'n', 'o');
    EXPECT_GOOD(ENVELOPE_FROM_GATEWAY, &frame, 0x96, 35, 7, 1, 3, 4, 0xC4, 2, 'n', 'o');
    EXPECT_GOOD(ENVELOPE_FROM_GATEWAY, &frame, 0x96, 35, 7, 1, 3, 4, 0xC5, 0, 2, 'n', 'o');
    EXPECT_GOOD(ENVELOPE_FROM_GATEWAY, &frame, 0x96, 35, 7, 1, 3, 4, 0xC6, 0, 0, 0, 2, 'n', 'o');
}

static void envelope_other_types_are_refused(void **state)
{
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x92, 37, 0xFF);                       // -1
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x92, 37, 0xD0, 5);                    // signed
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x92, 37, 0xD1, 0, 5);                 //
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x92, 37, 0xD2, 0, 0, 0, 5);           //
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x92, 37, 0xC0);                       // nil
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x92, 37, 0xC1);                       // never used
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x92, 37, 0xC2);                       // false
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x92, 37, 0xC3);                       // true
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x92, 37, 0xC7, 0, 1);                 // ext
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x92, 37, 0xD4, 1, 1);                 // fixext
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x92, 37, 0xCA, 0, 0, 0, 0);           // float
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x92, 37, 0x80);                       // map
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x92, 37, 0x90);                       // array
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x92, 37, 0xDC, 0, 0);                 //
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x92, 37, 0xA1, '5');                  // a text for a number
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x92, 37, 0xC4, 1, 5);                 // a binary for one
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x92, 33, 5);                          // a number for a text
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x92, 33, 0xC4, 1, 'n');               // a binary for a text
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x96, 35, 1, 1, 1, 1, 0xA2, 'n', 'o'); // a text for a binary
}

static void envelope_array_of_another_form_is_refused(void **state)
{
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0xA2, 'n', 'o');          // a text with two numbers inside
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 37);                      // no array
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x90);                    // no kind
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x91, 37);                // too few
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x93, 37, 5, 5);          // too many
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x92, 37);                // cut short
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x81, 37, 5);             // a map
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0xDC, 0, 2, 37, 5);       // array 16
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0xDD, 0, 0, 0, 2, 37, 5); // array 32
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0xDD, 0xFF, 0xFF, 0xFF, 0xFF); // 96 GiB of objects
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x92, 33, 0xDB, 0xFF, 0xFF, 0xFF, 0xFF);
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x92, 33, 0xDB, 0xFF, 0xFF, 0xFF);
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x92, 33, 0xA3, 'n', 'o');
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x96, 35, 1, 1, 1, 1, 0xC6, 0xFF, 0xFF, 0xFF, 0xFF, 0);
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x91, 38, 0x91); // a good one first
}

static void envelope_numbers_keep_their_limits(void **state)
{
    struct buffer batch = {0};
    struct envelope commit = {.kind = ENVELOPE_COMMIT, .effects = ENVELOPE_EFFECTS_MAX + 1};
    struct envelope welcome = {.kind = ENVELOPE_WELCOME, .shards = 1, .frame_max = 0};

    assert_int_equal(envelope_encode(&batch, &commit), -EINVAL);
    assert_int_equal(envelope_encode(&batch, &welcome), -EINVAL);
    welcome = (struct envelope){.kind = ENVELOPE_WELCOME, .shards = 0, .frame_max = 1};
    assert_int_equal(envelope_encode(&batch, &welcome), -EINVAL);
    welcome = (struct envelope){
        .kind = ENVELOPE_WELCOME, .shards = 1, .frame_max = (uint32_t)PAYLOAD_MAX + 1};
    assert_int_equal(envelope_encode(&batch, &welcome), -EINVAL);
    assert_int_equal(buffer_size(&batch), 0);
    EXPECT_BAD(ENVELOPE_FROM_WORKER, 0x95, 2, 1, 1, 1, 0xCD, 1, 1);                   // 257 effects
    EXPECT_BAD(ENVELOPE_FROM_WORKER, 0x95, 2, 1, 0xCF, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0); // epoch 2^32
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x96, 32, 1, 0, 0, 1, 7);                       // no shards
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x96, 32, 1, 0, 1, 0, 7);                       // frame_max 0
    EXPECT_BAD(ENVELOPE_FROM_GATEWAY, 0x96, 39, 1, 1, 1, 0xCF, 0, 0, 0, 1, 0, 0, 0, 0, 0xC4,
               0); // state_version 2^32
}

static void envelope_long_texts_and_tokens_are_refused(void **state)
{
    uint8_t long_text[ENVELOPE_TEXT_MAX + 1];
    struct envelope open = {.kind = ENVELOPE_OPEN, .text = {long_text, ENVELOPE_TEXT_MAX}};
    struct envelope hello = {.kind = ENVELOPE_HELLO, .token = {long_text, 64}};
    uint8_t wire[5 + 3 + sizeof(long_text)] = {0x92, 33, 0xDB, 0, 0, 1, 0};
    struct buffer batch = {0};

    memset(long_text, 'x', sizeof(long_text));
    encode(&batch, &open);
    expect_good_from(*state, ENVELOPE_FROM_GATEWAY, buffer_slice(&batch), &open);
    buffer_truncate(&batch, 0);
    encode(&batch, &hello);
    expect_good_from(*state, ENVELOPE_FROM_WORKER, buffer_slice(&batch), &hello);
    open.text.size++;
    hello.token.size++;
    assert_int_equal(envelope_encode(&batch, &open), -EINVAL);
    assert_int_equal(envelope_encode(&batch, &hello), -EINVAL);
    buffer_free(&batch);
    memset(wire + 7, 'x', sizeof(long_text));
    expect_bad_from(*state, ENVELOPE_FROM_GATEWAY, (struct bytes){wire, 7 + sizeof(long_text)});
}

static void envelope_text_that_is_not_printable_is_refused(void **state)
{
    static const struct {
        const char *text;
        bool is_good;
    } rows[] = {
        {"", true},
        {"plain", true},
        {"gr\xC3\xBC\xC3\x9F", true},
        {"two\nlines", false},
        {"carriage\r", false},
        {"tab\t", false},
        {"\x1B[2J", false},
        {"\x7F", false},
        {"\xC2\x85", false},     // next line
        {"\xE2\x80\xAE", false}, // right to left override
        {"\xC3", false},         // cut short
        {"\xFF", false},         // no UTF-8
        {"\xC0\xAF", false},     // overlong
        {"\xED\xA0\x80", false}, // a surrogate
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        size_t size = strlen(rows[i].text);
        struct envelope refused = {.kind = ENVELOPE_REFUSED,
                                   .text = {(const uint8_t *)rows[i].text, size}};
        struct buffer batch = {0};
        uint8_t wire[64] = {0x92, 33, (uint8_t)(0xA0 + size)};

        memcpy(wire + 3, rows[i].text, size);
        if (rows[i].is_good) {
            encode(&batch, &refused);
            expect_good_from(*state, ENVELOPE_FROM_GATEWAY, buffer_slice(&batch), &refused);
        } else {
            assert_int_equal(envelope_encode(&batch, &refused), -EINVAL);
            expect_bad_from(*state, ENVELOPE_FROM_GATEWAY, (struct bytes){wire, 3 + size});
        }
        buffer_free(&batch);
    }
}

static void envelope_prefix_and_payload_are_one_field(void **state)
{
    struct envelope frame = {
        .kind = ENVELOPE_FRAME, .prefix = SLICE("pre"), .payload = SLICE("fix")};
    struct envelope whole = {.kind = ENVELOPE_FRAME, .payload = SLICE("prefix")};
    struct buffer batch = {0};

    encode(&batch, &frame);
    expect_good_from(*state, ENVELOPE_FROM_GATEWAY, buffer_slice(&batch), &whole);
    buffer_free(&batch);
}

static void envelope_largest_payload_fits_a_batch(void **state)
{
    uint8_t *payload = calloc(1, PAYLOAD_MAX + 1);
    struct envelope frame = {.kind = ENVELOPE_FRAME,
                             .session = UINT64_MAX,
                             .epoch = UINT32_MAX,
                             .sequence = UINT64_MAX,
                             .now_ms = UINT64_MAX,
                             .payload = {payload, PAYLOAD_MAX}};
    struct buffer batch = {0};

    assert_non_null(payload);
    encode(&batch, &frame);
    assert_true(buffer_size(&batch) <= ENVELOPE_BATCH_MAX);
    assert_true(buffer_size(&batch) <= envelope_size_max(PAYLOAD_MAX));
    expect_good_from(*state, ENVELOPE_FROM_GATEWAY, buffer_slice(&batch), &frame);
    frame.payload.size++;
    assert_int_equal(envelope_encode(&batch, &frame), -EINVAL);
    frame.payload.size = PAYLOAD_MAX;
    frame.prefix = (struct bytes)SLICE("x");
    assert_int_equal(envelope_encode(&batch, &frame), -EINVAL);
    frame.prefix.size = SIZE_MAX;
    assert_int_equal(envelope_encode(&batch, &frame), -EINVAL);
    assert_true(buffer_size(&batch) <= ENVELOPE_BATCH_MAX);
    assert_int_equal(envelope_size_max(SIZE_MAX), ENVELOPE_BATCH_MAX);
    buffer_free(&batch);
    free(payload);
}

static void envelope_slices_point_into_the_body(void **state)
{
    struct envelope_reader *reader = *state;
    struct buffer batch = {0};
    struct envelope got;
    uint8_t payload[3000] = {0};

    encode(&batch, &(struct envelope){.kind = ENVELOPE_FRAME, .payload = {payload, 3000}});
    encode(&batch, &samples[8].envelope);
    start(reader, ENVELOPE_FROM_GATEWAY, buffer_slice(&batch));
    assert_int_equal(envelope_next(reader, &got), ENVELOPE_READY);
    assert_in_range((uintptr_t)got.payload.data, (uintptr_t)buffer_data(&batch),
                    (uintptr_t)buffer_data(&batch) + 16);
    assert_int_equal(envelope_next(reader, &got), ENVELOPE_READY);
    assert_in_range((uintptr_t)got.text.data, (uintptr_t)buffer_data(&batch) + 3000,
                    (uintptr_t)buffer_data(&batch) + buffer_size(&batch));
    buffer_free(&batch);
}

// c: a commit with one effect; C: with none; e, r, s: effects; p: pong.
static void envelope_effects_follow_their_commit(void **state)
{
    static const struct {
        const char *batch;
        int good; // envelopes before BAD; -1: all
    } rows[] = {
        {"", -1},    {"C", -1},  {"ce", -1}, {"cr", -1},  {"CcrCce", -1}, {"pcrp", -1},
        {"csC", -1}, {"s", 0},   {"cs", -1}, {"css", 2},  {"e", 0},       {"r", 0},
        {"Ce", 1},   {"cee", 2}, {"c", 1},   {"cc", 1},   {"cp", 1},      {"crc", 3},
        {"cC", 1},   {"pe", 1},  {"crr", 2}, {"ceCe", 3},
    };
    struct envelope_reader *reader = *state;

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct buffer batch = {0};
        struct envelope envelope;
        enum envelope_result result;
        int good = 0;

        for (const char *c = rows[i].batch; *c != '\0'; c++)
            encode(&batch, &(struct envelope){.kind = *c == 'e'   ? ENVELOPE_END
                                                      : *c == 'r' ? ENVELOPE_REPLY
                                                      : *c == 's' ? ENVELOPE_STATE
                                                      : *c == 'p' ? ENVELOPE_PONG
                                                                  : ENVELOPE_COMMIT,
                                              .effects = *c == 'c'});
        start(reader, ENVELOPE_FROM_WORKER, buffer_slice(&batch));
        while ((result = envelope_next(reader, &envelope)) == ENVELOPE_READY)
            good++;
        assert_int_equal(result, rows[i].good < 0 ? ENVELOPE_END_OF_BATCH : ENVELOPE_BAD);
        assert_int_equal(good, rows[i].good < 0 ? (int)strlen(rows[i].batch) : rows[i].good);
        buffer_free(&batch);
    }
}

static void envelope_failed_encode_leaves_the_batch_as_it_was(void **state)
{
    struct buffer batch = {0};
    struct envelope bad = samples[0].envelope;

    bad.types = (struct bytes)SLICE("new\nline"); // the last field
    encode(&batch, &samples[0].envelope);
    assert_int_equal(envelope_encode(&batch, &bad), -EINVAL);
    expect_good_from(*state, ENVELOPE_FROM_WORKER, buffer_slice(&batch), &samples[0].envelope);
    buffer_free(&batch);
}

static uint64_t random_number(void)
{
    uint64_t number = (uint64_t)random_below(1U << 30) << 34 | random_below(1U << 30);

    return number >> random_below(64);
}

// Any envelope that may be encoded; its bytes lie in room.
static struct envelope random_envelope(uint8_t room[1024])
{
    const struct sample *sample = &samples[random_below(ARRAY_COUNT(samples))];
    struct envelope envelope = sample->envelope;

    for (size_t i = 0; i < 1024; i++)
        room[i] = (uint8_t)(' ' + random_below(95));
    if (envelope.session != 0 || envelope.epoch != 0) {
        envelope.session = random_number();
        envelope.epoch = (uint32_t)random_number();
        envelope.sequence = random_number();
    }
    if (envelope.now_ms != 0)
        envelope.now_ms = random_number();
    if (envelope.seed != 0)
        envelope.seed = random_number();
    if (envelope.state_version != 0)
        envelope.state_version = (uint32_t)random_number();
    if (envelope.serial != 0)
        envelope.serial = random_number();
    if (envelope.process_id != 0) {
        envelope.process_id = random_number();
        envelope.version = (uint32_t)random_number();
        envelope.token = (struct bytes){room, random_below(65)};
    }
    if (envelope.text.size > 0)
        envelope.text = (struct bytes){room + 100, random_below(ENVELOPE_TEXT_MAX + 1)};
    if (envelope.payload.size > 0)
        envelope.payload = (struct bytes){room, random_below(1025)};
    return envelope;
}

static void envelope_random_ones_come_back_the_same(void **state)
{
    struct envelope_reader *reader = *state;

    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct envelope said[20], heard = {0};
        uint8_t(*rooms)[1024] = malloc(20 * sizeof(*rooms));
        struct buffer batch = {0};
        enum envelope_side side;
        size_t count = 0, got = 0;

        assert_non_null(rooms);
        random_state = seed;
        side = (enum envelope_side)random_below(2);
        while (count < 20) {
            said[count] = random_envelope(rooms[count]);
            if (side == (said[count].kind >= ENVELOPE_WELCOME ? ENVELOPE_FROM_GATEWAY
                                                              : ENVELOPE_FROM_WORKER) &&
                said[count].kind != ENVELOPE_REPLY && said[count].kind != ENVELOPE_END &&
                said[count].kind != ENVELOPE_STATE)
                encode(&batch, &said[count++]);
        }
        start(reader, side, buffer_slice(&batch));
        while (envelope_next(reader, &heard) == ENVELOPE_READY) {
            if (!envelopes_equal(&heard, &said[got++]))
                fail_msg("seed %u: envelope %u is another", (unsigned)seed, (unsigned)got);
        }
        if (got != count)
            fail_msg("seed %u: %u envelopes came", (unsigned)seed, (unsigned)got);
        buffer_free(&batch);
        free(rooms);
    }
}

// Cut at every byte it is bad or ends between two envelopes; a changed byte may be anything, but
// what is let through must be sound enough to be said again.
static void envelope_damaged_batches_do_no_harm(void **state)
{
    struct envelope_reader *reader = *state;

    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        const struct sample *sample = &samples[seed % ARRAY_COUNT(samples)];
        struct buffer batch = {0}, again = {0};
        struct envelope envelope;
        uint8_t *body;
        size_t size;

        random_state = seed;
        encode_sample(&batch, sample);
        size = buffer_size(&batch) - random_below(2) * random_below((uint32_t)buffer_size(&batch));
        body = malloc(size); // of just this size, so that sanitizers see every byte past it
        assert_non_null(body);
        memcpy(body, buffer_data(&batch), size);
        for (uint32_t damage = random_below(4); damage > 0; damage--)
            body[random_below((uint32_t)size)] = (uint8_t)random_below(256);
        start(reader, sample->side, (struct bytes){body, size});
        while (envelope_next(reader, &envelope) == ENVELOPE_READY)
            if (envelope_encode(&again, &envelope) != 0)
                fail_msg("seed %u: let through, but cannot be said", (unsigned)seed);
        free(body);
        buffer_free(&batch);
        buffer_free(&again);
    }
}

static void envelope_reader_may_be_destroyed_twice(void **state)
{
    struct envelope_reader reader;

    (void)state;
    assert_int_equal(envelope_reader_create(&reader, ENVELOPE_FROM_WORKER), 0);
    envelope_reader_destroy(&reader);
    envelope_reader_destroy(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(envelope_each_kind_comes_back_the_same),
        cmocka_unit_test(envelope_kind_that_is_none_is_refused),
        cmocka_unit_test(envelope_example_of_the_document_holds_by_the_byte),
        cmocka_unit_test(envelope_wider_integers_than_needed_are_taken),
        cmocka_unit_test(envelope_wider_lengths_than_needed_are_taken),
        cmocka_unit_test(envelope_other_types_are_refused),
        cmocka_unit_test(envelope_array_of_another_form_is_refused),
        cmocka_unit_test(envelope_numbers_keep_their_limits),
        cmocka_unit_test(envelope_long_texts_and_tokens_are_refused),
        cmocka_unit_test(envelope_text_that_is_not_printable_is_refused),
        cmocka_unit_test(envelope_prefix_and_payload_are_one_field),
        cmocka_unit_test(envelope_largest_payload_fits_a_batch),
        cmocka_unit_test(envelope_slices_point_into_the_body),
        cmocka_unit_test(envelope_effects_follow_their_commit),
        cmocka_unit_test(envelope_failed_encode_leaves_the_batch_as_it_was),
        cmocka_unit_test(envelope_random_ones_come_back_the_same),
        cmocka_unit_test(envelope_damaged_batches_do_no_harm),
        cmocka_unit_test(envelope_reader_may_be_destroyed_twice),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
